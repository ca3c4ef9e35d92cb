/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual TPMs of VMs. The file of a TPM is made before its record and goes after it, so a death in between leaves a file that no
 * record names; vtpm_settle() removes those before the API answers. */
#include <string.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "host/tpm.h"
#include "model/ops_lock.h"
#include "ops/call.h"
#include "ops/host_ctx.h"
#include "ops/vm.h"

static bool platform_wants(const struct vm_rec *vm)
{
    for (size_t i = 0; i < vm->platform.n; i++)
        if (str_eq(vm->platform.v[i].key, "vtpm"))
            return str_eq(vm->platform.v[i].val, "true");
    return false;
}

static struct vtpm_rec *new_vtpm(bool unique)
{
    struct vtpm_rec *rec = record_new(&schema_classes[CLASS_VTPM]);
    struct uuid u = uuid_new();
    char uuid[UUID_TEXT_SIZE];
    uuid_text(&u, uuid);
    str_put(&rec->uuid, uuid);
    rec->is_unique = unique;
    return rec;
}

/* May it get one now? */
static int check(const struct ref *vm_ref, struct err *err) REQUIRES(db_mutex)
{
    const struct vm_rec *vm = call_get(CLASS_VM, vm_ref, err);
    if (!vm)
        return -1;
    if (vm->VTPMs.n)
        return err_set(err, ERR_VTPM_MAX_AMOUNT_REACHED, "1");
    if (vm->power_state == VM_POWER_STATE_HALTED && !vm_starting(vm))
        return 0;
    char text[REF_TEXT_SIZE];
    ref_text(vm_ref, text);
    return err_set(err, ERR_VM_BAD_POWER_STATE, text, "halted",
                   vm->power_state == VM_POWER_STATE_PAUSED ? "paused" : "running");
}

static int create(struct call *call, const struct ref *vm, bool unique, struct ref *result,
                  struct err *err)
{
    struct vtpm_rec *rec = new_vtpm(unique);
    AUTO(free_str) char *uuid = str_dup(rec->uuid);
    db_lock();
    int rc = check(vm, err);
    db_unlock();
    if (rc || tpm_make(host_ctx.state_dir, uuid, NULL, err)) {
        record_free(&schema_classes[CLASS_VTPM], rec);
        return -1;
    }
    (void)FAILPOINT("vtpm.create.file");
    struct tx *tx = call_tx(call);
    if (check(vm, err)) { /* another call was faster */
        tx_abort(tx);
        record_free(&schema_classes[CLASS_VTPM], rec);
        rc = -1;
    } else {
        rec->VM = *vm;
        *result = tx_create(tx, CLASS_VTPM, rec, NULL);
        rc = tx_commit(tx, err);
    }
    if (rc)
        tpm_remove(host_ctx.state_dir, uuid);
    return rc;
}

int op_vtpm_create(struct call *call, const struct vtpm_create_args *a, struct ref *result,
                   struct err *err)
{
    return create(call, &a->vM, a->is_unique, result, err);
}

int op_vtpm_destroy(struct call *call, const struct vtpm_destroy_args *a, struct err *err)
{
    struct tx *tx = call_tx(call);
    const struct vtpm_rec *rec = call_get(CLASS_VTPM, &a->self, err);
    const struct vm_rec *vm = rec ? db_get(CLASS_VM, &rec->VM) : NULL;
    if (!rec || (vm && (vm->power_state != VM_POWER_STATE_HALTED || vm_starting(vm)))) {
        char text[REF_TEXT_SIZE] = "";
        if (rec)
            ref_text(&rec->VM, text);
        tx_abort(tx);
        return rec ? err_set(err, ERR_VM_BAD_POWER_STATE, text, "halted", "running") : -1;
    }
    AUTO(free_str) char *uuid = str_dup(rec->uuid);
    tx_destroy(tx, &a->self);
    if (tx_commit(tx, err))
        return -1;
    (void)FAILPOINT("vtpm.destroy.recorded");
    tpm_remove(host_ctx.state_dir, uuid);
    return 0;
}

int vtpm_provision(struct call *call, const struct ref *vm_ref, struct err *err)
{
    struct ref ignored;
    db_lock();
    const struct vm_rec *vm = db_get(CLASS_VM, vm_ref);
    bool wanted = vm && platform_wants(vm) && !vm->VTPMs.n;
    db_unlock();
    return wanted ? create(call, vm_ref, false, &ignored, err) : 0;
}

/* The uuid of its TPM; false: it has none. */
static bool of_vm(const struct ref *vm_ref, char out[static UUID_TEXT_SIZE],
                  bool *unique_out)
{
    db_lock();
    const struct vm_rec *vm = db_get(CLASS_VM, vm_ref);
    const struct vtpm_rec *rec = vm && vm->VTPMs.n ? db_get(CLASS_VTPM, &vm->VTPMs.v[0])
                                                   : NULL;
    if (rec) {
        memcpy(out, rec->uuid, UUID_TEXT_SIZE);
        *unique_out = rec->is_unique;
    }
    db_unlock();
    return rec != NULL;
}

int vtpm_open(const struct ref *vm, struct vm_parts *p, struct err *err)
{
    char uuid[UUID_TEXT_SIZE];
    bool unique;
    if (!host_ctx.machine->has_disks || !of_vm(vm, uuid, &unique))
        return 0;
    return tpm_start(host_ctx.state_dir, uuid, p->vm->uuid, &p->tpm, err);
}

void vtpm_close(const struct ref *vm)
{
    char uuid[UUID_TEXT_SIZE];
    bool unique;
    if (host_ctx.machine->has_disks && of_vm(vm, uuid, &unique))
        tpm_end(uuid);
}

struct vtpm_rec *vtpm_copy(const struct ref *vm, struct err *err)
{
    char uuid[UUID_TEXT_SIZE];
    bool unique;
    if (!of_vm(vm, uuid, &unique) || unique)
        return NULL;
    struct vtpm_rec *rec = new_vtpm(false);
    if (tpm_make(host_ctx.state_dir, rec->uuid, uuid, err) == 0)
        return rec;
    record_free(&schema_classes[CLASS_VTPM], rec);
    return NULL;
}

void vtpm_forget(const char *uuid)
{
    tpm_remove(host_ctx.state_dir, uuid);
}

static void settle(const char *uuid, void *arg)
{
    struct ref ref;
    (void)arg;
    db_lock();
    bool known = db_find_uuid(CLASS_VTPM, uuid, &ref);
    db_unlock();
    if (!known)
        tpm_remove(host_ctx.state_dir, uuid);
}

void vtpm_settle(void)
{
    tpm_each(host_ctx.state_dir, settle, NULL);
}
