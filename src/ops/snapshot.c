/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots, clones and the way back, of disks. The caller holds the operations. After the split a disk's own record may
 * name a volume that is not written to any more; then its LEAF intent says where it goes on, and is settled at once when
 * the caller cannot commit, or at the next use of the disk, or at the next start. Any thread; no lock held across I/O. */
#include "ops/snapshot.h"

#include <assert.h>
#include <string.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "host/disks.h"
#include "model/ops_lock.h"
#include "ops/cbt.h"
#include "ops/lease.h"

static void new_volume(char out[static UUID_TEXT_SIZE])
{
    struct uuid u = uuid_new();
    uuid_text(&u, out);
}

/* The process that is writing to the disk, if there is one. */
static void find_server(const struct vdi_rec *vdi, struct snapshot_disk *d)
    REQUIRES(db_mutex)
{
    for (size_t i = 0; i < vdi->VBDs.n; i++) {
        const struct vbd_rec *vbd = db_get(CLASS_VBD, &vdi->VBDs.v[i]);
        const struct vm_rec *vm = db_get(CLASS_VM, &vbd->VM);
        if (!vbd->currently_attached || vbd->mode != VBD_MODE_RW || !vm)
            continue;
        memcpy(d->vm, vm->uuid, sizeof(d->vm));
        memcpy(d->vbd, vbd->uuid, sizeof(d->vbd));
    }
}

static int plan(struct snapshot_disk *d, struct err *err)
{
    struct ref sr = REF_NULL;
    bool fixed = false, gone = false;
    d->lease = lease_take(&d->vdi, err);
    if (!d->lease)
        return -1;
    if (d->kind == SNAPSHOT_BACK && !(d->of_lease = lease_take(&d->of, err)))
        return -1;
    db_lock();
    const struct vdi_rec *vdi = call_get(CLASS_VDI, &d->vdi, err);
    if (vdi) {
        sr = vdi->SR;
        fixed = vdi->is_a_snapshot; /* not written to: it stays in its volume */
        storage_volume(vdi, d->volume);
        find_server(vdi, d);
        cbt_log(vdi, d->log);
        d->tracked = d->logged = vdi->cbt_enabled && !fixed;
        d->bytes = (uint64_t)vdi->virtual_size;
    }
    if (vdi && d->kind == SNAPSHOT_BACK) {
        const struct vdi_rec *of = call_get(CLASS_VDI, &d->of, err);
        gone = !of;
        if (of)
            storage_volume(of, d->old);
        d->tracked = of && of->cbt_enabled;
    }
    db_unlock();
    if (!vdi || gone || storage_sr(&sr, &d->sr, err))
        return -1;
    assert(d->sr.ops); /* the analyzer does not follow storage_sr's promise */
    if (!d->sr.ops->volume_child) {
        char text[REF_TEXT_SIZE];
        ref_text(&sr, text);
        return err_set(err, ERR_SR_OPERATION_NOT_SUPPORTED, text);
    }
    if (!fixed)
        new_volume(d->leaf);
    if (fixed || d->kind != SNAPSHOT_TAKE)
        new_volume(d->fresh);
    return 0;
}

static int check_served(struct snapshot_disk *d, struct err *err)
{
    struct sr_volume v;
    char text[REF_TEXT_SIZE];
    if (d->sr.ops->stat(&d->sr.config, d->volume, &v, err))
        return -1;
    if (!d->vm[0] || !d->leaf[0] || !disks_serves(d->vm)) {
        d->vm[0] = '\0';
        return 0;
    }
    if (!v.raw)
        return 0;
    ref_text(&d->vdi, text);
    (void)err_set(err, ERR_VDI_IN_USE, text, "snapshot");
    return err_detail(err, "a raw disk can be snapshot while no machine writes to it");
}

static int declare(struct snapshot_disk *d, struct err *err)
{
    if (d->leaf[0] && storage_pending_begin(d->leaf, &d->sr, STORAGE_LEAF, d->volume, err))
        return -1;
    if (d->fresh[0]
        && storage_pending_begin(d->fresh, &d->sr,
                                 d->for_vm ? STORAGE_FOR_VM : STORAGE_ALONE, NULL, err))
        return -1;
    /* what is no disk's afterwards */
    if (d->kind == SNAPSHOT_CLONE && d->leaf[0])
        return storage_pending_begin(d->volume, &d->sr, STORAGE_INNER, NULL, err);
    if (d->kind == SNAPSHOT_BACK)
        return storage_pending_begin(d->old, &d->sr, STORAGE_ALONE, NULL, err);
    return 0;
}

