/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about machines that take more than one call. */
#include <string.h>

#include "xe/xe_int.h"

/* fn for each selected machine. */
static int each_vm(struct xe *x, int (*fn)(struct xe *x, const char *vm, struct err *err),
                   struct err *err)
{
    AUTO(json_drop) json_t *refs = NULL;
    size_t i;
    json_t *ref;
    if (xe_select(x, "vm", false, &refs, err) < 0)
        return -1;
    json_array_foreach(refs, i, ref)
    {
        if (fn(x, json_string_value(ref), err) < 0)
            return -1;
    }
    return 0;
}

/* CLASS.verb or, with on=HOST, CLASS.verb_on */
static int start_like(struct xe *x, const char *verb, const char *vm, struct err *err)
{
    const char *on = xe_param(x, "on");
    int paused = xe_flag(x, "paused"), force = xe_flag(x, "force");
    AUTO(free_str) char *host = NULL;
    AUTO(free_str) char *method = str_fmt("VM.%s%s", verb, on ? "_on" : "");
    if (on && xe_by_name(x, "host", on, &host, err) < 0)
        return -1;
    return xe_do(x, method,
                 on ? json_pack("[ssbb]", vm, host, paused, force)
                    : json_pack("[sbb]", vm, paused, force),
                 err);
}

static int start_one(struct xe *x, const char *vm, struct err *err)
{
    return start_like(x, "start", vm, err);
}

static int resume_one(struct xe *x, const char *vm, struct err *err)
{
    return start_like(x, "resume", vm, err);
}

static int vm_start(struct xe *x, struct err *err)
{
    return each_vm(x, start_one, err);
}

static int vm_resume(struct xe *x, struct err *err)
{
    return each_vm(x, resume_one, err);
}

static int migrate_one(struct xe *x, const char *vm, struct err *err)
{
    const char *name = xe_param(x, "host|host-uuid");
    AUTO(free_str) char *host = NULL;
    if (xe_by_name(x, "host", name, &host, err) < 0)
        return -1;
    const char *live = xe_param(x, "live");
    json_t *options = json_pack("{ss}", "live", live ? live : "true");
    if (xe_flag(x, "force"))
        json_object_set_new(options, "force", json_string("true"));
    return xe_do(x, "VM.pool_migrate", json_pack("[sso]", vm, host, options), err);
}

static int vm_migrate(struct xe *x, struct err *err)
{
    if (xe_param(x, "remote-master"))
        return xe_fail(err, "Migration to another pool is not yet served");
    if (!xe_param(x, "host|host-uuid"))
        return xe_fail(err, "Give host=NAME-OR-UUID");
    return each_vm(x, migrate_one, err);
}

/* vm-install */

static int find_template(struct xe *x, char **ref_out, struct err *err)
{
    const char *text = xe_param(
        x, "template|template-uuid|template-name-label|template-name|template-id");
    AUTO(free_str) char *ref = NULL;
    json_t *rec = NULL;
    if (!text)
        return xe_need(x, "template", &text, err);
    if (xe_by_name(x, "VM", text, &ref, err) < 0 || xe_record(x, "VM", ref, &rec, err) < 0)
        return -1;
    if (!rec_true(rec, "is_a_template"))
        return xe_fail(err, "'%s' is not a template", text);
    *ref_out = TAKE(ref);
    return 0;
}

/* *ref_out stays NULL when no SR was named. */
static int named_sr(struct xe *x, char **ref_out, struct err *err)
{
    const char *uuid = xe_param(x, "sr-uuid"), *name = xe_param(x, "sr-name-label");
    if (uuid)
        return xe_by_uuid(x, "SR", uuid, ref_out, err);
    return name ? xe_by_name(x, "SR", name, ref_out, err) : 0;
}

/* The disks that provisioning makes shall lie in the SR: its uuid into every sr="..." of other_config:disks. */
static char *disks_in_sr(const char *disks, const char *sr_uuid)
{
    struct buf out = BUF_INIT(0);
    for (const char *p = disks;;) {
        const char *at = strstr(p, "sr=\"");
        if (!at)
            break;
        at += strlen("sr=\"");
        buf_add(&out, p, (size_t)(at - p));
        buf_add_str(&out, sr_uuid);
        p = at + strcspn(at, "\"");
        disks = p;
    }
    buf_add_str(&out, disks);
    return buf_take(&out);
}

