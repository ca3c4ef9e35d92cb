/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the listening sockets and every connection that nobody serves. All of it lives on the loop thread; workers hand
 * connections back by loop_post. Nothing here reads from or blocks on a client. */
#include "seraid/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "seraid/pool.h"
#include "seraid/serve.h"

#define ACCEPT_BATCH 64
#define RETRY_US     (100 * US_PER_MS)
#define SWEEP_US     (5 * US_PER_SEC)
#define SPARE_FDS    512 /* for the database, machines, files */
#define MAX_SOCKETS  8

struct listener {
    int fd;
    enum listen_kind kind;
};

static struct {
    struct loop *loop;
    struct pool *workers;
    struct list parked;
    struct listener sockets[MAX_SOCKETS];
    size_t n_sockets;
    bool accepting, sweeping, stopping;
    int signal_fd, stop_fd;
    size_t max_peers;
} door;

/* Counted up on the loop thread and down by whoever closes: a counter needs no lock. */
static atomic_size_t n_peers;

static void peer_readable(void *arg, uint32_t events);
static void start_accepting(void *arg);

static void peer_close(struct peer *p)
{
    if (p->conn)
        conn_close(&p->conn);
    close_fd(&p->fd);
    free(p);
    atomic_fetch_sub(&n_peers, 1);
}

/* Close what has been silent for too long; the list is in the order of parking. */
static void sweep(void *arg UNUSED)
{
    int64_t before_us = clock_now_us() - LISTEN_IDLE_US;

    door.sweeping = false;
    while (!list_empty(&door.parked)) {
        struct peer *p = list_entry(door.parked.next, struct peer, link);

        if (p->parked_us > before_us)
            break;
        list_remove(&p->link);
        loop_del(door.loop, p->conn ? conn_fd(p->conn) : p->fd);
        peer_close(p);
    }
    if (!list_empty(&door.parked) && !door.stopping) {
        door.sweeping = true;
        (void)loop_timer(door.loop, SWEEP_US, sweep, NULL);
    }
}

static void park(void *arg)
{
    struct peer *p = arg;
    int fd = p->conn ? conn_fd(p->conn) : p->fd;

    if (door.stopping
        || loop_add(door.loop, fd, EPOLLIN | EPOLLRDHUP | EPOLLONESHOT, peer_readable, p)
               != 0) {
        peer_close(p);
        return;
    }
    p->parked_us = clock_now_us();
    list_add_tail(&door.parked, &p->link);
    if (!door.sweeping) {
        door.sweeping = true;
        (void)loop_timer(door.loop, SWEEP_US, sweep, NULL);
    }
}

static void peer_readable(void *arg, uint32_t events UNUSED)
{
    struct peer *p = arg;

    loop_del(door.loop, p->conn ? conn_fd(p->conn) : p->fd);
    list_remove(&p->link);
    pool_submit(door.workers, serve_peer, p);
}

/* One answer without reading the request; a client of TLS just sees the end. */
static void refuse(int fd, enum listen_kind kind)
{
    static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
                               "Retry-After: 5\r\nConnection: close\r\n\r\n";

    if (kind != LISTEN_TLS)
        (void)!send(fd, busy, sizeof(busy) - 1,
                    MSG_DONTWAIT | MSG_NOSIGNAL); /* politeness only */
    (void)close(fd);
}

