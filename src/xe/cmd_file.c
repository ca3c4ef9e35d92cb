/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that move files or attach a terminal. Only files that were named on the command line are touched, and
 * only through struct xe_env. */
#include <string.h>

#include "base/parse.h"
#include "xe/xe_int.h"

static int upload(struct xe *x, const char *file, const char *path_query, char **result_out,
                  struct err *err)
{
    AUTO(free_str) char *result = NULL;
    if (!x->env->upload)
        return xe_fail(err, "Files cannot be sent from here");
    if (x->env->upload(x->env->arg, file, path_query, &result, err) < 0)
        return -1;
    if (result_out)
        *result_out = TAKE(result);
    return 0;
}

static int download(struct xe *x, const char *file, const char *path_query, struct err *err)
{
    if (!x->env->download)
        return xe_fail(err, "Files cannot be received here");
    return x->env->download(x->env->arg, file, path_query, err);
}

/* Words that go into a query as they are. */
static int plain(const char *text, const char *what, struct err *err)
{
    if (text[strspn(text,
                    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")])
        return xe_fail(err, "Parameter '%s': '%s' has characters that it cannot have", what,
                       text);
    return 0;
}

static int vdi_transfer(struct xe *x, char **query_out, const char **file_out,
                        struct err *err)
{
    const char *uuid, *format = xe_param(x, "format");
    AUTO(free_str) char *vdi = NULL;
    (void)xe_param(x, "progress");
    format = format ? format : "raw";
    if (xe_need(x, "uuid", &uuid, err) < 0 || xe_need(x, "filename", file_out, err) < 0
        || plain(format, "format", err) < 0 || xe_by_uuid(x, "VDI", uuid, &vdi, err) < 0)
        return -1;
    *query_out = str_fmt("vdi=%s&format=%s", vdi, format);
    return 0;
}

static int vdi_import(struct xe *x, struct err *err)
{
    AUTO(free_str) char *query = NULL, *path = NULL;
    const char *file;
    if (vdi_transfer(x, &query, &file, err) < 0)
        return -1;
    path = str_fmt("/import_raw_vdi?%s", query);
    return upload(x, file, path, NULL, err);
}

static int vdi_export(struct xe *x, struct err *err)
{
    AUTO(free_str) char *query = NULL, *path = NULL, *base = NULL;
    const char *file, *base_uuid = xe_param(x, "base");
    if (vdi_transfer(x, &query, &file, err) < 0
        || (base_uuid && xe_by_uuid(x, "VDI", base_uuid, &base, err) < 0))
        return -1;
    path = str_fmt("/export_raw_vdi?%s%s%s", query, base ? "&base=" : "", base ? base : "");
    return download(x, file, path, err);
}

static int export_vm(struct xe *x, const char *vm, struct err *err)
{
    static const char *const flags[][2] = { { "preserve-power-state",
                                              "preserve_power_state" },
                                            { "include-snapshots", "export_snapshots" } };
    const char *file, *compress = xe_param(x, "compress");
    AUTO(buf_done) struct buf path = BUF_INIT(0);
    if (xe_need(x, "filename", &file, err) < 0
        || (compress && plain(compress, "compress", err) < 0))
        return -1;
    buf_addf(&path, "/%s?ref=%s", xe_flag(x, "metadata") ? "export_metadata" : "export",
             vm);
    if (compress)
        buf_addf(&path, "&use_compression=%s", compress);
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        bool on;
        const char *text = xe_param(x, flags[i][0]);
        if (text && parse_bool(text, &on))
            buf_addf(&path, "&%s=%s", flags[i][1], on ? "true" : "false");
    }
    return download(x, file, buf_str(&path), err);
}

static int vm_export(struct xe *x, struct err *err)
{
    const char *vm;
    AUTO(json_drop) json_t *keep = NULL;
    return xe_select_one(x, "vm", true, &vm, &keep, err) < 0 ? -1 : export_vm(x, vm, err);
}

static int export_uuid(struct xe *x, struct err *err)
{
    const char *uuid;
    AUTO(free_str) char *vm = NULL;
    if (xe_need(x, str_starts(x->name, "template") ? "template-uuid" : "snapshot-uuid",
                &uuid, err)
            < 0
        || xe_by_uuid(x, "VM", uuid, &vm, err) < 0)
        return -1;
    return export_vm(x, vm, err);
}

/* The uuids of the machines whose references a task's result names. */
static int print_refs(struct xe *x, const char *result, struct err *err)
{
    const char *prefix = "OpaqueRef:";
    for (const char *p = result; (p = strstr(p, prefix));) {
        size_t len = strlen(prefix) + strspn(p + strlen(prefix), "0123456789abcdef-");
        AUTO(free_str) char *ref = str_dupn(p, len);
        if (xe_print_uuid(x, "VM", ref, err) < 0)
            return -1;
        p += len;
    }
    return 0;
}

/* The daemon fetches it. */
static int import_url(struct xe *x, const char *url, const char *sr, struct err *err)
{
    int preserve = xe_flag(x, "preserve"), force = xe_flag(x, "force");
    AUTO(json_drop) json_t *made = NULL;
    json_t *ref;
    size_t i;

    if (xe_param(x, "filename") || xe_flag(x, "metadata") || xe_flag(x, "dry-run"))
        return xe_fail(err,
                       "Parameter 'url' does not go with filename, metadata and dry-run");
    if (xe_call(x, "VM.import",
                json_pack("[ssbb]", url, sr ? sr : "OpaqueRef:NULL", preserve, force),
                &made, err)
        < 0)
        return -1;
    json_array_foreach(made, i, ref)
    {
        if (xe_print_uuid(x, "VM", json_string_value(ref), err) < 0)
            return -1;
    }
    return 0;
}

static int vm_import(struct xe *x, struct err *err)
{
    static const char *const not_yet[] = { "host-username", "host-password", "type",
                                           "remote-config", "vdi" };
    const char *file, *sr_uuid = xe_param(x, "sr-uuid"), *url = xe_param(x, "url");
    AUTO(free_str) char *sr = NULL, *result = NULL;
    AUTO(buf_done) struct buf path = BUF_INIT(0);
    for (size_t i = 0; i < ARRAY_SIZE(not_yet); i++) {
        AUTO(json_drop) json_t *map = xe_param_map(x, not_yet[i]);
        if (xe_param(x, not_yet[i]) || json_object_size(map))
            return xe_fail(err, "Parameter not yet served: %s", not_yet[i]);
    }
    if ((!url && xe_need(x, "filename", &file, err) < 0)
        || (sr_uuid && xe_by_uuid(x, "SR", sr_uuid, &sr, err) < 0))
        return -1;
    if (url)
        return import_url(x, url, sr, err);
    buf_addf(&path, "/%s?restore=%s&force=%s&dry_run=%s",
             xe_flag(x, "metadata") ? "import_metadata" : "import",
             xe_flag(x, "preserve") ? "true" : "false",
             xe_flag(x, "force") ? "true" : "false",
             xe_flag(x, "dry-run") ? "true" : "false");
    if (sr)
        buf_addf(&path, "&sr_id=%s", sr);
    return upload(x, file, buf_str(&path), &result, err) < 0 ? -1
                                                             : print_refs(x, result, err);
}

static int blob_create(struct xe *x, struct err *err)
{
    static const char *const owners[][2] = { { "vm-uuid", "VM" },
                                             { "host-uuid", "host" },
                                             { "sr-uuid", "SR" },
                                             { "network-uuid", "network" },
                                             { "pool-uuid", "pool" } };
    const char *name, *type = xe_param(x, "mime-type");
    bool is_public = xe_flag(x, "public");
    if (xe_need(x, "name", &name, err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_SIZE(owners); i++) {
        const char *uuid = xe_param(x, owners[i][0]);
        AUTO(free_str) char *owner = NULL, *blob = NULL;
        if (!uuid)
            continue;
        AUTO(free_str) char *method = str_fmt("%s.create_new_blob", owners[i][1]);
        if (xe_by_uuid(x, owners[i][1], uuid, &owner, err) < 0
            || xe_call_ref(
                   x, method,
                   json_pack("[sssb]", owner, name, type ? type : "", (int)is_public),
                   &blob, err)
                   < 0)
            return -1;
        return xe_print_uuid(x, "blob", blob, err);
    }
    return xe_fail(err,
                   "Give one of vm-uuid, host-uuid, sr-uuid, network-uuid and pool-uuid");
}

static int blob_file(struct xe *x, char **path_out, const char **file_out, struct err *err)
{
    const char *uuid;
    AUTO(free_str) char *blob = NULL;
    if (xe_need(x, "uuid", &uuid, err) < 0 || xe_need(x, "filename", file_out, err) < 0
        || xe_by_uuid(x, "blob", uuid, &blob, err) < 0)
        return -1;
    *path_out = str_fmt("/blob?ref=%s", blob);
    return 0;
}

static int blob_get(struct xe *x, struct err *err)
{
    AUTO(free_str) char *path = NULL;
    const char *file;
    return blob_file(x, &path, &file, err) < 0 ? -1 : download(x, file, path, err);
}

static int blob_put(struct xe *x, struct err *err)
{
    AUTO(free_str) char *path = NULL;
    const char *file;
    return blob_file(x, &path, &file, err) < 0 ? -1 : upload(x, file, path, NULL, err);
}

static int pool_dump_database(struct xe *x, struct err *err)
{
    const char *file;
    return xe_need(x, "file-name", &file, err) < 0
               ? -1
               : download(x, file, "/pool/xmldbdump", err);
}

static int host_get_system_status(struct xe *x, struct err *err)
{
    const char *file, *host, *entries = xe_param(x, "entries"),
                             *output = xe_param(x, "output");
    AUTO(json_drop) json_t *keep = NULL;
    AUTO(buf_done) struct buf path = BUF_INIT(0);
    if (xe_need(x, "filename", &file, err) < 0
        || xe_select_one(x, "host", false, &host, &keep, err) < 0)
        return -1;
    buf_addf(&path, "/system-status?output=%s", output ? output : "tar.bz2");
    for (const char *p = entries; p && *p;) {
        size_t n = strcspn(p, ",");
        AUTO(free_str) char *entry = str_dupn(p, n);
        if (plain(entry, "entries", err) < 0)
            return -1;
        buf_addf(&path, "%s%s", p == entries ? "&entries=" : ",", entry);
        p += n + (p[n] == ',');
    }
    return plain(output ? output : "", "output", err) < 0
               ? -1
               : download(x, file, buf_str(&path), err);
}

static int pool_restore_database(struct xe *x, struct err *err)
{
    const char *file;
    AUTO(free_str)
    char *path = str_fmt("/pool/xmldbdump?dry_run=%s",
                         xe_flag(x, "dry-run") ? "true" : "false");
    return xe_need(x, "file-name", &file, err) < 0 ? -1 : upload(x, file, path, NULL, err);
}

/* The serial line of a running machine. */
static int console(struct xe *x, struct err *err)
{
    const char *vm;
    AUTO(json_drop) json_t *keep = NULL;
    json_t *rec, *console_rec, *ref;
    size_t i;
    if (!x->env->connect)
        return xe_fail(err, "There is no terminal to attach here");
    if (xe_select_one(x, "vm", false, &vm, &keep, err) < 0
        || xe_record(x, "VM", vm, &rec, err) < 0)
        return -1;
    json_array_foreach(json_object_get(rec, "consoles"), i, ref)
    {
        if (xe_record(x, "console", json_string_value(ref), &console_rec, err) < 0)
            return -1;
        if (!str_eq(rec_str(console_rec, "protocol"), "vt100"))
            continue;
        AUTO(free_str)
        char *path = str_fmt("/console?uuid=%s", rec_str(console_rec, "uuid"));
        return x->env->connect(x->env->arg, path, err);
    }
    return xe_fail(err, "The VM has no text console: it is %s",
                   rec_str(rec, "power_state"));
}

/* template-import: a disk image (or a kernel) becomes a template. */

struct import {
    const char *name, *file;
    uint64_t memory;
    int64_t vcpus;
    char *sr, *network, *vdi, *vm; /* references */
};

static void import_done(struct import *im)
{
    free(im->sr);
    free(im->network);
    free(im->vdi);
    free(im->vm);
}

/* The one that a host makes for its guests, else that of the management interface, else any. */
static int default_network(struct xe *x, char **ref_out, struct err *err)
{
    json_t *pifs, *networks, *rec;
    const char *key, *found = NULL;
    if (xe_all(x, "network", &networks, err) < 0 || xe_all(x, "PIF", &pifs, err) < 0)
        return -1;
    json_object_foreach(networks, key, rec)
    {
        found = found ? found : key;
        if (str_eq(rec_str(rec, "name_label"), "Default network")) {
            *ref_out = str_dup(key);
            return 0;
        }
    }
    json_object_foreach(pifs, key, rec)
    {
        if (rec_true(rec, "management"))
            found = rec_str(rec, "network");
    }
    if (!found)
        return xe_fail(err, "There is no network: create one, or give network-uuid");
    *ref_out = str_dup(found);
    return 0;
}

static int import_args(struct xe *x, struct import *im, struct err *err)
{
    const char *memory = xe_param(x, "memory"), *vcpus = xe_param(x, "vcpus"),
               *sr = xe_param(x, "sr-uuid"), *network = xe_param(x, "network-uuid");
    im->file = xe_param(x, "filename");
    if (xe_need(x, "name-label", &im->name, err) < 0)
        return -1;
    if (!im->file && !xe_param(x, "kernel"))
        return xe_fail(err, "Give the image file, or kernel=");
    im->memory = UINT64_C(1) << 30;
    im->vcpus = 2;
    if (memory && (!parse_size(memory, &im->memory) || im->memory > INT64_MAX))
        return xe_fail(err, "Parameter 'memory': '%s' is not a size", memory);
    if (vcpus && !parse_range(vcpus, 1, 1024, &im->vcpus))
        return xe_fail(err, "Parameter 'vcpus': '%s' is not a number from 1 to 1024",
                       vcpus);
    if (im->file
        && (sr ? xe_by_uuid(x, "SR", sr, &im->sr, err) : xe_default_sr(x, &im->sr, err))
               < 0)
        return -1;
    return network ? xe_by_uuid(x, "network", network, &im->network, err)
                   : default_network(x, &im->network, err);
}

static int import_disk(struct xe *x, struct import *im, struct err *err)
{
    const uint64_t unit = UINT64_C(2) << 20; /* what every disk format here can hold */
    uint64_t size;
    if (!x->env->file_size || !x->env->upload)
        return xe_fail(err, "Files cannot be sent from here");
    if (x->env->file_size(x->env->arg, im->file, &size, err) < 0)
        return -1;
    if (size == 0 || size > INT64_MAX - unit)
        return xe_fail(err, "%s: no disk image", im->file);
    size = (size + unit - 1) / unit * unit;
    AUTO(free_str) char *label = str_fmt("%s disk", im->name);
    json_t *rec = json_pack("{ss, ss, ss, sI, ss, sb, sb, s{}}", "SR", im->sr, "name_label",
                            label, "name_description", "", "virtual_size", (json_int_t)size,
                            "type", "user", "sharable", 0, "read_only", 0, "other_config");
    if (xe_call_ref(x, "VDI.create", json_pack("[o]", rec), &im->vdi, err) < 0)
        return -1;
    AUTO(free_str) char *path = str_fmt("/import_raw_vdi?vdi=%s&format=raw", im->vdi);
    return upload(x, im->file, path, NULL, err);
}

static json_t *import_record(struct xe *x, const struct import *im)
{
    static const char *const texts[][2] = { { "name-description", "name_description" },
                                            { "kernel", "PV_kernel" },
                                            { "ramdisk", "PV_ramdisk" },
                                            { "args", "PV_args" } };
    json_int_t memory = (json_int_t)im->memory, vcpus = (json_int_t)im->vcpus;
    json_t *rec = json_pack(
        "{ss, sb, sI, sI, sI, sI, sI, sI}", "name_label", im->name, "is_a_template", 1,
        "memory_static_max", memory, "memory_dynamic_max", memory, "memory_dynamic_min",
        memory, "memory_static_min", memory, "VCPUs_max", vcpus, "VCPUs_at_startup", vcpus);
    json_t *more = json_pack("{ss, ss, ss, ss, s{ss}, s{ss}, s{}, s{}, si, ss}",
                             "actions_after_shutdown", "destroy", "actions_after_reboot",
                             "restart", "actions_after_crash", "restart", "HVM_boot_policy",
                             "BIOS order", "HVM_boot_params", "order", "c", "platform",
                             "cores-per-socket", "1", "VCPUs_params", "other_config",
                             "user_version", 1, "affinity", "OpaqueRef:NULL");
    json_object_update(rec, more);
    json_decref(more);
    if (xe_param(
            x,
            "kernel")) { /* a machine with a boot order has a firmware and no use for a kernel */
        json_object_set_new(rec, "HVM_boot_policy", json_string(""));
        json_object_set_new(rec, "HVM_boot_params", json_object());
    }
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        const char *text = xe_param(x, texts[i][0]);
        json_object_set_new(rec, texts[i][1], json_string(text ? text : ""));
    }
    return rec;
}

static int import_machine(struct xe *x, struct import *im, struct err *err)
{
    AUTO(free_str) char *vbd = NULL, *vif = NULL;
    if (xe_call_ref(x, "VM.create", json_pack("[o]", import_record(x, im)), &im->vm, err)
        < 0)
        return -1;
    json_t *rec = json_pack("{ss, ss, ss, sb, ss, ss, sb, sb, s{}, ss, s{}}", "VM", im->vm,
                            "VDI", im->vdi ? im->vdi : "", "userdevice", "0", "bootable", 1,
                            "mode", "RW", "type", "Disk", "unpluggable", 1, "empty", 0,
                            "other_config", "qos_algorithm_type", "",
                            "qos_algorithm_params");
    if (!im->vdi)
        json_decref(rec);
    else if (xe_call_ref(x, "VBD.create", json_pack("[o]", rec), &vbd, err) < 0)
        return -1;
    rec = json_pack("{ss, ss, ss, ss, si, s{}, ss, s{}}", "device", "0", "network",
                    im->network, "VM", im->vm, "MAC", "", "MTU", 1500, "other_config",
                    "qos_algorithm_type", "", "qos_algorithm_params");
    return xe_call_ref(x, "VIF.create", json_pack("[o]", rec), &vif, err);
}

static int template_import(struct xe *x, struct err *err)
{
    AUTO(import_done) struct import im = { 0 };
    if (import_args(x, &im, err) < 0)
        return -1;
    if ((im.file && import_disk(x, &im, err) < 0) || import_machine(x, &im, err) < 0) {
        AUTO(err_done) struct err ignored = { 0 }; /* the cause is known already */
        if (im.vm)
            (void)!xe_do(x, "VM.destroy", json_pack("[s]", im.vm), &ignored);
        if (im.vdi)
            (void)!xe_do(x, "VDI.destroy", json_pack("[s]", im.vdi), &ignored);
        return -1;
    }
    return xe_print_uuid(x, "VM", im.vm, err);
}

/* image-import: an image of any kind becomes a disk, or a template that boots from it. */

/* By the end of its name. */
static const char *format_of(const char *file)
{
    static const char *const rows[][2] = { { ".raw", "raw" },   { ".img", "raw" },
                                           { ".vhd", "vhd" },   { ".qcow2", "qcow2" },
                                           { ".vmdk", "vmdk" }, { ".vhdx", "vhdx" },
                                           { ".iso", "iso" } };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (str_ends(file, rows[i][0]))
            return rows[i][1];
    return NULL;
}

static void add_encoded(struct buf *out, const char *s)
{
    for (; *s; s++) {
        if (strchr("-_.~", *s) || ((*s | 32) >= 'a' && (*s | 32) <= 'z')
            || (*s >= '0' && *s <= '9'))
            buf_add_char(out, *s);
        else
            buf_addf(out, "%%%02X", (unsigned)(uint8_t)*s);
    }
}

static int image_args(struct xe *x, struct import *im, const char **format_out,
                      struct err *err)
{
    const char *slash, *name = xe_param(x, "name-label"), *format = xe_param(x, "format"),
                       *sr = xe_param(x, "sr-uuid");
    if (xe_need(x, "filename", &im->file, err) < 0)
        return -1;
    slash = strrchr(im->file, '/');
    im->name = name ? name : slash ? slash + 1 : im->file;
    *format_out = format ? format : format_of(im->file);
    if (!*format_out)
        return xe_fail(err,
                       "%s: its name does not say what it is: give format=raw, vhd, "
                       "qcow2, vmdk, vhdx or iso",
                       im->file);
    if (plain(*format_out, "format", err) < 0)
        return -1;
    return sr ? xe_by_uuid(x, "SR", sr, &im->sr, err) : xe_default_sr(x, &im->sr, err);
}

static int image_template(struct xe *x, struct import *im, struct err *err)
{
    free_str(&im->sr); /* the same again, with what else a machine has */
    if (import_args(x, im, err) < 0 || import_machine(x, im, err) < 0) {
        AUTO(err_done) struct err ignored = { 0 }; /* the cause is known already */
        if (im->vm)
            (void)!xe_do(x, "VM.destroy", json_pack("[s]", im->vm), &ignored);
        (void)!xe_do(x, "VDI.destroy", json_pack("[s]", im->vdi), &ignored);
        return -1;
    }
    return xe_print_uuid(x, "VM", im->vm, err);
}

static int image_import(struct xe *x, struct err *err)
{
    static const char prefix[] = "OpaqueRef:";
    AUTO(import_done) struct import im = { 0 };
    AUTO(buf_done) struct buf path = BUF_INIT(0);
    AUTO(free_str) char *result = NULL;
    bool template = xe_flag(x, "template");
    const char *format, *ref;
    if (image_args(x, &im, &format, err) < 0)
        return -1;
    if (template && !xe_param(x, "name-label"))
        return xe_fail(err, "Give name-label, the name of the template");
    buf_addf(&path, "/import_image?sr_id=%s&format=%s&name=", im.sr, format);
    add_encoded(&path, im.name);
    if (upload(x, im.file, buf_str(&path), &result, err) < 0)
        return -1;
    ref = result ? strstr(result, prefix) : NULL;
    if (!ref)
        return xe_fail(err, "The server did not say which disk it made");
    im.vdi = str_dupn(ref,
                      strlen(prefix) + strspn(ref + strlen(prefix), "0123456789abcdef-"));
    return template ? image_template(x, &im, err) : xe_print_uuid(x, "VDI", im.vdi, err);
}

const struct xe_function xe_file_functions[] = {
    { "vdi-import", vdi_import, NULL },
    { "vdi-export", vdi_export, NULL },
    { "vm-export", vm_export, NULL },
    { "template-export", export_uuid, NULL },
    { "snapshot-export-to-template", export_uuid, NULL },
    { "vm-import", vm_import, NULL },
    { "blob-create", blob_create, NULL },
    { "blob-get", blob_get, NULL },
    { "blob-put", blob_put, NULL },
    { "pool-dump-database", pool_dump_database, NULL },
    { "host-get-system-status", host_get_system_status, NULL },
    { "pool-restore-database", pool_restore_database, NULL },
    { "console", console, NULL },
    { "vm-console", console, NULL },
    { "template-import", template_import, NULL },
    { "image-import", image_import, NULL },
    { 0 },
};
