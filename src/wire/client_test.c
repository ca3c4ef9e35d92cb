/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/client.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/test.h"
#include "wire/http.h"
#include "wire/rpc.h"

/* A server that plays a script: each line is one answer; NULL ends the connection, then the next is accepted. */
struct server {
    int lfd;
    struct tls_server *tls;
    const char *const *script;
    size_t n;
    size_t accepted;
    int closed; /* an eventfd: how many connections it has closed */
    char *path; /* of the last request */
    char *seen; /* "method params" of the last call */
    pthread_t thread;
    struct deadline d;
};

static void note_request(struct server *s, const struct http_req *r, const struct buf *body)
{
    struct rpc_req call = { 0 };
    free(s->path);
    s->path = str_dup(r->path);
    if (r->method != HTTP_POST || jsonrpc_parse(body->data, body->len, &call, NULL) < 0)
        return;
    char *params = json_dumps(call.params, JSON_COMPACT);
    free(s->seen);
    s->seen = str_fmt("%s %s", call.method, params);
    free(params);
    rpc_req_done(&call);
}

static bool serve_one(struct server *s, struct conn *c, const char *answer)
{
    AUTO(buf_done) struct buf body = BUF_INIT(0);
    struct http_req *r = http_req_new();
    int status;
    bool ok = http_read_head(c, r, &s->d, &status, NULL) == 1
              && http_read_body(c, r, &body, &s->d, &status, NULL) == 0;
    if (ok)
        note_request(s, r, &body);
    http_req_free(r);
    return ok && conn_write(c, answer, strlen(answer), &s->d) == 0;
}

static void *server_thread(void *arg)
{
    struct server *s = arg;
    for (size_t i = 0; i < s->n;) {
        int fd = accept4(s->lfd, NULL, NULL, SOCK_CLOEXEC);
        struct conn *c = s->tls ? conn_accept_tls(fd, s->tls, &s->d) : conn_plain(fd);
        s->accepted++;
        while (i < s->n && s->script[i] && c && serve_one(s, c, s->script[i]))
            i++;
        if (i < s->n && s->script[i])
            i = s->n; /* it broke: let the test fail */
        i++;
        conn_close(&c);
        if (eventfd_write(s->closed, 1) < 0)
            abort();
    }
    return NULL;
}

static struct client_target server_start(struct server *s, const char *const *script,
                                         size_t n, struct tls_server *tls)
{
    AUTO(free_str) char *bound = NULL;
    int64_t port;
    *s = (struct server){
        .script = script, .n = n, .tls = tls, .d = deadline_in(10 * US_PER_SEC)
    };
    s->closed = eventfd(0, EFD_CLOEXEC);
    s->lfd = io_listen_tcp("127.0.0.1:0", 5, &bound);
    CHECK(s->lfd >= 0);
    CHECK(parse_range(strrchr(bound, ':') + 1, 1, 65535, &port));
    CHECK(thread_start(&s->thread, "server", 0, server_thread, s) == 0);
    return (struct client_target){ .host = "127.0.0.1",
                                   .port = (unsigned)port,
                                   .tls = tls != NULL };
}

static void server_join(struct server *s)
{
    pthread_join(s->thread, NULL);
    close(s->lfd);
    close(s->closed);
}

static void server_done(struct server *s)
{
    free(s->path);
    free(s->seen);
}

