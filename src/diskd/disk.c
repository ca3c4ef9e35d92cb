/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and pieces. A request is planned unit by unit; each plan becomes a piece with its file
 * operations. Where the plan needs something first (bitmaps, space, a flush) or a pool is empty, the
 * request waits in a list and goes on from where it was. Thread: the disk's loop. */
#include "diskd/disk.h"

#include <errno.h>
#include <malloc.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "diskd/disk_priv.h"

#define REST_TICKS 5 /* after which memory goes back */

static bool is_write(const struct disk_req *r)
{
    return r->kind == DISK_WRITE || r->kind == DISK_ZERO;
}

void disk_ended(struct disk *d, const struct disk_req *r)
{
    d->n_active--;
    if (is_write(r) && --d->n_writing[r->epoch] == 0 && d->merge
        && r->epoch != d->write_epoch)
        disk_merge_drained(d);
}

/* One that had been stopped has ended, or has been stopped anew. */
void disk_tried(struct disk *d, struct disk_req *r)
{
    if (!r->again)
        return;
    r->again = false;
    if (--d->n_again || d->stop_error || !d->stop_told)
        return;
    d->stop_told = 0;
    if (d->stop_fn)
        d->stop_fn(d->stop_arg);
}

static void end_request(struct disk *d, struct disk_req *r)
{
    disk_ended(d, r);
    if (r->error)
        d->stats.errors++;
    disk_tried(d, r);
    r->done(r);
    disk_settle(d);
}

static bool stops(const struct disk *d, int error)
{
    if (d->chain->failed)
        return false; /* that does not pass by waiting */
    return error == ENOSPC || error == EDQUOT ? d->policy.stop_enospc
                                              : error == EIO && d->policy.stop_eio;
}

static void stop_request(struct disk *d, struct disk_req *r)
{
    int error = r->error;
    bool first = d->stop_told == 0;

    disk_ended(d, r);
    r->error = 0;
    r->pos = 0;
    r->n_extents = 0;
    r->planned = r->main_ended = false;
    list_add_tail(&d->stopped, &r->link);
    d->stop_error = error;
    disk_tried(d, r);
    d->stop_told = error;
    if (first && d->stop_fn)
        d->stop_fn(d->stop_arg);
    disk_settle(d);
}

/* All of it is planned, or it failed; its pieces have ended. */
void disk_finish(struct disk *d, struct disk_req *r)
{
    r->main_ended = true;
    if (r->twin) /* comes again */
        return;
    if (r->error && stops(d, r->error))
        stop_request(d, r);
    else if (!r->error && r->fua && is_write(r))
        disk_flush_join(d, r);
    else
        end_request(d, r);
}

void disk_wait(struct disk *d, struct disk_req *r, enum wait_for why)
{
    list_add_tail(&d->wait[why], &r->link);
}

void disk_wake(struct disk *d, enum wait_for why)
{
    struct list mine = LIST_INIT(mine);

    while (!list_empty(&d->wait[why])) {
        struct list *it = d->wait[why].next;
        list_remove(it);
        list_add_tail(&mine, it);
    }
    while (!list_empty(&mine)) {
        struct disk_req *r = list_entry(mine.next, struct disk_req, link);
        list_remove(&r->link);
        disk_run(d, r);
    }
}

static void fail(struct disk *d, struct disk_req *r, int error)
{
    if (!r->error)
        r->error = error;
    r->planned = true;
    if (r->n_pieces == 0)
        disk_finish(d, r);
}

void disk_fail_waiting(struct disk *d, enum wait_for why, uint32_t unit, int error)
{
    struct list mine = LIST_INIT(mine);

    list_for_each_safe(it, &d->wait[why]) {
        struct disk_req *r = list_entry(it, struct disk_req, link);
        if (why == WAIT_MAP && (uint32_t)((r->offset + r->pos) >> VHD_UNIT_SHIFT) != unit)
            continue;
        list_remove(it);
        list_add_tail(&mine, it);
    }
    while (!list_empty(&mine)) {
        struct disk_req *r = list_entry(mine.next, struct disk_req, link);
        list_remove(&r->link);
        fail(d, r, error);
    }
}

