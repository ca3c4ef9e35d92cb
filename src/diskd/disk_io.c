/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata alone passes through here, in pieces of some KiB, so a buffer per call costs nothing that counts.
 * Nobody else writes to the same sectors meanwhile. Thread: any. */
#include "diskd/disk_io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"

#define ALIGN UINT64_C(512)

bool disk_io_direct(int fd)
{
    int flags = fcntl(fd, F_GETFL);
#ifdef STATX_DIOALIGN
    struct statx st;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) == 0
        && (st.stx_mask & STATX_DIOALIGN)
        && (st.stx_dio_offset_align == 0 || st.stx_dio_offset_align > ALIGN))
        return false;
#endif
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_DIRECT) < 0)
        return false;
    /* Older kernels do not say: a read of one sector does. */
    void *p = NULL;
    if (posix_memalign(&p, 4096, 4096) != 0)
        return true;
    bool ok = pread(fd, p, ALIGN, 0) >= 0 || errno != EINVAL;
    free(p);
    if (!ok)
        (void)fcntl(fd, F_SETFL, flags & ~O_DIRECT);
    return ok;
}

static int dio_open(void *ctx, const char *path, unsigned flags)
{
    int fd = vhd_io_posix.ops->open(ctx, path, flags);

    if (fd >= 0)
        (void)disk_io_direct(fd);
    return fd;
}

static void dio_close(void *ctx, int handle)
{
    vhd_io_posix.ops->close(ctx, handle);
}

static int dio_size(void *ctx, int handle, uint64_t *bytes_out)
{
    return vhd_io_posix.ops->size(ctx, handle, bytes_out);
}

static bool aligned(const void *p, size_t len, uint64_t offset)
{
    return (((uintptr_t)p | len | offset) & (ALIGN - 1)) == 0;
}

static int dio_pread(void *ctx, int handle, void *p, size_t len, uint64_t offset)
{
    void *copy = NULL;

    if (aligned(p, len, offset))
        return vhd_io_posix.ops->pread(ctx, handle, p, len, offset);
    uint64_t from = offset & ~(ALIGN - 1);
    size_t all = (size_t)((offset + len - from + ALIGN - 1) & ~(ALIGN - 1));
    int rc = posix_memalign(&copy, 4096, all);
    if (rc != 0) {
        errno = rc;
        return -1;
    }
    rc = vhd_io_posix.ops->pread(ctx, handle, copy, all, from);
    if (rc == 0)
        memcpy(p, (uint8_t *)copy + (offset - from), len);
    free(copy);
    return rc;
}

static int dio_pwrite(void *ctx, int handle, const void *p, size_t len, uint64_t offset)
{
    void *copy = NULL;

    if (aligned(p, len, offset))
        return vhd_io_posix.ops->pwrite(ctx, handle, p, len, offset);
    uint64_t from = offset & ~(ALIGN - 1);
    size_t all = (size_t)((offset + len - from + ALIGN - 1) & ~(ALIGN - 1));
    int rc = posix_memalign(&copy, 4096, all);
    if (rc != 0) {
        errno = rc;
        return -1;
    }
    /* Parts of sectors: the rest of them stays. */
    if (all != len)
        rc = vhd_io_posix.ops->pread(ctx, handle, copy, all, from);
    memcpy((uint8_t *)copy + (offset - from), p, len);
    if (rc == 0)
        rc = vhd_io_posix.ops->pwrite(ctx, handle, copy, all, from);
    free(copy);
    return rc;
}

static int dio_allocate(void *ctx, int handle, uint64_t offset, uint64_t len)
{
    return vhd_io_posix.ops->allocate(ctx, handle, offset, len);
}

static int dio_punch(void *ctx, int handle, uint64_t offset, uint64_t len)
{
    return vhd_io_posix.ops->punch(ctx, handle, offset, len);
}

static int dio_ftruncate(void *ctx, int handle, uint64_t bytes)
{
    return vhd_io_posix.ops->ftruncate(ctx, handle, bytes);
}

static int dio_fsync(void *ctx, int handle)
{
    return vhd_io_posix.ops->fsync(ctx, handle);
}

static int dio_rename(void *ctx, const char *from, const char *to)
{
    return vhd_io_posix.ops->rename(ctx, from, to);
}

static int dio_link(void *ctx, const char *from, const char *to)
{
    return vhd_io_posix.ops->link(ctx, from, to);
}

static int dio_unlink(void *ctx, const char *path)
{
    return vhd_io_posix.ops->unlink(ctx, path);
}

static int dio_fsync_dir(void *ctx, const char *path)
{
    return vhd_io_posix.ops->fsync_dir(ctx, path);
}

static const struct vhd_io_ops dio_ops = {
    .open = dio_open,
    .close = dio_close,
    .size = dio_size,
    .pread = dio_pread,
    .pwrite = dio_pwrite,
    .allocate = dio_allocate,
    .punch = dio_punch,
    .ftruncate = dio_ftruncate,
    .fsync = dio_fsync,
    .rename = dio_rename,
    .link = dio_link,
    .unlink = dio_unlink,
    .fsync_dir = dio_fsync_dir,
};

const struct vhd_io disk_io = { .ops = &dio_ops };
