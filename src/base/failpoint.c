/* SPDX-License-Identifier: Apache-2.0 */
/* Failpoints, for test builds alone. Hits are counted by an atomic because points lie in code of any
 * thread, and a lock here would change the timing that a test looks at. */
#include "base/failpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"

/* Made by the linker; weak, for a program without any point. */
extern struct failpoint *const __start_failpoints[] __attribute__((weak));
extern struct failpoint *const __stop_failpoints[] __attribute__((weak));

enum action { DO_NOTHING, DO_EXIT, DO_ERROR, DO_SLEEP };

/* Written by the constructor alone, before there are threads. */
static struct {
    enum action action;
    char *name;
    unsigned long nth;
    int sleep_ms;
    int log_fd;
} plan = { .log_fd = -1 };

static void log_point(const char *what, const char *name)
{
    if (plan.log_fd < 0)
        return;
    AUTO(free_str) char *line = str_fmt("%s %s\n", what, name);
    (void)!write(plan.log_fd, line,
                 strlen(line)); /* a missing line fails the test that reads it */
}

static bool parse_action(const char *text)
{
    int64_t ms = 1000;
    if (str_eq(text, "exit"))
        plan.action = DO_EXIT;
    else if (str_eq(text, "error"))
        plan.action = DO_ERROR;
    else if (str_eq(text, "sleep")
             || (str_starts(text, "sleep=") && parse_range(text + 6, 0, 3600000, &ms)))
        plan.action = DO_SLEEP;
    plan.sleep_ms = (int)ms;
    return plan.action != DO_NOTHING;
}

static bool parse_plan(const char *text)
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
    plan.nth = (unsigned long)n;
    plan.name = str_dup(name);
    return parse_action(action);
}

__attribute__((constructor)) static void failpoint_setup(void)
{
    const char *path = getenv("SERAI_FAILPOINT_LOG"), *text = getenv("SERAI_FAILPOINT");
    if (path) {
        plan.log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (plan.log_fd < 0)
            log_error("SERAI_FAILPOINT_LOG %s: %m", path);
    }
    for (struct failpoint *const *p = __start_failpoints; p != __stop_failpoints; p++)
        log_point("point", (*p)->name);
    if (!text || str_eq(text, "list") || parse_plan(text))
        return;
    log_error("SERAI_FAILPOINT=%s: want NAME:exit|error|sleep[=MS][:NTH] or list", text);
    _exit(2);
}

bool failpoint_hit(struct failpoint *p)
{
    unsigned long hit = __atomic_add_fetch(&p->hits, 1, __ATOMIC_RELAXED);
    if (hit == 1)
        log_point("hit", p->name);
    if (hit != plan.nth || !str_eq(p->name, plan.name))
        return false;
    switch (plan.action) {
    case DO_EXIT: (void)raise(SIGKILL); break;
    case DO_SLEEP: (void)poll(NULL, 0, plan.sleep_ms); break;
    case DO_ERROR: errno = EIO; return true;
    case DO_NOTHING: break;
    }
    return false;
}
