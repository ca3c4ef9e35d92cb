/* SPDX-License-Identifier: Apache-2.0 */
/* GET /export_raw_vdi (vdi, format, base) and PUT /import_raw_vdi (vdi or sr_id, format): contents of disks. Runs on a
 * worker, declared blocked. */
#include <stdlib.h>

#include "api/errors.h"
#include "base/mem.h"
#include "ops/vdi_transfer.h"
#include "seraid/download.h"
#include "seraid/handlers.h"
#include "seraid/query.h"
#include "seraid/upload.h"

#define ROLES (ROLE_POOL_ADMIN | ROLE_POOL_OPERATOR | ROLE_VM_POWER_ADMIN | ROLE_VM_ADMIN)

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
        return query_object(CLASS_VDI, vdi, &m->vdi, err);
    if (!sr)
        return err_set(err, ERR_HANDLE_INVALID, "VDI", "");
    return query_object(CLASS_SR, sr, &m->sr, err);
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

static void send_export(struct download *d, struct vdi_export *e, const char *format)
{
    const struct sr_export_sink sink = { download_write, download_report, d };
    AUTO(err_done) struct err err = { 0 };
    char ref[REF_TEXT_SIZE];

    ref_text(&e->vdi, ref);
    AUTO(free_str)
    char *name = str_fmt("%s.%s", ref + sizeof("OpaqueRef:") - 1, format);
    if (download_start(d, name, sr_export_bytes(e->stream), &err) == 0)
        IGNORE(sr_export_send(e->stream, &sink, &err)); /* told below */
    vdi_export_end(&d->call, e);
    download_end(d, "export of a disk", &err);
}

void http_transfer_export_raw(struct exchange *x)
{
    AUTO(free_str)
    char *vdi_text = http_arg(x->req, "vdi"), *base_text = http_arg(x->req, "base"),
         *format = http_arg(x->req, "format");
    const char *name = format ? format : "raw";
    enum sr_export_format kind = sr_export_format(name);
    AUTO(err_done) struct err err = { 0 };
    struct ref vdi, base = REF_NULL;
    struct vdi_export e = { 0 };
    struct download d;

    if (download_begin(&d, x, ROLES, "http/get_export_raw_vdi", CALL_VDI_CREATE) != 0)
        return;
    if (kind == SR_EXPORT_NONE)
        (void)err_set(&err, ERR_INVALID_VALUE, "format", name);
    else if (query_object(CLASS_VDI, vdi_text ? vdi_text : "", &vdi, &err) == 0
             && base_text)
        IGNORE(query_object(CLASS_VDI, base_text, &base, &err));
    if (err.code)
        download_refuse(&d, 404, &err);
    else if (vdi_export_begin(&d.call, &vdi, &base, kind, &e, &err) != 0)
        download_refuse(&d, 500, &err);
    else
        send_export(&d, &e, name);
}
