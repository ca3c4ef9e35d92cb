/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes and their records. A volume is made before its record and removed after it, with the intent written first, so that
 * a crash leaves either both or a volume that storage_settle finds and removes. Any thread; no lock held across I/O. */
#include "ops/storage.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/vec.h"
#include "model/ops_lock.h"
#include "ops/cbt.h"
#include "ops/gc.h"
#include "ops/host_ctx.h"
#include "ops/lease.h"
#include "ops/recycle.h"
#include "ops/vm_memory.h"

void sr_handle_done(struct sr_handle *h)
{
    free_str(&h->path);
    *h = (struct sr_handle){ 0 };
}

static int fill_handle(const struct ref *ref, bool plugged, struct sr_handle *out,
                       struct err *err) REQUIRES(db_mutex)
{
    char text[REF_TEXT_SIZE];
    ref_text(ref, text);
    const struct sr_rec *sr = call_get(CLASS_SR, ref, err);
    if (!sr)
        return -1;
    const struct sr_ops *ops = sr_by_type(sr->type);
    if (!ops)
        return err_set(err, ERR_SR_UNKNOWN_DRIVER, sr->type);
    struct ref host = db_host_ref();
    for (size_t i = 0; i < sr->PBDs.n; i++) {
        const struct pbd_rec *pbd = db_get(CLASS_PBD, &sr->PBDs.v[i]);
        if (!ref_eq(&pbd->host, &host))
            continue;
        if (plugged && !pbd->currently_attached)
            return err_set(err, ERR_SR_NOT_ATTACHED, text);
        *out = (struct sr_handle){ .ops = ops, .ref = *ref };
        memcpy(out->config.uuid, sr->uuid, sizeof(out->config.uuid));
        for (size_t k = 0; k < pbd->device_config.n; k++)
            if (str_eq(pbd->device_config.v[k].key, "location"))
                out->path = str_dup(pbd->device_config.v[k].val);
        out->config.path = out->path ? out->path : "";
        return 0;
    }
    return err_set(err, ERR_SR_HAS_NO_PBDS, text);
}

int storage_sr(const struct ref *sr, struct sr_handle *out, struct err *err)
{
    db_lock();
    int rc = fill_handle(sr, true, out, err);
    db_unlock();
    return rc;
}

int storage_sr_unplugged(const struct ref *sr, struct sr_handle *out, struct err *err)
{
    db_lock();
    int rc = fill_handle(sr, false, out, err);
    db_unlock();
    return rc;
}

/* Drivers name repositories and volumes by uuid; clients know their references. */
static void say_refs(struct err *err, const struct sr_handle *sr, const char *volume)
{
    char sr_text[REF_TEXT_SIZE], vdi_text[REF_TEXT_SIZE] = "";
    struct ref vdi;
    db_lock();
    if (storage_vdi_of(volume, &vdi))
        ref_text(&vdi, vdi_text);
    db_unlock();
    ref_text(&sr->ref, sr_text);
    for (size_t i = 0; err && i < err->n_params; i++) {
        const char *text = str_eq(err->params[i], sr->config.uuid) ? sr_text
                           : str_eq(err->params[i], volume)        ? vdi_text
                                                                   : "";
        if (!*text)
            continue;
        free_str(&err->params[i]);
        err->params[i] = str_dup(text);
    }
}

void storage_volume(const struct vdi_rec *vdi, char out[static UUID_TEXT_SIZE])
{
    struct uuid u;
    const char *name = uuid_parse(vdi->location, &u) ? vdi->location : vdi->uuid;
    memcpy(out, name, UUID_TEXT_SIZE);
}

bool storage_vdi_of(const char *volume, struct ref *out)
{
    char own[UUID_TEXT_SIZE];
    if (db_find_uuid(CLASS_VDI, volume, out)) {
        storage_volume(db_get(CLASS_VDI, out), own);
        if (str_eq(own, volume))
            return true;
    }
    for (struct db_iter it = db_first(CLASS_VDI); it.rec; db_next(&it))
        if (str_eq(((const struct vdi_rec *)it.rec)->location, volume)) {
            *out = it.ref;
            return true;
        }
    return false;
}

