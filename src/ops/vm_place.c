/* SPDX-License-Identifier: Apache-2.0 */
/* Where a VM could run: on a host, in an amount of memory, and in the pool of another session. Any thread. */
#include "api/errors.h"
#include "api/ops.h"
#include "base/mem.h"
#include "ops/vm.h"

/* ---- on this host -------------------------------------------------------------------------------------- */

static bool sr_plugged(const struct sr_rec *sr, const struct ref *host) REQUIRES(db_mutex)
{
    for (size_t i = 0; i < sr->PBDs.n; i++) {
        const struct pbd_rec *pbd = db_get(CLASS_PBD, &sr->PBDs.v[i]);
        if (pbd->currently_attached && (!host || ref_eq(&pbd->host, host)))
            return true;
    }
    return false;
}

/* VM_REQUIRES_SR(vm, sr) for the first disk whose storage is not plugged. host NULL: on any host. */
static int check_storage(const struct ref *ref, const struct vm_rec *vm,
                         const struct ref *host, struct err *err) REQUIRES(db_mutex)
{
    char vm_text[REF_TEXT_SIZE], sr_text[REF_TEXT_SIZE];
    for (size_t i = 0; i < vm->VBDs.n; i++) {
        const struct vbd_rec *vbd = db_get(CLASS_VBD, &vm->VBDs.v[i]);
        const struct vdi_rec *vdi = db_get(CLASS_VDI, &vbd->VDI);
        const struct sr_rec *sr = vdi ? db_get(CLASS_SR, &vdi->SR) : NULL;
        if (!sr || sr_plugged(sr, host))
            continue;
        ref_text(ref, vm_text);
        ref_text(&vdi->SR, sr_text);
        return err_set(err, ERR_VM_REQUIRES_SR, vm_text, sr_text);
    }
    return 0;
}

int op_vm_assert_can_boot_here(struct call *call,
                               const struct vm_assert_can_boot_here_args *a,
                               struct err *err)
{
    (void)call;
    char text[REF_TEXT_SIZE];
    struct vm_rec *copy = NULL;
    db_lock();
    const struct vm_rec *vm = call_get(CLASS_VM, &a->self, err);
    const struct host_rec *host = vm ? call_get(CLASS_HOST, &a->host, err) : NULL;
    ref_text(&a->host, text);
    if (host && !host->enabled)
        (void)err_set(err, ERR_HOST_DISABLED, text);
    else if (host && check_storage(&a->self, vm, &a->host, err) == 0)
        copy = record_copy(&schema_classes[CLASS_VM], vm);
    db_unlock();
    if (!copy)
        return -1;
    int rc = vm_check_memory(copy, err);
    record_free(&schema_classes[CLASS_VM], copy);
    return rc;
}

/* The most that memory_static_max may be so that the machine fits into total: whole MiB; nothing is kept for each VM. */
int op_vm_maximise_memory(struct call *call, const struct vm_maximise_memory_args *a,
                          int64_t *result, struct err *err)
{
    (void)call, (void)err;
    *result = a->total > 0 ? a->total & ~((INT64_C(1) << 20) - 1) : 0;
    return 0;
}

/* ---- in the pool of another session -------------------------------------------------------------------- */

/* The session must exist: its pool is this one, as a session of another database cannot be opened here. */
static int check_session(const struct ref *session, struct err *err) REQUIRES(db_mutex)
{
    char text[REF_TEXT_SIZE];
    if (db_get(CLASS_SESSION, session))
        return 0;
    ref_text(session, text);
    return err_set(err, ERR_SESSION_INVALID, text);
}

static void add_missing(const struct vm_rec *vm, struct set_ref *out) REQUIRES(db_mutex)
{
    const struct ty *ty = schema_classes[CLASS_SR].fields[F_SR_VDIS].ty; /* a set of refs */
    for (size_t i = 0; i < vm->VBDs.n; i++) {
        const struct vbd_rec *vbd = db_get(CLASS_VBD, &vm->VBDs.v[i]);
        const struct vdi_rec *vdi = db_get(CLASS_VDI, &vbd->VDI);
        const struct sr_rec *sr = vdi ? db_get(CLASS_SR, &vdi->SR) : NULL;
        if (sr && !sr_plugged(sr, NULL))
            (void)set_add(ty, out, &vdi->SR);
    }
}

int op_vm_assert_can_be_recovered(struct call *call,
                                  const struct vm_assert_can_be_recovered_args *a,
                                  struct err *err)
{
    (void)call;
    db_lock();
    const struct vm_rec *vm = call_get(CLASS_VM, &a->self, err);
    int rc = vm ? check_session(&a->session_to, err) : -1;
    if (rc == 0)
        rc = check_storage(&a->self, vm, NULL, err);
    db_unlock();
    return rc;
}

int op_vm_get_srs_required_for_recovery(
    struct call *call, const struct vm_get_srs_required_for_recovery_args *a,
    struct set_ref *result, struct err *err)
{
    (void)call;
    db_lock();
    const struct vm_rec *vm = call_get(CLASS_VM, &a->self, err);
    int rc = vm ? check_session(&a->session_to, err) : -1;
    if (rc == 0)
        add_missing(vm, result);
    db_unlock();
    return rc;
}

int op_vm_appliance_assert_can_be_recovered(
    struct call *call, const struct vm_appliance_assert_can_be_recovered_args *a,
    struct err *err)
{
    (void)call;
    db_lock();
    const struct vm_appliance_rec *group = call_get(CLASS_VM_APPLIANCE, &a->self, err);
    int rc = group ? check_session(&a->session_to, err) : -1;
    for (size_t i = 0; rc == 0 && i < group->VMs.n; i++)
        rc = check_storage(&group->VMs.v[i], db_get(CLASS_VM, &group->VMs.v[i]), NULL, err);
    db_unlock();
    return rc;
}

int op_vm_appliance_get_srs_required_for_recovery(
    struct call *call, const struct vm_appliance_get_srs_required_for_recovery_args *a,
    struct set_ref *result, struct err *err)
{
    (void)call;
    db_lock();
    const struct vm_appliance_rec *group = call_get(CLASS_VM_APPLIANCE, &a->self, err);
    int rc = group ? check_session(&a->session_to, err) : -1;
    for (size_t i = 0; rc == 0 && i < group->VMs.n; i++)
        add_missing(db_get(CLASS_VM, &group->VMs.v[i]), result);
    db_unlock();
    return rc;
}
