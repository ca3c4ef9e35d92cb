/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about the disks, CD drives and network interfaces of machines. */
#include <string.h>

#include "base/parse.h"
#include "xe/xe_int.h"

/* vm-disk-list, vm-cd-list, snapshot-disk-list */

static int list_vbds(struct xe *x, struct xe_shown *shown, const char *vm, const char *type,
                     struct err *err)
{
    const struct xe_kind *vbds = xe_kind("vbd"), *vdis = xe_kind("vdi");
    const char *vbd_names = xe_param(x, "vbd-params"),
               *vdi_names = xe_param(x, "vdi-params");
    bool cd = str_eq(type, "CD");
    if (!vbd_names)
        vbd_names = cd ? "uuid,vm-name-label,userdevice,empty"
                       : "uuid,vm-name-label,userdevice";
    if (!vdi_names)
        vdi_names = "uuid,name-label,virtual-size,sr-name-label";
    json_t *rec, *vbd_rec, *vdi_rec, *vbd;
    size_t i, n = 0;
    if (xe_record(x, "VM", vm, &rec, err) < 0)
        return -1;
    json_array_foreach(json_object_get(rec, "VBDs"), i, vbd)
    {
        const char *ref = json_string_value(vbd);
        if (xe_record(x, "VBD", ref, &vbd_rec, err) < 0)
            return -1;
        if (!str_eq(rec_str(vbd_rec, "type"), type))
            continue;
        bool text = !x->json && !x->minimal;
        if (text && *vbd_names)
            xe_out(x, "%s %zu VBD:\n", cd ? "CD" : "Disk", n);
        if (*vbd_names && xe_show_one(x, shown, vbds, ref, vbd_names, err) < 0)
            return -1;
        const char *vdi = rec_str(vbd_rec, "VDI");
        if (xe_record(x, "VDI", vdi, &vdi_rec, err) < 0)
            return -1;
        if (vdi_rec && *vdi_names) {
            if (text)
                xe_out(x, "%s %zu VDI:\n", cd ? "CD" : "Disk", n);
            if (xe_show_one(x, shown, vdis, vdi, vdi_names, err) < 0)
                return -1;
        }
        n++;
    }
    return 0;
}

static int list_devices(struct xe *x, const char *type, struct err *err)
{
    AUTO(xe_shown_done) struct xe_shown shown = { 0 };
    AUTO(json_drop) json_t *vms = NULL;
    size_t i;
    json_t *vm;
    if (xe_select(x, "vm", true, &vms, err) < 0)
        return -1;
    json_array_foreach(vms, i, vm)
    {
        if (list_vbds(x, &shown, json_string_value(vm), type, err) < 0)
            return -1;
    }
    xe_show_end(x, &shown);
    return 0;
}

static int vm_disk_list(struct xe *x, struct err *err)
{
    return list_devices(x, "Disk", err);
}

static int vm_cd_list(struct xe *x, struct err *err)
{
    return list_devices(x, "CD", err);
}

static int vm_vif_list(struct xe *x, struct err *err)
{
    AUTO(xe_shown_done) struct xe_shown shown = { 0 };
    AUTO(json_drop) json_t *vms = NULL;
    size_t i, j;
    json_t *vm, *vif, *rec;
    if (xe_select(x, "vm", true, &vms, err) < 0)
        return -1;
    json_array_foreach(vms, i, vm)
    {
        if (xe_record(x, "VM", json_string_value(vm), &rec, err) < 0)
            return -1;
        json_array_foreach(json_object_get(rec, "VIFs"), j, vif)
        {
            if (xe_show_one(x, &shown, xe_kind("vif"), json_string_value(vif), NULL, err)
                < 0)
                return -1;
        }
    }
    xe_show_end(x, &shown);
    return 0;
}

