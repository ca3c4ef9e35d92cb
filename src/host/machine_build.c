/* SPDX-License-Identifier: Apache-2.0 */
/* Starting, adopting and ending machines, on the callers' threads.
 *
 * A start goes in this order, so that the daemon may be killed after any step: directory, lock, description, listening
 * sockets, our connections to them (they wait in the backlog with what we have sent, so nothing has to be polled and
 * the first byte of the serial line is not missed), the process, which takes the lock with it and writes its pid before
 * exec, QEMU's answer, and the marker `started`. adopt() keeps what is locked and has the marker, ends what
 * is locked without it, and removes what is not locked. */
#include "host/machine_build.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/vec.h"
#include "host/disks.h"
#include "host/inventory.h"
#include "host/machine_dir.h"
#include "host/machine_reg.h"
#include "host/qemu.h"
#include "host/root.h"

#define ADOPT_US (3 * US_PER_SEC)
#define KILL_US  (20 * US_PER_SEC)
/* What QEMU may take beside the guest's memory, in a jail: TCG's translations (up to 1 GiB), its own heap, page cache. */
#define BESIDE_BYTES (UINT64_C(2) << 30)

/* Descriptors of one start; all ours, closed when it is over. */
struct launch {
    int lock, pid, log, qmp, serial, agent;
    int kernel, initrd;             /* in a jail */
    int reopened[VMSPEC_DISKS_MAX]; /* read-only copies, -1: not needed */
};

static void launch_done(struct launch *l)
{
    int *const fds[] = { &l->lock,   &l->pid,   &l->log,    &l->qmp,
                         &l->serial, &l->agent, &l->kernel, &l->initrd };

    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        close_fd(fds[i]);
    for (size_t i = 0; i < VMSPEC_DISKS_MAX; i++)
        close_fd(&l->reopened[i]);
}

static int listen_on(const char *uuid, const char *name, struct err *err)
{
    AUTO(free_str) char *path = machine_dir_path(machine_reg_dir(), uuid, name);
    int fd = io_listen_unix(path, 0600, 4);

    if (fd < 0) {
        err_set(err, ERR_INTERNAL_ERROR, "no socket for the virtual machine");
        return err_detail(err, "%s: %m", path);
    }
    return fd;
}

static int open_log(const char *uuid, const char *name, int flags, struct err *err)
{
    AUTO(free_str) char *path = machine_dir_path(machine_reg_dir(), uuid, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0600);

    if (fd < 0) {
        err_set(err, ERR_INTERNAL_ERROR, "The runtime directory cannot be written");
        return err_detail(err, "%s: %m", path);
    }
    return fd;
}

/* QEMU takes a read-only disk only from a descriptor that is read-only itself. */
static int reopen_disks(const struct vm_spec *spec, struct launch *l, struct err *err)
{
    for (unsigned i = 0; i < spec->n_disks; i++) {
        const struct vm_disk *disk = &spec->disks[i];
        int flags = disk->source == VM_SOURCE_FILE ? fcntl(disk->fd, F_GETFL) : -1;

        if (flags >= 0 && (disk->read_only || disk->is_cd)
            && (flags & O_ACCMODE) != O_RDONLY) {
            AUTO(free_str) char *self = str_fmt("/proc/self/fd/%d", disk->fd);

            l->reopened[i] = open(self, O_RDONLY | O_CLOEXEC);
            if (l->reopened[i] < 0) {
                err_set(err, ERR_INTERNAL_ERROR, "a disk cannot be opened read-only");
                return err_detail(err, "%s: %m", self);
            }
        }
    }
    return 0;
}

/* A jail has no paths of ours. */
static int open_boot_file(const char *uuid, const char *path, int *fd_out, struct err *err)
{
    if (!path || !root_get()->jailed)
        return 0;
    *fd_out = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd_out >= 0)
        return 0;
    AUTO(free_str) char *text = str_fmt("%s: %m", path);

    return err_set(err, ERR_BOOTLOADER_FAILED, uuid, text);
}

