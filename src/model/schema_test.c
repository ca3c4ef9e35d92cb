/* SPDX-License-Identifier: Apache-2.0 */
#include "model/schema.h"

#include "api/args.h"
#include "api/errors.h"
#include "api/records.h"
#include "base/mem.h"
#include "base/test.h"

TEST(lookups)
{
    CHECK(schema_class("VM") == &schema_classes[CLASS_VM]);
    CHECK(schema_class("vm") == NULL && schema_class("") == NULL);
    CHECK(schema_class_any_case("VM_MeTrIcS") == &schema_classes[CLASS_VM_METRICS]);
    CHECK(schema_class_any_case("") == NULL && schema_class_any_case("none") == NULL);
    const struct class_def *vm = schema_class("VM");
    CHECK(schema_field(vm, "VBDs") == &vm->fields[F_VM_VBDS]);
    CHECK(schema_field(vm, "vbds") == NULL);
    CHECK(schema_class_call(vm, "start") == &schema_calls[CALL_VM_START]);
    CHECK(schema_class_call(schema_class("auth"), "get_all") == NULL);
    CHECK(schema_class_call(schema_class("sr_stat"), "get_all") == NULL);
    CHECK_STR(schema_error(ERR_VDI_IN_USE)->params[0], "vdi");
    CHECK(schema_error("NO_SUCH_THING") == NULL);
}

TEST(call_names)
{
    for (size_t i = 0; i < CALL_COUNT; i++) {
        const struct call_def *call = &schema_calls[i];
        char name[128];
        (void)snprintf(name, sizeof(name), "%s", schema_call_name(call));
        CHECK(schema_call(name) == call);
        *strchr(name, '.') = '_';
        CHECK(schema_call(name) == call);
        CHECK_INT(call->id, i);
        CHECK(schema_classes[call->cls].first_call <= i
              && i < (size_t)schema_classes[call->cls].first_call
                         + schema_classes[call->cls].n_calls);
    }
    static const char *const none[] = { "",
                                        ".",
                                        "_",
                                        "VM",
                                        "VM.",
                                        "VM_",
                                        ".start",
                                        "VM.Start",
                                        "VM.start ",
                                        "VM-start",
                                        "VM..start",
                                        "Async.VM.start",
                                        "VM.metrics_get_all",
                                        "VM_metrics" };
    for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
        CHECK(schema_call(none[i]) == NULL);
    }
    char lots[300];
    memset(lots, '_', sizeof(lots));
    lots[sizeof(lots) - 1] = '\0';
    CHECK(schema_call(lots) == NULL);
}

static void check_ty(const struct ty *ty)
{
    CHECK(ty->kind == TY_VOID || ty->kind == TY_RAW || (ty->size > 0 && ty->align > 0));
    CHECK(ty->kind != TY_SET || ty->entry == ty->elem->size);
    CHECK(ty->kind != TY_MAP
          || (ty->val_off >= ty->key->size && ty->entry >= ty->val_off + ty->elem->size));
    if (ty->key)
        check_ty(ty->key);
    if (ty->elem)
        check_ty(ty->elem);
}

