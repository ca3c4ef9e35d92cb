/* SPDX-License-Identifier: Apache-2.0 */
/* The sampling thread and what it fills. Only the thread adds and removes objects and writes their private parts; others
 * read the stores under stats_lock, which is taken with no other lock held and never across I/O.
 *
 * A machine that does not say in time what its disks do is not asked again for some rounds, and a round waits for all of
 * them together at most ROUND_US: a hung QEMU costs its own disks' measurements and nobody else's.
 *
 * Files are written beside and renamed, without fsync: measurements are not worth one, and a file that a power cut has
 * spoiled is recognised by its checksum; then the past begins anew. */
#include "ops/stats.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/eventfd.h>

#include "api/errors.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "ops/host_ctx.h"
#include "ops/perfmon.h"
#include "ops/stats_int.h"

#define EVERY_US     (RRD_STEP * US_PER_SEC)
#define ROUND_US     (2 * US_PER_SEC)
#define MACHINE_US   (1 * US_PER_SEC)
#define SKIP_ROUNDS  6
#define SAVE_ROUNDS  120
#define MEMORY_STEP  64 /* memory_free is told when it moves by this part of all memory */
#define MEMORY_EVERY 12 /* rounds; and then also for less */

struct stats_object {
    char uuid[UUID_TEXT_SIZE];
    enum class_id cls;
    struct rrd *rrd; /* contents: stats_lock */
    /* The thread's own */
    uint64_t round, ask_again;
    struct metrics_vcpus vcpus;
    struct machine_disk_stats *disks; /* VM: at the last look */
    unsigned n_disks;
    struct machine_disk_stats total; /* SR: since the daemon started */
};

static struct mutex stats_lock = MUTEX_INIT;
static struct hash objects GUARDED_BY(stats_lock);
static struct cond wake;
static bool stopping GUARDED_BY(stats_lock);
static double rounds_at GUARDED_BY(stats_lock); /* all stores reach at least to here */
static uint64_t rounds GUARDED_BY(stats_lock);

static pthread_t thread;
static bool thread_runs;
static int64_t every_us; /* 0: real time */
static int stop_fd = -1; /* readable when stopping: nobody is waited for any more */
static char *dir;

/* Files */

static char *file_of(const char *uuid)
{
    return str_fmt("%s/%s", dir, uuid);
}

static struct rrd *load(const char *uuid)
{
    AUTO(free_str) char *path = file_of(uuid);
    AUTO(buf_done) struct buf data = BUF_INIT(RRD_FILE_BYTES);
    struct rrd *r;

    if (io_read_file(path, &data) != 0) {
        if (errno != ENOENT)
            log_warn("measurements of %s begin anew: %s: %m", uuid, path);
        return NULL;
    }
    r = rrd_load(data.data, data.len);
    if (!r)
        log_warn("measurements of %s begin anew: %s is damaged", uuid, path);
    return r;
}

static int write_file(const char *path, const struct buf *data)
{
    struct uuid unique = uuid_new(); /* several threads may save */
    char name[UUID_TEXT_SIZE];
    AUTO(free_str) char *fresh = NULL;
    AUTO(close_fd) int fd = -1;

    uuid_text(&unique, name);
    fresh = str_fmt("%s/.%s", dir, name);
    fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0)
        return -1;
    if (io_pwrite_full(fd, data->data, data->len, 0) == 0 && rename(fresh, path) == 0)
        return 0;
    (void)unlink(fresh);
    return -1;
}

static int save_as(const char *uuid, const struct buf *data)
{
    AUTO(free_str) char *path = file_of(uuid);

    if (write_file(path, data) == 0)
        return 0;
    log_warn("measurements of %s are not saved: %s: %m", uuid, path);
    return -1;
}

static void save(const struct stats_object *o)
{
    AUTO(buf_done) struct buf data = BUF_INIT(0);

    mutex_lock(&stats_lock);
    rrd_save(o->rrd, &data);
    mutex_unlock(&stats_lock);
    IGNORE(save_as(o->uuid, &data)); /* it has told the log */
}

