/* SPDX-License-Identifier: Apache-2.0 */
/* Reading, writing, and what makes files durable. Sockets are in io_sock.c. Thread: any. */
#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/uuid.h"

#define TREE_DEPTH_MAX 128 /* each level of io_remove_tree keeps a descriptor open */

ssize_t io_read(int fd, void *p, size_t len, const struct deadline *d)
{
    for (;;) {
        if (deadline_poll(d, fd, POLLIN) < 0)
            return -1;
        ssize_t n = read(fd, p, len);
        if (n >= 0 || (errno != EINTR && errno != EAGAIN))
            return n;
    }
}

int io_read_full(int fd, void *p, size_t len, const struct deadline *d)
{
    uint8_t *at = p;
    while (len > 0) {
        ssize_t n = io_read(fd, at, len, d);
        if (n < 0)
            return -1;
        if (n == 0) {
            errno = EPIPE;
            return -1;
        }
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

/* One write that does not block once poll said that there is room: a socket is told so, a blocking
 * pipe has room for PIPE_BUF bytes then (pipe(7)). A closed socket answers EPIPE, no signal. */
static ssize_t write_some(int fd, const void *p, size_t len)
{
    ssize_t n = send(fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0 || errno != ENOTSOCK)
        return n;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -1;
    return write(fd, p, S_ISREG(st.st_mode) ? len : MIN(len, (size_t)PIPE_BUF));
}

int io_write_full(int fd, const void *p, size_t len, const struct deadline *d)
{
    const uint8_t *at = p;
    while (len > 0) {
        if (deadline_poll(d, fd, POLLOUT) < 0)
            return -1;
        ssize_t n = write_some(fd, at, len);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return -1;
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

int io_pread_full(int fd, void *p, size_t len, uint64_t offset)
{
    uint8_t *at = p;
    while (len > 0) {
        ssize_t n = pread(fd, at, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = EPIPE;
        if (n <= 0)
            return -1;
        at += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

int io_pwrite_full(int fd, const void *p, size_t len, uint64_t offset)
{
    const uint8_t *at = p;
    while (len > 0) {
        ssize_t n = pwrite(fd, at, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = EIO;
        if (n <= 0)
            return -1;
        at += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

static int read_to_end(int fd, struct buf *out)
{
    char chunk[8192];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return (int)n;
        buf_add(out, chunk, (size_t)n);
        if (buf_overflow(out)) {
            errno = EFBIG;
            return -1;
        }
    }
}

int io_read_file(const char *path, struct buf *out)
{
    AUTO(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    AUTO(buf_done)
    struct buf got = BUF_INIT(out->max ? out->max - MIN(out->len, out->max) : 0);
    if (out->max && got.max == 0) {
        errno = EFBIG;
        return -1;
    }
    if (read_to_end(fd, &got) < 0)
        return -1;
    buf_add(out, buf_str(&got), got.len);
    return 0;
}

/* The directory part of path, "." if it has none. Given. */
static char *dir_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return str_dup(".");
    return slash == path ? str_dup("/") : str_dupn(path, (size_t)(slash - path));
}

int io_fsync_dir(const char *path)
{
    AUTO(close_fd) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -1 : fsync(fd);
}

static int write_durable(int fd, const void *p, size_t len, unsigned mode)
{
    if (fchmod(fd, (mode_t)mode) < 0 || io_pwrite_full(fd, p, len, 0) < 0)
        return -1;
    return fsync(fd);
}

int io_write_file(const char *path, const void *p, size_t len, unsigned mode)
{
    AUTO(free_str) char *temp = str_fmt("%s.XXXXXX", path);
    AUTO(close_fd) int fd = mkostemp(temp, O_CLOEXEC);
    if (fd < 0)
        return -1;
    if (write_durable(fd, p, len, mode) < 0 || rename(temp, path) < 0) {
        int saved = errno;
        (void)unlink(temp); /* the first error is the one to tell */
        errno = saved;
        return -1;
    }
    AUTO(free_str) char *dir = dir_of(path);
    return io_fsync_dir(dir);
}

static int make_dir(const char *path, unsigned mode)
{
    struct stat st;
    if (mkdir(path, (mode_t)mode) == 0)
        return 0;
    int saved = errno; /* EROFS and EACCES too may come for one that is there */
    if (stat(path, &st) == 0) {
        errno = ENOTDIR;
        return S_ISDIR(st.st_mode) ? 0 : -1;
    }
    errno = saved;
    return -1;
}

int io_mkdirs(const char *path, unsigned mode)
{
    AUTO(free_str) char *copy = str_dup(path);
    for (char *at = copy + (*copy == '/'); *at; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        if (make_dir(copy, mode) < 0)
            return -1;
        *at = '/';
    }
    return make_dir(copy, mode);
}

/* readdir with its three-way answer sorted out: 1 an entry, 0 the end, -1 an error. */
static int next_entry(DIR *dir, const char **name_out)
{
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(
            dir); // NOLINT(concurrency-mt-unsafe): a DIR of our own
        if (!e)
            return errno ? -1 : 0;
        if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
            continue;
        *name_out = e->d_name;
        return 1;
    }
}

void io_drop_file(const char *path)
{
    if (unlink(path) < 0 && errno != ENOENT)
        log_warn("%s: %m", path);
}

void io_each_uuid(const char *dir, void (*fn)(const char *uuid, void *arg), void *arg)
{
    DIR *d = opendir(dir);
    const char *name;
    struct uuid u;

    if (!d)
        return;
    while (next_entry(d, &name) > 0) {
        if (uuid_parse(name, &u))
            fn(name, arg);
    }
    (void)closedir(d);
}

static int remove_at(int dir_fd, const char *name, unsigned depth);

static int remove_entries(int dir_fd, unsigned depth)
{
    DIR *dir = fdopendir(dir_fd);
    if (!dir) {
        close_fd(&dir_fd);
        return -1;
    }
    const char *name;
    int rc;
    while ((rc = next_entry(dir, &name)) > 0) {
        rc = remove_at(dirfd(dir), name, depth);
        if (rc < 0)
            break;
    }
    int saved = errno;
    (void)closedir(dir); /* read only: nothing to lose */
    errno = saved;
    return rc;
}

static int remove_at(int dir_fd, const char *name, unsigned depth)
{
    if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -1;
    if (depth >= TREE_DEPTH_MAX) {
        errno = ELOOP;
        return -1;
    }
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    if (remove_entries(fd, depth + 1) < 0) // it closes fd
        return -1;
    return unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -1;
}

int io_remove_tree(const char *path)
{
    return remove_at(AT_FDCWD, path, 0);
}

int io_set_nonblock(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -1;
    return fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}
