/* SPDX-License-Identifier: Apache-2.0 */
/* One thread listens and accepts, one serves each connection, blocking. What a client asks before it names an export is
 * answered here; from the first option with a name on, options go to the server of that disk with the name taken out, and its
 * answers come back as they are (doc/proto.md of the NBD project). Until TLS is up, bytes are read from the socket exactly as
 * far as they belong to an option, so that the handshake finds its own. */
#include "seraid/nbd_door.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "ops/nbd.h"
#include "seraid/audit_call.h"
#include "seraid/listen.h"
#include "wire/conn.h"

#define BACKLOG      16
#define CONNS_MAX    64
#define UNKNOWN_US   (10 * US_PER_SEC) /* until a client has named a disk that it may read */
#define NEGOTIATE_US (60 * US_PER_SEC) /* from then until it reads */
#define WARN_US      (60 * US_PER_SEC)
#define OPTIONS_MAX  64
#define OPTION_MAX   4096
#define REPLIES_MAX  64
#define RETRY_US     (5 * US_PER_SEC)

#define MAGIC_INIT   UINT64_C(0x4e42444d41474943)
#define MAGIC_OPTION UINT64_C(0x49484156454f5054)
#define MAGIC_ANSWER UINT64_C(0x0003e889045565a9)

enum { FIXED = 1, NO_ZEROES = 2 };

enum {
    EXPORT_NAME = 1,
    ABORT = 2,
    STARTTLS = 5,
    INFO = 6,
    GO = 7,
    STRUCTURED = 8,
    LIST_META = 9,
    SET_META = 10
};

#define REP_ACK      UINT32_C(1)
#define REP_ERR      UINT32_C(0x80000000)
#define ERR_UNSUP    (REP_ERR | 1)
#define ERR_POLICY   (REP_ERR | 2)
#define ERR_INVALID  (REP_ERR | 3)
#define ERR_TLS_REQD (REP_ERR | 5)
#define ERR_UNKNOWN  (REP_ERR | 6)

static struct {
    char *address;
    struct tls_server *tls;
    int stop_fd, change_fd;
    pthread_t thread;
    bool runs;
    struct mutex m;
    struct cond ended;
    struct list clients; /* under m */
    size_t n_conns;      /* of them */
    int64_t warned_us;   /* the door's thread: that there are too many */
} self = { .change_fd = -1, .m = MUTEX_INIT, .clients = LIST_INIT(self.clients) };

struct client {
    struct list link;
    int sock;          /* a copy of its descriptor, to end it from another thread */
    int fd;            /* until conn is made of it */
    struct conn *conn; /* TLS is up, or not offered */
    struct deadline d;
    uint32_t flags; /* the client's */
    enum nbd_offer offer;
    bool structured;
    int server; /* -1: no export has been named */
    struct nbd_disk disk;
    uint64_t audit;
    char name[OPTION_MAX + 1];
};

static int get(struct client *c, void *p, size_t n)
{
    return c->conn ? conn_read_full(c->conn, p, n, &c->d)
                   : io_read_full(c->fd, p, n, &c->d);
}

static int put(struct client *c, const void *p, size_t n)
{
    return c->conn ? conn_write(c->conn, p, n, &c->d) : io_write_full(c->fd, p, n, &c->d);
}

static uint32_t be32_at(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return be32toh(v);
}

static void put32(uint8_t *p, uint32_t v)
{
    v = htobe32(v);
    memcpy(p, &v, sizeof(v));
}

static void put64(uint8_t *p, uint64_t v)
{
    v = htobe64(v);
    memcpy(p, &v, sizeof(v));
}

/* ---- what is answered here ------------------------------------------------------------------------------------ */

static int greet(struct client *c)
{
    uint8_t b[18] = { 0 }, flags[4];

    put64(b, MAGIC_INIT);
    put64(b + 8, MAGIC_OPTION);
    b[17] = FIXED | NO_ZEROES;
    if (put(c, b, sizeof(b)) < 0 || get(c, flags, sizeof(flags)) < 0)
        return -1;
    c->flags = be32_at(flags);
    return c->flags & FIXED ? 0 : -1;
}

static int answer(struct client *c, uint32_t option, uint32_t type, const char *text)
{
    uint8_t b[20];

    put64(b, MAGIC_ANSWER);
    put32(b + 8, option);
    put32(b + 12, type);
    put32(b + 16, (uint32_t)strlen(text));
    return put(c, b, sizeof(b)) < 0 || put(c, text, strlen(text)) < 0 ? -1 : 0;
}