/* All disks of one machine's process at once. */
static int split_served(struct snapshot_disk *v, size_t n, const char *vm,
                        const struct deadline *until, struct err *err)
{
    AUTO(free_ptr) struct disks_move *moves = mem_array(n, sizeof(*moves));
    size_t k = 0;
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        char *leaf = NULL;
        if (v[i].moved || strcmp(v[i].vm, vm) != 0)
            continue;
        rc = v[i].sr.ops->volume_leaf(&v[i].sr.config, v[i].volume, &leaf, err);
        if (rc == 0) {
            const char *slash = strrchr(leaf, '/');
            moves[k].leaf = str_fmt("%.*s/%s.vhd", (int)(slash - leaf), leaf, v[i].leaf);
            memcpy(moves[k++].id, v[i].vbd, sizeof(moves->id));
        }
        free_str(&leaf);
    }
    if (rc == 0)
        rc = disks_snapshot(vm, moves, k, until, err);
    for (size_t i = 0; i < n; i++)
        v[i].moved |= rc == 0 && strcmp(v[i].vm, vm) == 0;
    for (size_t i = 0; i < k; i++)
        free_ptr(&moves[i].leaf);
    return rc;
}

/* Before the volume is there that is written to from now on. A process makes the log with the volume itself. */
static int follow(const struct snapshot_disk *d, const char *volume, struct err *err)
{
    return d->tracked && volume[0] ? cbt_begin(&d->sr, volume, d->bytes, d->log, err) : 0;
}

static int split(struct snapshot_disk *v, size_t n, const struct deadline *until,
                 struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        struct snapshot_disk *d = &v[i];
        if (d->leaf[0] && !d->moved && d->vm[0]) {
            if (split_served(v, n, d->vm, until, err))
                return -1;
        } else if (d->leaf[0] && !d->moved) {
            if (follow(d, d->leaf, err)
                || d->sr.ops->volume_child(&d->sr.config, d->volume, d->leaf, err))
                return -1;
            d->moved = true;
        }
        (void)FAILPOINT("snapshot.split.leaf");
    }
    for (size_t i = 0; i < n; i++)
        if (v[i].fresh[0]
            && ((v[i].kind == SNAPSHOT_BACK && follow(&v[i], v[i].fresh, err))
                || v[i].sr.ops->volume_child(&v[i].sr.config, v[i].volume, v[i].fresh,
                                             err)))
            return -1;
    return 0;
}

int snapshot_split(struct snapshot_disk *v, size_t n, const struct deadline *until,
                   struct err *err)
{
    int rc = storage_settled(err);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = plan(&v[i], err) || check_served(&v[i], err) ? -1 : 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = declare(&v[i], err);
    (void)FAILPOINT("snapshot.declared");
    if (rc == 0)
        rc = split(v, n, until, err);
    (void)FAILPOINT("snapshot.split.done");
    if (rc)
        snapshot_end(v, n, false);
    return rc;
}

/* The new VDI: the snapshot has the volume that the disk leaves, the clone one of its own. */
static void record_new_vdi(struct tx *tx, struct snapshot_disk *d,
                           const struct vdi_rec *vdi) REQUIRES(db_mutex)
{
    struct vdi_rec *rec = call_copy_fresh(CLASS_VDI, vdi);
    const char *volume = d->fresh[0] ? d->fresh : d->volume;
    bool take = d->kind == SNAPSHOT_TAKE;
    struct ref known;
    /* a clone is known by its volume's name; the name of a snapshot's may be its disk's */
    str_put(&rec->uuid, db_find_uuid(CLASS_VDI, volume, &known) ? "" : volume);
    str_put(&rec->location, volume);
    rec->is_a_snapshot = take;
    rec->snapshot_of = take ? d->vdi : REF_NULL;
    rec->snapshot_time = take ? clock_wall_us() : 0;
    rec->managed = true;
    if (!take)
        rec->read_only = rec->sharable = false;
    rec->cbt_enabled = take && d->logged;
    d->made = tx_create(tx, CLASS_VDI, rec, NULL);
    if (take && d->logged)
        cbt_record(tx, &d->made, d->log);
}

