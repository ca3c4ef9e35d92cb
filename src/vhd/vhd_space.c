/* SPDX-License-Identifier: Apache-2.0 */
/* Where new blocks go. The rule that everything rests on: a slot is handed out only when it durably reads
 * as zeros, so its block may enter the table at any time. Space comes in large steps ahead of its use,
 * one fsync a step. What lies behind the last block when an image is opened (an old footer, blocks that a
 * crash cut off from the table) is dropped by a truncation first. */
#include "vhd/vhd_image.h"

#define LAST_AT (((uint64_t)VHD_ABSENT - 1) * VHD_SECTOR) /* where a bitmap may start */

void vhd_space_done(struct vhd_image *img)
{
    vec_done(&img->space.ready);
    vec_done(&img->space.free);
    vec_done(&img->space.pending);
}

void vhd_space_sparse(struct vhd_image *img)
{
    img->space.sparse = true;
    img->space.ahead = VHD_AHEAD_SPARSE;
}

/* The block that starts at or behind pos: its data on a 4 KiB boundary, its bitmap right before it. */
static uint64_t slot_at(const struct vhd_image *img, uint64_t pos)
{
    return ((pos + img->bitmap_bytes + 4095) & ~UINT64_C(4095)) - img->bitmap_bytes;
}

static uint64_t slot_len(const struct vhd_image *img)
{
    return (uint64_t)img->bitmap_bytes + img->block_bytes;
}

static bool over_meta(const struct vhd_image *img, uint64_t start, uint64_t end)
{
    for (size_t i = 0; i < img->n_meta; i++)
        if (start < img->meta[i].end && end > img->meta[i].start)
            return true;
    return false;
}

void vhd_space_find(struct vhd_image *img, const uint32_t *sorted, size_t n)
{
    uint64_t len = slot_len(img);

    for (size_t i = 0; i + 1 < n; i++) {
        uint64_t pos = slot_at(img, sorted[i] * VHD_SECTOR + len);
        uint64_t end = sorted[i + 1] * VHD_SECTOR;
        for (; pos + len <= end; pos = slot_at(img, pos + len))
            if (!over_meta(img, pos, pos + len))
                vec_push(&img->space.free, (uint32_t)(pos / VHD_SECTOR));
    }
}

bool vhd_space_take(struct vhd_image *img, uint32_t *sector_out)
{
    struct vhd_space *s = &img->space;

    if (s->ready.n) {
        *sector_out = s->ready.v[--s->ready.n];
        return true;
    }
    uint64_t pos = slot_at(img, s->end);
    if (pos + slot_len(img) > s->ready_end || pos > LAST_AT)
        return false;
    s->end = pos + slot_len(img);
    *sector_out = (uint32_t)(pos / VHD_SECTOR);
    return true;
}

int vhd_space_plan(struct vhd_image *img, struct vhd_space_step *step, struct err *err)
{
    struct vhd_space *s = &img->space;

    *step = (struct vhd_space_step){ 0 };
    if (s->ready_end == 0)
        step->truncate_to = s->end;
    while (s->free.n && step->n_punch < ARRAY_SIZE(step->punch))
        step->punch[step->n_punch++] = s->free.v[--s->free.n];
    if (step->n_punch)
        return 0;
    uint64_t pos = slot_at(img, s->end);
    if (pos > LAST_AT)
        return vhd_io_bad(
            err, "VHD_FULL",
            "%s: the file has reached 2 TiB, which is all that VHD can address", img->path);
    step->grow_from = MAX(s->ready_end, s->end);
    step->grow_to = slot_at(img, pos + slot_len(img) - 1 + s->ahead);
    return 0;
}

int vhd_space_run(struct vhd_image *img, const struct vhd_space_step *step, struct err *err)
{
    const struct vhd_io_ops *ops = img->io.ops;
    void *ctx = img->io.ctx;

    if (step->truncate_to && ops->ftruncate(ctx, img->handle, step->truncate_to) < 0)
        return vhd_io_failed(err, "cutting", img->path);
    for (size_t i = 0; i < step->n_punch; i++)
        if (ops->punch(ctx, img->handle, step->punch[i] * VHD_SECTOR, slot_len(img)) < 0)
            return vhd_io_failed(err, "punching", img->path);
    if (step->grow_to && img->space.sparse) {
        if (ops->ftruncate(ctx, img->handle, step->grow_to) < 0)
            return vhd_io_failed(err, "extending", img->path);
    } else if (step->grow_to
               && ops->allocate(ctx, img->handle, step->grow_from,
                                step->grow_to - step->grow_from)
                      < 0)
        return vhd_io_failed(err, "extending", img->path);
    if (VHD_PLANTED(VHD_PLANT_SPACE_SYNC))
        return 0;
    return vhd_image_sync(img, err);
}

void vhd_space_ready(struct vhd_image *img, const struct vhd_space_step *step)
{
    struct vhd_space *s = &img->space;

    for (size_t i = 0; i < step->n_punch; i++)
        vec_push(&s->ready, step->punch[i]);
    if (step->truncate_to)
        s->ready_end = step->truncate_to;
    if (step->grow_to)
        s->ready_end = step->grow_to;
}

int vhd_space_prepare(struct vhd_image *img, struct err *err)
{
    struct vhd_space_step step;

    if (vhd_space_plan(img, &step, err) < 0)
        return -1;
    img->touched = true;
    img->tail_ok = false;
    struct err first = { 0 };
    int rc = vhd_space_run(img, &step, &first);
    if (rc < 0 && step.grow_to && img->space.ahead) {
        /* Nearly full: a single block may still fit. */
        uint64_t ahead = img->space.ahead;
        img->space.ahead = 0;
        rc = vhd_space_plan(img, &step, err);
        if (rc == 0)
            rc = vhd_space_run(img, &step, NULL);
        img->space.ahead = ahead;
    }
    if (rc < 0) {
        for (size_t i = 0; i < step.n_punch; i++)
            vec_push(&img->space.free, step.punch[i]);
        if (err)
            err_move(err, &first);
    } else {
        vhd_space_ready(img, &step);
    }
    err_done(&first);
    return rc;
}

void vhd_space_drop(struct vhd_image *img, uint32_t sector)
{
    vec_push(&img->space.pending, sector);
}

void vhd_space_flushed(struct vhd_image *img, size_t n_pending)
{
    struct vhd_space *s = &img->space;

    if (n_pending == 0)
        return;
    for (size_t i = 0; i < n_pending; i++)
        vec_push(&s->free, s->pending.v[i]);
    memmove(s->pending.v, s->pending.v + n_pending,
            (s->pending.n - n_pending) * sizeof(*s->pending.v));
    s->pending.n -= n_pending;
}
