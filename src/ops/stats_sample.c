/* SPDX-License-Identifier: Apache-2.0 */
/* What is measured and how it is called: the names are those of XenServer's, which clients parse. QEMU's disks are called xvda
 * and so on here, whatever they are in the guest. Runs on the sampling thread; no state. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/db.h"
#include "ops/stats_int.h"
#include "ops/vm.h"

#define MIB (1024.0 * 1024)

/* The records */

static size_t sr_index(struct look *l, const struct ref *vdi_ref) REQUIRES(db_mutex)
{
    const struct vdi_rec *vdi = db_get(CLASS_VDI, vdi_ref);
    const struct sr_rec *sr = vdi ? db_get(CLASS_SR, &vdi->SR) : NULL;

    for (size_t i = 0; sr && i < l->srs.n; i++)
        if (str_eq(l->srs.v[i].uuid, sr->uuid))
            return i;
    return STATS_NO_SR;
}

static void look_vm(struct look *l, const struct vm_rec *rec) REQUIRES(db_mutex)
{
    struct look_vm vm = { .memory = (double)rec->memory_dynamic_max,
                          .memory_target = (double)rec->memory_target,
                          .n_vcpus = (unsigned)rec->VCPUs_at_startup,
                          .running = rec->power_state == VM_POWER_STATE_RUNNING };
    unsigned slot;

    memcpy(vm.uuid, rec->uuid, sizeof(vm.uuid));
    for (size_t i = 0; i < VMSPEC_DISKS_MAX; i++)
        vm.sr_of_disk[i] = STATS_NO_SR;
    for (size_t i = 0; i < rec->VBDs.n; i++) {
        const struct vbd_rec *vbd = db_get(CLASS_VBD, &rec->VBDs.v[i]);

        if (vbd && vbd->currently_attached && vm_device_position(vbd->userdevice, &slot)
            && slot < VMSPEC_DISKS_MAX) {
            vm.disks |= UINT64_C(1) << slot;
            vm.sr_of_disk[slot] = sr_index(l, &vbd->VDI);
        }
    }
    for (size_t i = 0; i < rec->VIFs.n; i++) {
        const struct vif_rec *vif = db_get(CLASS_VIF, &rec->VIFs.v[i]);

        if (vif && vif->currently_attached && vm_device_position(vif->device, &slot)
            && slot < VMSPEC_NICS_MAX)
            vm.nics |= UINT32_C(1) << slot;
    }
    vec_push(&l->vms, vm);
}

static bool is_attached(const struct sr_rec *sr) REQUIRES(db_mutex)
{
    for (size_t i = 0; i < sr->PBDs.n; i++) {
        const struct pbd_rec *pbd = db_get(CLASS_PBD, &sr->PBDs.v[i]);

        if (pbd && pbd->currently_attached)
            return true;
    }
    return false;
}

void look_take(struct look *out)
{
    struct look l = { 0 };
    struct ref host_ref;
    const struct host_rec *host;

    db_lock();
    host_ref = db_host_ref();
    host = db_get(CLASS_HOST, &host_ref);
    if (host)
        memcpy(l.host, host->uuid, sizeof(l.host));
    for (struct db_iter it = db_first(CLASS_SR); it.rec; db_next(&it)) {
        const struct sr_rec *rec = it.rec;
        struct look_sr sr = { .size = (double)rec->physical_size,
                              .used = (double)rec->physical_utilisation };

        memcpy(sr.uuid, rec->uuid, sizeof(sr.uuid));
        if (is_attached(rec))
            vec_push(&l.srs, sr);
    }
    for (struct db_iter it = db_first(CLASS_VM); it.rec; db_next(&it)) {
        const struct vm_rec *vm = it.rec;

        if (vm->power_state == VM_POWER_STATE_RUNNING
            || vm->power_state == VM_POWER_STATE_PAUSED)
            look_vm(&l, vm);
    }
    for (struct db_iter it = db_first(CLASS_PIF); it.rec; db_next(&it)) {
        const struct pif_rec *pif = it.rec;
        struct metrics_nic nic = { 0 };

        memcpy(nic.name, pif->device, strnlen(pif->device, sizeof(nic.name) - 1));
        if (pif->physical)
            vec_push(&l.pifs, nic);
    }
    db_unlock();
    *out = l;
}

void look_done(struct look *l)
{
    vec_done(&l->vms);
    vec_done(&l->srs);
    vec_done(&l->pifs);
}

