/* SPDX-License-Identifier: Apache-2.0 */
/* The server, as the command engine needs it: a session that begins with the first call and ends with the program,
 * files that the user named, the terminal. One thread; Ctrl-C ends what waits. */
#ifndef CLI_REMOTE_H
#define CLI_REMOTE_H

#include "cli/options.h"
#include "xe/xe.h"

struct remote;
/* Connects at the first call. o: borrowed, outlives it. quiet: no questions, no notices (completion). */
struct remote *remote_new(const struct options *o, bool quiet);
void remote_free(struct remote *r); /* ends the session */
struct xe_env remote_env(struct remote *r);
/* SIGINT and SIGTERM make this readable instead of ending the program. */
int remote_catch_signals(void);
#endif
