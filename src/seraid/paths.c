/* SPDX-License-Identifier: Apache-2.0 */
/* The state and runtime directories. Only main calls this, before any thread. */
#include "seraid/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/io.h"
#include "base/mem.h"

static int fail(struct err *err, const char *path, const char *what)
{
    int saved = errno;

    (void)err_set(err, ERR_INTERNAL_ERROR, path);
    errno = saved;
    return err_detail(err, "%s %s: %m.", what, path);
}

static const char *env_dir(const char *name)
{
    const char *dir = getenv(name);

    return dir && dir[0] == '/' ? dir
                                : NULL; /* the XDG rules: a relative path is ignored */
}

static char *absolute(const char *path)
{
    AUTO(free_str) char *cwd = path[0] == '/' ? NULL : getcwd(NULL, 0);

    return cwd ? str_fmt("%s/%s", cwd, path) : str_dup(path);
}

static char *state_default(void)
{
    const char *base = env_dir("XDG_STATE_HOME"), *home = env_dir("HOME");
    const struct passwd *pw;

    if (base)
        return str_fmt("%s/serai", base);
    if (!home) {
        pw = getpwuid(getuid());
        home = pw ? pw->pw_dir : "/nonexistent";
    }
    return str_fmt("%s/.local/state/serai", home);
}

static int make(const char *path, struct err *err)
{
    if (io_mkdirs(path, 0700) != 0)
        return fail(err, path, "Cannot make the directory");
    if (access(path, W_OK | X_OK) != 0)
        return fail(err, path, "Cannot write to the directory");
    return 0;
}

int paths_state(const char *given, char **path_out, struct err *err)
{
    AUTO(free_str) char *path = given ? absolute(given) : state_default();

    if (make(path, err) != 0)
        return -1;
    *path_out = TAKE(path);
    return 0;
}

/* A directory that others could have put there must be ours, and ours alone. */
static int check_private(const char *path, struct err *err)
{
    struct stat st;

    if (lstat(path, &st) != 0)
        return fail(err, path, "Cannot look at the directory");
    if (S_ISDIR(st.st_mode) && st.st_uid == getuid() && (st.st_mode & 077) == 0)
        return 0;
    (void)err_set(err, ERR_INTERNAL_ERROR, path);
    return err_detail(
        err,
        "The runtime directory %s belongs to somebody else or is open to others; "
        "remove it or give another with --runtime.",
        path);
}

int paths_runtime(const char *given, char **path_out, struct err *err)
{
    const char *xdg = env_dir("XDG_RUNTIME_DIR");
    AUTO(free_str) char *user = str_fmt("/run/user/%u", getuid());
    AUTO(free_str) char *path = NULL;

    if (given)
        path = absolute(given);
    else if (xdg || access(user, W_OK | X_OK) == 0)
        path = str_fmt("%s/serai", xdg ? xdg : user);
    else
        path = str_fmt("/tmp/serai-%u", getuid());
    if (make(path, err) != 0 || (!given && check_private(path, err) != 0))
        return -1;
    *path_out = TAKE(path);
    return 0;
}

int paths_lock(const char *runtime_dir, struct err *err)
{
    AUTO(free_str) char *path = str_fmt("%s/seraid.pid", runtime_dir);
    AUTO(free_str) char *pid = str_fmt("%d\n", (int)getpid());
    AUTO(close_fd) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return fail(err, path, "Cannot open");
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            return fail(err, path, "Cannot lock");
        (void)err_set(err, ERR_INTERNAL_ERROR, path);
        return err_detail(err, "The runtime directory %s is in use by another seraid.",
                          runtime_dir);
    }
    if (ftruncate(fd, 0) != 0 || io_pwrite_full(fd, pid, strlen(pid), 0) != 0)
        return fail(err, path, "Cannot write");
    return TAKE_FD(fd);
}
