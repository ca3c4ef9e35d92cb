/* SPDX-License-Identifier: Apache-2.0 */
/* Connections. Bytes come in by as few system calls as possible: into the connection's buffer, and what of
 * a write's data is not in it straight to where the disk takes it from. Answers of one turn of the loop
 * leave in one call. A connection that finds no request or memory free stops reading until there is.
 * Thread: the disk's loop. */
#include "diskd/nbd.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/log.h"
#include "base/mem.h"
#include "diskd/arena.h"
#include "diskd/nbd_proto.h"

#define IN_BYTES (256U << 10)
#define IOV_SEND 256
#define WIRE_AT  8192 /* of a status answer's memory: first extents, then their bytes */

struct conn;

struct nreq {
    struct disk_req r;
    struct list link; /* free, or the connection's answers */
    struct conn *conn;
    struct nbd_request q;
    uint8_t *buf;
    size_t buf_len;
    uint8_t head[NBD_REPLY_MAX];
    size_t head_len;
    const uint8_t *data;
    size_t data_len;
};

struct conn {
    struct list link;
    struct list dirty, paused; /* members while so */
    struct nbd *srv;
    int fd;
    struct aio_op rd, wr;
    bool rd_armed, wr_armed, closing;
    size_t refs; /* requests */
    size_t used; /* bytes of memory */
    struct nbd_nego nego;
    struct nbd_out hello;
    uint8_t *in;
    size_t in_at, in_len;
    struct nreq *filling; /* a write whose data is coming */
    size_t filled;
    uint64_t skip; /* data of a refused write */
    struct list answers;
    size_t sent; /* of the first answer */
};

struct nbd {
    struct aio *aio;
    struct disk *disk;
    char *name;
    int listen_fd;
    struct aio_op accept_op;
    bool accepting, stopping;
    struct list conns, dirty, paused;
    size_t n_conns;
    struct arena arena;
    struct nreq *reqs;
    struct list free;
    size_t n_free;
};

static void conn_parse(struct conn *c);

static struct nbd_export export_of(const struct nbd *s)
{
    return (struct nbd_export){ .name = s->name,
                                .bytes = disk_bytes(s->disk),
                                .writable = disk_writable(s->disk) };
}

static void req_free(struct nreq *q)
{
    struct conn *c = q->conn;
    struct nbd *s = c->srv;

    if (q->buf)
        arena_give(&s->arena, q->buf, q->buf_len);
    q->buf = NULL;
    c->used -= q->buf_len;
    list_remove(&q->link);
    list_add_tail(&s->free, &q->link);
    s->n_free++;
    c->refs--;
}

static void conn_free_if_done(struct conn *c)
{
    struct nbd *s = c->srv;

    if (!c->closing || c->refs || c->rd_armed || c->wr_armed)
        return;
    list_remove(&c->link);
    list_remove(&c->dirty);
    list_remove(&c->paused);
    close_fd(&c->fd);
    s->n_conns--;
    free(c->in);
    free(c);
}

/* Ends the connection. It is freed when its last request has ended; the caller may not look at it again
 * unless it holds one. */
static void conn_close(struct conn *c)
{
    if (c->closing)
        return;
    c->closing = true;
    (void)shutdown(c->fd, SHUT_RDWR);
    if (c->rd_armed)
        aio_cancel(c->srv->aio, &c->rd);
    if (c->wr_armed)
        aio_cancel(c->srv->aio, &c->wr);
    if (c->filling)
        req_free(TAKE(c->filling));
    while (!list_empty(&c->answers))
        req_free(list_entry(c->answers.next, struct nreq, link));
    list_remove(&c->paused);
    /* Freed at the end of the turn. */
    list_remove(&c->dirty);
    list_add_tail(&c->srv->dirty, &c->dirty);
}

static void mark_dirty(struct conn *c)
{
    list_remove(&c->dirty);
    list_add_tail(&c->srv->dirty, &c->dirty);
}

