/* SPDX-License-Identifier: Apache-2.0 */
/* What must be true before the API answers: the pool and this host exist and say what the machine is, storage is
 * attached, interrupted volume work is settled, tasks of a dead daemon have failed, and each VM's record says what its
 * machine does. Runs on the main thread, before the first connection. */
#include "ops/boot.h"

#include <string.h>

#include "api/errors.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/vec.h"
#include "host/disks.h"
#include "model/ops_lock.h"
#include "model/rbac.h"
#include "model/token.h"
#include "ops/blob.h"
#include "ops/certificate.h"
#include "ops/external_auth.h"
#include "ops/gc.h"
#include "ops/guest.h"
#include "ops/host_config.h"
#include "ops/host_ctx.h"
#include "ops/licence.h"
#include "ops/nat.h"
#include "ops/network.h"
#include "ops/ops.h"
#include "ops/pif.h"
#include "ops/recycle.h"
#include "ops/storage.h"
#include "ops/vbd_io.h"
#include "ops/vm.h"
#include "ops/vm_memory.h"
#include "ops/vmss_run.h"

#define SETTLE_US (4 * US_PER_SEC) /* for all machines to say which devices they have */

static struct ref boot_pool(struct tx *tx, bool *first) REQUIRES(db_mutex)
{
    struct db_iter it = db_first(CLASS_POOL);
    *first = !it.rec;
    if (it.rec)
        return it.ref;
    struct pool_rec *pool = record_new(&schema_classes[CLASS_POOL]);
    return tx_create(tx, CLASS_POOL, pool, NULL);
}

static void boot_network(struct tx *tx) REQUIRES(db_mutex)
{
    struct network_rec *n = record_new(&schema_classes[CLASS_NETWORK]);
    str_put(&n->name_label, "Default network");
    str_put(&n->name_description, "Guests reach the outside through this host (NAT); they "
                                  "are not reachable from there");
    str_put(&n->bridge, NETWORK_FIRST_BRIDGE);
    (void)tx_create(tx, CLASS_NETWORK, n, NULL);
}

/* A repository of the first start: its folder, then its records. */
struct first_sr {
    const char *name, *description;
    const struct sr_ops *ops;
    char uuid[UUID_TEXT_SIZE];
    char *path;
};

static int prepare_sr(struct first_sr *f, struct err *err)
{
    struct sr_config config = { .path = f->path };
    memcpy(config.uuid, f->uuid, sizeof(config.uuid));
    if (io_mkdirs(f->path, 0700)) {
        (void)err_set(err, ERR_SR_BACKEND_FAILURE, "", "", f->path);
        return err_detail(err, "making %s: %m", f->path);
    }
    return f->ops->attach(&config, err);
}

static struct ref record_sr(struct tx *tx, const struct first_sr *f) REQUIRES(db_mutex)
{
    struct sr_rec *sr = record_new(&schema_classes[CLASS_SR]);
    str_put(&sr->uuid, f->uuid);
    str_put(&sr->name_label, f->name);
    str_put(&sr->name_description, f->description);
    str_put(&sr->type, f->ops->type);
    str_put(&sr->content_type, f->ops->content_type);
    struct pbd_rec *pbd = record_new(&schema_classes[CLASS_PBD]);
    const char *key = "location", *path = f->path;
    (void)map_put(schema_classes[CLASS_PBD].fields[F_PBD_DEVICE_CONFIG].ty,
                  &pbd->device_config, &key, &path);
    pbd->currently_attached = true;
    pbd->host = db_host_ref();
    struct ref ref = tx_create(tx, CLASS_SR, sr, NULL);
    pbd->SR = ref;
    (void)tx_create(tx, CLASS_PBD, pbd, NULL);
    op_refresh(tx, CLASS_SR, &ref);
    return ref;
}

