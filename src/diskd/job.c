/* SPDX-License-Identifier: Apache-2.0 */
/* The merge of an image into its parent as the format's library does it, at the lowest I/O priority, so that guests come
 * first. Every step is done or not after a kill, and can be done again. One thread. */
#include "diskd/job.h"

#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "vhd/vhd_create.h"

#define IO_OF_PROCESS 1 /* ioprio_set(2) */
#define IO_IDLE       (3 << 13)

static int children(char **argv, size_t n, struct err *err)
{
    for (size_t i = 1; i < n; i++) {
        if (vhd_coalesce_child(&vhd_io_posix, argv[0], argv[i], err) < 0)
            return -1;
        (void)FAILPOINT("job.merge.child");
    }
    return 0;
}

int job_merge(const char *part, char **argv, size_t n)
{
    AUTO(err_done) struct err err = { 0 };
    int rc;

    if (syscall(SYS_ioprio_set, IO_OF_PROCESS, 0, IO_IDLE) < 0)
        log_debug("the I/O priority stays: %m");
    if (str_eq(part, "all"))
        rc = vhd_coalesce(&vhd_io_posix, argv[0], (const char *const *)argv + 1, n - 1,
                          &err);
    else if (str_eq(part, "copy"))
        rc = vhd_coalesce_into(&vhd_io_posix, argv[0], &err);
    else
        rc = children(argv, n, &err);
    if (rc == 0)
        return 0;
    bool backend = str_eq(err.code, ERR_SR_BACKEND_FAILURE) && err.n_params;
    printf("%s %s\n", backend ? err.params[0] : err.code, err.detail ? err.detail : "");
    return 1;
}
