/* SPDX-License-Identifier: Apache-2.0 */
/* Real QEMU processes under TCG, with guests of a few bytes of machine code. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/proc.h"
#include "base/test.h"
#include "base/vec.h"
#include "host/accel.h"
#include "host/guard_test.h"
#include "host/machine.h"
#include "host/machine_dir.h"
#include "host/qemu.h"
#include "host/root.h"

#define UUID "a0000000-1111-4222-8333-444444444444"
#define MIB  (UINT64_C(1) << 20)

/* Say N, then send back what comes in. */
static const uint8_t echo_code[] = {
    0x66, 0xba, 0xf8, 0x03, /* mov dx, 0x3f8 */
    0xb0, 'N',              /* mov al, 'N' */
    0xee,                   /* out dx, al */
    0xb2, 0xfd,             /* 9: mov dl, 0xfd (line status) */
    0xec,                   /* in al, dx */
    0xa8, 0x01,             /* test al, 1 */
    0x74, 0xfb,             /* jz to in */
    0xb2, 0xf8,             /* mov dl, 0xf8 */
    0xec,                   /* in al, dx */
    0xee,                   /* out dx, al */
    0xeb, 0xf3,             /* jmp to 7 */
};

/* ACPI power off of q35: PM1a_CNT of the chipset's power management at 0x604. */
static const uint8_t off_code[] = {
    0x66, 0xba, 0x04, 0x06, /* mov dx, 0x604 */
    0x66, 0xb8, 0x00, 0x20, /* mov ax, 0x2000 */
    0x66, 0xef,             /* out dx, ax */
    0xfa, 0xf4, 0xeb, 0xfd, /* cli; hlt; jmp back */
};

static const uint8_t reset_code[] = {
    0x66, 0xba, 0xf9, 0x0c, /* mov dx, 0xcf9 */
    0xb0, 0x06,             /* mov al, 6: full reset */
    0xee,                   /* out dx, al */
    0xfa, 0xf4, 0xeb, 0xfd,
};

static const uint8_t panic_code[] = {
    0x66, 0xba, 0x05, 0x05, /* mov dx, 0x505: pvpanic */
    0xb0, 0x01,             /* mov al, 1 */
    0xee, 0xfa, 0xf4, 0xeb, 0xfd,
};

static struct {
    struct mutex lock;
    struct cond cond;
    enum machine_event_kind kinds[256];
    size_t n;
    char detail[256];
    char *dir;
} seen = { .lock = MUTEX_INIT };

static struct deadline soon(void)
{
    return deadline_in(30 * US_PER_SEC);
}

static void on_event(const struct machine_event *ev, void *arg)
{
    mutex_lock(&seen.lock);
    CHECK(seen.n < ARRAY_SIZE(seen.kinds));
    seen.kinds[seen.n++] = ev->kind;
    if (ev->detail)
        (void)snprintf(seen.detail, sizeof(seen.detail), "%s", ev->detail);
    cond_broadcast(&seen.cond);
    mutex_unlock(&seen.lock);
}

static bool has_event(enum machine_event_kind kind)
{
    for (size_t i = 0; i < seen.n; i++)
        if (seen.kinds[i] == kind)
            return true;
    return false;
}

static void wait_event(enum machine_event_kind kind)
{
    int64_t at = clock_now_us() + 30 * US_PER_SEC;

    mutex_lock(&seen.lock);
    while (!has_event(kind))
        if (!cond_wait_until(&seen.cond, &seen.lock, at))
            test_fail(__FILE__, __LINE__, "event %d did not come", (int)kind);
    mutex_unlock(&seen.lock);
}

static size_t n_events(void)
{
    size_t n;

    mutex_lock(&seen.lock);
    n = seen.n;
    mutex_unlock(&seen.lock);
    return n;
}

static void begin(void)
{
    AUTO(err_done) struct err err = { 0 };

    const char *rootd = getenv("SERAI_ROOTD_SOCKET"); /* the same in jails: tests/jail */

    seen.dir = str_fmt("%s/run", test_dir());
    CHECK(!rootd || root_connect(rootd, &err) == 0);
    cond_init(&seen.cond);
    CHECK_INT(machine_qemu.init(seen.dir, on_event, NULL, &err), 0);
    guard_machines(seen.dir);
}

