/* SPDX-License-Identifier: Apache-2.0 */
/* Disks read by NBD clients: which are served and how, and who may. The door is seraid/nbd_door.h; a serai-disk of each
 * connection's own reads the volume, which nobody else writes to. */
#ifndef OPS_NBD_H
#define OPS_NBD_H

#include "base/proc.h"
#include "base/uuid.h"
#include "ops/call.h"

#define NBD_PORT 10809

struct lease;

enum nbd_offer { NBD_NONE, NBD_PLAIN, NBD_TLS };

/* By the purposes of networks. */
enum nbd_offer nbd_offered(void) EXCLUDES(db_mutex);
/* Called when they have changed; set once at start. */
void nbd_on_change(void (*fn)(void)) EXCLUDES(db_mutex);
void nbd_changed(void) EXCLUDES(db_mutex);
/* Where connections are taken; port 0: nowhere. host: NULL: at the addresses of the networks' interfaces. */
void nbd_set_address(const char *host, int port) EXCLUDES(db_mutex);

struct nbd_disk {
    struct ref vdi, key; /* key: of the operation on it */
    char uuid[UUID_TEXT_SIZE];
    struct session session; /* of who reads it */
    struct lease *lease;
    struct proc proc;
};

/* name: "/VDI-UUID?session_id=REFERENCE". The disk is held, and *fd_out (given) is connected to its server, as long as it is
 * open. Errors: SESSION_INVALID, RBAC_PERMISSION_DENIED, UUID_INVALID, VDI_INCOMPATIBLE_TYPE, VDI_IN_USE, ... Thread: the one
 * that closes it, which its process ends with. */
int nbd_open(const char *name, struct nbd_disk *out, int *fd_out, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
void nbd_close(struct nbd_disk *d) EXCLUDES(db_mutex);
#endif
