/* SPDX-License-Identifier: Apache-2.0 */
#include "model/enc.h"

#include <math.h>

#include "api/records.h"
#include "base/test.h"

static const struct ty *field_ty(enum class_id cls, unsigned field)
{
    return schema_classes[cls].fields[field].ty;
}

#define CHECK_ENC(ty, p, json, xml)          \
    do {                                     \
        struct buf b_ = BUF_INIT(0);         \
        enc_value(&b_, ENC_JSON, (ty), (p)); \
        CHECK_STR(buf_str(&b_), (json));     \
        buf_clear(&b_);                      \
        enc_value(&b_, ENC_XML, (ty), (p));  \
        CHECK_STR(buf_str(&b_), (xml));      \
        buf_done(&b_);                       \
    } while (0)

TEST(scalars)
{
    int64_t i = INT64_MIN, date = INT64_C(1787277623000000), epoch = 0;
    CHECK_ENC(field_ty(CLASS_VM, F_VM_MEMORY_STATIC_MAX), &i, "-9223372036854775808",
              "<value>-9223372036854775808</value>");
    CHECK_ENC(field_ty(CLASS_TASK, F_TASK_CREATED), &date, "\"20260821T02:00:23Z\"",
              "<value><dateTime.iso8601>20260821T02:00:23Z</dateTime.iso8601></value>");
    CHECK_ENC(field_ty(CLASS_TASK, F_TASK_CREATED), &epoch, "\"19700101T00:00:00Z\"",
              "<value><dateTime.iso8601>19700101T00:00:00Z</dateTime.iso8601></value>");
    bool yes = true, no = false;
    CHECK_ENC(field_ty(CLASS_VM, F_VM_IS_A_TEMPLATE), &yes, "true",
              "<value><boolean>1</boolean></value>");
    CHECK_ENC(field_ty(CLASS_VM, F_VM_IS_A_TEMPLATE), &no, "false",
              "<value><boolean>0</boolean></value>");
    int e = VM_POWER_STATE_RUNNING;
    CHECK_ENC(field_ty(CLASS_VM, F_VM_POWER_STATE), &e, "\"Running\"",
              "<value>Running</value>");
    struct ref null = REF_NULL;
    CHECK_ENC(field_ty(CLASS_VM, F_VM_AFFINITY), &null, "\"OpaqueRef:NULL\"",
              "<value>OpaqueRef:NULL</value>");
    CHECK_ENC(schema_calls[CALL_VM_START].result, NULL, "\"\"", "<value></value>");
    void *none = NULL;
    CHECK_ENC(field_ty(CLASS_PROBE_RESULT, F_PROBE_RESULT_SR), &none, "\"\"",
              "<value></value>");
}

TEST(doubles_have_a_decimal_part)
{
    static const struct {
        double v;
        const char *text;
    } cases[] = {
        { 1, "1.0" },     { 60.1, "60.1" },    { 0.1 + 0.2, "0.30000000000000004" },
        { -0.5, "-0.5" }, { 1e300, "1e+300" }, { 0, "0.0" },
        { 1e-7, "1e-07" }
    };
    const struct ty *ty = field_ty(CLASS_TASK, F_TASK_PROGRESS);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char xml[80];
        (void)snprintf(xml, sizeof(xml), "<value><double>%s</double></value>",
                       cases[i].text);
        CHECK_ENC(ty, &cases[i].v, cases[i].text, xml);
    }
    double nan = NAN, inf = -INFINITY;
    CHECK_ENC(ty, &inf, "null", "<value><double>-inf</double></value>");
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    enc_value(&b, ENC_JSON, ty, &nan);
    CHECK_STR(buf_str(&b), "null");
}