int storage_source(const struct vdi_rec *vdi, bool read_only, int *fd_out, char **leaf_out,
                   struct err *err)
{
    AUTO(sr_handle_done) struct sr_handle sr = { 0 };
    char volume[UUID_TEXT_SIZE];
    *leaf_out = NULL;
    *fd_out = -1;
    storage_volume(vdi, volume);
    if (storage_sr(&vdi->SR, &sr, err))
        return -1;
    int rc = sr.ops->volume_leaf ? sr.ops->volume_leaf(&sr.config, volume, leaf_out, err)
                                 : 0;
    if (rc == 0 && !*leaf_out) {
        *fd_out = sr.ops->volume_open(&sr.config, volume, read_only, err);
        rc = *fd_out < 0 ? -1 : 0;
    }
    if (rc)
        say_refs(err, &sr, volume);
    return rc;
}

static struct sr_image *open_image(const struct sr_handle *sr, const char *volume,
                                   bool write, struct err *err)
{
    struct sr_image *i = sr->ops->volume_image(&sr->config, volume, write, err);
    if (!i)
        say_refs(err, sr, volume);
    return i;
}

static void give(void *lease)
{
    lease_give(lease);
}

struct sr_image *storage_image(const struct ref *ref, bool write, struct err *err)
{
    AUTO(sr_handle_done) struct sr_handle sr = { 0 };
    struct lease *lease;
    if (storage_settled(err))
        return NULL;
    db_lock();
    const struct vdi_rec *vdi = call_get(CLASS_VDI, ref, err);
    struct ref sr_ref = vdi ? vdi->SR : REF_NULL;
    db_unlock();
    if (!vdi || storage_sr(&sr_ref, &sr, err) || !(lease = lease_take(ref, err)))
        return NULL;
    struct sr_image *i = open_image(&sr, lease_volume(lease), write, err);
    if (i)
        sr_image_on_close(i, give, lease);
    else
        lease_give(lease);
    return i;
}

/* Space of an SR changed: refresh the record in the same breath. */
void storage_put_space(struct tx *tx, const struct sr_handle *sr)
{
    int64_t allocated = 0;
    const struct sr_rec *rec = db_get(CLASS_SR, &sr->ref);
    for (size_t i = 0; rec && i < rec->VDIs.n; i++)
        allocated +=
            ((const struct vdi_rec *)db_get(CLASS_VDI, &rec->VDIs.v[i]))->virtual_size;
    if (rec)
        tx_set_int(tx, &sr->ref, CLASS_SR, F_SR_VIRTUAL_ALLOCATION, allocated);
}

static char *pending_path(const char *volume)
{
    return str_fmt("%s/pending/%s", host_ctx.state_dir, volume);
}

/* An intent's text is the SR's uuid, then one of these, then the other volume. */
static const char *const intent_names[] = { [STORAGE_ALONE] = "",
                                            [STORAGE_FOR_VM] = " vm",
                                            [STORAGE_LEAF] = " leaf ",
                                            [STORAGE_INNER] = " inner",
                                            [STORAGE_MERGE] = " merge " };

int storage_pending_begin(const char *volume, const struct sr_handle *sr,
                          enum storage_intent intent, const char *old, struct err *err)
{
    AUTO(free_str) char *dir = str_fmt("%s/pending", host_ctx.state_dir);
    AUTO(free_str) char *path = pending_path(volume);
    AUTO(free_str)
    char *text = str_fmt("%s%s%s", sr->config.uuid, intent_names[intent], old ? old : "");
    if (io_mkdirs(dir, 0700) || io_write_file(path, text, strlen(text), 0600)) {
        (void)err_set(err, errno == ENOSPC ? ERR_OUT_OF_SPACE : ERR_SR_BACKEND_FAILURE,
                      path, "", "");
        return err_detail(err, "writing %s: %m", path);
    }
    return 0;
}

void storage_pending_end(const char *volume)
{
    AUTO(free_str) char *path = pending_path(volume);
    (void)unlink(path); /* left behind it costs one look at the next start */
}

bool storage_is_pending(const char *volume)
{
    AUTO(free_str) char *path = pending_path(volume);
    return access(path, F_OK) == 0;
}

void storage_owned(const struct ref *vdis, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char volume[UUID_TEXT_SIZE] = "";
        db_lock();
        const struct vdi_rec *vdi = db_get(CLASS_VDI, &vdis[i]);
        if (vdi)
            storage_volume(vdi, volume);
        db_unlock();
        if (volume[0])
            storage_pending_end(volume);
    }
}

/* ---- volumes that are no disk's --------------------------------------------------------------------- */

struct child {
    const char *of;
    bool found;
};

