/* SPDX-License-Identifier: Apache-2.0 */
/* The object database: typed records in memory, changed by transactions, each durable before anybody
 * is told. One per process.
 *
 * Reading: take db_lock(), look, copy out what must be kept, db_unlock(). Pointers into records live
 * until db_unlock(). A reader may see what is not durable yet; so whatever shows it to somebody outside
 * (an answer, an event, another process) first calls db_wait_seen(), which waits for the commit of the
 * newest object this thread has looked at since db_seen_reset(). dispatch.c does both.
 *
 * Writing: tx_begin() takes the lock; tx_set() and friends change memory at once and keep an undo record;
 * tx_commit() gives the change set one generation number, queues it to the store, unlocks and waits until
 * it is durable (group commit: everything queued meanwhile shares one SQLite transaction, synchronous=FULL).
 * If the store fails (disk full), the whole batch and all that was queued behind it is undone in memory, every waiter
 * gets the error. Nothing
 * is shown as an event before its generation is durable. A change set of volatile fields only costs no I/O;
 * while others are pending it waits behind them.
 * Inverse sets (VM.VBDs) follow from their field (VBD.VM) by themselves; so do uuid and name indexes.
 *
 * Locks: db_mutex, the innermost of all; never held across I/O. */
#ifndef MODEL_DB_H
#define MODEL_DB_H

#include "base/deadline.h"
#include "base/lock.h"
#include "base/pieces.h"
#include "model/schema.h"

extern struct mutex db_mutex;

struct store_config; /* store.h */

/* Open the store in directory dir (created 0700), load all objects. Errors: text in detail;
 * a directory in use by another process or not writable says so in one sentence. */
int db_open(const char *dir, struct err *err) MUST_CHECK;
/* The same with another store or retention rule. */
int db_open_with(const struct store_config *config, struct err *err) MUST_CHECK;
void db_close(void); /* waits for queued commits; nobody else uses the database any more */

void db_lock(void) ACQUIRE(db_mutex);
void db_unlock(void) RELEASE(db_mutex);

/* Reading, under the lock. */
const void *db_get(enum class_id cls, const struct ref *ref)
    REQUIRES(db_mutex); /* NULL: no such object of that class */
enum class_id db_class_of(const struct ref *ref)
    REQUIRES(db_mutex); /* CLASS_NONE: no such object */
bool db_find_uuid(enum class_id cls, const char *uuid, struct ref *out) REQUIRES(db_mutex);
/* The i-th object with that name (in order of creation), false when there is none. Any i takes the same time. */
bool db_find_name(enum class_id cls, const char *name, size_t i, struct ref *out)
    REQUIRES(db_mutex);
size_t db_count(enum class_id cls) REQUIRES(db_mutex);

struct db_iter {
    struct ref ref;
    const void *rec;
    void *pos; /* private */
};

/* for (struct db_iter it = db_first(cls); it.rec; db_next(&it)): order of creation; no change meanwhile. */
struct db_iter db_first(enum class_id cls) REQUIRES(db_mutex);
void db_next(struct db_iter *it) REQUIRES(db_mutex);

/* The record encoded whole, from a cache until it changes. Borrowed until db_unlock(). */
struct enc_text {
    const char *p;
    size_t len;
};
struct enc_text db_encoded(enum class_id cls, const struct ref *ref, int enc)
    REQUIRES(db_mutex);
/* All records of a class like that, in order of creation, each as a member of a struct of records, named by its reference;
 * in JSON every one with a comma in front. Borrowed until db_unlock(); texts_hold() keeps it. */
struct texts *db_encoded_all(enum class_id cls, int enc) REQUIRES(db_mutex);

void db_seen_reset(void);
int db_wait_seen(struct err *err)
    MUST_CHECK EXCLUDES(db_mutex); /* Errors: OUT_OF_SPACE, INTERNAL_ERROR of the store */

/* The single objects of a one-host system; null until made. */
struct ref db_pool_ref(void) REQUIRES(db_mutex);
struct ref db_host_ref(void) REQUIRES(db_mutex);
void db_set_local_host(const struct ref *host);

/* Who changes, for the history. All borrowed, copied by tx_begin. */
struct tx_who {
    const char *user;       /* "root", or "seraid" for the daemon's own changes */
    const char *call;       /* "VM.set_name_label" or what made it: "qemu:SHUTDOWN" */
    const struct ref *task; /* may be NULL */
};

