/* SPDX-License-Identifier: Apache-2.0 */
/* Machines that are QEMU processes: the table of operations, and those on a machine that is there. machine_build.c starts
 * and ends them, machine_reg.c keeps them and listens to them. Runs on the callers' threads; owns no state. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/mem.h"
#include "host/agent.h"
#include "host/machine.h"
#include "host/machine_build.h"
#include "host/machine_dir.h"
#include "host/machine_reg.h"

static int no_machine(const char *uuid, struct err *err)
{
    return err_set(err, ERR_VM_BAD_POWER_STATE, uuid, "running", "halted");
}

/* Its monitor, held. NULL: there is none. asked: whether STOP and RESUME are our doing from now on. */
static struct qmp *hold(const char *uuid, bool asked)
{
    struct machine *m;
    struct qmp *q = NULL;

    mutex_lock(&machines_lock);
    m = machine_reg_find(uuid);
    if (m && m->alive && m->qmp) {
        q = qmp_hold(m->qmp);
        m->asked = m->asked || asked;
    }
    mutex_unlock(&machines_lock);
    return q;
}

int machine_qemu_command(const char *uuid, const char *command, json_t *args, int fd,
                         json_t **ret_out, const struct deadline *d, struct err *err)
{
    bool asked = str_eq(command, "stop") || str_eq(command, "cont");
    AUTO(err_done) struct err cause = { 0 };
    struct qmp *q = hold(uuid, asked);
    struct machine *m;
    int rc;

    if (!q) {
        json_decref(args);
        return no_machine(uuid, err);
    }
    rc = qmp_command(q, command, args, fd, ret_out, d, &cause);
    if (rc < 0
        && !qmp_is_open(
            q)) /* it ended meanwhile: by itself, or destroyed by another call */
        (void)no_machine(uuid, err);
    else if (rc < 0)
        err_move(err, &cause);
    qmp_release(q);
    if (asked) { /* QEMU's event comes before its answer */
        mutex_lock(&machines_lock);
        m = machine_reg_find(uuid);
        if (m)
            m->asked = false;
        mutex_unlock(&machines_lock);
    }
    return rc;
}

int machine_qemu_refused(const char *words, struct err *err, struct err *cause)
{
    if (!str_eq(cause->code, ERR_INTERNAL_ERROR)) {
        err_move(err, cause);
        return -1;
    }
    err_set(err, ERR_OPERATION_NOT_ALLOWED, cause->n_params ? cause->params[0] : words);
    return cause->detail ? err_detail(err, "%s", cause->detail) : -1;
}

static int run(const char *uuid, const char *command, json_t *args, int fd,
               const struct deadline *d, struct err *err)
{
    return machine_qemu_command(uuid, command, args, fd, NULL, d, err);
}

static int go(const char *uuid, const struct deadline *d, struct err *err)
{
    return run(uuid, "cont", NULL, -1, d, err);
}

static int pause_(const char *uuid, const struct deadline *d, struct err *err)
{
    return run(uuid, "stop", NULL, -1, d, err);
}

static int powerdown(const char *uuid, const struct deadline *d, struct err *err)
{
    return run(uuid, "system_powerdown", NULL, -1, d, err);
}

static int reset(const char *uuid, const struct deadline *d, struct err *err)
{
    return run(uuid, "system_reset", NULL, -1, d, err);
}

static enum machine_state state(const char *uuid)
{
    enum machine_state s;
    struct machine *m;

    mutex_lock(&machines_lock);
    m = machine_reg_find(uuid);
    s = m ? m->state : MACHINE_NONE;
    mutex_unlock(&machines_lock);
    return s;
}

static int pid(const char *uuid)
{
    struct machine *m;
    int p;

    mutex_lock(&machines_lock);
    m = machine_reg_find(uuid);
    p = m && m->alive ? (int)m->proc.pid : -1;
    mutex_unlock(&machines_lock);
    return p;
}

/* QEMU has no VNC socket at all: each viewer is a socket pair of which it gets one end. */
static int open_vnc(const char *uuid, const struct deadline *d, struct err *err)
{
    AUTO(close_fd) int ours = -1;
    AUTO(close_fd) int theirs = -1;
    AUTO(free_str) char *name = NULL;
    struct uuid u = uuid_new();
    char text[UUID_TEXT_SIZE];
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        err_set(err, ERR_INTERNAL_ERROR, "no socket for the console");
        return err_detail(err, "socketpair: %m");
    }
    ours = pair[0];
    theirs = pair[1];
    uuid_text(&u, text);
    name = str_fmt("vnc-%s", text);
    if (run(uuid, "getfd", json_pack("{ss}", "fdname", name), theirs, d, err) < 0
        || run(uuid, "add_client",
               json_pack("{ss ss sb}", "protocol", "vnc", "fdname", name, "skipauth", 1),
               -1, d, err)
               < 0)
        return -1;
    return TAKE_FD(ours);
}

