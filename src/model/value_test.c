/* SPDX-License-Identifier: Apache-2.0 */
#include "model/value.h"

#include <math.h>

#include "api/errors.h"
#include "api/records.h"
#include "base/mem.h"
#include "base/test.h"
#include "model/schema.h"

static const struct ty *field_ty(enum class_id cls, unsigned field)
{
    return schema_classes[cls].fields[field].ty;
}

#define TY_MAP_SS field_ty(CLASS_VM, F_VM_OTHER_CONFIG)
#define TY_TAGS   field_ty(CLASS_VM, F_VM_TAGS)

/* Decode JSON text; "" when it went well, else the error as a line. Borrowed until the next call. */
static const char *decode(const struct ty *ty, const char *text, void *out)
{
    static char line[256];
    AUTO(err_done) struct err err = { 0 };
    json_t *j = json_loads(text, JSON_DECODE_ANY, NULL);
    CHECK(j != NULL);
    int rc = value_decode(ty, j, "what", out, &err);
    json_decref(j);
    if (rc == 0) {
        CHECK(err.code == NULL);
        return "";
    }
    AUTO(free_str) char *got = err_text(&err);
    (void)snprintf(line, sizeof(line), "%s", got);
    return line;
}

TEST(ref_text_and_back)
{
    struct ref r = ref_new(), back;
    char text[REF_TEXT_SIZE];
    ref_text(&r, text);
    CHECK_INT(strlen(text), REF_TEXT_SIZE - 1);
    CHECK(ref_parse(text, &back) && ref_eq(&r, &back) && !ref_is_null(&r));
    static const char *const none[] = { "", "OpaqueRef:NULL", "Ref:1", "Ref:*" };
    for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
        CHECK(ref_parse(none[i], &back) && ref_is_null(&back));
    }
    ref_text(&back, text);
    CHECK_STR(text, "OpaqueRef:NULL");
    static const char *const bad[] = { "OpaqueRef:",
                                       "OpaqueRef:null",
                                       "NULL",
                                       " ",
                                       "OpaqueRef:00000000-0000-4000-8000-00000000000",
                                       "OpaqueRef:00000000-0000-4000-8000-00000000000g",
                                       "00000000-0000-4000-8000-000000000000" };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        back = r;
        CHECK(!ref_parse(bad[i], &back));
        CHECK(ref_eq(&back, &r));
    }
}

TEST(strings)
{
    const char *s = value_empty;
    str_put(&s, "abc");
    CHECK_STR(s, "abc");
    str_put(&s, s + 1);
    CHECK_STR(s, "bc");
    str_put(&s, NULL);
    CHECK(s == value_empty);
    str_give(&s, str_dup(""));
    CHECK(s == value_empty);
    str_give(&s, str_dup("x"));
    CHECK_STR(s, "x");
    str_put(&s, "");
    CHECK(s == value_empty);
}

TEST(sets_keep_order_and_are_unique)
{
    const struct ty *ty = TY_TAGS;
    struct set_string set;
    value_init(ty, &set);
    static const char *const words[] = { "a", "b", "c", "b", "a" };
    static const bool fresh[] = { true, true, true, false, false };
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        CHECK(set_add(ty, &set, &words[i]) == fresh[i]);
    }
    CHECK_INT(set.n, 3);
    CHECK(set_remove(ty, &set, &words[1]) && !set_remove(ty, &set, &words[1]));
    CHECK_STR(set.v[0], "a");
    CHECK_STR(set.v[1], "c");
    CHECK_INT(set_find(ty, &set, &words[2]), 1);
    CHECK(set_find(ty, &set, &words[1]) == SIZE_MAX);
    CHECK_INT(value_bytes(ty, &set), 2 * sizeof(char *) + 4);
    CHECK(set_remove(ty, &set, &words[0]) && set_remove(ty, &set, &words[2]));
    CHECK(set.v == NULL && set.n == 0);
    value_done(ty, &set);
}

