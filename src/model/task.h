/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks: the record of work under way. A durable object in the database for Async calls and client-made tasks; the
 * cancel descriptor lives here while the work runs. A finished task stays until its client destroys it (or
 * TASK_KEEP after its end). At start, tasks still pending belong to a dead daemon: task_init fails them.
 * Locks: one per task is not needed: all state is under db_mutex. Thread: any. */
#ifndef MODEL_TASK_H
#define MODEL_TASK_H

#include "base/clock.h"
#include "model/session.h"

#define TASK_KEEP_US  (INT64_C(24) * 3600 * US_PER_SEC)
#define TASK_MAX_OPEN 1000 /* pending tasks per session; TOO_MANY_PENDING_TASKS beyond */

int task_init(struct err *err) MUST_CHECK;
/* name: "Async.VM.start", or a client's own label. s and subtask_of may be NULL. */
int task_start(const char *name, const struct session *s, const struct ref *subtask_of,
               struct ref *out, struct err *err) MUST_CHECK EXCLUDES(db_mutex);
/* The descriptor that becomes readable on cancel; borrowed until task_end. -1: no such running task. */
int task_cancel_fd(const struct ref *task) EXCLUDES(db_mutex);
/* Errors: HANDLE_INVALID(task, ref), OPERATION_NOT_ALLOWED(why) once it has ended. */
int task_cancel(const struct ref *task, struct err *err) MUST_CHECK EXCLUDES(db_mutex);
void task_progress(const struct ref *task, double fraction)
    EXCLUDES(db_mutex); /* null task: nothing */
/* End it: success with result_xml (one XML-RPC value, "" for void; copied) when err->code is NULL, else failure or
 * (TASK_CANCELLED) cancelled with error_info. */
void task_end(const struct ref *task, const char *result_xml, const struct err *err)
    EXCLUDES(db_mutex);
/* A task whose work still runs goes when the work ends. Errors: HANDLE_INVALID(task, ref). */
int task_destroy(const struct ref *task, struct err *err) MUST_CHECK EXCLUDES(db_mutex);
void task_done(void) EXCLUDES(db_mutex); /* at the end of the process, when no task runs */
#endif
