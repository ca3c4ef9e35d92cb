/* SPDX-License-Identifier: Apache-2.0 */
/* The archive is read by serai-image; here its pieces find their disks. Runs on a thread that is declared blocked. */
#include "ops/xva.h"

#include <string.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/tar.h"
#include "model/ops_lock.h"
#include "ops/storage.h"
#include "ops/vdi_transfer.h"

/* ---- out --------------------------------------------------------------------------------------------- */

static bool holds(const struct xva_export *x, const struct ref *vm)
{
    for (size_t i = 0; i < x->vms.n; i++)
        if (ref_eq(&x->vms.v[i], vm))
            return true;
    return false;
}

/* A VM that is suspended keeps its disks, but nobody writes to them while it is held. */
static bool kept_by_us(const struct xva_export *x, const struct ref *vdi)
{
    bool ours = false;

    db_lock();
    const struct vdi_rec *rec = db_get(CLASS_VDI, vdi);
    for (size_t i = 0; rec && i < rec->VBDs.n; i++) {
        const struct vbd_rec *vbd = db_get(CLASS_VBD, &rec->VBDs.v[i]);

        if (!vbd->currently_attached)
            continue;
        ours = holds(x, &vbd->VM);
        if (!ours)
            break;
    }
    db_unlock();
    return ours;
}

static int hold_disk(const struct xva_export *x, const struct ref *vdi, struct err *err)
{
    return kept_by_us(x, vdi) ? op_begin_forced(CLASS_VDI, vdi, "copy", &x->call->task, err)
                              : op_begin(CLASS_VDI, vdi, "copy", &x->call->task, err);
}

static int hold_all(struct xva_export *x, struct err *err)
{
    for (; x->n_held_vms < x->vms.n; x->n_held_vms++)
        if (op_begin(CLASS_VM, &x->vms.v[x->n_held_vms], "export", &x->call->task, err)
            != 0)
            return -1;
    for (; x->n_held_disks < x->disks.rows.n; x->n_held_disks++)
        if (hold_disk(x, &x->disks.rows.v[x->n_held_disks].vdi, err) != 0)
            return -1;
    return 0;
}

/* The description that goes out is of a moment when all was held. */
static int describe_held(struct xva_export *x, const struct ova_choice *choice,
                         struct err *err)
{
    struct ova_disks disks = { 0 };
    struct set_ref vms = { 0 };
    int rc;

    buf_clear(&x->xml);
    rc = ova_describe(choice, &x->xml, &disks, &vms, err);
    if (rc == 0
        && (vms.n != x->vms.n || disks.rows.n != x->disks.rows.n
            || memcmp(vms.v, x->vms.v, vms.n * sizeof(*vms.v)) != 0
            || (disks.rows.n
                && memcmp(disks.rows.v, x->disks.rows.v,
                          disks.rows.n * sizeof(*disks.rows.v))
                       != 0)))
        rc = err_set(err, ERR_OPERATION_NOT_ALLOWED,
                     "the VM was changed just as its export began; try again");
    vec_done(&disks.rows);
    free(vms.v);
    return rc;
}

int xva_export_begin(struct call *call, const struct ova_choice *choice,
                     struct xva_export *out, struct err *err)
{
    *out = (struct xva_export){ .call = call };
    if (ova_describe(choice, &out->xml, &out->disks, &out->vms, err) == 0
        && hold_all(out, err) == 0 && describe_held(out, choice, err) == 0)
        return 0;
    xva_export_end(out);
    return -1;
}

/* Progress over all disks. */
struct part {
    const struct sr_export_sink *sink;
    double from, share;
};

static int write_part(void *arg, const void *p, size_t n, struct err *err)
{
    const struct part *k = arg;

    return k->sink->write(k->sink->arg, p, n, err);
}

static int step_part(void *arg, double fraction, struct err *err)
{
    const struct part *k = arg;

    return k->sink->step ? k->sink->step(k->sink->arg, k->from + fraction * k->share, err)
                         : 0;
}

