/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of hosts and of the pool, and the reports on one object, that are more than one call. */
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"
#include "xe/xe_int.h"

/* Processors */

static int print_features(struct xe *x, const json_t *info)
{
    const char *features = rec_str(info, "features");

    xe_out(x, "%s\n", *features ? features : rec_str(info, "flags"));
    return 0;
}

static int host_get_cpu_features(struct xe *x, struct err *err)
{
    const char *uuid = xe_param(x, "uuid");
    AUTO(free_str) char *host = NULL;
    json_t *rec = NULL;

    if ((uuid ? xe_by_uuid(x, "host", uuid, &host, err) : xe_this_host(x, &host, err)) < 0
        || xe_record(x, "host", host, &rec, err) < 0)
        return -1;
    return print_features(x, json_object_get(rec, "cpu_info"));
}

static int pool_get_cpu_features(struct xe *x, struct err *err)
{
    AUTO(free_str) char *pool = NULL;
    json_t *rec = NULL;

    if (xe_pool(x, &pool, err) < 0 || xe_record(x, "pool", pool, &rec, err) < 0)
        return -1;
    return print_features(x, json_object_get(rec, "cpu_info"));
}

/* What would happen if a host failed */

static int ha_compute_hypothetical(struct xe *x, struct err *err)
{
    const char *uuid = xe_param(x, "vm-uuid"), *priority = xe_param(x, "restart-priority");
    AUTO(json_drop) json_t *answer = NULL, *plan = json_object();
    AUTO(free_str) char *vm = NULL;

    if (uuid) {
        if (xe_by_uuid(x, "VM", uuid, &vm, err) < 0)
            return -1;
        json_object_set_new(plan, vm, json_string(priority ? priority : "restart"));
    }
    if (xe_call(x, "pool.ha_compute_hypothetical_max_host_failures_to_tolerate",
                json_pack("[O]", plan), &answer, err)
        < 0)
        return -1;
    xe_print_value(x, answer);
    return 0;
}

/* The machines that run on those hosts, as those that fail with them. */
static int ha_failover_plan(struct xe *x, struct err *err)
{
    const char *uuids, *key;
    AUTO(json_drop) json_t *hosts = NULL, *vms = json_array(), *answer = NULL;
    json_t *rec, *host, *all;
    size_t i;

    if (xe_need(x, "host-uuids", &uuids, err) < 0
        || xe_typed(x, XE_REF, "host", true, uuids, "host-uuids", &hosts, err) < 0
        || xe_all(x, "VM", &all, err) < 0)
        return -1;
    json_object_foreach(all, key, rec)
    {
        json_array_foreach(hosts, i, host)
        {
            if (str_eq(rec_str(rec, "resident_on"), json_string_value(host))
                && !rec_true(rec, "is_control_domain"))
                json_array_append_new(vms, json_string(key));
        }
    }
    if (xe_call(x, "pool.ha_compute_vm_failover_plan", json_pack("[OO]", hosts, vms),
                &answer, err)
        < 0)
        return -1;
    return xe_print_by_vm(x, answer, err);
}

/* Messages */

/* A moment that messages are compared with; text NULL: none. */
static int moment(const char *text, const char *what, int64_t none, int64_t *out,
                  struct err *err)
{
    *out = none;
    if (text && !clock_parse_iso(text, out))
        return xe_fail(err, "Parameter '%s': '%s' is no date like 20260821T02:00:00Z", what,
                       text);
    return 0;
}

static int message_destroy_all(struct xe *x, struct err *err)
{
    const char *before = xe_param(x, "before"), *after = xe_param(x, "after"),
               *text = xe_param(x, "priority"), *ref;
    AUTO(json_drop) json_t *all = NULL, *refs = json_array();
    int64_t until, since, at, priority = 0;
    json_t *rec;

    if (moment(before, "before", INT64_MAX, &until, err) < 0
        || moment(after, "after", INT64_MIN, &since, err) < 0)
        return -1;
    if (text && !parse_range(text, 0, 1000, &priority))
        return xe_fail(err, "Parameter 'priority': '%s' is not a number", text);
    if (xe_call(x, "message.get_all_records", json_array(), &all, err) < 0)
        return -1;
    json_object_foreach(all, ref, rec)
    {
        if (!clock_parse_iso(rec_str(rec, "timestamp"), &at) || at >= until || at <= since
            || (text && json_integer_value(json_object_get(rec, "priority")) != priority))
            continue;
        json_array_append_new(refs, json_string(ref));
    }
    return xe_do(x, "message.destroy_many", json_pack("[O]", refs), err);
}

/* Certificates that are trusted */

static int install_trusted(struct xe *x, struct err *err)
{
    const char *file;
    AUTO(free_str) char *text = NULL;

    if (xe_need(x, "filename", &file, err) < 0)
        return -1;
    if (!xe_flag(x, "ca"))
        return xe_fail(err,
                       "Only certificates of authorities can be trusted here: ca=true");
    if (!x->env->read_file)
        return xe_fail(err, "Files cannot be read here");
    if (x->env->read_file(x->env->arg, file, &text, err) < 0)
        return -1;
    const char *base = strrchr(file, '/');
    return xe_do(x, "pool.install_ca_certificate",
                 json_pack("[ss]", base ? base + 1 : file, text), err);
}

