/* SPDX-License-Identifier: Apache-2.0 */
/* What may run now: one table row per operation, one pure function per class. current_operations, power state,
 * blocked_operations and attachments decide. The why function words the refusal with the code clients switch on. */
#include <string.h>

#include "api/errors.h"
#include "base/mem.h"
#include "model/ops_lock.h"
#include "ops/vm.h"
#include "ops/vm_memory.h"

#define BIT(op) (UINT64_C(1) << (op))

enum {
    HALTED = 1 << VM_POWER_STATE_HALTED,
    PAUSED = 1 << VM_POWER_STATE_PAUSED,
    RUNNING = 1 << VM_POWER_STATE_RUNNING,
    SUSPENDED = 1 << VM_POWER_STATE_SUSPENDED,
    ANY = HALTED | PAUSED | RUNNING | SUSPENDED,
};

/* In which power states an operation may start, whether templates and plain VMs may, and beside which running ones. */
struct vm_rule {
    uint8_t op, states;
    bool vm, template;
    uint64_t beside;
};

static const uint64_t clean_ops = BIT(VM_OPERATIONS_CLEAN_SHUTDOWN)
                                  | BIT(VM_OPERATIONS_CLEAN_REBOOT)
                                  | BIT(VM_OPERATIONS_SHUTDOWN);

static const struct vm_rule vm_rules[] = {
    { VM_OPERATIONS_START, HALTED, true, false, 0 },
    { VM_OPERATIONS_START_ON, HALTED, true, false, 0 },
    { VM_OPERATIONS_PAUSE, RUNNING, true, false, 0 },
    { VM_OPERATIONS_UNPAUSE, PAUSED, true, false, 0 },
    { VM_OPERATIONS_CLEAN_SHUTDOWN, RUNNING, true, false, 0 },
    { VM_OPERATIONS_CLEAN_REBOOT, RUNNING, true, false, 0 },
    { VM_OPERATIONS_SHUTDOWN, RUNNING, true, false, 0 },
    /* force wins over a guest that does not answer */
    { VM_OPERATIONS_HARD_SHUTDOWN, RUNNING | PAUSED | SUSPENDED, true, false,
      ~UINT64_C(0) },
    { VM_OPERATIONS_HARD_REBOOT, RUNNING | PAUSED, true, false, ~UINT64_C(0) },
    { VM_OPERATIONS_POWER_STATE_RESET, ANY, true, false, ~UINT64_C(0) },
    { VM_OPERATIONS_CHECKPOINT, RUNNING, true, false, 0 },
    { VM_OPERATIONS_SUSPEND, RUNNING, true, false, 0 },
    { VM_OPERATIONS_RESUME, SUSPENDED, true, false, 0 },
    { VM_OPERATIONS_RESUME_ON, SUSPENDED, true, false, 0 },
    { VM_OPERATIONS_CLONE, HALTED, true, true,
      BIT(VM_OPERATIONS_CLONE) | BIT(VM_OPERATIONS_COPY) },
    { VM_OPERATIONS_COPY, HALTED, true, true,
      BIT(VM_OPERATIONS_CLONE) | BIT(VM_OPERATIONS_COPY) },
    { VM_OPERATIONS_EXPORT, HALTED | SUSPENDED, true, true,
      BIT(VM_OPERATIONS_CLONE) | BIT(VM_OPERATIONS_COPY) | BIT(VM_OPERATIONS_EXPORT) },
    { VM_OPERATIONS_SNAPSHOT, ANY, true, false, 0 },
    { VM_OPERATIONS_SNAPSHOT_WITH_QUIESCE, RUNNING, true, false, 0 },
    { VM_OPERATIONS_REVERT, HALTED, false, true, 0 },
    { VM_OPERATIONS_PROVISION, HALTED, true, true, 0 },
    { VM_OPERATIONS_MAKE_INTO_TEMPLATE, HALTED, true, false, 0 },
    { VM_OPERATIONS_DESTROY, HALTED, true, true, 0 },
    { VM_OPERATIONS_CHANGING_VCPUS, HALTED, true, true, 0 },
    { VM_OPERATIONS_CHANGING_MEMORY_LIMITS, HALTED, true, true, 0 },
    { VM_OPERATIONS_CHANGING_STATIC_RANGE, HALTED, true, true, 0 },
    { VM_OPERATIONS_CHANGING_DYNAMIC_RANGE, HALTED | RUNNING, true, true, 0 },
    { VM_OPERATIONS_CHANGING_MEMORY_LIVE, RUNNING, true, false, 0 },
    { VM_OPERATIONS_AWAITING_MEMORY_LIVE, RUNNING, true, false, 0 },
    { VM_OPERATIONS_CHANGING_VCPUS_LIVE, RUNNING, true, false, 0 },
    { VM_OPERATIONS_CHANGING_SHADOW_MEMORY, HALTED, true, true, 0 },
    { VM_OPERATIONS_CHANGING_SHADOW_MEMORY_LIVE, RUNNING, true, false, 0 },
    { VM_OPERATIONS_CHANGING_NVRAM, HALTED, true, true, 0 },
    { VM_OPERATIONS_CALL_PLUGIN, RUNNING, true, false, 0 },
    { VM_OPERATIONS_DATA_SOURCE_OP, RUNNING | PAUSED, true, false, 0 },
};

