/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of the serai namespace that look into the history (api/serai.py). Entries come from the store one by one
 * and are written as they come, so an answer costs the memory of its text. */
#include "ops/past.h"

#include <stdlib.h>
#include <string.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/vec.h"
#include "model/audit.h"
#include "model/rbac.h"
#include "model/redact.h"

#define LIMIT_MAX 10000
#define TIME_SIZE 40

static const char *const kinds[] = { "create", "modify", "destroy" };

/* What is asked for */

static int bad(struct err *err, const char *what, const char *value, const char *why)
{
    (void)err_set(err, ERR_INVALID_VALUE, what, value);
    (void)err_detail(err, "%s", why);
    return -1;
}

static bool is_kept(const struct class_def *cls)
{
    return cls->is_object && !cls->is_volatile && !cls->untracked;
}

/* "" is all classes, where that is allowed: NULL. */
static int find_class(const char *name, bool any, const struct class_def **out,
                      struct err *err)
{
    *out = *name ? schema_class_any_case(name) : NULL;
    if (!*name && any)
        return 0;
    if (!*out)
        return bad(err, "class", name, "There is no such class.");
    if (!is_kept(*out))
        return bad(err, "class", name, "The history does not keep this class.");
    return 0;
}

static int find_time(const char *what, const char *text, int64_t otherwise, int64_t *out,
                     struct err *err)
{
    *out = otherwise;
    if (!*text || clock_parse_iso(text, out))
        return 0;
    return bad(err, what, text, "A moment is written as 2026-01-31T12:00:00Z.");
}

struct finding {
    const struct class_def *cls;
    const char *text;
    struct ref ref;
    bool found;
};

/* A destroyed object: its last values are the old ones. */
static bool is_wanted(const struct store_history *h, void *arg)
{
    struct finding *f = arg;
    static const char *const names[] = { "uuid", "name_label" };
    json_t *changes = json_loads(h->changes, 0, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(names) && !f->found; i++) {
        const json_t *pair = json_object_get(changes, names[i]);
        f->found = str_eq(json_string_value(json_array_get(pair, 0)), f->text);
    }
    f->ref = h->ref;
    json_decref(changes);
    return !f->found;
}

/* A token that is limited to objects sees the past of those alone. ref NULL: of all. */
static int check_scope(const struct call *call, const struct ref *ref, struct err *err)
{
    db_lock();
    bool good = !rbac_limited_to_objects(&call->session)
                || (ref && rbac_sees(&call->session, ref));
    db_unlock();
    if (good)
        return 0;
    AUTO(free_str) char *permission = str_fmt("serai.%s", call->def->name);
    return err_set(err, ERR_RBAC_PERMISSION_DENIED, permission,
                   "No permission in user session");
}

/* One that is there comes before one that is gone; the last that went before earlier ones. */
static int find_object(const struct class_def *cls, const char *text, struct ref *out,
                       struct err *err)
{
    struct finding f = { .cls = cls, .text = text };
    if (str_starts(text, "OpaqueRef:") && ref_parse(text, out))
        return 0;
    db_lock();
    f.found = db_find_uuid(cls->id, text, &f.ref)
              || (cls->name_field >= 0 && db_find_name(cls->id, text, 0, &f.ref));
    db_unlock();
    struct store_query q = {
        .cls = cls->name, .gone = true, .to_us = INT64_MAX, .newest_first = true
    };
    if (!f.found && history_query(&q, is_wanted, &f, err) < 0)
        return -1;
    *out = f.ref;
    return f.found ? 0
                   : bad(err, "object", text,
                         "No object of this class has or had that reference, uuid or name, "
                         "as far as "
                         "the history goes back.");
}

/* Values */

static void put_time(struct buf *out, enum enc enc, int64_t us)
{
    char date[20], text[TIME_SIZE];
    clock_iso(us, date);
    int64_t fraction = us % US_PER_SEC;
    (void)snprintf(text, sizeof(text), "%.4s-%.2s-%.2s%.9s.%06dZ", date, date + 4, date + 6,
                   date + 8, (int)(fraction < 0 ? 0 : fraction));
    enc_string(out, enc, text);
}

