/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: who is calling and what they may. The session class's records in the database are the truth
 * (volatile: a restart logs everybody out); this adds limits, expiry and the user's password file.
 * Locks: takes db_mutex inside. Thread: any. */
#ifndef MODEL_SESSION_H
#define MODEL_SESSION_H

#include "model/db.h"

/* What a call needs to know of its session; a copy. */
struct session {
    struct ref ref;
    uint8_t roles; /* enum role_bit */
    bool local_superuser;
    char user[64];
    char originator[64];
};

/* Read the password of the built-in user root: its hash is kept, the text wiped. One trailing newline is
 * not part of it. file NULL: STATE/password, made (24 random letters and digits, 0600) when missing. */
int session_init(const char *state_dir, const char *password_file, struct err *err) MUST_CHECK;

/* Errors: SESSION_AUTHENTICATION_FAILED(user, reason). Known and unknown users take the same time. */
int session_login(const char *user, const char *password, const char *originator,
                  const char *client_ip, struct session *out, struct err *err) MUST_CHECK EXCLUDES(db_mutex);
/* Without a password: the peer of the local socket is our uid or root. */
int session_login_local(const char *originator, struct session *out, struct err *err) MUST_CHECK EXCLUDES(db_mutex);
/* Look up and touch last_active. Errors: SESSION_INVALID(text). */
int session_find(const char *ref_text, struct session *out, struct err *err) MUST_CHECK EXCLUDES(db_mutex);
int session_logout(const struct ref *ref, struct err *err) MUST_CHECK EXCLUDES(db_mutex);
bool session_exists(const struct ref *ref) REQUIRES(db_mutex);
#endif
