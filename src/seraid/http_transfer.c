/* SPDX-License-Identifier: Apache-2.0 */
/* Disk contents by HTTP. An import answers its 200 before it reads the body (clients wait for it), so what goes wrong
 * later is told by the client's task, and without one by a broken connection. Streaming clients do not know the length:
 * they announce 2^50 and cut the connection after the data. Before that they send an empty PUT to learn of a redirection;
 * it changes nothing. Runs on a worker, which is declared blocked throughout. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "ops/ops.h"
#include "seraid/auth.h"
#include "seraid/generic.h"
#include "seraid/handlers.h"
#include "seraid/pool.h"

#define STALL_US       (60 * US_PER_SEC) /* no byte for so long: the client is gone */
#define UNKNOWN_LENGTH (UINT64_C(1) << 50)
#define CHUNK          (256 * 1024)
#define ROLES          (ROLE_POOL_ADMIN | ROLE_POOL_OPERATOR | ROLE_VM_POWER_ADMIN | ROLE_VM_ADMIN)

struct transfer {
    struct exchange *x;
    struct auth auth;
    struct call call;
    struct ref vdi;
    uint64_t left; /* of the body; UINT64_MAX: until the peer ends */
};

static int by_ref_or_uuid(enum class_id cls, const char *text, struct ref *out,
                          struct err *err)
{
    struct ref ref;
    bool found, is_ref = ref_parse(text, &ref);

    db_lock();
    found = is_ref ? db_get(cls, &ref) != NULL : db_find_uuid(cls, text, &ref);
    db_unlock();
    if (!found)
        return err_set(err, is_ref ? ERR_HANDLE_INVALID : ERR_UUID_INVALID,
                       schema_classes[cls].name, text);
    *out = ref;
    return 0;
}

static void transfer_init(struct transfer *t, struct exchange *x)
{
    int cancel_fd = t->auth.has_task ? task_cancel_fd(&t->auth.task) : -1;

    t->x = x;
    t->call = (struct call){
        .def = &schema_calls[CALL_VDI_CREATE],
        .session = t->auth.session,
        .task = t->auth.has_task ? t->auth.task : ref_new(),
        .async = t->auth.has_task,
        .deadline = { .at_us = INT64_MAX,
                      .cancel_fd = cancel_fd >= 0 ? cancel_fd : listen_stop_fd() },
        .client_ip = conn_peer(x->conn),
        .user_agent = http_header(x->req, "User-Agent"),
        .local_trusted = conn_local_trusted(x->conn),
    };
}

static int check_format(struct exchange *x, struct err *err)
{
    AUTO(free_str)
    char *format = http_arg(x->req, "format"), *base = http_arg(x->req, "base");

    if (format && !str_eq(format, "raw"))
        return err_set(err, ERR_INVALID_VALUE, "format", format);
    if (base)
        return err_set(err, ERR_INVALID_VALUE, "base", base);
    return 0;
}

static struct deadline stall_deadline(const struct transfer *t)
{
    return deadline_in_cancel(STALL_US, t->call.deadline.cancel_fd);
}

static void log_end(const struct transfer *t, const char *what, const struct err *err)
{
    AUTO(free_str) char *why = err->code ? err_text(err) : NULL;
    char ref[REF_TEXT_SIZE];

    ref_text(&t->vdi, ref);
    log_info("%s of %s by %s from %s: %s", what, ref, t->auth.session.user,
             conn_peer(t->x->conn), why ? why : "done");
}

/* Import */

static ssize_t read_body(void *arg, void *p, size_t n)
{
    struct transfer *t = arg;
    struct deadline d = stall_deadline(t);
    uint64_t most = MIN(t->left, (uint64_t)n);
    ssize_t got;

    if (t->left == 0)
        return 0;
    got = conn_read(t->x->conn, p, (size_t)most, &d);
    if (t->left == UINT64_MAX)
        /* A cut connection is how such a client says that this was all. */
        return got < 0 && (errno == ECONNRESET || errno == EPROTO) ? 0 : got;
    if (got == 0) {
        errno = EPIPE;
        return -1;
    }
    t->left -= got > 0 ? (uint64_t)got : 0;
    return got;
}

