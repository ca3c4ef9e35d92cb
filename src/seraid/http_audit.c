/* SPDX-License-Identifier: Apache-2.0 */
/* GET /audit_log?since=: one line for each call that ended and each refusal, in the form that readers of XenServer's audit
 * log know:
 *
 *   [20261121T22:30:00.123Z|audit|HOST|N|CALL|audit] ('trackid=SESSION' 'SID' 'USER' 'ALLOWED' 'OK' 'API' 'VM.start'
 *   (('self' 'NAME' 'UUID' '')))
 *
 * on one line. With format=json the records as they stand in the files, by which they can be checked; since does not cut
 * those. Runs on a worker, declared blocked. */
#include <string.h>

#include "api/errors.h"
#include "base/io.h"
#include "base/mem.h"
#include "model/audit.h"
#include "model/task.h"
#include "ops/host_ctx.h"
#include "seraid/auth.h"
#include "seraid/handlers.h"

#define ROLES   (ROLE_POOL_ADMIN | ROLE_POOL_OPERATOR)
#define CHUNK   ((size_t)64 * 1024)
#define STALL   (60 * US_PER_SEC)
#define RAW_MAX ((size_t)64 * 1024 * 1024) /* of one file */

struct sending {
    struct exchange *x;
    struct buf text;
    json_t *intents; /* "n": record, of calls under way */
    int64_t since_us;
    bool broken;
};

static bool flush(struct sending *s, size_t at_least)
{
    struct deadline d = serve_deadline(STALL);

    if (s->text.len < at_least || s->text.len == 0)
        return !s->broken;
    s->broken = s->broken
                || http_stream_write(s->x->conn, s->x->req, s->text.data, s->text.len, &d)
                       != 0;
    buf_clear(&s->text);
    return !s->broken;
}

static const char *text_of(const json_t *rec, const char *name)
{
    const char *s = json_string_value(json_object_get(rec, name));

    return s ? s : "";
}

/* A word of the line: quotes and line ends cannot be in it. */
static void add_word(struct buf *out, const char *text)
{
    buf_add_char(out, '\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, (unsigned char)*text < ' ' ? ' ' : *text);
    }
    buf_add_char(out, '\'');
}

/* "2026-11-21T22:30:00.123456Z" as "20261121T22:30:00.123Z". */
static void add_time(struct buf *out, const char *t)
{
    if (strlen(t) < 23)
        buf_add_str(out, t);
    else
        buf_addf(out, "%.4s%.2s%.2s%.13sZ", t, t + 5, t + 8, t + 10);
}

static void add_arguments(struct buf *out, const json_t *call)
{
    const json_t *object = json_object_get(call, "object");
    json_t *args = json_object_get(call, "args"), *v;
    const char *name;
    bool first = true;

    buf_add_char(out, '(');
    if (object) {
        buf_add_str(out, "('self' ");
        add_word(out, text_of(object, "name"));
        buf_add_char(out, ' ');
        add_word(out, text_of(object, "uuid"));
        buf_add_str(out, " '')");
        first = false;
    }
    json_object_foreach(args, name, v)
    {
        char *text = json_is_string(v) ? NULL
                                       : json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);

        buf_add_str(out, first ? "(" : " (");
        first = false;
        add_word(out, name);
        buf_add_char(out, ' ');
        add_word(out, text ? text : json_string_value(v) ? json_string_value(v) : "");
        buf_add_str(out, " '' '')");
        free(text);
    }
    buf_add_char(out, ')');
}

/* call: what was asked for; end: how it ended (the same record where there is only one). */
static void add_line(struct sending *s, const json_t *call, const json_t *end)
{
    struct buf *out = &s->text;
    const json_t *error = json_object_get(end, "error");
    const char *result = text_of(end, "outcome");
    bool refused = str_eq(text_of(end, "kind"), "refused");
    AUTO(free_str) char *track = str_fmt("trackid=%s", text_of(call, "session"));

    buf_add_char(out, '[');
    add_time(out, text_of(end, "time"));
    buf_addf(out, "|audit|%s|%lld|%s|audit] (", host_ctx.inventory.hostname,
             (long long)json_integer_value(json_object_get(end, "n")),
             text_of(call, "call"));
    add_word(out, track);
    buf_add_str(out, " '' ");
    add_word(out, text_of(call, "user"));
    buf_add_str(out, refused ? " 'DENIED' " : " 'ALLOWED' ");
    if (error) {
        AUTO(free_str)
        char *text = str_fmt("ERROR:%s", json_string_value(json_array_get(error, 0)));
        add_word(out, text);
    } else {
        add_word(out, str_eq(result, "unknown") ? "UNKNOWN" : "OK");
    }
    buf_add_str(out,
                strncmp(text_of(call, "call"), "http/", 5) == 0 ? " 'HTTP' " : " 'API' ");
    add_word(out, text_of(call, "call"));
    buf_add_char(out, ' ');
    add_arguments(out, call);
    buf_add_str(out, ")\n");
}

