/* SPDX-License-Identifier: Apache-2.0 */
/* Who owns each sector of a unit that several layers share: computed once from their bitmaps, kept in a
 * bounded cache. The leaf's own bitmaps are not stored apart: they are the sectors whose owner is the leaf.
 * Thread: the chain's. */
#include "vhd/vhd_chain.h"

#include "base/mem.h"

uint32_t vhd_map_sectors(const struct vhd_chain *c, uint32_t unit)
{
    uint64_t left = c->bytes - ((uint64_t)unit << VHD_UNIT_SHIFT);

    return (uint32_t)(MIN(left, VHD_UNIT_BYTES) / VHD_SECTOR);
}

static uint32_t layer_sectors(const struct vhd_chain *c, size_t k, uint32_t unit)
{
    uint64_t start = (uint64_t)unit << VHD_UNIT_SHIFT;
    uint64_t bytes = MIN(c->layer[k]->bytes, c->bytes);

    return bytes <= start ? 0 : (uint32_t)(MIN(bytes - start, VHD_UNIT_BYTES) / VHD_SECTOR);
}

/* The blocks of layer k within unit. */
static void block_range(const struct vhd_image *img, uint32_t unit, uint32_t *from,
                        uint32_t *to)
{
    uint32_t per = (uint32_t)(VHD_UNIT_BYTES / img->block_bytes);
    uint64_t end = ((uint64_t)unit + 1) * per;

    *from = (uint32_t)MIN((uint64_t)unit * per, (uint64_t)img->n_blocks);
    *to = (uint32_t)MIN(end, (uint64_t)img->n_blocks);
}

bool vhd_map_below_absent(const struct vhd_chain *c, uint32_t unit)
{
    uint32_t from, to;

    for (size_t k = 0; k + 1 < c->n; k++) {
        const struct vhd_image *img = c->layer[k];
        if (img->kind != VHD_KIND_DYNAMIC) {
            if (layer_sectors(c, k, unit))
                return false;
            continue;
        }
        block_range(img, unit, &from, &to);
        for (; from < to; from++)
            if (img->bat[from] != VHD_ABSENT)
                return false;
    }
    return true;
}

size_t vhd_map_reads(const struct vhd_chain *c, uint32_t unit,
                     struct vhd_bitmap_read *reads, size_t max)
{
    uint32_t from, to;
    size_t n = 0;

    for (size_t k = 0; k < c->n; k++) {
        struct vhd_image *img = c->layer[k];
        if (img->kind != VHD_KIND_DYNAMIC)
            continue;
        block_range(img, unit, &from, &to);
        for (; from < to; from++) {
            if (img->bat[from] == VHD_ABSENT)
                continue;
            if (n < max)
                reads[n] = (struct vhd_bitmap_read){ img, k, from,
                                                     vhd_image_bitmap_at(img, from) };
            n++;
        }
    }
    return n;
}

static uint32_t map_slot(struct vhd_chain *c, struct vhd_map *m)
{
    return vhd_word_payload(c->word[m->unit]);
}

static void forget(struct vhd_chain *c, struct vhd_map *m, uint32_t word)
{
    uint32_t slot = map_slot(c, m);

    c->word[m->unit] = word;
    c->maps[slot] = c->maps[--c->n_maps];
    if (slot < c->n_maps)
        c->word[c->maps[slot]->unit] = (uint32_t)VHD_WORD_MAPPED << 30 | slot;
    list_remove(&m->lru);
    free(m);
}

void vhd_map_trim(struct vhd_chain *c, uint32_t keep)
{
    list_for_each_safe(it, &c->lru) {
        struct vhd_map *m = list_entry(it, struct vhd_map, lru);
        if (c->n_maps <= keep)
            return;
        if (m->pins == 0)
            forget(c, m, (uint32_t)VHD_WORD_MIXED << 30);
    }
}

