/* SPDX-License-Identifier: Apache-2.0 */
/* A raw file by its descriptor, or a chain of images by the format's library. Owns neither records nor exclusion: who may
 * open what is the caller's to know. Thread: one at a time. */
#include "host/sr_image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "vhd/vhd_cbt.h"
#include "vhd/vhd_create.h"

#define PAGE UINT64_C(4096) /* zeros of this length and alignment are not written */

struct sr_image {
    int fd; /* -1: not raw */
    uint64_t bytes;
    struct vhd_chain *chain;
    void (*closed)(void *arg);
    void *arg;
};

struct sr_image *sr_image_raw(int fd, uint64_t bytes)
{
    struct sr_image *i = mem_alloc(sizeof(*i));

    i->fd = fd;
    i->bytes = bytes;
    return i;
}

struct sr_image *sr_image_vhd(const char *path, bool write, struct err *err)
{
    AUTO(vhd_chain_cleanup) struct vhd_chain *chain = NULL;

    if (vhd_chain_open(&vhd_io_posix, path, write ? VHD_OPEN_WRITE : 0, &chain, err) < 0
        || (write
            && vhd_cbt_open_beside(&vhd_io_posix, path, chain->bytes, &chain->cbt, err)
                   < 0))
        return NULL;
    /* written once and in large pieces: it should stay small */
    if (write && vhd_chain_leaf(chain)->kind == VHD_KIND_DYNAMIC)
        vhd_space_sparse(vhd_chain_leaf(chain));
    struct sr_image *i = mem_alloc(sizeof(*i));
    i->fd = -1;
    i->bytes = chain->bytes;
    i->chain = TAKE(chain);
    return i;
}

void sr_image_close(struct sr_image *i)
{
    if (!i)
        return;
    close_fd(&i->fd);
    if (i->chain) {
        vhd_cbt_close(i->chain->cbt);
        vhd_chain_close(i->chain);
    }
    if (i->closed)
        i->closed(i->arg);
    free(i);
}

void sr_image_on_close(struct sr_image *i, void (*fn)(void *arg), void *arg)
{
    i->closed = fn;
    i->arg = arg;
}

void sr_image_cleanup(struct sr_image **i)
{
    sr_image_close(TAKE(*i));
}

int sr_image_finish(struct sr_image *i, struct err *err)
{
    if (i->chain && vhd_chain_finish(i->chain, err) < 0)
        return -1;
    if (i->chain)
        return i->chain->cbt ? vhd_cbt_finish(i->chain->cbt, err) : 0;
    return fsync(i->fd) < 0 ? vhd_io_failed(err, "flushing", "the volume") : 0;
}

uint64_t sr_image_bytes(const struct sr_image *i)
{
    return i->bytes;
}

int sr_image_read(struct sr_image *i, void *p, uint64_t len, uint64_t offset,
                  struct err *err)
{
    if (i->chain)
        return vhd_chain_read(i->chain, p, len, offset, err);
    return io_pread_full(i->fd, p, (size_t)len, offset) < 0
               ? vhd_io_failed(err, "reading", "the volume")
               : 0;
}

static bool is_zero(const uint8_t *p, uint64_t len)
{
    return p[0] == 0 && memcmp(p, p + 1, (size_t)len - 1) == 0;
}

/* Nothing in [at, at + len) takes space, so that zeros need not be written there. */
static bool is_hole(struct sr_image *i, uint64_t at, uint64_t len)
{
    if (i->chain) {
        uint64_t n = 0;
        int layer = -1;

        return vhd_chain_status(i->chain, at, &n, &layer, NULL) == 0 && layer < 0
               && n >= len;
    }
    off_t data = lseek(i->fd, (off_t)at, SEEK_DATA);
    return data < 0 ? errno == ENXIO : (uint64_t)data >= at + len;
}

static int put(struct sr_image *i, const uint8_t *p, uint64_t len, uint64_t at,
               struct err *err)
{
    if (!len)
        return 0;
    if (i->chain)
        return vhd_chain_write(i->chain, p, len, at, err);
    return io_pwrite_full(i->fd, p, (size_t)len, at) < 0
               ? vhd_io_failed(err, "writing", "the volume")
               : 0;
}

static int put_zeros(struct sr_image *i, const uint8_t *p, uint64_t len, uint64_t at,
                     struct err *err)
{
    if (is_hole(i, at, len))
        return 0;
    return i->chain ? vhd_chain_zero(i->chain, len, at, err) : put(i, p, len, at, err);
}

/* Runs of pages that are zero and runs that are not, each in one go. */
int sr_image_write(struct sr_image *i, const void *data, uint64_t len, uint64_t offset,
                   struct err *err)
{
    const uint8_t *p = data;
    uint64_t from = 0;

    while (from < len) {
        uint64_t to = from, step = MIN(PAGE - (offset + from) % PAGE, len - from);
        bool zero = is_zero(p + from, step);

        do {
            to += step;
            step = MIN(PAGE, len - to);
        } while (to < len && is_zero(p + to, step) == zero);
        if ((zero ? put_zeros(i, p + from, to - from, offset + from, err)
                  : put(i, p + from, to - from, offset + from, err))
            < 0)
            return -1;
        from = to;
    }
    return 0;
}

