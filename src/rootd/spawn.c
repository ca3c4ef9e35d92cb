/* SPDX-License-Identifier: Apache-2.0 */
/* Starting and ending a VM's hypervisor. A start goes: uid, cgroup, child in new namespaces; the child builds its root
 * while we write its pid down and put it into its cgroup; then it drops everything and becomes the program. It waits for
 * our word before that, so it never runs outside its cgroup, and goes when we go.
 *
 * spawn_end_vm is the one way out, of a start that failed too. Runs in the process made for the request. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/privileges.h"
#include "base/uuid.h"
#include "rootd/rootd.h"
#include "rootd/uids.h"

#define END_US         (15 * US_PER_SEC)
#define FD_MIN_HIGH    512 /* where descriptors are kept until each has its number */
#define FILES_MAX      4096
#define TASKS_MAX      2048
#define SERVICE_MEMORY (UINT64_C(256) << 20)
#define SERVICE_TASKS  16

struct spawn {
    const struct config *config;
    const struct request *request;
    const char *uuid;
    uint32_t uid;
    int pid_fd;
    bool service; /* on the host's own network, and nothing else of a machine */
    const struct jail *jail;
    const struct filter *filter;
    const char *program;
    char **argv;
    struct jail_extra extra;
    int places[REQUEST_FDS_MAX]; /* of each descriptor; -1: not for the child */
    int ours, childs;            /* a socket pair: our word, and the child's trouble */
    pid_t pid;
    int pidfd;
};

/* What the child could not do: a step's name and errno, as it sends them. */
struct trouble {
    int error;
    char step[120];
};

static int fail(struct buf *out, const char *what)
{
    buf_addf(out, "%s: %m", what);
    return -1;
}

/* Which descriptor is what. */
static int sort_fds(struct spawn *s)
{
    const struct request *r = s->request;
    size_t n = 0;

    s->pid_fd = -1;
    s->extra = (struct jail_extra){ -1, -1, -1, -1, -1, .kvm = false };
    for (size_t i = 0; i < r->n_fields; i++) {
        const char *place = r->fields[i].value;
        uint64_t number;
        int tree = 0; /* nothing of that kind */

        if (!str_eq(r->fields[i].name, "fd"))
            continue;
        s->places[n] = parse_u64(place, &number) ? (int)number : -1;
        if (str_eq(place, "pid"))
            s->pid_fd = r->fds[n];
        else if (str_eq(place, "kernel"))
            s->extra.kernel = tree = jail_detach(r->fds[n], false);
        else if (str_eq(place, "initrd"))
            s->extra.initrd = tree = jail_detach(r->fds[n], false);
        else if (str_eq(place, "state"))
            s->extra.state = tree = jail_detach(r->fds[n], false);
        else if (str_eq(place, "disks"))
            s->extra.disks = tree = jail_detach(r->fds[n], true);
        if (tree < 0)
            return -1;
        n++;
    }
    s->extra.kvm = str_eq(request_text(r, "kvm"), "yes");
    return 0;
}

/* The child, until it execs */

NORETURN static void child_fail(const struct spawn *s, const char *step)
{
    struct trouble t = { .error = errno };

    (void)snprintf(t.step, sizeof(t.step), "%s", step);
    (void)!write(s->childs, &t, sizeof(t));
    _exit(127);
}

static int keep_high(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, FD_MIN_HIGH);

    return copy;
}

/* Each descriptor at its place, 0 to 2 not named are /dev/null, all others closed at exec. */
static int place_fds(struct spawn *s, int null_fd)
{
    int high[REQUEST_FDS_MAX];

    s->childs = keep_high(s->childs);
    null_fd = keep_high(null_fd);
    if (s->childs < 0 || null_fd < 0)
        return -1;
    for (size_t i = 0; i < s->request->n_fds; i++) {
        high[i] = keep_high(s->request->fds[i]);
        if (high[i] < 0)
            return -1;
    }
    if (close_range(3, FD_MIN_HIGH - 1, 0) < 0)
        return -1;
    for (int std = 0; std < (s->service ? 2 : 3); std++)
        if (dup2(null_fd, std) < 0)
            return -1;
    for (size_t i = 0; i < s->request->n_fds; i++)
        if (s->places[i] >= 0 && dup2(high[i], s->places[i]) < 0)
            return -1;
    return 0;
}