static int describe(const struct vm_spec *spec, const struct argv *argv, struct err *err)
{
    json_t *words = json_array(), *o;
    char *text;
    int rc;

    for (size_t i = 0; i < argv->n; i++)
        (void)json_array_append_new(words, json_string(argv->v[i]));
    o = json_pack("{ss si sI so}", "uuid", spec->uuid, "vcpus", (int)spec->vcpus,
                  "memory_bytes", (json_int_t)spec->memory_bytes, "argv", words);
    text = json_dumps(o, JSON_INDENT(1));
    rc = machine_dir_write(machine_reg_dir(), spec->uuid, "spec.json", text ? text : "{}",
                           err);
    json_decref(o);
    free(text);
    return rc;
}

static int injected(struct err *err)
{
    err_set(err, ERR_INTERNAL_ERROR, "a failpoint");
    return err_detail(err, "%m");
}

static int prepare(const struct vm_spec *spec, const struct argv *argv, struct launch *l,
                   struct err *err)
{
    const char *id = spec->uuid;

    if (machine_dir_create(machine_reg_dir(), id, &l->lock, err) < 0)
        return -1;
    if (FAILPOINT("machine.start.locked"))
        return injected(err);
    if (describe(spec, argv, err) < 0 || reopen_disks(spec, l, err) < 0
        || open_boot_file(id, spec->kernel, &l->kernel, err) < 0
        || open_boot_file(id, spec->initrd, &l->initrd, err) < 0)
        return -1;
    l->pid = open_log(id, "pid", O_TRUNC, err);
    l->log = l->pid < 0 ? -1 : open_log(id, "qemu.log", O_APPEND, err);
    if (l->log < 0)
        return -1;
    if (FAILPOINT("machine.start.described"))
        return injected(err);
    l->qmp = listen_on(id, "qmp.sock", err);
    l->serial = l->qmp < 0 ? -1 : listen_on(id, "serial.sock", err);
    l->agent = l->serial < 0 ? -1 : listen_on(id, "agent.sock", err);
    if (l->agent < 0)
        return -1;
    return FAILPOINT("machine.start.listening") ? injected(err) : 0;
}

static int spawn(struct machine *m, const struct vm_spec *spec, const struct argv *argv,
                 const struct launch *l, struct err *err)
{
    struct proc_fd fds[9 + VMSPEC_DISKS_MAX + VMSPEC_NICS_MAX] = {
        { l->log, 1 },
        { l->log, 2 },
        { l->qmp, QEMU_FD_QMP },
        { l->serial, QEMU_FD_SERIAL },
        { l->agent, QEMU_FD_AGENT },
        { l->lock, QEMU_FD_LOCK },
    };
    AUTO(free_str) char *dir = machine_dir_path(machine_reg_dir(), m->uuid, NULL);
    AUTO(close_fd) int disks = root_get()->jailed ? disks_dir(m->uuid) : -1;
    struct root_vm vm = { .uuid = m->uuid,
                          .argv = (const char *const *)argv->v,
                          .fds = fds,
                          .n_fds = 6,
                          .pid_fd = l->pid,
                          .cwd = dir,
                          .kernel = l->kernel,
                          .initrd = l->initrd,
                          .disks = disks,
                          .memory_max = spec->memory_bytes + BESIDE_BYTES,
                          .kvm = str_eq(spec->accel, "kvm") };
    struct proc proc;

    if (spec->firmware == VM_FIRMWARE_UEFI)
        fds[vm.n_fds++] = (struct proc_fd){ spec->nvram_fd, QEMU_FD_NVRAM };
    if (spec->tpm_fd > 0)
        fds[vm.n_fds++] = (struct proc_fd){ spec->tpm_fd, QEMU_FD_TPM };
    if (spec->config_fd > 0)
        fds[vm.n_fds++] = (struct proc_fd){ spec->config_fd, QEMU_FD_CONFIG };
    for (unsigned i = 0; i < spec->n_disks; i++)
        if (spec->disks[i].source != VM_SOURCE_NONE && !spec->disks[i].nbd)
            fds[vm.n_fds++] = (struct proc_fd){ l->reopened[i] >= 0 ? l->reopened[i]
                                                                    : spec->disks[i].fd,
                                                QEMU_FD_DISK0 + (int)i };
    for (unsigned i = 0; i < spec->n_nics; i++)
        if (spec->nics[i].has_tap)
            fds[vm.n_fds++] = (struct proc_fd){ spec->nics[i].tap, QEMU_FD_NIC0 + (int)i };
    if (root_get()->spawn(&vm, &proc, err) < 0)
        return -1;
    mutex_lock(&machines_lock);
    m->state = MACHINE_PAUSED;
    mutex_unlock(&machines_lock);
    machine_reg_watch(m, &proc);
    return 0;
}

