/* SPDX-License-Identifier: Apache-2.0 */
/* How many calls there were and how long they took, by kind of call, for /metrics. Thread: any; no locks. */
#ifndef SERAID_CALLS_H
#define SERAID_CALLS_H

#include "base/buf.h"
#include "model/schema.h"

void calls_count(const struct call_def *def, int64_t us, bool failed);
void calls_write(struct buf *out); /* as OpenMetrics families */
#endif
