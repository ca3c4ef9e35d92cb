/* SPDX-License-Identifier: Apache-2.0 */
/* Storage repositories: create, scan, forget, destroy, and the PBDs that attach them to this host. */
#include <string.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/vec.h"
#include "model/ops_lock.h"
#include "ops/hooks.h"
#include "ops/host_ctx.h"
#include "ops/lease.h"
#include "ops/ops.h"
#include "ops/recycle.h"
#include "ops/storage.h"

static struct pbd_rec *pbd_new(const struct ref *sr, const struct ref *host,
                               const struct map_string_string *config)
{
    struct pbd_rec *pbd = record_new(&schema_classes[CLASS_PBD]);
    pbd->SR = *sr;
    pbd->host = *host;
    const struct ty *ty = schema_classes[CLASS_PBD].fields[F_PBD_DEVICE_CONFIG].ty;
    value_done(ty, &pbd->device_config);
    value_copy(ty, &pbd->device_config, config);
    return pbd;
}

/* Folders of a repository must be absolute; a rootless SR without one gets its own under the state directory. */
static int check_location(const struct sr_create_args *a, struct sr_handle *h,
                          struct err *err)
{
    for (size_t i = 0; i < a->device_config.n; i++)
        if (str_eq(a->device_config.v[i].key, "location"))
            h->path = str_dup(a->device_config.v[i].val);
    if (!h->path)
        h->path = str_fmt("%s/sr/%s", host_ctx.state_dir, h->config.uuid);
    h->config.path = h->path;
    if (h->path[0] == '/')
        return 0;
    (void)err_set(err, ERR_INVALID_VALUE, "device_config:location", h->path);
    return err_detail(err, "the location of a repository must be an absolute path");
}

int op_sr_create(struct call *call, const struct sr_create_args *a, struct ref *result,
                 struct err *err)
{
    AUTO(sr_handle_done) struct sr_handle h = { .ops = sr_by_type(a->type) };
    struct uuid u = uuid_new();
    uuid_text(&u, h.config.uuid);
    if (!h.ops)
        return err_set(err, ERR_SR_UNKNOWN_DRIVER, a->type);
    if (check_location(a, &h, err) || (h.ops->create && h.ops->create(&h.config, err))
        || h.ops->attach(&h.config, err))
        return -1;
    struct sr_rec *sr = record_new(&schema_classes[CLASS_SR]);
    str_put(&sr->uuid, h.config.uuid);
    str_put(&sr->name_label, a->name_label);
    str_put(&sr->name_description, a->name_description);
    str_put(&sr->type, a->type);
    str_put(&sr->content_type, a->content_type[0] ? a->content_type : h.ops->content_type);
    const struct ty *ty = schema_classes[CLASS_SR].fields[F_SR_SM_CONFIG].ty;
    value_done(ty, &sr->sm_config);
    value_copy(ty, &sr->sm_config, &a->sm_config);
    struct tx *tx = call_tx(call);
    struct ref host = db_host_ref();
    *result = tx_create(tx, CLASS_SR, sr, NULL);
    struct pbd_rec *pbd = pbd_new(result, &host, &a->device_config);
    const char *key = "location", *val = h.path;
    (void)map_put(schema_classes[CLASS_PBD].fields[F_PBD_DEVICE_CONFIG].ty,
                  &pbd->device_config, &key, &val);
    pbd->currently_attached = true;
    (void)tx_create(tx, CLASS_PBD, pbd, NULL);
    op_refresh(tx, CLASS_SR, result);
    if (tx_commit(tx, err))
        return -1;
    AUTO(err_done) struct err second = { 0 };
    if (storage_update_sr(call, result, &second)) {
        AUTO(free_str) char *text = err_text(&second);
        log_warn("sizes of the new repository %s: %s", h.config.uuid, text);
    }
    return 0;
}

int op_sr_introduce(struct call *call, const struct sr_introduce_args *a,
                    struct ref *result, struct err *err)
{
    struct uuid u;
    struct ref other;
    if (!sr_by_type(a->type))
        return err_set(err, ERR_SR_UNKNOWN_DRIVER, a->type);
    if (!uuid_parse(a->uuid, &u))
        return err_set(err, ERR_UUID_INVALID, "SR", a->uuid);
    struct sr_rec *sr = record_new(&schema_classes[CLASS_SR]);
    str_put(&sr->uuid, a->uuid);
    str_put(&sr->name_label, a->name_label);
    str_put(&sr->name_description, a->name_description);
    str_put(&sr->type, a->type);
    str_put(&sr->content_type, a->content_type);
    struct tx *tx = call_tx(call);
    if (db_find_uuid(CLASS_SR, a->uuid, &other)) {
        record_free(&schema_classes[CLASS_SR], sr);
        tx_abort(tx);
        return err_set(err, ERR_SR_UUID_EXISTS, a->uuid);
    }
    *result = tx_create(tx, CLASS_SR, sr, NULL);
    op_refresh(tx, CLASS_SR, result);
    return tx_commit(tx, err);
}