static void put_text(struct call *call, const char *name, const char *value, bool *first)
{
    enc_member_begin(call->out, call->enc, name, first);
    enc_string(call->out, call->enc, value);
    enc_member_end(call->out, call->enc);
}

/* A stored value in the type of its field; what is not there is "". */
static void put_value(struct call *call, const char *name, const struct field_def *f,
                      const json_t *stored, bool *first)
{
    AUTO(err_done) struct err ignored = { 0 };
    json_t *v = f && stored && !json_is_null(stored)
                    ? redact_value(f->ty, f->secret, stored, 0, NULL)
                    : NULL;
    enc_member_begin(call->out, call->enc, name, first);
    void *p = f ? mem_alloc(MAX((size_t)f->ty->size, (size_t)1)) : NULL;
    if (v && value_decode(f->ty, v, name, p, &ignored) == 0) {
        enc_value(call->out, call->enc, f->ty, p);
        value_done(f->ty, p);
    } else {
        enc_string(call->out, call->enc, "");
    }
    free(p);
    json_decref(v);
    enc_member_end(call->out, call->enc);
}

static void put_changes(struct call *call, const struct class_def *cls, json_t *changes,
                        bool *first)
{
    const char *name;
    json_t *pair;
    bool first_field = true;
    enc_member_begin(call->out, call->enc, "changes", first);
    enc_struct_begin(call->out, call->enc);
    json_object_foreach(changes, name, pair)
    {
        const struct field_def *f = schema_field(cls, name);
        bool first_side = true;
        if (!f)
            continue; /* of another version */
        enc_member_begin(call->out, call->enc, name, &first_field);
        enc_struct_begin(call->out, call->enc);
        put_value(call, "old", f, json_array_get(pair, 0), &first_side);
        put_value(call, "new", f, json_array_get(pair, 1), &first_side);
        enc_struct_end(call->out, call->enc);
        enc_member_end(call->out, call->enc);
    }
    enc_struct_end(call->out, call->enc);
    enc_member_end(call->out, call->enc);
}

/* Who an entry is about: the uuid and name that it had. */

struct naming {
    char *uuid, *name;
};

static void naming_done(struct naming *n)
{
    free(n->uuid);
    free(n->name);
    *n = (struct naming){ 0 };
}

static void naming_from(struct naming *n, const json_t *changes, size_t side)
{
    const char *uuid = json_string_value(
        json_array_get(json_object_get(changes, "uuid"), side));
    const char *name = json_string_value(
        json_array_get(json_object_get(changes, "name_label"), side));
    if (!n->uuid)
        n->uuid = str_dup(uuid);
    if (!n->name)
        n->name = str_dup(name);
}

static bool name_gone(const struct store_history *h, void *arg)
{
    json_t *changes = json_loads(h->changes, 0, NULL);
    naming_from(arg, changes, 0);
    json_decref(changes);
    return false;
}

static const char *text_field(const struct class_def *cls, int16_t field, const void *rec)
{
    return field >= 0 ? *(const char *const *)record_field(&cls->fields[field], rec) : "";
}

static void name_of(const struct class_def *cls, const struct ref *ref,
                    enum store_kind kind, const json_t *changes, struct naming *out)
{
    AUTO(err_done) struct err ignored = { 0 };
    struct store_query q = {
        .ref = ref, .gone = true, .to_us = INT64_MAX, .newest_first = true
    };
    if (kind == STORE_CREATE)
        naming_from(out, changes, 1);
    else if (kind == STORE_DESTROY)
        naming_from(out, changes, 0);
    if (out->uuid)
        return;
    db_lock();
    const void *rec = db_get(cls->id, ref);
    if (rec) {
        out->uuid = str_dup(text_field(cls, cls->uuid_field, rec));
        out->name = str_dup(text_field(cls, cls->name_field, rec));
    }
    db_unlock();
    if (!rec && history_query(&q, name_gone, out, &ignored) < 0)
        return; /* without a name, then */
}