/* QEMU gave up or is stuck: say why in its own words. */
static int refused(const struct machine *m, struct err *err, struct err *cause)
{
    AUTO(free_str) char *tail = machine_dir_log_tail(machine_reg_dir(), m->uuid);

    if (str_eq(cause->code, ERR_TASK_CANCELLED)) {
        err_move(err, cause);
        return -1;
    }
    err_set(err, ERR_BOOTLOADER_FAILED, m->uuid, tail[0] ? tail : cause->params[0]);
    return err_detail(err, "%s", cause->detail ? cause->detail : cause->code);
}

static int check_memory(const struct vm_spec *spec, struct err *err)
{
    uint64_t available;
    uint64_t needed = spec->memory_target_bytes ? spec->memory_target_bytes
                                                : spec->memory_bytes;

    if (inventory_memory_free(&available) == 0 && needed > available) {
        AUTO(free_str) char *need = str_fmt("%llu", (unsigned long long)needed);
        AUTO(free_str) char *have = str_fmt("%llu", (unsigned long long)available);

        return err_set(err, ERR_HOST_NOT_ENOUGH_FREE_MEMORY, need, have);
    }
    return 0;
}

static int launch(struct machine *m, const struct vm_spec *spec, const struct argv *argv,
                  const struct deadline *d, struct err *err)
{
    struct launch l = { -1, -1, -1, -1, -1, -1, -1, -1, { 0 } };
    int rc;

    memset(l.reopened, 0xff, sizeof(l.reopened));
    rc = prepare(spec, argv, &l, err);
    if (rc == 0)
        rc = machine_reg_attach(m, d, err);
    if (rc == 0 && FAILPOINT("machine.start.attached"))
        rc = injected(err);
    if (rc == 0)
        rc = spawn(m, spec, argv, &l, err);
    /* Above all the listening sockets: QEMU's end must be the end of them. */
    launch_done(&l);
    return rc;
}

static int build(struct machine *m, const struct vm_spec *spec, const struct argv *argv,
                 const struct deadline *d, struct err *err)
{
    AUTO(err_done) struct err cause = { 0 };

    if (launch(m, spec, argv, d, err) < 0)
        return -1;
    if (FAILPOINT("machine.start.spawned"))
        return injected(err);
    if (qmp_ready(m->qmp, d, &cause) < 0)
        return refused(m, err, &cause);
    if (FAILPOINT("machine.start.ready"))
        return injected(err);
    if (machine_dir_write(machine_reg_dir(), m->uuid, "started", "", err) < 0)
        return -1;
    return FAILPOINT("machine.start.started") ? injected(err) : 0;
}

static bool is_dead(struct machine *m, void *arg)
{
    return !m || !m->alive;
}

/* End the process and wait for it. SIGKILL, not QMP quit: what the guest wrote is in the files' page cache already, as
 * after quit, while quit may wait for an fsync of all that is dirty (idle guests: quit 2.6 ms, SIGKILL 2.0 ms). */
static int end_process(struct machine *m, struct err *err)
{
    struct deadline d = deadline_in(KILL_US);

    if (root_get()->end(m->uuid, &m->proc, err) < 0)
        return -1;
    if (machine_reg_wait(m->uuid, is_dead, NULL, &d) < 0) {
        err_set(err, ERR_INTERNAL_ERROR, "QEMU does not end");
        return err_detail(err, "machine %s, pid %d: %m", m->uuid, (int)m->proc.pid);
    }
    return 0;
}

