/* SPDX-License-Identifier: Apache-2.0 */
/* Restoring a database from its text. All of it is read and judged before anything changes; then one change set makes the
 * database equal to it, so that a crash leaves the old one or the new one. What follows from the new records (storage
 * attached, operations allowed) is done after it, and by the next start if the daemon dies before. */
#include <errno.h>
#include <expat.h>
#include <stdlib.h>
#include <string.h>

#include "api/errors.h"
#include "base/failpoint.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/vec.h"
#include "ops/boot.h"
#include "ops/dbxml_int.h"
#include "ops/host_ctx.h"
#include "ops/vm.h"

#define CHUNK (64 * 1024)

struct row {
    enum class_id cls;
    struct ref ref;
    void *rec;
};

struct reading {
    XML_Parser parser;
    VEC(struct row) rows;
    struct hash by_ref;            /* struct row, once all are read */
    struct hash by_uuid;           /* the same */
    const struct class_def *table; /* being read; NULL: none of ours */
    unsigned depth;
    bool ended; /* </database> */
    bool ours, redacted;
    struct err err;
};

static void reading_done(struct reading *r)
{
    if (r->parser)
        XML_ParserFree(r->parser);
    for (size_t i = 0; i < r->rows.n; i++)
        record_free(&schema_classes[r->rows.v[i].cls], r->rows.v[i].rec);
    vec_done(&r->rows);
    hash_done(&r->by_ref);
    hash_done(&r->by_uuid);
    err_done(&r->err);
}

static void refuse(struct reading *r, const char *fmt, ...) PRINTF(2, 3);

static void refuse(struct reading *r, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    AUTO(free_str) char *why = str_vfmt(fmt, ap);
    va_end(ap);
    (void)err_set(&r->err, ERR_IMPORT_ERROR, why);
    (void)XML_StopParser(r->parser, XML_FALSE);
}

/* Reading */

static void take_manifest(struct reading *r, const char **attrs)
{
    const char *key = "", *value = "";

    for (; attrs[0]; attrs += 2) {
        if (str_eq(attrs[0], "key"))
            key = attrs[1];
        else if (str_eq(attrs[0], "value"))
            value = attrs[1];
    }
    r->redacted |= str_eq(key, "serai_redacted") && str_eq(value, "true");
    r->ours |= str_eq(key, "serai_version");
    if (str_eq(key, "schema_major_vsn") && !str_eq(value, DBXML_MAJOR)) {
        (void)err_set(&r->err, ERR_RESTORE_INCOMPATIBLE_VERSION);
        (void)XML_StopParser(r->parser, XML_FALSE);
    }
}

/* "name__label" is name_label. */
static const struct field_def *field_of(const struct class_def *cls, const char *name)
{
    char plain[DBXML_NAME_SIZE];
    char *two;

    if (strlen(name) >= sizeof(plain))
        return NULL;
    memcpy(plain, name, strlen(name) + 1);
    two = strstr(plain, "__");
    if (two)
        memmove(two, two + 1, strlen(two));
    return schema_field(cls, plain);
}

static void take_field(struct reading *r, void *rec, const char *name, const char *text)
{
    const struct field_def *f = field_of(r->table, name);
    AUTO(err_done) struct err err = { 0 };
    AUTO(free_ptr) void *tmp = NULL;
    json_t *tree;

    if (!f || !dbxml_field(f))
        return; /* of another version; or follows from others */
    tree = dbxml_value(f->ty, text);
    tmp = mem_alloc(MAX((size_t)f->ty->size, (size_t)1));
    if (!tree || value_decode(f->ty, tree, f->name, tmp, &err) != 0) {
        refuse(r, "%s.%s: \"%.80s\" is no value of it", r->table->name, f->name, text);
    } else {
        value_done(f->ty, record_field(f, rec));
        memcpy(record_field(f, rec), tmp, f->ty->size);
    }
    json_decref(tree);
}

static void take_row(struct reading *r, const char **attrs)
{
    struct row row = { .cls = r->table->id, .rec = record_new(r->table) };

    for (; attrs[0] && !r->err.code; attrs += 2) {
        if (str_eq(attrs[0], "ref")) {
            if (!ref_parse(attrs[1], &row.ref))
                refuse(r, "a reference that is none: \"%.80s\"", attrs[1]);
        } else if (attrs[0][0] != '_') {
            take_field(r, row.rec, attrs[0], attrs[1]);
        }
    }
    if (ref_is_null(&row.ref))
        refuse(r, "an object of %s without a reference", r->table->name);
    vec_push(&r->rows, row);
}

