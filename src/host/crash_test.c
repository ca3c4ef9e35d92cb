/* SPDX-License-Identifier: Apache-2.0 */
/* Death and failure at every step of starting and ending a machine and of making a volume. Each case runs this program again
 * with SERAI_FAILPOINT set, on the "daemon" test below, and then looks at what is left. Built with FAILPOINTS. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/proc.h"
#include "base/test.h"
#include "host/guard_test.h"
#include "host/machine.h"
#include "host/qemu.h"
#include "host/root.h"
#include "host/sr.h"

#define UUID  uuid_of_run()
#define SR    "d0000000-1111-4222-8333-444444444444"
#define VDI_A "a0000000-1111-4222-8333-444444444444"
#define VDI_B "b0000000-1111-4222-8333-444444444444"
#define MIB   (UINT64_C(1) << 20)

/* This run's and its children's own: another run beside it has machines too. */
static const char *uuid_of_run(void)
{
    static char text[UUID_TEXT_SIZE];
    const char *given = getenv("CRASH_TEST_UUID");
    struct uuid u;

    if (text[0])
        return text;
    if (!given || !uuid_parse(given, &u))
        u = uuid_new();
    uuid_text(&u, text);
    return text;
}

static struct vm_spec guest(void)
{
    struct vm_spec spec = { .machine = qemu_default_machine(),
                            .accel = "tcg",
                            .vcpus = 1,
                            .vcpus_max = 1,
                            .memory_bytes = 64 * MIB };

    memcpy(spec.uuid, UUID, sizeof(spec.uuid));
    return spec;
}

static struct deadline soon(void)
{
    return deadline_in(30 * US_PER_SEC);
}

/* The processes of this test's machine. Zombies do not count: who reaps them is not our business. */
static size_t n_qemus(void)
{
    DIR *d = opendir("/proc");
    const struct dirent *e;
    AUTO(free_str) char *name = str_fmt("guest=%s", UUID);
    size_t n = 0;

    CHECK(d != NULL);
    while ((e = readdir(d)) != NULL) {
        AUTO(free_str) char *path = str_fmt("/proc/%s/cmdline", e->d_name);
        AUTO(buf_done) struct buf text = BUF_INIT(65536);
        int64_t pid;

        if (!parse_range(e->d_name, 1, INT32_MAX, &pid) || io_read_file(path, &text) < 0
            || !text.len)
            continue;
        n += memmem(text.data, text.len, name, strlen(name)) != NULL
             && proc_alive((pid_t)pid);
    }
    (void)closedir(d);
    return n;
}

static bool exists(const char *dir, const char *name)
{
    AUTO(free_str) char *path = str_fmt("%s/%s", dir, name);

    return access(path, F_OK) == 0;
}

static void say(const char *what, int rc, const struct err *err)
{
    printf("# %s: %s\n", what, rc == 0 ? "ok" : err->code);
    (void)fflush(stdout);
}

/* In jails, if tests/jail says so. */
static void open_machines(const char *dir)
{
    const char *rootd = getenv("SERAI_ROOTD_SOCKET");

    CHECK(!rootd || root_connect(rootd, NULL) == 0);
    CHECK_INT(machine_qemu.init(dir, NULL, NULL, NULL), 0);
}

static void daemon_machine(const char *dir)
{
    AUTO(err_done) struct err err = { 0 };
    struct deadline d = soon();
    struct vm_spec spec = guest();
    int rc;

    open_machines(dir);
    rc = machine_qemu.start(&spec, &d, &err);
    say("start", rc, &err);
    if (rc == 0) {
        CHECK_INT(machine_qemu.go(UUID, &d, NULL), 0);
        CHECK_INT(machine_qemu.destroy(UUID, &d, NULL), 0);
    }
    machine_qemu.done();
}

static void daemon_volume(const char *dir)
{
    struct sr_config sr = { .uuid = SR, .path = dir };
    AUTO(err_done) struct err made = { 0 };
    AUTO(err_done) struct err copied = { 0 };
    struct deadline d = soon();
    uint64_t size;
    int fd;

    if (!exists(dir, VDI_A ".raw")) {
        int rc = sr_file.volume_create(&sr, VDI_A, 2 * MIB, SR_FORMAT_RAW, &size, &made);

        say("create", rc, &made);
        if (rc < 0)
            return;
        fd = sr_file.volume_open(&sr, VDI_A, false, NULL);
        CHECK(fd >= 0 && pwrite(fd, "data", 4, (off_t)MIB) == 4);
        close_fd(&fd);
    }
    say("copy", sr_file.volume_copy(&sr, VDI_A, &sr, VDI_B, &d, NULL, NULL, &copied),
        &copied);
}

/* Nothing without the environment. */
TEST(daemon)
{
    const char *machine = getenv("CRASH_MACHINE"), *volume = getenv("CRASH_VOLUME");

    if (machine)
        daemon_machine(machine);
    if (volume)
        daemon_volume(volume);
}