static int send_disk(const struct ova_disk *d, bool sha1, struct part *part,
                     struct err *err)
{
    const struct sr_export_sink sink = { write_part, step_part, part };
    AUTO(sr_image_cleanup) struct sr_image *i = storage_image(&d->vdi, false, err);
    AUTO(free_str) char *name = str_fmt("Ref:%zu", d->number);

    return i ? sr_export_pieces(i, name, sha1, &sink, err) : -1;
}

int xva_export_send(struct xva_export *x, const struct sr_export_sink *sink,
                    struct err *err)
{
    static const uint8_t zeroes[2 * TAR_BLOCK];
    uint8_t head[TAR_BLOCK];
    size_t n = x->disks.rows.n;

    tar_header(head, "ova.xml", x->xml.len, clock_wall_us() / US_PER_SEC);
    if (sink->write(sink->arg, head, sizeof(head), err) != 0
        || sink->write(sink->arg, buf_str(&x->xml), x->xml.len, err) != 0
        || sink->write(sink->arg, zeroes, tar_padding(x->xml.len), err) != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        struct part part = { sink, (double)i / (double)n, 1 / (double)n };

        if (send_disk(&x->disks.rows.v[i], x->sha1, &part, err) != 0)
            return -1;
    }
    return sink->write(sink->arg, zeroes, sizeof(zeroes), err);
}

void xva_export_end(struct xva_export *x)
{
    while (x->n_held_disks)
        op_end(CLASS_VDI, &x->disks.rows.v[--x->n_held_disks].vdi, &x->call->task);
    while (x->n_held_vms)
        op_end(CLASS_VM, &x->vms.v[--x->n_held_vms], &x->call->task);
    buf_done(&x->xml);
    vec_done(&x->disks.rows);
    free(TAKE(x->vms.v));
}

/* ---- in ---------------------------------------------------------------------------------------------- */

struct reading {
    struct call *call;
    struct foreign *stream;
    const struct ova_fill *rows;
    size_t n;
    bool *seen;
    struct sr_image *image; /* of the disk whose pieces come; NULL: they are left out */
    const struct ova_fill *row;
    uint64_t total, before; /* bytes of all disks, and of those that are done */
    const char *xml;
    size_t xml_len;
};

static int next(struct reading *r, struct image_record *out, const uint8_t **p,
                struct err *err)
{
    AUTO(err_done) struct err why = { 0 };

    return foreign_next(r->stream, out, p, r->call->deadline.cancel_fd, &why) == 0
               ? 0
               : vdi_broken(r->call, &why, err);
}

static int finish_disk(struct reading *r, struct err *err)
{
    AUTO(err_done) struct err why = { 0 };
    AUTO(sr_image_cleanup) struct sr_image *i = TAKE(r->image);

    if (r->row)
        r->before += r->row->bytes;
    r->row = NULL;
    return i && sr_image_finish(i, &why) != 0 ? vdi_write_failed(&why, err) : 0;
}

static bool described(const struct reading *r, const char *id)
{
    AUTO(free_str) char *value = str_fmt(">%s<", id);

    return memmem(r->xml, r->xml_len, value, strlen(value)) != NULL;
}

static int begin_disk(struct reading *r, const uint8_t *p, size_t n, struct err *err)
{
    AUTO(free_str) char *id = str_dupn((const char *)p, n);

    if (finish_disk(r, err) != 0)
        return -1;
    for (size_t i = 0; i < r->n; i++) {
        if (!str_eq(r->rows[i].id, id))
            continue;
        r->row = &r->rows[i];
        r->seen[i] = true;
        r->image = storage_image(&r->row->vdi, true, err);
        return r->image ? 0 : -1;
    }
    /* Of a disk that is not made: stored memory that nobody here could bring back. */
    return described(r, id)
               ? 0
               : err_set(err, ERR_IMPORT_ERROR_UNEXPECTED_FILE, "a disk of ova.xml", id);
}

static int put_piece(struct reading *r, const struct image_record *rec, const uint8_t *p,
                     struct err *err)
{
    if (!r->image)
        return 0;
    if (vdi_put_bytes(&r->row->vdi, r->image, p, rec->length, rec->at, err) != 0)
        return -1;
    call_progress(r->call,
                  (double)(r->before + rec->at) / (double)MAX(r->total, UINT64_C(1)));
    return 0;
}

