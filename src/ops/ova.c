/* SPDX-License-Identifier: Apache-2.0 */
/* Export: gather what belongs together, number it, write it. Under one hold of the lock, so that it is of one moment. */
#include "ops/ova.h"

#include <string.h>

#include "api/errors.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/tar.h"
#include "base/vec.h"
#include "ops/host_ctx.h"

struct item {
    enum class_id cls;
    struct ref ref;
    size_t number;
};

struct gathering {
    VEC(struct item *) items;
    struct hash by_ref;
};

static void gathering_done(struct gathering *g)
{
    for (size_t i = 0; i < g->items.n; i++)
        free(g->items.v[i]);
    vec_done(&g->items);
    hash_done(&g->by_ref);
}

/* False: it is nothing, or was there already. */
static bool gather(struct gathering *g, enum class_id cls, const struct ref *ref)
    REQUIRES(db_mutex)
{
    struct item *item;

    if (ref_is_null(ref) || !db_get(cls, ref) || hash_get(&g->by_ref, ref, sizeof(*ref)))
        return false;
    item = mem_alloc(sizeof(*item));
    *item = (struct item){ cls, *ref, g->items.n };
    vec_push(&g->items, item);
    IGNORE(hash_put(&g->by_ref, &item->ref, sizeof(item->ref), item));
    return true;
}

static void gather_vdi(struct gathering *g, const struct ref *ref) REQUIRES(db_mutex)
{
    if (gather(g, CLASS_VDI, ref))
        (void)gather(g, CLASS_SR, &((const struct vdi_rec *)db_get(CLASS_VDI, ref))->SR);
}

static void gather_vm(struct gathering *g, const struct ref *ref, bool snapshots)
    REQUIRES(db_mutex)
{
    const struct vm_rec *vm = db_get(CLASS_VM, ref);

    if (!gather(g, CLASS_VM, ref))
        return;
    (void)gather(g, CLASS_HOST, &vm->affinity);
    (void)gather(g, CLASS_VM_GUEST_METRICS, &vm->guest_metrics);
    gather_vdi(g, &vm->suspend_VDI);
    for (size_t i = 0; i < vm->VBDs.n; i++) {
        const struct vbd_rec *vbd = db_get(CLASS_VBD, &vm->VBDs.v[i]);

        if (gather(g, CLASS_VBD, &vm->VBDs.v[i]))
            gather_vdi(g, &vbd->VDI);
    }
    for (size_t i = 0; i < vm->VIFs.n; i++) {
        const struct vif_rec *vif = db_get(CLASS_VIF, &vm->VIFs.v[i]);

        if (gather(g, CLASS_VIF, &vm->VIFs.v[i]))
            (void)gather(g, CLASS_NETWORK, &vif->network);
    }
    for (size_t i = 0; snapshots && i < vm->snapshots.n; i++)
        gather_vm(g, &vm->snapshots.v[i], false);
}

/* Writing */

static bool known(const struct gathering *g, const struct ty *ty, const void *p)
{
    return ty->kind != TY_REF || hash_get(&g->by_ref, p, sizeof(struct ref));
}

static void add_name(struct buf *out, const struct gathering *g, const struct ref *ref)
{
    const struct item *item = hash_get(&g->by_ref, ref, sizeof(*ref));
    AUTO(free_str) char *name = item ? str_fmt("Ref:%zu", item->number) : NULL;

    enc_string(out, ENC_XML, name ? name : "OpaqueRef:NULL");
}

