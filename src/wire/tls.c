/* SPDX-License-Identifier: Apache-2.0 */
/* TLS by OpenSSL 3: contexts, handshakes, certificates. 1.2 and 1.3 only, no renegotiation, no compression, tickets
 * without a server-side cache. Handshakes run on the caller's thread by its deadline. The contexts are immutable once
 * made, so any number of threads may share them. */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/mem.h"
#include "wire/conn_int.h"

#define FINGERPRINT_SIZE (32 * 3) /* with the NUL */

struct tls_server {
    struct mutex lock; /* of ctx: held for as long as it takes to count one reference */
    SSL_CTX *ctx;
};

struct tls_client {
    SSL_CTX *ctx;
    char *pin; /* "AA:BB:..." or NULL */
    bool insecure;
};

/* --- the BIO --- */

static int bio_moved(BIO *b, ssize_t n, int retry)
{
    BIO_clear_retry_flags(b);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_flags(b, retry | BIO_FLAGS_SHOULD_RETRY);
    return (int)n;
}

static int bio_read(BIO *b, char *p, int len)
{
    int fd = (int)(intptr_t)BIO_get_data(b);
    ssize_t n = recv(fd, p, (size_t)len, MSG_DONTWAIT);
    if (n == 0)
        BIO_set_flags(b, BIO_FLAGS_IN_EOF);
    return bio_moved(b, n, BIO_FLAGS_READ);
}

