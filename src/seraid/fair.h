/* SPDX-License-Identifier: Apache-2.0 */
/* What each caller has had of the processors lately: one bucket each, filled by an eighth of the machine's time. Whoever has
 * emptied his while others call as well rests until it is filled again; alone he may have all, and owes nothing for it
 * when others come. A caller is an address and a User-Agent, as XenServer tells clients apart. Thread: any. */
#ifndef SERAID_FAIR_H
#define SERAID_FAIR_H

#include "base/util.h"

/* used_us of processor time have been spent for the caller, at now_us (clock_now_us() time). Returns the microseconds
 * that he should rest before he is served again, mostly 0. agent may be NULL. */
int64_t fair_charge(const char *address, const char *agent, int64_t used_us,
                    int64_t now_us);
#endif
