/* SPDX-License-Identifier: Apache-2.0 */
#include "model/rrd_text.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/test.h"

#define T0    INT64_C(1700006400)
#define HOST  "f0000000-1111-4222-8333-444444444444"
#define GUEST "a0000000-1111-4222-8333-444444444444"

static struct rrd *filled(const char *name, int64_t from, int n, bool extremes)
{
    struct rrd *r = rrd_new(extremes);

    for (int i = 0; i <= n; i++) {
        struct rrd_sample s[2] = { { .value = i + 0.5, .max = INFINITY },
                                   { .name = "off", .value = 1, .max = 1 } };

        memcpy(s[0].name, name, strlen(name));
        rrd_update(r, (double)(from + i * 5), s, 2);
    }
    rrd_ds_enable(r, 1, false);
    return r;
}

static json_t *parsed(const struct buf *text)
{
    json_error_t e;
    json_t *j = json_loads(buf_str(text), 0, &e);

    if (!j)
        test_fail(__FILE__, __LINE__, "not JSON: %s at %d", e.text, e.position);
    return j;
}

TEST(numbers)
{
    static const struct {
        double v;
        const char *text;
    } cases[] = { { 0, "0" },
                  { 0.5, "0.5" },
                  { -2, "-2" },
                  { 1e21, "1e+21" },
                  { 16777216, "1.677722e+07" },
                  { NAN, "NaN" },
                  { INFINITY, "Infinity" },
                  { -INFINITY, "-Infinity" } };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(buf_done) struct buf out = BUF_INIT(0);

        rrd_text_number(&out, cases[i].v);
        CHECK_STR(buf_str(&out), cases[i].text);
    }
}