struct tx;
struct tx *tx_begin(const struct tx_who *who) ACQUIRE(db_mutex);
int tx_commit(struct tx *tx, struct err *err)
    MUST_CHECK RELEASE(db_mutex);               /* frees tx; on error nothing has changed */
void tx_abort(struct tx *tx) RELEASE(db_mutex); /* undoes all, frees tx */

/* rec: taken. Missing uuid is made; a given one must be free in its class. Inverse sets in rec are ignored.
 * Returns the new ref (or *ref when not NULL). */
struct ref tx_create(struct tx *tx, enum class_id cls, void *rec, const struct ref *ref)
    REQUIRES(db_mutex);
void tx_destroy(struct tx *tx, const struct ref *ref)
    REQUIRES(db_mutex); /* references to it elsewhere become null */
/* value: borrowed storage of the field's type. An equal value is no change. The object must exist and be of that
 * class; inverse sets cannot be set. tx_set_int serves INT and DATETIME. */
void tx_set(struct tx *tx, const struct ref *ref, enum class_id cls, unsigned field,
            const void *value) REQUIRES(db_mutex);
void tx_set_str(struct tx *tx, const struct ref *ref, enum class_id cls, unsigned field,
                const char *value) REQUIRES(db_mutex);
void tx_set_int(struct tx *tx, const struct ref *ref, enum class_id cls, unsigned field,
                int64_t value) REQUIRES(db_mutex);
void tx_set_bool(struct tx *tx, const struct ref *ref, enum class_id cls, unsigned field,
                 bool value) REQUIRES(db_mutex);
void tx_set_enum(struct tx *tx, const struct ref *ref, enum class_id cls, unsigned field,
                 int value) REQUIRES(db_mutex);
void tx_set_ref(struct tx *tx, const struct ref *ref, enum class_id cls, unsigned field,
                const struct ref *value) REQUIRES(db_mutex);
void tx_map_put(struct tx *tx, const struct ref *ref, enum class_id cls, unsigned field,
                const char *key, const void *val) REQUIRES(db_mutex);
void tx_map_put_str(struct tx *tx, const struct ref *ref, enum class_id cls, unsigned field,
                    const char *key, const char *val) REQUIRES(db_mutex);
void tx_map_remove(struct tx *tx, const struct ref *ref, enum class_id cls, unsigned field,
                   const char *key) REQUIRES(db_mutex);
void tx_set_add(struct tx *tx, const struct ref *ref, enum class_id cls, unsigned field,
                const void *elem) REQUIRES(db_mutex);
void tx_set_remove(struct tx *tx, const struct ref *ref, enum class_id cls, unsigned field,
                   const void *elem) REQUIRES(db_mutex);
/* A "mod" event without a change (event.inject, heartbeats). */
void tx_touch(struct tx *tx, const struct ref *ref) REQUIRES(db_mutex);

/* Generations, for events. */
uint64_t db_generation(void) REQUIRES(db_mutex); /* newest change in memory */
uint64_t db_durable(void) REQUIRES(db_mutex);    /* newest that may be shown */
/* Deletions up to this generation are forgotten. A restart forgets all, and goes on above every generation that was
 * given out before it. */
uint64_t db_tombstones_from(void) REQUIRES(db_mutex);

struct db_change {
    enum class_id cls;
    struct ref ref;
    uint64_t created, modified; /* generations */
    bool deleted;
};

/* Objects changed or deleted after generation since, oldest change first; not those of untracked classes.
 * Return false to stop. */
typedef bool (*db_change_fn)(const struct db_change *c, void *arg);
void db_changes_since(uint64_t since, db_change_fn fn, void *arg) REQUIRES(db_mutex);
/* Wait (db_mutex released meanwhile) until db_durable() > than or the deadline or cancel passes. 0, or -1 with
 * errno ETIMEDOUT/ECANCELED. cancel: a flag that its owner sets under db_mutex, then calls db_wake(); may be NULL.
 * d's own cancel_fd is not looked at. Changes of untracked classes alone wake nobody. */
int db_wait_newer(uint64_t than, const struct deadline *d, const bool *cancel)
    MUST_CHECK REQUIRES(db_mutex);
void db_wake(void) REQUIRES(db_mutex); /* wakes all waiters to look at their cancel flags */
#endif
