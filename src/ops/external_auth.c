/* SPDX-License-Identifier: Apache-2.0 */
/* External authentication by an LDAP directory: auth.*, {pool,host}.{en,dis}able_external_auth, logins. What is configured
 * stands in the host's record; the password for looking things up is an object of class secret, made and destroyed in
 * the same transaction. Nothing of the directory is cached but the sessions themselves: a thread of its own asks again
 * about whoever is logged in, and ends the sessions of those who are gone, disabled or without a role. A directory
 * that does not answer ends nobody's session, and lets nobody new in.
 * directory_lock guards the thread's state and how many ask at a time; held by nobody who waits for the directory. */
#include "ops/external_auth.h"

#include <string.h>
#include <strings.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "host/directory.h"
#include "model/session.h"
#include "ops/call.h"
#include "ops/host_ctx.h"

#define TIMEOUT_US   (10 * US_PER_SEC)
#define REVALIDATE_S 300
#define CA_MAX       (1024 * 1024)
#define MAX_THREADS  8

static struct mutex directory_lock = MUTEX_INIT;
static struct cond changed;
static int64_t asking GUARDED_BY(directory_lock);
static bool stopping GUARDED_BY(directory_lock), running GUARDED_BY(directory_lock);
static bool renewed
    GUARDED_BY(directory_lock); /* the configuration: the interval is another one */
static pthread_t watcher;

/* ---- the configuration --------------------------------------------------------------------------------- */

/* A copy of what is configured, with what follows from it. */
struct settings {
    struct directory_config c;
    char *type, *service; /* "" when disabled */
    char *uri, *base, *user, *password, *ca_file, *user_attribute, *id_attribute, *member;
    int64_t revalidate_s, max_threads;
};

static void settings_done(struct settings *s)
{
    char **all[] = { &s->type,         &s->service,  &s->uri,     &s->base,
                     &s->user,         &s->password, &s->ca_file, &s->user_attribute,
                     &s->id_attribute, &s->member };
    if (s->password)
        explicit_bzero(s->password, strlen(s->password));
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        free(*all[i]);
    *s = (struct settings){ 0 };
}

static const char *get(const struct map_string_string *config, const char *key)
{
    for (size_t i = 0; i < config->n; i++) {
        if (str_eq(config->v[i].key, key))
            return config->v[i].val;
    }
    return "";
}

static char *given_or(const struct map_string_string *config, const char *key,
                      const char *otherwise)
{
    const char *v = get(config, key);
    return str_dup(*v ? v : otherwise);
}

/* "dc=example,dc=com" of "example.com". */
static char *base_of_domain(const char *domain)
{
    struct buf out = BUF_INIT(0);
    for (const char *p = domain; *p;) {
        size_t n = strcspn(p, ".");
        if (n > 0)
            buf_addf(&out, "%sdc=%.*s", out.len ? "," : "", (int)n, p);
        p += n + (p[n] == '.');
    }
    return buf_take(&out);
}

/* A name of an attribute becomes part of a filter. */
static bool is_attribute(const char *s)
{
    return strlen(s) <= 64
           && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")
                  == strlen(s);
}

static int bad_config(const char *key, const char *value, struct err *err)
{
    AUTO(free_str) char *text = str_fmt("%s=%s is not possible", key, value);
    return err_set(err, ERR_AUTH_ENABLE_FAILED, text);
}

static int check_keys(const struct map_string_string *config, struct err *err)
{
    static const char *const keys[] = { "uri",
                                        "tls",
                                        "ca",
                                        "base",
                                        "user",
                                        "pass",
                                        "pass_secret",
                                        "domain",
                                        "user_attribute",
                                        "id_attribute",
                                        "member_attribute",
                                        "revalidate" };
    for (size_t i = 0; i < config->n; i++) {
        bool known = false;
        for (size_t k = 0; k < ARRAY_SIZE(keys) && !known; k++)
            known = str_eq(config->v[i].key, keys[k]);
        if (!known) {
            AUTO(free_str) char *text = str_fmt("there is no setting %s", config->v[i].key);
            return err_set(err, ERR_AUTH_ENABLE_FAILED, text);
        }
    }
    return 0;
}

