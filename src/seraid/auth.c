/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions of plain HTTP requests. Keeps nothing between requests. */
#include "seraid/auth.h"

#include <stdlib.h>
#include <string.h>

#include "api/errors.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/explain.h"
#include "model/rbac.h"
#include "model/task.h"
#include "seraid/audit_call.h"
#include "seraid/origin.h"

static void wipe_str(char **s)
{
    if (*s)
        explicit_bzero(*s, strlen(*s));
    free(*s);
    *s = NULL;
}

static bool is_task(const struct ref *ref)
{
    bool found;

    db_lock();
    found = db_class_of(ref) == CLASS_TASK;
    db_unlock();
    return found;
}

static void find_task(struct exchange *x, struct auth *a)
{
    AUTO(free_str) char *text = http_arg(x->req, "task_id");

    a->has_task = text && ref_parse(text, &a->task) && !ref_is_null(&a->task)
                  && is_task(&a->task);
    if (!a->has_task)
        a->task = REF_NULL;
}

void auth_failed(struct auth *a, const struct err *err)
{
    a->failed = err->code;
}

void auth_refuse(struct exchange *x, struct auth *a, int status, const struct err *err)
{
    AUTO(buf_done) struct buf words = BUF_INIT(0);

    auth_failed(a, err);
    if (a->has_task)
        task_end(&a->task, "", err);
    explain_error(&words, err);
    x->close = true;
    log_info("%s %s from %s: %d %s", x->req->method_text, x->req->path, conn_peer(x->conn),
             status, err->code);
    serve_text(x, status,
               status == 401 ? "WWW-Authenticate: Basic realm=\"Serai\"\r\n" : NULL,
               buf_str(&words));
}

/* The request as the audit log knows callers. */
static struct call caller(const struct exchange *x, const struct auth *a)
{
    return (struct call){ .session = a->session,
                          .client_ip = conn_peer(x->conn),
                          .user_agent = http_header(x->req, "User-Agent"),
                          .local_trusted = conn_local_trusted(x->conn) };
}

static int find_session(struct exchange *x, struct auth *a, const char *permission,
                        struct err *err)
{
    AUTO(free_str) char *cookie = http_cookie(x->req, ORIGIN_COOKIE);
    const char *query = url_param(&x->req->query, "session_id");
    AUTO(free_str) char *user = NULL;
    AUTO(wipe_str) char *password = NULL;

    if (cookie || query)
        return session_find(cookie ? cookie : query, &a->session, err);
    if (!http_basic_auth(x->req, &user, &password))
        return err_set(err, ERR_SESSION_AUTHENTICATION_FAILED, "",
                       "no session and no password given");
    a->temporary = session_login(user, password, http_header(x->req, "User-Agent"),
                                 conn_peer(x->conn), &a->session, err)
                   == 0;
    if (!a->temporary)
        audit_login(&(struct call){ .client_ip = conn_peer(x->conn),
                                    .user_agent = http_header(x->req, "User-Agent") },
                    user, permission, err);
    return a->temporary ? 0 : -1;
}

/* Measurements and pages change nothing and are asked for all the time; what carries a machine's data or controls it
 * is worth a record. */
static bool is_audited(const struct exchange *x, const char *permission)
{
    return (x->req->method != HTTP_GET && x->req->method != HTTP_HEAD)
           || strstr(permission, "export") || strstr(permission, "console")
           || strstr(permission, "audit_log");
}

static int audit_request(struct exchange *x, struct auth *a, const char *permission,
                         struct err *err)
{
    static const char *const names[] = { "vdi", "ref", "uuid", "sr_id", "sr_uuid" };
    struct call who = caller(x, a);
    AUTO(free_str) char *object = NULL;

    if (!is_audited(x, permission))
        return 0;
    for (size_t i = 0; !object && i < ARRAY_SIZE(names); i++)
        object = http_arg(x->req, names[i]);
    return audit_http_begin(&who, permission, object, &a->audit, err);
}

int auth_begin(struct exchange *x, uint8_t roles, const char *permission, struct auth *out)
{
    AUTO(err_done) struct err err = { 0 };
    struct auth a = { 0 };

    find_task(x, &a);
    if (find_session(x, &a, permission, &err) != 0) {
        struct call who = caller(x, &a);

        if (str_eq(err.code, ERR_SESSION_INVALID))
            audit_call_refused(&who, permission, &err);
        auth_refuse(x, &a, 401, &err);
        return -1;
    }
    if (!rbac_allows_door(&a.session, roles, permission)) {
        (void)err_set(&err, ERR_RBAC_PERMISSION_DENIED, permission,
                      "No permission in user session");
        struct call who = caller(x, &a);
        audit_call_refused(&who, permission, &err);
        auth_refuse(x, &a, 403, &err);
        auth_done(&a);
        return -1;
    }
    if (a.has_task && !rbac_owns_task(&a.session, &a.task)) {
        struct call who = caller(x, &a);

        a.has_task = false; /* it is another's: nothing of it changes */
        (void)err_set(&err, ERR_RBAC_PERMISSION_DENIED, RBAC_ANY_TASK,
                      "No permission in user session");
        audit_call_refused(&who, permission, &err);
        auth_refuse(x, &a, 403, &err);
        auth_done(&a);
        return -1;
    }
    if (audit_request(x, &a, permission, &err) != 0) {
        auth_refuse(x, &a, 500, &err);
        auth_done(&a);
        return -1;
    }
    *out = a;
    return 0;
}

void auth_done(struct auth *a)
{
    AUTO(err_done) struct err err = { 0 };

    audit_http_end(a->audit, a->failed);
    a->audit = 0;
    if (a->temporary && session_logout(&a->session.ref, &err) != 0)
        log_debug("ending a session made for one request: %s", err.code);
    a->temporary = false;
}

void auth_refuse_path(struct exchange *x)
{
    AUTO(err_done) struct err err = { 0 };
    struct auth a = { 0 };

    find_task(x, &a);
    if (!a.has_task) {
        serve_text(x, 404, NULL, NULL);
        return;
    }
    (void)err_set(&err, ERR_NOT_IMPLEMENTED, x->req->path);
    auth_refuse(x, &a, 404, &err);
}
