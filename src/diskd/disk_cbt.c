/* SPDX-License-Identifier: Apache-2.0 */
/* One step at a time: all that wait are gathered, a helper makes their intents durable, then they begin. A stream of writes
 * finds its next intents made: they are asked for one region ahead. Thread: the disk's loop, but for run_call. */
#include "diskd/disk_cbt.h"

#include <errno.h>

#include "base/failpoint.h"
#include "base/mem.h"
#include "diskd/disk_priv.h"

struct disk_cbt {
    struct disk *d;
    struct vhd_cbt *t;
    struct aio_op op;
    bool busy;
    int error;           /* of the helper */
    struct list waiting; /* requests */
    struct list served;  /* those whose intents are on their way */
};

static int run_call(void *arg)
{
    struct disk_cbt *k = arg;
    AUTO(err_done) struct err err = { 0 };

    errno = 0;
    if (!FAILPOINT("disk.cbt.intend") && vhd_cbt_run(k->t, &err) == 0)
        return 0;
    bool full = err.n_params
                && (str_eq(err.params[0], "ENOSPC") || str_eq(err.params[0], "EDQUOT"));
    k->error = full ? ENOSPC : EIO;
    errno = k->error;
    return -1;
}

static void step(struct disk_cbt *k);

/* As if it had been begun and its first write had failed. */
static void fail(struct disk *d, struct disk_req *r, int error)
{
    d->n_active++;
    d->n_begun++;
    r->epoch = (uint8_t)d->write_epoch;
    d->n_writing[r->epoch]++;
    r->error = error;
    r->planned = true;
    disk_finish(d, r);
}

static void ran(struct aio_op *op, int64_t res)
{
    struct disk_cbt *k = CONTAINER_OF(op, struct disk_cbt, op);
    struct disk *d = k->d;

    vhd_cbt_ready(k->t, res == 0);
    k->busy = false;
    if (res == 0) {
        (void)FAILPOINT("disk.cbt.intended");
        disk_begin_all(d, &k->served);
    }
    while (res < 0 && !list_empty(&k->served)) {
        struct disk_req *r = list_entry(k->served.next, struct disk_req, link);
        list_remove(&r->link);
        fail(d, r, k->error);
    }
    if (!list_empty(&k->waiting))
        step(k);
    disk_settle(d);
}

static void start(struct disk_cbt *k)
{
    k->busy = true;
    k->op = (struct aio_op){ .done = ran, .kind = AIO_CALL, .call = run_call, .arg = k };
    aio_submit(k->d->aio, &k->op);
}

static void step(struct disk_cbt *k)
{
    if (k->busy)
        return;
    while (!list_empty(&k->waiting)) {
        struct disk_req *r = list_entry(k->waiting.next, struct disk_req, link);
        list_remove(&r->link);
        list_add_tail(&k->served, &r->link);
        vhd_cbt_want(k->t, r->offset, r->len);
    }
    start(k);
}

bool disk_cbt_waits(struct disk *d, struct disk_req *r)
{
    struct disk_cbt *k = d->cbt;
    uint64_t at, len;

    if (r->len == 0 || r->offset > d->chain->bytes || r->len > d->chain->bytes - r->offset)
        return false; /* it will be refused */
    if (!vhd_cbt_note(k->t, r->offset, r->len)) {
        list_add_tail(&k->waiting, &r->link);
        step(k);
        return true;
    }
    if (!k->busy && !d->holding && vhd_cbt_ahead(k->t, r->offset + r->len - 1, &at, &len)) {
        vhd_cbt_want(k->t, at, len);
        start(k);
    }
    return false;
}

bool disk_cbt_busy(const struct disk *d)
{
    const struct disk_cbt *k = d->cbt;

    return k && (k->busy || !list_empty(&k->waiting) || !list_empty(&k->served));
}

struct vhd_cbt *disk_track(struct disk *d, struct vhd_cbt *t)
{
    struct vhd_cbt *old = d->cbt ? d->cbt->t : NULL;

    if (!t) {
        free(d->cbt);
        d->cbt = NULL;
        return old;
    }
    if (!d->cbt) {
        d->cbt = mem_alloc(sizeof(*d->cbt));
        d->cbt->d = d;
        list_init(&d->cbt->waiting);
        list_init(&d->cbt->served);
    }
    d->cbt->t = t;
    return old;
}

struct vhd_cbt *disk_tracked(const struct disk *d)
{
    return d->cbt ? d->cbt->t : NULL;
}
