/* SPDX-License-Identifier: Apache-2.0 */
/* VM.provision's disks: the template's XML to VDIs and VBDs. */
#include "ops/provision.h"

#include <expat.h>
#include <string.h>

#include "api/errors.h"
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

static int add_disk(struct call *call, const struct ref *vm, const char *vm_name,
                    const struct provision_disk *d, struct ref *vdi_out, struct err *err)
{
    struct ref sr;
    if (pick_sr(d->sr_uuid, &sr, err))
        return -1;
    AUTO(free_str) char *name = str_fmt("%s %s", vm_name, d->device);
    struct vdi_rec *vdi = storage_vdi_new(&sr, name, d->size_bytes);
    vdi->type = d->type;
    if (storage_create_vdi(call, vdi, vdi_out, err))
        return -1;
    struct vbd_rec *vbd = record_new(&schema_classes[CLASS_VBD]);
    vbd->VM = *vm;
    vbd->VDI = *vdi_out;
    str_put(&vbd->userdevice, d->device);
    vbd->bootable = d->bootable;
    vbd->mode = VBD_MODE_RW;
    vbd->type = VBD_TYPE_DISK;
    vbd->unpluggable = true;
    struct tx *tx = call_tx(call);
    if (!call_get(CLASS_VM, vm, err)) {
        record_free(&schema_classes[CLASS_VBD], vbd);
        tx_abort(tx);
        return -1;
    }
    struct ref ref = tx_create(tx, CLASS_VBD, vbd, NULL);
    op_refresh(tx, CLASS_VBD, &ref);
    op_refresh(tx, CLASS_VDI, vdi_out);
    return tx_commit(tx, err);
}

int provision_disks(struct call *call, const struct ref *vm, struct err *err)
{
    struct provision_disk disks[PROVISION_DISKS_MAX];
    struct ref made[PROVISION_DISKS_MAX];
    size_t n = 0;
    AUTO(free_str) char *xml = NULL;
    AUTO(free_str) char *name = NULL;
    db_lock();
    const struct vm_rec *rec = call_get(CLASS_VM, vm, err);
    for (size_t i = 0; rec && i < rec->other_config.n; i++)
        if (str_eq(rec->other_config.v[i].key, "disks"))
            xml = str_dup(rec->other_config.v[i].val);
    if (rec)
        name = str_dup(rec->name_label);
    db_unlock();
    if (!rec || provision_parse(xml ? xml : "", disks, &n, err))
        return -1;
    for (size_t i = 0; i < n; i++) {
        made[i] = REF_NULL;
        if (add_disk(call, vm, name, &disks[i], &made[i], err) == 0)
            continue;
        for (size_t k = 0; k <= i; k++) {
            AUTO(err_done) struct err second = { 0 };
            if (!ref_is_null(&made[k]) && storage_destroy_vdi(call, &made[k], &second))
                log_warn("a disk of an unfinished provisioning of %s stays", name);
        }
        return -1;
    }
    return 0;
}
