/* SPDX-License-Identifier: Apache-2.0 */
/* A VM's cgroup: one directory of that name in cgroup v2, or one in each of four v1 hierarchies (cpu, memory, pids,
 * freezer), whichever the machine has. All are made below the cgroup that we run in, so that whatever bounds us
 * bounds them. Functions return -1 with errno. */
#ifndef ROOTD_CGROUP_H
#define ROOTD_CGROUP_H

#include <sys/types.h>

#include "base/deadline.h"

#define CGROUP_DIRS_MAX 4

struct cgroup {
    bool v2;
    size_t n; /* 0: the machine has none; VMs are then not bounded */

    struct cgroup_dir {
        const char *controller; /* v1; "" for v2 */
        char *path;             /* the parent of all VMs' */
    } dirs[CGROUP_DIRS_MAX];
};

struct cgroup_limits {
    uint64_t memory_max, cpu_weight, pids_max; /* 0: none */
};

enum cgroup_kind { CGROUP_AUTO, CGROUP_V1, CGROUP_V2 };

/* Look for them and make the parents. text: /proc/self/mountinfo and /proc/self/cgroup. */
int cgroup_find(enum cgroup_kind kind, const char *name, const char *mountinfo,
                const char *membership, struct cgroup *out) MUST_CHECK;
/* clear: v2; the group above is there for this alone, and who runs in it is moved out of the way, to a group "holder". */
int cgroup_make_parents(const struct cgroup *c, bool clear) MUST_CHECK;
/* Whether the parents have the memory controller: cgroup v2 gives it only to groups without processes beside groups. */
bool cgroup_bounds_memory(const struct cgroup *c);
void cgroup_done(struct cgroup *c);

int cgroup_create(const struct cgroup *c, const char *vm, const struct cgroup_limits *l)
    MUST_CHECK;
int cgroup_enter(const struct cgroup *c, const char *vm, pid_t pid) MUST_CHECK;
/* End every process in it and remove it. Fine if there is none. ETIMEDOUT: some process does not end. */
int cgroup_end(const struct cgroup *c, const char *vm, const struct deadline *d) MUST_CHECK;
#endif
