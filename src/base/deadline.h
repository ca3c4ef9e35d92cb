/* SPDX-License-Identifier: Apache-2.0 */
/* How long a blocking call may take, and what cancels it. Passed by const pointer; never NULL. */
#ifndef BASE_DEADLINE_H
#define BASE_DEADLINE_H

#include "base/util.h"

struct deadline {
    int64_t at_us; /* clock_now_us() time; INT64_MAX: never */
    int cancel_fd; /* readable when cancelled (an eventfd), -1: none; borrowed */
};

struct deadline deadline_in(int64_t us);
struct deadline deadline_in_cancel(int64_t us, int cancel_fd);
struct deadline deadline_never(void);
struct deadline deadline_sooner(const struct deadline *d,
                                int64_t us); /* the earlier of d and now + us */
bool deadline_passed(const struct deadline *d);
int64_t deadline_left_us(const struct deadline *d);

/* Wait until fd has one of the poll(2) events. Returns the revents (> 0), or -1 with errno
 * ETIMEDOUT, ECANCELED or that of poll. fd -1 just waits. Cancelling wins over readiness, readiness
 * over a time that has passed. */
int deadline_poll(const struct deadline *d, int fd, short events) MUST_CHECK;

/* Whoever runs this thread learns of its waits, and may run another thread in its place meanwhile: begin() and end()
 * are called around each wait of deadline_poll(). end() only after a begin() that said true. */
struct deadline_hook {
    bool (*begin)(void);
    void (*end)(void);
};

void deadline_set_hook(
    const struct deadline_hook *hook); /* of the calling thread; borrowed */
#endif