/* ---- the disk's server ---------------------------------------------------------------------------------------- */

static int server_get(const struct client *c, void *p, size_t n)
{
    return io_read_full(c->server, p, n, &c->d);
}

static int send_option(const struct client *c, uint32_t option, const void *data,
                       uint32_t len)
{
    uint8_t b[16];

    put64(b, MAGIC_OPTION);
    put32(b + 8, option);
    put32(b + 12, len);
    return io_write_full(c->server, b, sizeof(b), &c->d) < 0
                   || (len && io_write_full(c->server, data, len, &c->d) < 0)
               ? -1
               : 0;
}

/* The server's answers to an option, passed on (to: NULL: not). -1: it broke; else the type of the last. */
static int relay(struct client *c, bool pass, uint32_t *type_out)
{
    uint8_t b[20 + OPTION_MAX];

    for (size_t i = 0; i < REPLIES_MAX; i++) {
        if (server_get(c, b, 20) < 0)
            return -1;
        uint32_t type = be32_at(b + 12), len = be32_at(b + 16);
        if (len > OPTION_MAX || server_get(c, b + 20, len) < 0
            || (pass && put(c, b, 20 + len) < 0))
            return -1;
        if (type == REP_ACK || (type & REP_ERR)) {
            *type_out = type;
            return 0;
        }
    }
    return -1;
}

static int begin_server(struct client *c)
{
    uint8_t b[18], flags[4];
    uint32_t type;

    if (server_get(c, b, sizeof(b)) < 0)
        return -1;
    put32(flags, c->flags & (FIXED | NO_ZEROES));
    if (io_write_full(c->server, flags, sizeof(flags), &c->d) < 0)
        return -1;
    if (!c->structured)
        return 0;
    return send_option(c, STRUCTURED, NULL, 0) < 0 || relay(c, false, &type) < 0
                   || type != REP_ACK
               ? -1
               : 0;
}

/* Whoever reads a whole disk is on record before the first byte. */
static int open_disk(struct client *c, const char *name, struct err *err)
{
    if (nbd_open(name, &c->disk, &c->server, err))
        return -1;
    struct call who = { .session = c->disk.session, .client_ip = conn_peer(c->conn) };
    c->d = deadline_in_cancel(NEGOTIATE_US, self.stop_fd);
    if (audit_http_begin(&who, "nbd/export", c->disk.uuid, &c->audit, err) == 0)
        return 0;
    close_fd(&c->server);
    nbd_close(&c->disk);
    return -1;
}

/* 1: it is the disk's; 0: the client has been told why not; -1: it broke. A connection has one disk. */
static int name_export(struct client *c, uint32_t option, const uint8_t *name, size_t len)
{
    AUTO(err_done) struct err err = { 0 };
    char text[OPTION_MAX + 1];

    memcpy(text, name, len);
    text[len] = '\0';
    int rc = 0;
    if (c->server >= 0 && str_eq(text, c->name))
        rc = 1;
    else if (c->server >= 0)
        (void)err_set(&err, ERR_UUID_INVALID, "VDI", "");
    else if (open_disk(c, text, &err) == 0)
        rc = begin_server(c) < 0 ? -1 : 1;
    if (rc == 1)
        memcpy(c->name, text, len + 1);
    explicit_bzero(text, sizeof(text));
    if (rc == 0) {
        AUTO(free_str) char *why = err_text(&err);
        log_info("NBD: %s refused: %s", conn_peer(c->conn), err.code);
        rc = option == EXPORT_NAME ? -1 : answer(c, option, ERR_UNKNOWN, why);
    }
    return rc;
}

/* ---- options -------------------------------------------------------------------------------------------------- */

enum { NEXT, TRANSMIT, BROKEN };

/* GO, INFO, and those of contexts begin with the length of a name and the name: "" to the server. */
static int with_name(struct client *c, uint32_t option, const uint8_t *p, uint32_t len)
{
    uint8_t b[OPTION_MAX] = { 0 };
    uint32_t type;

    if (len < 4 || be32_at(p) > len - 4)
        return answer(c, option, ERR_INVALID, "") < 0 ? BROKEN : NEXT;
    uint32_t n = be32_at(p);
    int rc = name_export(c, option, p + 4, n);
    if (rc <= 0)
        return rc < 0 ? BROKEN : NEXT;
    memcpy(b + 4, p + 4 + n, len - 4 - n);
    if (send_option(c, option, b, len - n) < 0 || relay(c, true, &type) < 0)
        return BROKEN;
    return option == GO && type == REP_ACK ? TRANSMIT : NEXT;
}

