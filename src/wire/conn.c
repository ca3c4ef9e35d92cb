/* SPDX-License-Identifier: Apache-2.0 */
/* Connections. Every operation is tried first, without blocking, and waits by its deadline only where it would
 * block. TLS records are moved by OpenSSL over a BIO of our own, so that both kinds send with MSG_NOSIGNAL. The read
 * buffer exists only while it holds bytes: an idle connection costs this struct and, with TLS, OpenSSL's
 * (SSL_MODE_RELEASE_BUFFERS). A conn belongs to one thread at a time; nothing here locks. */
#include "wire/conn.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"
#include "wire/conn_int.h"

#define READ_BUF       16384
#define LINGER_BYTES   (256 * 1024)
#define DIRECT_READ    1024 /* who asks for so much reads to where it wants it */
#define MOVES_UNLOOKED 16
#define TOGETHER       65536

struct conn {
    int fd;
    bool trusted;
    bool broken; /* TLS failed: no close_notify */
    SSL *ssl;    /* NULL: plain */
    char
        *buf; /* bytes read and not yet taken: buf[pos .. end); NULL while there are none */
    uint32_t pos, end;
    uint32_t moves; /* reads and writes so far */
    char peer[56];
};

static void describe_peer(struct conn *c)
{
    union {
        struct sockaddr sa;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un un;
    } u = { 0 };

    socklen_t len = sizeof(u);
    char text[INET6_ADDRSTRLEN] = "unknown";
    unsigned uid;

    if (getpeername(c->fd, &u.sa, &len) < 0)
        u.sa.sa_family = AF_UNSPEC;
    if (u.sa.sa_family == AF_UNIX && io_peer_uid(c->fd, &uid) == 0) {
        c->trusted = uid == 0 || uid == geteuid();
        snprintf(c->peer, sizeof(c->peer), "unix:%u", uid);
        return;
    }
    if (u.sa.sa_family == AF_INET)
        inet_ntop(AF_INET, &u.v4.sin_addr, text, sizeof(text));
    else if (u.sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&u.v6.sin6_addr))
        inet_ntop(AF_INET, &u.v6.sin6_addr.s6_addr[12], text, sizeof(text));
    else if (u.sa.sa_family == AF_INET6)
        inet_ntop(AF_INET6, &u.v6.sin6_addr, text, sizeof(text));
    snprintf(c->peer, sizeof(c->peer), "%s", text);
}

struct conn *conn_new(int fd, SSL *ssl)
{
    struct conn *c = mem_alloc(sizeof(*c));
    c->fd = fd;
    c->ssl = ssl;
    /* Every send and recv says MSG_DONTWAIT by itself; TCP_NODELAY fails on unix sockets, which do not delay. */
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    describe_peer(c);
    return c;
}

struct conn *conn_plain(int fd)
{
    return conn_new(fd, NULL);
}

/* What the peer sent and nobody read would make close() reset the connection, and our last answer could be lost with
 * it: end our side and drop what is there. */
static void finish_socket(int fd)
{
    char junk[4096];
    size_t dropped = 0;
    shutdown(fd, SHUT_WR);
    while (dropped < LINGER_BYTES) {
        ssize_t n = recv(fd, junk, sizeof(junk), MSG_DONTWAIT);
        if (n <= 0)
            break;
        dropped += (size_t)n;
    }
    close(fd);
}

void conn_close(struct conn **cp)
{
    struct conn *c = *cp;
    if (!c)
        return;
    int saved = errno;
    if (c->ssl) {
        ERR_clear_error();
        if (!c->broken && SSL_is_init_finished(c->ssl))
            (void)SSL_shutdown(
                c->ssl); /* one try: a peer that does not read loses only the notice */
        SSL_free(c->ssl);
        ERR_clear_error();
    }
    finish_socket(c->fd);
    free(c->buf);
    free(c);
    *cp = NULL;
    errno = saved;
}

int conn_release(struct conn **cp)
{
    struct conn *c = *cp;
    int fd = c->fd;
    assert(!c->ssl && c->pos == c->end);
    free(c->buf);
    free(c);
    *cp = NULL;
    return fd;
}

