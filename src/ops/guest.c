/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the agents of guests and keeps VM_guest_metrics. One thread walks over all guests whose agent may be there: soon after
 * its port was opened, then less and less often, down to every half minute; one that does not answer costs this
 * thread two seconds and is asked less often still. Events only mark when a guest is to be asked next.
 * guest_lock guards the list; inside it no other lock is taken. */
#include "ops/guest.h"

#include <string.h>
#include <strings.h>

#include "api/errors.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/vec.h"
#include "ops/call.h"
#include "ops/host_ctx.h"
#include "ops/quiesce.h"
#include "ops/vm.h"

#define FIRST_US  (US_PER_SEC / 2)
#define OFTEN_US  (30 * US_PER_SEC)
#define SELDOM_US (600 * US_PER_SEC)
#define ANSWER_US (2 * US_PER_SEC)

struct guest {
    struct list link;
    char uuid[UUID_TEXT_SIZE];
    int64_t due_us, interval_us;
    bool known; /* has answered */
    bool slept; /* its clock stood still */
    bool closed;
};

static struct mutex guest_lock = MUTEX_INIT;
static struct cond news; /* waits with guest_lock */
static struct list guests GUARDED_BY(guest_lock) = LIST_INIT(guests);
static bool stopping GUARDED_BY(guest_lock);
static bool listening GUARDED_BY(guest_lock); /* news is there to be signalled */
static pthread_t worker;
static bool worker_runs;

static struct guest *find(const char *uuid) REQUIRES(guest_lock)
{
    list_for_each(it, &guests) {
        struct guest *g = list_entry(it, struct guest, link);
        if (str_eq(g->uuid, uuid))
            return g;
    }
    return NULL;
}

void guest_port(const char *uuid, bool open)
{
    mutex_lock(&guest_lock);
    struct guest *g = find(uuid);
    if (!g && open) {
        g = mem_alloc(sizeof(*g));
        memcpy(g->uuid, uuid, MIN(strlen(uuid), sizeof(g->uuid) - 1));
        list_add_tail(&guests, &g->link);
    }
    /* A guest that opens and closes its port all the time is not asked more often for it. */
    int64_t soon = clock_now_us()
                   + (g && g->interval_us > 0 ? MIN(g->interval_us, OFTEN_US) : FIRST_US);
    if (g) {
        g->due_us = g->due_us ? MIN(g->due_us, soon) : soon;
        g->interval_us = MAX(g->interval_us, FIRST_US);
        g->closed = !open;
        if (listening)
            cond_signal(&news);
    }
    mutex_unlock(&guest_lock);
}

void guest_resumed(const char *uuid)
{
    guest_port(uuid, true);
    mutex_lock(&guest_lock);
    struct guest *g = find(uuid);
    if (g)
        g->slept = true;
    mutex_unlock(&guest_lock);
}

void guest_look(const char *uuid)
{
    guest_port(uuid, true);
}

/* ---- asking -------------------------------------------------------------------------------------------- */

static char *ask(const char *uuid, const char *command, const struct deadline *d)
{
    AUTO(err_done) struct err err = { 0 };
    AUTO(free_str) char *text = str_fmt("{\"execute\":\"%s\"}", command);
    char *reply = NULL;
    return host_ctx.machine->agent(uuid, text, &reply, d, &err) ? NULL : reply;
}

static int vif_of(const char *mac, void *arg) REQUIRES(db_mutex)
{
    const struct vm_rec *vm = arg;
    unsigned number;
    for (size_t i = 0; i < vm->VIFs.n; i++) {
        const struct vif_rec *vif = db_get(CLASS_VIF, &vm->VIFs.v[i]);
        if (vif && strcasecmp(vif->MAC, mac) == 0
            && vm_device_position(vif->device, &number))
            return (int)number;
    }
    return -1;
}

