/* SPDX-License-Identifier: Apache-2.0 */
/* The networks of this host. */
#ifndef OPS_NETWORK_H
#define OPS_NETWORK_H

#include "ops/call.h"

#define NETWORK_FIRST_BRIDGE "user0" /* of the network that a new pool has */

/* At the start, before machines are connected to: what a daemon that died has left of networks goes. What cannot be
 * done is logged. */
void network_boot(void) EXCLUDES(db_mutex);
#endif
