/* SPDX-License-Identifier: Apache-2.0 */
/* Messages as a block of fields, "name=value" each ended by a NUL: what passes between our own processes. Names may
 * repeat, order counts, values hold anything but NUL. Nothing is copied. Thread: any. */
#ifndef BASE_FIELDS_H
#define BASE_FIELDS_H

#include "base/buf.h"

struct field {
    const char *name, *value; /* borrowed from the message */
};

/* Append one. The value is cut at nothing: it is a C string. */
void fields_add(struct buf *b, const char *name, const char *value);
void fields_add_u64(struct buf *b, const char *name, uint64_t value);
/* Split msg in place (each first '=' becomes a NUL). False: not a block of at most max fields with lower-case names.
 * Errors leave msg half split. */
bool fields_parse(char *msg, size_t len, struct field *out, size_t max, size_t *n_out)
    MUST_CHECK;
/* The first value of that name, NULL: none. */
const char *fields_get(const struct field *f, size_t n, const char *name);
#endif
