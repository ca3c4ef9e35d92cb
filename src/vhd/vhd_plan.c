/* SPDX-License-Identifier: Apache-2.0 */
/* What to read and write where, and in which order metadata follows data. Pure: no I/O here.
 *
 * Two ways for a block to enter a file. Where no layer below holds anything in it, its bitmap is all ones
 * at once, over space that is durably zero: whatever of data, bitmap and table entry a crash keeps, each
 * sector reads as zeros (its old value) or as what was written, and the bitmap is never written again.
 * Where a lower layer holds something, the block enters with the zeros that its bitmap region has, and
 * bits follow in the flush after their data is durable (barrier).
 * Thread: the chain's. */
#include "vhd/vhd_chain.h"

static uint32_t unit_of(uint64_t offset)
{
    return (uint32_t)(offset >> VHD_UNIT_SHIFT);
}

static uint32_t sector_in_unit(uint64_t offset)
{
    return (uint32_t)(offset / VHD_SECTOR) & (VHD_UNIT_SECTORS - 1);
}

/* Cut len so that offset..offset+len stays in one unit. */
static void one_unit(uint64_t offset, uint64_t *len)
{
    *len = MIN(*len, VHD_UNIT_BYTES - (offset & (VHD_UNIT_BYTES - 1)));
}

static struct vhd_map *map_of(struct vhd_chain *c, uint32_t unit)
{
    return c->maps[vhd_word_payload(c->word[unit])];
}

static uint16_t leaf_owner(const struct vhd_chain *c)
{
    return (uint16_t)c->n;
}

/* Append len bytes at offset of the disk as held by img; returns how many fitted. */
static uint64_t add_segs(struct vhd_image *img, uint64_t offset, uint64_t len,
                         struct vhd_seg *segs, size_t max, size_t *n)
{
    uint64_t done = 0;

    if (img->kind != VHD_KIND_DYNAMIC) {
        if (*n == max)
            return 0;
        segs[(*n)++] = (struct vhd_seg){ img, offset, len };
        return len;
    }
    while (done < len && *n < max) {
        uint32_t block = (uint32_t)((offset + done) / img->block_bytes);
        uint64_t in = (offset + done) & (img->block_bytes - 1U);
        uint64_t part = MIN(len - done, img->block_bytes - in);
        segs[(*n)++] = (struct vhd_seg){ img, vhd_image_data_at(img, block) + in, part };
        done += part;
    }
    return done;
}

enum vhd_plan vhd_plan_read(struct vhd_chain *c, uint64_t offset, uint64_t *len,
                            struct vhd_seg *segs, size_t max, size_t *n)
{
    uint32_t unit = unit_of(offset);

    *n = 0;
    one_unit(offset, len);
    uint32_t w = c->word[unit];
    switch (vhd_word_state(w)) {
    case VHD_WORD_ABSENT:
        segs[(*n)++] = (struct vhd_seg){ NULL, 0, *len };
        return VHD_PLAN_OK;
    case VHD_WORD_FULL:
        *len = add_segs(c->layer[vhd_word_payload(w)], offset, *len, segs, max, n);
        return VHD_PLAN_OK;
    case VHD_WORD_MIXED: return VHD_PLAN_MAP;
    case VHD_WORD_MAPPED: break;
    }

    struct vhd_map *m = map_of(c, unit);
    uint32_t s = sector_in_unit(offset), end = s + (uint32_t)(*len / VHD_SECTOR);
    uint64_t done = 0;
    list_remove(&m->lru);
    list_add_tail(&c->lru, &m->lru);
    while (s < end && *n < max) {
        uint32_t run = s + 1;
        while (run < end && m->owner[run] == m->owner[s])
            run++;
        uint64_t want = (uint64_t)(run - s) * VHD_SECTOR, got = want;
        if (m->owner[s] == 0)
            segs[(*n)++] = (struct vhd_seg){ NULL, 0, want };
        else
            got = add_segs(c->layer[m->owner[s] - 1], offset + done, want, segs, max, n);
        done += got;
        if (got < want)
            break;
        s = run;
    }
    *len = done;
    return VHD_PLAN_OK;
}

static void mark_dirty(struct vhd_chain *c, uint32_t block)
{
    struct vhd_image *leaf = vhd_chain_leaf(c);
    uint32_t unit = unit_of((uint64_t)block * leaf->block_bytes);
    uint8_t bit = (uint8_t)(1U << (block % 8));

    if (c->block_dirty[block / 8] & bit)
        return;
    c->block_dirty[block / 8] |= bit;
    vec_push(&c->dirty, block);
    if (vhd_word_state(c->word[unit]) == VHD_WORD_MAPPED)
        map_of(c, unit)->pins++;
}

