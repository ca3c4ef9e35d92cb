/* SPDX-License-Identifier: Apache-2.0 */
/* The thread of a disk. It opens the chain (nothing waits for it yet), then turns its loop. What blocks later
 * (making a child, growing, finishing the old leaf) runs in a helper of the loop while the disk is held
 * or on files that nobody else touches.
 *
 * Snapshot: PREPARE makes the child while I/O runs. HOLD: new requests wait, those under way end, one
 * flush. PUSH swaps. RELEASE. With several disks the control thread gets all held before the first is
 * pushed, so their snapshots are of one moment. After the swap the old leaf gets its footer in a
 * helper, while only reads go there.
 * Thread: the disk's; start, send and free: the control thread's. */
#include "diskd/export.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "diskd/disk_cbt.h"
#include "diskd/disk_io.h"
#include "diskd/disk_journal.h"
#include "diskd/disk_merge.h"
#include "diskd/nbd.h"
#include "vhd/vhd_create.h"

#define TICK_US   US_PER_SEC
#define NBD_QUEUE 16

struct export
{
    struct loop *control;
    struct export_spec spec;
    char *id, *path, *nbd_path, *journal_path;
    export_opened_fn opened;
    export_event_fn event;
    void *arg;
    pthread_t thread;
    struct aio *aio;
    struct disk *disk;
    struct disk_journal *journal;
    struct nbd *nbd;
    struct err open_err;
    struct vhd_image *child;             /* prepared */
    struct vhd_cbt *child_log, *old_log; /* of what is prepared; of the leaf that was, while
                                               it is being finished */
    struct vhd_image *parent;            /* opened anew, for UNLINK */
    struct vhd_chain *below;             /* opened for a merge */
    struct export_cmd *merging, *unmerging; /* unmerging: waits for merging's end */
    struct aio_op call;                     /* of the command under way; one at a time */
    struct export_cmd *calling;
    struct aio_op finish_op; /* of the old leaf */
    struct vhd_image *finishing;
    struct export_cmd *holding, *stopping;
    struct export_cmd *preparing_later, *merging_later; /* the old leaf is being finished */
    struct export_cmd *releasing; /* answered when the old log is whole */
    const void *owner;            /* arg of the commands from PREPARE or HOLD to RELEASE */
    int64_t hold_from, hold_us, hold_max_us;
    int64_t tick_at;
    int stop_error;
    bool quit;
};

/* Control thread. */
static void cmd_posted(void *arg)
{
    struct export_cmd *c = arg;

    c->done(c);
}

static void end_cmd(struct export_cmd *c)
{
    loop_post(c->export->control, cmd_posted, c);
}

static void fail_cmd(struct export_cmd *c, const char *status, const char *text)
{
    (void)vhd_io_bad(&c->err, status, "%s: %s", c->export->id, text);
    end_cmd(c);
}

static void flushed(struct disk_req *r)
{
    struct export_cmd *c = CONTAINER_OF(r, struct export_cmd, req);

    if (r->error)
        fail_cmd(c, strerrorname_np(r->error), "the flush failed");
    else
        end_cmd(c);
}

static void get_stats(struct export *e, struct export_cmd *c)
{
    c->stats = *disk_stats(e->disk);
    c->bytes = disk_bytes(e->disk);
    c->stopped = disk_stopped(e->disk);
    c->depth = disk_chain(e->disk)->n;
    c->maps = disk_chain(e->disk)->n_maps;
    c->connections = e->nbd ? nbd_connections(e->nbd) : 0;
    c->hold_us = e->hold_us;
    c->hold_max_us = e->hold_max_us;
    c->merging = e->merging != NULL;
    c->merged_bytes = disk_merge_done(e->disk);
    c->backend = aio_name(e->aio);
    end_cmd(c);
}

/* The name of the leaf's volume; zero if it has none. */
static struct uuid volume_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char text[UUID_TEXT_SIZE] = "";
    struct uuid u = { 0 };

    memcpy(text, name, strnlen(name, sizeof(text) - 1));
    if (!uuid_parse(text, &u))
        u = (struct uuid){ 0 };
    return u;
}

