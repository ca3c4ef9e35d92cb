/* SPDX-License-Identifier: Apache-2.0 */
#include "seraid/gate.h"

#include "api/errors.h"
#include "base/test.h"

static const struct session root = { .local_superuser = true };
static const struct session admin = { .roles = ROLE_POOL_ADMIN };
static const struct session op_user = { .roles = ROLE_VM_OPERATOR };
static const struct session reader = { .roles = ROLE_READ_ONLY };
static const struct session nobody = { .roles = 0 };

static bool may(const char *call, const struct session *s)
{
    AUTO(err_done) struct err err = { 0 };
    const struct call_def *def = schema_call(call);

    CHECK(def);
    return gate_call(def, s, &err) == 0;
}

static bool may_key(const char *call, const struct session *s, const char *key)
{
    AUTO(err_done) struct err err = { 0 };

    return gate_key(schema_call(call), s, key, &err) == 0;
}

TEST(roles_of_calls)
{
    static const struct {
        const char *call;
        bool admin, op_user, reader;
    } rows[] = {
        { "VM.get_all_records", true, true, true },
        { "VM.start", true, true, false },
        { "VM.destroy", true, false, false },
        { "VM.set_name_label", true, false, false },
        { "host.destroy", true, false, false },
        { "session.logout", true, true, true },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (may(rows[i].call, &admin) != rows[i].admin
            || may(rows[i].call, &op_user) != rows[i].op_user
            || may(rows[i].call, &reader) != rows[i].reader)
            test_fail(__FILE__, __LINE__, "%s", rows[i].call);
        CHECK(may(rows[i].call, &root));
        CHECK(!may(rows[i].call, &nobody));
    }
}

TEST(calls_of_nobody_are_of_root)
{
    for (size_t i = 0; i < CALL_COUNT; i++) {
        const struct session all = { .roles = 0xff };
        AUTO(err_done) struct err err = { 0 };

        CHECK_INT(gate_call(&schema_calls[i], &root, NULL), 0);
        if (schema_calls[i].roles == 0 && schema_calls[i].kind == CALL_KIND_EXPLICIT)
            CHECK_INT(gate_call(&schema_calls[i], &all, &err), -1);
    }
}

TEST(refusal_names_the_permission)
{
    AUTO(err_done) struct err err = { 0 };

    CHECK_INT(gate_call(schema_call("VM.destroy"), &reader, &err), -1);
    CHECK_STR(err.code, ERR_RBAC_PERMISSION_DENIED);
    CHECK_INT(err.n_params, 2);
    CHECK_STR(err.params[0], "vm.destroy");
}

TEST(a_revoked_token_takes_its_sessions_along)
{
    const struct session s = { .ref = ref_new(),
                               .roles = ROLE_POOL_ADMIN,
                               .token = ref_new() };
    AUTO(err_done) struct err err = { 0 };
    char text[REF_TEXT_SIZE];

    CHECK_INT(gate_call(schema_call("VM.destroy"), &s, &err), -1);
    CHECK_STR(err.code, ERR_SESSION_INVALID);
    ref_text(&s.ref, text);
    CHECK_STR(err.params[0], text);
}

TEST(keys_with_roles_of_their_own)
{
    static const char *const calls[] = { "VM.add_to_other_config",
                                         "VM.remove_from_other_config",
                                         "VM.set_other_config" };

    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        CHECK(may(calls[i], &op_user)); /* some keys are his */
        CHECK(may_key(calls[i], &op_user, "folder"));
        CHECK(may_key(calls[i], &op_user, "XenCenter.CustomFields.colour"));
        CHECK(!may_key(calls[i], &op_user, "folders"));
        CHECK(!may_key(calls[i], &op_user, "XenCenter.CustomField"));
        CHECK(!may_key(calls[i], &op_user, ""));
        CHECK(may_key(calls[i], &admin, "anything"));
        CHECK(!may(calls[i], &reader));
        CHECK(!may_key(calls[i], &reader, "folder"));
        CHECK(may_key(calls[i], &root, "anything"));
    }
}

static json_t *json(const char *text)
{
    return json_loads(text, JSON_DECODE_ANY, NULL);
}

TEST(whole_maps_are_compared_by_key)
{
    static const struct {
        const char *old, *new;
        bool ok;
    } rows[] = {
        { "{}", "{}", true },
        { "{\"a\": \"1\"}", "{\"a\": \"1\"}", true },
        { "{\"a\": \"1\"}", "{\"a\": \"1\", \"folder\": \"x\"}", true },
        { "{\"a\": \"1\", \"folder\": \"x\"}", "{\"a\": \"1\", \"folder\": \"y\"}", true },
        { "{\"folder\": \"x\"}", "{}", true },
        { "{\"a\": \"1\"}", "{\"a\": \"2\"}", false },
        { "{\"a\": \"1\"}", "{}", false },
        { "{}", "{\"a\": \"1\"}", false },
        { "{\"folder\": \"x\"}", "{\"folder\": \"y\", \"b\": \"\"}", false },
    };
    const struct call_def *def = schema_call("VM.set_other_config");
    const struct ty *ty = schema_classes[def->cls].fields[def->field].ty;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO(err_done) struct err err = { 0 };
        struct set_any old = { 0 }, new = { 0 };
        json_t *o = json(rows[i].old), *n = json(rows[i].new);

        CHECK_INT(value_decode(ty, o, "old", &old, &err), 0);
        CHECK_INT(value_decode(ty, n, "new", &new, &err), 0);
        db_lock();
        if ((gate_keys(def, &op_user, &old, &new, &err) == 0) != rows[i].ok)
            test_fail(__FILE__, __LINE__, "%s to %s", rows[i].old, rows[i].new);
        CHECK_INT(gate_keys(def, &admin, &old, &new, NULL), 0);
        db_unlock();
        value_done(ty, &old);
        value_done(ty, &new);
        json_decref(o);
        json_decref(n);
    }
}
