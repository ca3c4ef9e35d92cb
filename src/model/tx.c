/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions: each step changes memory at once and notes how to undo it. A step is undone only when all
 * later steps (of this and of later transactions) have been undone, so every note may rely on memory being
 * just as it was when the note was made.
 *
 * One transaction is open at a time: its thread holds db_mutex from tx_begin to tx_commit. After that it
 * lives in the queue (db_commit.c) until it is durable or undone; the committing thread frees it.
 * Thread: any, under db_mutex. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/uuid.h"
#include "model/db_int.h"

struct tx *tx_begin(const struct tx_who *who)
{
    struct tx *tx = mem_alloc(sizeof(*tx));
    tx->user = str_dup(who->user);
    tx->call = str_dup(who->call);
    if (who->task)
        tx->task = *who->task;
    db_lock();
    assert(db.open);
    tx->gen = db.generation + 1;
    return tx;
}

/* Notes */

static struct undo *note(struct tx *tx, enum undo_kind kind, struct obj *o)
{
    struct undo u = { .kind = (uint8_t)kind, .obj = o, .cls = o ? o->cls : 0 };
    vec_push(&tx->undo, u);
    return &tx->undo.v[tx->undo.n - 1];
}

static struct tx_obj *slot_new(struct tx *tx, struct obj *o)
{
    struct tx_obj s = { .obj = o };
    vec_push(&tx->objs, s);
    o->touch_gen = tx->gen;
    o->touch_slot = tx->objs.n - 1;
    if (!schema_classes[o->cls].untracked)
        tx->tracked = true;
    return &tx->objs.v[o->touch_slot];
}

/* Every change of an object begins here: it moves to the end of the change list. */
static struct tx_obj *touch(struct tx *tx, struct obj *o) REQUIRES(db_mutex)
{
    db_index_drop_encoded(o);
    if (o->touch_gen == tx->gen)
        return &tx->objs.v[o->touch_slot];
    db_see(o->modified);
    struct undo *u = note(tx, UNDO_TOUCH, o);
    u->gen = o->modified;
    u->changes_prev = o->in_changes.prev;
    o->modified = tx->gen;
    if (!schema_classes[o->cls].untracked) {
        list_remove(&o->in_changes);
        list_add_tail(&db.changes, &o->in_changes);
    }
    return slot_new(tx, o);
}

static void note_shape(struct tx *tx, unsigned cls) REQUIRES(db_mutex)
{
    if (db.cls[cls].shape_gen == tx->gen)
        return;
    struct undo *u = note(tx, UNDO_SHAPE, NULL);
    u->cls = (uint16_t)cls;
    u->gen = db.cls[cls].shape_gen;
    db.cls[cls].shape_gen = tx->gen;
}

/* Inverse sets */

static void inverse_insert(struct set_any *set, size_t at, const struct ref *ref)
{
    set->v = mem_resize(set->v, set->n + 1, sizeof(struct ref));
    struct ref *v = set->v;
    memmove(&v[at + 1], &v[at], (set->n - at) * sizeof(*v));
    v[at] = *ref;
    set->n++;
}

static void inverse_delete(struct set_any *set, size_t at)
{
    struct ref *v = set->v;
    memmove(&v[at], &v[at + 1], (set->n - at - 1) * sizeof(*v));
    if (--set->n == 0) {
        free(set->v);
        set->v = NULL;
    }
}

static void inverse_add(struct tx *tx, const struct obj *o, unsigned field,
                        const struct ref *to) REQUIRES(db_mutex)
{
    struct obj *target;
    struct set_any *set = db_index_inverse(o, field, to, &target);
    if (!set)
        return;
    (void)touch(tx, target);
    struct undo *u = note(tx, UNDO_INVERSE_ADD, target);
    u->field = (uint16_t)db.cls[o->cls].inverse[field];
    u->ref = o->ref;
    inverse_insert(set, set->n, &o->ref);
}

