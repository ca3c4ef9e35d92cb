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
#include "model/ops_lock.h"
#include "ops/host_ctx.h"

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
static void say_refs(struct err *err, const struct sr_handle *sr, const char *vdi_uuid)
{
    char sr_text[REF_TEXT_SIZE], vdi_text[REF_TEXT_SIZE] = "";
    struct ref vdi;
    db_lock();
    if (db_find_uuid(CLASS_VDI, vdi_uuid, &vdi))
        ref_text(&vdi, vdi_text);
    db_unlock();
    ref_text(&sr->ref, sr_text);
    for (size_t i = 0; err && i < err->n_params; i++) {
        const char *text = str_eq(err->params[i], sr->config.uuid) ? sr_text
                           : str_eq(err->params[i], vdi_uuid)      ? vdi_text
                                                                   : "";
        if (!*text)
            continue;
        free_str(&err->params[i]);
        err->params[i] = str_dup(text);
    }
}

int storage_open_vdi(const struct vdi_rec *vdi, bool read_only, struct err *err)
{
    AUTO(sr_handle_done) struct sr_handle sr = { 0 };
    if (storage_sr(&vdi->SR, &sr, err))
        return -1;
    int fd = sr.ops->volume_open(&sr.config, vdi->uuid, read_only, err);
    if (fd < 0)
        say_refs(err, &sr, vdi->uuid);
    return fd;
}

/* Space of an SR changed: refresh the record in the same breath. */
static void put_space(struct tx *tx, const struct sr_handle *sr) REQUIRES(db_mutex)
{
    int64_t allocated = 0;
    const struct sr_rec *rec = db_get(CLASS_SR, &sr->ref);
    for (size_t i = 0; rec && i < rec->VDIs.n; i++)
        allocated +=
            ((const struct vdi_rec *)db_get(CLASS_VDI, &rec->VDIs.v[i]))->virtual_size;
    if (rec)
        tx_set_int(tx, &sr->ref, CLASS_SR, F_SR_VIRTUAL_ALLOCATION, allocated);
}

static char *pending_path(const char *vdi_uuid)
{
    return str_fmt("%s/pending/%s", host_ctx.state_dir, vdi_uuid);
}

#define FOR_VM " vm" /* after the SR's uuid */

int storage_pending_begin(const char *vdi_uuid, const struct sr_handle *sr,
                          enum storage_intent intent, struct err *err)
{
    AUTO(free_str) char *dir = str_fmt("%s/pending", host_ctx.state_dir);
    AUTO(free_str) char *path = pending_path(vdi_uuid);
    AUTO(free_str)
    char *text = str_fmt("%s%s", sr->config.uuid, intent == STORAGE_FOR_VM ? FOR_VM : "");
    if (io_mkdirs(dir, 0700) || io_write_file(path, text, strlen(text), 0600)) {
        (void)err_set(err, errno == ENOSPC ? ERR_OUT_OF_SPACE : ERR_SR_BACKEND_FAILURE,
                      path, "", "");
        return err_detail(err, "writing %s: %m", path);
    }
    return 0;
}

void storage_pending_end(const char *vdi_uuid)
{
    AUTO(free_str) char *path = pending_path(vdi_uuid);
    (void)unlink(path); /* left behind it costs one look at the next start */
}

bool storage_is_pending(const char *vdi_uuid)
{
    AUTO(free_str) char *path = pending_path(vdi_uuid);
    return access(path, F_OK) == 0;
}

void storage_owned(const struct ref *vdis, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char uuid[UUID_TEXT_SIZE] = "";
        db_lock();
        const struct vdi_rec *vdi = db_get(CLASS_VDI, &vdis[i]);
        if (vdi)
            memcpy(uuid, vdi->uuid, sizeof(uuid));
        db_unlock();
        if (uuid[0])
            storage_pending_end(uuid);
    }
}

/* An intent of an earlier run, and what became of it. */
struct intent {
    struct ref vdi, sr;
    bool has_record, has_sr, for_nobody; /* made for a VM that never came to be */
    int64_t size;
};

