/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/test.h"

#define WAIT deadline_in(10 * US_PER_SEC)

static void free_server(struct tls_server **t)
{
    tls_server_free(*t);
}

static void free_client(struct tls_client **t)
{
    tls_client_free(*t);
}

static void socket_pair(int fds[2])
{
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
}

/* A certificate for localhost and 127.0.0.1, made once. */
static const char *cert_file(void)
{
    static char *path;
    static const char *const names[] = { "localhost", "127.0.0.1", "::1" };
    if (!path) {
        path = str_fmt("%s/cert.pem", test_dir());
        CHECK(tls_make_self_signed(path, names, 3, NULL) == 0);
    }
    return path;
}

struct accept {
    int fd;
    struct tls_server *t;
    struct conn *c;
    pthread_t thread;
};

static void *accept_thread(void *arg)
{
    struct accept *a = arg;
    struct deadline d = WAIT;
    a->c = conn_accept_tls(a->fd, a->t, &d);
    return NULL;
}

/* Both ends of a TLS connection. client_out is NULL when the client refused the server. */
static void tls_pair(struct tls_server *server, struct tls_client *trust, const char *name,
                     struct conn **server_out, struct conn **client_out)
{
    int fds[2];
    struct deadline d = WAIT;
    socket_pair(fds);
    struct accept a = { .fd = fds[0], .t = server };
    CHECK(thread_start(&a.thread, "accept", 0, accept_thread, &a) == 0);
    *client_out = conn_connect_tls(fds[1], trust, name, &d);
    int saved = errno;
    pthread_join(a.thread, NULL);
    *server_out = a.c;
    errno = saved;
}

static void both_ends(bool tls, struct conn **a, struct conn **b)
{
    int fds[2];
    if (!tls) {
        socket_pair(fds);
        *a = conn_plain(fds[0]);
        *b = conn_plain(fds[1]);
        return;
    }
    AUTO(free_server)
    struct tls_server *server = tls_server_new(cert_file(), cert_file(), NULL);
    AUTO(free_client) struct tls_client *any = tls_client_new(NULL, NULL, true, NULL);
    CHECK(server && any);
    tls_pair(server, any, "localhost", a, b);
    CHECK(*a && *b);
}

TEST(peer_of_a_unix_socket)
{
    AUTO(conn_close) struct conn *a = NULL, *b = NULL;
    both_ends(false, &a, &b);
    AUTO(free_str) char *want = str_fmt("unix:%u", geteuid());
    CHECK_STR(conn_peer(a), want);
    CHECK(conn_local_trusted(a));
    CHECK(!conn_is_tls(a));
}

TEST(peer_of_a_tcp_socket)
{
    struct deadline d = WAIT;
    AUTO(free_str) char *bound = NULL;
    AUTO(close_fd) int lfd = io_listen_tcp("127.0.0.1:0", 1, &bound);
    CHECK(lfd >= 0);
    int64_t port;
    CHECK(parse_range(strrchr(bound, ':') + 1, 1, 65535, &port));
    AUTO(close_fd) int out = io_connect_tcp("127.0.0.1", (unsigned)port, &d);
    CHECK(out >= 0);
    AUTO(conn_close) struct conn *c = conn_plain(accept4(lfd, NULL, NULL, SOCK_CLOEXEC));
    CHECK_STR(conn_peer(c), "127.0.0.1");
    CHECK(!conn_local_trusted(c));
}

static void check_bytes_go_round(bool tls)
{
    AUTO(conn_close) struct conn *a = NULL, *b = NULL;
    struct deadline d = WAIT;
    char got[64] = "";
    both_ends(tls, &a, &b);
    CHECK(conn_is_tls(a) == tls);
    CHECK_INT(conn_write(a, "hello world", 11, &d), 0);
    CHECK_INT(conn_read_full(b, got, 5, &d), 0);
    CHECK(conn_buffered(b));
    conn_unread(b, "HELLO", 5);
    conn_unread(b, "0123456789abcdef", 16);
    CHECK_INT(conn_read_full(b, got, 27, &d), 0);
    CHECK_STR(got, "0123456789abcdefHELLO world");
    CHECK(!conn_buffered(b));
    CHECK_INT(conn_write(b, "x", 1, &d), 0);
    conn_close(&b);
    CHECK(!b);
    CHECK_INT(conn_read(a, got, sizeof(got), &d), 1);
    CHECK_INT(conn_read(a, got, sizeof(got), &d), 0);
    CHECK_INT(conn_read_full(a, got, 1, &d), -1);
    CHECK_INT(errno, EPIPE);
}

