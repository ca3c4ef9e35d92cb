/* SPDX-License-Identifier: Apache-2.0 */
/* What serai-image says on its output: a row of records, each a head of 24 bytes (little-endian) and its payload. Whoever
 * reads them believes nothing: sizes and offsets are checked again against what is being filled. */
#ifndef IMAGE_IMAGE_RECORD_H
#define IMAGE_IMAGE_RECORD_H

#include "base/util.h"

#define IMAGE_RECORD_HEAD 24
#define IMAGE_PAYLOAD_MAX (1u << 20)
#define IMAGE_XML_MAX     ((uint64_t)16 << 20) /* of ova.xml */
#define IMAGE_CHUNK       (1u << 20)           /* of a disk in an archive */

enum image_kind {
    IMAGE_SIZE = 1, /* at: bytes of the disk that follows */
    IMAGE_FILE,     /* ova.xml, at: its size; its BYTES follow */
    IMAGE_DISK, /* payload: the name of the disk that BYTES and ENDs of chunks are of from now on */
    IMAGE_BYTES, /* at: where in the file or disk */
    IMAGE_DONE,  /* the whole of it; what follows in the input is nothing */
    IMAGE_ERROR, /* payload: strings, each ended by NUL: code, parameters, and after an empty one a sentence */
};

struct image_record {
    enum image_kind kind;
    uint32_t length; /* of the payload */
    uint64_t at;
};

static inline void image_record_put(const struct image_record *r,
                                    uint8_t out[static IMAGE_RECORD_HEAD])
{
    const uint64_t words[] = { (uint64_t)r->kind, r->length, r->at };

    for (size_t i = 0; i < IMAGE_RECORD_HEAD; i++)
        out[i] = (uint8_t)(words[i / 8] >> (i % 8 * 8));
}

/* False: no record of ours. */
static inline bool image_record_get(const uint8_t p[static IMAGE_RECORD_HEAD],
                                    struct image_record *out)
{
    uint64_t words[3] = { 0 };

    for (size_t i = 0; i < IMAGE_RECORD_HEAD; i++)
        words[i / 8] |= (uint64_t)p[i] << (i % 8 * 8);
    if (words[0] < IMAGE_SIZE || words[0] > IMAGE_ERROR || words[1] > IMAGE_PAYLOAD_MAX)
        return false;
    *out = (struct image_record){ (enum image_kind)words[0], (uint32_t)words[1], words[2] };
    return true;
}
#endif