/* One SM record per driver. */
static void boot_drivers(struct tx *tx) REQUIRES(db_mutex)
{
    size_t n;
    const struct sr_ops *const *all = sr_all(&n);
    for (size_t i = 0; i < n; i++) {
        bool known = false;
        for (struct db_iter it = db_first(CLASS_SM); it.rec && !known; db_next(&it))
            known = str_eq(((const struct sm_rec *)it.rec)->type, all[i]->type);
        if (known)
            continue;
        struct sm_rec *sm = record_new(&schema_classes[CLASS_SM]);
        str_put(&sm->name_label, all[i]->name);
        str_put(&sm->name_description, all[i]->description);
        str_put(&sm->type, all[i]->type);
        str_put(&sm->vendor, "Serai");
        str_put(&sm->copyright, "the Serai authors");
        str_put(&sm->version, SERAI_VERSION);
        str_put(&sm->required_api_version, "2.0");
        for (size_t k = 0; all[i]->capabilities && all[i]->capabilities[k]; k++) {
            const char *cap = all[i]->capabilities[k];
            int64_t one = 1;
            (void)set_add(schema_classes[CLASS_SM].fields[F_SM_CAPABILITIES].ty,
                          &sm->capabilities, &cap);
            (void)map_put(schema_classes[CLASS_SM].fields[F_SM_FEATURES].ty, &sm->features,
                          &cap, &one);
        }
        (void)tx_create(tx, CLASS_SM, sm, NULL);
    }
}

/* Attach again what was attached; one that fails is shown as unplugged, the host starts all the same. */
static int replug(struct err *err)
{
    for (size_t i = 0;; i++) {
        AUTO(sr_handle_done) struct sr_handle h = { 0 };
        AUTO(err_done) struct err why = { 0 };
        size_t k = 0;
        db_lock();
        struct db_iter it = db_first(CLASS_PBD);
        for (; it.rec && k < i; k++)
            db_next(&it);
        bool plugged = it.rec && ((const struct pbd_rec *)it.rec)->currently_attached;
        struct ref sr = it.rec ? ((const struct pbd_rec *)it.rec)->SR : REF_NULL;
        bool end = !it.rec;
        struct ref pbd = it.ref;
        db_unlock();
        if (end)
            return 0;
        if (!plugged
            || (storage_sr_unplugged(&sr, &h, &why) == 0
                && h.ops->attach(&h.config, &why) == 0))
            continue;
        AUTO(free_str) char *text = err_text(&why);
        log_error("storage repository %s cannot be attached: %s", h.config.uuid, text);
        struct tx *tx = daemon_tx("start-up");
        if (db_get(CLASS_PBD, &pbd))
            tx_set_bool(tx, &pbd, CLASS_PBD, F_PBD_CURRENTLY_ATTACHED, false);
        if (tx_commit(tx, err))
            return -1;
    }
}

/* Both repositories in one change set: a first start that was interrupted before it begins again with them. */
static int first_storage(struct err *err)
{
    struct first_sr local = { .name = "Local storage",
                              .description = "Disks as files of this host",
                              .ops = sr_by_type("ext") };
    struct first_sr iso = {
        .name = "ISO library",
        .description = "CD images: put files ending in .iso into its folder and scan it",
        .ops = &sr_iso
    };
    struct uuid u = uuid_new();
    uuid_text(&u, local.uuid);
    u = uuid_new();
    uuid_text(&u, iso.uuid);
    local.path = str_fmt("%s/sr/%s", host_ctx.state_dir, local.uuid);
    iso.path = str_fmt("%s/iso", host_ctx.state_dir);
    int rc = -1;
    if (prepare_sr(&local, err) == 0 && prepare_sr(&iso, err) == 0) {
        struct tx *tx = daemon_tx("first start");
        struct ref pool = db_pool_ref(), ref = record_sr(tx, &local);
        (void)record_sr(tx, &iso);
        tx_set_ref(tx, &pool, CLASS_POOL, F_POOL_DEFAULT_SR, &ref);
        tx_set_ref(tx, &pool, CLASS_POOL, F_POOL_SUSPEND_IMAGE_SR, &ref);
        tx_set_ref(tx, &pool, CLASS_POOL, F_POOL_CRASH_DUMP_SR, &ref);
        rc = tx_commit(tx, err);
    }
    free_str(&local.path);
    free_str(&iso.path);
    return rc;
}

