/* SPDX-License-Identifier: Apache-2.0 */
/* Events are read from the database's change list when somebody asks: nothing is queued for a client, and an object
 * that changed a hundred times is one event.
 *
 * A batch is written from memory, with changes that are not durable yet, and handed out only after db_wait_seen(): waiting
 * for them is what lets an object that changes all the time be seen at all. If one of them is undone meanwhile,
 * the batch is written again. Thread: any; event_from and event_next block. */
#include "model/event.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api/errors.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/vec.h"
#include "model/view.h"

struct one {
    enum class_id cls;
    struct ref ref;
};

/* What a client wants to hear of. */
struct filter {
    bool cls[CLASS_COUNT];
    VEC(struct one) ones;
};

/* A client of the old event.register/next. */
struct listener {
    struct list link;
    struct ref session;
    struct filter filter;
    uint64_t since;
};

static struct list listeners GUARDED_BY(db_mutex) = LIST_INIT(listeners);
static bool stopping GUARDED_BY(db_mutex);

static void filter_done(struct filter *f)
{
    vec_done(&f->ones);
}

static bool tracked(unsigned cls)
{
    return schema_classes[cls].is_object && !schema_classes[cls].untracked;
}

static bool filter_add(struct filter *f, const char *text, bool on)
{
    const char *slash = strchr(text, '/');
    if (!*text || slash == text)
        return false;
    if (str_eq(
            text,
            "*")) { /* roles only by name, as XenServer's are no rows of its database: they are long */
        for (unsigned c = 1; c < CLASS_COUNT; c++)
            f->cls[c] = on && tracked(c) && c != CLASS_ROLE;
        return true;
    }
    AUTO(free_str)
    char *name = slash ? str_dupn(text, (size_t)(slash - text)) : str_dup(text);
    const struct class_def *cls = schema_class_any_case(name);
    if (!slash) {
        if (cls)
            f->cls[cls->id] = on && tracked(cls->id);
        return true;
    }
    struct one one = { cls ? (enum class_id)cls->id : CLASS_NONE, REF_NULL };
    if (!ref_parse(slash + 1, &one.ref) || strchr(slash + 1, '/'))
        return false;
    for (size_t i = f->ones.n; !on && i-- > 0;) {
        if (ref_eq(&f->ones.v[i].ref, &one.ref))
            vec_remove(&f->ones, i);
    }
    if (on && cls && tracked(cls->id))
        vec_push(&f->ones, one);
    return true;
}

static int filter_set(struct filter *f, const struct set_string *classes, bool on,
                      struct err *err)
{
    for (size_t i = 0; i < classes->n; i++) {
        const char *text = classes->v[i];
        if (!filter_add(f, text, on))
            return err_set(err, ERR_EVENT_SUBSCRIPTION_PARSE_FAILURE, text);
    }
    return 0;
}

static bool filter_has(const struct filter *f, const struct db_change *c)
{
    if (!tracked(c->cls))
        return false;
    if (f->cls[c->cls])
        return true;
    for (size_t i = 0; i < f->ones.n; i++) {
        if (f->ones.v[i].cls == c->cls && ref_eq(&f->ones.v[i].ref, &c->ref))
            return true;
    }
    return false;
}

/* Writing */

struct gather {
    const struct session *session;
    const struct filter *filter;
    uint64_t since;
    enum enc enc;
    struct buf *out;
    int64_t now;
    size_t n;
    bool first;
};

static void member_string(struct gather *g, const char *name, const char *text, bool *first)
{
    enc_member_begin(g->out, g->enc, name, first);
    enc_string(g->out, g->enc, text);
    enc_member_end(g->out, g->enc);
}

static bool write_event(const struct db_change *c,
                        void *arg) NO_TSA /* under db_changes_since */
{
    struct gather *g = arg;
    bool fresh = c->created > g->since;
    if (!filter_has(g->filter, c) || (c->deleted && fresh)
        || !view_sees(g->session, &c->ref))
        return true;
    char ref[REF_TEXT_SIZE];
    ref_text(&c->ref, ref);
    g->n++;
    bool first = true;
    enc_item_begin(g->out, g->enc, &g->first);
    enc_struct_begin(g->out, g->enc);
    enc_member_begin(g->out, g->enc, "id", &first);
    enc_int(g->out, g->enc, (int64_t)c->modified);
    enc_member_end(g->out, g->enc);
    enc_member_begin(g->out, g->enc, "timestamp", &first);
    enc_date(g->out, g->enc, g->now);
    enc_member_end(g->out, g->enc);
    member_string(g, "class", schema_classes[c->cls].lower, &first);
    member_string(g, "operation", c->deleted ? "del" : fresh ? "add" : "mod", &first);
    member_string(g, "ref", ref, &first);
    if (!c->deleted) {
        enc_member_begin(g->out, g->enc, "snapshot", &first);
        view_encode(g->session, c->cls, &c->ref, (int)g->enc, g->out);
        enc_member_end(g->out, g->enc);
    }
    enc_struct_end(g->out, g->enc);
    return true;
}