static int next_raw(struct sr_image *i, uint64_t *at, uint64_t *len, struct err *err)
{
    off_t data = lseek(i->fd, (off_t)*at, SEEK_DATA), hole;

    *len = 0;
    if (data < 0 && errno == ENXIO)
        return 0;
    hole = data < 0 ? -1 : lseek(i->fd, data, SEEK_HOLE);
    if (hole < 0) { /* a file system without holes */
        data = (off_t)*at;
        hole = (off_t)i->bytes;
    }
    *at = (uint64_t)data / VHD_SECTOR * VHD_SECTOR;
    *len = MIN((uint64_t)hole, i->bytes) - MIN(*at, i->bytes);
    return 0;
}

int sr_image_next(struct sr_image *i, uint64_t *at, uint64_t *len, struct err *err)
{
    int layer = -1;

    *len = 0;
    if (*at >= i->bytes)
        return 0;
    if (!i->chain) {
        if (next_raw(i, at, len, err) < 0)
            return -1;
    } else {
        while (*at < i->bytes && layer < 0) {
            if (vhd_chain_status(i->chain, *at, len, &layer, err) < 0)
                return -1;
            if (layer < 0)
                *at += *len;
        }
        *len = layer < 0 ? 0 : MIN(*len, i->bytes - *at);
    }
    *len = MIN(*len, SR_IMAGE_PIECE - *at % SR_IMAGE_PIECE);
    return 0;
}

static void mark(uint8_t *bits, size_t n, uint64_t at)
{
    uint64_t piece = at / SR_IMAGE_PIECE;

    if (piece < n)
        bits[piece / 8] |= (uint8_t)(0x80 >> piece % 8);
}

static int mark_data(struct sr_image *i, uint8_t *bits, size_t n, struct err *err)
{
    uint64_t at = 0, len = 0;

    for (;; at = (at / SR_IMAGE_PIECE + 1) * SR_IMAGE_PIECE) {
        if (sr_image_next(i, &at, &len, err) < 0)
            return -1;
        if (len == 0)
            return 0;
        mark(bits, n, at);
    }
}

/* Whatever the table of a layer names. */
static void mark_layer(const struct vhd_image *layer, uint8_t *bits, size_t n)
{
    if (layer->kind != VHD_KIND_DYNAMIC) {
        memset(bits, 0xff, (n + 7) / 8);
        return;
    }
    for (uint32_t k = 0; k < layer->n_blocks; k++)
        if (layer->bat[k] != VHD_ABSENT)
            mark(bits, n, (uint64_t)k * layer->block_bytes);
}

/* What two chains do not share. */
static void mark_layers(const struct vhd_chain *a, const struct vhd_chain *b, uint8_t *bits,
                        size_t n)
{
    size_t same = 0;

    while (same < a->n && same < b->n && str_eq(a->layer[same]->path, b->layer[same]->path))
        same++;
    for (size_t k = same; k < a->n; k++)
        mark_layer(a->layer[k], bits, n);
    for (size_t k = same; k < b->n; k++)
        mark_layer(b->layer[k], bits, n);
}

uint8_t *sr_image_pieces(struct sr_image *i, struct sr_image *base, size_t *n_out,
                         struct err *err)
{
    size_t n = (size_t)((i->bytes + SR_IMAGE_PIECE - 1) / SR_IMAGE_PIECE);
    AUTO(free_ptr) uint8_t *bits = mem_alloc(n / 8 + 1);

    if (base && i->chain && base->chain)
        mark_layers(i->chain, base->chain, bits, n);
    else if (mark_data(i, bits, n, err) < 0 || (base && mark_data(base, bits, n, err) < 0))
        return NULL;
    *n_out = n;
    return TAKE(bits);
}

static int interrupted(const struct deadline *d, struct err *err)
{
    struct deadline now = { .at_us = MIN(clock_now_us(), d->at_us),
                            .cancel_fd = d->cancel_fd };

    if (deadline_poll(&now, -1, 0) < 0 && errno == ECANCELED)
        return err_set(err, ERR_TASK_CANCELLED, "");
    if (deadline_passed(d))
        return err_set(err, ERR_SR_BACKEND_FAILURE, "", "", "The copy took too long");
    return 0;
}

int sr_image_copy(struct sr_image *from, struct sr_image *to, const struct deadline *d,
                  sr_progress_fn progress, void *arg, struct err *err)
{
    AUTO(free_ptr) uint8_t *piece = mem_alloc(SR_IMAGE_PIECE);
    uint64_t at = 0, len = 0;

    for (;; at += len) {
        if (interrupted(d, err) < 0 || sr_image_next(from, &at, &len, err) < 0)
            return -1;
        if (len == 0)
            return 0;
        if (sr_image_read(from, piece, len, at, err) < 0
            || sr_image_write(to, piece, len, at, err) < 0)
            return -1;
        if (progress)
            progress((double)(at + len) / (double)from->bytes, arg);
    }
}
