/* SPDX-License-Identifier: Apache-2.0 */
/* Making images and changing what their headers say: create, snapshot and clone (a child of an image),
 * grow, re-parent. Each is entirely done or entirely absent after a power cut. Blocking. */
#ifndef VHD_VHD_CREATE_H
#define VHD_VHD_CREATE_H

#include "vhd/vhd_chain.h"

struct vhd_create_spec {
    enum vhd_type type;
    uint64_t bytes;           /* multiple of 512; a child takes its parent's when 0 */
    struct uuid uuid;         /* all zero: a new one */
    struct vhd_image *parent; /* VHD_DIFFERENCING: open, in the same directory; borrowed */
};

/* The file appears whole and durable, or not at all; EEXIST if there is one. */
int vhd_create(const struct vhd_io *io, const char *path,
               const struct vhd_create_spec *spec, struct err *err) MUST_CHECK;
/* A child of the image at parent_path, which nobody may write to from now on. Snapshot and clone both. */
int vhd_create_child(const struct vhd_io *io, const char *parent_path, const char *path,
                     struct err *err) MUST_CHECK;

/* Grow the disk; the leaf is open for writing, and may be in use between two requests. */
int vhd_resize(struct vhd_chain *c, uint64_t bytes, struct err *err) MUST_CHECK;

/* Let child (open for writing) continue parent: the content of the two must make that right. */
int vhd_reparent(struct vhd_image *child, const struct vhd_image *parent, struct err *err)
    MUST_CHECK;

/* Opening for writing: a header change that a crash cut off after it took effect is completed. */
int vhd_create_settle(struct vhd_image *img, struct err *err) MUST_CHECK;

/* vhd_coalesce.c. Merge the image at path into its parent and remove it. children: all images whose parent
 * it is; with none, the parent takes its name (leaf coalesce). The parent may have no other child. Can be
 * called again after a crash at any point, as long as path is there. */
int vhd_coalesce(const struct vhd_io *io, const char *path, const char *const *children,
                 size_t n, struct err *err) MUST_CHECK;
/* Its two halves, where others have the image open: its content into the parent, durably; then one child, which nobody has
 * open for writing, continues the parent. The image may be removed when all who have it open have let go of it. */
int vhd_coalesce_into(const struct vhd_io *io, const char *path, struct err *err)
    MUST_CHECK;
int vhd_coalesce_child(const struct vhd_io *io, const char *path, const char *child,
                       struct err *err) MUST_CHECK;
/* The parts, for a process that has the chain open: copy what img holds into the leaf of parent. */
int vhd_coalesce_copy(struct vhd_image *img, struct vhd_chain *parent, struct err *err)
    MUST_CHECK;
#endif
