/* SPDX-License-Identifier: Apache-2.0 */
/* bench-load ADDRESS CONNECTIONS SECONDS FILE [EVERY]: send the bytes of FILE, one HTTP request, on so many kept connections,
 * each again as soon as its answer is whole, or EVERY so many microseconds (late ones count from when they were due);
 * ADDRESS is HOST:PORT or unix:PATH. Prints answers a second and the microseconds
 * that one took, at the median and the 99th percentile. One thread, so that it costs little beside what it measures, and
 * unix sockets, which wrk does not have. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/vec.h"

struct client {
    int fd;
    int64_t sent_us;
    int64_t due_us; /* when the next one is, if it is not under way; 0: it is */
    struct buf in;
    size_t size; /* of the whole answer; 0: its head is not there yet */
};

static struct {
    struct buf request;
    int64_t every_us;
    VEC(int64_t) took_us;
} load;

static int die(const char *what)
{
    fprintf(stderr, "bench-load: %s: %m\n", what);
    exit(2);
}

static void ask(struct client *c)
{
    struct deadline d = deadline_in(10 * US_PER_SEC);

    buf_clear(&c->in);
    c->size = 0;
    c->due_us = 0;
    if (io_write_full(c->fd, load.request.data, load.request.len, &d) != 0)
        die("write");
}

/* From the head, once it is there. */
static size_t answer_size(const struct buf *in)
{
    const char *end = strstr(buf_str(in), "\r\n\r\n");
    const char *length = end ? strcasestr(in->data, "Content-Length: ") : NULL;
    uint64_t n = 0;

    if (!end)
        return 0;
    if (strncmp(in->data, "HTTP/1.1 200", 12) != 0 || !length)
        exit((fprintf(stderr, "bench-load: answered %.40s\n", in->data), 2));
    for (length += 16; *length >= '0' && *length <= '9'; length++)
        n = n * 10 + (uint64_t)(*length - '0');
    return (size_t)(end + 4 - in->data) + n;
}

static void readable(struct client *c)
{
    char *room = buf_reserve(&c->in, 65536);
    ssize_t n = read(c->fd, room, 65536);
    int64_t now_us;

    if (n <= 0)
        die("the connection ended");
    c->in.len += (size_t)n;
    c->in.data[c->in.len] = '\0';
    if (c->size == 0)
        c->size = answer_size(&c->in);
    if (c->size == 0 || c->in.len < c->size)
        return;
    now_us = clock_now_us();
    vec_push(&load.took_us, now_us - c->sent_us);
    c->due_us = load.every_us > 0 ? c->sent_us + load.every_us : now_us;
    if (c->due_us > now_us)
        return;
    c->sent_us = c->due_us;
    ask(c);
}

/* Ask where it is time to; the microseconds until the next time. */
static int64_t ask_due(struct client *clients, size_t n)
{
    int64_t now_us = clock_now_us(), left_us = US_PER_SEC;

    for (size_t i = 0; i < n; i++) {
        struct client *c = &clients[i];

        if (c->due_us == 0)
            continue;
        if (c->due_us <= now_us) {
            c->sent_us = now_us;
            ask(c);
        } else {
            left_us = MIN(left_us, c->due_us - now_us);
        }
    }
    return left_us;
}

static int by_size(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static int connect_to(const char *address)
{
    struct deadline d = deadline_in(10 * US_PER_SEC);
    const char *colon = strrchr(address, ':');
    int64_t port;

    if (str_starts(address, "unix:"))
        return io_connect_unix(address + 5, &d);
    if (!colon || !parse_range(colon + 1, 1, 65535, &port))
        return -1;
    AUTO(free_str) char *host = str_dupn(address, (size_t)(colon - address));
    return io_connect_tcp(host, (unsigned)port, &d);
}

int main(int argc, char **argv)
{
    int64_t n, seconds, began, until;
    struct client *clients;
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    if ((argc != 5 && argc != 6) || !parse_range(argv[2], 1, 10000, &n)
        || !parse_range(argv[3], 1, 3600, &seconds)
        || (argc == 6 && !parse_range(argv[5], 1, US_PER_SEC, &load.every_us)))
        exit((fprintf(stderr, "bench-load ADDRESS CONNECTIONS SECONDS FILE [EVERY]\n"), 2));
    if (io_read_file(argv[4], &load.request) != 0)
        die(argv[4]);
    clients = mem_array((size_t)n, sizeof(*clients));
    for (int64_t i = 0; i < n; i++) {
        struct client *c = &clients[i];
        struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };

        c->fd = connect_to(argv[1]);
        if (c->fd < 0 || io_set_nonblock(c->fd, false) != 0
            || epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e) != 0)
            die(argv[1]);
        c->sent_us = clock_now_us();
        ask(c);
    }
    (void)prctl(PR_SET_TIMERSLACK, 1000L); /* nanoseconds: to ask when it is due */
    began = clock_now_us();
    until = began + seconds * US_PER_SEC;
    while (clock_now_us() < until) {
        struct epoll_event events[64];
        int64_t left_us = load.every_us > 0 ? ask_due(clients, (size_t)n) : US_PER_SEC;
        struct timespec wait = { left_us / US_PER_SEC, left_us % US_PER_SEC * 1000 };
        int ready = epoll_pwait2(epoll, events, 64, &wait, NULL);

        for (int i = 0; i < ready; i++)
            readable(events[i].data.ptr);
    }
    if (load.took_us.n == 0)
        exit((fprintf(stderr, "bench-load: no answer\n"), 2));
    qsort(load.took_us.v, load.took_us.n, sizeof(int64_t), by_size);
    printf("%.1f %lld %lld\n",
           (double)load.took_us.n * 1e6 / (double)(clock_now_us() - began),
           (long long)load.took_us.v[load.took_us.n / 2],
           (long long)load.took_us.v[load.took_us.n * 99 / 100]);
    return 0;
}
