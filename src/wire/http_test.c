/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/http.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/test.h"

static void free_req(struct http_req **r)
{
    http_req_free(*r);
}

/* Every prefix must be "more" or already the final verdict. */
static ssize_t parse_all_ways(const char *p, size_t len, struct http_req *r,
                              int *status_out)
{
    *status_out = 0;
    ssize_t whole = http_parse_head(p, len, r, status_out, NULL);
    for (size_t n = 0; n < len; n++) {
        int status = 0;
        ssize_t got = http_parse_head(p, n, r, &status, NULL);
        if (got != 0)
            CHECK(got == whole && status == *status_out && (got < 0 || n >= (size_t)got));
        else
            CHECK(whole <= 0 || n < (size_t)whole);
    }
    return http_parse_head(p, len, r, status_out, NULL);
}

TEST(good_requests)
{
    static const struct {
        const char *head, *path;
        enum http_method method;
        bool keep_alive, chunked, has_length;
        uint64_t length;
    } cases[] = {
        { "GET / HTTP/1.1\r\n\r\n", "/", HTTP_GET, true, false, false, 0 },
        { "GET / HTTP/1.0\r\n\r\n", "/", HTTP_GET, false, false, false, 0 },
        { "\r\n\r\nGET /x HTTP/1.1\r\nHost:\r\n\r\n", "/x", HTTP_GET, true, false, false,
          0 },
        { "POST /cli HTTP/1.0\r\nUser-agent: xe\r\ncontent-length: 12\r\n\r\n", "/cli",
          HTTP_POST, false, false, true, 12 },
        { "POST /jsonrpc HTTP/1.1\r\nContent-Length:5\r\nConnection: Close\r\n\r\n",
          "/jsonrpc", HTTP_POST, false, false, true, 5 },
        { "POST / HTTP/1.0\r\nConnection: x, Keep-Alive\r\n\r\n", "/", HTTP_POST, true,
          false, false, 0 },
        { "POST /RPC2 HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n", "/RPC2", HTTP_POST,
          true, true, false, 0 },
        { "PUT /import/?sr_id=a HTTP/1.1\r\nContent-Length: 1125899906842624\r\n\r\n",
          "/import/", HTTP_PUT, true, false, true, 1125899906842624 },
        { "CONNECT /console?ref=a HTTP/1.0\r\nHost: h\r\nCookie: session_id=b\r\n\r\n",
          "/console", HTTP_CONNECT, false, false, false, 0 },
        { "OPTIONS * HTTP/1.1\r\n\r\n", "*", HTTP_OPTIONS, true, false, false, 0 },
        { "GET http://h:80/a%20b?c HTTP/1.1\r\n\r\n", "/a b", HTTP_GET, true, false, false,
          0 },
        { "GET https://h?c=d HTTP/1.1\r\n\r\n", "/", HTTP_GET, true, false, false, 0 },
        { "GET /a/../b HTTP/1.1\r\n\r\n", "/a/../b", HTTP_GET, true, false, false, 0 },
        { "BREW /pot HTTP/1.7\r\n\r\n", "/pot", HTTP_OTHER, true, false, false, 0 },
        { "HEAD /x HTTP/1.1\r\nA: \xff\xc3\xa9\r\n\r\n", "/x", HTTP_HEAD, true, false,
          false, 0 },
    };
    AUTO(free_req) struct http_req *r = http_req_new();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int status;
        size_t len = strlen(cases[i].head);
        ssize_t n = parse_all_ways(cases[i].head, len, r, &status);
        if (n != (ssize_t)len)
            test_fail(__FILE__, __LINE__, "%s: %zd, status %d", cases[i].head, n, status);
        CHECK_INT(r->method, cases[i].method);
        CHECK_STR(r->path, cases[i].path);
        CHECK_INT(r->keep_alive, cases[i].keep_alive);
        CHECK_INT(r->chunked, cases[i].chunked);
        CHECK_INT(r->has_length, cases[i].has_length);
        CHECK_INT(r->length, cases[i].length);
    }
}