static void inverse_remove(struct tx *tx, const struct obj *o, unsigned field,
                           const struct ref *from) REQUIRES(db_mutex)
{
    struct obj *target;
    struct set_any *set = db_index_inverse(o, field, from, &target);
    if (!set)
        return;
    const struct ref *v = set->v;
    for (size_t i = set->n; i-- > 0;) {
        if (!ref_eq(&v[i], &o->ref))
            continue;
        (void)touch(tx, target);
        struct undo *u = note(tx, UNDO_INVERSE_REMOVE, target);
        u->field = (uint16_t)db.cls[o->cls].inverse[field];
        u->ref = o->ref;
        u->at = i;
        inverse_delete(set, i);
        return;
    }
}

/* Fields */

static const struct field_def *field_of(const struct obj *o, unsigned field)
{
    assert(field < schema_classes[o->cls].n_fields);
    return &schema_classes[o->cls].fields[field];
}

static void *storage_new(const struct ty *ty)
{
    return mem_alloc(MAX((size_t)ty->size, (size_t)1));
}

static void storage_free(const struct ty *ty, void *p)
{
    if (!p)
        return;
    value_done(ty, p);
    free(p);
}

/* Put a new value (heap storage, taken) into a field. */
static void field_give(struct tx *tx, struct obj *o, unsigned field, void *value)
    REQUIRES(db_mutex)
{
    const struct field_def *f = field_of(o, field);
    assert(f->inverse_class == CLASS_NONE); /* kept by the database alone */
    void *at = record_field(f, o->rec);
    if (value_eq(f->ty, at, value)) {
        storage_free(f->ty, value);
        return;
    }
    struct tx_obj *s = touch(tx, o);
    uint64_t bit = UINT64_C(1) << field % 64;
    bool first = !(s->fields[field / 64] & bit);
    s->fields[field / 64] |= bit;
    if (!f->is_volatile && !schema_classes[o->cls].is_volatile)
        s->stored = true;
    bool named = db_index_named(o, field);
    if (named) {
        note_shape(tx, o->cls);
        db_index_names_remove(o);
    }
    struct ref old_ref = REF_NULL, new_ref = REF_NULL;
    if (f->ty->kind == TY_REF) {
        old_ref = *(struct ref *)at;
        new_ref = *(struct ref *)value;
    }
    if (first) {
        struct undo *u = note(tx, UNDO_FIELD, o);
        u->field = (uint16_t)field;
        u->old = storage_new(f->ty);
        memcpy(u->old, at, f->ty->size);
    } else {
        value_done(f->ty, at);
    }
    memcpy(at, value, f->ty->size);
    free(value);
    if (named)
        db_index_names_add(o);
    if (f->ty->kind == TY_REF) {
        inverse_remove(tx, o, field, &old_ref);
        inverse_add(tx, o, field, &new_ref);
    }
}

static struct obj *must_get(const struct ref *ref, enum class_id cls) REQUIRES(db_mutex)
{
    struct obj *o = db_index_get(ref);
    assert(o && o->cls == cls);
    return o;
}

static void *field_copy(const struct obj *o, unsigned field)
{
    const struct field_def *f = field_of(o, field);
    void *p = storage_new(f->ty);
    value_copy(f->ty, p, record_field(f, o->rec));
    return p;
}

void tx_set(struct tx *tx, const struct ref *ref, enum class_id cls, unsigned field,
            const void *value)
{
    struct obj *o = must_get(ref, cls);
    const struct field_def *f = field_of(o, field);
    if (value_eq(f->ty, record_field(f, o->rec), value))
        return;
    void *copy = storage_new(f->ty);
    value_copy(f->ty, copy, value);
    field_give(tx, o, field, copy);
}

static void set_kind(struct tx *tx, const struct ref *ref, enum class_id cls,
                     unsigned field, enum ty_kind kind, const void *value)
    REQUIRES(db_mutex)
{
    assert(schema_classes[cls].fields[field].ty->kind == kind);
    (void)kind;
    tx_set(tx, ref, cls, field, value);
}

void tx_set_str(struct tx *tx, const struct ref *ref, enum class_id cls, unsigned field,
                const char *value)
{
    const char *v = value ? value : value_empty;
    set_kind(tx, ref, cls, field, TY_STRING, &v);
}