TEST(bytes_go_round_plain)
{
    check_bytes_go_round(false);
}

TEST(bytes_go_round_tls)
{
    check_bytes_go_round(true);
}

static void check_deadlines(bool tls)
{
    AUTO(conn_close) struct conn *a = NULL, *b = NULL;
    char byte;
    both_ends(tls, &a, &b);
    struct deadline soon = deadline_in(10 * US_PER_MS);
    CHECK_INT(conn_read(a, &byte, 1, &soon), -1);
    CHECK_INT(errno, ETIMEDOUT);
    AUTO(close_fd) int cancel = eventfd(1, EFD_CLOEXEC);
    struct deadline cancelled = deadline_in_cancel(10 * US_PER_SEC, cancel);
    CHECK_INT(conn_read(a, &byte, 1, &cancelled), -1);
    CHECK_INT(errno, ECANCELED);
    /* A peer that reads nothing stops a writer. */
    size_t len = 8 * 1024 * 1024;
    AUTO(free_str) char *much = mem_alloc(len);
    soon = deadline_in(50 * US_PER_MS);
    CHECK_INT(conn_write(a, much, len, &soon), -1);
    CHECK_INT(errno, ETIMEDOUT);
    CHECK_INT(conn_write(a, much, len, &cancelled), -1);
    CHECK_INT(errno, ECANCELED);
}

TEST(deadlines_plain)
{
    check_deadlines(false);
}

TEST(deadlines_tls)
{
    check_deadlines(true);
}

/* SIGPIPE keeps its deadly default in this process. */
static void check_no_sigpipe(bool tls)
{
    AUTO(conn_close) struct conn *a = NULL, *b = NULL;
    struct deadline d = WAIT;
    struct sigaction old;
    CHECK(sigaction(SIGPIPE, NULL, &old) == 0 && old.sa_handler == SIG_DFL);
    both_ends(tls, &a, &b);
    conn_close(&b);
    int rc = 0;
    for (int i = 0; i < 3 && rc == 0; i++)
        rc = conn_write(a, "x", 1, &d);
    CHECK_INT(rc, -1);
    CHECK_INT(errno, ECONNRESET);
}

TEST(no_sigpipe_plain)
{
    check_no_sigpipe(false);
}

TEST(no_sigpipe_tls)
{
    check_no_sigpipe(true);
}

struct sender {
    struct conn *c;
    const char *p;
    size_t len;
    bool vectors;
    pthread_t thread;
    int rc;
};

/* Of sizes from none to more than fits into what is put together for TLS. */
static int send_vectors(struct sender *s, const struct deadline *d)
{
    struct iovec v[300];
    size_t at = 0, n = 0;
    for (size_t i = 0; at < s->len; i++) {
        size_t piece = MIN(i % 97 == 0 ? 200000 : i % 7 * 100, s->len - at);
        v[n++] = (struct iovec){ .iov_base = (void *)(uintptr_t)(s->p + at),
                                 .iov_len = piece };
        at += piece;
        if (n < ARRAY_SIZE(v) && at < s->len)
            continue;
        if (conn_writev(s->c, v, n, d) < 0)
            return -1;
        n = 0;
    }
    return 0;
}

static void *send_thread(void *arg)
{
    struct sender *s = arg;
    struct deadline d = WAIT;
    s->rc = s->vectors ? send_vectors(s, &d) : conn_write(s->c, s->p, s->len, &d);
    return NULL;
}

static void check_large(bool tls, bool vectors)
{
    AUTO(conn_close) struct conn *a = NULL, *b = NULL;
    struct deadline d = WAIT;
    size_t len = 3 * 1024 * 1024 + 17;
    AUTO(free_str) char *sent = mem_alloc(len), *got = mem_alloc(len);
    for (size_t i = 0; i < len; i++)
        sent[i] = (char)(i * 31 >> 5);
    both_ends(tls, &a, &b);
    struct sender s = { .c = a, .p = sent, .len = len, .vectors = vectors };
    CHECK(thread_start(&s.thread, "send", 0, send_thread, &s) == 0);
    size_t at = 0;
    int rc = 0;
    for (size_t step = 1; at < len && rc == 0; at += step) {
        step = MIN((at % 40000) + 1, len - at);
        rc = conn_read_full(b, got + at, step, &d);
    }
    pthread_join(s.thread, NULL);
    CHECK_INT(rc, 0);
    CHECK_INT(s.rc, 0);
    CHECK(memcmp(sent, got, len) == 0);
}