static void end_piece(struct disk *d, struct piece *p)
{
    struct disk_req *r = p->req;
    unsigned epoch = p->epoch;

    if (p->writes) {
        if (d->journal)
            disk_journal_wrote(d->journal, d->chain, p->offset, p->len, p->error == 0);
        vhd_plan_wrote(d->chain, p->offset, p->len, p->error == 0);
        d->n_written++;
    }
    if (p->error && !r->error)
        r->error = p->error;
    list_add_tail(&d->free_pieces, &p->link);
    r->n_pieces--;
    if (--d->inflight[epoch] == 0 && epoch != d->epoch)
        disk_flush_left(d);
    if (r->planned && r->n_pieces == 0)
        disk_finish(d, r);
}

static void io_done(struct aio_op *op, int64_t res)
{
    struct io *io = CONTAINER_OF(op, struct io, op);
    struct disk *d = io->disk;
    struct piece *p = io->piece;

    if (res < 0 && !p->error)
        p->error = (int)-res;
    list_add_tail(&d->free_ios, &op->link);
    d->n_free_ios++;
    if (--p->n_ops == 0)
        end_piece(d, p);
    if (!list_empty(&d->wait[WAIT_OPS]))
        disk_wake(d, WAIT_OPS);
}

static void start_io(struct disk *d, struct piece *p, const struct vhd_seg *seg,
                     uint8_t *buf)
{
    static const enum aio_kind kinds[] = {
        [DISK_READ] = AIO_READ, [DISK_WRITE] = AIO_WRITE, [DISK_ZERO] = AIO_PUNCH
    };
    struct io *io = CONTAINER_OF(d->free_ios.next, struct io, op.link);

    list_remove(&io->op.link);
    d->n_free_ios--;
    io->piece = p;
    io->op.done = io_done;
    io->op.kind = kinds[p->req->kind];
    io->op.fd = seg->image->handle;
    io->op.buf = buf;
    io->op.offset = seg->offset;
    io->op.len = seg->len;
    p->n_ops++;
    aio_submit(d->aio, &io->op);
}

static void start_piece(struct disk *d, struct disk_req *r, uint64_t len,
                        const struct vhd_seg *segs, size_t n)
{
    struct piece *p = list_entry(d->free_pieces.next, struct piece, link);
    uint8_t *buf = r->buf ? r->buf + r->pos : d->zeros;

    list_remove(&p->link);
    *p = (struct piece){ .req = r,
                         .offset = r->offset + r->pos,
                         .len = len,
                         .epoch = d->epoch,
                         .writes = r->kind != DISK_READ };
    list_init(&p->link);
    if (p->writes && d->journal)
        disk_journal_begun(d->journal);
    d->inflight[p->epoch]++;
    r->n_pieces++;
    r->pos += len;
    p->n_ops = 1; /* ours, until all are started */
    for (size_t i = 0; i < n; i++) {
        if (segs[i].image)
            start_io(d, p, &segs[i], buf);
        else
            memset(buf, 0, segs[i].len);
        buf += segs[i].len;
    }
    if (--p->n_ops == 0)
        end_piece(d, p);
}

static enum vhd_plan make_plan(struct disk *d, struct disk_req *r, uint64_t *len,
                               struct vhd_seg *segs, size_t *n)
{
    size_t max = MIN(d->n_free_ios, (size_t)VHD_SEGS);
    uint64_t at = r->offset + r->pos;

    *len = r->len - r->pos;
    switch (r->kind) {
    case DISK_READ: return vhd_plan_read(d->chain, at, len, segs, max, n);
    case DISK_WRITE: return vhd_plan_write(d->chain, at, len, segs, max, n, NULL);
    default:
        if (d->no_drop) /* never all of a unit */
            *len = MIN(*len, vhd_map_sectors(d->chain, (uint32_t)(at >> VHD_UNIT_SHIFT)) / 2
                                 * VHD_SECTOR);
        return vhd_plan_zero(d->chain, at, len, segs, max, n, NULL);
    }
}

static enum vhd_plan plan(struct disk *d, struct disk_req *r, uint64_t *len,
                          struct vhd_seg *segs, size_t *n)
{
    struct disk_journal_mark mark;

    if (!d->journal || r->kind == DISK_READ)
        return make_plan(d, r, len, segs, n);
    if (!disk_journal_room(d->journal))
        return VHD_PLAN_FLUSH;
    disk_journal_mark(d->chain, r->offset + r->pos, r->len - r->pos, &mark);
    enum vhd_plan what = make_plan(d, r, len, segs, n);
    disk_journal_planned(d->journal, d->chain, &mark);
    return what;
}