/* The CDs: disks in SRs of ISO images. name NULL: all. */
static int find_cds(struct xe *x, const char *name, json_t **refs_out, struct err *err)
{
    json_t *srs, *vdis, *rec;
    const char *ref;
    if (xe_all(x, "SR", &srs, err) < 0 || xe_all(x, "VDI", &vdis, err) < 0)
        return -1;
    AUTO(json_drop) json_t *refs = json_array();
    json_object_foreach(vdis, ref, rec)
    {
        const json_t *sr = json_object_get(srs, rec_str(rec, "SR"));
        if (str_eq(rec_str(sr, "content_type"), "iso")
            && (!name || str_eq(name, rec_str(rec, "name_label"))))
            json_array_append_new(refs, json_string(ref));
    }
    *refs_out = TAKE(refs);
    return 0;
}

static int cd_list(struct xe *x, struct err *err)
{
    const struct xe_kind *k = xe_kind("vdi");
    const char *names = xe_param(x, "params");
    AUTO(xe_shown_done) struct xe_shown shown = { 0 };
    AUTO(json_drop) json_t *refs = NULL;
    size_t i;
    json_t *ref, *rec;
    x->bulk = true;
    if (xe_check_filters(x, k, err) < 0 || find_cds(x, NULL, &refs, err) < 0)
        return -1;
    json_array_foreach(refs, i, ref)
    {
        bool match;
        if (xe_record(x, "VDI", json_string_value(ref), &rec, err) < 0
            || xe_passes(x, k, json_string_value(ref), rec, &match, err) < 0
            || (match
                && xe_show_one(x, &shown, k, json_string_value(ref),
                               names ? names : "uuid,name-label", err)
                       < 0))
            return -1;
    }
    xe_show_end(x, &shown);
    return 0;
}

static int find_cd(struct xe *x, char **ref_out, struct err *err)
{
    const char *name;
    AUTO(json_drop) json_t *refs = NULL;
    if (xe_need(x, "cd-name", &name, err) < 0 || find_cds(x, name, &refs, err) < 0)
        return -1;
    if (json_array_size(refs) != 1)
        return xe_fail(err,
                       json_array_size(refs) ? "Multiple CDs are called '%s'"
                                             : "No CD is called '%s'",
                       name);
    *ref_out = str_dup(json_string_value(json_array_get(refs, 0)));
    return 0;
}

/* The only VBD of the machine that fits. NULLs and false match everything. */
struct vbd_query {
    const char *type, *device, *vdi;
    bool only_empty, only_full;
    const char *what; /* for the error */
};

static bool vbd_fits(const json_t *rec, const struct vbd_query *q)
{
    bool empty = rec_true(rec, "empty");
    return str_eq(rec_str(rec, "type"), q->type)
           && (!q->device || str_eq(rec_str(rec, "userdevice"), q->device)
               || str_eq(rec_str(rec, "device"), q->device))
           && (!q->vdi || str_eq(rec_str(rec, "VDI"), q->vdi)) && !(q->only_empty && !empty)
           && !(q->only_full && empty);
}

static int find_vbd(struct xe *x, const char *vm, const struct vbd_query *q, char **vbd_out,
                    struct err *err)
{
    json_t *rec, *vbd_rec, *vbd;
    size_t i;
    const char *found = NULL;
    if (xe_record(x, "VM", vm, &rec, err) < 0)
        return -1;
    json_array_foreach(json_object_get(rec, "VBDs"), i, vbd)
    {
        if (xe_record(x, "VBD", json_string_value(vbd), &vbd_rec, err) < 0)
            return -1;
        if (!vbd_rec || !vbd_fits(vbd_rec, q))
            continue;
        if (found)
            return xe_fail(err, "The VM has more than one %s", q->what);
        found = json_string_value(vbd);
    }
    if (!found)
        return xe_fail(err, "The VM has no %s", q->what);
    *vbd_out = str_dup(found);
    return 0;
}

