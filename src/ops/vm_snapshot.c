/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots of VMs: all disks at one moment and the records beside them, and the way back. A snapshot is a VM record (a
 * template, so that nothing can start it) with VBDs to the snapshots of the disks; a VM's `parent` is the snapshot it was
 * last like. Disks are split by snapshot.c, records follow in one change set: a crash leaves the VM with all its data and
 * either the whole snapshot or none. dispatch.c holds the operation of the first argument. */
#include <string.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "model/ops_lock.h"
#include "ops/host_ctx.h"
#include "ops/quiesce.h"
#include "ops/snapshot.h"
#include "ops/vm.h"
#include "ops/vm_memory.h"

#define OFF_TIMEOUT_US (30 * US_PER_SEC)

/* The disks of a VM that take part, each with the VBD it hangs on; and its memory. */
struct parts {
    struct ref memory; /* null: none */
    struct machine_saved saved;
    const struct deadline *until;
    bool split, quiesced;
    struct memory_head head; /* revert */
    struct snapshot_disk disks[VMSPEC_DISKS_MAX];
    struct ref vbds[VMSPEC_DISKS_MAX];
    size_t n;
    size_t held; /* disks whose operation we hold */
};

static bool is_in(const struct set_ref *set, const struct ref *ref)
{
    for (size_t i = 0; set && i < set->n; i++)
        if (ref_eq(&set->v[i], ref))
            return true;
    return false;
}

/* One disk may hang on two VBDs. */
static bool is_known(const struct parts *p, const struct ref *vdi)
{
    for (size_t i = 0; i < p->n; i++)
        if (ref_eq(&p->disks[i].vdi, vdi))
            return true;
    return false;
}

static void collect(const struct vm_rec *vm, const struct set_ref *ignore, struct parts *p)
    REQUIRES(db_mutex)
{
    for (size_t i = 0; i < vm->VBDs.n && p->n < VMSPEC_DISKS_MAX; i++) {
        const struct vbd_rec *vbd = db_get(CLASS_VBD, &vm->VBDs.v[i]);
        if (vbd->type != VBD_TYPE_DISK || ref_is_null(&vbd->VDI) || is_in(ignore, &vbd->VDI)
            || is_known(p, &vbd->VDI))
            continue;
        p->vbds[p->n] = vm->VBDs.v[i];
        p->disks[p->n++] = (struct snapshot_disk){ .kind = SNAPSHOT_TAKE, .vdi = vbd->VDI };
    }
}

/* A disk that begins again must be nobody's: no machine's, and of no other operation. */
static int hold_own(const struct call *call, const struct snapshot_disk *d, struct err *err)
{
    char text[REF_TEXT_SIZE];
    if (op_begin_forced(CLASS_VDI, &d->of, "blocked", &call->task, err))
        return -1;
    db_lock();
    const struct vdi_rec *of = db_get(CLASS_VDI, &d->of);
    bool attached = of && vm_disk_attached(of);
    db_unlock();
    if (!attached)
        return 0;
    op_end(CLASS_VDI, &d->of, &call->task);
    ref_text(&d->of, text);
    return err_set(err, ERR_VDI_IN_USE, text, "revert");
}

static int hold_disks(const struct call *call, struct parts *p, const char *op,
                      struct err *err)
{
    for (; p->held < p->n; p->held++) {
        const struct snapshot_disk *d = &p->disks[p->held];
        if (d->kind == SNAPSHOT_BACK && hold_own(call, d, err))
            return -1;
        if (op_begin(CLASS_VDI, &d->vdi, op, &call->task, err) == 0)
            continue;
        if (d->kind == SNAPSHOT_BACK)
            op_end(CLASS_VDI, &d->of, &call->task);
        return -1;
    }
    return 0;
}

static void let_go(const struct call *call, struct parts *p)
{
    while (p->held > 0) {
        const struct snapshot_disk *d = &p->disks[--p->held];
        op_end(CLASS_VDI, &d->vdi, &call->task);
        if (d->kind == SNAPSHOT_BACK)
            op_end(CLASS_VDI, &d->of, &call->task);
    }
}