/* The extents that follow from one unit; false: its bitmaps are needed. */
static bool add_extent(struct disk *d, struct disk_req *r)
{
    uint64_t at = r->offset + r->pos, len = 0;
    uint32_t unit = (uint32_t)(at >> VHD_UNIT_SHIFT);
    int layer = -1;

    if (!r->extents) {
        r->error = EINVAL;
        return true;
    }
    if (vhd_word_state(d->chain->word[unit]) == VHD_WORD_MIXED)
        return false;
    if (vhd_chain_status(d->chain, at, &len, &layer, NULL) < 0) {
        r->error = EIO;
        return true;
    }
    struct disk_extent *last = r->n_extents ? &r->extents[r->n_extents - 1] : NULL;
    len = MIN(len, r->len - r->pos);
    if (last && last->hole == (layer < 0)) {
        last->len += len;
    } else if (r->n_extents == r->max_extents) {
        r->len = r->pos; /* no more room: this is the answer */
        return true;
    } else {
        r->extents[r->n_extents++] = (struct disk_extent){ len, layer < 0 };
    }
    r->pos += len;
    return true;
}

static void need_map(struct disk *d, struct disk_req *r)
{
    if (d->n_free_ios == 0) {
        disk_wait(d, r, WAIT_OPS);
        return;
    }
    disk_wait(
        d, r,
        WAIT_MAP); /* before, because bitmaps may need no I/O: then r has gone on when this returns */
    int error = disk_fetch_map(d, (uint32_t)((r->offset + r->pos) >> VHD_UNIT_SHIFT));
    if (error == 0)
        return;
    list_remove(&r->link);
    if (error == EAGAIN) {
        disk_wait(d, r, WAIT_FLUSH);
        disk_flush_join(d, NULL);
    } else {
        fail(d, r, error);
    }
}

static void need(struct disk *d, struct disk_req *r, enum vhd_plan what)
{
    switch (what) {
    case VHD_PLAN_MAP: need_map(d, r); break;
    case VHD_PLAN_SPACE:
        d->stats.space_stalls++;
        disk_wait(d, r, WAIT_SPACE);
        disk_fetch_space(d);
        break;
    case VHD_PLAN_FLUSH:
        if (d->chain->failed) {
            fail(d, r, EIO);
        } else {
            disk_wait(d, r, WAIT_FLUSH);
            disk_flush_join(d, NULL);
        }
        break;
    default: fail(d, r, ENOMEM); break;
    }
}

void disk_run(struct disk *d, struct disk_req *r)
{
    struct vhd_seg segs[VHD_SEGS];
    uint64_t len;
    size_t n;

    while (r->pos < r->len && !r->error) {
        if (r->kind == DISK_STATUS) {
            if (!add_extent(d, r)) {
                need_map(d, r);
                return;
            }
            continue;
        }
        if (d->n_free_ios == 0 || list_empty(&d->free_pieces)) {
            disk_wait(d, r, WAIT_OPS);
            return;
        }
        enum vhd_plan what = plan(d, r, &len, segs, &n);
        if (what != VHD_PLAN_OK) {
            need(d, r, what);
            return;
        }
        start_piece(d, r, len, segs, n);
    }
    r->planned = true;
    if (r->kind == DISK_WRITE)
        disk_fetch_ahead(d);
    if (d->journal && d->step == FLUSH_IDLE && disk_journal_filling(d->journal)
        && !d->chain->failed)
        disk_flush_join(d, NULL);
    if (r->n_pieces == 0)
        disk_finish(d, r);
}

static int check(const struct disk *d, const struct disk_req *r)
{
    bool writes = is_write(r);

    if (writes && !disk_writable(d))
        return EROFS;
    if (r->kind == DISK_FLUSH)
        return 0;
    if ((r->offset | r->len) % VHD_SECTOR || r->offset > d->chain->bytes
        || r->len > d->chain->bytes - r->offset)
        return writes ? ENOSPC : EINVAL;
    return 0;
}

static void count(struct disk *d, const struct disk_req *r)
{
    switch (r->kind) {
    case DISK_READ:
        d->stats.reads++;
        d->stats.read_bytes += r->len;
        break;
    case DISK_WRITE:
        d->stats.writes++;
        d->stats.write_bytes += r->len;
        break;
    case DISK_ZERO:
        d->stats.zeros++;
        d->stats.zero_bytes += r->len;
        break;
    case DISK_FLUSH: d->stats.flushes++; break;
    case DISK_STATUS: break;
    }
}