static int start_tls(struct client *c)
{
    if (c->offer != NBD_TLS || c->conn)
        return answer(c, STARTTLS, c->offer == NBD_TLS ? ERR_INVALID : ERR_POLICY, "") < 0
                   ? BROKEN
                   : NEXT;
    if (answer(c, STARTTLS, REP_ACK, "") < 0)
        return BROKEN;
    c->conn = conn_accept_tls(TAKE_FD(c->fd), self.tls, &c->d);
    return c->conn ? NEXT : BROKEN;
}

static int run_option(struct client *c, uint32_t option, const uint8_t *p, uint32_t len)
{
    bool open = c->conn != NULL;

    if (option == ABORT) {
        IGNORE(answer(c, option, REP_ACK, "")); /* it is going */
        return BROKEN;
    }
    if (option == STARTTLS)
        return start_tls(c);
    if (!open && option == EXPORT_NAME)
        return BROKEN; /* there is no other way to say no */
    if (!open)
        return answer(c, option, ERR_TLS_REQD, "") < 0 ? BROKEN : NEXT;
    switch (option) {
    case EXPORT_NAME:
        return name_export(c, option, p, len) == 1
                       && send_option(c, EXPORT_NAME, NULL, 0) == 0
                   ? TRANSMIT
                   : BROKEN;
    case STRUCTURED:
        if (c->server >= 0) {
            uint32_t type;
            return send_option(c, option, NULL, 0) < 0 || relay(c, true, &type) < 0 ? BROKEN
                                                                                    : NEXT;
        }
        c->structured = true;
        return answer(c, option, REP_ACK, "") < 0 ? BROKEN : NEXT;
    case INFO:
    case GO:
    case LIST_META:
    case SET_META: return with_name(c, option, p, len);
    default: return answer(c, option, ERR_UNSUP, "") < 0 ? BROKEN : NEXT;
    }
}

static int negotiate(struct client *c)
{
    uint8_t head[16], data[OPTION_MAX];
    int what = NEXT;

    if (greet(c) < 0)
        return BROKEN;
    for (size_t i = 0; i < OPTIONS_MAX && what == NEXT; i++) {
        uint64_t magic;
        if (get(c, head, sizeof(head)) < 0)
            return BROKEN;
        memcpy(&magic, head, sizeof(magic));
        uint32_t option = be32_at(head + 8), len = be32_at(head + 12);
        if (be64toh(magic) != MAGIC_OPTION || len > sizeof(data) || get(c, data, len) < 0)
            return BROKEN;
        what = run_option(c, option, data, len);
        explicit_bzero(data, sizeof(data));
    }
    return what;
}

static void serve(struct client *c)
{
    if (c->offer == NBD_PLAIN)
        c->conn = conn_plain(TAKE_FD(c->fd));
    if (negotiate(c) != TRANSMIT)
        return;
    c->d = deadline_in_cancel(INT64_MAX / 2, self.stop_fd);
    if (io_set_nonblock(c->server, true) == 0)
        IGNORE(conn_proxy(c->conn, c->server, &c->d)); /* the daemon stops */
}

static void *client_main(void *arg)
{
    struct client *c = arg;

    log_set_thread("nbd");
    c->d = deadline_in_cancel(UNKNOWN_US, self.stop_fd);
    serve(c);
    mutex_lock(&self.m);
    list_remove(&c->link);
    mutex_unlock(&self.m);
    close_fd(&c->sock);
    if (c->conn)
        conn_close(&c->conn);
    close_fd(&c->fd);
    if (c->server >= 0) {
        close_fd(&c->server);
        nbd_close(&c->disk);
        audit_http_end(c->audit, NULL);
    }
    explicit_bzero(c, sizeof(*c));
    free(c);
    mutex_lock(&self.m);
    self.n_conns--;
    cond_broadcast(&self.ended);
    mutex_unlock(&self.m);
    return NULL;
}

/* ---- the door ------------------------------------------------------------------------------------------------- */

static bool admit(struct client *c)
{
    int64_t now_us = clock_now_us();

    mutex_lock(&self.m);
    bool room = self.n_conns < CONNS_MAX;
    self.n_conns += room;
    if (room)
        list_add_tail(&self.clients, &c->link);
    mutex_unlock(&self.m);
    if (!room && now_us - self.warned_us >= WARN_US) {
        log_warn("NBD: more than %d connections", CONNS_MAX);
        self.warned_us = now_us;
    }
    return room;
}

