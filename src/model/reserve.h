/* SPDX-License-Identifier: Apache-2.0 */
/* Space that is kept free on the disk of a directory, as a file, for the calls that make room on a full one: their record in
 * the audit log and their commit need some themselves. It is given up when such a call finds little room, and taken again
 * before the next other call, which is refused while it cannot be: so it is there for the next of the former. What a dead
 * process gave up, the next start takes again. Thread: any. Locks: none. Blocks on the disk. */
#ifndef MODEL_RESERVE_H
#define MODEL_RESERVE_H

#include "base/util.h"

#define RESERVE_BYTES ((uint64_t)1 << 20)

struct reserve {
    int fd;
    int full;   /* atomic */
    bool unfit; /* this file system cannot: nothing is kept */
};

/* DIR/reserve. Never fails: with a full disk, or where it cannot be, there is none. */
void reserve_open(struct reserve *r, const char *dir);
void reserve_close(struct reserve *r); /* the space stays taken */
/* Before a call that makes room: give the space up if there is little other. */
void reserve_use(struct reserve *r);
/* Before another call. False: the disk is full, errno says how. */
bool reserve_keep(struct reserve *r);
#endif
