/* SPDX-License-Identifier: Apache-2.0 */
/* The self-signed certificate of a new installation: ECDSA P-256, for the names and addresses it is reached by. */
#include <arpa/inet.h>
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "api/errors.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "wire/conn.h"

#define YEARS_10_SECONDS (10L * 365 * 24 * 3600)
#define CLOCK_SKEW_S     (24L * 3600) /* valid for peers whose clock is late */
#define CN_MAX           64           /* ub-common-name, RFC 5280 */

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

static bool name_ok(const char *s)
{
    size_t len = strspn(
        s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:*");
    return len > 0 && len < 254 && s[len] == '\0';
}

/* "DNS:host,IP:10.0.0.1": names hold no comma, see name_ok. Given. */
static char *alt_names(const char *const *names, size_t n)
{
    struct buf b = BUF_INIT(0);
    for (size_t i = 0; i < n; i++) {
        struct in6_addr a;
        bool ip = inet_pton(AF_INET, names[i], &a) == 1
                  || inet_pton(AF_INET6, names[i], &a) == 1;
        buf_addf(&b, "%s%s:%s", i ? "," : "", ip ? "IP" : "DNS", names[i]);
    }
    return buf_take(&b);
}

static bool add_ext(X509 *x, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = e && X509_add_ext(x, e, -1) == 1;
    X509_EXTENSION_free(e);
    return ok;
}

static bool set_serial(X509 *x)
{
    unsigned char raw[16];
    random_bytes(raw, sizeof(raw));
    raw[0] = (unsigned char)((raw[0] & 0x7f) | 0x40); /* positive, of one length */
    BIGNUM *bn = BN_bin2bn(raw, sizeof(raw), NULL);
    bool ok = bn && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x));
    BN_free(bn);
    return ok;
}

static bool fill(X509 *x, EVP_PKEY *key, const char *const *names, size_t n)
{
    AUTO(free_str) char *san = alt_names(names, n);
    AUTO(free_str) char *cn = str_dupn(names[0], MIN(strlen(names[0]), (size_t)CN_MAX));
    X509_NAME *subject = X509_get_subject_name(x);
    return X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x)
           && X509_gmtime_adj(X509_getm_notBefore(x), -CLOCK_SKEW_S)
           && X509_gmtime_adj(X509_getm_notAfter(x), YEARS_10_SECONDS)
           && X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (unsigned char *)cn,
                                         -1, -1, 0)
                  == 1
           && X509_set_issuer_name(x, subject) == 1 && X509_set_pubkey(x, key) == 1
           && add_ext(x, NID_basic_constraints, "critical,CA:FALSE")
           && add_ext(x, NID_key_usage, "critical,digitalSignature")
           && add_ext(x, NID_ext_key_usage, "serverAuth")
           && add_ext(x, NID_subject_key_identifier, "hash")
           && add_ext(x, NID_subject_alt_name, san) && X509_sign(x, key, EVP_sha256()) > 0;
}

int tls_make_self_signed(const char *pem_file, const char *const *names, size_t n,
                         struct err *err)
{
    bool ok = n > 0;
    for (size_t i = 0; ok && i < n; i++)
        ok = name_ok(names[i]);
    if (!ok) {
        err_set(err, ERR_SERVER_CERTIFICATE_INVALID);
        return err_detail(err,
                          "a certificate needs names of letters, digits, '-', '.' and ':'");
    }
    ERR_clear_error();
    AUTO(free_pkey) EVP_PKEY *key = EVP_EC_gen("P-256");
    AUTO(free_x509) X509 *x = X509_new();
    AUTO(free_bio) BIO *out = BIO_new(BIO_s_secmem());
    if (!key || !x || !out || !fill(x, key, names, n)
        || PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) != 1
        || PEM_write_bio_X509(out, x) != 1) {
        const char *why = ERR_reason_error_string(ERR_peek_last_error());
        err_set(err, ERR_SERVER_CERTIFICATE_INVALID);
        err_detail(err, "making a certificate failed: %s", why ? why : "no reason given");
        ERR_clear_error();
        return -1;
    }
    char *pem = NULL;
    long len = BIO_get_mem_data(out, &pem);
    if (io_write_file(pem_file, pem, (size_t)len, 0600) < 0) {
        err_set(err, ERR_SERVER_CERTIFICATE_INVALID);
        return err_detail(err, "writing %s: %m", pem_file);
    }
    return 0;
}
