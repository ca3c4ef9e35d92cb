/* SPDX-License-Identifier: Apache-2.0 */
/* The store of one host: one SQLite file, DIR/serai.db, in WAL mode with synchronous=FULL.
 *
 *   object(ref, class, json)  every object, in order of creation by rowid
 *   history(...)              what each change set changed, in order of generation by id
 *   meta(key, value)          version, generation_limit
 *
 * One connection writes (store_open's, used by the store thread alone); each reading of the history opens its own,
 * which WAL lets run beside the writer. Checkpoints are ours to time: a passive one when the daemon is idle,
 * or at once when the WAL has grown big.
 *
 * A failed fsync leaves it unknown which pages reached the disk, and a second try would report success for
 * pages that the kernel has dropped ("PostgreSQL fsync error handling", lwn.net/Articles/752063). So after one nothing
 * more is written: every later commit fails until a restart, which replays what the WAL really holds. */
#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/store.h"

#define VERSION        2
#define WAL_BIG_PAGES  4000 /* 16 MiB */
#define TRIM_STEP      500  /* history rows per housekeeping step */
#define BUSY_MS        5000
#define DEFAULT_AGE_US (INT64_C(90) * 24 * 3600 * US_PER_SEC)
#define DEFAULT_ROWS   INT64_C(1000000)

enum stmt {
    ST_BEGIN,
    ST_COMMIT,
    ST_ROLLBACK,
    ST_PUT,
    ST_DELETE,
    ST_HISTORY,
    ST_META,
    ST_BOUNDS,
    ST_TRIM,
    ST_COUNT
};

static const char *const stmt_sql[ST_COUNT] = {
    [ST_BEGIN] = "BEGIN IMMEDIATE",
    [ST_COMMIT] = "COMMIT",
    [ST_ROLLBACK] = "ROLLBACK",
    [ST_PUT] = "INSERT INTO object(ref, class, json) VALUES(?1, ?2, ?3)"
               " ON CONFLICT(ref) DO UPDATE SET class = ?2, json = ?3",
    [ST_DELETE] = "DELETE FROM object WHERE ref = ?1",
    [ST_HISTORY] =
        "INSERT INTO history(gen, time, ref, class, kind, changes, user, call, task)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [ST_META] = "INSERT INTO meta(key, value) VALUES(?1, ?2)"
                " ON CONFLICT(key) DO UPDATE SET value = ?2",
    /* the newest id, the oldest, the newest that is too old and among the oldest ?2 */
    [ST_BOUNDS] =
        "SELECT (SELECT max(id) FROM history), (SELECT min(id) FROM history),"
        " (SELECT max(id) FROM (SELECT id, time FROM history ORDER BY id LIMIT ?2)"
        "  WHERE time < ?1)",
    [ST_TRIM] = "DELETE FROM history WHERE id <= ?1",
};

static const char schema_sql[] =
    "CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT "
    "ROWID;"
    "CREATE TABLE IF NOT EXISTS object(ref BLOB PRIMARY KEY, class TEXT NOT NULL, json "
    "TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS history(id INTEGER PRIMARY KEY, gen INTEGER NOT NULL,"
    " time INTEGER NOT NULL, ref BLOB NOT NULL, class TEXT NOT NULL, kind TEXT NOT NULL,"
    " changes TEXT NOT NULL, user TEXT NOT NULL, call TEXT NOT NULL, task BLOB);"
    "CREATE INDEX IF NOT EXISTS history_ref ON history(ref, id);"
    "CREATE INDEX IF NOT EXISTS history_time ON history(time);"
    "CREATE INDEX IF NOT EXISTS history_gone ON history(class, id) WHERE kind = 'destroy';"
    "PRAGMA user_version = 2;";

static const char *const kind_names[] = {
    [STORE_CREATE] = "create", [STORE_MODIFY] = "mod", [STORE_DESTROY] = "destroy"
};

struct store {
    char *path;
    sqlite3 *db;
    sqlite3_stmt *st[ST_COUNT];
    int64_t age_us, rows;
    int wal_pages;     /* in the WAL since the last checkpoint */
    bool trim_checked; /* nothing to trim since the last commit */
    bool broken;       /* an fsync failed */
};

static int sentence(struct err *err, const char *code_param, const char *text)
{
    (void)err_set(err, ERR_INTERNAL_ERROR, code_param);
    return err_detail(err, "%s", text);
}

