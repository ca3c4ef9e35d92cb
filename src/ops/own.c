/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of class serai: roles that people make, API tokens. Any thread. */
#include <string.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/mem.h"
#include "model/rbac.h"
#include "model/token.h"
#include "ops/hooks.h"

#define LIST_MAX \
    1000 /* entries of a role's or token's lists: they are walked at every call */

static int check_list(const char *what, const struct set_string *list, struct err *err)
{
    if (list->n > LIST_MAX)
        return err_set(err, ERR_INVALID_VALUE, what, "more than 1000 entries");
    for (size_t i = 0; i < list->n; i++) {
        if (str_starts(list->v[i], "http/") || rbac_pattern_valid(list->v[i]))
            continue;
        (void)err_set(err, ERR_INVALID_VALUE, what, list->v[i]);
        return err_detail(err, "no permission is called that; role-list shows roles, and "
                               "role.get_permissions_name_label their permissions");
    }
    return 0;
}

static int check_base(const struct set_string *base, struct err *err)
{
    for (size_t i = 0; i < base->n; i++) {
        if (!(rbac_role_bit(base->v[i]) & RBAC_ROLES_ALL)) {
            (void)err_set(err, ERR_ROLE_NOT_FOUND);
            return err_detail(err, "%s is none of the six fixed roles", base->v[i]);
        }
    }
    return 0;
}

static void copy_list(const struct field_def *f, void *to, const struct set_string *list)
{
    value_done(f->ty, to);
    value_copy(f->ty, to, list);
}

static struct serai_role_rec *rules_new(const struct serai_role_create_args *a)
{
    const struct field_def *f = schema_classes[CLASS_SERAI_ROLE].fields;
    struct serai_role_rec *r = record_new(&schema_classes[CLASS_SERAI_ROLE]);
    copy_list(&f[F_SERAI_ROLE_BASE], &r->base, &a->base);
    copy_list(&f[F_SERAI_ROLE_ALLOW], &r->allow, &a->allow);
    copy_list(&f[F_SERAI_ROLE_DENY], &r->deny, &a->deny);
    return r;
}

/* The role and its rules are one change: there is never one without the other. */
int op_serai_role_create(struct call *call, const struct serai_role_create_args *a,
                         struct ref *result, struct err *err)
{
    struct ref there;
    if (!a->name[0] || strlen(a->name) > 255)
        return err_set(err, ERR_INVALID_VALUE, "name", a->name);
    if (check_base(&a->base, err) < 0 || check_list("allow", &a->allow, err) < 0
        || check_list("deny", &a->deny, err) < 0)
        return -1;
    struct tx *tx = call_tx(call);
    if (db_find_name(CLASS_ROLE, a->name, 0, &there) || rbac_role_bit(a->name)) {
        tx_abort(tx);
        return err_set(err, ERR_ROLE_ALREADY_EXISTS);
    }
    struct role_rec *role = record_new(&schema_classes[CLASS_ROLE]);
    str_put(&role->name_label, a->name);
    str_put(&role->name_description, a->description);
    struct serai_role_rec *rules = rules_new(a);
    struct ref ref = rules->role = tx_create(tx, CLASS_ROLE, role, NULL);
    (void)tx_create(tx, CLASS_SERAI_ROLE, rules, NULL); /* found by its role */
    if (tx_commit(tx, err) < 0)
        return -1;
    *result = ref;
    return 0;
}

static bool next_rules(const struct ref *role, struct ref *out) REQUIRES(db_mutex)
{
    for (struct db_iter it = db_first(CLASS_SERAI_ROLE); it.rec; db_next(&it)) {
        if (ref_eq(&((const struct serai_role_rec *)it.rec)->role, role)) {
            *out = it.ref;
            return true;
        }
    }
    return false;
}

static bool next_with_role(const struct ref *role, struct ref *out) REQUIRES(db_mutex)
{
    const struct ty *ty = schema_classes[CLASS_SUBJECT].fields[F_SUBJECT_ROLES].ty;
    for (struct db_iter it = db_first(CLASS_SUBJECT); it.rec; db_next(&it)) {
        if (set_find(ty, &((const struct subject_rec *)it.rec)->roles, role) != SIZE_MAX) {
            *out = it.ref;
            return true;
        }
    }
    return false;
}

int op_serai_role_destroy(struct call *call, const struct serai_role_destroy_args *a,
                          struct err *err)
{
    struct ref rules, subject;
    struct tx *tx = call_tx(call);
    if (!call_get(CLASS_ROLE, &a->role, err)) {
        tx_abort(tx);
        return -1;
    }
    if (!next_rules(&a->role, &rules)) {
        tx_abort(tx);
        return err_set(err, ERR_OPERATION_NOT_ALLOWED,
                       "the fixed roles cannot be destroyed");
    }
    tx_destroy(tx, &rules);
    while (next_with_role(&a->role, &subject))
        tx_set_remove(tx, &subject, CLASS_SUBJECT, F_SUBJECT_ROLES, &a->role);
    tx_destroy(tx, &a->role);
    return tx_commit(tx, err);
}

static int check_objects(const struct set_string *objects, struct err *err)
{
    if (objects->n > LIST_MAX)
        return err_set(err, ERR_INVALID_VALUE, "objects", "more than 1000 entries");
    for (size_t i = 0; i < objects->n; i++) {
        struct ref ref;
        bool found = ref_parse(objects->v[i], &ref) && !ref_is_null(&ref);
        db_lock();
        found = found && db_class_of(&ref) != CLASS_NONE;
        db_unlock();
        if (!found)
            return err_set(err, ERR_HANDLE_INVALID, "object", objects->v[i]);
    }
    return 0;
}

int op_serai_token_create(struct call *call, const struct serai_token_create_args *a,
                          const char **result, struct err *err)
{
    const struct field_def *f = schema_classes[CLASS_SERAI_TOKEN].fields;
    struct tx_who who = { call->session.user, schema_call_name(call->def), NULL };
    char *token = NULL;
    db_lock();
    bool role = call_get(CLASS_ROLE, &a->role, err) != NULL;
    db_unlock();
    if (!role || check_list("methods", &a->methods, err) < 0
        || check_objects(&a->objects, err) < 0)
        return -1;
    if (a->expires > 0 && a->expires <= clock_wall_us())
        return err_set(err, ERR_INVALID_VALUE, "expires", "a time that has passed");
    struct serai_token_rec *rec = record_new(&schema_classes[CLASS_SERAI_TOKEN]);
    str_put(&rec->name_label, a->name);
    rec->role = a->role;
    rec->expires = a->expires;
    copy_list(&f[F_SERAI_TOKEN_METHODS], &rec->methods, &a->methods);
    copy_list(&f[F_SERAI_TOKEN_OBJECTS], &rec->objects, &a->objects);
    if (token_create(&who, rec, &token, err) < 0)
        return -1;
    str_give(result, token);
    return 0;
}

int op_serai_token_revoke(struct call *call, const struct serai_token_revoke_args *a,
                          struct err *err)
{
    struct tx_who who = { call->session.user, schema_call_name(call->def), NULL };
    return token_revoke(&who, &a->token, err);
}
