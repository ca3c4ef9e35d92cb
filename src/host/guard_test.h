/* SPDX-License-Identifier: Apache-2.0 */
/* For tests that run machines: guests outlive those who start them, so after a failed check nobody would end them. */
#ifndef HOST_GUARD_TEST_H
#define HOST_GUARD_TEST_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/test.h"
#include "host/machine_dir.h"

static inline void guard_end_one(const char *uuid, void *arg)
{
    struct proc p;

    if (machine_dir_alive(arg, uuid, &p) && p.pidfd >= 0)
        (void)!proc_kill(&p, SIGKILL);
}

/* Have a child of its own session end all machines under runtime as soon as the calling test is gone. */
static inline void guard_machines(char *runtime)
{
    int fds[2];
    char c;

    CHECK(pipe2(fds, O_CLOEXEC) == 0);
    if (fork() != 0) {
        (void)close(fds[0]);
        return; /* fds[1] closes with the test */
    }
    (void)setsid();
    (void)close(fds[1]);
    while (read(fds[0], &c, 1) < 0 && errno == EINTR) {
    }
    (void)!machine_dir_each(runtime, guard_end_one, runtime, NULL);
    _exit(0);
}
#endif
