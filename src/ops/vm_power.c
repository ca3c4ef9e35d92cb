/* SPDX-License-Identifier: Apache-2.0 */
/* The power operations of a VM: straight lines on the caller's thread. dispatch.c holds the current_operations entry.
 * Order of a start: read the records, open the volumes, build the machine stopped, let it run, then one change set that
 * says so. Whatever fails goes through vm_teardown, the same path as hard_shutdown; whatever dies in between
 * is set right by ops_boot, which compares machines with records. */
#include "ops/vbd_io.h"
#include "ops/vm.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/disks.h"
#include "host/qemu.h"
#include "host/root.h"
#include "model/ops_lock.h"
#include "ops/boot_record.h"
#include "ops/config_drive.h"
#include "ops/host_ctx.h"
#include "ops/lease.h"
#include "ops/ops.h"
#include "ops/storage.h"
#include "ops/vif.h"

#define START_TIMEOUT_US (60 * US_PER_SEC)
#define QUIT_TIMEOUT_US  (10 * US_PER_SEC)
#define SHUTDOWN_TIMEOUT_US \
    (120 * US_PER_SEC) /* for the guest to answer the power button */
#define AGENT_US        (2 * US_PER_SEC)
#define BUTTON_AGAIN_US (10 * US_PER_SEC)

/* PV_kernel and PV_ramdisk name files of one folder, by name or by path inside it. */
static int resolve_boot_file(const struct vm_rec *vm, const char *name, char **path_out,
                             struct err *err)
{
    if (!name[0])
        return 0;
    AUTO(free_str)
    char *joined = name[0] == '/' ? str_dup(name)
                                  : str_fmt("%s/%s", host_ctx.kernel_dir, name);
    AUTO(free_str) char *real = realpath(joined, NULL);
    AUTO(free_str) char *folder = realpath(host_ctx.kernel_dir, NULL);
    if (real && folder) {
        size_t n = strlen(folder);
        if (strncmp(real, folder, n) == 0 && real[n] == '/' && access(real, R_OK) == 0) {
            *path_out = TAKE(real);
            return 0;
        }
    }
    (void)err_set(err, ERR_BOOTLOADER_FAILED, vm->uuid,
                  "the kernel or ramdisk file cannot be used");
    return err_detail(
        err,
        "\"%s\" is not a readable file in %s, the only folder kernels may be started from",
        name, host_ctx.kernel_dir);
}

int vm_part_disk_copy(const struct ref *vm, const struct vbd_rec *vbd,
                      const struct ref *vdi_ref, struct vm_part_disk *d, struct err *err)
{
    *d = (struct vm_part_disk){ .fd = -1 };
    d->vbd = record_copy(&schema_classes[CLASS_VBD], vbd);
    d->vbd->VDI = *vdi_ref;
    if (ref_is_null(vdi_ref))
        return 0;
    const struct vdi_rec *vdi = call_get(CLASS_VDI, vdi_ref, err);
    if (!vdi || vm_check_disk_free(vm, d->vbd, err))
        return -1;
    d->vdi = record_copy(&schema_classes[CLASS_VDI], vdi);
    size_t n = 0;
    for (const char *u = vdi->uuid; *u && n < sizeof(d->serial) - 1; u++)
        if (*u != '-')
            d->serial[n++] = *u;
    return 0;
}

/* One that is just being plugged in or out belongs to that call. */
static int copy_disk(const struct ref *vm, const struct ref *ref, const struct vbd_rec *vbd,
                     struct vm_parts *p, struct err *err) REQUIRES(db_mutex)
{
    if (p->memory && !vbd->currently_attached) /* it came while the VM slept */
        return 0;
    if (p->n_disks == VMSPEC_DISKS_MAX)
        return err_set(err, ERR_DEVICE_ALREADY_EXISTS, vbd->userdevice);
    if (vbd->current_operations.n)
        return op_busy(CLASS_VBD, ref, err);
    return vm_part_disk_copy(vm, vbd, &vbd->VDI, &p->disks[p->n_disks++], err);
}