static int answer_early(struct exchange *x)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const char *expect = http_header(x->req, "Expect");
    struct deadline d = serve_deadline(SERVE_ANSWER_US);

    if (expect && x->req->minor > 0
        && conn_write(x->conn, go_on, sizeof(go_on) - 1, &d) != 0)
        return -1;
    x->close = true;
    return http_respond(x->conn, x->req,
                        &(struct http_resp){ .status = 200, .close = true }, &d);
}

static int vdi_for_import(struct transfer *t, bool *made_out, struct err *err)
{
    AUTO(free_str)
    char *vdi = http_arg(t->x->req, "vdi"), *sr = http_arg(t->x->req, "sr_id");
    struct vdi_rec *rec;
    struct ref sr_ref;

    *made_out = false;
    if (vdi)
        return by_ref_or_uuid(CLASS_VDI, vdi, &t->vdi, err);
    if (!sr)
        return err_set(err, ERR_HANDLE_INVALID, "VDI", "");
    if (by_ref_or_uuid(CLASS_SR, sr, &sr_ref, err) != 0)
        return -1;
    if (t->left == UINT64_MAX || t->left == 0)
        return err_set(err, ERR_INVALID_VALUE, "Content-Length", "unknown");
    rec = record_new(&schema_classes[CLASS_VDI]);
    rec->SR = sr_ref;
    rec->virtual_size = (int64_t)t->left;
    str_put(&rec->name_label, "Imported disk");
    if (generic_create(&t->call, rec, &t->vdi, err) != 0)
        return -1;
    *made_out = true;
    return 0;
}

/* xen-api's dummy request before a stream of unknown length announces 2^50 bytes and sends none, and the real request may
 * come before it is cut: so what has no task and no known length holds no disk until its first byte is here. */
static bool nothing_comes(struct transfer *t)
{
    char first;

    if (t->auth.has_task || t->left != UINT64_MAX)
        return false;
    if (read_body(t, &first, 1) != 1)
        return true;
    conn_unread(t->x->conn, &first, 1);
    return false;
}

static void import(struct transfer *t)
{
    AUTO(err_done) struct err err = { 0 }, undo = { 0 };
    AUTO(buf_done) struct buf result = BUF_INIT(0);
    bool made;
    int rc;

    if (check_format(t->x, &err) != 0 || vdi_for_import(t, &made, &err) != 0) {
        auth_refuse(t->x, &t->auth, 404, &err);
        return;
    }
    rc = answer_early(t->x);
    if (rc != 0)
        (void)err_set(&err, ERR_IMPORT_ERROR_PREMATURE_EOF);
    else if (nothing_comes(t))
        return;
    else
        rc = vdi_import_raw(&t->call, &t->vdi, t->left, read_body, t, &err);
    if (rc != 0 && made && generic_destroy(&t->call, &t->vdi, &undo) != 0)
        log_warn("removing a disk whose import failed: %s", undo.code);
    log_end(t, "import", &err);
    auth_failed(&t->auth, &err);
    t->x->body_read = rc == 0;
    enc_ref(&result, ENC_XML, &t->vdi);
    if (t->auth.has_task)
        task_end(&t->auth.task, rc == 0 ? buf_str(&result) : "", &err);
}

static bool is_probe(const struct exchange *x, const struct auth *a)
{
    return !a->has_task && x->body_read && (x->req->has_length || x->req->minor > 0);
}

static void import_authorized(struct exchange *x, struct transfer *t)
{
    const struct http_req *r = x->req;
    AUTO(err_done) struct err err = { 0 };

    transfer_init(t, x);
    t->left = r->has_length && r->length < UNKNOWN_LENGTH ? r->length : UINT64_MAX;
    if (r->chunked) {
        (void)err_set(&err, ERR_INVALID_VALUE, "Transfer-Encoding", "chunked");
        auth_refuse(x, &t->auth, 411, &err);
    } else if (is_probe(x, &t->auth)) {
        serve_answer(x, &(struct http_resp){ .status = 200 });
    } else {
        import(t);
    }
}

/* Export */

