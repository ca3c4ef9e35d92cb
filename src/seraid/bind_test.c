/* SPDX-License-Identifier: Apache-2.0 */
#include "seraid/bind.h"

#include "api/args.h"
#include "api/errors.h"
#include "base/mem.h"
#include "base/test.h"

static const char ref_a[] = "OpaqueRef:11111111-2222-4333-8444-555555555555";

static const struct call_def *call_of(const char *name)
{
    const struct call_def *def = schema_call(name);

    CHECK(def);
    return def;
}

TEST(method_names)
{
    static const struct {
        const char *name;
        bool found, async;
    } rows[] = {
        { "VM.start", true, false },
        { "VM_start", true, false },
        { "Async.VM.start", true, true },
        { "Async.VM_start", true, true },
        { "VM.get_all_records", true, false },
        { "VM.get_by_name_label", true, false },
        { "session.login_with_password", true, false },
        { "task_set_status", true, false },
        { "VTPM_destroy", true, false },
        { "VM_guest_metrics.get_all", true, false },
        { "VM_guest_metrics_get_all", true, false },
        { "Async.VM.get_all_records", false,
          false }, /* a client would believe in a class "Async" */
        { "Async.session.login_with_password", false, false },
        { "Async.Async.VM.start", false, false },
        { "vm.start", false, false },
        { "VM.start_", false, false },
        { "VM.", false, false },
        { "VM", false, false },
        { ".start", false, false },
        { "Async.", false, false },
        { "", false, false },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        bool async;
        const struct call_def *def = bind_method(rows[i].name, &async);

        if ((def != NULL) != rows[i].found || (def && async != rows[i].async))
            test_fail(__FILE__, __LINE__, "%s", rows[i].name);
    }
}

