/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of the past: found by what people call them, as records, and the changes between moments. Secrets are hidden
 * (model/redact.h), and classes that the history does not keep are refused. Thread: any; blocks on the disk. */
#ifndef OPS_PAST_H
#define OPS_PAST_H

#include "model/history.h"
#include "ops/call.h"

/* An entry that may be undone: a copy. */
struct past_change {
    enum class_id cls;
    struct ref ref;
    enum store_kind kind;
    json_t *changes; /* field: [old, new], nothing hidden */
};

/* Errors: INVALID_VALUE("change", id): there is no such entry. */
int past_change(int64_t id, struct past_change *out, struct err *err) MUST_CHECK;
void past_change_done(struct past_change *c);
#endif