/* The child's log is there before the child is: whoever finds that goes on with both. */
static int prepare_log(struct export *e, const char *child, uint64_t bytes, struct err *err)
{
    AUTO(free_str) char *path = vhd_cbt_path(child);
    struct uuid parent = volume_of(e->path);

    if (!disk_tracked(e->disk) || !path)
        return 0;
    if (vhd_cbt_create(&vhd_io_posix, path, bytes, &parent, err) < 0)
        return -1;
    (void)FAILPOINT("disk.snapshot.log");
    if (vhd_cbt_open(&vhd_io_posix, path, true, &e->child_log, err) == 0)
        return 0;
    (void)unlink(path);
    return -1;
}

static void drop_log(struct export *e, const char *child)
{
    AUTO(free_str) char *path = vhd_cbt_path(child);

    if (!e->child_log)
        return;
    vhd_cbt_close(TAKE(e->child_log));
    if (unlink(path) < 0)
        log_warn("%s: removing the unused %s: %m", e->id, path);
}

/* In a helper: touches the leaf by its name alone. */
static int call_prepare(void *arg)
{
    struct export *e = arg;
    struct export_cmd *c = e->calling;
    AUTO(vhd_image_cleanup) struct vhd_image *leaf = NULL;
    struct vhd_create_spec spec = { .type = VHD_DIFFERENCING };

    if (vhd_image_open(&vhd_io_posix, e->path, 0, &leaf, &c->err) < 0)
        return -1;
    spec.parent = leaf;
    if (prepare_log(e, c->path, leaf->bytes, &c->err) < 0)
        return -1;
    if (vhd_create(&vhd_io_posix, c->path, &spec, &c->err) < 0) {
        drop_log(e, c->path);
        return -1;
    }
    if (vhd_image_open(&disk_io, c->path, VHD_OPEN_WRITE, &e->child, &c->err) < 0) {
        (void)unlink(c->path);
        drop_log(e, c->path);
        return -1;
    }
    return 0;
}

static int call_resize(void *arg)
{
    struct export *e = arg;
    struct vhd_cbt *log = disk_tracked(e->disk);

    if (log && e->calling->bytes > vhd_cbt_disk_bytes(log)
        && vhd_cbt_resize(log, e->calling->bytes, &e->calling->err) < 0)
        return -1;
    return vhd_resize(disk_chain(e->disk), e->calling->bytes, &e->calling->err);
}

static size_t layer_at(const struct vhd_chain *c, const char *path)
{
    for (size_t k = 1; k < c->n; k++)
        if (str_eq(c->layer[k]->path, path))
            return k;
    return 0;
}

/* The files say who its parent is: what is open may name it otherwise. */
static int call_open_parent(void *arg)
{
    struct export *e = arg;
    const struct vhd_chain *c = disk_chain(e->disk);
    size_t k = layer_at(c, e->calling->path);
    unsigned flags = c->layer[k - 1]->kind == VHD_KIND_RAW ? VHD_OPEN_RAW : 0;

    return vhd_image_open(&disk_io, c->layer[k - 1]->path, flags, &e->parent,
                          &e->calling->err);
}

/* The header of the leaf is ours to write; that of another layer its merger's. */
static int call_unlink(void *arg)
{
    struct export *e = arg;
    const struct vhd_chain *c = disk_chain(e->disk);
    struct vhd_image *leaf = vhd_chain_leaf(c);

    if (layer_at(c, e->calling->path) != c->n - 2 || !leaf->writable)
        return 0;
    return vhd_reparent(leaf, e->parent, &e->calling->err);
}

static int call_open_below(void *arg)
{
    struct export *e = arg;
    const struct vhd_chain *c = disk_chain(e->disk);
    struct err *err = &e->calling->err;

    if (vhd_chain_open(&disk_io, c->layer[c->n - 2]->path, VHD_OPEN_WRITE, &e->below, err)
        < 0)
        return -1;
    return e->below->bytes < c->bytes ? vhd_resize(e->below, c->bytes, err) : 0;
}

