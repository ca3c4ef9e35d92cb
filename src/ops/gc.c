/* SPDX-License-Identifier: Apache-2.0 */
/* Merging goes downwards: of a volume G that is no disk's and has one child P, P's content goes into G, and G then stands in
 * P's place. Who has them open decides how:
 *
 *   nobody           a job process copies. P without children: G takes P's name. Else its children continue G and the disk
 *                    that P is (a snapshot) moves to G.
 *   P is the leaf of one machine: that machine's disk process does it while the guest writes, and G takes P's name.
 *   P lies deeper in the chains of machines: a job copies P into G, which changes nothing for anybody, because P's sectors
 *                    hide G's. Then (MERGE intent) each child is made to continue G: by the machine's process that has it
 *                    open for writing, else by a job. Each process lets go of P and answers. Then P goes.
 *
 * Until P is gone every chain reads right through P or past it, so whatever dies, what is not done is done again. From the
 * first child that is moved on, the MERGE intent keeps the rest of them from being taken for others of G's children.
 *
 * Leases (lease.h) keep merges from everything else. The thread waits to be kicked. No lock is held across I/O. */
#include "ops/gc.h"

#include <errno.h>
#include <string.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/vec.h"
#include "host/disks.h"
#include "ops/cbt.h"
#include "ops/host_ctx.h"
#include "ops/lease.h"
#include "ops/recycle.h"

#define AGAIN_US      (60 * US_PER_SEC) /* after a failure, or for what nobody told us of */
#define RESERVE_BYTES (UINT64_C(64) << 20)

struct node {
    struct sr_volume v;
    bool intended, is_disk, busy; /* busy: an operation is on the disk */
    bool kept;                    /* in the recycle bin */
    enum storage_intent intent;
    char old[UUID_TEXT_SIZE]; /* MERGE: what it goes into */
    struct ref vdi;
};

struct tree {
    struct sr_handle sr;
    VEC(struct node) nodes;
};

/* A disk of a machine's process, with the chain that it has open by the files. */
struct opener {
    char vm[UUID_TEXT_SIZE], vbd[UUID_TEXT_SIZE], leaf[UUID_TEXT_SIZE];
    bool read_only;
};

struct openers {
    VEC(struct opener) v;
};

static struct mutex gc_lock = MUTEX_INIT;
static struct cond kicked;

static struct {
    bool kicked, stop, runs, init;
    uint64_t merges, freed;
    char running[UUID_TEXT_SIZE]; /* the repository of the merge in progress */
    char problem[256];
} state GUARDED_BY(gc_lock);

static pthread_t thread;

/* ---- what there is ------------------------------------------------------------------------------------- */

static void tree_done(struct tree *t)
{
    vec_done(&t->nodes);
    sr_handle_done(&t->sr);
}

static bool add_node(const struct sr_volume *v, void *arg)
{
    struct tree *t = arg;
    struct node n = { .v = *v };
    n.v.name = NULL;
    vec_push(&t->nodes, n);
    return true;
}

static void look_at_records(struct tree *t)
{
    db_lock();
    for (size_t i = 0; i < t->nodes.n; i++) {
        struct node *n = &t->nodes.v[i];
        n->is_disk = storage_vdi_of(n->v.uuid, &n->vdi);
        const struct vdi_rec *vdi = n->is_disk ? db_get(CLASS_VDI, &n->vdi) : NULL;
        n->kept = recycle_holds(n->v.uuid);
        n->busy = vdi && vdi->current_operations.n > 0;
    }
    db_unlock();
}

static int tree_read(const struct ref *sr, struct tree *t, struct err *err)
{
    if (storage_sr(sr, &t->sr, err))
        return -1;
    if (!t->sr.ops->volume_merge)
        return 0;
    if (t->sr.ops->scan(&t->sr.config, add_node, t, err))
        return -1;
    for (size_t i = 0; i < t->nodes.n; i++) {
        struct node *n = &t->nodes.v[i];
        n->intended = storage_intent_of(n->v.uuid, &n->intent, n->old);
    }
    look_at_records(t);
    return 0;
}

