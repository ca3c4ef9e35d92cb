/* SPDX-License-Identifier: Apache-2.0 */
/* One mail to one server by SMTP (RFC 5321), in clear text: for a relay that is near. */
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

#define SMTP_FAILED "SMTP_FAILED" /* code of all errors; the detail is the sentence */

/* permanent_out: trying again would not help (the server refused what it was given). */
int smtp_send(const char *host, unsigned port, const struct smtp_mail *m,
              const struct deadline *d, bool *permanent_out, struct err *err) MUST_CHECK;
/* An address that can stand in a command: one @, and nothing that ends or quotes. Pure. */
bool smtp_address_valid(const char *address);
#endif
