/* SPDX-License-Identifier: Apache-2.0 */
/* Run in the place of the hypervisor, in its jail: tries to get out, one way after the other, each in a process of its
 * own, and says which succeeded. None does any harm where it succeeds: files are opened and not written, signals are 0.
 *
 *   probe [qemu] [NAME=VALUE...]    try everything; qemu: under a filter like that of QEMU's -sandbox as well
 *   probe control [NAME=VALUE...]   for comparison, as root and outside: each try gets mounts of its own to spoil
 *   probe sit                       sit there, to be attacked
 *   probe multiply                  how many processes can there be? "multiplied N", 1000 at most
 *
 * One line each, "NAME blocked TEXT" or "NAME escaped"; last "done N". Values: file, socket, abstract, port, pid, uid,
 * qmp, rootd. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/acct.h>
#include <sys/fanotify.h>
#include <sys/io.h>
#include <sys/ipc.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static char **args;

static const char *arg(const char *name)
{
    size_t n = strlen(name);

    for (char **a = args; *a; a++)
        if (strncmp(*a, name, n) == 0 && (*a)[n] == '=')
            return *a + n + 1;
    return "/nonexistent";
}

static long number(const char *name)
{
    return strtol(arg(name), NULL, 10);
}

/* A try returns >= 0 when it got what it wanted. */

static long reads(const char *path)
{
    return open(path, O_RDONLY);
}

static long writes(const char *path)
{
    return open(path, O_WRONLY);
}

static long creates(const char *path)
{
    long fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

    if (fd >= 0)
        (void)unlink(path);
    return fd;
}

static long connects(const char *path, bool abstract)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);

    (void)snprintf(sa.sun_path + abstract, sizeof(sa.sun_path) - 1, "%s", path);
    for (int type = SOCK_STREAM; type <= SOCK_SEQPACKET; type++) {
        int fd = socket(AF_UNIX, type, 0);

        if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, len) == 0)
            return fd;
    }
    return -1;
}

#define FILE_TRY(name, call)     \
    static long try_##name(void) \
    {                            \
        return call;             \
    }

FILE_TRY(host_file_read, reads(arg("file")))
FILE_TRY(host_file_write, writes(arg("file")))
FILE_TRY(host_file_by_dots, reads("../../../../../../../../etc/passwd"))
FILE_TRY(etc_passwd, reads("/etc/passwd"))
FILE_TRY(etc_shadow, reads("/etc/shadow"))
FILE_TRY(etc_directory, open("/etc", O_RDONLY | O_DIRECTORY))
FILE_TRY(home_of_root, open("/root", O_RDONLY | O_DIRECTORY))
FILE_TRY(run_directory, open("/run", O_RDONLY | O_DIRECTORY))
FILE_TRY(proc_self, reads("/proc/self/status"))
FILE_TRY(proc_1_root, open("/proc/1/root", O_PATH))
FILE_TRY(proc_1_mem, open("/proc/1/mem", O_RDWR))
FILE_TRY(proc_mount, mount("proc", "/", "proc", 0, NULL))
FILE_TRY(core_pattern, writes("/proc/sys/kernel/core_pattern"))
FILE_TRY(sysctl, writes("/proc/sys/kernel/domainname"))
FILE_TRY(sysrq, writes("/proc/sysrq-trigger"))
FILE_TRY(cgroup_leave, writes("/sys/fs/cgroup/pids/cgroup.procs"))
FILE_TRY(cgroup_list, open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY))
FILE_TRY(dev_null, open("/dev/null", O_RDWR))
FILE_TRY(dev_directory, open("/dev", O_RDONLY | O_DIRECTORY))
FILE_TRY(dev_kmsg, open("/dev/kmsg", O_WRONLY))
FILE_TRY(create_in_root, creates("/probe-was-here"))
FILE_TRY(create_in_tmp, creates("/tmp/probe-was-here"))
FILE_TRY(create_in_library, creates("/usr/lib/x86_64-linux-gnu/probe-was-here"))
FILE_TRY(create_in_firmware, creates("/usr/share/qemu/probe-was-here"))
FILE_TRY(directory_in_root,
         mkdir("/probe-was-here", 0700) == 0 ? rmdir("/probe-was-here") : -1)