static size_t write_events(const struct session *s, const struct filter *f, uint64_t since,
                           enum enc enc, struct buf *out) REQUIRES(db_mutex)
{
    struct gather g = {
        .session = s, .filter = f, .since = since, .enc = enc, .out = out, .first = true
    };
    g.now = clock_wall_us();
    enc_array_begin(out, enc);
    db_changes_since(since, write_event, &g);
    enc_array_end(out, enc);
    return g.n;
}

static void write_counts(enum enc enc, struct buf *out) REQUIRES(db_mutex)
{
    bool first = true;
    enc_struct_begin(out, enc);
    for (unsigned c = 1; c < CLASS_COUNT; c++) {
        if (!tracked(c))
            continue;
        enc_member_begin(out, enc, schema_classes[c].lower, &first);
        enc_int32(out, enc, (int32_t)MIN(db_count((enum class_id)c), (size_t)INT32_MAX));
        enc_member_end(out, enc);
    }
    enc_struct_end(out, enc);
}

/* Tokens */

#define TOKEN_DIGITS ((size_t)20)

static char *token_text(uint64_t gen)
{
    return str_fmt("%020" PRIu64 ",%020" PRIu64, gen, UINT64_C(0));
}

/* Exactly what token_text() writes: clients sort tokens as text, so another form of the same number is none. */
static int token_parse(const char *token, uint64_t *since_out, struct err *err)
{
    *since_out = 0;
    if (!*token)
        return 0;
    bool whole = strlen(token) == 2 * TOKEN_DIGITS + 1 && token[TOKEN_DIGITS] == ',';
    AUTO(free_str) char *first = whole ? str_dupn(token, TOKEN_DIGITS) : str_dup("");
    uint64_t messages;
    if (!whole || !parse_u64(first, since_out)
        || !parse_u64(token + TOKEN_DIGITS + 1, &messages)) {
        *since_out = 0;
        return err_set(err, ERR_EVENT_FROM_TOKEN_PARSE_FAILURE, token);
    }
    return 0;
}

static bool token_lost(uint64_t since) REQUIRES(db_mutex)
{
    return since > 0 && (since < db_tombstones_from() || since > db_generation());
}

static int session_gone(const struct session *s, struct err *err)
{
    char text[REF_TEXT_SIZE];
    ref_text(&s->ref, text);
    return err_set(err, ERR_SESSION_INVALID, text);
}

/* One batch, as of now; true when there is something in it. */
static bool write_batch(const struct session *s, const struct filter *f, uint64_t since,
                        bool even_empty, enum enc enc, struct buf *out) REQUIRES(db_mutex)
{
    bool first = true;
    buf_clear(out);
    enc_struct_begin(out, enc);
    enc_member_begin(out, enc, "events", &first);
    bool any = write_events(s, f, since, enc, out) > 0;
    enc_member_end(out, enc);
    if (!any && !even_empty)
        return false;
    AUTO(free_str) char *token = token_text(db_generation());
    enc_member_begin(out, enc, "token", &first);
    enc_string(out, enc, token);
    enc_member_end(out, enc);
    enc_member_begin(out, enc, "valid_ref_counts", &first);
    write_counts(enc, out);
    enc_member_end(out, enc);
    enc_struct_end(out, enc);
    return any;
}

/* Until there is news for the filter after since, or the deadline. 1: a batch is in out; 0: look again. */
static int next_batch(const struct session *s, const struct filter *f,
                      struct session_watch *w, uint64_t *since, const struct deadline *d,
                      enum enc enc, struct buf *out) REQUIRES(db_mutex)
{
    bool late = stopping || deadline_passed(d);
    db_seen_reset();
    if (write_batch(s, f, *since, late, enc, out) || late)
        return 1;
    uint64_t gen = db_generation();
    if (*since > 0)
        *since = gen;                        /* nothing up to here: not looked at again */
    (void)!db_wait_newer(gen, d, &w->ended); /* why it returned shows in the next round */
    return 0;
}

/* 1: the answer is in out and durable; 0: it was undone. */
static int settle(void) EXCLUDES(db_mutex)
{
    AUTO(err_done) struct err undone = { 0 };
    return db_wait_seen(&undone) == 0;
}

static int wait_batch(const struct session *s, const struct filter *f, uint64_t since,
                      const struct deadline *d, enum enc enc, struct buf *out,
                      struct err *err) EXCLUDES(db_mutex)
{
    struct session_watch w;
    db_lock();
    session_watch(&w, &s->ref);
    int rc = 0;
    while (rc == 0) {
        if (!session_exists(&s->ref)) {
            rc = session_gone(s, err);
        } else if (token_lost(since)) {
            rc = err_set(err, ERR_EVENTS_LOST);
        } else {
            w.ended = false;
            if (next_batch(s, f, &w, &since, d, enc, out)) {
                db_unlock();
                rc = settle();
                db_lock();
            }
        }
    }
    session_unwatch(&w);
    db_unlock();
    return rc < 0 ? -1 : 0;
}

