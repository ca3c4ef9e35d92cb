/* SPDX-License-Identifier: Apache-2.0 */
/* The state of a machine (memory and devices) as a stream, out of one and into another: QEMU's migration, with a socket of
 * the caller's at its other end. Nothing is remembered here. Whoever dies in the middle leaves a machine whose stream broke:
 * one that was to run on does, one that had been stopped is let go by machine_save_undo() at the next start.
 *
 * A live save goes over memory again and again while the guest writes to it, until the rest takes less than the time
 * that it may stand still; there QEMU waits (pause-before-switchover), with disks flushed, for the caller to do its part. A
 * guest that writes faster than the stream is slowed down (auto-converge), and stopped when too much has been sent.
 *
 * Under TCG the guest stands still for all of a live save. QEMU before 9.0 loses what such a guest writes meanwhile: it clears
 * its record of pages that were written to, and leaves them writable without a new entry in TCG's translation buffers.
 * What is restored then is of two moments, and the guest's kernel dies of it.
 *
 * Runs on the callers' threads. */
#include <errno.h>
#include <jansson.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/machine.h"
#include "host/machine_dir.h"
#include "host/machine_reg.h"

#define LOOK_US        (US_PER_SEC / 2)
#define FINAL_US       (US_PER_SEC / 1000)
#define UNDO_US        (5 * US_PER_SEC)
#define STANDSTILL_MS  50
#define STANDSTILL_MAX 2000000 /* what QEMU takes */
#define NO_LIMIT       (INT64_C(1) << 40)
#define STREAM         "state"

struct save {
    const char *uuid;
    const struct machine_save *how;
    struct machine_saved *out;
    bool runs;    /* the guest does meanwhile */
    bool hurried; /* told to stop the guest as soon as it can */
};

static int command(const char *uuid, const char *name, json_t *args,
                   const struct deadline *d, struct err *err)
{
    return machine_qemu_command(uuid, name, args, -1, NULL, d, err);
}

static void set_saving(const char *uuid, bool saving)
{
    struct machine *m;

    mutex_lock(&machines_lock);
    m = machine_reg_find(uuid);
    if (m) {
        m->saving = saving;
        m->migration = MACHINE_MIGRATION_NONE;
    }
    mutex_unlock(&machines_lock);
}

static enum machine_migration stage(const char *uuid)
{
    const struct machine *m;
    enum machine_migration s;

    mutex_lock(&machines_lock);
    m = machine_reg_find(uuid);
    s = m && m->alive ? m->migration : MACHINE_MIGRATION_GONE;
    mutex_unlock(&machines_lock);
    return s;
}

/* Something for the caller to do, or to learn. */
static bool stands(struct machine *m, void *arg)
{
    enum machine_migration passed = *(enum machine_migration *)arg;

    return !m || !m->alive || m->migration > passed;
}

/* QEMU refuses: a device of the machine has no state that could be kept, or it is in no mood to. */
static int refused(struct err *err, struct err *cause)
{
    return machine_qemu_refused("the machine cannot be saved", err, cause);
}

static json_t *capability(const char *name, bool on)
{
    return json_pack("{ss sb}", "capability", name, "state", (int)on);
}

/* live: QEMU waits for our word at the end. */
static int set_up(const char *uuid, bool live, bool runs, const struct deadline *d,
                  struct err *err)
{
    json_t *caps = json_pack("{s[ooo]}", "capabilities", capability("events", true),
                             capability("pause-before-switchover", live),
                             capability("auto-converge", runs));

    if (command(uuid, "migrate-set-capabilities", caps, d, err) < 0)
        return -1;
    return command(uuid, "migrate-set-parameters",
                   json_pack("{sI si}", "max-bandwidth", (json_int_t)NO_LIMIT,
                             "downtime-limit", runs ? STANDSTILL_MS : STANDSTILL_MAX),
                   d, err);
}

static int give_stream(const char *uuid, int fd, const struct deadline *d, struct err *err)
{
    return machine_qemu_command(uuid, "getfd", json_pack("{ss}", "fdname", STREAM), fd,
                                NULL, d, err);
}

static uint64_t number(const json_t *o, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(o, key));

    return n > 0 ? (uint64_t)n : 0;
}

