/* SPDX-License-Identifier: Apache-2.0 */
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/test.h"

static struct deadline later(void)
{
    return deadline_in(60 * US_PER_SEC);
}

static int memory_file(const char *text)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_INT(io_pwrite_full(fd, text, strlen(text), 0), 0);
    return fd;
}

/* What spec's program writes to its descriptor 1; it must end with status 0. */
static char *output_of(const struct proc_spec *spec, const struct proc_fd *fds,
                       size_t n_fds)
{
    int pipes[2];
    CHECK_INT(pipe2(pipes, O_CLOEXEC), 0);
    struct proc_fd all[16] = { { pipes[1], 1 } };
    for (size_t i = 0; i < n_fds; i++)
        all[i + 1] = fds[i];
    struct proc_spec with_output = *spec;
    with_output.fds = all;
    with_output.n_fds = n_fds + 1;
    struct proc p;
    if (proc_start(&with_output, &p) < 0)
        test_fail(__FILE__, __LINE__, "%s: %m", spec->argv[0]);
    close_fd(&pipes[1]);
    AUTO(buf_done) struct buf out = BUF_INIT(65536);
    struct deadline d = later();
    char chunk[512];
    ssize_t n;
    while ((n = io_read(pipes[0], chunk, sizeof(chunk), &d)) > 0)
        buf_add(&out, chunk, (size_t)n);
    int status = -1;
    CHECK_INT(n, 0);
    CHECK_INT(proc_wait(&p, &d, &status), 0);
    CHECK_INT(status, 0);
    proc_close(&p);
    CHECK_INT(p.pidfd, -1);
    close_fd(&pipes[0]);
    return buf_take(&out);
}

static char *shell(const char *script, const struct proc_fd *fds, size_t n_fds)
{
    const char *const argv[] = { "sh", "-c", script, NULL };
    struct proc_spec spec = { .argv = argv, .pid_fd = -1 };
    return output_of(&spec, fds, n_fds);
}

TEST(argument_vectors)
{
    struct argv a = { 0 };
    argv_add(&a, "echo");
    for (int i = 0; i < 40; i++) {
        argv_addf(&a, "%d", i);
        CHECK(a.v[a.n] == NULL);
    }
    CHECK_INT(a.n, 41);
    CHECK_STR(a.v[40], "39");
    argv_done(&a);
    argv_done(&a);
}

TEST(what_cannot_start)
{
    static const struct {
        const char *program;
        int error;
    } cases[] = { { "no-such-program-at-all", ENOENT },
                  { "/nonexistent/program", ENOENT },
                  { "/etc", EACCES },
                  { "/etc/passwd", EACCES } };
    struct proc p = { .pid = 42, .pidfd = 43 };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *const argv[] = { cases[i].program, NULL };
        struct proc_spec spec = { .argv = argv, .pid_fd = -1 };
        CHECK_INT(proc_start(&spec, &p), -1);
        CHECK_INT(errno, cases[i].error);
        CHECK(p.pid == 42 && p.pidfd == 43);
    }
    CHECK_INT(waitpid(-1, NULL, WNOHANG), -1); /* no zombies */
    CHECK_INT(errno, ECHILD);
    const char *const argv[] = { "true", NULL };
    struct proc_spec spec = { .argv = argv, .pid_fd = -1, .cwd = "/nonexistent" };
    CHECK_INT(proc_start(&spec, &p), -1);
    CHECK_INT(errno, ENOENT);
    struct proc_fd twice[] = { { 0, 5 }, { 1, 5 } }, negative[] = { { -1, 5 } },
                   closed[] = { { 999, 5 } };
    spec = (struct proc_spec){ .argv = argv, .pid_fd = -1, .fds = twice, .n_fds = 2 };
    CHECK_INT(proc_start(&spec, &p), -1);
    CHECK_INT(errno, EINVAL);
    spec = (struct proc_spec){ .argv = argv, .pid_fd = -1, .fds = negative, .n_fds = 1 };
    CHECK_INT(proc_start(&spec, &p), -1);
    CHECK_INT(errno, EINVAL);
    spec = (struct proc_spec){ .argv = argv, .pid_fd = -1, .fds = closed, .n_fds = 1 };
    CHECK_INT(proc_start(&spec, &p), -1);
    CHECK_INT(errno, EBADF);
}

