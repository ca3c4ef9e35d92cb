/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes, ownership helpers and the list of banned functions. Every file includes this,
 * directly or through another header of base/. */
#ifndef BASE_UTIL_H
#define BASE_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/* These declare names that are poisoned below, so they come before it whatever a file includes later. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#define MUST_CHECK            __attribute__((warn_unused_result))
#define PRINTF(fmt, args)     __attribute__((format(printf, fmt, args)))
#define NORETURN              __attribute__((noreturn))
#define UNUSED                __attribute__((unused))
#define AUTO(fn)              __attribute__((cleanup(fn)))
#define ARRAY_SIZE(a)         (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(p, t, m) ((t *)(void *)((char *)(p)-offsetof(t, m)))

#define CONCAT_(a, b) a##b
#define CONCAT(a, b)  CONCAT_(a, b)

#ifdef __cppcheck__ /* it cannot read the others */
#    define MIN(a, b) ((a) < (b) ? (a) : (b))
#    define MAX(a, b) ((a) > (b) ? (a) : (b))
#else
/* Each use names its variables anew, so that they nest without shadowing. */
#    define PICK_(op, a, b, x, y) \
        ({                        \
            __auto_type x = (a);  \
            __auto_type y = (b);  \
            x op y ? x : y;       \
        })
#    define MIN(a, b) \
        PICK_(<, a, b, CONCAT(min_a_, __COUNTER__), CONCAT(min_b_, __COUNTER__))
#    define MAX(a, b) \
        PICK_(>, a, b, CONCAT(max_a_, __COUNTER__), CONCAT(max_b_, __COUNTER__))
#endif

/* Hand a pointer or descriptor over: the variable is emptied, so its AUTO cleanup does nothing. */
#define TAKE(p)                  \
    ({                           \
        __auto_type take_ = (p); \
        (p) = NULL;              \
        take_;                   \
    })
#define TAKE_FD(fd)          \
    ({                       \
        int take_fd_ = (fd); \
        (fd) = -1;           \
        take_fd_;            \
    })

/* Drop the result of a MUST_CHECK function on purpose (GCC does not take a bare cast for that). */
#define IGNORE(call) ((void)!(call))

/* Cleanup functions for AUTO. close_fd keeps errno. */
void free_str(char **p);
void free_ptr(void *p); /* address of any pointer variable */
void close_fd(int *fd);

/* Banned: unbounded, locale- or thread-unsafe, or hiding a shell. Use buf.h, parse.h, proc.h, %m. */
#undef alloca
#undef sprintf /* a macro under _FORTIFY_SOURCE with Clang, and it may not be poisoned as one */
#pragma GCC poison strcpy strcat sprintf vsprintf strncpy strncat strtok atoi atol atoll
#pragma GCC poison gets system popen strerror alloca ctime asctime
/* Only as calls: OpenSSL's headers use the name for parameters. */
#define rand()      banned_rand_use_random_bytes()
#define srand(seed) banned_srand_use_random_bytes(seed)
#endif
