/* SPDX-License-Identifier: Apache-2.0 */
/* Start and end of the daemon: limits, directories, listeners, the floors below in order, then the loop. What can go wrong
 * before "ready" is one sentence on stderr and status 1 (2 for a bad command line). Everything before listen_run() runs
 * on the main thread; the main thread then is the loop thread. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/notify.h"
#include "base/parse.h"
#include "host/disks.h"
#include "host/foreign.h"
#include "model/audit.h"
#include "model/event.h"
#include "model/task.h"
#include "ops/certificate.h"
#include "ops/deliver.h"
#include "ops/ops.h"
#include "ops/stats.h"
#include "seraid/dispatch.h"
#include "seraid/full.h"
#include "seraid/listen.h"
#include "seraid/nbd_door.h"
#include "seraid/options.h"
#include "seraid/paths.h"
#include "seraid/pool.h"
#include "seraid/serve.h"
#include "seraid/web_files.h"

#define BACKLOG         1024
#define DEFAULT_PORT    8443
#define PORTS_TO_TRY    100
#define MAX_FILES       65536
#define WORKERS_ACTIVE  16
#define WORKERS_MAX     4096
#define TASKS_MAX       1024
#define STOP_GRACE_US   (US_PER_SEC)
#define STOP_AT_MOST_MS 1700
#define RESTART_STATUS  75 /* packaging/systemd/seraid.service knows it */

static struct {
    struct pool *workers, *tasks;
    struct tls_server *tls;
    int lock_fd;
    int https_fd, http_fd, unix_fd;
    char *unix_path;
    char **argv;
} daemon_state = { .lock_fd = -1, .https_fd = -1, .http_fd = -1, .unix_fd = -1 };

/* The process */

static void set_limits(void)
{
    struct rlimit core = { 0, 0 }, files;

    umask(077);
    (void)mallopt(
        M_ARENA_MAX,
        2); /* many threads, little of their own: one arena each would cost memory */
    (void)setrlimit(RLIMIT_CORE, &core); /* a core file would hold passwords */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < MAX_FILES) {
        files.rlim_cur = MIN((rlim_t)MAX_FILES, files.rlim_max);
        (void)setrlimit(RLIMIT_NOFILE, &files); /* else with fewer connections (listen.c) */
    }
}

/* Before the first thread, so that all inherit it: signals come by signalfd on the loop. */
static void set_signals(void)
{
    sigset_t set;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* Descriptors 0 to 2 are taken, so that no socket or database file gets such a number. */
static void fill_standard_fds(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= 2);
    close_fd(&fd);
}

/* Listening */

static int cannot_listen(struct err *err, const char *addr)
{
    int saved = errno;

    (void)err_set(err, ERR_INTERNAL_ERROR, addr);
    errno = saved;
    if (errno == EADDRINUSE)
        return err_detail(err, "%s is in use by another program.", addr);
    return err_detail(err, "Cannot listen on %s: %m.", addr);
}

static int listen_default(char **bound_out, struct err *err)
{
    for (int i = 0; i < PORTS_TO_TRY; i++) {
        AUTO(free_str) char *addr = str_fmt("127.0.0.1:%d", DEFAULT_PORT + i);
        int fd = io_listen_tcp(addr, BACKLOG, bound_out);

        if (fd >= 0) {
            if (i > 0)
                log_warn("port %d is in use; serving HTTPS on %s", DEFAULT_PORT,
                         *bound_out);
            return fd;
        }
        if (errno != EADDRINUSE)
            return cannot_listen(err, addr);
    }
    return cannot_listen(err, "127.0.0.1:8443");
}

static int open_ports(const struct options *o, struct err *err)
{
    host_ctx.https_address = str_dup("");
    host_ctx.http_address = str_dup("");
    if (o->https || !o->http) {
        AUTO(free_str) char *bound = NULL;

        daemon_state.https_fd = o->https ? io_listen_tcp(o->https, BACKLOG, &bound)
                                         : listen_default(&bound, err);
        if (daemon_state.https_fd < 0)
            return o->https ? cannot_listen(err, o->https) : -1;
        free(host_ctx.https_address);
        host_ctx.https_address = TAKE(bound);
    }
    if (o->http) {
        AUTO(free_str) char *bound = NULL;

        daemon_state.http_fd = io_listen_tcp(o->http, BACKLOG, &bound);
        if (daemon_state.http_fd < 0)
            return cannot_listen(err, o->http);
        free(host_ctx.http_address);
        host_ctx.http_address = TAKE(bound);
    }
    return 0;
}

static int open_unix(struct err *err)
{
    daemon_state.unix_path = str_fmt("%s/seraid.sock", host_ctx.runtime_dir);
    daemon_state.unix_fd = io_listen_unix(daemon_state.unix_path, 0600, BACKLOG);
    return daemon_state.unix_fd < 0 ? cannot_listen(err, daemon_state.unix_path) : 0;
}