static int boot_storage(struct err *err)
{
    db_lock();
    struct ref pool_ref = db_pool_ref();
    const struct pool_rec *pool = db_get(CLASS_POOL, &pool_ref);
    bool none = !db_first(CLASS_SR).rec && (!pool || ref_is_null(&pool->default_SR));
    db_unlock();
    return none ? first_storage(err) : replug(err);
}

/* ---- machines that run from before --------------------------------------------------------------------- */

static const struct machine_found *find_machine(const struct machine_found *v, size_t n,
                                                const char *uuid)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(v[i].uuid, uuid) == 0)
            return &v[i];
    return NULL;
}

/* A machine that no VM wants, whose guest is off, or that was built but never let run, ends; the others go on. */
static int settle_machine(struct machine_found *m, struct err *err)
{
    struct ref vm;
    struct deadline d = deadline_in(10 * US_PER_SEC);
    db_lock();
    bool known = db_find_uuid(CLASS_VM, m->uuid, &vm);
    const struct vm_rec *rec = known ? db_get(CLASS_VM, &vm) : NULL;
    bool halted = !rec || rec->power_state == VM_POWER_STATE_HALTED
                  || rec->power_state == VM_POWER_STATE_SUSPENDED;
    bool running = rec && rec->power_state == VM_POWER_STATE_RUNNING;
    db_unlock();
    if (m->state == MACHINE_PAUSED && running && !m->trouble) {
        /* It was being saved, or paused, or resumed, and nothing says that it was done. */
        AUTO(err_done) struct err why = { 0 };
        if (host_ctx.machine->save_undo(m->uuid, &d, &why) == 0)
            m->state = MACHINE_RUNNING;
        log_info("machine %s (pid %d) stood still%s", m->uuid, m->pid,
                 m->state == MACHINE_RUNNING ? " and goes on" : "");
    }
    if (m->state == MACHINE_RUNNING ? known : m->state == MACHINE_PAUSED && !halted)
        return 0;
    log_info("machine %s (pid %d): %s; ending it", m->uuid, m->pid,
             known ? "its guest does not run" : "no VM of this name");
    return host_ctx.machine->destroy(m->uuid, &d, err);
}

static void settle_record(struct tx *tx, const struct ref *ref, const struct vm_rec *vm,
                          const struct machine_found *m) REQUIRES(db_mutex)
{
    bool said_live = vm->power_state == VM_POWER_STATE_RUNNING
                     || vm->power_state == VM_POWER_STATE_PAUSED;
    if (m && (m->state == MACHINE_RUNNING || (m->state == MACHINE_PAUSED && said_live))) {
        log_info("VM %s runs on (pid %d)", vm->uuid, m->pid);
        vm_records_live(tx, ref,
                        m->state == MACHINE_RUNNING ? VM_POWER_STATE_RUNNING
                                                    : VM_POWER_STATE_PAUSED);
    } else if (said_live) {
        log_warn("VM %s has no machine any more: it is halted", vm->uuid);
        vm_records_halted(tx, ref);
    }
}

int boot_adopt(struct err *err)
{
    struct machine_found *found = NULL;
    size_t n = 0;
    if (host_ctx.machine->adopt(&found, &n, err))
        return -1;
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = settle_machine(&found[i], err);
    if (rc == 0) {
        struct tx *tx = daemon_tx("start-up");
        VEC(struct ref) vms = { 0 };
        for (struct db_iter it = db_first(CLASS_VM); it.rec; db_next(&it))
            vec_push(&vms, it.ref);
        for (size_t i = 0; i < vms.n; i++) {
            const struct vm_rec *vm = db_get(CLASS_VM, &vms.v[i]);
            settle_record(tx, &vms.v[i], vm, find_machine(found, n, vm->uuid));
        }
        vec_done(&vms);
        rc = tx_commit(tx, err);
    }
    struct deadline by = deadline_in(SETTLE_US);
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct ref vm;
        db_lock();
        bool known = db_find_uuid(CLASS_VM, found[i].uuid, &vm);
        db_unlock();
        if (known && host_ctx.machine->state(found[i].uuid) != MACHINE_NONE)
            hotplug_settle(&vm, &by);
    }
    free_ptr(&found);
    if (rc == 0)
        vm_memory_settle();
    return rc;
}

