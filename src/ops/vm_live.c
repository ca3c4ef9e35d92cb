/* SPDX-License-Identifier: Apache-2.0 */
/* Processors and memory of a VM that runs. The machine changes first, then the record; whatever dies between, the next start
 * asks the machine (hotplug_settle). A guest is asked for memory and gives it at its own pace: memory_target says what it is
 * asked for, VM_metrics.memory_actual what it has. dispatch holds the VM's operation. */
#include <errno.h>
#include <string.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "model/ops_lock.h"
#include "ops/host_ctx.h"
#include "ops/vm.h"

#define VCPUS_US    (30 * US_PER_SEC) /* for the guest to let go */
#define BALLOON_US  (10 * US_PER_SEC)
#define WAIT_US     (256 * US_PER_SEC)
#define NEAR_BYTES  (INT64_C(4) << 20) /* guests give whole pages, and some keep a little */
#define MULTIPLIERS 1.0

/* ---- processors ---------------------------------------------------------------------------------------- */

void vm_records_vcpus(struct tx *tx, const struct ref *ref, unsigned n)
{
    const struct vm_rec *vm = db_get(CLASS_VM, ref);
    if (!vm || n == 0)
        return;
    tx_set_int(tx, ref, CLASS_VM, F_VM_VCPUS_AT_STARTUP, n);
    if (db_get(CLASS_VM_METRICS, &vm->metrics))
        tx_set_int(tx, &vm->metrics, CLASS_VM_METRICS, F_VM_METRICS_VCPUS_NUMBER, n);
}

/* New ones are off until somebody in the guest turns them on; its agent can. Nothing is lost if it does not answer. */
static void turn_on(const char *uuid, unsigned n, const struct deadline *d)
{
    AUTO(buf_done) struct buf text = BUF_INIT(65536);
    AUTO(err_done) struct err why = { 0 };
    struct deadline answer = deadline_sooner(d, 2 * US_PER_SEC);
    char *reply = NULL;
    buf_add_str(&text, "{\"execute\":\"guest-set-vcpus\",\"arguments\":{\"vcpus\":[");
    for (unsigned i = 1; i < n; i++)
        buf_addf(&text, "%s{\"logical-id\":%u,\"online\":true}", i > 1 ? "," : "", i);
    buf_add_str(&text, "]}}");
    IGNORE(host_ctx.machine->agent(uuid, buf_str(&text), &reply, &answer, &why));
    free_str(&reply);
}

int op_vm_set_vcpus_number_live(struct call *call,
                                const struct vm_set_vcpus_number_live_args *a,
                                struct err *err)
{
    struct deadline d = deadline_sooner(&call->deadline, VCPUS_US);
    char uuid[UUID_TEXT_SIZE] = "";
    unsigned now = 0;
    db_lock();
    const struct vm_rec *vm = call_get(CLASS_VM, &a->self, err);
    int64_t max = vm ? vm->VCPUs_max : 0;
    const struct vm_guest_metrics_rec *gm =
        vm ? db_get(CLASS_VM_GUEST_METRICS, &vm->guest_metrics) : NULL;
    bool agent = gm && gm->live;
    if (vm)
        memcpy(uuid, vm->uuid, sizeof(uuid));
    db_unlock();
    if (!vm)
        return -1;
    if (a->nvcpu < 1 || a->nvcpu > max) {
        AUTO(free_str) char *text = str_fmt("%lld", (long long)a->nvcpu);
        (void)err_set(err, ERR_INVALID_VALUE,
                      "VCPU values must satisfy: 0 < VCPUs <= VCPUs_max", text);
        return err_detail(err, "VCPUs_max is %lld", (long long)max);
    }
    int rc = host_ctx.machine->set_vcpus(uuid, (unsigned)a->nvcpu, &now, &d, err);
    (void)FAILPOINT("vm.vcpus.changed");
    if (rc == 0 && agent)
        turn_on(uuid, now, &d);
    AUTO(err_done) struct err second = { 0 };
    struct tx *tx = call_tx(call);
    vm_records_vcpus(tx, &a->self, now); /* also those that came before one was refused */
    if (tx_commit(tx, &second) && rc == 0) {
        err_move(err, &second);
        return -1;
    }
    return rc ? vm_say_ref(err, uuid, &a->self) : 0;
}

/* ---- memory -------------------------------------------------------------------------------------------- */

