/* SPDX-License-Identifier: Apache-2.0 */
/* Compressing what goes out as a stream, in front of another sink. Thread: one at a time. */
#ifndef HOST_PACK_H
#define HOST_PACK_H

#include "base/err.h"

enum pack_kind { PACK_NONE, PACK_GZIP, PACK_ZSTD, PACK_UNKNOWN };

/* NULL, "false", "no": none; "true", "gzip"; "zstd". */
enum pack_kind pack_kind(const char *name);

typedef int (*pack_write_fn)(void *arg, const void *p, size_t n, struct err *err);

struct pack;

struct pack *pack_new(enum pack_kind kind, pack_write_fn write, void *arg);
void pack_free(struct pack **p);
int pack_write(struct pack *p, const void *data, size_t n, struct err *err) MUST_CHECK;
int pack_end(struct pack *p, struct err *err) MUST_CHECK; /* what is still held back */
#endif
