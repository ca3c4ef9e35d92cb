/* SPDX-License-Identifier: Apache-2.0 */
#include "model/db.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/errors.h"
#include "api/records.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "model/model_test.h"

static void commit(struct tx *tx) RELEASE(db_mutex)
{
    struct err err = { 0 };
    if (tx_commit(tx, &err) < 0)
        test_fail(__FILE__, __LINE__, "%s", err_text(&err));
}

static const struct vm_rec *vm_of(struct ref ref) REQUIRES(db_mutex)
{
    return db_get(CLASS_VM, &ref);
}

TEST(find_what_was_made)
{
    test_open(test_dir());
    struct tx *tx = tx_begin(&test_who);
    struct ref a = make_vm(tx, "same"), b = make_vm(tx, "other"), c = make_vm(tx, "same");
    commit(tx);
    db_lock();
    CHECK_INT(db_count(CLASS_VM), 3);
    CHECK_STR(vm_of(b)->name_label, "other");
    CHECK(db_get(CLASS_VDI, &b) == NULL);
    CHECK_INT(db_class_of(&b), CLASS_VM);
    struct ref out, nobody = ref_new();
    CHECK_INT(db_class_of(&nobody), CLASS_NONE);
    CHECK(db_find_name(CLASS_VM, "same", 0, &out) && ref_eq(&out, &a));
    CHECK(db_find_name(CLASS_VM, "same", 1, &out) && ref_eq(&out, &c));
    CHECK(!db_find_name(CLASS_VM, "same", 2, &out));
    CHECK(!db_find_name(CLASS_VDI, "same", 0, &out));
    CHECK(db_find_uuid(CLASS_VM, vm_of(c)->uuid, &out) && ref_eq(&out, &c));
    CHECK(!db_find_uuid(CLASS_VDI, vm_of(c)->uuid, &out));
    struct db_iter it = db_first(CLASS_VM);
    CHECK(ref_eq(&it.ref, &a));
    db_next(&it);
    CHECK(ref_eq(&it.ref, &b) && it.rec == vm_of(b));
    db_next(&it);
    db_next(&it);
    CHECK(it.rec == NULL);
    db_unlock();
    tx = tx_begin(&test_who);
    tx_set_str(tx, &a, CLASS_VM, F_VM_NAME_LABEL, "renamed");
    commit(tx);
    db_lock();
    CHECK(db_find_name(CLASS_VM, "same", 0, &out) && ref_eq(&out, &c));
    CHECK(db_find_name(CLASS_VM, "renamed", 0, &out) && ref_eq(&out, &a));
    db_unlock();
    test_reopen_same(test_dir());
    db_close();
}

static bool shows(const struct ref *vm, int enc, const char *word) REQUIRES(db_mutex)
{
    struct enc_text t = db_encoded(CLASS_VM, vm, enc);
    return memmem(t.p, t.len, word, strlen(word)) != NULL;
}

TEST(encoded_follows_the_record)
{
    test_open(test_dir());
    struct tx *tx = tx_begin(&test_who);
    struct ref a = make_vm(tx, "first");
    CHECK(shows(&a, ENC_JSON, "\"first\""));
    tx_set_str(tx, &a, CLASS_VM, F_VM_NAME_LABEL, "second");
    CHECK(shows(&a, ENC_JSON, "\"second\""));
    tx_set_str(tx, &a, CLASS_VM, F_VM_NAME_LABEL, "third");
    CHECK(shows(&a, ENC_XML, ">third<"));
    commit(tx);
    db_lock();
    struct enc_text one = db_encoded(CLASS_VM, &a, ENC_JSON);
    CHECK(db_encoded(CLASS_VM, &a, ENC_JSON).p == one.p); /* from the cache */
    CHECK(one.p[0] == '{' && one.p[one.len - 1] == '}');
    db_unlock();
    tx = tx_begin(&test_who);
    tx_set_str(tx, &a, CLASS_VM, F_VM_NAME_LABEL, "undone");
    CHECK(shows(&a, ENC_JSON, "\"undone\""));
    tx_abort(tx);
    db_lock();
    CHECK(shows(&a, ENC_JSON, "\"third\""));
    db_unlock();
    db_close();
}

