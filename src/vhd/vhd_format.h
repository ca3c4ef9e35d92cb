/* SPDX-License-Identifier: Apache-2.0 */
/* The structures of a VHD file as bytes: footer, dynamic header, parent locators, geometry, checksums.
 * Pure: no I/O. Everything is big-endian and in sectors of 512 bytes (VHD specification 1.0). */
#ifndef VHD_VHD_FORMAT_H
#define VHD_VHD_FORMAT_H

#include "base/uuid.h"
#include "vhd/vhd_io.h"

#define VHD_SECTOR       UINT64_C(512)
#define VHD_FOOTER_BYTES 512
#define VHD_HEADER_BYTES 1024
#define VHD_ABSENT       UINT32_C(0xffffffff)
#define VHD_MIN_BYTES    (UINT64_C(2) << 20)
#define VHD_MAX_BYTES    (UINT64_C(2040) << 30)
#define VHD_BLOCK_BYTES  (UINT32_C(2) << 20) /* what we write, and the most that we read */
#define VHD_BLOCK_MIN    UINT32_C(4096)
/* The most BAT entries that an image may have: 16 MiB of memory, 2 TiB in blocks of 512 KiB. */
#define VHD_ENTRIES_MAX (UINT32_C(1) << 22)
#define VHD_LOCATORS    8
#define VHD_LOCATOR_BYTES \
    512 /* what we write of one; what we read is bounded by LOCATOR_MAX */
#define VHD_LOCATOR_MAX 4096
#define VHD_NAME_MAX    256 /* of a parent, bytes of UTF-8 with the NUL */

enum vhd_type { VHD_FIXED = 2, VHD_DYNAMIC = 3, VHD_DIFFERENCING = 4 };

/* Codes of parent locators. */
#define VHD_LOC_MACX UINT32_C(0x4d616358) /* file URL, UTF-8 */
#define VHD_LOC_W2KU UINT32_C(0x57326b75) /* path, UTF-16LE */
#define VHD_LOC_W2RU UINT32_C(0x57327275) /* relative path, UTF-16LE */

struct vhd_footer {
    uint64_t data_offset;
    uint32_t
        timestamp; /* seconds since 2000-01-01; information only: some writers use other epochs */
    char creator[4];
    uint32_t creator_version;
    uint32_t creator_os;
    uint64_t original_bytes;
    uint64_t current_bytes; /* the size; geometry is not */
    uint16_t cylinders;
    uint8_t heads;
    uint8_t sectors;
    uint32_t type;
    struct uuid uuid;
    uint8_t saved_state;
    uint8_t hidden; /* an extension of blktap's: a base copy, not a disk of its own */
};

struct vhd_locator {
    uint32_t code;  /* 0: unused */
    uint32_t space; /* as on disk: bytes, or sectors if < 512 */
    uint32_t length;
    uint64_t offset;
};

struct vhd_header {
    uint64_t bat_offset;
    uint32_t entries;
    uint32_t block_bytes;
    struct uuid parent_uuid; /* all zero: the parent is a raw file */
    uint32_t parent_timestamp;
    char parent_name[VHD_NAME_MAX]; /* last component; "" if unreadable */
    struct vhd_locator loc[VHD_LOCATORS];
};

/* NULL: good; otherwise what is wrong with it, a borrowed half sentence. */
const char *vhd_format_footer_read(const uint8_t b[static VHD_FOOTER_BYTES],
                                   struct vhd_footer *out);
void vhd_format_footer_write(const struct vhd_footer *f,
                             uint8_t b[static VHD_FOOTER_BYTES]);
const char *vhd_format_header_read(const uint8_t b[static VHD_HEADER_BYTES],
                                   struct vhd_header *out);
void vhd_format_header_write(const struct vhd_header *h,
                             uint8_t b[static VHD_HEADER_BYTES]);

uint32_t vhd_format_sum(const uint8_t *b, size_t len,
                        size_t skip); /* skip: offset of the field */
/* Cylinders rounded down, so that no reader finds the disk larger than it is. */
void vhd_format_geometry(uint64_t bytes, struct vhd_footer *f);
uint32_t vhd_format_now(void); /* seconds since 2000 */

/* The last component of the path in a locator's data, as UTF-8. false: nothing usable. */
bool vhd_format_locator_name(uint32_t code, const uint8_t *p, size_t len,
                             char out[static VHD_NAME_MAX]);
/* The bytes of a locator for a parent in the same directory; 0: this code cannot say it. */
size_t vhd_format_locator_make(uint32_t code, const char *name,
                               uint8_t out[static VHD_LOCATOR_BYTES]);
uint64_t vhd_format_locator_space(const struct vhd_locator *l); /* bytes */
bool vhd_format_name_ok(
    const char *name); /* one component, not "." or "..", printable UTF-8 */

/* Bytes of a sector bitmap, padded. */
static inline uint32_t vhd_format_bitmap_bytes(uint32_t block_bytes)
{
    return (block_bytes / 512 / 8 + 511) & ~UINT32_C(511);
}

static inline bool vhd_format_bit(const uint8_t *map, uint32_t i)
{
    return (map[i / 8] & (0x80 >> (i % 8))) != 0;
}
#endif