TEST(maps_put_and_remove)
{
    const struct ty *ty = TY_MAP_SS;
    struct map_string_string map;
    value_init(ty, &map);
    const char *k = "key", *v = "one", *w = "two", *other = "other";
    CHECK(map_put(ty, &map, &k, &v));
    CHECK(map_put(ty, &map, &other, &v));
    CHECK(!map_put(ty, &map, &k, &w));
    CHECK_INT(map.n, 2);
    CHECK_STR(map.v[0].key, "key");
    CHECK_STR(map.v[0].val, "two");
    CHECK(!map_put(ty, &map, &k, &map.v[0].val)); /* its own value */
    CHECK_STR(*(const char **)map_val(ty, &map, 0), "two");
    CHECK(map_find(ty, &map, &w) == SIZE_MAX && map_find(ty, &map, &other) == 1);
    CHECK(map_remove(ty, &map, &k) && !map_remove(ty, &map, &k));
    CHECK_STR(*(const char **)map_key(ty, &map, 0), "other");
    value_done(ty, &map);
    CHECK(map.v == NULL && map.n == 0);
}

TEST(equality_looks_past_order)
{
    static const struct {
        const char *a, *b;
        bool eq;
    } cases[] = {
        { "{\"a\": \"1\", \"b\": \"2\"}", "{\"b\": \"2\", \"a\": \"1\"}", true },
        { "{\"a\": \"1\", \"b\": \"2\"}", "{\"b\": \"1\", \"a\": \"2\"}", false },
        { "{\"a\": \"1\"}", "{\"a\": \"1\", \"b\": \"2\"}", false },
        { "{\"a\": \"1\"}", "{\"b\": \"1\"}", false },
        { "{}", "{}", true },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct map_string_string a, b, copy;
        CHECK_STR(decode(TY_MAP_SS, cases[i].a, &a), "");
        CHECK_STR(decode(TY_MAP_SS, cases[i].b, &b), "");
        CHECK(value_eq(TY_MAP_SS, &a, &b) == cases[i].eq);
        CHECK(value_eq(TY_MAP_SS, &b, &a) == cases[i].eq);
        value_copy(TY_MAP_SS, &copy, &a);
        CHECK(value_eq(TY_MAP_SS, &a, &copy));
        value_done(TY_MAP_SS, &a);
        value_done(TY_MAP_SS, &b);
        value_done(TY_MAP_SS, &copy);
    }
    /* Sets of sets may repeat an element. */
    const struct ty *ty = schema_calls[CALL_POOL_CHECK_UPDATE_READINESS].result;
    struct set_set_string x, y;
    CHECK_STR(decode(ty, "[[\"a\"], [\"a\"], [\"b\"]]", &x), "");
    CHECK_STR(decode(ty, "[[\"a\"], [\"b\"], [\"c\"]]", &y), "");
    CHECK_INT(x.n, 3);
    CHECK(!value_eq(ty, &x, &y) && !value_eq(ty, &y, &x) && value_eq(ty, &x, &x));
    value_done(ty, &x);
    value_done(ty, &y);
}