static uint64_t running_ops(const struct map_string_enum *current)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < current->n; i++)
        bits |= BIT(current->v[i].val);
    return bits;
}

static const struct vm_rule *vm_rule(int op)
{
    for (size_t i = 0; i < ARRAY_SIZE(vm_rules); i++)
        if (vm_rules[i].op == op)
            return &vm_rules[i];
    return NULL;
}

/* Operations that hard_shutdown and its like may overtake: those that wait for the guest. */
static bool fits_beside(const struct vm_rule *r, uint64_t running)
{
    if (r->beside == ~UINT64_C(0))
        return (running & ~clean_ops) == 0;
    return (running & ~r->beside) == 0;
}

bool vm_starting(const struct vm_rec *vm)
{
    return (running_ops(&vm->current_operations)
            & (BIT(VM_OPERATIONS_START) | BIT(VM_OPERATIONS_START_ON)
               | BIT(VM_OPERATIONS_RESUME) | BIT(VM_OPERATIONS_RESUME_ON)))
           != 0;
}

/* What a snapshot is for; it is nothing that could be started, and REVERT is for nothing else. */
static bool fits_snapshot(const struct vm_rec *vm, int op)
{
    static const uint64_t of_snapshots = BIT(VM_OPERATIONS_REVERT)
                                         | BIT(VM_OPERATIONS_CLONE)
                                         | BIT(VM_OPERATIONS_COPY)
                                         | BIT(VM_OPERATIONS_EXPORT)
                                         | BIT(VM_OPERATIONS_DESTROY);
    return vm->is_a_snapshot ? (of_snapshots & BIT(op)) != 0 : op != VM_OPERATIONS_REVERT;
}

/* A snapshot with memory says that it is suspended: it can be used as any other. */
static bool fits_state(const struct vm_rec *vm, const struct vm_rule *r)
{
    return vm->is_a_snapshot || (r->states & 1 << vm->power_state);
}

static bool vm_blocked(const struct vm_rec *vm, int op, const char **code_out)
{
    for (size_t i = 0; i < vm->blocked_operations.n; i++)
        if (vm->blocked_operations.v[i].key == op) {
            *code_out = vm->blocked_operations.v[i].val;
            return true;
        }
    return false;
}

static void vm_allowed(const struct ref *self, const void *rec, uint64_t *allowed)
    REQUIRES(db_mutex)
{
    (void)self;
    const struct vm_rec *vm = rec;
    uint64_t running = running_ops(&vm->current_operations);
    const char *code;
    for (size_t i = 0; i < ARRAY_SIZE(vm_rules); i++) {
        const struct vm_rule *r = &vm_rules[i];
        if (fits_state(vm, r) && (vm->is_a_template ? r->template : r->vm)
            && fits_snapshot(vm, r->op) && fits_beside(r, running)
            && !vm_blocked(vm, r->op, &code)
            && !(r->op == VM_OPERATIONS_DESTROY && vm->is_default_template))
            *allowed |= BIT(r->op);
    }
}

