/* SPDX-License-Identifier: Apache-2.0 */
/* Writes of a disk are noted in its log of changed blocks (vhd_cbt.h) before they begin; one into a region without an intent
 * waits until that is durable. Thread: the disk's loop. */
#ifndef DISKD_DISK_CBT_H
#define DISKD_DISK_CBT_H

#include "diskd/disk.h"
#include "vhd/vhd_cbt.h"

/* From now on in t (given; NULL: not any more). The log so far, or NULL, is the caller's. Only while held, or before the
 * first request. */
struct vhd_cbt *disk_track(struct disk *d, struct vhd_cbt *t);
struct vhd_cbt *disk_tracked(const struct disk *d); /* borrowed; NULL: it is not */
#endif
