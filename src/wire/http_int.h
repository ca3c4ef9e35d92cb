/* SPDX-License-Identifier: Apache-2.0 */
/* Inside wire/ only: framing that the server and the client side share. */
#ifndef WIRE_HTTP_INT_H
#define WIRE_HTTP_INT_H

#include "wire/http.h"

/* Append len bytes of body to out. -1 with *status_out and err as http_read_body. */
int http_read_sized(struct conn *c, uint64_t len, struct buf *out, const struct deadline *d,
                    int *status_out, struct err *err) MUST_CHECK;
/* Append a chunked body to out, at most out->max; trailers are dropped. */
int http_read_chunked(struct conn *c, struct buf *out, const struct deadline *d,
                      int *status_out, struct err *err) MUST_CHECK;
#endif
