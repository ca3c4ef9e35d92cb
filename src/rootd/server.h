/* SPDX-License-Identifier: Apache-2.0 */
/* The one socket. A connection carries one request and its reply; each is served by a process of its own. */
#ifndef ROOTD_SERVER_H
#define ROOTD_SERVER_H

#include "rootd/rootd.h"

/* Bind the socket, for c->user alone. -1 with errno. */
int server_listen(const struct config *c) MUST_CHECK;
/* Until SIGTERM or SIGINT (which the caller has blocked). c changes only when the hypervisor's binary does. */
int server_run(struct config *c, int fd) MUST_CHECK;
/* A connection to such a socket. -1 with errno. */
int server_connect(const char *path) MUST_CHECK;
#endif
