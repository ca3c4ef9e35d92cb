/* SPDX-License-Identifier: Apache-2.0 */
/* A directory of images, UUID.vhd, and raw sparse files, UUID.raw. A volume is made under a temporary name, fsynced and
 * linked, and the directory is fsynced: after a crash it is there whole or not at all; attach removes what was half made.
 * Sizes are multiples of 2 MiB, as XenServer's are, so that a volume can move there. Virtual sizes may exceed the space:
 * files are sparse.
 *
 * Runs on any thread, owns no state. Calls on one volume are kept apart by the caller. */
#include "host/sr_cbt.h"
#include "host/sr_image.h"
#include "host/sr_spool.h"
#include "host/sr_vhd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/disks_job.h"

#define SIZE_UNIT  (UINT64_C(2) << 20)
#define SIZE_MAX_  (UINT64_C(1) << 60)
#define COPY_CHUNK (UINT64_C(4) << 20)
#define SUFFIX     ".raw"
#define TMP_SUFFIX ".raw.tmp"
#define VHD        ".vhd"
#define VHD_TMP    ".vhd.new" /* the library's */
#define VHD_MOST   (UINT64_C(2040) << 30)

static int fail(struct err *err, const char *what, const char *path)
{
    AUTO(free_str) char *text = str_fmt("%s: %m", what);

    err_set(err, ERR_SR_BACKEND_FAILURE, "", "", text);
    return err_detail(err, "%s: %m", path);
}

static char *volume_path(const struct sr_config *sr, const char *vdi, const char *suffix)
{
    return str_fmt("%s/%s%s", sr->path, vdi, suffix);
}

/* A volume that is not there, and anything else that stat or open say. */
static int missing(const struct sr_config *sr, const char *vdi, const char *path,
                   struct err *err)
{
    if (errno == ENOENT)
        return err_set(err, ERR_VDI_MISSING, sr->uuid, vdi);
    return fail(err, "The volume cannot be opened", path);
}

static int full(const struct sr_config *sr, uint64_t requested, struct err *err)
{
    struct sr_space space = { 0 };
    AUTO(free_str) char *want = NULL;
    AUTO(free_str) char *have = NULL;

    (void)!sr_file.space(sr, &space, NULL);
    want = str_fmt("%llu", (unsigned long long)requested);
    have = str_fmt("%llu", (unsigned long long)(space.physical_size_bytes
                                                - space.physical_used_bytes));
    return err_set(err, ERR_SR_FULL, want, have);
}

static int fail_space(const struct sr_config *sr, uint64_t size, const char *what,
                      const char *path, struct err *err)
{
    return errno == ENOSPC || errno == EDQUOT ? full(sr, size, err) : fail(err, what, path);
}

/* What the library says, as the API has it. Takes why. */
static int image_failed(const struct sr_config *sr, const char *vdi, uint64_t size,
                        struct err *why, struct err *err)
{
    const char *status = why->n_params ? why->params[0] : "";

    if (str_eq(status, "ENOSPC") || str_eq(status, "EDQUOT"))
        return full(sr, size, err);
    if (str_eq(status, "ENOENT"))
        return err_set(err, ERR_VDI_MISSING, sr->uuid, vdi);
    if (err)
        err_move(err, why);
    return -1;
}

static bool round_size(uint64_t size, uint64_t *out)
{
    if (size == 0)
        size = SIZE_UNIT;
    if (size > SIZE_MAX_)
        return false;
    *out = (size + SIZE_UNIT - 1) / SIZE_UNIT * SIZE_UNIT;
    return true;
}

static int bad_size(uint64_t size, struct err *err)
{
    AUTO(free_str) char *text = str_fmt("%llu", (unsigned long long)size);

    return err_set(err, ERR_INVALID_VALUE, "virtual_size", text);
}

static bool vdi_ok(const char *vdi)
{
    struct uuid u;

    return uuid_parse(vdi, &u);
}

static int create(const struct sr_config *sr, struct err *err)
{
    if (io_mkdirs(sr->path, 0700) < 0)
        return fail(err, "The directory cannot be made", sr->path);
    return 0;
}

/* Call fn for each entry whose name ends in suffix; false from it ends the walk. */
typedef bool (*entry_fn)(int dir_fd, const char *name, void *arg);

