/* SPDX-License-Identifier: Apache-2.0 */
/* VMs as objects: create, destroy, clone, copy, provision, and the fields that have rules. */
#include "ops/vm.h"
#include "ops/vm_memory.h"

#include <string.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/ops_lock.h"
#include "ops/hooks.h"
#include "ops/host_ctx.h"
#include "ops/ops.h"
#include "ops/provision.h"
#include "ops/recycle.h"
#include "ops/snapshot.h"

#define MEMORY_MIN_BYTES (16LL << 20)

int vm_check_memory_order(const struct vm_rec *vm, struct err *err)
{
    if (vm->memory_static_min < 0 || vm->memory_static_min > vm->memory_dynamic_min
        || vm->memory_dynamic_min > vm->memory_dynamic_max
        || vm->memory_dynamic_max > vm->memory_static_max
        || vm->memory_static_max < MEMORY_MIN_BYTES) {
        (void)err_set(err, ERR_MEMORY_CONSTRAINT_VIOLATION_ORDER);
        return err_detail(err, "memory must satisfy 0 <= static_min <= dynamic_min <= "
                               "dynamic_max <= static_max, "
                               "and static_max be at least 16 MiB");
    }
    return 0;
}

static int check_vcpus(int64_t startup, int64_t max, struct err *err)
{
    bool many = startup >= 1 && (max < 1 || max > VMSPEC_VCPUS_MAX);
    if (startup >= 1 && !many && startup <= max)
        return 0;
    AUTO(free_str) char *text = str_fmt("%lld", (long long)(many ? max : startup));
    (void)err_set(err, ERR_INVALID_VALUE, many ? "VCPUs_max" : "VCPUs_at_startup", text);
    return err_detail(err,
                      "VCPUs_at_startup must be 1 to VCPUs_max, and VCPUs_max at most %d",
                      VMSPEC_VCPUS_MAX);
}

static struct ref make_metrics(struct tx *tx) REQUIRES(db_mutex)
{
    struct vm_metrics_rec *m = record_new(&schema_classes[CLASS_VM_METRICS]);
    m->install_time = clock_wall_us();
    m->last_updated = clock_wall_us();
    return tx_create(tx, CLASS_VM_METRICS, m, NULL);
}

static void put_platform_default(struct vm_rec *vm, const char *key, const char *val)
{
    const struct ty *ty = schema_classes[CLASS_VM].fields[F_VM_PLATFORM].ty;
    if (map_find(ty, &vm->platform, &key) == SIZE_MAX)
        (void)map_put(ty, &vm->platform, &key, &val);
}

static void put_other_config(struct vm_rec *vm, const char *key, const char *val)
{
    (void)map_put(schema_classes[CLASS_VM].fields[F_VM_OTHER_CONFIG].ty, &vm->other_config,
                  &key, &val);
}

/* Fields that a new VM never takes from the caller. */
static void reset_run_state(struct vm_rec *vm)
{
    vm->power_state = VM_POWER_STATE_HALTED;
    vm->resident_on = REF_NULL;
    vm->scheduled_to_be_resident_on = REF_NULL;
    vm->suspend_VDI = REF_NULL;
    vm->metrics = REF_NULL;
    vm->guest_metrics = REF_NULL;
    vm->domid = -1;
    str_put(&vm->last_booted_record,
            ""); /* machines are built from it: it is never a client's */
    vm->is_a_snapshot = vm->is_vmss_snapshot = false;
    vm->snapshot_schedule = REF_NULL;
    vm->snapshot_of = REF_NULL;
    vm->parent = REF_NULL;
    vm->snapshot_time = 0;
    vm->is_control_domain = false;
    vm->is_default_template = false;
    value_done(schema_classes[CLASS_VM].fields[F_VM_BLOBS].ty, &vm->blobs);
    /* clients look for it in every VM, and write it back where it is missing */
    put_platform_default(vm, "cores-per-socket", "1");
}

int vm_prepare_new(struct vm_rec *vm, struct err *err)
{
    if (vm_check_memory_order(vm, err)
        || check_vcpus(vm->VCPUs_at_startup, vm->VCPUs_max, err))
        return -1;
    reset_run_state(vm);
    if (vm->domain_type == DOMAIN_TYPE_UNSPECIFIED)
        vm->domain_type = DOMAIN_TYPE_HVM;
    return 0;
}

