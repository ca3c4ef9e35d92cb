/* SPDX-License-Identifier: Apache-2.0 */
/* The test runner: main() of every x_test program. Each test runs in a child of its own, in a process
 * group of its own, for at most TEST_SECONDS, so that a crash, a hang or a leaked process of one test
 * does not touch the next. SERAI_TEST_NOFORK=1 runs them all in this process, for debuggers. */
#include "base/test.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"

#define TEST_SECONDS \
    240 /* the longest need 50 where a sanitizer watches; a loaded machine gets four times that */
#define FAILED_CHECK 113 /* exit status that needs no comment: the failed check wrote one */

static struct {
    struct test_case *first, **end;
    const struct test_case *running;
    bool forked;
    jmp_buf failed;
    char *root; /* of all tests' directories */
    char *dir;  /* of the running test, once it asked */
} tests;

void test_register(struct test_case *t)
{
    if (!tests.end)
        tests.end = &tests.first;
    *tests.end = t;
    tests.end = &t->next;
}

/* Each line of text as a TAP comment. */
static void comment(const char *text)
{
    for (const char *line = text; *line;) {
        size_t len = strcspn(line, "\n");
        printf("# %.*s\n", (int)MIN(len, (size_t)4000), line);
        line += len + (line[len] == '\n');
    }
    (void)fflush(stdout);
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    AUTO(free_str) char *what = str_vfmt(fmt, ap);
    va_end(ap);
    AUTO(free_str) char *text = str_fmt("%s:%d: %s", file, line, what);
    comment(text);
    if (tests.forked)
        _exit(FAILED_CHECK); /* at once: a failure may come from any thread */
    longjmp(tests.failed, 1);
}

const char *test_dir(void)
{
    if (!tests.dir) {
        tests.dir = str_fmt("%s/%s", tests.root, tests.running->name);
        if (io_mkdirs(tests.dir, 0700) < 0)
            test_fail(__FILE__, __LINE__, "%s: %m", tests.dir);
    }
    return tests.dir;
}

static char *golden_path(const char *name)
{
    const char *source = getenv("MESON_SOURCE_ROOT");
    return str_fmt("%s/tests/golden/%s", source ? source : SOURCE_ROOT, name);
}

static void golden_write(const char *path, const char *got)
{
    AUTO(free_str) char *dir = str_dupn(path, (size_t)(strrchr(path, '/') - path));
    if (io_mkdirs(dir, 0777) < 0 || io_write_file(path, got, strlen(got), 0644) < 0)
        test_fail(__FILE__, __LINE__, "%s: %m", path);
}

void test_golden(const char *file, int line, const char *name, const char *got)
{
    AUTO(free_str) char *path = golden_path(name);
    const char *regen = getenv("REGEN");
    if (regen && str_eq(regen, "1")) {
        golden_write(path, got);
        return;
    }
    AUTO(buf_done) struct buf want_buf = BUF_INIT(0);
    if (io_read_file(path, &want_buf) < 0)
        test_fail(file, line, "%s: %m (REGEN=1 writes it)", path);
    const char *want = buf_str(&want_buf);
    if (str_eq(got, want))
        return;
    size_t at = 0, start = 0, row = 1;
    for (; got[at] && got[at] == want[at]; at++) {
        if (got[at] == '\n') {
            row++;
            start = at + 1;
        }
    }
    test_fail(
        file, line,
        "differs from golden %s line %zu (REGEN=1 rewrites it)\n got: %.*s\nwant: %.*s",
        name, row, (int)strcspn(got + start, "\n"), got + start,
        (int)strcspn(want + start, "\n"), want + start);
}

/* In the child. exit() runs the leak check of a sanitizer build. */
static NORETURN void run_child(const struct test_case *t)
{
    tests.forked = true;
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)alarm(TEST_SECONDS);
    t->fn();
    (void)fflush(stdout);
    free(tests.dir);
    free(tests.root);
    exit(0);
}

static bool run_forked(const struct test_case *t)
{
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        run_child(t);
    if (pid < 0) {
        printf("# fork: %m\n");
        return false;
    }
    siginfo_t info;
    /* Left as a zombie, it keeps its process group's number while the group is killed. */
    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
    }
    (void)kill(-pid, SIGKILL);
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status))
        printf("# killed by signal %d%s\n", WTERMSIG(status),
               WTERMSIG(status) == SIGALRM ? " (too slow)" : "");
    else if (status != 0 && WEXITSTATUS(status) != FAILED_CHECK)
        printf("# exit status %d\n", WEXITSTATUS(status));
    return status == 0;
}

static bool run_here(const struct test_case *t)
{
    bool passed = setjmp(tests.failed) == 0;
    if (passed)
        t->fn();
    free(tests.dir);
    tests.dir = NULL;
    return passed;
}

static bool wanted(const struct test_case *t, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (str_eq(argv[i], t->name))
            return true;
    }
    return argc < 2;
}

static void make_root(void)
{
    const char *tmp = getenv("TMPDIR");
    tests.root = str_fmt("%s/serai-test.XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(tests.root)) {
        printf("Bail out! %s: %m\n", tests.root);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    int n = 0, failed = 0, number = 0;
    for (const struct test_case *t = tests.first; t; t = t->next)
        n += wanted(t, argc, argv);
    printf("1..%d\n", n);
    const char *nofork = getenv("SERAI_TEST_NOFORK");
    make_root();
    for (const struct test_case *t = tests.first; t; t = t->next) {
        if (!wanted(t, argc, argv))
            continue;
        tests.running = t;
        bool passed = nofork && str_eq(nofork, "1") ? run_here(t) : run_forked(t);
        failed += !passed;
        printf("%s %d - %s\n", passed ? "ok" : "not ok", ++number, t->name);
        (void)fflush(stdout);
    }
    if (io_remove_tree(tests.root) < 0)
        printf("# %s: %m\n", tests.root);
    free(tests.root);
    if (n == 0)
        printf("# no such test\n");
    return failed || n == 0;
}
