/* SPDX-License-Identifier: Apache-2.0 */
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/test.h"

#define BIG ((size_t)1 << 20)

static struct deadline soon(void)
{
    return deadline_in(20 * US_PER_MS);
}

static struct deadline later(void)
{
    return deadline_in(60 * US_PER_SEC);
}

static char *path_in(const char *name)
{
    return str_fmt("%s/%s", test_dir(), name);
}

static void make_file(const char *path, const char *text)
{
    CHECK_INT(io_write_file(path, text, strlen(text), 0600), 0);
}

static void check_file(const char *path, const char *want)
{
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    CHECK_INT(io_read_file(path, &b), 0);
    CHECK_STR(buf_str(&b), want);
}

struct stream {
    int fd;
    const uint8_t *p;
};

static void *write_big(void *arg)
{
    const struct stream *s = arg;
    struct deadline d = later();
    CHECK_INT(io_write_full(s->fd, s->p, BIG, &d), 0);
    CHECK_INT(close(s->fd), 0);
    return NULL;
}

/* A megabyte through something that holds less, written and read in whatever pieces come. */
static void check_stream(int from, int to)
{
    AUTO(free_ptr) uint8_t *sent = mem_alloc(BIG), *got = mem_alloc(BIG);
    for (size_t i = 0; i < BIG; i++)
        sent[i] = (uint8_t)(i * 31 + i / 257);
    struct stream s = { to, sent };
    struct deadline d = later();
    pthread_t t;
    CHECK_INT(thread_start(&t, "write", 0, write_big, &s), 0);
    CHECK_INT(io_read_full(from, got, BIG, &d), 0);
    CHECK(memcmp(sent, got, BIG) == 0);
    CHECK_INT(io_read(from, got, 1, &d), 0); /* the end */
    CHECK_INT(io_read_full(from, got, 1, &d), -1);
    CHECK_INT(errno, EPIPE);
    CHECK_INT(pthread_join(t, NULL), 0);
    close_fd(&from);
}

TEST(streams)
{
    for (int nonblock = 0; nonblock < 2; nonblock++) {
        int fds[2];
        CHECK_INT(pipe2(fds, O_CLOEXEC | (nonblock ? O_NONBLOCK : 0)), 0);
        check_stream(fds[0], fds[1]);
        CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        CHECK_INT(io_set_nonblock(fds[0], nonblock), 0);
        CHECK_INT(io_set_nonblock(fds[1], nonblock), 0);
        check_stream(fds[0], fds[1]);
    }
}

/* Nobody reads: a write of more than fits ends at the deadline, also on blocking descriptors. */
TEST(writes_end_at_the_deadline)
{
    AUTO(free_ptr) uint8_t *p = mem_alloc(BIG * 4);
    int fds[2][2];
    CHECK_INT(pipe2(fds[0], O_CLOEXEC), 0);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds[1]), 0);
    for (int i = 0; i < 2; i++) {
        struct deadline d = soon();
        CHECK_INT(io_write_full(fds[i][1], p, BIG * 4, &d), -1);
        CHECK_INT(errno, ETIMEDOUT);
        close_fd(&fds[i][0]);
        close_fd(&fds[i][1]);
    }
}

TEST(reads_end_at_the_deadline)
{
    int fds[2];
    char c;
    CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
    struct deadline d = soon();
    CHECK_INT(io_read(fds[0], &c, 1, &d), -1);
    CHECK_INT(errno, ETIMEDOUT);
    AUTO(close_fd) int cancel = eventfd(1, EFD_CLOEXEC);
    d = deadline_in_cancel(INT64_MAX, cancel);
    CHECK_INT(io_read_full(fds[0], &c, 1, &d), -1);
    CHECK_INT(errno, ECANCELED);
    close_fd(&fds[0]);
    close_fd(&fds[1]);
}