TEST(text_is_escaped)
{
    static const struct {
        const char *text, *json, *xml;
    } cases[] = {
        { "", "", "" },
        { "a<b>&\"c'\\", "a<b>&\\\"c'\\\\", "a&lt;b&gt;&amp;&quot;c'\\" },
        { "a\n\r\tb", "a\\n\\r\\tb", "a\n&#13;\tb" },
        { "\x01\x1f", "\\u0001\\u001f", "\xef\xbf\xbd\xef\xbf\xbd" },
        { "\x7f", "\x7f", "\x7f" },
        { "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
          "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
        /* Not UTF-8: a byte alone, overlong, surrogate, cut off, too large. */
        { "\x80|\xff", "\xef\xbf\xbd|\xef\xbf\xbd", "\xef\xbf\xbd|\xef\xbf\xbd" },
        { "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd", "\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xe0\x80\x80x", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx",
          "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx" },
        { "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd",
          "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd", "\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd",
          "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
        /* UTF-8, but no character of XML. */
        { "\xef\xbf\xbe\xef\xbf\xbf", "\xef\xbf\xbe\xef\xbf\xbf",
          "\xef\xbf\xbd\xef\xbf\xbd" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(buf_done) struct buf b = BUF_INIT(0);
        enc_json_text(&b, cases[i].text);
        CHECK_STR(buf_str(&b), cases[i].json);
        buf_clear(&b);
        enc_xml_text(&b, cases[i].text);
        CHECK_STR(buf_str(&b), cases[i].xml);
    }
}

TEST(compounds_have_no_white_space)
{
    static const char *const words[] = { "a", "b" };
    struct set_string set = { (const char **)words, 2 }, empty = { 0 };
    const struct ty *tags = field_ty(CLASS_VM, F_VM_TAGS);
    CHECK_ENC(
        tags, &set, "[\"a\",\"b\"]",
        "<value><array><data><value>a</value><value>b</value></data></array></value>");
    CHECK_ENC(tags, &empty, "[]", "<value><array><data></data></array></value>");
    struct map_int_int_entry entries[] = { { 0, 3 }, { -1, 4 } };
    struct map_int_int map = { entries, 2 };
    CHECK_ENC(field_ty(CLASS_VM_METRICS, F_VM_METRICS_VCPUS_CPU), &map,
              "{\"0\":3,\"-1\":4}",
              "<value><struct><member><name>0</name><value>3</value></member>"
              "<member><name>-1</name><value>4</value></member></struct></value>");
    struct map_string_string_entry text[] = { { "<\"", "&" } };
    struct map_string_string config = { text, 1 };
    CHECK_ENC(field_ty(CLASS_VM, F_VM_OTHER_CONFIG), &config, "{\"<\\\"\":\"&\"}",
              "<value><struct><member><name>&lt;&quot;</name><value>&amp;</value></member>"
              "</struct></value>");
}

TEST(records)
{
    struct vbd_metrics_rec *rec = record_new(&schema_classes[CLASS_VBD_METRICS]);
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    str_put(&rec->uuid, "u");
    rec->io_read_kbs = 0.5;
    enc_record(&b, ENC_JSON, &schema_classes[CLASS_VBD_METRICS], rec);
    CHECK_STR(buf_str(&b), "{\"uuid\":\"u\",\"io_read_kbs\":0.5,\"io_write_kbs\":0.0,"
                           "\"last_updated\":\"19700101T00:00:00Z\",\"other_config\":{}}");
    record_free(&schema_classes[CLASS_VBD_METRICS], rec);
}

TEST(hand_made_answers)
{
    static const char *const want[] = {
        [ENC_JSON] = "{\"Status\":\"Success\",\"n\":{\"vm\":3},\"v\":[true,-1]}",
        [ENC_XML] =
            "<value><struct><member><name>Status</name><value>Success</value></member>"
            "<member><name>n</name><value><struct><member><name>vm</name>"
            "<value><i4>3</i4></value></member></struct></value></member>"
            "<member><name>v</name><value><array><data><value><boolean>1</boolean>"
            "</value><value>-1</value></data></array></value></member></struct></value>",
    };
    for (enum enc enc = ENC_JSON; enc <= ENC_XML; enc++) {
        AUTO(buf_done) struct buf b = BUF_INIT(0);
        bool first = true, inner = true, items = true;
        enc_struct_begin(&b, enc);
        enc_member_begin(&b, enc, "Status", &first);
        enc_string(&b, enc, "Success");
        enc_member_end(&b, enc);
        enc_member_begin(&b, enc, "n", &first);
        enc_struct_begin(&b, enc);
        enc_member_begin(&b, enc, "vm", &inner);
        enc_int32(&b, enc, 3);
        enc_member_end(&b, enc);
        enc_struct_end(&b, enc);
        enc_member_end(&b, enc);
        enc_member_begin(&b, enc, "v", &first);
        enc_array_begin(&b, enc);
        enc_item_begin(&b, enc, &items);
        enc_bool(&b, enc, true);
        enc_item_begin(&b, enc, &items);
        enc_int(&b, enc, -1);
        enc_array_end(&b, enc);
        enc_member_end(&b, enc);
        enc_struct_end(&b, enc);
        CHECK_STR(buf_str(&b), want[enc]);
    }
}
