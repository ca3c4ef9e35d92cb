/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the listening sockets and every connection that nobody serves. The loop thread accepts; the workers wait on a
 * second epoll set, of all parked connections, and take one each: whoever is told of a connection has it alone (one
 * shot) until it parks or closes it. So a request costs no hand-over between threads. The list of the parked, under
 * door.m, is for those that nobody hears of: the loop thread never closes one, it shuts the socket down, and the worker
 * that is told of that closes it. Nothing here reads from or blocks on a client. */
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
#include "base/lock.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "ops/host_config.h"
#include "seraid/serve.h"

#define ACCEPT_BATCH 64
#define RETRY_US     (100 * US_PER_MS)
#define SWEEP_US     (5 * US_PER_SEC)
#define SPARE_FDS    512 /* for the database, machines, files */
#define MAX_SOCKETS  8
#define LEAVING_MAX  128
#define LEAVING_US   US_PER_SEC

struct listener {
    int fd;
    enum listen_kind kind;
};

static struct {
    struct loop *loop;
    int peers_fd; /* epoll: the parked, and stop_fd with no peer */
    struct mutex m;
    struct list parked; /* under m */
    struct list leaving;
    size_t n_leaving;
    struct listener sockets[MAX_SOCKETS];
    size_t n_sockets;
    bool accepting, stopping;
    int signal_fd, stop_fd;
    size_t max_peers;
} door = { .m = MUTEX_INIT };

/* Counted up on the loop thread and down by whoever closes: a counter needs no lock. */
static atomic_size_t n_peers;

static void start_accepting(void *arg);

static void peer_close(struct peer *p)
{
    if (p->conn)
        conn_close(&p->conn);
    close_fd(&p->fd);
    free(p);
    atomic_fetch_sub(&n_peers, 1);
}

/* End what has been silent for too long; the list is in the order of parking. */
static void sweep(void *arg UNUSED)
{
    int64_t before_us = clock_now_us() - LISTEN_IDLE_US;

    mutex_lock(&door.m);
    list_for_each(it, &door.parked) {
        struct peer *p = list_entry(it, struct peer, link);

        if (p->parked_us > before_us)
            break;
        (void)shutdown(p->conn ? conn_fd(p->conn) : p->fd,
                       SHUT_RDWR); /* or it just ended */
    }
    mutex_unlock(&door.m);
    (void)loop_timer(door.loop, SWEEP_US, sweep, NULL);
}

/* After this another thread may have p. op: EPOLL_CTL_ADD the first time, then EPOLL_CTL_MOD. The lock is held until
 * epoll_ctl() is done with the descriptor, which the next thread may close. */
static void park(struct peer *p, int op)
{
    struct epoll_event e = { .events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT, .data.ptr = p };
    bool ok;

    if (p->conn && conn_buffered(p->conn))
        e.events |= EPOLLOUT; /* at once: the next request has been read already */
    p->parked_us = clock_now_us();
    mutex_lock(&door.m);
    ok = epoll_ctl(door.peers_fd, op, p->conn ? conn_fd(p->conn) : p->fd, &e) == 0;
    if (ok)
        list_add_tail(&door.parked, &p->link);
    mutex_unlock(&door.m);
    if (!ok) {
        log_warn("watching a connection: %m");
        peer_close(p);
    }
}

bool listen_serve(void *arg UNUSED)
{
    struct epoll_event e;
    struct peer *p;
    int n = epoll_wait(door.peers_fd, &e, 1, -1);

    if (n <= 0)
        return true; /* EINTR */
    p = e.data.ptr;
    if (!p)
        return false;
    mutex_lock(&door.m);
    list_remove(&p->link);
    mutex_unlock(&door.m);
    serve_peer(p);
    return true;
}

/* Refused ones, whose answer is on its way: closing over what they still send would destroy it. Loop thread only. */
struct leaving {
    struct list link; /* oldest first */
    int fd;
    int64_t until_us;
};

static void leaving_close(struct leaving *l)
{
    loop_del(door.loop, l->fd);
    close_fd(&l->fd);
    list_remove(&l->link);
    door.n_leaving--;
    free(l);
}

static void leaving_readable(void *arg, uint32_t events UNUSED)
{
    struct leaving *l = arg;
    char junk[4096];
    ssize_t n = recv(l->fd, junk, sizeof(junk), MSG_DONTWAIT);

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        leaving_close(l);
}

