/* SPDX-License-Identifier: Apache-2.0 */
/* The door: one loop thread accepts connections; those that are silent are parked here. The workers take the readable
 * ones, serve them (serve.h) and park them again. A parked connection costs a small struct, its descriptor and, with
 * TLS, the state of the cipher: thousands may be silent. */
#ifndef SERAID_LISTEN_H
#define SERAID_LISTEN_H

#include "base/clock.h"
#include "base/list.h"
#include "wire/conn.h"

enum listen_kind { LISTEN_TLS, LISTEN_PLAIN, LISTEN_UNIX };

/* A connection. Belongs to the door while parked, else to the one worker that serves it. */
struct peer {
    struct list link; /* in the order of parking; the door's */
    int fd;           /* until conn is made of it */
    struct conn *conn;
    enum listen_kind kind;
    int64_t parked_us;
    int64_t rest_us; /* how long it should not be looked at */
};

#define LISTEN_MAX_PEERS 20000
#define LISTEN_IDLE_US   (300 * US_PER_SEC)

int listen_init(struct err *err) MUST_CHECK;
/* Of a listening socket of TCP, for those accepted from it: small answers go at once, and connections whose peer has vanished
 * end within two minutes. */
void listen_tune(int fd);
int listen_add(int fd, enum listen_kind kind) MUST_CHECK; /* takes fd, a listening socket */
/* Runs the loop on this thread until SIGTERM or SIGINT (both must be blocked in all threads), then closes
 * the listening sockets, and makes listen_stop_fd() readable. */
int listen_run(struct err *err) MUST_CHECK;
/* Wait for a readable connection and serve it; a pool_fetch_fn. False: the daemon stops. */
bool listen_serve(void *arg);
/* Closes the parked connections, after the workers' end. */
void listen_done(void);
/* Becomes readable when the daemon stops: a cancel descriptor for whatever waits on a client. Borrowed. */
int listen_stop_fd(void);

/* From a worker, for the peer that it was given. Thread: any. */
void listen_park(struct peer *p);
void listen_rest(struct peer *p,
                 int64_t us);     /* the same, and nobody looks at it for so long */
void listen_drop(struct peer *p); /* closes it */
#endif
