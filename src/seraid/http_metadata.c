/* SPDX-License-Identifier: Apache-2.0 */
/* GET /export_metadata?vm=, uuid= or ref=, or all=true, and PUT /import_metadata (restore, force, dry_run): VMs without the
 * contents of their disks. Whose keys an import may set is asked, as for each setter. Runs on a worker,
 * declared blocked. */
#include "api/errors.h"
#include "base/mem.h"
#include "model/rbac.h"
#include "ops/ova.h"
#include "seraid/handlers.h"
#include "seraid/query.h"
#include "seraid/upload.h"

#define ROLES (ROLE_POOL_ADMIN | ROLE_POOL_OPERATOR | ROLE_VM_POWER_ADMIN | ROLE_VM_ADMIN)

static int choice_of(struct exchange *x, struct ova_choice *c, char **vm_out,
                     struct err *err)
{
    static const char *const names[] = { "vm", "ref", "uuid" };

    for (size_t i = 0; i < ARRAY_SIZE(names) && !*vm_out; i++)
        *vm_out = http_arg(x->req, names[i]);
    *c = (struct ova_choice){ .vm = *vm_out ? *vm_out : "", .snapshots = true };
    return query_bool(x, "all", &c->all, err) == 0
                   && query_bool(x, "export_snapshots", &c->snapshots, err) == 0
                   && query_bool(x, "preserve_power_state", &c->power_state, err) == 0
               ? 0
               : -1;
}

void http_metadata_export(struct exchange *x)
{
    AUTO(auth_done) struct auth a = { 0 };
    AUTO(err_done) struct err err = { 0 };
    AUTO(buf_done) struct buf out = BUF_INIT(0);
    AUTO(free_str) char *vm = NULL;
    struct ova_choice c;

    if (auth_begin(x, ROLES, "http/get_export_metadata", &a) != 0)
        return;
    if (choice_of(x, &c, &vm, &err) != 0) {
        auth_refuse(x, &a, 400, &err);
        return;
    }
    db_seen_reset();
    if (ova_export(&c, &out, &err) != 0 || db_wait_seen(&err) != 0) {
        auth_refuse(x, &a, 404, &err);
        return;
    }
    serve_answer(x, &(struct http_resp){ .status = 200,
                                         .content_type = "application/octet-stream",
                                         .extra = "Cache-Control: no-cache, no-store\r\n"
                                                  "Content-Disposition: attachment; "
                                                  "filename=\"metadata.xva\"\r\n",
                                         .body = buf_str(&out),
                                         .body_len = out.len });
    if (a.has_task)
        task_end(&a.task, "", &err);
}

void http_metadata_import(struct exchange *x)
{
    AUTO(auth_done) struct auth a = { 0 };
    AUTO(err_done) struct err err = { 0 };
    struct set_ref made = { 0 };
    struct ova_import how = { .may = rbac_check_new };
    struct upload u;
    struct call call;

    if (auth_begin(x, ROLES, "http/put_import_metadata", &a) != 0)
        return;
    if (query_bool(x, "restore", &how.restore, &err) != 0
        || query_bool(x, "force", &how.force, &err) != 0
        || query_bool(x, "dry_run", &how.dry_run, &err) != 0) {
        auth_refuse(x, &a, 400, &err);
        return;
    }
    if (!upload_begin(&u, x, &a))
        return;
    call = upload_call(x, &a, CALL_VM_CREATE);
    IGNORE(ova_import(&call, &how, upload_read, &u, &made, &err)); /* the task tells */
    upload_end_refs(&u, &a, "import of metadata", &made, &err);
    free(made.v);
}
