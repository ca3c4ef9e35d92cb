/* SPDX-License-Identifier: Apache-2.0 */
/* Machines that start and stop together: those of one order side by side, the next order when they are done; upwards to
 * start, downwards to stop. Machines that are in the wanted state already are left alone. What fails does not hold up the
 * rest: the error names the machines that did not get there.
 * A machine counts as started when its start_delay has passed, and as stopped its shutdown_delay after it was off, so that
 * what it serves is there when the next order needs it. Each machine has a thread of its own while it is at work; the
 * call's thread waits for all. dispatch holds the group's operation, each thread that of its machine. */
#include <errno.h>
#include <stdlib.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/ops_lock.h"
#include "ops/vm.h"

#define AT_ONCE_MAX 32 /* threads; more machines of one order go in batches */

struct work {
    const char *name; /* of the VM operation */
    int wanted;       /* power state at the end */
    bool up;
    int (*run)(struct call *call, const struct ref *vm, struct err *err);
};

struct job {
    const struct work *work;
    struct call call; /* a copy: threads share nothing that changes */
    struct ref vm;
    int64_t order, delay_us;
    pthread_t thread;
    bool runs;
};

static int run_start(struct call *call, const struct ref *vm, struct err *err)
{
    return vm_power_on(call, vm, false, err);
}

static int run_start_paused(struct call *call, const struct ref *vm, struct err *err)
{
    return vm_power_on(call, vm, true, err);
}

static int run_clean_shutdown(struct call *call, const struct ref *vm, struct err *err)
{
    return op_vm_clean_shutdown(call, &(struct vm_clean_shutdown_args){ .vm = *vm }, err);
}

static int run_hard_shutdown(struct call *call, const struct ref *vm, struct err *err)
{
    return op_vm_hard_shutdown(call, &(struct vm_hard_shutdown_args){ .vm = *vm }, err);
}

static int run_shutdown(struct call *call, const struct ref *vm, struct err *err)
{
    return op_vm_shutdown(call, &(struct vm_shutdown_args){ .vm = *vm }, err);
}

static void *job_main(void *arg)
{
    struct job *j = arg;
    AUTO(err_done) struct err err = { 0 };
    int rc = op_begin(CLASS_VM, &j->vm, j->work->name, &j->call.task, &err);
    if (rc == 0) {
        rc = j->work->run(&j->call, &j->vm, &err);
        op_end(CLASS_VM, &j->vm, &j->call.task);
    }
    if (rc == 0 && j->delay_us > 0) {
        struct deadline d = deadline_sooner(&j->call.deadline, j->delay_us);
        IGNORE(deadline_poll(&d, -1, 0)); /* passes, or the task is cancelled */
    }
    if (rc) {
        AUTO(free_str) char *text = err_text(&err);
        char vm[REF_TEXT_SIZE];
        ref_text(&j->vm, vm);
        log_debug("%s of %s in a group: %s", j->work->name, vm, text);
    }
    return NULL;
}

static int by_order(const void *a, const void *b)
{
    const struct job *x = a, *y = b;
    int up = (x->order > y->order) - (x->order < y->order);
    return x->work->up ? up : -up;
}

/* Those of the machines that are not there yet, in the order of work. Given; NULL and *n_out 0: none. */
static struct job *make_jobs(struct call *call, const struct ref *vms, size_t n_vms,
                             const struct work *work, size_t *n_out) REQUIRES(db_mutex)
{
    struct job *jobs = mem_array(MAX(n_vms, (size_t)1), sizeof(*jobs));
    size_t n = 0;
    for (size_t i = 0; i < n_vms; i++) {
        const struct vm_rec *vm = db_get(CLASS_VM, &vms[i]);
        if (!vm || vm->power_state == work->wanted)
            continue;
        int64_t delay = work->up ? vm->start_delay : vm->shutdown_delay;
        jobs[n++] = (struct job){ .work = work,
                                  .call = *call,
                                  .vm = vms[i],
                                  .order = vm->order,
                                  .delay_us = MIN(MAX(delay, (int64_t)0), INT64_C(86400))
                                              * US_PER_SEC };
    }
    if (n)
        qsort(jobs, n, sizeof(*jobs), by_order);
    *n_out = n;
    return jobs;
}

/* Run jobs of one order and wait for them. */
static void run_batch(struct job *jobs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        jobs[i].runs = thread_start(&jobs[i].thread, "appliance", 512, job_main, &jobs[i])
                       == 0;
        if (!jobs[i].runs)
            (void)job_main(&jobs[i]);
    }
    for (size_t i = 0; i < n; i++)
        if (jobs[i].runs)
            (void)pthread_join(jobs[i].thread, NULL);
}

