/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of seraid (or of the command line), turned into commands for the threads of disks and their
 * answers into replies. A snapshot of several disks goes through its phases with all of them at once;
 * when one fails before the swap, all go on as they were. Thread: control. */
#include "diskd/control.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "api/errors.h"
#include "base/io.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "diskd/export.h"

#define CLIENTS_MAX 16
#define FDS_MAX     32 /* what io_recv_fds takes */
#define LIMIT_MAX   (UINT64_C(1) << 50)
#define GROUP_MAX   (CONTROL_PAIRS_MAX / 2)

struct client {
    struct list link;
    struct control *control;
    int fd;
};

struct disk_entry {
    struct list link;
    struct control *control;
    struct export *export; /* NULL while opening */
    char *id;
    struct request *opening; /* the open that is to be answered */
    bool closing;
    int stopped;
};

enum phase { PHASE_ONE, PHASE_PREPARE, PHASE_HOLD, PHASE_WORK, PHASE_RELEASE };

/* A request until its reply. */
struct request {
    struct list link;
    struct control *control;
    struct client *client; /* NULL: our own, or gone */
    bool own; /* from the command line, or to end: nobody else hears of its failure */
    char *tag;
    struct err err;
    enum phase phase;
    enum export_verb work;
    size_t n, pending;

    struct {
        struct disk_entry *entry;
        struct export_cmd cmd;
        char *path;
    } part[];
};

struct control {
    struct loop *loop;
    int listen_fd;
    struct list clients, disks, requests;
    size_t n_clients;
    bool quitting, quit_later, failed;
    void (*failure)(void *arg);
    void *failure_arg;
};

static void client_free(struct client *k)
{
    struct control *c = k->control;

    list_for_each(it, &c->requests) {
        struct request *r = list_entry(it, struct request, link);
        if (r->client == k)
            r->client = NULL;
    }
    loop_del(c->loop, k->fd);
    close_fd(&k->fd);
    list_remove(&k->link);
    c->n_clients--;
    free(k);
}