static struct node *node_of(const struct tree *t, const char *volume)
{
    for (size_t i = 0; i < t->nodes.n; i++)
        if (volume[0] && str_eq(t->nodes.v[i].v.uuid, volume))
            return &t->nodes.v[i];
    return NULL;
}

static size_t count_children(const struct tree *t, const char *volume, struct node **first)
{
    size_t n = 0;
    for (size_t i = 0; i < t->nodes.n; i++)
        if (str_eq(t->nodes.v[i].v.parent, volume) && n++ == 0 && first)
            *first = &t->nodes.v[i];
    return n;
}

static bool in_chain(const struct tree *t, const char *leaf, const char *volume)
{
    const struct node *n = node_of(t, leaf);
    for (size_t i = 0; n && i <= t->nodes.n; i++) {
        if (str_eq(n->v.uuid, volume))
            return true;
        n = node_of(t, n->v.parent);
    }
    return false;
}

static void add_opener(const char *vm, const char *id, const char *leaf, bool read_only,
                       void *arg)
{
    struct openers *all = arg;
    const char *slash = strrchr(leaf, '/');
    struct opener o = { .read_only = read_only };
    memcpy(o.vm, vm, sizeof(o.vm));
    memcpy(o.vbd, id, sizeof(o.vbd));
    memcpy(o.leaf, slash ? slash + 1 : leaf,
           strnlen(slash ? slash + 1 : leaf, sizeof(o.leaf) - 1));
    vec_push(&all->v, o);
}

/* ---- which ------------------------------------------------------------------------------------------------ */

static bool is_inner(const struct node *n)
{
    return n->intended && n->intent == STORAGE_INNER && !n->is_disk;
}

/* May P be put into its parent? */
static bool may_go(const struct node *p)
{
    bool quiet = !p->intended || p->intent == STORAGE_INNER || p->intent == STORAGE_MERGE;
    return quiet && !p->busy && !p->v.raw;
}

/* A disk in the bin keeps its name: it may only swallow what it continues. */
static bool keeps_name(const struct tree *t, const struct node *p)
{
    return p->kept && count_children(t, p->v.uuid, NULL);
}

/* An unfinished merge first; else the volume whose child is smallest. NULL: none. */
static struct node *choose(const struct tree *t, char *const *skip, size_t n_skip)
{
    struct node *best = NULL;
    for (size_t i = 0; i < t->nodes.n; i++) {
        struct node *g = &t->nodes.v[i], *p = NULL;
        bool unfinished = g->intended && g->intent == STORAGE_MERGE && node_of(t, g->old)
                          && !g->busy;
        if (unfinished)
            p = g;
        else if (!is_inner(g) || count_children(t, g->v.uuid, &p) != 1 || !may_go(p)
                 || keeps_name(t, p))
            continue;
        bool skipped = false;
        for (size_t k = 0; k < n_skip; k++)
            skipped |= str_eq(skip[k], p->v.uuid);
        if (skipped)
            continue;
        if (unfinished)
            return p;
        if (!best || p->v.used_bytes < best->v.used_bytes)
            best = p;
    }
    return best;
}

/* ---- a merge ------------------------------------------------------------------------------------------------ */

struct work {
    struct tree tree;
    struct openers openers;
    const struct node *p, *g;
    struct deadline d;
    bool moved; /* G's file, or name, is P's place now */
};

static int cancelled(struct err *err)
{
    return err_set(err, ERR_TASK_CANCELLED, "");
}