/* Fields that a look gives, in the record and in the metrics alike. */
static const unsigned reported[] = {
    F_VM_GUEST_METRICS_OS_VERSION,
    F_VM_GUEST_METRICS_PV_DRIVERS_VERSION,
    F_VM_GUEST_METRICS_PV_DRIVERS_UP_TO_DATE,
    F_VM_GUEST_METRICS_NETWORKS,
    F_VM_GUEST_METRICS_MEMORY,
    F_VM_GUEST_METRICS_DISKS,
    F_VM_GUEST_METRICS_OTHER,
    F_VM_GUEST_METRICS_LIVE,
    F_VM_GUEST_METRICS_CAN_USE_HOTPLUG_VBD,
    F_VM_GUEST_METRICS_CAN_USE_HOTPLUG_VIF,
    F_VM_GUEST_METRICS_PV_DRIVERS_DETECTED,
};

/* rec: taken. Only what has changed is written. */
static void keep(struct tx *tx, const struct ref *vm_ref, const struct vm_rec *vm,
                 struct vm_guest_metrics_rec *rec) REQUIRES(db_mutex)
{
    const struct class_def *cls = &schema_classes[CLASS_VM_GUEST_METRICS];
    const struct vm_guest_metrics_rec *old = db_get(CLASS_VM_GUEST_METRICS,
                                                    &vm->guest_metrics);
    struct ref ref = vm->guest_metrics;
    rec->last_updated = clock_wall_us();
    if (!old) {
        ref = tx_create(tx, CLASS_VM_GUEST_METRICS, rec, NULL);
        tx_set_ref(tx, vm_ref, CLASS_VM, F_VM_GUEST_METRICS, &ref);
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(reported); i++) {
        const struct field_def *f = &cls->fields[reported[i]];
        if (!value_eq(f->ty, record_field(f, old), record_field(f, rec)))
            tx_set(tx, &ref, CLASS_VM_GUEST_METRICS, reported[i], record_field(f, rec));
    }
    tx_set_int(tx, &ref, CLASS_VM_GUEST_METRICS, F_VM_GUEST_METRICS_LAST_UPDATED,
               rec->last_updated);
    record_free(cls, rec);
}

/* a NULL: its port is closed, nothing lives there. False: the VM does not run. */
static bool record(const char *uuid, const struct guest_answers *a)
{
    AUTO(err_done) struct err err = { 0 };
    struct tx *tx = daemon_tx("guest agent");
    struct ref ref;
    const struct vm_rec *vm = db_find_uuid(CLASS_VM, uuid, &ref) ? db_get(CLASS_VM, &ref)
                                                                 : NULL;
    bool live = vm && vm->power_state == VM_POWER_STATE_RUNNING;
    if (live && a) {
        struct vm_guest_metrics_rec *rec = record_new(
            &schema_classes[CLASS_VM_GUEST_METRICS]);
        guest_report(a, vif_of, (void *)vm, rec);
        keep(tx, &ref, vm, rec);
    } else if (live && db_get(CLASS_VM_GUEST_METRICS, &vm->guest_metrics)) {
        struct ref gm = vm->guest_metrics;
        tx_set_bool(tx, &gm, CLASS_VM_GUEST_METRICS, F_VM_GUEST_METRICS_LIVE, false);
    }
    if (tx_commit(tx, &err))
        log_debug("guest metrics of %s: %s", uuid, err.code);
    return live;
}

/* Of a guest whose clock stood still while it slept. */
static bool set_clock(const char *uuid, const struct deadline *d)
{
    AUTO(err_done) struct err err = { 0 };
    AUTO(free_str)
    char *text = str_fmt("{\"execute\":\"guest-set-time\",\"arguments\":{\"time\":%lld}}",
                         (long long)clock_wall_us() * 1000);
    char *reply = NULL;
    int rc = host_ctx.machine->agent(uuid, text, &reply, d, &err);
    free_str(&reply);
    return rc == 0;
}

/* False: it did not answer. */
static bool look(const char *uuid)
{
    struct deadline d = deadline_in(ANSWER_US);
    AUTO(free_str) char *info = ask(uuid, "guest-info", &d);
    if (!info)
        return false;
    AUTO(free_str) char *os = ask(uuid, "guest-get-osinfo", &d);
    AUTO(free_str) char *host = ask(uuid, "guest-get-host-name", &d);
    AUTO(free_str) char *nets = ask(uuid, "guest-network-get-interfaces", &d);
    AUTO(free_str) char *disks = ask(uuid, "guest-get-fsinfo", &d);
    struct guest_answers a = { .info = info,
                               .osinfo = os,
                               .hostname = host,
                               .interfaces = nets,
                               .filesystems = disks };
    if (host_ctx.machine->guest_memory)
        host_ctx.machine->guest_memory(uuid, &a.memory_total, &a.memory_free, &d);
    return record(uuid, &a);
}

