/* SPDX-License-Identifier: Apache-2.0 */
/* The table of roles. A call's gate is (session->roles & call->roles) != 0 over the sets that the generator made, so
 * nothing here decides what a fixed role may do; the rules of the others are lists of patterns, walked when a call is
 * made, so that a change of theirs counts at once. Thread: any. */
#include "model/rbac.h"

#include <assert.h>
#include <openssl/sha.h>
#include <strings.h>

#include "api/errors.h"
#include "api/records.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/uuid.h"

struct role {
    const char *name;
    const char *uuid; /* also the reference; as every XenServer has it */
    const char *doc;
    uint8_t bit;
};

/* From the strongest to the weakest. */
static const struct role roles[] = {
    { "pool-admin", "0165f154-ba3e-034e-6b27-5d271af109ba", "May do everything",
      ROLE_POOL_ADMIN },
    { "pool-operator", "b9ce9791-0604-50cd-0649-09b3284c7dfd",
      "May do everything but manage users, roles and the control domain's consoles",
      ROLE_POOL_OPERATOR },
    { "vm-power-admin", "7955168d-7bec-10ed-105f-c6a7e6e63249",
      "May create, move and tune virtual machines", ROLE_VM_POWER_ADMIN },
    { "vm-admin", "aaa00ab5-7340-bfbc-0d1b-7cf342639a6e",
      "May create, change and delete virtual machines, but not move them", ROLE_VM_ADMIN },
    { "vm-operator", "fb8d4ff9-310c-a959-0613-54101535d3d5",
      "May start, stop and use virtual machines", ROLE_VM_OPERATOR },
    { "read-only", "7233b8e3-eacb-d7da-2c95-f2e581cdbf4e",
      "May look at everything but secrets", ROLE_READ_ONLY },
};

const char *rbac_role_name(uint8_t bit)
{
    for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
        if (roles[i].bit == bit)
            return roles[i].name;
    }
    return bit == ROLE_CLIENT_CERT ? "client-cert" : NULL;
}

uint8_t rbac_role_bit(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
        if (str_eq(roles[i].name, name))
            return roles[i].bit;
    }
    return str_eq(name, "client-cert") ? ROLE_CLIENT_CERT : 0;
}

static struct ref ref_of(const struct role *r)
{
    struct ref ref = REF_NULL;
    AUTO(free_str) char *text = str_fmt("OpaqueRef:%s", r->uuid);
    bool good = ref_parse(text, &ref);
    assert(good);
    (void)good;
    return ref;
}

struct ref rbac_role_ref(uint8_t bit)
{
    for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
        if (roles[i].bit == bit)
            return ref_of(&roles[i]);
    }
    return REF_NULL;
}

uint8_t rbac_role_implies(uint8_t bit)
{
    uint8_t all = 0;
    for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
        if (roles[i].bit == bit || all)
            all |= roles[i].bit;
    }
    return all ? all : bit;
}

int rbac_init(struct err *err)
{
    struct tx *tx = tx_begin(&(struct tx_who){ .user = "seraid", .call = "rbac_init" });
    for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
        struct ref ref = ref_of(&roles[i]);
        if (db_get(CLASS_ROLE, &ref))
            continue;
        struct role_rec *rec = record_new(&schema_classes[CLASS_ROLE]);
        str_put(&rec->uuid, roles[i].uuid);
        str_put(&rec->name_label, roles[i].name);
        str_put(&rec->name_description, roles[i].doc);
        (void)tx_create(tx, CLASS_ROLE, rec, &ref); /* ref */
    }
    return tx_commit(tx, err);
}

/* Permissions. Made once, at the first question. */

struct permission {
    const struct call_def *def;
    const struct map_key_role *key; /* NULL: the call */
    struct ref ref;
    struct role_rec rec;
};

static struct permission *permissions GUARDED_BY(db_mutex);
static size_t n_permissions GUARDED_BY(db_mutex);
static struct hash by_ref GUARDED_BY(db_mutex);

const struct map_key_role *rbac_key_roles(const struct call_def *def)
{
    if (def->kind != CALL_KIND_SET_FIELD && def->kind != CALL_KIND_ADD_TO
        && def->kind != CALL_KIND_REMOVE_FROM)
        return NULL;
    return schema_classes[def->cls].fields[def->field].key_roles;
}

static char *permission_name(const struct call_def *def, const char *key)
{
    return str_fmt("%s.%s%s%s", schema_classes[def->cls].lower, def->name,
                   key ? "/key:" : "", key ? key : "");
}

