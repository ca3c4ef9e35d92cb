/* SPDX-License-Identifier: Apache-2.0 */
/* The disks a template asks for: other_config:disks, an XML text as XenServer's templates carry it:
 *   <provision><disk device="0" size="8589934592" sr="" bootable="true" type="system"/></provision> */
#ifndef OPS_PROVISION_H
#define OPS_PROVISION_H

#include "base/uuid.h"
#include "ops/call.h"

#define PROVISION_DISKS_MAX 16

struct provision_disk {
    char device[8];
    uint64_t size_bytes;
    char sr_uuid[UUID_TEXT_SIZE]; /* "": the pool's default */
    bool bootable;
    int type; /* VDI_TYPE_... */
};

/* Pure. n_out is 0 for an empty text. Errors: INVALID_VALUE("other_config:disks", text). */
int provision_parse(const char *xml, struct provision_disk out[static PROVISION_DISKS_MAX],
                    size_t *n_out, struct err *err) MUST_CHECK;
/* Make the VDIs and VBDs and a VM of the template; all or nothing. Errors: DEFAULT_SR_NOT_FOUND, SR_FULL, ... */
int provision_vm(struct call *call, const struct ref *vm, struct err *err) MUST_CHECK;
#endif
