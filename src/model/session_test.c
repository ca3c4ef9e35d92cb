/* SPDX-License-Identifier: Apache-2.0 */
#include "model/session.h"

#include <string.h>
#include <sys/stat.h>

#include "api/errors.h"
#include "api/records.h"
#include "base/io.h"
#include "base/mem.h"
#include "model/guess.h"
#include "model/model_test.h"
#include "model/rbac.h"

static const char *password_file(const char *text)
{
    static char path[512];
    (void)snprintf(path, sizeof(path), "%s/pw", test_dir());
    CHECK(io_write_file(path, text, strlen(text), 0600) == 0);
    return path;
}

static void start(struct session_limits limits)
{
    test_open_fails(test_dir());
    limits.fail_delay_us = 0;
    session_set_limits(&limits);
    CHECK(session_init(test_dir(), password_file("secret word\n"), NULL) == 0);
}

static struct session login(const char *originator)
{
    struct session s;
    CHECK(session_login("root", "secret word", originator, "10.0.0.1", &s, NULL) == 0);
    return s;
}

static bool alive(const struct session *s)
{
    char text[REF_TEXT_SIZE];
    ref_text(&s->ref, text);
    struct session found;
    struct err err = { 0 };
    if (session_find(text, &found, &err) == 0)
        return true;
    CHECK_STR(err.code, ERR_SESSION_INVALID);
    CHECK_STR(err.params[0], text);
    err_done(&err);
    return false;
}

TEST(log_in_and_out)
{
    start(SESSION_LIMITS);
    struct session s = login("tests"), found;
    CHECK_STR(s.user, "root");
    CHECK_STR(s.originator, "tests");
    CHECK(s.local_superuser && (s.roles & ROLE_POOL_ADMIN));
    char text[REF_TEXT_SIZE];
    ref_text(&s.ref, text);
    CHECK(session_find(text, &found, NULL) == 0);
    CHECK(ref_eq(&found.ref, &s.ref) && found.roles == s.roles);
    CHECK_STR(found.user, "root");
    CHECK(session_logout(&s.ref, NULL) == 0);
    CHECK(!alive(&s));
    struct err err = { 0 };
    CHECK(session_logout(&s.ref, &err) < 0);
    CHECK_STR(err.code, ERR_SESSION_INVALID);
    err_done(&err);
    struct session local;
    CHECK(session_login_local("cli", &local, NULL) == 0);
    CHECK(alive(&local));
    db_close();
    test_open(test_dir()); /* a restart logs everybody out */
    CHECK(!alive(&local));
    db_close();
}

static void be_subject(const struct session *s, const char *sid)
{
    struct tx *tx = tx_begin(&test_who);
    tx_set_str(tx, &s->ref, CLASS_SESSION, F_SESSION_AUTH_USER_SID, sid);
    CHECK(tx_commit(tx, NULL) == 0);
}

TEST(log_out_a_subject)
{
    start(SESSION_LIMITS);
    struct session root = login("a"), one = login("b"), two = login("c"), own = login("d");
    be_subject(&one, "S-1");
    be_subject(&two, "S-1");
    be_subject(&own, "S-1");
    CHECK(session_logout_subject("", &own.ref, NULL) == 0);
    CHECK(session_logout_subject("S-2", &own.ref, NULL) == 0);
    CHECK(alive(&root) && alive(&one) && alive(&two) && alive(&own));
    CHECK(session_logout_subject("S-1", &own.ref, NULL) == 0);
    CHECK(alive(&root) && !alive(&one) && !alive(&two) && alive(&own));
    db_close();
}

