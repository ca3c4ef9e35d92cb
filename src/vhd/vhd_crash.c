/* SPDX-License-Identifier: Apache-2.0 */
/* What survives: everything before a completed fsync of its file (of the directory, for names). What is
 * pending may be there or not, each operation for itself, writes also torn between sectors; names and
 * sizes before data and the other way round. A part of the states is opened for writing, used, and cut
 * again. The model of the disk is a set of values per sector. One thread. */
#include "vhd/vhd_crash.h"

#include <assert.h>
#include <stdarg.h>

#include "base/mem.h"
#include "vhd/vhd_cbt.h"
#include "vhd/vhd_create.h"
#include "vhd/vhd_sim.h"

#define BLOCKS_MAX 6
#define MIB2       (UINT64_C(2) << 20)
#define N_POS      (BLOCKS_MAX * 24)
#define LATER_MAX  40

/* Sectors that are written and looked at: two pages at the start of each block, one at its end. */
static uint32_t lba_of(size_t pos)
{
    uint32_t in = (uint32_t)(pos % 24);

    return (uint32_t)(pos / 24) * 4096 + (in < 16 ? in : 4088 + in - 16);
}

enum event {
    EV_WRITE, /* a: first position's lba, b: count << 32 | sequence; 0 in the sequence: zeros */
    EV_FLUSHED, /* all written so far is promised */
    EV_LEAF,    /* name is the disk from now on */
    EV_SIZE,    /* the size is a or b */
};

struct values {
    uint64_t flushed;
    uint64_t later[LATER_MAX];
    uint32_t n;
};

struct oracle {
    struct values v[N_POS];
    uint64_t initial[N_POS];
    uint64_t size_a, size_b;
    char leaf[SIM_NAME];
};

struct rng {
    uint64_t s;
};

static uint64_t rng_next(struct rng *r)
{
    r->s ^= r->s << 13;
    r->s ^= r->s >> 7;
    r->s ^= r->s << 17;
    return r->s;
}

struct work {
    struct sim sim;
    struct vhd_io io;
    struct vhd_chain *c;
    struct vhd_cbt *cbt;
    char leaf[SIM_NAME];
    uint64_t seq;
    int next_name;
    struct rng rng;
};

static void ok(int rc, struct err *err, const char *what)
{
    if (rc == 0)
        return;
    (void)fprintf(stderr, "the workload itself failed: %s: %s\n", what,
                  err->detail ? err->detail : "?");
    abort();
}

static void reopen(struct work *w)
{
    struct err err = { 0 };

    ok(vhd_chain_open(&w->io, w->leaf, VHD_OPEN_WRITE, &w->c, &err), &err, "open");
    vhd_chain_leaf(w->c)->space.ahead = 0;
    w->c->cbt = w->cbt;
}

static void write_at(struct work *w, uint32_t lba, uint32_t count)
{
    uint64_t buf[16 * 64];
    struct err err = { 0 };
    uint64_t seq = ++w->seq;

    if ((uint64_t)(lba + count) * 512 > w->c->bytes)
        return;
    for (uint32_t i = 0; i < count; i++)
        for (size_t k = 0; k < 64; k++)
            buf[i * 64 + k] = seq << 20 | (lba + i);
    sim_event(&w->sim, EV_WRITE, lba, (uint64_t)count << 32 | seq, NULL);
    ok(vhd_chain_write(w->c, buf, (uint64_t)count * 512, (uint64_t)lba * 512, &err), &err,
       "write");
}

static void zero_at(struct work *w, uint32_t lba, uint32_t count)
{
    struct err err = { 0 };

    if ((uint64_t)lba * 512 >= w->c->bytes)
        return;
    count = (uint32_t)MIN((uint64_t)count, w->c->bytes / 512 - lba);
    sim_event(&w->sim, EV_WRITE, lba, (uint64_t)count << 32, NULL);
    ok(vhd_chain_zero(w->c, (uint64_t)count * 512, (uint64_t)lba * 512, &err), &err,
       "zero");
}

static void flush(struct work *w)
{
    struct err err = { 0 };

    ok(vhd_chain_flush(w->c, &err), &err, "flush");
    sim_event(&w->sim, EV_FLUSHED, 0, 0, NULL);
}

