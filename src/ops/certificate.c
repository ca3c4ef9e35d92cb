/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates. What the host shows stands in one file (STATE/server.pem: certificate, chain, key); what authorities the
 * pool trusts and what they have revoked, in STATE/certs/NAME and STATE/crls/NAME. The files are the truth. A file appears
 * whole before its record and goes after it; at start the records are made to say what the files hold, so a crash
 * between loses nothing. Any thread; changes of files follow each other by `changing`. */
#include "ops/certificate.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "ops/host_ctx.h"
#include "wire/conn.h"
#include "wire/tls_check.h"

#define PEM_MAX   (256 * 1024)
#define NAMES_MAX 16
#define NAME_MAX_ 200 /* of a file */

static struct mutex changing = MUTEX_INIT;

int certificate_self_signed(struct err *err)
{
    const char *names[NAMES_MAX] = { host_ctx.inventory.hostname, "localhost", "127.0.0.1",
                                     "::1" };
    size_t n = 4;
    for (size_t i = 0; i < host_ctx.inventory.n_nics && n < NAMES_MAX; i++)
        if (host_ctx.inventory.nics[i].ip[0])
            names[n++] = host_ctx.inventory.nics[i].ip;
    return tls_make_self_signed(host_ctx.cert_file, names, n, err);
}

/* ---- records ------------------------------------------------------------------------------------------- */

static struct ref find_record(int type, const char *name) REQUIRES(db_mutex)
{
    struct ref found = REF_NULL;
    for (struct db_iter it = db_first(CLASS_CERTIFICATE); it.rec; db_next(&it)) {
        const struct certificate_rec *c = it.rec;
        if (c->type == type && str_eq(c->name, name))
            found = it.ref;
    }
    return found;
}

/* The record of a certificate, made or replaced where it says something else. host NULL: of the pool. */
static void put_record(struct tx *tx, int type, const char *name, const struct ref *host,
                       const struct tls_certificate *facts) REQUIRES(db_mutex)
{
    struct ref old = find_record(type, name);
    const struct certificate_rec *known = db_get(CLASS_CERTIFICATE, &old);
    if (known && str_eq(known->fingerprint, facts->fingerprint))
        return;
    if (known)
        tx_destroy(tx, &old);
    struct certificate_rec *c = record_new(&schema_classes[CLASS_CERTIFICATE]);
    str_put(&c->name, name);
    c->type = type;
    if (host)
        c->host = *host;
    c->not_before = facts->not_before_us;
    c->not_after = facts->not_after_us;
    str_put(&c->fingerprint, facts->fingerprint);
    (void)tx_create(tx, CLASS_CERTIFICATE, c, NULL);
}

static int read_facts(const char *path, struct tls_certificate *out)
{
    AUTO(buf_done) struct buf pem = BUF_INIT(PEM_MAX);
    int rc = io_read_file(path, &pem) ? -1 : tls_certificate_read(buf_str(&pem), out);
    if (pem.data)
        explicit_bzero(pem.data, pem.len); /* the file may hold a key as well */
    return rc;
}

/* ---- what the host shows ------------------------------------------------------------------------------- */

/* Another file is in place: show it, and say so. */
static int show_certificate(struct call *call, struct err *err)
{
    struct tls_certificate facts;
    if (host_ctx.tls_reload(err))
        return -1;
    if (read_facts(host_ctx.cert_file, &facts))
        return err_set(err, ERR_SERVER_CERTIFICATE_INVALID);
    struct tx *tx = call_tx(call);
    struct ref host = db_host_ref();
    put_record(tx, CERTIFICATE_TYPE_HOST, "", &host, &facts);
    return tx_commit(tx, err);
}

static void add_part(struct buf *out, const char *pem)
{
    buf_add_str(out, pem);
    if (pem[0] && pem[strlen(pem) - 1] != '\n')
        buf_add_char(out, '\n');
}

