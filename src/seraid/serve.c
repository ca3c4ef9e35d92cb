/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a connection between two silences. Runs on a worker; whenever it waits for the client that is declared
 * (deadline_poll() does), so that slow clients cost threads and never the places of others. */
#include "seraid/serve.h"

#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "seraid/auth.h"
#include "seraid/fair.h"
#include "seraid/handlers.h"
#include "seraid/origin.h"
#include "seraid/pool.h"

#define LINGER_BYTES (1024 * 1024)
#define LINGER_US    US_PER_SEC

struct route {
    enum http_method method;
    bool
        waits; /* for the client, a guest or storage: its worker is declared blocked throughout */
    const char *prefix;
    serve_fn fn;
};

/* The longest prefix of the path wins, so that "/import_raw_vdi/" is "/import_raw_vdi". */
static const struct route routes[] = {
    { HTTP_POST, false, "/", http_rpc_post },
    { HTTP_POST, false, "/cli", http_cli_post },
    { HTTP_POST, false, "/web/login", http_session_login },
    { HTTP_POST, false, "/web/logout", http_session_logout },
    { HTTP_GET, false, "/web/session", http_session_get },
    { HTTP_GET, true, "/audit_log", http_audit_get },
    { HTTP_GET, true, "/blob", http_blob_get },
    { HTTP_PUT, true, "/blob", http_blob_put },
    { HTTP_GET, true, "/export", http_xva_export },
    { HTTP_PUT, true, "/import", http_xva_import },
    { HTTP_PUT, true, "/import_image", http_image_put },
    { HTTP_HEAD, true, "/import_image", http_image_head },
    { HTTP_GET, true, "/import_image", http_image_head },
    { HTTP_GET, true, "/export_raw_vdi", http_transfer_export_raw },
    { HTTP_PUT, true, "/import_raw_vdi", http_transfer_import_raw },
    { HTTP_CONNECT, true, "/console", http_console_connect },
    { HTTP_GET, true, "/console", http_console_websocket },
    { HTTP_GET, false, "/rrd_updates", http_rrd_updates },
    { HTTP_GET, false, "/host_rrd", http_rrd_host },
    { HTTP_GET, false, "/vm_rrd", http_rrd_vm },
    { HTTP_GET, false, "/sr_rrd", http_rrd_sr },
    { HTTP_GET, true, "/export_metadata", http_metadata_export },
    { HTTP_PUT, true, "/import_metadata", http_metadata_import },
    { HTTP_GET, true, "/system-status", http_status_get },
    { HTTP_GET, true, "/pool/xmldbdump", http_pool_get_dump },
    { HTTP_PUT, true, "/pool/xmldbdump", http_pool_put_dump },
    { HTTP_GET, true, "/messages", http_pool_get_messages },
    { HTTP_PUT, true, "/messages", http_pool_put_messages },
    { HTTP_GET, false, "/metrics", http_metrics_get },
    { HTTP_GET, false, "/", http_web_get },
    { HTTP_HEAD, false, "/", http_web_get },
};

static struct tls_server *server_tls; /* set before the first connection */

void serve_init(struct tls_server *tls)
{
    server_tls = tls;
}

struct deadline serve_deadline(int64_t us)
{
    return deadline_in_cancel(us, listen_stop_fd());
}

void serve_answer(struct exchange *x, const struct http_resp *resp)
{
    /* Not cancelled by the stop of the daemon: an answer under way gets its moment. */
    struct deadline d = deadline_in(SERVE_ANSWER_US);
    struct http_resp r = *resp;

    r.close = r.close || x->close || !x->body_read;
    if (http_respond(x->conn, x->req, &r, &d) != 0)
        x->close = true;
    x->close = x->close || r.close;
}

void serve_text(struct exchange *x, int status, const char *extra, const char *text)
{
    AUTO(free_str) char *line = str_fmt("%s\n", text ? text : http_reason(status));

    serve_answer(x, &(struct http_resp){ .status = status,
                                         .content_type = "text/plain; charset=utf-8",
                                         .extra = extra,
                                         .body = line,
                                         .body_len = __builtin_strlen(line) });
}

void serve_malformed(struct exchange *x, int status, const char *extra,
                     const struct err *err)
{
    AUTO(buf_done) struct buf text = BUF_INIT(0);

    if (err->n_params > 0)
        buf_add_str(&text, err->params[0]);
    if (err->detail)
        buf_addf(&text, text.len ? " (%s)" : "%s", err->detail);
    serve_text(x, status, extra, text.len ? buf_str(&text) : NULL);
}

bool serve_body(struct exchange *x, struct buf *out, const char *extra)
{
    struct deadline d = serve_deadline(SERVE_BODY_US);
    AUTO(err_done) struct err err = { 0 };
    int status = 0, rc = http_read_body(x->conn, x->req, out, &d, &status, &err);

    x->body_read = rc == 0;
    if (rc == 0)
        return true;
    x->close = true;
    if (status != 0)
        serve_malformed(x, status, extra, &err);
    return false;
}