/* The leaf's block for a sector of the unit, and the block's sectors in the unit. */
static uint32_t block_at(const struct vhd_image *leaf, uint32_t unit, uint32_t sector,
                         uint32_t *from, uint32_t *to)
{
    uint32_t per = leaf->block_bytes / 512;

    *from = sector & ~(per - 1);
    *to = *from + per;
    return unit * (VHD_UNIT_SECTORS / per) + sector / per;
}

static bool all_owned_by(const struct vhd_map *m, uint16_t owner, uint32_t from,
                         uint32_t to)
{
    for (; from < to; from++)
        if (m->owner[from] != owner)
            return false;
    return true;
}

/* A map for the unit so that the leaf may take parts of it. */
static enum vhd_plan need_map(struct vhd_chain *c, uint32_t unit, struct err *err)
{
    uint32_t w = c->word[unit];
    uint16_t owner = 0;

    if (vhd_word_state(w) == VHD_WORD_MAPPED)
        return VHD_PLAN_OK;
    if (vhd_word_state(w) == VHD_WORD_MIXED)
        return c->n_maps >= VHD_MAPS_MAX && (vhd_map_trim(c, VHD_MAPS_MAX - 1), true)
                       && c->n_maps >= VHD_MAPS_MAX
                   ? VHD_PLAN_FLUSH
                   : VHD_PLAN_MAP;
    if (vhd_word_state(w) == VHD_WORD_FULL)
        owner = (uint16_t)(vhd_word_payload(w) + 1);
    if (vhd_map_make(c, unit, owner, err))
        return VHD_PLAN_OK;
    return c->n_maps >= VHD_MAPS_MAX ? VHD_PLAN_FLUSH : VHD_PLAN_FAIL;
}

/* Give the leaf the blocks of sectors from..to of a mapped unit. zero: the caller stores zeros, so blocks
 * that nobody holds anything in stay absent. */
static enum vhd_plan take_blocks(struct vhd_chain *c, uint32_t unit, uint32_t from,
                                 uint32_t to, bool zero)
{
    struct vhd_image *leaf = vhd_chain_leaf(c);
    struct vhd_map *m = map_of(c, unit);
    uint32_t first, end, sector;

    for (uint32_t s = from; s < to; s = end) {
        uint32_t block = block_at(leaf, unit, s, &first, &end);
        if (leaf->bat[block] != VHD_ABSENT)
            continue;
        if (zero && all_owned_by(m, 0, MAX(first, from), MIN(end, to)))
            continue;
        if (!vhd_space_take(leaf, &sector))
            return VHD_PLAN_SPACE;
        vhd_bat_set(leaf, block, sector);
        if (all_owned_by(m, 0, first, end)) {
            mark_dirty(c, block);
            vhd_map_own(c, unit, first, end);
        }
    }
    return VHD_PLAN_OK;
}

enum vhd_plan vhd_plan_write(struct vhd_chain *c, uint64_t offset, uint64_t *len,
                             struct vhd_seg *segs, size_t max, size_t *n, struct err *err)
{
    struct vhd_image *leaf = vhd_chain_leaf(c);
    uint32_t unit = unit_of(offset), sector;
    enum vhd_plan plan;

    *n = 0;
    one_unit(offset, len);
    uint32_t w = c->word[unit];
    bool ours = vhd_word_state(w) == VHD_WORD_FULL && vhd_word_payload(w) == c->n - 1;
    if (leaf->kind == VHD_KIND_DYNAMIC && !ours) {
        if (vhd_word_state(w) == VHD_WORD_ABSENT && leaf->block_bytes == VHD_UNIT_BYTES) {
            if (!vhd_space_take(leaf, &sector))
                return VHD_PLAN_SPACE;
            vhd_bat_set(leaf, unit, sector);
            c->word[unit] = (uint32_t)VHD_WORD_FULL << 30 | (uint32_t)(c->n - 1);
            mark_dirty(c, unit);
        } else {
            uint32_t s = sector_in_unit(offset);
            if ((plan = need_map(c, unit, err)) != VHD_PLAN_OK
                || (plan = take_blocks(c, unit, s, s + (uint32_t)(*len / VHD_SECTOR),
                                       false))
                       != VHD_PLAN_OK)
                return plan;
        }
    }
    if (vhd_word_state(c->word[unit]) == VHD_WORD_MAPPED)
        map_of(c, unit)->pins++;
    *len = add_segs(leaf, offset, *len, segs, max, n);
    return VHD_PLAN_OK;
}

static void settle(struct vhd_chain *c, uint32_t unit)
{
    if (vhd_word_state(c->word[unit]) == VHD_WORD_MAPPED)
        vhd_map_own(c, unit, 0, 0); /* nothing new, but it may be the leaf's alone by now */
}

