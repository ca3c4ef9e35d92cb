/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/trust.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"

#define FILE_MAX   (1024 * 1024)
#define TCP_LISTEN 0x0A

char *trust_file(void)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (config && *config)
        return str_fmt("%s/serai/known_hosts", config);
    return home && *home ? str_fmt("%s/.config/serai/known_hosts", home) : NULL;
}

char *trust_find(const char *text, const char *name)
{
    size_t len = strlen(name);
    for (const char *line = text; *line;
         line += strcspn(line, "\n"), line += *line == '\n') {
        const char *pin = line + len + 1;
        if (strncmp(line, name, len) == 0 && line[len] == ' ')
            return str_dupn(pin, strcspn(pin, " \r\n"));
    }
    return NULL;
}

/* "  0: 0100007F:20FB 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 ..." */
bool trust_listener(const char *proc_net, unsigned port, unsigned uid)
{
    bool found = false;
    for (const char *line = proc_net; *line;
         line += strcspn(line, "\n"), line += *line == '\n') {
        unsigned at, state, owner;
        if (sscanf(line,
                   " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%*x %*x:%*x %*x %u",
                   &at, &state, &owner)
                != 3
            || at != port || state != TCP_LISTEN)
            continue;
        if (owner != uid && owner != 0)
            return false; /* somebody else listens on another address of that port: take no risk */
        found = true;
    }
    return found;
}

static bool own_listener(const char *host, unsigned port)
{
    static const char *const files[] = { "/proc/self/net/tcp", "/proc/self/net/tcp6" };
    AUTO(buf_done) struct buf text = BUF_INIT((size_t)64 * 1024 * 1024);
    if (!str_eq(host, "localhost") && !str_eq(host, "::1") && !str_starts(host, "127."))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        (void)!io_read_file(files[i], &text); /* appended; no IPv6 is fine */
    return trust_listener(buf_str(&text), port, getuid());
}

/* The certificate that the server shows, unverified. Given. */
static char *shown_fingerprint(SSL *ssl)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    X509 *cert = SSL_get1_peer_certificate(ssl);
    struct buf text = BUF_INIT(0);
    if (!cert || X509_digest(cert, EVP_sha256(), sum, &n) != 1)
        n = 0;
    X509_free(cert);
    for (unsigned i = 0; i < n; i++)
        buf_addf(&text, "%s%02X", i ? ":" : "", sum[i]);
    return n ? buf_take(&text) : NULL;
}

/* A handshake that only looks. Nothing is sent over this connection. */
static char *look(const char *host, unsigned port, const struct deadline *d,
                  struct err *err)
{
    AUTO(close_fd) int fd = io_connect_tcp(host, port, d);
    if (fd < 0) {
        (void)err_detail(err, "cannot connect to %s port %u: %s", host, port,
                         io_connect_why());
        return NULL;
    }
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = ctx ? SSL_new(ctx) : NULL;
    char *pin = NULL;
    if (ssl && SSL_set_fd(ssl, fd) == 1 && io_set_nonblock(fd, true) == 0) {
        int rc;
        while ((rc = SSL_connect(ssl)) != 1) {
            int want = SSL_get_error(ssl, rc);
            if ((want != SSL_ERROR_WANT_READ && want != SSL_ERROR_WANT_WRITE)
                || deadline_poll(d, fd, want == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT) < 0)
                break;
        }
        if (rc == 1)
            pin = shown_fingerprint(ssl);
    }
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    if (!pin)
        (void)err_detail(err, "no TLS connection to %s port %u", host, port);
    return pin;
}

static int remember(const char *file, struct buf *text, const char *name, const char *pin,
                    struct err *err)
{
    AUTO(free_str) char *dir = str_dupn(file, (size_t)(strrchr(file, '/') - file));
    buf_addf(text, "%s %s\n", name, pin);
    if (io_mkdirs(dir, 0700) < 0 || io_write_file(file, text->data, text->len, 0600) < 0)
        return err_detail(err, "%s: %m", file);
    return 0;
}

int trust_pin(const char *file, const char *host, unsigned port, bool add,
              const struct deadline *d, char **pin_out, char **notice_out, struct err *err)
{
    AUTO(buf_done) struct buf text = BUF_INIT(FILE_MAX);
    AUTO(free_str)
    char *name = str_fmt(strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
    *pin_out = *notice_out = NULL;
    if (own_listener(host, port))
        return 0;
    if (io_read_file(file, &text) < 0 && errno != ENOENT)
        return err_detail(err, "%s: %m", file);
    AUTO(free_str) char *known = trust_find(buf_str(&text), name);
    AUTO(free_str) char *shown = look(host, port, d, err);
    if (!shown)
        return -1;
    if (known && !str_eq(known, shown))
        return err_detail(err,
                          "The certificate of %s is not the one that was seen before: "
                          "either it was replaced, or "
                          "somebody listens in.\nSeen now: %s\nIf that is right, remove "
                          "the line of %s from %s.",
                          name, shown, name, file);
    if (!known && !add)
        return err_detail(err, "The certificate of %s is not known yet", name);
    if (!known) {
        if (remember(file, &text, name, shown, err) < 0)
            return -1;
        *notice_out = str_fmt(
            "First connection to %s: its certificate %s is trusted from now on.\n", name,
            shown);
    }
    *pin_out = TAKE(shown);
    return 0;
}
