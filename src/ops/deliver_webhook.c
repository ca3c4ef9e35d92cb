/* SPDX-License-Identifier: Apache-2.0 */
/* Messages by HTTP, signed; and the other calls that send something to an address that they are given. The address may
 * hold a password or a token, so only its host is ever logged. Runs on its channel's thread; the calls on any. */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/mem.h"
#include "base/parse.h"
#include "ops/deliver.h"
#include "ops/host_ctx.h"
#include "ops/report.h"
#include "wire/client.h"
#include "wire/url.h"

#define ANSWER_MAX_BYTES ((size_t)64 * 1024)
#define BUNDLE_MAX_BYTES ((size_t)64 << 20)

static void load(struct deliver_config *out) REQUIRES(db_mutex)
{
    AUTO(free_str) char *priority = deliver_pool_key("webhook-min-priority");
    AUTO(free_str) char *secret = deliver_pool_key("webhook-secret");

    out->to = deliver_pool_key("webhook-url");
    out->pin = deliver_pool_key("webhook-fingerprint");
    out->min_priority = 5;
    if (priority)
        (void)parse_range(priority, 0, 1000, &out->min_priority);
    out->server = secret; /* which secret: a change is a change */
    if (secret)
        out->secret = deliver_secret(secret);
    secret = NULL;
    out->on = out->to && *out->to;
}

static char *body_of(const struct deliver_message *m)
{
    const char *const rows[][2] = {
        { "uuid", m->uuid },           { "name", m->name },
        { "class", m->cls },           { "obj_uuid", m->obj_uuid },
        { "body", m->body },           { "pool_uuid", m->pool_uuid },
        { "pool_name", m->pool_name }, { "host_name", m->host_name },
    };
    struct buf b = BUF_INIT(0);
    char date[20];

    clock_iso(m->timestamp_us, date);
    buf_addf(&b, "{\"priority\":%lld,\"timestamp\":\"%s\"", (long long)m->priority, date);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        buf_addf(&b, ",\"%s\":\"", rows[i][0]);
        enc_json_text(&b, rows[i][1]);
        buf_add_char(&b, '"');
    }
    buf_add_char(&b, '}');
    return buf_take(&b);
}

static void add_signature(struct buf *out, const char *secret, const char *body)
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    if (!HMAC(EVP_sha256(), secret, (int)strlen(secret), (const uint8_t *)body,
              strlen(body), mac, &n))
        return;
    buf_add_str(out, "X-Serai-Signature: sha256=");
    for (unsigned i = 0; i < n; i++)
        buf_addf(out, "%02x", mac[i]);
    buf_add_str(out, "\r\n");
}

struct request {
    const char *method, *extra;
    const void *body;
    size_t len;
    const char *pin; /* NULL: the system's authorities */
    bool insecure;
};

/* -1: there was no answer. */
static int request(const struct url *u, const struct request *q, int *status_out,
                   struct buf *answer, const struct deadline *d, struct err *err)
{
    struct client_target target = { .host = u->host,
                                    .port = u->port,
                                    .tls = str_eq(u->scheme, "https") };
    struct client_ask ask = { .method = q->method,
                              .path_query = u->path_query,
                              .extra = q->extra,
                              .body = q->body,
                              .len = q->len };
    struct client *client;
    int rc;

    if (target.tls) {
        target.trust = tls_client_new(NULL, q->pin, q->insecure, err);
        if (!target.trust)
            return -1;
    }
    client = client_new(&target);
    rc = client_request(client, &ask, status_out, answer, d, err);
    client_free(client);
    tls_client_free(target.trust);
    return rc;
}

static int post_message(const struct deliver_config *c, const struct deliver_message *m,
                        const struct deadline *d, bool *permanent_out, struct err *err)
{
    AUTO(url_done) struct url u = { 0 };
    AUTO(free_str) char *body = body_of(m);
    AUTO(buf_done) struct buf extra = BUF_INIT(0), answer = BUF_INIT(ANSWER_MAX_BYTES);
    int status = 0;

    *permanent_out = false;
    if (!url_parse(c->to, &u) || (c->server && !c->secret)) {
        *permanent_out = true;
        (void)err_set(err, DELIVER_FAILED);
        return err_detail(err,
                          c->server && !c->secret
                              ? "webhook-secret names no secret; nothing is sent unsigned"
                              : "webhook-url is no address of HTTP");
    }
    buf_addf(&extra, "Content-Type: application/json\r\nX-Serai-Delivery: %s\r\n", m->uuid);
    if (c->secret)
        add_signature(&extra, c->secret, body);
    if (request(&u,
                &(struct request){ .method = "POST",
                                   .extra = buf_str(&extra),
                                   .body = body,
                                   .len = strlen(body),
                                   .pin = c->pin },
                &status, &answer, d, err)
        != 0)
        return -1;
    if (status >= 200 && status < 300)
        return 0;
    *permanent_out = status >= 400 && status < 500 && status != 408 && status != 429;
    (void)err_set(err, DELIVER_FAILED);
    return err_detail(err, "%s:%u answered %d", u.host, u.port, status);
}

