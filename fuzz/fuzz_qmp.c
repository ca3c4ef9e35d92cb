/* SPDX-License-Identifier: Apache-2.0 */
/* What a QEMU that a guest has taken over may send. The loop runs on this thread: it ends when the connection does. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "fuzz.h"
#include "host/qmp.h"

static void on_event(void *arg, const char *event, const json_t *data)
{
    struct loop *loop = arg;
    REQUIRE(!data || event);
    REQUIRE(!event || strlen(event) < QMP_MESSAGE_MAX);
    if (!event)
        loop_stop(loop);
}

static void post_stop(void *arg)
{
    loop_stop(arg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(err_done) struct err err = { 0 };
    struct deadline now = deadline_in(0);
    struct loop *loop = loop_new();
    int pair[2];
    if (size > 65536) /* what the socket holds */
        size = 65536;
    REQUIRE(loop && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    REQUIRE(size == 0 || write(pair[1], data, size) == (ssize_t)size);
    REQUIRE(shutdown(pair[1], SHUT_WR) == 0);
    struct qmp *q = qmp_open(loop, pair[0], on_event, loop);
    /* A command waits meanwhile, with the id that its answer may bear. */
    REQUIRE(qmp_command(q, "query-status", NULL, -1, NULL, &now, &err) < 0);
    REQUIRE(loop_run(loop) == 0);
    REQUIRE(!qmp_is_open(q));
    qmp_close(q);
    loop_post(loop, post_stop, loop);
    REQUIRE(loop_run(loop) == 0);
    loop_free(loop);
    close_fd(&pair[1]);
    return 0;
}
