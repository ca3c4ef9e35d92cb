/* SPDX-License-Identifier: Apache-2.0 */
/* Messages by mail. Runs on its channel's thread. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/parse.h"
#include "ops/deliver.h"
#include "wire/smtp.h"

#define ADDRESSES_MAX 32

static void load(struct deliver_config *out) REQUIRES(db_mutex)
{
    AUTO(free_str) char *priority = deliver_pool_key("mail-min-priority");
    AUTO(free_str) char *secret = deliver_pool_key("mail-secret");

    out->to = deliver_pool_key("mail-destination");
    out->server = deliver_pool_key("ssmtp-mailhub");
    out->sender = deliver_pool_key("mail-sender");
    out->tls = deliver_pool_key("mail-tls");
    out->pin = deliver_pool_key("mail-fingerprint");
    out->user = deliver_pool_key("mail-user");
    if (secret)
        out->secret = deliver_secret(secret);
    out->min_priority = 3;
    if (priority)
        (void)parse_range(priority, 0, 1000, &out->min_priority);
    out->on = out->to && *out->to;
}

static int refuse(struct err *err, bool *permanent_out, const char *why, const char *what)
{
    *permanent_out = true;
    (void)err_set(err, DELIVER_FAILED);
    return err_detail(err, "%s: %s", why, what);
}

/* The addresses of list, cut in place. */
static size_t split(char *list, const char *out[static ADDRESSES_MAX])
{
    size_t n = 0;

    for (char *p = list; *p && n < ADDRESSES_MAX;) {
        size_t len = strcspn(p, ", ;\t\n");
        char *next = p + len + (p[len] != '\0');

        p[len] = '\0';
        if (len > 0)
            out[n++] = p;
        p = next;
    }
    return n;
}

static char *text_of(const struct deliver_message *m)
{
    char date[20];

    clock_iso(m->timestamp_us, date);
    return str_fmt("%s\n\n"
                   "Message:   %s\nPriority:  %lld\nAbout:     %s %s\nTime:      %s\n"
                   "Pool:      %s (%s)\nHost:      %s\nId:        %s\n",
                   m->body, m->name, (long long)m->priority, m->cls, m->obj_uuid, date,
                   m->pool_name, m->pool_uuid, m->host_name, m->uuid);
}

static void date_of(int64_t at_us, char *out, size_t size)
{
    static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    time_t t = (time_t)(at_us / US_PER_SEC);
    struct tm tm = { 0 };

    (void)gmtime_r(&t, &tm);
    (void)snprintf(out, size, "%s, %02d %s %d %02d:%02d:%02d +0000", days[tm.tm_wday],
                   tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                   tm.tm_sec);
}

/* A name that may stand in the dialogue. */
static bool plain_name(const char *name)
{
    return *name
           && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                           "0123456789.-_")
                  == strlen(name);
}

static bool tls_of(const char *text, enum smtp_tls *out)
{
    static const char *const names[] = { "no", "starttls", "yes" };

    *out = SMTP_CLEAR;
    for (size_t i = 0; text && i < ARRAY_SIZE(names); i++) {
        if (!str_eq(text, names[i]))
            continue;
        *out = (enum smtp_tls)i;
        return true;
    }
    return !text || !*text;
}

static int send_mail(const struct deliver_config *c, const struct deliver_message *m,
                     const struct deadline *d, bool *permanent_out, struct err *err)
{
    const char *helo = plain_name(m->host_name) ? m->host_name : "localhost";
    AUTO(free_str) char *list = str_dup(c->to), *host = NULL, *text = text_of(m);
    AUTO(free_str)
    char *sender = c->sender ? str_dup(c->sender) : str_fmt("noreply@%s", helo);
    AUTO(free_str) char *subject = str_fmt("[%s] %s", m->host_name, m->name);
    const char *to[ADDRESSES_MAX];
    size_t n = split(list, to);
    enum smtp_tls tls;
    unsigned port;
    char date[64];

    if (!tls_of(c->tls, &tls))
        return refuse(err, permanent_out, "mail-tls is not no, starttls or yes", c->tls);
    if (c->user && *c->user && !c->secret)
        return refuse(err, permanent_out, "mail-secret names no secret for", c->user);
    if (!deliver_host_port(c->server && *c->server ? c->server : "localhost",
                           tls == SMTP_TLS ? 465 : 25, &host, &port))
        return refuse(err, permanent_out, "ssmtp-mailhub is no host", c->server);
    for (size_t i = 0; i < n; i++)
        if (!smtp_address_valid(to[i]))
            return refuse(err, permanent_out, "mail-destination is no address", to[i]);
    if (n == 0 || !smtp_address_valid(sender))
        return refuse(err, permanent_out, "mail-sender is no address", sender);
    date_of(m->timestamp_us, date, sizeof(date));
    return smtp_send(&(struct smtp_server){ .host = host,
                                            .port = port,
                                            .tls = tls,
                                            .pin = c->pin && *c->pin ? c->pin : NULL,
                                            .user = c->user && *c->user ? c->user : NULL,
                                            .password = c->secret },
                     &(struct smtp_mail){ .helo = helo,
                                          .from = sender,
                                          .to = to,
                                          .n_to = n,
                                          .subject = subject,
                                          .text = text,
                                          .date = date,
                                          .id = m->uuid },
                     d, permanent_out, err);
}

const struct deliver_channel_ops deliver_mail = { "mail", load, send_mail };
