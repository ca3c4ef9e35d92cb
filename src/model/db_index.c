/* SPDX-License-Identifier: Apache-2.0 */
/* The objects in memory and everything that finds them: by ref, per class in order of creation, by uuid
 * and name, by time of change, through inverse sets; and the tombstones of the destroyed. Knows nothing of
 * transactions: tx.c calls it and undoes its steps in exactly the reverse order, so a neighbour in a list that
 * was noted before a step is the neighbour again when the step is undone.
 * Thread: any, under db_mutex. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/db_int.h"

struct obj *db_index_obj_new(enum class_id cls, const struct ref *ref, void *rec)
{
    struct obj *o = mem_alloc(sizeof(*o));
    o->ref = *ref;
    o->cls = (uint16_t)cls;
    o->rec = rec;
    list_init(&o->in_class);
    list_init(&o->in_changes);
    return o;
}

static void drop_all_encoded(unsigned cls) REQUIRES(db_mutex)
{
    struct db_class *c = &db.cls[cls];
    for (size_t i = 0; i < ARRAY_SIZE(c->all); i++) {
        texts_drop(c->all[i].list);
        c->all[i].list = NULL;
        c->all[i].n_stale = 0;
    }
}

void db_index_drop_encoded(struct obj *o)
{
    struct db_class *c = &db.cls[o->cls];
    for (size_t i = 0; i < ARRAY_SIZE(o->enc); i++) {
        if (c->all[i].list && o->enc[i].text) {
            if (c->all[i].n_stale == DB_STALE)
                drop_all_encoded(o->cls);
            else
                c->all[i].stale[c->all[i].n_stale++] = o;
        }
        text_drop(o->enc[i].text);
        o->enc[i] = (struct enc_cache){ 0 };
    }
}

void db_index_obj_free(struct obj *o)
{
    if (!o)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(o->enc); i++)
        text_drop(o->enc[i].text);
    record_free(&schema_classes[o->cls], o->rec);
    free(o->extra);
    free(o);
}

struct obj *db_index_get(const struct ref *ref)
{
    return hash_get(&db.by_ref, ref, sizeof(*ref));
}

static void list_insert_after(struct list *prev, struct list *e)
{
    e->prev = prev;
    e->next = prev->next;
    prev->next->prev = e;
    prev->next = e;
}

/* class_prev, changes_prev: NULL for the end of their lists. */
void db_index_link(struct obj *o, struct list *class_prev, struct list *changes_prev)
{
    struct db_class *c = &db.cls[o->cls];
    list_insert_after(class_prev ? class_prev : c->objs.prev, &o->in_class);
    c->n++;
    drop_all_encoded(o->cls);
    if (!schema_classes[o->cls].untracked)
        list_insert_after(changes_prev ? changes_prev : db.changes.prev, &o->in_changes);
    void *old = hash_put(&db.by_ref, &o->ref, sizeof(o->ref), o);
    assert(!old);
    (void)old;
    db_index_names_add(o);
}

void db_index_unlink(struct obj *o)
{
    struct db_class *c = &db.cls[o->cls];
    db_index_names_remove(o);
    (void)hash_remove(&db.by_ref, &o->ref, sizeof(o->ref)); /* it is o */
    list_remove(&o->in_changes);
    list_remove(&o->in_class);
    c->n--;
    drop_all_encoded(o->cls);
    db_index_drop_encoded(o); /* nothing of the class points at it any more */
}

/* Names */

static const char *field_text(const struct obj *o, int field)
{
    if (field < 0)
        return NULL;
    return *(const char **)record_field(&schema_classes[o->cls].fields[field], o->rec);
}

bool db_index_named(const struct obj *o, unsigned field)
{
    const struct class_def *cls = &schema_classes[o->cls];
    return (int)field == cls->uuid_field || (int)field == cls->name_field;
}

