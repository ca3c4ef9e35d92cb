/* SPDX-License-Identifier: Apache-2.0 */
/* Writes text only. Names of data sources are ours (letters, digits, '_', '-', '.'), and uuids are uuids: nothing here needs
 * escaping; rrd_load refuses names that would. */
#include "model/rrd_text.h"

#include <math.h>

#include "base/mem.h"
#include "base/vec.h"

static const char *const cf_names[RRD_CF_COUNT] = { "AVERAGE", "MIN", "MAX" };

void rrd_text_number(struct buf *out, double v)
{
    if (isnan(v))
        buf_add_str(out, "NaN");
    else if (isinf(v))
        buf_add_str(out, v > 0 ? "Infinity" : "-Infinity");
    else
        buf_addf(out, "%.7g", v);
}

/* Both forms of the same tree. XML: <name>value</name>; JSON: "name":"value". */

struct writer {
    struct buf *out;
    enum rrd_text how;
    bool comma; /* JSON: something precedes on this level */
};

static void separate(struct writer *w)
{
    if (w->comma && w->how == RRD_JSON)
        buf_add_char(w->out, ',');
    w->comma = true;
}

static void key(struct writer *w, const char *name)
{
    separate(w);
    buf_addf(w->out, w->how == RRD_XML ? "<%s>" : "\"%s\":", name);
}

static void text_member(struct writer *w, const char *name, const char *value)
{
    key(w, name);
    if (w->how == RRD_XML)
        buf_addf(w->out, "%s</%s>", value, name);
    else
        buf_addf(w->out, "\"%s\"", value);
}

static void number_member(struct writer *w, const char *name, double value)
{
    AUTO(buf_done) struct buf text = BUF_INIT(0);

    rrd_text_number(&text, value);
    text_member(w, name, buf_str(&text));
}

static void open_object(struct writer *w, const char *name)
{
    if (name)
        key(w, name);
    else
        separate(w);
    if (w->how == RRD_JSON)
        buf_add_char(w->out, '{');
    w->comma = false;
}

static void close_object(struct writer *w, const char *name)
{
    if (w->how == RRD_JSON)
        buf_add_char(w->out, '}');
    else if (name)
        buf_addf(w->out, "</%s>", name);
    w->comma = true;
}

/* A list: in XML each element has the list's tag, in JSON the list has a name and elements have none. */
static void open_list(struct writer *w, const char *name)
{
    if (w->how == RRD_XML)
        return;
    key(w, name);
    buf_add_char(w->out, '[');
    w->comma = false;
}

static void close_list(struct writer *w)
{
    if (w->how == RRD_JSON)
        buf_add_char(w->out, ']');
    w->comma = true;
}

static void open_element(struct writer *w, const char *tag)
{
    open_object(w, w->how == RRD_XML ? tag : NULL);
}

static void value(struct writer *w, double v)
{
    separate(w);
    buf_add_str(w->out, w->how == RRD_XML ? "<v>" : "\"");
    rrd_text_number(w->out, v);
    buf_add_str(w->out, w->how == RRD_XML ? "</v>" : "\"");
}

/* A whole store */

static void write_ds(struct writer *w, const struct rrd *r, size_t i)
{
    struct rrd_ds_info ds;

    rrd_ds_info(r, i, &ds);
    if (!ds.enabled)
        return;
    open_element(w, "ds");
    text_member(w, "name", ds.name);
    text_member(w, "type", ds.type == RRD_DERIVE ? "DERIVE" : "GAUGE");
    number_member(w, "minimal_heartbeat", RRD_HEARTBEAT);
    number_member(w, "min", ds.min);
    number_member(w, "max", ds.max);
    number_member(w, "last_ds", ds.input);
    number_member(w, "value", ds.pdp);
    number_member(w, "unknown_sec", ds.unknown_seconds);
    close_object(w, "ds");
}

static bool enabled(const struct rrd *r, size_t i)
{
    struct rrd_ds_info ds;

    rrd_ds_info(r, i, &ds);
    return ds.enabled;
}

