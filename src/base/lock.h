/* SPDX-License-Identifier: Apache-2.0 */
/* Mutexes and conditions that Clang's thread-safety analysis understands. Take and release
 * them explicitly. The order is: task, qmp, db. None is held across I/O. */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <pthread.h>

#include "base/util.h"

#if defined(__clang__)
#    define TSA(x) __attribute__((x))
#else
#    define TSA(x)
#endif
#define CAPABILITY(name) TSA(capability(name))
#define GUARDED_BY(m)    TSA(guarded_by(m))
#define REQUIRES(...)    TSA(requires_capability(__VA_ARGS__))
#define EXCLUDES(...)    TSA(locks_excluded(__VA_ARGS__))
#define ACQUIRE(...)     TSA(acquire_capability(__VA_ARGS__))
#define RELEASE(...)     TSA(release_capability(__VA_ARGS__))
#define NO_TSA           TSA(no_thread_safety_analysis)

struct CAPABILITY("mutex") mutex {
    pthread_mutex_t m;
};

struct cond {
    pthread_cond_t c;
};

#define MUTEX_INIT                \
    {                             \
        PTHREAD_MUTEX_INITIALIZER \
    }

void mutex_init(struct mutex *m);
void mutex_done(struct mutex *m);
void mutex_lock(struct mutex *m) ACQUIRE(m);
void mutex_unlock(struct mutex *m) RELEASE(m);
void cond_init(struct cond *c); /* waits by CLOCK_MONOTONIC */
void cond_done(struct cond *c);
void cond_wait(struct cond *c, struct mutex *m) REQUIRES(m);
/* at_us: absolute clock_now_us() time. False when it has passed. */
bool cond_wait_until(struct cond *c, struct mutex *m, int64_t at_us) REQUIRES(m);
void cond_signal(struct cond *c);
void cond_broadcast(struct cond *c);

/* Start a thread with a stack of stack_kib (0: the default of 256). Signals are blocked in it. */
int thread_start(pthread_t *thread_out, const char *name, size_t stack_kib,
                 void *(*fn)(void *), void *arg) MUST_CHECK;
#endif