static void send_later(struct conn *c)
{
    c->wr.fd = c->fd;
    c->wr.kind = AIO_POLL;
    c->wr.events = POLLOUT;
    c->wr_armed = true;
    aio_submit(c->srv->aio, &c->wr);
}

/* false: no more for now. */
static bool send_hello(struct conn *c)
{
    ssize_t n = send(c->fd, c->hello.b, c->hello.n, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0 && errno == EAGAIN) {
        send_later(c);
        return false;
    }
    if (n < 0) {
        conn_close(c);
        return false;
    }
    c->hello.n -= (size_t)n;
    memmove(c->hello.b, c->hello.b + n, c->hello.n);
    return true;
}

static size_t fill_iov(struct conn *c, struct iovec *iov, size_t *total)
{
    size_t n = 0, skip = c->sent;

    *total = 0;
    list_for_each(it, &c->answers) {
        struct nreq *q = list_entry(it, struct nreq, link);
        if (n + 2 > IOV_SEND)
            break;
        if (skip < q->head_len)
            iov[n++] = (struct iovec){ q->head + skip, q->head_len - skip };
        skip = skip > q->head_len ? skip - q->head_len : 0;
        if (skip < q->data_len)
            iov[n++] = (struct iovec){ (void *)(uintptr_t)(q->data + skip),
                                       q->data_len - skip };
        skip = 0; /* only the first answer can be half sent */
    }
    for (size_t i = 0; i < n; i++)
        *total += iov[i].iov_len;
    return n;
}

static void sent(struct conn *c, size_t n)
{
    c->sent += n;
    while (!list_empty(&c->answers)) {
        struct nreq *q = list_entry(c->answers.next, struct nreq, link);
        size_t all = q->head_len + q->data_len;
        if (c->sent < all)
            break;
        c->sent -= all;
        req_free(q);
    }
}

