/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop. An event carries its descriptor's number and the generation of its registration,
 * so that one which was removed, or closed and registered anew, by an earlier callback of the same
 * batch is recognised and dropped. Timers are a binary heap behind one timerfd. */
#include "base/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/vec.h"

#define BATCH 64

struct watch {
    loop_fn fn; /* NULL: not registered */
    void *arg;
    uint32_t generation;
};

struct timer {
    uint64_t id;
    int64_t at_us;
    loop_post_fn fn;
    void *arg;
    size_t at; /* its place in the heap */
};

struct posted {
    loop_post_fn fn;
    void *arg;
};

/* What other threads reach is behind lock (Clang 14 cannot name a sibling member in an annotation). */
struct loop {
    int epoll_fd, wake_fd, timer_fd;
    VEC(struct watch) watches; /* by descriptor */
    uint32_t last_generation;
    VEC(struct timer *) heap;
    struct hash timers; /* by id */
    uint64_t last_timer;
    struct mutex lock;
    VEC(struct posted) posts; /* lock */
    bool stop;                /* lock */
};

static void drain(int fd)
{
    uint64_t count;
    (void)!read(fd, &count, sizeof(count)); /* non-blocking; nothing to read is fine */
}

static int epoll_set(struct loop *l, int op, int fd, uint32_t events, uint32_t generation)
{
    struct epoll_event e = { .events = events,
                             .data.u64 = (uint64_t)generation << 32 | (uint32_t)fd };
    return epoll_ctl(l->epoll_fd, op, fd, &e);
}

struct loop *loop_new(void)
{
    struct loop *l = mem_alloc(sizeof(*l));
    mutex_init(&l->lock);
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (l->epoll_fd < 0 || l->wake_fd < 0 || l->timer_fd < 0
        || epoll_set(l, EPOLL_CTL_ADD, l->wake_fd, EPOLLIN, 0) < 0
        || epoll_set(l, EPOLL_CTL_ADD, l->timer_fd, EPOLLIN, 0) < 0) {
        int saved = errno;
        loop_free(l);
        errno = saved;
        return NULL;
    }
    return l;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->heap.n; i++)
        free(l->heap.v[i]);
    vec_done(&l->heap);
    hash_done(&l->timers);
    vec_done(&l->watches);
    vec_done(&l->posts);
    close_fd(&l->epoll_fd);
    close_fd(&l->wake_fd);
    close_fd(&l->timer_fd);
    mutex_done(&l->lock);
    free(l);
}

static struct watch *find_watch(struct loop *l, int fd)
{
    if (fd < 0 || (size_t)fd >= l->watches.n || !l->watches.v[fd].fn)
        return NULL;
    return &l->watches.v[fd];
}

int loop_add(struct loop *l, int fd, uint32_t events, loop_fn fn, void *arg)
{
    if (fd < 0 || find_watch(l, fd)) {
        errno = fd < 0 ? EBADF : EEXIST;
        return -1;
    }
    uint32_t generation = l->last_generation + 1;
    if (generation == 0) /* 0 marks our own descriptors */
        generation = 1;
    if (epoll_set(l, EPOLL_CTL_ADD, fd, events, generation) < 0)
        return -1;
    l->last_generation = generation;
    while (l->watches.n <= (size_t)fd)
        vec_push(&l->watches, (struct watch){ 0 });
    l->watches.v[fd] = (struct watch){ fn, arg, generation };
    return 0;
}

int loop_mod(struct loop *l, int fd, uint32_t events)
{
    const struct watch *w = find_watch(l, fd);
    if (!w) {
        errno = ENOENT;
        return -1;
    }
    return epoll_set(l, EPOLL_CTL_MOD, fd, events, w->generation);
}

void loop_del(struct loop *l, int fd)
{
    struct watch *w = find_watch(l, fd);
    if (!w)
        return;
    *w = (struct watch){ 0 };
    (void)epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, fd,
                    NULL); /* gone already if it was closed */
}

static void wake(struct loop *l)
{
    uint64_t one = 1;
    (void)!write(l->wake_fd, &one,
                 sizeof(one)); /* fails only when it is already far from 0 */
}

void loop_post(struct loop *l, loop_post_fn fn, void *arg)
{
    mutex_lock(&l->lock);
    bool first = l->posts.n == 0;
    vec_push(&l->posts, ((struct posted){ fn, arg }));
    if (first) /* under the lock, so that the loop cannot be freed meanwhile by what was posted */
        wake(l);
    mutex_unlock(&l->lock);
}

void loop_stop(struct loop *l)
{
    mutex_lock(&l->lock);
    l->stop = true;
    wake(l);
    mutex_unlock(&l->lock);
}

