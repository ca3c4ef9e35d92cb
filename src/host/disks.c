/* SPDX-License-Identifier: Apache-2.0 */
/* Starts, finds again, replaces and ends disk processes. The list in an entry's directory is what is true when both daemons
 * have died; it is replaced as a whole, before what it announces is done.
 *
 * An entry is claimed by one caller at a time, which then does its I/O without a lock; disks_lock guards the list of entries
 * and who has them. The thread waits for ends of processes: whoever holds the entry then sees it, else the thread starts
 * another one. Order: nothing is taken under disks_lock. */
#include "host/disks.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/fields.h"
#include "base/io.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/proc.h"
#include "base/vec.h"
#include "host/disks_control.h"
#include "host/disks_job.h"
#include "host/machine_dir.h"
#include "host/root.h"

#define LIST        "list"
#define LIST_NEW    "list.new"
#define LIST_MAX    (1 << 20)
#define CONTROL     "control.sock"
#define JOURNAL     "journal"
#define FD_CONTROL  3
#define FD_LOCK     4
#define NBD_BACKLOG 16
#define ASK_US      (60 * US_PER_SEC)
#define END_US      (20 * US_PER_SEC)
#define AGAIN_US    US_PER_SEC
#define DISKS_MAX   128
#define LIST_FIELDS 8

struct disk {
    char id[UUID_TEXT_SIZE];
    char *leaf, *next; /* next: a snapshot to it may have happened */
    bool read_only;
    struct disks_set set;
    int listen_fd; /* kept, so that a machine that connects again waits for the next process; -1: found again */
};

struct entry {
    struct list link;
    char uuid[UUID_TEXT_SIZE];
    bool busy; /* claimed; all else is the claimant's, but proc */
    bool look; /* its process ended while somebody had it */
    bool ending;
    struct proc proc; /* pidfd -1: dead */
    VEC(struct disk) disks;
};

static struct mutex disks_lock = MUTEX_INIT;
static struct cond changed;
static struct list entries GUARDED_BY(disks_lock) = LIST_INIT(entries);

static struct {
    char *dir, *binary;
    struct loop *loop;
    pthread_t thread;
    void (*on_stop)(const char *vm_uuid, const char *id, const char *error);
} self;

static char *path_of(const struct entry *e, const char *name)
{
    return machine_dir_path(self.dir, e->uuid, name);
}

static int failed(struct err *err, const char *doing, const char *path)
{
    AUTO(free_str) char *text = str_fmt("%s %s: %m", doing, path);

    (void)err_set(err, ERR_SR_BACKEND_FAILURE, "EIO", "", text);
    return err_detail(err, "%s", text);
}

/* ---- entries ----------------------------------------------------------------------------------------- */

static struct entry *find(const char *uuid) REQUIRES(disks_lock)
{
    list_for_each(it, &entries) {
        struct entry *e = list_entry(it, struct entry, link);
        if (str_eq(e->uuid, uuid))
            return e;
    }
    return NULL;
}

static struct entry *entry_new(const char *uuid)
{
    struct entry *e = mem_alloc(sizeof(*e));

    memcpy(e->uuid, uuid, sizeof(e->uuid));
    e->busy = true;
    e->proc = (struct proc){ .pid = -1, .pidfd = -1 };
    return e;
}

static void entry_free(struct entry *e)
{
    for (size_t i = 0; i < e->disks.n; i++) {
        free(e->disks.v[i].leaf);
        free(e->disks.v[i].next);
        close_fd(&e->disks.v[i].listen_fd);
    }
    vec_done(&e->disks);
    proc_close(&e->proc);
    free(e);
}

/* NULL: there is none. make: then it is made. */
static struct entry *claim(const char *uuid, bool make)
{
    struct entry *e;

    mutex_lock(&disks_lock);
    while ((e = find(uuid)) && e->busy)
        cond_wait(&changed, &disks_lock);
    if (!e && make) {
        e = entry_new(uuid);
        list_add_tail(&entries, &e->link);
    }
    if (e)
        e->busy = true;
    mutex_unlock(&disks_lock);
    return e;
}

static void restart_posted(void *arg);

static bool alive(const struct entry *e)
{
    struct deadline now = deadline_in(0);

    return e->proc.pidfd >= 0 && deadline_poll(&now, e->proc.pidfd, POLLIN) < 0;
}

static void unclaim(struct entry *e, bool forget)
{
    char *dead = !forget && !e->ending && !alive(e) ? str_dup(e->uuid) : NULL;

    mutex_lock(&disks_lock);
    if (e->look && !dead && !forget)
        dead = str_dup(e->uuid);
    e->busy = e->look = false;
    if (forget)
        list_remove(&e->link);
    cond_broadcast(&changed);
    mutex_unlock(&disks_lock);
    if (dead) /* not before: it looks whether anybody has the entry */
        loop_post(self.loop, restart_posted, dead);
    if (forget)
        entry_free(e);
}

/* ---- the list ---------------------------------------------------------------------------------------- */

