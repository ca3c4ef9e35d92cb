/* SPDX-License-Identifier: Apache-2.0 */
/* VDI: disks as objects. dispatch.c holds the operation entry; the volume work is in storage.c. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/mem.h"
#include "host/disks.h"
#include "model/ops_lock.h"
#include "ops/hooks.h"
#include "ops/lease.h"
#include "ops/ops.h"
#include "ops/recycle.h"
#include "ops/snapshot.h"
#include "ops/storage.h"
#include "ops/vm.h"

#define VDI_MAX_BYTES \
    (2040ull << 30) /* what a VHD can hold; the disk format that follows keeps to it */

#define VDI_UNIT_BYTES \
    (UINT64_C(2) << 20) /* sizes are multiples of it, as XenServer's are */

int vdi_check_size(int64_t size, struct err *err)
{
    if (size < 1)
        return err_set(err, ERR_VDI_TOO_SMALL, "OpaqueRef:NULL", "1");
    if ((uint64_t)size > VDI_MAX_BYTES)
        return err_set(err, ERR_VDI_TOO_LARGE, "OpaqueRef:NULL", "2190433320960");
    return 0;
}

int vdi_create(struct call *call, void *record, struct ref *result, struct err *err)
{
    struct vdi_rec *rec = record;
    AUTO(sr_handle_done) struct sr_handle sr = { 0 };
    if (vdi_check_size(rec->virtual_size, err) || storage_sr(&rec->SR, &sr, err))
        goto refuse;
    if (!sr.ops->volume_create) {
        char text[REF_TEXT_SIZE];
        ref_text(&rec->SR, text);
        (void)err_set(err, ERR_SR_OPERATION_NOT_SUPPORTED, text);
        goto refuse;
    }
    return storage_create_vdi(call, rec, STORAGE_ALONE, result, err);
refuse:
    record_free(&schema_classes[CLASS_VDI], rec);
    return -1;
}

int vdi_destroy(struct call *call, const struct ref *self, struct err *err)
{
    return storage_recycle_vdi(call, self, err);
}

static struct ref sr_of(const struct ref *vdi)
{
    db_lock();
    const struct vdi_rec *rec = db_get(CLASS_VDI, vdi);
    struct ref sr = rec ? rec->SR : REF_NULL;
    db_unlock();
    return sr;
}

int op_vdi_clone(struct call *call, const struct vdi_clone_args *a, struct ref *result,
                 struct err *err)
{
    return snapshot_clone(call, &a->vdi, false, 0, 1, result, err);
}

int op_vdi_snapshot(struct call *call, const struct vdi_snapshot_args *a,
                    struct ref *result, struct err *err)
{
    struct snapshot_disk d = { .kind = SNAPSHOT_TAKE, .vdi = a->vdi };
    return snapshot_one(call, &d, result, err);
}

int op_vdi_copy(struct call *call, const struct vdi_copy_args *a, struct ref *result,
                struct err *err)
{
    if (!ref_is_null(&a->into_vdi) || !ref_is_null(&a->base_vdi)) {
        (void)err_set(err, ERR_NOT_IMPLEMENTED, "VDI.copy");
        return err_detail(
            err, "copying into an existing disk or against a base is not available yet");
    }
    struct ref sr = ref_is_null(&a->sr) ? sr_of(&a->vdi) : a->sr;
    return storage_copy_vdi(call, &a->vdi, &sr, STORAGE_ALONE, 0, 1, result, err);
}

struct resize {
    struct ref vdi, vbd; /* vbd: of the machine that has it; null: none */
    struct sr_handle sr;
    uint64_t bytes;
    char volume[UUID_TEXT_SIZE], vm_uuid[UUID_TEXT_SIZE], vbd_uuid[UUID_TEXT_SIZE];
    bool raw;
};

/* One machine may have it, and writes to it: others would not learn of the new size. */
static int find_machine(struct resize *r, const struct vdi_rec *vdi, struct err *err)
    REQUIRES(db_mutex)
{
    char text[REF_TEXT_SIZE];
    for (size_t i = 0; i < vdi->VBDs.n; i++) {
        const struct vbd_rec *vbd = db_get(CLASS_VBD, &vdi->VBDs.v[i]);
        const struct vm_rec *vm = db_get(CLASS_VM, &vbd->VM);
        if (!vbd->currently_attached || !vm)
            continue;
        bool awake = vm->power_state == VM_POWER_STATE_RUNNING
                     || vm->power_state == VM_POWER_STATE_PAUSED;
        if (!ref_is_null(&r->vbd) || vbd->mode != VBD_MODE_RW || vdi->read_only || !awake) {
            ref_text(&r->vdi, text);
            (void)err_set(err, ERR_VDI_IN_USE, text, "resize");
            return err_detail(err, "a disk grows under one running machine that writes to "
                                   "it, not under several, nor where it is read-only or "
                                   "the machine is suspended");
        }
        r->vbd = vdi->VBDs.v[i];
        memcpy(r->vm_uuid, vm->uuid, sizeof(r->vm_uuid));
        memcpy(r->vbd_uuid, vbd->uuid, sizeof(r->vbd_uuid));
    }
    return 0;
}