static void snapshot(struct work *w)
{
    struct vhd_image *img = NULL;
    struct err err = { 0 };
    char name[SIM_NAME];

    if (w->next_name >= 30 || w->c->n > 6)
        return;
    (void)snprintf(name, sizeof(name), "d%d.vhd", w->next_name++);
    flush(w);
    ok(vhd_image_finish(vhd_chain_leaf(w->c), &err), &err, "finish");
    ok(vhd_create_child(&w->io, w->leaf, name, &err), &err, "child");
    ok(vhd_image_open(&w->io, name, VHD_OPEN_WRITE, &img, &err), &err, "open child");
    img->space.ahead = 0;
    ok(vhd_chain_push(w->c, img, &err), &err, "push");
    memcpy(w->leaf, name, sizeof(name));
    sim_event(&w->sim, EV_LEAF, 0, 0, name);
}

static void resize(struct work *w)
{
    struct err err = { 0 };
    uint64_t old = w->c->bytes, now = MIN(old + MIB2 / 2 * 3, BLOCKS_MAX * MIB2);

    sim_event(&w->sim, EV_SIZE, old, now, NULL);
    ok(vhd_resize(w->c, now, &err), &err, "resize");
    sim_event(&w->sim, EV_SIZE, now, now, NULL);
    sim_event(&w->sim, EV_FLUSHED, 0, 0, NULL);
}

static void coalesce(struct work *w, bool leaf)
{
    char path[SIM_NAME];
    const char *child = w->leaf;
    struct err err = { 0 };

    if (w->c->n < (leaf ? 2U : 3U))
        return;
    (void)snprintf(path, sizeof(path), "%s",
                   leaf ? w->leaf : w->c->layer[w->c->n - 2]->path);
    ok(vhd_chain_finish(w->c, &err), &err, "finish");
    sim_event(&w->sim, EV_FLUSHED, 0, 0, NULL);
    vhd_chain_close(w->c);
    ok(vhd_coalesce(&w->io, path, &child, leaf ? 0 : 1, &err), &err, "coalesce");
    reopen(w);
}

static void close_open(struct work *w)
{
    struct err err = { 0 };

    ok(vhd_chain_finish(w->c, &err), &err, "finish");
    sim_event(&w->sim, EV_FLUSHED, 0, 0, NULL);
    vhd_chain_close(w->c);
    reopen(w);
}

#define N_OPS 10

/* where: 0 for the fixed places of the exhaustive workloads, else anything. */
static void do_op(struct work *w, unsigned op, uint64_t where)
{
    uint32_t b = (uint32_t)(where % BLOCKS_MAX), page = (uint32_t)(where / 8 % 3);
    uint32_t lba = b * 4096 + (page == 2 ? 4088 : page * 8);

    switch (op) {
    case 0: write_at(w, where ? lba : 2 * 4096 + 8, 8); break;
    case 1: write_at(w, where ? lba + 2 : 2, 3); break;
    case 2: write_at(w, (where ? b + 1 : 1) * 4096 - 8, 16); break;
    case 3: zero_at(w, (where ? b : 1) * 4096, 4096); break;
    case 4: flush(w); break;
    case 5: snapshot(w); break;
    case 6: resize(w); break;
    case 7: coalesce(w, false); break;
    case 8: coalesce(w, true); break;
    case 9: zero_at(w, where ? lba : 4, where ? 8 : 20); break;
    default: close_open(w); break;
    }
}

/* The disk before the workload: so many layers, each with some data, all durable. */
static void prepare(struct work *w, size_t depth, struct oracle *o)
{
    struct vhd_create_spec spec = { .type = VHD_DYNAMIC, .bytes = 4 * MIB2 };
    struct err err = { 0 };

    sim_init(&w->sim);
    w->io = sim_io(&w->sim);
    memcpy(w->leaf, "d0.vhd", 7);
    w->next_name = 1;
    ok(vhd_create(&w->io, w->leaf, &spec, &err), &err, "create");
    reopen(w);
    for (size_t i = 0; i < depth; i++) {
        if (i)
            snapshot(w);
        write_at(w, (uint32_t)(i * 4096), 16);
        write_at(w, 4088 + (uint32_t)i, 3);
        write_at(w, 3 * 4096 + 2 * (uint32_t)i, 2);
    }
    close_open(w);
    ok(vhd_cbt_create(&w->io, "c.cbt", w->c->bytes, NULL, &err), &err, "cbt");
    ok(vhd_cbt_open(&w->io, "c.cbt", true, &w->cbt, &err), &err, "cbt");
    w->c->cbt = w->cbt;
    memset(o, 0, sizeof(*o));
    for (size_t i = 0; i < N_POS; i++) {
        uint64_t buf[64];
        if ((lba_of(i) + 1) * UINT64_C(512) > w->c->bytes)
            continue;
        ok(vhd_chain_read(w->c, buf, 512, lba_of(i) * UINT64_C(512), &err), &err, "read");
        o->v[i].flushed = o->initial[i] = buf[0];
    }
    o->size_a = o->size_b = w->c->bytes;
    memcpy(o->leaf, w->leaf, sizeof(o->leaf));
}

