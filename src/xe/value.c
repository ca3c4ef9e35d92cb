/* SPDX-License-Identifier: Apache-2.0 */
/* From a record to what people read, and from what they type to what the API takes. */
#include <ctype.h>
#include <string.h>

#include "base/parse.h"
#include "xe/xe_int.h"

static int eval_steps(struct xe *x, const json_t *rec, const char *path, json_t **out,
                      struct err *err);

/* v holds references to objects of cls: what path says of them. */
static int deref(struct xe *x, const char *cls, const json_t *v, const char *path,
                 json_t **out, struct err *err)
{
    if (json_is_string(v)) {
        json_t *rec;
        if (xe_record(x, cls, json_string_value(v), &rec, err) < 0)
            return -1;
        return rec ? eval_steps(x, rec, path, out, err) : 0;
    }
    if (json_is_array(v)) {
        AUTO(json_drop) json_t *all = json_array();
        size_t i;
        json_t *e;
        json_array_foreach(v, i, e)
        {
            json_t *one = NULL;
            if (deref(x, cls, e, path, &one, err) < 0)
                return -1;
            if (one)
                json_array_append_new(all, one);
        }
        *out = TAKE(all);
    } else if (json_is_object(v)) {
        AUTO(json_drop) json_t *all = json_object();
        const char *key;
        json_t *e;
        json_object_foreach((json_t *)(uintptr_t)v, key, e)
        {
            json_t *one = NULL;
            if (deref(x, cls, e, path, &one, err) < 0)
                return -1;
            if (one)
                json_object_set_new(all, key, one);
        }
        *out = TAKE(all);
    }
    return 0;
}

static int eval_steps(struct xe *x, const json_t *rec, const char *path, json_t **out,
                      struct err *err)
{
    size_t step = strcspn(path, ">"), name = strcspn(path, ":>");
    AUTO(free_str) char *field = str_dupn(path, name);
    json_t *v = json_object_get(rec, field);
    if (!path[step]) {
        *out = json_incref(v);
        return 0;
    }
    AUTO(free_str) char *cls = str_dupn(path + name + 1, step - name - 1);
    return deref(x, cls, v, path + step + 1, out, err);
}

/* "!VM.get_possible_hosts:host>uuid", "!SR.get_supported_types@" */
static int eval_call(struct xe *x, const char *ref, const char *path, json_t **out,
                     struct err *err)
{
    size_t name = strcspn(path, ":@>"), step = strcspn(path, ">");
    AUTO(free_str) char *method = str_dupn(path, name);
    AUTO(json_drop) json_t *answer = NULL;
    if (xe_call(x, method, path[name] == '@' ? json_array() : json_pack("[s]", ref),
                &answer, err)
        < 0)
        return -1;
    if (!path[step]) {
        *out = TAKE(answer);
        return 0;
    }
    AUTO(free_str) char *cls = str_dupn(path + name + 1, step - name - 1);
    return deref(x, cls, answer, path + step + 1, out, err);
}

static int attachable(struct xe *x, const char *ref, const json_t *rec, json_t **out,
                      struct err *err)
{
    AUTO(err_done) struct err refused = { 0 };
    *out = json_boolean(xe_do(x, "VBD.assert_attachable", json_pack("[s]", ref), &refused)
                        == 0);
    return 0;
}

static int vbd_vdi_name(struct xe *x, const char *ref, const json_t *rec, json_t **out,
                        struct err *err)
{
    if (rec_true(rec, "empty")) {
        *out = json_string("<EMPTY>");
        return 0;
    }
    return eval_steps(x, rec, "VDI:VDI>name_label", out, err);
}

static int sr_host(struct xe *x, const char *ref, const json_t *rec, json_t **out,
                   struct err *err)
{
    size_t n = json_array_size(json_object_get(rec, "PBDs"));
    if (n > 1)
        *out = json_string("<shared>");
    if (n != 1)
        return 0;
    AUTO(json_drop) json_t *names = NULL;
    if (eval_steps(x, rec, "PBDs:PBD>host:host>name_label", &names, err) < 0)
        return -1;
    *out = json_incref(json_array_get(names, 0));
    return 0;
}

static int max_resolution(struct xe *x, const char *ref, const json_t *rec, json_t **out,
                          struct err *err)
{
    *out = json_sprintf("%" JSON_INTEGER_FORMAT "x%" JSON_INTEGER_FORMAT,
                        json_integer_value(json_object_get(rec, "max_resolution_x")),
                        json_integer_value(json_object_get(rec, "max_resolution_y")));
    return 0;
}

static const struct {
    const char *name;
    int (*fn)(struct xe *x, const char *ref, const json_t *rec, json_t **out,
              struct err *err);
} specials[] = {
    { "@attachable", attachable },
    { "@vbd-vdi-name", vbd_vdi_name },
    { "@sr-host", sr_host },
    { "@max-resolution", max_resolution },
};

int xe_eval(struct xe *x, const char *cls, const char *ref, json_t *rec, const char *path,
            json_t **out, struct err *err)
{
    *out = NULL;
    if (path[0] == '?' || (x->at && (path[0] == '!' || str_eq(path, "@attachable"))))
        return 0; /* what a call says is said of now */
    if (path[0] == '!')
        return eval_call(x, ref, path + 1, out, err);
    for (size_t i = 0; i < ARRAY_SIZE(specials); i++) {
        if (str_eq(path, specials[i].name))
            return specials[i].fn(x, ref, rec, out, err);
    }
    return eval_steps(x, rec, path, out, err);
}

