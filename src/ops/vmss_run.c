/* SPDX-License-Identifier: Apache-2.0 */
/* Takes snapshots when a schedule says so. One thread looks whenever the database changes, and at least each minute. A run
 * goes over the machines of a schedule one by one; what a machine refuses is told by a message and holds up no other. When the
 * run is over, it is written down; who dies before runs it again, and what is one too many then goes with the oldest.
 * A schedule that has never run begins when this thread first sees it: nothing is due from before. */
#include "ops/vmss_run.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/vec.h"
#include "model/ops_lock.h"
#include "ops/hooks.h"
#include "ops/message.h"
#include "ops/vm.h"

#define LOOK_US    (60 * US_PER_SEC)
#define RUN_US     (6 * 3600 * US_PER_SEC)
#define TEXT_MAX   8192
#define HOURS_BACK (8 * 24) /* a week and the day on which it is looked */

static pthread_t worker;
static bool worker_runs;
static bool stopping GUARDED_BY(db_mutex);

/* ---- when ---------------------------------------------------------------------------------------------- */

static const char *setting(const struct vmss_rec *r, const char *key)
{
    for (size_t i = 0; i < r->schedule.n; i++)
        if (str_eq(r->schedule.v[i].key, key))
            return r->schedule.v[i].val;
    return "";
}

static int number(const struct vmss_rec *r, const char *key)
{
    int64_t n;
    return parse_range(setting(r, key), 0, 59, &n) ? (int)n : 0;
}

/* "Monday,Friday" */
static bool has_day(const char *list, int weekday)
{
    static const char *const names[] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
                                         "Thursday", "Friday", "Saturday" };
    const char *name = names[weekday];
    for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',')
        if (strncasecmp(p, name, strlen(name)) == 0)
            return true;
    return false;
}

int64_t vmss_run_last_due(const struct vmss_rec *r, int64_t now_us)
{
    time_t now = (time_t)(now_us / US_PER_SEC);
    for (int back = 0; back < HOURS_BACK; back++) {
        time_t at = now - (time_t)back * 3600;
        struct tm t;
        if (!localtime_r(&at, &t))
            return 0;
        t.tm_min = number(r, "min");
        t.tm_sec = 0;
        if ((r->frequency != VMSS_FREQUENCY_HOURLY && t.tm_hour != number(r, "hour"))
            || (r->frequency == VMSS_FREQUENCY_WEEKLY
                && !has_day(setting(r, "days"), t.tm_wday)))
            continue;
        at = mktime(&t);
        if (at <= now)
            return (int64_t)at * US_PER_SEC;
    }
    return 0;
}

/* ---- a run --------------------------------------------------------------------------------------------- */

static int take(struct call *call, const struct vmss_rec *r, const struct ref *vm,
                struct ref *snap, struct err *err)
{
    bool memory = false, quiesce = false;
    char stamp[20];
    db_lock();
    const struct vm_rec *rec = call_get(CLASS_VM, vm, err);
    memory = rec && r->type == VMSS_TYPE_CHECKPOINT
             && rec->power_state == VM_POWER_STATE_RUNNING;
    quiesce = rec && r->type == VMSS_TYPE_SNAPSHOT_WITH_QUIESCE
              && rec->power_state == VM_POWER_STATE_RUNNING; /* what is off is at rest */
    clock_iso(clock_wall_us(), stamp);
    stamp[15] = '\0';
    AUTO(free_str)
    char *name = rec ? str_fmt("%s-%s-%s", rec->name_label, r->name_label, stamp) : NULL;
    db_unlock();
    if (!rec
        || op_begin(CLASS_VM, vm,
                    memory    ? "checkpoint"
                    : quiesce ? "snapshot_with_quiesce"
                              : "snapshot",
                    &call->task, err))
        return -1;
    struct vm_snapshot_args disks = { .vm = *vm, .new_name = name };
    struct vm_checkpoint_args all = { .vm = *vm, .new_name = name };
    struct vm_snapshot_with_quiesce_args rest = { .vm = *vm, .new_name = name };
    int rc = memory    ? op_vm_checkpoint(call, &all, snap, err)
             : quiesce ? op_vm_snapshot_with_quiesce(call, &rest, snap, err)
                       : op_vm_snapshot(call, &disks, snap, err);
    op_end(CLASS_VM, vm, &call->task);
    if (rc)
        return -1;
    struct tx *tx = call_tx(call);
    if (db_get(CLASS_VM, snap))
        tx_set_bool(tx, snap, CLASS_VM, F_VM_IS_VMSS_SNAPSHOT, true);
    return tx_commit(tx, err);
}

