/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of VMs on disks. A suspend goes: disk (with an intent), stop, stream, head, all durable; then one change set that
 * says "Suspended"; then the machine ends. Who dies before the change set leaves a machine that stands still and a disk that
 * is nobody's: boot lets the one go on and removes the other. Who dies after it leaves a machine that boot ends.
 *
 * A resume goes: machine, stream into it, then one change set that says "Running" (from here on the disk is worth nothing,
 * since the guest may write to its disks), go, and the disk goes. Who dies before the change set leaves a machine that boot
 * ends; after it, one that boot lets go. dispatch holds the VM's operation. */
#include "ops/vm_memory.h"

#include <string.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/vec.h"
#include "host/disks.h"
#include "model/ops_lock.h"
#include "ops/guest.h"
#include "ops/host_ctx.h"
#include "ops/storage.h"
#include "ops/vif.h"

#define SAVE_US \
    (24 * 3600 * US_PER_SEC) /* as long as it takes; the task can be cancelled */
#define END_US  (20 * US_PER_SEC)
#define LIST_US (5 * US_PER_SEC)
#define MIB     (UINT64_C(1) << 20)
/* Beside the memory: the screen's (16 MiB), firmware and devices. */
#define BESIDE (64 * MIB)
/* A live stream goes over memory again until it is this often as long as the memory; then the guest stands still. */
#define ROUNDS 3

/* For the daemon's own work with disks. */
static struct call own_call(void)
{
    return (struct call){ .def = schema_call("VM.suspend"),
                          .task = ref_new(),
                          .deadline = deadline_in(SAVE_US) };
}

static int cancelled(const struct call *call, struct err *err)
{
    char text[REF_TEXT_SIZE];
    ref_text(&call->task, text);
    err_done(err);
    return err_set(err, ERR_TASK_CANCELLED, text);
}

/* ---- the disk ------------------------------------------------------------------------------------------ */

/* The VM's own choice, then the host's, then the pool's. */
static int choose_sr(const struct ref *ref, struct ref *out, uint64_t *bytes,
                     struct err *err)
{
    char text[REF_TEXT_SIZE];
    db_lock();
    const struct vm_rec *vm = call_get(CLASS_VM, ref, err);
    struct ref host_ref = db_host_ref(), pool_ref = db_pool_ref();
    const struct host_rec *host = db_get(CLASS_HOST, &host_ref);
    const struct pool_rec *pool = db_get(CLASS_POOL, &pool_ref);
    const struct ref choices[] = { vm ? vm->suspend_SR : REF_NULL,
                                   host ? host->suspend_image_sr : REF_NULL,
                                   pool ? pool->suspend_image_SR : REF_NULL };
    *out = REF_NULL;
    for (size_t i = ARRAY_SIZE(choices); i-- > 0;)
        if (db_get(CLASS_SR, &choices[i]))
            *out = choices[i];
    *bytes = vm ? (uint64_t)MAX(vm->memory_static_max, vm->memory_dynamic_max) : 0;
    db_unlock();
    ref_text(ref, text);
    if (vm && ref_is_null(out))
        (void)err_set(err, ERR_VM_NO_SUSPEND_SR, text);
    return vm && !ref_is_null(out) ? 0 : -1;
}

static int make_disk(struct call *call, const struct ref *vm, bool live,
                     uint64_t *memory_out, struct ref *result, struct err *err)
{
    AUTO(sr_handle_done) struct sr_handle h = { 0 };
    struct ref sr;
    if (choose_sr(vm, &sr, memory_out, err) || storage_sr(&sr, &h, err))
        return -1;
    if (!h.ops->volume_image || !h.ops->volume_child) {
        char text[REF_TEXT_SIZE];
        ref_text(&sr, text);
        return err_set(err, ERR_SR_OPERATION_NOT_SUPPORTED, text);
    }
    /* Thin: what is not needed takes no space. */
    uint64_t size = MEMORY_IMAGE_HEAD + BESIDE
                    + *memory_out * (live ? ROUNDS + 2 : 1) * 65 / 64;
    struct vdi_rec *rec = storage_vdi_new(&sr, "Suspend image",
                                          (size + MIB - 1) & ~(MIB - 1));
    str_put(&rec->name_description, "The memory of a virtual machine");
    rec->type = VDI_TYPE_SUSPEND;
    return storage_create_vdi(call, rec, STORAGE_FOR_VM, result, err);
}

