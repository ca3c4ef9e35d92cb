/* SPDX-License-Identifier: Apache-2.0 */
/* Roles of calls and of the keys of maps, as the schema has them. The local superuser may do everything. */
#include "seraid/gate.h"

#include <string.h>

#include "api/errors.h"
#include "base/mem.h"

static const struct map_key_role *key_roles(const struct call_def *def)
{
    if (def->kind != CALL_KIND_SET_FIELD && def->kind != CALL_KIND_ADD_TO
        && def->kind != CALL_KIND_REMOVE_FROM)
        return NULL;
    return schema_classes[def->cls].fields[def->field].key_roles;
}

static int denied(const struct call_def *def, const char *key, struct err *err)
{
    AUTO(free_str)
    char *permission = str_fmt("%s.%s%s%s", schema_classes[def->cls].lower, def->name,
                               key ? "/key:" : "", key ? key : "");

    return err_set(err, ERR_RBAC_PERMISSION_DENIED, permission,
                   "No permission in user session");
}

int gate_call(const struct call_def *def, const struct session *s, struct err *err)
{
    uint8_t roles = def->roles;

    if (s->local_superuser)
        return 0;
    for (const struct map_key_role *k = key_roles(def); k && k->key; k++)
        roles |= k->roles;
    return s->roles & roles ? 0 : denied(def, NULL, err);
}

static bool matches(const char *pattern, const char *key)
{
    size_t n = strlen(pattern);

    if (n > 0 && pattern[n - 1] == '*')
        return strncmp(key, pattern, n - 1) == 0;
    return str_eq(key, pattern);
}

int gate_key(const struct call_def *def, const struct session *s, const char *key,
             struct err *err)
{
    uint8_t roles = def->roles;

    if (s->local_superuser)
        return 0;
    for (const struct map_key_role *k = key_roles(def); k && k->key; k++) {
        if (matches(k->key, key)) {
            roles = k->roles;
            break;
        }
    }
    return s->roles & roles ? 0 : denied(def, key, err);
}

/* Keys of map a that map b lacks or has otherwise. */
static int gate_changes(const struct call_def *def, const struct session *s,
                        const struct ty *ty, const struct set_any *a,
                        const struct set_any *b, struct err *err)
{
    for (size_t i = 0; i < a->n; i++) {
        const void *key = map_key(ty, a, i);
        size_t other = map_find(ty, b, key);

        if (other != SIZE_MAX
            && value_eq(ty->elem, map_val(ty, a, i), map_val(ty, b, other)))
            continue;
        if (gate_key(def, s, *(const char *const *)key, err) != 0)
            return -1;
    }
    return 0;
}

int gate_keys(const struct call_def *def, const struct session *s, const void *old,
              const void *new, struct err *err)
{
    const struct ty *ty = schema_classes[def->cls].fields[def->field].ty;

    if (!key_roles(def) || ty->key->kind != TY_STRING)
        return 0;
    if (gate_changes(def, s, ty, old, new, err) != 0)
        return -1;
    return gate_changes(def, s, ty, new, old, err);
}
