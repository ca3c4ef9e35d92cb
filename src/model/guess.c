/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of four slots by a keyed hash, so that nobody can choose whose slot his own failures push out. Waiting takes
 * turns: each one that waits moves the next one's turn, so trying on many connections at once gains nothing.
 * guess_lock: memory only. */
#include "model/guess.h"

#include "api/errors.h"
#include "base/clock.h"
#include "base/deadline.h"
#include "base/hash.h"
#include "base/lock.h"
#include "base/mem.h"

#define SETS 1024
#define WAYS 4

struct slot {
    uint64_t key; /* 0: empty */
    int64_t failed_us, next_us;
    unsigned failures, waiting;
};

static struct mutex guess_lock = MUTEX_INIT;
static struct slot slots[SETS][WAYS] GUARDED_BY(guess_lock);
static struct guess_limits limits GUARDED_BY(guess_lock) = {
    .free_failures = 5,
    .step_us = 1 * US_PER_SEC,
    .most_us = 15 * US_PER_SEC,
    .forget_us = 600 * US_PER_SEC,
    .most_waiting = 8,
};

void guess_set_limits(const struct guess_limits *l)
{
    mutex_lock(&guess_lock);
    limits = *l;
    for (size_t i = 0; i < (size_t)SETS * WAYS; i++)
        slots[i / WAYS][i % WAYS] = (struct slot){ 0 };
    mutex_unlock(&guess_lock);
}

static uint64_t key_of(const char *user, const char *address)
{
    /* The address first: it has no slash, so no two pairs make the same text. */
    AUTO(free_str) char *text = str_fmt("%s/%s", address ? address : "", user);
    uint64_t key = hash_bytes(text, strlen(text));
    return key ? key : 1;
}

static struct slot *find(uint64_t key) REQUIRES(guess_lock)
{
    for (size_t i = 0; i < WAYS; i++) {
        struct slot *s = &slots[key % SETS][i];
        if (s->key == key)
            return s;
    }
    return NULL;
}

/* The one to forget: empty, or that failed least recently. One that somebody waits for stays. */
static struct slot *make(uint64_t key) REQUIRES(guess_lock)
{
    struct slot *oldest = NULL;
    for (size_t i = 0; i < WAYS; i++) {
        struct slot *s = &slots[key % SETS][i];
        if (s->waiting == 0 && (!oldest || s->failed_us < oldest->failed_us))
            oldest = s;
    }
    if (oldest)
        *oldest = (struct slot){ .key = key };
    return oldest;
}

static int64_t penalty(const struct slot *s) REQUIRES(guess_lock)
{
    unsigned over = s->failures > limits.free_failures ? s->failures - limits.free_failures
                                                       : 0;
    int64_t us = limits.step_us;
    if (over == 0)
        return 0;
    while (--over > 0 && us < limits.most_us)
        us *= 2;
    return MIN(us, limits.most_us);
}

static bool forgotten(const struct slot *s, int64_t now) REQUIRES(guess_lock)
{
    return s->waiting == 0 && now - s->failed_us > limits.forget_us;
}

/* 0: go on at once. */
static int64_t take_turn(uint64_t key, bool *full_out) EXCLUDES(guess_lock)
{
    int64_t now = clock_now_us(), turn = 0;
    mutex_lock(&guess_lock);
    struct slot *s = find(key);
    *full_out = s && s->waiting >= limits.most_waiting;
    if (s && forgotten(s, now))
        *s = (struct slot){ 0 };
    else if (s && !*full_out && s->next_us > now) {
        turn = s->next_us;
        s->next_us += penalty(s);
        s->waiting++;
    }
    mutex_unlock(&guess_lock);
    return turn;
}

static void end_turn(uint64_t key) EXCLUDES(guess_lock)
{
    mutex_lock(&guess_lock);
    struct slot *s = find(key);
    if (s && s->waiting > 0)
        s->waiting--;
    mutex_unlock(&guess_lock);
}

int guess_wait(const char *user, const char *address, struct err *err)
{
    uint64_t key = key_of(user, address);
    bool full;
    int64_t turn = take_turn(key, &full);
    if (full)
        return err_set(err, ERR_TOO_BUSY);
    if (turn > 0) {
        struct deadline until = { .at_us = turn, .cancel_fd = -1 };
        IGNORE(deadline_poll(&until, -1, 0)); /* it times out */
        end_turn(key);
    }
    return 0;
}

void guess_failed(const char *user, const char *address)
{
    uint64_t key = key_of(user, address);
    int64_t now = clock_now_us();
    mutex_lock(&guess_lock);
    struct slot *s = find(key);
    if (!s)
        s = make(key);
    if (s) {
        s->failures += s->failures < UINT8_MAX;
        s->failed_us = now;
        s->next_us = MAX(s->next_us, now + penalty(s));
    }
    mutex_unlock(&guess_lock);
}

void guess_right(const char *user, const char *address)
{
    uint64_t key = key_of(user, address);
    mutex_lock(&guess_lock);
    struct slot *s = find(key);
    if (s) {
        s->failures = 0;
        s->next_us = 0; /* who waits, waits for the turn that it was given */
    }
    mutex_unlock(&guess_lock);
}

int64_t guess_wait_us(const char *user, const char *address)
{
    uint64_t key = key_of(user, address);
    int64_t now = clock_now_us();
    mutex_lock(&guess_lock);
    const struct slot *s = find(key);
    int64_t us = s && !forgotten(s, now) ? MAX(s->next_us - now, INT64_C(0)) : 0;
    mutex_unlock(&guess_lock);
    return us;
}