static void record_volume(struct tx *tx, const struct snapshot_disk *d,
                          const struct ref *vdi, const char *volume) REQUIRES(db_mutex)
{
    struct sr_volume v;
    tx_set_str(tx, vdi, CLASS_VDI, F_VDI_LOCATION, volume);
    if (d->sr.ops->stat(&d->sr.config, volume, &v, NULL) == 0)
        storage_put_volume(tx, vdi, &v);
    op_refresh(tx, CLASS_VDI, vdi);
}

int snapshot_record(struct tx *tx, struct snapshot_disk *v, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        struct snapshot_disk *d = &v[i];
        const struct vdi_rec *vdi = call_get(CLASS_VDI, &d->vdi, err);
        if (!vdi || !call_get(CLASS_SR, &d->sr.ref, err)
            || (d->kind == SNAPSHOT_BACK && !call_get(CLASS_VDI, &d->of, err)))
            return -1;
        if (d->leaf[0])
            tx_set_str(tx, &d->vdi, CLASS_VDI, F_VDI_LOCATION, d->leaf);
        if (d->kind != SNAPSHOT_BACK) {
            record_new_vdi(tx, d, vdi);
            record_volume(tx, d, &d->made, d->fresh[0] ? d->fresh : d->volume);
        } else {
            record_volume(tx, d, &d->of, d->fresh);
        }
        if (d->leaf[0])
            record_volume(tx, d, &d->vdi, d->leaf);
        op_refresh(tx, CLASS_SR, &d->sr.ref);
    }
    return 0;
}

static void end_one(struct snapshot_disk *d, bool committed)
{
    if (!d->sr.ops)
        return;
    if (d->leaf[0] && committed)
        storage_pending_end(d->leaf);
    else if (d->leaf[0])
        storage_settle_volume(d->leaf);
    if (d->fresh[0] && !committed)
        storage_drop(&d->sr, d->fresh);
    else if (d->fresh[0] && !d->for_vm)
        storage_pending_end(d->fresh);
    if (d->kind == SNAPSHOT_BACK && committed) {
        storage_drop(&d->sr, d->old);
        cbt_collect(&d->sr);
    } else if (d->kind == SNAPSHOT_BACK) {
        storage_pending_end(d->old);
    }
    if (d->kind == SNAPSHOT_CLONE && !committed)
        storage_settle_volume(d->volume); /* it may be a disk's still */
}

void snapshot_end(struct snapshot_disk *v, size_t n, bool committed)
{
    (void)FAILPOINT("snapshot.committed");
    for (size_t i = 0; i < n; i++) {
        end_one(&v[i], committed);
        lease_give(TAKE(v[i].lease));
        lease_give(TAKE(v[i].of_lease));
        sr_handle_done(&v[i].sr);
    }
}

int snapshot_clone(struct call *call, const struct ref *vdi, bool for_vm,
                   double from_fraction, double to_fraction, struct ref *result,
                   struct err *err)
{
    struct snapshot_disk d = { .kind = SNAPSHOT_CLONE, .vdi = *vdi, .for_vm = for_vm };
    db_lock();
    const struct vdi_rec *rec = call_get(CLASS_VDI, vdi, err);
    struct ref sr = rec ? rec->SR : REF_NULL;
    bool raw = rec && storage_is_raw(rec);
    db_unlock();
    if (!rec)
        return -1;
    if (raw) /* stays raw */
        return storage_copy_vdi(call, vdi, &sr, for_vm ? STORAGE_FOR_VM : STORAGE_ALONE,
                                from_fraction, to_fraction, result, err);
    return snapshot_one(call, &d, result, err);
}

int snapshot_one(struct call *call, struct snapshot_disk *d, struct ref *result,
                 struct err *err)
{
    if (snapshot_split(d, 1, &call->deadline, err))
        return -1;
    struct tx *tx = call_tx(call);
    int rc = snapshot_record(tx, d, 1, err);
    if (rc)
        tx_abort(tx);
    else
        rc = tx_commit(tx, err);
    snapshot_end(d, 1, rc == 0);
    if (rc == 0)
        *result = d->made;
    return rc;
}
