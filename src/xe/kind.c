/* SPDX-License-Identifier: Apache-2.0 */
/* The commands that every kind of object has: KIND-list and KIND-param-get, -set, -add, -remove, -clear, -list. */
#include <string.h>

#include "xe/xe_int.h"

const struct xe_kind *xe_kind(const char *name)
{
    for (size_t i = 0; i < xe_n_kinds; i++) {
        if (str_eq(xe_kinds[i].name, name))
            return &xe_kinds[i];
    }
    return NULL;
}

/* Fields are written with "-" or "_", in any case. */
static char plain(char c)
{
    return c == '_' ? '-' : c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool same_name(const char *field, const char *name, size_t len)
{
    size_t i = 0;
    while (i < len && field[i] && plain(field[i]) == plain(name[i]))
        i++;
    return i == len && !field[i];
}

const struct xe_field *xe_kind_field(const struct xe_kind *k, const char *name, size_t len)
{
    for (size_t i = 0; i < k->n_fields; i++) {
        if (same_name(k->fields[i].name, name, len))
            return &k->fields[i];
    }
    return NULL;
}

static int need_field(const struct xe_kind *k, const char *name,
                      const struct xe_field **out, struct err *err)
{
    *out = xe_kind_field(k, name, strcspn(name, ":"));
    return *out ? 0 : xe_fail(err, "Unknown field '%s' of %s", name, k->name);
}

char *xe_field_label(const struct xe_field *f)
{
    const char *mark = f->flags & XE_MAP    ? (f->flags & XE_ADD ? "MRW" : "MRO")
                       : f->flags & XE_LIST ? (f->flags & (XE_ADD | XE_SET) ? "SRW" : "SRO")
                       : f->flags & XE_SET  ? " RW"
                                            : " RO";
    return str_fmt("%s (%s)", f->name, mark);
}

/* Which of names ("a,b:key", "all", NULL) asks for the field. *key_out: given, the part behind ":". */
static bool asked(const struct xe_field *f, const char *names, char **key_out)
{
    if (!names)
        return f->flags & XE_SHOWN;
    if (str_eq(names, "all"))
        return !(f->flags & XE_HIDDEN);
    for (const char *p = names; *p;) {
        size_t n = strcspn(p, ","), name = strcspn(p, ":,");
        if (same_name(f->name, p, name)) {
            if (name < n)
                *key_out = str_dupn(p + name + 1, n - name - 1);
            return true;
        }
        p += n;
        p += *p == ',';
    }
    return false;
}

static int check_names(const struct xe_kind *k, const char *names, struct err *err)
{
    if (!names || !*names || str_eq(names, "all"))
        return 0;
    AUTO(free_str) char *copy = str_dup(names);
    for (char *p = copy, *name; (name = strsep(&p, ","));) {
        const struct xe_field *f;
        if (need_field(k, name, &f, err) < 0)
            return -1;
    }
    return 0;
}

static int field_value(struct xe *x, const struct xe_kind *k, const char *ref,
                       const struct xe_field *f, const char *key, json_t **out,
                       struct err *err)
{
    json_t *rec;
    AUTO(json_drop) json_t *v = NULL;
    if (xe_record(x, k->cls, ref, &rec, err) < 0
        || xe_eval(x, k->cls, ref, rec, f->path, &v, err) < 0)
        return -1;
    *out = key ? json_incref(json_object_get(v, key)) : TAKE(v);
    return 0;
}

/* One record: as lines, or as members of an object for --json. */
static int show_record(struct xe *x, const struct xe_kind *k, const char *ref,
                       const char *names, struct xe_lines *lines, json_t *object,
                       struct err *err)
{
    for (size_t i = 0; i < k->n_fields; i++) {
        const struct xe_field *f = &k->fields[i];
        AUTO(free_str) char *key = NULL;
        if (!asked(f, names, &key))
            continue;
        bool skip = (f->flags & XE_COSTLY) && str_eq(names, "all");
        AUTO(json_drop) json_t *v = NULL;
        AUTO(err_done) struct err refused = { 0 };
        if (!skip && field_value(x, k, ref, f, key, &v, &refused) < 0) {
            /* One call that this server does not know shall not hide all other fields. */
            if (f->path[0] != '!' || !str_eq(names, "all")) {
                err_move(err, &refused);
                return -1;
            }
        }
        if (x->json) {
            AUTO(free_str)
            char *member = key ? str_fmt("%s:%s", f->name, key) : str_dup(f->name);
            if (!skip)
                json_object_set(object, member, v ? v : json_null());
            continue;
        }
        xe_lines_add(lines, xe_field_label(f),
                     skip        ? str_dup("<expensive field>")
                     : !v && key ? str_dup("<not in map>")
                                 : xe_value_text(v, f->flags, f->path));
    }
    return 0;
}

void xe_shown_done(struct xe_shown *s)
{
    json_decref(s->all);
    s->all = NULL;
    buf_done(&s->minimal);
}

int xe_show_one(struct xe *x, struct xe_shown *s, const struct xe_kind *k, const char *ref,
                const char *names, struct err *err)
{
    AUTO(xe_lines_done) struct xe_lines lines = { 0 };
    AUTO(json_drop) json_t *object = json_object();
    if (check_names(k, names, err) < 0
        || show_record(x, k, ref, names, &lines, object, err) < 0)
        return -1;
    if (x->json) {
        s->all = s->all ? s->all : json_array();
        json_array_append(s->all, object);
    } else if (!x->minimal) {
        xe_print_record(x, &lines);
    } else if (lines.v.n) {
        xe_minimal_add(&s->minimal, !s->any, lines.v.v[0].value);
        s->any = true;
    }
    return 0;
}

void xe_show_end(struct xe *x, struct xe_shown *s)
{
    if (x->json && !s->all)
        s->all = json_array();
    if (x->json)
        xe_print_json(x, s->all);
    else if (x->minimal)
        xe_out(x, "%s\n", buf_str(&s->minimal));
}

int xe_show(struct xe *x, const struct xe_kind *k, const json_t *refs, const char *names,
            struct err *err)
{
    AUTO(xe_shown_done) struct xe_shown shown = { 0 };
    size_t i;
    json_t *ref;
    json_array_foreach(refs, i, ref)
    {
        if (xe_show_one(x, &shown, k, json_string_value(ref), names, err) < 0)
            return -1;
    }
    xe_show_end(x, &shown);
    return 0;
}

static int list(struct xe *x, const struct xe_kind *k, const char *ref, struct err *err)
{
    const char *names = xe_param(x, "params");
    AUTO(json_drop) json_t *refs = NULL;
    x->bulk = true;
    if (check_names(k, names, err) < 0 || xe_filter(x, k, &refs, err) < 0)
        return -1;
    return xe_show(x, k, refs, names, err);
}

static int param_list(struct xe *x, const struct xe_kind *k, const char *ref,
                      struct err *err)
{
    AUTO(json_drop) json_t *refs = json_pack("[s]", ref);
    return xe_show(x, k, refs, "all", err);
}

static int named_field(struct xe *x, const struct xe_kind *k, const struct xe_field **out,
                       struct err *err)
{
    const char *name;
    return xe_need(x, "param-name", &name, err) < 0 ? -1 : need_field(k, name, out, err);
}

static int param_get(struct xe *x, const struct xe_kind *k, const char *ref,
                     struct err *err)
{
    const struct xe_field *f;
    const char *key = xe_param(x, "param-key");
    AUTO(json_drop) json_t *v = NULL;
    if (named_field(x, k, &f, err) < 0 || field_value(x, k, ref, f, key, &v, err) < 0)
        return -1;
    if (!v && key)
        return xe_fail(err, "Key %s not found in map %s", key, f->name);
    AUTO(free_str) char *text = xe_value_text(v, f->flags, f->path);
    if (x->json)
        xe_print_json(x, v);
    else
        xe_out(x, "%s\n", text);
    return 0;
}

static int call_field(struct xe *x, const struct xe_kind *k, const char *verb,
                      const struct xe_field *f, json_t *params, struct err *err)
{
    AUTO(free_str) char *method = str_fmt("%s.%s%s", k->cls, verb, f->api);
    return xe_do(x, method, params, err);
}

static int set_field(struct xe *x, const struct xe_kind *k, const char *ref,
                     const struct xe_field *f, const struct xe_param *p, struct err *err)
{
    const char *key = strchr(p->key, ':');
    if (key) {
        key++;
        if (!(f->flags & XE_MAP) || !(f->flags & XE_ADD))
            return xe_fail(err, "Field '%s' is no map that can be changed", f->name);
        return call_field(x, k, "remove_from_", f, json_pack("[ss]", ref, key), err) < 0
                       || call_field(x, k, "add_to_", f,
                                     json_pack("[sss]", ref, key, p->value), err)
                              < 0
                   ? -1
                   : 0;
    }
    if (f->flags & XE_MAP)
        return xe_fail(err, "Field '%s' is a map: set its keys with %s:key=value", f->name,
                       f->name);
    if (!(f->flags & XE_SET))
        return xe_fail(err, "Field '%s' is read-only", f->name);
    json_t *v;
    if (xe_typed(x, f->type, f->detail, f->many, p->value, f->name, &v, err) < 0)
        return -1;
    return call_field(x, k, "set_", f, json_pack("[so]", ref, v), err);
}

static int param_set(struct xe *x, const struct xe_kind *k, const char *ref,
                     struct err *err)
{
    for (size_t pass = 0; pass < 2;
         pass++) { /* all names first, so that a typing error changes nothing */
        for (size_t i = 0; i < x->params.n; i++) {
            const struct xe_param *p = &x->params.v[i];
            const struct xe_field *f;
            if (p->used)
                continue;
            if (need_field(k, p->key, &f, err) < 0
                || (pass && set_field(x, k, ref, f, p, err) < 0))
                return -1;
        }
    }
    return 0;
}

static int changeable(const struct xe_field *f, struct err *err)
{
    return f->flags & XE_ADD
               ? 0
               : xe_fail(err, "Field '%s' is no map or set that can be changed", f->name);
}

static int param_add(struct xe *x, const struct xe_kind *k, const char *ref,
                     struct err *err)
{
    const struct xe_field *f;
    const char *key;
    if (named_field(x, k, &f, err) < 0 || changeable(f, err) < 0)
        return -1;
    if (f->flags & XE_LIST)
        return xe_need(x, "param-key", &key, err) < 0
                   ? -1
                   : call_field(x, k, "add_", f, json_pack("[ss]", ref, key), err);
    size_t added = 0;
    for (size_t i = 0; i < x->params.n; i++) {
        const struct xe_param *p = &x->params.v[i];
        if (p->used)
            continue;
        if (call_field(x, k, "add_to_", f, json_pack("[sss]", ref, p->key, p->value), err)
            < 0)
            return -1;
        added++;
    }
    return added ? 0 : xe_fail(err, "Give the entries to add as key=value");
}

static int remove_one(struct xe *x, const struct xe_kind *k, const char *ref,
                      const struct xe_field *f, const char *key, struct err *err)
{
    return call_field(x, k, f->flags & XE_LIST ? "remove_" : "remove_from_", f,
                      json_pack("[ss]", ref, key), err);
}

static int param_remove(struct xe *x, const struct xe_kind *k, const char *ref,
                        struct err *err)
{
    const struct xe_field *f;
    const char *key;
    if (named_field(x, k, &f, err) < 0 || changeable(f, err) < 0
        || xe_need(x, "param-key", &key, err) < 0)
        return -1;
    return remove_one(x, k, ref, f, key, err);
}

static int param_clear(struct xe *x, const struct xe_kind *k, const char *ref,
                       struct err *err)
{
    const struct xe_field *f;
    if (named_field(x, k, &f, err) < 0)
        return -1;
    if (!(f->flags & (XE_MAP | XE_LIST))) {
        if (!(f->flags & XE_SET) || (f->type != XE_TEXT && f->type != XE_REF))
            return xe_fail(err, "Field '%s' cannot be cleared", f->name);
        return call_field(x, k, "set_", f,
                          json_pack("[ss]", ref, f->type == XE_REF ? "OpaqueRef:NULL" : ""),
                          err);
    }
    json_t *rec, *e;
    size_t i;
    const char *key;
    if (changeable(f, err) < 0 || xe_record(x, k->cls, ref, &rec, err) < 0)
        return -1;
    const json_t *v = json_object_get(rec, f->api);
    json_array_foreach(v, i, e)
    {
        if (remove_one(x, k, ref, f, json_string_value(e), err) < 0)
            return -1;
    }
    json_object_foreach((json_t *)(uintptr_t)v, key, e)
    {
        if (remove_one(x, k, ref, f, key, err) < 0)
            return -1;
    }
    return 0;
}

static const struct {
    const char *verb;
    bool one; /* of the object uuid= */
    int (*fn)(struct xe *x, const struct xe_kind *k, const char *ref, struct err *err);
} verbs[] = {
    { "list", false, list },
    { "param-list", true, param_list },
    { "param-get", true, param_get },
    { "param-set", true, param_set },
    { "param-add", true, param_add },
    { "param-remove", true, param_remove },
    { "param-clear", true, param_clear },
};

const struct xe_kind *xe_kind_command(const char *command, const char **verb_out)
{
    for (size_t i = 0; i < xe_n_kinds; i++) {
        size_t len = strlen(xe_kinds[i].name);
        if (strncmp(command, xe_kinds[i].name, len) != 0 || command[len] != '-')
            continue;
        for (size_t j = 0; j < ARRAY_SIZE(verbs); j++) {
            if (str_eq(command + len + 1, verbs[j].verb)) {
                *verb_out = verbs[j].verb;
                return &xe_kinds[i];
            }
        }
    }
    return NULL;
}

int xe_kind_run(struct xe *x, const struct xe_kind *k, const char *verb, struct err *err)
{
    if (!k->cls)
        return xe_not_served(x, err);
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        if (!str_eq(verb, verbs[i].verb))
            continue;
        AUTO(free_str) char *ref = NULL;
        const char *uuid;
        if (verbs[i].one
            && (xe_need(x, "uuid", &uuid, err) < 0
                || xe_by_uuid(x, k->cls, uuid, &ref, err) < 0))
            return -1;
        return verbs[i].fn(x, k, ref, err);
    }
    return xe_not_served(x, err);
}