/* A client that does not take its messages is let go. */
static void send_text(struct client *k, const struct buf *b)
{
    if (send(k->fd, b->data, b->len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        (void)shutdown(k->fd, SHUT_RDWR);
}

static struct request *request_new(struct control *c, struct client *k, const char *tag,
                                   size_t n)
{
    struct request *r = mem_alloc(sizeof(*r) + n * sizeof(r->part[0]));

    r->control = c;
    r->client = k;
    r->own = !k;
    r->tag = str_dup(tag);
    r->n = n;
    list_add_tail(&c->requests, &r->link);
    return r;
}

static void check_quit(struct control *c)
{
    if (c->quitting && list_empty(&c->disks) && list_empty(&c->requests))
        loop_stop(c->loop);
}

static void reply(struct request *r, const char *more)
{
    AUTO(buf_done) struct buf b = BUF_INIT(CONTROL_MESSAGE_MAX);
    struct control *c = r->control;

    buf_add_str(&b, r->err.code ? "error\n" : "ok\n");
    if (r->tag)
        buf_addf(&b, "tag=%s\n", r->tag);
    if (r->err.code) {
        bool backend = str_eq(r->err.code, ERR_SR_BACKEND_FAILURE) && r->err.n_params;
        buf_addf(&b, "code=%s\ntext=", backend ? r->err.params[0] : r->err.code);
        for (const char *s = r->err.detail ? r->err.detail : ""; *s; s++)
            buf_add_char(&b, *s == '\n' ? ' ' : *s);
        buf_add_char(&b, '\n');
    } else if (more) {
        buf_add_str(&b, more);
    }
    if (r->client) {
        send_text(r->client, &b);
    } else if (r->err.code) {
        log_error("%s", r->err.detail ? r->err.detail : r->err.code);
        c->failed = c->failed || r->own;
    }
    for (size_t i = 0; i < r->n; i++) {
        err_done(&r->part[i].cmd.err);
        free(r->part[i].path);
    }
    bool tell = r->own && r->err.code && c->failure;
    err_done(&r->err);
    free(r->tag);
    list_remove(&r->link);
    free(r);
    if (tell && !c->quitting)
        c->failure(c->failure_arg);
    check_quit(c);
}

static void broadcast(struct control *c, const char *text)
{
    AUTO(buf_done) struct buf b = BUF_INIT(CONTROL_MESSAGE_MAX);

    buf_add_str(&b, text);
    list_for_each_safe(it, &c->clients)
        send_text(list_entry(it, struct client, link), &b);
}

static struct disk_entry *find(struct control *c, const char *id, struct err *err)
{
    list_for_each(it, &c->disks) {
        struct disk_entry *e = list_entry(it, struct disk_entry, link);
        if (str_eq(e->id, id) && e->export && !e->closing)
            return e;
    }
    (void)err_set(err, ERR_SR_BACKEND_FAILURE, "ENOENT", "", id);
    IGNORE(err_detail(err, "no disk %s is open", id));
    return NULL;
}

static void entry_free(struct disk_entry *e)
{
    struct control *c = e->control;

    if (e->stopped) {
        AUTO(free_str) char *text = str_fmt("event\nname=resumed\nid=%s\n", e->id);
        broadcast(c, text);
    }
    list_remove(&e->link);
    free(e->id);
    free(e);
    check_quit(c);
}

static void opened(void *arg, struct export *x, struct err *err)
{
    struct disk_entry *e = arg;
    struct request *r = TAKE(e->opening);
    struct control *c = e->control;

    if (err->code) {
        err_move(&r->err, err);
        entry_free(e);
    } else {
        e->export = x;
        log_info("%s is open", e->id);
    }
    reply(r, NULL);
    if (c->quit_later)
        control_quit(c);
}

static void stop_event(void *arg, struct export *x, int error)
{
    struct disk_entry *e = arg;
    e->stopped = error;
    AUTO(free_str)
    char *text = error ? str_fmt("event\nname=stopped\nid=%s\nerror=%s\n", e->id,
                                 strerrorname_np(error))
                       : str_fmt("event\nname=resumed\nid=%s\n", e->id);

    log_warn("%s: %s", e->id, error ? strerrorname_np(error) : "goes on");
    broadcast(e->control, text);
}

static void run_phase(struct request *r, enum phase phase);

static void add_stats(struct buf *b, const struct export_cmd *x)
{
    const struct disk_stats *s = &x->stats;

    const struct {
        const char *key;
        uint64_t value;
    } rows[] = {
        { "bytes", x->bytes },
        { "depth", x->depth },
        { "connections", x->connections },
        { "reads", s->reads },
        { "read-bytes", s->read_bytes },
        { "writes", s->writes },
        { "write-bytes", s->write_bytes },
        { "zeros", s->zeros },
        { "zero-bytes", s->zero_bytes },
        { "flushes", s->flushes },
        { "errors", s->errors },
        { "syncs", s->syncs },
        { "map-loads", s->map_loads },
        { "space-steps", s->space_steps },
        { "space-stalls", s->space_stalls },
        { "inflight", s->inflight },
        { "limited", s->limited },
        { "maps", x->maps },
        { "hold-us", (uint64_t)x->hold_us },
        { "hold-max-us", (uint64_t)x->hold_max_us },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        buf_addf(b, "%s=%llu\n", rows[i].key, (unsigned long long)rows[i].value);
    if (x->merging)
        buf_addf(b, "merged=%llu\n", (unsigned long long)x->merged_bytes);
    buf_addf(b, "backend=%s\n", x->backend);
    buf_addf(b, "stopped=%s\n", x->stopped ? strerrorname_np(x->stopped) : "no");
}

static void one_done(struct request *r)
{
    AUTO(buf_done) struct buf b = BUF_INIT(CONTROL_MESSAGE_MAX);
    struct disk_entry *e = r->part[0].entry;
    struct control *c = r->control;

    if (r->work == EXPORT_STATS)
        add_stats(&b, &r->part[0].cmd);
    if (r->work == EXPORT_STOP) {
        if (r->err.code)
            c->failed = true;
        log_info("%s is closed", e->id);
        export_free(e->export);
        entry_free(e);
    }
    reply(r, b.data);
}

static void phase_done(struct request *r)
{
    switch (r->phase) {
    case PHASE_ONE: one_done(r); break;
    case PHASE_PREPARE: run_phase(r, r->err.code ? PHASE_RELEASE : PHASE_HOLD); break;
    case PHASE_HOLD: run_phase(r, r->err.code ? PHASE_RELEASE : PHASE_WORK); break;
    case PHASE_WORK: run_phase(r, PHASE_RELEASE); break;
    case PHASE_RELEASE: reply(r, NULL); break;
    }
}

static void cmd_done(struct export_cmd *x)
{
    struct request *r = x->arg;

    if (x->err.code && !r->err.code)
        err_move(&r->err, &x->err);
    if (--r->pending == 0)
        phase_done(r);
}

static void run_phase(struct request *r, enum phase phase)
{
    static const enum export_verb verbs[] = { [PHASE_PREPARE] = EXPORT_PREPARE,
                                              [PHASE_HOLD] = EXPORT_HOLD,
                                              [PHASE_RELEASE] = EXPORT_RELEASE };

    r->phase = phase;
    r->pending = r->n;
    for (size_t i = 0; i < r->n; i++) {
        struct export_cmd *x = &r->part[i].cmd;
        err_done(&x->err);
        x->verb = phase == PHASE_ONE || phase == PHASE_WORK ? r->work : verbs[phase];
        if (phase == PHASE_PREPARE && r->work == EXPORT_UNLINK)
            x->verb = EXPORT_OPEN_PARENT;
        x->path = r->part[i].path;
        x->done = cmd_done;
        x->arg = r;
        export_send(r->part[i].entry->export, x);
    }
}

/* The value of a key, NULL if absent; each key is looked up once and then crossed out. */
static const char *take_value(struct control_message *m, const char *key)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->pair[i].key && str_eq(m->pair[i].key, key)) {
            m->pair[i].key = NULL;
            return m->pair[i].value;
        }
    return NULL;
}

static int nothing_left(const struct control_message *m, struct err *err)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->pair[i].key) {
            (void)err_set(err, ERR_SR_BACKEND_FAILURE, "EINVAL", "", m->pair[i].key);
            return err_detail(err, "%s does not know %s", m->verb, m->pair[i].key);
        }
    return 0;
}

