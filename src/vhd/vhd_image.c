/* SPDX-License-Identifier: Apache-2.0 */
/* Opening an image: everything that a check would find is found here, and nothing is allocated by a number
 * from the file before that number was compared with the file's real size.
 *
 * Which footer counts. The copy at 0 is one sector, written only by create, resize and re-parent, after
 * all that it points to is durable: it is the truth of a dynamic image, and the one at the end merely
 * follows it (a crash may leave none there). A fixed image has only the one at the end; its first sector
 * is the guest's. So a file with a good dynamic footer at 0 and a good fixed one at its end could be
 * either, with the wrong one made by a guest: such a file is refused. Thread: one per image. */
#include "vhd/vhd_image.h"

#include "api/errors.h"
#include "base/mem.h"
#include "base/parse.h"
#include "vhd/vhd_create.h"

#ifdef VHD_PLANT
enum vhd_plant vhd_plant;
#endif

int vhd_image_read(struct vhd_image *img, void *p, size_t len, uint64_t offset,
                   struct err *err)
{
    if (img->io.ops->pread(img->io.ctx, img->handle, p, len, offset) < 0)
        return vhd_io_failed(err, "reading", img->path);
    return 0;
}

int vhd_image_write(struct vhd_image *img, const void *p, size_t len, uint64_t offset,
                    struct err *err)
{
    if (!img->writable)
        return vhd_io_bad(err, "EROFS", "%s is open for reading only", img->path);
    if (img->io.ops->pwrite(img->io.ctx, img->handle, p, len, offset) < 0)
        return vhd_io_failed(err, "writing", img->path);
    return 0;
}

int vhd_image_sync(struct vhd_image *img, struct err *err)
{
    if (img->io.ops->fsync(img->io.ctx, img->handle) < 0)
        return vhd_io_failed(err, "syncing", img->path);
    return 0;
}

bool vhd_image_differencing(const struct vhd_image *img)
{
    return img->kind == VHD_KIND_DYNAMIC && img->footer.type == VHD_DIFFERENCING;
}

bool vhd_image_raw_parent(const struct vhd_image *img)
{
    static const struct uuid none;

    return memcmp(&img->header.parent_uuid, &none, sizeof(none)) == 0;
}

static int add_meta(struct vhd_image *img, uint64_t start, uint64_t len, const char *what,
                    struct err *err)
{
    uint64_t end;

    if (__builtin_add_overflow(start, len, &end) || end > img->file_bytes)
        return vhd_io_bad(err, "VHD_INVALID", "%s: %s lies behind the end of the file",
                          img->path, what);
    for (size_t i = 0; i < img->n_meta; i++)
        if (start < img->meta[i].end && end > img->meta[i].start)
            return vhd_io_bad(err, "VHD_INVALID", "%s: %s lies over another structure",
                              img->path, what);
    img->meta[img->n_meta++] = (struct vhd_extent){ start, end };
    img->space.end = MAX(img->space.end, (end + 511) & ~UINT64_C(511));
    return 0;
}

static int choose_footer(struct vhd_image *img, struct err *err)
{
    uint8_t b[VHD_FOOTER_BYTES];
    struct vhd_footer head, tail;

    if (img->file_bytes < VHD_FOOTER_BYTES)
        return vhd_io_bad(err, "VHD_INVALID", "%s: %llu bytes are too few for a VHD",
                          img->path, (unsigned long long)img->file_bytes);
    if (vhd_image_read(img, b, sizeof(b), 0, err) < 0)
        return -1;
    const char *bad_head = vhd_format_footer_read(b, &head);
    if (vhd_image_read(img, b, sizeof(b), img->file_bytes - VHD_FOOTER_BYTES, err) < 0)
        return -1;
    const char *bad_tail = vhd_format_footer_read(b, &tail);

    img->head_ok = !bad_head && head.type != VHD_FIXED;
    img->tail_ok = !bad_tail;
    if (img->head_ok && img->tail_ok && tail.type == VHD_FIXED)
        return vhd_io_bad(
            err, "VHD_AMBIGUOUS",
            "%s: its first sector says it is dynamic, its last that it is fixed",
            img->path);
    if (!img->head_ok && !img->tail_ok)
        return vhd_io_bad(err, "VHD_INVALID", "%s: the footer %s", img->path,
                          bad_tail && strstr(bad_tail, "cookie") && bad_head ? bad_head
                                                                             : bad_tail);
    img->footer = img->head_ok ? head : tail;
    if (img->head_ok && img->tail_ok)
        img->tail_ok = memcmp(&head.uuid, &tail.uuid, sizeof(head.uuid)) == 0
                       && head.current_bytes == tail.current_bytes && head.type == tail.type
                       && head.data_offset == tail.data_offset;
    img->kind = img->footer.type == VHD_FIXED ? VHD_KIND_FIXED : VHD_KIND_DYNAMIC;
    img->bytes = img->footer.current_bytes;
    return 0;
}