/* How far is it? Tells the caller, and hurries a guest that writes too much. */
static int look(struct save *s, const struct deadline *d, struct err *err)
{
    json_t *now = NULL;
    const json_t *ram;
    uint64_t total, remaining, sent;

    if (machine_qemu_command(s->uuid, "query-migrate", NULL, -1, &now, d, err) < 0)
        return -1;
    ram = json_object_get(now, "ram");
    total = number(ram, "total");
    remaining = number(ram, "remaining");
    sent = number(ram, "transferred");
    s->out->slowed_percent = MAX(s->out->slowed_percent,
                                 (unsigned)number(now, "cpu-throttle-percentage"));
    json_decref(now);
    if (s->how->progress && total > 0)
        s->how->progress((double)(total - MIN(remaining, total)) / (double)total,
                         s->how->arg);
    if (!s->runs || s->hurried || sent < s->how->live_bytes_max)
        return 0;
    s->hurried = s->out->hurried = true;
    return command(s->uuid, "migrate-set-parameters",
                   json_pack("{si}", "downtime-limit", STANDSTILL_MAX), d, err);
}

static int broken(const char *uuid, struct err *err)
{
    AUTO(free_str) char *tail = machine_dir_log_tail(machine_reg_dir(), uuid);

    err_set(err, ERR_OPERATION_NOT_ALLOWED,
            "the state of the machine could not be transferred");
    return err_detail(err, "machine %s: %s", uuid, tail);
}

/* Wait until it is past a stage: the next one, or -1. */
static int wait_past(struct save *s, enum machine_migration passed,
                     const struct deadline *d, struct err *err)
{
    for (;;) {
        struct deadline soon = deadline_sooner(d, LOOK_US);

        if (machine_reg_wait(s->uuid, stands, &passed, &soon) == 0)
            break;
        if (errno != ETIMEDOUT || deadline_passed(d))
            return machine_reg_late("save", err);
        if (s->how && look(s, d, err) < 0)
            return -1;
    }
    switch (stage(s->uuid)) {
    case MACHINE_MIGRATION_WAITS: return MACHINE_MIGRATION_WAITS;
    case MACHINE_MIGRATION_DONE: return MACHINE_MIGRATION_DONE;
    case MACHINE_MIGRATION_GONE:
        return err_set(err, ERR_VM_BAD_POWER_STATE, s->uuid, "running", "halted");
    default: return broken(s->uuid, err);
    }
}

static int switch_over(struct save *s, const struct deadline *d, struct err *err)
{
    (void)FAILPOINT("machine.save.paused");
    if (s->how->paused && s->how->paused(s->how->arg, err) < 0)
        return -1;
    if (command(s->uuid, "migrate-continue", json_pack("{ss}", "state", "pre-switchover"),
                d, err)
        < 0)
        return -1;
    return wait_past(s, MACHINE_MIGRATION_WAITS, d, err);
}

/* QEMU says that it is done a moment before it can be told to go on, and nothing says when it can. */
static int finalized(const char *uuid, const struct deadline *d, struct err *err)
{
    for (;;) {
        struct deadline soon = deadline_sooner(d, FINAL_US);
        json_t *now = NULL;
        bool still;

        if (machine_qemu_command(uuid, "query-status", NULL, -1, &now, d, err) < 0)
            return -1;
        still = str_eq(json_string_value(json_object_get(now, "status")), "finish-migrate");
        json_decref(now);
        if (!still)
            return 0;
        if (deadline_poll(&soon, -1, 0) < 0 && (errno != ETIMEDOUT || deadline_passed(d)))
            return machine_reg_late("finish", err);
    }
}

/* Does QEMU know what the guest writes while it runs? */
static int may_run(const char *uuid, bool *out, const struct deadline *d, struct err *err)
{
    json_t *kvm = NULL;

    if (machine_qemu_command(uuid, "query-kvm", NULL, -1, &kvm, d, err) < 0)
        return -1;
    *out = json_is_true(json_object_get(kvm, "enabled"));
    json_decref(kvm);
    return 0;
}

