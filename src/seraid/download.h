/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that are streams of what a machine holds: a task tells how far, cancelling it ends the stream, and a stream that
 * goes wrong breaks off, for it has no other way to say so. */
#ifndef SERAID_DOWNLOAD_H
#define SERAID_DOWNLOAD_H

#include "ops/call.h"
#include "seraid/auth.h"

struct download {
    struct exchange *x;
    struct auth auth;
    struct call call; /* in whose name the request acts */
    bool endless;     /* the head told no length */
};

/* As auth_begin(): on failure the request has been answered. Afterwards one of download_refuse() and download_start(). */
int download_begin(struct download *d, struct exchange *x, uint8_t roles,
                   const char *permission, unsigned call_id) MUST_CHECK;
void download_refuse(struct download *d, int status, const struct err *err);
/* The head. length: UINT64_MAX: unknown. On failure, too, download_end() follows. */
int download_start(struct download *d, const char *file_name, uint64_t length,
                   struct err *err) MUST_CHECK;
/* arg: the struct download; as a struct sr_export_sink has them. Errors: SR_BACKEND_FAILURE, TASK_CANCELLED. */
int download_write(void *arg, const void *p, size_t n, struct err *err) MUST_CHECK;
int download_report(void *arg, double fraction, struct err *err) MUST_CHECK;
/* Ends the stream well, or with err->code breaks it off; tells the task. what: for the log. */
void download_end(struct download *d, const char *what, struct err *err);
#endif
