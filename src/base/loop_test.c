/* SPDX-License-Identifier: Apache-2.0 */
#include "base/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/test.h"

/* Callbacks append a letter here, so that a test reads as the order of events. */
struct world {
    struct loop *l;
    char log[4096];
    size_t n;
    int fds[8];
    int calls;
};

static void note(struct world *w, char c)
{
    CHECK(w->n < sizeof(w->log) - 1);
    w->log[w->n++] = c;
}

static void open_world(struct world *w)
{
    *w = (struct world){ .l = loop_new() };
    CHECK(w->l != NULL);
    for (size_t i = 0; i < ARRAY_SIZE(w->fds); i++) {
        w->fds[i] = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK); /* readable from the start */
        CHECK(w->fds[i] >= 0);
    }
}

static void close_world(struct world *w)
{
    loop_free(w->l);
    for (size_t i = 0; i < ARRAY_SIZE(w->fds); i++)
        close_fd(&w->fds[i]);
}

static void stop(void *arg)
{
    struct world *w = arg;
    loop_stop(w->l);
}

static void post_a(void *arg)
{
    note(arg, 'a');
}

static void post_b(void *arg)
{
    struct world *w = arg;
    note(w, 'b');
    loop_post(w->l, stop, w);
}

TEST(posts_run_in_order)
{
    struct world w;
    open_world(&w);
    loop_post(w.l, post_a, &w);
    loop_post(w.l, post_a, &w);
    loop_post(w.l, post_b, &w);
    CHECK_INT(loop_run(w.l), 0);
    CHECK_STR(w.log, "aab");
    loop_post(w.l, post_b, &w); /* it runs again after a stop */
    CHECK_INT(loop_run(w.l), 0);
    CHECK_STR(w.log, "aabb");
    close_world(&w);
}

/* Of several ready descriptors, whichever callback comes first removes all others. */
static void remove_others(void *arg, uint32_t events)
{
    struct world *w = arg;
    CHECK(events & EPOLLIN);
    w->calls++;
    for (size_t i = 0; i < ARRAY_SIZE(w->fds); i++)
        loop_del(w->l, w->fds[i]);
    loop_post(w->l, stop, w);
}

TEST(removal_within_a_batch)
{
    struct world w;
    open_world(&w);
    for (size_t i = 0; i < ARRAY_SIZE(w.fds); i++)
        CHECK_INT(loop_add(w.l, w.fds[i], EPOLLIN, remove_others, &w), 0);
    CHECK_INT(loop_run(w.l), 0);
    CHECK_INT(w.calls, 1);
    close_world(&w);
}

static void not_ready(void *arg, uint32_t events)
{
    test_fail(__FILE__, __LINE__, "an event of the descriptor that had this number before");
}

/* The others are closed and their numbers given to new, quiet descriptors, all within the batch. */
static void reuse_others(void *arg, uint32_t events)
{
    struct world *w = arg;
    w->calls++;
    for (size_t i = 0; i < ARRAY_SIZE(w->fds); i++) {
        AUTO(close_fd) int quiet = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        loop_del(w->l, w->fds[i]);
        CHECK(quiet >= 0 && dup3(quiet, w->fds[i], O_CLOEXEC) == w->fds[i]);
        CHECK_INT(loop_add(w->l, w->fds[i], EPOLLIN, not_ready, w), 0);
    }
    loop_post(w->l, stop, w);
}

TEST(reused_numbers_get_no_stale_event)
{
    struct world w;
    open_world(&w);
    for (size_t i = 0; i < ARRAY_SIZE(w.fds); i++)
        CHECK_INT(loop_add(w.l, w.fds[i], EPOLLIN, reuse_others, &w), 0);
    CHECK_INT(loop_run(w.l), 0);
    CHECK_INT(w.calls, 1);
    close_world(&w);
}

static void once(void *arg, uint32_t events)
{
    struct world *w = arg;
    if (++w->calls == 1)
        CHECK_INT(loop_mod(w->l, w->fds[0], EPOLLIN | EPOLLONESHOT), 0);
    else
        (void)loop_timer(w->l, 5 * US_PER_MS, stop,
                         w); /* time for a third call that must not come */
}

TEST(oneshot_rearmed_by_mod)
{
    struct world w;
    open_world(&w);
    CHECK_INT(loop_add(w.l, w.fds[0], EPOLLIN | EPOLLONESHOT, once, &w), 0);
    CHECK_INT(loop_run(w.l), 0);
    CHECK_INT(w.calls, 2);
    close_world(&w);
}

