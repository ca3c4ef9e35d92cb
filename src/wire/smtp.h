/* SPDX-License-Identifier: Apache-2.0 */
/* One mail to one server by SMTP (RFC 5321): in clear text for a relay that is near, or by TLS, from the beginning or after
 * STARTTLS (RFC 3207); with a user and password only by TLS (AUTH PLAIN or LOGIN, RFC 4954). */
#ifndef WIRE_SMTP_H
#define WIRE_SMTP_H

#include "base/deadline.h"
#include "base/err.h"

struct smtp_mail {
    const char *helo;      /* our name */
    const char *from;      /* an address */
    const char *const *to; /* addresses */
    size_t n_to;
    const char *subject, *text; /* UTF-8, any lines */
    const char *date;           /* as RFC 5322 has it */
    const char *id;             /* for Message-ID, unique */
};

enum smtp_tls { SMTP_CLEAR, SMTP_STARTTLS, SMTP_TLS };

struct smtp_server {
    const char *host;
    unsigned port;
    enum smtp_tls tls;
    const char *pin; /* fingerprint of its certificate; NULL: the system's authorities */
    const char *user, *password; /* user NULL: none */
};

#define SMTP_FAILED "SMTP_FAILED" /* code of all errors; the detail is the sentence */

/* permanent_out: trying again would not help (the server refused what it was given). */
int smtp_send(const struct smtp_server *s, const struct smtp_mail *m,
              const struct deadline *d, bool *permanent_out, struct err *err) MUST_CHECK;
/* An address that can stand in a command: one @, and nothing that ends or quotes. Pure. */
bool smtp_address_valid(const char *address);
#endif