static int each_entry(const struct sr_config *sr, const char *suffix, entry_fn fn,
                      void *arg, struct err *err)
{
    const struct dirent *e;
    DIR *d = opendir(sr->path);

    if (!d)
        return fail(err, "The directory cannot be read", sr->path);
    errno = 0;
    while ((e = readdir(d)) != NULL) {
        if (str_ends(e->d_name, suffix) && !fn(dirfd(d), e->d_name, arg))
            break;
        errno = 0;
    }
    (void)closedir(d);
    return 0;
}

static bool remove_entry(int dir_fd, const char *name, void *arg)
{
    log_info("removing the half-made volume %s", name);
    if (unlinkat(dir_fd, name, 0) < 0)
        log_warn("%s: %m", name);
    return true;
}

static int attach(const struct sr_config *sr, struct err *err)
{
    struct stat st = { 0 };

    if (stat(sr->path, &st) < 0)
        return fail(err, "The directory cannot be reached", sr->path);
    if (!S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        return fail(err, "The path is not usable", sr->path);
    }
    if (access(sr->path, R_OK | W_OK | X_OK) < 0)
        return fail(err, "The directory is not writable", sr->path);
    sr_spool_forget(sr, NULL);
    return each_entry(sr, TMP_SUFFIX, remove_entry, NULL, err) < 0
                   || each_entry(sr, VHD_TMP, remove_entry, NULL, err) < 0
                   || each_entry(sr, SR_CBT_TMP, remove_entry, NULL, err) < 0
               ? -1
               : 0;
}

static int detach(const struct sr_config *sr, struct err *err)
{
    return 0;
}

static bool count_entry(int dir_fd, const char *name, void *arg)
{
    ++*(size_t *)arg;
    return false;
}

static int destroy(const struct sr_config *sr, struct err *err)
{
    size_t n = 0;

    if (access(sr->path, F_OK) < 0 && errno == ENOENT)
        return 0;
    if (each_entry(sr, SUFFIX, count_entry, &n, err) < 0
        || each_entry(sr, VHD, count_entry, &n, err) < 0)
        return -1;
    if (n > 0)
        return err_set(err, ERR_SR_NOT_EMPTY);
    /* A mount point, or one with other people's files, stays. */
    if (rmdir(sr->path) < 0 && errno != EBUSY && errno != ENOTEMPTY && errno != EEXIST)
        return fail(err, "The directory cannot be removed", sr->path);
    return 0;
}

static int space(const struct sr_config *sr, struct sr_space *out, struct err *err)
{
    struct statvfs st;

    if (statvfs(sr->path, &st) < 0)
        return fail(err, "The space cannot be read", sr->path);
    *out = (struct sr_space){
        .physical_size_bytes = (uint64_t)st.f_blocks * st.f_frsize,
        .physical_used_bytes = (uint64_t)(st.f_blocks - st.f_bavail) * st.f_frsize,
    };
    return 0;
}

static void volume_from_stat(struct sr_volume *v, const char *vdi, const struct stat *st)
{
    *v = (struct sr_volume){ .virtual_size_bytes = (uint64_t)st->st_size,
                             .raw = true,
                             .used_bytes = (uint64_t)st->st_blocks * 512 };
    memcpy(v->uuid, vdi, sizeof(v->uuid) - 1);
}

static bool is_image(const struct sr_config *sr, const char *vdi)
{
    AUTO(free_str) char *path = volume_path(sr, vdi, VHD);

    return vdi_ok(vdi) && access(path, F_OK) == 0;
}

static int look_at_image(const struct sr_config *sr, const char *vdi, struct sr_volume *out,
                         struct err *err)
{
    AUTO(free_str) char *path = volume_path(sr, vdi, VHD);
    AUTO(err_done) struct err why = { 0 };
    struct sr_volume v = { 0 };

    if (sr_vhd_look(path, &v, &why) < 0) {
        IGNORE(image_failed(sr, vdi, 0, &why, err));
        return -1;
    }
    memcpy(v.uuid, vdi, sizeof(v.uuid));
    *out = v;
    return 0;
}

struct scan {
    const struct sr_config *sr;
    sr_scan_fn fn;
    void *arg;
};

static bool scan_entry(int dir_fd, const char *name, void *arg)
{
    const struct scan *s = arg;
    bool raw = str_ends(name, SUFFIX);
    struct sr_volume v;
    struct stat st = { 0 };
    char vdi[UUID_TEXT_SIZE] = "";

    if (strlen(name) != sizeof(vdi) - 1 + strlen(SUFFIX))
        return true;
    memcpy(vdi, name, sizeof(vdi) - 1);
    if (!vdi_ok(vdi) || fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0
        || !S_ISREG(st.st_mode))
        return true;
    if (raw)
        volume_from_stat(&v, vdi, &st);
    else if (look_at_image(s->sr, vdi, &v, NULL) < 0)
        return true;
    v.name = name;
    return s->fn(&v, s->arg);
}