/* In lower case, as clients expect them in errors. */
static const char *const state_words[] = {
    [VM_POWER_STATE_HALTED] = "halted",
    [VM_POWER_STATE_PAUSED] = "paused",
    [VM_POWER_STATE_RUNNING] = "running",
    [VM_POWER_STATE_SUSPENDED] = "suspended",
};

const char *vm_state_name(int power_state)
{
    return state_words[power_state];
}

/* Names of the states in a set. */
static void state_names(unsigned set, struct buf *out)
{
    for (size_t i = 0; i < ARRAY_SIZE(state_words); i++)
        if (set & 1u << i)
            buf_addf(out, "%s%s", out->len ? ", " : "", state_words[i]);
}

static const char *op_name(enum class_id cls, unsigned field, int op)
{
    return schema_classes[cls].fields[field].ty->elem->enm->values[op];
}

/* OTHER_OPERATION_IN_PROGRESS(class, object, operation, task) for the first entry of current. */
static void other_operation(enum class_id cls, const char *self, unsigned allowed_field,
                            const struct map_string_enum *current, struct err *err)
{
    (void)err_set(err, ERR_OTHER_OPERATION_IN_PROGRESS, schema_classes[cls].name, self,
                  op_name(cls, allowed_field, current->v[0].val), current->v[0].key);
}

static void vm_why(const struct ref *self, const void *rec, int op, struct err *err)
    REQUIRES(db_mutex)
{
    const struct vm_rec *vm = rec;
    const struct vm_rule *r = vm_rule(op);
    char text[REF_TEXT_SIZE];
    const char *code;
    ref_text(self, text);
    if (!r) {
        (void)err_set(err, ERR_OPERATION_NOT_ALLOWED,
                      "this operation is not available on this host yet");
    } else if (vm_blocked(vm, op, &code)) {
        (void)err_set(err, ERR_OPERATION_BLOCKED, text, code);
    } else if (op == VM_OPERATIONS_REVERT && !vm->is_a_snapshot) {
        (void)err_set(err, ERR_OPERATION_NOT_ALLOWED, "only a snapshot can be reverted to");
    } else if (vm->is_a_template && !r->template) {
        (void)err_set(err, ERR_VM_IS_TEMPLATE, text);
    } else if (op == VM_OPERATIONS_DESTROY && vm->is_default_template) {
        (void)err_set(err, ERR_VM_CANNOT_DELETE_DEFAULT_TEMPLATE, text);
    } else if (!fits_state(vm, r)) {
        AUTO(buf_done) struct buf want = BUF_INIT(128), is = BUF_INIT(128);
        state_names(r->states, &want);
        state_names(1u << vm->power_state, &is);
        (void)err_set(err, ERR_VM_BAD_POWER_STATE, text, buf_str(&want), buf_str(&is));
    } else if (vm->current_operations.n) {
        other_operation(CLASS_VM, text, F_VM_ALLOWED_OPERATIONS, &vm->current_operations,
                        err);
    } else {
        (void)err_set(err, ERR_OPERATION_NOT_ALLOWED,
                      op_name(CLASS_VM, F_VM_ALLOWED_OPERATIONS, op));
    }
}

int vm_check_devices_free(const struct ref *ref, struct err *err)
{
    const struct vm_rec *vm = db_get(CLASS_VM, ref);
    char text[REF_TEXT_SIZE];
    if (!vm || !vm_starting(vm))
        return 0;
    ref_text(ref, text);
    other_operation(CLASS_VM, text, F_VM_ALLOWED_OPERATIONS, &vm->current_operations, err);
    return -1;
}

/* ---- VBD and VIF ------------------------------------------------------------------------------------- */

