/* SPDX-License-Identifier: Apache-2.0 */
/* Headers of tar archives (ustar): one file each, plain names. Pure. */
#ifndef BASE_TAR_H
#define BASE_TAR_H

#include "base/util.h"

#define TAR_BLOCK     512
#define TAR_NAME_SIZE 257

/* name: shorter than 100 bytes. */
void tar_header(uint8_t out[static TAR_BLOCK], const char *name, uint64_t size,
                int64_t mtime_s);
/* Bytes of zero after size bytes of contents, up to the next block. */
size_t tar_padding(uint64_t size);

struct tar_entry {
    char name[TAR_NAME_SIZE]; /* without a leading "./" */
    uint64_t size;
    char type; /* '0': a file */
};

enum tar_parsed { TAR_ENTRY, TAR_END, TAR_BAD };

/* TAR_END: a block of zeroes. TAR_BAD: the checksum is wrong, or a number is none. */
enum tar_parsed tar_parse(const uint8_t block[static TAR_BLOCK], struct tar_entry *out);
#endif
