/* SPDX-License-Identifier: Apache-2.0 */
/* Between the records of storage and the drivers of host/sr.h: which driver serves an SR, and volumes that appear and
 * vanish together with their VDI record, whatever crashes between. */
#ifndef OPS_STORAGE_H
#define OPS_STORAGE_H

#include "host/sr.h"
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
int storage_open_vdi(const struct vdi_rec *vdi, bool read_only, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);

/* Volumes without a record: the intent stands durably in STATE/pending/VDI-UUID (holding the SR's uuid) before a volume
 * is made or changed or a record dropped, until both agree. STORAGE_FOR_VM: the disk is made for a VM whose records
 * follow, and the intent stands until storage_owned(). storage_settle, at start, removes volumes whose record does not
 * exist and disks for VMs that never came to be; where both exist, the record is made to say the volume's size. */
enum storage_intent { STORAGE_ALONE, STORAGE_FOR_VM };

int storage_pending_begin(const char *vdi_uuid, const struct sr_handle *sr,
                          enum storage_intent intent, struct err *err) MUST_CHECK;
void storage_pending_end(const char *vdi_uuid);
/* The VM's records are committed: its disks are here to stay. Null references are skipped. */
void storage_owned(const struct ref *vdis, size_t n) EXCLUDES(db_mutex);
void storage_settle(void);
bool storage_is_pending(const char *vdi_uuid); /* a volume is being made or dropped */

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
/* Bring the SR's sizes up to date. */
int storage_update_sr(struct call *call, const struct ref *sr, struct err *err) MUST_CHECK;
#endif
