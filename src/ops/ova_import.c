/* SPDX-License-Identifier: Apache-2.0 */
/* Import. The description is read whole (it is bounded), judged, and becomes records in one change set. What it says is a
 * stranger's: nothing of it is taken but fields that a caller may set, by the rules of their setters. */
#include <stdlib.h>
#include <string.h>

#include "api/errors.h"
#include "base/failpoint.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/tar.h"
#include "base/uuid.h"
#include "base/vec.h"
#include "model/ops_lock.h"
#include "ops/hooks.h"
#include "ops/ova.h"
#include "ops/storage.h"
#include "ops/vm.h"
#include "wire/rpc.h"

#define OBJECTS_MAX 100000

struct object {
    enum class_id cls;
    const char *id;         /* "Ref:7", of the tree */
    const json_t *snapshot; /* of the tree */
    struct ref ref;         /* what it is here; null: nothing */
    void *rec;              /* to be made; NULL: it is here, or is left out */
};

struct import {
    struct call *call;
    const struct ova_import *how;
    json_t *tree;
    VEC(struct object) objects;
    struct hash by_id; /* struct object */
    VEC(struct ova_fill) disks;
    bool own; /* written by us: stored memory can be taken */
};

static void import_done(struct import *m)
{
    for (size_t i = 0; i < m->objects.n; i++)
        record_free(&schema_classes[m->objects.v[i].cls], m->objects.v[i].rec);
    vec_done(&m->objects);
    vec_done(&m->disks);
    hash_done(&m->by_id);
    json_decref(m->tree);
}

/* Reading */

static int read_full(ssize_t (*read)(void *arg, void *p, size_t n), void *arg, void *p,
                     size_t n, struct err *err)
{
    for (size_t got = 0; got < n;) {
        ssize_t k = read(arg, (char *)p + got, n - got);

        if (k <= 0)
            return err_set(err, ERR_IMPORT_ERROR_PREMATURE_EOF);
        got += (size_t)k;
    }
    return 0;
}

static int read_xml(ssize_t (*read)(void *arg, void *p, size_t n), void *arg,
                    struct buf *out, struct err *err)
{
    uint8_t block[2 * TAR_BLOCK];
    AUTO(err_done) struct err ignored = { 0 };
    struct tar_entry e;
    size_t size;
    void *p;

    if (read_full(read, arg, block, TAR_BLOCK, err) != 0)
        return -1;
    if (tar_parse(block, &e) != TAR_ENTRY)
        return err_set(err, ERR_IMPORT_ERROR, "not a tar archive");
    if (!str_eq(e.name, "ova.xml") || e.type != '0')
        return err_set(err, ERR_IMPORT_ERROR_UNEXPECTED_FILE, "ova.xml", e.name);
    if (e.size > OVA_MAX_BYTES)
        return err_set(err, ERR_IMPORT_ERROR, "ova.xml is larger than 16 MiB");
    size = (size_t)e.size + tar_padding(e.size);
    p = buf_reserve(out, size);
    if (read_full(read, arg, p, size, err) != 0)
        return -1;
    out->len = (size_t)e.size;
    /* The end of the archive, so that who sends it is not cut off. */
    IGNORE(read_full(read, arg, block, sizeof(block), &ignored));
    return 0;
}

static int bad(struct err *err, const char *why)
{
    return err_set(err, ERR_IMPORT_ERROR, why);
}

static int check_version(const json_t *tree, struct err *err)
{
    const json_t *v = json_object_get(json_object_get(tree, "version"), "export_vsn");
    int64_t n;

    if (!json_is_string(v) || !parse_i64(json_string_value(v), &n))
        return bad(err, "ova.xml does not say its version");
    return n >= 0 && n <= 2 ? 0 : err_set(err, ERR_IMPORT_INCOMPATIBLE_VERSION);
}

