/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "cli/terminal.h"
#include "cli/trust.h"
#include "wire/client.h"
#include "wire/rpc.h"

#define READ_MAX   (4 * 1024 * 1024) /* of a file that goes into a call */
#define BLOCK      ((size_t)1 << 20)
#define CONNECT_US (20 * US_PER_SEC)
#define LOGOUT_US  (5 * US_PER_SEC)

struct remote {
    const struct options *o;
    bool quiet;
    struct client *client; /* NULL: not connected yet */
    struct tls_client *tls;
    char *session; /* NULL: none */
};

static int cancel_fd = -1; /* written by the signal handler only, once made */

static void on_signal(int sig)
{
    int keep = errno;
    uint64_t one = 1;
    (void)!write(cancel_fd, &one, sizeof(one));
    errno = keep;
}

/* No SA_RESTART: a question that waits for an answer ends too. */
int remote_catch_signals(void)
{
    const struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESETHAND };
    cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (cancel_fd >= 0
        && (sigaction(SIGINT, &sa, NULL) < 0 || sigaction(SIGTERM, &sa, NULL) < 0))
        close_fd(&cancel_fd);
    return cancel_fd;
}

static struct deadline until_signal(void)
{
    struct deadline d = deadline_never();
    d.cancel_fd = cancel_fd;
    return d;
}

/* An error that is one sentence. */
static int fail(struct err *err)
{
    return err_set(err, CLIENT_TRANSPORT);
}

struct remote *remote_new(const struct options *o, bool quiet)
{
    struct remote *r = mem_alloc(sizeof(*r));
    r->o = o;
    r->quiet = quiet;
    return r;
}

static int trust(struct remote *r, const char *host, unsigned port, struct err *err)
{
    AUTO(free_str) char *pin = NULL, *notice = NULL, *file = trust_file();
    struct deadline d = deadline_in_cancel(CONNECT_US, cancel_fd);
    bool pinning = !r->o->insecure && !r->o->cafile;
    if (pinning && !file) {
        (void)fail(err);
        return err_detail(
            err, "There is no home directory to keep certificates in: give --cafile");
    }
    if (pinning && trust_pin(file, host, port, !r->quiet, &d, &pin, &notice, err) < 0)
        return fail(err);
    if (notice)
        (void)fputs(notice, stderr);
    r->tls = tls_client_new(r->o->cafile, pin, r->o->insecure || (pinning && !pin), err);
    return r->tls ? 0 : -1;
}

static bool loopback(const char *host)
{
    return str_eq(host, "localhost") || str_eq(host, "::1") || str_starts(host, "127.");
}

static int dial(struct remote *r, struct err *err)
{
    const struct options *o = r->o;
    AUTO(free_str) char *socket = NULL;
    struct client_target t = { .host = o->server,
                               .port = o->port    ? o->port
                                       : o->nossl ? 80
                                                  : 443,
                               .tls = !o->nossl };
    if (!o->server) {
        socket = options_socket(o, err);
        if (!socket)
            return fail(err);
        t = (struct client_target){ .unix_path = socket };
    } else if (o->nossl && !loopback(o->server)) {
        (void)fail(err);
        return err_detail(err, "--nossl is for this machine only: a password would go over "
                               "the network in clear");
    } else if (!o->nossl && trust(r, o->server, t.port, err) < 0) {
        return -1;
    }
    t.trust = r->tls;
    r->client = client_new(&t);
    return 0;
}

/* A line that is typed, without its end. False: there is none, or a signal came, be it before the read began. */
static bool read_typed(int fd, char *line, size_t cap)
{
    struct pollfd p[] = { { .fd = fd, .events = POLLIN },
                          { .fd = cancel_fd, .events = POLLIN } };
    while (poll(p, ARRAY_SIZE(p), -1) < 0) {
        if (errno != EINTR)
            return false;
    }
    ssize_t n = p[1].revents ? 0 : read(fd, line, cap - 1);
    line[n > 0 ? n : 0] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    return n > 0;
}

/* A line from the terminal, without echo if secret. NULL: there is none. */
static char *ask(const char *question, bool secret)
{
    AUTO(close_fd) int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
    struct termios old, quiet;
    if (fd < 0 || tcgetattr(fd, &old) < 0)
        return NULL;
    quiet = old;
    if (secret)
        quiet.c_lflag &= ~(tcflag_t)ECHO;
    (void)!write(fd, question, strlen(question));
    (void)tcsetattr(fd, TCSAFLUSH, &quiet);
    char line[1024] = "";
    char *text = read_typed(fd, line, sizeof(line)) ? str_dup(line) : NULL;
    (void)tcsetattr(fd, TCSAFLUSH, &old);
    if (secret)
        (void)!write(fd, "\n", 1);
    explicit_bzero(line, sizeof(line));
    return text;
}