static void conn_send(struct conn *c)
{
    struct iovec iov[IOV_SEND];
    size_t total;

    while (!c->closing && !c->wr_armed && c->hello.n)
        if (!send_hello(c))
            return;
    while (!c->closing && !c->wr_armed && !list_empty(&c->answers)) {
        struct msghdr m = { .msg_iov = iov, .msg_iovlen = fill_iov(c, iov, &total) };
        ssize_t n = sendmsg(c->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            send_later(c);
        else if (n < 0 && errno != EINTR)
            conn_close(c);
        else if (n > 0)
            sent(c, (size_t)n);
    }
    if (!c->closing && c->nego.state == NBD_NEGO_CLOSE && c->hello.n == 0)
        conn_close(c);
}

static void answer(struct nreq *q, const uint8_t *data, size_t len)
{
    struct conn *c = q->conn;

    q->data = data;
    q->data_len = len;
    if (c->closing) {
        req_free(q);
    } else {
        list_remove(&q->link);
        list_add_tail(&c->answers, &q->link);
    }
    mark_dirty(c);
}

static void answer_error(struct nreq *q, int error)
{
    bool structured = q->conn->nego.structured
                      && (q->q.cmd == NBD_READ || q->q.cmd == NBD_BLOCK_STATUS);

    q->head_len = structured ? nbd_reply_error(q->head, q->q.cookie, error)
                             : nbd_reply_simple(q->head, q->q.cookie, error);
    answer(q, NULL, 0);
}

static void answer_status(struct nreq *q)
{
    uint8_t *wire = q->buf + WIRE_AT;

    for (size_t i = 0; i < q->r.n_extents; i++)
        nbd_extent(wire + 8 * i, (uint32_t)q->r.extents[i].len, q->r.extents[i].hole);
    q->head_len = nbd_reply_status(q->head, q->q.cookie, q->r.n_extents);
    answer(q, wire, 8 * q->r.n_extents);
}

static void req_done(struct disk_req *r)
{
    struct nreq *q = CONTAINER_OF(r, struct nreq, r);

    if (r->error || q->q.cmd == NBD_FLUSH || q->q.cmd == NBD_WRITE || q->q.cmd == NBD_TRIM
        || q->q.cmd == NBD_WRITE_ZEROES) {
        answer_error(q, r->error);
    } else if (q->q.cmd == NBD_BLOCK_STATUS) {
        answer_status(q);
    } else {
        q->head_len = q->conn->nego.structured
                          ? nbd_reply_data(q->head, q->q.cookie, q->q.offset, q->q.len)
                          : nbd_reply_simple(q->head, q->q.cookie, 0);
        answer(q, q->buf, q->q.len);
    }
}

static void start(struct nreq *q)
{
    static const enum disk_kind kinds[] = {
        [NBD_READ] = DISK_READ,         [NBD_WRITE] = DISK_WRITE,
        [NBD_FLUSH] = DISK_FLUSH,       [NBD_TRIM] = DISK_ZERO,
        [NBD_WRITE_ZEROES] = DISK_ZERO, [NBD_BLOCK_STATUS] = DISK_STATUS,
    };

    q->r = (struct disk_req){
        .done = req_done,
        .kind = kinds[q->q.cmd],
        .fua = q->q.flags & NBD_FUA,
        .offset = q->q.offset,
        .len = q->q.len,
        .buf = q->buf,
    };
    if (q->q.cmd == NBD_WRITE_ZEROES && (q->q.flags & NBD_NO_HOLE))
        q->r.kind = DISK_WRITE;
    if (q->q.cmd == NBD_BLOCK_STATUS) {
        q->r.extents = (struct disk_extent *)(void *)q->buf;
        q->r.max_extents = (q->q.flags & NBD_REQ_ONE) ? 1 : NBD_EXTENTS_MAX;
    }
    disk_submit(q->conn->srv->disk, &q->r);
}

/* A request with its memory, or NULL: the connection waits for its share of both, which others that do not take
 * their answers cannot use up. */
static struct nreq *req_take(struct conn *c, const struct nbd_request *r, size_t len)
{
    struct nbd *s = c->srv;
    bool mine = c->refs == 0
                || (c->used + len <= NBD_ARENA_BYTES / s->n_conns
                    && c->refs < MAX(NBD_REQS_MAX / s->n_conns, (size_t)1));
    uint8_t *buf = mine && s->n_free && len ? arena_take(&s->arena, len) : NULL;

    if (!mine || !s->n_free || (len && !buf)) {
        if (list_empty(&c->paused))
            list_add_tail(&s->paused, &c->paused);
        return NULL;
    }
    list_remove(&c->paused);
    struct nreq *q = list_entry(s->free.next, struct nreq, link);
    list_remove(&q->link);
    s->n_free--;
    c->refs++;
    q->conn = c;
    q->q = *r;
    q->buf = buf;
    q->buf_len = len;
    c->used += len;
    return q;
}

/* The next request in the buffer; false: it is not there as a whole, or has to wait. */
static bool parse_request(struct conn *c)
{
    struct nbd_export e = export_of(c->srv);
    struct nbd_request r;
    uint32_t payload = 0;
    size_t len = 0;

    if (c->in_len < NBD_REQUEST_BYTES)
        return false;
    if (!nbd_request_read(c->in + c->in_at, &r) || r.cmd == NBD_DISC) {
        conn_close(c);
        return false;
    }
    int error = nbd_request_check(&r, &c->nego, &e, &payload);
    if (!error && (r.cmd == NBD_READ || r.cmd == NBD_WRITE))
        len = r.len;
    else if (!error && r.cmd == NBD_BLOCK_STATUS)
        len = WIRE_AT + 8 * NBD_EXTENTS_MAX;
    struct nreq *q = req_take(c, &r, len);
    if (!q)
        return false;
    c->in_at += NBD_REQUEST_BYTES;
    c->in_len -= NBD_REQUEST_BYTES;
    if (error) {
        c->skip = payload;
        answer_error(q, error);
    } else if (payload) {
        c->filling = q;
        c->filled = 0;
    } else {
        start(q);
    }
    return true;
}

/* Data of a write from the buffer; false: more has to come. */
static bool parse_data(struct conn *c)
{
    size_t n = MIN(c->in_len, (size_t)c->filling->q.len - c->filled);

    memcpy(c->filling->buf + c->filled, c->in + c->in_at, n);
    c->filled += n;
    c->in_at += n;
    c->in_len -= n;
    if (c->filled < c->filling->q.len)
        return false;
    start(TAKE(c->filling));
    return true;
}

static bool parse_skip(struct conn *c)
{
    size_t n = (size_t)MIN((uint64_t)c->in_len, c->skip);

    c->skip -= n;
    c->in_at += n;
    c->in_len -= n;
    return c->skip == 0;
}

static bool parse_hello(struct conn *c)
{
    struct nbd_export e = export_of(c->srv);
    size_t n = nbd_negotiate(&c->nego, &e, c->in + c->in_at, c->in_len, &c->hello);

    c->in_at += n;
    c->in_len -= n;
    if (c->hello.n || c->nego.state == NBD_NEGO_CLOSE)
        mark_dirty(c);
    return n > 0;
}

static void conn_parse(struct conn *c)
{
    bool more = true;

    while (more && !c->closing && c->nego.state != NBD_NEGO_CLOSE) {
        if (c->nego.state != NBD_NEGO_READY)
            more = parse_hello(c);
        else if (c->filling)
            more = parse_data(c);
        else if (c->skip)
            more = parse_skip(c);
        else
            more = parse_request(c);
    }
    if (c->in_len == 0)
        c->in_at = 0;
}

static bool conn_paused(const struct conn *c)
{
    return !list_empty(&c->paused);
}

static void arm_read(struct conn *c)
{
    if (c->closing || c->rd_armed || conn_paused(c))
        return;
    c->rd.fd = c->fd;
    c->rd.kind = AIO_POLL;
    c->rd.events = POLLIN;
    c->rd_armed = true;
    aio_submit(c->srv->aio, &c->rd);
}

/* One system call's worth; 0: nothing there for now. */
static ssize_t receive(struct conn *c, size_t *asked)
{
    struct iovec iov[2];
    int n = 0;

    if (c->in_at) {
        memmove(c->in, c->in + c->in_at, c->in_len);
        c->in_at = 0;
    }
    if (c->filling && c->in_len == 0)
        iov[n++] = (struct iovec){ c->filling->buf + c->filled,
                                   c->filling->q.len - c->filled };
    iov[n++] = (struct iovec){ c->in + c->in_len, IN_BYTES - c->in_len };
    size_t direct = n == 2 ? iov[0].iov_len : 0;
    *asked = direct + iov[n - 1].iov_len;
    struct msghdr m = { .msg_iov = iov, .msg_iovlen = (size_t)n };
    ssize_t got = recvmsg(c->fd, &m, MSG_DONTWAIT);
    if (got <= 0)
        return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
    size_t to_buf = MIN((size_t)got, direct);
    c->filled += to_buf;
    c->in_len += (size_t)got - to_buf;
    return got;
}

static void conn_read(struct conn *c)
{
    size_t asked;

    while (!c->closing && !conn_paused(c)) {
        ssize_t n = receive(c, &asked);
        if (n < 0)
            conn_close(c);
        if (n <= 0)
            break;
        conn_parse(c);
        if ((size_t)n < asked)
            break;
    }
    arm_read(c);
}

static void readable(struct aio_op *op, int64_t res)
{
    struct conn *c = op->arg;

    c->rd_armed = false;
    if (c->closing)
        mark_dirty(c);
    else
        conn_read(c);
}

static void writable(struct aio_op *op, int64_t res)
{
    struct conn *c = op->arg;

    c->wr_armed = false;
    mark_dirty(c);
}

void nbd_add(struct nbd *s, int fd)
{
    if (s->stopping || s->n_conns >= NBD_CONNS_MAX) {
        close_fd(&fd);
        return;
    }
    struct conn *c = mem_alloc(sizeof(*c));
    c->srv = s;
    c->fd = fd;
    c->in = mem_alloc(IN_BYTES);
    c->rd.done = readable;
    c->wr.done = writable;
    c->rd.arg = c->wr.arg = c;
    list_init(&c->dirty);
    list_init(&c->paused);
    list_init(&c->answers);
    list_add_tail(&s->conns, &c->link);
    s->n_conns++;
    int bytes = 4 << 20; /* the system cuts it to what it allows */
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    nbd_greet(&c->hello);
    mark_dirty(c);
    arm_read(c);
}

static void accept_later(struct nbd *s)
{
    s->accepting = true;
    aio_submit(s->aio, &s->accept_op);
}

static void acceptable(struct aio_op *op, int64_t res)
{
    struct nbd *s = op->arg;

    s->accepting = false;
    if (s->stopping)
        return;
    int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
        log_warn("nbd: accept: %m"); /* no descriptors, most likely: nbd_tick tries again */
        return;
    }
    if (fd >= 0)
        nbd_add(s, fd);
    accept_later(s);
}