static void add_value(struct buf *out, const struct gathering *g, const struct ty *ty,
                      const void *p)
{
    const struct set_any *set = p;
    bool first = true;

    if (ty->kind == TY_REF) {
        add_name(out, g, p);
    } else if (ty->kind == TY_SET && ty->elem->kind == TY_REF) {
        enc_array_begin(out, ENC_XML);
        for (size_t i = 0; i < set->n; i++) {
            const void *elem = (const char *)set->v + i * ty->entry;

            if (!known(g, ty->elem, elem))
                continue;
            enc_item_begin(out, ENC_XML, &first);
            add_name(out, g, elem);
        }
        enc_array_end(out, ENC_XML);
    } else if (ty->kind == TY_MAP && ty->elem->kind == TY_REF
               && ty->key->kind == TY_STRING) {
        enc_struct_begin(out, ENC_XML);
        for (size_t i = 0; i < set->n; i++) {
            if (!known(g, ty->elem, map_val(ty, p, i)))
                continue;
            enc_member_begin(out, ENC_XML, *(const char *const *)map_key(ty, p, i), &first);
            add_name(out, g, map_val(ty, p, i));
            enc_member_end(out, ENC_XML);
        }
        enc_struct_end(out, ENC_XML);
    } else {
        enc_value(out, ENC_XML, ty, p);
    }
}

static bool is_state(const struct item *item, const struct field_def *f)
{
    return item->cls == CLASS_VM
           && (f->id == F_VM_POWER_STATE || f->id == F_VM_SUSPEND_VDI);
}

static void add_item(struct buf *out, const struct gathering *g, const struct item *item,
                     bool power_state) REQUIRES(db_mutex)
{
    const struct class_def *cls = &schema_classes[item->cls];
    const void *rec = db_get(item->cls, &item->ref);
    bool first = true, inner = true;

    enc_struct_begin(out, ENC_XML);
    enc_member_begin(out, ENC_XML, "class", &first);
    enc_string(out, ENC_XML, cls->name);
    enc_member_end(out, ENC_XML);
    enc_member_begin(out, ENC_XML, "id", &first);
    add_name(out, g, &item->ref);
    enc_member_end(out, ENC_XML);
    enc_member_begin(out, ENC_XML, "snapshot", &first);
    enc_struct_begin(out, ENC_XML);
    for (size_t i = 0; i < cls->n_fields; i++) {
        const struct field_def *f = &cls->fields[i];

        enc_member_begin(out, ENC_XML, f->name, &inner);
        if (is_state(item, f) && !power_state)
            enc_string(out, ENC_XML, f->ty->kind == TY_REF ? "OpaqueRef:NULL" : "Halted");
        else
            add_value(out, g, f->ty, record_field(f, rec));
        enc_member_end(out, ENC_XML);
    }
    enc_struct_end(out, ENC_XML);
    enc_member_end(out, ENC_XML);
    enc_struct_end(out, ENC_XML);
}

static void add_version(struct buf *out)
{
    char date[20];
    bool first = true;

    clock_iso(clock_wall_us(), date);
    const char *const rows[][2] = {
        { "hostname", host_ctx.inventory.hostname },
        { "date", date },
        { "product_version", host_ctx.brand->product_version },
        { "product_brand", host_ctx.brand->product_brand },
        { "build_number", "serai-" SERAI_VERSION },
        { "xapi_major", "1" },
        { "xapi_minor", "20" },
        { "export_vsn", "2" },
    };
    enc_struct_begin(out, ENC_XML);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        enc_member_begin(out, ENC_XML, rows[i][0], &first);
        enc_string(out, ENC_XML, rows[i][1]);
        enc_member_end(out, ENC_XML);
    }
    enc_struct_end(out, ENC_XML);
}

static void write_xml(struct buf *out, const struct gathering *g, bool power_state)
    REQUIRES(db_mutex)
{
    bool first = true, none = true;

    buf_add_str(out, "<?xml version='1.0'?>");
    enc_struct_begin(out, ENC_XML);
    enc_member_begin(out, ENC_XML, "version", &first);
    add_version(out);
    enc_member_end(out, ENC_XML);
    enc_member_begin(out, ENC_XML, "objects", &first);
    enc_array_begin(out, ENC_XML);
    for (size_t i = 0; i < g->items.n; i++) {
        enc_item_begin(out, ENC_XML, &none);
        add_item(out, g, g->items.v[i], power_state);
    }
    enc_array_end(out, ENC_XML);
    enc_member_end(out, ENC_XML);
    enc_struct_end(out, ENC_XML);
}