static void XMLCALL on_start(void *arg, const char *name, const char **attrs)
{
    struct reading *r = arg;

    r->depth++;
    if (r->depth == 1 && !str_eq(name, "database"))
        refuse(r, "this is no database but a %.40s", name);
    else if (r->depth == 2)
        r->table = str_eq(name, "table") && attrs[0] && str_eq(attrs[0], "name")
                       ? schema_class(attrs[1])
                       : NULL;
    else if (r->depth == 3 && str_eq(name, "pair"))
        take_manifest(r, attrs);
    else if (r->depth == 3 && str_eq(name, "row") && r->table && dbxml_has(r->table))
        take_row(r, attrs);
    else if (r->depth > 3)
        refuse(r, "an element where none can be: %.40s", name);
}

static void XMLCALL on_end(void *arg, const char *name UNUSED)
{
    struct reading *r = arg;

    r->ended = --r->depth == 0;
}

static void XMLCALL on_doctype(void *arg, const char *name UNUSED, const char *sys UNUSED,
                               const char *pub UNUSED, int internal UNUSED)
{
    refuse(arg, "a document type declaration");
}

static int parse_some(struct reading *r, ssize_t n, struct err *err)
{
    bool broken = XML_ParseBuffer(r->parser, (int)n, n == 0) != XML_STATUS_OK;

    if (r->err.code || (broken && !r->ended)) {
        if (!r->err.code && n == 0)
            (void)err_set(&r->err, ERR_IMPORT_ERROR_PREMATURE_EOF);
        else if (!r->err.code)
            (void)err_set(&r->err, ERR_IMPORT_ERROR,
                          XML_ErrorString(XML_GetErrorCode(r->parser)));
        err_move(err, &r->err);
        return -1;
    }
    return 0;
}

static int read_all(struct reading *r, ssize_t (*read)(void *arg, void *p, size_t n),
                    void *arg, struct err *err)
{
    uint64_t total = 0;

    r->parser = XML_ParserCreate(NULL);
    if (!r->parser)
        abort();
    XML_SetUserData(r->parser, r);
    XML_SetElementHandler(r->parser, on_start, on_end);
    XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
    while (!r->ended) {
        void *p = XML_GetBuffer(r->parser, CHUNK);
        ssize_t n = p ? read(arg, p, CHUNK) : -1;

        if (n < 0)
            return err_set(err, ERR_IMPORT_ERROR_PREMATURE_EOF);
        total += (uint64_t)n;
        if (total > DBXML_MAX_BYTES)
            return err_set(err, ERR_IMPORT_ERROR, "more than 256 MiB");
        if (parse_some(r, n, err) != 0)
            return -1;
    }
    return 0;
}

/* Judging */

static const char *uuid_of(const struct row *row)
{
    const struct class_def *cls = &schema_classes[row->cls];

    if (cls->uuid_field < 0)
        return NULL;
    return *(const char *const *)record_field(&cls->fields[cls->uuid_field], row->rec);
}

static int bad(struct err *err, const char *cls, const char *why)
{
    AUTO(free_str) char *text = str_fmt("%s: %s", cls, why);

    return err_set(err, ERR_IMPORT_ERROR, text);
}

static int index_rows(struct reading *r, struct err *err)
{
    size_t pools = 0, hosts = 0;

    for (size_t i = 0; i < r->rows.n; i++) {
        struct row *row = &r->rows.v[i];
        const char *cls = schema_classes[row->cls].name, *uuid = uuid_of(row);
        struct uuid u;

        pools += row->cls == CLASS_POOL;
        hosts += row->cls == CLASS_HOST;
        if (hash_put(&r->by_ref, &row->ref, sizeof(row->ref), row))
            return bad(err, cls, "two objects have the same reference");
        if (!uuid)
            continue;
        if (!uuid_parse(uuid, &u))
            return bad(err, cls, "an object without a uuid");
        if (hash_put(&r->by_uuid, uuid, UUID_TEXT_SIZE - 1, row))
            return bad(err, cls, "two objects have the same uuid");
    }
    return pools == 1 && hosts == 1 ? 0 : bad(err, "pool", "not one pool of one host");
}