TEST(decodes_scalars_as_clients_send_them)
{
    const struct ty *int_ty = field_ty(CLASS_VM, F_VM_MEMORY_STATIC_MAX);

    static const struct {
        const char *text;
        int64_t v;
        bool ok;
    } ints[] = {
        { "7", 7, true },
        { "\"-12\"", -12, true },
        { "8.0", 8, true },
        { "9223372036854775807", INT64_MAX, true },
        { "\"-9223372036854775808\"", INT64_MIN, true },
        { "\"9223372036854775808\"", 0, false },
        { "9.3e18", 0, false },
        { "1.5", 0, false },
        { "\"\"", 0, false },
        { "\" 1\"", 0, false },
        { "true", 0, false },
        { "null", 0, false },
        { "[1]", 0, false },
    };

    for (size_t i = 0; i < ARRAY_SIZE(ints); i++) {
        int64_t v = 99;
        CHECK_STR(decode(int_ty, ints[i].text, &v),
                  ints[i].ok ? "" : "FIELD_TYPE_ERROR(what)");
        CHECK_INT(v, ints[i].ok ? ints[i].v : 99);
    }
    const struct ty *bool_ty = field_ty(CLASS_VM, F_VM_IS_A_TEMPLATE);
    static const char *const bools[] = { "true",  "1",       "\"true\"",  "\"1\"",
                                         "false", "0",       "\"false\"", "\"0\"",
                                         "2",     "\"yes\"", "null" };
    for (size_t i = 0; i < ARRAY_SIZE(bools); i++) {
        bool v = i >= 4;
        CHECK_STR(decode(bool_ty, bools[i], &v), i < 8 ? "" : "FIELD_TYPE_ERROR(what)");
        CHECK(v == (i < 4 || i >= 8));
    }
    const struct ty *float_ty = field_ty(CLASS_TASK, F_TASK_PROGRESS);
    static const char *const floats[] = { "1", "1.0", "\"1\"", "\"1.0\"", "\"1e0\"" };
    for (size_t i = 0; i < ARRAY_SIZE(floats); i++) {
        double v = 0;
        CHECK_STR(decode(float_ty, floats[i], &v), "");
        CHECK(fabs(v - 1) <= 0);
    }
    double v = 0;
    CHECK_STR(decode(float_ty, "null", &v), "");
    CHECK(fabs(v) <= 0);
    static const char *const odd[] = { "\"one\"",   "\"\"", "\"nan\"", "\"inf\"",
                                       "\"1e999\"", "true", "[]" };
    for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
        v = 7;
        CHECK_STR(decode(float_ty, odd[i], &v), "FIELD_TYPE_ERROR(what)");
        CHECK(v > 6);
    }
}

TEST(decodes_dates_enums_refs)
{
    const struct ty *date = field_ty(CLASS_TASK, F_TASK_CREATED);
    int64_t us = 1;
    CHECK_STR(decode(date, "\"20260821T02:00:23Z\"", &us), "");
    CHECK_INT(us, INT64_C(1787277623000000));
    CHECK_STR(decode(date, "\"2026-08-21 02:00\"", &us), "FIELD_TYPE_ERROR(what)");
    CHECK_STR(decode(date, "0", &us), "FIELD_TYPE_ERROR(what)");

    const struct ty *state = field_ty(CLASS_VM, F_VM_POWER_STATE);
    int e = -1;
    CHECK_STR(decode(state, "\"Running\"", &e), "");
    CHECK_INT(e, VM_POWER_STATE_RUNNING);
    CHECK_STR(decode(state, "\"running\"", &e), "INVALID_VALUE(what, running)");
    CHECK_STR(decode(state, "2", &e), "FIELD_TYPE_ERROR(what)");
    CHECK_INT(e, VM_POWER_STATE_RUNNING);

    const struct ty *host = field_ty(CLASS_VM, F_VM_AFFINITY);
    struct ref r = ref_new();
    CHECK_STR(decode(host, "\"\"", &r), "");
    CHECK(ref_is_null(&r));
    CHECK_STR(decode(host, "\"OpaqueRef:no\"", &r), "HANDLE_INVALID(host, OpaqueRef:no)");
    CHECK_STR(decode(host, "[]", &r), "FIELD_TYPE_ERROR(what)");
}

