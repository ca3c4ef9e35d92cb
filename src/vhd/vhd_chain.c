/* SPDX-License-Identifier: Apache-2.0 */
/* Layers put together: parents found and checked, the word per unit computed in one pass over the block
 * tables. A parent is looked for in its child's directory and nowhere else, whatever path the child names:
 * images come from outside, and a path in one must not make us open another file of the host. Thread:
 * the chain's. */
#include "vhd/vhd_chain.h"

#include <assert.h>

#include "base/mem.h"

static int check_uuid(const struct vhd_image *child, const struct vhd_image *parent,
                      struct err *err)
{
    bool raw = vhd_image_raw_parent(child);

    if (raw != (parent->kind == VHD_KIND_RAW))
        return vhd_io_bad(err, "VHD_PARENT", "%s is not the kind of parent that %s needs",
                          parent->path, child->path);
    if (!raw
        && memcmp(&child->header.parent_uuid, &parent->footer.uuid, sizeof(struct uuid))
               != 0)
        return vhd_io_bad(err, "VHD_PARENT",
                          "%s is not the parent of %s: its uuid is another", parent->path,
                          child->path);
    return 0;
}

static int open_parent(const struct vhd_io *io, struct vhd_image *child,
                       struct vhd_image **out, struct err *err)
{
    char names[4][VHD_NAME_MAX];
    size_t n = vhd_image_parent_names(child, names);
    const char *slash = strrchr(child->path, '/');
    int dir_len = slash ? (int)(slash + 1 - child->path) : 0;
    unsigned flags = vhd_image_raw_parent(child) ? VHD_OPEN_RAW : 0;

    for (size_t i = 0; i < n; i++) {
        AUTO(free_str) char *path = str_fmt("%.*s%s", dir_len, child->path, names[i]);
        int handle = io->ops->open(io->ctx, path, 0);
        if (handle >= 0)
            return vhd_image_adopt(io, handle, path, flags, out, err);
    }
    return vhd_io_bad(err, "VHD_PARENT", "%s: its parent %s is not in its directory",
                      child->path, n ? names[0] : "(which it does not name)");
}

/* Does the chain hold an image of this uuid? A cycle would. */
static bool seen(struct vhd_image *const *v, size_t n, const struct vhd_image *img)
{
    for (size_t i = 0; i < n; i++)
        if (v[i]->kind != VHD_KIND_RAW
            && memcmp(&v[i]->footer.uuid, &img->footer.uuid, sizeof(struct uuid)) == 0)
            return true;
    return false;
}

/* The word of one unit from the tables alone. */
static uint32_t word_of(const struct vhd_chain *c, uint32_t unit)
{
    uint64_t end = ((uint64_t)unit << VHD_UNIT_SHIFT)
                   + (uint64_t)vhd_map_sectors(c, unit) * VHD_SECTOR;
    const struct vhd_image *base = c->layer[0];

    if (c->n > 1 || base->kind == VHD_KIND_DYNAMIC) {
        struct vhd_bitmap_read one;
        if (vhd_map_reads(c, unit, &one, 1) > 0)
            return (uint32_t)VHD_WORD_MIXED << 30;
        if (base->kind == VHD_KIND_DYNAMIC)
            return 0;
    }
    if (end <= base->bytes)
        return (uint32_t)VHD_WORD_FULL << 30;
    return end - (uint64_t)vhd_map_sectors(c, unit) * VHD_SECTOR < base->bytes
               ? (uint32_t)VHD_WORD_MIXED << 30
               : 0;
}

/* Over used entries only, so that thirty empty layers cost thirty short walks. */
static void index_units(struct vhd_chain *c)
{
    const struct vhd_image *base = c->layer[0];

    if (base->kind != VHD_KIND_DYNAMIC)
        for (uint32_t u = 0; u < c->n_units; u++)
            c->word[u] = word_of(c, u);
    for (size_t k = 0; k < c->n; k++) {
        const struct vhd_image *img = c->layer[k];
        uint32_t left = img->n_used;
        for (uint32_t b = 0; left && b < img->n_blocks; b++) {
            if (img->bat[b] == VHD_ABSENT)
                continue;
            left--;
            uint64_t unit = (uint64_t)b * img->block_bytes >> VHD_UNIT_SHIFT;
            if (unit < c->n_units)
                c->word[unit] = (uint32_t)VHD_WORD_MIXED << 30;
        }
    }
}

