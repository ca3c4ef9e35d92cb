/* SPDX-License-Identifier: Apache-2.0 */
/* serai-disk: serves disks. Started by seraid with a control socket, or by hand for one disk:
 *
 *     serai-disk --nbd SOCKET | --nbd-fd N [--read-only] [--plain] [--enospc stop] IMAGE
 *     serai-disk --control SOCKET | --control-fd N
 *     serai-disk --merge all|copy|children IMAGE CHILD...    (see job.h)
 *
 * SIGTERM and SIGINT close all disks cleanly. This thread is the control thread. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "diskd/control.h"
#include "diskd/job.h"

struct options {
    const char *nbd, *control, *enospc, *image, *merge;
    int64_t control_fd, nbd_fd;
    bool has_control_fd, has_nbd_fd, read_only, plain;
};

static int usage(void)
{
    fputs("usage: serai-disk --nbd SOCKET | --nbd-fd N [--read-only] [--plain] [--enospc "
          "stop|report] "
          "IMAGE\n"
          "       serai-disk --control SOCKET | --control-fd N\n"
          "       serai-disk --merge all|copy|children IMAGE [CHILD...]\n",
          stderr);
    return 2;
}

static bool read_options(int argc, char **argv, struct options *o)
{
    static const struct option names[] = {
        { "nbd", required_argument, NULL, 'n' },
        { "nbd-fd", required_argument, NULL, 'd' },
        { "control", required_argument, NULL, 'c' },
        { "control-fd", required_argument, NULL, 'f' },
        { "enospc", required_argument, NULL, 'e' },
        { "merge", required_argument, NULL, 'm' },
        { "read-only", no_argument, NULL, 'r' },
        { "plain", no_argument, NULL, 'p' },
        { NULL, 0, NULL, 0 },
    };

    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (c) {
        case 'n': o->nbd = optarg; break;
        case 'd':
            o->has_nbd_fd = parse_range(optarg, 0, INT32_MAX, &o->nbd_fd);
            if (!o->has_nbd_fd)
                return false;
            break;
        case 'c': o->control = optarg; break;
        case 'f':
            o->has_control_fd = parse_range(optarg, 0, INT32_MAX, &o->control_fd);
            if (!o->has_control_fd)
                return false;
            break;
        case 'e': o->enospc = optarg; break;
        case 'm': o->merge = optarg; break;
        case 'r': o->read_only = true; break;
        case 'p': o->plain = true; break;
        default: return false;
        }
    }
    if (o->merge)
        return !o->nbd && !o->has_nbd_fd && !o->control && !o->has_control_fd
               && optind < argc
               && (str_eq(o->merge, "all") || str_eq(o->merge, "copy")
                   || str_eq(o->merge, "children"));
    if ((o->nbd != NULL) != o->has_nbd_fd && !o->control && !o->has_control_fd
        && optind + 1 == argc) {
        o->image = argv[optind];
        return true;
    }
    return !o->nbd && !o->has_nbd_fd && (o->control != NULL) != o->has_control_fd
           && optind == argc;
}

static int listen_control(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    AUTO(close_fd)
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (strlen(path) >= sizeof(a.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(a.sun_path, path, strlen(path));
    (void)unlink(path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 8) < 0)
        return -1;
    return TAKE_FD(fd);
}

struct server {
    struct control *control;
    int signal_fd;
};

static void signalled(void *arg, uint32_t events)
{
    struct server *s = arg;
    struct signalfd_siginfo info;

    if (read(s->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        control_quit(s->control);
}

static int watch_signals(struct loop *l, struct server *s)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -1;
    s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signal_fd < 0 ? -1 : loop_add(l, s->signal_fd, EPOLLIN, signalled, s);
}

static void open_image(struct control *c, const struct options *o)
{
    AUTO(free_str)
    char *text = str_fmt("open\nid=disk\npath=%s\n%s%s\nwrite=%s\nplain=%s\nenospc=%s\n",
                         o->image, o->nbd ? "nbd=" : "nbd-fd=", o->nbd ? o->nbd : "yes",
                         o->read_only ? "no" : "yes", o->plain ? "yes" : "no",
                         o->enospc ? o->enospc : "report");

    control_run(c, text, o->has_nbd_fd ? (int)o->nbd_fd : -1);
}

/* The one disk could not be opened: there is nothing to serve. */
static void check_opened(void *arg)
{
    struct server *s = arg;

    if (control_failed(s->control))
        control_quit(s->control);
}

int main(int argc, char **argv)
{
    struct options o = { 0 };
    struct server s = { .signal_fd = -1 };
    int fd = -1;

    if (!read_options(argc, argv, &o))
        return usage();
    if (o.merge)
        return job_merge(o.merge, argv + optind, (size_t)(argc - optind));
    if (o.control)
        fd = listen_control(o.control);
    else if (o.has_control_fd)
        fd = (int)o.control_fd;
    if (fd < 0 && !o.image) {
        log_error("listening on %s: %m", o.control);
        return 1;
    }
    struct loop *l = loop_new();
    s.control = control_new(l, fd);
    if (!s.control || watch_signals(l, &s) < 0) {
        log_error("starting: %m");
        return 1;
    }
    control_on_failure(s.control, check_opened, &s);
    if (o.image)
        open_image(s.control, &o);
    int rc = loop_run(l);
    bool failed = control_failed(s.control);
    control_free(s.control);
    loop_free(l);
    close_fd(&s.signal_fd);
    if (o.control)
        (void)unlink(o.control);
    return rc < 0 || failed;
}