static int open_fixed(struct vhd_image *img, struct err *err)
{
    if (img->bytes > img->file_bytes - VHD_FOOTER_BYTES)
        return vhd_io_bad(err, "VHD_INVALID",
                          "%s: a fixed disk of %llu bytes does not fit in a file of %llu",
                          img->path, (unsigned long long)img->bytes,
                          (unsigned long long)img->file_bytes);
    return 0;
}

static int load_locators(struct vhd_image *img, struct err *err)
{
    for (size_t i = 0; i < VHD_LOCATORS; i++) {
        const struct vhd_locator *l = &img->header.loc[i];
        uint64_t space = vhd_format_locator_space(l);
        if (l->code == 0)
            continue;
        if (l->length > space || l->offset % VHD_SECTOR)
            return vhd_io_bad(err, "VHD_INVALID", "%s: parent locator %zu is malformed",
                              img->path, i);
        if (space && add_meta(img, l->offset, space, "a parent locator", err) < 0)
            return -1;
    }
    return 0;
}

/* blktap's map of full blocks. Never trusted, but known: it may not be overwritten. */
static int find_batmap(struct vhd_image *img, struct err *err)
{
    uint64_t at = (img->header.bat_offset + (uint64_t)img->header.entries * 4 + 511)
                  & ~UINT64_C(511);
    uint8_t b[VHD_FOOTER_BYTES];

    if (memcmp(img->footer.creator, "tap", 4) != 0 || img->footer.creator_version < 0x10001
        || at + sizeof(b) > img->file_bytes)
        return 0;
    if (vhd_image_read(img, b, sizeof(b), at, err) < 0)
        return -1;
    if (memcmp(b, "tdbatmap", 8) != 0)
        return 0;
    img->has_batmap = true;
    if (add_meta(img, at, sizeof(b), "the batmap's header", err) < 0)
        return -1;
    return add_meta(img, be64(b + 8), (uint64_t)be32(b + 16) * VHD_SECTOR, "the batmap",
                    err);
}

static int open_dynamic(struct vhd_image *img, struct err *err)
{
    uint8_t b[VHD_HEADER_BYTES];
    uint64_t at = img->footer.data_offset;

    if (at % VHD_SECTOR)
        return vhd_io_bad(err, "VHD_INVALID",
                          "%s: the dynamic header starts within a sector", img->path);
    if (add_meta(img, 0, VHD_FOOTER_BYTES, "the first footer", err) < 0
        || add_meta(img, at, VHD_HEADER_BYTES, "the dynamic header", err) < 0)
        return -1;
    if (vhd_image_read(img, b, sizeof(b), at, err) < 0)
        return -1;
    const char *bad = vhd_format_header_read(b, &img->header);
    if (bad)
        return vhd_io_bad(err, "VHD_INVALID", "%s: the dynamic header %s", img->path, bad);

    uint64_t n = (img->bytes + img->header.block_bytes - 1) / img->header.block_bytes;
    if (n > img->header.entries)
        return vhd_io_bad(err, "VHD_INVALID", "%s: %u blocks are too few for %llu bytes",
                          img->path, img->header.entries, (unsigned long long)img->bytes);
    if (n > VHD_ENTRIES_MAX)
        return vhd_io_bad(err, "VHD_INVALID", "%s: %llu blocks are more than we can handle",
                          img->path, (unsigned long long)n);
    if (add_meta(img, img->header.bat_offset, (uint64_t)img->header.entries * 4,
                 "the block table", err)
            < 0
        || (vhd_image_differencing(img) && load_locators(img, err) < 0)
        || find_batmap(img, err) < 0)
        return -1;
    img->n_blocks = (uint32_t)n;
    img->block_bytes = img->header.block_bytes;
    img->bitmap_bytes = vhd_format_bitmap_bytes(img->block_bytes);
    if (img->header.bat_offset == VHD_BAT_OFFSET && img->block_bytes == VHD_BLOCK_BYTES
        && memcmp(img->footer.creator, VHD_CREATOR, 4) == 0
        && img->file_bytes >= VHD_BAT_OFFSET + VHD_BAT_RESERVED)
        img->space.end = MAX(img->space.end, VHD_BAT_OFFSET + VHD_BAT_RESERVED);
    return vhd_bat_load(img, err);
}

