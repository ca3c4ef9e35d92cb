/* SPDX-License-Identifier: Apache-2.0 */
/* The files of running machines. Whether a machine lives is asked of the lock, not of a pid: the kernel drops it with the
 * last process that inherited it, and a pid that came round again never holds it. Owns no state. */
#include "host/machine_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/vec.h"

#define TAIL_BYTES   2048
#define QEMU_LOG_MAX (256 << 10)
#define LAST_KEPT    64
#define PID_WAIT_US  US_PER_SEC
#define PID_RETRY_US (2 * US_PER_MS)

char *machine_dir_path(const char *runtime, const char *uuid, const char *name)
{
    return name ? str_fmt("%s/vm/%s/%s", runtime, uuid, name)
                : str_fmt("%s/vm/%s", runtime, uuid);
}

static int fail(struct err *err, const char *path)
{
    err_set(err, ERR_INTERNAL_ERROR, "The runtime directory cannot be written");
    return err_detail(err, "%s: %m", path);
}

int machine_dir_create(const char *runtime, const char *uuid, int *lock_fd_out,
                       struct err *err)
{
    AUTO(free_str) char *dir = machine_dir_path(runtime, uuid, NULL);
    AUTO(free_str) char *path = machine_dir_path(runtime, uuid, "lock");
    AUTO(close_fd) int fd = -1;

    machine_dir_remove(runtime, uuid);
    if (io_mkdirs(dir, 0700) < 0)
        return fail(err, dir);
    (void)FAILPOINT("machine.start.directory");
    fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return fail(err, path);
    *lock_fd_out = TAKE_FD(fd);
    return 0;
}

