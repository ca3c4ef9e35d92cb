/* SPDX-License-Identifier: Apache-2.0 */
/* POST /cli: the command engine of src/xe/ with a thin client as its terminal, so that XenServer's own xe works here.
 * Calls go through dispatch like anybody's; files go over connections of their own, which the client opens with the session
 * and a task that we give it. There is no HTTP answer: the greeting comes at once. Runs on a worker, declared
 * blocked while it waits for the client. */
#include <stdlib.h>
#include <string.h>

#include "api/records.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/task.h"
#include "seraid/audit_call.h"
#include "seraid/dispatch.h"
#include "seraid/handlers.h"
#include "seraid/pool.h"
#include "wire/thincli.h"
#include "xe/xe.h"

#define GREET_US    (10 * US_PER_SEC)
#define PERSON_US   (10 * 60 * US_PER_SEC)   /* for an answer to a question */
#define TRANSFER_US (24 * 3600 * US_PER_SEC) /* older clients say nothing meanwhile */
#define LOAD_MAX    (4 * 1024 * 1024)
#define PRINT_AT    (64 * 1024)

struct cli {
    struct exchange *x;
    struct dispatch_peer peer;
    struct thincli_request request;
    struct session session; /* null: nobody yet */
    bool own_session;       /* made for this command */
    bool broken;            /* nothing more can be said to the client */
    struct buf text;        /* printed and not sent: whole lines go in one message */
};

static void wipe_buf(struct buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->cap);
    buf_done(b);
}

/* The client */

static int gone(struct cli *c, struct err *err)
{
    c->broken = true;
    (void)err_set(err, XE_FAILURE);
    return err_detail(err, "the client is gone");
}

static bool transmit(struct cli *c, const struct buf *b)
{
    struct deadline d = serve_deadline(SERVE_ANSWER_US);

    if (c->broken)
        return false;
    c->broken = conn_write(c->x->conn, b->data, b->len, &d) != 0;
    return !c->broken;
}

static bool receive(struct cli *c, void *p, size_t n, int64_t us)
{
    struct deadline d = serve_deadline(us);

    if (c->broken)
        return false;
    c->broken = conn_read_full(c->x->conn, p, n, &d) != 0;
    return !c->broken;
}

static bool command(struct cli *c, enum thincli_command what, const char *a, const char *b)
{
    AUTO(buf_done) struct buf out = BUF_INIT(0);

    thincli_add(&out, what, a, b);
    return transmit(c, &out);
}

/* The client's next message but WAIT. */
static bool answer(struct cli *c, struct thincli_message *out, int64_t us)
{
    do {
        uint8_t bytes[THINCLI_MESSAGE_MAX + 4];
        size_t have = 0;
        ssize_t n = 0;

        while (n == 0) {
            /* Never more than the message: the bytes of a chunk follow it. */
            size_t more = have == 0 ? 12 : 4;

            if (have + more > sizeof(bytes) || !receive(c, bytes + have, more, us))
                n = -1;
            else
                n = thincli_parse(bytes, have += more, out);
        }
        c->broken = c->broken || n < 0;
    } while (!c->broken && out->what == THINCLI_WAIT);
    return !c->broken;
}

/* Chunks and their end. */
static int receive_blob(struct cli *c, struct buf *out, int64_t us, struct err *err)
{
    struct thincli_message m = { 0 };

    while (answer(c, &m, us) && m.what == THINCLI_CHUNK) {
        char *room = buf_reserve(out, m.length);

        if (!room) {
            c->broken = true; /* the rest of it would be taken for messages */
            (void)err_set(err, XE_FAILURE);
            return err_detail(err, "The file is larger than 4 MiB");
        }
        if (!receive(c, room, m.length, us))
            break;
        out->len += m.length;
        out->data[out->len] = '\0';
    }
    return !c->broken && m.what == THINCLI_END ? 0 : gone(c, err);
}

static bool greet(struct cli *c)
{
    AUTO(buf_done) struct buf out = BUF_INIT(0);
    uint8_t theirs[THINCLI_GREETING_SIZE];

    thincli_add_greeting(&out);
    return transmit(c, &out) && receive(c, theirs, sizeof(theirs), GREET_US)
           && thincli_greeting_fits(theirs);
}

/* Output. A client ends what it prints with a newline, so only whole lines go on their way; an unfinished one at the end
 * becomes whole by that. */

static void flush(struct cli *c, bool all)
{
    size_t n = c->text.len;
    char *text = c->text.data;

    while (!all && n > 0 && text[n - 1] != '\n')
        n--;
    if (n == 0)
        return;
    if (text[n - 1] == '\n')
        text[n - 1] = '\0'; /* and nothing behind it, unless an unfinished line */
    (void)command(c, THINCLI_PRINT, text, NULL); /* broken is looked at later */
    buf_drop_front(&c->text, n);
}

static void print(void *arg, const char *text)
{
    struct cli *c = arg;

    buf_add_str(&c->text, text);
    if (c->text.len >= PRINT_AT)
        flush(c, false);
}