static int read_tls(const struct map_string_string *config, struct settings *s,
                    struct err *err)
{
    const char *tls = get(config, "tls");
    bool always = str_starts(s->uri, "ldaps://"), local = str_starts(s->uri, "ldapi://");
    if (!always && !local && !str_starts(s->uri, "ldap://"))
        return bad_config("uri", s->uri, err);
    if (always)
        s->c.tls = DIRECTORY_TLS_ALWAYS;
    else if (str_eq(tls, "none") || (local && !*tls))
        s->c.tls = DIRECTORY_TLS_NONE;
    else if (str_eq(tls, "start") || !*tls)
        s->c.tls = DIRECTORY_TLS_START;
    else
        return bad_config("tls", tls, err);
    return 0;
}

/* s->type and s->service are set. */
static int read_config(const struct map_string_string *config, struct settings *s,
                       struct err *err)
{
    bool ad = str_eq(s->type, "AD");
    const char *every = get(config, "revalidate");
    AUTO(free_str) char *uri = str_fmt("ldap://%s", s->service);
    AUTO(free_str) char *base = base_of_domain(s->service);
    s->uri = given_or(config, "uri", uri);
    s->base = given_or(config, "base", base);
    s->user = given_or(config, "user", "");
    s->user_attribute = given_or(config, "user_attribute", ad ? "sAMAccountName" : "uid");
    s->id_attribute = given_or(config, "id_attribute", ad ? "objectSid" : "entryUUID");
    s->member = given_or(config, "member_attribute", "member");
    if (*get(config, "ca"))
        s->ca_file = str_fmt("%s/directory-ca.pem", host_ctx.state_dir);
    if (!is_attribute(s->user_attribute) || !is_attribute(s->id_attribute)
        || !is_attribute(s->member))
        return bad_config("an attribute", "a name with other characters", err);
    s->revalidate_s = REVALIDATE_S;
    if (*every && !parse_range(every, 1, 86400, &s->revalidate_s))
        return bad_config("revalidate", every, err);
    if (read_tls(config, s, err) < 0)
        return -1;
    s->c = (struct directory_config){ .uri = s->uri,
                                      .base = s->base,
                                      .user = s->user,
                                      .password = s->password,
                                      .ca_file = s->ca_file,
                                      .user_attribute = s->user_attribute,
                                      .id_attribute = s->id_attribute,
                                      .member_attribute = s->member,
                                      .tls = s->c.tls,
                                      .timeout_us = TIMEOUT_US };
    return 0;
}

static char *secret_of(const struct map_string_string *config) REQUIRES(db_mutex)
{
    struct ref ref;
    const char *uuid = get(config, "pass_secret");
    const struct secret_rec *rec = *uuid && db_find_uuid(CLASS_SECRET, uuid, &ref)
                                       ? db_get(CLASS_SECRET, &ref)
                                       : NULL;
    return str_dup(rec ? rec->value : "");
}

/* What is enabled. Errors: AUTH_IS_DISABLED. */
static int load(struct settings *s, struct err *err) EXCLUDES(db_mutex)
{
    const struct ty *ty =
        schema_classes[CLASS_HOST].fields[F_HOST_EXTERNAL_AUTH_CONFIGURATION].ty;
    struct map_string_string config = { 0 };
    db_lock();
    struct ref self = db_host_ref(), pool_ref = db_pool_ref();
    const struct host_rec *h = db_get(CLASS_HOST, &self);
    const struct pool_rec *pool = db_get(CLASS_POOL, &pool_ref);
    *s = (struct settings){ .type = str_dup(h ? h->external_auth_type : ""),
                            .service = str_dup(h ? h->external_auth_service_name : ""),
                            .max_threads = pool ? pool->ext_auth_max_threads : 1 };
    if (h && *s->type) {
        value_copy(ty, &config, &h->external_auth_configuration);
        s->password = secret_of(&config);
    }
    db_unlock();
    int rc = *s->type ? read_config(&config, s, err) : err_set(err, ERR_AUTH_IS_DISABLED);
    value_done(ty, &config);
    return rc;
}