/* Copy everything the machine is built from, at one moment. */
static int copy_parts(const struct ref *ref, struct vm_parts *p, struct err *err)
{
    int rc = -1;
    db_lock();
    const struct vm_rec *vm = call_get(CLASS_VM, ref, err);
    if (!vm)
        goto out;
    p->vm = record_copy(&schema_classes[CLASS_VM], vm);
    for (size_t i = 0; i < vm->VBDs.n; i++) {
        const struct vbd_rec *vbd = db_get(CLASS_VBD, &vm->VBDs.v[i]);
        if (vbd->type != VBD_TYPE_FLOPPY && copy_disk(ref, &vm->VBDs.v[i], vbd, p, err))
            goto out;
    }
    for (size_t i = 0; i < vm->VIFs.n && i < VMSPEC_NICS_MAX; i++) {
        const struct vif_rec *vif = db_get(CLASS_VIF, &vm->VIFs.v[i]);
        if (p->memory && !vif->currently_attached)
            continue;
        if (vif->current_operations.n) {
            (void)op_busy(CLASS_VIF, &vm->VIFs.v[i], err);
            goto out;
        }
        if (vif_part_copy(vif, &p->nics[p->n_nics++], err))
            goto out;
    }
    p->domid = vm_next_domid();
    rc = 0;
out:
    db_unlock();
    return rc;
}

/* Memory of starts under way, whose VMs do not say yet that they run: two at once never take the same bytes. */
static uint64_t promised_bytes GUARDED_BY(db_mutex);

/* What a running VM has, or is asked to make do with if that is more. */
static uint64_t held_bytes(const struct vm_rec *vm) REQUIRES(db_mutex)
{
    const struct vm_metrics_rec *m = db_get(CLASS_VM_METRICS, &vm->metrics);
    return (uint64_t)MAX(vm->memory_target, m ? m->memory_actual : 0);
}

/* What running VMs may still take counts, not only what they have touched. promise: keep it for a start, until
 * vm_parts_release(). */
static int take_memory(uint64_t bytes, bool promise, struct err *err)
{
    uint64_t total = host_ctx.inventory.memory_total_bytes, available = 0,
             committed = VM_HOST_RESERVE_BYTES;
    if (inventory_memory_free(&available))
        available = total;
    db_lock();
    for (struct db_iter it = db_first(CLASS_VM); it.rec; db_next(&it)) {
        const struct vm_rec *other = it.rec;
        if (other->power_state == VM_POWER_STATE_RUNNING
            || other->power_state == VM_POWER_STATE_PAUSED)
            committed += held_bytes(other);
    }
    committed += promised_bytes;
    available = MIN(available, total > committed ? total - committed : 0);
    bool fits = bytes <= available;
    if (fits && promise)
        promised_bytes += bytes;
    db_unlock();
    if (fits)
        return 0;
    char needed_text[24], available_text[24];
    struct buf b = BUF_INIT(sizeof(needed_text));
    buf_add_int(&b, (int64_t)bytes);
    memcpy(needed_text, buf_str(&b), b.len + 1);
    buf_clear(&b);
    buf_add_int(&b, (int64_t)available);
    memcpy(available_text, buf_str(&b), b.len + 1);
    buf_done(&b);
    return err_set(err, ERR_HOST_NOT_ENOUGH_FREE_MEMORY, needed_text, available_text);
}

int vm_check_memory(const struct vm_rec *vm, struct err *err)
{
    return take_memory((uint64_t)vm->memory_dynamic_max, false, err);
}

int vm_check_memory_more(uint64_t bytes, struct err *err)
{
    return take_memory(bytes, false, err);
}

void vm_parts_release(struct vm_parts *p)
{
    promised_bytes -= p->promised_bytes;
    p->promised_bytes = 0;
}

static bool is_read_only(const struct vm_part_disk *d)
{
    return d->vbd->mode == VBD_MODE_RO || d->vbd->type == VBD_TYPE_CD || d->vdi->read_only
           || d->vdi->is_a_snapshot;
}

int vm_part_disk_open(struct vm_part_disk *d, struct err *err)
{
    struct ref vdi = REF_NULL;
    if (!d->vdi)
        return 0;
    db_lock();
    bool known = db_find_uuid(CLASS_VDI, d->vdi->uuid, &vdi);
    db_unlock();
    if (!known)
        return err_set(err, ERR_HANDLE_INVALID, "VDI", d->vdi->uuid);
    d->lease = lease_take(&vdi, err);
    if (!d->lease)
        return -1;
    str_put(&d->vdi->location, lease_volume(d->lease)); /* a merge may have changed it */
    return storage_source(d->vdi, is_read_only(d), &d->fd, &d->leaf, err);
}

