/* SPDX-License-Identifier: Apache-2.0 */
#include "model/rrd.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/test.h"
#include "model/rrd_text.h"

#define T0 1700006400.0 /* a multiple of a day */

static struct rrd_sample gauge(const char *name, double v)
{
    struct rrd_sample s = { .type = RRD_GAUGE, .value = v, .max = INFINITY };

    memcpy(s.name, name, strlen(name));
    return s;
}

static struct rrd_sample counter(const char *name, double v)
{
    struct rrd_sample s = gauge(name, v);

    s.type = RRD_DERIVE;
    return s;
}

static void feed(struct rrd *r, double now, const char *name, double v)
{
    struct rrd_sample s = gauge(name, v);

    rrd_update(r, now, &s, 1);
}

static bool near(double a, double b)
{
    return fabs(a - b) <= fabs(b) * 1e-6;
}

static double newest(const struct rrd *r, size_t archive, enum rrd_cf cf)
{
    return rrd_get(r, archive, cf, 0, 0);
}

TEST(a_gauge_on_the_grid)
{
    struct rrd *r = rrd_new(true);

    for (int i = 0; i <= 24; i++)
        feed(r, T0 + i * 5, "m", i);
    CHECK_INT(rrd_rows(r, 0), 24);
    CHECK_INT(rrd_row_time(r, 0, 0), T0 + 120);
    CHECK_INT(rrd_row_time(r, 0, 3), T0 + 105);
    for (size_t row = 0; row < 24; row++)
        CHECK(near(rrd_get(r, 0, RRD_AVERAGE, 0, row), 24.0 - (double)row));
    CHECK_INT(rrd_rows(r, 1), 2);
    CHECK(near(newest(r, 1, RRD_AVERAGE), 18.5)); /* 13 .. 24 */
    CHECK(near(newest(r, 1, RRD_MIN), 13));
    CHECK(near(newest(r, 1, RRD_MAX), 24));
    CHECK(near(rrd_get(r, 1, RRD_AVERAGE, 0, 1), 6.5));
    CHECK(isnan(rrd_get(r, 1, RRD_AVERAGE, 0, 2)));
    CHECK(!rrd_has_cf(r, 0, RRD_MAX) && rrd_has_cf(r, 3, RRD_MAX));
    rrd_free(r);
}

TEST(a_sample_between_steps_counts_for_its_time)
{
    struct rrd *r = rrd_new(false);

    feed(r, T0 + 1, "m", 0);
    feed(r, T0 + 4, "m", 10); /* 3 s of 10 */
    feed(r, T0 + 9, "m", 20); /* 1 s of 20, then 4 s of the next step */
    CHECK_INT(rrd_rows(r, 0), 1);
    CHECK(near(newest(r, 0, RRD_AVERAGE), (3 * 10 + 20) / 4.0));
    feed(r, T0 + 11, "m", 30);
    CHECK(near(newest(r, 0, RRD_AVERAGE), (4 * 20 + 30) / 5.0));
    rrd_free(r);
}

TEST(a_counter_becomes_a_rate)
{
    struct rrd *r = rrd_new(false);
    const double values[] = { 1000, 1500, 2500, 100, 600 };

    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        struct rrd_sample s = counter("c", values[i]);

        s.max = 150;
        rrd_update(r, T0 + (double)i * 5, &s, 1);
    }
    CHECK_INT(rrd_rows(r, 0), 4);
    CHECK(near(rrd_get(r, 0, RRD_AVERAGE, 0, 3), 100));
    CHECK(near(rrd_get(r, 0, RRD_AVERAGE, 0, 2), 150)); /* 200, cut to its maximum */
    CHECK(isnan(rrd_get(r, 0, RRD_AVERAGE, 0, 1)));     /* reset */
    CHECK(near(rrd_get(r, 0, RRD_AVERAGE, 0, 0), 100));
    rrd_free(r);
}

