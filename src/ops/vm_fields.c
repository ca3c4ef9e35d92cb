/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of a VM that have calls of their own, because only the daemon may write them. Where an operation is needed for a
 * change, dispatch holds it. Any thread. */
#include <string.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/mem.h"
#include "model/ops_lock.h"
#include "ops/boot_record.h"
#include "ops/vm.h"

/* ---- high availability: what the owner wishes, kept even where nothing can follow it ------------------- */

static int set_priority(struct call *call, const struct ref *self, const char *value,
                        struct err *err)
{
    if (!str_eq(value, "restart") && !str_eq(value, "best-effort") && value[0])
        return err_set(err, ERR_INVALID_VALUE, "ha_restart_priority", value);
    struct tx *tx = call_tx(call);
    if (db_get(CLASS_VM, self)) {
        tx_set_str(tx, self, CLASS_VM, F_VM_HA_RESTART_PRIORITY, value);
        tx_set_bool(tx, self, CLASS_VM, F_VM_HA_ALWAYS_RUN, str_eq(value, "restart"));
    }
    return tx_commit(tx, err);
}

int op_vm_set_ha_restart_priority(struct call *call,
                                  const struct vm_set_ha_restart_priority_args *a,
                                  struct err *err)
{
    return set_priority(call, &a->self, a->value, err);
}

int op_vm_set_ha_always_run(struct call *call, const struct vm_set_ha_always_run_args *a,
                            struct err *err)
{
    return set_priority(call, &a->self, a->value ? "restart" : "", err);
}

/* A VM that only this host could run, and why. */
int op_vm_assert_agile(struct call *call, const struct vm_assert_agile_args *a,
                       struct err *err)
{
    (void)call;
    char text[REF_TEXT_SIZE];
    int rc = -1;
    db_lock();
    const struct vm_rec *vm = call_get(CLASS_VM, &a->self, err);
    for (size_t i = 0; vm && i < vm->VBDs.n; i++) {
        const struct vbd_rec *vbd = db_get(CLASS_VBD, &vm->VBDs.v[i]);
        const struct vdi_rec *vdi = db_get(CLASS_VDI, &vbd->VDI);
        const struct sr_rec *sr = vdi ? db_get(CLASS_SR, &vdi->SR) : NULL;
        if (!sr || sr->shared)
            continue;
        ref_text(&vdi->SR, text);
        (void)err_set(err, ERR_HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED, text);
        goto out;
    }
    rc = vm ? 0 : -1;
out:
    db_unlock();
    return rc;
}

/* ---- firmware memory ----------------------------------------------------------------------------------- */

int op_vm_set_nvram(struct call *call, const struct vm_set_nvram_args *a, struct err *err)
{
    struct tx *tx = call_tx(call);
    if (db_get(CLASS_VM, &a->self))
        tx_set(tx, &a->self, CLASS_VM, F_VM_NVRAM, &a->value);
    return tx_commit(tx, err);
}

int op_vm_add_to_nvram(struct call *call, const struct vm_add_to_nvram_args *a,
                       struct err *err)
{
    const struct ty *ty = schema_classes[CLASS_VM].fields[F_VM_NVRAM].ty;
    struct tx *tx = call_tx(call);
    const struct vm_rec *vm = call_get(CLASS_VM, &a->self, err);
    if (!vm || map_find(ty, &vm->NVRAM, &a->key) != SIZE_MAX) {
        char text[REF_TEXT_SIZE];
        ref_text(&a->self, text);
        tx_abort(tx);
        return vm ? err_set(err, ERR_MAP_DUPLICATE_KEY, "VM", "NVRAM", text, a->key) : -1;
    }
    tx_map_put_str(tx, &a->self, CLASS_VM, F_VM_NVRAM, a->key, a->value);
    return tx_commit(tx, err);
}

int op_vm_remove_from_nvram(struct call *call, const struct vm_remove_from_nvram_args *a,
                            struct err *err)
{
    struct tx *tx = call_tx(call);
    if (db_get(CLASS_VM, &a->self))
        tx_map_remove(tx, &a->self, CLASS_VM, F_VM_NVRAM, a->key);
    return tx_commit(tx, err);
}

/* ---- others -------------------------------------------------------------------------------------------- */

/* The record, with what its machine was built from where that has been changed since. */
int op_vm_get_boot_record(struct call *call, const struct vm_get_boot_record_args *a,
                          struct vm_rec **result, struct err *err)
{
    (void)call;
    db_lock();
    const struct vm_rec *vm = call_get(CLASS_VM, &a->self, err);
    if (vm) {
        record_free(&schema_classes[CLASS_VM], *result);
        *result = record_copy(&schema_classes[CLASS_VM], vm);
    }
    db_unlock();
    return vm ? boot_record_apply(*result, err) : -1;
}

