/* SPDX-License-Identifier: Apache-2.0 */
#include "host/serial.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/test.h"

struct rig {
    struct loop *loop;
    pthread_t thread;
    struct serial *serial;
    char *log;
    int guest; /* the test plays QEMU */
};

static struct deadline soon(void)
{
    return deadline_in(20 * US_PER_SEC);
}

static void *loop_main(void *arg)
{
    CHECK_INT(loop_run(arg), 0);
    return NULL;
}

static void rig_open(struct rig *r)
{
    int pair[2];

    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    r->guest = pair[1];
    r->serial = serial_open(r->loop, pair[0], r->log);
}

static void rig_start(struct rig *r)
{
    *r = (struct rig){ .loop = loop_new(), .log = str_fmt("%s/serial.log", test_dir()) };
    CHECK(r->loop != NULL);
    CHECK_INT(thread_start(&r->thread, "test", 0, loop_main, r->loop), 0);
    rig_open(r);
}

static void post_note(void *arg)
{
    uint64_t one = 1;

    CHECK(write(*(int *)arg, &one, sizeof(one)) == sizeof(one));
}

/* Until the loop has done what was posted. */
static void settle(struct rig *r)
{
    AUTO(close_fd) int fd = eventfd(0, EFD_CLOEXEC);
    uint64_t n;

    loop_post(r->loop, post_note, &fd);
    CHECK(read(fd, &n, sizeof(n)) == sizeof(n));
}

static void rig_close(struct rig *r)
{
    serial_close(r->serial);
    settle(r);
    close_fd(&r->guest);
}

static void rig_end(struct rig *r)
{
    rig_close(r);
    loop_stop(r->loop);
    CHECK_INT(pthread_join(r->thread, NULL), 0);
    loop_free(r->loop);
    free(r->log);
}

static void say(int fd, const char *text)
{
    struct deadline d = soon();

    CHECK_INT(io_write_full(fd, text, strlen(text), &d), 0);
}

static void expect(int fd, const char *want)
{
    struct deadline d = soon();
    char got[256] = "";

    CHECK(strlen(want) < sizeof(got));
    CHECK_INT(io_read_full(fd, got, strlen(want), &d), 0);
    CHECK_STR(got, want);
}

static void expect_end(int fd)
{
    struct deadline d = soon();
    char c;

    CHECK_INT(io_read(fd, &c, 1, &d), 0);
}

static int view(struct rig *r)
{
    int fd = serial_view(r->serial, NULL);

    CHECK(fd >= 0);
    return fd;
}

/* n bytes whose values say where they stand. */
static char *pattern(size_t n, char first)
{
    char *text = mem_alloc(n + 1);

    for (size_t i = 0; i < n; i++)
        text[i] = (char)(first + (char)(i % 23));
    return text;
}

TEST(viewers)
{
    struct rig r;
    int a, b;

    rig_start(&r);
    a = view(&r);
    say(r.guest, "login: ");
    expect(a, "login: ");
    b = view(&r);
    expect(b, "login: ");
    say(a, "root\n");
    say(b, "x");
    {
        struct deadline d = soon();
        char got[7] = "";

        CHECK_INT(io_read_full(r.guest, got, 6, &d), 0);
        CHECK(strchr(got, 'x') && strchr(got, 'r'));
    }
    close_fd(&a);
    say(r.guest, "bye");
    expect(b, "bye");
    rig_end(&r);
    expect_end(b);
    close_fd(&b);
}

TEST(recent_is_bounded)
{
    AUTO(free_str) char *text = pattern(SERIAL_RECENT * 3, 'a');
    AUTO(free_str) char *got = mem_alloc(SERIAL_RECENT * 3);
    struct deadline d = soon();
    struct rig r;
    int first, late;

    rig_start(&r);
    first = view(&r);
    CHECK_INT(io_write_full(r.guest, text, SERIAL_RECENT * 3, &d), 0);
    CHECK_INT(io_read_full(first, got, SERIAL_RECENT * 3, &d),
              0); /* fast enough: all of it */
    CHECK(memcmp(got, text, SERIAL_RECENT * 3) == 0);
    late = view(&r);
    CHECK_INT(io_read_full(late, got, SERIAL_RECENT, &d), 0);
    CHECK(memcmp(got, text + SERIAL_RECENT * 2, SERIAL_RECENT) == 0);
    say(r.guest, "!");
    expect(late, "!");
    close_fd(&first);
    close_fd(&late);
    rig_end(&r);
}

