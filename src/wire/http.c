/* SPDX-License-Identifier: Apache-2.0 */
/* The head of a request, from bytes to strings: what RFC 9112 allows and clients send, nothing that two readers
 * could take differently. Pure: nothing here touches a connection; any thread.
 *
 * A head is judged by its first offending byte from the left, or whole once its blank line has come. So the verdict
 * does not depend on how the bytes were cut into packets. */
#include "wire/http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/parse.h"

#define REQUEST_LINE_MAX 8192
#define HEAD_ROOM        1000 /* what most heads need, and small for the allocator */
#define HEADERS_STEP     25
#define LEADING_CRLF_MAX 2 /* RFC 9112, 2.2: empty lines before a request are skipped */

struct http_req *http_req_new(void)
{
    return mem_alloc(sizeof(struct http_req));
}

void http_req_free(struct http_req *r)
{
    if (!r)
        return;
    free(r->path);
    url_params_done(&r->query);
    free(r->head);
    free(r->headers);
    free(r);
}

/* Ready for a head of len bytes. */
static void http_req_reset(struct http_req *r, size_t len)
{
    free(r->path);
    url_params_done(&r->query);
    if (len >= r->head_cap) {
        r->head_cap = MAX(len + 1, (size_t)HEAD_ROOM);
        r->head = mem_resize(r->head, r->head_cap, 1);
    }
    r->head_len = len;
    r->head[0] = '\0';
    r->method = HTTP_OTHER;
    r->method_text = r->head;
    r->path = NULL;
    r->n_headers = 0;
    r->minor = 0;
    r->keep_alive = r->chunked = r->has_length = false;
    r->length = 0;
}

static int refuse(int *status_out, int status, struct err *err, const char *sentence)
{
    *status_out = status;
    err_set(err, HTTP_REFUSED, sentence);
    return -1;
}

static bool is_token(const char *s)
{
    static const char extra[] = "!#$%&'*+-.^_`|~";
    if (!*s)
        return false;
    for (; *s; s++) {
        bool alnum = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z')
                     || (*s >= '0' && *s <= '9');
        if (!alnum && !strchr(extra, *s))
            return false;
    }
    return true;
}

/* Find the blank line. Returns the size of the head, 0: not there yet, or -1. *start_out: where the request line
 * begins. */
static ssize_t find_end(const char *p, size_t len, size_t *start_out, int *status_out,
                        struct err *err)
{
    size_t start = 0, line = 0;
    bool first = true;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)p[i];
        if (i >= HTTP_HEAD_MAX)
            return refuse(status_out, 431, err, "the head of the request is too long");
        if (first && i - start > REQUEST_LINE_MAX)
            return refuse(status_out, 414, err, "the request line is too long");
        if (c == '\n' && (i == 0 || p[i - 1] != '\r'))
            return refuse(status_out, 400, err, "a line ends without CR");
        if (i > 0 && p[i - 1] == '\r' && c != '\n')
            return refuse(status_out, 400, err, "a CR that ends no line");
        if ((c < ' ' && c != '\r' && c != '\n' && c != '\t') || c == 127)
            return refuse(status_out, 400, err, "a control character in the head");
        if (c != '\n')
            continue;
        bool empty = i - line == 1;
        line = i + 1;
        if (!empty) {
            first = false;
        } else if (!first) {
            *start_out = start;
            return (ssize_t)line;
        } else {
            start = line;
            if (start > 2 * LEADING_CRLF_MAX)
                return refuse(status_out, 400, err, "empty lines instead of a request");
        }
    }
    return 0;
}

/* Cut the line at p: a string up to its CR. Returns the start of the next line. */
static char *cut_line(char *p)
{
    char *cr = strchr(p, '\r');
    *cr = '\0';
    return cr + 2;
}

static enum http_method method_of(const char *text)
{
    static const char *const names[] = {
        [HTTP_GET] = "GET",         [HTTP_PUT] = "PUT",         [HTTP_POST] = "POST",
        [HTTP_CONNECT] = "CONNECT", [HTTP_OPTIONS] = "OPTIONS", [HTTP_HEAD] = "HEAD",
        [HTTP_DELETE] = "DELETE",
    };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (str_eq(names[i], text))
            return (enum http_method)i;
    }
    return HTTP_OTHER;
}

