/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual TPMs: a process of swtpm beside a machine, connected to it by a socket pair, so that it ends when the machine does. What a
 * TPM keeps is one file, STATE/tpm/UUID, for as long as the TPM exists. In full mode it runs in a jail and with a uid of
 * its own, like a machine, under the TPM's uuid. Thread: any. */
#ifndef HOST_TPM_H
#define HOST_TPM_H

#include "base/err.h"

/* The state of a new TPM: empty, durable. Fine if it is there. from: another one's uuid to copy it from, or NULL.
 * Errors: INTERNAL_ERROR. */
int tpm_make(const char *state_dir, const char *uuid, const char *from, struct err *err)
    MUST_CHECK;
/* Start it for a machine. *fd_out: given, the machine's end. Errors: BOOTLOADER_FAILED(vm_uuid, text). Blocks: seconds, until
 * that of the last run has ended. */
int tpm_start(const char *state_dir, const char *uuid, const char *vm_uuid, int *fd_out,
              struct err *err) MUST_CHECK;
/* After its machine has ended: what is left of the jail goes. Idempotent. */
void tpm_end(const char *uuid);
/* Its secrets are lost. */
void tpm_remove(const char *state_dir, const char *uuid);
void tpm_each(const char *state_dir, void (*fn)(const char *uuid, void *arg), void *arg);
#endif
