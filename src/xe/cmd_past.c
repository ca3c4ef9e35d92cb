/* SPDX-License-Identifier: Apache-2.0 */
/* The past: history, diff, blame and undo of objects, and the audit log. An object is named as KIND=NAME-OR-UUID, and may
 * be gone. */
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"
#include "xe/when.h"
#include "xe/xe_int.h"

const char *xe_bare_word(const char *command, size_t n, const char *word)
{
    static const char *const ends[] = { "from", "to" };
    int64_t number;
    if (str_eq(command, "diff") && n < ARRAY_SIZE(ends))
        return ends[n];
    if (str_eq(command, "blame") && n == 0)
        return "field";
    if (str_eq(command, "undo") && n == 0)
        return parse_i64(word, &number) ? "change" : "field";
    if (str_eq(command, "audit-verify") && n == 0)
        return "filename";
    return NULL;
}

/* "now" where nothing is said; given. */
static int moment(struct xe *x, const char *param, const char *otherwise, char **out,
                  struct err *err)
{
    const char *text = xe_param(x, param);
    if (!text) {
        *out = str_dup(otherwise);
        return 0;
    }
    *out = when_text(text, clock_wall_us());
    if (*out)
        return 0;
    (void)err_set(err, XE_USAGE);
    return err_detail(err,
                      "'%s' is no moment: write '2 hours ago', 'yesterday', 2026-01-31 or "
                      "2026-01-31T12:00:00Z",
                      text);
}

/* KIND=OBJECT, or class= and object=. */
struct subject {
    const char *cls, *object;
};

static int subject_of(struct xe *x, bool needed, struct subject *out, struct err *err)
{
    const char *cls = xe_param(x, "class"), *object = xe_param(x, "object");
    *out = (struct subject){ cls ? cls : "", object ? object : "" };
    for (size_t i = 0; i < x->params.n; i++) {
        struct xe_param *p = &x->params.v[i];
        const struct xe_kind *k = p->used ? NULL : xe_kind(p->key);
        if (p->used)
            continue;
        if (!k || !k->cls || *out->cls) {
            (void)err_set(err, XE_USAGE);
            return err_detail(err, "Unknown parameter: %s", p->key);
        }
        p->used = true;
        *out = (struct subject){ k->cls, p->value };
    }
    if (!needed || *out->object)
        return 0;
    (void)err_set(err, XE_USAGE);
    return err_detail(err, "Name an object, such as vm=NAME or vm=UUID");
}

static void print_side(struct xe *x, const json_t *v)
{
    if (json_is_string(v)) {
        xe_out(x, "%s", *json_string_value(v) ? json_string_value(v) : "''");
        return;
    }
    char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
    xe_out(x, "%s", text ? text : "");
    free(text);
}

/* Names as the commands have them. */
static void print_field(struct xe *x, const char *name)
{
    AUTO(free_str) char *text = str_dup(name);
    for (char *p = text; *p; p++) {
        if (*p == '_')
            *p = '-';
    }
    xe_out(x, "%s", text);
}

static void print_changes(struct xe *x, const json_t *entry)
{
    json_t *changes = json_object_get(entry, "changes"), *pair;
    const char *name, *kind = rec_str(entry, "kind");
    json_object_foreach(changes, name, pair)
    {
        xe_out(x, "    ");
        print_field(x, name);
        xe_out(x, ": ");
        if (!str_eq(kind, "create"))
            print_side(x, json_object_get(pair, "old"));
        if (str_eq(kind, "modify"))
            xe_out(x, " -> ");
        if (!str_eq(kind, "destroy"))
            print_side(x, json_object_get(pair, "new"));
        xe_out(x, "\n");
    }
}

static void print_object(struct xe *x, const json_t *entry)
{
    const char *name = rec_str(entry, "name");
    xe_out(x, "%s %s %s%s%s%s\n", rec_str(entry, "kind"), rec_str(entry, "class"),
           rec_str(entry, "uuid"), *name ? " (" : "", name, *name ? ")" : "");
}

static int number_of(const json_t *entry, char out[static 24])
{
    const json_t *n = json_object_get(entry, "change");
    return json_is_integer(n) ? snprintf(out, 24, "%lld", (long long)json_integer_value(n))
                              : snprintf(out, 24, "%s", rec_str(entry, "change"));
}

static void print_who(struct xe *x, const json_t *entry)
{
    char number[24];
    const char *task = rec_str(entry, "task");
    (void)number_of(entry, number); /* a number always fits */
    xe_out(x, "%s  %.19sZ  %s  %s%s%s", number, rec_str(entry, "time"),
           rec_str(entry, "user"), rec_str(entry, "call"), xe_ref_null(task) ? "" : "  ",
           xe_ref_null(task) ? "" : task);
}

/* Changes as numbers, JSON, or text. */
static void print_entries(struct xe *x, const json_t *entries, bool who, bool detail)
{
    AUTO(buf_done) struct buf minimal = BUF_INIT(0);
    size_t i;
    json_t *e;
    if (x->json) {
        xe_print_json(x, entries);
        return;
    }
    json_array_foreach(entries, i, e)
    {
        char number[24];
        (void)number_of(e, number); /* a number always fits */
        if (x->minimal) {
            xe_minimal_add(&minimal, i == 0, who ? number : rec_str(e, "uuid"));
            continue;
        }
        if (who)
            print_who(x, e);
        xe_out(x, who ? "  " : "");
        print_object(x, e);
        /* All fields of something that came or went are not what one looks for in a list. */
        if (detail || str_eq(rec_str(e, "kind"), "modify"))
            print_changes(x, e);
    }
    if (x->minimal)
        xe_out(x, "%s\n", buf_str(&minimal));
}

