/* SPDX-License-Identifier: Apache-2.0 */
/* Layout of what we write: the footer's copy at 0, the header at 512 with its three locators behind it, room
 * for a second header and its locators from 3072, the block table at 8192 with room for 2040 GiB (a hole as
 * far as it is unused), then blocks with their data on 4 KiB boundaries.
 *
 * The creator is "win ", which Windows writes: every reader known to us takes the size of such a file from
 * its size field; for creators that it does not know, qemu computes it from the geometry, which is less.
 * blktap's own name would promise its batmap, which libvhd then insists on.
 *
 * Changing a header. It has two sectors, so a power cut may tear it, and there is no copy. Therefore the
 * new header goes to the second place first; when it is durable, the footer at 0 (one sector) is pointed to
 * it; then the first place is written and the footer pointed back, because some readers look for the
 * header at 512 only. Thread: the image's. */
#include "vhd/vhd_create.h"

#include <errno.h>

#include "api/errors.h"
#include "base/mem.h"
#include "base/parse.h"
#include "vhd/vhd_cbt.h"

#define AT_HEADER       512
#define AT_LOCATORS     1536
#define AT_SPARE        3072 /* header, then locators */
#define SPARE_BYTES     (VHD_HEADER_BYTES + N_OUR_LOCATORS * VHD_LOCATOR_BYTES)
#define N_OUR_LOCATORS  3
#define CREATOR_VERSION 0x000a0000
#define CREATOR_OS      0x5769326b /* "Wi2k" */

static const uint32_t our_locators[N_OUR_LOCATORS] = { VHD_LOC_MACX, VHD_LOC_W2KU,
                                                       VHD_LOC_W2RU };

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static int too_large(struct err *err, const char *path)
{
    AUTO(free_str) char *max = str_fmt("%llu", (unsigned long long)VHD_MAX_BYTES);
    (void)err_set(err, ERR_VDI_TOO_LARGE, path, max);
    return err_detail(err, "%s: a VHD holds at most 2040 GiB", path);
}

static int check_bytes(const char *path, uint64_t bytes, struct err *err)
{
    if (bytes > VHD_MAX_BYTES)
        return too_large(err, path);
    if (bytes < VHD_MIN_BYTES) {
        (void)err_set(err, ERR_VDI_TOO_SMALL, path, "2097152");
        return err_detail(err, "%s: the smallest disk has 2 MiB", path);
    }
    if (bytes % VHD_SECTOR)
        return vhd_io_bad(err, "EINVAL", "%s: %llu bytes are no whole sectors", path,
                          (unsigned long long)bytes);
    return 0;
}

/* Point header at parent, its locators from at on; their bytes go to data. */
static int name_parent(struct vhd_header *h, const struct vhd_image *parent, uint64_t at,
                       uint8_t data[static N_OUR_LOCATORS * VHD_LOCATOR_BYTES],
                       struct err *err)
{
    const char *name = base_name(parent->path);

    if (!vhd_format_name_ok(name))
        return vhd_io_bad(err, "EINVAL", "%s cannot be named as a parent", parent->path);
    memset(h->parent_name, 0, sizeof(h->parent_name));
    memcpy(h->parent_name, name, strlen(name));
    memset(&h->parent_uuid, 0, sizeof(h->parent_uuid));
    h->parent_timestamp = 0;
    if (parent->kind != VHD_KIND_RAW) {
        h->parent_uuid = parent->footer.uuid;
        h->parent_timestamp = parent->footer.timestamp;
    }
    memset(h->loc, 0, sizeof(h->loc));
    size_t n = 0;
    for (size_t i = 0; i < N_OUR_LOCATORS; i++) {
        size_t len = vhd_format_locator_make(our_locators[i], name,
                                             data + n * VHD_LOCATOR_BYTES);
        if (len == 0)
            continue;
        h->loc[n] = (struct vhd_locator){ our_locators[i], VHD_LOCATOR_BYTES, (uint32_t)len,
                                          at + n * VHD_LOCATOR_BYTES };
        n++;
    }
    return n ? 0 : vhd_io_bad(err, "EINVAL", "the name of %s is too long", parent->path);
}