static bool points_nowhere(const struct reading *r, const struct ty *ty,
                           const struct ref *ref)
{
    const struct row *row = hash_get(&r->by_ref, ref, sizeof(*ref));

    /* Tasks and sessions are not in the text. */
    return !ref_is_null(ref) && (!row || row->cls != (enum class_id)ty->cls);
}

/* References to what the text does not hold become null, or leave their set. */
static void mend(const struct reading *r, const struct ty *ty, void *p)
{
    struct set_any *set = p;

    if (ty->kind == TY_REF) {
        if (points_nowhere(r, ty, p))
            *(struct ref *)p = REF_NULL;
    } else if (ty->kind == TY_SET && ty->elem->kind == TY_REF) {
        for (size_t i = 0; i < set->n;) {
            struct ref ref = ((const struct ref *)set->v)[i];

            if (!points_nowhere(r, ty->elem, &ref) || !set_remove(ty, p, &ref))
                i++;
        }
    } else if (ty->kind == TY_MAP && ty->key->kind == TY_REF) {
        for (size_t i = 0; i < set->n;) {
            struct ref ref = *(const struct ref *)map_key(ty, p, i);

            if (!points_nowhere(r, ty->key, &ref) || !map_remove(ty, p, &ref))
                i++;
        }
    }
    if (ty->kind == TY_MAP && ty->elem->kind == TY_REF)
        for (size_t i = 0; i < set->n; i++)
            mend(r, ty->elem, map_val(ty, p, i));
}

static void mend_all(const struct reading *r)
{
    for (size_t i = 0; i < r->rows.n; i++) {
        const struct class_def *cls = &schema_classes[r->rows.v[i].cls];

        for (size_t f = 0; f < cls->n_fields; f++)
            mend(r, cls->fields[f].ty, record_field(&cls->fields[f], r->rows.v[i].rec));
    }
}

/* The network cards that the text knows, and the one that we are reached by. */
static int check_cards(const struct reading *r, struct err *err)
{
    const struct inventory *inv = &host_ctx.inventory;
    const char *management = NULL;
    bool managed = false;

    for (size_t k = 0; k < inv->n_nics && !management; k++)
        if (inv->nics[k].physical && inv->nics[k].ip[0])
            management = inv->nics[k].name;
    for (size_t i = 0; i < r->rows.n; i++) {
        const struct pif_rec *pif = r->rows.v[i].rec;
        bool there = false;

        if (r->rows.v[i].cls != CLASS_PIF || !pif->physical)
            continue;
        for (size_t k = 0; k < inv->n_nics; k++)
            there |= str_eq(inv->nics[k].name, pif->device);
        if (!there)
            return err_set(err, ERR_RESTORE_TARGET_MISSING_DEVICE, pif->device);
        managed |= str_eq(pif->device, management);
    }
    return management && !managed ? err_set(err, ERR_RESTORE_TARGET_MGMT_IF_NOT_IN_BACKUP)
                                  : 0;
}

static int check_halted(struct err *err) REQUIRES(db_mutex)
{
    for (struct db_iter it = db_first(CLASS_VM); it.rec; db_next(&it)) {
        const struct vm_rec *vm = it.rec;
        char text[REF_TEXT_SIZE];

        if ((vm->power_state == VM_POWER_STATE_RUNNING
             || vm->power_state == VM_POWER_STATE_PAUSED || vm->current_operations.n > 0)
            && !vm->is_control_domain) {
            ref_text(&it.ref, text);
            return err_set(err, ERR_VM_BAD_POWER_STATE, text, "halted",
                           vm->power_state == VM_POWER_STATE_PAUSED ? "paused" : "running");
        }
    }
    return 0;
}

