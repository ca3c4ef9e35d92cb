/* SPDX-License-Identifier: Apache-2.0 */
/* What is configured, and when an alarm is due. Pure; any thread. Regular expressions come from users: they are bounded so
 * that neither compiling nor matching one costs more than a moment. */
#include "ops/perfmon.h"

#include <expat.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/errors.h"
#include "base/mem.h"
#include "base/parse.h"
#include "model/enc.h"

#define XML_MAX_BYTES 16384
#define VARIABLES_MAX 64
#define CHILDREN_MAX  16
#define REGEX_MAX     128

struct child {
    char *tag, *value;
};

struct reading {
    enum class_id cls;
    perfmon_vec out;
    VEC(struct child) children; /* of the variable being read */
    unsigned depth;
    char *why; /* it is refused */
    XML_Parser parser;
};

static void variable_done(struct perfmon_variable *v)
{
    free(v->name);
    free(v->xml);
    if (v->has_regex)
        regfree(&v->regex);
}

void perfmon_vec_done(perfmon_vec *v)
{
    for (size_t i = 0; i < v->n; i++)
        variable_done(&v->v[i]);
    vec_done(v);
}

static void children_done(struct reading *r)
{
    for (size_t i = 0; i < r->children.n; i++) {
        free(r->children.v[i].tag);
        free(r->children.v[i].value);
    }
    r->children.n = 0;
}

static void refuse(struct reading *r, const char *fmt, ...) PRINTF(2, 3);

static void refuse(struct reading *r, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    if (!r->why)
        r->why = str_vfmt(fmt, ap);
    va_end(ap);
    (void)XML_StopParser(r->parser, XML_FALSE);
}

/* What is left out of a variable of that name, by class (CLASS_NONE: any) and name ("": any); the first that fits. */
static const struct fallback {
    enum class_id cls;
    const char *name, *tag, *value;
} fallbacks[] = {
    { CLASS_VM, "cpu_usage", "rrd_regex", "cpu[0-9]+" },
    { CLASS_VM, "network_usage", "rrd_regex", "vif_[0-9]+_[rt]x" },
    { CLASS_VM, "disk_usage", "rrd_regex", "vbd_(xvd|hd)[a-z]+_(read|write)" },
    { CLASS_HOST, "cpu_usage", "rrd_regex", "cpu[0-9]+" },
    { CLASS_HOST, "network_usage", "rrd_regex", "pif_aggr_[rt]x" },
    { CLASS_HOST, "memory_free_kib", "rrd_regex", "memory_free_kib" },
    { CLASS_HOST, "memory_total_kib", "rrd_regex", "memory_total_kib" },
    { CLASS_HOST, "fs_usage", "rrd_regex", "" },
    { CLASS_HOST, "log_fs_usage", "rrd_regex", "" },
    { CLASS_HOST, "mem_usage", "rrd_regex", "" },
    { CLASS_SR, "physical_utilisation", "rrd_regex", "physical_utilisation" },
    { CLASS_SR, "sr_io_throughput_total_per_host", "rrd_regex", "io_throughput_total" },
    { CLASS_NONE, "cpu_usage", "consolidation_fn", "average" },
    { CLASS_HOST, "fs_usage", "consolidation_fn", "get_percent_fs_usage" },
    { CLASS_HOST, "log_fs_usage", "consolidation_fn", "get_percent_log_fs_usage" },
    { CLASS_HOST, "mem_usage", "consolidation_fn", "get_percent_mem_usage" },
    { CLASS_NONE, "", "consolidation_fn", "sum" },
    { CLASS_HOST, "fs_usage", "alarm_trigger_level", "0.9" },
    { CLASS_HOST, "log_fs_usage", "alarm_trigger_level", "0.9" },
    { CLASS_HOST, "mem_usage", "alarm_trigger_level", "0.95" },
    { CLASS_HOST, "fs_usage", "alarm_auto_inhibit_period", "604800" },
    { CLASS_HOST, "log_fs_usage", "alarm_auto_inhibit_period", "604800" },
    { CLASS_NONE, "", "alarm_auto_inhibit_period", "3600" },
    { CLASS_NONE, "", "alarm_trigger_period", "60" },
    { CLASS_NONE, "memory_free_kib", "alarm_trigger_sense", "low" },
    { CLASS_NONE, "", "alarm_trigger_sense", "high" },
    { CLASS_NONE, "", "alarm_priority", "3" },
};