struct file {
    const struct vhd_io *io;
    int h;
    const char *path;
};

static int put(const struct file *f, const void *p, size_t len, uint64_t at,
               struct err *err)
{
    if (f->io->ops->pwrite(f->io->ctx, f->h, p, len, at) < 0)
        return vhd_io_failed(err, "writing", f->path);
    return 0;
}

static int put_ff(const struct file *f, uint64_t at, uint64_t len, struct err *err)
{
    uint8_t ff[8192];

    memset(ff, 0xff, sizeof(ff));
    while (len) {
        size_t n = (size_t)MIN(len, (uint64_t)sizeof(ff));
        if (put(f, ff, n, at, err) < 0)
            return -1;
        at += n;
        len -= n;
    }
    return 0;
}

static uint64_t table_bytes(uint64_t entries)
{
    return (entries * 4 + 511) & ~UINT64_C(511);
}

static void new_footer(struct vhd_footer *f, const struct vhd_create_spec *spec)
{
    static const struct uuid none;

    *f = (struct vhd_footer){ .data_offset = spec->type == VHD_FIXED ? UINT64_MAX
                                                                     : AT_HEADER,
                              .timestamp = vhd_format_now(),
                              .creator_version = CREATOR_VERSION,
                              .creator_os = CREATOR_OS,
                              .original_bytes = spec->bytes,
                              .current_bytes = spec->bytes,
                              .type = spec->type,
                              .uuid = spec->uuid };
    memcpy(f->creator, VHD_CREATOR, 4);
    if (memcmp(&f->uuid, &none, sizeof(none)) == 0)
        f->uuid = uuid_new();
    vhd_format_geometry(spec->bytes, f);
}

static int fill_dynamic(const struct file *f, const struct vhd_create_spec *spec,
                        struct err *err)
{
    uint8_t footer[VHD_FOOTER_BYTES], front[AT_SPARE] = { 0 };
    struct vhd_footer foot;
    struct vhd_header h = { .bat_offset = VHD_BAT_OFFSET, .block_bytes = VHD_BLOCK_BYTES };

    new_footer(&foot, spec);
    vhd_format_footer_write(&foot, footer);
    h.entries = (uint32_t)((spec->bytes + VHD_BLOCK_BYTES - 1) / VHD_BLOCK_BYTES);
    if (spec->type == VHD_DIFFERENCING
        && name_parent(&h, spec->parent, AT_LOCATORS, front + AT_LOCATORS, err) < 0)
        return -1;
    memcpy(front, footer, sizeof(footer));
    vhd_format_header_write(&h, front + AT_HEADER);
    if (put_ff(f, VHD_BAT_OFFSET, table_bytes(h.entries), err) < 0
        || put(f, front, sizeof(front), 0, err) < 0)
        return -1;
    return put(f, footer, sizeof(footer), VHD_BAT_OFFSET + VHD_BAT_RESERVED, err);
}

static int fill_fixed(const struct file *f, const struct vhd_create_spec *spec,
                      struct err *err)
{
    uint8_t footer[VHD_FOOTER_BYTES];
    struct vhd_footer foot;

    new_footer(&foot, spec);
    vhd_format_footer_write(&foot, footer);
    if (f->io->ops->allocate(f->io->ctx, f->h, 0, spec->bytes + VHD_FOOTER_BYTES) < 0)
        return vhd_io_failed(err, "allocating", f->path);
    return put(f, footer, sizeof(footer), spec->bytes, err);
}