/* Run the daemon test; its output. */
static char *run(const char *kind, const char *dir, const char *point, const char *action,
                 int *status_out)
{
    char self[4096] = "";
    AUTO(free_str) char *where = str_fmt("%s=%s", kind, dir);
    AUTO(free_str) char *plan = str_fmt("SERAI_FAILPOINT=%s:%s", point, action);
    AUTO(free_str) char *tmp = str_fmt("TMPDIR=%s", test_dir());
    const char *rootd = getenv("SERAI_ROOTD_SOCKET");
    AUTO(free_str)
    char *root = str_fmt(rootd ? "SERAI_ROOTD_SOCKET=%s" : "-u%s",
                         rootd ? rootd : "SERAI_ROOTD_SOCKET");
    AUTO(free_str) char *uuid = str_fmt("CRASH_TEST_UUID=%s", UUID);
    const char *argv[] = { "env", root,     where, plan, tmp, uuid, "SERAI_TEST_NOFORK=1",
                           self,  "daemon", NULL };
    AUTO(buf_done) struct buf out = BUF_INIT(65536);
    struct deadline d = deadline_in(60 * US_PER_SEC);

    CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
    CHECK_INT(proc_run(argv, NULL, &out, NULL, &d, status_out), 0);
    return buf_take(&out);
}

static const struct {
    const char *point;
    const char *nth;
    bool survives; /* the machine was built: adopted, not removed */
    bool fails;    /* an error can be injected */
} machine_points[] = {
    { "machine.start.directory", "1", false, false },
    { "machine.start.locked", "1", false, true },
    { "machine.start.described", "1", false, true },
    { "machine.start.listening", "1", false, true },
    { "machine.start.attached", "1", false, true },
    { "machine.start.spawned", "1", false, true },
    { "machine.start.ready", "1", false, true },
    { "machine.start.started", "1", true, true },
    { "machine.destroy.killed", "1", false, false },
    { "machine.remove.log_kept", "1", false, false }, /* at the start */
    { "machine.remove.log_kept", "2", false, false }, /* at the end */
};

static void check_clean(const char *dir)
{
    AUTO(free_str) char *machine = str_fmt("vm/%s", UUID);

    CHECK(!exists(dir, machine));
    CHECK_INT(n_qemus(), 0);
}

static void check_start_works(void)
{
    AUTO(err_done) struct err err = { 0 };
    struct vm_spec spec = guest();
    struct deadline d = soon();

    if (machine_qemu.start(&spec, &d, &err) < 0)
        test_fail(__FILE__, __LINE__, "start: %s (%s)", err.code,
                  err.detail ? err.detail : "");
    CHECK_INT(machine_qemu.go(UUID, &d, NULL), 0);
    CHECK_INT(machine_qemu.state(UUID), MACHINE_RUNNING);
    CHECK_INT(machine_qemu.destroy(UUID, &d, NULL), 0);
}

static void adopt_after_death(const char *dir, bool survives)
{
    struct deadline d = soon();
    struct machine_found *found;
    size_t n;

    open_machines(dir);
    CHECK_INT(machine_qemu.adopt(&found, &n, NULL), 0);
    CHECK_INT(n, survives ? 1 : 0);
    if (survives) {
        CHECK_INT(found[0].state, MACHINE_PAUSED);
        CHECK_INT(n_qemus(), 1);
        CHECK_INT(machine_qemu.go(UUID, &d, NULL), 0);
        CHECK_INT(machine_qemu.state(UUID), MACHINE_RUNNING);
        CHECK_INT(machine_qemu.destroy(UUID, &d, NULL), 0);
    }
    free(found);
    check_clean(dir);
    check_start_works();
    check_clean(dir);
    machine_qemu.done();
}

TEST(killed_at_each_step)
{
    AUTO(free_str) char *dir = str_fmt("%s/run", test_dir());

    guard_machines(dir);
    for (size_t i = 0; i < ARRAY_SIZE(machine_points); i++) {
        const char *point = machine_points[i].point;
        int status = 0;

        printf("# %s\n", point);
        AUTO(free_str) char *action = str_fmt("exit:%s", machine_points[i].nth);

        free(run("CRASH_MACHINE", dir, point, action, &status));
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        adopt_after_death(dir, machine_points[i].survives);
    }
}

/* The same without adopt() in between: start and destroy find the leftovers themselves. */
TEST(killed_and_not_adopted)
{
    AUTO(free_str) char *dir = str_fmt("%s/run", test_dir());
    static const char *const points[] = { "machine.start.spawned",
                                          "machine.start.started" };

    guard_machines(dir);
    for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
        struct deadline d = soon();
        int status = 0;

        free(run("CRASH_MACHINE", dir, points[i], "exit", &status));
        CHECK(WIFSIGNALED(status));
        open_machines(dir);
        if (i == 0)
            check_start_works();
        else
            CHECK_INT(machine_qemu.destroy(UUID, &d, NULL), 0);
        check_clean(dir);
        machine_qemu.done();
    }
}

