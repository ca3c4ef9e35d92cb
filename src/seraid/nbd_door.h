/* SPDX-License-Identifier: Apache-2.0 */
/* The port of NBD: open only while a network offers disks. Negotiation, TLS where the network wants it, the session and role in
 * the export's name; from then on bytes go between the client and the disk's own server (ops/nbd.h). */
#ifndef SERAID_NBD_DOOR_H
#define SERAID_NBD_DOOR_H

#include "base/err.h"

struct tls_server;

/* address: where to listen; NULL: never. tls: borrowed, may be NULL. stop_fd: readable when the daemon stops. */
int nbd_door_start(const char *address, struct tls_server *tls, int stop_fd,
                   struct err *err) MUST_CHECK;
void nbd_door_stop(void); /* after stop_fd is readable: waits for all connections */
#endif