void nbd_turn(struct nbd *s)
{
    /* Sending frees requests, for which the next in line may have waited; its requests may be answered at
     * once. */
    do {
        list_for_each_safe(it, &s->dirty) {
            struct conn *c = list_entry(it, struct conn, dirty);
            list_remove(&c->dirty);
            conn_send(c);
            /* Options that found no room for their answers. */
            if (!c->closing && c->hello.n == 0 && c->nego.state == NBD_NEGO_OPTIONS)
                conn_parse(c);
        }
        list_for_each_safe(it, &s->paused) {
            struct conn *c = list_entry(it, struct conn, paused);
            conn_parse(c);
            if (!c->closing && !conn_paused(c))
                conn_read(c);
        }
    } while (!list_empty(&s->dirty));
    list_for_each_safe(it, &s->conns)
        conn_free_if_done(list_entry(it, struct conn, link));
}

void nbd_tick(struct nbd *s)
{
    if (s->n_free == NBD_REQS_MAX)
        arena_trim(&s->arena);
    if (s->listen_fd >= 0 && !s->accepting && !s->stopping)
        accept_later(s);
}

struct nbd *nbd_new(struct aio *a, struct disk *d, int listen_fd, const char *name)
{
    struct nbd *s = mem_alloc(sizeof(*s));

