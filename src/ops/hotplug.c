/* SPDX-License-Identifier: Apache-2.0 */
/* Devices of a VM that runs. The machine changes first, then the record says so; whatever dies between is settled by
 * hotplug_settle, which asks the machine what it has. dispatch holds the device's operation, which keeps its VM
 * from being started meanwhile; a forced shutdown may overtake, and then nothing is recorded. Any thread. */
#include <string.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/disks.h"
#include "model/ops_lock.h"
#include "ops/host_ctx.h"
#include "ops/ops.h"
#include "ops/storage.h"
#include "ops/vif.h"
#include "ops/vm.h"

#define PLUG_US   (20 * US_PER_SEC)
#define SETTLE_US (1 * US_PER_SEC)  /* a machine that hangs holds up no start */
#define UNPLUG_US (30 * US_PER_SEC) /* for the guest to let go */

/* A device and its VM, copied at one moment. */
struct device {
    enum class_id cls; /* VBD or VIF */
    struct ref ref, vm_ref;
    struct vm_rec *vm;
    struct vm_part_disk disk;
    struct vm_part_nic nic;
    char uuid[UUID_TEXT_SIZE];
};

static void device_done(struct device *d)
{
    vm_part_disk_done(&d->disk);
    vif_part_done(&d->nic);
    record_free(&schema_classes[CLASS_VM], d->vm);
}

/* vdi: NULL: the VBD's own; else what it is to get. */
static int copy_locked(struct device *d, const struct ref *vdi, struct err *err)
    REQUIRES(db_mutex)
{
    const void *rec = call_get(d->cls, &d->ref, err);
    if (!rec)
        return -1;
    bool is_vbd = d->cls == CLASS_VBD;
    const struct vbd_rec *vbd = rec;
    const struct vif_rec *vif = rec;
    const struct ref vm_ref = is_vbd ? vbd->VM : vif->VM;
    d->vm_ref = vm_ref;
    memcpy(d->uuid, is_vbd ? vbd->uuid : vif->uuid, sizeof(d->uuid));
    const struct vm_rec *vm = call_get(CLASS_VM, &vm_ref, err);
    if (!vm)
        return -1;
    d->vm = record_copy(&schema_classes[CLASS_VM], vm);
    if (is_vbd)
        return vm_part_disk_copy(&vm_ref, vbd, vdi ? vdi : &vbd->VDI, &d->disk, err);
    return vif_part_copy(vif, &d->nic, err);
}

static int device_copy(struct device *d, enum class_id cls, const struct ref *ref,
                       const struct ref *vdi, struct err *err)
{
    *d = (struct device){ .cls = cls, .ref = *ref, .disk.fd = -1 };
    db_lock();
    int rc = copy_locked(d, vdi, err);
    db_unlock();
    return rc;
}

/* Errors name what the client knows. Always -1. */
static int say(const struct device *d, struct err *err)
{
    (void)vm_say_ref(err, d->uuid, &d->ref);
    return vm_say_ref(err, d->vm->uuid, &d->vm_ref);
}

/* The device is in the machine, or no longer. A VM that was shut down meanwhile has said so itself. */
static int record(struct tx *tx, const struct device *d, bool attached, struct err *err)
    RELEASE(db_mutex)
{
    const struct vm_rec *vm = db_get(CLASS_VM, &d->vm_ref);
    bool live = vm && vm->power_state != VM_POWER_STATE_HALTED;
    if (db_get(d->cls, &d->ref) && (live || !attached))
        vm_records_attached(tx, d->cls, &d->ref, attached);
    return tx_commit(tx, err);
}

/* ---- plug ---------------------------------------------------------------------------------------------- */

static int plug_disk(struct device *d, const struct deadline *by, struct err *err)
{
    struct vm_disk disk;
    if (storage_settled(err) || vm_part_disk_open(&d->disk, err))
        return -1;
    int rc = vm_part_disk_serve(d->vm->uuid, &d->disk, by, err)
                     || vm_spec_disk(d->vm, &d->disk, &disk, err)
                 ? -1
                 : host_ctx.machine->plug_disk(d->vm->uuid, &disk, by, err);
    if (rc)
        disks_remove(d->vm->uuid, d->uuid);
    return rc;
}

