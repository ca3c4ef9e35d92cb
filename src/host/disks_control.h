/* SPDX-License-Identifier: Apache-2.0 */
/* Inside disks only: one request to the control socket of a serai-disk and its answer. The messages are described in
 * diskd/control.h. Thread: any; a connection for each request. */
#ifndef HOST_DISKS_CONTROL_H
#define HOST_DISKS_CONTROL_H

#include "base/buf.h"
#include "base/deadline.h"
#include "base/err.h"

/* A listening socket of that name in the directory. -1: errno. */
int disks_control_listen(const char *dir, const char *name) MUST_CHECK;
/* request: the verb and its lines. fd: passed with it, -1: none. reply: NULL or what follows "ok". Errors:
 * SR_BACKEND_FAILURE(status, "", text). */
int disks_control_ask(const char *dir, const char *name, const struct buf *request, int fd,
                      const struct deadline *d, struct buf *reply, struct err *err)
    MUST_CHECK;
/* A connection for events alone; -1: errno. */
int disks_control_connect(const char *dir, const char *name) MUST_CHECK;
/* The value of a line of a reply. Given; NULL: there is none. */
char *disks_control_value(const char *reply, const char *key) MUST_CHECK;
#endif