TEST(change_the_password)
{
    start(SESSION_LIMITS);
    struct session s = login("a"), fresh;
    struct err err = { 0 };
    CHECK(session_change_password("wrong", "other", &err) < 0);
    CHECK_STR(err.code, ERR_SESSION_AUTHENTICATION_FAILED);
    err_done(&err);
    CHECK(session_change_password("secret word", "", &err) < 0);
    CHECK_STR(err.code, ERR_CHANGE_PASSWORD_REJECTED);
    err_done(&err);
    CHECK(session_change_password("secret word", "other", NULL) == 0);
    CHECK(alive(&s));
    CHECK(session_login("root", "secret word", "a", NULL, &fresh, &err) < 0);
    err_done(&err);
    CHECK(session_login("root", "other", "a", NULL, &fresh, NULL) == 0);
    /* The file holds it for the next start. */
    AUTO(free_str) char *path = str_fmt("%s/pw", test_dir());
    CHECK(session_init(test_dir(), path, NULL) == 0);
    CHECK(session_login("root", "other", "a", NULL, &fresh, NULL) == 0);
    /* A file that cannot be written leaves the old one in force. */
    AUTO(free_str) char *away = str_fmt("%s/no/such/folder", test_dir());
    CHECK(io_mkdirs(away, 0700) == 0);
    AUTO(free_str) char *inside = str_fmt("%s/pw", away);
    CHECK(io_write_file(inside, "third\n", 6, 0600) == 0);
    CHECK(session_init(test_dir(), inside, NULL) == 0);
    CHECK(io_remove_tree(away) == 0);
    CHECK(session_change_password("third", "fourth", &err) < 0);
    CHECK_STR(err.code, ERR_CHANGE_PASSWORD_REJECTED);
    err_done(&err);
    CHECK(session_login("root", "third", "a", NULL, &fresh, NULL) == 0);
    db_close();
}

static int system_users(const char *user, const char *password, const char *from,
                        bool *right_out, bool *admin_out, char **groups_out,
                        struct err *err)
{
    if (str_eq(user, "away"))
        return err_set(err, ERR_SESSION_AUTHENTICATION_FAILED, user, "nobody answers");
    *right_out = str_eq(password, "good") && str_eq(from, "192.0.2.7");
    *admin_out = str_eq(user, "ann");
    *groups_out = str_eq(user, "bob") ? NULL : str_dup("users,makers");
    return 0;
}

TEST(users_of_the_system)
{
    static const struct {
        const char *user, *password, *error;
    } cases[] = {
        { "ann", "good", NULL },
        { "ann", "bad", ERR_SESSION_AUTHENTICATION_FAILED },
        { "bob", "good", ERR_SESSION_AUTHORIZATION_FAILED },
        { "away", "good", ERR_SESSION_AUTHENTICATION_FAILED },
    };
    struct session_limits l = SESSION_LIMITS;
    l.fail_delay_us = 50 * US_PER_MS;
    session_set_source(system_users);
    start(l);
    session_set_limits(&l); /* with the delay */
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct session s;
        struct err err = { 0 };
        int64_t before = clock_now_us();
        int rc = session_login(cases[i].user, cases[i].password, "a", "192.0.2.7", &s,
                               &err);
        CHECK_INT(rc, cases[i].error ? -1 : 0);
        CHECK(!cases[i].error || str_eq(err.code, cases[i].error));
        CHECK(!cases[i].error || i >= 2 || clock_now_us() - before >= l.fail_delay_us);
        if (rc == 0)
            CHECK_STR(s.user, cases[i].user);
        err_done(&err);
    }
    struct err err = { 0 };
    CHECK(session_change_password("good", "other", &err) < 0);
    CHECK_STR(err.code, ERR_CHANGE_PASSWORD_REJECTED);
    err_done(&err);
    session_set_source(NULL);
    db_close();
}

/* A subject with a role, or with none. */
static struct ref make_subject(const char *id, uint8_t bit)
{
    const struct ty *ty = schema_classes[CLASS_SUBJECT].fields[F_SUBJECT_ROLES].ty;
    struct subject_rec *rec = record_new(&schema_classes[CLASS_SUBJECT]);
    struct ref role = rbac_role_ref(bit);
    value_done(ty, &rec->roles);
    rec->roles = (struct set_ref){ 0 };
    (void)set_add(ty, &rec->roles, &role);
    str_put(&rec->subject_identifier, id);
    struct tx *tx = tx_begin(&test_who);
    struct ref ref = tx_create(tx, CLASS_SUBJECT, rec, NULL);
    CHECK(tx_commit(tx, NULL) == 0);
    return ref;
}

TEST(users_of_the_system_have_the_roles_of_their_subjects)
{
    session_set_source(system_users);
    start(SESSION_LIMITS);
    CHECK(rbac_init(NULL) == 0);
    (void)make_subject("local:bob", ROLE_READ_ONLY);
    (void)make_subject("local-group:makers", ROLE_VM_OPERATOR);
    (void)make_subject("local-group:use", ROLE_POOL_ADMIN); /* nobody's */

    static const struct {
        const char *user, *sid;
        uint8_t roles;
    } cases[] = { { "bob", "local:bob", ROLE_READ_ONLY },
                  { "cleo", "local:cleo", ROLE_VM_OPERATOR } };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct session s;
        AUTO(err_done) struct err err = { 0 };
        CHECK_INT(session_login(cases[i].user, "good", "a", "192.0.2.7", &s, &err), 0);
        CHECK_INT(s.roles, cases[i].roles);
        CHECK(!s.local_superuser);
        db_lock();
        const struct session_rec *rec = db_get(CLASS_SESSION, &s.ref);
        CHECK_STR(rec ? rec->auth_user_sid : NULL, cases[i].sid);
        db_unlock();
    }
    session_set_source(NULL);
    db_close();
}

