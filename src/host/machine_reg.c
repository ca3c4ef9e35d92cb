/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of machines and the machine thread. Functions named on_ and post_ run on the thread; the others on any.
 * What QEMU says changes the state here and nowhere else, except that adopt() asks for it once. */
#include "host/machine_reg.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/vec.h"
#include "host/machine_dir.h"
#include "host/qemu.h"

#define LOG_TRIM_US (10 * US_PER_SEC)

/* Somebody who waits for a machine to change. */
struct watcher {
    struct list link;
    const char *uuid;
    int event_fd;
};

/* Set by init, read only while the thread runs. */
static struct {
    struct loop *loop;
    pthread_t thread;
    char *dir;
    machine_event_fn fn;
    void *arg;
} host;

struct mutex machines_lock = MUTEX_INIT;
static struct list machines GUARDED_BY(machines_lock) = LIST_INIT(machines);
static struct list watchers GUARDED_BY(machines_lock) = LIST_INIT(watchers);

const char *machine_reg_dir(void)
{
    return host.dir;
}

struct loop *machine_reg_loop(void)
{
    return host.loop;
}

struct machine *machine_reg_find(const char *uuid)
{
    list_for_each(it, &machines) {
        struct machine *m = list_entry(it, struct machine, link);

        if (str_eq(m->uuid, uuid))
            return m;
    }
    return NULL;
}

static void changed(const char *uuid) REQUIRES(machines_lock)
{
    list_for_each(it, &watchers) {
        struct watcher *w = list_entry(it, struct watcher, link);
        uint64_t one = 1;

        if (str_eq(w->uuid, uuid))
            (void)!write(w->event_fd, &one,
                         sizeof(one)); /* fails only when it is readable anyway */
    }
}

static void unref(struct machine *m) REQUIRES(machines_lock)
{
    if (--m->refs == 0)
        free(m);
}

static void watcher_remove(struct watcher *w)
{
    mutex_lock(&machines_lock);
    list_remove(&w->link);
    mutex_unlock(&machines_lock);
}

int machine_reg_wait(const char *uuid, machine_settled_fn settled, void *arg,
                     const struct deadline *d)
{
    AUTO(close_fd) int event_fd = -1;
    struct watcher w = { .uuid = uuid };

    list_init(&w.link);
    for (;;) {
        bool ready;
        uint64_t count;

        mutex_lock(&machines_lock);
        ready = settled(machine_reg_find(uuid), arg);
        mutex_unlock(&machines_lock);
        if (ready) {
            watcher_remove(&w);
            return 0;
        }
        if (event_fd
            < 0) { /* the usual case needs none; look again once it is in the list */
            event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
            if (event_fd < 0)
                return -1;
            w.event_fd = event_fd;
            mutex_lock(&machines_lock);
            list_add_tail(&watchers, &w.link);
            mutex_unlock(&machines_lock);
            continue;
        }
        if (deadline_poll(d, event_fd, POLLIN) < 0) {
            watcher_remove(&w);
            return -1;
        }
        (void)!read(event_fd, &count, sizeof(count));
    }
}

int machine_reg_late(const char *what, struct err *err)
{
    if (errno == ECANCELED)
        return err_set(err, ERR_TASK_CANCELLED, "");
    err_set(err, ERR_INTERNAL_ERROR, "The virtual machine did not answer in time");
    return err_detail(err, "%s: %m", what);
}

struct claim {
    const char *uuid;
    bool create;
    struct machine *m;
};

static bool try_claim(struct machine *m, void *arg) REQUIRES(machines_lock)
{
    struct claim *c = arg;

    if (m && m->busy)
        return false;
    if (!m && c->create) {
        m = mem_alloc(sizeof(*m));
        memcpy(m->uuid, c->uuid, MIN(strlen(c->uuid), sizeof(m->uuid) - 1));
        m->proc = (struct proc){ .pid = -1, .pidfd = -1 };
        m->refs = 1;
        list_init(&m->unplugs);
        list_add_tail(&machines, &m->link);
    }
    if (m)
        m->busy = true;
    c->m = m;
    return true;
}

int machine_reg_claim(const char *uuid, bool create, const struct deadline *d,
                      struct machine **m_out, struct err *err)
{
    struct claim c = { .uuid = uuid, .create = create };

    if (machine_reg_wait(uuid, try_claim, &c, d) < 0)
        return machine_reg_late("wait for another call", err);
    *m_out = c.m;
    return 0;
}

