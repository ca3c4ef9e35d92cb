/* SPDX-License-Identifier: Apache-2.0 */
/* The shapes of output: records, lists, minimal, JSON. */
#include <stdarg.h>
#include <string.h>

#include "xe/xe_int.h"

void xe_out(struct xe *x, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    AUTO(free_str) char *text = str_vfmt(fmt, ap);
    va_end(ap);
    x->env->out(x->env->arg, text);
}

void xe_errout(struct xe *x, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    AUTO(free_str) char *text = str_vfmt(fmt, ap);
    va_end(ap);
    x->env->errout(x->env->arg, text);
}

void xe_lines_add(struct xe_lines *l, char *label, char *value)
{
    struct xe_line line = { label, value };
    vec_push(&l->v, line);
}

void xe_lines_done(struct xe_lines *l)
{
    for (size_t i = 0; i < l->v.n; i++) {
        free(l->v.v[i].label);
        free(l->v.v[i].value);
    }
    vec_done(&l->v);
}

/* The first label stands at the left, the others end in its column, which is four wider than the longest of them.
 * Two empty lines follow, as scripts that cut records apart expect. */
void xe_print_record(struct xe *x, const struct xe_lines *l)
{
    size_t width = 0;
    for (size_t i = 0; i < l->v.n; i++)
        width = MAX(width, strlen(l->v.v[i].label));
    AUTO(buf_done) struct buf out = BUF_INIT(0);
    for (size_t i = 0; i < l->v.n; i++)
        buf_addf(&out, i ? "%*s: %s\n" : "%-*s: %s\n", (int)width + 4, l->v.v[i].label,
                 l->v.v[i].value);
    buf_add_str(&out, "\n\n");
    if (l->v.n)
        x->env->out(x->env->arg, buf_str(&out));
}

int xe_print_by_vm(struct xe *x, const json_t *map, struct err *err)
{
    AUTO(xe_lines_done) struct xe_lines lines = { 0 };
    const char *vm;
    json_t *rec, *value;

    if (x->json) {
        xe_print_json(x, map);
        return 0;
    }
    json_object_foreach((json_t *)map, vm, value)
    {
        if (xe_record(x, "VM", vm, &rec, err) < 0)
            return -1;
        xe_lines_add(&lines, str_dup(rec ? rec_str(rec, "uuid") : vm),
                     xe_value_text(value, 0, ""));
    }
    xe_print_record(x, &lines);
    return 0;
}

void xe_minimal_add(struct buf *out, bool first, const char *value)
{
    if (!first)
        buf_add_char(out, ',');
    for (; *value; value++) {
        if (*value == ',' || *value == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, *value);
    }
}

void xe_print_json(struct xe *x, const json_t *v)
{
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_INDENT(2));
    xe_out(x, "%s\n", text ? text : "null");
    free(text);
}

void xe_print_list(struct xe *x, const json_t *values)
{
    if (x->json) {
        xe_print_json(x, values);
        return;
    }
    AUTO(buf_done) struct buf minimal = BUF_INIT(0);
    size_t i;
    json_t *e;
    json_array_foreach(values, i, e)
    {
        AUTO(free_str) char *text = xe_value_text(e, 0, "");
        if (x->minimal)
            xe_minimal_add(&minimal, i == 0, text);
        else
            xe_out(x, "%s\n", text);
    }
    if (x->minimal)
        xe_out(x, "%s\n", buf_str(&minimal));
}

void xe_print_value(struct xe *x, const json_t *v)
{
    AUTO(free_str) char *text = x->json ? NULL : xe_value_text(v, 0, "");
    if (x->json)
        xe_print_json(x, v);
    else
        xe_out(x, "%s\n", text);
}