TEST(known_and_unknown_users_cost_the_same_hash)
{
    static const char *const users[] = { "root", "nobody", "", "alice" };
    start(SESSION_LIMITS);
    for (size_t i = 0; i < ARRAY_SIZE(users); i++) {
        struct session s;
        unsigned long before = session_hashes();
        CHECK(session_login(users[i], "wrong", "", "10.0.0.1", &s, NULL) < 0);
        CHECK_INT(session_hashes() - before, 1);
    }
    db_close();
}

TEST(guessing_is_slowed_for_the_guesser_alone)
{
    struct session s;
    struct guess_limits l = GUESS_LIMITS;
    start(SESSION_LIMITS);
    l.free_failures = 0;
    l.step_us = l.most_us = 3600 * US_PER_SEC;
    guess_set_limits(&l);
    CHECK(session_login("root", "wrong", "", "10.6.6.6", &s, NULL) < 0);
    CHECK(guess_wait_us("root", "10.6.6.6") > 1800 * US_PER_SEC);
    s = login("elsewhere"); /* another address, at once */
    CHECK(session_login("root", "secret word", "", NULL, &s, NULL) == 0);
    CHECK(guess_wait_us("root", "10.6.6.6") > 1800 * US_PER_SEC);
    /* A right password from there is late, not lost. */
    l.step_us = l.most_us = 100 * US_PER_MS;
    guess_set_limits(&l);
    CHECK(session_login("root", "wrong", "", "10.6.6.6", &s, NULL) < 0);
    int64_t until = clock_now_us() + guess_wait_us("root", "10.6.6.6") - US_PER_MS;
    CHECK(session_login("root", "secret word", "", "10.6.6.6", &s, NULL) == 0);
    CHECK(clock_now_us() >= until);
    CHECK_INT(guess_wait_us("root", "10.6.6.6"), 0);
    l = GUESS_LIMITS;
    guess_set_limits(&l);
    db_close();
}

TEST(wrong_passwords)
{
    start(SESSION_LIMITS);
    char *big = mem_alloc(2001);
    memset(big, 'x', 2000);
    const char *cases[][2] = {
        { "root", "" },  { "root", "secret word\n" }, { "root", "Secret word" },
        { "root", big }, { "admin", "secret word" },  { "", "secret word" }
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct session s;
        struct err err = { 0 };
        CHECK(session_login(cases[i][0], cases[i][1], "", NULL, &s, &err) < 0);
        CHECK_STR(err.code, ERR_SESSION_AUTHENTICATION_FAILED);
        CHECK_STR(err.params[0], cases[i][0]);
        CHECK_INT(err.n_params, 2);
        err_done(&err);
    }
    free(big);
    db_lock();
    CHECK_INT(db_count(CLASS_SESSION), 0);
    db_unlock();
    db_close();
}

TEST(a_failure_takes_its_time)
{
    start(SESSION_LIMITS);
    struct session_limits slow = SESSION_LIMITS;
    slow.fail_delay_us = 200 * US_PER_MS;
    session_set_limits(&slow);
    int64_t t0 = clock_now_us();
    struct session s;
    CHECK(session_login("root", "wrong", "", NULL, &s, NULL) < 0);
    CHECK(clock_now_us() - t0 >= slow.fail_delay_us);
    db_close();
}

TEST(bad_handles)
{
    start(SESSION_LIMITS);
    static const char *const bad[] = { "", "OpaqueRef:NULL", "x",
                                       "OpaqueRef:00000000-0000-4000-8000-000000000000" };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct session s;
        struct err err = { 0 };
        CHECK(session_find(bad[i], &s, &err) < 0);
        CHECK_STR(err.code, ERR_SESSION_INVALID);
        CHECK_STR(err.params[0], bad[i]);
        err_done(&err);
    }
    db_close();
}