/* allowed_operations are volatile: compute them all. */
static int refresh_all(struct err *err)
{
    static const enum class_id classes[] = {
        CLASS_VM, CLASS_VBD,  CLASS_VIF,     CLASS_VDI,
        CLASS_SR, CLASS_HOST, CLASS_NETWORK, CLASS_POOL
    };
    struct tx *tx = daemon_tx("start-up");
    for (size_t c = 0; c < ARRAY_SIZE(classes); c++) {
        VEC(struct ref) refs = { 0 };
        for (struct db_iter it = db_first(classes[c]); it.rec; db_next(&it))
            vec_push(&refs, it.ref);
        for (size_t i = 0; i < refs.n; i++)
            op_refresh(tx, classes[c], &refs.v[i]);
        vec_done(&refs);
    }
    return tx_commit(tx, err);
}

static bool machine_lives(const char *vm_uuid)
{
    return host_ctx.machine->state(vm_uuid) != MACHINE_NONE;
}

int boot_restored(struct err *err)
{
    bool first;
    struct tx *tx = daemon_tx("restored");
    struct ref pool = boot_pool(tx, &first);
    boot_host(tx);
    struct ref host = db_first(CLASS_HOST).ref;
    tx_set_ref(tx, &pool, CLASS_POOL, F_POOL_MASTER, &host);
    boot_licence(tx, &pool, &host);
    boot_drivers(tx);
    boot_templates(tx);
    if (tx_commit(tx, err))
        return -1;
    db_set_local_host(&host);
    return rbac_init(err) || blob_settle(err) || boot_storage(err) || refresh_all(err) ? -1
                                                                                       : 0;
}

int ops_boot(struct err *err)
{
    bool first;
    ops_allowed_init();
    struct tx *tx = daemon_tx("start-up");
    struct ref pool = boot_pool(tx, &first);
    boot_host(tx);
    struct ref host = db_first(CLASS_HOST).ref;
    tx_set_ref(tx, &pool, CLASS_POOL, F_POOL_MASTER, &host);
    boot_licence(tx, &pool, &host);
    boot_host_config(tx, &host);
    boot_certificates(tx, &host);
    if (first)
        boot_network(tx);
    boot_drivers(tx);
    boot_templates(tx);
    if (tx_commit(tx, err))
        return -1;
    db_set_local_host(&host);
    token_init();
    if (external_auth_init(err) || rbac_init(err) || task_init(err) || blob_settle(err))
        return -1;
    (void)FAILPOINT("boot.pool");
    if (gc_init(err) || boot_storage(err))
        return -1;
    (void)FAILPOINT("boot.storage");
    disks_on_stop(vbd_io_stopped);
    if (host_ctx.machine->has_disks && disks_adopt(err))
        return -1;
    storage_settle();
    network_boot();
    pif_boot();
    (void)FAILPOINT("boot.settled");
    if (boot_adopt(err))
        return -1;
    disks_settle(machine_lives);
    vtpm_settle();
    if (vm_nvram_settle(err) || recycle_settle(err) || refresh_all(err))
        return -1;
    (void)FAILPOINT("boot.adopted");
    return vm_watch_init(err) || guest_init(err) || gc_start(err) || vmss_run_init(err) ? -1
                                                                                        : 0;
}

void ops_done(void)
{
    gc_done();
    external_auth_done();
    host_power_done();
    vmss_run_done();
    vm_watch_done();
    guest_done();
    nat_done();
}
