/* SPDX-License-Identifier: Apache-2.0 */
/* Who may do what, as clients ask for it: subjects as records with roles, and the permissions of roles (rbac.h). Any
 * thread. */
#include <string.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/mem.h"
#include "model/rbac.h"
#include "ops/hooks.h"

/* The names of the permissions that one of the roles gives. */
static void permission_names(const struct set_ref *roles, struct set_string *out)
    REQUIRES(db_mutex)
{
    struct ref ref;
    const struct role_rec *p;
    size_t n = 0;
    while (rbac_permission(n, &ref))
        n++;
    out->v = mem_array(n, sizeof(*out->v));
    for (size_t i = 0; (p = rbac_permission(i, &ref)) != NULL; i++) {
        bool gives = false;
        for (size_t k = 0; k < roles->n && !gives; k++)
            gives = rbac_role_gives(&roles->v[k], i);
        if (gives)
            out->v[out->n++] = str_dup(p->name_label);
    }
}

int op_role_get_permissions_name_label(struct call *call,
                                       const struct role_get_permissions_name_label_args *a,
                                       struct set_string *result, struct err *err)
{
    (void)call, (void)err;
    struct ref self = a->self;
    struct set_ref one = { &self, 1 };
    db_lock();
    permission_names(&one, result);
    db_unlock();
    return 0;
}

int op_role_get_permissions(struct call *call, const struct role_get_permissions_args *a,
                            struct set_ref *result, struct err *err)
{
    (void)call, (void)err;
    struct ref ref;
    size_t n = 0;
    db_lock();
    while (rbac_permission(n, &ref))
        n++;
    result->v = mem_array(n, sizeof(*result->v));
    for (size_t i = 0; rbac_permission(i, &ref); i++) {
        if (rbac_role_gives(&a->self, i))
            result->v[result->n++] = ref;
    }
    db_unlock();
    return 0;
}

static void roles_with(size_t i, struct set_ref *out) REQUIRES(db_mutex)
{
    const struct ty *ty = schema_classes[CLASS_ROLE].fields[F_ROLE_SUBROLES].ty;
    for (struct db_iter it = db_first(CLASS_ROLE); it.rec; db_next(&it)) {
        if (rbac_role_gives(&it.ref, i))
            (void)set_add(ty, out, &it.ref);
    }
}

int op_role_get_by_permission(struct call *call,
                              const struct role_get_by_permission_args *a,
                              struct set_ref *result, struct err *err)
{
    (void)call;
    size_t i;
    db_lock();
    bool found = rbac_permission_of(&a->permission, &i) != NULL;
    if (found)
        roles_with(i, result);
    else if (db_get(CLASS_ROLE, &a->permission)) /* a whole role is included in none */
        found = true;
    db_unlock();
    return found ? 0 : call_gone(CLASS_ROLE, &a->permission, err);
}

int op_role_get_by_permission_name_label(
    struct call *call, const struct role_get_by_permission_name_label_args *a,
    struct set_ref *result, struct err *err)
{
    (void)call, (void)err;
    struct ref ref;
    const struct role_rec *p;
    db_lock();
    for (size_t i = 0; (p = rbac_permission(i, &ref)) != NULL; i++) {
        if (str_eq(p->name_label, a->label))
            roles_with(i, result);
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
    db_lock();
    const struct subject_rec *s = call_get(CLASS_SUBJECT, &a->self, err);
    if (s)
        permission_names(&s->roles, result);
    db_unlock();
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
