/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERAID_UNDO_VALUE_H
#define SERAID_UNDO_VALUE_H

#include "model/value.h"

/* The value that a field should get: as it was, where nothing changed since. Of maps and sets only what the change touched
 * goes back; other keys and members stay. old, new: of the change; now: the present value. All as stored. NULL: what the
 * change set has changed since. Given. Pure. */
json_t *undo_value(const struct ty *ty, const json_t *old, const json_t *new_,
                   const json_t *now);
#endif
