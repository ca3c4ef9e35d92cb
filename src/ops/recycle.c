/* SPDX-License-Identifier: Apache-2.0 */
/* A disk's item and the disk change in one transaction, so nothing is ever both or neither; a VM that is back loses its item right
 * after, or at the next start (recycle_settle). A disk's item names its volume,
 * which stays where it is; emptying writes the volume's intent before the item goes, as destroying a disk does. A VM's item
 * holds its description as ova_export makes it. Any thread; no lock held across I/O. */
#include "ops/recycle.h"

#include <assert.h>
#include <jansson.h>
#include <string.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/tar.h"
#include "base/vec.h"
#include "model/enc.h"
#include "model/ops_lock.h"
#include "ops/gc.h"
#include "ops/ova.h"

#define HOURS_MAX   (24 * 366)
#define FULL_PARTS  20 /* a repository with less than a twentieth free is nearly full */
#define ITEM_FIELDS schema_classes[CLASS_SERAI_RECYCLED].fields

static int64_t hours(const struct map_string_string *config)
{
    int64_t n = -1;
    for (size_t i = 0; i < config->n; i++)
        if (str_eq(config->v[i].key, "recycle-hours")
            && !parse_range(config->v[i].val, 0, HOURS_MAX, &n))
            n = 0;
    return n;
}

/* sr: NULL: of a VM. */
static int64_t keep_us(const struct sr_rec *sr) REQUIRES(db_mutex)
{
    int64_t n = sr ? hours(&sr->other_config) : -1;
    struct db_iter it = db_first(CLASS_POOL);
    if (n < 0 && it.rec)
        n = hours(&((const struct pool_rec *)it.rec)->other_config);
    return n > 0 ? n * 3600 * US_PER_SEC : 0;
}

static struct serai_recycled_rec *item_new(const struct call *call, const char *kind,
                                           const char *uuid, const char *name, int64_t keep)
{
    struct serai_recycled_rec *i = record_new(&schema_classes[CLASS_SERAI_RECYCLED]);
    str_put(&i->kind, kind);
    str_put(&i->object_uuid, uuid);
    str_put(&i->name_label, name);
    str_put(&i->user, call->session.user);
    i->destroyed = clock_wall_us();
    i->expires = i->destroyed + keep;
    return i;
}

struct serai_recycled_rec *recycle_vdi(const struct call *call, const struct ref *ref)
{
    AUTO(buf_done) struct buf json = BUF_INIT(1 << 20);
    struct serai_recycled_rec *item = NULL;
    char volume[UUID_TEXT_SIZE];
    db_lock();
    const struct vdi_rec *vdi = db_get(CLASS_VDI, ref);
    const struct sr_rec *sr = vdi ? db_get(CLASS_SR, &vdi->SR) : NULL;
    int64_t keep = sr && vdi->type != VDI_TYPE_CBT_METADATA ? keep_us(sr) : 0;
    if (keep && !str_eq(sr->content_type, "iso") && vdi->managed && !vdi->missing) {
        item = item_new(call, "VDI", vdi->uuid, vdi->name_label, keep);
        storage_volume(vdi, volume);
        enc_record(&json, ENC_JSON, &schema_classes[CLASS_VDI], vdi);
        str_put(&item->content, buf_str(&json));
        str_put(&item->volume, volume);
        str_put(&item->sr_uuid, sr->uuid);
        item->size = vdi->virtual_size;
    }
    db_unlock();
    return item;
}

/* The only file of the archive. */
static void put_xml(struct serai_recycled_rec *item, const struct buf *tar)
{
    struct tar_entry e;
    if (tar->len >= TAR_BLOCK && tar_parse((const uint8_t *)tar->data, &e) == TAR_ENTRY
        && e.size <= tar->len - TAR_BLOCK) {
        AUTO(free_str) char *xml = str_dupn(tar->data + TAR_BLOCK, (size_t)e.size);
        str_put(&item->content, xml);
    }
}

