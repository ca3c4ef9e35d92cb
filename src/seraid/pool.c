/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the worker threads and the queue of jobs in front of them. A thread is either idle, active (counted against
 * max_active) or blocked (declared to wait). A thread that fetches is active while it waits for a job: with as many of
 * them as may compute there is nobody to wake when a job comes, and nobody to tell when it ends. Only around a declared
 * wait do places change hands. Never looks into a job. */
#include "seraid/pool.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/deadline.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"

#define IDLE_US        (10 * US_PER_SEC)
#define MIN_THREADS    2
#define SPARE_FRACTION 8 /* one thread in so many may not be spent on waiting */

struct job {
    struct list link;
    pool_fn fn;
    void *arg;
};

/* All but the last two lines are behind m (Clang 14 cannot name a sibling member in an annotation). */
struct pool {
    struct mutex m;
    struct cond work;  /* a job, a free place, or the end */
    struct cond quiet; /* a job ended or a thread did */
    struct list queue;
    size_t idle, active, blocked, threads;
    size_t starting; /* threads that will look for a job */
    pool_fetch_fn fetch;
    void *fetch_arg;
    bool fetched; /* there is nothing more to fetch */
    bool ending;
    bool has_ended;
    pthread_t ended; /* the thread that ended last, to be joined */
    size_t max_active, max_threads;
    const char *name;
};

/* The pool whose job this thread runs. */
static _Thread_local struct pool *current_pool;
static _Thread_local unsigned blocked_depth;
static _Thread_local bool has_blocked; /* since it last looked at how many are active */

static void *worker(void *arg);

/* Is there work for one more thread? */
static bool wanted(const struct pool *p) REQUIRES(p->m)
{
    if (p->active + p->starting >= p->max_active)
        return false;
    return p->fetch ? !p->fetched : !list_empty(&p->queue);
}

/* Fill a free place: wake somebody, or start a thread. */
static void kick(struct pool *p) REQUIRES(p->m)
{
    pthread_t t;

    if (!wanted(p))
        return;
    if (p->idle > 0) {
        cond_signal(&p->work);
        return;
    }
    if (p->threads >= p->max_threads)
        return;
    p->threads++;
    p->starting++;
    if (thread_start(&t, p->name, 0, worker, p) == 0) {
        return;
    }
    p->threads--;
    p->starting--;
    log_error("no further thread for %s: %m", p->name);
}

static bool wait_for_job(struct pool *p) REQUIRES(p->m)
{
    int64_t until = clock_now_us() + IDLE_US;

    while (list_empty(&p->queue) || p->active >= p->max_active) {
        bool in_time;

        if (p->ending && list_empty(&p->queue))
            return false;
        p->idle++;
        in_time = cond_wait_until(&p->work, &p->m, until);
        p->idle--;
        if (!in_time && list_empty(&p->queue)) {
            if (p->threads > MIN_THREADS)
                return false;
            until = clock_now_us() + IDLE_US;
        } else if (!in_time) {
            until = clock_now_us() + IDLE_US;
        }
    }
    return true;
}

/* Until there is a place among those that fetch. False: this thread is not needed. */
static bool wait_for_place(struct pool *p) REQUIRES(p->m)
{
    int64_t until = clock_now_us() + IDLE_US;
    bool in_time = true;

    while (!p->fetched && p->active >= p->max_active && in_time) {
        p->idle++;
        in_time = cond_wait_until(&p->work, &p->m, until);
        p->idle--;
    }
    return !p->fetched && p->active < p->max_active;
}

/* Each thread that ends joins the one that ended before it, and pool_free() the last: so no thread runs on, not even
 * the libraries' per-thread clean-up, when the process takes itself apart. */
static void leave(struct pool *p) RELEASE(p->m)
{
    bool join = p->has_ended;
    pthread_t before = p->ended;

    p->ended = pthread_self();
    p->has_ended = true;
    p->threads--;
    cond_broadcast(&p->quiet);
    mutex_unlock(&p->m);
    if (join)
        (void)pthread_join(before, NULL); /* it is past its last lock */
}