static void drop_disk(struct call *call, const struct ref *vdi)
{
    AUTO(err_done) struct err why = { 0 };
    if (storage_destroy_vdi(call, vdi, &why)) {
        AUTO(free_str) char *text = err_text(&why);
        log_warn("a disk with memory stays: %s", text);
    }
}

bool vm_memory_kept(const struct ref *vdi)
{
    for (struct db_iter it = db_first(CLASS_VM); it.rec; db_next(&it)) {
        const struct vm_rec *vm = it.rec;
        if (ref_eq(&vm->suspend_VDI, vdi) && vm->power_state == VM_POWER_STATE_SUSPENDED)
            return true;
    }
    return false;
}

void vm_memory_forget(const struct ref *ref)
{
    struct call call = own_call();
    db_lock();
    const struct vm_rec *vm = db_get(CLASS_VM, ref);
    struct ref vdi = vm && vm->power_state != VM_POWER_STATE_SUSPENDED ? vm->suspend_VDI
                                                                       : REF_NULL;
    db_unlock();
    if (ref_is_null(&vdi))
        return;
    AUTO(err_done) struct err why = { 0 };
    if (op_begin_forced(CLASS_VDI, &vdi, "destroy", &call.task, &why) == 0) {
        drop_disk(&call, &vdi);
        op_end(CLASS_VDI, &vdi, &call.task);
        return;
    }
    /* Somebody copies it: it is theirs now. */
    struct ref none = REF_NULL;
    struct tx *tx = call_tx(&call);
    if (db_get(CLASS_VM, ref))
        tx_set_ref(tx, ref, CLASS_VM, F_VM_SUSPEND_VDI, &none);
    IGNORE(tx_commit(tx, NULL));
}

void vm_memory_settle(void)
{
    VEC(struct ref) stale = { 0 };
    db_lock();
    for (struct db_iter it = db_first(CLASS_VM); it.rec; db_next(&it)) {
        const struct vm_rec *vm = it.rec;
        if (!ref_is_null(&vm->suspend_VDI) && vm->power_state != VM_POWER_STATE_SUSPENDED)
            vec_push(&stale, it.ref);
    }
    db_unlock();
    for (size_t i = 0; i < stale.n; i++)
        vm_memory_forget(&stale.v[i]);
    vec_done(&stale);
}

int vm_memory_disown(const struct ref *vm, struct ref *vdi_out, struct err *err)
{
    AUTO(sr_handle_done) struct sr_handle sr = { 0 };
    char volume[UUID_TEXT_SIZE] = "";
    db_lock();
    const struct vm_rec *rec = db_get(CLASS_VM, vm);
    const struct vdi_rec *vdi = rec ? db_get(CLASS_VDI, &rec->suspend_VDI) : NULL;
    *vdi_out = vdi ? rec->suspend_VDI : REF_NULL;
    struct ref sr_ref = vdi ? vdi->SR : REF_NULL;
    if (vdi)
        storage_volume(vdi, volume);
    db_unlock();
    if (!vdi)
        return 0;
    return storage_sr(&sr_ref, &sr, err)
                   || storage_pending_begin(volume, &sr, STORAGE_FOR_VM, NULL, err)
               ? -1
               : 0;
}

void vm_memory_disowned(struct call *call, const struct ref *vdi, bool gone)
{
    if (ref_is_null(vdi))
        return;
    if (gone)
        drop_disk(call, vdi);
    else
        storage_owned(vdi, 1);
}

/* ---- saving -------------------------------------------------------------------------------------------- */