struct serai_recycled_rec *recycle_vm(const struct call *call, const struct ref *ref)
{
    AUTO(buf_done) struct buf tar = BUF_INIT(OVA_MAX_BYTES);
    AUTO(err_done) struct err why = { 0 };
    struct serai_recycled_rec *item = NULL;
    char text[REF_TEXT_SIZE];
    db_lock();
    const struct vm_rec *vm = db_get(CLASS_VM, ref);
    int64_t keep = vm && !vm->is_a_snapshot && !vm->is_default_template ? keep_us(NULL) : 0;
    if (keep)
        item = item_new(call, "VM", vm->uuid, vm->name_label, keep);
    for (size_t i = 0; keep && i < vm->VBDs.n; i++) {
        const struct vbd_rec *vbd = db_get(CLASS_VBD, &vm->VBDs.v[i]);
        const struct vdi_rec *vdi = db_get(CLASS_VDI, &vbd->VDI);
        const char *uuid = vdi ? vdi->uuid : NULL;
        if (uuid && vbd->type == VBD_TYPE_DISK)
            (void)set_add(ITEM_FIELDS[F_SERAI_RECYCLED_DISKS].ty, &item->disks, &uuid);
    }
    db_unlock();
    ref_text(ref, text);
    const struct ova_choice choice = { .vm = text };
    if (item && ova_export(&choice, &tar, &why) == 0)
        put_xml(item, &tar);
    if (item && !item->content[0]) {
        log_warn("VM %s is not kept in the recycle bin: it cannot be described", text);
        record_free(&schema_classes[CLASS_SERAI_RECYCLED], item);
        return NULL;
    }
    return item;
}

bool recycle_holds(const char *volume)
{
    for (struct db_iter it = db_first(CLASS_SERAI_RECYCLED); it.rec; db_next(&it))
        if (str_eq(((const struct serai_recycled_rec *)it.rec)->volume, volume))
            return true;
    return false;
}

/* ---- back ------------------------------------------------------------------------------------------------- */

/* By the item's uuid, the object's, or a name that only one has. */
static bool find_item(const char *what, struct ref *out) REQUIRES(db_mutex)
{
    size_t named = 0;
    if (db_find_uuid(CLASS_SERAI_RECYCLED, what, out))
        return true;
    for (struct db_iter it = db_first(CLASS_SERAI_RECYCLED); it.rec; db_next(&it)) {
        const struct serai_recycled_rec *i = it.rec;
        if (str_eq(i->object_uuid, what)) {
            *out = it.ref;
            return true;
        }
        if (str_eq(i->name_label, what) && named++ == 0)
            *out = it.ref;
    }
    return named == 1;
}

static struct serai_recycled_rec *copy_item(const char *what, struct ref *ref,
                                            struct err *err)
{
    struct serai_recycled_rec *item = NULL;
    db_lock();
    if (find_item(what, ref))
        item = record_copy(&schema_classes[CLASS_SERAI_RECYCLED],
                           db_get(CLASS_SERAI_RECYCLED, ref));
    db_unlock();
    if (item)
        return item;
    (void)err_set(err, ERR_INVALID_VALUE, "item", what);
    IGNORE(err_detail(err, "nothing in the recycle bin is called that, or several are; "
                           "recycle-list shows what there is"));
    return NULL;
}

/* Its own fields; references to others are not followed. */
static struct vdi_rec *decode_vdi(const char *json, struct err *err)
{
    const struct class_def *cls = &schema_classes[CLASS_VDI];
    struct vdi_rec *rec = record_new(cls);
    json_t *o = json_loads(json, 0, NULL);
    int rc = o ? 0 : err_set(err, ERR_INVALID_VALUE, "content", "");
    for (size_t i = 0; rc == 0 && i < cls->n_fields; i++) {
        const struct field_def *f = &cls->fields[i];
        const json_t *j = json_object_get(o, f->name);
        if (!j || f->is_volatile || f->inverse_class || f->ty->kind == TY_REF)
            continue;
        value_done(f->ty, record_field(f, rec));
        rc = value_decode(f->ty, j, f->name, record_field(f, rec), err);
    }
    json_decref(o);
    if (rc == 0)
        return rec;
    record_free(cls, rec);
    return NULL;
}

