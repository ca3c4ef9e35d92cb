/* SPDX-License-Identifier: Apache-2.0 */
/* Two back ends under one interface. With io_uring one system call per turn of the loop hands over all
 * new operations and waits for the next completion; sockets are waited for through the ring too. Without,
 * epoll waits and up to POOL_PLAIN threads do the I/O. Calls that block always go to threads, of which
 * io_uring needs no more than POOL_RING. Threads hand results back through a list and an eventfd. */
#include "diskd/aio.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"

#define RING_ENTRIES 512
#define BATCH        128
#define POOL_PLAIN   8
#define POOL_RING    2

/* Clang 14 cannot name a sibling member in an annotation, so comments say what lock guards. */
struct aio {
    struct io_uring ring;
    bool has_ring;
    int epoll_fd; /* without ring */
    int wake_fd;
    struct aio_op wake_op; /* poll on wake_fd, in the ring */
    struct mutex lock;
    struct cond work;
    struct list todo;   /* lock; for the pool */
    struct list posted; /* lock; done, for the loop */
    bool stop;          /* lock */
    size_t n_idle;      /* lock */
    size_t n_todo;      /* lock */
    pthread_t pool[POOL_PLAIN];
    size_t n_pool, max_pool;
};

/* One step of a read or write: the bytes done, or -1. */
static ssize_t transfer(const struct aio_op *op)
{
    ssize_t n;

    do
        n = op->kind == AIO_READ ? pread(op->fd, op->buf, op->len, (off_t)op->offset)
                                 : pwrite(op->fd, op->buf, op->len, (off_t)op->offset);
    while (n < 0 && errno == EINTR);
    return n;
}

/* Account for n bytes done; true when the whole is. */
static bool advance(struct aio_op *op, int64_t n, int64_t *res)
{
    *res = 0;
    if (op->kind != AIO_READ && op->kind != AIO_WRITE)
        return true;
    if (n == 0 && op->len) {
        if (op->kind == AIO_WRITE)
            *res = -EIO;
        else
            memset(op->buf, 0, op->len);
        return true;
    }
    op->buf += n;
    op->offset += (uint64_t)n;
    op->len -= (uint64_t)n;
    return op->len == 0;
}

static int punch(const struct aio_op *op)
{
    int rc;

    do
        rc = fallocate(op->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                       (off_t)op->offset, (off_t)op->len);
    while (rc < 0 && errno == EINTR);
    return rc;
}

static int64_t run_blocking(struct aio_op *op)
{
    int64_t res = 0;
    ssize_t n;

    switch (op->kind) {
    case AIO_READ:
    case AIO_WRITE:
        do {
            n = transfer(op);
            if (n < 0)
                return -errno;
        } while (!advance(op, n, &res));
        return res;
    case AIO_SYNC: return fdatasync(op->fd) < 0 ? -errno : 0;
    case AIO_PUNCH: return punch(op) < 0 ? -errno : 0;
    case AIO_CALL: return op->call(op->arg) < 0 ? -errno : 0;
    case AIO_POLL: break;
    }
    return -EINVAL;
}

void aio_post(struct aio *a, struct aio_op *op, int64_t res)
{
    uint64_t one = 1;

    op->res = res;
    mutex_lock(&a->lock);
    list_add_tail(&a->posted, &op->link);
    mutex_unlock(&a->lock);
    IGNORE(write(a->wake_fd, &one, sizeof(one))); /* full means awake */
}

static void *pool_main(void *arg)
{
    struct aio *a = arg;

    mutex_lock(&a->lock);
    for (;;) {
        a->n_idle++;
        while (list_empty(&a->todo) && !a->stop)
            cond_wait(&a->work, &a->lock);
        a->n_idle--;
        if (list_empty(&a->todo))
            break;
        struct aio_op *op = list_entry(a->todo.next, struct aio_op, link);
        list_remove(&op->link);
        a->n_todo--;
        mutex_unlock(&a->lock);
        int64_t res = run_blocking(op);
        aio_post(a, op, res);
        mutex_lock(&a->lock);
    }
    mutex_unlock(&a->lock);
    return NULL;
}

