/* SPDX-License-Identifier: Apache-2.0 */
/* One RPC request to its answer: method, session, role, arguments, execution, and the one log line of the call. The only
 * place that answers clients with errors. */
#ifndef SERAID_DISPATCH_H
#define SERAID_DISPATCH_H

#include "ops/call.h"
#include "wire/rpc.h"

struct pool;

struct dispatch_peer {
    const char *ip, *user_agent; /* may be NULL */
    bool local_trusted;
};

/* The threads that Async calls run on; before the first request. Borrowed. */
void dispatch_init(struct pool *tasks);
/* The whole answer in out and pieces, which are empty. Everything in it is durable. Blocks as the call does. Thread: any. */
void dispatch_rpc(const struct rpc_req *req, const struct dispatch_peer *peer,
                  struct buf *out, struct pieces *pieces);
/* The same for a caller in this process. params: an array, the session first. result_out: given. */
int dispatch_call(const char *method, json_t *params, const struct dispatch_peer *peer,
                  json_t **result_out, struct err *err) MUST_CHECK;
#endif
