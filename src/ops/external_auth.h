/* SPDX-License-Identifier: Apache-2.0 */
/* Users of a directory: logins by it, and what the API shows of it. Thread: any. */
#ifndef OPS_EXTERNAL_AUTH_H
#define OPS_EXTERNAL_AUTH_H

#include "base/err.h"

/* Logins ask the directory when one is enabled; sessions that began so are looked at again from time to time. */
int external_auth_init(struct err *err) MUST_CHECK;
void external_auth_done(void);
#endif
