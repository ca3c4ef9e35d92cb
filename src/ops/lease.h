/* SPDX-License-Identifier: Apache-2.0 */
/* Who may touch the volumes that a disk is made of: any number of readers (transfers, copies, starts, snapshots), or the one
 * merge that puts two of them together. Readers come first: a merge of a volume that is wanted is stopped, and none begins
 * while a lease stands. Machines that have a chain open already are not readers in this sense: the merge tells their disk
 * processes. */
#ifndef OPS_LEASE_H
#define OPS_LEASE_H

#include "ops/storage.h"

struct lease;

/* The volume of the disk and all that it continues stay as they are until lease_give. Waits for a merge to stop. NULL with
 * err: HANDLE_INVALID, or what storage_sr_unplugged says. */
struct lease *lease_take(const struct ref *vdi, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
/* The volume that the disk has, which it may not have had before the lease. Borrowed. */
const char *lease_volume(const struct lease *l);
void lease_give(struct lease *l); /* NULL is fine */

static inline void lease_cleanup(struct lease **l)
{
    lease_give(*l);
}

/* For the collector, one thread. False: one of the two is leased. cancel_fd becomes readable when somebody wants one. */
bool lease_merge_begin(const char *volume, const char *parent, int *cancel_fd) MUST_CHECK;
/* From now on it ends soon by itself, and is not to be stopped. False: it has been asked to stop. */
bool lease_merge_finishing(void) MUST_CHECK;
void lease_merge_end(void);
/* Merges in progress stop; none begins until again is called. Nested calls count. */
void lease_stop_merges(void);
void lease_allow_merges(void);

int lease_init(struct err *err) MUST_CHECK;
void lease_done(void);
#endif
