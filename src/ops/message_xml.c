/* SPDX-License-Identifier: Apache-2.0 */
/* Several root elements follow one another, which no XML parser takes: reading gives the parser a root of its own around
 * them. Any thread. */
#include "ops/message_xml.h"

#include <expat.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/errors.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/vec.h"
#include "ops/message.h"

#define TEXT_MAX ((size_t)16 << 20)

static const enum class_id classes[] = { [CLS_VM] = CLASS_VM,
                                         [CLS_HOST] = CLASS_HOST,
                                         [CLS_SR] = CLASS_SR,
                                         [CLS_POOL] = CLASS_POOL,
                                         [CLS_VDI] = CLASS_VDI };

static const struct field_def *field(unsigned f)
{
    return &schema_classes[CLASS_MESSAGE].fields[f];
}

static const char *cls_name(int cls)
{
    return field(F_MESSAGE_CLS)->ty->enm->values[cls];
}

int message_about(const char *cls, const char *uuid, struct message_about *out,
                  struct err *err)
{
    struct message_about a = { .one = true, .cls = CLS_VM };
    struct ref ref;
    bool found;

    if (!uuid) {
        *out = (struct message_about){ 0 };
        return cls ? err_set(err, ERR_INVALID_VALUE, "uuid", "") : 0;
    }
    while (cls && strcasecmp(cls, cls_name(a.cls)) != 0) {
        if (++a.cls >= field(F_MESSAGE_CLS)->ty->enm->n)
            return err_set(err, ERR_INVALID_VALUE, "cls", cls);
    }
    if ((size_t)a.cls >= ARRAY_SIZE(classes) || classes[a.cls] == CLASS_NONE)
        return err_set(err, ERR_INVALID_VALUE, "cls", cls ? cls : "");
    db_lock();
    found = strlen(uuid) == UUID_TEXT_SIZE - 1 && db_find_uuid(classes[a.cls], uuid, &ref);
    db_unlock();
    if (!found)
        return err_set(err, ERR_UUID_INVALID, schema_classes[classes[a.cls]].name, uuid);
    memcpy(a.uuid, uuid, UUID_TEXT_SIZE);
    *out = a;
    return 0;
}

static void add(struct buf *out, const char *name, const char *text)
{
    buf_addf(out, "<%s>", name);
    enc_xml_text(out, text);
    buf_addf(out, "</%s>", name);
}

static void add_message(struct buf *out, const struct ref *ref, const struct message_rec *m)
{
    char text[REF_TEXT_SIZE], date[20];
    AUTO(free_str) char *priority = str_fmt("%lld", (long long)m->priority);

    ref_text(ref, text);
    clock_iso(m->timestamp, date);
    buf_add_str(out, "<message>");
    add(out, "ref", text);
    add(out, "name", m->name);
    add(out, "priority", priority);
    add(out, "cls", cls_name(m->cls));
    add(out, "obj_uuid", m->obj_uuid);
    add(out, "timestamp", date);
    add(out, "uuid", m->uuid);
    add(out, "body", m->body);
    buf_add_str(out, "</message>");
}

void message_xml_write(const struct message_about *about, struct buf *out)
{
    db_lock();
    for (struct db_iter it = db_first(CLASS_MESSAGE); it.rec; db_next(&it)) {
        const struct message_rec *m = it.rec;

        if (!about->one || (m->cls == about->cls && str_eq(m->obj_uuid, about->uuid)))
            add_message(out, &it.ref, m);
    }
    db_unlock();
}

/* Reading */

/* Each message may come with an XML declaration of its own: blanks stand in its place. */
static void blank_declarations(struct buf *all)
{
    char *p = all->data ? strstr(all->data, "<?xml ") : NULL;
    char *end = p ? strstr(p, "?>") : NULL;

    while (p && end) {
        memset(p, ' ', (size_t)(end + 2 - p));
        p = strstr(end + 2, "<?xml ");
        end = p ? strstr(p, "?>") : NULL;
    }
}

struct reading {
    XML_Parser parser;
    struct buf text; /* of the element being read */
    struct message_rec *now;
    VEC(struct message_rec *) all;
    unsigned depth;
    const char *why; /* it is refused; NULL: it is not */
};

static void reading_done(struct reading *r)
{
    if (r->parser)
        XML_ParserFree(r->parser);
    buf_done(&r->text);
    record_free(&schema_classes[CLASS_MESSAGE], r->now);
    for (size_t i = 0; i < r->all.n; i++)
        record_free(&schema_classes[CLASS_MESSAGE], r->all.v[i]);
    vec_done(&r->all);
}

static void refuse(struct reading *r, const char *why)
{
    r->why = r->why ? r->why : why;
    (void)XML_StopParser(r->parser, XML_FALSE);
}

