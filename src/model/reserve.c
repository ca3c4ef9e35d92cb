/* SPDX-License-Identifier: Apache-2.0 */
/* One file whose blocks are allocated or not. Whether they are is kept as one atomic flag, so that no call waits for
 * another: two that take the space at once allocate the same blocks. */
#include "model/reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>

#include "base/log.h"
#include "base/mem.h"

static void set_full(struct reserve *r, bool full)
{
    __atomic_store_n(&r->full, full, __ATOMIC_RELEASE);
}

static bool is_full(const struct reserve *r)
{
    return __atomic_load_n(&r->full, __ATOMIC_ACQUIRE);
}

static bool take(struct reserve *r)
{
    int e = posix_fallocate(r->fd, 0, (off_t)RESERVE_BYTES);

    set_full(r, e == 0);
    errno = e;
    return e == 0;
}

static bool no_space(int e)
{
    return e == ENOSPC || e == EDQUOT || e == EFBIG;
}

void reserve_open(struct reserve *r, const char *dir)
{
    AUTO(free_str) char *path = str_fmt("%s/reserve", dir);

    *r = (struct reserve){ .fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
                                      0600) };
    if (r->fd >= 0 && take(r))
        return;
    r->unfit = r->fd < 0 || !no_space(errno);
    log_warn("no space is kept for calls that make room, %s: %m", path);
}

void reserve_close(struct reserve *r)
{
    close_fd(&r->fd);
}

void reserve_use(struct reserve *r)
{
    struct statvfs st;

    if (!is_full(r) || fstatvfs(r->fd, &st) < 0
        || (uint64_t)st.f_bavail * st.f_frsize >= RESERVE_BYTES)
        return;
    set_full(r, false);
    if (ftruncate(r->fd, 0) < 0)
        log_warn("the space kept for calls that make room: %m");
    else
        log_warn("the disk is full: space that was kept is used to make room");
}

bool reserve_keep(struct reserve *r)
{
    return r->unfit || is_full(r) || take(r) || !no_space(errno);
}