TEST(a_closed_socket_raises_no_signal)
{
    int fds[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    close_fd(&fds[0]);
    struct deadline d = later();
    CHECK_INT(io_write_full(fds[1], "x", 1, &d), -1);
    CHECK_INT(errno, EPIPE);
    close_fd(&fds[1]);
}

TEST(at_offsets)
{
    AUTO(free_str) char *path = path_in("sparse");
    AUTO(close_fd) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    uint64_t far = (UINT64_C(5) << 30) + 3;
    char got[5] = "";
    CHECK_INT(io_pwrite_full(fd, "abcd", 4, far), 0);
    CHECK_INT(io_pread_full(fd, got, 4, far), 0);
    CHECK_STR(got, "abcd");
    CHECK_INT(io_pread_full(fd, got, 4, far + 1), -1);
    CHECK_INT(errno, EPIPE);
}

TEST(files_are_replaced_whole)
{
    AUTO(free_str) char *path = path_in("file");
    make_file(path, "first, the longer one");
    CHECK_INT(io_write_file(path, "second", 6, 0640), 0);
    check_file(path, "second");
    struct stat st;
    CHECK_INT(stat(path, &st), 0);
    CHECK_INT(st.st_mode & 07777, 0640);
    CHECK_INT(st.st_nlink, 1);
}

TEST(a_failed_write_leaves_nothing)
{
    AUTO(free_str) char *dir = path_in("d"), *sub = path_in("d/target");
    CHECK_INT(io_mkdirs(sub, 0700), 0);
    CHECK_INT(io_write_file(sub, "x", 1, 0600), -1); /* a directory is in the way */
    CHECK_INT(errno, EISDIR);
    CHECK_INT(rmdir(sub), 0);
    CHECK_INT(rmdir(dir), 0); /* so no temporary file is left */
    AUTO(free_str) char *nowhere = path_in("no/file");
    CHECK_INT(io_write_file(nowhere, "x", 1, 0600), -1);
    CHECK_INT(errno, ENOENT);
}

TEST(read_file_appends_and_is_bounded)
{
    AUTO(free_str) char *path = path_in("file");
    make_file(path, "0123456789");
    AUTO(buf_done) struct buf b = BUF_INIT(14);
    buf_add_str(&b, "abcd");
    CHECK_INT(io_read_file(path, &b), 0);
    CHECK_STR(buf_str(&b), "abcd0123456789");
    buf_clear(&b);
    buf_add_str(&b, "abcde");
    CHECK_INT(io_read_file(path, &b), -1);
    CHECK_INT(errno, EFBIG);
    CHECK_STR(buf_str(&b), "abcde"); /* as it was */
    AUTO(free_str) char *none = path_in("none");
    CHECK_INT(io_read_file(none, &b), -1);
    CHECK_INT(errno, ENOENT);
    AUTO(buf_done) struct buf proc = BUF_INIT(0);
    CHECK_INT(io_read_file("/proc/self/status", &proc), 0); /* says that its size is 0 */
    CHECK(strstr(buf_str(&proc), "Name:") != NULL);
}

TEST(mkdirs)
{
    AUTO(free_str) char *deep = path_in("a/b//c/"), *file = path_in("a/file");
    CHECK_INT(io_mkdirs(deep, 0750), 0);
    CHECK_INT(io_mkdirs(deep, 0700), 0);
    struct stat st;
    CHECK_INT(stat(deep, &st), 0);
    CHECK(S_ISDIR(st.st_mode));
    make_file(file, "x");
    AUTO(free_str) char *below = path_in("a/file/b");
    CHECK_INT(io_mkdirs(file, 0700), -1);
    CHECK_INT(errno, ENOTDIR);
    CHECK_INT(io_mkdirs(below, 0700), -1);
    CHECK_INT(io_mkdirs("/", 0700), 0);
}

TEST(remove_tree_never_follows_links)
{
    AUTO(free_str) char *tree = path_in("tree"), *deep = path_in("tree/x/y/z");
    AUTO(free_str) char *kept = path_in("kept"), *file = path_in("kept/file");
    AUTO(free_str) char *link = path_in("tree/x/link"), *top = path_in("top");
    AUTO(free_str) char *dot = path_in("tree/x/.hidden");
    CHECK_INT(io_mkdirs(deep, 0700), 0);
    CHECK_INT(io_mkdirs(kept, 0700), 0);
    make_file(file, "keep me");
    make_file(dot, "not me");
    CHECK_INT(symlink(kept, link), 0);
    CHECK_INT(symlink(kept, top), 0);
    CHECK_INT(io_remove_tree(tree), 0);
    CHECK_INT(io_remove_tree(top), 0);
    check_file(file, "keep me");
    struct stat st;
    CHECK_INT(lstat(tree, &st), -1);
    CHECK_INT(lstat(top, &st), -1);
    CHECK_INT(io_remove_tree(tree), 0); /* fine if absent */
    CHECK_INT(io_remove_tree(file), 0); /* a file is a small tree */
    CHECK_INT(lstat(file, &st), -1);
}

static void check_unix(const char *path, unsigned mode)
{
    struct deadline d = later();
    struct stat st;
    AUTO(close_fd) int listener = io_listen_unix(path, mode, 4);
    CHECK(listener >= 0);
    CHECK_INT(stat(path, &st), 0);
    CHECK_INT(st.st_mode & 07777, mode);
    AUTO(close_fd) int client = io_connect_unix(path, &d);
    CHECK(client >= 0);
    AUTO(close_fd) int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    char c = 0;
    unsigned uid = 12345;
    CHECK_INT(io_write_full(client, "x", 1, &d), 0);
    CHECK_INT(io_read_full(server, &c, 1, &d), 0);
    CHECK_INT(c, 'x');
    CHECK_INT(io_peer_uid(server, &uid), 0);
    CHECK_INT(uid, getuid());
    CHECK_INT(fcntl(client, F_GETFL) & O_NONBLOCK, 0);
    CHECK_INT(fcntl(client, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    CHECK_INT(fcntl(listener, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

TEST(unix_sockets)
{
    AUTO(free_str) char *path = path_in("s");
    check_unix(path, 0600);
    check_unix(path, 0666); /* the old file is in the way, and the umask */
    struct deadline d = later();
    CHECK_INT(io_connect_unix(path, &d), -1);
    CHECK_INT(errno, ECONNREFUSED);
    AUTO(free_str) char *none = path_in("none"), *file = path_in("file");
    CHECK_INT(io_connect_unix(none, &d), -1);
    CHECK_INT(errno, ENOENT);
    make_file(file, "precious");
    CHECK_INT(io_listen_unix(file, 0600, 1), -1); /* only sockets are replaced */
    CHECK_INT(errno, EADDRINUSE);
    check_file(file, "precious");
}

TEST(unix_sockets_at_long_paths)
{
    AUTO(free_str) char *deep = str_fmt("%s/%0100d/%0100d", test_dir(), 1, 2);
    AUTO(free_str) char *path = str_fmt("%s/socket", deep);
    AUTO(free_str) char *too_long = str_fmt("%s/%0100d", deep, 3);
    CHECK_INT(io_mkdirs(deep, 0700), 0);
    check_unix(path, 0600);
    check_unix(path, 0600);
    CHECK_INT(io_listen_unix(too_long, 0600, 1), -1);
    CHECK_INT(errno, ENAMETOOLONG);
}

TEST(a_full_backlog_ends_at_the_deadline)
{
    AUTO(free_str) char *path = path_in("s");
    AUTO(close_fd) int listener = io_listen_unix(path, 0600, 0);
    struct deadline d = later();
    AUTO(close_fd) int first = io_connect_unix(path, &d);
    CHECK(listener >= 0 && first >= 0);
    d = soon();
    CHECK_INT(io_connect_unix(path, &d), -1);
    CHECK_INT(errno, ETIMEDOUT);
    AUTO(close_fd) int cancel = eventfd(1, EFD_CLOEXEC);
    d = deadline_in_cancel(INT64_MAX, cancel);
    CHECK_INT(io_connect_unix(path, &d), -1);
    CHECK_INT(errno, ECANCELED);
}

TEST(descriptors_travel)
{
    int s[2], pipes[2], got[4] = { -1, -1, -1, -1 };
    char text[8] = "";
    size_t n = ARRAY_SIZE(got);
    struct deadline d = later();
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
    CHECK_INT(pipe2(pipes, O_CLOEXEC), 0);
    CHECK_INT(io_send_fds(s[0], "hello", 5, pipes, 2), 0);
    CHECK_INT(io_recv_fds(s[1], text, sizeof(text), got, &n), 5);
    CHECK_INT(n, 2);
    CHECK_INT(fcntl(got[0], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    CHECK_INT(io_write_full(got[1], "z", 1, &d), 0);
    CHECK_INT(io_read_full(pipes[0], text, 1, &d), 0);
    CHECK_INT(text[0], 'z');

    n = 4;
    CHECK_INT(io_send_fds(s[0], "x", 1, NULL, 0), 0);
    CHECK_INT(io_recv_fds(s[1], text, sizeof(text), got, &n), 1);
    CHECK_INT(n, 0);
    CHECK_INT(io_send_fds(s[0], "", 0, pipes, 1), -1);
    CHECK_INT(errno, EINVAL);
    for (size_t i = 0; i < 2; i++) {
        close_fd(&s[i]);
        close_fd(&pipes[i]);
        close_fd(&got[i]);
    }
}

static int lowest_free(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_INT(close(fd), 0);
    return fd;
}

TEST(too_many_descriptors_are_closed)
{
    int s[2], many[3] = { 0, 0, 0 }, got[2];
    char c;
    size_t n = 1;
    CHECK_INT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s), 0);
    int before = lowest_free();
    CHECK_INT(io_send_fds(s[0], "x", 1, many, 3), 0);
    CHECK_INT(io_recv_fds(s[1], &c, 1, got, &n), -1);
    CHECK_INT(errno, EMSGSIZE);
    CHECK_INT(lowest_free(), before);
    n = 2;
    CHECK_INT(io_send_fds(s[0], "xyz", 3, many, 1), 0); /* a packet cut short */
    CHECK_INT(io_recv_fds(s[1], &c, 1, got, &n), -1);
    CHECK_INT(errno, EMSGSIZE);
    CHECK_INT(lowest_free(), before);
    close_fd(&s[0]);
    close_fd(&s[1]);
}

TEST(tcp)
{
    static const char *const hosts[] = { "127.0.0.1", "localhost" };
    for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
        AUTO(free_str) char *addr = str_fmt("%s:0", hosts[i]), *bound = NULL;
        struct deadline d = later();
        int64_t port;
        AUTO(close_fd) int listener = io_listen_tcp(addr, 4, &bound);
        CHECK(listener >= 0 && bound);
        CHECK(parse_range(strrchr(bound, ':') + 1, 1, 65535, &port));
        AUTO(close_fd) int client = io_connect_tcp(hosts[i], (unsigned)port, &d);
        CHECK(client >= 0);
        AUTO(close_fd) int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        char c = 0;
        CHECK_INT(io_write_full(client, "x", 1, &d), 0);
        CHECK_INT(io_read_full(server, &c, 1, &d), 0);
        CHECK_INT(c, 'x');
        CHECK_INT(io_listen_tcp(bound, 4, NULL), -1);
        CHECK_INT(errno, EADDRINUSE);
        close_fd(&listener);
        CHECK_INT(io_connect_tcp(hosts[i], (unsigned)port, &d), -1);
        CHECK_INT(errno, ECONNREFUSED);
    }
}

TEST(tcp_addresses)
{
    static const char *const bad[] = {
        "",       "127.0.0.1",    "127.0.0.1:",  "127.0.0.1:65536",
        "::1:80", "127.0.0.1:-1", "127.0.0.1:x", ":80"
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CHECK_INT(io_listen_tcp(bad[i], 1, NULL), -1);
        CHECK_INT(errno, EINVAL);
    }
    CHECK_INT(io_listen_tcp("192.0.2.1:0", 1, NULL), -1); /* RFC 5737: nobody's */
    CHECK_INT(errno, EADDRNOTAVAIL);
    CHECK_STR(io_connect_why(), "There is no host of that name");
    errno = ECONNREFUSED;
    CHECK_STR(io_connect_why(), "Connection refused");
    AUTO(free_str) char *bound = NULL;
    AUTO(close_fd) int fd = io_listen_tcp("[::1]:0", 1, &bound);
    CHECK(fd >= 0 ? str_starts(bound, "[::1]:")
                  : errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT);
}