static void pool_submit(struct aio *a, struct aio_op *op)
{
    mutex_lock(&a->lock);
    list_add_tail(&a->todo, &op->link);
    a->n_todo++;
    bool more = a->n_todo > a->n_idle && a->n_pool < a->max_pool;
    cond_signal(&a->work);
    mutex_unlock(&a->lock);
    if (more && thread_start(&a->pool[a->n_pool], "disk-io", 0, pool_main, a) == 0) {
        a->n_pool++;
    } else if (more && a->n_pool == 0) {
        /* No thread to be had: slow is better than never. */
        mutex_lock(&a->lock);
        list_remove(&op->link);
        a->n_todo--;
        mutex_unlock(&a->lock);
        aio_post(a, op, run_blocking(op));
    }
}

static struct io_uring_sqe *get_sqe(struct aio *a)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&a->ring);

    while (!sqe) {
        IGNORE(io_uring_submit(
            &a->ring)); /* EBUSY: completions wait, and go to the kernel's list */
        sqe = io_uring_get_sqe(&a->ring);
    }
    return sqe;
}

static void ring_submit(struct aio *a, struct aio_op *op)
{
    struct io_uring_sqe *sqe = get_sqe(a);
    unsigned len = (unsigned)MIN(op->len, UINT64_C(1) << 30);

    switch (op->kind) {
    case AIO_READ: io_uring_prep_read(sqe, op->fd, op->buf, len, op->offset); break;
    case AIO_WRITE: io_uring_prep_write(sqe, op->fd, op->buf, len, op->offset); break;
    case AIO_SYNC: io_uring_prep_fsync(sqe, op->fd, IORING_FSYNC_DATASYNC); break;
    case AIO_PUNCH:
        io_uring_prep_fallocate(sqe, op->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                (off_t)op->offset, (off_t)op->len);
        break;
    case AIO_POLL: io_uring_prep_poll_add(sqe, op->fd, op->events); break;
    case AIO_CALL: io_uring_prep_nop(sqe); break; /* never: those go to the pool */
    }
    io_uring_sqe_set_data(sqe, op);
}

static void epoll_submit(struct aio *a, struct aio_op *op)
{
    struct epoll_event ev = { .events = op->events | EPOLLONESHOT, .data.ptr = op };

    if (epoll_ctl(a->epoll_fd, EPOLL_CTL_MOD, op->fd, &ev) < 0
        && (errno != ENOENT || epoll_ctl(a->epoll_fd, EPOLL_CTL_ADD, op->fd, &ev) < 0))
        aio_post(a, op, -errno);
    else
        op->polled = true;
}

void aio_submit(struct aio *a, struct aio_op *op)
{
    list_init(&op->link);
    if (op->kind == AIO_CALL)
        pool_submit(a, op);
    else if (a->has_ring)
        ring_submit(a, op);
    else if (op->kind == AIO_POLL)
        epoll_submit(a, op);
    else
        pool_submit(a, op);
}

void aio_cancel(struct aio *a, struct aio_op *op)
{
    if (a->has_ring) {
        struct io_uring_sqe *sqe = get_sqe(a);
        io_uring_prep_poll_remove(sqe, (uint64_t)(uintptr_t)op);
        io_uring_sqe_set_data(sqe, NULL);
    } else if (op->polled) {
        op->polled = false;
        (void)epoll_ctl(a->epoll_fd, EPOLL_CTL_DEL, op->fd, NULL);
        aio_post(a, op, -ECANCELED);
    }
}

/* Run what other threads have posted. */
static void run_posted(struct aio *a)
{
    uint64_t n;
    struct list mine = LIST_INIT(mine);

    IGNORE(read(a->wake_fd, &n, sizeof(n)));
    mutex_lock(&a->lock);
    while (!list_empty(&a->posted)) {
        struct list *it = a->posted.next;
        list_remove(it);
        list_add_tail(&mine, it);
    }
    mutex_unlock(&a->lock);
    while (!list_empty(&mine)) {
        struct aio_op *op = list_entry(mine.next, struct aio_op, link);
        list_remove(&op->link);
        op->done(op, op->res);
    }
}

static void woken(struct aio_op *op, int64_t res)
{
    struct aio *a = op->arg;

    run_posted(a);
    aio_submit(a, op);
}

static void complete(struct aio *a, struct aio_op *op, int64_t n)
{
    int64_t res = n;

    if ((n == -EAGAIN || n == -EINTR) && op->kind != AIO_POLL) {
        ring_submit(a, op);
        return;
    }
    if (n >= 0 && op->kind != AIO_POLL && !advance(op, n, &res)) {
        ring_submit(a, op);
        return;
    }
    op->done(op, res);
}

