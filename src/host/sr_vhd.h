/* SPDX-License-Identifier: Apache-2.0 */
/* Inside sr_file only: VHD images that are files of a directory, named UUID.vhd. Errors are those of the library,
 * SR_BACKEND_FAILURE(status, "", text). Thread: any; blocking. */
#ifndef HOST_SR_VHD_H
#define HOST_SR_VHD_H

#include "host/sr.h"

/* Size, space and parent as the file's first two kilobytes say; also while a disk process has it open. */
int sr_vhd_look(const char *path, struct sr_volume *out, struct err *err) MUST_CHECK;
int sr_vhd_create(const char *path, uint64_t bytes, struct err *err) MUST_CHECK;
int sr_vhd_child(const char *parent, bool raw, const char *path, struct err *err)
    MUST_CHECK;
int sr_vhd_resize(const char *path, uint64_t bytes, struct err *err) MUST_CHECK;
#endif
