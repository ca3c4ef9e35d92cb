/* SPDX-License-Identifier: Apache-2.0 */
/* Disks that share what they have in common: snapshots and clones. A disk's volume stops being written to and becomes the
 * snapshot's (or nobody's, under a clone); the disk goes on in a new volume that continues it. Files first, with their
 * intents, then one change set of the caller's, then the intents go:
 *
 *     snapshot_split(v, n, deadline, err), then in a transaction snapshot_record(tx, v, n); tx_commit;
 *     snapshot_end(v, n, whether it was committed)
 *
 * Whatever dies in between, each disk has all its data and either all of the new records are there or none. */
#ifndef OPS_SNAPSHOT_H
#define OPS_SNAPSHOT_H

#include "ops/storage.h"

struct lease;

enum snapshot_kind {
    SNAPSHOT_TAKE,  /* a snapshot of the disk; also of one that a machine is writing to */
    SNAPSHOT_CLONE, /* a disk of its own; the source is not being written to */
    SNAPSHOT_BACK /* the disk `of` begins again with what the snapshot vdi holds; what it held since is dropped */
};

struct snapshot_disk {
    enum snapshot_kind kind;
    struct ref vdi;  /* in */
    struct ref of;   /* in, BACK */
    bool for_vm;     /* in, CLONE: records of a VM follow (storage_owned) */
    struct ref made; /* out, from snapshot_record: the new VDI */
    /* its own */
    struct sr_handle sr;
    char volume[UUID_TEXT_SIZE]; /* of vdi, before */
    char leaf[UUID_TEXT_SIZE];   /* that vdi goes on in; "": it stays where it is */
    char fresh[UUID_TEXT_SIZE];  /* of the clone, or that `of` begins again in; "": none */
    char old[UUID_TEXT_SIZE];    /* BACK: of `of`, before */
    char vm[UUID_TEXT_SIZE], vbd[UUID_TEXT_SIZE]; /* the process that has it; "": none */
    struct lease *lease, *of_lease;
    bool tracked;   /* there is a log of the disk's changes, to go on in the new volume */
    bool logged;    /* TAKE: the snapshot has a log */
    uint64_t bytes; /* of the disk that is tracked */
    char log[UUID_TEXT_SIZE]; /* that the new one follows; "": none */
    bool moved;
};

/* All that are served by one machine's process at one moment. Errors: SR_OPERATION_NOT_SUPPORTED(sr), VDI_IN_USE, ... On
 * failure nothing is left. */
int snapshot_split(struct snapshot_disk *v, size_t n, const struct deadline *d,
                   struct err *err) MUST_CHECK EXCLUDES(db_mutex);
/* -1: a disk or its repository is gone; abort the transaction. */
int snapshot_record(struct tx *tx, struct snapshot_disk *v, size_t n, struct err *err)
    MUST_CHECK REQUIRES(db_mutex);
void snapshot_end(struct snapshot_disk *v, size_t n, bool committed) EXCLUDES(db_mutex);

/* All of it for one disk; the new VDI. */
int snapshot_one(struct call *call, struct snapshot_disk *d, struct ref *result,
                 struct err *err) MUST_CHECK EXCLUDES(db_mutex);
/* A disk of its own with the same content; of a raw one a full copy, with progress. */
int snapshot_clone(struct call *call, const struct ref *vdi, bool for_vm,
                   double from_fraction, double to_fraction, struct ref *result,
                   struct err *err) MUST_CHECK EXCLUDES(db_mutex);
#endif
