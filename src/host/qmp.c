/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the socket to one QEMU monitor. The loop's thread reads, splits lines, matches answers by id to the callers that
 * wait and hands events on; callers append to the output queue and write what the socket takes at once. The lock
 * ("qmp") guards memory only: writes under it are non-blocking. A caller waits on an eventfd of its own, so that
 * its deadline's cancel descriptor works. */
#include "host/qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/buf.h"
#include "base/io.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"

#define OUT_MAX (4U << 20)

struct waiter {
    struct list link;
    int64_t id;
    int event_fd;
    bool done;
    json_t *reply; /* NULL with done: the connection ended */
};

struct out_msg {
    struct list link;
    char *text;
    size_t len, sent;
    int fd; /* goes with the first byte; -1: none; owned */
};

struct qmp {
    struct loop *loop;
    int fd;
    qmp_event_fn fn;
    void *arg;
    struct buf in; /* loop thread only */

    /* What other threads reach is behind lock (Clang 14 cannot name a sibling member in an
     * annotation). */
    struct mutex lock;
    unsigned refs; /* the opener and the loop */
    int64_t next_id;
    bool ended;
    bool ready;
    bool closing; /* no more callbacks */
    size_t out_bytes;
    struct list out;
    struct list waiters;
};

#define CAPABILITIES_ID 1

static void out_free(struct out_msg *m)
{
    list_remove(&m->link);
    close_fd(&m->fd);
    free(m->text);
    free(m);
}

static void unref(struct qmp *q)
{
    bool last;

    mutex_lock(&q->lock);
    last = --q->refs == 0;
    if (last)
        list_for_each_safe(it, &q->out)
            out_free(list_entry(it, struct out_msg, link));
    mutex_unlock(&q->lock);
    if (!last)
        return;
    close_fd(&q->fd);
    buf_done(&q->in);
    mutex_done(&q->lock);
    free(q);
}

static void wake(struct waiter *w)
{
    uint64_t one = 1;

    w->done = true;
    (void)!write(w->event_fd, &one, sizeof(one)); /* cannot fail: the counter is 0 */
}

/* Everybody who waits learns that no answer comes. */
static void end(struct qmp *q) REQUIRES(q->lock)
{
    q->ended = true;
    list_for_each_safe(it, &q->waiters) {
        list_remove(it);
        wake(list_entry(it, struct waiter, link));
    }
}

static ssize_t send_some(int sock, const struct out_msg *m)
{
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = { m->text + m->sent, m->len - m->sent };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (m->sent == 0 && m->fd >= 0) {
        struct cmsghdr *c;

        memset(&control, 0, sizeof(control));
        msg.msg_control = control.space;
        msg.msg_controllen = sizeof(control.space);
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &m->fd, sizeof(int));
    }
    return sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Write what the socket takes. The rest goes when the loop sees room. */
static void flush_out(struct qmp *q) REQUIRES(q->lock)
{
    while (!list_empty(&q->out) && !q->ended) {
        struct out_msg *m = list_entry(q->out.next, struct out_msg, link);
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): out_free took a freed one off the list */
        ssize_t n = send_some(q->fd, m);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            end(q);
            return;
        }
        m->sent += (size_t)n;
        if (m->sent == m->len) {
            q->out_bytes -= m->len;
            out_free(m);
        }
    }
}

static void deliver_event(struct qmp *q, const char *event, const json_t *data)
{
    bool closing;

    mutex_lock(&q->lock);
    closing = q->closing;
    mutex_unlock(&q->lock);
    if (!closing)
        q->fn(q->arg, event, data);
}

/* msg: taken. */
static void deliver_reply(struct qmp *q, json_t *msg)
{
    const json_t *idv = json_object_get(msg, "id");
    int64_t id = json_is_integer(idv) ? json_integer_value(idv) : -1;

    mutex_lock(&q->lock);
    list_for_each(it, &q->waiters) {
        struct waiter *w = list_entry(it, struct waiter, link);

        if (w->id == id) {
            list_remove(&w->link);
            w->reply = TAKE(msg);
            wake(w);
            break;
        }
    }
    if (id == CAPABILITIES_ID)
        q->ready = true;
    mutex_unlock(&q->lock);
    json_decref(msg); /* nobody waits any more */
}

