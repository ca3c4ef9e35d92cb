/* SPDX-License-Identifier: Apache-2.0 */
/* Data sources of hosts, VMs and repositories: what is measured, its newest value, and whether it is recorded. */
#include <math.h>
#include <string.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/mem.h"
#include "ops/stats.h"

/* By beginning and end of the name; the first that fits. */
static const struct about {
    const char *begin, *end, *units, *description;
} about[] = {
    { "loadavg", "", "(fraction)", "Load average of the last minute" },
    { "hostload", "", "(fraction)", "Load average for each physical processor" },
    { "memory_total_kib", "", "KiB", "Memory of the host" },
    { "memory_free_kib", "", "KiB", "Memory that new work could have" },
    { "memory_target", "", "B", "Memory that the machine is meant to have" },
    { "memory", "", "B", "Memory that the machine has" },
    { "running_vcpus", "", "count", "Virtual processors of running machines" },
    { "running_domains", "", "count", "Running machines" },
    { "cpu_avg", "", "(fraction)", "How busy all physical processors are" },
    { "cpu_usage", "", "(fraction)", "How busy all virtual processors are" },
    { "cpu", "", "(fraction)", "How busy this processor is" },
    { "pif_", "_rx", "B/s", "Bytes that a physical interface receives" },
    { "pif_", "_tx", "B/s", "Bytes that a physical interface sends" },
    { "vif_", "_rx", "B/s", "Bytes that a virtual interface receives" },
    { "vif_", "_tx", "B/s", "Bytes that a virtual interface sends" },
    { "vbd_", "_iops_read", "requests/s", "Reads of a disk" },
    { "vbd_", "_iops_write", "requests/s", "Writes of a disk" },
    { "vbd_", "_io_throughput_read", "MiB/s", "Data read from a disk" },
    { "vbd_", "_io_throughput_write", "MiB/s", "Data written to a disk" },
    { "vbd_", "_read_latency", "us", "Time that a read of a disk takes" },
    { "vbd_", "_write_latency", "us", "Time that a write of a disk takes" },
    { "vbd_", "_read", "B/s", "Bytes read from a disk" },
    { "vbd_", "_write", "B/s", "Bytes written to a disk" },
    { "iops_", "", "requests/s", "Requests to the storage repository" },
    { "io_throughput_", "", "MiB/s", "Data to and from the storage repository" },
    { "read_latency", "", "us", "Time that a read of the storage repository takes" },
    { "write_latency", "", "us", "Time that a write of the storage repository takes" },
    { "iowait", "", "(fraction)", "Time spent waiting for the storage repository" },
    { "physical_size", "", "B", "Size of the storage repository" },
    { "physical_utilisation", "", "B", "Space used of the storage repository" },
};

static const struct about *about_of(const char *name)
{
    static const struct about nothing = { "", "", "unknown", "" };

    for (size_t i = 0; i < ARRAY_SIZE(about); i++)
        if (str_starts(name, about[i].begin) && str_ends(name, about[i].end))
            return &about[i];
    return &nothing;
}

/* The uuid of the object; false with HANDLE_INVALID. */
static int uuid_of(enum class_id cls, const struct ref *ref,
                   char out[static UUID_TEXT_SIZE], struct err *err)
{
    const struct class_def *def = &schema_classes[cls];
    const void *rec;

    db_lock();
    rec = call_get(cls, ref, err);
    if (rec) {
        const char *const *uuid = record_field(&def->fields[def->uuid_field], rec);

        memcpy(out, *uuid, UUID_TEXT_SIZE);
    }
    db_unlock();
    return rec ? 0 : -1;
}

static void add_source(const char *uuid UNUSED, const struct rrd_ds_info *ds, void *arg)
{
    struct set_record *out = arg;
    const struct about *a = about_of(ds->name);
    struct data_source_rec *rec = record_new(&schema_classes[CLASS_DATA_SOURCE]);

    str_put(&rec->name_label, ds->name);
    str_put(&rec->name_description, a->description);
    str_put(&rec->units, a->units);
    rec->enabled = ds->enabled;
    rec->standard = true;
    rec->min = ds->min;
    rec->max = ds->max;
    rec->value = ds->last;
    out->v = mem_resize(out->v, out->n + 1, sizeof(*out->v));
    out->v[out->n++] = rec;
}