/* What P holds may all be new to G. */
static int check_space(const struct work *w, struct err *err)
{
    const struct sr_handle *sr = &w->tree.sr;
    struct sr_space s;
    if (sr->ops->space(&sr->config, &s, err))
        return -1;
    uint64_t left = s.physical_size_bytes - s.physical_used_bytes;
    if (left >= w->p->v.used_bytes + RESERVE_BYTES)
        return 0;
    (void)err_set(err, ERR_SR_FULL, "", "");
    return err_detail(err, "merging %s needs %llu MiB, %llu MiB are left", w->p->v.uuid,
                      (unsigned long long)((w->p->v.used_bytes + RESERVE_BYTES) >> 20),
                      (unsigned long long)(left >> 20));
}

/* The only leaf that is P itself; NULL: there is none. */
static const struct opener *leaf_opener(const struct work *w, size_t *n_out)
{
    const struct opener *found = NULL;
    *n_out = 0;
    for (size_t i = 0; i < w->openers.v.n; i++)
        if (str_eq(w->openers.v.v[i].leaf, w->p->v.uuid)) {
            found = &w->openers.v.v[i];
            ++*n_out;
        }
    return found;
}

static int merge_leaf(struct work *w, struct err *err)
{
    size_t n;
    const struct opener *o = leaf_opener(w, &n);
    if (n > 1 || (o && o->read_only)) {
        (void)err_set(err, ERR_VDI_IN_USE, w->p->v.uuid, "merge");
        return err_detail(err, "%s is open for reading", w->p->v.uuid);
    }
    if (w->g->v.raw)
        return err_set(err, ERR_SR_OPERATION_NOT_SUPPORTED, w->tree.sr.config.uuid);
    w->moved = true;
    int rc = o ? disks_merge(o->vm, o->vbd, &w->d, err)
               : w->tree.sr.ops->volume_merge(&w->tree.sr.config, w->p->v.uuid, NULL, 0,
                                              SR_MERGE_ALL, &w->d, err);
    /* Its last step gives G's file P's name: told to stop after that, it is done all the same. */
    if (rc && !storage_is_there(&w->tree.sr, w->g->v.uuid)
        && storage_is_there(&w->tree.sr, w->p->v.uuid)) {
        err_done(err);
        rc = 0;
    }
    return rc;
}

static bool open_for_writing(const struct work *w, const char *volume)
{
    for (size_t i = 0; i < w->openers.v.n; i++)
        if (!w->openers.v.v[i].read_only && str_eq(w->openers.v.v[i].leaf, volume))
            return true;
    return false;
}

static int move_children(struct work *w, struct err *err)
{
    const struct sr_handle *sr = &w->tree.sr;
    VEC(const char *) mine = { 0 };
    int rc = 0;
    for (size_t i = 0; i < w->tree.nodes.n; i++) {
        const struct node *c = &w->tree.nodes.v[i];
        if (str_eq(c->v.parent, w->p->v.uuid) && !open_for_writing(w, c->v.uuid))
            vec_push(&mine, c->v.uuid);
    }
    struct deadline never = deadline_never();
    if (mine.n)
        rc = sr->ops->volume_merge(&sr->config, w->p->v.uuid, mine.v, mine.n,
                                   SR_MERGE_CHILDREN, &never, err);
    vec_done(&mine);
    (void)FAILPOINT("gc.merge.children");
    for (size_t i = 0; rc == 0 && i < w->openers.v.n; i++) {
        const struct opener *o = &w->openers.v.v[i];
        if (in_chain(&w->tree, o->leaf, w->g->v.uuid))
            rc = disks_relink(o->vm, o->vbd, w->p->v.uuid, err);
        (void)FAILPOINT("gc.merge.opener");
    }
    return rc;
}

static int check_moved(struct work *w, struct err *err)
{
    struct tree now = { 0 };
    int rc = tree_read(&w->tree.sr.ref, &now, err);
    if (rc == 0 && count_children(&now, w->p->v.uuid, NULL)) {
        (void)err_set(err, ERR_VDI_IN_USE, w->p->v.uuid, "merge");
        rc = err_detail(err, "something still continues %s", w->p->v.uuid);
    }
    tree_done(&now);
    return rc;
}

