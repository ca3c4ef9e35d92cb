/* SPDX-License-Identifier: Apache-2.0 */
/* Making durable what was answered. One flush at a time; those that come meanwhile join the next, which one
 * flush answers all at once.
 *
 *   data of mixed blocks was written since the last flush: fdatasync, so that data is before its bits
 *   bitmaps and pages of the block table, FLUSH_OPS at a time
 *   fdatasync
 *   blocks were dropped: wait until no operation planned before the flush is under way, because only
 *   then nobody reads or writes in their old place any more
 *
 * Where a bitmap is the last sector of a page of its own, that whole page is written: an unaligned direct
 * write makes ext4 wait for all others on the file.
 * Thread: the disk's loop. */
#include <errno.h>

#include "base/log.h"
#include "base/mem.h"
#include "diskd/disk_priv.h"

static void flush_next(struct disk *d);

void disk_flush_init(struct disk *d)
{
    const struct vhd_image *leaf = vhd_chain_leaf(d->chain);

    d->page_bitmaps = leaf->kind == VHD_KIND_DYNAMIC
                      && leaf->block_bytes == VHD_BLOCK_BYTES;
    for (uint32_t b = 0; d->page_bitmaps && b < leaf->n_blocks; b++)
        if (leaf->bat[b] != VHD_ABSENT && leaf->bat[b] % 8 != 7)
            d->page_bitmaps = false;
}

bool disk_flush_owed(const struct disk *d)
{
    const struct vhd_image *leaf = vhd_chain_leaf(d->chain);

    return d->n_written != d->n_synced || d->chain->dirty.n || leaf->n_bat_dirty
           || leaf->space.pending.n;
}

static void answer(struct disk *d, int error)
{
    struct list mine = LIST_INIT(mine);

    while (!list_empty(&d->flush_now)) {
        struct list *it = d->flush_now.next;
        list_remove(it);
        list_add_tail(&mine, it);
    }
    while (!list_empty(&mine)) {
        struct disk_req *r = list_entry(mine.next, struct disk_req, link);
        list_remove(&r->link);
        r->error = error;
        if (error)
            d->stats.errors++;
        disk_tried(d, r);
        disk_ended(d, r);
        r->done(r);
    }
}

static void flush_end(struct disk *d)
{
    if (d->flush_error)
        log_error("%s: flush: %s", vhd_chain_leaf(d->chain)->path,
                  strerrorname_np(d->flush_error));
    else
        d->n_synced = d->n_written_at;
    vhd_flush_end(d->chain, &d->flush, d->flush_error == 0);
    if (d->journal && !d->flush_error)
        disk_journal_flushed(d->journal);
    d->step = FLUSH_IDLE;
    answer(d, d->flush_error);
    if (d->flush_error)
        disk_fail_waiting(d, WAIT_FLUSH, 0, d->flush_error);
    else
        disk_wake(d, WAIT_FLUSH);
    if (d->step == FLUSH_IDLE && (d->flush_wanted || !list_empty(&d->flush_next)))
        flush_next(d);
    disk_settle(d);
}

static void sync_done(struct aio_op *op, int64_t res);

static void start_sync(struct disk *d, enum flush_step step)
{
    struct aio_op *op = &d->flush_op[0];

    d->step = step;
    d->stats.syncs++;
    if (step == FLUSH_SYNC)
        d->n_written_at = d->n_written;
    op->done = sync_done;
    op->kind = AIO_SYNC;
    op->fd = vhd_chain_leaf(d->chain)->handle;
    op->arg = d;
    aio_submit(d->aio, op);
}

static bool own_page(const struct vhd_image *leaf, uint64_t page)
{
    for (size_t i = 0; i < leaf->n_meta; i++)
        if (page < leaf->meta[i].end && page + 4096 > leaf->meta[i].start)
            return false;
    return true;
}

static void write_done(struct aio_op *op, int64_t res);

