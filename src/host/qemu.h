/* SPDX-License-Identifier: Apache-2.0 */
/* QEMU's command line from a struct vm_spec. Pure: opens nothing, looks at nothing. Thread: any. */
#ifndef HOST_QEMU_H
#define HOST_QEMU_H

#include "base/err.h"
#include "base/proc.h"
#include "host/vmspec.h"

/* What QEMU inherits, by number. The sockets are listening ones, bound by us: they survive us, and whoever comes
 * next connects again. LOCK is the locked pid file: while the lock is held, the machine lives. */
enum qemu_fd {
    QEMU_FD_QMP = 3,
    QEMU_FD_SERIAL,
    QEMU_FD_AGENT,
    QEMU_FD_LOCK,
    QEMU_FD_NVRAM,
    QEMU_FD_CONFIG,
    QEMU_FD_TPM,
    QEMU_FD_DISK0 = 16,                              /* + index in vm_spec.disks */
    QEMU_FD_NIC0 = QEMU_FD_DISK0 + VMSPEC_DISKS_MAX, /* + index in vm_spec.nics */
};

/* The guest agent's port, as VSERPORT_CHANGE names it. */
#define QEMU_AGENT_PORT "agent0"

/* The machine type that a new VM gets, for good. */
const char *qemu_default_machine(void);
/* The processor that a VM gets which names none. */
const char *qemu_default_cpu(const char *accel);

/* Errors: INVALID_VALUE(field, value), VALUE_NOT_SUPPORTED(field, value, reason). */
int qemu_argv(const struct vm_spec *spec, const char *binary, struct argv *out,
              struct err *err) MUST_CHECK;
#endif
