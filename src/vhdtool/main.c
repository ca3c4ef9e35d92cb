/* SPDX-License-Identifier: Apache-2.0 */
/* serai-vhd: the disk format from a shell. One table of commands; each ends with status 0, or with 1 and one
 * sentence. The format of a file is what the caller says, never what the file looks like: a guest can
 * write anything into a raw disk. One thread. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/parse.h"
#include "vhd/vhd_create.h"
#include "vhdtool/convert.h"

struct options {
    const char *type, *to, *from;
};

struct command {
    const char *name;
    const char *usage;
    int min, max; /* arguments */
    int (*run)(char **args, int n, const struct options *o, struct err *err);
};

static const struct vhd_io *const io = &vhd_io_posix;

static const char *kind_name(const struct vhd_image *img)
{
    if (img->kind == VHD_KIND_RAW)
        return "raw";
    if (img->kind == VHD_KIND_FIXED)
        return "fixed";
    return vhd_image_differencing(img) ? "differencing" : "dynamic";
}

static int get_size(const char *text, uint64_t *out, struct err *err)
{
    if (parse_size(text, out))
        return 0;
    return vhd_io_bad(err, "EINVAL", "%s is no size", text);
}

static int cmd_create(char **args, int n, const struct options *o, struct err *err)
{
    struct vhd_create_spec spec = { .type = VHD_DYNAMIC };

    if (str_eq(o->type, "fixed"))
        spec.type = VHD_FIXED;
    else if (o->type && !str_eq(o->type, "dynamic"))
        return vhd_io_bad(err, "EINVAL", "%s is no type of image: dynamic or fixed",
                          o->type);
    if (get_size(args[1], &spec.bytes, err) < 0)
        return -1;
    return vhd_create(io, args[0], &spec, err);
}

static int cmd_snapshot(char **args, int n, const struct options *o, struct err *err)
{
    return vhd_create_child(io, args[0], args[1], err);
}

static void print_image(struct vhd_image *img)
{
    char uuid[UUID_TEXT_SIZE], names[4][VHD_NAME_MAX];

    printf("file: %s\ntype: %s\nsize: %llu\n", img->path, kind_name(img),
           (unsigned long long)img->bytes);
    uuid_text(&img->footer.uuid, uuid);
    printf("uuid: %s\ncreator: %.4s\nhidden: %s\nfile-size: %llu\n", uuid,
           img->footer.creator, img->footer.hidden ? "true" : "false",
           (unsigned long long)img->file_bytes);
    if (img->kind != VHD_KIND_DYNAMIC)
        return;
    printf("block-size: %u\nblocks: %u\nblocks-used: %u\ntable-entries: %u\n",
           img->block_bytes, img->n_blocks, img->n_used, img->header.entries);
    printf("needs-repair: %s\n", img->head_ok && img->tail_ok ? "false" : "true");
    if (!vhd_image_differencing(img))
        return;
    uuid_text(&img->header.parent_uuid, uuid);
    if (vhd_image_parent_names(img, names))
        printf("parent: %s\n", names[0]);
    printf("parent-uuid: %s\n", vhd_image_raw_parent(img) ? "raw" : uuid);
}

static int cmd_info(char **args, int n, const struct options *o, struct err *err)
{
    AUTO(vhd_chain_cleanup) struct vhd_chain *c = NULL;

    if (vhd_chain_open(io, args[0], 0, &c, err) < 0)
        return -1;
    print_image(vhd_chain_leaf(c));
    printf("depth: %zu\n", c->n);
    return 0;
}

static int cmd_check(char **args, int n, const struct options *o, struct err *err)
{
    for (int i = 0; i < n; i++) {
        AUTO(vhd_chain_cleanup) struct vhd_chain *c = NULL;
        if (vhd_chain_open(io, args[i], 0, &c, err) < 0)
            return -1;
        const struct vhd_image *leaf = vhd_chain_leaf(c);
        const char *what = "good";
        if (!leaf->tail_ok)
            what = "readable, but has no valid footer at its end: repair writes it";
        if (leaf->kind == VHD_KIND_DYNAMIC && !leaf->head_ok)
            what = "readable, but has no valid footer at its start: repair writes it";
        printf("%s: %s\n", args[i], what);
    }
    return 0;
}

