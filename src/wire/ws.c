/* SPDX-License-Identifier: Apache-2.0 */
/* WebSocket by RFC 6455, the server's side, without extensions. The frame decoder keeps its place between pieces, so a
 * frame of any size passes through a 64 KiB buffer. Runs on the thread that serves the connection. */
#include "wire/ws.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/parse.h"
#include "wire/conn_int.h"

#define CONTROL_MAX 125

enum opcode {
    WS_MORE = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10
};

enum close_code { CLOSE_NORMAL = 1000, CLOSE_PROTOCOL = 1002 };

ssize_t ws_parse_frame(const uint8_t *p, size_t len, struct ws_frame *out)
{
    if (len >= 1 && (p[0] & 0x70))
        return -1;
    if (len < 2)
        return 0;
    uint8_t opcode = p[0] & 0x0f;
    uint8_t short_len = p[1] & 0x7f;
    bool fin = (p[0] & 0x80) != 0, masked = (p[1] & 0x80) != 0, control = opcode >= 8;
    bool known = opcode <= WS_BINARY || (opcode >= WS_CLOSE && opcode <= WS_PONG);
    if (!known || (control && (!fin || short_len > CONTROL_MAX)))
        return -1;
    size_t ext = short_len == 126 ? 2 : short_len == 127 ? 8 : 0;
    size_t size = 2 + ext + (masked ? 4 : 0);
    uint64_t length = short_len;
    if (ext && len >= 2 + ext) {
        length = ext == 2 ? be16(p + 2) : be64(p + 2);
        bool minimal = ext == 2 ? length > 125 : length > UINT16_MAX;
        if (!minimal || length > INT64_MAX)
            return -1;
    }
    if (len < size)
        return 0;
    *out = (struct ws_frame){
        .fin = fin, .opcode = opcode, .masked = masked, .length = length
    };
    if (masked)
        memcpy(out->mask, p + 2 + ext, 4);
    return (ssize_t)size;
}

size_t ws_make_frame(uint8_t out[static 10], uint8_t opcode, uint64_t length)
{
    out[0] = (uint8_t)(0x80 | opcode);
    if (length <= 125) {
        out[1] = (uint8_t)length;
        return 2;
    }
    if (length <= UINT16_MAX) {
        out[1] = 126;
        put_be16(out + 2, (uint16_t)length);
        return 4;
    }
    out[1] = 127;
    put_be64(out + 2, length);
    return 10;
}

void ws_accept_key(const char *key, char out[static 29])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455, 1.3 */
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    AUTO(free_str) char *text = str_fmt("%s%s", key, guid);
    out[0] = '\0';
    if (EVP_Digest(text, strlen(text), md, &n, EVP_sha1(), NULL) == 1 && n == 20)
        EVP_EncodeBlock((unsigned char *)out, md, 20);
}

bool ws_is_upgrade(const struct http_req *r)
{
    const char *upgrade = http_header(r, "Upgrade");
    const char *connection = http_header(r, "Connection");
    return r->method == HTTP_GET && r->minor >= 1 && upgrade && connection
           && http_list_has(upgrade, "websocket") && http_list_has(connection, "upgrade");
}

/* 16 bytes in base64: 22 characters and two of padding. */
static bool key_ok(const char *key)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    return key && strlen(key) == 24 && strspn(key, digits) == 22 && str_eq(key + 22, "==");
}

static bool offers_binary(const struct http_req *r)
{
    for (size_t i = 0; i < r->n_headers; i++) {
        if (strcasecmp(r->headers[i].name, "Sec-WebSocket-Protocol") == 0
            && http_list_has(r->headers[i].value, "binary"))
            return true;
    }
    return false;
}

int ws_accept(struct conn *c, const struct http_req *r, const struct deadline *d)
{
    const char *key = http_header(r, "Sec-WebSocket-Key");
    if (!ws_is_upgrade(r) || !key_ok(key)
        || !str_eq(http_header(r, "Sec-WebSocket-Version"), "13")) {
        static const char text[] = "This is not a WebSocket handshake of version 13.\n";
        struct http_resp resp = { .status = 400,
                                  .content_type = "text/plain",
                                  .extra = "Sec-WebSocket-Version: 13\r\n",
                                  .body = text,
                                  .body_len = sizeof(text) - 1,
                                  .close = true };
        int rc = http_respond(c, r, &resp, d);
        return MIN(rc, -1); /* refused, whether it hears so or not */
    }
    char accept[29];
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    ws_accept_key(key, accept);
    buf_addf(&b,
             "HTTP/1.1 101 Switching Protocols\r\nServer: Serai\r\nUpgrade: websocket\r\n"
             "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n",
             accept, offers_binary(r) ? "Sec-WebSocket-Protocol: binary\r\n" : "");
    return conn_write(c, b.data, b.len, d);
}