static void print_error(void *arg, const char *text)
{
    struct cli *c = arg;

    flush(c, true);
    (void)command(c, THINCLI_PRINT_STDERR, text, NULL); /* broken is looked at later */
}

/* Calls */

static int need_name(struct err *err, const char *what)
{
    (void)err_set(err, XE_USAGE);
    return err_detail(err, "Required parameter not found: %s", what);
}

/* At the first call, so that help asks nobody who he is. */
static int log_in(struct cli *c, struct err *err)
{
    const struct thincli_request *r = &c->request;
    const char *originator = http_header(c->x->req, "originator");
    int rc;

    if (!ref_is_null(&c->session.ref))
        return 0;
    if (r->session)
        return session_find(r->session, &c->session, err);
    originator = originator ? originator : "xe";
    if (c->peer.local_trusted)
        rc = session_login_local(originator, &c->session, err);
    else if (!r->user || !r->password)
        rc = need_name(err, r->user ? "password" : "username");
    else
        rc = session_login(r->user, r->password, originator, c->peer.ip, &c->session, err);
    c->own_session = rc == 0;
    if (r->user || c->peer.local_trusted)
        audit_login(&(struct call){ .client_ip = c->peer.ip,
                                    .user_agent = c->peer.user_agent,
                                    .local_trusted = c->peer.local_trusted,
                                    .session = c->session },
                    r->user, "cli", err);
    return rc;
}

static int call(void *arg, const char *method, const json_t *params, json_t **result_out,
                struct err *err)
{
    struct cli *c = arg;
    char session[REF_TEXT_SIZE];
    json_t *all;
    int rc;

    if (c->broken)
        return gone(c, err);
    if (log_in(c, err) != 0)
        return -1;
    ref_text(&c->session.ref, session);
    all = json_array();
    (void)json_array_append_new(all, json_string(session)); /* cannot fail */
    for (size_t i = 0; i < json_array_size(params); i++)
        (void)json_array_append(all, json_array_get(params, i));
    rc = dispatch_call(method, all, &c->peer, result_out, err);
    json_decref(all);
    return rc;
}

/* Files and terminals */

static int read_file(void *arg, const char *path, char **text_out, struct err *err)
{
    struct cli *c = arg;
    AUTO(wipe_buf) struct buf text = BUF_INIT(LOAD_MAX);
    struct thincli_message m;

    flush(c, true);
    if (!command(c, THINCLI_LOAD, path, NULL) || !answer(c, &m, PERSON_US))
        return gone(c, err);
    if (m.what == THINCLI_FAILED) {
        (void)err_set(err, XE_FAILURE);
        return err_detail(err, "%s: the file cannot be read", path);
    }
    if (m.what != THINCLI_OK)
        return gone(c, err);
    if (receive_blob(c, &text, PERSON_US, err) != 0)
        return -1;
    *text_out = str_dup(buf_str(&text));
    return 0;
}

static bool prompt(void *arg, const char *question, char **line_out)
{
    struct cli *c = arg;
    AUTO(buf_done) struct buf line = BUF_INIT(4096);
    AUTO(err_done) struct err err = { 0 };

    print(c, question);
    flush(c, true);
    if (!command(c, THINCLI_PROMPT, NULL, NULL)
        || receive_blob(c, &line, PERSON_US, &err) != 0)
        return false;
    *line_out = str_dupn(buf_str(&line), strcspn(buf_str(&line), "\r\n"));
    return true;
}

/* Has the task ended? Then *rc_out says how, with its result or error. */
static bool task_outcome(const struct task_rec *t, char **result_out, int *rc_out,
                         struct err *err) REQUIRES(db_mutex)
{
    const char *code = t && t->error_info.n ? rpc_code(t->error_info.v[0]) : NULL;

    if (t && t->status == TASK_STATUS_TYPE_SUCCESS) {
        *result_out = str_dup(t->result);
        *rc_out = 0;
        return true;
    }
    if (!t || t->status == TASK_STATUS_TYPE_PENDING
        || t->status == TASK_STATUS_TYPE_CANCELLING || !code)
        return false;
    *rc_out = err_set_(err, code, (const char *const *)t->error_info.v + 1,
                       MIN(t->error_info.n - 1, (size_t)ERR_PARAMS_MAX));
    return true;
}

/* How the transfer's task ended. wait: for its end, woken by the database. */
static int transfer_outcome(const struct ref *task, bool wait, char **result_out,
                            struct err *err)
{
    const struct deadline d = serve_deadline(TRANSFER_US);
    bool blocked = pool_blocked_begin(), ended;
    int rc = 0;

    db_seen_reset();
    db_lock();
    while (!(ended = task_outcome(db_get(CLASS_TASK, task), result_out, &rc, err)) && wait
           && db_get(CLASS_TASK, task) && db_wait_newer(db_durable(), &d, NULL) == 0)
        ;
    db_unlock();
    if (blocked)
        pool_blocked_end();
    if (!ended) {
        (void)err_set(err, XE_FAILURE);
        return err_detail(err, "The client could not transfer the file");
    }
    return rc == 0 ? db_wait_seen(err) : rc;
}