/* The names of all members, as a walk over the texts finds them. */
static char *all_names(int enc) REQUIRES(db_mutex)
{
    const struct texts *list = db_encoded_all(CLASS_VM, enc);
    struct buf out = BUF_INIT(0);
    size_t len = 0;
    for (size_t i = 0; i < list->n; i++) {
        AUTO(free_str) char *text = str_dupn(list->v[i]->p, list->v[i]->len);
        const char *key = enc == ENC_JSON ? "\"name_label\":\""
                                          : "name_label</name><value>";
        const char *name = strstr(text, key);
        CHECK(name != NULL);
        CHECK(str_starts(text,
                         enc == ENC_JSON ? ",\"OpaqueRef:" : "<member><name>OpaqueRef:"));
        buf_addf(&out, "%.*s ", name ? (int)strcspn(name + strlen(key), "\"<") : 0,
                 name ? name + strlen(key) : "");
        len += list->v[i]->len;
    }
    CHECK_INT(list->len, len);
    return buf_take(&out);
}

static void check_all_names(const char *want) EXCLUDES(db_mutex)
{
    db_lock();
    for (int enc = ENC_JSON; enc <= ENC_XML; enc++) {
        AUTO(free_str) char *got = all_names(enc);
        CHECK_STR(got, want);
    }
    db_unlock();
}

static void rename_vm(const struct ref *vm, const char *name)
{
    struct tx *tx = tx_begin(&test_who);
    tx_set_str(tx, vm, CLASS_VM, F_VM_NAME_LABEL, name);
    commit(tx);
}

TEST(all_encoded_follow_the_records)
{
    test_open(test_dir());
    check_all_names("");
    struct tx *tx = tx_begin(&test_who);
    struct ref a = make_vm(tx, "one"), b = make_vm(tx, "two");
    commit(tx);
    check_all_names("one two ");
    rename_vm(&b, "second");
    rename_vm(&b, "2nd");
    check_all_names("one 2nd ");

    db_lock();
    struct texts *held = texts_hold(db_encoded_all(CLASS_VM, ENC_JSON));
    db_unlock();
    rename_vm(&a, "first");
    check_all_names("first 2nd "); /* the list that an answer holds stays what it was: */
    CHECK(memmem(held->v[0]->p, held->v[0]->len, "\"one\"", 5) != NULL);
    texts_drop(held);

    tx = tx_begin(&test_who);
    struct ref c = make_vm(tx, "three");
    commit(tx);
    check_all_names("first 2nd three ");
    tx = tx_begin(&test_who);
    tx_set_str(tx, &c, CLASS_VM, F_VM_NAME_LABEL, "undone");
    AUTO(free_str) char *inside = all_names(ENC_JSON);
    CHECK_STR(inside, "first 2nd undone ");
    tx_abort(tx);
    check_all_names("first 2nd three ");
    tx = tx_begin(&test_who);
    tx_destroy(tx, &b);
    AUTO(free_str) char *without = all_names(ENC_JSON); /* made before b is freed */
    CHECK_STR(without, "first three ");
    commit(tx);
    rename_vm(&c, "third");
    check_all_names("first third ");
    db_close();
}

/* More of them than are noted one by one. */
TEST(many_changes_between_two_lists)
{
    enum { MANY = DB_STALE + 8 };

    test_open(test_dir());
    struct ref vm[MANY];
    struct tx *tx = tx_begin(&test_who);
    for (size_t i = 0; i < MANY; i++)
        vm[i] = make_vm(tx, "x");
    commit(tx);
    static const size_t counts[] = { DB_STALE - 1, DB_STALE, DB_STALE + 1, MANY };
    for (size_t k = 0; k < ARRAY_SIZE(counts); k++) {
        AUTO(buf_done) struct buf want = BUF_INIT(0);
        AUTO(free_str) char *name = str_fmt("%zu", k), *other = str_fmt("-%zu", k);
        tx = tx_begin(&test_who);
        for (size_t i = 0; i < MANY; i++) {
            tx_set_str(tx, &vm[i], CLASS_VM, F_VM_NAME_LABEL, other);
            buf_addf(&want, "%s ", i < counts[k] ? name : other);
        }
        (void)db_encoded_all(CLASS_VM, ENC_JSON);
        (void)db_encoded_all(CLASS_VM, ENC_XML);
        for (size_t i = 0; i < counts[k]; i++)
            tx_set_str(tx, &vm[i], CLASS_VM, F_VM_NAME_LABEL, name);
        commit(tx);
        check_all_names(buf_str(&want));
    }
    db_close();
}