/* The finished temporary file gets its name, unless that exists. */
static int publish(const struct file *f, const char *path, struct err *err)
{
    const struct vhd_io_ops *ops = f->io->ops;
    void *ctx = f->io->ctx;

    if (ops->fsync(ctx, f->h) < 0)
        return vhd_io_failed(err, "syncing", f->path);
    if (ops->link(ctx, f->path, path) < 0)
        return vhd_io_failed(err, "creating", path);
    if (ops->unlink(ctx, f->path) < 0 && errno != ENOENT)
        return vhd_io_failed(err, "removing", f->path);
    if (!VHD_PLANTED(VHD_PLANT_DIR_SYNC) && ops->fsync_dir(ctx, path) < 0)
        return vhd_io_failed(err, "syncing the directory of", path);
    return 0;
}

int vhd_create(const struct vhd_io *io, const char *path,
               const struct vhd_create_spec *spec, struct err *err)
{
    struct vhd_create_spec s = *spec;

    if (s.type == VHD_DIFFERENCING && s.bytes == 0)
        s.bytes = s.parent->bytes;
    /* A child has the size of its parent, even of one that we would not make. */
    if ((s.type != VHD_DIFFERENCING || s.bytes != s.parent->bytes || s.bytes == 0)
        && check_bytes(path, s.bytes, err) < 0)
        return -1;
    AUTO(free_str) char *tmp = str_fmt("%s.new", path);
    (void)io->ops->unlink(io->ctx, tmp); /* left by a crash */
    struct file f = { io, io->ops->open(io->ctx, tmp, VHD_IO_WRITE | VHD_IO_CREATE), tmp };
    if (f.h < 0)
        return vhd_io_failed(err, "creating", tmp);
    int rc = s.type == VHD_FIXED ? fill_fixed(&f, &s, err) : fill_dynamic(&f, &s, err);
    if (rc == 0)
        rc = publish(&f, path, err);
    io->ops->close(io->ctx, f.h);
    if (rc < 0)
        (void)io->ops->unlink(io->ctx, tmp);
    return rc;
}

static int same_dir(const char *a, const char *b, struct err *err)
{
    size_t n = (size_t)(base_name(a) - a);

    if (n == (size_t)(base_name(b) - b) && memcmp(a, b, n) == 0 && !str_eq(a, b))
        return 0;
    return vhd_io_bad(err, "EINVAL", "%s and %s must be two files of one directory", a, b);
}

int vhd_create_child(const struct vhd_io *io, const char *parent_path, const char *path,
                     struct err *err)
{
    AUTO(vhd_chain_cleanup) struct vhd_chain *c = NULL;

    if (same_dir(parent_path, path, err) < 0
        || vhd_chain_open(io, parent_path, 0, &c, err) < 0)
        return -1;
    struct vhd_create_spec spec = { .type = VHD_DIFFERENCING, .parent = vhd_chain_leaf(c) };
    return vhd_create(io, path, &spec, err);
}

/* Is what lies in front of the table laid out as ours, also with the new header: footer, header, locators, room? */
static bool has_spare(const struct vhd_image *img, const struct vhd_header *now)
{
    if (img->footer.data_offset != AT_HEADER || img->header.bat_offset < VHD_BAT_OFFSET
        || now->bat_offset < VHD_BAT_OFFSET)
        return false;
    for (size_t i = 0; i < img->n_meta; i++)
        if (img->meta[i].start < VHD_BAT_OFFSET && img->meta[i].end > AT_SPARE)
            return false;
    for (uint32_t b = 0; b < img->n_blocks; b++)
        if (img->bat[b] < VHD_BAT_OFFSET / VHD_SECTOR)
            return false;
    return true;
}

static void forget_meta(struct vhd_image *img, uint64_t start)
{
    for (size_t i = 0; i < img->n_meta; i++)
        if (img->meta[i].start == start) {
            img->meta[i] = img->meta[--img->n_meta];
            return;
        }
}

static void put_meta(struct vhd_image *img, uint64_t start, uint64_t len)
{
    if (img->n_meta < VHD_META_MAX)
        img->meta[img->n_meta++] = (struct vhd_extent){ start, start + len };
}