static void put_object(struct call *call, const struct class_def *cls,
                       const struct ref *ref, enum store_kind kind, const json_t *changes,
                       bool *first)
{
    AUTO(naming_done) struct naming n = { 0 };
    char text[REF_TEXT_SIZE];
    ref_text(ref, text);
    name_of(cls, ref, kind, changes, &n);
    put_text(call, "kind", kinds[kind], first);
    put_text(call, "class", cls->name, first);
    put_text(call, "ref", text, first);
    put_text(call, "uuid", n.uuid ? n.uuid : "", first);
    put_text(call, "name", n.name ? n.name : "", first);
}

static void put_who(struct call *call, const struct store_history *h, bool *first)
{
    char task[REF_TEXT_SIZE];
    ref_text(&h->task, task);
    enc_member_begin(call->out, call->enc, "change", first);
    enc_int(call->out, call->enc, h->id);
    enc_member_end(call->out, call->enc);
    enc_member_begin(call->out, call->enc, "time", first);
    put_time(call->out, call->enc, h->time_us);
    enc_member_end(call->out, call->enc);
    put_text(call, "user", h->user, first);
    put_text(call, "call", h->call, first);
    put_text(call, "task", task, first);
}

/* History */

struct listing {
    struct call *call;
    bool any_class, first;
    int64_t left;
};

/* Tasks come and go with everything; who asks for all does not ask for them. */
static const struct class_def *shown_class(const char *name, bool any_class)
{
    const struct class_def *cls = schema_class(name);
    if (!cls || !is_kept(cls) || (any_class && cls->id == CLASS_TASK))
        return NULL;
    return cls;
}

static bool list_entry_of(const struct store_history *h, void *arg)
{
    struct listing *l = arg;
    const struct class_def *cls = shown_class(h->cls, l->any_class);
    if (!cls)
        return true;
    json_t *changes = json_loads(h->changes, 0, NULL);
    bool first = true;
    enc_item_begin(l->call->out, l->call->enc, &l->first);
    enc_struct_begin(l->call->out, l->call->enc);
    put_who(l->call, h, &first);
    put_object(l->call, cls, &h->ref, h->kind, changes, &first);
    put_changes(l->call, cls, changes, &first);
    enc_struct_end(l->call->out, l->call->enc);
    json_decref(changes);
    return --l->left > 0;
}

int op_serai_get_history(struct call *call, const struct serai_get_history_args *a,
                         struct err *err)
{
    const struct class_def *cls;
    struct ref ref;
    struct store_query q = { .newest_first = true };
    struct listing l = { .call = call, .first = true };
    if (find_class(a->class, !*a->object, &cls, err) < 0
        || find_time("since", a->since, 0, &q.from_us, err) < 0
        || find_time("until", a->until, INT64_MAX, &q.to_us, err) < 0
        || (*a->object && find_object(cls, a->object, &ref, err) < 0)
        || check_scope(call, *a->object ? &ref : NULL, err) < 0)
        return -1;
    if (a->limit < 1 || a->limit > LIMIT_MAX)
        return bad(err, "limit", "", "The limit is from 1 to 10000.");
    l.left = a->limit;
    l.any_class = !cls;
    q.cls = cls ? cls->name : NULL;
    q.ref = *a->object ? &ref : NULL;
    enc_array_begin(call->out, call->enc);
    if (history_query(&q, list_entry_of, &l, err) < 0)
        return -1;
    enc_array_end(call->out, call->enc);
    return 0;
}

/* Records of the past */

