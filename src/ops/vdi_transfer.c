/* SPDX-License-Identifier: Apache-2.0 */
/* Raw bytes go to the disk as they are; formats are read by serai-image, whose records are checked against the disk here.
 * Runs on a thread that is declared blocked; no lock is held across I/O. */
#include "ops/vdi_transfer.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "api/errors.h"
#include "base/mem.h"
#include "model/ops_lock.h"
#include "ops/storage.h"
#include "ops/vm.h"

#define CHUNK (1u << 20)

enum vdi_format vdi_transfer_format(const char *name)
{
    return !name || str_eq(name, "raw") ? VDI_FORMAT_RAW
           : str_eq(name, "vhd")        ? VDI_FORMAT_VHD
           : str_eq(name, "tar")        ? VDI_FORMAT_TAR
                                        : VDI_FORMAT_NONE;
}

/* The volume of a disk that the caller holds by an operation. */
static struct sr_image *open_held(const struct ref *ref, bool read_only, struct err *err)
{
    char text[REF_TEXT_SIZE];

    ref_text(ref, text);
    db_lock();
    const struct vdi_rec *rec = call_get(CLASS_VDI, ref, err);
    bool metadata = rec && rec->type == VDI_TYPE_CBT_METADATA;
    bool refused = rec && !read_only && (rec->read_only || rec->is_a_snapshot);
    db_unlock();
    if (metadata)
        (void)err_set(err, ERR_VDI_INCOMPATIBLE_TYPE, text, "cbt_metadata");
    else if (refused)
        (void)err_set(err, ERR_VDI_READONLY, text);
    return rec && !metadata && !refused ? storage_image(ref, !read_only, err) : NULL;
}

/* Hold the disk for writing. "blocked" is for what has no name among the operations; nobody may ask for it, so what stands
 * against it is looked at here, after the entry that keeps machines from starting with the disk. */
static int hold_for_writing(const struct call *call, const struct ref *ref, struct err *err)
{
    char text[REF_TEXT_SIZE];

    if (op_begin_forced(CLASS_VDI, ref, "blocked", &call->task, err))
        return -1;
    db_lock();
    const struct vdi_rec *vdi = db_get(CLASS_VDI, ref);
    bool attached = vdi && vm_disk_attached(vdi);
    db_unlock();
    if (!attached)
        return 0;
    op_end(CLASS_VDI, ref, &call->task);
    ref_text(ref, text);
    return err_set(err, ERR_VDI_IN_USE, text, "import");
}

int vdi_write_failed(struct err *why, struct err *err)
{
    if (why->n_params && str_eq(why->params[0], "ENOSPC"))
        return err_set(err, ERR_SR_FULL, "", "");
    err_move(err, why);
    return -1;
}

int vdi_broken(const struct call *call, struct err *why, struct err *err)
{
    char task[REF_TEXT_SIZE];

    ref_text(&call->task, task);
    if (call_cancelled(call))
        return err_set(err, ERR_TASK_CANCELLED, task);
    err_move(err, why);
    return -1;
}

static int too_long(const struct ref *vdi, uint64_t length, uint64_t size, struct err *err)
{
    char text[REF_TEXT_SIZE];
    AUTO(free_str) char *minimum = str_fmt("%" PRIu64, length);

    ref_text(vdi, text);
    (void)err_set(err, ERR_VDI_TOO_SMALL, text, minimum);
    return err_detail(err, "the image is larger than the disk of %" PRIu64 " bytes", size);
}

int vdi_put_bytes(const struct ref *vdi, struct sr_image *i, const uint8_t *p, size_t n,
                  uint64_t at, struct err *err)
{
    AUTO(err_done) struct err why = { 0 };
    uint64_t size = sr_image_bytes(i);
    size_t whole = n / 512 * 512;
    uint8_t last[512] = { 0 };

    if (at > size || n > size - at)
        return too_long(vdi, at + n, size, err);
    if (at % 512)
        return err_set(err, ERR_IMPORT_ERROR,
                       "A piece of the image begins within a sector");
    if (whole && sr_image_write(i, p, whole, at, &why) != 0)
        return vdi_write_failed(&why, err);
    /* The last piece of an image may end within a sector; the rest of it is zero. */
    memcpy(last, p + whole, n - whole);
    if (n > whole && sr_image_write(i, last, sizeof(last), at + whole, &why) != 0)
        return vdi_write_failed(&why, err);
    return 0;
}

