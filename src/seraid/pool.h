/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that run jobs of straight-line blocking code. At most max_active of them compute at a time; a job that is
 * about to wait for long (a slow client, a guest, an event) says so with pool_blocked_begin(), and another thread may
 * run in its place, up to max_threads in all. deadline_poll() says it by itself. Threads without work end after a
 * while. Thread: any.
 *
 * Jobs come from pool_submit(), or the threads fetch them: then max_active threads are always there, computing or
 * waiting in the pool's fetch function, and a job costs no hand-over. */
#ifndef SERAID_POOL_H
#define SERAID_POOL_H

#include "base/util.h"

struct pool;
typedef void (*pool_fn)(void *arg);
/* Wait for one job and run it. False: there will be none any more (to every thread that asks). */
typedef bool (*pool_fetch_fn)(void *arg);

struct pool *pool_new(const char *name /* static */, size_t max_active, size_t max_threads);
/* Have the threads fetch their jobs; nothing may be submitted then. */
void pool_fetch(struct pool *p, pool_fetch_fn fetch, void *arg);
/* Waits for all jobs (and for the end of fetching), then ends the threads. */
void pool_free(struct pool *p);
void pool_submit(struct pool *p, pool_fn fn, void *arg);
/* Called by a job around a long wait; may be nested. False: too many threads wait already, the caller keeps its place
 * (and should not wait long); pool_blocked_end() must then not be called. Outside of a pool: true. */
bool pool_blocked_begin(void) MUST_CHECK;
void pool_blocked_end(void);
/* Wait until no job is queued or running, at most until at_us (clock_now_us time). With pool_fetch(): after its end. */
bool pool_drain(struct pool *p, int64_t at_us);
size_t pool_threads(struct pool *p);
#endif