static void leaving_late(void *arg UNUSED)
{
    int64_t now_us = clock_now_us();

    while (!list_empty(&door.leaving)) {
        struct leaving *l = list_entry(door.leaving.next, struct leaving, link);

        if (l->until_us > now_us)
            break;
        leaving_close(l);
    }
}

static void leave(int fd)
{
    struct leaving *l = mem_alloc(sizeof(*l));

    *l = (struct leaving){ .fd = fd, .until_us = clock_now_us() + LEAVING_US };
    list_add_tail(&door.leaving, &l->link);
    door.n_leaving++;
    (void)shutdown(fd, SHUT_WR); /* the client sees the end, and ends too */
    if (loop_add(door.loop, fd, EPOLLIN | EPOLLRDHUP, leaving_readable, l) != 0)
        leaving_close(l);
    else
        (void)loop_timer(door.loop, LEAVING_US + 1, leaving_late, NULL);
}

/* One answer without reading the request; a client of TLS just sees the end. */
static void refuse(int fd, enum listen_kind kind)
{
    static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
                               "Retry-After: 5\r\nConnection: close\r\n\r\n";
    bool told = kind != LISTEN_TLS
                && send(fd, busy, sizeof(busy) - 1, MSG_DONTWAIT | MSG_NOSIGNAL) > 0;

    if (told && door.n_leaving < LEAVING_MAX)
        leave(fd);
    else
        (void)close(fd);
}

void listen_tune(int fd)
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

    if (kind == LISTEN_PLAIN && host_https_only()) {
        (void)close(fd);
        return;
    }
    if (atomic_load(&n_peers) >= door.max_peers) {
        refuse(fd, kind);
        return;
    }
    p = mem_alloc(sizeof(*p));
    list_init(&p->link);
    p->fd = fd;
    p->kind = kind;
    atomic_fetch_add(&n_peers, 1);
    park(p, EPOLL_CTL_ADD);
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

int listen_init(struct err *err)
{
    struct epoll_event stop = { .events = EPOLLIN };
    sigset_t set;

    list_init(&door.parked);
    list_init(&door.leaving);
    door.max_peers = peer_limit();
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    door.signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    door.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    door.loop = loop_new();
    door.peers_fd = epoll_create1(EPOLL_CLOEXEC);
    if (door.signal_fd < 0 || door.stop_fd < 0 || !door.loop || door.peers_fd < 0
        || epoll_ctl(door.peers_fd, EPOLL_CTL_ADD, door.stop_fd, &stop) != 0
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
    if (kind != LISTEN_UNIX)
        listen_tune(fd);
    door.sockets[door.n_sockets++] = (struct listener){ .fd = fd, .kind = kind };
    return 0;
}

static void stop_accepting(void)
{
    door.stopping = true;
    for (size_t i = 0; i < door.n_sockets; i++) {
        if (door.accepting)
            loop_del(door.loop, door.sockets[i].fd);
        close_fd(&door.sockets[i].fd);
    }
    door.n_sockets = 0;
    (void)eventfd_write(door.stop_fd, 1); /* cannot fill up */
}

void listen_done(void)
{
    mutex_lock(&door.m);
    list_for_each_safe(it, &door.parked) {
        list_remove(it);
        peer_close(list_entry(it, struct peer, link));
    }
    mutex_unlock(&door.m);
}

int listen_run(struct err *err)
{
    int rc;

    start_accepting(NULL);
    sweep(NULL);
    rc = loop_run(door.loop);
    if (rc != 0) {
        (void)err_set(err, ERR_INTERNAL_ERROR, "event loop");
        (void)err_detail(err, "event loop: %m");
    }
    stop_accepting();
    return rc;
}

int listen_stop_fd(void)
{
    return door.stop_fd;
}

void listen_park(struct peer *p)
{
    park(p, EPOLL_CTL_MOD);
}

static void rested(void *arg)
{
    park(arg, EPOLL_CTL_MOD);
}

static void rest(void *arg)
{
    struct peer *p = arg;

    (void)loop_timer(door.loop, p->rest_us, rested, p); /* never cancelled */
}

void listen_rest(struct peer *p, int64_t us)
{
    p->rest_us = us;
    loop_post(door.loop, rest, p);
}

void listen_drop(struct peer *p)
{
    peer_close(p);
}
