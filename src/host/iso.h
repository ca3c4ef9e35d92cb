/* SPDX-License-Identifier: Apache-2.0 */
/* A small CD image (ISO 9660 with Joliet names), written in memory: no mount, no other program. Pure. Thread: any. */
#ifndef HOST_ISO_H
#define HOST_ISO_H

#include "base/buf.h"

#define ISO_FILES_MAX 8
#define ISO_NAME_MAX  16 /* ASCII */

struct iso_file {
    const char *name;
    const void *data;
    size_t len;
};

/* label: ASCII, at most ISO_NAME_MAX. The files lie in the root directory; their names differ in the first eight characters. */
void iso_write(const char *label, const struct iso_file *files, size_t n, struct buf *out);
#endif