static int parse_version(const char *s, struct http_req *out, int *status_out,
                         struct err *err)
{
    if (!str_starts(s, "HTTP/") || strlen(s) != 8 || s[6] != '.' || s[5] < '0' || s[5] > '9'
        || s[7] < '0' || s[7] > '9')
        return refuse(status_out, 400, err,
                      "the request line does not end in an HTTP version");
    if (s[5] != '1')
        return refuse(status_out, 505, err, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    out->minor = s[7] == '0' ? 0 : 1;
    out->keep_alive = out->minor == 1;
    return 0;
}

static int parse_target(char *s, struct http_req *out, int *status_out, struct err *err)
{
    for (const char *p = s; *p; p++) {
        if (*p <= ' ' || *p > '~' || *p == '#')
            return refuse(status_out, 400, err,
                          "a character that may not stand in a target");
    }
    if (str_eq(s, "*") && out->method == HTTP_OPTIONS) {
        out->path = str_dup("*");
        return 0;
    }
    const char *path = s;
    if (*s != '/') {
        struct url absolute = { 0 }; /* checks scheme, host and port */
        if (!url_parse(s, &absolute))
            return refuse(status_out, 400, err, "the target is neither a path nor a URL");
        url_done(&absolute);
        path = strstr(s, "://") + 3;
        path += strcspn(path, "/?");
    }
    size_t path_len = strcspn(path, "?");
    const char *query = path + path_len + (path[path_len] == '?');
    if (!url_parse_query(query, &out->query))
        return refuse(status_out, 400, err, "a malformed query");
    out->path = path_len ? str_dupn(path, path_len) : str_dup("/");
    if (!url_decode(out->path, false))
        return refuse(status_out, 400, err, "a malformed escape in the path");
    return 0;
}

static int parse_request_line(char *s, struct http_req *out, int *status_out,
                              struct err *err)
{
    char *target = strchr(s, ' ');
    char *version = target ? strchr(target + 1, ' ') : NULL;
    if (!version || strchr(version + 1, ' '))
        return refuse(status_out, 400, err,
                      "the request line is not METHOD TARGET VERSION");
    *target++ = '\0';
    *version++ = '\0';
    if (!is_token(s))
        return refuse(status_out, 400, err, "the method is not a word");
    out->method_text = s;
    out->method = method_of(s);
    if (parse_version(version, out, status_out, err) < 0)
        return -1;
    return parse_target(target, out, status_out, err);
}

static int parse_header(char *s, struct http_req *out, int *status_out, struct err *err)
{
    if (*s == ' ' || *s == '\t')
        return refuse(status_out, 400, err, "a folded header line");
    char *value = strchr(s, ':');
    if (!value)
        return refuse(status_out, 400, err, "a header line without a colon");
    *value++ = '\0';
    if (!is_token(s))
        return refuse(status_out, 400, err, "a header name that is not a word");
    if (out->n_headers == HTTP_HEADERS_MAX)
        return refuse(status_out, 431, err, "too many header lines");
    value += strspn(value, " \t");
    size_t len = strlen(value);
    while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
        value[--len] = '\0';
    if (out->n_headers == out->headers_cap) {
        out->headers_cap += HEADERS_STEP;
        out->headers = mem_resize(out->headers, out->headers_cap, sizeof(*out->headers));
    }
    out->headers[out->n_headers++] = (struct http_header){ .name = s, .value = value };
    return 0;
}

bool http_list_has(const char *list, const char *word)
{
    size_t want = strlen(word);
    for (const char *p = list; *p;) {
        p += strspn(p, " \t,");
        size_t len = strcspn(p, ",");
        size_t n = len;
        while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'))
            n--;
        if (n == want && strncasecmp(p, word, n) == 0)
            return true;
        p += len;
    }
    return false;
}

static int parse_length(const char *value, struct http_req *out, int *status_out,
                        struct err *err)
{
    if (out->has_length)
        return refuse(status_out, 400, err, "two Content-Length headers");
    uint64_t length;
    if (value[0] < '0' || value[0] > '9' || !parse_u64(value, &length)
        || length > INT64_MAX)
        return refuse(status_out, 400, err, "Content-Length is not a number");
    out->has_length = true;
    out->length = length;
    return 0;
}

static int parse_coding(const char *value, struct http_req *out, int *status_out,
                        struct err *err)
{
    if (out->chunked)
        return refuse(status_out, 400, err, "two Transfer-Encoding headers");
    if (out->minor == 0)
        return refuse(status_out, 400, err, "Transfer-Encoding in HTTP/1.0");
    if (strcasecmp(value, "chunked") != 0)
        return refuse(status_out, 501, err, "the only Transfer-Encoding known is chunked");
    out->chunked = true;
    return 0;
}

/* What the headers say about the message itself. */
static int parse_framing(struct http_req *out, int *status_out, struct err *err)
{
    bool close = false, keep = false, host = false;
    for (size_t i = 0; i < out->n_headers; i++) {
        const char *name = out->headers[i].name, *value = out->headers[i].value;
        int rc = 0;
        if (strcasecmp(name, "Content-Length") == 0) {
            rc = parse_length(value, out, status_out, err);
        } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
            rc = parse_coding(value, out, status_out, err);
        } else if (strcasecmp(name, "Host") == 0) {
            if (host)
                rc = refuse(status_out, 400, err, "two Host headers");
            host = true;
        } else if (strcasecmp(name, "Connection") == 0) {
            close = close || http_list_has(value, "close");
            keep = keep || http_list_has(value, "keep-alive");
        }
        if (rc < 0)
            return -1;
    }
    if (out->chunked && out->has_length)
        return refuse(status_out, 400, err, "both Content-Length and Transfer-Encoding");
    out->keep_alive = !close && (out->keep_alive || keep);
    return 0;
}