/* What must find the machine's devices as they are. */
static const uint64_t still_ops = BIT(VM_OPERATIONS_START) | BIT(VM_OPERATIONS_START_ON)
                                  | BIT(VM_OPERATIONS_SUSPEND) | BIT(VM_OPERATIONS_RESUME)
                                  | BIT(VM_OPERATIONS_RESUME_ON)
                                  | BIT(VM_OPERATIONS_CHECKPOINT)
                                  | BIT(VM_OPERATIONS_SNAPSHOT)
                                  | BIT(VM_OPERATIONS_SNAPSHOT_WITH_QUIESCE)
                                  | BIT(VM_OPERATIONS_POOL_MIGRATE)
                                  | BIT(VM_OPERATIONS_MIGRATE_SEND);

static bool vm_still(const struct vm_rec *vm)
{
    return running_ops(&vm->current_operations) & still_ops;
}

static void vbd_allowed(const struct ref *self, const void *rec, uint64_t *allowed)
    REQUIRES(db_mutex)
{
    (void)self;
    const struct vbd_rec *vbd = rec;
    const struct vm_rec *vm = db_get(CLASS_VM, &vbd->VM);
    if (!vm || vbd->current_operations.n || vm_still(vm))
        return;
    bool running = vm->power_state == VM_POWER_STATE_RUNNING;
    if (vm->power_state == VM_POWER_STATE_HALTED || (running && !vbd->currently_attached))
        *allowed |= BIT(VBD_OPERATIONS_ATTACH);
    if (running && !vbd->currently_attached)
        *allowed |= BIT(VBD_OPERATIONS_PLUG);
    if (running && vbd->currently_attached && vbd->unpluggable)
        *allowed |= BIT(VBD_OPERATIONS_UNPLUG) | BIT(VBD_OPERATIONS_UNPLUG_FORCE);
    if (vbd->type == VBD_TYPE_CD && vm->power_state != VM_POWER_STATE_SUSPENDED)
        *allowed |= BIT(vbd->empty ? VBD_OPERATIONS_INSERT : VBD_OPERATIONS_EJECT);
}

/* Why a device of vm cannot be plugged in or out. */
static void plug_why(const char *text, const struct ref *vm_ref, const struct vm_rec *vm,
                     bool plug, bool attached, struct err *err) REQUIRES(db_mutex)
{
    char vm_text[REF_TEXT_SIZE];
    ref_text(vm_ref, vm_text);
    if (vm && vm_still(vm)) {
        other_operation(CLASS_VM, vm_text, F_VM_ALLOWED_OPERATIONS, &vm->current_operations,
                        err);
    } else if (vm && vm->power_state != VM_POWER_STATE_RUNNING) {
        AUTO(buf_done) struct buf is = BUF_INIT(128);
        state_names(1u << vm->power_state, &is);
        (void)err_set(err, ERR_VM_BAD_POWER_STATE, vm_text, "running", buf_str(&is));
    } else if (plug == attached) {
        (void)err_set(err, plug ? ERR_DEVICE_ALREADY_ATTACHED : ERR_DEVICE_ALREADY_DETACHED,
                      text);
    } else {
        (void)err_set(err, ERR_OPERATION_NOT_ALLOWED,
                      "the record of this device says that it is not unpluggable");
    }
}

static void vbd_why(const struct ref *self, const void *rec, int op, struct err *err)
    REQUIRES(db_mutex)
{
    const struct vbd_rec *vbd = rec;
    char text[REF_TEXT_SIZE];
    ref_text(self, text);
    if (vbd->current_operations.n)
        other_operation(CLASS_VBD, text, F_VBD_ALLOWED_OPERATIONS, &vbd->current_operations,
                        err);
    else if (op == VBD_OPERATIONS_INSERT && vbd->type != VBD_TYPE_CD)
        (void)err_set(err, ERR_VBD_NOT_REMOVABLE_MEDIA, text);
    else if (op == VBD_OPERATIONS_EJECT && vbd->type != VBD_TYPE_CD)
        (void)err_set(err, ERR_VBD_NOT_REMOVABLE_MEDIA, text);
    else if (op == VBD_OPERATIONS_INSERT && !vbd->empty)
        (void)err_set(err, ERR_VBD_NOT_EMPTY, text);
    else if (op == VBD_OPERATIONS_EJECT && vbd->empty)
        (void)err_set(err, ERR_VBD_IS_EMPTY, text);
    else
        plug_why(text, &vbd->VM, db_get(CLASS_VM, &vbd->VM),
                 op == VBD_OPERATIONS_PLUG || op == VBD_OPERATIONS_ATTACH,
                 vbd->currently_attached, err);
}

