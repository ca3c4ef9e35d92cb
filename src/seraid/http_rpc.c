/* SPDX-License-Identifier: Apache-2.0 */
/* RPC by POST: the body is a request of either encoding, told apart by the path and, where that says nothing, by its
 * first character (clients post XML to any path, and JSON to /jsonrpc or /json). Runs on a worker. */
#include <ctype.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "seraid/dispatch.h"
#include "seraid/handlers.h"

#define CORS "Access-Control-Allow-Origin: *\r\n"

static bool is_json(const char *path, const struct buf *body)
{
    const char *p = buf_str(body);

    while (isspace((unsigned char)*p))
        p++;
    if (*p == '{' || *p == '[')
        return true;
    return *p != '<' && (str_starts(path, "/jsonrpc") || str_starts(path, "/json"));
}

static void answer_malformed(struct exchange *x, const struct err *err)
{
    log_info("malformed request from %s: %s", conn_peer(x->conn),
             err->n_params > 0 ? err->params[0] : "?");
    serve_malformed(x, 500, CORS, err);
}

void http_rpc_post(struct exchange *x)
{
    AUTO(buf_done) struct buf body = BUF_INIT(HTTP_BODY_MAX), answer = BUF_INIT(0);
    AUTO(pieces_done) struct pieces pieces = { 0 };
    AUTO(rpc_req_done) struct rpc_req req = { 0 };
    AUTO(err_done) struct err err = { 0 };
    struct dispatch_peer peer = { .ip = conn_peer(x->conn),
                                  .user_agent = http_header(x->req, "User-Agent"),
                                  .local_trusted = conn_local_trusted(x->conn) };
    int rc;

    if (!serve_body(x, &body, CORS))
        return;
    rc = is_json(x->req->path, &body) ? jsonrpc_parse(buf_str(&body), body.len, &req, &err)
                                      : xmlrpc_parse(buf_str(&body), body.len, &req, &err);
    if (rc != 0) {
        answer_malformed(x, &err);
        return;
    }
    explicit_bzero(body.data, body.len); /* there may be a password in it */
    buf_done(&body);                     /* the call may wait for long */
    http_session_fill(x->req, req.params);
    dispatch_rpc(&req, &peer, &answer, &pieces);
    serve_answer(x, &(struct http_resp){ .status = 200,
                                         .content_type = rpc_content_type(req.kind),
                                         .extra = CORS,
                                         .body = buf_str(&answer),
                                         .body_len = answer.len,
                                         .pieces = &pieces });
}