int event_from(const struct session *s, const struct set_string *classes, const char *token,
               const struct deadline *d, enum enc enc, struct buf *out, struct err *err)
{
    AUTO(filter_done) struct filter f = { 0 };
    uint64_t since;
    if (filter_set(&f, classes, true, err) < 0 || token_parse(token, &since, err) < 0)
        return -1;
    return wait_batch(s, &f, since, d, enc, out, err);
}

static struct tx *inject(const struct class_def *def, const struct ref *ref,
                         uint64_t *before) ACQUIRE(db_mutex)
{
    struct tx *tx = tx_begin(&(struct tx_who){ "seraid", "event.inject", NULL });
    *before = db_generation();
    if (db_get((enum class_id)def->id, ref))
        tx_touch(tx, ref);
    else
        *before = 0;
    return tx;
}

int event_inject(const char *cls, const char *ref, char **token_out, struct err *err)
{
    const struct class_def *def = schema_class_any_case(cls);
    struct ref r;
    if (!def || !tracked(def->id) || !ref_parse(ref, &r))
        return err_set(err, ERR_HANDLE_INVALID, cls, ref);
    uint64_t before;
    struct tx *tx = inject(def, &r, &before);
    if (tx_commit(tx, err) < 0)
        return -1;
    if (before == 0)
        return err_set(err, ERR_HANDLE_INVALID, cls, ref);
    *token_out = token_text(before);
    return 0;
}

/* The old way: the server remembers where each session stands. */

static struct listener *listener_get(const struct ref *session) REQUIRES(db_mutex)
{
    list_for_each(it, &listeners) {
        struct listener *l = list_entry(it, struct listener, link);
        if (ref_eq(&l->session, session))
            return l;
    }
    return NULL;
}

static void listener_free(struct listener *l) REQUIRES(db_mutex)
{
    list_remove(&l->link);
    filter_done(&l->filter);
    free(l);
}

static struct listener *listener_make(const struct ref *session) REQUIRES(db_mutex)
{
    list_for_each_safe(it, &listeners) {
        struct listener *l = list_entry(it, struct listener, link);
        if (!session_exists(&l->session))
            listener_free(l);
    }
    struct listener *l = mem_alloc(sizeof(*l));
    l->session = *session;
    l->since = db_generation();
    list_add_tail(&listeners, &l->link);
    return l;
}

int event_register(const struct session *s, const struct set_string *classes,
                   struct err *err)
{
    db_lock();
    struct listener *l = listener_get(&s->ref);
    if (!l)
        l = listener_make(&s->ref);
    int rc = filter_set(&l->filter, classes, true, err);
    db_unlock();
    return rc;
}

int event_unregister(const struct session *s, const struct set_string *classes,
                     struct err *err)
{
    db_lock();
    struct listener *l = listener_get(&s->ref);
    int rc = l ? filter_set(&l->filter, classes, false, err) : 0;
    db_unlock();
    return rc;
}

static int not_registered(const struct session *s, struct err *err)
{
    char text[REF_TEXT_SIZE];
    ref_text(&s->ref, text);
    return err_set(err, ERR_SESSION_NOT_REGISTERED, text);
}

/* One round of event_next: 1: the events are in out, up to *gen_out; 0: look again; -1: err is set. */
static int next_events(const struct session *s, struct session_watch *w,
                       const struct deadline *d, enum enc enc, struct buf *out,
                       uint64_t *gen_out, struct err *err) REQUIRES(db_mutex)
{
    struct listener *l = listener_get(&s->ref);
    if (!session_exists(&s->ref))
        return session_gone(s, err);
    if (!l)
        return not_registered(s, err);
    if (token_lost(l->since)) {
        l->since = db_generation();
        return err_set(err, ERR_EVENTS_LOST);
    }
    bool late = stopping || deadline_passed(d);
    w->ended = false;
    buf_clear(out);
    db_seen_reset();
    *gen_out = db_generation();
    if (write_events(s, &l->filter, l->since, enc, out) > 0 || late)
        return 1;
    l->since = *gen_out;
    (void)!db_wait_newer(*gen_out, d,
                         &w->ended); /* why it returned shows in the next round */
    return 0;
}

int event_next(const struct session *s, const struct deadline *d, enum enc enc,
               struct buf *out, struct err *err)
{
    struct session_watch w;
    uint64_t gen = 0;
    db_lock();
    session_watch(&w, &s->ref);
    int rc = 0;
    while (rc == 0) {
        rc = next_events(s, &w, d, enc, out, &gen, err);
        if (rc <= 0)
            continue;
        db_unlock();
        rc = settle();
        db_lock();
        struct listener *l = rc > 0 ? listener_get(&s->ref) : NULL;
        if (l)
            l->since = gen;
    }
    session_unwatch(&w);
    db_unlock();
    return rc < 0 ? -1 : 0;
}

int64_t event_current_id(void)
{
    db_lock();
    int64_t id = (int64_t)db_durable();
    db_unlock();
    return id;
}

void event_stop(bool on)
{
    db_lock();
    stopping = on;
    session_end_watches();
    db_unlock();
}
