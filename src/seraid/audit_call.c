/* SPDX-License-Identifier: Apache-2.0 */
/* Makes records of calls. Keeps no state. */
#include "seraid/audit_call.h"

#include <string.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/mem.h"
#include "model/audit.h"
#include "model/redact.h"

#define TEXT_MAX  1024 /* of one text in an argument */
#define ARG_MAX   8192 /* of one argument */
#define AGENT_MAX 200

/* Text from outside: what is no UTF-8 must not cost the record. */
static void put_text(json_t *rec, const char *name, const char *text)
{
    json_t *s;
    AUTO(free_str) char *copy = NULL;

    if (!text || !*text)
        return;
    copy = str_dupn(text, strnlen(text, AGENT_MAX));
    s = json_string(copy);
    if (!s) {
        for (char *p = copy; *p; p++) {
            if ((unsigned char)*p >= 0x80)
                *p = '?';
        }
        s = json_string(copy);
    }
    json_object_set_new(rec, name, s);
}

static void put_error(json_t *rec, const struct err *err)
{
    json_t *list = json_array();

    json_array_append_new(list, json_string(err->code));
    for (size_t i = 0; i < err->n_params; i++) {
        const char *p = err->params[i];

        /* A session's reference is as good as a password. */
        if (str_eq(err->code, ERR_SESSION_INVALID))
            p = REDACT_HIDDEN;
        json_array_append_new(list, json_sprintf("%.*s", TEXT_MAX, p));
    }
    json_object_set_new(rec, "error", list);
}

static const char *member(const struct class_def *cls, int16_t field, const void *rec)
{
    return rec && field >= 0 ? *(const char *const *)record_field(&cls->fields[field], rec)
                             : "";
}

static json_t *object_of(const struct class_def *cls, const struct ref *ref)
{
    json_t *out;
    const void *rec;

    db_lock();
    rec = cls->is_object ? db_get(cls->id, ref) : NULL;
    out = rec ? json_pack("{ss,ss*,ss*}", "class", cls->name, "uuid",
                          member(cls, cls->uuid_field, rec), "name",
                          member(cls, cls->name_field, rec))
              : NULL;
    db_unlock();
    return out;
}

/* "VM 1234-... (name)" for a reference in an argument. */
static json_t *ref_words(enum class_id id, const char *text)
{
    const struct class_def *cls = &schema_classes[id];
    struct ref ref;
    const char *name;
    json_t *out = NULL, *o;

    if (id == CLASS_SESSION)
        return json_string(REDACT_HIDDEN);
    o = ref_parse(text, &ref) && !ref_is_null(&ref) ? object_of(cls, &ref) : NULL;
    if (!o)
        return NULL;
    name = json_string_value(json_object_get(o, "name"));
    out = json_sprintf(
        "%s %s%s%s%s", cls->name, json_string_value(json_object_get(o, "uuid")),
        name && *name ? " (" : "", name ? name : "", name && *name ? ")" : "");
    json_decref(o);
    return out;
}

/* A parameter is secret by itself, by the field that it sets, or by the key that it goes with. */
static bool is_secret(const struct call_def *def, size_t i, const json_t *params,
                      size_t first)
{
    const char *key;

    if (def->params[i].secret)
        return true;
    if (i > 0 && (def->kind == CALL_KIND_SET_FIELD || def->kind == CALL_KIND_ADD_TO)
        && schema_classes[def->cls].fields[def->field].secret
        && !str_eq(def->params[i].name, "key"))
        return true;
    if (i == 0 || !str_eq(def->params[i].name, "value")
        || !str_eq(def->params[i - 1].name, "key"))
        return false;
    key = json_string_value(json_array_get(params, first + i - 1));
    return key && redact_key(key);
}