/* Records of the repository, its PBDs and its VDIs' records; the volumes stay. */
static void drop_records(struct tx *tx, const struct ref *ref) REQUIRES(db_mutex)
{
    const struct sr_rec *sr = db_get(CLASS_SR, ref);
    while (sr && sr->VDIs.n) {
        struct ref vdi = sr->VDIs.v[0];
        const struct vdi_rec *rec = db_get(CLASS_VDI, &vdi);
        while (rec->VBDs.n) {
            struct ref vbd = rec->VBDs.v[0];
            tx_destroy(tx, &vbd);
        }
        tx_destroy(tx, &vdi);
    }
    while (sr && sr->PBDs.n) {
        struct ref pbd = sr->PBDs.v[0];
        tx_destroy(tx, &pbd);
    }
    if (sr)
        tx_destroy(tx, ref);
}

int op_sr_forget(struct call *call, const struct sr_forget_args *a, struct err *err)
{
    struct tx *tx = call_tx(call);
    drop_records(tx, &a->sr);
    return tx_commit(tx, err);
}

int op_sr_destroy(struct call *call, const struct sr_destroy_args *a, struct err *err)
{
    AUTO(sr_handle_done) struct sr_handle h = { 0 };
    if (storage_sr_unplugged(&a->sr, &h, err))
        return -1;
    db_lock();
    const struct sr_rec *sr = db_get(CLASS_SR, &a->sr);
    bool empty = !sr || sr->VDIs.n == 0;
    db_unlock();
    if (!empty)
        return err_set(err, ERR_SR_NOT_EMPTY);
    if (h.ops->destroy && h.ops->destroy(&h.config, err))
        return -1;
    struct tx *tx = call_tx(call);
    drop_records(tx, &a->sr);
    return tx_commit(tx, err);
}

int op_sr_get_supported_types(struct call *call,
                              const struct sr_get_supported_types_args *a,
                              struct set_string *result, struct err *err)
{
    (void)call, (void)a, (void)err;
    size_t n;
    const struct sr_ops *const *all = sr_all(&n);
    const struct ty *ty =
        schema_classes[CLASS_SR].fields[F_SR_TAGS].ty; /* a set of strings */
    for (size_t i = 0; i < n; i++)
        (void)set_add(ty, result, &all[i]->type);
    return 0;
}

int op_sr_update(struct call *call, const struct sr_update_args *a, struct err *err)
{
    return storage_update_sr(call, &a->sr, err);
}

/* ---- scan -------------------------------------------------------------------------------------------- */

struct found {
    struct sr_volume volume; /* its name is ours */
    char *name;
    bool is_new; /* of no VDI, and no operation is about to make or remove it */
};

struct scan {
    struct found *v;
    size_t n;
    VEC(struct ref) before; /* the VDIs there were before we looked */
};

static void scan_done(struct scan *s)
{
    for (size_t i = 0; i < s->n; i++)
        free_str(&s->v[i].name);
    free_ptr(&s->v);
    vec_done(&s->before);
    s->n = 0;
}

static bool on_volume(const struct sr_volume *v, void *arg)
{
    struct scan *s = arg;
    s->v = mem_resize(s->v, s->n + 1, sizeof(*s->v));
    struct found *f = &s->v[s->n++];
    *f = (struct found){ .volume = *v, .name = str_dup(v->name) };
    return true;
}

static const struct found *find(const struct scan *s, const char *uuid)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->v[i].volume.uuid, uuid) == 0)
            return &s->v[i];
    return NULL;
}

/* Another volume continues it: it is no disk of its own. */
static bool is_inner(const struct scan *s, const char *uuid)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->v[i].volume.parent, uuid) == 0)
            return true;
    return false;
}

static void introduce(struct tx *tx, const struct ref *sr, const struct found *f, bool iso)
    REQUIRES(db_mutex)
{
    const struct sr_volume *v = &f->volume;
    struct vdi_rec *vdi = storage_vdi_new(sr, f->name ? f->name : "",
                                          v->virtual_size_bytes);
    str_put(&vdi->uuid, v->uuid);
    str_put(&vdi->location, iso && f->name ? f->name : v->uuid);
    vdi->read_only = v->read_only;
    vdi->sharable = iso;
    vdi->managed = true;
    struct ref ref = tx_create(tx, CLASS_VDI, vdi, NULL);
    storage_put_volume(tx, &ref, v);
    op_refresh(tx, CLASS_VDI, &ref);
}

