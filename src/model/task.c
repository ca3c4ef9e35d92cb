/* SPDX-License-Identifier: Apache-2.0 */
/* The record in the database is the truth; here is only what a record cannot hold: the descriptor that cancels
 * running work, from task_cancel_fd to task_end, and ends that the store refused (a full disk), which are tried
 * again whenever a task begins or ends: a client must learn how its task ended. Thread: any. */
#include "model/task.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "api/errors.h"
#include "api/records.h"
#include "base/log.h"
#include "base/mem.h"

#define PROGRESS_STEP 0.01
#define SWEEP_US      (600 * US_PER_SEC)

struct running {
    struct list link;
    struct ref ref;
    int fd;
    bool destroy; /* when it ends */
};

struct ending {
    struct list link;
    struct ref ref;
    char *result;
    struct err err;
};

static struct list running GUARDED_BY(db_mutex) = LIST_INIT(running);
static struct list late GUARDED_BY(db_mutex) = LIST_INIT(late);
static int64_t swept_us GUARDED_BY(db_mutex);

static const struct task_rec *get(const struct ref *task) REQUIRES(db_mutex)
{
    return db_get(CLASS_TASK, task);
}

static bool open_status(int status)
{
    return status == TASK_STATUS_TYPE_PENDING || status == TASK_STATUS_TYPE_CANCELLING;
}

static struct running *running_get(const struct ref *task) REQUIRES(db_mutex)
{
    list_for_each(it, &running) {
        struct running *r = list_entry(it, struct running, link);
        if (ref_eq(&r->ref, task))
            return r;
    }
    return NULL;
}

static void running_drop(struct running *r) REQUIRES(db_mutex)
{
    list_remove(&r->link);
    close_fd(&r->fd);
    free(r);
}

static void set_float(struct tx *tx, const struct ref *task, unsigned field, double v)
    REQUIRES(db_mutex)
{
    tx_set(tx, task, CLASS_TASK, field, &v);
}

static void set_allowed(struct tx *tx, const struct ref *task, int op) REQUIRES(db_mutex)
{
    struct set_any set = { .v = &op, .n = 1 };
    tx_set(tx, task, CLASS_TASK, F_TASK_ALLOWED_OPERATIONS, &set);
}

/* Write the end of a task into tx. */
static void finish(struct tx *tx, const struct ref *task, const char *result,
                   const struct err *err) REQUIRES(db_mutex)
{
    int status = !err->code                              ? TASK_STATUS_TYPE_SUCCESS
                 : str_eq(err->code, ERR_TASK_CANCELLED) ? TASK_STATUS_TYPE_CANCELLED
                                                         : TASK_STATUS_TYPE_FAILURE;
    const char *info[ERR_PARAMS_MAX + 1];
    struct set_any set = { .v = info };
    if (err->code)
        info[set.n++] = err->code;
    for (size_t i = 0; err->code && i < err->n_params; i++)
        info[set.n++] = err->params[i];
    tx_set(tx, task, CLASS_TASK, F_TASK_ERROR_INFO, &set);
    tx_set_str(tx, task, CLASS_TASK, F_TASK_RESULT, err->code ? "" : result);
    set_float(tx, task, F_TASK_PROGRESS, 1.0);
    tx_set_int(tx, task, CLASS_TASK, F_TASK_FINISHED, clock_wall_us());
    tx_set_enum(tx, task, CLASS_TASK, F_TASK_STATUS, status);
    set_allowed(tx, task, TASK_ALLOWED_OPERATIONS_DESTROY);
    struct set_any none = { 0 };
    tx_set(tx, task, CLASS_TASK, F_TASK_CURRENT_OPERATIONS, &none);
}

static void ending_free(struct ending *e)
{
    free(e->result);
    err_done(&e->err);
    free(e);
}

static int end_now(const struct ending *e, bool destroy) EXCLUDES(db_mutex)
{
    struct tx *tx = tx_begin(&(struct tx_who){ "seraid", "task.end", &e->ref });
    const struct task_rec *rec = get(&e->ref);
    if (rec && destroy)
        tx_destroy(tx, &e->ref);
    else if (rec && open_status(rec->status))
        finish(tx, &e->ref, e->result, &e->err);
    return tx_commit(tx, NULL);
}

