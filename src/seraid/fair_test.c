/* SPDX-License-Identifier: Apache-2.0 */
#include "seraid/fair.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/test.h"

static int64_t now = 1000 * US_PER_SEC;

TEST(alone_nobody_rests)
{
    now += 10 * US_PER_SEC;
    for (int i = 0; i < 1000; i++, now += US_PER_MS)
        CHECK_INT(fair_charge("10.0.0.1", "greedy", 100 * US_PER_MS, now), 0);
}

TEST(the_greedy_rest_while_others_call)
{
    bool rested = false;
    int64_t rest = 0;

    now += 10 * US_PER_SEC;
    for (int i = 0; i < 1000; i++, now += US_PER_MS) {
        CHECK_INT(fair_charge("10.0.0.1", "modest", 10, now), 0);
        rest = fair_charge("10.0.0.1", "greedy", 100 * US_PER_MS, now);
        rested = rested || rest > 0;
        CHECK(rest <= US_PER_SEC);
    }
    CHECK(rested);
    now += rest
           + 1; /* then the bucket has something again: what is little is served at once */
    CHECK_INT(fair_charge("10.0.0.1", "modest", 10, now), 0);
    CHECK_INT(fair_charge("10.0.0.1", "greedy", 0, now), 0);
}

TEST(what_was_had_alone_is_not_owed)
{
    now += 10 * US_PER_SEC;
    for (int i = 0; i < 100; i++, now += US_PER_MS)
        CHECK_INT(fair_charge("10.0.0.1", "greedy", 100 * US_PER_MS, now), 0);
    CHECK_INT(fair_charge("10.0.0.1", "modest", 10, now), 0);
    CHECK(fair_charge("10.0.0.1", "greedy", 10, now) < US_PER_MS);
}

TEST(a_burst_is_everybodys)
{
    now += 10 * US_PER_SEC;
    CHECK_INT(fair_charge("10.0.0.2", NULL, 10, now), 0);
    CHECK_INT(fair_charge("10.0.0.1", "greedy", 18 * US_PER_MS, now), 0);
    CHECK(fair_charge("10.0.0.1", "greedy", 18 * US_PER_MS, now) > 0);
    now += 2 * US_PER_SEC;
    CHECK_INT(fair_charge("10.0.0.2", NULL, 10, now), 0);
    CHECK_INT(fair_charge("10.0.0.1", "greedy", 18 * US_PER_MS, now), 0);
}

TEST(callers_are_bounded)
{
    char name[32];

    now += 10 * US_PER_SEC;
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof(name), "10.1.%d.%d", i / 256, i % 256);
        CHECK_INT(fair_charge(name,
                              "a name far longer than any that would be kept whole, as "
                              "people may write there what they please, line after line "
                              "after line",
                              i % 2 ? 10 : 15 * US_PER_MS, now),
                  0);
    }
}