static bool locked(const char *path)
{
    AUTO(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

static bool read_pid(const char *path, struct proc *out)
{
    AUTO(buf_done) struct buf text = BUF_INIT(32);
    int64_t pid;

    if (io_read_file(path, &text) < 0 || text.len < 2 || text.data[text.len - 1] != '\n')
        return false;
    text.data[text.len - 1] = '\0';
    if (!parse_range(text.data, 2, INT32_MAX, &pid))
        return false;
    out->pid = (pid_t)pid;
    out->pidfd = pidfd_open((pid_t)pid, 0);
    return out->pidfd >= 0;
}

bool machine_dir_alive(const char *runtime, const char *uuid, struct proc *proc_out)
{
    AUTO(free_str) char *lock = machine_dir_path(runtime, uuid, "lock");
    AUTO(free_str) char *pid = machine_dir_path(runtime, uuid, "pid");
    struct deadline d = deadline_in(PID_WAIT_US);

    *proc_out = (struct proc){ .pid = -1, .pidfd = -1 };
    while (locked(lock)) {
        struct deadline retry = deadline_sooner(&d, PID_RETRY_US);

        if (read_pid(pid, proc_out)) {
            /* Still locked after pidfd_open: so it is the holder's pid, not one that came round again. */
            if (locked(lock))
                return true;
            proc_close(proc_out);
            *proc_out = (struct proc){ .pid = -1, .pidfd = -1 };
            return false;
        }
        if (deadline_passed(&d))
            return true;
        /* A child between fork and its first lines, whose parent was killed: microseconds. */
        (void)!deadline_poll(&retry, -1, 0);
    }
    return false;
}

/* Older logs beyond the limit go, the oldest first. */
static void trim_last(const char *dir)
{
    for (;;) {
        AUTO(free_str) char *oldest = NULL;
        int64_t oldest_time = INT64_MAX;
        size_t n = 0;
        const struct dirent *e;
        DIR *d = opendir(dir);

        if (!d)
            return;
        while ((e = readdir(d)) != NULL) {
            struct stat st;

            if (e->d_name[0] == '.'
                || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                continue;
            n++;
            if (st.st_mtime < oldest_time) {
                oldest_time = st.st_mtime;
                free(oldest);
                oldest = str_fmt("%s/%s", dir, e->d_name);
            }
        }
        (void)closedir(d);
        if (n <= LAST_KEPT || !oldest || unlink(oldest) < 0)
            return;
    }
}

static void keep_serial_log(const char *runtime, const char *uuid)
{
    AUTO(free_str) char *log = machine_dir_path(runtime, uuid, "serial.log");
    AUTO(free_str) char *dir = str_fmt("%s/vm-last", runtime);
    AUTO(free_str) char *kept = str_fmt("%s/%s.serial.log", dir, uuid);
    struct stat st;

    if (lstat(log, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
        return;
    if (io_mkdirs(dir, 0700) < 0 || rename(log, kept) < 0)
        log_debug("%s: %m", kept);
    trim_last(dir);
}

void machine_dir_remove(const char *runtime, const char *uuid)
{
    AUTO(free_str) char *dir = machine_dir_path(runtime, uuid, NULL);

    keep_serial_log(runtime, uuid);
    (void)FAILPOINT("machine.remove.log_kept");
    if (io_remove_tree(dir) < 0)
        log_warn("%s: %m", dir);
}

char *machine_dir_log_tail(const char *runtime, const char *uuid)
{
    AUTO(free_str) char *path = machine_dir_path(runtime, uuid, "qemu.log");
    AUTO(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char text[TAIL_BYTES + 1];
    off_t end = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
    size_t from = end > TAIL_BYTES ? (size_t)end - TAIL_BYTES : 0;
    size_t n = end > 0 ? (size_t)end - from : 0;

    if (n == 0 || io_pread_full(fd, text, n, from) < 0)
        return str_dup("");
    while (n > 0 && text[n - 1] == '\n')
        n--;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < ' ' || (unsigned char)text[i] > '~')
            text[i] = text[i] == '\n' ? ' ' : '?';
    return str_dupn(text, n);
}

void machine_dir_trim_log(const char *runtime, const char *uuid)
{
    AUTO(free_str) char *path = machine_dir_path(runtime, uuid, "qemu.log");
    struct stat st;

    /* QEMU appends, so it goes on at the new end. */
    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > QEMU_LOG_MAX
        && truncate(path, 0) < 0)
        log_debug("%s: %m", path);
}

int machine_dir_each(const char *runtime, void (*fn)(const char *uuid, void *arg),
                     void *arg, struct err *err)
{
    AUTO(free_str) char *dir = str_fmt("%s/vm", runtime);
    VEC(char *) names = { 0 };
    const struct dirent *e;
    DIR *d = opendir(dir);

    if (!d)
        return errno == ENOENT ? 0 : fail(err, dir);
    while ((e = readdir(d)) != NULL)
        if (!str_eq(e->d_name, ".") && !str_eq(e->d_name, ".."))
            vec_push(&names, str_dup(e->d_name));
    (void)closedir(d);
    for (size_t i = 0; i < names.n; i++) {
        struct uuid u;

        if (uuid_parse(names.v[i], &u)) {
            fn(names.v[i], arg);
        } else {
            AUTO(free_str) char *path = str_fmt("%s/%s", dir, names.v[i]);

            if (io_remove_tree(path) < 0)
                log_warn("%s: %m", path);
        }
        free(names.v[i]);
    }
    vec_done(&names);
    return 0;
}

int machine_dir_write(const char *runtime, const char *uuid, const char *name,
                      const char *text, struct err *err)
{
    AUTO(free_str) char *path = machine_dir_path(runtime, uuid, name);
    struct deadline d = deadline_never();
    AUTO(close_fd)
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0 || (text[0] && io_write_full(fd, text, strlen(text), &d) < 0))
        return fail(err, path);
    return 0;
}

bool machine_dir_has(const char *runtime, const char *uuid, const char *name)
{
    AUTO(free_str) char *path = machine_dir_path(runtime, uuid, name);

    return access(path, F_OK) == 0;
}