static void vif_allowed(const struct ref *self, const void *rec, uint64_t *allowed)
    REQUIRES(db_mutex)
{
    (void)self;
    const struct vif_rec *vif = rec;
    const struct vm_rec *vm = db_get(CLASS_VM, &vif->VM);
    if (!vm || vif->current_operations.n || vm_still(vm))
        return;
    bool running = vm->power_state == VM_POWER_STATE_RUNNING;
    if (vm->power_state == VM_POWER_STATE_HALTED || (running && !vif->currently_attached))
        *allowed |= BIT(VIF_OPERATIONS_ATTACH);
    if (running)
        *allowed |= BIT(vif->currently_attached ? VIF_OPERATIONS_UNPLUG
                                                : VIF_OPERATIONS_PLUG);
}

static void vif_why(const struct ref *self, const void *rec, int op, struct err *err)
    REQUIRES(db_mutex)
{
    const struct vif_rec *vif = rec;
    char text[REF_TEXT_SIZE];
    ref_text(self, text);
    if (vif->current_operations.n)
        other_operation(CLASS_VIF, text, F_VIF_ALLOWED_OPERATIONS, &vif->current_operations,
                        err);
    else
        plug_why(text, &vif->VM, db_get(CLASS_VM, &vif->VM), op != VIF_OPERATIONS_UNPLUG,
                 vif->currently_attached, err);
}

/* ---- VDI and SR -------------------------------------------------------------------------------------- */

/* Is a machine with the disk just being built? */
static bool vdi_starting(const struct vdi_rec *vdi) REQUIRES(db_mutex)
{
    for (size_t i = 0; i < vdi->VBDs.n; i++) {
        const struct vbd_rec *vbd = db_get(CLASS_VBD, &vdi->VBDs.v[i]);
        const struct vm_rec *vm = db_get(CLASS_VM, &vbd->VM);
        if (vm && vm_starting(vm))
            return true;
    }
    return false;
}

/* Has the machine behind this VBD the disk open, or is it just about to? */
static bool vbd_holds(const struct vbd_rec *vbd) REQUIRES(db_mutex)
{
    const struct vm_rec *vm = db_get(CLASS_VM, &vbd->VM);
    return vbd->currently_attached || (vm && vm_starting(vm));
}

bool vm_disk_attached(const struct vdi_rec *vdi)
{
    for (size_t i = 0; i < vdi->VBDs.n; i++)
        if (vbd_holds(db_get(CLASS_VBD, &vdi->VBDs.v[i])))
            return true;
    return false;
}

int vm_check_disk_free(const struct ref *vm, const struct vbd_rec *vbd, struct err *err)
{
    const struct vdi_rec *vdi = db_get(CLASS_VDI, &vbd->VDI);
    char text[REF_TEXT_SIZE];
    ref_text(&vbd->VDI, text);
    if (!vdi || vdi->read_only || vdi->sharable)
        return 0;
    if (vdi->current_operations.n) {
        other_operation(CLASS_VDI, text, F_VDI_ALLOWED_OPERATIONS, &vdi->current_operations,
                        err);
        return -1;
    }
    for (size_t i = 0; i < vdi->VBDs.n; i++) {
        const struct vbd_rec *other = db_get(CLASS_VBD, &vdi->VBDs.v[i]);
        if (!ref_eq(&other->VM, vm) && vbd_holds(other)
            && (vbd->mode == VBD_MODE_RW || other->mode == VBD_MODE_RW))
            return err_set(err, ERR_VDI_IN_USE, text, "attach");
    }
    return 0;
}

/* Whose changes can be tracked: of disks that are written to and kept. */
static bool may_track(const struct vdi_rec *vdi)
{
    return !vdi->is_a_snapshot && vdi->on_boot == ON_BOOT_PERSIST
           && (vdi->type == VDI_TYPE_USER || vdi->type == VDI_TYPE_SYSTEM);
}

