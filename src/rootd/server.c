/* SPDX-License-Identifier: Apache-2.0 */
/* The main process accepts, looks at who it is, and forks: it never reads what a client sends. The child receives,
 * checks, does and answers one request, and ends; a crash or a hang of it (SIGALRM) is one failed request. What a start
 * leaves running is reparented away from us and outlives us.
 *
 * Reply: "ok=1" and the verb's fields, or "error=SENTENCE". */
#include "rootd/server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"

#define BACKLOG     128
#define WORKERS_MAX 64
#define RECEIVE_US  (5 * US_PER_SEC)
#define AT_MOST_S   60
#define REPLY_MAX   4096

int server_listen(const struct config *c)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    size_t len = strlen(c->socket);
    AUTO(close_fd) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (len >= sizeof(sa.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(sa.sun_path, c->socket, len + 1);
    if (fd < 0 || (unlink(c->socket) < 0 && errno != ENOENT))
        return -1;
    /* Nobody's until it is the user's; the umask is 077. */
    if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0
        || lchown(c->socket, c->user, c->group) < 0 || listen(fd, BACKLOG) < 0)
        return -1;
    return TAKE_FD(fd);
}

int server_connect(const char *path)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    size_t len = strlen(path);
    AUTO(close_fd) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (len >= sizeof(sa.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(sa.sun_path, path, len + 1);
    return fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -1 : TAKE_FD(fd);
}

static void reply(int fd, const char *error, const struct buf *fields, int extra)
{
    AUTO(buf_done) struct buf b = BUF_INIT(2 * REPLY_MAX);

    fields_add(&b, error ? "error" : "ok", error ? error : "1");
    if (fields && fields->len)
        buf_add(&b, fields->data, fields->len);
    IGNORE(io_send_fds(fd, b.data, b.len, &extra, extra >= 0 ? 1 : 0)); /* they went */
}

/* One request, in its process. Returns the exit status. */
static int serve(const struct config *c, int fd)
{
    struct request *r = mem_alloc(sizeof(*r));
    char *msg = mem_alloc(REQUEST_BYTES_MAX);
    struct deadline d = deadline_in(RECEIVE_US);
    AUTO(buf_done) struct buf out = BUF_INIT(REPLY_MAX);
    const char *why = "no request";
    int extra = -1, rc;
    ssize_t n;

    r->n_fds = ARRAY_SIZE(r->fds);
    if (deadline_poll(&d, fd, POLLIN) < 0)
        return 0;
    n = io_recv_fds(fd, msg, REQUEST_BYTES_MAX, r->fds, &r->n_fds);
    if (n == 0)
        return 0;
    if (n < 0 || !request_parse(verbs, n_verbs, msg, (size_t)n, r, &why)) {
        log_warn("refused: %s", why);
        reply(fd, why, NULL, -1);
        return 0;
    }
    (void)alarm(AT_MOST_S);
    rc = r->verb->fn(c, r, &out, &extra);
    log_write(rc < 0 ? LOG_WARN : LOG_INFO, "%s %s: %s", r->verb->name,
              request_text(r, "uuid") ? request_text(r, "uuid") : "",
              rc < 0 ? buf_str(&out) : "done");
    reply(fd, rc < 0 ? buf_str(&out) : NULL, rc < 0 ? NULL : &out, extra);
    explicit_bzero(msg, REQUEST_BYTES_MAX); /* the password, if there was one */
    return 0;
}

static bool may_ask(const struct config *c, int fd)
{
    unsigned uid;

    return io_peer_uid(fd, &uid) == 0 && (uid == c->user || uid == 0);
}

static void replan_one(struct jail *j, const char *program, bool hypervisor)
{
    struct jail fresh;

    if (!jail_is_stale(j, program))
        return;
    if (jail_plan(program, hypervisor, &fresh) < 0) {
        log_error("%s: cannot find out what it needs: %m", program);
        return;
    }
    jail_done(j);
    *j = fresh;
}

static void replan(struct config *c)
{
    if (c->jail.n == 0) /* it starts no machines */
        return;
    replan_one(&c->jail, c->qemu, true);
    if (access(c->swtpm, X_OK) == 0) /* it may have been installed since */
        replan_one(&c->tpm_jail, c->swtpm, false);
}

static bool accept_one(struct config *c, int listener, int signals)
{
    AUTO(close_fd) int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    sigset_t none;
    pid_t pid;

    if (fd < 0)
        return false;
    if (!may_ask(c, fd)) {
        log_warn("refused: a process of another user");
        return false;
    }
    replan(c);
    pid = fork();
    if (pid < 0)
        log_error("fork: %m");
    if (pid != 0)
        return pid > 0;
    close_fd(&listener);
    close_fd(&signals);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    _exit(serve(c, fd));
}

/* Those that ended. *service: 0 when it was that one. */
static unsigned reap(pid_t *service)
{
    unsigned n = 0;
    int status;

    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid == *service)
            *service = 0;
        else
            n++;
        if (status != 0)
            log_error("a request ended with %s %d",
                      WIFSIGNALED(status) ? "signal" : "status",
                      WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
    return n;
}

int server_run(struct config *c, int listener)
{
    sigset_t set;
    unsigned workers = 0;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -1;
    AUTO(close_fd) int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);

    while (signals >= 0) {
        struct pollfd p[] = { { .fd = signals, .events = POLLIN },
                              { .fd = workers < WORKERS_MAX ? listener : -1,
                                .events = POLLIN } };
        struct signalfd_siginfo info;

        if (poll(p, ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
            return -1;
        while (p[0].revents && read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
            if (info.ssi_signo != SIGCHLD)
                return 0;
        pid_t service = c->service;

        workers -= reap(&service);
        if (service != c->service) {
            log_error("the process for programs of the network has died");
            return -1; /* to be started again whole */
        }
        if (p[1].revents && accept_one(c, listener, signals))
            workers++;
    }
    return -1;
}
