/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual interfaces and what is behind them: a tap on the bridge of their network, bounded as their record says. On a
 * host without rights there is none of it, and all of this does nothing. */
#ifndef OPS_VIF_H
#define OPS_VIF_H

#include "ops/vm.h"

/* Copy a VIF with what its network says. out holds what is to be freed also when it fails.
 * Errors: REQUIRED_PIF_IS_UNPLUGGED(PIF). */
int vif_part_copy(const struct vif_rec *vif, struct vm_part_nic *out, struct err *err)
    MUST_CHECK REQUIRES(db_mutex);
/* Make its tap. Errors: BRIDGE_NOT_AVAILABLE(bridge). */
int vif_part_open(struct vm_part_nic *nic, int64_t domid, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
void vif_part_done(struct vm_part_nic *nic);
/* What a machine has already becomes what the record says. Nothing for one that is not plugged in. */
int vif_apply(const struct ref *vif, struct err *err) MUST_CHECK EXCLUDES(db_mutex);
/* The same for all of the network. */
int vif_apply_network(const struct ref *network, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
/* A record that a caller filled. Errors: INVALID_IP_ADDRESS_SPECIFIED(field), VALUE_NOT_SUPPORTED(...), INVALID_VALUE(...). */
int vif_check(const struct vif_rec *vif, struct err *err) MUST_CHECK REQUIRES(db_mutex);
/* A machine has ended: its bounds go. */
void vif_gone(const struct ref *vm) EXCLUDES(db_mutex);
#endif