static void XMLCALL on_start(void *arg, const char *name, const char **attrs UNUSED)
{
    struct reading *r = arg;

    buf_clear(&r->text);
    if (++r->depth == 2 && !r->now && str_eq(name, "message"))
        r->now = record_new(&schema_classes[CLASS_MESSAGE]);
    else if (r->depth == 2 || r->depth > 3)
        refuse(r, "an element that is no message");
}

static void take(struct reading *r, const char *name)
{
    static const struct {
        const char *name;
        unsigned field;
    } rows[] = { { "name", F_MESSAGE_NAME },
                 { "priority", F_MESSAGE_PRIORITY },
                 { "cls", F_MESSAGE_CLS },
                 { "obj_uuid", F_MESSAGE_OBJ_UUID },
                 { "timestamp", F_MESSAGE_TIMESTAMP },
                 { "uuid", F_MESSAGE_UUID },
                 { "body", F_MESSAGE_BODY } };
    AUTO(err_done) struct err err = { 0 };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct field_def *f = field(rows[i].field);
        void *at = record_field(f, r->now);
        json_t *j;

        if (!str_eq(name, rows[i].name))
            continue;
        j = json_string(buf_str(&r->text));
        value_done(f->ty, at);
        value_init(f->ty, at);
        if (!j || value_decode(f->ty, j, f->name, at, &err) != 0)
            refuse(r, "a value that is none");
        json_decref(j);
    }
}

static void XMLCALL on_end(void *arg, const char *name)
{
    struct reading *r = arg;

    if (r->why)
        return;
    if (r->depth == 3 && r->now)
        take(r, name);
    else if (r->depth == 2 && r->now)
        vec_push(&r->all, TAKE(r->now));
    if (r->all.n > MESSAGE_LIMIT)
        refuse(r, "too many messages");
    buf_clear(&r->text);
    r->depth--;
}

static void XMLCALL on_text(void *arg, const char *text, int len)
{
    struct reading *r = arg;

    buf_add(&r->text, text, (size_t)len);
    if (buf_overflow(&r->text))
        refuse(r, "a text that is too long");
}

static void XMLCALL on_doctype(void *arg, const char *name UNUSED, const char *sys UNUSED,
                               const char *pub UNUSED, int internal UNUSED)
{
    refuse(arg, "a document type declaration");
}

static int parse(struct reading *r, const struct buf *all, struct err *err)
{
    static const char open[] = "<m>", close[] = "</m>";

    r->parser = XML_ParserCreate("UTF-8");
    if (!r->parser)
        abort();
    r->text.max = (size_t)64 * 1024;
    XML_SetUserData(r->parser, r);
    XML_SetElementHandler(r->parser, on_start, on_end);
    XML_SetCharacterDataHandler(r->parser, on_text);
    XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
    if (XML_Parse(r->parser, open, sizeof(open) - 1, 0) == XML_STATUS_OK
        && XML_Parse(r->parser, buf_str(all), (int)all->len, 0) == XML_STATUS_OK
        && XML_Parse(r->parser, close, sizeof(close) - 1, 1) == XML_STATUS_OK)
        return 0;
    return err_set(err, ERR_IMPORT_ERROR,
                   r->why ? r->why : XML_ErrorString(XML_GetErrorCode(r->parser)));
}

static int receive(ssize_t (*read)(void *arg, void *p, size_t n), void *arg,
                   struct buf *out, struct err *err)
{
    for (;;) {
        void *p = buf_reserve(out, 65536);
        ssize_t n = p ? read(arg, p, 65536) : 0;

        if (!p)
            return err_set(err, ERR_IMPORT_ERROR, "more than 16 MiB");
        if (n < 0)
            return err_set(err, ERR_IMPORT_ERROR_PREMATURE_EOF);
        if (n == 0)
            return 0;
        out->len += (size_t)n;
    }
}

static bool wanted(const struct message_about *about, const struct message_rec *m)
    REQUIRES(db_mutex)
{
    struct uuid u;
    struct ref ref;

    return m->cls == about->cls && str_eq(m->obj_uuid, about->uuid)
           && uuid_parse(m->uuid, &u) && !db_find_uuid(CLASS_MESSAGE, m->uuid, &ref);
}

int message_xml_read(struct call *call, const struct message_about *about,
                     ssize_t (*read)(void *arg, void *p, size_t n), void *arg,
                     struct err *err)
{
    AUTO(buf_done) struct buf all = BUF_INIT(TEXT_MAX);
    AUTO(reading_done) struct reading r = { 0 };
    struct tx *tx;

    if (receive(read, arg, &all, err) != 0)
        return -1;
    blank_declarations(&all);
    if (parse(&r, &all, err) != 0)
        return -1;
    tx = call_tx(call);
    for (size_t i = 0; i < r.all.n && db_count(CLASS_MESSAGE) < MESSAGE_LIMIT; i++)
        if (wanted(about, r.all.v[i]))
            (void)tx_create(tx, CLASS_MESSAGE, TAKE(r.all.v[i]), NULL);
    return tx_commit(tx, err);
}
