/* SPDX-License-Identifier: Apache-2.0 */
/* Long exclusion is data: an entry task -> operation in the object's current_operations. What may run now is
 * allowed_operations, computed by one pure function per class (registered here by ops/) and kept right after
 * each change. Both fields are volatile. Locks: takes db_mutex inside. Thread: any. */
#ifndef MODEL_OPS_LOCK_H
#define MODEL_OPS_LOCK_H

#include "model/db.h"

/* Set in *allowed (bit i: value i of the class's operations enum) what may start now, considering power state,
 * current_operations, blocked_operations and what hangs on it. rec: the record. Runs under db_mutex; pure. */
typedef void (*ops_allowed_fn)(const struct ref *self, const void *rec, uint64_t *allowed);
/* Say why op may not start: always fills err (OPERATION_NOT_ALLOWED, VM_BAD_POWER_STATE, OTHER_OPERATION_IN_PROGRESS,
 * OPERATION_BLOCKED, ...). Runs under db_mutex. */
typedef void (*ops_why_fn)(const struct ref *self, const void *rec, int op,
                           struct err *err);

/* A class without a rule of its own runs one operation at a time. */
void ops_lock_register(enum class_id cls, ops_allowed_fn allowed, ops_why_fn why)
    EXCLUDES(db_mutex);

/* Begin: check and enter in one step. task: the key (any ref; made up for a synchronous call). op: name in the enum.
 * Errors: HANDLE_INVALID(class, ref), and what the why function says. */
int op_begin(enum class_id cls, const struct ref *self, const char *op,
             const struct ref *task, struct err *err) MUST_CHECK EXCLUDES(db_mutex);
/* Begin what follows from something that has happened already (a machine that is gone): only another operation under way
 * stands against it, no power state and nothing in blocked_operations.
 * Errors: HANDLE_INVALID(class, ref), OTHER_OPERATION_IN_PROGRESS(class, ref, operation, task). */
int op_begin_forced(enum class_id cls, const struct ref *self, const char *op,
                    const struct ref *task, struct err *err) MUST_CHECK EXCLUDES(db_mutex);
/* Could it begin now? op: index in the operations enum. The same errors. */
int op_check(enum class_id cls, const struct ref *self, int op, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
/* OTHER_OPERATION_IN_PROGRESS(class, ref, operation, task) for an object that has one under way. Always -1. */
int op_busy(enum class_id cls, const struct ref *self, struct err *err) REQUIRES(db_mutex);
/* The object may be gone by now. */
void op_end(enum class_id cls, const struct ref *self, const struct ref *task)
    EXCLUDES(db_mutex);
/* Recompute allowed_operations inside a transaction that changed what they depend on. */
void op_refresh(struct tx *tx, enum class_id cls, const struct ref *self)
    REQUIRES(db_mutex);
#endif