/* Quick answers, and an end within two minutes of connections whose peer has vanished. */
static void tune(int fd)
{
    static const struct {
        int level, name, value;
    } rows[] = {
        { IPPROTO_TCP, TCP_NODELAY, 1 },   { SOL_SOCKET, SO_KEEPALIVE, 1 },
        { IPPROTO_TCP, TCP_KEEPIDLE, 60 }, { IPPROTO_TCP, TCP_KEEPINTVL, 15 },
        { IPPROTO_TCP, TCP_KEEPCNT, 4 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        (void)setsockopt(fd, rows[i].level, rows[i].name, &rows[i].value,
                         sizeof(int)); /* serves without, too */
}

static void welcome(int fd, enum listen_kind kind)
{
    struct peer *p;

    if (atomic_load(&n_peers) >= door.max_peers) {
        refuse(fd, kind);
        return;
    }
    if (kind != LISTEN_UNIX)
        tune(fd);
    p = mem_alloc(sizeof(*p));
    list_init(&p->link);
    p->fd = fd;
    p->kind = kind;
    atomic_fetch_add(&n_peers, 1);
    park(p);
}

static void pause_accepting(void)
{
    log_warn("accepting connections: %m; trying again shortly");
    for (size_t i = 0; i < door.n_sockets; i++)
        loop_del(door.loop, door.sockets[i].fd);
    door.accepting = false;
    (void)loop_timer(door.loop, RETRY_US, start_accepting, NULL);
}

static void accept_ready(void *arg, uint32_t events UNUSED)
{
    const struct listener *l = arg;

    for (int i = 0; i < ACCEPT_BATCH; i++) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            welcome(fd, l->kind);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS
                   || errno == ENOMEM) {
            pause_accepting();
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return; /* EAGAIN, or a connection's own network error */
        }
    }
}

static void start_accepting(void *arg UNUSED)
{
    if (door.accepting || door.stopping)
        return;
    door.accepting = true;
    for (size_t i = 0; i < door.n_sockets; i++) {
        if (loop_add(door.loop, door.sockets[i].fd, EPOLLIN, accept_ready, &door.sockets[i])
            != 0) {
            log_error("watching a listening socket: %m");
            loop_stop(door.loop);
        }
    }
}

static void on_signal(void *arg UNUSED, uint32_t events UNUSED)
{
    struct signalfd_siginfo si;

    if (read(door.signal_fd, &si, sizeof(si)) != sizeof(si))
        return;
    log_info("stopping on signal %u", si.ssi_signo);
    loop_stop(door.loop);
}

static size_t peer_limit(void)
{
    struct rlimit rl;

    if (getrlimit(RLIMIT_NOFILE, &rl) != 0 || rl.rlim_cur >= LISTEN_MAX_PEERS + SPARE_FDS)
        return LISTEN_MAX_PEERS;
    return rl.rlim_cur > 2 * SPARE_FDS ? rl.rlim_cur - SPARE_FDS : rl.rlim_cur / 2;
}

int listen_init(struct pool *workers, struct err *err)
{
    sigset_t set;

    list_init(&door.parked);
    door.workers = workers;
    door.max_peers = peer_limit();
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    door.signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    door.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    door.loop = loop_new();
    if (door.signal_fd < 0 || door.stop_fd < 0 || !door.loop
        || loop_add(door.loop, door.signal_fd, EPOLLIN, on_signal, NULL) != 0)
        return err_set(err, ERR_INTERNAL_ERROR, "event loop"),
               err_detail(err, "event loop: %m");
    return 0;
}

int listen_add(int fd, enum listen_kind kind)
{
    if (door.n_sockets == MAX_SOCKETS || io_set_nonblock(fd, true) != 0) {
        close_fd(&fd);
        return -1;
    }
    door.sockets[door.n_sockets++] = (struct listener){ .fd = fd, .kind = kind };
    return 0;
}

static void close_all(void)
{
    door.stopping = true;
    for (size_t i = 0; i < door.n_sockets; i++) {
        if (door.accepting)
            loop_del(door.loop, door.sockets[i].fd);
        close_fd(&door.sockets[i].fd);
    }
    door.n_sockets = 0;
    list_for_each_safe(it, &door.parked) {
        struct peer *p = list_entry(it, struct peer, link);

        loop_del(door.loop, p->conn ? conn_fd(p->conn) : p->fd);
        list_remove(&p->link);
        peer_close(p);
    }
    (void)eventfd_write(door.stop_fd, 1); /* cannot fill up */
}

int listen_run(struct err *err)
{
    int rc;

    start_accepting(NULL);
    rc = loop_run(door.loop);
    if (rc != 0) {
        (void)err_set(err, ERR_INTERNAL_ERROR, "event loop");
        (void)err_detail(err, "event loop: %m");
    }
    close_all();
    return rc;
}

int listen_stop_fd(void)
{
    return door.stop_fd;
}

void listen_park(struct peer *p)
{
    loop_post(door.loop, park, p);
}

void listen_drop(struct peer *p)
{
    peer_close(p);
}
