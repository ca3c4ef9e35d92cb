/* SPDX-License-Identifier: Apache-2.0 */
/* A dialogue of lines over one connection. Text goes as base64, so that no line of it can end the mail or be too long.
 * Any thread. */
#include "wire/smtp.h"

#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"
#include "wire/conn_int.h"

#define LINE_MAX_BYTES 1024
#define LINES_MAX      100

bool smtp_address_valid(const char *address)
{
    const char *at = strchr(address, '@');

    if (!at || at == address || !at[1] || strchr(at + 1, '@') || strlen(address) > 254)
        return false;
    for (const char *p = address; *p; p++)
        if (*p <= ' ' || *p > '~' || strchr("<>()[]\\,;:\"", *p))
            return false;
    return true;
}

static int broke(struct err *err, const char *what)
{
    (void)err_set(err, SMTP_FAILED);
    return err_detail(err, "%s: %m", what);
}

static int read_line(struct conn *c, char line[static LINE_MAX_BYTES],
                     const struct deadline *d)
{
    for (size_t n = 0; n < LINE_MAX_BYTES; n++) {
        if (conn_read_full(c, line + n, 1, d) != 0)
            return -1;
        if (line[n] == '\n') {
            line[n > 0 && line[n - 1] == '\r' ? n - 1 : n] = '\0';
            return 0;
        }
    }
    return -1;
}

/* One dialogue. */
struct talk {
    struct conn *c;
    const struct deadline *d;
    bool *permanent;
    struct err *err;
    bool starttls, plain, login; /* what the server offered last */
};

static int fails(struct talk *t, const char *sentence)
{
    (void)err_set(t->err, SMTP_FAILED);
    return err_detail(t->err, "%s", sentence);
}

static void note_offer(struct talk *t, const char *line)
{
    const char *words = strlen(line) > 4 ? line + 4 : "";

    t->starttls = t->starttls || strcasecmp(words, "STARTTLS") == 0;
    if (strncasecmp(words, "AUTH ", 5) == 0) {
        t->plain = strcasestr(words, " PLAIN") != NULL;
        t->login = strcasestr(words, " LOGIN") != NULL;
    }
}

/* A whole answer, which must be of the class wanted ('2', '3'). */
static int expect(struct talk *t, char want)
{
    char line[LINE_MAX_BYTES];

    t->starttls = t->plain = t->login = false;
    for (int i = 0; i < LINES_MAX; i++) {
        if (read_line(t->c, line, t->d) != 0)
            return broke(t->err, "the mail server does not answer");
        note_offer(t, line);
        if (strlen(line) >= 4 && line[3] == '-')
            continue;
        if (line[0] == want)
            return 0;
        *t->permanent = line[0] == '5';
        (void)err_set(t->err, SMTP_FAILED);
        return err_detail(t->err, "the mail server says \"%.200s\"", line);
    }
    return fails(t, "the mail server does not come to an end");
}

/* Wiped: it may be a password. */
static int say(struct talk *t, char want, const char *fmt, ...) PRINTF(3, 4);

static int say(struct talk *t, char want, const char *fmt, ...)
{
    va_list ap;
    int rc;

    va_start(ap, fmt);
    AUTO(free_str) char *text = str_vfmt(fmt, ap);
    va_end(ap);
    rc = conn_write(t->c, text, strlen(text), t->d);
    explicit_bzero(text, strlen(text));
    if (rc != 0)
        return broke(t->err, "the mail server does not listen");
    return expect(t, want);
}

/* line: characters a line, 0: one line. */
static void add_base64(struct buf *out, const char *text, size_t len, size_t line)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *p = (const uint8_t *)text;
    size_t in_line = 0;

    for (size_t i = 0; i < len; i += 3) {
        size_t n = MIN(len - i, (size_t)3);
        uint32_t v = (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0)
                     | (n > 2 ? p[i + 2] : 0U);

        for (size_t k = 0; k < 4; k++)
            buf_add_char(out, k <= n ? digits[v >> (18 - 6 * k) & 63] : '=');
        in_line += 4;
        if (line && in_line >= line) {
            buf_add_str(out, "\r\n");
            in_line = 0;
        }
    }
}

static char *mail_text(const struct smtp_mail *m)
{
    struct buf b = BUF_INIT(0);

    buf_addf(&b, "From: <%s>\r\nTo: ", m->from);
    for (size_t i = 0; i < m->n_to; i++)
        buf_addf(&b, "%s<%s>", i ? ",\r\n " : "", m->to[i]);
    buf_add_str(&b, "\r\nSubject: =?utf-8?B?");
    add_base64(&b, m->subject, strlen(m->subject), 0);
    buf_addf(&b,
             "?=\r\nDate: %s\r\nMessage-ID: <%s@%s>\r\nMIME-Version: 1.0\r\n"
             "Content-Type: text/plain; charset=utf-8\r\n"
             "Content-Transfer-Encoding: base64\r\nAuto-Submitted: auto-generated\r\n\r\n",
             m->date, m->id, m->helo);
    add_base64(&b, m->text, strlen(m->text), 76);
    buf_add_str(&b, "\r\n.\r\n");
    return buf_take(&b);
}