static void fetch_jobs(struct pool *p) REQUIRES(p->m)
{
    while (wait_for_place(p)) {
        bool more;

        p->active++;
        kick(p);
        mutex_unlock(&p->m);
        has_blocked = false;
        do
            more = p->fetch(p->fetch_arg);
        while (more && !has_blocked);
        mutex_lock(&p->m);
        p->active--;
        if (!more) {
            p->fetched = true;
            cond_broadcast(&p->work);
            cond_broadcast(&p->quiet);
        }
    }
}

static void run_jobs(struct pool *p) REQUIRES(p->m)
{
    while (wait_for_job(p)) {
        struct job *j = list_entry(p->queue.next, struct job, link);

        list_remove(&j->link);
        p->active++;
        kick(p);
        mutex_unlock(&p->m);
        j->fn(j->arg);
        free(j);
        mutex_lock(&p->m);
        p->active--;
        cond_broadcast(&p->quiet);
    }
}

static void *worker(void *arg)
{
    static const struct deadline_hook hook = { pool_blocked_begin, pool_blocked_end };
    struct pool *p = arg;

    log_set_thread(p->name);
    current_pool = p;
    deadline_set_hook(&hook);
    mutex_lock(&p->m);
    p->starting--;
    if (p->fetch)
        fetch_jobs(p);
    else
        run_jobs(p);
    leave(p);
    return NULL;
}

struct pool *pool_new(const char *name, size_t max_active, size_t max_threads)
{
    struct pool *p = mem_alloc(sizeof(*p));

    mutex_init(&p->m);
    cond_init(&p->work);
    cond_init(&p->quiet);
    list_init(&p->queue);
    p->max_active = max_active;
    p->max_threads = max_threads;
    p->name = name;
    return p;
}

void pool_fetch(struct pool *p, pool_fetch_fn fetch, void *arg)
{
    mutex_lock(&p->m);
    p->fetch_arg = arg;
    p->fetch = fetch;
    for (size_t i = 0; i < p->max_active; i++)
        kick(p);
    mutex_unlock(&p->m);
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    mutex_lock(&p->m);
    p->ending = true;
    cond_broadcast(&p->work);
    while (p->threads > 0)
        cond_wait(&p->quiet, &p->m);
    mutex_unlock(&p->m);
    if (p->has_ended)
        (void)pthread_join(p->ended, NULL);
    cond_done(&p->work);
    cond_done(&p->quiet);
    mutex_done(&p->m);
    free(p);
}

void pool_submit(struct pool *p, pool_fn fn, void *arg)
{
    struct job *j = mem_alloc(sizeof(*j));

    j->fn = fn;
    j->arg = arg;
    mutex_lock(&p->m);
    list_add_tail(&p->queue, &j->link);
    kick(p);
    mutex_unlock(&p->m);
}

bool pool_blocked_begin(void)
{
    struct pool *p = current_pool;
    bool ok;

    if (!p)
        return true;
    if (blocked_depth > 0) {
        blocked_depth++;
        return true;
    }
    mutex_lock(&p->m);
    ok = p->blocked < p->max_threads - p->max_threads / SPARE_FRACTION;
    if (ok) {
        p->blocked++;
        p->active--;
        kick(p);
    }
    mutex_unlock(&p->m);
    blocked_depth = ok;
    has_blocked = has_blocked || ok;
    return ok;
}

void pool_blocked_end(void)
{
    struct pool *p = current_pool;

    if (!p || --blocked_depth > 0)
        return;
    mutex_lock(&p->m);
    p->blocked--;
    p->active++; /* may pass max_active for the moment: the job has to go on */
    mutex_unlock(&p->m);
}

static bool busy(const struct pool *p) REQUIRES(p->m)
{
    return !list_empty(&p->queue) || p->active > 0 || p->blocked > 0;
}

bool pool_drain(struct pool *p, int64_t at_us)
{
    bool quiet = true;

    mutex_lock(&p->m);
    while (quiet && busy(p))
        quiet = cond_wait_until(&p->quiet, &p->m, at_us);
    quiet = !busy(p);
    mutex_unlock(&p->m);
    return quiet;
}

size_t pool_threads(struct pool *p)
{
    size_t n;

    mutex_lock(&p->m);
    n = p->threads;
    mutex_unlock(&p->m);
    return n;
}