/* Where each device is, by its slot: their records may be others when the memory is used. */
static void list_devices(const struct vm_rec *vm, const struct machine_devices *all,
                         struct memory_head *h) REQUIRES(db_mutex)
{
    for (unsigned i = 0; i < all->n; i++) {
        struct memory_device *d = &h->devices[h->n_devices];
        enum class_id cls = all->v[i].is_nic ? CLASS_VIF : CLASS_VBD;
        struct ref ref;
        if (!db_find_uuid(cls, all->v[i].id, &ref))
            continue;
        const void *rec = db_get(cls, &ref);
        const char *at = cls == CLASS_VIF ? ((const struct vif_rec *)rec)->device
                                          : ((const struct vbd_rec *)rec)->userdevice;
        *d = (struct memory_device){ .is_nic = all->v[i].is_nic,
                                     .has_rom = all->v[i].has_rom,
                                     .queues = all->v[i].queues,
                                     .bus = all->v[i].bus };
        if (vm_device_position(at, &d->slot))
            h->n_devices++;
    }
    const struct vm_metrics_rec *m = db_get(CLASS_VM_METRICS, &vm->metrics);
    h->scsi_queues = all->scsi_queues;
    h->vcpus = all->vcpus ? all->vcpus
                          : (unsigned)(m && m->VCPUs_number > 0 ? m->VCPUs_number
                                                                : vm->VCPUs_at_startup);
}

static int describe(const struct ref *ref, const char *uuid, struct memory_head *h,
                    struct err *err)
{
    struct deadline d = deadline_in(LIST_US);
    AUTO(free_ptr) struct machine_devices *all = mem_alloc(sizeof(*all));
    (void)host_ctx.machine->devices(uuid, all, &d); /* the fake has none */
    *h = (struct memory_head){ .disk_ports = all->disk_ports, .nic_ports = all->nic_ports };
    memcpy(h->accel, host_ctx.accel.name,
           MIN(strlen(host_ctx.accel.name), sizeof(h->accel) - 1));
    db_lock();
    const struct vm_rec *vm = call_get(CLASS_VM, ref, err);
    if (vm)
        list_devices(vm, all, h);
    db_unlock();
    return vm ? 0 : -1;
}

struct saving {
    struct call *call;
    int (*paused)(void *arg, struct err *err);
    void *arg;
    bool saved; /* the machine stands still */
};

static void tell_progress(double fraction, void *arg)
{
    const struct saving *s = arg;
    call_progress(s->call, fraction * 0.9);
}

static int tell_paused(void *arg, struct err *err)
{
    const struct saving *s = arg;
    return s->paused(s->arg, err);
}

/* The machine's words for what it cannot do become ours. */
static int not_saved(const struct call *call, const struct ref *vm, struct err *err,
                     struct err *cause)
{
    char text[REF_TEXT_SIZE];
    if (err->code) /* it was the volume */
        return -1;
    if (call_cancelled(call))
        return cancelled(call, err);
    ref_text(vm, text);
    if (!str_eq(cause->code, ERR_OPERATION_NOT_ALLOWED)) {
        err_move(err, cause);
        return -1;
    }
    (void)err_set(err, ERR_VM_NON_SUSPENDABLE, text,
                  cause->n_params ? cause->params[0] : "");
    return cause->detail ? err_detail(err, "%s", cause->detail) : -1;
}

static int stream_out(struct saving *s, const struct ref *vm, bool live, uint64_t memory,
                      struct vm_memory *m, struct err *err)
{
    AUTO(err_done) struct err cause = { 0 };
    AUTO(free_ptr) struct memory_head *head = mem_alloc(sizeof(*head));
    AUTO(close_fd) int fd = -1;
    struct sr_image *image = storage_image(&m->vdi, true, err);
    struct memory_image *stream = image ? memory_image_write(image, &fd, err) : NULL;
    struct machine_save how = { .fd = fd,
                                .live = live,
                                .live_bytes_max = memory * ROUNDS,
                                .paused = s->paused ? tell_paused : NULL,
                                .progress = tell_progress,
                                .arg = s };
    if (!stream)
        return -1;
    int rc = describe(vm, m->uuid, head, &cause);
    if (rc == 0)
        rc = host_ctx.machine->save(m->uuid, &how, &m->saved, &s->call->deadline, &cause);
    s->saved = rc == 0;
    if (rc == 0 && live) { /* before anything else: it stands still */
        struct deadline d = deadline_in(END_US);
        rc = host_ctx.machine->go(m->uuid, &d, &cause);
    }
    close_fd(&fd); /* the stream ends when nobody has the machine's end any more */
    if (rc) {
        (void)memory_image_written(stream, NULL, err);
        return not_saved(s->call, vm, err, &cause);
    }
    (void)FAILPOINT("vm.memory.saved");
    return memory_image_written(stream, head, err);
}

