/* SPDX-License-Identifier: Apache-2.0 */
/* Typed values out of the tree that the parsers of both RPC encodings make. What comes here is from outside:
 * everything gets its precise error, nothing is half written. Thread: any. */
#include <math.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/parse.h"
#include "model/schema.h"
#include "model/value.h"

#define LINEAR_MAX 16 /* elements up to which duplicates are looked for one by one */

static int bad_type(const char *what, struct err *err)
{
    return err_set(err, ERR_FIELD_TYPE_ERROR, what);
}

static bool int_of(const json_t *j, int64_t *out)
{
    if (json_is_integer(j)) {
        *out = json_integer_value(j);
        return true;
    }
    if (json_is_real(j)) {
        double v = json_real_value(j);
        if (!(v >= -9223372036854775808.0 && v < 9223372036854775808.0))
            return false;
        int64_t whole = (int64_t)v;
        if ((double)whole < v || (double)whole > v)
            return false;
        *out = whole;
        return true;
    }
    return json_is_string(j) && parse_i64(json_string_value(j), out);
}

static bool float_of(const json_t *j, double *out)
{
    double v = 0; /* null: as enc.c writes what JSON has no number for */
    if (json_is_number(j))
        v = json_number_value(j);
    else if (!json_is_null(j)
             && (!json_is_string(j) || !parse_double(json_string_value(j), &v)))
        return false;
    if (!isfinite(v))
        return false;
    *out = v;
    return true;
}

static bool bool_of(const json_t *j, bool *out)
{
    const char *s = json_string_value(j);
    int64_t v = json_is_integer(j) ? json_integer_value(j) : -1;
    if (json_is_boolean(j))
        v = json_is_true(j);
    else if (s && (strcmp(s, "true") == 0 || strcmp(s, "1") == 0))
        v = 1;
    else if (s && (strcmp(s, "false") == 0 || strcmp(s, "0") == 0))
        v = 0;
    if (v != 0 && v != 1)
        return false;
    *out = v == 1;
    return true;
}

static int decode_enum(const struct ty *ty, const char *s, const char *what, int *out,
                       struct err *err)
{
    if (!s)
        return bad_type(what, err);
    for (int i = 0; i < ty->enm->n; i++) {
        if (strcmp(ty->enm->values[i], s) == 0) {
            *out = i;
            return 0;
        }
    }
    return err_set(err, ERR_INVALID_VALUE, what, s);
}

static int decode_ref(const struct ty *ty, const char *s, const char *what, struct ref *out,
                      struct err *err)
{
    if (!s)
        return bad_type(what, err);
    if (!ref_parse(s, out))
        return err_set(err, ERR_HANDLE_INVALID, schema_classes[ty->cls].name, s);
    return 0;
}

/* What has been decoded of a set's elements or a map's keys so far. */
struct seen {
    const struct ty *ty; /* of the element or key */
    size_t step;
    bool hashed;
    struct hash hash;
};

static struct seen seen_init(const struct ty *ty, size_t step, size_t n)
{
    return (struct seen){ .ty = ty, .step = step, .hashed = n > LINEAR_MAX };
}

/* Whether the element at v[n] equals one before it; remembered if not. v does not move. */
static bool seen_before(struct seen *s, char *v, size_t n)
{
    void *x = v + n * s->step;
    if (s->ty->kind > TY_REF)
        return false; /* compound elements may repeat */
    if (!s->hashed) {
        for (size_t i = 0; i < n; i++) {
            if (value_eq(s->ty, v + i * s->step, x))
                return true;
        }
        return false;
    }
    const char *text = s->ty->kind == TY_STRING ? *(const char **)x : NULL;
    const void *key = text ? text : x;
    size_t len = text ? strlen(text) : s->ty->size;
    if (hash_get(&s->hash, key, len))
        return true;
    (void)hash_put(&s->hash, key, len, x);
    return false;
}

static int decode_set(const struct ty *ty, const json_t *j, const char *what,
                      struct set_any *out, struct err *err)
{
    if (!json_is_array(j))
        return bad_type(what, err);
    size_t n = json_array_size(j);
    struct set_any set = { n ? mem_array(n, ty->entry) : NULL, 0 };
    struct seen seen = seen_init(ty->elem, ty->entry, n);
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        char *at = (char *)set.v + set.n * ty->entry;
        rc = value_decode(ty->elem, json_array_get(j, i), what, at, err);
        if (rc == 0 && seen_before(&seen, set.v, set.n))
            value_done(ty->elem, at);
        else if (rc == 0)
            set.n++;
    }
    hash_done(&seen.hash);
    if (rc == 0)
        *out = set;
    else
        value_done(ty, &set);
    return rc;
}

