/* SPDX-License-Identifier: Apache-2.0 */
/* The plans carried out with blocking calls: what the tools and the tests use, and the reference for the
 * disk process. Thread: the chain's. */
#include "vhd/vhd_cbt.h"
#include "vhd/vhd_chain.h"

static int in_disk(const struct vhd_chain *c, uint64_t offset, uint64_t len,
                   struct err *err)
{
    if ((offset | len) % VHD_SECTOR || len > c->bytes || offset > c->bytes - len)
        return vhd_io_bad(err, "EINVAL", "%llu bytes at %llu are not within the disk",
                          (unsigned long long)len, (unsigned long long)offset);
    return 0;
}

/* What a plan wants first. */
static int satisfy(struct vhd_chain *c, enum vhd_plan plan, uint64_t offset,
                   struct err *err)
{
    switch (plan) {
    case VHD_PLAN_MAP: return vhd_map_load(c, (uint32_t)(offset >> VHD_UNIT_SHIFT), err);
    case VHD_PLAN_SPACE: return vhd_space_prepare(vhd_chain_leaf(c), err);
    case VHD_PLAN_FLUSH: return vhd_chain_flush(c, err);
    default: return vhd_io_bad(err, "ENOMEM", "there is no memory");
    }
}

int vhd_chain_read(struct vhd_chain *c, void *p, uint64_t len, uint64_t offset,
                   struct err *err)
{
    struct vhd_seg segs[VHD_SEGS];
    uint8_t *to = p;
    size_t n;

    if (in_disk(c, offset, len, err) < 0)
        return -1;
    while (len) {
        uint64_t part = len;
        enum vhd_plan plan = vhd_plan_read(c, offset, &part, segs, VHD_SEGS, &n);
        if (plan != VHD_PLAN_OK) {
            if (c->n_maps >= VHD_MAPS_MAX)
                vhd_map_trim(c, VHD_MAPS_MAX - 1);
            if (c->n_maps >= VHD_MAPS_MAX && vhd_chain_flush(c, err) < 0)
                return -1;
            if (satisfy(c, plan, offset, err) < 0)
                return -1;
            continue;
        }
        for (size_t i = 0; i < n; i++) {
            if (!segs[i].image)
                memset(to, 0, (size_t)segs[i].len);
            else if (vhd_image_read(segs[i].image, to, (size_t)segs[i].len, segs[i].offset,
                                    err)
                     < 0)
                return -1;
            to += segs[i].len;
        }
        len -= part;
        offset += part;
    }
    return 0;
}

int vhd_chain_write(struct vhd_chain *c, const void *p, uint64_t len, uint64_t offset,
                    struct err *err)
{
    struct vhd_seg segs[VHD_SEGS];
    const uint8_t *from = p;
    size_t n;

    if (in_disk(c, offset, len, err) < 0)
        return -1;
    if (!vhd_chain_leaf(c)->writable)
        return vhd_io_bad(err, "EROFS", "%s is open for reading only",
                          vhd_chain_leaf(c)->path);
    if (c->cbt && vhd_cbt_before_write(c->cbt, offset, len, err) < 0)
        return -1;
    while (len) {
        uint64_t part = len;
        int rc = 0;
        enum vhd_plan plan = vhd_plan_write(c, offset, &part, segs, VHD_SEGS, &n, err);
        if (plan != VHD_PLAN_OK) {
            if (satisfy(c, plan, offset, err) < 0)
                return -1;
            continue;
        }
        for (size_t i = 0; rc == 0 && i < n; i++) {
            rc = vhd_image_write(segs[i].image, from, (size_t)segs[i].len, segs[i].offset,
                                 err);
            from += segs[i].len;
        }
        vhd_plan_wrote(c, offset, part, rc == 0);
        if (rc < 0)
            return -1;
        len -= part;
        offset += part;
    }
    return 0;
}

