/* SPDX-License-Identifier: Apache-2.0 */
/* Unix and TCP sockets, and descriptors passed over them. Thread: any. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/parse.h"

#define FDS_MAX 64 /* in one message; the kernel's own limit is 253 */

/* The address of path. One that does not fit sun_path is reached through its directory, held open as
 * *dir_fd_out for as long as the address is used; a name of its own of up to about 80 bytes fits. */
static int unix_address(const char *path, struct sockaddr_un *sa, int *dir_fd_out)
{
    *sa = (struct sockaddr_un){ .sun_family = AF_UNIX };
    size_t len = strlen(path);
    if (len < sizeof(sa->sun_path)) {
        memcpy(sa->sun_path, path, len + 1);
        return 0;
    }
    const char *name = strrchr(path, '/');
    if (!name) {
        errno = ENAMETOOLONG;
        return -1;
    }
    AUTO(free_str) char *dir = str_dupn(path, (size_t)(name - path) + 1);
    AUTO(close_fd) int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int n = snprintf(sa->sun_path, sizeof(sa->sun_path), "/proc/self/fd/%d/%s", fd,
                     name + 1);
    if (n < 0 || (size_t)n >= sizeof(sa->sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    *dir_fd_out = TAKE_FD(fd);
    return 0;
}

int io_listen_unix(const char *path, unsigned mode, int backlog)
{
    AUTO(close_fd) int dir_fd = -1;
    struct sockaddr_un sa;
    struct stat st;
    if (unix_address(path, &sa, &dir_fd) < 0)
        return -1;
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) && unlink(path) < 0)
        return -1;
    AUTO(close_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    /* The socket's own mode, less the umask, becomes the file's: it is never wider than asked, not
     * even before chmod() has undone the umask. */
    if (fchmod(fd, (mode_t)mode) < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
        return -1;
    if (chmod(path, (mode_t)mode) < 0 || listen(fd, backlog) < 0) {
        int saved = errno;
        (void)unlink(path); /* the first error is the one to tell */
        errno = saved;
        return -1;
    }
    return TAKE_FD(fd);
}

/* connect(2) to a full backlog waits in the kernel, and only SO_SNDTIMEO bounds that. It is cut in
 * slices for the sake of cancellation alone. */
static int connect_slice(int fd, const struct sockaddr_un *sa, const struct deadline *d)
{
    int64_t slice_us = d->cancel_fd >= 0 ? 100 * US_PER_MS : 3600 * US_PER_SEC;
    int64_t us = MAX(MIN(deadline_left_us(d), slice_us), (int64_t)1);
    struct timeval wait = { .tv_sec = us / US_PER_SEC, .tv_usec = us % US_PER_SEC };
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) < 0)
        return -1;
    return connect(fd, (const struct sockaddr *)sa, sizeof(*sa));
}

int io_connect_unix(const char *path, const struct deadline *d)
{
    AUTO(close_fd) int dir_fd = -1;
    struct sockaddr_un sa;
    if (unix_address(path, &sa, &dir_fd) < 0)
        return -1;
    AUTO(close_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    while (connect_slice(fd, &sa, d) < 0) {
        if (errno != EAGAIN && errno != EINTR)
            return -1;
        struct deadline now = { .at_us = 0, .cancel_fd = d->cancel_fd };
        if (deadline_poll(&now, -1, 0) < 0 && errno != ETIMEDOUT)
            return -1;
        if (deadline_passed(d)) {
            errno = ETIMEDOUT;
            return -1;
        }
    }
    struct timeval forever = { 0 };
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &forever, sizeof(forever)) < 0)
        return -1;
    return TAKE_FD(fd);
}

int io_send_fds(int sock, const void *p, size_t len, const int *fds, size_t n_fds)
{
    union {
        char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };

    if (n_fds > FDS_MAX || len == 0) { /* descriptors travel with at least one byte */
        errno = EINVAL;
        return -1;
    }
    struct iovec iov = { .iov_base = (void *)(uintptr_t)p, .iov_len = len };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    if (n_fds > 0) {
        msg.msg_control = control.space;
        msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
    }
    struct deadline never = deadline_never();
    for (;;) {
        ssize_t n = sendmsg(sock, &msg, MSG_NOSIGNAL);
        if (n >= 0)
            return io_write_full(sock, (const char *)p + n, len - (size_t)n, &never);
        if (errno == EAGAIN && deadline_poll(&never, sock, POLLOUT) < 0)
            return -1;
        if (errno != EINTR && errno != EAGAIN)
            return -1;
    }
}

/* Collect the descriptors of msg: up to room in fds, the others are closed. All that came are counted. */
static size_t take_fds(struct msghdr *msg, int *fds, size_t room)
{
    size_t n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++, n++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (n < room)
                fds[n] = fd;
            else
                close_fd(&fd);
        }
    }
    return n;
}

