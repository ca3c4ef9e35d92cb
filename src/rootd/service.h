/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that answer on the network (dnsmasq) cannot be started by the process that the daemon talks to: its filter, which
 * all that it starts inherits, lets nothing open a socket of IP. So a second one, made before that filter is put on, takes
 * requests from it alone, by the same gate. It ends with the first; what it started runs on. */
#ifndef ROOTD_SERVICE_H
#define ROOTD_SERVICE_H

#include "rootd/rootd.h"

/* Make it. Before the process is confined. -1 with errno. */
int service_start(struct config *c, const unsigned *caps, size_t n_caps) MUST_CHECK;
/* Have it do a request. *fd_out: given, -1: none came. Errors: a sentence in out. */
int service_ask(const struct config *c, const struct buf *request, struct buf *out,
                int *fd_out) MUST_CHECK;
#endif