static void write_prep(struct writer *w, const struct rrd *r, size_t archive,
                       enum rrd_cf cf)
{
    open_object(w, "cdp_prep");
    open_list(w, "ds");
    for (size_t d = 0; d < rrd_n_ds(r); d++) {
        unsigned unknown;
        double v = rrd_cdp(r, archive, cf, d, &unknown);

        if (!enabled(r, d))
            continue;
        open_element(w, "ds");
        number_member(w, "primary_value", 0);
        number_member(w, "secondary_value", 0);
        number_member(w, "value", v);
        number_member(w, "unknown_datapoints", unknown);
        close_object(w, "ds");
    }
    close_list(w);
    close_object(w, "cdp_prep");
}

static void write_database(struct writer *w, const struct rrd *r, size_t archive,
                           enum rrd_cf cf)
{
    key(w, "database");
    if (w->how == RRD_JSON)
        buf_add_char(w->out, '[');
    w->comma = false;
    for (size_t row = rrd_spans[archive].rows; row-- > 0;) {
        separate(w);
        buf_add_str(w->out, w->how == RRD_XML ? "<row>" : "[");
        w->comma = false;
        for (size_t d = 0; d < rrd_n_ds(r); d++)
            if (enabled(r, d))
                value(w, rrd_get(r, archive, cf, d, row));
        buf_add_str(w->out, w->how == RRD_XML ? "</row>" : "]");
        w->comma = true;
    }
    buf_add_str(w->out, w->how == RRD_XML ? "</database>" : "]");
}

static void write_archive(struct writer *w, const struct rrd *r, size_t archive,
                          enum rrd_cf cf)
{
    open_element(w, "rra");
    text_member(w, "cf", cf_names[cf]);
    number_member(w, "pdp_per_row", rrd_spans[archive].steps);
    open_object(w, "params");
    number_member(w, "xff", 0.5);
    close_object(w, "params");
    write_prep(w, r, archive, cf);
    write_database(w, r, archive, cf);
    close_object(w, "rra");
}

void rrd_text_whole(struct buf *out, const struct rrd *r, enum rrd_text how)
{
    struct writer w = { .out = out, .how = how };

    if (how == RRD_XML)
        buf_add_str(out, "<?xml version=\"1.0\"?><rrd>");
    else
        open_object(&w, NULL);
    text_member(&w, "version", "0003");
    number_member(&w, "step", RRD_STEP);
    key(&w, "lastupdate");
    buf_addf(out, how == RRD_XML ? "%lld</lastupdate>" : "\"%lld\"",
             (long long)rrd_last_update(r));
    open_list(&w, "ds");
    for (size_t d = 0; d < rrd_n_ds(r); d++)
        write_ds(&w, r, d);
    close_list(&w);
    open_list(&w, "rra");
    for (size_t i = 0; i < RRD_ARCHIVES; i++)
        for (enum rrd_cf cf = 0; cf < RRD_CF_COUNT; cf++)
            if (rrd_has_cf(r, i, cf))
                write_archive(&w, r, i, cf);
    close_list(&w);
    buf_add_str(out, how == RRD_XML ? "</rrd>" : "}");
}

/* Tables */

struct column {
    const struct rrd_text_object *object;
    size_t ds;
    enum rrd_cf cf;
    int64_t
        newer; /* rows that the table has before this store's newest; negative: the other way */
};

typedef VEC(struct column) columns_vec;

size_t rrd_text_archive(const struct rrd_text_query *q, int64_t last)
{
    int64_t start = q->start < 0 ? last + q->start : q->start;

    for (size_t i = 0; i < RRD_ARCHIVES; i++) {
        int64_t span = (int64_t)rrd_spans[i].steps * RRD_STEP;
        bool reaches = !q->has_start
                       || last - last % span - span * (int64_t)rrd_spans[i].rows <= start;

        if (span >= q->interval && reaches)
            return i;
    }
    return RRD_ARCHIVES - 1;
}

