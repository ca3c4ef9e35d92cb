/* SPDX-License-Identifier: Apache-2.0 */
/* What QEMU answers to query-blockstats. It is bounded by the size of a QMP message, and a guest may have taken QEMU over:
 * numbers are taken as they are, names only where they are ours ("disk3", see qemu.c). */
#include <string.h>

#include "base/parse.h"
#include "host/machine.h"
#include "host/machine_reg.h"

static uint64_t number(const json_t *stats, const char *name)
{
    json_int_t v = json_integer_value(json_object_get(stats, name));

    return v > 0 ? (uint64_t)v : 0;
}

static bool disk_slot(const json_t *device, unsigned *slot_out)
{
    const char *name = json_string_value(json_object_get(device, "node-name"));
    int64_t slot;

    if (!name || strncmp(name, "disk", 4) != 0
        || !parse_range(name + 4, 0, VMSPEC_DISKS_MAX - 1, &slot))
        return false;
    *slot_out = (unsigned)slot;
    return true;
}

void machine_stats_disks(const json_t *devices, struct machine_stats *out)
{
    for (size_t i = 0; i < json_array_size(devices) && out->n_disks < VMSPEC_DISKS_MAX;
         i++) {
        const json_t *device = json_array_get(devices, i);
        const json_t *s = json_object_get(device, "stats");
        struct machine_disk_stats *d = &out->disks[out->n_disks];

        if (!json_is_object(s) || !disk_slot(device, &d->slot))
            continue;
        d->read_bytes = number(s, "rd_bytes");
        d->write_bytes = number(s, "wr_bytes");
        d->reads = number(s, "rd_operations");
        d->writes = number(s, "wr_operations");
        d->read_ns = number(s, "rd_total_time_ns");
        d->write_ns = number(s, "wr_total_time_ns");
        out->n_disks++;
    }
}
