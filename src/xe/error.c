/* SPDX-License-Identifier: Apache-2.0 */
/* Errors as text. The API's own are a sentence, the parameters by name (objects by uuid and name), a hint, and
 * the code, which scripts look for. */
#include <string.h>

#include "model/explain.h"
#include "model/schema.h"
#include "xe/xe_int.h"

/* "uuid (name)" where the parameter is a reference whose class its name tells. Given. */
static char *param_text(struct xe *x, const char *name, const char *value)
{
    const struct class_def *cls = x && str_starts(value, "OpaqueRef:")
                                      ? schema_class_any_case(name)
                                      : NULL;
    AUTO(err_done) struct err ignored = { 0 };
    json_t *rec = NULL;
    if (!cls || !cls->is_object || xe_record(x, cls->name, value, &rec, &ignored) < 0
        || !rec)
        return str_dup(value);
    const char *label = rec_str(rec, "name_label");
    return *label ? str_fmt("%s (%s)", rec_str(rec, "uuid"), label)
                  : str_dup(rec_str(rec, "uuid"));
}

struct named_params {
    const struct err *err;
    char *const *texts;
    size_t named;
};

/* text with {0}, {1} replaced. */
static void add_sentence(struct buf *out, const char *text, char *const *params, size_t n)
{
    for (; *text; text++) {
        size_t i = (size_t)(unsigned char)text[1] - '0';
        if (text[0] == '{' && text[1] && text[2] == '}' && i < n) {
            buf_add_str(out, params[i]);
            text += 2;
        } else {
            buf_add_char(out, *text);
        }
    }
    buf_add_char(out, '\n');
}

/* The uuid of the object that a reference names. Its class is not known here: what the API says of it is. */
static char *uuid_of(const char *param, void *arg)
{
    const struct named_params *n = arg;
    for (size_t i = 0; i < n->err->n_params && i < n->named; i++) {
        if (!str_eq(n->err->params[i], param) || !str_starts(param, "OpaqueRef:"))
            continue;
        size_t len = strcspn(n->texts[i], " ");
        return str_starts(n->texts[i], "OpaqueRef:") ? NULL : str_dupn(n->texts[i], len);
    }
    return NULL;
}

static void add_api_error(struct buf *out, struct xe *x, const struct err *err)
{
    const struct error_def *def = schema_error(err->code);
    char *texts[ERR_PARAMS_MAX] = { 0 };
    size_t named = 0;
    while (def && def->params && def->params[named])
        named++;
    for (size_t i = 0; i < err->n_params; i++)
        texts[i] = param_text(x, i < named ? def->params[i] : "", err->params[i]);
    if (def && def->sentence && *def->sentence)
        add_sentence(out, def->sentence, texts, err->n_params);
    for (size_t i = 0; i < err->n_params && i < named; i++)
        buf_addf(out, "%s: %s\n", def->params[i], texts[i]);
    if (def && def->hint && *def->hint)
        add_sentence(out, def->hint, texts, err->n_params);
    struct named_params n = { err, texts, named };
    AUTO(buf_done) struct buf command = BUF_INIT(0);
    if (explain_command(&command, err, uuid_of, &n)
        && !strstr(buf_str(&command), "OpaqueRef:"))
        buf_addf(out, "Try: %s\n", buf_str(&command));
    buf_addf(out, "Error code: %s\nError parameters: ", err->code);
    for (size_t i = 0; i < err->n_params; i++) {
        buf_addf(out, "%s%s", i ? ", " : "", err->params[i]);
        free(texts[i]);
    }
    buf_add_char(out, '\n');
}

static char *error_text(struct xe *x, const struct err *err)
{
    struct buf out = BUF_INIT(0);
    const char *code = err->code ? err->code : "", *detail = err->detail ? err->detail : "";
    if (str_eq(code, XE_QUIET))
        return str_dup("");
    if (str_eq(code, XE_USAGE))
        buf_addf(&out, "%s\nFor usage run: 'xe help'\n", detail);
    else if (str_eq(code, "SESSION_AUTHENTICATION_FAILED"))
        buf_add_str(&out, "Authentication failed\nFor usage run: 'xe help'\n");
    else if (str_eq(code, XE_FAILURE) || str_eq(code, "CLIENT_TRANSPORT") || !*code)
        buf_addf(&out, "Error: %s\n", detail);
    else
        add_api_error(&out, x, err);
    return buf_take(&out);
}

char *xe_error_text(const struct err *err)
{
    return error_text(NULL, err);
}

void xe_report(struct xe *x, const struct err *err)
{
    AUTO(free_str) char *text = error_text(x, err);
    x->env->errout(x->env->arg, text);
}