static int plug_nic(struct device *d, const struct deadline *by, struct err *err)
{
    struct vm_nic nic;
    if (vif_part_open(&d->nic, d->vm->domid, err) || vm_spec_nic(&d->nic, &nic, err))
        return -1;
    return host_ctx.machine->plug_nic(d->vm->uuid, &nic, by, err);
}

static int unplug(struct device *d, const struct deadline *by, struct err *err)
{
    unsigned slot = 0;
    const char *at = d->cls == CLASS_VBD ? d->disk.vbd->userdevice : d->nic.vif->device;
    if (!vm_device_position(at, &slot))
        return err_set(err, ERR_INVALID_DEVICE, at);
    if (d->cls != CLASS_VBD)
        return host_ctx.machine->unplug_nic(d->vm->uuid, d->uuid, slot, by, err);
    if (host_ctx.machine->unplug_disk(d->vm->uuid, d->uuid, slot, by, err))
        return -1;
    disks_remove(d->vm->uuid, d->uuid);
    return 0;
}

static int do_plug(struct call *call, struct device *d, struct err *err)
{
    struct deadline by = deadline_sooner(&call->deadline, PLUG_US);
    if ((d->cls == CLASS_VBD ? plug_disk(d, &by, err) : plug_nic(d, &by, err)) < 0)
        return say(d, err);
    (void)FAILPOINT("vm.plug.plugged");
    if (record(call_tx(call), d, true, err) == 0)
        return 0;
    struct deadline back = deadline_in(UNPLUG_US);
    IGNORE(unplug(d, &back, NULL)); /* it could not be written down */
    return -1;
}

static int do_unplug(struct call *call, struct device *d, struct err *err)
{
    struct deadline by = deadline_sooner(&call->deadline, UNPLUG_US);
    if (unplug(d, &by, err))
        return say(d, err);
    (void)FAILPOINT("vm.unplug.unplugged");
    return record(call_tx(call), d, false, err);
}

static int change(struct call *call, enum class_id cls, const struct ref *ref,
                  int (*act)(struct call *call, struct device *d, struct err *err),
                  struct err *err)
{
    struct device d;
    int rc = device_copy(&d, cls, ref, NULL, err);
    if (rc == 0)
        rc = act(call, &d, err);
    device_done(&d);
    return rc;
}

int op_vbd_plug(struct call *call, const struct vbd_plug_args *a, struct err *err)
{
    return change(call, CLASS_VBD, &a->self, do_plug, err);
}

int op_vbd_unplug(struct call *call, const struct vbd_unplug_args *a, struct err *err)
{
    return change(call, CLASS_VBD, &a->self, do_unplug, err);
}

/* The guest's consent is what takes a device from a PCI slot: without it this fails like unplug. */
int op_vbd_unplug_force(struct call *call, const struct vbd_unplug_force_args *a,
                        struct err *err)
{
    return change(call, CLASS_VBD, &a->self, do_unplug, err);
}

int op_vif_plug(struct call *call, const struct vif_plug_args *a, struct err *err)
{
    return change(call, CLASS_VIF, &a->self, do_plug, err);
}

int op_vif_unplug(struct call *call, const struct vif_unplug_args *a, struct err *err)
{
    return change(call, CLASS_VIF, &a->self, do_unplug, err);
}

/* The schema names no operation for it: it is an unplug. */
int op_vif_unplug_force(struct call *call, const struct vif_unplug_force_args *a,
                        struct err *err)
{
    if (op_begin(CLASS_VIF, &a->self, "unplug", &call->task, err))
        return -1;
    int rc = change(call, CLASS_VIF, &a->self, do_unplug, err);
    op_end(CLASS_VIF, &a->self, &call->task);
    return rc;
}

/* ---- a new size ---------------------------------------------------------------------------------------- */

static int show_size(struct device *d, uint64_t bytes, const struct deadline *by,
                     struct err *err)
{
    struct vm_disk disk;
    if (!disks_serves(d->vm->uuid) || storage_is_raw(d->disk.vdi))
        d->disk.leaf = NULL;
    else
        d->disk.leaf = disks_leaf(d->vm->uuid, d->uuid);
    vm_part_disk_served(d->vm->uuid, &d->disk);
    if (vm_spec_disk(d->vm, &d->disk, &disk, err))
        return -1;
    return host_ctx.machine->resize_disk(d->vm->uuid, &disk, bytes, by, err);
}

