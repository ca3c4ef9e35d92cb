/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine was built from, of what may change in its VM's record while it runs or sleeps: kept as
 * VM.last_booted_record, so that its memory can be put into a machine that is the same. Pure. */
#ifndef OPS_BOOT_RECORD_H
#define OPS_BOOT_RECORD_H

#include "ops/call.h"

/* Given. */
char *boot_record_text(const struct vm_rec *vm) MUST_CHECK;
/* The fields of vm, a copy, become those of its last_booted_record. A VM without one stays as it is. */
int boot_record_apply(struct vm_rec *vm, struct err *err) MUST_CHECK;
#endif
