/* SPDX-License-Identifier: Apache-2.0 */
/* VM.import: an archive that a server of HTTP has, fetched and read as /import reads what is sent (ops/xva.h): all or
 * nothing. The address may hold a password or a session, so only its host is ever told. The server is given a minute for
 * every next byte. Any thread; blocks until the end. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/mem.h"
#include "model/rbac.h"
#include "ops/call.h"
#include "ops/deliver.h"
#include "ops/xva.h"
#include "wire/client.h"
#include "wire/url.h"

#define ANSWER_US     (60 * US_PER_SEC)
#define STALL_US      (60 * US_PER_SEC)
#define REDIRECTS_MAX 5

struct fetch {
    struct tls_client *trust;
    struct conn *conn;
    uint64_t left; /* UINT64_MAX: until the server ends */
    int cancel_fd;
};

static void fetch_done(struct fetch *f)
{
    conn_close(&f->conn);
    tls_client_free(f->trust);
    f->trust = NULL;
}

static ssize_t fetch_read(void *arg, void *p, size_t n)
{
    struct fetch *f = arg;
    struct deadline d = deadline_in_cancel(STALL_US, f->cancel_fd);
    ssize_t got;

    if (f->left == 0)
        return 0;
    got = conn_read(f->conn, p, (size_t)MIN(f->left, (uint64_t)n), &d);
    if (f->left == UINT64_MAX)
        return got;
    if (got == 0) { /* less than it announced */
        errno = EPIPE;
        return -1;
    }
    f->left -= got > 0 ? (uint64_t)got : 0;
    return got;
}

static bool fetch_ready(void *arg)
{
    const struct fetch *f = arg;

    return f->left == 0 || conn_buffered(f->conn);
}

/* What the transport said, as a code of the API. */
static int failed(const struct call *call, const struct err *why, struct err *err)
{
    const char *text = why->detail ? why->detail : why->code;
    char task[REF_TEXT_SIZE];

    ref_text(&call->task, task);
    if (call_cancelled(call))
        return err_set(err, ERR_TASK_CANCELLED, task);
    return err_set(
        err, strstr(text, "not trusted") ? ERR_SSL_VERIFY_ERROR : ERR_IMPORT_ERROR, text);
}

static int request(const struct call *call, const struct url *u, struct fetch *f,
                   struct client_got *got, struct err *err)
{
    struct deadline d = deadline_sooner(&call->deadline, ANSWER_US);
    AUTO(err_done) struct err why = { 0 };
    struct client_target target = { .host = u->host,
                                    .port = u->port,
                                    .tls = str_eq(u->scheme, "https") };
    struct client *client;
    int rc;

    if (target.tls && !f->trust)
        f->trust = tls_client_new(NULL, NULL, !deliver_verifies(), err);
    if (target.tls && !f->trust)
        return -1;
    target.trust = f->trust;
    client = client_new(&target);
    rc = client_get(client, u->path_query, &d, got, &why);
    client_free(client);
    return rc == 0 ? 0 : failed(call, &why, err);
}

/* Where a redirection leads: to an address, or to another path of the same server; never from TLS to plain text. */
static int follow(struct url *u, const char *location, struct err *err)
{
    struct url next = { 0 };

    if (location && location[0] == '/' && location[1] != '/') {
        AUTO(free_str)
        char *text = str_fmt(strchr(u->host, ':') ? "%s://[%s]:%u%s" : "%s://%s:%u%s",
                             u->scheme, u->host, u->port, location);
        if (!url_parse(text, &next))
            return err_set(err, ERR_IMPORT_ERROR, "The server redirects to no address");
    } else if (!location || !url_parse(location, &next)) {
        return err_set(err, ERR_IMPORT_ERROR,
                       "The server redirects to what is no address of HTTP");
    }
    if (str_eq(u->scheme, "https") && !str_eq(next.scheme, "https")) {
        url_done(&next);
        return err_set(err, ERR_IMPORT_ERROR,
                       "The server redirects from TLS to plain text");
    }
    url_done(u);
    *u = next;
    return 0;
}

static int refused(const struct url *u, int status, struct err *err)
{
    AUTO(free_str) char *text = str_fmt("%s:%u answered %d", u->host, u->port, status);

    return err_set(err, ERR_IMPORT_ERROR, text);
}

/* Up to the first byte of the archive. */
static int fetch_open(const struct call *call, struct url *u, struct fetch *f,
                      struct err *err)
{
    for (int i = 0; i <= REDIRECTS_MAX; i++) {
        struct client_got got = { 0 };
        AUTO(free_str) char *location = NULL;

        if (request(call, u, f, &got, err) != 0)
            return -1;
        location = got.location;
        if (got.status == 200) {
            f->conn = got.conn;
            f->left = got.length;
            return 0;
        }
        if (got.status < 301 || got.status > 308 || (got.status > 303 && got.status < 307))
            return refused(u, got.status, err);
        if (follow(u, location, err) != 0)
            return -1;
    }
    return err_set(err, ERR_IMPORT_ERROR, "The server redirects too often");
}

int op_vm_import(struct call *call, const struct vm_import_args *a, struct set_ref *result,
                 struct err *err)
{
    AUTO(url_done) struct url u = { 0 };
    struct fetch f = { .cancel_fd = call->deadline.cancel_fd };
    struct xva_import how = {
        .sr = a->sr, .restore = a->full_restore, .force = a->force, .may = rbac_check_new
    };
    int rc;

    if (!ref_is_null(&a->sr)) {
        db_lock();
        bool there = call_get(CLASS_SR, &a->sr, err) != NULL;
        db_unlock();
        if (!there)
            return -1;
    }
    if (!url_parse(a->url, &u))
        return err_set(err, ERR_INVALID_VALUE, "url", "not an address of HTTP");
    rc = fetch_open(call, &u, &f, err);
    if (rc == 0) {
        how.source = (struct foreign_source){
            .read = fetch_read, .ready = fetch_ready, .fd = conn_fd(f.conn), .arg = &f
        };
        rc = xva_import(call, &how, result, err);
    }
    fetch_done(&f);
    return rc;
}