static bool is_child(const struct sr_volume *v, void *arg)
{
    struct child *c = arg;
    c->found = str_eq(v->parent, c->of);
    return !c->found;
}

/* On an error it is taken to have one, so that nothing is lost. */
static bool has_children(const struct sr_handle *sr, const char *volume)
{
    struct child c = { .of = volume };
    return sr->ops->volume_child
           && (sr->ops->scan(&sr->config, is_child, &c, NULL) || c.found);
}

static bool is_used(const char *volume)
{
    struct ref vdi;
    db_lock();
    bool used = storage_vdi_of(volume, &vdi) || recycle_holds(volume);
    db_unlock();
    return used;
}

static int drop_one(const struct sr_handle *sr, const char *volume, struct err *err)
{
    char old[UUID_TEXT_SIZE];
    enum storage_intent intent;
    if (has_children(sr, volume)) {
        bool merging = storage_intent_of(volume, &intent, old) && intent == STORAGE_MERGE;
        int rc = merging ? 0 : storage_pending_begin(volume, sr, STORAGE_INNER, NULL, err);
        gc_kick();
        return rc;
    }
    if (sr->ops->volume_destroy(&sr->config, volume, err))
        return -1;
    storage_pending_end(volume);
    return 0;
}

void storage_drop(const struct sr_handle *sr, const char *volume)
{
    char at[UUID_TEXT_SIZE];
    memcpy(at, volume, sizeof(at));
    /* Two that drop the last two children of one volume both look at it afterwards: one of them sees it childless. */
    for (bool more = true; more;) {
        AUTO(err_done) struct err why = { 0 };
        struct sr_volume v = { 0 };
        IGNORE(sr->ops->stat(&sr->config, at, &v, NULL)); /* gone already: no parent */
        if (drop_one(sr, at, &why)) {
            AUTO(free_str) char *text = err_text(&why);
            log_warn("volume %s stays until the next start: %s", at, text);
            return;
        }
        (void)FAILPOINT("vdi.drop.one");
        memcpy(at, v.parent, sizeof(at));
        more = at[0] && !is_used(at) && storage_is_pending(at) && !has_children(sr, at);
    }
}

/* ---- intents of an earlier run ----------------------------------------------------------------------- */

struct intent {
    char volume[UUID_TEXT_SIZE], old[UUID_TEXT_SIZE];
    enum storage_intent kind;
    struct ref vdi, sr;
    bool has_record, has_sr, for_nobody; /* made for a VM that never came to be */
    bool kept; /* in the recycle bin, which was not emptied then */
};

static void parse_intent(const char *text, struct intent *out)
{
    const char *rest = text + strnlen(text, UUID_TEXT_SIZE - 1);
    for (size_t k = 1; k < ARRAY_SIZE(intent_names); k++)
        if (str_starts(rest, intent_names[k])) {
            out->kind = (enum storage_intent)k;
            rest += strlen(intent_names[k]);
            memcpy(out->old, rest, strnlen(rest, sizeof(out->old) - 1));
            return;
        }
}

static int read_intent_text(const char *volume, struct buf *text, struct err *err)
{
    AUTO(free_str) char *path = pending_path(volume);
    if (io_read_file(path, text) == 0)
        return 0;
    (void)err_set(err, ERR_INTERNAL_ERROR, "an intent cannot be read");
    return err_detail(err, "%s: %m", path);
}

bool storage_intent_of(const char *volume, enum storage_intent *out,
                       char old[static UUID_TEXT_SIZE])
{
    AUTO(buf_done) struct buf text = BUF_INIT(256);
    struct intent in = { 0 };
    if (!storage_is_pending(volume) || read_intent_text(volume, &text, NULL))
        return false;
    parse_intent(buf_str(&text), &in);
    *out = in.kind;
    memcpy(old, in.old, sizeof(in.old));
    return true;
}

static int read_intent(const char *volume, struct intent *out, struct err *err)
{
    AUTO(buf_done) struct buf text = BUF_INIT(256);
    char sr_uuid[UUID_TEXT_SIZE] = "";
    *out = (struct intent){ 0 };
    if (read_intent_text(volume, &text, err))
        return -1;
    memcpy(out->volume, volume, sizeof(out->volume));
    memcpy(sr_uuid, buf_str(&text), strnlen(buf_str(&text), sizeof(sr_uuid) - 1));
    parse_intent(buf_str(&text), out);
    db_lock();
    out->has_sr = db_find_uuid(CLASS_SR, sr_uuid, &out->sr);
    out->has_record = storage_vdi_of(volume, &out->vdi);
    const struct vdi_rec *vdi = out->has_record ? db_get(CLASS_VDI, &out->vdi) : NULL;
    out->kept = !vdi && recycle_holds(volume);
    out->for_nobody = vdi && vdi->VBDs.n == 0 && out->kind == STORAGE_FOR_VM
                      && !vm_memory_kept(&out->vdi);
    db_unlock();
    return 0;
}

