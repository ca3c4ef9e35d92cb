/* SPDX-License-Identifier: Apache-2.0 */
/* The tables. What depends on which value:
 *   product_brand     CloudStack refuses all but XCP-ng, XenServer and Citrix Hypervisor; Xen Orchestra looks for updates by it
 *   product_version   compared as a.b.c; CloudStack wants more than 6.4
 *   platform_version  XenCenter and Xen Orchestra enable features from 2.1 and 3.x on
 *   xapi_build        XenCenter: event.from, snapshots and certificates from 1.290 on */
#include "ops/brand.h"

#include <string.h>

static const struct brand brands[] = {
    { "xcp-ng", "XCP-ng", "8.3.0", "8.3", "XCP", "3.4.0", "25.6", "25.6.0" },
    { "xenserver", "XenServer", "8.4.0", "8.4", "XCP", "3.4.0", "25.6", "25.6.0" },
    { "serai", "Serai", SERAI_VERSION, SERAI_VERSION, "XCP", "3.4.0", "25.6", "25.6.0" },
};

const struct brand *const brand_default = &brands[0];

const struct brand *brand_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(brands); i++)
        if (strcmp(brands[i].name, name) == 0)
            return &brands[i];
    return NULL;
}

bool brand_version(const struct brand *b, size_t i, const char **key_out,
                   const char **value_out)
{
    const char *const rows[][2] = {
        { "product_brand", b->product_brand },
        { "product_version", b->product_version },
        { "product_version_text", b->product_version_short },
        { "product_version_text_short", b->product_version_short },
        { "platform_name", b->platform_name },
        { "platform_version", b->platform_version },
        { "xapi", b->xapi },
        { "xapi_build", b->xapi_build },
        { "build_number", "serai" },
        { "date", "2026-11-01" },
        { "network_backend", "bridge" },
        { "serai_version", SERAI_VERSION },
    };

    if (i >= ARRAY_SIZE(rows))
        return false;
    *key_out = rows[i][0];
    *value_out = rows[i][1];
    return true;
}
