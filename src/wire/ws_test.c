/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/ws.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/test.h"

static void free_req(struct http_req **r)
{
    http_req_free(*r);
}

/* RFC 6455, 1.3. */
TEST(accept_key)
{
    char out[29];
    ws_accept_key("dGhlIHNhbXBsZSBub25jZQ==", out);
    CHECK_STR(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(frame_headers)
{
    static const struct {
        uint8_t bytes[16];
        size_t len;
        ssize_t size; /* -1: bad */
        bool fin, masked;
        uint8_t opcode;
        uint64_t length;
    } cases[] = {
        { { 0x82, 0x00 }, 2, 2, true, false, 2, 0 },
        { { 0x82, 0x85, 1, 2, 3, 4 }, 6, 6, true, true, 2, 5 },
        { { 0x01, 0x7d }, 2, 2, false, false, 1, 125 },
        { { 0x80, 0xfe, 0, 126, 1, 2, 3, 4 }, 8, 8, true, true, 0, 126 },
        { { 0x82, 0x7e, 0xff, 0xff }, 4, 4, true, false, 2, 65535 },
        { { 0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0 }, 10, 10, true, false, 2, 65536 },
        { { 0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4 },
          14,
          14,
          true,
          true,
          2,
          INT64_MAX },
        { { 0x89, 0x80, 1, 2, 3, 4 }, 6, 6, true, true, 9, 0 },
        { { 0x8a, 0x7d }, 2, 2, true, false, 10, 125 },
        { { 0x82, 0x7e, 0, 125 }, 4, -1, false, false, 0, 0 }, /* not minimal */
        { { 0x82, 0x7f, 0, 0, 0, 0, 0, 0, 0xff, 0xff }, 10, -1, false, false, 0, 0 },
        { { 0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0 }, 10, -1, false, false, 0, 0 },
        { { 0xc2, 0x00 }, 1, -1, false, false, 0, 0 }, /* RSV */
        { { 0x83, 0x00 }, 2, -1, false, false, 0, 0 }, /* unknown */
        { { 0x8b, 0x00 }, 2, -1, false, false, 0, 0 },
        { { 0x09, 0x00 }, 2, -1, false, false, 0, 0 }, /* fragmented ping */
        { { 0x88, 0x7e }, 2, -1, false, false, 0, 0 }, /* long close */
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct ws_frame f = { 0 };
        for (size_t n = 0; n < cases[i].len; n++) {
            ssize_t early = ws_parse_frame(cases[i].bytes, n, &f);
            CHECK(early == 0 || (early == -1 && cases[i].size == -1));
        }
        CHECK_INT(ws_parse_frame(cases[i].bytes, cases[i].len, &f), cases[i].size);
        if (cases[i].size < 0)
            continue;
        CHECK_INT(f.fin, cases[i].fin);
        CHECK_INT(f.masked, cases[i].masked);
        CHECK_INT(f.opcode, cases[i].opcode);
        CHECK_INT(f.length, cases[i].length);
        uint8_t made[10];
        if (f.fin && !f.masked) {
            CHECK_INT(ws_make_frame(made, f.opcode, f.length), cases[i].size);
            CHECK(memcmp(made, cases[i].bytes, cases[i].len) == 0);
        }
    }
}

#define UPGRADE                                                        \
    "GET /console?ref=x HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\n" \
    "Connection: keep-alive, Upgrade\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define V13 "Sec-WebSocket-Version: 13\r\n"

/* The answer to a handshake; *rc_out as ws_accept. Given. */
static char *handshake(const char *head, int *rc_out)
{
    int fds[2], status;
    struct deadline d = deadline_in(5 * US_PER_SEC);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    AUTO(free_req) struct http_req *r = http_req_new();
    CHECK(http_parse_head(head, strlen(head), r, &status, NULL) > 0);
    struct conn *c = conn_plain(fds[0]);
    *rc_out = ws_accept(c, r, &d);
    conn_close(&c);
    char *got = mem_alloc(4096);
    size_t len = 0;
    ssize_t n;
    while ((n = io_read(fds[1], got + len, 4095 - len, &d)) > 0)
        len += (size_t)n;
    close(fds[1]);
    return got;
}

TEST(handshakes)
{
    int rc;
    AUTO(free_str) char *plain = handshake(UPGRADE KEY V13 "\r\n", &rc);
    CHECK_INT(rc, 0);
    CHECK_STR(
        plain,
        "HTTP/1.1 101 Switching Protocols\r\nServer: Serai\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        "\r\n");
    AUTO(free_str)
    char *binary = handshake(
        UPGRADE KEY V13 "Sec-WebSocket-Protocol: base64, binary\r\n\r\n", &rc);
    CHECK_INT(rc, 0);
    CHECK(strstr(binary, "\r\nSec-WebSocket-Protocol: binary\r\n\r\n"));
    static const char *const bad[] = {
        UPGRADE V13 "\r\n",
        UPGRADE KEY "\r\n",
        UPGRADE KEY "Sec-WebSocket-Version: 8\r\n\r\n",
        UPGRADE V13 "Sec-WebSocket-Key: short\r\n\r\n",
        UPGRADE V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=x\r\n\r\n",
        "GET / HTTP/1.1\r\n" KEY V13 "\r\n",
        "POST / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n" KEY V13 "\r\n",
        "GET / HTTP/1.0\r\nUpgrade: websocket\r\nConnection: upgrade\r\n" KEY V13 "\r\n",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        AUTO(free_str) char *got = handshake(bad[i], &rc);
        CHECK_INT(rc, -1);
        CHECK(str_starts(got, "HTTP/1.1 400 Bad Request\r\n"));
    }
}

struct proxy {
    struct conn *c;
    int near;   /* the proxy's side of the console */
    int client; /* the browser */
    int far;    /* the console */
    struct deadline d;
    int rc;
    pthread_t thread;
};

static void *proxy_thread(void *arg)
{
    struct proxy *p = arg;
    p->rc = ws_proxy(p->c, p->near, &p->d);
    conn_close(&p->c);
    shutdown(p->near, SHUT_RDWR);
    return NULL;
}

static void proxy_start(struct proxy *p)
{
    int a[2], b[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, a) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, b) == 0);
    *p = (struct proxy){ .c = conn_plain(a[0]),
                         .client = a[1],
                         .near = b[0],
                         .far = b[1],
                         .d = deadline_in(10 * US_PER_SEC) };
    CHECK(thread_start(&p->thread, "ws", 0, proxy_thread, p) == 0);
}

static void proxy_end(struct proxy *p, int want)
{
    pthread_join(p->thread, NULL);
    close(p->client);
    close(p->near);
    close(p->far);
    CHECK_INT(p->rc, want);
}

/* A client's frame: masked, with any first byte. */
static void add_masked(struct buf *b, uint8_t first, const char *payload, size_t len)
{
    static const uint8_t mask[4] = { 0x12, 0xab, 0x00, 0xff };
    uint8_t header[10];
    size_t n = ws_make_frame(header, 0, len);
    header[0] = first;
    header[1] |= 0x80;
    buf_add(b, header, n);
    buf_add(b, mask, sizeof(mask));
    for (size_t i = 0; i < len; i++)
        buf_add_char(b, (char)(payload[i] ^ (char)mask[i & 3]));
}

static void expect(struct proxy *p, int fd, const void *want, size_t len)
{
    AUTO(free_str) char *got = mem_alloc(len + 1);
    CHECK(io_read_full(fd, got, len, &p->d) == 0);
    CHECK(memcmp(got, want, len) == 0);
}

static void expect_end(struct proxy *p, int fd)
{
    char c;
    CHECK_INT(io_read(fd, &c, 1, &p->d), 0);
}

TEST(proxy_of_frames_in_any_pieces)
{
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    char long_text[300];
    memset(long_text, 'z', sizeof(long_text));
    add_masked(&b, 0x82, "hello ", 6);
    add_masked(&b, 0x01, "wo", 2); /* a text in three fragments, a ping among them */
    add_masked(&b, 0x00, "", 0);
    add_masked(&b, 0x89, "are you there", 13);
    add_masked(&b, 0x80, "rld", 3);
    add_masked(&b, 0x8a, "", 0);
    add_masked(&b, 0x82, long_text, sizeof(long_text));
    for (size_t step = 1; step < b.len + 50; step += step < 20 ? 1 : 50) {
        struct proxy p;
        proxy_start(&p);
        for (size_t at = 0; at < b.len; at += step)
            CHECK(io_write_full(p.client, b.data + at, MIN(step, b.len - at), &p.d) == 0);
        expect(&p, p.far, "hello world", 11);
        expect(&p, p.far, long_text, sizeof(long_text));
        expect(&p, p.client,
               "\x8a\x0d"
               "are you there",
               15);
        CHECK(io_write_full(p.far, "RFB 003.008\n", 12, &p.d) == 0);
        expect(&p, p.client,
               "\x82\x0c"
               "RFB 003.008\n",
               14);
        shutdown(p.far, SHUT_WR);
        expect(&p, p.client, "\x88\x02\x03\xe8", 4);
        expect_end(&p, p.client);
        proxy_end(&p, 0);
    }
}

TEST(proxy_closes)
{
    static const struct {
        uint8_t bytes[16];
        size_t len;
        const char *answer;
    } cases[] = {
        { { 0x88, 0x82, 0, 0, 0, 0, 3, 0xe8 }, 8, "\x88\x02\x03\xe8" }, /* close */
        { { 0x88, 0x80, 0, 0, 0, 0 }, 6, "\x88\x02\x03\xe8" },
        { { 0x88, 0x81, 0, 0, 0, 0, 3 }, 7, "\x88\x02\x03\xea" },
        { { 0x82, 0x01, 'x' }, 3, "\x88\x02\x03\xea" },        /* not masked */
        { { 0x80, 0x80, 0, 0, 0, 0 }, 6, "\x88\x02\x03\xea" }, /* continues nothing */
        { { 0x02, 0x80, 0, 0, 0, 0, 0x82, 0x80, 0, 0, 0, 0 }, 12, "\x88\x02\x03\xea" },
        { { 0xf2, 0x80 }, 2, "\x88\x02\x03\xea" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct proxy p;
        proxy_start(&p);
        CHECK(io_write_full(p.client, cases[i].bytes, cases[i].len, &p.d) == 0);
        expect(&p, p.client, cases[i].answer, 4);
        expect_end(&p, p.client);
        expect_end(&p, p.far);
        proxy_end(&p, 0);
    }
}

TEST(proxy_ends_with_the_client)
{
    struct proxy p;
    proxy_start(&p);
    shutdown(p.client, SHUT_RDWR);
    expect_end(&p, p.far);
    proxy_end(&p, 0);
}

/* A megabyte in one frame, while nobody reads at first. */
TEST(proxy_of_a_large_frame)
{
    struct proxy p;
    size_t len = 1024 * 1024;
    AUTO(free_str) char *sent = mem_alloc(len);
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    for (size_t i = 0; i < len; i++)
        sent[i] = (char)(i * 13 >> 4);
    add_masked(&b, 0x82, sent, len);
    proxy_start(&p);
    size_t at = 0;
    AUTO(free_str) char *got = mem_alloc(len);
    size_t have = 0;
    while (have < len) {
        ssize_t n = at < b.len ? send(p.client, b.data + at, b.len - at, MSG_DONTWAIT) : 0;
        at += n > 0 ? (size_t)n : 0;
        n = io_read(p.far, got + have, MIN(len - have, (size_t)100000), &p.d);
        CHECK(n > 0);
        have += (size_t)n;
    }
    CHECK(memcmp(got, sent, len) == 0);
    close(p.far);
    p.far = -1;
    expect(&p, p.client, "\x88\x02\x03\xe8", 4);
    proxy_end(&p, 0);
}