static int plan_resize(struct resize *r, int64_t size, struct err *err)
{
    struct ref sr_ref = sr_of(&r->vdi);
    char text[REF_TEXT_SIZE];
    ref_text(&r->vdi, text);
    if (vdi_check_size(size, err) || storage_sr(&sr_ref, &r->sr, err))
        return -1;
    db_lock();
    const struct vdi_rec *rec = call_get(CLASS_VDI, &r->vdi, err);
    int64_t now = rec ? rec->virtual_size : 0;
    int rc = rec ? find_machine(r, rec, err) : -1;
    if (rec) {
        storage_volume(rec, r->volume);
        r->raw = storage_is_raw(rec);
    }
    db_unlock();
    if (rc)
        return -1;
    if (size < now) {
        AUTO(free_str) char *minimum = str_fmt("%lld", (long long)now);
        (void)err_set(err, ERR_VDI_TOO_SMALL, text, minimum);
        return err_detail(err, "a disk can only grow");
    }
    if (!r->sr.ops->volume_resize)
        return err_set(err, ERR_SR_OPERATION_NOT_SUPPORTED, text);
    r->bytes = ((uint64_t)size + VDI_UNIT_BYTES - 1) / VDI_UNIT_BYTES * VDI_UNIT_BYTES;
    return 0;
}

/* By the process that has the image open, or by the driver. */
static int grow_volume(const struct call *call, const struct resize *r, struct err *err)
{
    AUTO(err_done) struct err why = { 0 };
    char text[REF_TEXT_SIZE];
    if (ref_is_null(&r->vbd) || r->raw || !disks_serves(r->vm_uuid))
        return r->sr.ops->volume_resize(&r->sr.config, r->volume, r->bytes, err);
    if (disks_resize(r->vm_uuid, r->vbd_uuid, r->bytes, &call->deadline, &why) == 0)
        return 0;
    if (why.n_params && str_eq(why.params[0], "EBUSY")) {
        ref_text(&r->vdi, text);
        return err_set(err, ERR_VDI_IN_USE, text, "resize");
    }
    if (why.n_params && str_eq(why.params[0], "ENOSPC"))
        return err_set(err, ERR_SR_FULL, "", "");
    err_move(err, &why);
    return -1;
}

static int record_size(struct call *call, const struct resize *r, struct err *err)
{
    struct sr_volume v;
    if (r->sr.ops->stat(&r->sr.config, r->volume, &v, err))
        return -1;
    struct tx *tx = call_tx(call);
    if (db_get(CLASS_VDI, &r->vdi))
        storage_put_volume(tx, &r->vdi, &v);
    return tx_commit(tx, err);
}

static int do_resize(struct call *call, struct resize *r, struct err *err)
{
    AUTO(err_done) struct err why = { 0 };
    if (storage_pending_begin(r->volume, &r->sr, STORAGE_ALONE, NULL, err))
        return -1;
    int rc = grow_volume(call, r, err);
    (void)FAILPOINT("vdi.resize.volume");
    if (rc == 0)
        rc = record_size(call, r, err);
    storage_pending_end(r->volume);
    if (rc || ref_is_null(&r->vbd) || vm_show_disk_size(call, &r->vbd, r->bytes, &why) == 0)
        return rc;
    AUTO(free_str) char *text = err_text(&why);
    (void)err_set(err, ERR_OPERATION_PARTIALLY_FAILED, "VDI.resize");
    return err_detail(err,
                      "the disk has its new size, but the running machine has not seen it "
                      "(%s): repeat the call, or reboot the VM",
                      text);
}

