/* SPDX-License-Identifier: Apache-2.0 */
/* How much a disk may be asked for: requests and bytes a second, each its own clock that runs ahead by what was let through
 * and has to come back before the next. Pure. Thread: the disk's. */
#ifndef DISKD_DISK_LIMIT_H
#define DISKD_DISK_LIMIT_H

#include "base/util.h"

#define DISK_LIMIT_BURST_US INT64_C(50000) /* of rest may be made up for at once */

struct disk_limit {
    uint64_t iops, bytes; /* a second; 0: no limit */
    int64_t next_us[2];   /* when the next may go */
};

void disk_limit_set(struct disk_limit *l, uint64_t iops, uint64_t bytes);
/* From when on it would let one through; not before is in the past: now. */
int64_t disk_limit_due(const struct disk_limit *l);
void disk_limit_take(struct disk_limit *l, uint64_t len, int64_t now_us);
#endif
