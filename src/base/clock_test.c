/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include "base/test.h"

TEST(writes_dates)
{
    static const struct {
        int64_t us;
        const char *text;
    } cases[] = {
        { 0, "19700101T00:00:00Z" },
        { 1, "19700101T00:00:00Z" },
        { -1, "19691231T23:59:59Z" },
        { INT64_C(951782400) * US_PER_SEC, "20000229T00:00:00Z" },
        { INT64_C(1767225599) * US_PER_SEC + 999999, "20251231T23:59:59Z" },
        { INT64_C(253402300799) * US_PER_SEC, "99991231T23:59:59Z" },
        { INT64_MAX, "99991231T23:59:59Z" },
        { INT64_MIN, "00000101T00:00:00Z" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[20];
        clock_iso(cases[i].us, text);
        CHECK_STR(text, cases[i].text);
    }
}

TEST(reads_dates)
{
    static const struct {
        const char *text;
        int64_t us;
    } cases[] = {
        { "19700101T00:00:00Z", 0 },
        { "19700101T00:00:00", 0 },
        { "1970-01-01T00:00:01Z", US_PER_SEC },
        { "2000-02-29T00:00:00Z", INT64_C(951782400) * US_PER_SEC },
        { "20251231T23:59:59.999999Z", INT64_C(1767225599) * US_PER_SEC + 999999 },
        { "20251231T23:59:59.5", INT64_C(1767225599) * US_PER_SEC + 500000 },
        { "19700101T00:00:00.0000019Z", 1 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t us = -5;
        CHECK(clock_parse_iso(cases[i].text, &us));
        CHECK_INT(us, cases[i].us);
    }
}

TEST(refuses_what_is_no_date)
{
    static const char *const cases[] = {
        "",
        "1970",
        "19700101",
        "19700101T",
        "19700101T00:00",
        "19700101T00:00:0",
        "19700101T00:00:00ZZ",
        "19700101T00:00:00 ",
        " 19700101T00:00:00",
        "19701301T00:00:00Z",
        "19700001T00:00:00Z",
        "19700132T00:00:00Z",
        "19000229T00:00:00Z",
        "20250229T00:00:00Z",
        "19700101T24:00:00Z",
        "19700101T00:60:00Z",
        "19700101T00:00:61Z",
        "1970-0101T00:00:00Z",
        "197001-01T00:00:00Z",
        "19700101T00:00:00.Z",
        "+9700101T00:00:00Z",
        "19700101t00:00:00Z",
        "19700101T-1:00:00Z",
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t us = -5;
        if (clock_parse_iso(cases[i], &us))
            test_fail(__FILE__, __LINE__, "took \"%s\"", cases[i]);
        CHECK_INT(us, -5);
    }
}

TEST(every_day_round_trips)
{
    for (int64_t day = -150000; day < 300000; day += 7) {
        int64_t want = (day * 86400 + 12345) * US_PER_SEC, got;
        char text[20];
        clock_iso(want, text);
        CHECK(clock_parse_iso(text, &got));
        CHECK_INT(got, want);
    }
}

TEST(clocks_run)
{
    int64_t a = clock_now_us(), b = clock_now_us();
    CHECK(b >= a && a > 0);
    CHECK(clock_wall_us() > INT64_C(1600000000) * US_PER_SEC);
}
