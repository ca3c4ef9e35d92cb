/* SPDX-License-Identifier: Apache-2.0 */
#include "model/event.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/mem.h"
#include "model/model_test.h"
#include "model/task.h"

static struct session start(void)
{
    struct session s;
    test_open_fails(test_dir());
    CHECK(session_login_local("tests", &s, NULL) == 0);
    return s;
}

static struct set_string classes_of(const char **one)
{
    return (struct set_string){ .v = one, .n = 1 };
}

struct batch {
    json_t *j;
    char *token;
    char text[1024]; /* "add vm name; mod ..." */
};

static const char *str_at(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "-";
}

static struct batch parse(const struct buf *out, bool whole)
{
    struct batch b = { .j = json_loads(buf_str(out), 0, NULL) };
    CHECK(b.j != NULL);
    size_t i, at = 0;
    json_t *e;
    const json_t *list = whole ? json_object_get(b.j, "events") : b.j;
    CHECK(json_is_array(list));
    json_array_foreach(list, i, e)
    {
        const json_t *snap = json_object_get(e, "snapshot");
        int n = snprintf(b.text + at, sizeof(b.text) - at, "%s%s %s %s", at ? "; " : "",
                         str_at(e, "operation"), str_at(e, "class"),
                         snap ? str_at(snap, "name_label") : "-");
        at = MIN(at + (size_t)n, sizeof(b.text) - 1);
    }
    if (whole)
        b.token = str_dup(str_at(b.j, "token"));
    return b;
}

static void batch_done(struct batch *b)
{
    json_decref(b->j);
    free(b->token);
}

/* What a client is told after token (taken, replaced), at once. */
static const char *poll_events(const struct session *s, const char *cls, char **token)
{
    static char text[1024];
    AUTO(buf_done) struct buf out = BUF_INIT(0);
    struct set_string classes = classes_of(&cls);
    struct deadline now = deadline_in(0);
    struct err err = { 0 };
    if (event_from(s, &classes, *token, &now, ENC_JSON, &out, &err) < 0) {
        (void)snprintf(text, sizeof(text), "%s", err.code);
        err_done(&err);
        return text;
    }
    AUTO(batch_done) struct batch b = parse(&out, true);
    CHECK_INT(strlen(b.token), 41);
    memcpy(text, b.text, sizeof(text));
    free(*token);
    *token = TAKE(b.token);
    return text;
}

static struct ref vm_new(const char *name)
{
    struct tx *tx = tx_begin(&test_who);
    struct ref vm = make_vm(tx, name);
    CHECK(tx_commit(tx, NULL) == 0);
    return vm;
}

static void rename_vm(struct ref vm, const char *name)
{
    struct tx *tx = tx_begin(&test_who);
    tx_set_str(tx, &vm, CLASS_VM, F_VM_NAME_LABEL, name);
    CHECK(tx_commit(tx, NULL) == 0);
}

static void destroy(struct ref vm)
{
    struct tx *tx = tx_begin(&test_who);
    tx_destroy(tx, &vm);
    CHECK(tx_commit(tx, NULL) == 0);
}

TEST(changes_become_events)
{
    struct session s = start();
    AUTO(free_str) char *token = str_dup("");
    struct ref a = vm_new("a"), b = vm_new("b");
    CHECK_STR(poll_events(&s, "*", &token), "add vm a; add vm b");
    CHECK_STR(poll_events(&s, "*", &token), "");
    rename_vm(a, "a1");
    rename_vm(b, "b1");
    rename_vm(a, "a2"); /* one event, in the place of the last change */
    CHECK_STR(poll_events(&s, "VM", &token), "mod vm b1; mod vm a2");
    struct ref c = vm_new("c");
    destroy(b);
    destroy(c); /* was never heard of */
    CHECK_STR(poll_events(&s, "vm", &token), "del vm -");
    rename_vm(a, "a3");
    CHECK_STR(poll_events(&s, "vdi", &token), "");
    rename_vm(a, "a4");
    CHECK_STR(poll_events(&s, "no_such_class", &token), "");
    AUTO(free_str) char *old = str_dup("");
    CHECK_STR(poll_events(&s, "*", &old), "add vm a4"); /* sessions never show */
    db_close();
}

TEST(single_objects)
{
    struct session s = start();
    struct ref a = vm_new("a"), b = vm_new("b");
    char ref[REF_TEXT_SIZE];
    ref_text(&b, ref);
    AUTO(free_str) char *one = str_fmt("vm/%s", ref), *wrong = str_fmt("vdi/%s", ref);
    AUTO(free_str) char *token = str_dup(""), *token2 = str_dup("");
    CHECK_STR(poll_events(&s, one, &token), "add vm b");
    CHECK_STR(poll_events(&s, wrong, &token2), "");
    rename_vm(a, "a1");
    CHECK_STR(poll_events(&s, one, &token), "");
    rename_vm(b, "b1");
    CHECK_STR(poll_events(&s, one, &token), "mod vm b1");
    db_close();
}