int vdi_put_zeroes(struct sr_image *i, uint64_t from, uint64_t to, struct err *err)
{
    AUTO(free_ptr) uint8_t *zeroes = from < to ? mem_alloc(SR_IMAGE_PIECE) : NULL;
    AUTO(err_done) struct err why = { 0 };

    while (from < to) {
        uint64_t part = MIN(SR_IMAGE_PIECE - from % SR_IMAGE_PIECE, to - from);

        if (sr_image_write(i, zeroes, part, from, &why) != 0)
            return vdi_write_failed(&why, err);
        from += part;
    }
    return 0;
}

static int finish(struct sr_image *i, struct err *err)
{
    AUTO(err_done) struct err why = { 0 };

    return sr_image_finish(i, &why) ? vdi_write_failed(&why, err) : 0;
}

/* ---- raw --------------------------------------------------------------------------------------------- */

/* Fill a chunk, up to left bytes. Returns its size, short only at the end of the data, or -1 with errno. */
static ssize_t read_chunk(const struct foreign_source *s, uint8_t *chunk, uint64_t left)
{
    size_t want = (size_t)MIN((uint64_t)CHUNK, left), fill = 0;

    while (fill < want) {
        ssize_t n = s->read(s->arg, chunk + fill, want - fill);

        if (n < 0)
            return -1;
        if (n == 0)
            break;
        fill += (size_t)n;
    }
    return (ssize_t)fill;
}

static int import_raw(struct call *call, const struct ref *vdi, struct sr_image *i,
                      const struct vdi_import *how, struct err *err)
{
    uint64_t size = sr_image_bytes(i), done = 0;
    AUTO(free_ptr) uint8_t *chunk = mem_alloc(CHUNK);
    AUTO(err_done) struct err why = { 0 };

    for (ssize_t n = 1; n > 0 && done < how->length; done += (uint64_t)n) {
        n = read_chunk(&how->source, chunk, how->length - done);
        if (n < 0 || call_cancelled(call)) {
            (void)err_set(&why, ERR_IMPORT_ERROR_PREMATURE_EOF);
            (void)err_detail(&why, "the upload broke off after %" PRIu64 " bytes", done);
            return vdi_broken(call, &why, err);
        }
        if (vdi_put_bytes(vdi, i, chunk, (size_t)n, done, err) != 0)
            return -1;
        call_progress(call, (double)(done + (uint64_t)n) / (double)size);
    }
    return 0;
}

/* ---- formats ----------------------------------------------------------------------------------------- */

struct filling {
    struct call *call;
    const struct ref *vdi;
    struct sr_image *image;
    bool whole; /* what the stream leaves out is zero */
    uint64_t filled;
    unsigned disks;
};

/* 1: it was the last. */
static int take_record(struct filling *f, const struct image_record *r, const uint8_t *p,
                       struct err *err)
{
    uint64_t size = sr_image_bytes(f->image);

    switch (r->kind) {
    case IMAGE_SIZE: return r->at > size ? too_long(f->vdi, r->at, size, err) : 0;
    case IMAGE_DISK:
        return f->disks++
                   ? err_set(err, ERR_IMPORT_ERROR, "The archive holds several disks")
                   : 0;
    case IMAGE_BYTES:
        if ((f->whole && r->at > f->filled && r->at <= size
             && vdi_put_zeroes(f->image, f->filled, r->at, err) != 0)
            || vdi_put_bytes(f->vdi, f->image, p, r->length, r->at, err) != 0)
            return -1;
        f->filled = r->at + (r->length + UINT64_C(511)) / 512 * 512;
        call_progress(f->call, (double)f->filled / (double)size);
        return 0;
    case IMAGE_DONE:
        if (f->whole && f->disks == 0)
            return err_set(err, ERR_IMPORT_ERROR, "The archive holds no disk");
        return f->whole && vdi_put_zeroes(f->image, f->filled, size, err) != 0 ? -1 : 1;
    default:
        return err_set(err, ERR_IMPORT_ERROR, "The image holds something else than a disk");
    }
}

