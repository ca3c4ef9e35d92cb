/* SPDX-License-Identifier: Apache-2.0 */
/* One check-and-enter step per operation, in one transaction, so that two callers can never both be told yes.
 * A class without registered functions gets the plain rule: one operation at a time. Thread: any. */
#include "model/ops_lock.h"

#include <assert.h>
#include <stdlib.h>

#include "api/errors.h"
#include "base/log.h"
#include "base/mem.h"

#define END_ROUNDS 100

static struct ops_rule {
    ops_allowed_fn allowed;
    ops_why_fn why;
} rules[CLASS_COUNT] GUARDED_BY(db_mutex);

void ops_lock_register(enum class_id cls, ops_allowed_fn allowed, ops_why_fn why)
{
    db_lock();
    rules[cls] = (struct ops_rule){ allowed, why };
    db_unlock();
}

static const struct field_def *field_named(enum class_id cls, const char *name)
{
    const struct field_def *f = schema_field(&schema_classes[cls], name);
    assert(f); /* only classes with operations come here */
    return f;
}

static int op_index(const struct field_def *current, const char *op)
{
    const struct enum_def *e = current->ty->elem->enm;
    for (int i = 0; i < e->n; i++) {
        if (str_eq(e->values[i], op))
            return i;
    }
    assert(!"an operation of that class");
    abort();
}

static int refuse_busy(const struct field_def *current, enum class_id cls,
                       const struct ref *self, const void *map, struct err *err)
{
    char text[REF_TEXT_SIZE];
    ref_text(self, text);
    const char *const *task = map_key(current->ty, map, 0);
    int op = *(const int *)map_val(current->ty, map, 0);
    return err_set(err, ERR_OTHER_OPERATION_IN_PROGRESS, schema_classes[cls].name, text,
                   current->ty->elem->enm->values[op], *task);
}

int op_busy(enum class_id cls, const struct ref *self, struct err *err)
{
    const struct field_def *current = field_named(cls, "current_operations");
    return refuse_busy(current, cls, self, record_field(current, db_get(cls, self)), err);
}

static int check(enum class_id cls, const struct ref *self, const void *rec, int op,
                 struct err *err) REQUIRES(db_mutex)
{
    const struct field_def *current = field_named(cls, "current_operations");
    const struct set_any *map = record_field(current, rec);
    if (!rules[cls].allowed)
        return map->n > 0 ? refuse_busy(current, cls, self, map, err) : 0;
    uint64_t allowed = 0;
    rules[cls].allowed(self, rec, &allowed);
    if (allowed >> op & 1)
        return 0;
    rules[cls].why(self, rec, op, err);
    const char *name = current->ty->elem->enm->values[op];
    if (err && !err->code)
        (void)err_set(err, ERR_OPERATION_NOT_ALLOWED, name);
    return -1;
}

/* Forced: the rule of the class is not asked. */
static int enter(struct tx *tx, enum class_id cls, const struct ref *self, const char *op,
                 const char *task, bool forced, struct err *err) REQUIRES(db_mutex)
{
    char text[REF_TEXT_SIZE];
    const struct field_def *current = field_named(cls, "current_operations");
    int index = op_index(current, op);
    const void *rec = db_get(cls, self);
    if (!rec) {
        ref_text(self, text);
        return err_set(err, ERR_HANDLE_INVALID, schema_classes[cls].name, text);
    }
    const struct set_any *running = record_field(current, rec);
    if (forced && running->n > 0)
        return refuse_busy(current, cls, self, running, err);
    if (!forced && check(cls, self, rec, index, err) < 0)
        return -1;
    tx_map_put(tx, self, cls, current->id, task, &index);
    op_refresh(tx, cls, self);
    return 0;
}

int op_check(enum class_id cls, const struct ref *self, int op, struct err *err)
{
    char text[REF_TEXT_SIZE];
    ref_text(self, text);
    db_lock();
    const void *rec = db_get(cls, self);
    int rc = rec ? check(cls, self, rec, op, err)
                 : err_set(err, ERR_HANDLE_INVALID, schema_classes[cls].name, text);
    db_unlock();
    return rc;
}

static int begin(enum class_id cls, const struct ref *self, const char *op,
                 const struct ref *task, bool forced, struct err *err) EXCLUDES(db_mutex)
{
    char text[REF_TEXT_SIZE];
    ref_text(task, text);
    struct tx *tx = tx_begin(&(struct tx_who){ "seraid", op, task });
    if (enter(tx, cls, self, op, text, forced, err) < 0) {
        tx_abort(tx);
        return -1;
    }
    return tx_commit(tx, err);
}

int op_begin(enum class_id cls, const struct ref *self, const char *op,
             const struct ref *task, struct err *err)
{
    return begin(cls, self, op, task, false, err);
}

int op_begin_forced(enum class_id cls, const struct ref *self, const char *op,
                    const struct ref *task, struct err *err)
{
    return begin(cls, self, op, task, true, err);
}

void op_end(enum class_id cls, const struct ref *self, const struct ref *task)
{
    char text[REF_TEXT_SIZE];
    ref_text(task, text);
    /* Needs no store, so it fails only when something queued before it failed and took it back. Each round
     * waits for such a commit; an entry left behind would lock the object for good. */
    for (int i = 0; i < END_ROUNDS; i++) {
        struct tx *tx = tx_begin(&(struct tx_who){ "seraid", "op_end", task });
        if (db_get(cls, self)) { /* the operation may have destroyed it */
            tx_map_remove(tx, self, cls, field_named(cls, "current_operations")->id, text);
            op_refresh(tx, cls, self);
        }
        if (tx_commit(tx, NULL) == 0)
            return;
    }
    log_error("the operation of %s could not be taken off its object", text);
}

void op_refresh(struct tx *tx, enum class_id cls, const struct ref *self)
{
    const void *rec = db_get(cls, self);
    if (!rec || !rules[cls].allowed)
        return;
    const struct field_def *f = field_named(cls, "allowed_operations");
    const struct enum_def *e = f->ty->elem->enm;
    uint64_t allowed = 0;
    rules[cls].allowed(self, rec, &allowed);
    assert(e->n <= 64);
    int values[64];
    struct set_any set = { .v = values };
    for (int i = 0; i < e->n; i++) {
        if (allowed >> i & 1)
            values[set.n++] = i;
    }
    tx_set(tx, self, cls, f->id, &set);
}
