/* SPDX-License-Identifier: Apache-2.0 */
/* Consolidation. A sample speaks for the time since the one before it. That time is cut at the multiples of RRD_STEP
 * (seconds since 1970): each step gets the mean of what is known of it, and is handed on to all archives; an archive writes a
 * row when a step ends at a multiple of its own length. All rows of all archives thus end at the same moments in
 * every store, which is what makes rows of several objects one table. */
#include "model/rrd.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/rrd_int.h"

#define FIRST_ROWS 16

const struct rrd_span rrd_spans[RRD_ARCHIVES] = {
    { 1, 120 }, { 12, 120 }, { 720, 168 }, { 17280, 366 }
};

struct rrd *rrd_new(bool extremes)
{
    struct rrd *r = mem_alloc(sizeof(*r));

    r->extremes = extremes;
    for (size_t i = 0; i < RRD_ARCHIVES; i++)
        r->archives[i].n_cf = extremes && i > 0 ? RRD_CF_COUNT : 1;
    return r;
}

void rrd_free(struct rrd *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < RRD_ARCHIVES; i++)
        free(r->archives[i].v);
    free(r->ds);
    free(r);
}

/* Archives */

void rrd_reserve_(struct rrd *r, struct rrd_archive *a, uint32_t cap, size_t n_ds)
{
    size_t columns = n_ds * a->n_cf, had = r->n_ds * a->n_cf;
    float *v = mem_array(MAX(columns * cap, (size_t)1), sizeof(*v));

    for (size_t i = 0; i < columns * cap; i++)
        v[i] = NAN;
    for (size_t c = 0; c < MIN(columns, had) && a->v; c++)
        memcpy(v + c * cap, a->v + c * a->cap, a->n * sizeof(*v));
    free(a->v);
    a->v = v;
    a->cap = cap;
}

static struct rrd_prep empty_prep(void)
{
    return (struct rrd_prep){ .min = NAN, .max = NAN };
}

static void clear_ds(struct rrd_ds *ds)
{
    ds->input = ds->last = NAN;
    ds->pdp = ds->pdp_known_s = 0;
    for (size_t i = 0; i < RRD_ARCHIVES; i++)
        ds->prep[i] = empty_prep();
}

struct rrd_ds *rrd_add_ds_(struct rrd *r, const char *name)
{
    struct rrd_ds *ds;

    if (r->n_ds >= RRD_DS_MAX)
        return NULL;
    for (size_t i = 0; i < RRD_ARCHIVES; i++)
        if (r->archives[i].n > 0)
            rrd_reserve_(r, &r->archives[i], r->archives[i].cap, r->n_ds + 1);
    r->ds = mem_resize(r->ds, r->n_ds + 1, sizeof(*r->ds));
    ds = &r->ds[r->n_ds++];
    memset(ds, 0, sizeof(*ds));
    memcpy(ds->name, name, strnlen(name, sizeof(ds->name) - 1));
    ds->enabled = true;
    clear_ds(ds);
    return ds;
}

/* The slot of a new newest row, all unknown. */
static void push_row(struct rrd *r, size_t archive)
{
    struct rrd_archive *a = &r->archives[archive];
    uint32_t rows = rrd_spans[archive].rows;

    if (a->n == rows) {
        a->head = (a->head + 1) % rows;
    } else {
        if (a->n == a->cap || !a->v)
            rrd_reserve_(r, a, MIN(MAX(a->cap * 2, (uint32_t)FIRST_ROWS), rows), r->n_ds);
        a->head = a->n++;
    }
    for (size_t c = 0; c < r->n_ds * a->n_cf; c++)
        a->v[c * a->cap + a->head] = NAN;
}

/* The row under way is complete. */
static void write_row(struct rrd *r, size_t archive)
{
    struct rrd_archive *a = &r->archives[archive];

    push_row(r, archive);
    for (size_t d = 0; d < r->n_ds; d++) {
        struct rrd_prep *p = &r->ds[d].prep[archive];
        float *v = a->v + d * a->n_cf * a->cap + a->head;

        if (p->known > 0 && p->known * 2 >= rrd_spans[archive].steps) {
            v[0] = (float)(p->sum / p->known);
            if (a->n_cf > 1) {
                v[(size_t)RRD_MIN * a->cap] = p->min;
                v[(size_t)RRD_MAX * a->cap] = p->max;
            }
        }
        *p = empty_prep();
    }
}