static void name_add(struct db_class *c, struct obj *o, const char *name)
{
    struct db_name *e = hash_get(&c->by_name, name, strlen(name));
    if (!e) {
        e = mem_alloc(sizeof(*e));
        e->name = str_dup(name);
        (void)hash_put(&c->by_name, e->name, strlen(e->name), e); /* nothing replaced */
    }
    vec_push(&e->objs, o);
    for (size_t i = e->objs.n - 1; i > 0 && e->objs.v[i - 1]->order > o->order; i--) {
        e->objs.v[i] = e->objs.v[i - 1];
        e->objs.v[i - 1] = o;
    }
}

static void name_free(struct db_name *e)
{
    vec_done(&e->objs);
    free(e->name);
    free(e);
}

static void name_remove(struct db_class *c, const struct obj *o, const char *name)
{
    struct db_name *e = hash_get(&c->by_name, name, strlen(name));
    assert(e);
    size_t lo = 0;
    for (size_t hi = e->objs.n; lo < hi;) {
        size_t mid = lo + (hi - lo) / 2;
        if (e->objs.v[mid]->order < o->order)
            lo = mid + 1;
        else
            hi = mid;
    }
    assert(lo < e->objs.n && e->objs.v[lo] == o);
    vec_remove(&e->objs, lo);
    if (e->objs.n == 0) {
        (void)hash_remove(&c->by_name, name, strlen(name)); /* it is e */
        name_free(e);
    }
}

void db_index_names_add(struct obj *o)
{
    struct db_class *c = &db.cls[o->cls];
    const char *uuid = field_text(o, schema_classes[o->cls].uuid_field);
    if (uuid && *uuid) {
        void *old = hash_put(&c->by_uuid, uuid, strlen(uuid), o);
        assert(!old); /* whoever gives a uuid has looked before */
        (void)old;
    }
    const char *name = field_text(o, schema_classes[o->cls].name_field);
    if (name)
        name_add(c, o, name);
}

void db_index_names_remove(struct obj *o)
{
    struct db_class *c = &db.cls[o->cls];
    const char *uuid = field_text(o, schema_classes[o->cls].uuid_field);
    if (uuid && *uuid)
        (void)hash_remove(&c->by_uuid, uuid, strlen(uuid)); /* it is o */
    const char *name = field_text(o, schema_classes[o->cls].name_field);
    if (name)
        name_remove(c, o, name);
}

/* Inverse sets */

struct set_any *db_index_inverse(const struct obj *o, unsigned field, const struct ref *ref,
                                 struct obj **target_out)
{
    const struct field_def *f = &schema_classes[o->cls].fields[field];
    int set_field = db.cls[o->cls].inverse[field];
    if (set_field < 0 || ref_is_null(ref))
        return NULL;
    struct obj *target = db_index_get(ref);
    if (!target || target->cls != f->ty->cls)
        return NULL;
    *target_out = target;
    return record_field(&schema_classes[target->cls].fields[set_field], target->rec);
}

void db_index_fill_inverses(void)
{
    for (unsigned cls = 1; cls < CLASS_COUNT; cls++) {
        const struct class_def *def = &schema_classes[cls];
        for (unsigned f = 0; f < def->n_fields; f++) {
            if (db.cls[cls].inverse[f] < 0)
                continue;
            list_for_each(it, &db.cls[cls].objs) {
                struct obj *o = list_entry(it, struct obj, in_class), *target;
                const struct ref *ref = record_field(&def->fields[f], o->rec);
                struct set_any *set = db_index_inverse(o, f, ref, &target);
                if (!set)
                    continue;
                set->v = mem_resize(set->v, set->n + 1, sizeof(struct ref));
                ((struct ref *)set->v)[set->n++] = o->ref;
            }
        }
    }
}

