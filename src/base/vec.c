/* SPDX-License-Identifier: Apache-2.0 */
/* Growth of the arrays of vec.h: doubling, so that pushing stays cheap. */
#include "base/vec.h"

#include "base/mem.h"

void vec_grow_(void **v, size_t *cap, size_t need, size_t size)
{
    size_t new_cap = MAX(need, MAX(*cap * 2, (size_t)8));
    *v = mem_resize(*v, new_cap, size);
    *cap = new_cap;
}