void machine_reg_unclaim(struct machine *m, bool forget)
{
    mutex_lock(&machines_lock);
    m->busy = false;
    if (forget)
        list_remove(&m->link);
    changed(m->uuid);
    if (forget)
        unref(m);
    mutex_unlock(&machines_lock);
}

static void emit(const struct machine *m, enum machine_event_kind kind, bool flag,
                 const char *detail)
{
    struct machine_event ev = { .kind = kind, .flag = flag, .detail = detail };

    memcpy(ev.uuid, m->uuid, sizeof(ev.uuid));
    if (host.fn)
        host.fn(&ev, host.arg);
}

/* True when it was a change that nobody asked for. A stop or cont of ours does not switch it off: a guest can be off
 * before the answer to cont has come. */
static bool set_state(struct machine *m, enum machine_state state)
{
    bool news, asked;

    mutex_lock(&machines_lock);
    asked = (m->asked || m->saving) && state != MACHINE_OFF;
    news = m->alive && m->state != state && !asked && !m->ending
           && !(m->state == MACHINE_OFF && state == MACHINE_PAUSED);
    /* QEMU says STOP after it said SHUTDOWN: it stays off. */
    if (m->alive && !(m->state == MACHINE_OFF && state == MACHINE_PAUSED))
        m->state = state;
    changed(m->uuid);
    mutex_unlock(&machines_lock);
    return news;
}

static void on_shutdown(struct machine *m, const json_t *data)
{
    const char *reason = json_string_value(json_object_get(data, "reason"));
    bool ends = str_eq(reason, "host-qmp-quit") || str_eq(reason, "host-signal");

    if (ends) { /* the process ends next: its pidfd tells */
        log_debug("machine %s: QEMU ends (%s)", m->uuid, reason);
    } else if (set_state(m, MACHINE_OFF)) {
        emit(m, str_eq(reason, "guest-panic") ? MACHINE_EV_PANIC : MACHINE_EV_POWEROFF,
             false, reason ? reason : "");
    }
}

static const char *trouble_of(const json_t *data)
{
    return json_is_true(json_object_get(data, "nospace")) ? "no space for a disk"
                                                          : "a disk failed";
}

/* A device is gone, or the guest will not give it. */
static void on_unplug(struct machine *m, const json_t *data, bool gone)
{
    const char *device = json_string_value(json_object_get(data, "device"));
    bool awaited = false;

    if (!device) /* a part of a device, such as its port */
        return;
    mutex_lock(&machines_lock);
    list_for_each(it, &m->unplugs) {
        struct machine_unplug *u = list_entry(it, struct machine_unplug, link);

        if (str_eq(u->device, device)) {
            awaited = true;
            u->gone = u->gone || gone;
            u->refused = !gone;
        }
    }
    changed(m->uuid);
    mutex_unlock(&machines_lock);
    if (gone && !awaited)
        emit(m, MACHINE_EV_UNPLUGGED, false, device);
}

static void on_memory(const struct machine *m, const json_t *actual)
{
    struct machine_event ev = { .kind = MACHINE_EV_MEMORY,
                                .value = (uint64_t)json_integer_value(actual) };

    memcpy(ev.uuid, m->uuid, sizeof(ev.uuid));
    if (json_integer_value(actual) > 0)
        machine_reg_tell(&ev);
}

static void on_migration(struct machine *m, const char *status)
{
    static const struct {
        const char *status;
        enum machine_migration stage;
    } table[] = {
        { "pre-switchover", MACHINE_MIGRATION_WAITS },
        { "completed", MACHINE_MIGRATION_DONE },
        { "failed", MACHINE_MIGRATION_FAILED },
        { "cancelled", MACHINE_MIGRATION_FAILED },
    };

    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        if (str_eq(table[i].status, status)) {
            mutex_lock(&machines_lock);
            m->migration = table[i].stage;
            changed(m->uuid);
            mutex_unlock(&machines_lock);
        }
}