static void vdi_allowed(const struct ref *self, const void *rec, uint64_t *allowed)
    REQUIRES(db_mutex)
{
    const struct vdi_rec *vdi = rec;
    uint64_t copying = BIT(VDI_OPERATIONS_CLONE) | BIT(VDI_OPERATIONS_COPY);
    uint64_t running = running_ops(&vdi->current_operations);
    if (running & ~copying)
        return;
    bool attached = vm_disk_attached(vdi);
    if (vdi->cbt_enabled)
        *allowed |= BIT(VDI_OPERATIONS_LIST_CHANGED_BLOCKS);
    if (vdi->cbt_enabled && vdi->is_a_snapshot && !vdi->VBDs.n && !running)
        *allowed |= BIT(VDI_OPERATIONS_DATA_DESTROY);
    if (vdi->type == VDI_TYPE_CBT_METADATA) { /* there is nothing else left of it */
        if (!running)
            *allowed |= BIT(VDI_OPERATIONS_DESTROY) | BIT(VDI_OPERATIONS_FORGET);
        return;
    }
    if (may_track(vdi) && !running && !vdi_starting(vdi))
        *allowed |= BIT(VDI_OPERATIONS_ENABLE_CBT) | BIT(VDI_OPERATIONS_DISABLE_CBT);
    *allowed |= BIT(VDI_OPERATIONS_UPDATE);
    if (!attached || vdi->read_only || vdi->is_a_snapshot)
        *allowed |= copying;
    if (!running && !vdi_starting(vdi))
        *allowed |= BIT(VDI_OPERATIONS_SNAPSHOT);
    /* The memory of a VM that sleeps is as taken as a disk in a machine. */
    if (vdi->type == VDI_TYPE_SUSPEND && !attached && vm_memory_kept(self))
        attached = true;
    if (!attached && !running)
        *allowed |= BIT(VDI_OPERATIONS_DESTROY) | BIT(VDI_OPERATIONS_FORGET)
                    | BIT(VDI_OPERATIONS_SET_ON_BOOT);
    if (!vdi_starting(vdi) && !running && !vdi->is_a_snapshot)
        *allowed |= BIT(VDI_OPERATIONS_RESIZE); /* op_vdi_resize looks who has it */
}

/* As XenServer words it. False: that is not why. */
static bool cbt_why(const struct vdi_rec *vdi, const char *text, int op, struct err *err)
{
    bool on_off = op == VDI_OPERATIONS_ENABLE_CBT || op == VDI_OPERATIONS_DISABLE_CBT;
    bool destroy = op == VDI_OPERATIONS_DATA_DESTROY;
    bool typed = vdi->type == VDI_TYPE_USER || vdi->type == VDI_TYPE_SYSTEM;
    const char *type =
        schema_classes[CLASS_VDI].fields[F_VDI_TYPE].ty->enm->values[vdi->type];
    AUTO(free_str)
    char *what = str_fmt("VDI is %sa snapshot: %s", vdi->is_a_snapshot ? "" : "not ", text);
    if ((on_off && vdi->is_a_snapshot) || (destroy && !vdi->is_a_snapshot))
        (void)err_set(err, ERR_OPERATION_NOT_ALLOWED, what);
    else if (vdi->type == VDI_TYPE_CBT_METADATA || (on_off && !typed))
        (void)err_set(err, ERR_VDI_INCOMPATIBLE_TYPE, text, type);
    else if (on_off && vdi->on_boot != ON_BOOT_PERSIST)
        (void)err_set(err, ERR_VDI_ON_BOOT_MODE_INCOMPATIBLE_WITH_OPERATION);
    else if ((destroy || op == VDI_OPERATIONS_LIST_CHANGED_BLOCKS) && !vdi->cbt_enabled)
        (void)err_set(err, ERR_VDI_NO_CBT_METADATA, text);
    else if (destroy && vdi->VBDs.n)
        (void)err_set(err, ERR_VDI_IN_USE, text, "data_destroy");
    else
        return false;
    return true;
}

