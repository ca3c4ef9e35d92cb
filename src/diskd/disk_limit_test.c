/* SPDX-License-Identifier: Apache-2.0 */
#include "diskd/disk_limit.h"

#include "base/clock.h"
#include "base/test.h"

/* How many of len get through in a time, asked as fast as they may. */
static uint64_t in_time(struct disk_limit *l, uint64_t len, int64_t from, int64_t until)
{
    uint64_t n = 0;

    while (MAX(disk_limit_due(l), from) < until) {
        from = MAX(disk_limit_due(l), from);
        disk_limit_take(l, len, from);
        n++;
    }
    return n;
}

TEST(as_much_as_is_said)
{
    static const struct {
        uint64_t iops, bytes, len, want; /* of 10 seconds */
    } rows[] = {
        { 100, 0, 4096, 1000 },
        { 0, 1 << 20, 4096, 2560 },
        { 100, 1 << 20, 4096, 1000 },
        { 100, 1 << 20, 1 << 20, 10 },
        { 1, 0, 512, 10 },
        { 0, 1 << 20, 32 << 20, 1 },
        { 1000000, 0, 4096, 10000000 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct disk_limit l;
        disk_limit_set(&l, rows[i].iops, rows[i].bytes);
        uint64_t n = in_time(&l, rows[i].len, US_PER_SEC, 11 * US_PER_SEC);
        uint64_t burst = rows[i].want / 100 + 2;
        CHECK(n >= rows[i].want && n <= rows[i].want + burst);
    }
}

TEST(no_limit_is_none)
{
    struct disk_limit l;
    disk_limit_set(&l, 0, 0);
    disk_limit_take(&l, UINT64_MAX, 5);
    CHECK_INT(disk_limit_due(&l), 0);
}

TEST(rest_is_not_saved_up)
{
    struct disk_limit l;
    disk_limit_set(&l, 100, 0);
    CHECK(in_time(&l, 512, 100 * US_PER_SEC, 101 * US_PER_SEC) <= 107);
    CHECK(in_time(&l, 512, 1000 * US_PER_SEC, 1001 * US_PER_SEC) <= 107);
}
