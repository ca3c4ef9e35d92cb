/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation that ends the process when memory is out, and the cleanup functions of util.h.
 * Thread: any. */
#include "base/mem.h"

#include <errno.h>

static NORETURN void mem_die(void)
{
    static const char msg[] = "out of memory\n";
    (void)!write(STDERR_FILENO, msg, sizeof(msg) - 1); /* nothing better to do */
    abort();
}

void *mem_alloc(size_t size)
{
    void *p = calloc(1, size ? size : 1);
    if (!p)
        mem_die();
    return p;
}

void *mem_array(size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        mem_die();
    return mem_alloc(total);
}

void *mem_resize(void *p, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        mem_die();
    p = realloc(p, total ? total : 1);
    if (!p)
        mem_die();
    return p;
}

void *mem_dup(const void *p, size_t size)
{
    void *copy = mem_alloc(size);
    if (size)
        memcpy(copy, p, size);
    return copy;
}

char *str_dup(const char *s)
{
    return s ? mem_dup(s, strlen(s) + 1) : NULL;
}

char *str_dupn(const char *s, size_t len)
{
    char *copy = mem_alloc(len + 1);
    if (len)
        memcpy(copy, s, len);
    return copy;
}

char *str_vfmt(const char *fmt, va_list ap)
{
    char *out;
    if (vasprintf(&out, fmt, ap) < 0)
        mem_die();
    return out;
}

char *str_fmt(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *out = str_vfmt(fmt, ap);
    va_end(ap);
    return out;
}

bool str_eq(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

bool str_starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
    size_t len = strlen(s), n = strlen(suffix);
    return len >= n && memcmp(s + len - n, suffix, n) == 0;
}

void free_str(char **p)
{
    free(*p);
}

void free_ptr(void *p)
{
    void *target;
    memcpy(&target, p, sizeof(target)); /* p is the address of a pointer of any type */
    free(target);
}

void close_fd(int *fd)
{
    if (*fd < 0)
        return;
    int saved = errno;
    (void)close(*fd); /* the caller has fsynced what it cares about */
    *fd = -1;         /* closed twice, it would be somebody else's */
    errno = saved;
}