/* The record of a volume that is there says its size; that of a disk for nobody goes. */
static int settle_record(const struct intent *in, const struct sr_handle *h,
                         struct err *err)
{
    struct sr_volume v = { 0 };
    AUTO(err_done) struct err missing = { 0 };
    bool there = h->ops->stat(&h->config, in->volume, &v, &missing) == 0;
    if (!in->for_nobody && !there)
        return 0;
    struct tx *tx = daemon_tx("start-up");
    if (in->for_nobody)
        tx_destroy(tx, &in->vdi);
    else
        storage_put_volume(tx, &in->vdi, &v);
    storage_put_space(tx, h);
    return tx_commit(tx, err);
}

/* The disk of one volume is another's from now on. */
static int move_record(const struct sr_handle *h, const char *from, const char *to,
                       struct err *err)
{
    struct sr_volume v = { 0 };
    struct ref vdi;
    if (h->ops->stat(&h->config, to, &v, err))
        return -1;
    struct tx *tx = daemon_tx("start-up");
    if (storage_vdi_of(from, &vdi)) {
        tx_set_str(tx, &vdi, CLASS_VDI, F_VDI_LOCATION, to);
        storage_put_volume(tx, &vdi, &v);
    }
    return tx_commit(tx, err);
}

bool storage_is_there(const struct sr_handle *h, const char *volume)
{
    struct sr_volume v;
    AUTO(err_done) struct err why = { 0 };
    return h->ops->stat(&h->config, volume, &v, &why) == 0
           || !str_eq(why.code, ERR_VDI_MISSING);
}

/* A new leaf that is there has been, or may have been, written to; what it took the place of is inner now. */
static int settle_leaf(struct intent *in, const struct sr_handle *h, struct err *err)
{
    if (!in->has_record && storage_is_there(h, in->volume)) {
        if (storage_pending_begin(in->old, h, STORAGE_INNER, NULL, err)
            || move_record(h, in->old, in->volume, err))
            return -1;
        db_lock();
        in->has_record = storage_vdi_of(in->volume, &in->vdi);
        db_unlock();
        log_info("volume %s follows %s", in->volume, in->old);
    }
    return 0;
}

static int settle_in(struct intent *in, const struct sr_handle *h, struct err *err)
{
    if (in->kind == STORAGE_LEAF && settle_leaf(in, h, err))
        return -1;
    if (in->kind == STORAGE_MERGE && in->has_record && !storage_is_there(h, in->volume))
        return storage_is_there(h, in->old) ? move_record(h, in->volume, in->old, err) : 0;
    return in->has_record ? settle_record(in, h, err) : 0;
}

/* Keep the volume if its record exists. */
static int settle_one(const char *volume, struct err *err)
{
    struct intent in;
    if (read_intent(volume, &in, err))
        return -1;
    if (in.has_sr) {
        AUTO(sr_handle_done) struct sr_handle h = { 0 };
        if (storage_sr(&in.sr, &h, err))
            return -1;
        if (in.kind == STORAGE_MERGE && storage_is_there(&h, in.volume)
            && storage_is_there(&h, in.old))
            return 0; /* the collector goes on with it */
        if (settle_in(&in, &h, err))
            return -1;
        if ((!in.has_record && !in.kept) || in.for_nobody) {
            storage_drop(&h, volume);
            if (!storage_is_there(&h, volume))
                log_info("removed volume %s of an interrupted operation", volume);
            return 0;
        }
    }
    storage_pending_end(volume);
    return 0;
}

/* Volumes whose intents could not be settled when they should have been, for want of space in the database. */
static VEC(char *) unsettled GUARDED_BY(db_mutex);

void storage_settle_volume(const char *volume)
{
    AUTO(err_done) struct err why = { 0 };
    if (!storage_is_pending(volume) || settle_one(volume, &why) == 0)
        return;
    AUTO(free_str) char *text = err_text(&why);
    log_warn("volume %s stays unsettled: %s", volume, text);
    db_lock();
    vec_push(&unsettled, str_dup(volume));
    db_unlock();
}

