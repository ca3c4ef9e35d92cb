/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pieces.h"

#include "base/test.h"

static struct texts *list_of(const char *const *words, size_t n)
{
    struct texts *list = texts_new(n);

    for (size_t i = 0; i < n; i++) {
        struct text *t = text_new(words[i], strlen(words[i]));

        texts_add(list, t);
        text_drop(t); /* the list holds it */
    }
    return list;
}

/* What a walk that takes n vectors at a time gives. */
static char *walked(const struct buf *b, const struct pieces *pieces, size_t n)
{
    struct pieces_walk w = { .pieces = pieces, .p = buf_str(b), .len = b->len };
    struct buf all = BUF_INIT(0);
    struct iovec v[8];
    size_t got;

    while ((got = pieces_next(&w, v, n)) > 0) {
        for (size_t i = 0; i < got; i++)
            buf_add(&all, v[i].iov_base, v[i].iov_len);
    }
    return buf_take(&all);
}

TEST(lists_stand_where_they_were_added)
{
    static const char *const numbers[] = { ",one", ",two", ",three" };
    static const char *const letters[] = { "x", "", "yz" };

    static const struct {
        const char *before, *between, *after, *whole;
    } cases[] = {
        { "", "", "", "one,two,threexyz" },       { "a", "", "", "aone,two,threexyz" },
        { "", "b", "", "one,two,threebxyz" },     { "", "", "c", "one,two,threexyzc" },
        { "a", "b", "c", "aone,two,threebxyzc" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        for (size_t n = 1; n <= 8; n++) {
            AUTO(buf_done) struct buf b = BUF_INIT(0);
            AUTO(pieces_done) struct pieces pieces = { 0 };
            struct texts *first = list_of(numbers, 3), *second = list_of(letters, 3);
            AUTO(free_str) char *whole = NULL;

            buf_add_str(&b, cases[i].before);
            pieces_add(&pieces, &b, first, 1);
            buf_add_str(&b, cases[i].between);
            pieces_add(&pieces, &b, second, 0);
            buf_add_str(&b, cases[i].after);
            texts_drop(first); /* the pieces hold them */
            texts_drop(second);
            whole = walked(&b, &pieces, n);
            CHECK_STR(whole, cases[i].whole);
            CHECK_INT(b.len + pieces.len, strlen(cases[i].whole));
        }
    }
}

TEST(nothing_to_add)
{
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    AUTO(pieces_done) struct pieces pieces = { 0 };
    struct texts *none = texts_new(0);
    AUTO(free_str) char *empty = walked(&b, NULL, 2), *some = NULL;

    CHECK_STR(empty, "");
    buf_add_str(&b, "all");
    pieces_add(&pieces, &b, none, 1);
    texts_drop(none);
    CHECK_INT(pieces.n, 0);
    some = walked(&b, &pieces, 2);
    CHECK_STR(some, "all");
}

TEST(the_last_holder_frees)
{
    static const char *const words[] = { "x" };
    struct texts *list = list_of(words, 1);
    struct text *other = text_new("longer", 6);

    CHECK(texts_mine(list));
    texts_put(list, 0, other);
    text_drop(other);
    CHECK_INT(list->len, 6);
    text_drop(NULL);
    texts_drop(NULL);
    CHECK(texts_hold(list) == list);
    CHECK(!texts_mine(list));
    texts_drop(list);
    CHECK_INT(list->v[0]->len, 6);
    texts_drop(list); /* what is left, the leak checker of the sanitizer builds finds */
}