static const struct route *find_route(const struct http_req *r)
{
    const struct route *best = NULL;
    size_t best_len = 0;

    for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
        size_t len = __builtin_strlen(routes[i].prefix);

        if (routes[i].method == r->method && len > best_len
            && str_starts(r->path, routes[i].prefix)) {
            best = &routes[i];
            best_len = len;
        }
    }
    return best;
}

static void answer_options(struct exchange *x)
{
    serve_answer(
        x, &(struct http_resp){
               .status = 200,
               .extra = "Access-Control-Allow-Origin: *\r\n"
                        "Access-Control-Allow-Methods: POST, GET, PUT, OPTIONS\r\n"
                        "Access-Control-Allow-Headers: Content-Type, Authorization\r\n"
                        "Access-Control-Max-Age: 86400\r\n" });
}

static void run(const struct route *r, struct exchange *x)
{
    if (r->waits && !pool_blocked_begin()) {
        serve_text(x, 503, "Retry-After: 5\r\n", NULL);
        return;
    }
    r->fn(x);
    if (r->waits)
        pool_blocked_end();
}

static void route(struct exchange *x)
{
    const struct route *r = find_route(x->req);

    if (origin_refused(x->req))
        serve_text(x, 403, NULL, "This request comes from a page of another site.");
    else if (r)
        run(r, x);
    else if (x->req->method == HTTP_OPTIONS)
        answer_options(x);
    else if (x->req->method == HTTP_DELETE || x->req->method == HTTP_OTHER)
        serve_text(x, 405, "Allow: GET, HEAD, POST, PUT, CONNECT, OPTIONS\r\n", NULL);
    else
        auth_refuse_path(x);
}

/* Read what the client still sends, for a moment: closing over unread data would destroy the answer on its way. */
static void linger(struct conn *c)
{
    struct deadline d = serve_deadline(LINGER_US);
    char waste[4096];
    size_t total = 0;
    ssize_t n;

    if (!conn_is_tls(c))
        (void)shutdown(conn_fd(c), SHUT_WR); /* the peer sees the end, and ends too */
    do {
        n = conn_read(c, waste, sizeof(waste), &d);
        total += n > 0 ? (size_t)n : 0;
    } while (n > 0 && total < LINGER_BYTES);
}

static void answer_bad_head(struct exchange *x, int status, const struct err *err)
{
    if (status == 0)
        return;
    x->close = true;
    serve_malformed(x, status, NULL, err);
    linger(x->conn);
}

/* One request. False: the connection is done. */
static bool serve_request(struct conn *conn, struct http_req *req)
{
    struct exchange x = { .conn = conn, .req = req };
    struct deadline d = serve_deadline(SERVE_HEAD_US);
    AUTO(err_done) struct err err = { 0 };
    int status = 0, rc = http_read_head(conn, req, &d, &status, &err);

    if (rc < 0)
        answer_bad_head(&x, status, &err);
    if (rc <= 0)
        return false;
    x.body_read = !(req->has_length && req->length > 0) && !req->chunked;
    route(&x);
    if (!x.body_read)
        linger(conn);
    return !x.close && req->keep_alive;
}

static bool open_conn(struct peer *p)
{
    struct deadline d = serve_deadline(SERVE_HEAD_US);

    if (p->conn)
        return true;
    if (p->kind != LISTEN_TLS) {
        p->conn = conn_plain(TAKE_FD(p->fd));
        return true;
    }
    p->conn = conn_accept_tls(TAKE_FD(p->fd), server_tls, &d);
    return p->conn != NULL;
}

/* Of processor time, by this thread since it was asked last: what it takes to wait for the next request is the caller's. */
static int64_t used_us(void)
{
    static _Thread_local int64_t before_us;
    struct timespec t;
    int64_t now_us, used;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* every thread has that clock */
    now_us = t.tv_sec * US_PER_SEC + t.tv_nsec / 1000;
    used = now_us - before_us;
    before_us = now_us;
    return used;
}

void serve_peer(void *arg)
{
    struct peer *p = arg;
    struct http_req *req;
    int64_t rest_us;
    bool more = open_conn(p);

    if (!more) {
        listen_drop(p);
        return;
    }
    req = http_req_new();
    do {
        more = serve_request(p->conn, req);
        rest_us = fair_charge(conn_peer(p->conn), http_header(req, "User-Agent"), used_us(),
                              clock_now_us());
    } while (more && rest_us == 0 && conn_buffered(p->conn));
    http_req_free(req);
    if (!more)
        listen_drop(p);
    else if (rest_us > 0)
        listen_rest(p, rest_us);
    else
        listen_park(p);
}
