/* SPDX-License-Identifier: Apache-2.0 */
/* One opened image: what its file says, checked, with the whole block table in memory; and for images
 * opened for writing what is ready to be handed out as new blocks. A chain (vhd_chain.h) is made of these.
 * Thread: one at a time. */
#ifndef VHD_VHD_IMAGE_H
#define VHD_VHD_IMAGE_H

#include "base/vec.h"
#include "vhd/vhd_format.h"

#define VHD_CREATOR "win " /* see vhd_create.c */
/* New images keep room for the block table of the largest disk, so that growing moves nothing. */
#define VHD_BAT_OFFSET   UINT64_C(8192)
#define VHD_BAT_RESERVED ((VHD_MAX_BYTES / VHD_BLOCK_BYTES) * 4)
#define VHD_AHEAD_BYTES  (UINT64_C(64) << 20)
#define VHD_AHEAD_SPARSE (UINT64_C(1) << 30) /* holes cost nothing */
#define VHD_BAT_PAGE     1024                /* entries written together: 4 KiB */

enum vhd_open_flags {
    VHD_OPEN_WRITE = 1,
    VHD_OPEN_RAW = 2, /* a raw file: nothing in it is looked at */
};

enum vhd_kind { VHD_KIND_DYNAMIC, VHD_KIND_FIXED, VHD_KIND_RAW };

struct vhd_extent {
    uint64_t start, end;
};

#define VHD_META_MAX 12

/* New blocks come from space that durably reads as zeros. */
struct vhd_space {
    uint64_t end; /* behind everything that is referenced or handed out */
    uint64_t
        ready_end; /* up to here the file is allocated, zero and durable; 0 before the first time */
    uint64_t ahead; /* how much more to prepare at once */
    bool sparse;    /* leave holes: for a copy written once, which should stay small */
    VEC(uint32_t)
    ready; /* slots within the file that durably read as zeros (sector of the bitmap) */
    VEC(uint32_t) free;    /* unreferenced, with anything in them */
    VEC(uint32_t) pending; /* dropped from the table in memory, not yet on disk */
};

struct vhd_image {
    struct vhd_io io;
    int handle;
    char *path;
    enum vhd_kind kind;
    bool writable;
    bool head_ok; /* the footer at 0 is good */
    bool tail_ok; /* the one at the end is there and says the same */
    bool has_batmap;
    bool touched; /* the end of the file no longer holds a footer */
    struct vhd_footer footer;
    struct vhd_header header;
    uint64_t bytes; /* of the disk */
    uint64_t file_bytes;
    uint32_t block_bytes;
    uint32_t bitmap_bytes;
    uint32_t n_blocks;
    uint32_t n_used;
    uint32_t *bat; /* host order */
    struct vhd_extent meta[VHD_META_MAX];
    size_t n_meta;
    /* for writing */
    struct vhd_space space;
    uint8_t *bat_dirty; /* a bit per page of the table */
    size_t n_bat_dirty;
};

/* Open and check all that vhd_check reports, in O(n). path: borrowed. out: given, vhd_image_close. */
int vhd_image_open(const struct vhd_io *io, const char *path, unsigned flags,
                   struct vhd_image **out, struct err *err) MUST_CHECK;
/* The same on a handle that is open already: taken, also on failure. path is for messages and for the
 * directory of parents. */
int vhd_image_adopt(const struct vhd_io *io, int handle, const char *path, unsigned flags,
                    struct vhd_image **out, struct err *err) MUST_CHECK;
void vhd_image_close(struct vhd_image *img); /* writes nothing: like a crash */
void vhd_image_cleanup(struct vhd_image **img);
/* Make the file whole again: end it after its last block and write the footer there. Owes: a flush before. */
int vhd_image_finish(struct vhd_image *img, struct err *err) MUST_CHECK;
/* Make both footers good. */
int vhd_image_repair(struct vhd_image *img, struct err *err) MUST_CHECK;

bool vhd_image_differencing(const struct vhd_image *img);
bool vhd_image_raw_parent(const struct vhd_image *img);
/* Names that the parent may have, best first, each one component. The number of them. */
size_t vhd_image_parent_names(struct vhd_image *img, char names[static 4][VHD_NAME_MAX]);

static inline uint64_t vhd_image_bitmap_at(const struct vhd_image *img, uint32_t block)
{
    return (uint64_t)img->bat[block] * VHD_SECTOR;
}

static inline uint64_t vhd_image_data_at(const struct vhd_image *img, uint32_t block)
{
    return vhd_image_bitmap_at(img, block) + img->bitmap_bytes;
}

int vhd_image_read(struct vhd_image *img, void *p, size_t len, uint64_t offset,
                   struct err *err) MUST_CHECK;
int vhd_image_write(struct vhd_image *img, const void *p, size_t len, uint64_t offset,
                    struct err *err) MUST_CHECK;
int vhd_image_sync(struct vhd_image *img, struct err *err) MUST_CHECK;

/* vhd_bat.c: the table. */
int vhd_bat_load(struct vhd_image *img, struct err *err) MUST_CHECK;
void vhd_bat_set(struct vhd_image *img, uint32_t block,
                 uint32_t sector); /* in memory, marks the page */
/* The bytes of page i as on disk; their number. */
size_t vhd_bat_page(const struct vhd_image *img, uint32_t page, uint8_t out[static 4096]);

/* vhd_space.c: new blocks. take and the two ends of a step are pure; run does the I/O of a step and may
 * be done elsewhere (diskd), as long as plan and done happen in the image's thread. */
struct vhd_space_step {
    uint64_t truncate_to; /* 0: not */
    uint64_t grow_from, grow_to;
    uint32_t punch[64]; /* slots */
    size_t n_punch;
};

void vhd_space_done(struct vhd_image *img);   /* frees */
void vhd_space_sparse(struct vhd_image *img); /* from now on leave holes */
/* Note the slots between the blocks; sorted: all used entries, ascending. */
void vhd_space_find(struct vhd_image *img, const uint32_t *sorted, size_t n);
bool vhd_space_take(struct vhd_image *img, uint32_t *sector_out);
int vhd_space_plan(struct vhd_image *img, struct vhd_space_step *step, struct err *err)
    MUST_CHECK;
int vhd_space_run(struct vhd_image *img, const struct vhd_space_step *step, struct err *err)
    MUST_CHECK;
void vhd_space_ready(struct vhd_image *img, const struct vhd_space_step *step);
int vhd_space_prepare(struct vhd_image *img, struct err *err) MUST_CHECK; /* all three */
void vhd_space_drop(struct vhd_image *img, uint32_t sector);
void vhd_space_flushed(struct vhd_image *img,
                       size_t n_pending); /* the first n are free now */

/* Tests compile this library with VHD_PLANT and set one of these: the harness must then find a violation. */
enum vhd_plant {
    VHD_PLANT_NONE,
    VHD_PLANT_SPACE_SYNC, /* block table before the zeroed space is durable; bits before data */
    VHD_PLANT_FOOTER_FIRST, /* resize: footer before the table */
    VHD_PLANT_DIR_SYNC,     /* create: no fsync of the directory */
    VHD_PLANT_CBT_LATE,     /* changed-block bits after the answer */
    VHD_PLANT_UNLINK_EARLY, /* coalesce: the merged image goes before its children are moved durably */
};

#ifdef VHD_PLANT
extern enum vhd_plant vhd_plant;
#    define VHD_PLANTED(x) (vhd_plant == (x))
#else
#    define VHD_PLANTED(x) (false)
#endif
#endif
