/* SPDX-License-Identifier: Apache-2.0 */
/* Where change sets become durable. The database (db.h) keeps all objects in memory and needs little of
 * a store: load everything, commit a batch of change sets all or nothing, read back the history. SQLite
 * is the store of one host; a pool will put etcd behind the same table. Tests wrap a store to make it fail.
 *
 * Thread: open, load and close run alone; commit and tend on the database's store thread; history on any
 * thread at any time. No locks are held around any of them. */
#ifndef MODEL_STORE_H
#define MODEL_STORE_H

#include "base/buf.h"
#include "model/value.h"

enum store_kind { STORE_CREATE, STORE_MODIFY, STORE_DESTROY };

/* One object's part of a change set. */
struct store_change {
    struct ref ref;
    const char *cls; /* static */
    enum store_kind kind;
    char *json;    /* the stored fields as one JSON object; NULL when destroyed */
    char *changes; /* for the history: {"field": [old, new], ...} */
};

/* What one transaction did. n may be 0: then only its generation counts. */
struct store_set {
    uint64_t gen;
    int64_t time_us; /* wall clock */
    char *user, *call;
    struct ref task; /* null: none */
    struct store_change *v;
    size_t n;
};

struct store_config {
    const char *dir;             /* exists and is locked for us */
    const struct store_ops *ops; /* NULL: SQLite */
    int64_t history_age_us;      /* older entries are trimmed; 0: 90 days */
    int64_t history_rows; /* entries beyond are trimmed, oldest first; 0: 1,000,000 */
};

/* Return false to stop with err filled. cls and json are borrowed. */
typedef bool (*store_load_fn)(const struct ref *ref, const char *cls, const char *json,
                              size_t len, void *arg, struct err *err);

struct store_history {
    int64_t id; /* rises with each entry */
    uint64_t gen;
    int64_t time_us;
    struct ref ref;
    const char *cls;
    enum store_kind kind;
    const char *changes;
    const char *user, *call;
    struct ref task;
};

/* Newest or oldest first as asked; return false to stop. All borrowed. */
typedef bool (*store_history_fn)(const struct store_history *h, void *arg);

/* Part of the history: entries with from_us <= time <= to_us and after_id < id, and id <= upto_id unless that is 0. */
struct store_query {
    const struct ref *ref; /* NULL: of all objects */
    const char *cls;       /* NULL: of all classes */
    bool gone;             /* only of objects destroyed, and only that */
    int64_t from_us, to_us, after_id, upto_id;
    bool newest_first;
};

/* Where a moment lies in the history. */
struct store_moment {
    int64_t id;        /* of the newest entry that is not younger; 0: none */
    int64_t oldest_us; /* time of the oldest entry kept; 0: nothing was ever removed */
};

struct store;

struct store_ops {
    /* Errors: one sentence in detail (damaged, not writable, full, made by a newer version). */
    int (*open)(const struct store_config *cfg, struct store **out, struct err *err);
    void (*close)(struct store *s); /* NULL is fine */
    /* Every object in order of creation. limit_out: no generation above it was ever given out (0: a new store). */
    int (*load)(struct store *s, store_load_fn fn, void *arg, uint64_t *limit_out,
                struct err *err);
    /* Make all sets durable together, or none. gen_limit: to be kept as load's limit_out.
     * Errors: OUT_OF_SPACE(path), INTERNAL_ERROR(sentence). */
    int (*commit)(struct store *s, struct store_set *const *sets, size_t n,
                  uint64_t gen_limit, struct err *err);
    /* Housekeeping in one small step; called when nothing is queued. False: nothing more to do. */
    bool (*tend)(struct store *s);
    int (*history)(struct store *s, const struct store_query *q, store_history_fn fn,
                   void *arg, struct err *err);
    /* The stored JSON of one object as it is now; false: there is none. */
    int (*object)(struct store *s, const struct ref *ref, struct buf *json_out,
                  bool *found_out, struct err *err);
    /* The same for all objects of a class. */
    int (*objects)(struct store *s, const char *cls, store_load_fn fn, void *arg,
                   struct err *err);
    int (*moment)(struct store *s, int64_t time_us, struct store_moment *out,
                  struct err *err);
    /* Another retention rule (store_config), on the store thread. */
    void (*keep)(struct store *s, int64_t age_us, int64_t rows);
};

extern const struct store_ops store_sqlite_ops;

void store_set_free(struct store_set *set); /* NULL is fine */
#endif
