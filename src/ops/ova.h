/* SPDX-License-Identifier: Apache-2.0 */
/* VMs without their disks' contents: a tar archive whose only file is ova.xml, XenServer's description of VMs and of what
 * they refer to. References in it are "Ref:N"; those to anything that is not in it are null. */
#ifndef OPS_OVA_H
#define OPS_OVA_H

#include "ops/call.h"

struct ova_choice {
    const char *vm;   /* a reference or uuid; NULL with all */
    bool all;         /* but for standard templates */
    bool snapshots;   /* with their snapshots */
    bool power_state; /* keep it; else all are halted */
};

/* The archive, whole. Errors: HANDLE_INVALID or UUID_INVALID(VM, text). */
int ova_export(const struct ova_choice *choice, struct buf *out, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);

#define OVA_MAX_BYTES ((size_t)16 << 20)

/* May the session make such an object, with these keys in its maps? */
typedef int (*ova_may_fn)(const struct class_def *cls, const struct session *s,
                          const void *rec, struct err *err);

struct ova_import {
    bool restore; /* keep uuids and MAC addresses */
    bool force;   /* leave out disks that are not here */
    bool dry_run; /* say whether it could be done */
    ova_may_fn may;
};

/* Make the VMs of an archive, all or none. Disks, repositories and hosts are found by uuid, networks also by bridge or name;
 * networks that are not here are made. Standard templates stay what they are. result: the VMs but for snapshots.
 * Errors: IMPORT_ERROR(why), IMPORT_ERROR_PREMATURE_EOF, IMPORT_ERROR_UNEXPECTED_FILE(expected, found),
 * IMPORT_INCOMPATIBLE_VERSION, IMPORT_ERROR_ATTACHED_DISKS_NOT_FOUND, IMPORT_ERROR_FAILED_TO_FIND_OBJECT(id),
 * DUPLICATE_VM(vm), RBAC_PERMISSION_DENIED, and what the creation of VM, VBD and VIF may answer. */
int ova_import(struct call *call, const struct ova_import *how,
               ssize_t (*read)(void *arg, void *p, size_t n), void *arg,
               struct set_ref *result, struct err *err) MUST_CHECK EXCLUDES(db_mutex);
#endif
