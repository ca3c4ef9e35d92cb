/* SPDX-License-Identifier: Apache-2.0 */
/* serai-rootd: options, what is worked out once, giving up what is not needed, then the socket. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/notify.h"
#include "base/privileges.h"
#include "rootd/server.h"
#include "rootd/service.h"
#include "rootd/uids.h"

#define PROC_MAX (1024 * 1024)

static const char help[] =
    "usage: serai-rootd [OPTION...]\n"
    "  --user NAME       whose requests are served (default serai; a number too)\n"
    "  --socket PATH     where (default /run/serai-rootd/socket)\n"
    "  --run-dir DIR     our own files (default /run/serai-rootd)\n"
    "  --qemu PATH       the hypervisor (default /usr/bin/qemu-system-x86_64)\n"
    "  --shutdown PATH   what powers the host off (default /sbin/shutdown)\n"
    "  --nft PATH        what sets rules for packets (default /usr/sbin/nft)\n"
    "  --dnsmasq PATH    what gives addresses and names (default /usr/sbin/dnsmasq)\n"
    "  --cgroup NAME     below our own, holds the machines' (default serai-vm)\n"
    "  --cgroup-kind v1|v2\n"
    "  --cgroup-parent PATH  below that group of cgroup v2 instead of our own\n"
    "  --help, --version\n";

struct options {
    const char *user, *cgroup, *cgroup_parent;
    enum cgroup_kind kind;
};

static int fail(const char *what)
{
    (void)fprintf(stderr, "serai-rootd: %s: %m\n", what);
    return 1;
}

/* 0: go on; else the exit status + 1. */
static int parse(int argc, char **argv, struct config *c, struct options *o)
{
    static const struct option longs[] = {
        { "user", required_argument, NULL, 'u' },
        { "socket", required_argument, NULL, 's' },
        { "run-dir", required_argument, NULL, 'r' },
        { "qemu", required_argument, NULL, 'q' },
        { "shutdown", required_argument, NULL, 'p' },
        { "nft", required_argument, NULL, 'n' },
        { "dnsmasq", required_argument, NULL, 'd' },
        { "cgroup", required_argument, NULL, 'c' },
        { "cgroup-kind", required_argument, NULL, 'k' },
        { "cgroup-parent", required_argument, NULL, 'P' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'v' },
        { 0 },
    };

    for (int ch; (ch = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        switch (ch) {
        case 'u': o->user = optarg; break;
        case 's': c->socket = optarg; break;
        case 'r': c->run_dir = optarg; break;
        case 'q': c->qemu = optarg; break;
        case 'p': c->shutdown = optarg; break;
        case 'd': c->dnsmasq = optarg; break;
        case 'n': c->nft = optarg; break;
        case 'c': o->cgroup = optarg; break;
        case 'k': o->kind = str_eq(optarg, "v1") ? CGROUP_V1 : CGROUP_V2; break;
        case 'P': o->cgroup_parent = optarg; break;
        case 'h': (void)fputs(help, stdout); return 1;
        case 'v': (void)puts("serai-rootd " SERAI_VERSION); return 1;
        default: return 3;
        }
    }
    return optind == argc ? 0 : 3;
}

static const unsigned capabilities[] = {
    CAP_AUDIT_WRITE,  /* PAM writes the audit log */
    CAP_KILL,         /* processes of other uids */
    CAP_NET_ADMIN,    /* taps and bridges */
    CAP_SETGID,       /* a VM's ids */
    CAP_SETPCAP,      /* its empty bounding set */
    CAP_SETUID,       /* its ids */
    CAP_SYS_ADMIN,    /* namespaces and mounts */
    CAP_SYS_BOOT,     /* power off */
    CAP_SYS_RESOURCE, /* limits of a VM beyond our own */
};

/* Those of the process that starts programs of the network. */
static const unsigned service_capabilities[] = {
    CAP_KILL,
    CAP_NET_ADMIN,        /* for them: dnsmasq gives no addresses without */
    CAP_NET_BIND_SERVICE, /* for them: ports below 1024 */
    CAP_SETGID,
    CAP_SETPCAP,
    CAP_SETUID,
    CAP_SYS_ADMIN,
    CAP_SYS_RESOURCE,
};

static void prepend_parent(struct buf *own, const char *parent)
{
    AUTO(buf_done) struct buf rest = *own;

    *own = (struct buf)BUF_INIT(PROC_MAX);
    buf_addf(own, "0::%s\n", parent);
    buf_add(own, rest.data, rest.len);
}

static int find_cgroups(const struct options *o, struct config *c)
{
    AUTO(buf_done) struct buf mounts = BUF_INIT(PROC_MAX);
    AUTO(buf_done) struct buf own = BUF_INIT(PROC_MAX);

    if (io_read_file("/proc/self/mountinfo", &mounts) < 0
        || io_read_file("/proc/self/cgroup", &own) < 0)
        return -1;
    if (o->cgroup_parent) /* the first line that fits counts */
        prepend_parent(&own, o->cgroup_parent);
    if (cgroup_find(o->kind, o->cgroup, buf_str(&mounts), buf_str(&own), &c->cgroup) < 0)
        return -1;
    log_info("machines are bounded by %s", c->cgroup.n == 0
                                               ? "nothing: there are no cgroups"
                                           : c->cgroup.v2 ? "cgroup v2"
                                                          : "cgroup v1");
    if (cgroup_make_parents(&c->cgroup, o->cgroup_parent != NULL) < 0)
        return -1;
    if (!cgroup_bounds_memory(&c->cgroup))
        log_warn("the memory of machines is not bounded");
    return 0;
}

static int make_dir(const char *parent, const char *name, mode_t mode)
{
    AUTO(free_str) char *path = str_fmt("%s/%s", parent, name);

    return mkdir(path, mode) < 0 && errno != EEXIST ? -1 : 0;
}

/* The run directory: others may pass, for the socket in it. */
static int make_dirs(const struct config *c)
{
    AUTO(free_str) char *uids = str_fmt("%s/uids", c->run_dir);

    if (io_mkdirs(c->run_dir, 0711) < 0 || chmod(c->run_dir, 0711) < 0
        || make_dir(c->run_dir, "uids", 0700) < 0 || make_dir(c->run_dir, "root", 0700) < 0)
        return -1;
    return uids_sweep(uids);
}

/* After this we can do only what the verbs need. */
static int confine(struct config *c)
{
    struct filter self;

    if (filter_compile(FILTER_JAIL, &c->filter) < 0
        || filter_compile(FILTER_HELPER, &self) < 0)
        return -1;
    if (privileges_keep(capabilities, ARRAY_SIZE(capabilities)) < 0
        || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0
        || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || filter_install(&self) < 0)
        return -1;
    filter_done(&self);
    return 0;
}

int main(int argc, char **argv)
{
    struct config c = { .socket = "/run/serai-rootd/socket",
                        .run_dir = "/run/serai-rootd",
                        .qemu = "/usr/bin/qemu-system-x86_64",
                        .swtpm = "/usr/bin/swtpm",
                        .shutdown = "/sbin/shutdown",
                        .nft = "/usr/sbin/nft",
                        .dnsmasq = "/usr/sbin/dnsmasq",
                        .uid_base = ROOTD_UID_BASE,
                        .uid_count = ROOTD_UID_COUNT };
    struct options o = { .user = "serai", .cgroup = "serai-vm" };
    int rc = parse(argc, argv, &c, &o);

    if (rc != 0) {
        if (rc == 3)
            (void)fputs(help, stderr);
        return rc - 1;
    }
    (void)umask(077);
    (void)signal(SIGPIPE, SIG_IGN);
    log_set_thread("rootd");
    if (geteuid() != 0) {
        errno = EPERM;
        return fail("it is root's part of Serai");
    }
    if (privileges_user(o.user, &c.user, &c.group) < 0)
        return fail(o.user);
    if (make_dirs(&c) < 0)
        return fail(c.run_dir);
    if (find_cgroups(&o, &c) < 0)
        return fail("cgroups");
    if (jail_plan(c.qemu, true, &c.jail) < 0)
        return fail(c.qemu);
    if (jail_plan(c.swtpm, false, &c.tpm_jail) < 0)
        log_info("%s: %m: machines have no TPMs", c.swtpm);
    AUTO(close_fd) int fd = server_listen(&c);
    if (fd < 0)
        return fail(c.socket);
    if (service_start(&c, service_capabilities, ARRAY_SIZE(service_capabilities)) < 0)
        return fail("the process for programs of the network");
    if (confine(&c) < 0)
        return fail("confinement");
    (void)puts("ready");
    (void)fflush(stdout);
    notify_send("READY=1");
    return server_run(&c, fd) < 0 ? fail("poll") : 0;
}
