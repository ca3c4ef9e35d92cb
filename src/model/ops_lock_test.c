/* SPDX-License-Identifier: Apache-2.0 */
#include "model/ops_lock.h"

#include <pthread.h>

#include "api/errors.h"
#include "api/records.h"
#include "base/mem.h"
#include "model/model_test.h"

/* start while halted; snapshot always, but one at a time */
static void allowed(const struct ref *self, const void *record, uint64_t *out)
{
    const struct vm_rec *rec = record;
    if (rec->current_operations.n > 0)
        return;
    *out = UINT64_C(1) << VM_OPERATIONS_SNAPSHOT;
    if (rec->power_state == VM_POWER_STATE_HALTED)
        *out |= UINT64_C(1) << VM_OPERATIONS_START;
}

static void why(const struct ref *self, const void *record, int op, struct err *err)
{
    (void)err_set(err, ERR_VM_BAD_POWER_STATE, "a", "b", "c");
}

static struct ref vm_new(void)
{
    struct tx *tx = tx_begin(&test_who);
    struct ref vm = make_vm(tx, "vm");
    op_refresh(tx, CLASS_VM, &vm);
    CHECK(tx_commit(tx, NULL) == 0);
    return vm;
}

static size_t count_allowed(struct ref vm)
{
    db_lock();
    const struct vm_rec *rec = db_get(CLASS_VM, &vm);
    size_t n = rec->allowed_operations.n;
    db_unlock();
    return n;
}

TEST(enter_and_leave)
{
    test_open(test_dir());
    ops_lock_register(CLASS_VM, allowed, why);
    struct ref vm = vm_new(), task = ref_new(), task2 = ref_new();
    CHECK_INT(count_allowed(vm), 2);
    CHECK(op_begin(CLASS_VM, &vm, "start", &task, NULL) == 0);
    CHECK_INT(count_allowed(vm), 0);
    db_lock();
    const struct vm_rec *rec = db_get(CLASS_VM, &vm);
    char text[REF_TEXT_SIZE];
    ref_text(&task, text);
    CHECK_STR(rec->current_operations.v[0].key, text);
    CHECK_INT(rec->current_operations.v[0].val, VM_OPERATIONS_START);
    db_unlock();
    struct err err = { 0 };
    CHECK(op_begin(CLASS_VM, &vm, "snapshot", &task2, &err) < 0);
    CHECK_STR(err.code, ERR_VM_BAD_POWER_STATE);
    err_done(&err);
    op_end(CLASS_VM, &vm, &task2); /* not in: nothing */
    CHECK_INT(count_allowed(vm), 0);
    struct tx *tx = tx_begin(&test_who);
    tx_set_enum(tx, &vm, CLASS_VM, F_VM_POWER_STATE, VM_POWER_STATE_RUNNING);
    CHECK(tx_commit(tx, NULL) == 0);
    op_end(CLASS_VM, &vm, &task);
    CHECK_INT(count_allowed(vm), 1);
    struct ref gone = ref_new();
    CHECK(op_begin(CLASS_VM, &gone, "start", &task, &err) < 0);
    CHECK_STR(err.code, ERR_HANDLE_INVALID);
    err_done(&err);
    op_end(CLASS_VM, &gone, &task);
    db_close();
}

TEST(what_has_happened_needs_no_leave)
{
    test_open(test_dir());
    ops_lock_register(CLASS_VM, allowed, why);
    struct ref vm = vm_new(), task = ref_new(), task2 = ref_new();
    struct err err = { 0 };
    CHECK(op_begin(CLASS_VM, &vm, "hard_reboot", &task, &err) < 0);
    CHECK_STR(err.code, ERR_VM_BAD_POWER_STATE);
    err_done(&err);
    CHECK(op_begin_forced(CLASS_VM, &vm, "hard_reboot", &task, &err) == 0);
    CHECK_INT(count_allowed(vm), 0);
    CHECK(op_begin_forced(CLASS_VM, &vm, "hard_reboot", &task2, &err) < 0);
    CHECK_STR(err.code, ERR_OTHER_OPERATION_IN_PROGRESS);
    err_done(&err);
    op_end(CLASS_VM, &vm, &task);
    CHECK_INT(count_allowed(vm), 2);
    struct ref gone = ref_new();
    CHECK(op_begin_forced(CLASS_VM, &gone, "hard_reboot", &task, &err) < 0);
    CHECK_STR(err.code, ERR_HANDLE_INVALID);
    err_done(&err);
    db_close();
}

TEST(one_at_a_time_without_a_rule)
{
    test_open(test_dir());
    struct ref vm = vm_new(), task = ref_new(), task2 = ref_new();
    CHECK(op_begin(CLASS_VM, &vm, "start", &task, NULL) == 0);
    struct err err = { 0 };
    CHECK(op_begin(CLASS_VM, &vm, "pause", &task2, &err) < 0);
    CHECK_STR(err.code, ERR_OTHER_OPERATION_IN_PROGRESS);
    char text[REF_TEXT_SIZE], mine[REF_TEXT_SIZE];
    ref_text(&vm, text);
    ref_text(&task, mine);
    CHECK_STR(err.params[0], "VM");
    CHECK_STR(err.params[1], text);
    CHECK_STR(err.params[2], "start");
    CHECK_STR(err.params[3], mine);
    err_done(&err);
    op_end(CLASS_VM, &vm, &task);
    CHECK(op_begin(CLASS_VM, &vm, "pause", &task2, NULL) == 0);
    db_close();
}

struct racer {
    pthread_t thread;
    struct ref vm;
    int won;
};

static int inside;

static void *race(void *arg)
{
    struct racer *r = arg;
    struct ref task = ref_new();
    /* Until each has had its wins: how many tries that takes is the scheduler's business. The last one runs alone. */
    while (r->won < 50) {
        if (op_begin(CLASS_VM, &r->vm, "start", &task, NULL) < 0)
            continue;
        CHECK_INT(__atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST), 1);
        r->won++;
        CHECK_INT(__atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST), 0);
        op_end(CLASS_VM, &r->vm, &task);
    }
    return NULL;
}

TEST(only_one_wins)
{
    test_open(test_dir());
    struct ref vm = vm_new();
    struct racer r[4] = { 0 };
    for (size_t i = 0; i < ARRAY_SIZE(r); i++) {
        r[i].vm = vm;
        CHECK(thread_start(&r[i].thread, "racer", 0, race, &r[i]) == 0);
    }
    int won = 0;
    for (size_t i = 0; i < ARRAY_SIZE(r); i++) {
        CHECK(pthread_join(r[i].thread, NULL) == 0);
        won += r[i].won;
    }
    CHECK_INT(won, 200);
    db_lock();
    CHECK_INT(((const struct vm_rec *)db_get(CLASS_VM, &vm))->current_operations.n, 0);
    db_unlock();
    db_close();
}