FILE_TRY(link_in_root,
         symlink("/", "/probe-was-here") == 0 ? unlink("/probe-was-here") : -1)
FILE_TRY(write_library, writes("/lib64/ld-linux-x86-64.so.2"))
FILE_TRY(socket_of_host, connects(arg("socket"), false))
FILE_TRY(socket_abstract, connects(arg("abstract"), true))
FILE_TRY(socket_of_other_qmp, connects(arg("qmp"), false))
FILE_TRY(socket_of_rootd, connects(arg("rootd"), false))
FILE_TRY(socket_raw, socket(AF_INET, SOCK_RAW, IPPROTO_ICMP))
FILE_TRY(socket_packet, socket(AF_PACKET, SOCK_RAW, 0))
FILE_TRY(socket_udp, socket(AF_INET, SOCK_DGRAM, 0))
FILE_TRY(socket_tcp6, socket(AF_INET6, SOCK_STREAM, 0))
FILE_TRY(socket_netlink, socket(AF_NETLINK, SOCK_RAW, 0))
FILE_TRY(socket_vsock, socket(AF_VSOCK, SOCK_STREAM, 0))
FILE_TRY(socket_alg, socket(AF_ALG, SOCK_SEQPACKET, 0))
FILE_TRY(kill_other, kill((pid_t)number("pid"), 0))
FILE_TRY(pidfd_of_other, syscall(SYS_pidfd_open, number("pid"), 0))
FILE_TRY(ptrace_me, ptrace(PTRACE_TRACEME, 0, NULL, NULL))
FILE_TRY(ptrace_other, ptrace(PTRACE_SEIZE, (pid_t)number("pid"), NULL, NULL))
FILE_TRY(kcmp_, syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 1))
FILE_TRY(root_again, setuid(0))
FILE_TRY(other_vm_uid, setresuid((uid_t)number("uid"), (uid_t)number("uid"), (uid_t)-1))
FILE_TRY(root_group, setgid(0))
FILE_TRY(no_groups, syscall(SYS_setgroups, 0, NULL))
FILE_TRY(new_user_ns, unshare(CLONE_NEWUSER))
FILE_TRY(new_mount_ns, unshare(CLONE_NEWNS))
FILE_TRY(new_net_ns, unshare(CLONE_NEWNET))
FILE_TRY(mount_tmpfs, mount("none", "/", "tmpfs", 0, NULL))
FILE_TRY(remount_writable, mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL))
FILE_TRY(mount_bind, mount("/usr", "/lib64", NULL, MS_BIND, NULL))
FILE_TRY(unmount_root, umount2("/lib64/ld-linux-x86-64.so.2", MNT_DETACH))
FILE_TRY(pivot_root_, syscall(SYS_pivot_root, ".", "."))
FILE_TRY(chroot_, chroot("/"))
FILE_TRY(fsopen_, syscall(SYS_fsopen, "tmpfs", 0))
FILE_TRY(open_tree_, syscall(SYS_open_tree, AT_FDCWD, "/", 1))
FILE_TRY(userfaultfd_, syscall(SYS_userfaultfd, O_CLOEXEC))
FILE_TRY(keyctl_, syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1))
FILE_TRY(add_key_, syscall(SYS_add_key, "user", "probe", "x", 1, KEY_SPEC_THREAD_KEYRING))
FILE_TRY(io_ports, ioperm(0x80, 1, 1))
FILE_TRY(io_level, iopl(3))
FILE_TRY(hostname_, sethostname("probe", 5))
FILE_TRY(kernel_log, klogctl(3, (char[16]){ 0 }, 16))
FILE_TRY(swap_on, swapon("/nonexistent", 0) < 0 && errno == ENOENT ? 0 : -1)
FILE_TRY(module_, syscall(SYS_finit_module, -1, "", 0) < 0 && errno == EBADF ? 0 : -1)
FILE_TRY(kexec_, syscall(SYS_kexec_load, 0, 1, NULL, 0xff) < 0 && errno == EINVAL ? 0 : -1)
FILE_TRY(personality_, personality(ADDR_NO_RANDOMIZE))
FILE_TRY(fanotify_, fanotify_init(FAN_CLASS_CONTENT, O_RDONLY))
FILE_TRY(ipc_shm, shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600))
FILE_TRY(ipc_msg, msgget(IPC_PRIVATE, IPC_CREAT | 0600))
FILE_TRY(ipc_sem, semget(IPC_PRIVATE, 1, IPC_CREAT | 0600))
FILE_TRY(device_node, mknod("/probe-dev", S_IFCHR | 0600, makedev(1, 3)) == 0
                          ? unlink("/probe-dev")
                          : -1)
