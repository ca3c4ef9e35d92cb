/* SPDX-License-Identifier: Apache-2.0 */
#include "base/uuid.h"

#include "base/test.h"

TEST(new_ones_are_version_4_and_differ)
{
    char last[UUID_TEXT_SIZE] = "";
    for (int i = 0; i < 100; i++) {
        struct uuid u = uuid_new(), back;
        char text[UUID_TEXT_SIZE];
        uuid_text(&u, text);
        CHECK_INT(strlen(text), 36);
        CHECK(text[14] == '4' && strchr("89ab", text[19]));
        CHECK(strcmp(text, last) != 0);
        CHECK(uuid_parse(text, &back));
        CHECK(memcmp(&u, &back, sizeof(u)) == 0);
        memcpy(last, text, sizeof(text));
    }
}

TEST(parses)
{
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        { "01234567-89ab-cdef-0123-456789abcdef", true },
        { "01234567-89AB-CDEF-0123-456789ABCDEF", true },
        { "", false },
        { "0123456789abcdef0123456789abcdef", false },
        { "01234567-89ab-cdef-0123-456789abcde", false },
        { "01234567-89ab-cdef-0123-456789abcdef0", false },
        { "01234567-89ab-cdef-0123-456789abcdeg", false },
        { "01234567089ab-cdef-0123-456789abcdef", false },
        { "0123456--89ab-cdef-0123-456789abcdef", false },
        { "{1234567-89ab-cdef-0123-456789abcde}", false },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct uuid u = { { 0xaa } };
        CHECK_INT(uuid_parse(cases[i].text, &u), cases[i].good);
        CHECK_INT(u.b[0], cases[i].good ? 0x01 : 0xaa); /* written on success only */
        if (cases[i].good) {
            char text[UUID_TEXT_SIZE];
            uuid_text(&u, text);
            CHECK_STR(text, cases[0].text);
        }
    }
}

TEST(random_bytes_fills_all)
{
    uint8_t p[1000] = { 0 };
    random_bytes(p, sizeof(p) - 1);
    size_t zeros = 0;
    for (size_t i = 0; i < sizeof(p) - 1; i++)
        zeros += p[i] == 0;
    CHECK(zeros < 30); /* 4 expected */
    CHECK_INT(p[sizeof(p) - 1], 0);
    random_bytes(p, 0);
}
