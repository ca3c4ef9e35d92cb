/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of a machine's UEFI firmware: boot entries, keys. While the machine runs it is a file, STATE/nvram/UUID, that QEMU
 * has by descriptor; the rest of the time it is a text in the VM's record. Thread: any. */
#ifndef HOST_NVRAM_H
#define HOST_NVRAM_H

#include "base/buf.h"
#include "base/err.h"

#define NVRAM_FILE_MAX (4U << 20) /* of a firmware's variables */

/* The firmware of a machine, files of the distribution. */
struct nvram_firmware {
    const char *code, *variables; /* variables: what a new machine starts with */
};

/* secure: with the keys of the usual systems enrolled. */
const struct nvram_firmware *nvram_firmware(bool secure);
/* Is it installed? */
bool nvram_installed(bool secure);

/* A file of it as text for a record, and back: what is not 0xff, in base64. secure: which firmware wrote it. Pure. */
char *nvram_encode(const void *file, size_t n, bool secure);
/* False: not a text of ours, or of the other firmware. out: as long as the firmware wants it. */
bool nvram_decode(const char *text, bool secure, size_t size, struct buf *out);

/* Make the file anew, from the text of a record (NULL: none) if it can be used, else as the firmware comes. Durable. fd_out: given.
 * Errors: BOOTLOADER_FAILED(uuid, text). */
int nvram_make(const char *state_dir, const char *uuid, const char *text, bool secure,
               int *fd_out, struct err *err) MUST_CHECK;
/* The file as it is; false: there is none. fd_out: given. */
bool nvram_open(const char *state_dir, const char *uuid, int *fd_out);
/* The text of the file; given. NULL: there is none. */
char *nvram_text(const char *state_dir, const char *uuid);
void nvram_remove(const char *state_dir, const char *uuid);
/* The uuids of all files that are there. */
void nvram_each(const char *state_dir, void (*fn)(const char *uuid, void *arg), void *arg);
#endif
