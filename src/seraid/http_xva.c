/* SPDX-License-Identifier: Apache-2.0 */
/* GET /export (ref, uuid or vm; use_compression, export_snapshots, preserve_power_state, checksum=sha1) and PUT /import (sr_id or sr_uuid,
 * restore, force, dry_run): VMs with their disks. Runs on a worker, declared blocked. */
#include "api/errors.h"
#include "base/mem.h"
#include "host/pack.h"
#include "model/rbac.h"
#include "ops/xva.h"
#include "seraid/download.h"
#include "seraid/handlers.h"
#include "seraid/query.h"
#include "seraid/upload.h"

#define ROLES (ROLE_POOL_ADMIN | ROLE_POOL_OPERATOR | ROLE_VM_POWER_ADMIN | ROLE_VM_ADMIN)

/* Export */

struct export
{
    struct download d;
    struct xva_export xva;
    enum pack_kind packing;
    bool sha1;
    struct pack *pack;
};

static int write_packed(void *arg, const void *p, size_t n, struct err *err)
{
    struct export *e = arg;

    return pack_write(e->pack, p, n, err);
}

static int report(void *arg, double fraction, struct err *err)
{
    struct export *e = arg;

    return download_report(&e->d, fraction, err);
}

static int choice_of(struct export *e, struct ova_choice *c, char **vm_out, struct err *err)
{
    static const char *const names[] = { "ref", "uuid", "vm" };
    AUTO(free_str)
    char *packing = http_arg(e->d.x->req, "use_compression"),
         *sum = http_arg(e->d.x->req, "checksum");

    for (size_t i = 0; i < ARRAY_SIZE(names) && !*vm_out; i++)
        *vm_out = http_arg(e->d.x->req, names[i]);
    *c = (struct ova_choice){ .vm = *vm_out ? *vm_out : "" };
    e->packing = pack_kind(packing);
    if (e->packing == PACK_UNKNOWN)
        return err_set(err, ERR_INVALID_VALUE, "use_compression", packing);
    e->sha1 = str_eq(sum, "sha1");
    if (sum && !e->sha1 && !str_eq(sum, "xxhash"))
        return err_set(err, ERR_INVALID_VALUE, "checksum", sum);
    return query_bool(e->d.x, "export_snapshots", &c->snapshots, err) == 0
                   && query_bool(e->d.x, "preserve_power_state", &c->power_state, err) == 0
               ? 0
               : -1;
}

static void send_export(struct export *e)
{
    const struct sr_export_sink sink = { write_packed, report, e };
    AUTO(err_done) struct err err = { 0 };

    e->pack = pack_new(e->packing, download_write, &e->d);
    e->xva.sha1 = e->sha1;
    if (download_start(&e->d, "export.xva", UINT64_MAX, &err) == 0
        && xva_export_send(&e->xva, &sink, &err) == 0)
        IGNORE(pack_end(e->pack, &err)); /* told below */
    pack_free(&e->pack);
    xva_export_end(&e->xva);
    download_end(&e->d, "export of a VM", &err);
}

void http_xva_export(struct exchange *x)
{
    struct export e = { 0 };
    AUTO(err_done) struct err err = { 0 };
    AUTO(free_str) char *vm = NULL;
    struct ova_choice c;

    if (download_begin(&e.d, x, ROLES, "http/get_export", CALL_VM_CREATE) != 0)
        return;
    if (choice_of(&e, &c, &vm, &err) != 0)
        download_refuse(&e.d, 400, &err);
    else if (xva_export_begin(&e.d.call, &c, &e.xva, &err) != 0)
        download_refuse(&e.d, 404, &err);
    else
        send_export(&e);
}

/* Import */

static void import_authorized(struct exchange *x, struct auth *a)
{
    AUTO(err_done) struct err err = { 0 };
    struct xva_import how = { .may = rbac_check_new, .sr = REF_NULL };
    struct set_ref made = { 0 };
    struct upload u;
    struct call call;

    if (query_sr(x, &how.sr, &err) != 0 || query_bool(x, "restore", &how.restore, &err) != 0
        || query_bool(x, "force", &how.force, &err) != 0
        || query_bool(x, "dry_run", &how.dry_run, &err) != 0) {
        auth_refuse(x, a, 400, &err);
        return;
    }
    if (!upload_begin(&u, x, a) || upload_silent(&u, a))
        return;
    call = upload_call(x, a, CALL_VM_CREATE);
    how.source = upload_source(&u);
    IGNORE(xva_import(&call, &how, &made, &err)); /* the task tells */
    upload_end_refs(&u, a, "import of a VM", &made, &err);
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
