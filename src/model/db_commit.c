/* SPDX-License-Identifier: Apache-2.0 */
/* Making transactions durable. They queue in the order of their generations; the store thread takes
 * everything queued as one batch, so that one fsync serves all that waited meanwhile.
 *
 * If a batch fails, it and everything queued behind it is undone, newest first: the later ones were made by
 * somebody who saw what is now undone. Their generations are never given out again, and are remembered, so that a
 * reader who saw them learns it (db_wait_seen). A transaction without anything for the store needs no I/O, but
 * if others are pending it waits behind them, for the same reason.
 *
 * After an undo nothing is pending, so "durable" jumps to the newest generation: it means that all that
 * memory shows may be shown, not that each number up to it was committed.
 *
 * A generation outlives a restart in clients' event tokens. Volatile changes use up generations without a
 * commit, so the store knows an upper limit ahead of time instead of the last one; after a restart counting goes
 * on above that limit, and every older token is recognised as such.
 * Thread: db_commit_queue any; the rest of the work is the store thread's. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "model/db_int.h"
#include "model/history.h"

#define TEND_AFTER_US US_PER_SEC       /* quiet for this long: housekeeping begins */
#define TEND_STEP_US  (20 * US_PER_MS) /* between its steps */

void store_set_free(struct store_set *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->n; i++) {
        free(set->v[i].json);
        free(set->v[i].changes);
    }
    free(set->v);
    free(set->user);
    free(set->call);
    free(set);
}

/* Text that did not come through a decoder (a file name, a guest's word) may not be UTF-8, and one such byte
 * would make the stored object unreadable. */
static void make_utf8(char *s)
{
    size_t len = strlen(s);
    if (utf8_valid(s, len))
        return;
    for (size_t i = 0; i < len;) {
        size_t n = 1;
        while (n <= 4 && !(i + n <= len && utf8_valid(s + i, n)))
            n++;
        if (n <= 4) {
            i += n;
        } else {
            s[i++] = '?';
        }
    }
}

static bool field_stored(const struct class_def *cls, unsigned f)
{
    return !cls->is_volatile && !cls->fields[f].is_volatile;
}

static void change_begin(struct buf *b, const char *name)
{
    buf_add_str(b, b->len == 0 ? "{\"" : ",\"");
    buf_add_str(b, name);
    buf_add_str(b, "\":[");
}

static void change_side(struct buf *b, const struct field_def *f, const void *value)
{
    if (value)
        enc_value(b, ENC_JSON, f->ty, value);
    else
        buf_add_str(b, "null");
}

/* What the history says of one object: {"field": [old, new], ...}; old is null when created, new when
 * destroyed. old_of[f]: the value before the transaction where it set the field. */
static char *changes_text(const struct tx_obj *s, const void *const *old_of)
{
    const struct class_def *cls = &schema_classes[s->obj->cls];
    struct buf b = BUF_INIT(0);
    for (unsigned f = 0; f < cls->n_fields; f++) {
        if (!field_stored(cls, f) || cls->untracked) /* secrets stay out of the history */
            continue;
        const struct field_def *fd = &cls->fields[f];
        const void *now = record_field(fd, s->obj->rec);
        const void *before = old_of[f] ? old_of[f] : now;
        if (!s->created && !s->destroyed && value_eq(fd->ty, before, now))
            continue;
        change_begin(&b, fd->name);
        change_side(&b, fd, s->created ? NULL : before);
        buf_add_char(&b, ',');
        change_side(&b, fd, s->destroyed ? NULL : now);
        buf_add_char(&b, ']');
    }
    buf_add_str(&b, b.len == 0 ? "{}" : "}");
    char *text = buf_take(&b);
    make_utf8(text);
    return text;
}

static struct store_change change_of(const struct tx *tx, const struct tx_obj *s,
                                     size_t slot)
{
    const void *old_of[DB_FIELDS_MAX] = { NULL };
    for (size_t i = 0; i < tx->undo.n; i++) {
        const struct undo *u = &tx->undo.v[i];
        if (u->kind == UNDO_FIELD && u->obj == s->obj && u->obj->touch_slot == slot)
            old_of[u->field] = u->old;
    }
    struct store_change c = { .ref = s->obj->ref, .cls = schema_classes[s->obj->cls].name };
    c.kind = s->destroyed ? STORE_DESTROY : s->created ? STORE_CREATE : STORE_MODIFY;
    c.changes = changes_text(s, old_of);
    if (!s->destroyed) {
        struct buf b = BUF_INIT(0);
        db_object_json(&b, s->obj);
        c.json = buf_take(&b);
        make_utf8(c.json);
    }
    return c;
}

static struct store_set *set_build(const struct tx *tx) REQUIRES(db_mutex)
{
    size_t n = 0;
    for (size_t i = 0; i < tx->objs.n; i++) {
        const struct tx_obj *s = &tx->objs.v[i];
        n += s->stored && !(s->created && s->destroyed);
    }
    if (n == 0 && tx->gen + DB_GEN_STEP / 4 < db.gen_limit)
        return NULL;
    struct store_set *set = mem_alloc(sizeof(*set));
    set->gen = tx->gen;
    set->time_us = clock_wall_us();
    set->user = str_dup(tx->user);
    set->call = str_dup(tx->call);
    set->task = tx->task;
    set->v = mem_array(n + 1, sizeof(*set->v));
    for (size_t i = 0; i < tx->objs.n; i++) {
        const struct tx_obj *s = &tx->objs.v[i];
        if (s->stored && !(s->created && s->destroyed))
            set->v[set->n++] = change_of(tx, s, i);
    }
    return set;
}

static void settle_durable(struct tx *tx) REQUIRES(db_mutex)
{
    db.durable = tx->gen;
    tx->settled = true;
    if (tx->tracked)
        cond_broadcast(&db.news);
}