void vhd_plan_wrote(struct vhd_chain *c, uint64_t offset, uint64_t len, bool ok)
{
    struct vhd_image *leaf = vhd_chain_leaf(c);
    uint32_t unit = unit_of(offset);
    uint32_t s = sector_in_unit(offset), to = s + (uint32_t)(len / VHD_SECTOR), first, end;

    if (vhd_word_state(c->word[unit]) != VHD_WORD_MAPPED)
        return;
    struct vhd_map *m = map_of(c, unit);
    for (; leaf->kind == VHD_KIND_DYNAMIC && ok && s < to; s = end) {
        uint32_t block = block_at(leaf, unit, s, &first, &end);
        end = MIN(end, to);
        if (leaf->bat[block] == VHD_ABSENT || all_owned_by(m, leaf_owner(c), s, end))
            continue;
        mark_dirty(c, block);
        c->barrier = true;
        vhd_map_own(c, unit, s, end);
    }
    m->pins--;
    settle(c, unit);
}

static bool droppable(struct vhd_chain *c, uint32_t unit, uint64_t offset, uint64_t len)
{
    const struct vhd_image *leaf = vhd_chain_leaf(c);
    uint32_t w = c->word[unit];

    return leaf->block_bytes == VHD_UNIT_BYTES && !leaf->has_batmap
           && (offset & (VHD_UNIT_BYTES - 1)) == 0
           && len == (uint64_t)vhd_map_sectors(c, unit) * VHD_SECTOR
           && vhd_word_state(w) == VHD_WORD_FULL && vhd_word_payload(w) == c->n - 1
           && vhd_map_below_absent(c, unit);
}

enum vhd_plan vhd_plan_zero(struct vhd_chain *c, uint64_t offset, uint64_t *len,
                            struct vhd_seg *segs, size_t max, size_t *n, struct err *err)
{
    struct vhd_image *leaf = vhd_chain_leaf(c);
    uint32_t unit = unit_of(offset), first, end;
    enum vhd_plan plan;

    *n = 0;
    one_unit(offset, len);
    uint32_t w = c->word[unit];
    if (leaf->kind != VHD_KIND_DYNAMIC) {
        *len = add_segs(leaf, offset, *len, segs, max, n);
        if (vhd_word_state(w) == VHD_WORD_MAPPED)
            map_of(c, unit)->pins++;
        return VHD_PLAN_OK;
    }
    if (vhd_word_state(w) == VHD_WORD_ABSENT)
        return VHD_PLAN_OK;
    if (droppable(c, unit, offset, *len)) {
        vhd_space_drop(leaf, leaf->bat[unit]);
        vhd_bat_set(leaf, unit, VHD_ABSENT);
        c->block_dirty[unit / 8] &= (uint8_t) ~(1U << (unit % 8));
        c->word[unit] = 0;
        return VHD_PLAN_OK;
    }
    if (vhd_word_state(w) == VHD_WORD_FULL && vhd_word_payload(w) == c->n - 1) {
        *len = add_segs(leaf, offset, *len, segs, max, n);
        return VHD_PLAN_OK;
    }
    uint32_t s = sector_in_unit(offset), to = s + (uint32_t)(*len / VHD_SECTOR), at = s;
    if ((plan = need_map(c, unit, err)) != VHD_PLAN_OK
        || (plan = take_blocks(c, unit, s, to, true)) != VHD_PLAN_OK)
        return plan;
    for (; at < to && *n < max; at = end) {
        uint32_t block = block_at(leaf, unit, at, &first, &end);
        end = MIN(end, to);
        if (leaf->bat[block] != VHD_ABSENT)
            (void)add_segs(leaf, offset + (uint64_t)(at - s) * VHD_SECTOR,
                           (uint64_t)(end - at) * VHD_SECTOR, segs, max, n);
    }
    *len = (uint64_t)(at - s) * VHD_SECTOR;
    map_of(c, unit)->pins++;
    return VHD_PLAN_OK;
}

static uint8_t *flush_room(struct vhd_flush *f, uint64_t offset, uint32_t len,
                           struct err *err)
{
    if (f->n_bytes + len > f->cap_bytes) {
        size_t cap = MAX(f->cap_bytes * 2, f->n_bytes + len + 4096);
        uint8_t *p = realloc(f->bytes, cap);
        if (!p) {
            (void)vhd_io_bad(err, "ENOMEM", "there is no memory for %zu bytes", cap);
            return NULL;
        }
        f->bytes = p;
        f->cap_bytes = cap;
    }
    vec_push(&f->writes, ((struct vhd_flush_write){ offset, len, f->n_bytes }));
    f->n_bytes += len;
    return f->bytes + f->n_bytes - len;
}

