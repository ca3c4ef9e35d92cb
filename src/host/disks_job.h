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
#endif
