/* SPDX-License-Identifier: Apache-2.0 */
/* Which certificate of a server is the right one: like ssh, the first one that was seen, kept in
 * ~/.config/serai/known_hosts. A listener on this machine that belongs to us or root needs no such proof. */
#ifndef CLI_TRUST_H
#define CLI_TRUST_H

#include "base/deadline.h"
#include "base/err.h"

/* What to demand of the certificate of host:port: its fingerprint (given), or NULL in *pin_out when a listener of our
 * own is there. add: a new one is written to the file, and *notice_out (given, else NULL) says so.
 * Errors (a sentence in detail): it changed; the file cannot be used; there is no connection. */
int trust_pin(const char *file, const char *host, unsigned port, bool add,
              const struct deadline *d, char **pin_out, char **notice_out, struct err *err)
    MUST_CHECK;
/* $XDG_CONFIG_HOME/serai/known_hosts or ~/.config/... Given; NULL: there is no home. */
char *trust_file(void) MUST_CHECK;
/* The pin that the text of such a file has for "host:port". Given; NULL: none. */
char *trust_find(const char *text, const char *name) MUST_CHECK;
/* Whether /proc/net/tcp or tcp6 text says that a socket of uid listens on the loopback port. */
bool trust_listener(const char *proc_net, unsigned port, unsigned uid);
#endif