/* A log that is not made whole says more than what changed. */
static void finish_log(const struct export *e, struct vhd_cbt *log)
{
    AUTO(err_done) struct err err = { 0 };

    if (log && (FAILPOINT("disk.log.finish") || vhd_cbt_finish(log, &err) < 0))
        log_warn("%s: the log of changes: %s", e->id, err.detail ? err.detail : "failed");
    vhd_cbt_close(log);
}

static int call_finish(void *arg)
{
    struct export *e = arg;

    finish_log(e, TAKE(e->old_log));
    return vhd_image_finish(e->finishing, NULL);
}

/* What was noted so far stays noted, in the file that it was noted in. The disk is held. */
static int call_track(void *arg)
{
    struct export *e = arg;
    struct vhd_cbt *log = NULL;

    finish_log(e, disk_track(e->disk, NULL));
    if (vhd_cbt_open_beside(&vhd_io_posix, e->path, disk_bytes(e->disk), &log,
                            &e->calling->err)
        < 0)
        return -1;
    (void)disk_track(e->disk, log); /* there was none */
    return 0;
}

static int call_drop(void *arg)
{
    struct export *e = arg;
    AUTO(free_str) char *path = str_dup(e->child->path);

    vhd_image_close(TAKE(e->child));
    drop_log(e, path);
    if (unlink(path) < 0 || vhd_io_posix.ops->fsync_dir(NULL, path) < 0)
        log_warn("%s: removing the unused %s: %m", e->id, path);
    return 0;
}

/* What was opened anew takes the place of its old self, and the layer above it goes. */
static void unlinked(struct export *e, struct export_cmd *c)
{
    struct vhd_chain *chain = disk_chain(e->disk);
    size_t k = layer_at(chain, c->path);
    struct vhd_image *layer = chain->layer[k], *below = chain->layer[k - 1];

    if (c->err.code || vhd_chain_drop(chain, k, &c->err) < 0)
        return;
    chain->layer[k - 1] = TAKE(e->parent);
    vhd_image_close(layer);
    vhd_image_close(below);
    disk_changed(e->disk);
}

static void end_merging(struct export *e)
{
    if (e->unmerging)
        end_cmd(TAKE(e->unmerging));
}

static void merged(void *arg)
{
    struct export *e = arg;
    struct export_cmd *c = TAKE(e->merging);
    int error = disk_merge_error(e->disk);

    end_merging(e);

    if (!error) {
        e->hold_us = disk_merge_hold_us(e->disk);
        e->hold_max_us = MAX(e->hold_max_us, e->hold_us);
    }

    if (error)
        fail_cmd(c, strerrorname_np(error), "the merge did not come to its end");
    else
        end_cmd(c);
}

static void below_opened(struct export *e, struct export_cmd *c)
{
    if (!c->err.code && disk_merge_begin(e->disk, e->below, merged, e) < 0)
        (void)vhd_io_failed(&c->err, "merging", e->path);
    if (c->err.code) {
        vhd_chain_close(TAKE(e->below));
        e->merging = NULL;
        end_merging(e);
        end_cmd(c);
        return;
    }
    e->below = NULL;
    if (e->stopping || e->unmerging)
        disk_merge_stop(e->disk);
}

static void called(struct aio_op *op, int64_t res)
{
    struct export *e = CONTAINER_OF(op, struct export, call);
    struct export_cmd *c = TAKE(e->calling);

    if (c->verb == EXPORT_MERGE) {
        below_opened(e, c);
        return;
    }
    if (c->verb == EXPORT_UNLINK)
        unlinked(e, c);
    else if (c->verb == EXPORT_RESIZE)
        disk_changed(e->disk);
    end_cmd(c);
}

static void call(struct export *e, struct export_cmd *c, int (*fn)(void *))
{
    if (e->calling) {
        fail_cmd(c, "EBUSY", "another operation is under way");
        return;
    }
    e->calling = c;
    e->call = (struct aio_op){ .done = called, .kind = AIO_CALL, .call = fn, .arg = e };
    aio_submit(e->aio, &e->call);
}