static const char *given(const struct reading *r, const char *tag)
{
    for (size_t i = 0; i < r->children.n; i++)
        if (str_eq(r->children.v[i].tag, tag))
            return r->children.v[i].value;
    return NULL;
}

/* "": neither given nor known. */
static const char *setting(struct reading *r, const char *name, const char *tag)
{
    const char *value = given(r, tag);

    for (size_t i = 0; !value && i < ARRAY_SIZE(fallbacks); i++) {
        const struct fallback *f = &fallbacks[i];

        if (str_eq(f->tag, tag) && (f->cls == CLASS_NONE || f->cls == r->cls)
            && (!*f->name || str_eq(f->name, name)))
            value = f->value;
    }
    if (!value)
        refuse(r, "variable %s: %s must be given", name, tag);
    return value ? value : "";
}

static double number(struct reading *r, const char *name, const char *tag, double min,
                     double max)
{
    const char *text = setting(r, name, tag);
    double v = NAN;

    if (!parse_double(text, &v) || !(v >= min && v <= max)) {
        refuse(r, "variable %s: %s is no such number: %.40s", name, tag, text);
        return 0;
    }
    return v;
}

/* Counted repeats and references back are what makes an expression expensive. */
static void take_regex(struct reading *r, struct perfmon_variable *v, const char *text)
{
    AUTO(free_str) char *whole = str_fmt("^(%s)$", text);

    if (!*text)
        return;
    if (strlen(text) > REGEX_MAX || strpbrk(text, "{\\")
        || regcomp(&v->regex, whole, REG_EXTENDED | REG_NOSUB) != 0)
        refuse(r, "variable %s: rrd_regex is none that can be used here: %.128s", v->name,
               text);
    else
        v->has_regex = true;
}

static void take_fn(struct reading *r, struct perfmon_variable *v, const char *text)
{
    static const char *const names[] = {
        [PERFMON_SUM] = "sum",
        [PERFMON_AVERAGE] = "average",
        [PERFMON_MAX] = "max",
        [PERFMON_FS] = "get_percent_fs_usage",
        [PERFMON_LOG_FS] = "get_percent_log_fs_usage",
        [PERFMON_MEM] = "get_percent_mem_usage",
    };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if ((i < PERFMON_FS || r->cls == CLASS_HOST) && str_eq(text, names[i])) {
            v->fn = (enum perfmon_fn)i;
            return;
        }
    }
    refuse(r, "variable %s: consolidation_fn %.40s is not known", v->name, text);
}

/* As a pretty-printer of Python writes it, which clients parse. */
static char *pretty(const struct reading *r)
{
    struct buf out = BUF_INIT(0);

    buf_add_str(&out, "<variable>\n");
    for (size_t i = 0; i < r->children.n; i++) {
        AUTO(buf_done) struct buf value = BUF_INIT(0);

        enc_xml_text(&value, r->children.v[i].value);
        buf_addf(&out, "\t<%s value=\"", r->children.v[i].tag);
        for (const char *p = buf_str(&value); *p; p++) {
            if (*p == '"')
                buf_add_str(&out, "&quot;");
            else
                buf_add_char(&out, *p);
        }
        buf_add_str(&out, "\"/>\n");
    }
    buf_add_str(&out, "</variable>\n");
    return buf_take(&out);
}