static void bitmap_bytes(struct vhd_chain *c, uint32_t block, uint8_t *out)
{
    struct vhd_image *leaf = vhd_chain_leaf(c);
    uint32_t per = leaf->block_bytes / 512;
    uint32_t unit = block / (VHD_UNIT_SECTORS / per);
    uint32_t first = (block * per) & (VHD_UNIT_SECTORS - 1);

    memset(out, 0xff, leaf->bitmap_bytes);
    if (vhd_word_state(c->word[unit]) != VHD_WORD_MAPPED)
        return;
    const struct vhd_map *m = map_of(c, unit);
    memset(out, 0, leaf->bitmap_bytes);
    for (uint32_t i = 0; i < per; i++)
        if (m->owner[first + i] == c->n)
            out[i / 8] |= (uint8_t)(0x80 >> (i % 8));
}

static int collect_bitmaps(struct vhd_chain *c, struct vhd_flush *f, struct err *err)
{
    struct vhd_image *leaf = vhd_chain_leaf(c);

    for (size_t i = 0; i < c->dirty.n; i++) {
        uint32_t block = c->dirty.v[i];
        uint8_t bit = (uint8_t)(1U << (block % 8));
        if (!(c->block_dirty[block / 8] & bit))
            continue;
        uint8_t *p = flush_room(f, vhd_image_bitmap_at(leaf, block), leaf->bitmap_bytes,
                                err);
        if (!p)
            return -1;
        bitmap_bytes(c, block, p);
        c->block_dirty[block / 8] &= (uint8_t)~bit;
        vec_push(&f->blocks, block);
    }
    c->dirty.n = 0;
    return 0;
}

static int collect_pages(struct vhd_image *leaf, struct vhd_flush *f, struct err *err)
{
    uint32_t pages = (leaf->n_blocks + VHD_BAT_PAGE - 1) / VHD_BAT_PAGE;

    for (uint32_t i = 0; leaf->n_bat_dirty && i < pages; i++) {
        uint8_t bit = (uint8_t)(1U << (i % 8)), page[4096];
        if (!(leaf->bat_dirty[i / 8] & bit))
            continue;
        size_t len = vhd_bat_page(leaf, i, page);
        uint8_t *p = flush_room(f, leaf->header.bat_offset + (uint64_t)i * 4096,
                                (uint32_t)len, err);
        if (!p)
            return -1;
        memcpy(p, page, len);
        leaf->bat_dirty[i / 8] &= (uint8_t)~bit;
        leaf->n_bat_dirty--;
        vec_push(&f->pages, i);
    }
    return 0;
}

int vhd_flush_begin(struct vhd_chain *c, struct vhd_flush *f, struct err *err)
{
    struct vhd_image *leaf = vhd_chain_leaf(c);

    f->writes.n = f->blocks.n = f->pages.n = f->n_bytes = f->n_pending = 0;
    f->barrier = false;
    if (leaf->kind != VHD_KIND_DYNAMIC)
        return 0;
    if (collect_bitmaps(c, f, err) < 0 || collect_pages(leaf, f, err) < 0) {
        vhd_flush_end(c, f, false);
        return -1;
    }
    f->barrier = c->barrier && f->writes.n;
    c->barrier = false;
    f->n_pending = leaf->space.pending.n;
    return 0;
}

void vhd_flush_end(struct vhd_chain *c, struct vhd_flush *f, bool ok)
{
    struct vhd_image *leaf = vhd_chain_leaf(c);
    uint32_t per_unit = leaf->block_bytes ? (uint32_t)(VHD_UNIT_BYTES / leaf->block_bytes)
                                          : 1;

    if (!ok) {
        c->failed = true;
        c->barrier = true;
        for (size_t i = 0; i < f->blocks.n; i++)
            mark_dirty(c, f->blocks.v[i]);
        for (size_t i = 0; i < f->pages.n; i++) {
            leaf->bat_dirty[f->pages.v[i] / 8] |= (uint8_t)(1U << (f->pages.v[i] % 8));
            leaf->n_bat_dirty++;
        }
    }
    for (size_t i = 0; i < f->blocks.n; i++) {
        uint32_t unit = f->blocks.v[i] / per_unit;
        if (vhd_word_state(c->word[unit]) == VHD_WORD_MAPPED) {
            map_of(c, unit)->pins--;
            settle(c, unit);
        }
    }
    if (ok)
        vhd_space_flushed(leaf, f->n_pending);
}

void vhd_flush_done(struct vhd_flush *f)
{
    vec_done(&f->writes);
    vec_done(&f->blocks);
    vec_done(&f->pages);
    free(f->bytes);
    f->bytes = NULL;
}
