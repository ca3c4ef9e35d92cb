/* SPDX-License-Identifier: Apache-2.0 */
/* The client of serai-rootd, and what stands in for it without rights. A connection carries one request, so calls from
 * many threads need no lock, and a rootd that was restarted is not noticed. Thread: any; root_connect before all others. */
#include "host/root.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/parse.h"

#define CALL_US (60 * US_PER_SEC)
#define FDS_MAX 64

/* Without rights */

static int none_spawn(const struct root_vm *vm, struct proc *proc_out, struct err *err)
{
    struct proc_spec ps = { .argv = vm->argv,
                            .fds = vm->fds,
                            .n_fds = vm->n_fds,
                            .cwd = vm->cwd,
                            .pid_fd = vm->pid_fd,
                            .session = true };

    if (proc_start(&ps, proc_out) == 0)
        return 0;
    err_set(err, ERR_BOOTLOADER_FAILED, vm->uuid, "QEMU cannot be run");
    return err_detail(err, "%s: %m", vm->argv[0]);
}

static int none_end(const char *uuid, const struct proc *proc, struct err *err)
{
    if (!proc || proc_kill(proc, SIGKILL) == 0 || errno == ESRCH)
        return 0;
    err_set(err, ERR_INTERNAL_ERROR, "QEMU cannot be ended");
    return err_detail(err, "machine %s, pid %d: %m", uuid, (int)proc->pid);
}

static int none_authenticate(const char *user UNUSED, const char *password UNUSED,
                             const char *from UNUSED, bool *right_out,
                             struct err *err UNUSED)
{
    *right_out = false;
    return 0;
}

static const struct root_ops none = { .spawn = none_spawn,
                                      .end = none_end,
                                      .authenticate = none_authenticate };

/* Through rootd */

static struct {
    const struct root_ops *ops;
    char *socket;
} root = { .ops = &none };

#define SILENT "serai-rootd does not answer; see whether it runs"

static int open_socket(void)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    struct timeval wait = { .tv_sec = CALL_US / US_PER_SEC };
    size_t len = strlen(root.socket);
    AUTO(close_fd) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (len >= sizeof(sa.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(sa.sun_path, root.socket, len + 1);
    /* connect() waits for room in the backlog; only this bounds it */
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) < 0
        || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
        return -1;
    return TAKE_FD(fd);
}

static int receive(int fd, struct root_reply *r)
{
    struct deadline d = deadline_in(CALL_US);
    size_t n_fds = 1;
    ssize_t n;

    if (deadline_poll(&d, fd, POLLIN) < 0)
        return -1;
    n = io_recv_fds(fd, r->text, sizeof(r->text), &r->fd, &n_fds);
    if (n_fds == 0 || n <= 0)
        r->fd = -1;
    errno = n == 0 ? ECONNRESET : errno;
    if (n <= 0)
        return -1;
    if (!fields_parse(r->text, (size_t)n, r->fields, ROOT_REPLY_FIELDS_MAX, &r->n)) {
        close_fd(&r->fd);
        errno = EBADMSG;
        return -1;
    }
    return 0;
}

int root_ask(const struct buf *request, const int *fds, size_t n_fds, struct root_reply *r,
             const char **why_out)
{
    AUTO(close_fd) int fd = open_socket();

    r->fd = -1;
    if (fd < 0 || io_send_fds(fd, request->data, request->len, fds, n_fds) < 0
        || receive(fd, r) < 0)
        return -1;
    *why_out = fields_get(r->fields, r->n, "ok") ? NULL
                                                 : fields_get(r->fields, r->n, "error");
    if (!*why_out && !fields_get(r->fields, r->n, "ok"))
        *why_out = "an answer without a meaning";
    return 0;
}

/* The jailed process is another user, which passes no directory but must be able to read the file. */
static bool readable_by_all(int fd)
{
    struct stat st;

    return fd < 0
           || (fstat(fd, &st) == 0
               && ((st.st_mode & S_IROTH)
                   || fchmod(fd, (st.st_mode & 0777) | S_IROTH) == 0));
}

static size_t add_fds(struct buf *b, const struct root_vm *vm, int *fds)
{
    const struct {
        const char *place;
        int fd;
    } named[] = { { "pid", vm->pid_fd },
                  { "kernel", vm->kernel },
                  { "initrd", vm->initrd },
                  { "state", vm->state > 0 ? vm->state : -1 },
                  { "disks", vm->disks > 0 ? vm->disks : -1 } };

    size_t n = 0;

    for (size_t i = 0; i < vm->n_fds; i++) {
        fields_add_u64(b, "fd", (uint64_t)vm->fds[i].target);
        fds[n++] = vm->fds[i].fd;
    }
    for (size_t i = 0; i < ARRAY_SIZE(named); i++) {
        if (named[i].fd >= 0) {
            fields_add(b, "fd", named[i].place);
            fds[n++] = named[i].fd;
        }
    }
    return n;
}

