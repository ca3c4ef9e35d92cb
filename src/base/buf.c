/* SPDX-License-Identifier: Apache-2.0 */
/* The growing byte buffer. Once it has overflowed it takes nothing more, so that what it holds is
 * always a beginning of what was meant. Not locked. */
#include "base/buf.h"

#include "base/mem.h"

void buf_done(struct buf *b)
{
    free(b->data);
    *b = (struct buf){ .max = b->max };
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->over = false;
    if (b->data)
        b->data[0] = '\0';
}

bool buf_overflow(const struct buf *b)
{
    return b->over;
}

void *buf_reserve(struct buf *b, size_t len)
{
    size_t need;
    if (b->over || __builtin_add_overflow(b->len, len, &need) || need == SIZE_MAX
        || (b->max && need > b->max)) {
        b->over = true;
        return NULL;
    }
    if (need + 1 > b->cap) {
        size_t cap = MAX(need + 1, MAX(b->cap + b->cap / 2, (size_t)64));
        if (b->max && cap > b->max + 1)
            cap = b->max + 1;
        b->data = mem_resize(b->data, cap, 1);
        b->cap = cap;
    }
    b->data[b->len] = '\0';
    return b->data + b->len;
}

void buf_add(struct buf *b, const void *p, size_t len)
{
    char *end = buf_reserve(b, len);
    if (!end || len == 0)
        return;
    memcpy(end, p, len);
    end[len] = '\0';
    b->len += len;
}

void buf_add_str(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_add_char(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_vaddf(struct buf *b, const char *fmt, va_list ap)
{
    char small[256];
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof(small), fmt, ap);
    if (n >= 0 && (size_t)n < sizeof(small)) {
        buf_add(b, small, (size_t)n);
    } else {
        AUTO(free_str) char *text = str_vfmt(fmt, again);
        buf_add_str(b, text);
    }
    va_end(again);
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vaddf(b, fmt, ap);
    va_end(ap);
}

void buf_add_int(struct buf *b, int64_t v)
{
    char text[24];
    size_t at = sizeof(text);
    uint64_t u = v < 0 ? -(uint64_t)v : (uint64_t)v;
    do {
        text[--at] = (char)('0' + u % 10);
        u /= 10;
    } while (u);
    if (v < 0)
        text[--at] = '-';
    buf_add(b, text + at, sizeof(text) - at);
}

void buf_drop_front(struct buf *b, size_t len)
{
    len = MIN(len, b->len);
    if (len == 0)
        return;
    b->len -= len;
    memmove(b->data, b->data + len, b->len);
    b->data[b->len] = '\0';
}

const char *buf_str(const struct buf *b)
{
    if (!b->data)
        return "";
    if (b->data[b->len] != '\0') /* a user of buf_reserve left something behind its end */
        b->data[b->len] = '\0';
    return b->data;
}

char *buf_take(struct buf *b)
{
    (void)buf_str(b); /* terminates it */
    char *data = b->data ? b->data : str_dup("");
    *b = (struct buf){ .max = b->max };
    return data;
}