static int open_serial(const char *uuid, const struct deadline *d, struct err *err)
{
    struct machine *m;
    int fd = -1;

    mutex_lock(&machines_lock);
    m = machine_reg_find(uuid);
    fd = m && m->serial ? serial_view(m->serial, err) : no_machine(uuid, err);
    mutex_unlock(&machines_lock);
    return fd;
}

static bool is_off(struct machine *m, void *arg)
{
    return !m || m->state == MACHINE_NONE || m->state == MACHINE_OFF;
}

static int wait_off(const char *uuid, const struct deadline *d, struct err *err)
{
    int64_t since = clock_now_us();
    AUTO(free_str) char *waited = NULL;

    if (machine_reg_wait(uuid, is_off, NULL, d) == 0)
        return 0;
    if (errno == ECANCELED)
        return err_set(err, ERR_TASK_CANCELLED, "");
    waited = str_fmt("%lld", (long long)((clock_now_us() - since) / US_PER_SEC));
    return err_set(err, ERR_VM_SHUTDOWN_TIMEOUT, uuid, waited);
}

static int agent(const char *uuid, const char *command_json, char **reply_out,
                 const struct deadline *d, struct err *err)
{
    AUTO(free_str) char *path = machine_dir_path(machine_reg_dir(), uuid, "agent.sock");

    if (pid(uuid) < 0)
        return no_machine(uuid, err);
    return agent_command(path, command_json, reply_out, d, err);
}

/* Networks of user mode count nothing that QEMU would tell: no NICs here. */
static bool stats(const char *uuid, struct metrics_vcpus *vcpus, struct machine_stats *out,
                  const struct deadline *d)
{
    AUTO(err_done) struct err late = { 0 };
    int p = pid(uuid);
    struct qmp *q;
    json_t *devices = NULL;

    *out = (struct machine_stats){ 0 };
    if (p < 0)
        return false;
    out->n_vcpus = metrics_vcpu_times(vcpus, p, out->vcpu_seconds);
    q = deadline_passed(d) ? NULL : hold(uuid, false);
    if (!q)
        return true;
    out->disks_known = qmp_command(q, "query-blockstats", NULL, -1, &devices, d, &late)
                       == 0;
    qmp_release(q);
    machine_stats_disks(devices, out);
    json_decref(devices);
    return true;
}

#define BALLOON   "/machine/peripheral/balloon"
#define BALLOON_S 10

/* The driver sends its numbers when it is asked to, from time to time: that is set anew at each look, so that a daemon
 * that comes later need not know. */
static void guest_memory(const char *uuid, uint64_t *total_out, uint64_t *free_out,
                         const struct deadline *d)
{
    AUTO(err_done) struct err late = { 0 };
    json_t *answer = NULL;

    *total_out = *free_out = 0;
    if (machine_qemu_command(
            uuid, "qom-get",
            json_pack("{ss ss}", "path", BALLOON, "property", "guest-stats"), -1, &answer,
            d, &late)
        < 0)
        return;
    const json_t *stats = json_object_get(answer, "stats");
    double total = json_number_value(json_object_get(stats, "stat-total-memory"));
    double unused = json_number_value(json_object_get(stats, "stat-available-memory"));

    /* What it does not say is all ones. */
    if (total > 0 && total < 1e18 && unused > 0 && unused <= total) {
        *total_out = (uint64_t)total;
        *free_out = (uint64_t)unused;
    }
    json_decref(answer);
    if (machine_qemu_command(uuid, "qom-set",
                             json_pack("{ss ss si}", "path", BALLOON, "property",
                                       "guest-stats-polling-interval", "value", BALLOON_S),
                             -1, NULL, d, &late)
        < 0)
        err_done(&late);
}

const struct machine_ops machine_qemu = {
    .guest_memory = guest_memory,
    .has_disks = true,
    .name = "qemu",
    .init = machine_reg_init,
    .done = machine_reg_done,
    .adopt = machine_build_adopt,
    .start = machine_build_start,
    .go = go,
    .pause = pause_,
    .powerdown = powerdown,
    .reset = reset,
    .destroy = machine_build_destroy,
    .state = state,
    .pid = pid,
    .open_vnc = open_vnc,
    .open_serial = open_serial,
    .wait_off = wait_off,
    .agent = agent,
    .plug_disk = machine_plug_disk,
    .plug_nic = machine_plug_nic,
    .unplug_disk = machine_unplug_disk,
    .unplug_nic = machine_unplug_nic,
    .change_medium = machine_plug_medium,
    .resize_disk = machine_plug_resize,
    .devices = machine_plug_list,
    .set_vcpus = machine_set_vcpus,
    .set_memory = machine_set_memory,
    .save = machine_save,
    .load = machine_load,
    .save_undo = machine_save_undo,
    .stats = stats,
};