static int new_leaf_state(struct vhd_chain *c, struct vhd_image *leaf, struct err *err)
{
    uint8_t *dirty = vhd_io_alloc(leaf->n_blocks / 8 + 1, 1, err);

    if (!dirty)
        return -1;
    free(c->block_dirty);
    c->block_dirty = dirty;
    c->dirty.n = 0;
    return 0;
}

int vhd_chain_from(struct vhd_image *const *images, size_t n, struct vhd_chain **out,
                   struct err *err)
{
    if (n == 0 || n > VHD_LAYERS_MAX)
        return vhd_io_bad(err, "VHD_DEPTH", "a chain of %zu images: 1 to %d are possible",
                          n, VHD_LAYERS_MAX);
    for (size_t i = 0; i < n; i++) {
        if (seen(images, i, images[i]) && images[i]->kind != VHD_KIND_RAW)
            return vhd_io_bad(err, "VHD_PARENT", "%s is its own parent", images[i]->path);
        if ((i > 0) != vhd_image_differencing(images[i]))
            return vhd_io_bad(err, "VHD_PARENT",
                              "%s does not belong at place %zu of a chain", images[i]->path,
                              i);
        if (i > 0 && check_uuid(images[i], images[i - 1], err) < 0)
            return -1;
    }
    AUTO(vhd_chain_cleanup) struct vhd_chain *c = vhd_io_alloc(1, sizeof(*c), err);
    if (!c)
        return -1;
    list_init(&c->lru);
    c->bytes = images[n - 1]->bytes;
    c->n_units = (uint32_t)((c->bytes + VHD_UNIT_BYTES - 1) >> VHD_UNIT_SHIFT);
    c->word = vhd_io_alloc(c->n_units, sizeof(*c->word), err);
    c->maps = vhd_io_alloc(VHD_MAPS_MAX, sizeof(struct vhd_map *), err);
    struct vhd_image **layer = vhd_io_alloc(n, sizeof(struct vhd_image *), err);
    if (!c->word || !c->maps || !layer || new_leaf_state(c, images[n - 1], err) < 0) {
        free(layer);
        return -1;
    }
    memcpy(layer, images, n * sizeof(struct vhd_image *));
    c->layer = layer;
    c->n = n;
    index_units(c);
    *out = TAKE(c);
    return 0;
}

int vhd_chain_open(const struct vhd_io *io, const char *path, unsigned flags,
                   struct vhd_chain **out, struct err *err)
{
    VEC(struct vhd_image *) v = { 0 };
    struct vhd_image *img = NULL;
    int rc = vhd_image_open(io, path, flags, &img, err);

    while (rc == 0) {
        assert(img);
        if (seen(v.v, v.n, img)) {
            rc = vhd_io_bad(err, "VHD_PARENT", "%s: its parents form a cycle", path);
            vhd_image_close(img);
            break;
        }
        vec_push(&v, img);
        if (!vhd_image_differencing(img))
            break;
        if (v.n == VHD_LAYERS_MAX)
            rc = vhd_io_bad(err, "VHD_DEPTH", "%s has more than %d parents", path,
                            VHD_LAYERS_MAX);
        struct vhd_image *parent = NULL;
        if (rc == 0)
            rc = open_parent(io, img, &parent, err);
        if (parent && check_uuid(img, parent, err) < 0) {
            vhd_image_close(parent);
            rc = -1;
        }
        img = parent;
    }
    for (size_t i = 0; i < v.n / 2; i++) {
        struct vhd_image *t = v.v[i];
        v.v[i] = v.v[v.n - 1 - i];
        v.v[v.n - 1 - i] = t;
    }
    if (rc == 0)
        rc = vhd_chain_from(v.v, v.n, out, err);
    for (size_t i = 0; rc < 0 && i < v.n; i++)
        vhd_image_close(v.v[i]);
    vec_done(&v);
    return rc;
}

