/* SPDX-License-Identifier: Apache-2.0 */
/* The walk of every call, in an order that gives nothing away: is the session good, may it call this (by name alone),
 * do the arguments fit, does the object exist, may the operation start. Only then does an operation run. What it shows is
 * durable before it is answered. Runs on worker threads (answers) and task threads (Async). */
#include "seraid/dispatch.h"

#include <stdlib.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/ops_lock.h"
#include "model/view.h"
#include "ops/ops.h"
#include "seraid/audit_call.h"
#include "seraid/bind.h"
#include "seraid/calls.h"
#include "seraid/explain_op.h"
#include "seraid/gate.h"
#include "seraid/generic.h"
#include "seraid/pool.h"

#define CALL_MAX_US \
    (24 * 3600 * US_PER_SEC) /* operations have shorter deadlines of their own */

static struct pool *task_pool; /* set before the first thread that reads it starts */

void dispatch_init(struct pool *tasks)
{
    task_pool = tasks;
}

/* Logging */

/* A call that a read-only user may make changes nothing; the logins are worth a line. */
static bool is_read(const struct call_def *def)
{
    if (def->kind != CALL_KIND_EXPLICIT)
        return def->kind <= CALL_KIND_GET_FIELD;
    return !def->no_session && (def->roles & ROLE_READ_ONLY) != 0;
}

static void log_call(const struct call *call, const struct ref *self, int64_t began_us,
                     const struct err *err)
{
    const struct call_def *def = call->def;
    bool bug = err->code && str_eq(err->code, ERR_INTERNAL_ERROR);
    enum log_level level = bug ? LOG_ERROR : is_read(def) ? LOG_DEBUG : LOG_INFO;
    int64_t us = clock_now_us() - began_us;
    char object[REF_TEXT_SIZE + 1] = "";
    AUTO(free_str) char *why = NULL;

    if (!log_enabled(level))
        return;
    if (self && def->cls != CLASS_SESSION) {
        object[0] = ' ';
        ref_text(self, object + 1);
    }
    if (err->code)
        why = err_text(err);
    log_write(level, "%s%s%s by %s from %s: %s, %lld.%03lld ms",
              call->async ? "Async." : "", schema_call_name(def), object,
              call->session.user[0] ? call->session.user : "-",
              call->client_ip ? call->client_ip : "-", why ? why : "done",
              (long long)(us / 1000), (long long)(us % 1000));
}

/* A call that never became one: its method or session is not good. The session's reference is not written. */
static void log_refused(const struct rpc_req *req, const struct dispatch_peer *peer,
                        const struct err *err)
{
    log_debug("%s from %s refused: %s", req->method, peer->ip ? peer->ip : "-", err->code);
}

/* Checks */

static int find_session(const struct rpc_req *req, struct session *out, struct err *err)
{
    const json_t *text = json_array_get(req->params, 0);

    if (!json_is_string(text))
        return err_set(err, ERR_SESSION_INVALID, "");
    return session_find(json_string_value(text), out, err);
}

static int object_exists(const struct ref *self, enum class_id cls, struct err *err)
{
    bool found;

    db_lock();
    found = view_get(cls, self) || call_get(cls, self, err);
    db_unlock();
    return found ? 0 : -1;
}

/* Execution */

/* A call that writes its answer itself does so from the start of a buffer of its own. */
static int invoke_raw(struct call *call, void *args, struct err *err)
{
    AUTO(buf_done) struct buf raw = BUF_INIT(0);
    struct buf *out = call->out;
    int rc;

    call->out = &raw;
    rc = ops_table[call->def->id](call, args, NULL, err);
    call->out = out;
    if (rc != 0)
        return -1;
    if (raw.len == 0)
        return err_set(err, ERR_INTERNAL_ERROR, "no answer written");
    buf_add(out, raw.data, raw.len);
    return 0;
}

static int invoke_explicit(struct call *call, void *args, struct err *err)
{
    const struct ty *ty = call->def->result;
    void *result = NULL;
    int rc;

    if (call->def->raw_result)
        return invoke_raw(call, args, err);
    if (ty->size > 0) {
        result = mem_alloc(ty->size);
        value_init(ty, result);
    }
    rc = ops_table[call->def->id](call, args, result, err);
    if (rc == 0)
        enc_value(call->out, call->enc, ty, result);
    if (result)
        value_done(ty, result);
    free(result);
    return rc;
}

