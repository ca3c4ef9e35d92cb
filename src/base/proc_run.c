/* SPDX-License-Identifier: Apache-2.0 */
/* proc_run: a program run to its end with what it reads and writes held in memory. Thread: any. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/proc.h"

enum { IN, OUT, ERROR, N_PIPES };

struct run {
    struct proc proc;
    int pipes[N_PIPES]; /* our ends, -1: none or done */
    const char *input;
    size_t left; /* of input */
    struct buf *bufs[N_PIPES];
};

/* A pipe whose first end in ours[] is ours and whose other becomes the child's number target. */
static int make_pipe(int target, int *ours_out, int *theirs_out)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -1;
    bool to_child = target == IN;
    *ours_out = fds[to_child ? 1 : 0];
    *theirs_out = fds[to_child ? 0 : 1];
    return io_set_nonblock(*ours_out, true);
}

static int run_start(struct run *r, const char *const *argv)
{
    int theirs[N_PIPES] = { -1, -1, -1 };
    struct proc_fd fds[N_PIPES];
    struct proc_spec spec = { .argv = argv, .fds = fds, .pid_fd = -1 };
    int rc = 0;
    for (int i = 0; i < N_PIPES && rc == 0; i++) {
        if (i == IN ? r->input != NULL : r->bufs[i] != NULL) {
            rc = make_pipe(i, &r->pipes[i], &theirs[i]);
            fds[spec.n_fds++] = (struct proc_fd){ theirs[i], i };
        }
    }
    if (rc == 0)
        rc = proc_start(&spec, &r->proc);
    for (int i = 0; i < N_PIPES; i++)
        close_fd(&theirs[i]);
    return rc;
}

static void run_close(struct run *r, int i)
{
    close_fd(&r->pipes[i]);
}

/* Write to the child's input without the SIGPIPE of a child that does not read it: the signal is
 * blocked, and taken off this thread again if it was our write that raised it. */
static ssize_t write_no_sigpipe(int fd, const void *p, size_t len)
{
    sigset_t pipe_only, old, pending;
    (void)sigemptyset(&pipe_only);
    (void)sigaddset(&pipe_only, SIGPIPE);
    (void)sigpending(&pending);
    (void)pthread_sigmask(SIG_BLOCK, &pipe_only, &old);
    ssize_t n = write(fd, p, len);
    int saved = errno;
    if (n < 0 && saved == EPIPE && !sigismember(&pending, SIGPIPE)) {
        struct timespec at_once = { 0 };
        (void)sigtimedwait(&pipe_only, NULL, &at_once);
    }
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = saved;
    return n;
}

static void run_feed(struct run *r)
{
    ssize_t n = r->left ? write_no_sigpipe(r->pipes[IN], r->input, r->left) : 0;
    if (n > 0) {
        r->input += n;
        r->left -= (size_t)n;
    }
    bool later = n < 0 && (errno == EAGAIN || errno == EINTR);
    if (r->left == 0 || (n < 0 && !later)) /* a child may well end without reading all */
        run_close(r, IN);
}

/* Take what there is; what goes over the buffer's maximum is read and dropped. False at the end. */
static bool run_collect(struct run *r, int i)
{
    char chunk[8192];
    ssize_t n = read(r->pipes[i], chunk, sizeof(chunk));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0) {
        run_close(r, i);
        return false;
    }
    struct buf *b = r->bufs[i];
    size_t fits = b->max ? MIN((size_t)n, b->max - MIN(b->len, b->max)) : (size_t)n;
    buf_add(b, chunk, fits);
    if (fits < (size_t)n)
        b->over = true;
    return true;
}

static int64_t left_ms(const struct deadline *d)
{
    int64_t us = deadline_left_us(d);
    return us == INT64_MAX ? -1 : MIN(us / US_PER_MS + 1, (int64_t)INT32_MAX);
}

/* Serve the pipes until the child has ended. Who keeps an end open beyond that (a daemon that it left
 * behind) is not waited for. */
static int run_serve(struct run *r, const struct deadline *d)
{
    for (;;) {
        struct pollfd fds[] = { { r->pipes[IN], POLLOUT, 0 },
                                { r->pipes[OUT], POLLIN, 0 },
                                { r->pipes[ERROR], POLLIN, 0 },
                                { r->proc.pidfd, POLLIN, 0 },
                                { d->cancel_fd, POLLIN, 0 } };
        int n = poll(fds, ARRAY_SIZE(fds), (int)left_ms(d));
        if (n < 0 && errno != EINTR)
            return -1;
        if (n > 0 && fds[4].revents) {
            errno = ECANCELED;
            return -1;
        }
        if (deadline_passed(d) && !(n > 0 && fds[3].revents)) {
            errno = ETIMEDOUT;
            return -1;
        }
        if (n <= 0)
            continue;
        if (fds[IN].revents)
            run_feed(r);
        bool ended = fds[3].revents != 0;
        for (int i = OUT; i <= ERROR; i++) {
            while (fds[i].revents && run_collect(r, i) && ended) {
            }
        }
        if (ended)
            return 0;
    }
}

static int run_end(struct run *r, int served, int *status_out)
{
    int saved = errno;
    struct deadline never = deadline_never();
    if (served < 0)
        IGNORE(proc_kill(&r->proc, SIGKILL)); /* fails only if it is dead, which is fine */
    int rc = proc_wait(&r->proc, &never, served < 0 ? NULL : status_out);
    proc_close(&r->proc);
    if (served < 0) {
        errno = saved;
        return -1;
    }
    return rc;
}

int proc_run(const char *const *argv, const char *input, struct buf *out,
             struct buf *errout, const struct deadline *d, int *status_out)
{
    struct run r = { .proc = { .pidfd = -1 },
                     .pipes = { -1, -1, -1 },
                     .input = input,
                     .left = input ? strlen(input) : 0,
                     .bufs = { NULL, out, errout } };
    int rc = run_start(&r, argv);
    if (rc == 0) {
        rc = run_serve(&r, d);
        rc = run_end(&r, rc, status_out);
    }
    for (int i = 0; i < N_PIPES; i++)
        run_close(&r, i);
    return rc;
}