/* Sets that the database keeps as the inverse of references: VM.VBDs from the VBD.VM of that moment. */
static int fill_inverses(const struct class_def *cls, int64_t id, json_t *states,
                         struct err *err)
{
    for (size_t i = 0; i < cls->n_fields; i++) {
        const struct field_def *f = &cls->fields[i];
        const struct class_def *other = &schema_classes[f->inverse_class];
        json_t *others, *state;
        const char *ref;
        if (!f->inverse_class || !is_kept(other))
            continue;
        if (history_class_at(other->name, id, &others, err) < 0)
            return -1;
        json_object_foreach(others, ref, state)
        {
            const char *target = json_string_value(
                json_object_get(state, other->fields[f->inverse_field].name));
            json_t *of = target ? json_object_get(states, target) : NULL;
            if (!of)
                continue;
            if (!json_object_get(of, f->name))
                json_object_set_new(of, f->name, json_array());
            json_array_append_new(json_object_get(of, f->name), json_string(ref));
        }
        json_decref(others);
    }
    return 0;
}

static void put_record(struct call *call, const struct class_def *cls, const json_t *state)
{
    void *rec = record_new(cls);
    for (size_t i = 0; i < cls->n_fields; i++) {
        const struct field_def *f = &cls->fields[i];
        AUTO(err_done) struct err ignored = { 0 };
        const json_t *stored = json_object_get(state, f->name);
        json_t *v = stored ? redact_value(f->ty, f->secret, stored, 0, NULL) : NULL;
        void *p = record_field(f, rec);
        AUTO(free_ptr) void *tmp = mem_alloc(MAX((size_t)f->ty->size, (size_t)1));
        if (v && value_decode(f->ty, v, f->name, tmp, &ignored) == 0) {
            value_done(f->ty, p);
            memcpy(p, tmp, f->ty->size);
        }
        json_decref(v);
    }
    enc_record(call->out, call->enc, cls, rec);
    record_free(cls, rec);
}

/* The states of a class at a moment, with inverse sets. */
static int states_at(const struct class_def *cls, const char *time, json_t **out,
                     struct err *err)
{
    int64_t at = 0, id = 0;
    if (!*time)
        return bad(err, "time", time, "A moment is needed.");
    if (find_time("time", time, 0, &at, err) < 0 || history_moment(at, &id, err) < 0
        || history_class_at(cls->name, id, out, err) < 0)
        return -1;
    if (fill_inverses(cls, id, *out, err) == 0)
        return 0;
    json_decref(*out);
    return -1;
}

int op_serai_get_record_at(struct call *call, const struct serai_get_record_at_args *a,
                           struct err *err)
{
    const struct class_def *cls;
    struct ref ref;
    json_t *states;
    char text[REF_TEXT_SIZE];
    if (find_class(a->class, false, &cls, err) < 0
        || find_object(cls, a->object, &ref, err) < 0 || check_scope(call, &ref, err) < 0
        || states_at(cls, a->time, &states, err) < 0)
        return -1;
    ref_text(&ref, text);
    const json_t *state = json_object_get(states, text);
    if (state)
        put_record(call, cls, state);
    else
        (void)bad(err, "time", a->time, "The object did not exist at that moment.");
    bool found = state != NULL;
    json_decref(states);
    return found ? 0 : -1;
}

int op_serai_get_all_records_at(struct call *call,
                                const struct serai_get_all_records_at_args *a,
                                struct err *err)
{
    const struct class_def *cls;
    json_t *states, *state;
    const char *ref;
    bool first = true;
    if (find_class(a->class, false, &cls, err) < 0 || check_scope(call, NULL, err) < 0
        || states_at(cls, a->time, &states, err) < 0)
        return -1;
    enc_struct_begin(call->out, call->enc);
    json_object_foreach(states, ref, state)
    {
        enc_member_begin(call->out, call->enc, ref, &first);
        put_record(call, cls, state);
        enc_member_end(call->out, call->enc);
    }
    enc_struct_end(call->out, call->enc);
    json_decref(states);
    return 0;
}

/* Differences */

struct difference {
    const struct class_def *cls;
    struct ref ref;
    bool created, destroyed;
    json_t *changes;
};

struct differences {
    bool any_class;
    json_t *index; /* reference: place in v */
    VEC(struct difference) v;
};

static void differences_done(struct differences *d)
{
    for (size_t i = 0; i < d->v.n; i++)
        json_decref(d->v.v[i].changes);
    vec_done(&d->v);
    json_decref(d->index);
}