static int take_objects(struct import *m, struct err *err)
{
    const json_t *all = json_object_get(m->tree, "objects"), *row;
    size_t i;

    if (!json_is_array(all) || json_array_size(all) > OBJECTS_MAX)
        return bad(err, "ova.xml has no list of objects, or too long a one");
    json_array_foreach(all, i, row)
    {
        const char *cls = json_string_value(json_object_get(row, "class"));
        struct object o = { .id = json_string_value(json_object_get(row, "id")),
                            .snapshot = json_object_get(row, "snapshot") };
        const struct class_def *def = cls ? schema_class(cls) : NULL;

        if (!cls || !o.id || !json_is_object(o.snapshot))
            return bad(err, "ova.xml has an object without class, id or snapshot");
        if (!def || !def->is_object)
            continue; /* of another version */
        o.cls = def->id;
        vec_push(&m->objects, o);
    }
    for (i = 0; i < m->objects.n; i++) {
        struct object *o = &m->objects.v[i];

        if (hash_put(&m->by_id, o->id, strlen(o->id), o))
            return bad(err, "ova.xml has two objects of the same id");
    }
    return 0;
}

/* What is here already */

static const char *text_of(const struct object *o, const char *field)
{
    const char *text = json_string_value(json_object_get(o->snapshot, field));

    return text ? text : "";
}

static bool by_uuid(struct object *o) REQUIRES(db_mutex)
{
    return db_find_uuid(o->cls, text_of(o, "uuid"), &o->ref);
}

static bool find_network(struct object *o) REQUIRES(db_mutex)
{
    const char *bridge = text_of(o, "bridge");

    if (by_uuid(o))
        return true;
    for (struct db_iter it = db_first(CLASS_NETWORK); *bridge && it.rec; db_next(&it)) {
        if (str_eq(((const struct network_rec *)it.rec)->bridge, bridge)) {
            o->ref = it.ref;
            return true;
        }
    }
    return db_find_name(CLASS_NETWORK, text_of(o, "name_label"), 0, &o->ref);
}

/* The standard template of that name. */
static bool find_template(struct object *o) REQUIRES(db_mutex)
{
    const json_t *is = json_object_get(o->snapshot, "is_default_template");
    struct ref ref;

    for (size_t i = 0;
         json_is_true(is) && db_find_name(CLASS_VM, text_of(o, "name_label"), i, &ref);
         i++) {
        if (((const struct vm_rec *)db_get(CLASS_VM, &ref))->is_default_template) {
            o->ref = ref;
            return true;
        }
    }
    return false;
}

/* A CD is found here, or its drive is empty; its contents do not come. */
static bool is_cd(const struct import *m, const struct object *vdi)
{
    bool cd = false;

    for (size_t i = 0; i < m->objects.n; i++) {
        const struct object *o = &m->objects.v[i];

        if (o->cls == CLASS_VBD && str_eq(text_of(o, "VDI"), vdi->id)) {
            if (!str_eq(text_of(o, "type"), "CD"))
                return false;
            cd = true;
        }
    }
    return cd;
}

static int find_all(struct import *m, struct err *err) REQUIRES(db_mutex)
{
    char text[REF_TEXT_SIZE];

    for (size_t i = 0; i < m->objects.n; i++) {
        struct object *o = &m->objects.v[i];

        switch (o->cls) {
        case CLASS_VDI:
            if (m->how->fill && !is_cd(m, o))
                break; /* made anew */
            (void)by_uuid(o);
            break;
        case CLASS_HOST:
        case CLASS_SR: (void)by_uuid(o); break;
        case CLASS_NETWORK:
            if (!find_network(o))
                o->rec = record_new(&schema_classes[o->cls]);
            break;
        case CLASS_VM:
            if (find_template(o))
                break;
            if (m->how->restore && by_uuid(o)) {
                ref_text(&o->ref, text);
                return err_set(err, ERR_DUPLICATE_VM, text);
            }
            o->rec = record_new(&schema_classes[o->cls]);
            break;
        default: break;
        }
        if (o->rec)
            o->ref = ref_new();
    }
    return 0;
}