ssize_t http_parse_head(const char *p, size_t len, struct http_req *out, int *status_out,
                        struct err *err)
{
    size_t start = 0;
    ssize_t size = find_end(p, len, &start, status_out, err);
    if (size <= 0)
        return size;
    http_req_reset(out, (size_t)size - start);
    memcpy(out->head, p + start, out->head_len);
    out->head[out->head_len] = '\0';

    char *line = out->head;
    char *next = cut_line(line);
    if (parse_request_line(line, out, status_out, err) < 0)
        return -1;
    for (line = next; *line != '\r'; line = next) {
        next = cut_line(line);
        if (parse_header(line, out, status_out, err) < 0)
            return -1;
    }
    return parse_framing(out, status_out, err) < 0 ? -1 : size;
}

const char *http_header(const struct http_req *r, const char *name)
{
    for (size_t i = 0; i < r->n_headers; i++) {
        if (strcasecmp(r->headers[i].name, name) == 0)
            return r->headers[i].value;
    }
    return NULL;
}

/* The value of name in one Cookie header, not decoded. Given; NULL: absent. */
static char *cookie_in(const char *s, const char *name)
{
    size_t name_len = strlen(name);
    while (*s) {
        s += strspn(s, " \t;");
        size_t len = strcspn(s, ";");
        size_t n = len;
        while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t'))
            n--;
        if (n > name_len && s[name_len] == '=' && strncmp(s, name, name_len) == 0) {
            const char *value = s + name_len + 1;
            n -= name_len + 1;
            if (n >= 2 && value[0] == '"' && value[n - 1] == '"')
                return str_dupn(value + 1, n - 2);
            return str_dupn(value, n);
        }
        s += len;
    }
    return NULL;
}

char *http_cookie(const struct http_req *r, const char *name)
{
    for (size_t i = 0; i < r->n_headers; i++) {
        if (strcasecmp(r->headers[i].name, "Cookie") != 0)
            continue;
        AUTO(free_str) char *raw = cookie_in(r->headers[i].value, name);
        if (!raw)
            continue;
        AUTO(free_str) char *decoded = str_dup(raw);
        return url_decode(decoded, false) ? TAKE(decoded) : TAKE(raw);
    }
    return NULL;
}

char *http_arg(const struct http_req *r, const char *name)
{
    const char *value = url_param(&r->query, name);
    return value ? str_dup(value) : http_cookie(r, name);
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decode text into out (room for strlen(text) bytes); false: not base64. Missing padding is fine. */
static bool base64_decode(const char *text, char *out, size_t *len_out)
{
    unsigned bits = 0, n_bits = 0;
    size_t n = 0, digits = 0;
    const char *p = text;
    for (; base64_digit(*p) >= 0; p++, digits++) {
        bits = (bits << 6 | (unsigned)base64_digit(*p)) & 0xffffff;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            out[n++] = (char)(bits >> n_bits & 0xff);
        }
    }
    size_t pad = strspn(p, "=");
    if (p[pad] != '\0' || pad > 2 || digits % 4 == 1)
        return false;
    *len_out = n;
    return true;
}

bool http_basic_auth(const struct http_req *r, char **user_out, char **password_out)
{
    const char *value = http_header(r, "Authorization");
    if (!value || strncasecmp(value, "Basic ", 6) != 0)
        return false;
    value += 6 + strspn(value + 6, " ");
    size_t cap = strlen(value) + 1, len = 0;
    AUTO(free_str) char *plain = mem_alloc(cap);
    bool ok = base64_decode(value, plain, &len) && !memchr(plain, '\0', len);
    char *colon = ok ? memchr(plain, ':', len) : NULL;
    if (colon) {
        *user_out = str_dupn(plain, (size_t)(colon - plain));
        *password_out = str_dup(colon + 1);
    }
    explicit_bzero(plain, cap);
    return colon != NULL;
}
