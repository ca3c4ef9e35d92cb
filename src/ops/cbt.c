/* SPDX-License-Identifier: Apache-2.0 */
/* The calls about changed blocks, and which logs are needed. A log is made before the records speak of it and removed after:
 * a crash between leaves one too many, which the collector finds. Any thread; no lock held across I/O. */
#include "ops/cbt.h"

#include <assert.h>
#include <openssl/evp.h>
#include <string.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/vec.h"
#include "host/disks.h"
#include "model/ops_lock.h"
#include "ops/lease.h"
#include "ops/ops.h"
#include "ops/vm.h"

#define BLOCK_BYTES UINT64_C(65536)
#define STEPS_MAX   65536 /* logs in a row */

int cbt_begin(const struct sr_handle *sr, const char *volume, uint64_t bytes,
              const char *parent, struct err *err)
{
    return sr->ops->logs->create(&sr->config, volume, bytes, parent[0] ? parent : NULL,
                                 err);
}

static const struct serai_cbt_rec *of_snapshot(const char *uuid) REQUIRES(db_mutex)
{
    for (struct db_iter it = db_first(CLASS_SERAI_CBT); it.rec; db_next(&it))
        if (str_eq(((const struct serai_cbt_rec *)it.rec)->vdi, uuid))
            return it.rec;
    return NULL;
}

void cbt_log(const struct vdi_rec *vdi, char out[static UUID_TEXT_SIZE])
{
    out[0] = '\0';
    if (!vdi->cbt_enabled)
        return;
    if (!vdi->is_a_snapshot) {
        storage_volume(vdi, out);
        return;
    }
    const struct serai_cbt_rec *rec = of_snapshot(vdi->uuid);
    struct uuid u;
    if (rec && uuid_parse(rec->log, &u))
        memcpy(out, rec->log, UUID_TEXT_SIZE);
}

void cbt_record(struct tx *tx, const struct ref *snapshot, const char *log)
{
    struct serai_cbt_rec *rec = record_new(&schema_classes[CLASS_SERAI_CBT]);
    str_put(&rec->vdi, ((const struct vdi_rec *)db_get(CLASS_VDI, snapshot))->uuid);
    str_put(&rec->log, log);
    (void)tx_create(tx, CLASS_SERAI_CBT, rec, NULL);
}

/* ---- which logs are needed ------------------------------------------------------------------------------- */

struct node {
    struct sr_log l;
    bool pending, asked; /* asked: it is a disk's or a snapshot's */
    bool older, newer; /* something before it, it or something after it may be asked for */
};

struct nodes {
    VEC(struct node) v;
};

static bool add_node(const struct sr_log *l, void *arg)
{
    struct nodes *all = arg;
    vec_push(&all->v, ((struct node){ .l = *l }));
    return true;
}

static struct node *find(const struct nodes *all, const char *log)
{
    for (size_t i = 0; log[0] && i < all->v.n; i++)
        if (str_eq(all->v.v[i].l.uuid, log))
            return &all->v.v[i];
    return NULL;
}

static bool is_asked(const char *log) REQUIRES(db_mutex)
{
    struct ref ref;
    for (struct db_iter it = db_first(CLASS_SERAI_CBT); it.rec; db_next(&it)) {
        const struct serai_cbt_rec *c = it.rec;
        if (str_eq(c->log, log) && db_find_uuid(CLASS_VDI, c->vdi, &ref))
            return true;
    }
    if (!storage_vdi_of(log, &ref))
        return false;
    const struct vdi_rec *vdi = db_get(CLASS_VDI, &ref);
    return vdi->cbt_enabled && !vdi->is_a_snapshot;
}

static bool is_being_made(const char *volume)
{
    char old[UUID_TEXT_SIZE];
    enum storage_intent intent;
    return storage_intent_of(volume, &intent, old) && intent != STORAGE_INNER
           && intent != STORAGE_MERGE;
}

/* First the intents, then the records: what is no longer pending is recorded, or is not. */
static void look_at_records(struct nodes *all)
{
    for (size_t i = 0; i < all->v.n; i++)
        all->v.v[i].pending = is_being_made(all->v.v[i].l.uuid);
    db_lock();
    for (size_t i = 0; i < all->v.n; i++)
        all->v.v[i].asked = is_asked(all->v.v[i].l.uuid) || all->v.v[i].pending;
    db_unlock();
}

static void look_at_lines(struct nodes *all)
{
    for (size_t i = 0; i < all->v.n; i++) {
        struct node *n = &all->v.v[i], *up = n;
        for (size_t k = 0; n->asked && up && !up->newer && k <= all->v.n; k++) {
            up->newer = true;
            up = find(all, up->l.parent);
        }
    }
    for (size_t i = 0; i < all->v.n; i++) {
        struct node *n = &all->v.v[i], *at = n;
        for (size_t k = 0; at && !n->older && k <= all->v.n; k++) {
            db_lock();
            n->older = at->l.parent[0] && is_asked(at->l.parent);
            db_unlock();
            at = find(all, at->l.parent);
        }
    }
}