TEST(gaps_are_unknown)
{
    struct rrd *r = rrd_new(false);
    struct rrd_ds_info ds;

    for (int i = 0; i <= 12; i++)
        feed(r, T0 + i * 5, "m", 7);
    feed(r, T0 + 60 + 300, "m",
         9); /* within the heartbeat: the newest value stands for it */
    CHECK(near(newest(r, 0, RRD_AVERAGE), 9));
    CHECK_INT(rrd_rows(r, 1), 6);
    feed(r, T0 + 360 + 301, "m", 9);
    CHECK(isnan(newest(r, 0, RRD_AVERAGE)) && isnan(newest(r, 1, RRD_AVERAGE)));
    CHECK_INT(rrd_row_time(r, 0, 0), T0 + 660);
    CHECK_INT(rrd_rows(r, 1), 11);
    CHECK(near(rrd_get(r, 1, RRD_AVERAGE, 0, 5), 9));
    CHECK(near(rrd_get(r, 1, RRD_AVERAGE, 0, 10), 7));
    rrd_ds_info(r, 0, &ds);
    CHECK(near(ds.last, 9));
    /* A year and more away: all rows are unknown, and it does not take a year. */
    feed(r, T0 + 4e7, "m", 9);
    for (size_t i = 0; i < RRD_ARCHIVES; i++)
        for (size_t row = 0; row + 1 < rrd_spans[i].rows; row++)
            CHECK(isnan(rrd_get(r, i, RRD_AVERAGE, 0, row)));
    rrd_free(r);
}

TEST(half_a_row_is_enough)
{
    struct rrd *r = rrd_new(false);
    struct rrd_sample none = gauge("other", 1);

    for (int i = 0; i <= 24;
         i++) { /* known in 5 steps of the first minute, 6 of the next */
        bool known = i <= 5 || (i > 12 && i <= 18);
        struct rrd_sample s = gauge("m", 4);

        rrd_update(r, T0 + i * 5, known ? &s : &none, 1);
    }
    CHECK_INT(rrd_find_ds(r, "m"), 0);
    CHECK(isnan(rrd_get(r, 1, RRD_AVERAGE, 0, 1)));
    CHECK(near(rrd_get(r, 1, RRD_AVERAGE, 0, 0), 4));
    rrd_free(r);
}

TEST(clocks_that_go_back)
{
    struct rrd *r = rrd_new(false);

    for (int i = 0; i <= 12; i++)
        feed(r, T0 + i * 5, "m", 7);
    feed(r, T0 + 30, "m", 8); /* waited for */
    CHECK_INT(rrd_rows(r, 0), 12);
    CHECK_INT(rrd_last_update(r), T0 + 60);
    feed(r, T0 - 86400, "m", 8); /* the past moves along */
    CHECK_INT(rrd_last_update(r), T0 - 86400);
    CHECK_INT(rrd_rows(r, 0), 12);
    CHECK(near(newest(r, 0, RRD_AVERAGE), 7));
    feed(r, T0 - 86400 + 5, "m", 8);
    CHECK(near(newest(r, 0, RRD_AVERAGE), 8));
    feed(r, NAN, "m", 8);
    feed(r, -1, "m", 8);
    feed(r, 1e300, "m", 8);
    CHECK_INT(rrd_last_update(r), T0 - 86400 + 5);
    rrd_free(r);
}

