/* SPDX-License-Identifier: Apache-2.0 */
/* Percent-encoding and query strings. Pure. */
#ifndef WIRE_URL_H
#define WIRE_URL_H

#include "base/buf.h"

struct url_param {
    char *name, *value;
};

struct url_params {
    struct url_param *v;
    size_t n;
};

/* "/a%20b" decoded in place; false: bad escape or a NUL. plus: '+' is a space (queries). */
bool url_decode(char *s, bool plus);
bool url_parse_query(const char *query, struct url_params *out); /* at most 64 parameters */
void url_params_done(struct url_params *p);
const char *url_param(const struct url_params *p, const char *name); /* NULL: absent */
void url_encode(struct buf *out, const char *s); /* everything but unreserved characters */

struct url {
    char *scheme, *host, *path_query;
    unsigned port; /* default of the scheme when absent */
};

bool url_parse(const char *text, struct url *out); /* http and https */
void url_done(struct url *u);
#endif