/* OPERATION_PARTIALLY_FAILED(call, vm, ...) when not all machines are in the wanted state. */
static int check_all(const struct call *call, const struct job *jobs, size_t n,
                     const struct work *work, struct err *err)
{
    char text[ERR_PARAMS_MAX][REF_TEXT_SIZE];
    const char *params[ERR_PARAMS_MAX] = { schema_call_name(call->def) };
    size_t n_params = 1;
    db_lock();
    for (size_t i = 0; i < n && n_params < ERR_PARAMS_MAX; i++) {
        const struct vm_rec *vm = db_get(CLASS_VM, &jobs[i].vm);
        if (vm && vm->power_state == work->wanted)
            continue;
        ref_text(&jobs[i].vm, text[n_params]);
        params[n_params] = text[n_params];
        n_params++;
    }
    db_unlock();
    return n_params == 1 ? 0
                         : err_set_(err, ERR_OPERATION_PARTIALLY_FAILED, params, n_params);
}

/* jobs: taken. */
static int run_jobs(struct call *call, struct job *jobs, size_t n, const struct work *work,
                    struct err *err)
{
    for (size_t from = 0, to = 0; from < n && !call_cancelled(call); from = to) {
        while (to < n && to - from < AT_ONCE_MAX && jobs[to].order == jobs[from].order)
            to++;
        run_batch(jobs + from, to - from);
        call_progress(call, (double)to / (double)n);
    }
    int rc = 0;
    if (call_cancelled(call)) {
        char text[REF_TEXT_SIZE];
        ref_text(&call->task, text);
        rc = err_set(err, ERR_TASK_CANCELLED, text);
    } else {
        rc = check_all(call, jobs, n, work, err);
    }
    free(jobs);
    return rc;
}

static int run_all(struct call *call, const struct ref *self, const struct work *work,
                   struct err *err)
{
    struct job *jobs = NULL;
    size_t n = 0;
    db_lock();
    const struct vm_appliance_rec *group = db_get(CLASS_VM_APPLIANCE, self);
    if (group)
        jobs = make_jobs(call, group->VMs.v, group->VMs.n, work, &n);
    db_unlock();
    return run_jobs(call, jobs, n, work, err);
}

int vm_group_run(struct call *call, const struct ref *vms, size_t n_vms,
                 enum vm_group_work what, struct err *err)
{
    static const struct work works[] = {
        [VM_GROUP_START] = { "start", VM_POWER_STATE_RUNNING, true, run_start },
        [VM_GROUP_SHUTDOWN] = { "shutdown", VM_POWER_STATE_HALTED, false, run_shutdown },
        [VM_GROUP_HARD_SHUTDOWN] = { "hard_shutdown", VM_POWER_STATE_HALTED, false,
                                     run_hard_shutdown },
    };
    size_t n;
    db_lock();
    struct job *jobs = make_jobs(call, vms, n_vms, &works[what], &n);
    db_unlock();
    return run_jobs(call, jobs, n, &works[what], err);
}

int op_vm_appliance_start(struct call *call, const struct vm_appliance_start_args *a,
                          struct err *err)
{
    static const struct work start = { "start", VM_POWER_STATE_RUNNING, true, run_start },
                             paused = { "start", VM_POWER_STATE_PAUSED, true,
                                        run_start_paused };
    return run_all(call, &a->self, a->paused ? &paused : &start, err);
}

int op_vm_appliance_clean_shutdown(struct call *call,
                                   const struct vm_appliance_clean_shutdown_args *a,
                                   struct err *err)
{
    static const struct work work = { "clean_shutdown", VM_POWER_STATE_HALTED, false,
                                      run_clean_shutdown };
    return run_all(call, &a->self, &work, err);
}

int op_vm_appliance_hard_shutdown(struct call *call,
                                  const struct vm_appliance_hard_shutdown_args *a,
                                  struct err *err)
{
    static const struct work work = { "hard_shutdown", VM_POWER_STATE_HALTED, false,
                                      run_hard_shutdown };
    return run_all(call, &a->self, &work, err);
}

int op_vm_appliance_shutdown(struct call *call, const struct vm_appliance_shutdown_args *a,
                             struct err *err)
{
    static const struct work work = { "shutdown", VM_POWER_STATE_HALTED, false,
                                      run_shutdown };
    return run_all(call, &a->self, &work, err);
}
