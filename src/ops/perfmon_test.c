/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/perfmon.h"

#include <math.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/test.h"

#define VAR(inside) "<config><variable>" inside "</variable></config>"
#define CPU         "<name value=\"cpu_usage\"/><alarm_trigger_level value=\"0.5\"/>"

static int parse(enum class_id cls, const char *xml, perfmon_vec *out)
{
    AUTO(err_done) struct err err = { 0 };
    int rc = perfmon_parse(cls, xml, out, &err);

    if (rc != 0) {
        CHECK_STR(err.code, "INVALID_VALUE");
        CHECK_STR(err.params[0], "perfmon");
        CHECK(*err.params[1]);
    }
    return rc;
}

TEST(defaults)
{
    perfmon_vec v = { 0 };

    CHECK(parse(CLASS_VM, VAR(CPU), &v) == 0);
    CHECK_INT(v.n, 1);
    CHECK_INT(v.v[0].fn, PERFMON_AVERAGE);
    CHECK_INT(v.v[0].priority, 3);
    CHECK(v.v[0].high);
    CHECK_INT(v.v[0].period_s, 60);
    CHECK_INT(v.v[0].inhibit_s, 3600);
    CHECK(regexec(&v.v[0].regex, "cpu12", 0, NULL, 0) == 0);
    CHECK(regexec(&v.v[0].regex, "xcpu1", 0, NULL, 0) != 0);
    CHECK_STR(v.v[0].xml, "<variable>\n\t<name value=\"cpu_usage\"/>\n"
                          "\t<alarm_trigger_level value=\"0.5\"/>\n</variable>\n");
    perfmon_vec_done(&v);
    CHECK(parse(CLASS_HOST, VAR("<name value=\"fs_usage\"/>"), &v) == 0);
    CHECK_INT(v.v[0].fn, PERFMON_FS);
    CHECK_INT(v.v[0].inhibit_s, 604800);
    perfmon_vec_done(&v);
}

TEST(refused)
{
    static const char *const bad[] = {
        "",
        "<config>",
        "<other/>",
        "<config><other/></config>",
        VAR(""),
        VAR("<name value=\"cpu_usage\"/>"),                             /* no level */
        VAR("<name value=\"own\"/><alarm_trigger_level value=\"1\"/>"), /* no regex */
        VAR("<name value=\"cpu_usage\"/><alarm_trigger_level value=\"high\"/>"),
        VAR(CPU "<alarm_trigger_level value=\"nan\"/><alarm_trigger_period value=\"-1\"/>"),
        VAR(CPU "<alarm_trigger_period value=\"-1\"/>"),
        VAR(CPU "<rrd_regex value=\"(\"/>"),
        VAR(CPU "<rrd_regex value=\"((a{1,255}){1,255}){1,255}\"/>"),
        VAR(CPU "<rrd_regex value=\"(a*)*\\1\"/>"),
        VAR(CPU "<consolidation_fn value=\"eval\"/>"),
        VAR(CPU "<consolidation_fn value=\"get_percent_fs_usage\"/>"), /* the host's */
        VAR(CPU "<a><b/></a>"),
        "<!DOCTYPE c [<!ENTITY x 'y'>]><config/>",
        "<config><variable>" CPU "</variable><variable>" CPU "</variable></config>",
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        perfmon_vec v = { 0 };

        if (parse(CLASS_VM, bad[i], &v) == 0)
            test_fail(__FILE__, __LINE__, "accepted: %s", bad[i]);
    }
}

/* Values a step of 5 s apart from time 0 on: 'x' bad, '.' good, '?' unknown; below them what must come of each. */
TEST(steps)
{
    static const struct {
        double period, inhibit;
        const char *values, *events;
    } rows[] = {
        { 15, 0, "xxx", "  R" },
        { 15, 0, "xx.xxx", "     R" },       /* a break begins it anew */
        { 15, 0, "xx?xx", "   R " },         /* what is unknown is none */
        { 15, 0, "xxxxxx...", "  R     C" }, /* raised once, cleared once */
        { 15, 0, "xxx..x...", "  R     C" }, /* good for as long before it is clear */
        { 15, 0, "xxx...xxx", "  R  C  R" },
        { 15, 60, "xxx...xxxxxxxxxxxx",
          "  R  C        R   " }, /* silent until 60 s later */
        { 0, 0, "x.x", "RCR" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct perfmon_variable v = { .high = true,
                                      .level = 1,
                                      .last_alarm = -1,
                                      .period_s = rows[i].period,
                                      .inhibit_s = rows[i].inhibit };

        for (size_t k = 0; rows[i].values[k]; k++) {
            char c = rows[i].values[k];
            double value = c == 'x' ? 2 : c == '.' ? 1 : NAN;
            enum perfmon_event e = perfmon_step(&v, value, (double)k * 5, 5);
            char got = e == PERFMON_RAISE ? 'R' : e == PERFMON_CLEAR ? 'C' : ' ';

            if (got != rows[i].events[k])
                test_fail(__FILE__, __LINE__, "row %zu, step %zu: '%c'", i, k, got);
        }
    }
}

TEST(low)
{
    struct perfmon_variable v = { .level = 1, .last_alarm = -1 };

    CHECK_INT(perfmon_step(&v, 1, 0, 5), PERFMON_NOTHING);
    CHECK_INT(perfmon_step(&v, 0.9, 5, 5), PERFMON_RAISE);
}