TEST(arity_counts_the_session)
{
    static const struct {
        const char *name;
        size_t least, most;
    } rows[] = {
        { "VM.start", 4, 4 },
        { "VM.get_all", 1, 1 },
        { "VM.snapshot", 3, 4 },
        { "VM.migrate_send", 7, 8 },
        { "session.login_with_password", 2, 4 },
        { "VM.add_to_other_config", 4, 4 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct call_def *def = call_of(rows[i].name);

        for (size_t n = 0; n < 12; n++) {
            AUTO(err_done) struct err err = { 0 };
            int rc = bind_arity(def, n, &err);

            if ((rc == 0) != (n >= rows[i].least && n <= rows[i].most))
                test_fail(__FILE__, __LINE__, "%s with %zu parameters", rows[i].name, n);
        }
    }
}

TEST(arity_error_has_three_parameters)
{
    AUTO(err_done) struct err err = { 0 };

    CHECK_INT(bind_arity(call_of("VM.start"), 2, &err), -1);
    CHECK_STR(err.code, ERR_MESSAGE_PARAMETER_COUNT_MISMATCH);
    CHECK_INT(err.n_params, 3);
    CHECK_STR(err.params[0], "VM.start");
    CHECK_STR(err.params[1], "4");
    CHECK_STR(err.params[2], "2");
}

TEST(arguments)
{
    const struct call_def *def = call_of("VM.start");
    AUTO(err_done) struct err err = { 0 };
    json_t *params = json_pack("[s, s, b, s]", "session", ref_a, 1, "false");
    void *args = NULL;
    const struct vm_start_args *a;
    struct ref want;

    CHECK_INT(bind_args(def, params, &args, &err), 0);
    a = args;
    CHECK(ref_parse(ref_a, &want));
    CHECK(ref_eq(&a->vm, &want));
    CHECK(a->start_paused && !a->force);
    CHECK(ref_eq(bind_self(def, args), &want));
    bind_free(def, args);
    json_decref(params);
}

TEST(defaults_stand_in)
{
    const struct call_def *def = call_of("VM.snapshot");
    AUTO(err_done) struct err err = { 0 };
    json_t *params = json_pack("[s, s, s]", "session", ref_a, "name");
    void *args = NULL;
    const struct vm_snapshot_args *a;

    CHECK_INT(bind_args(def, params, &args, &err), 0);
    a = args;
    CHECK_STR(a->new_name, "name");
    CHECK_INT(a->ignore_vdis.n, 0);
    bind_free(def, args);
    json_decref(params);
}

TEST(wrong_types)
{
    static const struct {
        const char *call, *params, *code;
    } rows[] = {
        { "VM.start", "[\"s\", 17, false, false]", ERR_FIELD_TYPE_ERROR },
        { "VM.start", "[\"s\", \"not a ref\", false, false]", ERR_HANDLE_INVALID },
        { "VM.start", "[\"s\", \"OpaqueRef:NULL\", [], false]", ERR_FIELD_TYPE_ERROR },
        { "VM.set_name_label", "[\"s\", \"OpaqueRef:NULL\", {}]", ERR_FIELD_TYPE_ERROR },
        { "VM.set_user_version", "[\"s\", \"OpaqueRef:NULL\", \"12x\"]",
          ERR_FIELD_TYPE_ERROR },
        { "VM.set_actions_after_crash", "[\"s\", \"OpaqueRef:NULL\", \"explode\"]",
          ERR_INVALID_VALUE },
        { "VM.set_other_config", "[\"s\", \"OpaqueRef:NULL\", []]", ERR_FIELD_TYPE_ERROR },
        { "network.create", "[\"s\", \"text\"]", ERR_FIELD_TYPE_ERROR },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO(err_done) struct err err = { 0 };
        json_t *params = json_loads(rows[i].params, 0, NULL);
        void *args = NULL;
        int rc = bind_args(call_of(rows[i].call), params, &args, &err);

        if (rc != -1 || !err.code || __builtin_strcmp(err.code, rows[i].code) != 0)
            test_fail(__FILE__, __LINE__, "%s %s: %s", rows[i].call, rows[i].params,
                      err.code ? err.code : "bound");
        json_decref(params);
    }
}

/* Every call with too few, and with nonsense in every place: an error or a clean success, nothing lost (ASan). */
TEST(every_call_survives_nonsense)
{
    static const char *const nonsense[] = { "null", "17",  "\"x\"", "[]",        "{}",
                                            "true", "1.5", "[[]]",  "{\"a\":{}}" };

    for (size_t c = 0; c < CALL_COUNT; c++) {
        const struct call_def *def = &schema_calls[c];
        size_t n = (def->no_session ? 0 : 1) + def->n_params;

        for (size_t v = 0; v < ARRAY_SIZE(nonsense); v++) {
            AUTO(err_done) struct err err = { 0 };
            json_t *params = json_array(),
                   *value = json_loads(nonsense[v], JSON_DECODE_ANY, NULL);
            void *args = NULL;

            for (size_t i = 0; i < n; i++)
                json_array_append(params, value);
            CHECK_INT(bind_arity(def, n, &err), 0);
            CHECK_INT(bind_arity(def, n + 1, NULL), -1);
            if (bind_args(def, params, &args, &err) == 0)
                bind_free(def, args);
            else
                CHECK(err.code);
            json_decref(value);
            json_decref(params);
        }
    }
}

TEST(required_fields)
{
    AUTO(err_done) struct err err = { 0 };
    json_t *record = json_object();

    CHECK_INT(bind_required(call_of("VBD.create"), record, &err), -1);
    CHECK_STR(err.code, ERR_HANDLE_INVALID);
    json_decref(record);
}

TEST(optional_own_reference_is_no_self)
{
    const struct call_def *def = call_of("VDI.introduce");
    AUTO(err_done) struct err err = { 0 };
    void *args = mem_alloc(def->args_size);

    for (size_t i = 0; i < def->n_params; i++)
        value_init(def->params[i].ty, (char *)args + def->params[i].offset);
    CHECK(!bind_self(def, args));
    bind_free(def, args);
    CHECK(!err.code);
}