static int write_list(const struct entry *e, struct err *err)
{
    AUTO(buf_done) struct buf b = BUF_INIT(LIST_MAX);
    AUTO(free_str) char *path = path_of(e, LIST);
    AUTO(free_str) char *new = path_of(e, LIST_NEW);
    struct deadline d = deadline_never();
    AUTO(close_fd) int fd = -1;

    for (size_t i = 0; i < e->disks.n; i++) {
        const struct disk *k = &e->disks.v[i];
        fields_add(&b, "id", k->id);
        fields_add(&b, "leaf", k->leaf);
        fields_add(&b, "next", k->next ? k->next : "");
        fields_add(&b, "mode", k->read_only ? "ro" : "rw");
        fields_add(&b, "enospc", k->set.report_enospc ? "report" : "stop");
        fields_add(&b, "eio", k->set.stop_eio ? "stop" : "report");
        fields_add_u64(&b, "iops", k->set.iops);
        fields_add_u64(&b, "bytes", k->set.bytes_per_second);
    }
    fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || (b.len && io_write_full(fd, b.data, b.len, &d) < 0)
        || rename(new, path) < 0)
        return failed(err, "Writing", path);
    return 0;
}

static bool read_list(struct entry *e)
{
    AUTO(buf_done) struct buf b = BUF_INIT(LIST_MAX);
    AUTO(free_str) char *path = path_of(e, LIST);
    AUTO(free_ptr)
    struct field *f = mem_array(LIST_FIELDS * (size_t)DISKS_MAX, sizeof(*f));
    size_t n = 0;

    if (io_read_file(path, &b) < 0 || b.len == 0
        || !fields_parse(b.data, b.len, f, LIST_FIELDS * (size_t)DISKS_MAX, &n)
        || n % LIST_FIELDS)
        return false;
    for (size_t i = 0; i < n; i += LIST_FIELDS) {
        struct disk k = { .leaf = str_dup(f[i + 1].value),
                          .next = f[i + 2].value[0] ? str_dup(f[i + 2].value) : NULL,
                          .read_only = str_eq(f[i + 3].value, "ro"),
                          .listen_fd = -1 };
        memcpy(k.id, f[i].value, MIN(strlen(f[i].value), sizeof(k.id) - 1));
        k.set.report_enospc = str_eq(f[i + 4].value, "report");
        k.set.stop_eio = str_eq(f[i + 5].value, "stop");
        if (!parse_u64(f[i + 6].value, &k.set.iops)
            || !parse_u64(f[i + 7].value, &k.set.bytes_per_second))
            k.set = (struct disks_set){ 0 };
        vec_push(&e->disks, k);
    }
    return true;
}

static struct disk *disk_of(const struct entry *e, const char *id)
{
    for (size_t i = 0; e && i < e->disks.n; i++)
        if (str_eq(e->disks.v[i].id, id))
            return &e->disks.v[i];
    return NULL;
}

static void moved(struct disk *k, bool forward)
{
    if (!k || !k->next)
        return;
    mutex_lock(&disks_lock); /* disks_each looks */
    if (forward) {
        free(k->leaf);
        k->leaf = TAKE(k->next);
    }
    mutex_unlock(&disks_lock);
    free(k->next);
    k->next = NULL;
}

/* The process is dead, and a snapshot may have been under way: it had happened to all disks only if all new files were there,
 * and to open the new ones is right from then on. Else no byte is in those that there are. */
static void resolve(struct entry *e)
{
    bool any = false, all = true;

    for (size_t i = 0; i < e->disks.n; i++) {
        const struct disk *k = &e->disks.v[i];
        any |= k->next != NULL;
        all &= !k->next || access(k->next, F_OK) == 0;
    }
    if (!any)
        return;
    for (size_t i = 0; i < e->disks.n; i++) {
        struct disk *k = &e->disks.v[i];
        if (k->next && !all)
            io_drop_file(k->next);
        moved(k, all);
    }
    AUTO(err_done) struct err err = { 0 };
    if (write_list(e, &err) < 0)
        log_warn("machine %s: %s", e->uuid, err.detail);
}

/* ---- the process -------------------------------------------------------------------------------------- */

struct watch {
    int pidfd;
    char uuid[UUID_TEXT_SIZE];
};

static void died(void *arg, uint32_t events)
{
    struct watch *w = arg;

    (void)events;
    loop_del(self.loop, w->pidfd);
    close_fd(&w->pidfd);
    restart_posted(str_dup(w->uuid));
    free(w);
}

static void watch_posted(void *arg)
{
    struct watch *w = arg;

    if (loop_add(self.loop, w->pidfd, EPOLLIN, died, w) == 0)
        return;
    log_error("machine %s: its disk process is not watched: %m", w->uuid);
    close_fd(&w->pidfd);
    free(w);
}

static void watch(const struct entry *e)
{
    struct watch *w = mem_alloc(sizeof(*w));

    memcpy(w->uuid, e->uuid, sizeof(w->uuid));
    w->pidfd = fcntl(e->proc.pidfd, F_DUPFD_CLOEXEC, 0);
    loop_post(self.loop, watch_posted, w);
}