TEST(storage_fits)
{
    CHECK_INT(schema_classes[CLASS_VM].rec_size, sizeof(struct vm_rec));
    CHECK_INT(schema_calls[CALL_VM_START].args_size, sizeof(struct vm_start_args));
    CHECK_INT(schema_calls[CALL_VM_START].params[2].offset,
              offsetof(struct vm_start_args, force));
    CHECK_INT(schema_calls[CALL_PIF_DB_INTRODUCE].args_size,
              sizeof(struct pif_db_introduce_args));
    for (size_t c = 1; c < CLASS_COUNT; c++) {
        const struct class_def *cls = &schema_classes[c];
        CHECK_INT(cls->id, c);
        size_t end = 0;
        for (size_t i = 0; i < cls->n_fields; i++) {
            const struct field_def *f = &cls->fields[i];
            CHECK_INT(f->id, i);
            check_ty(f->ty);
            CHECK(f->ty->kind == TY_RAW || f->offset >= end);
            end = f->ty->kind == TY_RAW ? end : f->offset + (size_t)f->ty->size;
            CHECK(end <= cls->rec_size);
        }
        CHECK(cls->uuid_field < 0
              || strcmp(cls->fields[cls->uuid_field].name, "uuid") == 0);
        CHECK(cls->name_field < 0
              || strcmp(cls->fields[cls->name_field].name, "name_label") == 0);
    }
    for (size_t i = 0; i < CALL_COUNT; i++) {
        const struct call_def *call = &schema_calls[i];
        size_t end = 0;
        check_ty(call->result);
        for (size_t p = 0; p < call->n_params; p++) {
            check_ty(call->params[p].ty);
            CHECK(call->params[p].offset >= end);
            end = call->params[p].offset + (size_t)call->params[p].ty->size;
        }
        CHECK(end <= call->args_size);
    }
}

TEST(inverse_sets_point_back)
{
    size_t n = 0;
    for (size_t c = 1; c < CLASS_COUNT; c++) {
        for (size_t i = 0; i < schema_classes[c].n_fields; i++) {
            const struct field_def *f = &schema_classes[c].fields[i];
            if (f->inverse_class == CLASS_NONE)
                continue;
            const struct field_def *back =
                &schema_classes[f->inverse_class].fields[f->inverse_field];
            CHECK(back->ty->kind == TY_REF && back->ty->cls == c);
            CHECK(f->ty->kind == TY_SET && f->ty->elem->cls == f->inverse_class);
            CHECK(f->is_volatile);
            n++;
        }
    }
    CHECK_INT(n, 50);
    const struct field_def *vbds = &schema_classes[CLASS_VM].fields[F_VM_VBDS];
    CHECK(vbds->inverse_class == CLASS_VBD && vbds->inverse_field == F_VBD_VM);
}

TEST(default_records)
{
    for (size_t c = 1; c < CLASS_COUNT; c++) {
        const struct class_def *cls = &schema_classes[c];
        void *a = record_new(cls), *b = record_copy(cls, a);
        for (size_t i = 0; i < cls->n_fields; i++) {
            const struct field_def *f = &cls->fields[i];
            CHECK(value_eq(f->ty, record_field(f, a), record_field(f, b)));
            CHECK(f->access != ACCESS_RO || f->default_json || f->ty->kind == TY_RAW);
            CHECK(f->ty->kind != TY_STRING || *(const char **)record_field(f, a) != NULL);
        }
        record_free(cls, a);
        record_free(cls, b);
        record_free(cls, NULL);
    }
    struct network_rec *net = record_new(&schema_classes[CLASS_NETWORK]);
    CHECK_INT(net->MTU, 1500);
    CHECK_INT(net->default_locking_mode, NETWORK_DEFAULT_LOCKING_MODE_UNLOCKED);
    record_free(&schema_classes[CLASS_NETWORK], net);
    struct host_rec *host = record_new(&schema_classes[CLASS_HOST]);
    CHECK_STR(host->license_server.v[1].val, "27000");
    CHECK_INT(host->virtual_hardware_platform_versions.n, 1);
    record_free(&schema_classes[CLASS_HOST], host);
}

/* The compiled tables against the facts of the interface, tests/schema/xenapi.json. */

