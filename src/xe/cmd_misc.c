/* SPDX-License-Identifier: Apache-2.0 */
/* Messages, events, subjects and single questions about hosts. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/parse.h"
#include "xe/xe_int.h"

static int message_create(struct xe *x, struct err *err)
{
    static const char *const targets[][2] = { { "vm-uuid", "VM" },
                                              { "host-uuid", "Host" },
                                              { "sr-uuid", "SR" },
                                              { "pool-uuid", "Pool" } };
    const char *name, *priority_text, *body;
    int64_t priority;
    if (xe_need(x, "name", &name, err) < 0
        || xe_need(x, "priority", &priority_text, err) < 0
        || xe_need(x, "body", &body, err) < 0)
        return -1;
    if (!parse_i64(priority_text, &priority))
        return xe_fail(err, "Parameter 'priority': '%s' is not a number", priority_text);
    for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
        const char *uuid = xe_param(x, targets[i][0]);
        AUTO(free_str) char *ref = NULL;
        if (!uuid)
            continue;
        if (xe_call_ref(
                x, "message.create",
                json_pack("[sIsss]", name, (json_int_t)priority, targets[i][1], uuid, body),
                &ref, err)
            < 0)
            return -1;
        return xe_print_uuid(x, "message", ref, err);
    }
    return xe_fail(err, "Give one of vm-uuid, host-uuid, sr-uuid and pool-uuid");
}

static int message_destroy(struct xe *x, struct err *err)
{
    const char *uuids;
    AUTO(json_drop) json_t *refs = NULL;
    size_t i;
    json_t *ref;
    if (xe_need(x, "uuid|uuids", &uuids, err) < 0
        || xe_typed(x, XE_REF, "message", true, uuids, "uuids", &refs, err) < 0)
        return -1;
    json_array_foreach(refs, i, ref)
    {
        if (xe_do(x, "message.destroy", json_pack("[O]", ref), err) < 0)
            return -1;
    }
    return 0;
}

/* Whether one of the events is of an object that the filters describe. */
static int any_matches(struct xe *x, const struct xe_kind *k, const json_t *events,
                       bool *match_out, struct err *err)
{
    size_t i;
    json_t *e;
    bool match = false;
    xe_forget_all(x);
    json_array_foreach(events, i, e)
    {
        json_t *rec = json_object_get(e, "snapshot");
        if (!match && json_is_object(rec)
            && xe_passes(x, k, rec_str(e, "ref"), rec, &match, err) < 0)
            return -1;
    }
    *match_out = match;
    return 0;
}

/* Returns when an object of the class is as the filters say; one that is so already counts. */
static int event_wait(struct xe *x, struct err *err)
{
    const char *cls;
    if (xe_need(x, "class", &cls, err) < 0)
        return -1;
    const struct xe_kind *k = xe_kind(cls);
    if (!k || !k->cls)
        return xe_fail(err, "Unknown class '%s'", cls);
    if (xe_check_filters(x, k, err) < 0)
        return -1;
    AUTO(free_str) char *token = str_dup("");
    for (bool match = false; !match;) {
        AUTO(json_drop) json_t *batch = NULL;
        if (xe_call(x, "event.from", json_pack("[[s]sf]", k->cls, token, 30.0), &batch, err)
                < 0
            || any_matches(x, k, json_object_get(batch, "events"), &match, err) < 0)
            return -1;
        free(token);
        token = str_dup(rec_str(batch, "token"));
    }
    return 0;
}

static int subject_add(struct xe *x, struct err *err)
{
    const char *name;
    AUTO(free_str) char *ref = NULL;
    AUTO(json_drop) json_t *id = NULL;
    json_t *info = NULL;
    if (xe_need(x, "subject-name", &name, err) < 0
        || xe_call(x, "auth.get_subject_identifier", json_pack("[s]", name), &id, err) < 0
        || xe_call(x, "auth.get_subject_information_from_identifier", json_pack("[O]", id),
                   &info, err)
               < 0)
        return -1;
    json_t *rec = json_pack("{sO, so}", "subject_identifier", id, "other_config", info);
    if (xe_call_ref(x, "subject.create", json_pack("[o]", rec), &ref, err) < 0)
        return -1;
    return xe_print_uuid(x, "subject", ref, err);
}