int vm_create(struct call *call, void *record, struct ref *result, struct err *err)
{
    struct vm_rec *vm = record;
    if (vm_prepare_new(vm, err)) {
        record_free(&schema_classes[CLASS_VM], vm);
        return -1;
    }
    str_put(&vm->uuid, "");
    struct tx *tx = call_tx(call);
    vm->metrics = make_metrics(tx);
    *result = tx_create(tx, CLASS_VM, vm, NULL);
    op_refresh(tx, CLASS_VM, result);
    return tx_commit(tx, err);
}

static int destroy_records(struct call *call, const struct ref *self, struct err *err)
{
    char text[REF_TEXT_SIZE];
    ref_text(self, text);
    struct serai_recycled_rec *keep = recycle_vm(call, self);
    struct tx *tx = call_tx(call);
    const struct vm_rec *vm = db_get(CLASS_VM, self);
    if (vm && keep)
        (void)tx_create(tx, CLASS_SERAI_RECYCLED, TAKE(keep), NULL);
    record_free(&schema_classes[CLASS_SERAI_RECYCLED], keep);
    if (vm && vm->is_default_template) {
        tx_abort(tx);
        return err_set(err, ERR_VM_CANNOT_DELETE_DEFAULT_TEMPLATE, text);
    }
    while (vm && vm->VBDs.n) {
        struct ref vbd = vm->VBDs.v[0],
                   vdi = ((const struct vbd_rec *)db_get(CLASS_VBD, &vbd))->VDI;
        tx_destroy(tx, &vbd);
        if (!ref_is_null(&vdi))
            op_refresh(tx, CLASS_VDI, &vdi);
    }
    while (vm && vm->VIFs.n) {
        struct ref vif = vm->VIFs.v[0];
        tx_destroy(tx, &vif);
    }
    while (vm && vm->consoles.n) {
        struct ref console = vm->consoles.v[0];
        tx_destroy(tx, &console);
    }
    char tpm[UUID_TEXT_SIZE] = "";
    if (vm && vm->VTPMs.n) {
        struct ref vtpm = vm->VTPMs.v[0];
        memcpy(tpm, ((const struct vtpm_rec *)db_get(CLASS_VTPM, &vtpm))->uuid,
               sizeof(tpm));
        tx_destroy(tx, &vtpm);
    }
    while (vm && vm->blobs.n) {
        struct ref blob = vm->blobs.v[0].val;
        tx_map_remove(tx, self, CLASS_VM, F_VM_BLOBS, vm->blobs.v[0].key);
        if (db_get(CLASS_BLOB, &blob))
            tx_destroy(tx, &blob); /* its file goes at the next start */
    }
    while (vm && vm->children.n) { /* the tree of snapshots closes over it */
        struct ref child = vm->children.v[0], parent = vm->parent;
        tx_set_ref(tx, &child, CLASS_VM, F_VM_PARENT, &parent);
    }
    if (vm) {
        struct ref metrics = vm->metrics;
        tx_destroy(tx, self);
        if (!ref_is_null(&metrics))
            tx_destroy(tx, &metrics);
    }
    if (tx_commit(tx, err))
        return -1;
    if (tpm[0])
        vtpm_forget(tpm);
    return 0;
}

/* The memory of a checkpoint goes with it. */
int vm_destroy(struct call *call, const struct ref *self, struct err *err)
{
    struct ref memory;
    if (vm_memory_disown(self, &memory, err))
        return -1;
    (void)FAILPOINT("vm.destroy.disowned");
    int rc = destroy_records(call, self, err);
    (void)FAILPOINT("vm.destroy.recorded");
    vm_memory_disowned(call, &memory, rc == 0);
    return rc;
}

/* ---- clone and copy -------------------------------------------------------------------------------- */