static void ring_wait(struct aio *a, int64_t timeout_us)
{
    struct __kernel_timespec ts = { .tv_sec = timeout_us / US_PER_SEC,
                                    .tv_nsec = (timeout_us % US_PER_SEC) * 1000 };
    struct io_uring_cqe *cqes[BATCH], *first;

    struct {
        struct aio_op *op;
        int res;
    } got[BATCH];

    int rc = io_uring_submit_and_wait_timeout(&a->ring, &first, 1,
                                              timeout_us < 0 ? NULL : &ts, NULL);
    if (rc < 0 && rc != -ETIME && rc != -EINTR && rc != -EBUSY && rc != -EAGAIN)
        log_error("io_uring: %s", strerrorname_np(-rc));
    unsigned n = io_uring_peek_batch_cqe(&a->ring, cqes, BATCH);
    for (unsigned i = 0; i < n; i++) {
        got[i].op = io_uring_cqe_get_data(cqes[i]);
        got[i].res = cqes[i]->res;
    }
    io_uring_cq_advance(&a->ring, n);
    for (unsigned i = 0; i < n; i++)
        if (got[i].op)
            complete(a, got[i].op, got[i].res);
}

static void epoll_wait_once(struct aio *a, int64_t timeout_us)
{
    struct epoll_event ev[BATCH];
    int ms = timeout_us < 0 ? -1 : (int)MIN((timeout_us + 999) / 1000, INT64_C(1) << 30);
    int n = epoll_wait(a->epoll_fd, ev, BATCH, ms);
    bool posted = false;

    for (int i = 0; i < n; i++) {
        struct aio_op *op = ev[i].data.ptr;
        if (!op) {
            posted = true;
            continue;
        }
        if (!op->polled)
            continue;
        op->polled = false;
        op->done(op, ev[i].events);
    }
    if (posted)
        run_posted(a);
}

void aio_wait(struct aio *a, int64_t timeout_us)
{
    if (a->has_ring)
        ring_wait(a, timeout_us);
    else
        epoll_wait_once(a, timeout_us);
}

static bool start_ring(struct aio *a)
{
    static const unsigned flags[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
        IORING_SETUP_COOP_TASKRUN,
        0,
    };

    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        struct io_uring_params p = { .flags = flags[i] };
        if (io_uring_queue_init_params(RING_ENTRIES, &a->ring, &p) < 0)
            continue;
        /* Waiting with a limit, and completions that are never lost. */
        if ((p.features & IORING_FEAT_EXT_ARG) && (p.features & IORING_FEAT_NODROP))
            return true;
        io_uring_queue_exit(&a->ring);
    }
    return false;
}

struct aio *aio_new(bool plain)
{
    struct aio *a = mem_alloc(sizeof(*a));
    struct epoll_event ev = { .events = EPOLLIN };

    mutex_init(&a->lock);
    cond_init(&a->work);
    list_init(&a->todo);
    list_init(&a->posted);
    a->epoll_fd = -1;
    a->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    a->has_ring = !plain && start_ring(a);
    a->max_pool = a->has_ring ? POOL_RING : POOL_PLAIN;
    if (!a->has_ring)
        a->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (a->wake_fd < 0
        || (!a->has_ring
            && (a->epoll_fd < 0
                || epoll_ctl(a->epoll_fd, EPOLL_CTL_ADD, a->wake_fd, &ev) < 0))) {
        log_error("no event descriptor: %m");
        aio_free(a);
        return NULL;
    }
    if (a->has_ring) {
        a->wake_op = (struct aio_op){
            .done = woken, .kind = AIO_POLL, .fd = a->wake_fd, .events = POLLIN, .arg = a
        };
        aio_submit(a, &a->wake_op);
    }
    return a;
}

void aio_free(struct aio *a)
{
    if (!a)
        return;
    mutex_lock(&a->lock);
    a->stop = true;
    cond_broadcast(&a->work);
    mutex_unlock(&a->lock);
    for (size_t i = 0; i < a->n_pool; i++)
        pthread_join(a->pool[i], NULL);
    if (a->has_ring)
        io_uring_queue_exit(&a->ring);
    close_fd(&a->epoll_fd);
    close_fd(&a->wake_fd);
    cond_done(&a->work);
    mutex_done(&a->lock);
    free(a);
}

const char *aio_name(const struct aio *a)
{
    return a->has_ring ? "io_uring" : "threads";
}