static void end(void)
{
    machine_qemu.done();
    free(seen.dir);
}

static char *payload(const uint8_t *code, size_t len)
{
    AUTO(buf_done) struct buf elf = BUF_INIT(4096);
    char *path = str_fmt("%s/payload.elf", test_dir());

    accel_pvh_elf(code, len, &elf);
    CHECK_INT(io_write_file(path, elf.data, elf.len, 0600), 0);
    return path;
}

static struct vm_spec guest(const char *kernel)
{
    return (struct vm_spec){
        .uuid = UUID,
        .machine = qemu_default_machine(),
        .accel = "tcg",
        .vcpus = 1,
        .vcpus_max = 1,
        .memory_bytes = 64 * MIB,
        .kernel = kernel,
    };
}

static void start(const struct vm_spec *spec)
{
    AUTO(err_done) struct err err = { 0 };
    struct deadline d = soon();

    if (machine_qemu.start(spec, &d, &err) < 0) {
        AUTO(free_str) char *text = err_text(&err);

        test_fail(__FILE__, __LINE__, "start: %s", text);
    }
    CHECK_INT(machine_qemu.state(spec->uuid), MACHINE_PAUSED);
    CHECK(machine_qemu.pid(spec->uuid) > 0);
}

static void check_ok(int rc, const struct err *err)
{
    if (rc < 0)
        test_fail(__FILE__, __LINE__, "%s: %s", err->code, err->detail ? err->detail : "");
}

/* An operation on the machine that must succeed. */
static void run(int (*op)(const char *uuid, const struct deadline *d, struct err *err))
{
    AUTO(err_done) struct err err = { 0 };
    struct deadline d = soon();

    check_ok(op(UUID, &d, &err), &err);
}

static void go(void)
{
    run(machine_qemu.go);
}

static void destroy(void)
{
    AUTO(free_str) char *dir = machine_dir_path(seen.dir, UUID, NULL);
    int pid = machine_qemu.pid(UUID);

    run(machine_qemu.destroy);
    CHECK_INT(machine_qemu.state(UUID), MACHINE_NONE);
    CHECK_INT(machine_qemu.pid(UUID), -1);
    CHECK(access(dir, F_OK) < 0);
    if (pid > 0)
        CHECK(!proc_alive(pid));
}

static int view(void)
{
    AUTO(err_done) struct err err = { 0 };
    struct deadline d = soon();
    int fd = machine_qemu.open_serial(UUID, &d, &err);

    CHECK(fd >= 0);
    return fd;
}

static void expect_bytes(int fd, const char *want)
{
    struct deadline d = soon();
    char got[128] = "";

    CHECK(strlen(want) < sizeof(got));
    CHECK_INT(io_read_full(fd, got, strlen(want), &d), 0);
    CHECK_STR(got, want);
}

static size_t count_dir(const char *path)
{
    DIR *d = opendir(path);
    size_t n = 0;

    while (d && readdir(d) != NULL)
        n++;
    if (d)
        (void)closedir(d);
    return n;
}

TEST(serial_and_states)
{
    struct deadline d = soon();
    AUTO(free_str) char *kernel = payload(echo_code, sizeof(echo_code));
    struct vm_spec spec = guest(kernel);
    int first, second;
    size_t events;

    begin();
    start(&spec);
    go();
    CHECK_INT(machine_qemu.state(UUID), MACHINE_RUNNING);
    first = view();
    expect_bytes(first, "N");
    CHECK_INT(io_write_full(first, "hello", 5, &d), 0);
    expect_bytes(first, "hello");
    second = view(); /* sees what was, and what both send */
    expect_bytes(second, "Nhello");
    CHECK_INT(io_write_full(second, "!", 1, &d), 0);
    expect_bytes(second, "!");
    expect_bytes(first, "!");
    close_fd(&first);
    run(machine_qemu.pause);
    CHECK_INT(machine_qemu.state(UUID), MACHINE_PAUSED);
    go();
    CHECK_INT(machine_qemu.state(UUID), MACHINE_RUNNING);
    CHECK_INT(io_write_full(second, "?", 1, &d), 0);
    expect_bytes(second, "?");
    run(machine_qemu.reset);
    expect_bytes(second, "N");
    run(machine_qemu.powerdown); /* nobody listens to the button */
    CHECK_INT(machine_qemu.state(UUID), MACHINE_RUNNING);
    /* Nothing happened that was not asked for, but that SeaBIOS resets once more after a reset. */
    events = n_events();
    for (size_t i = 0; i < events; i++)
        CHECK_INT(seen.kinds[i], MACHINE_EV_RESET);
    destroy();
    CHECK_INT(io_read(second, (char[1]){ 0 }, 1, &d), 0);
    close_fd(&second);
    CHECK_INT(n_events(), events);
    destroy(); /* again: fine */
    end();
}