TEST(bad_requests)
{
    static const struct {
        const char *head;
        int status;
    } cases[] = {
        { "\x16\x03\x01", 400 },
        { "GET / HTTP/1.1\n\n", 400 },
        { "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nA: b\x01\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nA: b\x7f\r\n\r\n", 400 },
        { "\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n", 400 },
        { "GET  / HTTP/1.1\r\n\r\n", 400 },
        { "GET / HTTP/1.1 \r\n\r\n", 400 },
        { "GET /\r\n\r\n", 400 },
        { "GET\r\n\r\n", 400 },
        { " GET / HTTP/1.1\r\n\r\n", 400 },
        { "G(T / HTTP/1.1\r\n\r\n", 400 },
        { "GET / HTTP/11\r\n\r\n", 400 },
        { "GET / http/1.1\r\n\r\n", 400 },
        { "GET / HTTP/1.x\r\n\r\n", 400 },
        { "GET / HTTP/2.0\r\n\r\n", 505 },
        { "PRI * HTTP/2.0\r\n\r\n", 505 },
        { "GET x HTTP/1.1\r\n\r\n", 400 },
        { "GET * HTTP/1.1\r\n\r\n", 400 },
        { "GET /a#b HTTP/1.1\r\n\r\n", 400 },
        { "GET /\xc3\xa9 HTTP/1.1\r\n\r\n", 400 },
        { "GET /%00 HTTP/1.1\r\n\r\n", 400 },
        { "GET /%2 HTTP/1.1\r\n\r\n", 400 },
        { "GET /?a=%zz HTTP/1.1\r\n\r\n", 400 },
        { "GET ftp://h/ HTTP/1.1\r\n\r\n", 400 },
        { "GET http://u@h/ HTTP/1.1\r\n\r\n", 400 },
        { "CONNECT h:22 HTTP/1.1\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n A: b\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nA : b\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n: b\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nA\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nContent-Length: 0x10\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nContent-Length:\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nContent-Length: 18446744073709551616\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nContent-Length: 9223372036854775808\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
          400 },
        { "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
          400 },
        { "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
          "chunked\r\n\r\n",
          400 },
        { "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501 },
        { "POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n", 501 },
        { "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
    };
    AUTO(free_req) struct http_req *r = http_req_new();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int status;
        ssize_t n = parse_all_ways(cases[i].head, strlen(cases[i].head), r, &status);
        if (n != -1 || status != cases[i].status)
            test_fail(__FILE__, __LINE__, "%s: %zd, status %d", cases[i].head, n, status);
    }
}

TEST(limits)
{
    AUTO(free_req) struct http_req *r = http_req_new();
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    AUTO(err_done) struct err err = { 0 };
    int status = 0;

    buf_add_str(&b, "GET /");
    for (int i = 0; i < 8200; i++)
        buf_add_char(&b, 'a');
    CHECK_INT(http_parse_head(b.data, b.len, r, &status, &err), -1);
    CHECK_INT(status, 414);
    CHECK_STR(err.code, HTTP_REFUSED);

    buf_clear(&b);
    buf_add_str(&b, "GET / HTTP/1.1\r\n");
    for (int i = 0; i < HTTP_HEADERS_MAX; i++)
        buf_addf(&b, "A%d: b\r\n", i);
    size_t hundred = b.len;
    buf_add_str(&b, "\r\n");
    CHECK_INT(http_parse_head(b.data, b.len, r, &status, NULL), b.len);
    CHECK_STR(http_header(r, "a99"), "b");
    b.len = hundred;
    buf_add_str(&b, "B: c\r\n\r\n");
    CHECK_INT(http_parse_head(b.data, b.len, r, &status, NULL), -1);
    CHECK_INT(status, 431);

    buf_clear(&b);
    buf_add_str(&b, "GET / HTTP/1.1\r\nA: ");
    while (b.len < HTTP_HEAD_MAX - 4)
        buf_add_char(&b, 'x');
    buf_add_str(&b, "\r\n\r\n");
    CHECK_INT(http_parse_head(b.data, b.len, r, &status, NULL), HTTP_HEAD_MAX);
    b.len -= 4;
    buf_add_str(&b, "x\r\n\r\n");
    CHECK_INT(http_parse_head(b.data, b.len, r, &status, NULL), -1);
    CHECK_INT(status, 431);
}

TEST(arguments)
{
    static const char head[] =
        "GET /export?ref=OpaqueRef%3A1&task_id=q HTTP/1.1\r\n"
        "Cookie: a=b; session_id=OpaqueRef%3A2 ; quoted=\"v w\"; task_id=c\r\n"
        "cookie: late=yes; session_idx=no; bad=%zz\r\n"
        "Authorization: Basic cm9vdDpwYTpzcw==\r\n\r\n";
    AUTO(free_req) struct http_req *r = http_req_new();
    int status;
    CHECK(http_parse_head(head, strlen(head), r, &status, NULL) > 0);

    static const struct {
        const char *name, *cookie, *arg;
    } cases[] = {
        { "ref", NULL, "OpaqueRef:1" },
        { "task_id", "c", "q" },
        { "session_id", "OpaqueRef:2", "OpaqueRef:2" },
        { "quoted", "v w", "v w" },
        { "late", "yes", "yes" },
        { "bad", "%zz", "%zz" },
        { "session", NULL, NULL },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(free_str) char *cookie = http_cookie(r, cases[i].name);
        AUTO(free_str) char *arg = http_arg(r, cases[i].name);
        CHECK(str_eq(cookie, cases[i].cookie));
        CHECK(str_eq(arg, cases[i].arg));
    }
    AUTO(free_str) char *user = NULL, *password = NULL;
    CHECK(http_basic_auth(r, &user, &password));
    CHECK_STR(user, "root");
    CHECK_STR(password, "pa:ss");
}

TEST(basic_auth_refused)
{
    static const char *const values[] = {
        "Bearer cm9vdDpw",  "Basic",     "Basic !!!!",     "Basic cm9vdA==",
        "Basic cm9vdDpw=x", "Basic cg=", "Basic cgA6cg==", "Basic cm9vdDpwY"
    };
    AUTO(free_req) struct http_req *r = http_req_new();
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        int status;
        char *user = NULL, *password = NULL;
        AUTO(free_str)
        char *head = str_fmt("GET / HTTP/1.1\r\nAuthorization: %s\r\n\r\n", values[i]);
        CHECK(http_parse_head(head, strlen(head), r, &status, NULL) > 0);
        if (http_basic_auth(r, &user, &password))
            test_fail(__FILE__, __LINE__, "accepted %s", values[i]);
        free(user);
        free(password);
    }
}