static bool handle_line(struct qmp *q, const char *line, size_t len)
{
    json_error_t jerr;
    json_t *msg = json_loadb(line, len, 0, &jerr);

    /* A counter that QEMU does not know is all ones, which no signed integer holds. */
    if (!msg && json_error_code(&jerr) == json_error_numeric_overflow)
        msg = json_loadb(line, len, JSON_DECODE_INT_AS_REAL, &jerr);
    const char *event;

    if (!json_is_object(msg)) {
        log_warn("QMP: not a message: %s", msg ? "no object" : jerr.text);
        json_decref(msg);
        return false;
    }
    event = json_string_value(json_object_get(msg, "event"));
    if (event) {
        deliver_event(q, event, json_object_get(msg, "data"));
        json_decref(msg);
    } else if (json_object_get(msg, "QMP")) {
        json_decref(msg); /* the greeting; our qmp_capabilities is under way */
    } else {
        deliver_reply(q, msg);
    }
    return true;
}

static bool blank(const char *line, size_t len)
{
    return len == 0 || (len == 1 && line[0] == '\r');
}

/* Take the whole lines out of the input. False: give the connection up. */
static bool split(struct qmp *q, size_t scan_from)
{
    size_t start = 0;
    char *nl;

    while ((nl = memchr(q->in.data + MAX(start, scan_from), '\n',
                        q->in.len - MAX(start, scan_from)))
           != NULL) {
        size_t len = (size_t)(nl - (q->in.data + start));

        if (!blank(q->in.data + start, len) && !handle_line(q, q->in.data + start, len))
            return false;
        start += len + 1;
        if (start >= q->in.len)
            break;
    }
    buf_drop_front(&q->in, start);
    return true;
}

static bool read_all(struct qmp *q)
{
    for (;;) {
        size_t had = q->in.len;
        char chunk[8192];
        ssize_t n = recv(q->fd, chunk, sizeof(chunk), MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n <= 0)
            return false;
        buf_add(&q->in, chunk, (size_t)n);
        if (buf_overflow(&q->in)) {
            log_warn("QMP: a message over %u bytes", QMP_MESSAGE_MAX);
            return false;
        }
        if (!split(q, had))
            return false;
    }
}

static void on_socket(void *arg, uint32_t events)
{
    struct qmp *q = arg;
    bool good = read_all(q);

    mutex_lock(&q->lock);
    if (good)
        flush_out(q);
    good = good && !q->ended;
    if (!good)
        end(q);
    mutex_unlock(&q->lock);
    if (!good) {
        loop_del(q->loop, q->fd);
        (void)shutdown(q->fd, SHUT_RDWR);
        deliver_event(q, NULL, NULL);
    }
}

static void post_add(void *arg)
{
    struct qmp *q = arg;

    if (loop_add(q->loop, q->fd, EPOLLIN | EPOLLOUT | EPOLLET, on_socket, q) < 0) {
        mutex_lock(&q->lock);
        end(q);
        mutex_unlock(&q->lock);
    }
}

static void post_del(void *arg)
{
    struct qmp *q = arg;

    loop_del(q->loop, q->fd);
    unref(q);
}

/* text: taken. */
static void queue(struct qmp *q, char *text, int fd) REQUIRES(q->lock)
{
    struct out_msg *m = mem_alloc(sizeof(*m));

    m->text = text;
    m->len = strlen(text);
    m->fd = fd;
    list_add_tail(&q->out, &m->link);
    q->out_bytes += m->len;
    flush_out(q);
}

struct qmp *qmp_open(struct loop *loop, int fd, qmp_event_fn fn, void *arg)
{
    struct qmp *q = mem_alloc(sizeof(*q));

    q->loop = loop;
    q->fd = fd;
    q->fn = fn;
    q->arg = arg;
    q->in = BUF_INIT(QMP_MESSAGE_MAX);
    mutex_init(&q->lock);
    mutex_lock(&q->lock);
    q->refs = 2;
    q->next_id = CAPABILITIES_ID + 1;
    list_init(&q->out);
    list_init(&q->waiters);
    /* Sent before QEMU has greeted, even before it exists: it reads it in order. */
    queue(q, str_dup("{\"execute\":\"qmp_capabilities\",\"id\":1}\n"), -1);
    mutex_unlock(&q->lock);
    loop_post(loop, post_add, q);
    return q;
}

void qmp_close(struct qmp *q)
{
    if (!q)
        return;
    mutex_lock(&q->lock);
    q->closing = true;
    end(q);
    mutex_unlock(&q->lock);
    loop_post(q->loop, post_del, q);
    unref(q);
}

