/* SPDX-License-Identifier: Apache-2.0 */
/* The table of leases and the one merge. lease_lock guards both and is held across no I/O; nothing is taken under it. Whose
 * volumes a disk has is found without it, and found again when a merge has ended meanwhile. */
#include "ops/lease.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/list.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/vec.h"
#include "ops/gc.h"

#define DEPTH_MAX 1001

struct name {
    char uuid[UUID_TEXT_SIZE];
};

struct lease {
    struct list link;
    VEC(struct name) volumes; /* the disk's first, then what it continues */
};

static struct mutex lease_lock = MUTEX_INIT;
static struct cond ended;
static struct list leases GUARDED_BY(lease_lock) = LIST_INIT(leases);

static struct {
    char volume[UUID_TEXT_SIZE], parent[UUID_TEXT_SIZE];
    bool active, finishing, asked;
    unsigned forbidden;
    uint64_t n_ended;
} merge GUARDED_BY(lease_lock);

static int cancel_fd = -1;

int lease_init(struct err *err)
{
    cond_init(&ended);
    cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (cancel_fd >= 0)
        return 0;
    (void)err_set(err, "INTERNAL_ERROR", "leases");
    return err_detail(err, "making an event: %m");
}

void lease_done(void)
{
    close_fd(&cancel_fd);
}

static void find_volumes(const struct sr_handle *sr, const char *volume, struct lease *l)
{
    struct name at = { 0 };
    memcpy(at.uuid, volume, sizeof(at.uuid));
    l->volumes.n = 0;
    while (at.uuid[0] && l->volumes.n < DEPTH_MAX) {
        struct sr_volume v = { 0 };
        vec_push(&l->volumes, at);
        IGNORE(sr->ops->stat(&sr->config, at.uuid, &v, NULL)); /* missing: it ends here */
        memcpy(at.uuid, v.parent, sizeof(at.uuid));
    }
}

static bool has(const struct lease *l, const char *volume)
{
    for (size_t i = 0; i < l->volumes.n; i++)
        if (str_eq(l->volumes.v[i].uuid, volume))
            return true;
    return false;
}

static void ask_to_stop(void) REQUIRES(lease_lock)
{
    merge.asked = true;
    if (!merge.finishing)
        (void)eventfd_write(cancel_fd, 1);
}

/* False: a merge has changed the chain since, or had to be stopped; look again. */
static bool enter(struct lease *l, uint64_t n_ended)
{
    mutex_lock(&lease_lock);
    bool ours = merge.active && (has(l, merge.volume) || has(l, merge.parent));
    uint64_t now = merge.n_ended;
    if (ours)
        ask_to_stop();
    while (ours && merge.active && merge.n_ended == now)
        cond_wait(&ended, &lease_lock);
    bool same = !ours && merge.n_ended == n_ended;
    if (same)
        list_add_tail(&leases, &l->link);
    mutex_unlock(&lease_lock);
    return same;
}

static uint64_t count_ended(void)
{
    mutex_lock(&lease_lock);
    uint64_t n = merge.n_ended;
    mutex_unlock(&lease_lock);
    return n;
}

static bool look(const struct ref *vdi, struct lease *l, struct err *err)
{
    AUTO(sr_handle_done) struct sr_handle sr = { 0 };
    char volume[UUID_TEXT_SIZE];
    db_lock();
    const struct vdi_rec *rec = call_get(CLASS_VDI, vdi, err);
    struct ref sr_ref = rec ? rec->SR : REF_NULL;
    if (rec)
        storage_volume(rec, volume);
    db_unlock();
    if (!rec || storage_sr_unplugged(&sr_ref, &sr, err))
        return false;
    find_volumes(&sr, volume, l);
    return true;
}

struct lease *lease_take(const struct ref *vdi, struct err *err)
{
    struct lease *l = mem_alloc(sizeof(*l));
    list_init(&l->link);
    for (;;) {
        uint64_t n = count_ended();
        if (!look(vdi, l, err)) {
            lease_give(l);
            return NULL;
        }
        if (enter(l, n))
            return l;
    }
}

const char *lease_volume(const struct lease *l)
{
    return l->volumes.v[0].uuid;
}

void lease_give(struct lease *l)
{
    if (!l)
        return;
    mutex_lock(&lease_lock);
    list_remove(&l->link);
    mutex_unlock(&lease_lock);
    vec_done(&l->volumes);
    free(l);
    gc_kick();
}

static void begin(const char *volume, const char *parent) REQUIRES(lease_lock)
{
    eventfd_t old;
    (void)eventfd_read(cancel_fd, &old); /* of an earlier one; EAGAIN if there is none */
    memcpy(merge.volume, volume, sizeof(merge.volume));
    memcpy(merge.parent, parent, sizeof(merge.parent));
    merge.active = true;
    merge.finishing = merge.asked = false;
}

bool lease_merge_begin(const char *volume, const char *parent, int *fd)
{
    mutex_lock(&lease_lock);
    bool free_ = !merge.forbidden;
    list_for_each(it, &leases) {
        const struct lease *l = list_entry(it, struct lease, link);
        free_ = free_ && !has(l, volume) && !has(l, parent);
    }
    if (free_)
        begin(volume, parent);
    mutex_unlock(&lease_lock);
    *fd = cancel_fd;
    return free_;
}

bool lease_merge_finishing(void)
{
    mutex_lock(&lease_lock);
    bool go = !merge.asked;
    merge.finishing = go;
    mutex_unlock(&lease_lock);
    return go;
}

void lease_merge_end(void)
{
    mutex_lock(&lease_lock);
    merge.active = false;
    merge.n_ended++;
    cond_broadcast(&ended);
    mutex_unlock(&lease_lock);
}

void lease_stop_merges(void)
{
    mutex_lock(&lease_lock);
    merge.forbidden++;
    if (merge.active)
        ask_to_stop();
    while (merge.active)
        cond_wait(&ended, &lease_lock);
    mutex_unlock(&lease_lock);
}

void lease_allow_merges(void)
{
    mutex_lock(&lease_lock);
    merge.forbidden--;
    mutex_unlock(&lease_lock);
    gc_kick();
}