static int write_footer(struct vhd_image *img, const struct vhd_footer *f, struct err *err)
{
    uint8_t b[VHD_FOOTER_BYTES];

    vhd_format_footer_write(f, b);
    if (vhd_image_write(img, b, sizeof(b), 0, err) < 0)
        return -1;
    return vhd_image_sync(img, err);
}

static int write_header(struct vhd_image *img, struct vhd_header h, uint64_t at,
                        uint64_t loc_at, const uint8_t *locators, struct err *err)
{
    uint8_t b[VHD_HEADER_BYTES];

    if (locators) {
        for (size_t i = 0; i < N_OUR_LOCATORS; i++)
            if (h.loc[i].code)
                h.loc[i].offset = loc_at + i * VHD_LOCATOR_BYTES;
        if (vhd_image_write(img, locators, N_OUR_LOCATORS * VHD_LOCATOR_BYTES, loc_at, err)
            < 0)
            return -1;
    }
    vhd_format_header_write(&h, b);
    if (vhd_image_write(img, b, sizeof(b), at, err) < 0)
        return -1;
    return vhd_image_sync(img, err);
}

/* Where the final locators go: our own place, or for others' files behind everything. */
static uint64_t locator_place(struct vhd_image *img, bool ours)
{
    if (ours)
        return AT_LOCATORS;
    uint64_t at = img->space.end;
    img->space.end += N_OUR_LOCATORS * VHD_LOCATOR_BYTES;
    return at;
}

/* Replace header and footer as the head of this file says. locators: NULL when they stay. */
static int switch_header(struct vhd_image *img, const struct vhd_footer *footer,
                         const struct vhd_header *header, const uint8_t *locators,
                         struct err *err)
{
    struct vhd_footer f = *footer;
    struct vhd_header h = *header;
    uint64_t home = f.data_offset;
    bool ours = has_spare(img, header);
    uint64_t end = img->space.end;
    uint64_t loc_at = locators ? locator_place(img, ours) : 0;
    uint64_t spare = ours ? AT_SPARE : img->space.end;

    img->tail_ok = false;
    f.data_offset = spare;
    if (write_header(img, h, spare, spare + VHD_HEADER_BYTES, locators, err) < 0
        || write_footer(img, &f, err) < 0) {
        img->space.end = end;
        return -1;
    }
    f.data_offset = home;
    if (write_header(img, h, home, loc_at, locators, err) < 0
        || write_footer(img, &f, err) < 0)
        return -1;
    for (size_t i = 0; locators && i < VHD_LOCATORS; i++) {
        if (img->header.loc[i].code)
            forget_meta(img, img->header.loc[i].offset);
        if (h.loc[i].code) {
            h.loc[i].offset = loc_at + i * VHD_LOCATOR_BYTES;
            put_meta(img, h.loc[i].offset, VHD_LOCATOR_BYTES);
        }
    }
    /* Behind space.end may lie a spare header now; the next step of space cuts it off. */
    if (!ours)
        img->space.ready_end = 0;
    img->footer = f;
    img->header = h;
    return 0;
}

int vhd_create_settle(struct vhd_image *img, struct err *err)
{
    uint8_t locators[N_OUR_LOCATORS * VHD_LOCATOR_BYTES];
    bool child = vhd_image_differencing(img);
    struct vhd_footer f = img->footer;

    if (f.data_offset != AT_SPARE || img->header.bat_offset < VHD_BAT_OFFSET
        || memcmp(f.creator, VHD_CREATOR, 4) != 0)
        return 0;
    for (uint32_t b = 0; b < img->n_blocks; b++)
        if (img->bat[b] < AT_SPARE / VHD_SECTOR)
            return 0;
    if (vhd_image_read(img, locators, sizeof(locators), AT_SPARE + VHD_HEADER_BYTES, err)
            < 0
        || write_header(img, img->header, AT_HEADER, AT_LOCATORS, child ? locators : NULL,
                        err)
               < 0)
        return -1;
    f.data_offset = AT_HEADER;
    if (write_footer(img, &f, err) < 0)
        return -1;
    forget_meta(img, AT_SPARE);
    put_meta(img, AT_HEADER, VHD_HEADER_BYTES);
    for (size_t i = 0; child && i < N_OUR_LOCATORS; i++) {
        if (!img->header.loc[i].code)
            continue;
        forget_meta(img, img->header.loc[i].offset);
        img->header.loc[i].offset = AT_LOCATORS + i * VHD_LOCATOR_BYTES;
        put_meta(img, img->header.loc[i].offset, VHD_LOCATOR_BYTES);
    }
    img->footer = f;
    img->tail_ok = false;
    return 0;
}

