/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of features that are absent (api/absent.py): one function, a row of a table for each. Any thread. */
#include <stdlib.h>

#include "api/ops.h"
#include "base/mem.h"
#include "ops/call.h"

/* A parameter of an absence as text: "@name" of the call, "$host", else itself. Given. */
static char *absence_param(const struct call *call, const void *args, const char *text)
{
    const struct param_def *p = call->def->params;
    char ref[REF_TEXT_SIZE];
    if (str_eq(text, "$host")) {
        db_lock();
        struct ref host = db_host_ref();
        db_unlock();
        ref_text(&host, ref);
        return str_dup(ref);
    }
    while (text[0] == '@' && !str_eq(p->name, text + 1)) /* the loader has looked for it */
        p++;
    if (text[0] != '@')
        return str_dup(text);
    const void *value = (const char *)args + p->offset;
    if (p->ty->kind == TY_STRING)
        return str_dup(*(const char *const *)value);
    ref_text(value, ref);
    return str_dup(ref);
}

int ops_absent(struct call *call, const void *args, void *result, struct err *err)
{
    (void)result;
    const struct ops_absence *a = ops_absences[call->def->id];
    char *params[ERR_PARAMS_MAX] = { 0 };
    size_t n = 0;
    for (; n < ERR_PARAMS_MAX && a->params[n]; n++)
        params[n] = absence_param(call, args, a->params[n]);
    (void)err_set_(err, a->code, (const char *const *)params, n);
    for (size_t i = 0; i < n; i++)
        free(params[i]);
    return err_detail(err, "%s", a->reason);
}
