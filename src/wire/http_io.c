/* SPDX-License-Identifier: Apache-2.0 */
/* Requests read from a connection and answers written to it. Runs on the thread that serves the connection and waits by
 * the caller's deadline. Memory grows with what has arrived, never with what a peer announces. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "wire/http_int.h"

#define PIECE          65536
#define FIRST_READ     2048  /* nearly every head, with a small body behind it */
#define ONE_WRITE_MAX  65536 /* a larger body is not copied behind its head */
#define PIECES_AT_ONCE 256
#define CHUNK_LINE_MAX 256
#define TRAILER_MAX    4096

static int refuse(int *status_out, int status, struct err *err, const char *sentence)
{
    *status_out = status;
    err_set(err, HTTP_REFUSED, sentence);
    return -1;
}

/* errno of a read as a verdict. */
static int broke(int *status_out, struct err *err, const char *what)
{
    int status = errno == ETIMEDOUT ? 408 : errno == EPIPE ? 400 : 0;
    const char *why = status == 408   ? "the request came too slowly"
                      : status == 400 ? "the request ended early"
                                      : "the connection broke";
    refuse(status_out, status, err, why);
    err_detail(err, "%s: %m", what);
    return -1;
}

int http_read_head(struct conn *c, struct http_req *out, const struct deadline *d,
                   int *status_out, struct err *err)
{
    char first[FIRST_READ], *head = first;
    AUTO(free_str) char *whole = NULL;
    size_t len = 0, cap = sizeof(first);
    for (;;) {
        ssize_t n = conn_read(c, head + len, cap - len, d);
        if (n == 0 && len == 0)
            return 0;
        if (n == 0)
            errno = EPIPE;
        if (n <= 0) {
            broke(status_out, err, "reading the head");
            if (len == 0)
                *status_out = 0;
            return -1;
        }
        len += (size_t)n;
        ssize_t size = http_parse_head(head, len, out, status_out, err);
        if (size > 0) {
            conn_unread(c, head + size, len - (size_t)size);
            return 1;
        }
        if (size < 0)
            return -1;
        if (len == cap) {
            cap = HTTP_HEAD_MAX + 1;
            whole = mem_resize(NULL, cap, 1);
            memcpy(whole, first, len);
            head = whole;
        }
    }
}

int http_read_sized(struct conn *c, uint64_t len, struct buf *out, const struct deadline *d,
                    int *status_out, struct err *err)
{
    while (len > 0) {
        size_t piece = (size_t)MIN(len, (uint64_t)PIECE);
        char *p = buf_reserve(out, piece);
        if (!p)
            return refuse(status_out, 413, err, "the body is too large");
        ssize_t n = conn_read(c, p, piece, d);
        if (n == 0)
            errno = EPIPE;
        if (n <= 0)
            return broke(status_out, err, "reading the body");
        out->len += (size_t)n;
        out->data[out->len] = '\0';
        len -= (uint64_t)n;
    }
    return 0;
}

/* A line of the chunked framing into buf, without its CRLF. */
static int read_line(struct conn *c, char *buf, size_t cap, const struct deadline *d,
                     int *status_out, struct err *err)
{
    size_t len = 0;
    for (;;) {
        char ch;
        if (conn_read_full(c, &ch, 1, d) < 0)
            return broke(status_out, err, "reading a chunk");
        if (len > 0 && buf[len - 1] == '\r') {
            if (ch != '\n')
                return refuse(status_out, 400, err,
                              "a CR that ends no line in a chunked body");
            buf[len - 1] = '\0';
            return 0;
        }
        bool control = ((unsigned char)ch < ' ' && ch != '\r' && ch != '\t') || ch == 127;
        if (control)
            return refuse(status_out, 400, err, "a control character in a chunk line");
        if (len + 1 >= cap)
            return refuse(status_out, 400, err, "a chunk line is too long");
        buf[len++] = ch;
    }
}