/* Its events, for as long as it lives. */
struct listener {
    int fd;
    char uuid[UUID_TEXT_SIZE];
    VEC(char *) stopped; /* ids */
};

static void tell(struct listener *l, const char *id, const char *error)
{
    size_t i = 0;

    while (i < l->stopped.n && !str_eq(l->stopped.v[i], id))
        i++;
    if (error && i == l->stopped.n)
        vec_push(&l->stopped, str_dup(id));
    self.on_stop(l->uuid, id, error);
    if (error || i == l->stopped.n)
        return;
    free(l->stopped.v[i]);
    vec_remove(&l->stopped, i);
}

static void deaf(struct listener *l)
{
    while (l->stopped.n) { /* the next one tells anew */
        AUTO(free_str) char *id = str_dup(l->stopped.v[0]);
        tell(l, id, NULL);
    }
    vec_done(&l->stopped);
    close_fd(&l->fd);
    free(l);
}

static void heard(void *arg, uint32_t events)
{
    struct listener *l = arg;
    char text[4096];
    ssize_t n = recv(l->fd, text, sizeof(text) - 1, MSG_DONTWAIT);

    (void)events;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        loop_del(self.loop, l->fd);
        deaf(l);
        return;
    }
    text[n] = '\0';
    AUTO(free_str) char *name = disks_control_value(text, "name");
    AUTO(free_str) char *id = disks_control_value(text, "id");
    AUTO(free_str) char *error = disks_control_value(text, "error");
    if (name && id)
        tell(l, id, str_eq(name, "stopped") ? error : NULL);
}

static void listen_posted(void *arg)
{
    struct listener *l = arg;

    if (loop_add(self.loop, l->fd, EPOLLIN, heard, l) < 0)
        deaf(l);
}

static void listen_to(const struct entry *e)
{
    AUTO(free_str) char *dir = path_of(e, NULL);
    AUTO(close_fd) int fd = disks_control_connect(dir, CONTROL);
    struct listener *l;

    if (fd < 0 || !self.on_stop)
        return;
    l = mem_alloc(sizeof(*l));
    memcpy(l->uuid, e->uuid, sizeof(l->uuid));
    l->fd = TAKE_FD(fd);
    loop_post(self.loop, listen_posted, l);
}

void disks_on_stop(void (*fn)(const char *vm_uuid, const char *id, const char *error))
{
    self.on_stop = fn;
}

static int open_file(const struct entry *e, const char *name, int flags)
{
    AUTO(free_str) char *path = path_of(e, name);

    return open(path, O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
}

/* lock: of a new directory, else -1. */
static int spawn(struct entry *e, int lock, struct err *err)
{
    AUTO(free_str) char *dir = path_of(e, NULL);
    AUTO(close_fd) int locked = lock >= 0 ? lock : open_file(e, "lock", O_RDONLY);
    AUTO(close_fd) int pid = open_file(e, "pid", O_WRONLY | O_TRUNC);
    AUTO(close_fd) int log = open_file(e, "disk.log", O_WRONLY | O_APPEND);
    AUTO(close_fd) int control = disks_control_listen(dir, CONTROL);
    const char *const argv[] = { self.binary, "--control-fd", "3", NULL };
    const struct proc_fd fds[] = {
        { log, 1 }, { log, 2 }, { control, FD_CONTROL }, { locked, FD_LOCK }
    };
    struct proc_spec ps = { .argv = argv,
                            .fds = fds,
                            .n_fds = ARRAY_SIZE(fds),
                            .cwd = dir,
                            .pid_fd = pid,
                            .session = true };

    if (locked < 0 || pid < 0 || log < 0 || control < 0
        || (lock < 0 && flock(locked, LOCK_EX | LOCK_NB) < 0))
        return failed(err, "Preparing", dir);
    struct proc p;
    if (proc_start(&ps, &p) < 0)
        return failed(err, "Starting", self.binary);
    mutex_lock(&disks_lock);
    proc_close(&e->proc);
    e->proc = p;
    mutex_unlock(&disks_lock);
    watch(e);
    listen_to(e);
    return 0;
}

static int ask(const struct entry *e, const struct buf *request, int fd,
               const struct deadline *d, struct err *err)
{
    AUTO(free_str) char *dir = path_of(e, NULL);

    return disks_control_ask(dir, CONTROL, request, fd, d, NULL, err);
}

static void add_set(struct buf *b, const struct disks_set *s)
{
    buf_addf(b, "enospc=%s\neio=%s\niops=%llu\nbytes-per-second=%llu\n",
             s->report_enospc ? "report" : "stop", s->stop_eio ? "stop" : "report",
             (unsigned long long)s->iops, (unsigned long long)s->bytes_per_second);
}

static int open_disk(const struct entry *e, struct disk *k, const struct deadline *d,
                     struct err *err)
{
    AUTO(buf_done) struct buf b = BUF_INIT(8000);

    if (strchr(k->leaf, '\n'))
        return err_set(err, ERR_INVALID_VALUE, "device_config:location", k->leaf);
    if (k->listen_fd < 0) {
        AUTO(free_str) char *path = str_fmt("%s/nbd/%s/%s.sock", self.dir, e->uuid, k->id);
        AUTO(close_fd) int dir = disks_dir(e->uuid);

        if (dir < 0)
            return failed(err, "Making the directory of", path);
        /* A machine in its jail is another user, whom only that directory is shown. */
        k->listen_fd = io_listen_unix(path, root_get()->jailed ? 0666 : 0600, NBD_BACKLOG);
        if (k->listen_fd < 0)
            return failed(err, "Listening on", path);
    }
    buf_addf(&b, "open\nid=%s\npath=%s\nnbd-fd=yes\nwrite=%s\n", k->id, k->leaf,
             k->read_only ? "no" : "yes");
    add_set(&b, &k->set);
    if (!k->read_only)
        buf_addf(&b, "journal=%s." JOURNAL "\n", k->id); /* in its working directory */
    return ask(e, &b, k->listen_fd, d, err);
}

static int open_disks(const struct entry *e, const struct deadline *d, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < e->disks.n; i++) /* all: each may owe something to its image */
        if (open_disk(e, &e->disks.v[i], d, rc == 0 ? err : NULL) < 0)
            rc = -1;
    return rc;
}