static int set_limits(void)
{
    static const struct {
        int what;
        rlim_t max;
    } limits[] = { { RLIMIT_CORE, 0 },          { RLIMIT_NOFILE, FILES_MAX },
                   { RLIMIT_NPROC, TASKS_MAX }, { RLIMIT_MSGQUEUE, 0 },
                   { RLIMIT_RTPRIO, 0 },        { RLIMIT_NICE, 0 } };

    for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
        struct rlimit l = { limits[i].max, limits[i].max };

        if (setrlimit((__rlimit_resource_t)limits[i].what, &l) < 0)
            return -1;
    }
    return 0;
}

/* The rights of a service, on the network alone: ports below 1024, and NET_ADMIN, without which dnsmasq gives no addresses.
 * Before and after it is another user. */
static int keep_rights(bool after)
{
    static const unsigned rights[] = { CAP_NET_BIND_SERVICE, CAP_NET_ADMIN };
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = { { 0 } };

    if (syscall(SYS_capget, &header, data) < 0)
        return -1;
    data[0].inheritable = 1U << CAP_NET_BIND_SERVICE | 1U << CAP_NET_ADMIN;
    if (after) {
        data[0].permitted = data[0].effective = data[0].inheritable;
        data[1].permitted = data[1].effective = 0;
    }
    if (syscall(SYS_capset, &header, data) < 0)
        return -1;
    for (size_t i = 0; after && i < ARRAY_SIZE(rights); i++)
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, rights[i], 0, 0) < 0)
            return -1;
    return after ? 0 : prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
}

/* The node's group, for KVM; else none beside its own. */
static int set_ids(const struct spawn *s)
{
    struct stat st;
    gid_t group = 0;
    bool kvm = s->extra.kvm && stat("/dev/kvm", &st) == 0 && st.st_gid != 0;

    if (kvm)
        group = st.st_gid;
    return setgroups(kvm ? 1 : 0, &group) < 0 || (s->service && keep_rights(false) < 0)
                   || privileges_drop_bounding() < 0
                   || setresgid(s->uid, s->uid, s->uid) < 0
                   || setresuid(s->uid, s->uid, s->uid) < 0
                   || (s->service && keep_rights(true) < 0)
               ? -1
               : 0;
}

/* The node must be open to its group (Debian: kvm) or to all: a VM gets that group, but never root's. */
static bool kvm_is_open(void)
{
    struct stat st;

    if (stat("/dev/kvm", &st) < 0)
        return false;
    errno = EACCES;
    return (st.st_mode & 0006) == 0006 || ((st.st_mode & 0060) == 0060 && st.st_gid != 0);
}

static char **make_argv(const struct request *r, const char *program)
{
    char **argv = mem_array(r->n_fields + 2, sizeof(*argv));
    size_t n = 0;

    argv[n++] = str_dup(program);
    for (size_t i = 0; i < r->n_fields; i++)
        if (str_eq(r->fields[i].name, "arg"))
            argv[n++] = str_dup(r->fields[i].value);
    return argv;
}