static bool add_record(const json_t *rec, void *arg)
{
    struct sending *s = arg;
    const char *kind = text_of(rec, "kind");
    char id[24];
    int64_t at = 0;
    bool outcome = str_eq(kind, "outcome");

    (void)snprintf(
        id, sizeof(id), "%lld",
        (long long)json_integer_value(json_object_get(rec, outcome ? "of" : "n")));
    if (str_eq(kind, "intent")) {
        json_object_set(s->intents, id, (json_t *)(uintptr_t)rec);
        return true;
    }
    if (clock_parse_iso(text_of(rec, "time"), &at) && at >= s->since_us) {
        const json_t *call = outcome ? json_object_get(s->intents, id) : rec;

        if (call && (outcome || str_eq(kind, "refused") || str_eq(kind, "session")))
            add_line(s, call, rec);
    }
    if (outcome)
        (void)json_object_del(s->intents, id); /* it may be older than what is kept */
    return flush(s, CHUNK);
}

static int send_files(struct sending *s, struct err *err)
{
    const char *dir = audit_dir();
    unsigned first, last;

    if (auditlog_files(dir, &first, &last) != 0)
        return err_set(err, ERR_INTERNAL_ERROR, "the audit log cannot be listed");
    for (unsigned i = first; i && i <= last && !s->broken; i++) {
        AUTO(free_str) char *name = auditlog_file_name(i);
        AUTO(free_str) char *path = str_fmt("%s/%s", dir, name);

        s->text.max = RAW_MAX;
        if (io_read_file(path, &s->text) != 0) {
            buf_clear(&s->text);
            return err_set(err, ERR_INTERNAL_ERROR,
                           "a file of the audit log cannot be read");
        }
        (void)flush(s, 1);
    }
    return 0;
}

static void answer(struct exchange *x, struct auth *a, bool json, int64_t since_us)
{
    AUTO(err_done) struct err err = { 0 };
    struct sending s = { .x = x, .since_us = since_us, .intents = json_object() };
    struct deadline d = serve_deadline(SERVE_ANSWER_US);

    x->close = true; /* its length is not known before */
    if (http_respond_stream(x->conn, x->req, 200,
                            json ? "application/x-ndjson" : "text/plain; charset=utf-8",
                            "Cache-Control: no-store\r\n", UINT64_MAX, &d)
        != 0)
        s.broken = true;
    else if (json ? send_files(&s, &err) : audit_each(add_record, &s, &err))
        s.broken = true;
    if (flush(&s, 1))
        s.broken = http_stream_write(x->conn, x->req, "", 0, &d) != 0;
    if (s.broken && !err.code)
        (void)err_set(&err, ERR_INTERNAL_ERROR, "the connection broke");
    buf_done(&s.text);
    json_decref(s.intents);
    auth_failed(a, &err);
    if (a->has_task)
        task_end(&a->task, "", &err);
}

void http_audit_get(struct exchange *x)
{
    AUTO(auth_done) struct auth a = { 0 };
    AUTO(err_done) struct err err = { 0 };
    AUTO(free_str) char *since = http_arg(x->req, "since");
    AUTO(free_str) char *format = http_arg(x->req, "format");
    int64_t since_us = 0;

    if (auth_begin(x, ROLES, "http/get_audit_log", &a) != 0)
        return;
    if (since && *since && !clock_parse_iso(since, &since_us)) {
        (void)err_set(&err, ERR_INVALID_VALUE, "since", since);
        auth_refuse(x, &a, 400, &err);
    } else if (format && !str_eq(format, "json") && !str_eq(format, "text")) {
        (void)err_set(&err, ERR_INVALID_VALUE, "format", format);
        auth_refuse(x, &a, 400, &err);
    } else {
        answer(x, &a, str_eq(format, "json"), since_us);
    }
}