static int cmd_map(char **args, int n, const struct options *o, struct err *err)
{
    AUTO(vhd_chain_cleanup) struct vhd_chain *c = NULL;
    uint64_t at = 0, start = 0, len;
    int layer, held = -1;

    if (vhd_chain_open(io, args[0], 0, &c, err) < 0)
        return -1;
    for (; at < c->bytes; at += len) {
        if (vhd_chain_status(c, at, &len, &layer, err) < 0)
            return -1;
        if (layer == held)
            continue;
        if (held >= 0)
            printf("%llu %llu %s\n", (unsigned long long)start,
                   (unsigned long long)(at - start), c->layer[held]->path);
        start = at;
        held = layer;
    }
    if (held >= 0)
        printf("%llu %llu %s\n", (unsigned long long)start,
               (unsigned long long)(at - start), c->layer[held]->path);
    return 0;
}

static int cmd_resize(char **args, int n, const struct options *o, struct err *err)
{
    AUTO(vhd_chain_cleanup) struct vhd_chain *c = NULL;
    uint64_t bytes;

    if (get_size(args[1], &bytes, err) < 0
        || vhd_chain_open(io, args[0], VHD_OPEN_WRITE, &c, err) < 0
        || vhd_resize(c, bytes, err) < 0)
        return -1;
    return vhd_chain_finish(c, err);
}

static int cmd_repair(char **args, int n, const struct options *o, struct err *err)
{
    AUTO(vhd_image_cleanup) struct vhd_image *img = NULL;

    if (vhd_image_open(io, args[0], VHD_OPEN_WRITE, &img, err) < 0)
        return -1;
    return vhd_image_repair(img, err);
}

static int cmd_reparent(char **args, int n, const struct options *o, struct err *err)
{
    AUTO(vhd_image_cleanup) struct vhd_image *child = NULL;
    AUTO(vhd_chain_cleanup) struct vhd_chain *parent = NULL;

    if (vhd_chain_open(io, args[1], 0, &parent, err) < 0
        || vhd_image_open(io, args[0], VHD_OPEN_WRITE, &child, err) < 0)
        return -1;
    for (size_t i = 0; i < parent->n; i++)
        if (memcmp(&parent->layer[i]->footer.uuid, &child->footer.uuid, sizeof(struct uuid))
            == 0)
            return vhd_io_bad(err, "VHD_PARENT", "%s is made from %s", args[1], args[0]);
    if (vhd_reparent(child, vhd_chain_leaf(parent), err) < 0)
        return -1;
    return vhd_image_finish(child, err);
}

static int cmd_convert(char **args, int n, const struct options *o, struct err *err)
{
    bool to_raw = str_eq(o->to, "raw");
    const char *from = o->from ? o->from : to_raw ? "vhd" : "raw";

    if (!o->to || (!to_raw && !str_eq(o->to, "vhd")))
        return vhd_io_bad(err, "EINVAL", "convert needs --to raw or --to vhd");
    if (!str_eq(from, "raw") && !str_eq(from, "vhd"))
        return vhd_io_bad(err, "EINVAL", "%s is no format: raw or vhd", from);
    return convert(args[0], str_eq(from, "raw"), args[1], to_raw, err);
}

static int cmd_write(char **args, int n, const struct options *o, struct err *err)
{
    return convert_onto(args[1], args[0], err);
}

/* All images in the directory of path whose parent has that uuid. */
static int find_children(const char *path, const struct uuid *uuid, const char *except,
                         char ***out, size_t *n_out, struct err *err)
{
    const char *slash = strrchr(path, '/');
    int len = slash ? (int)(slash + 1 - path) : 0;
    AUTO(free_str) char *dir_path = len ? str_dupn(path, (size_t)len) : str_dup(".");
    DIR *dir = opendir(dir_path);
    VEC(char *) v = { 0 };
    const struct dirent *e;

    if (!dir)
        return vhd_io_failed(err, "listing", dir_path);
    while ((e = readdir(dir))) {
        AUTO(vhd_image_cleanup) struct vhd_image *img = NULL;
        AUTO(free_str) char *file = str_fmt("%.*s%s", len, path, e->d_name);
        if (!str_ends(e->d_name, ".vhd") || str_eq(file, except)
            || vhd_image_open(io, file, 0, &img, NULL) < 0 || !vhd_image_differencing(img)
            || memcmp(&img->header.parent_uuid, uuid, sizeof(*uuid)) != 0)
            continue;
        vec_push(&v, TAKE(file));
    }
    IGNORE(closedir(dir));
    *out = v.v;
    *n_out = v.n;
    return 0;
}