static int start_writing(struct vhd_image *img, struct err *err)
{
    uint32_t pages = (img->n_blocks + VHD_BAT_PAGE - 1) / VHD_BAT_PAGE;
    uint8_t b[VHD_FOOTER_BYTES];

    img->space.ahead = VHD_AHEAD_BYTES;
    img->bat_dirty = vhd_io_alloc(pages / 8 + 1, 1, err);
    if (!img->bat_dirty)
        return -1;
    if (img->head_ok)
        return vhd_create_settle(img, err);
    /* The one at the end is about to go when blocks are added. */
    vhd_format_footer_write(&img->footer, b);
    if (vhd_image_write(img, b, sizeof(b), 0, err) < 0 || vhd_image_sync(img, err) < 0)
        return -1;
    img->head_ok = true;
    return 0;
}

static int load(struct vhd_image *img, unsigned flags, struct err *err)
{
    if (img->io.ops->size(img->io.ctx, img->handle, &img->file_bytes) < 0)
        return vhd_io_failed(err, "asking for the size of", img->path);
    if (flags & VHD_OPEN_RAW) {
        img->kind = VHD_KIND_RAW;
        img->bytes = img->file_bytes & ~UINT64_C(511);
        return 0;
    }
    if (choose_footer(img, err) < 0)
        return -1;
    if (img->kind == VHD_KIND_FIXED)
        return open_fixed(img, err);
    if (open_dynamic(img, err) < 0)
        return -1;
    return img->writable ? start_writing(img, err) : 0;
}

int vhd_image_adopt(const struct vhd_io *io, int handle, const char *path, unsigned flags,
                    struct vhd_image **out, struct err *err)
{
    AUTO(vhd_image_cleanup) struct vhd_image *img = vhd_io_alloc(1, sizeof(*img), err);

    if (!img) {
        io->ops->close(io->ctx, handle);
        return -1;
    }
    img->io = *io;
    img->handle = handle;
    img->path = str_dup(path);
    img->writable = (flags & VHD_OPEN_WRITE) != 0;
    if (load(img, flags, err) < 0)
        return -1;
    *out = TAKE(img);
    return 0;
}

int vhd_image_open(const struct vhd_io *io, const char *path, unsigned flags,
                   struct vhd_image **out, struct err *err)
{
    int handle = io->ops->open(io->ctx, path, flags & VHD_OPEN_WRITE ? VHD_IO_WRITE : 0);

    if (handle < 0)
        return vhd_io_failed(err, "opening", path);
    return vhd_image_adopt(io, handle, path, flags, out, err);
}

void vhd_image_close(struct vhd_image *img)
{
    if (!img)
        return;
    img->io.ops->close(img->io.ctx, img->handle);
    vhd_space_done(img);
    free(img->path);
    free(img->bat);
    free(img->bat_dirty);
    free(img);
}

void vhd_image_cleanup(struct vhd_image **img)
{
    vhd_image_close(*img);
    *img = NULL;
}

int vhd_image_finish(struct vhd_image *img, struct err *err)
{
    uint8_t b[VHD_FOOTER_BYTES];

    if (!img->writable || img->kind != VHD_KIND_DYNAMIC || img->tail_ok)
        return 0;
    if (img->io.ops->ftruncate(img->io.ctx, img->handle, img->space.end) < 0)
        return vhd_io_failed(err, "cutting", img->path);
    vhd_format_footer_write(&img->footer, b);
    if (vhd_image_write(img, b, sizeof(b), img->space.end, err) < 0
        || vhd_image_sync(img, err) < 0)
        return -1;
    img->file_bytes = img->space.end + VHD_FOOTER_BYTES;
    img->space.ready_end = 0; /* the footer is in the way of the next block */
    img->touched = false;
    img->tail_ok = true;
    return 0;
}

int vhd_image_repair(struct vhd_image *img, struct err *err)
{
    /* Opening for writing has seen to the one at 0. */
    return vhd_image_finish(img, err);
}

size_t vhd_image_parent_names(struct vhd_image *img, char names[static 4][VHD_NAME_MAX])
{
    static const uint32_t order[] = { VHD_LOC_W2RU, VHD_LOC_MACX, VHD_LOC_W2KU };
    uint8_t b[VHD_LOCATOR_MAX];
    size_t n = 0;

    for (size_t k = 0; k < ARRAY_SIZE(order); k++)
        for (size_t i = 0; i < VHD_LOCATORS && n < 3; i++) {
            const struct vhd_locator *l = &img->header.loc[i];
            if (l->code != order[k] || l->length > sizeof(b)
                || vhd_image_read(img, b, l->length, l->offset, NULL) < 0)
                continue;
            n += vhd_format_locator_name(l->code, b, l->length, names[n]);
        }
    if (img->header.parent_name[0])
        memcpy(names[n++], img->header.parent_name, VHD_NAME_MAX);
    return n;
}