static int jail_spawn(const struct root_vm *vm, struct proc *proc_out, struct err *err)
{
    AUTO(buf_done) struct buf b = BUF_INIT(ROOT_REQUEST_MAX);
    AUTO(free_ptr) struct root_reply *r = mem_alloc(sizeof(*r));
    const char *why = NULL, *pid_text;
    int fds[FDS_MAX];
    int64_t pid;
    size_t n;

    if (!readable_by_all(vm->kernel) || !readable_by_all(vm->initrd))
        return err_set(err, ERR_BOOTLOADER_FAILED, vm->uuid,
                       "The kernel or ramdisk is not readable for all users");
    fields_add(&b, "verb", "spawn_vm");
    fields_add(&b, "uuid", vm->uuid);
    fields_add_u64(&b, "memory_max", vm->memory_max);
    fields_add(&b, "kvm", vm->kvm ? "yes" : "no");
    if (vm->program)
        fields_add(&b, "program", vm->program);
    for (const char *const *a = vm->argv + 1; *a; a++)
        fields_add(&b, "arg", *a);
    if (vm->n_fds + 5 > FDS_MAX || (n = add_fds(&b, vm, fds), buf_overflow(&b)))
        return err_set(err, ERR_BOOTLOADER_FAILED, vm->uuid, "The machine is too large");
    if (root_ask(&b, fds, n, r, &why) < 0) {
        int saved = errno;

        err_set(err, ERR_BOOTLOADER_FAILED, vm->uuid, SILENT);
        errno = saved;
        return err_detail(err, "%s: %m", root.socket);
    }
    pid_text = fields_get(r->fields, r->n, "pid");
    if (!why && (r->fd < 0 || !pid_text || !parse_range(pid_text, 1, INT32_MAX, &pid)))
        why = "an answer without a process";
    if (why) {
        AUTO(free_str)
        char *text = str_fmt("%s cannot be run: serai-rootd: %s",
                             vm->program ? vm->program : "QEMU", why);

        close_fd(&r->fd);
        return err_set(err, ERR_BOOTLOADER_FAILED, vm->uuid, text);
    }
    *proc_out = (struct proc){ .pid = (pid_t)pid, .pidfd = r->fd };
    return 0;
}

static int jail_end(const char *uuid, const struct proc *proc UNUSED, struct err *err)
{
    AUTO(buf_done) struct buf b = BUF_INIT(ROOT_REQUEST_MAX);
    AUTO(free_ptr) struct root_reply *r = mem_alloc(sizeof(*r));
    const char *why = NULL;

    fields_add(&b, "verb", "end_vm");
    fields_add(&b, "uuid", uuid);
    if (root_ask(&b, NULL, 0, r, &why) < 0) {
        int saved = errno;

        err_set(err, ERR_VM_SHUTDOWN_TIMEOUT, uuid, "60");
        errno = saved;
        return err_detail(err, SILENT ": %s: %m", root.socket);
    }
    close_fd(&r->fd);
    if (!why)
        return 0;
    err_set(err, ERR_VM_SHUTDOWN_TIMEOUT, uuid, "60");
    return err_detail(err, "QEMU cannot be ended: serai-rootd: %s", why);
}

static int jail_authenticate(const char *user, const char *password, const char *from,
                             bool *right_out, struct err *err)
{
    AUTO(buf_done) struct buf b = BUF_INIT(ROOT_REQUEST_MAX);
    AUTO(free_ptr) struct root_reply *r = mem_alloc(sizeof(*r));
    const char *why = NULL;
    int rc;

    IGNORE(buf_reserve(&b, strlen(user) + strlen(password) + 512)); /* one place to wipe */
    fields_add(&b, "verb", "pam_auth");
    fields_add(&b, "user", user);
    fields_add(&b, "password", password);
    if (from)
        fields_add(&b, "from", from);
    rc = root_ask(&b, NULL, 0, r, &why);
    explicit_bzero(b.data, b.len);
    if (rc < 0) {
        int saved = errno;

        err_set(err, ERR_AUTH_SERVICE_ERROR, SILENT);
        errno = saved;
        return err_detail(err, "%s: %m", root.socket);
    }
    close_fd(&r->fd);
    /* What rootd refuses (a name or password beyond its bounds) is nobody's password. */
    *right_out = !why && str_eq(fields_get(r->fields, r->n, "answer"), "ok");
    return 0;
}

static int jail_power(bool reboot, struct err *err)
{
    AUTO(buf_done) struct buf b = BUF_INIT(ROOT_REQUEST_MAX);
    AUTO(free_ptr) struct root_reply *r = mem_alloc(sizeof(*r));
    const char *why = NULL;

    fields_add(&b, "verb", "host_power");
    fields_add(&b, "action", reboot ? "reboot" : "poweroff");
    if (root_ask(&b, NULL, 0, r, &why) < 0)
        return err_set(err, ERR_OPERATION_NOT_ALLOWED, SILENT);
    close_fd(&r->fd);
    return why ? err_set(err, ERR_OPERATION_NOT_ALLOWED, why) : 0;
}

static const struct root_ops jail = { .jailed = true,
                                      .spawn = jail_spawn,
                                      .end = jail_end,
                                      .authenticate = jail_authenticate,
                                      .power = jail_power };

const struct root_ops *root_get(void)
{
    return root.ops;
}

int root_connect(const char *socket, struct err *err)
{
    AUTO(close_fd) int fd = -1;

    free(root.socket);
    root.socket = str_dup(socket);
    fd = open_socket();
    if (fd < 0) {
        int saved = errno;

        err_set(err, ERR_HOST_OFFLINE, "");
        errno = saved;
        return err_detail(err, "%s: %m", socket);
    }
    root.ops = &jail;
    return 0;
}