int vhd_chain_zero(struct vhd_chain *c, uint64_t len, uint64_t offset, struct err *err)
{
    struct vhd_image *leaf = vhd_chain_leaf(c);
    struct vhd_seg segs[VHD_SEGS];
    size_t n;

    if (in_disk(c, offset, len, err) < 0)
        return -1;
    if (!leaf->writable)
        return vhd_io_bad(err, "EROFS", "%s is open for reading only", leaf->path);
    if (c->cbt && vhd_cbt_before_write(c->cbt, offset, len, err) < 0)
        return -1;
    while (len) {
        uint64_t part = len;
        int rc = 0;
        enum vhd_plan plan = vhd_plan_zero(c, offset, &part, segs, VHD_SEGS, &n, err);
        if (plan != VHD_PLAN_OK) {
            if (satisfy(c, plan, offset, err) < 0)
                return -1;
            continue;
        }
        for (size_t i = 0; rc == 0 && i < n; i++)
            if (leaf->io.ops->punch(leaf->io.ctx, leaf->handle, segs[i].offset, segs[i].len)
                < 0)
                rc = vhd_io_failed(err, "punching", leaf->path);
        vhd_plan_wrote(c, offset, part, rc == 0);
        if (rc < 0)
            return -1;
        len -= part;
        offset += part;
    }
    return 0;
}

static int run_flush(struct vhd_chain *c, struct vhd_flush *f, struct err *err)
{
    struct vhd_image *leaf = vhd_chain_leaf(c);

    if (f->barrier && !VHD_PLANTED(VHD_PLANT_SPACE_SYNC) && vhd_image_sync(leaf, err) < 0)
        return -1;
    for (size_t i = 0; i < f->writes.n; i++) {
        const struct vhd_flush_write *w = &f->writes.v[i];
        if (vhd_image_write(leaf, f->bytes + w->at, w->len, w->offset, err) < 0)
            return -1;
    }
    return vhd_image_sync(leaf, err);
}

int vhd_chain_flush(struct vhd_chain *c, struct err *err)
{
    struct vhd_image *leaf = vhd_chain_leaf(c);
    struct vhd_flush f = { 0 };

    if (!leaf->writable)
        return 0;
    if (c->failed)
        return vhd_io_bad(err, "EIO", "%s: an earlier flush failed", leaf->path);
    if (c->cbt && !VHD_PLANTED(VHD_PLANT_CBT_LATE) && vhd_cbt_flush(c->cbt, err) < 0)
        return -1;
    if (vhd_flush_begin(c, &f, err) < 0) {
        vhd_flush_done(&f);
        return -1;
    }
    int rc = run_flush(c, &f, err);
    vhd_flush_end(c, &f, rc == 0);
    vhd_flush_done(&f);
    return rc;
}

int vhd_chain_status(struct vhd_chain *c, uint64_t offset, uint64_t *len_out,
                     int *layer_out, struct err *err)
{
    uint32_t unit = (uint32_t)(offset >> VHD_UNIT_SHIFT);
    uint64_t start = (uint64_t)unit << VHD_UNIT_SHIFT;

    if (vhd_word_state(c->word[unit]) == VHD_WORD_MIXED) {
        if (c->n_maps >= VHD_MAPS_MAX)
            vhd_map_trim(c, VHD_MAPS_MAX - 1);
        if (vhd_map_load(c, unit, err) < 0)
            return -1;
    }
    uint32_t w = c->word[unit];
    uint64_t end = start + (uint64_t)vhd_map_sectors(c, unit) * VHD_SECTOR;
    int layer = vhd_word_state(w) == VHD_WORD_FULL ? (int)vhd_word_payload(w) : -1;
    if (vhd_word_state(w) == VHD_WORD_MAPPED) {
        const struct vhd_map *m = c->maps[vhd_word_payload(w)];
        uint32_t s = (uint32_t)((offset - start) / VHD_SECTOR), run = s + 1;
        while (run < (end - start) / VHD_SECTOR && m->owner[run] == m->owner[s])
            run++;
        layer = (int)m->owner[s] - 1;
        end = start + (uint64_t)run * VHD_SECTOR;
    }
    *len_out = end - offset;
    *layer_out = layer;
    return 0;
}