void vm_memory_undo(struct call *call, const struct vm_memory *m)
{
    struct deadline d = deadline_in(END_US);
    AUTO(err_done) struct err why = { 0 };
    if (host_ctx.machine->save_undo(m->uuid, &d, &why)) {
        AUTO(free_str) char *text = err_text(&why);
        log_error("VM %s does not go on: %s", m->uuid, text);
    }
    drop_disk(call, &m->vdi);
}

int vm_memory_save(struct call *call, const struct ref *vm, bool live,
                   int (*paused)(void *arg, struct err *err), void *arg,
                   struct vm_memory *out, struct err *err)
{
    struct saving s = { .call = call, .paused = paused, .arg = arg };
    uint64_t memory = 0;
    *out = (struct vm_memory){ 0 };
    if (!vm_uuid_of(vm, out->uuid))
        return call_gone(CLASS_VM, vm, err);
    if (make_disk(call, vm, live, &memory, &out->vdi, err))
        return -1;
    (void)FAILPOINT("vm.memory.disk");
    if (stream_out(&s, vm, live, memory, out, err) == 0)
        return 0;
    if (s.saved)
        vm_memory_undo(call, out);
    else /* save() has it go on again when it fails */
        drop_disk(call, &out->vdi);
    return vm_say_ref(err, out->uuid, vm);
}

/* ---- VM.suspend ---------------------------------------------------------------------------------------- */

static int record_suspended(struct call *call, const struct ref *vm, const struct ref *vdi,
                            struct err *err)
{
    struct tx *tx = call_tx(call);
    if (!call_get(CLASS_VM, vm, err)) {
        tx_abort(tx);
        return -1;
    }
    tx_set_ref(tx, vm, CLASS_VM, F_VM_SUSPEND_VDI, vdi);
    vm_nvram_record(tx, vm, db_get(CLASS_VM, vm));
    vm_records_suspended(tx, vm);
    op_refresh(tx, CLASS_VDI, vdi);
    message_add_vm(tx, MESSAGE_VM_SUSPENDED, vm);
    return tx_commit(tx, err);
}

/* What stays of it is ended when it is resumed, or by the next start of the daemon. */
static void end_machine(const struct ref *vm, const char *uuid)
{
    struct deadline d = deadline_in(END_US);
    AUTO(err_done) struct err why = { 0 };
    if (host_ctx.machine->destroy(uuid, &d, &why) == 0 && disks_stop(uuid, &why) == 0) {
        vif_gone(vm);
        vtpm_close(vm);
        vm_nvram_drop(uuid); /* the record has it, and the memory too */
        return;
    }
    AUTO(free_str) char *text = err_text(&why);
    log_error("the machine of VM %s, which is suspended, does not end: %s", uuid, text);
}

int vm_suspend(struct call *call, const struct ref *vm, struct err *err)
{
    struct vm_memory m;
    if (vm_memory_save(call, vm, false, NULL, NULL, &m, err))
        return -1;
    (void)FAILPOINT("vm.suspend.saved");
    if (record_suspended(call, vm, &m.vdi, err)) {
        vm_memory_undo(call, &m);
        return -1;
    }
    (void)FAILPOINT("vm.suspend.recorded");
    storage_owned(&m.vdi, 1);
    end_machine(vm, m.uuid);
    return 0;
}

int op_vm_suspend(struct call *call, const struct vm_suspend_args *a, struct err *err)
{
    return vm_suspend(call, &a->vm, err);
}

/* ---- VM.resume ----------------------------------------------------------------------------------------- */

