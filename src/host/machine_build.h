/* SPDX-License-Identifier: Apache-2.0 */
/* Inside machine_qemu only: how a machine comes to be, is found again, and ends. The contracts are those of
 * machine_ops.start, .destroy and .adopt. */
#ifndef HOST_MACHINE_BUILD_H
#define HOST_MACHINE_BUILD_H

#include "host/machine.h"

int machine_build_start(const struct vm_spec *spec, const struct deadline *d,
                        struct err *err) MUST_CHECK;
int machine_build_destroy(const char *uuid, const struct deadline *d, struct err *err)
    MUST_CHECK;
int machine_build_adopt(struct machine_found **found_out, size_t *n_out, struct err *err)
    MUST_CHECK;
#endif