/* A disk's own log is being written. */
static bool is_disks(const char *log) REQUIRES(db_mutex)
{
    struct ref ref;
    const struct vdi_rec *vdi = storage_vdi_of(log, &ref) ? db_get(CLASS_VDI, &ref) : NULL;
    return vdi && vdi->cbt_enabled && !vdi->is_a_snapshot;
}

/* Snapshots that are gone. */
static void drop_records(void)
{
    VEC(struct ref) gone = { 0 };
    AUTO(err_done) struct err why = { 0 };
    struct ref ref;
    db_lock();
    for (struct db_iter it = db_first(CLASS_SERAI_CBT); it.rec; db_next(&it))
        if (!db_find_uuid(CLASS_VDI, ((const struct serai_cbt_rec *)it.rec)->vdi, &ref))
            vec_push(&gone, it.ref);
    db_unlock();
    if (gone.n) {
        struct tx *tx = daemon_tx("changed blocks");
        for (size_t i = 0; i < gone.n; i++)
            if (db_get(CLASS_SERAI_CBT, &gone.v[i]))
                tx_destroy(tx, &gone.v[i]);
        IGNORE(tx_commit(tx, &why)); /* they are found again */
    }
    vec_done(&gone);
}

void cbt_collect(const struct sr_handle *sr)
{
    struct nodes all = { 0 };
    if (!sr->ops->logs)
        return;
    drop_records();
    if (sr->ops->logs->scan(&sr->config, add_node, &all, NULL) == 0 && all.v.n) {
        look_at_records(&all);
        look_at_lines(&all);
    }
    for (size_t i = 0; i < all.v.n; i++) {
        const struct node *n = &all.v.v[i];
        AUTO(err_done) struct err why = { 0 };
        db_lock();
        bool own = is_disks(n->l.uuid);
        db_unlock();
        if (n->pending || own || (n->older && n->newer))
            continue;
        if (sr->ops->logs->remove(&sr->config, n->l.uuid, &why)) {
            AUTO(free_str) char *text = err_text(&why);
            log_warn("log %s of changed blocks: %s", n->l.uuid, text);
        }
    }
    vec_done(&all.v);
}

/* ---- on and off ------------------------------------------------------------------------------------------- */

struct tracked {
    struct sr_handle sr;
    struct lease *lease;
    char volume[UUID_TEXT_SIZE], vm[UUID_TEXT_SIZE], vbd[UUID_TEXT_SIZE];
    uint64_t bytes;
    bool on, raw;
};

static void done(struct tracked *t)
{
    lease_give(TAKE(t->lease));
    sr_handle_done(&t->sr);
}

static int not_supported(const struct sr_handle *sr, const char *why, struct err *err)
{
    char text[REF_TEXT_SIZE];
    ref_text(&sr->ref, text);
    (void)err_set(err, ERR_SR_OPERATION_NOT_SUPPORTED, text);
    return err_detail(err, "%s", why);
}

static int look(const struct ref *ref, struct tracked *t, struct err *err)
{
    struct ref sr = REF_NULL;
    if (storage_settled(err) || !(t->lease = lease_take(ref, err)))
        return -1;
    db_lock();
    const struct vdi_rec *vdi = call_get(CLASS_VDI, ref, err);
    if (vdi) {
        sr = vdi->SR;
        t->on = vdi->cbt_enabled;
        t->raw = storage_is_raw(vdi);
        t->bytes = (uint64_t)vdi->virtual_size;
        storage_volume(vdi, t->volume);
    }
    for (size_t i = 0; vdi && i < vdi->VBDs.n; i++) {
        const struct vbd_rec *vbd = db_get(CLASS_VBD, &vdi->VBDs.v[i]);
        const struct vm_rec *vm = db_get(CLASS_VM, &vbd->VM);
        if (!vbd->currently_attached || vbd->mode != VBD_MODE_RW || !vm)
            continue;
        memcpy(t->vm, vm->uuid, sizeof(t->vm));
        memcpy(t->vbd, vbd->uuid, sizeof(t->vbd));
    }
    db_unlock();
    if (!vdi || storage_sr(&sr, &t->sr, err))
        return -1;
    assert(t->sr.ops); /* the analyzer does not follow storage_sr's promise */
    if (!t->sr.ops->logs)
        return not_supported(&t->sr, "changes of its disks cannot be tracked", err);
    return t->raw ? not_supported(&t->sr,
                                  "changes of a raw disk cannot be tracked; one that is "
                                  "an image can",
                                  err)
                  : 0;
}

