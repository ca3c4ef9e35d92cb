/* SPDX-License-Identifier: Apache-2.0 */
#include "model/task.h"

#include <poll.h>
#include <stdlib.h>

#include "api/errors.h"
#include "api/records.h"
#include "base/io.h"
#include "base/mem.h"
#include "model/model_test.h"

static struct session start(void)
{
    struct session s;
    test_open_fails(test_dir());
    CHECK(task_init(NULL) == 0);
    CHECK(session_login_local("tests", &s, NULL) == 0);
    return s;
}

static void stop(void)
{
    task_done();
    db_close();
}

static struct ref make(const struct session *s)
{
    struct ref t;
    CHECK(task_start("Async.VM.start", s, NULL, &t, NULL) == 0);
    return t;
}

static const struct task_rec *rec_of(struct ref t) REQUIRES(db_mutex)
{
    const struct task_rec *rec = db_get(CLASS_TASK, &t);
    CHECK(rec != NULL);
    return rec;
}

static int status_of(struct ref t)
{
    db_lock();
    int status = rec_of(t)->status;
    db_unlock();
    return status;
}

static bool readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    return poll(&p, 1, 0) == 1;
}

TEST(success_and_failure)
{
    struct session s = start();
    struct ref a = make(&s), b = make(&s), sub;
    CHECK(task_start("sub", &s, &a, &sub, NULL) == 0);
    db_lock();
    const struct task_rec *rec = rec_of(a);
    CHECK_STR(rec->name_label, "Async.VM.start");
    CHECK(rec->status == TASK_STATUS_TYPE_PENDING && rec->finished == 0
          && rec->created > 0);
    CHECK(rec->allowed_operations.n == 1
          && rec->allowed_operations.v[0] == TASK_ALLOWED_OPERATIONS_CANCEL);
    CHECK(rec->subtasks.n == 1 && ref_eq(&rec->subtasks.v[0], &sub));
    db_unlock();
    task_progress(&a, 0.5);
    task_progress(&a, 0.501); /* not worth a commit */
    db_lock();
    CHECK_INT(rec_of(a)->progress * 1000, 500);
    db_unlock();
    struct err ok = { 0 }, bad = { 0 };
    (void)err_set(&bad, ERR_VDI_IN_USE, "x", "y");
    task_end(&a, "<value>OpaqueRef:1</value>", &ok);
    task_end(&b, "ignored", &bad);
    err_done(&bad);
    db_lock();
    rec = rec_of(a);
    CHECK(rec->status == TASK_STATUS_TYPE_SUCCESS && rec->finished >= rec->created);
    CHECK(rec->progress > 0.999 && rec->error_info.n == 0);
    CHECK_STR(rec->result, "<value>OpaqueRef:1</value>");
    CHECK(rec->allowed_operations.v[0] == TASK_ALLOWED_OPERATIONS_DESTROY);
    rec = rec_of(b);
    CHECK(rec->status == TASK_STATUS_TYPE_FAILURE && rec->error_info.n == 3);
    CHECK_STR(rec->error_info.v[0], ERR_VDI_IN_USE);
    CHECK_STR(rec->error_info.v[2], "y");
    CHECK_STR(rec->result, "");
    db_unlock();
    task_progress(&a, 0.1); /* too late */
    task_progress(&REF_NULL, 0.1);
    task_end(&b, "", &ok); /* ended already */
    CHECK_INT(status_of(b), TASK_STATUS_TYPE_FAILURE);
    CHECK(task_destroy(&a, NULL) == 0);
    struct err err = { 0 };
    CHECK(task_destroy(&a, &err) < 0);
    CHECK_STR(err.code, ERR_HANDLE_INVALID);
    CHECK_STR(err.params[0], "task");
    err_done(&err);
    stop();
}