static void finish_done(struct aio_op *op, int64_t res)
{
    struct export *e = CONTAINER_OF(op, struct export, finish_op);

    if (res < 0)
        log_warn("%s: %s has no second footer", e->id, e->finishing->path);
    e->finishing = NULL;
    if (e->releasing)
        end_cmd(TAKE(e->releasing));
    if (e->preparing_later)
        call(e, TAKE(e->preparing_later), call_prepare);
    else if (e->merging_later)
        call(e, TAKE(e->merging_later), call_open_below);
}

static void push(struct export *e, struct export_cmd *c)
{
    struct vhd_chain *chain = disk_chain(e->disk);
    struct vhd_image *old = vhd_chain_leaf(chain);

    if (vhd_chain_push(chain, e->child, &c->err) == 0) {
        free(e->path);
        e->path = str_dup(e->child->path);
        e->child = NULL;
        disk_changed(e->disk);
        e->old_log = disk_track(e->disk, TAKE(e->child_log));
        e->finishing = old;
        e->finish_op = (struct aio_op){
            .done = finish_done, .kind = AIO_CALL, .call = call_finish, .arg = e
        };
        aio_submit(e->aio, &e->finish_op);
    }
    end_cmd(c);
}

static void held(void *arg)
{
    struct export *e = arg;
    struct export_cmd *c = TAKE(e->holding);

    if (disk_hold_error(e->disk))
        fail_cmd(c, strerrorname_np(disk_hold_error(e->disk)), "the flush failed");
    else
        end_cmd(c);
}

/* One at a time: a snapshot or a resize, from its first command to RELEASE. */
static bool own(struct export *e, struct export_cmd *c)
{
    bool reader = e->owner == c->arg && e->owner; /* of UNLINK, begun with OPEN_PARENT */
    if (e->stopping || (!disk_writable(e->disk) && !reader)) {
        fail_cmd(c, "EROFS", "it is not open for writing");
        return false;
    }
    if (e->merging || (e->owner && e->owner != c->arg)) {
        fail_cmd(c, "EBUSY", "a snapshot, a resize or a merge is under way");
        return false;
    }
    e->owner = c->arg;
    return true;
}

static void prepare(struct export *e, struct export_cmd *c)
{
    if (!own(e, c))
        return;
    if (e->finishing)
        e->preparing_later = c;
    else
        call(e, c, call_prepare);
}

static void hold(struct export *e, struct export_cmd *c)
{
    if (!own(e, c))
        return;
    e->holding = c;
    e->hold_from = clock_now_us();
    disk_hold(e->disk, held, e);
}

/* Not having it is as good. */
static void open_parent(struct export *e, struct export_cmd *c)
{
    if (e->stopping || e->merging || (e->owner && e->owner != c->arg)) {
        fail_cmd(c, "EBUSY", "a snapshot, a resize or a merge is under way");
        return;
    }
    e->owner = c->arg;
    size_t k = layer_at(disk_chain(e->disk), c->path);
    if (k && k == disk_chain(e->disk)->n - 1)
        fail_cmd(c, "EINVAL", "that is the leaf");
    else if (k && !e->finishing)
        call(e, c, call_open_parent);
    else if (e->finishing)
        fail_cmd(c, "EBUSY", "a snapshot is being finished");
    else
        end_cmd(c);
}

static void merge(struct export *e, struct export_cmd *c)
{
    const struct vhd_chain *chain = disk_chain(e->disk);

    if (e->stopping || e->merging || e->owner || e->calling) {
        fail_cmd(c, "EBUSY", "another operation is under way");
    } else if (!disk_writable(e->disk) || chain->n < 2
               || chain->layer[chain->n - 2]->kind != VHD_KIND_DYNAMIC) {
        fail_cmd(c, "EINVAL", "there is nothing that it could be merged into");
    } else {
        e->merging = c;
        if (e->finishing)
            e->merging_later = c;
        else
            call(e, c, call_open_below);
    }
}