struct vhd_map *vhd_map_make(struct vhd_chain *c, uint32_t unit, uint16_t owner,
                             struct err *err)
{
    if (c->n_maps >= VHD_MAPS_MAX)
        vhd_map_trim(c, VHD_MAPS_MAX - VHD_MAPS_MAX / 64);
    if (c->n_maps >= VHD_MAPS_MAX)
        return NULL;
    struct vhd_map *m = vhd_io_alloc(1, sizeof(*m), err);
    if (!m)
        return NULL;
    m->unit = unit;
    for (size_t i = 0; owner && i < VHD_UNIT_SECTORS; i++)
        m->owner[i] = owner;
    if (owner == c->n)
        m->n_leaf = vhd_map_sectors(c, unit);
    list_add_tail(&c->lru, &m->lru);
    c->maps[c->n_maps] = m;
    c->word[unit] = (uint32_t)VHD_WORD_MAPPED << 30 | c->n_maps++;
    return m;
}

/* Sectors from..to of the unit: all the same owner? Then the word says so and the map goes. */
static void simplify(struct vhd_chain *c, struct vhd_map *m)
{
    uint32_t n = vhd_map_sectors(c, m->unit);
    uint16_t first = m->owner[0];

    if (m->pins)
        return;
    for (uint32_t i = 1; i < n; i++)
        if (m->owner[i] != first)
            return;
    if (first
        == 0) /* blocks that nobody has written to: the leaf may have one, so keep it mapped */
        return;
    forget(c, m, (uint32_t)VHD_WORD_FULL << 30 | (first - 1U));
}

static void apply_bitmap(const struct vhd_chain *c, struct vhd_map *m,
                         const struct vhd_bitmap_read *r, const uint8_t *bits)
{
    uint32_t per = r->image->block_bytes / 512;
    uint32_t first = (r->block * per) & (VHD_UNIT_SECTORS - 1);
    uint32_t limit = layer_sectors(c, r->layer, m->unit);
    uint16_t owner = (uint16_t)(r->layer + 1);

    for (uint32_t i = 0; i < per && first + i < limit; i++) {
        if (bits[i / 8] == 0)
            i |= 7;
        else if (vhd_format_bit(bits, i))
            m->owner[first + i] = owner;
    }
}

int vhd_map_resolve(struct vhd_chain *c, uint32_t unit, const struct vhd_bitmap_read *reads,
                    size_t n, const uint8_t *bitmaps, struct err *err)
{
    size_t k = 0, r = 0;

    if (vhd_word_state(c->word[unit]) != VHD_WORD_MIXED)
        return 0;
    struct vhd_map *m = vhd_map_make(c, unit, 0, err);
    if (!m)
        return vhd_io_bad(err, "VHD_BUSY", "too many blocks wait for a flush");
    for (; k < c->n; k++) {
        if (c->layer[k]->kind != VHD_KIND_DYNAMIC) {
            uint32_t limit = layer_sectors(c, k, unit);
            for (uint32_t i = 0; i < limit; i++)
                m->owner[i] = (uint16_t)(k + 1);
        }
        for (; r < n && reads[r].layer == k; r++)
            apply_bitmap(c, m, &reads[r], bitmaps + r * 512);
    }
    for (uint32_t i = 0; i < VHD_UNIT_SECTORS; i++)
        m->n_leaf += m->owner[i] == c->n;
    simplify(c, m);
    return 0;
}

void vhd_map_own(struct vhd_chain *c, uint32_t unit, uint32_t from, uint32_t to)
{
    struct vhd_map *m = c->maps[vhd_word_payload(c->word[unit])];
    uint16_t leaf = (uint16_t)c->n;

    for (uint32_t i = from; i < to; i++) {
        m->n_leaf += m->owner[i] != leaf;
        m->owner[i] = leaf;
    }
    if (m->n_leaf == vhd_map_sectors(c, unit))
        simplify(c, m);
}

int vhd_map_load(struct vhd_chain *c, uint32_t unit, struct err *err)
{
    size_t n = vhd_map_reads(c, unit, NULL, 0);
    struct vhd_bitmap_read *reads = vhd_io_alloc(n, sizeof(*reads), err);
    uint8_t *bits = reads ? vhd_io_alloc(n, 512, err) : NULL;
    int rc = bits ? 0 : -1;

    if (rc == 0)
        (void)vhd_map_reads(c, unit, reads, n);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = vhd_image_read(reads[i].image, bits + i * 512, reads[i].image->bitmap_bytes,
                            reads[i].offset, err);
    if (rc == 0)
        rc = vhd_map_resolve(c, unit, reads, n, bits, err);
    free(bits);
    free(reads);
    return rc;
}