TEST(slow_viewer_blocks_nobody)
{
    AUTO(free_str) char *text = pattern(64 << 10, 'a');
    AUTO(free_str) char *got = mem_alloc(64 << 10);
    struct deadline d = soon();
    struct rig r;
    int slow, fast;

    rig_start(&r);
    slow = view(&r);
    fast = view(&r);
    for (int i = 0; i < 64; i++) { /* 4 MiB, which slow does not read */
        CHECK_INT(io_write_full(r.guest, text, 64 << 10, &d), 0);
        CHECK_INT(io_read_full(fast, got, 64 << 10, &d), 0);
        CHECK(memcmp(got, text, 64 << 10) == 0);
    }
    CHECK_INT(io_read_full(slow, got, 64 << 10, &d), 0); /* the start is there */
    CHECK(memcmp(got, text, 64 << 10) == 0);
    close_fd(&slow);
    close_fd(&fast);
    rig_end(&r);
}

TEST(pasted_text_arrives_whole)
{
    enum { LEN = 1 << 20 };

    AUTO(free_str) char *text = pattern(LEN, 'A');
    AUTO(free_str) char *got = mem_alloc(LEN);
    struct deadline d = soon();
    struct rig r;
    size_t sent = 0, received = 0;
    int v;

    rig_start(&r);
    v = view(&r);
    CHECK_INT(io_set_nonblock(v, true), 0);
    while (received < LEN) {
        ssize_t n = sent < LEN ? write(v, text + sent, LEN - sent) : 0;

        if (n > 0) {
            sent += (size_t)n;
            continue; /* push until nothing goes any more */
        }
        n = io_read(r.guest, got + received, MIN(LEN - received, (size_t)4096), &d);
        CHECK(n > 0);
        received += (size_t)n;
    }
    CHECK(memcmp(got, text, LEN) == 0);
    close_fd(&v);
    rig_end(&r);
}

TEST(log_goes_on_and_turns_over)
{
    AUTO(free_str) char *old = NULL;
    AUTO(free_str) char *text = pattern(64 << 10, 'a');
    AUTO(free_str) char *got = mem_alloc(64 << 10);
    struct deadline d = soon();
    struct stat st;
    struct rig r;
    int v;

    rig_start(&r);
    old = str_fmt("%s.1", r.log);
    v = view(&r);
    say(r.guest, "first life\n");
    expect(v, "first life\n");
    close_fd(&v);
    rig_close(&r);
    rig_open(&r);
    v = view(&r);
    expect(v, "first life\n");
    say(r.guest, "second life\n");
    expect(v, "second life\n");
    for (int i = 0; i < 16; i++) {
        CHECK_INT(io_write_full(r.guest, text, 64 << 10, &d), 0);
        CHECK_INT(io_read_full(v, got, 64 << 10, &d), 0);
    }
    settle(&r);
    CHECK_INT(stat(old, &st), 0);
    CHECK(st.st_size <= (off_t)SERIAL_LOG_MAX);
    CHECK_INT(stat(r.log, &st), 0);
    CHECK(st.st_size > 0 && st.st_size < (off_t)SERIAL_LOG_MAX);
    close_fd(&v);
    rig_end(&r);
}

TEST(guest_hangs_up)
{
    struct rig r;
    int v;

    rig_start(&r);
    v = view(&r);
    say(r.guest, "last");
    expect(v, "last");
    close_fd(&r.guest);
    say(v, "anybody?"); /* goes nowhere */
    settle(&r);
    rig_end(&r);
    expect_end(v);
    close_fd(&v);
}
