/* SPDX-License-Identifier: Apache-2.0 */
#include "host/qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/test.h"

/* A connection whose other end the test plays. */
struct rig {
    struct loop *loop;
    pthread_t thread;
    struct qmp *q;
    int peer;
    int event_fd; /* counts what came */
    char last[64];
    bool ended;
};

static struct deadline soon(void)
{
    return deadline_in(20 * US_PER_SEC);
}

static void on_event(void *arg, const char *event, const json_t *data)
{
    struct rig *r = arg;
    uint64_t one = 1;

    if (event)
        memcpy(r->last, event, MIN(strlen(event) + 1, sizeof(r->last) - 1));
    else
        r->ended = true;
    CHECK(write(r->event_fd, &one, sizeof(one)) == sizeof(one));
}

static void wait_event(struct rig *r)
{
    struct deadline d = soon();
    uint64_t n;

    CHECK_INT(io_read_full(r->event_fd, &n, sizeof(n), &d), 0);
}

static void *loop_main(void *arg)
{
    CHECK_INT(loop_run(arg), 0);
    return NULL;
}

static void say(struct rig *r, const char *text)
{
    struct deadline d = soon();

    CHECK_INT(io_write_full(r->peer, text, strlen(text), &d), 0);
}

/* The next line that our side sent. */
static const char *hear(struct rig *r)
{
    static char line[65536];
    struct deadline d = soon();
    size_t n = 0;

    do {
        CHECK(n < sizeof(line) - 1);
        CHECK_INT(io_read_full(r->peer, line + n, 1, &d), 0);
    } while (line[n++] != '\n');
    line[n] = '\0';
    return line;
}

static void rig_start(struct rig *r)
{
    int pair[2];

    *r = (struct rig){ .loop = loop_new(),
                       .event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE) };
    CHECK(r->loop != NULL && r->event_fd >= 0);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    CHECK_INT(thread_start(&r->thread, "test", 0, loop_main, r->loop), 0);
    r->peer = pair[1];
    r->q = qmp_open(r->loop, pair[0], on_event, r);
    CHECK_STR(hear(r), "{\"execute\":\"qmp_capabilities\",\"id\":1}\n");
}

static void rig_ready(struct rig *r)
{
    AUTO(err_done) struct err err = { 0 };
    struct deadline d = soon();

    rig_start(r);
    say(r, "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n{\"return\": {}, \"id\": "
           "1}\r\n");
    CHECK_INT(qmp_ready(r->q, &d, &err), 0);
}

static void post_stop(void *arg)
{
    loop_stop(arg);
}

static void rig_end(struct rig *r)
{
    qmp_close(r->q);
    loop_post(r->loop, post_stop, r->loop);
    CHECK_INT(pthread_join(r->thread, NULL), 0);
    loop_free(r->loop);
    close_fd(&r->peer);
    close_fd(&r->event_fd);
}

/* A caller on a thread of its own. */
struct call {
    struct rig *r;
    pthread_t thread;
    int fd;
    int rc;
    json_t *ret;
    struct err err;
};

static void *call_main(void *arg)
{
    struct call *c = arg;
    struct deadline d = soon();

    c->rc = qmp_command(c->r->q, "query-status", json_pack("{ss}", "a", "b\n"), c->fd,
                        &c->ret, &d, &c->err);
    return NULL;
}

static void call_start(struct call *c, struct rig *r, int fd)
{
    *c = (struct call){ .r = r, .fd = fd };
    CHECK_INT(thread_start(&c->thread, "caller", 0, call_main, c), 0);
}

static void call_end(struct call *c)
{
    CHECK_INT(pthread_join(c->thread, NULL), 0);
}

TEST(answer_and_events)
{
    struct rig r;
    struct call c;

    rig_ready(&r);
    call_start(&c, &r, -1);
    CHECK_STR(hear(&r),
              "{\"execute\":\"query-status\",\"id\":2,\"arguments\":{\"a\":\"b\\n\"}}\n");
    say(&r, "{\"event\":\"STOP\",\"timestamp\":{}}\n{\"return\": {\"status\"");
    wait_event(&r);
    CHECK_STR(r.last, "STOP");
    say(&r, ": \"running\"}, \"id\": 2}\n");
    call_end(&c);
    CHECK_INT(c.rc, 0);
    CHECK_STR(json_string_value(json_object_get(c.ret, "status")), "running");
    json_decref(c.ret);
    rig_end(&r);
}

TEST(error_answer)
{
    struct rig r;
    struct call c;

    rig_ready(&r);
    call_start(&c, &r, -1);
    (void)hear(&r);
    say(&r, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no such thing\"}, "
            "\"id\": 2}\n");
    call_end(&c);
    CHECK_INT(c.rc, -1);
    CHECK_STR(c.err.code, ERR_INTERNAL_ERROR);
    CHECK_STR(c.err.params[0], "no such thing");
    err_done(&c.err);
    rig_end(&r);
}

