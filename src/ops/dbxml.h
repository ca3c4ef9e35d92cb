/* SPDX-License-Identifier: Apache-2.0 */
/* The whole database as one XML text, in the form of XenServer's: a manifest, then a table a class, a row an object, an
 * attribute a field. What a backup of a pool's metadata is, and what it is restored from. */
#ifndef OPS_DBXML_H
#define OPS_DBXML_H

#include "ops/call.h"

/* Everything but sessions and tasks, of one moment. redact: without secrets, and without the values of what is called
 * a password or the like; such a text cannot be restored. */
void dbxml_write(struct buf *out, bool redact) EXCLUDES(db_mutex);

#define DBXML_MAX_BYTES ((uint64_t)256 << 20)

/* Make the database what the text says, in one change set; then what follows from it as at a start of the daemon. Reads
 * to the end of the text, not of the stream. Sessions and tasks stay. dry_run: say whether that could be done.
 * Errors: RESTORE_INCOMPATIBLE_VERSION, RESTORE_TARGET_MISSING_DEVICE(device), RESTORE_TARGET_MGMT_IF_NOT_IN_BACKUP,
 * VM_BAD_POWER_STATE(vm, "halted", state) while a machine runs, IMPORT_ERROR(why), IMPORT_ERROR_PREMATURE_EOF. */
int dbxml_restore(struct call *call, ssize_t (*read)(void *arg, void *p, size_t n),
                  void *arg, bool dry_run, struct err *err) MUST_CHECK EXCLUDES(db_mutex);
#endif