static void end_process(struct entry *e, bool force)
{
    AUTO(buf_done) struct buf b = BUF_INIT(64);
    struct deadline d = deadline_in(END_US);

    buf_add_str(&b, "quit\n");
    if (!alive(e))
        return;
    if (force || ask(e, &b, -1, &d, NULL) < 0
        || deadline_poll(&d, e->proc.pidfd, POLLIN) < 0) {
        if (!force)
            log_warn("machine %s: its disk process does not end: ending it by force",
                     e->uuid);
        IGNORE(proc_kill(&e->proc, SIGKILL)); /* gone already */
        d = deadline_in(END_US);
        IGNORE(deadline_poll(&d, e->proc.pidfd, POLLIN));
    }
}

/* Another process for the disks of a machine. */
static int restart(struct entry *e, struct err *err)
{
    struct deadline d = deadline_in(ASK_US);

    resolve(e);
    if (spawn(e, -1, err) < 0)
        return -1;
    return open_disks(e, &d, err);
}

/* Is there a journal of a disk (id NULL: of any)? One that is closed well has none. */
static bool owes(const struct entry *e, const char *id)
{
    bool there = false;

    for (size_t i = 0; i < e->disks.n && !there; i++) {
        AUTO(free_str) char *name = str_fmt("%s." JOURNAL, e->disks.v[i].id);
        AUTO(free_str) char *path = path_of(e, name);
        there = (!id || str_eq(id, e->disks.v[i].id)) && access(path, F_OK) == 0;
    }
    return there;
}

/* It has died with what it owed an image: another one pays that first. */
static void recover(struct entry *e)
{
    AUTO(err_done) struct err err = { 0 };

    if (owes(e, NULL) && !alive(e) && restart(e, &err) < 0) {
        AUTO(free_str) char *text = err_text(&err);
        log_error("machine %s: its disks cannot be closed: %s", e->uuid, text);
    }
}

/* The process ends, and its images have what it wrote, unless the storage does not take it: as in a power cut, what nobody
 * has flushed may be lost then. */
static void close_well(struct entry *e)
{
    recover(e);
    end_process(e, false);
    if (alive(e) || !owes(e, NULL))
        return;
    recover(e); /* it died of closing */
    end_process(e, false);
    if (owes(e, NULL))
        log_error("machine %s: what it wrote last and did not flush is lost", e->uuid);
}

static void restart_posted(void *arg)
{
    AUTO(free_str) char *uuid = arg;
    AUTO(err_done) struct err err = { 0 };
    struct entry *e;
    bool mine;

    mutex_lock(&disks_lock);
    e = find(uuid);
    mine = e && !e->busy && !e->ending;
    if (mine)
        e->busy = true;
    else if (e)
        e->look = true; /* who has it tells us again */
    mutex_unlock(&disks_lock);
    if (!mine)
        return;
    if (alive(e)) {
        unclaim(e, false);
        return;
    }
    log_warn("machine %s: its disk process has died; starting another", uuid);
    if (restart(e, &err) == 0) {
        unclaim(e, false);
        return;
    }
    AUTO(free_str) char *text = err_text(&err);
    log_error("machine %s: its disks cannot be served: %s", uuid, text);
    end_process(e, true);
    mutex_lock(&disks_lock);
    e->busy = false;
    cond_broadcast(&changed);
    mutex_unlock(&disks_lock);
    IGNORE((int)loop_timer(self.loop, AGAIN_US, restart_posted, str_dup(uuid)));
}

