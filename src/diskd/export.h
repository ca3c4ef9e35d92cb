/* SPDX-License-Identifier: Apache-2.0 */
/* One open disk with its thread: the engine, the NBD server on it, and the commands of the control thread,
 * which never waits for any of them: each ends with a callback on its loop. */
#ifndef DISKD_EXPORT_H
#define DISKD_EXPORT_H

#include "base/err.h"
#include "base/loop.h"
#include "diskd/disk.h"

#define EXPORT_FDS_MAX 1001 /* the layers, and a socket */

/* What may be changed while it is open. */
struct export_set {
    struct disk_policy policy;
    uint64_t iops, bytes; /* a second; 0: no limit */
};

struct export_spec {
    const char *id; /* also the name of the NBD export */
    const char
        *path; /* of the leaf; its parents are in its directory unless fds are given */
    const char *nbd; /* path of the socket to listen on; NULL: none, or the last of fds */
    const char *journal; /* see disk_journal.h; NULL: none */
    int *fds; /* base first, leaf last, then the socket if nbd_fd; taken always */
    size_t n_fds;
    bool nbd_fd, write, raw_base, plain;
    struct export_set set;
};

struct export;

enum export_verb {
    EXPORT_FLUSH,
    EXPORT_STATS,   /* stats, bytes, stopped, hold_us, depth */
    EXPORT_PREPARE, /* make the image at path as a child of the leaf and open it */
    EXPORT_HOLD,
    EXPORT_PUSH,        /* held: what was prepared becomes the leaf */
    EXPORT_RELEASE,     /* also removes what was prepared and not pushed */
    EXPORT_RESIZE,      /* held: to bytes */
    EXPORT_OPEN_PARENT, /* of the layer at path, anew: it holds what the layer does */
    EXPORT_UNLINK, /* held: the layer at path is let go of, its child continues its parent */
    EXPORT_MERGE,  /* the leaf into its parent, while I/O runs; done when it is over */
    EXPORT_MERGE_STOP,
    EXPORT_TRACK, /* held: changes are noted in the log beside the leaf, if there is one now */
    EXPORT_RESUME,
    EXPORT_SET, /* set */
    EXPORT_STOP, /* flush, make the image whole, end the thread; the export may be freed after it */
};

struct export_cmd {
    enum export_verb verb;
    char *path;     /* borrowed */
    uint64_t bytes; /* in: new size; out: size */
    struct export_set set;
    void (*done)(struct export_cmd *c); /* on the control loop */
    void *arg;
    struct err err; /* code NULL: it went well */
    struct disk_stats stats;
    const char *backend;
    int stopped;
    size_t depth, connections, maps;
    uint64_t merged_bytes;
    bool merging;
    int64_t hold_us, hold_max_us; /* the last hold, the longest */
    /* export's own */
    struct aio_op op;
    struct export *export;
    struct disk_req req;
};

/* Open in its own thread. opened(arg, export, err) on the control loop; on an error the export has been freed.
 * stopped: requests are held by the policy or go on (export_stop_error), on the control loop. */
typedef void (*export_opened_fn)(void *arg, struct export *e, struct err *err);
typedef void (*export_event_fn)(void *arg, struct export *e, int error);
int export_start(struct loop *control, const struct export_spec *spec,
                 export_opened_fn opened, export_event_fn event, void *arg, struct err *err)
    MUST_CHECK;
void export_send(struct export *e, struct export_cmd *c); /* control thread */
void export_free(struct export *e);                       /* after EXPORT_STOP */
const char *export_id(const struct export *e);
#endif
