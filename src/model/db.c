/* SPDX-License-Identifier: Apache-2.0 */
/* The database as its users see it: opening and loading, reading, and who has seen what. It owns the one
 * struct db; db_index.c holds the objects, tx.c changes them, db_commit.c makes changes durable.
 * It never does I/O under db_mutex, but for opening, when nobody else is there. Thread: any. */
#include "model/db.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "model/db_int.h"

struct mutex db_mutex = MUTEX_INIT;
struct db db;

/* What this thread has looked at and is not durable yet. epoch: how often something had been undone by then. */
static _Thread_local struct {
    uint64_t gen; /* the newest; 0: nothing */
    uint64_t epoch;
    bool lost; /* something of it was undone */
} seen;

void db_lock(void)
{
    mutex_lock(&db_mutex);
}

void db_unlock(void)
{
    mutex_unlock(&db_mutex);
}

/* Opening */

static int fail(struct err *err, const char *fmt, ...) PRINTF(2, 3);

static int fail(struct err *err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    AUTO(free_str) char *text = str_vfmt(fmt, ap);
    va_end(ap);
    (void)err_set(err, ERR_INTERNAL_ERROR, text);
    return err_detail(err, "%s", text);
}

static int refuse_in_use(const char *dir, int fd, struct err *err)
{
    char text[24] = "";
    int64_t pid;
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    if (n > 0 && text[n - 1] == '\n')
        text[n - 1] = '\0';
    if (!parse_range(text, 1, INT32_MAX, &pid))
        return fail(err, "state directory %s is in use by another seraid", dir);
    return fail(err, "state directory %s is in use by another seraid (pid %lld)", dir,
                (long long)pid);
}

/* One process per state directory: the lock goes with the process, however it ends. */
static int lock_dir(const char *dir, int *fd_out, struct err *err)
{
    if (io_mkdirs(dir, 0700) < 0)
        return fail(err, "state directory %s cannot be made: %m", dir);
    AUTO(free_str) char *path = str_fmt("%s/lock", dir);
    AUTO(close_fd) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fail(err, "state directory %s is not writable: %m", dir);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return refuse_in_use(dir, fd, err);
        return fail(err, "state directory %s cannot be locked: %m", dir);
    }
    AUTO(free_str) char *pid = str_fmt("%d\n", (int)getpid());
    if (ftruncate(fd, 0) < 0 || io_pwrite_full(fd, pid, strlen(pid), 0) < 0)
        log_debug("%s: %m", path); /* the lock holds without its text */
    *fd_out = TAKE_FD(fd);
    return 0;
}

void db_object_json(struct buf *out, const struct obj *o)
{
    const struct class_def *cls = &schema_classes[o->cls];
    char sep = '{';
    for (unsigned f = 0; f < cls->n_fields; f++) {
        if (cls->fields[f].is_volatile)
            continue;
        buf_add_char(out, sep);
        buf_add_char(out, '"');
        buf_add_str(out, cls->fields[f].name);
        buf_add_str(out, "\":");
        enc_value(out, ENC_JSON, cls->fields[f].ty, record_field(&cls->fields[f], o->rec));
        sep = ',';
    }
    if (sep == '{')
        buf_add_char(out, '{');
    if (o->extra)
        buf_add_str(out, sep == '{' ? o->extra + 1 : o->extra);
    buf_add_char(out, '}');
}

/* One stored member into its field. What this version cannot read (an enum value that is gone) is
 * replaced by the default, and said. */
static void load_field(const struct class_def *cls, const struct field_def *f, void *rec,
                       const json_t *value)
{
    AUTO(err_done) struct err err = { 0 };
    AUTO(free_ptr) void *tmp = mem_alloc(MAX((size_t)f->ty->size, (size_t)1));
    if (value_decode(f->ty, value, f->name, tmp, &err) < 0) {
        AUTO(free_str) char *text = err_text(&err);
        log_warn("stored %s.%s is replaced by its default: %s", cls->name, f->name, text);
        return;
    }
    void *at = record_field(f, rec);
    value_done(f->ty, at);
    memcpy(at, tmp, f->ty->size);
}