/* The process that has it looks again whether there is a log. */
static int tell(const struct tracked *t, struct err *err)
{
    return t->vm[0] && disks_serves(t->vm) ? disks_track(t->vm, t->vbd, err) : 0;
}

static int set_enabled(struct call *call, const struct ref *ref, bool on, struct err *err)
{
    struct tx *tx = call_tx(call);
    if (!call_get(CLASS_VDI, ref, err)) {
        tx_abort(tx);
        return -1;
    }
    tx_set_bool(tx, ref, CLASS_VDI, F_VDI_CBT_ENABLED, on);
    op_refresh(tx, CLASS_VDI, ref);
    return tx_commit(tx, err);
}

static int enable(struct call *call, const struct ref *ref, struct tracked *t,
                  struct err *err)
{
    struct sr_log l;
    if (look(ref, t, err))
        return -1;
    if (t->on && t->sr.ops->logs->add(&t->sr.config, t->volume, NULL, 0, &l, NULL) == 0)
        return 0;
    if (storage_pending_begin(t->volume, &t->sr, STORAGE_ALONE, NULL, err))
        return -1;
    (void)FAILPOINT("cbt.enable.pending");
    int rc = cbt_begin(&t->sr, t->volume, t->bytes, "", err);
    (void)FAILPOINT("cbt.enable.log");
    if (rc == 0)
        rc = tell(t, err);
    (void)FAILPOINT("cbt.enable.told");
    if (rc == 0)
        rc = set_enabled(call, ref, true, err);
    storage_pending_end(t->volume);
    return rc;
}

int op_vdi_enable_cbt(struct call *call, const struct vdi_enable_cbt_args *a,
                      struct err *err)
{
    struct tracked t = { 0 };
    int rc = enable(call, &a->self, &t, err);
    if (rc && t.sr.ops)
        cbt_collect(&t.sr);
    done(&t);
    return rc;
}

int op_vdi_disable_cbt(struct call *call, const struct vdi_disable_cbt_args *a,
                       struct err *err)
{
    struct tracked t = { 0 };
    AUTO(err_done) struct err why = { 0 };
    int rc = look(&a->self, &t, err);
    if (rc == 0 && t.on)
        rc = set_enabled(call, &a->self, false, err);
    (void)FAILPOINT("cbt.disable.recorded");
    if (rc == 0 && t.on) {
        cbt_collect(&t.sr);
        /* A log that an older one needs stays, and is noted in until it is not needed. */
        if (tell(&t, &why)) {
            AUTO(free_str) char *text = err_text(&why);
            log_warn("disk %s is still noting changes: %s", t.volume, text);
        }
    }
    done(&t);
    return rc;
}

/* ---- data_destroy --------------------------------------------------------------------------------------- */

/* From now on its volume is one that does not exist. */
static int make_metadata(struct call *call, const struct ref *ref,
                         const struct sr_handle *sr, struct err *err)
{
    char nowhere[UUID_TEXT_SIZE];
    struct uuid u = uuid_new();
    uuid_text(&u, nowhere);
    struct tx *tx = call_tx(call);
    const struct vdi_rec *vdi = call_get(CLASS_VDI, ref, err);
    if (!vdi) {
        tx_abort(tx);
        return -1;
    }
    tx_set_enum(tx, ref, CLASS_VDI, F_VDI_TYPE, VDI_TYPE_CBT_METADATA);
    tx_set_str(tx, ref, CLASS_VDI, F_VDI_LOCATION, nowhere);
    tx_set_int(tx, ref, CLASS_VDI, F_VDI_PHYSICAL_UTILISATION, 0);
    tx_map_remove(tx, ref, CLASS_VDI, F_VDI_SM_CONFIG, "vhd-parent");
    op_refresh(tx, CLASS_VDI, ref);
    op_refresh(tx, CLASS_SR, &sr->ref);
    return tx_commit(tx, err);
}

int op_vdi_data_destroy(struct call *call, const struct vdi_data_destroy_args *a,
                        struct err *err)
{
    AUTO(lease_cleanup) struct lease *lease = lease_take(&a->self, err);
    AUTO(sr_handle_done) struct sr_handle sr = { 0 };
    enum storage_intent intent;
    char old[UUID_TEXT_SIZE];
    if (!lease)
        return -1;
    db_lock();
    const struct vdi_rec *vdi = call_get(CLASS_VDI, &a->self, err);
    struct ref sr_ref = vdi ? vdi->SR : REF_NULL;
    bool gone = vdi && vdi->type == VDI_TYPE_CBT_METADATA;
    db_unlock();
    if (gone) /* it was done before */
        return 0;
    if (!vdi || storage_sr(&sr_ref, &sr, err))
        return -1;
    const char *volume = lease_volume(lease);
    bool merging = storage_intent_of(volume, &intent, old) && intent == STORAGE_MERGE;
    if (!merging && storage_pending_begin(volume, &sr, STORAGE_ALONE, NULL, err))
        return -1;
    (void)FAILPOINT("cbt.data_destroy.pending");
    if (make_metadata(call, &a->self, &sr, err)) {
        if (!merging)
            storage_pending_end(volume);
        return -1;
    }
    (void)FAILPOINT("cbt.data_destroy.recorded");
    storage_drop(&sr, volume);
    return 0;
}