static int get_sources(enum class_id cls, const struct ref *ref, struct set_record *result,
                       struct err *err)
{
    char uuid[UUID_TEXT_SIZE];

    if (uuid_of(cls, ref, uuid, err) != 0)
        return -1;
    stats_each(cls, uuid, add_source, result);
    return 0;
}

struct question {
    const char *name;
    double value;
    bool found;
};

static void look_for(const char *uuid UNUSED, const struct rrd_ds_info *ds, void *arg)
{
    struct question *q = arg;

    if (!str_eq(ds->name, q->name))
        return;
    q->found = true;
    q->value = ds->last;
}

static int unknown(const char *name, struct err *err)
{
    return err_set(err, ERR_INVALID_VALUE, "data_source", name);
}

static int query(enum class_id cls, const struct ref *ref, const char *name, double *result,
                 struct err *err)
{
    struct question q = { .name = name };
    char uuid[UUID_TEXT_SIZE];

    if (uuid_of(cls, ref, uuid, err) != 0)
        return -1;
    stats_each(cls, uuid, look_for, &q);
    if (!q.found)
        return unknown(name, err);
    *result = q.value;
    return 0;
}

static int enable(enum class_id cls, const struct ref *ref, const char *name, bool enabled,
                  struct err *err)
{
    char uuid[UUID_TEXT_SIZE];

    if (uuid_of(cls, ref, uuid, err) != 0)
        return -1;
    return stats_enable(cls, uuid, name, enabled) ? 0 : unknown(name, err);
}

/* The calls: the same four of each class. */
#define CALLS(name, cls, self)                                                             \
    int op_##name##_get_data_sources(struct call *call UNUSED,                             \
                                     const struct name##_get_data_sources_args *a,         \
                                     struct set_record *result, struct err *err)           \
    {                                                                                      \
        return get_sources(cls, &a->self, result, err);                                    \
    }                                                                                      \
    int op_##name##_query_data_source(struct call *call UNUSED,                            \
                                      const struct name##_query_data_source_args *a,       \
                                      double *result, struct err *err)                     \
    {                                                                                      \
        return query(cls, &a->self, a->data_source, result, err);                          \
    }                                                                                      \
    int op_##name##_record_data_source(struct call *call UNUSED,                           \
                                       const struct name##_record_data_source_args *a,     \
                                       struct err *err)                                    \
    {                                                                                      \
        return enable(cls, &a->self, a->data_source, true, err);                           \
    }                                                                                      \
    int op_##name##_forget_data_source_archives(                                           \
        struct call *call UNUSED, const struct name##_forget_data_source_archives_args *a, \
        struct err *err)                                                                   \
    {                                                                                      \
        return enable(cls, &a->self, a->data_source, false, err);                          \
    }

CALLS(host, CLASS_HOST, host)
CALLS(sr, CLASS_SR, sr)
CALLS(vm, CLASS_VM, self)

int op_host_backup_rrds(struct call *call, const struct host_backup_rrds_args *a,
                        struct err *err)
{
    char uuid[UUID_TEXT_SIZE];
    struct deadline d = call->deadline;

    if (uuid_of(CLASS_HOST, &a->host, uuid, err) != 0)
        return -1;
    if (!(a->delay >= 0 && a->delay <= 86400))
        return err_set(err, ERR_INVALID_VALUE, "delay", "must be 0 to 86400 seconds");
    d = deadline_sooner(&d, (int64_t)(a->delay * US_PER_SEC));
    if (a->delay > 0 && deadline_poll(&d, -1, 0) < 0 && call_cancelled(call))
        return err_set(err, ERR_TASK_CANCELLED, "");
    return stats_save(err);
}