/* Checking. */

struct walk {
    struct crash_run *run;
    const struct sim *sim;
    struct sim_fs base; /* durable */
    struct sim probe;   /* the state that is being looked at */
    VEC(const struct sim_op *) pending;
    struct oracle o;
    struct rng rng;
    uint64_t id;
    size_t step;
    int depth; /* 1: the cut of a recovery */
};

static void PRINTF(2, 3) violation(struct walk *k, const char *fmt, ...)
{
    char text[400];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (k->run->violations++ == 0)
        (void)snprintf(k->run->first, sizeof(k->run->first),
                       "workload %llu, step %zu%s: %s", (unsigned long long)k->id, k->step,
                       k->depth ? " of a recovery" : "", text);
    if (k->run->verbose)
        (void)fprintf(stderr, "workload %llu, step %zu%s: %s\n", (unsigned long long)k->id,
                      k->step, k->depth ? " of a recovery" : "", text);
}

static bool allowed(const struct values *v, uint64_t tag)
{
    bool found = tag == v->flushed;

    for (uint32_t i = 0; !found && i < v->n; i++)
        found = v->later[i] == tag;
    return found;
}

static bool check_sector(struct walk *k, size_t pos, const uint64_t *p, struct oracle *seen)
{
    for (size_t i = 1; i < 64; i++)
        if (p[i] != p[0]) {
            violation(k, "sector %u holds two values", lba_of(pos));
            return false;
        }
    if (!allowed(&k->o.v[pos], p[0])) {
        violation(k, "sector %u holds %llx, not %llx or one of %u later ones", lba_of(pos),
                  (unsigned long long)p[0], (unsigned long long)k->o.v[pos].flushed,
                  k->o.v[pos].n);
        return false;
    }
    seen->v[pos].flushed = p[0];
    seen->v[pos].n = 0;
    return true;
}

/* Pages of the disk that hold positions, and one that nobody ever writes to. */
static bool check_disk(struct walk *k, struct vhd_chain *c, struct oracle *seen)
{
    uint64_t buf[16 * 64];
    struct err err = { 0 };
    bool good = true;

    for (size_t b = 0; good && b < BLOCKS_MAX; b++)
        for (size_t part = 0; good && part < 3; part++) {
            uint64_t at = b * MIB2 + (part == 1 ? 4088 * 512 : part == 2 ? 1000 * 512 : 0);
            uint32_t n = part == 0 ? 16 : 8;
            if (at + n * 512 > c->bytes)
                continue;
            if (vhd_chain_read(c, buf, n * UINT64_C(512), at, &err) < 0) {
                violation(k, "reading: %s", err.detail);
                err_done(&err);
                return false;
            }
            for (uint32_t i = 0; good && i < n; i++) {
                if (part < 2)
                    good = check_sector(k, b * 24 + (part ? 16 : 0) + i, buf + i * 64,
                                        seen);
                else if (buf[i * 64])
                    violation(k, "block %zu shows what nobody wrote", b);
            }
        }
    return good;
}

static void check_cbt(struct walk *k, const struct vhd_io *io, const struct oracle *seen)
{
    struct vhd_cbt *t = NULL;
    struct err err = { 0 };

    if (vhd_cbt_open(io, "c.cbt", false, &t, &err) < 0) {
        violation(k, "changed blocks: %s", err.detail);
        err_done(&err);
        return;
    }
    for (size_t i = 0; i < N_POS; i++) {
        uint64_t at = lba_of(i) * UINT64_C(512);
        if (at < vhd_cbt_disk_bytes(t) && seen->v[i].flushed != k->o.initial[i]
            && !vhd_cbt_changed(t, at)) {
            violation(k, "sector %u changed, but its bit is not set", lba_of(i));
            break;
        }
    }
    vhd_cbt_close(t);
}

static void walk_log(struct walk *k);

static void second_workload(struct walk *k, struct work *w)
{
    write_at(w, 4088, 16);
    write_at(w, 3 * 4096 + 8, 8);
    flush(w);
    if (rng_next(&k->rng) & 1)
        coalesce(w, (rng_next(&k->rng) & 1) != 0);
    else
        resize(w);
    close_open(w);
}

