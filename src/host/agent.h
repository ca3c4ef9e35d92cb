/* SPDX-License-Identifier: Apache-2.0 */
/* The guest agent's port: qemu-guest-agent's protocol over a virtio-serial channel. What comes back is the guest's word:
 * bounded, checked to be UTF-8 and JSON, and never waited for without a deadline. */
#ifndef HOST_AGENT_H
#define HOST_AGENT_H

#include "base/deadline.h"
#include "base/err.h"

#define AGENT_REPLY_MAX (64U << 10)

/* Connect to the port's socket, synchronise, run one command (a JSON object), disconnect. *reply_out: given, the "return" or
 * "error" object as text. QEMU serves one client at a time: others wait in the socket's queue.
 * Errors: INVALID_VALUE(command), TASK_CANCELLED, INTERNAL_ERROR("The guest agent ..."). Thread: any. */
int agent_command(const char *socket_path, const char *command_json, char **reply_out,
                  const struct deadline *d, struct err *err) MUST_CHECK;
#endif
