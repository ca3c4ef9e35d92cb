/* SPDX-License-Identifier: Apache-2.0 */
/* Counters that only grow. They are atomic, each for itself: a reader may see a call counted in one and not yet in another,
 * which a scraper's next look puts right. */
#include "seraid/calls.h"

#include <stdatomic.h>

enum kind { READ, WRITE, OPERATION, LOGIN, WAIT, KINDS };

static const char *const kind_names[KINDS] = { "read", "write", "operation", "login",
                                               "wait" };

static const struct {
    int64_t us;
    const char *label;
} bounds[] = {
    { 100, "0.0001" },  { 250, "0.00025" }, { 1000, "0.001" },    { 2500, "0.0025" },
    { 10000, "0.01" },  { 25000, "0.025" }, { 100000, "0.1" },    { 250000, "0.25" },
    { 1000000, "1.0" }, { 5000000, "5.0" }, { 30000000, "30.0" },
};

static struct {
    _Atomic uint64_t within[ARRAY_SIZE(bounds) + 1];
    _Atomic uint64_t sum_us, failed;
} counters[KINDS];

/* Calls that wait for something to happen would spoil everybody's latencies. */
static enum kind kind_of(const struct call_def *def)
{
    if (def->id == CALL_EVENT_FROM || def->id == CALL_EVENT_NEXT)
        return WAIT;
    if (def->no_session)
        return LOGIN;
    if (def->kind != CALL_KIND_EXPLICIT)
        return def->kind <= CALL_KIND_GET_FIELD ? READ : WRITE;
    return def->roles & ROLE_READ_ONLY ? READ : OPERATION;
}

void calls_count(const struct call_def *def, int64_t us, bool failed)
{
    enum kind k = kind_of(def);
    size_t i = 0;

    while (i < ARRAY_SIZE(bounds) && us > bounds[i].us)
        i++;
    atomic_fetch_add_explicit(&counters[k].within[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counters[k].sum_us, us > 0 ? (uint64_t)us : 0,
                              memory_order_relaxed);
    if (failed)
        atomic_fetch_add_explicit(&counters[k].failed, 1, memory_order_relaxed);
}

static uint64_t load(_Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void write_kind(struct buf *out, enum kind k)
{
    static const char name[] = "serai_api_call_duration_seconds";
    uint64_t n = 0, us = load(&counters[k].sum_us);

    for (size_t i = 0; i <= ARRAY_SIZE(bounds); i++) {
        n += load(&counters[k].within[i]);
        buf_addf(out, "%s_bucket{kind=\"%s\",le=\"%s\"} %llu\n", name, kind_names[k],
                 i < ARRAY_SIZE(bounds) ? bounds[i].label : "+Inf", (unsigned long long)n);
    }
    buf_addf(out, "%s_count{kind=\"%s\"} %llu\n", name, kind_names[k],
             (unsigned long long)n);
    buf_addf(out, "%s_sum{kind=\"%s\"} %llu.%06llu\n", name, kind_names[k],
             (unsigned long long)(us / 1000000), (unsigned long long)(us % 1000000));
}

void calls_write(struct buf *out)
{
    buf_add_str(out, "# TYPE serai_api_call_duration_seconds histogram\n"
                     "# UNIT serai_api_call_duration_seconds seconds\n"
                     "# HELP serai_api_call_duration_seconds Time that API calls take.\n");
    for (enum kind k = 0; k < KINDS; k++)
        write_kind(out, k);
    buf_add_str(out,
                "# TYPE serai_api_call_failures counter\n"
                "# HELP serai_api_call_failures API calls that ended with an error.\n");
    for (enum kind k = 0; k < KINDS; k++)
        buf_addf(out, "serai_api_call_failures_total{kind=\"%s\"} %llu\n", kind_names[k],
                 (unsigned long long)load(&counters[k].failed));
}