static void release(struct export *e, struct export_cmd *c)
{
    if (e->owner != c->arg) { /* it had been refused */
        end_cmd(c);
        return;
    }
    e->owner = NULL;
    if (e->hold_from) {
        e->hold_us = clock_now_us() - e->hold_from;
        e->hold_max_us = MAX(e->hold_max_us, e->hold_us);
        e->hold_from = 0;
        disk_release(e->disk);
    }
    vhd_image_close(TAKE(e->parent));
    if (e->child)
        call(e, c, call_drop);
    else if (e->finishing && disk_tracked(e->disk))
        e->releasing = c; /* then the log that was says what changed, and no more */
    else
        end_cmd(c);
}

static void stop(struct export *e, struct export_cmd *c)
{
    struct export_cmd *later = e->merging_later;

    if (e->stopping) {
        fail_cmd(c, "EBUSY", "it is being closed already");
        return;
    }
    e->stopping = c;
    if (e->merging_later) {
        e->merging = e->merging_later = NULL;
        end_merging(e);
        fail_cmd(later, "ECANCELED", "the disk is being closed");
    }
    disk_merge_stop(e->disk);
    disk_set_limit(e->disk, 0, 0); /* those who wait go on in the next turn */
    disk_give_up(e->disk);
    if (e->nbd)
        nbd_stop(e->nbd);
}

static void run_cmd(struct aio_op *op, int64_t res)
{
    struct export_cmd *c = CONTAINER_OF(op, struct export_cmd, op);
    struct export *e = c->export;

    switch (c->verb) {
    case EXPORT_FLUSH:
        c->req = (struct disk_req){ .done = flushed, .kind = DISK_FLUSH };
        disk_submit(e->disk, &c->req);
        break;
    case EXPORT_STATS: get_stats(e, c); break;
    case EXPORT_PREPARE: prepare(e, c); break;
    case EXPORT_HOLD: hold(e, c); break;
    case EXPORT_PUSH: push(e, c); break;
    case EXPORT_RELEASE: release(e, c); break;
    case EXPORT_RESIZE:
        call(e, c, call_resize); /* held by the same request */
        break;
    case EXPORT_TRACK: call(e, c, call_track); break;
    case EXPORT_RESUME:
        disk_resume(e->disk);
        end_cmd(c);
        break;
    case EXPORT_SET:
        disk_set_limit(e->disk, c->set.iops, c->set.bytes);
        disk_set_policy(e->disk, &c->set.policy);
        end_cmd(c);
        break;
    case EXPORT_OPEN_PARENT: open_parent(e, c); break;
    case EXPORT_UNLINK:
        if (e->parent)
            call(e, c, call_unlink);
        else
            end_cmd(c);
        break;
    case EXPORT_MERGE: merge(e, c); break;
    case EXPORT_MERGE_STOP:
        disk_merge_stop(e->disk);
        if (e->merging && !e->unmerging)
            e->unmerging = c;
        else
            end_cmd(c);
        break;
    case EXPORT_STOP: stop(e, c); break;
    }
}

void export_send(struct export *e, struct export_cmd *c)
{
    c->export = e;
    c->err = (struct err){ 0 };
    c->op = (struct aio_op){ .done = run_cmd };
    list_init(&c->op.link);
    aio_post(e->aio, &c->op, 0);
}

/* Control thread. */
static void event_posted(void *arg)
{
    struct export *e = arg;

    e->event(e->arg, e, __atomic_load_n(&e->stop_error, __ATOMIC_RELAXED));
}

static void disk_stop_event(void *arg)
{
    struct export *e = arg;

    /* The one word that both threads look at: the newest is all that counts. */
    __atomic_store_n(&e->stop_error, disk_stopped(e->disk), __ATOMIC_RELAXED);
    loop_post(e->control, event_posted, e);
}

