/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table from byte-string keys to pointers. The key is borrowed and usually lies inside
 * the value; the hash is keyed per process (SipHash or equal) so that keys from outside cannot
 * be chosen to collide. Not locked. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/util.h"

struct hash {
    struct hash_slot *slots;
    size_t n;
    size_t cap;
    size_t used; /* live and deleted slots */
};

void hash_done(struct hash *h); /* frees the table, not the values */
void *hash_get(const struct hash *h, const void *key, size_t len);
/* The replaced value or NULL. value is not NULL. The key of the new value replaces the old one, so the
 * old value may be freed. */
void *hash_put(struct hash *h, const void *key, size_t len, void *value);
void *hash_remove(struct hash *h, const void *key,
                  size_t len); /* the removed value or NULL */
/* Iterate: for (size_t i = 0; (v = hash_next(h, &i)) != NULL;) ... no change of h meanwhile. */
void *hash_next(const struct hash *h, size_t *pos);
uint64_t hash_bytes(const void *key, size_t len);
#endif