NORETURN static void child_main(struct spawn *s)
{
    static const char *const env[] = { "PATH=/usr/bin", "HOME=/", "LANG=C.UTF-8", NULL };
    const struct config *c = s->config;
    AUTO(free_str) char *at = str_fmt("%s/root", c->run_dir);
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    sigset_t none;
    const char *step;
    char word;

    (void)signal(SIGPIPE, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)umask(022); /* the jail's directories are for its uid to pass */
    if (null_fd < 0 || setsid() < 0 || sethostname("vm", 2) < 0)
        child_fail(s, "session");
    step = jail_enter(s->jail, &s->extra, at);
    if (step)
        child_fail(s, step);
    (void)umask(077);
    if (read(s->childs, &word, 1) != 1) /* they went */
        _exit(127);
    if (place_fds(s, null_fd) < 0)
        child_fail(s, "descriptors");
    if (set_limits() < 0 || set_ids(s) < 0)
        child_fail(s, "ids");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || filter_install(s->filter) < 0)
        child_fail(s, "filter");
    (void)execve(s->program, s->argv, (char *const *)(uintptr_t)env);
    child_fail(s, s->program);
}

/* The parent */

static int clone_child(struct spawn *s, struct buf *out)
{
    struct clone_args args = { .flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC
                                        | (s->service ? 0U : CLONE_NEWNET) | CLONE_NEWUTS
                                        | CLONE_NEWCGROUP | CLONE_PIDFD,
                               .pidfd = (uint64_t)(uintptr_t)&s->pidfd,
                               .exit_signal = SIGCHLD };
    int pair[2];
    long pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return fail(out, "socketpair");
    s->ours = pair[0];
    s->childs = pair[1];
    pid = syscall(SYS_clone3, &args, sizeof(args));
    if (pid == 0) {
        close_fd(&s->ours); /* or it would hold its own end open */
        child_main(s);
    }
    close_fd(&s->childs);
    if (pid < 0)
        return fail(out, "clone");
    s->pid = (pid_t)pid;
    return 0;
}

static int write_pid(const struct spawn *s)
{
    AUTO(free_str) char *text = str_fmt("%d\n", (int)s->pid);
    ssize_t want = (ssize_t)strlen(text);

    return s->pid_fd < 0 || write(s->pid_fd, text, (size_t)want) == want ? 0 : -1;
}

/* Let it go, and hear what becomes of it: nothing at all when exec has closed its end. */
static int release_child(struct spawn *s, struct buf *out)
{
    struct trouble t = { 0 };
    ssize_t n;

    if (write(s->ours, "g", 1) != 1 && errno != EPIPE)
        return fail(out, "release");
    n = read(s->ours, &t, sizeof(t));
    if (n == 0)
        return 0;
    errno = n == (ssize_t)sizeof(t) ? t.error : EIO;
    t.step[sizeof(t.step) - 1] = '\0';
    return fail(out, t.step[0] ? t.step : "exec");
}

static int run(struct spawn *s, struct buf *out)
{
    const struct config *c = s->config;

    if (clone_child(s, out) < 0)
        return -1;
    if (write_pid(s) < 0)
        return fail(out, "pid file");
    if (cgroup_enter(&c->cgroup, s->uuid, s->pid) < 0)
        return fail(out, "cgroup");
    return release_child(s, out);
}

/* Two requests for the same VM do not mix, nor one with what a killed rootd left at work. A byte of one file stands for
 * the VM; the lock is this process's, not its child's, and goes with it. */
static int lock_vm(const struct config *c, const char *uuid)
{
    AUTO(free_str) char *path = str_fmt("%s/lock", c->run_dir);
    struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct uuid u;

    if (fd < 0 || !uuid_parse(uuid, &u))
        return -1;
    l.l_start = (off_t)(be64(u.b) & (INT64_MAX >> 1));
    return fcntl(fd, F_SETLKW, &l); /* open until the process ends */
}

static char *uids_dir(const struct config *c)
{
    return str_fmt("%s/uids", c->run_dir);
}

static int teardown(const struct config *c, const char *uuid)
{
    AUTO(free_str) char *dir = uids_dir(c);
    struct deadline d = deadline_in(END_US);

    return cgroup_end(&c->cgroup, uuid, &d) < 0 ? -1 : uids_release(dir, uuid);
}

