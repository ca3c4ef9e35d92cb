/* SPDX-License-Identifier: Apache-2.0 */
/* What this daemon needs root for, behind one table: without rights machines run as our own user, and the rest is refused;
 * with serai-rootd they run in jails of their own. Chosen once, at start. */
#ifndef HOST_ROOT_H
#define HOST_ROOT_H

#include "base/deadline.h"
#include "base/err.h"
#include "base/fields.h"
#include "base/proc.h"

/* Where a jailed machine finds its kernel and initrd. */
#define ROOT_KERNEL "/kernel"
#define ROOT_INITRD "/initrd"
/* And a TPM the file that it keeps. */
#define ROOT_STATE "/state"
/* And the sockets of its disks. */
#define ROOT_DISKS "/disks"
#define ROOT_SWTPM "swtpm"

struct root_vm {
    const char *uuid;
    const char *program; /* NULL: the hypervisor; ROOT_SWTPM */
    const char *const *argv;
    const struct proc_fd *fds;
    size_t n_fds;
    int pid_fd;      /* gets the pid as decimal text before the program runs */
    const char *cwd; /* not jailed */
    int kernel,
        initrd; /* jailed: what is shown as ROOT_KERNEL and ROOT_INITRD; -1: nothing */
    int state;  /* jailed: shown as ROOT_STATE, to be written to; not above 0: nothing */
    int disks;  /* jailed: a directory, shown as ROOT_DISKS; not above 0: nothing */
    uint64_t memory_max;
    bool kvm;
};

struct root_ops {
    bool jailed;
    /* Start a machine's process. *proc_out: given. In a jail it is not our child, and what is running is gone when rootd
     * says that it failed. Errors: BOOTLOADER_FAILED(uuid, text). Blocks: up to a minute. */
    int (*spawn)(const struct root_vm *vm, struct proc *proc_out, struct err *err);
    /* End what is left of it. proc: borrowed, NULL: none known. In a jail all its processes, waited for, and everything
     * that was made for it; else the process, not waited for. Idempotent. Errors: VM_SHUTDOWN_TIMEOUT(uuid, seconds) in a jail. */
    int (*end)(const char *uuid, const struct proc *proc, struct err *err);
    /* Is it the password of this user of the system? from: an address for the system's log, may be NULL. Errors:
     * AUTH_SERVICE_ERROR(text) when nobody can tell. A refusal takes a fixed time. */
    int (*authenticate)(const char *user, const char *password, const char *from,
                        bool *right_out, struct err *err);
    /* Switch this machine off or start it again, in order. NULL: cannot. Errors: OPERATION_NOT_ALLOWED(why). */
    int (*power)(bool reboot, struct err *err);
};

/* The table in use; without root_connect the one of the rootless mode. */
const struct root_ops *root_get(void);
/* Use serai-rootd from now on. Before the first machine. socket: copied. Errors: HOST_OFFLINE, nobody answers. */
int root_connect(const char *socket, struct err *err) MUST_CHECK;

/* One request of another kind (rootd/verbs.c): its fields, "verb" first. *why_out: rootd's refusal, of the reply's text;
 * NULL: done. -1 with errno: no answer. Thread: any. */
#define ROOT_REPLY_MAX        16384
#define ROOT_REPLY_FIELDS_MAX 16
#define ROOT_REQUEST_MAX      (128 * 1024) /* rootd takes no more */

struct root_reply {
    char text[ROOT_REPLY_MAX];
    struct field fields[ROOT_REPLY_FIELDS_MAX];
    size_t n;
    int fd; /* given; -1: none */
};

int root_ask(const struct buf *request, const int *fds, size_t n_fds, struct root_reply *r,
             const char **why_out) MUST_CHECK;
#endif
