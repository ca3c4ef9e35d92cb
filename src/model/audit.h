/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log's writer: STATE/audit, in the form of model/auditlog.h. One per process.
 *
 * An intent is on the disk before its call acts; whoever waits at the same time shares one fdatasync. An outcome is
 * written before the call is answered, so that no death of the process loses it, and reaches the disk with the next
 * intent or some seconds later; after a power cut the log then says "unknown". That is one fdatasync for a call, and the
 * database's own is the second. Intents that a dead process left get the outcome "unknown" at the next start.
 *
 * A file ends at some MiB and the next begins; files older than the rule go. Records are JSON objects; "n", "time"
 * and "kind" are put in here. Thread: any. Locks: one of its own, taken with no other held and never held across
 * I/O. Blocks on the disk. */
#ifndef MODEL_AUDIT_H
#define MODEL_AUDIT_H

#include <jansson.h>

#include "model/auditlog.h"

struct audit_config {
    const char *state_dir;
    int64_t keep_us; /* files whose newest record is older are removed; 0: AUDIT_KEEP_US */
    uint64_t file_bytes; /* a file ends when it is that big; 0: 8 MiB */
};

#define AUDIT_KEEP_DAYS 365
#define AUDIT_NONE      0 /* no record has this number */

/* Errors: a sentence in detail. */
int audit_open(const struct audit_config *cfg, struct err *err) MUST_CHECK;
void audit_close(void); /* all that was written is on the disk */

/* rec: taken. Until it returns the call must not act. frees: it makes room on the disk, and may use the space that is kept for
 * that (reserve.h). *n_out: for audit_outcome.
 * Errors: OUT_OF_SPACE(path), INTERNAL_ERROR(sentence): then the call must not act either. */
int audit_intent(json_t *rec, bool frees, uint64_t *n_out, struct err *err) MUST_CHECK;
/* of: AUDIT_NONE writes nothing. rec: taken. A disk that is full delays it. */
void audit_outcome(uint64_t of, json_t *rec);
/* A login or logout ("session") or what was not let in ("refused"). rec: taken. A flood of refusals is counted
 * instead of written, and the number is in the next one. */
void audit_note(const char *kind, json_t *rec);
/* Check all files. */
int audit_verify(struct auditlog_report *out, struct err *err) MUST_CHECK;
/* Every record in order, as far as written now. */
int audit_each(auditlog_fn fn, void *arg, struct err *err) MUST_CHECK;
const char *audit_dir(void); /* borrowed; NULL: not open */
#endif
