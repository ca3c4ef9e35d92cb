/* SPDX-License-Identifier: Apache-2.0 */
#include "model/history.h"

#include <string.h>

#include "api/errors.h"
#include "api/records.h"
#include "base/clock.h"
#include "base/mem.h"
#include "model/model_test.h"

/* One line per entry: kind, who, call, changes. */
static bool keep(const struct store_history *h, void *arg)
{
    static const char *const kinds[] = { "create", "modify", "destroy" };
    struct buf *b = arg;
    buf_addf(b, "%s %s %s %s %s\n", kinds[h->kind], h->cls, h->user, h->call,
             h->kind == STORE_MODIFY ? h->changes : "");
    return true;
}

static char *list(const struct ref *ref)
{
    struct buf b = BUF_INIT(0);
    CHECK(history_list(ref, 0, INT64_MAX, keep, &b, NULL) == 0);
    return buf_take(&b);
}

/* A moment after all that was and before all that comes. */
static int64_t moment(void)
{
    int64_t t = clock_wall_us();
    while (clock_wall_us() == t) {
    }
    t = clock_wall_us();
    while (clock_wall_us() == t) {
    }
    return t;
}

static char *name_at(const struct ref *ref, int64_t at)
{
    AUTO(buf_done) struct buf json = BUF_INIT(0);
    struct err err = { 0 };
    if (history_at(ref, at, &json, &err) < 0) {
        char *code = str_fmt("%s(%s)", err.code, err.params[0]);
        err_done(&err);
        return code;
    }
    json_t *j = json_loads(buf_str(&json), 0, NULL);
    CHECK(j != NULL);
    char *name = str_fmt(
        "%s,%s", json_string_value(json_object_get(j, "name_label")),
        json_string_value(json_object_get(json_object_get(j, "other_config"), "k")));
    json_decref(j);
    return name;
}

TEST(an_object_at_any_moment)
{
    test_open(test_dir());
    int64_t t[6];
    t[0] = moment();
    struct tx *tx = tx_begin(&test_who);
    struct ref vm = make_vm(tx, "one");
    CHECK(tx_commit(tx, NULL) == 0);
    t[1] = moment();
    struct ref task = ref_new();
    tx = tx_begin(&(struct tx_who){ "eve", "VM.set_name_label", &task });
    tx_set_str(tx, &vm, CLASS_VM, F_VM_NAME_LABEL, "between");
    tx_set_str(tx, &vm, CLASS_VM, F_VM_NAME_LABEL, "two");
    int op = VM_OPERATIONS_START; /* volatile: no matter for the history */
    tx_map_put(tx, &vm, CLASS_VM, F_VM_CURRENT_OPERATIONS, "t", &op);
    CHECK(tx_commit(tx, NULL) == 0);
    t[2] = moment();
    tx = tx_begin(&test_who);
    tx_map_put_str(tx, &vm, CLASS_VM, F_VM_OTHER_CONFIG, "k", "v");
    CHECK(tx_commit(tx, NULL) == 0);
    t[3] = moment();
    tx = tx_begin(&test_who);
    tx_set_str(tx, &vm, CLASS_VM, F_VM_NAME_LABEL, "last words");
    tx_destroy(tx, &vm);
    CHECK(tx_commit(tx, NULL) == 0);
    t[4] = moment();
    static const char *const want[] = { "HANDLE_INVALID(VM)", "one,(null)", "two,(null)",
                                        "two,v", "HANDLE_INVALID()" };
    for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
        AUTO(free_str) char *got = name_at(&vm, t[i]);
        CHECK_STR(got, want[i]);
    }
    AUTO(free_str) char *all = list(&vm);
    CHECK_STR(all, "destroy VM root test \n"
                   "modify VM root test {\"other_config\":[{},{\"k\":\"v\"}]}\n"
                   "modify VM eve VM.set_name_label {\"name_label\":[\"one\",\"two\"]}\n"
                   "create VM root test \n");
    db_close();
}

TEST(secrets_leave_no_values_behind)
{
    test_open(test_dir());
    struct tx *tx = tx_begin(&test_who);
    struct secret_rec *rec = record_new(&schema_classes[CLASS_SECRET]);
    str_put(&rec->value, "canary");
    struct ref s = tx_create(tx, CLASS_SECRET, rec, NULL);
    CHECK(tx_commit(tx, NULL) == 0);
    tx = tx_begin(&test_who);
    tx_set_str(tx, &s, CLASS_SECRET, F_SECRET_VALUE, "canary2");
    CHECK(tx_commit(tx, NULL) == 0);
    AUTO(free_str) char *all = list(&s);
    CHECK_STR(all, "modify secret root test {}\ncreate secret root test \n");
    db_close();
}

static bool count(const struct store_history *h, void *arg)
{
    ++*(int *)arg;
    return true;
}

static int entries(void)
{
    int n = 0;
    CHECK(history_list(NULL, 0, INT64_MAX, count, &n, NULL) == 0);
    return n;
}

