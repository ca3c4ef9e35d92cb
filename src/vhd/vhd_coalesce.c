/* SPDX-License-Identifier: Apache-2.0 */
/* Merging an image into its parent. Until the very end every child still reads through the image, which
 * holds all that was copied, so a crash in the middle changes nothing and the merge is simply done again:
 * copy, flush the parent, point each child at it durably, and only then remove the image. Blocking. */
#include "vhd/vhd_create.h"

#include "base/mem.h"

static bool is_zero(const uint8_t *p, size_t len)
{
    return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

struct copy {
    struct vhd_image *img;
    struct vhd_chain *to;
    uint8_t *data;
    uint8_t bits[512];
    bool fresh; /* the parent has nothing there: zeros need not be written */
};

#define SKIPPED UINT64_C(4096)

/* Only the pages that are not zero. */
static int write_fresh(struct copy *x, uint64_t len, uint64_t at, struct err *err)
{
    uint64_t from = 0, to = 0;

    while (to < len) {
        uint64_t n = MIN(SKIPPED, len - to);
        bool zero = is_zero(x->data + to, (size_t)n);
        if (zero && to > from
            && vhd_chain_write(x->to, x->data + from, to - from, at + from, err) < 0)
            return -1;
        to += n;
        if (zero)
            from = to;
    }
    return to > from ? vhd_chain_write(x->to, x->data + from, to - from, at + from, err)
                     : 0;
}

static int copy_run(struct copy *x, uint32_t block, uint32_t from, uint32_t to,
                    struct err *err)
{
    uint64_t at = (uint64_t)block * x->img->block_bytes + (uint64_t)from * VHD_SECTOR;
    uint64_t len = (uint64_t)(to - from) * VHD_SECTOR;

    if (at >= x->img->bytes)
        return 0;
    len = MIN(len, x->img->bytes - at);
    if (vhd_image_read(x->img, x->data, (size_t)len,
                       vhd_image_data_at(x->img, block) + (uint64_t)from * VHD_SECTOR, err)
        < 0)
        return -1;
    if (x->fresh)
        return write_fresh(x, len, at, err);
    if (is_zero(x->data, (size_t)len))
        return vhd_chain_zero(x->to, len, at, err);
    return vhd_chain_write(x->to, x->data, len, at, err);
}

static int copy_block(struct copy *x, uint32_t block, struct err *err)
{
    uint32_t per = x->img->block_bytes / 512, from, to = 0;

    if (vhd_image_read(x->img, x->bits, x->img->bitmap_bytes,
                       vhd_image_bitmap_at(x->img, block), err)
        < 0)
        return -1;
    uint64_t unit = (uint64_t)block * x->img->block_bytes >> VHD_UNIT_SHIFT;
    x->fresh = x->img->block_bytes == VHD_UNIT_BYTES && x->to->word[unit] == 0;
    while (to < per) {
        for (from = to; from < per && !vhd_format_bit(x->bits, from); from++)
            ;
        for (to = from; to < per && vhd_format_bit(x->bits, to); to++)
            ;
        if (to > from && copy_run(x, block, from, to, err) < 0)
            return -1;
    }
    return 0;
}

int vhd_coalesce_copy(struct vhd_image *img, struct vhd_chain *parent, struct err *err)
{
    struct copy x = { .img = img, .to = parent };
    int rc = 0;

    if (img->bytes > parent->bytes && vhd_resize(parent, img->bytes, err) < 0)
        return -1;
    x.data = vhd_io_alloc(img->block_bytes, 1, err);
    if (!x.data)
        return -1;
    for (uint32_t b = 0; rc == 0 && b < img->n_blocks; b++)
        if (img->bat[b] != VHD_ABSENT)
            rc = copy_block(&x, b, err);
    free(x.data);
    return rc;
}

/* The path of the parent's file as the chain has found it. Given. */
static int find_parent(const struct vhd_io *io, const char *path, char **out, bool *raw_out,
                       struct err *err)
{
    AUTO(vhd_chain_cleanup) struct vhd_chain *c = NULL;

    if (vhd_chain_open(io, path, 0, &c, err) < 0)
        return -1;
    if (c->n < 2)
        return vhd_io_bad(err, "VHD_PARENT", "%s has no parent to merge into", path);
    *out = str_dup(c->layer[c->n - 2]->path);
    *raw_out = c->layer[c->n - 2]->kind == VHD_KIND_RAW;
    return 0;
}

static int merge(const struct vhd_io *io, const char *path, const char *parent_path,
                 bool raw, struct err *err)
{
    AUTO(vhd_image_cleanup) struct vhd_image *img = NULL;
    AUTO(vhd_chain_cleanup) struct vhd_chain *parent = NULL;

    if (vhd_image_open(io, path, 0, &img, err) < 0
        || vhd_chain_open(io, parent_path, VHD_OPEN_WRITE | (raw ? VHD_OPEN_RAW : 0),
                          &parent, err)
               < 0)
        return -1;
    if (vhd_chain_leaf(parent)->kind == VHD_KIND_DYNAMIC)
        vhd_space_sparse(vhd_chain_leaf(parent));
    if (vhd_coalesce_copy(img, parent, err) < 0) {
        IGNORE(vhd_chain_finish(parent, NULL)); /* what was copied is right, if not all */
        return -1;
    }
    return vhd_chain_finish(parent, err);
}

static int move_child(const struct vhd_io *io, const char *child_path, struct uuid old,
                      const char *parent_path, bool raw, struct err *err)
{
    AUTO(vhd_image_cleanup) struct vhd_image *child = NULL;
    AUTO(vhd_image_cleanup) struct vhd_image *parent = NULL;

    if (vhd_image_open(io, child_path, VHD_OPEN_WRITE, &child, err) < 0
        || vhd_image_open(io, parent_path, raw ? VHD_OPEN_RAW : 0, &parent, err) < 0)
        return -1;
    if (memcmp(&child->header.parent_uuid, &old, sizeof(old)) != 0) {
        if (memcmp(&child->header.parent_uuid, &parent->footer.uuid, sizeof(old)) == 0)
            return 0; /* an earlier run has done it */
        return vhd_io_bad(err, "VHD_PARENT", "%s is no child of the image to be merged",
                          child_path);
    }
    if (vhd_reparent(child, parent, err) < 0)
        return -1;
    return vhd_image_finish(child, err);
}

static int read_uuid(const struct vhd_io *io, const char *path, struct uuid *out,
                     struct err *err)
{
    AUTO(vhd_image_cleanup) struct vhd_image *img = NULL;

    if (vhd_image_open(io, path, 0, &img, err) < 0)
        return -1;
    *out = img->footer.uuid;
    return 0;
}

int vhd_coalesce_into(const struct vhd_io *io, const char *path, struct err *err)
{
    AUTO(free_str) char *parent_path = NULL;
    bool raw = false;

    if (find_parent(io, path, &parent_path, &raw, err) < 0)
        return -1;
    return merge(io, path, parent_path, raw, err);
}

int vhd_coalesce_child(const struct vhd_io *io, const char *path, const char *child,
                       struct err *err)
{
    AUTO(free_str) char *parent_path = NULL;
    bool raw = false;
    struct uuid uuid;

    if (find_parent(io, path, &parent_path, &raw, err) < 0
        || read_uuid(io, path, &uuid, err) < 0)
        return -1;
    return move_child(io, child, uuid, parent_path, raw, err);
}

int vhd_coalesce(const struct vhd_io *io, const char *path, const char *const *children,
                 size_t n, struct err *err)
{
    AUTO(free_str) char *parent_path = NULL;
    bool raw = false;
    struct uuid uuid;

    if (find_parent(io, path, &parent_path, &raw, err) < 0
        || read_uuid(io, path, &uuid, err) < 0)
        return -1;
    if (n == 0 && raw)
        return vhd_io_bad(err, "EINVAL", "%s cannot take the place of a raw parent", path);
    if (merge(io, path, parent_path, raw, err) < 0)
        return -1;
    if (n == 0) {
        if (io->ops->rename(io->ctx, parent_path, path) < 0)
            return vhd_io_failed(err, "renaming", parent_path);
    } else if (VHD_PLANTED(VHD_PLANT_UNLINK_EARLY)) {
        IGNORE(io->ops->unlink(io->ctx, path));
    }
    for (size_t i = 0; i < n; i++)
        if (move_child(io, children[i], uuid, parent_path, raw, err) < 0)
            return -1;
    if (n && !VHD_PLANTED(VHD_PLANT_UNLINK_EARLY) && io->ops->unlink(io->ctx, path) < 0)
        return vhd_io_failed(err, "removing", path);
    if (io->ops->fsync_dir(io->ctx, path) < 0)
        return vhd_io_failed(err, "syncing the directory of", path);
    return 0;
}
