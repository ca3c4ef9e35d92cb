/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions live in the database's volatile class session, and nowhere else. Here is who may have one.
 *
 * The password of root lies in a file in clear (rootless mode has no PAM), so its hash guards nothing that the file
 * does not show; hashing is done so that the process does not hold the text, and so that guessing costs. The cost is
 * therefore small: cost 3 of yescrypt, 4 MiB and 4 ms of one core, where the default of 5 takes 17 ms and leaves little
 * room for 50 logins a second beside other work. Guessing is held back by the delay after a failure.
 * Thread: any. session_login blocks for the hash and, on failure, for the delay; it holds no lock meanwhile. */
#include "model/session.h"

#include <crypt.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "api/errors.h"
#include "api/records.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/uuid.h"
#include "model/guess.h"
#include "model/rbac.h"

#define PASSWORD_MAX    512 /* what crypt(3) takes */
#define ORIGINATOR_MAX  256
#define HASH_COST       3
#define MADE_LENGTH     24
#define DIRECTORIES_MAX 4
#define SWEEP_SLACK     64 /* entries without a record that do no harm */

static struct session_limits limits GUARDED_BY(db_mutex) = {
    .fail_delay_us = 1500 * US_PER_MS,
    .idle_us = INT64_C(24) * 3600 * US_PER_SEC,
    .touch_us = 30 * US_PER_SEC,
    .per_originator = 500,
    .per_user = 2000,
};
static char root_hash[CRYPT_OUTPUT_SIZE] GUARDED_BY(db_mutex);
static char *password_path GUARDED_BY(db_mutex);      /* where the password lies */
static session_source_fn source GUARDED_BY(db_mutex); /* NULL: the password file */

/* How many ask the password file or the system now; the pool's record says how many may. */
static int64_t asking GUARDED_BY(db_mutex);
static struct cond gate_left = { PTHREAD_COND_INITIALIZER };
static struct list watches GUARDED_BY(db_mutex) = LIST_INIT(watches);
static const struct session_directory *directories[DIRECTORIES_MAX] GUARDED_BY(db_mutex);
static size_t n_directories GUARDED_BY(db_mutex);

/* What a session's record does not say. One whose record is gone is swept out later. */
struct entry {
    struct session session; /* as calls get it */
    int64_t used_us;
};

static struct hash entries GUARDED_BY(db_mutex); /* by reference */

void session_set_limits(const struct session_limits *l)
{
    db_lock();
    limits = *l;
    db_unlock();
}

void session_set_source(session_source_fn fn)
{
    db_lock();
    source = fn;
    db_unlock();
}

static session_source_fn get_source(void) EXCLUDES(db_mutex)
{
    db_lock();
    session_source_fn fn = source;
    db_unlock();
    return fn;
}

/* The password */

static int fail(struct err *err, char *text /* taken */)
{
    (void)err_set(err, ERR_INTERNAL_ERROR, text);
    int rc = err_detail(err, "%s", text);
    free(text);
    return rc;
}

/* Hashes that were computed: the work of a refusal is the same whether the user is known. */
static atomic_ulong hashes;

unsigned long session_hashes(void)
{
    return atomic_load(&hashes);
}

static bool hash_text(const char *password, const char *setting,
                      char out[static CRYPT_OUTPUT_SIZE])
{
    (void)atomic_fetch_add(&hashes, 1);
    struct crypt_data *data = mem_alloc(sizeof(*data));
    const char *hash = crypt_rn(password, setting, data, sizeof(*data));
    bool good = hash && *hash != '*';
    if (good)
        memcpy(out, hash, strlen(hash) + 1);
    explicit_bzero(data, sizeof(*data));
    free(data);
    return good;
}

static int keep_hash(const char *password, struct err *err)
{
    char salt[16], setting[CRYPT_GENSALT_OUTPUT_SIZE], hash[CRYPT_OUTPUT_SIZE] = "";
    random_bytes(salt, sizeof(salt));
    if (!crypt_gensalt_rn("$y$", HASH_COST, salt, sizeof(salt), setting, sizeof(setting))
        || !hash_text(password, setting, hash))
        return fail(err, str_fmt("the password cannot be hashed: %m"));
    db_lock();
    memcpy(root_hash, hash, sizeof(root_hash));
    db_unlock();
    return 0;
}

