/* SPDX-License-Identifier: Apache-2.0 */
/* Machines without processes, for the tests of the API: states, events and consoles that echo. A machine's state also
 * stands in RUNTIME/vm/UUID/fake, so that adopting works as with real ones.
 *
 * Words in the kernel command line ask for what a real guest would do:
 *   fake:refuse     start fails             fake:deaf   ignores the power button
 *   fake:poweroff   powers off once it runs fake:panic  panics     fake:die  its process dies
 *   fake:agent      has a guest agent         fake:clings  gives no device away
 *
 * The registry is machine_reg.c's. Consoles live on the machine thread; the rest runs on callers' threads. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/vec.h"
#include "host/inventory.h"
#include "host/machine.h"
#include "host/machine_dir.h"
#include "host/machine_reg.h"

#define PID_BASE 4194305 /* above every pid that Linux gives */

struct echo {
    struct list link;
    char uuid[UUID_TEXT_SIZE];
    int fd;
    char greeting[96];
};

static struct list echoes = LIST_INIT(echoes);

static void echo_free(struct echo *e)
{
    loop_del(machine_reg_loop(), e->fd);
    list_remove(&e->link);
    close_fd(&e->fd);
    free(e);
}

static void on_echo(void *arg, uint32_t events)
{
    struct echo *e = arg;
    char chunk[4096];
    ssize_t n = recv(e->fd, chunk, sizeof(chunk), MSG_DONTWAIT);

    if (n > 0)
        (void)!send(e->fd, chunk, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        echo_free(e);
}

static void post_echo(void *arg)
{
    struct echo *e = arg;

    list_add_tail(&echoes, &e->link);
    (void)!send(e->fd, e->greeting, strlen(e->greeting), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (loop_add(machine_reg_loop(), e->fd, EPOLLIN, on_echo, e) < 0)
        echo_free(e);
}

/* arg: given, a uuid or NULL for all. */
static void post_hang_up(void *arg)
{
    AUTO(free_str) char *uuid = arg;

    list_for_each_safe(it, &echoes) {
        struct echo *e = list_entry(it, struct echo, link);

        if (!uuid || str_eq(e->uuid, uuid))
            echo_free(e);
    }
}

static int not_running(const char *uuid, const char *expected, const char *actual,
                       struct err *err)
{
    return err_set(err, ERR_VM_BAD_POWER_STATE, uuid, expected, actual);
}

static enum machine_state state(const char *uuid)
{
    enum machine_state s;
    const struct machine *m;

    mutex_lock(&machines_lock);
    m = machine_reg_find(uuid);
    s = m ? m->state : MACHINE_NONE;
    mutex_unlock(&machines_lock);
    return s;
}

static int fake_pid(const char *uuid)
{
    unsigned sum = 0;

    for (const char *p = uuid; *p; p++)
        sum = sum * 31 + (unsigned char)*p;
    return PID_BASE + (int)(sum % 1000000);
}

static int pid(const char *uuid)
{
    return state(uuid) == MACHINE_NONE ? -1 : fake_pid(uuid);
}

/* "STATE COMMAND-LINE" */
static int save(const char *uuid, enum machine_state s, const char *words, struct err *err)
{
    AUTO(free_str) char *text = str_fmt("%d %s", (int)s, words);

    return machine_dir_write(machine_reg_dir(), uuid, "fake", text, err);
}

/* The words, given; NULL: no such machine. */
static char *load(const char *uuid, enum machine_state *state_out)
{
    AUTO(free_str) char *path = machine_dir_path(machine_reg_dir(), uuid, "fake");
    AUTO(buf_done) struct buf text = BUF_INIT(16384);

    if (io_read_file(path, &text) < 0 || text.len < 2 || text.data[0] < '0'
        || text.data[0] > '0' + (int)MACHINE_OFF || text.data[1] != ' ')
        return NULL;
    *state_out = (enum machine_state)(text.data[0] - '0');
    return str_dup(text.data + 2);
}

static bool asks(const char *uuid, const char *word)
{
    enum machine_state s;
    AUTO(free_str) char *words = load(uuid, &s);

    return words && strstr(words, word);
}

/* A machine that is there goes from one state to another, by itself (kind >= 0) or asked. */
static int move(const char *uuid, enum machine_state to, int kind, const char *detail,
                struct err *err)
{
    enum machine_state was;
    AUTO(free_str) char *words = load(uuid, &was);

    if (!words || state(uuid) == MACHINE_NONE)
        return not_running(uuid, "running", "halted", err);
    if (save(uuid, to, words, err) < 0)
        return -1;
    machine_reg_set(uuid, to, kind, detail);
    return 0;
}

static int start(const struct vm_spec *spec, const struct deadline *d, struct err *err)
{
    const char *words = spec->cmdline ? spec->cmdline : "";
    enum machine_state was;
    struct machine *m;
    uint64_t available;
    int lock = -1, rc;

    if (strstr(words, "fake:refuse"))
        return err_set(err, ERR_BOOTLOADER_FAILED, spec->uuid,
                       "the fake was asked to refuse");
    if (inventory_memory_free(&available) == 0 && spec->memory_bytes > available) {
        AUTO(free_str) char *need = str_fmt("%llu", (unsigned long long)spec->memory_bytes);
        AUTO(free_str) char *have = str_fmt("%llu", (unsigned long long)available);

        return err_set(err, ERR_HOST_NOT_ENOUGH_FREE_MEMORY, need, have);
    }
    if (machine_reg_claim(spec->uuid, true, d, &m, err) < 0)
        return -1;
    was = state(spec->uuid);
    if (was != MACHINE_NONE) {
        machine_reg_unclaim(m, false);
        return not_running(spec->uuid, "halted", "running", err);
    }
    rc = machine_dir_create(machine_reg_dir(), spec->uuid, &lock, err);
    close_fd(&lock);
    if (rc == 0)
        rc = save(spec->uuid, MACHINE_PAUSED, words, err);
    if (rc == 0)
        machine_reg_set(spec->uuid, MACHINE_PAUSED, -1, NULL);
    else
        machine_dir_remove(machine_reg_dir(), spec->uuid);
    machine_reg_unclaim(m, rc < 0);
    return rc;
}

static int go(const char *uuid, const struct deadline *d, struct err *err)
{
    static const struct {
        const char *word;
        enum machine_state to;
        enum machine_event_kind kind;
    } acts[] = {
        { "fake:poweroff", MACHINE_OFF, MACHINE_EV_POWEROFF },
        { "fake:panic", MACHINE_OFF, MACHINE_EV_PANIC },
        { "fake:die", MACHINE_NONE, MACHINE_EV_DIED },
    };

    if (state(uuid) == MACHINE_OFF)
        return not_running(uuid, "paused", "halted", err);
    if (move(uuid, MACHINE_RUNNING, -1, NULL, err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_SIZE(acts); i++)
        if (asks(uuid, acts[i].word))
            return move(uuid, acts[i].to, (int)acts[i].kind, "as asked", err);
    if (asks(uuid, "fake:agent"))
        machine_reg_set(uuid, MACHINE_RUNNING, MACHINE_EV_AGENT, NULL);
    return 0;
}

static int pause_(const char *uuid, const struct deadline *d, struct err *err)
{
    return move(uuid, MACHINE_PAUSED, -1, NULL, err);
}

static int powerdown(const char *uuid, const struct deadline *d, struct err *err)
{
    if (state(uuid) != MACHINE_RUNNING)
        return not_running(uuid, "running",
                           state(uuid) == MACHINE_PAUSED ? "paused" : "halted", err);
    if (asks(uuid, "fake:deaf"))
        return 0;
    return move(uuid, MACHINE_OFF, MACHINE_EV_POWEROFF, "guest-shutdown", err);
}

static int reset(const char *uuid, const struct deadline *d, struct err *err)
{
    if (state(uuid) == MACHINE_NONE)
        return not_running(uuid, "running", "halted", err);
    return state(uuid) == MACHINE_OFF ? move(uuid, MACHINE_PAUSED, -1, NULL, err) : 0;
}

static int destroy(const char *uuid, const struct deadline *d, struct err *err)
{
    struct machine *m;

    if (machine_reg_claim(uuid, false, d, &m, err) < 0)
        return -1;
    machine_dir_remove(machine_reg_dir(), uuid);
    if (m) {
        machine_reg_set(uuid, MACHINE_NONE, -1, NULL);
        loop_post(machine_reg_loop(), post_hang_up, str_dup(uuid));
        machine_reg_unclaim(m, true);
    }
    return 0;
}

typedef VEC(struct machine_found) found_vec;

static void adopt_one(const char *uuid, void *arg)
{
    found_vec *found = arg;
    struct machine_found f = { .pid = fake_pid(uuid) };
    struct deadline d = deadline_in(US_PER_SEC);
    AUTO(free_str) char *words = load(uuid, &f.state);
    struct machine *m;

    if (state(uuid) != MACHINE_NONE)
        return;
    if (!words || f.state == MACHINE_NONE) {
        machine_dir_remove(machine_reg_dir(), uuid);
        return;
    }
    if (machine_reg_claim(uuid, true, &d, &m, NULL) < 0)
        return;
    machine_reg_set(uuid, f.state, -1, NULL);
    machine_reg_unclaim(m, false);
    memcpy(f.uuid, uuid, sizeof(f.uuid) - 1);
    vec_push(found, f);
}

static int adopt(struct machine_found **found_out, size_t *n_out, struct err *err)
{
    found_vec found = { 0 };

    if (machine_dir_each(machine_reg_dir(), adopt_one, &found, err) < 0)
        return -1;
    *found_out = found.v;
    *n_out = found.n;
    return 0;
}

static void done(void)
{
    if (!machine_reg_loop())
        return;
    loop_post(machine_reg_loop(), post_hang_up, NULL);
    machine_reg_done();
}

static int open_echo(const char *uuid, const char *greeting, struct err *err)
{
    struct echo *e;
    int pair[2];

    if (state(uuid) == MACHINE_NONE)
        return not_running(uuid, "running", "halted", err);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        err_set(err, ERR_INTERNAL_ERROR, "no socket for the console");
        return err_detail(err, "socketpair: %m");
    }
    e = mem_alloc(sizeof(*e));
    list_init(&e->link);
    memcpy(e->uuid, uuid, MIN(strlen(uuid), sizeof(e->uuid) - 1));
    memcpy(e->greeting, greeting, MIN(strlen(greeting), sizeof(e->greeting) - 1));
    e->fd = pair[0];
    loop_post(machine_reg_loop(), post_echo, e);
    return pair[1];
}

static int open_vnc(const char *uuid, const struct deadline *d, struct err *err)
{
    return open_echo(uuid, "RFB 003.008\n", err);
}

static int open_serial(const char *uuid, const struct deadline *d, struct err *err)
{
    AUTO(free_str) char *greeting = str_fmt("fake console of %s\r\n", uuid);

    return open_echo(uuid, greeting, err);
}

static bool is_off(struct machine *m, void *arg)
{
    return !m || m->state == MACHINE_NONE || m->state == MACHINE_OFF;
}

static int wait_off(const char *uuid, const struct deadline *d, struct err *err)
{
    if (machine_reg_wait(uuid, is_off, NULL, d) == 0)
        return 0;
    if (errno == ECANCELED)
        return err_set(err, ERR_TASK_CANCELLED, "");
    return err_set(err, ERR_VM_SHUTDOWN_TIMEOUT, uuid, "");
}

static int agent(const char *uuid, const char *command_json, char **reply_out,
                 const struct deadline *d, struct err *err)
{
    if (state(uuid) != MACHINE_RUNNING)
        return not_running(uuid, "running", "halted", err);
    if (!asks(uuid, "fake:agent"))
        return err_set(err, ERR_INTERNAL_ERROR, "The guest agent does not answer");
    *reply_out = str_dup("{\"return\": {}}");
    return 0;
}

/* Two processors, a disk and a NIC that are steadily used while the machine runs: each look adds the same. */
static bool stats(const char *uuid, struct metrics_vcpus *vcpus, struct machine_stats *out,
                  const struct deadline *d)
{
    unsigned looks;

    *out = (struct machine_stats){ 0 };
    if (state(uuid) == MACHINE_NONE)
        return false;
    vcpus->pid += state(uuid) == MACHINE_RUNNING; /* the caller's memory is the counter */
    looks = (unsigned)vcpus->pid;
    out->n_vcpus = 2;
    out->vcpu_seconds[0] = looks * 2.5;
    out->vcpu_seconds[1] = looks * 1.25;
    out->disks_known = true;
    out->n_disks = out->n_nics = 1;
    out->disks[0] = (struct machine_disk_stats){
        .read_bytes = looks * UINT64_C(1048576),
        .write_bytes = looks * UINT64_C(5242880),
        .reads = looks * UINT64_C(100),
        .writes = looks * UINT64_C(50),
        .read_ns = looks * UINT64_C(100) * 2000000,
        .write_ns = looks * UINT64_C(50) * 4000000,
    };
    out->nics[0] = (struct machine_nic_stats){ .rx_bytes = looks * UINT64_C(5000),
                                               .tx_bytes = looks * UINT64_C(500) };
    return true;
}

/* Its devices are nowhere but in the records. fake:clings refuses to let go of one. */
static int plug_disk(const char *uuid, const struct vm_disk *disk, const struct deadline *d,
                     struct err *err)
{
    return state(uuid) == MACHINE_NONE ? not_running(uuid, "running", "halted", err) : 0;
}

static int plug_nic(const char *uuid, const struct vm_nic *nic, const struct deadline *d,
                    struct err *err)
{
    return state(uuid) == MACHINE_NONE ? not_running(uuid, "running", "halted", err) : 0;
}

static int unplug_disk(const char *uuid, const char *id, unsigned slot,
                       const struct deadline *d, struct err *err)
{
    return asks(uuid, "fake:clings")
               ? err_set(err, ERR_DEVICE_DETACH_REJECTED, "VBD", id, "as asked")
               : 0;
}

static int unplug_nic(const char *uuid, const char *id, unsigned slot,
                      const struct deadline *d, struct err *err)
{
    return asks(uuid, "fake:clings") ? err_set(err, ERR_DEVICE_DETACH_TIMEOUT, "VIF", id)
                                     : 0;
}

static int resize_disk(const char *uuid, const struct vm_disk *disk, uint64_t bytes,
                       const struct deadline *d, struct err *err)
{
    return state(uuid) == MACHINE_NONE ? not_running(uuid, "running", "halted", err) : 0;
}

static bool devices(const char *uuid, struct machine_devices *out, const struct deadline *d)
{
    return false;
}

/* fake:clings gives no processor back either. */
static int set_vcpus(const char *uuid, unsigned wanted, unsigned *now_out,
                     const struct deadline *d, struct err *err)
{
    *now_out = 0;
    if (state(uuid) == MACHINE_NONE)
        return not_running(uuid, "running", "halted", err);
    if (asks(uuid, "fake:clings"))
        return err_set(err, ERR_OPERATION_NOT_ALLOWED, "as asked");
    *now_out = wanted;
    return 0;
}

static void post_memory(void *arg)
{
    AUTO(free_ptr) struct machine_event *ev = arg;

    machine_reg_tell(ev);
}

static int set_memory(const char *uuid, uint64_t bytes, const struct deadline *d,
                      struct err *err)
{
    struct machine_event ev = { .kind = MACHINE_EV_MEMORY, .value = bytes };

    if (state(uuid) == MACHINE_NONE)
        return not_running(uuid, "running", "halted", err);
    memcpy(ev.uuid, uuid, sizeof(ev.uuid) - 1);
    if (!asks(uuid, "fake:deaf"))
        loop_post(machine_reg_loop(), post_memory, mem_dup(&ev, sizeof(ev)));
    return 0;
}

/* Its state is the words of its command line. */
static int fake_save(const char *uuid, const struct machine_save *how,
                     struct machine_saved *out, const struct deadline *d, struct err *err)
{
    enum machine_state was;
    AUTO(free_str) char *words = load(uuid, &was);

    *out = (struct machine_saved){ 0 };
    if (!words || was == MACHINE_NONE)
        return not_running(uuid, "running", "halted", err);
    if (strstr(words, "fake:heavy"))
        return err_set(err, ERR_OPERATION_NOT_ALLOWED, "as asked");
    if (how->live && how->paused && how->paused(how->arg, err) < 0)
        return -1;
    if (io_write_full(how->fd, words, strlen(words), d) < 0) {
        (void)shutdown(how->fd, SHUT_WR);
        return err_set(err, ERR_OPERATION_NOT_ALLOWED, "nobody takes the state");
    }
    (void)shutdown(how->fd, SHUT_WR);
    return move(uuid, MACHINE_PAUSED, -1, NULL, err);
}

static int fake_load(const char *uuid, int fd, const struct deadline *d, struct err *err)
{
    char words[8192];
    size_t len = 0;
    ssize_t n;

    while (len < sizeof(words) - 1
           && (n = io_read(fd, words + len, sizeof(words) - 1 - len, d)) > 0)
        len += (size_t)n;
    words[len] = '\0';
    return save(uuid, MACHINE_PAUSED, words, err);
}

static int fake_undo(const char *uuid, const struct deadline *d, struct err *err)
{
    return move(uuid, MACHINE_RUNNING, -1, NULL, err);
}

const struct machine_ops machine_fake = {
    .name = "fake",
    .init = machine_reg_init,
    .done = done,
    .adopt = adopt,
    .start = start,
    .go = go,
    .pause = pause_,
    .powerdown = powerdown,
    .reset = reset,
    .destroy = destroy,
    .state = state,
    .pid = pid,
    .open_vnc = open_vnc,
    .open_serial = open_serial,
    .wait_off = wait_off,
    .agent = agent,
    .plug_disk = plug_disk,
    .plug_nic = plug_nic,
    .unplug_disk = unplug_disk,
    .unplug_nic = unplug_nic,
    .change_medium = plug_disk,
    .resize_disk = resize_disk,
    .devices = devices,
    .set_vcpus = set_vcpus,
    .set_memory = set_memory,
    .save = fake_save,
    .load = fake_load,
    .save_undo = fake_undo,
    .stats = stats,
};
