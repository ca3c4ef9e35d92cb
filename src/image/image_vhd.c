/* SPDX-License-Identifier: Apache-2.0 */
/* A VHD as a stream (VHD specification 1.0). Dynamic and differencing ones carry a copy of the footer in front: then header,
 * table and blocks follow in ascending order, with gaps that hold nothing for us, and the footer again. Only sectors that a
 * block's bitmap names are handed on: the rest is somebody else's. A fixed one is the disk itself with a footer behind it,
 * so one sector is held back until it is known whether it is the last. */
#include <stdlib.h>
#include <string.h>

#include "api/errors.h"
#include "base/mem.h"
#include "image/image.h"
#include "vhd/vhd_format.h"

struct block {
    uint32_t sector, index;
};

struct vhd {
    struct image_in *in;
    const struct image_io *io;
    struct vhd_footer footer;
    struct vhd_header header;
    struct block *blocks; /* in the order of the file */
    size_t n;
    bool ended; /* the footer came behind a block that was cut short */
};

static int bad(struct err *err, const char *what, const char *why)
{
    AUTO(free_str) char *text = str_fmt("%s%s", what, why);

    return err_set(err, ERR_IMPORT_ERROR, text);
}

/* Up to an offset in the file. */
static int go_to(struct vhd *v, uint64_t at, const char *what, struct err *err)
{
    uint64_t now = image_in_at(v->in);

    if (at < now)
        return bad(
            err, what,
            " lies before what precedes it: the VHD is not in the order of a stream");
    return image_in_skip(v->in, at - now, err);
}

static int by_sector(const void *a, const void *b)
{
    const struct block *x = a, *y = b;

    return x->sector < y->sector ? -1 : x->sector > y->sector;
}

static int read_table(struct vhd *v, struct err *err)
{
    uint32_t n = v->header.entries;
    uint8_t entry[4];

    v->blocks = mem_array(n, sizeof(*v->blocks));
    for (uint32_t i = 0; i < n; i++) {
        uint32_t sector;

        if (image_in_read(v->in, entry, sizeof(entry), err) != 0)
            return -1;
        sector = (uint32_t)entry[0] << 24 | (uint32_t)entry[1] << 16
                 | (uint32_t)entry[2] << 8 | entry[3];
        if (sector == VHD_ABSENT)
            continue;
        if ((uint64_t)i * v->header.block_bytes >= v->footer.current_bytes)
            continue; /* of the table's padding */
        v->blocks[v->n++] = (struct block){ sector, i };
    }
    qsort(v->blocks, v->n, sizeof(*v->blocks), by_sector);
    return 0;
}

/* The sectors of the block that its bitmap names, in runs. */
static int put_block(struct vhd *v, uint32_t index, const uint8_t *map, const uint8_t *data,
                     struct err *err)
{
    uint64_t start = (uint64_t)index * v->header.block_bytes;
    uint64_t left = v->footer.current_bytes - start;
    uint32_t n = (uint32_t)(MIN(left, (uint64_t)v->header.block_bytes) / VHD_SECTOR);
    uint32_t most = IMAGE_PAYLOAD_MAX / VHD_SECTOR;

    for (uint32_t i = 0; i < n;) {
        uint32_t from = i;

        while (i < n && i - from < most && vhd_format_bit(map, i))
            i++;
        if (i == from)
            i++;
        else if (image_put(v->io, IMAGE_BYTES, start + from * VHD_SECTOR,
                           data + from * VHD_SECTOR, (i - from) * VHD_SECTOR, err)
                 != 0)
            return -1;
    }
    return 0;
}

/* Some writers cut the last block where the disk ends, so that the footer stands within what would be the block. */
static bool is_cut(struct vhd *v, const uint8_t *p, size_t got, uint64_t end)
{
    struct vhd_footer f;

    v->ended = got == end + VHD_FOOTER_BYTES && !vhd_format_footer_read(p + end, &f);
    return v->ended;
}