static int decode_key(const struct ty *ty, const char *key, const char *what, void *out,
                      struct err *err)
{
    switch (ty->kind) {
    case TY_STRING:
        value_init(ty, out);
        str_put(out, key);
        return 0;
    case TY_INT: return parse_i64(key, out) ? 0 : bad_type(what, err);
    case TY_ENUM: return decode_enum(ty, key, what, out, err);
    case TY_REF: return decode_ref(ty, key, what, out, err);
    default: return bad_type(what, err);
    }
}

static int decode_map(const struct ty *ty, json_t *j, const char *what, struct set_any *out,
                      struct err *err)
{
    if (!json_is_object(j))
        return bad_type(what, err);
    size_t n = json_object_size(j);
    if (n == 0) {
        *out = (struct set_any){ 0 };
        return 0;
    }
    struct set_any map = { mem_array(n, ty->entry), 0 };
    struct seen seen = seen_init(ty->key, ty->entry, n);
    const char *key;
    json_t *val;
    int rc = 0;
    json_object_foreach(j, key, val)
    {
        char *at = (char *)map.v + map.n * ty->entry;
        rc = decode_key(ty->key, key, what, at, err);
        if (rc < 0)
            break;
        bool twice = seen_before(&seen, map.v, map.n); /* "1" and "01" are one key */
        rc = twice ? 0 : value_decode(ty->elem, val, what, at + ty->val_off, err);
        if (rc < 0 || twice)
            value_done(ty->key, at);
        else
            map.n++;
        if (rc < 0)
            break;
    }
    hash_done(&seen.hash);
    if (rc == 0)
        *out = map;
    else
        value_done(ty, &map);
    return rc;
}

static int decode_record(const struct ty *ty, const json_t *j, const char *what, void **out,
                         struct err *err)
{
    if (!json_is_object(j))
        return bad_type(what, err);
    const struct class_def *cls = &schema_classes[ty->cls];
    void *rec = record_new(cls);
    for (size_t i = 0; i < cls->n_fields; i++) {
        const struct field_def *f = &cls->fields[i];
        const json_t *val = json_object_get(j, f->name);
        if (!val || f->ty->kind == TY_RAW)
            continue;
        void *at = record_field(f, rec);
        value_done(f->ty, at);
        if (value_decode(f->ty, val, f->name, at, err) < 0) {
            record_free(cls, rec);
            return -1;
        }
    }
    *out = rec;
    return 0;
}

static int decode_option(const struct ty *ty, const json_t *j, const char *what, void **out,
                         struct err *err)
{
    const char *s = json_string_value(j);
    if (json_is_null(j) || (s && !*s)) {
        *out = NULL;
        return 0;
    }
    void *p = mem_alloc(ty->elem->size);
    if (value_decode(ty->elem, j, what, p, err) < 0) {
        free(p);
        return -1;
    }
    *out = p;
    return 0;
}

int value_decode(const struct ty *ty, const json_t *j, const char *what, void *out,
                 struct err *err)
{
    const char *s = json_string_value(j);
    switch (ty->kind) {
    case TY_VOID:
    case TY_RAW: return 0;
    case TY_STRING:
        if (!s)
            return bad_type(what, err);
        *(const char **)out = value_empty;
        str_put(out, s);
        return 0;
    case TY_INT: return int_of(j, out) ? 0 : bad_type(what, err);
    case TY_FLOAT: return float_of(j, out) ? 0 : bad_type(what, err);
    case TY_BOOL: return bool_of(j, out) ? 0 : bad_type(what, err);
    case TY_DATETIME: return s && clock_parse_iso(s, out) ? 0 : bad_type(what, err);
    case TY_ENUM: return decode_enum(ty, s, what, out, err);
    case TY_REF: return decode_ref(ty, s, what, out, err);
    case TY_SET: return decode_set(ty, j, what, out, err);
    case TY_MAP: return decode_map(ty, (json_t *)(uintptr_t)j, what, out, err);
    case TY_RECORD: return decode_record(ty, j, what, out, err);
    case TY_OPTION: return decode_option(ty, j, what, out, err);
    }
    return bad_type(what, err);
}
