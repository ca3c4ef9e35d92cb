/* SPDX-License-Identifier: Apache-2.0 */
/* Writing the audit log. Whoever has a record puts it into a queue; the first who finds nobody writing takes the whole queue,
 * numbers and chains it, and writes it with one pwrite; the first who then finds nobody syncing makes all that is written
 * durable with one fdatasync. Nobody holds the lock meanwhile: "writing" and "syncing" keep others out.
 *
 * When a write fails (disk full), the file is cut back to its last whole record and the intents of that batch fail; their
 * calls do not act. Outcomes of calls that have acted are kept in memory and tried again. After a failed fdatasync it is
 * unknown what is on the disk (see store_sqlite.c): every later intent fails until a restart.
 *
 * Threads: any; one of its own makes outcomes durable after a while, removes old files and tells of refusals that were
 * only counted. */
#include "model/audit.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/vec.h"
#include "model/reserve.h"

#define FILE_BYTES ((uint64_t)8 << 20)
#define KEEP_US    ((int64_t)AUDIT_KEEP_DAYS * 24 * 3600 * US_PER_SEC)
#define SYNC_AFTER_US \
    (3 * US_PER_SEC) /* an outcome waits no longer for an intent to share with */
#define TEND_US       (3600 * US_PER_SEC)
#define UNSAVED_MAX   10000
#define REFUSED_BURST 200.0
#define REFUSED_PER_S 20.0

/* On the stack of whoever waits for it to be settled. */
struct entry {
    struct list link;
    json_t *rec;
    const char *kind;
    uint64_t n; /* its number, once written */
    bool settled;
    int failed; /* errno */
};

/* Where the log ends. */
struct tail {
    int fd;
    unsigned file;
    uint64_t size, n;
    struct auditlog_chain chain;
};

typedef VEC(uint64_t) numbers;

static struct mutex lock = MUTEX_INIT;

static struct {
    bool open;
    char *dir;
    int head_fd;
    int64_t keep_us;
    uint64_t file_bytes;
    struct tail tail;
    uint64_t durable;      /* all up to it are on the disk */
    numbers under_way;     /* intents without outcome */
    struct list queue;     /* struct entry */
    VEC(json_t *) unsaved; /* outcomes that could not be written, to be tried again */
    bool writing, syncing, stopping;
    int broken;      /* errno of an fdatasync */
    int64_t sync_at; /* when the thread makes the rest durable; INT64_MAX: nothing is due */
    int64_t tend_at;
    double refused_tokens;
    int64_t refused_at;
    uint64_t suppressed;
    struct cond changed; /* written, durable, not writing */
    struct cond work;    /* the thread waits */
    pthread_t thread;
} audit GUARDED_BY(lock);

static struct reserve reserve = {
    .fd = -1
}; /* opened before, and closed after, anybody asks for it */

static int fail_errno(struct err *err, int e, const char *dir)
{
    errno = e;
    if (e == ENOSPC || e == EDQUOT || e == EFBIG) {
        (void)err_set(err, ERR_OUT_OF_SPACE, dir);
        return err_detail(err, "no space left for the audit log in %s", dir);
    }
    AUTO(free_str) char *text = str_fmt("the audit log in %s cannot be written: %m", dir);
    (void)err_set(err, ERR_INTERNAL_ERROR, text);
    return err_detail(err, "%s", text);
}

/* Records */