/* The errno behind an SQLITE_IOERR: sqlite3_system_errno() does not know that of a failed COMMIT, the files do. */
static int last_errno(sqlite3 *db)
{
    sqlite3_file *wal = NULL;
    int e = sqlite3_system_errno(db);
    if (e == 0
        && sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal) == SQLITE_OK
        && wal && wal->pMethods)
        (void)wal->pMethods->xFileControl(wal, SQLITE_FCNTL_LAST_ERRNO, &e);
    if (e == 0)
        (void)sqlite3_file_control(db, "main", SQLITE_FCNTL_LAST_ERRNO, &e);
    return e;
}

/* What went wrong with the connection, in one sentence. */
static int explain(struct store *s, sqlite3 *db, struct err *err)
{
    int code = db ? sqlite3_extended_errcode(db) : SQLITE_NOMEM;
    int os = db && (code & 0xff) == SQLITE_IOERR ? last_errno(db) : 0;
    const char *msg = db ? sqlite3_errmsg(db) : "out of memory";
    AUTO(free_str) char *text = NULL;
    if (db == s->db && (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC))
        s->broken = true;
    if ((code & 0xff) == SQLITE_FULL
        || ((code & 0xff) == SQLITE_IOERR
            && (os == ENOSPC || os == EDQUOT || os == EFBIG))) {
        (void)err_set(err, ERR_OUT_OF_SPACE, s->path);
        return err_detail(err, "no space left for the database %s", s->path);
    }
    switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        text = str_fmt("the database %s is damaged: %s", s->path, msg);
        break;
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        text = str_fmt("the database %s is not writable: %s", s->path, msg);
        break;
    default:
        text = str_fmt("the database %s: %s (%d, errno %d)", s->path, msg, code, os);
        break;
    }
    return sentence(err, text, text);
}

static int exec(struct store *s, const char *sql, struct err *err)
{
    if (sqlite3_exec(s->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return explain(s, s->db, err);
    return 0;
}

static int query_int(sqlite3 *db, const char *sql, int64_t *out)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(st, 0);
    (void)sqlite3_finalize(st); /* repeats the error of the step */
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : -1;
}

/* Run a prepared statement that answers no rows. */
static int run(struct store *s, enum stmt which, struct err *err)
{
    sqlite3_stmt *st = s->st[which];
    int rc = sqlite3_step(st);
    int failed = rc != SQLITE_DONE && rc != SQLITE_ROW ? explain(s, s->db, err) : 0;
    (void)sqlite3_reset(st); /* repeats the error of the step */
    return failed;
}

static int wal_hook(void *arg, sqlite3 *db, const char *name, int pages)
{
    struct store *s = arg;
    s->wal_pages = pages;
    return SQLITE_OK;
}

static int prepare(struct store *s, struct err *err)
{
    for (size_t i = 0; i < ST_COUNT; i++) {
        if (sqlite3_prepare_v3(s->db, stmt_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &s->st[i],
                               NULL)
            != SQLITE_OK)
            return explain(s, s->db, err);
    }
    return 0;
}

static int set_up(struct store *s, struct err *err)
{
    (void)sqlite3_busy_timeout(s->db, BUSY_MS);
    if (exec(s,
             "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA "
             "wal_autocheckpoint=0;",
             err)
        < 0)
        return -1;
    int64_t version = 0;
    if (query_int(s->db, "PRAGMA user_version", &version) < 0)
        return explain(s, s->db, err);
    if (version > VERSION) {
        AUTO(free_str)
        char *text = str_fmt("the database %s was written by a newer seraid (version %lld)",
                             s->path, (long long)version);
        return sentence(err, text, text);
    }
    if (version < VERSION && exec(s, schema_sql, err) < 0)
        return -1;
    (void)sqlite3_wal_hook(s->db, wal_hook, s);
    return prepare(s, err);
}

static void sqlite_close(struct store *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < ST_COUNT; i++)
        (void)sqlite3_finalize(s->st[i]); /* repeats an error already told */
    if (sqlite3_close(s->db) != SQLITE_OK)
        log_error("%s: still in use at its end", s->path);
    free(s->path);
    free(s);
}

static int sqlite_open(const struct store_config *cfg, struct store **out, struct err *err)
{
    struct store *s = mem_alloc(sizeof(*s));
    s->path = str_fmt("%s/serai.db", cfg->dir);
    s->age_us = cfg->history_age_us ? cfg->history_age_us : DEFAULT_AGE_US;
    s->rows = cfg->history_rows ? cfg->history_rows : DEFAULT_ROWS;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX
                | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_NOFOLLOW;
    int rc = sqlite3_open_v2(s->path, &s->db, flags, NULL) == SQLITE_OK
                 ? set_up(s, err)
                 : explain(s, s->db, err);
    if (rc == 0 && io_fsync_dir(cfg->dir) < 0) {
        AUTO(free_str)
        char *text = str_fmt("state directory %s cannot be synced: %m", cfg->dir);
        rc = sentence(err, text, text);
    }
    if (rc < 0) {
        sqlite_close(s);
        return -1;
    }
    *out = s;
    return 0;
}

