/* SPDX-License-Identifier: Apache-2.0 */
/* The list is the dynamic loader's own: it is run with --list on the program and on each module, so that there is no
 * second opinion about where libraries are. It is made at our start, and again when the program has changed (a package
 * was upgraded): jail_enter() itself only mounts. All in the jail has the path that it has outside, the real one; another name of
 * it is a symbolic link there too.
 *
 * Thread: the only one. jail_enter runs in the child that becomes the hypervisor. */
#include "rootd/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/proc.h"

/* Not <sys/mount.h>: it and <linux/mount.h> define the same names. */
int mount(const char *source, const char *target, const char *type, unsigned long flags,
          const void *data);
int umount2(const char *target, int flags);
#define MS_NOSUID_      2UL
#define MS_NODEV_       4UL
#define MS_BIND_        4096UL
#define MS_REC_PRIVATE_ (16384UL | (1UL << 18))
#define MS_NOEXEC_      8UL
#define MNT_DETACH_     2

#define LOADER  "/lib64/ld-linux-x86-64.so.2"
#define MODULES "/usr/lib/x86_64-linux-gnu/qemu/accel-tcg-*.so"

static const char *const firmware[] = { "/usr/share/qemu", "/usr/share/seabios",
                                        "/usr/share/ovmf", "/usr/share/OVMF",
                                        "/usr/lib/ipxe/qemu" };

static void add_one(struct jail *j, const char *path, const char *link, bool dir)
{
    for (size_t i = 0; i < j->n; i++)
        if (str_eq(j->binds[i].path, path))
            return;
    if (j->n == j->cap) {
        j->cap = j->cap ? j->cap * 2 : 64;
        j->binds = mem_resize(j->binds, j->cap, sizeof(j->binds[0]));
    }
    j->binds[j->n++] = (struct jail_bind){ str_dup(path), str_dup(link), dir };
}

/* Under the name given, and under its real one: who opens a library by either finds it. False: it is not there. */
static bool add(struct jail *j, const char *path)
{
    AUTO(free_str) char *real = realpath(path, NULL);
    struct stat st;

    if (!real || stat(real, &st) < 0 || path[0] != '/')
        return false;
    add_one(j, real, NULL, S_ISDIR(st.st_mode));
    add_one(j, path, real, S_ISDIR(st.st_mode)); /* nothing if it is the same */
    return true;
}

bool jail_add_listed(struct jail *j, const char *list)
{
    bool ok = true;

    for (const char *line = list; *line && ok;) {
        size_t len = strcspn(line, "\n");
        AUTO(free_str) char *text = str_dupn(line, len);
        char *end = strstr(text, " (0x"), *path = strchr(text, '/');

        line += len + (line[len] == '\n');
        if (end)
            *end = '\0';
        if (strstr(text, "=> not found"))
            ok = false;
        else if (end && path && path < end) /* else the kernel's own: linux-vdso.so.1 */
            ok = add(j, path);
    }
    return ok;
}

static int add_program(struct jail *j, const char *path)
{
    struct deadline d = deadline_in(20 * US_PER_SEC);
    AUTO(buf_done) struct buf out = BUF_INIT((size_t)64 * 1024);
    const char *argv[] = { LOADER, "--list", path, NULL };
    int status;

    if (proc_run(argv, NULL, &out, NULL, &d, &status) < 0)
        return -1;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || buf_overflow(&out)
        || !jail_add_listed(j, buf_str(&out)) || !add(j, path)) {
        errno = ENOEXEC;
        return -1;
    }
    return 0;
}

static int64_t changed_ns(const char *path)
{
    struct stat st;

    return stat(path, &st) < 0
               ? -1
               : st.st_ctim.tv_sec * INT64_C(1000000000) + st.st_ctim.tv_nsec;
}

int jail_plan(const char *program, bool hypervisor, struct jail *out)
{
    struct jail j = { .changed_ns = changed_ns(program) };
    glob_t modules = { 0 };
    int rc = add_program(&j, program);

    if (rc == 0 && hypervisor && glob(MODULES, 0, NULL, &modules) == 0)
        for (size_t i = 0; i < modules.gl_pathc && rc == 0; i++)
            rc = add_program(&j, modules.gl_pathv[i]);
    globfree(&modules);
    for (size_t i = 0; hypervisor && i < ARRAY_SIZE(firmware) && rc == 0; i++)
        (void)add(&j, firmware[i]); /* what is not installed is not needed */
    if (rc < 0) {
        jail_done(&j);
        return -1;
    }
    *out = j;
    return 0;
}

