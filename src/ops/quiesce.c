/* SPDX-License-Identifier: Apache-2.0 */
/* A mark in the machine's directory is there from before the guest is asked to rest until it has said that it goes on: it
 * lives as long as the machine, through any death of the daemon. Who finds one that no snapshot holds has the guest go on
 * (guest.c looks whenever it looks at the guest, and at the start). A guest that was not at rest takes that as nothing. */
#include "ops/quiesce.h"

#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/failpoint.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/vec.h"
#include "ops/guest.h"
#include "ops/host_ctx.h"

#define ANSWER_US (2 * US_PER_SEC)
#define FREEZE_US (10 * US_PER_SEC) /* the kernel writes out what it has first */
#define THAW_US   (5 * US_PER_SEC)

static struct mutex quiesce_lock = MUTEX_INIT;

/* VMs whose snapshot is under way; few at a time. */
static VEC(char *) held GUARDED_BY(quiesce_lock);

static char *mark_of(const char *uuid)
{
    return str_fmt("%s/vm/%s/frozen", host_ctx.runtime_dir, uuid);
}

static void let_go(const char *uuid)
{
    mutex_lock(&quiesce_lock);
    for (size_t i = held.n; i-- > 0;)
        if (str_eq(held.v[i], uuid)) {
            free(held.v[i]);
            vec_remove(&held, i);
        }
    mutex_unlock(&quiesce_lock);
}

/* What the agent returned: a number, or -1 with the reason; *answered says whether it did at all. */
static int64_t ask(const char *uuid, const char *command, const struct deadline *d,
                   bool *answered, struct err *err)
{
    AUTO(free_str) char *text = str_fmt("{\"execute\":\"%s\"}", command);
    char *reply = NULL;
    int64_t n = -1;
    *answered = host_ctx.machine->agent(uuid, text, &reply, d, err) == 0;
    if (!*answered)
        return -1;
    json_t *o = json_loads(reply, 0, NULL);
    const json_t *ret = json_object_get(o, "return");
    if (ret)
        n = json_is_integer(ret) ? MAX(json_integer_value(ret), 0) : 0;
    json_decref(o);
    free_str(&reply);
    return n;
}

static int not_supported(const char *vm, struct err *err)
{
    err_done(err);
    (void)err_set(err, ERR_VM_SNAPSHOT_WITH_QUIESCE_NOT_SUPPORTED, vm,
                  "no guest agent answers");
    return err_detail(err,
                      "install qemu-guest-agent in the guest, or take a plain snapshot");
}

int quiesce_freeze(const struct ref *vm, const char *uuid, const struct deadline *until,
                   struct err *err)
{
    AUTO(free_str) char *mark = mark_of(uuid);
    char text[REF_TEXT_SIZE];
    bool answered;
    struct deadline d = deadline_sooner(until, ANSWER_US);
    ref_text(vm, text);
    (void)ask(uuid, "guest-ping", &d, &answered, err);
    if (!answered)
        return str_eq(err->code, ERR_TASK_CANCELLED) ? -1 : not_supported(text, err);
    mutex_lock(&quiesce_lock);
    vec_push(&held, str_dup(uuid));
    mutex_unlock(&quiesce_lock);
    AUTO(close_fd) int fd = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        let_go(uuid);
        (void)err_set(err, ERR_VM_SNAPSHOT_WITH_QUIESCE_FAILED, text);
        return err_detail(err, "%s: %m", mark);
    }
    d = deadline_sooner(until, FREEZE_US);
    int64_t n = ask(uuid, "guest-fsfreeze-freeze", &d, &answered, err);
    (void)FAILPOINT("quiesce.frozen");
    if (n >= 0)
        return 0;
    quiesce_thaw(uuid); /* some of it may rest already, or will yet */
    if (!answered && str_eq(err->code, ERR_TASK_CANCELLED))
        return -1;
    err_done(err);
    return err_set(err,
                   answered ? ERR_VM_SNAPSHOT_WITH_QUIESCE_FAILED
                            : ERR_VM_SNAPSHOT_WITH_QUIESCE_TIMEOUT,
                   text);
}

/* It goes on; the mark goes when it has said so. */
static bool thaw(const char *uuid)
{
    AUTO(err_done) struct err err = { 0 };
    AUTO(free_str) char *mark = mark_of(uuid);
    struct deadline d = deadline_in(THAW_US);
    bool answered;
    if (ask(uuid, "guest-fsfreeze-thaw", &d, &answered, &err) < 0 && !answered) {
        log_warn(
            "VM %s: its file systems may still rest after a snapshot: its agent does not "
            "answer, and is asked again",
            uuid);
        return false;
    }
    (void)FAILPOINT("quiesce.thawed");
    (void)unlink(mark);
    return true;
}

void quiesce_thaw(const char *uuid)
{
    bool done = thaw(uuid);
    let_go(uuid);
    if (!done)
        guest_look(uuid);
}

bool quiesce_marked(const char *uuid)
{
    AUTO(free_str) char *mark = mark_of(uuid);
    return access(mark, F_OK) == 0;
}

bool quiesce_settle(const char *uuid)
{
    bool is_held = false;
    if (!quiesce_marked(uuid))
        return true;
    mutex_lock(&quiesce_lock);
    for (size_t i = 0; i < held.n; i++)
        is_held = is_held || str_eq(held.v[i], uuid);
    mutex_unlock(&quiesce_lock);
    return is_held || thaw(uuid);
}
