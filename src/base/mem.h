/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation that does not fail: running out of memory logs one line and aborts. Sizes that
 * come from outside must be bounded before they reach this. Thread: any. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdarg.h>

#include "base/util.h"

void *mem_alloc(size_t size) MUST_CHECK;               /* zeroed; given, free() */
void *mem_array(size_t count, size_t size) MUST_CHECK; /* zeroed, overflow checked; given */
void *mem_resize(void *p, size_t count, size_t size) MUST_CHECK; /* not zeroed; takes p */
void *mem_dup(const void *p, size_t size) MUST_CHECK;            /* given */
char *str_dup(const char *s) MUST_CHECK;                     /* given; NULL stays NULL */
char *str_dupn(const char *s, size_t len) MUST_CHECK;        /* given, terminated */
char *str_fmt(const char *fmt, ...) MUST_CHECK PRINTF(1, 2); /* given */
char *str_vfmt(const char *fmt, va_list ap) MUST_CHECK PRINTF(1, 0);
bool str_eq(const char *a, const char *b); /* both may be NULL */
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
#endif
