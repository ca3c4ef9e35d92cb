/* SPDX-License-Identifier: Apache-2.0 */
/* Writing. Values are texts as XenServer's database has them: sets ('a' 'b'), maps (('k' 'v')), numbers and names as they
 * are; white space that XML would lose is %-escaped; a field of a name space has two underscores behind it. Reading is
 * dbxml_read.c. The lock is held for the whole text: a backup is of one moment (30 ms for 1,000 VMs). */
#include "ops/dbxml.h"

#include <string.h>

#include "base/mem.h"
#include "model/history.h"
#include "ops/dbxml_int.h"
#include "ops/host_ctx.h"

bool dbxml_has(const struct class_def *cls)
{
    return cls->is_object && !cls->is_volatile && cls->id != CLASS_TASK
           && cls->id != CLASS_SESSION;
}

bool dbxml_field(const struct field_def *f)
{
    return !f->is_volatile && f->inverse_class == 0;
}

/* Fields that XenServer keeps in a name space of their own. */
void dbxml_field_name(const char *name, char out[static DBXML_NAME_SIZE])
{
    static const char *const spaces[] = { "name", "memory",      "VCPUs", "actions", "PV",
                                          "HVM",  "API_version", "qos",   "status" };

    (void)snprintf(out, DBXML_NAME_SIZE, "%s", name);
    for (size_t i = 0; i < ARRAY_SIZE(spaces); i++) {
        size_t n = strlen(spaces[i]);

        if (strncmp(name, spaces[i], n) == 0 && name[n] == '_') {
            (void)snprintf(out, DBXML_NAME_SIZE, "%s__%s", spaces[i], name + n + 1);
            return;
        }
    }
}

/* A text as an attribute: what an XML parser would change is escaped before XML's own escapes. */
static void add_attribute_text(struct buf *out, const char *s)
{
    char piece[2] = "";
    const char *begin = s;

    for (; *s; s++) {
        bool blank = *s == ' ' && (s == begin || s[-1] == ' ' || s[1] == '\0');

        if (*s == '%' || *s == '\n' || *s == '\r' || *s == '\t' || blank) {
            buf_add_char(out, '%');
            buf_add_char(out, *s == '\n'   ? 'n'
                              : *s == '\r' ? 'r'
                              : *s == '\t' ? 't'
                              : *s == ' '  ? '.'
                                           : '%');
            continue;
        }
        if (*s == '"') {
            buf_add_str(out, "&quot;");
            continue;
        }
        if ((*s & 0x80) == 0) {
            piece[0] = *s;
            enc_xml_text(out, piece);
        } else {
            buf_add_char(out, *s); /* texts here are UTF-8 */
        }
    }
}

static void add_quoted(struct buf *out, const char *s)
{
    buf_add_char(out, '\'');
    for (; *s; s++) {
        if (*s == '\'' || *s == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, *s);
    }
    buf_add_char(out, '\'');
}

static bool is_secret_key(const char *key)
{
    static const char *const words[] = { "passw", "secret", "token", "credential",
                                         "authpass" };

    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (strcasestr(key, words[i]))
            return true;
    return false;
}

static void add_text(struct buf *out, const struct ty *ty, const void *p, bool redact);

/* A member of a set or map: a text in quotes, or a list. */
static void add_member(struct buf *out, const struct ty *ty, const void *p, bool redact)
{
    AUTO(buf_done) struct buf text = BUF_INIT(0);

    add_text(&text, ty, p, redact);
    if (ty->kind == TY_SET || ty->kind == TY_MAP)
        buf_add(out, buf_str(&text), text.len);
    else
        add_quoted(out, buf_str(&text));
}

static void add_map(struct buf *out, const struct ty *ty, const void *p, bool redact)
{
    const struct set_any *map = p;

    buf_add_char(out, '(');
    for (size_t i = 0; i < map->n; i++) {
        const void *key = map_key(ty, p, i);
        bool hide = redact && ty->key->kind == TY_STRING
                    && is_secret_key(*(const char *const *)key);

        buf_add_str(out, i ? " (" : "(");
        add_member(out, ty->key, key, redact);
        buf_add_char(out, ' ');
        if (hide)
            buf_add_str(out, "'REDACTED'");
        else
            add_member(out, ty->elem, map_val(ty, p, i), redact);
        buf_add_char(out, ')');
    }
    buf_add_char(out, ')');
}

