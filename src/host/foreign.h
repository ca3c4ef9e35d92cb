/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of disks that come from outside, read by serai-image: a process of its own that can do nothing but read and write.
 * What it says is checked here for form and by the caller for sense. Thread: the one that opened it. */
#ifndef HOST_FOREIGN_H
#define HOST_FOREIGN_H

#include <sys/types.h>

#include "base/deadline.h"
#include "base/err.h"
#include "image/image_record.h"

enum foreign_kind { FOREIGN_VHD, FOREIGN_TAR, FOREIGN_XVA };

/* Where the stream comes from. */
struct foreign_source {
    ssize_t (*read)(void *arg, void *p, size_t n); /* some; 0: the end; -1 with errno */
    bool (*ready)(void *arg); /* bytes are at hand, whatever the descriptor says */
    int fd;                   /* readable when there may be more */
    void *arg;
};

struct foreign;

void foreign_init(const char *binary); /* of serai-image; copied */
const char *foreign_program(void);
struct foreign *foreign_open(enum foreign_kind kind, const struct foreign_source *source,
                             struct err *err) MUST_CHECK;
void foreign_close(struct foreign **f); /* its process is gone; fit for AUTO */
/* The next record, at most one payload long; payload_out: borrowed until the next call. IMAGE_ERROR becomes an error here.
 * Errors: those of image.h, TASK_CANCELLED by d's cancel_fd, IMPORT_ERROR_PREMATURE_EOF also when nothing comes for a
 * minute. */
int foreign_next(struct foreign *f, struct image_record *out, const uint8_t **payload_out,
                 int cancel_fd, struct err *err) MUST_CHECK;
uint64_t foreign_taken(const struct foreign *f); /* bytes of the source */
#endif
