/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of functions through which this library reaches files, so that a test can record every
 * write and play back what a disk may hold after a power cut. All return -1 with errno on failure.
 * Here too: how this library's errors are made. Thread: any; a handle belongs to one thread at a time. */
#ifndef VHD_VHD_IO_H
#define VHD_VHD_IO_H

#include "base/err.h"

enum {
    VHD_IO_WRITE = 1,  /* read and write; otherwise read only */
    VHD_IO_CREATE = 2, /* make it, EEXIST if there */
};

struct vhd_io_ops {
    int (*open)(void *ctx, const char *path, unsigned flags); /* a handle >= 0 */
    void (*close)(void *ctx, int handle);
    int (*size)(void *ctx, int handle, uint64_t *bytes_out);
    /* All bytes or an error; what lies past the end of the file reads as zeros. */
    int (*pread)(void *ctx, int handle, void *p, size_t len, uint64_t offset);
    int (*pwrite)(void *ctx, int handle, const void *p, size_t len, uint64_t offset);
    int (*allocate)(void *ctx, int handle, uint64_t offset,
                    uint64_t len); /* reads zeros; may grow */
    int (*punch)(void *ctx, int handle, uint64_t offset,
                 uint64_t len); /* reads zeros; never grows */
    int (*ftruncate)(void *ctx, int handle, uint64_t bytes);
    int (*fsync)(void *ctx, int handle);                        /* data and size */
    int (*rename)(void *ctx, const char *from, const char *to); /* replaces */
    int (*link)(void *ctx, const char *from, const char *to);   /* EEXIST if there */
    int (*unlink)(void *ctx, const char *path);
    int (*fsync_dir)(void *ctx, const char *path); /* the directory that holds path */
};

struct vhd_io {
    const struct vhd_io_ops *ops;
    void *ctx;
};

extern const struct vhd_io vhd_io_posix; /* handles are descriptors */

/* Both always return -1. status is a word for programs, the sentence is for people. */
int vhd_io_bad(struct err *err, const char *status, const char *fmt, ...) PRINTF(3, 4);
int vhd_io_failed(struct err *err, const char *doing, const char *path); /* from errno */
void *vhd_io_alloc(size_t count, size_t size, struct err *err)
    MUST_CHECK; /* zeroed; NULL with err */
#ifdef VHD_PLANT
extern long vhd_io_alloc_fails;
#endif
#endif