/* ---- one question at a time ---------------------------------------------------------------------------- */

/* Errors: AUTH_SERVICE_ERROR when so many others ask that it takes too long. */
static int begin_asking(int64_t most, struct err *err) EXCLUDES(directory_lock)
{
    int64_t until = clock_now_us() + TIMEOUT_US;
    bool good = true;
    mutex_lock(&directory_lock);
    while (asking >= MAX(most, INT64_C(1)) && good)
        good = cond_wait_until(&changed, &directory_lock, until);
    if (good)
        asking++;
    mutex_unlock(&directory_lock);
    return good ? 0
                : err_set(err, ERR_AUTH_SERVICE_ERROR, "too many are asking the directory");
}

static void end_asking(void) EXCLUDES(directory_lock)
{
    mutex_lock(&directory_lock);
    asking--;
    cond_broadcast(&changed);
    mutex_unlock(&directory_lock);
}

/* ---- who may log in ------------------------------------------------------------------------------------ */

/* The subjects that an entry is, itself or by its groups. */
static int find_roles(const struct directory_config *c, const struct directory_entry *e,
                      struct session_user *out, struct err *err)
{
    char **ids = NULL;
    size_t n = 0;
    if (directory_groups(c, e->dn, &ids, &n, err) < 0)
        return -1;
    db_lock();
    session_add_subject(e->id, out);
    for (size_t i = 0; i < n; i++)
        session_add_subject(ids[i], out);
    db_unlock();
    for (size_t i = 0; i < n; i++)
        free(ids[i]);
    free(ids);
    return 0;
}

/* "joe" of "joe", "joe@example.com" and "EXAMPLE\joe"; NULL: of another domain. Given. */
static char *bare_name(const char *user, const char *service)
{
    const char *at = strrchr(user, '@'), *back = strchr(user, '\\');
    size_t label = strcspn(service, ".");
    if (back) {
        size_t n = (size_t)(back - user);
        bool ours = (n == label || n == strlen(service))
                    && strncasecmp(user, service, n) == 0;
        return ours ? str_dup(back + 1) : NULL;
    }
    if (at)
        return strcasecmp(at + 1, service) == 0 ? str_dupn(user, (size_t)(at - user))
                                                : NULL;
    return str_dup(user);
}

static int ask_directory(const struct settings *s, const char *user, const char *password,
                         struct session_user *out, bool *right_out, struct err *err)
{
    AUTO(directory_entry_done) struct directory_entry e = { 0 };
    AUTO(free_str) char *name = bare_name(user, s->service);
    *right_out = false;
    if (!name || !*name || strlen(user) > 255)
        return 0;
    if (directory_login(&s->c, name, password, &e, right_out, err) < 0)
        return -1;
    if (!*right_out)
        return 0;
    if (find_roles(&s->c, &e, out, err) < 0)
        return -1;
    out->name = str_dup(user);
    out->sid = str_dup(e.id);
    return 0;
}

static int check_login(const char *user, const char *password, const char *client_ip,
                       struct session_user *out, bool *right_out, struct err *err)
{
    AUTO(settings_done) struct settings s = { 0 };
    AUTO(err_done) struct err off = { 0 };
    (void)client_ip;
    *right_out = false;
    if (load(&s, &off) < 0)
        return 0;
    if (begin_asking(s.max_threads, err) < 0)
        return -1;
    int rc = ask_directory(&s, user, password, out, right_out, err);
    end_asking();
    return rc;
}

/* ---- sessions under way -------------------------------------------------------------------------------- */

static bool is_local(const char *id)
{
    return str_starts(id, SESSION_LOCAL_USER) || str_starts(id, SESSION_LOCAL_GROUP);
}