static struct sr_image *open_memory(const struct ref *vdi, struct memory_head *head,
                                    struct err *err)
{
    char text[REF_TEXT_SIZE];
    ref_text(vdi, text);
    db_lock();
    bool there = db_get(CLASS_VDI, vdi) != NULL;
    db_unlock();
    if (!there) {
        (void)err_set(err, ERR_SUSPEND_IMAGE_NOT_ACCESSIBLE, text);
        return NULL;
    }
    struct sr_image *image = storage_image(vdi, false, err);
    if (image && memory_image_head(image, text, head, err)) {
        sr_image_close(image);
        return NULL;
    }
    return image;
}

int vm_memory_head(const struct ref *vdi, struct memory_head *out, struct err *err)
{
    struct sr_image *image = open_memory(vdi, out, err);
    sr_image_close(image);
    return image ? 0 : -1;
}

/* image: taken. */
static int stream_in(const char *uuid, struct sr_image *image,
                     const struct memory_head *head, const struct deadline *d,
                     struct err *err)
{
    AUTO(close_fd) int fd = -1;
    AUTO(err_done) struct err cause = { 0 };
    struct memory_image *stream = memory_image_read(image, head, &fd, err);
    if (!stream)
        return -1;
    int rc = host_ctx.machine->load(uuid, fd, d, &cause);
    if (memory_image_was_read(stream, err))
        return -1;
    if (rc)
        err_move(err, &cause);
    return rc;
}

static int check_accel(const struct ref *vm, const struct memory_head *head,
                       struct err *err)
{
    char text[REF_TEXT_SIZE], host[REF_TEXT_SIZE];
    if (str_eq(head->accel, host_ctx.accel.name))
        return 0;
    ref_text(vm, text);
    db_lock();
    struct ref here = db_host_ref();
    db_unlock();
    ref_text(&here, host);
    AUTO(free_str)
    char *why = str_fmt("it was suspended under %s, and this host uses %s", head->accel,
                        host_ctx.accel.name);
    return err_set(err, ERR_VM_INCOMPATIBLE_WITH_THIS_HOST, text, host, why);
}

static int record_resumed(struct call *call, const struct ref *vm, bool paused,
                          struct vm_parts *parts, struct err *err)
{
    struct tx *tx = call_tx(call);
    vm_parts_release(parts);
    if (!call_get(CLASS_VM, vm, err)) {
        tx_abort(tx);
        return -1;
    }
    tx_set_int(tx, vm, CLASS_VM, F_VM_DOMID, parts->domid);
    vm_records_live(tx, vm, paused ? VM_POWER_STATE_PAUSED : VM_POWER_STATE_RUNNING);
    message_add_vm(tx, MESSAGE_VM_RESUMED, vm);
    return tx_commit(tx, err);
}

/* A machine that is ready to go, and the record that says that it went. */
static int bring_back(struct call *call, const struct ref *vm, bool paused,
                      struct sr_image *image, struct vm_parts *parts, struct err *err)
{
    AUTO(sr_image_cleanup) struct sr_image *mine = image;
    if (vm_machine_build(vm, parts, &call->deadline, err))
        return -1;
    (void)FAILPOINT("vm.resume.built");
    if (stream_in(parts->vm->uuid, TAKE(mine), parts->memory, &call->deadline, err))
        return -1;
    (void)FAILPOINT("vm.resume.loaded");
    return record_resumed(call, vm, paused, parts, err);
}

/* The guest never ran: it is suspended still, with the memory that it had. */
static int let_go(struct call *call, const struct ref *vm, const struct ref *vdi,
                  const char *uuid, struct err *err)
{
    AUTO(err_done) struct err why = { 0 };
    struct deadline d = deadline_in(END_US);
    if (host_ctx.machine->go(uuid, &d, err) == 0)
        return 0;
    end_machine(vm, uuid);
    if (record_suspended(call, vm, vdi, &why)) {
        AUTO(free_str) char *text = err_text(&why);
        log_error("VM %s did not resume, and its record does not say so: %s", uuid, text);
    }
    return -1;
}