static int send_zeroes(const struct transfer *t, uint64_t n)
{
    static const char zeroes[16 * 1024];

    while (n > 0) {
        struct deadline d = stall_deadline(t);
        size_t part = (size_t)MIN(n, (uint64_t)sizeof(zeroes));

        if (conn_write(t->x->conn, zeroes, part, &d) != 0)
            return -1;
        n -= part;
    }
    return 0;
}

static int send_data(const struct transfer *t, struct sr_image *i, char *chunk, uint64_t at,
                     uint64_t len, struct err *err)
{
    while (len > 0) {
        struct deadline d = stall_deadline(t);
        uint64_t part = MIN(len, (uint64_t)CHUNK), whole = (part + 511) / 512 * 512;

        if (sr_image_read(i, chunk, MIN(whole, sr_image_bytes(i) - at), at, err) != 0
            || conn_write(t->x->conn, chunk, (size_t)part, &d) != 0)
            return -1;
        at += part;
        len -= part;
    }
    return 0;
}

/* Holes are not read. */
static int send_disk(const struct transfer *t, struct sr_image *i, struct err *err)
{
    AUTO(free_str) char *chunk = mem_alloc(CHUNK);
    uint64_t size = sr_image_bytes(i), at = 0;

    while (at < size) {
        uint64_t data = at, len = 0;

        if (sr_image_next(i, &data, &len, err) != 0)
            return -1;
        if (len == 0)
            data = size;
        if (send_zeroes(t, data - at) != 0 || send_data(t, i, chunk, data, len, err) != 0)
            return -1;
        at = data + len;
        call_progress(&t->call, (double)at / (double)size);
    }
    return 0;
}

static int answer_export(struct transfer *t, uint64_t size)
{
    struct deadline d = serve_deadline(SERVE_ANSWER_US);
    AUTO(buf_done) struct buf extra = BUF_INIT(0);
    char ref[REF_TEXT_SIZE];

    if (t->auth.has_task) {
        ref_text(&t->auth.task, ref);
        buf_addf(&extra, "task-id: %s\r\n", ref);
    }
    ref_text(&t->vdi, ref);
    buf_addf(&extra, "Content-Disposition: attachment; filename=\"%s.raw\"\r\n",
             ref + sizeof("OpaqueRef:") - 1);
    return http_respond_stream(t->x->conn, t->x->req, 200, "application/octet-stream",
                               buf_str(&extra), size, &d);
}

static void send_export(struct transfer *t)
{
    AUTO(free_str) char *vdi = http_arg(t->x->req, "vdi");
    AUTO(err_done) struct err err = { 0 };
    struct sr_image *i;

    if (check_format(t->x, &err) != 0
        || by_ref_or_uuid(CLASS_VDI, vdi ? vdi : "", &t->vdi, &err) != 0) {
        auth_refuse(t->x, &t->auth, 404, &err);
        return;
    }
    i = vdi_export_raw(&t->call, &t->vdi, &err);
    if (!i) {
        auth_refuse(t->x, &t->auth, 500, &err);
        return;
    }
    if (answer_export(t, sr_image_bytes(i)) != 0 || send_disk(t, i, &err) != 0) {
        t->x->close = true;
        (void)err_set(&err, ERR_SR_BACKEND_FAILURE, "", "the transfer broke off", "");
        (void)err_detail(&err, "sending the disk: %m");
    }
    vdi_export_end(&t->call, &t->vdi, i);
    log_end(t, "export", &err);
    auth_failed(&t->auth, &err);
    if (t->auth.has_task)
        task_end(&t->auth.task, "", &err);
}

/* Both */

static void run(struct exchange *x, const char *permission, bool in)
{
    struct transfer t = { 0 };

    if (!pool_blocked_begin()) {
        serve_text(x, 503, "Retry-After: 5\r\n", NULL);
        return;
    }
    if (auth_begin(x, ROLES, permission, &t.auth) == 0) {
        if (in) {
            import_authorized(x, &t);
        } else {
            transfer_init(&t, x);
            send_export(&t);
        }
        auth_done(&t.auth);
    }
    pool_blocked_end();
}

void http_transfer_import_raw(struct exchange *x)
{
    run(x, "http/put_import_raw_vdi", true);
}

void http_transfer_export_raw(struct exchange *x)
{
    run(x, "http/get_export_raw_vdi", false);
}