/* A user of the system whose subject is gone, or has no role any more. */
static char *local_without_role(void) EXCLUDES(db_mutex)
{
    char *sid = NULL;
    db_lock();
    for (struct db_iter it = db_first(CLASS_SESSION); it.rec && !sid; db_next(&it)) {
        const struct session_rec *rec = it.rec;
        const struct subject_rec *s = db_get(CLASS_SUBJECT, &rec->subject);
        if (is_local(rec->auth_user_sid) && (!s || s->roles.n == 0))
            sid = str_dup(rec->auth_user_sid);
    }
    db_unlock();
    return sid;
}

static char **logged_in(size_t *n_out) EXCLUDES(db_mutex)
{
    size_t n = 0;
    db_lock();
    char **sids = mem_array(db_count(CLASS_SESSION) + 1, sizeof(*sids));
    for (struct db_iter it = db_first(CLASS_SESSION); it.rec; db_next(&it)) {
        const struct session_rec *rec = it.rec;
        bool there = !*rec->auth_user_sid || is_local(rec->auth_user_sid);
        for (size_t i = 0; i < n && !there; i++)
            there = str_eq(sids[i], rec->auth_user_sid);
        if (!there)
            sids[n++] = str_dup(rec->auth_user_sid);
    }
    db_unlock();
    *n_out = n;
    return sids;
}

static int logout(const char *sid, const char *why, struct err *err)
{
    struct ref none = REF_NULL;
    log_info("the sessions of %s end: %s", sid, why);
    return session_logout_subject(sid, &none, err);
}

static int still_valid(const char *sid, struct err *err) EXCLUDES(db_mutex)
{
    struct tx *tx = daemon_tx("revalidation");
    for (struct db_iter it = db_first(CLASS_SESSION); it.rec; db_next(&it)) {
        struct ref ref = it.ref;
        if (str_eq(((const struct session_rec *)it.rec)->auth_user_sid, sid))
            tx_set_int(tx, &ref, CLASS_SESSION, F_SESSION_VALIDATION_TIME, clock_wall_us());
    }
    return tx_commit(tx, err);
}

static int look_again(const struct settings *s, const char *sid, struct err *err)
{
    AUTO(directory_entry_done) struct directory_entry e = { 0 };
    AUTO(session_user_done) struct session_user user = { 0 };
    bool found;
    if (directory_by_id(&s->c, sid, &e, &found, err) < 0)
        return -1;
    if (!found || e.disabled)
        return logout(sid, "the directory does not know that user any more", err);
    if (find_roles(&s->c, &e, &user, err) < 0)
        return -1;
    return user.n_roles > 0 ? still_valid(sid, err) : logout(sid, "no role is left", err);
}

static void revalidate(void)
{
    AUTO(settings_done) struct settings s = { 0 };
    AUTO(err_done) struct err off = { 0 }, failed = { 0 };
    size_t n;
    for (char *sid; (sid = local_without_role()) != NULL; free(sid)) {
        if (logout(sid, "no role is left", &failed) < 0) {
            free(sid);
            break; /* the disk is full: again later */
        }
    }
    if (load(&s, &off) < 0)
        return;
    char **sids = logged_in(&n);
    for (size_t i = 0; i < n; i++) {
        AUTO(err_done) struct err err = { 0 };
        int rc = begin_asking(s.max_threads, &err);
        if (rc == 0) {
            rc = look_again(&s, sids[i], &err);
            end_asking();
        }
        if (rc < 0)
            log_warn("whether %s may still be logged in cannot be asked: %s", sids[i],
                     err.code);
        free(sids[i]);
    }
    free(sids);
}

static int64_t interval_us(void)
{
    AUTO(settings_done) struct settings s = { 0 };
    AUTO(err_done) struct err off = { 0 };
    return (load(&s, &off) == 0 ? s.revalidate_s : REVALIDATE_S) * US_PER_SEC;
}

static void *watch(void *arg)
{
    (void)arg;
    for (;;) {
        int64_t until = clock_now_us() + interval_us();
        mutex_lock(&directory_lock);
        while (!stopping && !renewed && cond_wait_until(&changed, &directory_lock, until))
            continue; /* somebody else's question ended */
        bool stop = stopping, due = !renewed;
        renewed = false;
        mutex_unlock(&directory_lock);
        if (stop)
            return NULL;
        if (due)
            revalidate();
    }
}

