/* SPDX-License-Identifier: Apache-2.0 */
/* Percent-encoding, query strings and URLs as RFC 3986 has them, no further: nothing is resolved, normalised or
 * guessed. Pure; any thread. */
#include "wire/url.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/vec.h"

#define PARAMS_MAX 64
#define URL_MAX    8192

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool url_decode(char *s, bool plus)
{
    char *out = s;
    for (; *s; s++) {
        if (*s == '%') {
            int hi = hex_digit(s[1]);
            int lo = hi < 0 ? -1 : hex_digit(s[2]);
            if (lo < 0 || (hi == 0 && lo == 0))
                return false;
            *out++ = (char)(hi << 4 | lo);
            s += 2;
        } else {
            *out++ = plus && *s == '+' ? ' ' : *s;
        }
    }
    *out = '\0';
    return true;
}

static bool parse_param(const char *p, size_t len, struct url_param *out)
{
    const char *eq = memchr(p, '=', len);
    size_t name_len = eq ? (size_t)(eq - p) : len;
    AUTO(free_str) char *name = str_dupn(p, name_len);
    AUTO(free_str) char *value = eq ? str_dupn(eq + 1, len - name_len - 1) : str_dup("");
    if (!url_decode(name, true) || !url_decode(value, true))
        return false;
    *out = (struct url_param){ .name = TAKE(name), .value = TAKE(value) };
    return true;
}

bool url_parse_query(const char *query, struct url_params *out)
{
    VEC(struct url_param) found = { 0 };
    bool ok = true;
    for (const char *p = query; ok && *p;) {
        size_t len = strcspn(p, "&");
        if (len > 0) {
            struct url_param param = { 0 };
            ok = found.n < PARAMS_MAX && parse_param(p, len, &param);
            if (ok)
                vec_push(&found, param);
        }
        p += len + (p[len] == '&');
    }
    struct url_params params = { .v = found.v, .n = found.n };
    if (ok)
        *out = params;
    else
        url_params_done(&params);
    return ok;
}

void url_params_done(struct url_params *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n; i++) {
        free(p->v[i].name);
        free(p->v[i].value);
    }
    free(p->v);
    *p = (struct url_params){ 0 };
}

const char *url_param(const struct url_params *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++) {
        if (str_eq(p->v[i].name, name))
            return p->v[i].value;
    }
    return NULL;
}

void url_encode(struct buf *out, const char *s)
{
    static const char hex[] = "0123456789ABCDEF";
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
                     || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_'
                     || c == '~';
        if (plain) {
            buf_add_char(out, *s);
        } else {
            char esc[3] = { '%', hex[c >> 4], hex[c & 15] };
            buf_add(out, esc, sizeof(esc));
        }
    }
}

static bool host_ok(const char *s, size_t len, bool bracketed)
{
    if (len == 0 || len > 255)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = s[i];
        bool name = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
                    || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
        bool address = hex_digit(c) >= 0 || c == ':' || c == '.';
        if (bracketed ? !address : !name)
            return false;
    }
    return true;
}

/* "host", "host:port", "[v6]", "[v6]:port"; port_out is left alone when there is none. */
static bool parse_authority(const char *s, size_t len, char **host_out, unsigned *port_out)
{
    bool bracketed = len > 0 && *s == '[';
    const char *host = s + bracketed;
    const char *end = bracketed ? memchr(s, ']', len) : memchr(s, ':', len);
    if (bracketed && !end)
        return false;
    size_t host_len = end ? (size_t)(end - host) : len;
    const char *rest = bracketed ? end + 1 : s + host_len;
    size_t rest_len = len - (size_t)(rest - s);
    if (!host_ok(host, host_len, bracketed))
        return false;
    if (rest_len > 0) {
        int64_t port;
        AUTO(free_str) char *text = str_dupn(rest + 1, rest_len - 1);
        if (*rest != ':' || text[0] == '+' || !parse_range(text, 1, 65535, &port))
            return false;
        *port_out = (unsigned)port;
    }
    *host_out = str_dupn(host, host_len);
    return true;
}

bool url_parse(const char *text, struct url *out)
{
    size_t scheme_len = strcspn(text, ":");
    bool tls = scheme_len == 5 && strncasecmp(text, "https", 5) == 0;
    if (!tls && !(scheme_len == 4 && strncasecmp(text, "http", 4) == 0))
        return false;
    if (strncmp(text + scheme_len, "://", 3) != 0 || strlen(text) > URL_MAX)
        return false;
    for (const char *p = text; *p; p++) {
        if (*p <= ' ' || *p > '~')
            return false;
    }
    const char *authority = text + scheme_len + 3;
    size_t len = strcspn(authority, "/?#");
    struct url u = { .port = tls ? 443 : 80 };
    if (!parse_authority(authority, len, &u.host, &u.port))
        return false;
    const char *path = authority + len;
    size_t path_len = strcspn(path, "#");
    AUTO(free_str) char *rest = str_dupn(path, path_len);
    u.scheme = str_dup(tls ? "https" : "http");
    u.path_query = *rest == '/' ? TAKE(rest) : str_fmt("/%s", rest);
    *out = u;
    return true;
}

void url_done(struct url *u)
{
    if (!u)
        return;
    free(u->scheme);
    free(u->host);
    free(u->path_query);
    *u = (struct url){ 0 };
}
