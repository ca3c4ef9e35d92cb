/* SPDX-License-Identifier: Apache-2.0 */
/* What of explaining needs the database. */
#include "seraid/explain_op.h"

#include "api/errors.h"
#include "api/ops.h"
#include "base/mem.h"
#include "ops/call.h"

/* The uuid of the object that a reference names, while it is there. */
static char *uuid_of(const char *param, void *arg UNUSED)
{
    struct ref ref;
    char *uuid = NULL;

    if (!str_starts(param, "OpaqueRef:") || !ref_parse(param, &ref))
        return NULL;
    db_lock();
    const struct class_def *cls = &schema_classes[db_class_of(&ref)];
    const void *rec = cls->id ? db_get(cls->id, &ref) : NULL;
    if (rec && cls->uuid_field >= 0 && cls->id != CLASS_SESSION)
        uuid = str_dup(
            *(const char *const *)record_field(&cls->fields[cls->uuid_field], rec));
    db_unlock();
    return uuid;
}

static void add_member(struct buf *out, const char *name, const struct buf *text)
{
    buf_addf(out, "%s\"%s\":\"", out->len ? "," : "", name);
    enc_json_text(out, buf_str(text));
    buf_add_char(out, '"');
}

void explain_members(struct buf *out, const struct err *err)
{
    AUTO(buf_done) struct buf words = BUF_INIT(0), command = BUF_INIT(0);

    explain_error(&words, err);
    add_member(out, "explain", &words);
    if (explain_command(&command, err, uuid_of, NULL))
        add_member(out, "command", &command);
}

static void put(struct map_string_string *m, const struct ty *ty, const char *key,
                const struct buf *text)
{
    const char *value = buf_str(text);

    (void)map_put(ty, m, &key, &value); /* new: each key once */
}

int op_serai_explain(struct call *call, const struct serai_explain_args *a,
                     struct map_string_string *result, struct err *err)
{
    AUTO(buf_done) struct buf words = BUF_INIT(0), command = BUF_INIT(0);
    const struct error_def *def = schema_error(a->code);
    AUTO(err_done) struct err asked = { 0 };
    const char *params[ERR_PARAMS_MAX];
    size_t n = MIN(a->params.n, (size_t)ERR_PARAMS_MAX);

    if (!def)
        return err_set(err, ERR_INVALID_VALUE, "code", a->code);
    for (size_t i = 0; i < n; i++)
        params[i] = a->params.v[i];
    (void)err_set_(&asked, def->code, params, n);
    explain_error(&words, &asked);
    put(result, call->def->result, "sentence", &words);
    if (explain_command(&command, &asked, uuid_of, NULL))
        put(result, call->def->result, "command", &command);
    return 0;
}
