/* SPDX-License-Identifier: Apache-2.0 */
/* Where to connect, as whom, and what to run: from ~/.xe, XE_EXTRA_ARGS and the command line, later ones winning. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "base/err.h"

struct options {
    char *server;  /* NULL: the local unix socket */
    unsigned port; /* 0: the scheme's */
    char *username, *password, *password_file;
    char *socket, *cafile;
    bool nossl, insecure, json, debug, version;
    char **argv; /* the command and its words; given */
    int argc;
};

/* words: argv without the program's name. home NULL: no ~/.xe. A usage error is a sentence in err's detail. */
int options_parse(int argc, const char *const *words, const char *extra, const char *home,
                  struct options *out, struct err *err) MUST_CHECK;
void options_done(struct options *o);
/* The socket to use when no server is named: socket, SERAI_SOCKET, or the first place where one is. Given. */
char *options_socket(const struct options *o, struct err *err) MUST_CHECK;
#endif