/* ---- VM.snapshot ------------------------------------------------------------------------------------ */

static struct ref copy_metrics(struct tx *tx, const struct ref *ref) REQUIRES(db_mutex)
{
    const struct vm_metrics_rec *m = db_get(CLASS_VM_METRICS, ref);
    return m ? tx_create(tx, CLASS_VM_METRICS, call_copy_fresh(CLASS_VM_METRICS, m), NULL)
             : REF_NULL;
}

static void put_info(struct vm_rec *snap, const char *key, const char *val)
{
    (void)map_put(schema_classes[CLASS_VM].fields[F_VM_SNAPSHOT_INFO].ty,
                  &snap->snapshot_info, &key, &val);
}

static struct ref record_vm(struct tx *tx, const struct ref *ref, const struct vm_rec *vm,
                            const char *name, const struct parts *p) REQUIRES(db_mutex)
{
    struct vm_rec *snap = call_copy_fresh(CLASS_VM, vm);
    const struct enum_def *states =
        schema_classes[CLASS_VM].fields[F_VM_POWER_STATE].ty->enm;
    str_put(&snap->name_label, name);
    put_info(snap, "power-state-at-snapshot", states->values[vm->power_state]);
    put_info(snap, "disk-snapshot-type", p->quiesced ? "quiesced" : "crash_consistent");
    snap->power_state = ref_is_null(&p->memory) ? VM_POWER_STATE_HALTED
                                                : VM_POWER_STATE_SUSPENDED;
    snap->is_a_template = true;
    snap->is_default_template = false;
    snap->is_a_snapshot = true;
    snap->snapshot_of = *ref;
    snap->snapshot_time = clock_wall_us();
    snap->snapshot_schedule = REF_NULL;
    snap->resident_on = REF_NULL;
    snap->scheduled_to_be_resident_on = REF_NULL;
    snap->suspend_VDI = p->memory;
    snap->guest_metrics = REF_NULL;
    snap->domid = -1;
    value_done(schema_classes[CLASS_VM].fields[F_VM_BLOBS].ty, &snap->blobs);
    snap->metrics = copy_metrics(tx, &vm->metrics);
    return tx_create(tx, CLASS_VM, snap, NULL); /* its parent is the VM's */
}

static const struct ref *made_of(const struct parts *p, const struct ref *vdi)
{
    for (size_t i = 0; i < p->n; i++)
        if (ref_eq(&p->disks[i].vdi, vdi))
            return &p->disks[i].made;
    return NULL;
}

static void copy_devices(struct tx *tx, const struct vm_rec *vm, const struct ref *snap,
                         const struct parts *p) REQUIRES(db_mutex)
{
    for (size_t i = 0; i < vm->VBDs.n; i++) {
        const struct vbd_rec *old = db_get(CLASS_VBD, &vm->VBDs.v[i]);
        const struct ref *made = made_of(p, &old->VDI);
        bool disk = old->type == VBD_TYPE_DISK && !ref_is_null(&old->VDI);
        if (disk && !made)
            continue;
        struct vbd_rec *vbd = call_copy_fresh(CLASS_VBD, old);
        vbd->VM = *snap;
        vbd->VDI = disk ? *made : old->VDI;
        vbd->currently_attached = false;
        struct ref ref = tx_create(tx, CLASS_VBD, vbd, NULL);
        op_refresh(tx, CLASS_VBD, &ref);
    }
    for (size_t i = 0; i < vm->VIFs.n; i++) {
        struct vif_rec *vif = call_copy_fresh(CLASS_VIF, db_get(CLASS_VIF, &vm->VIFs.v[i]));
        vif->VM = *snap;
        vif->currently_attached = false;
        struct ref ref = tx_create(tx, CLASS_VIF, vif, NULL);
        op_refresh(tx, CLASS_VIF, &ref);
    }
}

