/* SPDX-License-Identifier: Apache-2.0 */
/* Who we are and what we may, and giving that up. -1 with errno. While the process has one thread. */
#ifndef BASE_PRIVILEGES_H
#define BASE_PRIVILEGES_H

#include <sys/types.h>

#include "base/util.h"

/* A user of the system by name, or by number (with the group of the same number). ENOENT: there is none. */
int privileges_user(const char *name, uid_t *uid_out, gid_t *gid_out) MUST_CHECK;
/* Become that user with the groups that the system gives it, for good. */
int privileges_become(const char *name, uid_t uid, gid_t gid) MUST_CHECK;
/* Give up every capability but these, for good. */
int privileges_keep(const unsigned *caps, size_t n) MUST_CHECK;
/* Empty the bounding set: no exec of this process's descendants gives any back. */
int privileges_drop_bounding(void) MUST_CHECK;
#endif
