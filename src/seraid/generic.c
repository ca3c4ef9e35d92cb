/* SPDX-License-Identifier: Apache-2.0 */
/* The implicit messages. Reads go from the records to bytes under the lock; writes are one transaction each. Knows no
 * class by name: what a class needs beyond the tables is in its hooks (ops/). */
#include "seraid/generic.h"

#include <stdlib.h>

#include "api/errors.h"
#include "base/mem.h"
#include "model/ops_lock.h"
#include "model/rbac.h"
#include "model/view.h"
#include "ops/ops.h"
#include "seraid/gate.h"

static const struct class_def *class_of(const struct call *call)
{
    return &schema_classes[call->def->cls];
}

static const struct field_def *field_of(const struct call *call)
{
    return &class_of(call)->fields[call->def->field];
}

static void *arg(const struct call *call, void *args, size_t i)
{
    return (char *)args + call->def->params[i].offset;
}

static void answer_void(struct call *call)
{
    enc_value(call->out, call->enc, call->def->result, NULL);
}

/* Reading */

static int get_all(struct call *call, void *args UNUSED, struct err *err UNUSED)
{
    bool first = true;

    enc_array_begin(call->out, call->enc);
    db_lock();
    for (struct db_iter it = db_first(call->def->cls); it.rec; db_next(&it)) {
        if (!view_sees(&call->session, &it.ref))
            continue;
        enc_item_begin(call->out, call->enc, &first);
        enc_ref(call->out, call->enc, &it.ref);
    }
    db_unlock();
    enc_array_end(call->out, call->enc);
    return 0;
}

#define PIECE_MIN \
    512 /* texts of less than that are cheaper to copy than to send from where they are */

/* All records as they are stored, for who sees all of them. Where the answer can take it, it holds what the database keeps. */
static void add_stored(struct call *call) REQUIRES(db_mutex)
{
    struct texts *list = db_encoded_all(call->def->cls, (int)call->enc);
    size_t skip = call->enc == ENC_JSON; /* the first comma */

    if (call->pieces && list->len >= list->n * PIECE_MIN) {
        pieces_add(call->pieces, call->out, list, skip);
        return;
    }
    for (size_t i = 0; i < list->n; i++, skip = 0)
        buf_add(call->out, list->v[i]->p + skip, list->v[i]->len - skip);
}

static void add_seen(struct call *call) REQUIRES(db_mutex)
{
    enum class_id cls = call->def->cls;
    char name[REF_TEXT_SIZE];
    bool first = true;

    for (struct db_iter it = db_first(cls); it.rec; db_next(&it)) {
        if (!view_sees(&call->session, &it.ref))
            continue;
        ref_text(&it.ref, name);
        enc_member_begin(call->out, call->enc, name, &first);
        view_encode(&call->session, cls, &it.ref, (int)call->enc, call->out);
        enc_member_end(call->out, call->enc);
    }
}

static int get_all_records(struct call *call, void *args UNUSED, struct err *err UNUSED)
{
    enc_struct_begin(call->out, call->enc);
    db_lock();
    if (view_as_stored(&call->session, call->def->cls))
        add_stored(call);
    else
        add_seen(call);
    db_unlock();
    enc_struct_end(call->out, call->enc);
    return 0;
}

static int get_record(struct call *call, void *args, struct err *err)
{
    const struct ref *self = arg(call, args, 0);
    bool found;

    db_lock();
    found = view_get(call->def->cls, self) || call_get(call->def->cls, self, err);
    if (found)
        view_encode(&call->session, call->def->cls, self, (int)call->enc, call->out);
    db_unlock();
    return found ? 0 : -1;
}

static int get_by_uuid(struct call *call, void *args, struct err *err)
{
    const char *uuid = *(const char **)arg(call, args, 0);
    struct ref ref;
    bool found;

    db_lock();
    found = view_find_uuid(&call->session, call->def->cls, uuid, &ref);
    db_unlock();
    if (!found)
        return err_set(err, ERR_UUID_INVALID, class_of(call)->name, uuid);
    enc_ref(call->out, call->enc, &ref);
    return 0;
}

static int get_by_name_label(struct call *call, void *args, struct err *err UNUSED)
{
    const char *name = *(const char **)arg(call, args, 0);
    struct ref ref;
    bool first = true;

    enc_array_begin(call->out, call->enc);
    db_lock();
    for (size_t i = 0; db_find_name(call->def->cls, name, i, &ref); i++) {
        if (!view_sees(&call->session, &ref))
            continue;
        enc_item_begin(call->out, call->enc, &first);
        enc_ref(call->out, call->enc, &ref);
    }
    db_unlock();
    enc_array_end(call->out, call->enc);
    return 0;
}

static int get_field(struct call *call, void *args, struct err *err)
{
    const struct field_def *f = field_of(call);
    const struct ref *self = arg(call, args, 0);
    const void *rec;
    void *shown = NULL;

    db_lock();
    rec = view_get(call->def->cls, self);
    if (!rec)
        rec = call_get(call->def->cls, self, err);
    if (rec)
        shown = view_field(&call->session, call->def->cls, self, rec, f->id);
    if (rec)
        enc_value(call->out, call->enc, f->ty, record_field(f, shown ? shown : rec));
    db_unlock();
    if (shown)
        record_free(class_of(call), shown);
    return rec ? 0 : -1;
}

