/* SPDX-License-Identifier: Apache-2.0 */
/* The alarms of all objects. Owned by the sampling thread alone, which calls perfmon_round() after each round; what the
 * objects want is looked at each time, so that a change counts at once. After a restart an ALARM that still stands is
 * known by its message. A cleared ALARM leaves an ALARM_CLEARED, so that people see that there was one. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "api/errors.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "ops/host_ctx.h"
#include "ops/message.h"
#include "ops/perfmon.h"
#include "ops/stats.h"

#define CLEARED_PRIORITY 5

struct monitor {
    char uuid[UUID_TEXT_SIZE];
    enum class_id cls;
    int message_cls;
    char *config;
    perfmon_vec vars;
    bool seen; /* in this round */
};

static struct hash monitors; /* by uuid */

static const struct kind {
    enum class_id cls;
    unsigned other_config, uuid;
    int message_cls;
} kinds[] = {
    { CLASS_VM, F_VM_OTHER_CONFIG, F_VM_UUID, CLS_VM },
    { CLASS_HOST, F_HOST_OTHER_CONFIG, F_HOST_UUID, CLS_HOST },
    { CLASS_SR, F_SR_OTHER_CONFIG, F_SR_UUID, CLS_SR },
};

/* What is wanted */

struct wish {
    const struct kind *kind;
    char uuid[UUID_TEXT_SIZE];
    char *config;
};

typedef VEC(struct wish) wish_vec;

static void add_wishes(const struct kind *k, wish_vec *out) REQUIRES(db_mutex)
{
    static const char *const key = "perfmon";
    const struct class_def *cls = &schema_classes[k->cls];
    const struct field_def *f = &cls->fields[k->other_config];

    for (struct db_iter it = db_first(k->cls); it.rec; db_next(&it)) {
        const void *map = record_field(f, it.rec);
        size_t i = map_find(f->ty, map, &key);
        struct wish w = { .kind = k };

        if (i == SIZE_MAX)
            continue;
        w.config = str_dup(*(const char *const *)map_val(f->ty, map, i));
        memcpy(w.uuid, *(const char *const *)record_field(&cls->fields[k->uuid], it.rec),
               sizeof(w.uuid));
        vec_push(out, w);
    }
}

/* Alarms that stand */

static void adopt(const struct monitor *m, struct perfmon_variable *v, double now_s)
    REQUIRES(db_mutex)
{
    AUTO(free_str) char *mark = str_fmt("<name value=\"%s\"/>", v->name);

    for (struct db_iter it = db_first(CLASS_MESSAGE); it.rec; db_next(&it)) {
        const struct message_rec *msg = it.rec;

        if (msg->cls != m->message_cls || !str_eq(msg->name, "ALARM")
            || !str_eq(msg->obj_uuid, m->uuid) || !strstr(msg->body, mark))
            continue;
        v->raised = true;
        v->message = it.ref;
        v->last_alarm = MAX(
            now_s - (double)(clock_wall_us() - msg->timestamp) / (double)US_PER_SEC, 0.0);
    }
}

static void commit(struct tx *tx) RELEASE(db_mutex)
{
    AUTO(err_done) struct err err = { 0 };

    if (tx_commit(tx, &err) != 0)
        log_warn("an alarm could not be kept: %s", err.code);
}

static char *body_of(const struct perfmon_variable *v, double value)
{
    return str_fmt("value: %f\nconfig:\n%s", value, v->xml);
}

static void raise_alarm(const struct monitor *m, struct perfmon_variable *v, double value)
{
    AUTO(free_str) char *body = body_of(v, value);
    struct tx *tx = daemon_tx("perfmon");

    v->message = message_add(tx, "ALARM", v->priority, m->message_cls, m->uuid, body);
    commit(tx);
    log_info("alarm: %s of %s %s is %f", v->name, schema_classes[m->cls].name, m->uuid,
             value);
}

/* value NaN: nobody watches it any more. */
static void clear_alarm(const struct monitor *m, struct perfmon_variable *v, double value)
{
    AUTO(free_str) char *body = body_of(v, value);
    struct tx *tx = daemon_tx("perfmon");

    if (db_get(CLASS_MESSAGE, &v->message))
        tx_destroy(tx, &v->message);
    if (!isnan(value))
        (void)message_add(tx, "ALARM_CLEARED", CLEARED_PRIORITY, m->message_cls, m->uuid,
                          body);
    commit(tx);
    v->raised = false;
    v->message = REF_NULL;
}

/* Monitors */

static void monitor_free(struct monitor *m)
{
    perfmon_vec_done(&m->vars);
    free(m->config);
    free(m);
}

static struct perfmon_variable *same(struct monitor *m, const struct perfmon_variable *v)
{
    for (size_t i = 0; i < m->vars.n; i++)
        if (str_eq(m->vars.v[i].name, v->name))
            return &m->vars.v[i];
    return NULL;
}

