/* SPDX-License-Identifier: Apache-2.0 */
/* What is inside a certificate that somebody brings, and whether a server may use it with that key and chain. Pure: texts
 * in, facts and errors out. Any thread. */
#include "wire/tls_check.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>
#include <time.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/mem.h"

#define PEM_MAX  (256 * 1024)
#define TIME_MAX 24

static void free_x509(X509 **x)
{
    X509_free(*x);
}

static void free_pkey(EVP_PKEY **k)
{
    EVP_PKEY_free(*k);
}

static void free_bio(BIO **b)
{
    BIO_free(*b);
}

static BIO *bio_of(const char *pem)
{
    size_t n = strnlen(pem, PEM_MAX + 1);
    return n > PEM_MAX ? NULL : BIO_new_mem_buf(pem, (int)n);
}

/* No question for a passphrase on our terminal. */
static int no_passphrase(char *buf UNUSED, int size UNUSED, int rw UNUSED, void *arg UNUSED)
{
    return -1;
}

static X509 *read_certificate(const char *pem)
{
    AUTO(free_bio) BIO *in = bio_of(pem);
    X509 *x = in ? PEM_read_bio_X509(in, NULL, no_passphrase, NULL) : NULL;
    ERR_clear_error();
    return x;
}

static bool time_of(const ASN1_TIME *t, int64_t *us_out)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(t, &tm) != 1)
        return false;
    *us_out = (int64_t)timegm(&tm) * US_PER_SEC;
    return true;
}

static bool read_facts(X509 *x, struct tls_certificate *out)
{
    unsigned char sha[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (!time_of(X509_get0_notBefore(x), &out->not_before_us)
        || !time_of(X509_get0_notAfter(x), &out->not_after_us)
        || X509_digest(x, EVP_sha256(), sha, &n) != 1 || n * 3 > sizeof(out->fingerprint))
        return false;
    static const char hex[] = "0123456789ABCDEF";
    for (unsigned i = 0; i < n; i++) {
        out->fingerprint[3 * i] = hex[sha[i] >> 4];
        out->fingerprint[3 * i + 1] = hex[sha[i] & 15];
        out->fingerprint[3 * i + 2] = i + 1 < n ? ':' : '\0';
    }
    return true;
}

int tls_certificate_read(const char *pem, struct tls_certificate *out)
{
    AUTO(free_x509) X509 *x = read_certificate(pem);
    struct tls_certificate found;
    if (!x || !read_facts(x, &found))
        return -1;
    *out = found;
    return 0;
}

static void time_text(int64_t us, char out[static TIME_MAX])
{
    time_t s = (time_t)(us / US_PER_SEC);
    struct tm tm;
    if (!gmtime_r(&s, &tm) || !strftime(out, TIME_MAX, "%Y%m%dT%H:%M:%SZ", &tm))
        out[0] = '\0';
}

int tls_certificate_check_time(const struct tls_certificate *c, const char *too_early,
                               const char *too_late, struct err *err)
{
    char now_text[TIME_MAX], text[TIME_MAX];
    int64_t now = clock_wall_us();
    time_text(now, now_text);
    if (now < c->not_before_us) {
        time_text(c->not_before_us, text);
        return err_set(err, too_early, now_text, text);
    }
    if (now > c->not_after_us) {
        time_text(c->not_after_us, text);
        return err_set(err, too_late, now_text, text);
    }
    return 0;
}

static int check_key(EVP_PKEY *key, struct err *err)
{
    if (EVP_PKEY_is_a(key, "RSA")) {
        int bits = EVP_PKEY_get_bits(key);
        if (bits >= 2048 && bits <= 4096)
            return 0;
        AUTO(free_str) char *text = str_fmt("%d", bits);
        return err_set(err, ERR_SERVER_CERTIFICATE_KEY_RSA_LENGTH_NOT_SUPPORTED, text);
    }
    if (EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_bits(key) >= 256)
        return 0;
    char oid[80] = "";
    const ASN1_OBJECT *object = OBJ_nid2obj(EVP_PKEY_get_base_id(key));
    if (object)
        (void)OBJ_obj2txt(oid, sizeof(oid), object, 1);
    return err_set(err, ERR_SERVER_CERTIFICATE_KEY_ALGORITHM_NOT_SUPPORTED, oid);
}

static int check_signature(X509 *x, struct err *err)
{
    int digest = NID_undef;
    (void)X509_get_signature_info(x, &digest, NULL, NULL, NULL);
    if (digest == NID_sha256 || digest == NID_sha384 || digest == NID_sha512)
        return 0;
    return err_set(err, ERR_SERVER_CERTIFICATE_SIGNATURE_NOT_SUPPORTED);
}

/* At least one certificate, and nothing that begins like one and is none. */
static int check_chain(const char *pem, struct err *err)
{
    AUTO(free_bio) BIO *in = bio_of(pem);
    size_t n = 0;
    X509 *x;
    while (in && (x = PEM_read_bio_X509(in, NULL, no_passphrase, NULL))) {
        X509_free(x);
        n++;
    }
    bool ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    return n && ended ? 0 : err_set(err, ERR_SERVER_CERTIFICATE_CHAIN_INVALID);
}

int tls_server_check(const char *certificate, const char *key_pem, const char *chain,
                     struct tls_certificate *out, struct err *err)
{
    AUTO(free_bio) BIO *in = bio_of(key_pem);
    AUTO(free_pkey)
    EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL) : NULL;
    ERR_clear_error();
    if (!key)
        return err_set(err, ERR_SERVER_CERTIFICATE_KEY_INVALID);
    if (check_key(key, err))
        return -1;
    AUTO(free_x509) X509 *x = read_certificate(certificate);
    struct tls_certificate found;
    if (!x || !read_facts(x, &found))
        return err_set(err, ERR_SERVER_CERTIFICATE_INVALID);
    if (tls_certificate_check_time(&found, ERR_SERVER_CERTIFICATE_NOT_VALID_YET,
                                   ERR_SERVER_CERTIFICATE_EXPIRED, err))
        return -1;
    if (X509_check_private_key(x, key) != 1) {
        ERR_clear_error();
        return err_set(err, ERR_SERVER_CERTIFICATE_KEY_MISMATCH);
    }
    if (check_signature(x, err) || (chain[0] && check_chain(chain, err)))
        return -1;
    *out = found;
    return 0;
}
