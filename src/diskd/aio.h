/* SPDX-License-Identifier: Apache-2.0 */
/* What a disk's loop thread waits on: file I/O, readiness of sockets, calls that block (done by helper
 * threads) and messages from other threads. io_uring where the kernel has it, otherwise epoll and threads
 * with pread and pwrite. Operations are members of the caller's structures, so nothing is allocated here
 * once it runs. Thread: the loop's, but for aio_post. */
#ifndef DISKD_AIO_H
#define DISKD_AIO_H

#include "base/list.h"

enum aio_kind { AIO_READ, AIO_WRITE, AIO_SYNC, AIO_PUNCH, AIO_CALL, AIO_POLL };

struct aio_op;
/* res: 0, or poll events, or a negative errno. May submit, also the same op again. */
typedef void (*aio_done_fn)(struct aio_op *op, int64_t res);

struct aio_op {
    aio_done_fn done;
    enum aio_kind kind;
    int fd;
    uint32_t events; /* AIO_POLL: of poll(2) */
    uint8_t *buf;
    uint64_t offset, len;
    int (*call)(void *arg); /* AIO_CALL, in another thread: 0, or -1 with errno */
    void *arg;
    struct list link; /* aio's own from here */
    int64_t res;
    bool polled;
};

struct aio;

/* In the thread that will run it. plain: no io_uring. */
struct aio *aio_new(bool plain);
void aio_free(struct aio *a); /* no operation is under way */
const char *aio_name(const struct aio *a);
/* Reads and writes are whole: what lies behind the end of a file reads as zeros. */
void aio_submit(struct aio *a, struct aio_op *op);
void aio_cancel(struct aio *a,
                struct aio_op *op); /* a poll: its done comes, with -ECANCELED */
/* Let done of op run in the loop thread. Any thread. The op is not otherwise in use. */
void aio_post(struct aio *a, struct aio_op *op, int64_t res);
/* Send off what was submitted, wait for at least one event or until timeout_us (-1: no limit), run what is
 * done. */
void aio_wait(struct aio *a, int64_t timeout_us);
#endif