static bool is_known(const char *uuid)
{
    static const enum class_id classes[] = { CLASS_HOST, CLASS_VM, CLASS_SR };
    struct ref ref;
    bool known = false;

    db_lock();
    for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
        known |= db_find_uuid(classes[i], uuid, &ref);
    db_unlock();
    return known;
}

/* Removes files of objects that are gone; at the start also what a dead daemon was writing. */
static void sweep(bool start)
{
    DIR *d = opendir(dir);
    const struct dirent *e;

    while (d && (e = readdir(d)) != NULL) {
        AUTO(free_str) char *path = file_of(e->d_name);

        if (e->d_name[0] == '.' ? start : !is_known(e->d_name))
            (void)unlink(path); /* "." and ".." stay by themselves */
    }
    if (d)
        (void)closedir(d);
}

/* Objects */

static void object_free(struct stats_object *o)
{
    rrd_free(o->rrd);
    metrics_vcpus_done(&o->vcpus);
    free(o->disks);
    free(o);
}

static struct stats_object *find(const char *uuid) REQUIRES(stats_lock)
{
    return hash_get(&objects, uuid, strlen(uuid));
}

/* The object of this round; it stays the thread's. */
static struct stats_object *object_of(enum class_id cls, const char *uuid, uint64_t round)
{
    struct stats_object *o;

    mutex_lock(&stats_lock);
    o = find(uuid);
    mutex_unlock(&stats_lock);
    if (!o) {
        o = mem_alloc(sizeof(*o));
        o->cls = cls;
        memcpy(o->uuid, uuid, sizeof(o->uuid));
        o->rrd = load(uuid);
        if (!o->rrd)
            o->rrd = rrd_new(cls != CLASS_VM);
        mutex_lock(&stats_lock);
        IGNORE(hash_put(&objects, o->uuid, strlen(o->uuid), o));
        mutex_unlock(&stats_lock);
    }
    o->round = round;
    return o;
}

/* VMs that no longer run and repositories that are detached live on in their files. */
static void drop_old(uint64_t round)
{
    for (;;) {
        struct stats_object *o = NULL;
        size_t pos = 0;

        mutex_lock(&stats_lock);
        while ((o = hash_next(&objects, &pos)) != NULL && o->round == round) {
        }
        mutex_unlock(&stats_lock);
        if (!o)
            return;
        if (is_known(o->uuid))
            save(o);
        mutex_lock(&stats_lock);
        IGNORE(hash_remove(&objects, o->uuid, strlen(o->uuid)));
        mutex_unlock(&stats_lock);
        object_free(o);
    }
}

/* A round */

static bool is_stopping(void)
{
    bool stop;

    mutex_lock(&stats_lock);
    stop = stopping;
    mutex_unlock(&stats_lock);
    return stop;
}

struct round {
    uint64_t number;
    double at; /* of the stores' clock; real time: when the round began */
    struct deadline disks;
    struct look look;
};

static double seconds_now(const struct round *r)
{
    return every_us > 0 ? r->at : (double)clock_wall_us() / US_PER_SEC;
}

static void update(struct stats_object *o, const struct round *r, const samples_vec *s)
{
    double now = seconds_now(r);

    mutex_lock(&stats_lock);
    rrd_update(o->rrd, now, s->v, s->n);
    mutex_unlock(&stats_lock);
}

/* What the VM's disks did goes to their repositories. */
static void count_disks(struct stats_object *o, struct round *r, const struct look_vm *vm,
                        const struct machine_stats *s)
{
    for (unsigned i = 0; i < s->n_disks; i++) {
        const struct machine_disk_stats *d = &s->disks[i];
        size_t sr = d->slot < VMSPEC_DISKS_MAX ? vm->sr_of_disk[d->slot] : STATS_NO_SR;

        for (unsigned k = 0; k < o->n_disks && sr != STATS_NO_SR; k++) {
            struct machine_disk_stats did;

            if (o->disks[k].slot != d->slot)
                continue;
            did = stats_since(d, &o->disks[k]);
            stats_add(&r->look.srs.v[sr].did, &did);
        }
    }
    if (!s->disks_known)
        return;
    free(o->disks);
    o->disks = s->n_disks ? mem_dup(s->disks, s->n_disks * sizeof(*s->disks)) : NULL;
    o->n_disks = s->n_disks;
}

