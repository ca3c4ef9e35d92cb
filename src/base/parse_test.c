/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parse.h"

#include <math.h>

#include "base/test.h"

TEST(signed_integers)
{
    static const struct {
        const char *text;
        bool good;
        int64_t value;
    } cases[] = {
        { "0", true, 0 },
        { "-0", true, 0 },
        { "+7", true, 7 },
        { "007", true, 7 },
        { "9223372036854775807", true, INT64_MAX },
        { "-9223372036854775808", true, INT64_MIN },
        { "9223372036854775808", false, 0 },
        { "-9223372036854775809", false, 0 },
        { "18446744073709551616", false, 0 },
        { "99999999999999999999999", false, 0 },
        { "", false, 0 },
        { "-", false, 0 },
        { "+-1", false, 0 },
        { " 1", false, 0 },
        { "1 ", false, 0 },
        { "1x", false, 0 },
        { "0x10", false, 0 },
        { "1.0", false, 0 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t v = 42;
        CHECK_INT(parse_i64(cases[i].text, &v), cases[i].good);
        CHECK_INT(v, cases[i].good ? cases[i].value : 42);
    }
}

TEST(unsigned_integers)
{
    uint64_t v = 0;
    CHECK(parse_u64("18446744073709551615", &v) && v == UINT64_MAX);
    CHECK(!parse_u64("18446744073709551616", &v));
    CHECK(!parse_u64("-1", &v) && !parse_u64("+1", &v) && !parse_u64("", &v));
    CHECK(v == UINT64_MAX);
}

TEST(ranges)
{
    int64_t v = 0;
    CHECK(parse_range("5", 5, 7, &v) && v == 5);
    CHECK(parse_range("7", 5, 7, &v) && v == 7);
    CHECK(!parse_range("4", 5, 7, &v) && !parse_range("8", 5, 7, &v));
    CHECK(parse_range("-3", -3, 0, &v) && v == -3);
}

TEST(doubles)
{
    double v = 0;
    CHECK(parse_double("0.5", &v) && v > 0.49 && v < 0.51);
    CHECK(parse_double("-1e3", &v) && v < -999 && v > -1001);
    CHECK(parse_double("nan", &v) && isnan(v));
    CHECK(parse_double("NaN", &v) && isnan(v));
    CHECK(parse_double("-inf", &v) && isinf(v) && v < 0);
    CHECK(parse_double("Infinity", &v) && isinf(v) && v > 0);
    static const char *const bad[] = { "",    " 1", "1 ",     "0x10",  "1,5",  "e", "-",
                                       "--1", "1e", "nan(1)", "1.2.3", "infx", "+" };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        v = 42;
        if (parse_double(bad[i], &v) || v < 42 || v > 42)
            test_fail(__FILE__, __LINE__, "took \"%s\"", bad[i]);
    }
}

TEST(booleans)
{
    bool v = false;
    CHECK(parse_bool("True", &v) && v);
    CHECK(parse_bool("0", &v) && !v);
    CHECK(parse_bool("YES", &v) && v);
    CHECK(parse_bool("no", &v) && !v);
    CHECK(!parse_bool("", &v) && !parse_bool("2", &v) && !parse_bool("y", &v)
          && !parse_bool("true ", &v));
}

TEST(sizes)
{
    static const struct {
        const char *text;
        bool good;
        uint64_t bytes;
    } cases[] = {
        { "0", true, 0 },
        { "8388608", true, 8388608 },
        { "8MiB", true, 8388608 },
        { "10 MiB", true, 10485760 },
        { "2GiB", true, UINT64_C(2) << 30 },
        { "1KiB", true, 1024 },
        { "3TiB", true, UINT64_C(3) << 40 },
        { "12 bytes", true, 12 },
        { "16777215TiB", true, UINT64_C(16777215) << 40 },
        { "16777216TiB", false, 0 },
        { "", false, 0 },
        { "MiB", false, 0 },
        { "1 ", false, 0 },
        { "1  MiB", false, 0 },
        { "-1MiB", false, 0 },
        { "1MB", false, 0 },
        { "1.5GiB", false, 0 },
        { "1MiB2", false, 0 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t v = 42;
        bool good = parse_size(cases[i].text, &v);
        if (good != cases[i].good || v != (good ? cases[i].bytes : 42))
            test_fail(__FILE__, __LINE__, "\"%s\": %d, %ju", cases[i].text, good,
                      (uintmax_t)v);
    }
}

TEST(utf8)
{
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        { "", true },
        { "plain", true },
        { "\x7f", true },
        { "\xc2\x80", true },
        { "\xdf\xbf", true },
        { "\xe0\xa0\x80", true },
        { "\xed\x9f\xbf", true },
        { "\xee\x80\x80", true },
        { "\xef\xbf\xbf", true },
        { "\xf0\x90\x80\x80", true },
        { "\xf4\x8f\xbf\xbf", true },
        { "\x80", false },
        { "\xbf", false },
        { "\xc0\x80", false }, /* longer than needed */
        { "\xc1\xbf", false },
        { "\xe0\x9f\xbf", false },
        { "\xf0\x8f\xbf\xbf", false },
        { "\xed\xa0\x80", false }, /* half of a surrogate pair */
        { "\xed\xbf\xbf", false },
        { "\xf4\x90\x80\x80", false }, /* beyond U+10FFFF */
        { "\xf5\x80\x80\x80", false },
        { "\xff", false },
        { "\xc2", false }, /* cut off */
        { "\xe2\x82", false },
        { "\xf0\x90\x80", false },
        { "\xc2z", false },
        { "\xe2\x82z", false },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        if (utf8_valid(cases[i].text, strlen(cases[i].text)) != cases[i].good)
            test_fail(__FILE__, __LINE__, "case %zu", i);
    }
    CHECK(!utf8_valid("a\0b", 3));
}

TEST(byte_orders)
{
    const uint8_t p[8] = { 1, 2, 3, 4, 0xf5, 6, 7, 0xf8 };
    CHECK(le16(p) == 0x0201 && be16(p) == 0x0102);
    CHECK(le32(p + 4) == 0xf80706f5 && be32(p + 4) == 0xf50607f8);
    CHECK(be64(p) == UINT64_C(0x01020304f50607f8));
    uint8_t out[8];
    put_be64(out, be64(p));
    CHECK(memcmp(out, p, 8) == 0);
}
