/* SPDX-License-Identifier: Apache-2.0 */
/* GET /export_raw_vdi (vdi, format, base) and PUT /import_raw_vdi (vdi or sr_id, format): contents of disks. Runs on a
 * worker, declared blocked. */
#include <errno.h>
#include <stdlib.h>

#include "api/errors.h"
#include "base/log.h"
#include "base/mem.h"
#include "ops/vdi_transfer.h"
#include "seraid/handlers.h"
#include "seraid/upload.h"

#define STALL_US (60 * US_PER_SEC) /* no byte for so long: the client is gone */
#define ROLES    (ROLE_POOL_ADMIN | ROLE_POOL_OPERATOR | ROLE_VM_POWER_ADMIN | ROLE_VM_ADMIN)

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

/* Import */

struct import {
    struct exchange *x;
    struct auth auth;
    struct ref vdi, sr; /* one of them */
    struct vdi_import how;
    char *format;
};

static int read_import(struct import *m, struct err *err)
{
    const struct http_req *r = m->x->req;
    AUTO(free_str)
    char *vdi = http_arg(r, "vdi"), *sr = http_arg(r, "sr_id");

    m->format = http_arg(r, "format");
    m->how.name = m->format;
    m->how.format = vdi_transfer_format(m->format);
    if (m->how.format == VDI_FORMAT_NONE)
        return err_set(err, ERR_INVALID_VALUE, "format", m->format);
    if (vdi)
        return by_ref_or_uuid(CLASS_VDI, vdi, &m->vdi, err);
    if (!sr)
        return err_set(err, ERR_HANDLE_INVALID, "VDI", "");
    return by_ref_or_uuid(CLASS_SR, sr, &m->sr, err);
}

static void import(struct import *m)
{
    AUTO(err_done) struct err err = { 0 };
    AUTO(buf_done) struct buf result = BUF_INIT(0);
    struct upload u;
    struct call call;

    if (read_import(m, &err) != 0) {
        auth_refuse(m->x, &m->auth, 404, &err);
        return;
    }
    if (!upload_begin(&u, m->x, &m->auth) || upload_silent(&u, &m->auth))
        return;
    call = upload_call(m->x, &m->auth, CALL_VDI_CREATE);
    m->how.source = upload_source(&u);
    m->how.length = u.left;
    m->how.spooled = -1;
    /* The task tells. */
    if (ref_is_null(&m->vdi))
        IGNORE(vdi_import_new(&call, &m->sr, "Imported disk", &m->how, &m->vdi, &err));
    else
        IGNORE(vdi_import(&call, &m->vdi, &m->how, &err));
    enc_ref(&result, ENC_XML, &m->vdi);
    upload_end(&u, &m->auth, "import of a disk", buf_str(&result), &err);
}

void http_transfer_import_raw(struct exchange *x)
{
    struct import m = { .x = x };

    if (auth_begin(x, ROLES, "http/put_import_raw_vdi", &m.auth) != 0)
        return;
    import(&m);
    auth_done(&m.auth);
    free(m.format);
}

/* Export */

struct export
{
    struct exchange *x;
    struct auth auth;
    struct call call;
    struct vdi_export out;
    bool chunked;
};

static int write_stream(void *arg, const void *p, size_t n, struct err *err)
{
    struct export *e = arg;
    struct deadline d = deadline_in_cancel(STALL_US, e->call.deadline.cancel_fd);
    int rc;

    if (n == 0)
        return 0;
    rc = e->chunked ? http_stream_write(e->x->conn, e->x->req, p, n, &d)
                    : conn_write(e->x->conn, p, n, &d);
    if (rc == 0)
        return 0;
    (void)err_set(err, ERR_SR_BACKEND_FAILURE, "", "the transfer broke off", "");
    return err_detail(err, "sending the disk: %m");
}