TEST(old_entries_are_trimmed)
{
    struct store_config cfg = { .dir = test_dir(), .history_rows = 20 };
    CHECK(db_open_with(&cfg, NULL) == 0);
    struct tx *tx = tx_begin(&test_who);
    struct ref vm = make_vm(tx, "vm");
    CHECK(tx_commit(tx, NULL) == 0);
    for (int i = 1; i <= 60; i++) {
        tx = tx_begin(&test_who);
        tx_set_int(tx, &vm, CLASS_VM, F_VM_USER_VERSION, i + 100);
        CHECK(tx_commit(tx, NULL) == 0);
        CHECK_INT(entries(), MIN(i + 1, 20));
    }
    db_close();
    cfg.history_age_us = 1; /* all is too old; a commit trims twice what it adds */
    cfg.history_rows = 0;
    CHECK(db_open_with(&cfg, NULL) == 0);
    for (int i = 1; i <= 5; i++) {
        tx = tx_begin(&test_who);
        tx_set_int(tx, &vm, CLASS_VM, F_VM_USER_VERSION, i);
        CHECK(tx_commit(tx, NULL) == 0);
    }
    CHECK_INT(entries(), 20 - 5);
    db_close();
    struct store *store; /* housekeeping does the rest, when there is time */
    CHECK(store_sqlite_ops.open(&cfg, &store, NULL) == 0);
    (void)moment();
    CHECK(store_sqlite_ops.tend(store));
    while (store_sqlite_ops.tend(store)) {
    }
    store_sqlite_ops.close(store);
    CHECK(db_open_with(&cfg, NULL) == 0);
    CHECK_INT(entries(), 0);
    db_close();
}

/* "one two": names of a class at a moment, in order. */
static char *names_at(const char *cls, int64_t at)
{
    int64_t id = -1;
    json_t *states, *state;
    const char *ref;
    struct buf b = BUF_INIT(0);
    CHECK(history_moment(at, &id, NULL) == 0);
    CHECK(history_class_at(cls, id, &states, NULL) == 0);
    json_object_foreach(states, ref, state)
    {
        buf_addf(&b, "%s ", json_string_value(json_object_get(state, "name_label")));
    }
    json_decref(states);
    return buf_take(&b);
}

TEST(a_class_at_any_moment)
{
    test_open(test_dir());
    int64_t t[5];
    t[0] = moment();
    struct tx *tx = tx_begin(&test_who);
    struct ref a = make_vm(tx, "a");
    (void)make_vdi(tx, "disk");
    CHECK(tx_commit(tx, NULL) == 0);
    t[1] = moment();
    tx = tx_begin(&test_who);
    struct ref b = make_vm(tx, "b");
    tx_set_str(tx, &a, CLASS_VM, F_VM_NAME_LABEL, "c");
    CHECK(tx_commit(tx, NULL) == 0);
    t[2] = moment();
    tx = tx_begin(&test_who);
    tx_destroy(tx, &a);
    CHECK(tx_commit(tx, NULL) == 0);
    tx = tx_begin(&test_who);
    tx_set_str(tx, &b, CLASS_VM, F_VM_NAME_LABEL, "d");
    CHECK(tx_commit(tx, NULL) == 0);
    t[3] = moment();
    tx = tx_begin(&test_who);
    tx_destroy(tx, &b);
    CHECK(tx_commit(tx, NULL) == 0);
    t[4] = moment();
    static const char *const want[][2] = {
        { "", "" }, { "a ", "a " }, { "c b ", "b c " }, { "d ", "d " }, { "", "" }
    };
    for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
        AUTO(free_str) char *got = names_at("VM", t[i]);
        if (!str_eq(got, want[i][0]) && !str_eq(got, want[i][1]))
            test_fail(__FILE__, __LINE__, "moment %zu: %s", i, got);
    }
    AUTO(free_str) char *disks = names_at("VDI", t[4]);
    CHECK_STR(disks, "disk ");
    db_close();
}

TEST(a_moment_before_what_is_kept_is_refused)
{
    struct store_config cfg = { .dir = test_dir(), .history_rows = 3 };
    AUTO(err_done) struct err err = { 0 };
    int64_t id;
    CHECK(db_open_with(&cfg, NULL) == 0);
    int64_t before = moment();
    CHECK(history_moment(before, &id, NULL)
          == 0); /* nothing was ever removed: nothing was there */
    CHECK_INT(id, 0);
    struct tx *tx = tx_begin(&test_who);
    struct ref vm = make_vm(tx, "vm");
    CHECK(tx_commit(tx, NULL) == 0);
    for (int i = 1; i <= 10; i++) {
        tx = tx_begin(&test_who);
        tx_set_int(tx, &vm, CLASS_VM, F_VM_USER_VERSION, i + 100);
        CHECK(tx_commit(tx, NULL) == 0);
    }
    CHECK(history_moment(before, &id, &err) < 0);
    CHECK_STR(err.code, "INVALID_VALUE");
    CHECK(history_moment(moment(), &id, NULL) == 0);
    CHECK_INT(id, 11);
    db_close();
}

TEST(the_pool_says_what_is_kept)
{
    int64_t age_us, rows;
    test_open(test_dir());
    db_lock();
    history_rule(&age_us, &rows);
    db_unlock();
    CHECK(age_us == 0 && rows == 0);
    struct tx *tx = tx_begin(&test_who);
    struct ref pool = tx_create(tx, CLASS_POOL, record_new(&schema_classes[CLASS_POOL]),
                                NULL);
    tx_map_put_str(tx, &pool, CLASS_POOL, F_POOL_OTHER_CONFIG, HISTORY_DAYS_KEY, "2");
    tx_map_put_str(tx, &pool, CLASS_POOL, F_POOL_OTHER_CONFIG, HISTORY_ENTRIES_KEY, "many");
    CHECK(tx_commit(tx, NULL) == 0);
    db_lock();
    history_rule(&age_us, &rows);
    db_unlock();
    CHECK_INT(age_us, 2 * 24 * 3600 * US_PER_SEC);
    CHECK_INT(rows, 0); /* no number: the default */
    db_close();
}
