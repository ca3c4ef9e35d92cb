/* SPDX-License-Identifier: Apache-2.0 */
/* The recycle bin: VMs and disks that were destroyed can be brought back for a time. other_config:recycle-hours says how long,
 * of the repository (for its disks) or else of the pool; absent or 0: nothing is kept. To clients a destroyed object is gone;
 * what is kept stands in records of class serai_recycled, and a kept disk's volume takes its space until it is emptied: after
 * its time, by hand, or, oldest first, when the repository gets full. */
#ifndef OPS_RECYCLE_H
#define OPS_RECYCLE_H

#include "ops/storage.h"

/* What is to be kept of an object that is about to be destroyed; given, put into the transaction that destroys it. NULL: the
 * bin is off for it. */
struct serai_recycled_rec *recycle_vdi(const struct call *call, const struct ref *vdi)
    MUST_CHECK EXCLUDES(db_mutex);
struct serai_recycled_rec *recycle_vm(const struct call *call, const struct ref *vm)
    MUST_CHECK EXCLUDES(db_mutex);

/* Is it the volume of a disk in the bin? */
bool recycle_holds(const char *volume) REQUIRES(db_mutex);
/* Empty what is over its time, and more when the repository is nearly full. The collector's thread. */
void recycle_turn(const struct sr_handle *sr) EXCLUDES(db_mutex);
/* At the start: an item whose VM is back goes, as a daemon may die between the two. */
int recycle_settle(struct err *err) MUST_CHECK EXCLUDES(db_mutex);
#endif