static int history(struct xe *x, struct err *err)
{
    struct subject s;
    AUTO(free_str) char *since = NULL, *until = NULL;
    AUTO(json_drop) json_t *entries = NULL;
    const char *limit_text = xe_param(x, "limit");
    int64_t limit = 100;
    bool detail = xe_flag(x, "all-fields");
    if (moment(x, "since", "", &since, err) < 0 || moment(x, "until", "", &until, err) < 0
        || subject_of(x, false, &s, err) < 0)
        return -1;
    if (limit_text && !parse_i64(limit_text, &limit))
        return xe_fail(err, "Parameter 'limit': '%s' is not a number", limit_text);
    if (xe_call(x, "serai.get_history",
                json_pack("[ssssI]", s.cls, s.object, since, until, (json_int_t)limit),
                &entries, err)
        < 0)
        return -1;
    print_entries(x, entries, true, detail);
    return 0;
}

static int diff(struct xe *x, struct err *err)
{
    struct subject s;
    AUTO(free_str) char *from = NULL, *to = NULL;
    AUTO(json_drop) json_t *entries = NULL;
    const char *text;
    if (!xe_param(x, "from"))
        return xe_need(x, "from", &text, err);
    if (moment(x, "from", "", &from, err) < 0 || moment(x, "to", "", &to, err) < 0
        || subject_of(x, false, &s, err) < 0
        || xe_call(x, "serai.get_differences",
                   json_pack("[ssss]", s.cls, s.object, from, to), &entries, err)
               < 0)
        return -1;
    print_entries(x, entries, false, true);
    return 0;
}

/* The API's name of a field: "name-label" is name_label. Given. */
static char *field_name(struct xe *x)
{
    const char *text = xe_param(x, "field");
    char *name = str_dup(text ? text : "");
    for (char *p = name; *p; p++) {
        if (*p == '-')
            *p = '_';
    }
    return name;
}

static int blame(struct xe *x, struct err *err)
{
    struct subject s;
    AUTO(free_str) char *field = field_name(x);
    AUTO(json_drop) json_t *entries = NULL;
    size_t i;
    json_t *e;
    if (subject_of(x, true, &s, err) < 0
        || xe_call(x, "serai.get_blame", json_pack("[sss]", s.cls, s.object, field),
                   &entries, err)
               < 0)
        return -1;
    if (x->json) {
        xe_print_json(x, entries);
        return 0;
    }
    json_array_foreach(entries, i, e)
    {
        print_who(x, e);
        xe_out(x, "  ");
        print_field(x, rec_str(e, "field"));
        xe_out(x, ": ");
        print_side(x, json_object_get(e, "value"));
        xe_out(x, "\n");
    }
    return 0;
}

/* The newest change of an object, of one field if that is said. */
static int newest(struct xe *x, const struct subject *s, const char *field,
                  char out[static 24], struct err *err)
{
    AUTO(json_drop) json_t *entries = NULL;
    json_t *e;
    size_t i;
    if (xe_call(x, "serai.get_history",
                json_pack("[ssssI]", s->cls, s->object, "", "", (json_int_t)1000), &entries,
                err)
        < 0)
        return -1;
    json_array_foreach(entries, i, e)
    {
        if (*field && !json_object_get(json_object_get(e, "changes"), field))
            continue;
        (void)number_of(e, out); /* a number always fits */
        return 0;
    }
    return xe_fail(err, "The history has no such change");
}

static int undo(struct xe *x, struct err *err)
{
    struct subject s;
    char number[24] = "";
    AUTO(free_str) char *field = field_name(x);
    AUTO(json_drop) json_t *calls = NULL;
    const char *change = xe_param(x, "change");
    int64_t n;
    if (subject_of(x, !change, &s, err) < 0)
        return -1;
    if (!change && newest(x, &s, field, number, err) < 0)
        return -1;
    change = change ? change : number;
    if (!parse_i64(change, &n))
        return xe_fail(err, "Parameter 'change': '%s' is not a number", change);
    if (xe_call(x, "serai.undo", json_pack("[Is]", (json_int_t)n, field), &calls, err) < 0)
        return -1;
    if (x->json)
        xe_print_json(x, calls);
    else
        xe_print_list(x, calls);
    return 0;
}

static int audit_log_get(struct xe *x, struct err *err)
{
    const char *file;
    AUTO(free_str) char *since = NULL, *path = NULL;
    if (xe_need(x, "filename", &file, err) < 0 || moment(x, "since", "", &since, err) < 0)
        return -1;
    if (!x->env->download)
        return xe_fail(err, "Files cannot be received here");
    path = *since ? str_fmt("/audit_log?since=%s", since) : str_dup("/audit_log");
    return x->env->download(x->env->arg, file, path, err);
}

static int audit_verify(struct xe *x, struct err *err)
{
    AUTO(json_drop) json_t *report = NULL;
    if (xe_param(x, "filename"))
        return xe_fail(err, "Files cannot be read here");
    if (xe_call(x, "serai.audit_verify", json_array(), &report, err) < 0)
        return -1;
    if (x->json)
        xe_print_json(x, report);
    else
        xe_out(x, "%s", rec_str(report, "report"));
    return str_eq(rec_str(report, "whole"), "true") ? 0 : err_set(err, XE_QUIET);
}

const struct xe_function xe_past_functions[] = {
    { "history", history, "*" },
    { "diff", diff, "*" },
    { "blame", blame, "*" },
    { "undo", undo, "*" },
    { "audit-log-get", audit_log_get, NULL },
    { "audit-verify", audit_verify, NULL },
    { 0 },
};