void tx_set_int(struct tx *tx, const struct ref *ref, enum class_id cls, unsigned field,
                int64_t value)
{
    assert(schema_classes[cls].fields[field].ty->kind == TY_INT
           || schema_classes[cls].fields[field].ty->kind == TY_DATETIME);
    tx_set(tx, ref, cls, field, &value);
}

void tx_set_bool(struct tx *tx, const struct ref *ref, enum class_id cls, unsigned field,
                 bool value)
{
    set_kind(tx, ref, cls, field, TY_BOOL, &value);
}

void tx_set_enum(struct tx *tx, const struct ref *ref, enum class_id cls, unsigned field,
                 int value)
{
    set_kind(tx, ref, cls, field, TY_ENUM, &value);
}

void tx_set_ref(struct tx *tx, const struct ref *ref, enum class_id cls, unsigned field,
                const struct ref *value)
{
    set_kind(tx, ref, cls, field, TY_REF, value);
}

void tx_map_put(struct tx *tx, const struct ref *ref, enum class_id cls, unsigned field,
                const char *key, const void *val)
{
    struct obj *o = must_get(ref, cls);
    const struct ty *ty = field_of(o, field)->ty;
    assert(ty->kind == TY_MAP && ty->key->kind == TY_STRING);
    void *copy = field_copy(o, field);
    (void)map_put(ty, copy, &key, val); /* added or replaced: both fine */
    field_give(tx, o, field, copy);
}

void tx_map_put_str(struct tx *tx, const struct ref *ref, enum class_id cls, unsigned field,
                    const char *key, const char *val)
{
    assert(schema_classes[cls].fields[field].ty->elem->kind == TY_STRING);
    tx_map_put(tx, ref, cls, field, key, &val);
}

void tx_map_remove(struct tx *tx, const struct ref *ref, enum class_id cls, unsigned field,
                   const char *key)
{
    struct obj *o = must_get(ref, cls);
    const struct ty *ty = field_of(o, field)->ty;
    assert(ty->kind == TY_MAP && ty->key->kind == TY_STRING);
    void *copy = field_copy(o, field);
    (void)map_remove(ty, copy, &key); /* absent: no change */
    field_give(tx, o, field, copy);
}

void tx_set_add(struct tx *tx, const struct ref *ref, enum class_id cls, unsigned field,
                const void *elem)
{
    struct obj *o = must_get(ref, cls);
    void *copy = field_copy(o, field);
    (void)set_add(field_of(o, field)->ty, copy, elem); /* there already: no change */
    field_give(tx, o, field, copy);
}

void tx_set_remove(struct tx *tx, const struct ref *ref, enum class_id cls, unsigned field,
                   const void *elem)
{
    struct obj *o = must_get(ref, cls);
    void *copy = field_copy(o, field);
    (void)set_remove(field_of(o, field)->ty, copy, elem); /* absent: no change */
    field_give(tx, o, field, copy);
}

void tx_touch(struct tx *tx, const struct ref *ref)
{
    struct obj *o = db_index_get(ref);
    assert(o);
    (void)touch(tx, o);
}

/* Objects */

struct ref tx_create(struct tx *tx, enum class_id cls, void *rec, const struct ref *ref)
{
    const struct class_def *def = &schema_classes[cls];
    struct ref r = ref ? *ref : ref_new();
    for (unsigned f = 0; f < def->n_fields; f++) {
        if (def->fields[f].inverse_class == CLASS_NONE)
            continue;
        void *at = record_field(&def->fields[f], rec);
        value_done(def->fields[f].ty, at);
        value_init(def->fields[f].ty, at);
    }
    if (def->uuid_field >= 0) {
        const char **at = record_field(&def->fields[def->uuid_field], rec);
        if (!**at) {
            struct uuid u = uuid_new();
            char text[UUID_TEXT_SIZE];
            uuid_text(&u, text);
            str_put(at, text);
        }
    }
    struct obj *o = db_index_obj_new(cls, &r, rec);
    o->order = db.next_order++;
    o->created = o->modified = tx->gen;
    note_shape(tx, cls);
    (void)note(tx, UNDO_CREATE, o);
    db_index_link(o, NULL, NULL);
    struct tx_obj *s = slot_new(tx, o);
    s->created = true;
    s->stored = !def->is_volatile;
    for (unsigned f = 0; f < def->n_fields; f++) {
        if (def->fields[f].ty->kind == TY_REF)
            inverse_add(tx, o, f, record_field(&def->fields[f], rec));
    }
    return r;
}

