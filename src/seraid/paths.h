/* SPDX-License-Identifier: Apache-2.0 */
/* Where the daemon keeps things, and that nobody else does. Errors are one sentence in err's detail. */
#ifndef SERAID_PATHS_H
#define SERAID_PATHS_H

#include "base/err.h"

/* The directories, made when missing (0700), absolute. given: NULL for the rootless default. path_out: given. */
int paths_state(const char *given, char **path_out, struct err *err) MUST_CHECK;
int paths_runtime(const char *given, char **path_out, struct err *err) MUST_CHECK;
/* RUNTIME/seraid.pid, locked for the life of the process and holding its pid; the descriptor, or -1. */
int paths_lock(const char *runtime_dir, struct err *err) MUST_CHECK;
#endif