static void *thread_main(void *arg)
{
    (void)arg;
    if (loop_run(self.loop) < 0)
        log_error("disk processes: %m");
    return NULL;
}

int disks_init(const char *runtime_dir, const char *binary, struct err *err)
{
    self.dir = str_fmt("%s/disks", runtime_dir);
    self.binary = str_dup(binary);
    if (disks_job_init(self.dir, binary, err) < 0)
        return -1;
    self.loop = loop_new();
    cond_init(&changed);
    if (thread_start(&self.thread, "disks", 0, thread_main, NULL) == 0)
        return 0;
    (void)err_set(err, ERR_INTERNAL_ERROR, "disks");
    return err_detail(err, "starting a thread: %m");
}

void disks_done(void)
{
    if (!self.loop)
        return;
    loop_stop(self.loop);
    (void)pthread_join(self.thread, NULL);
    mutex_lock(&disks_lock);
    list_for_each_safe(it, &entries) {
        struct entry *e = list_entry(it, struct entry, link);
        list_remove(&e->link);
        entry_free(e);
    }
    mutex_unlock(&disks_lock);
    loop_free(self.loop);
    disks_job_done();
    free_str(&self.dir);
    free_str(&self.binary);
    self.loop = NULL;
}

/* ---- start and end ------------------------------------------------------------------------------------- */

static void drop_dir(const char *vm_uuid)
{
    AUTO(free_str) char *path = str_fmt("%s/nbd/%s", self.dir, vm_uuid);

    if (io_remove_tree(path) < 0 && errno != ENOENT)
        log_warn("%s: %m", path);
}

static void drop(struct entry *e)
{
    machine_dir_remove(self.dir, e->uuid);
    unclaim(e, true);
}

static int start(struct entry *e, const struct deadline *d, struct err *err)
{
    int lock = -1;

    if (machine_dir_create(self.dir, e->uuid, &lock, err) < 0)
        return -1;
    if (write_list(e, err) < 0) {
        close_fd(&lock);
        return -1;
    }
    (void)FAILPOINT("disks.start.listed");
    if (spawn(e, lock, err) < 0)
        return -1;
    (void)FAILPOINT("disks.start.spawned");
    return open_disks(e, d, err);
}

/* One writer, or readers: no other machine's process has a leaf that this one is to write, or writes one that this reads. */
static bool taken(const struct disks_disk *disks, size_t n) REQUIRES(disks_lock)
{
    list_for_each(it, &entries) {
        const struct entry *e = list_entry(it, struct entry, link);
        for (size_t i = 0; i < e->disks.n * n; i++) {
            const struct disk *k = &e->disks.v[i / n];
            const struct disks_disk *want = &disks[i % n];
            if ((!k->read_only || !want->read_only) && str_eq(k->leaf, want->leaf))
                return true;
        }
    }
    return false;
}

static int stop(const char *vm_uuid, struct err *err);

int disks_start(const char *vm_uuid, const struct disks_disk *disks, size_t n,
                const struct deadline *d, struct err *err)
{
    if (stop(vm_uuid, err) < 0) /* of a machine that has died */
        return -1;
    struct entry *e = claim(vm_uuid, true);
    e->ending = true; /* not to be started again before it is whole */
    mutex_lock(&disks_lock);
    bool in_use = taken(disks, n);
    for (size_t i = 0; i < n && !in_use; i++) {
        struct disk k = { .leaf = str_dup(disks[i].leaf),
                          .read_only = disks[i].read_only,
                          .set = disks[i].set,
                          .listen_fd = -1 };
        memcpy(k.id, disks[i].id, sizeof(k.id));
        vec_push(&e->disks, k);
    }
    mutex_unlock(&disks_lock);
    if (in_use) {
        unclaim(e, true);
        return err_set(err, ERR_VDI_IN_USE, "", "attach");
    }
    if (start(e, d, err) < 0) {
        end_process(e, true);
        drop(e);
        return -1;
    }
    e->ending = false;
    unclaim(e, false);
    return 0;
}

static int stop(const char *vm_uuid, struct err *err)
{
    struct entry *e = self.loop ? claim(vm_uuid, false) : NULL;

    if (!e)
        return 0;
    e->ending = true;
    close_well(e);
    if (alive(e)) {
        e->ending = false;
        unclaim(e, false);
        return err_set(err, ERR_INTERNAL_ERROR, "the disk process does not end");
    }
    (void)FAILPOINT("disks.stop.ended");
    drop(e);
    return 0;
}

int disks_stop(const char *vm_uuid, struct err *err)
{
    if (stop(vm_uuid, err) < 0)
        return -1;
    if (self.loop)
        drop_dir(vm_uuid);
    return 0;
}

