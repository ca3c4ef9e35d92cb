/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies that are streams. As with all PUTs here, 200 is answered before the body is read, and an empty one of no task only
 * looks for redirections; what goes wrong later is told by the task. Clients that do not know the length announce 2^50
 * bytes, and end the connection. */
#ifndef SERAID_UPLOAD_H
#define SERAID_UPLOAD_H

#include "host/foreign.h"
#include "ops/call.h"
#include "seraid/auth.h"

struct upload {
    struct exchange *x;
    uint64_t left; /* UINT64_MAX: until the peer ends */
    int cancel_fd;
};

/* False: there is nothing to read, and the request has been answered. */
bool upload_begin(struct upload *u, struct exchange *x, struct auth *a) MUST_CHECK;
/* Some bytes of the body of arg, a struct upload; 0: its end; -1 with errno. */
ssize_t upload_read(void *arg, void *p, size_t n) MUST_CHECK;
/* The same for who waits for several things at once. u: borrowed. */
struct foreign_source upload_source(struct upload *u);
/* Nothing was sent, and no task waits: a client that looked for a redirection, announcing 2^50 bytes. The real request may
 * come before this one is cut, so what is not sure of its first byte should hold nothing. */
bool upload_silent(struct upload *u, const struct auth *a) MUST_CHECK;
/* Ends the task, if there is one. result: as task_end() takes it. what: for the log. */
void upload_end(struct upload *u, struct auth *a, const char *what, const char *result,
                const struct err *err);
/* The same with what was made as the result. */
void upload_end_refs(struct upload *u, struct auth *a, const char *what,
                     const struct set_ref *made, const struct err *err);
/* The call in whose name the request acts. */
struct call upload_call(const struct exchange *x, const struct auth *a, unsigned call_id);
#endif