static int bad(struct err *err, const char *text)
{
    (void)err_set(err, ERR_SR_BACKEND_FAILURE, "EINVAL", "", text);
    return err_detail(err, "%s", text);
}

static bool yes(struct control_message *m, const char *key)
{
    return str_eq(take_value(m, key), "yes");
}

static int read_set(struct control_message *m, struct export_set *s, struct err *err)
{
    const char *iops = take_value(m, "iops"), *bytes = take_value(m, "bytes-per-second");

    s->policy.stop_enospc = str_eq(take_value(m, "enospc"), "stop");
    s->policy.stop_eio = str_eq(take_value(m, "eio"), "stop");
    if ((iops && !parse_u64(iops, &s->iops)) || (bytes && !parse_u64(bytes, &s->bytes))
        || s->iops > LIMIT_MAX || s->bytes > LIMIT_MAX)
        return bad(err, "iops and bytes-per-second are numbers");
    return 0;
}

static int read_open(struct control_message *m, struct export_spec *s, struct err *err)
{
    s->id = take_value(m, "id");
    s->path = take_value(m, "path");
    s->nbd = take_value(m, "nbd");
    s->journal = take_value(m, "journal");
    s->nbd_fd = yes(m, "nbd-fd");
    s->write = yes(m, "write");
    s->raw_base = yes(m, "raw-base");
    s->plain = yes(m, "plain");
    if (!s->id || !*s->id || strlen(s->id) > 128 || !s->path)
        return bad(err, "open needs id and path");
    if (read_set(m, &s->set, err) < 0)
        return -1;
    if (s->nbd && s->nbd_fd)
        return bad(err, "either nbd or nbd-fd");
    if (s->nbd_fd && !s->n_fds)
        return bad(err, "nbd-fd needs a descriptor");
    return nothing_left(m, err);
}

static void do_open(struct request *r, struct control_message *m, int *fds, size_t n_fds)
{
    struct control *c = r->control;
    struct export_spec s = { .fds = fds, .n_fds = n_fds };

    if (read_open(m, &s, &r->err) < 0) {
        reply(r, NULL);
        return;
    }
    list_for_each(it, &c->disks)
        if (str_eq(list_entry(it, struct disk_entry, link)->id, s.id)) {
            (void)err_set(&r->err, ERR_SR_BACKEND_FAILURE, "EEXIST", "", s.id);
            IGNORE(err_detail(&r->err, "a disk %s is open already", s.id));
            reply(r, NULL);
            return;
        }
    struct disk_entry *e = mem_alloc(sizeof(*e));
    e->control = c;
    e->id = str_dup(s.id);
    e->opening = r;
    list_add_tail(&c->disks, &e->link);
    if (export_start(c->loop, &s, opened, stop_event, e, &r->err) < 0) {
        entry_free(e);
        reply(r, NULL);
    }
}

