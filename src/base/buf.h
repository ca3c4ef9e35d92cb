/* SPDX-License-Identifier: Apache-2.0 */
/* A growing byte buffer, always terminated by a NUL that len does not count. A buffer that would
 * pass its maximum drops what does not fit whole, and everything after it, and remembers that:
 * check buf_overflow() once at the end. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>

#include "base/util.h"

struct buf {
    char *data; /* NULL while empty */
    size_t len;
    size_t cap;
    size_t max; /* 0: unlimited (only for sizes that we made ourselves) */
    bool over;
};

#define BUF_INIT(max_bytes) ((struct buf){ .max = (max_bytes) })

void buf_done(struct buf *b);  /* frees, leaves it empty and usable; fit for AUTO */
void buf_clear(struct buf *b); /* len = 0, memory kept */
bool buf_overflow(const struct buf *b);
void buf_add(struct buf *b, const void *p, size_t len);
void buf_add_str(struct buf *b, const char *s);
void buf_add_char(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
void buf_vaddf(struct buf *b, const char *fmt, va_list ap) PRINTF(2, 0);
void buf_add_int(struct buf *b, int64_t v);
/* Room for len bytes at the end, NULL on overflow. Write there, then add what was used to b->len. */
void *buf_reserve(struct buf *b, size_t len);
void buf_drop_front(struct buf *b, size_t len);
const char *buf_str(const struct buf *b); /* borrowed, never NULL */
char *buf_take(struct buf *b);            /* given, never NULL */
#endif
