/* SPDX-License-Identifier: Apache-2.0 */
/* A typed growing array: VEC(int) v = {0}; vec_push(&v, 3); v.v[0]; v.n; vec_done(&v). */
#ifndef BASE_VEC_H
#define BASE_VEC_H

#include "base/util.h"

#define VEC(type)   \
    struct {        \
        type *v;    \
        size_t n;   \
        size_t cap; \
    }

void vec_grow_(void **v, size_t *cap, size_t need, size_t size);

#define vec_push(vec, item)                                                              \
    do {                                                                                 \
        if ((vec)->n == (vec)->cap)                                                      \
            vec_grow_((void **)&(vec)->v, &(vec)->cap, (vec)->n + 1, sizeof(*(vec)->v)); \
        (vec)->v[(vec)->n++] = (item);                                                   \
    } while (0)
#define vec_remove(vec, i)                                              \
    do {                                                                \
        size_t vec_i_ = (i);                                            \
        __builtin_memmove(&(vec)->v[vec_i_], &(vec)->v[vec_i_ + 1],     \
                          ((vec)->n - vec_i_ - 1) * sizeof(*(vec)->v)); \
        (vec)->n--;                                                     \
    } while (0)
#define vec_done(vec)              \
    do {                           \
        __builtin_free((vec)->v);  \
        (vec)->v = NULL;           \
        (vec)->n = (vec)->cap = 0; \
    } while (0)
#endif
