/* SPDX-License-Identifier: Apache-2.0 */
/* Talks to qemu-guest-agent on the calling thread. guest-sync-delimited with a random number first: the channel may hold
 * the rest of an answer that an earlier caller gave up on, and the 0xff byte in front makes the agent drop half a
 * command. Owns no state. */
#include "host/agent.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "api/errors.h"
#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/uuid.h"

/* Of garbage in front of the synchronisation's answer. */
#define STALE_MAX (1U << 20)

struct link {
    int fd;
    const struct deadline *d;
    struct err *err;
    char chunk[4096];
    size_t at, len;
};

static int fail(struct link *l, const char *what)
{
    if (errno == ECANCELED)
        return err_set(l->err, ERR_TASK_CANCELLED, "");
    if (errno == ETIMEDOUT)
        return err_set(l->err, ERR_INTERNAL_ERROR, "The guest agent does not answer");
    err_set(l->err, ERR_INTERNAL_ERROR, "The guest agent failed");
    return err_detail(l->err, "%s: %m", what);
}

/* The next byte, or -1. */
static int next_byte(struct link *l)
{
    if (l->at == l->len) {
        ssize_t n = io_read(l->fd, l->chunk, sizeof(l->chunk), l->d);

        if (n == 0)
            errno = EPIPE;
        if (n <= 0)
            return fail(l, "read");
        l->at = 0;
        l->len = (size_t)n;
    }
    return (unsigned char)l->chunk[l->at++];
}

/* One line without its end, into out. */
static int read_line(struct link *l, struct buf *out)
{
    buf_clear(out);
    for (;;) {
        int c = next_byte(l);

        if (c < 0)
            return -1;
        if (c == '\n')
            return 0;
        buf_add_char(out, (char)c);
        if (buf_overflow(out))
            return err_set(l->err, ERR_INTERNAL_ERROR,
                           "The guest agent's answer is too long");
    }
}

static int send_line(struct link *l, const char *text)
{
    if (io_write_full(l->fd, text, strlen(text), l->d) < 0
        || io_write_full(l->fd, "\n", 1, l->d) < 0)
        return fail(l, "write");
    return 0;
}

static bool is_sync_answer(const struct buf *line, int64_t id)
{
    json_t *o = json_loadb(buf_str(line), line->len, 0, NULL);
    const json_t *ret = json_object_get(o, "return");
    bool same = json_is_integer(ret) && json_integer_value(ret) == id;

    json_decref(o);
    return same;
}

static int synchronise(struct link *l)
{
    AUTO(buf_done) struct buf line = BUF_INIT(AGENT_REPLY_MAX);
    AUTO(free_str) char *text = NULL;
    uint32_t id;

    random_bytes(&id, sizeof(id));
    text = str_fmt("\xff{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":%u}}",
                   id);
    if (send_line(l, text) < 0)
        return -1;
    for (size_t skipped = 0; skipped < STALE_MAX; skipped++) {
        int c = next_byte(l);

        if (c < 0)
            return -1;
        if (c != 0xff)
            continue;
        if (read_line(l, &line) < 0)
            return -1;
        if (is_sync_answer(&line, id))
            return 0;
        skipped += line.len;
    }
    return err_set(l->err, ERR_INTERNAL_ERROR, "The guest agent does not synchronise");
}

/* The command on one line, whatever white space the caller used. Given; NULL: not a JSON object. */
static char *one_line(const char *command_json)
{
    json_t *o = json_loads(command_json, JSON_REJECT_DUPLICATES, NULL);
    char *text = json_is_object(o) ? json_dumps(o, JSON_COMPACT) : NULL;

    json_decref(o);
    return text;
}

int agent_command(const char *socket_path, const char *command_json, char **reply_out,
                  const struct deadline *d, struct err *err)
{
    AUTO(free_str) char *command = one_line(command_json);
    AUTO(buf_done) struct buf line = BUF_INIT(AGENT_REPLY_MAX);
    AUTO(close_fd) int fd = -1;
    struct link l = { .d = d, .err = err };
    json_t *reply;

    if (!command)
        return err_set(err, ERR_INVALID_VALUE, "command", "not a JSON object");
    fd = io_connect_unix(socket_path, d);
    l.fd = fd;
    if (fd < 0)
        return fail(&l, "connect");
    if (synchronise(&l) < 0 || send_line(&l, command) < 0 || read_line(&l, &line) < 0)
        return -1;
    reply = utf8_valid(buf_str(&line), line.len)
                ? json_loadb(buf_str(&line), line.len, 0, NULL)
                : NULL;
    if (!json_is_object(reply)) {
        json_decref(reply);
        return err_set(err, ERR_INTERNAL_ERROR, "The guest agent's answer is not JSON");
    }
    json_decref(reply);
    *reply_out = buf_take(&line);
    return 0;
}
