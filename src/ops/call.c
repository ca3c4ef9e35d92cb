/* SPDX-License-Identifier: Apache-2.0 */
/* Small services for operations: transactions in the caller's name, looked-up records, progress. Any thread. */
#include "ops/call.h"

#include <poll.h>

#include "api/errors.h"
#include "api/ops.h"
#include "ops/host_ctx.h"

struct host_ctx host_ctx;

struct tx *call_tx(const struct call *call)
{
    struct tx_who who = {
        .user = call->session.user[0] ? call->session.user : "seraid",
        .call = schema_call_name(call->def),
        .task = call->async ? &call->task : NULL,
    };
    return tx_begin(&who);
}

struct tx *daemon_tx(const char *why)
{
    struct tx_who who = { .user = "seraid", .call = why };
    return tx_begin(&who);
}

const void *call_get(enum class_id cls, const struct ref *ref, struct err *err)
{
    const void *rec = db_get(cls, ref);
    if (!rec)
        (void)call_gone(cls, ref, err);
    return rec;
}

int call_find(enum class_id cls, const char *text, struct ref *out, struct err *err)
{
    struct ref ref;
    bool is_ref = ref_parse(text, &ref);

    if (is_ref ? !db_get(cls, &ref) : !db_find_uuid(cls, text, &ref))
        return err_set(err, is_ref ? ERR_HANDLE_INVALID : ERR_UUID_INVALID,
                       schema_classes[cls].name, text);
    *out = ref;
    return 0;
}

void *call_copy_fresh(enum class_id cls, const void *rec)
{
    const struct class_def *c = &schema_classes[cls];
    void *copy = record_copy(c, rec);
    for (size_t i = 0; i < c->n_fields; i++) {
        const struct field_def *f = &c->fields[i];
        if (!f->is_volatile && (int)i != c->uuid_field)
            continue;
        void *p = record_field(f, copy);
        value_done(f->ty, p);
        value_init(f->ty, p);
    }
    return copy;
}

int call_set(const struct call *call, enum class_id cls, const struct ref *ref,
             unsigned field, const void *value, struct err *err)
{
    struct tx *tx = call_tx(call);
    if (!call_get(cls, ref, err)) {
        tx_abort(tx);
        return -1;
    }
    tx_set(tx, ref, cls, field, value);
    return tx_commit(tx, err);
}

int call_gone(enum class_id cls, const struct ref *ref, struct err *err)
{
    char text[REF_TEXT_SIZE];
    ref_text(ref, text);
    return err_set(err, ERR_HANDLE_INVALID, schema_classes[cls].name, text);
}

bool call_cancelled(const struct call *call)
{
    struct pollfd p = { .fd = call->deadline.cancel_fd, .events = POLLIN };
    return p.fd >= 0 && poll(&p, 1, 0) > 0;
}

void call_progress(const struct call *call, double fraction)
{
    if (call->async)
        task_progress(&call->task, fraction);
}

int ops_not_implemented(struct call *call, const void *args, void *result, struct err *err)
{
    (void)args, (void)result;
    const char *name = schema_call_name(call->def);
    (void)err_set(err, ERR_NOT_IMPLEMENTED, name);
    return err_detail(err, "%s is not available in this version of Serai", name);
}