    if (arena_init(&s->arena, NBD_ARENA_BYTES) < 0) {
        free(s);
        return NULL;
    }
    s->aio = a;
    s->disk = d;
    s->name = str_dup(name);
    s->listen_fd = listen_fd;
    list_init(&s->conns);
    list_init(&s->dirty);
    list_init(&s->paused);
    list_init(&s->free);
    s->reqs = mem_array(NBD_REQS_MAX, sizeof(*s->reqs));
    for (size_t i = 0; i < NBD_REQS_MAX; i++)
        list_add_tail(&s->free, &s->reqs[i].link);
    s->n_free = NBD_REQS_MAX;
    s->accept_op = (struct aio_op){
        .done = acceptable, .kind = AIO_POLL, .fd = listen_fd, .events = POLLIN, .arg = s
    };
    if (listen_fd >= 0)
        accept_later(s);
    return s;
}

void nbd_stop(struct nbd *s)
{
    s->stopping = true;
    if (s->accepting)
        aio_cancel(s->aio, &s->accept_op);
    list_for_each_safe(it, &s->conns)
        conn_close(list_entry(it, struct conn, link));
}

bool nbd_stopped(const struct nbd *s)
{
    return s->stopping && !s->accepting && s->n_conns == 0;
}

size_t nbd_connections(const struct nbd *s)
{
    return s->n_conns;
}

void nbd_free(struct nbd *s)
{
    if (!s)
        return;
    close_fd(&s->listen_fd);
    arena_done(&s->arena);
    free(s->reqs);
    free(s->name);
    free(s);
}