/* A guest that wrote faster than its memory could be stored was slowed down: whoever waits for the task learns it. */
static void tell_slowed(struct tx *tx, const struct call *call, const struct ref *snap,
                        const struct machine_saved *saved) REQUIRES(db_mutex)
{
    AUTO(free_str) char *percent = str_fmt("%u", saved->slowed_percent);
    if (!saved->slowed_percent && !saved->hurried)
        return;
    tx_map_put_str(tx, snap, CLASS_VM, F_VM_SNAPSHOT_INFO, "guest-slowed-percent", percent);
    if (saved->hurried)
        tx_map_put_str(tx, snap, CLASS_VM, F_VM_SNAPSHOT_INFO, "guest-stopped-early",
                       "true");
    if (call->async && db_get(CLASS_TASK, &call->task))
        tx_map_put_str(tx, &call->task, CLASS_TASK, F_TASK_OTHER_CONFIG,
                       "guest-slowed-percent", percent);
}

static int record_snapshot(struct call *call, const struct ref *ref, const char *name,
                           struct parts *p, struct ref *result, struct err *err)
{
    struct tx *tx = call_tx(call);
    const struct vm_rec *vm = call_get(CLASS_VM, ref, err);
    if (!vm || snapshot_record(tx, p->disks, p->n, err)) {
        tx_abort(tx);
        return -1;
    }
    struct ref snap = record_vm(tx, ref, vm, name, p);
    copy_devices(tx, vm, &snap, p);
    tell_slowed(tx, call, &snap, &p->saved);
    if (!ref_is_null(&p->memory))
        op_refresh(tx, CLASS_VDI, &p->memory);
    tx_set_ref(tx, ref, CLASS_VM, F_VM_PARENT, &snap);
    op_refresh(tx, CLASS_VM, &snap);
    if (tx_commit(tx, err))
        return -1;
    *result = snap;
    return 0;
}

static int split_and_record(struct call *call, const struct ref *vm, const char *name,
                            const char *rests, struct parts *p, struct ref *result,
                            struct err *err)
{
    int rc = snapshot_split(p->disks, p->n, &call->deadline, err);
    if (rests[0])
        quiesce_thaw(rests); /* the disks are as they were, and others are written now */
    if (rc)
        return -1;
    (void)FAILPOINT("vm.snapshot.disks");
    rc = record_snapshot(call, vm, name, p, result, err);
    (void)FAILPOINT("vm.snapshot.recorded");
    snapshot_end(p->disks, p->n, rc == 0);
    return rc;
}

static int take(struct call *call, const struct ref *vm_ref, const char *name,
                const struct set_ref *ignore, bool quiesce, struct ref *result,
                struct err *err)
{
    AUTO(free_ptr) struct parts *p = mem_alloc(sizeof(*p));
    char rests[UUID_TEXT_SIZE] = "";
    db_lock();
    const struct vm_rec *vm = call_get(CLASS_VM, vm_ref, err);
    if (vm)
        collect(vm, ignore, p);
    if (vm && quiesce)
        memcpy(rests, vm->uuid, sizeof(rests));
    db_unlock();
    if (!vm)
        return -1;
    int rc = hold_disks(call, p, "snapshot", err);
    p->quiesced = quiesce;
    if (rc == 0 && quiesce)
        rc = quiesce_freeze(vm_ref, rests, &call->deadline, err);
    if (rc == 0)
        rc = split_and_record(call, vm_ref, name, rests, p, result, err);
    let_go(call, p);
    return rc;
}

int op_vm_snapshot(struct call *call, const struct vm_snapshot_args *a, struct ref *result,
                   struct err *err)
{
    return take(call, &a->vm, a->new_name, &a->ignore_vdis, false, result, err);
}

int op_vm_snapshot_with_quiesce(struct call *call,
                                const struct vm_snapshot_with_quiesce_args *a,
                                struct ref *result, struct err *err)
{
    return take(call, &a->vm, a->new_name, NULL, true, result, err);
}

