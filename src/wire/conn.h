/* SPDX-License-Identifier: Apache-2.0 */
/* A byte stream with deadlines: a plain or TLS socket, server or client side, with a small read buffer so that
 * a parser can give bytes back. One thread at a time uses a conn. Failures: -1 with errno
 * (ETIMEDOUT, ECANCELED, ECONNRESET, EPROTO for a TLS failure, EKEYREJECTED for a server that is not trusted).
 * No operation raises SIGPIPE, on TLS neither. */
#ifndef WIRE_CONN_H
#define WIRE_CONN_H

#include <sys/types.h>
#include <sys/uio.h>

#include "base/buf.h"
#include "base/deadline.h"
#include "base/err.h"

struct conn;
struct
    tls_server; /* a certificate and key, shared by connections; may be freed while connections made by it live */
struct tls_client; /* how to trust a server */

struct conn *conn_plain(int fd); /* takes fd */
/* TLS 1.2 and 1.3. The handshake is done here. Takes fd, also on failure. */
struct conn *conn_accept_tls(int fd, struct tls_server *t, const struct deadline *d);
struct conn *conn_connect_tls(int fd, struct tls_client *t, const char *name,
                              const struct deadline *d);
void conn_close(struct conn **c); /* orderly (TLS close_notify), frees; fit for AUTO */
int conn_fd(const struct conn *c);
bool conn_is_tls(const struct conn *c);
bool conn_buffered(const struct conn *c);    /* bytes at hand without reading the socket */
const char *conn_peer(const struct conn *c); /* "10.0.0.7", "unix:1000" (uid) */
bool conn_local_trusted(
    const struct conn *c); /* unix socket and the peer's uid is ours or 0 */

ssize_t conn_read(struct conn *c, void *p, size_t len, const struct deadline *d)
    MUST_CHECK; /* 0: end */
int conn_read_full(struct conn *c, void *p, size_t len, const struct deadline *d)
    MUST_CHECK; /* EPIPE: ended early */
void conn_unread(struct conn *c, const void *p,
                 size_t len); /* in front of what comes next */
int conn_write(struct conn *c, const void *p, size_t len, const struct deadline *d)
    MUST_CHECK; /* all of it */
/* All of the vectors, which it changes. */
int conn_writev(struct conn *c, struct iovec *v, size_t n, const struct deadline *d)
    MUST_CHECK;
/* Copy both ways between c and the socket fd until either ends. Returns 0, or -1 when cancelled. */
int conn_proxy(struct conn *c, int fd, const struct deadline *d) MUST_CHECK;

/* key_file may equal cert_file. Errors: SERVER_CERTIFICATE_* codes with a sentence. */
struct tls_server *tls_server_new(const char *cert_file, const char *key_file,
                                  struct err *err);
/* Show another certificate on connections that begin from now on; those that live go on. Thread: any. */
int tls_server_reload(struct tls_server *t, const char *cert_file, const char *key_file,
                      struct err *err) MUST_CHECK;
void tls_server_free(struct tls_server *t);
/* A self-signed certificate (ECDSA P-256, 10 years) for the names and addresses, key and chain in one PEM file, 0600. */
int tls_make_self_signed(const char *pem_file, const char *const *names, size_t n,
                         struct err *err) MUST_CHECK;
/* SHA-256 fingerprint "AA:BB:..." of the first certificate of the file. Given. */
char *tls_fingerprint(const char *cert_file, struct err *err);
/* ca_file NULL: the system's; pin: trust exactly this fingerprint; insecure: no check. */
struct tls_client *tls_client_new(const char *ca_file, const char *pin, bool insecure,
                                  struct err *err);
void tls_client_free(struct tls_client *t);
#endif
