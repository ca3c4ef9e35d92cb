/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the engine alone. */
#ifndef DISKD_DISK_PRIV_H
#define DISKD_DISK_PRIV_H

#include "diskd/disk.h"
#include "diskd/disk_journal.h"
#include "diskd/disk_limit.h"

#define N_PIECES    512
#define N_OPS       1024
#define N_LOADS     16
#define FLUSH_OPS   32
#define FLUSH_BYTES (FLUSH_OPS * 4096)
#define AHEAD_MAX   (UINT64_C(256) << 20)

/* What a request that cannot go on waits for. */
enum wait_for { WAIT_OPS, WAIT_MAP, WAIT_SPACE, WAIT_FLUSH, N_WAITS };

struct piece; /* of a request: what one plan says */

struct io {
    struct aio_op op;
    struct disk *disk;
    struct piece *piece;
};

struct piece {
    struct list link; /* free */
    struct disk_req *req;
    uint64_t offset, len;
    uint32_t n_ops;
    int error;
    unsigned epoch;
    bool writes;
};

/* The bitmaps of one unit on their way in. */
struct load {
    struct disk *disk;
    bool busy;
    uint32_t unit;
    size_t n, next, pending;
    int error;
    struct vhd_bitmap_read *reads;
    uint8_t *bits;
};

enum flush_step { FLUSH_IDLE, FLUSH_BARRIER, FLUSH_WRITES, FLUSH_SYNC, FLUSH_GRACE };

struct disk {
    struct aio *aio;
    struct vhd_chain *chain;
    struct disk_journal *journal; /* NULL: none */
    struct disk_policy policy;
    struct disk_stats stats;
    uint8_t *zeros; /* a unit, never written to */
    struct piece *pieces;
    struct io *ios;
    struct list free_pieces, free_ios; /* link of the piece, link of the op */
    size_t n_free_ios;
    struct list wait[N_WAITS];
    uint64_t n_active; /* requests begun and not answered, flushes too */
    uint64_t n_begun;  /* ever */

    struct load load[N_LOADS];
    size_t n_busy_loads, max_reads;

    struct aio_op space_op;
    struct vhd_space_step space_step;
    uint64_t space_end; /* seen last */
    bool space_busy;

    /* Flush. Slots that were dropped may be used again only when no read or write that was planned
     * before is under way: those count in inflight[epoch]. */
    enum flush_step step;
    struct vhd_flush flush;
    struct list flush_now, flush_next;
    struct aio_op flush_op[FLUSH_OPS];
    uint8_t *flush_buf;
    size_t flush_at, flush_pending;
    int flush_error;
    bool flush_wanted;
    bool page_bitmaps; /* every bitmap is the last sector of a page that is nobody else's */
    unsigned epoch;
    uint64_t inflight[2];
    uint64_t n_written, n_written_at, n_synced;

    bool held, holding;
    int hold_error;
    disk_fn hold_fn;
    void *hold_arg;
    struct list queue; /* while held */

    struct disk_cbt *cbt; /* NULL: changes are not tracked */
    struct disk_merge *merge;
    int merge_error;
    int64_t merge_hold_us;
    bool no_drop;          /* never give a block back: its place below may hold something */
    unsigned write_epoch;  /* of the writes that begin now */
    uint64_t n_writing[2]; /* begun and not ended, by epoch */

    struct disk_limit limit;
    struct list limited; /* wait for their turn */

    struct list stopped;
    int stop_error;
    int stop_told; /* the errno that fn was called for */
    uint64_t n_again;
    disk_fn stop_fn;
    void *stop_arg;
    uint64_t tick_begun;
    unsigned ticks_at_rest;
};

void disk_run(struct disk *d, struct disk_req *r);
void disk_begin(struct disk *d, struct disk_req *r); /* also while held */
void disk_begin_all(struct disk *d, struct list *from);
void disk_finish(struct disk *d, struct disk_req *r);
void disk_tried(struct disk *d, struct disk_req *r);       /* it ends */
void disk_ended(struct disk *d, const struct disk_req *r); /* not under way any more */
void disk_wait(struct disk *d, struct disk_req *r, enum wait_for why);
void disk_wake(struct disk *d, enum wait_for why);
void disk_fail_waiting(struct disk *d, enum wait_for why, uint32_t unit, int error);
void disk_settle(struct disk *d); /* something ended: is the disk drained? */

/* disk_fetch.c */
void disk_fetch_init(struct disk *d);
void disk_fetch_done(struct disk *d);
int disk_fetch_map(struct disk *d, uint32_t unit); /* errno of what cannot be, or 0 */
void disk_fetch_space(struct disk *d);
void disk_fetch_ahead(struct disk *d); /* after a write: keep room in front of it */

/* disk_merge.c */
bool disk_merge_waits(struct disk *d, struct disk_req *r); /* taken */
void disk_merge_double(struct disk *d, struct disk_req *r);
void disk_merge_drained(struct disk *d); /* of the writes of an epoch */

/* disk_cbt.c */
bool disk_cbt_waits(struct disk *d,
                    struct disk_req *r); /* a write: taken until it may begin */
bool disk_cbt_busy(const struct disk *d);

/* disk_flush.c */
void disk_flush_init(struct disk *d);
void disk_flush_join(struct disk *d, struct disk_req *r); /* NULL: nobody waits */
bool disk_flush_owed(const struct disk *d);
void disk_flush_left(struct disk *d); /* the last of an epoch has ended */
#endif