TEST(bad_subscriptions_and_tokens)
{
    struct session s = start();
    static const char *const bad[] = { "", "vm/x", "vm/OpaqueRef:NULL/y", "/" };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        AUTO(free_str) char *token = str_dup("");
        CHECK_STR(poll_events(&s, bad[i], &token), ERR_EVENT_SUBSCRIPTION_PARSE_FAILURE);
    }
    static const char *const tokens[] = { "x",     "1",    "1,",   ",1",
                                          "1,2,3", " 1,2", "-1,2", "1;2" };
    for (size_t i = 0; i < ARRAY_SIZE(tokens); i++) {
        AUTO(free_str) char *token = str_dup(tokens[i]);
        CHECK_STR(poll_events(&s, "*", &token), ERR_EVENT_FROM_TOKEN_PARSE_FAILURE);
    }
    AUTO(free_str) char *future = str_dup("99999999999999999999,00000000000000000000");
    CHECK_STR(poll_events(&s, "*", &future),
              ERR_EVENT_FROM_TOKEN_PARSE_FAILURE); /* beyond 64 bits */
    AUTO(free_str) char *later = str_dup("00000000000900000000,00000000000000000000");
    CHECK_STR(poll_events(&s, "*", &later), ERR_EVENTS_LOST);
    AUTO(free_str) char *token = str_dup("");
    (void)poll_events(&s, "*", &token);
    db_close();
    s = start(); /* after a restart, old tokens are lost */
    CHECK_STR(poll_events(&s, "*", &token), ERR_EVENTS_LOST);
    CHECK(session_logout(&s.ref, NULL) == 0);
    CHECK_STR(poll_events(&s, "*", &token), ERR_SESSION_INVALID);
    db_close();
}

TEST(the_batch_on_the_wire)
{
    struct session s = start();
    (void)vm_new("a");
    const char *all = "*";
    struct set_string classes = classes_of(&all);
    struct deadline now = deadline_in(0);
    AUTO(buf_done) struct buf out = BUF_INIT(0), xml = BUF_INIT(0);
    CHECK(event_from(&s, &classes, "", &now, ENC_JSON, &out, NULL) == 0);
    AUTO(batch_done) struct batch b = parse(&out, true);
    const json_t *counts = json_object_get(b.j, "valid_ref_counts");
    CHECK_INT(json_integer_value(json_object_get(counts, "vm")), 1);
    CHECK(json_is_integer(json_object_get(counts, "task")));
    CHECK(!json_object_get(counts, "session") && !json_object_get(counts, "event"));
    CHECK(event_from(&s, &classes, "", &now, ENC_XML, &xml, NULL) == 0);
    CHECK(strstr(buf_str(&xml), "<name>vm</name><value><i4>1</i4></value>")
          || strstr(buf_str(&xml), "<name>vm</name><value><int>1</int></value>"));
    CHECK(strstr(buf_str(&xml), "> <") == NULL);
    db_close();
}

TEST(inject_makes_an_event)
{
    struct session s = start();
    struct ref a = vm_new("a");
    (void)vm_new("b");
    char ref[REF_TEXT_SIZE];
    ref_text(&a, ref);
    AUTO(free_str) char *token = NULL;
    CHECK(event_inject("vm", ref, &token, NULL) == 0);
    CHECK_STR(poll_events(&s, "*", &token), "mod vm a");
    static const char *const cases[][2] = { { "vdi", NULL },
                                            { "vm", "x" },
                                            { "nothing", NULL } };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct err err = { 0 };
        char *none = NULL;
        const char *r = cases[i][1] ? cases[i][1] : ref;
        CHECK(event_inject(cases[i][0], r, &none, &err) < 0);
        CHECK_STR(err.code, ERR_HANDLE_INVALID);
        CHECK_STR(err.params[0], cases[i][0]);
        CHECK_STR(err.params[1], r);
        err_done(&err);
    }
    db_close();
}

/* Waiting */

struct waiter {
    pthread_t thread;
    struct session s;
    const char *cls;
    char *token;
    struct deadline d;
    char result[1024];
};

static void *wait_events(void *arg)
{
    struct waiter *w = arg;
    AUTO(buf_done) struct buf out = BUF_INIT(0);
    struct set_string classes = classes_of(&w->cls);
    struct err err = { 0 };
    if (event_from(&w->s, &classes, w->token, &w->d, ENC_JSON, &out, &err) < 0) {
        (void)snprintf(w->result, sizeof(w->result), "%s", err.code);
        err_done(&err);
        return NULL;
    }
    AUTO(batch_done) struct batch b = parse(&out, true);
    memcpy(w->result, b.text, sizeof(w->result));
    return NULL;
}