/* Records */

static struct object *object_of(const struct import *m, const char *id)
{
    return hash_get(&m->by_id, id, strlen(id));
}

/* The object that a field of o refers to; NULL: none, or one that is not in the description. */
static struct object *refers(const struct import *m, const struct object *o,
                             const char *field)
{
    return object_of(m, text_of(o, field));
}

static bool is_taken(const struct field_def *f)
{
    return !f->is_volatile && f->inverse_class == 0 && f->ty->kind != TY_REF
           && (f->ty->kind != TY_SET || f->ty->elem->kind != TY_REF)
           && (f->ty->kind != TY_MAP
               || (f->ty->elem->kind != TY_REF && f->ty->key->kind != TY_REF));
}

/* All fields but references, which the caller follows. */
static int fill(const struct import *m, struct object *o, struct err *err)
{
    const struct class_def *cls = &schema_classes[o->cls];
    int rc = 0;

    for (size_t i = 0; i < cls->n_fields && rc == 0; i++) {
        const struct field_def *f = &cls->fields[i];
        const json_t *value = json_object_get(o->snapshot, f->name);
        AUTO(free_ptr) void *tmp = NULL;

        if (!is_taken(f) || !value || (int)i == cls->uuid_field)
            continue;
        tmp = mem_alloc(MAX((size_t)f->ty->size, (size_t)1));
        rc = value_decode(f->ty, value, f->name, tmp, err);
        if (rc == 0) {
            value_done(f->ty, record_field(f, o->rec));
            memcpy(record_field(f, o->rec), tmp, f->ty->size);
        }
    }
    return rc == 0 ? m->how->may(cls, &m->call->session, o->rec, err) : -1;
}

static void forget_key(struct vm_rec *vm, const char *key)
{
    (void)map_remove(schema_classes[CLASS_VM].fields[F_VM_OTHER_CONFIG].ty,
                     &vm->other_config, &key);
}

static int prepare_vm(struct import *m, struct object *o, struct err *err)
{
    struct vm_rec *vm = o->rec;
    const struct object *host = refers(m, o, "affinity");
    bool snapshot;
    struct uuid u;

    if (fill(m, o, err) != 0)
        return -1;
    snapshot = vm->is_a_snapshot;
    if (vm_prepare_new(vm, err) != 0)
        return -1;
    vm->is_a_snapshot = snapshot;
    if (snapshot)
        vm->is_a_template = true;
    if (host && host->cls == CLASS_HOST)
        vm->affinity = host->ref;
    forget_key(vm, "default_template");
    if (!m->how->restore) {
        forget_key(vm, "mac_seed");
        return 0;
    }
    if (!uuid_parse(text_of(o, "uuid"), &u))
        return bad(err, "a VM without a uuid");
    str_put(&vm->uuid, text_of(o, "uuid"));
    return 0;
}

/* The VM that o is a device of, if that is made. */
static const struct object *owner(const struct import *m, const struct object *o)
{
    const struct object *vm = refers(m, o, "VM");

    return vm && vm->cls == CLASS_VM && vm->rec ? vm : NULL;
}

static int prepare_vbd(struct import *m, struct object *o, struct err *err)
{
    const struct object *vm = owner(m, o), *vdi = refers(m, o, "VDI");
    struct vbd_rec *vbd;
    unsigned position;

    if (!vm)
        return 0;
    o->rec = record_new(&schema_classes[o->cls]);
    o->ref = ref_new();
    if (fill(m, o, err) != 0)
        return -1;
    vbd = o->rec;
    vbd->VM = vm->ref;
    if (vdi && vdi->cls == CLASS_VDI)
        vbd->VDI = vdi->ref;
    vbd->currently_attached = false;
    vbd->empty = ref_is_null(&vbd->VDI);
    str_put(&vbd->device, "");
    if (vbd->type == VBD_TYPE_CD) {
        vbd->mode = VBD_MODE_RO;
    } else if (vbd->empty && m->how->force) {
        record_free(&schema_classes[o->cls], TAKE(o->rec));
        o->ref = REF_NULL;
        return 0;
    } else if (vbd->empty && !(m->how->dry_run && m->how->fill)) {
        return err_set(err, ERR_IMPORT_ERROR_ATTACHED_DISKS_NOT_FOUND);
    }
    if (!vm_device_position(vbd->userdevice, &position) || position >= 256)
        return err_set(err, ERR_INVALID_DEVICE, vbd->userdevice);
    return 0;
}

