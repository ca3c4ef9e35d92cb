/* SPDX-License-Identifier: Apache-2.0 */
/* Inside stats.c and stats_sample.c: one round of sampling. */
#ifndef OPS_STATS_INT_H
#define OPS_STATS_INT_H

#include "base/vec.h"
#include "host/machine.h"
#include "model/rrd.h"
#include "model/schema.h"

#define STATS_NO_SR SIZE_MAX

typedef VEC(struct rrd_sample) samples_vec;

/* What the records say, copied out. */
struct look_vm {
    char uuid[UUID_TEXT_SIZE];
    double memory, memory_target;
    unsigned n_vcpus;
    bool running;
    size_t sr_of_disk[VMSPEC_DISKS_MAX]; /* index into look.srs or STATS_NO_SR */
    uint64_t disks;                      /* attached, a bit each */
    uint32_t nics;                       /* likewise */
};

struct look_sr {
    char uuid[UUID_TEXT_SIZE];
    double size, used;
    struct machine_disk_stats did; /* by all its disks since the round before */
};

struct look {
    char host[UUID_TEXT_SIZE];
    VEC(struct look_vm) vms;
    VEC(struct look_sr) srs;
    VEC(struct metrics_nic) pifs; /* names, then counters */
};

void look_take(struct look *out);
void look_done(struct look *l);

/* Samples of each kind. */
void sample_host(const struct look *l, struct metrics_host *m, samples_vec *out);
void sample_vm(const struct look_vm *vm, const struct machine_stats *s,
               const struct machine_disk_stats *before, unsigned n_before,
               samples_vec *out);
/* suffix: "" or "_a1b2c3d4"; total: since the beginning, sr->did included. */
void sample_sr(const struct look_sr *sr, const struct machine_disk_stats *total,
               const char *suffix, samples_vec *out);
/* What a disk has done since `before`; it may have been reset. */
struct machine_disk_stats stats_since(const struct machine_disk_stats *now,
                                      const struct machine_disk_stats *before);
void stats_add(struct machine_disk_stats *sum, const struct machine_disk_stats *more);
#endif
