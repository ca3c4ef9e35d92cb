/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that are one API call: the row says what to send and what to print. */
#include <string.h>

#include "xe/xe_int.h"

const struct xe_command *xe_command(const char *name)
{
    for (size_t i = 0; i < xe_n_commands; i++) {
        if (str_eq(xe_commands[i].name, name))
            return &xe_commands[i];
    }
    return NULL;
}

/* What cannot harm a template: commands that look, copy or configure. The others act on machines only. */
bool xe_includes_templates(const char *command)
{
    static const char *const names[] = {
        "vm-clone",
        "vm-copy",
        "vm-export",
        "vm-disk-list",
        "vm-disk-add",
        "vm-disk-remove",
        "vm-cd-list",
        "vm-cd-add",
        "vm-cd-insert",
        "vm-cd-eject",
        "vm-cd-remove",
        "vm-vif-list",
        "vm-memory-set",
        "vm-copy-bios-strings",
        "snapshot-disk-list",
        "snapshot-reset-powerstate",
        "vm-memory-limits-set",
        "vm-memory-static-range-set",
        "vm-memory-dynamic-range-set",
    };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (str_eq(names[i], command))
            return true;
    }
    return false;
}

bool xe_shows_records(const char *command)
{
    return word_in("vm-disk-list snapshot-disk-list vm-cd-list vm-vif-list cd-list "
                   "vm-crashdump-list host-cpu-info host-license-view "
                   "diagnostic-vdi-status diagnostic-vm-status",
                   command);
}

static json_t *empty_value(const struct xe_arg *a)
{
    if (a->many)
        return json_array();
    switch (a->type) {
    case XE_INT: return json_integer(0);
    case XE_BOOL: return json_false();
    case XE_FLOAT: return json_real(0);
    case XE_REF: return json_string("OpaqueRef:NULL");
    default: return json_string("");
    }
}

static int file_arg(struct xe *x, const char *path, json_t **out, struct err *err)
{
    AUTO(free_str) char *text = NULL;
    if (!x->env->read_file)
        return xe_fail(err, "Files cannot be read here");
    if (x->env->read_file(x->env->arg, path, &text, err) < 0)
        return -1;
    *out = json_string(text);
    return *out ? 0 : xe_fail(err, "%s: not a text file", path);
}

static int ref_arg(int rc, char **ref, json_t **out)
{
    if (rc == 0)
        *out = json_string(*ref);
    return rc;
}

static int arg_value(struct xe *x, const struct xe_arg *a, const char *selected,
                     json_t **out, struct err *err)
{
    AUTO(free_str) char *ref = NULL;
    const char *text = *a->param && a->type != XE_MAP_ ? xe_param(x, a->param) : NULL;
    switch (a->type) {
    case XE_MAP_: *out = xe_param_map(x, a->param); return 0;
    case XE_LITERAL: *out = json_loads(a->detail, JSON_DECODE_ANY, NULL); return 0;
    case XE_SELECTED: *out = json_string(selected); return 0;
    case XE_ABSENT: *out = json_boolean(text == NULL); return 0;
    case XE_POOL:
        return ref_arg(text ? xe_by_uuid(x, "pool", text, &ref, err)
                            : xe_pool(x, &ref, err),
                       &ref, out);
    case XE_HOST:
        return ref_arg(text ? xe_by_uuid(x, "host", text, &ref, err)
                            : xe_this_host(x, &ref, err),
                       &ref, out);
    default: break;
    }
    if (!text && !a->optional && xe_need(x, a->param, &text, err) < 0)
        return -1;
    if (!text && !(text = a->def)) {
        *out = empty_value(a);
        return 0;
    }
    if (a->type == XE_FILE)
        return file_arg(x, text, out, err);
    if (a->type == XE_BASENAME) {
        const char *slash = strrchr(text, '/');
        text = slash ? slash + 1 : text;
    }
    return xe_typed(x, a->type, a->detail, a->many, text, a->param, out, err);
}

static int params_of(struct xe *x, const struct xe_command *cmd, const char *selected,
                     json_t **out, struct err *err)
{
    AUTO(json_drop) json_t *params = json_array();
    AUTO(json_drop) json_t *record = json_object();
    for (size_t i = 0; i < cmd->n_args; i++) {
        const struct xe_arg *a = &cmd->args[i];
        json_t *v = NULL;
        if (arg_value(x, a, selected, &v, err) < 0)
            return -1;
        if (a->key)
            json_object_set_new(record, a->key, v);
        else
            json_array_append_new(params, v);
    }
    if (cmd->record)
        json_array_append(params, record);
    *out = TAKE(params);
    return 0;
}