/* What a clone takes over, copied at one moment. */
struct clone_src {
    struct vm_rec *vm;
    struct vbd_rec *vbds[VMSPEC_DISKS_MAX];
    struct ref new_vdis[VMSPEC_DISKS_MAX]; /* made by us; destroyed when it fails */
    size_t n_vbds;
    struct vif_rec *vifs[VMSPEC_NICS_MAX];
    size_t n_vifs;
    struct vtpm_rec *tpm; /* with a state of its own; NULL: none */
};

static void clone_src_done(struct clone_src *s)
{
    record_free(&schema_classes[CLASS_VM], s->vm);
    for (size_t i = 0; i < s->n_vbds; i++)
        record_free(&schema_classes[CLASS_VBD], s->vbds[i]);
    for (size_t i = 0; i < s->n_vifs; i++)
        record_free(&schema_classes[CLASS_VIF], s->vifs[i]);
    record_free(&schema_classes[CLASS_VTPM], s->tpm);
    *s = (struct clone_src){ 0 };
}

static int clone_read(const struct ref *ref, struct clone_src *s, struct err *err)
{
    db_lock();
    const struct vm_rec *vm = call_get(CLASS_VM, ref, err);
    if (vm) {
        s->vm = call_copy_fresh(CLASS_VM, vm);
        for (size_t i = 0; i < vm->VBDs.n && i < VMSPEC_DISKS_MAX; i++)
            s->vbds[s->n_vbds++] = call_copy_fresh(CLASS_VBD,
                                                   db_get(CLASS_VBD, &vm->VBDs.v[i]));
        for (size_t i = 0; i < vm->VIFs.n && i < VMSPEC_NICS_MAX; i++)
            s->vifs[s->n_vifs++] = call_copy_fresh(CLASS_VIF,
                                                   db_get(CLASS_VIF, &vm->VIFs.v[i]));
    }
    db_unlock();
    return vm ? 0 : -1;
}

/* A clone or full copy of each writable disk; CDs and empty drives are shared. sr null: each in its own SR. */
static int clone_disks(struct call *call, struct clone_src *s, bool full,
                       const struct ref *sr, struct err *err)
{
    size_t disks = 0, done = 0;
    for (size_t i = 0; i < s->n_vbds; i++)
        disks += s->vbds[i]->type == VBD_TYPE_DISK && !ref_is_null(&s->vbds[i]->VDI);
    for (size_t i = 0; i < s->n_vbds; i++) {
        struct vbd_rec *vbd = s->vbds[i];
        if (vbd->type != VBD_TYPE_DISK || ref_is_null(&vbd->VDI))
            continue;
        db_lock();
        const struct vdi_rec *vdi = call_get(CLASS_VDI, &vbd->VDI, err);
        struct ref to = !vdi ? REF_NULL : ref_is_null(sr) ? vdi->SR : *sr;
        db_unlock();
        if (!vdi || op_begin(CLASS_VDI, &vbd->VDI, "clone", &call->task, err))
            return -1;
        double from_fraction = (double)done / (double)disks;
        double to_fraction = (double)(done + 1) / (double)disks;
        int rc = full ? storage_copy_vdi(call, &vbd->VDI, &to, STORAGE_FOR_VM,
                                         from_fraction, to_fraction, &s->new_vdis[i], err)
                      : snapshot_clone(call, &vbd->VDI, true, from_fraction, to_fraction,
                                       &s->new_vdis[i], err);
        op_end(CLASS_VDI, &vbd->VDI, &call->task);
        if (rc)
            return -1;
        done++;
        vbd->VDI = s->new_vdis[i];
    }
    return 0;
}

static void clone_undo(struct call *call, struct clone_src *s)
{
    for (size_t i = 0; i < s->n_vbds; i++) {
        AUTO(err_done) struct err second = { 0 };
        if (!ref_is_null(&s->new_vdis[i])
            && storage_destroy_vdi(call, &s->new_vdis[i], &second)) {
            AUTO(free_str) char *text = err_text(&second);
            log_warn("a disk of an unfinished clone stays: %s", text);
        }
    }
}