/* Open for writing as a restart would, use it, and cut the power again. */
static void second_cut(struct walk *k, const struct sim_fs *state,
                       const struct oracle *seen)
{
    struct work *w = mem_alloc(sizeof(*w));
    struct walk *again = mem_alloc(sizeof(*again));
    struct err err = { 0 };

    w->seq = 0x7000 + k->run->states;
    w->next_name = 30;
    sim_init(&w->sim);
    sim_fs_copy(&w->sim.fs, state);
    w->io = sim_io(&w->sim);
    memcpy(w->leaf, k->o.leaf, sizeof(w->leaf));
    sim_start_log(&w->sim);
    if (vhd_chain_open(&w->io, w->leaf, VHD_OPEN_WRITE, &w->c, &err) < 0
        || vhd_cbt_open(&w->io, "c.cbt", true, &w->cbt, &err) < 0) {
        violation(k, "opening for writing: %s", err.detail);
        err_done(&err);
    } else {
        again->run = k->run;
        again->o = *seen;
        again->o.size_a = again->o.size_b = w->c->bytes;
        again->rng = k->rng;
        again->id = k->id;
        again->depth = 1;
        vhd_chain_leaf(w->c)->space.ahead = 0;
        w->c->cbt = w->cbt;
        second_workload(k, w);
        again->sim = &w->sim;
        sim_fs_copy(&again->base, state);
        walk_log(again);
    }
    vhd_chain_close(w->c);
    vhd_cbt_close(w->cbt);
    sim_done(&w->sim);
    free(w);
    free(again);
}

static void check_state(struct walk *k)
{
    static struct oracle seen; /* of the innermost walk */
    struct vhd_io io = sim_io(&k->probe);
    struct vhd_chain *c = NULL;
    struct err err = { 0 };

    k->run->states++;
    seen = k->o;
    if (vhd_chain_open(&io, k->o.leaf, 0, &c, &err) < 0) {
        violation(k, "opening: %s", err.detail);
        err_done(&err);
    } else if (c->bytes != k->o.size_a && c->bytes != k->o.size_b) {
        violation(k, "the disk has %llu bytes", (unsigned long long)c->bytes);
    } else if (check_disk(k, c, &seen)) {
        check_cbt(k, &io, &seen);
        vhd_chain_close(TAKE(c));
        if (k->depth == 0 && rng_next(&k->rng) % 256 == 0) {
            struct oracle *o = mem_dup(&seen, sizeof(seen));
            second_cut(k, &k->probe.fs, o);
            free(o);
        }
    }
    vhd_chain_close(c);
}

/* The state with those pending operations whose bit is set; tear: writes lose some of their sectors. */
static void try_subset(struct walk *k, const uint8_t *in, bool tear)
{
    if (k->run->max_states && k->run->states >= k->run->max_states)
        return;
    sim_init(&k->probe);
    sim_fs_copy(&k->probe.fs, &k->base);
    for (size_t i = 0; i < k->pending.n; i++)
        if (in[i])
            sim_fs_apply(&k->probe.fs, k->pending.v[i],
                         tear && k->pending.v[i]->len > 512 ? rng_next(&k->rng)
                                                            : UINT64_MAX);
    sim_fs_trim(&k->probe.fs);
    check_state(k);
    sim_done(&k->probe);
}

static bool any_long(const struct walk *k)
{
    for (size_t i = 0; i < k->pending.n; i++)
        if (k->pending.v[i]->type == SIM_WRITE && k->pending.v[i]->len > 512)
            return true;
    return false;
}

/* all: the oracle got stricter, so every subset counts anew; otherwise those with the newest operation. */
static void try_states(struct walk *k, bool all)
{
    size_t n = k->pending.n;
    uint8_t *in = mem_alloc(n + 1);
    bool tear = any_long(k);

    if (n <= k->run->all_below) {
        for (uint64_t m = 0; m < UINT64_C(1) << n; m++) {
            for (size_t i = 0; i < n; i++)
                in[i] = m >> i & 1;
            if (!all && n && !in[n - 1])
                continue;
            try_subset(k, in, false);
            if (tear && m)
                try_subset(k, in, true);
        }
        free(in);
        return;
    }
    for (size_t p = 0; p <= n; p++) { /* prefixes */
        for (size_t i = 0; i < n; i++)
            in[i] = i < p;
        if (all || p == n)
            try_subset(k, in, false);
    }
    for (size_t one = 0; one < n; one++) { /* all but one, and one alone */
        for (int only = 0; only < 2; only++) {
            for (size_t i = 0; i < n; i++)
                in[i] = (i == one) == only;
            if (all || in[n - 1])
                try_subset(k, in, only == 0 && tear);
        }
    }
    for (unsigned r = 0; r < k->run->subsets; r++) {
        uint64_t bits = rng_next(&k->rng);
        for (size_t i = 0; i < n; i++) {
            in[i] = bits & 1;
            bits = i % 64 == 63 ? rng_next(&k->rng) : bits >> 1;
        }
        in[n - 1] |= !all;
        try_subset(k, in, tear && (r & 1));
    }
    free(in);
}