int conn_fd(const struct conn *c)
{
    return c->fd;
}

bool conn_is_tls(const struct conn *c)
{
    return c->ssl != NULL;
}

bool conn_buffered(const struct conn *c)
{
    return c->pos < c->end || (c->ssl && SSL_has_pending(c->ssl));
}

const char *conn_peer(const struct conn *c)
{
    return c->peer;
}

bool conn_local_trusted(const struct conn *c)
{
    return c->trusted;
}

/* After an SSL_* call failed: 0 at an orderly end, else -1 with errno. */
static ssize_t tls_failed(struct conn *c, int rc, short *want_out)
{
    int saved = errno;
    switch (SSL_get_error(c->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        *want_out = POLLIN;
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_WANT_WRITE:
        *want_out = POLLOUT;
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN: return 0;
    case SSL_ERROR_SYSCALL: errno = saved ? saved : ECONNRESET; break;
    default:
        errno = ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING
                    ? ECONNRESET
                    : EPROTO;
        break;
    }
    if (errno == EPIPE)
        errno = ECONNRESET;
    c->broken = true;
    saved = errno;
    ERR_clear_error();
    errno = saved;
    return -1;
}

static ssize_t try_read_socket(struct conn *c, void *p, size_t len, short *want_out)
{
    if (c->ssl) {
        size_t got = 0;
        if (c->broken) {
            errno = EPROTO;
            return -1;
        }
        ERR_clear_error();
        errno = 0;
        int rc = SSL_read_ex(c->ssl, p, len, &got);
        return rc > 0 ? (ssize_t)got : tls_failed(c, rc, want_out);
    }
    ssize_t n;
    do
        n = recv(c->fd, p, len, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    *want_out = POLLIN;
    return n;
}

static ssize_t take_buffered(struct conn *c, void *p, size_t len)
{
    size_t n = MIN(len, (size_t)(c->end - c->pos));
    memcpy(p, c->buf + c->pos, n);
    c->pos += (uint32_t)n;
    if (c->pos == c->end) {
        free(c->buf);
        c->buf = NULL;
        c->pos = c->end = 0;
    }
    return (ssize_t)n;
}

ssize_t conn_try_read(struct conn *c, void *p, size_t len, short *want_out)
{
    if (c->pos < c->end || len == 0)
        return len ? take_buffered(c, p, len) : 0;
    return try_read_socket(c, p, len, want_out);
}

ssize_t conn_try_write(struct conn *c, const void *p, size_t len, short *want_out)
{
    if (c->ssl) {
        size_t put = 0;
        if (c->broken) {
            errno = EPROTO;
            return -1;
        }
        ERR_clear_error();
        errno = 0;
        int rc = SSL_write_ex(c->ssl, p, len, &put);
        if (rc > 0)
            return (ssize_t)put;
        if (tls_failed(c, rc, want_out) == 0)
            errno = ECONNRESET;
        return -1;
    }
    ssize_t n;
    do
        n = send(c->fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    *want_out = POLLOUT;
    if (n < 0 && errno == EPIPE)
        errno = ECONNRESET;
    return n;
}

/* A stream that never blocks must still notice its deadline: now and then, as looking costs a system call. */
static int still_wanted(struct conn *c, const struct deadline *d)
{
    struct pollfd cancel = { .fd = d->cancel_fd, .events = POLLIN };
    if (++c->moves % MOVES_UNLOOKED != 0)
        return 0;
    if (d->cancel_fd >= 0 && poll(&cancel, 1, 0) > 0)
        errno = ECANCELED;
    else if (deadline_passed(d))
        errno = ETIMEDOUT;
    else
        return 0;
    return -1;
}

static ssize_t read_socket(struct conn *c, void *p, size_t len, const struct deadline *d)
{
    if (still_wanted(c, d) < 0)
        return -1;
    for (;;) {
        short want = POLLIN;
        ssize_t n = try_read_socket(c, p, len, &want);
        if (n >= 0 || errno != EAGAIN)
            return n;
        if (deadline_poll(d, c->fd, want) < 0)
            return -1;
    }
}

ssize_t conn_read(struct conn *c, void *p, size_t len, const struct deadline *d)
{
    if (len == 0)
        return 0;
    if (c->pos < c->end)
        return take_buffered(c, p, len);
    if (len >= DIRECT_READ)
        return read_socket(c, p, len, d);
    AUTO(free_str) char *buf = mem_resize(NULL, READ_BUF, 1);
    ssize_t n = read_socket(c, buf, READ_BUF, d);
    if (n <= 0)
        return n;
    if ((size_t)n <= len) {
        memcpy(p, buf, (size_t)n);
        return n;
    }
    c->buf = TAKE(buf);
    c->pos = 0;
    c->end = (uint32_t)n;
    return take_buffered(c, p, len);
}

int conn_read_full(struct conn *c, void *p, size_t len, const struct deadline *d)
{
    char *to = p;
    while (len > 0) {
        ssize_t n = conn_read(c, to, len, d);
        if (n < 0)
            return -1;
        if (n == 0) {
            errno = EPIPE;
            return -1;
        }
        to += n;
        len -= (size_t)n;
    }
    return 0;
}

void conn_unread(struct conn *c, const void *p, size_t len)
{
    if (len == 0)
        return;
    size_t have = c->end - c->pos;
    if (c->buf && len <= c->pos) {
        c->pos -= (uint32_t)len;
        memcpy(c->buf + c->pos, p, len);
        return;
    }
    char *buf = mem_resize(NULL, len + have, 1);
    memcpy(buf, p, len);
    if (c->buf)
        memcpy(buf + len, c->buf + c->pos, have);
    free(c->buf);
    c->buf = buf;
    c->pos = 0;
    c->end = (uint32_t)(len + have);
}

int conn_write(struct conn *c, const void *p, size_t len, const struct deadline *d)
{
    const char *from = p;
    while (len > 0) {
        short want = POLLOUT;
        if (still_wanted(c, d) < 0)
            return -1;
        ssize_t n = conn_try_write(c, from, len, &want);
        if (n > 0) {
            from += n;
            len -= (size_t)n;
        } else if (n < 0 && errno != EAGAIN) {
            return -1;
        } else if (deadline_poll(d, c->fd, want) < 0) {
            return -1;
        }
    }
    return 0;
}

/* TLS seals records of at most 16 KiB, so small vectors are put together first: one of each would be one for each. */
static int tls_writev(struct conn *c, const struct iovec *v, size_t n,
                      const struct deadline *d)
{
    AUTO(free_str) char *together = mem_resize(NULL, TOGETHER, 1);
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        const char *p = v[i].iov_base;
        for (size_t left = v[i].iov_len, piece; left > 0; left -= piece, p += piece) {
            piece = MIN(left, TOGETHER - len);
            memcpy(together + len, p, piece);
            len += piece;
            if (len < TOGETHER)
                continue;
            if (conn_write(c, together, len, d) < 0)
                return -1;
            len = 0;
        }
    }
    return conn_write(c, together, len, d);
}

int conn_writev(struct conn *c, struct iovec *v, size_t n, const struct deadline *d)
{
    if (c->ssl)
        return tls_writev(c, v, n, d);
    struct msghdr m = { .msg_iov = v, .msg_iovlen = n };
    while (m.msg_iovlen > 0) {
        if (still_wanted(c, d) < 0)
            return -1;
        ssize_t sent = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EPIPE)
            errno = ECONNRESET;
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return -1;
        if (sent < 0 && errno == EAGAIN && deadline_poll(d, c->fd, POLLOUT) < 0)
            return -1;
        size_t left = sent < 0 ? 0 : (size_t)sent;
        while (m.msg_iovlen > 0 && left >= m.msg_iov->iov_len) {
            left -= m.msg_iov->iov_len;
            m.msg_iov++;
            m.msg_iovlen--;
        }
        if (m.msg_iovlen > 0) {
            m.msg_iov->iov_base = (char *)m.msg_iov->iov_base + left;
            m.msg_iov->iov_len -= left;
        }
    }
    return 0;
}