/* Of a disk that the machine has: whether it may have it is not asked. */
static int copy_plugged(struct device *d, const struct ref *ref, struct err *err)
    REQUIRES(db_mutex)
{
    const struct vbd_rec *vbd = call_get(CLASS_VBD, ref, err);
    const struct vdi_rec *vdi = vbd ? call_get(CLASS_VDI, &vbd->VDI, err) : NULL;
    const struct vm_rec *vm = vdi ? call_get(CLASS_VM, &vbd->VM, err) : NULL;
    *d = (struct device){ .cls = CLASS_VBD, .ref = *ref, .disk.fd = -1 };
    if (!vm)
        return -1;
    memcpy(d->uuid, vbd->uuid, sizeof(d->uuid));
    d->vm_ref = vbd->VM;
    d->vm = record_copy(&schema_classes[CLASS_VM], vm);
    d->disk.vbd = record_copy(&schema_classes[CLASS_VBD], vbd);
    d->disk.vdi = record_copy(&schema_classes[CLASS_VDI], vdi);
    return 0;
}

int vm_show_disk_size(struct call *call, const struct ref *vbd, uint64_t bytes,
                      struct err *err)
{
    struct device d;
    struct deadline by = deadline_sooner(&call->deadline, PLUG_US);
    db_lock();
    int rc = copy_plugged(&d, vbd, err);
    db_unlock();
    if (rc == 0 && show_size(&d, bytes, &by, err))
        rc = say(&d, err);
    device_done(&d);
    return rc;
}

/* ---- media --------------------------------------------------------------------------------------------- */

static int record_medium(struct tx *tx, const struct ref *ref, const struct ref *vdi,
                         struct err *err) RELEASE(db_mutex)
{
    const struct vbd_rec *vbd = call_get(CLASS_VBD, ref, err);
    if (!vbd || (!ref_is_null(vdi) && !call_get(CLASS_VDI, vdi, err))) {
        tx_abort(tx);
        return -1;
    }
    struct ref old = vbd->VDI;
    tx_set_ref(tx, ref, CLASS_VBD, F_VBD_VDI, vdi);
    tx_set_bool(tx, ref, CLASS_VBD, F_VBD_EMPTY, ref_is_null(vdi));
    op_refresh(tx, CLASS_VBD, ref);
    if (!ref_is_null(&old))
        op_refresh(tx, CLASS_VDI, &old);
    if (!ref_is_null(vdi))
        op_refresh(tx, CLASS_VDI, vdi);
    return tx_commit(tx, err);
}

static int drive_gets(struct device *d, const struct deadline *by, struct err *err)
{
    struct vm_disk drive;
    if (vm_part_disk_open(&d->disk, err) || vm_spec_disk(d->vm, &d->disk, &drive, err))
        return -1;
    return host_ctx.machine->change_medium(d->vm->uuid, &drive, by, err);
}

/* vdi null: take it out. */
static int set_medium(struct call *call, const struct ref *ref, const struct ref *vdi,
                      struct err *err)
{
    struct device d;
    struct deadline by = deadline_sooner(&call->deadline, PLUG_US);
    int rc = device_copy(&d, CLASS_VBD, ref, vdi, err);
    if (rc == 0 && d.disk.vbd->currently_attached && drive_gets(&d, &by, err))
        rc = say(&d, err);
    (void)FAILPOINT("vm.medium.changed");
    if (rc == 0)
        rc = record_medium(call_tx(call), ref, vdi, err);
    device_done(&d);
    return rc;
}

int op_vbd_insert(struct call *call, const struct vbd_insert_args *a, struct err *err)
{
    db_lock();
    const void *vdi = call_get(CLASS_VDI, &a->vdi, err);
    db_unlock();
    return vdi ? set_medium(call, &a->vbd, &a->vdi, err) : -1;
}

int op_vbd_eject(struct call *call, const struct vbd_eject_args *a, struct err *err)
{
    struct ref none = REF_NULL;
    return set_medium(call, &a->vbd, &none, err);
}

/* ---- what the machine says ----------------------------------------------------------------------------- */

