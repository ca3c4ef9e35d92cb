/* SPDX-License-Identifier: Apache-2.0 */
/* The channels' threads: follow the messages, keep the place, try again with growing pauses. A thread waits for the database
 * alone; its queue is its own, so there is no lock here. */
#include "ops/deliver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/uuid.h"
#include "base/vec.h"
#include "ops/host_ctx.h"

#define SEND_US        (30 * US_PER_SEC)
#define PAUSE_FIRST_US (US_PER_SEC / 2)
#define PAUSE_LAST_US  (300 * US_PER_SEC)

struct channel {
    const struct deliver_channel_ops *ops;
    pthread_t thread;
    bool runs;
    VEC(struct ref) queue;
    uint64_t since; /* messages up to this generation have been queued */
    struct deliver_config config;
    int64_t pause_us, next_us;
    bool dropped; /* the log knows */
};

static struct channel channels[] = { { .ops = &deliver_mail },
                                     { .ops = &deliver_webhook },
                                     { .ops = &deliver_syslog } };
static bool stopping GUARDED_BY(db_mutex);
static int stop_fd = -1;
static char *dir;

static void message_done(struct deliver_message *m)
{
    char *const all[] = {
        m->name, m->cls, m->obj_uuid, m->body, m->pool_name, m->host_name
    };

    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        free(all[i]);
    *m = (struct deliver_message){ 0 };
}

static void config_done(struct deliver_config *c)
{
    if (c->secret)
        explicit_bzero(c->secret, strlen(c->secret));
    char *const all[] = { c->to, c->server, c->sender, c->secret, c->pin, c->tls, c->user };

    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        free(all[i]);
    *c = (struct deliver_config){ 0 };
}

static bool config_same(const struct deliver_config *a, const struct deliver_config *b)
{
    return a->on == b->on && str_eq(a->to, b->to) && str_eq(a->server, b->server)
           && str_eq(a->sender, b->sender) && str_eq(a->secret, b->secret)
           && str_eq(a->pin, b->pin) && str_eq(a->tls, b->tls) && str_eq(a->user, b->user)
           && a->min_priority == b->min_priority;
}

char *deliver_pool_key(const char *key)
{
    const struct field_def *f = &schema_classes[CLASS_POOL].fields[F_POOL_OTHER_CONFIG];
    struct ref ref = db_pool_ref();
    const struct pool_rec *pool = db_get(CLASS_POOL, &ref);
    size_t i = pool ? map_find(f->ty, &pool->other_config, &key) : SIZE_MAX;

    return i == SIZE_MAX ? NULL : str_dup(pool->other_config.v[i].val);
}

char *deliver_secret(const char *uuid)
{
    struct ref ref;

    if (!db_find_uuid(CLASS_SECRET, uuid, &ref))
        return NULL;
    return str_dup(((const struct secret_rec *)db_get(CLASS_SECRET, &ref))->value);
}

bool deliver_host_port(const char *text, unsigned default_port, char **host_out,
                       unsigned *port_out)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    bool v6 = text[0] == '[';
    const char *end = v6 ? strchr(text, ']') : text + strcspn(text, ":");
    size_t n;
    int64_t port = default_port;

    text += v6;
    if (!end || end == text)
        return false;
    n = (size_t)(end - text);
    end += v6;
    if (v6 ? strspn(text, "0123456789abcdefABCDEF:.%") != n : strspn(text, plain) != n)
        return false;
    if (*end && (*end != ':' || !parse_range(end + 1, 1, 65535, &port)))
        return false;
    *host_out = str_dupn(text, n);
    *port_out = (unsigned)port;
    return true;
}

/* The place */

static char *place_file(const struct channel *c)
{
    return str_fmt("%s/%s", dir, c->ops->name);
}

static void place_save(const struct channel *c, const char *uuid, int64_t timestamp_us)
{
    AUTO(free_str) char *path = place_file(c);
    AUTO(free_str) char *text = str_fmt("%s %lld\n", uuid, (long long)timestamp_us);

    if (io_write_file(path, text, strlen(text), 0600) != 0)
        log_warn("%s: %m; after a restart messages may be told again", path);
}

