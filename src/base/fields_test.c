/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fields.h"

#include "base/mem.h"
#include "base/test.h"

TEST(what_is_written_is_read)
{
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    struct field f[4];
    size_t n = 0;

    fields_add(&b, "verb", "a");
    fields_add(&b, "arg", "x=y=\n,");
    fields_add(&b, "arg", "");
    fields_add_u64(&b, "n", UINT64_MAX);
    CHECK(fields_parse(b.data, b.len, f, ARRAY_SIZE(f), &n));
    CHECK_INT(n, 4);
    CHECK_STR(f[0].name, "verb");
    CHECK_STR(f[1].value, "x=y=\n,");
    CHECK_STR(f[2].value, "");
    CHECK_STR(fields_get(f, n, "arg"), "x=y=\n,");
    CHECK_STR(fields_get(f, n, "n"), "18446744073709551615");
    CHECK(!fields_get(f, n, "ar"));
}

TEST(what_is_not_a_block_is_refused)
{
    static const struct {
        const char *text;
        size_t len;
    } bad[] = {
        { "", 0 },        { "a=b", 3 },      { "\0", 1 },           { "a\0", 2 },
        { "=b\0", 3 },    { "A=b\0", 4 },    { "a b=c\0", 6 },      { "a=b\0c", 5 },
        { "a=b\0\0", 5 }, { "a\0b=c\0", 6 }, { "a=\0a=\0a=\0", 9 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct field f[2];
        size_t n;
        AUTO(free_ptr) char *copy = mem_alloc(bad[i].len + 1);

        memcpy(copy, bad[i].text, bad[i].len);
        CHECK(!fields_parse(copy, bad[i].len, f, ARRAY_SIZE(f), &n));
    }
}
