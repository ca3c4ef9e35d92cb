/* SPDX-License-Identifier: Apache-2.0 */
/* An HTTP client for our own programs: JSON-RPC calls over one kept connection, uploads, and CONNECT streams,
 * by unix socket, TCP or TLS. One thread at a time uses a client. */
#ifndef WIRE_CLIENT_H
#define WIRE_CLIENT_H

#include <jansson.h>

#include "wire/conn.h"

struct client_target {
    const char *unix_path; /* or: */
    const char *host;
    unsigned port;
    bool tls;
    struct tls_client *trust; /* borrowed; with tls */
};

struct client;
/* Connects at the first use. Strings are copied. */
struct client *client_new(const struct client_target *target);
void client_free(struct client *c);
/* One JSON-RPC 2 call. params: borrowed array. *result_out: given. An error answer fills err with the XenAPI code and
 * parameters; transport failures give err code HOST_OFFLINE-free text: code INTERNAL_ERROR is never used, detail says
 * what broke and code is CLIENT_TRANSPORT. Reconnects once when a kept connection turned out closed. */
int client_call(struct client *c, const char *method, const json_t *params,
                json_t **result_out, const struct deadline *d, struct err *err) MUST_CHECK;
#define CLIENT_TRANSPORT "CLIENT_TRANSPORT"

/* A request of its own connection: sends the head (extra: header lines with CRLF), reads the answer's head.
 * On status 200/101 the stream is open: the conn is given. Others: NULL, err says status and body. */
struct conn *client_open(const struct client *c, const char *method, const char *path_query,
                         const char *extra, const struct deadline *d, struct err *err);

/* The answer to a GET. conn: taken by the caller, at the beginning of the body; NULL unless status is 200. */
struct client_got {
    int status;
    struct conn *conn;
    uint64_t length; /* of the body; UINT64_MAX: until the server ends */
    char *location;  /* where a redirection goes, given; NULL: it does not say */
};

/* A GET of its own connection, whose body is a stream. -1: as client_call(). */
int client_get(const struct client *c, const char *path_query, const struct deadline *d,
               struct client_got *out, struct err *err) MUST_CHECK;

struct client_ask {
    const char *method, *path_query;
    const char *extra; /* header lines with CRLF, or NULL */
    const void *body;
    size_t len;
};

/* A request of its own connection with a whole body, and its answer of any status: at most answer->max of the body.
 * -1: as client_call(). */
int client_request(const struct client *c, const struct client_ask *ask, int *status_out,
                   struct buf *answer, const struct deadline *d, struct err *err)
    MUST_CHECK;
#endif
