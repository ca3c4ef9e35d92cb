/* SPDX-License-Identifier: Apache-2.0 */
/* Storage repositories as drivers: files and sizes, no XenAPI. A driver knows nothing outside its own file and must not
 * assume that a repository is a directory of files (block devices follow). Thread: any; blocking up to the
 * deadline. Errors: SR_BACKEND_FAILURE_*, SR_FULL(requested, maximum), VDI_MISSING(sr, vdi), OUT_OF_SPACE. */
#ifndef HOST_SR_H
#define HOST_SR_H

#include "base/deadline.h"
#include "base/err.h"
#include "base/uuid.h"

struct sr_config {
    char uuid[UUID_TEXT_SIZE];
    const char *path; /* file and iso: the directory */
};

struct sr_space {
    uint64_t physical_size_bytes, physical_used_bytes;
};

struct sr_volume {
    char uuid[UUID_TEXT_SIZE]; /* iso: derived from the name, stable */
    const char *name; /* scan only: file name for isos; borrowed during the callback */
    uint64_t virtual_size_bytes, used_bytes;
    bool read_only;
    bool raw;                    /* bytes as they are, not an image */
    char parent[UUID_TEXT_SIZE]; /* the volume that this one continues; "": none */
};

enum sr_format { SR_FORMAT_IMAGE, SR_FORMAT_RAW };

enum sr_merge { SR_MERGE_ALL, SR_MERGE_COPY, SR_MERGE_CHILDREN };

/* A log of changed blocks: what was written through the volume of its name, since the volume of the parent's name was. */
struct sr_log {
    char uuid[UUID_TEXT_SIZE], parent[UUID_TEXT_SIZE]; /* parent "": none */
    uint64_t bytes;                                    /* of the disk */
};

typedef bool (*sr_log_fn)(const struct sr_log *l, void *arg);

struct sr_logs {
    /* From when it is opened for writing next, writes to the volume are noted, durably before they are answered. What there was
     * under that name is forgotten. parent: NULL: none. */
    int (*create)(const struct sr_config *sr, const char *volume, uint64_t bytes,
                  const char *parent, struct err *err);
    int (*remove)(const struct sr_config *sr, const char *log,
                  struct err *err); /* fine if absent */
    /* Its changes are added to n bytes of bits: one per 64 KiB, the highest of a byte first. VDI_MISSING(sr, log). */
    int (*add)(const struct sr_config *sr, const char *log, uint8_t *bits, size_t n,
               struct sr_log *out, struct err *err);
    int (*scan)(const struct sr_config *sr, sr_log_fn fn, void *arg, struct err *err);
};

typedef void (*sr_progress_fn)(double fraction, void *arg);
typedef bool (*sr_scan_fn)(const struct sr_volume *v, void *arg);

struct sr_ops {
    const char *type; /* SR.type: "ext", "file", "iso" */
    const char *name, *description, *content_type;
    const char *const *capabilities; /* SM.capabilities and features, NULL-terminated */
    int (*create)(const struct sr_config *sr, struct err *err);
    int (*attach)(
        const struct sr_config *sr,
        struct err *err); /* PBD.plug: check and make usable; removes half-made volumes */
    int (*detach)(const struct sr_config *sr, struct err *err);
    int (*destroy)(const struct sr_config *sr, struct err *err); /* only an empty one */
    int (*space)(const struct sr_config *sr, struct sr_space *out, struct err *err);
    int (*scan)(const struct sr_config *sr, sr_scan_fn fn, void *arg, struct err *err);
    int (*stat)(const struct sr_config *sr, const char *vdi, struct sr_volume *out,
                struct err *err);
    /* Volumes appear whole or not at all, also after a crash. Sizes are rounded up as the driver needs; *size_out true size. */
    int (*volume_create)(const struct sr_config *sr, const char *vdi, uint64_t size_bytes,
                         enum sr_format format, uint64_t *size_out, struct err *err);
    int (*volume_destroy)(const struct sr_config *sr, const char *vdi,
                          struct err *err); /* fine if absent */
    int (*volume_copy)(const struct sr_config *from, const char *src,
                       const struct sr_config *to, const char *dst,
                       const struct deadline *d, sr_progress_fn progress, void *arg,
                       struct err *err); /* sparse, reflink where possible */
    int (*volume_resize)(const struct sr_config *sr, const char *vdi, uint64_t size_bytes,
                         struct err *err); /* grow only */
    /* A file for what comes in, before it is a volume. Given. key NULL: without a name, gone with its descriptor. Else
     * (of digits and small letters) it stays until it is forgotten, or a day old; without make it must be there:
     * VDI_MISSING(sr, key). */
    int (*spool)(const struct sr_config *sr, const char *key, bool make, struct err *err);
    void (*spool_forget)(const struct sr_config *sr, const char *key); /* NULL: the old */
    /* It becomes a volume of that name. NULL where volumes have none. */
    int (*spool_place)(const struct sr_config *sr, const char *key, const char *name,
                       struct err *err);
    /* Descriptor of a raw volume for a machine. Given. */
    int (*volume_open)(const struct sr_config *sr, const char *vdi, bool read_only,
                       struct err *err);
    /* What follows is NULL where volumes cannot be images. */
    /* The file that a disk process serves. Given; *leaf_out NULL: the volume is raw. */
    int (*volume_leaf)(const struct sr_config *sr, const char *vdi, char **leaf_out,
                       struct err *err);
    /* A new volume that continues parent, which nobody writes to from now on. */
    int (*volume_child)(const struct sr_config *sr, const char *parent, const char *child,
                        struct err *err);
    /* Put what vdi holds into its parent, which has no other child. Its children (all that there are) then continue the
     * parent and vdi is gone; with none, the parent takes its name. Where others have vdi open, the halves: SR_MERGE_COPY
     * leaves all as it is but that the parent holds the same; after it, SR_MERGE_CHILDREN for those children that nobody
     * has open for writing. By a process of its own, killed with TASK_CANCELLED when d is cancelled; can be called again
     * after that, or a crash, as long as vdi is there. */
    int (*volume_merge)(const struct sr_config *sr, const char *vdi,
                        const char *const *children, size_t n, enum sr_merge part,
                        const struct deadline *d, struct err *err);
    const struct sr_logs *logs; /* NULL: changes cannot be tracked */
    /* The bytes of a volume of any kind, through its parents. Given. */
    struct sr_image *(*volume_image)(const struct sr_config *sr, const char *vdi,
                                     bool write, struct err *err);
};

extern const struct sr_ops sr_file; /* a directory of VHD images and raw files */
extern const struct sr_ops sr_ext;  /* the same under the type that XenServer calls it */
extern const struct sr_ops sr_iso;  /* a directory of ISO images, read-only */
const struct sr_ops *sr_by_type(const char *type); /* NULL: no such driver */
const struct sr_ops *const *sr_all(size_t *n_out);
#endif