TEST(inverse_sets_follow)
{
    test_open(test_dir());
    struct tx *tx = tx_begin(&test_who);
    struct ref vm = make_vm(tx, "vm"), vm2 = make_vm(tx, "vm2"), vdi = make_vdi(tx, "disk");
    struct ref vbd = make_vbd(tx, vm, vdi), vbd2 = make_vbd(tx, vm, REF_NULL);
    commit(tx);
    db_lock();
    CHECK_INT(vm_of(vm)->VBDs.n, 2);
    CHECK(ref_eq(&vm_of(vm)->VBDs.v[0], &vbd) && ref_eq(&vm_of(vm)->VBDs.v[1], &vbd2));
    uint64_t before = db_generation();
    db_unlock();
    tx = tx_begin(&test_who);
    tx_set_ref(tx, &vbd, CLASS_VBD, F_VBD_VM, &vm2);
    commit(tx);
    db_lock();
    CHECK_INT(db_generation(), before + 1);
    CHECK_INT(vm_of(vm)->VBDs.n, 1);
    CHECK(ref_eq(&vm_of(vm2)->VBDs.v[0], &vbd));
    CHECK_INT(db_index_get(&vm)->modified, before + 1);
    CHECK_INT(db_index_get(&vm2)->modified, before + 1);
    CHECK_INT(db_index_get(&vbd2)->modified, before);
    db_unlock();
    test_reopen_same(test_dir());
    tx = tx_begin(&test_who);
    tx_destroy(tx, &vm2);
    commit(tx);
    db_lock();
    const struct vbd_rec *rec = db_get(CLASS_VBD, &vbd);
    CHECK(ref_is_null(&rec->VM) && ref_eq(&rec->VDI, &vdi));
    db_unlock();
    tx = tx_begin(&test_who);
    tx_destroy(tx, &vbd);
    commit(tx);
    db_lock();
    CHECK_INT(((const struct vdi_rec *)db_get(CLASS_VDI, &vdi))->VBDs.n, 0);
    db_unlock();
    test_reopen_same(test_dir());
    db_close();
}

TEST(destroying_clears_references)
{
    test_open(test_dir());
    struct tx *tx = tx_begin(&test_who);
    struct ref vm = make_vm(tx, "vm"), vdi = make_vdi(tx, "suspended"),
               vdi2 = make_vdi(tx, "other");
    tx_set_ref(tx, &vm, CLASS_VM, F_VM_SUSPEND_VDI, &vdi);
    struct ref pool = tx_create(tx, CLASS_POOL, record_new(&schema_classes[CLASS_POOL]),
                                NULL);
    tx_set_add(tx, &pool, CLASS_POOL, F_POOL_METADATA_VDIS, &vdi);
    tx_set_add(tx, &pool, CLASS_POOL, F_POOL_METADATA_VDIS, &vdi2);
    struct ref vif = tx_create(tx, CLASS_VIF, record_new(&schema_classes[CLASS_VIF]), NULL);
    struct ref blob = tx_create(tx, CLASS_BLOB, record_new(&schema_classes[CLASS_BLOB]),
                                NULL);
    struct ref net = tx_create(tx, CLASS_NETWORK,
                               record_new(&schema_classes[CLASS_NETWORK]), NULL);

    struct {
        struct ref key;
        const char *val;
    } ip = { vif, "10.0.0.1" };
    struct set_any ips = { .v = &ip, .n = 1 };
    tx_set(tx, &net, CLASS_NETWORK, F_NETWORK_ASSIGNED_IPS, &ips);
    tx_map_put(tx, &net, CLASS_NETWORK, F_NETWORK_BLOBS, "icon", &blob);
    commit(tx);
    AUTO(free_str) char *before = dump_memory();
    tx = tx_begin(&test_who);
    tx_destroy(tx, &vdi);
    tx_destroy(tx, &vif);
    tx_destroy(tx, &blob);
    tx_abort(tx);
    AUTO(free_str) char *after = dump_memory();
    CHECK_STR(after, before);
    tx = tx_begin(&test_who);
    tx_destroy(tx, &vdi);
    tx_destroy(tx, &vif);
    tx_destroy(tx, &blob);
    commit(tx);
    db_lock();
    CHECK(ref_is_null(&vm_of(vm)->suspend_VDI));
    const struct pool_rec *p = db_get(CLASS_POOL, &pool);
    CHECK(p->metadata_VDIs.n == 1 && ref_eq(&p->metadata_VDIs.v[0], &vdi2));
    const struct network_rec *n = db_get(CLASS_NETWORK, &net);
    CHECK_INT(n->assigned_ips.n, 0);
    CHECK(n->blobs.n == 1 && ref_is_null(&n->blobs.v[0].val));
    struct ref found = db_pool_ref();
    CHECK(ref_eq(&found, &pool));
    db_unlock();
    test_reopen_same(test_dir());
    db_close();
}

