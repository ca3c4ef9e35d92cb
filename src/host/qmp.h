/* SPDX-License-Identifier: Apache-2.0 */
/* One QMP connection. The machine thread (a base/loop) reads; any thread may send commands and wait for the answer.
 * A command that timed out leaves the connection usable: its answer is dropped when it comes.
 *
 * What comes in is trusted to be from a QEMU that a guest may have taken over: bounded, parsed strictly, and one
 * malformed line ends the connection. */
#ifndef HOST_QMP_H
#define HOST_QMP_H

#include <jansson.h>

#include "base/deadline.h"
#include "base/err.h"
#include "base/loop.h"

#define QMP_MESSAGE_MAX (1U << 20)

struct qmp;

/* Runs on the loop's thread, no lock held, must not block. event NULL: the connection has ended, the last call. */
typedef void (*qmp_event_fn)(void *arg, const char *event, const json_t *data);

/* Take a connected socket and begin the negotiation; nothing has to be listening yet. arg must outlive every loop_post
 * that was made before qmp_close() returned. */
struct qmp *qmp_open(struct loop *loop, int fd, qmp_event_fn fn, void *arg);
void qmp_close(struct qmp *q);
/* Another reference, for a caller that uses the connection while somebody else may close it. */
struct qmp *qmp_hold(struct qmp *q);
void qmp_release(struct qmp *q);

/* Wait until QEMU has built its machine and takes commands. */
int qmp_ready(struct qmp *q, const struct deadline *d, struct err *err) MUST_CHECK;
bool qmp_is_open(struct qmp *q);

/* Run one command. args: taken, may be NULL. fd: -1, or sent along, borrowed. *ret_out: given, may be NULL if not wanted.
 * Errors: TASK_CANCELLED, INTERNAL_ERROR (QEMU's text; refused, ended or too late). */
int qmp_command(struct qmp *q, const char *name, json_t *args, int fd, json_t **ret_out,
                const struct deadline *d, struct err *err) MUST_CHECK;
#endif
