/* SPDX-License-Identifier: Apache-2.0 */
/* The host's own power, the daemon's end, and the machines that start with the host. Guests are shut down before the host
 * is: each may take its time for a while, then its plug is pulled. A host that would not be switched off after all
 * has then lost its guests' uptime, but nothing of their disks; the call says so by its error.
 *
 * Machines start with the host once per boot: STATE/boot holds the boot id for which that is done. Who dies before it is
 * written does it again, and those that run already are left alone. */
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/vec.h"
#include "host/root.h"
#include "model/ops_lock.h"
#include "ops/host_ctx.h"
#include "ops/ops.h"
#include "ops/vm.h"

#define GUESTS_US   (180 * US_PER_SEC) /* for a guest to go by itself */
#define AUTO_KEY    "auto_poweron"
#define BOOT_ID_MAX 256

struct vms {
    VEC(struct ref) refs;
};

/* Power */

static bool has_machine(const struct vm_rec *vm)
{
    return !vm->is_control_domain && !vm->is_a_template
           && (vm->power_state == VM_POWER_STATE_RUNNING
               || vm->power_state == VM_POWER_STATE_PAUSED);
}

static bool key_true(const struct map_string_string *m, const char *key)
{
    for (size_t i = 0; i < m->n; i++)
        if (str_eq(m->v[i].key, key))
            return str_eq(m->v[i].val, "true");
    return false;
}

static bool starts_by_itself(const struct vm_rec *vm)
{
    return !vm->is_control_domain && !vm->is_a_template && !vm->is_a_snapshot
           && vm->power_state == VM_POWER_STATE_HALTED
           && key_true(&vm->other_config, AUTO_KEY);
}

static void find_vms(bool (*fits)(const struct vm_rec *vm), struct vms *out)
{
    db_lock();
    for (struct db_iter it = db_first(CLASS_VM); it.rec; db_next(&it))
        if (fits(it.rec))
            vec_push(&out->refs, it.ref);
    db_unlock();
}

/* All guests down: by themselves, then whatever is left. */
static int end_guests(struct call *call, struct err *err)
{
    struct call patient = *call;
    struct vms vms = { 0 };
    AUTO(err_done) struct err slow = { 0 };
    int rc;

    patient.deadline = deadline_sooner(&call->deadline, GUESTS_US);
    find_vms(has_machine, &vms);
    rc = vm_group_run(&patient, vms.refs.v, vms.refs.n, VM_GROUP_SHUTDOWN, &slow);
    if (rc < 0 && call_cancelled(call))
        err_move(err, &slow);
    else if (rc < 0) /* paused ones, and what was in the middle of something */
        rc = vm_group_run(call, vms.refs.v, vms.refs.n, VM_GROUP_HARD_SHUTDOWN, err);
    vec_done(&vms.refs);
    return rc;
}

static int power(struct call *call, const struct ref *host, bool reboot, struct err *err)
{
    const struct host_rec *rec;
    bool enabled;

    db_lock();
    rec = call_get(CLASS_HOST, host, err);
    enabled = rec && rec->enabled;
    db_unlock();
    if (!rec)
        return -1;
    if (enabled)
        return err_set(err, ERR_HOST_NOT_DISABLED);
    if (!root_get()->power)
        return err_set(err, ERR_OPERATION_NOT_ALLOWED,
                       "seraid runs rootless here and cannot switch the machine off");
    if (end_guests(call, err) < 0)
        return -1;
    return root_get()->power(reboot, err);
}

int op_host_shutdown(struct call *call, const struct host_shutdown_args *a, struct err *err)
{
    return power(call, &a->host, false, err);
}

int op_host_reboot(struct call *call, const struct host_reboot_args *a, struct err *err)
{
    return power(call, &a->host, true, err);
}

/* The daemon */