static int choose(struct gathering *g, const struct ova_choice *c, struct err *err)
    REQUIRES(db_mutex)
{
    struct ref ref;

    for (struct db_iter it = db_first(CLASS_VM); c->all && it.rec; db_next(&it)) {
        const struct vm_rec *vm = it.rec;

        if (!vm->is_default_template && !vm->is_control_domain && !vm->is_a_snapshot)
            gather_vm(g, &it.ref, c->snapshots);
    }
    if (c->all)
        return 0;
    if (call_find(CLASS_VM, c->vm, &ref, err) != 0)
        return -1;
    gather_vm(g, &ref, c->snapshots);
    return 0;
}

static bool seen(const struct ova_disks *disks, const struct ref *vdi)
{
    for (size_t i = 0; i < disks->rows.n; i++)
        if (ref_eq(&disks->rows.v[i].vdi, vdi))
            return true;
    return false;
}

static void add_disk(const struct gathering *g, struct ova_disks *disks,
                     const struct ref *vdi)
{
    const struct item *item = hash_get(&g->by_ref, vdi, sizeof(*vdi));

    if (item && !seen(disks, vdi))
        vec_push(&disks->rows, ((struct ova_disk){ *vdi, item->number }));
}

static void list_disks(const struct gathering *g, bool power_state, struct ova_disks *disks)
    REQUIRES(db_mutex)
{
    for (size_t i = 0; i < g->items.n; i++) {
        const struct item *item = g->items.v[i];
        const void *rec = db_get(item->cls, &item->ref);
        const struct vbd_rec *vbd = rec;

        if (item->cls == CLASS_VBD && vbd->type != VBD_TYPE_CD)
            add_disk(g, disks, &vbd->VDI);
        if (item->cls == CLASS_VM && power_state)
            add_disk(g, disks, &((const struct vm_rec *)rec)->suspend_VDI);
    }
}

static void list_vms(const struct gathering *g, struct set_ref *out)
{
    *out = (struct set_ref){ .v = mem_array(g->items.n + 1, sizeof(*out->v)) };
    for (size_t i = 0; i < g->items.n; i++)
        if (g->items.v[i]->cls == CLASS_VM)
            out->v[out->n++] = g->items.v[i]->ref;
}

int ova_describe(const struct ova_choice *choice, struct buf *xml, struct ova_disks *disks,
                 struct set_ref *vms_out, struct err *err)
{
    AUTO(gathering_done) struct gathering g = { 0 };
    int rc;

    db_lock();
    rc = choose(&g, choice, err);
    if (rc == 0) {
        write_xml(xml, &g, choice->power_state);
        list_disks(&g, choice->power_state, disks);
        list_vms(&g, vms_out);
    }
    db_unlock();
    return rc;
}

int ova_export(const struct ova_choice *choice, struct buf *out, struct err *err)
{
    static const char zeroes[2 * TAR_BLOCK];
    AUTO(buf_done) struct buf xml = BUF_INIT(0);
    struct ova_disks disks = { 0 };
    struct set_ref vms = { 0 };
    uint8_t head[TAR_BLOCK];
    int rc = ova_describe(choice, &xml, &disks, &vms, err);

    vec_done(&disks.rows);
    free(vms.v);
    if (rc != 0)
        return -1;
    tar_header(head, "ova.xml", xml.len, clock_wall_us() / US_PER_SEC);
    buf_add(out, head, sizeof(head));
    buf_add(out, buf_str(&xml), xml.len);
    buf_add(out, zeroes, tar_padding(xml.len));
    buf_add(out, zeroes, sizeof(zeroes));
    return 0;
}
