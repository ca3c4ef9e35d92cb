/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions of plain HTTP requests. Keeps nothing between requests. */
#include "seraid/auth.h"

#include <stdlib.h>
#include <string.h>

#include "api/errors.h"
#include "base/log.h"
#include "model/task.h"
#include "seraid/explain.h"

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

void auth_refuse(struct exchange *x, const struct auth *a, int status,
                 const struct err *err)
{
    AUTO(buf_done) struct buf words = BUF_INIT(0);

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

static int find_session(struct exchange *x, struct auth *a, struct err *err)
{
    AUTO(free_str) char *cookie = http_cookie(x->req, "session_id");
    const char *query = url_param(&x->req->query, "session_id");
    AUTO(free_str) char *user = NULL;
    AUTO(wipe_str) char *password = NULL;

    if (cookie || query)
        return session_find(cookie ? cookie : query, &a->session, err);
    if (!http_basic_auth(x->req, &user, &password))
        return err_set(err, ERR_SESSION_AUTHENTICATION_FAILED, "",
                       "no session and no password given");
    if (session_login(user, password, http_header(x->req, "User-Agent"), conn_peer(x->conn),
                      &a->session, err)
        != 0)
        return -1;
    a->temporary = true;
    return 0;
}

int auth_begin(struct exchange *x, uint8_t roles, const char *permission, struct auth *out)
{
    AUTO(err_done) struct err err = { 0 };
    struct auth a = { 0 };

    find_task(x, &a);
    if (find_session(x, &a, &err) != 0) {
        auth_refuse(x, &a, 401, &err);
        return -1;
    }
    if (!a.session.local_superuser && !(a.session.roles & roles)) {
        (void)err_set(&err, ERR_RBAC_PERMISSION_DENIED, permission,
                      "No permission in user session");
        auth_refuse(x, &a, 403, &err);
        auth_done(&a);
        return -1;
    }
    *out = a;
    return 0;
}

void auth_done(struct auth *a)
{
    AUTO(err_done) struct err err = { 0 };

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