static bool mac_valid(const char *mac)
{
    for (size_t i = 0; i < 17; i++)
        if (!mac[i]
            || (i % 3 == 2 ? mac[i] != ':' : !strchr("0123456789abcdefABCDEF", mac[i])))
            return false;
    return mac[17] == '\0' && strchr("02468aceACE", mac[1]);
}

static int prepare_vif(struct import *m, struct object *o, struct err *err)
{
    const struct object *vm = owner(m, o), *network = refers(m, o, "network");
    struct vif_rec *vif;
    char mac[18];
    int64_t n;

    if (!vm)
        return 0;
    if (!network || network->cls != CLASS_NETWORK)
        return err_set(err, ERR_IMPORT_ERROR_FAILED_TO_FIND_OBJECT, text_of(o, "network"));
    o->rec = record_new(&schema_classes[o->cls]);
    o->ref = ref_new();
    if (fill(m, o, err) != 0)
        return -1;
    vif = o->rec;
    vif->VM = vm->ref;
    vif->network = network->ref;
    vif->currently_attached = false;
    if (!parse_range(vif->device, 0, VMSPEC_NICS_MAX - 1, &n))
        return err_set(err, ERR_INVALID_DEVICE, vif->device);
    if (m->how->restore)
        return mac_valid(vif->MAC) ? 0 : err_set(err, ERR_MAC_INVALID, vif->MAC);
    vif_random_mac(mac);
    str_put(&vif->MAC, mac);
    vif->MAC_autogenerated = true;
    return 0;
}

static int prepare_network(struct import *m, struct object *o, struct err *err)
{
    struct network_rec *n = o->rec;

    if (fill(m, o, err) != 0)
        return -1;
    n->managed = true;
    if (n->MTU < 68 || n->MTU > 65535)
        n->MTU = 1500;
    return 0;
}

/* Disks */

/* A disk that a VM which is made has; or its stored memory, if that is ours. */
static bool is_wanted(const struct import *m, const struct object *vdi)
{
    for (size_t i = 0; i < m->objects.n; i++) {
        const struct object *o = &m->objects.v[i];

        if (o->cls == CLASS_VBD && refers(m, o, "VDI") == vdi && owner(m, o)
            && !str_eq(text_of(o, "type"), "CD"))
            return true;
        if (o->cls == CLASS_VM && o->rec && m->own && refers(m, o, "suspend_VDI") == vdi)
            return true;
    }
    return false;
}

/* What of a stranger's disk is taken for a new one. */
static int make_disk(struct import *m, struct object *o, struct err *err)
{
    struct vdi_rec *rec = storage_vdi_new(&m->how->sr, text_of(o, "name_label"), 0), *said;
    struct ova_fill row = { .id = o->id };
    int rc;

    o->rec = record_new(&schema_classes[o->cls]);
    rc = fill(m, o, err);
    said = o->rec;
    if (rc == 0)
        rc = vdi_check_size(said->virtual_size, err);
    if (rc == 0) {
        rec->virtual_size = said->virtual_size;
        rec->type = said->type;
        rec->sharable = said->sharable;
        rec->name_description = TAKE(said->name_description);
        rec->other_config = said->other_config;
        said->other_config = (struct map_string_string){ 0 };
        rec->xenstore_data = said->xenstore_data;
        said->xenstore_data = (struct map_string_string){ 0 };
        rec->tags = said->tags;
        said->tags = (struct set_string){ 0 };
        row.bytes = (uint64_t)said->virtual_size;
    }
    record_free(&schema_classes[o->cls], TAKE(o->rec));
    if (rc != 0) {
        record_free(&schema_classes[CLASS_VDI], rec);
        return -1;
    }
    rec->type = rec->type == VDI_TYPE_SUSPEND ? VDI_TYPE_SUSPEND : VDI_TYPE_USER;
    if (storage_create_vdi(m->call, rec, STORAGE_FOR_VM, &row.vdi, err) != 0)
        return -1;
    o->ref = row.vdi;
    vec_push(&m->disks, row);
    return 0;
}

