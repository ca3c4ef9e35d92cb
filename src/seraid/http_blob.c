/* SPDX-License-Identifier: Apache-2.0 */
/* GET and PUT /blob?ref= or ?uuid=: the contents of blobs. As with disks, a PUT is answered before its body is read, and
 * an empty one of no task only looks for redirections; what goes wrong later is told by the task. What a blob holds is
 * anybody's: browsers are told to neither guess what it is nor run it. Runs on a worker, declared blocked. */
#include <errno.h>
#include <string.h>

#include "api/errors.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/task.h"
#include "ops/blob.h"
#include "seraid/auth.h"
#include "seraid/handlers.h"
#include "seraid/pool.h"

#define STALL_US       (60 * US_PER_SEC)
#define UNKNOWN_LENGTH (UINT64_C(1) << 50)
#define CHUNK          ((size_t)64 * 1024)
#define READERS                                                                 \
    (ROLE_POOL_ADMIN | ROLE_POOL_OPERATOR | ROLE_VM_POWER_ADMIN | ROLE_VM_ADMIN \
     | ROLE_VM_OPERATOR | ROLE_READ_ONLY)
#define WRITERS (ROLE_POOL_ADMIN | ROLE_POOL_OPERATOR | ROLE_VM_POWER_ADMIN)

static int find_blob(const struct exchange *x, struct ref *out, struct err *err)
{
    AUTO(free_str)
    char *ref = http_arg(x->req, "ref"), *uuid = http_arg(x->req, "uuid");

    return blob_find(ref ? ref : uuid ? uuid : "", out, err);
}

/* Get */

/* A type that cannot end the header line. */
static const char *content_type(const struct blob_file *f)
{
    for (const char *p = f->mime_type; *p; p++) {
        if (*p < ' ' || *p > '~')
            return "application/octet-stream";
    }
    return f->mime_type[0] ? f->mime_type : "application/octet-stream";
}

static void send_contents(struct exchange *x, const struct blob_file *f)
{
    static const char extra[] = "X-Content-Type-Options: nosniff\r\n"
                                "Content-Security-Policy: sandbox\r\n"
                                "Content-Disposition: attachment\r\n";
    AUTO(free_ptr) char *chunk = mem_alloc(CHUNK);
    struct deadline d = serve_deadline(SERVE_ANSWER_US);
    uint64_t at = 0;

    if (http_respond_stream(x->conn, x->req, 200, content_type(f), extra, f->size, &d)
        != 0) {
        x->close = true;
        return;
    }
    while (at < f->size) {
        size_t n = (size_t)MIN(f->size - at, (uint64_t)CHUNK);

        d = serve_deadline(STALL_US);
        if (io_pread_full(f->fd, chunk, n, at) != 0
            || conn_write(x->conn, chunk, n, &d) != 0) {
            x->close = true; /* too short an answer is the only way to say so */
            return;
        }
        at += n;
    }
}

static void get(struct exchange *x)
{
    AUTO(err_done) struct err err = { 0 };
    AUTO(blob_file_done) struct blob_file file = { .fd = -1 };
    struct auth auth = { 0 };
    struct ref blob;
    bool found = find_blob(x, &blob, &err) == 0 && blob_open(&blob, &file, &err) == 0;
    bool open_to_all = found && file.is_public;

    if (!open_to_all && auth_begin(x, READERS, "http/get_blob", &auth) != 0)
        return;
    if (!found) {
        auth_refuse(x, &auth, 404, &err);
    } else {
        send_contents(x, &file);
        if (auth.has_task)
            task_end(&auth.task, "", &err);
    }
    auth_done(&auth);
}

/* Put */

struct upload {
    struct exchange *x;
    uint64_t left; /* UINT64_MAX: until the peer ends */
};

static ssize_t read_body(void *arg, void *p, size_t n)
{
    struct upload *u = arg;
    struct deadline d = serve_deadline(STALL_US);
    ssize_t got;

    if (u->left == 0)
        return 0;
    got = conn_read(u->x->conn, p, (size_t)MIN(u->left, (uint64_t)n), &d);
    if (u->left == UINT64_MAX)
        return got;
    if (got == 0) {
        errno = EPIPE;
        return -1;
    }
    u->left -= got > 0 ? (uint64_t)got : 0;
    return got;
}

static void receive(struct exchange *x, struct auth *auth, const struct ref *blob)
{
    AUTO(err_done) struct err err = { 0 };
    struct deadline d = serve_deadline(SERVE_ANSWER_US);
    struct upload u = { .x = x,
                        .left = x->req->has_length && x->req->length < UNKNOWN_LENGTH
                                    ? x->req->length
                                    : UINT64_MAX };
    struct call call = { .def = &schema_calls[CALL_BLOB_CREATE],
                         .session = auth->session,
                         .task = auth->task,
                         .async = auth->has_task };

    x->close = true;
    if (http_respond(x->conn, x->req, &(struct http_resp){ .status = 200, .close = true },
                     &d)
        != 0)
        (void)err_set(&err, ERR_IMPORT_ERROR_PREMATURE_EOF);
    else if (blob_write(&call, blob, read_body, &u, &err) == 0)
        x->body_read = true;
    if (err.code)
        log_info("PUT /blob by %s from %s: %s", auth->session.user, conn_peer(x->conn),
                 err.code);
    auth_failed(auth, &err);
    if (auth->has_task)
        task_end(&auth->task, "", &err);
}

static void put(struct exchange *x)
{
    AUTO(err_done) struct err err = { 0 };
    struct auth auth = { 0 };
    struct ref blob;

    if (auth_begin(x, WRITERS, "http/put_blob", &auth) != 0)
        return;
    if (find_blob(x, &blob, &err) != 0) {
        auth_refuse(x, &auth, 404, &err);
    } else if (x->req->chunked) {
        (void)err_set(&err, ERR_INVALID_VALUE, "Transfer-Encoding", "chunked");
        auth_refuse(x, &auth, 411, &err);
    } else if (!auth.has_task && x->body_read && x->req->has_length) {
        serve_answer(x, &(struct http_resp){ .status = 200 });
    } else {
        receive(x, &auth, &blob);
    }
    auth_done(&auth);
}

static void blocked(struct exchange *x, serve_fn fn)
{
    if (!pool_blocked_begin()) {
        serve_text(x, 503, "Retry-After: 5\r\n", NULL);
        return;
    }
    fn(x);
    pool_blocked_end();
}

void http_blob_get(struct exchange *x)
{
    blocked(x, get);
}

void http_blob_put(struct exchange *x)
{
    blocked(x, put);
}