static void add_string(struct buf *out, const char *s, unsigned flags)
{
    static const char *const dotted[][2] = { { "vdi_", "VDI." },
                                             { "pbd_", "PBD." },
                                             { "vm_", "VM." } };
    size_t start = out->len;
    for (size_t i = 0; (flags & XE_DOTTED) && i < ARRAY_SIZE(dotted); i++) {
        if (str_starts(s, dotted[i][0])) {
            buf_add_str(out, dotted[i][1]);
            s += strlen(dotted[i][0]);
            break;
        }
    }
    buf_add_str(out, s);
    if (out->len == start)
        return;
    for (char *p = out->data + start; (flags & XE_LOWER) && *p; p++)
        *p = (char)tolower((unsigned char)*p);
    if (flags & XE_CAPITAL)
        out->data[start] = (char)toupper((unsigned char)out->data[start]);
}

static void add_text(struct buf *out, const json_t *v, unsigned flags)
{
    size_t i;
    const char *key;
    json_t *e;
    bool first = true;
    switch (json_typeof(v)) {
    case JSON_STRING: add_string(out, json_string_value(v), flags); break;
    case JSON_INTEGER: buf_add_int(out, json_integer_value(v)); break;
    case JSON_REAL: buf_addf(out, "%.3f", json_real_value(v)); break;
    case JSON_TRUE: buf_add_str(out, "true"); break;
    case JSON_FALSE: buf_add_str(out, "false"); break;
    case JSON_NULL: break;
    case JSON_ARRAY:
        json_array_foreach(v, i, e)
        {
            buf_add_str(out, i ? "; " : "");
            add_text(out, e, flags);
        }
        break;
    case JSON_OBJECT:
        json_object_foreach((json_t *)(uintptr_t)v, key, e)
        {
            buf_add_str(out, first ? "" : "; ");
            first = false;
            if (!(flags & XE_VALUES))
                buf_addf(out, "%s: ", key);
            add_text(out, e, flags);
        }
        break;
    }
}

char *xe_value_text(const json_t *v, unsigned flags, const char *path)
{
    if (!v)
        return str_dup(strchr(path, '>') || path[0] == '@' ? "<not in database>"
                                                           : "<unknown>");
    struct buf out = BUF_INIT(0);
    add_text(&out, v, flags);
    return buf_take(&out);
}

static int wrong(struct err *err, const char *what, const char *text, const char *wanted)
{
    return xe_fail(err, "Parameter '%s': '%s' is not %s", what, text, wanted);
}

static int typed_enum(const char *choices, const char *text, const char *what, json_t **out,
                      struct err *err)
{
    for (const char *p = choices; *p;) {
        size_t n = strcspn(p, "/");
        if (strlen(text) == n && strncasecmp(p, text, n) == 0) {
            *out = json_stringn(p, n);
            return 0;
        }
        p += n;
        p += *p == '/';
    }
    AUTO(free_str) char *wanted = str_fmt("one of %s", choices);
    return wrong(err, what, text, wanted);
}

static int typed_one(struct xe *x, enum xe_type type, const char *detail, const char *text,
                     const char *what, json_t **out, struct err *err)
{
    uint64_t size;
    int64_t i;
    bool b;
    double d;
    AUTO(free_str) char *ref = NULL;
    switch (type) {
    case XE_INT:
        if (parse_i64(text, &i))
            *out = json_integer(i);
        else if (parse_size(text, &size) && size <= INT64_MAX)
            *out = json_integer((json_int_t)size);
        else
            return wrong(err, what, text, "a number (sizes may have KiB, MiB, GiB, TiB)");
        return 0;
    case XE_BOOL:
        if (!parse_bool(text, &b))
            return wrong(err, what, text, "true or false");
        *out = json_boolean(b);
        return 0;
    case XE_FLOAT:
        if (!parse_double(text, &d) || !(*out = json_real(d)))
            return wrong(err, what, text, "a number");
        return 0;
    case XE_ENUM: return typed_enum(detail, text, what, out, err);
    case XE_REF:
        if (!*text) {
            *out = json_string("OpaqueRef:NULL");
            return 0;
        }
        if (xe_by_uuid(x, detail, text, &ref, err) < 0)
            return -1;
        *out = json_string(ref);
        return 0;
    default:
        if (!(*out = json_string(text)))
            return wrong(err, what, text, "UTF-8 text");
        return 0;
    }
}

int xe_typed(struct xe *x, enum xe_type type, const char *detail, bool many,
             const char *text, const char *what, json_t **out, struct err *err)
{
    if (!many)
        return typed_one(x, type, detail, text, what, out, err);
    AUTO(json_drop) json_t *all = json_array();
    AUTO(free_str) char *copy = str_dup(text);
    for (char *p = copy, *word; (word = strsep(&p, ","));) {
        json_t *one = NULL;
        if (!*word)
            continue;
        if (typed_one(x, type, detail, word, what, &one, err) < 0)
            return -1;
        json_array_append_new(all, one);
    }
    *out = TAKE(all);
    return 0;
}