/* ---- VM.checkpoint -------------------------------------------------------------------------------------- */

/* The machine stands still. */
static int split_disks(void *arg, struct err *err)
{
    struct parts *p = arg;
    if (snapshot_split(p->disks, p->n, p->until, err))
        return -1;
    p->split = true;
    return 0;
}

static int checkpoint_failed(const struct ref *vm, struct err *err)
{
    char text[REF_TEXT_SIZE];
    if (!str_eq(err->code, ERR_VM_NON_SUSPENDABLE))
        return -1;
    AUTO(free_str) char *why = err_text(err);
    ref_text(vm, text);
    err_done(err);
    (void)err_set(err, ERR_VM_CHECKPOINT_SUSPEND_FAILED, text);
    return err_detail(err, "%s", why);
}

int op_vm_checkpoint(struct call *call, const struct vm_checkpoint_args *a,
                     struct ref *result, struct err *err)
{
    AUTO(free_ptr) struct parts *p = mem_alloc(sizeof(*p));
    struct vm_memory memory;
    db_lock();
    const struct vm_rec *vm = call_get(CLASS_VM, &a->vm, err);
    if (vm)
        collect(vm, NULL, p);
    db_unlock();
    if (!vm)
        return -1;
    p->until = &call->deadline;
    int rc = hold_disks(call, p, "snapshot", err);
    if (rc == 0 && vm_memory_save(call, &a->vm, true, split_disks, p, &memory, err)) {
        if (p->split)
            snapshot_end(p->disks, p->n, false);
        rc = checkpoint_failed(&a->vm, err);
    } else if (rc == 0) {
        p->memory = memory.vdi;
        p->saved = memory.saved;
        (void)FAILPOINT("vm.checkpoint.saved");
        rc = record_snapshot(call, &a->vm, a->new_name, p, result, err);
        (void)FAILPOINT("vm.checkpoint.recorded");
        snapshot_end(p->disks, p->n, rc == 0);
        if (rc == 0)
            storage_owned(&memory.vdi, 1);
        else
            vm_memory_undo(call, &memory);
    }
    let_go(call, p);
    return rc;
}

/* ---- VM.revert -------------------------------------------------------------------------------------- */

/* What the VM takes back; the rest is about the record itself, its name and its run state. */
static const unsigned reverted[] = {
    F_VM_NAME_DESCRIPTION,
    F_VM_USER_VERSION,
    F_VM_AFFINITY,
    F_VM_MEMORY_STATIC_MIN,
    F_VM_MEMORY_STATIC_MAX,
    F_VM_MEMORY_DYNAMIC_MIN,
    F_VM_MEMORY_DYNAMIC_MAX,
    F_VM_VCPUS_PARAMS,
    F_VM_VCPUS_MAX,
    F_VM_VCPUS_AT_STARTUP,
    F_VM_ACTIONS_AFTER_SHUTDOWN,
    F_VM_ACTIONS_AFTER_REBOOT,
    F_VM_ACTIONS_AFTER_CRASH,
    F_VM_PV_BOOTLOADER,
    F_VM_PV_KERNEL,
    F_VM_PV_RAMDISK,
    F_VM_PV_ARGS,
    F_VM_PV_BOOTLOADER_ARGS,
    F_VM_PV_LEGACY_ARGS,
    F_VM_HVM_BOOT_POLICY,
    F_VM_HVM_BOOT_PARAMS,
    F_VM_PLATFORM,
    F_VM_OTHER_CONFIG,
    F_VM_XENSTORE_DATA,
    F_VM_RECOMMENDATIONS,
    F_VM_HARDWARE_PLATFORM_VERSION,
    F_VM_DOMAIN_TYPE,
    F_VM_NVRAM,
};

static int revert_failed(const struct ref *vm, const struct ref *snapshot, const char *why,
                         struct err *err)
{
    char vm_text[REF_TEXT_SIZE], text[REF_TEXT_SIZE];
    ref_text(vm, vm_text);
    ref_text(snapshot, text);
    (void)err_set(err, ERR_VM_REVERT_FAILED, vm_text, text);
    return err_detail(err, "%s", why);
}