static void forget(struct entry *e, const char *id)
{
    mutex_lock(&disks_lock);
    for (size_t i = e->disks.n; i-- > 0;)
        if (str_eq(e->disks.v[i].id, id)) {
            free(e->disks.v[i].leaf);
            free(e->disks.v[i].next);
            close_fd(&e->disks.v[i].listen_fd);
            vec_remove(&e->disks, i);
        }
    mutex_unlock(&disks_lock);
    AUTO(free_str) char *name = str_fmt("%s." JOURNAL, id);
    AUTO(free_str) char *journal = path_of(e, name);
    AUTO(free_str) char *sock = str_fmt("%s/nbd/%s/%s.sock", self.dir, e->uuid, id);
    (void)unlink(sock);       /* the next attempt makes its own */
    if (unlink(journal) == 0) /* its image may be another's from now on */
        log_warn("machine %s: disk %s was not closed well", e->uuid, id);
    IGNORE(write_list(e, NULL)); /* it would be opened again, and closed with the machine */
}

int disks_add(const char *vm_uuid, const struct disks_disk *disk, const struct deadline *d,
              struct err *err)
{
    struct disk k = { .read_only = disk->read_only, .set = disk->set, .listen_fd = -1 };
    bool in_use;

    if (!disks_serves(vm_uuid))
        return disks_start(vm_uuid, disk, 1, d, err);
    disks_remove(vm_uuid, disk->id); /* of an earlier attempt */
    struct entry *e = claim(vm_uuid, false);
    if (!e)
        return disks_start(vm_uuid, disk, 1, d, err);
    mutex_lock(&disks_lock);
    in_use = taken(disk, 1);
    if (!in_use) {
        k.leaf = str_dup(disk->leaf);
        memcpy(k.id, disk->id, sizeof(k.id));
        vec_push(&e->disks, k);
    }
    mutex_unlock(&disks_lock);
    int rc = in_use ? err_set(err, ERR_VDI_IN_USE, "", "attach") : write_list(e, err);
    (void)FAILPOINT("disks.add.listed");
    if (rc == 0) /* the next process opens all */
        rc = alive(e) ? open_disk(e, &e->disks.v[e->disks.n - 1], d, err) : restart(e, err);
    if (rc < 0)
        forget(e, disk->id);
    unclaim(e, false);
    return rc;
}

void disks_remove(const char *vm_uuid, const char *id)
{
    AUTO(buf_done) struct buf b = BUF_INIT(256);
    struct deadline d = deadline_in(END_US);
    struct entry *e = self.loop ? claim(vm_uuid, false) : NULL;

    if (!e)
        return;
    if (disk_of(e, id)) {
        recover(e);
        buf_addf(&b, "close\nid=%s\n", id);
        if (ask(e, &b, -1, &d, NULL) < 0)
            log_debug("machine %s: disk %s was not open", vm_uuid, id);
        if (owes(e, id)) {
            end_process(e, true); /* the next one pays, and has all disks open again */
            recover(e);
            IGNORE(ask(e, &b, -1, &d, NULL)); /* forget() tells */
        }
        forget(e, id);
    }
    unclaim(e, false);
}

int disks_set(const char *vm_uuid, const char *id, const struct disks_set *set,
              struct err *err)
{
    AUTO(buf_done) struct buf b = BUF_INIT(512);
    struct deadline d = deadline_in(END_US);
    struct entry *e = self.loop ? claim(vm_uuid, false) : NULL;
    int rc = 0;

    if (!e)
        return 0;
    struct disk *k = disk_of(e, id);
    if (k) {
        k->set = *set;
        rc = write_list(e, err);
        buf_addf(&b, "set\nid=%s\n", id);
        add_set(&b, set);
        if (rc == 0 && alive(e))
            rc = ask(e, &b, -1, &d, err);
    }
    unclaim(e, false);
    return rc;
}

char *disks_socket(const char *vm_uuid, const char *id)
{
    return root_get()->jailed ? str_fmt(ROOT_DISKS "/%s.sock", id)
                              : str_fmt("../../disks/nbd/%s/%s.sock", vm_uuid, id);
}

