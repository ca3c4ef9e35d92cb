/* SPDX-License-Identifier: Apache-2.0 */
/* Random records of every class, arguments and results of every call: to each encoding and back, equal. The random
 * numbers are the same in every run. */
#include <expat.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/test.h"
#include "model/enc.h"

static uint64_t state;

static uint64_t rnd(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (state * UINT64_C(0x2545f4914f6cdd1d) >> 11) % below;
}

/* Random values */

static char *random_text(void)
{
    static const char *const pieces[] = { "a",
                                          "Z",
                                          "0",
                                          " ",
                                          "<",
                                          ">",
                                          "&",
                                          "\"",
                                          "'",
                                          "\\",
                                          "\n",
                                          "\r",
                                          "\t",
                                          "]]>",
                                          "{",
                                          "[",
                                          "\xc3\xa4",
                                          "\xe2\x82\xac",
                                          "\xf0\x9f\x98\x80",
                                          "OpaqueRef:",
                                          "," };
    struct buf b = BUF_INIT(0);
    for (uint64_t n = 1 + rnd(12); n > 0; n--)
        buf_add_str(&b, pieces[rnd(ARRAY_SIZE(pieces))]);
    return buf_take(&b);
}

static void random_value(const struct ty *ty, void *p);

static void random_set(const struct ty *ty, void *p)
{
    for (uint64_t n = rnd(5); n > 0; n--) {
        char key[16] = { 0 }, val[64] = { 0 };
        const struct ty *kt = ty->kind == TY_MAP ? ty->key : ty->elem;
        CHECK(kt->size <= sizeof(key) && ty->elem->size <= sizeof(val));
        random_value(kt, key);
        if (ty->kind == TY_MAP) {
            random_value(ty->elem, val);
            (void)map_put(ty, p, key, val);
            value_done(ty->elem, val);
        } else {
            (void)set_add(ty, p, key);
        }
        value_done(kt, key);
    }
}

static void random_record(const struct class_def *cls, void *rec)
{
    for (size_t i = 0; i < cls->n_fields; i++) {
        void *at = record_field(&cls->fields[i], rec);
        value_done(cls->fields[i].ty, at);
        random_value(cls->fields[i].ty, at);
    }
}

/* p: zero or uninitialised storage. */
static void random_value(const struct ty *ty, void *p)
{
    static const int64_t ints[] = { 0, -1, INT64_MAX, INT64_MIN, 4096 };
    static const double doubles[] = { 0, 1, -1, 0.1, 1e300, -2.5e-300, 60.1, 1e15 + 0.5 };
    value_init(ty, p);
    switch (ty->kind) {
    case TY_STRING:
        if (rnd(4) > 0)
            str_give(p, random_text());
        break;
    case TY_INT:
        *(int64_t *)p = rnd(2) ? (int64_t)rnd(100000) : ints[rnd(ARRAY_SIZE(ints))];
        break;
    case TY_FLOAT: *(double *)p = doubles[rnd(ARRAY_SIZE(doubles))]; break;
    case TY_BOOL: *(bool *)p = rnd(2) == 1; break;
    case TY_DATETIME: *(int64_t *)p = (int64_t)rnd(UINT64_C(4102444800)) * 1000000; break;
    case TY_ENUM: *(int *)p = (int)rnd((uint64_t)ty->enm->n); break;
    case TY_REF:
        for (size_t i = 0; i < 16 && rnd(40) > 0; i++)
            ((struct ref *)p)->b[i] = (uint8_t)rnd(256);
        break;
    case TY_SET:
    case TY_MAP: random_set(ty, p); break;
    case TY_RECORD: random_record(&schema_classes[ty->cls], *(void **)p); break;
    case TY_OPTION:
        if (rnd(2)) {
            void *inner = *(void **)p = mem_alloc(ty->elem->size);
            random_value(ty->elem, inner);
            if (ty->elem->kind == TY_STRING) /* an empty one reads as none */
                str_give(inner, random_text());
        }
        break;
    default: break;
    }
}

/* XML-RPC values to the tree that wire/ makes, by expat */

struct reader {
    json_t *stack[16]; /* open arrays and structs */
    char *names[16];   /* of the member being read, per level */
    size_t depth;
    struct buf text;
    bool typed; /* the <value> had an element inside */
    json_t *top;
};

