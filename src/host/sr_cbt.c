/* SPDX-License-Identifier: Apache-2.0 */
/* Who writes a log, besides its making, is the disk process, or whoever has the image open for writing. Read meanwhile it says
 * more than what changed, never less. Owns no state. */
#include "host/sr_cbt.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/io.h"
#include "base/mem.h"
#include "vhd/vhd_cbt.h"
#include "vhd/vhd_io.h"

#define SUFFIX ".cbt"

static char *path_of(const struct sr_config *sr, const char *log)
{
    return str_fmt("%s/%s" SUFFIX, sr->path, log);
}

static int create(const struct sr_config *sr, const char *volume, uint64_t bytes,
                  const char *parent, struct err *err)
{
    AUTO(free_str) char *path = path_of(sr, volume);
    struct uuid u = { 0 };

    if (parent && !uuid_parse(parent, &u))
        return err_set(err, ERR_INVALID_VALUE, "parent", parent);
    return vhd_cbt_create(&vhd_io_posix, path, bytes, &u, err);
}

static int forget(const struct sr_config *sr, const char *log, struct err *err)
{
    AUTO(free_str) char *path = path_of(sr, log);

    if (unlink(path) < 0 && errno != ENOENT)
        return vhd_io_failed(err, "removing", path);
    return 0;
}

static int open_log(const struct sr_config *sr, const char *log, struct vhd_cbt **out,
                    struct err *err)
{
    AUTO(free_str) char *path = path_of(sr, log);
    AUTO(err_done) struct err why = { 0 };

    if (vhd_cbt_open(&vhd_io_posix, path, false, out, &why) == 0)
        return 0;
    if (why.n_params && str_eq(why.params[0], "ENOENT"))
        return err_set(err, ERR_VDI_MISSING, sr->uuid, log);
    err_move(err, &why);
    return -1;
}

static void describe(const struct vhd_cbt *t, const char *log, struct sr_log *out)
{
    static const struct uuid none = { 0 };

    *out = (struct sr_log){ .bytes = vhd_cbt_disk_bytes(t) };
    memcpy(out->uuid, log, strnlen(log, sizeof(out->uuid) - 1));
    if (memcmp(vhd_cbt_parent(t), &none, sizeof(none)) != 0)
        uuid_text(vhd_cbt_parent(t), out->parent);
}

static int add(const struct sr_config *sr, const char *log, uint8_t *bits, size_t n,
               struct sr_log *out, struct err *err)
{
    struct vhd_cbt *t = NULL;

    if (open_log(sr, log, &t, err) < 0)
        return -1;
    vhd_cbt_merge(bits, n, t);
    describe(t, log, out);
    vhd_cbt_close(t);
    return 0;
}

static int scan(const struct sr_config *sr, sr_log_fn fn, void *arg, struct err *err)
{
    DIR *d = opendir(sr->path);
    bool more = d != NULL;

    if (!d)
        return vhd_io_failed(err, "reading", sr->path);
    for (const struct dirent *e; more && (e = readdir(d));) {
        char log[UUID_TEXT_SIZE] = "";
        struct sr_log l;
        struct uuid u;
        if (!str_ends(e->d_name, SUFFIX)
            || strlen(e->d_name) != sizeof(log) - 1 + strlen(SUFFIX))
            continue;
        memcpy(log, e->d_name, sizeof(log) - 1);
        /* What cannot be read is nobody's parent any more. */
        if (!uuid_parse(log, &u))
            continue;
        if (add(sr, log, NULL, 0, &l, NULL) < 0) {
            l = (struct sr_log){ 0 };
            memcpy(l.uuid, log, sizeof(log));
        }
        more = fn(&l, arg);
    }
    (void)closedir(d);
    return 0;
}

const struct sr_logs sr_cbt_logs = {
    .create = create, .remove = forget, .add = add, .scan = scan
};