/* Of the name, so that it is the same in every pool. */
static struct ref permission_ref(const char *name)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    struct ref ref;
    SHA256((const unsigned char *)name, strlen(name), digest);
    memcpy(ref.b, digest, sizeof(ref.b));
    ref.b[6] = (uint8_t)((ref.b[6] & 0x0f) | 0x80); /* a uuid of version 8, RFC 9562 */
    ref.b[8] = (uint8_t)((ref.b[8] & 0x3f) | 0x80);
    return ref;
}

static void add_permission(const struct call_def *def, const struct map_key_role *key)
    REQUIRES(db_mutex)
{
    struct permission *p = &permissions[n_permissions++];
    struct uuid uuid;
    char uuid_of[UUID_TEXT_SIZE];
    p->def = def;
    p->key = key;
    p->rec.name_label = permission_name(def, key ? key->key : NULL);
    p->rec.name_description = def->doc;
    p->ref = permission_ref(p->rec.name_label);
    memcpy(uuid.b, p->ref.b, sizeof(uuid.b));
    uuid_text(&uuid, uuid_of);
    p->rec.uuid = str_dup(uuid_of);
}

static size_t each_of_call(const struct call_def *def, bool add) REQUIRES(db_mutex)
{
    size_t n = 1;
    if (def->life == LIFE_REMOVED)
        return 0;
    if (add)
        add_permission(def, NULL);
    for (const struct map_key_role *k = rbac_key_roles(def); k && k->key; k++, n++) {
        if (add)
            add_permission(def, k);
    }
    return n;
}

static void make_permissions(void) REQUIRES(db_mutex)
{
    size_t n = 0;
    if (permissions)
        return;
    for (size_t i = 0; i < CALL_COUNT; i++)
        n += each_of_call(&schema_calls[i], false);
    permissions = mem_array(n, sizeof(*permissions));
    for (size_t i = 0; i < CALL_COUNT; i++)
        (void)each_of_call(&schema_calls[i], true);
    for (size_t i = 0; i < n; i++)
        (void)hash_put(&by_ref, permissions[i].ref.b, sizeof(permissions[i].ref.b),
                       &permissions[i]);
}

const struct role_rec *rbac_permission(size_t i, struct ref *ref_out)
{
    make_permissions();
    if (i >= n_permissions)
        return NULL;
    *ref_out = permissions[i].ref;
    return &permissions[i].rec;
}

const struct role_rec *rbac_permission_of(const struct ref *ref, size_t *i_out)
{
    make_permissions();
    const struct permission *p = hash_get(&by_ref, ref->b, sizeof(ref->b));
    if (p && i_out)
        *i_out = (size_t)(p - permissions);
    return p ? &p->rec : NULL;
}

/* Rules */

static bool matches(const char *pattern, const char *name)
{
    size_t n = strlen(pattern);
    if (n > 0 && pattern[n - 1] == '*')
        return strncasecmp(pattern, name, n - 1) == 0;
    return strcasecmp(pattern, name) == 0;
}

static bool listed(const struct set_string *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++) {
        if (matches(list->v[i], name))
            return true;
    }
    return false;
}

/* As the roles of calls read, with the stricter or looser ones of keys: any_key asks whether one of them could do. */
static bool bits_allow(uint8_t have, const struct call_def *def, const char *key)
{
    uint8_t may = def->roles;
    for (const struct map_key_role *k = rbac_key_roles(def); k && k->key; k++) {
        if (!key)
            may |= k->roles;
        else if (matches(k->key, key))
            return (have & k->roles) != 0;
    }
    return (have & may) != 0;
}

static bool key_has_roles(const struct call_def *def, const char *key)
{
    for (const struct map_key_role *k = rbac_key_roles(def); k && k->key; k++) {
        if (matches(k->key, key))
            return true;
    }
    return false;
}

/* Some entry names a key of this call. */
static bool lists_a_key(const struct set_string *list, const char *call)
{
    size_t n = strlen(call);
    for (size_t i = 0; i < list->n; i++) {
        if (strncasecmp(list->v[i], call, n) == 0
            && strncasecmp(list->v[i] + n, "/key:", 5) == 0)
            return true;
    }
    return false;
}

/* A key that has roles of its own is given by its own name alone: who lists a whole call means the rest. */
static bool list_allows(const struct set_string *list, const struct call_def *def,
                        const char *call, const char *name, const char *key)
{
    if (!key)
        return listed(list, call) || lists_a_key(list, call);
    for (size_t i = 0; i < list->n; i++) {
        if (matches(list->v[i], name) && strcasestr(list->v[i], "/key:"))
            return true;
    }
    return listed(list, call) && !key_has_roles(def, key);
}

static const struct serai_role_rec *rules_of(const struct ref *role) REQUIRES(db_mutex)
{
    for (struct db_iter it = db_first(CLASS_SERAI_ROLE); it.rec; db_next(&it)) {
        const struct serai_role_rec *rec = it.rec;
        if (ref_eq(&rec->role, role))
            return rec;
    }
    return NULL;
}

