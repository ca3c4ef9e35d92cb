/* SPDX-License-Identifier: Apache-2.0 */
/* What the audit log says of calls: who, from where, what on which object, with which arguments (without secrets), and how
 * it ended. Thread: any; takes db_mutex briefly, blocks on the disk. */
#ifndef SERAID_AUDIT_CALL_H
#define SERAID_AUDIT_CALL_H

#include "ops/call.h"
#include "wire/rpc.h"

/* Before a call acts: its intent is on the disk, call->audit is its number. Nothing for calls that are not audited.
 * params: as requested, the session first where the call takes one. Errors: then it must not act. */
int audit_call_begin(struct call *call, const json_t *params, struct err *err) MUST_CHECK;
/* After it, before it is answered. args: bound. */
void audit_call_end(const struct call *call, const void *args, int64_t began_us,
                    const struct err *err);
/* A call that was not let in. session: may be of nobody. */
void audit_call_refused(const struct call *call, const char *method, const struct err *err);

/* The same for what is no call: an HTTP request. what: "http/put_blob"; object: what it asks for, or NULL. */
int audit_http_begin(const struct call *who, const char *what, const char *object,
                     uint64_t *n_out, struct err *err) MUST_CHECK;
void audit_http_end(uint64_t n, const char *code);
/* A login that is part of an HTTP request. err->code NULL: it succeeded. */
void audit_login(const struct call *who, const char *user, const char *what,
                 const struct err *err);
#endif
