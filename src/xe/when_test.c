/* SPDX-License-Identifier: Apache-2.0 */
#include "xe/when.h"

#include "base/clock.h"
#include "base/test.h"

TEST(moments)
{
    static const struct {
        const char *text, *want; /* NULL: refused */
    } rows[] = {
        { "now", "2026-01-31T12:00:00.500000Z" },
        { "yesterday", "2026-01-30T12:00:00.500000Z" },
        { "2 hours ago", "2026-01-31T10:00:00.500000Z" },
        { "2h ago", "2026-01-31T10:00:00.500000Z" },
        { "an hour ago", "2026-01-31T11:00:00.500000Z" },
        { "1 day ago", "2026-01-30T12:00:00.500000Z" },
        { "90 minutes ago", "2026-01-31T10:30:00.500000Z" },
        { "2 weeks ago", "2026-01-17T12:00:00.500000Z" },
        { "2026-01-31", "2026-01-31T00:00:00.000000Z" },
        { "2026-01-31 10:15", "2026-01-31T10:15:00.000000Z" },
        { "2026-01-31 10:15:30", "2026-01-31T10:15:30.000000Z" },
        { "2026-01-31T10:15:30Z", "2026-01-31T10:15:30.000000Z" },
        { "2026-01-31T10:15:30.25Z", "2026-01-31T10:15:30.250000Z" },
        { "20260131T10:15:30Z", "2026-01-31T10:15:30.000000Z" },
        { "", NULL },
        { "soon", NULL },
        { "2 fortnights ago", NULL },
        { "-2 hours ago", NULL },
        { "hours ago", NULL },
        { "99999999999 years ago", NULL },
        { "2026-02-30", NULL },
    };

    int64_t now;
    CHECK(clock_parse_iso("2026-01-31T12:00:00.5Z", &now));
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO(free_str) char *got = when_text(rows[i].text, now);
        if (!rows[i].want && got)
            test_fail(__FILE__, __LINE__, "'%s' is %s", rows[i].text, got);
        if (rows[i].want)
            CHECK_STR(got, rows[i].want);
    }
}
