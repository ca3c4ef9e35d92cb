/* SPDX-License-Identifier: Apache-2.0 */
/* Roles: bits in tables and sessions, names on the wire, six objects of class role whose references and uuids are the
 * same in every pool (clients and stored subjects refer to them). A permission is named as refusals name it:
 * "vm.start", or for a key of a map "vm.add_to_other_config/key:folder"; each is a role too, without an object: its
 * reference follows from its name. Roles made by people are objects of class role with rules (class serai_role) that
 * are looked at when a call is made. Thread: any. */
#ifndef MODEL_RBAC_H
#define MODEL_RBAC_H

#include "model/session.h"

#define RBAC_ROLES_ALL                                                          \
    (ROLE_POOL_ADMIN | ROLE_POOL_OPERATOR | ROLE_VM_POWER_ADMIN | ROLE_VM_ADMIN \
     | ROLE_VM_OPERATOR | ROLE_READ_ONLY)

/* "pool-admin"; NULL for what is not one bit of enum role_bit. */
const char *rbac_role_name(uint8_t bit);
/* 0: no such role. */
uint8_t rbac_role_bit(const char *name);
/* The role objects of these bits; null for client-cert, which is none. */
struct ref rbac_role_ref(uint8_t bit);
/* A role and all weaker ones. */
uint8_t rbac_role_implies(uint8_t bit);
/* Make the role objects that are missing. */
int rbac_init(struct err *err) MUST_CHECK EXCLUDES(db_mutex);

/* The roles of the keys of a map that a call writes: terminated by key NULL; NULL: they have none of their own. */
const struct map_key_role *rbac_key_roles(const struct call_def *def);
/* May the session make this call (key NULL) or change this key by it? Its roles alone, its token's limits included. */
bool rbac_allows(const struct session *s, const struct call_def *def, const char *key)
    EXCLUDES(db_mutex);
bool rbac_allows_locked(const struct session *s, const struct call_def *def,
                        const char *key) REQUIRES(db_mutex);
/* A new object's maps: who may make an object chooses its fields, but no key that has roles of its own, none of which is
 * the session's. Every path that makes objects of what a caller sends (create, import) asks here, before any reference
 * is resolved. Errors: RBAC_PERMISSION_DENIED(permission, message). */
int rbac_check_record(const struct session *s, enum class_id cls, const void *rec,
                      struct err *err) MUST_CHECK EXCLUDES(db_mutex);
/* The same as a create of its own would be asked, for what an archive holds: its call, too (an ova_may_fn). */
int rbac_check_new(const struct class_def *cls, const struct session *s, const void *rec,
                   struct err *err) MUST_CHECK EXCLUDES(db_mutex);
/* May it use a door of HTTP? roles: of whom may; permission: "http/get_rrd". */
bool rbac_allows_door(const struct session *s, uint8_t roles, const char *permission)
    EXCLUDES(db_mutex);
/* A task is its user's: may the session cancel, destroy or change it? Those who may with any task, and every session of the
 * user whose session it belongs to, while there is that one. */
#define RBAC_ANY_TASK "task.destroy/any"
bool rbac_owns_task(const struct session *s, const struct ref *task) EXCLUDES(db_mutex);
/* Is the object one that the session's token is limited to? Without such a limit all are. */
bool rbac_sees(const struct session *s, const struct ref *object) REQUIRES(db_mutex);
bool rbac_limited_to_objects(const struct session *s) REQUIRES(db_mutex);

/* A list entry of a role or token: a permission that exists, or a beginning of one and a star. */
bool rbac_pattern_valid(const char *pattern);

/* Permissions in the order of the schema; i counts from 0. NULL: no more. */
const struct role_rec *rbac_permission(size_t i, struct ref *ref_out) REQUIRES(db_mutex);
/* NULL: no permission's reference. */
const struct role_rec *rbac_permission_of(const struct ref *ref, size_t *i_out)
    REQUIRES(db_mutex);
/* Whether the role object gives the i-th permission; a permission gives itself. */
bool rbac_role_gives(const struct ref *role, size_t i) REQUIRES(db_mutex);
/* The same for a session. */
bool rbac_session_gives(const struct session *s, size_t i) REQUIRES(db_mutex);
#endif