static const struct session_directory directory = { .name = "the directory",
                                                    .check = check_login };

int external_auth_init(struct err *err)
{
    cond_init(&changed);
    session_add_directory(&directory);
    if (thread_start(&watcher, "directory", 0, watch, NULL) != 0)
        return err_set(err, ERR_INTERNAL_ERROR, "no thread for the directory");
    mutex_lock(&directory_lock);
    running = true;
    mutex_unlock(&directory_lock);
    return 0;
}

void external_auth_done(void)
{
    mutex_lock(&directory_lock);
    bool was = running;
    stopping = true;
    running = false;
    cond_broadcast(&changed);
    mutex_unlock(&directory_lock);
    if (was)
        (void)pthread_join(watcher, NULL);
}

/* ---- the calls ----------------------------------------------------------------------------------------- */

/* Users and groups of the system, whether there are such or not: nobody is asked but at a login. */
static bool resolve_local(const char *id, struct directory_entry *out)
{
    if (!id || !is_local(id) || !strchr(id, ':')[1])
        return false;
    out->name = str_dup(strchr(id, ':') + 1);
    out->id = str_dup(id);
    out->display = str_dup(out->name);
    out->dn = str_dup("");
    out->is_group = str_starts(id, SESSION_LOCAL_GROUP);
    return true;
}

static int resolve(const char *name, const char *id, struct directory_entry *out,
                   char ***groups_out, size_t *n_out, struct err *err)
{
    AUTO(settings_done) struct settings s = { 0 };
    bool found = false;
    if (resolve_local(name ? name : id, out)) {
        if (groups_out)
            *groups_out = mem_array(1, sizeof(**groups_out));
        return 0;
    }
    if (load(&s, err) < 0 || begin_asking(s.max_threads, err) < 0)
        return -1;
    AUTO(free_str) char *bare = name ? bare_name(name, s.service) : NULL;
    int rc = 0;
    if (bare)
        rc = directory_by_name(&s.c, bare, out, &found, err);
    else if (id)
        rc = directory_by_id(&s.c, id, out, &found, err);
    if (rc == 0 && found && groups_out)
        rc = directory_groups(&s.c, out->dn, groups_out, n_out, err);
    end_asking();
    return rc == 0 && !found ? err_set(err, ERR_SUBJECT_CANNOT_BE_RESOLVED) : rc;
}

int op_auth_get_subject_identifier(struct call *call,
                                   const struct auth_get_subject_identifier_args *a,
                                   const char **result, struct err *err)
{
    AUTO(directory_entry_done) struct directory_entry e = { 0 };
    (void)call;
    if (resolve(a->subject_name, NULL, &e, NULL, NULL, err) < 0)
        return -1;
    str_put(result, e.id);
    return 0;
}

