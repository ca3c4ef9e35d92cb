/* SPDX-License-Identifier: Apache-2.0 */
/* Inside wire/ only: what tls.c and the proxies need of a connection. */
#ifndef WIRE_CONN_INT_H
#define WIRE_CONN_INT_H

#include <openssl/ssl.h>

#include "wire/conn.h"

/* A connection over fd with the TLS state ssl (taken; NULL: plain). Takes fd. */
struct conn *conn_new(int fd, SSL *ssl);

/* The descriptor, which lives on, of a plain connection with nothing read ahead; frees the connection. */
int conn_release(struct conn **c);

/* One attempt that never waits: bytes moved, 0 at the end of the stream (read only), or -1 with errno; EAGAIN fills
 * *want_out with the poll(2) events to wait for. */
ssize_t conn_try_read(struct conn *c, void *p, size_t len, short *want_out) MUST_CHECK;
ssize_t conn_try_write(struct conn *c, const void *p, size_t len, short *want_out)
    MUST_CHECK;

/* What stands between the two sides of a proxy. to_conn and to_fd are what is queued for each side; both are bounded
 * because nothing more is read for a side whose queue is full. false: stop, once the queues are written. */
struct conn_codec {
    bool (*from_conn)(void *arg, char *p, size_t len, struct buf *to_fd,
                      struct buf *to_conn);
    bool (*from_fd)(void *arg, const char *p, size_t len, struct buf *to_conn);
    void (*fd_ended)(void *arg, struct buf *to_conn); /* last words; may be NULL */
    void *arg;
};

int conn_pump(struct conn *c, int fd, const struct conn_codec *codec,
              const struct deadline *d) MUST_CHECK;

/* The BIO under every TLS connection: like a socket BIO, but never a SIGPIPE. */
BIO *conn_bio_new(int fd);
#endif