static int subject_role(struct xe *x, const char *method, struct err *err)
{
    const char *uuid, *role_text;
    AUTO(free_str) char *subject = NULL, *role = NULL;
    if (xe_need(x, "uuid", &uuid, err) < 0
        || xe_need(x, "role-name|role-uuid", &role_text, err) < 0
        || xe_by_uuid(x, "subject", uuid, &subject, err) < 0
        || xe_by_name(x, "role", role_text, &role, err) < 0)
        return -1;
    return xe_do(x, method, json_pack("[ss]", subject, role), err);
}

static int subject_role_add(struct xe *x, struct err *err)
{
    return subject_role(x, "subject.add_to_roles", err);
}

static int subject_role_remove(struct xe *x, struct err *err)
{
    return subject_role(x, "subject.remove_from_roles", err);
}

/* A map or set of this host's record (or of uuid=). */
static int host_field(struct xe *x, const char *field, struct err *err)
{
    const char *uuid = xe_param(x, "uuid|host-uuid");
    AUTO(free_str) char *host = NULL;
    AUTO(xe_lines_done) struct xe_lines lines = { 0 };
    json_t *rec = NULL, *v;
    if ((uuid ? xe_by_uuid(x, "host", uuid, &host, err) : xe_this_host(x, &host, err)) < 0
        || xe_record(x, "host", host, &rec, err) < 0)
        return -1;
    json_t *map = json_object_get(rec, field);
    if (x->json) {
        xe_print_json(x, map);
        return 0;
    }
    const char *key;
    json_object_foreach(map, key, v)
    {
        xe_lines_add(&lines, str_dup(key), xe_value_text(v, 0, ""));
    }
    if (json_is_array(map))
        xe_print_list(x, map);
    xe_print_record(x, &lines);
    return 0;
}

static int host_cpu_info(struct xe *x, struct err *err)
{
    return host_field(x, "cpu_info", err);
}

static int host_license_view(struct xe *x, struct err *err)
{
    return host_field(x, "license_params", err);
}

static int host_all_editions(struct xe *x, struct err *err)
{
    return host_field(x, "editions", err);
}

/* A host that answers at all is in no emergency. */
static int host_is_in_emergency_mode(struct xe *x, struct err *err)
{
    AUTO(free_str) char *host = NULL;
    if (xe_this_host(x, &host, err) < 0)
        return -1;
    AUTO(json_drop) json_t *no = json_false();
    xe_print_value(x, no);
    return 0;
}

/* One line a machine: its uuid and the error that a move of it would meet. */
static int host_get_vms_which_prevent_evacuation(struct xe *x, struct err *err)
{
    const char *uuid;
    AUTO(free_str) char *host = NULL;
    AUTO(json_drop) json_t *answer = NULL;
    if (xe_need(x, "uuid", &uuid, err) < 0 || xe_by_uuid(x, "host", uuid, &host, err) < 0
        || xe_call(x, "host.get_vms_which_prevent_evacuation", json_pack("[s]", host),
                   &answer, err)
               < 0)
        return -1;
    return xe_print_by_vm(x, answer, err);
}

/* On the host where the machine runs. */
static int vm_call_host_plugin(struct xe *x, struct err *err)
{
    const char *uuid, *plugin, *fn;
    AUTO(free_str) char *vm = NULL;
    AUTO(json_drop) json_t *answer = NULL;
    json_t *rec = NULL;
    if (xe_need(x, "vm-uuid", &uuid, err) < 0 || xe_need(x, "plugin", &plugin, err) < 0
        || xe_need(x, "fn", &fn, err) < 0 || xe_by_uuid(x, "VM", uuid, &vm, err) < 0
        || xe_record(x, "VM", vm, &rec, err) < 0)
        return -1;
    const char *host = rec_str(rec, "resident_on");
    if (xe_ref_null(host))
        return xe_fail(err, "The VM runs on no host");
    if (xe_call(x, "host.call_plugin",
                json_pack("[ssso]", host, plugin, fn, xe_param_map(x, "args")), &answer,
                err)
        < 0)
        return -1;
    xe_print_value(x, answer);
    return 0;
}