/* As a service manager ends it: what is under way is answered, this call too. */
static int end_daemon(bool again, struct err *err)
{
    host_ctx.restart = again;
    if (kill(getpid(), SIGTERM) == 0)
        return 0;
    err_set(err, ERR_OPERATION_NOT_ALLOWED, "seraid cannot end itself");
    return err_detail(err, "%m");
}

int op_host_restart_agent(struct call *call, const struct host_restart_agent_args *a,
                          struct err *err)
{
    bool known;

    (void)call;
    db_lock();
    known = call_get(CLASS_HOST, &a->host, err) != NULL;
    db_unlock();
    return known ? end_daemon(true, err) : -1;
}

int op_host_shutdown_agent(struct call *call, const struct host_shutdown_agent_args *a,
                           struct err *err)
{
    (void)call, (void)a;
    return end_daemon(false, err);
}

/* At boot */

static struct {
    pthread_t thread;
    bool runs;
    int cancel_fd; /* an eventfd */
} starter = { .cancel_fd = -1 };

static char *boot_path(void)
{
    return str_fmt("%s/boot", host_ctx.state_dir);
}

static bool same_boot(void)
{
    AUTO(free_str) char *path = boot_path();
    AUTO(buf_done) struct buf text = BUF_INIT(BOOT_ID_MAX);

    return io_read_file(path, &text) == 0
           && str_eq(buf_str(&text), host_ctx.inventory.boot_id);
}

static void *start_machines(void *arg)
{
    struct call call = { .def = schema_call("VM.start"),
                         .deadline = deadline_in_cancel(INT64_C(86400) * US_PER_SEC,
                                                        starter.cancel_fd) };
    AUTO(err_done) struct err err = { 0 };
    AUTO(free_str) char *path = boot_path();
    const char *id = host_ctx.inventory.boot_id;
    struct vms vms = { 0 };

    (void)arg;
    call.task = ref_new();
    find_vms(starts_by_itself, &vms);
    log_info("%zu virtual machines start with this host", vms.refs.n);
    if (vm_group_run(&call, vms.refs.v, vms.refs.n, VM_GROUP_START, &err) < 0) {
        AUTO(free_str) char *text = err_text(&err);

        log_error("starting virtual machines with this host: %s", text);
    }
    vec_done(&vms.refs);
    (void)FAILPOINT("boot.machines_started");
    if (!call_cancelled(&call) && io_write_file(path, id, strlen(id), 0600) < 0)
        log_error("%s: %m", path);
    return NULL;
}

/* Whether the pool wants it; a host that has just booted takes machines again. */
static int open_host(bool *wanted_out, struct err *err)
{
    struct tx *tx = daemon_tx("start-up"); /* has the lock */
    struct ref host = db_host_ref(), pool = db_pool_ref();
    const struct pool_rec *rec = db_get(CLASS_POOL, &pool);

    *wanted_out = rec && key_true(&rec->other_config, AUTO_KEY);
    if (db_get(CLASS_HOST, &host)) {
        tx_set_bool(tx, &host, CLASS_HOST, F_HOST_ENABLED, true);
        op_refresh(tx, CLASS_HOST, &host);
    }
    return tx_commit(tx, err);
}

int host_power_boot(struct err *err)
{
    AUTO(free_str) char *path = boot_path();
    const char *id = host_ctx.inventory.boot_id;
    bool wanted;

    if (same_boot())
        return 0;
    if (open_host(&wanted, err) < 0)
        return -1;
    starter.cancel_fd = eventfd(0, EFD_CLOEXEC);
    if (wanted && starter.cancel_fd >= 0)
        starter.runs = thread_start(&starter.thread, "autostart", 512, start_machines, NULL)
                       == 0;
    else if (io_write_file(path, id, strlen(id), 0600) < 0)
        log_error("%s: %m", path);
    return 0;
}

void host_power_done(void)
{
    if (starter.runs && eventfd_write(starter.cancel_fd, 1) == 0)
        (void)pthread_join(starter.thread, NULL);
    starter.runs = false;
    close_fd(&starter.cancel_fd);
}