static const struct machine_device *find(const struct machine_devices *all,
                                         const char *uuid)
{
    for (unsigned i = 0; i < all->n; i++)
        if (str_eq(all->v[i].id, uuid))
            return &all->v[i];
    return NULL;
}

/* A drive whose record and machine differ: an insert or eject was cut short. It is empty then. */
static int settle_medium(struct device *d, const struct machine_devices *all,
                         const struct deadline *by, struct err *err)
{
    struct ref none = REF_NULL;
    unsigned slot = 0;
    if (d->disk.vbd->type != VBD_TYPE_CD
        || !vm_device_position(d->disk.vbd->userdevice, &slot) || slot >= VMSPEC_DISKS_MAX)
        return 0;
    bool inside = all->media >> slot & 1;
    if (inside && !d->disk.vdi)
        return drive_gets(d, by, err);
    if (!inside && d->disk.vdi)
        return record_medium(daemon_tx("start-up"), &d->ref, &none, err);
    return 0;
}

static int settle(struct device *d, const struct machine_devices *all,
                  const struct deadline *by, struct err *err)
{
    bool there = find(all, d->uuid);
    bool said = d->cls == CLASS_VBD ? d->disk.vbd->currently_attached
                                    : d->nic.vif->currently_attached;
    if (!there)
        IGNORE(unplug(d, by, NULL)); /* what it was made of */
    if (there && d->cls == CLASS_VBD && settle_medium(d, all, by, err))
        return -1;
    if (there && d->cls == CLASS_VIF && vif_apply(&d->ref, err))
        return -1;
    return there == said ? 0 : record(daemon_tx("start-up"), d, there, err);
}

static void settle_all(const char *uuid, enum class_id cls, const struct set_ref *refs,
                       const struct machine_devices *all, const struct deadline *by)
{
    for (size_t i = 0; i < refs->n; i++) {
        AUTO(err_done) struct err err = { 0 };
        struct device d;
        int rc = device_copy(&d, cls, &refs->v[i], NULL, &err);
        if (rc == 0)
            rc = settle(&d, all, by, &err);
        if (rc) {
            AUTO(free_str) char *text = err_text(&err);
            log_warn("VM %s: settling device %s: %s", uuid, d.uuid, text);
        }
        device_done(&d);
    }
}

void hotplug_settle(const struct ref *ref, const struct deadline *d)
{
    struct machine_devices all;
    struct deadline by = deadline_sooner(d, SETTLE_US);
    db_lock();
    const struct vm_rec *rec = db_get(CLASS_VM, ref);
    struct vm_rec *vm = rec ? record_copy(&schema_classes[CLASS_VM], rec) : NULL;
    db_unlock();
    if (vm && host_ctx.machine->devices(vm->uuid, &all, &by)) {
        settle_all(vm->uuid, CLASS_VBD, &vm->VBDs, &all, &by);
        settle_all(vm->uuid, CLASS_VIF, &vm->VIFs, &all, &by);
        struct tx *tx = daemon_tx("start-up");
        vm_records_vcpus(tx, ref, all.vcpus);
        IGNORE(tx_commit(tx, NULL));
    } else if (vm) {
        log_warn("VM %s does not say which devices it has: believing its records",
                 vm->uuid);
    }
    record_free(&schema_classes[CLASS_VM], vm);
}

void hotplug_gone(const char *device)
{
    AUTO(err_done) struct err err = { 0 };
    enum class_id cls = str_starts(device, "vif-") ? CLASS_VIF : CLASS_VBD;
    struct deadline by = deadline_in(PLUG_US);
    struct ref ref;
    struct device d;
    if (strlen(device) < 4)
        return;
    db_lock();
    bool known = db_find_uuid(cls, device + 4, &ref);
    db_unlock();
    if (!known)
        return;
    int rc = device_copy(&d, cls, &ref, NULL, &err);
    if (rc == 0)
        rc = unplug(&d, &by, &err);
    if (rc == 0)
        rc = record(daemon_tx("the guest let go of a device"), &d, false, &err);
    if (rc) {
        AUTO(free_str) char *text = err_text(&err);
        log_warn("device %s, which its guest let go of: %s", device, text);
    }
    device_done(&d);
}
