/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshot schedules as records: which keys a schedule may have at which frequency, and with what values. Whoever runs
 * schedules may rely on what stands here. A schedule keeps exactly the keys of its frequency; missing ones get the first
 * value that is possible. Any thread. */
#include <string.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/mem.h"
#include "base/parse.h"
#include "ops/hooks.h"

#define RETAINED_MAX 10

static const char *const minutes[] = { "0", "15", "30", "45", NULL };
static const char *const days[] = { "Monday", "Tuesday",  "Wednesday", "Thursday",
                                    "Friday", "Saturday", "Sunday",    NULL };

/* The keys, in the order of the frequencies that need them first: hourly min, daily also hour, weekly also days. */
static const struct schedule_key {
    const char *name, *first;
    const char *const *values; /* NULL: 0 to 23 */
    bool several;              /* parted by commas */
    int needed_from;
} schedule_keys[] = {
    { "min", "0", minutes, false, VMSS_FREQUENCY_HOURLY },
    { "hour", "0", NULL, false, VMSS_FREQUENCY_DAILY },
    { "days", "Monday", days, true, VMSS_FREQUENCY_WEEKLY },
};

static int bad_value(const char *key, const char *value, struct err *err)
{
    AUTO(free_str) char *field = str_fmt("schedule:%s", key);
    return err_set(err, ERR_INVALID_VALUE, field, value);
}

static const char *find_value(const char *const *values, const char *text, size_t len)
{
    for (; *values; values++)
        if (strlen(*values) == len && strncasecmp(*values, text, len) == 0)
            return *values;
    return NULL;
}

/* The value as it is kept: names in their own case, each once. Given; NULL with INVALID_VALUE. */
static char *normal_value(const struct schedule_key *k, const char *value, struct err *err)
{
    int64_t hour;
    if (!k->values) {
        if (parse_range(value, 0, 23, &hour))
            return str_dup(value);
        (void)bad_value(k->name, value, err);
        return NULL;
    }
    unsigned seen = 0;
    AUTO(buf_done) struct buf out = BUF_INIT(1024);
    for (const char *p = value;; p++) {
        size_t n = k->several ? strcspn(p, ",") : strlen(p);
        const char *found = find_value(k->values, p, n);
        unsigned bit = 0;
        for (size_t i = 0; found && found != k->values[i]; i++)
            bit = (unsigned)i + 1;
        if (!found || (seen & 1u << bit)) {
            (void)bad_value(k->name, value, err);
            return NULL;
        }
        seen |= 1u << bit;
        buf_addf(&out, "%s%s", out.len ? "," : "", found);
        p += n;
        if (!*p)
            break;
    }
    return str_dup(buf_str(&out));
}

/* Put one checked value into a schedule. frequency -1: the keys of all frequencies are known. */
static int schedule_put(struct map_string_string *map, const char *key, const char *value,
                        int frequency, struct err *err)
{
    const struct ty *ty = schema_classes[CLASS_VMSS].fields[F_VMSS_SCHEDULE].ty;
    for (size_t i = 0; i < ARRAY_SIZE(schedule_keys); i++) {
        const struct schedule_key *k = &schedule_keys[i];
        if (!str_eq(k->name, key) || (frequency >= 0 && k->needed_from > frequency))
            continue;
        AUTO(free_str) char *kept = normal_value(k, value, err);
        if (!kept)
            return -1;
        const char *val = kept;
        (void)map_put(ty, map, &key, &val);
        return 0;
    }
    return bad_value(key, value, err);
}

/* Leave out the keys that the frequency does not use and fill in those that it lacks. */
static void schedule_complete(struct map_string_string *map, int frequency)
{
    const struct ty *ty = schema_classes[CLASS_VMSS].fields[F_VMSS_SCHEDULE].ty;
    for (size_t i = 0; i < ARRAY_SIZE(schedule_keys); i++) {
        const struct schedule_key *k = &schedule_keys[i];
        if (k->needed_from > frequency)
            (void)map_remove(ty, map, &k->name);
        else if (map_find(ty, map, &k->name) == SIZE_MAX)
            (void)map_put(ty, map, &k->name, &k->first);
    }
}

static int check_retained(int64_t value, struct err *err)
{
    if (value >= 1 && value <= RETAINED_MAX)
        return 0;
    AUTO(free_str) char *text = str_fmt("%lld", (long long)value);
    return err_set(err, ERR_INVALID_VALUE, "retained_snapshots", text);
}

int vmss_create(struct call *call, void *record, struct ref *result, struct err *err)
{
    struct vmss_rec *r = record;
    const struct class_def *cls = &schema_classes[CLASS_VMSS];
    const struct ty *ty = cls->fields[F_VMSS_SCHEDULE].ty;
    struct map_string_string schedule = { 0 };
    int rc = check_retained(r->retained_snapshots, err);
    for (size_t i = 0; rc == 0 && i < r->schedule.n; i++)
        rc = schedule_put(&schedule, r->schedule.v[i].key, r->schedule.v[i].val,
                          r->frequency, err);
    value_done(ty, &r->schedule);
    r->schedule = schedule;
    if (rc) {
        record_free(cls, r);
        return -1;
    }
    schedule_complete(&r->schedule, r->frequency);
    str_put(&r->uuid, "");
    r->last_run_time = 0;
    struct tx *tx = call_tx(call);
    *result = tx_create(tx, CLASS_VMSS, r, NULL);
    return tx_commit(tx, err);
}

