/* SPDX-License-Identifier: Apache-2.0 */
/* The serial hub. Everything here runs on the loop's thread, so there is no lock; other threads only post. Nothing blocks:
 * a viewer that does not read misses output once it owes SERIAL_BACKLOG, and viewers are not read while the guest
 * owes SERIAL_TYPEAHEAD. */
#include "host/serial.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/buf.h"
#include "base/io.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"

struct viewer {
    struct list link;
    struct serial *serial;
    int fd;
    struct buf out;
};

struct serial {
    struct loop *loop;
    int fd; /* -1: QEMU has closed it */
    struct buf recent;
    struct buf input; /* for the guest, what its socket did not take yet */
    struct list viewers;
    bool held; /* viewers are not read */
    char *log_path;
    int log_fd;
    uint64_t log_size;
};

static void viewer_free(struct viewer *v)
{
    loop_del(v->serial->loop, v->fd);
    list_remove(&v->link);
    close_fd(&v->fd);
    buf_done(&v->out);
    free(v);
}

static void viewer_arm(struct viewer *v)
{
    uint32_t in = v->serial->held ? 0 : EPOLLIN, out = v->out.len ? EPOLLOUT : 0;

    if (loop_mod(v->serial->loop, v->fd, in | out) < 0)
        log_debug("serial viewer: %m");
}

static void hold(struct serial *s, bool on)
{
    if (s->held == on)
        return;
    s->held = on;
    list_for_each(it, &s->viewers)
        viewer_arm(list_entry(it, struct viewer, link));
}