int storage_settled(struct err *err)
{
    db_lock();
    size_t n = unsettled.n;
    db_unlock();
    for (; n > 0; n--) {
        db_lock();
        AUTO(free_str) char *volume = unsettled.n ? unsettled.v[0] : NULL;
        if (volume)
            vec_remove(&unsettled, 0);
        db_unlock();
        if (volume)
            storage_settle_volume(volume);
    }
    db_lock();
    n = unsettled.n;
    db_unlock();
    if (n == 0)
        return 0;
    (void)err_set(err, ERR_OUT_OF_SPACE, host_ctx.state_dir);
    return err_detail(err, "a snapshot that failed is not settled; free some space");
}

/* In this order: disks must have their volumes before it is asked which volumes are no disk's. */
static bool is_of_turn(const char *volume, bool moves)
{
    struct intent in;
    AUTO(err_done) struct err why = { 0 };
    return read_intent(volume, &in, &why) == 0
           && (in.kind == STORAGE_LEAF || in.kind == STORAGE_MERGE) == moves;
}

static void settle_turn(bool moves)
{
    AUTO(free_str) char *dir = str_fmt("%s/pending", host_ctx.state_dir);
    DIR *d = opendir(dir);
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));) {
        AUTO(err_done) struct err why = { 0 };
        struct uuid u;
        if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
            continue;
        if (!uuid_parse(e->d_name,
                        &u)) { /* the temporary file of an intent never declared */
            (void)unlinkat(dirfd(d), e->d_name, 0);
        } else if (is_of_turn(e->d_name, moves) && settle_one(e->d_name, &why)) {
            /* Its repository is not there: the intent stands until a start finds it. */
            AUTO(free_str) char *text = err_text(&why);
            log_warn("an interrupted operation on volume %s stays unsettled: %s", e->d_name,
                     text);
        }
    }
    closedir(d);
}

void storage_settle(void)
{
    settle_turn(true);
    settle_turn(false);
}

struct vdi_rec *storage_vdi_new(const struct ref *sr, const char *name, uint64_t size_bytes)
{
    struct vdi_rec *v = record_new(&schema_classes[CLASS_VDI]);
    v->SR = *sr;
    str_put(&v->name_label, name);
    v->virtual_size = (int64_t)size_bytes;
    v->type = VDI_TYPE_USER;
    return v;
}

/* A parent that is a disk of its own is named by it, any other by its volume. */
static void put_parent(struct tx *tx, const struct ref *ref, const struct sr_volume *v)
    REQUIRES(db_mutex)
{
    struct ref parent;
    if (!v->parent[0])
        tx_map_remove(tx, ref, CLASS_VDI, F_VDI_SM_CONFIG, "vhd-parent");
    else if (storage_vdi_of(v->parent, &parent))
        tx_map_put_str(tx, ref, CLASS_VDI, F_VDI_SM_CONFIG, "vhd-parent",
                       ((const struct vdi_rec *)db_get(CLASS_VDI, &parent))->uuid);
    else
        tx_map_put_str(tx, ref, CLASS_VDI, F_VDI_SM_CONFIG, "vhd-parent", v->parent);
}

void storage_put_volume(struct tx *tx, const struct ref *ref, const struct sr_volume *v)
{
    tx_set_int(tx, ref, CLASS_VDI, F_VDI_VIRTUAL_SIZE, (int64_t)v->virtual_size_bytes);
    tx_set_int(tx, ref, CLASS_VDI, F_VDI_PHYSICAL_UTILISATION, (int64_t)v->used_bytes);
    if (v->read_only) /* of a library */
        return;
    put_parent(tx, ref, v);
    if (v->raw)
        tx_map_put_str(tx, ref, CLASS_VDI, F_VDI_SM_CONFIG, "type", "raw");
    else
        tx_map_put_str(tx, ref, CLASS_VDI, F_VDI_SM_CONFIG, "image-format", "vhd");
}

