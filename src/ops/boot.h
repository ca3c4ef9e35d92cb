/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of ops_boot. Each runs once, at start, inside the transaction that it is given. */
#ifndef OPS_BOOT_H
#define OPS_BOOT_H

#include "ops/call.h"

void boot_templates(struct tx *tx) REQUIRES(db_mutex);
/* The host's records (host, metrics, CPUs, PIFs and their networks) as the inventory says. */
void boot_host(struct tx *tx) REQUIRES(db_mutex);
/* Connect to machines that run from before; make every record true. */
int boot_adopt(struct err *err) MUST_CHECK;
/* After the database was restored under a running daemon: what the start makes of the records. */
int boot_restored(struct err *err) MUST_CHECK EXCLUDES(db_mutex);
#endif
