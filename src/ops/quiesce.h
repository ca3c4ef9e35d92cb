/* SPDX-License-Identifier: Apache-2.0 */
/* File systems of a guest brought to rest for a snapshot, by its agent, and let go again whatever happens: while they rest
 * everything in the guest that writes stands still. Thread: any; blocks on the agent; no lock held. */
#ifndef OPS_QUIESCE_H
#define OPS_QUIESCE_H

#include "ops/call.h"

/* Errors: VM_SNAPSHOT_WITH_QUIESCE_NOT_SUPPORTED, _FAILED, _TIMEOUT; nothing rests then, or it will be let go. */
int quiesce_freeze(const struct ref *vm, const char *vm_uuid, const struct deadline *d,
                   struct err *err) MUST_CHECK;
/* After quiesce_freeze() that went well. An agent that does not answer is asked on until it does. */
void quiesce_thaw(const char *vm_uuid);
/* Let go what no snapshot holds: a daemon died, or an agent did not answer. True: nothing rests. */
bool quiesce_settle(const char *vm_uuid);
/* Something may rest in it. */
bool quiesce_marked(const char *vm_uuid);
#endif
