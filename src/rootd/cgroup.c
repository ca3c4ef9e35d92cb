/* SPDX-License-Identifier: Apache-2.0 */
/* Where the cgroups are is worked out from the kernel's two tables, once, at our start. Ending one: v2 has a file for it;
 * in v1 all of it is frozen, so that nothing forks away between being listed and being killed. */
#include "rootd/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/parse.h"

#define FILE_MAX (256 * 1024)

static const char *const controllers[CGROUP_DIRS_MAX] = { "cpu", "memory", "pids",
                                                          "freezer" };

/* Whether list ("cpu,cpuacct") has the word. */
static bool has_word(const char *list, size_t len, const char *word)
{
    size_t want = strlen(word);

    for (size_t at = 0; at < len;) {
        size_t n = 0;

        while (at + n < len && list[at + n] != ',')
            n++;
        if (n == want && memcmp(list + at, word, n) == 0)
            return true;
        at += n + 1;
    }
    return false;
}

/* Our own cgroup from lines "ID:CONTROLLERS:PATH"; controller "" is v2. Given, NULL: none. */
static char *own_path(const char *membership, const char *controller)
{
    for (const char *line = membership; *line;) {
        size_t len = strcspn(line, "\n");
        const char *list = memchr(line, ':', len);
        const char *path = list ? memchr(list + 1, ':', len - (size_t)(list + 1 - line))
                                : NULL;

        if (path) {
            size_t n = (size_t)(path - (list + 1));

            if (controller[0] ? has_word(list + 1, n, controller) : n == 0)
                return str_dupn(path + 1, len - (size_t)(path + 1 - line));
        }
        line += len + (line[len] == '\n');
    }
    return NULL;
}

/* The n-th word of a line, 0 first. */
static bool word_at(const char *line, size_t len, size_t n, const char **word_out,
                    size_t *len_out)
{
    size_t at = 0;

    for (;; n--) {
        size_t end = at;

        while (end < len && line[end] != ' ')
            end++;
        if (n == 0) {
            *word_out = line + at;
            *len_out = end - at;
            return end > at;
        }
        if (end >= len)
            return false;
        at = end + 1;
    }
}

/* Mount point of the hierarchy, from proc(5) "mountinfo": the fourth word is what of it is mounted, the fifth where; after
 * " - " come type, source and options. Given. root_out: given. */
static char *mount_point(const char *mountinfo, const char *controller, char **root_out)
{
    for (const char *line = mountinfo; *line;) {
        size_t len = strcspn(line, "\n");
        const char *rest = memmem(line, len, " - ", 3);
        const char *type, *options, *root, *where;
        size_t n, n_options, n_root, n_where;

        if (rest) {
            size_t left = len - (size_t)(rest + 3 - line);
            const char *want = controller[0] ? "cgroup" : "cgroup2";

            if (word_at(rest + 3, left, 0, &type, &n) && n == strlen(want)
                && memcmp(type, want, n) == 0
                && word_at(rest + 3, left, 2, &options, &n_options)
                && (!controller[0] || has_word(options, n_options, controller))
                && word_at(line, len, 3, &root, &n_root)
                && word_at(line, len, 4, &where, &n_where)) {
                *root_out = str_dupn(root, n_root);
                return str_dupn(where, n_where);
            }
        }
        line += len + (line[len] == '\n');
    }
    return NULL;
}

/* Where our own cgroup stands, with the name below it. Given, NULL: nowhere. */
static char *parent_of(const char *mountinfo, const char *membership,
                       const char *controller, const char *name)
{
    AUTO(free_str) char *root = NULL;
    AUTO(free_str) char *where = mount_point(mountinfo, controller, &root);
    AUTO(free_str) char *own = own_path(membership, controller);
    const char *below = own;

    if (!where || !own)
        return NULL;
    if (!str_eq(root, "/")) { /* a part of the hierarchy is mounted */
        if (!str_starts(own, root))
            return NULL;
        below = own + strlen(root);
    }
    if (str_eq(below, "/"))
        below = "";
    return str_fmt("%s%s/%s", where, below, name);
}

static bool find_v1(const char *name, const char *mountinfo, const char *membership,
                    struct cgroup *out)
{
    for (size_t i = 0; i < CGROUP_DIRS_MAX; i++) {
        char *path = parent_of(mountinfo, membership, controllers[i], name);

        if (path)
            out->dirs[out->n++] = (struct cgroup_dir){ controllers[i], path };
    }
    return out->n == CGROUP_DIRS_MAX;
}

