/* SPDX-License-Identifier: Apache-2.0 */
/* What a session's roles allow (rbac.h). Errors: RBAC_PERMISSION_DENIED(permission, message); SESSION_INVALID(session) when
 * its token was revoked meanwhile. */
#ifndef SERAID_GATE_H
#define SERAID_GATE_H

#include "api/records.h"
#include "model/session.h"

/* May the session make this call at all? Looked at before any argument. Where keys of a map have roles of their own,
 * whoever may write one of them passes; gate_key() then looks at the key. */
int gate_call(const struct call_def *def, const struct session *s, struct err *err)
    MUST_CHECK;

/* May the session change this key of the call's map field? */
int gate_key(const struct call_def *def, const struct session *s, const char *key,
             struct err *err) MUST_CHECK;
/* The same for the key of a call as it came, before its arguments are decoded: nothing else of it has been looked at. */
int gate_key_given(const struct call_def *def, const struct session *s,
                   const json_t *params, struct err *err) MUST_CHECK;
/* References among the arguments, for a token that is limited to objects. Before any of them is looked up. */
int gate_args(const struct call_def *def, const struct session *s, const void *args,
              struct err *err) MUST_CHECK EXCLUDES(db_mutex);
/* The same for every key in which two values of the field differ. */
int gate_keys(const struct call_def *def, const struct session *s, const void *old,
              const void *new, struct err *err) MUST_CHECK REQUIRES(db_mutex);
#endif