static void free_names(char **v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(v[i]);
    free(v);
}

static int cmd_coalesce(char **args, int n, const struct options *o, struct err *err)
{
    char **children = NULL, **others = NULL;
    size_t n_children = 0, n_others = 0;

    struct uuid uuid, parent;
    {
        AUTO(vhd_image_cleanup) struct vhd_image *img = NULL;
        if (vhd_image_open(io, args[0], 0, &img, err) < 0)
            return -1;
        uuid = img->footer.uuid;
        parent = img->header.parent_uuid;
    }

    int rc = find_children(args[0], &parent, args[0], &others, &n_others, err);
    if (rc == 0)
        rc = find_children(args[0], &uuid, args[0], &children, &n_children, err);
    if (rc == 0 && n_others)
        rc = vhd_io_bad(err, "VHD_PARENT", "the parent of %s has another child: %s",
                        args[0], others[0]);
    if (rc == 0)
        rc = vhd_coalesce(io, args[0], (const char *const *)children, n_children, err);
    free_names(children, n_children);
    free_names(others, n_others);
    return rc;
}

static const struct command commands[] = {
    { "create", "create FILE SIZE [--type dynamic|fixed]", 2, 2, cmd_create },
    { "info", "info FILE", 1, 1, cmd_info },
    { "check", "check FILE...", 1, 1000000, cmd_check },
    { "map", "map FILE", 1, 1, cmd_map },
    { "snapshot", "snapshot PARENT NEW-CHILD", 2, 2, cmd_snapshot },
    { "coalesce", "coalesce FILE", 1, 1, cmd_coalesce },
    { "reparent", "reparent FILE PARENT", 2, 2, cmd_reparent },
    { "resize", "resize FILE SIZE", 2, 2, cmd_resize },
    { "repair", "repair FILE", 1, 1, cmd_repair },
    { "write", "write FILE RAW", 2, 2, cmd_write },
    { "convert", "convert IN OUT --to raw|vhd [--from raw|vhd]", 2, 2, cmd_convert },
};

static int usage(FILE *to)
{
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        (void)fprintf(to, "%s serai-vhd %s\n", i ? "      " : "usage:", commands[i].usage);
    return to == stdout ? 0 : 2;
}

/* Options out of argv, what stays moved to its front; -1: not understood. */
static int take_options(char **argv, int argc, struct options *o)
{
    const struct {
        const char *name;
        const char **to;
    } known[] = { { "--type", &o->type }, { "--to", &o->to }, { "--from", &o->from } };

    int n = 0;

    for (int i = 0; i < argc; i++) {
        size_t k = 0;
        if (argv[i][0] != '-' || argv[i][1] != '-') {
            argv[n++] = argv[i];
            continue;
        }
        while (k < ARRAY_SIZE(known) && !str_eq(argv[i], known[k].name))
            k++;
        if (k == ARRAY_SIZE(known) || i + 1 == argc)
            return -1;
        *known[k].to = argv[++i];
    }
    return n;
}

int main(int argc, char **argv)
{
    struct options o = { 0 };
    struct err err = { 0 };

    if (argc > 1 && (str_eq(argv[1], "--help") || str_eq(argv[1], "help")))
        return usage(stdout);
    if (argc > 1 && str_eq(argv[1], "--version")) {
        printf("serai-vhd %s\n", SERAI_VERSION);
        return 0;
    }
    int n = argc > 2 ? take_options(argv + 2, argc - 2, &o) : 0;
    for (size_t i = 0; argc > 1 && n >= 0 && i < ARRAY_SIZE(commands); i++) {
        if (!str_eq(argv[1], commands[i].name) || n < commands[i].min
            || n > commands[i].max)
            continue;
        if (commands[i].run(argv + 2, n, &o, &err) == 0)
            return fflush(stdout) == 0 ? 0 : 1;
        (void)fflush(stdout);
        (void)fprintf(stderr, "serai-vhd: %s\n", err.detail ? err.detail : err.code);
        err_done(&err);
        return 1;
    }
    return usage(stderr);
}
