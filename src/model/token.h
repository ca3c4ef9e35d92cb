/* SPDX-License-Identifier: Apache-2.0 */
/* API tokens: passwords for programs. A token is 256 random bits, so its SHA-256 can be kept and compared: nobody finds
 * it by trying. What a session that began with one may do is looked up in its record at every call (rbac.h), so a
 * revoked one is worthless at once. Thread: any. */
#ifndef MODEL_TOKEN_H
#define MODEL_TOKEN_H

#include "api/records.h"
#include "model/session.h"

/* Logins ask here first. At start. */
void token_init(void);

/* rec: taken; digest and time are filled in here. *token_out: given, the only time that it is seen; free() after wiping.
 * Errors: INVALID_VALUE for a name that is taken or empty. */
int token_create(struct tx_who *who, struct serai_token_rec *rec, char **token_out,
                 struct err *err) MUST_CHECK EXCLUDES(db_mutex);
/* And end its sessions. Errors: HANDLE_INVALID. */
int token_revoke(struct tx_who *who, const struct ref *token, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
#endif