static int record_range(struct call *call, const struct ref *ref, int64_t min, int64_t max,
                        struct err *err)
{
    struct tx *tx = call_tx(call);
    if (db_get(CLASS_VM, ref)) {
        tx_set_int(tx, ref, CLASS_VM, F_VM_MEMORY_DYNAMIC_MIN, min);
        tx_set_int(tx, ref, CLASS_VM, F_VM_MEMORY_DYNAMIC_MAX, max);
        tx_set_int(tx, ref, CLASS_VM, F_VM_MEMORY_TARGET, max);
    }
    return tx_commit(tx, err);
}

int vm_set_range_live(struct call *call, const struct ref *ref, int64_t min, int64_t max,
                      struct err *err)
{
    struct deadline d = deadline_sooner(&call->deadline, BALLOON_US);
    char uuid[UUID_TEXT_SIZE];
    db_lock();
    const struct vm_rec *vm = call_get(CLASS_VM, ref, err);
    struct vm_rec *want = vm ? record_copy(&schema_classes[CLASS_VM], vm) : NULL;
    db_unlock();
    if (!want)
        return -1;
    memcpy(uuid, want->uuid, sizeof(uuid));
    int64_t more = max - want->memory_target;
    if (min >= 0)
        want->memory_dynamic_min = min;
    want->memory_dynamic_max = max;
    int rc = vm_check_memory_order(want, err);
    if (rc == 0 && more > 0)
        rc = vm_check_memory_more((uint64_t)more, err);
    if (rc == 0 && host_ctx.machine->set_memory(uuid, (uint64_t)max, &d, err))
        rc = vm_say_ref(err, uuid, ref);
    (void)FAILPOINT("vm.memory.changed");
    if (rc == 0)
        rc = record_range(call, ref, want->memory_dynamic_min, max, err);
    record_free(&schema_classes[CLASS_VM], want);
    return rc;
}

int op_vm_set_memory_target_live(struct call *call,
                                 const struct vm_set_memory_target_live_args *a,
                                 struct err *err)
{
    int64_t v = MAX(a->target, 0);
    return vm_set_range_live(call, &a->self, v, v, err);
}

/* Metrics are told of each step that the guest makes. */
int op_vm_wait_memory_target_live(struct call *call,
                                  const struct vm_wait_memory_target_live_args *a,
                                  struct err *err)
{
    struct deadline d = deadline_sooner(&call->deadline, WAIT_US);
    char text[REF_TEXT_SIZE];
    int rc = -1;
    ref_text(&a->self, text);
    db_lock();
    for (;;) {
        uint64_t seen = db_durable();
        const struct vm_rec *vm = call_get(CLASS_VM, &a->self, err);
        const struct vm_metrics_rec *m = vm ? db_get(CLASS_VM_METRICS, &vm->metrics) : NULL;
        struct deadline soon = deadline_sooner(&d, US_PER_SEC); /* a cancel wakes nobody */
        if (!vm)
            break;
        int64_t off = m ? m->memory_actual - vm->memory_target : 0;
        rc = vm->power_state != VM_POWER_STATE_RUNNING
                 ? err_set(err, ERR_VM_BAD_POWER_STATE, text, "running",
                           vm_state_name(vm->power_state))
                 : 0;
        if (rc || (off <= NEAR_BYTES && off >= -NEAR_BYTES))
            break;
        rc = -1;
        if (call_cancelled(call)) {
            ref_text(&call->task, text);
            (void)err_set(err, ERR_TASK_CANCELLED, text);
            break;
        }
        if (deadline_passed(&d)) {
            (void)err_set(err, ERR_OPERATION_NOT_ALLOWED,
                          "the guest did not reach its memory target in time; see whether "
                          "it has a balloon driver");
            break;
        }
        IGNORE(db_wait_newer(seen, &soon, NULL));
    }
    db_unlock();
    return rc;
}

/* ---- recorded as XenServer does ------------------------------------------------------------------------ */

/* Its machines kept a table of their pages there. Ours need none, but tools write the number and read it again. */
static int set_multiplier(struct call *call, const struct ref *ref, double value,
                          struct err *err)
{
    if (!(value >= MULTIPLIERS)) {
        AUTO(free_str) char *text = str_fmt("%g", value);
        return err_set(err, ERR_INVALID_VALUE, "multiplier", text);
    }
    return call_set(call, CLASS_VM, ref, F_VM_HVM_SHADOW_MULTIPLIER, &value, err);
}

int op_vm_set_hvm_shadow_multiplier(struct call *call,
                                    const struct vm_set_hvm_shadow_multiplier_args *a,
                                    struct err *err)
{
    return set_multiplier(call, &a->self, a->value, err);
}

int op_vm_set_shadow_multiplier_live(struct call *call,
                                     const struct vm_set_shadow_multiplier_live_args *a,
                                     struct err *err)
{
    return set_multiplier(call, &a->self, a->multiplier, err);
}