static bool column_ref(sqlite3_stmt *st, int col, struct ref *out)
{
    *out = REF_NULL;
    if (sqlite3_column_bytes(st, col) != (int)sizeof(*out))
        return false;
    memcpy(out, sqlite3_column_blob(st, col), sizeof(*out));
    return true;
}

static const char *column_text(sqlite3_stmt *st, int col)
{
    const unsigned char *p = sqlite3_column_text(st, col);
    return p ? (const char *)p : "";
}

static int load_rows(struct store *s, sqlite3_stmt *st, store_load_fn fn, void *arg,
                     struct err *err)
{
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        struct ref ref;
        const char *json = column_text(st, 2);
        if (!column_ref(st, 0, &ref)) {
            AUTO(free_str)
            char *text = str_fmt("the database %s is damaged: a reference is not 16 bytes",
                                 s->path);
            return sentence(err, text, text);
        }
        if (!fn(&ref, column_text(st, 1), json, (size_t)sqlite3_column_bytes(st, 2), arg,
                err))
            return -1;
    }
    return rc == SQLITE_DONE ? 0 : explain(s, s->db, err);
}

static int sqlite_load(struct store *s, store_load_fn fn, void *arg, uint64_t *limit_out,
                       struct err *err)
{
    int64_t limit = 0;
    if (query_int(s->db, "SELECT value FROM meta WHERE key = 'generation_limit'", &limit)
        < 0)
        return explain(s, s->db, err);
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(s->db, "SELECT ref, class, json FROM object ORDER BY rowid", -1,
                           &st, NULL)
        != SQLITE_OK)
        return explain(s, s->db, err);
    int rc = load_rows(s, st, fn, arg, err);
    (void)sqlite3_finalize(st); /* repeats the error of the step */
    if (rc == 0)
        *limit_out = (uint64_t)limit;
    return rc;
}

/* Binding fails only for want of memory or for a text over 1 GB; then the step that follows
 * meets a NOT NULL constraint and says so. */
static void bind_text(sqlite3_stmt *st, int i, const char *text)
{
    (void)sqlite3_bind_text(st, i, text, -1, SQLITE_STATIC);
}

static void bind_ref(sqlite3_stmt *st, int i, const struct ref *ref)
{
    (void)sqlite3_bind_blob(st, i, ref, sizeof(*ref), SQLITE_STATIC);
}

static int put_change(struct store *s, const struct store_set *set,
                      const struct store_change *c, struct err *err)
{
    enum stmt which = c->json ? ST_PUT : ST_DELETE;
    bind_ref(s->st[which], 1, &c->ref);
    if (c->json) {
        bind_text(s->st[which], 2, c->cls);
        bind_text(s->st[which], 3, c->json);
    }
    if (run(s, which, err) < 0)
        return -1;
    sqlite3_stmt *st = s->st[ST_HISTORY];
    (void)sqlite3_bind_int64(st, 1, (int64_t)set->gen);
    (void)sqlite3_bind_int64(st, 2, set->time_us);
    bind_ref(st, 3, &c->ref);
    bind_text(st, 4, c->cls);
    bind_text(st, 5, kind_names[c->kind]);
    bind_text(st, 6, c->changes);
    bind_text(st, 7, set->user);
    bind_text(st, 8, set->call);
    if (ref_is_null(&set->task))
        (void)sqlite3_bind_null(st, 9);
    else
        bind_ref(st, 9, &set->task);
    return run(s, ST_HISTORY, err);
}

/* Delete at most max of the oldest entries that the retention rule no longer keeps; inside a transaction.
 * more_out: may be NULL. */
static int trim(struct store *s, int64_t max, bool *more_out, struct err *err)
{
    sqlite3_stmt *st = s->st[ST_BOUNDS];
    (void)sqlite3_bind_int64(st, 1, clock_wall_us() - s->age_us);
    (void)sqlite3_bind_int64(st, 2, max);
    if (sqlite3_step(st) != SQLITE_ROW) {
        (void)explain(s, s->db, err);
        (void)sqlite3_reset(st); /* repeats the error of the step */
        return -1;
    }
    int64_t newest = sqlite3_column_int64(st, 0), oldest = sqlite3_column_int64(st, 1);
    int64_t upto = sqlite3_column_int64(st, 2); /* 0: none is too old */
    (void)sqlite3_reset(st);                    /* it succeeded */
    upto = MIN(MAX(upto, newest - s->rows), oldest + max - 1);
    if (more_out)
        *more_out = upto == oldest + max - 1;
    if (upto < oldest)
        return 0;
    (void)sqlite3_bind_int64(s->st[ST_TRIM], 1, upto);
    return run(s, ST_TRIM, err);
}