TEST(too_many_evict_the_least_recently_used_of_the_same_originator)
{
    struct session_limits limits = SESSION_LIMITS;
    limits.per_originator = 3;
    start(limits);
    struct session other = login("other"), a = login("x"), b = login("x"), c = login("x");
    CHECK(alive(&a)); /* b is now the oldest */
    struct session d = login("x");
    CHECK(!alive(&b));
    CHECK(alive(&a) && alive(&c) && alive(&d) && alive(&other));
    db_close();
}

/* A source that knows alice, whose role is the test's choice, and is out of order for bob. */
static struct session_user alice;

static int ask(const char *user, const char *password, const char *client_ip,
               struct session_user *out, bool *right_out, struct err *err)
{
    CHECK_STR(client_ip, "10.0.0.1");
    if (str_eq(user, "bob"))
        return err_set(err, ERR_AUTH_SERVICE_ERROR, "nobody answers");
    *right_out = str_eq(user, "alice") && str_eq(password, "pw");
    if (*right_out) {
        *out = alice;
        out->name = str_dup(user);
        out->sid = str_dup("S-1");
    }
    return 0;
}

TEST(another_source_of_users)
{
    static const struct session_directory others = { .name = "test", .check = ask };
    struct session_limits limits = SESSION_LIMITS;
    limits.per_user = 2;
    start(limits);
    session_add_directory(&others);
    CHECK(rbac_init(NULL) == 0);
    struct session s, found;
    struct err err = { 0 };
    CHECK(session_login("alice", "pw", "a", "10.0.0.1", &s, &err) < 0);
    CHECK_STR(err.code, ERR_SESSION_AUTHORIZATION_FAILED); /* no role */
    CHECK_STR(err.params[0], "alice");
    err_done(&err);
    alice.roles[0] = rbac_role_ref(ROLE_VM_OPERATOR);
    alice.n_roles = 1;
    CHECK(session_login("alice", "wrong", "a", "10.0.0.1", &s, &err) < 0);
    CHECK_STR(err.code, ERR_SESSION_AUTHENTICATION_FAILED);
    err_done(&err);
    CHECK(session_login("bob", "pw", "a", "10.0.0.1", &s, &err) < 0);
    CHECK_STR(err.code, ERR_SESSION_AUTHENTICATION_FAILED);
    err_done(&err);
    struct session root = login("a"), one, two;
    CHECK(session_login("alice", "pw", "a", "10.0.0.1", &one, NULL) == 0);
    char text[REF_TEXT_SIZE];
    ref_text(&one.ref, text);
    CHECK(session_find(text, &found, NULL) == 0);
    CHECK(!found.local_superuser);
    CHECK_INT(found.roles, ROLE_VM_OPERATOR);
    CHECK_STR(found.user, "alice");
    /* One user's limit, whatever the originator; nobody else loses a session by it. */
    CHECK(session_login("alice", "pw", "b", "10.0.0.1", &two, NULL) == 0);
    CHECK(session_login("alice", "pw", "c", "10.0.0.1", &s, NULL) == 0);
    CHECK(!alive(&one) && alive(&two) && alive(&s) && alive(&root));
    /* What a token lent ends in time. */
    alice.expires_us = 1;
    CHECK(session_login("alice", "pw", "d", "10.0.0.1", &s, NULL) == 0);
    CHECK(!alive(&s));
    db_close();
}

TEST(idle_sessions_end)
{
    struct session_limits limits = SESSION_LIMITS;
    start(limits);
    struct session a = login("x"), c = login("x");
    limits.idle_us = -1; /* whatever was used before now is too old */
    session_set_limits(&limits);
    CHECK(!alive(&a));
    limits.idle_us = SESSION_LIMITS.idle_us;
    session_set_limits(&limits);
    struct session b = login("x");
    CHECK(!alive(&a) && !alive(&c) && alive(&b));
    db_lock();
    CHECK_INT(db_count(CLASS_SESSION), 1);
    db_unlock();
    db_close();
}

TEST(a_watch_learns_of_the_end)
{
    start(SESSION_LIMITS);
    struct session a = login("x"), b = login("x");
    struct session_watch wa, wb;
    db_lock();
    session_watch(&wa, &a.ref);
    session_watch(&wb, &b.ref);
    db_unlock();
    CHECK(session_logout(&a.ref, NULL) == 0);
    db_lock();
    CHECK(wa.ended && !wb.ended);
    CHECK(!session_exists(&a.ref) && session_exists(&b.ref));
    session_unwatch(&wa);
    session_unwatch(&wb);
    db_unlock();
    db_close();
}

