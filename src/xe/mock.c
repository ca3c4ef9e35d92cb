/* SPDX-License-Identifier: Apache-2.0 */
#include "xe/mock.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/test.h"
#include "model/enc.h"

struct mock {
    struct xe_env env;
    json_t *records, *answers, *refusals;
    struct buf out, errout, calls;
    const char *line;
};

static json_t *load_records(void)
{
    const char *source = getenv("MESON_SOURCE_ROOT");
    AUTO(free_str)
    char *path = str_fmt("%s/tests/xe/records.json", source ? source : SOURCE_ROOT);
    json_error_t e;
    json_t *j = json_load_file(path, 0, &e);
    if (!j)
        test_fail(__FILE__, __LINE__, "%s: %s", path, e.text);
    return j;
}

/* One record with the defaults of the schema. */
static json_t *default_records(const char *cls_name)
{
    static const char uuid[] = "99999999-0000-4000-8000-000000000000";
    const struct class_def *cls = schema_class(cls_name);
    if (!cls || !cls->is_object)
        return NULL;
    void *rec = record_new(cls);
    if (cls->uuid_field >= 0)
        str_put(record_field(&cls->fields[cls->uuid_field], rec), uuid);
    AUTO(buf_done) struct buf text = BUF_INIT(0);
    enc_record(&text, ENC_JSON, cls, rec);
    record_free(cls, rec);
    AUTO(free_str) char *ref = str_fmt("OpaqueRef:%s", uuid);
    return json_pack("{so}", ref, json_loads(buf_str(&text), 0, NULL));
}

static json_t *records_of(struct mock *m, const char *cls)
{
    json_t *r = json_object_get(m->records, cls);
    if (!r && (r = default_records(cls)))
        json_object_set_new(m->records, cls, r);
    return r;
}

static int find(json_t *records, const char *cls, const char *field, const char *value,
                json_t **out, struct err *err)
{
    const char *ref;
    json_t *rec, *found = json_array();
    json_object_foreach(records, ref, rec)
    {
        if (str_eq(json_string_value(json_object_get(rec, field)), value))
            json_array_append_new(found, json_string(ref));
    }
    if (str_eq(field, "name_label")) {
        *out = found;
        return 0;
    }
    *out = json_incref(json_array_get(found, 0));
    json_decref(found);
    return *out ? 0 : err_set(err, "UUID_INVALID", cls, value);
}

/* The generic messages; 1: not one of them. */
static int read_call(struct mock *m, const char *method, const json_t *params, json_t **out,
                     struct err *err)
{
    const char *dot = strchr(method, '.'),
               *arg = json_string_value(json_array_get(params, 0));
    AUTO(free_str) char *cls = str_dupn(method, (size_t)(dot - method));
    json_t *records = records_of(m, cls), *rec;
    if (!records)
        return 1;
    if (str_eq(dot, ".get_all_records")) {
        *out = json_deep_copy(records);
        return 0;
    }
    if (str_eq(dot, ".get_record")) {
        if (!(rec = json_object_get(records, arg)))
            return err_set(err, "HANDLE_INVALID", cls, arg);
        *out = json_deep_copy(rec);
        return 0;
    }
    if (str_eq(dot, ".get_by_uuid"))
        return find(records, cls, "uuid", arg, out, err);
    if (str_eq(dot, ".get_by_name_label"))
        return find(records, cls, "name_label", arg, out, err);
    return 1;
}

static int call(void *arg, const char *method, const json_t *params, json_t **out,
                struct err *err)
{
    struct mock *m = arg;
    json_t *refusal = json_object_get(m->refusals, method);
    int rc = refusal ? 1 : read_call(m, method, params, out, err);
    if (rc <= 0)
        return rc;
    char *text = json_dumps(params, 0);
    buf_addf(&m->calls, "%s %s\n", method, text ? text : "(not JSON)");
    free(text);
    if (refusal) {
        const char *p[2] = { json_string_value(json_array_get(refusal, 1)),
                             json_string_value(json_array_get(refusal, 2)) };
        return err_set_(err, json_string_value(json_array_get(refusal, 0)), p,
                        p[1]   ? 2
                        : p[0] ? 1
                               : 0);
    }
    *out = json_incref(json_object_get(m->answers, method));
    *out = *out ? *out : json_string("");
    return 0;
}

