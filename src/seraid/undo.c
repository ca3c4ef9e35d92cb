/* SPDX-License-Identifier: Apache-2.0 */
/* A change of configuration is taken back by the calls that make such changes, through dispatch, in the caller's session: so
 * the caller's role, the checks of each call and the audit log are the ordinary ones. First all fields are looked at, then
 * the calls are made; when one is refused, those before it are taken back too. Runs on a worker, declared blocked. */
#include <stdlib.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/vec.h"
#include "ops/past.h"
#include "seraid/dispatch.h"
#include "seraid/undo_value.h"

/* One call to make, and the one that would take it back. */
struct step {
    char *method;
    json_t *value, *before;
};

struct plan {
    VEC(struct step) v;
};

static void plan_done(struct plan *p)
{
    for (size_t i = 0; i < p->v.n; i++) {
        free(p->v.v[i].method);
        json_decref(p->v.v[i].value);
        json_decref(p->v.v[i].before);
    }
    vec_done(&p->v);
}

static int refuse(struct err *err, const char *fmt, ...) PRINTF(2, 3);

static int refuse(struct err *err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    AUTO(free_str) char *why = str_vfmt(fmt, ap);
    va_end(ap);
    return err_set(err, ERR_OPERATION_NOT_ALLOWED, why);
}

/* The plan */

/* A call set_FIELD(self, value), implicit or not. */
static const struct call_def *setter(const struct past_change *c, const struct field_def *f)
{
    AUTO(free_str) char *name = str_fmt("set_%s", f->name);
    const struct call_def *def = schema_class_call(&schema_classes[c->cls], name);

    if (!def || def->life == LIFE_REMOVED || def->n_params != 2
        || def->params[0].ty->kind != TY_REF || def->params[0].ty->cls != c->cls
        || def->params[1].ty != f->ty)
        return NULL;
    return def;
}

static json_t *present(const struct past_change *c, const struct field_def *f)
{
    AUTO(buf_done) struct buf text = BUF_INIT(0);
    json_t *now = NULL;
    const void *rec;

    db_lock();
    rec = db_get(c->cls, &c->ref);
    if (rec)
        enc_value(&text, ENC_JSON, f->ty, record_field(f, rec));
    db_unlock();
    if (rec)
        now = json_loadb(buf_str(&text), text.len, JSON_DECODE_ANY, NULL);
    return now;
}

static int plan_field(const struct past_change *c, const char *name, const json_t *pair,
                      struct plan *out, struct err *err)
{
    const struct class_def *cls = &schema_classes[c->cls];
    const struct field_def *f = schema_field(cls, name);
    const struct call_def *def = f ? setter(c, f) : NULL;
    json_t *now;
    struct step s = { 0 };

    if (!def)
        return refuse(err,
                      "No call sets %s.%s: what made the change has to be undone by hand.",
                      cls->name, name);
    now = present(c, f);
    if (!now) {
        char ref[REF_TEXT_SIZE];

        ref_text(&c->ref, ref);
        return err_set(err, ERR_HANDLE_INVALID, cls->name, ref);
    }
    s.value = undo_value(f->ty, json_array_get(pair, 0), json_array_get(pair, 1), now);
    s.before = now;
    if (!s.value) {
        json_decref(now);
        return refuse(err, "%s.%s has changed since: undo the later change first.",
                      cls->name, name);
    }
    s.method = str_dup(schema_call_name(def));
    vec_push(&out->v, s);
    return 0;
}

static int plan_all(const struct past_change *c, const char *only, struct plan *out,
                    struct err *err)
{
    const char *name;
    json_t *pair;

    if (c->kind == STORE_CREATE)
        return refuse(err, "The change made the object: destroy it instead.");
    if (c->kind == STORE_DESTROY)
        return refuse(err, "The change destroyed the object: what it held is gone.");
    json_object_foreach(c->changes, name, pair)
    {
        if (*only && !str_eq(name, only))
            continue;
        if (plan_field(c, name, pair, out, err) != 0)
            return -1;
    }
    if (out->v.n == 0)
        return refuse(err, "The change did not touch that field.");
    return 0;
}

/* The calls */

static int make_call(const struct call *call, const struct past_change *c,
                     const char *method, json_t *value, struct err *err)
{
    struct dispatch_peer peer = { .ip = call->client_ip,
                                  .user_agent = call->user_agent,
                                  .local_trusted = call->local_trusted };
    char session[REF_TEXT_SIZE], self[REF_TEXT_SIZE];
    json_t *params, *answer = NULL;
    int rc;

    ref_text(&call->session.ref, session);
    ref_text(&c->ref, self);
    params = json_pack("[ssO]", session, self, value);
    rc = dispatch_call(method, params, &peer, &answer, err);
    json_decref(params);
    json_decref(answer);
    return rc;
}

/* Limits that bound each other may fit in one order only: whatever is refused is tried again after the others. */
static int carry_out(const struct call *call, const struct past_change *c, struct plan *p,
                     struct err *err)
{
    size_t done = 0;
    bool moved = true;

    while (done < p->v.n && moved) {
        moved = false;
        for (size_t i = done; i < p->v.n; i++) {
            AUTO(err_done) struct err why = { 0 };
            struct step s = p->v.v[i];

            if (make_call(call, c, s.method, s.value, &why) == 0) {
                p->v.v[i] = p->v.v[done];
                p->v.v[done++] = s;
                moved = true;
            } else {
                err_done(err);
                err_move(err, &why);
            }
        }
    }
    if (done == p->v.n) {
        err_done(err);
        return 0;
    }
    while (done-- > 0) {
        AUTO(err_done) struct err ignored = { 0 };

        if (make_call(call, c, p->v.v[done].method, p->v.v[done].before, &ignored) != 0)
            log_warn("an undo that failed half-way leaves %s: %s", p->v.v[done].method,
                     ignored.code);
    }
    return -1;
}

int op_serai_undo(struct call *call, const struct serai_undo_args *a,
                  struct set_string *result, struct err *err)
{
    AUTO(past_change_done) struct past_change c;
    AUTO(plan_done) struct plan p = { 0 };

    if (past_change(a->change, &c, err) != 0 || plan_all(&c, a->field, &p, err) != 0
        || carry_out(call, &c, &p, err) != 0)
        return -1;
    for (size_t i = 0; i < p.v.n; i++) {
        const char *name = p.v.v[i].method;

        (void)set_add(call->def->result, result, &name);
    }
    return 0;
}