int op_host_install_server_certificate(struct call *call,
                                       const struct host_install_server_certificate_args *a,
                                       struct err *err)
{
    struct tls_certificate facts;
    AUTO(buf_done) struct buf pem = BUF_INIT(4 * PEM_MAX);
    if (tls_server_check(a->certificate, a->private_key, a->certificate_chain, &facts, err))
        return -1;
    add_part(&pem, a->certificate);
    add_part(&pem, a->certificate_chain);
    add_part(&pem, a->private_key);
    mutex_lock(&changing);
    int rc = io_write_file(host_ctx.cert_file, pem.data, pem.len, 0600);
    if (rc) {
        (void)err_set(err, ERR_OUT_OF_SPACE, host_ctx.state_dir);
        (void)err_detail(err, "writing %s: %m", host_ctx.cert_file);
    } else {
        rc = show_certificate(call, err);
    }
    mutex_unlock(&changing);
    explicit_bzero(pem.data, pem.len);
    return rc;
}

static int reset(struct call *call, struct err *err)
{
    mutex_lock(&changing);
    int rc = certificate_self_signed(err) ? -1 : show_certificate(call, err);
    mutex_unlock(&changing);
    return rc;
}

int op_host_reset_server_certificate(struct call *call,
                                     const struct host_reset_server_certificate_args *a,
                                     struct err *err)
{
    db_lock();
    const void *host = call_get(CLASS_HOST, &a->host, err);
    db_unlock();
    return host ? reset(call, err) : -1;
}

int op_host_emergency_reset_server_certificate(
    struct call *call, const struct host_emergency_reset_server_certificate_args *a,
    struct err *err)
{
    (void)a;
    return reset(call, err);
}

/* ---- authorities, and what they have revoked ------------------------------------------------------------ */

static const struct kind {
    const char *folder;
    const char *name_invalid, *exists, *missing, *corrupt;
} authorities = { "certs", ERR_CERTIFICATE_NAME_INVALID, ERR_CERTIFICATE_ALREADY_EXISTS,
                  ERR_CERTIFICATE_DOES_NOT_EXIST, ERR_CERTIFICATE_CORRUPT },
  revocations = { "crls", ERR_CRL_NAME_INVALID, ERR_CRL_ALREADY_EXISTS,
                  ERR_CRL_DOES_NOT_EXIST, ERR_CRL_CORRUPT };

/* A plain file name. */
static int check_name(const struct kind *k, const char *name, struct err *err)
{
    size_t n = strlen(name);
    if (n > 0 && n <= NAME_MAX_ && name[0] != '.' && name[0] != '-'
        && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
               == n)
        return 0;
    return err_set(err, k->name_invalid, name);
}

static char *path_of(const struct kind *k, const char *name)
{
    return str_fmt("%s/%s/%s", host_ctx.state_dir, k->folder, name);
}

/* Write a new file of that kind. Errors: its own for a name that is taken. */
static int add_file(const struct kind *k, const char *name, const char *text,
                    struct err *err) REQUIRES(changing)
{
    AUTO(free_str) char *path = path_of(k, name);
    AUTO(free_str) char *folder = path_of(k, "");
    if (access(path, F_OK) == 0)
        return err_set(err, k->exists, name);
    if (io_mkdirs(folder, 0700) || io_write_file(path, text, strlen(text), 0600)) {
        (void)err_set(err, ERR_OUT_OF_SPACE, host_ctx.state_dir);
        return err_detail(err, "writing %s: %m", path);
    }
    return 0;
}

static int remove_file(const struct kind *k, const char *name, struct err *err)
    REQUIRES(changing)
{
    AUTO(free_str) char *path = path_of(k, name);
    if (unlink(path) == 0)
        return 0;
    return err_set(err, errno == ENOENT ? k->missing : k->corrupt, name);
}