static int adopt(struct export *e, struct vhd_chain **out, struct err *err)
{
    struct vhd_image *v[EXPORT_FDS_MAX];
    size_t n = e->spec.n_fds - e->spec.nbd_fd, done = 0;
    int rc = n ? 0 : vhd_io_bad(err, "EINVAL", "%s: no images were given", e->id);

    for (; rc == 0 && done < n; done++) {
        bool leaf = done + 1 == n;
        unsigned flags = (leaf && e->spec.write ? VHD_OPEN_WRITE : 0)
                         | (done == 0 && e->spec.raw_base ? VHD_OPEN_RAW : 0);
        AUTO(free_str)
        char *path = leaf ? str_dup(e->path) : str_fmt("%s (layer %zu)", e->path, done);
        int fd = TAKE_FD(e->spec.fds[done]);
        (void)disk_io_direct(fd);
        rc = vhd_image_adopt(&disk_io, fd, path, flags, &v[done], err);
        if (rc < 0)
            break;
    }
    if (rc == 0)
        rc = vhd_chain_from(v, n, out, err);
    for (size_t i = 0; rc < 0 && i < done; i++)
        vhd_image_close(v[i]);
    return rc;
}

static int listen_nbd(struct export *e, struct err *err)
{
    int fd = -1;

    if (e->spec.nbd_fd)
        fd = TAKE_FD(e->spec.fds[e->spec.n_fds - 1]);
    else if (e->nbd_path)
        fd = io_listen_unix(e->nbd_path, 0600, NBD_QUEUE);
    else
        return 0;
    if (fd < 0)
        return vhd_io_failed(err, "listening on", e->nbd_path ? e->nbd_path : "a socket");
    e->nbd = nbd_new(e->aio, e->disk, fd, e->id);
    if (!e->nbd || io_set_nonblock(fd, true) < 0)
        return vhd_io_failed(err, "serving", e->id);
    return 0;
}

static int open_all(struct export *e, struct err *err)
{
    struct vhd_chain *c = NULL;
    unsigned flags = (e->spec.write ? VHD_OPEN_WRITE : 0)
                     | (e->spec.raw_base ? VHD_OPEN_RAW : 0);

    e->aio = aio_new(e->spec.plain);
    if (!e->aio)
        return vhd_io_bad(err, "EMFILE", "%s: no descriptors", e->id);
    if (e->journal_path && disk_journal_open(e->journal_path, &e->journal, err) < 0)
        return -1;
    if (e->spec.n_fds > e->spec.nbd_fd) {
        if (adopt(e, &c, err) < 0)
            return -1;
    } else if (vhd_chain_open(&disk_io, e->path, flags, &c, err) < 0) {
        return -1;
    }
    assert(c); /* the analyzer does not follow vhd_chain_open's promise */
    e->disk = disk_new(e->aio, c, &e->spec.set.policy);
    disk_set_limit(e->disk, e->spec.set.iops, e->spec.set.bytes);
    if (e->journal)
        disk_set_journal(e->disk, e->journal);
    disk_on_stop(e->disk, disk_stop_event, e);
    if (e->spec.write && e->spec.n_fds <= e->spec.nbd_fd) {
        struct vhd_cbt *log = NULL;
        if (vhd_cbt_open_beside(&vhd_io_posix, e->path, c->bytes, &log, err) < 0)
            return -1;
        (void)disk_track(e->disk, log); /* the first */
    }
    return listen_nbd(e, err);
}

/* Also half opened. clean: make the image whole. */
static int close_all(struct export *e, bool clean, struct err *err)
{
    int rc = 0;

    nbd_free(TAKE(e->nbd));
    if (e->disk) {
        struct vhd_cbt *log = disk_track(e->disk, NULL);
        struct vhd_chain *c = disk_free(TAKE(e->disk));
        if (clean && vhd_chain_leaf(c)->writable)
            rc = vhd_chain_finish(c, err);
        if (clean && rc == 0)
            finish_log(e, log);
        else
            vhd_cbt_close(log);
        vhd_chain_close(c);
    }
    if (clean && rc == 0 && e->journal)
        disk_journal_remove(TAKE(e->journal));
    disk_journal_close(TAKE(e->journal));
    vhd_cbt_close(TAKE(e->child_log));
    vhd_image_close(TAKE(e->child));
    return rc;
}

