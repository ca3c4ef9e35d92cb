/* SPDX-License-Identifier: Apache-2.0 */
/* Failpoints, for test builds alone. Hits are counted by an atomic because points lie in code of any
 * thread, and a lock here would change the timing that a test looks at. A plan in a file is for tests that look at what
 * is left, not at timing: it is read and counted under a lock. */
#include "base/failpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#include "base/io.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"

/* Made by the linker; weak, for a program without any point. */
extern struct failpoint *const __start_failpoints[] __attribute__((weak));
extern struct failpoint *const __stop_failpoints[] __attribute__((weak));

enum action { DO_NOTHING, DO_EXIT, DO_ERROR, DO_SLEEP, DO_STOP };

struct plan {
    enum action action;
    char *name;
    unsigned long nth;
    int sleep_ms;
};

/* Written by the constructor alone, before there are threads; plan only when there is no plan_file. */
static struct plan plan;
static int log_fd = -1;
static const char *plan_file;

/* What the file said when it was looked at last, and the hits of its point since it says so. */
static struct mutex file_lock = MUTEX_INIT;
static struct plan file_plan GUARDED_BY(file_lock);
static char *file_text GUARDED_BY(file_lock);
static unsigned long file_hits GUARDED_BY(file_lock);

static void log_point(const char *what, const char *name)
{
    if (log_fd < 0)
        return;
    AUTO(free_str) char *line = str_fmt("%s %s\n", what, name);
    (void)!write(log_fd, line,
                 strlen(line)); /* a missing line fails the test that reads it */
}

static bool parse_action(const char *text, struct plan *out)
{
    int64_t ms = 1000;
    if (str_eq(text, "exit"))
        out->action = DO_EXIT;
    else if (str_eq(text, "error"))
        out->action = DO_ERROR;
    else if (str_eq(text, "stop"))
        out->action = DO_STOP;
    else if (str_eq(text, "sleep")
             || (str_starts(text, "sleep=") && parse_range(text + 6, 0, 3600000, &ms)))
        out->action = DO_SLEEP;
    out->sleep_ms = (int)ms;
    return out->action != DO_NOTHING;
}

static bool parse_plan(const char *text, struct plan *out)
{
    AUTO(free_str) char *name = str_dup(text);
    char *action = strchr(name, ':');
    if (!action || action == name)
        return false;
    *action++ = '\0';
    char *nth = strchr(action, ':');
    int64_t n = 1;
    if (nth) {
        *nth++ = '\0';
        if (!parse_range(nth, 1, INT32_MAX, &n))
            return false;
    }
    out->nth = (unsigned long)n;
    out->name = str_dup(name);
    return parse_action(action, out);
}

__attribute__((constructor)) static void failpoint_setup(void)
{
    const char *path = getenv("SERAI_FAILPOINT_LOG"), *text = getenv("SERAI_FAILPOINT");
    if (path) {
        log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (log_fd < 0)
            log_error("SERAI_FAILPOINT_LOG %s: %m", path);
    }
    for (struct failpoint *const *p = __start_failpoints; p != __stop_failpoints; p++)
        log_point("point", (*p)->name);
    if (text && text[0] == '@')
        plan_file = text + 1;
    if (!text || plan_file || str_eq(text, "list") || parse_plan(text, &plan))
        return;
    log_error(
        "SERAI_FAILPOINT=%s: want NAME:exit|error|stop|sleep[=MS][:NTH], list or @FILE",
        text);
    _exit(2);
}

/* The plan of the file, if it is this hit's turn. What cannot be read is no plan. */
static struct plan from_file(const char *name)
{
    AUTO(buf_done) struct buf now = BUF_INIT(4096);
    const char *text = io_read_file(plan_file, &now) < 0 ? "list" : buf_str(&now);
    struct plan due = { 0 };

    mutex_lock(&file_lock);
    if (!str_eq(text, file_text)) {
        free(file_text);
        free(file_plan.name);
        file_text = str_dup(text);
        file_plan = (struct plan){ 0 };
        file_hits = 0;
        (void)parse_plan(text, &file_plan);
    }
    if (str_eq(name, file_plan.name) && ++file_hits == file_plan.nth)
        due = (struct plan){ .action = file_plan.action, .sleep_ms = file_plan.sleep_ms };
    mutex_unlock(&file_lock);
    return due;
}

bool failpoint_hit(struct failpoint *p)
{
    unsigned long hit = __atomic_add_fetch(&p->hits, 1, __ATOMIC_RELAXED);
    struct plan due = { 0 };
    int kept = errno;

    if (hit == 1 || plan_file)
        log_point("hit", p->name);
    if (plan_file)
        due = from_file(p->name);
    else if (hit == plan.nth && str_eq(p->name, plan.name))
        due = plan;
    switch (due.action) {
    case DO_EXIT:
        log_point("die", p->name);
        (void)raise(SIGKILL);
        break;
    case DO_STOP: (void)kill(getpid(), SIGSTOP); break;
    case DO_SLEEP: (void)poll(NULL, 0, due.sleep_ms); break;
    case DO_ERROR: errno = EIO; return true;
    case DO_NOTHING: break;
    }
    errno = kept;
    return false;
}
