/* SPDX-License-Identifier: Apache-2.0 */
/* Child processes: no shell, explicit descriptors, a pidfd each. The only place that forks. */
#ifndef BASE_PROC_H
#define BASE_PROC_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/deadline.h"

/* An argument vector under construction; grows, NULL-terminated. */
struct argv {
    char **v;
    size_t n;
    size_t cap;
};

void argv_add(struct argv *a, const char *arg);
void argv_addf(struct argv *a, const char *fmt, ...) PRINTF(2, 3);
void argv_done(struct argv *a);

struct proc_fd {
    int fd;     /* ours, borrowed */
    int target; /* its number in the child */
};

struct proc_spec {
    const char *const *argv;   /* argv[0] is an absolute path or found in PATH */
    const char *const *env;    /* NULL: a minimal one (PATH, HOME, LANG=C.UTF-8, TERM) */
    const struct proc_fd *fds; /* 0, 1, 2 not named here are /dev/null */
    size_t n_fds;
    const char *cwd;
    int pid_fd; /* >= 0: the child writes its pid as decimal text and a newline before exec */
    bool session; /* setsid, default signals: outlives us and our terminal */
    bool
        die_with_parent; /* PR_SET_PDEATHSIG SIGKILL: when the *thread* that started it ends */
};

struct proc {
    pid_t pid;
    int pidfd;
};

/* Returns once exec has succeeded; signals are unblocked and default in the child; -1 with errno of what failed (ENOENT: no such program). */
int proc_start(const struct proc_spec *spec, struct proc *proc_out) MUST_CHECK;
/* Wait for a child's end. status_out as waitpid's. ETIMEDOUT/ECANCELED leave it running. */
int proc_wait(struct proc *p, const struct deadline *d, int *status_out) MUST_CHECK;
int proc_kill(const struct proc *p, int sig) MUST_CHECK;
void proc_close(struct proc *p); /* closes the pidfd only */
/* Run to the end, stdout and stderr (where not NULL) collected up to their max. Killed at the deadline. */
int proc_run(const char *const *argv, const char *input, struct buf *out,
             struct buf *errout, const struct deadline *d, int *status_out) MUST_CHECK;
bool proc_alive(pid_t pid); /* a zombie is not alive */
#endif
