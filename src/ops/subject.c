/* SPDX-License-Identifier: Apache-2.0 */
/* Who may do what, as clients ask for it: subjects as records with roles, and the permissions of roles, read from the
 * roles of the schema's calls. A permission is named as refusals name it: "vm.start", or for a key of a map
 * "vm.add_to_other_config/key:folder". Any thread. */
#include <string.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/mem.h"
#include "model/rbac.h"
#include "ops/hooks.h"

static bool has_keys(const struct call_def *c)
{
    return c->kind == CALL_KIND_SET_FIELD || c->kind == CALL_KIND_ADD_TO
           || c->kind == CALL_KIND_REMOVE_FROM;
}

/* Every permission that one of the roles gives; the callback takes the name and returns false to stop. */
static void each_permission(uint8_t roles, bool (*fn)(char *name, void *arg), void *arg)
{
    for (size_t i = 0; i < CALL_COUNT; i++) {
        const struct call_def *c = &schema_calls[i];
        const struct class_def *cls = &schema_classes[c->cls];
        const struct map_key_role *k = has_keys(c) ? cls->fields[c->field].key_roles : NULL;
        if ((c->roles & roles) && c->life != LIFE_REMOVED
            && !fn(str_fmt("%s.%s", cls->lower, c->name), arg))
            return;
        for (; k && k->key; k++)
            if ((k->roles & roles)
                && !fn(str_fmt("%s.%s/key:%s", cls->lower, c->name, k->key), arg))
                return;
    }
}

static bool add_name(char *name, void *arg)
{
    struct set_string *set = arg;
    set->v[set->n++] = name;
    return true;
}

static bool count_name(char *name, void *arg)
{
    size_t *n = arg;
    (*n)++;
    free_str(&name);
    return true;
}

static void permission_names(uint8_t roles, struct set_string *out)
{
    size_t n = 0;
    each_permission(roles, count_name, &n);
    out->v = mem_array(MAX(n, (size_t)1), sizeof(*out->v));
    each_permission(roles, add_name, out);
}

/* The bit of a role object; 0: none of the roles. */
static uint8_t role_bit(const struct ref *role) REQUIRES(db_mutex)
{
    const struct role_rec *rec = db_get(CLASS_ROLE, role);
    return rec ? rbac_role_bit(rec->name_label) : 0;
}

int op_role_get_permissions_name_label(struct call *call,
                                       const struct role_get_permissions_name_label_args *a,
                                       struct set_string *result, struct err *err)
{
    (void)call, (void)err;
    db_lock();
    uint8_t bit = role_bit(&a->self);
    db_unlock();
    permission_names(bit, result);
    return 0;
}

struct search {
    const char *name;
    bool found;
};

static bool same_name(char *name, void *arg)
{
    struct search *s = arg;
    s->found = str_eq(name, s->name);
    free_str(&name);
    return !s->found;
}

int op_role_get_by_permission_name_label(
    struct call *call, const struct role_get_by_permission_name_label_args *a,
    struct set_ref *result, struct err *err)
{
    (void)call, (void)err;
    const struct ty *ty = schema_classes[CLASS_ROLE].fields[F_ROLE_SUBROLES].ty;
    db_lock();
    for (struct db_iter it = db_first(CLASS_ROLE); it.rec; db_next(&it)) {
        struct search s = { .name = a->label };
        each_permission(role_bit(&it.ref), same_name, &s);
        if (s.found)
            (void)set_add(ty, result, &it.ref);
    }
    db_unlock();
    return 0;
}

/* ---- subjects ------------------------------------------------------------------------------------------ */

int op_subject_get_permissions_name_label(
    struct call *call, const struct subject_get_permissions_name_label_args *a,
    struct set_string *result, struct err *err)
{
    (void)call;
    uint8_t bits = 0;
    db_lock();
    const struct subject_rec *s = call_get(CLASS_SUBJECT, &a->self, err);
    for (size_t i = 0; s && i < s->roles.n; i++)
        bits |= role_bit(&s->roles.v[i]);
    db_unlock();
    if (s)
        permission_names(bits, result);
    return s ? 0 : -1;
}

static int change_role(struct call *call, const struct ref *self, const struct ref *role,
                       bool add, struct err *err)
{
    struct tx *tx = call_tx(call);
    const struct subject_rec *s = call_get(CLASS_SUBJECT, self, err);
    const struct ty *ty = schema_classes[CLASS_SUBJECT].fields[F_SUBJECT_ROLES].ty;
    bool good = s && call_get(CLASS_ROLE, role, err) != NULL;
    if (good && (set_find(ty, &s->roles, role) != SIZE_MAX) == add) {
        good = false;
        (void)err_set(err, add ? ERR_ROLE_ALREADY_EXISTS : ERR_ROLE_NOT_FOUND);
    }
    if (!good) {
        tx_abort(tx);
        return -1;
    }
    if (add)
        tx_set_add(tx, self, CLASS_SUBJECT, F_SUBJECT_ROLES, role);
    else
        tx_set_remove(tx, self, CLASS_SUBJECT, F_SUBJECT_ROLES, role);
    return tx_commit(tx, err);
}

int op_subject_add_to_roles(struct call *call, const struct subject_add_to_roles_args *a,
                            struct err *err)
{
    return change_role(call, &a->self, &a->role, true, err);
}

int op_subject_remove_from_roles(struct call *call,
                                 const struct subject_remove_from_roles_args *a,
                                 struct err *err)
{
    return change_role(call, &a->self, &a->role, false, err);
}

int subject_create(struct call *call, void *record, struct ref *result, struct err *err)
{
    struct subject_rec *s = record;
    bool known = false;
    struct tx *tx = call_tx(call);
    for (struct db_iter it = db_first(CLASS_SUBJECT); it.rec && !known; db_next(&it))
        known = str_eq(((const struct subject_rec *)it.rec)->subject_identifier,
                       s->subject_identifier);
    if (known || !s->subject_identifier[0]) {
        tx_abort(tx);
        record_free(&schema_classes[CLASS_SUBJECT], s);
        return err_set(err,
                       known ? ERR_SUBJECT_ALREADY_EXISTS : ERR_SUBJECT_CANNOT_BE_RESOLVED);
    }
    struct ref ref = tx_create(tx, CLASS_SUBJECT, s, NULL);
    if (tx_commit(tx, err))
        return -1;
    *result = ref;
    return 0;
}

/* Whoever is gone is logged out. */
int subject_destroy(struct call *call, const struct ref *self, struct err *err)
{
    struct tx *tx = call_tx(call);
    const struct subject_rec *s = call_get(CLASS_SUBJECT, self, err);
    if (!s) {
        tx_abort(tx);
        return -1;
    }
    AUTO(free_str) char *sid = str_dup(s->subject_identifier);
    tx_destroy(tx, self);
    if (tx_commit(tx, err))
        return -1;
    return session_logout_subject(sid, &call->session.ref, err);
}