static int place_disks(struct xe *x, const char *vm, const char *sr, struct err *err)
{
    json_t *rec = NULL, *sr_rec = NULL;
    if (xe_record(x, "VM", vm, &rec, err) < 0)
        return -1;
    const char *disks = rec_str(json_object_get(rec, "other_config"), "disks");
    if (!*disks)
        return 0;
    AUTO(free_str) char *chosen = str_dup(sr);
    if ((!chosen && xe_default_sr(x, &chosen, err) < 0)
        || xe_record(x, "SR", chosen, &sr_rec, err) < 0)
        return -1;
    AUTO(free_str) char *placed = disks_in_sr(disks, rec_str(sr_rec, "uuid"));
    if (xe_do(x, "VM.remove_from_other_config", json_pack("[ss]", vm, "disks"), err) < 0)
        return -1;
    return xe_do(x, "VM.add_to_other_config", json_pack("[sss]", vm, "disks", placed), err);
}

static int other_config(struct xe *x, const char *vm, const char *key, const char *value,
                        struct err *err)
{
    return xe_do(x, "VM.remove_from_other_config", json_pack("[ss]", vm, key), err) < 0
                   || xe_do(x, "VM.add_to_other_config", json_pack("[sss]", vm, key, value),
                            err)
                          < 0
               ? -1
               : 0;
}

/* What the guest applies when it starts first: two files of the user's, and a name. */
static int guest_settings(struct xe *x, const char *vm, struct err *err)
{
    static const struct {
        const char *param, *key;
        bool file;
    } rows[] = { { "cloud-init", "cloud-init:user-data", true },
                 { "ssh-key", "cloud-init:ssh-keys", true },
                 { "hostname", "cloud-init:hostname", false } };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *value = xe_param(x, rows[i].param);
        AUTO(free_str) char *text = NULL;
        if (!value)
            continue;
        if (rows[i].file && !x->env->read_file)
            return xe_fail(err, "Files cannot be read here");
        if (rows[i].file && x->env->read_file(x->env->arg, value, &text, err) < 0)
            return -1;
        if (other_config(x, vm, rows[i].key, text ? text : value, err) < 0)
            return -1;
    }
    return 0;
}

static int provision(struct xe *x, const char *vm, const char *sr, struct err *err)
{
    const char *bios = xe_param(x, "copy-bios-strings-from");
    AUTO(free_str) char *host = NULL;
    json_t *rec = NULL;
    if (guest_settings(x, vm, err) < 0 || place_disks(x, vm, sr, err) < 0)
        return -1;
    if (bios
        && (xe_by_uuid(x, "host", bios, &host, err) < 0
            || xe_do(x, "VM.copy_bios_strings", json_pack("[ss]", vm, host), err) < 0))
        return -1;
    if (xe_do(x, "VM.provision", json_pack("[s]", vm), err) < 0)
        return -1;
    xe_forget_all(x);
    if (xe_record(x, "VM", vm, &rec, err) < 0)
        return -1;
    return rec_true(rec, "is_a_template")
               ? xe_do(x, "VM.set_is_a_template", json_pack("[sb]", vm, 0), err)
               : 0;
}

static int vm_install(struct xe *x, struct err *err)
{
    const char *name;
    AUTO(free_str) char *template = NULL, *sr = NULL, *vm = NULL;
    if (xe_need(x, "new-name-label", &name, err) < 0 || find_template(x, &template, err) < 0
        || named_sr(x, &sr, err) < 0)
        return -1;
    json_t *params = sr ? json_pack("[sss]", template, name, sr)
                        : json_pack("[ss]", template, name);
    if (xe_call_ref(x, sr ? "VM.copy" : "VM.clone", params, &vm, err) < 0)
        return -1;
    if (provision(x, vm, sr, err) < 0) {
        AUTO(err_done) struct err ignored = { 0 }; /* the cause is known already */
        (void)!xe_do(x, "VM.destroy", json_pack("[s]", vm), &ignored);
        return -1;
    }
    return xe_print_uuid(x, "VM", vm, err);
}

/* vm-uninstall, template-uninstall, snapshot-uninstall */

/* Disks of the machines that nothing else uses. */
static int own_disks(struct xe *x, const json_t *vms, json_t **vdis_out, struct err *err)
{
    AUTO(json_drop) json_t *vdis = json_array();
    size_t i, j, n;
    json_t *vm, *vbd, *user, *rec, *vbd_rec, *vdi;
    json_array_foreach(vms, i, vm)
    {
        if (xe_record(x, "VM", json_string_value(vm), &rec, err) < 0)
            return -1;
        json_array_foreach(json_object_get(rec, "VBDs"), j, vbd)
        {
            if (xe_record(x, "VBD", json_string_value(vbd), &vbd_rec, err) < 0)
                return -1;
            const char *ref = rec_str(vbd_rec, "VDI");
            if (!str_eq(rec_str(vbd_rec, "type"), "Disk") || xe_ref_null(ref))
                continue;
            if (xe_record(x, "VDI", ref, &vdi, err) < 0)
                return -1;
            bool shared = false;
            json_array_foreach(json_object_get(vdi, "VBDs"), n, user)
            {
                json_t *user_rec = NULL;
                if (xe_record(x, "VBD", json_string_value(user), &user_rec, err) < 0)
                    return -1;
                shared = shared || !str_eq(rec_str(user_rec, "VM"), json_string_value(vm));
            }
            if (vdi && !shared)
                json_array_append_new(vdis, json_string(ref));
        }
    }
    *vdis_out = TAKE(vdis);
    return 0;
}

