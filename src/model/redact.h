/* SPDX-License-Identifier: Apache-2.0 */
/* Values without their secrets, for the audit log and the history. What is secret stands in the schema (api/audit.py).
 * Pure; thread: any. */
#ifndef MODEL_REDACT_H
#define MODEL_REDACT_H

#include "model/schema.h"

#define REDACT_HIDDEN "(hidden)"

/* What to write for a reference; given. NULL result: as it is. */
typedef json_t *(*redact_ref_fn)(enum class_id cls, const char *ref);

/* A new tree of a value of that type as requests and the store have it. secret: hide it all, but keep keys and
 * emptiness. Texts are cut at text_max bytes (0: not). ref: may be NULL. */
json_t *redact_value(const struct ty *ty, bool secret, const json_t *v, size_t text_max,
                     redact_ref_fn ref);
bool redact_key(const char *key); /* of a map: is its value secret? */
#endif
