/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of the trees that jansson builds, counted. */
#ifndef FUZZ_TREE_H
#define FUZZ_TREE_H

#include <jansson.h>

#include "fuzz.h"

static size_t tree_now, tree_peak;

/* The size stands in front of each block. */
static void *tree_malloc(size_t size)
{
    size_t *p = malloc(size + 16);
    if (!p)
        return NULL;
    p[0] = size;
    tree_now += size;
    tree_peak = MAX(tree_peak, tree_now);
    return p + 2;
}

static void tree_free(void *ptr)
{
    if (!ptr)
        return;
    size_t *p = (size_t *)ptr - 2;
    tree_now -= p[0];
    free(p);
}

static void tree_start(void)
{
    json_set_alloc_funcs(tree_malloc, tree_free);
    tree_now = tree_peak = 0;
}

/* At most 16 times the text and a fixed part, and nothing is left. */
static void tree_check(size_t text)
{
    REQUIRE(tree_now == 0);
    REQUIRE(tree_peak <= text * 16 + 512 * 1024);
}
#endif
