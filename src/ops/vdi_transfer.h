/* SPDX-License-Identifier: Apache-2.0 */
/* Contents of disks in and out as streams, for seraid's HTTP handlers, which end the client's task: only they know when the
 * last byte has gone. A disk is held while its content moves: nobody's machine has it while it is written, nobody writes it
 * while it is read. What fails leaves a disk as far as it was written. */
#ifndef OPS_VDI_TRANSFER_H
#define OPS_VDI_TRANSFER_H

#include "host/foreign.h"
#include "host/sr_export.h"
#include "ops/call.h"

enum vdi_format {
    VDI_FORMAT_RAW,
    VDI_FORMAT_VHD,
    VDI_FORMAT_TAR,
    VDI_FORMAT_SEEKABLE, /* qcow2, vmdk, vhdx */
    VDI_FORMAT_NONE
};

enum vdi_format vdi_transfer_format(const char *name); /* NULL: raw */

struct vdi_import {
    enum vdi_format format;
    const char
        *name; /* of it; borrowed. Only this is believed, whatever the bytes look like */
    struct foreign_source source;
    uint64_t length; /* of a raw one; UINT64_MAX: until the source ends */
    int spooled;     /* a file that holds all of the source already; else -1. Borrowed */
};

/* A VHD is put over what the disk holds; raw bytes and archives replace it. Errors: VDI_IN_USE, VDI_READONLY,
 * VDI_TOO_SMALL(vdi, bytes), SR_FULL, TASK_CANCELLED, and those of host/foreign.h. */
int vdi_import(struct call *call, const struct ref *vdi, const struct vdi_import *how,
               struct err *err) MUST_CHECK EXCLUDES(db_mutex);
/* The same into a new disk in sr, of the size that the image says (raw: of the length), or nothing. Errors also: INVALID_VALUE
 * where no size is known, VDI_TOO_LARGE, SR_NOT_ATTACHED, SR_OPERATION_NOT_SUPPORTED. */
int vdi_import_new(struct call *call, const struct ref *sr, const char *label,
                   const struct vdi_import *how, struct ref *vdi_out, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
/* What a disk that is full says: SR_FULL. Takes why. */
int vdi_write_failed(struct err *why, struct err *err);
/* One record's worth, checked: IMAGE_BYTES within the disk. */
int vdi_put_bytes(const struct ref *vdi, struct sr_image *i, const uint8_t *p, size_t n,
                  uint64_t at, struct err *err) MUST_CHECK;
int vdi_put_zeroes(struct sr_image *i, uint64_t from, uint64_t to, struct err *err)
    MUST_CHECK;
/* TASK_CANCELLED(task) instead of whatever cancelling looked like. Takes why. */
int vdi_broken(const struct call *call, struct err *why, struct err *err);

struct vdi_export {
    struct ref vdi, base; /* base null: none */
    struct sr_image *image, *base_image;
    struct sr_export *stream;
};

/* Errors: VDI_IN_USE, VDI_INCOMPATIBLE_TYPE(vdi, type), INVALID_VALUE("base", ...). Held until vdi_export_end(). */
int vdi_export_begin(struct call *call, const struct ref *vdi, const struct ref *base,
                     enum sr_export_format format, struct vdi_export *out, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
void vdi_export_end(struct call *call, struct vdi_export *x) EXCLUDES(db_mutex);
#endif
