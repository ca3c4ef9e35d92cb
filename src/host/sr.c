/* SPDX-License-Identifier: Apache-2.0 */
/* The table of storage drivers. One row per SR type: types that differ only by name share a driver. */
#include "host/sr.h"

#include "base/mem.h"

static const struct sr_ops *const drivers[] = { &sr_file, &sr_ext, &sr_iso };

const struct sr_ops *sr_by_type(const char *type)
{
    for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
        if (str_eq(drivers[i]->type, type))
            return drivers[i];
    return NULL;
}

const struct sr_ops *const *sr_all(size_t *n_out)
{
    *n_out = ARRAY_SIZE(drivers);
    return drivers;
}