static int login(struct remote *r, struct err *err)
{
    const struct options *o = r->o;
    AUTO(free_str) char *user = str_dup(o->username), *password = str_dup(o->password);
    bool local = !o->server; /* the daemon knows us by our uid */
    if (!local && !r->quiet && !user)
        user = ask("User name: ", false);
    if (!local && !r->quiet && !password)
        password = ask("Password: ", true);
    if (!local && (!user || !password)) {
        (void)fail(err);
        return err_detail(err, "Required parameter not found: %s (-u and -pw or -pwf)",
                          user ? "password" : "username");
    }
    json_t *answer = NULL;
    json_t *params = json_pack("[ssss]", user ? user : "root", password ? password : "",
                               "1.0", "serai");
    struct deadline d = until_signal();
    int rc = client_call(r->client, "session.login_with_password", params, &answer, &d,
                         err);
    json_decref(params);
    if (password)
        explicit_bzero(password, strlen(password));
    if (rc < 0)
        return -1;
    r->session = str_dup(json_string_value(answer));
    json_decref(answer);
    return r->session ? 0 : fail(err);
}

static int ready(struct remote *r, struct err *err)
{
    if (!r->client && dial(r, err) < 0)
        return -1;
    return r->session ? 0 : login(r, err);
}

static int call(void *arg, const char *method, const json_t *params, json_t **out,
                struct err *err)
{
    struct remote *r = arg;
    struct deadline d = until_signal();
    if (ready(r, err) < 0)
        return -1;
    json_t *all = json_array();
    json_array_append_new(all, json_string(r->session));
    json_array_extend(all, (json_t *)(uintptr_t)params);
    int rc = client_call(r->client, method, all, out, &d, err);
    json_decref(all);
    return rc;
}

/* For our own calls: takes params. */
static int call_taking(struct remote *r, const char *method, json_t *params, json_t **out,
                       struct err *err)
{
    int rc = call(r, method, params, out, err);
    json_decref(params);
    return rc;
}

void remote_free(struct remote *r)
{
    if (!r)
        return;
    if (r->session) {
        json_t *params = json_pack("[s]", r->session), *answer = NULL;
        AUTO(err_done) struct err ignored = { 0 }; /* sessions of the lost expire */
        struct deadline d = deadline_in(LOGOUT_US);
        if (client_call(r->client, "session.logout", params, &answer, &d, &ignored) == 0)
            json_decref(answer);
        json_decref(params);
        explicit_bzero(r->session, strlen(r->session));
    }
    client_free(r->client);
    tls_client_free(r->tls);
    free(r->session);
    free(r);
}

static void out(void *arg, const char *text)
{
    (void)fputs(text, stdout); /* main looks at ferror() at the end */
}

static void errout(void *arg, const char *text)
{
    (void)fflush(stdout);
    (void)fputs(text, stderr);
}

static int read_file(void *arg, const char *path, char **text_out, struct err *err)
{
    AUTO(buf_done) struct buf text = BUF_INIT(READ_MAX);
    if (io_read_file(path, &text) < 0) {
        (void)fail(err);
        return err_detail(err, "%s: %m", path);
    }
    *text_out = buf_take(&text);
    return 0;
}

static int open_input(const char *path, uint64_t *size_out, struct err *err)
{
    struct stat st;
    AUTO(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        (void)fail(err);
        return err_detail(err, "%s: %m", path);
    }
    if (!S_ISREG(st.st_mode)) {
        (void)fail(err);
        return err_detail(err, "%s is not a file", path);
    }
    *size_out = (uint64_t)st.st_size;
    return TAKE_FD(fd);
}

static int file_size(void *arg, const char *path, uint64_t *size_out, struct err *err)
{
    AUTO(close_fd) int fd = open_input(path, size_out, err);
    return fd < 0 ? -1 : 0;
}

static void progress(const struct remote *r, uint64_t done, uint64_t size, int *shown)
{
    int percent = size ? (int)(done / (size / 100 + 1)) : 100;
    if (r->quiet || !isatty(STDERR_FILENO) || percent == *shown)
        return;
    *shown = percent;
    (void)fprintf(stderr, "\r%d %%%s", done == size ? 100 : percent,
                  done == size ? "\n" : "");
}

/* From the byte that fd stands at. */
static int send_file(const struct remote *r, struct conn *c, int fd, const char *path,
                     uint64_t from, uint64_t size, struct err *err)
{
    AUTO(free_ptr) char *block = mem_alloc(BLOCK);
    struct deadline d = until_signal();
    int shown = -1;
    for (uint64_t done = from; done < size;) {
        ssize_t n = read(fd, block, MIN((uint64_t)BLOCK, size - done));
        if (n <= 0) {
            (void)fail(err);
            return n < 0 ? err_detail(err, "%s: %m", path)
                         : err_detail(err, "%s became shorter meanwhile", path);
        }
        if (conn_write(c, block, (size_t)n, &d) < 0) {
            (void)fail(err);
            return err_detail(err, "sending %s: %m", path);
        }
        done += (uint64_t)n;
        progress(r, done, size, &shown);
    }
    return 0;
}

