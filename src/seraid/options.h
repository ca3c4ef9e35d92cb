/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of seraid. Pure but for the environment. */
#ifndef SERAID_OPTIONS_H
#define SERAID_OPTIONS_H

#include "base/err.h"
#include "base/log.h"
#include "ops/brand.h"

struct options {
    bool rootless, help, version, fake_machine;
    const char *state_dir, *runtime_dir;    /* NULL: the default places (paths.h, full.h) */
    const char *user, *admin_group, *rootd; /* full mode; NULL: the defaults (full.h) */
    const char *https, *http, *nbd;         /* NULL: not given */
    const char *password_file;
    const char *web_dir;       /* NULL: beside the program or where it is installed */
    const struct brand *brand; /* never NULL */
    int64_t audit_us;          /* how long the audit log is kept; 0: as long as it likes */
    enum log_level log_level;
    int64_t
        sample_us; /* tests: a round of measurements so often counts as 5 s; 0: real time */
};

/* Strings are borrowed from argv. A mistake is one sentence in err's detail. */
int options_parse(int argc, char *const *argv, struct options *out, struct err *err)
    MUST_CHECK;
extern const char options_help[];
/* Whether "ADDR:PORT" names only this machine: 127.0.0.0/8, [::1] or localhost. */
bool options_is_loopback(const char *addr);
#endif