static int transfer(struct save *s, const struct deadline *d, struct err *err)
{
    AUTO(err_done) struct err cause = { 0 };
    int at;

    if (s->how->live && may_run(s->uuid, &s->runs, d, err) < 0)
        return -1;
    s->out->hurried = s->how->live && !s->runs;
    if ((!s->runs && command(s->uuid, "stop", NULL, d, err) < 0)
        || set_up(s->uuid, s->how->live, s->runs, d, err) < 0
        || give_stream(s->uuid, s->how->fd, d, err) < 0)
        return -1;
    if (FAILPOINT("machine.save.stopped"))
        return err_set(err, ERR_OPERATION_NOT_ALLOWED, "a failpoint");
    if (command(s->uuid, "migrate", json_pack("{ss}", "uri", "fd:" STREAM), d, &cause) < 0)
        return refused(err, &cause);
    (void)FAILPOINT("machine.save.begun");
    at = wait_past(s, MACHINE_MIGRATION_NONE, d, err);
    if (at == MACHINE_MIGRATION_WAITS)
        at = switch_over(s, d, err);
    return at < 0 ? -1 : finalized(s->uuid, d, err);
}

static bool is_over(const char *status)
{
    return !status || str_eq(status, "none") || str_eq(status, "completed")
           || str_eq(status, "failed") || str_eq(status, "cancelled");
}

/* The stream ends, whatever it was doing. */
static int end_stream(const char *uuid, const struct deadline *d, struct err *err)
{
    enum machine_migration passed = MACHINE_MIGRATION_WAITS;
    json_t *now = NULL;
    bool over;

    mutex_lock(&machines_lock);
    struct machine *m = machine_reg_find(uuid);
    if (m)
        m->migration = MACHINE_MIGRATION_NONE; /* its end is news */
    mutex_unlock(&machines_lock);
    if (command(uuid, "migrate_cancel", NULL, d, err) < 0
        || machine_qemu_command(uuid, "query-migrate", NULL, -1, &now, d, err) < 0)
        return -1;
    over = is_over(json_string_value(json_object_get(now, "status")));
    json_decref(now);
    if (!over && machine_reg_wait(uuid, stands, &passed, d) < 0)
        return machine_reg_late("cancel", err);
    return 0;
}

int machine_save_undo(const char *uuid, const struct deadline *d, struct err *err)
{
    if (end_stream(uuid, d, err) < 0 || finalized(uuid, d, err) < 0)
        return -1;
    return command(uuid, "cont", NULL, d, err);
}

int machine_save(const char *uuid, const struct machine_save *how,
                 struct machine_saved *out, const struct deadline *d, struct err *err)
{
    struct save s = { .uuid = uuid, .how = how, .out = out };
    struct deadline undo;
    AUTO(err_done) struct err second = { 0 };

    *out = (struct machine_saved){ 0 };
    if (machine_dir_has(machine_reg_dir(), uuid, MACHINE_DIR_SHRUNK))
        return err_set(err, ERR_OPERATION_NOT_ALLOWED,
                       "processors were taken from the machine while it ran, and QEMU "
                       "cannot store the memory of such a machine: shut it down and start "
                       "it again first");
    set_saving(uuid, true);
    if (transfer(&s, d, err) == 0) {
        set_saving(uuid, false);
        return 0;
    }
    /* whoever cancels the save of a machine that hangs waits for it */
    undo = deadline_in(UNDO_US);
    if (stage(uuid) != MACHINE_MIGRATION_GONE
        && machine_save_undo(uuid, &undo, &second) < 0) {
        const char *why = second.n_params ? second.params[0] : second.code;
        struct deadline soon = deadline_in(US_PER_SEC / 10);

        /* QEMU gets to it when it hangs no more */
        IGNORE(command(uuid, "cont", NULL, &soon, NULL));
        log_error("machine %s does not go on after a save that failed: %s", uuid, why);
    }
    set_saving(uuid, false);
    return -1;
}

int machine_load(const char *uuid, int fd, const struct deadline *d, struct err *err)
{
    struct save s = { .uuid = uuid };
    AUTO(err_done) struct err cause = { 0 };
    int rc;

    set_saving(uuid, true);
    rc = set_up(uuid, false, false, d, err) < 0 || give_stream(uuid, fd, d, err) < 0 ? -1
                                                                                     : 0;
    (void)FAILPOINT("machine.load.begun");
    if (rc == 0
        && command(uuid, "migrate-incoming", json_pack("{ss}", "uri", "fd:" STREAM), d,
                   &cause)
               < 0)
        rc = refused(err, &cause);
    if (rc == 0 && wait_past(&s, MACHINE_MIGRATION_NONE, d, &cause) < 0) {
        rc = -1;
        if (stage(uuid) == MACHINE_MIGRATION_GONE) /* QEMU ends when it cannot read it */
            (void)broken(uuid, err);
        else
            err_move(err, &cause);
    }
    set_saving(uuid, false);
    return rc;
}