int cgroup_find(enum cgroup_kind kind, const char *name, const char *mountinfo,
                const char *membership, struct cgroup *out)
{
    struct cgroup c = { 0 };

    if (kind != CGROUP_V2 && !find_v1(name, mountinfo, membership, &c)) {
        cgroup_done(&c);
        if (kind == CGROUP_V1) {
            errno = ENOENT;
            return -1;
        }
    }
    if (c.n == 0) {
        char *path = parent_of(mountinfo, membership, "", name);

        if (path)
            c.dirs[c.n++] = (struct cgroup_dir){ "", path };
        c.v2 = path != NULL;
        if (!path && kind == CGROUP_V2) {
            errno = ENOENT;
            return -1;
        }
    }
    *out = c;
    return 0;
}

void cgroup_done(struct cgroup *c)
{
    for (size_t i = 0; i < c->n; i++)
        free(c->dirs[i].path);
    *c = (struct cgroup){ 0 };
}

static int write_text(const char *dir, const char *file, const char *text)
{
    AUTO(free_str) char *path = str_fmt("%s/%s", dir, file);
    AUTO(close_fd) int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t want = (ssize_t)strlen(text);

    return fd >= 0 && write(fd, text, (size_t)want) == want ? 0 : -1;
}

/* v2: children get what their parent lists. Not every controller need be there. */
static void give_controllers(const char *dir)
{
    static const char *const wanted[] = { "+cpu", "+memory", "+pids" };

    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
        (void)write_text(dir, "cgroup.subtree_control", wanted[i]);
}

/* v2 gives controllers only to groups beside which no process runs: those in dir go one down. */
static int clear_group(const char *dir)
{
    AUTO(free_str) char *procs = str_fmt("%s/cgroup.procs", dir);
    AUTO(free_str) char *holder = str_fmt("%s/holder", dir);
    AUTO(buf_done) struct buf text = BUF_INIT(FILE_MAX);

    if (io_read_file(procs, &text) < 0 || (mkdir(holder, 0755) < 0 && errno != EEXIST))
        return -1;
    for (const char *line = buf_str(&text); *line;) {
        size_t len = strcspn(line, "\n");
        AUTO(free_str) char *pid = str_dupn(line, len);

        line += len + (line[len] == '\n');
        if (write_text(holder, "cgroup.procs", pid) < 0 && errno != ESRCH)
            return -1;
    }
    return 0;
}

int cgroup_make_parents(const struct cgroup *c, bool clear)
{
    for (size_t i = 0; i < c->n; i++) {
        if (c->v2) {
            AUTO(free_str)
            char *own = str_dupn(c->dirs[i].path,
                                 (size_t)(strrchr(c->dirs[i].path, '/') - c->dirs[i].path));

            if (clear && clear_group(own) < 0)
                return -1;
            give_controllers(own);
        }
        if (mkdir(c->dirs[i].path, 0755) < 0 && errno != EEXIST)
            return -1;
        if (c->v2)
            give_controllers(c->dirs[i].path);
    }
    return 0;
}

bool cgroup_bounds_memory(const struct cgroup *c)
{
    for (size_t i = 0; i < c->n; i++) {
        AUTO(free_str) char *file = str_fmt("%s/memory.max", c->dirs[i].path);

        if (c->v2 ? access(file, F_OK) == 0 : str_eq(c->dirs[i].controller, "memory"))
            return true;
    }
    return false;
}

static int limit(const char *dir, const char *file, uint64_t value)
{
    AUTO(free_str) char *text = str_fmt("%llu", (unsigned long long)value);

    /* A controller that the machine does not have cannot bound anything. */
    return value == 0 || write_text(dir, file, text) == 0 || errno == ENOENT ? 0 : -1;
}