ssize_t io_recv_fds(int sock, void *p, size_t len, int *fds, size_t *n_fds_inout)
{
    union {
        char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    struct iovec iov = { .iov_base = p, .iov_len = len };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control.space,
                          .msg_controllen = sizeof(control.space) };
    ssize_t n;
    do {
        n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -1;
    size_t count = take_fds(&msg, fds, *n_fds_inout);
    if (count > *n_fds_inout || (msg.msg_flags & (MSG_CTRUNC | MSG_TRUNC))) {
        for (size_t i = 0; i < MIN(count, *n_fds_inout); i++)
            close_fd(&fds[i]);
        errno = EMSGSIZE;
        return -1;
    }
    *n_fds_inout = count;
    return n;
}

int io_peer_uid(int sock, unsigned *uid_out)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);
    if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        return -1;
    *uid_out = cred.uid;
    return 0;
}

/* Split "host:port" or "[host]:port". host_out: given. */
static bool split_address(const char *addr, char **host_out, unsigned *port_out)
{
    const char *colon = strrchr(addr, ':');
    int64_t port;
    if (!colon || !parse_range(colon + 1, 0, 65535, &port))
        return false;
    size_t len = (size_t)(colon - addr);
    if (len >= 2 && addr[0] == '[' && addr[len - 1] == ']')
        *host_out = str_dupn(addr + 1, len - 2);
    else if (len > 0 && !memchr(addr, ':', len))
        *host_out = str_dupn(addr, len);
    else
        return false;
    *port_out = (unsigned)port;
    return true;
}

/* errno for a failed getaddrinfo. */
static int resolve_errno(int rc)
{
    switch (rc) {
    case EAI_SYSTEM: return errno;
    case EAI_MEMORY: return ENOMEM;
    case EAI_AGAIN: return EAGAIN;
    default: return EADDRNOTAVAIL;
    }
}

static int resolve(const char *host, unsigned port, int flags, struct addrinfo **list_out)
{
    char service[12];
    (void)snprintf(service, sizeof(service), "%u", port);
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
                              .ai_flags = flags | AI_NUMERICSERV };
    int rc = getaddrinfo(host, service, &hints, list_out);
    if (rc == 0)
        return 0;
    errno = resolve_errno(rc);
    return -1;
}

static char *bound_address(int fd)
{
    struct sockaddr_storage ss = { 0 };
    socklen_t len = sizeof(ss);
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
        return NULL;
    if (getnameinfo((struct sockaddr *)&ss, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV)
        != 0) {
        errno = EIO;
        return NULL;
    }
    return str_fmt(ss.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

static int listen_on(const struct addrinfo *ai, int backlog)
{
    AUTO(close_fd) int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0
        || bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, backlog) < 0)
        return -1;
    return TAKE_FD(fd);
}

int io_listen_tcp(const char *addr, int backlog, char **bound_out)
{
    AUTO(free_str) char *host = NULL;
    unsigned port;
    struct addrinfo *list;
    if (!split_address(addr, &host, &port)) {
        errno = EINVAL;
        return -1;
    }
    if (resolve(host, port, AI_PASSIVE, &list) < 0)
        return -1;
    AUTO(close_fd) int fd = -1;
    for (const struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next)
        fd = listen_on(ai, backlog);
    int saved = errno;
    freeaddrinfo(list);
    errno = saved;
    if (fd < 0)
        return -1;
    if (bound_out) {
        char *bound = bound_address(fd);
        if (!bound)
            return -1;
        *bound_out = bound;
    }
    return TAKE_FD(fd);
}

static int connect_to(const struct addrinfo *ai, const struct deadline *d)
{
    AUTO(close_fd)
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, ai->ai_addr, ai->ai_addrlen) < 0) {
        int error = 0;
        socklen_t len = sizeof(error);
        if (errno != EINPROGRESS && errno != EINTR)
            return -1;
        if (deadline_poll(d, fd, POLLOUT) < 0
            || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
            return -1;
        if (error) {
            errno = error;
            return -1;
        }
    }
    int on = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0
        || io_set_nonblock(fd, false) < 0)
        return -1;
    return TAKE_FD(fd);
}

int io_connect_tcp(const char *host, unsigned port, const struct deadline *d)
{
    struct addrinfo *list;
    if (resolve(host, port, AI_ADDRCONFIG, &list) < 0)
        return -1;
    int fd = -1;
    for (const struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next) {
        fd = connect_to(ai, d);
        if (fd < 0 && (errno == ETIMEDOUT || errno == ECANCELED) && deadline_passed(d))
            break;
        if (fd < 0 && errno == ECANCELED)
            break;
    }
    int saved = errno;
    freeaddrinfo(list);
    errno = saved;
    return fd;
}

const char *io_connect_why(void)
{
    switch (errno) {
    case EADDRNOTAVAIL: return "There is no host of that name";
    case EAGAIN: return "The name cannot be looked up now";
    default: return strerrordesc_np(errno);
    }
}
