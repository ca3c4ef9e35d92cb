/* SPDX-License-Identifier: Apache-2.0 */
/* A disk served by NBD on a unix socket: any number of requests under way up to a bound, on up to
 * NBD_CONNS_MAX connections, all of one disk and so consistent with each other (multi-conn). Memory is
 * bounded: a client that asks for more than there is waits, in turn. Thread: the disk's loop. */
#ifndef DISKD_NBD_H
#define DISKD_NBD_H

#include "diskd/disk.h"

#define NBD_CONNS_MAX   16
#define NBD_REQS_MAX    256
#define NBD_ARENA_BYTES (UINT64_C(64) << 20)

struct nbd;

/* listen_fd: taken; -1: none. name: of the export, besides "". NULL with errno. */
struct nbd *nbd_new(struct aio *a, struct disk *d, int listen_fd, const char *name);
void nbd_add(struct nbd *s, int fd); /* a connection, taken */
void nbd_turn(struct nbd *s);        /* after each aio_wait: send what is ready */
void nbd_tick(
    struct nbd *s); /* now and then: give back what an idle server does not need */
void nbd_stop(struct nbd *s); /* no more connections, and those there are end */
bool nbd_stopped(const struct nbd *s);
size_t nbd_connections(const struct nbd *s);
void nbd_free(struct nbd *s); /* when stopped */
#endif
