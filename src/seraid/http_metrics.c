/* SPDX-License-Identifier: Apache-2.0 */
/* GET /metrics: the newest measurements and the daemon's own counters as OpenMetrics text, for Prometheus and its like. With a
 * session or a password, but on the unix socket for this user and root, who may do everything. Runs on a worker. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "ops/ops.h"
#include "ops/stats.h"
#include "seraid/auth.h"
#include "seraid/calls.h"
#include "seraid/handlers.h"

#define ROLES                                                                   \
    (ROLE_POOL_ADMIN | ROLE_POOL_OPERATOR | ROLE_VM_POWER_ADMIN | ROLE_VM_ADMIN \
     | ROLE_VM_OPERATOR | ROLE_READ_ONLY)

/* A family: data sources "BEGIN<label's value>END" of a class, times scale. label NULL: exactly BEGIN. */
static const struct family {
    enum class_id cls;
    const char *begin, *end, *label;
    const char *name, *unit, *help;
    double scale;
} families[] = {
    { CLASS_HOST, "loadavg", "", NULL, "serai_host_load1", "", "Load average of a minute.",
      1 },
    { CLASS_HOST, "cpu", "", "cpu", "serai_host_cpu_busy_ratio", "ratio",
      "How busy a processor is.", 1 },
    { CLASS_HOST, "memory_total_kib", "", NULL, "serai_host_memory_total_bytes", "bytes",
      "Memory.", 1024 },
    { CLASS_HOST, "memory_free_kib", "", NULL, "serai_host_memory_free_bytes", "bytes",
      "Memory that new work could have.", 1024 },
    { CLASS_HOST, "running_vcpus", "", NULL, "serai_host_running_vcpus", "",
      "Virtual processors of running VMs.", 1 },
    { CLASS_HOST, "running_domains", "", NULL, "serai_host_running_vms", "",
      "VMs that run.", 1 },
    { CLASS_HOST, "pif_", "_rx", "device", "serai_host_receive_bytes_per_second", "",
      "Received by a physical interface.", 1 },
    { CLASS_HOST, "pif_", "_tx", "device", "serai_host_transmit_bytes_per_second", "",
      "Sent by a physical interface.", 1 },
    { CLASS_VM, "cpu", "", "cpu", "serai_vm_cpu_busy_ratio", "ratio",
      "How busy a virtual processor is.", 1 },
    { CLASS_VM, "memory", "", NULL, "serai_vm_memory_bytes", "bytes", "Memory.", 1 },
    { CLASS_VM, "vif_", "_rx", "device", "serai_vm_receive_bytes_per_second", "",
      "Received by a virtual interface.", 1 },
    { CLASS_VM, "vif_", "_tx", "device", "serai_vm_transmit_bytes_per_second", "",
      "Sent by a virtual interface.", 1 },
    { CLASS_VM, "vbd_", "_iops_read", "device", "serai_vm_disk_reads_per_second", "",
      "Reads of a disk.", 1 },
    { CLASS_VM, "vbd_", "_iops_write", "device", "serai_vm_disk_writes_per_second", "",
      "Writes of a disk.", 1 },
    { CLASS_VM, "vbd_", "_read", "device", "serai_vm_disk_read_bytes_per_second", "",
      "Read from a disk.", 1 },
    { CLASS_VM, "vbd_", "_write", "device", "serai_vm_disk_write_bytes_per_second", "",
      "Written to a disk.", 1 },
    { CLASS_VM, "vbd_", "_read_latency", "device", "serai_vm_disk_read_latency_seconds",
      "seconds", "Time that a read takes.", 1e-6 },
    { CLASS_VM, "vbd_", "_write_latency", "device", "serai_vm_disk_write_latency_seconds",
      "seconds", "Time that a write takes.", 1e-6 },
    { CLASS_SR, "physical_size", "", NULL, "serai_sr_size_bytes", "bytes", "Size.", 1 },
    { CLASS_SR, "physical_utilisation", "", NULL, "serai_sr_used_bytes", "bytes",
      "Space used.", 1 },
    { CLASS_SR, "iops_read", "", NULL, "serai_sr_reads_per_second", "", "Reads.", 1 },
    { CLASS_SR, "iops_write", "", NULL, "serai_sr_writes_per_second", "", "Writes.", 1 },
    { CLASS_SR, "io_throughput_read", "", NULL, "serai_sr_read_bytes_per_second", "",
      "Data read.", 1048576 },
    { CLASS_SR, "io_throughput_write", "", NULL, "serai_sr_write_bytes_per_second", "",
      "Data written.", 1048576 },
};

struct writing {
    struct buf *out;
    const struct family *family;
};

