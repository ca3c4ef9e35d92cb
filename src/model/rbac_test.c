/* SPDX-License-Identifier: Apache-2.0 */
#include "model/rbac.h"

#include "api/records.h"
#include "base/mem.h"
#include "model/model_test.h"

TEST(names_and_bits)
{
    for (unsigned bit = 1; bit < 128; bit <<= 1) {
        const char *name = rbac_role_name((uint8_t)bit);
        CHECK(name != NULL);
        CHECK_INT(rbac_role_bit(name), bit);
    }
    CHECK(rbac_role_name(3) == NULL && rbac_role_name(0) == NULL);
    CHECK_INT(rbac_role_bit("root"), 0);
    CHECK_INT(rbac_role_bit(NULL), 0);
    CHECK_INT(rbac_role_implies(ROLE_POOL_ADMIN), RBAC_ROLES_ALL);
    CHECK_INT(rbac_role_implies(ROLE_VM_OPERATOR), ROLE_VM_OPERATOR | ROLE_READ_ONLY);
    CHECK_INT(rbac_role_implies(ROLE_CLIENT_CERT), ROLE_CLIENT_CERT);
}

TEST(role_objects_are_made_once)
{
    test_open(test_dir());
    CHECK(rbac_init(NULL) == 0);
    db_lock();
    uint64_t gen = db_generation();
    CHECK_INT(db_count(CLASS_ROLE), 6);
    struct ref ref = rbac_role_ref(ROLE_POOL_ADMIN), named;
    const struct role_rec *rec = db_get(CLASS_ROLE, &ref);
    CHECK(rec != NULL);
    CHECK_STR(rec->name_label, "pool-admin");
    CHECK_STR(rec->uuid, "0165f154-ba3e-034e-6b27-5d271af109ba");
    CHECK(db_find_name(CLASS_ROLE, "read-only", 0, &named));
    struct ref want = rbac_role_ref(ROLE_READ_ONLY);
    CHECK(ref_eq(&named, &want));
    /* what a subject without other roles has by default */
    struct subject_rec *subject = record_new(&schema_classes[CLASS_SUBJECT]);
    CHECK(subject->roles.n == 1 && ref_eq(&subject->roles.v[0], &ref));
    record_free(&schema_classes[CLASS_SUBJECT], subject);
    db_unlock();
    CHECK(rbac_init(NULL) == 0);
    db_lock();
    CHECK_INT(db_generation(), gen);
    db_unlock();
    db_close();
}