TEST(abort_leaves_no_trace)
{
    test_open(test_dir());
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct rng r = { seed };
        struct tx *tx = tx_begin(&test_who);
        for (int i = 0; i < 6; i++)
            random_change(tx, &r);
        if (seed % 10 == 0)
            commit(tx);
        else
            tx_abort(tx);
        AUTO(free_str) char *before = dump_memory();
        tx = tx_begin(&test_who);
        for (size_t n = 1 + rng_below(&r, 25); n > 0; n--)
            random_change(tx, &r);
        tx_abort(tx);
        AUTO(free_str) char *after = dump_memory();
        if (strcmp(before, after) != 0)
            test_fail(__FILE__, __LINE__, "seed %" PRIu64 ":\n%s\n---\n%s", seed, before,
                      after);
    }
    test_reopen_same(test_dir());
    db_close();
}

/* One writer, the n-th commit fails, for every n. */
TEST(a_failed_commit_leaves_no_trace)
{
    for (long n = 1; n <= 24; n++) {
        AUTO(free_str) char *dir = str_fmt("%s/%ld", test_dir(), n);
        test_open_fails(dir);
        struct rng r = { (uint64_t)n };
        test_store_fail(n, 1 + n % 3);
        int failed = 0;
        for (int i = 0; i < 200 && (i < 28 || !failed); i++) {
            AUTO(free_str) char *before = dump_memory();
            struct tx *tx = tx_begin(&test_who);
            for (int k = 0; k < 4; k++)
                random_change(tx, &r);
            struct err err = { 0 };
            if (tx_commit(tx, &err) == 0)
                continue;
            failed++;
            CHECK_STR(err.code, ERR_OUT_OF_SPACE);
            err_done(&err);
            AUTO(free_str) char *after = dump_memory();
            CHECK_STR(after, before);
        }
        CHECK(failed > 0);
        test_store_fail(0, 0);
        test_reopen_same(dir);
        db_close();
    }
}

/* Many writers. Each has VMs of its own, of which it knows what was acknowledged. */
struct writer {
    pthread_t thread;
    unsigned id;
    int failed;
    int64_t acked;
    struct ref vm;
};

static void *write_much(void *arg)
{
    struct writer *w = arg;
    struct rng r = { w->id * 7919u };
    for (int i = 1; i <= 25; i++) {
        struct tx *tx = tx_begin(&test_who);
        bool made = vm_of(w->vm) == NULL;
        struct ref vm = made ? make_vm(tx, "mine") : w->vm;
        tx_set_int(tx, &vm, CLASS_VM, F_VM_USER_VERSION, i);
        for (size_t k = rng_below(&r, 4); k > 0; k--)
            (void)make_vbd(tx, vm, REF_NULL);
        if (i % 5 == 0) { /* a volatile one among them */
            tx_abort(tx);
            tx = tx_begin(&test_who);
            if (vm_of(w->vm)) {
                int op = VM_OPERATIONS_START;
                tx_map_put(tx, &w->vm, CLASS_VM, F_VM_CURRENT_OPERATIONS, "t", &op);
            }
            w->failed += tx_commit(tx, NULL) < 0;
            continue;
        }
        if (tx_commit(tx, NULL) < 0) {
            w->failed++;
            continue;
        }
        w->vm = vm;
        w->acked = i;
    }
    return NULL;
}

TEST(failures_among_many_writers)
{
    int failed = 0;
    for (long n = 1; n <= 20; n++) {
        AUTO(free_str) char *dir = str_fmt("%s/%ld", test_dir(), n);
        test_open_fails(dir);
        test_store_fail(n, 1 + n % 4);
        struct writer w[6] = { 0 };
        for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
            w[i].id = (unsigned)n * 10 + i;
            CHECK(thread_start(&w[i].thread, "writer", 0, write_much, &w[i]) == 0);
        }
        for (unsigned i = 0; i < ARRAY_SIZE(w); i++)
            CHECK(pthread_join(w[i].thread, NULL) == 0);
        test_store_fail(0, 0);
        for (int again = 0; again < 2; again++) {
            db_lock();
            for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
                const struct vm_rec *rec = vm_of(w[i].vm);
                CHECK_INT(rec ? rec->user_version : 0, w[i].acked);
                failed += w[i].failed;
            }
            db_unlock();
            test_reopen_same(dir);
        }
        db_close();
    }
    CHECK(failed > 20);
}

/* Threads that each make one change. */
struct change {
    pthread_t thread;
    struct ref vm;
    int64_t value;
    bool volatile_only;
    int rc;
};

static void *change_one(void *arg)
{
    struct change *c = arg;
    struct tx *tx = tx_begin(&test_who);
    if (c->volatile_only) {
        int op = VM_OPERATIONS_START;
        tx_map_put(tx, &c->vm, CLASS_VM, F_VM_CURRENT_OPERATIONS, "t", &op);
    } else {
        tx_set_int(tx, &c->vm, CLASS_VM, F_VM_USER_VERSION, c->value);
    }
    c->rc = tx_commit(tx, NULL);
    return NULL;
}