static int make_disks(struct import *m, struct err *err)
{
    for (size_t i = 0; i < m->objects.n; i++) {
        struct object *o = &m->objects.v[i];

        if (o->cls == CLASS_VDI && ref_is_null(&o->ref) && is_wanted(m, o)
            && make_disk(m, o, err) != 0)
            return -1;
    }
    return 0;
}

static int fill_disks(struct import *m, struct err *err)
{
    (void)FAILPOINT("ova.disks");
    if (m->how->fill(m->how->fill_arg, m->disks.v, m->disks.n, err) != 0)
        return -1;
    (void)FAILPOINT("ova.filled");
    return 0;
}

static void drop_disks(struct import *m)
{
    for (size_t i = 0; i < m->disks.n; i++) {
        AUTO(err_done) struct err why = { 0 };

        if (storage_destroy_vdi(m->call, &m->disks.v[i].vdi, &why) != 0) {
            AUTO(free_str) char *text = err_text(&why);
            log_warn("a disk of an import that failed stays: %s", text);
        }
    }
}

static void keep_disks(struct import *m)
{
    for (size_t i = 0; i < m->disks.n; i++)
        storage_owned(&m->disks.v[i].vdi, 1);
}

/* Devices of one VM at one place. */
static int check_places(const struct import *m, struct err *err)
{
    AUTO(hash_done) struct hash places = { 0 };
    VEC(char *) names = { 0 };
    int rc = 0;

    for (size_t i = 0; i < m->objects.n && rc == 0; i++) {
        const struct object *o = &m->objects.v[i];
        const struct vbd_rec *vbd = o->rec;
        const struct vif_rec *vif = o->rec;
        bool is_vbd = o->cls == CLASS_VBD;
        const char *device;
        unsigned position = 0;
        char vm[REF_TEXT_SIZE];
        char *name;

        if (!o->rec || (!is_vbd && o->cls != CLASS_VIF))
            continue;
        device = is_vbd ? vbd->userdevice : vif->device;
        (void)vm_device_position(device, &position);
        ref_text(is_vbd ? &vbd->VM : &vif->VM, vm);
        name = str_fmt("%d %u %s", is_vbd, position, vm);
        vec_push(&names, name);
        if (hash_put(&places, name, strlen(name), name))
            rc = err_set(err, ERR_DEVICE_ALREADY_EXISTS, device);
    }
    for (size_t i = 0; i < names.n; i++)
        free(names.v[i]);
    vec_done(&names);
    return rc;
}

static int prepare(struct import *m, struct err *err)
{
    /* What others refer to comes first. */
    static const struct {
        enum class_id cls;
        int (*fn)(struct import *m, struct object *o, struct err *err);
    } rows[] = { { CLASS_NETWORK, prepare_network },
                 { CLASS_VM, prepare_vm },
                 { CLASS_VBD, prepare_vbd },
                 { CLASS_VIF, prepare_vif } };

    for (size_t k = 0; k < ARRAY_SIZE(rows); k++) {
        for (size_t i = 0; i < m->objects.n; i++) {
            struct object *o = &m->objects.v[i];

            if (o->cls != rows[k].cls || (k < 2 && !o->rec))
                continue;
            if (rows[k].fn(m, o, err) != 0)
                return -1;
        }
    }
    return check_places(m, err);
}