static const char *init_error(const char *file)
{
    static char text[512];
    struct err err = { 0 };
    if (session_init(test_dir(), file, &err) == 0)
        return "";
    (void)snprintf(text, sizeof(text), "%s", err.detail);
    err_done(&err);
    return text;
}

TEST(password_files)
{
    test_open(test_dir());
    char want[600];
    const char *path = password_file("");
    (void)snprintf(want, sizeof(want), "password file %s is empty", path);
    CHECK_STR(init_error(path), want);
    path = password_file("\n");
    CHECK_STR(init_error(path), want);
    (void)snprintf(want, sizeof(want),
                   "password file %s/none cannot be read: No such file or directory",
                   test_dir());
    AUTO(free_str) char *none = str_fmt("%s/none", test_dir());
    CHECK_STR(init_error(none), want);
    CHECK_STR(init_error(password_file("two\n\n")), ""); /* only one newline goes */
    struct session s;
    CHECK(session_login("root", "two\n", "", NULL, &s, NULL) == 0);
    CHECK_STR(init_error(NULL), ""); /* made */
    AUTO(free_str) char *own = str_fmt("%s/password", test_dir());
    AUTO(buf_done) struct buf made = BUF_INIT(100), again = BUF_INIT(100);
    CHECK(io_read_file(own, &made) == 0 && made.len == 25);
    struct stat st;
    CHECK(stat(own, &st) == 0 && (st.st_mode & 0777) == 0600);
    CHECK_STR(init_error(NULL), ""); /* kept */
    CHECK(io_read_file(own, &again) == 0);
    CHECK_STR(again.data, made.data);
    again.data[24] = '\0';
    CHECK(session_login("root", again.data, "", NULL, &s, NULL) == 0);
    db_close();
}

TEST(fifty_logins_take_less_than_a_second)
{
    start(SESSION_LIMITS);
    int64_t t0 = clock_now_us();
    for (int i = 0; i < 50; i++)
        (void)login("many");
    printf("# %lld ms\n", (long long)((clock_now_us() - t0) / US_PER_MS));
#ifndef __SANITIZE_ADDRESS__
    CHECK(clock_now_us() - t0 < 5 * US_PER_SEC); /* 0.4 s alone; others share the machine */
#endif
    db_close();
}

/* ---- how many are asked at the same time ---- */

static struct mutex asked = MUTEX_INIT;
static struct cond asked_changed = { PTHREAD_COND_INITIALIZER };
static int asking GUARDED_BY(asked), most GUARDED_BY(asked), go GUARDED_BY(asked);

/* Stays until it is let go. */
static int slow_system(const char *user, const char *password, const char *from,
                       bool *right_out, bool *admin_out, char **groups_out, struct err *err)
{
    (void)user, (void)password, (void)from, (void)err;
    mutex_lock(&asked);
    most = MAX(most, ++asking);
    cond_broadcast(&asked_changed);
    while (go == 0)
        cond_wait(&asked_changed, &asked);
    go--;
    asking--;
    mutex_unlock(&asked);
    *right_out = *admin_out = true;
    return 0;
}

static void *log_in(void *arg)
{
    struct session s;
    *(bool *)arg = session_login("ann", "good", "", NULL, &s, NULL) == 0;
    return NULL;
}

TEST(no_more_are_asked_at_once_than_the_pool_says)
{
    enum { LOGINS = 6, AT_ONCE = 2 };

    pthread_t threads[LOGINS];
    bool right[LOGINS] = { 0 };
    session_set_source(slow_system);
    start(SESSION_LIMITS);
    struct tx *tx = tx_begin(&test_who);
    struct pool_rec *pool = record_new(&schema_classes[CLASS_POOL]);
    pool->local_auth_max_threads = AT_ONCE;
    (void)tx_create(tx, CLASS_POOL, pool, NULL);
    CHECK(tx_commit(tx, NULL) == 0);
    for (size_t i = 0; i < LOGINS; i++)
        CHECK(thread_start(&threads[i], "login", 0, log_in, &right[i]) == 0);
    mutex_lock(&asked);
    while (asking < AT_ONCE)
        cond_wait(&asked_changed, &asked);
    go = LOGINS;
    cond_broadcast(&asked_changed);
    mutex_unlock(&asked);
    for (size_t i = 0; i < LOGINS; i++) {
        (void)pthread_join(threads[i], NULL);
        CHECK(right[i]);
    }
    mutex_lock(&asked);
    CHECK_INT(most, AT_ONCE);
    mutex_unlock(&asked);
    session_set_source(NULL);
    db_close();
}