static int bio_write(BIO *b, const char *p, int len)
{
    int fd = (int)(intptr_t)BIO_get_data(b);
    return bio_moved(b, send(fd, p, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT),
                     BIO_FLAGS_WRITE);
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    if (cmd == BIO_CTRL_EOF)
        return BIO_test_flags(b, BIO_FLAGS_IN_EOF) != 0;
    return cmd == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method; /* written once by make_bio_method, then only read */
static pthread_once_t bio_once = PTHREAD_ONCE_INIT;

static void make_bio_method(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
                              "socket, no SIGPIPE");
    BIO_meth_set_read(bio_method, bio_read);
    BIO_meth_set_write(bio_method, bio_write);
    BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

BIO *conn_bio_new(int fd)
{
    pthread_once(&bio_once, make_bio_method);
    BIO *b = BIO_new(bio_method);
    if (b) {
        BIO_set_data(b, (void *)(intptr_t)fd);
        BIO_set_init(b, 1);
    }
    return b;
}

/* --- contexts --- */

static void free_ctx(SSL_CTX **c)
{
    SSL_CTX_free(*c);
}

static void free_ssl(SSL **s)
{
    SSL_free(*s);
}

static void free_x509(X509 **x)
{
    X509_free(*x);
}

static void free_bio(BIO **b)
{
    BIO_free(*b);
}

/* OpenSSL's last reason as a sentence, its queue emptied. */
static const char *reason(void)
{
    unsigned long e = ERR_peek_last_error();
    const char *text = e ? ERR_reason_error_string(e) : NULL;
    ERR_clear_error();
    return text ? text : "no reason given";
}

static SSL_CTX *ctx_new(const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (!ctx)
        return NULL;
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION
                                 | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE
                              | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 1); /* a record's head and body by one system call */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    if (SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

struct tls_server *tls_server_new(const char *cert_file, const char *key_file,
                                  struct err *err)
{
    ERR_clear_error();
    AUTO(free_ctx) SSL_CTX *ctx = ctx_new(TLS_server_method());
    if (!ctx) {
        err_set(err, ERR_SERVER_CERTIFICATE_INVALID);
        err_detail(err, "no TLS context: %s", reason());
        return NULL;
    }
    /* Clients cut uploads of unknown length by closing without a notice; lengths and formats say what is whole. */
    SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
    (void)SSL_CTX_set_num_tickets(ctx, 1); /* of two, clients use one, and both cost */
    if (SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1) {
        err_set(err, ERR_SERVER_CERTIFICATE_INVALID);
        err_detail(err, "no certificate could be read from %s: %s", cert_file, reason());
        return NULL;
    }
    if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1) {
        bool mismatch = ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH;
        err_set(err, mismatch ? ERR_SERVER_CERTIFICATE_KEY_MISMATCH
                              : ERR_SERVER_CERTIFICATE_KEY_INVALID);
        err_detail(err, "the private key in %s cannot be used: %s", key_file, reason());
        return NULL;
    }
    if (SSL_CTX_check_private_key(ctx) != 1) {
        err_set(err, ERR_SERVER_CERTIFICATE_KEY_MISMATCH);
        err_detail(err, "the key in %s is not that of %s: %s", key_file, cert_file,
                   reason());
        return NULL;
    }
    struct tls_server *t = mem_alloc(sizeof(*t));
    t->ctx = TAKE(ctx);
    mutex_init(&t->lock);
    return t;
}

int tls_server_reload(struct tls_server *t, const char *cert_file, const char *key_file,
                      struct err *err)
{
    struct tls_server *fresh = tls_server_new(cert_file, key_file, err);
    if (!fresh)
        return -1;
    mutex_lock(&t->lock);
    SSL_CTX *old = t->ctx;
    t->ctx = fresh->ctx;
    mutex_unlock(&t->lock);
    fresh->ctx = old;
    tls_server_free(fresh); /* connections of the old one keep it as long as they need it */
    return 0;
}

static SSL_CTX *ctx_of(struct tls_server *t)
{
    mutex_lock(&t->lock);
    SSL_CTX *ctx = t->ctx;
    (void)SSL_CTX_up_ref(ctx); /* cannot fail on a live one */
    mutex_unlock(&t->lock);
    return ctx;
}

void tls_server_free(struct tls_server *t)
{
    if (!t)
        return;
    SSL_CTX_free(t->ctx);
    mutex_done(&t->lock);
    free(t);
}

struct tls_client *tls_client_new(const char *ca_file, const char *pin, bool insecure,
                                  struct err *err)
{
    ERR_clear_error();
    AUTO(free_ctx) SSL_CTX *ctx = ctx_new(TLS_client_method());
    bool ok = ctx != NULL;
    if (ok && !pin && !insecure) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
        ok = (ca_file ? SSL_CTX_load_verify_file(ctx, ca_file)
                      : SSL_CTX_set_default_verify_paths(ctx))
             == 1;
    }
    if (!ok) {
        err_set(err, ERR_SERVER_CERTIFICATE_CHAIN_INVALID);
        err_detail(err, "no trusted certificates could be read from %s: %s",
                   ca_file ? ca_file : "the system's store", reason());
        return NULL;
    }
    struct tls_client *t = mem_alloc(sizeof(*t));
    t->ctx = TAKE(ctx);
    t->pin = str_dup(pin);
    t->insecure = insecure;
    return t;
}

void tls_client_free(struct tls_client *t)
{
    if (!t)
        return;
    SSL_CTX_free(t->ctx);
    free(t->pin);
    free(t);
}

/* --- handshakes --- */

static bool fingerprint(const X509 *x, char out[static FINGERPRINT_SIZE])
{
    static const char hex[] = "0123456789ABCDEF";
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (X509_digest(x, EVP_sha256(), md, &n) != 1 || n != 32)
        return false;
    for (unsigned i = 0; i < n; i++) {
        out[3 * i] = hex[md[i] >> 4];
        out[3 * i + 1] = hex[md[i] & 15];
        out[3 * i + 2] = ':';
    }
    out[FINGERPRINT_SIZE - 1] = '\0';
    return true;
}