static int list_victims(struct xe *x, const char *cls, const json_t *refs, struct err *err)
{
    size_t i;
    json_t *ref, *rec;
    json_array_foreach(refs, i, ref)
    {
        if (xe_record(x, cls, json_string_value(ref), &rec, err) < 0)
            return -1;
        xe_out(x, "%-3s: %s (%s)\n", cls, rec_str(rec, "uuid"), rec_str(rec, "name_label"));
    }
    return 0;
}

static int confirm(struct xe *x, const json_t *vms, const json_t *vdis, struct err *err)
{
    if (xe_flag(x, "force"))
        return 0;
    xe_out(x, "The following items are about to be destroyed\n");
    if (list_victims(x, "VM", vms, err) < 0 || list_victims(x, "VDI", vdis, err) < 0)
        return -1;
    AUTO(free_str) char *line = NULL;
    if (!x->env->prompt || !x->env->prompt(x->env->arg, "Type 'yes' to continue\n", &line))
        return xe_fail(err, "Nobody can be asked here: --force is needed");
    return str_eq(line, "yes") ? 0 : xe_fail(err, "Aborted");
}

static int uninstall(struct xe *x, const json_t *vms, struct err *err)
{
    AUTO(json_drop) json_t *vdis = NULL;
    size_t i;
    json_t *ref, *rec;
    if (own_disks(x, vms, &vdis, err) < 0 || confirm(x, vms, vdis, err) < 0)
        return -1;
    json_array_foreach(vms, i, ref)
    {
        const char *vm = json_string_value(ref);
        if (xe_record(x, "VM", vm, &rec, err) < 0)
            return -1;
        if (!str_eq(rec_str(rec, "power_state"), "Halted")
            && !rec_true(rec, "is_a_template")
            && xe_do(x, "VM.hard_shutdown", json_pack("[s]", vm), err) < 0)
            return -1;
        if (xe_do(x, "VM.destroy", json_pack("[s]", vm), err) < 0)
            return -1;
    }
    json_array_foreach(vdis, i, ref)
    {
        if (xe_do(x, "VDI.destroy", json_pack("[s]", json_string_value(ref)), err) < 0)
            return -1;
    }
    xe_out(x, "All objects destroyed\n");
    return 0;
}

static int vm_uninstall(struct xe *x, struct err *err)
{
    AUTO(json_drop) json_t *vms = NULL;
    return xe_select(x, "vm", false, &vms, err) < 0 ? -1 : uninstall(x, vms, err);
}

/* By one uuid; field: what the record must say of itself. */
static int uninstall_uuid(struct xe *x, const char *params, const char *field,
                          const char *what, struct err *err)
{
    const char *uuid;
    AUTO(free_str) char *ref = NULL;
    json_t *rec = NULL;
    if (xe_need(x, params, &uuid, err) < 0 || xe_by_uuid(x, "VM", uuid, &ref, err) < 0
        || xe_record(x, "VM", ref, &rec, err) < 0)
        return -1;
    if (!rec_true(rec, field))
        return xe_fail(err, "This operation can only be performed on a %s", what);
    AUTO(json_drop) json_t *vms = json_pack("[s]", ref);
    return uninstall(x, vms, err);
}

static int template_uninstall(struct xe *x, struct err *err)
{
    return uninstall_uuid(x, "template-uuid", "is_a_template", "template", err);
}

static int snapshot_uninstall(struct xe *x, struct err *err)
{
    return uninstall_uuid(x, "snapshot-uuid|uuid", "is_a_snapshot", "snapshot", err);
}

const struct xe_function xe_vm_functions[] = {
    { "vm-start", vm_start, NULL },
    { "vm-resume", vm_resume, NULL },
    { "vm-migrate", vm_migrate, NULL },
    { "vm-install", vm_install,
      "template-uuid template-name-label template-name template-id" },
    { "vm-uninstall", vm_uninstall, NULL },
    { "template-uninstall", template_uninstall, NULL },
    { "snapshot-uninstall", snapshot_uninstall, NULL },
    { 0 },
};