/* Commit the record of a volume that exists. Takes rec. */
static int record_volume(struct call *call, const struct sr_handle *sr, struct vdi_rec *rec,
                         struct ref *result, struct err *err)
{
    struct sr_volume v;
    if (sr->ops->stat(&sr->config, rec->uuid, &v, err)) {
        record_free(&schema_classes[CLASS_VDI], rec);
        return -1;
    }
    rec->managed = true;
    str_put(&rec->location, rec->uuid);
    struct tx *tx = call_tx(call);
    if (!call_get(CLASS_SR, &sr->ref, err)) {
        record_free(&schema_classes[CLASS_VDI], rec);
        tx_abort(tx);
        return -1;
    }
    struct ref ref = tx_create(tx, CLASS_VDI, rec, NULL);
    storage_put_volume(tx, &ref, &v);
    storage_put_space(tx, sr);
    op_refresh(tx, CLASS_VDI, &ref);
    op_refresh(tx, CLASS_SR, &sr->ref);
    if (tx_commit(tx, err))
        return -1;
    *result = ref;
    return 0;
}

static void give_uuid(struct vdi_rec *rec)
{
    char uuid[UUID_TEXT_SIZE];
    struct uuid u = uuid_new();
    uuid_text(&u, uuid);
    str_put(&rec->uuid, uuid);
}

bool storage_is_raw(const struct vdi_rec *rec)
{
    for (size_t i = 0; i < rec->sm_config.n; i++)
        if (str_eq(rec->sm_config.v[i].key, "type"))
            return str_eq(rec->sm_config.v[i].val, "raw");
    return false;
}

int storage_create_vdi(struct call *call, struct vdi_rec *rec, enum storage_intent intent,
                       struct ref *result, struct err *err)
{
    AUTO(sr_handle_done) struct sr_handle sr = { 0 };
    char uuid[UUID_TEXT_SIZE];
    give_uuid(rec);
    memcpy(uuid, rec->uuid, sizeof(uuid));
    uint64_t size = (uint64_t)rec->virtual_size;
    if (storage_sr(&rec->SR, &sr, err)
        || storage_pending_begin(uuid, &sr, intent, NULL, err)) {
        record_free(&schema_classes[CLASS_VDI], rec);
        return -1;
    }
    (void)FAILPOINT("vdi.create.pending");
    if (sr.ops->volume_create(&sr.config, uuid, size,
                              storage_is_raw(rec) ? SR_FORMAT_RAW : SR_FORMAT_IMAGE, &size,
                              err)) {
        record_free(&schema_classes[CLASS_VDI], rec);
        storage_pending_end(uuid);
        return -1;
    }
    (void)FAILPOINT("vdi.create.volume");
    if (record_volume(call, &sr, rec, result, err)) {
        storage_drop(&sr, uuid);
        return -1;
    }
    (void)FAILPOINT("vdi.create.recorded");
    if (intent == STORAGE_ALONE)
        storage_pending_end(uuid);
    return 0;
}

struct copy_progress {
    const struct call *call;
    double from, to;
};

static void copy_progress(double fraction, void *arg)
{
    const struct copy_progress *p = arg;
    call_progress(p->call, p->from + (p->to - p->from) * fraction);
}

int storage_copy_vdi(struct call *call, const struct ref *src, const struct ref *to,
                     enum storage_intent intent, double from_fraction, double to_fraction,
                     struct ref *result, struct err *err)
{
    AUTO(sr_handle_done) struct sr_handle from_sr = { 0 }, to_sr = { 0 };
    AUTO(lease_cleanup) struct lease *lease = lease_take(src, err);
    if (!lease)
        return -1;
    db_lock();
    const struct vdi_rec *old = call_get(CLASS_VDI, src, err);
    struct vdi_rec *rec = old ? call_copy_fresh(CLASS_VDI, old) : NULL;
    const char *source = lease_volume(lease);
    db_unlock();
    if (!rec)
        return -1;
    struct ref source_sr = rec->SR;
    char uuid[UUID_TEXT_SIZE];
    give_uuid(rec);
    memcpy(uuid, rec->uuid, sizeof(uuid));
    rec->SR = *to;
    rec->read_only = false;
    rec->sharable = false;
    rec->cbt_enabled = false;
    if (storage_sr(&source_sr, &from_sr, err) || storage_sr(to, &to_sr, err)
        || storage_pending_begin(uuid, &to_sr, intent, NULL, err)) {
        record_free(&schema_classes[CLASS_VDI], rec);
        return -1;
    }
    struct copy_progress progress = { call, from_fraction, to_fraction };
    if (to_sr.ops->volume_copy(&from_sr.config, source, &to_sr.config, uuid,
                               &call->deadline, copy_progress, &progress, err)) {
        record_free(&schema_classes[CLASS_VDI], rec);
        storage_drop(&to_sr, uuid);
        return -1;
    }
    (void)FAILPOINT("vdi.copy.volume");
    if (record_volume(call, &to_sr, rec, result, err)) {
        storage_drop(&to_sr, uuid);
        return -1;
    }
    if (intent == STORAGE_ALONE)
        storage_pending_end(uuid);
    return 0;
}

