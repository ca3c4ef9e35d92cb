/* SPDX-License-Identifier: Apache-2.0 */
/* What machines do by themselves becomes true in the database: the guest powers off, panics, reboots, or QEMU dies.
 *
 * vm_watch_event runs on the machine thread and only queues. One worker takes the events in order; while another operation
 * holds the VM (a clean_shutdown that waits for this very power-off) its event is put aside and looked at again when the
 * database changes: by then the operation has usually made it obsolete. So the worker has one wait, the database's,
 * and no polling. The queue is guarded by db_mutex. */
#include <string.h>

#include "api/errors.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/ops_lock.h"
#include "ops/guest.h"
#include "ops/host_ctx.h"
#include "ops/ops.h"
#include "ops/vm.h"

struct watch_item {
    struct list link;
    struct machine_event ev;
    char *detail;
};

static struct list queue GUARDED_BY(db_mutex) = LIST_INIT(queue);
static struct list aside GUARDED_BY(db_mutex) = LIST_INIT(aside);
static bool stopping GUARDED_BY(db_mutex);
static bool news
    GUARDED_BY(db_mutex); /* the queue is not empty, or stopping: ends the worker's wait */
static pthread_t worker;
static bool worker_runs;

void vm_watch_event(const struct machine_event *ev, void *arg)
{
    (void)arg;
    if (ev->kind == MACHINE_EV_AGENT) {
        guest_port(ev->uuid, ev->flag);
        return;
    }
    struct watch_item *item = mem_alloc(sizeof(*item));
    item->ev = *ev;
    item->detail = str_dup(ev->detail);
    item->ev.detail = item->detail;
    db_lock();
    list_add_tail(&queue, &item->link);
    news = true;
    db_wake();
    db_unlock();
}

static void item_free(struct watch_item *item)
{
    free_str(&item->detail);
    free_ptr(&item);
}

/* What to do about an event, decided from the record at one moment. */
enum decision {
    NOTHING,
    HALT,
    RESTART,
    MARK_PAUSED,
    MARK_RUNNING,
    NOTE_REBOOT,
    NOTE_MEMORY,
    UNPLUGGED
};

static enum decision decide(const struct machine_event *ev, const struct vm_rec *vm)
{
    switch (ev->kind) {
    case MACHINE_EV_POWEROFF:
        return vm->actions_after_shutdown == ON_NORMAL_EXIT_RESTART ? RESTART : HALT;
    case MACHINE_EV_RESET:
        return vm->actions_after_reboot == ON_NORMAL_EXIT_DESTROY ? HALT : NOTE_REBOOT;
    case MACHINE_EV_PANIC:
        switch (vm->actions_after_crash) {
        case ON_CRASH_BEHAVIOUR_PRESERVE: return MARK_PAUSED;
        case ON_CRASH_BEHAVIOUR_DESTROY:
        case ON_CRASH_BEHAVIOUR_COREDUMP_AND_DESTROY: return HALT;
        default: return RESTART;
        }
    case MACHINE_EV_DIED: return HALT;
    case MACHINE_EV_PAUSED: return MARK_PAUSED;
    case MACHINE_EV_RESUMED: return MARK_RUNNING;
    case MACHINE_EV_AGENT: return NOTHING;
    case MACHINE_EV_MEMORY: return NOTE_MEMORY;
    case MACHINE_EV_UNPLUGGED: return UNPLUGGED;
    }
    return NOTHING;
}

/* The event may be history by the time the VM is ours: look at the machine, not at the event. */
static bool still_true(const struct machine_event *ev)
{
    enum machine_state now = host_ctx.machine->state(ev->uuid);
    switch (ev->kind) {
    case MACHINE_EV_POWEROFF:
    case MACHINE_EV_PANIC: return now == MACHINE_OFF;
    case MACHINE_EV_DIED: return now == MACHINE_NONE;
    case MACHINE_EV_PAUSED: return now == MACHINE_PAUSED;
    case MACHINE_EV_RESUMED: return now == MACHINE_RUNNING;
    default: return true;
    }
}

/* Records only. held: we hold the VM's operation entry; without it an operation that began meanwhile knows better. */
static int mark(const struct ref *vm, const char *why, int state, bool rebooted, bool held,
                enum message_vm say, struct err *err)
{
    struct tx *tx = daemon_tx(why);
    const struct vm_rec *rec = db_get(CLASS_VM, vm);
    if (!rec || rec->power_state == VM_POWER_STATE_HALTED
        || rec->power_state == VM_POWER_STATE_SUSPENDED
        || (!held && rec->current_operations.n > 0))
        return tx_commit(tx, err);
    message_add_vm(tx, say, vm);
    if (rebooted && !ref_is_null(&rec->metrics))
        tx_set_int(tx, &rec->metrics, CLASS_VM_METRICS, F_VM_METRICS_START_TIME,
                   clock_wall_us());
    else if (!rebooted)
        vm_records_live(tx, vm, state);
    return tx_commit(tx, err);
}

static int note_memory(const struct ref *vm, uint64_t bytes, struct err *err)
{
    struct tx *tx = daemon_tx("balloon");
    const struct vm_rec *rec = db_get(CLASS_VM, vm);
    if (rec && db_get(CLASS_VM_METRICS, &rec->metrics)
        && (rec->power_state == VM_POWER_STATE_RUNNING
            || rec->power_state == VM_POWER_STATE_PAUSED))
        tx_set_int(tx, &rec->metrics, CLASS_VM_METRICS, F_VM_METRICS_MEMORY_ACTUAL,
                   (int64_t)bytes);
    return tx_commit(tx, err);
}