/* The end of a task: its result, or its error. Waits for it by events. */
static int task_end(struct remote *r, const char *task, char **result_out, struct err *err)
{
    AUTO(free_str) char *token = str_dup(""), *class = str_fmt("task/%s", task);
    for (;;) {
        json_t *rec = NULL, *batch = NULL;
        if (call_taking(r, "task.get_record", json_pack("[s]", task), &rec, err) < 0)
            return -1;
        const char *status = json_string_value(json_object_get(rec, "status"));
        if (!str_eq(status, "pending") && !str_eq(status, "cancelling")) {
            const json_t *info = json_object_get(rec, "error_info");
            const char *params[ERR_PARAMS_MAX],
                *code = rpc_code(json_string_value(json_array_get(info, 0)));
            size_t n = 0;
            for (; n < ERR_PARAMS_MAX && n + 1 < json_array_size(info); n++)
                params[n] = json_string_value(json_array_get(info, n + 1));
            int rc = 0;
            if (!str_eq(status, "success"))
                rc = err_set_(err, code ? code : "TASK_CANCELLED", params, n);
            else if (result_out)
                *result_out = str_dup(json_string_value(json_object_get(rec, "result")));
            json_decref(rec);
            return rc;
        }
        json_decref(rec);
        if (call_taking(r, "event.from", json_pack("[[s]sf]", class, token, 30.0), &batch,
                        err)
            < 0)
            return -1;
        free(token);
        token = str_dup(json_string_value(json_object_get(batch, "token")));
        token = token ? token : str_dup("");
        json_decref(batch);
    }
}

/* The request of a transfer, with session and task. Given. */
static struct conn *open_transfer(struct remote *r, const char *method,
                                  const char *path_query, const char *task,
                                  const char *headers, struct err *err)
{
    struct deadline d = until_signal();
    AUTO(free_str)
    char *path = str_fmt("%s%ctask_id=%s", path_query, strchr(path_query, '?') ? '&' : '?',
                         task);
    AUTO(free_str)
    char *extra = str_fmt("Cookie: session_id=%s\r\n%s", r->session, headers);
    struct conn *c = client_open(r->client, method, path, extra, &d, err);
    explicit_bzero(extra, strlen(extra));
    return c;
}

static char *new_task(struct remote *r, const char *label, struct err *err)
{
    json_t *answer = NULL;
    if (call_taking(r, "task.create", json_pack("[ss]", label, ""), &answer, err) < 0)
        return NULL;
    char *task = str_dup(json_string_value(answer));
    json_decref(answer);
    if (!task)
        (void)fail(err);
    return task;
}

static void destroy_task(struct remote *r, const char *task)
{
    json_t *answer = NULL;
    AUTO(err_done) struct err ignored = { 0 }; /* it expires */
    if (call_taking(r, "task.destroy", json_pack("[s]", task), &answer, &ignored) == 0)
        json_decref(answer);
}

/* What went wrong with the stream is known best by the task, if it has ended. */
static void better_error(struct remote *r, const char *task, struct err *err)
{
    json_t *rec = NULL;
    AUTO(err_done) struct err e = { 0 };
    if (call_taking(r, "task.get_record", json_pack("[s]", task), &rec, &e) < 0)
        return;
    bool failed = str_eq(json_string_value(json_object_get(rec, "status")), "failure");
    json_decref(rec);
    if (failed && task_end(r, task, NULL, &e) < 0) {
        err_done(err);
        err_move(err, &e);
    }
}

/* How much of an upload that was cut off the server still has (docs/import-image.md). */
static uint64_t upload_offset(struct remote *r, const char *path_query, uint64_t size)
{
    struct deadline d = deadline_in_cancel(CONNECT_US, cancel_fd);
    AUTO(buf_done) struct buf body = BUF_INIT(4096);
    AUTO(err_done) struct err ignored = { 0 }; /* then from the first byte on */
    AUTO(free_str) char *extra = str_fmt("Cookie: session_id=%s\r\n", r->session);
    const struct client_ask ask = { .method = "GET",
                                    .path_query = path_query,
                                    .extra = extra };
    int status = 0;
    json_t *answer = NULL;
    json_int_t offset = 0;
    if (str_starts(path_query, "/import_image?")
        && client_request(r->client, &ask, &status, &body, &d, &ignored) == 0
        && status == 200)
        answer = json_loadb(buf_str(&body), body.len, 0, NULL);
    offset = json_integer_value(json_object_get(answer, "offset"));
    json_decref(answer);
    explicit_bzero(extra, strlen(extra));
    return offset > 0 && (uint64_t)offset < size ? (uint64_t)offset : 0;
}