/* The records of the new VM. Takes the copies in s. */
static int clone_records(struct call *call, struct clone_src *s, const char *name,
                         struct ref *result, struct err *err)
{
    struct vm_rec *vm = TAKE(s->vm);
    char mac_seed[UUID_TEXT_SIZE];
    struct uuid seed = uuid_new();
    uuid_text(&seed, mac_seed);
    reset_run_state(vm);
    str_put(&vm->name_label, name);
    put_other_config(vm, "mac_seed", mac_seed);
    const char *mark =
        "default_template"; /* what is made of a standard template is not one */
    (void)map_remove(schema_classes[CLASS_VM].fields[F_VM_OTHER_CONFIG].ty,
                     &vm->other_config, &mark);
    struct tx *tx = call_tx(call);
    vm->metrics = make_metrics(tx);
    struct ref ref = tx_create(tx, CLASS_VM, vm, NULL);
    for (size_t i = 0; i < s->n_vbds; i++) {
        struct vbd_rec *vbd = TAKE(s->vbds[i]);
        vbd->VM = ref;
        vbd->currently_attached = false;
        struct ref vbd_ref = tx_create(tx, CLASS_VBD, vbd, NULL);
        op_refresh(tx, CLASS_VBD, &vbd_ref);
    }
    for (size_t i = 0; i < s->n_vifs; i++) {
        struct vif_rec *vif = TAKE(s->vifs[i]);
        char mac[18];
        vif_random_mac(mac);
        str_put(&vif->MAC, mac);
        vif->MAC_autogenerated = true;
        vif->VM = ref;
        vif->currently_attached = false;
        struct ref vif_ref = tx_create(tx, CLASS_VIF, vif, NULL);
        op_refresh(tx, CLASS_VIF, &vif_ref);
    }
    if (s->tpm) {
        struct vtpm_rec *tpm = TAKE(s->tpm);
        tpm->VM = ref;
        (void)tx_create(tx, CLASS_VTPM, tpm, NULL);
    }
    op_refresh(tx, CLASS_VM, &ref);
    if (tx_commit(tx, err))
        return -1;
    *result = ref;
    return 0;
}

/* A TPM's state that no record came to name goes with the next start of the daemon. */
static int clone_tpm(const struct ref *vm, struct clone_src *s, struct err *err)
{
    AUTO(err_done) struct err why = { 0 };
    s->tpm = vtpm_copy(vm, &why);
    if (s->tpm || !why.code)
        return 0;
    err_move(err, &why);
    return -1;
}

static int clone_vm(struct call *call, const struct ref *vm, const char *name, bool full,
                    const struct ref *sr, struct ref *result, struct err *err)
{
    AUTO(clone_src_done) struct clone_src s = { 0 };
    if (clone_read(vm, &s, err))
        return -1;
    if (clone_disks(call, &s, full, sr, err) || clone_tpm(vm, &s, err))
        goto undo;
    (void)FAILPOINT("vm.clone.disks");
    if (clone_records(call, &s, name, result, err))
        goto undo;
    (void)FAILPOINT("vm.clone.recorded");
    storage_owned(s.new_vdis, s.n_vbds);
    return 0;
undo:
    clone_undo(call, &s);
    return -1;
}

int op_vm_clone(struct call *call, const struct vm_clone_args *a, struct ref *result,
                struct err *err)
{
    struct ref same = REF_NULL;
    return clone_vm(call, &a->vm, a->new_name, false, &same, result, err);
}

int op_vm_copy(struct call *call, const struct vm_copy_args *a, struct ref *result,
               struct err *err)
{
    return clone_vm(call, &a->vm, a->new_name, true, &a->sr, result, err);
}

/* A template becomes a VM, with the disks named in other_config:disks. */
int op_vm_provision(struct call *call, const struct vm_provision_args *a, struct err *err)
{
    return provision_vm(call, &a->vm, err) || vtpm_provision(call, &a->vm, err) ? -1 : 0;
}

/* ---- fields with rules ------------------------------------------------------------------------------ */