static void round_vm(struct round *r, const struct look_vm *vm, struct machine_stats *s)
{
    struct stats_object *o = object_of(CLASS_VM, vm->uuid, r->number);
    struct deadline d = deadline_sooner(&r->disks, MACHINE_US);
    bool ask = r->number >= o->ask_again && !deadline_passed(&r->disks);
    samples_vec samples = { 0 };

    if (!ask)
        d.at_us = 0;
    if (!host_ctx.machine->stats(vm->uuid, &o->vcpus, s, &d))
        return; /* it ended just now */
    if (!s->disks_known && ask && !is_stopping()) {
        log_info("VM %s does not say what its disks do; asking again in %d seconds",
                 vm->uuid, SKIP_ROUNDS * RRD_STEP);
        o->ask_again = r->number + SKIP_ROUNDS;
    }
    sample_vm(vm, s, o->disks, o->n_disks, &samples);
    count_disks(o, r, vm, s);
    update(o, r, &samples);
    vec_done(&samples);
}

static void round_host(struct round *r, struct metrics_host *m)
{
    samples_vec all = { 0 };

    sample_host(&r->look, m, &all);
    for (size_t i = 0; i < r->look.srs.n; i++) {
        struct look_sr *sr = &r->look.srs.v[i];
        struct stats_object *o = object_of(CLASS_SR, sr->uuid, r->number);
        samples_vec own = { 0 };
        char suffix[10] = "_";

        memcpy(suffix + 1, sr->uuid, 8);
        stats_add(&o->total, &sr->did);
        sample_sr(sr, &o->total, suffix, &all);
        sample_sr(sr, &o->total, "", &own);
        update(o, r, &own);
        vec_done(&own);
    }
    update(object_of(CLASS_HOST, r->look.host, r->number), r, &all);
    vec_done(&all);
}

/* host_metrics.memory_free: an event to every client, so not for every page. */
static void tell_memory(const struct round *r, const struct metrics_host *m)
{
    AUTO(err_done) struct err err = { 0 };
    int64_t now = (int64_t)(m->memory_free_kib << 10);
    struct tx *tx = daemon_tx("measurement");
    struct ref ref = db_host_ref();
    const struct host_rec *host = db_get(CLASS_HOST, &ref);
    struct ref metrics = host ? host->metrics : REF_NULL;
    const struct host_metrics_rec *rec = db_get(CLASS_HOST_METRICS, &metrics);
    int64_t moved = rec ? now - rec->memory_free : 0;

    moved = moved < 0 ? -moved : moved;
    if (moved > (int64_t)(m->memory_total_kib << 10) / MEMORY_STEP
        || (moved > 0 && r->number % MEMORY_EVERY == 0)) {
        tx_set_int(tx, &metrics, CLASS_HOST_METRICS, F_HOST_METRICS_MEMORY_FREE, now);
        tx_set_int(tx, &metrics, CLASS_HOST_METRICS, F_HOST_METRICS_LAST_UPDATED,
                   clock_wall_us());
    }
    if (tx_commit(tx, &err) != 0)
        log_debug("telling the free memory: %s", err.code);
}

/* False: the daemon stops; the round is not whole. */
static bool look_at_all(struct round *r, struct machine_stats *s)
{
    struct metrics_host m;

    for (size_t i = 0; i < r->look.vms.n; i++) {
        if (is_stopping())
            return false;
        round_vm(r, &r->look.vms.v[i], s);
    }
    if (!metrics_read_host(&m))
        log_debug("/proc cannot be read");
    round_host(r, &m);
    tell_memory(r, &m);
    metrics_host_done(&m);
    return true;
}

