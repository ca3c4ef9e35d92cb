/* SPDX-License-Identifier: Apache-2.0 */
/* Parsers of streams that come from outside: a VHD in the order of its file, and archives of disks (XVA, tar). They read
 * through one function and write records (image_record.h) through another, so that they run in a process that can do
 * nothing else, and under a fuzzer. Memory is bounded whatever comes: a block table, one chunk, a decompressor's window.
 *
 * Errors: IMPORT_ERROR(why), IMPORT_ERROR_PREMATURE_EOF, IMPORT_ERROR_UNEXPECTED_FILE(expected, found),
 * IMPORT_ERROR_SOME_CHECKSUMS_FAILED. Thread: any, one at a time for each struct. */
#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H

#include <sys/types.h>

#include "base/err.h"
#include "image/image_record.h"

struct image_io {
    ssize_t (*read)(void *arg, void *p, size_t n); /* some; 0: the end; -1 */
    int (*write)(void *arg, const void *p, size_t n);
    void *arg;
};

struct image_in; /* image_in.c: the input, read ahead, unpacked where it is packed */

struct image_in *image_in_new(const struct image_io *io); /* io: borrowed */
void image_in_free(struct image_in *in);
void image_in_cleanup(struct image_in **in);
/* Look at the first bytes: gzip or zstd is unpacked from here on, all else is as it is. */
int image_in_unpack(struct image_in *in, struct err *err) MUST_CHECK;
/* All n bytes; a shorter input is IMPORT_ERROR_PREMATURE_EOF. */
int image_in_read(struct image_in *in, void *p, size_t n, struct err *err) MUST_CHECK;
/* Up to n bytes, fewer only at the end. -1: err. */
ssize_t image_in_upto(struct image_in *in, void *p, size_t n, struct err *err) MUST_CHECK;
int image_in_skip(struct image_in *in, uint64_t n, struct err *err) MUST_CHECK;
uint64_t image_in_at(const struct image_in *in); /* bytes taken so far */

int image_put(const struct image_io *io, enum image_kind kind, uint64_t at, const void *p,
              size_t n, struct err *err) MUST_CHECK;
/* Needs no more of anything but writing. */
void image_put_error(const struct image_io *io, const struct err *why);

/* All of them end with IMAGE_DONE, or with an error that the caller puts. */
int image_vhd(struct image_in *in, const struct image_io *io, struct err *err) MUST_CHECK;
int image_tar(struct image_in *in, const struct image_io *io, bool xva, struct err *err)
    MUST_CHECK;
#endif
