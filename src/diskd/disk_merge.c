/* SPDX-License-Identifier: Apache-2.0 */
/* A second engine writes to the parent. A cursor moves over the disk, a window at a time: writes that touch the window wait,
 * those begun before end, then what the leaf holds in the window is copied. Behind the cursor every write is doubled before
 * it is answered; so it converges however much is written. At the end: hold, flush the parent, give it the leaf's name
 * durably, go on with it alone.
 *
 * Until then the leaf alone is the truth, and what the parent gets is hidden by it: a crash, or giving up, loses nothing and
 * needs no clearing. For that the leaf must keep hiding: it drops no blocks from the merge's begin on (no_drop), because
 * its chain does not know what the parent holds by now.
 *
 * Guests come first: while they are at work it rests as long as it works. Thread: the disk's loop, but for the *_call. */
#include "diskd/disk_merge.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "diskd/disk_priv.h"

#define N_TWINS      256
#define N_RUNS       32
#define WINDOW_UNITS 65536
#define REST_MAX_US  (US_PER_SEC / 2)

/* The second half of a write. */
struct disk_twin {
    struct disk_req req;
    struct disk_req *of;
    struct disk_merge *m;
    struct list link; /* free */
};

/* Sectors of the leaf on their way into the parent. */
struct run {
    struct disk_req req;
    struct disk_merge *m;
    struct list link; /* free */
};

/* The second engine is freed in disk_merge_turn alone, where none of its callbacks is under way. */
enum step {
    LOCK,
    MAP,
    COPY,
    REST,
    FLUSH,
    FLUSHED,
    HOLD_LEAF,
    HOLD_BELOW,
    NAME,
    DRAIN,
    DRAINED,
    CLEAR
};

struct disk_merge {
    struct disk *d, *below;
    enum step step;
    uint32_t cursor, unit, window_end; /* units: behind cursor all is doubled */
    uint64_t at, unit_end;             /* of the unit under copy, bytes */
    int error;
    bool stop;
    struct disk_twin twins[N_TWINS];
    struct run runs[N_RUNS];
    struct list free_twins, free_runs;
    size_t n_twins, n_runs; /* under way */
    struct list waiting;    /* requests that touch the window, or have no twin */
    struct disk_req req;    /* of the engine's own: map, flush */
    struct disk_extent extent;
    uint8_t *buf; /* a unit */
    struct aio_op call;
    struct vhd_chain *old; /* to be closed */
    bool old_whole;        /* make its leaf whole first */
    int64_t began_us, rest_until_us, held_us;
    uint64_t n_asked; /* by the guest, at the begin of the window */
    disk_fn fn;
    void *arg;
};

static void give_up(struct disk_merge *m, int error);

static bool is_write(const struct disk_req *r)
{
    return r->kind == DISK_WRITE || r->kind == DISK_ZERO;
}

static void wake(struct disk_merge *m)
{
    if (!list_empty(&m->waiting))
        disk_begin_all(m->d, &m->waiting);
}

/* ---- writes ------------------------------------------------------------------------------------------- */

static uint64_t n_asked(const struct disk *d)
{
    return d->stats.reads + d->stats.writes + d->stats.zeros + d->stats.flushes;
}

static bool locked(const struct disk_merge *m)
{
    return m->step == LOCK || m->step == MAP || m->step == COPY;
}

bool disk_merge_waits(struct disk *d, struct disk_req *r)
{
    struct disk_merge *m = d->merge;
    uint64_t from = (uint64_t)m->cursor << VHD_UNIT_SHIFT;
    uint64_t to = (uint64_t)m->window_end << VHD_UNIT_SHIFT;

    if (!is_write(r) || m->error || m->step >= NAME)
        return false;
    bool touches = locked(m) && r->offset < to && r->offset + r->len > from;
    if (!touches && (r->offset >= from || !list_empty(&m->free_twins)))
        return false;
    list_add_tail(&m->waiting, &r->link);
    return true;
}

static void next_step(struct disk_merge *m);

static void twin_done(struct disk_req *r)
{
    struct disk_twin *t = CONTAINER_OF(r, struct disk_twin, req);
    struct disk_merge *m = t->m;
    struct disk_req *of = TAKE(t->of);
    struct disk *d = m->d;

    list_add_tail(&m->free_twins, &t->link);
    m->n_twins--;
    if (r->error && !m->error)
        give_up(m, r->error);
    of->twin = NULL;
    if (of->main_ended)
        disk_finish(d, of);
    if (d->merge != m)
        return;
    if (!locked(m))
        wake(m);
    next_step(m);
}

