/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a volume, raw or image, for transfers and copies. Thread: one at a time; blocking. Errors:
 * SR_BACKEND_FAILURE, and SR_BACKEND_FAILURE("ENOSPC", ...) for a full file system. */
#ifndef HOST_SR_IMAGE_H
#define HOST_SR_IMAGE_H

#include "host/sr.h"

#define SR_IMAGE_PIECE (UINT64_C(2) << 20)

struct sr_image;

struct sr_image *sr_image_raw(int fd, uint64_t bytes); /* taken */
/* path: of the leaf; its parents are beside it. NULL: err. */
struct sr_image *sr_image_vhd(const char *path, bool write, struct err *err) MUST_CHECK;
void sr_image_close(struct sr_image *i); /* what was written may be lost */
void sr_image_cleanup(struct sr_image **i);
/* When it is closed. */
void sr_image_on_close(struct sr_image *i, void (*fn)(void *arg), void *arg);
/* Make what was written durable and the image whole. */
int sr_image_finish(struct sr_image *i, struct err *err) MUST_CHECK;

uint64_t sr_image_bytes(const struct sr_image *i);
/* Whole sectors within the disk. */
int sr_image_read(struct sr_image *i, void *p, uint64_t len, uint64_t offset,
                  struct err *err) MUST_CHECK;
/* Zeros take no space where nothing is there yet. */
int sr_image_write(struct sr_image *i, const void *p, uint64_t len, uint64_t offset,
                   struct err *err) MUST_CHECK;
/* The first stretch at or after *at that may hold data, at most a piece long; *len 0: there is none any more. */
int sr_image_next(struct sr_image *i, uint64_t *at, uint64_t *len, struct err *err)
    MUST_CHECK;
/* A bit (the highest of a byte first) for each piece that may hold data, or with base, that may hold something else than base
 * does. Given; *n_out: pieces. */
uint8_t *sr_image_pieces(struct sr_image *i, struct sr_image *base /* NULL: none */,
                         size_t *n_out, struct err *err) MUST_CHECK;
/* All data of one to another of at least that size. Errors: TASK_CANCELLED by d. */
int sr_image_copy(struct sr_image *from, struct sr_image *to, const struct deadline *d,
                  sr_progress_fn progress, void *arg, struct err *err) MUST_CHECK;
#endif
