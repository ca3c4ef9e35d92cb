/* SPDX-License-Identifier: Apache-2.0 */
#include "diskd/arena.h"

#include "base/test.h"

#define PAGES 130 /* more than two words of the bitmap, and no whole one */

static struct arena a;

static void start(void)
{
    CHECK_INT(arena_init(&a, (size_t)PAGES * ARENA_PAGE), 0);
}

TEST(pages_are_handed_out_lowest_first_and_come_back)
{
    uint8_t *p[PAGES];

    start();
    for (size_t i = 0; i < PAGES; i++) {
        p[i] = arena_take(&a, i % 2 ? 1 : ARENA_PAGE);
        CHECK(p[i] == a.base + i * ARENA_PAGE);
        p[i][ARENA_PAGE - 1] = 1;
    }
    CHECK(arena_take(&a, 1) == NULL);
    arena_give(&a, p[129], 1);
    arena_give(&a, p[7], 1);
    CHECK(arena_take(&a, 1) == p[7]);
    CHECK(arena_take(&a, 1) == p[129]);
    CHECK(arena_take(&a, 1) == NULL);
    for (size_t i = 0; i < PAGES; i++)
        arena_give(&a, p[i], 1);
    CHECK_INT(a.n_used, 0);
    arena_done(&a);
}

TEST(a_long_run_fits_only_where_it_is_whole)
{
    start();
    uint8_t *x = arena_take(&a, 64 * ARENA_PAGE), *y = arena_take(&a, ARENA_PAGE);
    uint8_t *z = arena_take(&a, 64 * ARENA_PAGE);

    CHECK(x && y && z);
    CHECK(arena_take(&a, 2 * ARENA_PAGE) == NULL);
    arena_give(&a, x, 64 * ARENA_PAGE);
    CHECK(arena_take(&a, 65 * ARENA_PAGE) == NULL);
    arena_give(&a, y, ARENA_PAGE);
    CHECK(arena_take(&a, 65 * ARENA_PAGE) == a.base);
    CHECK(arena_take(&a, (PAGES + 1) * ARENA_PAGE) == NULL);
    arena_done(&a);
}

TEST(trimmed_memory_is_zero_and_only_when_nothing_is_taken)
{
    start();
    uint8_t *p = arena_take(&a, 1);

    *p = 5;
    arena_trim(&a);
    CHECK_INT(*p, 5);
    arena_give(&a, p, 1);
    arena_trim(&a);
    CHECK(arena_take(&a, 1) == p);
    CHECK_INT(*p, 0);
    arena_done(&a);
}