void vm_part_disk_served(const char *vm_uuid, struct vm_part_disk *k)
{
    free_str(&k->nbd);
    k->nbd = k->leaf ? disks_socket(vm_uuid, k->vbd->uuid) : NULL;
}

static struct disks_disk served(const struct vm_part_disk *k)
{
    struct disks_disk d = { .leaf = k->leaf,
                            .read_only = is_read_only(k),
                            .set = vbd_io_settings(k->vbd) };
    memcpy(d.id, k->vbd->uuid, sizeof(d.id));
    return d;
}

int vm_part_disk_serve(const char *vm_uuid, struct vm_part_disk *k,
                       const struct deadline *d, struct err *err)
{
    if (!k->leaf || !host_ctx.machine->has_disks)
        return 0;
    struct disks_disk disk = served(k);
    if (disks_add(vm_uuid, &disk, d, err) < 0)
        return -1;
    vm_part_disk_served(vm_uuid, k);
    return 0;
}

/* The images among the volumes, by a process of their own. */
static int serve_images(struct vm_parts *p, const struct deadline *d, struct err *err)
{
    struct disks_disk v[VMSPEC_DISKS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < p->n_disks; i++)
        if (p->disks[i].leaf)
            v[n++] = served(&p->disks[i]);
    if (n == 0 || !host_ctx.machine->has_disks)
        return 0;
    int rc = disks_start(p->vm->uuid, v, n, d, err);
    (void)FAILPOINT("vm.start.disks");
    for (size_t i = 0; i < p->n_disks && rc == 0; i++)
        vm_part_disk_served(p->vm->uuid, &p->disks[i]);
    return rc;
}

static int open_volumes(struct vm_parts *p, const struct deadline *d, struct err *err)
{
    for (size_t i = 0; i < p->n_disks; i++)
        if (vm_part_disk_open(&p->disks[i], err))
            return -1;
    return serve_images(p, d, err);
}

static const char *pinned_machine(const struct vm_rec *vm)
{
    for (size_t i = 0; i < vm->platform.n; i++)
        if (strcmp(vm->platform.v[i].key, "machine") == 0 && vm->platform.v[i].val[0])
            return vm->platform.v[i].val;
    return qemu_default_machine();
}

int vm_machine_build(const struct ref *ref, struct vm_parts *p, const struct deadline *d,
                     struct err *err)
{
    if (storage_settled(err) || copy_parts(ref, p, err)
        || (p->memory && boot_record_apply(p->vm, err)))
        return -1;
    p->accel = host_ctx.accel.name;
    p->machine = pinned_machine(p->vm);
    p->cpu = host_ctx.cpu.model;
    if (!p->vm->HVM_boot_policy[0] && p->vm->PV_kernel[0]) {
        if (resolve_boot_file(p->vm, p->vm->PV_kernel, &p->kernel, err)
            || resolve_boot_file(p->vm, p->vm->PV_ramdisk, &p->initrd, err))
            return -1;
    }
    if (take_memory((uint64_t)p->vm->memory_dynamic_max, true, err))
        return -1;
    p->promised_bytes = (uint64_t)p->vm->memory_dynamic_max;
    if (open_volumes(p, d, err) || vm_nvram_open(p, err) || vtpm_open(ref, p, err)
        || config_drive_open(p->vm, &p->config, err))
        return -1;
    for (size_t i = 0; i < p->n_nics; i++)
        if (vif_part_open(&p->nics[i], p->domid, err))
            return -1;
    struct vm_spec spec;
    if (vm_spec_build(p, &spec, err))
        return -1;
    (void)FAILPOINT("vm.start.before_machine");
    if (host_ctx.machine->start(&spec, d, err))
        return -1;
    /* The guest learns when its driver asks; a resumed one knows already. */
    return spec.memory_target_bytes < spec.memory_bytes && !p->memory
               ? host_ctx.machine->set_memory(p->vm->uuid, spec.memory_target_bytes, d, err)
               : 0;
}