TEST(decodes_compounds)
{
    struct set_string tags;
    CHECK_STR(decode(TY_TAGS, "[\"b\", \"a\", \"b\", \"\"]", &tags), "");
    CHECK_INT(tags.n, 3);
    CHECK_STR(tags.v[0], "b");
    CHECK(tags.v[2] == value_empty);
    value_done(TY_TAGS, &tags);
    memset(&tags, 0x55, sizeof(tags));
    struct set_string untouched = tags;
    CHECK_STR(decode(TY_TAGS, "[\"b\", 1]", &tags), "FIELD_TYPE_ERROR(what)");
    CHECK_STR(decode(TY_TAGS, "\"\"", &tags), "FIELD_TYPE_ERROR(what)");
    CHECK_STR(decode(TY_MAP_SS, "{\"a\": \"b\", \"c\": 2}", &tags),
              "FIELD_TYPE_ERROR(what)");
    CHECK_STR(decode(TY_MAP_SS, "[]", &tags), "FIELD_TYPE_ERROR(what)");
    CHECK(memcmp(&tags, &untouched, sizeof(tags)) == 0);

    const struct ty *ty = field_ty(CLASS_VM_METRICS, F_VM_METRICS_VCPUS_CPU);
    struct map_int_int map;
    CHECK_STR(decode(ty, "{\"1\": \"2\", \"01\": 3, \"-4\": 5}", &map), "");
    CHECK_INT(map.n, 2);
    CHECK_INT(map.v[0].val, 2);
    CHECK_INT(map.v[1].key, -4);
    value_done(ty, &map);
    CHECK_STR(decode(ty, "{\"1\": 2, \"x\": 3}", &map), "FIELD_TYPE_ERROR(what)");

    ty = field_ty(CLASS_VM, F_VM_BLOCKED_OPERATIONS);
    struct map_enum_string blocked;
    CHECK_STR(decode(ty, "{\"start\": \"no\"}", &blocked), "");
    CHECK_INT(blocked.v[0].key, VM_OPERATIONS_START);
    value_done(ty, &blocked);
    CHECK_STR(decode(ty, "{\"START\": \"no\"}", &blocked), "INVALID_VALUE(what, START)");

    ty = field_ty(CLASS_PROBE_RESULT, F_PROBE_RESULT_SR);
    void *option = &map;
    CHECK_STR(decode(ty, "\"\"", &option), "");
    CHECK(option == NULL);
    CHECK_STR(decode(ty, "{\"free_space\": 4}", &option), "");
    CHECK_INT((*(struct sr_stat_rec **)option)->free_space, 4);
    value_done(ty, &option);
    CHECK(option == NULL);
    CHECK_STR(decode(ty, "{\"free_space\": true}", &option),
              "FIELD_TYPE_ERROR(free_space)");
}

TEST(many_elements_stay_unique)
{
    AUTO(buf_done) struct buf text = BUF_INIT(0);
    buf_add_char(&text, '[');
    for (int i = 0; i < 20000; i++)
        buf_addf(&text, "%s\"%d\"", i ? "," : "", i % 9999);
    buf_add_char(&text, ']');
    struct set_string tags;
    CHECK_STR(decode(TY_TAGS, buf_str(&text), &tags), "");
    CHECK_INT(tags.n, 9999);
    CHECK_STR(tags.v[9998], "9998");
    value_done(TY_TAGS, &tags);
}

TEST(decodes_records_with_defaults)
{
    const struct ty *ty = schema_calls[CALL_VM_CREATE].params[0].ty;
    struct vm_rec *vm = NULL;
    CHECK_STR(decode(ty,
                     "{\"name_label\": \"x\", \"memory_static_max\": \"5\", \"new\": {}}",
                     &vm),
              "");
    CHECK_STR(vm->name_label, "x");
    CHECK_INT(vm->memory_static_max, 5);
    CHECK_INT(vm->power_state, VM_POWER_STATE_HALTED);
    CHECK_INT(vm->domain_type, DOMAIN_TYPE_UNSPECIFIED);
    CHECK_STR(vm->generation_id, "0:0");
    CHECK(vm->name_description == value_empty);
    CHECK(value_bytes(ty, &vm) >= sizeof(*vm) + 2);
    void *copy;
    value_copy(ty, &copy, &vm);
    CHECK(value_eq(ty, &copy, &vm));
    str_put(&((struct vm_rec *)copy)->name_label, "y");
    CHECK(!value_eq(ty, &copy, &vm));
    value_done(ty, &copy);
    value_done(ty, &vm);
    CHECK(vm == NULL);
    CHECK_STR(decode(ty, "{\"name_label\": 5}", &vm), "FIELD_TYPE_ERROR(name_label)");
    CHECK_STR(decode(ty, "{\"tags\": [\"a\"], \"power_state\": \"On\"}", &vm),
              "INVALID_VALUE(power_state, On)");
    CHECK(vm == NULL);
}
