/* SPDX-License-Identifier: Apache-2.0 */
/* What others need to know of a host's settings. */
#ifndef OPS_HOST_CONFIG_H
#define OPS_HOST_CONFIG_H

#include "ops/call.h"

/* Must connections without TLS from other machines be refused? Never blocks. */
bool host_https_only(void);
/* Bring the settings to what this start makes true. */
void boot_host_config(struct tx *tx, const struct ref *host) REQUIRES(db_mutex);
#endif
