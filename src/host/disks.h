/* SPDX-License-Identifier: Apache-2.0 */
/* The disk processes: one serai-disk for each machine that has images, which serves them on unix sockets. Like the machine it
 * outlives the daemon: RUNTIME/disks/vm/UUID/ holds its lock, pid and control socket, a socket for each disk, and the list
 * of what it serves, from which another process is started when it dies; the machine connects to that one again.
 *
 * A snapshot is written to the list before it is asked for: whatever dies then, the next process opens the new leaf if its
 * file exists, and never writes to a file that has a child. Thread: any; calls for one machine wait for each other. */
#ifndef HOST_DISKS_H
#define HOST_DISKS_H

#include "base/deadline.h"
#include "base/err.h"
#include "base/uuid.h"

/* What may change while it is served; all zero: requests wait while there is no room, other errors are the guest's. */
struct disks_set {
    bool report_enospc, stop_eio;
    uint64_t iops, bytes_per_second; /* 0: no limit */
};

struct disks_disk {
    const char *leaf;        /* absolute path */
    char id[UUID_TEXT_SIZE]; /* the VBD's uuid; the name of the export */
    bool read_only;
    struct disks_set set;
};

/* binary: of serai-disk. Starts the thread that follows the processes. Both copied. */
int disks_init(const char *runtime_dir, const char *binary, struct err *err) MUST_CHECK;
void disks_done(void); /* they run on */
/* Find those that run from before, and connect. Those that died stay on the list until disks_settle. */
int disks_adopt(struct err *err) MUST_CHECK;
/* After adoption of machines: end the process of a machine that is gone, start one where the machine lives and its process
 * died. */
void disks_settle(bool (*lives)(const char *vm_uuid));

/* Serve these; when it returns, machines can connect. On failure nothing is left. Errors: SR_BACKEND_FAILURE(status, ...),
 * VDI_IN_USE("", "attach") when another machine's process has one of them open for writing, or this one is to. */
int disks_start(const char *vm_uuid, const struct disks_disk *disks, size_t n,
                const struct deadline *d, struct err *err) MUST_CHECK;
/* One more, for a machine that runs already. */
int disks_add(const char *vm_uuid, const struct disks_disk *disk, const struct deadline *d,
              struct err *err) MUST_CHECK;
/* Fine if it is not there. Errors: SR_BACKEND_FAILURE; it holds for the next process in any case. */
int disks_set(const char *vm_uuid, const char *id, const struct disks_set *set,
              struct err *err) MUST_CHECK;
/* fn is told of disks whose requests wait because of an error (its name, ENOSPC or EIO) and go on (NULL); also of those that
 * waited when this daemon came. From the thread of the disk processes. Before disks_adopt. */
void disks_on_stop(void (*fn)(const char *vm_uuid, const char *id, const char *error));
/* Its data is durable, its image whole. Fine if it is not there. */
void disks_remove(const char *vm_uuid, const char *id);
/* All data durable, images whole, process gone. Idempotent. By force when it does not end in time. */
int disks_stop(const char *vm_uuid, struct err *err) MUST_CHECK;
/* The socket of a disk as a machine sees it, whose working directory is RUNTIME/vm/UUID, or which sees /disks. Given. */
char *disks_socket(const char *vm_uuid, const char *id) MUST_CHECK;
/* The directory of a machine's sockets, made if it is not there: what a machine in a jail gets to see. Given, O_PATH; -1 with
 * errno. disks_stop removes it. */
int disks_dir(const char *vm_uuid) MUST_CHECK;

struct disks_move {
    char id[UUID_TEXT_SIZE];
    const char *leaf; /* path of the new leaf, beside the present one */
};

/* New leaves for several disks of a machine, all at one moment: what was the leaf is not written to any more. On failure
 * all go on as they were, and no new file is left. */
int disks_snapshot(const char *vm_uuid, const struct disks_move *moves, size_t n,
                   const struct deadline *d, struct err *err) MUST_CHECK;
int disks_resize(const char *vm_uuid, const char *id, uint64_t bytes,
                 const struct deadline *d, struct err *err) MUST_CHECK;
/* Look again whether a log of changed blocks is beside the leaf; from now on writes are noted there, or not. */
int disks_track(const char *vm_uuid, const char *id, struct err *err) MUST_CHECK;
/* Put the leaf into the image that it continues, which has no other child and takes the leaf's name, while the machine goes on.
 * Returns when it is done. Errors: TASK_CANCELLED when d is cancelled or passed: all is as it was. */
int disks_merge(const char *vm_uuid, const char *id, const struct deadline *d,
                struct err *err) MUST_CHECK;
/* The image of that name (without .vhd), whose content its parent holds too, is to be let go of: the process has not got it
 * open any more when this returns; the header of a leaf that continued it says so. Fine if it has not got it open, or
 * there is no such disk. */
int disks_relink(const char *vm_uuid, const char *id, const char *volume, struct err *err)
    MUST_CHECK;
/* Does a process serve this machine? */
bool disks_serves(const char *vm_uuid);
/* The leaf that is being written through a disk, as far as it can be known now: given; NULL: no such disk. */
char *disks_leaf(const char *vm_uuid, const char *id);
/* All disks of all machines. */
void disks_each(void (*fn)(const char *vm_uuid, const char *id, const char *leaf,
                           bool read_only, void *arg),
                void *arg);
int disks_pid(const char *vm_uuid); /* -1: none */
#endif