/* The disks of the snapshot: those whose own disk is still there go back in place, others become new disks. */
static void plan_back(const struct vm_rec *snap, struct parts *p) REQUIRES(db_mutex)
{
    collect(snap, NULL, p);
    for (size_t i = 0; i < p->n; i++) {
        struct snapshot_disk *d = &p->disks[i];
        const struct vdi_rec *vdi = db_get(CLASS_VDI, &d->vdi);
        const struct vdi_rec *of = db_get(CLASS_VDI, &vdi->snapshot_of);
        d->kind = of && ref_eq(&of->SR, &vdi->SR) ? SNAPSHOT_BACK : SNAPSHOT_CLONE;
        d->of = vdi->snapshot_of;
    }
}

/* Was the device in the machine whose memory comes back? */
static bool had(const struct parts *p, bool is_nic, const char *at)
{
    unsigned slot;
    return !ref_is_null(&p->memory) && vm_device_position(at, &slot)
           && memory_head_device(&p->head, is_nic, slot);
}

/* The VM's devices become those of the snapshot, on its own disks. A disk added since stays, attached to nothing. */
static void take_devices(struct tx *tx, const struct ref *ref, const struct vm_rec *snap,
                         const struct parts *p) REQUIRES(db_mutex)
{
    const struct vm_rec *vm = db_get(CLASS_VM, ref);
    while (vm->VBDs.n) {
        struct ref vbd = vm->VBDs.v[0];
        struct ref vdi = ((const struct vbd_rec *)db_get(CLASS_VBD, &vbd))->VDI;
        tx_destroy(tx, &vbd);
        if (!ref_is_null(&vdi))
            op_refresh(tx, CLASS_VDI, &vdi);
    }
    while (vm->VIFs.n) {
        struct ref vif = vm->VIFs.v[0];
        tx_destroy(tx, &vif);
    }
    for (size_t i = 0; i < snap->VBDs.n; i++) {
        struct vbd_rec *vbd = call_copy_fresh(CLASS_VBD,
                                              db_get(CLASS_VBD, &snap->VBDs.v[i]));
        for (size_t k = 0; k < p->n; k++)
            if (ref_eq(&p->disks[k].vdi, &vbd->VDI))
                vbd->VDI = p->disks[k].kind == SNAPSHOT_BACK ? p->disks[k].of
                                                             : p->disks[k].made;
        vbd->VM = *ref;
        vbd->currently_attached = had(p, false, vbd->userdevice);
        struct ref made = tx_create(tx, CLASS_VBD, vbd, NULL);
        op_refresh(tx, CLASS_VBD, &made);
    }
    for (size_t i = 0; i < snap->VIFs.n; i++) {
        struct vif_rec *vif = call_copy_fresh(CLASS_VIF,
                                              db_get(CLASS_VIF, &snap->VIFs.v[i]));
        vif->VM = *ref;
        vif->currently_attached = had(p, true, vif->device);
        struct ref made = tx_create(tx, CLASS_VIF, vif, NULL);
        op_refresh(tx, CLASS_VIF, &made);
    }
}