static void dismiss(struct client *c)
{
    mutex_lock(&self.m);
    list_remove(&c->link);
    self.n_conns--;
    mutex_unlock(&self.m);
}

/* False: there is no descriptor for it now; it waits. */
static bool take(int listen_fd, enum nbd_offer offer)
{
    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    pthread_t thread;

    if (fd < 0)
        return errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM;
    struct client *c = mem_alloc(sizeof(*c));
    list_init(&c->link);
    c->fd = fd;
    c->sock = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    c->server = -1;
    c->offer = offer;
    if (c->sock >= 0 && admit(c)) {
        if (thread_start(&thread, "nbd", 512, client_main, c) == 0) {
            (void)pthread_detach(thread);
            return true;
        }
        log_warn("NBD: no thread can be started");
        dismiss(c);
    }
    close_fd(&c->sock);
    close_fd(&c->fd);
    free(c);
    return true;
}

/* What is offered no more ends for those who read, too. */
static void turn_out(void)
{
    mutex_lock(&self.m);
    list_for_each(it, &self.clients) {
        const struct client *c = list_entry(it, struct client, link);
        (void)shutdown(c->sock, SHUT_RDWR); /* or it just ended */
    }
    mutex_unlock(&self.m);
}

static int open_door(int *fd)
{
    AUTO(free_str) char *bound = NULL;
    char host[64] = "";

    *fd = io_listen_tcp(self.address, BACKLOG, &bound);
    if (*fd < 0) {
        log_error("NBD: listening on %s: %m", self.address);
        return -1;
    }
    listen_tune(*fd);
    if (io_set_nonblock(*fd, true) != 0)
        log_warn("NBD: the listening socket: %m"); /* it still serves */
    const char *colon = strrchr(bound, ':');
    (void)snprintf(host, sizeof(host), "%.*s", (int)(colon - bound), bound);
    bool all = str_eq(host, "0.0.0.0") || str_eq(host, "[::]");
    nbd_set_address(all ? NULL : host, (int)strtoul(colon + 1, NULL, 10));
    log_info("disks are served by NBD on %s", bound);
    return 0;
}

static void *door_main(void *arg)
{
    int fd = -1;
    bool rest = false;

    (void)arg;
    log_set_thread("nbd-door");
    for (;;) {
        enum nbd_offer offer = nbd_offered();
        if (offer == NBD_TLS && !self.tls)
            offer = NBD_NONE;
        if (offer == NBD_NONE && fd >= 0) {
            close_fd(&fd);
            turn_out();
            nbd_set_address(NULL, 0);
            log_info("disks are served by NBD no more");
        }
        bool failed = offer != NBD_NONE && fd < 0 && open_door(&fd) < 0;
        struct pollfd p[] = { { self.stop_fd, POLLIN, 0 },
                              { self.change_fd, POLLIN, 0 },
                              { rest ? -1 : fd, POLLIN, 0 } };
        if (poll(p, ARRAY_SIZE(p), failed || rest ? RETRY_US / US_PER_MS : -1) < 0)
            continue;
        eventfd_t n;
        if (p[1].revents)
            (void)eventfd_read(self.change_fd, &n);
        if (p[0].revents)
            break;
        rest = p[2].revents && !p[1].revents && !take(fd, offer);
    }
    close_fd(&fd);
    nbd_set_address(NULL, 0);
    return NULL;
}

static void changed(void)
{
    (void)eventfd_write(self.change_fd, 1);
}

int nbd_door_start(const char *address, struct tls_server *tls, int stop_fd,
                   struct err *err)
{
    if (!address)
        return 0;
    self.address = str_dup(address);
    self.tls = tls;
    self.stop_fd = stop_fd;
    cond_init(&self.ended);
    self.change_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self.change_fd < 0
        || thread_start(&self.thread, "nbd-door", 0, door_main, NULL) != 0) {
        (void)err_set(err, ERR_INTERNAL_ERROR, "nbd");
        return err_detail(err, "the door for NBD: %m");
    }
    self.runs = true;
    nbd_on_change(changed);
    changed();
    return 0;
}

void nbd_door_stop(void)
{
    if (!self.runs)
        return;
    (void)pthread_join(self.thread, NULL);
    mutex_lock(&self.m);
    while (self.n_conns)
        cond_wait(&self.ended, &self.m);
    mutex_unlock(&self.m);
    nbd_on_change(NULL);
    close_fd(&self.change_fd);
    free_str(&self.address);
}
