/* SPDX-License-Identifier: Apache-2.0 */
/* A disk as a stream in one of the formats that clients take. All are written in one go, front to back: what is where follows
 * from the map of what the disk holds, so that the length is known before the first byte. Thread: one at a time. */
#ifndef HOST_SR_EXPORT_H
#define HOST_SR_EXPORT_H

#include "base/uuid.h"
#include "host/sr_image.h"

enum sr_export_format {
    SR_EXPORT_RAW,
    SR_EXPORT_VHD,   /* dynamic, or with a base differencing */
    SR_EXPORT_QCOW2, /* version 3 */
    SR_EXPORT_TAR,   /* pieces of 1 MiB with checksums, as in an XVA */
    SR_EXPORT_NONE,
};

/* "raw", "vhd", "qcow2", "tar"; SR_EXPORT_NONE: no such format. */
enum sr_export_format sr_export_format(const char *name);

struct sr_export_spec {
    enum sr_export_format format;
    struct sr_image *image, *base; /* borrowed; base NULL: none. Only VHD has one */
    struct uuid uuid, base_uuid;
};

struct sr_export_sink {
    int (*write)(void *arg, const void *p, size_t n, struct err *err);
    /* From time to time; -1 with err ends the export. NULL: nobody asks. */
    int (*step)(void *arg, double fraction, struct err *err);
    void *arg;
};

struct sr_export;

struct sr_export *sr_export_new(const struct sr_export_spec *spec, struct err *err)
    MUST_CHECK;
void sr_export_free(struct sr_export **e);
uint64_t sr_export_bytes(const struct sr_export *e); /* UINT64_MAX: it is not known */
int sr_export_send(struct sr_export *e, const struct sr_export_sink *sink, struct err *err)
    MUST_CHECK;
/* The pieces of a disk within an archive, NAME/00000000 and so on, each with its checksum (XXH64, or as old readers want it,
 * SHA-1). Pieces of zeroes are left out, but for the first and the last. */
int sr_export_pieces(struct sr_image *i, const char *name, bool sha1,
                     const struct sr_export_sink *sink, struct err *err) MUST_CHECK;
#endif