int disks_dir(const char *vm_uuid)
{
    AUTO(free_str) char *path = str_fmt("%s/nbd/%s", self.dir, vm_uuid);

    errno = ENOENT;
    if (!self.dir || io_mkdirs(path, 0700) < 0
        || (root_get()->jailed && chmod(path, 0711) < 0))
        return -1;
    return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/* ---- found again ---------------------------------------------------------------------------------------- */

static bool any_move(const struct entry *e)
{
    for (size_t i = 0; i < e->disks.n; i++)
        if (e->disks.v[i].next)
            return true;
    return false;
}

static void adopt_one(const char *uuid, void *arg)
{
    struct entry *e = claim(uuid, true);

    (void)arg;
    e->ending = true; /* whether it is to run again is known in disks_settle */
    bool lives = machine_dir_alive(self.dir, uuid, &e->proc) && e->proc.pidfd >= 0;
    if (lives) {
        watch(e);
        listen_to(e);
    }
    if (!read_list(e)) {
        end_process(e, true);
        drop(e);
        return;
    }
    /* A snapshot may be under way: it ends, the data is flushed, and what has become of it is seen. */
    if (lives && any_move(e))
        end_process(e, false);
    if (!alive(e))
        resolve(e);
    unclaim(e, false);
}

int disks_adopt(struct err *err)
{
    return machine_dir_each(self.dir, adopt_one, NULL, err);
}

/* Does the process serve all of the list? */
static bool is_whole(const struct entry *e)
{
    struct deadline d = deadline_in(END_US);

    for (size_t i = 0; i < e->disks.n; i++) {
        AUTO(buf_done) struct buf b = BUF_INIT(256);
        buf_addf(&b, "stats\nid=%s\n", e->disks.v[i].id);
        if (ask(e, &b, -1, &d, NULL) < 0)
            return false;
    }
    return true;
}

void disks_settle(bool (*lives)(const char *vm_uuid))
{
    VEC(char *) uuids = { 0 };

    mutex_lock(&disks_lock);
    list_for_each(it, &entries)
        vec_push(&uuids, str_dup(list_entry(it, struct entry, link)->uuid));
    mutex_unlock(&disks_lock);
    for (size_t i = 0; i < uuids.n; i++) {
        struct entry *e = claim(uuids.v[i], false);
        if (e && !lives(e->uuid)) {
            close_well(e);
            drop_dir(e->uuid);
            drop(e);
        } else if (e) {
            if (alive(e) && !is_whole(e))
                end_process(e, true);
            e->ending = false;
            unclaim(e, false); /* starts another where there is none */
        }
        free(uuids.v[i]);
    }
    vec_done(&uuids);
}

bool disks_serves(const char *vm_uuid)
{
    bool there;

    mutex_lock(&disks_lock);
    there = find(vm_uuid) != NULL;
    mutex_unlock(&disks_lock);
    return there;
}

int disks_pid(const char *vm_uuid)
{
    int pid;

    mutex_lock(&disks_lock);
    const struct entry *e = find(vm_uuid);
    pid = e && e->proc.pidfd >= 0 ? (int)e->proc.pid : -1;
    mutex_unlock(&disks_lock);
    return pid;
}

char *disks_leaf(const char *vm_uuid, const char *id)
{
    struct entry *e = self.loop ? claim(vm_uuid, false) : NULL;

    if (!e)
        return NULL;
    const struct disk *k = disk_of(e, id);
    char *leaf = k ? str_dup(k->leaf) : NULL;
    unclaim(e, false);
    return leaf;
}

void disks_each(void (*fn)(const char *vm_uuid, const char *id, const char *leaf,
                           bool read_only, void *arg),
                void *arg)
{
    mutex_lock(&disks_lock);
    list_for_each(it, &entries) {
        const struct entry *e = list_entry(it, struct entry, link);
        for (size_t i = 0; i < e->disks.n; i++)
            fn(e->uuid, e->disks.v[i].id, e->disks.v[i].leaf, e->disks.v[i].read_only, arg);
    }
    mutex_unlock(&disks_lock);
}

/* ---- changes of what is served --------------------------------------------------------------------------- */

static int not_served(const char *id, struct err *err)
{
    (void)err_set(err, ERR_SR_BACKEND_FAILURE, "ENOENT", "", id);
    return err_detail(err, "no disk process serves disk %s", id);
}

/* With a process: who needs one does not wait for the loop's thread to start another. NULL: err says why not. */
static struct entry *claim_live(const char *vm_uuid, struct err *err)
{
    struct entry *e = claim(vm_uuid, false);

    if (!e)
        (void)not_served(vm_uuid, err);
    if (!e || alive(e) || restart(e, err) == 0)
        return e;
    end_process(e, true);
    unclaim(e, false); /* tried again by and by */
    return NULL;
}

static int plan_moves(struct entry *e, const struct disks_move *moves, size_t n,
                      struct buf *request, struct err *err)
{
    buf_add_str(request, "snapshot\n");
    for (size_t i = 0; i < n; i++) {
        struct disk *k = disk_of(e, moves[i].id);
        if (!k)
            return not_served(moves[i].id, err);
        k->next = str_dup(moves[i].leaf);
        buf_addf(request, "id=%s\npath=%s\n", k->id, k->next);
    }
    if (buf_overflow(request))
        return err_set(err, ERR_SR_BACKEND_FAILURE, "EMSGSIZE", "",
                       "too many disks for one snapshot");
    return write_list(e, err);
}

static void all_moved(struct entry *e, bool forward)
{
    for (size_t i = 0; i < e->disks.n; i++)
        moved(&e->disks.v[i], forward);
}

/* It said no, or it died, or it does not answer (in time, or until the call was cancelled). Only in the first case is it
 * known what was done: else it must end before anybody trusts the files. */
static int snapshot_failed(struct entry *e, const struct disks_move *first, struct err *why,
                           struct err *err)
{
    const struct disk *k;
    bool refused = str_eq(why->code, ERR_SR_BACKEND_FAILURE) && why->n_params
                   && !str_eq(why->params[0], "EIO");

    if (alive(e) && refused) {
        all_moved(e, false);
        IGNORE(write_list(e, NULL)); /* a stale entry names a file that is not there */
    } else {
        end_process(e, true);
        resolve(e);
        recover(e); /* before anybody reads what is below the snapshot */
        k = disk_of(e, first->id);
        if (k && str_eq(k->leaf, first->leaf))
            return 0;
    }
    err_move(err, why);
    return -1;
}

int disks_snapshot(const char *vm_uuid, const struct disks_move *moves, size_t n,
                   const struct deadline *until, struct err *err)
{
    AUTO(buf_done) struct buf b = BUF_INIT(8000);
    AUTO(err_done) struct err why = { 0 };
    struct deadline d = deadline_sooner(until, ASK_US);
    struct entry *e = claim_live(vm_uuid, err);
    int rc;

    if (!e)
        return -1;
    rc = plan_moves(e, moves, n, &b, err);
    if (rc < 0) {
        all_moved(e, false);
        unclaim(e, false);
        return -1;
    }
    (void)FAILPOINT("disks.snapshot.listed");
    rc = ask(e, &b, -1, &d, &why);
    (void)FAILPOINT("disks.snapshot.done");
    if (rc < 0) {
        rc = snapshot_failed(e, moves, &why, err);
    } else {
        all_moved(e, true);
        IGNORE(write_list(e, NULL)); /* until it is written the files say the same */
    }
    unclaim(e, false);
    return rc;
}

static int ask_about(const char *vm_uuid, const struct buf *request,
                     const struct deadline *until, struct err *err)
{
    struct deadline d = deadline_sooner(until, ASK_US);
    struct entry *e = claim_live(vm_uuid, err);
    int rc;

    if (!e)
        return -1;
    rc = ask(e, request, -1, &d, err);
    unclaim(e, false);
    return rc;
}

int disks_resize(const char *vm_uuid, const char *id, uint64_t bytes,
                 const struct deadline *d, struct err *err)
{
    AUTO(buf_done) struct buf b = BUF_INIT(256);

    buf_addf(&b, "resize\nid=%s\nbytes=%llu\n", id, (unsigned long long)bytes);
    return ask_about(vm_uuid, &b, d, err);
}

int disks_track(const char *vm_uuid, const char *id, struct err *err)
{
    AUTO(buf_done) struct buf b = BUF_INIT(256);
    struct deadline d = deadline_in(ASK_US);

    buf_addf(&b, "track\nid=%s\n", id);
    return ask_about(vm_uuid, &b, &d, err);
}

/* ---- merges: the entry is not claimed for as long as they last ----------------------------------------- */

static char *served_dir(const char *vm_uuid, const char *id, char **leaf_out)
{
    struct entry *e = self.loop ? claim(vm_uuid, false) : NULL;
    char *dir = NULL;

    if (!e)
        return NULL;
    const struct disk *k = disk_of(e, id);
    if (k) {
        dir = path_of(e, NULL);
        *leaf_out = str_dup(k->leaf);
    }
    unclaim(e, false);
    return dir;
}

int disks_merge(const char *vm_uuid, const char *id, const struct deadline *d,
                struct err *err)
{
    AUTO(buf_done) struct buf b = BUF_INIT(256);
    AUTO(err_done) struct err why = { 0 };
    AUTO(free_str) char *leaf = NULL;
    AUTO(free_str) char *dir = served_dir(vm_uuid, id, &leaf);
    struct deadline soon = deadline_in(END_US);

    if (!dir)
        return not_served(id, err);
    buf_addf(&b, "merge\nid=%s\n", id);
    if (disks_control_ask(dir, CONTROL, &b, -1, d, NULL, &why) == 0)
        return 0;
    struct pollfd p = { .fd = d->cancel_fd, .events = POLLIN };
    if (!deadline_passed(d) && poll(&p, 1, 0) <= 0) {
        err_move(err, &why);
        return -1;
    }
    buf_clear(&b);
    buf_addf(&b, "merge-stop\nid=%s\n", id);
    IGNORE(disks_control_ask(dir, CONTROL, &b, -1, &soon, NULL, NULL)); /* it has died */
    return err_set(err, ERR_TASK_CANCELLED, "");
}

int disks_relink(const char *vm_uuid, const char *id, const char *volume, struct err *err)
{
    AUTO(buf_done) struct buf b = BUF_INIT(8000);
    AUTO(err_done) struct err why = { 0 };
    AUTO(free_str) char *leaf = NULL;
    AUTO(free_str) char *dir = served_dir(vm_uuid, id, &leaf);
    struct deadline d = deadline_in(ASK_US);
    const char *slash = leaf ? strrchr(leaf, '/') : NULL;

    if (!dir || !slash)
        return 0;
    buf_addf(&b, "relink\nid=%s\npath=%.*s/%s.vhd\n", id, (int)(slash - leaf), leaf,
             volume);
    if (disks_control_ask(dir, CONTROL, &b, -1, &d, NULL, &why) == 0)
        return 0;
    err_move(err, &why);
    return -1;
}