/* P's disk, if it is one, is G's from now on; its children's parent is G. */
static int record(struct work *w, struct err *err)
{
    const struct sr_handle *sr = &w->tree.sr;
    struct sr_volume v;
    struct tx *tx = daemon_tx("coalescing");
    if (w->p->is_disk && w->moved == false && db_get(CLASS_VDI, &w->p->vdi))
        tx_set_str(tx, &w->p->vdi, CLASS_VDI, F_VDI_LOCATION, w->g->v.uuid);
    for (size_t i = 0; i < w->tree.nodes.n; i++) {
        const struct node *c = &w->tree.nodes.v[i];
        bool child = str_eq(c->v.parent, w->p->v.uuid);
        const char *name = c == w->p && !w->moved ? w->g->v.uuid : c->v.uuid;
        if ((c != w->p && !child) || !c->is_disk || !db_get(CLASS_VDI, &c->vdi)
            || sr->ops->stat(&sr->config, name, &v, NULL))
            continue;
        storage_put_volume(tx, &c->vdi, &v);
    }
    return tx_commit(tx, err);
}

static int merge_inner(struct work *w, struct err *err)
{
    const struct sr_handle *sr = &w->tree.sr;
    const char *p = w->p->v.uuid, *g = w->g->v.uuid;
    bool copied = w->p->intended && w->p->intent == STORAGE_MERGE;
    size_t n;
    if (leaf_opener(w, &n)) {
        (void)err_set(err, ERR_VDI_IN_USE, p, "merge");
        return err_detail(err, "%s is open for reading", p);
    }
    if (!copied
        && sr->ops->volume_merge(&sr->config, p, NULL, 0, SR_MERGE_COPY, &w->d, err))
        return -1;
    (void)FAILPOINT("gc.merge.copied");
    if (!lease_merge_finishing())
        return cancelled(err);
    if (!copied && storage_pending_begin(p, sr, STORAGE_MERGE, g, err))
        return -1;
    (void)FAILPOINT("gc.merge.declared");
    if (move_children(w, err) || check_moved(w, err)
        || sr->ops->volume_destroy(&sr->config, p, err))
        return -1;
    (void)FAILPOINT("gc.merge.removed");
    return 0;
}

static int merge_locked(struct work *w, struct err *err)
{
    bool leaf = count_children(&w->tree, w->p->v.uuid, NULL) == 0
                && !(w->p->intended && w->p->intent == STORAGE_MERGE);
    if ((leaf ? merge_leaf : merge_inner)(w, err) || record(w, err))
        return -1;
    (void)FAILPOINT("gc.merge.recorded");
    /* The name that is gone needs no intent; G needs one as long as it is nobody's. */
    storage_pending_end(w->moved ? w->g->v.uuid : w->p->v.uuid);
    if (!w->moved && w->p->is_disk)
        storage_pending_end(w->g->v.uuid);
    return 0;
}

static void note(const char *sr, const struct work *w, struct err *why)
{
    AUTO(free_str) char *text = why->code ? err_text(why) : str_dup("");
    mutex_lock(&gc_lock);
    state.running[0] = '\0';
    if (!why->code) {
        state.merges++;
        state.freed += w->p->v.used_bytes;
        state.problem[0] = '\0';
    } else if (!str_eq(why->code, ERR_TASK_CANCELLED)) {
        (void)snprintf(state.problem, sizeof(state.problem), "%s", text);
    }
    mutex_unlock(&gc_lock);
    if (!why->code)
        log_info("repository %s: %s is merged into %s", sr, w->p->v.uuid, w->g->v.uuid);
    else
        log_info("repository %s: %s waits to be merged: %s", sr, w->p->v.uuid, text);
}