/* A snapshot with its disks. */
static int drop(struct call *call, const struct ref *snap, struct err *err)
{
    VEC(struct ref) vdis = { 0 };
    if (op_begin(CLASS_VM, snap, "destroy", &call->task, err))
        return -1;
    db_lock();
    const struct vm_rec *vm = db_get(CLASS_VM, snap);
    for (size_t i = 0; vm && i < vm->VBDs.n; i++) {
        const struct vbd_rec *vbd = db_get(CLASS_VBD, &vm->VBDs.v[i]);
        const struct vdi_rec *vdi = db_get(CLASS_VDI, &vbd->VDI);
        if (vdi && vdi->is_a_snapshot)
            vec_push(&vdis, vbd->VDI);
    }
    db_unlock();
    int rc = vm_destroy(call, snap, err);
    op_end(CLASS_VM, snap, &call->task);
    for (size_t i = 0; i < vdis.n && rc == 0; i++) {
        rc = op_begin(CLASS_VDI, &vdis.v[i], "destroy", &call->task, err);
        if (rc == 0) {
            rc = vdi_destroy(call, &vdis.v[i], err);
            op_end(CLASS_VDI, &vdis.v[i], &call->task);
        }
    }
    vec_done(&vdis);
    return rc;
}

/* The oldest of those that schedules took, beyond what is kept. False: there is none. */
static bool oldest(const struct ref *vm, int64_t kept, struct ref *out)
{
    int64_t n = 0, first = INT64_MAX;
    db_lock();
    const struct vm_rec *rec = db_get(CLASS_VM, vm);
    for (size_t i = 0; rec && i < rec->snapshots.n; i++) {
        const struct vm_rec *s = db_get(CLASS_VM, &rec->snapshots.v[i]);
        if (!s || !s->is_vmss_snapshot)
            continue;
        n++;
        if (s->snapshot_time < first) {
            first = s->snapshot_time;
            *out = rec->snapshots.v[i];
        }
    }
    db_unlock();
    return n > kept;
}

static int serve(struct call *call, const struct vmss_rec *r, const struct ref *vm,
                 struct err *err)
{
    struct ref snap, old;
    if (take(call, r, vm, &snap, err))
        return -1;
    (void)FAILPOINT("vmss.taken");
    while (oldest(vm, MAX(r->retained_snapshots, 1), &old))
        if (drop(call, &old, err))
            return -1;
    return 0;
}

static void tell_failure(const struct ref *vm, const char *why)
{
    AUTO(free_str) char *body = str_fmt("A scheduled snapshot failed: %s", why);
    struct tx *tx = daemon_tx("snapshot schedule");
    const struct vm_rec *rec = db_get(CLASS_VM, vm);
    if (rec)
        (void)message_add(tx, "VMSS_SNAPSHOT_FAILED", 3, CLS_VM, rec->uuid, body);
    IGNORE(tx_commit(tx, NULL));
}

