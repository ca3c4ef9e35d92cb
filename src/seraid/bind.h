/* SPDX-License-Identifier: Apache-2.0 */
/* From a request's method name and parameter tree to a row of the call table and its argument struct. Pure. */
#ifndef SERAID_BIND_H
#define SERAID_BIND_H

#include "model/schema.h"

/* "VM.start", "VM_start", "Async.VM.start", "Async.VM_start". NULL: no such method, or no Async form of it. */
const struct call_def *bind_method(const char *name, bool *async_out);

/* Whether n parameters (with the session where the call takes one) fit; trailing ones with a default may be
 * left out. Errors: MESSAGE_PARAMETER_COUNT_MISMATCH(method, expected, got), both counted with the session. */
int bind_arity(const struct call_def *def, size_t n, struct err *err) MUST_CHECK;

/* The argument struct of def from params (an array, session first where the call takes one; arity checked).
 * args_out: given, bind_free(). Errors: those of value_decode. */
int bind_args(const struct call_def *def, const json_t *params, void **args_out,
              struct err *err) MUST_CHECK;
/* Whether the record of an implicit create has what the class requires; absent sets and maps are empty.
 * Errors: HANDLE_INVALID(class, OpaqueRef:NULL) for a reference, else FIELD_TYPE_ERROR(field). */
int bind_required(const struct call_def *def, const json_t *record, struct err *err)
    MUST_CHECK;
void bind_free(const struct call_def *def, void *args); /* NULL is fine */

/* The object that the call is about: its first reference of the call's own class. NULL: none, or a null
 * reference that is not the first parameter (an optional one). Borrowed from args. */
const struct ref *bind_self(const struct call_def *def, const void *args);
#endif