int vmss_destroy(struct call *call, const struct ref *self, struct err *err)
{
    struct tx *tx = call_tx(call);
    const struct vmss_rec *r = call_get(CLASS_VMSS, self, err);
    if (!r || r->VMs.n) {
        tx_abort(tx);
        return r ? err_set(err, ERR_VMSS_HAS_VM) : -1;
    }
    tx_destroy(tx, self);
    return tx_commit(tx, err);
}

/* Change the schedule: the pairs go over what is there; complete: for which frequency, -1 leaves it. */
static int change(struct call *call, const struct ref *self,
                  const struct map_string_string *pairs, int frequency, struct err *err)
{
    const struct ty *ty = schema_classes[CLASS_VMSS].fields[F_VMSS_SCHEDULE].ty;
    struct map_string_string schedule = { 0 };
    struct tx *tx = call_tx(call);
    const struct vmss_rec *r = call_get(CLASS_VMSS, self, err);
    int rc = r ? 0 : -1;
    if (r)
        value_copy(ty, &schedule, &r->schedule);
    for (size_t i = 0; rc == 0 && pairs && i < pairs->n; i++)
        rc = schedule_put(&schedule, pairs->v[i].key, pairs->v[i].val, -1, err);
    if (rc == 0 && frequency >= 0) {
        schedule_complete(&schedule, frequency);
        tx_set_enum(tx, self, CLASS_VMSS, F_VMSS_FREQUENCY, frequency);
    }
    if (rc == 0) {
        tx_set(tx, self, CLASS_VMSS, F_VMSS_SCHEDULE, &schedule);
        rc = tx_commit(tx, err);
    } else {
        tx_abort(tx);
    }
    value_done(ty, &schedule);
    return rc;
}

int op_vmss_set_frequency(struct call *call, const struct vmss_set_frequency_args *a,
                          struct err *err)
{
    return change(call, &a->self, NULL, a->value, err);
}

int op_vmss_set_schedule(struct call *call, const struct vmss_set_schedule_args *a,
                         struct err *err)
{
    return change(call, &a->self, &a->value, -1, err);
}

int op_vmss_add_to_schedule(struct call *call, const struct vmss_add_to_schedule_args *a,
                            struct err *err)
{
    const struct ty *ty = schema_classes[CLASS_VMSS].fields[F_VMSS_SCHEDULE].ty;
    char text[REF_TEXT_SIZE];
    db_lock();
    const struct vmss_rec *r = call_get(CLASS_VMSS, &a->self, err);
    bool there = r && map_find(ty, &r->schedule, &a->key) != SIZE_MAX;
    db_unlock();
    ref_text(&a->self, text);
    if (!r)
        return -1;
    if (there)
        return err_set(err, ERR_MAP_DUPLICATE_KEY, "VMSS", "schedule", text, a->key);
    struct map_string_string_entry pair = { .key = a->key, .val = a->value };
    return change(call, &a->self, &(struct map_string_string){ .v = &pair, .n = 1 }, -1,
                  err);
}

int op_vmss_remove_from_schedule(struct call *call,
                                 const struct vmss_remove_from_schedule_args *a,
                                 struct err *err)
{
    struct tx *tx = call_tx(call);
    if (!call_get(CLASS_VMSS, &a->self, err)) {
        tx_abort(tx);
        return -1;
    }
    tx_map_remove(tx, &a->self, CLASS_VMSS, F_VMSS_SCHEDULE, a->key);
    return tx_commit(tx, err);
}

int op_vmss_set_retained_snapshots(struct call *call,
                                   const struct vmss_set_retained_snapshots_args *a,
                                   struct err *err)
{
    if (check_retained(a->value, err))
        return -1;
    return call_set(call, CLASS_VMSS, &a->self, F_VMSS_RETAINED_SNAPSHOTS, &a->value, err);
}

int op_vmss_set_last_run_time(struct call *call,
                              const struct vmss_set_last_run_time_args *a, struct err *err)
{
    return call_set(call, CLASS_VMSS, &a->self, F_VMSS_LAST_RUN_TIME, &a->value, err);
}

int op_vmss_set_type(struct call *call, const struct vmss_set_type_args *a, struct err *err)
{
    struct tx *tx = call_tx(call);
    if (!call_get(CLASS_VMSS, &a->self, err)) {
        tx_abort(tx);
        return -1;
    }
    tx_set_enum(tx, &a->self, CLASS_VMSS, F_VMSS_TYPE, a->value);
    return tx_commit(tx, err);
}
