/* SPDX-License-Identifier: Apache-2.0 */
/* The measurements of this host, of the VMs that run here and of the attached storage repositories: one thread samples them
 * every 5 seconds into stores (model/rrd.h), which are saved in STATE/rrd/UUID every 10 minutes, when a VM stops and
 * at the end of the daemon. VMs that do not run are in their file only. Functions: any thread, no lock held. */
#ifndef OPS_STATS_H
#define OPS_STATS_H

#include "model/rrd_text.h"
#include "model/schema.h"
#include "ops/call.h"

/* every_us: 0: 5 s. Otherwise, for tests: a round each every_us, which counts as 5 s: the clock of the measurements then
 * runs ahead. */
int stats_init(int64_t every_us, struct err *err) MUST_CHECK;
void stats_stop(void); /* ends the thread and saves; what there is can still be read */
void stats_done(void);
int stats_save(struct err *err) MUST_CHECK; /* all, now */

/* The whole store of a host, VM or SR; false: there is none of this uuid, or nothing has been measured yet. */
bool stats_whole(enum class_id cls, const char *uuid, enum rrd_text how, struct buf *out);

struct stats_tables {
    bool host;
    const char *vm_uuid; /* NULL: all that run */
    const char *sr_uuid; /* NULL: none; "all" */
    struct rrd_text_query query;
};

void stats_updates(const struct stats_tables *which, enum rrd_text how, struct buf *out);

/* Calls fn for each data source, under the lock of the stores: it must not block. uuid NULL: of all objects of the class. */
typedef void (*stats_fn)(const char *uuid, const struct rrd_ds_info *ds, void *arg);
void stats_each(enum class_id cls, const char *uuid, stats_fn fn, void *arg);
/* Record a data source or not. False: none of that name. */
bool stats_enable(enum class_id cls, const char *uuid, const char *name, bool enabled);
size_t stats_bytes(void); /* memory that the stores hold */
uint64_t stats_rounds(void);
#endif