/* Samples */

static void add(samples_vec *out, enum rrd_type type, double value, double max,
                const char *fmt, ...) PRINTF(5, 6);

static void add(samples_vec *out, enum rrd_type type, double value, double max,
                const char *fmt, ...)
{
    struct rrd_sample s = { .type = type, .value = value, .max = max };
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(s.name, sizeof(s.name), fmt, ap);
    va_end(ap);
    vec_push(out, s);
}

static void gauge(samples_vec *out, const char *name, double value)
{
    add(out, RRD_GAUGE, value, INFINITY, "%s", name);
}

/* A name of an interface is the administrator's: only what needs no escaping anywhere is measured. */
static bool plain(const char *name)
{
    static const char ok[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

    return *name && strspn(name, ok) == strlen(name);
}

static void sample_pifs(const struct look *l, const struct metrics_host *m,
                        samples_vec *out)
{
    uint64_t rx = 0, tx = 0;

    for (size_t i = 0; i < m->n_nics; i++) {
        const struct metrics_nic *nic = &m->nics[i];
        bool ours = false;

        for (size_t k = 0; k < l->pifs.n; k++)
            ours |= str_eq(l->pifs.v[k].name, nic->name);
        if (!ours || !plain(nic->name))
            continue;
        rx += nic->rx_bytes;
        tx += nic->tx_bytes;
        add(out, RRD_DERIVE, (double)nic->rx_bytes, INFINITY, "pif_%s_rx", nic->name);
        add(out, RRD_DERIVE, (double)nic->tx_bytes, INFINITY, "pif_%s_tx", nic->name);
    }
    add(out, RRD_DERIVE, (double)rx, INFINITY, "pif_aggr_rx");
    add(out, RRD_DERIVE, (double)tx, INFINITY, "pif_aggr_tx");
}

void sample_host(const struct look *l, struct metrics_host *m, samples_vec *out)
{
    double busy = 0;
    unsigned vcpus = 0;

    for (size_t i = 0; i < l->vms.n; i++)
        vcpus += l->vms.v[i].running ? l->vms.v[i].n_vcpus : 0;
    gauge(out, "loadavg", m->loadavg);
    gauge(out, "hostload", m->n_cpus ? m->loadavg / (double)m->n_cpus : NAN);
    gauge(out, "memory_total_kib", (double)m->memory_total_kib);
    gauge(out, "memory_free_kib", (double)m->memory_free_kib);
    gauge(out, "running_vcpus", vcpus);
    gauge(out, "running_domains", (double)l->vms.n);
    for (size_t i = 0; i < m->n_cpus; i++) {
        add(out, RRD_DERIVE, m->cpu_busy_seconds[i], 1, "cpu%zu", i);
        busy += m->cpu_busy_seconds[i];
    }
    add(out, RRD_DERIVE, m->n_cpus ? busy / (double)m->n_cpus : NAN, 1, "cpu_avg");
    sample_pifs(l, m, out);
}

static double latency_us(uint64_t ns, uint64_t operations)
{
    return operations ? (double)ns / (double)operations / 1000 : 0;
}

static void sample_disk(const struct machine_disk_stats *d,
                        const struct machine_disk_stats *did, samples_vec *out)
{
    char dev[8];

    vm_device_name(d->slot, dev);
    add(out, RRD_DERIVE, (double)d->read_bytes, INFINITY, "vbd_%s_read", dev);
    add(out, RRD_DERIVE, (double)d->write_bytes, INFINITY, "vbd_%s_write", dev);
    add(out, RRD_DERIVE, (double)d->reads, INFINITY, "vbd_%s_iops_read", dev);
    add(out, RRD_DERIVE, (double)d->writes, INFINITY, "vbd_%s_iops_write", dev);
    add(out, RRD_DERIVE, (double)d->read_bytes / MIB, INFINITY, "vbd_%s_io_throughput_read",
        dev);
    add(out, RRD_DERIVE, (double)d->write_bytes / MIB, INFINITY,
        "vbd_%s_io_throughput_write", dev);
    add(out, RRD_GAUGE, latency_us(did->read_ns, did->reads), INFINITY,
        "vbd_%s_read_latency", dev);
    add(out, RRD_GAUGE, latency_us(did->write_ns, did->writes), INFINITY,
        "vbd_%s_write_latency", dev);
}

static const struct machine_disk_stats *find_disk(const struct machine_disk_stats *v,
                                                  unsigned n, unsigned slot)
{
    for (unsigned i = 0; i < n; i++)
        if (v[i].slot == slot)
            return &v[i];
    return NULL;
}

void sample_vm(const struct look_vm *vm, const struct machine_stats *s,
               const struct machine_disk_stats *before, unsigned n_before, samples_vec *out)
{
    double busy = 0;

    gauge(out, "memory", vm->memory);
    gauge(out, "memory_target", vm->memory_target);
    for (unsigned i = 0; i < s->n_vcpus; i++) {
        add(out, RRD_DERIVE, s->vcpu_seconds[i], 1, "cpu%u", i);
        busy += s->vcpu_seconds[i];
    }
    if (s->n_vcpus > 0)
        add(out, RRD_DERIVE, busy / s->n_vcpus, 1, "cpu_usage");
    for (unsigned i = 0; i < s->n_nics; i++) {
        const struct machine_nic_stats *n = &s->nics[i];

        if (n->slot >= VMSPEC_NICS_MAX || !(vm->nics >> n->slot & 1))
            continue;
        /* As XenServer counts: rx is what the guest receives. */
        add(out, RRD_DERIVE, (double)n->rx_bytes, INFINITY, "vif_%u_rx", n->slot);
        add(out, RRD_DERIVE, (double)n->tx_bytes, INFINITY, "vif_%u_tx", n->slot);
    }
    for (unsigned i = 0; i < s->n_disks; i++) {
        const struct machine_disk_stats *d = &s->disks[i];
        const struct machine_disk_stats *was = find_disk(before, n_before, d->slot);
        struct machine_disk_stats did = { 0 };

        if (was)
            did = stats_since(d, was);
        if (d->slot < VMSPEC_DISKS_MAX && vm->disks >> d->slot & 1)
            sample_disk(d, &did, out);
    }
}

void sample_sr(const struct look_sr *sr, const struct machine_disk_stats *total,
               const char *suffix, samples_vec *out)
{
    const struct machine_disk_stats *t = total;
    const double waited = (double)(t->read_ns + t->write_ns) / 1e9;

    const struct {
        const char *name;
        enum rrd_type type;
        double value, max;
    } rows[] = {
        { "iops_read", RRD_DERIVE, (double)t->reads, INFINITY },
        { "iops_write", RRD_DERIVE, (double)t->writes, INFINITY },
        { "iops_total", RRD_DERIVE, (double)(t->reads + t->writes), INFINITY },
        { "io_throughput_read", RRD_DERIVE, (double)t->read_bytes / MIB, INFINITY },
        { "io_throughput_write", RRD_DERIVE, (double)t->write_bytes / MIB, INFINITY },
        { "io_throughput_total", RRD_DERIVE,
          ((double)t->read_bytes + (double)t->write_bytes) / MIB, INFINITY },
        { "read_latency", RRD_GAUGE, latency_us(sr->did.read_ns, sr->did.reads), INFINITY },
        { "write_latency", RRD_GAUGE, latency_us(sr->did.write_ns, sr->did.writes),
          INFINITY },
        { "iowait", RRD_DERIVE, waited, 1 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        add(out, rows[i].type, rows[i].value, rows[i].max, "%s%s", rows[i].name, suffix);
    if (*suffix)
        return;
    gauge(out, "physical_size", sr->size);
    gauge(out, "physical_utilisation", sr->used);
}

/* Sums */

static uint64_t since(uint64_t now, uint64_t before)
{
    return now >= before ? now - before : now;
}

struct machine_disk_stats stats_since(const struct machine_disk_stats *now,
                                      const struct machine_disk_stats *before)
{
    return (struct machine_disk_stats){
        .slot = now->slot,
        .read_bytes = since(now->read_bytes, before->read_bytes),
        .write_bytes = since(now->write_bytes, before->write_bytes),
        .reads = since(now->reads, before->reads),
        .writes = since(now->writes, before->writes),
        .read_ns = since(now->read_ns, before->read_ns),
        .write_ns = since(now->write_ns, before->write_ns),
    };
}

void stats_add(struct machine_disk_stats *sum, const struct machine_disk_stats *more)
{
    sum->read_bytes += more->read_bytes;
    sum->write_bytes += more->write_bytes;
    sum->reads += more->reads;
    sum->writes += more->writes;
    sum->read_ns += more->read_ns;
    sum->write_ns += more->write_ns;
}