static int make_password_file(const char *path, struct err *err)
{
    static const char set[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    const size_t n = sizeof(set) - 1;
    char text[MADE_LENGTH + 1];
    for (size_t i = 0; i < MADE_LENGTH;) {
        uint8_t byte;
        random_bytes(&byte, 1);
        if (byte < 256 / n * n) /* every character equally likely */
            text[i++] = set[byte % n];
    }
    text[MADE_LENGTH] = '\n';
    int rc = io_write_file(path, text, sizeof(text), 0600);
    explicit_bzero(text, sizeof(text));
    return rc < 0 ? fail(err, str_fmt("password file %s cannot be written: %m", path)) : 0;
}

static int read_password(const char *path, struct buf *text, struct err *err)
{
    if (io_read_file(path, text) < 0)
        return fail(err, str_fmt("password file %s cannot be read: %m", path));
    if (text->len > 0 && text->data[text->len - 1] == '\n')
        text->data[--text->len] = '\0';
    if (text->len == 0)
        return fail(err, str_fmt("password file %s is empty", path));
    if (text->len >= PASSWORD_MAX || strlen(text->data) != text->len)
        return fail(
            err,
            str_fmt("password file %s does not hold a password of at most %d characters",
                    path, PASSWORD_MAX - 1));
    return 0;
}

int session_init(const char *state_dir, const char *password_file, struct err *err)
{
    AUTO(free_str) char *own = str_fmt("%s/password", state_dir);
    const char *path = password_file ? password_file : own;
    struct buf text = BUF_INIT(PASSWORD_MAX * 2);
    if (get_source())
        return 0;
    (void)buf_reserve(&text,
                      PASSWORD_MAX * 2 - 1); /* one piece of memory, wiped at the end */
    int rc = 0;
    if (!password_file && access(path, F_OK) < 0 && errno == ENOENT)
        rc = make_password_file(path, err);
    if (rc == 0)
        rc = read_password(path, &text, err);
    if (rc == 0)
        rc = keep_hash(text.data, err);
    if (rc == 0) {
        db_lock();
        free(password_path);
        password_path = str_dup(path);
        db_unlock();
    }
    if (text.data)
        explicit_bzero(text.data, text.cap);
    buf_done(&text);
    return rc;
}

static bool same_text(const char *a,
                      const char *b) /* in constant time for a given length */
{
    size_t n = strlen(a);
    if (n != strlen(b))
        return false;
    unsigned char diff = 0;
    for (size_t i = 0; i < n; i++)
        diff |= (unsigned char)(a[i] ^ b[i]);
    return diff == 0;
}

/* Unknown users and passwords that are too long cost the same hash. */
static bool password_right(const char *user, const char *password)
{
    char want[CRYPT_OUTPUT_SIZE], got[CRYPT_OUTPUT_SIZE] = "";
    db_lock();
    memcpy(want, root_hash, sizeof(want));
    db_unlock();
    bool fits = strlen(password) < PASSWORD_MAX;
    bool good = want[0] && hash_text(fits ? password : "", want, got)
                && same_text(want, got);
    return good && fits && str_eq(user, "root");
}

/* Sessions */

bool session_exists(const struct ref *ref)
{
    return db_get(CLASS_SESSION, ref) != NULL;
}

void session_watch(struct session_watch *w, const struct ref *session)
{
    w->session = *session;
    w->ended = false;
    list_add_tail(&watches, &w->link);
}

void session_unwatch(struct session_watch *w)
{
    list_remove(&w->link);
}

void session_end_watches(void)
{
    list_for_each(it, &watches)
        list_entry(it, struct session_watch, link)->ended = true;
    db_wake();
}

static void end(struct tx *tx, const struct ref *ref) REQUIRES(db_mutex)
{
    bool any = false;
    list_for_each(it, &watches) {
        struct session_watch *w = list_entry(it, struct session_watch, link);
        if (ref_eq(&w->session, ref))
            any = w->ended = true;
    }
    struct ref copy = *ref; /* ref may lie in the record */
    tx_destroy(tx, &copy);
    if (any)
        db_wake();
}

static struct entry *entry_of(const struct ref *ref) REQUIRES(db_mutex)
{
    return hash_get(&entries, ref->b, sizeof(ref->b));
}

static bool expired(const struct ref *ref, int64_t now) REQUIRES(db_mutex)
{
    const struct entry *e = entry_of(ref);
    return !e || now - e->used_us > limits.idle_us
           || (e->session.expires_us > 0 && now >= e->session.expires_us);
}

static bool next_expired(int64_t now, struct ref *out) REQUIRES(db_mutex)
{
    for (struct db_iter it = db_first(CLASS_SESSION); it.rec; db_next(&it)) {
        if (expired(&it.ref, now)) {
            *out = it.ref;
            return true;
        }
    }
    return false;
}

static bool next_without_record(struct entry **out) REQUIRES(db_mutex)
{
    for (size_t i = 0; (*out = hash_next(&entries, &i)) != NULL;) {
        if (!session_exists(&(*out)->session.ref))
            return true;
    }
    return false;
}

static void sweep(void) REQUIRES(db_mutex)
{
    struct entry *e;
    while (entries.n > db_count(CLASS_SESSION) + SWEEP_SLACK && next_without_record(&e)) {
        (void)hash_remove(&entries, e->session.ref.b, sizeof(e->session.ref.b));
        free(e);
    }
}

/* How many sessions this user has (from this originator, unless NULL), and the one that was used least recently. */
static size_t count_alike(const char *user, const char *originator, struct ref *oldest)
    REQUIRES(db_mutex)
{
    size_t n = 0;
    int64_t oldest_at = INT64_MAX;
    for (struct db_iter it = db_first(CLASS_SESSION); it.rec; db_next(&it)) {
        const struct session_rec *rec = it.rec;
        const struct entry *e = entry_of(&it.ref);
        if (!str_eq(rec->auth_user_name, user)
            || (originator && !str_eq(rec->originator, originator)))
            continue;
        n++;
        if ((e ? e->used_us : 0) < oldest_at) {
            oldest_at = e ? e->used_us : 0;
            *oldest = it.ref;
        }
    }
    return n;
}

static void copy_text(char *dst, size_t size, const char *src)
{
    size_t n = strnlen(src, size - 1);
    memcpy(dst, src, n);
    while (n > 0 && !utf8_valid(dst, n))
        n--; /* not in the middle of a character */
    dst[n] = '\0';
}

/* Roles as bits where the schema's calls name them; those made by people by reference. */
static void give_roles(struct session *s, const struct session_user *u) REQUIRES(db_mutex)
{
    for (size_t i = 0; i < u->n_roles; i++) {
        const struct role_rec *role = db_get(CLASS_ROLE, &u->roles[i]);
        uint8_t bit = role ? rbac_role_bit(role->name_label) : 0;
        if (bit)
            s->roles |= bit;
        else if (role)
            s->custom[s->n_custom++] = u->roles[i];
    }
}

static void fill(struct session *out, const struct ref *ref, const struct session_user *u,
                 const char *originator) REQUIRES(db_mutex)
{
    memset(out, 0, sizeof(*out));
    out->ref = *ref;
    out->local_superuser = u->local_superuser;
    out->roles = u->local_superuser ? ROLE_POOL_ADMIN : 0;
    out->token = u->token;
    out->expires_us = u->expires_us;
    give_roles(out, u);
    copy_text(out->user, sizeof(out->user), u->name);
    copy_text(out->originator, sizeof(out->originator), originator);
}

static void *record_of(const struct session_user *u, const char *originator, int64_t now)
    REQUIRES(db_mutex)
{
    struct session_rec *rec = record_new(&schema_classes[CLASS_SESSION]);
    rec->this_host = db_host_ref();
    rec->last_active = rec->validation_time = now;
    rec->is_local_superuser = u->local_superuser;
    rec->subject = u->subject;
    str_put(&rec->auth_user_sid, u->sid);
    str_put(&rec->auth_user_name, u->name);
    str_put(&rec->originator, originator);
    return rec;
}

static int begin(const struct session_user *u, const char *originator, const char *call,
                 struct session *out, struct err *err) EXCLUDES(db_mutex)
{
    char origin[ORIGINATOR_MAX];
    copy_text(origin, sizeof(origin), originator ? originator : "");
    int64_t now = clock_wall_us();
    struct tx *tx = tx_begin(&(struct tx_who){ u->name, call, NULL });
    struct ref old;
    while (next_expired(now, &old))
        end(tx, &old);
    while (count_alike(u->name, origin, &old) >= limits.per_originator
           || count_alike(u->name, NULL, &old) >= limits.per_user)
        end(tx, &old);
    struct ref ref = tx_create(tx, CLASS_SESSION, record_of(u, origin, now), NULL);
    struct entry *e = mem_alloc(sizeof(*e));
    fill(&e->session, &ref, u, origin);
    e->used_us = now;
    struct session s = e->session;
    free(hash_put(&entries, e->session.ref.b, sizeof(e->session.ref.b), e));
    sweep();
    if (tx_commit(tx, err) < 0)
        return -1;
    *out = s;
    return 0;
}

void session_user_done(struct session_user *u)
{
    free(u->name);
    free(u->sid);
    *u = (struct session_user){ 0 };
}

void session_add_directory(const struct session_directory *d)
{
    db_lock();
    if (n_directories < DIRECTORIES_MAX)
        directories[n_directories++] = d;
    db_unlock();
}

static const struct session_directory *directory_get(size_t i) EXCLUDES(db_mutex)
{
    db_lock();
    const struct session_directory *d = i < n_directories ? directories[i] : NULL;
    db_unlock();
    return d;
}

static int wrong_password(const char *user, const struct deadline *until, struct err *err)
{
    (void)!deadline_poll(until, -1, 0); /* it times out */
    return err_set(err, ERR_SESSION_AUTHENTICATION_FAILED, user,
                   "The user name or password is wrong");
}

static bool gate_full(void) REQUIRES(db_mutex)
{
    struct ref ref = db_pool_ref();
    const struct pool_rec *pool = db_get(CLASS_POOL, &ref);
    return pool && asking > 0 && asking >= pool->local_auth_max_threads;
}

static void gate_enter(void) EXCLUDES(db_mutex)
{
    db_lock();
    while (gate_full())
        cond_wait(&gate_left, &db_mutex);
    asking++;
    db_unlock();
}

static void gate_leave(void) EXCLUDES(db_mutex)
{
    db_lock();
    asking--;
    cond_broadcast(&gate_left);
    db_unlock();
}

static void add_roles(const struct ref *ref, const struct subject_rec *s,
                      struct session_user *out)
{
    if (ref_is_null(&out->subject))
        out->subject = *ref;
    for (size_t i = 0; i < s->roles.n && out->n_roles < SESSION_ROLES_MAX; i++) {
        bool there = false;
        for (size_t k = 0; k < out->n_roles && !there; k++)
            there = ref_eq(&out->roles[k], &s->roles.v[i]);
        if (!there)
            out->roles[out->n_roles++] = s->roles.v[i];
    }
}

void session_add_subject(const char *id, struct session_user *out)
{
    for (struct db_iter it = db_first(CLASS_SUBJECT); it.rec; db_next(&it)) {
        const struct subject_rec *s = it.rec;
        if (strcasecmp(s->subject_identifier, id) == 0)
            add_roles(&it.ref, s, out);
    }
}

/* What a user of the system may who does not administer the pool. */
static void local_roles(const char *user, const char *groups, struct session_user *out)
    EXCLUDES(db_mutex)
{
    out->sid = str_fmt(SESSION_LOCAL_USER "%s", user);
    db_lock();
    session_add_subject(out->sid, out);
    for (const char *p = groups; p && *p;) {
        size_t n = strcspn(p, ",");
        AUTO(free_str) char *id = str_fmt(SESSION_LOCAL_GROUP "%.*s", (int)n, p);
        session_add_subject(id, out);
        p += n + (p[n] == ',');
    }
    db_unlock();
}

/* The password file's user, or the system's. */
static int find_local_user(const char *user, const char *password, const char *client_ip,
                           struct session_user *out, bool *right_out, struct err *err)
{
    session_source_fn ask = get_source();
    bool right = false, admin = true;
    AUTO(free_str) char *groups = NULL;
    int rc = 0;
    gate_enter();
    if (!ask)
        right = password_right(user, password);
    else
        rc = ask(user, password, client_ip, &right, &admin, &groups, err);
    gate_leave();
    if (rc < 0)
        return -1;
    if (right) {
        out->name = str_dup(user);
        out->local_superuser = admin;
        if (!admin)
            local_roles(user, groups, out);
    }
    *right_out = right;
    return 0;
}

/* One that cannot tell is logged: another one may know. */
static bool ask_directories(bool first, const char *user, const char *password,
                            const char *client_ip, struct session_user *out)
{
    const struct session_directory *d;
    for (size_t i = 0; (d = directory_get(i)) != NULL; i++) {
        AUTO(err_done) struct err why = { 0 };
        bool right = false;
        if (d->first != first)
            continue;
        if (d->check(user, password, client_ip, out, &right, &why) < 0) {
            AUTO(free_str) char *text = err_text(&why);
            log_warn("%s cannot tell whether a password is right: %s", d->name, text);
        } else if (right) {
            return true;
        }
    }
    return false;
}

/* Whose password it is, as the first says who knows. err: why the password file or the system could not tell. */
static bool find_user(const char *user, const char *password, const char *client_ip,
                      struct session_user *out, struct err *err)
{
    bool right = ask_directories(true, user, password, client_ip, out);
    if (right)
        return true;
    if (find_local_user(user, password, client_ip, out, &right, err) == 0 && right)
        return true;
    return ask_directories(false, user, password, client_ip, out);
}

static struct deadline refusal_time(void) EXCLUDES(db_mutex)
{
    db_lock();
    struct deadline d = deadline_in(limits.fail_delay_us);
    db_unlock();
    return d;
}

int session_login(const char *user, const char *password, const char *originator,
                  const char *client_ip, struct session *out, struct err *err)
{
    AUTO(session_user_done) struct session_user who = { 0 };
    AUTO(err_done) struct err unsure = { 0 };
    struct deadline until = refusal_time(); /* a refusal takes as long for any reason */
    if (guess_wait(user, client_ip, err) < 0)
        return -1;
    if (!find_user(user, password, client_ip, &who, &unsure)) {
        if (!unsure.code)
            guess_failed(user, client_ip);
        log_info("a login from %s failed", client_ip ? client_ip : "here");
        (void)wrong_password(user, &until, unsure.code ? NULL : err);
        if (unsure.code)
            err_move(err, &unsure);
        return -1;
    }
    guess_right(user, client_ip);
    if (!who.local_superuser && who.n_roles == 0)
        return err_set(err, ERR_SESSION_AUTHORIZATION_FAILED, user,
                       "The password is right, but this user has no role here");
    return begin(&who, originator, "session.login_with_password", out, err);
}

int session_login_local(const char *originator, struct session *out, struct err *err)
{
    char root[] = "root";
    struct session_user who = { .name = root, .local_superuser = true };
    return begin(&who, originator, "session.login_local", out, err);
}

static int touch(const struct ref *ref, int64_t now) EXCLUDES(db_mutex)
{
    struct tx *tx = tx_begin(&(struct tx_who){ "seraid", "session.touch", NULL });
    if (session_exists(ref))
        tx_set_int(tx, ref, CLASS_SESSION, F_SESSION_LAST_ACTIVE, now);
    return tx_commit(tx, NULL);
}

static void drop_expired(int64_t now) EXCLUDES(db_mutex)
{
    struct tx *tx = tx_begin(&(struct tx_who){ "seraid", "session.expire", NULL });
    struct ref old;
    while (next_expired(now, &old))
        end(tx, &old);
    if (tx_commit(tx, NULL) < 0)
        log_debug("expired sessions stay until the database can be written");
}

int session_find(const char *ref_text_, struct session *out, struct err *err)
{
    struct ref ref;
    if (!ref_parse(ref_text_, &ref) || ref_is_null(&ref))
        return err_set(err, ERR_SESSION_INVALID, ref_text_);
    int64_t now = clock_wall_us();
    db_lock();
    const struct session_rec *rec = db_get(CLASS_SESSION, &ref);
    bool gone = rec && expired(&ref, now);
    bool stale = rec && now - rec->last_active >= limits.touch_us;
    if (rec && !gone) {
        struct entry *e = entry_of(&ref);
        e->used_us = now;
        *out = e->session;
    }
    db_unlock();
    if (gone)
        drop_expired(now);
    if (!rec || gone)
        return err_set(err, ERR_SESSION_INVALID, ref_text_);
    if (stale && touch(&ref, now) < 0)
        log_debug("a session's time of use could not be kept");
    return 0;
}

int session_logout(const struct ref *ref, struct err *err)
{
    struct tx *tx = tx_begin(&(struct tx_who){ "root", "session.logout", NULL });
    if (!session_exists(ref)) {
        tx_abort(tx);
        char text[REF_TEXT_SIZE];
        ref_text(ref, text);
        return err_set(err, ERR_SESSION_INVALID, text);
    }
    end(tx, ref);
    return tx_commit(tx, err);
}

static bool next_of_subject(const char *sid, const struct ref *but, struct ref *out)
    REQUIRES(db_mutex)
{
    for (struct db_iter it = db_first(CLASS_SESSION); it.rec; db_next(&it)) {
        const struct session_rec *rec = it.rec;
        if (str_eq(rec->auth_user_sid, sid) && !ref_eq(&it.ref, but)) {
            *out = it.ref;
            return true;
        }
    }
    return false;
}

int session_logout_subject(const char *sid, const struct ref *but, struct err *err)
{
    struct tx *tx = tx_begin(
        &(struct tx_who){ "seraid", "session.logout_subject_identifier", NULL });
    struct ref ref;
    while (*sid && next_of_subject(sid, but, &ref))
        end(tx, &ref);
    return tx_commit(tx, err);
}

static bool next_of_token(const struct ref *token, struct ref *out) REQUIRES(db_mutex)
{
    for (struct db_iter it = db_first(CLASS_SESSION); it.rec; db_next(&it)) {
        const struct entry *e = entry_of(&it.ref);
        if (e && ref_eq(&e->session.token, token)) {
            *out = it.ref;
            return true;
        }
    }
    return false;
}

int session_logout_token(const struct ref *token, struct err *err)
{
    struct tx *tx = tx_begin(&(struct tx_who){ "seraid", "serai.token_revoke", NULL });
    struct ref ref;
    while (!ref_is_null(token) && next_of_token(token, &ref))
        end(tx, &ref);
    return tx_commit(tx, err);
}

int64_t session_used_us(const struct ref *ref)
{
    const struct entry *e = entry_of(ref);
    return e ? e->used_us : 0;
}

bool session_peek(const struct ref *ref, struct session *out)
{
    const struct entry *e = session_exists(ref) ? entry_of(ref) : NULL;
    if (e)
        *out = e->session;
    return e != NULL;
}

int session_change_password(const char *old, const char *new_, struct err *err)
{
    size_t n = strlen(new_);
    struct deadline until = refusal_time();
    if (get_source())
        return err_set(err, ERR_CHANGE_PASSWORD_REJECTED,
                       "users are the system's here; change it there, with passwd");
    if (!password_right("root", old))
        return wrong_password("root", &until, err);
    if (n == 0 || n >= PASSWORD_MAX || strpbrk(new_, "\r\n"))
        return err_set(err, ERR_CHANGE_PASSWORD_REJECTED,
                       "a password has 1 to 511 characters, all on one line");
    db_lock();
    AUTO(free_str) char *path = str_dup(password_path);
    db_unlock();
    char *line = str_fmt("%s\n", new_);
    int rc = io_write_file(path, line, n + 1, 0600);
    explicit_bzero(line, n + 1);
    free(line);
    if (rc < 0) {
        (void)err_set(err, ERR_CHANGE_PASSWORD_REJECTED, "its file cannot be written");
        return err_detail(err, "%s: %m", path);
    }
    log_info("the password of root was changed");
    return keep_hash(new_, err);
}
