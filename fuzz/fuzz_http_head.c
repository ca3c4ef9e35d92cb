/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "fuzz.h"
#include "wire/http.h"

static void free_req(struct http_req **r)
{
    http_req_free(*r);
}

static void check_request(const struct http_req *r, size_t size)
{
    REQUIRE(size <= HTTP_HEAD_MAX && r->head_len <= size);
    REQUIRE(r->path && r->method_text && r->method_text[0]);
    REQUIRE(r->n_headers <= HTTP_HEADERS_MAX && r->minor <= 1);
    REQUIRE(!(r->chunked && r->has_length));
    REQUIRE(!r->chunked || r->minor == 1);
    for (size_t i = 0; i < r->n_headers; i++) {
        REQUIRE(r->headers[i].name[0] && !strpbrk(r->headers[i].name, " \t\r\n:"));
        REQUIRE(!strpbrk(r->headers[i].value, "\r\n"));
    }
    UNUSED AUTO(free_str) char *arg = http_arg(r, "session_id");
    AUTO(free_str) char *user = NULL, *password = NULL;
    if (http_basic_auth(r, &user, &password))
        REQUIRE(user && password && !strchr(user, ':'));
}

/* However the bytes are cut, the verdict is the same. */
static void check_cuts(const char *p, size_t len)
{
    AUTO(free_req) struct http_req *r = http_req_new();
    int status = 0;
    ssize_t whole = http_parse_head(p, len, r, &status, NULL);
    REQUIRE(whole >= -1 && whole <= (ssize_t)len);
    if (whole > 0)
        check_request(r, (size_t)whole);
    else if (whole < 0)
        REQUIRE(status >= 400 && status <= 505);
    size_t step = len / 40 + 1;
    for (size_t n = 0; n < len; n += step) {
        int early_status = 0;
        ssize_t early = http_parse_head(p, n, r, &early_status, NULL);
        if (early > 0)
            REQUIRE(early == whole && n >= (size_t)early);
        else if (early < 0)
            REQUIRE(whole < 0 && early_status == status);
        else
            REQUIRE(whole <= 0 || n < (size_t)whole);
    }
}

/* The same bytes as a connection sends them: requests with their bodies, until one is refused. */
static void check_connection(const char *p, size_t len)
{
    int fds[2];
    struct deadline d = deadline_in(10 * US_PER_SEC);
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    REQUIRE(send(fds[1], p, len, 0) == (ssize_t)len);
    shutdown(fds[1], SHUT_WR);
    struct conn *c = conn_plain(fds[0]);
    AUTO(free_req) struct http_req *r = http_req_new();
    AUTO(buf_done) struct buf body = BUF_INIT(4096);
    int status = 0, rc;
    while ((rc = http_read_head(c, r, &d, &status, NULL)) == 1) {
        buf_clear(&body);
        rc = http_read_body(c, r, &body, &d, &status, NULL);
        REQUIRE(body.len <= 4096);
        if (rc < 0)
            break;
        REQUIRE(!r->has_length || body.len == r->length);
    }
    REQUIRE(rc == 0 || (status >= 400 && status <= 505));
    conn_close(&c);
    close(fds[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 40000)
        size = 40000;
    check_cuts((const char *)data, size);
    if (size > 0)
        check_connection((const char *)data, size);
    return 0;
}
