/* SPDX-License-Identifier: Apache-2.0 */
#include "model/guess.h"

#include "api/errors.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/test.h"

#define HOUR (3600 * US_PER_SEC)

static void start(int64_t step_us)
{
    struct guess_limits l = GUESS_LIMITS;
    l.step_us = step_us;
    l.most_us = 8 * step_us;
    l.forget_us = HOUR;
    guess_set_limits(&l);
}

static void fail(const char *user, const char *address, int times)
{
    while (times-- > 0)
        guess_failed(user, address);
}

TEST(each_failure_doubles_the_wait_up_to_a_limit)
{
    static const struct {
        int failures;
        int64_t hours;
    } rows[] = { { 5, 0 }, { 6, 1 }, { 7, 2 }, { 8, 4 }, { 9, 8 }, { 10, 8 }, { 400, 8 } };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        start(HOUR);
        fail("root", "10.0.0.1", rows[i].failures);
        int64_t us = guess_wait_us("root", "10.0.0.1");
        CHECK(us <= rows[i].hours * HOUR && us > rows[i].hours * HOUR - HOUR / 2 - 1);
    }
}

TEST(only_that_user_from_that_address)
{
    start(HOUR);
    fail("root", "10.0.0.1", 100);
    CHECK(guess_wait_us("root", "10.0.0.1") > 0);
    CHECK_INT(guess_wait_us("root", "10.0.0.2"), 0);
    CHECK_INT(guess_wait_us("root", NULL), 0);
    CHECK_INT(guess_wait_us("ann", "10.0.0.1"), 0);
    CHECK(guess_wait("root", "10.0.0.2", NULL) == 0); /* at once, or this test never ends */
    CHECK(guess_wait("ann", "10.0.0.1", NULL) == 0);
    guess_right("root", "10.0.0.2");
    CHECK(guess_wait_us("root", "10.0.0.1")
          > 0); /* somebody else's success forgives nothing */
    guess_right("root", "10.0.0.1");
    CHECK_INT(guess_wait_us("root", "10.0.0.1"), 0);
}

TEST(old_failures_are_forgotten)
{
    struct guess_limits l = GUESS_LIMITS;
    l.forget_us = -1;
    guess_set_limits(&l);
    fail("root", "10.0.0.1", 100);
    CHECK_INT(guess_wait_us("root", "10.0.0.1"), 0);
    CHECK(guess_wait("root", "10.0.0.1", NULL) == 0);
}

TEST(many_names_push_out_others_only)
{
    start(HOUR);
    fail("victim", "10.0.0.1", 10);
    for (int i = 0; i < 20000; i++) {
        AUTO(free_str) char *name = str_fmt("user%d", i);
        guess_failed(name, "10.6.6.6");
        if (i % 10 == 0) /* who goes on guessing stays known */
            guess_failed("victim", "10.0.0.1");
    }
    CHECK(guess_wait_us("victim", "10.0.0.1") > 0);
}

static void *wait_once(void *arg)
{
    (void)arg;
    CHECK(guess_wait("root", "10.0.0.1", NULL) == 0);
    return NULL;
}

TEST(waiting_takes_turns)
{
    pthread_t threads[4];
    int64_t step = 20 * US_PER_MS, began = clock_now_us();
    start(step);
    fail("root", "10.0.0.1", 6);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        CHECK(thread_start(&threads[i], "wait", 0, wait_once, NULL) == 0);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        (void)pthread_join(threads[i], NULL);
    /* The last one's turn came after those of the others, unless a loaded machine let turns pass before it asked. */
    printf("# %lld us for four\n", (long long)(clock_now_us() - began));
    CHECK(clock_now_us() - began >= step);
}

TEST(not_too_many_wait)
{
    struct guess_limits l = GUESS_LIMITS;
    struct err err = { 0 };
    l.most_waiting = 0;
    guess_set_limits(&l);
    CHECK(guess_wait("root", "10.0.0.1", NULL) == 0); /* nothing is known of it */
    fail("root", "10.0.0.1", 1);
    CHECK(guess_wait("root", "10.0.0.1", &err) < 0);
    CHECK_STR(err.code, ERR_TOO_BUSY);
    err_done(&err);
}
