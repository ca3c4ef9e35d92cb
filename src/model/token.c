/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the records of class serai_token. A token is "serai-" and 64 hexadecimal digits. The digests are compared in
 * constant time; which one it is compared with is no secret. Thread: any. */
#include "model/token.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "api/errors.h"
#include "api/records.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "base/vec.h"
#include "model/task.h"

#define PREFIX    "serai-"
#define BYTES     32
#define NAME_MAX_ 63 /* what fits into struct session whole */

static void hex(const uint8_t *bytes, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static void digest_of(const char *token, char out[static 2 * SHA256_DIGEST_LENGTH + 1])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)token, strlen(token), digest);
    hex(digest, sizeof(digest), out);
}

static char *make(void)
{
    uint8_t bytes[BYTES];
    char *token = mem_alloc(sizeof(PREFIX) + (size_t)2 * BYTES);
    random_bytes(bytes, sizeof(bytes));
    memcpy(token, PREFIX, sizeof(PREFIX) - 1);
    hex(bytes, sizeof(bytes), token + sizeof(PREFIX) - 1);
    explicit_bzero(bytes, sizeof(bytes));
    return token;
}

static const struct serai_token_rec *find(const char *name, struct ref *ref_out)
    REQUIRES(db_mutex)
{
    if (!db_find_name(CLASS_SERAI_TOKEN, name, 0, ref_out))
        return NULL;
    return db_get(CLASS_SERAI_TOKEN, ref_out);
}

static bool over(const struct serai_token_rec *t, int64_t now)
{
    return t->expires > 0 && now >= t->expires;
}

int token_create(struct tx_who *who, struct serai_token_rec *rec, char **token_out,
                 struct err *err)
{
    char digest[2 * SHA256_DIGEST_LENGTH + 1];
    struct ref there;
    struct tx *tx = tx_begin(who);
    size_t n = strlen(rec->name_label);
    bool bad = n == 0 || n > NAME_MAX_ || str_eq(rec->name_label, "root");
    bool taken = find(rec->name_label, &there) != NULL;
    if (bad || taken) {
        (void)err_set(err, ERR_INVALID_VALUE, "name", rec->name_label);
        (void)err_detail(err, taken
                                  ? "there is a token of that name; revoke it first"
                                  : "a token has a name of 1 to 63 bytes that is not root");
        tx_abort(tx);
        record_free(&schema_classes[CLASS_SERAI_TOKEN], rec);
        return -1;
    }
    char *token = make();
    digest_of(token, digest);
    str_put(&rec->digest, digest);
    str_put(&rec->created_by, who->user);
    rec->created = clock_wall_us();
    (void)tx_create(tx, CLASS_SERAI_TOKEN, rec, NULL); /* found by its name */
    if (tx_commit(tx, err) < 0) {
        explicit_bzero(token, strlen(token));
        free(token);
        return -1;
    }
    *token_out = token;
    return 0;
}

struct tasks {
    struct ref *v;
    size_t n, cap;
};

/* What was begun with it and has not ended: the work notices at its next safe point that nobody may want it. */
static void tasks_of(const struct ref *token, struct tasks *out) REQUIRES(db_mutex)
{
    struct session s;
    for (struct db_iter it = db_first(CLASS_SESSION); it.rec; db_next(&it)) {
        const struct session_rec *rec = it.rec;
        if (!session_peek(&it.ref, &s) || !ref_eq(&s.token, token))
            continue;
        for (size_t i = 0; i < rec->tasks.n; i++)
            vec_push(out, rec->tasks.v[i]);
    }
}

int token_revoke(struct tx_who *who, const struct ref *token, struct err *err)
{
    struct ref copy = *token;
    struct tx *tx = tx_begin(who);
    if (!db_get(CLASS_SERAI_TOKEN, &copy)) {
        char text[REF_TEXT_SIZE];
        tx_abort(tx);
        ref_text(&copy, text);
        return err_set(err, ERR_HANDLE_INVALID, "serai_token", text);
    }
    tx_destroy(tx, &copy);
    struct tasks tasks = { 0 };
    tasks_of(&copy, &tasks);
    int rc = tx_commit(tx, err);
    rc = rc == 0 ? session_logout_token(&copy, err) : rc;
    for (size_t i = 0; rc == 0 && i < tasks.n; i++)
        IGNORE(task_cancel(&tasks.v[i], NULL)); /* unless it has just ended */
    vec_done(&tasks);
    return rc;
}

/* The token's user, when the password is it. */
static bool is_right(const char *user, const char *password, struct session_user *out)
    EXCLUDES(db_mutex)
{
    char digest[2 * SHA256_DIGEST_LENGTH + 1];
    struct ref ref;
    digest_of(password, digest);
    db_lock();
    const struct serai_token_rec *t = find(user, &ref);
    bool right = t && !over(t, clock_wall_us()) && strlen(t->digest) == sizeof(digest) - 1
                 && CRYPTO_memcmp(t->digest, digest, sizeof(digest) - 1) == 0;
    if (right) {
        out->name = str_dup(user);
        out->token = ref;
        out->roles[0] = t->role;
        out->n_roles = ref_is_null(&t->role) ? 0 : 1;
        out->expires_us = t->expires;
    }
    db_unlock();
    return right;
}

static void note_use(const struct ref *token) EXCLUDES(db_mutex)
{
    struct tx *tx = tx_begin(
        &(struct tx_who){ "seraid", "session.login_with_password", NULL });
    if (db_get(CLASS_SERAI_TOKEN, token))
        tx_set_int(tx, token, CLASS_SERAI_TOKEN, F_SERAI_TOKEN_LAST_USED, clock_wall_us());
    if (tx_commit(tx, NULL) < 0)
        log_debug("a token's time of use could not be kept");
}

static int check(const char *user, const char *password, const char *client_ip,
                 struct session_user *out, bool *right_out, struct err *err)
{
    (void)client_ip, (void)err;
    *right_out = str_starts(password, PREFIX) && is_right(user, password, out);
    if (*right_out)
        note_use(&out->token);
    return 0;
}

void token_init(void)
{
    static const struct session_directory tokens = { .name = "tokens",
                                                     .check = check,
                                                     .first = true };
    session_add_directory(&tokens);
}