/* "1a2b" or "1a2b;extension". */
static bool parse_chunk_size(const char *line, uint64_t *size_out)
{
    uint64_t size = 0;
    size_t digits = strspn(line, "0123456789abcdefABCDEF");
    if (digits == 0 || digits > 15 || !strchr(" \t;", line[digits]))
        return false;
    const char *rest = line + digits + strspn(line + digits, " \t");
    if (*rest && *rest != ';')
        return false;
    for (size_t i = 0; i < digits; i++) {
        char c = line[i];
        unsigned v = c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 32) - 'a' + 10);
        size = size << 4 | v;
    }
    *size_out = size;
    return true;
}

int http_read_chunked(struct conn *c, struct buf *out, const struct deadline *d,
                      int *status_out, struct err *err)
{
    char line[CHUNK_LINE_MAX] = "";
    uint64_t size = 0;
    for (;;) {
        if (read_line(c, line, sizeof(line), d, status_out, err) < 0)
            return -1;
        if (!parse_chunk_size(line, &size))
            return refuse(status_out, 400, err, "a malformed chunk size");
        if (size == 0)
            break;
        if (out->max && size > out->max - out->len)
            return refuse(status_out, 413, err, "the body is too large");
        if (http_read_sized(c, size, out, d, status_out, err) < 0)
            return -1;
        if (read_line(c, line, sizeof(line), d, status_out, err) < 0)
            return -1;
        if (line[0])
            return refuse(status_out, 400, err, "a chunk is longer than it says");
    }
    AUTO(free_str) char *trailer = mem_resize(NULL, TRAILER_MAX, 1);
    size_t total = 0;
    do {
        if (read_line(c, trailer, TRAILER_MAX, d, status_out, err) < 0)
            return -1;
        total += strlen(trailer) + 2;
        if (total > TRAILER_MAX)
            return refuse(status_out, 400, err, "the trailers are too long");
    } while (trailer[0]);
    return 0;
}

static bool body_expected(const struct http_req *r)
{
    return r->method == HTTP_POST || r->method == HTTP_PUT;
}

int http_read_body(struct conn *c, const struct http_req *r, struct buf *out,
                   const struct deadline *d, int *status_out, struct err *err)
{
    if (!out->max)
        out->max = HTTP_BODY_MAX;
    if (!r->has_length && !r->chunked)
        return body_expected(r)
                   ? refuse(status_out, 411, err, "a body without Content-Length")
                   : 0;
    if (r->has_length && r->length > out->max - out->len)
        return refuse(status_out, 413, err, "the body is too large");
    const char *expect = http_header(r, "Expect");
    bool some = r->chunked || r->length > 0;
    if (expect && strcasecmp(expect, "100-continue") == 0 && r->minor >= 1 && some
        && !conn_buffered(c)) {
        static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        if (conn_write(c, go_on, sizeof(go_on) - 1, d) < 0)
            return broke(status_out, err, "writing 100 Continue");
    }
    return r->chunked ? http_read_chunked(c, out, d, status_out, err)
                      : http_read_sized(c, r->length, out, d, status_out, err);
}

