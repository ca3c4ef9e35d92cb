/* SPDX-License-Identifier: Apache-2.0 */
/* VMs with the contents of their disks as one archive: ova.xml (ops/ova.h), then each disk in pieces (host/sr_export.h). */
#ifndef OPS_XVA_H
#define OPS_XVA_H

#include "host/foreign.h"
#include "host/sr_export.h"
#include "ops/ova.h"

/* What is being exported: VMs and disks are held until xva_export_end(). */
struct xva_export {
    struct call *call;
    struct buf xml;
    struct ova_disks disks;
    struct set_ref vms;
    size_t n_held_vms, n_held_disks;
    bool sha1; /* set by the caller: checksums as old readers want them */
};

/* Errors: HANDLE_INVALID, UUID_INVALID, VM_BAD_POWER_STATE, VDI_IN_USE, OTHER_OPERATION_IN_PROGRESS ... */
int xva_export_begin(struct call *call, const struct ova_choice *choice,
                     struct xva_export *out, struct err *err) MUST_CHECK EXCLUDES(db_mutex);
int xva_export_send(struct xva_export *x, const struct sr_export_sink *sink,
                    struct err *err) MUST_CHECK EXCLUDES(db_mutex);
void xva_export_end(struct xva_export *x) EXCLUDES(db_mutex);

struct xva_import {
    struct ref sr; /* null: the pool's default */
    bool restore, force, dry_run;
    ova_may_fn may;
    struct foreign_source source;
};

/* All or nothing: on failure no VM and no disk is left. Errors: those of ova_import(), of host/foreign.h, SR_FULL,
 * DEFAULT_SR_NOT_FOUND, VDI_TOO_LARGE, TASK_CANCELLED. */
int xva_import(struct call *call, const struct xva_import *how, struct set_ref *result,
               struct err *err) MUST_CHECK EXCLUDES(db_mutex);
#endif
