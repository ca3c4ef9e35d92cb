/* SPDX-License-Identifier: Apache-2.0 */
/* Values to answer bytes in one walk, no tree in between. This is the hot path of get_all_records: it
 * formats nothing through printf but doubles. Owns no state. Thread: any. */
#include "model/enc.h"

#include <math.h>

#include "base/clock.h"
#include "base/parse.h"

#define ADD(out, literal) buf_add((out), (literal), sizeof(literal) - 1)
#define REPLACEMENT       "\xef\xbf\xbd" /* U+FFFD */

/* The length of the UTF-8 character at s, which begins with a byte >= 0x80; 0 if it is none. Relies on
 * the terminating NUL. *c: its code point. */
static size_t utf8_char(const unsigned char *s, uint32_t *c)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t n = s[0] >= 0xf0 && s[0] < 0xf8 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc2 ? 2 : 0;
    if (n == 0 || s[0] >= 0xf8)
        return 0;
    uint32_t v = s[0] & (0xffU >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        v = v << 6 | (s[i] & 0x3f);
    }
    if (v < least[n] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
        return 0;
    *c = v;
    return n;
}

/* Add s, escape() writing each character that plain[] does not pass. */
static void add_text(struct buf *out, const char *text, const bool plain[static 256],
                     size_t (*escape)(struct buf *out, const unsigned char *s))
{
    const unsigned char *s = (const unsigned char *)text;
    for (;;) {
        size_t n = 0;
        while (plain[s[n]])
            n++;
        buf_add(out, s, n);
        s += n;
        if (*s == '\0')
            return;
        s += escape(out, s);
    }
}

static size_t escape_json(struct buf *out, const unsigned char *s)
{
    static const char hex[] = "0123456789abcdef";
    uint32_t c;
    size_t n = 1;
    switch (*s) {
    case '"': ADD(out, "\\\""); break;
    case '\\': ADD(out, "\\\\"); break;
    case '\n': ADD(out, "\\n"); break;
    case '\r': ADD(out, "\\r"); break;
    case '\t': ADD(out, "\\t"); break;
    default:
        if (*s < 0x20) {
            char u[] = { '\\', 'u', '0', '0', hex[*s >> 4], hex[*s & 15] };
            buf_add(out, u, sizeof(u));
            break;
        }
        n = utf8_char(s, &c);
        if (n)
            buf_add(out, s, n);
        else
            ADD(out, REPLACEMENT);
        n = n ? n : 1;
    }
    return n;
}

static size_t escape_xml(struct buf *out, const unsigned char *s)
{
    uint32_t c;
    size_t n = 1;
    switch (*s) {
    case '<': ADD(out, "&lt;"); break;
    case '>': ADD(out, "&gt;"); break;
    case '&': ADD(out, "&amp;"); break;
    case '"': ADD(out, "&quot;"); break;
    case '\r': ADD(out, "&#13;"); break; /* a parser turns a bare one into \n */
    default:
        n = *s >= 0x80 ? utf8_char(s, &c) : 0;
        if (n && c != 0xfffe && c != 0xffff)
            buf_add(out, s, n);
        else
            ADD(out, REPLACEMENT);
        n = n ? n : 1;
    }
    return n;
}

void enc_json_text(struct buf *out, const char *s)
{
    static const bool plain[256] = { [0x20 ... 0x21] = true,
                                     [0x23 ... 0x5b] = true,
                                     [0x5d ... 0x7f] = true };
    add_text(out, s, plain, escape_json);
}

void enc_xml_text(struct buf *out, const char *s)
{
    static const bool plain[256] = { ['\t'] = true,          ['\n'] = true,
                                     [0x20 ... 0x21] = true, [0x23 ... 0x25] = true,
                                     [0x27 ... 0x3b] = true, ['='] = true,
                                     [0x3f ... 0x7f] = true };
    add_text(out, s, plain, escape_xml);
}

void enc_string(struct buf *out, enum enc enc, const char *s)
{
    if (enc == ENC_JSON) {
        ADD(out, "\"");
        enc_json_text(out, s);
        ADD(out, "\"");
    } else {
        ADD(out, "<value>");
        enc_xml_text(out, s);
        ADD(out, "</value>");
    }
}

void enc_int(struct buf *out, enum enc enc, int64_t v)
{
    if (enc == ENC_XML)
        ADD(out, "<value>");
    buf_add_int(out, v);
    if (enc == ENC_XML)
        ADD(out, "</value>");
}

void enc_int32(struct buf *out, enum enc enc, int32_t v)
{
    if (enc == ENC_XML)
        ADD(out, "<value><i4>");
    buf_add_int(out, v);
    if (enc == ENC_XML)
        ADD(out, "</i4></value>");
}

void enc_bool(struct buf *out, enum enc enc, bool v)
{
    if (enc == ENC_XML)
        buf_add_str(out, v ? "<value><boolean>1</boolean></value>"
                           : "<value><boolean>0</boolean></value>");
    else
        buf_add_str(out, v ? "true" : "false");
}

void enc_ref(struct buf *out, enum enc enc, const struct ref *r)
{
    char text[REF_TEXT_SIZE];
    ref_text(r, text);
    buf_add_str(out, enc == ENC_XML ? "<value>" : "\"");
    buf_add_str(out, text);
    buf_add_str(out, enc == ENC_XML ? "</value>" : "\"");
}

void enc_date(struct buf *out, enum enc enc, int64_t wall_us)
{
    char text[20];
    clock_iso(wall_us, text);
    buf_add_str(out, enc == ENC_XML ? "<value><dateTime.iso8601>" : "\"");
    buf_add_str(out, text);
    buf_add_str(out, enc == ENC_XML ? "</dateTime.iso8601></value>" : "\"");
}

