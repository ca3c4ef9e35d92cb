/* SPDX-License-Identifier: Apache-2.0 */
/* A program of others that reads what a stranger wrote: it is given descriptors, and gets at nothing else. */
#ifndef IMAGE_JAIL_H
#define IMAGE_JAIL_H

#include "base/util.h"

/* Become argv[0] (an absolute path) behind walls: no files but those of the system (read only) and the two
 * descriptors (-1: none), no sockets, signals or other programs than those in /usr; limits on memory and the size of
 * files. Returns only on failure, -1 with errno. */
int jail_exec(char *const argv[], int read_fd, int write_fd, uint64_t file_bytes)
    MUST_CHECK;
#endif
