/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of session, task and event: thin doors to model/. */
#include <string.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/mem.h"
#include "model/event.h"
#include "model/rbac.h"
#include "model/session.h"
#include "model/task.h"
#include "ops/call.h"

/* ---- session --------------------------------------------------------------------------------------------- */

int op_session_login_with_password(struct call *call,
                                   const struct session_login_with_password_args *a,
                                   struct ref *result, struct err *err)
{
    struct session s;
    const char *originator = a->originator[0]   ? a->originator
                             : call->user_agent ? call->user_agent
                                                : "";
    int rc = call->local_trusted
                 ? session_login_local(originator, &s, err)
                 : session_login(a->uname, a->pwd, originator,
                                 call->client_ip ? call->client_ip : "", &s, err);
    if (rc == 0)
        *result = s.ref;
    return rc;
}

int op_session_slave_local_login_with_password(
    struct call *call, const struct session_slave_local_login_with_password_args *a,
    struct ref *result, struct err *err)
{
    struct session s;
    if (session_login(a->uname, a->pwd, "local", call->client_ip ? call->client_ip : "", &s,
                      err))
        return -1;
    *result = s.ref;
    return 0;
}

int op_session_logout(struct call *call, const struct session_logout_args *a,
                      struct err *err)
{
    (void)a;
    return session_logout(&call->session.ref, err);
}

int op_session_local_logout(struct call *call, const struct session_local_logout_args *a,
                            struct err *err)
{
    (void)a;
    return session_logout(&call->session.ref, err);
}

int op_session_get_all_subject_identifiers(
    struct call *call, const struct session_get_all_subject_identifiers_args *a,
    struct set_string *result, struct err *err)
{
    (void)call, (void)a, (void)err;
    const struct ty *ty =
        schema_classes[CLASS_SESSION].fields[F_SESSION_RBAC_PERMISSIONS].ty;
    db_lock();
    for (struct db_iter it = db_first(CLASS_SESSION); it.rec; db_next(&it)) {
        const struct session_rec *rec = it.rec;
        if (*rec->auth_user_sid)
            (void)set_add(ty, result, &rec->auth_user_sid);
    }
    db_unlock();
    return 0;
}

int op_session_logout_subject_identifier(
    struct call *call, const struct session_logout_subject_identifier_args *a,
    struct err *err)
{
    return session_logout_subject(a->subject_identifier, &call->session.ref, err);
}

int op_session_change_password(struct call *call,
                               const struct session_change_password_args *a,
                               struct err *err)
{
    if (!call->session.local_superuser)
        return err_set(err, ERR_USER_IS_NOT_LOCAL_SUPERUSER,
                       "only the built-in user has a password here");
    return session_change_password(a->old_pwd, a->new_pwd, err);
}

/* ---- task ------------------------------------------------------------------------------------------------ */

int op_task_create(struct call *call, const struct task_create_args *a, struct ref *result,
                   struct err *err)
{
    struct ref none = REF_NULL;
    if (task_start(a->label, &call->session, &none, result, err))
        return -1;
    struct tx *tx = call_tx(call);
    if (db_get(CLASS_TASK, result))
        tx_set_str(tx, result, CLASS_TASK, F_TASK_NAME_DESCRIPTION, a->description);
    return tx_commit(tx, err);
}

static int need_own(const struct call *call, const struct ref *task, struct err *err)
{
    if (rbac_owns_task(&call->session, task))
        return 0;
    (void)err_set(err, ERR_RBAC_PERMISSION_DENIED, RBAC_ANY_TASK,
                  "No permission in user session");
    return err_detail(err,
                      "the task is another user's, and only a pool operator may do that");
}

int op_task_destroy(struct call *call, const struct task_destroy_args *a, struct err *err)
{
    return need_own(call, &a->self, err) ? -1 : task_destroy(&a->self, err);
}

int op_task_cancel(struct call *call, const struct task_cancel_args *a, struct err *err)
{
    return need_own(call, &a->task, err) ? -1 : task_cancel(&a->task, err);
}