struct pair {
    struct conn *c;
    int peer;
    struct deadline d;
};

static struct pair pair_new(const char *from_peer, bool end)
{
    int fds[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    struct pair p = { .c = conn_plain(fds[0]),
                      .peer = fds[1],
                      .d = deadline_in(5 * US_PER_SEC) };
    CHECK(io_write_full(p.peer, from_peer, strlen(from_peer), &p.d) == 0);
    if (end)
        shutdown(p.peer, SHUT_WR);
    return p;
}

static void pair_done(struct pair *p)
{
    conn_close(&p->c);
    close_fd(&p->peer);
}

/* What the peer got until the connection was closed. */
static void check_peer_got(struct pair *p, const char *want)
{
    char got[4096] = "";
    size_t len = 0;
    ssize_t n;
    conn_close(&p->c);
    while ((n = io_read(p->peer, got + len, sizeof(got) - 1 - len, &p->d)) > 0)
        len += (size_t)n;
    CHECK_INT(n, 0);
    got[len] = '\0';
    CHECK_STR(got, want);
}

TEST(two_requests_of_one_packet)
{
    AUTO(pair_done)
    struct pair p = pair_new("POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
                             "GET /b HTTP/1.1\r\n\r\n",
                             true);
    AUTO(free_req) struct http_req *r = http_req_new();
    AUTO(buf_done) struct buf body = BUF_INIT(100);
    int status = 0;
    CHECK_INT(http_read_head(p.c, r, &p.d, &status, NULL), 1);
    CHECK_INT(http_read_body(p.c, r, &body, &p.d, &status, NULL), 0);
    CHECK_STR(buf_str(&body), "abc");
    CHECK(conn_buffered(p.c));
    CHECK_INT(http_read_head(p.c, r, &p.d, &status, NULL), 1);
    CHECK_STR(r->path, "/b");
    buf_clear(&body);
    CHECK_INT(http_read_body(p.c, r, &body, &p.d, &status, NULL), 0);
    CHECK_INT(body.len, 0);
    CHECK(!conn_buffered(p.c));
    CHECK_INT(http_read_head(p.c, r, &p.d, &status, NULL), 0);
}

TEST(broken_heads)
{
    static const struct {
        const char *text;
        bool end;
        int status;
    } cases[] = {
        { "GET / HT", true, 400 },
        { "GET / HT", false, 408 },
        { "", false, 0 },
        { "GET / HTTP/1.1\r\n : \r\n\r\n", false, 400 },
    };
    AUTO(free_req) struct http_req *r = http_req_new();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(pair_done) struct pair p = pair_new(cases[i].text, cases[i].end);
        struct deadline soon = deadline_in(20 * US_PER_MS);
        int status = -1;
        CHECK_INT(http_read_head(p.c, r, &soon, &status, NULL), -1);
        CHECK_INT(status, cases[i].status);
    }
}