static int import_format(struct call *call, const struct ref *vdi, struct sr_image *i,
                         const struct vdi_import *how, struct err *err)
{
    bool tar = how->format == VDI_FORMAT_TAR;
    AUTO(foreign_close)
    struct foreign *s = foreign_open(tar ? FOREIGN_TAR : FOREIGN_VHD, &how->source, err);
    struct filling f = { call, vdi, i, tar, 0, 0 };
    int rc = s ? 0 : -1;

    while (rc == 0) {
        AUTO(err_done) struct err why = { 0 };
        const uint8_t *p;
        struct image_record r;

        if (foreign_next(s, &r, &p, call->deadline.cancel_fd, &why) != 0)
            return vdi_broken(call, &why, err);
        rc = take_record(&f, &r, p, err);
    }
    return rc < 0 ? -1 : 0;
}

static int import_image(struct call *call, const struct ref *vdi, struct sr_image *i,
                        const struct vdi_import *how, struct err *err)
{
    int rc = how->format == VDI_FORMAT_RAW ? import_raw(call, vdi, i, how, err)
                                           : import_format(call, vdi, i, how, err);

    return rc == 0 ? finish(i, err) : -1;
}

int vdi_import_into(struct call *call, const struct ref *vdi, const struct vdi_import *how,
                    struct err *err)
{
    AUTO(sr_image_cleanup) struct sr_image *i = open_held(vdi, false, err);

    return i ? import_image(call, vdi, i, how, err) : -1;
}

int vdi_import(struct call *call, const struct ref *vdi, const struct vdi_import *how,
               struct err *err)
{
    int rc;

    if (hold_for_writing(call, vdi, err) != 0)
        return -1;
    rc = vdi_import_into(call, vdi, how, err);
    op_end(CLASS_VDI, vdi, &call->task);
    return rc;
}

/* ---- out --------------------------------------------------------------------------------------------- */

/* Reading alone: as many at once as like. */
static struct sr_image *hold_for_reading(const struct call *call, const struct ref *ref,
                                         struct err *err)
{
    struct sr_image *i;

    if (op_begin(CLASS_VDI, ref, "copy", &call->task, err))
        return NULL;
    i = open_held(ref, true, err);
    if (!i)
        op_end(CLASS_VDI, ref, &call->task);
    return i;
}

static void uuid_of(const struct ref *vdi, struct uuid *out)
{
    db_lock();
    const struct vdi_rec *rec = db_get(CLASS_VDI, vdi);
    if (!rec || !uuid_parse(rec->uuid, out))
        *out = uuid_new();
    db_unlock();
}

int vdi_export_begin(struct call *call, const struct ref *vdi, const struct ref *base,
                     enum sr_export_format format, struct vdi_export *out, struct err *err)
{
    struct sr_export_spec spec = { .format = format };
    struct vdi_export x = { .vdi = *vdi, .base = REF_NULL };
    char text[REF_TEXT_SIZE];

    if (!ref_is_null(base) && (format != SR_EXPORT_VHD || ref_eq(base, vdi))) {
        ref_text(base, text);
        (void)err_set(err, ERR_INVALID_VALUE, "base", text);
        return err_detail(err, "only a VHD can be a difference, and to another disk");
    }
    x.image = hold_for_reading(call, vdi, err);
    if (!x.image)
        return -1;
    if (!ref_is_null(base)) {
        x.base_image = hold_for_reading(call, base, err);
        if (x.base_image)
            x.base = *base;
    }
    if (ref_is_null(base) || x.base_image) {
        spec.image = x.image;
        spec.base = x.base_image;
        uuid_of(vdi, &spec.uuid);
        uuid_of(base, &spec.base_uuid);
        x.stream = sr_export_new(&spec, err);
    }
    if (!x.stream) {
        vdi_export_end(call, &x);
        return -1;
    }
    *out = x;
    return 0;
}

void vdi_export_end(struct call *call, struct vdi_export *x)
{
    sr_export_free(&x->stream);
    sr_image_cleanup(&x->image);
    sr_image_cleanup(&x->base_image);
    op_end(CLASS_VDI, &x->vdi, &call->task);
    if (!ref_is_null(&x->base))
        op_end(CLASS_VDI, &x->base, &call->task);
}
