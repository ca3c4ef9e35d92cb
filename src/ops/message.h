/* SPDX-License-Identifier: Apache-2.0 */
/* Messages: what people should know, as objects. The daemon's own stand in the change set of what they tell of, so there
 * is never one without the other. A bounded number is kept: the oldest make room. */
#ifndef OPS_MESSAGE_H
#define OPS_MESSAGE_H

#include "ops/call.h"

#define MESSAGE_LIMIT 10000

/* What happened to a machine. Names, urgencies and words are XenServer's, since people's scripts look for them. */
enum message_vm {
    MESSAGE_VM_NONE,
    MESSAGE_VM_STARTED,
    MESSAGE_VM_SHUTDOWN,
    MESSAGE_VM_SHUTDOWN_FORCED,
    MESSAGE_VM_REBOOTED,
    MESSAGE_VM_REBOOTED_FORCED,
    MESSAGE_VM_CRASHED,
    MESSAGE_VM_SUSPENDED,
    MESSAGE_VM_RESUMED
};

/* Strings are copied. cls: of enum cls. */
struct ref message_add(struct tx *tx, const char *name, int64_t priority, int cls,
                       const char *obj_uuid, const char *body) REQUIRES(db_mutex);
/* About a VM that is there. MESSAGE_VM_NONE: none is made. */
void message_add_vm(struct tx *tx, enum message_vm what, const struct ref *vm)
    REQUIRES(db_mutex);
void message_set_limit(size_t limit) EXCLUDES(db_mutex); /* instead of MESSAGE_LIMIT */
#endif
