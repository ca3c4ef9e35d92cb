/* SPDX-License-Identifier: Apache-2.0 */
/* API calls and a cache of records for one run. A list fetches whole classes (one call each), a command on one object
 * fetches single records. */
#include <stdarg.h>
#include <string.h>

#include "base/uuid.h"
#include "xe/xe_int.h"

#define NULL_REF "OpaqueRef:NULL"

void json_drop(json_t **j)
{
    json_decref(*j);
}

int xe_fail(struct err *err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    AUTO(free_str) char *text = str_vfmt(fmt, ap);
    va_end(ap);
    (void)err_set(err, XE_FAILURE);
    return err_detail(err, "%s", text);
}

int xe_call(struct xe *x, const char *method, json_t *params, json_t **out, struct err *err)
{
    int rc = x->env->call(x->env->arg, method, params, out, err);
    json_decref(params);
    return rc;
}

int xe_do(struct xe *x, const char *method, json_t *params, struct err *err)
{
    json_t *answer = NULL;
    if (xe_call(x, method, params, &answer, err) < 0)
        return -1;
    json_decref(answer);
    return 0;
}

bool xe_ref_null(const char *ref)
{
    return !ref || !*ref || str_eq(ref, NULL_REF);
}

const char *rec_str(const json_t *rec, const char *field)
{
    const char *s = json_string_value(json_object_get(rec, field));
    return s ? s : "";
}

bool rec_true(const json_t *rec, const char *field)
{
    return json_is_true(json_object_get(rec, field));
}

static json_t *class_cache(struct xe *x, const char *cls)
{
    if (!x->cache)
        x->cache = json_object();
    json_t *records = json_object_get(x->cache, cls);
    if (!records) {
        records = json_object();
        json_object_set_new(x->cache, cls, records);
    }
    return records;
}

int xe_all(struct xe *x, const char *cls, json_t **records_out, struct err *err)
{
    if (!x->whole)
        x->whole = json_object();
    if (!json_object_get(x->whole, cls)) {
        AUTO(free_str)
        char *method = x->at ? str_dup("serai.get_all_records_at")
                             : str_fmt("%s.get_all_records", cls);
        json_t *all = NULL;
        if (xe_call(x, method, x->at ? json_pack("[ss]", cls, x->at) : json_array(), &all,
                    err)
            < 0)
            return -1;
        if (!json_is_object(all)) {
            json_decref(all);
            return xe_fail(err, "%s: the server's answer is not a map", method);
        }
        json_object_update_missing(class_cache(x, cls), all); /* borrowed records stay */
        json_decref(all);
        json_object_set_new(x->whole, cls, json_true());
    }
    *records_out = class_cache(x, cls);
    return 0;
}

int xe_record(struct xe *x, const char *cls, const char *ref, json_t **rec_out,
              struct err *err)
{
    *rec_out = NULL;
    if (xe_ref_null(ref))
        return 0;
    if ((x->bulk || x->at) && !(x->whole && json_object_get(x->whole, cls))) {
        AUTO(err_done) struct err ignored = { 0 }; /* a class without get_all_records */
        json_t *all;
        (void)!xe_all(x, cls, &all, &ignored);
    }
    json_t *records = class_cache(x, cls), *rec = json_object_get(records, ref);
    if (!rec && !x->at && !(x->whole && json_object_get(x->whole, cls))) {
        AUTO(free_str) char *method = str_fmt("%s.get_record", cls);
        AUTO(err_done) struct err e = { 0 };
        if (xe_call(x, method, json_pack("[s]", ref), &rec, &e) < 0) {
            if (str_eq(e.code, "HANDLE_INVALID"))
                return 0;
            err_move(err, &e);
            return -1;
        }
        json_object_set_new(records, ref, rec);
    }
    *rec_out = rec;
    return 0;
}

void xe_forget_all(struct xe *x)
{
    json_decref(x->cache);
    json_decref(x->whole);
    x->cache = x->whole = NULL;
}