/* Rows of steps of which nothing is known: those that end in (from, to]. The first may hold what was known before. */
static void pass_unknown(struct rrd *r, int64_t from, int64_t to)
{
    for (size_t i = 0; i < RRD_ARCHIVES; i++) {
        int64_t ends = to / rrd_spans[i].steps - from / rrd_spans[i].steps;

        for (int64_t k = 0; k < MIN(ends, (int64_t)rrd_spans[i].rows + 1); k++)
            write_row(r, i);
    }
}

/* Step number `step` (it ends at step * RRD_STEP) is complete: what each data source has of it. */
static void end_step(struct rrd *r, int64_t step)
{
    for (size_t d = 0; d < r->n_ds; d++) {
        struct rrd_ds *ds = &r->ds[d];
        double v = ds->pdp_known_s * 2 >= RRD_STEP ? ds->pdp / ds->pdp_known_s : NAN;

        ds->pdp = ds->pdp_known_s = 0;
        for (size_t i = 0; i < RRD_ARCHIVES && !isnan(v); i++) {
            struct rrd_prep *p = &ds->prep[i];

            p->sum += v;
            p->min = (float)fmin(p->min, v); /* of NaN and v: v */
            p->max = (float)fmax(p->max, v);
            p->known++;
        }
    }
    for (size_t i = 0; i < RRD_ARCHIVES; i++)
        if (step % rrd_spans[i].steps == 0)
            write_row(r, i);
}

/* Samples */

static double limited(double v, double min, double max)
{
    return v < min ? min : v > max ? max : v;
}

static double rate(const struct rrd_ds *ds, const struct rrd_sample *s, double seconds)
{
    double growth;

    if (s->type == RRD_GAUGE)
        return isfinite(s->value) ? limited(s->value, s->min, s->max) : NAN;
    growth = s->value - ds->input;
    if (!isfinite(growth) || growth < 0 || !(seconds > 0))
        return NAN;
    return limited(growth / seconds, s->min, s->max);
}

static struct rrd_ds *ds_of(struct rrd *r, size_t guess, const char *name)
{
    size_t i = guess < r->n_ds && str_eq(r->ds[guess].name, name) ? guess
                                                                  : rrd_find_ds(r, name);

    return i == SIZE_MAX ? rrd_add_ds_(r, name) : &r->ds[i];
}

/* Sets `last` of all data sources: the value of the time from r->last to now. */
static void take_samples(struct rrd *r, double seconds, const struct rrd_sample *s,
                         size_t n)
{
    size_t had = r->n_ds;
    AUTO(free_ptr) bool *seen = mem_array(MAX(had, (size_t)1), sizeof(*seen));

    for (size_t i = 0; i < n; i++) {
        struct rrd_ds *ds = ds_of(r, i, s[i].name);
        size_t at = ds ? (size_t)(ds - r->ds) : 0;

        if (!ds)
            continue;
        if (at < had)
            seen[at] = true;
        if (ds->type != s[i].type) /* what was counted is measured now */
            ds->input = NAN;
        ds->type = (uint8_t)s[i].type;
        ds->min = s[i].min;
        ds->max = s[i].max;
        ds->last = rate(ds, &s[i], seconds);
        ds->input = s[i].value;
    }
    for (size_t d = 0; d < had && r->ds; d++)
        if (!seen[d])
            r->ds[d].last = r->ds[d].input = NAN;
}

/* The time from r->last to `to`, within one step, has the values `last`. */
static void spend(struct rrd *r, double to)
{
    double seconds = to - r->last;

    for (size_t d = 0; d < r->n_ds; d++) {
        struct rrd_ds *ds = &r->ds[d];

        if (ds->enabled && !isnan(ds->last)) {
            ds->pdp += ds->last * seconds;
            ds->pdp_known_s += seconds;
        }
    }
    r->last = to;
}

/* From the store's time to now, whose samples have been taken. */
static void pass(struct rrd *r, double now, bool unknown)
{
    int64_t step = (int64_t)(r->last / RRD_STEP), end = (int64_t)(now / RRD_STEP);

    if (unknown && step < end) {
        end_step(r, step + 1);
        pass_unknown(r, step + 1, end);
    }
    for (; step < end && !unknown; step++) {
        spend(r, (double)(step + 1) * RRD_STEP);
        end_step(r, step + 1);
    }
    if (unknown)
        r->last = now;
    else
        spend(r, now);
}