static void record_boot(struct tx *tx, const struct ref *ref, struct vm_parts *p)
    REQUIRES(db_mutex)
{
    const char *key = "machine", *machine = p->machine;
    struct map_string_string *platform = &p->vm->platform;
    const struct ty *ty = schema_classes[CLASS_VM].fields[F_VM_PLATFORM].ty;
    AUTO(free_str) char *copy = str_dup(machine); /* it may lie in the map itself */
    machine = copy;
    (void)map_put(ty, platform, &key, &machine);
    AUTO(free_str) char *text = boot_record_text(p->vm);
    tx_set_str(tx, ref, CLASS_VM, F_VM_LAST_BOOTED_RECORD, text);
}

/* Say that the machine runs. The VM may have been destroyed meanwhile: power_state_reset, then destroy. */
static int record_start(struct call *call, const struct ref *ref, bool paused,
                        struct vm_parts *p, struct err *err)
{
    struct tx *tx = call_tx(call);
    vm_parts_release(p);
    if (!call_get(CLASS_VM, ref, err)) {
        tx_abort(tx);
        return -1;
    }
    tx_set_int(tx, ref, CLASS_VM, F_VM_DOMID, p->domid);
    vm_records_live(tx, ref, paused ? VM_POWER_STATE_PAUSED : VM_POWER_STATE_RUNNING);
    tx_map_put_str(tx, ref, CLASS_VM, F_VM_PLATFORM, "machine", p->machine);
    record_boot(tx, ref, p);
    tx_map_put_str(tx, ref, CLASS_VM, F_VM_LAST_BOOT_CPU_FLAGS, "vendor",
                   host_ctx.inventory.cpu_vendor);
    tx_map_put_str(tx, ref, CLASS_VM, F_VM_LAST_BOOT_CPU_FLAGS, "features",
                   host_ctx.cpu.features);
    message_add_vm(tx, MESSAGE_VM_STARTED, ref);
    return tx_commit(tx, err);
}

/* End the machine and say so. If that cannot be written (a full disk), whoever follows machines does it later. */
static int power_off(const struct ref *vm, const char *why, enum message_vm say,
                     struct err *err)
{
    struct deadline d = deadline_in(QUIT_TIMEOUT_US);
    struct machine_event gone = { .kind = MACHINE_EV_DIED, .detail = why };
    if (vm_teardown(vm, why, say, &d, err) == 0)
        return 0;
    if (vm_uuid_of(vm, gone.uuid) && host_ctx.machine->state(gone.uuid) == MACHINE_NONE)
        vm_watch_event(&gone, NULL);
    return -1;
}

int vm_power_on(struct call *call, const struct ref *ref, bool paused, struct err *err)
{
    AUTO(vm_parts_done) struct vm_parts parts = { 0 };
    struct deadline d = deadline_sooner(&call->deadline, START_TIMEOUT_US);
    if (vm_machine_build(ref, &parts, &d, err)) {
        if (parts.vm)
            IGNORE(disks_stop(parts.vm->uuid, NULL)); /* the next start tries again */
        vtpm_close(ref);
        if (parts.vm && parts.nvram > 0 && parts.vm->power_state == VM_POWER_STATE_HALTED)
            vm_nvram_drop(parts.vm->uuid); /* nothing has run: the record is as it was */
        db_lock();
        vm_parts_release(&parts);
        db_unlock();
        return parts.vm ? vm_say_ref(err, parts.vm->uuid, ref) : -1;
    }
    (void)FAILPOINT("vm.start.machine_built");
    int rc = paused ? 0 : host_ctx.machine->go(parts.vm->uuid, &d, err);
    (void)FAILPOINT("vm.start.running");
    if (rc == 0)
        rc = record_start(call, ref, paused, &parts, err);
    (void)FAILPOINT("vm.start.recorded");
    if (rc == 0)
        return 0;
    db_lock();
    vm_parts_release(&parts);
    db_unlock();
    AUTO(err_done) struct err second = { 0 };
    if (power_off(ref, "VM.start failed", MESSAGE_VM_NONE, &second)) {
        AUTO(free_str) char *text = err_text(&second);
        log_error("clearing up after a failed start of %s: %s", parts.vm->uuid, text);
    }
    return vm_say_ref(err, parts.vm->uuid, ref);
}

