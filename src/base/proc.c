/* SPDX-License-Identifier: Apache-2.0 */
/* Starting programs. The child shares our memory until it execs (as with vfork, so starting costs the
 * same however large we are) while the starting thread waits, which also makes it simple to hand back
 * why exec failed. So the child may call only what is safe after a fork of a threaded process, must not
 * allocate, and runs with all signals blocked until their handlers are reset: see child_main().
 * Everything it needs is prepared by the parent. Thread: any. */
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/io.h"
#include "base/mem.h"

#define CHILD_STACK_BYTES ((size_t)64 * 1024)
#define DEFAULT_PATH      "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define NULL_SOURCE       (-1) /* a descriptor of the child that is to be /dev/null */

/* Under the thread sanitizer the child gets a copy of our memory instead: the sanitizer's bookkeeping of
 * signal handlers and descriptors is ours, not the child's. */
#ifndef __has_feature
#    define __has_feature(x) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#    define CLONE_MEMORY 0
#else
#    define CLONE_MEMORY CLONE_VM
#endif

/* Sanitizers keep notes about the stack of a thread, which the child's is not. */
#define CHILD_CODE __attribute__((no_sanitize("address", "thread", "undefined")))

void argv_add(struct argv *a, const char *arg)
{
    if (a->n + 1 >= a->cap) {
        a->cap = a->cap ? a->cap * 2 : 16;
        a->v = mem_resize(a->v, a->cap, sizeof(*a->v));
    }
    a->v[a->n++] = str_dup(arg);
    a->v[a->n] = NULL;
}

void argv_addf(struct argv *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    AUTO(free_str) char *arg = str_vfmt(fmt, ap);
    va_end(ap);
    argv_add(a, arg);
}

void argv_done(struct argv *a)
{
    for (size_t i = 0; i < a->n; i++)
        free(a->v[i]);
    free(a->v);
    *a = (struct argv){ 0 };
}

/* What the child works on. */
struct child {
    const struct proc_spec *spec;
    const char *program;
    const char *const *env;
    struct proc_fd *fds; /* by rising target, 0 to 2 present */
    size_t n_fds;
    pid_t parent;
    struct child_memory *memory;
};

/* Mapped shared, so that the answer comes back also where the rest of our memory is not shared. */
struct child_memory {
    volatile int error; /* set by the child: errno of what failed */
    _Alignas(16) uint8_t stack[CHILD_STACK_BYTES];
};

CHILD_CODE static int child_write_pid(int fd)
{
    char text[16];
    size_t at = sizeof(text);
    text[--at] = '\n';
    for (pid_t pid = getpid(); pid > 0; pid /= 10)
        text[--at] = (char)('0' + pid % 10);
    ssize_t want = (ssize_t)(sizeof(text) - at);
    ssize_t n = write(fd, text + at, (size_t)want);
    if (n >= 0 && n != want)
        errno = EIO;
    return n == want ? 0 : -1;
}

/* Give each descriptor its number and close all others. Every source is first copied to a number above
 * all targets, so that no target overwrites a source that is still to be used. */
CHILD_CODE static int child_set_fds(const struct child *c)
{
    int top = c->fds[c->n_fds - 1].target;
    for (size_t i = 0; i < c->n_fds; i++) {
        int fd = c->fds[i].fd;
        int copy = fd == NULL_SOURCE ? open("/dev/null", O_RDWR | O_CLOEXEC) : fd;
        if (copy >= 0 && copy <= top)
            copy = fcntl(copy, F_DUPFD_CLOEXEC, top + 1);
        if (copy < 0)
            return -1;
        c->fds[i].fd = copy;
    }
    int next = 0; /* the lowest number not dealt with */
    for (size_t i = 0; i < c->n_fds; i++) {
        int target = c->fds[i].target;
        if (target > next && close_range((unsigned)next, (unsigned)target - 1, 0) < 0)
            return -1;
        if (dup2(c->fds[i].fd, target) < 0) /* the copy does not inherit CLOEXEC */
            return -1;
        next = target + 1;
    }
    return close_range((unsigned)next, ~0U, 0);
}

CHILD_CODE static int child_set_signals(void)
{
    struct sigaction dfl = { .sa_handler = SIG_DFL };
    sigset_t none;
    for (int sig = 1; sig < NSIG; sig++)
        (void)sigaction(sig, &dfl, NULL); /* refused for KILL, STOP and libc's own two */
    (void)sigemptyset(&none);
    return sigprocmask(SIG_SETMASK, &none, NULL);
}

CHILD_CODE static int child_prepare(const struct child *c)
{
    const struct proc_spec *spec = c->spec;
    if (spec->session && setsid() < 0)
        return -1;
    if (spec->die_with_parent) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
            return -1;
        if (getppid() != c->parent) { /* it died before prctl() */
            errno = ESRCH;
            return -1;
        }
    }
    if (spec->pid_fd >= 0 && child_write_pid(spec->pid_fd) < 0)
        return -1;
    if (spec->cwd && chdir(spec->cwd) < 0)
        return -1;
    return child_set_fds(c) < 0 ? -1 : child_set_signals();
}

CHILD_CODE static int child_main(void *arg)
{
    struct child *c = arg;
    if (child_prepare(c) == 0)
        (void)execve(c->program, (char *const *)(uintptr_t)c->spec->argv,
                     (char *const *)(uintptr_t)c->env);
    c->memory->error = errno;
    _exit(127);
}