static char *length_headers(uint64_t from, uint64_t size)
{
    unsigned long long at = from, all = size;
    return from ? str_fmt("Content-Length: %llu\r\nContent-Range: bytes %llu-%llu/%llu\r\n",
                          all - at, at, all - 1, all)
                : str_fmt("Content-Length: %llu\r\n", all);
}

static int upload(void *arg, const char *path, const char *path_query, char **result_out,
                  struct err *err)
{
    struct remote *r = arg;
    uint64_t size;
    AUTO(close_fd) int fd = open_input(path, &size, err);
    if (fd < 0 || ready(r, err) < 0)
        return -1;
    AUTO(free_str) char *label = str_fmt("Import of %s", path);
    AUTO(free_str) char *task = new_task(r, label, err);
    uint64_t from = task ? upload_offset(r, path_query, size) : 0;
    AUTO(free_str) char *length = length_headers(from, size);
    if (!task)
        return -1;
    if (lseek(fd, (off_t)from, SEEK_SET) < 0) {
        (void)fail(err);
        return err_detail(err, "%s: %m", path);
    }
    AUTO(conn_close)
    struct conn *c = open_transfer(r, "PUT", path_query, task, length, err);
    int rc = c ? send_file(r, c, fd, path, from, size, err) : -1;
    if (rc < 0)
        better_error(r, task, err);
    else
        rc = task_end(r, task, result_out, err);
    destroy_task(r, task);
    return rc;
}

static int receive(struct conn *c, int fd, const char *path, struct err *err)
{
    AUTO(free_ptr) char *block = mem_alloc(BLOCK);
    struct deadline d = until_signal();
    for (;;) {
        ssize_t n = conn_read(c, block, BLOCK, &d);
        if (n == 0)
            return 0;
        if (n < 0 || io_write_full(fd, block, (size_t)n, &d) < 0) {
            (void)fail(err);
            return err_detail(err, "%s: %m", path);
        }
    }
}

/* A file that is there already is never written over. */
static int download(void *arg, const char *path, const char *path_query, struct err *err)
{
    struct remote *r = arg;
    bool to_stdout = !*path;
    if (ready(r, err) < 0)
        return -1;
    AUTO(close_fd)
    int fd = to_stdout ? dup(STDOUT_FILENO)
                       : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        (void)fail(err);
        return err_detail(err, "%s: %m", path);
    }
    AUTO(free_str)
    char *label = str_fmt("Export to %s", to_stdout ? "standard output" : path);
    AUTO(free_str) char *task = new_task(r, label, err);
    AUTO(conn_close)
    struct conn *c = task ? open_transfer(r, "GET", path_query, task, "", err) : NULL;
    int rc = c ? receive(c, fd, path, err) : -1;
    if (rc < 0 && task)
        better_error(r, task, err);
    else if (rc == 0)
        rc = task_end(r, task, NULL,
                      err); /* a stream that broke off looks like one that ended */
    if (task)
        destroy_task(r, task);
    if (rc == 0 && !to_stdout && fsync(fd) < 0) {
        (void)fail(err);
        rc = err_detail(err, "%s: %m", path);
    }
    if (rc < 0 && !to_stdout)
        (void)unlink(path);
    return rc;
}

static int connect_terminal(void *arg, const char *path_query, struct err *err)
{
    struct remote *r = arg;
    if (ready(r, err) < 0)
        return -1;
    struct deadline d = deadline_in_cancel(CONNECT_US, cancel_fd);
    AUTO(free_str) char *extra = str_fmt("Cookie: session_id=%s\r\n", r->session);
    AUTO(conn_close)
    struct conn *c = client_open(r->client, "CONNECT", path_query, extra, &d, err);
    explicit_bzero(extra, strlen(extra));
    if (!c)
        return -1;
    struct deadline end = until_signal();
    if (terminal_attach(c, STDIN_FILENO, STDOUT_FILENO, &end) < 0) {
        (void)fail(err);
        return err_detail(err, "the console: %m");
    }
    return 0;
}

static bool prompt(void *arg, const char *question, char **line_out)
{
    char line[256];
    if (!isatty(STDIN_FILENO))
        return false;
    (void)fputs(question, stdout);
    (void)fflush(stdout);
    if (!read_typed(STDIN_FILENO, line, sizeof(line)))
        return false;
    *line_out = str_dup(line);
    return true;
}

struct xe_env remote_env(struct remote *r)
{
    return (struct xe_env){ .arg = r,
                            .call = call,
                            .out = out,
                            .errout = errout,
                            .read_file = read_file,
                            .file_size = file_size,
                            .upload = upload,
                            .download = download,
                            .prompt = prompt,
                            .connect = connect_terminal,
                            .json = r->o->json };
}