const char *http_reason(int status)
{
    static const struct {
        int status;
        const char *text;
    } reasons[] = {
        { 100, "Continue" },
        { 101, "Switching Protocols" },
        { 200, "OK" },
        { 204, "No Content" },
        { 206, "Partial Content" },
        { 301, "Moved Permanently" },
        { 302, "Found" },
        { 304, "Not Modified" },
        { 307, "Temporary Redirect" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 408, "Request Timeout" },
        { 411, "Length Required" },
        { 413, "Content Too Large" },
        { 414, "URI Too Long" },
        { 415, "Unsupported Media Type" },
        { 416, "Range Not Satisfiable" },
        { 417, "Expectation Failed" },
        { 426, "Upgrade Required" },
        { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" },
        { 501, "Not Implemented" },
        { 502, "Bad Gateway" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
        if (reasons[i].status == status)
            return reasons[i].text;
    }
    return status < 400 ? "OK" : "Error";
}

static void add_line(struct buf *b, const char *name, const char *value)
{
    buf_add_str(b, name);
    buf_add_str(b, value);
    buf_add_str(b, "\r\n");
}

/* Written for every answer: pieces, because formatting them costs as much as a small call itself. */
static void add_head(struct buf *b, int status, const char *content_type, const char *extra,
                     const char *connection)
{
    buf_add_str(b, "HTTP/1.1 ");
    buf_add_int(b, status);
    add_line(b, " ", http_reason(status));
    buf_add_str(b, "Server: Serai\r\nCache-Control: no-cache\r\n");
    if (connection)
        add_line(b, "Connection: ", connection);
    if (content_type)
        add_line(b, "Content-Type: ", content_type);
    if (extra)
        buf_add_str(b, extra);
}

static void add_length(struct buf *b, uint64_t length)
{
    buf_add_str(b, "Content-Length: ");
    buf_add_int(b, (int64_t)length);
    buf_add_str(b, "\r\n");
}

int http_respond(struct conn *c, const struct http_req *r, const struct http_resp *resp,
                 const struct deadline *d)
{
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    bool keep = r && r->keep_alive && !resp->close;
    bool bodiless = resp->status < 200 || resp->status == 204 || resp->status == 304;
    bool head_only = bodiless || (r && r->method == HTTP_HEAD);
    add_head(&b, resp->status, resp->content_type, resp->extra,
             keep ? "keep-alive" : "close");
    size_t len = resp->body_len + (resp->pieces ? resp->pieces->len : 0);
    if (!bodiless)
        add_length(&b, len);
    buf_add_str(&b, "\r\n");
    if (head_only || len == 0)
        return conn_write(c, b.data, b.len, d);
    if (len <= ONE_WRITE_MAX && len == resp->body_len) {
        buf_add(&b, resp->body, resp->body_len);
        return conn_write(c, b.data, b.len, d);
    }
    struct pieces_walk w = { .pieces = resp->pieces,
                             .p = resp->body,
                             .len = resp->body_len };
    struct iovec v[PIECES_AT_ONCE] = { { .iov_base = b.data, .iov_len = b.len } };
    size_t n = 1 + pieces_next(&w, v + 1, ARRAY_SIZE(v) - 1);
    do {
        if (conn_writev(c, v, n, d) < 0)
            return -1;
    } while ((n = pieces_next(&w, v, ARRAY_SIZE(v))) > 0);
    return 0;
}

int http_respond_stream(struct conn *c, const struct http_req *r, int status,
                        const char *content_type, const char *extra, uint64_t length,
                        const struct deadline *d)
{
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    bool tunnel = r->method == HTTP_CONNECT && status / 100 == 2;
    bool known = length != UINT64_MAX;
    bool keep = r->keep_alive && (known || r->minor >= 1) && !tunnel;
    add_head(&b, status, content_type, extra,
             tunnel ? NULL
             : keep ? "keep-alive"
                    : "close");
    if (known && !tunnel)
        add_length(&b, length);
    else if (r->minor >= 1 && !tunnel)
        buf_add_str(&b, "Transfer-Encoding: chunked\r\n");
    buf_add_str(&b, "\r\n");
    return conn_write(c, b.data, b.len, d);
}

int http_stream_write(struct conn *c, const struct http_req *r, const void *p, size_t len,
                      const struct deadline *d)
{
    char line[24];
    if (r->minor == 0 || r->method == HTTP_CONNECT)
        return len ? conn_write(c, p, len, d) : 0;
    if (len == 0)
        return conn_write(c, "0\r\n\r\n", 5, d);
    int n = snprintf(line, sizeof(line), "%zx\r\n", len);
    if (conn_write(c, line, (size_t)n, d) < 0 || conn_write(c, p, len, d) < 0)
        return -1;
    return conn_write(c, "\r\n", 2, d);
}
