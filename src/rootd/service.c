/* SPDX-License-Identifier: Apache-2.0 */
/* The second process is a server like the first (server.c), on a socket that only root can reach. */
#include "rootd/service.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/privileges.h"
#include "rootd/server.h"

#define REPLY_MAX 16384
#define ASK_US    (50 * US_PER_SEC)

NORETURN static void serve(struct config *c, int listener, const unsigned *caps, size_t n)
{
    struct filter self;

    log_set_thread("rootd-net");
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() == 1
        || filter_compile(FILTER_JAIL, &c->filter) < 0
        || filter_compile(FILTER_DAEMON, &c->service_filter) < 0
        || filter_compile(FILTER_SERVICE, &self) < 0 || privileges_keep(caps, n) < 0
        || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0
        || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || filter_install(&self) < 0)
        log_error("the process for programs of the network: %m");
    else
        IGNORE(server_run(c, listener)); /* the first sees our end */
    _exit(1);
}

int service_start(struct config *c, const unsigned *caps, size_t n_caps)
{
    struct config own = *c;
    AUTO(close_fd) int fd = -1;

    c->service_socket = str_fmt("%s/service", c->run_dir);
    own.socket = c->service_socket;
    own.user = 0;
    own.group = 0;
    own.service = 0;
    own.jail = own.tpm_jail = (struct jail){ 0 }; /* it starts no machines */
    fd = server_listen(&own);
    if (fd < 0)
        return -1;
    c->service = fork();
    if (c->service == 0)
        serve(&own, fd, caps, n_caps);
    return c->service < 0 ? -1 : 0;
}

static int receive(int fd, char *text, size_t size, int *fd_out)
{
    struct deadline d = deadline_in(ASK_US);
    size_t n_fds = 1;
    ssize_t n;

    if (deadline_poll(&d, fd, POLLIN) < 0)
        return -1;
    n = io_recv_fds(fd, text, size, fd_out, &n_fds);
    if (n <= 0 || n_fds == 0)
        *fd_out = -1;
    errno = n == 0 ? ECONNRESET : errno;
    return n > 0 ? (int)n : -1;
}

int service_ask(const struct config *c, const struct buf *request, struct buf *out,
                int *fd_out)
{
    AUTO(close_fd) int fd = server_connect(c->service_socket);
    AUTO(free_ptr) char *text = mem_alloc(REPLY_MAX);
    struct field fields[16];
    const char *why;
    size_t n_fields = 0;
    int n = -1;

    *fd_out = -1;
    if (fd >= 0 && io_send_fds(fd, request->data, request->len, NULL, 0) == 0)
        n = receive(fd, text, REPLY_MAX, fd_out);
    if (n < 0 || !fields_parse(text, (size_t)n, fields, ARRAY_SIZE(fields), &n_fields)) {
        buf_addf(out, "the process for programs of the network: %m");
        return -1;
    }
    why = fields_get(fields, n_fields, "error");
    if (why)
        buf_add_str(out, why);
    return why ? -1 : 0;
}
