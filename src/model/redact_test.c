/* SPDX-License-Identifier: Apache-2.0 */
#include "model/redact.h"

#include "base/mem.h"
#include "base/test.h"

static json_t *upper_ref(enum class_id cls, const char *ref)
{
    return str_eq(ref, "OpaqueRef:known")
               ? json_sprintf("%s known", schema_classes[cls].name)
               : NULL;
}

static void check(const struct ty *ty, bool secret, const char *in, const char *want)
{
    json_t *v = json_loads(in, JSON_DECODE_ANY, NULL);
    CHECK(v);
    json_t *got = redact_value(ty, secret, v, 8, upper_ref);
    char *text = json_dumps(got, JSON_COMPACT | JSON_ENCODE_ANY);
    CHECK_STR(text, want);
    free(text);
    json_decref(got);
    json_decref(v);
}

static const struct field_def *field(const char *cls, const char *name)
{
    const struct field_def *f = schema_field(schema_class(cls), name);
    CHECK(f);
    return f;
}

TEST(values)
{
    const struct ty *map = field("VM", "other_config")->ty,
                    *text = field("VM", "name_label")->ty;
    check(map, false, "{\"a\":\"b\",\"chapPassword\":\"x\",\"my_TOKEN\":\"\"}",
          "{\"a\":\"b\",\"chapPassword\":\"(hidden)\",\"my_TOKEN\":\"\"}");
    check(map, true, "{\"a\":\"b\"}", "{\"a\":\"(hidden)\"}");
    check(text, false, "\"12345678\"", "\"12345678\"");
    check(text, false, "\"1234567\u00e9 and more\"", "\"1234567... (18 bytes)\"");
    check(text, true, "\"x\"", "\"(hidden)\"");
    check(text, true, "\"\"", "\"\"");
    check(field("VBD", "VM")->ty, false, "\"OpaqueRef:known\"", "\"VM known\"");
    check(field("VM", "VBDs")->ty, false, "[\"OpaqueRef:known\"]", "[\"VBD known\"]");
}

TEST(records_by_their_fields)
{
    const struct call_def *create = schema_call("VM.create");
    CHECK(create);
    check(
        create->params[0].ty, false,
        "{\"name_label\":\"n\",\"xenstore_data\":{\"vm-data/"
        "key\":\"v\"},\"other_config\":{\"pwd\":"
        "\"x\"},\"unknown_password\":\"y\",\"memory_static_max\":5}",
        "{\"name_label\":\"n\",\"xenstore_data\":{\"vm-data/"
        "key\":\"(hidden)\"},\"other_config\":{"
        "\"pwd\":\"(hidden)\"},\"unknown_password\":\"(hidden)\",\"memory_static_max\":5}");
}

TEST(what_is_audited)
{
    static const struct {
        const char *call;
        enum call_audit audit;
    } rows[] = {
        { "VM.start", AUDIT_CALL },
        { "VM.set_name_label", AUDIT_CALL },
        { "VM.get_record", AUDIT_NOT },
        { "VM.create", AUDIT_CALL },
        { "session.logout", AUDIT_SESSION },
        { "session.login_with_password", AUDIT_SESSION },
        { "event.from", AUDIT_NOT },
        { "task.cancel", AUDIT_FREES },
        { "secret.create", AUDIT_CALL },
        { "host.get_servertime", AUDIT_NOT },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct call_def *def = schema_call(rows[i].call);
        CHECK(def);
        CHECK_INT(def->audit, rows[i].audit);
    }
    CHECK(schema_call("session.login_with_password")->params[1].secret);
}
