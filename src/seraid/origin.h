/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that a page of another site made a browser send. Such a request carries the cookie of a session that its sender
 * does not know; the browser says where it comes from, and other programs say nothing. Pure. */
#ifndef SERAID_ORIGIN_H
#define SERAID_ORIGIN_H

#include "wire/http.h"

/* The name of the cookie that holds a session. */
#define ORIGIN_COOKIE "session_id"

/* Does the request name an origin that is not this server? */
bool origin_foreign(const struct http_req *r);
/* Is it to be refused: foreign, of a kind that acts, and by the session of a cookie? */
bool origin_refused(const struct http_req *r);
#endif
