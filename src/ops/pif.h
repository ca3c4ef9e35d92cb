/* SPDX-License-Identifier: Apache-2.0 */
/* Network cards of the host as records. */
#ifndef OPS_PIF_H
#define OPS_PIF_H

#include "host/inventory.h"
#include "model/db.h"

/* Make records of the physical cards that have none, and all of them true; and the host's address with them: the one that is
 * listened on, or that of the management interface when all are. */
void pif_scan(struct tx *tx, const struct ref *host, const struct inventory *inv)
    REQUIRES(db_mutex);
/* At the start: plug in again what was. What cannot be is logged. */
void pif_boot(void) EXCLUDES(db_mutex);
#endif