/* Have the client open a connection for its file. The task knows best how that went, if it came to that. */
static int transfer(struct cli *c, enum thincli_command what, const char *file,
                    const char *path_query, char **result_out, struct err *err)
{
    char session[REF_TEXT_SIZE], task_text[REF_TEXT_SIZE];
    AUTO(free_str) char *result = NULL, *url = NULL;
    AUTO(err_done) struct err ignored = { 0 };
    const struct ref none = REF_NULL;
    struct thincli_message m;
    struct ref task;
    bool good;
    int rc;

    flush(c, true);
    if (log_in(c, err) != 0
        || task_start("xe transfer", &c->session, &none, &task, err) != 0)
        return -1;
    ref_text(&c->session.ref, session);
    ref_text(&task, task_text);
    url = str_fmt("%s%csession_id=%s&task_id=%s", path_query,
                  strchr(path_query, '?') ? '&' : '?', session, task_text);
    good = command(c, what, file, url) && answer(c, &m, TRANSFER_US)
           && m.what == THINCLI_OK;
    rc = transfer_outcome(&task, good, &result, err);
    if (rc == 0 && !good) { /* all was sent, but the client could not keep it */
        (void)err_set(err, XE_FAILURE);
        rc = err_detail(err, "The client could not transfer the file");
    }
    if (rc == 0 && result_out)
        *result_out = TAKE(result);
    if (task_destroy(&task, &ignored) != 0)
        log_debug("the task of a transfer: %s", ignored.code);
    return rc;
}

static int upload(void *arg, const char *path, const char *path_query, char **result_out,
                  struct err *err)
{
    return transfer(arg, THINCLI_HTTP_PUT, path, path_query, result_out, err);
}

static int download(void *arg, const char *path, const char *path_query, struct err *err)
{
    return transfer(arg, THINCLI_HTTP_GET, path, path_query, NULL, err);
}

static int connect_terminal(void *arg, const char *path_query, struct err *err)
{
    struct cli *c = arg;
    char session[REF_TEXT_SIZE];
    AUTO(free_str) char *url = NULL;
    struct thincli_message m;

    flush(c, true);
    if (log_in(c, err) != 0)
        return -1;
    ref_text(&c->session.ref, session);
    url = str_fmt("%s%csession_id=%s", path_query, strchr(path_query, '?') ? '&' : '?',
                  session);
    if (!command(c, THINCLI_HTTP_CONNECT, url, NULL) || !answer(c, &m, TRANSFER_US))
        return gone(c, err);
    if (m.what == THINCLI_OK)
        return 0;
    (void)err_set(err, XE_FAILURE);
    return err_detail(err, "the client could not attach its terminal");
}

/* The request */

static void run(struct cli *c)
{
    const struct xe_env env = { .arg = c,
                                .call = call,
                                .out = print,
                                .errout = print_error,
                                .read_file = read_file,
                                .upload = upload,
                                .download = download,
                                .prompt = prompt,
                                .connect = connect_terminal };
    AUTO(buf_done) struct buf end = BUF_INIT(0);
    int64_t began_us = clock_now_us();
    int status = xe_run(&env, (int)c->request.n_words,
                        (const char *const *)c->request.words);

    flush(c, true);
    thincli_add_exit(&end, status);
    (void)transmit(c, &end); /* the command is done either way */
    log_info("xe %s from %s: status %d, %lld ms",
             c->request.n_words ? c->request.words[0] : "help",
             c->peer.ip ? c->peer.ip : "-", status,
             (long long)((clock_now_us() - began_us) / 1000));
}

static void log_out(struct cli *c)
{
    AUTO(err_done) struct err err = { 0 };

    if (c->own_session && session_logout(&c->session.ref, &err) != 0)
        log_debug("ending a session made for one command: %s", err.code);
}

void http_cli_post(struct exchange *x)
{
    AUTO(wipe_buf) struct buf body = BUF_INIT(HTTP_BODY_MAX);
    AUTO(err_done) struct err err = { 0 };
    struct cli c = { .x = x,
                     .peer = { .ip = conn_peer(x->conn),
                               .user_agent = http_header(x->req, "User-Agent"),
                               .local_trusted = conn_local_trusted(x->conn) } };

    if (!serve_body(x, &body, NULL))
        return;
    x->close = true; /* what follows is no HTTP */
    if (thincli_request_parse(buf_str(&body), body.len, &c.request, &err) != 0) {
        serve_text(x, 400, NULL, err.detail);
        return;
    }
    wipe_buf(&body);
    if (greet(&c)) {
        run(&c);
        log_out(&c);
    } else {
        log_info("POST /cli from %s: a client that does not greet",
                 c.peer.ip ? c.peer.ip : "-");
    }
    wipe_buf(&c.text);
    thincli_request_done(&c.request);
}
