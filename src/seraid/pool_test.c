/* SPDX-License-Identifier: Apache-2.0 */
#include "seraid/pool.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/test.h"

/* A gate that jobs wait at, and a count of those that have arrived. */
static struct {
    struct mutex m;
    struct cond c;
    bool open;
    size_t waiting, done, refused;
} gate = { .m = MUTEX_INIT };

static void gate_reset(void)
{
    cond_init(&gate.c);
    gate.open = false;
    gate.waiting = gate.done = gate.refused = 0;
}

static void wait_at_gate(void *arg)
{
    bool blocked = arg && pool_blocked_begin();

    mutex_lock(&gate.m);
    gate.waiting++;
    if (arg && !blocked)
        gate.refused++;
    cond_broadcast(&gate.c);
    while (!gate.open)
        cond_wait(&gate.c, &gate.m);
    gate.done++;
    mutex_unlock(&gate.m);
    if (blocked)
        pool_blocked_end();
}

static bool wait_count(size_t *count, size_t want)
{
    int64_t until = clock_now_us() + 20 * US_PER_SEC;
    bool ok;

    mutex_lock(&gate.m);
    while (*count < want && cond_wait_until(&gate.c, &gate.m, until))
        ;
    ok = *count >= want;
    mutex_unlock(&gate.m);
    return ok;
}

static void open_gate(void)
{
    mutex_lock(&gate.m);
    gate.open = true;
    cond_broadcast(&gate.c);
    mutex_unlock(&gate.m);
}

TEST(all_jobs_run)
{
    struct pool *p = pool_new("test", 4, 8);

    gate_reset();
    open_gate();
    for (int i = 0; i < 200; i++)
        pool_submit(p, wait_at_gate, NULL);
    CHECK(pool_drain(p, clock_now_us() + 20 * US_PER_SEC));
    CHECK_INT(gate.done, 200);
    CHECK(pool_threads(p) <= 4);
    pool_free(p);
}

TEST(active_jobs_are_bounded)
{
    struct pool *p = pool_new("test", 3, 64);

    gate_reset();
    for (int i = 0; i < 10; i++)
        pool_submit(p, wait_at_gate, NULL);
    CHECK(wait_count(&gate.waiting, 3));
    CHECK_INT(pool_threads(p), 3);
    CHECK(!pool_drain(p, clock_now_us()));
    open_gate();
    pool_free(p);
    CHECK_INT(gate.done, 10);
}

TEST(blocked_jobs_give_their_place)
{
    struct pool *p = pool_new("test", 1, 64);

    gate_reset();
    for (int i = 0; i < 20; i++)
        pool_submit(p, wait_at_gate, &gate);
    CHECK(wait_count(&gate.waiting, 20)); /* all at once, although one may compute */
    open_gate();
    CHECK(pool_drain(p, clock_now_us() + 20 * US_PER_SEC));
    pool_free(p);
    CHECK_INT(gate.refused, 0);
}

TEST(waiting_leaves_threads_for_others)
{
    struct pool *p = pool_new("test", 1, 16);

    gate_reset();
    for (int i = 0; i < 14; i++)
        pool_submit(p, wait_at_gate, &gate);
    CHECK(wait_count(&gate.waiting, 14));
    CHECK(wait_count(&gate.refused, 0));
    pool_submit(p, wait_at_gate, &gate); /* the fifteenth: 14 = 16 - 2 may wait */
    CHECK(wait_count(&gate.refused, 1));
    open_gate();
    pool_free(p);
    CHECK_INT(gate.done, 15);
}

/* Jobs to fetch: each waits at the gate; then there are no more. */
static struct {
    struct mutex m;
    size_t left;
} source = { .m = MUTEX_INIT };

static bool fetch_one(void *declared)
{
    bool more;

    mutex_lock(&source.m);
    more = source.left > 0;
    source.left -= more;
    mutex_unlock(&source.m);
    if (more)
        wait_at_gate(declared);
    return more;
}

TEST(fetched_jobs_are_bounded)
{
    struct pool *p = pool_new("test", 3, 64);

    gate_reset();
    source.left = 10;
    pool_fetch(p, fetch_one, NULL);
    CHECK(wait_count(&gate.waiting, 3));
    CHECK_INT(pool_threads(p), 3);
    CHECK(!pool_drain(p, clock_now_us()));
    open_gate();
    CHECK(pool_drain(p, clock_now_us() + 20 * US_PER_SEC));
    pool_free(p);
    CHECK_INT(gate.done, 10);
}

TEST(fetched_jobs_that_wait_give_their_place)
{
    struct pool *p = pool_new("test", 2, 64);

    gate_reset();
    source.left = 20;
    pool_fetch(p, fetch_one, &gate);
    CHECK(wait_count(&gate.waiting, 20));
    open_gate();
    CHECK(pool_drain(p, clock_now_us() + 20 * US_PER_SEC));
    pool_free(p);
    CHECK_INT(gate.done, 20);
    CHECK_INT(gate.refused, 0);
}

static void nest(void *arg UNUSED)
{
    bool outer = pool_blocked_begin(), inner = pool_blocked_begin();

    if (inner)
        pool_blocked_end();
    wait_at_gate(NULL); /* still declared */
    if (outer)
        pool_blocked_end();
}

TEST(waits_nest)
{
    struct pool *p = pool_new("test", 1, 64);

    gate_reset();
    for (int i = 0; i < 5; i++)
        pool_submit(p, nest, NULL);
    CHECK(wait_count(&gate.waiting, 5));
    open_gate();
    pool_free(p);
}

TEST(outside_of_a_pool)
{
    CHECK(pool_blocked_begin());
    pool_blocked_end();
}