int vhd_reparent(struct vhd_image *child, const struct vhd_image *parent, struct err *err)
{
    uint8_t locators[N_OUR_LOCATORS * VHD_LOCATOR_BYTES] = { 0 };
    struct vhd_header h = child->header;

    if (!child->writable || !vhd_image_differencing(child))
        return vhd_io_bad(err, "EINVAL", "%s is no differencing image open for writing",
                          child->path);
    if (same_dir(child->path, parent->path, err) < 0
        || name_parent(&h, parent, 0, locators, err) < 0)
        return -1;
    if (memcmp(&h.parent_uuid, &child->footer.uuid, sizeof(struct uuid)) == 0)
        return vhd_io_bad(err, "VHD_PARENT", "%s cannot be its own parent", child->path);
    return switch_header(child, &child->footer, &h, locators, err);
}

/* Bytes of the table that may be used where it lies. */
static uint64_t table_room(const struct vhd_image *img)
{
    uint64_t at = img->header.bat_offset;
    uint64_t room = UINT64_MAX;

    for (size_t i = 0; i < img->n_meta; i++)
        if (img->meta[i].start > at)
            room = MIN(room, img->meta[i].start - at);
    for (uint32_t b = 0; b < img->n_blocks; b++)
        if (img->bat[b] != VHD_ABSENT && vhd_image_bitmap_at(img, b) > at)
            room = MIN(room, vhd_image_bitmap_at(img, b) - at);
    if (room == UINT64_MAX)
        room = img->space.end > at ? img->space.end - at : 0;
    return room;
}

/* The table for n blocks on disk, durable: where it lies, or at the end. */
static int grow_table(struct vhd_image *img, struct vhd_header *h, uint32_t n,
                      struct err *err)
{
    struct file f = { &img->io, img->handle, img->path };
    uint8_t page[4096];
    uint64_t from = (uint64_t)img->n_blocks * 4;

    if (n > h->entries && table_bytes(n) > table_room(img)) {
        uint64_t at = (img->space.end + 4095) & ~UINT64_C(4095);
        h->bat_offset = at;
        img->space.end = at + MAX(VHD_BAT_RESERVED, table_bytes(n));
        img->tail_ok = false;
        if (img->io.ops->ftruncate(img->io.ctx, img->handle, at) < 0
            || img->io.ops->ftruncate(img->io.ctx, img->handle, img->space.end) < 0)
            return vhd_io_failed(err, "extending", img->path);
        img->space.ready_end = 0;
        for (uint32_t i = 0; i * VHD_BAT_PAGE < img->n_blocks; i++) {
            size_t len = vhd_bat_page(img, i, page);
            if (put(&f, page, len, at + (uint64_t)i * 4096, err) < 0)
                return -1;
        }
    }
    if (put_ff(&f, h->bat_offset + from, table_bytes(n) - from, err) < 0)
        return -1;
    h->entries = MAX(h->entries, n);
    return vhd_image_sync(img, err);
}

static int grow_memory(struct vhd_image *img, uint32_t n, struct err *err)
{
    uint32_t *bat = vhd_io_alloc(n, sizeof(*bat), err);
    uint8_t *dirty = vhd_io_alloc((n + VHD_BAT_PAGE - 1) / VHD_BAT_PAGE / 8 + 1, 1, err);

    if (!bat || !dirty) {
        free(bat);
        free(dirty);
        return -1;
    }
    memcpy(bat, img->bat, img->n_blocks * sizeof(*bat));
    for (uint32_t i = img->n_blocks; i < n; i++)
        bat[i] = VHD_ABSENT;
    free(img->bat);
    free(img->bat_dirty);
    img->bat = bat;
    img->bat_dirty = dirty;
    return 0;
}