void vhd_chain_close(struct vhd_chain *c)
{
    if (!c)
        return;
    for (uint32_t i = 0; i < c->n_maps; i++)
        free(c->maps[i]);
    for (size_t i = 0; i < c->n; i++)
        vhd_image_close(c->layer[i]);
    vec_done(&c->dirty);
    free(c->layer);
    free(c->word);
    free(c->maps);
    free(c->block_dirty);
    free(c);
}

void vhd_chain_cleanup(struct vhd_chain **c)
{
    vhd_chain_close(*c);
    *c = NULL;
}

int vhd_chain_finish(struct vhd_chain *c, struct err *err)
{
    if (vhd_chain_flush(c, err) < 0)
        return -1;
    return vhd_image_finish(vhd_chain_leaf(c), err);
}

int vhd_chain_push(struct vhd_chain *c, struct vhd_image *leaf, struct err *err)
{
    if (check_uuid(leaf, vhd_chain_leaf(c), err) < 0 || leaf->bytes != c->bytes
        || c->n == VHD_LAYERS_MAX)
        return vhd_io_bad(err, "VHD_PARENT", "%s cannot be a new leaf of this chain",
                          leaf->path);
    struct vhd_image **layer = vhd_io_alloc(c->n + 1, sizeof(struct vhd_image *), err);
    if (!layer || new_leaf_state(c, leaf, err) < 0) {
        free(layer);
        return -1;
    }
    memcpy(layer, c->layer, c->n * sizeof(struct vhd_image *));
    layer[c->n++] = leaf;
    free(c->layer);
    c->layer = layer;
    for (uint32_t i = 0; i < c->n_maps; i++)
        c->maps[i]->n_leaf = 0;
    return 0;
}

int vhd_chain_drop(struct vhd_chain *c, size_t k, struct err *err)
{
    if (k == c->n - 1 && new_leaf_state(c, c->layer[k - 1], err) < 0)
        return -1;
    memmove(c->layer + k, c->layer + k + 1, (c->n - k - 1) * sizeof(struct vhd_image *));
    c->n--;
    for (uint32_t u = 0; u < c->n_units; u++) {
        uint32_t w = c->word[u];
        if (vhd_word_state(w) == VHD_WORD_FULL && vhd_word_payload(w) >= k)
            c->word[u] = w - 1;
    }
    for (uint32_t i = 0; i < c->n_maps; i++) {
        struct vhd_map *m = c->maps[i];
        m->n_leaf = 0;
        for (uint32_t s = 0; s < VHD_UNIT_SECTORS; s++) {
            m->owner[s] = (uint16_t)(m->owner[s] - (m->owner[s] > k));
            m->n_leaf += m->owner[s] == c->n;
        }
    }
    return 0;
}

int vhd_chain_grown(struct vhd_chain *c, struct err *err)
{
    struct vhd_image *leaf = vhd_chain_leaf(c);
    uint32_t old = c->n_units;
    uint32_t n = (uint32_t)((leaf->bytes + VHD_UNIT_BYTES - 1) >> VHD_UNIT_SHIFT);
    uint32_t *word = vhd_io_alloc(n, sizeof(*word), err);

    if (!word || new_leaf_state(c, leaf, err) < 0) {
        free(word);
        return -1;
    }
    memcpy(word, c->word, old * sizeof(*word));
    free(c->word);
    c->word = word;
    c->bytes = leaf->bytes;
    c->n_units = n;
    /* The last unit was judged by a shorter disk; ask its bitmaps again. */
    uint32_t w = c->word[old - 1];
    if (vhd_word_state(w) == VHD_WORD_FULL)
        c->word[old - 1] = word_of(c, old - 1);
    else if (vhd_word_state(w) == VHD_WORD_MAPPED)
        vhd_map_trim(c, 0);
    return 0;
}