static bool rules_allow(const struct serai_role_rec *r, const struct call_def *def,
                        const char *key)
{
    AUTO(free_str) char *call = permission_name(def, NULL);
    AUTO(free_str) char *name = permission_name(def, key);
    uint8_t have = 0;
    if (def->roles == 0) /* nobody's */
        return false;
    if (listed(&r->deny, call) || (key && listed(&r->deny, name)))
        return false;
    for (size_t i = 0; i < r->base.n; i++)
        have |= rbac_role_bit(r->base.v[i]);
    return bits_allow(have, def, key) || list_allows(&r->allow, def, call, name, key);
}

static bool role_allows(const struct ref *role, const struct call_def *def, const char *key)
    REQUIRES(db_mutex)
{
    const struct role_rec *rec = db_get(CLASS_ROLE, role);
    uint8_t bit = rec ? rbac_role_bit(rec->name_label) : 0;
    if (bit)
        return bits_allow(bit, def, key);
    const struct serai_role_rec *rules = rec ? rules_of(role) : NULL;
    return rules && rules_allow(rules, def, key);
}

/* What everybody needs for being logged in at all. */
static bool is_own_session(const struct call_def *def)
{
    return def->cls == CLASS_SESSION && (def->roles & ROLE_READ_ONLY);
}

static bool token_allows(const struct ref *token, const struct call_def *def,
                         const char *key) REQUIRES(db_mutex)
{
    const struct serai_token_rec *t = db_get(CLASS_SERAI_TOKEN, token);
    if (!t)
        return false; /* revoked */
    if (t->methods.n == 0 || is_own_session(def))
        return true;
    AUTO(free_str) char *call = permission_name(def, NULL);
    AUTO(free_str) char *name = permission_name(def, key);
    return listed(&t->methods, call) || (key && listed(&t->methods, name))
           || (!key && lists_a_key(&t->methods, call));
}

static bool session_allows(const struct session *s, const struct call_def *def,
                           const char *key) REQUIRES(db_mutex)
{
    bool good = bits_allow(s->roles, def, key);
    for (size_t i = 0; i < s->n_custom && !good; i++)
        good = role_allows(&s->custom[i], def, key);
    return good && (ref_is_null(&s->token) || token_allows(&s->token, def, key));
}

bool rbac_allows_locked(const struct session *s, const struct call_def *def,
                        const char *key)
{
    return s->local_superuser || session_allows(s, def, key);
}

bool rbac_allows(const struct session *s, const struct call_def *def, const char *key)
{
    if (s->local_superuser)
        return true;
    if (s->n_custom == 0 && ref_is_null(&s->token))
        return bits_allow(s->roles, def, key);
    db_lock();
    bool good = session_allows(s, def, key);
    db_unlock();
    return good;
}

/* set: the call that writes the whole map. */
static int check_map(const struct session *s, const struct call_def *set,
                     const struct map_string_string *map, struct err *err)
    EXCLUDES(db_mutex)
{
    for (size_t i = 0; i < map->n; i++) {
        const char *key = map->v[i].key;
        if (!key_has_roles(set, key) || rbac_allows(s, set, key))
            continue;
        AUTO(free_str) char *name = permission_name(set, key);
        return err_set(err, ERR_RBAC_PERMISSION_DENIED, name,
                       "No permission in user session");
    }
    return 0;
}

int rbac_check_record(const struct session *s, enum class_id cls, const void *rec,
                      struct err *err)
{
    const struct class_def *def = &schema_classes[cls];
    for (size_t i = 0; i < def->n_fields; i++) {
        const struct field_def *f = &def->fields[i];
        if (!f->key_roles)
            continue;
        AUTO(free_str) char *name = str_fmt("set_%s", f->name);
        const struct call_def *set = schema_class_call(def, name);
        if (set && check_map(s, set, record_field(f, rec), err) < 0)
            return -1;
    }
    return 0;
}

int rbac_check_new(const struct class_def *cls, const struct session *s, const void *rec,
                   struct err *err)
{
    const struct call_def *create = schema_class_call(cls, "create");
    AUTO(free_str) char *permission = str_fmt("%s.create", cls->lower);
    if (create && !rbac_allows(s, create, NULL))
        return err_set(err, ERR_RBAC_PERMISSION_DENIED, permission,
                       "No permission in user session");
    return rbac_check_record(s, (enum class_id)cls->id, rec, err);
}

static bool rules_allow_door(const struct serai_role_rec *r, uint8_t may,
                             const char *permission)
{
    uint8_t have = 0;
    for (size_t i = 0; i < r->base.n; i++)
        have |= rbac_role_bit(r->base.v[i]);
    return !listed(&r->deny, permission) && ((have & may) || listed(&r->allow, permission));
}