static int report(void *arg, double fraction, struct err *err)
{
    struct export *e = arg;
    char task[REF_TEXT_SIZE];

    call_progress(&e->call, fraction);
    if (!call_cancelled(&e->call))
        return 0;
    ref_text(&e->call.task, task);
    return err_set(err, ERR_TASK_CANCELLED, task);
}

static int answer_export(struct export *e, const char *format, uint64_t length)
{
    struct deadline d = serve_deadline(SERVE_ANSWER_US);
    AUTO(buf_done) struct buf extra = BUF_INIT(0);
    char ref[REF_TEXT_SIZE];

    if (e->auth.has_task) {
        ref_text(&e->auth.task, ref);
        buf_addf(&extra, "task-id: %s\r\n", ref);
    }
    ref_text(&e->out.vdi, ref);
    buf_addf(&extra, "Content-Disposition: attachment; filename=\"%s.%s\"\r\n",
             ref + sizeof("OpaqueRef:") - 1, format);
    e->chunked = length == UINT64_MAX;
    return http_respond_stream(e->x->conn, e->x->req, 200, "application/octet-stream",
                               buf_str(&extra), length, &d);
}

/* The end of a stream of unknown length is part of it. */
static int end_stream(struct export *e, struct err *err)
{
    struct deadline d = serve_deadline(SERVE_ANSWER_US);

    if (!e->chunked || http_stream_write(e->x->conn, e->x->req, NULL, 0, &d) == 0)
        return 0;
    return err_set(err, ERR_SR_BACKEND_FAILURE, "", "the transfer broke off", "");
}

static void send_export(struct export *e, const char *format)
{
    const struct sr_export_sink sink = { write_stream, report, e };
    AUTO(err_done) struct err err = { 0 };
    uint64_t length = sr_export_bytes(e->out.stream);
    AUTO(free_str) char *why = NULL;

    if (answer_export(e, format, length) != 0)
        (void)err_set(&err, ERR_SR_BACKEND_FAILURE, "", "the transfer broke off", "");
    else if (sr_export_send(e->out.stream, &sink, &err) == 0)
        IGNORE(end_stream(e, &err)); /* told below */
    e->x->close = e->x->close || err.code;
    vdi_export_end(&e->call, &e->out);
    why = err.code ? err_text(&err) : NULL;
    log_info("export of a disk by %s from %s: %s", e->auth.session.user,
             conn_peer(e->x->conn), why ? why : "done");
    auth_failed(&e->auth, &err);
    if (e->auth.has_task)
        task_end(&e->auth.task, "", &err);
}

static void export(struct export *e)
{
    const struct http_req *r = e->x->req;
    AUTO(free_str)
    char *vdi_text = http_arg(r, "vdi"), *base_text = http_arg(r, "base"),
         *format = http_arg(r, "format");
    const char *name = format ? format : "raw";
    enum sr_export_format kind = sr_export_format(name);
    AUTO(err_done) struct err err = { 0 };
    struct ref vdi, base = REF_NULL;
    int rc;

    if (kind == SR_EXPORT_NONE)
        rc = err_set(&err, ERR_INVALID_VALUE, "format", name);
    else
        rc = by_ref_or_uuid(CLASS_VDI, vdi_text ? vdi_text : "", &vdi, &err);
    if (rc == 0 && base_text)
        rc = by_ref_or_uuid(CLASS_VDI, base_text, &base, &err);
    if (rc != 0) {
        auth_refuse(e->x, &e->auth, 404, &err);
        return;
    }
    e->call = upload_call(e->x, &e->auth, CALL_VDI_CREATE);
    if (vdi_export_begin(&e->call, &vdi, &base, kind, &e->out, &err) != 0)
        auth_refuse(e->x, &e->auth, 500, &err);
    else
        send_export(e, name);
}

void http_transfer_export_raw(struct exchange *x)
{
    struct export e = { .x = x };

    if (auth_begin(x, ROLES, "http/get_export_raw_vdi", &e.auth) != 0)
        return;
    export(&e);
    auth_done(&e.auth);
}
