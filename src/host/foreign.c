/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps three descriptors moving: the source into the process's input, its output into records. It waits for all of them at
 * once, since the process may be done before the source is, and a source may be silent while records wait. The caller's
 * thread is one that may block. */
#include "host/foreign.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"

#define STALL_US  (60 * US_PER_SEC)
#define IN_BYTES  (256u * 1024)
#define OUT_BYTES (2 * (IMAGE_RECORD_HEAD + IMAGE_PAYLOAD_MAX))
#define PIPE_SIZE (1 << 20)

struct foreign {
    struct foreign_source source;
    struct proc proc;
    bool running, source_ended, out_ended;
    int in_fd, out_fd; /* ours: its input, its output */
    uint64_t taken;
    size_t in_from, in_to, out_from, out_to;
    uint8_t in[IN_BYTES], out[OUT_BYTES];
};

static char *program;

void foreign_init(const char *binary)
{
    free_str(&program);
    program = str_dup(binary);
}

const char *foreign_program(void)
{
    return program;
}

static int start(struct foreign *f, const char *kind, int in, int out)
{
    const char *const argv[] = { program, kind, NULL };
    const struct proc_fd fds[] = { { in, 0 }, { out, 1 } };
    const struct proc_spec spec = { .argv = argv,
                                    .fds = fds,
                                    .n_fds = ARRAY_SIZE(fds),
                                    .pid_fd = -1,
                                    .die_with_parent = true };

    if (proc_start(&spec, &f->proc) != 0)
        return -1;
    f->running = true;
    return 0;
}

static int open_all(struct foreign *f, enum foreign_kind kind)
{
    static const char *const names[] = { "vhd", "tar", "xva" };
    int in[2], out[2];

    if (pipe2(in, O_CLOEXEC) != 0)
        return -1;
    AUTO(close_fd) int child_in = in[0];
    f->in_fd = in[1];
    if (pipe2(out, O_CLOEXEC) != 0)
        return -1;
    AUTO(close_fd) int child_out = out[1];
    f->out_fd = out[0];
    /* Larger pipes mean fewer switches; a user's limit may refuse them. */
    (void)fcntl(f->in_fd, F_SETPIPE_SZ, PIPE_SIZE);
    (void)fcntl(f->out_fd, F_SETPIPE_SZ, PIPE_SIZE);
    if (io_set_nonblock(f->in_fd, true) != 0 || io_set_nonblock(f->out_fd, true) != 0)
        return -1;
    return start(f, names[kind], child_in, child_out);
}

struct foreign *foreign_open(enum foreign_kind kind, const struct foreign_source *source,
                             struct err *err)
{
    AUTO(foreign_close) struct foreign *f = mem_alloc(sizeof(*f));

    f->source = *source;
    f->in_fd = f->out_fd = -1;
    if (open_all(f, kind) != 0) {
        (void)err_set(err, ERR_IMPORT_ERROR, "The reader of images cannot be started");
        IGNORE(err_detail(err, "%s: %m", program));
        return NULL;
    }
    return TAKE(f);
}

void foreign_close(struct foreign **p)
{
    struct foreign *f = TAKE(*p);
    const struct deadline d = deadline_never();
    int status = 0;

    if (!f)
        return;
    close_fd(&f->in_fd);
    close_fd(&f->out_fd);
    if (f->running) {
        IGNORE(proc_kill(&f->proc, SIGKILL)); /* it may have ended */
        if (proc_wait(&f->proc, &d, &status) != 0)
            log_warn("waiting for serai-image: %m");
        proc_close(&f->proc);
    }
    free(f);
}

uint64_t foreign_taken(const struct foreign *f)
{
    return f->taken;
}

/* 1: something moved; 0: nothing could; -1: errno. */
static int pull_out(struct foreign *f)
{
    ssize_t n;

    /* What is left moves to the front only when it stands in the way of a whole record. */
    if (f->out_from > OUT_BYTES / 2 || f->out_to == OUT_BYTES) {
        memmove(f->out, f->out + f->out_from, f->out_to - f->out_from);
        f->out_to -= f->out_from;
        f->out_from = 0;
    }
    n = read(f->out_fd, f->out + f->out_to, sizeof(f->out) - f->out_to);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    f->out_ended = n == 0;
    f->out_to += (size_t)n;
    return 1;
}

static int push_in(struct foreign *f)
{
    ssize_t n;

    if (f->in_from == f->in_to)
        return 0;
    n = write(f->in_fd, f->in + f->in_from, f->in_to - f->in_from);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n < 0) { /* it has read all that it wants */
        f->in_from = f->in_to;
        f->source_ended = true;
        close_fd(&f->in_fd);
        return 1;
    }
    f->in_from += (size_t)n;
    return 1;
}