/* The guest asks its serial line again and again: it uses all the time that it gets. */
TEST(what_it_uses)
{
    static struct machine_stats stats;
    struct metrics_vcpus vcpus = { 0 };
    struct deadline limit = soon(), d;
    AUTO(free_str) char *kernel = payload(echo_code, sizeof(echo_code));
    AUTO(free_str) char *path = str_fmt("%s/disk", test_dir());
    AUTO(close_fd) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct vm_spec spec = guest(kernel);
    int pid;

    CHECK_INT(ftruncate(fd, MIB), 0);
    spec.disks[0] = (struct vm_disk){ .id = "d0000000-1111-4222-8333-444444444444",
                                      .slot = 2,
                                      .source = VM_SOURCE_FILE,
                                      .fd = fd };
    spec.n_disks = 1;
    begin();
    start(&spec);
    go();
    pid = machine_qemu.pid(UUID);
    do {
        d = soon();
        CHECK(machine_qemu.stats(UUID, &vcpus, &stats, &d));
        CHECK(!deadline_passed(&limit));
    } while (stats.n_vcpus == 0 || !(stats.vcpu_seconds[0] > 0));
    CHECK_INT(stats.n_vcpus, spec.vcpus);
    CHECK(stats.disks_known);
    CHECK_INT(stats.n_disks, 1);
    CHECK_INT(stats.disks[0].slot, 2);
    /* A QEMU that hangs holds nobody up. */
    CHECK_INT(kill(pid, SIGSTOP), 0);
    d = deadline_in(1000);
    CHECK(machine_qemu.stats(UUID, &vcpus, &stats, &d));
    CHECK(!stats.disks_known && stats.n_disks == 0 && stats.vcpu_seconds[0] > 0);
    CHECK_INT(kill(pid, SIGCONT), 0);
    d = soon();
    CHECK(machine_qemu.stats(UUID, &vcpus, &stats, &d) && stats.disks_known);
    metrics_vcpus_done(&vcpus);
    destroy();
    CHECK(!machine_qemu.stats(UUID, &vcpus, &stats, &d));
    end();
}

TEST(vnc)
{
    struct deadline d = soon();
    struct vm_spec spec = guest(NULL); /* nothing to boot from: it starts all the same */
    int a, b;

    begin();
    spec.vga = true;
    start(&spec);
    go();
    AUTO(err_done) struct err err = { 0 };
    a = machine_qemu.open_vnc(UUID, &d, &err);
    b = machine_qemu.open_vnc(UUID, &d, &err);
    CHECK(a >= 0 && b >= 0);
    expect_bytes(a, "RFB 003.008\n");
    expect_bytes(b, "RFB 003.008\n");
    close_fd(&a);
    close_fd(&b);
    destroy();
    end();
}

TEST(guest_powers_off)
{
    AUTO(free_str) char *kernel = payload(off_code, sizeof(off_code));
    struct vm_spec spec = guest(kernel);

    begin();
    start(&spec);
    go();
    run(machine_qemu.wait_off);
    CHECK_INT(machine_qemu.state(UUID), MACHINE_OFF);
    wait_event(MACHINE_EV_POWEROFF);
    CHECK_STR(seen.detail, "guest-shutdown");
    CHECK(machine_qemu.pid(UUID) > 0);
    destroy();
    CHECK_INT(n_events(), 1);
    run(machine_qemu.wait_off); /* there is none: off */
    end();
}