void disk_begin(struct disk *d, struct disk_req *r)
{
    if ((d->merge && disk_merge_waits(d, r))
        || (d->cbt && is_write(r) && disk_writable(d) && disk_cbt_waits(d, r)))
        return;
    d->n_active++;
    d->n_begun++;
    if (is_write(r)) {
        r->epoch = (uint8_t)d->write_epoch;
        d->n_writing[r->epoch]++;
    }
    int error = check(d, r);
    if (!error && d->merge && is_write(r))
        disk_merge_double(d, r);
    if (error) {
        r->error = error;
        end_request(d, r);
    } else if (r->kind == DISK_FLUSH) {
        disk_flush_join(d, r);
    } else {
        disk_run(d, r);
    }
}

/* What moves no data has no turn to wait for. */
static bool limited(struct disk *d, struct disk_req *r)
{
    if ((!d->limit.iops && !d->limit.bytes) || r->kind == DISK_FLUSH
        || r->kind == DISK_STATUS)
        return false;
    int64_t now = clock_now_us();
    if (!list_empty(&d->limited) || disk_limit_due(&d->limit) > now) {
        d->stats.limited++;
        list_add_tail(&d->limited, &r->link);
        return true;
    }
    disk_limit_take(&d->limit, r->kind == DISK_ZERO ? 0 : r->len, now);
    return false;
}

int64_t disk_limit_waits(const struct disk *d)
{
    return list_empty(&d->limited) ? INT64_MAX : disk_limit_due(&d->limit);
}

void disk_limit_turn(struct disk *d)
{
    struct list mine = LIST_INIT(mine);
    int64_t now = list_empty(&d->limited) ? 0 : clock_now_us();

    while (!list_empty(&d->limited) && disk_limit_due(&d->limit) <= now) {
        struct disk_req *r = list_entry(d->limited.next, struct disk_req, link);
        list_remove(&r->link);
        disk_limit_take(&d->limit, r->kind == DISK_ZERO ? 0 : r->len, now);
        list_add_tail(&mine, &r->link);
    }
    disk_begin_all(d, &mine);
}

void disk_set_limit(struct disk *d, uint64_t iops, uint64_t bytes)
{
    disk_limit_set(&d->limit, iops, bytes);
}

void disk_submit(struct disk *d, struct disk_req *r)
{
    r->error = 0;
    r->pos = 0;
    r->n_pieces = 0;
    r->planned = r->main_ended = false;
    r->twin = NULL;
    r->again = false;
    r->n_extents = 0;
    list_init(&r->link);
    count(d, r);
    if (limited(d, r))
        return;
    if (d->held || d->holding)
        list_add_tail(&d->queue, &r->link);
    else
        disk_begin(d, r);
}

void disk_begin_all(struct disk *d, struct list *from)
{
    struct list mine = LIST_INIT(mine);

    while (!list_empty(from)) {
        struct list *it = from->next;
        list_remove(it);
        list_add_tail(&mine, it);
    }
    while (!list_empty(&mine)) {
        struct disk_req *r = list_entry(mine.next, struct disk_req, link);
        list_remove(&r->link);
        if (d->held || d->holding)
            list_add_tail(&d->queue, &r->link);
        else
            disk_begin(d, r);
    }
}

void disk_settle(struct disk *d)
{
    if (!d->holding || d->n_active || d->step != FLUSH_IDLE || d->space_busy
        || d->n_busy_loads || disk_cbt_busy(d))
        return;
    if (disk_writable(d) && disk_flush_owed(d) && !d->chain->failed) {
        disk_flush_join(d, NULL); /* comes back here */
        return;
    }
    d->hold_error = d->chain->failed ? EIO : 0;
    d->holding = false;
    d->held = true;
    d->hold_fn(d->hold_arg);
}

void disk_hold(struct disk *d, disk_fn fn, void *arg)
{
    d->holding = true;
    d->hold_fn = fn;
    d->hold_arg = arg;
    disk_settle(d);
}

int disk_hold_error(const struct disk *d)
{
    return d->hold_error;
}

void disk_release(struct disk *d)
{
    d->held = false;
    disk_begin_all(d, &d->queue);
}

void disk_changed(struct disk *d)
{
    disk_fetch_done(d);
    disk_fetch_init(d);
    disk_flush_init(d);
    if (d->journal)
        disk_journal_leaf(d->journal, vhd_chain_leaf(d->chain));
}

