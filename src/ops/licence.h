/* SPDX-License-Identifier: Apache-2.0 */
/* Everything is free and nothing restricted; clients ask for that in a number of ways. */
#ifndef OPS_LICENCE_H
#define OPS_LICENCE_H

#include "ops/call.h"

/* At start: the edition of the host, and what pool and host say of restrictions. */
void boot_licence(struct tx *tx, const struct ref *pool, const struct ref *host)
    REQUIRES(db_mutex);
#endif
