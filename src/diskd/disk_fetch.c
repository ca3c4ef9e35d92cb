/* SPDX-License-Identifier: Apache-2.0 */
/* What plans ask for: the bitmaps of a unit that several layers share (all layers' at once, through the
 * ring), and space for new blocks (one step at a time, in a helper thread, begun before it is needed).
 * Thread: the disk's loop, but for space_call. */
#include <errno.h>

#include "base/log.h"
#include "base/mem.h"
#include "diskd/disk_priv.h"

static void load_more(struct load *l);

void disk_fetch_init(struct disk *d)
{
    const struct vhd_chain *c = d->chain;

    d->max_reads = 0;
    for (size_t k = 0; k < c->n; k++)
        if (c->layer[k]->kind == VHD_KIND_DYNAMIC)
            d->max_reads += VHD_UNIT_BYTES / c->layer[k]->block_bytes;
}

void disk_fetch_done(struct disk *d)
{
    for (size_t i = 0; i < N_LOADS; i++) {
        free(d->load[i].reads);
        free(d->load[i].bits);
        d->load[i] = (struct load){ 0 };
    }
}

/* The first use of each makes its memory, so a disk of one layer has none of it. */
static bool load_ready(struct disk *d, struct load *l)
{
    void *p = NULL;

    if (l->bits)
        return true;
    if (posix_memalign(&p, 4096, MAX(d->max_reads, (size_t)1) * 512) != 0)
        return false;
    l->bits = p;
    l->reads = mem_array(MAX(d->max_reads, (size_t)1), sizeof(*l->reads));
    return true;
}

static void load_end(struct load *l)
{
    struct disk *d = l->disk;

    if (l->error == 0
        && vhd_map_resolve(d->chain, l->unit, l->reads, l->n, l->bits, NULL) < 0)
        l->error = EAGAIN; /* all maps are pinned since: the plan will ask for a flush */
    l->busy = false;
    d->n_busy_loads--;
    if (l->error && l->error != EAGAIN)
        disk_fail_waiting(d, WAIT_MAP, l->unit, l->error);
    disk_wake(d, WAIT_MAP);
    disk_settle(d);
}

static void load_read_done(struct aio_op *op, int64_t res)
{
    struct io *io = CONTAINER_OF(op, struct io, op);
    struct disk *d = io->disk;
    struct load *l = op->arg;

    if (res < 0 && !l->error)
        l->error = (int)-res;
    list_add_tail(&d->free_ios, &op->link);
    d->n_free_ios++;
    l->pending--;
    load_more(l);
    if (!list_empty(&d->wait[WAIT_OPS]))
        disk_wake(d, WAIT_OPS);
}

/* Start as many reads as there are free operations, at least one being under way. */
static void load_more(struct load *l)
{
    struct disk *d = l->disk;

    while (l->next < l->n && !l->error && d->n_free_ios) {
        const struct vhd_bitmap_read *r = &l->reads[l->next];
        struct io *io = CONTAINER_OF(d->free_ios.next, struct io, op.link);
        list_remove(&io->op.link);
        d->n_free_ios--;
        io->op.done = load_read_done;
        io->op.kind = AIO_READ;
        io->op.fd = r->image->handle;
        io->op.buf = l->bits + l->next * 512;
        io->op.offset = r->offset;
        io->op.len = r->image->bitmap_bytes;
        io->op.arg = l;
        l->next++;
        l->pending++;
        aio_submit(d->aio, &io->op);
    }
    if (l->pending == 0)
        load_end(l);
}

int disk_fetch_map(struct disk *d, uint32_t unit)
{
    struct vhd_chain *c = d->chain;
    struct load *l = NULL;

    for (size_t i = 0; i < N_LOADS; i++) {
        if (d->load[i].busy && d->load[i].unit == unit)
            return 0;
        if (!d->load[i].busy && !l)
            l = &d->load[i];
    }
    if (!l)
        return 0; /* the next that ends wakes all who wait */
    if (c->n_maps + d->n_busy_loads >= VHD_MAPS_MAX) {
        vhd_map_trim(c, VHD_MAPS_MAX - N_LOADS - 1);
        if (c->n_maps + d->n_busy_loads >= VHD_MAPS_MAX)
            return c->failed ? EIO : EAGAIN;
    }
    l->disk = d;
    if (!load_ready(d, l))
        return ENOMEM;
    l->busy = true;
    d->n_busy_loads++;
    d->stats.map_loads++;
    l->unit = unit;
    l->error = 0;
    l->next = l->pending = 0;
    l->n = vhd_map_reads(c, unit, l->reads, d->max_reads);
    load_more(l);
    return 0;
}

static int space_call(void *arg)
{
    struct disk *d = arg;

    return vhd_space_run(vhd_chain_leaf(d->chain), &d->space_step, NULL);
}

static void space_start(struct disk *d);

static void space_failed(struct disk *d, int error)
{
    struct vhd_image *leaf = vhd_chain_leaf(d->chain);

    for (size_t i = 0; i < d->space_step.n_punch; i++)
        vec_push(&leaf->space.free, d->space_step.punch[i]);
    if (d->space_step.grow_to && leaf->space.ahead) {
        leaf->space.ahead = 0; /* nearly full: a single block may still fit */
        if (!list_empty(&d->wait[WAIT_SPACE]))
            space_start(d);
        return;
    }
    leaf->space.ahead = VHD_AHEAD_BYTES;
    disk_fail_waiting(d, WAIT_SPACE, 0, error);
}

static void space_done(struct aio_op *op, int64_t res)
{
    struct disk *d = CONTAINER_OF(op, struct disk, space_op);
    struct vhd_image *leaf = vhd_chain_leaf(d->chain);

    d->space_busy = false;
    if (res < 0) {
        space_failed(d, (int)-res);
    } else {
        vhd_space_ready(leaf, &d->space_step);
        if (leaf->space.ahead == 0)
            leaf->space.ahead = VHD_AHEAD_BYTES;
        disk_wake(d, WAIT_SPACE);
    }
    disk_settle(d);
}

static void space_start(struct disk *d)
{
    struct vhd_image *leaf = vhd_chain_leaf(d->chain);

    if (d->space_busy)
        return;
    if (vhd_space_plan(leaf, &d->space_step, NULL) < 0) {
        disk_fail_waiting(d, WAIT_SPACE, 0, ENOSPC);
        return;
    }
    leaf->touched = true;
    leaf->tail_ok = false;
    d->space_busy = true;
    d->stats.space_steps++;
    d->space_op.done = space_done;
    d->space_op.kind = AIO_CALL;
    d->space_op.call = space_call;
    d->space_op.arg = d;
    aio_submit(d->aio, &d->space_op);
}

void disk_fetch_space(struct disk *d)
{
    struct vhd_space *s = &vhd_chain_leaf(d->chain)->space;

    /* Somebody has to wait: the next step is larger, unless this is the first or the disk is full. */
    if (!d->space_busy && s->ready_end && s->ahead)
        s->ahead = MIN(s->ahead * 2, AHEAD_MAX);
    space_start(d);
}

void disk_fetch_ahead(struct disk *d)
{
    const struct vhd_space *s = &vhd_chain_leaf(d->chain)->space;

    if (s->end == d->space_end || d->space_busy)
        return;
    d->space_end = s->end;
    if (s->ready_end && s->ahead && s->ready.n < 8 && s->ready_end - s->end < s->ahead / 2)
        space_start(d);
}