int op_task_set_status(struct call *call, const struct task_set_status_args *a,
                       struct err *err)
{
    if (need_own(call, &a->self, err))
        return -1;
    struct tx *tx = call_tx(call);
    if (db_get(CLASS_TASK, &a->self)) {
        bool ended = a->value != TASK_STATUS_TYPE_PENDING
                     && a->value != TASK_STATUS_TYPE_CANCELLING;
        tx_set_enum(tx, &a->self, CLASS_TASK, F_TASK_STATUS, a->value);
        if (ended)
            tx_set_int(tx, &a->self, CLASS_TASK, F_TASK_FINISHED, clock_wall_us());
    }
    return tx_commit(tx, err);
}

int op_task_set_progress(struct call *call, const struct task_set_progress_args *a,
                         struct err *err)
{
    if (need_own(call, &a->self, err))
        return -1;
    if (!(a->value >= 0 && a->value <= 1)) {
        AUTO(free_str) char *text = str_fmt("%g", a->value);
        return err_set(err, ERR_INVALID_VALUE, "progress", text);
    }
    struct tx *tx = call_tx(call);
    if (db_get(CLASS_TASK, &a->self))
        tx_set(tx, &a->self, CLASS_TASK, F_TASK_PROGRESS, &a->value);
    return tx_commit(tx, err);
}

int op_task_set_result(struct call *call, const struct task_set_result_args *a,
                       struct err *err)
{
    if (need_own(call, &a->self, err))
        return -1;
    struct tx *tx = call_tx(call);
    if (db_get(CLASS_TASK, &a->self))
        tx_set_str(tx, &a->self, CLASS_TASK, F_TASK_RESULT, a->value);
    return tx_commit(tx, err);
}

int op_task_set_error_info(struct call *call, const struct task_set_error_info_args *a,
                           struct err *err)
{
    if (need_own(call, &a->self, err))
        return -1;
    struct tx *tx = call_tx(call);
    if (db_get(CLASS_TASK, &a->self))
        tx_set(tx, &a->self, CLASS_TASK, F_TASK_ERROR_INFO, &a->value);
    return tx_commit(tx, err);
}

/* ---- event ----------------------------------------------------------------------------------------------- */

#define EVENT_TIMEOUT_MAX_S 3600.0

/* A session that ends by the clock ends waiting too. */
static struct deadline until_expiry(const struct session *s, const struct deadline *d)
{
    if (s->expires_us == 0)
        return *d;
    return deadline_sooner(d, MAX(s->expires_us - clock_wall_us(), INT64_C(0)));
}

int op_event_from(struct call *call, const struct event_from_args *a, struct err *err)
{
    double seconds = a->timeout > 0 ? MIN(a->timeout, EVENT_TIMEOUT_MAX_S) : 0;
    struct deadline d = deadline_sooner(&call->deadline,
                                        (int64_t)(seconds * (double)US_PER_SEC));
    d = until_expiry(&call->session, &d);
    return event_from(&call->session, &a->classes, a->token, &d, call->enc, call->out, err);
}

int op_event_inject(struct call *call, const struct event_inject_args *a,
                    const char **result, struct err *err)
{
    (void)call;
    char *token = NULL;
    if (event_inject(a->class, a->ref, &token, err))
        return -1;
    str_give(result, token);
    return 0;
}

int op_event_register(struct call *call, const struct event_register_args *a,
                      struct err *err)
{
    return event_register(&call->session, &a->classes, err);
}

int op_event_unregister(struct call *call, const struct event_unregister_args *a,
                        struct err *err)
{
    return event_unregister(&call->session, &a->classes, err);
}

int op_event_next(struct call *call, const struct event_next_args *a, struct err *err)
{
    (void)a;
    struct deadline d = until_expiry(&call->session, &call->deadline);
    return event_next(&call->session, &d, call->enc, call->out, err);
}

int op_event_get_current_id(struct call *call, const struct event_get_current_id_args *a,
                            int64_t *result, struct err *err)
{
    (void)call, (void)a, (void)err;
    *result = event_current_id();
    return 0;
}