static void put(struct reader *r, json_t *j)
{
    json_t *parent = r->depth ? r->stack[r->depth - 1] : NULL;
    if (!parent) {
        CHECK(r->top == NULL);
        r->top = j;
    } else if (json_is_array(parent)) {
        CHECK(json_array_append_new(parent, j) == 0);
    } else {
        CHECK(json_object_get(parent, r->names[r->depth - 1]) == NULL);
        CHECK(json_object_set_new(parent, r->names[r->depth - 1], j) == 0);
    }
}

static void on_start(void *arg, const char *el, const char **attrs)
{
    struct reader *r = arg;
    CHECK(attrs[0] == NULL);
    if (strcmp(el, "array") == 0 || strcmp(el, "struct") == 0) {
        CHECK(r->depth < ARRAY_SIZE(r->stack) && r->text.len == 0);
        r->names[r->depth] = NULL;
        r->stack[r->depth++] = *el == 'a' ? json_array() : json_object();
    }
    if (strcmp(el, "value") == 0)
        r->typed = false;
    buf_clear(&r->text);
}

static json_t *scalar(struct reader *r, const char *el)
{
    const char *s = buf_str(&r->text);
    double v;
    if (strcmp(el, "boolean") == 0)
        return json_boolean(*s == '1');
    if (strcmp(el, "double") == 0) {
        CHECK(parse_double(s, &v) && strpbrk(s, ".e"));
        return json_real(v);
    }
    CHECK(strcmp(el, "value") == 0 || strcmp(el, "dateTime.iso8601") == 0);
    return json_string(s);
}

static void on_end(void *arg, const char *el)
{
    struct reader *r = arg;
    if (strcmp(el, "name") == 0) {
        free(r->names[r->depth - 1]);
        r->names[r->depth - 1] = str_dup(buf_str(&r->text));
    } else if (strcmp(el, "array") == 0 || strcmp(el, "struct") == 0) {
        json_t *j = r->stack[--r->depth];
        free(r->names[r->depth]);
        put(r, j);
        r->typed = true;
    } else if (strcmp(el, "value") == 0) {
        if (!r->typed)
            put(r, scalar(r, el));
        r->typed = true; /* for the value around it */
    } else if (strcmp(el, "data") != 0 && strcmp(el, "member") != 0) {
        put(r, scalar(r, el));
        r->typed = true;
    }
    buf_clear(&r->text);
}

static void on_text(void *arg, const char *s, int len)
{
    buf_add(&((struct reader *)arg)->text, s, (size_t)len);
}

static json_t *read_xml(const struct buf *xml)
{
    struct reader r = { .text = BUF_INIT(0) };
    XML_Parser p = XML_ParserCreate("UTF-8");
    XML_SetUserData(p, &r);
    XML_SetElementHandler(p, on_start, on_end);
    XML_SetCharacterDataHandler(p, on_text);
    if (XML_Parse(p, xml->data, (int)xml->len, 1) != XML_STATUS_OK)
        test_fail(__FILE__, __LINE__, "%s: %s", XML_ErrorString(XML_GetErrorCode(p)),
                  xml->data);
    XML_ParserFree(p);
    buf_done(&r.text);
    CHECK(r.top != NULL);
    return r.top;
}

/* There and back */

static void check_round_trip(const struct ty *ty, const void *p, const char *what)
{
    for (enum enc enc = ENC_JSON; enc <= ENC_XML; enc++) {
        AUTO(buf_done) struct buf b = BUF_INIT(0);
        AUTO(err_done) struct err err = { 0 };
        char back[64] = { 0 };
        enc_value(&b, enc, ty, p);
        json_t *j = enc == ENC_XML ? read_xml(&b)
                                   : json_loadb(b.data, b.len, JSON_DECODE_ANY, NULL);
        if (!j || value_decode(ty, j, what, back, &err) < 0) {
            AUTO(free_str) char *text = err_text(&err);
            test_fail(__FILE__, __LINE__, "%s: %s in %s", what, text, buf_str(&b));
        }
        json_decref(j);
        if (!value_eq(ty, p, back))
            test_fail(__FILE__, __LINE__, "%s: another value after %s", what, buf_str(&b));
        value_done(ty, back);
    }
}