/* All machines of a schedule. *text_out: given, what became of it. */
static int run(struct call *call, const struct ref *self, char **text_out, struct err *err)
{
    AUTO(buf_done) struct buf text = BUF_INIT(TEXT_MAX);
    size_t taken = 0;
    db_lock();
    const struct vmss_rec *rec = call_get(CLASS_VMSS, self, err);
    struct vmss_rec *r = rec ? record_copy(&schema_classes[CLASS_VMSS], rec) : NULL;
    db_unlock();
    if (!r)
        return -1;
    for (size_t i = 0; i < r->VMs.n && !call_cancelled(call); i++) {
        AUTO(err_done) struct err why = { 0 };
        if (serve(call, r, &r->VMs.v[i], &why) == 0) {
            taken++;
            continue;
        }
        AUTO(free_str) char *said = err_text(&why);
        tell_failure(&r->VMs.v[i], said);
        buf_addf(&text, "; %s", said);
    }
    *text_out = str_fmt("%zu of %zu machines%s", taken, r->VMs.n,
                        buf_overflow(&text) ? "; several failed" : buf_str(&text));
    record_free(&schema_classes[CLASS_VMSS], r);
    (void)FAILPOINT("vmss.done");
    struct tx *tx = call_tx(call);
    if (db_get(CLASS_VMSS, self))
        tx_set_int(tx, self, CLASS_VMSS, F_VMSS_LAST_RUN_TIME,
                   clock_wall_us() / US_PER_SEC * US_PER_SEC);
    return tx_commit(tx, err);
}

int op_vmss_snapshot_now(struct call *call, const struct vmss_snapshot_now_args *a,
                         const char **result, struct err *err)
{
    char *text = NULL;
    int rc = run(call, &a->vmss, &text, err);
    if (rc == 0)
        str_give(result, TAKE(text));
    free_str(&text);
    return rc;
}

/* ---- the thread ---------------------------------------------------------------------------------------- */

/* One that is due. since: when this thread began. */
static bool find_due(int64_t since, struct ref *out) REQUIRES(db_mutex)
{
    int64_t now = clock_wall_us();
    for (struct db_iter it = db_first(CLASS_VMSS); it.rec; db_next(&it)) {
        const struct vmss_rec *r = it.rec;
        int64_t last = r->last_run_time > 0 ? r->last_run_time : since;
        if (r->enabled && r->VMs.n && vmss_run_last_due(r, now) > last) {
            *out = it.ref;
            return true;
        }
    }
    return false;
}

static bool run_due(const struct ref *self)
{
    struct call call = { .def = schema_call("VMSS.snapshot_now"),
                         .task = ref_new(),
                         .deadline = deadline_in(RUN_US) };
    AUTO(err_done) struct err err = { 0 };
    char *text = NULL;
    int rc = run(&call, self, &text, &err);
    log_info("snapshot schedule: %s", rc == 0 ? text : err.code);
    free_str(&text);
    return rc == 0;
}

static void *run_main(void *arg)
{
    int64_t since = clock_wall_us();
    (void)arg;
    log_set_thread("schedules");
    db_lock();
    while (!stopping) {
        struct deadline d = deadline_in(LOOK_US);
        uint64_t seen = db_durable();
        struct ref due;
        if (find_due(since, &due)) {
            db_unlock();
            bool told = run_due(&due);
            db_lock();
            if (!told) /* that it ran: no space for it */
                IGNORE(db_wait_newer(UINT64_MAX, &d, &stopping));
        } else {
            IGNORE(db_wait_newer(seen, &d, &stopping));
        }
    }
    db_unlock();
    return NULL;
}

int vmss_run_init(struct err *err)
{
    if (thread_start(&worker, "schedules", 512, run_main, NULL)) {
        (void)err_set(err, ERR_INTERNAL_ERROR, "schedules");
        return err_detail(err, "starting a thread: %m");
    }
    worker_runs = true;
    return 0;
}

void vmss_run_done(void)
{
    if (!worker_runs)
        return;
    db_lock();
    stopping = true;
    db_wake();
    db_unlock();
    (void)pthread_join(worker, NULL);
    worker_runs = false;
    db_lock();
    stopping = false;
    db_unlock();
}
