/* SPDX-License-Identifier: Apache-2.0 */
/* A thread copies between the connection and a socket pair (conn.c knows TLS and its buffers); this thread copies
 * between the pair's other end and the terminal, where it sees the escape. */
#include "cli/terminal.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "base/io.h"

struct proxy {
    struct conn *c;
    int fd;
    const struct deadline *d;
};

static void *run_proxy(void *arg)
{
    struct proxy *p = arg;
    (void)!conn_proxy(p->c, p->fd, p->d); /* either way the stream is over */
    (void)shutdown(p->fd, SHUT_RDWR);
    return NULL;
}

/* What was typed, up to the escape. 1: go on. */
static int take_input(int sock, int *in, const struct deadline *d)
{
    char text[4096];
    ssize_t n = read(*in, text, sizeof(text));
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 1;
    if (n <= 0) {
        *in = -1; /* poll skips it */
        return 1;
    }
    const char *escape = memchr(text, TERMINAL_ESCAPE, (size_t)n);
    size_t len = escape ? (size_t)(escape - text) : (size_t)n;
    if (len && io_write_full(sock, text, len, d) < 0)
        return 0; /* the stream ended */
    return !escape;
}

static int take_output(int sock, int out, const struct deadline *d)
{
    char text[4096];
    ssize_t n = read(sock, text, sizeof(text));
    if (n < 0 && errno == EINTR)
        return 1;
    if (n <= 0)
        return 0;
    return io_write_full(out, text, (size_t)n, d) < 0 ? -1 : 1;
}

static int copy(int sock, int in, int out, const struct deadline *d)
{
    for (int rc = 1; rc > 0;) {
        struct pollfd p[] = { { .fd = sock, .events = POLLIN },
                              { .fd = in, .events = POLLIN },
                              { .fd = d->cancel_fd, .events = POLLIN } };
        if (poll(p, ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
            return -1;
        if (p[2].revents)
            return 0;
        if (p[0].revents)
            rc = take_output(sock, out, d);
        if (rc > 0 && p[1].revents)
            rc = take_input(sock, &in, d);
        if (rc < 0)
            return -1;
    }
    return 0;
}

int terminal_attach(struct conn *c, int in, int out, const struct deadline *d)
{
    int pair[2], rc;
    pthread_t thread;
    struct termios old, raw;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -1;
    AUTO(close_fd) int ours = pair[0];
    AUTO(close_fd) int theirs = pair[1];
    struct proxy p = { c, theirs, d };
    bool tty = tcgetattr(in, &old) == 0;
    if ((rc = pthread_create(&thread, NULL, run_proxy, &p)) != 0) {
        errno = rc;
        return -1;
    }
    if (tty) {
        raw = old;
        cfmakeraw(&raw);
        (void)fputs("Connected. ^] leaves.\r\n", stderr);
        (void)tcsetattr(in, TCSADRAIN, &raw);
    }
    rc = copy(ours, in, out, d);
    int keep = errno;
    if (tty) {
        (void)tcsetattr(in, TCSADRAIN, &old);
        (void)fputs("\n", stderr);
    }
    (void)shutdown(ours, SHUT_RDWR);
    (void)pthread_join(thread, NULL);
    errno = keep;
    return rc;
}