static void do_one(struct request *r, struct control_message *m, enum export_verb verb)
{
    const char *id = take_value(m, "id");

    r->work = verb;
    if (id)
        r->part[0].entry = find(r->control, id, &r->err);
    else
        IGNORE(bad(&r->err, "an id is needed"));
    if (r->err.code || nothing_left(m, &r->err) < 0) {
        reply(r, NULL);
        return;
    }
    if (verb == EXPORT_STOP)
        r->part[0].entry->closing = true;
    run_phase(r, verb == EXPORT_TRACK ? PHASE_HOLD : PHASE_ONE);
}

static void do_resize(struct request *r, struct control_message *m)
{
    const char *id = take_value(m, "id"), *bytes = take_value(m, "bytes");

    r->work = EXPORT_RESIZE;
    if (!id || !bytes || !parse_u64(bytes, &r->part[0].cmd.bytes))
        IGNORE(bad(&r->err, "resize needs id and bytes"));
    else
        r->part[0].entry = find(r->control, id, &r->err);
    if (r->err.code || nothing_left(m, &r->err) < 0)
        reply(r, NULL);
    else
        run_phase(r, PHASE_HOLD);
}

static void do_set(struct request *r, struct control_message *m)
{
    const char *id = take_value(m, "id");

    r->work = EXPORT_SET;
    if (!id)
        IGNORE(bad(&r->err, "set needs an id"));
    else if (read_set(m, &r->part[0].cmd.set, &r->err) == 0)
        r->part[0].entry = find(r->control, id, &r->err);
    if (r->err.code || nothing_left(m, &r->err) < 0)
        reply(r, NULL);
    else
        run_phase(r, PHASE_ONE);
}

static void do_relink(struct request *r, struct control_message *m)
{
    const char *id = take_value(m, "id"), *path = take_value(m, "path");

    r->work = EXPORT_UNLINK;
    if (!id || !path)
        IGNORE(bad(&r->err, "relink needs id and path"));
    else
        r->part[0].entry = find(r->control, id, &r->err);
    if (r->err.code || nothing_left(m, &r->err) < 0) {
        reply(r, NULL);
        return;
    }
    r->part[0].path = str_dup(path);
    run_phase(r, PHASE_PREPARE);
}

static void do_snapshot(struct request *r, const struct control_message *m)
{
    r->work = EXPORT_PUSH;
    for (size_t i = 0; i < r->n && !r->err.code; i++) {
        if (!str_eq(m->pair[2 * i].key, "id") || !str_eq(m->pair[2 * i + 1].key, "path")) {
            IGNORE(bad(&r->err, "snapshot needs pairs of id and path"));
            break;
        }
        r->part[i].path = str_dup(m->pair[2 * i + 1].value);
        r->part[i].entry = find(r->control, m->pair[2 * i].value, &r->err);
        for (size_t k = 0; k < i; k++)
            if (r->part[k].entry == r->part[i].entry)
                IGNORE(bad(&r->err, "one disk is named twice"));
    }
    if (r->n == 0 || m->n % 2)
        IGNORE(bad(&r->err, "snapshot needs pairs of id and path"));
    if (r->err.code)
        reply(r, NULL);
    else
        run_phase(r, PHASE_PREPARE);
}

static void run_message(struct control *c, struct client *k, struct control_message *m,
                        int *fds, size_t n_fds)
{
    static const struct {
        const char *verb;
        enum export_verb work;
    } simple[] = {
        { "close", EXPORT_STOP },  { "flush", EXPORT_FLUSH },
        { "stats", EXPORT_STATS }, { "resume", EXPORT_RESUME },
        { "merge", EXPORT_MERGE }, { "merge-stop", EXPORT_MERGE_STOP },
        { "track", EXPORT_TRACK },
    };

    bool group = str_eq(m->verb, "snapshot");
    struct request *r = request_new(c, k, m->tag, group ? m->n / 2 : 1);

    if (c->quitting) {
        IGNORE(bad(&r->err, "it is about to end"));
        reply(r, NULL);
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(simple); i++)
        if (str_eq(m->verb, simple[i].verb)) {
            do_one(r, m, simple[i].work);
            return;
        }
    if (str_eq(m->verb, "open")) {
        do_open(r, m, fds, n_fds);
    } else if (group) {
        do_snapshot(r, m);
    } else if (str_eq(m->verb, "resize")) {
        do_resize(r, m);
    } else if (str_eq(m->verb, "set")) {
        do_set(r, m);
    } else if (str_eq(m->verb, "relink")) {
        do_relink(r, m);
    } else if (str_eq(m->verb, "quit")) {
        reply(r, NULL);
        control_quit(c);
    } else {
        IGNORE(bad(&r->err, "there is no such verb"));
        reply(r, NULL);
    }
}