static int restart(const char *uuid, const struct ref *vm, enum message_vm say,
                   const struct deadline *d, struct err *err)
{
    if (host_ctx.machine->reset(uuid, d, err) || host_ctx.machine->go(uuid, d, err))
        return -1;
    return mark(vm, "guest restart", VM_POWER_STATE_RUNNING, false, true, say, err);
}

static int act(const struct machine_event *ev, const struct ref *vm, enum decision what,
               struct err *err)
{
    struct deadline d = deadline_in(30 * US_PER_SEC);
    bool crash = ev->kind == MACHINE_EV_PANIC || ev->kind == MACHINE_EV_DIED;
    switch (what) {
    case NOTHING: return 0;
    case HALT:
        return vm_teardown(vm, "the guest's machine ended",
                           crash ? MESSAGE_VM_CRASHED : MESSAGE_VM_SHUTDOWN, &d, err);
    case RESTART:
        return restart(ev->uuid, vm, crash ? MESSAGE_VM_CRASHED : MESSAGE_VM_REBOOTED, &d,
                       err);
    case MARK_PAUSED:
        return mark(vm, "the machine paused", VM_POWER_STATE_PAUSED, false, false,
                    crash ? MESSAGE_VM_CRASHED : MESSAGE_VM_NONE, err);
    case MARK_RUNNING:
        return mark(vm, "the machine resumed", VM_POWER_STATE_RUNNING, false, false,
                    MESSAGE_VM_NONE, err);
    case UNPLUGGED: hotplug_gone(ev->detail); return 0;
    case NOTE_MEMORY: return note_memory(vm, ev->value, err);
    case NOTE_REBOOT:
        return mark(vm, "the guest rebooted", 0, true, false, MESSAGE_VM_REBOOTED, err);
    }
    return 0;
}

/* False: the VM is busy, or there is no space to say what happened; put the event aside. */
static bool handle(const struct machine_event *ev)
{
    struct ref vm, key = ref_new();
    AUTO(err_done) struct err err = { 0 };
    db_lock();
    bool found = db_find_uuid(CLASS_VM, ev->uuid, &vm);
    const struct vm_rec *rec = found ? db_get(CLASS_VM, &vm) : NULL;
    bool busy = rec && rec->current_operations.n > 0;
    bool halted = !rec || rec->power_state == VM_POWER_STATE_HALTED;
    enum decision what = rec ? decide(ev, rec) : NOTHING;
    db_unlock();
    if (busy && what != NOTE_MEMORY) /* for which some operation may wait */
        return false;
    if (halted || what == NOTHING || !still_true(ev))
        return true;
    /* It has happened: blocked_operations, which clients set against accidents, changes nothing about it. What only the
     * records follow takes no entry, so that nobody's call is refused for it. */
    bool held = what == HALT || what == RESTART;
    if (held && op_begin_forced(CLASS_VM, &vm, "hard_reboot", &key, &err))
        return false;
    if (what != NOTE_MEMORY) /* one a second */
        log_info("VM %s: machine event %d%s%s", ev->uuid, (int)ev->kind,
                 ev->detail ? ": " : "", ev->detail ? ev->detail : "");
    bool done = act(ev, &vm, what, &err) == 0;
    if (!done) {
        AUTO(free_str) char *text = err_text(&err);
        log_error("VM %s: following its machine: %s", ev->uuid, text);
    }
    if (held)
        op_end(CLASS_VM, &vm, &key);
    /* With a full disk the records cannot follow now; they do when something else could be written. */
    return done || !str_eq(err.code, ERR_OUT_OF_SPACE);
}

/* Take the next item; waits for one, or for the database to change when some are aside. NULL: stop. */
static struct watch_item *next_item(uint64_t *seen) REQUIRES(db_mutex)
{
    for (;;) {
        if (stopping)
            return NULL;
        if (list_empty(&queue) && !list_empty(&aside) && db_durable() > *seen) {
            while (!list_empty(&aside)) {
                struct list *l = aside.next;
                list_remove(l);
                list_add_tail(&queue, l);
            }
            *seen = db_durable();
        }
        if (!list_empty(&queue)) {
            struct list *l = queue.next;
            list_remove(l);
            return list_entry(l, struct watch_item, link);
        }
        news = false;
        struct deadline never = deadline_never();
        IGNORE(db_wait_newer(list_empty(&aside) ? UINT64_MAX : *seen, &never,
                             &news)); /* why it woke is looked at above */
    }
}

static void *watch_main(void *arg)
{
    (void)arg;
    uint64_t seen = 0;
    db_lock();
    for (struct watch_item *item; (item = next_item(&seen));) {
        uint64_t before = db_durable();
        db_unlock();
        bool done = handle(&item->ev);
        db_lock();
        if (done) {
            item_free(item);
        } else {
            list_add_tail(&aside, &item->link);
            seen = MIN(seen ? seen : before, before);
        }
    }
    db_unlock();
    return NULL;
}

int vm_watch_init(struct err *err)
{
    if (thread_start(&worker, "vm-watch", 256, watch_main, NULL)) {
        (void)err_set(err, ERR_INTERNAL_ERROR, "vm-watch");
        return err_detail(err, "starting a thread: %m");
    }
    worker_runs = true;
    return 0;
}

void vm_watch_done(void)
{
    if (!worker_runs)
        return;
    db_lock();
    stopping = news = true;
    db_wake();
    db_unlock();
    (void)pthread_join(worker, NULL);
    worker_runs = false;
    db_lock();
    stopping = false;
    while (!list_empty(&queue) || !list_empty(&aside)) {
        struct list *l = list_empty(&queue) ? aside.next : queue.next;
        list_remove(l);
        item_free(list_entry(l, struct watch_item, link));
    }
    db_unlock();
}