TEST(guest_reboots)
{
    AUTO(free_str) char *kernel = payload(reset_code, sizeof(reset_code));
    struct vm_spec spec = guest(kernel);

    begin();
    start(&spec);
    go();
    wait_event(MACHINE_EV_RESET);
    CHECK_INT(machine_qemu.state(UUID), MACHINE_RUNNING);
    destroy();
    end();
}

TEST(guest_panics)
{
    AUTO(free_str) char *kernel = payload(panic_code, sizeof(panic_code));
    struct vm_spec spec = guest(kernel);

    begin();
    start(&spec);
    go();
    wait_event(MACHINE_EV_PANIC);
    CHECK_INT(machine_qemu.state(UUID), MACHINE_OFF);
    destroy();
    CHECK_INT(n_events(), 1);
    end();
}

TEST(wait_off_ends)
{
    AUTO(free_str) char *kernel = payload(echo_code, sizeof(echo_code));
    AUTO(close_fd) int cancel = eventfd(1, EFD_CLOEXEC);
    AUTO(err_done) struct err late = { 0 };
    AUTO(err_done) struct err cancelled = { 0 };
    struct deadline at_once = deadline_in(1000), c = deadline_in_cancel(US_PER_SEC, cancel);
    struct vm_spec spec = guest(kernel);

    begin();
    start(&spec);
    go();
    CHECK_INT(machine_qemu.wait_off(UUID, &at_once, &late), -1);
    CHECK_STR(late.code, ERR_VM_SHUTDOWN_TIMEOUT);
    CHECK_INT(machine_qemu.wait_off(UUID, &c, &cancelled), -1);
    CHECK_STR(cancelled.code, ERR_TASK_CANCELLED);
    destroy();
    end();
}

TEST(qemu_is_killed)
{
    AUTO(err_done) struct err err = { 0 };
    AUTO(free_str) char *kernel = payload(echo_code, sizeof(echo_code));
    struct vm_spec spec = guest(kernel);
    struct deadline d = soon();

    begin();
    start(&spec);
    go();
    CHECK_INT(kill(machine_qemu.pid(UUID), SIGKILL), 0);
    wait_event(MACHINE_EV_DIED);
    /* of a jailed one, which is not our child, it is not known */
    CHECK(strstr(seen.detail, root_get()->jailed ? "QEMU ended" : "by signal 9") != NULL);
    CHECK_INT(machine_qemu.state(UUID), MACHINE_NONE);
    CHECK_INT(machine_qemu.pid(UUID), -1);
    CHECK_INT(machine_qemu.go(UUID, &d, &err), -1);
    CHECK_STR(err.code, ERR_VM_BAD_POWER_STATE);
    start(&spec); /* without destroy() in between */
    go();
    destroy();
    CHECK_INT(n_events(), 1);
    end();
}

TEST(start_is_refused)
{
    AUTO(err_done) struct err err = { 0 };
    AUTO(err_done) struct err twice = { 0 };
    AUTO(err_done) struct err much = { 0 };
    AUTO(free_str) char *vm = NULL;
    struct deadline d = soon();
    struct vm_spec spec = guest("/nonexistent/kernel");

    begin();
    vm = str_fmt("%s/vm", seen.dir);
    CHECK_INT(machine_qemu.start(&spec, &d, &err), -1);
    CHECK_STR(err.code, ERR_BOOTLOADER_FAILED);
    CHECK_STR(err.params[0], UUID);
    CHECK(strstr(err.params[1], "/nonexistent/kernel") != NULL);
    CHECK_INT(count_dir(vm), 2);
    spec.kernel = NULL;
    spec.memory_bytes = UINT64_C(1) << 45;
    CHECK_INT(machine_qemu.start(&spec, &d, &much), -1);
    CHECK_STR(much.code, ERR_HOST_NOT_ENOUGH_FREE_MEMORY);
    spec.memory_bytes = 64 * MIB;
    start(&spec);
    CHECK_INT(machine_qemu.start(&spec, &d, &twice), -1);
    CHECK_STR(twice.code, ERR_VM_BAD_POWER_STATE);
    destroy();
    CHECK_INT(count_dir(vm), 2);
    CHECK_INT(n_events(), 0);
    end();
}