/* The shortest of 15 and 17 digits that reads back as v, with a decimal part: some clients take "1" for an
 * int and then refuse it. JSON has no number that is not finite; null stands for it. */
static void enc_float(struct buf *out, enum enc enc, double v)
{
    char text[40];
    double back;
    (void)snprintf(text, sizeof(text), "%.15g", v);
    if (!parse_double(text, &back) || back < v || back > v)
        (void)snprintf(text, sizeof(text), "%.17g", v);
    if (enc == ENC_JSON && !isfinite(v)) {
        ADD(out, "null");
        return;
    }
    if (enc == ENC_XML)
        ADD(out, "<value><double>");
    buf_add_str(out, text);
    if (isfinite(v) && !strpbrk(text, ".e"))
        ADD(out, ".0");
    if (enc == ENC_XML)
        ADD(out, "</double></value>");
}

void enc_struct_begin(struct buf *out, enum enc enc)
{
    buf_add_str(out, enc == ENC_XML ? "<value><struct>" : "{");
}

void enc_member_begin(struct buf *out, enum enc enc, const char *name, bool *first)
{
    if (enc == ENC_XML) {
        ADD(out, "<member><name>");
        enc_xml_text(out, name);
        ADD(out, "</name>");
    } else {
        buf_add_str(out, *first ? "\"" : ",\"");
        enc_json_text(out, name);
        ADD(out, "\":");
    }
    *first = false;
}

void enc_member_end(struct buf *out, enum enc enc)
{
    if (enc == ENC_XML)
        ADD(out, "</member>");
}

void enc_struct_end(struct buf *out, enum enc enc)
{
    buf_add_str(out, enc == ENC_XML ? "</struct></value>" : "}");
}

void enc_array_begin(struct buf *out, enum enc enc)
{
    buf_add_str(out, enc == ENC_XML ? "<value><array><data>" : "[");
}

void enc_item_begin(struct buf *out, enum enc enc, bool *first)
{
    if (enc == ENC_JSON && !*first)
        ADD(out, ",");
    *first = false;
}

void enc_array_end(struct buf *out, enum enc enc)
{
    buf_add_str(out, enc == ENC_XML ? "</data></array></value>" : "]");
}

static void enc_set(struct buf *out, enum enc enc, const struct ty *ty,
                    const struct set_any *s)
{
    bool first = true;
    enc_array_begin(out, enc);
    for (size_t i = 0; i < s->n; i++) {
        enc_item_begin(out, enc, &first);
        enc_value(out, enc, ty->elem, (const char *)s->v + i * ty->entry);
    }
    enc_array_end(out, enc);
}

/* A map key as text; ints and refs need the room of scratch. */
static const char *key_text(const struct ty *ty, const void *key, char scratch[static 64])
{
    switch (ty->kind) {
    case TY_STRING: return *(const char *const *)key;
    case TY_ENUM: return ty->enm->values[*(const int *)key];
    case TY_REF: ref_text(key, scratch); return scratch;
    default:
        (void)snprintf(scratch, 64, "%lld", (long long)*(const int64_t *)key);
        return scratch;
    }
}

static void enc_map(struct buf *out, enum enc enc, const struct ty *ty, const void *map)
{
    bool first = true;
    char scratch[64];
    enc_struct_begin(out, enc);
    for (size_t i = 0; i < ((const struct set_any *)map)->n; i++) {
        enc_member_begin(out, enc, key_text(ty->key, map_key(ty, map, i), scratch), &first);
        enc_value(out, enc, ty->elem, map_val(ty, map, i));
        enc_member_end(out, enc);
    }
    enc_struct_end(out, enc);
}

void enc_record(struct buf *out, enum enc enc, const struct class_def *cls, const void *rec)
{
    bool first = true;
    enc_struct_begin(out, enc);
    for (size_t i = 0; i < cls->n_fields; i++) {
        const struct field_def *f = &cls->fields[i];
        if (f->ty->kind == TY_RAW)
            continue;
        enc_member_begin(out, enc, f->name, &first);
        enc_value(out, enc, f->ty, record_field(f, rec));
        enc_member_end(out, enc);
    }
    enc_struct_end(out, enc);
}

void enc_value(struct buf *out, enum enc enc, const struct ty *ty, const void *p)
{
    const void *owned;
    switch (ty->kind) {
    case TY_STRING: enc_string(out, enc, *(const char *const *)p); return;
    case TY_INT: enc_int(out, enc, *(const int64_t *)p); return;
    case TY_FLOAT: enc_float(out, enc, *(const double *)p); return;
    case TY_BOOL: enc_bool(out, enc, *(const bool *)p); return;
    case TY_DATETIME: enc_date(out, enc, *(const int64_t *)p); return;
    case TY_ENUM: enc_string(out, enc, ty->enm->values[*(const int *)p]); return;
    case TY_REF: enc_ref(out, enc, p); return;
    case TY_SET: enc_set(out, enc, ty, p); return;
    case TY_MAP: enc_map(out, enc, ty, p); return;
    case TY_RECORD:
        enc_record(out, enc, &schema_classes[ty->cls], *(const void *const *)p);
        return;
    case TY_OPTION:
        owned = *(const void *const *)p;
        if (owned)
            enc_value(out, enc, ty->elem, owned);
        else
            enc_string(out, enc, "");
        return;
    case TY_VOID:
    case TY_RAW: enc_string(out, enc, ""); return;
    }
}
