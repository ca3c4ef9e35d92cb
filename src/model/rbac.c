/* SPDX-License-Identifier: Apache-2.0 */
/* The table of roles. A call's gate is (session->roles & call->roles) != 0 over the sets that the generator made, so
 * nothing here decides what a role may do. Thread: any. */
#include "model/rbac.h"

#include <assert.h>

#include "api/records.h"
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
