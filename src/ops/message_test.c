/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/message.h"

#include "base/mem.h"
#include "base/test.h"

static const struct tx_who who = { .user = "test", .call = "test" };

static struct ref add(int64_t priority)
{
    struct err err = { 0 };
    struct tx *tx = tx_begin(&who);
    struct ref ref = message_add(tx, "NAME", priority, CLS_POOL, "uuid", "body");
    CHECK(tx_commit(tx, &err) == 0);
    return ref;
}

TEST(the_oldest_make_room)
{
    struct err err = { 0 };
    struct ref refs[6];
    CHECK(db_open(test_dir(), &err) == 0);
    message_set_limit(4);
    for (int i = 0; i < 6; i++)
        refs[i] = add(i);
    db_lock();
    bool first_gone = !db_get(CLASS_MESSAGE, &refs[0]) && !db_get(CLASS_MESSAGE, &refs[1]);
    size_t n = db_count(CLASS_MESSAGE);
    const struct message_rec *m = db_get(CLASS_MESSAGE, &refs[5]);
    bool whole = m && str_eq(m->name, "NAME") && m->priority == 5 && m->cls == CLS_POOL
                 && str_eq(m->obj_uuid, "uuid") && str_eq(m->body, "body")
                 && m->timestamp > 0 && m->uuid[0];
    db_unlock();
    CHECK(first_gone);
    CHECK(whole);
    CHECK_INT(n, 4);
    db_close();
    /* What was made room for does not come back, and order holds over a restart. */
    CHECK(db_open(test_dir(), &err) == 0);
    struct ref more = add(6);
    db_lock();
    n = db_count(CLASS_MESSAGE);
    bool third_gone = !db_get(CLASS_MESSAGE, &refs[2]);
    bool there = db_get(CLASS_MESSAGE, &refs[3]) && db_get(CLASS_MESSAGE, &more);
    db_unlock();
    CHECK_INT(n, 4);
    CHECK(third_gone && there);
    db_close();
}

TEST(about_machines)
{
    static const struct {
        enum message_vm what;
        int priority;
        const char *name, *body;
    } cases[] = {
        { MESSAGE_VM_SHUTDOWN, 5, "VM_SHUTDOWN", "VM 'web' shutdown" },
        { MESSAGE_VM_SHUTDOWN_FORCED, 5, "VM_SHUTDOWN", "VM 'web' shutdown forcibly" },
        { MESSAGE_VM_REBOOTED, 5, "VM_REBOOTED", "VM 'web' rebooted cleanly" },
        { MESSAGE_VM_REBOOTED_FORCED, 5, "VM_REBOOTED", "VM 'web' rebooted forcibly" },
        { MESSAGE_VM_CRASHED, 2, "VM_CRASHED", "VM 'web' crashed" },
        { MESSAGE_VM_STARTED, 5, "VM_STARTED", "VM 'web' started" },
    };
    struct err err = { 0 };
    AUTO(free_str) char *dir = str_fmt("%s/vm", test_dir());
    CHECK(db_open(dir, &err) == 0);
    struct tx *tx = tx_begin(&who);
    struct vm_rec *vm = record_new(&schema_classes[CLASS_VM]);
    str_put(&vm->name_label, "web");
    struct ref ref = tx_create(tx, CLASS_VM, vm, NULL);
    message_add_vm(tx, MESSAGE_VM_NONE, &ref);
    size_t none = db_count(CLASS_MESSAGE);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        message_add_vm(tx, cases[i].what, &ref);
    size_t i = 0, wrong = 0;
    for (struct db_iter it = db_first(CLASS_MESSAGE); it.rec; db_next(&it), i++) {
        const struct message_rec *m = it.rec;
        wrong += !str_eq(m->name, cases[i].name) || !str_eq(m->body, cases[i].body)
                 || m->priority != cases[i].priority || !str_eq(m->obj_uuid, vm->uuid);
    }
    CHECK(tx_commit(tx, &err) == 0);
    CHECK_INT(none, 0);
    CHECK_INT(i, ARRAY_SIZE(cases));
    CHECK_INT(wrong, 0);
    db_close();
}
