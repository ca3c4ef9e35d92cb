/* SPDX-License-Identifier: Apache-2.0 */
/* Open addressing with linear probing. Removed entries leave a tombstone (a key without a value),
 * which goes when the table is next rebuilt. Hashing is SipHash-1-3 (Aumasson, Bernstein, "SipHash:
 * a fast short-input PRF") with a key drawn once per process. Not locked. */
#include "base/hash.h"

#include <assert.h>
#include <pthread.h>

#include "base/mem.h"
#include "base/uuid.h"

struct hash_slot {
    const void *key; /* NULL: never used */
    size_t len;
    uint64_t sum;
    void *value; /* NULL with a key: removed */
};

static uint64_t sip_key[2];
static pthread_once_t sip_once = PTHREAD_ONCE_INIT;

static void sip_seed(void)
{
    random_bytes(sip_key, sizeof(sip_key));
}

static uint64_t rotl(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] = rotl(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] = rotl(v[2], 32);
}

uint64_t hash_bytes(const void *key, size_t len)
{
    (void)pthread_once(&sip_once, sip_seed); /* cannot fail */
    uint64_t v[4] = { sip_key[0] ^ UINT64_C(0x736f6d6570736575),
                      sip_key[1] ^ UINT64_C(0x646f72616e646f6d),
                      sip_key[0] ^ UINT64_C(0x6c7967656e657261),
                      sip_key[1] ^ UINT64_C(0x7465646279746573) };
    const uint8_t *p = key;
    size_t left = len;
    for (; left >= 8; p += 8, left -= 8) {
        uint64_t m;
        memcpy(&m, p, 8); /* any byte order will do: the value never leaves the process */
        v[3] ^= m;
        sip_round(v);
        v[0] ^= m;
    }
    uint64_t last = (uint64_t)len << 56;
    for (size_t i = 0; i < left; i++)
        last |= (uint64_t)p[i] << (8 * i);
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void hash_done(struct hash *h)
{
    free(h->slots);
    *h = (struct hash){ 0 };
}

static bool slot_is(const struct hash_slot *s, uint64_t sum, const void *key, size_t len)
{
    return s->value && s->sum == sum && s->len == len
           && (len == 0 || memcmp(s->key, key, len) == 0);
}

static struct hash_slot *hash_find(const struct hash *h, uint64_t sum, const void *key,
                                   size_t len)
{
    if (h->cap == 0)
        return NULL;
    for (size_t i = sum & (h->cap - 1);; i = (i + 1) & (h->cap - 1)) {
        struct hash_slot *s = &h->slots[i];
        if (!s->key)
            return NULL;
        if (slot_is(s, sum, key, len))
            return s;
    }
}

/* Rebuild with room for one more: twice the live entries, so that half of it stays free. */
static void hash_rebuild(struct hash *h)
{
    size_t cap = 16;
    while (cap < (h->n + 1) * 2)
        cap *= 2;
    struct hash_slot *slots = mem_array(cap, sizeof(*slots));
    for (size_t i = 0; i < h->cap; i++) {
        const struct hash_slot *s = &h->slots[i];
        if (!s->value)
            continue;
        size_t at = s->sum & (cap - 1);
        while (slots[at].key)
            at = (at + 1) & (cap - 1);
        slots[at] = *s;
    }
    free(h->slots);
    h->slots = slots;
    h->cap = cap;
    h->used = h->n;
}

void *hash_get(const struct hash *h, const void *key, size_t len)
{
    if (h->n == 0)
        return NULL;
    const struct hash_slot *s = hash_find(h, hash_bytes(key, len), key, len);
    return s ? s->value : NULL;
}

void *hash_put(struct hash *h, const void *key, size_t len, void *value)
{
    assert(key && value);
    uint64_t sum = hash_bytes(key, len);
    struct hash_slot *s = hash_find(h, sum, key, len);
    if (s) {
        void *old = s->value;
        s->key = key;
        s->value = value;
        return old;
    }
    if ((h->used + 1) * 4 > h->cap * 3)
        hash_rebuild(h);
    size_t i = sum & (h->cap - 1);
    while (h->slots[i].value)
        i = (i + 1) & (h->cap - 1);
    if (!h->slots[i].key)
        h->used++;
    h->slots[i] = (struct hash_slot){ key, len, sum, value };
    h->n++;
    return NULL;
}

void *hash_remove(struct hash *h, const void *key, size_t len)
{
    struct hash_slot *s = hash_find(h, hash_bytes(key, len), key, len);
    if (!s)
        return NULL;
    void *value = s->value;
    s->value = NULL;
    s->key = ""; /* the tombstone: the real key may be freed with its value */
    s->len = 0;
    h->n--;
    return value;
}

void *hash_next(const struct hash *h, size_t *pos)
{
    while (*pos < h->cap) {
        void *value = h->slots[(*pos)++].value;
        if (value)
            return value;
    }
    return NULL;
}
