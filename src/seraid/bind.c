/* SPDX-License-Identifier: Apache-2.0 */
/* The pure half of dispatch: names, counts and types, before anything is looked up. Never touches the database. */
#include "seraid/bind.h"

#include <stdlib.h>

#include "api/errors.h"
#include "base/mem.h"

const struct call_def *bind_method(const char *name, bool *async_out)
{
    const struct call_def *def;

    *async_out = str_starts(name, "Async.");
    def = schema_call(*async_out ? name + 6 : name);
    return def && *async_out && !def->has_async ? NULL : def;
}

int bind_arity(const struct call_def *def, size_t n, struct err *err)
{
    size_t session = def->no_session ? 0 : 1;
    size_t most = session + def->n_params, least = most;
    AUTO(free_str) char *e = NULL, *g = NULL;

    while (least > session && def->params[least - session - 1].default_json)
        least--;
    if (n >= least && n <= most)
        return 0;
    e = str_fmt("%zu", most);
    g = str_fmt("%zu", n);
    return err_set(err, ERR_MESSAGE_PARAMETER_COUNT_MISMATCH, schema_call_name(def), e, g);
}

int bind_required(const struct call_def *def, const json_t *record, struct err *err)
{
    const struct class_def *cls = &schema_classes[def->cls];

    for (size_t i = 0; i < cls->n_fields; i++) {
        const struct field_def *f = &cls->fields[i];

        if (f->access == ACCESS_RO || f->default_json || json_object_get(record, f->name))
            continue;
        switch (f->ty->kind) {
        case TY_SET:
        case TY_MAP:
        case TY_OPTION: break; /* empty is what anybody means who leaves it out */
        case TY_REF:
            return err_set(err, ERR_HANDLE_INVALID, schema_classes[f->ty->cls].name,
                           "OpaqueRef:NULL");
        default: return err_set(err, ERR_FIELD_TYPE_ERROR, f->name);
        }
    }
    return 0;
}

static int bind_one(const struct param_def *p, const json_t *given, void *args,
                    struct err *err)
{
    void *at = (char *)args + p->offset;
    json_t *dflt;
    int rc;

    if (given)
        return value_decode(p->ty, given, p->name, at, err);
    dflt = json_loads(p->default_json, JSON_DECODE_ANY, NULL);
    rc = value_decode(p->ty, dflt, p->name, at, err);
    json_decref(dflt);
    return rc;
}

int bind_args(const struct call_def *def, const json_t *params, void **args_out,
              struct err *err)
{
    size_t session = def->no_session ? 0 : 1;
    void *args = mem_alloc(MAX(def->args_size, (uint16_t)1));

    for (size_t i = 0; i < def->n_params; i++) {
        const struct param_def *p = &def->params[i];
        const json_t *given = json_array_get(params, i + session);

        if (bind_one(p, given, args, err) != 0) {
            bind_free(def, args);
            return -1;
        }
    }
    *args_out = args;
    return 0;
}

void bind_free(const struct call_def *def, void *args)
{
    if (!args)
        return;
    /* What was not bound yet is all zero, which value_done() takes. */
    for (size_t i = 0; i < def->n_params; i++)
        value_done(def->params[i].ty, (char *)args + def->params[i].offset);
    free(args);
}

const struct ref *bind_self(const struct call_def *def, const void *args)
{
    for (size_t i = 0; i < def->n_params; i++) {
        const struct param_def *p = &def->params[i];
        const struct ref *r = (const void *)((const char *)args + p->offset);

        if (p->ty->kind == TY_REF && p->ty->cls == def->cls)
            return i > 0 && ref_is_null(r) ? NULL : r;
    }
    return NULL;
}
