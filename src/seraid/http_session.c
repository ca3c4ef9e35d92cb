/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions of the web console: in a cookie that scripts of the page cannot read. POST /web/login makes one, POST /web/logout
 * ends it, GET /web/session tells whose it is. In an RPC request "" as the session stands for the cookie's
 * (http_session_fill()). Runs on a worker. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "api/errors.h"
#include "base/mem.h"
#include "model/explain.h"
#include "model/rbac.h"
#include "seraid/dispatch.h"
#include "seraid/handlers.h"
#include "seraid/origin.h"

#define ORIGINATOR     "serai-web"
#define LOGIN_MAX      4096
#define NO_STORE       "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
#define COOKIE_OPTIONS "; Path=/; HttpOnly; Secure; SameSite=Strict"

static void release_json(json_t **v)
{
    json_decref(*v);
}

static void wipe_buf(struct buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->cap);
    buf_done(b);
}

/* v: taken. */
static void answer_json(struct exchange *x, int status, const char *extra, json_t *v)
{
    AUTO(free_str) char *text = json_dumps(v, JSON_COMPACT);

    json_decref(v);
    serve_answer(x, &(struct http_resp){ .status = status,
                                         .content_type = "application/json",
                                         .extra = extra,
                                         .body = text,
                                         .body_len = strlen(text) });
}

static void answer_error(struct exchange *x, int status, const struct err *err)
{
    AUTO(buf_done) struct buf words = BUF_INIT(0);
    json_t *params = json_array();

    for (size_t i = 0; i < err->n_params; i++)
        json_array_append_new(params, json_string(err->params[i]));
    explain_error(&words, err);
    answer_json(x, status, NO_STORE,
                json_pack("{s:s, s:o, s:s}", "error", err->code, "params", params,
                          "explain", buf_str(&words)));
}

static json_t *roles_of(const struct session *s)
{
    json_t *out = json_array();

    for (unsigned bit = 1; bit < 256; bit <<= 1) {
        const char *name = (s->roles & bit) != 0 ? rbac_role_name((uint8_t)bit) : NULL;

        if (name)
            json_array_append_new(out, json_string(name));
    }
    return out;
}

static struct dispatch_peer peer_of(const struct exchange *x)
{
    return (struct dispatch_peer){ .ip = conn_peer(x->conn),
                                   .user_agent = http_header(x->req, "User-Agent") };
}

/* What the session may call, as names; null: everything. Given. */
static json_t *permissions_of(struct exchange *x, const struct session *s)
{
    AUTO(err_done) struct err err = { 0 };
    struct dispatch_peer peer = peer_of(x);
    char ref[REF_TEXT_SIZE];
    json_t *out = NULL;

    if (s->local_superuser)
        return json_null();
    ref_text(&s->ref, ref);
    AUTO(release_json) json_t *params = json_pack("[s, s]", ref, ref);
    if (dispatch_call("session.get_rbac_permissions", params, &peer, &out, &err) != 0)
        return json_array(); /* it has just ended */
    return out;
}

static void answer_session(struct exchange *x, const struct session *s, const char *extra)
{
    answer_json(x, 200, extra,
                json_pack("{s:s, s:o, s:b, s:o, s:s}", "user", s->user, "roles",
                          roles_of(s), "superuser", s->local_superuser, "permissions",
                          permissions_of(x, s), "version", SERAI_VERSION));
}

/* user and password of {"username": ..., "password": ...}: the parameters of a login. Given; NULL: not that. */
static json_t *login_params(const struct buf *body)
{
    AUTO(release_json) json_t *v = json_loadb(buf_str(body), body->len, 0, NULL);
    const char *user, *password;

    if (!v || json_unpack(v, "{s:s, s:s}", "username", &user, "password", &password) != 0)
        return NULL;
    return json_pack("[s, s, s, s]", user, password, "1.0", ORIGINATOR);
}

void http_session_login(struct exchange *x)
{
    AUTO(wipe_buf) struct buf body = BUF_INIT(LOGIN_MAX);
    AUTO(err_done) struct err err = { 0 };
    struct dispatch_peer peer = peer_of(x);
    struct session s;
    json_t *ref = NULL;

    if (origin_foreign(x->req)) {
        serve_text(x, 403, NULL, "This request comes from a page of another site.");
        return;
    }
    if (!serve_body(x, &body, NULL))
        return;
    AUTO(release_json) json_t *params = login_params(&body);
    if (!params) {
        serve_text(x, 400, NULL, "A login is {\"username\": ..., \"password\": ...}.");
        return;
    }
    if (dispatch_call("session.login_with_password", params, &peer, &ref, &err) != 0
        || session_find(json_string_value(ref), &s, &err) != 0) {
        answer_error(x, str_eq(err.code, ERR_SESSION_AUTHENTICATION_FAILED) ? 401 : 503,
                     &err);
        json_decref(ref);
        return;
    }
    AUTO(free_str)
    char *extra = str_fmt(NO_STORE "Set-Cookie: " ORIGIN_COOKIE "=%s" COOKIE_OPTIONS "\r\n",
                          json_string_value(ref));
    json_decref(ref);
    answer_session(x, &s, extra);
}

void http_session_logout(struct exchange *x)
{
    AUTO(buf_done) struct buf body = BUF_INIT(LOGIN_MAX);
    AUTO(err_done) struct err err = { 0 };
    AUTO(free_str) char *cookie = http_cookie(x->req, ORIGIN_COOKIE);
    struct dispatch_peer peer = peer_of(x);
    json_t *result = NULL;

    if (!serve_body(x, &body, NULL))
        return;
    if (cookie) {
        AUTO(release_json) json_t *params = json_pack("[s]", cookie);

        if (params && dispatch_call("session.logout", params, &peer, &result, &err) == 0)
            json_decref(result); /* else it was over already */
    }
    answer_json(x, 200,
                NO_STORE "Set-Cookie: " ORIGIN_COOKIE "=" COOKIE_OPTIONS "; Max-Age=0\r\n",
                json_object());
}

void http_session_get(struct exchange *x)
{
    AUTO(err_done) struct err err = { 0 };
    AUTO(free_str) char *cookie = http_cookie(x->req, ORIGIN_COOKIE);
    struct session s;

    if (session_find(cookie ? cookie : "", &s, &err) == 0)
        answer_session(x, &s, NO_STORE);
    else
        answer_error(x, 401, &err);
}

void http_session_fill(const struct http_req *r, json_t *params)
{
    const json_t *first = json_array_get(params, 0);
    AUTO(free_str) char *cookie = NULL;

    if (!json_is_string(first) || *json_string_value(first))
        return;
    cookie = http_cookie(r, ORIGIN_COOKIE);
    if (cookie)
        (void)json_array_set_new(params, 0, json_string(cookie));
}