static int set_limits(const struct cgroup *c, const char *controller, const char *dir,
                      const struct cgroup_limits *l)
{
    if (c->v2)
        return limit(dir, "memory.max", l->memory_max) < 0
                       || limit(dir, "cpu.weight", l->cpu_weight) < 0
                       || limit(dir, "pids.max", l->pids_max) < 0
                   ? -1
                   : 0;
    if (str_eq(controller, "memory"))
        return limit(dir, "memory.limit_in_bytes", l->memory_max);
    if (str_eq(controller, "pids"))
        return limit(dir, "pids.max", l->pids_max);
    /* 100 of v2 is 1024 of v1 */
    return str_eq(controller, "cpu") && l->cpu_weight
               ? limit(dir, "cpu.shares", MAX(l->cpu_weight * 1024 / 100, UINT64_C(2)))
               : 0;
}

int cgroup_create(const struct cgroup *c, const char *vm, const struct cgroup_limits *l)
{
    for (size_t i = 0; i < c->n; i++) {
        AUTO(free_str) char *dir = str_fmt("%s/%s", c->dirs[i].path, vm);

        if (mkdir(dir, 0755) < 0 || set_limits(c, c->dirs[i].controller, dir, l) < 0)
            return -1;
    }
    return 0;
}

int cgroup_enter(const struct cgroup *c, const char *vm, pid_t pid)
{
    AUTO(free_str) char *text = str_fmt("%d", (int)pid);

    for (size_t i = 0; i < c->n; i++) {
        AUTO(free_str) char *dir = str_fmt("%s/%s", c->dirs[i].path, vm);

        if (write_text(dir, "cgroup.procs", text) < 0)
            return -1;
    }
    return 0;
}

/* Send SIGKILL to all listed, and wait for those of them that were there. Returns how many; -1: errno. */
static int kill_listed(const char *dir, bool wait, const struct deadline *d)
{
    AUTO(free_str) char *path = str_fmt("%s/cgroup.procs", dir);
    AUTO(buf_done) struct buf text = BUF_INIT(FILE_MAX);
    int n = 0;

    if (io_read_file(path, &text) < 0)
        return -1;
    for (const char *line = buf_str(&text); *line;) {
        size_t len = strcspn(line, "\n");
        AUTO(free_str) char *word = str_dupn(line, len);
        int64_t pid;

        line += len + (line[len] == '\n');
        if (!parse_range(word, 2, INT32_MAX, &pid)) /* 0: of another pid namespace */
            continue;
        AUTO(close_fd) int fd = pidfd_open((pid_t)pid, 0);

        if (fd < 0)
            continue;
        n++;
        if (!wait && pidfd_send_signal(fd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
            return -1;
        if (wait && deadline_poll(d, fd, POLLIN) < 0)
            return -1;
    }
    return n;
}

/* dir: of the hierarchy that freezes. */
static int kill_v1(const char *dir, const struct deadline *d)
{
    int killed;

    (void)write_text(dir, "freezer.state", "FROZEN");
    killed = kill_listed(dir, false, d);
    if (write_text(dir, "freezer.state", "THAWED") < 0 || killed < 0)
        return -1;
    return killed == 0 ? 0 : kill_listed(dir, true, d);
}

static int kill_v2(const char *dir, const struct deadline *d)
{
    if (write_text(dir, "cgroup.kill", "1") < 0)
        return -1;
    return kill_listed(dir, true, d);
}

/* A directory that has just become empty may be busy for a moment more. */
static int remove_dir(const char *dir, const struct deadline *d)
{
    while (rmdir(dir) < 0) {
        struct deadline soon = deadline_sooner(d, US_PER_MS);

        if (errno == ENOENT)
            return 0;
        if (errno != EBUSY)
            return -1;
        if (deadline_passed(d)) {
            errno = ETIMEDOUT;
            return -1;
        }
        (void)!deadline_poll(&soon, -1, 0);
    }
    return 0;
}

int cgroup_end(const struct cgroup *c, const char *vm, const struct deadline *d)
{
    /* The freezer is the last one to enter, so whoever is in the others only has not begun; it goes by its name below. */
    for (size_t i = c->n; i-- > 0;) {
        AUTO(free_str) char *dir = str_fmt("%s/%s", c->dirs[i].path, vm);
        bool freezer = str_eq(c->dirs[i].controller, "freezer");
        int rc = access(dir, F_OK) < 0 ? 0
                 : c->v2               ? kill_v2(dir, d)
                 : freezer             ? kill_v1(dir, d)
                                       : kill_listed(dir, false, d);

        if (rc < 0 || remove_dir(dir, d) < 0)
            return -1;
    }
    return 0;
}