static void vdi_why(const struct ref *self, const void *rec, int op, struct err *err)
    REQUIRES(db_mutex)
{
    const struct vdi_rec *vdi = rec;
    char text[REF_TEXT_SIZE];
    ref_text(self, text);
    if (vdi->current_operations.n)
        other_operation(CLASS_VDI, text, F_VDI_ALLOWED_OPERATIONS, &vdi->current_operations,
                        err);
    else if (cbt_why(vdi, text, op, err))
        return;
    else if (vm_disk_attached(vdi) || vm_memory_kept(self))
        (void)err_set(err, ERR_VDI_IN_USE, text,
                      op_name(CLASS_VDI, F_VDI_ALLOWED_OPERATIONS, op));
    else
        (void)err_set(err, ERR_OPERATION_NOT_ALLOWED,
                      "this operation is not available on this host yet");
}

static void sr_allowed(const struct ref *self, const void *rec, uint64_t *allowed)
    REQUIRES(db_mutex)
{
    (void)self;
    const struct sr_rec *sr = rec;
    bool plugged = false;
    for (size_t i = 0; i < sr->PBDs.n; i++)
        plugged |=
            ((const struct pbd_rec *)db_get(CLASS_PBD, &sr->PBDs.v[i]))->currently_attached;
    *allowed |= BIT(STORAGE_OPERATIONS_PBD_CREATE) | BIT(STORAGE_OPERATIONS_PLUG);
    if (plugged)
        *allowed |= BIT(STORAGE_OPERATIONS_UNPLUG) | BIT(STORAGE_OPERATIONS_SCAN)
                    | BIT(STORAGE_OPERATIONS_UPDATE);
    else
        *allowed |= BIT(STORAGE_OPERATIONS_FORGET) | BIT(STORAGE_OPERATIONS_PBD_DESTROY);
    if (plugged && !str_eq(sr->content_type, "iso"))
        *allowed |= BIT(STORAGE_OPERATIONS_VDI_CREATE) | BIT(STORAGE_OPERATIONS_VDI_DESTROY)
                    | BIT(STORAGE_OPERATIONS_VDI_CLONE) | BIT(STORAGE_OPERATIONS_VDI_RESIZE)
                    | BIT(STORAGE_OPERATIONS_VDI_SNAPSHOT)
                    | BIT(STORAGE_OPERATIONS_DESTROY);
}

static void sr_why(const struct ref *self, const void *rec, int op, struct err *err)
    REQUIRES(db_mutex)
{
    const struct sr_rec *sr = rec;
    char text[REF_TEXT_SIZE];
    ref_text(self, text);
    if (op == STORAGE_OPERATIONS_FORGET && sr->PBDs.n)
        (void)err_set(err, ERR_SR_HAS_PBD, text);
    else if (sr->current_operations.n)
        other_operation(CLASS_SR, text, F_SR_ALLOWED_OPERATIONS, &sr->current_operations,
                        err);
    else
        (void)err_set(err, ERR_SR_NOT_ATTACHED, text);
}

/* ---- the others -------------------------------------------------------------------------------------- */

static void host_allowed(const struct ref *self, const void *rec, uint64_t *allowed)
    REQUIRES(db_mutex)
{
    (void)self;
    const struct host_rec *host = rec;
    *allowed |= BIT(
        HOST_ALLOWED_OPERATIONS_ENABLE); /* also what is enabled: to no effect */
    if (host->enabled)
        *allowed |= BIT(HOST_ALLOWED_OPERATIONS_VM_START)
                    | BIT(HOST_ALLOWED_OPERATIONS_PROVISION);
    if (!host->current_operations.n)
        *allowed |= BIT(HOST_ALLOWED_OPERATIONS_EVACUATE);
    if (!host->enabled && !host->current_operations.n)
        *allowed |= BIT(HOST_ALLOWED_OPERATIONS_SHUTDOWN)
                    | BIT(HOST_ALLOWED_OPERATIONS_REBOOT);
}

