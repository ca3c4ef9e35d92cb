/* SPDX-License-Identifier: Apache-2.0 */
/* Thin wrappers over pthreads. A lock call that fails is our own mistake and ends the process.
 * The bodies are hidden from the analysis, which knows only the annotated prototypes. */
#include "base/lock.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>

#include "base/clock.h"

static void must(int rc)
{
    if (rc != 0)
        abort();
}

void mutex_init(struct mutex *m)
{
    must(pthread_mutex_init(&m->m, NULL));
}

void mutex_done(struct mutex *m)
{
    must(pthread_mutex_destroy(&m->m));
}

void mutex_lock(struct mutex *m) NO_TSA
{
    must(pthread_mutex_lock(&m->m));
}

void mutex_unlock(struct mutex *m) NO_TSA
{
    must(pthread_mutex_unlock(&m->m));
}

void cond_init(struct cond *c)
{
    pthread_condattr_t attr;
    must(pthread_condattr_init(&attr));
    must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC));
    must(pthread_cond_init(&c->c, &attr));
    must(pthread_condattr_destroy(&attr));
}

void cond_done(struct cond *c)
{
    must(pthread_cond_destroy(&c->c));
}

void cond_wait(struct cond *c, struct mutex *m)
{
    must(pthread_cond_wait(&c->c, &m->m));
}

bool cond_wait_until(struct cond *c, struct mutex *m, int64_t at_us)
{
    if (at_us == INT64_MAX) {
        cond_wait(c, m);
        return true;
    }
    at_us = MAX(at_us, (int64_t)0);
    struct timespec at = { .tv_sec = (time_t)(at_us / US_PER_SEC),
                           .tv_nsec = (long)(at_us % US_PER_SEC * 1000) };
    int rc = pthread_cond_timedwait(&c->c, &m->m, &at);
    if (rc == ETIMEDOUT)
        return false;
    must(rc);
    return true;
}

void cond_signal(struct cond *c)
{
    must(pthread_cond_signal(&c->c));
}

void cond_broadcast(struct cond *c)
{
    must(pthread_cond_broadcast(&c->c));
}

int thread_start(pthread_t *thread_out, const char *name, size_t stack_kib,
                 void *(*fn)(void *), void *arg)
{
    pthread_attr_t attr;
    must(pthread_attr_init(&attr));
    size_t stack = (stack_kib ? stack_kib : 256) * 1024;
    int rc = pthread_attr_setstacksize(&attr, MAX(stack, (size_t)PTHREAD_STACK_MIN));
    sigset_t all, old;
    (void)sigfillset(&all);
    pthread_t thread;
    if (rc == 0) {
        must(pthread_sigmask(SIG_SETMASK, &all, &old)); /* the thread inherits the mask */
        rc = pthread_create(&thread, &attr, fn, arg);
        must(pthread_sigmask(SIG_SETMASK, &old, NULL));
    }
    must(pthread_attr_destroy(&attr));
    if (rc != 0) {
        errno = rc;
        return -1;
    }
    char short_name[16]; /* the kernel's limit */
    (void)snprintf(short_name, sizeof(short_name), "%s", name);
    (void)pthread_setname_np(thread,
                             short_name); /* only for people; the thread may be over */
    *thread_out = thread;
    return 0;
}