static void on_qmp(void *arg, const char *event, const json_t *data)
{
    struct machine *m = arg;
    const json_t *guest = json_object_get(data, "guest");

    if (!event)
        log_debug("machine %s: monitor closed", m->uuid);
    else if (str_eq(event, "SHUTDOWN"))
        on_shutdown(m, data);
    else if (str_eq(event, "GUEST_PANICKED")) {
        if (set_state(m, MACHINE_OFF))
            emit(m, MACHINE_EV_PANIC, false, "guest-panic");
    } else if (str_eq(event, "STOP")) {
        if (set_state(m, MACHINE_PAUSED))
            emit(m, MACHINE_EV_PAUSED, false, m->trouble);
        m->trouble = NULL;
    } else if (str_eq(event, "BLOCK_IO_ERROR")) { /* before the STOP that it may lead to */
        if (str_eq(json_string_value(json_object_get(data, "action")), "stop"))
            m->trouble = trouble_of(data);
    } else if (str_eq(event, "RESUME")) {
        if (set_state(m, MACHINE_RUNNING))
            emit(m, MACHINE_EV_RESUMED, false, NULL);
    } else if (str_eq(event, "RESET")) {
        if (json_is_true(guest))
            emit(m, MACHINE_EV_RESET, false,
                 json_string_value(json_object_get(data, "reason")));
    } else if (str_eq(event, "BALLOON_CHANGE")) {
        on_memory(m, json_object_get(data, "actual"));
    } else if (str_eq(event, "MIGRATION")) {
        on_migration(m, json_string_value(json_object_get(data, "status")));
    } else if (str_eq(event, "DEVICE_DELETED")) {
        on_unplug(m, data, true);
    } else if (str_eq(event, "DEVICE_UNPLUG_GUEST_ERROR")) {
        on_unplug(m, data, false);
    } else if (str_eq(event, "VSERPORT_CHANGE")) {
        if (str_eq(json_string_value(json_object_get(data, "id")), QEMU_AGENT_PORT))
            emit(m, MACHINE_EV_AGENT, json_is_true(json_object_get(data, "open")), NULL);
    }
}

/* Only of a child is it known. Given. */
static char *ending(const siginfo_t *how)
{
    if (how->si_pid == 0)
        return str_dup("");
    return str_fmt(how->si_code == CLD_EXITED ? " with status %d" : " by signal %d",
                   how->si_status);
}

static void on_end(void *arg, uint32_t events)
{
    struct machine *m = arg;
    siginfo_t how = { 0 };
    bool news;

    loop_del(host.loop, m->proc.pidfd);
    /* By the pidfd, so that an adopted one, which is not our child, is no mistake. */
    if (waitid(P_PIDFD, (id_t)m->proc.pidfd, &how, WEXITED | WNOHANG) < 0
        && errno != ECHILD)
        log_debug("machine %s: %m", m->uuid);
    mutex_lock(&machines_lock);
    m->alive = false;
    m->state = MACHINE_NONE;
    news = m->built && !m->ending;
    changed(m->uuid);
    mutex_unlock(&machines_lock);
    if (news) {
        AUTO(free_str) char *tail = machine_dir_log_tail(host.dir, m->uuid);
        AUTO(free_str) char *how_text = ending(&how);
        AUTO(free_str) char *detail = str_fmt("QEMU ended%s: %s", how_text, tail);

        emit(m, MACHINE_EV_DIED, false, detail);
    }
}

static void post_watch(void *arg)
{
    struct machine *m = arg;

    if (loop_add(host.loop, m->proc.pidfd, EPOLLIN, on_end, m) < 0)
        log_error("machine %s: cannot watch its process: %m", m->uuid);
}

static void post_forget(void *arg)
{
    struct machine *m = arg;

    loop_del(host.loop, m->proc.pidfd);
    proc_close(&m->proc);
    mutex_lock(&machines_lock);
    m->proc.pidfd = -1;
    unref(m);
    mutex_unlock(&machines_lock);
}

static void post_event_fd(void *arg)
{
    uint64_t one = 1;

    (void)!write(*(const int *)arg, &one, sizeof(one));
}

/* Return when the thread has done all that was posted so far. */
static void barrier(void)
{
    AUTO(close_fd) int event_fd = eventfd(0, EFD_CLOEXEC);
    uint64_t count;

    if (event_fd < 0)
        return;
    loop_post(host.loop, post_event_fd, &event_fd);
    while (read(event_fd, &count, sizeof(count)) < 0 && errno == EINTR) {
    }
}

static void trim_one(const char *uuid, void *arg)
{
    machine_dir_trim_log(host.dir, uuid);
}

static void trim_logs(void *arg)
{
    if (machine_dir_each(host.dir, trim_one, NULL, NULL) < 0)
        log_debug("%s: %m", host.dir);
    (void)loop_timer(host.loop, LOG_TRIM_US, trim_logs, NULL);
}

struct note {
    struct machine_event ev;
    char *detail;
};

static void post_note(void *arg)
{
    struct note *n = arg;

    if (host.fn)
        host.fn(&n->ev, host.arg);
    free(n->detail);
    free(n);
}