TEST(large_plain)
{
    check_large(false, false);
    check_large(false, true);
}

TEST(large_tls)
{
    check_large(true, false);
    check_large(true, true);
}

/* Ten thousand silent connections must cost little: measured 14 KiB of OpenSSL 3.0 each. */
TEST(idle_connections_are_small)
{
    enum { N = 20 };

    struct conn *near[N], *far[N];
    struct deadline d = WAIT;
    char byte;
    AUTO(free_server)
    struct tls_server *server = tls_server_new(cert_file(), cert_file(), NULL);
    AUTO(free_client) struct tls_client *any = tls_client_new(NULL, NULL, true, NULL);
    for (int i = 0; i < N; i++) {
        tls_pair(server, any, "localhost", &near[i], &far[i]);
        CHECK(near[i] && far[i]);
        CHECK_INT(conn_write(far[i], "xy", 2, &d), 0);
        CHECK_INT(conn_read(near[i], &byte, 1, &d), 1);
        CHECK_INT(conn_read(near[i], &byte, 1, &d), 1);
    }
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < N; i++)
        conn_close(&near[i]);
    size_t each = (before - mallinfo2().uordblks) / N;
    for (int i = 0; i < N; i++)
        conn_close(&far[i]);
    if (each > 20 * 1024)
        test_fail(__FILE__, __LINE__, "an idle TLS connection costs %zu bytes", each);
}

TEST(handshake_that_never_comes)
{
    int fds[2];
    socket_pair(fds);
    UNUSED AUTO(close_fd) int silent = fds[1];
    AUTO(free_server)
    struct tls_server *server = tls_server_new(cert_file(), cert_file(), NULL);
    struct deadline soon = deadline_in(20 * US_PER_MS);
    CHECK(!conn_accept_tls(fds[0], server, &soon));
    CHECK_INT(errno, ETIMEDOUT);
    CHECK(fcntl(fds[0], F_GETFD) < 0);
}

TEST(plain_http_on_the_tls_port)
{
    int fds[2];
    struct deadline d = WAIT;
    socket_pair(fds);
    AUTO(close_fd) int client = fds[1];
    AUTO(free_server)
    struct tls_server *server = tls_server_new(cert_file(), cert_file(), NULL);
    CHECK(io_write_full(client, "GET / HTTP/1.1\r\n\r\n", 18, &d) == 0);
    CHECK(!conn_accept_tls(fds[0], server, &d));
    CHECK_INT(errno, EPROTO);
}

TEST(trust)
{
    AUTO(free_str) char *pin = tls_fingerprint(cert_file(), NULL);
    AUTO(free_str) char *other = str_dup(pin);
    CHECK(pin && strlen(pin) == 95);
    other[0] = other[0] == 'A' ? 'B' : 'A';

    const struct {
        const char *ca, *pin, *name;
        bool insecure, trusted;
    } cases[] = {
        { cert_file(), NULL, "localhost", false, true },
        { cert_file(), NULL, "127.0.0.1", false, true },
        { cert_file(), NULL, "::1", false, true },
        { cert_file(), NULL, "127.0.0.2", false, false },
        { cert_file(), NULL, "example.org", false, false },
        { NULL, NULL, "localhost", false, false },
        { NULL, pin, "example.org", false, true },
        { NULL, other, "localhost", false, false },
        { NULL, NULL, "example.org", true, true },
    };

    AUTO(free_server)
    struct tls_server *server = tls_server_new(cert_file(), cert_file(), NULL);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(free_client)
        struct tls_client *t = tls_client_new(cases[i].ca, cases[i].pin, cases[i].insecure,
                                              NULL);
        AUTO(conn_close) struct conn *a = NULL, *b = NULL;
        CHECK(t != NULL);
        tls_pair(server, t, cases[i].name, &a, &b);
        if ((b != NULL) != cases[i].trusted)
            test_fail(__FILE__, __LINE__, "case %zu: %m", i);
        if (!b)
            CHECK_INT(errno, EKEYREJECTED);
    }
}

