/* SPDX-License-Identifier: Apache-2.0 */
/* What a disk process owes its image, in a file of memory that outlives it. A write is answered when its data is on the
 * device; which block took it stands in the process's memory until the next flush. So that a process that is killed takes no
 * answered write with it, each change of the block table and of bitmaps is noted here, before the answer, at the cost of a
 * few bytes in a mapping; the process after it puts what it finds into the image before it opens it.
 *
 * The file lies where the machine's other run-time state does; nothing in it is synced, for after a power cut the guest is gone
 * too. Thread: the disk's. */
#ifndef DISKD_DISK_JOURNAL_H
#define DISKD_DISK_JOURNAL_H

#include "base/err.h"
#include "diskd/disk.h"

struct disk_journal;

/* Make the file, or take it over: what the last process owed is in its image, durably, when this returns. Errors: those of
 * the image. */
int disk_journal_open(const char *path, struct disk_journal **out, struct err *err)
    MUST_CHECK;
void disk_journal_close(struct disk_journal *j); /* as it is: NULL is fine */
void disk_journal_remove(
    struct disk_journal *j); /* nothing is owed: with its file, then as close */

/* Of the leaf that is written from now on, by its name; nothing is owed. */
void disk_journal_leaf(struct disk_journal *j, const struct vhd_image *leaf);

/* Around a plan: false: no room before the next flush, nothing may be planned. Else mark, plan, planned (also if the plan
 * did not succeed), and for each piece of writing that is begun one disk_journal_wrote. */
#define DISK_JOURNAL_BLOCKS (VHD_UNIT_BYTES / VHD_BLOCK_MIN)

struct disk_journal_mark {
    uint32_t first, n;
    uint32_t bat[DISK_JOURNAL_BLOCKS];
};

bool disk_journal_room(const struct disk_journal *j);
bool disk_journal_filling(const struct disk_journal *j); /* a flush would be good */
void disk_journal_mark(const struct vhd_chain *c, uint64_t offset, uint64_t len,
                       struct disk_journal_mark *m);
void disk_journal_planned(struct disk_journal *j, const struct vhd_chain *c,
                          const struct disk_journal_mark *m);
void disk_journal_begun(struct disk_journal *j);
/* Its data is there, or not; before vhd_plan_wrote. */
void disk_journal_wrote(struct disk_journal *j, const struct vhd_chain *c, uint64_t offset,
                        uint64_t len, bool ok);

/* With vhd_flush_begin, and when it is over and all is durable. */
void disk_journal_flush(struct disk_journal *j);
void disk_journal_flushed(struct disk_journal *j);
#endif