/* The same object has the same uuid, or references that clients hold would lead elsewhere. */
static int check_same(const struct reading *r, struct err *err) REQUIRES(db_mutex)
{
    for (size_t i = 0; i < r->rows.n; i++) {
        const struct row *row = &r->rows.v[i];
        const struct class_def *cls = &schema_classes[row->cls];
        enum class_id now = db_class_of(&row->ref);
        const void *rec = db_get(row->cls, &row->ref);

        if (now != CLASS_NONE && now != row->cls)
            return bad(err, cls->name, "a reference of another class's object");
        if (!rec || cls->uuid_field < 0)
            continue;
        if (!str_eq(*(const char *const *)record_field(&cls->fields[cls->uuid_field], rec),
                    uuid_of(row)))
            return bad(err, cls->name, "the same reference with another uuid");
    }
    return 0;
}

/* Making it so */

static void destroy_others(struct tx *tx, const struct reading *r) REQUIRES(db_mutex)
{
    VEC(struct ref) gone = { 0 };

    for (size_t c = 1; c < CLASS_COUNT; c++) {
        if (!dbxml_has(&schema_classes[c]))
            continue;
        for (struct db_iter it = db_first(c); it.rec; db_next(&it))
            if (!hash_get(&r->by_ref, &it.ref, sizeof(it.ref)))
                vec_push(&gone, it.ref);
    }
    for (size_t i = 0; i < gone.n; i++)
        tx_destroy(tx, &gone.v[i]);
    vec_done(&gone);
}

/* With nothing but its uuid: what it refers to may not be there yet. */
static void create_new(struct tx *tx, const struct reading *r) REQUIRES(db_mutex)
{
    for (size_t i = 0; i < r->rows.n; i++) {
        const struct row *row = &r->rows.v[i];
        const struct class_def *cls = &schema_classes[row->cls];
        void *rec;

        if (db_get(row->cls, &row->ref))
            continue;
        rec = record_new(cls);
        if (cls->uuid_field >= 0)
            str_put(record_field(&cls->fields[cls->uuid_field], rec), uuid_of(row));
        (void)tx_create(tx, row->cls, rec, &row->ref);
    }
}

static void set_fields(struct tx *tx, const struct reading *r) REQUIRES(db_mutex)
{
    for (size_t i = 0; i < r->rows.n; i++) {
        const struct row *row = &r->rows.v[i];
        const struct class_def *cls = &schema_classes[row->cls];

        for (unsigned f = 0; f < cls->n_fields; f++)
            if (dbxml_field(&cls->fields[f]) && (int)f != cls->uuid_field)
                tx_set(tx, &row->ref, row->cls, f, record_field(&cls->fields[f], row->rec));
    }
}

/* No machine runs here, whatever ran when the text was made. */
static void halt_all(struct tx *tx, const struct reading *r) REQUIRES(db_mutex)
{
    for (size_t i = 0; i < r->rows.n; i++) {
        const struct vm_rec *vm = r->rows.v[i].rec;

        if (r->rows.v[i].cls == CLASS_VM
            && (vm->power_state == VM_POWER_STATE_RUNNING
                || vm->power_state == VM_POWER_STATE_PAUSED))
            vm_records_halted(tx, &r->rows.v[i].ref);
    }
}

static int apply(struct call *call, const struct reading *r, bool dry_run, struct err *err)
{
    struct tx *tx = call_tx(call);

    if (check_halted(err) != 0 || check_same(r, err) != 0 || dry_run) {
        tx_abort(tx);
        return err->code ? -1 : 0;
    }
    destroy_others(tx, r);
    create_new(tx, r);
    set_fields(tx, r);
    halt_all(tx, r);
    (void)FAILPOINT("dbxml.applied");
    if (tx_commit(tx, err) != 0)
        return -1;
    (void)FAILPOINT("dbxml.committed");
    return boot_restored(err);
}

int dbxml_restore(struct call *call, ssize_t (*read)(void *arg, void *p, size_t n),
                  void *arg, bool dry_run, struct err *err)
{
    AUTO(reading_done) struct reading r = { 0 };

    if (read_all(&r, read, arg, err) != 0)
        return -1;
    if (!r.ours || r.redacted) {
        (void)err_set(err, ERR_RESTORE_INCOMPATIBLE_VERSION);
        return err_detail(err, r.redacted
                                   ? "the text was made for a support bundle: secrets "
                                     "are missing in it"
                                   : "the text was not made by Serai");
    }
    if (index_rows(&r, err) != 0 || check_cards(&r, err) != 0)
        return -1;
    mend_all(&r);
    return apply(call, &r, dry_run, err);
}