static int run_hooks(struct xe *x, const struct xe_command *cmd, const json_t *object,
                     struct err *err)
{
    for (size_t i = 0; i < cmd->n_hooks; i++) {
        const struct xe_arg *a = &cmd->args[cmd->n_args + i];
        json_t *v = NULL;
        if (!xe_param(x, a->param))
            continue;
        if (arg_value(x, a, NULL, &v, err) < 0
            || xe_do(x, cmd->hooks[i], json_pack("[so]", json_string_value(object), v), err)
                   < 0)
            return -1;
    }
    return 0;
}

static int print_ref(struct xe *x, const char *cls, const char *path, const char *ref,
                     struct err *err)
{
    AUTO(json_drop) json_t *v = NULL;
    json_t *rec;
    if (xe_record(x, cls, ref, &rec, err) < 0
        || (rec && xe_eval(x, cls, ref, rec, path, &v, err) < 0))
        return -1;
    if (!v)
        return xe_fail(err, "The %s that was answered is gone", cls);
    xe_print_value(x, v);
    return 0;
}

int xe_print_uuid(struct xe *x, const char *cls, const char *ref, struct err *err)
{
    return print_ref(x, cls, "uuid", ref, err);
}

static void print_map(struct xe *x, const json_t *map)
{
    AUTO(xe_lines_done) struct xe_lines lines = { 0 };
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)map, key, v)
    {
        xe_lines_add(&lines, str_dup(key), xe_value_text(v, 0, ""));
    }
    xe_print_record(x, &lines);
}

static int print_result(struct xe *x, const struct xe_command *cmd, const json_t *answer,
                        struct err *err)
{
    size_t i;
    json_t *e;
    switch (cmd->result) {
    case XE_RESULT_NONE: return 0;
    case XE_RESULT_UUID:
        return print_ref(x, cmd->result_cls, cmd->result_path, json_string_value(answer),
                         err);
    case XE_RESULT_UUIDS:
        json_array_foreach(answer, i, e)
        {
            if (print_ref(x, cmd->result_cls, "uuid", json_string_value(e), err) < 0)
                return -1;
        }
        return 0;
    case XE_RESULT_TEXT: xe_print_value(x, answer); return 0;
    case XE_RESULT_LIST: xe_print_list(x, answer); return 0;
    case XE_RESULT_MAP:
    case XE_RESULT_RECORDS: break;
    }
    if (x->json) {
        xe_print_json(x, answer);
        return 0;
    }
    if (cmd->result == XE_RESULT_MAP)
        print_map(x, answer);
    json_array_foreach(answer, i, e)
    {
        print_map(x, e);
    }
    return 0;
}

static int run_one(struct xe *x, const struct xe_command *cmd, const char *selected,
                   struct err *err)
{
    AUTO(json_drop) json_t *params = NULL;
    AUTO(json_drop) json_t *answer = NULL;
    const char *method = cmd->call_forced && xe_flag(x, "force") ? cmd->call_forced
                                                                 : cmd->call;
    if (params_of(x, cmd, selected, &params, err) < 0 || xe_params_all_used(x, cmd, err) < 0
        || xe_call(x, method, TAKE(params), &answer, err) < 0
        || run_hooks(x, cmd, answer, err) < 0)
        return -1;
    return print_result(x, cmd, answer, err);
}

int xe_row_run(struct xe *x, const struct xe_command *cmd, struct err *err)
{
    if (!cmd->selects)
        return run_one(x, cmd, NULL, err);
    AUTO(json_drop) json_t *refs = NULL;
    if (xe_select(x, cmd->selects, xe_includes_templates(cmd->name), &refs, err) < 0)
        return -1;
    size_t i;
    json_t *ref;
    for (size_t p = 0; p < x->params.n; p++)
        x->params.v[p].used = true; /* whatever is left was a filter */
    json_array_foreach(refs, i, ref)
    {
        if (run_one(x, cmd, json_string_value(ref), err) < 0)
            return -1;
    }
    return 0;
}