/* The next round of metadata; each has a page of the buffer. */
static void write_round(struct disk *d)
{
    const struct vhd_image *leaf = vhd_chain_leaf(d->chain);
    size_t n = MIN(d->flush.writes.n - d->flush_at, (size_t)FLUSH_OPS);

    d->flush_pending = n;
    for (size_t i = 0; i < n; i++) {
        const struct vhd_flush_write *w = &d->flush.writes.v[d->flush_at + i];
        struct aio_op *op = &d->flush_op[i];
        uint8_t *page = d->flush_buf + i * 4096;
        uint64_t offset = w->offset;
        size_t skip = 0;
        if (d->page_bitmaps && w->len == 512 && (w->offset + 512) % 4096 == 0
            && own_page(leaf, w->offset + 512 - 4096)) {
            skip = 4096 - 512;
            offset -= skip;
            memset(page, 0, skip);
        }
        memcpy(page + skip, d->flush.bytes + w->at, w->len);
        op->done = write_done;
        op->kind = AIO_WRITE;
        op->fd = leaf->handle;
        op->buf = page;
        op->offset = offset;
        op->len = skip + w->len;
        op->arg = d;
    }
    d->flush_at += n;
    for (size_t i = 0; i < n; i++)
        aio_submit(d->aio, &d->flush_op[i]);
}

static void write_done(struct aio_op *op, int64_t res)
{
    struct disk *d = op->arg;

    if (res < 0 && !d->flush_error)
        d->flush_error = (int)-res;
    if (--d->flush_pending)
        return;
    if (d->flush_error)
        flush_end(d);
    else if (d->flush_at < d->flush.writes.n)
        write_round(d);
    else
        start_sync(d, FLUSH_SYNC);
}

static void start_writes(struct disk *d)
{
    d->step = FLUSH_WRITES;
    d->flush_at = 0;
    write_round(d);
}

static void sync_done(struct aio_op *op, int64_t res)
{
    struct disk *d = op->arg;

    if (res < 0)
        d->flush_error = (int)-res;
    if (d->flush_error) {
        flush_end(d);
    } else if (d->step == FLUSH_BARRIER) {
        start_writes(d);
    } else if (d->flush.n_pending && d->inflight[!d->epoch]) {
        d->step = FLUSH_GRACE;
    } else {
        flush_end(d);
    }
}

void disk_flush_left(struct disk *d)
{
    if (d->step == FLUSH_GRACE)
        flush_end(d);
}

/* The caller has seen to it that none is under way. */
static void flush_next(struct disk *d)
{
    void *p = d->flush_buf;

    while (!list_empty(&d->flush_next)) {
        struct list *it = d->flush_next.next;
        list_remove(it);
        list_add_tail(&d->flush_now, it);
    }
    d->flush_wanted = false;
    d->flush_error = 0;
    if (d->chain->failed || !disk_flush_owed(d) || !disk_writable(d)) {
        int error = d->chain->failed ? EIO : 0;
        answer(d, error);
        /* Who waits for a flush to let go of maps, when none is owed, would wait forever. */
        disk_fail_waiting(d, WAIT_FLUSH, 0, error ? error : ENOMEM);
        return;
    }
    d->step = FLUSH_SYNC;
    if (!p && posix_memalign(&p, 4096, FLUSH_BYTES) == 0)
        d->flush_buf = p;
    if (!p || vhd_flush_begin(d->chain, &d->flush, NULL) < 0) {
        d->chain->failed = true; /* as if the disk had refused it */
        d->step = FLUSH_IDLE;
        answer(d, ENOMEM);
        disk_fail_waiting(d, WAIT_FLUSH, 0, ENOMEM);
        return;
    }
    if (d->journal)
        disk_journal_flush(d->journal);
    if (d->flush.n_pending && d->inflight[!d->epoch] == 0)
        d->epoch = !d->epoch;
    if (d->flush.barrier)
        start_sync(d, FLUSH_BARRIER);
    else if (d->flush.writes.n)
        start_writes(d);
    else
        start_sync(d, FLUSH_SYNC);
}

void disk_flush_join(struct disk *d, struct disk_req *r)
{
    if (r)
        list_add_tail(&d->flush_next, &r->link);
    else
        d->flush_wanted = true;
    if (d->step == FLUSH_IDLE) {
        flush_next(d);
        disk_settle(d);
    }
}