static int put_all(struct store *s, struct store_set *const *sets, size_t n,
                   uint64_t gen_limit, struct err *err)
{
    int64_t rows = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < sets[i]->n; j++, rows++) {
            if (put_change(s, sets[i], &sets[i]->v[j], err) < 0)
                return -1;
        }
    }
    bind_text(s->st[ST_META], 1, "generation_limit");
    (void)sqlite3_bind_int64(s->st[ST_META], 2, (int64_t)gen_limit);
    if (run(s, ST_META, err) < 0)
        return -1;
    /* Under constant load nothing is ever idle: trim a little more than was added. */
    return rows > 0 ? trim(s, 2 * rows, NULL, err) : 0;
}

static void roll_back(struct store *s)
{
    if (!sqlite3_get_autocommit(s->db) && run(s, ST_ROLLBACK, NULL) < 0)
        log_error("%s: a transaction could not be rolled back: %s", s->path,
                  sqlite3_errmsg(s->db));
}

static void checkpoint(struct store *s)
{
    int total = 0, done = 0;
    int rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &total,
                                       &done);
    if (rc == SQLITE_IOERR_FSYNC)
        s->broken = true;
    if (rc != SQLITE_OK)
        log_warn("%s: checkpoint: %s", s->path, sqlite3_errmsg(s->db));
    s->wal_pages = 0; /* tried; the next commit counts again */
}

static int sqlite_commit(struct store *s, struct store_set *const *sets, size_t n,
                         uint64_t gen_limit, struct err *err)
{
    if (s->broken) {
        AUTO(free_str)
        char *text = str_fmt(
            "the database %s failed to reach its disk; restart seraid to go on", s->path);
        return sentence(err, text, text);
    }
    int rc = run(s, ST_BEGIN, err);
    if (rc == 0)
        rc = put_all(s, sets, n, gen_limit, err);
    if (rc == 0)
        rc = run(s, ST_COMMIT, err);
    if (rc < 0) {
        roll_back(s);
        return -1;
    }
    s->trim_checked = false;
    if (s->wal_pages >= WAL_BIG_PAGES)
        checkpoint(s);
    return 0;
}

static bool trim_step(struct store *s)
{
    AUTO(err_done) struct err err = { 0 };
    bool more = false;
    int rc = run(s, ST_BEGIN, &err);
    if (rc == 0)
        rc = trim(s, TRIM_STEP, &more, &err);
    if (rc == 0)
        rc = run(s, ST_COMMIT, &err);
    if (rc < 0) {
        roll_back(s);
        AUTO(free_str) char *text = err_text(&err);
        log_warn("the history could not be trimmed: %s", text);
        return false;
    }
    return more;
}

static bool sqlite_tend(struct store *s)
{
    if (s->broken)
        return false;
    if (!s->trim_checked) {
        s->trim_checked = !trim_step(s);
        return true;
    }
    if (s->wal_pages > 0)
        checkpoint(s);
    return false;
}

/* Reading beside the writer */

static sqlite3 *reader_open(struct store *s, struct err *err)
{
    sqlite3 *db = NULL;
    int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (sqlite3_open_v2(s->path, &db, flags, NULL) != SQLITE_OK) {
        (void)explain(s, db, err);
        (void)sqlite3_close(db); /* nothing is prepared in it */
        return NULL;
    }
    (void)sqlite3_busy_timeout(db, BUSY_MS);
    return db;
}

static enum store_kind kind_of(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(kind_names); i++) {
        if (str_eq(name, kind_names[i]))
            return (enum store_kind)i;
    }
    return STORE_MODIFY;
}

static int history_rows(struct store *s, sqlite3 *db, sqlite3_stmt *st,
                        const struct store_query *q, store_history_fn fn, void *arg,
                        struct err *err)
{
    (void)sqlite3_bind_int64(st, 1, q->from_us);
    (void)sqlite3_bind_int64(st, 2, q->to_us);
    (void)sqlite3_bind_int64(st, 3, q->after_id);
    (void)sqlite3_bind_int64(st, 4, q->upto_id ? q->upto_id : INT64_MAX);
    if (q->ref)
        bind_ref(st, 5, q->ref);
    if (q->cls)
        bind_text(st, 6, q->cls);
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        struct store_history h = {
            .gen = (uint64_t)sqlite3_column_int64(st, 0),
            .time_us = sqlite3_column_int64(st, 1),
            .cls = column_text(st, 3),
            .kind = kind_of(column_text(st, 4)),
            .changes = column_text(st, 5),
            .user = column_text(st, 6),
            .call = column_text(st, 7),
            .id = sqlite3_column_int64(st, 9),
        };
        (void)column_ref(st, 2, &h.ref);  /* null where it is not one */
        (void)column_ref(st, 8, &h.task); /* the same */
        if (!fn(&h, arg))
            return 0;
    }
    return rc == SQLITE_DONE ? 0 : explain(s, db, err);
}

