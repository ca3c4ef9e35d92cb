/* SPDX-License-Identifier: Apache-2.0 */
#include "host/agent.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/test.h"

/* A guest that answers what the test tells it to. */
struct guest {
    char *path;
    int listener;
    bool sync_wrong;
    pthread_t thread;
    const char *before; /* sent ahead of the synchronisation's answer */
    const char *answer; /* to the command; NULL: none */
    size_t answer_len;  /* 0: strlen */
    char command[256];  /* what was asked */
};

static struct deadline soon(void)
{
    return deadline_in(20 * US_PER_SEC);
}

static bool hear(int fd, char *line, size_t size)
{
    struct deadline d = soon();
    size_t n = 0;

    do {
        CHECK(n < size - 1);
        if (io_read(fd, line + n, 1, &d) != 1)
            return false;
    } while (line[n++] != '\n');
    line[n - 1] = '\0';
    return true;
}

static void *guest_main(void *arg)
{
    struct guest *g = arg;
    struct deadline d = soon();
    char line[512];
    AUTO(close_fd) int fd = -1;
    AUTO(free_str) char *reply = NULL;
    json_t *o;

    CHECK(deadline_poll(&d, g->listener, POLLIN) > 0);
    fd = accept4(g->listener, NULL, NULL, SOCK_CLOEXEC);
    CHECK(fd >= 0);
    CHECK(hear(fd, line, sizeof(line)));
    CHECK(line[0] == '\xff');
    o = json_loads(line + 1, 0, NULL);
    CHECK_STR(json_string_value(json_object_get(o, "execute")), "guest-sync-delimited");
    reply = str_fmt("\xff{\"return\": %lld}\n",
                    (long long)json_integer_value(
                        json_object_get(json_object_get(o, "arguments"), "id"))
                        + (g->sync_wrong ? 1 : 0));
    json_decref(o);
    if (g->before)
        CHECK_INT(io_write_full(fd, g->before, strlen(g->before), &d), 0);
    CHECK_INT(io_write_full(fd, reply, strlen(reply), &d), 0);
    if (!hear(fd, g->command, sizeof(g->command)))
        return NULL;
    if (g->answer)
        (void)!io_write_full(fd, g->answer,
                             g->answer_len ? g->answer_len : strlen(g->answer), &d);
    (void)!io_read(fd, line, 1, &d); /* until it hangs up */
    return NULL;
}

/* Run one command against g. */
static int ask(struct guest *g, const char *command, int64_t us, char **reply,
               struct err *err)
{
    struct deadline d = deadline_in(us);
    int rc;

    g->path = str_fmt("%s/agent.sock", test_dir());
    g->listener = io_listen_unix(g->path, 0600, 4);
    CHECK(g->listener >= 0);
    CHECK_INT(thread_start(&g->thread, "guest", 0, guest_main, g), 0);
    rc = agent_command(g->path, command, reply, &d, err);
    CHECK_INT(pthread_join(g->thread, NULL), 0);
    close_fd(&g->listener);
    free(g->path);
    return rc;
}

TEST(answers)
{
    AUTO(free_str) char *reply = NULL;
    AUTO(err_done) struct err err = { 0 };
    struct guest g = { .answer = "{\"return\": {\"x\": \"\xc3\xa9\"}}\n" };

    CHECK_INT(ask(&g, "{\n \"execute\": \"guest-ping\"\n}", 20 * US_PER_SEC, &reply, &err),
              0);
    CHECK_STR(g.command, "{\"execute\":\"guest-ping\"}");
    CHECK_STR(reply, "{\"return\": {\"x\": \"\xc3\xa9\"}}");
}

TEST(skips_what_is_stale)
{
    AUTO(free_str) char *reply = NULL;
    AUTO(err_done) struct err err = { 0 };
    struct guest g = {
        .before = "{\"return\": {}}\n\xff{\"return\": 1}\n\xff\xffgarbage\n{\"return",
        .answer = "{\"error\": {\"class\": \"CommandNotFound\"}}\n"
    };

    CHECK_INT(ask(&g, "{\"execute\":\"x\"}", 20 * US_PER_SEC, &reply, &err), 0);
    CHECK_STR(reply, "{\"error\": {\"class\": \"CommandNotFound\"}}");
}

TEST(hostile_answers)
{
    AUTO(free_str) char *huge = mem_alloc(AGENT_REPLY_MAX + 100);
    struct guest cases[] = {
        { .answer = "no json\n" },
        { .answer = "[1]\n" },
        { .answer = "{\"return\": \"\xff\"}\n" },
        { .answer = "{\"return\": \"\xc0\x80\"}\n" },
        { .answer = "{\"a\":\"\0\"}\n", .answer_len = 10 },
        { .answer = huge, .answer_len = AGENT_REPLY_MAX + 100 },
    };

    memset(huge, ' ', AGENT_REPLY_MAX + 99);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(err_done) struct err err = { 0 };
        char *reply = NULL;

        CHECK_INT(ask(&cases[i], "{}", 20 * US_PER_SEC, &reply, &err), -1);
        CHECK_STR(err.code, ERR_INTERNAL_ERROR);
        CHECK(strstr(err.params[0], "guest agent's answer") != NULL);
        CHECK(reply == NULL);
    }
}

TEST(silence)
{
    AUTO(err_done) struct err err = { 0 };
    AUTO(err_done) struct err wrong = { 0 };
    struct guest g = { .answer = NULL }, w = { .sync_wrong = true };
    char *reply = NULL;

    CHECK_INT(ask(&g, "{}", 50 * US_PER_MS, &reply, &err), -1);
    CHECK_STR(err.params[0], "The guest agent does not answer");
    CHECK_INT(ask(&w, "{}", 50 * US_PER_MS, &reply, &wrong), -1);
    CHECK_STR(wrong.params[0], "The guest agent does not answer");
}

TEST(nobody_there)
{
    AUTO(err_done) struct err err = { 0 };
    AUTO(err_done) struct err bad = { 0 };
    AUTO(free_str) char *path = str_fmt("%s/none.sock", test_dir());
    struct deadline d = soon();
    char *reply = NULL;

    CHECK_INT(agent_command(path, "{}", &reply, &d, &err), -1);
    CHECK_STR(err.code, ERR_INTERNAL_ERROR);
    CHECK_INT(agent_command(path, "rm -rf", &reply, &d, &bad), -1);
    CHECK_STR(bad.code, ERR_INVALID_VALUE);
}