static void read_intent(const char *vdi_uuid, const char *text, struct intent *out)
{
    char sr_uuid[UUID_TEXT_SIZE] = "";
    *out = (struct intent){ 0 };
    memcpy(sr_uuid, text, strnlen(text, sizeof(sr_uuid) - 1));
    db_lock();
    out->has_sr = db_find_uuid(CLASS_SR, sr_uuid, &out->sr);
    out->has_record = db_find_uuid(CLASS_VDI, vdi_uuid, &out->vdi);
    const struct vdi_rec *vdi = out->has_record ? db_get(CLASS_VDI, &out->vdi) : NULL;
    out->for_nobody = vdi && vdi->VBDs.n == 0 && str_ends(text, FOR_VM);
    out->size = vdi ? vdi->virtual_size : 0;
    db_unlock();
}

/* The record of a volume that is there says its size; that of a disk for nobody goes. */
static int settle_record(const struct intent *in, const struct sr_handle *h,
                         const char *vdi_uuid, struct err *err)
{
    struct sr_volume v = { 0 };
    AUTO(err_done) struct err missing = { 0 };
    bool there = h->ops->stat(&h->config, vdi_uuid, &v, &missing) == 0;
    if (!in->for_nobody && (!there || (int64_t)v.virtual_size_bytes == in->size))
        return 0;
    struct tx *tx = daemon_tx("start-up");
    if (in->for_nobody)
        tx_destroy(tx, &in->vdi);
    else
        tx_set_int(tx, &in->vdi, CLASS_VDI, F_VDI_VIRTUAL_SIZE,
                   (int64_t)v.virtual_size_bytes);
    put_space(tx, h);
    return tx_commit(tx, err);
}

/* Keep the volume if its record exists. */
static int settle_one(const char *vdi_uuid, struct err *err)
{
    AUTO(free_str) char *path = pending_path(vdi_uuid);
    AUTO(buf_done) struct buf text = BUF_INIT(64);
    struct intent in;
    if (io_read_file(path, &text)) {
        (void)err_set(err, ERR_INTERNAL_ERROR, "an intent cannot be read");
        return err_detail(err, "%s: %m", path);
    }
    read_intent(vdi_uuid, buf_str(&text), &in);
    if (in.has_sr) {
        AUTO(sr_handle_done) struct sr_handle h = { 0 };
        if (storage_sr(&in.sr, &h, err)
            || (in.has_record && settle_record(&in, &h, vdi_uuid, err)))
            return -1;
        if (!in.has_record || in.for_nobody) {
            if (h.ops->volume_destroy(&h.config, vdi_uuid, err))
                return -1;
            log_info("removed volume %s of an interrupted operation", vdi_uuid);
        }
    }
    storage_pending_end(vdi_uuid);
    return 0;
}

void storage_settle(void)
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
        } else if (settle_one(e->d_name, &why)) {
            /* Its repository is not there: the intent stands until a start finds it. */
            AUTO(free_str) char *text = err_text(&why);
            log_warn("an interrupted operation on volume %s stays unsettled: %s", e->d_name,
                     text);
        }
    }
    closedir(d);
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