void disk_resume(struct disk *d)
{
    if (!d->stop_error)
        return;
    d->stop_error = 0;
    list_for_each(it, &d->stopped) {
        list_entry(it, struct disk_req, link)->again = true;
        d->n_again++;
    }
    disk_begin_all(d, &d->stopped);
}

void disk_set_policy(struct disk *d, const struct disk_policy *p)
{
    d->policy = *p;
    disk_resume(d); /* what may be stopped no more is reported now */
}

void disk_give_up(struct disk *d)
{
    int error = d->stop_error;

    d->stop_error = 0;
    d->policy = (struct disk_policy){ 0 };
    while (!list_empty(&d->stopped)) {
        struct disk_req *r = list_entry(d->stopped.next, struct disk_req, link);
        list_remove(&r->link);
        d->n_active++;
        if (is_write(r))
            d->n_writing[r->epoch]++;
        r->error = error;
        end_request(d, r);
    }
}

void disk_tick(struct disk *d)
{
    if (d->stop_error && !d->held && !d->holding)
        disk_resume(d);
    if (d->n_begun == d->tick_begun && d->n_active == 0 && !d->held && !d->holding
        && disk_writable(d) && disk_flush_owed(d) && !d->chain->failed)
        disk_flush_join(d, NULL);
    bool rests = d->n_begun == d->tick_begun && d->n_active == 0 && d->n_busy_loads == 0
                 && !d->held && !d->holding; /* who holds it may change the maps */
    d->ticks_at_rest = rests ? d->ticks_at_rest + 1 : 0;
    if (d->ticks_at_rest
        == REST_TICKS) { /* who owns what is read again when it is asked for */
        vhd_map_trim(d->chain, 0);
        (void)malloc_trim(0);
    }
    d->tick_begun = d->n_begun;
}

struct disk *disk_new(struct aio *a, struct vhd_chain *chain,
                      const struct disk_policy *policy)
{
    struct disk *d = mem_alloc(sizeof(*d));

    d->aio = a;
    d->chain = chain;
    d->policy = *policy;
    /* Never written to, so all its pages are the one page of zeros. */
    void *zeros = mmap(NULL, VHD_UNIT_BYTES, PROT_READ,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (zeros == MAP_FAILED) {
        log_error("no room for a page of zeros: %m");
        abort();
    }
    d->zeros = zeros;
    d->pieces = mem_array(N_PIECES, sizeof(*d->pieces));
    d->ios = mem_array(N_OPS, sizeof(*d->ios));
    list_init(&d->free_pieces);
    list_init(&d->free_ios);
    for (size_t i = 0; i < N_PIECES; i++)
        list_add_tail(&d->free_pieces, &d->pieces[i].link);
    for (size_t i = 0; i < N_OPS; i++) {
        d->ios[i].disk = d;
        list_add_tail(&d->free_ios, &d->ios[i].op.link);
    }
    d->n_free_ios = N_OPS;
    for (size_t i = 0; i < N_WAITS; i++)
        list_init(&d->wait[i]);
    list_init(&d->queue);
    list_init(&d->stopped);
    list_init(&d->limited);
    list_init(&d->flush_now);
    list_init(&d->flush_next);
    disk_fetch_init(d);
    disk_flush_init(d);
    return d;
}

void disk_set_journal(struct disk *d, struct disk_journal *j)
{
    d->journal = j;
    disk_journal_leaf(j, vhd_chain_leaf(d->chain));
}

struct vhd_chain *disk_free(struct disk *d)
{
    struct vhd_chain *c = d->chain;

    disk_fetch_done(d);
    vhd_flush_done(&d->flush);
    (void)munmap(d->zeros, VHD_UNIT_BYTES);
    free(d->flush_buf);
    free(d->pieces);
    free(d->ios);
    free(d);
    return c;
}

uint64_t disk_bytes(const struct disk *d)
{
    return d->chain->bytes;
}

bool disk_writable(const struct disk *d)
{
    return vhd_chain_leaf(d->chain)->writable;
}

const struct disk_stats *disk_stats(const struct disk *d)
{
    struct disk *m = (struct disk *)(uintptr_t)d;

    m->stats.inflight = d->n_active;
    return &d->stats;
}

struct vhd_chain *disk_chain(struct disk *d)
{
    return d->chain;
}

void disk_on_stop(struct disk *d, disk_fn fn, void *arg)
{
    d->stop_fn = fn;
    d->stop_arg = arg;
}

int disk_stopped(const struct disk *d)
{
    return d->stop_told;
}
