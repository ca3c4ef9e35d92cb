/* SPDX-License-Identifier: Apache-2.0 */
/* Moments as people write them: "2 hours ago", "yesterday", "2026-01-31", "2026-01-31 12:00", "2026-01-31T12:00:00Z".
 * Without a zone a time is UTC, as everywhere in the API. Pure. */
#ifndef XE_WHEN_H
#define XE_WHEN_H

#include "base/util.h"

/* As the API takes it, "2026-01-31T12:00:00.000000Z"; given. NULL: no moment. */
char *when_text(const char *text, int64_t now_us);
#endif