const struct deliver_channel_ops deliver_webhook = { "webhook", load, post_message };

/* ---- calls -------------------------------------------------------------------------------------------- */

bool deliver_verifies(void)
{
    struct ref ref;
    const struct pool_rec *pool;
    bool on;

    db_lock();
    ref = db_pool_ref();
    pool = db_get(CLASS_POOL, &ref);
    on = !pool || pool->tls_verification_enabled;
    db_unlock();
    return on;
}

int op_pool_send_test_post(struct call *call, const struct pool_send_test_post_args *a,
                           const char **result, struct err *err)
{
    static char https[] = "https", root[] = "/";
    struct url u = { .scheme = https, .path_query = root };
    AUTO(free_str) char *host = NULL, *port = str_fmt("%lld", (long long)a->port);
    AUTO(buf_done) struct buf answer = BUF_INIT(ANSWER_MAX_BYTES);
    AUTO(err_done) struct err why = { 0 };
    struct deadline d = deadline_sooner(&call->deadline, 30 * US_PER_SEC);
    int status = 0;

    if (a->port < 1 || a->port > 65535)
        return err_set(err, ERR_INVALID_VALUE, "port", port);
    if (strchr(a->host, ':') || !deliver_host_port(a->host, 443, &host, &u.port))
        return err_set(err, ERR_INVALID_VALUE, "host", a->host);
    u.host = host;
    u.port = (unsigned)a->port;
    if (request(&u,
                &(struct request){ .method = "POST",
                                   .extra = "Content-Type: text/plain\r\n",
                                   .body = a->body,
                                   .len = strlen(a->body),
                                   .insecure = !deliver_verifies() },
                &status, &answer, &d, &why)
        == 0) {
        str_put(result, buf_str(&answer));
        return 0;
    }
    if (why.detail && strstr(why.detail, "not trusted"))
        (void)err_set(err, ERR_SSL_VERIFY_ERROR, why.detail);
    else if (why.detail && str_starts(why.detail, "cannot connect"))
        (void)err_set(err, ERR_CANNOT_CONTACT_HOST, a->host);
    else
        (void)err_set(err, ERR_TLS_CONNECTION_FAILED, a->host, port);
    return err_detail(err, "%s", why.detail ? why.detail : why.code);
}

static int keep(void *arg, const void *p, size_t n)
{
    struct buf *b = arg;

    buf_add(b, p, n);
    return buf_overflow(b) ? -1 : 0;
}

static const char *option(const struct host_bugreport_upload_args *a, const char *key)
{
    const struct ty *ty = schema_classes[CLASS_HOST].fields[F_HOST_OTHER_CONFIG].ty;
    size_t i = map_find(ty, &a->options, &key);

    return i == SIZE_MAX ? NULL : a->options.v[i].val;
}

/* The address, with the name of the file behind a folder. Given. */
static char *upload_path(const struct url *u, const char *name, const char *stamp)
{
    struct buf path = BUF_INIT(0);

    buf_add_str(&path, u->path_query);
    if (str_ends(u->path_query, "/")) {
        AUTO(free_str)
        char *own = str_fmt("%s-%s.tar.bz2", host_ctx.inventory.hostname, stamp);

        url_encode(&path, name && *name ? name : own);
    }
    return buf_take(&path);
}

int op_host_bugreport_upload(struct call *call, const struct host_bugreport_upload_args *a,
                             struct err *err)
{
    AUTO(url_done) struct url u = { 0 };
    AUTO(buf_done)
    struct buf bundle = BUF_INIT(BUNDLE_MAX_BYTES), answer = BUF_INIT(ANSWER_MAX_BYTES);
    AUTO(err_done) struct err why = { 0 };
    struct deadline d = deadline_sooner(&call->deadline, 600 * US_PER_SEC);
    const char *proxy = option(a, "http_proxy");
    char *path, stamp[20];
    int status = 0;

    if (proxy && *proxy)
        return err_set(err, ERR_VALUE_NOT_SUPPORTED, "http_proxy", proxy,
                       "the upload goes straight to its address");
    if (!url_parse(a->url, &u))
        return err_set(err, ERR_INVALID_VALUE, "url", "not an address of HTTP");
    clock_iso(clock_wall_us(), stamp);
    stamp[8] = '\0';
    if (report_write(NULL, stamp, REPORT_TAR_BZ2, keep, &bundle, err) != 0)
        return -1;
    path = upload_path(&u, option(a, "filename"), stamp);
    free(u.path_query);
    u.path_query = path;
    if (request(&u,
                &(struct request){ .method = "PUT",
                                   .extra = "Content-Type: application/x-bzip2\r\n",
                                   .body = bundle.data,
                                   .len = bundle.len,
                                   .insecure = !deliver_verifies() },
                &status, &answer, &d, &why)
        == 0) {
        if (status >= 200 && status < 300)
            return 0;
        (void)err_detail(&why, "%s:%u answered %d", u.host, u.port, status);
    }
    return err_set(err, ERR_SYSTEM_STATUS_RETRIEVAL_FAILED,
                   why.detail ? why.detail : "the upload failed");
}