static int pull_source(struct foreign *f)
{
    ssize_t n = f->source.read(f->source.arg, f->in, sizeof(f->in));

    if (n < 0)
        return -1;
    f->in_from = 0;
    f->in_to = (size_t)n;
    f->taken += (uint64_t)n;
    if (n == 0) {
        f->source_ended = true;
        close_fd(&f->in_fd);
    }
    return 1;
}

static bool wants_source(const struct foreign *f)
{
    return !f->source_ended && f->in_from == f->in_to;
}

/* Wait for any of them, and move what can be moved. */
static int move(struct foreign *f, int cancel_fd)
{
    bool source = wants_source(f), at_hand = source && f->source.ready(f->source.arg);
    struct pollfd fds[] = {
        { .fd = f->out_fd, .events = POLLIN },
        { .fd = !f->source_ended && f->in_from < f->in_to ? f->in_fd : -1,
          .events = POLLOUT },
        { .fd = source ? f->source.fd : -1, .events = POLLIN },
        { .fd = cancel_fd, .events = POLLIN },
    };
    int n = poll(fds, ARRAY_SIZE(fds), at_hand ? 0 : (int)(STALL_US / 1000));

    if (n < 0)
        return errno == EINTR ? 0 : -1;
    if (fds[3].revents) {
        errno = ECANCELED;
        return -1;
    }
    if (n == 0 && !at_hand) {
        errno = ETIMEDOUT;
        return -1;
    }
    if (fds[0].revents && pull_out(f) < 0)
        return -1;
    if (fds[1].revents && push_in(f) < 0)
        return -1;
    /* Records first: the source may be about to say nothing more. */
    if (source && (at_hand || fds[2].revents) && !fds[0].revents)
        return pull_source(f) < 0 ? -1 : 0;
    return 0;
}

static int broken_off(const struct foreign *f, struct err *err)
{
    if (errno == ECANCELED)
        return err_set(err, ERR_TASK_CANCELLED, "");
    (void)err_set(err, ERR_IMPORT_ERROR_PREMATURE_EOF);
    return err_detail(err, "the upload broke off after %llu bytes: %m",
                      (unsigned long long)f->taken);
}

/* Of the process's words only known codes are taken. */
static int said_error(const uint8_t *p, size_t n, struct err *err)
{
    static const char *const codes[] = { ERR_IMPORT_ERROR_PREMATURE_EOF,
                                         ERR_IMPORT_ERROR_UNEXPECTED_FILE,
                                         ERR_IMPORT_ERROR_SOME_CHECKSUMS_FAILED,
                                         ERR_IMPORT_ERROR };
    const char *code = ERR_IMPORT_ERROR, *params[ERR_PARAMS_MAX], *detail = NULL;
    size_t n_params = 0;
    AUTO(free_ptr) char *text = mem_alloc(n + 1);
    const char *at = text, *end = text + n;

    memcpy(text, p, n);
    for (size_t i = 0; i < n; i++)
        if ((uint8_t)text[i] < ' ' && text[i])
            text[i] = '?';
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
        if (str_eq(codes[i], at))
            code = codes[i];
    for (at += strlen(at) + 1; at < end; at += strlen(at) + 1) {
        if (!*at && at + 1 < end) {
            detail = at + 1;
            break;
        }
        if (n_params < ERR_PARAMS_MAX)
            params[n_params++] = at;
    }
    (void)err_set_(err, code, params, n_params);
    return detail ? err_detail(err, "%s", detail) : -1;
}

static int gone(struct foreign *f, struct err *err)
{
    const struct deadline d = deadline_in(STALL_US);
    int status = 0;

    IGNORE(proc_kill(&f->proc, SIGKILL)); /* for one that says what it should not */
    if (proc_wait(&f->proc, &d, &status) == 0)
        f->running = false;
    (void)err_set(err, ERR_IMPORT_ERROR, "The reader of images ended without a word");
    return err_detail(err, "serai-image: status %d", status);
}

int foreign_next(struct foreign *f, struct image_record *out, const uint8_t **payload_out,
                 int cancel_fd, struct err *err)
{
    for (;;) {
        struct image_record r;
        size_t n = f->out_to - f->out_from;

        if (n >= IMAGE_RECORD_HEAD) {
            if (!image_record_get(f->out + f->out_from, &r))
                return gone(f, err);
            if (n >= IMAGE_RECORD_HEAD + r.length) {
                *out = r;
                *payload_out = f->out + f->out_from + IMAGE_RECORD_HEAD;
                f->out_from += IMAGE_RECORD_HEAD + r.length;
                return r.kind == IMAGE_ERROR ? said_error(*payload_out, r.length, err) : 0;
            }
        }
        if (f->out_ended)
            return gone(f, err);
        if (move(f, cancel_fd) < 0)
            return broken_off(f, err);
    }
}