static void put_late(struct ending *e) EXCLUDES(db_mutex)
{
    db_lock();
    list_add_tail(&late, &e->link);
    db_unlock();
}

static struct ending *take_late(void) EXCLUDES(db_mutex)
{
    db_lock();
    struct ending *e = list_empty(&late) ? NULL
                                         : list_entry(late.next, struct ending, link);
    if (e)
        list_remove(&e->link);
    db_unlock();
    return e;
}

static void retry_late(void) EXCLUDES(db_mutex)
{
    struct ending *e;
    while ((e = take_late()) != NULL) {
        if (end_now(e, false) < 0) {
            put_late(e);
            return;
        }
        ending_free(e);
    }
}

/* Starting */

static bool next_old(int64_t before, struct ref *out) REQUIRES(db_mutex)
{
    for (struct db_iter it = db_first(CLASS_TASK); it.rec; db_next(&it)) {
        const struct task_rec *rec = it.rec;
        if (!open_status(rec->status) && rec->finished < before) {
            *out = it.ref;
            return true;
        }
    }
    return false;
}

static void sweep(struct tx *tx) REQUIRES(db_mutex)
{
    int64_t now = clock_wall_us();
    if (now >= swept_us && now - swept_us < SWEEP_US)
        return;
    swept_us = now;
    struct ref old;
    while (next_old(now - TASK_KEEP_US, &old))
        tx_destroy(tx, &old);
}

static void orphan(struct tx *tx, const struct ref *task, const struct task_rec *rec)
    REQUIRES(db_mutex)
{
    AUTO(err_done) struct err why = { 0 };
    (void)err_set(&why, ERR_INTERNAL_ERROR, "the service restarted while this task ran");
    if (open_status(rec->status))
        finish(tx, task, "", &why);
    else {
        set_float(tx, task, F_TASK_PROGRESS, 1.0); /* volatile, and it has ended */
        set_allowed(tx, task, TASK_ALLOWED_OPERATIONS_DESTROY);
    }
}

int task_init(struct err *err)
{
    struct tx *tx = tx_begin(&(struct tx_who){ "seraid", "task_init", NULL });
    for (struct db_iter it = db_first(CLASS_TASK); it.rec; db_next(&it))
        orphan(tx, &it.ref, it.rec);
    swept_us = 0;
    sweep(tx);
    return tx_commit(tx, err);
}

static size_t count_open(const struct ref *session) REQUIRES(db_mutex)
{
    const struct session_rec *rec = db_get(CLASS_SESSION, session);
    size_t n = 0;
    for (size_t i = 0; rec && i < rec->tasks.n; i++) {
        const struct task_rec *t = get(&rec->tasks.v[i]);
        n += t && open_status(t->status);
    }
    return n;
}

static struct task_rec *record(const char *name, const struct ref *subtask_of)
    REQUIRES(db_mutex)
{
    struct task_rec *rec = record_new(&schema_classes[CLASS_TASK]);
    str_put(&rec->name_label, name);
    str_put(&rec->type, "<none/>");
    rec->created = clock_wall_us();
    rec->status = TASK_STATUS_TYPE_PENDING;
    rec->resident_on = db_host_ref();
    if (subtask_of)
        rec->subtask_of = *subtask_of;
    return rec;
}

int task_start(const char *name, const struct session *s, const struct ref *subtask_of,
               struct ref *out, struct err *err)
{
    retry_late();
    struct tx *tx = tx_begin(&(struct tx_who){ s ? s->user : "seraid", name, NULL });
    if (s && count_open(&s->ref) >= TASK_MAX_OPEN) {
        tx_abort(tx);
        return err_set(err, ERR_TOO_MANY_PENDING_TASKS);
    }
    sweep(tx);
    struct ref ref = tx_create(tx, CLASS_TASK, record(name, subtask_of), NULL);
    set_allowed(tx, &ref, TASK_ALLOWED_OPERATIONS_CANCEL);
    if (s && session_exists(&s->ref))
        tx_set_add(tx, &s->ref, CLASS_SESSION, F_SESSION_TASKS, &ref);
    if (tx_commit(tx, err) < 0)
        return -1;
    *out = ref;
    return 0;
}

