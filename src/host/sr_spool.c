/* SPDX-License-Identifier: Apache-2.0 */
/* ".incoming-KEY" in the repository's directory: a name that no volume has. Keys are made by us, of digits. */
#include "host/sr_spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"

#define PREFIX  ".incoming-"
#define KEEP_US (INT64_C(24) * 3600 * US_PER_SEC)

static int fail(const char *what, const char *path, struct err *err)
{
    AUTO(free_str) char *text = str_fmt("%s: %m", what);

    (void)err_set(err,
                  errno == ENOSPC || errno == EDQUOT ? ERR_SR_FULL : ERR_SR_BACKEND_FAILURE,
                  "", "", text);
    return err_detail(err, "%s", path);
}

static bool is_old(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * US_PER_SEC < clock_wall_us() - KEEP_US;
}

int sr_spool_open(const struct sr_config *sr, const char *key, bool make, struct err *err)
{
    AUTO(free_str) char *path = key ? str_fmt("%s/" PREFIX "%s", sr->path, key) : NULL;
    struct stat st;
    int fd;

    if (!key) {
        fd = open(sr->path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        return fd < 0 ? fail("No file can be made", sr->path, err) : fd;
    }
    fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (make ? O_CREAT : 0), 0600);
    if (fd >= 0 && !make && fstat(fd, &st) == 0 && is_old(&st)) {
        close_fd(&fd);
        errno = ENOENT;
    }
    if (fd < 0 && errno == ENOENT)
        return err_set(err, ERR_VDI_MISSING, sr->uuid, key);
    return fd < 0 ? fail("No file can be made", path, err) : fd;
}

void sr_spool_forget(const struct sr_config *sr, const char *key)
{
    AUTO(free_str) char *path = key ? str_fmt("%s/" PREFIX "%s", sr->path, key) : NULL;
    DIR *d = key ? NULL : opendir(sr->path);
    struct stat st;

    if (key)
        (void)unlink(path); /* at worst it goes tomorrow */
    for (struct dirent *e; d && (e = readdir(d));)
        if (str_starts(e->d_name, PREFIX)
            && fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && is_old(&st))
            (void)unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
}

int sr_spool_place(const struct sr_config *sr, const char *key, const char *name,
                   struct err *err)
{
    AUTO(free_str) char *from = str_fmt("%s/" PREFIX "%s", sr->path, key);
    AUTO(free_str) char *to = str_fmt("%s/%s", sr->path, name);

    if (!*name || *name == '.' || strchr(name, '/') || strlen(name) > 200)
        return err_set(err, ERR_INVALID_VALUE, "name", name);
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) != 0) {
        if (errno == EEXIST) {
            (void)err_set(err, ERR_INVALID_VALUE, "name", name);
            return err_detail(err, "there is such a file already");
        }
        return fail("The file cannot be given its name", to, err);
    }
    return io_fsync_dir(sr->path) == 0 ? 0
                                       : fail("The directory cannot be flushed", to, err);
}
