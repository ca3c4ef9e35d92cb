/* SPDX-License-Identifier: Apache-2.0 */
/* What runs inside a guest says about itself, by its agent: VM_guest_metrics. All of it is the guest's word: bounded,
 * checked, asked for at our pace and never waited for by a call. */
#ifndef OPS_GUEST_H
#define OPS_GUEST_H

#include "ops/call.h"

#define GUEST_TEXT_MAX      256 /* bytes of one value */
#define GUEST_ADDRESSES_MAX 16  /* of one interface and family */

/* The answers of an agent: "return" objects as text, or NULL. */
struct guest_answers {
    const char *info, *osinfo, *hostname, *interfaces, *filesystems;
    uint64_t memory_total, memory_free; /* as its balloon driver says; 0: it does not */
};

/* The device number of the VIF with this MAC address, or -1. */
typedef int (*guest_vif_fn)(const char *mac, void *arg);

/* Pure. Fills the maps of out that the answers speak of. */
void guest_report(const struct guest_answers *a, guest_vif_fn vif, void *arg,
                  struct vm_guest_metrics_rec *out);

int guest_init(struct err *err) MUST_CHECK;
void guest_done(void);
/* The agent's port was opened or closed. Thread: any; does not block. */
void guest_port(const char *vm_uuid, bool open);
/* It slept: its clock is to be set as soon as its agent answers. */
void guest_resumed(const char *vm_uuid);
/* Ask it soon: it may be there. */
void guest_look(const char *vm_uuid);
#endif