#define POST_CHUNKED "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
#define POST_SIZED   "POST / HTTP/1.1\r\nContent-Length: "

TEST(bodies)
{
    static const struct {
        const char *text, *body; /* body NULL: refused */
        int status;
    } cases[] = {
        { POST_CHUNKED "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: 1\r\n\r\n", "abcde", 0 },
        { POST_CHUNKED "00A \t;x\r\n0123456789\r\n0\r\n\r\n", "0123456789", 0 },
        { POST_CHUNKED "0\r\n\r\n", "", 0 },
        { POST_CHUNKED "3\r\nabcd\r\n0\r\n\r\n", NULL, 400 },
        { POST_CHUNKED "3\r\nab\r\n0\r\n\r\n", NULL, 400 },
        { POST_CHUNKED "g\r\n", NULL, 400 },
        { POST_CHUNKED "\r\n", NULL, 400 },
        { POST_CHUNKED "-1\r\n", NULL, 400 },
        { POST_CHUNKED "0x1\r\na\r\n", NULL, 400 },
        { POST_CHUNKED "1\na\r\n0\r\n\r\n", NULL, 400 },
        { POST_CHUNKED "1\r\na\r\n", NULL, 400 },
        { POST_CHUNKED "21\r\n", NULL, 413 },
        { POST_CHUNKED "ffffffffffffffff\r\n", NULL, 400 },
        { POST_CHUNKED "fffffffffffffff\r\n", NULL, 413 },
        { POST_SIZED "0\r\n\r\n", "", 0 },
        { POST_SIZED "32\r\n\r\n01234567890123456789012345678901",
          "01234567890123456789012345678901", 0 },
        { POST_SIZED "33\r\n\r\n", NULL, 413 },
        { POST_SIZED "9\r\n\r\nabc", NULL, 400 },
        { "POST / HTTP/1.1\r\n\r\n", NULL, 411 },
        { "PUT / HTTP/1.0\r\n\r\n", NULL, 411 },
        { "DELETE / HTTP/1.0\r\n\r\n", "", 0 },
    };
    AUTO(free_req) struct http_req *r = http_req_new();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(pair_done) struct pair p = pair_new(cases[i].text, true);
        AUTO(buf_done) struct buf body = BUF_INIT(32);
        int status = 0;
        CHECK_INT(http_read_head(p.c, r, &p.d, &status, NULL), 1);
        int rc = http_read_body(p.c, r, &body, &p.d, &status, NULL);
        if (rc != (cases[i].body ? 0 : -1) || status != cases[i].status)
            test_fail(__FILE__, __LINE__, "%s: %d, status %d", cases[i].text, rc, status);
        if (cases[i].body)
            CHECK_STR(buf_str(&body), cases[i].body);
    }
}

TEST(continue_is_answered)
{
    AUTO(pair_done)
    struct pair p = pair_new(
        "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n", false);
    AUTO(free_req) struct http_req *r = http_req_new();
    AUTO(buf_done) struct buf body = BUF_INIT(0);
    int status = 0;
    struct deadline soon = deadline_in(20 * US_PER_MS);
    CHECK_INT(http_read_head(p.c, r, &p.d, &status, NULL), 1);
    CHECK_INT(http_read_body(p.c, r, &body, &soon, &status, NULL), -1);
    CHECK_INT(status, 408);
    check_peer_got(&p, "HTTP/1.1 100 Continue\r\n\r\n");
}

#define ANSWER "Server: Serai\r\nCache-Control: no-cache\r\n"

