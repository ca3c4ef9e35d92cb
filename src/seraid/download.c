/* SPDX-License-Identifier: Apache-2.0 */
/* Runs on a worker that is declared blocked. */
#include "seraid/download.h"

#include "api/errors.h"
#include "base/log.h"
#include "base/mem.h"
#include "seraid/upload.h"

#define STALL_US (60 * US_PER_SEC) /* no byte for so long: the client is gone */

int download_begin(struct download *d, struct exchange *x, uint8_t roles,
                   const char *permission, unsigned call_id)
{
    *d = (struct download){ .x = x };
    if (auth_begin(x, roles, permission, &d->auth) != 0)
        return -1;
    d->call = upload_call(x, &d->auth, call_id);
    return 0;
}

void download_refuse(struct download *d, int status, const struct err *err)
{
    auth_refuse(d->x, &d->auth, status, err);
    auth_done(&d->auth);
}

static int broke_off(struct err *err)
{
    (void)err_set(err, ERR_SR_BACKEND_FAILURE, "", "the transfer broke off", "");
    return err_detail(err, "sending: %m");
}

int download_start(struct download *d, const char *file_name, uint64_t length,
                   struct err *err)
{
    struct deadline until = serve_deadline(SERVE_ANSWER_US);
    AUTO(buf_done) struct buf extra = BUF_INIT(0);
    char ref[REF_TEXT_SIZE];

    if (d->auth.has_task) {
        ref_text(&d->auth.task, ref);
        buf_addf(&extra, "task-id: %s\r\n", ref);
    }
    buf_addf(&extra,
             "Cache-Control: no-cache, no-store\r\n"
             "Content-Disposition: attachment; filename=\"%s\"\r\n",
             file_name);
    d->endless = length == UINT64_MAX;
    return http_respond_stream(d->x->conn, d->x->req, 200, "application/octet-stream",
                               buf_str(&extra), length, &until)
                   == 0
               ? 0
               : broke_off(err);
}

int download_write(void *arg, const void *p, size_t n, struct err *err)
{
    struct download *d = arg;
    struct deadline until = deadline_in_cancel(STALL_US, d->call.deadline.cancel_fd);
    int rc;

    if (n == 0)
        return 0;
    rc = d->endless ? http_stream_write(d->x->conn, d->x->req, p, n, &until)
                    : conn_write(d->x->conn, p, n, &until);
    return rc == 0 ? 0 : broke_off(err);
}

int download_report(void *arg, double fraction, struct err *err)
{
    struct download *d = arg;
    char task[REF_TEXT_SIZE];

    call_progress(&d->call, fraction);
    if (!call_cancelled(&d->call))
        return 0;
    ref_text(&d->call.task, task);
    return err_set(err, ERR_TASK_CANCELLED, task);
}

void download_end(struct download *d, const char *what, struct err *err)
{
    struct deadline until = serve_deadline(SERVE_ANSWER_US);
    AUTO(free_str) char *why = NULL;

    /* The end of a stream of unknown length is part of it. */
    if (!err->code && d->endless
        && http_stream_write(d->x->conn, d->x->req, NULL, 0, &until) != 0)
        (void)broke_off(err);
    d->x->close = d->x->close || err->code;
    why = err->code ? err_text(err) : NULL;
    log_info("%s by %s from %s: %s", what, d->auth.session.user, conn_peer(d->x->conn),
             why ? why : "done");
    auth_failed(&d->auth, err);
    if (d->auth.has_task)
        task_end(&d->auth.task, "", err);
    auth_done(&d->auth);
}
