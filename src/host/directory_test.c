/* SPDX-License-Identifier: Apache-2.0 */
/* The pure parts; what talks to a server is tested with one (tests/api/test_directory.py). */
#include "host/directory.h"

#include "api/errors.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/test.h"

TEST(filters_hold_values_only)
{
    static const char *const cases[][2] = {
        { "joe", "joe" },
        { "*", "\\2a" },
        { "a)(uid=*", "a\\29\\28uid=\\2a" },
        { "x\\y", "x\\5cy" },
        { "J\xc3\xb6", "J\\c3\\b6" },
        { "a\nb", "a\\0ab" },
        { "", "" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(free_str) char *text = directory_escape(cases[i][0]);
        CHECK_STR(text, cases[i][1]);
    }
}

TEST(security_identifiers)
{
    static const uint8_t admin[] = { 1, 5, 0, 0, 0, 0, 0,   5,   21,  0,   0,   0, 1, 0,
                                     0, 0, 2, 1, 0, 0, 255, 255, 255, 255, 244, 1, 0, 0 };
    AUTO(free_str) char *text = directory_sid_text(admin, sizeof(admin));
    CHECK_STR(text, "S-1-5-21-1-258-4294967295-500");
    for (size_t n = 0; n < sizeof(admin); n++)
        CHECK(directory_sid_text(admin, n) == NULL);
    CHECK(directory_sid_text((const uint8_t *)"\2\0\0\0\0\0\0\5", 8) == NULL);
}

TEST(nobody_answers)
{
    const struct directory_config c = { .uri = "ldapi://%2fnonexistent%2fsocket",
                                        .base = "dc=x",
                                        .user_attribute = "uid",
                                        .id_attribute = "entryUUID",
                                        .member_attribute = "member",
                                        .timeout_us = 5 * US_PER_SEC };
    struct err err = { 0 };
    struct directory_entry e = { 0 };
    bool found = true;
    CHECK(directory_probe(&c, &err) < 0);
    CHECK_STR(err.code, ERR_AUTH_ENABLE_FAILED_UNAVAILABLE);
    err_done(&err);
    CHECK(directory_login(&c, "joe", "pw", &e, &found, &err) < 0);
    CHECK_STR(err.code, ERR_AUTH_SERVICE_ERROR);
    CHECK(!found);
    err_done(&err);
}
