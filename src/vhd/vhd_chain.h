/* SPDX-License-Identifier: Apache-2.0 */
/* A disk: an image and all its parents as one flat space of sectors. One word per unit of 2 MiB says
 * who holds it; only units that several layers share look at bitmaps, once, and remember the result. So
 * thirty layers cost what one costs.
 *
 * Planning is pure: vhd_plan_* say what to read or write where, and the caller does it, with the blocking
 * functions at the end of this header (tools, tests) or with a ring (the disk process). A plan that
 * cannot go on says what it needs first. Offsets and lengths are multiples of 512.
 *
 * Order on disk: data before its bitmap bit; a block's bitmap region durably zero before the block enters
 * the table. A write is durable after the next flush. Thread: one at a time; no locks. */
#ifndef VHD_VHD_CHAIN_H
#define VHD_VHD_CHAIN_H

#include "base/list.h"
#include "vhd/vhd_image.h"

#define VHD_UNIT_SHIFT   21
#define VHD_UNIT_BYTES   (UINT64_C(1) << VHD_UNIT_SHIFT)
#define VHD_UNIT_SECTORS 4096
#define VHD_LAYERS_MAX   1000
#define VHD_MAPS_MAX     2048 /* of 8 KiB each */

enum vhd_word {
    VHD_WORD_ABSENT = 0, /* no layer holds any of it */
    VHD_WORD_FULL = 1,   /* the layer in the payload holds all of it */
    VHD_WORD_MIXED = 2,  /* the bitmaps must be read */
    VHD_WORD_MAPPED = 3, /* the payload is an index of maps[] */
};

static inline enum vhd_word vhd_word_state(uint32_t w)
{
    return (enum vhd_word)(w >> 30);
}

static inline uint32_t vhd_word_payload(uint32_t w)
{
    return w & 0x3fffffff;
}

struct vhd_map {
    struct list lru;
    uint32_t unit;
    uint32_t pins;   /* writes under way, and dirty blocks: not to be evicted */
    uint32_t n_leaf; /* sectors of the leaf's */
    uint16_t owner[VHD_UNIT_SECTORS]; /* 0: nobody, else layer + 1 */
};

struct vhd_cbt;

struct vhd_chain {
    struct vhd_image **layer; /* 0 is the base */
    size_t n;
    uint64_t bytes;
    uint32_t n_units;
    uint32_t *word;
    struct vhd_map **maps;
    uint32_t n_maps;
    struct list lru; /* oldest first */
    /* of the leaf */
    uint8_t *block_dirty; /* a bit per block whose bitmap is to be written */
    VEC(uint32_t) dirty;
    bool barrier;        /* data must be durable before the dirty bitmaps */
    bool failed;         /* a flush failed: nothing may be called durable any more */
    struct vhd_cbt *cbt; /* borrowed; NULL: not tracked */
};

/* Open path and its parents, found by their names in the same directory, each checked by its uuid. */
int vhd_chain_open(const struct vhd_io *io, const char *path, unsigned flags,
                   struct vhd_chain **out, struct err *err) MUST_CHECK;
/* From images that are open, base first: taken on success. */
int vhd_chain_from(struct vhd_image *const *images, size_t n, struct vhd_chain **out,
                   struct err *err) MUST_CHECK;
void vhd_chain_close(struct vhd_chain *c); /* like a crash */
void vhd_chain_cleanup(struct vhd_chain **c);
int vhd_chain_finish(struct vhd_chain *c, struct err *err)
    MUST_CHECK; /* flush, make the leaf whole */

static inline struct vhd_image *vhd_chain_leaf(const struct vhd_chain *c)
{
    return c->layer[c->n - 1];
}

/* A new leaf over the present one, made with vhd_create_child and open for writing; all is flushed. Taken. */
int vhd_chain_push(struct vhd_chain *c, struct vhd_image *leaf, struct err *err) MUST_CHECK;
/* Layer k has been merged into k - 1 and is closed; all is flushed. */
int vhd_chain_drop(struct vhd_chain *c, size_t k, struct err *err) MUST_CHECK;
/* After the leaf has grown. */
int vhd_chain_grown(struct vhd_chain *c, struct err *err) MUST_CHECK;

/* vhd_map.c */
struct vhd_bitmap_read {
    struct vhd_image *image;
    size_t layer;
    uint32_t block;
    uint64_t offset; /* in the file; image->bitmap_bytes */
};

size_t vhd_map_reads(const struct vhd_chain *c, uint32_t unit,
                     struct vhd_bitmap_read *reads,
                     size_t max); /* the number there is, also above max */