void machine_reg_set(const char *uuid, enum machine_state state, int kind,
                     const char *detail)
{
    struct machine *m;
    struct note *n = NULL;

    mutex_lock(&machines_lock);
    m = machine_reg_find(uuid);
    if (m) {
        m->state = state;
        m->alive = state != MACHINE_NONE;
        changed(uuid);
    }
    mutex_unlock(&machines_lock);
    if (!m || kind < 0)
        return;
    n = mem_alloc(sizeof(*n));
    n->detail = str_dup(detail);
    n->ev = (struct machine_event){ .kind = (enum machine_event_kind)kind,
                                    .detail = n->detail };
    memcpy(n->ev.uuid, uuid, sizeof(n->ev.uuid) - 1);
    loop_post(host.loop, post_note, n);
}

void machine_reg_tell(const struct machine_event *ev)
{
    if (host.fn)
        host.fn(ev, host.arg);
}

static int connect_to(const char *uuid, const char *name, const struct deadline *d,
                      struct err *err)
{
    AUTO(free_str) char *path = machine_dir_path(host.dir, uuid, name);
    int fd = io_connect_unix(path, d);

    return fd < 0 ? machine_reg_late(path, err) : fd;
}

/* The thread holds a reference from the first thing that it is given to watch until post_forget. */
static void thread_ref(struct machine *m) REQUIRES(machines_lock)
{
    if (!m->watched)
        m->refs++;
    m->watched = true;
}

int machine_reg_attach(struct machine *m, const struct deadline *d, struct err *err)
{
    AUTO(free_str) char *log = machine_dir_path(host.dir, m->uuid, "serial.log");
    int qmp = connect_to(m->uuid, "qmp.sock", d, err);
    int serial = qmp < 0 ? -1 : connect_to(m->uuid, "serial.sock", d, err);

    if (serial < 0) {
        close_fd(&qmp);
        return -1;
    }
    mutex_lock(&machines_lock);
    thread_ref(m);
    m->qmp = qmp_open(host.loop, qmp, on_qmp, m);
    m->serial = serial_open(host.loop, serial, log);
    mutex_unlock(&machines_lock);
    return 0;
}

void machine_reg_watch(struct machine *m, const struct proc *proc)
{
    mutex_lock(&machines_lock);
    thread_ref(m);
    m->proc = *proc;
    m->alive = true;
    mutex_unlock(&machines_lock);
    loop_post(host.loop, post_watch, m);
}

/* All but the wait. */
static void let_go(struct machine *m)
{
    struct qmp *qmp;
    struct serial *serial;
    bool watched;

    mutex_lock(&machines_lock);
    qmp = TAKE(m->qmp);
    serial = TAKE(m->serial);
    watched = m->watched;
    m->watched = false;
    mutex_unlock(&machines_lock);
    qmp_close(qmp);
    serial_close(serial);
    if (watched)
        loop_post(host.loop, post_forget, m);
}

void machine_reg_detach(struct machine *m)
{
    let_go(m);
    barrier();
}

static void *thread_main(void *arg)
{
    log_set_thread("machines");
    if (loop_run(host.loop) < 0)
        log_error("machine thread: %m");
    return NULL;
}

int machine_reg_init(const char *runtime_dir, machine_event_fn fn, void *arg,
                     struct err *err)
{
    AUTO(free_str) char *vm = str_fmt("%s/vm", runtime_dir);

    if (io_mkdirs(vm, 0700) < 0) {
        err_set(err, ERR_INTERNAL_ERROR, "The runtime directory cannot be written");
        return err_detail(err, "%s: %m", vm);
    }
    host.dir = str_dup(runtime_dir);
    host.fn = fn;
    host.arg = arg;
    host.loop = loop_new();
    if (!host.loop || thread_start(&host.thread, "machines", 0, thread_main, NULL) < 0) {
        err_set(err, ERR_INTERNAL_ERROR, "no thread for the virtual machines");
        err_detail(err, "%m");
        loop_free(TAKE(host.loop));
        free(TAKE(host.dir));
        return -1;
    }
    loop_post(host.loop, trim_logs, NULL);
    return 0;
}

void machine_reg_done(void)
{
    VEC(struct machine *) all = { 0 };

    if (!host.loop)
        return;
    mutex_lock(&machines_lock);
    list_for_each(it, &machines)
        vec_push(&all, list_entry(it, struct machine, link));
    mutex_unlock(&machines_lock);
    for (size_t i = 0; i < all.n; i++)
        let_go(all.v[i]);
    barrier();
    loop_stop(host.loop);
    (void)pthread_join(host.thread, NULL);
    for (size_t i = 0; i < all.n; i++)
        machine_reg_unclaim(all.v[i], true);
    vec_done(&all);
    loop_free(TAKE(host.loop));
    free(TAKE(host.dir));
}
