/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs about networks share. Errors: a sentence in out. */
#ifndef ROOTD_NET_H
#define ROOTD_NET_H

#include "rootd/link.h"
#include "rootd/rootd.h"

/* One request at a time from here on, until this process ends. */
int net_lock(const struct config *c, struct buf *out) MUST_CHECK;
/* The bridge of the request, made where it may be. */
int net_get_bridge(const struct request *r, struct link *bridge, struct buf *out)
    MUST_CHECK;
#endif