static void start_waiter(struct waiter *w, struct session s, const char *cls,
                         const char *token)
{
    *w = (struct waiter){
        .s = s, .cls = cls, .token = str_dup(token), .d = deadline_in(60 * US_PER_SEC)
    };
    CHECK(thread_start(&w->thread, "waiter", 128, wait_events, w) == 0);
}

static const char *end_waiter(struct waiter *w)
{
    CHECK(pthread_join(w->thread, NULL) == 0);
    free(w->token);
    return w->result;
}

TEST(waiters_wake_for_what_they_wait_for)
{
    struct session s = start();
    AUTO(free_str) char *token = str_dup("");
    struct ref vm = vm_new("vm");
    (void)poll_events(&s, "*", &token);
    static struct waiter w[50];
    for (size_t i = 0; i < ARRAY_SIZE(w); i++)
        start_waiter(&w[i], s, i % 2 ? "vm" : "vdi", token);
    rename_vm(vm, "new");
    for (size_t i = 1; i < ARRAY_SIZE(w); i += 2)
        CHECK_STR(end_waiter(&w[i]), "mod vm new");
    struct tx *tx = tx_begin(&test_who);
    (void)make_vdi(tx, "disk");
    CHECK(tx_commit(tx, NULL) == 0);
    for (size_t i = 0; i < ARRAY_SIZE(w); i += 2)
        CHECK_STR(end_waiter(&w[i]), "add vdi disk");
    db_close();
}

TEST(a_wait_ends_with_its_session)
{
    struct session s = start(), other;
    CHECK(session_login_local("other", &other, NULL) == 0);
    AUTO(free_str) char *token = str_dup("");
    (void)poll_events(&s, "*", &token);
    struct waiter w, w2;
    start_waiter(&w, s, "*", token);
    start_waiter(&w2, other, "*", token);
    CHECK(session_logout(&s.ref, NULL) == 0);
    CHECK_STR(end_waiter(&w), ERR_SESSION_INVALID);
    event_stop(true); /* the process ends: no events, no error */
    CHECK_STR(end_waiter(&w2), "");
    event_stop(false);
    db_close();
}

/* An event is told only after its commit, and not at all if that fails. */
static void *rename_thread(void *arg)
{
    struct tx *tx = tx_begin(&test_who);
    tx_set_str(tx, arg, CLASS_VM, F_VM_NAME_LABEL, "pending");
    (void)!tx_commit(tx, NULL);
    return NULL;
}

TEST(an_undone_change_is_no_event)
{
    struct session s = start();
    struct ref vm = vm_new("kept"), other = vm_new("other");
    AUTO(free_str) char *token = str_dup("");
    (void)poll_events(&s, "*", &token);
    rename_vm(other, "durable"); /* news, so that the waiter writes a batch at once */
    test_store_hold(true);
    test_store_fail(1, 1);
    pthread_t t;
    CHECK(thread_start(&t, "rename", 0, rename_thread, &vm) == 0);
    test_store_wait_held();
    struct waiter w;
    start_waiter(&w, s, "*", token);
    test_store_hold(false);
    CHECK_STR(end_waiter(&w), "mod vm durable");
    CHECK(pthread_join(t, NULL) == 0);
    db_close();
}

TEST(the_old_way)
{
    struct session s = start();
    const char *vm_cls = "vm", *all = "*";
    struct set_string vm = classes_of(&vm_cls), every = classes_of(&all);
    struct deadline now = deadline_in(0), never = deadline_never();
    AUTO(buf_done) struct buf out = BUF_INIT(0);
    struct err err = { 0 };
    CHECK(event_next(&s, &now, ENC_JSON, &out, &err) < 0);
    CHECK_STR(err.code, ERR_SESSION_NOT_REGISTERED);
    err_done(&err);
    (void)vm_new("before");
    CHECK(event_register(&s, &vm, NULL) == 0);
    struct ref a = vm_new("a");
    CHECK(event_next(&s, &never, ENC_JSON, &out, NULL) == 0);
    AUTO(batch_done) struct batch b = parse(&out, false);
    CHECK_STR(b.text, "add vm a");
    CHECK(event_next(&s, &now, ENC_JSON, &out, NULL) == 0);
    CHECK_STR(buf_str(&out), "[]");
    CHECK(event_unregister(&s, &every, NULL) == 0);
    rename_vm(a, "unheard");
    CHECK(event_next(&s, &now, ENC_JSON, &out, NULL) == 0);
    CHECK_STR(buf_str(&out), "[]");
    CHECK(event_current_id() > 0);
    db_close();
}
