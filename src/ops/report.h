/* SPDX-License-Identifier: Apache-2.0 */
/* A support bundle: what somebody who helps needs to know of this host, as files in an archive. Never a secret: the
 * database is written without them (dbxml.h), and logs hold none. */
#ifndef OPS_REPORT_H
#define OPS_REPORT_H

#include "ops/call.h"

enum report_format { REPORT_TAR, REPORT_TAR_BZ2, REPORT_ZIP };

/* "tar", "tar.bz2" (the default, for NULL) or "zip". */
bool report_format(const char *name, enum report_format *out);

/* Which entries there are, as XML that clients choose by. */
void report_capabilities(struct buf *out);

/* Where the archive goes, a piece at a time; -1 ends it. */
typedef int (*report_sink_fn)(void *arg, const void *p, size_t n);

/* entries: keys of the capabilities between commas, NULL: all that are so by default; unknown ones are not there.
 * stamp: in the name of the folder. -1: the sink's, or SYSTEM_STATUS_RETRIEVAL_FAILED(reason). */
int report_write(const char *entries, const char *stamp, enum report_format format,
                 report_sink_fn sink, void *arg, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
#endif
