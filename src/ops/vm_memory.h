/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of a VM on a disk: VM.suspend, resume and what checkpoints share with them. */
#ifndef OPS_VM_MEMORY_H
#define OPS_VM_MEMORY_H

#include "host/machine.h"
#include "ops/memory_image.h"
#include "ops/vm.h"

struct vm_memory {
    struct ref
        vdi; /* a new disk of its own, whose intent stands: storage_owned() once a VM's record names it */
    struct machine_saved saved;
    char uuid[UUID_TEXT_SIZE]; /* of the VM */
};

/* Write the memory of a machine to a new disk. live: it runs on meanwhile and `paused` runs while it stands still (and
 * nothing writes to its disks). Afterwards it stands still. On failure it goes on and no disk is left.
 * Errors: VM_NO_SUSPEND_SR(vm), VM_NON_SUSPENDABLE(vm, reason), TASK_CANCELLED, those of storage. */
int vm_memory_save(struct call *call, const struct ref *vm, bool live,
                   int (*paused)(void *arg, struct err *err), void *arg,
                   struct vm_memory *out, struct err *err) MUST_CHECK EXCLUDES(db_mutex);
/* It was for nothing: the machine goes on, the disk goes. */
void vm_memory_undo(struct call *call, const struct vm_memory *m) EXCLUDES(db_mutex);
/* What the disk says of the machine whose memory it holds. Errors: SUSPEND_IMAGE_NOT_ACCESSIBLE(vdi). */
int vm_memory_head(const struct ref *vdi, struct memory_head *out, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
/* The stored memory of a VM that is not suspended (any more) is worth nothing: it goes. */
void vm_memory_forget(const struct ref *vm) EXCLUDES(db_mutex);
/* The same of all, at start. */
void vm_memory_settle(void) EXCLUDES(db_mutex);
/* The VM's record is about to go, and its memory with it: *vdi_out, null if it has none. Then, whether it went. */
int vm_memory_disown(const struct ref *vm, struct ref *vdi_out, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
void vm_memory_disowned(struct call *call, const struct ref *vdi, bool gone)
    EXCLUDES(db_mutex);
/* Is the disk the memory of a VM that is suspended, or of a checkpoint? */
bool vm_memory_kept(const struct ref *vdi) REQUIRES(db_mutex);
/* Bring a suspended VM back, paused or not. */
int vm_resume(struct call *call, const struct ref *vm, bool paused, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
int vm_suspend(struct call *call, const struct ref *vm, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
#endif