/* Before what waits; with nothing waiting, at the newest message. */
static void place_now(const struct channel *c)
{
    char uuid[UUID_TEXT_SIZE] = "-";
    int64_t at = 0; /* no message: all that come are behind it */

    db_lock();
    for (struct db_iter it = db_first(CLASS_MESSAGE); it.rec; db_next(&it)) {
        const struct message_rec *m = it.rec;

        if (c->queue.n > 0 && ref_eq(&c->queue.v[0], &it.ref))
            break;
        memcpy(uuid, m->uuid, sizeof(uuid));
        at = m->timestamp;
    }
    db_unlock();
    place_save(c, uuid, at);
}

static bool place_read(const struct channel *c, char uuid[static UUID_TEXT_SIZE],
                       int64_t *at_out)
{
    AUTO(free_str) char *path = place_file(c);
    AUTO(buf_done) struct buf text = BUF_INIT(256);
    char *blank, *end;

    if (io_read_file(path, &text) != 0)
        return false;
    blank = strchr(buf_str(&text), ' ');
    end = blank ? strchr(blank, '\n') : NULL;
    if (!end || blank - text.data >= UUID_TEXT_SIZE)
        return false;
    *blank = *end = '\0';
    memcpy(uuid, text.data, strlen(text.data) + 1);
    return parse_i64(blank + 1, at_out);
}

/* The queue */

static void push(struct channel *c, const struct ref *ref)
{
    if (c->queue.n >= DELIVER_QUEUE) {
        vec_remove(&c->queue, 0);
        if (!c->dropped)
            log_warn("%s: more than %d messages wait; the oldest are dropped", c->ops->name,
                     DELIVER_QUEUE);
        c->dropped = true;
    }
    vec_push(&c->queue, *ref);
}

/* What a dead daemon still owed: messages behind the place, or, where its message is gone, those of its second (the store
 * keeps no less) and later. False: there is none. */
static bool owe(struct channel *c) REQUIRES(db_mutex)
{
    char uuid[UUID_TEXT_SIZE];
    int64_t at;
    struct ref last;
    bool behind;

    if (!place_read(c, uuid, &at))
        return false;
    behind = !db_find_uuid(CLASS_MESSAGE, uuid, &last);
    for (struct db_iter it = db_first(CLASS_MESSAGE); it.rec; db_next(&it)) {
        const struct message_rec *m = it.rec;

        if (!behind)
            behind = ref_eq(&it.ref, &last);
        else if (db_find_uuid(CLASS_MESSAGE, uuid, &last)
                 || m->timestamp / US_PER_SEC >= at / US_PER_SEC)
            push(c, &it.ref);
    }
    return true;
}

struct following {
    struct channel *c;
    uint64_t durable;
};

static bool follow_one(const struct db_change *change, void *arg)
{
    struct following *f = arg;

    if (change->cls == CLASS_MESSAGE && !change->deleted && change->created > f->c->since
        && change->created <= f->durable)
        push(f->c, &change->ref);
    return true;
}

static void follow(struct channel *c) REQUIRES(db_mutex)
{
    struct following f = { .c = c, .durable = db_durable() };

    if (f.durable <= c->since)
        return;
    db_changes_since(c->since, follow_one, &f);
    c->since = f.durable;
}

/* Copies the message that is next; false: it is gone, or not urgent enough. */
static bool take(const struct channel *c, struct deliver_message *out) REQUIRES(db_mutex)
{
    const struct message_rec *m = db_get(CLASS_MESSAGE, &c->queue.v[0]);
    struct ref pool_ref = db_pool_ref(), host_ref = db_host_ref();
    const struct pool_rec *pool = db_get(CLASS_POOL, &pool_ref);
    const struct host_rec *host = db_get(CLASS_HOST, &host_ref);

    if (!m || m->priority > c->config.min_priority)
        return false;
    *out = (struct deliver_message){
        .name = str_dup(m->name),
        .cls = str_dup(
            schema_classes[CLASS_MESSAGE].fields[F_MESSAGE_CLS].ty->enm->values[m->cls]),
        .obj_uuid = str_dup(m->obj_uuid),
        .body = str_dup(m->body),
        .pool_name = str_dup(pool ? pool->name_label : ""),
        .host_name = str_dup(host ? host->hostname : ""),
        .priority = m->priority,
        .timestamp_us = m->timestamp,
    };
    memcpy(out->uuid, m->uuid, sizeof(out->uuid));
    if (pool)
        memcpy(out->pool_uuid, pool->uuid, sizeof(out->pool_uuid));
    return true;
}