/* The one way out, of a start that failed too. m: claimed. Whatever is left of it goes. */
static int teardown(struct machine *m, struct err *err)
{
    bool alive;

    mutex_lock(&machines_lock);
    m->ending = true;
    alive = m->alive;
    mutex_unlock(&machines_lock);
    if (alive ? end_process(m, err) < 0 : root_get()->end(m->uuid, NULL, err) < 0)
        return -1;
    (void)FAILPOINT("machine.destroy.killed");
    machine_reg_detach(m); /* the serial log is complete and nothing is written any more */
    machine_dir_remove(machine_reg_dir(), m->uuid);
    return 0;
}

/* A machine that this process does not know: adopt() was not called, or did not get hold of it. */
static int end_unknown(const char *uuid, struct err *err)
{
    struct deadline d = deadline_in(KILL_US);
    struct proc proc;

    if (root_get()->jailed) /* all of it, known to us or not, and waited for */
        return root_get()->end(uuid, NULL, err);
    if (!machine_dir_alive(machine_reg_dir(), uuid, &proc))
        return 0;
    log_warn("machine %s: ending a process of it that is not known", uuid);
    if (proc.pidfd < 0 || root_get()->end(uuid, &proc, err) < 0
        || deadline_poll(&d, proc.pidfd, POLLIN) < 0) {
        err_set(err, ERR_INTERNAL_ERROR, "QEMU does not end");
        err_detail(err, "machine %s, pid %d: %m", uuid, (int)proc.pid);
        proc_close(&proc);
        return -1;
    }
    proc_close(&proc);
    return 0;
}

/* The paths that the machine sees. */
static int make_argv(const struct vm_spec *spec, const char *qemu, struct argv *out,
                     struct err *err)
{
    struct vm_spec jailed = *spec;

    if (spec->kernel)
        jailed.kernel = ROOT_KERNEL;
    if (spec->initrd)
        jailed.initrd = ROOT_INITRD;
    return qemu_argv(root_get()->jailed ? &jailed : spec, qemu, out, err);
}

int machine_build_start(const struct vm_spec *spec, const struct deadline *d,
                        struct err *err)
{
    AUTO(free_str) char *qemu = inventory_qemu(err);
    AUTO(argv_done) struct argv argv = { 0 };
    AUTO(err_done) struct err old = { 0 };
    struct machine *m;
    bool there;
    int rc;

    if (!qemu || check_memory(spec, err) < 0 || make_argv(spec, qemu, &argv, err) < 0)
        return -1;
    if (machine_reg_claim(spec->uuid, true, d, &m, err) < 0)
        return -1;
    mutex_lock(&machines_lock);
    there = m->alive;
    mutex_unlock(&machines_lock);
    if (there) {
        machine_reg_unclaim(m, false);
        return err_set(err, ERR_VM_BAD_POWER_STATE, spec->uuid, "halted", "running");
    }
    machine_reg_detach(m); /* of a process that died unasked and was not destroyed */
    mutex_lock(&machines_lock);
    m->ending = m->built = m->asked = false;
    mutex_unlock(&machines_lock);
    rc = end_unknown(spec->uuid, &old);
    if (rc < 0) { /* rootd's silence comes out here */
        err_set(err, ERR_BOOTLOADER_FAILED, spec->uuid, old.detail ? old.detail : old.code);
        err_detail(err, "what its last run left cannot be ended");
    }
    if (rc == 0)
        rc = build(m, spec, &argv, d, err);
    if (rc < 0) {
        bool gone = teardown(m, NULL) == 0;

        machine_reg_unclaim(m, gone);
        return -1;
    }
    mutex_lock(&machines_lock);
    m->built = true;
    mutex_unlock(&machines_lock);
    machine_reg_unclaim(m, false);
    return 0;
}

int machine_build_destroy(const char *uuid, const struct deadline *d, struct err *err)
{
    struct machine *m;
    int rc;

    if (machine_reg_claim(uuid, false, d, &m, err) < 0)
        return -1;
    if (!m) {
        rc = end_unknown(uuid, err);
        if (rc == 0)
            machine_dir_remove(machine_reg_dir(), uuid);
        return rc;
    }
    rc = teardown(m, err);
    machine_reg_unclaim(m, rc == 0);
    return rc;
}