static int add_listeners(struct err *err)
{
    const struct {
        int *fd;
        enum listen_kind kind;
    } all[] = { { &daemon_state.https_fd, LISTEN_TLS },
                { &daemon_state.http_fd, LISTEN_PLAIN },
                { &daemon_state.unix_fd, LISTEN_UNIX } };

    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        if (*all[i].fd >= 0 && listen_add(TAKE_FD(*all[i].fd), all[i].kind) != 0)
            return cannot_listen(err, "a socket");
    }
    return 0;
}

static int reload_certificate(struct err *err)
{
    return tls_server_reload(daemon_state.tls, host_ctx.cert_file, host_ctx.cert_file, err);
}

static int load_certificate(struct err *err)
{
    host_ctx.cert_file = str_fmt("%s/server.pem", host_ctx.state_dir);
    host_ctx.tls_reload = reload_certificate;
    if (access(host_ctx.cert_file, F_OK) != 0 && certificate_self_signed(err) != 0)
        return -1;
    daemon_state.tls = tls_server_new(host_ctx.cert_file, host_ctx.cert_file, err);
    return daemon_state.tls ? 0 : -1;
}

/* The floors below */

static int look_at_host(const struct options *o, struct err *err)
{
    AUTO(err_done) struct err no_qemu = { 0 };

    if (inventory_read(&host_ctx.inventory, err) != 0)
        return -1;
    host_ctx.rootless = o->rootless;
    host_ctx.brand = o->brand;
    host_ctx.machine = o->fake_machine ? &machine_fake : &machine_qemu;
    host_ctx.accel = (struct accel){ .name = "tcg",
                                     .reason = "Machines are not real here." };
    if (o->fake_machine)
        return 0;
    host_ctx.qemu = inventory_qemu(&no_qemu);
    if (!host_ctx.qemu) {
        log_warn("no machine can start: %s",
                 no_qemu.detail ? no_qemu.detail : "QEMU is not installed");
        return 0;
    }
    inventory_accel(host_ctx.state_dir, host_ctx.qemu, &host_ctx.accel);
    log_info("machines run by %s: %s", host_ctx.accel.name, host_ctx.accel.reason);
    cpu_baseline(host_ctx.state_dir, host_ctx.qemu, host_ctx.accel.name,
                 host_ctx.inventory.cpu_vendor, host_ctx.inventory.cpu_model,
                 &host_ctx.cpu);
    log_info("machines have processors %s", host_ctx.cpu.model);
    return 0;
}

/* The directory of this program. */
static int own_directory(char out[static PATH_MAX], struct err *err)
{
    ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);

    if (n < 0) {
        (void)err_set(err, ERR_INTERNAL_ERROR, "/proc/self/exe");
        return err_detail(err, "/proc/self/exe: %m");
    }
    out[n] = '\0';
    *strrchr(out, '/') = '\0';
    return 0;
}

/* Our other programs stand beside this one, or in the bin of its sbin. Given. */
static char *beside(const char *exe, const char *name)
{
    char *path = str_fmt("%s/%s", exe, name);

    if (access(path, X_OK) == 0)
        return path;
    free(path);
    return str_fmt("%s/../bin/%s", exe, name);
}

static int open_disks(struct err *err)
{
    char exe[PATH_MAX];

    if (own_directory(exe, err) != 0)
        return -1;
    AUTO(free_str)
    char *disk = beside(exe, "serai-disk"), *image = beside(exe, "serai-image");
    foreign_init(image);
    return disks_init(host_ctx.runtime_dir, disk, err);
}

/* The web console's files stand beside this program, or in the share of its sbin. */
static int open_web(const struct options *o, struct err *err)
{
    char exe[PATH_MAX];
    AUTO(free_str) char *built = NULL, *installed = NULL;

    if (o->web_dir)
        return web_files_load(o->web_dir, err);
    if (own_directory(exe, err) != 0)
        return -1;
    built = str_fmt("%s/web-console", exe);
    installed = str_fmt("%s/../share/serai/web", exe);
    if (web_files_load(built, err) != 0)
        return -1;
    return web_files_find("/") ? 0 : web_files_load(installed, err);
}

static int open_floors(const struct options *o, struct err *err)
{
    host_ctx.kernel_dir = str_fmt("%s/kernels", host_ctx.state_dir);
    if (io_mkdirs(host_ctx.kernel_dir, 0700) != 0)
        return cannot_listen(err, host_ctx.kernel_dir);
    if (db_open(host_ctx.state_dir, err) != 0
        || audit_open(&(struct audit_config){ .state_dir = host_ctx.state_dir,
                                              .keep_us = o->audit_us },
                      err)
               != 0
        || session_init(host_ctx.state_dir, o->password_file, err) != 0
        || look_at_host(o, err) != 0 || open_unix(err) != 0 || load_certificate(err) != 0)
        return -1;
    if (host_ctx.machine->init(host_ctx.runtime_dir, vm_watch_event, NULL, err) != 0
        || open_disks(err) != 0 || open_web(o, err) != 0)
        return -1;
    return ops_boot(err) == 0 && deliver_init(err) == 0 ? stats_init(o->sample_us, err)
                                                        : -1;
}

/* Ready, and the end */

