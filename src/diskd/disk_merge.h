/* SPDX-License-Identifier: Apache-2.0 */
/* The leaf of a disk goes into its parent while requests go on. Thread: the disk's loop. */
#ifndef DISKD_DISK_MERGE_H
#define DISKD_DISK_MERGE_H

#include "diskd/disk.h"

/* below: the parent and all under it, opened once more, for writing, as large as the disk; given. When fn is called
 * (disk_merge_error: 0 or errno, ECANCELED after disk_merge_stop) the disk's leaf is the former parent under the leaf's name,
 * or all is as it was. errno EINVAL, EBUSY: not begun. */
int disk_merge_begin(struct disk *d, struct vhd_chain *below, disk_fn fn, void *arg)
    MUST_CHECK;
void disk_merge_stop(struct disk *d); /* soon; fn still comes. Fine if there is none */
bool disk_merging(const struct disk *d);
int disk_merge_error(const struct disk *d);       /* of the last one */
int64_t disk_merge_hold_us(const struct disk *d); /* how long requests waited at its end */
uint64_t disk_merge_done(const struct disk *d);   /* bytes of the disk that are behind it */
/* In the loop: when it wants to go on by itself (INT64_MAX: not), and that it may. */
int64_t disk_merge_due(const struct disk *d);
void disk_merge_turn(struct disk *d);
#endif
