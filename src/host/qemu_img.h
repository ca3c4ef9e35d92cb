/* SPDX-License-Identifier: Apache-2.0 */
/* Images in formats that must be read here and there (qcow2, VMDK, VHDX), by qemu-img in a jail of its own (serai-image
 * --qemu-img): it gets descriptors and the name of the format, and believes nothing else. Thread: any; blocking.
 * Errors: IMPORT_ERROR(why), TASK_CANCELLED("") by d. */
#ifndef HOST_QEMU_IMG_H
#define HOST_QEMU_IMG_H

#include "base/deadline.h"
#include "base/err.h"

bool qemu_img_reads(const char *format); /* one of the three */
/* The size of the disk in the image. One that refers to other files is refused. fd: a file open for reading. */
int qemu_img_size(int fd, const char *format, uint64_t *bytes_out, const struct deadline *d,
                  struct err *err) MUST_CHECK;
/* Its contents into an empty sparse file of that size. */
int qemu_img_convert(int fd, const char *format, int out_fd, uint64_t bytes,
                     const struct deadline *d, struct err *err) MUST_CHECK;
#endif
