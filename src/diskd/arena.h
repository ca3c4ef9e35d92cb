/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of requests under way: one mapping of fixed size, handed out in whole pages, lowest first so
 * that a light load stays in few of them. Thread: the disk's. */
#ifndef DISKD_ARENA_H
#define DISKD_ARENA_H

#include "base/util.h"

#define ARENA_PAGE 4096

struct arena {
    uint8_t *base;
    size_t n_pages, n_used, lowest; /* below lowest nothing is free */
    size_t high;                    /* pages touched since arena_trim */
    uint64_t *used;                 /* a bit per page */
};

int arena_init(struct arena *a, size_t bytes) MUST_CHECK; /* errno */
void arena_done(struct arena *a);
/* Page-aligned; NULL: not now. Longer than the arena: never. */
uint8_t *arena_take(struct arena *a, size_t len);
void arena_give(struct arena *a, uint8_t *p, size_t len); /* the same len */
void arena_trim(
    struct arena *a); /* when nothing is taken: give the memory back to the system */
#endif
