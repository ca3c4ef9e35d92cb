/* SPDX-License-Identifier: Apache-2.0 */
/* GET /system-status?entries=a,b&output=tar|tar.bz2|zip: the support bundle, made while it is sent. Runs on a worker,
 * declared blocked. */
#include "api/errors.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/task.h"
#include "ops/report.h"
#include "seraid/auth.h"
#include "seraid/handlers.h"

#define STALL_US (60 * US_PER_SEC)
#define ROLES                                                                   \
    (ROLE_POOL_ADMIN | ROLE_POOL_OPERATOR | ROLE_VM_POWER_ADMIN | ROLE_VM_ADMIN \
     | ROLE_VM_OPERATOR | ROLE_READ_ONLY)

static const char *const types[] = { "application/x-tar", "application/x-bzip2",
                                     "application/zip" };
static const char *const suffixes[] = { "tar", "tar.bz2", "zip" };

static int send_piece(void *arg, const void *p, size_t n)
{
    struct exchange *x = arg;
    struct deadline d = serve_deadline(STALL_US);

    return n == 0 ? 0 : http_stream_write(x->conn, x->req, p, n, &d);
}

static void send_bundle(struct exchange *x, const char *list, enum report_format format,
                        struct err *err)
{
    struct deadline d = serve_deadline(SERVE_ANSWER_US);
    AUTO(free_str) char *extra = NULL;
    char date[20], stamp[20] = "";
    size_t n = 0;

    clock_iso(clock_wall_us(), date);
    for (const char *p = date; *p; p++)
        if (*p >= '0' && *p <= '9')
            stamp[n++] = *p;
    extra = str_fmt("Cache-Control: no-cache, no-store\r\n"
                    "Content-Disposition: attachment; filename=\"system_status-%s.%s\"\r\n",
                    stamp, suffixes[format]);
    if (http_respond_stream(x->conn, x->req, 200, types[format], extra, UINT64_MAX, &d) != 0
        || report_write(list, stamp, format, send_piece, x, err) != 0) {
        x->close = true; /* a stream without its end is how the client sees it */
        (void)err_set(err, ERR_SYSTEM_STATUS_RETRIEVAL_FAILED, "the client is gone");
        return;
    }
    d = serve_deadline(SERVE_ANSWER_US);
    if (http_stream_write(x->conn, x->req, NULL, 0, &d) != 0)
        x->close = true;
    x->close = x->close || x->req->minor == 0;
}

void http_status_get(struct exchange *x)
{
    AUTO(free_str)
    char *list = http_arg(x->req, "entries"), *output = http_arg(x->req, "output");
    AUTO(auth_done) struct auth a = { 0 };
    AUTO(err_done) struct err err = { 0 };
    enum report_format format;

    if (auth_begin(x, ROLES, "http/get_system_status", &a) != 0)
        return;
    if (!report_format(output, &format)) {
        (void)err_set(&err, ERR_INVALID_VALUE, "output", output);
        auth_refuse(x, &a, 400, &err);
        return;
    }
    send_bundle(x, list, format, &err);
    auth_failed(&a, &err);
    if (err.code)
        log_info("GET /system-status by %s from %s: %s", a.session.user, conn_peer(x->conn),
                 err.params[0]);
    if (a.has_task)
        task_end(&a.task, "", &err);
}