FILE_TRY(nice_, setpriority(PRIO_PROCESS, 0, -5))
FILE_TRY(ambient, prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0))
FILE_TRY(clock_, syscall(SYS_clock_settime, 1, NULL) < 0 && errno == EFAULT ? 0 : -1)

static long try_tcp_to_host(void)
{
    struct sockaddr_in sa = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)number("port")) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return fd < 0 ? -1 : connect(fd, (struct sockaddr *)&sa, sizeof(sa));
}

/* A directory left open would lead out of here. */
static long try_inherited_directory(void)
{
    struct stat st;

    for (int fd = 0; fd < 4096; fd++)
        if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
            return fd;
    errno = EBADF;
    return -1;
}

static long try_file_handle(void)
{
    struct {
        struct file_handle h;
        unsigned char space[128];
    } h = { .h.handle_bytes = 128 };

    int id;
    int rc = name_to_handle_at(AT_FDCWD, "/usr", &h.h, &id, 0);
    int dir = rc < 0 ? -1 : open("/usr", O_RDONLY);

    return rc < 0 ? -1 : open_by_handle_at(dir, &h.h, O_RDONLY);
}

static long try_read_memory(void)
{
    char a[4] = "abc", b[4];
    struct iovec from = { a, 4 }, to = { b, 4 };

    return process_vm_readv(getpid(), &to, 1, &from, 1, 0);
}

static long cloned(unsigned long flags)
{
    long pid = syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, 0);

    if (pid == 0)
        _exit(0);
    return pid;
}

static long try_clone_user_ns(void)
{
    return cloned(CLONE_NEWUSER);
}

static long try_clone_pid_ns(void)
{
    return cloned(CLONE_NEWPID | CLONE_NEWUTS);
}

static long try_clone3_user_ns(void)
{
    struct {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, size, tls;
    } a = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };

    long pid = syscall(SYS_clone3, &a, sizeof(a));

    if (pid == 0)
        _exit(0);
    return pid;
}

static long try_namespace_of_other(void)
{
    char path[64];
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/%ld/ns/mnt", number("pid"));
    fd = open(path, O_RDONLY);
    return fd < 0 ? -1 : setns(fd, 0);
}

/* What is run ends with 0, as a try that succeeds does. */
static long try_exec_shell(void)
{
    return execl("/bin/sh", "sh", "-c", "exit 0", NULL);
}

static long try_exec_true(void)
{
    return execl("/usr/bin/true", "true", NULL);
}

static long try_exec_memory(void)
{
    static char copy[1 << 20];
    int from = open("/bin/true", O_RDONLY), fd = memfd_create("x", 0);
    ssize_t n;

    if (from < 0) /* any program will do to see whether it is let through */
        from = open("/lib64/ld-linux-x86-64.so.2", O_RDONLY);
    n = read(from, copy, sizeof(copy));
    if (n <= 0 || write(fd, copy, (size_t)n) != n)
        return -1;
    return syscall(SYS_execveat, fd, "", (char *[]){ (char *)"true", NULL }, NULL,
                   AT_EMPTY_PATH);
}