static struct difference *difference_of(struct differences *d, const struct class_def *cls,
                                        const struct ref *ref)
{
    char text[REF_TEXT_SIZE];
    ref_text(ref, text);
    const json_t *at = json_object_get(d->index, text);
    if (at)
        return &d->v.v[json_integer_value(at)];
    json_object_set_new(d->index, text, json_integer((json_int_t)d->v.n));
    struct difference one = { .cls = cls, .ref = *ref, .changes = json_object() };
    vec_push(&d->v, one);
    return &d->v.v[d->v.n - 1];
}

/* Oldest first: the first old value and the last new one stay. */
static bool add_difference(const struct store_history *h, void *arg)
{
    struct differences *d = arg;
    const struct class_def *cls = shown_class(h->cls, d->any_class);
    if (!cls)
        return true;
    struct difference *one = difference_of(d, cls, &h->ref);
    json_t *changes = json_loads(h->changes, 0, NULL), *pair;
    const char *name;
    one->created = one->created || h->kind == STORE_CREATE;
    one->destroyed = h->kind == STORE_DESTROY;
    json_object_foreach(changes, name, pair)
    {
        json_t *known = json_object_get(one->changes, name);
        if (known)
            json_array_set(known, 1, json_array_get(pair, 1));
        else
            json_object_set(one->changes, name, pair);
    }
    json_decref(changes);
    return true;
}

/* What went back to where it was is no difference. */
static void drop_equal(struct difference *d)
{
    void *next;
    const char *name;
    json_t *pair;
    json_object_foreach_safe(d->changes, next, name, pair)
    {
        if (json_equal(json_array_get(pair, 0), json_array_get(pair, 1)))
            (void)json_object_del(d->changes, name);
    }
}

static void put_differences(struct call *call, struct differences *d)
{
    bool first_item = true;
    enc_array_begin(call->out, call->enc);
    for (size_t i = 0; i < d->v.n; i++) {
        struct difference *one = &d->v.v[i];
        bool first = true;
        enum store_kind kind = one->destroyed ? STORE_DESTROY
                               : one->created ? STORE_CREATE
                                              : STORE_MODIFY;
        drop_equal(one);
        if ((one->created && one->destroyed)
            || (kind == STORE_MODIFY && json_object_size(one->changes) == 0))
            continue;
        enc_item_begin(call->out, call->enc, &first_item);
        enc_struct_begin(call->out, call->enc);
        put_object(call, one->cls, &one->ref, kind, one->changes, &first);
        put_changes(call, one->cls, one->changes, &first);
        enc_struct_end(call->out, call->enc);
    }
    enc_array_end(call->out, call->enc);
}

int op_serai_get_differences(struct call *call, const struct serai_get_differences_args *a,
                             struct err *err)
{
    const struct class_def *cls;
    struct ref ref;
    int64_t from, to;
    struct store_query q = { .to_us = INT64_MAX };
    if (find_class(a->class, !*a->object, &cls, err) < 0
        || (*a->object && find_object(cls, a->object, &ref, err) < 0)
        || check_scope(call, *a->object ? &ref : NULL, err) < 0
        || find_time("from", a->from, 0, &from, err) < 0
        || find_time("to", a->to, INT64_MAX, &to, err) < 0
        || history_moment(MIN(from, to), &q.after_id, err) < 0
        || history_moment(MAX(from, to), &q.upto_id, err) < 0)
        return -1;
    AUTO(differences_done)
    struct differences d = { .any_class = !cls, .index = json_object() };
    q.cls = cls ? cls->name : NULL;
    q.ref = *a->object ? &ref : NULL;
    if (q.upto_id && history_query(&q, add_difference, &d, err) < 0)
        return -1;
    put_differences(call, &d);
    return 0;
}

/* Blame */

struct blaming {
    struct call *call;
    const struct class_def *cls;
    const char *field;
    json_t *seen;
    bool first;
};