static int all_came(const struct reading *r, struct err *err)
{
    for (size_t i = 0; i < r->n; i++)
        if (!r->seen[i]) {
            (void)err_set(err, ERR_IMPORT_ERROR_ATTACHED_DISKS_NOT_FOUND);
            return err_detail(err, "the archive has no data of the disk %s", r->rows[i].id);
        }
    return 0;
}

static int read_disks(struct reading *r, struct err *err)
{
    for (;;) {
        struct image_record rec;
        const uint8_t *p;
        int rc = next(r, &rec, &p, err);

        if (rc == 0 && rec.kind == IMAGE_DONE)
            return finish_disk(r, err) == 0 ? all_came(r, err) : -1;
        if (rc == 0 && rec.kind == IMAGE_DISK)
            rc = begin_disk(r, p, rec.length, err);
        else if (rc == 0 && rec.kind == IMAGE_BYTES)
            rc = put_piece(r, &rec, p, err);
        else if (rc == 0)
            rc = err_set(err, ERR_IMPORT_ERROR, "The archive is not as an XVA should be");
        if (rc != 0)
            return -1;
    }
}

static int fill(void *arg, const struct ova_fill *rows, size_t n, struct err *err)
{
    struct reading *r = arg;
    AUTO(free_ptr) bool *seen = mem_array(n + 1, sizeof(*seen));
    int rc;

    r->rows = rows;
    r->n = n;
    r->seen = seen;
    for (size_t i = 0; i < n; i++)
        r->total += rows[i].bytes;
    rc = read_disks(r, err);
    sr_image_cleanup(&r->image);
    return rc;
}

static int read_xml(struct reading *r, struct buf *xml, struct err *err)
{
    struct image_record rec;
    const uint8_t *p;

    if (next(r, &rec, &p, err) != 0)
        return -1;
    if (rec.kind != IMAGE_FILE || rec.at > IMAGE_XML_MAX)
        return err_set(err, ERR_IMPORT_ERROR, "The archive is not as an XVA should be");
    for (uint64_t size = rec.at; xml->len < size;) {
        if (next(r, &rec, &p, err) != 0)
            return -1;
        if (rec.kind != IMAGE_BYTES || rec.length == 0 || rec.length > size - xml->len)
            return err_set(err, ERR_IMPORT_ERROR, "The archive is not as an XVA should be");
        buf_add(xml, p, rec.length);
    }
    return 0;
}

static int default_sr(struct ref *out, struct err *err)
{
    db_lock();
    struct ref pool_ref = db_pool_ref();
    const struct pool_rec *pool = db_get(CLASS_POOL, &pool_ref);
    *out = pool ? pool->default_SR : REF_NULL;
    bool there = db_get(CLASS_SR, out) != NULL;
    db_unlock();
    return there ? 0 : err_set(err, ERR_DEFAULT_SR_NOT_FOUND, "OpaqueRef:NULL");
}

int xva_import(struct call *call, const struct xva_import *how, struct set_ref *result,
               struct err *err)
{
    AUTO(buf_done) struct buf xml = BUF_INIT(IMAGE_XML_MAX + 1);
    AUTO(foreign_close) struct foreign *stream = NULL;
    struct reading r = { .call = call };
    struct ova_import ova = { .restore = how->restore,
                              .force = how->force,
                              .dry_run = how->dry_run,
                              .may = how->may,
                              .fill = fill,
                              .fill_arg = &r,
                              .sr = how->sr };

    if (ref_is_null(&ova.sr) && default_sr(&ova.sr, err) != 0)
        return -1;
    stream = foreign_open(FOREIGN_XVA, &how->source, err);
    r.stream = stream;
    if (!stream || read_xml(&r, &xml, err) != 0)
        return -1;
    r.xml = buf_str(&xml);
    r.xml_len = xml.len;
    return ova_import_xml(call, &ova, buf_str(&xml), xml.len, result, err);
}