static int uninstall_trusted(struct xe *x, struct err *err)
{
    const char *uuid;
    AUTO(free_str) char *ref = NULL;
    json_t *rec = NULL;

    if (xe_need(x, "certificate-uuid", &uuid, err) < 0
        || xe_by_uuid(x, "Certificate", uuid, &ref, err) < 0
        || xe_record(x, "Certificate", ref, &rec, err) < 0)
        return -1;
    return xe_do(x, "pool.uninstall_ca_certificate", json_pack("[s]", rec_str(rec, "name")),
                 err);
}

/* Reports */

static int host_bugreport_upload(struct xe *x, struct err *err)
{
    const char *host, *url = xe_param(x, "url"), *proxy = xe_param(x, "http_proxy");
    AUTO(json_drop) json_t *keep = NULL, *options = json_object();

    if (xe_select_one(x, "host", false, &host, &keep, err) < 0)
        return -1;
    if (proxy)
        json_object_set_new(options, "http_proxy", json_string(proxy));
    return xe_do(x, "host.bugreport_upload",
                 json_pack("[ssO]", host, url ? url : "", options), err);
}

/* An object of the kind, and what hangs on it: the objects of another kind in its field. */
static int status_of(struct xe *x, const char *kind, const char *names, const char *field,
                     const char *other, const char *other_names, struct err *err)
{
    const struct xe_kind *k = xe_kind(kind), *o = xe_kind(other);
    AUTO(free_str) char *ref = NULL;
    AUTO(json_drop) json_t *one = NULL, *others = NULL;
    const char *uuid;
    json_t *rec = NULL;

    if (xe_need(x, "uuid", &uuid, err) < 0 || xe_by_uuid(x, k->cls, uuid, &ref, err) < 0
        || xe_record(x, k->cls, ref, &rec, err) < 0)
        return -1;
    one = json_pack("[s]", ref);
    others = json_incref(json_object_get(rec, field));
    if (xe_show(x, k, one, names, err) < 0)
        return -1;
    return xe_show(x, o, others, other_names, err);
}

static int diagnostic_vdi_status(struct xe *x, struct err *err)
{
    return status_of(x, "vdi", "uuid,name-label,sr-uuid,read-only,sharable,storage-lock",
                     "VBDs", "vbd",
                     "uuid,vm-uuid,vm-name-label,device,currently-attached,mode", err);
}

static int diagnostic_vm_status(struct xe *x, struct err *err)
{
    return status_of(x, "vm", "uuid,name-label,power-state,possible-hosts", "VBDs", "vbd",
                     "uuid,vdi-uuid,device,type,mode,currently-attached", err);
}

static int vm_crashdump_list(struct xe *x, struct err *err)
{
    const char *vm;
    AUTO(json_drop) json_t *keep = NULL;
    json_t *rec, *dump, *dump_rec;
    size_t i;

    if (xe_select_one(x, "vm", false, &vm, &keep, err) < 0
        || xe_record(x, "VM", vm, &rec, err) < 0)
        return -1;
    json_array_foreach(json_object_get(rec, "crash_dumps"), i, dump)
    {
        if (xe_record(x, "crashdump", json_string_value(dump), &dump_rec, err) < 0)
            return -1;
        if (dump_rec)
            xe_out(x, "%s\n", rec_str(dump_rec, "uuid"));
    }
    return 0;
}

static int vm_is_bios_customized(struct xe *x, struct err *err)
{
    const char *vm;
    AUTO(json_drop) json_t *keep = NULL, *strings = NULL;

    if (xe_select_one(x, "vm", false, &vm, &keep, err) < 0
        || xe_call(x, "VM.get_bios_strings", json_pack("[s]", vm), &strings, err) < 0)
        return -1;
    const char *vendor = rec_str(strings, "bios-vendor");
    if (json_object_size(strings) == 0)
        xe_out(x, "The BIOS strings of this VM have not yet been set.\n");
    else if (str_eq(vendor, "") || str_eq(vendor, "Xen"))
        xe_out(x, "This VM is BIOS-generic.\n");
    else
        xe_out(x, "This VM is BIOS-customized: %s\n", vendor);
    return 0;
}

const struct xe_function xe_more_functions[] = {
    { "host-get-cpu-features", host_get_cpu_features, NULL },
    { "pool-get-cpu-features", pool_get_cpu_features, NULL },
    { "pool-ha-compute-hypothetical-max-host-failures-to-tolerate", ha_compute_hypothetical,
      NULL },
    { "pool-ha-compute-vm-failover-plan", ha_failover_plan, NULL },
    { "message-destroy-all", message_destroy_all, NULL },
    { "pool-install-trusted-certificate", install_trusted, NULL },
    { "pool-uninstall-trusted-certificate", uninstall_trusted, NULL },
    { "host-bugreport-upload", host_bugreport_upload, NULL },
    { "diagnostic-vdi-status", diagnostic_vdi_status, NULL },
    { "diagnostic-vm-status", diagnostic_vm_status, NULL },
    { "vm-crashdump-list", vm_crashdump_list, NULL },
    { "vm-is-bios-customized", vm_is_bios_customized, NULL },
    { 0 },
};