static void play_round(struct round *r, struct machine_stats *s)
{
    bool whole;

    look_take(&r->look);
    whole = look_at_all(r, s);
    look_done(&r->look);
    if (!whole)
        return;
    drop_old(r->number);
    mutex_lock(&stats_lock);
    rounds = r->number;
    rounds_at = r->at;
    mutex_unlock(&stats_lock);
    perfmon_round(r->at);
}

/* The thread */

static bool wait_until(int64_t at_us)
{
    bool stop;

    mutex_lock(&stats_lock);
    while (!stopping && cond_wait_until(&wake, &stats_lock, at_us)) {
    }
    stop = stopping;
    mutex_unlock(&stats_lock);
    return !stop;
}

static void *sample_main(void *arg UNUSED)
{
    int64_t next = clock_now_us(), step = every_us > 0 ? every_us : EVERY_US;
    double began = (double)clock_wall_us() / US_PER_SEC;
    struct machine_stats *s = mem_alloc(sizeof(*s));
    AUTO(err_done) struct err err = { 0 };

    log_set_thread("stats");
    for (uint64_t n = 1; wait_until(next); n++) {
        struct round r = { .number = n,
                           .at = every_us > 0 ? began + (double)n * RRD_STEP
                                              : (double)clock_wall_us() / US_PER_SEC,
                           .disks = deadline_in_cancel(ROUND_US, stop_fd) };

        play_round(&r, s);
        if (n % SAVE_ROUNDS == 0) {
            IGNORE(stats_save(&err)); /* it has told the log */
            sweep(false);
        }
        next = MAX(next + step, clock_now_us());
    }
    free(s);
    return NULL;
}

int stats_init(int64_t every, struct err *err)
{
    every_us = every;
    dir = str_fmt("%s/rrd", host_ctx.state_dir);
    if (io_mkdirs(dir, 0700) != 0) {
        (void)err_set(err, ERR_INTERNAL_ERROR, dir);
        return err_detail(err, "making %s: %m", dir);
    }
    sweep(true);
    cond_init(&wake);
    stop_fd = eventfd(0, EFD_CLOEXEC);
    if (stop_fd < 0 || thread_start(&thread, "stats", 0, sample_main, NULL) != 0) {
        (void)err_set(err, ERR_INTERNAL_ERROR, "stats");
        return err_detail(err, "starting a thread: %m");
    }
    thread_runs = true;
    return 0;
}

void stats_stop(void)
{
    AUTO(err_done) struct err err = { 0 };
    const uint64_t one = 1;

    if (!thread_runs)
        return;
    mutex_lock(&stats_lock);
    stopping = true;
    cond_broadcast(&wake);
    mutex_unlock(&stats_lock);
    (void)!write(stop_fd, &one, sizeof(one)); /* else a hung machine is waited for */
    (void)pthread_join(thread, NULL);
    thread_runs = false;
    IGNORE(stats_save(&err));
}

void stats_done(void)
{
    struct stats_object *o;
    size_t pos = 0;

    stats_stop();
    perfmon_done();
    mutex_lock(&stats_lock);
    while ((o = hash_next(&objects, &pos)) != NULL)
        object_free(o);
    hash_done(&objects);
    stopping = false;
    mutex_unlock(&stats_lock);
    free_str(&dir);
    dir = NULL;
    close_fd(&stop_fd);
}

/* For others */

/* The uuids of all stores, so that each can be written without holding the others up. */
static void list_uuids(struct buf *out)
{
    const struct stats_object *o;
    size_t pos = 0;

    mutex_lock(&stats_lock);
    while ((o = hash_next(&objects, &pos)) != NULL)
        buf_add(out, o->uuid, UUID_TEXT_SIZE);
    mutex_unlock(&stats_lock);
}