static bool value_drop_ref(const struct ty *ty, void *p, const struct ref *ref)
{
    static const struct ref null;
    switch (ty->kind) {
    case TY_REF:
        if (!ref_eq(p, ref))
            return false;
        *(struct ref *)p = null;
        return true;
    case TY_SET: return set_remove(ty, p, ref);
    case TY_MAP: {
        struct set_any *m = p;
        bool any = ty->key->kind == TY_REF && map_remove(ty, p, ref);
        for (size_t i = 0; ty->elem->kind == TY_REF && i < m->n; i++) {
            if (!ref_eq(map_val(ty, p, i), ref))
                continue;
            *(struct ref *)map_val(ty, p, i) = null;
            any = true;
        }
        return any;
    }
    default: return false;
    }
}

static bool value_has_ref(const struct ty *ty, const void *p, const struct ref *ref)
{
    switch (ty->kind) {
    case TY_REF: return ref_eq(p, ref);
    case TY_SET: return set_find(ty, p, ref) != SIZE_MAX;
    case TY_MAP: {
        const struct set_any *m = p;
        if (ty->key->kind == TY_REF && map_find(ty, p, ref) != SIZE_MAX)
            return true;
        for (size_t i = 0; ty->elem->kind == TY_REF && i < m->n; i++) {
            if (ref_eq(map_val(ty, p, i), ref))
                return true;
        }
        return false;
    }
    default: return false;
    }
}

/* Make one field of all objects of its class forget o. */
static void forget_by_scan(struct tx *tx, const struct obj *o, const struct db_referrer *r)
    REQUIRES(db_mutex)
{
    const struct field_def *f = &schema_classes[r->cls].fields[r->field];
    list_for_each(it, &db.cls[r->cls].objs) {
        struct obj *from = list_entry(it, struct obj, in_class);
        if (!value_has_ref(f->ty, record_field(f, from->rec), &o->ref))
            continue;
        void *copy = field_copy(from, r->field);
        (void)value_drop_ref(f->ty, copy, &o->ref); /* it is there */
        field_give(tx, from, r->field, copy);
    }
}

static void forget_by_inverse(struct tx *tx, const struct obj *o,
                              const struct db_referrer *r) REQUIRES(db_mutex)
{
    const struct field_def *set_def = &schema_classes[o->cls].fields[r->inverse];
    const struct ty *ty = schema_classes[r->cls].fields[r->field].ty;
    const struct set_any *set = record_field(set_def, o->rec);
    while (set->n > 0) {
        struct ref last = ((const struct ref *)set->v)[set->n - 1];
        struct obj *from = db_index_get(&last);
        assert(from
               && ref_eq(record_field(&schema_classes[r->cls].fields[r->field], from->rec),
                         &o->ref));
        field_give(tx, from, r->field, storage_new(ty)); /* removes it from the set */
    }
}

void tx_destroy(struct tx *tx, const struct ref *ref)
{
    struct obj *o = db_index_get(ref);
    assert(o);
    const struct class_def *def = &schema_classes[o->cls];
    (void)touch(tx, o);
    for (size_t i = 0; i < db.cls[o->cls].referrers.n; i++) {
        const struct db_referrer *r = &db.cls[o->cls].referrers.v[i];
        if (r->inverse >= 0)
            forget_by_inverse(tx, o, r);
        else
            forget_by_scan(tx, o, r);
    }
    for (unsigned f = 0; f < def->n_fields; f++) {
        if (def->fields[f].ty->kind == TY_REF)
            inverse_remove(tx, o, f, record_field(&def->fields[f], o->rec));
    }
    struct tx_obj *s = touch(tx, o);
    s->destroyed = true;
    s->stored = !def->is_volatile;
    note_shape(tx, o->cls);
    struct undo *u = note(tx, UNDO_DESTROY, o);
    u->class_prev = o->in_class.prev;
    u->changes_prev = o->in_changes.prev;
    db_index_unlink(o);
    if (!def->untracked && !s->created) {
        u->tomb = true;
        db_index_tomb_add(o, tx->gen);
    }
}