static void out(void *arg, const char *text)
{
    struct mock *m = arg;
    buf_add_str(&m->out, text);
}

static void errout(void *arg, const char *text)
{
    struct mock *m = arg;
    buf_add_str(&m->errout, text);
}

static int read_file(void *arg, const char *path, char **text_out, struct err *err)
{
    *text_out = str_fmt("contents of %s", path);
    return 0;
}

static int file_size(void *arg, const char *path, uint64_t *size_out, struct err *err)
{
    *size_out = 1000;
    return 0;
}

static int upload(void *arg, const char *path, const char *path_query, char **result_out,
                  struct err *err)
{
    struct mock *m = arg;
    buf_addf(&m->calls, "PUT %s %s\n", path_query, path);
    *result_out = str_dup("<value><array><data><value>OpaqueRef:00000014-0000-4000-8000-"
                          "000000000000</value></data></"
                          "array></value>");
    return 0;
}

static int download(void *arg, const char *path, const char *path_query, struct err *err)
{
    struct mock *m = arg;
    buf_addf(&m->calls, "GET %s %s\n", path_query, path);
    return 0;
}

static int connect_stream(void *arg, const char *path_query, struct err *err)
{
    struct mock *m = arg;
    buf_addf(&m->calls, "CONNECT %s\n", path_query);
    return 0;
}

static bool prompt(void *arg, const char *question, char **line_out)
{
    struct mock *m = arg;
    buf_add_str(&m->out, question);
    *line_out = str_dup(m->line);
    return m->line != NULL;
}

struct mock *mock_new(void)
{
    struct mock *m = mem_alloc(sizeof(*m));
    m->records = load_records();
    m->answers = json_object();
    m->refusals = json_object();
    m->env = (struct xe_env){ .arg = m,
                              .call = call,
                              .out = out,
                              .errout = errout,
                              .read_file = read_file,
                              .file_size = file_size,
                              .upload = upload,
                              .download = download,
                              .prompt = prompt,
                              .connect = connect_stream };
    return m;
}

void mock_free(struct mock *m)
{
    json_decref(m->records);
    json_decref(m->answers);
    json_decref(m->refusals);
    buf_done(&m->out);
    buf_done(&m->errout);
    buf_done(&m->calls);
    free(m);
}

void mock_answer(struct mock *m, const char *method, const char *json)
{
    json_object_set_new(m->answers, method, json_loads(json, JSON_DECODE_ANY, NULL));
}

void mock_refuse(struct mock *m, const char *method, const char *code, const char *p1,
                 const char *p2)
{
    json_object_set_new(m->refusals, method, json_pack("[ss?s?]", code, p1, p2));
}

void mock_say(struct mock *m, const char *line)
{
    m->line = line;
}

static int with_words(struct mock *m, const char *line,
                      int (*fn)(const struct xe_env *, int, const char *const *))
{
    AUTO(free_str) char *copy = str_dup(line);
    const char *argv[32] = { 0 };
    int argc = 0;
    buf_clear(&m->out);
    buf_clear(&m->errout);
    buf_clear(&m->calls);
    for (char *p = copy, *word; (word = strsep(&p, " "));) {
        argv[argc++] = word;
        CHECK(argc < 32);
        for (char *at; (at = strstr(word, "%20"));) {
            *at = ' ';
            memmove(at + 1, at + 3, strlen(at + 3) + 1);
        }
    }
    return fn(&m->env, argc, argv);
}

int mock_run(struct mock *m, const char *line)
{
    return with_words(m, line, xe_run);
}

int mock_complete(struct mock *m, const char *line)
{
    return with_words(m, line, xe_complete);
}

struct xe_env *mock_env(struct mock *m)
{
    return &m->env;
}

const char *mock_out(const struct mock *m)
{
    return buf_str(&m->out);
}

const char *mock_errout(const struct mock *m)
{
    return buf_str(&m->errout);
}

const char *mock_calls(const struct mock *m)
{
    return buf_str(&m->calls);
}
