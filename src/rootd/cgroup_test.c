/* SPDX-License-Identifier: Apache-2.0 */
#include "rootd/cgroup.h"

#include <errno.h>

#include "base/mem.h"
#include "base/test.h"

#define V1_MOUNTS                                                                 \
    "25 20 0:21 / /proc rw,relatime - proc proc rw\n"                             \
    "30 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" \
    "31 25 0:27 / /sys/fs/cgroup/memory rw shared:3 - cgroup cgroup rw,memory\n"  \
    "32 25 0:28 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"               \
    "33 25 0:29 /box /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n"
#define V2_MOUNT "34 25 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
#define V1_OWN   "4:cpu,cpuacct:/\n3:memory:/a/b\n2:pids:/\n1:freezer:/box/x\n"

TEST(version_one)
{
    struct cgroup c;

    CHECK(cgroup_find(CGROUP_AUTO, "vm", V1_MOUNTS V2_MOUNT, V1_OWN "0::/\n", &c) == 0);
    CHECK(!c.v2);
    CHECK_INT(c.n, 4);
    CHECK_STR(c.dirs[0].path, "/sys/fs/cgroup/cpu,cpuacct/vm");
    CHECK_STR(c.dirs[1].path, "/sys/fs/cgroup/memory/a/b/vm");
    CHECK_STR(c.dirs[2].path, "/sys/fs/cgroup/pids/vm");
    CHECK_STR(c.dirs[3].path, "/sys/fs/cgroup/freezer/x/vm");
    cgroup_done(&c);
}

TEST(version_two)
{
    struct cgroup c;

    CHECK(cgroup_find(CGROUP_V2, "vm", V1_MOUNTS V2_MOUNT, V1_OWN "0::/s.slice/r\n", &c)
          == 0);
    CHECK(c.v2 && c.n == 1);
    CHECK_STR(c.dirs[0].path, "/sys/fs/cgroup/unified/s.slice/r/vm");
    cgroup_done(&c);
    CHECK(cgroup_find(CGROUP_AUTO, "vm", V2_MOUNT, "0::/\n", &c) == 0);
    CHECK(c.v2);
    CHECK_STR(c.dirs[0].path, "/sys/fs/cgroup/unified/vm");
    cgroup_done(&c);
}

TEST(none)
{
    struct cgroup c;

    CHECK(cgroup_find(CGROUP_AUTO, "vm", "", "", &c) == 0);
    CHECK_INT(c.n, 0);
    CHECK(cgroup_find(CGROUP_V2, "vm", V1_MOUNTS, V1_OWN, &c) < 0 && errno == ENOENT);
    CHECK(cgroup_find(CGROUP_V1, "vm", V2_MOUNT, "0::/\n", &c) < 0 && errno == ENOENT);
    /* One controller short, and lines cut short. */
    CHECK(cgroup_find(CGROUP_V1, "vm", V1_MOUNTS, "4:cpu,cpuacct:/\n3:memory\n2:", &c) < 0);
    CHECK(
        cgroup_find(CGROUP_AUTO, "vm", "33 25 - \n - cgroup\n1 - cgroup a pids", V1_OWN, &c)
        == 0);
    CHECK_INT(c.n, 0);
}