static void load_extra(struct buf *extra, const char *name, const json_t *value)
{
    buf_add_str(extra, ",\"");
    enc_json_text(extra, name);
    buf_add_str(extra, "\":");
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    buf_add_str(extra, text ? text : "null");
    free(text);
}

static bool load_object(const struct ref *ref, const char *cls_name, const char *json,
                        size_t len, void *arg, struct err *err) NO_TSA
{
    const struct class_def *cls = schema_class(cls_name);
    if (!cls || !cls->is_object) {
        log_warn("a stored object of unknown class %s is left alone", cls_name);
        return true;
    }
    char text[REF_TEXT_SIZE];
    ref_text(ref, text);
    json_error_t why;
    json_t *members = json_loadb(json, len, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(members)) {
        json_decref(members);
        (void)fail(err, "the database in %s is damaged: %s %s cannot be read",
                   (const char *)arg, cls_name, text);
        return false;
    }
    void *rec = record_new(cls);
    struct buf extra = BUF_INIT(0);
    const char *name;
    json_t *value;
    json_object_foreach(members, name, value)
    {
        const struct field_def *f = schema_field(cls, name);
        if (!f)
            load_extra(&extra, name, value);
        else if (!f->is_volatile)
            load_field(cls, f, rec, value);
    }
    json_decref(members);
    struct obj *o = db_index_obj_new((enum class_id)cls->id, ref, rec);
    o->extra = extra.len ? buf_take(&extra) : NULL;
    o->order = db.next_order++;
    db_index_link(o, NULL, NULL);
    return true;
}

static int load(struct err *err) REQUIRES(db_mutex)
{
    uint64_t limit = 0;
    if (db.ops->load(db.store, load_object, db.dir, &limit, err) < 0)
        return -1;
    db_index_fill_inverses();
    uint64_t gen = limit + 1;
    list_for_each(it, &db.changes) {
        struct obj *o = list_entry(it, struct obj, in_changes);
        o->created = o->modified = gen;
    }
    db.generation = db.durable = db.tombs_from = gen;
    db.gen_limit = gen + DB_GEN_STEP;
    return db.ops->commit(db.store, NULL, 0, db.gen_limit, err);
}

static void forget_all(void) REQUIRES(db_mutex)
{
    db_index_done();
    if (db.ops)
        db.ops->close(db.store);
    cond_done(&db.work);
    cond_done(&db.settled);
    cond_done(&db.news);
    err_done(&db.failure);
    close_fd(&db.lock_fd);
    free(db.dir);
    db = (struct db){ .lock_fd = -1 };
}

int db_open_with(const struct store_config *config, struct err *err)
{
    int fd;
    if (lock_dir(config->dir, &fd, err) < 0)
        return -1;
    db_lock();
    assert(!db.open);
    db = (struct db){ .lock_fd = fd, .dir = str_dup(config->dir) };
    db.ops = config->ops ? config->ops : &store_sqlite_ops;
    cond_init(&db.work);
    cond_init(&db.settled);
    cond_init(&db.news);
    db_index_init();
    int rc = db.ops->open(config, &db.store, err);
    if (rc == 0)
        rc = load(err);
    if (rc == 0)
        rc = db_commit_start(err);
    db.open = rc == 0;
    if (rc < 0)
        forget_all();
    db_unlock();
    return rc;
}

int db_open(const char *dir, struct err *err)
{
    struct store_config config = { .dir = dir };
    return db_open_with(&config, err);
}

void db_close(void)
{
    db_lock();
    bool was_open = db.open;
    db_unlock();
    if (!was_open)
        return;
    db_commit_stop();
    db_lock();
    forget_all();
    db_unlock();
}

/* Reading */

void db_see(uint64_t gen)
{
    if (gen <= db.durable || gen > db.generation) /* the latter: our own open transaction */
        return;
    if (seen.gen && seen.epoch != db.epoch && db_commit_undone(seen.gen))
        seen.lost =
            true; /* pending things are undone all together, so the newest speaks for all */
    seen.epoch = db.epoch;
    seen.gen = MAX(seen.gen, gen);
}