/* Undoing */

static void undo_field(struct undo *u) REQUIRES(db_mutex)
{
    struct obj *o = u->obj;
    const struct field_def *f = field_of(o, u->field);
    void *at = record_field(f, o->rec);
    bool named = db_index_named(o, u->field);
    if (named)
        db_index_names_remove(o);
    value_done(f->ty, at);
    memcpy(at, u->old, f->ty->size);
    free(TAKE(u->old));
    if (named)
        db_index_names_add(o);
}

static void undo_touch(const struct undo *u) REQUIRES(db_mutex)
{
    u->obj->modified = u->gen;
    u->obj->touch_gen = 0;
    if (schema_classes[u->obj->cls].untracked)
        return;
    list_remove(&u->obj->in_changes);
    struct list *prev = u->changes_prev, *e = &u->obj->in_changes;
    e->prev = prev;
    e->next = prev->next;
    prev->next->prev = e;
    prev->next = e;
}

static void undo_inverse(const struct undo *u)
{
    const struct field_def *f = &schema_classes[u->obj->cls].fields[u->field];
    struct set_any *set = record_field(f, u->obj->rec);
    if (u->kind == UNDO_INVERSE_REMOVE) {
        inverse_insert(set, u->at, &u->ref);
        return;
    }
    assert(set->n > 0 && ref_eq(&((struct ref *)set->v)[set->n - 1], &u->ref));
    inverse_delete(set, set->n - 1);
}

static void undo_step(struct undo *u) REQUIRES(db_mutex)
{
    if (u->kind == UNDO_SHAPE) {
        db.cls[u->cls].shape_gen = u->gen;
        return;
    }
    db_index_drop_encoded(u->obj);
    switch ((enum undo_kind)u->kind) {
    case UNDO_SHAPE: break;
    case UNDO_TOUCH: undo_touch(u); break;
    case UNDO_FIELD: undo_field(u); break;
    case UNDO_INVERSE_ADD:
    case UNDO_INVERSE_REMOVE: undo_inverse(u); break;
    case UNDO_CREATE:
        db_index_unlink(u->obj);
        db_index_obj_free(u->obj);
        break;
    case UNDO_DESTROY:
        if (u->tomb)
            db_index_tomb_drop_newest();
        db_index_link(u->obj, u->class_prev, u->changes_prev);
        break;
    }
}

void tx_undo(struct tx *tx)
{
    while (tx->undo.n > 0)
        undo_step(&tx->undo.v[--tx->undo.n]);
    tx->objs.n = 0;
}

void tx_free(struct tx *tx)
{
    for (size_t i = 0; i < tx->undo.n; i++) {
        struct undo *u = &tx->undo.v[i];
        if (u->kind == UNDO_FIELD) {
            /* obj itself may be gone: destroyed by a later transaction that settled with us */
            storage_free(schema_classes[u->cls].fields[u->field].ty, u->old);
            u->old = NULL;
        }
    }
    for (size_t i = 0; i < tx->undo.n; i++) {
        if (tx->undo.v[i].kind == UNDO_DESTROY)
            db_index_obj_free(tx->undo.v[i].obj);
    }
    vec_done(&tx->undo);
    vec_done(&tx->objs);
    store_set_free(tx->set);
    err_done(&tx->err);
    free(tx->user);
    free(tx->call);
    free(tx);
}

int tx_commit(struct tx *tx, struct err *err)
{
    if (tx->undo.n > 0) {
        db_commit_queue(tx);
        while (!tx->settled)
            cond_wait(&db.settled, &db_mutex);
    }
    db_unlock();
    int rc = tx->err.code ? -1 : 0;
    if (rc && err)
        err_move(err, &tx->err);
    tx_free(tx);
    return rc;
}

void tx_abort(struct tx *tx)
{
    tx_undo(tx);
    db_unlock();
    tx_free(tx);
}
