/* SPDX-License-Identifier: Apache-2.0 */
#include "model/model_test.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api/errors.h"
#include "api/records.h"
#include "base/mem.h"

const struct tx_who test_who = { "root", "test", NULL };

/* Dumping */

static int by_ref(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct ref));
}

static void dump_set(struct buf *b, const struct set_any *set, bool sorted)
{
    struct ref *v = set->n ? mem_dup(set->v, set->n * sizeof(*v)) : NULL;
    if (sorted && v)
        qsort(v, set->n, sizeof(*v), by_ref);
    for (size_t i = 0; i < set->n; i++) {
        char text[REF_TEXT_SIZE];
        ref_text(&v[i], text);
        buf_addf(b, " %s", text);
    }
    free(v);
}

static void dump_obj(struct buf *b, const struct obj *o, bool memory) REQUIRES(db_mutex)
{
    const struct class_def *cls = &schema_classes[o->cls];
    char text[REF_TEXT_SIZE];
    ref_text(&o->ref, text);
    buf_addf(b, "%s %s ", cls->name, text);
    if (memory) {
        buf_addf(b, "%" PRIu64 " %" PRIu64 " %" PRIu64 " ", o->order, o->created,
                 o->modified);
        enc_record(b, ENC_JSON, cls, o->rec);
    }
    db_object_json(b, o);
    for (unsigned f = 0; f < cls->n_fields; f++) {
        if (cls->fields[f].inverse_class == CLASS_NONE)
            continue;
        buf_addf(b, " %s:", cls->fields[f].name);
        dump_set(b, record_field(&cls->fields[f], o->rec), !memory);
    }
    buf_add_char(b, '\n');
}