TEST(answers)
{
    static const struct {
        const char *request;
        struct http_resp resp;
        const char *want;
    } cases[] = {
        { "POST / HTTP/1.1\r\n\r\n",
          { .status = 200,
            .content_type = "application/json",
            .body = "{}",
            .body_len = 2,
            .extra = "Access-Control-Allow-Origin: *\r\n" },
          "HTTP/1.1 200 OK\r\n" ANSWER
          "Connection: keep-alive\r\nContent-Type: application/json\r\n"
          "Access-Control-Allow-Origin: *\r\nContent-Length: 2\r\n\r\n{}" },
        { "POST / HTTP/1.0\r\n\r\n",
          { .status = 404 },
          "HTTP/1.1 404 Not Found\r\n" ANSWER
          "Connection: close\r\nContent-Length: 0\r\n\r\n" },
        { "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
          { .status = 200, .body = "x", .body_len = 1 },
          "HTTP/1.1 200 OK\r\n" ANSWER
          "Connection: keep-alive\r\nContent-Length: 1\r\n\r\nx" },
        { "GET / HTTP/1.1\r\n\r\n",
          { .status = 401, .close = true },
          "HTTP/1.1 401 Unauthorized\r\n" ANSWER
          "Connection: close\r\nContent-Length: 0\r\n\r\n" },
        { "HEAD / HTTP/1.1\r\n\r\n",
          { .status = 200, .body = "xyz", .body_len = 3 },
          "HTTP/1.1 200 OK\r\n" ANSWER
          "Connection: keep-alive\r\nContent-Length: 3\r\n\r\n" },
        { "OPTIONS * HTTP/1.1\r\n\r\n",
          { .status = 204 },
          "HTTP/1.1 204 No Content\r\n" ANSWER "Connection: keep-alive\r\n\r\n" },
    };
    AUTO(free_req) struct http_req *r = http_req_new();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(pair_done) struct pair p = pair_new(cases[i].request, false);
        int status;
        CHECK_INT(http_read_head(p.c, r, &p.d, &status, NULL), 1);
        CHECK_INT(http_respond(p.c, r, &cases[i].resp, &p.d), 0);
        check_peer_got(&p, cases[i].want);
    }
    AUTO(buf_done) struct buf body = BUF_INIT(0);
    AUTO(pieces_done) struct pieces pieces = { 0 };
    struct text *text = text_new(",[1,2]", 6);
    struct texts *list = texts_new(1);
    texts_add(list, text);
    text_drop(text);
    buf_add_str(&body, "{");
    pieces_add(&pieces, &body, list, 1);
    texts_drop(list);
    buf_add_str(&body, "}");
    AUTO(pair_done) struct pair q = pair_new("", false);
    CHECK_INT(http_respond(q.c, NULL,
                           &(struct http_resp){ .status = 200,
                                                .body = body.data,
                                                .body_len = body.len,
                                                .pieces = &pieces },
                           &q.d),
              0);
    check_peer_got(&q, "HTTP/1.1 200 OK\r\n" ANSWER
                       "Connection: close\r\nContent-Length: 7\r\n\r\n{[1,2]}");
    AUTO(pair_done) struct pair p = pair_new("", false);
    CHECK_INT(http_respond(p.c, NULL, &(struct http_resp){ .status = 400 }, &p.d), 0);
    check_peer_got(&p, "HTTP/1.1 400 Bad Request\r\n" ANSWER
                       "Connection: close\r\nContent-Length: 0\r\n\r\n");
}

TEST(streams)
{
    static const struct {
        const char *request;
        uint64_t length;
        const char *want;
    } cases[] = {
        { "GET / HTTP/1.1\r\n\r\n", 5,
          "HTTP/1.1 200 OK\r\n" ANSWER
          "Connection: keep-alive\r\nContent-Length: 5\r\n\r\n" },
        { "GET / HTTP/1.1\r\n\r\n", UINT64_MAX,
          "HTTP/1.1 200 OK\r\n" ANSWER
          "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
          "5\r\nhello\r\n0\r\n\r\n" },
        { "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", UINT64_MAX,
          "HTTP/1.1 200 OK\r\n" ANSWER "Connection: close\r\n\r\nhello" },
        { "CONNECT /console HTTP/1.0\r\n\r\n", UINT64_MAX,
          "HTTP/1.1 200 OK\r\n" ANSWER "\r\nhello" },
    };
    AUTO(free_req) struct http_req *r = http_req_new();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(pair_done) struct pair p = pair_new(cases[i].request, false);
        int status;
        CHECK_INT(http_read_head(p.c, r, &p.d, &status, NULL), 1);
        CHECK_INT(http_respond_stream(p.c, r, 200, NULL, NULL, cases[i].length, &p.d), 0);
        if (cases[i].length == UINT64_MAX) {
            CHECK_INT(http_stream_write(p.c, r, "hello", 5, &p.d), 0);
            CHECK_INT(http_stream_write(p.c, r, NULL, 0, &p.d), 0);
        }
        check_peer_got(&p, cases[i].want);
    }
}