static long try_capability(void)
{
    struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct d[2] = { { .effective = 1U << CAP_SYS_ADMIN,
                                             .permitted = 1U << CAP_SYS_ADMIN } };

    return syscall(SYS_capset, &h, d);
}

static long try_more_files(void)
{
    struct rlimit l = { 100000, 100000 };

    return setrlimit(RLIMIT_NOFILE, &l);
}

static long try_core_file(void)
{
    struct rlimit l = { 1, 1 };

    return setrlimit(RLIMIT_CORE, &l);
}

static long try_real_time(void)
{
    struct sched_param p = { .sched_priority = 1 };

    return sched_setscheduler(0, SCHED_FIFO, &p);
}

static long try_bpf_map(void)
{
    union bpf_attr a = {
        .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1
    };

    return syscall(SYS_bpf, BPF_MAP_CREATE, &a, sizeof(a));
}

static long try_perf(void)
{
    struct perf_event_attr a = { .type = PERF_TYPE_SOFTWARE,
                                 .size = sizeof(a),
                                 .config = PERF_COUNT_SW_CPU_CLOCK };

    return syscall(SYS_perf_event_open, &a, 0, -1, -1, 0);
}

static long try_io_uring(void)
{
    char params[256] = { 0 };

    return syscall(SYS_io_uring_setup, 4, params);
}

static long try_segments(void)
{
    char ldt[64];

    return syscall(SYS_modify_ldt, 0, ldt, sizeof(ldt));
}

/* System calls of the 32-bit kind, which a filter for the other would not see. */
static long try_calls_of_32_bits(void)
{
    long rc;

    __asm__ volatile("int $0x80"
                     : "=a"(rc)
                     : "a"(20L)
                     : "memory", "r8", "r9", "r10", "r11");
    return rc;
}

static long try_calls_of_x32(void)
{
    return syscall(0x40000000L | SYS_getpid);
}

static const struct {
    const char *name;
    long (*fn)(void);
} tries[] = {

#define T(name)           \
    {                     \
#        name, try_##name \
    }
    T(host_file_read),
    T(host_file_write),
    T(host_file_by_dots),
    T(etc_passwd),
    T(etc_shadow),
    T(etc_directory),
    T(home_of_root),
    T(run_directory),
    T(proc_self),
    T(proc_1_root),
    T(proc_1_mem),
    T(proc_mount),
    T(core_pattern),
    T(sysctl),
    T(sysrq),
    T(cgroup_leave),
    T(cgroup_list),
    T(dev_null),
    T(dev_directory),
    T(dev_kmsg),
    T(create_in_root),
    T(create_in_tmp),
    T(create_in_library),
    T(create_in_firmware),
    T(directory_in_root),
    T(link_in_root),
    T(write_library),
    T(socket_of_host),
    T(socket_abstract),
    T(socket_of_other_qmp),
    T(socket_of_rootd),
    T(socket_raw),
    T(socket_packet),
    T(socket_udp),
    T(socket_tcp6),
    T(socket_netlink),
    T(socket_vsock),
    T(socket_alg),
    T(kill_other),
    T(pidfd_of_other),
    T(ptrace_me),
    T(ptrace_other),
    T(kcmp_),
    T(root_again),
    T(other_vm_uid),
    T(root_group),
    T(no_groups),
    T(new_user_ns),
    T(new_mount_ns),
    T(new_net_ns),
    T(mount_tmpfs),
    T(remount_writable),
    T(mount_bind),
    T(unmount_root),
    T(pivot_root_),
    T(chroot_),
    T(fsopen_),
    T(open_tree_),
    T(userfaultfd_),
    T(keyctl_),
    T(add_key_),
    T(io_ports),
    T(io_level),
    T(hostname_),
    T(kernel_log),
    T(swap_on),
    T(module_),
    T(kexec_),
    T(personality_),
    T(fanotify_),
    T(ipc_shm),
    T(ipc_msg),
    T(ipc_sem),
    T(device_node),
    T(nice_),
    T(ambient),
    T(clock_),
    T(tcp_to_host),
    T(inherited_directory),
    T(file_handle),
    T(read_memory),
    T(clone_user_ns),
    T(clone_pid_ns),
    T(clone3_user_ns),
    T(namespace_of_other),
    T(exec_shell),
    T(exec_true),
    T(exec_memory),
    T(capability),
    T(more_files),
    T(core_file),
    T(real_time),
    T(bpf_map),
    T(perf),
    T(io_uring),
    T(segments),
    T(calls_of_32_bits),
    T(calls_of_x32),
};

