/* SPDX-License-Identifier: Apache-2.0 */
/* GET and PUT /blob?ref= or ?uuid=: the contents of blobs. As with disks, a PUT is answered before its body is read, and
 * an empty one of no task only looks for redirections; what goes wrong later is told by the task. What a blob holds is
 * anybody's: browsers are told to neither guess what it is nor run it. Runs on a worker, declared blocked. */

#include "api/errors.h"
#include "base/io.h"
#include "base/mem.h"
#include "model/task.h"
#include "ops/blob.h"
#include "seraid/auth.h"
#include "seraid/handlers.h"
#include "seraid/query.h"
#include "seraid/upload.h"

#define STALL_US (60 * US_PER_SEC)
#define CHUNK    ((size_t)64 * 1024)
#define READERS                                                                 \
    (ROLE_POOL_ADMIN | ROLE_POOL_OPERATOR | ROLE_VM_POWER_ADMIN | ROLE_VM_ADMIN \
     | ROLE_VM_OPERATOR | ROLE_READ_ONLY)
#define WRITERS (ROLE_POOL_ADMIN | ROLE_POOL_OPERATOR | ROLE_VM_POWER_ADMIN)

static int find_blob(const struct exchange *x, struct ref *out, struct err *err)
{
    AUTO(free_str)
    char *ref = http_arg(x->req, "ref"), *uuid = http_arg(x->req, "uuid");

    return query_object(CLASS_BLOB, ref ? ref : uuid ? uuid : "", out, err);
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

void http_blob_get(struct exchange *x)
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

void http_blob_put(struct exchange *x)
{
    AUTO(err_done) struct err err = { 0 };
    struct auth auth = { 0 };
    struct upload upload;
    struct ref blob;

    if (auth_begin(x, WRITERS, "http/put_blob", &auth) != 0)
        return;
    if (find_blob(x, &blob, &err) != 0) {
        auth_refuse(x, &auth, 404, &err);
    } else if (upload_begin(&upload, x, &auth)) {
        struct call call = upload_call(x, &auth, CALL_BLOB_CREATE);

        IGNORE(blob_write(&call, &blob, upload_read, &upload, &err)); /* err says it */
        upload_end(&upload, &auth, "PUT /blob", "", &err);
    }
    auth_done(&auth);
}
