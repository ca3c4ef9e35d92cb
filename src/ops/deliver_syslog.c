/* SPDX-License-Identifier: Apache-2.0 */
/* Messages by syslog: RFC 5424 over UDP (RFC 5426) or, in counted octets, over TCP (RFC 6587). Runs on its channel's
 * thread; the call on any. */
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/io.h"
#include "base/mem.h"
#include "ops/deliver.h"

#define DATAGRAM_MAX 8192
#define FACILITY     3 /* system daemons */

static char *active GUARDED_BY(db_mutex); /* where to; NULL: nowhere */
static bool loaded GUARDED_BY(db_mutex);

/* What host.logging says. Given; NULL: nothing. */
static char *wanted(void) REQUIRES(db_mutex)
{
    static const char *const key = "syslog_destination";
    const struct field_def *f = &schema_classes[CLASS_HOST].fields[F_HOST_LOGGING];
    struct ref ref = db_host_ref();
    const struct host_rec *host = db_get(CLASS_HOST, &ref);
    size_t i = host ? map_find(f->ty, &host->logging, &key) : SIZE_MAX;

    return i == SIZE_MAX || !*host->logging.v[i].val ? NULL
                                                     : str_dup(host->logging.v[i].val);
}

static bool parse(const char *text, bool *tcp_out, char **host_out, unsigned *port_out)
{
    *tcp_out = str_starts(text, "tcp://");
    if (*tcp_out || str_starts(text, "udp://"))
        text += strlen("tcp://");
    return deliver_host_port(text, 514, host_out, port_out);
}

static void load(struct deliver_config *out) REQUIRES(db_mutex)
{
    if (!loaded)
        active = wanted();
    loaded = true;
    out->to = str_dup(active);
    out->min_priority = INT64_MAX;
    out->on = out->to != NULL;
}

/* A value of structured data. */
static void add_value(struct buf *out, const char *name, const char *value)
{
    buf_addf(out, " %s=\"", name);
    for (; *value; value++) {
        if (strchr("\"\\]", *value))
            buf_add_char(out, '\\');
        buf_add_char(out, *value);
    }
    buf_add_char(out, '"');
}

static bool printable(const char *s)
{
    if (!*s || strlen(s) > 200)
        return false;
    for (; *s; s++)
        if (*s <= ' ' || *s > '~')
            return false;
    return true;
}

static void make_line(struct buf *out, const struct deliver_message *m)
{
    /* Urgencies 1 to 5: critical, error, warning, notice, informational. */
    int severity = m->priority < 1 ? 2 : m->priority > 5 ? 6 : (int)m->priority + 1;
    AUTO(free_str) char *priority = str_fmt("%lld", (long long)m->priority);
    char date[20];

    clock_iso(m->timestamp_us, date);
    buf_addf(out, "<%d>1 %.4s-%.2s-%.2s%.10s %s seraid %d %s [serai@32473",
             FACILITY * 8 + severity, date, date + 4, date + 6, date + 8,
             printable(m->host_name) ? m->host_name : "-", (int)getpid(),
             printable(m->name) && strlen(m->name) <= 32 ? m->name : "-");
    add_value(out, "uuid", m->uuid);
    add_value(out, "class", m->cls);
    add_value(out, "object", m->obj_uuid);
    add_value(out, "priority", priority);
    add_value(out, "pool", m->pool_uuid);
    buf_addf(out, "] \xef\xbb\xbf%s: %s", m->name, m->body);
}

static int failed(struct err *err, const char *where)
{
    (void)err_set(err, DELIVER_FAILED);
    return err_detail(err, "%s: %s", where, io_connect_why());
}

static int send_tcp(const char *host, unsigned port, const struct buf *line,
                    const struct deadline *d)
{
    AUTO(close_fd) int fd = io_connect_tcp(host, port, d);
    AUTO(free_str) char *head = str_fmt("%zu ", line->len);
    char waste[64];

    if (fd < 0 || io_write_full(fd, head, strlen(head), d) != 0
        || io_write_full(fd, buf_str(line), line->len, d) != 0
        || shutdown(fd, SHUT_WR) != 0)
        return -1;
    /* The server's end says that it has taken all; what it says otherwise is nothing. */
    return io_read(fd, waste, sizeof(waste), d) < 0 ? -1 : 0;
}

static int send_udp(const char *host, unsigned port, const struct buf *line)
{
    struct addrinfo hints = { .ai_socktype = SOCK_DGRAM }, *all = NULL;
    char service[8];
    int rc = -1;

    (void)snprintf(service, sizeof(service), "%u", port);
    if (getaddrinfo(host, service, &hints, &all) != 0) {
        errno = ENOENT;
        return -1;
    }
    for (const struct addrinfo *a = all; a && rc != 0; a = a->ai_next) {
        AUTO(close_fd) int fd = socket(a->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (fd >= 0
            && sendto(fd, buf_str(line), MIN(line->len, (size_t)DATAGRAM_MAX), 0,
                      a->ai_addr, a->ai_addrlen)
                   >= 0)
            rc = 0;
    }
    freeaddrinfo(all);
    return rc;
}

static int send_line(const struct deliver_config *c, const struct deliver_message *m,
                     const struct deadline *d, bool *permanent_out, struct err *err)
{
    AUTO(buf_done) struct buf line = BUF_INIT(0);
    AUTO(free_str) char *host = NULL;
    unsigned port;
    bool tcp;

    *permanent_out = false;
    if (!parse(c->to, &tcp, &host, &port)) {
        *permanent_out = true;
        (void)err_set(err, DELIVER_FAILED);
        return err_detail(err, "syslog_destination is no host: %s", c->to);
    }
    make_line(&line, m);
    if ((tcp ? send_tcp(host, port, &line, d) : send_udp(host, port, &line)) != 0)
        return failed(err, c->to);
    return 0;
}

const struct deliver_channel_ops deliver_syslog = { "syslog", load, send_line };

/* ---- calls -------------------------------------------------------------------------------------------- */

int op_host_syslog_reconfigure(struct call *call,
                               const struct host_syslog_reconfigure_args *a,
                               struct err *err)
{
    AUTO(free_str) char *host = NULL, *fresh = NULL;
    unsigned port;
    bool tcp;

    db_lock();
    if (!call_get(CLASS_HOST, &a->host, err)) {
        db_unlock();
        return -1;
    }
    fresh = wanted();
    if (!fresh || parse(fresh, &tcp, &host, &port)) {
        char *old = active;

        active = TAKE(fresh);
        fresh = old;
        loaded = true;
        host = host ? host : str_dup("");
    }
    db_unlock();
    if (!host)
        return err_set(err, ERR_INVALID_VALUE, "syslog_destination", fresh);
    /* An event, by which the channel wakes. */
    struct tx *tx = call_tx(call);

    tx_touch(tx, &a->host);
    return tx_commit(tx, err);
}