static int scan(const struct sr_config *sr, sr_scan_fn fn, void *arg, struct err *err)
{
    struct scan s = { sr, fn, arg };

    return each_entry(sr, VHD, scan_entry, &s, err) < 0
                   || each_entry(sr, SUFFIX, scan_entry, &s, err) < 0
               ? -1
               : 0;
}

static int open_volume(const struct sr_config *sr, const char *vdi, int flags,
                       struct stat *st, struct err *err)
{
    AUTO(free_str) char *path = volume_path(sr, vdi, SUFFIX);
    AUTO(close_fd) int fd = -1;

    errno = ENOENT;
    if (vdi_ok(vdi))
        fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return missing(sr, vdi, path, err);
    if (fstat(fd, st) < 0 || !S_ISREG(st->st_mode)) {
        errno = EINVAL;
        return fail(err, "The volume is not a file", path);
    }
    return TAKE_FD(fd);
}

static int volume_stat(const struct sr_config *sr, const char *vdi, struct sr_volume *out,
                       struct err *err)
{
    struct stat st = { 0 };
    AUTO(close_fd) int fd = -1;

    if (is_image(sr, vdi))
        return look_at_image(sr, vdi, out, err);
    fd = open_volume(sr, vdi, O_RDONLY, &st, err);
    if (fd < 0)
        return -1;
    volume_from_stat(out, vdi, &st);
    return 0;
}

/* The temporary file of a new volume. */
static int make_begin(const struct sr_config *sr, const char *vdi, uint64_t size,
                      struct err *err)
{
    AUTO(free_str) char *tmp = volume_path(sr, vdi, TMP_SUFFIX);
    AUTO(close_fd) int fd = -1;

    if (!vdi_ok(vdi))
        return err_set(err, ERR_INVALID_VALUE, "uuid", vdi);
    if (unlink(tmp) < 0 && errno != ENOENT)
        return fail(err, "The volume cannot be made", tmp);
    fd = open(tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fail_space(sr, size, "The volume cannot be made", tmp, err);
    if (ftruncate(fd, (off_t)size) < 0) {
        fail_space(sr, size, "The volume cannot be made this large", tmp, err);
        (void)unlink(tmp);
        return -1;
    }
    return TAKE_FD(fd);
}

static void make_abort(const struct sr_config *sr, const char *vdi)
{
    AUTO(free_str) char *tmp = volume_path(sr, vdi, TMP_SUFFIX);

    io_drop_file(tmp);
}

/* Give it its name. Never replaces a volume. */
static int make_commit(const struct sr_config *sr, const char *vdi, int fd, uint64_t size,
                       struct err *err)
{
    AUTO(free_str) char *tmp = volume_path(sr, vdi, TMP_SUFFIX);
    AUTO(free_str) char *path = volume_path(sr, vdi, SUFFIX);
    int rc = 0;

    if (FAILPOINT("sr.make.written") || fsync(fd) < 0)
        rc = fail_space(sr, size, "The volume cannot be written", tmp, err);
    /* link, not rename: it fails when the name is taken. */
    else if (FAILPOINT("sr.make.synced") || link(tmp, path) < 0)
        rc = fail_space(sr, size, "The volume cannot be named", path, err);
    (void)FAILPOINT("sr.make.linked");
    make_abort(sr, vdi);
    if (rc == 0 && io_fsync_dir(sr->path) < 0) {
        rc = fail(err, "The directory cannot be written", sr->path);
        (void)unlink(path);
    }
    return rc;
}

static int make_image(const struct sr_config *sr, const char *vdi, uint64_t size,
                      struct err *err)
{
    AUTO(free_str) char *path = volume_path(sr, vdi, VHD);
    AUTO(err_done) struct err why = { 0 };

    if (!vdi_ok(vdi))
        return err_set(err, ERR_INVALID_VALUE, "uuid", vdi);
    if (size > VHD_MOST)
        return bad_size(size, err);
    if (sr_vhd_create(path, size, &why) < 0)
        return image_failed(sr, vdi, size, &why, err);
    return 0;
}

static int make_raw(const struct sr_config *sr, const char *vdi, uint64_t size,
                    struct err *err)
{
    AUTO(close_fd) int fd = make_begin(sr, vdi, size, err);

