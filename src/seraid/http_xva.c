/* SPDX-License-Identifier: Apache-2.0 */
/* GET /export (ref, uuid or vm; use_compression, export_snapshots, preserve_power_state, checksum=sha1) and PUT /import (sr_id or sr_uuid,
 * restore, force, dry_run): VMs with their disks. Runs on a worker, declared blocked. */
#include "api/errors.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "host/pack.h"
#include "model/rbac.h"
#include "ops/xva.h"
#include "seraid/gate.h"
#include "seraid/handlers.h"
#include "seraid/upload.h"

#define STALL_US (60 * US_PER_SEC)
#define ROLES    (ROLE_POOL_ADMIN | ROLE_POOL_OPERATOR | ROLE_VM_POWER_ADMIN | ROLE_VM_ADMIN)

static int bool_arg(struct exchange *x, const char *name, bool *out, struct err *err)
{
    AUTO(free_str) char *text = http_arg(x->req, name);

    return !text || parse_bool(text, out) ? 0 : err_set(err, ERR_INVALID_VALUE, name, text);
}

/* Export */

struct export
{
    struct exchange *x;
    struct auth auth;
    struct call call;
    struct xva_export xva;
    enum pack_kind packing;
    bool sha1;
    struct pack *pack;
};

static int write_packed(void *arg, const void *p, size_t n, struct err *err)
{
    struct export *e = arg;
    struct deadline d = deadline_in_cancel(STALL_US, e->call.deadline.cancel_fd);

    if (n == 0 || http_stream_write(e->x->conn, e->x->req, p, n, &d) == 0)
        return 0;
    (void)err_set(err, ERR_SR_BACKEND_FAILURE, "", "the transfer broke off", "");
    return err_detail(err, "sending the archive: %m");
}