static void undo(struct spawn *s)
{
    if (s->pid > 0) {
        (void)kill(s->pid, SIGKILL); /* our own child, not waited for yet */
        (void)waitpid(s->pid, NULL, 0);
    }
    IGNORE(teardown(s->config, s->uuid)); /* the caller ends it again, to be told */
}

static int start(struct spawn *s, const struct cgroup_limits *limits, struct buf *out,
                 int *fd_out)
{
    const struct config *c = s->config;
    AUTO(free_str) char *dir = uids_dir(c);

    if (uids_take(dir, s->uuid, c->uid_base, c->uid_count, &s->uid) < 0)
        return fail(out, "uid");
    if (cgroup_create(&c->cgroup, s->uuid, limits) < 0) {
        fail(out, "cgroup");
        undo(s);
        return -1;
    }
    if (run(s, out) < 0) {
        undo(s);
        return -1;
    }
    fields_add_u64(out, "pid", (uint64_t)s->pid);
    fields_add_u64(out, "uid", s->uid);
    *fd_out = s->pidfd;
    return 0;
}

int spawn_vm(const struct config *c, const struct request *r, struct buf *out, int *fd_out)
{
    struct spawn s = { .config = c,
                       .request = r,
                       .uuid = request_text(r, "uuid"),
                       .filter = &c->filter,
                       .pidfd = -1,
                       .ours = -1,
                       .childs = -1 };
    struct cgroup_limits limits = { request_u64(r, "memory_max", 0),
                                    request_u64(r, "cpu_weight", 0),
                                    request_u64(r, "pids_max", TASKS_MAX) };
    const char *program = request_text(r, "program");
    bool tpm = program && str_eq(program, "swtpm");

    s.program = tpm ? c->swtpm : c->qemu;
    s.argv = make_argv(r, s.program);
    s.jail = tpm ? &c->tpm_jail : &c->jail;
    errno = ENOENT;
    if (s.jail->n == 0)
        return fail(out, s.program);
    if (lock_vm(c, s.uuid) < 0)
        return fail(out, "lock");
    if (sort_fds(&s) < 0)
        return fail(out, "kernel");
    if (s.extra.kvm && !kvm_is_open())
        return fail(out, "/dev/kvm");
    return start(&s, &limits, out, fd_out);
}

int spawn_service(const struct config *c, const struct request *r, const char *id,
                  const char *program, char **argv, const struct filter *filter,
                  struct buf *out, int *fd_out)
{
    AUTO(free_str) char *name = str_fmt("%s%s", SPAWN_SERVICE, id);
    AUTO(close_fd) int resolver = open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC);
    struct jail jail = { 0 };
    struct spawn s = { .config = c,
                       .request = r,
                       .uuid = name,
                       .service = true,
                       .program = program,
                       .argv = argv,
                       .jail = &jail,
                       .filter = filter,
                       .extra = { -1, -1, -1, -1, -1, .random = true },
                       .pidfd = -1,
                       .ours = -1,
                       .childs = -1 };
    struct cgroup_limits limits = { SERVICE_MEMORY, 0, SERVICE_TASKS };

    s.pid_fd = -1;
    if (lock_vm(c, id) < 0)
        return fail(out, "lock");
    if (teardown(c, name) < 0)
        return fail(out, "the one before");
    if (!program)
        return 0;
    if (jail_plan(program, false, &jail) < 0)
        return fail(out, program);
    if (resolver >= 0)
        s.extra.resolver = jail_detach(resolver, false);
    return start(&s, &limits, out, fd_out);
}

int spawn_end_vm(const struct config *c, const struct request *r, struct buf *out,
                 int *fd_out)
{
    const char *uuid = request_text(r, "uuid");

    if (lock_vm(c, uuid) < 0)
        return fail(out, "lock");
    return teardown(c, uuid) < 0 ? fail(out, "end") : 0;
}