static void note_before(const struct ref *sr, struct scan *s)
{
    db_lock();
    const struct sr_rec *rec = db_get(CLASS_SR, sr);
    for (size_t i = 0; rec && i < rec->VDIs.n; i++)
        vec_push(&s->before, rec->VDIs.v[i]);
    db_unlock();
}

static bool was_before(const struct scan *s, const struct ref *vdi)
{
    for (size_t i = 0; i < s->before.n; i++)
        if (ref_eq(&s->before.v[i], vdi))
            return true;
    return false;
}

/* The order of the three questions matters. Once it has no record, a volume that is being removed has an intent until it
 * is gone; one that was being made, and is no longer, has its record when we write, or is gone. */
static void note_new(const struct sr_handle *h, struct scan *s)
{
    for (size_t i = 0; i < s->n; i++) {
        struct found *f = &s->v[i];
        struct sr_volume still;
        struct ref vdi;
        db_lock();
        bool known = storage_vdi_of(f->volume.uuid, &vdi) || recycle_holds(f->volume.uuid);
        db_unlock();
        f->is_new = !known && !is_inner(s, f->volume.uuid)
                    && !storage_is_pending(f->volume.uuid)
                    && h->ops->stat(&h->config, f->volume.uuid, &still, NULL) == 0;
    }
}

static void write_found(struct tx *tx, const struct ref *ref, const struct scan *s)
    REQUIRES(db_mutex)
{
    const struct sr_rec *sr = db_get(CLASS_SR, ref);
    bool iso = str_eq(sr->content_type, "iso");
    for (size_t i = 0; i < s->n; i++) {
        const struct found *f = &s->v[i];
        struct ref vdi;
        if (storage_vdi_of(f->volume.uuid, &vdi)) {
            storage_put_volume(tx, &vdi, &f->volume);
        } else if (f->is_new) {
            introduce(tx, ref, f, iso);
        }
    }
    for (size_t i = sr->VDIs.n; i-- > 0;) {
        struct ref vdi = sr->VDIs.v[i];
        const struct vdi_rec *rec = db_get(CLASS_VDI, &vdi);
        char volume[UUID_TEXT_SIZE];
        storage_volume(rec, volume);
        bool there = find(s, volume) != NULL;
        bool gone = !there && was_before(s, &vdi) && rec->type != VDI_TYPE_CBT_METADATA;
        if (gone && iso && rec->VBDs.n == 0)
            tx_destroy(tx, &vdi);
        else if (gone || there)
            tx_set_bool(tx, &vdi, CLASS_VDI, F_VDI_MISSING, gone);
    }
}

/* Make the records agree with what the driver found: new volumes appear, sizes follow, a volume that is gone is marked
 * missing (files of a library that is gone vanish). A volume being made or dropped is left to its operation. */
int op_sr_scan(struct call *call, const struct sr_scan_args *a, struct err *err)
{
    AUTO(sr_handle_done) struct sr_handle h = { 0 };
    AUTO(scan_done) struct scan s = { 0 };
    if (storage_sr(&a->sr, &h, err))
        return -1;
    note_before(&a->sr, &s);
    if (h.ops->scan(&h.config, on_volume, &s, err))
        return -1;
    note_new(&h, &s);
    struct tx *tx = call_tx(call);
    if (!call_get(CLASS_SR, &a->sr, err)) {
        tx_abort(tx);
        return -1;
    }
    write_found(tx, &a->sr, &s);
    if (tx_commit(tx, err))
        return -1;
    return storage_update_sr(call, &a->sr, err);
}

/* ---- fields ------------------------------------------------------------------------------------------ */

int op_sr_set_name_label(struct call *call, const struct sr_set_name_label_args *a,
                         struct err *err)
{
    return call_set(call, CLASS_SR, &a->sr, F_SR_NAME_LABEL, &a->value, err);
}

int op_sr_set_name_description(struct call *call,
                               const struct sr_set_name_description_args *a,
                               struct err *err)
{
    return call_set(call, CLASS_SR, &a->sr, F_SR_NAME_DESCRIPTION, &a->value, err);
}

/* ---- PBD ---------------------------------------------------------------------------------------------- */