/* What stands between begin and end: a number or a device without a '_'. */
static bool label_of(const struct family *f, const char *name, const char **label_out,
                     size_t *len_out)
{
    size_t n = strlen(name), begin = strlen(f->begin), end = strlen(f->end);

    if (!str_starts(name, f->begin) || !str_ends(name, f->end) || n < begin + end)
        return false;
    *label_out = name + begin;
    *len_out = n - begin - end;
    if (!f->label)
        return *len_out == 0;
    if (str_eq(f->begin, "cpu"))
        return *len_out > 0 && strspn(*label_out, "0123456789") == *len_out;
    return *len_out > 0
           && (!str_eq(f->begin, "vbd_") || !memchr(*label_out, '_', *len_out));
}

static void write_source(const char *uuid, const struct rrd_ds_info *ds, void *arg)
{
    const struct writing *w = arg;
    const struct family *f = w->family;
    const char *label = "";
    size_t len = 0;

    if (!ds->enabled || isnan(ds->last) || !label_of(f, ds->name, &label, &len))
        return;
    buf_addf(w->out, "%s{uuid=\"%s\"", f->name, uuid);
    if (f->label)
        buf_addf(w->out, ",%s=\"%.*s\"", f->label, (int)len, label);
    buf_addf(w->out, "} %.9g\n", ds->last * f->scale);
}

static void write_head(struct buf *out, const char *name, const char *type,
                       const char *unit, const char *help)
{
    buf_addf(out, "# TYPE %s %s\n", name, type);
    if (*unit)
        buf_addf(out, "# UNIT %s %s\n", name, unit);
    buf_addf(out, "# HELP %s %s\n", name, help);
}

/* OpenMetrics escapes in label values: backslash, quote, newline. */
static void add_label(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\\' || *text == '"')
            buf_add_char(out, '\\');
        if (*text == '\n')
            buf_add_str(out, "\\n");
        else
            buf_add_char(out, *text);
    }
}

/* Names of uuids, so that queries can join them; and the power states of all VMs. */
static void write_records(struct buf *out)
{
    static const char *const states[] = { "Halted", "Paused", "Running", "Suspended" };
    size_t count[ARRAY_SIZE(states)] = { 0 };

    write_head(out, "serai_vm", "info", "", "VMs that run, and their names.");
    db_lock();
    for (struct db_iter it = db_first(CLASS_VM); it.rec; db_next(&it)) {
        const struct vm_rec *vm = it.rec;

        if (vm->is_a_template || vm->is_a_snapshot
            || (size_t)vm->power_state >= ARRAY_SIZE(states))
            continue;
        count[vm->power_state]++;
        if (vm->power_state != VM_POWER_STATE_RUNNING)
            continue;
        buf_addf(out, "serai_vm_info{uuid=\"%s\",name=\"", vm->uuid);
        add_label(out, vm->name_label);
        buf_add_str(out, "\"} 1\n");
    }
    db_unlock();
    write_head(out, "serai_vms", "gauge", "", "VMs by power state.");
    for (size_t i = 0; i < ARRAY_SIZE(states); i++)
        buf_addf(out, "serai_vms{state=\"%s\"} %zu\n", states[i], count[i]);
}

static void write_all(struct buf *out)
{
    write_head(out, "serai", "info", "", "The daemon.");
    buf_add_str(out, "serai_info{version=\"" SERAI_VERSION "\"} 1\n");
    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        const struct family *f = &families[i];
        struct writing w = { .out = out, .family = f };

        write_head(out, f->name, "gauge", f->unit, f->help);
        stats_each(f->cls, NULL, write_source, &w);
    }
    write_records(out);
    write_head(out, "serai_measurement_rounds", "counter", "", "Rounds of measurement.");
    buf_addf(out, "serai_measurement_rounds_total %llu\n",
             (unsigned long long)stats_rounds());
    write_head(out, "serai_measurement_store_bytes", "gauge", "bytes",
               "Memory that measurements hold.");
    buf_addf(out, "serai_measurement_store_bytes %zu\n", stats_bytes());
    calls_write(out);
    buf_add_str(out, "# EOF\n");
}

void http_metrics_get(struct exchange *x)
{
    AUTO(auth_done) struct auth a = { 0 };
    AUTO(buf_done) struct buf text = BUF_INIT(0);

    if (!conn_local_trusted(x->conn) && auth_begin(x, ROLES, "http/get_metrics", &a) != 0)
        return;
    write_all(&text);
    serve_answer(x, &(struct http_resp){
                        .status = 200,
                        .content_type = "application/openmetrics-text; version=1.0.0; "
                                        "charset=utf-8",
                        .extra = "Cache-Control: no-cache, no-store\r\n",
                        .body = buf_str(&text),
                        .body_len = text.len });
}