static void host_why(const struct ref *self, const void *rec, int op, struct err *err)
    REQUIRES(db_mutex)
{
    const struct host_rec *host = rec;
    char text[REF_TEXT_SIZE];

    ref_text(self, text);
    if (host->current_operations.n)
        other_operation(CLASS_HOST, text, F_HOST_ALLOWED_OPERATIONS,
                        &host->current_operations, err);
    else if (op == HOST_ALLOWED_OPERATIONS_SHUTDOWN || op == HOST_ALLOWED_OPERATIONS_REBOOT)
        (void)err_set(err, ERR_HOST_NOT_DISABLED);
    else
        (void)err_set(err, ERR_OPERATION_NOT_ALLOWED,
                      "this operation is not available on this host yet");
}

static void network_allowed(const struct ref *self, const void *rec, uint64_t *allowed)
    REQUIRES(db_mutex)
{
    (void)self, (void)rec;
    *allowed |= BIT(NETWORK_OPERATIONS_ATTACHING);
}

/* A group can start while one of its machines is off, and stop while one is not. */
static unsigned group_states(const struct vm_appliance_rec *group) REQUIRES(db_mutex)
{
    unsigned states = 0;
    for (size_t i = 0; i < group->VMs.n; i++)
        states |=
            1u << ((const struct vm_rec *)db_get(CLASS_VM, &group->VMs.v[i]))->power_state;
    return states;
}

static unsigned group_needs(int op)
{
    switch (op) {
    case VM_APPLIANCE_OPERATION_START: return HALTED;
    case VM_APPLIANCE_OPERATION_CLEAN_SHUTDOWN: return RUNNING;
    default: return ANY & ~(unsigned)HALTED;
    }
}

static void group_allowed(const struct ref *self, const void *rec, uint64_t *allowed)
    REQUIRES(db_mutex)
{
    (void)self;
    const struct vm_appliance_rec *group = rec;
    unsigned states = group_states(group);
    for (int op = VM_APPLIANCE_OPERATION_START; op <= VM_APPLIANCE_OPERATION_SHUTDOWN; op++)
        if (!group->current_operations.n && (states & group_needs(op)))
            *allowed |= BIT(op);
}

static void group_why(const struct ref *self, const void *rec, int op, struct err *err)
    REQUIRES(db_mutex)
{
    const struct vm_appliance_rec *group = rec;
    char text[REF_TEXT_SIZE];
    ref_text(self, text);
    if (group->current_operations.n)
        other_operation(CLASS_VM_APPLIANCE, text, F_VM_APPLIANCE_ALLOWED_OPERATIONS,
                        &group->current_operations, err);
    else
        (void)err_set(err, ERR_OPERATION_NOT_ALLOWED,
                      !group->VMs.n ? "Appliance has no VMs."
                      : op == VM_APPLIANCE_OPERATION_START
                          ? "There are no halted VMs in this appliance."
                      : op == VM_APPLIANCE_OPERATION_CLEAN_SHUTDOWN
                          ? "There are no running VMs in this appliance."
                          : "All VMs in this appliance are halted.");
}

static void none_allowed(const struct ref *self, const void *rec, uint64_t *allowed)
    REQUIRES(db_mutex)
{
    (void)self, (void)rec, (void)allowed;
}

static void not_here(const struct ref *self, const void *rec, int op, struct err *err)
    REQUIRES(db_mutex)
{
    (void)self, (void)rec, (void)op;
    (void)err_set(err, ERR_OPERATION_NOT_ALLOWED,
                  "this operation is not available on this host yet");
}

void ops_allowed_init(void)
{
    ops_lock_register(CLASS_VM, vm_allowed, vm_why);
    ops_lock_register(CLASS_VBD, vbd_allowed, vbd_why);
    ops_lock_register(CLASS_VIF, vif_allowed, vif_why);
    ops_lock_register(CLASS_VDI, vdi_allowed, vdi_why);
    ops_lock_register(CLASS_SR, sr_allowed, sr_why);
    ops_lock_register(CLASS_HOST, host_allowed, host_why);
    ops_lock_register(CLASS_NETWORK, network_allowed, not_here);
    ops_lock_register(CLASS_VM_APPLIANCE, group_allowed, group_why);
    ops_lock_register(CLASS_POOL, none_allowed, not_here);
}
