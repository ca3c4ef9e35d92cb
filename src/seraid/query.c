/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps nothing. Thread: a worker. */
#include "seraid/query.h"

#include "api/errors.h"
#include "base/mem.h"
#include "base/parse.h"
#include "ops/call.h"

int query_bool(const struct exchange *x, const char *name, bool *out, struct err *err)
{
    AUTO(free_str) char *text = http_arg(x->req, name);

    return !text || parse_bool(text, out) ? 0 : err_set(err, ERR_INVALID_VALUE, name, text);
}

int query_object(enum class_id cls, const char *text, struct ref *out, struct err *err)
{
    int rc;

    db_lock();
    rc = call_find(cls, text, out, err);
    db_unlock();
    return rc;
}

int query_sr(const struct exchange *x, struct ref *out, struct err *err)
{
    AUTO(free_str)
    char *ref = http_arg(x->req, "sr_id"), *uuid = http_arg(x->req, "sr_uuid");
    const char *text = ref ? ref : uuid;

    return text ? query_object(CLASS_SR, text, out, err) : 0;
}
