/* SPDX-License-Identifier: Apache-2.0 */
/* Messages told outside: by mail, by a webhook, by syslog. Each has a thread of its own and never holds anybody up.
 *
 * What waits is in the database: the messages after the last one that a channel has delivered, whose uuid stands in
 * STATE/deliver/CHANNEL. So what waited before a crash is delivered after it (a message that was under way perhaps twice;
 * its uuid tells). More than DELIVER_QUEUE are not waited for: the oldest are dropped, which the log says.
 *
 * pool.other_config (a channel without its first key is off):
 *   mail-destination      addresses, between commas or blanks
 *   ssmtp-mailhub         HOST or HOST:PORT of the mail server (25; without the key: localhost)
 *   mail-min-priority     the least urgent that is mailed: 1 to 5, default 3
 *   mail-sender           address of the sender; default noreply@ this host
 *   mail-tls              starttls, or yes for TLS from the beginning (465 is then the port), or no, the default
 *   mail-fingerprint      SHA-256 of the server's certificate, instead of the system's authorities
 *   mail-user, mail-secret  who to be for the server, only by TLS, and the uuid of a secret: the password
 *   webhook-url           http:// or https://, to which each message is POSTed as JSON
 *   webhook-secret        uuid of a secret: X-Serai-Signature is then "sha256=" and the HMAC-SHA-256 of the body in hex
 *   webhook-fingerprint   SHA-256 of the server's certificate, instead of the system's authorities
 *   webhook-min-priority  default 5: all
 * host.logging:
 *   syslog_destination    HOST, HOST:PORT, tcp://HOST:PORT or udp://HOST:PORT (514), used once host.syslog_reconfigure is
 *                         called and from the next start on; RFC 5424 */
#ifndef OPS_DELIVER_H
#define OPS_DELIVER_H

#include "base/deadline.h"
#include "ops/call.h"

#define DELIVER_QUEUE 1000

int deliver_init(struct err *err) MUST_CHECK;
void deliver_stop(
    void); /* what is under way is given up; it goes out after the next start */

/* One message, with what it is about; owned. */
struct deliver_message {
    char uuid[37], pool_uuid[37];
    char *name, *cls, *obj_uuid, *body, *pool_name, *host_name;
    int64_t priority, timestamp_us;
};

/* What a channel was told; owned. on: it has somebody to tell. */
struct deliver_config {
    bool on;
    char *to, *server, *sender, *secret, *pin, *tls, *user;
    int64_t min_priority;
};

/* A channel's own part. load: from records. send: blocks up to d; on failure *permanent_out says that this message
 * will never go. */
struct deliver_channel_ops {
    const char *name;
    void (*load)(struct deliver_config *out); /* under db_mutex */
    int (*send)(const struct deliver_config *c, const struct deliver_message *m,
                const struct deadline *d, bool *permanent_out, struct err *err);
};

extern const struct deliver_channel_ops deliver_mail, deliver_webhook, deliver_syslog;

#define DELIVER_FAILED \
    "DELIVER_FAILED" /* code of errors of send; the detail is the sentence */

/* A value of pool.other_config, given; NULL: none. */
char *deliver_pool_key(const char *key) REQUIRES(db_mutex);
/* The value of the secret of that uuid, given; NULL: none. */
char *deliver_secret(const char *uuid) REQUIRES(db_mutex);
/* Are servers that we are sent to by their address alone to prove by certificate who they are? */
bool deliver_verifies(void) EXCLUDES(db_mutex);
/* "HOST", "HOST:PORT", "[::1]:PORT". host_out: given. */
bool deliver_host_port(const char *text, unsigned default_port, char **host_out,
                       unsigned *port_out) MUST_CHECK;
#endif
