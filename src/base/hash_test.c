/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/test.h"

struct entry {
    char key[24];
    bool in;
};

#define N ((size_t)3000)

/* A fixed sequence (Knuth's MMIX generator), so that a failure repeats. */
static uint64_t next_number(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

static struct entry *make_entries(void)
{
    struct entry *e = mem_array(N, sizeof(*e));
    for (size_t i = 0; i < N; i++)
        (void)snprintf(e[i].key, sizeof(e[i].key), "key-%zu", i);
    return e;
}

static void check_all(const struct hash *h, struct entry *e)
{
    size_t n = 0, seen = 0;
    for (size_t i = 0; i < N; i++) {
        const struct entry *got = hash_get(h, e[i].key, strlen(e[i].key));
        CHECK(got == (e[i].in ? &e[i] : NULL));
        n += e[i].in;
    }
    CHECK_INT(h->n, n);
    void *v;
    for (size_t pos = 0; (v = hash_next(h, &pos)) != NULL; seen++)
        CHECK(((struct entry *)v)->in);
    CHECK_INT(seen, n);
}

/* Against the obvious model: a flag in each entry. */
TEST(random_puts_and_removes)
{
    AUTO(free_ptr) struct entry *e = make_entries();
    AUTO(hash_done) struct hash h = { 0 };
    uint64_t state = 1;
    for (int round = 0; round < 40000; round++) {
        struct entry *x = &e[next_number(&state) % N];
        size_t len = strlen(x->key);
        if (next_number(&state) % 2)
            CHECK(hash_put(&h, x->key, len, x) == (x->in ? x : NULL));
        else
            CHECK(hash_remove(&h, x->key, len) == (x->in ? x : NULL));
        x->in = hash_get(&h, x->key, len) != NULL;
        if (round % 5000 == 0)
            check_all(&h, e);
    }
    check_all(&h, e);
    CHECK(h.cap <= 4 * N); /* tombstones do not make it grow for ever */
}

TEST(replacing_takes_the_new_key)
{
    AUTO(hash_done) struct hash h = { 0 };
    char *old = str_dup("same"), *new = str_dup("same");
    CHECK(hash_put(&h, old, 4, old) == NULL);
    CHECK(hash_put(&h, new, 4, new) == old);
    free(old); /* the table must not look at it any more */
    CHECK(hash_get(&h, "same", 4) == new);
    CHECK(hash_remove(&h, "same", 4) == new);
    free(new);
    CHECK(hash_get(&h, "same", 4) == NULL);
    CHECK(hash_remove(&h, "same", 4) == NULL);
}

TEST(keys_are_bytes)
{
    AUTO(hash_done) struct hash h = { 0 };
    int a, b, c, d;
    CHECK(hash_put(&h, "a\0b", 3, &a) == NULL);
    CHECK(hash_put(&h, "a\0c", 3, &b) == NULL);
    CHECK(hash_put(&h, "a", 1, &c) == NULL);
    CHECK(hash_put(&h, "", 0, &d) == NULL);
    CHECK(hash_get(&h, "a\0b", 3) == &a);
    CHECK(hash_get(&h, "a\0c", 3) == &b);
    CHECK(hash_get(&h, "a", 1) == &c);
    CHECK(hash_get(&h, "", 0) == &d);
    CHECK(hash_get(&h, "a\0", 2) == NULL);
}

TEST(empty_table)
{
    struct hash h = { 0 };
    size_t pos = 0;
    CHECK(hash_get(&h, "x", 1) == NULL);
    CHECK(hash_remove(&h, "x", 1) == NULL);
    CHECK(hash_next(&h, &pos) == NULL);
    hash_done(&h);
}

/* Every length takes each input bit into account (a wrong tail handling would not). */
TEST(hash_depends_on_every_bit)
{
    uint8_t key[20];
    for (size_t len = 1; len <= sizeof(key); len++) {
        memset(key, 0x5a, sizeof(key));
        uint64_t base = hash_bytes(key, len);
        CHECK(base == hash_bytes(key, len));
        CHECK(base != hash_bytes(key, len - 1));
        for (size_t bit = 0; bit < len * 8; bit++) {
            key[bit / 8] ^= (uint8_t)(1U << bit % 8);
            CHECK(hash_bytes(key, len) != base);
            key[bit / 8] ^= (uint8_t)(1U << bit % 8);
        }
    }
}
