/* SPDX-License-Identifier: Apache-2.0 */
/* Archives written to a stream: tar, tar compressed by bzip2, or zip without compression. Pure. */
#ifndef OPS_ARCHIVE_H
#define OPS_ARCHIVE_H

#include "base/util.h"
#include "ops/report.h"

struct archive;
struct archive *archive_new(enum report_format format, int64_t mtime_s, report_sink_fn sink,
                            void *arg);
int archive_add(struct archive *a, const char *name, const void *p, size_t n) MUST_CHECK;
int archive_end(struct archive *a) MUST_CHECK; /* what stands behind the last file */
void archive_free(struct archive *a);
#endif
