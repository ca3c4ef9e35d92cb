/* SPDX-License-Identifier: Apache-2.0 */
/* A directory of ISO images, which others put there: read-only. An image's uuid is derived from its file name, so that the
 * same file is the same volume after a restart, on every host. Runs on any thread, owns no state. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/parse.h"
#include "host/sr_image.h"
#include "host/sr_spool.h"

static int fail(struct err *err, const char *what, const char *path)
{
    AUTO(free_str) char *text = str_fmt("%s: %m", what);

    err_set(err, ERR_SR_BACKEND_FAILURE, "", "", text);
    return err_detail(err, "%s: %m", path);
}

/* RFC 9562 version 8: ours to define. */
static void name_uuid(const char *name, char out[static UUID_TEXT_SIZE])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    struct uuid u;

    (void)SHA256((const unsigned char *)name, strlen(name), digest);
    memcpy(u.b, digest, sizeof(u.b));
    u.b[6] = (uint8_t)((u.b[6] & 0x0f) | 0x80);
    u.b[8] = (uint8_t)((u.b[8] & 0x3f) | 0x80);
    uuid_text(&u, out);
}

static int refuse(const struct sr_config *sr, struct err *err)
{
    return err_set(err, ERR_SR_OPERATION_NOT_SUPPORTED, sr->uuid);
}

static int create(const struct sr_config *sr, struct err *err)
{
    struct stat st;

    if (stat(sr->path, &st) < 0)
        return fail(err, "The directory cannot be reached", sr->path);
    if (!S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        return fail(err, "The path is not usable", sr->path);
    }
    if (access(sr->path, R_OK | X_OK) < 0)
        return fail(err, "The directory is not readable", sr->path);
    return 0;
}

static int nothing(const struct sr_config *sr, struct err *err)
{
    return 0;
}

static int space(const struct sr_config *sr, struct sr_space *out, struct err *err)
{
    struct statvfs st;

    if (statvfs(sr->path, &st) < 0)
        return fail(err, "The space cannot be read", sr->path);
    *out = (struct sr_space){ (uint64_t)st.f_blocks * st.f_frsize,
                              (uint64_t)(st.f_blocks - st.f_bfree) * st.f_frsize };
    return 0;
}

/* The image called name. False: it is none. */
static bool examine(int dir_fd, const char *name, struct sr_volume *v)
{
    struct stat st;

    if (name[0] == '.' || (!str_ends(name, ".iso") && !str_ends(name, ".ISO"))
        || !utf8_valid(name, strlen(name)) || fstatat(dir_fd, name, &st, 0) < 0
        || !S_ISREG(st.st_mode))
        return false;
    *v = (struct sr_volume){ .name = name,
                             .virtual_size_bytes = (uint64_t)st.st_size,
                             .used_bytes = (uint64_t)st.st_blocks * 512,
                             .read_only = true };
    name_uuid(name, v->uuid);
    return true;
}

static int scan(const struct sr_config *sr, sr_scan_fn fn, void *arg, struct err *err)
{
    const struct dirent *e;
    DIR *d = opendir(sr->path);
    bool more = true;

    if (!d)
        return fail(err, "The directory cannot be read", sr->path);
    while (more && (e = readdir(d)) != NULL) {
        struct sr_volume v;

        if (examine(dirfd(d), e->d_name, &v))
            more = fn(&v, arg);
    }
    (void)closedir(d);
    return 0;
}

struct lookup {
    const char *vdi;
    struct sr_volume volume;
    char *name;
};

static bool is_wanted(const struct sr_volume *v, void *arg)
{
    struct lookup *l = arg;

    if (!str_eq(v->uuid, l->vdi))
        return true;
    l->volume = *v;
    l->name = str_dup(v->name);
    return false;
}

/* name_out: given. */
static int find(const struct sr_config *sr, const char *vdi, struct sr_volume *out,
                char **name_out, struct err *err)
{
    struct lookup l = { .vdi = vdi };

    if (scan(sr, is_wanted, &l, err) < 0)
        return -1;
    if (!l.name)
        return err_set(err, ERR_VDI_MISSING, sr->uuid, vdi);
    *out = l.volume;
    out->name = NULL;
    *name_out = l.name;
    return 0;
}

static int volume_stat(const struct sr_config *sr, const char *vdi, struct sr_volume *out,
                       struct err *err)
{
    AUTO(free_str) char *name = NULL;

    return find(sr, vdi, out, &name, err);
}

static int volume_create(const struct sr_config *sr, const char *vdi, uint64_t size_bytes,
                         enum sr_format format, uint64_t *size_out, struct err *err)
{
    return refuse(sr, err);
}

static int volume_destroy(const struct sr_config *sr, const char *vdi, struct err *err)
{
    return refuse(sr, err);
}

static int volume_copy(const struct sr_config *from, const char *src,
                       const struct sr_config *to, const char *dst,
                       const struct deadline *d, sr_progress_fn progress, void *arg,
                       struct err *err)
{
    return refuse(to, err);
}

static int volume_resize(const struct sr_config *sr, const char *vdi, uint64_t size_bytes,
                         struct err *err)
{
    return refuse(sr, err);
}

static int volume_open(const struct sr_config *sr, const char *vdi, bool read_only,
                       struct err *err)
{
    AUTO(free_str) char *name = NULL;
    AUTO(free_str) char *path = NULL;
    struct sr_volume v;
    int fd;

    if (!read_only)
        return refuse(sr, err);
    if (find(sr, vdi, &v, &name, err) < 0)
        return -1;
    path = str_fmt("%s/%s", sr->path, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? fail(err, "The image cannot be opened", path) : fd;
}

static struct sr_image *volume_image(const struct sr_config *sr, const char *vdi,
                                     bool write, struct err *err)
{
    struct stat st = { 0 };
    int fd = volume_open(sr, vdi, !write, err);

    if (fd >= 0 && fstat(fd, &st) == 0)
        return sr_image_raw(fd, (uint64_t)st.st_size);
    close_fd(&fd);
    return NULL;
}

static const char *const capabilities[] = { "VDI_ATTACH", "VDI_DETACH", "SR_SCAN", NULL };

const struct sr_ops sr_iso = {
    .type = "iso",
    .name = "ISO images",
    .description = "A directory of CD and DVD images",
    .content_type = "iso",
    .capabilities = capabilities,
    .create = create,
    .attach = create,
    .detach = nothing,
    .destroy = nothing,
    .space = space,
    .scan = scan,
    .stat = volume_stat,
    .volume_create = volume_create,
    .volume_destroy = volume_destroy,
    .volume_copy = volume_copy,
    .volume_resize = volume_resize,
    .volume_open = volume_open,
    .spool = sr_spool_open,
    .spool_forget = sr_spool_forget,
    .spool_place = sr_spool_place,
    .volume_image = volume_image,
};
