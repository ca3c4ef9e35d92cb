/* SPDX-License-Identifier: Apache-2.0 */
/* VM.provision's disks: the template's XML to VDIs and VBDs. */
#include "ops/provision.h"

#include <expat.h>
#include <string.h>

#include "api/errors.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "model/ops_lock.h"
#include "ops/storage.h"

struct parse_state {
    struct provision_disk *out;
    size_t n;
    bool bad;
    XML_Parser parser;
};

static int disk_type(const char *text)
{
    const struct enum_def *e = schema_classes[CLASS_VDI].fields[F_VDI_TYPE].ty->enm;
    for (int i = 0; i < e->n; i++)
        if (strcmp(e->values[i], text) == 0)
            return i;
    return VDI_TYPE_USER;
}

static bool parse_attribute(struct provision_disk *d, const char *name, const char *value)
{
    if (strcmp(name, "device") == 0) {
        if (strlen(value) >= sizeof(d->device))
            return false;
        memcpy(d->device, value, strlen(value) + 1);
    } else if (strcmp(name, "size") == 0) {
        return parse_u64(value, &d->size_bytes) && d->size_bytes > 0;
    } else if (strcmp(name, "sr") == 0) {
        struct uuid u;
        if (!value[0])
            return true;
        if (!uuid_parse(value, &u))
            return false;
        uuid_text(&u, d->sr_uuid);
    } else if (strcmp(name, "bootable") == 0) {
        return parse_bool(value, &d->bootable);
    } else if (strcmp(name, "type") == 0) {
        d->type = disk_type(value);
    }
    return true;
}

static void on_element(void *arg, const char *name, const char **attributes)
{
    struct parse_state *s = arg;
    if (strcmp(name, "disk") != 0)
        return;
    if (s->n == PROVISION_DISKS_MAX) {
        s->bad = true;
        return;
    }
    struct provision_disk d = { .type = VDI_TYPE_USER };
    for (; attributes[0]; attributes += 2)
        s->bad |= !parse_attribute(&d, attributes[0], attributes[1]);
    s->bad |= !d.size_bytes;
    s->out[s->n++] = d;
}

static void on_doctype(void *arg, const char *name, const char *sysid, const char *pubid,
                       int internal)
{
    struct parse_state *s = arg;
    (void)name, (void)sysid, (void)pubid, (void)internal;
    s->bad = true;
    (void)XML_StopParser(s->parser, XML_FALSE);
}

int provision_parse(const char *xml, struct provision_disk out[static PROVISION_DISKS_MAX],
                    size_t *n_out, struct err *err)
{
    struct parse_state s = { .out = out };
    if (!xml[0]) {
        *n_out = 0;
        return 0;
    }
    s.parser = XML_ParserCreate("UTF-8");
    XML_SetUserData(s.parser, &s);
    XML_SetStartElementHandler(s.parser, on_element);
    XML_SetStartDoctypeDeclHandler(s.parser, on_doctype);
    enum XML_Status status = XML_Parse(s.parser, xml, (int)MIN(strlen(xml), (size_t)65536),
                                       1);
    XML_ParserFree(s.parser);
    if (status != XML_STATUS_OK || s.bad)
        return err_set(err, ERR_INVALID_VALUE, "other_config:disks", xml);
    *n_out = s.n;
    return 0;
}

static int pick_sr(const char *sr_uuid, struct ref *out, struct err *err)
{
    db_lock();
    bool found = false;
    if (sr_uuid[0]) {
        found = db_find_uuid(CLASS_SR, sr_uuid, out);
        if (!found)
            (void)err_set(err, ERR_UUID_INVALID, "SR", sr_uuid);
    } else {
        struct ref pool_ref = db_pool_ref();
        const struct pool_rec *pool = db_get(CLASS_POOL, &pool_ref);
        *out = pool ? pool->default_SR : REF_NULL;
        found = !ref_is_null(out);
        if (!found)
            (void)err_set(err, ERR_DEFAULT_SR_NOT_FOUND, "OpaqueRef:NULL");
    }
    db_unlock();
    return found ? 0 : -1;
}

