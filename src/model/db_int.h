/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the database, for db.c, db_index.c, db_commit.c, tx.c and history.c alone; its manual is db.h. */
#ifndef MODEL_DB_INT_H
#define MODEL_DB_INT_H

#include "base/buf.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/vec.h"
#include "model/db.h"
#include "model/enc.h"
#include "model/store.h"

#define DB_TOMBSTONES 65536
#define DB_FAILED     64
#define DB_GEN_STEP   UINT64_C(1000000)
#define DB_FIELDS_MAX 256
#define DB_STALE      32

/* What a walk over a class looks at stands together. */
struct obj {
    struct ref ref;
    uint16_t cls; /* enum class_id */
    void *rec;
    struct list in_class; /* db_class.objs, order of creation */
    uint64_t modified;

    /* The record as a member of a struct of records: what stands before its value is head bytes, after it tail. */
    struct enc_cache {
        struct text *text; /* NULL: not made yet */
        uint16_t head, tail;
    } enc[2];

    size_t slot; /* its place in the lists of its class */

    struct list in_changes; /* db.changes, by modified; not of untracked classes */
    uint64_t created;
    uint64_t order; /* of creation, unique */
    /* Stored members that this version does not know: ,"a":1,"b":2 ; NULL: none. */
    char *extra;

    uint64_t touch_gen; /* the transaction that changed it last ... */
    size_t touch_slot;  /* ... and its place there */
};

/* Objects of one name, in order of creation. */
struct db_name {
    char *name;
    VEC(struct obj *) objs;
};

/* A field through which objects of another class may refer to this one. */
struct db_referrer {
    uint16_t cls, field;
    int16_t inverse; /* index of our set field that lists the referrers; -1: none, scan */
};

struct db_class {
    struct list objs;
    size_t n;
    struct hash by_uuid; /* struct obj */
    struct hash by_name; /* struct db_name */
    uint64_t shape_gen;  /* newest generation that made, destroyed or renamed one */
    VEC(struct db_referrer) referrers;

    struct {
        struct texts *list; /* NULL: not made yet, or too much has changed since */
        uint64_t gen;       /* newest that it shows */
        size_t n_stale;
        struct obj *stale[DB_STALE]; /* those that have changed */
    } all[2];                        /* db_encoded_all() */

    int16_t *inverse; /* per REF field: the set field of its target's class; -1: none */
};

struct db_tomb {
    struct list link;
    struct ref ref;
    uint16_t cls;
    uint64_t created, gen;
};

struct db {
    bool open;
    char *dir;
    int lock_fd;
    const struct store_ops *ops;
    struct store *store;

    struct hash by_ref; /* struct obj */
    struct db_class cls[CLASS_COUNT];
    struct list changes;
    struct list tombs; /* db_tomb by gen */
    size_t n_tombs;
    uint64_t tombs_from;
    uint64_t next_order;
    struct ref local_host;

    uint64_t generation; /* newest in memory */
    uint64_t durable;    /* everything up to it is durable or was undone */
    uint64_t gen_limit;  /* none above it may be given out before the store knows */

    struct db_failed {
        uint64_t lo, hi;
    } failed[DB_FAILED]; /* generations that were undone, a ring */

    size_t n_failed;    /* ever */
    uint64_t epoch;     /* how often something was undone */
    struct err failure; /* why, the last time */

    struct list pending; /* struct tx that are in memory and not durable, oldest first */
    int64_t keep_age_us,
        keep_rows; /* the retention rule that the store knows; 0: its own */
    bool stopping;
    pthread_t thread;
    struct cond work;    /* the store thread waits */
    struct cond settled; /* tx_commit and db_wait_seen wait */
    struct cond news;    /* db_wait_newer waits */
};

extern struct db db GUARDED_BY(db_mutex);

/* tx.c */
enum undo_kind {
    UNDO_TOUCH,
    UNDO_FIELD,
    UNDO_INVERSE_ADD,
    UNDO_INVERSE_REMOVE,
    UNDO_CREATE,
    UNDO_DESTROY,
    UNDO_SHAPE /* cls: whose; obj: none */
};

struct undo {
    uint8_t kind;
    bool tomb; /* DESTROY left a tombstone */
    uint16_t cls, field;
    struct obj *obj;
    void *old;                 /* FIELD: storage of the value before this transaction */
    struct list *class_prev;   /* DESTROY: its neighbour in in_class */
    struct list *changes_prev; /* TOUCH, DESTROY: in in_changes */
    uint64_t gen;              /* TOUCH: modified; SHAPE: shape_gen */
    struct ref ref;            /* INVERSE_*: the member */
    size_t at;                 /* INVERSE_REMOVE: where it stood */
};

struct tx_obj {
    struct obj *obj;
    uint64_t fields[DB_FIELDS_MAX / 64]; /* with an UNDO_FIELD of this transaction */
    bool created, destroyed;
    bool stored; /* something changed that the store keeps */
};

struct tx {
    struct list link; /* db.pending */
    uint64_t gen;
    char *user, *call;
    struct ref task;
    VEC(struct undo) undo;
    VEC(struct tx_obj) objs;
    bool tracked; /* somebody may wait for an event of it */
    bool settled;
    struct err err;
    struct store_set *set; /* NULL: nothing for the store */
};

void tx_undo(struct tx *tx)
    REQUIRES(db_mutex);      /* memory as before it; newest transaction first */
void tx_free(struct tx *tx); /* after it is settled or undone; needs no lock */

/* db_index.c: objects and what finds them */
void db_index_init(void) REQUIRES(db_mutex);
void db_index_done(void) REQUIRES(db_mutex);
struct obj *db_index_get(const struct ref *ref) REQUIRES(db_mutex);
void db_index_link(struct obj *o, struct list *class_prev, struct list *changes_prev)
    REQUIRES(db_mutex);
void db_index_unlink(struct obj *o) REQUIRES(db_mutex);
void db_index_names_add(struct obj *o) REQUIRES(db_mutex);
void db_index_names_remove(struct obj *o) REQUIRES(db_mutex);
bool db_index_named(const struct obj *o, unsigned field); /* does an index hang on it? */
void db_index_fill_inverses(void) REQUIRES(db_mutex);     /* after loading */
/* The set field (and its object) which field of o appears in while it holds ref; NULL: none. */
struct set_any *db_index_inverse(const struct obj *o, unsigned field, const struct ref *ref,
                                 struct obj **target_out) REQUIRES(db_mutex);
void db_index_tomb_add(const struct obj *o, uint64_t gen) REQUIRES(db_mutex);
void db_index_tomb_drop_newest(void) REQUIRES(db_mutex);
void db_index_tomb_trim(void) REQUIRES(db_mutex);
void db_index_drop_encoded(struct obj *o) REQUIRES(db_mutex);
struct obj *db_index_obj_new(enum class_id cls, const struct ref *ref, void *rec);
void db_index_obj_free(struct obj *o); /* unlinked, or never linked: needs no lock */

/* db_commit.c: the queue and the store thread */
int db_commit_start(struct err *err) MUST_CHECK REQUIRES(db_mutex);
void db_commit_stop(void) EXCLUDES(db_mutex);
/* Give tx its generation and queue it; then wait for tx->settled. */
void db_commit_queue(struct tx *tx) REQUIRES(db_mutex);
bool db_commit_undone(uint64_t gen) REQUIRES(db_mutex);

/* db.c */
void db_see(uint64_t gen) REQUIRES(db_mutex); /* this thread has looked at what gen made */
void db_object_json(struct buf *out, const struct obj *o);
#endif
