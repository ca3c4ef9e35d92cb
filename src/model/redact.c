/* SPDX-License-Identifier: Apache-2.0 */
/* Walks a value by its type. A map's secret is known by its key, a field's and a parameter's by the schema. */
#include "model/redact.h"

#include <string.h>

#include "base/mem.h"
#include "base/parse.h"

bool redact_key(const char *key)
{
    for (size_t i = 0; schema_secret_keys[i]; i++) {
        if (strcasestr(key, schema_secret_keys[i]))
            return true;
    }
    return false;
}

/* Whole characters of at most max bytes, and how much there was. */
static json_t *cut(const char *text, size_t max)
{
    size_t len = strlen(text), n = max;
    if (max == 0 || len <= max)
        return json_string(text);
    while (n > 0 && !utf8_valid(text, n))
        n--;
    return json_sprintf("%.*s... (%zu bytes)", (int)n, text, len);
}

static json_t *hide(const json_t *v)
{
    const char *key;
    json_t *e;
    if (json_is_object(v)) {
        json_t *out = json_object();
        json_object_foreach((json_t *)(uintptr_t)v, key, e)
        {
            json_object_set_new(out, key, json_string(REDACT_HIDDEN));
        }
        return out;
    }
    bool empty = json_is_null(v) || str_eq(json_string_value(v), "");
    return empty ? json_copy((json_t *)(uintptr_t)v) : json_string(REDACT_HIDDEN);
}

static const struct ty plain = { .kind = TY_STRING };

static json_t *redact_object(const struct ty *ty, const json_t *v, size_t text_max,
                             redact_ref_fn ref)
{
    const struct class_def *cls = ty->kind == TY_RECORD ? &schema_classes[ty->cls] : NULL;
    json_t *out = json_object(), *e;
    const char *key;
    json_object_foreach((json_t *)(uintptr_t)v, key, e)
    {
        const struct field_def *f = cls ? schema_field(cls, key) : NULL;
        const struct ty *inner = f ? f->ty : cls ? &plain : ty->elem;
        bool secret = f ? f->secret : redact_key(key);
        json_object_set_new(out, key, redact_value(inner, secret, e, text_max, ref));
    }
    return out;
}

json_t *redact_value(const struct ty *ty, bool secret, const json_t *v, size_t text_max,
                     redact_ref_fn ref)
{
    const char *text = json_string_value(v);
    json_t *known = NULL;
    size_t i;
    json_t *e;
    if (secret)
        return hide(v);
    if (json_is_object(v) && (ty->kind == TY_MAP || ty->kind == TY_RECORD))
        return redact_object(ty, v, text_max, ref);
    if (ty->kind == TY_OPTION)
        return redact_value(ty->elem, false, v, text_max, ref);
    if (json_is_array(v) && ty->kind == TY_SET) {
        json_t *out = json_array();
        json_array_foreach(v, i, e)
        {
            json_array_append_new(out, redact_value(ty->elem, false, e, text_max, ref));
        }
        return out;
    }
    if (ty->kind == TY_REF && text && ref)
        known = ref((enum class_id)ty->cls, text);
    if (known)
        return known;
    return text ? cut(text, text_max) : json_deep_copy(v);
}