TEST(exit_status_and_signals)
{
    const char *const argv[] = { "sh", "-c", "exit 7", NULL };
    struct proc_spec spec = { .argv = argv, .pid_fd = -1 };
    struct deadline d = later();
    struct proc p;
    int status = 0;
    CHECK_INT(proc_start(&spec, &p), 0);
    CHECK_INT(fcntl(p.pidfd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    CHECK_INT(proc_wait(&p, &d, &status), 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    CHECK(!proc_alive(p.pid));
    proc_close(&p);

    const char *const sleeper[] = { "sleep", "1000", NULL };
    spec.argv = sleeper;
    CHECK_INT(proc_start(&spec, &p), 0);
    CHECK(proc_alive(p.pid));
    struct deadline now = deadline_in(0);
    CHECK_INT(proc_wait(&p, &now, &status), -1);
    CHECK_INT(errno, ETIMEDOUT);
    CHECK_INT(proc_kill(&p, SIGTERM), 0);
    CHECK(deadline_poll(&d, p.pidfd, 1) > 0);
    CHECK(!proc_alive(p.pid)); /* a zombie now */
    CHECK_INT(proc_wait(&p, &d, &status), 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    CHECK_INT(proc_kill(&p, 0), -1);
    CHECK_INT(errno, ESRCH);
    proc_close(&p);
    CHECK(!proc_alive(0) && !proc_alive(-1));
}

/* Sources and targets that are a permutation of each other, a chain, and one source used twice. */
TEST(descriptors_may_collide)
{
    int base = 10;
    for (int i = 0; i < 4; i++) {
        char text[2] = { (char)('a' + i), '\0' };
        AUTO(close_fd) int fd = memory_file(text);
        CHECK(dup3(fd, base + i, O_CLOEXEC) == base + i);
    }

    static const struct {
        int from[4];
        const char *want;
    } cases[] = {
        { { 10, 11, 12, 13 }, "abcd" }, { { 11, 10, 13, 12 }, "badc" },
        { { 13, 10, 11, 12 }, "dabc" }, { { 11, 12, 13, 10 }, "bcda" },
        { { 10, 10, 10, 10 }, "aaaa" }, { { 13, 12, 11, 10 }, "dcba" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct proc_fd fds[4];
        for (int k = 0; k < 4; k++) /* by falling target: the order must not matter */
            fds[3 - k] = (struct proc_fd){ cases[i].from[k], base + k };
        AUTO(free_str)
        char *got = shell("for n in 10 11 12 13; do cat /proc/self/fd/$n; done", fds, 4);
        CHECK_STR(got, cases[i].want);
    }
    for (int i = 0; i < 4; i++)
        CHECK_INT(fcntl(base + i, F_GETFD) & FD_CLOEXEC,
                  FD_CLOEXEC); /* ours are untouched */
}

/* ls sees 0 to 2, what was passed, and its own directory descriptor (3); nothing that leaked. */
TEST(all_else_is_closed)
{
    AUTO(close_fd) int file = memory_file("x");
    int leaky = fcntl(file, F_DUPFD, 200);
    CHECK(leaky >= 200);
    struct proc_fd fds[] = { { file, 7 }, { file, 40 } };
    const char *const argv[] = { "ls", "/proc/self/fd", NULL };
    struct proc_spec spec = { .argv = argv, .pid_fd = -1 };
    AUTO(free_str) char *got = output_of(&spec, fds, 2);
    CHECK_STR(got, "0\n1\n2\n3\n40\n7\n");
    AUTO(free_str) char *nulls = shell("readlink /proc/self/fd/0 /proc/self/fd/2", NULL, 0);
    CHECK_STR(nulls, "/dev/null\n/dev/null\n");
    close_fd(&leaky);
}

TEST(environment_and_directory)
{
    const char *const env[] = { "A=1", "B=two", NULL };
    const char *const argv[] = { "env", NULL };
    CHECK_INT(setenv("SECRET", "x", 1), 0);
    struct proc_spec spec = { .argv = argv, .pid_fd = -1, .env = env };
    AUTO(free_str) char *given = output_of(&spec, NULL, 0);
    CHECK_STR(given, "A=1\nB=two\n");
    spec.env = NULL;
    AUTO(free_str) char *minimal = output_of(&spec, NULL, 0);
    CHECK(strstr(minimal, "PATH=/") && strstr(minimal, "LANG=C.UTF-8\n")
          && strstr(minimal, "HOME="));
    CHECK(!strstr(minimal, "SECRET"));
    const char *const pwd[] = { "readlink", "/proc/self/cwd", NULL };
    spec = (struct proc_spec){ .argv = pwd, .pid_fd = -1, .cwd = "/usr" };
    AUTO(free_str) char *cwd = output_of(&spec, NULL, 0);
    CHECK_STR(cwd, "/usr\n");
}

/* A mask of /proc/PID/status without signals 32 and 33: they are libc's own, nobody can reset them through it, and its
 * posix_spawn (make's, for one) hands them on ignored. */
static uint64_t signal_mask(const char *status, const char *field)
{
    const char *at = strstr(status, field);
    CHECK(at != NULL);
    return strtoull(at + strlen(field), NULL, 16) & ~(UINT64_C(3) << 31);
}

TEST(signals_are_reset)
{
    sigset_t all, old;
    CHECK_INT(sigfillset(&all), 0);
    CHECK(signal(SIGTERM, SIG_IGN) != SIG_ERR && signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    CHECK_INT(pthread_sigmask(SIG_SETMASK, &all, &old), 0);
    const char *const argv[] = { "cat", "/proc/self/status",
                                 NULL }; /* cat catches none itself */
    struct proc_spec spec = { .argv = argv, .pid_fd = -1 };
    AUTO(free_str) char *got = output_of(&spec, NULL, 0);
    CHECK_INT(signal_mask(got, "\nSigBlk:\t"), 0);
    CHECK_INT(signal_mask(got, "\nSigIgn:\t"), 0);
    CHECK_INT(signal_mask(got, "\nSigCgt:\t"), 0);
    sigset_t now;
    CHECK_INT(pthread_sigmask(SIG_SETMASK, NULL, &now), 0);
    CHECK(sigismember(&now, SIGTERM)); /* ours is as we set it */
    struct sigaction act;
    CHECK_INT(sigaction(SIGTERM, NULL, &act), 0);
    CHECK(act.sa_handler == SIG_IGN);
}

TEST(pid_is_written_before_exec)
{
    AUTO(close_fd) int fd = memory_file("");
    const char *const argv[] = { "true", NULL };
    struct proc_spec spec = { .argv = argv, .pid_fd = fd, .session = true };
    struct deadline d = later();
    struct proc p;
    CHECK_INT(proc_start(&spec, &p), 0);
    AUTO(free_str) char *want = str_fmt("%d\n", (int)p.pid);
    char got[32] = "";
    CHECK_INT(pread(fd, got, sizeof(got) - 1, 0), strlen(want));
    CHECK_STR(got, want);
    CHECK_INT(proc_wait(&p, &d, NULL), 0);
    proc_close(&p);
}

TEST(sessions)
{
    static const char script[] = "cut -d' ' -f5,6 /proc/$$/stat; echo $$";
    const char *const argv[] = { "sh", "-c", script, NULL };
    for (int session = 0; session < 2; session++) {
        struct proc_spec spec = { .argv = argv, .pid_fd = -1, .session = session };
        AUTO(free_str) char *got = output_of(&spec, NULL, 0);
        int pgrp = 0, sid = 0, pid = 0;
        CHECK_INT(sscanf(got, "%d %d %d", &pgrp, &sid, &pid), 3);
        CHECK_INT(sid, session ? pid : getsid(0));
        CHECK_INT(pgrp, session ? pid : getpgrp());
    }
}

/* Our child starts a grandchild that holds a pipe's end, and dies: the pipe's end tells when the
 * grandchild is gone. */
TEST(dies_with_the_parent)
{
    int pipes[2];
    CHECK_INT(pipe2(pipes, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        const char *const argv[] = { "sleep", "1000", NULL };
        struct proc_fd fds[] = { { pipes[1], 3 } };
        struct proc_spec spec = {
            .argv = argv, .pid_fd = -1, .fds = fds, .n_fds = 1, .die_with_parent = true
        };
        struct proc p;
        _exit(proc_start(&spec, &p) == 0 ? 0 : 1);
    }
    int status;
    char c;
    struct deadline d = later();
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK_INT(status, 0);
    close_fd(&pipes[1]);
    CHECK_INT(io_read(pipes[0], &c, 1, &d), 0);
    close_fd(&pipes[0]);
}

TEST(run_collects)
{
    AUTO(buf_done) struct buf out = BUF_INIT(1000), errout = BUF_INIT(1000);
    const char *const argv[] = { "sh", "-c", "cat; echo oops >&2; exit 3", NULL };
    struct deadline d = later();
    int status;
    CHECK_INT(proc_run(argv, "some input", &out, &errout, &d, &status), 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
    CHECK_STR(buf_str(&out), "some input");
    CHECK_STR(buf_str(&errout), "oops\n");
    const char *const missing[] = { "no-such-program-at-all", NULL };
    CHECK_INT(proc_run(missing, NULL, &out, NULL, &d, &status), -1);
    CHECK_INT(errno, ENOENT);
}

TEST(run_moves_a_lot_both_ways)
{
    enum { SIZE = 1 << 20 };

    AUTO(free_str) char *input = mem_alloc(SIZE + 1);
    memset(input, 'q', SIZE);
    AUTO(buf_done) struct buf out = BUF_INIT(0);
    const char *const argv[] = { "cat", NULL };
    struct deadline d = later();
    int status = -1;
    CHECK_INT(proc_run(argv, input, &out, NULL, &d, &status), 0);
    CHECK_INT(status, 0);
    CHECK_INT(out.len, SIZE);
    CHECK_STR(buf_str(&out), input);
}

TEST(run_drops_beyond_the_maximum)
{
    AUTO(buf_done) struct buf out = BUF_INIT(5);
    const char *const argv[] = { "seq", "100000", NULL };
    struct deadline d = later();
    int status = -1;
    CHECK_INT(proc_run(argv, NULL, &out, NULL, &d, &status), 0);
    CHECK_INT(status, 0);
    CHECK_STR(buf_str(&out), "1\n2\n3");
    CHECK(buf_overflow(&out));
}

TEST(run_survives_a_child_that_does_not_read)
{
    AUTO(free_str) char *input = mem_alloc(300001);
    memset(input, 'q', 300000);
    const char *const argv[] = { "true", NULL };
    struct deadline d = later();
    int status = -1;
    CHECK_INT(proc_run(argv, input, NULL, NULL, &d, &status), 0); /* and no SIGPIPE */
    CHECK_INT(status, 0);
}

TEST(run_ends_at_the_deadline)
{
    AUTO(buf_done) struct buf out = BUF_INIT(10);
    const char *const argv[] = { "yes", NULL };
    struct deadline d = deadline_in(20 * US_PER_MS);
    int status = -1;
    CHECK_INT(proc_run(argv, NULL, &out, NULL, &d, &status), -1);
    CHECK_INT(errno, ETIMEDOUT);
    CHECK_INT(status, -1);
    CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
    CHECK_INT(errno, ECHILD);
    AUTO(close_fd) int cancel = eventfd(1, EFD_CLOEXEC);
    d = deadline_in_cancel(INT64_MAX, cancel);
    CHECK_INT(proc_run(argv, NULL, &out, NULL, &d, &status), -1);
    CHECK_INT(errno, ECANCELED);
}

TEST(run_does_not_wait_for_what_a_child_leaves_behind)
{
    AUTO(buf_done) struct buf out = BUF_INIT(100);
    const char *const argv[] = { "sh", "-c", "sleep 1000 & echo started", NULL };
    struct deadline d = later();
    int status = -1;
    CHECK_INT(proc_run(argv, NULL, &out, NULL, &d, &status), 0);
    CHECK_INT(status, 0);
    CHECK_STR(buf_str(&out), "started\n");
}

static void *start_many(void *arg)
{
    const char *const argv[] = { "true", NULL };
    struct deadline d = later();
    for (int i = 0; i < 25; i++) {
        int status = -1;
        CHECK_INT(proc_run(argv, NULL, NULL, NULL, &d, &status), 0);
        CHECK_INT(status, 0);
    }
    return NULL;
}

TEST(threads_start_programs_at_once)
{
    pthread_t t[4];
    for (size_t i = 0; i < ARRAY_SIZE(t); i++)
        CHECK_INT(thread_start(&t[i], "start", 0, start_many, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(t); i++)
        CHECK_INT(pthread_join(t[i], NULL), 0);
}