/* keep: given. Its volume stays; without it the volume goes after the record. */
static int destroy_record(struct call *call, const struct ref *ref,
                          const struct sr_handle *sr, struct serai_recycled_rec *keep,
                          struct err *err)
{
    struct tx *tx = call_tx(call);
    const struct vdi_rec *vdi = db_get(CLASS_VDI, ref);
    while (vdi && vdi->VBDs.n) {
        struct ref vbd = vdi->VBDs.v[0];
        tx_destroy(tx, &vbd);
    }
    if (vdi && keep)
        (void)tx_create(tx, CLASS_SERAI_RECYCLED, TAKE(keep), NULL);
    record_free(&schema_classes[CLASS_SERAI_RECYCLED], keep);
    if (vdi)
        tx_destroy(tx, ref);
    storage_put_space(tx, sr);
    op_refresh(tx, CLASS_SR, &sr->ref);
    return tx_commit(tx, err);
}

static int destroy(struct call *call, const struct ref *ref, bool may_keep, struct err *err)
{
    AUTO(sr_handle_done) struct sr_handle sr = { 0 };
    AUTO(lease_cleanup) struct lease *lease = lease_take(ref, err);
    struct serai_recycled_rec *keep = lease && may_keep ? recycle_vdi(call, ref) : NULL;
    enum storage_intent intent;
    char old[UUID_TEXT_SIZE];
    if (!lease)
        return -1;
    const char *uuid = lease_volume(lease);
    bool intended = storage_intent_of(uuid, &intent, old);
    bool merging = intended && intent == STORAGE_MERGE;
    bool for_vm = intended && intent == STORAGE_FOR_VM; /* goes whenever we die */
    if (merging) { /* its volume is on its way out already */
        record_free(&schema_classes[CLASS_SERAI_RECYCLED], keep);
        keep = NULL;
    }
    bool kept = keep != NULL;
    db_lock();
    const struct vdi_rec *vdi = call_get(CLASS_VDI, ref, err);
    struct ref sr_ref = vdi ? vdi->SR : REF_NULL;
    db_unlock();
    if (!vdi || storage_sr(&sr_ref, &sr, err)
        || (!merging && !for_vm && !kept
            && storage_pending_begin(uuid, &sr, STORAGE_ALONE, NULL, err))) {
        record_free(&schema_classes[CLASS_SERAI_RECYCLED], keep);
        return -1;
    }
    (void)FAILPOINT("vdi.destroy.pending");
    if (destroy_record(call, ref, &sr, keep, err)) {
        if (!merging && !for_vm && !kept)
            storage_pending_end(uuid);
        return -1;
    }
    (void)FAILPOINT("vdi.destroy.record");
    if (!kept)
        storage_drop(&sr, uuid);
    else
        gc_kick(); /* space may be short */
    cbt_collect(&sr);
    return 0;
}

int storage_destroy_vdi(struct call *call, const struct ref *ref, struct err *err)
{
    return destroy(call, ref, false, err);
}

int storage_recycle_vdi(struct call *call, const struct ref *ref, struct err *err)
{
    return destroy(call, ref, true, err);
}

int storage_update_sr(struct call *call, const struct ref *ref, struct err *err)
{
    AUTO(sr_handle_done) struct sr_handle sr = { 0 };
    struct sr_space space;
    if (storage_sr(ref, &sr, err))
        return -1;
    assert(sr.ops); /* the analyzer does not follow storage_sr's promise */
    if (sr.ops->space(&sr.config, &space, err))
        return -1;
    struct tx *tx = call_tx(call);
    if (db_get(CLASS_SR, ref)) {
        tx_set_int(tx, ref, CLASS_SR, F_SR_PHYSICAL_SIZE,
                   (int64_t)space.physical_size_bytes);
        tx_set_int(tx, ref, CLASS_SR, F_SR_PHYSICAL_UTILISATION,
                   (int64_t)space.physical_used_bytes);
        storage_put_space(tx, &sr);
    }
    return tx_commit(tx, err);
}
