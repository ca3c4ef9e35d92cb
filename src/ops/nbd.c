/* SPDX-License-Identifier: Apache-2.0 */
/* VDI.get_nbd_info, and what stands behind the export names that it gives. A session that may not make that call cannot use a
 * name either. Any thread; no lock held across I/O. */
#include "ops/nbd.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/io.h"
#include "base/mem.h"
#include "host/disks_job.h"
#include "model/ops_lock.h"
#include "model/rbac.h"
#include "model/session.h"
#include "ops/host_ctx.h"
#include "ops/lease.h"
#include "ops/ops.h"
#include "ops/storage.h"

#define NBD_NAME_PATH "/"
#define NBD_NAME_ARG  "?session_id="

static struct {
    void (*fn)(void);
    char host[64];
    int port;
} door GUARDED_BY(db_mutex);

void nbd_on_change(void (*fn)(void))
{
    db_lock();
    door.fn = fn;
    db_unlock();
}

void nbd_changed(void)
{
    db_lock();
    void (*fn)(void) = door.fn;
    db_unlock();
    if (fn)
        fn();
}

void nbd_set_address(const char *host, int port)
{
    db_lock();
    (void)snprintf(door.host, sizeof(door.host), "%s", host ? host : "");
    door.port = port;
    db_unlock();
}

static enum nbd_offer offer_of(const struct network_rec *n)
{
    const struct ty *ty = schema_classes[CLASS_NETWORK].fields[F_NETWORK_PURPOSE].ty;
    int tls = NETWORK_PURPOSE_NBD, plain = NETWORK_PURPOSE_INSECURE_NBD;
    return set_find(ty, &n->purpose, &tls) != SIZE_MAX     ? NBD_TLS
           : set_find(ty, &n->purpose, &plain) != SIZE_MAX ? NBD_PLAIN
                                                           : NBD_NONE;
}

static enum nbd_offer offered(void) REQUIRES(db_mutex)
{
    enum nbd_offer best = NBD_NONE;
    for (struct db_iter it = db_first(CLASS_NETWORK); it.rec; db_next(&it)) {
        enum nbd_offer o = offer_of(it.rec);
        best = MAX(best, o);
    }
    return best;
}

enum nbd_offer nbd_offered(void)
{
    db_lock();
    enum nbd_offer o = offered();
    db_unlock();
    return o;
}

/* ---- VDI.get_nbd_info --------------------------------------------------------------------------------------- */

struct facts {
    const char *name, *cert, *subject;
};

static void add_address(struct set_record *out, const char *address, const struct facts *f)
    REQUIRES(db_mutex)
{
    struct vdi_nbd_server_info_rec *r = record_new(
        &schema_classes[CLASS_VDI_NBD_SERVER_INFO]);
    str_put(&r->exportname, f->name);
    str_put(&r->address, address);
    r->port = door.port;
    str_put(&r->cert, f->cert);
    str_put(&r->subject, f->subject);
    out->v = mem_resize(out->v, out->n + 1, sizeof(*out->v));
    out->v[out->n++] = r;
}

static void add_network(struct set_record *out, const struct network_rec *n,
                        const struct facts *f) REQUIRES(db_mutex)
{
    for (size_t i = 0; i < n->PIFs.n; i++) {
        const struct pif_rec *p = db_get(CLASS_PIF, &n->PIFs.v[i]);
        if (p->currently_attached && p->IP[0])
            add_address(out, p->IP, f);
    }
}

int op_vdi_get_nbd_info(struct call *call, const struct vdi_get_nbd_info_args *a,
                        struct set_record *result, struct err *err)
{
    char text[REF_TEXT_SIZE], session[REF_TEXT_SIZE];
    AUTO(free_str) char *pem = host_certificate(NULL);
    AUTO(free_str) char *name = NULL;
    ref_text(&a->self, text);
    ref_text(&call->session.ref, session);
    db_lock();
    const struct vdi_rec *vdi = call_get(CLASS_VDI, &a->self, err);
    bool metadata = vdi && vdi->type == VDI_TYPE_CBT_METADATA;
    struct ref host_ref = db_host_ref();
    const struct host_rec *host = db_get(CLASS_HOST, &host_ref);
    if (vdi && !metadata && door.port) {
        name = str_fmt(NBD_NAME_PATH "%s" NBD_NAME_ARG "%s", vdi->uuid, session);
        const struct facts f = { name, pem ? pem : "", host ? host->hostname : "" };
        bool own = door.host[0] != '\0', any = false;
        for (struct db_iter it = db_first(CLASS_NETWORK); it.rec; db_next(&it)) {
            any |= offer_of(it.rec) != NBD_NONE;
            if (!own && offer_of(it.rec) != NBD_NONE)
                add_network(result, it.rec, &f);
        }
        if (own && any)
            add_address(result, door.host, &f);
    }
    db_unlock();
    return metadata ? err_set(err, ERR_VDI_INCOMPATIBLE_TYPE, text, "cbt_metadata")
           : vdi    ? 0
                    : -1;
}

