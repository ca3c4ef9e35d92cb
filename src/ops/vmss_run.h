/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshot schedules that run. */
#ifndef OPS_VMSS_RUN_H
#define OPS_VMSS_RUN_H

#include "ops/call.h"

/* The last moment at or before now at which the schedule is to run, in the host's time of day; 0: none in the last week. Pure
 * but for the time zone. */
int64_t vmss_run_last_due(const struct vmss_rec *r, int64_t now_us);
/* The thread that runs what is due, also what came due while the host was off: once. */
int vmss_run_init(struct err *err) MUST_CHECK;
void vmss_run_done(void);
#endif
