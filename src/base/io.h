/* SPDX-License-Identifier: Apache-2.0 */
/* Files, pipes and sockets with EINTR, short counts and deadlines handled once. All functions
 * return -1 with errno set on failure; descriptors are CLOEXEC. Thread: any. */
#ifndef BASE_IO_H
#define BASE_IO_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/deadline.h"

/* Descriptors may be blocking or not: these poll first. ETIMEDOUT/ECANCELED come from the deadline. */
ssize_t io_read(int fd, void *p, size_t len, const struct deadline *d)
    MUST_CHECK; /* some bytes; 0: end */
int io_read_full(int fd, void *p, size_t len, const struct deadline *d)
    MUST_CHECK; /* EPIPE: ended early */
int io_write_full(int fd, const void *p, size_t len, const struct deadline *d) MUST_CHECK;
int io_pread_full(int fd, void *p, size_t len, uint64_t offset) MUST_CHECK;
int io_pwrite_full(int fd, const void *p, size_t len, uint64_t offset) MUST_CHECK;

int io_read_file(const char *path, struct buf *out) MUST_CHECK; /* EFBIG beyond out->max */
/* Write path by a temporary file beside it, fsync, rename and fsync of the directory. */
int io_write_file(const char *path, const void *p, size_t len, unsigned mode) MUST_CHECK;
int io_fsync_dir(const char *path) MUST_CHECK;             /* the directory itself */
int io_mkdirs(const char *path, unsigned mode) MUST_CHECK; /* with parents; fine if there */
int io_remove_tree(const char *path) MUST_CHECK; /* never follows a link; fine if absent */
int io_set_nonblock(int fd, bool on) MUST_CHECK;
/* The file goes, if there is one. What prevents that is logged. */
void io_drop_file(const char *path);
/* Each entry of the directory whose name is a uuid; fn may remove it. A directory that is not there has none. */
void io_each_uuid(const char *dir, void (*fn)(const char *uuid, void *arg), void *arg);

/* Unix sockets. path over sun_path's limit is reached through /proc/self/fd of its directory. */
int io_listen_unix(const char *path, unsigned mode, int backlog)
    MUST_CHECK; /* replaces an old socket file */
int io_connect_unix(const char *path, const struct deadline *d) MUST_CHECK;
int io_send_fds(int sock, const void *p, size_t len, const int *fds, size_t n_fds)
    MUST_CHECK;
ssize_t io_recv_fds(int sock, void *p, size_t len, int *fds, size_t *n_fds_inout)
    MUST_CHECK;
int io_peer_uid(int sock, unsigned *uid_out) MUST_CHECK; /* SO_PEERCRED */

/* TCP. addr is "1.2.3.4:443", "[::1]:443" or "localhost:80"; port 0 picks one. */
int io_listen_tcp(const char *addr, int backlog, char **bound_out)
    MUST_CHECK; /* bound_out: given "ip:port" */
int io_connect_tcp(const char *host, unsigned port, const struct deadline *d) MUST_CHECK;
/* What errno of a failed connect says to a user: an unknown name has no errno of its own. */
const char *io_connect_why(void);
#endif
