/* SPDX-License-Identifier: Apache-2.0 */
/* Starts jobs and waits for them. A job holds a lock file shared with all jobs, and dies with the thread that waits for it; a
 * new daemon takes the lock alone first, so that nobody works on an image when it begins. */
#include "host/disks_job.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"

#define FD_LOCK   3
#define FD_LISTEN 4
#define SAYS_MAX  4096
#define KILLED_US (20 * US_PER_SEC)

static struct {
    char *binary, *lock;
} self;

static int failed(struct err *err, const char *doing, const char *path)
{
    AUTO(free_str) char *text = str_fmt("%s %s: %m", doing, path);

    (void)err_set(err, ERR_SR_BACKEND_FAILURE, "EIO", "", text);
    return err_detail(err, "%s", text);
}

static int open_lock(int how)
{
    AUTO(close_fd)
    int fd = open(self.lock, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    return fd < 0 || flock(fd, how) < 0 ? -1 : TAKE_FD(fd);
}

int disks_job_init(const char *dir, const char *binary, struct err *err)
{
    AUTO(close_fd) int fd = -1;

    self.binary = str_dup(binary);
    self.lock = str_fmt("%s/jobs.lock", dir);
    if (io_mkdirs(dir, 0700) < 0)
        return failed(err, "Making", dir);
    fd = open_lock(LOCK_EX); /* they are killed when their daemon is */
    return fd < 0 ? failed(err, "Locking", self.lock) : 0;
}

void disks_job_done(void)
{
    free_str(&self.binary);
    free_str(&self.lock);
}

/* "STATUS sentence" */
static int said(const struct buf *says, struct err *err)
{
    const char *text = buf_str(says);
    size_t n = strcspn(text, " \n"), rest = n + strspn(text + n, " ");
    AUTO(free_str) char *status = str_dupn(text, n);
    AUTO(free_str) char *sentence = str_dupn(text + rest, strcspn(text + rest, "\n"));

    if (!n) {
        (void)err_set(err, ERR_SR_BACKEND_FAILURE, "EIO", "", "the disk job died");
        return err_detail(err, "the disk job died");
    }
    (void)err_set(err, ERR_SR_BACKEND_FAILURE, status, "", sentence);
    return err_detail(err, "%s", sentence);
}

static int end(struct proc *p, int pipe, const struct deadline *d, struct err *err)
{
    AUTO(buf_done) struct buf says = BUF_INIT(SAYS_MAX);
    struct deadline killed;
    char text[512];
    int status = 0;

    for (ssize_t n = 1; n > 0;) {
        if (deadline_poll(d, pipe, POLLIN) < 0) {
            IGNORE(proc_kill(p, SIGKILL)); /* ended just now */
            killed = deadline_in(KILLED_US);
            IGNORE(proc_wait(p, &killed, &status));
            return err_set(err, ERR_TASK_CANCELLED, "");
        }
        n = read(pipe, text, sizeof(text));
        if (n > 0)
            buf_add(&says, text, (size_t)n);
    }
    killed = deadline_in(KILLED_US);
    if (proc_wait(p, &killed, &status) < 0)
        return failed(err, "Waiting for", self.binary);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : said(&says, err);
}

int disks_job(const struct argv *args, const struct deadline *d, struct err *err)
{
    AUTO(close_fd) int lock = open_lock(LOCK_SH);
    AUTO(close_fd) int out = -1;
    AUTO(close_fd) int in = -1;
    const char **argv = mem_array(args->n + 2, sizeof(*argv));
    struct proc p = { .pid = -1, .pidfd = -1 };
    int ends[2];

    argv[0] = self.binary;
    for (size_t i = 0; i < args->n; i++)
        argv[i + 1] = args->v[i];
    if (lock < 0 || pipe2(ends, O_CLOEXEC) < 0) {
        free(argv);
        return failed(err, "Preparing", self.binary);
    }
    out = ends[0];
    in = ends[1];
    const struct proc_fd fds[] = { { in, 1 }, { STDERR_FILENO, 2 }, { lock, FD_LOCK } };
    const struct proc_spec ps = { .argv = argv,
                                  .fds = fds,
                                  .n_fds = ARRAY_SIZE(fds),
                                  .pid_fd = -1,
                                  .die_with_parent = true };
    int rc = proc_start(&ps, &p);
    free(argv);
    if (rc < 0)
        return failed(err, "Starting", self.binary);
    close_fd(&in);
    (void)FAILPOINT("disks.job.started");
    rc = end(&p, out, d, err);
    (void)FAILPOINT("disks.job.ended");
    proc_close(&p);
    return rc;
}

int disks_reader(const char *path, const char *socket, struct proc *p_out, int *fd_out,
                 struct err *err)
{
    AUTO(close_fd) int lock = open_lock(LOCK_SH);
    AUTO(close_fd) int listen_fd = io_listen_unix(socket, 0600, 1);
    const char *const argv[] = { self.binary, "--nbd-fd", "4", "--read-only", path, NULL };
    const struct proc_fd fds[] = { { STDERR_FILENO, 2 },
                                   { lock, FD_LOCK },
                                   { listen_fd, FD_LISTEN } };
    const struct proc_spec ps = { .argv = argv,
                                  .fds = fds,
                                  .n_fds = ARRAY_SIZE(fds),
                                  .pid_fd = -1,
                                  .die_with_parent = true };
    struct deadline d = deadline_in(KILLED_US);

    if (lock < 0 || listen_fd < 0)
        return failed(err, "Preparing", socket);
    /* It waits to be accepted. One that cannot open the image ends, and that is the end of the connection. */
    AUTO(close_fd) int fd = io_connect_unix(socket, &d);
    io_drop_file(socket);
    if (fd < 0)
        return failed(err, "Connecting to", socket);
    if (proc_start(&ps, p_out) < 0)
        return failed(err, "Starting", self.binary);
    *fd_out = TAKE_FD(fd);
    return 0;
}

void disks_reader_end(struct proc *p)
{
    struct deadline d = deadline_in(KILLED_US);
    int status;

    if (p->pidfd < 0)
        return;
    IGNORE(proc_kill(p, SIGKILL)); /* it reads: nothing is lost */
    IGNORE(proc_wait(p, &d, &status));
    proc_close(p);
    p->pidfd = -1;
}