static void add_frame(struct buf *out, enum opcode opcode, const void *p, size_t len)
{
    uint8_t header[10];
    buf_add(out, header, ws_make_frame(header, (uint8_t)opcode, len));
    buf_add(out, p, len);
}

static void add_close(struct ws_stream *w, struct buf *out, enum close_code code)
{
    uint8_t body[2];
    if (w->closed)
        return;
    w->closed = true;
    put_be16(body, (uint16_t)code);
    add_frame(out, WS_CLOSE, body, sizeof(body));
}

/* The header of a frame is complete. false: it breaks the protocol. */
static bool begin_frame(struct ws_stream *w)
{
    const struct ws_frame *f = &w->frame;
    if (!f->masked) /* RFC 6455, 5.1: a client masks every frame */
        return false;
    if (f->opcode < WS_CLOSE) {
        if ((f->opcode == WS_MORE) != w->in_message)
            return false;
        w->in_message = !f->fin;
    }
    w->in_payload = true;
    w->left = f->length;
    w->control_len = 0;
    return true;
}

/* A control frame is complete. false: leave. */
static bool end_frame(struct ws_stream *w, struct buf *to_conn)
{
    w->in_payload = false;
    w->header_len = 0;
    if (w->frame.opcode == WS_PING)
        add_frame(to_conn, WS_PONG, w->control, w->control_len);
    if (w->frame.opcode != WS_CLOSE)
        return true;
    add_close(w, to_conn, w->control_len == 1 ? CLOSE_PROTOCOL : CLOSE_NORMAL);
    return false;
}

/* Take what p has of the payload. Returns the bytes used. */
static size_t take_payload(struct ws_stream *w, char *p, size_t len, struct buf *to_fd)
{
    size_t n = (size_t)MIN(w->left, (uint64_t)len);
    uint64_t at = w->frame.length - w->left;
    for (size_t i = 0; i < n; i++)
        p[i] = (char)(p[i] ^ (char)w->frame.mask[(at + i) & 3]);
    if (w->frame.opcode < WS_CLOSE) {
        buf_add(to_fd, p, n);
    } else {
        memcpy(w->control + w->control_len, p, n);
        w->control_len += n;
    }
    w->left -= n;
    return n;
}

/* Take what p has of the header. Returns the bytes used, or -1. */
static ssize_t take_header(struct ws_stream *w, const char *p, size_t len)
{
    size_t before = w->header_len;
    size_t n = MIN(len, sizeof(w->header) - before);
    memcpy(w->header + before, p, n);
    ssize_t size = ws_parse_frame(w->header, before + n, &w->frame);
    if (size < 0)
        return -1;
    if (size == 0) {
        w->header_len += n;
        return (ssize_t)n;
    }
    return begin_frame(w) ? size - (ssize_t)before : -1;
}

bool ws_feed(struct ws_stream *w, char *p, size_t len, struct buf *out, struct buf *reply)
{
    for (size_t at = 0; at < len;) {
        if (!w->in_payload) {
            ssize_t used = take_header(w, p + at, len - at);
            if (used < 0) {
                add_close(w, reply, CLOSE_PROTOCOL);
                return false;
            }
            at += (size_t)used;
        } else {
            at += take_payload(w, p + at, len - at, out);
        }
        if (w->in_payload && w->left == 0 && !end_frame(w, reply))
            return false;
    }
    return true;
}

static bool from_conn(void *arg, char *p, size_t len, struct buf *to_fd,
                      struct buf *to_conn)
{
    return ws_feed(arg, p, len, to_fd, to_conn);
}

static bool from_fd(void *arg, const char *p, size_t len, struct buf *to_conn)
{
    add_frame(to_conn, WS_BINARY, p, len);
    return true;
}

static void fd_ended(void *arg, struct buf *to_conn)
{
    add_close(arg, to_conn, CLOSE_NORMAL);
}

int ws_proxy(struct conn *c, int fd, const struct deadline *d)
{
    struct ws_stream w = { 0 };
    const struct conn_codec codec = {
        .from_conn = from_conn, .from_fd = from_fd, .fd_ended = fd_ended, .arg = &w
    };
    return conn_pump(c, fd, &codec, d);
}