int op_vdi_resize(struct call *call, const struct vdi_resize_args *a, struct err *err)
{
    struct resize r = { .vdi = a->vdi };
    if (storage_settled(err))
        return -1;
    AUTO(lease_cleanup) struct lease *lease = lease_take(&a->vdi, err);
    if (!lease)
        return -1;
    int rc = plan_resize(&r, a->size, err) ? -1 : do_resize(call, &r, err);
    sr_handle_done(&r.sr);
    return rc;
}

int op_vdi_update(struct call *call, const struct vdi_update_args *a, struct err *err)
{
    AUTO(sr_handle_done) struct sr_handle sr = { 0 };
    struct ref sr_ref = sr_of(&a->vdi);
    char volume[UUID_TEXT_SIZE];
    db_lock();
    const struct vdi_rec *rec = call_get(CLASS_VDI, &a->vdi, err);
    if (rec)
        storage_volume(rec, volume);
    db_unlock();
    struct sr_volume v;
    if (!rec || storage_sr(&sr_ref, &sr, err) || sr.ops->stat(&sr.config, volume, &v, err))
        return -1;
    struct tx *tx = call_tx(call);
    if (db_get(CLASS_VDI, &a->vdi))
        storage_put_volume(tx, &a->vdi, &v);
    return tx_commit(tx, err);
}

/* Forget the record, keep the volume. */
int op_vdi_forget(struct call *call, const struct vdi_forget_args *a, struct err *err)
{
    struct tx *tx = call_tx(call);
    const struct vdi_rec *vdi = db_get(CLASS_VDI, &a->vdi);
    while (vdi && vdi->VBDs.n) {
        struct ref vbd = vdi->VBDs.v[0];
        tx_destroy(tx, &vbd);
    }
    if (vdi)
        tx_destroy(tx, &a->vdi);
    return tx_commit(tx, err);
}

/* ---- known to storage and not yet to the database --------------------------------------------------------- */

/* The uuid is the volume's, so that it is its own again whatever brings it back. */
static int check_introduced(const struct vdi_introduce_args *a, const struct sr_handle *sr,
                            struct sr_volume *v, struct err *err)
{
    const char *location = a->location[0] ? a->location : a->uuid;
    struct uuid u;
    struct ref other;
    char text[REF_TEXT_SIZE];
    if (!uuid_parse(a->uuid, &u))
        return err_set(err, ERR_UUID_INVALID, "VDI", a->uuid);
    ref_text(&a->SR, text);
    if (!sr->ops->volume_child) /* of a library: a scan finds what is there */
        return err_set(err, ERR_SR_OPERATION_NOT_SUPPORTED, text);
    if (!uuid_parse(location, &u))
        return err_set(err, ERR_VDI_LOCATION_MISSING, text, location);
    db_lock();
    bool taken = storage_vdi_of(location, &other) || recycle_holds(location)
                 || db_find_uuid(CLASS_VDI, a->uuid, &other);
    db_unlock();
    if (taken || storage_is_pending(location))
        return err_set(err, ERR_LOCATION_NOT_UNIQUE, text, location);
    return sr->ops->stat(&sr->config, location, v, NULL)
               ? err_set(err, ERR_VDI_LOCATION_MISSING, text, location)
               : 0;
}

static struct vdi_rec *introduced(const struct vdi_introduce_args *a,
                                  const struct sr_volume *v)
{
    const struct field_def *f = schema_classes[CLASS_VDI].fields;
    struct vdi_rec *rec = storage_vdi_new(&a->SR, a->name_label, v->virtual_size_bytes);
    str_put(&rec->uuid, a->uuid);
    str_put(&rec->location, v->uuid);
    str_put(&rec->name_description, a->name_description);
    rec->type = a->type;
    rec->sharable = a->sharable;
    rec->read_only = a->read_only || v->read_only;
    rec->managed = true;
    value_done(f[F_VDI_OTHER_CONFIG].ty, &rec->other_config);
    value_copy(f[F_VDI_OTHER_CONFIG].ty, &rec->other_config, &a->other_config);
    value_done(f[F_VDI_XENSTORE_DATA].ty, &rec->xenstore_data);
    value_copy(f[F_VDI_XENSTORE_DATA].ty, &rec->xenstore_data, &a->xenstore_data);
    rec->is_a_snapshot = a->is_a_snapshot;
    rec->snapshot_time = a->snapshot_time;
    rec->snapshot_of = a->snapshot_of;
    return rec;
}