void jail_done(struct jail *j)
{
    for (size_t i = 0; i < j->n; i++) {
        free(j->binds[i].path);
        free(j->binds[i].link);
    }
    free(j->binds);
    *j = (struct jail){ 0 };
}

bool jail_is_stale(const struct jail *j, const char *program)
{
    return changed_ns(program) != j->changed_ns;
}

/* Below the current directory, which is the new root: path without its first slash. */
static int make_parents(const char *path)
{
    AUTO(free_str) char *copy = str_dup(path + 1);

    for (char *s = strchr(copy, '/'); s; s = strchr(s + 1, '/')) {
        *s = '\0';
        if (mkdir(copy, 0755) < 0 && errno != EEXIST)
            return -1;
        *s = '/';
    }
    return 0;
}

/* An empty file or directory to mount on. */
static int make_place(const char *path, bool dir)
{
    AUTO(close_fd) int fd = -1;

    if (make_parents(path) < 0)
        return -1;
    if (dir)
        return mkdir(path + 1, 0755) < 0 && errno != EEXIST ? -1 : 0;
    fd = open(path + 1, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    return fd < 0 ? -1 : 0;
}

static int bind_same(const char *path, bool dir)
{
    return make_place(path, dir) < 0 ? -1 : mount(path, path + 1, NULL, MS_BIND_, NULL);
}

static int show(const struct jail_bind *b)
{
    if (!b->link)
        return bind_same(b->path, b->dir);
    return make_parents(b->path) < 0 ? -1 : symlink(b->link, b->path + 1);
}

int jail_detach(int fd, bool dir)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || !(dir ? S_ISDIR(st.st_mode) : S_ISREG(st.st_mode))) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_open_tree, fd, "",
                        OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
}

static int show_detached(int tree, const char *path, bool dir)
{
    if (tree < 0)
        return 0;
    return make_place(path, dir) < 0 ? -1
                                     : (int)syscall(SYS_move_mount, tree, "", AT_FDCWD,
                                                    path + 1, MOVE_MOUNT_F_EMPTY_PATH);
}

static int set_attributes(const char *path, unsigned flags, uint64_t set)
{
    struct mount_attr attr = { .attr_set = set };

    return (int)syscall(SYS_mount_setattr, AT_FDCWD, path, flags, &attr, sizeof(attr));
}

/* Something that may be opened for reading and writing. */
static int open_again(const char *path, bool device)
{
    struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOEXEC,
                               .attr_clr = MOUNT_ATTR_RDONLY
                                           | (device ? MOUNT_ATTR_NODEV : 0) };

    return (int)syscall(SYS_mount_setattr, AT_FDCWD, path, 0, &attr, sizeof(attr));
}

const char *jail_enter(const struct jail *j, const struct jail_extra *x, const char *at)
{
    const uint64_t closed = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;

    if (mount(NULL, "/", NULL, MS_REC_PRIVATE_, NULL) < 0)
        return "private mounts";
    if (mount("none", at, "tmpfs", MS_NOSUID_ | MS_NODEV_ | MS_NOEXEC_,
              "mode=0755,size=64k,nr_inodes=512")
            < 0
        || chdir(at) < 0)
        return "tmpfs";
    for (size_t i = 0; i < j->n; i++)
        if (show(&j->binds[i]) < 0)
            return j->binds[i].path;
    if (show_detached(x->kernel, "/kernel", false) < 0
        || show_detached(x->initrd, "/initrd", false) < 0
        || show_detached(x->state, "/state", false) < 0
        || show_detached(x->disks, "/disks", true) < 0)
        return "kernel";
    if (show_detached(x->resolver, "/etc/resolv.conf", false) < 0)
        return "/etc/resolv.conf";
    if ((x->kvm && bind_same("/dev/kvm", false) < 0)
        || (x->random && bind_same("/dev/urandom", false) < 0))
        return "/dev";
    if (set_attributes(".", AT_RECURSIVE, closed) < 0
        || (x->kvm && open_again("dev/kvm", true) < 0)
        || (x->random && open_again("dev/urandom", true) < 0)
        || (x->state >= 0 && open_again("state", false) < 0))
        return "read-only";
    if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH_) < 0
        || chdir("/") < 0)
        return "pivot_root";
    return NULL;
}