void db_commit_queue(struct tx *tx)
{
    db.generation = tx->gen;
    tx->set = set_build(tx);
    if (!tx->set && list_empty(&db.pending)) {
        settle_durable(tx);
        db_index_tomb_trim();
        return;
    }
    list_add_tail(&db.pending, &tx->link);
    cond_broadcast(&db.work);
}

static void err_copy(struct err *dst, const struct err *src)
{
    (void)err_set_(dst, src->code, (const char *const *)src->params, src->n_params);
    if (src->detail)
        (void)err_detail(dst, "%s", src->detail);
}

static void remember_undone(uint64_t lo, uint64_t hi) REQUIRES(db_mutex)
{
    struct db_failed *last = db.n_failed ? &db.failed[(db.n_failed - 1) % DB_FAILED] : NULL;
    if (last && last->hi + 1 == lo) {
        last->hi = hi;
        return;
    }
    db.failed[db.n_failed++ % DB_FAILED] = (struct db_failed){ lo, hi };
}

/* Was a generation undone that was pending when somebody saw it? When it is older than all that is
 * remembered, say yes: an error too many does no harm. */
bool db_commit_undone(uint64_t gen)
{
    size_t n = MIN(db.n_failed, (size_t)DB_FAILED);
    for (size_t i = 0; i < n; i++) {
        const struct db_failed *f = &db.failed[(db.n_failed - 1 - i) % DB_FAILED];
        if (gen > f->hi)
            return false;
        if (gen >= f->lo)
            return true;
    }
    return db.n_failed > DB_FAILED;
}

static void undo_all(const struct err *why) REQUIRES(db_mutex)
{
    remember_undone(db.durable + 1, db.generation);
    while (!list_empty(&db.pending)) {
        struct tx *tx = list_entry(db.pending.prev, struct tx, link);
        list_remove(&tx->link);
        tx_undo(tx);
        err_copy(&tx->err, why);
        tx->settled = true;
    }
    err_done(&db.failure);
    err_copy(&db.failure, why);
    db.epoch++;
    db.durable = db.generation;
}

static void settle_batch(size_t n) REQUIRES(db_mutex)
{
    while (!list_empty(&db.pending)) {
        struct tx *tx = list_entry(db.pending.next, struct tx, link);
        if (n == 0 && tx->set)
            break;
        n -= n > 0;
        list_remove(&tx->link);
        settle_durable(tx);
    }
    db_index_tomb_trim();
}

/* Commit what is queued now. Released meanwhile: db_mutex. */
static void commit_batch(void) REQUIRES(db_mutex)
{
    VEC(struct store_set *) sets = { 0 };
    size_t n = 0;
    uint64_t last = 0;
    list_for_each(it, &db.pending) {
        struct tx *tx = list_entry(it, struct tx, link);
        last = tx->gen;
        n++;
        if (tx->set)
            vec_push(&sets, tx->set);
    }
    uint64_t limit = db.gen_limit;
    if (last + DB_GEN_STEP / 2 > limit)
        limit = last + DB_GEN_STEP;
    const struct store_ops *ops = db.ops;
    struct store *store = db.store;
    db_unlock();
    AUTO(err_done) struct err err = { 0 };
    int rc = ops->commit(store, sets.v, sets.n, limit, &err);
    vec_done(&sets);
    db_lock();
    if (rc == 0) {
        db.gen_limit = limit;
        settle_batch(n);
    } else {
        AUTO(free_str) char *text = err_text(&err);
        log_error("changes could not be stored and were undone: %s", text);
        undo_all(&err);
    }
    cond_broadcast(&db.settled);
}

/* The pool's setting, else what the store was opened with. */
static bool rule_changed(int64_t *age_us_out, int64_t *rows_out) REQUIRES(db_mutex)
{
    history_rule(age_us_out, rows_out);
    bool changed = *age_us_out != db.keep_age_us || *rows_out != db.keep_rows;
    db.keep_age_us = *age_us_out;
    db.keep_rows = *rows_out;
    return changed;
}

static bool tend(void) REQUIRES(db_mutex)
{
    const struct store_ops *ops = db.ops;
    struct store *store = db.store;
    int64_t age_us, rows;
    bool changed = rule_changed(&age_us, &rows);
    db_unlock();
    if (changed)
        ops->keep(store, age_us, rows);
    bool more = ops->tend(store);
    db_lock();
    return more;
}

static void *store_thread(void *arg)
{
    (void)arg;
    log_set_thread("store");
    db_lock();
    int64_t tend_at = clock_now_us() + TEND_AFTER_US;
    while (!db.stopping || !list_empty(&db.pending)) {
        if (!list_empty(&db.pending)) {
            commit_batch();
            tend_at = clock_now_us() + TEND_AFTER_US;
        } else if (!cond_wait_until(&db.work, &db_mutex, tend_at)) {
            tend_at = tend() ? clock_now_us() + TEND_STEP_US : INT64_MAX;
        }
    }
    db_unlock();
    return NULL;
}

int db_commit_start(struct err *err)
{
    list_init(&db.pending);
    if (thread_start(&db.thread, "store", 1024, store_thread, NULL) == 0)
        return 0;
    err_set(err, ERR_INTERNAL_ERROR, "cannot start the store thread");
    return err_detail(err, "cannot start the store thread: %m");
}

static pthread_t stop_request(void) EXCLUDES(db_mutex)
{
    db_lock();
    db.stopping = true;
    pthread_t t = db.thread;
    cond_signal(&db.work);
    db_unlock();
    return t;
}

void db_commit_stop(void)
{
    int rc = pthread_join(stop_request(), NULL);
    assert(rc == 0);
    (void)rc;
}
