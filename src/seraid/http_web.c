/* SPDX-License-Identifier: Apache-2.0 */
/* GET of what nothing else serves: one small page at "/", 404 elsewhere. Runs on a worker. */
#include "base/mem.h"
#include "seraid/auth.h"
#include "seraid/handlers.h"

static const char page[] =
    "<!doctype html>\n"
    "<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Serai</title></head>\n"
    "<body><h1>Serai " SERAI_VERSION "</h1>\n"
    "<p>This host serves the XenAPI: XML-RPC by POST to any path, JSON-RPC by POST to "
    "<code>/jsonrpc</code>.</p>\n"
    "<p>On its command line: <code>serai help</code>.</p></body></html>\n";

void http_web_get(struct exchange *x)
{
    if (!str_eq(x->req->path, "/")) {
        auth_refuse_path(x);
        return;
    }
    serve_answer(
        x, &(struct http_resp){ .status = 200,
                                .content_type = "text/html; charset=utf-8",
                                .extra = "X-Content-Type-Options: nosniff\r\n"
                                         "Content-Security-Policy: default-src 'none'\r\n",
                                .body = page,
                                .body_len = sizeof(page) - 1 });
}
