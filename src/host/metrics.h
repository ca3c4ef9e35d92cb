/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of this host and of processes, from /proc. What cannot be read is left out. Thread: any; no state. */
#ifndef HOST_METRICS_H
#define HOST_METRICS_H

#include "base/util.h"

#define METRICS_NICS_MAX 64

struct metrics_nic {
    char name[16];
    uint64_t rx_bytes, tx_bytes;
};

struct metrics_host {
    double loadavg;
    uint64_t memory_total_kib, memory_free_kib; /* free: what new work could have */
    double *cpu_busy_seconds; /* by number, since boot; NAN: no such processor */
    size_t n_cpus;
    struct metrics_nic nics[METRICS_NICS_MAX];
    size_t n_nics;
};

/* False: this is no Linux as we know it (err: nothing more to say). */
bool metrics_read_host(struct metrics_host *out) MUST_CHECK;
void metrics_host_done(struct metrics_host *m);

/* The parts of it, for what /proc/stat and /proc/net/dev say. */
void metrics_parse_stat(const char *text, unsigned ticks_per_second,
                        struct metrics_host *out);
void metrics_parse_net_dev(const char *text, struct metrics_host *out);

/* The threads of a QEMU process that are its virtual processors, by number; found once by their names
 * ("CPU 3/KVM", "CPU 3/TCG"), as long as they live. */
#define METRICS_VCPUS_MAX 256

struct metrics_vcpus {
    int pid;
    unsigned n;
    int *tids; /* 0: none of that number */
};

void metrics_vcpus_done(struct metrics_vcpus *v);
/* seconds_out: room for METRICS_VCPUS_MAX; processor time of each since it started, NAN: unknown. Returns how many. */
unsigned metrics_vcpu_times(struct metrics_vcpus *v, int pid, double *seconds_out);
/* "1234 (CPU 0/TCG) S ...": its vCPU number and its time; false: no thread of a vCPU. */
bool metrics_parse_thread(const char *text, unsigned ticks_per_second, unsigned *vcpu_out,
                          double *seconds_out);
#endif
