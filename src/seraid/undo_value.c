/* SPDX-License-Identifier: Apache-2.0 */
#include "seraid/undo_value.h"

static bool is_in(const json_t *set, const json_t *member)
{
    size_t i;
    json_t *e;

    json_array_foreach(set, i, e)
    {
        if (json_equal(e, member))
            return true;
    }
    return false;
}

static json_t *undo_set(const json_t *old, const json_t *new_, const json_t *now)
{
    json_t *out = json_array(), *e;
    size_t i;

    json_array_foreach(now, i, e)
    {
        if (is_in(old, e) || !is_in(new_, e))
            json_array_append(out, e);
    }
    json_array_foreach(old, i, e)
    {
        if (!is_in(new_, e) && !is_in(out, e))
            json_array_append(out, e);
    }
    return out;
}

static json_t *undo_map(const json_t *old, const json_t *new_, const json_t *now)
{
    json_t *out = json_copy((json_t *)(uintptr_t)now), *both = json_object(), *e;
    const char *key;
    bool same = true;

    json_object_update(both, (json_t *)(uintptr_t)old);
    json_object_update(both, (json_t *)(uintptr_t)new_);
    json_object_foreach(both, key, e)
    {
        json_t *was = json_object_get(old, key), *became = json_object_get(new_, key);
        json_t *is = json_object_get(now, key);

        if ((was && became && json_equal(was, became)) || (!was && !became))
            continue;
        same = same && (became ? is && json_equal(became, is) : !is);
        if (was)
            json_object_set(out, key, was);
        else
            (void)json_object_del(out, key);
    }
    json_decref(both);
    if (!same) {
        json_decref(out);
        return NULL;
    }
    return out;
}

json_t *undo_value(const struct ty *ty, const json_t *old, const json_t *new_,
                   const json_t *now)
{
    if (ty->kind == TY_MAP && json_is_object(old) && json_is_object(new_)
        && json_is_object(now))
        return undo_map(old, new_, now);
    if (ty->kind == TY_SET && json_is_array(old) && json_is_array(new_)
        && json_is_array(now))
        return undo_set(old, new_, now);
    return json_equal(new_, now) ? json_deep_copy(old) : NULL;
}