/* Control thread. */
static void opened_posted(void *arg)
{
    struct export *e = arg;

    if (!e->open_err.code) {
        e->opened(e->arg, e, &e->open_err);
        return;
    }
    struct err err = { 0 };
    err_move(&err, &e->open_err);
    e->opened(e->arg, e, &err);
    err_done(&err);
    export_free(e);
}

static bool may_end(const struct export *e)
{
    return e->stopping && (!e->nbd || nbd_stopped(e->nbd)) && !e->calling && !e->finishing
           && !e->owner && !e->merging;
}

/* Drained for the end: the thread may leave. */
static void drained(void *arg)
{
    struct export *e = arg;

    e->quit = true;
}

static void *export_main(void *arg)
{
    struct export *e = arg;
    bool ending = false;

    if (open_all(e, &e->open_err) < 0) {
        (void)close_all(e, false, NULL);
        loop_post(e->control, opened_posted, e);
        return NULL;
    }
    loop_post(e->control, opened_posted, e);
    e->tick_at = clock_now_us() + TICK_US;
    while (!e->quit) {
        int64_t until = MIN(e->tick_at, disk_merge_due(e->disk));
        until = MIN(until, disk_limit_waits(e->disk));
        aio_wait(e->aio, MAX(until - clock_now_us(), INT64_C(0)));
        disk_merge_turn(e->disk);
        disk_limit_turn(e->disk);
        if (e->nbd)
            nbd_turn(e->nbd);
        if (clock_now_us() >= e->tick_at) {
            disk_tick(e->disk);
            if (e->nbd)
                nbd_tick(e->nbd);
            e->tick_at = clock_now_us() + TICK_US;
        }
        if (!ending && may_end(e)) {
            ending = true;
            disk_hold(e->disk, drained, e);
        }
    }
    struct export_cmd *c = e->stopping;
    IGNORE(close_all(e, true, &c->err));
    end_cmd(c);
    return NULL;
}

int export_start(struct loop *control, const struct export_spec *spec,
                 export_opened_fn opened, export_event_fn event, void *arg, struct err *err)
{
    struct export *e = mem_alloc(sizeof(*e));

    e->control = control;
    e->spec = *spec;
    e->id = str_dup(spec->id);
    e->path = str_dup(spec->path);
    e->nbd_path = str_dup(spec->nbd);
    e->journal_path = spec->write ? str_dup(spec->journal) : NULL;
    e->spec.fds = mem_array(spec->n_fds + 1, sizeof(int));
    for (size_t i = 0; i < spec->n_fds; i++)
        e->spec.fds[i] = TAKE_FD(spec->fds[i]);
    e->opened = opened;
    e->event = event;
    e->arg = arg;
    int rc = thread_start(&e->thread, "disk", 512, export_main, e);
    if (rc != 0) {
        for (size_t i = 0; i < e->spec.n_fds; i++)
            close_fd(&e->spec.fds[i]);
        (void)vhd_io_bad(err, "EAGAIN", "%s: no thread can be started", e->id);
        free(e->spec.fds);
        free(e->id);
        free(e->path);
        free(e->nbd_path);
        free(e->journal_path);
        free(e);
        return -1;
    }
    return 0;
}

void export_free(struct export *e)
{
    if (!e)
        return;
    pthread_join(e->thread, NULL);
    aio_free(e->aio);
    if (e->nbd_path)
        (void)unlink(e->nbd_path);
    for (size_t i = 0; i < e->spec.n_fds; i++)
        close_fd(&e->spec.fds[i]);
    free(e->spec.fds);
    err_done(&e->open_err);
    free(e->id);
    free(e->path);
    free(e->nbd_path);
    free(e->journal_path);
    free(e);
}

const char *export_id(const struct export *e)
{
    return e->id;
}
