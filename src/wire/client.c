/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side of HTTP for our own programs. A call is sent once: a kept connection that the server has closed
 * meanwhile is found out before the request goes, never after, so no call can run twice. One thread at a time. */
#include "wire/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/parse.h"
#include "wire/http_int.h"
#include "wire/rpc.h"

#define ANSWER_MAX   ((size_t)64 * 1024 * 1024)
#define REASON_MAX   4096 /* of a refusal's body */
#define LOCATION_MAX 4096

struct client {
    struct client_target target; /* own copies of the strings */
    struct conn *conn;           /* kept; NULL: none */
    int64_t next_id;
};

/* The head of an answer. */
struct answer {
    int status;
    bool chunked, has_length, keep_alive;
    uint64_t length;
    char location[LOCATION_MAX]; /* "": none, or too long to be one */
};

struct client *client_new(const struct client_target *target)
{
    struct client *c = mem_alloc(sizeof(*c));
    c->target = *target;
    c->target.unix_path = str_dup(target->unix_path);
    c->target.host = str_dup(target->host);
    return c;
}

void client_free(struct client *c)
{
    if (!c)
        return;
    conn_close(&c->conn);
    free((char *)c->target.unix_path);
    free((char *)c->target.host);
    free(c);
}

static int transport(struct err *err)
{
    return err_set(err, CLIENT_TRANSPORT);
}

/* "unix:/run/x", "host:443". Given. */
static char *target_text(const struct client_target *t)
{
    if (t->unix_path)
        return str_fmt("unix:%s", t->unix_path);
    return str_fmt(strchr(t->host, ':') ? "[%s]:%u" : "%s:%u", t->host, t->port);
}

static struct conn *dial(const struct client_target *t, const struct deadline *d,
                         struct err *err)
{
    AUTO(free_str) char *where = target_text(t);
    int fd = t->unix_path ? io_connect_unix(t->unix_path, d)
                          : io_connect_tcp(t->host, t->port, d);
    if (fd < 0) {
        transport(err);
        err_detail(err, "cannot connect to %s: %s", where, io_connect_why());
        return NULL;
    }
    if (!t->tls)
        return conn_plain(fd);
    if (!t->trust) {
        close_fd(&fd);
        transport(err);
        err_detail(err, "%s: TLS without saying whom to trust", where);
        return NULL;
    }
    struct conn *c = conn_connect_tls(fd, t->trust, t->host ? t->host : "localhost", d);
    if (!c) {
        bool untrusted = errno == EKEYREJECTED;
        transport(err);
        err_detail(err,
                   untrusted ? "the certificate of %s is not trusted" : "TLS with %s: %m",
                   where);
    }
    return c;
}

/* One line of the head without CRLF. */
static int read_line(struct conn *c, char *line, size_t cap, const struct deadline *d)
{
    size_t len = 0;
    for (;;) {
        if (conn_read_full(c, line + len, 1, d) < 0)
            return -1;
        if (line[len] == '\n')
            break;
        if (++len == cap) {
            errno = EMSGSIZE;
            return -1;
        }
    }
    len -= len > 0 && line[len - 1] == '\r';
    line[len] = '\0';
    return 0;
}

static int bad_answer(void)
{
    errno = EBADMSG;
    return -1;
}

static int take_header(char *line, struct answer *a)
{
    char *value = strchr(line, ':');
    if (!value)
        return bad_answer();
    *value++ = '\0';
    value += strspn(value, " \t");
    size_t len = strlen(value);
    while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
        value[--len] = '\0';
    if (strcasecmp(line, "Content-Length") == 0) {
        if (a->has_length || !parse_u64(value, &a->length))
            return bad_answer();
        a->has_length = true;
    } else if (strcasecmp(line, "Transfer-Encoding") == 0) {
        if (strcasecmp(value, "chunked") != 0)
            return bad_answer();
        a->chunked = true;
    } else if (strcasecmp(line, "Location") == 0) {
        if (len < sizeof(a->location))
            memcpy(a->location, value, len + 1);
    } else if (strcasecmp(line, "Connection") == 0) {
        if (http_list_has(value, "close"))
            a->keep_alive = false;
    }
    return 0;
}

static int read_one_head(struct conn *c, struct answer *a, const struct deadline *d)
{
    AUTO(free_str) char *line = mem_resize(NULL, HTTP_HEAD_MAX + 1, 1);
    int64_t status;
    *a = (struct answer){ 0 };
    if (read_line(c, line, HTTP_HEAD_MAX, d) < 0)
        return -1;
    if (!str_starts(line, "HTTP/1.") || strlen(line) < 12 || line[8] != ' '
        || (line[12] != ' ' && line[12] != '\0'))
        return bad_answer();
    a->keep_alive = line[7] != '0';
    line[12] = '\0';
    if (!parse_range(line + 9, 100, 599, &status))
        return bad_answer();
    a->status = (int)status;
    for (int n = 0; n < HTTP_HEADERS_MAX; n++) {
        if (read_line(c, line, HTTP_HEAD_MAX, d) < 0)
            return -1;
        if (!line[0])
            return 0;
        if (take_header(line, a) < 0)
            return -1;
    }
    return bad_answer();
}