/* Writing */

/* A reference put into a record must name an object. Walks into sets and maps. */
static int check_refs(const struct ty *ty, const void *p, struct err *err)
    REQUIRES(db_mutex)
{
    const struct set_any *set = p;
    char text[REF_TEXT_SIZE];

    if (ty->kind == TY_REF) {
        const struct ref *r = p;

        if (ref_is_null(r) || db_class_of(r) == (enum class_id)ty->cls)
            return 0;
        ref_text(r, text);
        return err_set(err, ERR_HANDLE_INVALID, schema_classes[ty->cls].name, text);
    }
    if (ty->kind != TY_SET && ty->kind != TY_MAP)
        return 0;
    for (size_t i = 0; i < set->n; i++) {
        if (ty->kind == TY_SET) {
            if (check_refs(ty->elem, (const char *)set->v + i * ty->entry, err) != 0)
                return -1;
        } else if (check_refs(ty->key, map_key(ty, p, i), err) != 0
                   || check_refs(ty->elem, map_val(ty, p, i), err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int duplicate_key(const struct call *call, const struct ref *self,
                         const struct field_def *f, const void *key, struct err *err)
{
    char text[REF_TEXT_SIZE];
    AUTO(buf_done) struct buf k = BUF_INIT(0);

    ref_text(self, text);
    if (f->ty->key->kind == TY_STRING)
        buf_add_str(&k, *(const char *const *)key);
    else if (f->ty->key->kind == TY_ENUM)
        buf_add_str(&k, f->ty->key->enm->values[*(const int *)key]);
    else
        enc_value(&k, ENC_JSON, f->ty->key, key);
    return err_set(err, ERR_MAP_DUPLICATE_KEY, class_of(call)->name, f->name, text,
                   buf_str(&k));
}

/* Change value, a copy of the field, as the call asks. */
static int change(struct call *call, void *args, const struct field_def *f, void *value,
                  struct err *err)
{
    void *a = arg(call, args, 1);

    switch (call->def->kind) {
    case CALL_KIND_SET_FIELD:
        value_done(f->ty, value);
        value_copy(f->ty, value, a);
        return 0;
    case CALL_KIND_ADD_TO:
        if (map_find(f->ty, value, a) != SIZE_MAX)
            return duplicate_key(call, arg(call, args, 0), f, a, err);
        (void)map_put(f->ty, value, a, arg(call, args, 2)); /* new: just looked */
        return 0;
    case CALL_KIND_REMOVE_FROM:
        (void)map_remove(f->ty, value, a); /* an absent key is no error */
        return 0;
    case CALL_KIND_ADD:
        (void)set_add(f->ty, value, a); /* one that is there stays */
        return 0;
    default:
        (void)set_remove(f->ty, value, a); /* CALL_KIND_REMOVE; an absent one is no error */
        return 0;
    }
}

/* The object is not there, as err says; but a caller who may not write the keys learns of that first. */
static int gate_unknown(struct call *call, void *args, const struct field_def *f,
                        struct err *err) REQUIRES(db_mutex)
{
    AUTO(err_done) struct err denied = { 0 };
    struct set_any none = { 0 };

    if (call->def->kind == CALL_KIND_SET_FIELD && f->ty->kind == TY_MAP
        && gate_keys(call->def, &call->session, &none, arg(call, args, 1), &denied) != 0) {
        err_done(err);
        err_move(err, &denied);
    }
    return -1;
}

static int write_in_tx(struct call *call, void *args, struct tx *tx, struct err *err)
    REQUIRES(db_mutex)
{
    const struct field_def *f = field_of(call);
    const struct ops_class_hooks *hooks = ops_hooks(call->def->cls);
    const struct ref *self = arg(call, args, 0);
    const void *rec = call_get(call->def->cls, self, err), *old;
    void *value;
    int rc;

    if (!rec)
        return gate_unknown(call, args, f, err);
    old = record_field(f, rec);
    value = mem_alloc(MAX(f->ty->size, (uint16_t)1));
    value_copy(f->ty, value, old);
    rc = change(call, args, f, value, err);
    if (rc == 0 && call->def->kind == CALL_KIND_SET_FIELD && f->ty->kind == TY_MAP)
        rc = gate_keys(call->def, &call->session, old, value, err);
    if (rc == 0 && !value_eq(f->ty, old, value)) {
        rc = check_refs(f->ty, value, err);
        if (rc == 0 && hooks->check_set)
            rc = hooks->check_set(call, self, f->id, value, err);
        if (rc == 0) {
            tx_set(tx, self, call->def->cls, f->id, value);
            if (hooks->refresh_on_set)
                op_refresh(tx, call->def->cls, self);
        }
    }
    value_done(f->ty, value);
    free(value);
    return rc;
}

/* Before the object is looked at: what a refused caller could learn from it is nothing. */
static int gate_one_key(const struct call *call, void *args, struct err *err)
{
    bool one = call->def->kind == CALL_KIND_ADD_TO
               || call->def->kind == CALL_KIND_REMOVE_FROM;

    if (!one || call->def->params[1].ty->kind != TY_STRING)
        return 0;
    return gate_key(call->def, &call->session, *(const char **)arg(call, args, 1), err);
}

static int write_field(struct call *call, void *args, struct err *err)
{
    const struct ops_class_hooks *hooks = ops_hooks(call->def->cls);
    struct tx *tx;

    if (gate_one_key(call, args, err) != 0)
        return -1;
    tx = call_tx(call);
    if (write_in_tx(call, args, tx, err) != 0) {
        tx_abort(tx);
        return -1;
    }
    if (tx_commit(tx, err) != 0)
        return -1;
    if (hooks->after_set
        && hooks->after_set(call, arg(call, args, 0), field_of(call)->id, err) != 0)
        return -1;
    answer_void(call);
    return 0;
}

/* What a caller may not choose (RO fields) starts at its default. */
static void reset_ro_fields(const struct class_def *cls, void *rec)
{
    void *fresh = record_new(cls);

    for (size_t i = 0; i < cls->n_fields; i++) {
        const struct field_def *f = &cls->fields[i];

        if (f->access != ACCESS_RO)
            continue;
        value_done(f->ty, record_field(f, rec));
        value_copy(f->ty, record_field(f, rec), record_field(f, fresh));
    }
    record_free(cls, fresh);
}

static int check_record_refs(const struct class_def *cls, const void *rec, struct err *err)
    REQUIRES(db_mutex)
{
    for (size_t i = 0; i < cls->n_fields; i++) {
        if (check_refs(cls->fields[i].ty, record_field(&cls->fields[i], rec), err) != 0)
            return -1;
    }
    return 0;
}

static int create_by_table(struct call *call, void *rec, struct ref *ref_out,
                           struct err *err)
{
    struct tx *tx = call_tx(call);
    struct ref ref;

    if (check_record_refs(class_of(call), rec, err) != 0) {
        tx_abort(tx);
        record_free(class_of(call), rec);
        return -1;
    }
    ref = tx_create(tx, call->def->cls, rec, NULL);
    if (ops_hooks(call->def->cls)->refresh_on_set)
        op_refresh(tx, call->def->cls, &ref);
    if (tx_commit(tx, err) != 0)
        return -1;
    *ref_out = ref;
    return 0;
}

int generic_create(struct call *call, void *rec, struct ref *ref_out, struct err *err)
{
    const struct ops_class_hooks *hooks = ops_hooks(call->def->cls);
    int rc;

    if (!hooks->create)
        return create_by_table(call, rec, ref_out, err);
    db_lock();
    rc = check_record_refs(class_of(call), rec, err);
    db_unlock();
    if (rc == 0)
        return hooks->create(call, rec, ref_out, err);
    record_free(class_of(call), rec);
    return -1;
}

static int create(struct call *call, void *args, struct err *err)
{
    void **slot = arg(call, args, 0);
    void *rec = TAKE(*slot);
    struct ref ref;

    reset_ro_fields(class_of(call), rec);
    if (rbac_check_record(&call->session, call->def->cls, rec, err) != 0) {
        record_free(class_of(call), rec);
        return -1;
    }
    if (generic_create(call, rec, &ref, err) != 0)
        return -1;
    enc_ref(call->out, call->enc, &ref);
    return 0;
}

int generic_destroy(struct call *call, const struct ref *self, struct err *err)
{
    const struct ops_class_hooks *hooks = ops_hooks(call->def->cls);
    struct tx *tx;

    if (hooks->destroy)
        return hooks->destroy(call, self, err);
    tx = call_tx(call);
    if (!call_get(call->def->cls, self, err)) {
        tx_abort(tx);
        return -1;
    }
    tx_destroy(tx, self);
    return tx_commit(tx, err);
}

static int destroy(struct call *call, void *args, struct err *err)
{
    if (generic_destroy(call, arg(call, args, 0), err) != 0)
        return -1;
    answer_void(call);
    return 0;
}

int generic_call(struct call *call, void *args, struct err *err)
{
    static int (*const serve[])(struct call *, void *, struct err *) = {
        [CALL_KIND_GET_ALL] = get_all,
        [CALL_KIND_GET_ALL_RECORDS] = get_all_records,
        [CALL_KIND_GET_RECORD] = get_record,
        [CALL_KIND_GET_BY_UUID] = get_by_uuid,
        [CALL_KIND_GET_BY_NAME_LABEL] = get_by_name_label,
        [CALL_KIND_GET_FIELD] = get_field,
        [CALL_KIND_SET_FIELD] = write_field,
        [CALL_KIND_ADD_TO] = write_field,
        [CALL_KIND_REMOVE_FROM] = write_field,
        [CALL_KIND_ADD] = write_field,
        [CALL_KIND_REMOVE] = write_field,
        [CALL_KIND_CREATE] = create,
        [CALL_KIND_DESTROY] = destroy,
    };

    return serve[call->def->kind](call, args, err);
}