/* What a post posts runs in the next round, so that descriptors get their turn. */
static void run_posts(struct loop *l)
{
    drain(l->wake_fd);
    mutex_lock(&l->lock);
    struct posted *posts = l->posts.v;
    size_t n = l->posts.n;
    l->posts.v = NULL;
    l->posts.n = l->posts.cap = 0;
    mutex_unlock(&l->lock);
    for (size_t i = 0; i < n; i++)
        posts[i].fn(posts[i].arg);
    free(posts);
}

static void heap_place(struct loop *l, struct timer *t, size_t at)
{
    l->heap.v[at] = t;
    t->at = at;
}

/* Move the timer at position at up or down to where it belongs. */
static void heap_fix(struct loop *l, size_t at)
{
    struct timer *t = l->heap.v[at];
    while (at > 0 && l->heap.v[(at - 1) / 2]->at_us > t->at_us) {
        heap_place(l, l->heap.v[(at - 1) / 2], at);
        at = (at - 1) / 2;
    }
    for (;;) {
        size_t child = at * 2 + 1;
        if (child + 1 < l->heap.n && l->heap.v[child + 1]->at_us < l->heap.v[child]->at_us)
            child++;
        if (child >= l->heap.n || l->heap.v[child]->at_us >= t->at_us)
            break;
        heap_place(l, l->heap.v[child], at);
        at = child;
    }
    heap_place(l, t, at);
}

static void timer_remove(struct loop *l, struct timer *t)
{
    size_t at = t->at;
    struct timer *last = l->heap.v[--l->heap.n];
    if (last != t) {
        heap_place(l, last, at);
        heap_fix(l, at);
    }
    (void)hash_remove(&l->timers, &t->id, sizeof(t->id));
    free(t);
}

/* Set the timerfd to the earliest timer. An expiry for one that was cancelled since does no harm. */
static void timer_arm(struct loop *l)
{
    struct itimerspec when = { 0 };
    if (l->heap.n > 0) {
        int64_t at_us = MAX(l->heap.v[0]->at_us, (int64_t)1);
        when.it_value.tv_sec = (time_t)(at_us / US_PER_SEC);
        when.it_value.tv_nsec = (long)(at_us % US_PER_SEC * 1000);
    }
    if (timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) < 0)
        abort();
}

uint64_t loop_timer(struct loop *l, int64_t us, loop_post_fn fn, void *arg)
{
    struct timer *t = mem_alloc(sizeof(*t));
    *t = (struct timer){ .id = ++l->last_timer, .fn = fn, .arg = arg };
    if (__builtin_add_overflow(clock_now_us(), us, &t->at_us))
        t->at_us = INT64_MAX;
    vec_push(&l->heap, t);
    heap_fix(l, l->heap.n - 1);
    (void)hash_put(&l->timers, &t->id, sizeof(t->id), t); /* ids are never reused */
    if (t->at == 0)
        timer_arm(l);
    return t->id;
}

void loop_timer_cancel(struct loop *l, uint64_t id)
{
    struct timer *t = hash_get(&l->timers, &id, sizeof(id));
    if (t)
        timer_remove(l, t);
}

/* Those due by now; a timer that a callback starts waits for the next round even if it is due. */
static void run_timers(struct loop *l)
{
    drain(l->timer_fd);
    int64_t now = clock_now_us();
    uint64_t last = l->last_timer;
    while (l->heap.n > 0 && l->heap.v[0]->at_us <= now && l->heap.v[0]->id <= last) {
        struct timer due = *l->heap.v[0];
        timer_remove(l, l->heap.v[0]);
        due.fn(due.arg);
    }
    timer_arm(l);
}

static void run_event(struct loop *l, const struct epoll_event *e)
{
    int fd = (int)(uint32_t)e->data.u64;
    if (fd == l->wake_fd) {
        run_posts(l);
    } else if (fd == l->timer_fd) {
        run_timers(l);
    } else {
        const struct watch *w = find_watch(l, fd);
        if (w && w->generation == e->data.u64 >> 32)
            w->fn(w->arg, e->events);
    }
}

static bool take_stop(struct loop *l)
{
    mutex_lock(&l->lock);
    bool stop = l->stop;
    l->stop = false;
    mutex_unlock(&l->lock);
    return stop;
}

int loop_run(struct loop *l)
{
    while (!take_stop(l)) {
        struct epoll_event events[BATCH];
        int n = epoll_wait(l->epoll_fd, events, BATCH, -1);
        if (n < 0 && errno != EINTR)
            return -1;
        for (int i = 0; i < n; i++)
            run_event(l, &events[i]);
    }
    return 0;
}