static int restore_vdi(struct call *call, const struct ref *ref,
                       const struct serai_recycled_rec *item, struct err *err)
{
    AUTO(sr_handle_done) struct sr_handle sr = { 0 };
    struct sr_volume v;
    struct ref sr_ref, there;
    struct vdi_rec *rec = decode_vdi(item->content, err);
    if (!rec)
        return -1;
    db_lock();
    bool known = db_find_uuid(CLASS_SR, item->sr_uuid, &sr_ref);
    db_unlock();
    int rc = known ? storage_sr(&sr_ref, &sr, err)
                   : err_set(err, ERR_UUID_INVALID, "SR", item->sr_uuid);
    assert(rc || sr.ops); /* the analyzer does not follow storage_sr's promise */
    if (rc == 0)
        rc = sr.ops->stat(&sr.config, item->volume, &v, err);
    if (rc) {
        record_free(&schema_classes[CLASS_VDI], rec);
        return -1;
    }
    rec->SR = sr_ref;
    rec->cbt_enabled = false; /* its logs went with it */
    struct tx *tx = call_tx(call);
    if (!db_get(CLASS_SERAI_RECYCLED, ref) || !db_get(CLASS_SR, &sr_ref)
        || db_find_uuid(CLASS_VDI, rec->uuid, &there)) {
        record_free(&schema_classes[CLASS_VDI], rec);
        tx_abort(tx);
        return err_set(err, ERR_INVALID_VALUE, "item", item->object_uuid);
    }
    struct ref made = tx_create(tx, CLASS_VDI, rec, NULL);
    tx_destroy(tx, ref);
    storage_put_volume(tx, &made, &v);
    storage_put_space(tx, &sr);
    op_refresh(tx, CLASS_VDI, &made);
    op_refresh(tx, CLASS_SR, &sr_ref);
    (void)FAILPOINT("recycle.restore.vdi");
    return tx_commit(tx, err);
}

struct reader {
    const struct buf *b;
    size_t at;
};

static ssize_t read_some(void *arg, void *p, size_t n)
{
    struct reader *r = arg;
    size_t k = MIN(n, r->b->len - r->at);
    memcpy(p, r->b->data + r->at, k);
    r->at += k;
    return (ssize_t)k;
}

/* What a caller may make was asked when he called. */
static int may_make(const struct class_def *cls, const struct session *s, const void *rec,
                    struct err *err)
{
    (void)cls, (void)s, (void)rec, (void)err;
    return 0;
}

static int restore_disks(struct call *call, const struct serai_recycled_rec *item,
                         struct err *err)
{
    for (size_t i = 0; i < item->disks.n; i++) {
        struct ref there, disk;
        db_lock();
        bool is_here = db_find_uuid(CLASS_VDI, item->disks.v[i], &there);
        bool kept = !is_here && find_item(item->disks.v[i], &disk);
        db_unlock();
        if (!kept)
            continue;
        struct serai_recycled_rec *d = copy_item(item->disks.v[i], &disk, err);
        int rc = d ? restore_vdi(call, &disk, d, err) : -1;
        record_free(&schema_classes[CLASS_SERAI_RECYCLED], d);
        if (rc)
            return -1;
    }
    return 0;
}

static int restore_vm(struct call *call, const struct ref *ref,
                      const struct serai_recycled_rec *item, struct err *err)
{
    static const char zeroes[TAR_BLOCK * 2];
    AUTO(buf_done) struct buf tar = BUF_INIT(OVA_MAX_BYTES + 4 * TAR_BLOCK);
    uint8_t head[TAR_BLOCK];
    size_t len = strlen(item->content);
    struct reader r = { &tar, 0 };
    struct set_ref made = { 0 };
    const struct ova_import how = { .restore = true, .force = true, .may = may_make };
    tar_header(head, "ova.xml", len, clock_wall_us() / US_PER_SEC);
    buf_add(&tar, head, sizeof(head));
    buf_add(&tar, item->content, len);
    buf_add(&tar, zeroes, tar_padding(len));
    buf_add(&tar, zeroes, sizeof(zeroes));
    if (restore_disks(call, item, err))
        return -1;
    (void)FAILPOINT("recycle.restore.disks");
    int rc = ova_import(call, &how, read_some, &r, &made, err);
    free(made.v);
    if (rc)
        return -1;
    (void)FAILPOINT("recycle.restore.vm");
    struct tx *tx = call_tx(call);
    if (db_get(CLASS_SERAI_RECYCLED, ref))
        tx_destroy(tx, ref);
    return tx_commit(tx, err);
}

int op_serai_recycle_restore(struct call *call, const struct serai_recycle_restore_args *a,
                             const char **result, struct err *err)
{
    struct ref ref;
    struct serai_recycled_rec *item = copy_item(a->item, &ref, err);
    if (!item)
        return -1;
    int rc = (str_eq(item->kind, "VM") ? restore_vm : restore_vdi)(call, &ref, item, err);
    if (rc == 0)
        str_put(result, item->object_uuid);
    record_free(&schema_classes[CLASS_SERAI_RECYCLED], item);
    return rc;
}

