/* SPDX-License-Identifier: Apache-2.0 */
/* The collector: volumes that are no disk's any more (their intent is INNER) are put together with the one volume that
 * continues them, until chains are as short as disks and snapshots need. By itself, one merge at a time, on a thread of its
 * own; see gc.c for how and in which order. */
#ifndef OPS_GC_H
#define OPS_GC_H

#include "ops/storage.h"

int gc_init(struct err *err) MUST_CHECK; /* before any other call */
int gc_start(struct err *err) MUST_CHECK;
void gc_done(void);
/* Something may have become possible. Any thread, cheap. */
void gc_kick(void);

/* What is left to do in a repository. */
struct gc_debt {
    unsigned waiting;       /* volumes that are no disk's */
    unsigned mergeable;     /* of these: can be put together now or after a lease */
    uint64_t bytes;         /* that they hold */
    uint64_t merges, freed; /* since the start: done, and bytes given back by them */
    bool running;
    char problem[256]; /* of the last attempt; "" */
};

void gc_debt(const struct sr_handle *sr, struct gc_debt *out) EXCLUDES(db_mutex);
#endif
