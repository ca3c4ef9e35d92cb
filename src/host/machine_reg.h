/* SPDX-License-Identifier: Apache-2.0 */
/* Inside machine_qemu and machine_fake only: the registry of machines and the machine thread, a loop that reads all monitors, serial lines
 * and pidfds and turns what they say into states and events.
 *
 * machines_lock guards memory only and is taken before a connection's lock ("qmp"). A machine is marked busy while it
 * is started, adopted or destroyed: it then belongs to one caller, and who wants to do the same waits. */
#ifndef HOST_MACHINE_REG_H
#define HOST_MACHINE_REG_H

#include "base/list.h"
#include "base/lock.h"
#include "base/loop.h"
#include "base/proc.h"
#include "host/machine.h"
#include "host/qmp.h"
#include "host/serial.h"

/* How far the state of a machine has been written or read. In this order. */
enum machine_migration {
    MACHINE_MIGRATION_NONE,
    MACHINE_MIGRATION_WAITS, /* it stands still and waits for our word */
    MACHINE_MIGRATION_DONE,
    MACHINE_MIGRATION_FAILED,
    MACHINE_MIGRATION_GONE, /* and the machine with it */
};

/* All fields after uuid: machines_lock. */
struct machine {
    struct list link;
    char uuid[UUID_TEXT_SIZE];
    unsigned refs; /* the registry, and the thread while it watches */
    bool watched;  /* the thread knows it */
    bool busy;
    bool built;  /* start() succeeded: its end is worth an event */
    bool ending; /* we are ending it */
    bool asked;  /* a stop or cont of ours is under way */
    bool saving; /* its state is written or read: it stops and goes on for that */
    enum machine_migration migration;
    bool alive; /* the process */
    enum machine_state state;
    const char *trouble; /* why it may stop; the thread's own */
    struct list unplugs;
    struct proc proc;
    struct qmp *qmp;
    struct serial *serial;
};

extern struct mutex machines_lock;

/* Somebody who waits for a guest to let go of a device. */
struct machine_unplug {
    struct list link;
    const char *device; /* its id in QEMU */
    bool gone, refused;
};

/* The thread. runtime_dir: copied. */
int machine_reg_init(const char *runtime_dir, machine_event_fn fn, void *arg,
                     struct err *err) MUST_CHECK;
void machine_reg_done(void);
const char *machine_reg_dir(void);   /* borrowed until done */
struct loop *machine_reg_loop(void); /* borrowed until done */

struct machine *machine_reg_find(const char *uuid) REQUIRES(machines_lock);
/* settled runs under machines_lock; m NULL: there is none. Wait until it holds. -1: errno of the deadline. */
typedef bool (*machine_settled_fn)(struct machine *m, void *arg);
int machine_reg_wait(const char *uuid, machine_settled_fn settled, void *arg,
                     const struct deadline *d) EXCLUDES(machines_lock) MUST_CHECK;
/* Find the machine (or make an entry), wait until it is not busy and make it so. *m_out NULL: there is none. */
int machine_reg_claim(const char *uuid, bool create, const struct deadline *d,
                      struct machine **m_out, struct err *err) EXCLUDES(machines_lock)
    MUST_CHECK;
void machine_reg_unclaim(struct machine *m, bool forget) EXCLUDES(machines_lock);

/* The parts of a claimed machine that the thread serves. attach connects the monitor and the serial line (in a start
 * before QEMU exists); watch hands its process over; detach lets go of all and returns when the thread has. */
int machine_reg_attach(struct machine *m, const struct deadline *d, struct err *err)
    MUST_CHECK;
void machine_reg_watch(struct machine *m, const struct proc *proc);
void machine_reg_detach(struct machine *m);

/* Set the state of a machine that has no process to tell it (the fake), and the event that goes with it: emitted on the
 * thread. kind < 0: none. */
void machine_reg_set(const char *uuid, enum machine_state state, int kind,
                     const char *detail) EXCLUDES(machines_lock);

/* An event, on the thread. */
void machine_reg_tell(const struct machine_event *ev);

/* One command to its monitor. args: taken. ret_out: given; may be NULL. Errors: those of qmp_command(), VM_BAD_POWER_STATE when
 * there is no such machine or it ends meanwhile. */
int machine_qemu_command(const char *uuid, const char *command, json_t *args, int fd,
                         json_t **ret_out, const struct deadline *d, struct err *err)
    MUST_CHECK EXCLUDES(machines_lock);
/* QEMU refuses: what it says (cause, moved) as OPERATION_NOT_ALLOWED; errors with a code of their own stay. words: when it
 * says nothing. Always -1. */
int machine_qemu_refused(const char *words, struct err *err, struct err *cause);

/* machine_plug.c: devices of machines that run. */
int machine_plug_disk(const char *uuid, const struct vm_disk *disk,
                      const struct deadline *d, struct err *err) MUST_CHECK;
int machine_plug_nic(const char *uuid, const struct vm_nic *nic, const struct deadline *d,
                     struct err *err) MUST_CHECK;
int machine_unplug_disk(const char *uuid, const char *id, unsigned slot,
                        const struct deadline *d, struct err *err) MUST_CHECK;
int machine_unplug_nic(const char *uuid, const char *id, unsigned slot,
                       const struct deadline *d, struct err *err) MUST_CHECK;
int machine_plug_medium(const char *uuid, const struct vm_disk *drive,
                        const struct deadline *d, struct err *err) MUST_CHECK;
int machine_plug_resize(const char *uuid, const struct vm_disk *disk, uint64_t bytes,
                        const struct deadline *d, struct err *err) MUST_CHECK;
bool machine_plug_list(const char *uuid, struct machine_devices *out,
                       const struct deadline *d);

/* machine_save.c */
int machine_save(const char *uuid, const struct machine_save *how,
                 struct machine_saved *out, const struct deadline *d, struct err *err)
    MUST_CHECK;
int machine_load(const char *uuid, int fd, const struct deadline *d, struct err *err)
    MUST_CHECK;
int machine_save_undo(const char *uuid, const struct deadline *d, struct err *err)
    MUST_CHECK;

/* machine_size.c */
int machine_set_vcpus(const char *uuid, unsigned wanted, unsigned *now_out,
                      const struct deadline *d, struct err *err) MUST_CHECK;
unsigned machine_count_vcpus(const char *uuid, const struct deadline *d);
int machine_set_memory(const char *uuid, uint64_t bytes, const struct deadline *d,
                       struct err *err) MUST_CHECK;

/* machine_stats.c: the answer to query-blockstats. Pure. */
void machine_stats_disks(const json_t *devices, struct machine_stats *out);

/* err for a wait that ended with errno ETIMEDOUT, ECANCELED or something else. Always -1. */
int machine_reg_late(const char *what, struct err *err);
#endif
