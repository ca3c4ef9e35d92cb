/* SPDX-License-Identifier: Apache-2.0 */
/* RUNTIME/vm/UUID/, where all of a running machine is written down. Nothing in it is fsynced: it is worth nothing
 * after a power cut, and RUNTIME is on a tmpfs.
 *
 *   lock         locked as long as the machine's process lives: QEMU inherits the descriptor (read-only)
 *   pid          written by the child before exec
 *   spec.json    what was asked and the command line
 *   qmp.sock serial.sock agent.sock   listening
 *   qemu.log     QEMU's stdout and stderr;  serial.log, serial.log.1
 *   shrunk       MACHINE_DIR_SHRUNK
 *   started      the machine was built; without it, it is rubbish
 *
 * Thread: any. */
#ifndef HOST_MACHINE_DIR_H
#define HOST_MACHINE_DIR_H

#include "base/err.h"
#include "base/proc.h"
#include "base/uuid.h"

/* A processor was taken from it while it ran: QEMU 7.2 (TCG) dies when the state of such a machine is asked for. */
#define MACHINE_DIR_SHRUNK "shrunk"

/* Path of a file of the machine (name NULL: the directory). Given. */
char *machine_dir_path(const char *runtime, const char *uuid, const char *name) MUST_CHECK;

/* Make a fresh directory and lock it. *lock_fd_out: given; the lock lasts until its last copy is closed. */
int machine_dir_create(const char *runtime, const char *uuid, int *lock_fd_out,
                       struct err *err) MUST_CHECK;
/* Does a process hold the lock? Then its pid and a pidfd (given); false: nobody does, the directory is rubbish. A held lock
 * without a usable pid (a child that never got to write it) gives pidfd -1. */
bool machine_dir_alive(const char *runtime, const char *uuid, struct proc *proc_out);
/* Remove it. The end of the serial log is kept as RUNTIME/vm-last/UUID.serial.log, for the last 64 machines. */
void machine_dir_remove(const char *runtime, const char *uuid);
/* The last lines of qemu.log, printable, "" if none. Given. */
char *machine_dir_log_tail(const char *runtime, const char *uuid) MUST_CHECK;
/* Cut qemu.log if a guest makes QEMU talk too much. */
void machine_dir_trim_log(const char *runtime, const char *uuid);
/* Call fn for every machine's uuid; anything else in there is removed. */
int machine_dir_each(const char *runtime, void (*fn)(const char *uuid, void *arg),
                     void *arg, struct err *err) MUST_CHECK;
/* Write a small file. */
int machine_dir_write(const char *runtime, const char *uuid, const char *name,
                      const char *text, struct err *err) MUST_CHECK;
bool machine_dir_has(const char *runtime, const char *uuid, const char *name);
#endif