static int read_head(struct conn *c, struct answer *a, const struct deadline *d)
{
    for (int i = 0; i < 4; i++) {
        if (read_one_head(c, a, d) < 0)
            return -1;
        if (a->status >= 200 || a->status == 101)
            return 0;
    }
    return bad_answer();
}

/* To the end of the stream, at most out->max. */
static int read_to_end(struct conn *c, struct buf *out, const struct deadline *d)
{
    char *p;
    while ((p = buf_reserve(out, 16384)) != NULL) {
        ssize_t n = conn_read(c, p, 16384, d);
        if (n < 0)
            return -1;
        out->len += (size_t)n;
        out->data[out->len] = '\0';
        if (n == 0)
            return 0;
    }
    errno = EMSGSIZE;
    return -1;
}

static int read_body(struct conn *c, const struct answer *a, struct buf *out,
                     const struct deadline *d, struct err *err)
{
    int status = 0;
    AUTO(err_done) struct err why = { 0 };
    int rc;
    if (a->chunked)
        rc = http_read_chunked(c, out, d, &status, &why);
    else if (a->has_length)
        rc = http_read_sized(c, a->length, out, d, &status, &why);
    else
        rc = read_to_end(c, out, d);
    if (rc < 0) {
        AUTO(free_str) char *text = why.code ? err_text(&why) : NULL;
        transport(err);
        err_detail(err, "reading the answer: %s",
                   text ? text : "it broke off or is too long");
    }
    return rc;
}

static char *request_text(struct client *c, const char *method, const json_t *params,
                          size_t *len_out)
{
    AUTO(free_str)
    char *host = c->target.unix_path ? str_dup("localhost") : target_text(&c->target);
    json_t *call = json_pack("{s:s, s:s, s:O, s:I}", "jsonrpc", "2.0", "method", method,
                             "params", params, "id", (json_int_t)++c->next_id);
    AUTO(free_str) char *body = call ? json_dumps(call, JSON_COMPACT) : NULL;
    json_decref(call);
    if (!body)
        return NULL;
    struct buf b = BUF_INIT(0);
    buf_addf(&b,
             "POST /jsonrpc HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
             "User-Agent: serai/" SERAI_VERSION "\r\nContent-Length: %zu\r\n\r\n%s",
             host, strlen(body), body);
    explicit_bzero(body, strlen(body)); /* a login has a password in it */
    *len_out = b.len;
    return buf_take(&b);
}

/* A kept connection on which nothing may come is done for once it is readable. */
static bool still_open(const struct conn *c)
{
    struct pollfd p = { .fd = conn_fd(c), .events = POLLIN };
    return !conn_buffered(c) && poll(&p, 1, 0) == 0;
}

static int exchange(struct client *c, const char *text, size_t len, struct buf *body,
                    const struct deadline *d, struct err *err)
{
    if (c->conn && !still_open(c->conn))
        conn_close(&c->conn);
    if (!c->conn && !(c->conn = dial(&c->target, d, err)))
        return -1;
    struct answer a = { 0 };
    AUTO(free_str) char *where = target_text(&c->target);
    if (conn_write(c->conn, text, len, d) < 0) {
        transport(err);
        return err_detail(err, "sending to %s: %m", where);
    }
    if (read_head(c->conn, &a, d) < 0) {
        transport(err);
        return err_detail(err, "no answer from %s: %m", where);
    }
    if (read_body(c->conn, &a, body, d, err) < 0)
        return -1;
    if (!a.keep_alive || (!a.chunked && !a.has_length))
        conn_close(&c->conn);
    if (a.status != 200) {
        transport(err);
        return err_detail(err, "%s answered %d %s: %.200s", where, a.status,
                          http_reason(a.status), buf_str(body));
    }
    return 0;
}

int client_call(struct client *c, const char *method, const json_t *params,
                json_t **result_out, const struct deadline *d, struct err *err)
{
    size_t len = 0;
    char *text = request_text(c, method, params, &len);
    AUTO(buf_done) struct buf body = BUF_INIT(ANSWER_MAX);
    if (!text) {
        transport(err);
        return err_detail(err, "the parameters of %s cannot be written as JSON", method);
    }
    int rc = exchange(c, text, len, &body, d, err);
    explicit_bzero(text, len);
    free(text);
    if (rc < 0) {
        conn_close(&c->conn);
        return -1;
    }
    AUTO(err_done) struct err why = { 0 };
    json_t *result = jsonrpc_parse_response(buf_str(&body), body.len, &why);
    if (!result && str_eq(why.code, RPC_MALFORMED)) {
        AUTO(free_str) char *reason = err_text(&why);
        conn_close(&c->conn);
        transport(err);
        return err_detail(err, "the answer to %s: %s", method, reason);
    }
    if (!result) {
        err_move(err, &why);
        return -1;
    }
    *result_out = result;
    return 0;
}

