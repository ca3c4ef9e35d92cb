/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates: the one that this host shows, and those of authorities. */
#ifndef OPS_CERTIFICATE_H
#define OPS_CERTIFICATE_H

#include "ops/call.h"

/* Write a self-signed certificate for this host's names and addresses over host_ctx.cert_file. */
int certificate_self_signed(struct err *err) MUST_CHECK;
/* Make the records say what the files hold. */
void boot_certificates(struct tx *tx, const struct ref *host) REQUIRES(db_mutex);
#endif
