/* SPDX-License-Identifier: Apache-2.0 */
/* Roles: bits in tables and sessions, names on the wire, six objects of class role whose references and uuids are the
 * same in every pool (clients and stored subjects refer to them). Thread: any. */
#ifndef MODEL_RBAC_H
#define MODEL_RBAC_H

#include "model/db.h"

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
#endif