int op_vm_start(struct call *call, const struct vm_start_args *a, struct err *err)
{
    return vm_power_on(call, &a->vm, a->start_paused, err);
}

int op_vm_start_on(struct call *call, const struct vm_start_on_args *a, struct err *err)
{
    db_lock();
    const void *host = call_get(CLASS_HOST, &a->host, err);
    db_unlock();
    return host ? vm_power_on(call, &a->vm, a->start_paused, err) : -1;
}

/* Set the power state after the machine has changed it. */
static int record_state(struct call *call, const struct ref *vm, int state,
                        enum message_vm say, struct err *err)
{
    struct tx *tx = call_tx(call);
    if (db_get(CLASS_VM, vm)) {
        tx_set_enum(tx, vm, CLASS_VM, F_VM_POWER_STATE, state);
        message_add_vm(tx, say, vm);
        vm_refresh(tx, vm);
    }
    return tx_commit(tx, err);
}

int op_vm_pause(struct call *call, const struct vm_pause_args *a, struct err *err)
{
    char uuid[UUID_TEXT_SIZE];
    if (!vm_uuid_of(&a->vm, uuid))
        return call_gone(CLASS_VM, &a->vm, err);
    if (host_ctx.machine->pause(uuid, &call->deadline, err))
        return vm_say_ref(err, uuid, &a->vm);
    return record_state(call, &a->vm, VM_POWER_STATE_PAUSED, MESSAGE_VM_NONE, err);
}

int op_vm_unpause(struct call *call, const struct vm_unpause_args *a, struct err *err)
{
    char uuid[UUID_TEXT_SIZE];
    if (!vm_uuid_of(&a->vm, uuid))
        return call_gone(CLASS_VM, &a->vm, err);
    if (host_ctx.machine->go(uuid, &call->deadline, err))
        return vm_say_ref(err, uuid, &a->vm);
    return record_state(call, &a->vm, VM_POWER_STATE_RUNNING, MESSAGE_VM_NONE, err);
}

/* The agent's way down, where there is one: it works also for guests that ignore the button. It does not answer when it
 * obeys, so there is nothing to learn here. True: it was asked. */
static bool ask_agent(const char *uuid, const struct ref *vm, const char *mode,
                      const struct deadline *d)
{
    AUTO(free_str)
    char *command = str_fmt(
        "{\"execute\":\"guest-shutdown\",\"arguments\":{\"mode\":\"%s\"}}", mode);
    struct deadline answer = deadline_sooner(d, AGENT_US);
    AUTO(err_done) struct err why = { 0 };
    char *reply = NULL;
    db_lock();
    const struct vm_rec *rec = db_get(CLASS_VM, vm);
    const struct vm_guest_metrics_rec *gm =
        rec ? db_get(CLASS_VM_GUEST_METRICS, &rec->guest_metrics) : NULL;
    bool there = gm && gm->live;
    db_unlock();
    if (there && host_ctx.machine->agent(uuid, command, &reply, &answer, &why) == 0)
        log_debug("VM %s: its agent says %s", uuid, reply);
    free_str(&reply);
    return there;
}

/* Press the power button and wait until the guest has powered itself off. A guest that is still booting does not
 * see the button, so it is pressed again from time to time. */
static int power_button(struct call *call, const char *uuid, const struct ref *vm,
                        struct err *err)
{
    struct deadline d = deadline_sooner(&call->deadline, SHUTDOWN_TIMEOUT_US);
    bool asked = ask_agent(uuid, vm, "powerdown", &d);
    for (;;) {
        struct deadline press = deadline_sooner(&d, BUTTON_AGAIN_US);
        AUTO(err_done) struct err why = { 0 }, waiting = { 0 };
        /* The agent has its time before the button is pressed as well. */
        if (asked && host_ctx.machine->wait_off(uuid, &press, &waiting) == 0)
            return 0;
        press = deadline_sooner(&d, BUTTON_AGAIN_US);
        asked = false;
        err_done(&waiting);
        /* A machine that is gone already, by a hard_shutdown beside us, is off too. */
        if (host_ctx.machine->powerdown(uuid, &d, &why)
            && !str_eq(why.code, ERR_VM_BAD_POWER_STATE)) {
            err_move(err, &why);
            return vm_say_ref(err, uuid, vm);
        }
        if (host_ctx.machine->wait_off(uuid, &press, &waiting) == 0)
            return 0;
        char text[REF_TEXT_SIZE];
        if (call_cancelled(call)) {
            ref_text(&call->task, text);
            return err_set(err, ERR_TASK_CANCELLED, text);
        }
        if (deadline_passed(&d)) {
            ref_text(vm, text);
            AUTO(free_str)
            char *seconds = str_fmt("%d", (int)(SHUTDOWN_TIMEOUT_US / US_PER_SEC));
            return err_set(err, ERR_VM_SHUTDOWN_TIMEOUT, text, seconds);
        }
    }
}