/* ---- a connection ------------------------------------------------------------------------------------------- */

static int bad_name(struct err *err)
{
    (void)err_set(err, ERR_UUID_INVALID, "VDI", "");
    return err_detail(err, "an export's name is what VDI.get_nbd_info says");
}

/* The uuid and the session's reference. */
static bool split_name(const char *name, char uuid[static UUID_TEXT_SIZE],
                       const char **session_out)
{
    struct uuid u;
    size_t slash = name[0] == '/', want = UUID_TEXT_SIZE - 1;
    if (strlen(name) < slash + want + strlen(NBD_NAME_ARG))
        return false;
    memcpy(uuid, name + slash, want);
    uuid[want] = '\0';
    if (!uuid_parse(uuid, &u) || !str_starts(name + slash + want, NBD_NAME_ARG))
        return false;
    *session_out = name + slash + want + strlen(NBD_NAME_ARG);
    return true;
}

static int find_disk(const char *uuid, struct ref *vdi, struct ref *sr, bool *raw,
                     struct err *err) REQUIRES(db_mutex)
{
    char text[REF_TEXT_SIZE];
    if (!db_find_uuid(CLASS_VDI, uuid, vdi))
        return err_set(err, ERR_UUID_INVALID, "VDI", uuid);
    const struct vdi_rec *rec = db_get(CLASS_VDI, vdi);
    ref_text(vdi, text);
    if (rec->type == VDI_TYPE_CBT_METADATA)
        return err_set(err, ERR_VDI_INCOMPATIBLE_TYPE, text, "cbt_metadata");
    *sr = rec->SR;
    *raw = storage_is_raw(rec);
    return 0;
}

static int may(const char *reference, struct session *s, struct err *err)
{
    const struct call_def *def = &schema_calls[CALL_VDI_GET_NBD_INFO];
    if (session_find(reference, s, err))
        return -1;
    if (rbac_allows(s, def, NULL))
        return 0;
    return err_set(err, ERR_RBAC_PERMISSION_DENIED, "vdi.get_nbd_info",
                   "No permission in user session");
}

static int start(struct nbd_disk *d, const struct ref *sr_ref, bool raw, int *fd_out,
                 struct err *err)
{
    AUTO(sr_handle_done) struct sr_handle sr = { 0 };
    AUTO(free_str) char *leaf = NULL;
    char ref[REF_TEXT_SIZE];
    if (storage_settled(err) || storage_sr(sr_ref, &sr, err)
        || !(d->lease = lease_take(&d->vdi, err)))
        return -1;
    assert(sr.ops); /* the analyzer does not follow storage_sr's promise */
    ref_text(sr_ref, ref);
    if (raw || !sr.ops->volume_leaf) {
        (void)err_set(err, ERR_SR_OPERATION_NOT_SUPPORTED, ref);
        return err_detail(err, "a raw disk is not served by NBD; export it instead");
    }
    if (sr.ops->volume_leaf(&sr.config, lease_volume(d->lease), &leaf, err))
        return -1;
    if (!leaf)
        return err_set(err, ERR_SR_OPERATION_NOT_SUPPORTED, ref);
    ref_text(&d->key, ref);
    AUTO(free_str)
    char *sock = str_fmt("%s/nbd-%s", host_ctx.runtime_dir, ref + strlen("OpaqueRef:"));
    return disks_reader(leaf, sock, &d->proc, fd_out, err);
}

int nbd_open(const char *name, struct nbd_disk *out, int *fd_out, struct err *err)
{
    struct nbd_disk d = { .key = ref_new(), .proc = { .pid = -1, .pidfd = -1 } };
    const char *reference;
    struct ref sr = REF_NULL;
    bool raw = false;
    if (!split_name(name, d.uuid, &reference))
        return bad_name(err);
    if (may(reference, &d.session, err))
        return -1;
    db_lock();
    int rc = find_disk(d.uuid, &d.vdi, &sr, &raw, err);
    bool sees = rc == 0 && rbac_sees(&d.session, &d.vdi);
    db_unlock();
    if (rc || !sees)
        return rc ? -1 : err_set(err, ERR_UUID_INVALID, "VDI", d.uuid);
    if (op_begin(CLASS_VDI, &d.vdi, "copy", &d.key, err))
        return -1;
    if (start(&d, &sr, raw, fd_out, err)) {
        nbd_close(&d);
        return -1;
    }
    *out = d;
    return 0;
}

void nbd_close(struct nbd_disk *d)
{
    disks_reader_end(&d->proc);
    lease_give(TAKE(d->lease));
    op_end(CLASS_VDI, &d->vdi, &d->key);
}
