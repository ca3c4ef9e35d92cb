/* SPDX-License-Identifier: Apache-2.0 */
/* Stores as clients read them: whole, in the layout of rrdtool's dump, and as tables of several objects, in that of its xport;
 * XML, or JSON as XenServer writes it since xapi 23.31: measured values are strings, so that NaN and Infinity are
 * valid JSON. Pure. */
#ifndef MODEL_RRD_TEXT_H
#define MODEL_RRD_TEXT_H

#include "base/uuid.h"
#include "model/rrd.h"

enum rrd_text { RRD_XML, RRD_JSON };

void rrd_text_number(struct buf *out, double v); /* "0.5", "NaN", "-Infinity" */
void rrd_text_whole(struct buf *out, const struct rrd *r, enum rrd_text how);

struct rrd_text_object {
    const char *kind; /* "host", "vm", "sr" */
    const char *uuid;
    const struct rrd *rrd;
};

struct rrd_text_query {
    bool has_start; /* else all rows of the archive */
    int64_t start;  /* seconds since 1970; negative: back from the last sample */
    int64_t
        interval; /* at least so many seconds a row; 0: as fine as reaches back to start */
    bool has_cf;  /* else all that there are */
    enum rrd_cf cf;
};

/* The archive that answers: the finest one with rows of at least interval that reaches back to start, else the
 * coarsest. last: the newest sample's time. */
size_t rrd_text_archive(const struct rrd_text_query *q, int64_t last);
/* Rows newest first, those that end at start or later, of the objects' enabled data sources. */
void rrd_text_updates(struct buf *out, const struct rrd_text_object *objects, size_t n,
                      const struct rrd_text_query *q, int64_t last, enum rrd_text how);
#endif
