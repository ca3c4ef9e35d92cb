/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for a descriptor, a moment or a cancellation, whichever comes first. Thread: any. */
#include "base/deadline.h"

#include <errno.h>
#include <poll.h>

#include "base/clock.h"

static _Thread_local const struct deadline_hook *hook; /* NULL: nobody asks */

void deadline_set_hook(const struct deadline_hook *h)
{
    hook = h;
}

static int64_t from_now(int64_t us)
{
    int64_t at;
    if (__builtin_add_overflow(clock_now_us(), us, &at))
        return INT64_MAX;
    return at;
}

struct deadline deadline_in(int64_t us)
{
    return (struct deadline){ .at_us = from_now(us), .cancel_fd = -1 };
}

struct deadline deadline_in_cancel(int64_t us, int cancel_fd)
{
    return (struct deadline){ .at_us = from_now(us), .cancel_fd = cancel_fd };
}

struct deadline deadline_never(void)
{
    return (struct deadline){ .at_us = INT64_MAX, .cancel_fd = -1 };
}

struct deadline deadline_sooner(const struct deadline *d, int64_t us)
{
    return (struct deadline){ .at_us = MIN(d->at_us, from_now(us)),
                              .cancel_fd = d->cancel_fd };
}

bool deadline_passed(const struct deadline *d)
{
    return d->at_us != INT64_MAX && clock_now_us() >= d->at_us;
}

int64_t deadline_left_us(const struct deadline *d)
{
    if (d->at_us == INT64_MAX)
        return INT64_MAX;
    int64_t now = clock_now_us();
    return d->at_us > now ? d->at_us - now : 0;
}

static int wait_for(const struct deadline *d, int fd, short events)
{
    for (;;) {
        struct pollfd fds[2] = { { .fd = fd, .events = events },
                                 { .fd = d->cancel_fd, .events = POLLIN } };
        int64_t left = deadline_left_us(d);
        struct timespec wait = { .tv_sec = (time_t)(left / US_PER_SEC),
                                 .tv_nsec = (long)(left % US_PER_SEC * 1000) };
        int n = ppoll(fds, 2, left == INT64_MAX ? NULL : &wait, NULL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (fds[1].revents) {
            errno = ECANCELED;
            return -1;
        }
        if (fds[0].revents)
            return fds[0].revents;
        if (left == 0 || deadline_passed(d)) {
            errno = ETIMEDOUT;
            return -1;
        }
    }
}

/* A peer that answers at once is no wait worth telling: changing places costs two changes of threads. */
#define SOON_US 300

int deadline_poll(const struct deadline *d, int fd, short events)
{
    if (!hook)
        return wait_for(d, fd, events);
    if (fd >= 0) {
        struct deadline soon = deadline_sooner(d, SOON_US);
        int rc = wait_for(&soon, fd, events);
        if (rc >= 0 || errno != ETIMEDOUT)
            return rc;
    }
    bool told = !deadline_passed(d) && hook->begin();
    int rc = wait_for(d, fd, events), saved = errno;
    if (told)
        hook->end();
    errno = saved;
    return rc;
}