static json_t *arguments(const struct call_def *def, const json_t *params, size_t self)
{
    size_t first = def->no_session ? 0 : 1;
    json_t *out = json_object();

    for (size_t i = 0; i < def->n_params; i++) {
        const json_t *given = json_array_get(params, first + i);
        json_t *v;
        size_t size;

        if (!given || i == self)
            continue;
        v = redact_value(def->params[i].ty, is_secret(def, i, params, first), given,
                         TEXT_MAX, ref_words);
        size = json_dumpb(v, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
        if (size > ARG_MAX) {
            json_decref(v);
            v = json_sprintf("(%zu bytes)", size);
        }
        json_object_set_new(out, def->params[i].name, v);
    }
    return out;
}

/* Who and from where. */
static json_t *who(const struct call *call)
{
    const struct session *s = &call->session;
    const struct session_rec *rec;
    json_t *out = json_object();

    put_text(out, "user", s->user);
    if (!ref_is_null(&s->ref)) {
        db_lock();
        rec = db_get(CLASS_SESSION, &s->ref);
        put_text(out, "session", rec ? rec->uuid : NULL);
        db_unlock();
    }
    put_text(out, "originator", s->originator);
    put_text(out, "address", call->local_trusted ? "local socket" : call->client_ip);
    put_text(out, "agent", call->user_agent);
    return out;
}

/* The parameter that is the object: the first of the call's own class. SIZE_MAX: none. */
static size_t self_param(const struct call_def *def)
{
    for (size_t i = 0; i < def->n_params; i++) {
        if (def->params[i].ty->kind == TY_REF && def->params[i].ty->cls == def->cls)
            return i;
    }
    return SIZE_MAX;
}

static json_t *intent(const struct call *call, const json_t *params)
{
    const struct call_def *def = call->def;
    size_t self = self_param(def);
    const json_t *text = self == SIZE_MAX
                             ? NULL
                             : json_array_get(params, self + (def->no_session ? 0 : 1));
    json_t *rec = who(call), *object = NULL;
    struct ref ref;

    json_object_set_new(rec, "call", json_string(schema_call_name(def)));
    if (json_is_string(text) && ref_parse(json_string_value(text), &ref))
        object = object_of(&schema_classes[def->cls], &ref);
    if (object)
        json_object_set_new(rec, "object", object);
    else
        self = SIZE_MAX; /* as an argument it says at least what was asked for */
    json_object_set_new(rec, "args", arguments(def, params, self));
    return rec;
}

int audit_call_begin(struct call *call, const json_t *params, struct err *err)
{
    if (call->def->audit != AUDIT_CALL && call->def->audit != AUDIT_FREES)
        return 0;
    return audit_intent(intent(call, params), call->def->audit == AUDIT_FREES, &call->audit,
                        err);
}

static json_t *ended(const struct err *err)
{
    json_t *rec = json_pack("{ss}", "outcome", err->code ? "failed" : "done");

    if (err->code)
        put_error(rec, err);
    return rec;
}

static void session_ended(const struct call *call, const void *args, const struct err *err)
{
    const struct call_def *def = call->def;
    json_t *rec = who(call);
    bool login = def->no_session && def->n_params > 0;

    if (login)
        put_text(rec, "user",
                 *(const char *const *)(const void *)((const char *)args
                                                      + def->params[0].offset));
    json_object_set_new(rec, "call", json_string(schema_call_name(def)));
    json_object_set_new(rec, "outcome", json_string(err->code ? "failed" : "done"));
    if (err->code)
        put_error(rec, err);
    audit_note(login && err->code ? "refused" : "session", rec);
}

void audit_call_end(const struct call *call, const void *args, int64_t began_us,
                    const struct err *err)
{
    json_t *rec;
    char task[REF_TEXT_SIZE];

    if (call->def->audit == AUDIT_SESSION)
        session_ended(call, args, err);
    if (call->audit == AUDIT_NONE)
        return;
    rec = ended(err);
    json_object_set_new(rec, "ms", json_real((double)(clock_now_us() - began_us) / 1000));
    if (call->async) {
        ref_text(&call->task, task);
        json_object_set_new(rec, "task", json_string(task));
    }
    audit_outcome(call->audit, rec);
}

void audit_call_refused(const struct call *call, const char *method, const struct err *err)
{
    json_t *rec;

    if (str_eq(err->code, ERR_MESSAGE_METHOD_UNKNOWN)
        || str_eq(err->code, ERR_MESSAGE_REMOVED))
        return;
    rec = who(call);
    put_text(rec, "call", method);
    put_error(rec, err);
    audit_note("refused", rec);
}

int audit_http_begin(const struct call *c, const char *what, const char *object,
                     uint64_t *n_out, struct err *err)
{
    json_t *rec = who(c);

    put_text(rec, "call", what);
    put_text(rec, "asked", object);
    return audit_intent(rec, false, n_out, err);
}

void audit_http_end(uint64_t n, const char *code)
{
    struct err err = { .code = code };

    if (n != AUDIT_NONE)
        audit_outcome(n, ended(&err));
}

void audit_login(const struct call *c, const char *user, const char *what,
                 const struct err *err)
{
    json_t *rec = who(c);

    put_text(rec, "user", user);
    put_text(rec, "call", what);
    if (err->code)
        put_error(rec, err);
    audit_note(err->code ? "refused" : "session", rec);
}