static uint8_t role_bits(const char *text)
{
    static const struct {
        const char *name;
        uint8_t bits;
    } roles[] = {
        { "nobody", 0 },
        { "pool-admin", 1 },
        { "pool-operator", 3 },
        { "pool-operator+client-cert", 3 | 64 },
        { "vm-power-admin", 7 },
        { "vm-power-admin+client-cert", 7 | 64 },
        { "vm-admin", 15 },
        { "vm-operator", 31 },
        { "vm-operator+client-cert", 31 | 64 },
        { "read-only", 127 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
        if (strcmp(roles[i].name, text) == 0)
            return roles[i].bits;
    }
    test_fail(__FILE__, __LINE__, "unknown role %s", text);
}

static const char *text_at(const json_t *j, size_t i)
{
    return json_string_value(json_array_get(j, i));
}

static const char *const lives[] = { "Published", "Prototyped", "Deprecated", "Removed" };
static const char *const accesses[] = { "RO/runtime", "RO/constructor", "RW" };

static void check_message(const struct call_def *call, const json_t *m)
{
    const json_t *params = json_array_get(m, 0), *errors = json_array_get(m, 3);
    CHECK_INT(call->n_params, json_array_size(params));
    for (size_t i = 0; i < call->n_params; i++) {
        CHECK_STR(call->params[i].name, text_at(json_array_get(params, i), 0));
        CHECK_STR(call->params[i].ty->name, text_at(json_array_get(params, i), 1));
    }
    CHECK_STR(call->result->name, text_at(m, 1));
    CHECK_INT(call->roles, role_bits(text_at(m, 2)));
    for (size_t i = 0; i < json_array_size(errors); i++) {
        CHECK_STR(call->errors[i], text_at(errors, i));
    }
    CHECK(json_array_size(errors) == 0 ? !call->errors
                                       : !call->errors[json_array_size(errors)]);
    CHECK_STR(call->kind == CALL_KIND_EXPLICIT ? "explicit" : "implicit", text_at(m, 4));
    CHECK_STR(lives[call->life], text_at(m, 5));
    CHECK(call->no_session == (json_array_size(m) == 7));
}

TEST(tables_equal_the_facts)
{
    json_t *facts = json_load_file(SOURCE_ROOT "/tests/schema/xenapi.json", 0, NULL);
    CHECK(facts != NULL);
    const char *name, *key;
    json_t *c, *f, *m;
    size_t n_classes = 0, n_fields = 0, n_calls = 0, n_own = 0, n_own_calls = 0;
    json_object_foreach(json_object_get(facts, "classes"), name, c)
    {
        const struct class_def *cls = schema_class(name);
        CHECK(cls != NULL);
        CHECK_STR(lives[cls->life], json_string_value(json_object_get(c, "state")));
        json_object_foreach(json_object_get(c, "fields"), key, f)
        {
            const struct field_def *field = schema_field(cls, key);
            CHECK(field != NULL);
            CHECK_STR(field->ty->name, text_at(f, 0));
            CHECK_STR(accesses[field->access], text_at(f, 1));
            CHECK_STR(lives[field->life], text_at(f, 2));
            n_fields++;
        }
        json_object_foreach(json_object_get(c, "messages"), key, m)
        {
            const struct call_def *call = schema_class_call(cls, key);
            CHECK(call != NULL);
            check_message(call, m);
            n_calls++;
        }
        n_classes++;
    }
    CHECK_INT(n_classes, 67);
    for (size_t i = 1; i < CLASS_COUNT; i++) { /* ours come beside them */
        const struct class_def *cls = &schema_classes[i];
        if (str_eq(cls->name, "serai") || str_starts(cls->name, "serai_")) {
            n_own++;
            n_own_calls += cls->n_calls;
        }
    }
    CHECK_INT(n_classes, CLASS_COUNT - 1 - n_own);
    CHECK_INT(n_fields, 845);
    CHECK_INT(n_calls, 1828);
    CHECK_INT(n_calls, CALL_COUNT - n_own_calls);
    CHECK_INT(json_object_size(json_object_get(facts, "errors")), 603);
    json_object_foreach(json_object_get(facts, "errors"), key, m)
    {
        const struct error_def *e = schema_error(key);
        CHECK(e != NULL);
        size_t n = 0;
        for (; e->params[n]; n++) {
            CHECK_STR(e->params[n], text_at(m, n));
        }
        CHECK_INT(n, json_array_size(m));
    }
    json_decref(facts);
}
