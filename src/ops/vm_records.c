/* SPDX-License-Identifier: Apache-2.0 */
/* The records around a VM's power state, always brought to what is true of the machine, in one change set:
 * power_state, residence, consoles, metrics, what is attached. Both directions are idempotent, so every path (start,
 * stop, adoption after a crash, a machine that died) ends here. */
#include "ops/vm.h"

#include <string.h>

#include "api/errors.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "host/disks.h"
#include "model/ops_lock.h"
#include "ops/host_ctx.h"
#include "ops/vif.h"
#include "ops/vm_memory.h"

bool vm_uuid_of(const struct ref *vm, char out[static UUID_TEXT_SIZE])
{
    db_lock();
    const struct vm_rec *rec = db_get(CLASS_VM, vm);
    if (rec)
        memcpy(out, rec->uuid, UUID_TEXT_SIZE);
    db_unlock();
    return rec != NULL;
}

/* By the host's address, as clients are told it. Given. */
static char *console_location(const char *uuid) REQUIRES(db_mutex)
{
    struct ref ref = db_host_ref();
    const struct host_rec *host = db_get(CLASS_HOST, &ref);
    bool tls = host_ctx.https_address[0] != '\0';
    const char *address = host ? host->address : "127.0.0.1",
               *port = strrchr(tls ? host_ctx.https_address : host_ctx.http_address, ':');
    if (!port || str_eq(port, tls ? ":443" : ":80"))
        port = "";
    return str_fmt(strchr(address, ':') ? "%s://[%s]%s/console?uuid=%s"
                                        : "%s://%s%s/console?uuid=%s",
                   tls ? "https" : "http", address, port, uuid);
}

static void make_console(struct tx *tx, const struct ref *vm, int protocol)
    REQUIRES(db_mutex)
{
    struct console_rec *c = record_new(&schema_classes[CLASS_CONSOLE]);
    struct uuid u = uuid_new();
    char uuid[UUID_TEXT_SIZE];
    uuid_text(&u, uuid);
    str_put(&c->uuid, uuid);
    c->protocol = protocol;
    c->VM = *vm;
    str_give(&c->location, console_location(uuid));
    (void)tx_create(tx, CLASS_CONSOLE, c, NULL);
}

void vm_console_locate(struct tx *tx, const struct ref *console)
{
    const struct console_rec *c = db_get(CLASS_CONSOLE, console);
    AUTO(free_str) char *location = console_location(c->uuid);
    tx_set_str(tx, console, CLASS_CONSOLE, F_CONSOLE_LOCATION, location);
}

int vm_say_ref(struct err *err, const char *uuid, const struct ref *ref)
{
    char text[REF_TEXT_SIZE];
    ref_text(ref, text);
    for (size_t i = 0; err && i < err->n_params; i++)
        if (str_eq(err->params[i], uuid)) {
            free_str(&err->params[i]);
            err->params[i] = str_dup(text);
        }
    return -1;
}

static void attached_vbd(struct tx *tx, const struct ref *ref, bool attached)
    REQUIRES(db_mutex)
{
    const struct vbd_rec *vbd = db_get(CLASS_VBD, ref);
    unsigned position;
    char name[8];
    if (attached && vm_device_position(vbd->userdevice, &position)) {
        vm_device_name(position, name);
        tx_set_str(tx, ref, CLASS_VBD, F_VBD_DEVICE, name);
    }
    tx_set_bool(tx, ref, CLASS_VBD, F_VBD_CURRENTLY_ATTACHED, attached);
    op_refresh(tx, CLASS_VBD, ref);
    if (!ref_is_null(&vbd->VDI))
        op_refresh(tx, CLASS_VDI, &vbd->VDI);
}

void vm_records_attached(struct tx *tx, enum class_id cls, const struct ref *device,
                         bool attached)
{
    if (cls == CLASS_VBD) {
        attached_vbd(tx, device, attached);
    } else {
        tx_set_bool(tx, device, CLASS_VIF, F_VIF_CURRENTLY_ATTACHED, attached);
        op_refresh(tx, CLASS_VIF, device);
    }
}

/* Attached flags of the VM's devices; a device gets its name when it is attached. */
static void set_devices(struct tx *tx, const struct vm_rec *vm, bool attached)
    REQUIRES(db_mutex)
{
    for (size_t i = 0; i < vm->VBDs.n; i++)
        vm_records_attached(tx, CLASS_VBD, &vm->VBDs.v[i], attached);
    for (size_t i = 0; i < vm->VIFs.n; i++)
        vm_records_attached(tx, CLASS_VIF, &vm->VIFs.v[i], attached);
}

/* What may be done with them has changed. */
static void refresh_devices(struct tx *tx, const struct vm_rec *vm) REQUIRES(db_mutex)
{
    for (size_t i = 0; i < vm->VBDs.n; i++) {
        struct ref vdi = ((const struct vbd_rec *)db_get(CLASS_VBD, &vm->VBDs.v[i]))->VDI;
        op_refresh(tx, CLASS_VBD, &vm->VBDs.v[i]);
        if (!ref_is_null(&vdi))
            op_refresh(tx, CLASS_VDI, &vdi);
    }
    for (size_t i = 0; i < vm->VIFs.n; i++)
        op_refresh(tx, CLASS_VIF, &vm->VIFs.v[i]);
}

