/* SPDX-License-Identifier: Apache-2.0 */
/* Blobs: small files that belong to objects, an icon for instance. The record says what it is, STATE/blobs/UUID holds the
 * bytes; contents are replaced as a whole. For seraid's HTTP handler and for the start. */
#ifndef OPS_BLOB_H
#define OPS_BLOB_H

#include "ops/call.h"

#define BLOB_MAX_BYTES ((uint64_t)256 << 20)

/* At start: files of no blob go, sizes are those of the files. */
int blob_settle(struct err *err) MUST_CHECK EXCLUDES(db_mutex);

struct blob_file {
    int fd; /* owned; -1: it has no contents yet */
    uint64_t size;
    char *mime_type;
    bool is_public;
};

void blob_file_done(struct blob_file *f);
int blob_open(const struct ref *blob, struct blob_file *out, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
/* New contents: all that read gives until 0; -1 with errno is a failure. They count once they are durable; whatever fails
 * leaves the old ones. Errors: INVALID_VALUE beyond BLOB_MAX_BYTES, IMPORT_ERROR_PREMATURE_EOF, OUT_OF_SPACE. */
int blob_write(struct call *call, const struct ref *blob,
               ssize_t (*read)(void *arg, void *p, size_t n), void *arg, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
#endif