/* Until something newer than gen is in the queue. */
static void wait_queued(uint64_t gen)
{
    db_lock();
    while (db.generation == gen)
        cond_wait(&db.work, &db_mutex);
    db_unlock();
}

/* Start c and return when its change is in memory; the store is held, so it is not durable. */
static void start_change(struct change *c)
{
    db_lock();
    uint64_t gen = db.generation;
    db_unlock();
    CHECK(thread_start(&c->thread, "change", 0, change_one, c) == 0);
    wait_queued(gen);
}

static struct ref one_vm(void)
{
    struct tx *tx = tx_begin(&test_who);
    struct ref vm = make_vm(tx, "vm");
    commit(tx);
    return vm;
}

TEST(what_queued_behind_a_failure_is_undone_too)
{
    test_open_fails(test_dir());
    struct ref vm = one_vm();
    AUTO(free_str) char *before = dump_memory();
    test_store_hold(true);
    test_store_fail(1, 1);
    struct change c[4] = { { .vm = vm, .value = 1 },
                           { .vm = vm, .value = 2 },
                           { .vm = vm, .volatile_only = true },
                           { .vm = vm, .value = 3 } };
    start_change(&c[0]);
    test_store_wait_held();
    for (size_t i = 1; i < ARRAY_SIZE(c); i++)
        start_change(&c[i]);
    db_lock();
    CHECK_INT(vm_of(vm)->user_version, 3);
    CHECK_INT(vm_of(vm)->current_operations.n, 1);
    db_unlock();
    test_store_hold(false);
    for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
        CHECK(pthread_join(c[i].thread, NULL) == 0);
        CHECK_INT(c[i].rc, -1);
    }
    AUTO(free_str) char *after = dump_memory();
    CHECK_STR(after, before);
    db_lock();
    CHECK_INT(db_durable(), db_generation());
    db_unlock();
    struct change again = { .vm = vm, .value = 9 };
    (void)change_one(&again);
    CHECK_INT(again.rc, 0);
    test_reopen_same(test_dir());
    db_close();
}

struct reader {
    pthread_t thread;
    struct ref vm;
    bool by_absence;
    int64_t saw;
    bool returned;
    struct err err;
    int rc;
    struct mutex lock;
    struct cond looked;
    bool has_looked;
};

static void *read_one(void *arg)
{
    struct reader *r = arg;
    db_seen_reset();
    db_lock();
    const struct vm_rec *rec = vm_of(r->vm);
    r->saw = rec ? rec->user_version : -1;
    db_unlock();
    mutex_lock(&r->lock);
    r->has_looked = true;
    cond_broadcast(&r->looked);
    mutex_unlock(&r->lock);
    r->rc = db_wait_seen(&r->err);
    mutex_lock(&r->lock);
    r->returned = true;
    mutex_unlock(&r->lock);
    return NULL;
}

static void start_reader(struct reader *r)
{
    mutex_init(&r->lock);
    cond_init(&r->looked);
    CHECK(thread_start(&r->thread, "reader", 0, read_one, r) == 0);
    mutex_lock(&r->lock);
    while (!r->has_looked)
        cond_wait(&r->looked, &r->lock);
    CHECK(!r->returned);
    mutex_unlock(&r->lock);
}

static void end_reader(struct reader *r)
{
    CHECK(pthread_join(r->thread, NULL) == 0);
    cond_done(&r->looked);
    mutex_done(&r->lock);
}

TEST(nothing_is_shown_before_it_is_durable)
{
    for (int fails = 0; fails < 2; fails++) {
        AUTO(free_str) char *dir = str_fmt("%s/%d", test_dir(), fails);
        test_open_fails(dir);
        struct ref vm = one_vm();
        db_seen_reset();
        db_lock();
        CHECK(vm_of(vm) != NULL);
        db_unlock();
        CHECK(db_wait_seen(NULL) == 0); /* durable: at once */
        test_store_hold(true);
        if (fails)
            test_store_fail(1, 1);
        struct change c = { .vm = vm, .value = 7 };
        start_change(&c);
        test_store_wait_held();
        struct reader r = { .vm = vm };
        start_reader(&r);
        CHECK_INT(r.saw, 7);
        db_lock();
        CHECK_INT(db_durable() + 1, db_generation());
        struct deadline now = deadline_in(0);
        CHECK(db_wait_newer(db_durable(), &now, NULL) < 0 && errno == ETIMEDOUT);
        db_unlock();
        test_store_hold(false);
        end_reader(&r);
        CHECK(pthread_join(c.thread, NULL) == 0);
        CHECK_INT(r.rc, fails ? -1 : 0);
        CHECK_INT(c.rc, fails ? -1 : 0);
        if (fails)
            CHECK_STR(r.err.code, ERR_OUT_OF_SPACE);
        err_done(&r.err);
        db_close();
    }
}

