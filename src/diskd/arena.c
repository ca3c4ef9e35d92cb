/* SPDX-License-Identifier: Apache-2.0 */
/* First fit over a bitmap. Thread: the disk's. */
#include "diskd/arena.h"

#include <sys/mman.h>

#include "base/mem.h"

static bool is_used(const struct arena *a, size_t page)
{
    return (a->used[page / 64] >> (page % 64)) & 1;
}

static void mark(struct arena *a, size_t page, size_t n, bool used)
{
    for (size_t i = page; i < page + n; i++) {
        if (used)
            a->used[i / 64] |= UINT64_C(1) << (i % 64);
        else
            a->used[i / 64] &= ~(UINT64_C(1) << (i % 64));
    }
}

int arena_init(struct arena *a, size_t bytes)
{
    *a = (struct arena){ .n_pages = bytes / ARENA_PAGE };
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return -1;
    a->base = p;
    a->used = mem_array(a->n_pages / 64 + 1, sizeof(*a->used));
    return 0;
}

void arena_done(struct arena *a)
{
    if (a->base)
        (void)munmap(a->base, a->n_pages * ARENA_PAGE);
    free(a->used);
    *a = (struct arena){ 0 };
}

uint8_t *arena_take(struct arena *a, size_t len)
{
    size_t want = MAX((len + ARENA_PAGE - 1) / ARENA_PAGE, (size_t)1), run = 0;

    for (size_t i = a->lowest; i < a->n_pages; i++) {
        if (run == 0 && i % 64 == 0 && a->used[i / 64] == UINT64_MAX) {
            i += 63;
            continue;
        }
        if (is_used(a, i)) {
            run = 0;
            continue;
        }
        if (++run < want)
            continue;
        size_t first = i + 1 - want;
        mark(a, first, want, true);
        a->n_used += want;
        a->high = MAX(a->high, i + 1);
        if (first == a->lowest)
            a->lowest = i + 1;
        return a->base + first * ARENA_PAGE;
    }
    return NULL;
}

void arena_give(struct arena *a, uint8_t *p, size_t len)
{
    size_t n = MAX((len + ARENA_PAGE - 1) / ARENA_PAGE, (size_t)1);
    size_t first = (size_t)(p - a->base) / ARENA_PAGE;

    mark(a, first, n, false);
    a->n_used -= n;
    a->lowest = MIN(a->lowest, first);
}

void arena_trim(struct arena *a)
{
    if (a->n_used == 0 && a->high) {
        (void)madvise(a->base, a->high * ARENA_PAGE, MADV_DONTNEED);
        a->high = 0;
    }
}
