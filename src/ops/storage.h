/* SPDX-License-Identifier: Apache-2.0 */
/* Between the records of storage and the drivers of host/sr.h: which driver serves an SR, and volumes that appear and
 * vanish together with their VDI record, whatever crashes between. */
#ifndef OPS_STORAGE_H
#define OPS_STORAGE_H

#include "host/sr_image.h"
#include "ops/call.h"

/* An SR as its driver sees it; owned copies. */
struct sr_handle {
    const struct sr_ops *ops;
    struct sr_config config;
    char *path;
    struct ref ref;
};

void sr_handle_done(struct sr_handle *h);
/* Errors: HANDLE_INVALID, SR_UNKNOWN_DRIVER(type), SR_HAS_NO_PBDS(sr), SR_NOT_ATTACHED(sr). */
int storage_sr(const struct ref *sr, struct sr_handle *out, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
/* The same without asking for a plugged PBD. device_config of its PBD on this host. */
int storage_sr_unplugged(const struct ref *sr, struct sr_handle *out, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
/* The volume of a VDI: its location, which a snapshot or a revert changes; of a library the VDI's own uuid. */
void storage_volume(const struct vdi_rec *vdi, char out[static UUID_TEXT_SIZE]);
/* The VDI whose volume it is. */
bool storage_vdi_of(const char *volume, struct ref *out) REQUIRES(db_mutex);
/* For a machine: *leaf_out (given) is an image for the disk process; NULL: *fd_out (given) is the volume. */
int storage_source(const struct vdi_rec *vdi, bool read_only, int *fd_out, char **leaf_out,
                   struct err *err) MUST_CHECK EXCLUDES(db_mutex);
/* For a transfer, of any kind of volume. Given. */
struct sr_image *storage_image(const struct ref *vdi, bool write, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);

/* Volumes without a record: the intent stands durably in STATE/pending/VOLUME-UUID (holding the SR's uuid) before a volume
 * is made or changed or a record dropped, until both agree. storage_settle, at start, removes volumes whose record does
 * not exist; where both exist, the record is made to say the volume's size.
 *   FOR_VM  the disk is made for a VM whose records follow, and the intent stands until storage_owned(); a disk for a VM
 *           that never came to be is removed.
 *   LEAF    the volume is about to take the place of another (OLD) as a disk's leaf: if it is there, it has. A machine may
 *           have written to it already.
 *   INNER   no disk's any more, but others continue it; it goes when they have gone.
 *   MERGE   its content is in the volume that it continues or continued (OLD), which takes its place: what continues it is
 *           being moved there, then it goes, and its disk, if it is one, is OLD's. */
enum storage_intent {
    STORAGE_ALONE,
    STORAGE_FOR_VM,
    STORAGE_LEAF,
    STORAGE_INNER,
    STORAGE_MERGE
};

int storage_pending_begin(const char *volume, const struct sr_handle *sr,
                          enum storage_intent intent, const char *old /* NULL: none */,
                          struct err *err) MUST_CHECK;
void storage_pending_end(const char *volume);
/* The VM's records are committed: its disks are here to stay. Null references are skipped. */
void storage_owned(const struct ref *vdis, size_t n) EXCLUDES(db_mutex);
/* What is intended with a volume, and the other volume of LEAF and MERGE. False: nothing. */
bool storage_intent_of(const char *volume, enum storage_intent *out,
                       char old[static UUID_TEXT_SIZE]);
void storage_settle(void);
/* The same for one volume, now; what cannot be settled now is when a disk is used next. */
void storage_settle_volume(const char *volume) EXCLUDES(db_mutex);
/* Before the volume of a disk is looked up to be used. Errors: OUT_OF_SPACE, something is still unsettled. */
int storage_settled(struct err *err) MUST_CHECK EXCLUDES(db_mutex);
bool storage_is_raw(const struct vdi_rec *vdi);
bool storage_is_pending(const char *volume); /* a volume is being made or dropped */
bool storage_is_there(const struct sr_handle *sr,
                      const char *volume); /* or cannot be looked for */
/* The volume is no disk's any more: remove it, and those it continued that nothing else does, or keep it for those that
 * continue it. Its intent stands. */
void storage_drop(const struct sr_handle *sr, const char *volume) EXCLUDES(db_mutex);
/* What the records say of a volume is what it is: size, space, parent. */
void storage_put_volume(struct tx *tx, const struct ref *vdi, const struct sr_volume *v)
    REQUIRES(db_mutex);

/* A new VDI record of an SR with the fields that every creation sets; caller fills the rest and commits it. Given. */
struct vdi_rec *storage_vdi_new(const struct ref *sr, const char *name,
                                uint64_t size_bytes);
/* Make a volume of its own for a new VDI and commit the record (taken), both or none. */
int storage_create_vdi(struct call *call, struct vdi_rec *rec, enum storage_intent intent,
                       struct ref *result, struct err *err) MUST_CHECK;
/* A full copy of src in SR to, record from like (its name, description, type ...), with progress. */
int storage_copy_vdi(struct call *call, const struct ref *src, const struct ref *to,
                     enum storage_intent intent, double from_fraction, double to_fraction,
                     struct ref *result, struct err *err) MUST_CHECK;
int storage_destroy_vdi(struct call *call, const struct ref *vdi, struct err *err)
    MUST_CHECK;
/* The same, but into the recycle bin if that is on. */
int storage_recycle_vdi(struct call *call, const struct ref *vdi, struct err *err)
    MUST_CHECK;
/* How much is promised of the repository. */
void storage_put_space(struct tx *tx, const struct sr_handle *sr) REQUIRES(db_mutex);
/* Bring the SR's sizes up to date. */
int storage_update_sr(struct call *call, const struct ref *sr, struct err *err) MUST_CHECK;
#endif