    return fd < 0 ? -1 : make_commit(sr, vdi, fd, size, err);
}

static int volume_create(const struct sr_config *sr, const char *vdi, uint64_t size_bytes,
                         enum sr_format format, uint64_t *size_out, struct err *err)
{
    uint64_t size = 0;

    if (!round_size(size_bytes, &size))
        return bad_size(size_bytes, err);
    if ((format == SR_FORMAT_RAW ? make_raw : make_image)(sr, vdi, size, err) < 0)
        return -1;
    *size_out = size;
    return 0;
}

static int volume_destroy(const struct sr_config *sr, const char *vdi, struct err *err)
{
    static const char *const suffixes[] = { VHD, SUFFIX };

    if (!vdi_ok(vdi))
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        AUTO(free_str) char *path = volume_path(sr, vdi, suffixes[i]);

        if (unlink(path) == 0) {
            if (io_fsync_dir(sr->path) < 0)
                return fail(err, "The directory cannot be written", sr->path);
        } else if (errno != ENOENT) {
            return fail(err, "The volume cannot be removed", path);
        }
    }
    return 0;
}

static int resize_image(const struct sr_config *sr, const char *vdi, uint64_t size_bytes,
                        struct err *err)
{
    AUTO(free_str) char *path = volume_path(sr, vdi, VHD);
    AUTO(err_done) struct err why = { 0 };
    struct sr_volume v;
    uint64_t size = 0;

    if (look_at_image(sr, vdi, &v, err) < 0)
        return -1;
    if (!round_size(size_bytes, &size) || size < v.virtual_size_bytes || size > VHD_MOST)
        return bad_size(size_bytes, err);
    if (sr_vhd_resize(path, size, &why) < 0)
        return image_failed(sr, vdi, size, &why, err);
    return 0;
}

static int volume_resize(const struct sr_config *sr, const char *vdi, uint64_t size_bytes,
                         struct err *err)
{
    struct stat st = { 0 };
    AUTO(close_fd) int fd = -1;
    uint64_t size = 0;

    if (is_image(sr, vdi))
        return resize_image(sr, vdi, size_bytes, err);
    fd = open_volume(sr, vdi, O_RDWR, &st, err);
    if (fd < 0)
        return -1;
    if (!round_size(size_bytes, &size) || size < (uint64_t)st.st_size)
        return bad_size(size_bytes, err);
    if (ftruncate(fd, (off_t)size) < 0 || fsync(fd) < 0)
        return fail_space(sr, size, "The volume cannot be resized", vdi, err);
    return 0;
}

static int volume_open(const struct sr_config *sr, const char *vdi, bool read_only,
                       struct err *err)
{
    struct stat st = { 0 };
    int fd = open_volume(sr, vdi, read_only ? O_RDONLY : O_RDWR, &st, err);

    if (fd >= 0 && io_set_nonblock(fd, false) < 0)
        log_debug("%s: %m", vdi);
    return fd;
}

struct copy {
    const struct sr_config *to;
    int src, dst;
    uint64_t total, done; /* bytes of data */
    const struct deadline *d;
    sr_progress_fn progress;
    void *arg;
    struct err *err;
    bool plain; /* copy_file_range does not work between these two */
    char *chunk;
};

static int copy_interrupted(const struct copy *c)
{
    struct deadline now = { .at_us = MIN(clock_now_us(), c->d->at_us),
                            .cancel_fd = c->d->cancel_fd };

    if (deadline_poll(&now, -1, 0) < 0 && errno == ECANCELED)
        return err_set(c->err, ERR_TASK_CANCELLED, "");
    if (deadline_passed(c->d))
        return err_set(c->err, ERR_SR_BACKEND_FAILURE, "", "", "The copy took too long");
    return 0;
}

static ssize_t copy_plain(struct copy *c, uint64_t at, size_t len)
{
    if (!c->chunk)
        c->chunk = mem_alloc(COPY_CHUNK);
    if (io_pread_full(c->src, c->chunk, len, at) < 0
        || io_pwrite_full(c->dst, c->chunk, len, at) < 0)
        return -1;
    return (ssize_t)len;
}

