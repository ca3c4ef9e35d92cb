/* SPDX-License-Identifier: Apache-2.0 */
/* GET of what nothing else serves: the web console's files, or one small page at "/" where it was not built; 404 elsewhere.
 * Runs on a worker. */
#include "base/mem.h"
#include "seraid/auth.h"
#include "seraid/handlers.h"
#include "seraid/web_files.h"

static const char page[] =
    "<!doctype html>\n"
    "<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Serai</title></head>\n"
    "<body><h1>Serai " SERAI_VERSION "</h1>\n"
    "<p>This host serves the XenAPI: XML-RPC by POST to any path, JSON-RPC by POST to "
    "<code>/jsonrpc</code>. Its web console was not built.</p>\n"
    "<p>On its command line: <code>serai help</code>.</p></body></html>\n";

/* Styles inside the page are allowed for the terminal, which makes its own; scripts are not. */
#define SECURITY                                                                        \
    "X-Content-Type-Options: nosniff\r\n"                                               \
    "X-Frame-Options: DENY\r\n"                                                         \
    "Referrer-Policy: no-referrer\r\n"                                                  \
    "Cross-Origin-Opener-Policy: same-origin\r\n"                                       \
    "Cross-Origin-Resource-Policy: same-origin\r\n"                                     \
    "Permissions-Policy: camera=(), geolocation=(), microphone=()\r\n"                  \
    "Content-Security-Policy: default-src 'none'; script-src 'self'; "                  \
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self';" \
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"

static void answer_plain(struct exchange *x)
{
    serve_answer(x, &(struct http_resp){ .status = 200,
                                         .content_type = "text/html; charset=utf-8",
                                         .extra = SECURITY,
                                         .body = page,
                                         .body_len = sizeof(page) - 1 });
}

static void answer_file(struct exchange *x, const struct web_file *f)
{
    static const char *const codings[WEB_CODINGS] = { "", "Content-Encoding: gzip\r\n",
                                                      "Content-Encoding: br\r\n" };
    enum web_coding coding = web_files_choose(f, http_header(x->req, "Accept-Encoding"));
    const char *have = http_header(x->req, "If-None-Match");
    bool same = have && http_list_has(have, f->etag);
    AUTO(free_str)
    char *extra = str_fmt(SECURITY "Vary: Accept-Encoding\r\nETag: %s\r\n"
                                   "Cache-Control: %s\r\n%s",
                          f->etag,
                          f->immutable ? "public, max-age=31536000, immutable" : "no-cache",
                          same ? "" : codings[coding]);

    serve_answer(x, &(struct http_resp){ .status = same ? 304 : 200,
                                         .content_type = same ? NULL : f->type,
                                         .extra = extra,
                                         .body = same ? NULL : buf_str(&f->body[coding]),
                                         .body_len = same ? 0 : f->body[coding].len });
}

void http_web_get(struct exchange *x)
{
    const struct web_file *f = web_files_find(x->req->path);

    if (f)
        answer_file(x, f);
    else if (str_eq(x->req->path, "/"))
        answer_plain(x);
    else
        auth_refuse_path(x);
}