int vm_resume(struct call *call, const struct ref *vm, bool paused, struct err *err)
{
    AUTO(vm_parts_done) struct vm_parts parts = { 0 };
    AUTO(free_ptr) struct memory_head *head = mem_alloc(sizeof(*head));
    char uuid[UUID_TEXT_SIZE] = "";
    db_lock();
    const struct vm_rec *rec = call_get(CLASS_VM, vm, err);
    struct ref vdi = rec ? rec->suspend_VDI : REF_NULL;
    if (rec)
        memcpy(uuid, rec->uuid, sizeof(uuid));
    db_unlock();
    if (!rec)
        return -1;
    struct sr_image *image = open_memory(&vdi, head, err);
    if (!image || check_accel(vm, head, err)) {
        sr_image_close(image);
        return -1;
    }
    end_machine(vm, uuid); /* what a suspend could not end */
    parts.memory = head;
    int rc = bring_back(call, vm, paused, image, &parts, err);
    db_lock();
    vm_parts_release(&parts);
    db_unlock();
    if (rc) {
        end_machine(vm, uuid);
        if (call_cancelled(call))
            return cancelled(call, err);
        return vm_say_ref(err, uuid, vm);
    }
    (void)FAILPOINT("vm.resume.recorded");
    if (!paused && let_go(call, vm, &vdi, uuid, err))
        return vm_say_ref(err, uuid, vm);
    (void)FAILPOINT("vm.resume.running");
    vm_memory_forget(vm);
    guest_resumed(uuid);
    return 0;
}

int op_vm_resume(struct call *call, const struct vm_resume_args *a, struct err *err)
{
    return vm_resume(call, &a->vm, a->start_paused, err);
}

int op_vm_resume_on(struct call *call, const struct vm_resume_on_args *a, struct err *err)
{
    db_lock();
    const void *host = call_get(CLASS_HOST, &a->host, err);
    db_unlock();
    return host ? vm_resume(call, &a->vm, a->start_paused, err) : -1;
}

/* ---- VM.set_suspend_VDI -------------------------------------------------------------------------------- */

static int check_new_memory(const struct ref *self, const struct ref *vdi, struct err *err)
    REQUIRES(db_mutex)
{
    char text[REF_TEXT_SIZE];
    const struct vm_rec *vm = call_get(CLASS_VM, self, err);
    const struct vdi_rec *rec = vm ? call_get(CLASS_VDI, vdi, err) : NULL;
    if (!rec)
        return -1;
    ref_text(self, text);
    if (vm->power_state != VM_POWER_STATE_SUSPENDED)
        return err_set(err, ERR_VM_BAD_POWER_STATE, text, "suspended",
                       vm_state_name(vm->power_state));
    ref_text(vdi, text);
    bool own = ref_eq(&vm->suspend_VDI, vdi);
    if (!own && (rec->VBDs.n || rec->current_operations.n || vm_memory_kept(vdi)))
        return err_set(err, ERR_VDI_IN_USE, text, "set_suspend_VDI");
    return 0;
}

/* The disk that it had stays, as an ordinary one. */
int op_vm_set_suspend_vdi(struct call *call, const struct vm_set_suspend_vdi_args *a,
                          struct err *err)
{
    AUTO(free_ptr) struct memory_head *head = mem_alloc(sizeof(*head));
    db_lock();
    int rc = check_new_memory(&a->self, &a->value, err);
    db_unlock();
    if (rc || vm_memory_head(&a->value, head, err))
        return -1;
    struct tx *tx = call_tx(call);
    if (check_new_memory(&a->self, &a->value, err)) {
        tx_abort(tx);
        return -1;
    }
    struct ref before = ((const struct vm_rec *)db_get(CLASS_VM, &a->self))->suspend_VDI;
    tx_set_ref(tx, &a->self, CLASS_VM, F_VM_SUSPEND_VDI, &a->value);
    op_refresh(tx, CLASS_VDI, &a->value);
    if (db_get(CLASS_VDI, &before))
        op_refresh(tx, CLASS_VDI, &before);
    return tx_commit(tx, err);
}