/* Making them */

/* What was found may have gone since. */
static int still_there(const struct import *m, struct err *err) REQUIRES(db_mutex)
{
    struct ref ref;
    char text[REF_TEXT_SIZE];

    for (size_t i = 0; i < m->objects.n; i++) {
        const struct object *o = &m->objects.v[i];

        if (!o->rec && !ref_is_null(&o->ref) && db_class_of(&o->ref) != o->cls)
            return err_set(err, ERR_IMPORT_ERROR_FAILED_TO_FIND_OBJECT, o->id);
        if (o->rec && o->cls == CLASS_VM && m->how->restore
            && db_find_uuid(CLASS_VM, ((const struct vm_rec *)o->rec)->uuid, &ref)) {
            ref_text(&ref, text);
            return err_set(err, ERR_DUPLICATE_VM, text);
        }
    }
    return 0;
}

static bool same_uuid_twice(const struct import *m)
{
    AUTO(hash_done) struct hash seen = { 0 };

    for (size_t i = 0; i < m->objects.n; i++) {
        const struct vm_rec *vm = m->objects.v[i].rec;

        if (vm && m->objects.v[i].cls == CLASS_VM && *vm->uuid
            && hash_put(&seen, vm->uuid, strlen(vm->uuid), m->objects.v[i].rec))
            return true;
    }
    return false;
}

static void make_class(struct tx *tx, struct import *m, enum class_id cls)
    REQUIRES(db_mutex)
{
    for (size_t i = 0; i < m->objects.n; i++) {
        struct object *o = &m->objects.v[i];

        if (o->cls != cls || !o->rec)
            continue;
        if (cls == CLASS_VM) {
            struct vm_metrics_rec *metrics = record_new(&schema_classes[CLASS_VM_METRICS]);

            metrics->install_time = clock_wall_us();
            ((struct vm_rec *)o->rec)->metrics = tx_create(tx, CLASS_VM_METRICS, metrics,
                                                           NULL);
        }
        (void)tx_create(tx, cls, TAKE(o->rec), &o->ref);
        op_refresh(tx, cls, &o->ref);
    }
}

/* References among VMs that are made: of snapshots to what they are of. made: which those are. */
static void join(struct tx *tx, const struct import *m, const bool *made) REQUIRES(db_mutex)
{
    static const struct {
        const char *name;
        unsigned field;
    } rows[] = { { "snapshot_of", F_VM_SNAPSHOT_OF }, { "parent", F_VM_PARENT } };

    for (size_t i = 0; i < m->objects.n; i++) {
        const struct object *o = &m->objects.v[i];

        for (size_t k = 0; made[i] && k < ARRAY_SIZE(rows); k++) {
            const struct object *of = refers(m, o, rows[k].name);

            if (of && of->cls == CLASS_VM && of != o && !ref_is_null(&of->ref))
                tx_set_ref(tx, &o->ref, CLASS_VM, rows[k].field, &of->ref);
        }
        if (made[i])
            op_refresh(tx, CLASS_VM, &o->ref);
    }
}

