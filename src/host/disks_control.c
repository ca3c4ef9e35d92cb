/* SPDX-License-Identifier: Apache-2.0 */
/* The client of serai-disk's control socket. Its path may be longer than an address holds, so it is reached through its
 * directory. Owns no state. */
#include "host/disks_control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"

#define REPLY_MAX 8192 /* CONTROL_MESSAGE_MAX */
#define BACKLOG   16
#define QUEUE_US  (5 * US_PER_SEC)

static int address(const char *dir, const char *name, struct sockaddr_un *sa)
{
    int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

    *sa = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (fd >= 0)
        (void)snprintf(sa->sun_path, sizeof(sa->sun_path), "/proc/self/fd/%d/%s", fd, name);
    return fd;
}

int disks_control_listen(const char *dir, const char *name)
{
    struct sockaddr_un sa;
    AUTO(close_fd) int dir_fd = address(dir, name, &sa);
    AUTO(close_fd)
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (dir_fd < 0 || fd < 0 || (unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT)
        || fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0
        || listen(fd, BACKLOG) < 0)
        return -1;
    return TAKE_FD(fd);
}

static int failed(struct err *err, const char *doing)
{
    if (errno == ECANCELED)
        return err_set(err, ERR_TASK_CANCELLED, "");
    AUTO(free_str) char *text = str_fmt("%s the disk process: %m", doing);

    (void)err_set(err, ERR_SR_BACKEND_FAILURE, "EIO", "", text);
    return err_detail(err, "%s", text);
}

char *disks_control_value(const char *reply, const char *key)
{
    size_t n = strlen(key);

    for (const char *line = reply; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, n) == 0 && line[n] == '=')
            return str_dupn(line + n + 1, strcspn(line + n + 1, "\n"));
    }
    return NULL;
}

/* Events for all clients may come before the answer. */
static ssize_t receive(int fd, char *text, const struct deadline *d)
{
    for (;;) {
        if (deadline_poll(d, fd, POLLIN) < 0)
            return -1;
        ssize_t n = recv(fd, text, REPLY_MAX, 0);
        if (n == 0)
            errno = ECONNRESET;
        if (n <= 0)
            return -1;
        text[n] = '\0';
        if (!str_starts(text, "event\n"))
            return n;
    }
}

static int refused(const char *text, struct err *err)
{
    AUTO(free_str) char *code = disks_control_value(text, "code");
    AUTO(free_str) char *why = disks_control_value(text, "text");

    (void)err_set(err, ERR_SR_BACKEND_FAILURE, code ? code : "EIO", "",
                  why && *why ? why : "the disk process refused");
    return err_detail(err, "%s", why ? why : text);
}

int disks_control_connect(const char *dir, const char *name)
{
    struct sockaddr_un sa;
    AUTO(close_fd) int dir_fd = address(dir, name, &sa);
    AUTO(close_fd)
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (dir_fd < 0 || fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
        return -1;
    return TAKE_FD(fd);
}

int disks_control_ask(const char *dir, const char *name, const struct buf *request, int fd,
                      const struct deadline *d, struct buf *reply, struct err *err)
{
    struct sockaddr_un sa;
    AUTO(close_fd) int dir_fd = address(dir, name, &sa);
    AUTO(close_fd) int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    AUTO(free_str) char *text = mem_alloc(REPLY_MAX + 1);
    /* connect() waits while others wait to be taken by a process that hangs */
    int64_t queue_us = MAX(MIN(deadline_left_us(d), QUEUE_US), 1);
    const struct timeval queue = { .tv_sec = queue_us / US_PER_SEC,
                                   .tv_usec = queue_us % US_PER_SEC };

    if (dir_fd < 0 || sock < 0
        || setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &queue, sizeof(queue)) < 0
        || connect(sock, (struct sockaddr *)&sa, sizeof(sa)) < 0)
        return failed(err, "Connecting to");
    if (io_send_fds(sock, request->data, request->len, &fd, fd >= 0) < 0)
        return failed(err, "Asking");
    if (receive(sock, text, d) < 0)
        return failed(err, "Waiting for");
    if (!str_starts(text, "ok\n"))
        return refused(text, err);
    if (reply)
        buf_add_str(reply, text + 3);
    return 0;
}
