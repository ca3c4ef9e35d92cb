/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: who is calling and what they may. The session class's records in the database are the truth
 * (volatile: a restart logs everybody out); this adds limits, expiry and the user's password file.
 * Locks: takes db_mutex inside. Thread: any. */
#ifndef MODEL_SESSION_H
#define MODEL_SESSION_H

#include "base/clock.h"
#include "base/list.h"
#include "model/db.h"

#define SESSION_ROLES_MAX 8

/* What a call needs to know of its session; a copy. */
struct session {
    struct ref ref;
    uint8_t roles; /* enum role_bit */
    bool local_superuser;
    struct ref custom[SESSION_ROLES_MAX]; /* roles made by people (rbac.h) */
    size_t n_custom;
    struct ref token;   /* the API token that it was made with; null: none */
    int64_t expires_us; /* wall clock; 0: no end but by being idle */
    char user[64];
    char originator[64];
};

/* Who somebody turned out to be at a login. */
struct session_user {
    char *name; /* for people and the log; given to the session */
    char *sid;  /* in a directory; NULL: none */
    struct ref subject;
    bool local_superuser; /* the others need a role */
    struct ref roles[SESSION_ROLES_MAX];
    size_t n_roles;
    struct ref token;
    int64_t expires_us; /* wall clock; 0: the session lasts as long as it is used */
};

void session_user_done(struct session_user *u);
/* Users and groups of the system as subjects: identifiers that begin so, and a name. */
#define SESSION_LOCAL_USER  "local:"
#define SESSION_LOCAL_GROUP "local-group:"
/* The roles of the subject with that identifier, in any case, besides those that u has. */
void session_add_subject(const char *id, struct session_user *u) REQUIRES(db_mutex);

/* Others who know users besides those of the password file or of the system: a directory, the table of tokens. */
struct session_directory {
    const char *name; /* for the log */
    bool first; /* ask before the password file or the system: costs next to nothing */
    /* *right_out: it is the password of one of its users, and out is filled. Otherwise the next one is asked. Runs on
     * the thread of the login, no locks held; bounds its own time. Errors: nobody can tell. */
    int (*check)(const char *user, const char *password, const char *client_ip,
                 struct session_user *out, bool *right_out, struct err *err);
};

/* Asked in this order. Before the first login; d: static. */
void session_add_directory(const struct session_directory *d) EXCLUDES(db_mutex);

struct session_limits {
    int64_t fail_delay_us; /* a failed login answers after that */
    int64_t idle_us;       /* a session unused for that long is gone */
    int64_t touch_us; /* last_active is brought up to date when it is older than that */
    /* Sessions of one user and originator, and of one user; his least recently used goes first. */
    size_t per_originator, per_user;
};

#define SESSION_LIMITS                                                                 \
    (struct session_limits)                                                            \
    {                                                                                  \
        .fail_delay_us = 1500 * US_PER_MS, .idle_us = INT64_C(24) * 3600 * US_PER_SEC, \
        .touch_us = 30 * US_PER_SEC, .per_originator = 500, .per_user = 2000           \
    }

/* Other limits than SESSION_LIMITS; before session_init. */
void session_set_limits(const struct session_limits *limits) EXCLUDES(db_mutex);

/* Users other than the one of the password file: the system's, say. Is it this user's password, and if so, does the
 * user administer the pool? Those who do not have the roles of their subject and of their groups' (SESSION_LOCAL_*).
 * groups_out: names between commas, given; may stay NULL. A refusal takes the same time for known and unknown users.
 * from: an address, may be NULL. Errors: SESSION_AUTHENTICATION_FAILED(user, why) when nobody can tell. Called with no
 * lock held. */
typedef int (*session_source_fn)(const char *user, const char *password, const char *from,
                                 bool *right_out, bool *admin_out, char **groups_out,
                                 struct err *err);
/* Ask there from now on, instead of the password file; before session_init, which then reads none. */
void session_set_source(session_source_fn fn) EXCLUDES(db_mutex);

/* Read the password of the built-in user root: its hash is kept, the text wiped. One trailing newline is
 * not part of it. file NULL: STATE/password, made (24 random letters and digits, 0600) when missing. */
int session_init(const char *state_dir, const char *password_file, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);

/* Errors: SESSION_AUTHENTICATION_FAILED(user, reason), SESSION_AUTHORIZATION_FAILED(user, why), TOO_BUSY. Known and unknown users take the same time; a failure
 * blocks for fail_delay_us, with no lock held. Who fails often waits before
 * the next try (guess.h). client_ip: may be NULL. */
int session_login(const char *user, const char *password, const char *originator,
                  const char *client_ip, struct session *out, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
/* So many passwords have been hashed: every refusal costs one, of known and of unknown users. For tests and figures. */
unsigned long session_hashes(void);
/* Without a password: the peer of the local socket is our uid or root. */
int session_login_local(const char *originator, struct session *out, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
/* Look up and touch last_active. Errors: SESSION_INVALID(text). */
int session_find(const char *ref_text, struct session *out, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
int session_logout(const struct ref *ref, struct err *err) MUST_CHECK EXCLUDES(db_mutex);
/* End the sessions of the directory's user sid but the one given. "" is nobody. */
int session_logout_subject(const char *sid, const struct ref *but, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
/* Another password for the built-in user, in its file before it counts. Errors:
 * SESSION_AUTHENTICATION_FAILED(user, reason) when the old one is wrong (after fail_delay_us), CHANGE_PASSWORD_REJECTED(why). */
int session_change_password(const char *old, const char *new_, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
/* End those that were begun with this token. */
int session_logout_token(const struct ref *token, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
/* When it was last used, exactly; 0: no such session. */
int64_t session_used_us(const struct ref *ref) REQUIRES(db_mutex);
/* What calls would get; false: no such session. Does not touch it. */
bool session_peek(const struct ref *ref, struct session *out) REQUIRES(db_mutex);
bool session_exists(const struct ref *ref) REQUIRES(db_mutex);

/* For a wait that must end with its session: ended is set, and db_wake() called, when the session goes. Fits the
 * cancel flag of db_wait_newer(). */
struct session_watch {
    struct list link;
    struct ref session;
    bool ended;
};

void session_watch(struct session_watch *w, const struct ref *session) REQUIRES(db_mutex);
void session_unwatch(struct session_watch *w) REQUIRES(db_mutex);
void session_end_watches(void)
    REQUIRES(db_mutex); /* all of them, whatever their sessions do */
#endif