TEST(wrong_registrations)
{
    struct world w;
    open_world(&w);
    CHECK_INT(loop_add(w.l, w.fds[0], EPOLLIN, once, &w), 0);
    CHECK_INT(loop_add(w.l, w.fds[0], EPOLLIN, once, &w), -1);
    CHECK_INT(errno, EEXIST);
    CHECK_INT(loop_add(w.l, -1, EPOLLIN, once, &w), -1);
    CHECK_INT(loop_mod(w.l, w.fds[1], EPOLLIN), -1);
    CHECK_INT(errno, ENOENT);
    loop_del(w.l, w.fds[1]);
    loop_del(w.l, -1);
    loop_del(w.l, 1000000);
    close_world(&w);
}

static void letter_c(void *arg)
{
    note(arg, 'c');
}

TEST(timers_by_time_and_cancelled)
{
    struct world w;
    open_world(&w);
    int64_t start = clock_now_us();
    CHECK(loop_timer(w.l, 30 * US_PER_MS, post_b, &w) != 0);
    uint64_t cancelled = loop_timer(w.l, 10 * US_PER_MS, post_a, &w);
    CHECK(loop_timer(w.l, 20 * US_PER_MS, letter_c, &w) != 0);
    CHECK(loop_timer(w.l, 1 * US_PER_MS, post_a, &w) != 0);
    loop_timer_cancel(w.l, cancelled);
    loop_timer_cancel(w.l, cancelled); /* harmless */
    loop_timer_cancel(w.l, 0);
    CHECK(loop_timer(w.l, INT64_MAX, post_a, &w) != 0); /* freed with the loop */
    CHECK_INT(loop_run(w.l), 0);
    CHECK_STR(w.log, "acb");
    CHECK(clock_now_us() - start >= 30 * US_PER_MS);
    close_world(&w);
}

struct ordered {
    struct world *w;
    int64_t us;
};

static int64_t last_us;

static void in_order(void *arg)
{
    const struct ordered *o = arg;
    CHECK(o->us >= last_us);
    last_us = o->us;
    o->w->calls++;
}

/* Many timers in a scrambled order, every third cancelled: the heap stays one. */
TEST(many_timers)
{
    enum { MANY = 2000 };

    struct world w;
    open_world(&w);
    AUTO(free_ptr) struct ordered *o = mem_array(MANY, sizeof(*o));
    AUTO(free_ptr) uint64_t *ids = mem_array(MANY, sizeof(*ids));
    for (size_t i = 0; i < MANY; i++) {
        /* all are due before the loop starts, and further apart than the time between the calls */
        o[i] = (struct ordered){ &w, (int64_t)(i * 7919 % MANY) * US_PER_SEC };
        ids[i] = loop_timer(w.l, o[i].us - MANY * US_PER_SEC, in_order, &o[i]);
    }
    for (size_t i = 0; i < MANY; i += 3)
        loop_timer_cancel(w.l, ids[i]);
    (void)loop_timer(w.l, 0, stop, &w);
    CHECK_INT(loop_run(w.l), 0);
    CHECK_INT(w.calls, MANY - (MANY + 2) / 3);
    close_world(&w);
}

static void again(void *arg)
{
    struct world *w = arg;
    if (++w->calls < 50)
        (void)loop_timer(w->l, 0, again, w);
    else
        loop_stop(w->l);
}

TEST(a_timer_may_start_the_next)
{
    struct world w;
    open_world(&w);
    CHECK(loop_timer(w.l, 0, again, &w) != 0);
    CHECK_INT(loop_run(w.l), 0);
    CHECK_INT(w.calls, 50);
    close_world(&w);
}

static void count_post(void *arg)
{
    struct world *w = arg;
    if (++w->calls == 4000)
        loop_stop(w->l);
}

static void *post_many(void *arg)
{
    struct world *w = arg;
    for (int i = 0; i < 1000; i++)
        loop_post(w->l, count_post, w);
    return NULL;
}

TEST(posts_from_threads_are_not_lost)
{
    struct world w;
    open_world(&w);
    pthread_t t[4];
    for (size_t i = 0; i < ARRAY_SIZE(t); i++)
        CHECK_INT(thread_start(&t[i], "post", 0, post_many, &w), 0);
    CHECK_INT(loop_run(w.l), 0);
    CHECK_INT(w.calls, 4000);
    for (size_t i = 0; i < ARRAY_SIZE(t); i++)
        CHECK_INT(pthread_join(t[i], NULL), 0);
    close_world(&w);
}

TEST(free_drops_what_is_left)
{
    struct world w;
    open_world(&w);
    loop_post(w.l, post_a, &w);
    (void)loop_timer(w.l, 0, post_a, &w);
    close_world(&w);
    CHECK_STR(w.log, "");
    loop_free(NULL);
}