static int invoke(struct call *call, void *args, struct err *err)
{
    bool blocked;
    int rc;

    if (call->def->kind != CALL_KIND_EXPLICIT)
        return generic_call(call, args, err);
    if (call->async || (is_read(call->def) && !call->def->raw_result))
        return invoke_explicit(call, args, err);
    blocked = pool_blocked_begin();
    if (!blocked)
        return err_set(err, ERR_TOO_BUSY);
    rc = invoke_explicit(call, args, err);
    pool_blocked_end();
    return rc;
}

static int execute(struct call *call, void *args, struct err *err)
{
    const struct call_def *def = call->def;
    const struct ref *self = bind_self(def, args), *held = NULL;
    enum class_id held_cls = CLASS_NONE;
    int rc;

    if (self && def->kind == CALL_KIND_EXPLICIT && object_exists(self, def->cls, err) != 0)
        return -1;
    if (def->op && !ops_absences[def->id] && def->n_params > 0
        && def->params[0].ty->kind == TY_REF) {
        held = (const void *)((const char *)args + def->params[0].offset);
        held_cls = def->params[0].ty->cls;
        if (op_begin(held_cls, held, def->op, &call->task, err) != 0)
            return -1;
    }
    rc = invoke(call, args, err);
    if (held)
        op_end(held_cls, held, &call->task);
    return rc;
}

/* Execute, and wait until all that the answer shows is durable. */
static int execute_durably(struct call *call, void *args, struct err *err)
{
    struct err store = { 0 };
    int64_t began_us = clock_now_us();
    int rc;

    db_seen_reset();
    rc = execute(call, args, err);
    if (db_wait_seen(&store) != 0) {
        err_done(err);
        err_move(err, &store);
        rc = -1;
    }
    calls_count(call->def, clock_now_us() - began_us, rc != 0);
    log_call(call, bind_self(call->def, args), began_us, err);
    audit_call_end(call, args, began_us, err);
    return rc;
}

/* Async */

struct task_job {
    struct call call;
    void *args;
    struct buf out;
    char *ip, *user_agent;
};

static void run_task(void *arg)
{
    struct task_job *j = arg;
    AUTO(err_done) struct err err = { 0 };
    bool is_void = j->call.def->result->kind == TY_VOID;

    if (execute_durably(&j->call, j->args, &err) == 0)
        task_end(&j->call.task, is_void ? "" : buf_str(&j->out), &err);
    else
        task_end(&j->call.task, "", &err);
    bind_free(j->call.def, j->args);
    buf_done(&j->out);
    free(j->ip);
    free(j->user_agent);
    free(j);
}

/* args: taken on success. Answers the task. */
static int start_task(const struct call *like, void *args, struct err *err)
{
    AUTO(free_str) char *name = str_fmt("Async.%s", schema_call_name(like->def));
    struct task_job *j;
    struct ref task;

    if (task_start(name, &like->session, NULL, &task, err) != 0)
        return -1;
    j = mem_alloc(sizeof(*j));
    j->call = *like;
    j->ip = str_dup(like->client_ip);
    j->user_agent = str_dup(like->user_agent);
    j->args = args;
    j->call.client_ip = j->ip;
    j->call.user_agent = j->user_agent;
    j->call.task = task;
    j->call.async = true;
    j->call.deadline = deadline_in_cancel(CALL_MAX_US, task_cancel_fd(&task));
    j->call.enc = ENC_XML;
    j->call.out = &j->out;
    j->call.pieces = NULL;
    pool_submit(task_pool, run_task, j);
    enc_ref(like->out, like->enc, &task);
    return 0;
}

/* The walk */

static int bind(const struct call_def *def, const struct rpc_req *req, void **args_out,
                struct err *err)
{
    const json_t *record;

    if (bind_arity(def, json_array_size(req->params), err) != 0)
        return -1;
    record = json_array_get(req->params, 1);
    if (def->kind == CALL_KIND_CREATE && json_is_object(record)
        && !ops_hooks(def->cls)->create && bind_required(def, record, err) != 0)
        return -1;
    return bind_args(def, req->params, args_out, err);
}