static bool is_dir_op(const struct sim_op *op)
{
    return op->type == SIM_LINK || op->type == SIM_UNLINK || op->type == SIM_RENAME;
}

/* What the fsync covers becomes part of the base. */
static void make_durable(struct walk *k, const struct sim_op *sync)
{
    size_t n = 0;

    for (size_t i = 0; i < k->pending.n; i++) {
        const struct sim_op *op = k->pending.v[i];
        bool covered = sync->type == SIM_FSYNC_DIR
                           ? is_dir_op(op)
                           : !is_dir_op(op) && op->file == sync->file;
        if (covered)
            sim_fs_apply(&k->base, op, UINT64_MAX);
        else
            k->pending.v[n++] = op;
    }
    k->pending.n = n;
}

static void apply_event(struct walk *k, const struct sim_op *op)
{
    uint64_t count = op->b >> 32, seq = op->b & UINT32_MAX;

    switch ((enum event)op->code) {
    case EV_WRITE:
        for (size_t i = 0; i < N_POS; i++) {
            struct values *v = &k->o.v[i];
            if (lba_of(i) < op->a || lba_of(i) >= op->a + count)
                continue;
            assert(v->n < LATER_MAX);
            v->later[v->n++] = seq ? seq << 20 | lba_of(i) : 0;
        }
        break;
    case EV_FLUSHED:
        for (size_t i = 0; i < N_POS; i++)
            if (k->o.v[i].n) {
                k->o.v[i].flushed = k->o.v[i].later[k->o.v[i].n - 1];
                k->o.v[i].n = 0;
            }
        break;
    case EV_LEAF: memcpy(k->o.leaf, op->name, sizeof(k->o.leaf)); break;
    case EV_SIZE:
        k->o.size_a = op->a;
        k->o.size_b = op->b;
        break;
    }
}

static void walk_log(struct walk *k)
{
    for (k->step = 0; k->step < k->sim->log.n; k->step++) {
        const struct sim_op *op = &k->sim->log.v[k->step];
        if (k->run->max_states && k->run->states >= k->run->max_states)
            break;
        if (op->type == SIM_EVENT) {
            apply_event(k, op);
            if (op->code != EV_WRITE)
                try_states(k, true);
        } else if (op->type == SIM_FSYNC || op->type == SIM_FSYNC_DIR) {
            make_durable(k, op);
        } else {
            vec_push(&k->pending, op);
            try_states(k, false);
        }
    }
    vec_done(&k->pending);
    sim_fs_done(&k->base);
}

static void run_ops(struct work *w, uint64_t id)
{
    if (id >= CRASH_EXHAUSTIVE) {
        for (int i = 0; i < 200; i++) {
            uint64_t r = rng_next(&w->rng);
            unsigned op = (unsigned)(r % 24);
            static const uint8_t mix[24] = { 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,  3,
                                             3, 9, 9, 4, 4, 4, 5, 6, 7, 8, 10, 9 };
            do_op(w, mix[op], (r >> 8) | UINT64_C(1) << 60);
            if (i % 16 == 15) /* bounds what is pending */
                flush(w);
        }
        return;
    }
    uint64_t code = id / 3;
    if (code < 10) {
        do_op(w, (unsigned)code, 0);
    } else if (code < 110) {
        code -= 10;
        do_op(w, (unsigned)(code / 10), 0);
        do_op(w, (unsigned)(code % 10), 0);
    } else {
        code -= 110;
        do_op(w, (unsigned)(code / 100), 0);
        do_op(w, (unsigned)(code / 10 % 10), 0);
        do_op(w, (unsigned)(code % 10), 0);
    }
}

void crash_workload(struct crash_run *run, uint64_t id)
{
    struct work *w = mem_alloc(sizeof(*w));
    struct walk *k = mem_alloc(sizeof(*k));
    size_t depth = 1 + (size_t)(id % 3);

    w->rng.s = k->rng.s = UINT64_C(0x9e3779b97f4a7c15) * (id + 1);
    prepare(w, depth, &k->o);
    sim_fs_copy(&k->base, &w->sim.fs);
    sim_start_log(&w->sim);
    run_ops(w, id);
    vhd_chain_close(w->c);
    vhd_cbt_close(w->cbt);
    k->run = run;
    k->sim = &w->sim;
    k->id = id;
    walk_log(k);
    sim_done(&w->sim);
    free(w);
    free(k);
    run->workloads++;
}