void db_seen_reset(void)
{
    seen.gen = 0;
    seen.lost = false;
}

int db_wait_seen(struct err *err)
{
    if (!seen.gen)
        return 0;
    db_lock();
    while (db.durable < seen.gen)
        cond_wait(&db.settled, &db_mutex);
    bool lost = seen.lost || db_commit_undone(seen.gen);
    if (lost) {
        (void)err_set_(err, db.failure.code, (const char *const *)db.failure.params,
                       db.failure.n_params);
        (void)err_detail(err, "what was read has been undone");
    }
    db_unlock();
    db_seen_reset();
    return lost ? -1 : 0;
}

static struct obj *find(enum class_id cls, const struct ref *ref) REQUIRES(db_mutex)
{
    struct obj *o = db_index_get(ref);
    if (!o || o->cls != cls) {
        db_see(db.cls[cls].shape_gen); /* that it is not there may be news as well */
        return NULL;
    }
    db_see(o->modified);
    return o;
}

const void *db_get(enum class_id cls, const struct ref *ref)
{
    const struct obj *o = find(cls, ref);
    return o ? o->rec : NULL;
}

enum class_id db_class_of(const struct ref *ref)
{
    const struct obj *o = db_index_get(ref);
    db_see(o ? o->created : db.generation);
    return o ? (enum class_id)o->cls : CLASS_NONE;
}

bool db_find_uuid(enum class_id cls, const char *uuid, struct ref *out)
{
    const struct obj *o = hash_get(&db.cls[cls].by_uuid, uuid, strlen(uuid));
    db_see(o ? o->modified : db.cls[cls].shape_gen);
    if (o)
        *out = o->ref;
    return o != NULL;
}

bool db_find_name(enum class_id cls, const char *name, size_t i, struct ref *out)
{
    const struct db_name *e = hash_get(&db.cls[cls].by_name, name, strlen(name));
    if (!e || i >= e->objs.n) {
        db_see(db.cls[cls].shape_gen);
        return false;
    }
    db_see(e->objs.v[i]->modified);
    *out = e->objs.v[i]->ref;
    return true;
}

size_t db_count(enum class_id cls)
{
    db_see(db.cls[cls].shape_gen);
    return db.cls[cls].n;
}

static struct db_iter iter_at(enum class_id cls, struct list *pos) REQUIRES(db_mutex)
{
    struct db_iter it = { .pos = pos };
    if (pos == &db.cls[cls].objs)
        return it;
    const struct obj *o = list_entry(pos, struct obj, in_class);
    const struct obj *after = list_entry(pos->next, struct obj, in_class);
    __builtin_prefetch(&after->enc); /* thousands of objects lie anywhere in memory */
    __builtin_prefetch(&after->modified);
    db_see(o->modified);
    it.ref = o->ref;
    it.rec = o->rec;
    return it;
}

struct db_iter db_first(enum class_id cls)
{
    db_see(db.cls[cls].shape_gen);
    return iter_at(cls, db.cls[cls].objs.next);
}

void db_next(struct db_iter *it)
{
    struct list *pos = it->pos;
    *it = iter_at((enum class_id)list_entry(pos, struct obj, in_class)->cls, pos->next);
}

static const struct enc_cache *encoded(struct obj *o, int enc) REQUIRES(db_mutex)
{
    assert(enc == ENC_JSON || enc == ENC_XML);
    struct enc_cache *c = &o->enc[enc];
    if (c->text)
        return c;
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    char name[REF_TEXT_SIZE];
    bool first = false;
    ref_text(&o->ref, name);
    enc_member_begin(&b, (enum enc)enc, name, &first);
    size_t head = b.len;
    enc_record(&b, (enum enc)enc, &schema_classes[o->cls], o->rec);
    size_t end = b.len;
    enc_member_end(&b, (enum enc)enc);
    *c = (struct enc_cache){ text_new(b.data, b.len), (uint16_t)head,
                             (uint16_t)(b.len - end) };
    return c;
}

