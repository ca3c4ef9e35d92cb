/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates as texts in PEM: facts about them, and whether a server may use one. Thread: any. */
#ifndef WIRE_TLS_CHECK_H
#define WIRE_TLS_CHECK_H

#include "base/err.h"

struct tls_certificate {
    int64_t not_before_us, not_after_us;
    char fingerprint[96]; /* SHA-256, "AA:BB:..." */
};

/* The first certificate of the text. -1: there is none, or it is damaged. */
int tls_certificate_read(const char *pem, struct tls_certificate *out) MUST_CHECK;
/* Valid now? Errors: the given codes, with (now, limit). */
int tls_certificate_check_time(const struct tls_certificate *c, const char *too_early,
                               const char *too_late, struct err *err) MUST_CHECK;
/* May a server show this certificate (RSA of 2048 to 4096 bits or EC, SHA-2, valid now) with that key? chain "" or
 * more certificates. Errors: SERVER_CERTIFICATE_*. */
int tls_server_check(const char *certificate, const char *key, const char *chain,
                     struct tls_certificate *out, struct err *err) MUST_CHECK;
#endif