static int by_line(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The indexes, each entry a line, sorted; and whether each finds what it should. */
static void dump_names(struct buf *b, const struct db_class *c) REQUIRES(db_mutex)
{
    VEC(char *) lines = { 0 };
    const struct db_name *e;
    for (size_t i = 0; (e = hash_next(&c->by_name, &i)) != NULL;) {
        struct buf line = BUF_INIT(0);
        buf_addf(&line, "name '%s':", e->name);
        for (size_t k = 0; k < e->objs.n; k++) {
            CHECK(k == 0 || e->objs.v[k - 1]->order < e->objs.v[k]->order);
            struct set_any one = { .v = &e->objs.v[k]->ref, .n = 1 };
            dump_set(&line, &one, false);
        }
        vec_push(&lines, buf_take(&line));
    }
    const struct obj *o;
    for (size_t i = 0; (o = hash_next(&c->by_uuid, &i)) != NULL;) {
        const char *uuid = *(char **)record_field(
            &schema_classes[o->cls].fields[schema_classes[o->cls].uuid_field], o->rec);
        CHECK(hash_get(&c->by_uuid, uuid, strlen(uuid)) == o);
        vec_push(&lines, str_fmt("uuid %s", uuid));
    }
    if (lines.n)
        qsort(lines.v, lines.n, sizeof(*lines.v), by_line);
    for (size_t i = 0; i < lines.n; i++) {
        buf_addf(b, "%s\n", lines.v[i]);
        free(lines.v[i]);
    }
    vec_done(&lines);
}

static char *dump(bool memory) EXCLUDES(db_mutex)
{
    struct buf b = BUF_INIT(0);
    db_lock();
    for (unsigned cls = 1; cls < CLASS_COUNT; cls++) {
        const struct db_class *c = &db.cls[cls];
        if (schema_classes[cls].is_volatile && !memory)
            continue;
        if (c->n)
            buf_addf(&b, "-- %s %zu\n", schema_classes[cls].name, c->n);
        if (memory)
            buf_addf(&b, "shape %" PRIu64 "\n", c->shape_gen);
        size_t n = 0;
        list_for_each(it, &c->objs) {
            const struct obj *o = list_entry(it, struct obj, in_class);
            CHECK(db_index_get(&o->ref) == o);
            dump_obj(&b, o, memory);
            n++;
        }
        CHECK_INT(n, c->n);
        dump_names(&b, c);
    }
    uint64_t last = 0;
    list_for_each(it, &db.changes) {
        const struct obj *o = list_entry(it, struct obj, in_changes);
        CHECK(o->modified >= last);
        last = o->modified;
        if (memory) {
            struct set_any one = { .v = (void *)&o->ref, .n = 1 };
            buf_addf(&b, "change %" PRIu64, o->modified);
            dump_set(&b, &one, false);
            buf_add_char(&b, '\n');
        }
    }
    list_for_each(it, &db.tombs) {
        const struct db_tomb *t = list_entry(it, struct db_tomb, link);
        if (memory)
            buf_addf(&b, "tomb %" PRIu64 " %" PRIu64 "\n", t->gen, t->created);
    }
    db_unlock();
    return buf_take(&b);
}

char *dump_memory(void)
{
    return dump(true);
}

char *dump_stored(void)
{
    return dump(false);
}

/* The store */

static struct {
    struct mutex lock;
    struct cond changed;
    long fail_in, fail_for;
    bool hold, held;
} bad = { .lock = MUTEX_INIT, .changed = { PTHREAD_COND_INITIALIZER } };

void test_store_fail(long nth, long how_many)
{
    mutex_lock(&bad.lock);
    bad.fail_in = nth;
    bad.fail_for = how_many;
    mutex_unlock(&bad.lock);
}

void test_store_hold(bool on)
{
    mutex_lock(&bad.lock);
    bad.hold = on;
    cond_broadcast(&bad.changed);
    mutex_unlock(&bad.lock);
}

void test_store_wait_held(void)
{
    mutex_lock(&bad.lock);
    while (!bad.held)
        cond_wait(&bad.changed, &bad.lock);
    mutex_unlock(&bad.lock);
}

static bool next_fails(void)
{
    mutex_lock(&bad.lock);
    while (bad.hold) {
        bad.held = true;
        cond_broadcast(&bad.changed);
        cond_wait(&bad.changed, &bad.lock);
    }
    bad.held = false;
    bool fails = false;
    if (bad.fail_in > 0 && --bad.fail_in == 0) {
        fails = true;
        bad.fail_in = --bad.fail_for > 0;
    }
    mutex_unlock(&bad.lock);
    return fails;
}

static int test_open_store(const struct store_config *cfg, struct store **out,
                           struct err *err)
{
    return store_sqlite_ops.open(cfg, out, err);
}

static void test_close(struct store *s)
{
    store_sqlite_ops.close(s);
}

static int test_load(struct store *s, store_load_fn fn, void *arg, uint64_t *limit,
                     struct err *err)
{
    return store_sqlite_ops.load(s, fn, arg, limit, err);
}

static int test_commit(struct store *s, struct store_set *const *sets, size_t n,
                       uint64_t limit, struct err *err)
{
    if (next_fails())
        return err_set(err, ERR_OUT_OF_SPACE, "test");
    return store_sqlite_ops.commit(s, sets, n, limit, err);
}

static bool test_tend(struct store *s)
{
    return store_sqlite_ops.tend(s);
}

static int test_history(struct store *s, const struct store_query *q, store_history_fn fn,
                        void *arg, struct err *err)
{
    return store_sqlite_ops.history(s, q, fn, arg, err);
}

static int test_object(struct store *s, const struct ref *ref, struct buf *out, bool *found,
                       struct err *err)
{
    return store_sqlite_ops.object(s, ref, out, found, err);
}

static int test_objects(struct store *s, const char *cls, store_load_fn fn, void *arg,
                        struct err *err)
{
    return store_sqlite_ops.objects(s, cls, fn, arg, err);
}

static int test_moment(struct store *s, int64_t time_us, struct store_moment *out,
                       struct err *err)
{
    return store_sqlite_ops.moment(s, time_us, out, err);
}

static void test_keep(struct store *s, int64_t age_us, int64_t rows)
{
    store_sqlite_ops.keep(s, age_us, rows);
}

const struct store_ops test_store_ops = { .open = test_open_store,
                                          .close = test_close,
                                          .load = test_load,
                                          .commit = test_commit,
                                          .tend = test_tend,
                                          .history = test_history,
                                          .object = test_object,
                                          .objects = test_objects,
                                          .moment = test_moment,
                                          .keep = test_keep };

static void open_with(const char *dir, const struct store_ops *ops)
{
    struct store_config cfg = { .dir = dir, .ops = ops };
    struct err err = { 0 };
    if (db_open_with(&cfg, &err) < 0)
        test_fail(__FILE__, __LINE__, "%s", err_text(&err));
}

void test_open(const char *dir)
{
    open_with(dir, NULL);
}

void test_open_fails(const char *dir)
{
    open_with(dir, &test_store_ops);
}

static void check_same(const char *got, const char *want, const char *what)
{
    if (strcmp(got, want) == 0)
        return;
    size_t at = 0, line = 0;
    for (; got[at] && got[at] == want[at]; at++)
        line = got[at] == '\n' ? at + 1 : line;
    test_fail(__FILE__, __LINE__, "%s at %zu:\n got: %.*s\nwant: %.*s", what, at - line,
              (int)strcspn(got + line, "\n"), got + line, (int)strcspn(want + line, "\n"),
              want + line);
}

void test_reopen_same(const char *dir)
{
    AUTO(free_str) char *before = dump_stored();
    db_close();
    test_open_fails(dir);
    AUTO(free_str) char *after = dump_stored();
    check_same(after, before, "reloaded differs");
}

/* Changes */

struct ref make_vm(struct tx *tx, const char *name)
{
    struct vm_rec *rec = record_new(&schema_classes[CLASS_VM]);
    str_put(&rec->name_label, name);
    return tx_create(tx, CLASS_VM, rec, NULL);
}

struct ref make_vdi(struct tx *tx, const char *name)
{
    struct vdi_rec *rec = record_new(&schema_classes[CLASS_VDI]);
    str_put(&rec->name_label, name);
    return tx_create(tx, CLASS_VDI, rec, NULL);
}

struct ref make_vbd(struct tx *tx, struct ref vm, struct ref vdi)
{
    struct vbd_rec *rec = record_new(&schema_classes[CLASS_VBD]);
    rec->VM = vm;
    rec->VDI = vdi;
    return tx_create(tx, CLASS_VBD, rec, NULL);
}

uint64_t rng_next(struct rng *r) /* splitmix64 */
{
    uint64_t z = r->s += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

size_t rng_below(struct rng *r, size_t n)
{
    return (size_t)(rng_next(r) % n);
}

static struct ref any_of(struct rng *r, enum class_id cls) REQUIRES(db_mutex)
{
    size_t n = db_count(cls);
    if (n == 0 || rng_below(r, 8) == 0)
        return REF_NULL;
    struct db_iter it = db_first(cls);
    for (size_t i = rng_below(r, n); i > 0; i--)
        db_next(&it);
    return it.ref;
}

static void random_make(struct tx *tx, struct rng *r) REQUIRES(db_mutex)
{
    static const char *const names[] = { "", "a", "b", "c" };
    const char *name = names[rng_below(r, ARRAY_SIZE(names))];
    switch (rng_below(r, 3)) {
    case 0: (void)make_vm(tx, name); break;
    case 1: (void)make_vdi(tx, name); break;
    default: (void)make_vbd(tx, any_of(r, CLASS_VM), any_of(r, CLASS_VDI)); break;
    }
}

static void random_set(struct tx *tx, struct rng *r) REQUIRES(db_mutex)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%c", 'a' + (int)rng_below(r, 5));
    struct ref vm = any_of(r, CLASS_VM), vdi = any_of(r, CLASS_VDI),
               vbd = any_of(r, CLASS_VBD);
    struct ref vm2 = any_of(r, CLASS_VM), vdi2 = any_of(r, CLASS_VDI);
    if (ref_is_null(&vm) || ref_is_null(&vdi) || ref_is_null(&vbd))
        return;
    int op = VM_OPERATIONS_START;
    switch (rng_below(r, 11)) {
    case 0: tx_set_str(tx, &vm, CLASS_VM, F_VM_NAME_LABEL, text); break;
    case 1:
        tx_set_int(tx, &vm, CLASS_VM, F_VM_MEMORY_TARGET, (int64_t)rng_below(r, 9));
        break;
    case 2: tx_map_put_str(tx, &vm, CLASS_VM, F_VM_OTHER_CONFIG, text, "x"); break;
    case 3: tx_map_remove(tx, &vm, CLASS_VM, F_VM_OTHER_CONFIG, text); break;
    case 4: tx_set_ref(tx, &vbd, CLASS_VBD, F_VBD_VM, &vm); break;
    case 5: tx_set_ref(tx, &vbd, CLASS_VBD, F_VBD_VDI, &vdi2); break;
    case 6: tx_set_ref(tx, &vm, CLASS_VM, F_VM_SNAPSHOT_OF, &vm2); break;
    case 7: tx_set_ref(tx, &vm, CLASS_VM, F_VM_SUSPEND_VDI, &vdi); break;
    case 8: tx_map_put(tx, &vm, CLASS_VM, F_VM_CURRENT_OPERATIONS, text, &op); break;
    case 9: tx_touch(tx, &vbd); break;
    default: {
        const char *tag = text;
        tx_set_add(tx, &vm, CLASS_VM, F_VM_TAGS, &tag);
        break;
    }
    }
}

void random_change(struct tx *tx, struct rng *r)
{
    size_t dice = rng_below(r, 10);
    if (dice < 3) {
        random_make(tx, r);
    } else if (dice < 9) {
        random_set(tx, r);
    } else {
        static const enum class_id classes[] = { CLASS_VM, CLASS_VDI, CLASS_VBD };
        struct ref ref = any_of(r, classes[rng_below(r, ARRAY_SIZE(classes))]);
        if (!ref_is_null(&ref))
            tx_destroy(tx, &ref);
    }
}
