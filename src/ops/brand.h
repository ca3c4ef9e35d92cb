/* SPDX-License-Identifier: Apache-2.0 */
/* Who we are on the wire: host.software_version and the version of the API, in one table. Clients choose features, update
 * systems and whether to talk to us at all by these values, so they are those of products whose behaviour ours is; our own
 * version stands under serai_ keys. Immutable; any thread. */
#ifndef OPS_BRAND_H
#define OPS_BRAND_H

#include "base/util.h"

#define BRAND_API_MAJOR  2
#define BRAND_API_MINOR  21
#define BRAND_API_VENDOR "XenSource"

struct brand {
    const char *name; /* as --brand takes it */
    const char *product_brand, *product_version, *product_version_short;
    const char *platform_name, *platform_version;
    const char *xapi, *xapi_build;
};

extern const struct brand *const brand_default;   /* every known client accepts it */
const struct brand *brand_find(const char *name); /* NULL: none */
/* The i-th key and value of software_version, but for what the host itself knows (its name, its kernel); false: no more. */
bool brand_version(const struct brand *b, size_t i, const char **key_out,
                   const char **value_out);
#endif
