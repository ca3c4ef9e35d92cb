/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the web console, read once from one directory: what the build put there is what is served, and no path of a
 * request ever reaches the file system. "assets/" holds files whose names carry a hash of their content. */
#ifndef SERAID_WEB_FILES_H
#define SERAID_WEB_FILES_H

#include "base/buf.h"
#include "base/err.h"

enum web_coding { WEB_PLAIN, WEB_GZIP, WEB_BROTLI, WEB_CODINGS };

struct web_file {
    char *path; /* as requests name it: "/", "/assets/app-1a2b3c.js" */
    const char *type;
    struct buf body[WEB_CODINGS]; /* empty: that form was not built */
    char etag[35];                /* quoted, of the plain form */
    bool immutable;               /* another content has another name */
};

#define WEB_FILES_MAX 256
#define WEB_FILE_MAX  (8 * 1024 * 1024)

/* Reads the directory; index.html becomes "/". Without that file there is no console: nothing is served, and that is no
 * error. Files of unknown kinds and hidden ones are left out. Before the first request. Errors: a file that cannot be read. */
int web_files_load(const char *directory, struct err *err) MUST_CHECK;
void web_files_done(void);
/* NULL: there is none. Borrowed, never changes. Thread: any. */
const struct web_file *web_files_find(const char *path);
/* The best form that the client takes, by its Accept-Encoding (may be NULL). */
enum web_coding web_files_choose(const struct web_file *f, const char *accept);
#endif
