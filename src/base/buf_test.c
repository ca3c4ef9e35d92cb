/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/test.h"

TEST(grows_and_stays_terminated)
{
    struct buf b = BUF_INIT(0);
    CHECK_STR(buf_str(&b), "");
    for (int i = 0; i < 1000; i++) {
        buf_add_str(&b, "abc");
        CHECK_INT(b.data[b.len], 0);
    }
    CHECK_INT(b.len, 3000);
    buf_drop_front(&b, 2999);
    CHECK_STR(buf_str(&b), "c");
    buf_drop_front(&b, 50);
    CHECK_STR(buf_str(&b), "");
    buf_done(&b);
    CHECK(b.data == NULL);
    buf_done(&b);
}

TEST(formats)
{
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    buf_addf(&b, "%d-%s", 7, "x");
    buf_add_char(&b, ' ');
    buf_add_int(&b, INT64_MIN);
    buf_add_char(&b, ' ');
    buf_add_int(&b, 0);
    CHECK_STR(buf_str(&b), "7-x -9223372036854775808 0");
    buf_clear(&b);
    buf_addf(&b, "%0500d", 1); /* longer than what is tried on the stack */
    CHECK_INT(b.len, 500);
    CHECK_STR(buf_str(&b) + 498, "01");
}

TEST(stops_at_its_maximum)
{
    AUTO(buf_done) struct buf b = BUF_INIT(10);
    buf_add_str(&b, "0123456789");
    CHECK(!buf_overflow(&b));
    buf_add_char(&b, 'x');
    CHECK(buf_overflow(&b));
    CHECK_STR(buf_str(&b), "0123456789");
    CHECK(b.cap <= 11);
    buf_drop_front(&b, 5);
    buf_add_char(&b, 'y'); /* nothing may follow a hole */
    CHECK_STR(buf_str(&b), "56789");
    buf_clear(&b);
    CHECK(!buf_overflow(&b));
    CHECK(buf_reserve(&b, SIZE_MAX) == NULL);
    CHECK(buf_overflow(&b));
}

TEST(reserve_then_add_to_len)
{
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    char *room = buf_reserve(&b, 8);
    CHECK(room != NULL);
    memset(room, 'z', 8);
    b.len += 3;
    CHECK_STR(buf_str(&b), "zzz");
    AUTO(free_str) char *text = buf_take(&b);
    CHECK_STR(text, "zzz");
    CHECK(b.data == NULL && b.len == 0);
    AUTO(free_str) char *empty = buf_take(&b);
    CHECK_STR(empty, "");
}
