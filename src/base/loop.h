/* SPDX-License-Identifier: Apache-2.0 */
/* A small epoll loop: descriptors with callbacks and messages from other threads. One thread runs it;
 * loop_post and loop_stop are for any thread, everything else for the loop's own. */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include "base/util.h"

struct loop;
typedef void (*loop_fn)(void *arg, uint32_t events); /* EPOLL* bits */
typedef void (*loop_post_fn)(void *arg);

struct loop *loop_new(void);
void loop_free(struct loop *l); /* what was posted and has not run is dropped */
int loop_run(struct loop *l);   /* until loop_stop; 0, or -1 with errno */
void loop_stop(struct loop *l);
/* One registration per descriptor. The descriptor stays the caller's. Level-triggered unless
 * EPOLLET/EPOLLONESHOT is in events. */
int loop_add(struct loop *l, int fd, uint32_t events, loop_fn fn, void *arg) MUST_CHECK;
int loop_mod(struct loop *l, int fd, uint32_t events) MUST_CHECK;
void loop_del(struct loop *l, int fd);
void loop_post(struct loop *l, loop_post_fn fn,
               void *arg); /* run fn(arg) on the loop's thread, in order */
/* Run fn(arg) once, us from now, on the loop's thread; cancel by the returned id (0 is never one). */
uint64_t loop_timer(struct loop *l, int64_t us, loop_post_fn fn, void *arg);
void loop_timer_cancel(struct loop *l, uint64_t id);
#endif