int op_vm_clean_shutdown(struct call *call, const struct vm_clean_shutdown_args *a,
                         struct err *err)
{
    char uuid[UUID_TEXT_SIZE];
    if (!vm_uuid_of(&a->vm, uuid))
        return call_gone(CLASS_VM, &a->vm, err);
    if (power_button(call, uuid, &a->vm, err))
        return -1;
    (void)FAILPOINT("vm.clean_shutdown.off");
    return power_off(&a->vm, "VM.clean_shutdown", MESSAGE_VM_SHUTDOWN, err);
}

int op_vm_hard_shutdown(struct call *call, const struct vm_hard_shutdown_args *a,
                        struct err *err)
{
    return power_off(&a->vm, "VM.hard_shutdown", MESSAGE_VM_SHUTDOWN_FORCED, err);
}

/* Clean first; what the guest does not answer ends by force. */
int op_vm_shutdown(struct call *call, const struct vm_shutdown_args *a, struct err *err)
{
    char uuid[UUID_TEXT_SIZE];
    if (!vm_uuid_of(&a->vm, uuid))
        return call_gone(CLASS_VM, &a->vm, err);
    AUTO(err_done) struct err clean = { 0 };
    bool forced = power_button(call, uuid, &a->vm, &clean) != 0;
    if (forced && call_cancelled(call)) {
        err_move(err, &clean);
        return -1;
    }
    return power_off(&a->vm, "VM.shutdown",
                     forced ? MESSAGE_VM_SHUTDOWN_FORCED : MESSAGE_VM_SHUTDOWN, err);
}

/* The machine stays: the guest goes down, the board is reset, and runs again. */
int op_vm_clean_reboot(struct call *call, const struct vm_clean_reboot_args *a,
                       struct err *err)
{
    char uuid[UUID_TEXT_SIZE];
    if (!vm_uuid_of(&a->vm, uuid))
        return call_gone(CLASS_VM, &a->vm, err);
    if (power_button(call, uuid, &a->vm, err))
        return -1;
    (void)FAILPOINT("vm.clean_reboot.off");
    struct deadline d = deadline_in(QUIT_TIMEOUT_US);
    if (host_ctx.machine->reset(uuid, &d, err) || host_ctx.machine->go(uuid, &d, err))
        return vm_say_ref(err, uuid, &a->vm);
    return record_state(call, &a->vm, VM_POWER_STATE_RUNNING, MESSAGE_VM_REBOOTED, err);
}

int op_vm_hard_reboot(struct call *call, const struct vm_hard_reboot_args *a,
                      struct err *err)
{
    char uuid[UUID_TEXT_SIZE];
    if (!vm_uuid_of(&a->vm, uuid))
        return call_gone(CLASS_VM, &a->vm, err);
    struct deadline d = deadline_sooner(&call->deadline, QUIT_TIMEOUT_US);
    if (host_ctx.machine->reset(uuid, &d, err) || host_ctx.machine->go(uuid, &d, err))
        return vm_say_ref(err, uuid, &a->vm);
    return record_state(call, &a->vm, VM_POWER_STATE_RUNNING, MESSAGE_VM_REBOOTED_FORCED,
                        err);
}

int op_vm_power_state_reset(struct call *call, const struct vm_power_state_reset_args *a,
                            struct err *err)
{
    return power_off(&a->vm, "VM.power_state_reset", MESSAGE_VM_NONE, err);
}