static void say_ready(void)
{
    printf("ready");
    if (host_ctx.https_address[0])
        printf(" https://%s", host_ctx.https_address);
    if (host_ctx.http_address[0])
        printf(" http://%s", host_ctx.http_address);
    printf(" unix:%s\n", daemon_state.unix_path);
    (void)fflush(stdout); /* nobody may be reading */
    notify_send("READY=1");
}

/* The process ends here, all that was acknowledged being durable. To be started again is the service manager's work; who
 * has none starts itself. Also called by the signal handler. */
NORETURN static void leave(void)
{
    if (!host_ctx.restart)
        _exit(0);
    (void)alarm(0); /* the same timer as bound_the_end()'s; it would go on counting */
    if (host_ctx.rootless && daemon_state.argv)
        (void)execv("/proc/self/exe", daemon_state.argv);
    _exit(RESTART_STATUS);
}

static void give_up(int sig UNUSED)
{
    leave();
}

/* Whatever hangs: the daemon is gone in time, guests run on. */
static void bound_the_end(void)
{
    struct itimerval t = { .it_value = { .tv_sec = STOP_AT_MOST_MS / 1000,
                                         .tv_usec = STOP_AT_MOST_MS % 1000 * 1000 } };

    (void)signal(SIGALRM, give_up);
    (void)setitimer(ITIMER_REAL, &t, NULL);
}

/* Answer what is under way, briefly. Work on machines may outlast that; then the process just ends: at the next start
 * its tasks are failed and machines are looked at. */
static void stop(void)
{
    int64_t until = clock_now_us() + STOP_GRACE_US;
    bool quiet;

    notify_send("STOPPING=1");
    if (daemon_state.unix_path)
        (void)unlink(daemon_state.unix_path);
    nbd_door_stop();
    event_stop(true); /* whoever waits for events is answered now */
    stats_stop();
    deliver_stop();
    quiet = pool_drain(daemon_state.workers, until)
            && pool_drain(daemon_state.tasks, until);
    if (!quiet) {
        log_info("stopped with calls under way");
        leave();
    }
    stats_done();
    ops_done();
    host_ctx.machine->done();
    disks_done();
    audit_close();
    db_close();
    pool_free(daemon_state.workers);
    pool_free(daemon_state.tasks);
    listen_done();
    tls_server_free(daemon_state.tls);
    log_info("stopped");
    if (host_ctx.restart)
        leave();
}

/* The user and the directories that all else is done as and in. Ports first: below 1024 they need a right. */
static int settle_in(const struct options *o, struct err *err)
{
    if ((!o->rootless && full_directories(o, err) != 0) || open_ports(o, err) != 0
        || (!o->rootless && full_confine(o, err) != 0))
        return -1;
    if (paths_state(o->state_dir, &host_ctx.state_dir, err) != 0
        || paths_runtime(o->runtime_dir, &host_ctx.runtime_dir, err) != 0)
        return -1;
    daemon_state.lock_fd = paths_lock(host_ctx.runtime_dir, err);
    return daemon_state.lock_fd < 0 || (!o->rootless && full_connect(o, err) != 0) ? -1 : 0;
}

static int run(const struct options *o, struct err *err)
{
    if (settle_in(o, err) != 0 || open_floors(o, err) != 0)
        return -1;
    daemon_state.workers = pool_new("worker", WORKERS_ACTIVE, WORKERS_MAX);
    daemon_state.tasks = pool_new("task", TASKS_MAX, TASKS_MAX);
    dispatch_init(daemon_state.tasks);
    serve_init(daemon_state.tls);
    if (listen_init(err) != 0 || add_listeners(err) != 0)
        return -1;
    pool_fetch(daemon_state.workers, listen_serve, NULL);
    log_info("serai " SERAI_VERSION " serves %s %s", host_ctx.https_address,
             host_ctx.http_address);
    if (host_power_boot(err) != 0)
        return -1;
    if (nbd_door_start(o->nbd, daemon_state.tls, listen_stop_fd(), err) != 0)
        return -1;
    say_ready();
    if (listen_run(err) != 0)
        return -1;
    bound_the_end();
    stop();
    return 0;
}

static int complain(const struct err *err, int status)
{
    AUTO(free_str) char *text = err->detail ? NULL : err_text(err);

    (void)fprintf(stderr, "seraid: %s\n", err->detail ? err->detail : text);
    return status;
}

int main(int argc, char **argv)
{
    AUTO(err_done) struct err err = { 0 };
    struct options o;

    if (options_parse(argc, argv, &o, &err) != 0)
        return complain(&err, 2);
    if (o.help || o.version) {
        (void)fputs(o.help ? options_help : "seraid " SERAI_VERSION "\n", stdout);
        return fflush(stdout) == 0 ? 0 : 1;
    }
    if (!o.rootless)
        full_defaults(&o);
    daemon_state.argv = argv;
    fill_standard_fds();
    set_limits();
    set_signals();
    log_set_level(o.log_level);
    log_set_thread("main");
    return run(&o, &err) == 0 ? 0 : complain(&err, 1);
}