static int create_vbd(struct xe *x, const char *vm, const char *vdi, const char *device,
                      bool cd, struct err *err)
{
    AUTO(free_str) char *vbd = NULL;
    json_t *rec = json_pack("{ss, ss, ss, sb, ss, ss, sb, sb, s{}, ss, s{}}", "VM", vm,
                            "VDI", vdi, "userdevice", device, "bootable", 0, "mode",
                            cd ? "RO" : "RW", "type", cd ? "CD" : "Disk", "unpluggable", 1,
                            "empty", 0, "other_config", "qos_algorithm_type", "",
                            "qos_algorithm_params");
    return xe_call_ref(x, "VBD.create", json_pack("[o]", rec), &vbd, err);
}

static int vm_disk_add(struct xe *x, struct err *err)
{
    const char *vm, *size_text, *device, *sr_uuid = xe_param(x, "sr-uuid");
    uint64_t size;
    AUTO(json_drop) json_t *keep = NULL;
    AUTO(free_str) char *sr = NULL, *vdi = NULL;
    if (xe_need(x, "disk-size", &size_text, err) < 0
        || xe_need(x, "device", &device, err) < 0)
        return -1;
    if (!parse_size(size_text, &size) || size == 0 || size > INT64_MAX)
        return xe_fail(err, "Parameter 'disk-size': '%s' is not a size", size_text);
    if (xe_select_one(x, "vm", true, &vm, &keep, err) < 0
        || (sr_uuid ? xe_by_uuid(x, "SR", sr_uuid, &sr, err) : xe_default_sr(x, &sr, err))
               < 0)
        return -1;
    json_t *rec = json_pack("{ss, ss, ss, sI, ss, sb, sb, s{}}", "SR", sr, "name_label",
                            "Created by xe", "name_description", "", "virtual_size",
                            (json_int_t)size, "type", "user", "sharable", 0, "read_only", 0,
                            "other_config");
    if (xe_call_ref(x, "VDI.create", json_pack("[o]", rec), &vdi, err) < 0)
        return -1;
    if (create_vbd(x, vm, vdi, device, false, err) < 0) {
        AUTO(err_done) struct err ignored = { 0 }; /* the cause is known already */
        (void)!xe_do(x, "VDI.destroy", json_pack("[s]", vdi), &ignored);
        return -1;
    }
    return 0;
}

static int vm_disk_remove(struct xe *x, struct err *err)
{
    const char *vm;
    struct vbd_query q = { .type = "Disk", .what = "such disk" };
    json_t *rec;
    AUTO(json_drop) json_t *keep = NULL;
    AUTO(free_str) char *vbd = NULL;
    if (xe_need(x, "device", &q.device, err) < 0
        || xe_select_one(x, "vm", true, &vm, &keep, err) < 0
        || find_vbd(x, vm, &q, &vbd, err) < 0 || xe_record(x, "VBD", vbd, &rec, err) < 0
        || xe_do(x, "VBD.destroy", json_pack("[s]", vbd), err) < 0)
        return -1;
    const char *vdi = rec_str(rec, "VDI");
    return xe_ref_null(vdi) ? 0 : xe_do(x, "VDI.destroy", json_pack("[s]", vdi), err);
}

static int vm_cd_add(struct xe *x, struct err *err)
{
    const char *vm, *device;
    AUTO(json_drop) json_t *keep = NULL;
    AUTO(free_str) char *cd = NULL;
    if (xe_need(x, "device", &device, err) < 0 || find_cd(x, &cd, err) < 0
        || xe_select_one(x, "vm", true, &vm, &keep, err) < 0)
        return -1;
    return create_vbd(x, vm, cd, device, true, err);
}

static int vm_cd_insert(struct xe *x, struct err *err)
{
    const char *vm;
    static const struct vbd_query q = { .type = "CD",
                                        .only_empty = true,
                                        .what = "empty CD drive" };
    AUTO(json_drop) json_t *keep = NULL;
    AUTO(free_str) char *cd = NULL, *vbd = NULL;
    if (find_cd(x, &cd, err) < 0 || xe_select_one(x, "vm", true, &vm, &keep, err) < 0
        || find_vbd(x, vm, &q, &vbd, err) < 0)
        return -1;
    return xe_do(x, "VBD.insert", json_pack("[ss]", vbd, cd), err);
}