int xe_call_ref(struct xe *x, const char *method, json_t *params, char **ref_out,
                struct err *err)
{
    json_t *answer = NULL;
    if (xe_call(x, method, params, &answer, err) < 0)
        return -1;
    *ref_out = str_dup(json_string_value(answer));
    json_decref(answer);
    return *ref_out ? 0
                    : xe_fail(err, "%s: the server's answer is not a reference", method);
}

/* The references whose record holds that text in the field, at the moment that is shown. */
static int past_refs(struct xe *x, const char *cls, const char *field, const char *text,
                     json_t **refs_out, struct err *err)
{
    json_t *all, *rec;
    const char *ref;
    if (xe_all(x, cls, &all, err) < 0)
        return -1;
    *refs_out = json_array();
    json_object_foreach(all, ref, rec)
    {
        if (str_eq(rec_str(rec, field), text))
            json_array_append_new(*refs_out, json_string(ref));
    }
    return 0;
}

int xe_named(struct xe *x, const char *cls, const char *name, json_t **refs_out,
             struct err *err)
{
    if (x->at)
        return past_refs(x, cls, "name_label", name, refs_out, err);
    AUTO(free_str) char *method = str_fmt("%s.get_by_name_label", cls);
    return xe_call(x, method, json_pack("[s]", name), refs_out, err);
}

int xe_by_uuid(struct xe *x, const char *cls, const char *uuid, char **ref_out,
               struct err *err)
{
    if (x->at) {
        AUTO(json_drop) json_t *refs = NULL;
        if (past_refs(x, cls, "uuid", uuid, &refs, err) < 0)
            return -1;
        *ref_out = str_dup(json_string_value(json_array_get(refs, 0)));
        return *ref_out ? 0 : err_set(err, "UUID_INVALID", cls, uuid);
    }
    AUTO(free_str) char *method = str_fmt("%s.get_by_uuid", cls);
    return xe_call_ref(x, method, json_pack("[s]", uuid), ref_out, err);
}

int xe_by_name(struct xe *x, const char *cls, const char *text, char **ref_out,
               struct err *err)
{
    struct uuid u;
    if (uuid_parse(text, &u)) {
        AUTO(err_done) struct err e = { 0 };
        if (xe_by_uuid(x, cls, text, ref_out, &e) == 0)
            return 0;
        if (!str_eq(e.code, "UUID_INVALID")) {
            err_move(err, &e);
            return -1;
        }
    }
    AUTO(json_drop) json_t *refs = NULL;
    if (xe_named(x, cls, text, &refs, err) < 0)
        return -1;
    if (json_array_size(refs) != 1)
        return xe_fail(err,
                       json_array_size(refs) ? "Multiple matches found: %s '%s'"
                                             : "No matching %s found: '%s'",
                       cls, text);
    *ref_out = str_dup(json_string_value(json_array_get(refs, 0)));
    return 0;
}

int xe_pool(struct xe *x, char **ref_out, struct err *err)
{
    json_t *pools;
    if (xe_all(x, "pool", &pools, err) < 0)
        return -1;
    void *it = json_object_iter(pools);
    if (!it)
        return xe_fail(err, "The server has no pool");
    *ref_out = str_dup(json_object_iter_key(it));
    return 0;
}

/* A reference that the pool's record holds. */
static int pool_field(struct xe *x, const char *field, char **ref_out, struct err *err)
{
    AUTO(free_str) char *pool = NULL;
    json_t *rec;
    if (xe_pool(x, &pool, err) < 0 || xe_record(x, "pool", pool, &rec, err) < 0)
        return -1;
    *ref_out = str_dup(rec_str(rec, field));
    return 0;
}

int xe_this_host(struct xe *x, char **ref_out, struct err *err)
{
    return pool_field(x, "master", ref_out, err);
}

int xe_default_sr(struct xe *x, char **ref_out, struct err *err)
{
    AUTO(free_str) char *ref = NULL;
    json_t *rec = NULL;
    if (pool_field(x, "default_SR", &ref, err) < 0
        || (!xe_ref_null(ref) && xe_record(x, "SR", ref, &rec, err) < 0))
        return -1;
    if (!rec)
        return xe_fail(err, "The pool has no default SR: give sr-uuid");
    *ref_out = TAKE(ref);
    return 0;
}