TEST(certificate_files)
{
    struct stat st;
    CHECK(stat(cert_file(), &st) == 0 && (st.st_mode & 0777) == 0600);
    static const char *const bad[] = { "a,b" };
    AUTO(free_str) char *empty = str_fmt("%s/empty.pem", test_dir());
    AUTO(free_str) char *other = str_fmt("%s/other.pem", test_dir());
    static const char *const names[] = { "other" };
    CHECK(io_write_file(empty, "", 0, 0600) == 0);
    CHECK(tls_make_self_signed(other, names, 1, NULL) == 0);
    CHECK(tls_make_self_signed(empty, bad, 1, NULL) == -1);
    CHECK(tls_make_self_signed(empty, bad, 0, NULL) == -1);

    const struct {
        const char *cert, *key, *code;
    } cases[] = {
        { empty, empty, "SERVER_CERTIFICATE_INVALID" },
        { "/nonexistent", cert_file(), "SERVER_CERTIFICATE_INVALID" },
        { cert_file(), empty, "SERVER_CERTIFICATE_KEY_INVALID" },
        { cert_file(), other, "SERVER_CERTIFICATE_KEY_MISMATCH" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(err_done) struct err err = { 0 };
        CHECK(!tls_server_new(cases[i].cert, cases[i].key, &err));
        CHECK_STR(err.code, cases[i].code);
        CHECK(err.detail != NULL);
    }
    AUTO(err_done) struct err err = { 0 };
    CHECK(!tls_fingerprint(empty, &err));
    CHECK_STR(err.code, "SERVER_CERTIFICATE_INVALID");
}

struct proxy {
    struct conn *c;
    int fd;
    struct deadline d;
    int rc, error;
    pthread_t thread;
};

static void *proxy_thread(void *arg)
{
    struct proxy *p = arg;
    p->rc = conn_proxy(p->c, p->fd, &p->d);
    p->error = errno;
    return NULL;
}

static void check_proxy(bool tls)
{
    AUTO(conn_close) struct conn *a = NULL, *b = NULL;
    int fds[2];
    struct deadline d = WAIT;
    size_t len = 1024 * 1024;
    AUTO(free_str) char *sent = mem_alloc(len), *got = mem_alloc(len);
    for (size_t i = 0; i < len; i++)
        sent[i] = (char)(i * 7 >> 3);
    both_ends(tls, &a, &b);
    socket_pair(fds);
    AUTO(close_fd) int near = fds[0], far = fds[1];
    struct proxy p = { .c = a, .fd = near, .d = d };
    CHECK(thread_start(&p.thread, "proxy", 0, proxy_thread, &p) == 0);
    CHECK_INT(conn_write(b, "up", 2, &d), 0);
    CHECK_INT(io_read_full(far, got, 2, &d), 0);
    CHECK(memcmp(got, "up", 2) == 0);
    struct sender s = { .c = b, .p = sent, .len = len };
    CHECK(thread_start(&s.thread, "send", 0, send_thread, &s) == 0);
    CHECK_INT(io_read_full(far, got, len, &d), 0);
    pthread_join(s.thread, NULL);
    CHECK(memcmp(sent, got, len) == 0);
    /* The far side's last bytes arrive before the end does. */
    CHECK_INT(io_write_full(far, "last words", 10, &d), 0);
    close_fd(&far);
    CHECK_INT(conn_read_full(b, got, 10, &d), 0);
    pthread_join(p.thread, NULL);
    CHECK_INT(p.rc, 0);
    CHECK(memcmp(got, "last words", 10) == 0);
}

TEST(proxy_plain)
{
    check_proxy(false);
}

TEST(proxy_tls)
{
    check_proxy(true);
}

TEST(proxy_ends)
{
    for (int how = 0; how < 2; how++) {
        AUTO(conn_close) struct conn *a = NULL, *b = NULL;
        int fds[2];
        both_ends(false, &a, &b);
        socket_pair(fds);
        UNUSED AUTO(close_fd) int near = fds[0], far = fds[1];
        AUTO(close_fd) int cancel = eventfd(0, EFD_CLOEXEC);
        struct proxy p = { .c = a,
                           .fd = near,
                           .d = deadline_in_cancel(10 * US_PER_SEC, cancel) };
        CHECK(thread_start(&p.thread, "proxy", 0, proxy_thread, &p) == 0);
        if (how == 0)
            conn_close(&b);
        else
            CHECK(eventfd_write(cancel, 1) == 0);
        pthread_join(p.thread, NULL);
        CHECK_INT(p.rc, how == 0 ? 0 : -1);
        if (how == 1)
            CHECK_INT(p.error, ECANCELED);
    }
}