/* Commit the record of a volume that exists. Takes rec. */
static int record_volume(struct call *call, const struct sr_handle *sr, struct vdi_rec *rec,
                         struct ref *result, struct err *err)
{
    struct sr_volume v;
    if (sr->ops->stat(&sr->config, rec->uuid, &v, err)) {
        record_free(&schema_classes[CLASS_VDI], rec);
        return -1;
    }
    rec->virtual_size = (int64_t)v.virtual_size_bytes;
    rec->physical_utilisation = (int64_t)v.used_bytes;
    rec->managed = true;
    str_put(&rec->location, rec->uuid);
    struct tx *tx = call_tx(call);
    if (!call_get(CLASS_SR, &sr->ref, err)) {
        record_free(&schema_classes[CLASS_VDI], rec);
        tx_abort(tx);
        return -1;
    }
    struct ref ref = tx_create(tx, CLASS_VDI, rec, NULL);
    put_space(tx, sr);
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

/* Drop a volume whose creation failed half-way. */
static void drop_volume(const struct sr_handle *sr, const char *vdi_uuid)
{
    AUTO(err_done) struct err second = { 0 };
    if (sr->ops->volume_destroy(&sr->config, vdi_uuid, &second)) {
        AUTO(free_str) char *text = err_text(&second);
        log_warn("volume %s stays until the next start: %s", vdi_uuid, text);
        return;
    }
    storage_pending_end(vdi_uuid);
}

int storage_create_vdi(struct call *call, struct vdi_rec *rec, enum storage_intent intent,
                       struct ref *result, struct err *err)
{
    AUTO(sr_handle_done) struct sr_handle sr = { 0 };
    char uuid[UUID_TEXT_SIZE];
    give_uuid(rec);
    memcpy(uuid, rec->uuid, sizeof(uuid));
    uint64_t size = (uint64_t)rec->virtual_size;
    if (storage_sr(&rec->SR, &sr, err) || storage_pending_begin(uuid, &sr, intent, err)) {
        record_free(&schema_classes[CLASS_VDI], rec);
        return -1;
    }
    (void)FAILPOINT("vdi.create.pending");
    if (sr.ops->volume_create(&sr.config, uuid, size, &size, err)) {
        record_free(&schema_classes[CLASS_VDI], rec);
        storage_pending_end(uuid);
        return -1;
    }
    (void)FAILPOINT("vdi.create.volume");
    if (record_volume(call, &sr, rec, result, err)) {
        drop_volume(&sr, uuid);
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
    db_lock();
    const struct vdi_rec *old = call_get(CLASS_VDI, src, err);
    struct vdi_rec *rec = old ? call_copy_fresh(CLASS_VDI, old) : NULL;
    AUTO(free_str) char *source = old ? str_dup(old->uuid) : NULL;
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
    if (storage_sr(&source_sr, &from_sr, err) || storage_sr(to, &to_sr, err)
        || storage_pending_begin(uuid, &to_sr, intent, err)) {
        record_free(&schema_classes[CLASS_VDI], rec);
        return -1;
    }
    struct copy_progress progress = { call, from_fraction, to_fraction };
    if (to_sr.ops->volume_copy(&from_sr.config, source, &to_sr.config, uuid,
                               &call->deadline, copy_progress, &progress, err)) {
        record_free(&schema_classes[CLASS_VDI], rec);
        drop_volume(&to_sr, uuid);
        return -1;
    }
    (void)FAILPOINT("vdi.copy.volume");
    if (record_volume(call, &to_sr, rec, result, err)) {
        drop_volume(&to_sr, uuid);
        return -1;
    }
    if (intent == STORAGE_ALONE)
        storage_pending_end(uuid);
    return 0;
}

int storage_destroy_vdi(struct call *call, const struct ref *ref, struct err *err)
{
    AUTO(sr_handle_done) struct sr_handle sr = { 0 };
    char uuid[UUID_TEXT_SIZE];
    db_lock();
    const struct vdi_rec *vdi = call_get(CLASS_VDI, ref, err);
    struct ref sr_ref = vdi ? vdi->SR : REF_NULL;
    if (vdi)
        memcpy(uuid, vdi->uuid, sizeof(uuid));
    db_unlock();
    if (!vdi || storage_sr(&sr_ref, &sr, err)
        || storage_pending_begin(uuid, &sr, STORAGE_ALONE, err))
        return -1;
    (void)FAILPOINT("vdi.destroy.pending");
    struct tx *tx = call_tx(call);
    vdi = db_get(CLASS_VDI, ref);
    while (vdi && vdi->VBDs.n) {
        struct ref vbd = vdi->VBDs.v[0];
        tx_destroy(tx, &vbd);
    }
    if (vdi)
        tx_destroy(tx, ref);
    put_space(tx, &sr);
    op_refresh(tx, CLASS_SR, &sr.ref);
    if (tx_commit(tx, err)) {
        storage_pending_end(uuid);
        return -1;
    }
    (void)FAILPOINT("vdi.destroy.record");
    drop_volume(&sr, uuid);
    return 0;
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
        put_space(tx, &sr);
    }
    return tx_commit(tx, err);
}