static void add_columns(columns_vec *all, const struct rrd_text_object *o, size_t archive,
                        const struct rrd_text_query *q, int64_t last)
{
    int64_t span = (int64_t)rrd_spans[archive].steps * RRD_STEP;
    int64_t own = (int64_t)rrd_last_update(o->rrd);
    int64_t newer = last / span - own / span;

    for (enum rrd_cf cf = 0; cf < RRD_CF_COUNT; cf++) {
        if ((q->has_cf && cf != q->cf) || !rrd_has_cf(o->rrd, archive, cf))
            continue;
        for (size_t d = 0; d < rrd_n_ds(o->rrd); d++)
            if (enabled(o->rrd, d))
                vec_push(all, ((struct column){ o, d, cf, newer }));
    }
}

static void write_legend(struct writer *w, const columns_vec *all)
{
    key(w, "legend");
    if (w->how == RRD_JSON)
        buf_add_char(w->out, '[');
    for (size_t i = 0; i < all->n; i++) {
        const struct column *c = &all->v[i];
        struct rrd_ds_info ds;

        rrd_ds_info(c->object->rrd, c->ds, &ds);
        buf_add_str(w->out, w->how == RRD_XML ? "<entry>" : i ? ",\"" : "\"");
        buf_addf(w->out, "%s:%s:%s:%s", cf_names[c->cf], c->object->kind, c->object->uuid,
                 ds.name);
        buf_add_str(w->out, w->how == RRD_XML ? "</entry>" : "\"");
    }
    buf_add_str(w->out, w->how == RRD_XML ? "</legend>" : "]");
    w->comma = true;
}

static void integer_member(struct writer *w, const char *name, int64_t v)
{
    key(w, name);
    buf_add_int(w->out, v);
    if (w->how == RRD_XML)
        buf_addf(w->out, "</%s>", name);
}

static void write_row(struct writer *w, const columns_vec *all, size_t archive, size_t row,
                      int64_t t)
{
    open_element(w, "row");
    integer_member(w, "t", t);
    if (w->how == RRD_JSON)
        buf_add_str(w->out, ",\"values\":[");
    w->comma = false;
    for (size_t i = 0; i < all->n; i++) {
        const struct column *c = &all->v[i];
        int64_t own = (int64_t)row - c->newer;
        double v = own < 0 ? NAN
                           : rrd_get(c->object->rrd, archive, c->cf, c->ds, (size_t)own);

        value(w, v);
    }
    if (w->how == RRD_JSON)
        buf_add_char(w->out, ']');
    close_object(w, "row");
}

void rrd_text_updates(struct buf *out, const struct rrd_text_object *objects, size_t n,
                      const struct rrd_text_query *q, int64_t last, enum rrd_text how)
{
    struct writer w = { .out = out, .how = how };
    size_t archive = rrd_text_archive(q, last), rows = 0;
    int64_t span = (int64_t)rrd_spans[archive].steps * RRD_STEP, end = last - last % span;
    int64_t most = (int64_t)rrd_spans[archive].rows;
    int64_t start = q->start < 0 ? last + q->start : q->start;
    columns_vec all = { 0 };

    if (!q->has_start)
        start = end - span * most;
    for (size_t i = 0; i < n; i++)
        add_columns(&all, &objects[i], archive, q, last);
    while ((int64_t)rows < most && end - (int64_t)rows * span >= start)
        rows++;
    if (how == RRD_XML)
        buf_add_str(out, "<?xml version=\"1.0\"?><xport>");
    else
        open_object(&w, NULL);
    open_object(&w, "meta");
    integer_member(&w, "start", start - start % span + span);
    integer_member(&w, "step", span);
    integer_member(&w, "end", end);
    integer_member(&w, "rows", (int64_t)rows);
    integer_member(&w, "columns", (int64_t)all.n);
    write_legend(&w, &all);
    close_object(&w, "meta");
    key(&w, "data");
    if (how == RRD_JSON)
        buf_add_char(out, '[');
    w.comma = false;
    for (size_t row = 0; row < rows; row++)
        write_row(&w, &all, archive, row, end - (int64_t)row * span);
    buf_add_str(out, how == RRD_XML ? "</data></xport>" : "]}");
    vec_done(&all);
}