static int put_blocks(struct vhd *v, struct err *err)
{
    uint32_t map_bytes = vhd_format_bitmap_bytes(v->header.block_bytes);
    size_t size = (size_t)map_bytes + v->header.block_bytes;
    AUTO(free_ptr) uint8_t *p = mem_alloc(size);

    for (size_t i = 0; i < v->n; i++) {
        const struct block *b = &v->blocks[i];
        uint64_t start = (uint64_t)b->index * v->header.block_bytes;
        uint64_t left = v->footer.current_bytes - start;
        ssize_t got;

        if (go_to(v, (uint64_t)b->sector * VHD_SECTOR, "A block", err) != 0)
            return -1;
        got = image_in_upto(v->in, p, size, err);
        if (got < 0)
            return -1;
        if ((size_t)got < size
            && (i + 1 < v->n || !is_cut(v, p, (size_t)got, map_bytes + left)))
            return err_set(err, ERR_IMPORT_ERROR_PREMATURE_EOF);
        if (put_block(v, b->index, p, p + map_bytes, err) != 0)
            return -1;
    }
    return 0;
}

static int sparse(struct vhd *v, struct err *err)
{
    uint8_t b[VHD_HEADER_BYTES];
    const char *why;

    if (go_to(v, v->footer.data_offset, "The header", err) != 0
        || image_in_read(v->in, b, sizeof(b), err) != 0)
        return -1;
    why = vhd_format_header_read(b, &v->header);
    if (why)
        return bad(err, "The VHD's header is damaged: ", why);
    if (v->header.entries > VHD_ENTRIES_MAX
        || (uint64_t)v->header.entries * v->header.block_bytes < v->footer.current_bytes)
        return bad(err, "The VHD's header is damaged: ", "its table has another size");
    if (go_to(v, v->header.bat_offset, "The block table", err) != 0
        || image_put(v->io, IMAGE_SIZE, v->footer.current_bytes, NULL, 0, err) != 0
        || read_table(v, err) != 0 || put_blocks(v, err) != 0)
        return -1;
    return 0;
}

/* The footer that ends it, perhaps after a gap. */
static int last_footer(struct vhd *v, struct err *err)
{
    uint8_t b[VHD_FOOTER_BYTES];
    struct vhd_footer f;

    if (v->ended)
        return 0;
    /* Blocks may be followed by space that nothing refers to. */
    for (unsigned gap = 0; gap < 1u << 20; gap++) {
        if (image_in_read(v->in, b, sizeof(b), err) != 0)
            return -1;
        if (!vhd_format_footer_read(b, &f))
            return 0;
    }
    return err_set(err, ERR_IMPORT_ERROR, "The VHD has no footer at its end");
}

/* first: the sector that was looked at already. */
static int fixed(struct vhd *v, const uint8_t *first, struct err *err)
{
    AUTO(free_ptr) uint8_t *p = mem_alloc(VHD_SECTOR + IMAGE_PAYLOAD_MAX);
    uint64_t at = 0;
    const char *why;

    memcpy(p, first, VHD_SECTOR);
    for (;;) {
        ssize_t got = image_in_upto(v->in, p + VHD_SECTOR, IMAGE_PAYLOAD_MAX, err);
        size_t n = (size_t)got;

        if (got < 0)
            return -1;
        if (n % VHD_SECTOR)
            return err_set(err, ERR_IMPORT_ERROR_PREMATURE_EOF);
        if (n && image_put(v->io, IMAGE_BYTES, at, p, n, err) != 0)
            return -1;
        at += n;
        memmove(p, p + n, VHD_SECTOR);
        if (n < IMAGE_PAYLOAD_MAX)
            break;
    }
    why = vhd_format_footer_read(p, &v->footer);
    if (why)
        return bad(err, "This is no VHD: ", why);
    if (v->footer.type != VHD_FIXED || v->footer.current_bytes > at)
        return err_set(err, ERR_IMPORT_ERROR_PREMATURE_EOF);
    return 0;
}

static int parse(struct vhd *v, struct err *err)
{
    uint8_t b[VHD_FOOTER_BYTES];

    if (image_in_read(v->in, b, sizeof(b), err) != 0)
        return -1;
    if (memcmp(b, "conectix", 8) != 0)
        return fixed(v, b, err);
    const char *why = vhd_format_footer_read(b, &v->footer);

    if (why)
        return bad(err, "The VHD's footer is damaged: ", why);
    if (v->footer.type != VHD_DYNAMIC && v->footer.type != VHD_DIFFERENCING)
        return bad(err, "The VHD begins with a footer but is ",
                   "neither dynamic nor a child");
    return sparse(v, err) == 0 ? last_footer(v, err) : -1;
}

int image_vhd(struct image_in *in, const struct image_io *io, struct err *err)
{
    struct vhd v = { .in = in, .io = io };
    int rc = parse(&v, err);

    free(v.blocks);
    return rc == 0 ? image_put(io, IMAGE_DONE, 0, NULL, 0, err) : -1;
}