/* Change memory fields of a halted VM together; a negative value keeps the old one. */
static int set_memory(struct call *call, const struct ref *ref, int64_t static_min,
                      int64_t static_max, int64_t dynamic_min, int64_t dynamic_max,
                      struct err *err)
{
    struct tx *tx = call_tx(call);
    const struct vm_rec *vm = call_get(CLASS_VM, ref, err);
    if (!vm) {
        tx_abort(tx);
        return -1;
    }
    struct vm_rec want = {
        .memory_static_min = static_min >= 0 ? static_min : vm->memory_static_min,
        .memory_static_max = static_max >= 0 ? static_max : vm->memory_static_max,
        .memory_dynamic_min = dynamic_min >= 0 ? dynamic_min : vm->memory_dynamic_min,
        .memory_dynamic_max = dynamic_max >= 0 ? dynamic_max : vm->memory_dynamic_max,
    };
    if (vm->power_state != VM_POWER_STATE_HALTED) {
        char text[REF_TEXT_SIZE];
        const char *is = vm_state_name(vm->power_state);
        ref_text(ref, text);
        tx_abort(tx);
        return err_set(err, ERR_VM_BAD_POWER_STATE, text, "halted", is);
    }
    if (vm_check_memory_order(&want, err)) {
        tx_abort(tx);
        return -1;
    }
    tx_set_int(tx, ref, CLASS_VM, F_VM_MEMORY_STATIC_MIN, want.memory_static_min);
    tx_set_int(tx, ref, CLASS_VM, F_VM_MEMORY_STATIC_MAX, want.memory_static_max);
    tx_set_int(tx, ref, CLASS_VM, F_VM_MEMORY_DYNAMIC_MIN, want.memory_dynamic_min);
    tx_set_int(tx, ref, CLASS_VM, F_VM_MEMORY_DYNAMIC_MAX, want.memory_dynamic_max);
    return tx_commit(tx, err);
}

int op_vm_set_memory_limits(struct call *call, const struct vm_set_memory_limits_args *a,
                            struct err *err)
{
    return set_memory(call, &a->self, MAX(a->static_min, 0), MAX(a->static_max, 0),
                      MAX(a->dynamic_min, 0), MAX(a->dynamic_max, 0), err);
}

int op_vm_set_memory(struct call *call, const struct vm_set_memory_args *a, struct err *err)
{
    int64_t v = MAX(a->value, 0);
    return set_memory(call, &a->self, -1, v, v, v, err);
}

int op_vm_set_memory_static_max(struct call *call,
                                const struct vm_set_memory_static_max_args *a,
                                struct err *err)
{
    return set_memory(call, &a->self, -1, MAX(a->value, 0), -1, -1, err);
}

int op_vm_set_memory_static_min(struct call *call,
                                const struct vm_set_memory_static_min_args *a,
                                struct err *err)
{
    return set_memory(call, &a->self, MAX(a->value, 0), -1, -1, -1, err);
}

int op_vm_set_memory_static_range(struct call *call,
                                  const struct vm_set_memory_static_range_args *a,
                                  struct err *err)
{
    return set_memory(call, &a->self, MAX(a->min, 0), MAX(a->max, 0), -1, -1, err);
}

/* Also of a VM that runs; a negative value keeps the old one. */
static int set_range(struct call *call, const struct ref *ref, int64_t min, int64_t max,
                     struct err *err)
{
    db_lock();
    const struct vm_rec *vm = db_get(CLASS_VM, ref);
    bool runs = vm && vm->power_state == VM_POWER_STATE_RUNNING;
    int64_t now = vm ? vm->memory_dynamic_max : 0;
    db_unlock();
    return runs ? vm_set_range_live(call, ref, min, max >= 0 ? max : now, err)
                : set_memory(call, ref, -1, -1, min, max, err);
}

int op_vm_set_memory_dynamic_max(struct call *call,
                                 const struct vm_set_memory_dynamic_max_args *a,
                                 struct err *err)
{
    return set_range(call, &a->self, -1, MAX(a->value, 0), err);
}

int op_vm_set_memory_dynamic_min(struct call *call,
                                 const struct vm_set_memory_dynamic_min_args *a,
                                 struct err *err)
{
    return set_range(call, &a->self, MAX(a->value, 0), -1, err);
}

int op_vm_set_memory_dynamic_range(struct call *call,
                                   const struct vm_set_memory_dynamic_range_args *a,
                                   struct err *err)
{
    return set_range(call, &a->self, MAX(a->min, 0), MAX(a->max, 0), err);
}