/* What a provisioning makes. */
struct provision {
    struct provision_disk disks[PROVISION_DISKS_MAX];
    struct ref vdis[PROVISION_DISKS_MAX]; /* null: not made yet */
    size_t n;
    char *name;
};

static void provision_done(struct provision *p)
{
    free_str(&p->name);
}

static int read_template(const struct ref *vm, struct provision *p, struct err *err)
{
    AUTO(free_str) char *xml = NULL;
    db_lock();
    const struct vm_rec *rec = call_get(CLASS_VM, vm, err);
    for (size_t i = 0; rec && i < rec->other_config.n; i++)
        if (str_eq(rec->other_config.v[i].key, "disks"))
            xml = str_dup(rec->other_config.v[i].val);
    if (rec)
        p->name = str_dup(rec->name_label);
    db_unlock();
    return rec ? provision_parse(xml ? xml : "", p->disks, &p->n, err) : -1;
}

static int make_disk(struct call *call, const struct provision *p, size_t i,
                     struct ref *result, struct err *err)
{
    const struct provision_disk *d = &p->disks[i];
    struct ref sr;
    if (pick_sr(d->sr_uuid, &sr, err))
        return -1;
    AUTO(free_str) char *name = str_fmt("%s %s", p->name, d->device);
    struct vdi_rec *vdi = storage_vdi_new(&sr, name, d->size_bytes);
    vdi->type = d->type;
    return storage_create_vdi(call, vdi, STORAGE_FOR_VM, result, err);
}

static void attach_disk(struct tx *tx, const struct ref *vm, const struct provision_disk *d,
                        const struct ref *vdi) REQUIRES(db_mutex)
{
    struct vbd_rec *vbd = record_new(&schema_classes[CLASS_VBD]);
    vbd->VM = *vm;
    vbd->VDI = *vdi;
    str_put(&vbd->userdevice, d->device);
    vbd->bootable = d->bootable;
    vbd->mode = VBD_MODE_RW;
    vbd->type = VBD_TYPE_DISK;
    vbd->unpluggable = true;
    struct ref ref = tx_create(tx, CLASS_VBD, vbd, NULL);
    op_refresh(tx, CLASS_VBD, &ref);
    op_refresh(tx, CLASS_VDI, vdi);
}

/* All that makes a VM of the template, in one change set. */
static int record_vm(struct call *call, const struct ref *vm, const struct provision *p,
                     struct err *err)
{
    struct tx *tx = call_tx(call);
    if (!call_get(CLASS_VM, vm, err)) {
        tx_abort(tx);
        return -1;
    }
    for (size_t i = 0; i < p->n; i++)
        attach_disk(tx, vm, &p->disks[i], &p->vdis[i]);
    tx_set_bool(tx, vm, CLASS_VM, F_VM_IS_A_TEMPLATE, false);
    tx_map_remove(tx, vm, CLASS_VM, F_VM_OTHER_CONFIG, "disks");
    op_refresh(tx, CLASS_VM, vm);
    return tx_commit(tx, err);
}

int provision_vm(struct call *call, const struct ref *vm, struct err *err)
{
    AUTO(provision_done) struct provision p = { 0 };
    if (read_template(vm, &p, err))
        return -1;
    int rc = 0;
    for (size_t i = 0; i < p.n && rc == 0; i++)
        rc = make_disk(call, &p, i, &p.vdis[i], err);
    (void)FAILPOINT("vm.provision.disks");
    if (rc == 0)
        rc = record_vm(call, vm, &p, err);
    (void)FAILPOINT("vm.provision.recorded");
    if (rc == 0) {
        storage_owned(p.vdis, p.n);
        return 0;
    }
    for (size_t i = 0; i < p.n; i++) {
        AUTO(err_done) struct err second = { 0 };
        if (!ref_is_null(&p.vdis[i]) && storage_destroy_vdi(call, &p.vdis[i], &second))
            log_warn("a disk of an unfinished provisioning of %s stays", p.name);
    }
    return -1;
}