/* Copy one stretch of data. */
static int copy_range(struct copy *c, uint64_t at, uint64_t end)
{
    while (at < end) {
        size_t len = (size_t)MIN(end - at, COPY_CHUNK);
        off64_t from = (off64_t)at, to = (off64_t)at;
        ssize_t n = -1;

        if (copy_interrupted(c) < 0)
            return -1;
        if (!c->plain) {
            n = copy_file_range(c->src, &from, c->dst, &to, len, 0);
            c->plain = n == 0
                       || (n < 0 && errno != ENOSPC && errno != EDQUOT && errno != EIO
                           && errno != EINTR);
        }
        if (c->plain)
            n = copy_plain(c, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || FAILPOINT("sr.copy.chunk"))
            return fail_space(c->to, c->total, "The copy failed", c->to->path, c->err);
        at += (uint64_t)n;
        c->done += (uint64_t)n;
        if (c->progress)
            c->progress(c->total ? MIN((double)c->done / (double)c->total, 1.0) : 1.0,
                        c->arg);
    }
    return 0;
}

/* Copy the data, leave the holes. */
static int copy_data(struct copy *c, uint64_t size)
{
    uint64_t at = 0;

    while (at < size) {
        off_t data = lseek(c->src, (off_t)at, SEEK_DATA);
        off_t hole = data < 0 ? -1 : lseek(c->src, data, SEEK_HOLE);

        if (data < 0 && errno == ENXIO)
            return 0;               /* holes only from here */
        if (data < 0 || hole < 0) { /* a file system without holes */
            data = (off_t)at;
            hole = (off_t)size;
        }
        if (copy_range(c, (uint64_t)data, MIN((uint64_t)hole, size)) < 0)
            return -1;
        at = (uint64_t)hole;
    }
    return 0;
}

static int copy_into(struct copy *c, const struct stat *st)
{
    struct sr_space have = { 0 };
    int rc;

    if (ioctl(c->dst, FICLONE, c->src) == 0)
        return 0;
    if (space(c->to, &have, c->err) < 0)
        return -1;
    if (c->total > have.physical_size_bytes - have.physical_used_bytes)
        return full(c->to, c->total, c->err);
    rc = copy_data(c, (uint64_t)st->st_size);
    free(c->chunk);
    return rc;
}

static int copy_raw(const struct sr_config *from, const char *src,
                    const struct sr_config *to, const char *dst, const struct deadline *d,
                    sr_progress_fn progress, void *arg, struct err *err)
{
    struct stat st = { 0 };
    AUTO(close_fd) int in = open_volume(from, src, O_RDONLY, &st, err);
    AUTO(close_fd) int out = -1;
    struct copy c = {
        .to = to, .src = in, .d = d, .progress = progress, .arg = arg, .err = err
    };
    uint64_t size = 0;

    if (in < 0)
        return -1;
    if (!round_size((uint64_t)st.st_size, &size))
        return bad_size((uint64_t)st.st_size, err);
    out = make_begin(to, dst, size, err);
    if (out < 0)
        return -1;
    c.dst = out;
    c.total = MIN((uint64_t)st.st_blocks * 512, (uint64_t)st.st_size);
    /* A clone takes the source's length, which was rounded when it was made, but perhaps not by us. */
    if (copy_into(&c, &st) < 0 || ftruncate(out, (off_t)size) < 0) {
        err_set(err, ERR_SR_BACKEND_FAILURE, "", "", "The copy failed");
        make_abort(to, dst);
        return -1;
    }
    if (make_commit(to, dst, out, size, err) < 0)
        return -1;
    if (progress)
        progress(1.0, arg);
    return 0;
}

static struct sr_image *volume_image(const struct sr_config *sr, const char *vdi,
                                     bool write, struct err *err)
{
    AUTO(free_str) char *path = volume_path(sr, vdi, VHD);
    AUTO(err_done) struct err why = { 0 };
    struct sr_image *i;
    struct stat st = { 0 };

    if (!is_image(sr, vdi)) {
        int fd = open_volume(sr, vdi, write ? O_RDWR : O_RDONLY, &st, err);

        return fd < 0 ? NULL : sr_image_raw(fd, (uint64_t)st.st_size);
    }
    i = sr_image_vhd(path, write, &why);
    if (!i)
        IGNORE(image_failed(sr, vdi, 0, &why, err));
    return i;
}

