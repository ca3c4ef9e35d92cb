/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes, ownership helpers and the list of banned functions. Every file includes this,
 * directly or through another header of base/. */
#ifndef BASE_UTIL_H
#define BASE_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK            __attribute__((warn_unused_result))
#define PRINTF(fmt, args)     __attribute__((format(printf, fmt, args)))
#define NORETURN              __attribute__((noreturn))
#define UNUSED                __attribute__((unused))
#define AUTO(fn)              __attribute__((cleanup(fn)))
#define ARRAY_SIZE(a)         (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(p, t, m) ((t *)(void *)((char *)(p) - offsetof(t, m)))

#define MIN(a, b)                                                                            \
    ({                                                                                       \
        __auto_type min_a_ = (a);                                                            \
        __auto_type min_b_ = (b);                                                            \
        min_a_ < min_b_ ? min_a_ : min_b_;                                                   \
    })
#define MAX(a, b)                                                                            \
    ({                                                                                       \
        __auto_type max_a_ = (a);                                                            \
        __auto_type max_b_ = (b);                                                            \
        max_a_ > max_b_ ? max_a_ : max_b_;                                                   \
    })

/* Hand a pointer or descriptor over: the variable is emptied, so its AUTO cleanup does nothing. */
#define TAKE(p)                                                                              \
    ({                                                                                       \
        __auto_type take_ = (p);                                                             \
        (p) = NULL;                                                                          \
        take_;                                                                               \
    })
#define TAKE_FD(fd)                                                                          \
    ({                                                                                       \
        int take_fd_ = (fd);                                                                 \
        (fd) = -1;                                                                           \
        take_fd_;                                                                            \
    })

/* Cleanup functions for AUTO. close_fd keeps errno. */
void free_str(char **p);
void free_ptr(void *p); /* address of any pointer variable */
void close_fd(int *fd);

/* Banned: unbounded, locale- or thread-unsafe, or hiding a shell. Use buf.h, parse.h, proc.h, %m. */
#pragma GCC poison strcpy strcat sprintf vsprintf strncpy strncat strtok atoi atol atoll
#pragma GCC poison gets system popen strerror alloca rand srand ctime asctime
#endif