/* What lies in the last block behind the end of the disk was never promised to be zero. */
static int clear_last_block(struct vhd_image *img, struct err *err)
{
    uint32_t last = img->n_blocks - 1;
    uint64_t in = img->bytes - (uint64_t)last * img->block_bytes;

    if (img->bat[last] == VHD_ABSENT || in == img->block_bytes)
        return 0;
    if (img->io.ops->punch(img->io.ctx, img->handle, vhd_image_data_at(img, last) + in,
                           img->block_bytes - in)
        < 0)
        return vhd_io_failed(err, "punching", img->path);
    return vhd_image_sync(img, err);
}

static int may_grow(struct vhd_chain *c, uint64_t bytes, struct err *err)
{
    const struct vhd_image *leaf = vhd_chain_leaf(c);

    if (!leaf->writable || leaf->kind != VHD_KIND_DYNAMIC)
        return vhd_io_bad(err, "EINVAL", "%s is not a dynamic image open for writing",
                          leaf->path);
    if (bytes < c->bytes) {
        AUTO(free_str) char *min = str_fmt("%llu", (unsigned long long)c->bytes);
        (void)err_set(err, ERR_VDI_TOO_SMALL, leaf->path, min);
        return err_detail(err, "%s: a disk can only grow", leaf->path);
    }
    for (size_t i = 0; i + 1 < c->n; i++)
        if (c->layer[i]->bytes > c->bytes)
            return vhd_io_bad(err, "EINVAL", "%s is larger than its child %s",
                              c->layer[i]->path, leaf->path);
    return check_bytes(leaf->path, bytes, err);
}

int vhd_resize(struct vhd_chain *c, uint64_t bytes, struct err *err)
{
    struct vhd_image *img = vhd_chain_leaf(c);
    struct vhd_header h = img->header;
    struct vhd_footer f = img->footer;

    if (may_grow(c, bytes, err) < 0 || vhd_chain_flush(c, err) < 0
        || (c->cbt && vhd_cbt_resize(c->cbt, bytes, err) < 0))
        return -1;
    if (bytes == c->bytes)
        return 0;
    uint64_t want = (bytes + img->block_bytes - 1) / img->block_bytes;
    if (want > VHD_ENTRIES_MAX)
        return too_large(err, img->path);
    uint32_t n = (uint32_t)want;
    f.current_bytes = bytes;
    vhd_format_geometry(bytes, &f);
    if (VHD_PLANTED(VHD_PLANT_FOOTER_FIRST) && write_footer(img, &f, err) < 0)
        return -1;
    if (clear_last_block(img, err) < 0
        || (n > img->n_blocks && grow_table(img, &h, n, err) < 0))
        return -1;
    bool moved = h.bat_offset != img->header.bat_offset;
    /* Readers take the size from where the creator is known to put it, and blktap's batmap would have to grow
     * with the table: from now on this is a file of ours. */
    memcpy(f.creator, VHD_CREATOR, 4);
    f.creator_version = CREATOR_VERSION;
    if (grow_memory(img, n, err) < 0)
        return -1;
    uint64_t old_table = img->header.bat_offset;
    if (h.entries != img->header.entries) {
        if (switch_header(img, &f, &h, NULL, err) < 0)
            return -1;
    } else if (write_footer(img, &f, err) < 0) {
        return -1;
    }
    img->footer = f;
    img->has_batmap = false;
    img->tail_ok = false;
    img->n_blocks = n;
    img->bytes = bytes;
    forget_meta(img, old_table);
    put_meta(img, h.bat_offset, MAX((uint64_t)h.entries * 4, moved ? VHD_BAT_RESERVED : 0));
    return vhd_chain_grown(c, err);
}