void rrd_update(struct rrd *r, double now, const struct rrd_sample *samples, size_t n)
{
    bool first = !(r->last > 0), unknown;
    double seconds;

    if (!(now > 0 && now < RRD_TIME_MAX))
        return;
    seconds = first ? 0 : now - r->last;
    unknown = seconds > RRD_HEARTBEAT || seconds < -RRD_HEARTBEAT;
    if (seconds <= 0 && !first && !unknown)
        return;
    take_samples(r, unknown ? 0 : seconds, samples, n);
    if (first || seconds < 0)
        r->last = now;
    else
        pass(r, now, unknown);
}

/* Looking */

double rrd_last_update(const struct rrd *r)
{
    return r->last;
}

bool rrd_has_extremes(const struct rrd *r)
{
    return r->extremes;
}

size_t rrd_bytes(const struct rrd *r)
{
    size_t bytes = sizeof(*r) + r->n_ds * sizeof(*r->ds);

    for (size_t i = 0; i < RRD_ARCHIVES; i++)
        bytes += r->n_ds * r->archives[i].n_cf * r->archives[i].cap * sizeof(float);
    return bytes;
}

size_t rrd_n_ds(const struct rrd *r)
{
    return r->n_ds;
}

void rrd_ds_info(const struct rrd *r, size_t ds, struct rrd_ds_info *out)
{
    const struct rrd_ds *d = &r->ds[ds];
    double in_step = r->last - floor(r->last / RRD_STEP) * RRD_STEP;

    *out = (struct rrd_ds_info){
        .name = d->name,
        .type = d->type,
        .min = d->min,
        .max = d->max,
        .enabled = d->enabled,
        .last = d->last,
        .input = d->input,
        .pdp = d->pdp,
        .unknown_seconds = fmax(in_step - d->pdp_known_s, 0),
    };
}

size_t rrd_find_ds(const struct rrd *r, const char *name)
{
    for (size_t i = 0; i < r->n_ds; i++)
        if (str_eq(r->ds[i].name, name))
            return i;
    return SIZE_MAX;
}

void rrd_ds_enable(struct rrd *r, size_t ds, bool enabled)
{
    if (r->ds[ds].enabled == enabled)
        return;
    r->ds[ds].enabled = enabled;
    r->ds[ds].pdp = r->ds[ds].pdp_known_s = 0;
    for (size_t i = 0; i < RRD_ARCHIVES; i++) {
        struct rrd_archive *a = &r->archives[i];
        size_t column = (size_t)a->n_cf * a->cap;

        for (size_t k = 0; k < column && a->n > 0; k++)
            a->v[ds * column + k] = NAN;
        r->ds[ds].prep[i] = empty_prep();
    }
}

size_t rrd_rows(const struct rrd *r, size_t archive)
{
    return r->archives[archive].n;
}

int64_t rrd_row_time(const struct rrd *r, size_t archive, size_t row)
{
    int64_t span = (int64_t)rrd_spans[archive].steps * RRD_STEP;

    return ((int64_t)r->last / span - (int64_t)row) * span;
}

bool rrd_has_cf(const struct rrd *r, size_t archive, enum rrd_cf cf)
{
    return cf < (enum rrd_cf)r->archives[archive].n_cf;
}

double rrd_get(const struct rrd *r, size_t archive, enum rrd_cf cf, size_t ds, size_t row)
{
    const struct rrd_archive *a = &r->archives[archive];
    size_t slot;

    if (ds >= r->n_ds || row >= a->n || !rrd_has_cf(r, archive, cf))
        return NAN;
    slot = row <= a->head ? a->head - row : a->head + a->n - row;
    return (double)a->v[(ds * a->n_cf + cf) * a->cap + slot];
}

double rrd_cdp(const struct rrd *r, size_t archive, enum rrd_cf cf, size_t ds,
               unsigned *unknown_out)
{
    const struct rrd_prep *p = &r->ds[ds].prep[archive];
    int64_t done = (int64_t)(r->last / RRD_STEP) % rrd_spans[archive].steps;

    *unknown_out = done > p->known ? (unsigned)(done - p->known) : 0;
    if (p->known == 0)
        return NAN;
    return cf == RRD_MIN ? (double)p->min : cf == RRD_MAX ? (double)p->max : p->sum;
}