static void failed(struct channel *c, const struct deliver_message *m,
                   const struct err *err)
{
    c->pause_us = MIN(MAX(c->pause_us * 2, PAUSE_FIRST_US), PAUSE_LAST_US);
    c->next_us = clock_now_us() + c->pause_us;
    log_warn("%s: message %s waits %lld s: %s", c->ops->name, m->uuid,
             (long long)(c->pause_us / US_PER_SEC), err->detail ? err->detail : err->code);
}

static void deliver_one(struct channel *c, const struct deliver_message *m)
{
    AUTO(err_done) struct err err = { 0 };
    struct deadline d = deadline_in_cancel(SEND_US, stop_fd);
    bool permanent = false;
    int rc = c->ops->send(&c->config, m, &d, &permanent, &err);

    if (rc != 0 && !permanent) {
        failed(c, m, &err);
        return;
    }
    if (rc != 0)
        log_warn("%s: message %s is not delivered: %s", c->ops->name, m->uuid,
                 err.detail ? err.detail : err.code);
    vec_remove(&c->queue, 0);
    c->pause_us = c->next_us = 0;
    place_save(c, m->uuid, m->timestamp_us);
}

/* The thread */

/* A channel that is switched on begins with what comes from now on. */
static void reload(struct channel *c, bool *on_out, bool *off_out) REQUIRES(db_mutex)
{
    struct deliver_config fresh = { 0 };

    c->ops->load(&fresh);
    *on_out = fresh.on && !c->config.on;
    *off_out = !fresh.on && c->config.on;
    if (!config_same(&fresh, &c->config))
        c->next_us = c->pause_us = 0; /* perhaps it goes now */
    config_done(&c->config);
    c->config = fresh;
    if (!fresh.on)
        c->queue.n = 0;
}

static bool round_of(struct channel *c)
{
    struct deliver_message m = { 0 };
    bool on, off, stop, got = false;

    db_lock();
    reload(c, &on, &off);
    follow(c);
    while (c->config.on && c->queue.n > 0 && c->next_us <= clock_now_us() && !got) {
        got = take(c, &m);
        if (!got)
            vec_remove(&c->queue, 0);
    }
    if (!got && !on && !off && !stopping) {
        struct deadline d = c->queue.n > 0 ? (struct deadline){ c->next_us, -1 }
                                           : deadline_never();

        (void)!db_wait_newer(c->since, &d, &stopping);
    }
    stop = stopping;
    db_unlock();
    if (off) {
        AUTO(free_str) char *path = place_file(c);

        (void)unlink(path);
    }
    if (on)
        place_now(c);
    if (got && !stop)
        deliver_one(c, &m);
    message_done(&m);
    return !stop;
}

static void *channel_main(void *arg)
{
    struct channel *c = arg;

    log_set_thread(c->ops->name);
    while (round_of(c)) {
    }
    return NULL;
}

int deliver_init(struct err *err)
{
    dir = str_fmt("%s/deliver", host_ctx.state_dir);
    stop_fd = eventfd(0, EFD_CLOEXEC);
    if (io_mkdirs(dir, 0700) != 0 || stop_fd < 0) {
        (void)err_set(err, "INTERNAL_ERROR", dir);
        return err_detail(err, "%s: %m", dir);
    }
    for (size_t i = 0; i < ARRAY_SIZE(channels); i++) {
        struct channel *c = &channels[i];
        bool placed;

        db_lock();
        c->since = db_durable();
        c->ops->load(&c->config);
        placed = !c->config.on || owe(c);
        db_unlock();
        if (!placed)
            place_now(c);
        if (thread_start(&c->thread, c->ops->name, 0, channel_main, c) != 0) {
            (void)err_set(err, "INTERNAL_ERROR", c->ops->name);
            return err_detail(err, "starting a thread: %m");
        }
        c->runs = true;
    }
    return 0;
}

void deliver_stop(void)
{
    const uint64_t one = 1;

    db_lock();
    stopping = true;
    db_wake();
    db_unlock();
    if (stop_fd >= 0)
        (void)!write(stop_fd, &one, sizeof(one));
    for (size_t i = 0; i < ARRAY_SIZE(channels); i++) {
        struct channel *c = &channels[i];

        if (c->runs)
            (void)pthread_join(c->thread, NULL);
        c->runs = false;
        config_done(&c->config);
        vec_done(&c->queue);
    }
    db_lock();
    stopping = false;
    db_unlock();
    close_fd(&stop_fd);
    free_str(&dir);
    dir = NULL;
}