/* bitmaps: one after the other, 512 bytes each. */
int vhd_map_resolve(struct vhd_chain *c, uint32_t unit, const struct vhd_bitmap_read *reads,
                    size_t n, const uint8_t *bitmaps, struct err *err) MUST_CHECK;
/* A map with every owner the same, for a unit that is absent or full. NULL: no memory, or all are pinned. */
struct vhd_map *vhd_map_make(struct vhd_chain *c, uint32_t unit, uint16_t owner,
                             struct err *err);
void vhd_map_own(struct vhd_chain *c, uint32_t unit, uint32_t from,
                 uint32_t to); /* sectors, leaf's now */
void vhd_map_trim(struct vhd_chain *c, uint32_t keep);
bool vhd_map_below_absent(const struct vhd_chain *c,
                          uint32_t unit); /* below the leaf, by allocation */
uint32_t vhd_map_sectors(const struct vhd_chain *c,
                         uint32_t unit); /* of the unit within the disk */
int vhd_map_load(struct vhd_chain *c, uint32_t unit, struct err *err)
    MUST_CHECK; /* blocking */

/* vhd_plan.c */
enum vhd_plan {
    VHD_PLAN_OK,
    VHD_PLAN_MAP,   /* resolve the unit, come again */
    VHD_PLAN_SPACE, /* prepare space in the leaf, come again */
    VHD_PLAN_FLUSH, /* flush, come again: too many maps are dirty */
    VHD_PLAN_FAIL,  /* no memory, see err */
};

struct vhd_seg {
    struct vhd_image *image; /* NULL: zeros */
    uint64_t offset;         /* in its file */
    uint64_t len;
};

#define VHD_SEGS 64

/* The first *len bytes at offset (in one unit, cut to what fits in segs): where they are. */
enum vhd_plan vhd_plan_read(struct vhd_chain *c, uint64_t offset, uint64_t *len,
                            struct vhd_seg *segs, size_t max, size_t *n);
/* The same for writing: allocates, so it must be carried out, then vhd_plan_wrote called with the same
 * numbers, also after a failure (ok = false). */
enum vhd_plan vhd_plan_write(struct vhd_chain *c, uint64_t offset, uint64_t *len,
                             struct vhd_seg *segs, size_t max, size_t *n, struct err *err);
void vhd_plan_wrote(struct vhd_chain *c, uint64_t offset, uint64_t len, bool ok);
/* Zeros that need no space: segs are to be punched (none: nothing to do), then vhd_plan_wrote. */
enum vhd_plan vhd_plan_zero(struct vhd_chain *c, uint64_t offset, uint64_t *len,
                            struct vhd_seg *segs, size_t max, size_t *n, struct err *err);

/* A flush: begin collects all metadata that is owed, as of now. Then: fsync if barrier; the writes, in any
 * order; fsync; end. With n == 0 one fsync is all. */
struct vhd_flush_write {
    uint64_t offset;
    uint32_t len;
    size_t at; /* in bytes */
};

struct vhd_flush {
    VEC(struct vhd_flush_write) writes;
    VEC(uint32_t) blocks; /* whose bitmaps are among them */
    VEC(uint32_t) pages;  /* of the table */
    uint8_t *bytes;
    size_t n_bytes, cap_bytes;
    size_t n_pending;
    bool barrier;
};

int vhd_flush_begin(struct vhd_chain *c, struct vhd_flush *f, struct err *err) MUST_CHECK;
void vhd_flush_end(struct vhd_chain *c, struct vhd_flush *f, bool ok);
void vhd_flush_done(struct vhd_flush *f); /* frees */

/* vhd_rw.c: blocking. */
int vhd_chain_read(struct vhd_chain *c, void *p, uint64_t len, uint64_t offset,
                   struct err *err) MUST_CHECK;
int vhd_chain_write(struct vhd_chain *c, const void *p, uint64_t len, uint64_t offset,
                    struct err *err) MUST_CHECK;
int vhd_chain_zero(struct vhd_chain *c, uint64_t len, uint64_t offset, struct err *err)
    MUST_CHECK;
int vhd_chain_flush(struct vhd_chain *c, struct err *err) MUST_CHECK;
/* From offset: how far the same answer holds. layer_out: who holds it, -1 for nobody (zeros). */
int vhd_chain_status(struct vhd_chain *c, uint64_t offset, uint64_t *len_out,
                     int *layer_out, struct err *err) MUST_CHECK;
#endif