int recycle_settle(struct err *err)
{
    struct tx *tx = daemon_tx("recycle bin");
    VEC(struct ref) back = { 0 };
    for (struct db_iter it = db_first(CLASS_SERAI_RECYCLED); it.rec; db_next(&it)) {
        const struct serai_recycled_rec *i = it.rec;
        struct ref vm;
        if (str_eq(i->kind, "VM") && db_find_uuid(CLASS_VM, i->object_uuid, &vm))
            vec_push(&back, it.ref);
    }
    for (size_t i = 0; i < back.n; i++)
        tx_destroy(tx, &back.v[i]);
    vec_done(&back);
    return tx_commit(tx, err);
}

/* ---- away ------------------------------------------------------------------------------------------------- */

/* call: NULL: the daemon itself. */
static struct tx *begin(const struct call *call) ACQUIRE(db_mutex)
{
    return call ? call_tx(call) : daemon_tx("recycle bin");
}

static int drop_item(const struct call *call, const struct ref *ref, struct err *err)
{
    AUTO(sr_handle_done) struct sr_handle sr = { 0 };
    char volume[UUID_TEXT_SIZE] = "";
    struct ref sr_ref = REF_NULL;
    db_lock();
    const struct serai_recycled_rec *item = db_get(CLASS_SERAI_RECYCLED, ref);
    bool has_volume = item && item->volume[0]
                      && db_find_uuid(CLASS_SR, item->sr_uuid, &sr_ref);
    if (has_volume)
        memcpy(volume, item->volume, strnlen(item->volume, sizeof(volume) - 1));
    db_unlock();
    if (has_volume
        && (storage_sr(&sr_ref, &sr, err)
            || storage_pending_begin(volume, &sr, STORAGE_ALONE, NULL, err)))
        return -1;
    (void)FAILPOINT("recycle.empty.pending");
    struct tx *tx = begin(call);
    bool there = db_get(CLASS_SERAI_RECYCLED, ref) != NULL;
    if (there)
        tx_destroy(tx, ref);
    if (tx_commit(tx, err) || !there) { /* else it has been brought back meanwhile */
        if (has_volume)
            storage_pending_end(volume);
        return there ? -1 : 0;
    }
    (void)FAILPOINT("recycle.empty.recorded");
    if (has_volume)
        storage_drop(&sr, volume);
    return 0;
}

int op_serai_recycle_empty(struct call *call, const struct serai_recycle_empty_args *a,
                           struct err *err)
{
    VEC(struct ref) all = { 0 };
    int rc = 0;
    if (a->item[0]) {
        struct ref ref;
        struct serai_recycled_rec *item = copy_item(a->item, &ref, err);
        record_free(&schema_classes[CLASS_SERAI_RECYCLED], item);
        return item ? drop_item(call, &ref, err) : -1;
    }
    db_lock();
    for (struct db_iter it = db_first(CLASS_SERAI_RECYCLED); it.rec; db_next(&it))
        vec_push(&all, it.ref);
    db_unlock();
    for (size_t i = 0; i < all.n && rc == 0; i++)
        rc = drop_item(call, &all.v[i], err);
    vec_done(&all);
    return rc;
}

/* The oldest item of the repository (or of a VM) that is over its time; with full, the oldest of the repository. */
static bool next_to_go(const char *sr_uuid, bool full, struct ref *out) REQUIRES(db_mutex)
{
    int64_t now = clock_wall_us(), oldest = INT64_MAX;
    for (struct db_iter it = db_first(CLASS_SERAI_RECYCLED); it.rec; db_next(&it)) {
        const struct serai_recycled_rec *i = it.rec;
        bool here = str_eq(i->sr_uuid, sr_uuid);
        bool over = i->expires <= now && (here || !i->sr_uuid[0]);
        if ((over || (full && here)) && i->destroyed < oldest) {
            oldest = i->destroyed;
            *out = it.ref;
        }
    }
    return oldest != INT64_MAX;
}

static bool nearly_full(const struct sr_handle *sr)
{
    struct sr_space s;
    if (sr->ops->space(&sr->config, &s, NULL))
        return false;
    return s.physical_size_bytes - s.physical_used_bytes
           < s.physical_size_bytes / FULL_PARTS;
}

void recycle_turn(const struct sr_handle *sr)
{
    for (;;) {
        AUTO(err_done) struct err why = { 0 };
        struct ref item;
        bool full = nearly_full(sr);
        db_lock();
        bool any = next_to_go(sr->config.uuid, full, &item);
        db_unlock();
        if (!any)
            return;
        if (drop_item(NULL, &item, &why)) {
            AUTO(free_str) char *text = err_text(&why);
            log_warn("the recycle bin cannot be emptied: %s", text);
            return;
        }
    }
}