/* While it runs */

int task_cancel_fd(const struct ref *task)
{
    db_lock();
    const struct task_rec *rec = get(task);
    struct running *r = running_get(task);
    if (!r && rec && open_status(rec->status)) {
        bool now = rec->status == TASK_STATUS_TYPE_CANCELLING;
        int fd = eventfd(now, EFD_CLOEXEC | EFD_NONBLOCK);
        if (fd < 0) {
            log_warn("a task cannot be cancelled: %m");
        } else {
            r = mem_alloc(sizeof(*r));
            r->ref = *task;
            r->fd = fd;
            list_add_tail(&running, &r->link);
        }
    }
    int fd = r ? r->fd : -1;
    db_unlock();
    return fd;
}

static int no_task(const struct ref *task, struct err *err)
{
    char text[REF_TEXT_SIZE];
    ref_text(task, text);
    return err_set(err, ERR_HANDLE_INVALID, "task", text);
}

int task_cancel(const struct ref *task, struct err *err)
{
    struct tx *tx = tx_begin(&(struct tx_who){ "seraid", "task.cancel", task });
    const struct task_rec *rec = get(task);
    if (!rec || !open_status(rec->status)) {
        tx_abort(tx);
        return rec ? err_set(err, ERR_OPERATION_NOT_ALLOWED, "the task has ended")
                   : no_task(task, err);
    }
    tx_set_enum(tx, task, CLASS_TASK, F_TASK_STATUS, TASK_STATUS_TYPE_CANCELLING);
    struct running *r = running_get(task);
    if (r && eventfd_write(r->fd, 1) < 0)
        log_debug("cancelled before: %m");
    return tx_commit(tx, err);
}

void task_progress(const struct ref *task, double fraction)
{
    if (ref_is_null(task))
        return;
    struct tx *tx = tx_begin(&(struct tx_who){ "seraid", "task.progress", task });
    const struct task_rec *rec = get(task);
    if (rec && open_status(rec->status) && fabs(fraction - rec->progress) >= PROGRESS_STEP)
        set_float(tx, task, F_TASK_PROGRESS, fmin(fmax(fraction, 0), 1));
    if (tx_commit(tx, NULL) < 0)
        log_debug("a task's progress could not be kept");
}

void task_end(const struct ref *task, const char *result_xml, const struct err *err)
{
    if (ref_is_null(task))
        return;
    struct ending *e = mem_alloc(sizeof(*e));
    e->ref = *task;
    e->result = str_dup(result_xml ? result_xml : "");
    if (err && err->code)
        (void)err_set_(&e->err, err->code, (const char *const *)err->params, err->n_params);
    db_lock();
    struct running *r = running_get(task);
    bool destroy = r && r->destroy;
    if (r)
        running_drop(r);
    db_unlock();
    retry_late();
    if (end_now(e, destroy) < 0)
        put_late(e);
    else
        ending_free(e);
}

int task_destroy(const struct ref *task, struct err *err)
{
    struct tx *tx = tx_begin(&(struct tx_who){ "seraid", "task.destroy", task });
    const struct task_rec *rec = get(task);
    if (!rec) {
        tx_abort(tx);
        return no_task(task, err);
    }
    struct running *r = running_get(task);
    if (r && open_status(rec->status)) {
        int op = TASK_ALLOWED_OPERATIONS_DESTROY;
        tx_map_put(tx, task, CLASS_TASK, F_TASK_CURRENT_OPERATIONS, "destroy", &op);
        r->destroy = true;
    } else {
        tx_destroy(tx, task);
    }
    return tx_commit(tx, err);
}

void task_done(void)
{
    db_lock();
    list_for_each_safe(it, &running)
        running_drop(list_entry(it, struct running, link));
    list_for_each_safe(it, &late)
        ending_free(list_entry(it, struct ending, link));
    list_init(&running);
    list_init(&late);
    db_unlock();
}
