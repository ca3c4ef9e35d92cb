/* SPDX-License-Identifier: Apache-2.0 */
/* Where the memory of a VM's UEFI firmware is. A start makes the file from VM.NVRAM, durable before the machine can write to
 * it; the end of a machine puts the file into the record with the same change set that says Halted, and then removes it. So of
 * a halted VM the record is right and there is no file, but for a death in between: vm_nvram_settle() then does it
 * before the API answers, and a client's VM.set_NVRAM is never overruled by an older file. */
#include <string.h>

#include "base/mem.h"
#include "base/vec.h"
#include "host/nvram.h"
#include "ops/host_ctx.h"
#include "ops/vm.h"

#define KEY "EFI-variables" /* as XenServer names them */

static const char *recorded(const struct vm_rec *vm)
{
    for (size_t i = 0; i < vm->NVRAM.n; i++)
        if (str_eq(vm->NVRAM.v[i].key, KEY))
            return vm->NVRAM.v[i].val;
    return NULL;
}

int vm_nvram_open(struct vm_parts *p, struct err *err)
{
    enum vm_firmware firmware;
    bool secure;
    if (vm_spec_firmware(p->vm, &firmware, &secure, err))
        return -1;
    if (firmware != VM_FIRMWARE_UEFI || !host_ctx.machine->has_disks)
        return 0;
    p->secure_boot = secure;
    /* One that sleeps has the file that its memory was saved beside. */
    if (p->vm->power_state == VM_POWER_STATE_SUSPENDED
        && nvram_open(host_ctx.state_dir, p->vm->uuid, &p->nvram))
        return 0;
    return nvram_make(host_ctx.state_dir, p->vm->uuid, recorded(p->vm), secure, &p->nvram,
                      err);
}

void vm_nvram_record(struct tx *tx, const struct ref *vm, const struct vm_rec *rec)
{
    AUTO(free_str) char *text = nvram_text(host_ctx.state_dir, rec->uuid);
    const char *old = recorded(rec);
    if (text && !str_eq(text, old ? old : ""))
        tx_map_put_str(tx, vm, CLASS_VM, F_VM_NVRAM, KEY, text);
}

void vm_nvram_drop(const char *uuid)
{
    nvram_remove(host_ctx.state_dir, uuid);
}

struct names {
    VEC(char *) v;
};

static void note(const char *uuid, void *arg)
{
    struct names *names = arg;
    vec_push(&names->v, str_dup(uuid));
}

/* One that is suspended goes on with the file that it has. */
static int settle(const char *uuid, struct err *err)
{
    struct ref ref;
    struct tx *tx = daemon_tx("start-up");
    const struct vm_rec *vm = db_find_uuid(CLASS_VM, uuid, &ref) ? db_get(CLASS_VM, &ref)
                                                                 : NULL;
    bool keep = vm && vm->power_state != VM_POWER_STATE_HALTED;
    if (vm && !keep)
        vm_nvram_record(tx, &ref, vm);
    if (tx_commit(tx, err))
        return -1;
    if (!keep)
        vm_nvram_drop(uuid);
    return 0;
}

int vm_nvram_settle(struct err *err)
{
    struct names names = { 0 };
    int rc = 0;
    nvram_each(host_ctx.state_dir, note, &names);
    for (size_t i = 0; i < names.v.n; i++) {
        if (rc == 0)
            rc = settle(names.v.v[i], err);
        free_str(&names.v.v[i]);
    }
    vec_done(&names.v);
    return rc;
}