TEST(descriptor_goes_with_the_command)
{
    struct rig r;
    struct call c;
    char text[512];
    int fds[4], mine = open("/dev/null", O_RDONLY | O_CLOEXEC);
    size_t n_fds = ARRAY_SIZE(fds);
    struct stat a, b;

    rig_ready(&r);
    call_start(&c, &r, mine);
    CHECK(io_recv_fds(r.peer, text, sizeof(text), fds, &n_fds) > 0);
    CHECK_INT(n_fds, 1);
    CHECK_INT(fstat(mine, &a), 0);
    CHECK_INT(fstat(fds[0], &b), 0);
    CHECK(a.st_rdev == b.st_rdev);
    say(&r, "{\"return\":{},\"id\":2}\n");
    call_end(&c);
    CHECK_INT(c.rc, 0);
    json_decref(c.ret);
    close_fd(&fds[0]);
    close_fd(&mine);
    rig_end(&r);
}

TEST(late_answer_is_dropped)
{
    AUTO(err_done) struct err err = { 0 };
    struct deadline at_once = deadline_in(1);
    struct rig r;
    struct call c;

    rig_ready(&r);
    CHECK_INT(qmp_command(r.q, "slow", NULL, -1, NULL, &at_once, &err), -1);
    CHECK_STR(err.code, ERR_INTERNAL_ERROR);
    (void)hear(&r);
    call_start(&c, &r, -1);
    (void)hear(&r);
    say(&r, "{\"return\": \"late\", \"id\": 2}\n{\"return\": \"mine\", \"id\": 3}\n");
    call_end(&c);
    CHECK_INT(c.rc, 0);
    CHECK_STR(json_string_value(c.ret), "mine");
    json_decref(c.ret);
    rig_end(&r);
}

TEST(cancel)
{
    AUTO(err_done) struct err err = { 0 };
    AUTO(close_fd) int cancel = eventfd(1, EFD_CLOEXEC);
    struct deadline d = deadline_in_cancel(20 * US_PER_SEC, cancel);
    struct rig r;

    rig_ready(&r);
    CHECK_INT(qmp_command(r.q, "slow", NULL, -1, NULL, &d, &err), -1);
    CHECK_STR(err.code, ERR_TASK_CANCELLED);
    rig_end(&r);
}

TEST(end_wakes_the_caller)
{
    struct rig r;
    struct call c;

    rig_ready(&r);
    call_start(&c, &r, -1);
    (void)hear(&r);
    close_fd(&r.peer);
    call_end(&c);
    CHECK_INT(c.rc, -1);
    wait_event(&r);
    CHECK(r.ended);
    CHECK(!qmp_is_open(r.q));
    err_done(&c.err);
    rig_end(&r);
}

TEST(close_wakes_the_caller)
{
    AUTO(err_done) struct err err = { 0 };
    struct deadline d = soon();
    struct rig r;
    struct call c;
    struct qmp *q;

    rig_ready(&r);
    q = qmp_hold(r.q);
    call_start(&c, &r, -1);
    (void)hear(&r);
    rig_end(&r);
    call_end(&c);
    CHECK_INT(c.rc, -1);
    CHECK_INT(qmp_command(q, "x", NULL, -1, NULL, &d, &err), -1);
    qmp_release(q);
    err_done(&c.err);
}

TEST(garbage_ends_the_connection)
{
    static const char *const garbage[] = {
        "hello\n", "[]\n", "{\n", "{}}\n", "\"x\"\n", "{\"event\": \"\xff\"}\n",
    };

    for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
        struct rig r;

        rig_ready(&r);
        say(&r, garbage[i]);
        wait_event(&r);
        CHECK(r.ended);
        rig_end(&r);
    }
}

TEST(strange_but_harmless)
{
    static const char *const lines[] = {
        "\n",
        "\r\n",
        "{}\n",
        "{\"id\":2}\n",
        "{\"id\":\"x\"}\n",
        "{\"return\":{},\"id\":999}\n",
        "{\"event\":5}\n",
        "{\"id\":-1,\"error\":{}}\n",
    };
    struct rig r;

    rig_ready(&r);
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        say(&r, lines[i]);
    say(&r, "{\"event\":\"LAST\"}\n");
    wait_event(&r);
    CHECK_STR(r.last, "LAST");
    CHECK(qmp_is_open(r.q));
    rig_end(&r);
}

TEST(too_long)
{
    AUTO(free_str) char *text = mem_alloc(65537);
    struct deadline d = soon();
    struct rig r;

    memset(text, ' ', 65536);
    rig_ready(&r);
    for (size_t sent = 0; sent <= QMP_MESSAGE_MAX + 65536; sent += 65536)
        if (io_write_full(r.peer, text, 65536, &d) < 0)
            break; /* it hung up */
    wait_event(&r);
    CHECK(r.ended);
    rig_end(&r);
}

TEST(not_ready_in_time)
{
    AUTO(err_done) struct err err = { 0 };
    struct deadline d = deadline_in(1);
    struct rig r;

    rig_start(&r);
    CHECK_INT(qmp_ready(r.q, &d, &err), -1);
    rig_end(&r);
}
