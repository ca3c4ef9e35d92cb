/* SPDX-License-Identifier: Apache-2.0 */
/* Measurements by HTTP: tables of what is new (/rrd_updates) and whole stores (/host_rrd, /vm_rrd, /sr_rrd), as XML or, with
 * json=true, as JSON. Whoever may read may read these. Runs on a worker; an answer is built whole, in memory. */
#include <string.h>
#include <strings.h>

#include "api/errors.h"
#include "base/mem.h"
#include "base/parse.h"
#include "ops/stats.h"
#include "seraid/auth.h"
#include "seraid/handlers.h"
#include "seraid/query.h"

#define ROLES                                                                   \
    (ROLE_POOL_ADMIN | ROLE_POOL_OPERATOR | ROLE_VM_POWER_ADMIN | ROLE_VM_ADMIN \
     | ROLE_VM_OPERATOR | ROLE_READ_ONLY)
#define EPOCH_MAX INT64_C(100000000000)

static int bad_argument(const char *name, const char *value, struct err *err)
{
    return err_set(err, ERR_INVALID_VALUE, name, value);
}

/* An argument that may be absent (then *out stays). */
static int number_arg(struct exchange *x, const char *name, int64_t min, int64_t *out,
                      bool *given_out, struct err *err)
{
    AUTO(free_str) char *text = http_arg(x->req, name);
    double v;

    *given_out = text != NULL;
    if (!text)
        return 0;
    /* Clients divide milliseconds: "1700000000.5" */
    if (!parse_double(text, &v) || !(v >= (double)min && v <= (double)EPOCH_MAX))
        return bad_argument(name, text, err);
    *out = (int64_t)v;
    return 0;
}

static int cf_arg(struct exchange *x, struct rrd_text_query *q, struct err *err)
{
    static const char *const names[RRD_CF_COUNT] = { "AVERAGE", "MIN", "MAX" };
    AUTO(free_str) char *text = http_arg(x->req, "cf");

    for (enum rrd_cf cf = 0; text && cf < RRD_CF_COUNT; cf++) {
        if (strcasecmp(text, names[cf]) == 0) {
            q->cf = cf;
            q->has_cf = true;
            return 0;
        }
    }
    return text ? bad_argument("cf", text, err) : 0;
}

static void answer(struct exchange *x, enum rrd_text how, const struct buf *text)
{
    serve_answer(x, &(struct http_resp){
                        .status = 200,
                        .content_type = how == RRD_JSON ? "application/json" : "text/xml",
                        .extra = "Cache-Control: no-cache, no-store\r\n"
                                 "Access-Control-Allow-Origin: *\r\n",
                        .body = buf_str(text),
                        .body_len = text->len });
}

static int updates(struct exchange *x, enum rrd_text how, struct buf *out, struct err *err)
{
    AUTO(free_str) char *vm = http_arg(x->req, "vm_uuid");
    AUTO(free_str) char *sr = http_arg(x->req, "sr_uuid");
    struct stats_tables t = { .vm_uuid = vm, .sr_uuid = sr };
    bool given;

    if (query_bool(x, "host", &t.host, err) != 0
        || number_arg(x, "start", -EPOCH_MAX, &t.query.start, &t.query.has_start, err) != 0
        || number_arg(x, "interval", 0, &t.query.interval, &given, err) != 0
        || cf_arg(x, &t.query, err) != 0)
        return -1;
    stats_updates(&t, how, out);
    return 0;
}

static int whole(struct exchange *x, enum class_id cls, enum rrd_text how, struct buf *out,
                 struct err *err)
{
    AUTO(free_str) char *uuid = http_arg(x->req, "uuid");

    if (cls == CLASS_HOST) {
        struct ref host;
        const struct host_rec *rec;

        free_str(&uuid);
        db_lock();
        host = db_host_ref();
        rec = db_get(CLASS_HOST, &host);
        uuid = str_dup(rec ? rec->uuid : "");
        db_unlock();
    }
    if (stats_whole(cls, uuid ? uuid : "", how, out))
        return 0;
    return err_set(err, ERR_UUID_INVALID, schema_classes[cls].name, uuid ? uuid : "");
}

/* cls: CLASS_NONE: the table of several. */
static void run(struct exchange *x, enum class_id cls, const char *permission)
{
    AUTO(err_done) struct err err = { 0 };
    AUTO(auth_done) struct auth a = { 0 };
    AUTO(buf_done) struct buf text = BUF_INIT(0);
    bool json = false;
    enum rrd_text how;
    int rc;

    if (auth_begin(x, ROLES, permission, &a) != 0)
        return;
    rc = query_bool(x, "json", &json, &err);
    how = json ? RRD_JSON : RRD_XML;
    if (rc == 0)
        rc = cls == CLASS_NONE ? updates(x, how, &text, &err)
                               : whole(x, cls, how, &text, &err);
    if (rc == 0)
        answer(x, how, &text);
    else
        auth_refuse(x, &a, str_eq(err.code, ERR_UUID_INVALID) ? 404 : 400, &err);
}

void http_rrd_updates(struct exchange *x)
{
    run(x, CLASS_NONE, "http/get_rrd_updates");
}

void http_rrd_host(struct exchange *x)
{
    run(x, CLASS_HOST, "http/get_host_rrd");
}

void http_rrd_vm(struct exchange *x)
{
    run(x, CLASS_VM, "http/get_vm_rrd");
}

void http_rrd_sr(struct exchange *x)
{
    run(x, CLASS_SR, "http/get_sr_rrd");
}