static int vm_cd_eject(struct xe *x, struct err *err)
{
    const char *vm;
    static const struct vbd_query q = { .type = "CD",
                                        .only_full = true,
                                        .what = "CD drive with a CD in it" };
    AUTO(json_drop) json_t *keep = NULL;
    AUTO(free_str) char *vbd = NULL;
    if (xe_select_one(x, "vm", true, &vm, &keep, err) < 0
        || find_vbd(x, vm, &q, &vbd, err) < 0)
        return -1;
    return xe_do(x, "VBD.eject", json_pack("[s]", vbd), err);
}

static int vm_cd_remove(struct xe *x, struct err *err)
{
    const char *vm;
    AUTO(json_drop) json_t *keep = NULL;
    AUTO(free_str) char *cd = NULL, *vbd = NULL;
    if (find_cd(x, &cd, err) < 0 || xe_select_one(x, "vm", true, &vm, &keep, err) < 0)
        return -1;
    const struct vbd_query q = { .type = "CD", .vdi = cd, .what = "drive with that CD" };
    if (find_vbd(x, vm, &q, &vbd, err) < 0)
        return -1;
    return xe_do(x, "VBD.destroy", json_pack("[s]", vbd), err);
}

/* device=autodetect: the first free one. mac absent or "random": the server makes one. */
static int vif_create(struct xe *x, struct err *err)
{
    const char *device, *network_uuid, *vm_uuid, *mac = xe_param(x, "mac");
    AUTO(free_str) char *vm = NULL, *network = NULL, *vif = NULL;
    AUTO(json_drop) json_t *free_devices = NULL;
    json_t *network_rec;
    if (xe_need(x, "device", &device, err) < 0
        || xe_need(x, "network-uuid", &network_uuid, err) < 0
        || xe_need(x, "vm-uuid", &vm_uuid, err) < 0
        || xe_by_uuid(x, "VM", vm_uuid, &vm, err) < 0
        || xe_by_uuid(x, "network", network_uuid, &network, err) < 0
        || xe_record(x, "network", network, &network_rec, err) < 0)
        return -1;
    if (str_eq(device, "autodetect")) {
        if (xe_call(x, "VM.get_allowed_VIF_devices", json_pack("[s]", vm), &free_devices,
                    err)
            < 0)
            return -1;
        device = json_string_value(json_array_get(free_devices, 0));
        if (!device)
            return xe_fail(err, "The VM has no room for another interface");
    }
    json_int_t mtu = json_integer_value(json_object_get(network_rec, "MTU"));
    json_t *rec = json_pack(
        "{ss, ss, ss, ss, sI, s{}, ss, s{}}", "device", device, "network", network, "VM",
        vm, "MAC", mac && !str_eq(mac, "random") ? mac : "", "MTU", mtu ? mtu : 1500,
        "other_config", "qos_algorithm_type", "", "qos_algorithm_params");
    if (xe_call_ref(x, "VIF.create", json_pack("[o]", rec), &vif, err) < 0)
        return -1;
    return xe_print_uuid(x, "VIF", vif, err);
}

const struct xe_function xe_disk_functions[] = {
    { "vm-disk-list", vm_disk_list, NULL },
    { "snapshot-disk-list", vm_disk_list, NULL },
    { "vm-disk-add", vm_disk_add, NULL },
    { "vm-disk-remove", vm_disk_remove, NULL },
    { "vm-cd-list", vm_cd_list, NULL },
    { "vm-cd-add", vm_cd_add, NULL },
    { "vm-cd-insert", vm_cd_insert, NULL },
    { "vm-cd-eject", vm_cd_eject, NULL },
    { "vm-cd-remove", vm_cd_remove, NULL },
    { "vm-vif-list", vm_vif_list, NULL },
    { "cd-list", cd_list, "*" },
    { "vif-create", vif_create, NULL },
    { 0 },
};
