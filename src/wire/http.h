/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.0 and 1.1, the subset that XenAPI clients use: GET PUT POST CONNECT OPTIONS HEAD, keep-alive, chunked
 * request bodies on RPC only, no pipelining beyond what arrives, no HTTP/2. CONNECT may carry a path
 * (consoles). Limits: head 16 KiB, 100 header lines; RFC 9112 strictness where requests could be smuggled
 * (two Content-Length, both lengths and chunked, obs-fold, bare CR: refused). */
#ifndef WIRE_HTTP_H
#define WIRE_HTTP_H

#include "base/pieces.h"
#include "wire/conn.h"
#include "wire/url.h"

#define HTTP_HEAD_MAX    (16 * 1024)
#define HTTP_HEADERS_MAX 100
#define HTTP_BODY_MAX    (2 * 1024 * 1024)
#define HTTP_REFUSED \
    "HTTP_REFUSED" /* code of all errors here; the one parameter is the sentence */

enum http_method {
    HTTP_GET,
    HTTP_PUT,
    HTTP_POST,
    HTTP_CONNECT,
    HTTP_OPTIONS,
    HTTP_HEAD,
    HTTP_DELETE,
    HTTP_OTHER
};

struct http_header {
    const char *name, *value; /* into head */
};

struct http_req {
    char *head; /* cut into strings in place; room for head_cap */
    size_t head_len, head_cap;
    enum http_method method;
    const char *method_text;
    char *path;                  /* decoded, no query */
    struct url_params query;     /* of the URL only; cookies apart */
    struct http_header *headers; /* room for headers_cap */
    size_t n_headers, headers_cap;
    unsigned minor; /* HTTP/1.minor */
    bool keep_alive;
    bool chunked;
    bool has_length;
    uint64_t length;
};

struct http_req *http_req_new(void);
void http_req_free(struct http_req *r);

/* Parse a head from the start of p. Returns its size in bytes, 0 when more is needed, or -1 with
 * *status_out (400, 414, 431, 501, 505) and a sentence in err. Pure: the fuzz target. */
ssize_t http_parse_head(const char *p, size_t len, struct http_req *out, int *status_out,
                        struct err *err);
/* Read a head from c by d. 1: got one; 0: the peer closed before the first byte; -1: as above, *status_out 0 when the
 * connection just broke (nothing to answer), 408 on a slow head. */
int http_read_head(struct conn *c, struct http_req *out, const struct deadline *d,
                   int *status_out, struct err *err) MUST_CHECK;
/* The whole body, at most out->max (0: HTTP_BODY_MAX). -1 with *status_out (400, 408, 411, 413). Answers 100-continue. */
int http_read_body(struct conn *c, const struct http_req *r, struct buf *out,
                   const struct deadline *d, int *status_out, struct err *err) MUST_CHECK;

const char *http_header(const struct http_req *r,
                        const char *name); /* case-insensitive; NULL: absent */
bool http_list_has(const char *list,
                   const char *word); /* "a, b" of a header value; case-insensitive */
/* Value of a cookie, given; NULL: absent. */
char *http_cookie(const struct http_req *r, const char *name);
/* Query parameter, else cookie of that name. Given; NULL: absent. */
char *http_arg(const struct http_req *r, const char *name);
bool http_basic_auth(const struct http_req *r, char **user_out,
                     char **password_out); /* given */

struct http_resp {
    int status;
    const char *content_type; /* NULL: none */
    const char *extra;        /* whole header lines ending in CRLF, or NULL */
    const void *body;
    size_t body_len;
    const struct pieces *pieces; /* of body, or NULL */
    bool close;                  /* else keep-alive as the request asked */
};

const char *http_reason(int status);
/* Head (with Content-Length) and body, in one write where that is short. Of HEAD the head alone. */
int http_respond(struct conn *c, const struct http_req *r, const struct http_resp *resp,
                 const struct deadline *d) MUST_CHECK;
/* Head of a stream: length UINT64_MAX: unknown (chunked for 1.1, close for 1.0). */
int http_respond_stream(struct conn *c, const struct http_req *r, int status,
                        const char *content_type, const char *extra, uint64_t length,
                        const struct deadline *d) MUST_CHECK;
/* A piece of a stream of unknown length, framed as its head promised; len 0 ends it. */
int http_stream_write(struct conn *c, const struct http_req *r, const void *p, size_t len,
                      const struct deadline *d) MUST_CHECK;
#endif