TEST(failure_at_each_step)
{
    AUTO(free_str) char *dir = str_fmt("%s/run", test_dir());

    guard_machines(dir);
    for (size_t i = 0; i < ARRAY_SIZE(machine_points); i++) {
        int status = 0;
        char *out;

        if (!machine_points[i].fails)
            continue;
        out = run("CRASH_MACHINE", dir, machine_points[i].point, "error", &status);
        CHECK_INT(status, 0);
        CHECK(strstr(out, "start: " ERR_INTERNAL_ERROR) != NULL);
        free(out);
        check_clean(dir);
    }
}

static const struct {
    const char *point;
    const char *nth;
    const char *action;
    bool a, b; /* which volumes there are afterwards */
} volume_points[] = {
    { "sr.make.written", "1", "exit", false, false },
    { "sr.make.synced", "1", "exit", false, false },
    { "sr.make.linked", "1", "exit", true, false },
    { "sr.make.written", "1", "error", false, false },
    { "sr.make.synced", "1", "error", false, false },
    { "sr.make.written", "2", "exit", true, false },
    { "sr.make.synced", "2", "exit", true, false },
    { "sr.make.linked", "2", "exit", true, true },
    { "sr.make.written", "2", "error", true, false },
};

TEST(volumes_whole_or_absent)
{
    for (size_t i = 0; i < ARRAY_SIZE(volume_points); i++) {
        AUTO(free_str) char *dir = str_fmt("%s/sr%zu", test_dir(), i);
        AUTO(free_str)
        char *action = str_fmt("%s:%s", volume_points[i].action, volume_points[i].nth);
        struct sr_config sr = { .uuid = SR, .path = dir };
        int status = 0;

        CHECK_INT(sr_file.create(&sr, NULL), 0);
        free(run("CRASH_VOLUME", dir, volume_points[i].point, action, &status));
        CHECK(str_eq(volume_points[i].action, "exit") == WIFSIGNALED(status));
        CHECK_INT(sr_file.attach(&sr, NULL), 0);
        CHECK(!exists(dir, VDI_A ".raw.tmp") && !exists(dir, VDI_B ".raw.tmp"));
        CHECK_INT(exists(dir, VDI_A ".raw"), volume_points[i].a);
        CHECK_INT(exists(dir, VDI_B ".raw"), volume_points[i].b);
        if (!volume_points[i].b) { /* it can be done again */
            free(run("CRASH_VOLUME", dir, "none", "exit", &status));
            CHECK_INT(status, 0);
            CHECK(exists(dir, VDI_B ".raw"));
        }
    }
}

/* Every point of these files is in a table here; those of disk processes and images are reached by the system's tests
 * (tests/vm/test_crash_points.py). */
TEST(no_point_is_forgotten)
{
    char self[4096] = "";
    AUTO(free_str) char *log = str_fmt("%s/log", test_dir());
    AUTO(free_str) char *log_set = str_fmt("SERAI_FAILPOINT_LOG=%s", log);
    AUTO(free_str) char *tmp = str_fmt("TMPDIR=%s", test_dir());
    const char *argv[] = { "env", log_set, tmp, self, "daemon", NULL };
    AUTO(buf_done) struct buf text = BUF_INIT(65536);
    struct deadline d = soon();
    int status = 0;

    CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
    CHECK_INT(proc_run(argv, NULL, NULL, NULL, &d, &status), 0);
    CHECK_INT(io_read_file(log, &text), 0);
    for (const char *p = buf_str(&text); (p = strstr(p, "point ")) != NULL; p++) {
        AUTO(free_str) char *name = str_dupn(p + 6, strcspn(p + 6, "\n"));
        /* Where the file system cannot clone; and those that tests/vm/test_crash_points.py comes by. */
        bool known = str_eq(name, "sr.copy.chunk") || str_starts(name, "machine.plug.")
                     || str_starts(name, "machine.unplug.")
                     || str_starts(name, "machine.medium.") || str_starts(name, "disks.")
                     || str_starts(name, "machine.save.")
                     || str_starts(name, "machine.resize.")
                     || str_starts(name, "machine.size.")
                     || str_starts(name, "machine.load.");

        for (size_t i = 0; i < ARRAY_SIZE(machine_points); i++)
            known = known || str_eq(name, machine_points[i].point);
        for (size_t i = 0; i < ARRAY_SIZE(volume_points); i++)
            known = known || str_eq(name, volume_points[i].point);
        if (!known)
            test_fail(__FILE__, __LINE__, "%s is in no table", name);
    }
}
