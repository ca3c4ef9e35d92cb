/* SPDX-License-Identifier: Apache-2.0 */
/* event.from, event.inject and the old register/next, out of the database's change list: no queue per client.
 * Token: "%020" PRIu64 ",%020" PRIu64 (database generation, message generation); "" is the beginning.
 * Thread: any (event_from blocks). Locks: takes db_mutex inside. */
#ifndef MODEL_EVENT_H
#define MODEL_EVENT_H

#include "api/records.h"
#include "model/enc.h"
#include "model/session.h"

/* Wait for events of classes ("*", a class in any case, "class/OpaqueRef:...") after token, and write the whole batch
 * {events, token, valid_ref_counts} to out. At the deadline: no events, and a token. Ends at once with the session.
 * A name that is no class of ours matches nothing.
 * Errors: EVENT_SUBSCRIPTION_PARSE_FAILURE(text), EVENT_FROM_TOKEN_PARSE_FAILURE(token), EVENTS_LOST, SESSION_INVALID. */
int event_from(const struct session *s, const struct set_string *classes, const char *token,
               const struct deadline *d, enum enc enc, struct buf *out, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
/* Errors: HANDLE_INVALID(class, ref) when ref is not of the class. token_out: given. */
int event_inject(const char *cls, const char *ref, char **token_out, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
int event_register(const struct session *s, const struct set_string *classes,
                   struct err *err) MUST_CHECK EXCLUDES(db_mutex);
int event_unregister(const struct session *s, const struct set_string *classes,
                     struct err *err) MUST_CHECK EXCLUDES(db_mutex);
/* Errors: SESSION_NOT_REGISTERED(session), EVENTS_LOST. */
int event_next(const struct session *s, const struct deadline *d, enum enc enc,
               struct buf *out, struct err *err) MUST_CHECK EXCLUDES(db_mutex);
int64_t event_current_id(void) EXCLUDES(db_mutex);
/* While on, nobody waits: everybody is answered as at the deadline. For the end of the process. */
void event_stop(bool on) EXCLUDES(db_mutex);
#endif