struct adoption {
    struct deadline d;
    VEC(struct machine *) found;
};

static void adopt_one(const char *uuid, void *arg)
{
    struct adoption *a = arg;
    AUTO(err_done) struct err err = { 0 };
    struct machine *m;
    struct proc proc;
    bool started = machine_dir_has(machine_reg_dir(), uuid, "started");

    mutex_lock(&machines_lock);
    m = machine_reg_find(uuid);
    mutex_unlock(&machines_lock);
    if (m) /* we have it */
        return;
    /* A start that rootd was asked for when we were killed holds the lock and may have no pid yet. */
    if (!machine_dir_alive(machine_reg_dir(), uuid, &proc)
        || (proc.pidfd < 0 && root_get()->jailed)) {
        if (root_get()->end(uuid, NULL, &err) == 0)
            machine_dir_remove(machine_reg_dir(), uuid);
        else
            log_error("machine %s: %s", uuid, err.detail ? err.detail : err.code);
        return;
    }
    if (proc.pidfd < 0) {
        log_error("machine %s: a process without a pid file holds its lock", uuid);
        return;
    }
    if (machine_reg_claim(uuid, true, &a->d, &m, &err) < 0)
        return;
    mutex_lock(&machines_lock);
    m->built = started;
    m->ending = !started;
    m->state =
        MACHINE_RUNNING; /* until it says otherwise: one that hangs is not to be taken for dead */
    mutex_unlock(&machines_lock);
    machine_reg_watch(m, &proc);
    if (machine_reg_attach(m, &a->d, &err) < 0)
        log_warn("machine %s: %s", uuid, err.detail ? err.detail : err.code);
    vec_push(&a->found, m);
}

static enum machine_state state_of(const char *status)
{
    static const struct {
        const char *status;
        enum machine_state state;
    } table[] = {
        { "running", MACHINE_RUNNING },
        { "shutdown", MACHINE_OFF },
        { "guest-panicked", MACHINE_OFF },
        { "prelaunch", MACHINE_PAUSED },
    };

    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        if (str_eq(table[i].status, status))
            return table[i].state;
    return MACHINE_PAUSED;
}

/* Ask it how it is. False: it is to be ended. */
static bool adopt_ask(struct machine *m, const struct deadline *d, bool *trouble)
{
    AUTO(err_done) struct err err = { 0 };
    json_t *status = NULL;

    if (!m->built)
        return false;
    if (!m->qmp || qmp_ready(m->qmp, d, &err) < 0
        || qmp_command(m->qmp, "query-status", NULL, -1, &status, d, &err) < 0) {
        log_warn("machine %s runs but does not answer: %s", m->uuid,
                 err.detail ? err.detail : "no monitor");
        return true;
    }
    const char *word = json_string_value(json_object_get(status, "status"));

    *trouble = str_eq(word, "io-error") || str_eq(word, "internal-error")
               || str_eq(word, "watchdog");
    mutex_lock(&machines_lock);
    if (m->alive)
        m->state = state_of(word);
    mutex_unlock(&machines_lock);
    json_decref(status);
    return true;
}

int machine_build_adopt(struct machine_found **found_out, size_t *n_out, struct err *err)
{
    struct adoption a = { .d = deadline_in(ADOPT_US) };
    VEC(struct machine_found) found = { 0 };

    if (machine_dir_each(machine_reg_dir(), adopt_one, &a, err) < 0)
        return -1;
    for (size_t i = 0; i < a.found.n; i++) {
        struct machine *m = a.found.v[i];
        struct machine_found f = { .state = MACHINE_NONE };
        bool ended = !adopt_ask(m, &a.d, &f.trouble) && teardown(m, NULL) == 0;

        mutex_lock(&machines_lock);
        memcpy(f.uuid, m->uuid, sizeof(f.uuid));
        f.state = m->state;
        f.pid = (int)m->proc.pid;
        mutex_unlock(&machines_lock);
        machine_reg_unclaim(m, ended);
        if (!ended)
            vec_push(&found, f);
    }
    vec_done(&a.found);
    *found_out = found.v;
    *n_out = found.n;
    return 0;
}