TEST(which_archive)
{
    const int64_t last = T0 + 86400 + 3;

    static const struct {
        bool has_start;
        int64_t back, interval;
        size_t archive;
    } cases[] = {
        { true, 595, 5, 0 },    { true, 602, 5, 0 },         { true, 660, 5, 1 },
        { true, 10, 0, 0 },     { true, 3600, 0, 1 },        { true, 10, 60, 1 },
        { true, 86400, 60, 2 }, { true, 10, 3600, 2 },       { true, 86400 * 30, 5, 3 },
        { true, 10, 86400, 3 }, { true, 86400 * 500, 5, 3 }, { false, 0, 5, 0 },
        { false, 0, 60, 1 },    { false, 0, 100000, 3 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct rrd_text_query q = { .has_start = cases[i].has_start,
                                    .start = last - cases[i].back,
                                    .interval = cases[i].interval };

        CHECK_INT(rrd_text_archive(&q, last), cases[i].archive);
        q.start = -cases[i].back;
        CHECK_INT(rrd_text_archive(&q, last), cases[i].archive);
    }
}

TEST(a_table_of_two_objects)
{
    struct rrd *host = filled("loadavg", T0, 4, true),
               *vm = filled("cpu0", T0 + 10, 1, false);
    const struct rrd_text_object o[2] = { { "host", HOST, host }, { "vm", GUEST, vm } };
    struct rrd_text_query q = { .has_start = true, .start = T0 + 9, .interval = 5 };
    AUTO(buf_done) struct buf json = BUF_INIT(0), xml = BUF_INIT(0);
    json_t *j;

    rrd_text_updates(&json, o, 2, &q, T0 + 20, RRD_JSON);
    CHECK_STR(buf_str(&json),
              "{\"meta\":{\"start\":1700006410,\"step\":5,\"end\":1700006420,\"rows\":3,"
              "\"columns\":2,\"legend\":[\"AVERAGE:host:" HOST
              ":loadavg\",\"AVERAGE:vm:" GUEST ":cpu0\"]},\"data\":["
              "{\"t\":1700006420,\"values\":[\"4.5\",\"NaN\"]},"
              "{\"t\":1700006415,\"values\":[\"3.5\",\"1.5\"]},"
              "{\"t\":1700006410,\"values\":[\"2.5\",\"NaN\"]}]}");
    j = parsed(&json);
    CHECK_INT(json_integer_value(json_object_get(json_object_get(j, "meta"), "step")), 5);
    json_decref(j);
    rrd_text_updates(&xml, o, 1, &q, T0 + 20, RRD_XML);
    CHECK_STR(buf_str(&xml),
              "<?xml version=\"1.0\"?><xport><meta><start>1700006410</start><step>5</step>"
              "<end>1700006420</end><rows>3</rows><columns>1</columns><legend>"
              "<entry>AVERAGE:host:" HOST ":loadavg</entry></legend></meta><data>"
              "<row><t>1700006420</t><v>4.5</v></row><row><t>1700006415</t><v>3.5</v></row>"
              "<row><t>1700006410</t><v>2.5</v></row></data></xport>");
    rrd_free(host);
    rrd_free(vm);
}

TEST(functions)
{
    struct rrd *host = filled("loadavg", T0, 24, true);
    const struct rrd_text_object o = { "host", HOST, host };
    struct rrd_text_query q = { .interval = 60, .has_cf = true, .cf = RRD_MAX };
    AUTO(buf_done) struct buf text = BUF_INIT(0);

    rrd_text_updates(&text, &o, 1, &q, T0 + 120, RRD_XML);
    CHECK(strstr(buf_str(&text), "<entry>MAX:host:" HOST ":loadavg</entry></legend>"));
    CHECK(strstr(buf_str(&text), "<row><t>1700006520</t><v>24.5</v></row>"));
    buf_clear(&text);
    q.has_cf = false;
    rrd_text_updates(&text, &o, 1, &q, T0 + 120, RRD_XML);
    CHECK(strstr(buf_str(&text), "<row><t>1700006520</t><v>19</v><v>13.5</v><v>24.5</v>"));
    buf_clear(&text);
    rrd_text_updates(&text, &o, 0, &q, T0 + 120, RRD_JSON);
    json_decref(parsed(&text));
    rrd_free(host);
}

TEST(whole)
{
    struct rrd *r = filled("memory", T0, 13, false);
    AUTO(buf_done) struct buf xml = BUF_INIT(0), json = BUF_INIT(0);
    json_t *j, *rra, *rows;
    const char *row;
    size_t n = 0;

    rrd_text_whole(&xml, r, RRD_XML);
    CHECK(str_starts(
        buf_str(&xml),
        "<?xml version=\"1.0\"?><rrd><version>0003</version><step>5</step>"
        "<lastupdate>1700006465</lastupdate><ds><name>memory</name><type>GAUGE</type>"
        "<minimal_heartbeat>300</minimal_heartbeat><min>0</min><max>Infinity</max>"
        "<last_ds>13.5</last_ds><value>0</value><unknown_sec>0</unknown_sec></ds>"
        "<rra><cf>AVERAGE</cf><pdp_per_row>1</pdp_per_row><params><xff>0.5</xff></params>"
        "<cdp_prep><ds><primary_value>0</primary_value>"));
    CHECK(str_ends(buf_str(&xml), "<row><v>NaN</v></row></database></rra></rrd>"));
    CHECK(strstr(buf_str(&xml), "<row><v>13.5</v></row></database>"));
    for (row = buf_str(&xml); (row = strstr(row, "<row>")) != NULL; row++)
        n++;
    CHECK_INT(n, 120 + 120 + 168 + 366);
    rrd_text_whole(&json, r, RRD_JSON);
    j = parsed(&json);
    rra = json_object_get(j, "rra");
    CHECK_INT(json_array_size(rra), 4);
    CHECK_INT(json_array_size(json_object_get(j, "ds")), 1);
    rows = json_object_get(json_array_get(rra, 0), "database");
    CHECK_INT(json_array_size(rows), 120);
    CHECK_STR(json_string_value(json_array_get(json_array_get(rows, 119), 0)), "13.5");
    json_decref(j);
    rrd_free(r);
}