/* Write what fd takes of b. -1: the other side is gone. */
static int drain(int fd, struct buf *b)
{
    size_t sent = 0;

    while (sent < b->len) {
        ssize_t n = send(fd, b->data + sent, b->len - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            return -1;
        if (n < 0)
            break;
        sent += (size_t)n;
    }
    buf_drop_front(b, sent);
    return 0;
}

static void viewer_output(struct viewer *v, const char *p, size_t len)
{
    bool owed = v->out.len > 0;

    if (v->out.len + len > SERIAL_BACKLOG)
        return;
    buf_add(&v->out, p, len);
    if (owed)
        return; /* goes when the socket has room */
    if (drain(v->fd, &v->out) < 0)
        buf_clear(&v->out); /* its end of file comes from the loop */
    if (v->out.len)
        viewer_arm(v);
}

static void log_open(struct serial *s)
{
    struct stat st;

    close_fd(&s->log_fd);
    s->log_fd = open(s->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
                     0600);
    s->log_size = s->log_fd >= 0 && fstat(s->log_fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static void log_append(struct serial *s, const char *p, size_t len)
{
    if (s->log_size + len > SERIAL_LOG_MAX) {
        AUTO(free_str) char *old = str_fmt("%s.1", s->log_path);

        if (rename(s->log_path, old) < 0)
            log_debug("%s: %m", old);
        log_open(s);
    }
    /* A full disk costs log lines, nothing else. */
    if (s->log_fd >= 0 && write(s->log_fd, p, len) > 0)
        s->log_size += len;
}

static void remember(struct serial *s, const char *p, size_t len)
{
    if (s->recent.len + len > SERIAL_RECENT)
        buf_drop_front(&s->recent, MIN(s->recent.len, s->recent.len + len - SERIAL_RECENT));
    buf_add(&s->recent, p, len);
}

static void guest_gone(struct serial *s)
{
    loop_del(s->loop, s->fd);
    close_fd(&s->fd);
    buf_clear(&s->input);
    hold(s, false);
}

static void guest_input(struct serial *s)
{
    if (s->fd < 0) {
        buf_clear(&s->input);
        return;
    }
    if (drain(s->fd, &s->input) < 0) {
        guest_gone(s);
        return;
    }
    if (loop_mod(s->loop, s->fd, EPOLLIN | (s->input.len ? EPOLLOUT : 0)) < 0)
        log_debug("serial: %m");
    hold(s, s->input.len > SERIAL_TYPEAHEAD);
}

static void on_guest(void *arg, uint32_t events)
{
    struct serial *s = arg;
    char chunk[8192];
    ssize_t n = recv(s->fd, chunk, sizeof(chunk), MSG_DONTWAIT);

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        guest_gone(s);
        return;
    }
    if (n > 0) {
        remember(s, chunk, (size_t)n);
        log_append(s, chunk, (size_t)n);
        list_for_each(it, &s->viewers)
            viewer_output(list_entry(it, struct viewer, link), chunk, (size_t)n);
    }
    if (events & EPOLLOUT)
        guest_input(s);
}

static void on_viewer(void *arg, uint32_t events)
{
    struct viewer *v = arg;
    struct serial *s = v->serial;
    char chunk[4096];

    if ((events & EPOLLOUT) && drain(v->fd, &v->out) == 0)
        viewer_arm(v);
    if (events & EPOLLIN) {
        ssize_t n = recv(v->fd, chunk, sizeof(chunk), MSG_DONTWAIT);

        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            viewer_free(v);
            return;
        }
        if (n > 0) {
            buf_add(&s->input, chunk, (size_t)n);
            guest_input(s);
        }
    } else if (events & (EPOLLHUP | EPOLLERR)) {
        viewer_free(v);
    }
}

static void load_recent(struct serial *s)
{
    char tail[SERIAL_RECENT / 8];
    AUTO(close_fd) int fd = open(s->log_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    ssize_t n;

    if (fd < 0 || fstat(fd, &st) < 0)
        return;
    if (st.st_size > (off_t)SERIAL_RECENT && lseek(fd, -(off_t)SERIAL_RECENT, SEEK_END) < 0)
        return;
    while ((n = read(fd, tail, sizeof(tail))) > 0)
        remember(s, tail, (size_t)n);
}

static void post_open(void *arg)
{
    struct serial *s = arg;

    load_recent(s);
    log_open(s);
    if (loop_add(s->loop, s->fd, EPOLLIN, on_guest, s) < 0) {
        log_warn("serial: %m");
        close_fd(&s->fd);
    }
}

static void post_close(void *arg)
{
    struct serial *s = arg;

    if (s->fd >= 0)
        on_guest(s, 0); /* the last words */
    list_for_each_safe(it, &s->viewers)
        viewer_free(list_entry(it, struct viewer, link));
    if (s->fd >= 0)
        guest_gone(s);
    close_fd(&s->log_fd);
    buf_done(&s->recent);
    buf_done(&s->input);
    free(s->log_path);
    free(s);
}

static void post_view(void *arg)
{
    struct viewer *v = arg;
    struct serial *s = v->serial;

    list_add_tail(&s->viewers, &v->link);
    if (loop_add(s->loop, v->fd, s->held ? 0 : EPOLLIN, on_viewer, v) < 0) {
        viewer_free(v);
        return;
    }
    if (s->recent.len)
        viewer_output(v, s->recent.data, s->recent.len);
}

struct serial *serial_open(struct loop *loop, int fd, const char *log_path)
{
    struct serial *s = mem_alloc(sizeof(*s));

    s->loop = loop;
    s->fd = fd;
    s->log_fd = -1;
    s->log_path = str_dup(log_path);
    list_init(&s->viewers);
    loop_post(loop, post_open, s);
    return s;
}

void serial_close(struct serial *s)
{
    if (s)
        loop_post(s->loop, post_close, s);
}

int serial_view(struct serial *s, struct err *err)
{
    struct viewer *v;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        err_set(err, ERR_INTERNAL_ERROR, "no socket for the console");
        return err_detail(err, "socketpair: %m");
    }
    v = mem_alloc(sizeof(*v));
    v->serial = s;
    v->fd = pair[0];
    list_init(&v->link);
    loop_post(s->loop, post_view, v);
    return pair[1];
}
