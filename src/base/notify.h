/* SPDX-License-Identifier: Apache-2.0 */
/* sd_notify(3) by hand: a datagram to $NOTIFY_SOCKET. Nothing happens without that. */
#ifndef BASE_NOTIFY_H
#define BASE_NOTIFY_H

#include "base/util.h"

void notify_send(const char *state); /* "READY=1", "STOPPING=1" */
#endif
