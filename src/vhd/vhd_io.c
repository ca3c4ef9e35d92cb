/* SPDX-License-Identifier: Apache-2.0 */
/* The table over POSIX files. Handles are descriptors. Nothing here knows the format. Thread: any. */
#include "vhd/vhd_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "api/errors.h"
#include "base/io.h"
#include "base/mem.h"

#define WRITE_EARLY ((size_t)256 << 10)

int vhd_io_bad(struct err *err, const char *status, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    AUTO(free_str) char *text = str_vfmt(fmt, ap);
    va_end(ap);
    (void)err_set(err, ERR_SR_BACKEND_FAILURE, status, "", text);
    return err_detail(err, "%s", text);
}

int vhd_io_failed(struct err *err, const char *doing, const char *path)
{
    int saved = errno;
    const char *name = strerrorname_np(saved);

    errno = saved;
    AUTO(free_str) char *text = str_fmt("%s %s: %m", doing, path);
    (void)err_set(err, ERR_SR_BACKEND_FAILURE, name ? name : "EIO", "", text);
    return err_detail(err, "%s", text);
}

#ifdef VHD_PLANT
long vhd_io_alloc_fails; /* the n-th allocation from now; 0: none */
#    define ALLOC_FAILS (vhd_io_alloc_fails && --vhd_io_alloc_fails == 0)
#else
#    define ALLOC_FAILS (false)
#endif

void *vhd_io_alloc(size_t count, size_t size, struct err *err)
{
    void *p = ALLOC_FAILS ? NULL : calloc(count ? count : 1, size);

    if (!p)
        (void)vhd_io_bad(err, "ENOMEM", "there is no memory for %zu times %zu bytes", count,
                         size);
    return p;
}

static int px_open(void *ctx, const char *path, unsigned flags)
{
    int how = (flags & VHD_IO_WRITE) ? O_RDWR : O_RDONLY;
    struct stat st;

    if (flags & VHD_IO_CREATE)
        how |= O_CREAT | O_EXCL;
    /* Not blocking: a FIFO in place of an image must not hold us up. */
    AUTO(close_fd) int fd = open(path, how | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0660);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -1;
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
        errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
        return -1;
    }
    return TAKE_FD(fd);
}

static void px_close(void *ctx, int handle)
{
    close_fd(&handle);
}

static int px_size(void *ctx, int handle, uint64_t *bytes_out)
{
    struct stat st;

    if (fstat(handle, &st) < 0)
        return -1;
    if (S_ISBLK(st.st_mode))
        return ioctl(handle, BLKGETSIZE64, bytes_out);
    *bytes_out = (uint64_t)st.st_size;
    return 0;
}

static int px_pread(void *ctx, int handle, void *p, size_t len, uint64_t offset)
{
    uint8_t *at = p;

    while (len) {
        ssize_t n = pread(handle, at, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0) {
            memset(at, 0, len);
            return 0;
        }
        at += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

static int px_pwrite(void *ctx, int handle, const void *p, size_t len, uint64_t offset)
{
    int rc = io_pwrite_full(handle, p, len, offset);

    /* Large pieces start on their way at once, beside what is read next; only fsync promises anything. */
    if (rc == 0 && len >= WRITE_EARLY)
        IGNORE(sync_file_range(handle, (off_t)offset, (off_t)len, SYNC_FILE_RANGE_WRITE));
    return rc;
}

static int px_allocate(void *ctx, int handle, uint64_t offset, uint64_t len)
{
    uint64_t size;
    int rc;

    do
        rc = fallocate(handle, 0, (off_t)offset, (off_t)len);
    while (rc < 0 && errno == EINTR);
    if (rc == 0 || errno != EOPNOTSUPP)
        return rc;
    if (px_size(ctx, handle, &size) < 0)
        return -1;
    return size >= offset + len ? 0 : ftruncate(handle, (off_t)(offset + len));
}

/* For file systems that cannot punch. */
static int write_zeros(int handle, uint64_t offset, uint64_t len)
{
    static const uint8_t zeros[65536];
    uint64_t size;

    if (px_size(NULL, handle, &size) < 0)
        return -1;
    uint64_t end = MIN(offset + len, size);
    while (offset < end) {
        size_t n = (size_t)MIN(end - offset, (uint64_t)sizeof(zeros));
        if (io_pwrite_full(handle, zeros, n, offset) < 0)
            return -1;
        offset += n;
    }
    return 0;
}

static int px_punch(void *ctx, int handle, uint64_t offset, uint64_t len)
{
    int rc;

    do
        rc = fallocate(handle, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                       (off_t)len);
    while (rc < 0 && errno == EINTR);
    return rc < 0 && errno == EOPNOTSUPP ? write_zeros(handle, offset, len) : rc;
}

static int px_ftruncate(void *ctx, int handle, uint64_t bytes)
{
    return ftruncate(handle, (off_t)bytes);
}

static int px_fsync(void *ctx, int handle)
{
    return fdatasync(handle);
}

static int px_rename(void *ctx, const char *from, const char *to)
{
    return rename(from, to);
}

/* A file system without links can move without replacing, which serves the same end. */
static int px_link(void *ctx, const char *from, const char *to)
{
    if (link(from, to) == 0)
        return 0;
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK)
        return -1;
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
}

static int px_unlink(void *ctx, const char *path)
{
    return unlink(path);
}

static int px_fsync_dir(void *ctx, const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return io_fsync_dir(".");
    AUTO(free_str) char *dir = str_dupn(path, slash == path ? 1 : (size_t)(slash - path));
    return io_fsync_dir(dir);
}

static const struct vhd_io_ops posix_ops = {
    .open = px_open,
    .close = px_close,
    .size = px_size,
    .pread = px_pread,
    .pwrite = px_pwrite,
    .allocate = px_allocate,
    .punch = px_punch,
    .ftruncate = px_ftruncate,
    .fsync = px_fsync,
    .rename = px_rename,
    .link = px_link,
    .unlink = px_unlink,
    .fsync_dir = px_fsync_dir,
};

const struct vhd_io vhd_io_posix = { .ops = &posix_ops };
