/* SPDX-License-Identifier: Apache-2.0 */
/* Raw bytes go to the disk as they are; formats are read by serai-image, whose records are checked against the disk here.
 * Runs on a thread that is declared blocked; no lock is held across I/O. */
#include "ops/vdi_transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "api/errors.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/qemu_img.h"
#include "model/ops_lock.h"
#include "ops/hooks.h"
#include "ops/storage.h"
#include "ops/vm.h"

#define CHUNK (1u << 20)

enum vdi_format vdi_transfer_format(const char *name)
{
    return !name || str_eq(name, "raw") ? VDI_FORMAT_RAW
           : str_eq(name, "vhd")        ? VDI_FORMAT_VHD
           : str_eq(name, "tar")        ? VDI_FORMAT_TAR
           : qemu_img_reads(name)       ? VDI_FORMAT_SEEKABLE
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

/* What is being filled: a disk that is there, or one that is made as soon as its size is known. */
struct filling {
    struct call *call;
    const struct vdi_import *how;
    struct ref vdi, sr; /* sr: of the disk that is to be made, else null */
    const char *label;
    bool made;
    struct sr_image *image; /* NULL: not yet */
    uint64_t size;
    uint64_t filled; /* up to here */
    unsigned disks;
};

static int make_disk(struct filling *f, uint64_t bytes, struct err *err)
{
    AUTO(sr_handle_done) struct sr_handle sr = { 0 };
    struct vdi_rec *rec;

    if (bytes == UINT64_MAX || bytes == 0) {
        (void)err_set(err, ERR_INVALID_VALUE, "vdi", "");
        return err_detail(err, "without a disk the size must be known: by Content-Length, "
                               "or from the image");
    }
    if (vdi_check_size((int64_t)MIN(bytes, (uint64_t)INT64_MAX), err) != 0
        || storage_sr(&f->sr, &sr, err) != 0)
        return -1;
    if (!sr.ops->volume_create) {
        char text[REF_TEXT_SIZE];

        ref_text(&f->sr, text);
        return err_set(err, ERR_SR_OPERATION_NOT_SUPPORTED, text);
    }
    rec = storage_vdi_new(&f->sr, f->label, bytes);
    /* Until it has its content it is nobody's, and goes at the next start. */
    if (storage_create_vdi(f->call, rec, STORAGE_FOR_VM, &f->vdi, err) != 0)
        return -1;
    f->made = true;
    return 0;
}

/* bytes: what the image holds; UINT64_MAX: who knows. */
static int open_disk(struct filling *f, uint64_t bytes, struct err *err)
{
    if (f->image)
        return 0;
    if (!ref_is_null(&f->sr) && make_disk(f, bytes, err) != 0)
        return -1;
    f->image = open_held(&f->vdi, false, err);
    if (!f->image)
        return -1;
    f->size = sr_image_bytes(f->image);
    return bytes != UINT64_MAX && bytes > f->size ? too_long(&f->vdi, bytes, f->size, err)
                                                  : 0;
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

/* Each chunk of the source, to put. */
static int read_all(struct filling *f,
                    int (*put)(struct filling *f, void *arg, const uint8_t *p, size_t n,
                               uint64_t at, struct err *err),
                    void *arg, struct err *err)
{
    AUTO(free_ptr) uint8_t *chunk = mem_alloc(CHUNK);
    AUTO(err_done) struct err why = { 0 };
    uint64_t done = 0;

    for (ssize_t n = 1; n > 0 && done < f->how->length; done += (uint64_t)n) {
        n = read_chunk(&f->how->source, chunk, f->how->length - done);
        if (n < 0 || call_cancelled(f->call)) {
            (void)err_set(&why, ERR_IMPORT_ERROR_PREMATURE_EOF);
            (void)err_detail(&why, "the upload broke off after %" PRIu64 " bytes", done);
            return vdi_broken(f->call, &why, err);
        }
        if (put(f, arg, chunk, (size_t)n, done, err) != 0)
            return -1;
    }
    return 0;
}

static int put_raw(struct filling *f, void *arg, const uint8_t *p, size_t n, uint64_t at,
                   struct err *err)
{
    (void)arg;
    if (vdi_put_bytes(&f->vdi, f->image, p, n, at, err) != 0)
        return -1;
    call_progress(f->call, (double)(at + n) / (double)f->size);
    return 0;
}

static int import_raw(struct filling *f, struct err *err)
{
    bool made = !ref_is_null(&f->sr);

    return open_disk(f, made ? f->how->length : UINT64_MAX, err) == 0
               ? read_all(f, put_raw, NULL, err)
               : -1;
}

/* ---- streams ----------------------------------------------------------------------------------------- */

/* What a stream leaves out is zero in an archive, and what the disk held in a VHD. */
static bool is_whole(const struct filling *f)
{
    return f->how->format == VDI_FORMAT_TAR;
}

static int take_bytes(struct filling *f, const struct image_record *r, const uint8_t *p,
                      struct err *err)
{
    /* A fixed VHD says its size at its end, where its footer is; an archive not at all. */
    uint64_t length = f->how->length;
    bool known = !ref_is_null(&f->sr) && !is_whole(f) && length != UINT64_MAX
                 && length > 512;

    if (!f->image && open_disk(f, known ? length - 512 : UINT64_MAX, err) != 0)
        return -1;
    if ((is_whole(f) && r->at > f->filled && r->at <= f->size
         && vdi_put_zeroes(f->image, f->filled, r->at, err) != 0)
        || vdi_put_bytes(&f->vdi, f->image, p, r->length, r->at, err) != 0)
        return -1;
    f->filled = r->at + (r->length + UINT64_C(511)) / 512 * 512;
    call_progress(f->call, (double)f->filled / (double)f->size);
    return 0;
}

/* 1: it was the last. */
static int take_record(struct filling *f, const struct image_record *r, const uint8_t *p,
                       struct err *err)
{
    switch (r->kind) {
    case IMAGE_SIZE: return open_disk(f, r->at, err);
    case IMAGE_DISK:
        return f->disks++
                   ? err_set(err, ERR_IMPORT_ERROR, "The archive holds several disks")
                   : 0;
    case IMAGE_BYTES: return take_bytes(f, r, p, err);
    case IMAGE_DONE:
        if (!f->image)
            return err_set(err, ERR_IMPORT_ERROR, "The archive holds no disk");
        return is_whole(f) && vdi_put_zeroes(f->image, f->filled, f->size, err) != 0 ? -1
                                                                                     : 1;
    default:
        return err_set(err, ERR_IMPORT_ERROR, "The image holds something else than a disk");
    }
}

static int import_stream(struct filling *f, struct err *err)
{
    AUTO(foreign_close)
    struct foreign *s = foreign_open(is_whole(f) ? FOREIGN_TAR : FOREIGN_VHD,
                                     &f->how->source, err);
    int rc = s ? 0 : -1;

    while (rc == 0) {
        AUTO(err_done) struct err why = { 0 };
        const uint8_t *p;
        struct image_record r;

        if (foreign_next(s, &r, &p, f->call->deadline.cancel_fd, &why) != 0)
            return vdi_broken(f->call, &why, err);
        rc = take_record(f, &r, p, err);
    }
    return rc < 0 ? -1 : 0;
}

/* ---- formats that are read here and there ------------------------------------------------------------ */

static int put_spool(struct filling *f, void *arg, const uint8_t *p, size_t n, uint64_t at,
                     struct err *err)
{
    (void)f;
    if (io_pwrite_full(*(const int *)arg, p, n, at) == 0)
        return 0;
    if (errno == ENOSPC || errno == EDQUOT)
        return err_set(err, ERR_SR_FULL, "", "");
    (void)err_set(err, ERR_SR_BACKEND_FAILURE, "", "", "The image could not be kept");
    return err_detail(err, "writing: %m");
}

/* Where the disk is, or will be: room for bytes more must be there now. */
static int spool(const struct filling *f, uint64_t bytes, struct err *err)
{
    AUTO(sr_handle_done) struct sr_handle sr = { 0 };
    struct ref ref = f->sr;
    struct sr_space space;
    char text[REF_TEXT_SIZE];

    db_lock();
    const struct vdi_rec *vdi = ref_is_null(&ref) ? db_get(CLASS_VDI, &f->vdi) : NULL;
    if (vdi)
        ref = vdi->SR;
    db_unlock();
    if (storage_sr(&ref, &sr, err) != 0)
        return -1;
    ref_text(&ref, text);
    if (!sr.ops->spool)
        return err_set(err, ERR_SR_OPERATION_NOT_SUPPORTED, text);
    if (sr.ops->space(&sr.config, &space, err) != 0)
        return -1;
    uint64_t room = space.physical_size_bytes
                    - MIN(space.physical_size_bytes, space.physical_used_bytes);
    if (bytes != UINT64_MAX && bytes > room) {
        AUTO(free_str) char *want = str_fmt("%" PRIu64, bytes);
        AUTO(free_str) char *have = str_fmt("%" PRIu64, room);

        return err_set(err, ERR_SR_FULL, want, have);
    }
    return sr.ops->spool(&sr.config, NULL, true, err);
}

static int cancelled_or(struct filling *f, int rc, struct err *why, struct err *err)
{
    return rc == 0 ? 0 : vdi_broken(f->call, why, err);
}

/* All that raw holds, and zeroes for the rest. */
static int copy_raw(struct filling *f, int raw, uint64_t bytes, struct err *err)
{
    int fd = fcntl(raw, F_DUPFD_CLOEXEC, 0);
    AUTO(sr_image_cleanup) struct sr_image *from = sr_image_raw(fd, bytes);
    AUTO(free_ptr) uint8_t *piece = mem_alloc(SR_IMAGE_PIECE);
    uint64_t at = 0, len = 0;

    for (;; at += len) {
        AUTO(err_done) struct err why = { 0 };

        if (call_cancelled(f->call))
            return vdi_broken(f->call, &why, err);
        if (sr_image_next(from, &at, &len, err) < 0)
            return -1;
        if (len == 0)
            break;
        if (sr_image_read(from, piece, len, at, err) < 0
            || vdi_put_zeroes(f->image, f->filled, at, err) != 0
            || vdi_put_bytes(&f->vdi, f->image, piece, (size_t)len, at, err) != 0)
            return -1;
        f->filled = at + len;
        call_progress(f->call, 0.5 + (double)f->filled / (double)f->size / 2);
    }
    return vdi_put_zeroes(f->image, f->filled, f->size, err);
}

static int import_seekable(struct filling *f, struct err *err)
{
    bool here = f->how->spooled >= 0;
    AUTO(close_fd)
    int in = here ? fcntl(f->how->spooled, F_DUPFD_CLOEXEC, 0)
                  : spool(f, f->how->length, err);
    AUTO(close_fd) int raw = -1;
    AUTO(err_done) struct err why = { 0 };
    uint64_t bytes = 0, whole;

    if (in < 0 || (!here && read_all(f, put_spool, &in, err) != 0))
        return -1;
    if (cancelled_or(f, qemu_img_size(in, f->how->name, &bytes, &f->call->deadline, &why),
                     &why, err)
            != 0
        || open_disk(f, bytes, err) != 0)
        return -1;
    whole = (bytes + 511) / 512 * 512;
    raw = spool(f, UINT64_MAX, err);
    if (raw < 0)
        return -1;
    if (ftruncate(raw, (off_t)whole) != 0)
        return err_set(err, ERR_SR_FULL, "", "");
    if (cancelled_or(
            f, qemu_img_convert(in, f->how->name, raw, whole, &f->call->deadline, &why),
            &why, err)
        != 0)
        return -1;
    return copy_raw(f, raw, whole, err);
}

/* ---- in ---------------------------------------------------------------------------------------------- */

static int import_image(struct filling *f, struct err *err)
{
    static int (*const rows[])(struct filling *, struct err *) = {
        [VDI_FORMAT_RAW] = import_raw,
        [VDI_FORMAT_VHD] = import_stream,
        [VDI_FORMAT_TAR] = import_stream,
        [VDI_FORMAT_SEEKABLE] = import_seekable,
    };
    int rc = rows[f->how->format](f, err);

    if (rc == 0)
        rc = finish(f->image, err);
    sr_image_cleanup(&f->image);
    return rc;
}

int vdi_import(struct call *call, const struct ref *vdi, const struct vdi_import *how,
               struct err *err)
{
    struct filling f = { .call = call, .how = how, .vdi = *vdi, .sr = REF_NULL };
    int rc;

    if (hold_for_writing(call, vdi, err) != 0)
        return -1;
    rc = import_image(&f, err);
    op_end(CLASS_VDI, vdi, &call->task);
    return rc;
}

int vdi_import_new(struct call *call, const struct ref *sr, const char *label,
                   const struct vdi_import *how, struct ref *vdi_out, struct err *err)
{
    struct filling f = {
        .call = call, .how = how, .vdi = REF_NULL, .sr = *sr, .label = label
    };
    AUTO(err_done) struct err undo = { 0 };
    int rc = import_image(&f, err);

    if (rc == 0) {
        storage_owned(&f.vdi, 1);
        *vdi_out = f.vdi;
    } else if (f.made && storage_destroy_vdi(call, &f.vdi, &undo) != 0) {
        log_warn("removing a disk whose import failed: %s", undo.code);
    }
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