static int check_pbd(const struct pbd_rec *pbd, struct err *err) REQUIRES(db_mutex)
{
    const struct sr_rec *sr = call_get(CLASS_SR, &pbd->SR, err);
    if (!sr || !call_get(CLASS_HOST, &pbd->host, err))
        return -1;
    for (size_t i = 0; i < sr->PBDs.n; i++) {
        const struct pbd_rec *other = db_get(CLASS_PBD, &sr->PBDs.v[i]);
        if (ref_eq(&other->host, &pbd->host)) {
            char sr_text[REF_TEXT_SIZE], host_text[REF_TEXT_SIZE], pbd_text[REF_TEXT_SIZE];
            ref_text(&pbd->SR, sr_text);
            ref_text(&pbd->host, host_text);
            ref_text(&sr->PBDs.v[i], pbd_text);
            return err_set(err, ERR_PBD_EXISTS, sr_text, host_text, pbd_text);
        }
    }
    return 0;
}

int pbd_create(struct call *call, void *record, struct ref *result, struct err *err)
{
    struct pbd_rec *pbd = record;
    struct tx *tx = call_tx(call);
    if (check_pbd(pbd, err)) {
        record_free(&schema_classes[CLASS_PBD], pbd);
        tx_abort(tx);
        return -1;
    }
    pbd->currently_attached = false;
    str_put(&pbd->uuid, "");
    struct ref sr = pbd->SR;
    *result = tx_create(tx, CLASS_PBD, pbd, NULL);
    op_refresh(tx, CLASS_SR, &sr);
    return tx_commit(tx, err);
}

static int set_attached(struct call *call, const struct ref *ref, const struct ref *sr,
                        bool attached, struct err *err)
{
    struct tx *tx = call_tx(call);
    if (db_get(CLASS_PBD, ref)) {
        tx_set_bool(tx, ref, CLASS_PBD, F_PBD_CURRENTLY_ATTACHED, attached);
        op_refresh(tx, CLASS_SR, sr);
    }
    return tx_commit(tx, err);
}

static int sr_of_pbd(const struct ref *pbd, struct ref *sr_out, struct err *err)
{
    db_lock();
    const struct pbd_rec *rec = call_get(CLASS_PBD, pbd, err);
    if (rec)
        *sr_out = rec->SR;
    db_unlock();
    return rec ? 0 : -1;
}

int op_pbd_plug(struct call *call, const struct pbd_plug_args *a, struct err *err)
{
    AUTO(sr_handle_done) struct sr_handle h = { 0 };
    struct ref sr;
    if (sr_of_pbd(&a->self, &sr, err) || storage_sr_unplugged(&sr, &h, err)
        || h.ops->attach(&h.config, err))
        return -1;
    return set_attached(call, &a->self, &sr, true, err);
}

int op_pbd_unplug(struct call *call, const struct pbd_unplug_args *a, struct err *err)
{
    AUTO(sr_handle_done) struct sr_handle h = { 0 };
    struct ref sr;
    if (sr_of_pbd(&a->self, &sr, err) || storage_sr_unplugged(&sr, &h, err))
        return -1;
    db_lock();
    const struct sr_rec *rec = db_get(CLASS_SR, &sr);
    bool busy = false;
    for (size_t i = 0; rec && i < rec->VDIs.n; i++) {
        const struct vdi_rec *vdi = db_get(CLASS_VDI, &rec->VDIs.v[i]);
        busy |= vdi->current_operations.n > 0;
        for (size_t k = 0; k < vdi->VBDs.n; k++)
            busy |= ((const struct vbd_rec *)db_get(CLASS_VBD, &vdi->VBDs.v[k]))
                        ->currently_attached;
    }
    db_unlock();
    if (busy) {
        (void)err_set(err, ERR_SR_DEVICE_IN_USE);
        return err_detail(err, "a disk of this repository is in use by a running VM");
    }
    lease_stop_merges();
    int rc = h.ops->detach && h.ops->detach(&h.config, err) ? -1 : 0;
    if (rc == 0)
        rc = set_attached(call, &a->self, &sr, false, err);
    lease_allow_merges();
    return rc;
}

int pbd_destroy(struct call *call, const struct ref *self, struct err *err)
{
    char text[REF_TEXT_SIZE];
    ref_text(self, text);
    struct tx *tx = call_tx(call);
    const struct pbd_rec *pbd = call_get(CLASS_PBD, self, err);
    if (!pbd || pbd->currently_attached) {
        tx_abort(tx);
        return pbd ? err_set(err, ERR_DEVICE_ALREADY_ATTACHED, text) : -1;
    }
    struct ref sr = pbd->SR;
    tx_destroy(tx, self);
    op_refresh(tx, CLASS_SR, &sr);
    return tx_commit(tx, err);
}
