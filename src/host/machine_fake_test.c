/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/test.h"
#include "host/machine.h"

#define UUID "f0000000-1111-4222-8333-444444444444"

static struct {
    struct mutex lock;
    struct cond cond;
    int kinds[16];
    size_t n;
} seen = { .lock = MUTEX_INIT };

static struct deadline soon(void)
{
    return deadline_in(20 * US_PER_SEC);
}

static void on_event(const struct machine_event *ev, void *arg)
{
    mutex_lock(&seen.lock);
    CHECK_STR(ev->uuid, UUID);
    CHECK(seen.n < ARRAY_SIZE(seen.kinds));
    seen.kinds[seen.n++] = (int)ev->kind;
    cond_broadcast(&seen.cond);
    mutex_unlock(&seen.lock);
}

static void expect_event(enum machine_event_kind kind)
{
    int64_t at = clock_now_us() + 20 * US_PER_SEC;

    mutex_lock(&seen.lock);
    while (seen.n == 0)
        if (!cond_wait_until(&seen.cond, &seen.lock, at))
            test_fail(__FILE__, __LINE__, "no event");
    CHECK_INT(seen.n, 1);
    CHECK_INT(seen.kinds[0], kind);
    seen.n = 0;
    mutex_unlock(&seen.lock);
}

static void begin(void)
{
    cond_init(&seen.cond);
    CHECK_INT(machine_fake.init(test_dir(), on_event, NULL, NULL), 0);
}

static struct vm_spec guest(const char *words)
{
    return (struct vm_spec){ .uuid = UUID, .cmdline = words, .memory_bytes = 1 << 20 };
}

static void start(const char *words)
{
    struct vm_spec spec = guest(words);
    struct deadline d = soon();

    CHECK_INT(machine_fake.start(&spec, &d, NULL), 0);
    CHECK_INT(machine_fake.state(UUID), MACHINE_PAUSED);
}

static void run(int (*op)(const char *uuid, const struct deadline *d, struct err *err))
{
    AUTO(err_done) struct err err = { 0 };
    struct deadline d = soon();

    if (op(UUID, &d, &err) < 0)
        test_fail(__FILE__, __LINE__, "%s", err.code);
}

static void expect_bytes(int fd, const char *want)
{
    struct deadline d = soon();
    char got[128] = "";

    CHECK_INT(io_read_full(fd, got, strlen(want), &d), 0);
    CHECK_STR(got, want);
}

TEST(life)
{
    AUTO(err_done) struct err err = { 0 };
    struct vm_spec spec = guest(NULL);
    struct deadline d = soon();

    begin();
    start(NULL);
    CHECK_INT(machine_fake.start(&spec, &d, &err), -1);
    CHECK_STR(err.code, ERR_VM_BAD_POWER_STATE);
    run(machine_fake.go);
    CHECK_INT(machine_fake.state(UUID), MACHINE_RUNNING);
    CHECK(machine_fake.pid(UUID) > 0);
    run(machine_fake.pause);
    CHECK_INT(machine_fake.state(UUID), MACHINE_PAUSED);
    run(machine_fake.go);
    run(machine_fake.reset);
    run(machine_fake.powerdown);
    run(machine_fake.wait_off);
    CHECK_INT(machine_fake.state(UUID), MACHINE_OFF);
    expect_event(MACHINE_EV_POWEROFF);
    run(machine_fake.reset); /* as a board does: off it is ready to run again */
    CHECK_INT(machine_fake.state(UUID), MACHINE_PAUSED);
    run(machine_fake.go);
    CHECK_INT(machine_fake.state(UUID), MACHINE_RUNNING);
    run(machine_fake.destroy);
    run(machine_fake.destroy);
    CHECK_INT(machine_fake.pid(UUID), -1);
    machine_fake.done();
}

TEST(what_guests_do)
{
    static const struct {
        const char *words;
        enum machine_event_kind kind;
        enum machine_state state;
    } cases[] = {
        { "quiet fake:poweroff", MACHINE_EV_POWEROFF, MACHINE_OFF },
        { "fake:panic", MACHINE_EV_PANIC, MACHINE_OFF },
        { "fake:die", MACHINE_EV_DIED, MACHINE_NONE },
        { "fake:agent", MACHINE_EV_AGENT, MACHINE_RUNNING },
    };

    begin();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        start(cases[i].words);
        run(machine_fake.go);
        expect_event(cases[i].kind);
        CHECK_INT(machine_fake.state(UUID), cases[i].state);
        run(machine_fake.destroy);
    }
    machine_fake.done();
}

TEST(deaf_and_refused)
{
    AUTO(err_done) struct err late = { 0 };
    AUTO(err_done) struct err refused = { 0 };
    struct vm_spec spec = guest("fake:refuse");
    struct deadline at_once = deadline_in(1000), d = soon();

    begin();
    start("fake:deaf");
    run(machine_fake.go);
    run(machine_fake.powerdown);
    CHECK_INT(machine_fake.wait_off(UUID, &at_once, &late), -1);
    CHECK_STR(late.code, ERR_VM_SHUTDOWN_TIMEOUT);
    run(machine_fake.destroy);
    CHECK_INT(machine_fake.start(&spec, &d, &refused), -1);
    CHECK_STR(refused.code, ERR_BOOTLOADER_FAILED);
    CHECK_INT(machine_fake.state(UUID), MACHINE_NONE);
    machine_fake.done();
}

TEST(consoles)
{
    struct deadline d = soon();
    int vnc, serial;

    begin();
    start(NULL);
    vnc = machine_fake.open_vnc(UUID, &d, NULL);
    serial = machine_fake.open_serial(UUID, &d, NULL);
    CHECK(vnc >= 0 && serial >= 0);
    expect_bytes(vnc, "RFB 003.008\n");
    expect_bytes(serial, "fake console of " UUID "\r\n");
    CHECK_INT(io_write_full(serial, "ls\n", 3, &d), 0);
    expect_bytes(serial, "ls\n");
    close_fd(&vnc);
    run(machine_fake.destroy);
    CHECK_INT(io_read(serial, (char[1]){ 0 }, 1, &d), 0);
    close_fd(&serial);
    machine_fake.done();
}

TEST(adopt)
{
    struct machine_found *found;
    size_t n;

    begin();
    start("fake:deaf");
    run(machine_fake.go);
    machine_fake.done();
    CHECK_INT(machine_fake.init(test_dir(), on_event, NULL, NULL), 0);
    CHECK_INT(machine_fake.state(UUID), MACHINE_NONE);
    CHECK_INT(machine_fake.adopt(&found, &n, NULL), 0);
    CHECK_INT(n, 1);
    CHECK_STR(found[0].uuid, UUID);
    CHECK_INT(found[0].state, MACHINE_RUNNING);
    free(found);
    run(machine_fake.pause);
    CHECK_INT(machine_fake.state(UUID), MACHINE_PAUSED);
    run(machine_fake.destroy);
    CHECK_INT(machine_fake.adopt(&found, &n, NULL), 0);
    CHECK_INT(n, 0);
    free(found);
    machine_fake.done();
}