static int log_in(struct talk *t, const struct smtp_server *s)
{
    AUTO(buf_done) struct buf user = BUF_INIT(0), password = BUF_INIT(0);
    AUTO(buf_done) struct buf both = BUF_INIT(0), raw = BUF_INIT(0);
    int rc;

    if (!t->plain && !t->login)
        return fails(t, "the mail server takes no user by AUTH PLAIN or LOGIN");
    if (t->plain) {
        buf_add_char(&raw, '\0');
        buf_add_str(&raw, s->user);
        buf_add_char(&raw, '\0');
        buf_add_str(&raw, s->password);
        add_base64(&both, raw.data, raw.len, 0);
        rc = say(t, '2', "AUTH PLAIN %s\r\n", buf_str(&both));
    } else {
        add_base64(&user, s->user, strlen(s->user), 0);
        add_base64(&password, s->password, strlen(s->password), 0);
        rc = say(t, '3', "AUTH LOGIN\r\n");
        rc = rc == 0 ? say(t, '3', "%s\r\n", buf_str(&user)) : rc;
        rc = rc == 0 ? say(t, '2', "%s\r\n", buf_str(&password)) : rc;
    }
    struct buf *const secret[] = { &both, &raw, &password };
    for (size_t i = 0; i < ARRAY_SIZE(secret); i++)
        if (secret[i]->data)
            explicit_bzero(secret[i]->data, secret[i]->len);
    return rc;
}

/* TLS over the socket of t->c, which is nothing else from now on. */
static int protect(struct talk *t, const struct smtp_server *s)
{
    struct tls_client *tls = tls_client_new(NULL, s->pin, false, t->err);
    int fd;

    if (!tls)
        return -1;
    if (conn_buffered(t->c)) { /* said before TLS: nobody knows who by */
        tls_client_free(tls);
        return fails(t, "the mail server talks before TLS has begun");
    }
    fd = conn_release(&t->c);
    t->c = conn_connect_tls(fd, tls, s->host, t->d);
    tls_client_free(tls);
    return t->c ? 0 : broke(t->err, "TLS with the mail server");
}

static int greet(struct talk *t, const struct smtp_server *s, const struct smtp_mail *m)
{
    if ((s->tls == SMTP_TLS && protect(t, s) != 0) || expect(t, '2') != 0
        || say(t, '2', "EHLO %s\r\n", m->helo) != 0)
        return -1;
    if (s->tls == SMTP_STARTTLS) {
        if (!t->starttls)
            return fails(t, "the mail server does not offer STARTTLS");
        if (say(t, '2', "STARTTLS\r\n") != 0 || protect(t, s) != 0
            || say(t, '2', "EHLO %s\r\n", m->helo) != 0)
            return -1;
    }
    return s->user ? log_in(t, s) : 0;
}

static int dialogue(struct talk *t, const struct smtp_server *s, const struct smtp_mail *m)
{
    AUTO(free_str) char *text = mail_text(m);
    static const char quit[] = "QUIT\r\n";

    if (greet(t, s, m) != 0 || say(t, '2', "MAIL FROM:<%s>\r\n", m->from) != 0)
        return -1;
    for (size_t i = 0; i < m->n_to; i++)
        if (say(t, '2', "RCPT TO:<%s>\r\n", m->to[i]) != 0)
            return -1;
    if (say(t, '3', "DATA\r\n") != 0 || say(t, '2', "%s", text) != 0)
        return -1;
    IGNORE(conn_write(t->c, quit, sizeof(quit) - 1, t->d)); /* it has the mail */
    return 0;
}

int smtp_send(const struct smtp_server *s, const struct smtp_mail *m,
              const struct deadline *d, bool *permanent_out, struct err *err)
{
    struct talk t = { .d = d, .permanent = permanent_out, .err = err };
    int fd, rc;

    *permanent_out = s->user && s->tls == SMTP_CLEAR;
    if (*permanent_out)
        return fails(&t, "a password is sent by TLS only");
    fd = io_connect_tcp(s->host, s->port, d);
    if (fd < 0) {
        (void)err_set(err, SMTP_FAILED);
        return err_detail(err, "%s:%u cannot be reached: %s", s->host, s->port,
                          io_connect_why());
    }
    t.c = conn_plain(fd);
    rc = dialogue(&t, s, m);
    conn_close(&t.c);
    return rc;
}
