/* SPDX-License-Identifier: Apache-2.0 */
/* The library's table of file functions for files that are open with O_DIRECT: what is not aligned goes
 * through a buffer that is. Thread: any, a handle in one at a time. */
#ifndef DISKD_DISK_IO_H
#define DISKD_DISK_IO_H

#include "vhd/vhd_io.h"

extern const struct vhd_io
    disk_io; /* its open asks for direct I/O where the file system has it */

/* Switch an open descriptor to direct I/O; false: it stays as it is, because there are no aligned sectors of
 * 512 bytes, or no direct I/O. */
bool disk_io_direct(int fd);
#endif
