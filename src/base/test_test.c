/* SPDX-License-Identifier: Apache-2.0 */
/* The runner runs itself: with INNER in the environment the tests below fail, crash and leave things
 * behind on purpose, without it they do nothing. */
#include "base/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/proc.h"

static bool inner(void)
{
    return getenv("INNER") != NULL;
}

TEST(fails)
{
    if (inner())
        CHECK_INT(1 + 1, 3);
}

TEST(crashes)
{
    if (inner())
        (void)raise(SIGKILL);
}

TEST(exits)
{
    if (inner())
        exit(5);
}

TEST(passes)
{
}

TEST(strings_differ)
{
    if (inner())
        CHECK_STR("a\nb", NULL);
}

TEST(uses_a_directory)
{
    AUTO(free_str) char *path = str_fmt("%s/deep/er", test_dir());
    CHECK_INT(io_mkdirs(path, 0700), 0);
    CHECK_STR(test_dir(), test_dir());
}

/* Its child keeps stdout open: unless the runner kills it, reading the output never ends. */
TEST(leaves_a_child_behind)
{
    if (!inner())
        return;
    const char *const argv[] = { "sleep", "1000", NULL };
    struct proc_fd out = { STDOUT_FILENO, STDOUT_FILENO };
    struct proc_spec spec = { .argv = argv, .fds = &out, .n_fds = 1, .pid_fd = -1 };
    struct proc p;
    CHECK_INT(proc_start(&spec, &p), 0);
}

TEST(golden)
{
    CHECK_GOLDEN("base/test.txt", inner() ? "first\nother\n" : "first\nsecond\n");
}

static void check_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        test_fail(__FILE__, __LINE__, "no \"%s\" in:\n%s", part, text);
}

/* This program with INNER set, all output to its end; the exit status must be as given. */
static char *run_inner(const char *setting, const char *only, int want_status)
{
    char self[4096] = "";
    CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
    AUTO(free_str) char *tmp = str_fmt("TMPDIR=%s", test_dir());
    const char *const argv[] = { "env", "INNER=1", tmp, setting, self, only, NULL };
    int pipes[2], status = -1;
    CHECK_INT(pipe2(pipes, O_CLOEXEC), 0);
    struct proc_fd out = { pipes[1], STDOUT_FILENO };
    struct proc_spec spec = { .argv = argv, .fds = &out, .n_fds = 1, .pid_fd = -1 };
    struct proc p;
    CHECK_INT(proc_start(&spec, &p), 0);
    close_fd(&pipes[1]);
    AUTO(buf_done) struct buf text = BUF_INIT(65536);
    struct deadline d = deadline_in(60 * US_PER_SEC);
    char chunk[512];
    ssize_t n;
    while ((n = io_read(pipes[0], chunk, sizeof(chunk), &d)) > 0)
        buf_add(&text, chunk, (size_t)n);
    CHECK_INT(n, 0);
    CHECK_INT(proc_wait(&p, &d, &status), 0);
    CHECK(WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), want_status);
    close_fd(&pipes[0]);
    proc_close(&p);
    return buf_take(&text);
}

TEST(outer)
{
    if (inner())
        return;
    AUTO(free_str) char *out = run_inner("X=", NULL, 1);
    check_has(out, "1 + 1: got 2, want 3\nnot ok 1 - fails\n");
    check_has(out, "# killed by signal 9\nnot ok 2 - crashes\n");
    check_has(out, "# exit status 5\nnot ok 3 - exits\n");
    check_has(out, "\nok 4 - passes\n");
    check_has(out, "want \"(null)\"");
    check_has(out, "\nok 6 - uses_a_directory\n");
    check_has(out, "\nok 7 - leaves_a_child_behind\n");
    check_has(out, "base/test.txt line 2");
    check_has(out, "#  got: other\n# want: second\n");
    CHECK_INT(rmdir(test_dir()), 0); /* its own directory is gone, so ours is empty */
}

TEST(outer_one_by_name)
{
    if (inner())
        return;
    AUTO(free_str) char *one = run_inner("X=", "passes", 0);
    CHECK_STR(one, "1..1\nok 1 - passes\n");
    AUTO(free_str) char *none = run_inner("X=", "no_such_test", 1);
    CHECK_STR(none, "1..0\n# no such test\n");
}

TEST(outer_in_one_process)
{
    if (inner())
        return;
    AUTO(free_str) char *one = run_inner("SERAI_TEST_NOFORK=1", "fails", 1);
    check_has(one, "want 3\nnot ok 1 - fails\n");
    AUTO(free_str) char *dir = run_inner("SERAI_TEST_NOFORK=1", "uses_a_directory", 0);
    check_has(dir, "\nok 1 - uses_a_directory\n");
}

/* REGEN writes the file, after which the same text passes; in a source tree of the test's own. */
TEST(outer_regenerates)
{
    if (inner())
        return;
    AUTO(free_str) char *root = str_fmt("MESON_SOURCE_ROOT=%s", test_dir());
    AUTO(free_str) char *path = str_fmt("%s/tests/golden/base/test.txt", test_dir());
    AUTO(free_str) char *missing = run_inner(root, "golden", 1);
    check_has(missing, "REGEN=1 writes it");
    const char *const env[] = { root, "REGEN=1", "INNER=1", "PATH=/usr/bin:/bin", NULL };
    char self[4096] = "";
    CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
    const char *const argv[] = { self, "golden", NULL };
    struct proc_spec spec = { .argv = argv, .env = env, .pid_fd = -1 };
    struct deadline d = deadline_in(60 * US_PER_SEC);
    struct proc p;
    int status = -1;
    CHECK_INT(proc_start(&spec, &p), 0);
    CHECK_INT(proc_wait(&p, &d, &status), 0);
    CHECK_INT(status, 0);
    proc_close(&p);
    AUTO(buf_done) struct buf got = BUF_INIT(1000);
    CHECK_INT(io_read_file(path, &got), 0);
    CHECK_STR(buf_str(&got), "first\nother\n");
    AUTO(free_str) char *passes = run_inner(root, "golden", 0);
    check_has(passes, "\nok 1 - golden\n");
}