static bool session_allows_door(const struct session *s, uint8_t may,
                                const char *permission) REQUIRES(db_mutex)
{
    bool good = (s->roles & may) != 0;
    for (size_t i = 0; i < s->n_custom && !good; i++) {
        const struct serai_role_rec *r = rules_of(&s->custom[i]);
        good = r && rules_allow_door(r, may, permission);
    }
    if (!good || ref_is_null(&s->token))
        return good;
    /* What a door leads to is named in many ways: one that is limited to objects passes none. */
    const struct serai_token_rec *t = db_get(CLASS_SERAI_TOKEN, &s->token);
    return t && t->objects.n == 0 && (t->methods.n == 0 || listed(&t->methods, permission));
}

bool rbac_allows_door(const struct session *s, uint8_t roles_of_door,
                      const char *permission)
{
    if (s->local_superuser)
        return true;
    db_lock();
    bool good = session_allows_door(s, roles_of_door, permission);
    db_unlock();
    return good;
}

bool rbac_owns_task(const struct session *s, const struct ref *task)
{
    const struct ty *ty = schema_classes[CLASS_SESSION].fields[F_SESSION_TASKS].ty;
    if (rbac_allows_door(s, ROLE_POOL_ADMIN | ROLE_POOL_OPERATOR, RBAC_ANY_TASK))
        return true;
    bool own = false;
    db_lock();
    const struct session_rec *mine = db_get(CLASS_SESSION, &s->ref);
    for (struct db_iter it = db_first(CLASS_SESSION); mine && it.rec && !own;
         db_next(&it)) {
        const struct session_rec *other = it.rec;
        own = str_eq(other->auth_user_name, mine->auth_user_name)
              && str_eq(other->auth_user_sid, mine->auth_user_sid)
              && set_find(ty, &other->tasks, task) != SIZE_MAX;
    }
    db_unlock();
    return own;
}

bool rbac_limited_to_objects(const struct session *s)
{
    const struct serai_token_rec *t = ref_is_null(&s->token)
                                          ? NULL
                                          : db_get(CLASS_SERAI_TOKEN, &s->token);
    return t && t->objects.n > 0;
}

bool rbac_sees(const struct session *s, const struct ref *object)
{
    if (ref_is_null(&s->token))
        return true;
    const struct serai_token_rec *t = db_get(CLASS_SERAI_TOKEN, &s->token);
    char text[REF_TEXT_SIZE];
    ref_text(object, text);
    if (!t || t->objects.n == 0)
        return t != NULL;
    for (size_t i = 0; i < t->objects.n; i++) {
        if (strcasecmp(t->objects.v[i], text) == 0)
            return true;
    }
    return false;
}

bool rbac_pattern_valid(const char *pattern)
{
    bool found = false;
    const char *key = strcasestr(pattern, "/key:");
    AUTO(free_str)
    char *call = key ? str_dupn(pattern, (size_t)(key - pattern)) : str_dup(pattern);
    db_lock();
    make_permissions();
    for (size_t i = 0; i < n_permissions && !found; i++) {
        const struct permission *p = &permissions[i];
        found = !p->key && matches(call, p->rec.name_label)
                && (!key || rbac_key_roles(p->def) || p->def->kind == CALL_KIND_ADD_TO
                    || p->def->kind == CALL_KIND_REMOVE_FROM
                    || p->def->kind == CALL_KIND_SET_FIELD);
    }
    db_unlock();
    return found;
}

bool rbac_role_gives(const struct ref *role, size_t i)
{
    make_permissions();
    const struct permission *p = &permissions[i];
    if (ref_eq(role, &p->ref))
        return true;
    const struct role_rec *rec = db_get(CLASS_ROLE, role);
    uint8_t bit = rec ? rbac_role_bit(rec->name_label) : 0;
    if (bit) /* as XenServer has it: the call when it is the role's, each key when that is */
        return (bit & (p->key ? p->key->roles : p->def->roles)) != 0;
    const struct serai_role_rec *rules = rec ? rules_of(role) : NULL;
    return rules && rules_allow(rules, p->def, p->key ? p->key->key : NULL);
}

bool rbac_session_gives(const struct session *s, size_t i)
{
    make_permissions();
    const struct permission *p = &permissions[i];
    const char *key = p->key ? p->key->key : NULL;
    bool good = (s->roles & (p->key ? p->key->roles : p->def->roles)) != 0;
    for (size_t k = 0; k < s->n_custom && !good; k++)
        good = role_allows(&s->custom[k], p->def, key);
    return good && (ref_is_null(&s->token) || token_allows(&s->token, p->def, key));
}