static void take_variable(struct reading *r)
{
    struct perfmon_variable v = { .last_alarm = -1 };
    const char *name = given(r, "name");

    if (!name || !*name) {
        refuse(r, "a variable without a name");
        return;
    }
    v.name = str_dup(name);
    v.xml = pretty(r);
    v.level = number(r, name, "alarm_trigger_level", -INFINITY, INFINITY);
    v.period_s = number(r, name, "alarm_trigger_period", 0, 1e9);
    v.inhibit_s = number(r, name, "alarm_auto_inhibit_period", 0, 1e9);
    v.priority = (int64_t)number(r, name, "alarm_priority", 0, 100);
    v.high = !str_eq(setting(r, name, "alarm_trigger_sense"), "low");
    take_fn(r, &v, setting(r, name, "consolidation_fn"));
    take_regex(r, &v, setting(r, name, "rrd_regex"));
    for (size_t i = 0; i < r->out.n; i++)
        if (str_eq(r->out.v[i].name, name))
            refuse(r, "variable %s twice", name);
    if (r->out.n >= VARIABLES_MAX)
        refuse(r, "more than %d variables", VARIABLES_MAX);
    vec_push(&r->out, v);
}

static void XMLCALL on_start(void *arg, const char *tag, const char **attrs)
{
    struct reading *r = arg;
    struct child c = { 0 };

    r->depth++;
    if ((r->depth == 1 && !str_eq(tag, "config"))
        || (r->depth == 2 && !str_eq(tag, "variable")) || r->depth > 3)
        refuse(r, "an element where none can be: %.40s", tag);
    if (r->depth != 3 || r->why)
        return;
    if (r->children.n >= CHILDREN_MAX) {
        refuse(r, "a variable with more than %d settings", CHILDREN_MAX);
        return;
    }
    for (; attrs[0]; attrs += 2)
        if (str_eq(attrs[0], "value") && !c.value)
            c.value = str_dup(attrs[1]);
    c.tag = str_dup(tag);
    if (!c.value)
        c.value = str_dup("");
    vec_push(&r->children, c);
}

static void XMLCALL on_end(void *arg, const char *tag UNUSED)
{
    struct reading *r = arg;

    if (r->depth-- != 2 || r->why)
        return;
    take_variable(r);
    children_done(r);
}

static void XMLCALL on_doctype(void *arg, const char *name UNUSED, const char *sys UNUSED,
                               const char *pub UNUSED, int internal UNUSED)
{
    refuse(arg, "a document type declaration");
}

int perfmon_parse(enum class_id cls, const char *xml, perfmon_vec *out, struct err *err)
{
    struct reading r = { .cls = cls, .parser = XML_ParserCreate("UTF-8") };
    int rc = 0;

    if (!r.parser)
        abort();
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, on_start, on_end);
    XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);
    if (strlen(xml) > XML_MAX_BYTES) {
        rc = err_set(err, ERR_INVALID_VALUE, "perfmon", "longer than 16 KiB");
    } else if (XML_Parse(r.parser, xml, (int)strlen(xml), 1) != XML_STATUS_OK || r.why) {
        rc = err_set(err, ERR_INVALID_VALUE, "perfmon",
                     r.why ? r.why : XML_ErrorString(XML_GetErrorCode(r.parser)));
    }
    XML_ParserFree(r.parser);
    children_done(&r);
    vec_done(&r.children);
    free(r.why);
    if (rc == 0)
        *out = r.out;
    else
        perfmon_vec_done(&r.out);
    return rc;
}

enum perfmon_event perfmon_step(struct perfmon_variable *v, double value, double now_s,
                                double step_s)
{
    bool bad = v->high ? value > v->level : value < v->level;

    if (isnan(value))
        return PERFMON_NOTHING; /* nothing was measured: neither bad nor good */
    v->bad_s = bad ? v->bad_s + step_s : 0;
    v->good_s = bad ? 0 : v->good_s + step_s;
    if (!v->raised && bad && v->bad_s >= v->period_s
        && (v->last_alarm < 0 || now_s - v->last_alarm >= v->inhibit_s)) {
        v->raised = true;
        v->last_alarm = now_s;
        return PERFMON_RAISE;
    }
    if (v->raised && !bad && v->good_s >= v->period_s) {
        v->raised = false;
        return PERFMON_CLEAR;
    }
    return PERFMON_NOTHING;
}