static void refuse(struct control *c, struct client *k)
{
    struct request *r = request_new(c, k, NULL, 0);

    IGNORE(bad(&r->err, "this is no message"));
    reply(r, NULL);
}

static void client_ready(void *arg, uint32_t events)
{
    struct client *k = arg;
    char text[CONTROL_MESSAGE_MAX];
    int fds[FDS_MAX];
    size_t n_fds = ARRAY_SIZE(fds);
    struct control_message m;

    ssize_t n = io_recv_fds(k->fd, text, sizeof(text) - 1, fds, &n_fds);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0 && errno == EMSGSIZE) {
        refuse(k->control, k);
        return;
    }
    if (n <= 0) {
        client_free(k);
        return;
    }
    if (control_parse(text, (size_t)n, &m))
        run_message(k->control, k, &m, fds, n_fds);
    else
        refuse(k->control, k);
    for (size_t i = 0; i < n_fds; i++)
        close_fd(&fds[i]);
}

static void acceptable(void *arg, uint32_t events)
{
    struct control *c = arg;
    AUTO(close_fd) int fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0 || c->n_clients == CLIENTS_MAX)
        return;
    struct client *k = mem_alloc(sizeof(*k));
    k->control = c;
    k->fd = fd;
    if (loop_add(c->loop, fd, EPOLLIN, client_ready, k) < 0) {
        free(k);
        return;
    }
    (void)TAKE_FD(fd);
    list_add_tail(&c->clients, &k->link);
    c->n_clients++;
    list_for_each(it, &c->disks) {
        const struct disk_entry *e = list_entry(it, struct disk_entry, link);
        AUTO(buf_done) struct buf b = BUF_INIT(CONTROL_MESSAGE_MAX);
        if (!e->stopped)
            continue;
        buf_addf(&b, "event\nname=stopped\nid=%s\nerror=%s\n", e->id,
                 strerrorname_np(e->stopped));
        send_text(k, &b);
    }
}

struct control *control_new(struct loop *l, int listen_fd)
{
    struct control *c = mem_alloc(sizeof(*c));

    c->loop = l;
    c->listen_fd = listen_fd;
    list_init(&c->clients);
    list_init(&c->disks);
    list_init(&c->requests);
    if (listen_fd >= 0 && loop_add(l, listen_fd, EPOLLIN, acceptable, c) < 0) {
        free(c);
        return NULL;
    }
    return c;
}

void control_run(struct control *c, const char *message, int fd)
{
    AUTO(free_str) char *text = str_dup(message);
    struct control_message m;

    if (control_parse(text, strlen(text), &m))
        run_message(c, NULL, &m, &fd, fd >= 0);
    else
        c->failed = true;
}

void control_quit(struct control *c)
{
    bool opening = false;

    list_for_each_safe(it, &c->disks) {
        struct disk_entry *e = list_entry(it, struct disk_entry, link);
        if (!e->export) {
            opening = true;
            continue;
        }
        if (e->closing)
            continue;
        struct request *r = request_new(c, NULL, NULL, 1);
        r->work = EXPORT_STOP;
        r->part[0].entry = e;
        e->closing = true;
        run_phase(r, PHASE_ONE);
    }
    if (opening) {
        c->quit_later = true; /* again when it is open */
        return;
    }
    c->quitting = true;
    check_quit(c);
}

void control_on_failure(struct control *c, void (*fn)(void *arg), void *arg)
{
    c->failure = fn;
    c->failure_arg = arg;
}

bool control_failed(const struct control *c)
{
    return c->failed;
}

void control_free(struct control *c)
{
    if (!c)
        return;
    list_for_each_safe(it, &c->clients)
        client_free(list_entry(it, struct client, link));
    if (c->listen_fd >= 0)
        loop_del(c->loop, c->listen_fd);
    close_fd(&c->listen_fd);
    free(c);
}