/* The disks of snapshots are those of other disks, when those came too. */
static void join_disks(struct tx *tx, const struct import *m) REQUIRES(db_mutex)
{
    for (size_t i = 0; i < m->objects.n; i++) {
        const struct object *o = &m->objects.v[i], *of = refers(m, o, "snapshot_of");
        const struct object *memory = refers(m, o, "suspend_VDI");

        if (o->cls == CLASS_VDI && m->how->fill && !ref_is_null(&o->ref)
            && json_is_true(json_object_get(o->snapshot, "is_a_snapshot"))) {
            tx_set_bool(tx, &o->ref, CLASS_VDI, F_VDI_IS_A_SNAPSHOT, true);
            if (of && of->cls == CLASS_VDI && !ref_is_null(&of->ref))
                tx_set_ref(tx, &o->ref, CLASS_VDI, F_VDI_SNAPSHOT_OF, &of->ref);
            op_refresh(tx, CLASS_VDI, &o->ref);
        }
        if (o->cls == CLASS_VM && m->how->fill && m->own && memory
            && memory->cls == CLASS_VDI && !ref_is_null(&memory->ref)
            && db_get(CLASS_VM, &o->ref)) {
            tx_set_ref(tx, &o->ref, CLASS_VM, F_VM_SUSPEND_VDI, &memory->ref);
            tx_set_enum(tx, &o->ref, CLASS_VM, F_VM_POWER_STATE, VM_POWER_STATE_SUSPENDED);
            op_refresh(tx, CLASS_VM, &o->ref);
        }
    }
}

static int make(struct import *m, struct set_ref *result, struct err *err)
{
    static const enum class_id order[] = { CLASS_NETWORK, CLASS_VM, CLASS_VBD, CLASS_VIF };

    AUTO(free_ptr) bool *made = mem_array(m->objects.n + 1, sizeof(bool));
    struct tx *tx = call_tx(m->call);

    if (still_there(m, err) != 0 || m->how->dry_run) {
        tx_abort(tx);
        return err->code ? -1 : 0;
    }
    result->v = mem_array(m->objects.n + 1, sizeof(*result->v));
    for (size_t i = 0; i < m->objects.n; i++) {
        const struct object *o = &m->objects.v[i];

        made[i] = o->rec && o->cls == CLASS_VM;
        if (made[i] && !((const struct vm_rec *)o->rec)->is_a_snapshot)
            result->v[result->n++] = o->ref;
    }
    for (size_t k = 0; k < ARRAY_SIZE(order); k++)
        make_class(tx, m, order[k]);
    join(tx, m, made);
    join_disks(tx, m);
    (void)FAILPOINT("ova.made");
    return tx_commit(tx, err);
}

static int judge(struct import *m, struct err *err)
{
    const char *build = json_string_value(
        json_object_get(json_object_get(m->tree, "version"), "build_number"));
    int rc;

    if (check_version(m->tree, err) != 0 || take_objects(m, err) != 0)
        return -1;
    m->own = build && str_starts(build, "serai-");
    db_lock();
    rc = find_all(m, err);
    db_unlock();
    return rc;
}

/* What could be wrong with the description is found before the contents come. */
static int prepare_all(struct import *m, struct err *err)
{
    bool fill = m->how->fill && !m->how->dry_run;

    if ((fill && make_disks(m, err) != 0) || prepare(m, err) != 0)
        return -1;
    if (same_uuid_twice(m))
        return bad(err, "ova.xml has two VMs of the same uuid");
    return fill ? fill_disks(m, err) : 0;
}

int ova_import_xml(struct call *call, const struct ova_import *how, const char *xml,
                   size_t len, struct set_ref *result, struct err *err)
{
    AUTO(import_done) struct import m = { .call = call, .how = how };
    AUTO(err_done) struct err why = { 0 };
    int rc;

    m.tree = xmlrpc_parse_value(xml, len, &why);
    if (!m.tree)
        return bad(err, why.n_params ? why.params[0] : "ova.xml cannot be read");
    if (judge(&m, err) != 0)
        return -1;
    rc = prepare_all(&m, err);
    if (rc == 0)
        rc = make(&m, result, err);
    if (rc == 0)
        keep_disks(&m);
    else
        drop_disks(&m);
    return rc;
}

int ova_import(struct call *call, const struct ova_import *how,
               ssize_t (*read)(void *arg, void *p, size_t n), void *arg,
               struct set_ref *result, struct err *err)
{
    AUTO(buf_done) struct buf xml = BUF_INIT(0);

    return read_xml(read, arg, &xml, err) == 0
               ? ova_import_xml(call, how, buf_str(&xml), xml.len, result, err)
               : -1;
}