static char *now_text(void)
{
    int64_t us = clock_wall_us();
    time_t s = (time_t)(us / US_PER_SEC);
    struct tm tm;
    char date[32] = "";
    if (gmtime_r(&s, &tm))
        (void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    return str_fmt("%s.%06dZ", date, (int)(us % US_PER_SEC));
}

static void add_record(struct tail *t, struct buf *out, const char *kind, json_t *members)
{
    AUTO(free_str) char *now = now_text();
    json_t *rec = json_pack("{sI,ss,ss}", "n", (json_int_t)++t->n, "time", now, "kind",
                            kind);
    json_object_update(rec, members);
    char *text = json_dumps(rec, JSON_COMPACT);
    auditlog_add(&t->chain, out, text ? text : "{}");
    free(text);
    json_decref(rec);
}

static void under_way_remove(numbers *v, uint64_t n)
{
    for (size_t i = 0; i < v->n; i++) {
        if (v->v[i] == n) {
            v->v[i] = v->v[--v->n];
            return;
        }
    }
}

/* Files */

static int write_at(struct tail *t, const struct buf *text)
{
    if (io_pwrite_full(t->fd, text->data, text->len, t->size) < 0) {
        int e = errno;
        if (ftruncate(t->fd, (off_t)t->size) < 0)
            log_error("the audit log could not be cut back: %m");
        errno = e;
        return -1;
    }
    t->size += text->len;
    return 0;
}

/* Begin file number t->file + 1; t then stands behind its first record, on the disk. */
static int next_file(struct tail *t, const char *dir, const numbers *under_way,
                     const char *damage)
{
    struct tail next = *t;
    next.file++;
    next.size = 0;
    AUTO(free_str) char *name = auditlog_file_name(next.file);
    AUTO(free_str) char *path = str_fmt("%s/%s", dir, name);
    AUTO(buf_done) struct buf text = BUF_INIT(0);
    json_t *ids = json_array();
    for (size_t i = 0; i < under_way->n; i++)
        json_array_append_new(ids, json_integer((json_int_t)under_way->v[i]));
    json_t *rec = json_pack("{sI,ss,so}", "file", (json_int_t)next.file, "previous",
                            t->chain.hash, "open", ids);
    if (damage)
        json_object_set_new(rec, "damage", json_string(damage));
    add_record(&next, &text, "begin", rec);
    json_decref(rec);
    AUTO(close_fd)
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    next.fd = fd;
    if (fd < 0 || write_at(&next, &text) < 0 || fdatasync(fd) < 0
        || io_fsync_dir(dir) < 0) {
        int e = errno;
        if (fd >= 0)
            (void)unlink(path); /* an empty one that stays is removed at the next start */
        errno = e;
        return -1;
    }
    next.fd = TAKE_FD(fd);
    close_fd(&t->fd);
    *t = next;
    return 0;
}

static void write_head(int fd, uint64_t n, const struct auditlog_chain *chain)
{
    AUTO(free_str) char *text = str_fmt("%020llu %s\n", (unsigned long long)n, chain->hash);
    if (fd >= 0 && io_pwrite_full(fd, text, strlen(text), 0) < 0)
        log_warn("the head of the audit log: %m"); /* only less to check against */
}

/* The queue */

/* Nobody else writes. The file is left only when all of it is on the disk. */
static int rotate(void) REQUIRES(lock)
{
    while (audit.syncing)
        cond_wait(&audit.changed, &lock);
    audit.syncing = true;
    struct tail t = audit.tail;
    numbers open = { 0 };
    for (size_t i = 0; i < audit.under_way.n; i++)
        vec_push(&open, audit.under_way.v[i]);
    const char *dir = audit.dir;
    mutex_unlock(&lock);
    int rc = fdatasync(t.fd) < 0 ? -1 : next_file(&t, dir, &open, NULL);
    int e = errno;
    vec_done(&open);
    mutex_lock(&lock);
    audit.syncing = false;
    if (rc == 0) {
        audit.tail = t;
        audit.durable = t.n;
        audit.tend_at = 0;
        cond_signal(&audit.work);
    }
    errno = e;
    return rc;
}

static void render(struct list *batch, struct tail *t, struct buf *out) REQUIRES(lock)
{
    for (size_t i = 0; i < audit.unsaved.n; i++)
        add_record(t, out, "outcome", audit.unsaved.v[i]);
    list_for_each(it, batch) {
        struct entry *e = list_entry(it, struct entry, link);
        add_record(t, out, e->kind, e->rec);
        e->n = t->n;
    }
}

static void outcome_written(const json_t *rec) REQUIRES(lock)
{
    under_way_remove(&audit.under_way,
                     (uint64_t)json_integer_value(json_object_get(rec, "of")));
}

static void settle(struct list *batch, int failed) REQUIRES(lock)
{
    for (size_t i = 0; !failed && i < audit.unsaved.n; i++) {
        outcome_written(audit.unsaved.v[i]);
        json_decref(audit.unsaved.v[i]);
    }
    if (!failed)
        audit.unsaved.n = 0;
    while (!list_empty(batch)) {
        struct entry *e = list_entry(batch->next, struct entry, link);
        bool outcome = str_eq(e->kind, "outcome");
        list_remove(&e->link);
        if (!failed && str_eq(e->kind, "intent"))
            vec_push(&audit.under_way, e->n);
        if (!failed && outcome)
            outcome_written(e->rec);
        if (failed && outcome && audit.unsaved.n < UNSAVED_MAX)
            vec_push(&audit.unsaved, json_incref(e->rec));
        e->failed = failed;
        e->settled = true;
    }
}

/* Something is written that no intent waits for. */
static void sync_soon(void) REQUIRES(lock)
{
    if (audit.sync_at != INT64_MAX)
        return;
    audit.sync_at = clock_now_us() + SYNC_AFTER_US;
    cond_signal(&audit.work);
}

/* Write all that is queued. Nobody else writes. */
static int write_queue(void) REQUIRES(lock)
{
    struct list batch;
    AUTO(buf_done) struct buf text = BUF_INIT(0);
    audit.writing = true;
    int failed = audit.broken;
    if (!failed && audit.tail.size >= audit.file_bytes && rotate() < 0)
        failed = errno;
    list_init(&batch);
    while (!list_empty(&audit.queue)) {
        struct list *first = audit.queue.next;
        list_remove(first);
        list_add_tail(&batch, first);
    }
    struct tail t = audit.tail;
    render(&batch, &t, &text);
    mutex_unlock(&lock);
    if (!failed && write_at(&t, &text) < 0)
        failed = errno;
    mutex_lock(&lock);
    if (!failed)
        audit.tail = t;
    settle(&batch, failed);
    sync_soon();
    audit.writing = false;
    cond_broadcast(&audit.changed);
    errno = failed;
    return failed ? -1 : 0;
}

/* Returns when the record is in the file. rec: borrowed. */
static int put(const char *kind, json_t *rec, uint64_t *n_out) REQUIRES(lock)
{
    struct entry e = { .rec = rec, .kind = kind };
    list_add_tail(&audit.queue, &e.link);
    while (!e.settled) {
        if (audit.writing)
            cond_wait(&audit.changed, &lock);
        else
            (void)!write_queue(); /* each entry learns it by itself */
    }
    *n_out = e.n;
    errno = e.failed;
    return e.failed ? -1 : 0;
}

/* Returns when all records up to n are on the disk. */
static int sync_to(uint64_t n) REQUIRES(lock)
{
    while (audit.durable < n && !audit.broken) {
        if (audit.syncing) {
            cond_wait(&audit.changed, &lock);
            continue;
        }
        struct tail t = audit.tail;
        int head_fd = audit.head_fd;
        audit.syncing = true;
        mutex_unlock(&lock);
        int e = fdatasync(t.fd) < 0 ? errno : 0;
        if (!e)
            write_head(head_fd, t.n, &t.chain);
        mutex_lock(&lock);
        audit.syncing = false;
        if (e)
            audit.broken = e;
        else
            audit.durable = MAX(audit.durable, t.n);
        cond_broadcast(&audit.changed);
    }
    errno = audit.broken;
    return audit.durable < n ? -1 : 0;
}

static int keep_reserve(bool frees)
{
    if (!frees)
        return reserve_keep(&reserve) ? 0 : -1;
    reserve_use(&reserve);
    return 0;
}

int audit_intent(json_t *rec, bool frees, uint64_t *n_out, struct err *err)
{
    int rc = keep_reserve(frees), e = errno;
    mutex_lock(&lock);
    assert(audit.open);
    (void)FAILPOINT("audit.intent");
    if (rc == 0) {
        rc = put("intent", rec, n_out);
        if (rc == 0)
            rc = sync_to(*n_out);
        e = errno;
    }
    (void)FAILPOINT("audit.intent.durable");
    AUTO(free_str) char *dir = str_dup(audit.dir);
    mutex_unlock(&lock);
    json_decref(rec);
    return rc < 0 ? fail_errno(err, e, dir) : 0;
}

/* What cannot be refused any more. */
static void put_anyway(const char *kind, json_t *rec) REQUIRES(lock)
{
    uint64_t n;
    if (put(kind, rec, &n) < 0)
        log_error("a record of the audit log could not be written: %m");
}

void audit_outcome(uint64_t of, json_t *rec)
{
    if (of != AUDIT_NONE) {
        json_object_set_new(rec, "of", json_integer((json_int_t)of));
        mutex_lock(&lock);
        (void)FAILPOINT("audit.outcome");
        put_anyway("outcome", rec);
        mutex_unlock(&lock);
    }
    json_decref(rec);
}

/* A refusal costs its sender nothing, so what it may cost us is bounded. */
static bool refusal_fits(void) REQUIRES(lock)
{
    int64_t now = clock_now_us();
    double earned = (double)(now - audit.refused_at) / (double)US_PER_SEC * REFUSED_PER_S;
    audit.refused_tokens = MIN(audit.refused_tokens + earned, REFUSED_BURST);
    audit.refused_at = now;
    if (audit.refused_tokens < 1) {
        audit.suppressed++;
        sync_soon();
        return false;
    }
    audit.refused_tokens -= 1;
    return true;
}

static void add_suppressed(json_t *rec) REQUIRES(lock)
{
    if (audit.suppressed)
        json_object_set_new(rec, "suppressed", json_integer((json_int_t)audit.suppressed));
    audit.suppressed = 0;
}

void audit_note(const char *kind, json_t *rec)
{
    bool refused = str_eq(kind, "refused");
    mutex_lock(&lock);
    if (audit.open && (!refused || refusal_fits())) {
        if (refused)
            add_suppressed(rec);
        put_anyway(kind, rec);
    }
    mutex_unlock(&lock);
    json_decref(rec);
}

/* Retention */

/* How many of the oldest files are too old. A file's newest record is as old as its last change. */
static unsigned too_old(const char *dir, unsigned first, unsigned current, int64_t keep_us)
{
    unsigned n = first;
    for (; n < current; n++) {
        AUTO(free_str) char *name = auditlog_file_name(n);
        AUTO(free_str) char *path = str_fmt("%s/%s", dir, name);
        struct stat st;
        if (stat(path, &st) == 0
            && (int64_t)st.st_mtime * US_PER_SEC >= clock_wall_us() - keep_us)
            break;
    }
    return n - first;
}

static void remove_files(const char *dir, unsigned first, unsigned n)
{
    for (unsigned i = first; i < first + n; i++) {
        AUTO(free_str) char *name = auditlog_file_name(i);
        AUTO(free_str) char *path = str_fmt("%s/%s", dir, name);
        io_drop_file(path);
    }
}

/* The record first: files that went without one read as removed by somebody. */
static void prune(void) REQUIRES(lock)
{
    const char *dir = audit.dir;
    unsigned current = audit.tail.file, first, last;
    int64_t keep_us = audit.keep_us;
    mutex_unlock(&lock);
    unsigned n = auditlog_files(dir, &first, &last) == 0 && first
                     ? too_old(dir, first, current, keep_us)
                     : 0;
    mutex_lock(&lock);
    if (n == 0)
        return;
    uint64_t number;
    json_t *rec = json_pack("{sI}", "files", (json_int_t)(first + n - 1));
    int rc = put("pruned", rec, &number);
    json_decref(rec);
    if (rc < 0 || sync_to(number) < 0)
        return;
    mutex_unlock(&lock);
    remove_files(dir, first, n);
    mutex_lock(&lock);
}

/* The thread */

static void tend(void) REQUIRES(lock)
{
    int64_t now = clock_now_us();
    if (now >= audit.sync_at) {
        audit.sync_at = INT64_MAX;
        if (audit.suppressed) {
            json_t *rec = json_object();
            add_suppressed(rec);
            put_anyway("refused", rec);
            json_decref(rec);
        }
        if (audit.unsaved.n && !audit.writing)
            (void)!write_queue(); /* tried again later */
        if (sync_to(audit.tail.n) < 0)
            log_error("the audit log does not reach its disk: %m");
        else if (!audit.unsaved.n)
            audit.sync_at = INT64_MAX; /* writing it had set this again */
    }
    if (now >= audit.tend_at) {
        audit.tend_at = now + TEND_US;
        prune();
    }
}

static void *audit_thread(void *arg)
{
    (void)arg;
    log_set_thread("audit");
    mutex_lock(&lock);
    while (!audit.stopping) {
        int64_t at = MIN(audit.sync_at, audit.tend_at);
        if (clock_now_us() >= at)
            tend();
        else
            (void)cond_wait_until(&audit.work, &lock, at); /* looks again either way */
    }
    mutex_unlock(&lock);
    return NULL;
}

/* Start and end */

struct opening {
    numbers under_way;
};

static bool collect(const json_t *rec, void *arg)
{
    struct opening *o = arg;
    const char *kind = json_string_value(json_object_get(rec, "kind"));
    size_t i;
    json_t *id;
    if (str_eq(kind, "begin")) {
        o->under_way.n = 0;
        json_array_foreach(json_object_get(rec, "open"), i, id)
        {
            vec_push(&o->under_way, (uint64_t)json_integer_value(id));
        }
    } else if (str_eq(kind, "intent")) {
        vec_push(&o->under_way, (uint64_t)json_integer_value(json_object_get(rec, "n")));
    } else if (str_eq(kind, "outcome")) {
        under_way_remove(&o->under_way,
                         (uint64_t)json_integer_value(json_object_get(rec, "of")));
    }
    return true;
}

/* The last file that holds anything; one that was only just made when the process died is removed. */
static int read_last(const char *dir, struct opening *o, struct auditlog_report *r,
                     struct err *err)
{
    unsigned first, last;
    for (;;) {
        if (auditlog_files(dir, &first, &last) < 0)
            return fail_errno(err, errno, dir);
        struct auditlog_query q = {
            .path = dir, .from_file = last, .fn = collect, .arg = o
        };
        if (auditlog_read(&q, r, err) < 0)
            return -1;
        if (!last || r->good_bytes || r->problem)
            return 0;
        AUTO(free_str) char *name = auditlog_file_name(last);
        AUTO(free_str) char *path = str_fmt("%s/%s", dir, name);
        auditlog_report_done(r);
        if (unlink(path) < 0)
            return fail_errno(err, errno, path);
    }
}

/* Stand behind the last good record. */
static int find_tail(const char *dir, struct opening *o, struct tail *t, struct err *err)
{
    struct auditlog_report r = { 0 };
    if (read_last(dir, o, &r, err) < 0)
        return -1;
    *t = (struct tail){ .fd = -1, .file = r.last_file, .n = r.last, .chain = r.head };
    if (r.problem)
        log_error("the audit log in %s is not whole: %s", dir, r.problem);
    AUTO(free_str) char *damage = TAKE(r.problem);
    if (damage || !r.last_file)
        return next_file(t, dir, &o->under_way, damage) < 0 ? fail_errno(err, errno, dir)
                                                            : 0;
    AUTO(free_str) char *name = auditlog_file_name(r.last_file);
    AUTO(free_str) char *path = str_fmt("%s/%s", dir, name);
    t->size = r.good_bytes;
    t->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (t->fd < 0 || ftruncate(t->fd, (off_t)t->size) < 0)
        return fail_errno(err, errno, path);
    if (!r.torn_bytes)
        return 0;
    log_warn("%s ended with %llu bytes of a record that was cut short", path,
             (unsigned long long)r.torn_bytes);
    AUTO(buf_done) struct buf text = BUF_INIT(0);
    json_t *rec = json_pack("{sI}", "bytes", (json_int_t)r.torn_bytes);
    add_record(t, &text, "torn", rec);
    json_decref(rec);
    return write_at(t, &text) < 0 ? fail_errno(err, errno, path) : 0;
}

/* Calls that a dead process did not finish, or whose outcome a power cut took. */
static int settle_old(const char *dir, const struct opening *o, struct tail *t,
                      struct err *err)
{
    AUTO(buf_done) struct buf text = BUF_INIT(0);
    for (size_t i = 0; i < o->under_way.n; i++) {
        json_t *rec = json_pack("{sI,ss,ss}", "of", (json_int_t)o->under_way.v[i],
                                "outcome", "unknown", "why",
                                "seraid ended before it was recorded");
        add_record(t, &text, "outcome", rec);
        json_decref(rec);
    }
    if (text.len && write_at(t, &text) < 0)
        return fail_errno(err, errno, dir);
    return fdatasync(t->fd) < 0 ? fail_errno(err, errno, dir) : 0;
}

static int open_files(const char *dir, struct tail *t, int *head_fd_out, struct err *err)
{
    struct opening o = { 0 };
    AUTO(free_str) char *head = str_fmt("%s/head", dir);
    t->fd = -1;
    if (io_mkdirs(dir, 0700) < 0)
        return fail_errno(err, errno, dir);
    int rc = find_tail(dir, &o, t, err);
    if (rc == 0)
        rc = settle_old(dir, &o, t, err);
    vec_done(&o.under_way);
    if (rc < 0)
        return -1;
    *head_fd_out = open(head, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*head_fd_out < 0 || io_fsync_dir(dir) < 0)
        return fail_errno(err, errno, dir);
    write_head(*head_fd_out, t->n, &t->chain);
    return 0;
}

int audit_open(const struct audit_config *cfg, struct err *err)
{
    struct tail t = { .fd = -1 };
    int head_fd = -1;
    AUTO(free_str) char *dir = str_fmt("%s/audit", cfg->state_dir);
    if (open_files(dir, &t, &head_fd, err) < 0) {
        close_fd(&t.fd);
        close_fd(&head_fd);
        return -1;
    }
    reserve_open(&reserve, dir);
    mutex_lock(&lock);
    assert(!audit.open);
    audit.open = true;
    audit.dir = TAKE(dir);
    audit.head_fd = head_fd;
    audit.keep_us = cfg->keep_us ? cfg->keep_us : KEEP_US;
    audit.file_bytes = cfg->file_bytes ? cfg->file_bytes : FILE_BYTES;
    audit.tail = t;
    audit.durable = t.n;
    audit.sync_at = INT64_MAX;
    audit.tend_at = clock_now_us();
    audit.refused_tokens = REFUSED_BURST;
    audit.refused_at = clock_now_us();
    list_init(&audit.queue);
    cond_init(&audit.changed);
    cond_init(&audit.work);
    int rc = thread_start(&audit.thread, "audit", 1024, audit_thread, NULL);
    int e = errno;
    mutex_unlock(&lock);
    return rc < 0 ? fail_errno(err, e, "its thread") : 0;
}

void audit_close(void)
{
    mutex_lock(&lock);
    bool was_open = audit.open;
    audit.stopping = true;
    pthread_t thread = audit.thread;
    if (was_open)
        cond_signal(&audit.work);
    mutex_unlock(&lock);
    if (!was_open)
        return;
    int rc = pthread_join(thread, NULL);
    assert(rc == 0);
    (void)rc;
    mutex_lock(&lock);
    if (sync_to(audit.tail.n) < 0)
        log_error("the audit log does not reach its disk: %m");
    reserve_close(&reserve);
    close_fd(&audit.tail.fd);
    close_fd(&audit.head_fd);
    free(audit.dir);
    for (size_t i = 0; i < audit.unsaved.n; i++)
        json_decref(audit.unsaved.v[i]);
    vec_done(&audit.unsaved);
    vec_done(&audit.under_way);
    cond_done(&audit.changed);
    cond_done(&audit.work);
    memset(&audit, 0, sizeof(audit));
    mutex_unlock(&lock);
}

/* Reading */

const char *audit_dir(void)
{
    mutex_lock(&lock);
    const char *dir = audit.dir;
    mutex_unlock(&lock);
    return dir;
}

int audit_each(auditlog_fn fn, void *arg, struct err *err)
{
    struct auditlog_report r = { 0 };
    struct auditlog_query q = { .path = audit_dir(), .fn = fn, .arg = arg };
    int rc = auditlog_read(&q, &r, err);
    auditlog_report_done(&r);
    return rc;
}

int audit_verify(struct auditlog_report *out, struct err *err)
{
    struct auditlog_query q = { .path = audit_dir() };
    return auditlog_read(&q, out, err);
}