struct enc_text db_encoded(enum class_id cls, const struct ref *ref, int enc)
{
    struct obj *o = find(cls, ref);
    if (!o)
        return (struct enc_text){ "", 0 };
    const struct enc_cache *c = encoded(o, enc);
    return (struct enc_text){ c->text->p + c->head, c->text->len - c->head - c->tail };
}

static void list_all(struct db_class *c, int enc) REQUIRES(db_mutex)
{
    struct texts *list = texts_new(c->n);
    uint64_t newest = c->shape_gen;
    list_for_each(it, &c->objs) {
        struct obj *o = list_entry(it, struct obj, in_class);
        o->slot = list->n;
        texts_add(list, encoded(o, enc)->text);
        newest = MAX(newest, o->modified);
    }
    texts_drop(c->all[enc].list);
    c->all[enc].list = list;
    c->all[enc].gen = newest;
    c->all[enc].n_stale = 0;
}

/* Only what has changed is looked at again: of thousands of records, to look at each is what costs. */
struct texts *db_encoded_all(enum class_id cls, int enc)
{
    struct db_class *c = &db.cls[cls];
    struct texts *list = c->all[enc].list;
    if (!list || (c->all[enc].n_stale > 0 && !texts_mine(list)))
        list_all(c, enc);
    while (c->all[enc].n_stale > 0) {
        struct obj *o = c->all[enc].stale[--c->all[enc].n_stale];
        texts_put(c->all[enc].list, o->slot, encoded(o, enc)->text);
        c->all[enc].gen = MAX(c->all[enc].gen, o->modified);
    }
    db_see(c->all[enc].gen);
    return c->all[enc].list;
}

struct ref db_pool_ref(void)
{
    return db_first(CLASS_POOL).ref;
}

struct ref db_host_ref(void)
{
    return db.local_host;
}

void db_set_local_host(const struct ref *host)
{
    db_lock();
    db.local_host = *host;
    db_unlock();
}

/* Generations */

uint64_t db_generation(void)
{
    return db.generation;
}

uint64_t db_durable(void)
{
    return db.durable;
}

uint64_t db_tombstones_from(void)
{
    return db.tombs_from;
}

static bool tell_tomb(const struct db_tomb *t, db_change_fn fn, void *arg)
    REQUIRES(db_mutex)
{
    db_see(t->gen);
    struct db_change c = { (enum class_id)t->cls, t->ref, t->created, t->gen, true };
    return fn(&c, arg);
}

static bool tell_obj(const struct obj *o, db_change_fn fn, void *arg) REQUIRES(db_mutex)
{
    db_see(o->modified);
    struct db_change c = { (enum class_id)o->cls, o->ref, o->created, o->modified, false };
    return fn(&c, arg);
}

/* Both lists are in order of generation: walk back to where news begin, then forward through both. */
void db_changes_since(uint64_t since, db_change_fn fn, void *arg)
{
    struct list *c = db.changes.prev, *t = db.tombs.prev;
    while (c != &db.changes && list_entry(c, struct obj, in_changes)->modified > since)
        c = c->prev;
    while (t != &db.tombs && list_entry(t, struct db_tomb, link)->gen > since)
        t = t->prev;
    c = c->next;
    t = t->next;
    for (;;) {
        const struct obj *o = c == &db.changes ? NULL
                                               : list_entry(c, struct obj, in_changes);
        const struct db_tomb *d = t == &db.tombs ? NULL
                                                 : list_entry(t, struct db_tomb, link);
        if (!o && !d)
            return;
        if (d && (!o || d->gen <= o->modified)) {
            if (!tell_tomb(d, fn, arg))
                return;
            t = t->next;
        } else {
            if (!tell_obj(o, fn, arg))
                return;
            c = c->next;
        }
    }
}

int db_wait_newer(uint64_t than, const struct deadline *d, const bool *cancel)
{
    while (db.durable <= than) {
        if (cancel && *cancel) {
            errno = ECANCELED;
            return -1;
        }
        if (!cond_wait_until(&db.news, &db_mutex, d->at_us) && db.durable <= than) {
            errno = ETIMEDOUT;
            return -1;
        }
    }
    return 0;
}

void db_wake(void)
{
    cond_broadcast(&db.news);
}