TEST(cancelling)
{
    struct session s = start();
    struct ref a = make(&s), early = make(&s), none = ref_new();
    int fd = task_cancel_fd(&a);
    CHECK(fd >= 0 && fd == task_cancel_fd(&a) && !readable(fd));
    CHECK_INT(task_cancel_fd(&none), -1);
    CHECK(task_cancel(&a, NULL) == 0);
    CHECK(readable(fd));
    CHECK_INT(status_of(a), TASK_STATUS_TYPE_CANCELLING);
    CHECK(task_cancel(&early, NULL) == 0);
    CHECK(readable(task_cancel_fd(&early))); /* even when asked for afterwards */
    struct err err = { 0 };
    char text[REF_TEXT_SIZE];
    ref_text(&a, text);
    (void)err_set(&err, ERR_TASK_CANCELLED, text);
    task_end(&a, "", &err);
    err_done(&err);
    CHECK_INT(status_of(a), TASK_STATUS_TYPE_CANCELLED);
    CHECK_INT(task_cancel_fd(&a), -1);
    CHECK(task_cancel(&a, &err) < 0);
    CHECK_STR(err.code, ERR_OPERATION_NOT_ALLOWED);
    err_done(&err);
    CHECK(task_cancel(&none, &err) < 0);
    CHECK_STR(err.code, ERR_HANDLE_INVALID);
    err_done(&err);
    stop();
}

TEST(destroying_what_runs_waits_for_its_end)
{
    struct session s = start();
    struct ref a = make(&s), idle = make(&s);
    CHECK(task_cancel_fd(&a) >= 0);
    CHECK(task_destroy(&a, NULL) == 0);
    CHECK_INT(status_of(a), TASK_STATUS_TYPE_PENDING);
    CHECK(task_destroy(&idle, NULL) == 0);
    struct err ok = { 0 };
    task_end(&a, "", &ok);
    db_lock();
    CHECK(db_get(CLASS_TASK, &a) == NULL && db_get(CLASS_TASK, &idle) == NULL);
    const struct session_rec *rec = db_get(CLASS_SESSION, &s.ref);
    CHECK_INT(rec->tasks.n, 0);
    db_unlock();
    stop();
}

TEST(a_restart_fails_what_was_pending)
{
    struct session s = start();
    struct ref a = make(&s), b = make(&s);
    struct err ok = { 0 };
    task_end(&b, "<value>1</value>", &ok);
    stop();
    (void)start();
    db_lock();
    CHECK_INT(rec_of(a)->status, TASK_STATUS_TYPE_FAILURE);
    CHECK_STR(rec_of(a)->error_info.v[0], ERR_INTERNAL_ERROR);
    CHECK_INT(rec_of(b)->status, TASK_STATUS_TYPE_SUCCESS);
    CHECK(rec_of(b)->allowed_operations.v[0] == TASK_ALLOWED_OPERATIONS_DESTROY);
    db_unlock();
    struct tx *tx = tx_begin(&test_who);
    tx_set_int(tx, &b, CLASS_TASK, F_TASK_FINISHED,
               clock_wall_us() - TASK_KEEP_US - US_PER_SEC);
    CHECK(tx_commit(tx, NULL) == 0);
    stop();
    (void)start();
    db_lock();
    CHECK(db_get(CLASS_TASK, &b) == NULL && db_get(CLASS_TASK, &a) != NULL);
    db_unlock();
    stop();
}

TEST(an_end_outlives_a_full_disk)
{
    struct session s = start();
    struct ref a = make(&s);
    struct err ok = { 0 };
    test_store_fail(1, 1);
    task_end(&a, "<value>x</value>", &ok);
    CHECK_INT(status_of(a), TASK_STATUS_TYPE_PENDING);
    (void)make(&s);
    CHECK_INT(status_of(a), TASK_STATUS_TYPE_SUCCESS);
    test_store_fail(1, 1);
    struct ref b;
    CHECK(task_start("x", &s, NULL, &b, NULL) < 0);
    stop();
}

TEST(too_many_pending)
{
    struct session s = start();
    struct tx *tx = tx_begin(&test_who);
    for (int i = 0; i < TASK_MAX_OPEN; i++) {
        struct task_rec *rec = record_new(&schema_classes[CLASS_TASK]);
        rec->status = TASK_STATUS_TYPE_PENDING;
        struct ref ref = tx_create(tx, CLASS_TASK, rec, NULL);
        tx_set_add(tx, &s.ref, CLASS_SESSION, F_SESSION_TASKS, &ref);
    }
    CHECK(tx_commit(tx, NULL) == 0);
    struct ref t;
    struct err err = { 0 };
    CHECK(task_start("x", &s, NULL, &t, &err) < 0);
    CHECK_STR(err.code, ERR_TOO_MANY_PENDING_TASKS);
    err_done(&err);
    CHECK(task_start("x", NULL, NULL, &t, NULL) == 0);
    stop();
}