/* The lists of qemu's softmmu/qemu-seccomp.c, all of them denied, as on our command lines. */
static void filter_like_qemu(void)
{
    static const char *const denied[] = {
        "reboot",
        "swapon",
        "swapoff",
        "syslog",
        "mount",
        "umount",
        "umount2",
        "kexec_load",
        "acct",
        "_sysctl",
        "create_module",
        "get_kernel_syms",
        "query_module",
        "sysfs",
        "uselib",
        "ustat",
        "setuid",
        "setgid",
        "setpgid",
        "setsid",
        "setreuid",
        "setregid",
        "setresuid",
        "setresgid",
        "setfsuid",
        "setfsgid",
        "fork",
        "vfork",
        "execve",
        "setpriority",
        "sched_setparam",
        "sched_setscheduler",
        "sched_setaffinity",
    };
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    int rc = ctx ? 0 : -1;

    for (size_t i = 0; i < COUNT(denied) && rc == 0; i++) {
        int nr = seccomp_syscall_resolve_name(denied[i]);

        rc = nr < 0 ? 0 : seccomp_rule_add(ctx, SCMP_ACT_KILL_PROCESS, nr, 0);
    }
    if (rc == 0) /* threads, but no processes */
        rc = seccomp_rule_add(ctx, SCMP_ACT_KILL_PROCESS, SCMP_SYS(clone), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    if (rc == 0)
        rc = seccomp_load(ctx);
    if (rc < 0) {
        printf("no filter: %d\n", rc);
        exit(2);
    }
}

static bool escaped(size_t i, const char *mode)
{
    int status;
    pid_t pid;

    (void)fflush(stdout);
    pid = fork();
    if (pid == 0) {
        (void)alarm(10);
        if (strcmp(mode, "qemu") == 0)
            filter_like_qemu();
        if (strcmp(mode, "control") == 0
            && (unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS) < 0
                || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0))
            _exit(EPERM);
        if (tries[i].fn() >= 0)
            _exit(0);
        _exit(errno > 1 ? errno : 1);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        printf("%s not tried: %m\n", tries[i].name);
        exit(2);
    }
    if (WIFSIGNALED(status))
        printf("%s blocked signal %d\n", tries[i].name, WTERMSIG(status));
    else if (WEXITSTATUS(status) == 0)
        printf("%s escaped\n", tries[i].name);
    else
        printf("%s blocked %d\n", tries[i].name, WEXITSTATUS(status));
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void multiply(void)
{
    int n = 0;

    for (pid_t pid = 0; n < 1000; n++) {
        pid = fork();
        if (pid == 0)
            for (;;)
                (void)pause(); /* until the first process of this namespace ends */
        if (pid < 0)
            break;
    }
    printf("multiplied %d\n", n);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    int n = 0;

    args = argv + 1;
    if (strcmp(mode, "sit") == 0) {
        puts("sitting");
        (void)fflush(stdout);
        for (;;)
            (void)pause();
    }
    if (strcmp(mode, "multiply") == 0) {
        multiply();
        return 0;
    }
    for (size_t i = 0; i < COUNT(tries); i++)
        n += escaped(i, mode);
    printf("done %d\n", n);
    return 0;
}
