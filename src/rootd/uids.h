/* SPDX-License-Identifier: Apache-2.0 */
/* Which uid is which VM's: a directory of symbolic links, NUMBER -> UUID and UUID -> NUMBER, so that taking one is
 * atomic and outlives us. Thread and process: any. All return -1 with errno. */
#ifndef ROOTD_UIDS_H
#define ROOTD_UIDS_H

#include "base/util.h"

/* A uid that no VM has. EEXIST: this VM has one. EUSERS: all are taken. */
int uids_take(const char *dir, const char *uuid, uint32_t base, uint32_t count,
              uint32_t *uid_out) MUST_CHECK;
/* Fine if it has none. */
int uids_release(const char *dir, const char *uuid) MUST_CHECK;
/* Remove numbers that no VM has: left by a take that was cut short. Not beside uids_take. */
int uids_sweep(const char *dir) MUST_CHECK;
#endif
