/* SPDX-License-Identifier: Apache-2.0 */
#include "base/deadline.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/test.h"

static int signalled_fd(void)
{
    int fd = eventfd(1, EFD_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}

TEST(waits_at_least_as_long_as_asked)
{
    int64_t start = clock_now_us();
    struct deadline d = deadline_in(20 * US_PER_MS);
    CHECK(!deadline_passed(&d));
    CHECK_INT(deadline_poll(&d, -1, 0), -1);
    CHECK_INT(errno, ETIMEDOUT);
    CHECK(clock_now_us() - start >= 20 * US_PER_MS);
    CHECK(deadline_passed(&d));
    CHECK_INT(deadline_left_us(&d), 0);
}

TEST(never_and_overflow)
{
    struct deadline never = deadline_never(), far = deadline_in(INT64_MAX);
    CHECK(!deadline_passed(&never) && !deadline_passed(&far));
    CHECK(deadline_left_us(&never) == INT64_MAX && far.at_us == INT64_MAX);
    struct deadline soon = deadline_sooner(&never, 0);
    CHECK(deadline_passed(&soon));
    struct deadline long_ago = { .at_us = INT64_MIN, .cancel_fd = -1 };
    CHECK_INT(deadline_left_us(&long_ago), 0);
    struct deadline same = deadline_sooner(&soon, US_PER_SEC * 100);
    CHECK(same.at_us == soon.at_us);
}

TEST(ready_wins_over_time)
{
    AUTO(close_fd) int fd = signalled_fd();
    struct deadline past = deadline_in(-5);
    CHECK_INT(deadline_poll(&past, fd, POLLIN), POLLIN);
    struct deadline never = deadline_never();
    CHECK_INT(deadline_poll(&never, fd, POLLIN), POLLIN);
}

TEST(cancel_wins_over_ready)
{
    AUTO(close_fd) int fd = signalled_fd();
    AUTO(close_fd) int cancel = signalled_fd();
    struct deadline d = deadline_in_cancel(US_PER_SEC * 100, cancel);
    CHECK_INT(deadline_poll(&d, fd, POLLIN), -1);
    CHECK_INT(errno, ECANCELED);
    struct deadline sooner = deadline_sooner(&d, 0);
    CHECK_INT(sooner.cancel_fd, cancel);
}

static void *cancel_thread(void *arg)
{
    CHECK_INT(eventfd_write(*(int *)arg, 1), 0);
    return NULL;
}

TEST(cancelled_from_another_thread)
{
    AUTO(close_fd) int cancel = eventfd(0, EFD_CLOEXEC);
    struct deadline d = deadline_in_cancel(INT64_MAX, cancel);
    pthread_t t;
    CHECK_INT(thread_start(&t, "cancel", 0, cancel_thread, &cancel), 0);
    CHECK_INT(deadline_poll(&d, -1, 0), -1);
    CHECK_INT(errno, ECANCELED);
    CHECK_INT(pthread_join(t, NULL), 0);
}

static void on_alarm(int sig)
{
}

TEST(signals_do_not_shorten_it)
{
    struct sigaction act = { .sa_handler = on_alarm };
    CHECK_INT(sigaction(SIGUSR1, &act, NULL), 0);
    timer_t timer;
    struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
    struct itimerspec every_ms = { { 0, 1000000 }, { 0, 1000000 } };
    CHECK_INT(timer_create(CLOCK_MONOTONIC, &ev, &timer), 0);
    CHECK_INT(timer_settime(timer, 0, &every_ms, NULL), 0);
    int64_t start = clock_now_us();
    struct deadline d = deadline_in(20 * US_PER_MS);
    CHECK_INT(deadline_poll(&d, -1, 0), -1);
    CHECK_INT(errno, ETIMEDOUT);
    CHECK(clock_now_us() - start >= 20 * US_PER_MS);
    CHECK_INT(timer_delete(timer), 0);
}