void disk_merge_double(struct disk *d, struct disk_req *r)
{
    struct disk_merge *m = d->merge;
    uint64_t end = (uint64_t)m->cursor << VHD_UNIT_SHIFT;

    if (m->error || m->step >= NAME || r->offset >= end || list_empty(&m->free_twins))
        return;
    struct disk_twin *t = list_entry(m->free_twins.next, struct disk_twin, link);
    list_remove(&t->link);
    m->n_twins++;
    t->of = r;
    t->req = (struct disk_req){ .done = twin_done,
                                .kind = r->kind,
                                .offset = r->offset,
                                .len = MIN(r->len, end - r->offset),
                                .buf = r->buf };
    r->twin = t;
    disk_submit(m->below, &t->req);
}

void disk_merge_drained(struct disk *d)
{
    if (d->merge->step == LOCK)
        next_step(d->merge);
}

/* ---- copying ------------------------------------------------------------------------------------------ */

static bool is_zero(const uint8_t *p, uint64_t len)
{
    return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

static void run_written(struct disk_req *r)
{
    struct run *x = CONTAINER_OF(r, struct run, req);
    struct disk_merge *m = x->m;

    list_add_tail(&m->free_runs, &x->link);
    m->n_runs--;
    if (r->error && !m->error)
        give_up(m, r->error);
    else
        next_step(m);
}

static void run_read(struct disk_req *r)
{
    struct run *x = CONTAINER_OF(r, struct run, req);

    if (r->error || x->m->error) {
        run_written(r);
        return;
    }
    r->done = run_written;
    r->kind = is_zero(r->buf, r->len) ? DISK_ZERO : DISK_WRITE;
    disk_submit(x->m->below, r);
}

/* Start what there is of the unit; false: none of it is left to start now. */
static bool start_run(struct disk_merge *m)
{
    const struct vhd_chain *c = m->d->chain;
    uint64_t len = 0;
    int layer = -1;

    if (list_empty(&m->free_runs))
        return false;
    for (; m->at < m->unit_end; m->at += len) {
        if (vhd_chain_status(m->d->chain, m->at, &len, &layer, NULL) < 0) {
            give_up(m, EIO);
            return false;
        }
        len = MIN(len, m->unit_end - m->at);
        if (layer == (int)c->n - 1)
            break;
    }
    if (m->at >= m->unit_end)
        return false;
    struct run *x = list_entry(m->free_runs.next, struct run, link);
    uint64_t at = m->at;
    list_remove(&x->link);
    m->n_runs++;
    m->at += len;
    x->req = (struct disk_req){ .done = run_read,
                                .kind = DISK_READ,
                                .offset = at,
                                .len = len,
                                .buf = m->buf + (at & (VHD_UNIT_BYTES - 1)) };
    disk_begin(m->d, &x->req);
    return true;
}

static bool leaf_holds(const struct disk_merge *m, uint32_t unit)
{
    const struct vhd_image *leaf = vhd_chain_leaf(m->d->chain);
    uint32_t per = (uint32_t)(VHD_UNIT_BYTES / leaf->block_bytes);
    uint64_t end = MIN(((uint64_t)unit + 1) * per, (uint64_t)leaf->n_blocks);

    for (uint64_t b = (uint64_t)unit * per; b < end; b++)
        if (leaf->bat[b] != VHD_ABSENT)
            return true;
    return false;
}

static uint32_t next_held(const struct disk_merge *m, uint32_t unit, uint32_t end)
{
    while (unit < end && !leaf_holds(m, unit))
        unit++;
    return unit;
}

static void mapped(struct disk_req *r)
{
    struct disk_merge *m = CONTAINER_OF(r, struct disk_merge, req);

    if (r->error && !m->error)
        give_up(m, r->error);
    m->step = COPY;
    next_step(m);
}

/* The next unit of the window, once its bitmaps are known; none: the window is done. */
static void begin_unit(struct disk_merge *m)
{
    m->unit = next_held(m, m->unit, m->window_end);
    if (m->unit < m->window_end) {
        m->at = (uint64_t)m->unit << VHD_UNIT_SHIFT;
        m->unit_end = m->at + (uint64_t)vhd_map_sectors(m->d->chain, m->unit) * VHD_SECTOR;
        m->step = MAP;
        m->req = (struct disk_req){ .done = mapped,
                                    .kind = DISK_STATUS,
                                    .offset = m->at,
                                    .len = m->unit_end - m->at,
                                    .extents = &m->extent,
                                    .max_extents = 1 };
        disk_begin(m->d, &m->req);
        return;
    }
    int64_t now = clock_now_us(), took = now - m->began_us;
    bool busy = n_asked(m->d) != m->n_asked;
    m->cursor = m->window_end;
    m->rest_until_us = busy ? now + MIN(took, REST_MAX_US) : now;
    m->step = REST;
    wake(m);
}

static void begin_window(struct disk_merge *m)
{
    uint32_t n = m->d->chain->n_units;
    uint32_t end = (uint32_t)MIN((uint64_t)m->cursor + WINDOW_UNITS, (uint64_t)n);

    m->unit = m->cursor;
    m->window_end = MIN(next_held(m, m->cursor, end) + 1, end);
    m->began_us = clock_now_us();
    m->n_asked = n_asked(m->d);
    m->step = LOCK;
    m->d->write_epoch = !m->d->write_epoch;
    next_step(m);
}

/* ---- the end ------------------------------------------------------------------------------------------ */

static int name_call(void *arg)
{
    struct disk_merge *m = arg;
    const char *from = vhd_chain_leaf(m->below->chain)->path;
    const char *to = vhd_chain_leaf(m->d->chain)->path;

    if (FAILPOINT("disk.merge.flushed") || vhd_io_posix.ops->rename(NULL, from, to) < 0)
        return -1;
    (void)FAILPOINT("disk.merge.renamed");
    if (vhd_io_posix.ops->fsync_dir(NULL, to) < 0)
        log_error("%s: the directory cannot be written: %m", to);
    return 0;
}

static int clear_call(void *arg)
{
    struct disk_merge *m = arg;

    if (m->old_whole && vhd_chain_finish(m->old, NULL) < 0)
        log_warn("%s has no second footer", vhd_chain_leaf(m->old)->path);
    vhd_chain_close(TAKE(m->old));
    return 0;
}

static void cleared(struct aio_op *op, int64_t res)
{
    struct disk_merge *m = CONTAINER_OF(op, struct disk_merge, call);
    struct disk *d = m->d;
    disk_fn fn = m->fn;
    void *arg = m->arg;

    d->merge_error = m->error;
    d->merge = NULL;
    (void)munmap(m->buf, VHD_UNIT_BYTES);
    free(m);
    fn(arg);
}

static void call(struct disk_merge *m, int (*fn)(void *), aio_done_fn done)
{
    m->call = (struct aio_op){ .done = done, .kind = AIO_CALL, .call = fn, .arg = m };
    aio_submit(m->d->aio, &m->call);
}

static void clear(struct disk_merge *m, struct vhd_chain *old, bool whole)
{
    m->step = CLEAR;
    m->old = old;
    m->old_whole = whole;
    call(m, clear_call, cleared);
}

static void below_drained(void *arg)
{
    struct disk_merge *m = arg;

    m->step = DRAINED;
}

/* Nothing is doubled from now on; who waits goes on alone. */
static void give_up(struct disk_merge *m, int error)
{
    if (m->error || m->step >= NAME)
        return;
    log_info("%s: merging stops: %s", vhd_chain_leaf(m->d->chain)->path,
             strerrorname_np(error));
    m->error = error;
    wake(m);
}

static void swap(struct disk_merge *m)
{
    struct disk *d = m->d;
    struct vhd_chain *old = d->chain, *new = disk_free(TAKE(m->below));
    struct vhd_image *leaf = vhd_chain_leaf(new);

    free(leaf->path);
    leaf->path = str_dup(vhd_chain_leaf(old)->path);
    d->chain = new;
    d->no_drop = false;
    d->space_end = 0;
    disk_changed(d);
    d->merge_hold_us = clock_now_us() - m->held_us;
    disk_release(d);
    clear(m, old, false);
}

static void named(struct aio_op *op, int64_t res)
{
    struct disk_merge *m = CONTAINER_OF(op, struct disk_merge, call);

    if (res == 0) {
        swap(m);
        return;
    }
    m->error = (int)-res;
    disk_release(m->d);
    m->step = DRAINED;
}

static void below_held(void *arg)
{
    struct disk_merge *m = arg;
    int error = disk_hold_error(m->below);

    if (!m->error)
        m->error = error ? error : m->stop ? ECANCELED : 0;
    if (m->error) {
        m->step = DRAINED;
        disk_release(m->d);
        return;
    }
    m->step = NAME;
    call(m, name_call, named);
}

static void leaf_held(void *arg)
{
    struct disk_merge *m = arg;

    if (disk_hold_error(m->d) && !m->error)
        m->error = disk_hold_error(m->d);
    m->step = HOLD_BELOW;
    disk_hold(m->below, below_held, m);
}

static void flushed(struct disk_req *r)
{
    struct disk_merge *m = CONTAINER_OF(r, struct disk_merge, req);

    m->step = FLUSHED;
    if (r->error && !m->error)
        give_up(m, r->error);
}

/* All is copied. A first flush while requests go on keeps the hold short. */
static void finish(struct disk_merge *m)
{
    m->step = FLUSH;
    (void)FAILPOINT("disk.merge.copied");
    m->req = (struct disk_req){ .done = flushed, .kind = DISK_FLUSH };
    disk_submit(m->below, &m->req);
}

static void next_step(struct disk_merge *m)
{
    if (m->error) /* disk_merge_turn */
        return;
    if (m->step == LOCK && m->d->n_writing[!m->d->write_epoch] == 0) {
        begin_unit(m);
    } else if (m->step == COPY) {
        while (m->step == COPY && !m->error && start_run(m))
            ;
        if (m->step == COPY && !m->error && m->n_runs == 0 && m->at >= m->unit_end) {
            m->unit++;
            begin_unit(m);
        }
    }
}

/* ---- from outside -------------------------------------------------------------------------------------- */

int disk_merge_begin(struct disk *d, struct vhd_chain *below, disk_fn fn, void *arg)
{
    const struct vhd_image *leaf = vhd_chain_leaf(d->chain);
    static const struct disk_policy report = { 0 };

    errno = EINVAL;
    /* One sector alone in the last unit could not be zeroed without being dropped. */
    if (d->chain->n < 2 || !leaf->writable || below->bytes != d->chain->bytes
        || vhd_map_sectors(d->chain, d->chain->n_units - 1) < 2)
        return -1;
    errno = EBUSY;
    if (d->merge || d->held || d->holding)
        return -1;
    struct disk_merge *m = mem_alloc(sizeof(*m));
    void *buf = mmap(NULL, VHD_UNIT_BYTES, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buf == MAP_FAILED) {
        free(m);
        return -1;
    }
    m->buf = buf;
    m->d = d;
    m->below = disk_new(d->aio, below, &report);
    m->step = REST;
    m->fn = fn;
    m->arg = arg;
    list_init(&m->free_twins);
    list_init(&m->free_runs);
    list_init(&m->waiting);
    for (size_t i = 0; i < N_TWINS; i++) {
        m->twins[i].m = m;
        list_add_tail(&m->free_twins, &m->twins[i].link);
    }
    for (size_t i = 0; i < N_RUNS; i++) {
        m->runs[i].m = m;
        list_add_tail(&m->free_runs, &m->runs[i].link);
    }
    d->merge = m;
    d->no_drop = true;
    return 0;
}

void disk_merge_stop(struct disk *d)
{
    if (!d->merge)
        return;
    d->merge->stop = true;
    if (d->merge->step < HOLD_LEAF)
        give_up(d->merge, ECANCELED);
}

bool disk_merging(const struct disk *d)
{
    return d->merge != NULL;
}

int disk_merge_error(const struct disk *d)
{
    return d->merge_error;
}

int64_t disk_merge_hold_us(const struct disk *d)
{
    return d->merge_hold_us;
}

uint64_t disk_merge_done(const struct disk *d)
{
    return d->merge ? (uint64_t)d->merge->cursor << VHD_UNIT_SHIFT : 0;
}

static bool may_drain(const struct disk_merge *m)
{
    return m->error && m->n_twins == 0 && m->n_runs == 0
           && (m->step == LOCK || m->step == COPY || m->step == REST || m->step == FLUSHED);
}

int64_t disk_merge_due(const struct disk *d)
{
    const struct disk_merge *m = d->merge;

    if (!m)
        return INT64_MAX;
    if (may_drain(m) || m->step == FLUSHED || m->step == DRAINED)
        return 0;
    return m->step == REST && !m->error ? m->rest_until_us : INT64_MAX;
}

void disk_merge_turn(struct disk *d)
{
    struct disk_merge *m = d->merge;

    if (disk_merge_due(d) > clock_now_us())
        return;
    if (m->step == DRAINED) {
        bool whole = disk_hold_error(m->below) == 0;
        clear(m, disk_free(TAKE(m->below)), whole);
    } else if (may_drain(m)) {
        m->step = DRAIN;
        disk_hold(m->below, below_drained, m);
    } else if (m->step == FLUSHED) {
        m->step = HOLD_LEAF;
        m->held_us = clock_now_us();
        disk_hold(d, leaf_held, m);
    } else if (m->cursor < d->chain->n_units) {
        begin_window(m);
    } else {
        finish(m);
    }
}
