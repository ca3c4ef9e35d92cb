/* SPDX-License-Identifier: Apache-2.0 */
/* Inside rrd.c and rrd_file.c only. */
#ifndef MODEL_RRD_INT_H
#define MODEL_RRD_INT_H

#include "model/rrd.h"

#define RRD_TIME_MAX 1e12 /* seconds */

/* A row under way, of one data source and archive. */
struct rrd_prep {
    double sum;
    float min, max;
    uint32_t known; /* steps */
};

struct rrd_ds {
    char name[RRD_NAME_SIZE];
    double min, max;
    double input, last;
    double pdp, pdp_known_s; /* of the step under way */
    struct rrd_prep prep[RRD_ARCHIVES];
    uint8_t type;
    bool enabled;
};

/* Columns of cap values each, one after the other: of data source d and function f, column d * n_cf + f. Rows fill the slots
 * 0, 1, ... up to the archive's length and then go round. */
struct rrd_archive {
    float *v;
    uint32_t n, cap, head; /* rows held, slots, slot of the newest row */
    uint32_t n_cf;
};

struct rrd {
    double last;
    struct rrd_ds *ds;
    size_t n_ds;
    struct rrd_archive archives[RRD_ARCHIVES];
    bool extremes;
};

/* A data source more, unknown in all rows. NULL: too many. */
struct rrd_ds *rrd_add_ds_(struct rrd *r, const char *name);
/* Room for cap rows in archive a of n_ds data sources. */
void rrd_reserve_(struct rrd *r, struct rrd_archive *a, uint32_t cap, size_t n_ds);
#endif
