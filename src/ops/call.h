/* SPDX-License-Identifier: Apache-2.0 */
/* One call under way: what dispatch.c hands to an operation. An operation is a plain blocking function on its own thread,
 * op_<class>_<call> in ops/<class>*.c, with generated argument struct and prototype (gen/api/ops.h):
 *
 *     int op_vm_start(struct call *call, const struct vm_start_args *a, struct err *err);
 *
 * Before it runs: session found, role checked, arguments bound (references are well-formed; whether the object
 * exists is checked by dispatch for the first reference parameter of the call's own class: HANDLE_INVALID), and
 * where the schema names an op, the current_operations entry taken on that object; it is released afterwards on every path.
 * An operation returns 0 with its result written, or -1 with err set; it never logs its own failure and never answers. */
#ifndef OPS_CALL_H
#define OPS_CALL_H

#include "api/args.h"
#include "model/enc.h"
#include "model/session.h"
#include "model/task.h"

struct call {
    const struct call_def *def;
    struct session session; /* roles 0 and null ref for the logins */
    struct ref
        task; /* the task of an Async call, else a made-up key for current_operations */
    bool async;
    struct deadline deadline; /* cancel_fd of the task; at_us by the kind of call */
    enum enc enc;             /* raw_result calls: write to out in this encoding */
    struct buf *out;
    struct pieces *pieces;              /* of out; NULL: the answer is out alone */
    const char *client_ip, *user_agent; /* may be NULL */
    uint64_t audit;                     /* number of its intent in the audit log; 0: none */
    bool local_trusted;                 /* came by the unix socket from our uid or root */
};

/* Begin a transaction in the call's name. */
struct tx *call_tx(const struct call *call) ACQUIRE(db_mutex);
/* Begin one in the daemon's own name; why: "qemu:SHUTDOWN", "start-up". */
struct tx *daemon_tx(const char *why) ACQUIRE(db_mutex);
/* The record, or HANDLE_INVALID(class, ref) and NULL. Borrowed until db_unlock(). */
const void *call_get(enum class_id cls, const struct ref *ref, struct err *err)
    REQUIRES(db_mutex);
/* What text names, by reference or uuid. Errors: HANDLE_INVALID or UUID_INVALID(class, text). */
int call_find(enum class_id cls, const char *text, struct ref *out, struct err *err)
    MUST_CHECK REQUIRES(db_mutex);
/* A copy to make a new object of: without uuid, running operations and other volatile fields. Given. */
void *call_copy_fresh(enum class_id cls, const void *rec) MUST_CHECK;
/* Set one field in a transaction of its own. dispatch looked for the object earlier: another call may have destroyed it
 * since. value: storage of the field's type. */
int call_set(const struct call *call, enum class_id cls, const struct ref *ref,
             unsigned field, const void *value, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
/* HANDLE_INVALID(class, ref) for an object that is no longer there. Always -1. */
int call_gone(enum class_id cls, const struct ref *ref, struct err *err);
/* Has the task been cancelled? */
bool call_cancelled(const struct call *call);
/* Progress of the task, when there is one. */
void call_progress(const struct call *call, double fraction);
#endif
