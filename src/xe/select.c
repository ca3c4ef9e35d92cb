/* SPDX-License-Identifier: Apache-2.0 */
/* Which objects a command is about: filters "field=value", "map:key=value", "set:contains=value", and the selectors
 * vm=, host=, sr= that take a name or a uuid. */
#include <string.h>

#include "base/uuid.h"
#include "xe/xe_int.h"

bool xe_kind_has(const struct xe_kind *k, const json_t *rec)
{
    bool template = rec_true(rec, "is_a_template"),
         snapshot = rec_true(rec, "is_a_snapshot");
    if (str_eq(k->name, "vm"))
        return !template && !snapshot;
    if (str_eq(k->name, "template"))
        return template && !snapshot;
    return !str_eq(k->name, "snapshot") || snapshot;
}

static bool list_contains(const json_t *list, const char *text, unsigned flags)
{
    size_t i;
    json_t *e;
    json_array_foreach(list, i, e)
    {
        AUTO(free_str) char *one = xe_value_text(e, flags, "");
        if (str_eq(one, text))
            return true;
    }
    return false;
}

static int matches(struct xe *x, const struct xe_kind *k, const char *ref, json_t *rec,
                   const struct xe_param *p, bool *match_out, struct err *err)
{
    size_t name = strcspn(p->key, ":");
    const struct xe_field *f = xe_kind_field(k, p->key, name);
    if (!f)
        return xe_fail(err, "Unknown field '%s' of %s", p->key, k->name);
    const char *key = p->key[name] ? p->key + name + 1 : NULL;
    AUTO(json_drop) json_t *v = NULL;
    if (xe_eval(x, k->cls, ref, rec, f->path, &v, err) < 0)
        return -1;
    if (key && (f->flags & XE_LIST)) {
        if (!str_eq(key, "contains"))
            return xe_fail(err, "A set is filtered by %s:contains=value", f->name);
        *match_out = json_is_object(v) ? json_object_get(v, p->value) != NULL
                                       : list_contains(v, p->value, f->flags);
        return 0;
    }
    const json_t *one = key ? json_object_get(v, key) : v;
    AUTO(free_str) char *text = key && !one ? NULL : xe_value_text(one, f->flags, f->path);
    *match_out = str_eq(text, p->value);
    return 0;
}

int xe_passes(struct xe *x, const struct xe_kind *k, const char *ref, json_t *rec,
              bool *match_out, struct err *err)
{
    bool match = true;
    for (size_t i = 0; match && i < x->params.n; i++) {
        const struct xe_param *p = &x->params.v[i];
        if (!p->used && matches(x, k, ref, rec, p, &match, err) < 0)
            return -1;
    }
    *match_out = match;
    return 0;
}

int xe_check_filters(struct xe *x, const struct xe_kind *k, struct err *err)
{
    for (size_t i = 0; i < x->params.n; i++) {
        const struct xe_param *p = &x->params.v[i];
        if (!p->used && !xe_kind_field(k, p->key, strcspn(p->key, ":")))
            return xe_fail(err, "Unknown field '%s' of %s", p->key, k->name);
    }
    return 0;
}

static bool selectable(const struct xe_kind *k, const json_t *rec, bool templates)
{
    return (templates || xe_kind_has(k, rec)) && !rec_true(rec, "is_control_domain");
}

/* Of all objects; candidates NULL: of the class. strict: as a command selects, not as a list shows. */
static int filter(struct xe *x, const struct xe_kind *k, const json_t *candidates,
                  bool strict, bool templates, json_t **refs_out, struct err *err)
{
    AUTO(json_drop) json_t *refs = json_array();
    AUTO(json_drop) json_t *all = json_object();
    if (xe_check_filters(x, k, err) < 0)
        return -1;
    if (!candidates) {
        json_t *whole;
        if (xe_all(x, k->cls, &whole, err) < 0)
            return -1;
        json_object_update(all, whole);
    }
    size_t i;
    json_t *e, *rec;
    json_array_foreach(candidates, i, e)
    {
        if (xe_record(x, k->cls, json_string_value(e), &rec, err) < 0)
            return -1;
        if (rec)
            json_object_set(all, json_string_value(e), rec);
    }
    const char *ref;
    json_object_foreach(all, ref, rec)
    {
        bool match;
        if (!(strict ? selectable(k, rec, templates) : xe_kind_has(k, rec)))
            continue;
        if (xe_passes(x, k, ref, rec, &match, err) < 0)
            return -1;
        if (match)
            json_array_append_new(refs, json_string(ref));
    }
    *refs_out = TAKE(refs);
    return 0;
}

int xe_filter(struct xe *x, const struct xe_kind *k, json_t **refs_out, struct err *err)
{
    return filter(x, k, NULL, false, false, refs_out, err);
}

/* Objects by uuid or name; none is an empty array. */
static int named(struct xe *x, const struct xe_kind *k, const char *text, json_t **refs_out,
                 struct err *err)
{
    struct uuid u;
    if (uuid_parse(text, &u)) {
        AUTO(err_done) struct err e = { 0 };
        AUTO(free_str) char *ref = NULL;
        if (xe_by_uuid(x, k->cls, text, &ref, &e) == 0) {
            *refs_out = json_pack("[s]", ref);
            return 0;
        }
        if (!str_eq(e.code, "UUID_INVALID") && !str_eq(e.code, "HANDLE_INVALID")) {
            err_move(err, &e);
            return -1;
        }
    }
    return xe_named(x, k->cls, text, refs_out, err);
}

int xe_select(struct xe *x, const char *kind, bool templates, json_t **refs_out,
              struct err *err)
{
    const struct xe_kind *k = xe_kind(kind);
    AUTO(free_str)
    char *names = str_fmt("%s|%s-uuid|%s-name|%s-name-label|%s-id|uuid%s", kind, kind, kind,
                          kind, kind,
                          str_starts(x->name, "snapshot-") ? "|snapshot-uuid" : "");
    const char *text = xe_param(x, names);
    AUTO(json_drop) json_t *found = NULL;
    AUTO(json_drop) json_t *refs = NULL;
    if ((text && named(x, k, text, &found, err) < 0)
        || filter(x, k, found, true, templates, &refs, err) < 0)
        return -1;
    if (json_array_size(refs) == 0)
        return xe_fail(err, "No matching %ss found",
                       str_eq(kind, "vm")   ? "VM"
                       : str_eq(kind, "sr") ? "SR"
                                            : kind);
    if (json_array_size(refs) > 1 && !x->multiple)
        return xe_fail(
            err, "Multiple matches found. --multiple required to complete the operation");
    *refs_out = TAKE(refs);
    return 0;
}

int xe_select_one(struct xe *x, const char *kind, bool templates, const char **ref_out,
                  json_t **keep_out, struct err *err)
{
    AUTO(json_drop) json_t *refs = NULL;
    bool multiple = x->multiple;
    x->multiple = true;
    int rc = xe_select(x, kind, templates, &refs, err);
    x->multiple = multiple;
    if (rc < 0)
        return -1;
    if (json_array_size(refs) > 1)
        return xe_fail(
            err,
            "Multiple matches found. Operation can only be performed on one %s at a time",
            str_eq(kind, "vm") ? "VM" : kind);
    *ref_out = json_string_value(json_array_get(refs, 0));
    *keep_out = TAKE(refs);
    return 0;
}