static int write_plain(void *arg, const void *p, size_t n, struct err *err)
{
    struct export *e = arg;

    return pack_write(e->pack, p, n, err);
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

static int choice_of(struct export *e, struct ova_choice *c, char **vm_out, struct err *err)
{
    static const char *const names[] = { "ref", "uuid", "vm" };
    AUTO(free_str)
    char *packing = http_arg(e->x->req, "use_compression"),
         *sum = http_arg(e->x->req, "checksum");

    for (size_t i = 0; i < ARRAY_SIZE(names) && !*vm_out; i++)
        *vm_out = http_arg(e->x->req, names[i]);
    *c = (struct ova_choice){ .vm = *vm_out ? *vm_out : "" };
    e->packing = pack_kind(packing);
    if (e->packing == PACK_UNKNOWN)
        return err_set(err, ERR_INVALID_VALUE, "use_compression", packing);
    e->sha1 = str_eq(sum, "sha1");
    if (sum && !e->sha1 && !str_eq(sum, "xxhash"))
        return err_set(err, ERR_INVALID_VALUE, "checksum", sum);
    return bool_arg(e->x, "export_snapshots", &c->snapshots, err) == 0
                   && bool_arg(e->x, "preserve_power_state", &c->power_state, err) == 0
               ? 0
               : -1;
}

static int answer(struct export *e)
{
    struct deadline d = serve_deadline(SERVE_ANSWER_US);
    AUTO(buf_done) struct buf extra = BUF_INIT(0);
    char ref[REF_TEXT_SIZE];

    if (e->auth.has_task) {
        ref_text(&e->auth.task, ref);
        buf_addf(&extra, "task-id: %s\r\n", ref);
    }
    buf_add_str(&extra, "Cache-Control: no-cache, no-store\r\n"
                        "Content-Disposition: attachment; filename=\"export.xva\"\r\n");
    return http_respond_stream(e->x->conn, e->x->req, 200, "application/octet-stream",
                               buf_str(&extra), UINT64_MAX, &d);
}

static void send_export(struct export *e)
{
    const struct sr_export_sink sink = { write_plain, report, e };
    struct deadline d = serve_deadline(SERVE_ANSWER_US);
    AUTO(err_done) struct err err = { 0 };
    AUTO(free_str) char *why = NULL;

    e->pack = pack_new(e->packing, write_packed, e);
    e->xva.sha1 = e->sha1;
    if (answer(e) != 0
        || (xva_export_send(&e->xva, &sink, &err) == 0 && pack_end(e->pack, &err) == 0
            && http_stream_write(e->x->conn, e->x->req, NULL, 0, &d) != 0))
        (void)err_set(&err, ERR_SR_BACKEND_FAILURE, "", "the transfer broke off", "");
    pack_free(&e->pack);
    e->x->close = e->x->close || err.code;
    xva_export_end(&e->xva);
    why = err.code ? err_text(&err) : NULL;
    log_info("export of a VM by %s from %s: %s", e->auth.session.user,
             conn_peer(e->x->conn), why ? why : "done");
    auth_failed(&e->auth, &err);
    if (e->auth.has_task)
        task_end(&e->auth.task, "", &err);
}

void http_xva_export(struct exchange *x)
{
    struct export e = { .x = x };
    AUTO(err_done) struct err err = { 0 };
    AUTO(free_str) char *vm = NULL;
    struct ova_choice c;

    if (auth_begin(x, ROLES, "http/get_export", &e.auth) != 0)
        return;
    e.call = upload_call(x, &e.auth, CALL_VM_CREATE);
    if (choice_of(&e, &c, &vm, &err) != 0)
        auth_refuse(x, &e.auth, 400, &err);
    else if (xva_export_begin(&e.call, &c, &e.xva, &err) != 0)
        auth_refuse(x, &e.auth, 404, &err);
    else
        send_export(&e);
    auth_done(&e.auth);
}

/* Import */

/* As the creation of each object by a call of its own would be asked. */
static int may(const struct class_def *cls, const struct session *s, const void *rec,
               struct err *err)
{
    const struct call_def *create = schema_class_call(cls, "create");

    if (create && gate_call(create, s, err) != 0)
        return -1;
    return rbac_check_record(s, (enum class_id)cls->id, rec, err);
}

static int read_sr(struct exchange *x, struct ref *out, struct err *err)
{
    AUTO(free_str)
    char *ref = http_arg(x->req, "sr_id"), *uuid = http_arg(x->req, "sr_uuid");
    const char *text = ref ? ref : uuid;
    bool found, is_ref;

    if (!text)
        return 0;
    is_ref = ref_parse(text, out);
    db_lock();
    found = is_ref ? db_get(CLASS_SR, out) != NULL : db_find_uuid(CLASS_SR, text, out);
    db_unlock();
    return found ? 0
                 : err_set(err, is_ref ? ERR_HANDLE_INVALID : ERR_UUID_INVALID, "SR", text);
}

static void import_authorized(struct exchange *x, struct auth *a)
{
    AUTO(err_done) struct err err = { 0 };
    AUTO(buf_done) struct buf result = BUF_INIT(0);
    struct xva_import how = { .may = may, .sr = REF_NULL };
    struct set_ref made = { 0 };
    struct upload u;
    struct call call;
    bool first = true;

    if (read_sr(x, &how.sr, &err) != 0 || bool_arg(x, "restore", &how.restore, &err) != 0
        || bool_arg(x, "force", &how.force, &err) != 0
        || bool_arg(x, "dry_run", &how.dry_run, &err) != 0) {
        auth_refuse(x, a, 400, &err);
        return;
    }
    if (!upload_begin(&u, x, a) || upload_silent(&u, a))
        return;
    call = upload_call(x, a, CALL_VM_CREATE);
    how.source = upload_source(&u);
    IGNORE(xva_import(&call, &how, &made, &err)); /* the task tells */
    enc_array_begin(&result, ENC_XML);
    for (size_t i = 0; i < made.n; i++) {
        enc_item_begin(&result, ENC_XML, &first);
        enc_ref(&result, ENC_XML, &made.v[i]);
    }
    enc_array_end(&result, ENC_XML);
    upload_end(&u, a, "import of a VM", buf_str(&result), &err);
    free(made.v);
}

void http_xva_import(struct exchange *x)
{
    struct auth a = { 0 };

    if (auth_begin(x, ROLES, "http/put_import", &a) != 0)
        return;
    import_authorized(x, &a);
    auth_done(&a);
}