/* NULL: that one stays as it is. */
static int set_vcpus(struct call *call, const struct ref *ref, const int64_t *new_startup,
                     const int64_t *new_max, struct err *err)
{
    struct tx *tx = call_tx(call);
    const struct vm_rec *vm = call_get(CLASS_VM, ref, err);
    if (!vm) {
        tx_abort(tx);
        return -1;
    }
    int64_t startup = new_startup ? *new_startup : vm->VCPUs_at_startup;
    int64_t max = new_max ? *new_max : vm->VCPUs_max;
    if (vm->power_state != VM_POWER_STATE_HALTED) {
        char text[REF_TEXT_SIZE];
        const char *is = vm_state_name(vm->power_state);
        ref_text(ref, text);
        tx_abort(tx);
        return err_set(err, ERR_VM_BAD_POWER_STATE, text, "halted", is);
    }
    if (check_vcpus(startup, max, err)) {
        tx_abort(tx);
        return -1;
    }
    tx_set_int(tx, ref, CLASS_VM, F_VM_VCPUS_AT_STARTUP, startup);
    tx_set_int(tx, ref, CLASS_VM, F_VM_VCPUS_MAX, max);
    return tx_commit(tx, err);
}

int op_vm_set_vcpus_max(struct call *call, const struct vm_set_vcpus_max_args *a,
                        struct err *err)
{
    return set_vcpus(call, &a->self, NULL, &a->value, err);
}

int op_vm_set_vcpus_at_startup(struct call *call,
                               const struct vm_set_vcpus_at_startup_args *a,
                               struct err *err)
{
    return set_vcpus(call, &a->self, &a->value, NULL, err);
}

static int set_enum(struct call *call, const struct ref *ref, unsigned field, int value,
                    struct err *err)
{
    struct tx *tx = call_tx(call);
    if (db_get(CLASS_VM, ref))
        tx_set_enum(tx, ref, CLASS_VM, field, value);
    return tx_commit(tx, err);
}

int op_vm_set_actions_after_crash(struct call *call,
                                  const struct vm_set_actions_after_crash_args *a,
                                  struct err *err)
{
    return set_enum(call, &a->self, F_VM_ACTIONS_AFTER_CRASH, a->value, err);
}

/* The kind of hardware and the old field for it: each follows the other. */
static int set_kind(struct call *call, const struct ref *ref, int domain_type,
                    const char *policy, struct err *err)
{
    struct tx *tx = call_tx(call);
    if (db_get(CLASS_VM, ref)) {
        tx_set_enum(tx, ref, CLASS_VM, F_VM_DOMAIN_TYPE, domain_type);
        tx_set_str(tx, ref, CLASS_VM, F_VM_HVM_BOOT_POLICY, policy);
    }
    return tx_commit(tx, err);
}

int op_vm_set_domain_type(struct call *call, const struct vm_set_domain_type_args *a,
                          struct err *err)
{
    if (a->value == DOMAIN_TYPE_UNSPECIFIED)
        return err_set(err, ERR_INVALID_VALUE, "domain_type", "unspecified");
    return set_kind(call, &a->self, a->value,
                    a->value == DOMAIN_TYPE_HVM ? "BIOS order" : "", err);
}

int op_vm_set_hvm_boot_policy(struct call *call,
                              const struct vm_set_hvm_boot_policy_args *a, struct err *err)
{
    return set_kind(call, &a->self, a->value[0] ? DOMAIN_TYPE_HVM : DOMAIN_TYPE_PV,
                    a->value, err);
}

static int set_number(struct call *call, const struct ref *ref, unsigned field,
                      int64_t value, struct err *err)
{
    if (value < 0) {
        AUTO(free_str) char *text = str_fmt("%lld", (long long)value);
        return err_set(err, ERR_INVALID_VALUE, schema_classes[CLASS_VM].fields[field].name,
                       text);
    }
    struct tx *tx = call_tx(call);
    if (db_get(CLASS_VM, ref))
        tx_set_int(tx, ref, CLASS_VM, field, value);
    return tx_commit(tx, err);
}

int op_vm_set_order(struct call *call, const struct vm_set_order_args *a, struct err *err)
{
    return set_number(call, &a->self, F_VM_ORDER, a->value, err);
}

