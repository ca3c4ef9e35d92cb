/* SPDX-License-Identifier: Apache-2.0 */
#include "base/lock.h"

#include <errno.h>
#include <signal.h>

#include "base/clock.h"
#include "base/test.h"

static struct mutex lock = MUTEX_INIT;
static int counter GUARDED_BY(lock);

static void *count_up(void *arg)
{
    for (int i = 0; i < 20000; i++) {
        mutex_lock(&lock);
        counter++;
        mutex_unlock(&lock);
    }
    return arg;
}

TEST(excludes)
{
    pthread_t t[4];
    for (size_t i = 0; i < ARRAY_SIZE(t); i++)
        CHECK_INT(thread_start(&t[i], "count", 0, count_up, &t[i]), 0);
    for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
        void *result;
        CHECK_INT(pthread_join(t[i], &result), 0);
        CHECK(result == &t[i]);
    }
    mutex_lock(&lock);
    CHECK_INT(counter, 80000);
    mutex_unlock(&lock);
}

struct turn {
    struct mutex m;
    struct cond c;
    int value;
};

static void *answer(void *arg)
{
    struct turn *t = arg;
    mutex_lock(&t->m);
    while (t->value != 1)
        cond_wait(&t->c, &t->m);
    t->value = 2;
    cond_broadcast(&t->c);
    mutex_unlock(&t->m);
    return NULL;
}

TEST(conditions_wake)
{
    struct turn t = { .value = 0 };
    mutex_init(&t.m);
    cond_init(&t.c);
    pthread_t thread;
    CHECK_INT(thread_start(&thread, "a name longer than fifteen", 64, answer, &t), 0);
    mutex_lock(&t.m);
    t.value = 1;
    cond_signal(&t.c);
    while (t.value != 2)
        CHECK(cond_wait_until(&t.c, &t.m, INT64_MAX));
    mutex_unlock(&t.m);
    CHECK_INT(pthread_join(thread, NULL), 0);
    cond_done(&t.c);
    mutex_done(&t.m);
}

TEST(timed_wait_ends)
{
    struct mutex m = MUTEX_INIT;
    struct cond c;
    cond_init(&c);
    int64_t at = clock_now_us() + 10 * US_PER_MS;
    mutex_lock(&m);
    while (cond_wait_until(&c, &m, at)) { /* a spurious wakeup is allowed */
    }
    CHECK(clock_now_us() >= at);
    CHECK(!cond_wait_until(&c, &m, 0));
    CHECK(!cond_wait_until(&c, &m, -7));
    mutex_unlock(&m);
    cond_done(&c);
}

static void *report_mask(void *arg)
{
    sigset_t *mask = arg;
    CHECK_INT(pthread_sigmask(SIG_SETMASK, NULL, mask), 0);
    return NULL;
}

TEST(threads_block_signals_and_ours_stay)
{
    sigset_t theirs, ours;
    pthread_t t;
    CHECK_INT(thread_start(&t, "mask", 0, report_mask, &theirs), 0);
    CHECK_INT(pthread_join(t, NULL), 0);
    CHECK_INT(pthread_sigmask(SIG_SETMASK, NULL, &ours), 0);
    CHECK(sigismember(&theirs, SIGTERM) && sigismember(&theirs, SIGCHLD));
    CHECK(!sigismember(&ours, SIGTERM));
}

TEST(an_impossible_stack_is_an_error)
{
    pthread_t t;
    CHECK_INT(thread_start(&t, "huge", SIZE_MAX / 4096, report_mask, NULL), -1);
    CHECK(errno == EAGAIN || errno == ENOMEM || errno == EINVAL);
}