/* p and g were chosen before the two were ours: are they still what they were? */
static bool still_so(struct work *w, const char *p, const char *g)
{
    w->p = node_of(&w->tree, p);
    w->g = node_of(&w->tree, g);
    if (!w->p || !w->g || !may_go(w->p))
        return false;
    return w->p->intent == STORAGE_MERGE ? str_eq(w->p->old, g)
                                         : str_eq(w->p->v.parent, g) && is_inner(w->g)
                                               && count_children(&w->tree, g, NULL) == 1;
}

/* -1: try it again later. */
static int merge(const struct ref *sr, const char *p, const char *g)
{
    AUTO(err_done) struct err why = { 0 };
    struct work w = { 0 };
    int fd, rc = -1;
    if (!lease_merge_begin(p, g, &fd))
        return -1;
    w.d = deadline_in_cancel(INT64_MAX / 2, fd);
    if (tree_read(sr, &w.tree, &why) == 0 && still_so(&w, p, g)) {
        mutex_lock(&gc_lock);
        memcpy(state.running, w.tree.sr.config.uuid, sizeof(state.running));
        mutex_unlock(&gc_lock);
        disks_each(add_opener, &w.openers);
        rc = check_space(&w, &why) || merge_locked(&w, &why) ? -1 : 0;
        note(w.tree.sr.config.uuid, &w, &why);
    }
    lease_merge_end();
    vec_done(&w.openers.v);
    tree_done(&w.tree);
    return rc;
}

/* ---- the thread --------------------------------------------------------------------------------------------- */

static bool stopping(void)
{
    mutex_lock(&gc_lock);
    bool stop = state.stop;
    mutex_unlock(&gc_lock);
    return stop;
}

static void drop_childless(const struct tree *t)
{
    for (size_t i = 0; i < t->nodes.n; i++)
        if (is_inner(&t->nodes.v[i]) && count_children(t, t->nodes.v[i].v.uuid, NULL) == 0)
            storage_drop(&t->sr, t->nodes.v[i].v.uuid);
}

/* What could not be merged is not tried again in this pass. */
static bool pass_sr(const struct ref *sr)
{
    VEC(char *) skip = { 0 };
    bool done = true;
    for (bool more = true; more && !stopping();) {
        AUTO(err_done) struct err why = { 0 };
        struct tree t = { 0 };
        struct node *p = NULL;
        char from[UUID_TEXT_SIZE] = "", into[UUID_TEXT_SIZE] = "";
        if (tree_read(sr, &t, &why) == 0 && t.sr.ops->volume_merge) {
            recycle_turn(&t.sr);
            drop_childless(&t);
            cbt_collect(&t.sr);
            p = choose(&t, skip.v, skip.n);
        }
        more = p != NULL;
        if (p) {
            bool unfinished = p->intended && p->intent == STORAGE_MERGE;
            memcpy(from, p->v.uuid, sizeof(from));
            memcpy(into, unfinished ? p->old : p->v.parent, sizeof(into));
        }
        tree_done(&t);
        if (more && merge(sr, from, into)) {
            vec_push(&skip, str_dup(from));
            done = false;
        }
    }
    for (size_t i = 0; i < skip.n; i++)
        free(skip.v[i]);
    vec_done(&skip);
    return done;
}

static void pass(void)
{
    VEC(struct ref) all = { 0 };
    db_lock();
    for (struct db_iter it = db_first(CLASS_SR); it.rec; db_next(&it))
        vec_push(&all, it.ref);
    db_unlock();
    for (size_t i = 0; i < all.n && !stopping(); i++)
        (void)pass_sr(&all.v[i]);
    vec_done(&all);
}

static void *gc_main(void *arg)
{
    (void)arg;
    log_set_thread("gc");
    for (;;) {
        pass();
        mutex_lock(&gc_lock);
        int64_t until = clock_now_us() + AGAIN_US;
        while (!state.stop && !state.kicked && cond_wait_until(&kicked, &gc_lock, until))
            ;
        state.kicked = false;
        bool stop = state.stop;
        mutex_unlock(&gc_lock);
        if (stop)
            return NULL;
    }
}