int op_vm_set_start_delay(struct call *call, const struct vm_set_start_delay_args *a,
                          struct err *err)
{
    return set_number(call, &a->self, F_VM_START_DELAY, a->value, err);
}

int op_vm_set_shutdown_delay(struct call *call, const struct vm_set_shutdown_delay_args *a,
                             struct err *err)
{
    return set_number(call, &a->self, F_VM_SHUTDOWN_DELAY, a->value, err);
}

int op_vm_compute_memory_overhead(struct call *call,
                                  const struct vm_compute_memory_overhead_args *a,
                                  int64_t *result, struct err *err)
{
    (void)call;
    db_lock();
    const struct vm_rec *vm = call_get(CLASS_VM, &a->vm, err);
    int64_t memory = vm ? vm->memory_static_max : 0;
    db_unlock();
    if (!vm)
        return -1;
    *result = (32LL << 20)
              + memory / 512; /* QEMU itself, and page tables of the guest's memory */
    return 0;
}

/* ---- questions --------------------------------------------------------------------------------------- */

int op_vm_assert_operation_valid(struct call *call,
                                 const struct vm_assert_operation_valid_args *a,
                                 struct err *err)
{
    (void)call;
    return op_check(CLASS_VM, &a->self, a->op, err);
}

int op_vm_update_allowed_operations(struct call *call,
                                    const struct vm_update_allowed_operations_args *a,
                                    struct err *err)
{
    struct tx *tx = call_tx(call);
    if (db_get(CLASS_VM, &a->self))
        op_refresh(tx, CLASS_VM, &a->self);
    return tx_commit(tx, err);
}

static int free_positions(const struct ref *ref, bool vifs, unsigned max,
                          struct set_string *result, struct err *err)
{
    bool taken[256] = { false };
    db_lock();
    const struct vm_rec *vm = call_get(CLASS_VM, ref, err);
    const struct set_ref *devices = !vm ? NULL : vifs ? &vm->VIFs : &vm->VBDs;
    for (size_t i = 0; devices && i < devices->n; i++) {
        const char *text =
            vifs ? ((const struct vif_rec *)db_get(CLASS_VIF, &devices->v[i]))->device
                 : ((const struct vbd_rec *)db_get(CLASS_VBD, &devices->v[i]))->userdevice;
        unsigned position;
        if (vm_device_position(text, &position) && position < max)
            taken[position] = true;
    }
    db_unlock();
    if (!vm)
        return -1;
    const struct ty *ty =
        schema_classes[CLASS_VM].fields[F_VM_TAGS].ty; /* a set of strings */
    for (unsigned i = 0; i < max; i++) {
        AUTO(free_str) char *text = str_fmt("%u", i);
        const char *elem = text;
        if (!taken[i])
            (void)set_add(ty, result, &elem);
    }
    return 0;
}

int op_vm_get_allowed_vbd_devices(struct call *call,
                                  const struct vm_get_allowed_vbd_devices_args *a,
                                  struct set_string *result, struct err *err)
{
    (void)call;
    return free_positions(&a->vm, false, VMSPEC_DISKS_MAX, result, err);
}

int op_vm_get_allowed_vif_devices(struct call *call,
                                  const struct vm_get_allowed_vif_devices_args *a,
                                  struct set_string *result, struct err *err)
{
    (void)call;
    return free_positions(&a->vm, true, VMSPEC_NICS_MAX, result, err);
}

int op_vm_get_possible_hosts(struct call *call, const struct vm_get_possible_hosts_args *a,
                             struct set_ref *result, struct err *err)
{
    (void)call;
    db_lock();
    const void *vm = call_get(CLASS_VM, &a->vm, err);
    struct ref host = db_host_ref();
    db_unlock();
    if (!vm)
        return -1;
    result->v = mem_dup(&host, sizeof(host));
    result->n = 1;
    return 0;
}

int op_vm_get_cooperative(struct call *call, const struct vm_get_cooperative_args *a,
                          bool *result, struct err *err)
{
    (void)call;
    db_lock();
    const void *vm = call_get(CLASS_VM, &a->self, err);
    db_unlock();
    *result = true;
    return vm ? 0 : -1;
}
