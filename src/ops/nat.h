/* SPDX-License-Identifier: Apache-2.0 */
/* Networks with other_config:nat=true: their guests reach the outside by the host's address, and get their own by DHCP. */
#ifndef OPS_NAT_H
#define OPS_NAT_H

#include "ops/call.h"

/* Start the thread; nothing on a host without rights. */
int nat_init(struct err *err) MUST_CHECK;
void nat_done(void);
/* Something has changed: networks, interfaces, addresses. Thread: any, db_mutex held or not. */
void nat_poke(void);
#endif
