/* SPDX-License-Identifier: Apache-2.0 */
/* System call filters (seccomp), compiled once and installed where they are needed. What is named is refused, all else
 * goes through: the hypervisor brings a filter of its own on top. */
#ifndef BASE_FILTER_H
#define BASE_FILTER_H

#include "base/util.h"

struct filter {
    void *program; /* BPF instructions */
    size_t size;
};

enum filter_kind {
    FILTER_JAIL, /* what runs in a jail: no sockets but unix ones */
    FILTER_HELPER, /* rootd: those and netlink, and nothing of the kernel's that it does not use */
    FILTER_SERVICE, /* what starts programs of the network: those and IP */
    FILTER_DAEMON, /* a daemon without rights and all it runs: those and IP, no mounts, namespaces, other users */
};

int filter_compile(enum filter_kind kind, struct filter *out)
    MUST_CHECK; /* -1 with errno */
void filter_done(struct filter *f);
/* For this process and all it starts, for ever. Needs no_new_privs or CAP_SYS_ADMIN. -1 with errno. */
int filter_install(const struct filter *f) MUST_CHECK;
#endif