static int record_back(struct call *call, const struct ref *vm, const struct ref *snapshot,
                       struct parts *p, struct err *err)
{
    const struct class_def *c = &schema_classes[CLASS_VM];
    struct tx *tx = call_tx(call);
    const struct vm_rec *snap = call_get(CLASS_VM, snapshot, err);
    if (!snap || !call_get(CLASS_VM, vm, err) || snapshot_record(tx, p->disks, p->n, err)) {
        tx_abort(tx);
        return -1;
    }
    for (size_t i = 0; i < ARRAY_SIZE(reverted); i++) {
        struct vm_rec *copy = record_copy(c, snap);
        tx_set(tx, vm, CLASS_VM, reverted[i], record_field(&c->fields[reverted[i]], copy));
        record_free(c, copy);
    }
    take_devices(tx, vm, db_get(CLASS_VM, snapshot), p);
    if (!ref_is_null(&p->memory)) {
        snap = db_get(CLASS_VM, snapshot);
        tx_set_str(tx, vm, CLASS_VM, F_VM_LAST_BOOTED_RECORD, snap->last_booted_record);
        tx_set_ref(tx, vm, CLASS_VM, F_VM_SUSPEND_VDI, &p->memory);
        vm_records_suspended(tx, vm);
        op_refresh(tx, CLASS_VDI, &p->memory);
    }
    tx_set_ref(tx, vm, CLASS_VM, F_VM_PARENT, snapshot);
    op_refresh(tx, CLASS_VM, vm);
    return tx_commit(tx, err);
}

/* A checkpoint keeps its memory; the VM gets a disk that shares it. */
static int take_memory(struct call *call, const struct ref *vdi, struct parts *p,
                       struct err *err)
{
    if (ref_is_null(vdi))
        return 0;
    if (vm_memory_head(vdi, &p->head, err)
        || op_begin(CLASS_VDI, vdi, "clone", &call->task, err))
        return -1;
    int rc = snapshot_clone(call, vdi, true, 0, 0.5, &p->memory, err);
    (void)FAILPOINT("vm.revert.memory");
    op_end(CLASS_VDI, vdi, &call->task);
    return rc;
}

static void end_memory(struct call *call, const struct parts *p, bool committed)
{
    AUTO(err_done) struct err why = { 0 };
    if (ref_is_null(&p->memory))
        return;
    if (committed)
        storage_owned(&p->memory, 1);
    else
        IGNORE(storage_destroy_vdi(call, &p->memory, &why));
}

static int revert_disks(struct call *call, const struct ref *vm, const struct ref *snapshot,
                        struct err *err)
{
    AUTO(free_ptr) struct parts *p = mem_alloc(sizeof(*p));
    db_lock();
    const struct vm_rec *snap = call_get(CLASS_VM, snapshot, err);
    struct ref memory = snap ? snap->suspend_VDI : REF_NULL;
    if (snap)
        plan_back(snap, p);
    db_unlock();
    int rc = snap ? hold_disks(call, p, "clone", err) : -1;
    if (rc == 0)
        rc = take_memory(call, &memory, p, err);
    if (rc == 0)
        rc = snapshot_split(p->disks, p->n, &call->deadline, err);
    if (rc == 0) {
        (void)FAILPOINT("vm.revert.disks");
        rc = record_back(call, vm, snapshot, p, err);
        (void)FAILPOINT("vm.revert.recorded");
        snapshot_end(p->disks, p->n, rc == 0);
    }
    end_memory(call, p, rc == 0);
    let_go(call, p);
    return rc;
}

int op_vm_revert(struct call *call, const struct vm_revert_args *a, struct err *err)
{
    struct deadline d = deadline_in(OFF_TIMEOUT_US);
    db_lock();
    const struct vm_rec *snap = call_get(CLASS_VM, &a->snapshot, err);
    struct ref vm = snap ? snap->snapshot_of : REF_NULL;
    const struct vm_rec *rec = db_get(CLASS_VM, &vm);
    bool off = rec && rec->power_state == VM_POWER_STATE_HALTED;
    db_unlock();
    if (!snap)
        return -1;
    if (!rec)
        return revert_failed(&vm, &a->snapshot,
                             "its VM is gone; clone the snapshot instead", err);
    if (op_begin_forced(CLASS_VM, &vm, "reverting", &call->task, err))
        return -1;
    int rc = off ? 0 : vm_teardown(&vm, "VM.revert", MESSAGE_VM_SHUTDOWN_FORCED, &d, err);
    (void)FAILPOINT("vm.revert.off");
    if (rc == 0)
        rc = revert_disks(call, &vm, &a->snapshot, err);
    op_end(CLASS_VM, &vm, &call->task);
    return rc;
}
