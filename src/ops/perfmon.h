/* SPDX-License-Identifier: Apache-2.0 */
/* other_config:perfmon of VMs, hosts and storage repositories: when measured values are bad for long enough, an ALARM message
 * is raised; when they have been good for as long, it is cleared. The configuration is XenServer's:
 *   <config><variable><name value="cpu_usage"/><alarm_trigger_level value="0.9"/> ... </variable> ... </config>
 * with alarm_trigger_sense (high, low), alarm_trigger_period (60 s), alarm_auto_inhibit_period (3600 s; 604800 for file
 * systems), alarm_priority (3), rrd_regex and consolidation_fn (sum, average, max, get_percent_fs_usage,
 * get_percent_log_fs_usage, get_percent_mem_usage), which have defaults for the usual names. */
#ifndef OPS_PERFMON_H
#define OPS_PERFMON_H

#include <regex.h>

#include "base/vec.h"
#include "model/schema.h"

enum perfmon_fn {
    PERFMON_SUM,
    PERFMON_AVERAGE,
    PERFMON_MAX,
    PERFMON_FS,
    PERFMON_LOG_FS,
    PERFMON_MEM
};

struct perfmon_variable {
    char *name, *xml; /* as the messages show it */
    regex_t regex;
    bool has_regex;
    enum perfmon_fn fn;
    double level, period_s, inhibit_s;
    bool high;
    int64_t priority;

    /* What happened so far. */
    double bad_s, good_s; /* without a break */
    double last_alarm;    /* the time of it; negative: none yet */
    bool raised;
    struct ref message;
};

typedef VEC(struct perfmon_variable) perfmon_vec;

/* Pure. cls: VM, host or SR. Errors: INVALID_VALUE("perfmon", why). */
int perfmon_parse(enum class_id cls, const char *xml, perfmon_vec *out, struct err *err)
    MUST_CHECK;
void perfmon_vec_done(perfmon_vec *v);

enum perfmon_event { PERFMON_NOTHING, PERFMON_RAISE, PERFMON_CLEAR };

/* Pure. A value at time now_s, which holds for step_s. */
enum perfmon_event perfmon_step(struct perfmon_variable *v, double value, double now_s,
                                double step_s);

/* perfmon_watch.c: all objects, after a round of measurements. On the sampling thread, no lock held. */
void perfmon_round(double now_s);
void perfmon_done(void); /* after the last round */
#endif