static bool blame_entry(const struct store_history *h, void *arg)
{
    struct blaming *b = arg;
    json_t *changes = json_loads(h->changes, 0, NULL), *pair;
    const char *name;
    json_object_foreach(changes, name, pair)
    {
        const struct field_def *f = schema_field(b->cls, name);
        size_t side = h->kind == STORE_DESTROY ? 0 : 1;
        bool first = true;
        if (!f || json_object_get(b->seen, name) || (*b->field && !str_eq(b->field, name)))
            continue;
        /* Its end gave it no value; but who wants to know of an object that is gone asks who did that. */
        if (h->kind != STORE_DESTROY)
            json_object_set_new(b->seen, name, json_true());
        else if (!str_eq(name, "uuid"))
            continue;
        enc_item_begin(b->call->out, b->call->enc, &b->first);
        enc_struct_begin(b->call->out, b->call->enc);
        put_text(b->call, "field", h->kind == STORE_DESTROY ? "(destroyed)" : name, &first);
        put_value(b->call, "value", f, json_array_get(pair, side), &first);
        put_who(b->call, h, &first);
        enc_struct_end(b->call->out, b->call->enc);
    }
    json_decref(changes);
    return !*b->field || !json_object_get(b->seen, b->field);
}

int op_serai_get_blame(struct call *call, const struct serai_get_blame_args *a,
                       struct err *err)
{
    const struct class_def *cls;
    struct ref ref;
    if (find_class(a->class, false, &cls, err) < 0
        || find_object(cls, a->object, &ref, err) < 0 || check_scope(call, &ref, err) < 0)
        return -1;
    if (*a->field && !schema_field(cls, a->field))
        return bad(err, "field", a->field, "The class has no such field.");
    struct blaming b = { .call = call, .cls = cls, .field = a->field, .first = true };
    struct store_query q = { .ref = &ref, .to_us = INT64_MAX, .newest_first = true };
    b.seen = json_object();
    enc_array_begin(call->out, call->enc);
    int rc = history_query(&q, blame_entry, &b, err);
    json_decref(b.seen);
    if (rc == 0)
        enc_array_end(call->out, call->enc);
    return rc;
}

/* For undo */

static bool take_change(const struct store_history *h, void *arg)
{
    struct past_change *c = arg;
    const struct class_def *cls = schema_class(h->cls);
    if (!cls || !is_kept(cls))
        return false;
    *c = (struct past_change){ cls->id, h->ref, h->kind, json_loads(h->changes, 0, NULL) };
    return false;
}

int past_change(int64_t id, struct past_change *out, struct err *err)
{
    struct store_query q = { .after_id = id - 1, .upto_id = id, .to_us = INT64_MAX };
    AUTO(free_str) char *text = str_fmt("%lld", (long long)id);
    *out = (struct past_change){ 0 };
    if (id > 0 && history_query(&q, take_change, out, err) < 0)
        return -1;
    return out->changes ? 0 : bad(err, "change", text, "The history has no such change.");
}

void past_change_done(struct past_change *c)
{
    json_decref(c->changes);
    c->changes = NULL;
}

/* The audit log */

static void put(struct map_string_string *m, const struct ty *ty, const char *key,
                const char *value)
{
    (void)map_put(ty, m, &key, &value); /* new: each key once */
}

int op_serai_audit_verify(struct call *call, const struct serai_audit_verify_args *a,
                          struct map_string_string *result, struct err *err)
{
    struct auditlog_report r = { 0 };
    (void)a;
    if (audit_verify(&r, err) < 0)
        return -1;
    const struct ty *ty = call->def->result;
    AUTO(free_str) char *report = auditlog_report_text(&r);
    AUTO(free_str) char *records = str_fmt("%llu", (unsigned long long)r.last);
    AUTO(free_str) char *head = str_fmt("%s %s", records, r.head.hash);
    put(result, ty, "whole", r.problem ? "false" : "true");
    put(result, ty, "problem", r.problem ? r.problem : "");
    put(result, ty, "records", records);
    put(result, ty, "head", head);
    put(result, ty, "report", report);
    auditlog_report_done(&r);
    return 0;
}
