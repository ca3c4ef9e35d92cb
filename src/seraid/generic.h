/* SPDX-License-Identifier: Apache-2.0 */
/* The implicit messages of every class (getters, setters, get_record ...), served by walking the tables. */
#ifndef SERAID_GENERIC_H
#define SERAID_GENERIC_H

#include "ops/call.h"

/* Serve an implicit call: its value is written to call->out in call->enc. args: bound; a record in it may be taken.
 * The object that the call is about was found by dispatch and may be gone again: HANDLE_INVALID.
 * Thread: any. Locks: takes db_mutex inside; waits for the commit of a change. */
int generic_call(struct call *call, void *args, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);

/* Create and destroy by the hooks of the call's class, else by the tables, for what is not an RPC. rec: taken. */
int generic_create(struct call *call, void *rec, struct ref *ref_out, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
int generic_destroy(struct call *call, const struct ref *self, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
#endif