void gc_kick(void)
{
    mutex_lock(&gc_lock);
    state.kicked = true;
    if (state.init)
        cond_broadcast(&kicked);
    mutex_unlock(&gc_lock);
}

int gc_init(struct err *err)
{
    cond_init(&kicked);
    mutex_lock(&gc_lock);
    state.init = true;
    mutex_unlock(&gc_lock);
    return lease_init(err);
}

int gc_start(struct err *err)
{
    if (!host_ctx.machine->has_disks) /* no disk processes to ask or to start */
        return 0;
    if (thread_start(&thread, "gc", 512, gc_main, NULL)) {
        (void)err_set(err, ERR_INTERNAL_ERROR, "gc");
        return err_detail(err, "starting a thread: %m");
    }
    mutex_lock(&gc_lock);
    state.runs = true;
    mutex_unlock(&gc_lock);
    return 0;
}

void gc_done(void)
{
    mutex_lock(&gc_lock);
    bool runs = state.runs;
    state.stop = true;
    if (state.init)
        cond_broadcast(&kicked);
    mutex_unlock(&gc_lock);
    if (!runs)
        return;
    lease_stop_merges();
    (void)pthread_join(thread, NULL);
}

static void put(struct map_string_string *map, const struct ty *ty, const char *key,
                uint64_t n)
{
    AUTO(free_str) char *text = str_fmt("%llu", (unsigned long long)n);
    const char *val = text;
    (void)map_put(ty, map, &key, &val);
}

static void put_text(struct map_string_string *map, const struct ty *ty, const char *key,
                     const char *val)
{
    (void)map_put(ty, map, &key, &val);
}

int op_serai_get_storage_debt(struct call *call,
                              const struct serai_get_storage_debt_args *a,
                              struct map_string_string *result, struct err *err)
{
    AUTO(sr_handle_done) struct sr_handle sr = { 0 };
    const struct ty *ty = call->def->result;
    uint64_t recycled = 0, recycled_bytes = 0;
    struct gc_debt d;
    if (storage_sr(&a->sr, &sr, err))
        return -1;
    gc_debt(&sr, &d);
    db_lock();
    for (struct db_iter it = db_first(CLASS_SERAI_RECYCLED); it.rec; db_next(&it)) {
        const struct serai_recycled_rec *i = it.rec;
        if (!str_eq(i->sr_uuid, sr.config.uuid))
            continue;
        recycled++;
        recycled_bytes += (uint64_t)i->size;
    }
    db_unlock();
    put(result, ty, "waiting", d.waiting);
    put(result, ty, "mergeable", d.mergeable);
    put(result, ty, "bytes", d.bytes);
    put_text(result, ty, "running", d.running ? "true" : "false");
    put(result, ty, "merges", d.merges);
    put(result, ty, "freed", d.freed);
    put_text(result, ty, "problem", d.problem);
    put(result, ty, "recycled", recycled);
    put(result, ty, "recycled_bytes", recycled_bytes);
    return 0;
}

void gc_debt(const struct sr_handle *sr, struct gc_debt *out)
{
    AUTO(err_done) struct err why = { 0 };
    struct tree t = { 0 };
    *out = (struct gc_debt){ 0 };
    if (tree_read(&sr->ref, &t, &why) == 0)
        for (size_t i = 0; i < t.nodes.n; i++) {
            const struct node *n = &t.nodes.v[i];
            if (!is_inner(n) && !(n->intended && n->intent == STORAGE_MERGE))
                continue;
            out->waiting++;
            out->bytes += n->v.used_bytes;
            out->mergeable += count_children(&t, n->v.uuid, NULL) == 1;
        }
    tree_done(&t);
    mutex_lock(&gc_lock);
    out->merges = state.merges;
    out->freed = state.freed;
    out->running = str_eq(state.running, sr->config.uuid);
    memcpy(out->problem, state.problem, sizeof(out->problem));
    mutex_unlock(&gc_lock);
}