#define SIZED(len, body) "HTTP/1.1 200 OK\r\nContent-Length: " len "\r\n\r\n" body
#define RESULT_1         SIZED("36", "{\"jsonrpc\":\"2.0\",\"result\":1,\"id\":1}\n")
#define ERROR_2                                                                       \
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"                           \
    "4\r\n{\"er\r\n47\r\nror\":{\"code\":1,\"message\":\"HANDLE_INVALID\",\"data\":[" \
    "\"VM\",\"x\"]},\"id\":1}   \r\n0\r\n\r\n"
#define TO_END "HTTP/1.0 200 OK\r\n\r\n{\"result\":{\"a\":[]},\"error\":null,\"id\":3}"

/* One call; *code_out: given, NULL on success. */
static json_t *call(struct client *c, char **code_out, char **detail_out)
{
    json_t *result = NULL;
    struct err err = { 0 };
    struct deadline d = deadline_in(5 * US_PER_SEC);
    json_t *params = json_pack("[s, i]", "a\"b", 7);
    int rc = client_call(c, "VM.test", params, &result, &d, &err);
    json_decref(params);
    CHECK((rc == 0) == (err.code == NULL));
    *code_out = str_dup(err.code);
    if (detail_out)
        *detail_out = str_dup(err.detail);
    err_done(&err);
    return result;
}

TEST(calls_over_one_connection)
{
    static const char *const script[] = { RESULT_1, ERROR_2, TO_END, NULL, RESULT_1 };
    struct server s;
    struct client_target t = server_start(&s, script, ARRAY_SIZE(script), NULL);
    struct client *c = client_new(&t);
    AUTO(free_str) char *one = NULL, *two = NULL, *three = NULL, *four = NULL;
    json_t *result = call(c, &one, NULL);
    CHECK(!one && json_integer_value(result) == 1);
    json_decref(result);
    CHECK(!call(c, &two, NULL));
    CHECK_STR(two, "HANDLE_INVALID");
    result = call(c, &three, NULL);
    CHECK(!three && json_is_object(result));
    json_decref(result);
    result = call(c, &four, NULL);
    CHECK(!four && json_integer_value(result) == 1);
    json_decref(result);
    client_free(c);
    server_join(&s);
    CHECK_INT(s.accepted, 2);
    CHECK_STR(s.path, "/jsonrpc");
    CHECK_STR(s.seen, "VM.test [\"a\\\"b\",7]");
    server_done(&s);
}

/* The server closes a kept connection between two calls: the second call does not notice. */
TEST(a_kept_connection_that_was_closed)
{
    static const char *const script[] = { RESULT_1, NULL, RESULT_1 };
    struct server s;
    struct client_target t = server_start(&s, script, ARRAY_SIZE(script), NULL);
    struct client *c = client_new(&t);
    for (int i = 0; i < 2; i++) {
        AUTO(free_str) char *code = NULL;
        json_t *result = call(c, &code, NULL);
        CHECK(!code && json_integer_value(result) == 1);
        json_decref(result);
        uint64_t closed;
        if (i == 0)
            CHECK_INT(io_read_full(s.closed, &closed, sizeof(closed), &s.d), 0);
    }
    client_free(c);
    server_join(&s);
    server_done(&s);
    CHECK_INT(s.accepted, 2);
}

TEST(answers_that_are_none)
{
    static const struct {
        const char *answer, *detail;
    } cases[] = {
        { "", "no answer from" },
        { "HTTP/1.1 200 OK\r\n", "no answer from" },
        { "SSH-2.0-OpenSSH\r\n\r\n", "no answer from" },
        { "HTTP/1.1 99 x\r\n\r\n", "no answer from" },
        { "HTTP/1.1 2000 x\r\n\r\n", "no answer from" },
        { "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "no answer from" },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "no answer from" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{", "reading the answer" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{", "reading the answer" },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
          "reading the answer" },
        { SIZED("6", "<html>"), "the answer to VM.test" },
        { SIZED("2", "{}"), "the answer to VM.test" },
        { "HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\noops", "answered 500" },
        { "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "answered 302" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct server s;
        AUTO(free_str) char *code = NULL, *detail = NULL;
        struct client_target t = server_start(&s, &cases[i].answer, 1, NULL);
        struct client *c = client_new(&t);
        CHECK(!call(c, &code, &detail));
        client_free(c);
        server_join(&s);
        server_done(&s);
        CHECK_STR(code, CLIENT_TRANSPORT);
        if (!strstr(detail, cases[i].detail))
            test_fail(__FILE__, __LINE__, "case %zu: %s", i, detail);
    }
}

TEST(nobody_there)
{
    AUTO(free_str) char *path = str_fmt("%s/absent", test_dir());
    struct client_target t = { .unix_path = path };
    AUTO(free_str) char *code = NULL, *detail = NULL;
    struct client *c = client_new(&t);
    CHECK(!call(c, &code, &detail));
    client_free(c);
    CHECK_STR(code, CLIENT_TRANSPORT);
    CHECK(strstr(detail, "cannot connect to unix:"));
}

TEST(calls_by_tls)
{
    static const char *const script[] = { RESULT_1, RESULT_1 };
    static const char *const names[] = { "127.0.0.1" };
    AUTO(free_str) char *pem = str_fmt("%s/tls.pem", test_dir());
    CHECK(tls_make_self_signed(pem, names, 1, NULL) == 0);
    for (int trusted = 0; trusted < 2; trusted++) {
        struct tls_server *ts = tls_server_new(pem, pem, NULL);
        struct tls_client *tc = tls_client_new(trusted ? pem : NULL, NULL, false, NULL);
        struct server s;
        AUTO(free_str) char *code = NULL, *detail = NULL;
        struct client_target t = server_start(&s, script, trusted ? 2 : 1, ts);
        t.trust = tc;
        struct client *c = client_new(&t);
        json_t *result = call(c, &code, &detail);
        if (result) {
            json_decref(result);
            result = call(c, &code, &detail); /* tickets do not make it look closed */
        }
        client_free(c);
        server_join(&s);
        server_done(&s);
        tls_server_free(ts);
        tls_client_free(tc);
        CHECK((result != NULL) == (trusted == 1));
        CHECK_INT(s.accepted, 1);
        json_decref(result);
        if (!trusted)
            CHECK(strstr(detail, "is not trusted"));
    }
}

TEST(open_streams)
{
    static const struct {
        const char *answer, *first; /* NULL: refused */
    } cases[] = {
        { "HTTP/1.1 200 OK\r\nServer: x\r\n\r\nRFB 003.008\n", "RFB 003.008\n" },
        { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nabc", "abc" },
        { "HTTP/1.1 404 Not Found\r\nContent-Length: 10\r\n\r\nno console", NULL },
        { "HTTP/1.0 401 Unauthorized\r\n\r\n", NULL },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct server s;
        AUTO(err_done) struct err err = { 0 };
        struct deadline d = deadline_in(5 * US_PER_SEC);
        char got[64] = "";
        struct client_target t = server_start(&s, &cases[i].answer, 1, NULL);
        struct client *c = client_new(&t);
        struct conn *stream = client_open(c, "CONNECT", "/console?ref=x",
                                          "Cookie: session_id=y\r\n", &d, &err);
        bool ok = stream != NULL;
        int rc = ok && cases[i].first
                     ? conn_read_full(stream, got, strlen(cases[i].first), &d)
                     : 0;
        conn_close(&stream);
        client_free(c);
        server_join(&s);
        CHECK_STR(s.path, "/console");
        CHECK(ok == (cases[i].first != NULL));
        CHECK_INT(rc, 0);
        if (ok)
            CHECK_STR(got, cases[i].first);
        else
            CHECK_STR(err.code, CLIENT_TRANSPORT);
        if (i == 2)
            CHECK(strstr(err.detail, "404") && strstr(err.detail, "no console"));
        server_done(&s);
    }
}
