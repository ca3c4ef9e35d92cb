/* SPDX-License-Identifier: Apache-2.0 */
/* A store as bytes. Layout, all little-endian:
 *
 *   8  "serairrd"     4  version 1     1  extremes     8  time of the last sample (double)
 *   4  data sources   4 x 4  rows held of each archive
 *   each data source: 40 name, 1 type, 1 enabled, 6 doubles (min max input last pdp known), 4 x (double sum, float min,
 *   float max, 4 known)
 *   each archive, data source, function: the rows held, oldest first, as floats
 *   8  FNV-1a of all before
 *
 * The length follows from the first three lines, so a file of another length is refused before anything is allocated. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/rrd_int.h"

#define MAGIC     "serairrd"
#define VERSION   1
#define HEAD_SIZE (8 + 4 + 1 + 8 + 4 + 4 * RRD_ARCHIVES)
#define PREP_SIZE (8 + 4 + 4 + 4)
#define DS_SIZE   (RRD_NAME_SIZE + 2 + 6 * 8 + RRD_ARCHIVES * PREP_SIZE)

static uint64_t checksum(const uint8_t *p, size_t len)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    return h;
}

/* Writing */

static void put(struct buf *b, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        buf_add_char(b, (char)(v >> (8 * i)));
}

static void put_double(struct buf *b, double d)
{
    uint64_t v;

    memcpy(&v, &d, sizeof(v));
    put(b, v, 8);
}

static void put_float(struct buf *b, float f)
{
    uint32_t v;

    memcpy(&v, &f, sizeof(v));
    put(b, v, 4);
}

static void put_ds(struct buf *b, const struct rrd_ds *ds)
{
    const double d[] = { ds->min, ds->max, ds->input, ds->last, ds->pdp, ds->pdp_known_s };

    buf_add(b, ds->name, sizeof(ds->name));
    put(b, ds->type, 1);
    put(b, ds->enabled, 1);
    for (size_t i = 0; i < ARRAY_SIZE(d); i++)
        put_double(b, d[i]);
    for (size_t i = 0; i < RRD_ARCHIVES; i++) {
        put_double(b, ds->prep[i].sum);
        put_float(b, ds->prep[i].min);
        put_float(b, ds->prep[i].max);
        put(b, ds->prep[i].known, 4);
    }
}

void rrd_save(const struct rrd *r, struct buf *out)
{
    buf_clear(out);
    buf_add(out, MAGIC, 8);
    put(out, VERSION, 4);
    put(out, r->extremes, 1);
    put_double(out, r->last);
    put(out, r->n_ds, 4);
    for (size_t i = 0; i < RRD_ARCHIVES; i++)
        put(out, r->archives[i].n, 4);
    for (size_t d = 0; d < r->n_ds; d++)
        put_ds(out, &r->ds[d]);
    for (size_t i = 0; i < RRD_ARCHIVES; i++)
        for (size_t d = 0; d < r->n_ds; d++)
            for (enum rrd_cf cf = 0; rrd_has_cf(r, i, cf); cf++)
                for (size_t row = r->archives[i].n; row-- > 0;)
                    put_float(out, (float)rrd_get(r, i, cf, d, row));
    put(out, checksum((const uint8_t *)out->data, out->len), 8);
}

/* Reading. The length has been checked, so these cannot run over the end. */

struct reader {
    const uint8_t *p;
};

static uint64_t get(struct reader *in, unsigned bytes)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)*in->p++ << (8 * i);
    return v;
}

static double get_double(struct reader *in)
{
    uint64_t v = get(in, 8);
    double d;

    memcpy(&d, &v, sizeof(d));
    return d;
}

static float get_float(struct reader *in)
{
    uint32_t v = (uint32_t)get(in, 4);
    float f;

    memcpy(&f, &v, sizeof(f));
    return f;
}