/* Does a value of this type hold references to objects of class target? */
static bool refers_to(const struct ty *ty, unsigned target)
{
    switch (ty->kind) {
    case TY_REF: return ty->cls == target;
    case TY_SET: return ty->elem->kind == TY_REF && ty->elem->cls == target;
    case TY_MAP:
        return (ty->key->kind == TY_REF && ty->key->cls == target)
               || (ty->elem->kind == TY_REF && ty->elem->cls == target);
    default: return false;
    }
}

static void note_referrers(unsigned cls) REQUIRES(db_mutex)
{
    const struct class_def *def = &schema_classes[cls];
    for (unsigned f = 0; f < def->n_fields; f++) {
        const struct field_def *fd = &def->fields[f];
        if (fd->inverse_class != CLASS_NONE)
            continue; /* follows by itself */
        for (unsigned target = 1; target < CLASS_COUNT; target++) {
            if (!refers_to(fd->ty, target))
                continue;
            struct db_referrer r = { (uint16_t)cls, (uint16_t)f, db.cls[cls].inverse[f] };
            vec_push(&db.cls[target].referrers, r);
        }
    }
}

void db_index_init(void)
{
    list_init(&db.changes);
    list_init(&db.tombs);
    for (unsigned cls = 0; cls < CLASS_COUNT; cls++) {
        const struct class_def *def = &schema_classes[cls];
        assert(def->n_fields <= DB_FIELDS_MAX);
        list_init(&db.cls[cls].objs);
        db.cls[cls].inverse = mem_array(def->n_fields + 1u, sizeof(int16_t));
        for (unsigned f = 0; f < def->n_fields; f++)
            db.cls[cls].inverse[f] = -1;
    }
    for (unsigned cls = 1; cls < CLASS_COUNT; cls++) {
        for (unsigned f = 0; f < schema_classes[cls].n_fields; f++) {
            const struct field_def *fd = &schema_classes[cls].fields[f];
            if (fd->inverse_class == CLASS_NONE)
                continue;
            int16_t *slot = &db.cls[fd->inverse_class].inverse[fd->inverse_field];
            assert(*slot < 0); /* one set per reference */
            *slot = (int16_t)f;
        }
    }
    for (unsigned cls = 1; cls < CLASS_COUNT; cls++)
        note_referrers(cls);
}

void db_index_done(void)
{
    for (unsigned cls = 0; cls < CLASS_COUNT; cls++) {
        struct db_class *c = &db.cls[cls];
        drop_all_encoded(cls);
        list_for_each_safe(it, &c->objs)
            db_index_obj_free(list_entry(it, struct obj, in_class));
        struct db_name *e;
        for (size_t i = 0; (e = hash_next(&c->by_name, &i)) != NULL;)
            name_free(e);
        hash_done(&c->by_name);
        hash_done(&c->by_uuid);
        vec_done(&c->referrers);
        free(c->inverse);
    }
    hash_done(&db.by_ref);
    list_for_each_safe(it, &db.tombs)
        free(list_entry(it, struct db_tomb, link));
}

/* Tombstones. Those of transactions that may still be undone are never trimmed. */

void db_index_tomb_add(const struct obj *o, uint64_t gen)
{
    struct db_tomb *t = mem_alloc(sizeof(*t));
    t->ref = o->ref;
    t->cls = o->cls;
    t->created = o->created;
    t->gen = gen;
    list_add_tail(&db.tombs, &t->link);
    db.n_tombs++;
}

void db_index_tomb_drop_newest(void)
{
    assert(!list_empty(&db.tombs));
    struct db_tomb *t = list_entry(db.tombs.prev, struct db_tomb, link);
    list_remove(&t->link);
    free(t);
    db.n_tombs--;
}

void db_index_tomb_trim(void)
{
    list_for_each_safe(it, &db.tombs) {
        struct db_tomb *t = list_entry(it, struct db_tomb, link);
        if (db.n_tombs <= DB_TOMBSTONES || t->gen > db.durable)
            return;
        db.tombs_from = t->gen;
        list_remove(&t->link);
        free(t);
        db.n_tombs--;
    }
}