struct qmp *qmp_hold(struct qmp *q)
{
    mutex_lock(&q->lock);
    q->refs++;
    mutex_unlock(&q->lock);
    return q;
}

void qmp_release(struct qmp *q)
{
    if (q)
        unref(q);
}

bool qmp_is_open(struct qmp *q)
{
    bool open;

    mutex_lock(&q->lock);
    open = !q->ended;
    mutex_unlock(&q->lock);
    return open;
}

static int too_late(const char *name, struct err *err)
{
    if (errno == ECANCELED)
        return err_set(err, ERR_TASK_CANCELLED, "");
    err_set(err, ERR_INTERNAL_ERROR, "QEMU did not answer in time");
    return err_detail(err, "%s: %m", name);
}

/* Wait for w, which is queued or done. Afterwards it is in no list. */
static int wait_reply(struct qmp *q, struct waiter *w, const char *name,
                      const struct deadline *d, struct err *err)
{
    bool done;

    if (deadline_poll(d, w->event_fd, POLLIN) < 0) {
        int saved = errno;

        mutex_lock(&q->lock);
        list_remove(&w->link);
        done = w->done;
        mutex_unlock(&q->lock);
        errno = saved;
        if (!done)
            return too_late(name, err);
    }
    /* done is set under the lock before the eventfd: seen by whoever read it readable. */
    mutex_lock(&q->lock);
    mutex_unlock(&q->lock);
    if (!w->reply) {
        err_set(err, ERR_INTERNAL_ERROR, "QEMU closed its monitor");
        return err_detail(err, "%s", name);
    }
    return 0;
}

/* w->reply: taken. */
static int take_return(struct waiter *w, const char *name, json_t **ret_out,
                       struct err *err)
{
    const json_t *error = json_object_get(w->reply, "error");
    json_t *ret = json_object_get(w->reply, "return");
    int rc = 0;

    if (error || !ret) {
        const char *text = json_string_value(json_object_get(error, "desc"));

        err_set(err, ERR_INTERNAL_ERROR, text ? text : "QEMU gave an unknown answer");
        rc = err_detail(err, "QMP %s", name);
    } else if (ret_out) {
        *ret_out = json_incref(ret);
    }
    json_decref(w->reply);
    return rc;
}

int qmp_ready(struct qmp *q, const struct deadline *d, struct err *err)
{
    AUTO(close_fd) int event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct waiter w = { .id = CAPABILITIES_ID, .event_fd = event_fd };
    bool ready;

    if (event_fd < 0) {
        err_set(err, ERR_INTERNAL_ERROR, "no descriptor");
        return err_detail(err, "eventfd: %m");
    }
    list_init(&w.link);
    mutex_lock(&q->lock);
    ready = q->ready && !q->ended;
    if (q->ended)
        wake(&w);
    else if (!ready)
        list_add_tail(&q->waiters, &w.link);
    mutex_unlock(&q->lock);
    if (ready)
        return 0;
    if (wait_reply(q, &w, "greeting", d, err) < 0)
        return -1;
    return take_return(&w, "qmp_capabilities", NULL, err);
}

static char *render(const char *name, json_t *args, int64_t id)
{
    json_t *o = json_pack("{ss sI}", "execute", name, "id", (json_int_t)id);
    char *text, *line;

    if (args)
        json_object_set_new(o, "arguments", args);
    text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    line = str_fmt("%s\n", text ? text : "{}");
    free(text);
    return line;
}

int qmp_command(struct qmp *q, const char *name, json_t *args, int fd, json_t **ret_out,
                const struct deadline *d, struct err *err)
{
    AUTO(close_fd) int event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    AUTO(close_fd) int sent_fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    struct waiter w = { .event_fd = event_fd };

    if (event_fd < 0 || (fd >= 0 && sent_fd < 0)) {
        json_decref(args);
        err_set(err, ERR_INTERNAL_ERROR, "no descriptor");
        return err_detail(err, "QMP %s: %m", name);
    }
    list_init(&w.link);
    mutex_lock(&q->lock);
    w.id = q->next_id++;
    if (q->ended || q->out_bytes > OUT_MAX) {
        json_decref(args);
        wake(&w);
    } else {
        list_add_tail(&q->waiters, &w.link);
        queue(q, render(name, args, w.id), TAKE_FD(sent_fd));
    }
    mutex_unlock(&q->lock);
    if (wait_reply(q, &w, name, d, err) < 0)
        return -1;
    return take_return(&w, name, ret_out, err);
}