TEST(disks)
{
    AUTO(free_str) char *path = str_fmt("%s/disk.raw", test_dir());
    AUTO(close_fd) int rw = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    AUTO(close_fd) int ro = open(path, O_RDONLY | O_CLOEXEC);
    struct vm_spec spec = guest(NULL);

    begin();
    CHECK_INT(ftruncate(rw, (off_t)(16 * MIB)), 0);
    spec.vga = true;
    spec.n_disks = 4;
    for (unsigned i = 0; i < 4; i++) {
        AUTO(free_str) char *id = str_fmt("b%07u-1111-4222-8333-444444444444", i);

        spec.disks[i] = (struct vm_disk){ .slot = i * 4,
                                          .boot_index = i + 1,
                                          .source = VM_SOURCE_FILE };
        memcpy(spec.disks[i].id, id, UUID_TEXT_SIZE);
    }
    spec.disks[0].fd = rw;
    spec.disks[0].serial = "a,b=\"c\"";
    spec.disks[1].is_cd = true;
    spec.disks[1].bus = VM_BUS_SATA;
    spec.disks[1].source = VM_SOURCE_NONE;
    /* no second opener may write: read-only ones, from descriptors of either kind */
    AUTO(free_str) char *other = str_fmt("%s/other.raw", test_dir());
    AUTO(close_fd) int other_rw = open(other, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    CHECK_INT(ftruncate(other_rw, (off_t)MIB), 0);
    spec.disks[2].fd = other_rw;
    spec.disks[2].read_only = true;
    spec.disks[3].is_cd = true;
    spec.disks[3].bus = VM_BUS_SATA;
    spec.disks[3].source = VM_SOURCE_NONE;
    spec.n_nics = 1;
    spec.nics[0] = (struct vm_nic){ .id = "c0000000-1111-4222-8333-444444444444",
                                    .mac = "52:54:00:12:34:56" };
    start(&spec);
    go();
    destroy();
    spec.n_disks = 1;
    spec.disks[0].fd = ro; /* a disk to write on, and no right to */
    AUTO(err_done) struct err err = { 0 };
    struct deadline d = soon();

    CHECK_INT(machine_qemu.start(&spec, &d, &err), -1);
    CHECK_STR(err.code, ERR_BOOTLOADER_FAILED);
    end();
}

TEST(adopt)
{
    AUTO(err_done) struct err err = { 0 };
    AUTO(free_str) char *kernel = payload(echo_code, sizeof(echo_code));
    struct vm_spec spec = guest(kernel);
    struct deadline d = soon();
    struct machine_found *found;
    size_t n;
    int pid, fd;

    begin();
    start(&spec);
    go();
    pid = machine_qemu.pid(UUID);
    fd = view();
    CHECK_INT(io_write_full(fd, "before", 6, &d), 0);
    expect_bytes(fd, "Nbefore");
    machine_qemu.done();
    CHECK_INT(io_read(fd, (char[1]){ 0 }, 1, &d), 0);
    close_fd(&fd);
    CHECK(proc_alive(pid));

    CHECK_INT(machine_qemu.init(seen.dir, on_event, NULL, &err), 0);
    CHECK_INT(machine_qemu.state(UUID), MACHINE_NONE);
    CHECK_INT(machine_qemu.adopt(&found, &n, &err), 0);
    CHECK_INT(n, 1);
    CHECK_STR(found[0].uuid, UUID);
    CHECK_INT(found[0].state, MACHINE_RUNNING);
    CHECK_INT(found[0].pid, pid);
    free(found);
    CHECK_INT(machine_qemu.pid(UUID), pid);
    fd = view();
    expect_bytes(fd, "Nbefore"); /* from the log */
    CHECK_INT(io_write_full(fd, "after", 5, &d), 0);
    expect_bytes(fd, "after");
    close_fd(&fd);
    run(machine_qemu.pause);

    machine_qemu.done();
    CHECK_INT(machine_qemu.init(seen.dir, on_event, NULL, &err), 0);
    CHECK_INT(machine_qemu.adopt(&found, &n, &err), 0);
    CHECK_INT(n, 1);
    CHECK_INT(found[0].state, MACHINE_PAUSED);
    free(found);
    CHECK_INT(machine_qemu.adopt(&found, &n, &err), 0); /* they are known already */
    CHECK_INT(n, 0);
    free(found);
    CHECK_INT(n_events(), 0);
    CHECK_INT(kill(pid, SIGKILL), 0);
    wait_event(MACHINE_EV_DIED);
    destroy();
    end();
}

/* What a daemon that was killed leaves. */
TEST(adopt_removes_rubbish)
{
    AUTO(err_done) struct err err = { 0 };
    AUTO(free_str) char *vm = NULL;
    AUTO(free_str) char *started = NULL;
    struct vm_spec spec = guest(NULL);
    struct machine_found *found;
    size_t n;
    int pid, fd;

    begin();
    vm = str_fmt("%s/vm", seen.dir);
    started = machine_dir_path(seen.dir, UUID, "started");
    /* killed after the directory was made, and after the lock was let go */
    CHECK_INT(machine_dir_create(seen.dir, UUID, &fd, &err), 0);
    close_fd(&fd);
    CHECK_INT(machine_dir_write(seen.dir, UUID, "pid", "1\n", &err),
              0); /* somebody else's */
    AUTO(free_str) char *bare = str_fmt("%s/b0000000-1111-4222-8333-444444444444", vm);
    AUTO(free_str) char *odd = str_fmt("%s/something", vm);

    CHECK_INT(io_mkdirs(bare, 0700), 0);
    CHECK_INT(io_mkdirs(odd, 0700), 0);
    CHECK_INT(machine_qemu.adopt(&found, &n, &err), 0);
    CHECK_INT(n, 0);
    CHECK_INT(count_dir(vm), 2);
    free(found);
    /* killed before QEMU was ready */
    start(&spec);
    pid = machine_qemu.pid(UUID);
    CHECK_INT(unlink(started), 0);
    machine_qemu.done();
    CHECK_INT(machine_qemu.init(seen.dir, on_event, NULL, &err), 0);
    CHECK_INT(machine_qemu.adopt(&found, &n, &err), 0);
    CHECK_INT(n, 0);
    free(found);
    CHECK_INT(count_dir(vm), 2);
    CHECK(!proc_alive(pid));
    CHECK_INT(n_events(), 0);
    start(&spec);
    destroy();
    end();
}

TEST(twenty_cycles_leave_nothing)
{
    AUTO(free_str) char *kernel = payload(echo_code, sizeof(echo_code));
    AUTO(free_str) char *vm = NULL;
    struct vm_spec spec = guest(kernel);
    size_t fds = 0;

    begin();
    vm = str_fmt("%s/vm", seen.dir);
    for (int i = 0; i < 20; i++) {
        int fd;

        start(&spec);
        go();
        fd = view();
        expect_bytes(fd, "N");
        close_fd(&fd);
        destroy();
        CHECK_INT(count_dir(vm), 2);
        if (i == 0)
            fds = count_dir("/proc/self/fd");
    }
    CHECK_INT(count_dir("/proc/self/fd"), fds);
    CHECK_INT(n_events(), 0);
    CHECK_INT(waitpid(-1, NULL, WNOHANG),
              0); /* the guard lives, nobody waits to be reaped */
    end();
}

TEST(agent_does_not_answer)
{
    AUTO(err_done) struct err err = { 0 };
    AUTO(free_str) char *kernel = payload(echo_code, sizeof(echo_code));
    struct deadline d = deadline_in(100 * US_PER_MS);
    struct vm_spec spec = guest(kernel);
    char *reply = NULL;

    begin();
    start(&spec);
    go();
    CHECK_INT(machine_qemu.agent(UUID, "{\"execute\":\"guest-ping\"}", &reply, &d, &err),
              -1);
    CHECK_STR(err.code, ERR_INTERNAL_ERROR);
    CHECK_STR(err.params[0], "The guest agent does not answer");
    CHECK(reply == NULL);
    destroy();
    end();
}