/* The call's row, its session, its role, that of a map's key: all that is looked at before the arguments. */
static int admit(const struct rpc_req *req, struct call *call, bool *async_out,
                 struct err *err)
{
    call->def = bind_method(req->method, async_out);
    if (!call->def && json_array_size(req->params) == 0)
        return err_set(err, ERR_MESSAGE_METHOD_UNKNOWN, req->method);
    if ((!call->def || !call->def->no_session)
        && find_session(req, &call->session, err) != 0)
        return -1;
    if (!call->def)
        return err_set(err, ERR_MESSAGE_METHOD_UNKNOWN, req->method);
    if (call->def->no_session)
        return 0;
    if (gate_call(call->def, &call->session, err) != 0)
        return -1;
    return gate_key_given(call->def, &call->session, req->params, err);
}

static int serve(const struct rpc_req *req, const struct dispatch_peer *peer,
                 struct buf *out, struct pieces *pieces, struct err *err)
{
    struct call call = {
        .task = ref_new(),
        .deadline = deadline_in(CALL_MAX_US),
        .enc = req->kind == RPC_XML ? ENC_XML : ENC_JSON,
        .out = out,
        .pieces = pieces,
        .client_ip = peer->ip,
        .user_agent = peer->user_agent,
        .local_trusted = peer->local_trusted,
    };
    bool async;
    void *args;
    int rc;

    if (admit(req, &call, &async, err) != 0) {
        audit_call_refused(&call, req->method, err);
        return -1;
    }
    if (call.def->life == LIFE_REMOVED)
        return err_set(err, ERR_MESSAGE_REMOVED);
    if (bind(call.def, req, &args, err) != 0)
        return -1;
    if (gate_args(call.def, &call.session, args, err) != 0) {
        audit_call_refused(&call, req->method, err);
        bind_free(call.def, args);
        return -1;
    }
    rc = audit_call_begin(&call, req->params, err);
    if (rc == 0 && async) {
        rc = start_task(&call, args, err);
        if (rc == 0)
            return 0;
        audit_call_end(&call, args, clock_now_us(), err);
    } else if (rc == 0) {
        rc = execute_durably(&call, args, err);
    }
    bind_free(call.def, args);
    return rc;
}

static void list_methods(const struct rpc_req *req, struct buf *out)
{
    enum enc enc = req->kind == RPC_XML ? ENC_XML : ENC_JSON;
    bool first = true;

    enc_array_begin(out, enc);
    enc_item_begin(out, enc, &first);
    enc_string(out, enc, "system.listMethods");
    for (size_t i = 0; i < CALL_COUNT; i++) {
        if (schema_calls[i].life == LIFE_REMOVED
            || str_starts(schema_classes[schema_calls[i].cls].name, "serai_"))
            continue; /* clients fetch every class with get_all_records: ours are unknown to them */
        enc_item_begin(out, enc, &first);
        enc_string(out, enc, schema_call_name(&schema_calls[i]));
    }
    enc_array_end(out, enc);
}

static void answer_error(const struct rpc_req *req, const struct err *err, struct buf *out)
{
    AUTO(buf_done) struct buf extra = BUF_INIT(0);

    explain_members(&extra, err);
    rpc_answer_error(out, req->kind, req->id, err->code, (const char *const *)err->params,
                     err->n_params, buf_str(&extra));
}

void dispatch_rpc(const struct rpc_req *req, const struct dispatch_peer *peer,
                  struct buf *out, struct pieces *pieces)
{
    AUTO(err_done) struct err err = { 0 };
    bool bare = str_eq(req->method, "system.listMethods");

    rpc_answer_begin(out, req->kind, bare);
    if (bare) {
        list_methods(req, out);
    } else if (serve(req, peer, out, pieces, &err) != 0) {
        log_refused(req, peer, &err);
        buf_clear(out);
        pieces_done(pieces);
        answer_error(req, &err, out);
        return;
    }
    rpc_answer_end(out, req->kind, bare, req->id);
}

int dispatch_call(const char *method, json_t *params, const struct dispatch_peer *peer,
                  json_t **result_out, struct err *err)
{
    AUTO(buf_done) struct buf out = BUF_INIT(0);
    AUTO(free_str) char *name = str_dup(method);
    struct rpc_req req = { .kind = RPC_JSON2, .method = name, .params = params };
    json_t *result;

    if (serve(&req, peer, &out, NULL, err) != 0) {
        log_refused(&req, peer, err);
        return -1;
    }
    result = json_loadb(buf_str(&out), out.len, JSON_DECODE_ANY, NULL);
    if (!result)
        return err_set(err, ERR_INTERNAL_ERROR, "an answer that is no JSON");
    *result_out = result;
    return 0;
}
