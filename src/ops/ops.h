/* SPDX-License-Identifier: Apache-2.0 */
/* What seraid calls of ops/ besides the generated operation table. */
#ifndef OPS_OPS_H
#define OPS_OPS_H

#include "ops/call.h"
#include "ops/host_ctx.h"

/* boot.c: make or update the pool, host, default SR and PBD, networks, PIFs, metrics and standard templates on a new or
 * known state directory; register the allowed_operations functions; fail orphaned tasks; connect to machines that
 * run from before and make the records say what is true (Running, Halted). Before the API answers. */
int ops_boot(struct err *err) MUST_CHECK;
/* Events of machines (vm_watch.c): runs on the machine thread, queues to its own worker, never blocks. */
void vm_watch_event(const struct machine_event *ev, void *arg);
/* When the API answers: after a boot of this host, take machines again, and start those that want to start with it
 * (host_power.c), on a thread of its own. */
int host_power_boot(struct err *err) MUST_CHECK;
void host_power_done(void);
/* Stop the workers of ops/. Machines run on. */
void ops_done(void);

/* Implicit create and destroy of classes whose records need more than the table does (VM, VBD, VIF, VDI, ...): NULL where the generic one
 * serves. Same contract as an operation; create's args is the record. */
typedef int (*ops_create_fn)(struct call *call, void *rec /* taken */, struct ref *result,
                             struct err *err);
typedef int (*ops_destroy_fn)(struct call *call, const struct ref *self, struct err *err);
/* Runs before the generic set/add/remove of a field is committed: refuse or normalise. NULL: nothing to check.
 * value: storage of the field's type after the change. Runs under db_mutex. */
typedef int (*ops_check_set_fn)(struct call *call, const struct ref *self, unsigned field,
                                const void *value, struct err *err);

struct ops_class_hooks {
    ops_create_fn create;
    ops_destroy_fn destroy;
    ops_check_set_fn check_set;
    /* After it is durable: what is in use changes with it. No lock is held. */
    int (*after_set)(struct call *call, const struct ref *self, unsigned field,
                     struct err *err);
    bool refresh_on_set; /* recompute allowed_operations after any generic write */
};

const struct ops_class_hooks *ops_hooks(enum class_id cls); /* never NULL */

/* Resolve a console reference or VM uuid/ref of an HTTP console request to the VM and protocol. text: vt100 instead of rfb. */
int console_resolve(const char *ref_or_uuid, char vm_uuid_out[static UUID_TEXT_SIZE],
                    bool *text_out, struct err *err) MUST_CHECK;

/* The certificate that this host shows, in PEM form, without its key. Given; NULL: err. */
char *host_certificate(struct err *err);
#endif