int op_vm_set_has_vendor_device(struct call *call,
                                const struct vm_set_has_vendor_device_args *a,
                                struct err *err)
{
    struct tx *tx = call_tx(call);
    const struct vm_rec *vm = call_get(CLASS_VM, &a->self, err);
    if (!vm || vm->power_state != VM_POWER_STATE_HALTED) {
        char text[REF_TEXT_SIZE];
        const char *is = vm ? vm_state_name(vm->power_state) : NULL;
        ref_text(&a->self, text);
        tx_abort(tx);
        return vm ? err_set(err, ERR_VM_BAD_POWER_STATE, text, "halted", is) : -1;
    }
    tx_set_bool(tx, &a->self, CLASS_VM, F_VM_HAS_VENDOR_DEVICE, a->value);
    return tx_commit(tx, err);
}

int op_vm_set_snapshot_schedule(struct call *call,
                                const struct vm_set_snapshot_schedule_args *a,
                                struct err *err)
{
    char text[REF_TEXT_SIZE];
    struct tx *tx = call_tx(call);
    const struct vmss_rec *r = ref_is_null(&a->value)
                                   ? NULL
                                   : call_get(CLASS_VMSS, &a->value, err);
    const struct vm_rec *vm = call_get(CLASS_VM, &a->self, err);
    bool fits = vm && (r || ref_is_null(&a->value));
    ref_text(&a->self, text);
    if (fits && r && vm->is_a_template)
        fits = err_set(err, ERR_VM_IS_TEMPLATE, text) == 0;
    if (!fits) {
        tx_abort(tx);
        return -1;
    }
    tx_set_ref(tx, &a->self, CLASS_VM, F_VM_SNAPSHOT_SCHEDULE, &a->value);
    return tx_commit(tx, err);
}

int op_vm_set_appliance(struct call *call, const struct vm_set_appliance_args *a,
                        struct err *err)
{
    struct tx *tx = call_tx(call);
    if (!ref_is_null(&a->value) && !call_get(CLASS_VM_APPLIANCE, &a->value, err)) {
        tx_abort(tx);
        return -1;
    }
    const struct vm_rec *vm = db_get(CLASS_VM, &a->self);
    struct ref before = vm ? vm->appliance : REF_NULL;
    if (vm) {
        tx_set_ref(tx, &a->self, CLASS_VM, F_VM_APPLIANCE, &a->value);
        vm_refresh(tx, &a->self);
    }
    if (!ref_is_null(&before) && !ref_eq(&before, &a->value))
        op_refresh(tx, CLASS_VM_APPLIANCE, &before);
    return tx_commit(tx, err);
}

/* ---- what the firmware says about itself ---------------------------------------------------------------- */

#define BIOS_STRING_MAX 512

static int check_bios_strings(const struct map_string_string *map, struct err *err)
{
    for (size_t i = 0; i < map->n; i++) {
        const char *key = map->v[i].key, *val = map->v[i].val;
        AUTO(free_str) char *why = NULL;
        if (!vm_bios_string_known(key))
            return err_set(err, ERR_INVALID_VALUE, key, "Unknown key");
        if (!val[0])
            return err_set(err, ERR_INVALID_VALUE, key, "Value provided is empty");
        if (strlen(val) > BIOS_STRING_MAX)
            why = str_fmt("%s has length more than %d characters", val, BIOS_STRING_MAX);
        for (const char *p = val; !why && *p; p++)
            if (*p < ' ' || *p > '~')
                why = str_fmt("%s has non-printable ASCII characters", val);
        if (why)
            return err_set(err, ERR_INVALID_VALUE, key, why);
    }
    return 0;
}

/* They are set once: a guest's licence may hang on them. host: where they come from, NULL: from the caller. */
static int put_bios_strings(struct call *call, const struct ref *self,
                            const struct map_string_string *strings, const struct ref *host,
                            struct err *err)
{
    struct tx *tx = call_tx(call);
    const struct vm_rec *vm = call_get(CLASS_VM, self, err);
    const struct host_rec *from = vm && host ? call_get(CLASS_HOST, host, err) : NULL;
    if (!vm || (host && !from) || vm->bios_strings.n) {
        bool set = vm && vm->bios_strings.n && (!host || from);
        tx_abort(tx);
        return set ? err_set(err, ERR_VM_BIOS_STRINGS_ALREADY_SET) : -1;
    }
    tx_set(tx, self, CLASS_VM, F_VM_BIOS_STRINGS, from ? &from->bios_strings : strings);
    if (host)
        tx_set_ref(tx, self, CLASS_VM, F_VM_AFFINITY, host);
    return tx_commit(tx, err);
}

int op_vm_set_bios_strings(struct call *call, const struct vm_set_bios_strings_args *a,
                           struct err *err)
{
    if (check_bios_strings(&a->value, err))
        return -1;
    return put_bios_strings(call, &a->self, &a->value, NULL, err);
}

int op_vm_copy_bios_strings(struct call *call, const struct vm_copy_bios_strings_args *a,
                            struct err *err)
{
    return put_bios_strings(call, &a->vm, NULL, &a->host, err);
}