TEST(archives_go_round_and_new_sources_join)
{
    struct rrd *r = rrd_new(true);
    size_t before;

    for (int i = 0; i <= 3000; i++)
        feed(r, T0 + i * 5, "m", i);
    CHECK_INT(rrd_rows(r, 0), 120);
    CHECK_INT(rrd_rows(r, 1), 120);
    CHECK_INT(rrd_rows(r, 2), 4);
    CHECK(near(rrd_get(r, 0, RRD_AVERAGE, 0, 119), 3000 - 119));
    CHECK(isnan(rrd_get(r, 0, RRD_AVERAGE, 0, 120)));
    CHECK(near(newest(r, 2, RRD_MAX), 2880) && near(newest(r, 2, RRD_MIN), 2161));
    before = rrd_bytes(r);
    for (int i = 3001; i <= 3024; i++) {
        struct rrd_sample s[2] = { gauge("m", i), gauge("late", 1) };

        rrd_update(r, T0 + i * 5, s, 2);
    }
    CHECK(isnan(rrd_get(r, 0, RRD_AVERAGE, 1, 24)));
    CHECK(near(rrd_get(r, 0, RRD_AVERAGE, 1, 23), 1));
    CHECK(near(rrd_get(r, 0, RRD_AVERAGE, 0, 119), 3024 - 119));
    CHECK(rrd_bytes(r) > before && rrd_bytes(r) < 2 * before + 1000);
    rrd_ds_enable(r, 0, false);
    CHECK(isnan(newest(r, 0, RRD_AVERAGE)) && isnan(newest(r, 2, RRD_MAX)));
    CHECK(near(rrd_get(r, 0, RRD_AVERAGE, 1, 0), 1));
    rrd_ds_enable(r, 0, true);
    feed(r, T0 + 3025 * 5, "m", 5);
    CHECK(near(newest(r, 0, RRD_AVERAGE), 5));
    rrd_free(r);
}

/* What the header promises about memory. */
TEST(a_source_stays_small)
{
    struct rrd *lean = rrd_new(false), *full = rrd_new(true);

    for (int i = 0; i < 366; i++) {
        for (int k = 0; k < 200; k++) {
            feed(lean, T0 + i * 86400.0 + k * 200, "m", i);
            feed(full, T0 + i * 86400.0 + k * 200, "m", i);
        }
    }
    CHECK(rrd_bytes(lean) < 3500 && rrd_bytes(full) < 8800);
    rrd_free(lean);
    rrd_free(full);
}

static struct rrd *filled(void)
{
    struct rrd *r = rrd_new(true);

    for (int i = 0; i <= 800; i++) {
        struct rrd_sample s[3] = { gauge("m", i % 17), counter("c", i * 20.0),
                                   gauge("gone", 1) };

        rrd_update(r, T0 + i * 5 + 1.5, s, i < 400 ? 3 : 2);
    }
    rrd_ds_enable(r, 1, false);
    rrd_ds_enable(r, 1, true);
    return r;
}

TEST(saved_and_loaded)
{
    struct rrd *r = filled(), *back;
    AUTO(buf_done)
    struct buf a = BUF_INIT(0), b = BUF_INIT(0), x = BUF_INIT(0), y = BUF_INIT(0);
    struct rrd_sample s[2] = { gauge("m", 3), counter("c", 801 * 20.0) };

    rrd_save(r, &a);
    back = rrd_load(a.data, a.len);
    CHECK(back != NULL);
    rrd_save(back, &b);
    CHECK(a.len == b.len && memcmp(a.data, b.data, a.len) == 0);
    /* And it goes on as if nothing had happened. */
    for (int i = 801; i < 2000; i++) {
        rrd_update(r, T0 + i * 5, s, 2);
        rrd_update(back, T0 + i * 5, s, 2);
    }
    rrd_text_whole(&x, r, RRD_XML);
    rrd_text_whole(&y, back, RRD_XML);
    CHECK_STR(buf_str(&x), buf_str(&y));
    rrd_free(r);
    rrd_free(back);
    r = rrd_new(false); /* nothing in it yet */
    rrd_save(r, &a);
    back = rrd_load(a.data, a.len);
    CHECK(back != NULL && rrd_n_ds(back) == 0 && !rrd_has_extremes(back));
    rrd_free(r);
    rrd_free(back);
}

TEST(damaged_files_are_refused)
{
    struct rrd *r = filled();
    AUTO(buf_done) struct buf a = BUF_INIT(0);

    rrd_save(r, &a);
    for (size_t len = 0; len < a.len; len += len < 200 ? 1 : 97)
        CHECK(rrd_load(a.data, len) == NULL);
    for (size_t i = 0; i < a.len; i += i < 600 ? 1 : 89) {
        a.data[i] ^= 0x40;
        CHECK(rrd_load(a.data, a.len) == NULL);
        a.data[i] ^= 0x40;
    }
    rrd_free(r);
}