/* Another configuration: what a variable that stays has gone through stays too. */
static void configure(struct monitor *m, const char *config, double now_s)
{
    AUTO(err_done) struct err err = { 0 };
    perfmon_vec vars = { 0 };

    if (perfmon_parse(m->cls, config, &vars, &err) != 0)
        log_warn("perfmon of %s %s: %s", schema_classes[m->cls].name, m->uuid,
                 err.params[1]);
    db_lock();
    for (size_t i = 0; i < vars.n; i++) {
        struct perfmon_variable *old = same(m, &vars.v[i]);

        if (!old) {
            adopt(m, &vars.v[i], now_s);
            continue;
        }
        vars.v[i].raised = old->raised;
        vars.v[i].message = old->message;
        if (old->raised || str_eq(old->xml, vars.v[i].xml))
            vars.v[i].last_alarm = old->last_alarm;
        old->raised = false;
    }
    db_unlock();
    for (size_t i = 0; i < m->vars.n; i++)
        if (m->vars.v[i].raised)
            clear_alarm(m, &m->vars.v[i], NAN);
    perfmon_vec_done(&m->vars);
    m->vars = vars;
    free(m->config);
    m->config = str_dup(config);
}

static void refresh(const struct wish *w, double now_s)
{
    struct monitor *m = hash_get(&monitors, w->uuid, UUID_TEXT_SIZE - 1);

    if (!m) {
        m = mem_alloc(sizeof(*m));
        memcpy(m->uuid, w->uuid, sizeof(m->uuid));
        m->cls = w->kind->cls;
        m->message_cls = w->kind->message_cls;
        IGNORE(hash_put(&monitors, m->uuid, UUID_TEXT_SIZE - 1, m));
    }
    m->seen = true;
    if (!str_eq(m->config, w->config))
        configure(m, w->config, now_s);
}

static void drop_unseen(void)
{
    VEC(struct monitor *) gone = { 0 };
    struct monitor *m;
    size_t pos = 0;

    while ((m = hash_next(&monitors, &pos)) != NULL) {
        if (!m->seen)
            vec_push(&gone, m);
        m->seen = false;
    }
    for (size_t i = 0; i < gone.n; i++) {
        m = gone.v[i];
        for (size_t k = 0; k < m->vars.n; k++)
            if (m->vars.v[k].raised)
                clear_alarm(m, &m->vars.v[k], NAN);
        IGNORE(hash_remove(&monitors, m->uuid, UUID_TEXT_SIZE - 1));
        monitor_free(m);
    }
    vec_done(&gone);
}

/* Values */

struct question {
    const struct perfmon_variable *v;
    double sum, max;
    size_t n;
    double total_kib, free_kib;
};

static void look(const char *uuid UNUSED, const struct rrd_ds_info *ds, void *arg)
{
    struct question *q = arg;

    if (str_eq(ds->name, "memory_total_kib"))
        q->total_kib = ds->last;
    if (str_eq(ds->name, "memory_free_kib"))
        q->free_kib = ds->last;
    if (!q->v->has_regex || !ds->enabled || isnan(ds->last)
        || regexec(&q->v->regex, ds->name, 0, NULL, 0) != 0)
        return;
    q->sum += ds->last;
    q->max = q->n++ ? fmax(q->max, ds->last) : ds->last;
}

static double used_of(const char *path)
{
    struct statvfs fs;

    if (statvfs(path, &fs) != 0 || fs.f_blocks == 0)
        return NAN;
    return 1 - (double)fs.f_bavail / (double)fs.f_blocks;
}

static double value_of(const struct monitor *m, const struct perfmon_variable *v)
{
    struct question q = { .v = v, .total_kib = NAN, .free_kib = NAN };

    if (v->fn == PERFMON_FS)
        return used_of(host_ctx.state_dir);
    if (v->fn == PERFMON_LOG_FS)
        return used_of("/var/log");
    stats_each(m->cls, m->uuid, look, &q);
    if (v->fn == PERFMON_MEM)
        return 1 - q.free_kib / q.total_kib;
    if (q.n == 0)
        return NAN;
    return v->fn == PERFMON_SUM       ? q.sum
           : v->fn == PERFMON_AVERAGE ? q.sum / (double)q.n
                                      : q.max;
}

static void judge(struct monitor *m, double now_s)
{
    for (size_t i = 0; i < m->vars.n; i++) {
        struct perfmon_variable *v = &m->vars.v[i];
        double value = value_of(m, v);

        switch (perfmon_step(v, value, now_s, RRD_STEP)) {
        case PERFMON_RAISE: raise_alarm(m, v, value); break;
        case PERFMON_CLEAR: clear_alarm(m, v, value); break;
        case PERFMON_NOTHING: break;
        }
    }
}

void perfmon_round(double now_s)
{
    wish_vec wishes = { 0 };
    struct monitor *m;
    size_t pos = 0;

    db_lock();
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        add_wishes(&kinds[i], &wishes);
    db_unlock();
    for (size_t i = 0; i < wishes.n; i++) {
        refresh(&wishes.v[i], now_s);
        free(wishes.v[i].config);
    }
    vec_done(&wishes);
    drop_unseen();
    while ((m = hash_next(&monitors, &pos)) != NULL)
        judge(m, now_s);
}

void perfmon_done(void)
{
    struct monitor *m;
    size_t pos = 0;

    while ((m = hash_next(&monitors, &pos)) != NULL)
        monitor_free(m);
    hash_done(&monitors);
}
