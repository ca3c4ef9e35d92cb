/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "base/test.h"
#include "diskd/control.h"

static struct control_message m;
static char text[CONTROL_MESSAGE_MAX + 8];

static bool parse(const char *s)
{
    memcpy(text, s, strlen(s) + 1);
    return control_parse(text, strlen(s), &m);
}

TEST(lines_become_pairs)
{
    CHECK(parse("open\nid=a\ntag=t=1\npath=/x y=z\nempty=\n"));
    CHECK_STR(m.verb, "open");
    CHECK_STR(m.tag, "t=1");
    CHECK_INT(m.n, 3);
    CHECK_STR(m.pair[0].key, "id");
    CHECK_STR(m.pair[1].value, "/x y=z");
    CHECK_STR(m.pair[2].value, "");
    CHECK(parse("quit"));
    CHECK(!m.tag && m.n == 0);
}

TEST(what_is_not_of_that_form_is_refused)
{
    static const char *const bad[] = { "", "\n", "\nid=a", "open\nid", "open\n=a" };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (parse(bad[i]))
            test_fail(__FILE__, __LINE__, "accepted: %s", bad[i]);
    text[0] = text[2] = 'a';
    text[1] = 0;
    CHECK(!control_parse(text, 3, &m));
    memset(text, 'a', sizeof(text));
    CHECK(!control_parse(text, CONTROL_MESSAGE_MAX, &m));
    CHECK(control_parse(text, CONTROL_MESSAGE_MAX - 1, &m));
}

TEST(too_many_pairs_are_refused)
{
    AUTO(free_str) char *s = str_dup("v");

    for (int i = 0; i <= CONTROL_PAIRS_MAX; i++) {
        char *longer = str_fmt("%s\nk=v", s);
        CHECK(i == 0 || parse(s));
        free(s);
        s = longer;
    }
    CHECK(!parse(s));
}
