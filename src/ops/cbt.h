/* SPDX-License-Identifier: Apache-2.0 */
/* Changed blocks. A disk that is tracked has a log of its volume's name. A snapshot takes the log with the volume that it
 * gets, and a new one with the old one as its parent goes on for the disk. The collector may give a snapshot another volume
 * later: which log is a snapshot's stands in its serai_cbt. What changed between two snapshots is what the logs from the
 * later back to the earlier one hold; where one of them is missing, it is not known, and the call fails. */
#ifndef OPS_CBT_H
#define OPS_CBT_H

#include "ops/storage.h"

/* Before a volume is written to instead of another: its log follows that of parent ("": none). Its intent stands. */
int cbt_begin(const struct sr_handle *sr, const char *volume, uint64_t bytes,
              const char *parent, struct err *err) MUST_CHECK;
/* The log of a tracked disk or snapshot; "" if it has none. */
void cbt_log(const struct vdi_rec *vdi, char out[static UUID_TEXT_SIZE]) REQUIRES(db_mutex);
/* A new snapshot has this log. */
void cbt_record(struct tx *tx, const struct ref *snapshot, const char *log)
    REQUIRES(db_mutex);
/* Remove the logs that nobody can ask for any more. */
void cbt_collect(const struct sr_handle *sr) EXCLUDES(db_mutex);
#endif
