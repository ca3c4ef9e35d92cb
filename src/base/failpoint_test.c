/* SPDX-License-Identifier: Apache-2.0 */
/* The environment is read at start, so each test runs this program again with one of its own; the
 * test "target" is what it runs then. Built with FAILPOINTS whatever the build's option is. */
#include "base/failpoint.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/test.h"

static int work(void)
{
    return FAILPOINT("work.middle") ? -1 : 0;
}

/* Prints the result of each of three calls. Without the environment it is a test of its own. */
TEST(target)
{
    for (int i = 0; i < 3; i++) {
        errno = 0;
        int rc = work();
        printf("# call %d: %d %s\n", i + 1, rc, errno == EIO ? "EIO" : "-");
        (void)fflush(stdout);
        CHECK(rc == 0 || getenv("SERAI_FAILPOINT"));
    }
    if (getenv("SERAI_TEST_NEVER"))
        (void)FAILPOINT("work.never");
}

/* Run the target with SERAI_FAILPOINT=plan; its output, and its wait status. */
static char *run(const char *plan, const char *log, int *status_out)
{
    char self[4096] = "";
    CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
    AUTO(free_str) char *tmp = str_fmt("TMPDIR=%s", test_dir());
    AUTO(free_str) char *set = str_fmt("SERAI_FAILPOINT=%s", plan);
    AUTO(free_str)
    char *log_set = str_fmt("SERAI_FAILPOINT_LOG=%s", log ? log : "/dev/null");
    const char *const argv[] = { "env", tmp,      set, log_set, "SERAI_TEST_NOFORK=1",
                                 self,  "target", NULL };
    AUTO(buf_done) struct buf out = BUF_INIT(65536);
    struct deadline d = deadline_in(60 * US_PER_SEC);
    CHECK_INT(proc_run(argv, NULL, &out, NULL, &d, status_out), 0);
    return buf_take(&out);
}

TEST(error_at_the_first_hit)
{
    int status = -1;
    AUTO(free_str) char *out = run("work.middle:error", NULL, &status);
    CHECK_INT(status, 0);
    CHECK(strstr(out, "call 1: -1 EIO\n# call 2: 0 -\n# call 3: 0 -\n"));
}

TEST(error_at_the_third_hit)
{
    int status = -1;
    AUTO(free_str) char *out = run("work.middle:error:3", NULL, &status);
    CHECK(strstr(out, "call 1: 0 -\n# call 2: 0 -\n# call 3: -1 EIO\n"));
}

TEST(exit_kills)
{
    int status = -1;
    AUTO(free_str) char *out = run("work.middle:exit:2", NULL, &status);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK(strstr(out, "call 1:") && !strstr(out, "call 2:"));
}

TEST(sleep_waits)
{
    int status = -1;
    int64_t start = clock_now_us();
    AUTO(free_str) char *out = run("work.middle:sleep=50", NULL, &status);
    CHECK_INT(status, 0);
    CHECK(clock_now_us() - start >= 50 * US_PER_MS);
    CHECK(strstr(out, "call 1: 0 -\n"));
}

TEST(others_are_not_touched)
{
    int status = -1;
    AUTO(free_str) char *out = run("work.mid:exit", NULL, &status);
    CHECK_INT(status, 0);
    CHECK(strstr(out, "call 3: 0 -\n"));
}

TEST(list_logs_what_is_there_and_what_was_hit)
{
    int status = -1;
    AUTO(free_str) char *log = str_fmt("%s/log", test_dir());
    free(run("list", log, &status));
    CHECK_INT(status, 0);
    AUTO(buf_done) struct buf got = BUF_INIT(65536);
    CHECK_INT(io_read_file(log, &got), 0);
    CHECK(strstr(buf_str(&got), "point work.middle\n")
          && strstr(buf_str(&got), "point work.never\n"));
    const char *hit = strstr(buf_str(&got), "hit ");
    CHECK_STR(hit, "hit work.middle\n"); /* once, and nothing else */
}

/* The file's plan, and what is said then; the program has one life for all. */
TEST(a_plan_in_a_file_is_read_at_each_hit)
{
    AUTO(free_str) char *file = str_fmt("%s/plan", test_dir());
    AUTO(free_str) char *plan = str_fmt("@%s", file);
    AUTO(free_str) char *log = str_fmt("%s/log", test_dir());

    static const struct {
        const char *text, *said;
    } rows[] = {
        { NULL, "call 1: 0 -\n# call 2: 0 -\n# call 3: 0 -\n" },
        { "list", "call 1: 0 -\n# call 2: 0 -\n# call 3: 0 -\n" },
        { "work.middle:error:2", "call 1: 0 -\n# call 2: -1 EIO\n# call 3: 0 -\n" },
        { "work.other:error", "call 1: 0 -\n# call 2: 0 -\n# call 3: 0 -\n" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int status = -1;
        if (rows[i].text)
            CHECK_INT(io_write_file(file, rows[i].text, strlen(rows[i].text), 0600), 0);
        (void)unlink(log);
        AUTO(free_str) char *out = run(plan, log, &status);
        CHECK_INT(status, 0);
        CHECK(strstr(out, rows[i].said));
        AUTO(buf_done) struct buf got = BUF_INIT(65536);
        CHECK_INT(io_read_file(log, &got), 0);
        CHECK_STR(strstr(buf_str(&got), "hit "),
                  "hit work.middle\nhit work.middle\nhit work.middle\n");
    }
}

TEST(a_plan_that_makes_no_sense_ends_the_program)
{
    static const char *const bad[] = { "",          "x",         "x:",       ":exit",
                                       "x:explode", "x:exit:",   "x:exit:0", "x:exit:many",
                                       "x:sleep=x", "x:exit:1:1" };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        int status = -1;
        free(run(bad[i], NULL, &status));
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 2)
            test_fail(__FILE__, __LINE__, "\"%s\" was taken", bad[i]);
    }
}