static int session_logout_all(struct xe *x, struct err *err)
{
    AUTO(json_drop) json_t *ids = NULL;
    size_t i;
    json_t *id;
    if (xe_call(x, "session.get_all_subject_identifiers", json_array(), &ids, err) < 0)
        return -1;
    json_array_foreach(ids, i, id)
    {
        if (xe_do(x, "session.logout_subject_identifier", json_pack("[O]", id), err) < 0)
            return -1;
    }
    return 0;
}

/* "30d", "12h", "90m", or a date as the API has it; nothing: never. */
static int expiry(const char *text, char out[static 20], struct err *err)
{
    static const struct {
        char unit;
        int64_t us;
    } units[] = { { 'd', 86400 * US_PER_SEC },
                  { 'h', 3600 * US_PER_SEC },
                  { 'm', 60 * US_PER_SEC } };

    size_t n = strlen(text);
    int64_t count, at;
    AUTO(free_str) char *digits = n > 0 ? str_dupn(text, n - 1) : str_dup("");
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        if (n < 2 || text[n - 1] != units[i].unit)
            continue;
        if (!parse_range(digits, 1, 100 * 366, &count))
            break;
        clock_iso(clock_wall_us() + count * units[i].us, out);
        return 0;
    }
    if (n == 0)
        clock_iso(0, out);
    else if (clock_parse_iso(text, &at))
        clock_iso(at, out);
    else
        return xe_fail(err,
                       "Parameter 'expires': give a time like 30d, 12h or 90m, or a date");
    return 0;
}

static json_t *words(const char *text)
{
    json_t *list = json_array();
    for (const char *p = text; p && *p;) {
        size_t n = strcspn(p, ",");
        (void)!json_array_append_new(list, json_stringn(p, n));
        p += n + (p[n] == ',');
    }
    return list;
}

/* Prints the token, alone on its line: this is the only time that anybody sees it. */
static int token_create(struct xe *x, struct err *err)
{
    const char *name, *role_text, *vms = xe_param(x, "vm-uuids");
    const char *expires = xe_param(x, "expires");
    AUTO(free_str) char *role = NULL;
    AUTO(json_drop) json_t *objects = NULL, *token = NULL;
    char until[20];
    if (xe_need(x, "name-label", &name, err) < 0 || xe_need(x, "role", &role_text, err) < 0
        || expiry(expires ? expires : "", until, err) < 0
        || xe_by_name(x, "role", role_text, &role, err) < 0
        || xe_typed(x, XE_REF, "VM", true, vms ? vms : "", "vm-uuids", &objects, err) < 0)
        return -1;
    json_t *params = json_pack("[sssoO]", name, role, until, words(xe_param(x, "methods")),
                               objects);
    if (xe_call(x, "serai.token_create", params, &token, err) < 0)
        return -1;
    xe_print_value(x, token);
    return 0;
}

const struct xe_function xe_misc_functions[] = {
    { "token-create", token_create, NULL },
    { "message-create", message_create, NULL },
    { "message-destroy", message_destroy, NULL },
    { "event-wait", event_wait, "*" },
    { "subject-add", subject_add, NULL },
    { "subject-role-add", subject_role_add, NULL },
    { "subject-role-remove", subject_role_remove, NULL },
    { "host-cpu-info", host_cpu_info, NULL },
    { "host-license-view", host_license_view, NULL },
    { "host-all-editions", host_all_editions, NULL },
    { "host-is-in-emergency-mode", host_is_in_emergency_mode, NULL },
    { "host-get-vms-which-prevent-evacuation", host_get_vms_which_prevent_evacuation,
      NULL },
    { "vm-call-host-plugin", vm_call_host_plugin, NULL },
    { "session-subject-identifier-logout-all", session_logout_all, NULL },
    { 0 },
};