static void *destroy_one(void *arg)
{
    struct change *c = arg;
    struct tx *tx = tx_begin(&test_who);
    tx_destroy(tx, &c->vm);
    c->rc = tx_commit(tx, NULL);
    return NULL;
}

TEST(absence_is_not_shown_early_either)
{
    test_open_fails(test_dir());
    struct ref vm = one_vm();
    test_store_hold(true);
    test_store_fail(1, 1);
    struct change c = { .vm = vm };
    db_lock();
    uint64_t gen = db.generation;
    db_unlock();
    CHECK(thread_start(&c.thread, "destroy", 0, destroy_one, &c) == 0);
    wait_queued(gen);
    test_store_wait_held();
    struct reader r = { .vm = vm };
    start_reader(&r);
    CHECK_INT(r.saw, -1);
    test_store_hold(false);
    end_reader(&r);
    CHECK_INT(r.rc, -1);
    err_done(&r.err);
    CHECK(pthread_join(c.thread, NULL) == 0);
    db_lock();
    CHECK(vm_of(vm) != NULL);
    db_unlock();
    db_close();
}

/* What a thread saw is remembered as undone even when it later sees something newer and durable. */
TEST(seen_and_undone_stays_undone)
{
    test_open_fails(test_dir());
    struct ref vm = one_vm(), vm2 = one_vm();
    test_store_hold(true);
    test_store_fail(1, 1);
    struct change c = { .vm = vm, .value = 7 }, c2 = { .vm = vm2, .value = 8 };
    start_change(&c);
    test_store_wait_held();
    db_seen_reset();
    db_lock();
    CHECK_INT(vm_of(vm)->user_version, 7);
    db_unlock();
    test_store_hold(false);
    CHECK(pthread_join(c.thread, NULL) == 0);
    test_store_hold(true);
    start_change(&c2);
    test_store_wait_held();
    db_lock();
    CHECK_INT(vm_of(vm2)->user_version, 8);
    db_unlock();
    test_store_hold(false);
    CHECK(pthread_join(c2.thread, NULL) == 0);
    CHECK_INT(c2.rc, 0);
    struct err err = { 0 };
    CHECK_INT(db_wait_seen(&err), -1);
    err_done(&err);
    CHECK_INT(db_wait_seen(NULL), 0);
    db_close();
}

/* Changes and tombstones */

struct seen_changes {
    struct db_change v[32];
    size_t n;
};

static bool keep_change(const struct db_change *c, void *arg)
{
    struct seen_changes *s = arg;
    CHECK(s->n < ARRAY_SIZE(s->v));
    s->v[s->n++] = *c;
    return true;
}

static struct seen_changes changes_since(uint64_t since)
{
    struct seen_changes s = { .n = 0 };
    db_lock();
    db_changes_since(since, keep_change, &s);
    db_unlock();
    return s;
}

TEST(changes_come_in_order)
{
    test_open(test_dir());
    struct ref a = one_vm(), b = one_vm(), c = one_vm();
    db_lock();
    uint64_t gen = db_generation();
    db_unlock();
    CHECK_INT(changes_since(gen).n, 0);
    struct seen_changes s = changes_since(gen - 2);
    CHECK(s.n == 2 && ref_eq(&s.v[0].ref, &b) && ref_eq(&s.v[1].ref, &c));
    struct tx *tx = tx_begin(&test_who);
    tx_destroy(tx, &b);
    commit(tx);
    tx = tx_begin(&test_who);
    tx_touch(tx, &a);
    commit(tx);
    struct ref d = one_vm();
    tx = tx_begin(&test_who);
    tx_destroy(tx, &c);
    commit(tx);
    s = changes_since(gen);
    CHECK_INT(s.n, 4);
    CHECK(s.v[0].deleted && ref_eq(&s.v[0].ref, &b) && s.v[0].created == gen - 1);
    CHECK(!s.v[1].deleted && ref_eq(&s.v[1].ref, &a) && s.v[1].modified == gen + 2);
    CHECK(!s.v[2].deleted && ref_eq(&s.v[2].ref, &d) && s.v[2].created == gen + 3);
    CHECK(s.v[3].deleted && ref_eq(&s.v[3].ref, &c) && s.v[3].modified == gen + 4);
    tx = tx_begin(&test_who); /* sessions are not told of */
    (void)tx_create(tx, CLASS_SESSION, record_new(&schema_classes[CLASS_SESSION]), NULL);
    commit(tx);
    CHECK_INT(changes_since(gen + 4).n, 0);
    db_close();
}

