/* SPDX-License-Identifier: Apache-2.0 */
/* Landlock keeps it from files, where the kernel has it; seccomp from sockets, other processes and names of files anywhere.
 * Runs in a process that becomes the program. */
#include "image/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define MEMORY_MAX \
    ((rlim_t)4 << 30) /* of addresses: stacks of its threads are most of it */

#define READS                                                  \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE \
     | LANDLOCK_ACCESS_FS_READ_DIR)
#define ALL                                                                \
    (READS | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR \
     | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR       \
     | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG           \
     | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO         \
     | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

static int allow(int ruleset, int fd, uint64_t access)
{
    struct landlock_path_beneath_attr rule = { .allowed_access = access, .parent_fd = fd };

    return (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule,
                        0);
}

static int allow_path(int ruleset, const char *path)
{
    AUTO(close_fd) int fd = open(path, O_PATH | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    return allow(ruleset, fd, READS);
}

/* A file that is named by its descriptor is opened again through /proc. */
static int restrict_files(int read_fd, int write_fd)
{
    static const char *const paths[] = { "/usr", "/lib", "/lib64" };
    const struct landlock_ruleset_attr attr = { .handled_access_fs = ALL };
    AUTO(close_fd)
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
    AUTO(close_fd) int cache = open("/etc/ld.so.cache", O_PATH | O_CLOEXEC);
    AUTO(close_fd) int null = open("/dev/null", O_PATH | O_CLOEXEC);

    if (ruleset < 0)
        return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : -1; /* an old kernel */
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        if (allow_path(ruleset, paths[i]) != 0)
            return -1;
    if (cache >= 0 && allow(ruleset, cache, LANDLOCK_ACCESS_FS_READ_FILE) != 0)
        return -1;
    if (null >= 0
        && allow(ruleset, null,
                 LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE)
               != 0)
        return -1;
    if (read_fd >= 0 && allow(ruleset, read_fd, LANDLOCK_ACCESS_FS_READ_FILE) != 0)
        return -1;
    if (write_fd >= 0
        && allow(ruleset, write_fd,
                 LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE)
               != 0)
        return -1;
    return (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
}

static int restrict_calls(void)
{
    static const char *const refused[] = {
        "socket",      "connect",
        "bind",        "listen",
        "accept",      "accept4",
        "sendto",      "kill",
        "tkill",       "pidfd_open",
        "ptrace",      "process_vm_readv",
        "unlink",      "unlinkat",
        "rename",      "renameat",
        "renameat2",   "link",
        "linkat",      "symlink",
        "symlinkat",   "mkdir",
        "mkdirat",     "mknod",
        "mknodat",     "chmod",
        "fchmodat",    "chown",
        "lchown",      "fchownat",
        "mount",       "unshare",
        "setns",       "truncate",
        "utimensat",   "setxattr",
        "bpf",         "keyctl",
        "userfaultfd", "io_uring_setup",
        "execveat",    "perf_event_open",
        "shmget",      "msgget",
        "semget",      "personality",
        "chroot",      "pivot_root",
    };
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    int rc = ctx ? 0 : -ENOMEM;

    for (size_t i = 0; i < ARRAY_SIZE(refused) && rc == 0; i++) {
        int nr = seccomp_syscall_resolve_name(refused[i]);

        if (nr >= 0)
            rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), nr, 0);
    }
    if (rc == 0)
        rc = seccomp_load(ctx);
    seccomp_release(ctx);
    errno = -rc;
    return rc == 0 ? 0 : -1;
}

static int limit(int what, rlim_t most)
{
    const struct rlimit l = { most, most };

    return setrlimit((__rlimit_resource_t)what, &l);
}

int jail_exec(char *const argv[], int read_fd, int write_fd, uint64_t file_bytes)
{
    static char path[] = "PATH=/usr/bin", lang[] = "LANG=C.UTF-8";
    char *const env[] = { path, lang, NULL };

    if (limit(RLIMIT_CORE, 0) != 0 || limit(RLIMIT_FSIZE, file_bytes) != 0
        || limit(RLIMIT_NOFILE, 64) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
        || restrict_files(read_fd, write_fd) != 0
        || restrict_calls() != 0
        /* Last: a sanitizer in this process has more addresses than that already. */
        || limit(RLIMIT_AS, MEMORY_MAX) != 0)
        return -1;
    (void)execve(argv[0], argv, env);
    return -1;
}