static bool is_program(const char *path)
{
    struct stat st;
    return access(path, X_OK) == 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* The program's path: name itself if it has a slash, else the first hit in PATH. Given, NULL: none. */
static char *find_program(const char *name)
{
    if (strchr(name, '/'))
        return str_dup(name); /* exec tells best what is wrong with it */
    const char *path = getenv("PATH");
    for (const char *dir = path ? path : DEFAULT_PATH; *dir;) {
        size_t len = strcspn(dir, ":");
        AUTO(free_str) char *full = str_fmt("%.*s/%s", (int)len, dir, name);
        if (len > 0 && is_program(full))
            return TAKE(full);
        dir += len + (dir[len] == ':');
    }
    errno = ENOENT;
    return NULL;
}

static void minimal_env(struct argv *env)
{
    const char *path = getenv("PATH"), *home = getenv("HOME"), *term = getenv("TERM");
    argv_addf(env, "PATH=%s", path ? path : DEFAULT_PATH);
    argv_addf(env, "HOME=%s", home ? home : "/");
    argv_add(env, "LANG=C.UTF-8");
    argv_addf(env, "TERM=%s", term ? term : "dumb");
#ifdef FAILPOINTS
    static const char *const plans[] = { "SERAI_FAILPOINT", "SERAI_FAILPOINT_LOG" };
    for (size_t i = 0; i < ARRAY_SIZE(plans); i++)
        if (getenv(plans[i]))
            argv_addf(env, "%s=%s", plans[i], getenv(plans[i]));
#endif
}

static int by_target(const void *a, const void *b)
{
    const struct proc_fd *x = a, *y = b;
    return (x->target > y->target) - (x->target < y->target);
}

/* The child's descriptors in order, 0 to 2 filled up. False: two have the same number. */
static bool plan_fds(const struct proc_spec *spec, struct child *c)
{
    c->fds = mem_array(spec->n_fds + 3, sizeof(*c->fds));
    if (spec->n_fds)
        memcpy(c->fds, spec->fds, spec->n_fds * sizeof(*c->fds));
    c->n_fds = spec->n_fds;
    for (int std = 0; std < 3; std++) {
        bool named = false;
        for (size_t i = 0; i < spec->n_fds; i++)
            named = named || spec->fds[i].target == std;
        if (!named)
            c->fds[c->n_fds++] = (struct proc_fd){ NULL_SOURCE, std };
    }
    qsort(c->fds, c->n_fds, sizeof(*c->fds), by_target);
    for (size_t i = 0; i < c->n_fds; i++) {
        if (c->fds[i].target < 0 || (i > 0 && c->fds[i].target == c->fds[i - 1].target))
            return false;
    }
    for (size_t i = 0; i < spec->n_fds; i++) {
        if (spec->fds[i].fd < 0)
            return false;
    }
    return true;
}

/* Clone, and wait (CLONE_VFORK does) until the child has exec'ed or failed. No signal may be handled in
 * the child while it has our memory. */
static pid_t clone_child(struct child *c, int *pidfd_out)
{
    sigset_t all, old;
    (void)sigfillset(&all);
    int rc = pthread_sigmask(SIG_SETMASK, &all, &old);
    if (rc != 0) {
        errno = rc;
        return -1;
    }
    pid_t pid = clone(child_main, c->memory->stack + CHILD_STACK_BYTES,
                      CLONE_MEMORY | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, c, pidfd_out);
    int saved = errno;
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL); /* cannot fail: it worked above */
    errno = saved;
    return pid;
}

static int spawn(struct child *c, struct proc *proc_out)
{
    c->memory = mmap(NULL, sizeof(*c->memory), PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (c->memory == MAP_FAILED)
        return -1;
    int pidfd = -1;
    pid_t pid = clone_child(c, &pidfd);
    int error = pid < 0 ? errno : c->memory->error;
    (void)munmap(c->memory, sizeof(*c->memory)); /* cannot fail: it is what was mapped */
    if (error == 0) {
        *proc_out = (struct proc){ .pid = pid, .pidfd = pidfd };
        return 0;
    }
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
    close_fd(&pidfd);
    errno = error;
    return -1;
}

int proc_start(const struct proc_spec *spec, struct proc *proc_out)
{
    AUTO(free_str) char *program = find_program(spec->argv[0]);
    if (!program)
        return -1;
    struct argv env = { 0 };
    if (!spec->env)
        minimal_env(&env);
    struct child c = { .spec = spec,
                       .program = program,
                       .env = spec->env ? spec->env : (const char *const *)env.v,
                       .parent = getpid() };
    int rc = -1;
    if (plan_fds(spec, &c))
        rc = spawn(&c, proc_out);
    else
        errno = EINVAL;
    int saved = errno;
    argv_done(&env);
    free(c.fds);
    errno = saved;
    return rc;
}

int proc_wait(struct proc *p, const struct deadline *d, int *status_out)
{
    int status;
    if (deadline_poll(d, p->pidfd, POLLIN) < 0)
        return -1;
    while (waitpid(p->pid, &status, 0) < 0) {
        if (errno != EINTR)
            return -1;
    }
    if (status_out)
        *status_out = status;
    return 0;
}

int proc_kill(const struct proc *p, int sig)
{
    return pidfd_send_signal(p->pidfd, sig, NULL, 0);
}

void proc_close(struct proc *p)
{
    close_fd(&p->pidfd);
}

bool proc_alive(pid_t pid)
{
    if (pid <= 0)
        return false;
    char path[32];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    AUTO(buf_done) struct buf stat = BUF_INIT(4096);
    if (io_read_file(path, &stat) < 0)
        return false;
    /* proc(5): "pid (name) state ...", where the name may hold anything */
    const char *end = strrchr(buf_str(&stat), ')');
    return end && end[1] == ' ' && end[2] != 'Z' && end[2] != 'X' && end[2] != '\0';
}
