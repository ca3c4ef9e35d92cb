/* SPDX-License-Identifier: Apache-2.0 */
/* The measured past of one object: data sources sampled every 5 seconds, and archives of one row per 5 s (10 minutes back),
 * minute (2 hours), hour (a week) and day (a year), as XenServer keeps them. Pure: no clock, no files, no locks; the
 * caller serialises. What is not known is NaN, in a row when less than half of its time is known.
 *
 * Memory: archives grow with what they hold, 4 bytes a value. A data source costs about 0.3 KiB at first, 1.2 KiB after two
 * hours, 1.9 KiB after a week and 3.3 KiB after a year; with extremes (MIN and MAX of all archives but the first, where
 * they are the average) 2.3, 4.3 and 8.5 KiB. */
#ifndef MODEL_RRD_H
#define MODEL_RRD_H

#include "base/buf.h"
#include "base/err.h"

#define RRD_STEP 5 /* seconds */
#define RRD_HEARTBEAT \
    300 /* seconds without a sample after which the time between is unknown */
#define RRD_ARCHIVES   4
#define RRD_DS_MAX     2048 /* of one object; more are not recorded */
#define RRD_NAME_SIZE  40
#define RRD_FILE_BYTES (64U << 20) /* no saved store is larger */

enum rrd_type { RRD_GAUGE, RRD_DERIVE };

enum rrd_cf { RRD_AVERAGE, RRD_MIN, RRD_MAX, RRD_CF_COUNT };

extern const struct rrd_span {
    unsigned steps; /* of RRD_STEP that a row covers */
    unsigned rows;
} rrd_spans[RRD_ARCHIVES];

/* A measurement at one moment. DERIVE: value is a counter and the data source its growth per second; a counter that went
 * back was reset, and that interval is unknown. */
struct rrd_sample {
    char name[RRD_NAME_SIZE];
    enum rrd_type type;
    double value, min, max; /* of the rate for DERIVE; what exceeds them is cut to them */
};

struct rrd;

struct rrd *rrd_new(bool extremes);
void rrd_free(struct rrd *r);

/* What was measured at wall-clock second now. Data sources appear with their first sample; those without one are unknown.
 * A clock that was set back by less than the heartbeat is waited for; by more, the past moves with it. */
void rrd_update(struct rrd *r, double now, const struct rrd_sample *samples, size_t n);
double rrd_last_update(const struct rrd *r); /* 0: never */
bool rrd_has_extremes(const struct rrd *r);
size_t rrd_bytes(const struct rrd *r); /* memory held */

size_t rrd_n_ds(const struct rrd *r);

struct rrd_ds_info {
    const char *name; /* borrowed until the next change */
    enum rrd_type type;
    double min, max;
    bool enabled;
    double last;  /* newest value (a rate for DERIVE), NaN: unknown */
    double input; /* newest sample as it came */
    double pdp;   /* value times seconds of the step under way */
    double unknown_seconds;
};

void rrd_ds_info(const struct rrd *r, size_t ds, struct rrd_ds_info *out);
size_t rrd_find_ds(const struct rrd *r, const char *name); /* SIZE_MAX: none */
/* Recording off: the past of the data source is forgotten. On again: it begins anew. */
void rrd_ds_enable(struct rrd *r, size_t ds, bool enabled);

/* Archives. Row 0 is the newest, which ends at rrd_row_time(). */
size_t rrd_rows(const struct rrd *r, size_t archive); /* that hold something */
int64_t rrd_row_time(const struct rrd *r, size_t archive, size_t row);
/* NaN outside of what is held, and for MIN and MAX where rrd_has_cf() says no. */
double rrd_get(const struct rrd *r, size_t archive, enum rrd_cf cf, size_t ds, size_t row);
bool rrd_has_cf(const struct rrd *r, size_t archive, enum rrd_cf cf);
/* What the row under way has got: the value so far and how many steps of it are unknown. */
double rrd_cdp(const struct rrd *r, size_t archive, enum rrd_cf cf, size_t ds,
               unsigned *unknown_out);

/* The whole store as bytes (rrd_file.c), little-endian with a checksum at its end. The file is ours; all the same every
 * length in it is checked. Load: NULL for anything damaged. */
void rrd_save(const struct rrd *r, struct buf *out);
struct rrd *rrd_load(const void *data, size_t len);
#endif
