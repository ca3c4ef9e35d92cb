/* SPDX-License-Identifier: Apache-2.0 */
/* What changed, when, by whom. Written with every change set (db.h), kept for a while (store.h), read here
 * beside the running database. Thread: any. Locks: takes db_mutex briefly; blocks on the disk. */
#ifndef MODEL_HISTORY_H
#define MODEL_HISTORY_H

#include "model/db.h"
#include "model/store.h"

/* The entries of one object (ref NULL: of all) with from_us <= time <= to_us (wall clock), newest first. The
 * callback returns false to stop. Errors: INTERNAL_ERROR of the store. */
int history_list(const struct ref *ref, int64_t from_us, int64_t to_us, store_history_fn fn,
                 void *arg, struct err *err) MUST_CHECK EXCLUDES(db_mutex);
/* The same by a query of the store. */
int history_query(const struct store_query *q, store_history_fn fn, void *arg,
                  struct err *err) MUST_CHECK EXCLUDES(db_mutex);
/* The number of the newest entry at a moment: what is younger came later, whatever the clock said since.
 * Errors: INVALID_VALUE("time", text) when the history does not go back so far. */
int history_moment(int64_t at_us, int64_t *id_out, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);

/* The stored fields of an object as they were at a moment, as one JSON object. Only as far back as the history is
 * kept: for an older moment, the oldest known state.
 * Errors: HANDLE_INVALID(class or "", ref) when it did not exist then; INTERNAL_ERROR. */
int history_at(const struct ref *ref, int64_t at_us, struct buf *json_out, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
/* The stored fields of all objects of a class right after an entry: reference -> object. Given. */
int history_class_at(const char *cls, int64_t id, json_t **out, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);

/* Take the retention rule from the pool's other_config: history_days, history_entries. For the store thread. */
#define HISTORY_DAYS_KEY    "history_days"
#define HISTORY_ENTRIES_KEY "history_entries"
void history_rule(int64_t *age_us_out, int64_t *rows_out) REQUIRES(db_mutex);
#endif