/* The whole disk, with all that its parents hold, as an image of its own. */
static int copy_image(const struct sr_config *from, const char *src,
                      const struct sr_config *to, const char *dst, const struct deadline *d,
                      sr_progress_fn progress, void *arg, struct err *err)
{
    AUTO(sr_image_cleanup) struct sr_image *in = volume_image(from, src, false, err);
    AUTO(sr_image_cleanup) struct sr_image *out = NULL;
    AUTO(err_done) struct err why = { 0 };
    uint64_t size = 0;

    if (!in)
        return -1;
    if (volume_create(to, dst, sr_image_bytes(in), SR_FORMAT_IMAGE, &size, err) < 0)
        return -1;
    out = volume_image(to, dst, true, err);
    if (out && sr_image_copy(in, out, d, progress, arg, &why) == 0
        && sr_image_finish(out, &why) == 0)
        return 0;
    if (out)
        IGNORE(image_failed(to, dst, size, &why, err));
    IGNORE(volume_destroy(to, dst, NULL));
    return -1;
}

static int volume_copy(const struct sr_config *from, const char *src,
                       const struct sr_config *to, const char *dst,
                       const struct deadline *d, sr_progress_fn progress, void *arg,
                       struct err *err)
{
    return (is_image(from, src) ? copy_image : copy_raw)(from, src, to, dst, d, progress,
                                                         arg, err);
}

static int volume_leaf(const struct sr_config *sr, const char *vdi, char **leaf_out,
                       struct err *err)
{
    struct sr_volume v;

    if (volume_stat(sr, vdi, &v, err) < 0)
        return -1;
    *leaf_out = v.raw ? NULL : volume_path(sr, vdi, VHD);
    return 0;
}

static int volume_child(const struct sr_config *sr, const char *parent, const char *child,
                        struct err *err)
{
    AUTO(free_str) char *path = volume_path(sr, child, VHD);
    AUTO(free_str) char *above = NULL;
    AUTO(err_done) struct err why = { 0 };
    struct sr_volume v;

    if (!vdi_ok(child))
        return err_set(err, ERR_INVALID_VALUE, "uuid", child);
    if (volume_stat(sr, parent, &v, err) < 0)
        return -1;
    above = volume_path(sr, parent, v.raw ? SUFFIX : VHD);
    if (sr_vhd_child(above, v.raw, path, &why) < 0)
        return image_failed(sr, parent, v.virtual_size_bytes, &why, err);
    return 0;
}

static int volume_merge(const struct sr_config *sr, const char *vdi,
                        const char *const *children, size_t n, enum sr_merge part,
                        const struct deadline *d, struct err *err)
{
    static const char *const names[] = {
        [SR_MERGE_ALL] = "all", [SR_MERGE_COPY] = "copy", [SR_MERGE_CHILDREN] = "children"
    };
    AUTO(err_done) struct err why = { 0 };
    struct argv args = { 0 };

    argv_add(&args, "--merge");
    argv_add(&args, names[part]);
    argv_addf(&args, "%s/%s%s", sr->path, vdi, VHD);
    for (size_t i = 0; i < n; i++)
        argv_addf(&args, "%s/%s%s", sr->path, children[i], VHD);
    int rc = disks_job(&args, d, &why);
    argv_done(&args);
    if (rc < 0)
        IGNORE(image_failed(sr, vdi, 0, &why, err));
    return rc;
}

static const char *const capabilities[] = {
    "VDI_CREATE", "VDI_DELETE",   "VDI_ATTACH",     "VDI_DETACH", "VDI_RESIZE",
    "VDI_CLONE",  "VDI_SNAPSHOT", "VDI_CONFIG_CBT", NULL,
};

#define FILE_OPS                                                                           \
    .content_type = "user", .capabilities = capabilities, .create = create,                \
    .attach = attach, .detach = detach, .destroy = destroy, .space = space, .scan = scan,  \
    .stat = volume_stat, .volume_create = volume_create, .volume_destroy = volume_destroy, \
    .volume_copy = volume_copy, .volume_resize = volume_resize,                            \
    .volume_open = volume_open, .volume_leaf = volume_leaf, .volume_child = volume_child,  \
    .volume_merge = volume_merge, .spool = sr_spool_open, .spool_forget = sr_spool_forget, \
    .logs = &sr_cbt_logs, .volume_image = volume_image

const struct sr_ops sr_file = {
    .type = "file",
    .name = "Directory",
    .description = "Disks are files in a directory",
    FILE_OPS,
};

const struct sr_ops sr_ext = {
    .type = "ext",
    .name = "Local file system",
    .description = "Disks are files in a directory of a local file system",
    FILE_OPS,
};
