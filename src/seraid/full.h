/* SPDX-License-Identifier: Apache-2.0 */
/* The full mode, as opposed to --rootless: a user of our own without any rights, machines through serai-rootd, users of
 * the system. Errors are one sentence in err's detail. In the order of a start, on the main thread. */
#ifndef SERAID_FULL_H
#define SERAID_FULL_H

#include "base/err.h"
#include "seraid/options.h"

/* The options' defaults: places and addresses of a system's service. */
void full_defaults(struct options *o);
/* Make the directories for that user where we may (root), else they must be there. */
int full_directories(const struct options *o, struct err *err) MUST_CHECK;
/* Become the user, without capabilities and behind a filter of system calls, for good. After the ports are bound. */
int full_confine(const struct options *o, struct err *err) MUST_CHECK;
/* Machines and passwords through serai-rootd. Before session_init. */
int full_connect(const struct options *o, struct err *err) MUST_CHECK;
#endif