static void check_random(const struct ty *ty, const char *what)
{
    char p[64] = { 0 }, copy[64] = { 0 };
    CHECK(ty->size <= sizeof(p));
    random_value(ty, p);
    check_round_trip(ty, p, what);
    value_copy(ty, copy, p);
    CHECK(value_eq(ty, p, copy) && value_bytes(ty, p) == value_bytes(ty, copy));
    value_done(ty, p);
    value_done(ty, copy);
    static const char zero[64];
    CHECK(memcmp(p, zero, sizeof(p)) == 0);
}

TEST(records_of_every_class)
{
    state = 88172645463325252;
    for (size_t c = 1; c < CLASS_COUNT; c++) {
        const struct ty ty = { .kind = TY_RECORD,
                               .size = sizeof(void *),
                               .align = _Alignof(void *),
                               .cls = (uint16_t)c };
        for (int i = 0; i < 20; i++)
            check_random(&ty, schema_classes[c].name);
    }
}

TEST(fields_count_in_equality)
{
    state = 362436069;
    for (size_t c = 1; c < CLASS_COUNT; c++) {
        const struct class_def *cls = &schema_classes[c];
        const struct ty ty = { .kind = TY_RECORD,
                               .size = sizeof(void *),
                               .cls = (uint16_t)c };
        for (size_t i = 0; i < cls->n_fields; i++) {
            const struct field_def *f = &cls->fields[i];
            if (f->ty->kind == TY_RAW || (f->ty->kind == TY_ENUM && f->ty->enm->n == 1))
                continue;
            void *a = record_new(cls), *b = record_new(cls);
            CHECK(value_eq(&ty, &a, &b));
            void *at = record_field(f, b);
            do {
                value_done(f->ty, at);
                random_value(f->ty, at);
            } while (value_eq(f->ty, at, record_field(f, a)));
            CHECK(!value_eq(&ty, &a, &b) && !value_eq(&ty, &b, &a));
            record_free(cls, a);
            record_free(cls, b);
        }
    }
}

TEST(arguments_and_results_of_every_call)
{
    state = 521288629;
    for (size_t i = 0; i < CALL_COUNT; i++) {
        const struct call_def *call = &schema_calls[i];
        for (size_t p = 0; p < call->n_params; p++) {
            const struct param_def *param = &call->params[p];
            for (int n = 0; n < 3; n++)
                check_random(param->ty, param->name);
            if (!param->default_json)
                continue;
            char v[64] = { 0 };
            json_t *j = json_loads(param->default_json, JSON_DECODE_ANY, NULL);
            CHECK(j && value_decode(param->ty, j, param->name, v, NULL) == 0);
            json_decref(j);
            value_done(param->ty, v);
        }
        if (call->result->kind != TY_VOID && call->result->kind != TY_RAW)
            check_random(call->result, schema_call_name(call));
    }
}

/* Trees of the wrong shape: refused with a code and nothing written, or taken and equal after another trip. */
TEST(trees_of_other_types)
{
    state = 69069;
    size_t refused = 0, taken = 0;
    for (size_t i = 0; i < 20 * (size_t)CALL_COUNT; i++) {
        const struct call_def *a = &schema_calls[rnd(CALL_COUNT)],
                              *b = &schema_calls[rnd(CALL_COUNT)];
        const struct ty *from = a->result,
                        *to = b->n_params ? b->params[b->n_params - 1].ty : b->result;
        if (from->kind == TY_RAW || to->kind == TY_RAW || to->kind == TY_VOID)
            continue;
        char p[64] = { 0 }, back[64] = { 0 };
        AUTO(buf_done) struct buf text = BUF_INIT(0);
        AUTO(err_done) struct err err = { 0 };
        random_value(from, p);
        enc_value(&text, ENC_JSON, from, p);
        value_done(from, p);
        json_t *j = json_loadb(text.data, text.len, JSON_DECODE_ANY, NULL);
        CHECK(j != NULL);
        if (value_decode(to, j, "x", back, &err) < 0) {
            static const char zero[64];
            CHECK(err.code && memcmp(back, zero, sizeof(zero)) == 0);
            refused++;
        } else {
            CHECK(err.code == NULL);
            check_round_trip(to, back, "x");
            value_done(to, back);
            taken++;
        }
        json_decref(j);
    }
    CHECK(refused > 1000 && taken > 1000);
}