static int sqlite_history(struct store *s, const struct store_query *q, store_history_fn fn,
                          void *arg, struct err *err)
{
    static const char columns[] =
        "SELECT gen, time, ref, class, kind, changes, user, call, task, id"
        " FROM history WHERE +time >= ?1 AND +time <= ?2 AND id > ?3 AND id <= ?4";
    sqlite3 *db = reader_open(s, err);
    if (!db)
        return -1;
    AUTO(free_str)
    char *sql = str_fmt("%s%s%s%s ORDER BY id%s", columns, q->ref ? " AND ref = ?5" : "",
                        q->cls ? " AND class = ?6" : "",
                        q->gone ? " AND kind = 'destroy'" : "",
                        q->newest_first ? " DESC" : "");
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK
                 ? history_rows(s, db, st, q, fn, arg, err)
                 : explain(s, db, err);
    (void)sqlite3_finalize(st); /* repeats the error of the step */
    (void)sqlite3_close(db);    /* nothing is prepared in it */
    return rc;
}

static int sqlite_object(struct store *s, const struct ref *ref, struct buf *json_out,
                         bool *found_out, struct err *err)
{
    sqlite3 *db = reader_open(s, err);
    if (!db)
        return -1;
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, "SELECT json FROM object WHERE ref = ?1", -1, &st,
                                NULL);
    if (rc == SQLITE_OK) {
        bind_ref(st, 1, ref);
        rc = sqlite3_step(st);
    }
    *found_out = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW)
        buf_add_str(json_out, column_text(st, 0));
    int out = rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : explain(s, db, err);
    (void)sqlite3_finalize(st); /* repeats the error of the step */
    (void)sqlite3_close(db);    /* nothing is prepared in it */
    return out;
}

static int sqlite_objects(struct store *s, const char *cls, store_load_fn fn, void *arg,
                          struct err *err)
{
    sqlite3 *db = reader_open(s, err);
    if (!db)
        return -1;
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(
        db, "SELECT ref, class, json FROM object WHERE class = ?1 ORDER BY rowid", -1, &st,
        NULL);
    if (rc == SQLITE_OK)
        bind_text(st, 1, cls);
    int out = rc == SQLITE_OK ? load_rows(s, st, fn, arg, err) : explain(s, db, err);
    (void)sqlite3_finalize(st); /* repeats the error of the step */
    (void)sqlite3_close(db);    /* nothing is prepared in it */
    return out;
}

static int sqlite_moment(struct store *s, int64_t time_us, struct store_moment *out,
                         struct err *err)
{
    sqlite3 *db = reader_open(s, err);
    if (!db)
        return -1;
    AUTO(free_str)
    char *newest = str_fmt("SELECT id FROM history WHERE time <= %lld"
                           " ORDER BY time DESC, id DESC LIMIT 1",
                           (long long)time_us);
    struct store_moment m = { 0 };
    int rc = query_int(db, newest, &m.id);
    if (rc == 0)
        rc = query_int(db,
                       "SELECT time FROM history WHERE id = (SELECT min(id) FROM history)"
                       " AND id > 1",
                       &m.oldest_us);
    rc = rc < 0 ? explain(s, db, err) : 0;
    (void)sqlite3_close(db); /* nothing is prepared in it */
    if (rc == 0)
        *out = m;
    return rc;
}

static void sqlite_keep(struct store *s, int64_t age_us, int64_t rows)
{
    s->age_us = age_us ? age_us : DEFAULT_AGE_US;
    s->rows = rows ? rows : DEFAULT_ROWS;
    s->trim_checked = false;
}

const struct store_ops store_sqlite_ops = {
    .open = sqlite_open,
    .close = sqlite_close,
    .load = sqlite_load,
    .commit = sqlite_commit,
    .tend = sqlite_tend,
    .history = sqlite_history,
    .object = sqlite_object,
    .objects = sqlite_objects,
    .moment = sqlite_moment,
    .keep = sqlite_keep,
};
