/* SPDX-License-Identifier: Apache-2.0 */
/* The file system that a hypervisor sees: an empty read-only tmpfs with read-only, nosuid, nodev binds of what its binary
 * opens (the program, the loader and libraries it needs, accelerator modules, firmware), and nothing else. */
#ifndef ROOTD_JAIL_H
#define ROOTD_JAIL_H

#include <sys/types.h>

#include "base/buf.h"

struct jail {
    struct jail_bind {
        char *path; /* the same inside and outside */
        char *link; /* a symbolic link to there; NULL: a bind */
        bool dir;
    } * binds;

    size_t n, cap;
    int64_t changed_ns; /* of the binary, when the list was made */
};

/* Work the list out. hypervisor: with accelerator modules and firmware. */
int jail_plan(const char *program, bool hypervisor, struct jail *out)
    MUST_CHECK; /* -1 with errno */
void jail_done(struct jail *j);
/* Whether the binary is not the one that the list was made for. */
bool jail_is_stale(const struct jail *j, const char *program);
/* Add the files that the loader's list names ("lib => /path (0x...)", "/lib64/ld.so (0x...)"). False: a library is missing. */
bool jail_add_listed(struct jail *j, const char *list) MUST_CHECK;

/* Files shown under another name, as jail_detach() returns them; -1: none. */
struct jail_extra {
    int kernel, initrd;
    int state;    /* the one file that may be written to */
    int disks;    /* a directory: of sockets */
    int resolver; /* /etc/resolv.conf */
    bool kvm;     /* /dev/kvm, the one device node */
    bool random;  /* or /dev/urandom */
};

/* A mount of the file (dir: directory) alone, to carry into another mount namespace. Given; -1 with errno. For a process in the
 * namespace that the file was opened in. */
int jail_detach(int fd, bool dir) MUST_CHECK;

/* Build it on the directory at and make it the root. For a process that is alone in its mount namespace. Returns the name
 * of the step that failed, with errno; NULL: done. */
const char *jail_enter(const struct jail *j, const struct jail_extra *x, const char *at)
    MUST_CHECK;
#endif