static void add_set(struct buf *out, const struct ty *ty, const void *p, bool redact)
{
    const struct set_any *set = p;

    buf_add_char(out, '(');
    for (size_t i = 0; i < set->n; i++) {
        if (i)
            buf_add_char(out, ' ');
        add_member(out, ty->elem, (const char *)set->v + i * ty->entry, redact);
    }
    buf_add_char(out, ')');
}

static void add_text(struct buf *out, const struct ty *ty, const void *p, bool redact)
{
    char text[REF_TEXT_SIZE];

    switch (ty->kind) {
    case TY_STRING: buf_add_str(out, *(const char *const *)p); return;
    case TY_INT: buf_add_int(out, *(const int64_t *)p); return;
    case TY_FLOAT: buf_addf(out, "%.17g", *(const double *)p); return;
    case TY_BOOL: buf_add_str(out, *(const bool *)p ? "true" : "false"); return;
    case TY_ENUM: buf_add_str(out, ty->enm->values[*(const int *)p]); return;
    case TY_DATETIME:
        clock_iso(*(const int64_t *)p, text);
        buf_add_str(out, text);
        return;
    case TY_REF:
        ref_text(p, text);
        buf_add_str(out, text);
        return;
    case TY_SET: add_set(out, ty, p, redact); return;
    case TY_MAP: add_map(out, ty, p, redact); return;
    default: return; /* no stored field is of another kind (dbxml_test.c) */
    }
}

static void add_row(struct buf *out, const struct class_def *cls, const struct ref *ref,
                    const void *rec, bool redact)
{
    char text[REF_TEXT_SIZE], name[DBXML_NAME_SIZE];

    ref_text(ref, text);
    buf_addf(out, "<row ref=\"%s\" _ref=\"%s\"", text, text);
    for (size_t i = 0; i < cls->n_fields; i++) {
        AUTO(buf_done) struct buf value = BUF_INIT(0);

        if (!dbxml_field(&cls->fields[i]))
            continue;
        add_text(&value, cls->fields[i].ty, record_field(&cls->fields[i], rec), redact);
        dbxml_field_name(cls->fields[i].name, name);
        buf_addf(out, " %s=\"", name);
        add_attribute_text(out, buf_str(&value));
        buf_add_char(out, '"');
    }
    buf_add_str(out, "/>");
}

static void add_manifest(struct buf *out, bool redact)
{
    const struct {
        const char *key, *value;
    } pairs[] = {
        { "schema_major_vsn", DBXML_MAJOR },
        { "schema_minor_vsn", DBXML_MINOR },
        { "product_brand", host_ctx.brand->product_brand },
        { "product_version", host_ctx.brand->product_version },
        { "serai_version", SERAI_VERSION },
        { "serai_redacted", redact ? "true" : "false" },
    };

    buf_add_str(out, "<manifest>");
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
        buf_addf(out, "<pair key=\"%s\" value=\"%s\"/>", pairs[i].key, pairs[i].value);
}

void dbxml_write(struct buf *out, bool redact)
{
    buf_add_str(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<database>");
    add_manifest(out, redact);
    db_lock();
    buf_addf(out, "<pair key=\"generation_count\" value=\"%llu\"/></manifest>",
             (unsigned long long)db_generation());
    for (size_t c = 1; c < CLASS_COUNT; c++) {
        const struct class_def *cls = &schema_classes[c];

        if (!dbxml_has(cls)
            || (redact
                && (c == CLASS_SECRET || c == CLASS_SERAI_TOKEN
                    || c == CLASS_SERAI_RECYCLED)))
            continue;
        buf_addf(out, "\n<table name=\"%s\">", cls->name);
        for (struct db_iter it = db_first(c); it.rec; db_next(&it))
            add_row(out, cls, &it.ref, it.rec, redact);
        buf_add_str(out, "</table>");
    }
    db_unlock();
    buf_add_str(out, "</database>\n");
}
