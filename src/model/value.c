/* SPDX-License-Identifier: Apache-2.0 */
/* Typed values: their life, comparison, sets and maps, walked by struct ty. Owns no state; must never
 * look at what a field means. Decoding is in value_decode.c. Thread: any. */
#include "model/value.h"

#include "base/mem.h"
#include "base/uuid.h"
#include "model/schema.h"

const char value_empty[1] = "";

/* A map seen generically has the same bytes as a set of entries. */
static char *item(const struct ty *ty, const void *p, size_t i)
{
    const struct set_any *s = p;
    return (char *)s->v + i * ty->entry;
}

static size_t count(const void *p)
{
    return ((const struct set_any *)p)->n;
}

/* Refs */

#define REF_PREFIX "OpaqueRef:"
#define REF_NONE   "OpaqueRef:NULL"

bool ref_is_null(const struct ref *r)
{
    static const struct ref null;
    return memcmp(r, &null, sizeof(null)) == 0;
}

bool ref_eq(const struct ref *a, const struct ref *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

struct ref ref_new(void)
{
    struct uuid u = uuid_new();
    struct ref r;
    memcpy(r.b, u.b, sizeof(r.b));
    return r;
}

void ref_text(const struct ref *r, char out[static REF_TEXT_SIZE])
{
    if (ref_is_null(r)) {
        memcpy(out, REF_NONE, sizeof(REF_NONE));
        return;
    }
    struct uuid u;
    memcpy(u.b, r->b, sizeof(u.b));
    memcpy(out, REF_PREFIX, sizeof(REF_PREFIX));
    uuid_text(&u, out + strlen(REF_PREFIX));
}

bool ref_parse(const char *s, struct ref *out)
{
    if (*s == '\0' || strcmp(s, REF_NONE) == 0 || str_starts(s, "Ref:")) {
        *out = REF_NULL;
        return true;
    }
    struct uuid u;
    if (!str_starts(s, REF_PREFIX) || !uuid_parse(s + strlen(REF_PREFIX), &u))
        return false;
    memcpy(out->b, u.b, sizeof(out->b));
    return true;
}

/* Life */

void value_init(const struct ty *ty, void *p)
{
    switch (ty->kind) {
    case TY_STRING: *(const char **)p = value_empty; break;
    case TY_RECORD: *(void **)p = record_new(&schema_classes[ty->cls]); break;
    default: memset(p, 0, ty->size); break;
    }
}

static void set_done(const struct ty *ty, void *p)
{
    struct set_any *s = p;
    for (size_t i = 0; i < s->n; i++) {
        if (ty->kind == TY_MAP) {
            value_done(ty->key, item(ty, p, i));
            value_done(ty->elem, item(ty, p, i) + ty->val_off);
        } else {
            value_done(ty->elem, item(ty, p, i));
        }
    }
    free(s->v);
}

void value_done(const struct ty *ty, void *p)
{
    void *owned;
    switch (ty->kind) {
    case TY_STRING:
        owned = *(void **)p;
        if (owned != value_empty)
            free(owned);
        break;
    case TY_SET:
    case TY_MAP: set_done(ty, p); break;
    case TY_RECORD: record_free(&schema_classes[ty->cls], *(void **)p); break;
    case TY_OPTION:
        owned = *(void **)p;
        if (owned)
            value_done(ty->elem, owned);
        free(owned);
        break;
    default: break;
    }
    memset(p, 0, ty->size);
}

static const char *string_copy(const char *s)
{
    return s && *s ? str_dup(s) : value_empty;
}

static void set_copy(const struct ty *ty, struct set_any *dst, const void *src)
{
    size_t n = count(src);
    dst->v = n ? mem_array(n, ty->entry) : NULL;
    dst->n = n;
    for (size_t i = 0; i < n; i++) {
        char *to = item(ty, dst, i);
        const char *from = item(ty, src, i);
        if (ty->kind == TY_MAP) {
            value_copy(ty->key, to, from);
            value_copy(ty->elem, to + ty->val_off, from + ty->val_off);
        } else {
            value_copy(ty->elem, to, from);
        }
    }
}

void value_copy(const struct ty *ty, void *dst, const void *src)
{
    const void *from;
    switch (ty->kind) {
    case TY_STRING: *(const char **)dst = string_copy(*(const char *const *)src); break;
    case TY_SET:
    case TY_MAP: set_copy(ty, dst, src); break;
    case TY_RECORD:
        from = *(const void *const *)src;
        *(void **)dst = from ? record_copy(&schema_classes[ty->cls], from) : NULL;
        break;
    case TY_OPTION:
        from = *(const void *const *)src;
        *(void **)dst = from ? mem_alloc(ty->elem->size) : NULL;
        if (from)
            value_copy(ty->elem, *(void **)dst, from);
        break;
    default: memcpy(dst, src, ty->size); break;
    }
}

/* Comparison */

static bool record_eq(const struct class_def *cls, const void *a, const void *b)
{
    if (!a || !b)
        return a == b;
    for (size_t i = 0; i < cls->n_fields; i++) {
        const struct field_def *f = &cls->fields[i];
        if (!value_eq(f->ty, record_field(f, a), record_field(f, b)))
            return false;
    }
    return true;
}

/* The index of what equals the element (or entry) x, looking at index hint first: both sides usually have
 * the same order. */
static size_t find_from(const struct ty *ty, const void *set, const void *x, size_t hint)
{
    const struct ty *key = ty->kind == TY_MAP ? ty->key : ty->elem;
    size_t n = count(set);
    for (size_t k = 0; k < n; k++) {
        size_t i = (hint + k) % n;
        if (value_eq(key, item(ty, set, i), x))
            return i;
    }
    return SIZE_MAX;
}

/* Whether all of a is in b. */
static bool set_within(const struct ty *ty, const void *a, const void *b)
{
    for (size_t i = 0; i < count(a); i++) {
        const char *x = item(ty, a, i);
        size_t at = find_from(ty, b, x, i);
        if (at == SIZE_MAX)
            return false;
        if (ty->kind == TY_MAP
            && !value_eq(ty->elem, x + ty->val_off, item(ty, b, at) + ty->val_off))
            return false;
    }
    return true;
}

static bool set_eq(const struct ty *ty, const void *a, const void *b)
{
    if (count(a) != count(b) || !set_within(ty, a, b))
        return false;
    /* Only elements that are no scalars may repeat. */
    return ty->kind == TY_MAP || ty->elem->kind <= TY_REF || set_within(ty, b, a);
}

bool value_eq(const struct ty *ty, const void *a, const void *b)
{
    const void *pa, *pb;
    switch (ty->kind) {
    case TY_STRING: return str_eq(*(const char *const *)a, *(const char *const *)b);
    case TY_SET:
    case TY_MAP: return set_eq(ty, a, b);
    case TY_RECORD:
        return record_eq(&schema_classes[ty->cls], *(const void *const *)a,
                         *(const void *const *)b);
    case TY_OPTION:
        pa = *(const void *const *)a;
        pb = *(const void *const *)b;
        return pa && pb ? value_eq(ty->elem, pa, pb) : pa == pb;
    default:
        return memcmp(a, b, ty->size) == 0; /* floats by their bits: NaN equals itself */
    }
}

static size_t set_bytes(const struct ty *ty, const void *p)
{
    size_t sum = count(p) * ty->entry;
    for (size_t i = 0; i < count(p); i++) {
        const char *x = item(ty, p, i);
        sum += ty->kind == TY_MAP
                   ? value_bytes(ty->key, x) + value_bytes(ty->elem, x + ty->val_off)
                   : value_bytes(ty->elem, x);
    }
    return sum;
}

static size_t record_bytes(const struct class_def *cls, const void *rec)
{
    size_t sum = cls->rec_size;
    for (size_t i = 0; i < cls->n_fields; i++)
        sum += value_bytes(cls->fields[i].ty, record_field(&cls->fields[i], rec));
    return sum;
}

size_t value_bytes(const struct ty *ty, const void *p)
{
    const void *owned = ty->size == sizeof(owned) ? *(const void *const *)p : NULL;
    switch (ty->kind) {
    case TY_STRING: return owned && owned != value_empty ? strlen(owned) + 1 : 0;
    case TY_SET:
    case TY_MAP: return set_bytes(ty, p);
    case TY_RECORD: return owned ? record_bytes(&schema_classes[ty->cls], owned) : 0;
    case TY_OPTION: return owned ? ty->elem->size + value_bytes(ty->elem, owned) : 0;
    default: return 0;
    }
}

/* Helpers for hand-written code */

void str_give(const char **dst, char *s)
{
    if (*dst != value_empty)
        free((void *)*dst);
    *dst = s && *s ? s : value_empty;
    if (s && !*s)
        free(s);
}

void str_put(const char **dst, const char *s)
{
    str_give(dst, s && *s ? str_dup(s) : NULL); /* copied first: s may lie in *dst */
}

static char *set_grow(const struct ty *ty, void *set)
{
    struct set_any *s = set;
    s->v = mem_resize(s->v, s->n + 1, ty->entry);
    memset(item(ty, s, s->n), 0, ty->entry);
    return item(ty, s, s->n++);
}

static void set_drop(const struct ty *ty, void *set, size_t i)
{
    struct set_any *s = set;
    memmove(item(ty, s, i), item(ty, s, i + 1), (s->n - i - 1) * ty->entry);
    if (--s->n == 0) {
        free(s->v);
        s->v = NULL;
    }
}

size_t set_find(const struct ty *ty, const void *set, const void *elem)
{
    return find_from(ty, set, elem, 0);
}

bool set_add(const struct ty *ty, void *set, const void *elem)
{
    if (set_find(ty, set, elem) != SIZE_MAX)
        return false;
    value_copy(ty->elem, set_grow(ty, set), elem);
    return true;
}

bool set_remove(const struct ty *ty, void *set, const void *elem)
{
    size_t i = set_find(ty, set, elem);
    if (i == SIZE_MAX)
        return false;
    value_done(ty->elem, item(ty, set, i));
    set_drop(ty, set, i);
    return true;
}

size_t map_find(const struct ty *ty, const void *map, const void *key)
{
    return find_from(ty, map, key, 0);
}

void *map_key(const struct ty *ty, const void *map, size_t i)
{
    return item(ty, map, i);
}

void *map_val(const struct ty *ty, const void *map, size_t i)
{
    return item(ty, map, i) + ty->val_off;
}

bool map_put(const struct ty *ty, void *map, const void *key, const void *val)
{
    size_t i = map_find(ty, map, key);
    if (i != SIZE_MAX) {
        void *old = map_val(ty, map, i);
        if (old != val) {
            value_done(ty->elem, old);
            value_copy(ty->elem, old, val);
        }
        return false;
    }
    char *entry = set_grow(ty, map);
    value_copy(ty->key, entry, key);
    value_copy(ty->elem, entry + ty->val_off, val);
    return true;
}

bool map_remove(const struct ty *ty, void *map, const void *key)
{
    size_t i = map_find(ty, map, key);
    if (i == SIZE_MAX)
        return false;
    value_done(ty->key, item(ty, map, i));
    value_done(ty->elem, map_val(ty, map, i));
    set_drop(ty, map, i);
    return true;
}