static int install_ca(struct call *call, const char *name, const char *cert,
                      struct err *err)
{
    struct tls_certificate facts;
    if (check_name(&authorities, name, err))
        return -1;
    if (tls_certificate_read(cert, &facts))
        return err_set(err, ERR_CERTIFICATE_CORRUPT, name);
    if (tls_certificate_check_time(&facts, ERR_TRUSTED_CERTIFICATE_NOT_VALID_YET,
                                   ERR_TRUSTED_CERTIFICATE_EXPIRED, err))
        return -1;
    mutex_lock(&changing);
    int rc = add_file(&authorities, name, cert, err);
    if (rc == 0) {
        struct tx *tx = call_tx(call);
        put_record(tx, CERTIFICATE_TYPE_CA, name, NULL, &facts);
        rc = tx_commit(tx, err);
        if (rc)
            IGNORE(remove_file(&authorities, name, NULL)); /* or the next start says so */
    }
    mutex_unlock(&changing);
    return rc;
}

static int uninstall_ca(struct call *call, const char *name, struct err *err)
{
    if (check_name(&authorities, name, err))
        return -1;
    mutex_lock(&changing);
    AUTO(free_str) char *path = path_of(&authorities, name);
    int rc = access(path, F_OK) ? err_set(err, ERR_CERTIFICATE_DOES_NOT_EXIST, name) : 0;
    if (rc == 0) {
        struct tx *tx = call_tx(call);
        struct ref record = find_record(CERTIFICATE_TYPE_CA, name);
        if (!ref_is_null(&record))
            tx_destroy(tx, &record);
        rc = tx_commit(tx, err);
    }
    if (rc == 0)
        rc = remove_file(&authorities, name, err);
    mutex_unlock(&changing);
    return rc;
}

int op_pool_install_ca_certificate(struct call *call,
                                   const struct pool_install_ca_certificate_args *a,
                                   struct err *err)
{
    return install_ca(call, a->name, a->cert, err);
}

int op_pool_certificate_install(struct call *call,
                                const struct pool_certificate_install_args *a,
                                struct err *err)
{
    return install_ca(call, a->name, a->cert, err);
}

int op_pool_uninstall_ca_certificate(struct call *call,
                                     const struct pool_uninstall_ca_certificate_args *a,
                                     struct err *err)
{
    return uninstall_ca(call, a->name, err);
}

