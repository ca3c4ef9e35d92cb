/* SPDX-License-Identifier: Apache-2.0 */
/* Changed-block tracking of one disk: a file with a bit per 64 KiB, set when that part was written since the
 * file was made. Never under-reports, whatever a power cut keeps: before the first write into a region of
 * 16 MiB an intent for it is made durable, and a file found with intents counts these regions as changed
 * whole. Bits become durable in the flush that makes the data durable, or when the intents are taken back. Another
 * process may read the file meanwhile. Thread: the chain's. */
#ifndef VHD_VHD_CBT_H
#define VHD_VHD_CBT_H

#include "vhd/vhd_format.h"

#define VHD_CBT_BYTES        UINT64_C(65536)
#define VHD_CBT_REGION_BYTES (UINT64_C(16) << 20)

struct vhd_cbt;

/* A new file for a disk of that size, durable when this returns. parent: the disk state before (zero:
 * none). */
int vhd_cbt_create(const struct vhd_io *io, const char *path, uint64_t disk_bytes,
                   const struct uuid *parent, struct err *err) MUST_CHECK;
/* For writing: what a crash left is settled first (durably), the changes stay. */
int vhd_cbt_open(const struct vhd_io *io, const char *path, bool write,
                 struct vhd_cbt **out, struct err *err) MUST_CHECK;
/* The log of an image IMAGE.vhd is IMAGE.cbt beside it; NULL for other names. Given. */
char *vhd_cbt_path(const char *image);
/* That log, for writing; *out NULL: it has none. One that cannot be read is begun anew, without a parent: who asks for changes
 * since an older state then learns that they are not known. */
int vhd_cbt_open_beside(const struct vhd_io *io, const char *image, uint64_t disk_bytes,
                        struct vhd_cbt **out, struct err *err) MUST_CHECK;
void vhd_cbt_close(struct vhd_cbt *t); /* like a crash */
int vhd_cbt_finish(struct vhd_cbt *t, struct err *err)
    MUST_CHECK; /* flush, take intents back */

/* Before the disk grows to that size. */
int vhd_cbt_resize(struct vhd_cbt *t, uint64_t disk_bytes, struct err *err) MUST_CHECK;

/* Note a write; false: vhd_cbt_intend first (pure). */
bool vhd_cbt_note(struct vhd_cbt *t, uint64_t offset, uint64_t len);
int vhd_cbt_intend(struct vhd_cbt *t, uint64_t offset, uint64_t len, struct err *err)
    MUST_CHECK;
/* The same in steps, for a loop that may not block: wants are gathered, run may be elsewhere while the loop notes writes but
 * wants nothing, then ready. */
void vhd_cbt_want(struct vhd_cbt *t, uint64_t offset, uint64_t len);
int vhd_cbt_run(struct vhd_cbt *t, struct err *err) MUST_CHECK;
void vhd_cbt_ready(struct vhd_cbt *t, bool ok);
/* A stream of writes that has come to offset will soon need an intent: from where on, and how much. */
bool vhd_cbt_ahead(const struct vhd_cbt *t, uint64_t offset, uint64_t *at, uint64_t *len);
int vhd_cbt_before_write(struct vhd_cbt *t, uint64_t offset, uint64_t len, struct err *err)
    MUST_CHECK; /* both */
int vhd_cbt_flush(struct vhd_cbt *t, struct err *err) MUST_CHECK;

uint64_t vhd_cbt_disk_bytes(const struct vhd_cbt *t);
const struct uuid *vhd_cbt_parent(const struct vhd_cbt *t);
bool vhd_cbt_changed(const struct vhd_cbt *t, uint64_t offset);
/* One bit per 64 KiB, most significant first; the intents of an unclean file are in it. Borrowed. */
const uint8_t *vhd_cbt_bits(const struct vhd_cbt *t, size_t *bytes_out);
/* Add other's changes (the next step in time) to out, for a list over several snapshots. */
void vhd_cbt_merge(uint8_t *bits, size_t bytes, const struct vhd_cbt *other);
#endif
