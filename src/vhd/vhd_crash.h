/* SPDX-License-Identifier: Apache-2.0 */
/* Test code: power cuts. A workload runs on files in memory while everything is logged; then the log is
 * walked, and at each step the states that a disk might hold are built and opened. Each sector must hold
 * what it held at the last completed flush, or something written to it since. One thread. */
#ifndef VHD_VHD_CRASH_H
#define VHD_VHD_CRASH_H

#include "base/util.h"

struct crash_run {
    uint64_t max_states; /* stop after so many; 0: no limit */
    unsigned subsets;    /* random subsets per step where not all are tried */
    unsigned all_below;  /* up to so many pending operations all subsets are tried */
    bool verbose;        /* say what a violation was */
    /* results */
    uint64_t states, violations, workloads;
    char first[512]; /* the first violation */
};

#define CRASH_EXHAUSTIVE \
    3330 /* workloads of up to three operations; later ids are random ones of 200 */

void crash_workload(struct crash_run *run, uint64_t id);
#endif
