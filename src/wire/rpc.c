/* SPDX-License-Identifier: Apache-2.0 */
/* The envelopes of answers, byte for byte what clients parse: no white space between XML elements (a client takes a
 * blank text node for a value), no "error" member beside a JSON-RPC 2 result, both members in 1.0. Pure; any thread. */
#include "wire/rpc.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/lock.h"
#include "base/mem.h"

static const char xml_head[] = "<?xml version=\"1.0\"?><methodResponse><params><param>";
static const char xml_tail[] = "</param></params></methodResponse>";

#define CODE_MAX  80
#define CODES_MAX 2048 /* a peer that makes codes up must not fill our memory */

/* Codes met so far, kept until the process ends: struct err holds them as static strings. */
static struct mutex codes_lock = MUTEX_INIT;
static struct hash codes GUARDED_BY(codes_lock);

const char *rpc_code(const char *text)
{
    size_t len = text ? strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") : 0;
    if (len == 0 || len > CODE_MAX || text[len])
        return NULL;
    mutex_lock(&codes_lock);
    char *code = hash_get(&codes, text, len);
    if (!code && codes.n < CODES_MAX) {
        code = str_dup(text);
        hash_put(&codes, code, len, code);
    }
    mutex_unlock(&codes_lock);
    return code;
}

void rpc_req_done(struct rpc_req *r)
{
    if (!r)
        return;
    free(r->method);
    json_decref(r->params);
    json_decref(r->id);
    *r = (struct rpc_req){ 0 };
}

const char *rpc_content_type(enum rpc_kind kind)
{
    return kind == RPC_XML ? "text/xml" : "application/json";
}

/* The length of the UTF-8 sequence at s when XML 1.0 allows its character, else 0. s is NUL-terminated. */
static size_t xml_char(const unsigned char *s)
{
    if (s[0] < 0x80)
        return s[0] >= ' ' || s[0] == '\t' || s[0] == '\n' || s[0] == '\r';
    size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    }
    if (n == 3) {
        bool overlong = s[0] == 0xe0 && s[1] < 0xa0;
        bool surrogate = s[0] == 0xed && s[1] >= 0xa0;
        bool nonchar = s[0] == 0xef && s[1] == 0xbf && s[2] >= 0xbe;
        return overlong || surrogate || nonchar ? 0 : n;
    }
    if (n == 4)
        return (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90) ? 0 : n;
    return n;
}

static void add_xml_text(struct buf *out, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    while (*s) {
        size_t n = xml_char(s);
        if (n == 0) {
            buf_add_str(out, "\xef\xbf\xbd");
            n = 1;
        } else if (*s == '&') {
            buf_add_str(out, "&amp;");
        } else if (*s == '<') {
            buf_add_str(out, "&lt;");
        } else if (*s == '>') {
            buf_add_str(out, "&gt;");
        } else if (*s == '\r') {
            buf_add_str(out, "&#13;");
        } else {
            buf_add(out, s, n);
        }
        s += n;
    }
}

static void add_json_text(struct buf *out, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    buf_add_char(out, '"');
    while (*s) {
        size_t n = *s < ' ' || *s == 127 ? 1 : xml_char(s);
        if (*s == '"' || *s == '\\') {
            buf_add_char(out, '\\');
            buf_add_char(out, (char)*s);
        } else if (*s < ' ' || *s == 127) {
            buf_addf(out, "\\u%04x", *s);
        } else if (n == 0) {
            buf_add_str(out, "\xef\xbf\xbd");
            n = 1;
        } else {
            buf_add(out, s, n);
        }
        s += n;
    }
    buf_add_char(out, '"');
}

static int add_piece(const char *p, size_t len, void *arg)
{
    buf_add(arg, p, len);
    return 0;
}

static void add_id(struct buf *out, const json_t *id)
{
    buf_add_str(out, ",\"id\":");
    if (!id || json_dump_callback(id, add_piece, out, JSON_COMPACT | JSON_ENCODE_ANY) != 0)
        buf_add_str(out, "null");
    buf_add_char(out, '}');
}

void rpc_answer_begin(struct buf *out, enum rpc_kind kind, bool bare)
{
    if (kind == RPC_JSON2) {
        buf_add_str(out, "{\"jsonrpc\":\"2.0\",\"result\":");
    } else if (kind == RPC_JSON1) {
        buf_add_str(out, "{\"result\":");
    } else {
        buf_add_str(out, xml_head);
        if (!bare)
            buf_add_str(out,
                        "<value><struct><member><name>Status</name><value>Success</value>"
                        "</member><member><name>Value</name>");
    }
}

void rpc_answer_end(struct buf *out, enum rpc_kind kind, bool bare, const json_t *id)
{
    if (kind == RPC_XML) {
        if (!bare)
            buf_add_str(out, "</member></struct></value>");
        buf_add_str(out, xml_tail);
        return;
    }
    if (kind == RPC_JSON1)
        buf_add_str(out, ",\"error\":null");
    add_id(out, id);
}

static void add_xml_error(struct buf *out, const char *code, const char *const *params,
                          size_t n)
{
    buf_add_str(out, xml_head);
    buf_add_str(out,
                "<value><struct><member><name>Status</name><value>Failure</value></member>"
                "<member><name>ErrorDescription</name><value><array><data>");
    for (size_t i = 0; i <= n; i++) {
        buf_add_str(out, "<value>");
        add_xml_text(out, i == 0 ? code : params[i - 1]);
        buf_add_str(out, "</value>");
    }
    buf_add_str(out, "</data></array></value></member></struct></value>");
    buf_add_str(out, xml_tail);
}

void rpc_answer_error(struct buf *out, enum rpc_kind kind, const json_t *id,
                      const char *code, const char *const *params, size_t n,
                      const char *extra)
{
    if (kind == RPC_XML) {
        add_xml_error(out, code, params, n);
        return;
    }
    if (kind == RPC_JSON2) {
        buf_add_str(out, "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":1,\"message\":");
        add_json_text(out, code);
        buf_add_str(out, ",\"data\":[");
    } else {
        buf_add_str(out, "{\"result\":null,\"error\":[");
        add_json_text(out, code);
    }
    for (size_t i = 0; i < n; i++) {
        if (i > 0 || kind == RPC_JSON1)
            buf_add_char(out, ',');
        add_json_text(out, params[i]);
    }
    buf_add_char(out, ']');
    if (kind == RPC_JSON2) {
        if (extra)
            buf_addf(out, ",%s", extra);
        buf_add_char(out, '}');
    }
    add_id(out, id);
}