/* ---- the walk ------------------------------------------------------------------------------------------ */

static struct guest *next_due(void) REQUIRES(guest_lock)
{
    struct guest *best = NULL;
    list_for_each(it, &guests) {
        struct guest *g = list_entry(it, struct guest, link);
        if (!best || g->due_us < best->due_us)
            best = g;
    }
    return best;
}

/* The guest was asked; say when it is next. */
static void settle(const char *uuid, bool answered, bool gone, bool set)
{
    mutex_lock(&guest_lock);
    struct guest *g = find(uuid);
    if (g && (gone || g->closed)) {
        list_remove(&g->link);
        free_ptr(&g);
    } else if (g) {
        int64_t most = answered || g->known ? OFTEN_US : SELDOM_US;
        g->known = answered;
        g->slept = g->slept && !set;
        g->interval_us = MIN(g->interval_us * 2, most);
        g->due_us = clock_now_us() + g->interval_us;
    }
    mutex_unlock(&guest_lock);
}

static void visit(const char *uuid, bool closed, bool slept)
{
    struct deadline d = deadline_in(ANSWER_US);
    bool gone = host_ctx.machine->state(uuid) == MACHINE_NONE;
    bool moves = !gone && !closed && quiesce_settle(uuid);
    bool set = moves && slept && set_clock(uuid, &d);
    bool answered = moves && look(uuid);
    if (closed && !gone)
        (void)record(uuid, NULL);
    settle(uuid, answered, gone, set);
}

static void *guest_main(void *arg)
{
    (void)arg;
    log_set_thread("guests");
    mutex_lock(&guest_lock);
    while (!stopping) {
        struct guest *g = next_due();
        if (!g) {
            cond_wait(&news, &guest_lock);
        } else if (g->due_us > clock_now_us()) {
            (void)cond_wait_until(&news, &guest_lock, g->due_us);
        } else {
            char uuid[UUID_TEXT_SIZE];
            bool closed = g->closed, slept = g->slept;
            memcpy(uuid, g->uuid, sizeof(uuid));
            mutex_unlock(&guest_lock);
            visit(uuid, closed, slept);
            mutex_lock(&guest_lock);
        }
    }
    mutex_unlock(&guest_lock);
    return NULL;
}

/* Machines that run from before: their agents said when they opened, to a daemon that is gone. */
static void look_at_all(void)
{
    VEC(char *) silent = { 0 };
    db_lock();
    for (struct db_iter it = db_first(CLASS_VM); it.rec; db_next(&it)) {
        const struct vm_rec *vm = it.rec;
        if (vm->power_state != VM_POWER_STATE_RUNNING)
            continue;
        if (!ref_is_null(&vm->guest_metrics))
            guest_look(vm->uuid);
        else
            vec_push(&silent, str_dup(vm->uuid));
    }
    db_unlock();
    for (size_t i = 0; i < silent.n; i++) {
        if (quiesce_marked(silent.v[i]))
            guest_look(silent.v[i]);
        free(silent.v[i]);
    }
    vec_done(&silent);
}

int guest_init(struct err *err)
{
    cond_init(&news);
    look_at_all();
    mutex_lock(&guest_lock);
    listening = true;
    mutex_unlock(&guest_lock);
    if (thread_start(&worker, "guests", 256, guest_main, NULL)) {
        (void)err_set(err, ERR_INTERNAL_ERROR, "guests");
        return err_detail(err, "starting a thread: %m");
    }
    worker_runs = true;
    return 0;
}

void guest_done(void)
{
    if (!worker_runs)
        return;
    mutex_lock(&guest_lock);
    stopping = true;
    cond_signal(&news);
    mutex_unlock(&guest_lock);
    (void)pthread_join(worker, NULL);
    worker_runs = false;
    mutex_lock(&guest_lock);
    stopping = listening = false;
    list_for_each_safe(it, &guests) {
        struct guest *g = list_entry(it, struct guest, link);
        list_remove(&g->link);
        free_ptr(&g);
    }
    mutex_unlock(&guest_lock);
    cond_done(&news);
}