TEST(old_tombstones_are_forgotten)
{
    test_open(test_dir());
    db_lock();
    uint64_t from = db_tombstones_from();
    db_unlock();

    enum { ROUNDS = 34, EACH = 2000 };
    static struct ref refs[EACH];

    for (int i = 0; i < ROUNDS; i++) {
        struct tx *tx = tx_begin(&test_who);
        for (int k = 0; k < EACH; k++)
            refs[k] = tx_create(tx, CLASS_BLOB, record_new(&schema_classes[CLASS_BLOB]),
                                NULL);
        commit(tx);
        tx = tx_begin(&test_who);
        for (int k = 0; k < EACH; k++)
            tx_destroy(tx, &refs[k]);
        commit(tx);
    }
    db_lock();
    CHECK_INT(db.n_tombs, DB_TOMBSTONES);
    CHECK_INT(db_tombstones_from(),
              from + 4); /* of 34 rounds, part of the second is lost */
    db_unlock();
    db_close();
}

TEST(generations_go_on_after_a_restart)
{
    test_open(test_dir());
    struct ref vm = one_vm();
    for (int i = 0; i < 10; i++) {
        struct tx *tx = tx_begin(&test_who);
        tx_touch(tx, &vm);
        commit(tx);
    }
    db_lock();
    uint64_t last = db_generation();
    db_unlock();
    db_close();
    test_open(test_dir());
    db_lock();
    CHECK(db_tombstones_from() > last);
    CHECK_INT(db_generation(), db_durable());
    db_unlock();
    CHECK_INT(changes_since(0).n, 1);
    db_close();
}

/* Opening */

static const char *open_error(const char *dir)
{
    static char text[512];
    struct err err = { 0 };
    if (db_open(dir, &err) == 0)
        return "";
    (void)snprintf(text, sizeof(text), "%s", err.detail);
    err_done(&err);
    return text;
}

TEST(one_process_per_directory)
{
    test_open(test_dir());
    AUTO(free_str)
    char *want = str_fmt("state directory %s is in use by another seraid (pid %d)",
                         test_dir(), (int)getpid());
    CHECK_STR(open_error(test_dir()), want);
    db_close();
    CHECK_STR(open_error(test_dir()), "");
    db_close();
}

static void put_file(const char *name, const void *p, size_t len)
{
    AUTO(free_str) char *path = str_fmt("%s/%s", test_dir(), name);
    CHECK(io_write_file(path, p, len, 0600) == 0);
}

TEST(a_directory_that_cannot_be_written)
{
    put_file("file", "", 0);
    AUTO(free_str) char *dir = str_fmt("%s/file/state", test_dir());
    AUTO(free_str)
    char *want = str_fmt("state directory %s cannot be made: Not a directory", dir);
    CHECK_STR(open_error(dir), want);
    CHECK(strstr(open_error("/proc/self"), "is not writable") != NULL);
}

static void sql(const char *text)
{
    AUTO(free_str) char *path = str_fmt("%s/serai.db", test_dir());
    sqlite3 *s;
    CHECK(sqlite3_open(path, &s) == SQLITE_OK);
    CHECK(sqlite3_exec(s, text, NULL, NULL, NULL) == SQLITE_OK);
    CHECK(sqlite3_close(s) == SQLITE_OK);
}

TEST(a_damaged_database)
{
    char junk[8192];
    memset(junk, 'x', sizeof(junk));
    put_file("serai.db", junk, sizeof(junk));
    AUTO(free_str)
    char *want = str_fmt("the database %s/serai.db is damaged: file is not a database",
                         test_dir());
    CHECK_STR(open_error(test_dir()), want);
    AUTO(free_str) char *path = str_fmt("%s/serai.db", test_dir());
    CHECK(unlink(path) == 0);
    test_open(test_dir());
    struct ref vm = one_vm();
    db_close();
    sql("UPDATE object SET json = substr(json, 1, 100)");
    char text[REF_TEXT_SIZE];
    ref_text(&vm, text);
    AUTO(free_str)
    char *want2 = str_fmt("the database in %s is damaged: VM %s cannot be read", test_dir(),
                          text);
    CHECK_STR(open_error(test_dir()), want2);
    sql("PRAGMA user_version = 99");
    AUTO(free_str)
    char *want3 = str_fmt("the database %s was written by a newer seraid (version 99)",
                          path);
    CHECK_STR(open_error(test_dir()), want3);
}

