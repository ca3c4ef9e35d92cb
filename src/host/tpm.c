/* SPDX-License-Identifier: Apache-2.0 */
/* The file is locked by an open description that swtpm inherits: while one of the last run still writes its end down, the
 * next one waits. In a jail another uid has to open the file, which lies in a directory that only we may pass.
 * A process of ours that has ended is collected on the machine thread. */
#include "host/tpm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "host/machine_reg.h"
#include "host/root.h"

#define SWTPM       "/usr/bin/swtpm"
#define STATE_MAX   (1U << 20)
#define LOCK_US     (10 * US_PER_SEC)
#define RETRY_US    (5 * US_PER_MS)
#define FD_CONTROL  3
#define FD_LOCK     4
#define MEMORY_MAX_ (UINT64_C(256) << 20)

static char *path_of(const char *state_dir, const char *uuid)
{
    return str_fmt("%s/tpm/%s", state_dir, uuid);
}

static int cannot(const char *path, struct err *err)
{
    (void)err_set(err, ERR_INTERNAL_ERROR, "the state of a TPM cannot be kept");
    return err_detail(err, "%s: %m", path);
}

int tpm_make(const char *state_dir, const char *uuid, const char *from, struct err *err)
{
    AUTO(free_str) char *dir = str_fmt("%s/tpm", state_dir);
    AUTO(free_str) char *path = path_of(state_dir, uuid);
    AUTO(free_str) char *other = from ? path_of(state_dir, from) : NULL;
    AUTO(buf_done) struct buf state = BUF_INIT(STATE_MAX);

    if (access(path, F_OK) == 0)
        return 0;
    if (other && io_read_file(other, &state) < 0)
        return cannot(other, err);
    if (io_mkdirs(dir, 0700) < 0
        || io_write_file(path, state.len ? state.data : "", state.len, 0600) < 0)
        return cannot(path, err);
    return 0;
}

/* Errors as errno. */
static int lock(int fd)
{
    struct deadline d = deadline_in(LOCK_US);

    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        struct deadline retry = deadline_sooner(&d, RETRY_US);

        if (errno != EWOULDBLOCK || deadline_passed(&d))
            return -1;
        (void)!deadline_poll(&retry, -1, 0);
    }
    return 0;
}

struct child {
    struct proc proc;
};

static void collect(void *arg, uint32_t events)
{
    struct child *c = arg;
    struct deadline now = deadline_in(US_PER_SEC);

    (void)events;
    loop_del(machine_reg_loop(), c->proc.pidfd);
    if (proc_wait(&c->proc, &now, NULL) < 0)
        log_debug("a TPM's end: %m");
    proc_close(&c->proc);
    free_ptr(&c);
}

static void watch(void *arg)
{
    struct child *c = arg;

    if (loop_add(machine_reg_loop(), c->proc.pidfd, EPOLLIN, collect, c) < 0)
        log_warn("a TPM's process: %m");
}

static int run(const char *path, const char *uuid, int control, int state, struct err *err)
{
    bool jailed = root_get()->jailed;
    AUTO(free_str) char *uri = str_fmt("backend-uri=file://%s", jailed ? ROOT_STATE : path);
    AUTO(free_str) char *ctrl = str_fmt("type=unixio,clientfd=%d", FD_CONTROL);
    const char *const argv[] = { SWTPM,    "socket", "--tpm2",      "--tpmstate", uri,
                                 "--ctrl", ctrl,     "--terminate", NULL };
    const struct proc_fd fds[] = { { control, FD_CONTROL }, { state, FD_LOCK } };
    struct root_vm vm = { .uuid = uuid,
                          .program = ROOT_SWTPM,
                          .argv = argv,
                          .fds = fds,
                          .n_fds = ARRAY_SIZE(fds),
                          .pid_fd = -1,
                          .cwd = "/",
                          .kernel = -1,
                          .initrd = -1,
                          .state = jailed ? state : 0,
                          .memory_max = MEMORY_MAX_ };
    struct proc proc;

    if (root_get()->spawn(&vm, &proc, err) < 0)
        return -1;
    if (jailed) {
        proc_close(&proc);
        return 0;
    }
    struct child *c = mem_alloc(sizeof(*c));
    c->proc = proc;
    loop_post(machine_reg_loop(), watch, c);
    return 0;
}

int tpm_start(const char *state_dir, const char *uuid, const char *vm_uuid, int *fd_out,
              struct err *err)
{
    AUTO(free_str) char *path = path_of(state_dir, uuid);
    AUTO(close_fd) int state = -1, ours = -1, theirs = -1;
    AUTO(err_done) struct err cause = { 0 };
    int pair[2];

    if (access(SWTPM, X_OK) < 0)
        return err_set(err, ERR_BOOTLOADER_FAILED, vm_uuid,
                       "virtual TPMs need the package swtpm, which is not installed");
    tpm_end(uuid);
    state = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (state < 0 || (root_get()->jailed && fchmod(state, 0666) < 0) || lock(state) < 0
        || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        AUTO(free_str) char *text = str_fmt("the TPM's state %s: %m", path);

        return err_set(err, ERR_BOOTLOADER_FAILED, vm_uuid, text);
    }
    ours = pair[0];
    theirs = pair[1];
    if (run(path, uuid, theirs, state, &cause) < 0) {
        AUTO(free_str)
        char *text = str_fmt("the TPM does not start: %s", cause.detail ? cause.detail
                                                           : cause.n_params > 1
                                                               ? cause.params[1]
                                                               : cause.code);

        return err_set(err, ERR_BOOTLOADER_FAILED, vm_uuid, text);
    }
    *fd_out = TAKE_FD(ours);
    return 0;
}

void tpm_end(const char *uuid)
{
    AUTO(err_done) struct err err = { 0 };

    if (root_get()->jailed && root_get()->end(uuid, NULL, &err) < 0)
        log_warn("TPM %s: %s", uuid, err.detail ? err.detail : err.code);
}

void tpm_remove(const char *state_dir, const char *uuid)
{
    AUTO(free_str) char *path = path_of(state_dir, uuid);

    tpm_end(uuid);
    io_drop_file(path);
}

void tpm_each(const char *state_dir, void (*fn)(const char *uuid, void *arg), void *arg)
{
    AUTO(free_str) char *dir = str_fmt("%s/tpm", state_dir);

    io_each_uuid(dir, fn, arg);
}
