/* SPDX-License-Identifier: Apache-2.0 */
/* One connection on a worker: handshake, request heads, routing, keep-alive. */
#ifndef SERAID_SERVE_H
#define SERAID_SERVE_H

#include "base/clock.h"
#include "seraid/listen.h"
#include "wire/http.h"

/* A request being answered. A handler answers exactly once; when it has read the request's body, or made the stream its
 * own, it says so. */
struct exchange {
    struct conn *conn;
    struct http_req *req;
    bool body_read; /* what follows on the connection is the next request */
    bool close;     /* nothing more may follow */
};

typedef void (*serve_fn)(struct exchange *x);

#define SERVE_HEAD_US   (10 * US_PER_SEC)
#define SERVE_BODY_US   (60 * US_PER_SEC)
#define SERVE_ANSWER_US (120 * US_PER_SEC)

void serve_init(
    struct tls_server *tls); /* borrowed; NULL: no TLS. Before the first connection */
void serve_peer(void *peer); /* a pool_fn; takes the struct peer */

/* When to give up on a client that neither reads nor writes, or when the daemon stops. */
struct deadline serve_deadline(int64_t us);
/* The whole body of the request, at most out->max. False: refused, with the header lines extra (may be NULL), or the
 * connection broke. */
bool serve_body(struct exchange *x, struct buf *out, const char *extra) MUST_CHECK;
/* A whole answer. Failures end the connection. */
void serve_answer(struct exchange *x, const struct http_resp *resp);
/* The same with one line of text; it says why when the status does not. */
void serve_text(struct exchange *x, int status, const char *extra, const char *text);
/* The same for what http.h or rpc.h could not read: its sentence, and where. */
void serve_malformed(struct exchange *x, int status, const char *extra,
                     const struct err *err);
#endif