struct conn *client_open(const struct client *c, const char *method, const char *path_query,
                         const char *extra, const struct deadline *d, struct err *err)
{
    AUTO(conn_close) struct conn *conn = dial(&c->target, d, err);
    if (!conn)
        return NULL;
    /* 1.0 keeps a stream free of chunks; an upgrade needs 1.1. */
    bool upgrade = extra && strcasestr(extra, "Upgrade:");
    AUTO(free_str) char *where = target_text(&c->target);
    AUTO(free_str)
    char *text = str_fmt("%s %s HTTP/1.%d\r\nHost: %s\r\nUser-Agent: serai/" SERAI_VERSION
                         "\r\n%s\r\n",
                         method, path_query, upgrade,
                         c->target.unix_path ? "localhost" : where, extra ? extra : "");
    struct answer a = { 0 };
    bool ok = conn_write(conn, text, strlen(text), d) == 0 && read_head(conn, &a, d) == 0;
    explicit_bzero(text, strlen(text)); /* a session may be in it */
    if (!ok) {
        transport(err);
        err_detail(err, "no answer from %s: %m", where);
        return NULL;
    }
    if (a.status == 200 || a.status == 101)
        return TAKE(conn);
    AUTO(buf_done) struct buf body = BUF_INIT(REASON_MAX + 16384);
    AUTO(err_done) struct err ignored = { 0 };
    (void)read_body(conn, &a, &body, d, &ignored); /* what came of it is shown */
    transport(err);
    err_detail(err, "%s answered %d %s: %.200s", where, a.status, http_reason(a.status),
               buf_str(&body));
    return NULL;
}

int client_get(const struct client *c, const char *path_query, const struct deadline *d,
               struct client_got *out, struct err *err)
{
    AUTO(conn_close) struct conn *conn = dial(&c->target, d, err);
    if (!conn)
        return -1;
    AUTO(free_str) char *where = target_text(&c->target);
    /* 1.0: no server may answer in chunks. */
    AUTO(free_str)
    char *text = str_fmt("GET %s HTTP/1.0\r\nHost: %s\r\nUser-Agent: serai/" SERAI_VERSION
                         "\r\nConnection: close\r\n\r\n",
                         path_query, where);
    struct answer a = { 0 };
    bool ok = conn_write(conn, text, strlen(text), d) == 0 && read_head(conn, &a, d) == 0;
    explicit_bzero(text, strlen(text)); /* a session may be in it */
    if (!ok || a.chunked) {
        transport(err);
        return ok ? err_detail(err, "%s answers a request of HTTP/1.0 in chunks", where)
                  : err_detail(err, "no answer from %s: %m", where);
    }
    *out = (struct client_got){ .status = a.status,
                                .conn = a.status == 200 ? TAKE(conn) : NULL,
                                .length = a.has_length ? a.length : UINT64_MAX,
                                .location = a.location[0] ? str_dup(a.location) : NULL };
    return 0;
}

int client_request(const struct client *c, const struct client_ask *ask, int *status_out,
                   struct buf *answer, const struct deadline *d, struct err *err)
{
    AUTO(conn_close) struct conn *conn = dial(&c->target, d, err);
    if (!conn)
        return -1;
    AUTO(free_str) char *where = target_text(&c->target);
    AUTO(free_str)
    char *head = str_fmt("%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: serai/" SERAI_VERSION
                         "\r\nConnection: close\r\nContent-Length: %zu\r\n%s\r\n",
                         ask->method, ask->path_query, where, ask->len,
                         ask->extra ? ask->extra : "");
    struct answer a = { 0 };
    /* A server may refuse and answer before it has read all: what it says counts, not that it stopped reading. */
    bool sent = conn_write(conn, head, strlen(head), d) == 0
                && (ask->len == 0 || conn_write(conn, ask->body, ask->len, d) == 0);
    explicit_bzero(head, strlen(head)); /* a signature or a password may be in it */
    if (read_head(conn, &a, d) < 0) {
        transport(err);
        return err_detail(err, "%s %s: %m", sent ? "no answer from" : "sending to", where);
    }
    if (read_body(conn, &a, answer, d, err) < 0)
        return -1;
    *status_out = a.status;
    return 0;
}
