/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/test.h"

/* Send stderr to a file of the test. Every test is a process of its own, so it stays that way. */
static char *capture(void)
{
    char *path = str_fmt("%s/log", test_dir());
    AUTO(close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && dup2(fd, STDERR_FILENO) == STDERR_FILENO);
    return path;
}

/* What was logged, with the date of the first line checked and cut off. */
static void check_logged(const char *path, const char *want)
{
    AUTO(buf_done) struct buf got = BUF_INIT(0);
    CHECK_INT(io_read_file(path, &got), 0);
    const char *text = buf_str(&got);
    CHECK(strlen(text) > 23 && text[8] == 'T' && text[17] == '.' && text[21] == 'Z');
    CHECK_STR(text + 22, want);
}

TEST(one_line)
{
    AUTO(free_str) char *path = capture();
    errno = ENOENT;
    log_error("open %s: %m", "x");
    CHECK_INT(errno, ENOENT);
    check_logged(path, " error open x: No such file or directory\n");
}

TEST(control_characters_are_escaped)
{
    AUTO(free_str) char *path = capture();
    log_set_thread("loop");
    log_warn("%s", "a\nfake\r\x1b[31m\x7f \xc3\xa9 \xc2\x9b!");
    check_logged(path, " warn loop: a\\nfake\\x0d\\x1b[31m\\x7f \xc3\xa9 \\x9b!\n");
}

TEST(bytes_that_are_no_text_are_escaped)
{
    AUTO(free_str) char *path = capture();
    log_info("%s", "\xff\xc3\xa9");
    check_logged(path, " info \\xff\\xc3\\xa9\n");
}

TEST(levels)
{
    AUTO(free_str) char *path = capture();
    enum log_level level = LOG_ERROR;
    CHECK(log_parse_level("WARN", &level) && level == LOG_WARN);
    CHECK(!log_parse_level("loud", &level) && level == LOG_WARN);
    CHECK(log_parse_level("debug", &level) && level == LOG_DEBUG);
    CHECK(log_enabled(LOG_INFO) && !log_enabled(LOG_DEBUG));
    log_set_level(LOG_WARN);
    log_info("hidden");
    log_debug("hidden");
    log_warn("shown");
    check_logged(path, " warn shown\n");
}

TEST(long_lines_are_cut)
{
    AUTO(free_str) char *path = capture();
    AUTO(free_str) char *text = mem_alloc(200001);
    memset(text, 'x', 200000);
    log_info("%s", text);
    struct stat st;
    CHECK_INT(stat(path, &st), 0);
    CHECK(st.st_size > 30000 && st.st_size < 40000);
}

TEST(journal_gets_priorities)
{
    AUTO(free_str) char *path = capture();
    struct stat st;
    CHECK_INT(fstat(STDERR_FILENO, &st), 0);
    AUTO(free_str)
    char *stream = str_fmt("%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    CHECK_INT(setenv("JOURNAL_STREAM", stream, 1), 0);
    log_error("x");
    AUTO(buf_done) struct buf got = BUF_INIT(0);
    CHECK_INT(io_read_file(path, &got), 0);
    CHECK(str_starts(buf_str(&got), "<3>2"));
}

static void *log_many(void *arg)
{
    log_set_thread(arg);
    for (int i = 0; i < 200; i++)
        log_info("%s.", (const char *)arg);
    return NULL;
}

TEST(lines_of_threads_do_not_mix)
{
    AUTO(free_str) char *path = capture();
    static char name[] = "abcdefghijklmnopqrstuvwxyz";
    pthread_t t[3];
    for (size_t i = 0; i < ARRAY_SIZE(t); i++)
        CHECK_INT(thread_start(&t[i], "log", 0, log_many, name), 0);
    for (size_t i = 0; i < ARRAY_SIZE(t); i++)
        CHECK_INT(pthread_join(t[i], NULL), 0);
    AUTO(buf_done) struct buf got = BUF_INIT(0);
    CHECK_INT(io_read_file(path, &got), 0);
    AUTO(free_str) char *end = str_fmt("Z info %s: %s.", name, name);
    size_t lines = 0;
    for (char *line = got.data, *next; (next = strchr(line, '\n'));
         line = next + 1, lines++) {
        *next = '\0';
        CHECK_INT(strlen(line), 21 + strlen(end));
        CHECK(str_ends(line, end));
    }
    CHECK_INT(lines, 600);
}

TEST(the_latest_lines)
{
    AUTO(free_str) char *path = capture();
    log_set_thread(NULL);
    log_info("first of all");
    AUTO(free_str) char *early = log_recent();
    CHECK(str_ends(early, "first of all\n"));
    for (int i = 0; i < 2000; i++)
        log_info("line %d of many, each of which takes its room", i);
    AUTO(free_str) char *late = log_recent();
    CHECK(strlen(late) <= LOG_RECENT && strlen(late) > LOG_RECENT - 200);
    CHECK(str_ends(late, "line 1999 of many, each of which takes its room\n"));
    CHECK(!strstr(late, "first of all"));
    CHECK(late[0] == '2'); /* the date: a whole line is the first */
    AUTO(buf_done) struct buf got = BUF_INIT(0);
    CHECK_INT(io_read_file(path, &got), 0);
    CHECK(str_ends(got.data, late));
}
