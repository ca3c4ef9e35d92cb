/* SPDX-License-Identifier: Apache-2.0 */
/* Slows the guessing of passwords: who failed often with a user's name from an address waits before the next try of that
 * name from that address, longer each time, up to a limit. Nobody is locked out: a right password is only later, and
 * from another address not even that. A table of fixed size; the pairs that failed least recently are forgotten first.
 * Thread: any; no lock held while somebody waits. */
#ifndef MODEL_GUESS_H
#define MODEL_GUESS_H

#include "base/err.h"

struct guess_limits {
    unsigned free_failures; /* so many cost nothing: people mistype */
    int64_t step_us;        /* the first wait; each failure doubles it */
    int64_t most_us;
    int64_t forget_us;     /* a pair that did not fail for that long begins anew */
    unsigned most_waiting; /* of one pair at a time */
};

#define GUESS_LIMITS                                                               \
    (struct guess_limits)                                                          \
    {                                                                              \
        .free_failures = 5, .step_us = 1 * US_PER_SEC, .most_us = 15 * US_PER_SEC, \
        .forget_us = 600 * US_PER_SEC, .most_waiting = 8                           \
    }

void guess_set_limits(const struct guess_limits *l);

/* Before a password is looked at: wait for this pair's turn. Errors: TOO_BUSY when too many of the pair wait already. */
int guess_wait(const char *user, const char *address, struct err *err) MUST_CHECK;
void guess_failed(const char *user, const char *address);
void guess_right(const char *user, const char *address);

/* How long the next try of the pair would wait now. For tests and the log. */
int64_t guess_wait_us(const char *user, const char *address);
#endif