static bool name_ok(const char *name)
{
    size_t n = strnlen(name, RRD_NAME_SIZE);

    for (size_t i = 0; i < n; i++)
        if (name[i] <= ' ' || name[i] > '~' || strchr("<>&\"'\\:", name[i]))
            return false;
    return n > 0 && n < RRD_NAME_SIZE;
}

static bool get_ds(struct reader *in, struct rrd *r)
{
    char name[RRD_NAME_SIZE];
    struct rrd_ds *ds;
    bool fine;

    memcpy(name, in->p, sizeof(name));
    in->p += sizeof(name);
    fine = name_ok(name) && rrd_find_ds(r, name) == SIZE_MAX;
    ds = fine ? rrd_add_ds_(r, name) : NULL;
    if (!ds)
        return false;
    ds->type = (uint8_t)get(in, 1);
    ds->enabled = get(in, 1) != 0;
    ds->min = get_double(in);
    ds->max = get_double(in);
    ds->input = get_double(in);
    ds->last = get_double(in);
    ds->pdp = get_double(in);
    ds->pdp_known_s = get_double(in);
    for (size_t i = 0; i < RRD_ARCHIVES; i++) {
        ds->prep[i].sum = get_double(in);
        ds->prep[i].min = get_float(in);
        ds->prep[i].max = get_float(in);
        ds->prep[i].known = (uint32_t)get(in, 4);
        if (ds->prep[i].known > rrd_spans[i].steps)
            return false;
    }
    return ds->type <= RRD_DERIVE && ds->pdp_known_s >= 0 && ds->pdp_known_s <= RRD_STEP;
}

static void get_archive(struct reader *in, struct rrd *r, struct rrd_archive *a, uint32_t n)
{
    if (n == 0)
        return;
    rrd_reserve_(r, a, n, r->n_ds);
    a->n = n;
    a->head = n - 1;
    for (size_t i = 0; i < r->n_ds * a->n_cf * n; i++)
        a->v[i] = get_float(in); /* columns of n slots: the same order as in the file */
}

/* rows_out: of each archive. The one check of all lengths. */
static bool get_head(struct reader *in, size_t len, struct rrd **r_out, size_t *n_ds_out,
                     uint32_t rows_out[static RRD_ARCHIVES])
{
    size_t need = HEAD_SIZE + 8, n_ds;
    bool extremes;
    double last;

    if (len < need || memcmp(in->p, MAGIC, 8) != 0)
        return false;
    in->p += 8;
    if (get(in, 4) != VERSION)
        return false;
    extremes = get(in, 1) != 0;
    last = get_double(in);
    n_ds = get(in, 4);
    if (!(last >= 0 && last < RRD_TIME_MAX) || n_ds > RRD_DS_MAX)
        return false;
    need += n_ds * DS_SIZE;
    for (size_t i = 0; i < RRD_ARCHIVES; i++) {
        rows_out[i] = (uint32_t)get(in, 4);
        if (rows_out[i] > rrd_spans[i].rows)
            return false;
        need += n_ds * rows_out[i] * 4 * (extremes && i > 0 ? RRD_CF_COUNT : 1);
    }
    if (len != need)
        return false;
    *r_out = rrd_new(extremes);
    (*r_out)->last = last;
    *n_ds_out = n_ds;
    return true;
}

struct rrd *rrd_load(const void *data, size_t len)
{
    struct reader in = { .p = data };
    uint32_t rows[RRD_ARCHIVES];
    struct rrd *r = NULL;
    size_t n_ds = 0;
    bool fine = get_head(&in, len, &r, &n_ds, rows);

    if (fine) {
        struct reader end = { .p = (const uint8_t *)data + len - 8 };

        fine = get(&end, 8) == checksum(data, len - 8);
    }
    for (size_t d = 0; d < n_ds && fine; d++)
        fine = get_ds(&in, r);
    for (size_t i = 0; i < RRD_ARCHIVES && fine; i++)
        get_archive(&in, r, &r->archives[i], rows[i]);
    if (fine)
        return r;
    rrd_free(r);
    return NULL;
}