int op_auth_get_subject_information_from_identifier(
    struct call *call, const struct auth_get_subject_information_from_identifier_args *a,
    struct map_string_string *result, struct err *err)
{
    AUTO(directory_entry_done) struct directory_entry e = { 0 };
    const struct ty *ty = schema_classes[CLASS_SUBJECT].fields[F_SUBJECT_OTHER_CONFIG].ty;
    (void)call;
    if (resolve(NULL, a->subject_identifier, &e, NULL, NULL, err) < 0)
        return -1;
    const char *rows[][2] = {
        { "subject-name", e.name },
        { "subject-sid", e.id },
        { "subject-displayname", e.display },
        { "subject-gecos", e.display },
        { "subject-upn", e.mail ? e.mail : "" },
        { "subject-is-group", e.is_group ? "true" : "false" },
        { "subject-account-disabled", e.disabled ? "true" : "false" },
        { "subject-dn", e.dn },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        (void)map_put(ty, result, &rows[i][0], &rows[i][1]);
    return 0;
}

int op_auth_get_group_membership(struct call *call,
                                 const struct auth_get_group_membership_args *a,
                                 struct set_string *result, struct err *err)
{
    AUTO(directory_entry_done) struct directory_entry e = { 0 };
    char **ids = NULL;
    size_t n = 0;
    (void)call;
    if (resolve(NULL, a->subject_identifier, &e, &ids, &n, err) < 0)
        return -1;
    result->v = (const char **)(uintptr_t)ids;
    result->n = n;
    return 0;
}

/* What is kept: without the password, which becomes a secret. */
static void store_config(struct tx *tx, const struct ref *host, const char *type,
                         const char *service, const struct map_string_string *config)
    REQUIRES(db_mutex)
{
    const struct field_def *f =
        &schema_classes[CLASS_HOST].fields[F_HOST_EXTERNAL_AUTH_CONFIGURATION];
    const char *pass_key = "pass", *secret_key = "pass_secret";
    struct map_string_string kept = { 0 };
    value_copy(f->ty, &kept, config);
    if (*get(config, "pass")) {
        struct secret_rec *rec = record_new(&schema_classes[CLASS_SECRET]);
        str_put(&rec->value, get(config, "pass"));
        struct ref ref = tx_create(tx, CLASS_SECRET, rec, NULL);
        const struct secret_rec *made = db_get(CLASS_SECRET, &ref);
        (void)map_put(f->ty, &kept, &secret_key, &made->uuid);
    }
    (void)map_remove(f->ty, &kept, &pass_key);
    tx_set_str(tx, host, CLASS_HOST, F_HOST_EXTERNAL_AUTH_TYPE, type);
    tx_set_str(tx, host, CLASS_HOST, F_HOST_EXTERNAL_AUTH_SERVICE_NAME, service);
    tx_set(tx, host, CLASS_HOST, f->id, &kept);
    value_done(f->ty, &kept);
}

static int write_ca(const char *pem, struct err *err)
{
    AUTO(free_str) char *path = str_fmt("%s/directory-ca.pem", host_ctx.state_dir);
    if (!*pem)
        return 0;
    if (strlen(pem) > CA_MAX || !strstr(pem, "-----BEGIN CERTIFICATE-----"))
        return err_set(err, ERR_AUTH_ENABLE_FAILED_INVALID_TRUSTED_CERTS,
                       "ca is no certificate in PEM form");
    if (io_write_file(path, pem, strlen(pem), 0600) < 0) {
        (void)err_set(err, ERR_AUTH_ENABLE_FAILED, "the certificate cannot be written");
        return err_detail(err, "%s: %m", path);
    }
    return 0;
}

static int enable(struct call *call, const char *type, const char *service,
                  const struct map_string_string *config, struct err *err)
{
    AUTO(settings_done) struct settings now = { 0 }, s = { 0 };
    AUTO(err_done) struct err off = { 0 };
    if (load(&now, &off) == 0 || *now.type)
        return err_set(err, ERR_AUTH_ALREADY_ENABLED, now.type, now.service);
    if (!str_eq(type, "AD") && !str_eq(type, "LDAP"))
        return err_set(err, ERR_AUTH_UNKNOWN_TYPE, type);
    if (!*service || strlen(service) > 253)
        return bad_config("service_name", service, err);
    s.type = str_dup(type);
    s.service = str_dup(service);
    s.password = str_dup(get(config, "pass"));
    if (check_keys(config, err) < 0 || read_config(config, &s, err) < 0
        || write_ca(get(config, "ca"), err) < 0 || directory_probe(&s.c, err) < 0)
        return -1;
    struct tx *tx = call_tx(call);
    struct ref host = db_host_ref();
    store_config(tx, &host, type, service, config);
    if (tx_commit(tx, err) < 0)
        return -1;
    mutex_lock(&directory_lock);
    renewed = true;
    cond_broadcast(&changed);
    mutex_unlock(&directory_lock);
    return 0;
}

static int disable(struct call *call, struct err *err)
{
    static const struct map_string_string nothing;
    struct ref secret;
    size_t n;
    struct tx *tx = call_tx(call);
    struct ref host = db_host_ref();
    const struct host_rec *h = db_get(CLASS_HOST, &host);
    const char *uuid = h ? get(&h->external_auth_configuration, "pass_secret") : "";
    bool has_secret = *uuid && db_find_uuid(CLASS_SECRET, uuid, &secret);
    store_config(tx, &host, "", "", &nothing);
    if (has_secret)
        tx_destroy(tx, &secret);
    if (tx_commit(tx, err) < 0)
        return -1;
    int rc = 0;
    char **sids = logged_in(&n);
    for (size_t i = 0; i < n; i++) {
        if (rc == 0)
            rc = logout(sids[i], "external authentication was disabled", err);
        free(sids[i]);
    }
    free(sids);
    return rc;
}

int op_host_enable_external_auth(struct call *call,
                                 const struct host_enable_external_auth_args *a,
                                 struct err *err)
{
    return enable(call, a->auth_type, a->service_name, &a->config, err);
}

int op_host_disable_external_auth(struct call *call,
                                  const struct host_disable_external_auth_args *a,
                                  struct err *err)
{
    (void)a;
    return disable(call, err);
}

/* The host's error as the pool's: which host, and what it said. */
static int as_pools(struct err *cause, struct err *err)
{
    static const char *const codes[][2] = {
        { ERR_AUTH_ENABLE_FAILED, ERR_POOL_AUTH_ENABLE_FAILED },
        { ERR_AUTH_UNKNOWN_TYPE, NULL },
        { ERR_AUTH_ENABLE_FAILED_WRONG_CREDENTIALS,
          ERR_POOL_AUTH_ENABLE_FAILED_WRONG_CREDENTIALS },
        { ERR_AUTH_ENABLE_FAILED_UNAVAILABLE, ERR_POOL_AUTH_ENABLE_FAILED_UNAVAILABLE },
        { ERR_AUTH_ENABLE_FAILED_DOMAIN_LOOKUP_FAILED,
          ERR_POOL_AUTH_ENABLE_FAILED_DOMAIN_LOOKUP_FAILED },
        { ERR_AUTH_ENABLE_FAILED_INVALID_TRUSTED_CERTS,
          ERR_POOL_AUTH_ENABLE_FAILED_INVALID_TRUSTED_CERTS },
        { ERR_AUTH_SETUP_TLS_CONNECTION, ERR_POOL_AUTH_ENABLE_FAILED_SETUP_TLS_CONNECTION },
    };
    char host[REF_TEXT_SIZE];
    db_lock();
    struct ref ref = db_host_ref();
    db_unlock();
    ref_text(&ref, host);
    if (str_eq(cause->code, ERR_AUTH_ALREADY_ENABLED))
        return err_set(err, ERR_POOL_AUTH_ALREADY_ENABLED, host);
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        if (codes[i][1] && str_eq(cause->code, codes[i][0]))
            return err_set(err, codes[i][1], host, cause->n_params ? cause->params[0] : "");
    }
    err_move(err, cause);
    return -1;
}

int op_pool_enable_external_auth(struct call *call,
                                 const struct pool_enable_external_auth_args *a,
                                 struct err *err)
{
    AUTO(err_done) struct err cause = { 0 };
    if (enable(call, a->auth_type, a->service_name, &a->config, &cause) == 0)
        return 0;
    return as_pools(&cause, err);
}

int op_pool_disable_external_auth(struct call *call,
                                  const struct pool_disable_external_auth_args *a,
                                  struct err *err)
{
    (void)a;
    return disable(call, err);
}

int op_pool_set_ext_auth_max_threads(struct call *call,
                                     const struct pool_set_ext_auth_max_threads_args *a,
                                     struct err *err)
{
    if (a->value < 1 || a->value > MAX_THREADS) {
        AUTO(free_str) char *text = str_fmt("%lld", (long long)a->value);
        return err_set(err, ERR_VALUE_NOT_SUPPORTED, "ext_auth_max_threads", text,
                       "1 to 8 may ask the directory at the same time");
    }
    return call_set(call, CLASS_POOL, &a->self, F_POOL_EXT_AUTH_MAX_THREADS, &a->value,
                    err);
}