/* started: just now; else what runs is adopted, and only what is volatile is said again. */
static void set_metrics(struct tx *tx, const struct vm_rec *vm, bool live, bool started)
    REQUIRES(db_mutex)
{
    if (ref_is_null(&vm->metrics))
        return;
    const struct ref *m = &vm->metrics;
    tx_set_int(tx, m, CLASS_VM_METRICS, F_VM_METRICS_MEMORY_ACTUAL,
               live ? vm->memory_target : 0);
    tx_set_int(tx, m, CLASS_VM_METRICS, F_VM_METRICS_VCPUS_NUMBER,
               live ? vm->VCPUs_at_startup : 0);
    tx_set_int(tx, m, CLASS_VM_METRICS, F_VM_METRICS_LAST_UPDATED, clock_wall_us());
    tx_set_bool(tx, m, CLASS_VM_METRICS, F_VM_METRICS_HVM, true);
    tx_set_enum(tx, m, CLASS_VM_METRICS, F_VM_METRICS_CURRENT_DOMAIN_TYPE,
                live ? DOMAIN_TYPE_HVM : DOMAIN_TYPE_UNSPECIFIED);
    if (started)
        tx_set_int(tx, m, CLASS_VM_METRICS, F_VM_METRICS_START_TIME, clock_wall_us());
}

/* domid is a small number that changes with each start, as clients expect of it. */
int64_t vm_next_domid(void)
{
    static int64_t max GUARDED_BY(db_mutex);
    for (struct db_iter it = db_first(CLASS_VM); it.rec; db_next(&it))
        max = MAX(max, ((const struct vm_rec *)it.rec)->domid);
    return ++max;
}

void vm_refresh(struct tx *tx, const struct ref *ref)
{
    const struct vm_rec *vm = db_get(CLASS_VM, ref);
    op_refresh(tx, CLASS_VM, ref);
    if (vm && !ref_is_null(&vm->appliance))
        op_refresh(tx, CLASS_VM_APPLIANCE, &vm->appliance);
}

void vm_records_live(struct tx *tx, const struct ref *ref, int power_state)
{
    const struct vm_rec *vm = db_get(CLASS_VM, ref);
    struct ref host = db_host_ref();
    bool was_live = vm->power_state == VM_POWER_STATE_RUNNING
                    || vm->power_state == VM_POWER_STATE_PAUSED;
    bool slept = vm->power_state == VM_POWER_STATE_SUSPENDED;
    tx_set_enum(tx, ref, CLASS_VM, F_VM_POWER_STATE, power_state);
    tx_set_ref(tx, ref, CLASS_VM, F_VM_RESIDENT_ON, &host);
    if (!was_live && vm->domid < 0)
        tx_set_int(tx, ref, CLASS_VM, F_VM_DOMID, vm_next_domid());
    if (!was_live && !slept) {
        tx_set_int(tx, ref, CLASS_VM, F_VM_MEMORY_TARGET, vm->memory_dynamic_max);
    }
    set_metrics(tx, vm, true, !was_live);
    for (size_t i = 0; i < vm->consoles.n; i++) /* we may listen elsewhere since */
        vm_console_locate(tx, &vm->consoles.v[i]);
    if (vm->consoles.n == 0) {
        make_console(tx, ref, CONSOLE_PROTOCOL_RFB);
        make_console(tx, ref, CONSOLE_PROTOCOL_VT100);
    }
    if (!was_live && !slept) /* a device made since the start waits for the next one */
        set_devices(tx, vm, true);
    else if (slept)
        refresh_devices(tx, vm);
    vm_refresh(tx, ref);
}

/* It runs nowhere. */
static void gone(struct tx *tx, const struct ref *ref, int power_state) REQUIRES(db_mutex)
{
    const struct vm_rec *vm = db_get(CLASS_VM, ref);
    struct ref none = REF_NULL;
    while (vm->consoles.n) {
        struct ref console = vm->consoles.v[0];
        tx_destroy(tx, &console);
    }
    if (!ref_is_null(&vm->guest_metrics)) {
        struct ref gm = vm->guest_metrics;
        tx_set_ref(tx, ref, CLASS_VM, F_VM_GUEST_METRICS, &none);
        tx_destroy(tx, &gm);
    }
    if (vm->power_state != VM_POWER_STATE_HALTED)
        set_metrics(tx, vm, false, false);
    tx_set_enum(tx, ref, CLASS_VM, F_VM_POWER_STATE, power_state);
    tx_set_ref(tx, ref, CLASS_VM, F_VM_RESIDENT_ON, &none);
    tx_set_int(tx, ref, CLASS_VM, F_VM_DOMID, -1);
}

void vm_records_halted(struct tx *tx, const struct ref *ref)
{
    gone(tx, ref, VM_POWER_STATE_HALTED);
    set_devices(tx, db_get(CLASS_VM, ref), false);
    vm_refresh(tx, ref);
}

void vm_records_suspended(struct tx *tx, const struct ref *ref)
{
    gone(tx, ref, VM_POWER_STATE_SUSPENDED);
    refresh_devices(tx, db_get(CLASS_VM, ref));
    vm_refresh(tx, ref);
}

int vm_teardown(const struct ref *vm, const char *why, enum message_vm say,
                const struct deadline *d, struct err *err)
{
    char uuid[UUID_TEXT_SIZE] = "";
    if (vm_uuid_of(vm, uuid)
        && (host_ctx.machine->destroy(uuid, d, err) || disks_stop(uuid, err)))
        return -1;
    vtpm_close(vm);
    (void)FAILPOINT("vm.teardown.no_machine");
    vif_gone(vm);
    struct tx *tx = daemon_tx(why);
    const struct vm_rec *rec = db_get(CLASS_VM, vm);
    if (rec && rec->power_state != VM_POWER_STATE_HALTED)
        message_add_vm(tx, say, vm);
    if (rec) {
        vm_nvram_record(tx, vm, rec);
        vm_records_halted(tx, vm);
    }
    if (tx_commit(tx, err))
        return -1;
    (void)FAILPOINT("vm.teardown.recorded");
    if (uuid[0])
        vm_nvram_drop(uuid);
    vm_memory_forget(vm);
    return 0;
}
