/* SPDX-License-Identifier: Apache-2.0 */
/* The lists. A jailed process has no capabilities, so most of this is refused to it anyway: the filter keeps it from
 * the code that decides so, where the kernel's privilege bugs have been. ENOSYS where programs have another way
 * (clone3, io_uring), EPERM elsewhere. Keeps no state. */
#include "base/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/io.h"
#include "base/mem.h"

/* Refused to all. */
static const char *const never[] = {
    "acct",
    "add_key",
    "bpf",
    "create_module",
    "delete_module",
    "finit_module",
    "get_kernel_syms",
    "init_module",
    "ioperm",
    "iopl",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "modify_ldt",
    "nfsservctl",
    "perf_event_open",
    "process_madvise",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "query_module",
    "quotactl",
    "quotactl_fd",
    "request_key",
    "swapoff",
    "swapon",
    "uselib",
    "userfaultfd",
    "ustat",
    "vm86",
    "vm86old",
    "kcmp",
    "open_by_handle_at",
    "name_to_handle_at",
};

/* Refused to who has no rights. */
static const char *const not_plain[] = {
    "adjtimex",      "chroot",        "clock_adjtime", "clock_settime", "execveat",
    "fanotify_init", "fanotify_mark", "fsconfig",      "fsmount",       "fsopen",
    "fspick",        "mbind",         "memfd_secret",  "migrate_pages", "mknod",
    "mknodat",       "mount",         "mount_setattr", "move_mount",    "move_pages",
    "msgget",        "open_tree",     "personality",   "pidfd_getfd",   "pivot_root",
    "reboot",        "semget",        "setdomainname", "setfsgid",      "setfsuid",
    "setgid",        "setgroups",     "sethostname",   "setns",         "setregid",
    "setresgid",     "setresuid",     "setreuid",      "settimeofday",  "setuid",
    "shmget",        "stime",         "syslog",        "umount",        "umount2",
    "unshare",       "vhangup",
};

/* Refused in a jail; a daemon's helpers may give up still more. */
static const char *const not_jailed[] = { "pidfd_open", "pidfd_send_signal",
                                          "landlock_create_ruleset" };

/* Not there without rights: their users do without. */
static const char *const absent[] = { "clone3", "io_uring_setup", "io_uring_enter",
                                      "io_uring_register" };

static int refuse(scmp_filter_ctx ctx, const char *const *names, size_t n, int error)
{
    for (size_t i = 0; i < n; i++) {
        int nr = seccomp_syscall_resolve_name(names[i]);
        /* Those of other machines have no number here. */
        int rc = nr < 0 ? 0 : seccomp_rule_add(ctx, SCMP_ACT_ERRNO((uint32_t)error), nr, 0);

        if (rc < 0)
            return rc;
    }
    return 0;
}

/* New namespaces; unix sockets only; no input pushed into a terminal. */
static int refuse_arguments(scmp_filter_ctx ctx)
{
    static const unsigned long flags[] = { CLONE_NEWNS,  CLONE_NEWCGROUP, CLONE_NEWUTS,
                                           CLONE_NEWIPC, CLONE_NEWUSER,   CLONE_NEWPID,
                                           CLONE_NEWNET };
    static const unsigned long ioctls[] = { TIOCSTI, 0x541c /* TIOCLINUX */ };
    int rc = 0;

    for (size_t i = 0; i < ARRAY_SIZE(flags) && rc == 0; i++)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                              SCMP_A0_64(SCMP_CMP_MASKED_EQ, flags[i], flags[i]));
    /* The kernel looks at 32 bits of an ioctl's number. */
    for (size_t i = 0; i < ARRAY_SIZE(ioctls) && rc == 0; i++)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                              SCMP_A1_64(SCMP_CMP_MASKED_EQ, 0xffffffff, ioctls[i]));
    return rc;
}

/* What each kind may have: the kernel's own (netlink) for taps, PAM's audit and lists of interfaces. No network for
 * what runs as root or in a jail, above all. */
static bool may_open(enum filter_kind kind, int family)
{
    switch (family) {
    case AF_UNIX: return true;
    case AF_NETLINK: return kind != FILTER_JAIL;
    case AF_INET:
    case AF_INET6: return kind == FILTER_DAEMON || kind == FILTER_SERVICE;
    default: return false;
    }
}

static int refuse_sockets(scmp_filter_ctx ctx, enum filter_kind kind)
{
    int rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
                              SCMP_A0_64(SCMP_CMP_GT, AF_NETLINK, 0));

    for (int family = 0; family <= AF_NETLINK && rc == 0; family++)
        if (!may_open(kind, family))
            rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
                                  SCMP_A0_64(SCMP_CMP_EQ, (unsigned)family, 0));
    return rc;
}

static int add_rules(scmp_filter_ctx ctx, enum filter_kind kind)
{
    int rc = refuse(ctx, never, ARRAY_SIZE(never), EPERM);

    if (rc == 0)
        rc = refuse_sockets(ctx, kind);
    if (rc == 0 && kind == FILTER_JAIL)
        rc = refuse(ctx, not_jailed, ARRAY_SIZE(not_jailed), EPERM);
    if (rc < 0 || kind == FILTER_HELPER || kind == FILTER_SERVICE)
        return rc;
    rc = refuse(ctx, not_plain, ARRAY_SIZE(not_plain), EPERM);
    if (rc == 0)
        rc = refuse(ctx, absent, ARRAY_SIZE(absent), ENOSYS);
    return rc == 0 ? refuse_arguments(ctx) : rc;
}

/* libseccomp writes the program to a descriptor. */
static int take_program(scmp_filter_ctx ctx, struct filter *out)
{
    AUTO(close_fd) int fd = memfd_create("filter", MFD_CLOEXEC);
    struct stat st;
    int rc = fd < 0 ? -errno : seccomp_export_bpf(ctx, fd);

    if (rc < 0 || fstat(fd, &st) < 0) {
        errno = rc < 0 ? -rc : errno;
        return -1;
    }
    AUTO(free_ptr) void *program = mem_alloc((size_t)st.st_size);

    if (io_pread_full(fd, program, (size_t)st.st_size, 0) < 0)
        return -1;
    *out = (struct filter){ TAKE(program), (size_t)st.st_size };
    return 0;
}

int filter_compile(enum filter_kind kind, struct filter *out)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    int rc;

    if (!ctx) {
        errno = ENOMEM;
        return -1;
    }
    /* A binary tree instead of a list: 100 comparisons for each system call become 7. */
    (void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    rc = add_rules(ctx, kind);
    if (rc < 0)
        errno = -rc;
    else
        rc = take_program(ctx, out);
    seccomp_release(ctx);
    return rc < 0 ? -1 : 0;
}

void filter_done(struct filter *f)
{
    free(f->program);
    *f = (struct filter){ 0 };
}

int filter_install(const struct filter *f)
{
    struct sock_fprog prog = {
        .len = (unsigned short)(f->size / sizeof(struct sock_filter)), .filter = f->program
    };

    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog);
}