/* ---- what changed ----------------------------------------------------------------------------------------- */

static int not_known(const char *why, struct err *err)
{
    AUTO(free_str)
    char *text = str_fmt("Failed to calculate changed blocks for given VDIs. [opterr=%s]",
                         why);
    (void)err_set(err, ERR_SR_BACKEND_FAILURE, "460", "", text);
    return err_detail(err,
                      "%s: which blocks changed between the two is not known; read all of "
                      "the newer one",
                      why);
}

struct span {
    char from[UUID_TEXT_SIZE], to[UUID_TEXT_SIZE];
    uint64_t from_bytes, bytes;
    struct ref sr;
};

static int plan(const struct vdi_list_changed_blocks_args *a, struct span *s,
                struct err *err) REQUIRES(db_mutex)
{
    const struct vdi_rec *from = call_get(CLASS_VDI, &a->vdi_from, err);
    const struct vdi_rec *to = from ? call_get(CLASS_VDI, &a->vdi_to, err) : NULL;
    char text[REF_TEXT_SIZE];
    if (!to)
        return -1;
    ref_text(&a->vdi_to, text);
    if (!to->cbt_enabled)
        return err_set(err, ERR_VDI_NO_CBT_METADATA, text);
    if (!to->is_a_snapshot && vm_disk_attached(to))
        return err_set(err, ERR_VDI_IN_USE, text, "list_changed_blocks");
    if (ref_eq(&a->vdi_from, &a->vdi_to))
        return not_known("Source and target VDI are same", err);
    if (!ref_eq(&from->SR, &to->SR))
        return not_known("Source and target VDI are unrelated", err);
    cbt_log(from, s->from);
    cbt_log(to, s->to);
    s->sr = to->SR;
    s->from_bytes = (uint64_t)from->virtual_size;
    s->bytes = (uint64_t)to->virtual_size;
    return 0;
}

static int gather(const struct sr_handle *sr, const struct span *s, uint8_t *bits, size_t n,
                  struct err *err)
{
    char at[UUID_TEXT_SIZE];
    memcpy(at, s->to, sizeof(at));
    for (size_t i = 0; i < STEPS_MAX && at[0]; i++) {
        AUTO(err_done) struct err why = { 0 };
        struct sr_log l;
        if (str_eq(at, s->from))
            return 0;
        if (sr->ops->logs->add(&sr->config, at, bits, n, &l, &why)) {
            if (!str_eq(why.code, ERR_VDI_MISSING)) {
                err_move(err, &why);
                return -1;
            }
            break;
        }
        memcpy(at, l.parent, sizeof(at));
    }
    return not_known("Source and target VDI are unrelated", err);
}

int op_vdi_list_changed_blocks(struct call *call,
                               const struct vdi_list_changed_blocks_args *a,
                               const char **result, struct err *err)
{
    AUTO(sr_handle_done) struct sr_handle sr = { 0 };
    struct span s = { 0 };
    if (storage_settled(err))
        return -1;
    db_lock();
    int rc = plan(a, &s, err);
    db_unlock();
    if (rc || storage_sr(&s.sr, &sr, err))
        return -1;
    assert(sr.ops); /* the analyzer does not follow storage_sr's promise */
    if (!sr.ops->logs)
        return not_supported(&sr, "changes of its disks cannot be tracked", err);
    uint64_t blocks = (s.bytes + BLOCK_BYTES - 1) / BLOCK_BYTES;
    /* Clients read words of 32 bits. */
    size_t n = (size_t)((blocks + 31) / 32 * 4);
    AUTO(free_ptr) uint8_t *bits = mem_alloc(n + 1);
    if (!s.from[0] || !s.to[0])
        return not_known("Source and target VDI are unrelated", err);
    if (gather(&sr, &s, bits, n, err))
        return -1;
    AUTO(free_ptr) unsigned char *text = mem_alloc(n / 3 * 4 + 5);
    (void)EVP_EncodeBlock(text, bits, (int)n); /* at most 4 MiB */
    str_put(result, (const char *)text);
    return 0;
}