TEST(what_is_unknown_is_kept)
{
    test_open(test_dir());
    struct ref vm = one_vm();
    db_close();
    sql("UPDATE object SET json = json_set(json_remove(json, '$.user_version', "
        "'$.name_description'),"
        " '$.from_the_future', json('{\"a\":[1,\"two\"]}'), '$.actions_after_crash', 'no "
        "such value')");
    sql("INSERT INTO object VALUES(x'00112233445566778899aabbccddeeff', 'hologram', '{}')");
    test_open(test_dir());
    struct tx *tx = tx_begin(&test_who);
    struct vm_rec *fresh = record_new(&schema_classes[CLASS_VM]);
    CHECK_INT(vm_of(vm)->user_version, fresh->user_version);
    CHECK_INT(vm_of(vm)->actions_after_crash, fresh->actions_after_crash);
    record_free(&schema_classes[CLASS_VM], fresh);
    CHECK_STR(vm_of(vm)->name_description, "");
    tx_set_str(tx, &vm, CLASS_VM, F_VM_NAME_LABEL, "new");
    commit(tx);
    test_reopen_same(test_dir());
    db_close();
    AUTO(free_str) char *path = str_fmt("%s/serai.db", test_dir());
    sqlite3 *s;
    sqlite3_stmt *st;
    CHECK(sqlite3_open(path, &s) == SQLITE_OK);
    CHECK(sqlite3_prepare_v2(
              s,
              "SELECT json_extract(json, '$.from_the_future.a[1]'), (SELECT count(*)"
              " FROM object WHERE class = 'hologram') FROM object WHERE class = 'VM'",
              -1, &st, NULL)
          == SQLITE_OK);
    CHECK(sqlite3_step(st) == SQLITE_ROW);
    CHECK_STR((const char *)sqlite3_column_text(st, 0), "two");
    CHECK_INT(sqlite3_column_int(st, 1), 1);
    (void)sqlite3_finalize(st);
    (void)sqlite3_close(s);
}

TEST(text_that_is_not_utf8_does_no_harm)
{
    test_open(test_dir());
    struct ref vm = one_vm();
    struct tx *tx = tx_begin(&test_who);
    tx_set_str(tx, &vm, CLASS_VM, F_VM_NAME_LABEL, "gr\xc3\xbc\xff\xc3");
    commit(tx);
    db_close();
    test_open(test_dir());
    db_lock();
    CHECK(strncmp(vm_of(vm)->name_label, "gr\xc3\xbc", 4) == 0);
    db_unlock();
    db_close();
}

/* A full disk, played by a limit on the size of files. */
TEST(a_full_disk)
{
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    test_open(test_dir());
    struct ref vm = one_vm();
    struct rlimit lim, was;
    CHECK(getrlimit(RLIMIT_FSIZE, &was) == 0);
    lim = was;
    lim.rlim_cur = 64 * 1024;
    CHECK(setrlimit(RLIMIT_FSIZE, &lim) == 0);
    char *big = mem_alloc(100001);
    memset(big, 'b', 100000);
    AUTO(free_str) char *before = dump_memory();
    AUTO(free_str) char *path = str_fmt("%s/serai.db", test_dir());
    for (int i = 0; i < 3; i++) {
        struct tx *tx = tx_begin(&test_who);
        (void)make_vm(tx, "another");
        tx_set_str(tx, &vm, CLASS_VM, F_VM_NAME_DESCRIPTION, big);
        struct err err = { 0 };
        CHECK_INT(tx_commit(tx, &err), -1);
        CHECK_STR(err.code, ERR_OUT_OF_SPACE);
        CHECK_STR(err.params[0], path);
        err_done(&err);
    }
    AUTO(free_str) char *after = dump_memory();
    CHECK_STR(after, before);
    CHECK(setrlimit(RLIMIT_FSIZE, &was) == 0);
    struct tx *tx = tx_begin(&test_who);
    tx_set_str(tx, &vm, CLASS_VM, F_VM_NAME_DESCRIPTION, big);
    commit(tx);
    free(big);
    test_reopen_same(test_dir());
    db_close();
}

TEST(waiting_for_news_can_be_cancelled)
{
    test_open(test_dir());
    bool cancel = true;
    struct deadline d = deadline_never();
    db_lock();
    CHECK(db_wait_newer(db_durable(), &d, &cancel) < 0 && errno == ECANCELED);
    CHECK(db_wait_newer(db_durable() - 1, &d, &cancel) == 0);
    db_unlock();
    db_close();
}
