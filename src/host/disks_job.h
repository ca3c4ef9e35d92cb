/* SPDX-License-Identifier: Apache-2.0 */
/* Work on images that no machine waits for, each in a serai-disk of its own that ends with us. Thread: any; blocking. */
#ifndef HOST_DISKS_JOB_H
#define HOST_DISKS_JOB_H

#include "base/err.h"
#include "base/proc.h"

/* binary: of serai-disk. Copied. Waits for the jobs of a daemon that has just died. */
int disks_job_init(const char *dir, const char *binary, struct err *err) MUST_CHECK;
void disks_job_done(void);
/* Run it with these arguments (argv[0] is put in front). Errors: TASK_CANCELLED("") when d is cancelled or passed: it has been
 * killed; SR_BACKEND_FAILURE(status, "", text) of what it says. */
int disks_job(const struct argv *args, const struct deadline *d, struct err *err)
    MUST_CHECK;

/* A process that serves the image at path to one connection, for reading: *fd_out, given. socket: a path to be used meanwhile.
 * It ends with us; at the latest with the thread that called. */
int disks_reader(const char *path, const char *socket, struct proc *p_out, int *fd_out,
                 struct err *err) MUST_CHECK;
void disks_reader_end(struct proc *p); /* also one that was not started */
#endif
