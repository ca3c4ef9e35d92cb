/* SPDX-License-Identifier: Apache-2.0 */
/* The engine of one disk: requests in, the library's plans carried out on a loop, answers out. Front ends
 * (NBD, later vhost-user) put requests in and know nothing of images. A write is answered when its data is
 * on the device; what the format owes for it comes with the next flush. Any number of requests may be
 * under way, in any order; a flush covers what was answered before it came. Nothing here blocks, and
 * nothing is allocated per request. Thread: the disk's loop. */
#ifndef DISKD_DISK_H
#define DISKD_DISK_H

#include "diskd/aio.h"
#include "vhd/vhd_chain.h"

enum disk_kind { DISK_READ, DISK_WRITE, DISK_ZERO, DISK_FLUSH, DISK_STATUS };

struct disk_extent {
    uint64_t len;
    bool hole; /* reads as zeros, takes no space */
};

struct disk_req {
    /* In the loop; error is set. It must not submit at once more than it was told of. */
    void (*done)(struct disk_req *r);
    enum disk_kind kind;
    bool fua;
    uint64_t offset, len; /* whole sectors; not for DISK_FLUSH */
    uint8_t *buf;         /* page-aligned; DISK_WRITE with NULL: zeros that take space */
    struct disk_extent *extents; /* DISK_STATUS: as many as there is room for */
    size_t n_extents, max_extents;
    int error; /* 0 or an errno */
    /* The engine's own. */
    struct list link;
    uint64_t pos;
    uint32_t n_pieces;
    bool planned, main_ended;
    bool again; /* it was stopped, and tries once more */
    uint8_t epoch;
    struct disk_twin *twin; /* the same write elsewhere, see disk_merge.c */
};

struct disk_policy {
    bool
        stop_enospc; /* hold requests until disk_resume, or until there is room; else report */
    bool stop_eio;
};

struct disk_stats {
    uint64_t reads, read_bytes, writes, write_bytes, zeros, zero_bytes, flushes, errors;
    uint64_t syncs, map_loads, space_steps, space_stalls;
    uint64_t inflight; /* now */
    uint64_t limited;  /* had to wait for their turn */
};

struct disk;
struct disk_journal;
typedef void (*disk_fn)(void *arg);

/* chain: given; its leaf open for writing or not. */
struct disk *disk_new(struct aio *a, struct vhd_chain *chain,
                      const struct disk_policy *policy);
/* Before the first request. From then on what is answered outlives the process. Borrowed. */
void disk_set_journal(struct disk *d, struct disk_journal *j);
/* Nothing is under way. The chain is given back: the caller finishes or closes it. */
struct vhd_chain *disk_free(struct disk *d);
void disk_submit(struct disk *d, struct disk_req *r); /* may call done at once */
uint64_t disk_bytes(const struct disk *d);
bool disk_writable(const struct disk *d);
const struct disk_stats *disk_stats(const struct disk *d);

/* Hold new requests, wait for those under way, flush; then fn. One at a time. error tells of the flush. */
void disk_hold(struct disk *d, disk_fn fn, void *arg);
int disk_hold_error(const struct disk *d);
void disk_release(struct disk *d);
/* While held: the chain has another depth or size now (vhd_chain_push, _drop, vhd_resize). */
void disk_changed(struct disk *d);
struct vhd_chain *disk_chain(struct disk *d); /* borrowed; touch it while held only */

/* fn when requests are stopped by the policy (disk_stopped: the errno), and when all of those have gone on (0): a vain attempt
 * is not told of. */
void disk_on_stop(struct disk *d, disk_fn fn, void *arg);
int disk_stopped(const struct disk *d);
void disk_resume(struct disk *d);
void disk_give_up(struct disk *d); /* report what is stopped, and from now on all errors */
/* From now on. */
void disk_set_policy(struct disk *d, const struct disk_policy *p);
void disk_set_limit(struct disk *d, uint64_t iops, uint64_t bytes); /* a second; 0: none */
/* When requests wait for their turn: until then (INT64_MAX: none waits), and that they may go on. */
int64_t disk_limit_waits(const struct disk *d);
void disk_limit_turn(struct disk *d);
/* About once a second: metadata of a disk at rest is written, stopped requests are tried again. */
void disk_tick(struct disk *d);
#endif
