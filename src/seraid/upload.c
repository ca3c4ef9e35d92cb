/* SPDX-License-Identifier: Apache-2.0 */
/* Runs on a worker that is declared blocked. */
#include "seraid/upload.h"

#include <errno.h>

#include "api/errors.h"
#include "base/log.h"
#include "base/mem.h"

#define STALL_US       (60 * US_PER_SEC)
#define UNKNOWN_LENGTH (UINT64_C(1) << 50)

/* Clients that ask first wait for 100, and take an early 200 for a refusal. */
static int invite(struct exchange *x, const struct deadline *d)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const char *expect = http_header(x->req, "Expect");

    if (!expect || x->req->minor == 0)
        return 0;
    return conn_write(x->conn, go_on, sizeof(go_on) - 1, d);
}

bool upload_begin(struct upload *u, struct exchange *x, struct auth *a)
{
    const struct http_req *r = x->req;
    AUTO(err_done) struct err err = { 0 };
    struct deadline d = serve_deadline(SERVE_ANSWER_US);
    int cancel_fd = a->has_task ? task_cancel_fd(&a->task) : -1;

    *u = (struct upload){
        .x = x,
        .left = r->has_length && r->length < UNKNOWN_LENGTH ? r->length : UINT64_MAX,
        .cancel_fd = cancel_fd >= 0 ? cancel_fd : listen_stop_fd(),
    };
    if (r->chunked) {
        (void)err_set(&err, ERR_IMPORT_ERROR_CANNOT_HANDLE_CHUNKED);
        auth_refuse(x, a, 411, &err);
        return false;
    }
    if (!a->has_task && x->body_read && (r->has_length || r->minor > 0)) {
        serve_answer(x, &(struct http_resp){ .status = 200 });
        return false;
    }
    x->close = true;
    x->req->keep_alive = false;
    /* The answer has no end yet: some clients stop sending once they have a whole one. */
    if (invite(x, &d) == 0
        && http_respond_stream(x->conn, r, 200, "text/plain", NULL, UINT64_MAX, &d) == 0)
        return true;
    (void)err_set(&err, ERR_IMPORT_ERROR_PREMATURE_EOF);
    if (a->has_task)
        task_end(&a->task, "", &err);
    return false;
}

ssize_t upload_read(void *arg, void *p, size_t n)
{
    struct upload *u = arg;
    struct deadline d = deadline_in_cancel(STALL_US, u->cancel_fd);
    ssize_t got;

    if (u->left == 0)
        return 0;
    got = conn_read(u->x->conn, p, (size_t)MIN(u->left, (uint64_t)n), &d);
    if (u->left == UINT64_MAX)
        return got < 0 && (errno == ECONNRESET || errno == EPROTO) ? 0 : got;
    if (got == 0) {
        errno = EPIPE;
        return -1;
    }
    u->left -= got > 0 ? (uint64_t)got : 0;
    return got;
}

static bool ready(void *arg)
{
    const struct upload *u = arg;

    return u->left == 0 || conn_buffered(u->x->conn);
}

struct foreign_source upload_source(struct upload *u)
{
    return (struct foreign_source){
        .read = upload_read, .ready = ready, .fd = conn_fd(u->x->conn), .arg = u
    };
}

bool upload_silent(struct upload *u, const struct auth *a)
{
    char first;

    if (a->has_task || u->left != UINT64_MAX)
        return false;
    if (upload_read(u, &first, 1) != 1)
        return true;
    conn_unread(u->x->conn, &first, 1);
    return false;
}

void upload_end(struct upload *u, struct auth *a, const char *what, const char *result,
                const struct err *err)
{
    AUTO(free_str) char *why = err->code ? err_text(err) : NULL;
    struct deadline d = serve_deadline(SERVE_ANSWER_US);

    log_info("%s by %s from %s: %s", what, a->session.user, conn_peer(u->x->conn),
             why ? why : "done");
    u->x->body_read = u->left == 0;
    auth_failed(a, err);
    if (a->has_task)
        task_end(&a->task, err->code ? "" : result, err);
    if (http_stream_write(u->x->conn, u->x->req, NULL, 0, &d) != 0)
        log_debug("the client is gone");
}

void upload_end_refs(struct upload *u, struct auth *a, const char *what,
                     const struct set_ref *made, const struct err *err)
{
    AUTO(buf_done) struct buf result = BUF_INIT(0);
    bool first = true;

    enc_array_begin(&result, ENC_XML);
    for (size_t i = 0; i < made->n; i++) {
        enc_item_begin(&result, ENC_XML, &first);
        enc_ref(&result, ENC_XML, &made->v[i]);
    }
    enc_array_end(&result, ENC_XML);
    upload_end(u, a, what, buf_str(&result), err);
}

struct call upload_call(const struct exchange *x, const struct auth *a, unsigned call_id)
{
    int cancel_fd = a->has_task ? task_cancel_fd(&a->task) : -1;

    return (struct call){
        .def = &schema_calls[call_id],
        .session = a->session,
        .task = a->has_task ? a->task : ref_new(),
        .async = a->has_task,
        .deadline = { .at_us = INT64_MAX,
                      .cancel_fd = cancel_fd >= 0 ? cancel_fd : listen_stop_fd() },
        .client_ip = conn_peer(x->conn),
        .user_agent = http_header(x->req, "User-Agent"),
        .local_trusted = conn_local_trusted(x->conn),
    };
}
