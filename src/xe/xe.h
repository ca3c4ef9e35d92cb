/* SPDX-License-Identifier: Apache-2.0 */
/* The xe command engine: parses a command line, calls the API, renders the answer. Linked into the CLI (calls over the
 * network, files of the user) and into seraid for the thin CLI protocol; so it touches neither sockets nor files
 * itself: everything goes through struct xe_env. */
#ifndef XE_XE_H
#define XE_XE_H

#include <jansson.h>

#include "base/err.h"

/* Codes of errors that arise in commands and not in the API; the detail is the text. */
#define XE_FAILURE "XE_FAILURE" /* printed as "Error: text" */
#define XE_USAGE   "XE_USAGE"   /* printed as text and "For usage run: 'xe help'" */
#define XE_QUIET   "XE_QUIET"   /* already printed */

struct xe_env {
    void *arg;
    /* One API call without the session parameter: method "VM.start", params a borrowed array. *result_out: given. */
    int (*call)(void *arg, const char *method, const json_t *params, json_t **result_out,
                struct err *err);
    void (*out)(void *arg, const char *text);    /* to stdout, as is */
    void (*errout)(void *arg, const char *text); /* to stderr, as is */
    /* Read a whole local file that the user named on the command line (at most max bytes). NULL: not offered. */
    int (*read_file)(void *arg, const char *path, char **text_out, struct err *err);
    /* Size of a local file that the user named. NULL: not offered. */
    int (*file_size)(void *arg, const char *path, uint64_t *size_out, struct err *err);
    /* Send a local file as the body of a PUT to path_query; "task_id" and session are added. result_out: given, the
     * task's result, "" when none. NULL: not offered. */
    int (*upload)(void *arg, const char *path, const char *path_query, char **result_out,
                  struct err *err);
    /* The body of a GET to a local file, "" is standard output. NULL: not offered. */
    int (*download)(void *arg, const char *path, const char *path_query, struct err *err);
    /* Ask a person for a line. false: there is nobody to ask. NULL: not offered. */
    bool (*prompt)(void *arg, const char *question, char **line_out);
    /* Attach the terminal to a CONNECT stream of the server. NULL: not offered. */
    int (*connect)(void *arg, const char *path_query, struct err *err);
    bool json;  /* --json: machine-readable output instead of text */
    bool color; /* unused by xe's own output; reserved for tables */
};

/* Run one command: argv[0] is the command ("vm-list"), the rest "key=value" and "--flags". Returns the exit status.
 * Everything printed for people goes through env. */
int xe_run(const struct xe_env *env, int argc, const char *const *argv);
/* Print the values that may complete the last word of argv, one a line ("vm=", "uuid=", field names, commands). */
int xe_complete(const struct xe_env *env, int argc, const char *const *argv);
/* Text for an error, as xe prints it: code sentence and "Error parameters". Given. */
char *xe_error_text(const struct err *err);
#endif