int op_vdi_introduce(struct call *call, const struct vdi_introduce_args *a,
                     struct ref *result, struct err *err)
{
    AUTO(sr_handle_done) struct sr_handle sr = { 0 };
    struct sr_volume v = { 0 };
    struct ref other;
    if (storage_settled(err) || storage_sr(&a->SR, &sr, err)
        || check_introduced(a, &sr, &v, err))
        return -1;
    struct tx *tx = call_tx(call);
    bool here = call_get(CLASS_SR, &a->SR, err) != NULL;
    bool lost = !ref_is_null(&a->snapshot_of) && !db_get(CLASS_VDI, &a->snapshot_of);
    if (!here || lost || storage_vdi_of(v.uuid, &other)
        || db_find_uuid(CLASS_VDI, a->uuid, &other)) {
        tx_abort(tx);
        char text[REF_TEXT_SIZE];
        ref_text(&a->SR, text);
        return !here  ? -1
               : lost ? call_gone(CLASS_VDI, &a->snapshot_of, err)
                      : err_set(err, ERR_LOCATION_NOT_UNIQUE, text, v.uuid);
    }
    *result = tx_create(tx, CLASS_VDI, introduced(a, &v), NULL);
    storage_put_volume(tx, result, &v);
    storage_put_space(tx, &sr);
    op_refresh(tx, CLASS_VDI, result);
    op_refresh(tx, CLASS_SR, &a->SR);
    return tx_commit(tx, err);
}

/* Kept for clients: there is no cache of shared disks that it could keep the disk out of. */
int op_vdi_set_allow_caching(struct call *call, const struct vdi_set_allow_caching_args *a,
                             struct err *err)
{
    return call_set(call, CLASS_VDI, &a->self, F_VDI_ALLOW_CACHING, &a->value, err);
}

int op_vdi_set_on_boot(struct call *call, const struct vdi_set_on_boot_args *a,
                       struct err *err)
{
    char text[REF_TEXT_SIZE];
    struct ref sr = sr_of(&a->self);
    if (a->value != ON_BOOT_RESET)
        return call_set(call, CLASS_VDI, &a->self, F_VDI_ON_BOOT, &a->value, err);
    ref_text(&sr, text);
    (void)err_set(err, ERR_SR_OPERATION_NOT_SUPPORTED, text);
    return err_detail(err, "disks of this storage do not begin anew by themselves; take a "
                           "snapshot and revert to it");
}

int op_vdi_set_name_label(struct call *call, const struct vdi_set_name_label_args *a,
                          struct err *err)
{
    return call_set(call, CLASS_VDI, &a->self, F_VDI_NAME_LABEL, &a->value, err);
}

int op_vdi_set_name_description(struct call *call,
                                const struct vdi_set_name_description_args *a,
                                struct err *err)
{
    return call_set(call, CLASS_VDI, &a->self, F_VDI_NAME_DESCRIPTION, &a->value, err);
}

int op_vdi_set_read_only(struct call *call, const struct vdi_set_read_only_args *a,
                         struct err *err)
{
    return call_set(call, CLASS_VDI, &a->self, F_VDI_READ_ONLY, &a->value, err);
}

int op_vdi_set_sharable(struct call *call, const struct vdi_set_sharable_args *a,
                        struct err *err)
{
    return call_set(call, CLASS_VDI, &a->self, F_VDI_SHARABLE, &a->value, err);
}

/* ---- databases of pools ---------------------------------------------------------------------------------- */

/* No disk holds a copy of a pool's database that could be read here. */
int op_vdi_open_database(struct call *call, const struct vdi_open_database_args *a,
                         struct ref *result, struct err *err)
{
    (void)call, (void)result;
    const struct ty *ty = schema_classes[CLASS_VDI].fields[F_VDI_TYPE].ty;
    char text[REF_TEXT_SIZE];
    int type = VDI_TYPE_USER;
    ref_text(&a->self, text);
    db_lock();
    const struct vdi_rec *vdi = call_get(CLASS_VDI, &a->self, err);
    if (vdi)
        type = vdi->type;
    db_unlock();
    if (!vdi)
        return -1;
    const char *name = ty->enm->values[type];
    if (type != VDI_TYPE_METADATA)
        return err_set(err, ERR_VDI_INCOMPATIBLE_TYPE, text, name);
    return err_set(err, ERR_COULD_NOT_IMPORT_DATABASE,
                   "this host does not read databases of other pools");
}

/* Of those that were read, which are none. */
int op_vdi_read_database_pool_uuid(struct call *call,
                                   const struct vdi_read_database_pool_uuid_args *a,
                                   const char **result, struct err *err)
{
    (void)call, (void)a, (void)err;
    str_put(result, "");
    return 0;
}