int stats_save(struct err *err)
{
    AUTO(buf_done) struct buf uuids = BUF_INIT(0);
    int rc = 0;

    list_uuids(&uuids);
    for (size_t i = 0; i < uuids.len; i += UUID_TEXT_SIZE) {
        const char *uuid = uuids.data + i;
        AUTO(buf_done) struct buf data = BUF_INIT(0);
        const struct stats_object *o;

        mutex_lock(&stats_lock);
        o = find(uuid);
        if (o)
            rrd_save(o->rrd, &data);
        mutex_unlock(&stats_lock);
        if (data.len > 0 && save_as(uuid, &data) != 0)
            rc = err_set(err, ERR_INTERNAL_ERROR, "measurements cannot be saved");
    }
    return rc;
}

bool stats_whole(enum class_id cls, const char *uuid, enum rrd_text how, struct buf *out)
{
    const struct stats_object *o;
    struct rrd *r;
    struct ref ref;
    bool known;

    db_lock();
    known = db_find_uuid(cls, uuid, &ref);
    db_unlock();
    if (!known)
        return false;
    mutex_lock(&stats_lock);
    o = find(uuid);
    if (o)
        rrd_text_whole(out, o->rrd, how);
    mutex_unlock(&stats_lock);
    if (o)
        return true;
    r = load(uuid);
    if (r)
        rrd_text_whole(out, r, how);
    rrd_free(r);
    return r != NULL;
}

static bool wanted(const struct stats_tables *t, const struct stats_object *o)
{
    switch (o->cls) {
    case CLASS_HOST: return t->host;
    case CLASS_VM: return !t->vm_uuid || str_eq(t->vm_uuid, o->uuid);
    case CLASS_SR:
        return t->sr_uuid && (str_eq(t->sr_uuid, "all") || str_eq(t->sr_uuid, o->uuid));
    default: return false;
    }
}

static const char *kind_of(enum class_id cls)
{
    return cls == CLASS_HOST ? "host" : cls == CLASS_VM ? "vm" : "sr";
}

void stats_updates(const struct stats_tables *t, enum rrd_text how, struct buf *out)
{
    VEC(struct rrd_text_object) all = { 0 };
    const struct stats_object *o;
    size_t pos = 0;

    mutex_lock(&stats_lock);
    while ((o = hash_next(&objects, &pos)) != NULL)
        if (wanted(t, o))
            vec_push(&all, ((struct rrd_text_object){ kind_of(o->cls), o->uuid, o->rrd }));
    rrd_text_updates(out, all.v, all.n, &t->query, (int64_t)rounds_at, how);
    mutex_unlock(&stats_lock);
    vec_done(&all);
}

void stats_each(enum class_id cls, const char *uuid, stats_fn fn, void *arg)
{
    const struct stats_object *o;
    size_t pos = 0;

    mutex_lock(&stats_lock);
    while ((o = hash_next(&objects, &pos)) != NULL) {
        if (o->cls != cls || (uuid && !str_eq(uuid, o->uuid)))
            continue;
        for (size_t i = 0; i < rrd_n_ds(o->rrd); i++) {
            struct rrd_ds_info ds;

            rrd_ds_info(o->rrd, i, &ds);
            fn(o->uuid, &ds, arg);
        }
    }
    mutex_unlock(&stats_lock);
}

bool stats_enable(enum class_id cls, const char *uuid, const char *name, bool enabled)
{
    struct stats_object *o;
    size_t ds = SIZE_MAX;

    mutex_lock(&stats_lock);
    o = find(uuid);
    if (o && o->cls == cls)
        ds = rrd_find_ds(o->rrd, name);
    if (ds != SIZE_MAX)
        rrd_ds_enable(o->rrd, ds, enabled);
    mutex_unlock(&stats_lock);
    return ds != SIZE_MAX;
}

size_t stats_bytes(void)
{
    const struct stats_object *o;
    size_t bytes = 0, pos = 0;

    mutex_lock(&stats_lock);
    while ((o = hash_next(&objects, &pos)) != NULL)
        bytes += rrd_bytes(o->rrd);
    mutex_unlock(&stats_lock);
    return bytes;
}

uint64_t stats_rounds(void)
{
    uint64_t n;

    mutex_lock(&stats_lock);
    n = rounds;
    mutex_unlock(&stats_lock);
    return n;
}
