/* SPDX-License-Identifier: Apache-2.0 */
/* Two streams joined: a connection and a socket, with a codec between them. One thread moves both ways; nothing is
 * read for a side that does not take what it has, so memory stays bounded by two queues. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"
#include "wire/conn_int.h"

#define PIECE       65536
#define QUEUE_FULL  PIECE
#define FAREWELL_US (5 * US_PER_SEC) /* for what is still queued once a side has ended */

struct pump {
    struct conn *c;
    int fd;
    const struct conn_codec *codec;
    struct buf to_conn, to_fd;
    size_t conn_at, fd_at;        /* written already of each queue */
    short conn_events, fd_events; /* what each side waits for */
    bool ending;                  /* read nothing more, leave when the queues are empty */
    bool conn_gone, fd_gone;      /* the queue for it is dropped */
    char *piece;
};

static bool is_again(void)
{
    return errno == EAGAIN || errno == EINTR;
}

static bool flush_conn(struct pump *p)
{
    bool moved = false;
    while (p->conn_at < p->to_conn.len && !p->conn_gone) {
        short want = POLLOUT;
        ssize_t n = conn_try_write(p->c, p->to_conn.data + p->conn_at,
                                   p->to_conn.len - p->conn_at, &want);
        if (n < 0 && is_again()) {
            p->conn_events |= want;
            return moved;
        }
        if (n < 0) {
            p->conn_gone = p->ending = true;
            break;
        }
        p->conn_at += (size_t)n;
        moved = true;
    }
    buf_clear(&p->to_conn);
    p->conn_at = 0;
    return moved;
}

static bool flush_fd(struct pump *p)
{
    bool moved = false;
    while (p->fd_at < p->to_fd.len && !p->fd_gone) {
        ssize_t n = send(p->fd, p->to_fd.data + p->fd_at, p->to_fd.len - p->fd_at,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && is_again()) {
            p->fd_events |= POLLOUT;
            return moved;
        }
        if (n < 0) {
            p->fd_gone = p->ending = true;
            break;
        }
        p->fd_at += (size_t)n;
        moved = true;
    }
    buf_clear(&p->to_fd);
    p->fd_at = 0;
    return moved;
}

static bool fill_from_conn(struct pump *p)
{
    if (p->ending || p->to_fd.len > 0 || p->to_conn.len >= QUEUE_FULL)
        return false;
    short want = POLLIN;
    ssize_t n = conn_try_read(p->c, p->piece, PIECE, &want);
    if (n < 0 && is_again()) {
        p->conn_events |= want;
        return false;
    }
    if (n <= 0) {
        p->ending = true;
        p->conn_gone = p->conn_gone || n < 0;
        return true;
    }
    if (!p->codec->from_conn(p->codec->arg, p->piece, (size_t)n, &p->to_fd, &p->to_conn))
        p->ending = true;
    return true;
}

static bool fill_from_fd(struct pump *p)
{
    if (p->ending || p->to_conn.len > 0)
        return false;
    ssize_t n = recv(p->fd, p->piece, PIECE, MSG_DONTWAIT);
    if (n < 0 && is_again()) {
        p->fd_events |= POLLIN;
        return false;
    }
    if (n <= 0) {
        p->ending = true;
        if (p->codec->fd_ended)
            p->codec->fd_ended(p->codec->arg, &p->to_conn);
        return true;
    }
    if (!p->codec->from_fd(p->codec->arg, p->piece, (size_t)n, &p->to_conn))
        p->ending = true;
    return true;
}

/* Wait for what the sides asked for; at once when something moved, but always look at the cancel descriptor. */
static int wait_sides(struct pump *p, bool moved, const struct deadline *d)
{
    struct pollfd fds[] = {
        { .fd = p->conn_events ? conn_fd(p->c) : -1, .events = p->conn_events },
        { .fd = p->fd_events ? p->fd : -1, .events = p->fd_events },
        { .fd = d->cancel_fd, .events = POLLIN },
    };
    int64_t left_us = deadline_left_us(d);
    int timeout_ms = -1;
    if (moved)
        timeout_ms = 0;
    else if (d->at_us != INT64_MAX)
        timeout_ms = (int)MIN(left_us / US_PER_MS + 1, (int64_t)3600 * 1000);
    int n = poll(fds, ARRAY_SIZE(fds), timeout_ms);
    if (n < 0 && errno != EINTR)
        return -1;
    if (n > 0 && fds[2].revents) {
        errno = ECANCELED;
        return -1;
    }
    if (deadline_passed(d)) {
        errno = ETIMEDOUT;
        return -1;
    }
    return 0;
}

int conn_pump(struct conn *c, int fd, const struct conn_codec *codec,
              const struct deadline *d)
{
    struct pump p = { .c = c, .fd = fd, .codec = codec };
    p.to_conn = p.to_fd = BUF_INIT(
        0); /* bounded by QUEUE_FULL and what one piece becomes */
    p.piece = mem_resize(NULL, PIECE, 1);
    struct deadline farewell = { .at_us = INT64_MAX };
    int rc = 0;
    for (;;) {
        p.conn_events = p.fd_events = 0;
        bool moved = flush_conn(&p);
        moved |= flush_fd(&p);
        moved |= fill_from_conn(&p);
        moved |= fill_from_fd(&p);
        if (p.ending && p.to_conn.len == 0 && p.to_fd.len == 0)
            break;
        if (p.ending && farewell.at_us == INT64_MAX)
            farewell = deadline_sooner(d, FAREWELL_US);
        rc = wait_sides(&p, moved, p.ending ? &farewell : d);
        if (rc < 0 && errno == ETIMEDOUT && p.ending)
            rc = 0;
        else if (rc == 0)
            continue;
        break;
    }
    buf_done(&p.to_conn);
    buf_done(&p.to_fd);
    free(p.piece);
    return rc;
}

static bool copy_up(void *arg, char *p, size_t len, struct buf *to_fd, struct buf *to_conn)
{
    buf_add(to_fd, p, len);
    return true;
}

static bool copy_down(void *arg, const char *p, size_t len, struct buf *to_conn)
{
    buf_add(to_conn, p, len);
    return true;
}

int conn_proxy(struct conn *c, int fd, const struct deadline *d)
{
    static const struct conn_codec plain = { .from_conn = copy_up, .from_fd = copy_down };
    return conn_pump(c, fd, &plain, d);
}
