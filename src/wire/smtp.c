/* SPDX-License-Identifier: Apache-2.0 */
/* A dialogue of lines over one connection. Text goes as base64, so that no line of it can end the mail or be too long.
 * Any thread. */
#include "wire/smtp.h"

#include <string.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"
#include "wire/conn.h"

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

/* A whole answer, which must be of the class wanted ('2', '3'). */
static int expect(struct conn *c, char want, const struct deadline *d, bool *permanent_out,
                  struct err *err)
{
    char line[LINE_MAX_BYTES];

    for (int i = 0; i < LINES_MAX; i++) {
        if (read_line(c, line, d) != 0)
            return broke(err, "the mail server does not answer");
        if (strlen(line) >= 4 && line[3] == '-')
            continue;
        if (line[0] == want)
            return 0;
        *permanent_out = line[0] == '5';
        (void)err_set(err, SMTP_FAILED);
        return err_detail(err, "the mail server says \"%.200s\"", line);
    }
    (void)err_set(err, SMTP_FAILED);
    return err_detail(err, "the mail server does not come to an end");
}

static int say(struct conn *c, char want, const struct deadline *d, bool *permanent_out,
               struct err *err, const char *fmt, ...) PRINTF(6, 7);

static int say(struct conn *c, char want, const struct deadline *d, bool *permanent_out,
               struct err *err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    AUTO(free_str) char *text = str_vfmt(fmt, ap);
    va_end(ap);
    if (conn_write(c, text, strlen(text), d) != 0)
        return broke(err, "the mail server does not listen");
    return expect(c, want, d, permanent_out, err);
}

/* line: characters a line, 0: one line. */
static void add_base64(struct buf *out, const char *text, size_t line)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *p = (const uint8_t *)text;
    size_t len = strlen(text), in_line = 0;

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
    add_base64(&b, m->subject, 0);
    buf_addf(&b,
             "?=\r\nDate: %s\r\nMessage-ID: <%s@%s>\r\nMIME-Version: 1.0\r\n"
             "Content-Type: text/plain; charset=utf-8\r\n"
             "Content-Transfer-Encoding: base64\r\nAuto-Submitted: auto-generated\r\n\r\n",
             m->date, m->id, m->helo);
    add_base64(&b, m->text, 76);
    buf_add_str(&b, "\r\n.\r\n");
    return buf_take(&b);
}

static int dialogue(struct conn *c, const struct smtp_mail *m, const struct deadline *d,
                    bool *permanent, struct err *err)
{
    AUTO(free_str) char *text = mail_text(m);
    static const char quit[] = "QUIT\r\n";

    if (expect(c, '2', d, permanent, err) != 0
        || say(c, '2', d, permanent, err, "EHLO %s\r\n", m->helo) != 0
        || say(c, '2', d, permanent, err, "MAIL FROM:<%s>\r\n", m->from) != 0)
        return -1;
    for (size_t i = 0; i < m->n_to; i++)
        if (say(c, '2', d, permanent, err, "RCPT TO:<%s>\r\n", m->to[i]) != 0)
            return -1;
    if (say(c, '3', d, permanent, err, "DATA\r\n") != 0
        || say(c, '2', d, permanent, err, "%s", text) != 0)
        return -1;
    (void)!conn_write(c, quit, sizeof(quit) - 1, d); /* it has the mail */
    return 0;
}

int smtp_send(const char *host, unsigned port, const struct smtp_mail *m,
              const struct deadline *d, bool *permanent_out, struct err *err)
{
    AUTO(conn_close) struct conn *c = NULL;
    int fd = io_connect_tcp(host, port, d);

    *permanent_out = false;
    if (fd < 0) {
        (void)err_set(err, SMTP_FAILED);
        return err_detail(err, "%s:%u cannot be reached: %s", host, port, io_connect_why());
    }
    c = conn_plain(fd);
    return dialogue(c, m, d, permanent_out, err);
}