int op_pool_certificate_uninstall(struct call *call,
                                  const struct pool_certificate_uninstall_args *a,
                                  struct err *err)
{
    return uninstall_ca(call, a->name, err);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of the files of a kind, sorted. */
static void list_files(const struct kind *k, struct set_string *out)
{
    AUTO(free_str) char *folder = path_of(k, "");
    DIR *dir = opendir(folder);
    struct dirent *e;
    size_t room = 0;
    while (dir && (e = readdir(dir))) {
        if (check_name(k, e->d_name, NULL))
            continue;
        if (out->n == room) {
            room = MAX(room * 2, (size_t)16);
            out->v = mem_resize(out->v, room, sizeof(*out->v));
        }
        out->v[out->n++] = str_dup(e->d_name);
    }
    if (dir)
        (void)closedir(dir);
    if (out->n)
        qsort(out->v, out->n, sizeof(*out->v), by_name);
}

int op_pool_certificate_list(struct call *call, const struct pool_certificate_list_args *a,
                             struct set_string *result, struct err *err)
{
    (void)call, (void)a, (void)err;
    mutex_lock(&changing);
    list_files(&authorities, result);
    mutex_unlock(&changing);
    return 0;
}

int op_pool_crl_list(struct call *call, const struct pool_crl_list_args *a,
                     struct set_string *result, struct err *err)
{
    (void)call, (void)a, (void)err;
    mutex_lock(&changing);
    list_files(&revocations, result);
    mutex_unlock(&changing);
    return 0;
}

static bool is_crl(const char *text)
{
    size_t n = strnlen(text, PEM_MAX + 1);
    BIO *in = n <= PEM_MAX ? BIO_new_mem_buf(text, (int)n) : NULL;
    X509_CRL *crl = in ? PEM_read_bio_X509_CRL(in, NULL, NULL, NULL) : NULL;
    bool ok = crl != NULL;
    X509_CRL_free(crl);
    BIO_free(in);
    return ok;
}

int op_pool_crl_install(struct call *call, const struct pool_crl_install_args *a,
                        struct err *err)
{
    (void)call;
    if (check_name(&revocations, a->name, err))
        return -1;
    if (!is_crl(a->cert))
        return err_set(err, ERR_CRL_CORRUPT, a->name);
    mutex_lock(&changing);
    int rc = add_file(&revocations, a->name, a->cert, err);
    mutex_unlock(&changing);
    return rc;
}

int op_pool_crl_uninstall(struct call *call, const struct pool_crl_uninstall_args *a,
                          struct err *err)
{
    (void)call;
    if (check_name(&revocations, a->name, err))
        return -1;
    mutex_lock(&changing);
    int rc = remove_file(&revocations, a->name, err);
    mutex_unlock(&changing);
    return rc;
}

/* ---- records and files agree ----------------------------------------------------------------------------- */

struct authority {
    char *name;
    struct tls_certificate facts;
};

static void authorities_free(struct authority *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free_str(&list[i].name);
    free(list);
}

/* The authorities that the files hold. Given. */
static struct authority *read_authorities(size_t *n_out)
{
    struct set_string names = { 0 };
    list_files(&authorities, &names);
    struct authority *list = mem_array(names.n + 1, sizeof(*list));
    size_t n = 0;
    for (size_t i = 0; i < names.n; i++) {
        AUTO(free_str) char *path = path_of(&authorities, names.v[i]);
        if (read_facts(path, &list[n].facts) == 0)
            list[n++].name = str_dup(names.v[i]);
        else
            log_warn("%s holds no certificate that can be read", path);
    }
    value_done(schema_classes[CLASS_HOST].fields[F_HOST_TAGS].ty, &names);
    *n_out = n;
    return list;
}

static bool listed(const struct authority *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(list[i].name, name))
            return true;
    return false;
}

static void put_authorities(struct tx *tx, const struct authority *list, size_t n)
    REQUIRES(db_mutex)
{
    for (size_t i = 0; i < n; i++)
        put_record(tx, CERTIFICATE_TYPE_CA, list[i].name, NULL, &list[i].facts);
    struct ref gone;
    do {
        gone = REF_NULL;
        for (struct db_iter it = db_first(CLASS_CERTIFICATE); it.rec; db_next(&it)) {
            const struct certificate_rec *c = it.rec;
            if (c->type == CERTIFICATE_TYPE_CA && !listed(list, n, c->name))
                gone = it.ref;
        }
        if (!ref_is_null(&gone))
            tx_destroy(tx, &gone);
    } while (!ref_is_null(&gone));
}

void boot_certificates(struct tx *tx, const struct ref *host)
{
    struct tls_certificate facts;
    size_t n;
    struct authority *list = read_authorities(&n);
    if (read_facts(host_ctx.cert_file, &facts) == 0)
        put_record(tx, CERTIFICATE_TYPE_HOST, "", host, &facts);
    put_authorities(tx, list, n);
    authorities_free(list, n);
}

/* After somebody has changed the files by hand. */
int op_pool_certificate_sync(struct call *call, const struct pool_certificate_sync_args *a,
                             struct err *err)
{
    (void)a;
    size_t n;
    mutex_lock(&changing);
    struct authority *list = read_authorities(&n);
    struct tx *tx = call_tx(call);
    put_authorities(tx, list, n);
    int rc = tx_commit(tx, err);
    mutex_unlock(&changing);
    authorities_free(list, n);
    return rc;
}
