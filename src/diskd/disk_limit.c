/* SPDX-License-Identifier: Apache-2.0 */
/* See disk_limit.h. Thread: the disk's. */
#include "diskd/disk_limit.h"

#include "base/clock.h"

void disk_limit_set(struct disk_limit *l, uint64_t iops, uint64_t bytes)
{
    *l = (struct disk_limit){ .iops = iops, .bytes = bytes };
}

int64_t disk_limit_due(const struct disk_limit *l)
{
    return MAX(l->next_us[0], l->next_us[1]);
}

static void run_ahead(int64_t *next_us, uint64_t n, uint64_t per_second, int64_t now_us)
{
    if (per_second == 0)
        return;
    uint64_t whole = n / per_second, part = n % per_second;
    *next_us = MAX(*next_us, now_us - DISK_LIMIT_BURST_US) + (int64_t)whole * US_PER_SEC
               + (int64_t)(part * (uint64_t)US_PER_SEC / per_second);
}

void disk_limit_take(struct disk_limit *l, uint64_t len, int64_t now_us)
{
    run_ahead(&l->next_us[0], 1, l->iops, now_us);
    run_ahead(&l->next_us[1], len, l->bytes, now_us);
}
