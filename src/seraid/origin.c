/* SPDX-License-Identifier: Apache-2.0 */
/* Compares what a browser says of a request's origin with where the request arrived. Keeps nothing. */
#include "seraid/origin.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "wire/ws.h"

/* "host:port" of "https://host:port"; anything else, as "null", is nobody's. */
static const char *host_part(const char *origin)
{
    if (strncasecmp(origin, "https://", 8) == 0)
        return origin + 8;
    return strncasecmp(origin, "http://", 7) == 0 ? origin + 7 : "";
}

bool origin_foreign(const struct http_req *r)
{
    const char *origin = http_header(r, "Origin"), *host = http_header(r, "Host");
    const char *site = http_header(r, "Sec-Fetch-Site");

    if (site && (strcasecmp(site, "cross-site") == 0 || strcasecmp(site, "same-site") == 0))
        return true;
    if (!origin)
        return false;
    return !host || !*host || strcasecmp(host_part(origin), host) != 0;
}

bool origin_refused(const struct http_req *r)
{
    AUTO(free_str) char *cookie = NULL;
    bool reads = r->method == HTTP_GET || r->method == HTTP_HEAD
                 || r->method == HTTP_OPTIONS;

    if (!origin_foreign(r) || (reads && !ws_is_upgrade(r)))
        return false;
    cookie = http_cookie(r, ORIGIN_COOKIE);
    return cookie != NULL;
}
