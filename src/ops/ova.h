/* SPDX-License-Identifier: Apache-2.0 */
/* VMs without their disks' contents: a tar archive whose only file is ova.xml, XenServer's description of VMs and of what
 * they refer to. References in it are "Ref:N"; those to anything that is not in it are null. */
#ifndef OPS_OVA_H
#define OPS_OVA_H

#include "base/vec.h"
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

/* A disk whose contents belong to a description. */
struct ova_disk {
    struct ref vdi;
    size_t number; /* "Ref:number" */
};

struct ova_disks {
    VEC(struct ova_disk) rows;
};

/* The description alone, and the disks (not CDs) of its VMs; with power_state also stored memory. vms_out: the VMs. Of one
 * moment. */
int ova_describe(const struct ova_choice *choice, struct buf *xml, struct ova_disks *disks,
                 struct set_ref *vms_out, struct err *err) MUST_CHECK EXCLUDES(db_mutex);

#define OVA_MAX_BYTES ((size_t)16 << 20)

/* May the session make such an object, with these keys in its maps? */
typedef int (*ova_may_fn)(const struct class_def *cls, const struct session *s,
                          const void *rec, struct err *err);

/* A disk that an import makes. */
struct ova_fill {
    const char *id; /* "Ref:7" */
    struct ref vdi;
    uint64_t bytes;
};

struct ova_import {
    bool restore; /* keep uuids and MAC addresses */
    bool force;   /* leave out disks that are not here */
    bool dry_run; /* say whether it could be done */
    ova_may_fn may;
    /* Disks come with it: they are made in sr, fill (rows: those that are to have contents) gives them theirs, and all are
     * gone again if anything fails. NULL: disks are here already. */
    int (*fill)(void *arg, const struct ova_fill *rows, size_t n, struct err *err);
    void *fill_arg;
    struct ref sr;
};

/* Make the VMs of an archive, all or none. Disks, repositories and hosts are found by uuid, networks also by bridge or name;
 * networks that are not here are made. Standard templates stay what they are. result: the VMs but for snapshots.
 * Errors: IMPORT_ERROR(why), IMPORT_ERROR_PREMATURE_EOF, IMPORT_ERROR_UNEXPECTED_FILE(expected, found),
 * IMPORT_INCOMPATIBLE_VERSION, IMPORT_ERROR_ATTACHED_DISKS_NOT_FOUND, IMPORT_ERROR_FAILED_TO_FIND_OBJECT(id),
 * DUPLICATE_VM(vm), RBAC_PERMISSION_DENIED, and what the creation of VM, VBD and VIF may answer. */
int ova_import(struct call *call, const struct ova_import *how,
               ssize_t (*read)(void *arg, void *p, size_t n), void *arg,
               struct set_ref *result, struct err *err) MUST_CHECK EXCLUDES(db_mutex);
/* The same from a description that is here. */
int ova_import_xml(struct call *call, const struct ova_import *how, const char *xml,
                   size_t len, struct set_ref *result, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
#endif
