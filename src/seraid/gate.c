/* SPDX-License-Identifier: Apache-2.0 */
/* Roles of calls and of the keys of maps, as the schema has them. The local superuser may do everything. */
#include "seraid/gate.h"

#include <string.h>

#include "api/errors.h"
#include "base/mem.h"
#include "model/rbac.h"

static int denied(const struct call_def *def, const char *key, struct err *err)
{
    AUTO(free_str)
    char *permission = str_fmt("%s.%s%s%s", schema_classes[def->cls].lower, def->name,
                               key ? "/key:" : "", key ? key : "");

    return err_set(err, ERR_RBAC_PERMISSION_DENIED, permission,
                   "No permission in user session");
}

/* A token that was revoked since the session was looked up has taken it along. */
static int refuse(const struct call_def *def, const struct session *s, const char *key,
                  struct err *err) EXCLUDES(db_mutex)
{
    char text[REF_TEXT_SIZE];

    db_lock();
    bool revoked = !ref_is_null(&s->token) && !db_get(CLASS_SERAI_TOKEN, &s->token);
    db_unlock();
    if (!revoked)
        return denied(def, key, err);
    ref_text(&s->ref, text);
    return err_set(err, ERR_SESSION_INVALID, text);
}

int gate_call(const struct call_def *def, const struct session *s, struct err *err)
{
    return rbac_allows(s, def, NULL) ? 0 : refuse(def, s, NULL, err);
}

int gate_key(const struct call_def *def, const struct session *s, const char *key,
             struct err *err)
{
    return rbac_allows(s, def, key) ? 0 : refuse(def, s, key, err);
}

/* What the caller wants to name the key, before anything else of the call is read. */
int gate_key_given(const struct call_def *def, const struct session *s,
                   const json_t *params, struct err *err)
{
    const json_t *key = json_array_get(params, 2);

    if ((def->kind != CALL_KIND_ADD_TO && def->kind != CALL_KIND_REMOVE_FROM)
        || !json_is_string(key))
        return 0;
    return gate_key(def, s, json_string_value(key), err);
}

/* Tokens that are limited to objects */

/* Every reference in a value. */
static bool sees_all(const struct session *s, const struct ty *ty, const void *p)
    REQUIRES(db_mutex)
{
    const struct set_any *set = p;

    if (ty->kind == TY_REF)
        return ref_is_null(p) || ty->cls == CLASS_TASK || ty->cls == CLASS_SESSION
               || rbac_sees(s, p);
    if (ty->kind == TY_RECORD) {
        const struct class_def *cls = &schema_classes[ty->cls];
        const void *rec = *(const void *const *)p;

        for (size_t i = 0; rec && i < cls->n_fields; i++) {
            if (!sees_all(s, cls->fields[i].ty, record_field(&cls->fields[i], rec)))
                return false;
        }
        return true;
    }
    if (ty->kind != TY_SET && ty->kind != TY_MAP)
        return true;
    for (size_t i = 0; i < set->n; i++) {
        if (ty->kind == TY_SET
            && !sees_all(s, ty->elem, (const char *)set->v + i * ty->entry))
            return false;
        if (ty->kind == TY_MAP
            && (!sees_all(s, ty->key, map_key(ty, p, i))
                || !sees_all(s, ty->elem, map_val(ty, p, i))))
            return false;
    }
    return true;
}

static bool names_an_object(const struct call_def *def, const void *args)
{
    for (size_t i = 0; i < def->n_params; i++) {
        const struct param_def *p = &def->params[i];

        if (p->ty->kind == TY_REF
            && !ref_is_null((const void *)((const char *)args + p->offset)))
            return true;
    }
    return false;
}

static bool args_in_scope(const struct call_def *def, const struct session *s,
                          const void *args) REQUIRES(db_mutex)
{
    bool read = (def->roles & ROLE_READ_ONLY) != 0;

    if (!rbac_limited_to_objects(s))
        return true;
    if (!read && !names_an_object(def, args))
        return false; /* makes something, or is about the whole pool */
    for (size_t i = 0; i < def->n_params; i++) {
        if (!sees_all(s, def->params[i].ty, (const char *)args + def->params[i].offset))
            return false;
    }
    return true;
}

int gate_args(const struct call_def *def, const struct session *s, const void *args,
              struct err *err)
{
    bool good;

    if (ref_is_null(&s->token))
        return 0;
    db_lock();
    good = args_in_scope(def, s, args);
    db_unlock();
    return good ? 0 : refuse(def, s, NULL, err);
}

/* Keys of map a that map b lacks or has otherwise. */
static int gate_changes(const struct call_def *def, const struct session *s,
                        const struct ty *ty, const struct set_any *a,
                        const struct set_any *b, struct err *err) REQUIRES(db_mutex)
{
    for (size_t i = 0; i < a->n; i++) {
        const void *key = map_key(ty, a, i);
        size_t other = map_find(ty, b, key);

        if (other != SIZE_MAX
            && value_eq(ty->elem, map_val(ty, a, i), map_val(ty, b, other)))
            continue;
        if (!rbac_allows_locked(s, def, *(const char *const *)key))
            return denied(def, *(const char *const *)key, err);
    }
    return 0;
}

int gate_keys(const struct call_def *def, const struct session *s, const void *old,
              const void *new, struct err *err)
{
    const struct ty *ty = schema_classes[def->cls].fields[def->field].ty;

    if ((!rbac_key_roles(def) && s->n_custom == 0 && ref_is_null(&s->token))
        || ty->key->kind != TY_STRING)
        return 0;
    if (gate_changes(def, s, ty, old, new, err) != 0)
        return -1;
    return gate_changes(def, s, ty, new, old, err);
}