static int handshake(SSL *ssl, int fd, const struct deadline *d)
{
    for (;;) {
        ERR_clear_error();
        errno = 0;
        int rc = SSL_do_handshake(ssl);
        if (rc == 1)
            return 0;
        int saved = errno;
        short want;
        switch (SSL_get_error(ssl, rc)) {
        case SSL_ERROR_WANT_READ: want = POLLIN; break;
        case SSL_ERROR_WANT_WRITE: want = POLLOUT; break;
        case SSL_ERROR_SYSCALL:
            ERR_clear_error();
            errno = saved ? saved : ECONNRESET;
            return -1;
        default: {
            bool untrusted = ERR_GET_REASON(ERR_peek_error())
                             == SSL_R_CERTIFICATE_VERIFY_FAILED;
            ERR_clear_error();
            errno = untrusted ? EKEYREJECTED : EPROTO;
            return -1;
        }
        }
        if (deadline_poll(d, fd, want) < 0)
            return -1;
    }
}

/* A TLS state over fd, not yet shaken; errno ENOMEM when OpenSSL has none. */
static SSL *ssl_over(SSL_CTX *ctx, int fd)
{
    SSL *ssl = SSL_new(ctx);
    BIO *bio = ssl ? conn_bio_new(fd) : NULL;
    if (!bio) {
        SSL_free(ssl);
        errno = ENOMEM;
        return NULL;
    }
    SSL_set_bio(ssl, bio, bio);
    return ssl;
}

struct conn *conn_accept_tls(int fd, struct tls_server *t, const struct deadline *d)
{
    AUTO(close_fd) int owned = fd;
    AUTO(free_ctx) SSL_CTX *ctx = ctx_of(t);
    AUTO(free_ssl) SSL *ssl = ssl_over(ctx, fd);
    if (!ssl)
        return NULL;
    SSL_set_accept_state(ssl);
    if (handshake(ssl, fd, d) < 0)
        return NULL;
    return conn_new(TAKE_FD(owned), TAKE(ssl));
}

static bool set_peer_name(SSL *ssl, const struct tls_client *t, const char *name)
{
    bool check = !t->pin && !t->insecure;
    struct in6_addr a;
    if (inet_pton(AF_INET, name, &a) == 1 || inet_pton(AF_INET6, name, &a) == 1)
        return !check || X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    return SSL_set_tlsext_host_name(ssl, name) == 1
           && (!check || SSL_set1_host(ssl, name) == 1);
}

/* Pins are compared without regard to case and colons. */
static bool pin_matches(const char *pin, const char *have)
{
    for (;;) {
        while (*pin == ':')
            pin++;
        while (*have == ':')
            have++;
        if (!*pin || !*have)
            return *pin == *have;
        if ((*pin | 32) != (*have | 32))
            return false;
        pin++;
        have++;
    }
}

static bool peer_has_pin(SSL *ssl, const char *pin)
{
    char have[FINGERPRINT_SIZE];
    AUTO(free_x509) X509 *x = SSL_get1_peer_certificate(ssl);
    return x && fingerprint(x, have) && pin_matches(pin, have);
}

struct conn *conn_connect_tls(int fd, struct tls_client *t, const char *name,
                              const struct deadline *d)
{
    AUTO(close_fd) int owned = fd;
    AUTO(free_ssl) SSL *ssl = ssl_over(t->ctx, fd);
    if (!ssl)
        return NULL;
    if (!set_peer_name(ssl, t, name)) {
        ERR_clear_error();
        errno = EINVAL;
        return NULL;
    }
    SSL_set_connect_state(ssl);
    if (handshake(ssl, fd, d) < 0)
        return NULL;
    if (t->pin && !peer_has_pin(ssl, t->pin)) {
        errno = EKEYREJECTED;
        return NULL;
    }
    return conn_new(TAKE_FD(owned), TAKE(ssl));
}

char *tls_fingerprint(const char *cert_file, struct err *err)
{
    ERR_clear_error();
    char text[FINGERPRINT_SIZE];
    AUTO(free_bio) BIO *in = BIO_new_file(cert_file, "re");
    AUTO(free_x509) X509 *x = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
    if (!x || !fingerprint(x, text)) {
        err_set(err, ERR_SERVER_CERTIFICATE_INVALID);
        err_detail(err, "no certificate could be read from %s: %s", cert_file, reason());
        return NULL;
    }
    return str_dup(text);
}
