/* SPDX-License-Identifier: Apache-2.0 */
/* Running machines, by VM uuid. The interface behind which QEMU (machine_qemu.c) and the fake of the API tests
 * (machine_fake.c) stand. Calls go down and block up to their deadline; what happens by itself comes up as events on
 * the machine thread: the handler must not block, nor call back down.
 *
 * A machine outlives the daemon. RUNTIME/vm/UUID/ holds all of it: spec.json (what was asked), pid (written by
 * the child before exec), qmp.sock and serial.sock and agent.sock (listening, passed to QEMU), serial.log. A
 * directory without a living process is rubbish, removed by machine_adopt. */
#ifndef HOST_MACHINE_H
#define HOST_MACHINE_H

#include "base/deadline.h"
#include "base/err.h"
#include "host/metrics.h"
#include "host/vmspec.h"

enum machine_state {
    MACHINE_NONE,   /* no such machine */
    MACHINE_PAUSED, /* built, not (or no longer) running */
    MACHINE_RUNNING,
    MACHINE_OFF, /* the guest powered off or panicked; the process still there (-no-shutdown) */
};

enum machine_event_kind {
    MACHINE_EV_POWEROFF, /* the guest powered off */
    MACHINE_EV_RESET,    /* the guest rebooted, in place */
    MACHINE_EV_PANIC,
    MACHINE_EV_DIED,   /* the process ended unasked */
    MACHINE_EV_PAUSED, /* stopped by itself (disk full, error) */
    MACHINE_EV_RESUMED,
    MACHINE_EV_AGENT,     /* the guest agent opened or closed its port: see flag */
    MACHINE_EV_MEMORY,    /* the guest has given or taken memory: value bytes are its own */
    MACHINE_EV_UNPLUGGED, /* the guest let go of a device for which nobody waits any more */
};

struct machine_event {
    enum machine_event_kind kind;
    char uuid[UUID_TEXT_SIZE];
    bool flag;
    uint64_t value;
    const char *detail; /* for the log; may be NULL */
};

typedef void (*machine_event_fn)(const struct machine_event *ev, void *arg);

struct machine_found {
    char uuid[UUID_TEXT_SIZE];
    enum machine_state state;
    int pid;
    bool trouble; /* PAUSED by itself, for a disk's error or the like */
};

/* Counters since the machine started. */
struct machine_disk_stats {
    unsigned slot;
    uint64_t read_bytes, write_bytes, reads, writes, read_ns, write_ns;
};

struct machine_nic_stats {
    unsigned slot;
    uint64_t rx_bytes, tx_bytes; /* as the guest sees them */
};

struct machine_stats {
    double vcpu_seconds[METRICS_VCPUS_MAX]; /* NAN: unknown */
    unsigned n_vcpus;
    bool disks_known; /* else the machine did not say in time */
    struct machine_disk_stats disks[VMSPEC_DISKS_MAX];
    unsigned n_disks;
    struct machine_nic_stats nics[VMSPEC_NICS_MAX]; /* those that can be counted */
    unsigned n_nics;
};

/* What is plugged into a machine. */
struct machine_device {
    char id[UUID_TEXT_SIZE]; /* of the VBD or VIF */
    bool is_nic;
    bool has_rom;    /* a NIC that can boot */
    unsigned queues; /* of a virtio disk; 0: unknown */
    enum vm_bus bus; /* of a disk */
};

struct machine_devices {
    struct machine_device v[VMSPEC_DISKS_MAX + VMSPEC_NICS_MAX];
    unsigned n;
    uint64_t disk_ports, nic_ports; /* slots that have a root port */
    unsigned vcpus, scsi_queues;    /* 0: unknown */
    uint64_t media;                 /* slots whose disk or drive has something in it */
};

/* How the state of a machine is written out. */
struct machine_save {
    int fd; /* a socket: the machine writes, its end is the end of the stream; borrowed */
    bool
        live; /* it runs on meanwhile, as long as it can (under KVM); else it stands still from the beginning */
    uint64_t live_bytes_max; /* more than that, and it stands still */
    /* Live only: it stands still, its disks are flushed and nothing is written to them. -1: undo all. May be NULL. */
    int (*paused)(void *arg, struct err *err);
    void (*progress)(double fraction, void *arg); /* may be NULL; may go back */
    void *arg;
};

struct machine_saved {
    unsigned
        slowed_percent; /* of its processors' time was taken from it so that it came to an end; 0: none */
    bool hurried; /* live_bytes_max was reached, or it could not run on at all */
};

struct machine_ops {
    const char *name;
    bool has_disks; /* its machines read and write: images need their processes */
    /* Start the machine thread. */
    int (*init)(const char *runtime_dir, machine_event_fn fn, void *arg, struct err *err);
    /* Stop the thread and let go of all machines; they run on. */
    void (*done)(void);
    /* Find what runs from before and connect to it; remove rubbish. found_out: given array. */
    int (*adopt)(struct machine_found **found_out, size_t *n_out, struct err *err);
    /* Build the machine, stopped. On failure nothing is left. Errors: BOOTLOADER_FAILED(uuid, text) when QEMU refuses,
     * HOST_NOT_ENOUGH_FREE_MEMORY, VM_HVM_REQUIRED, ... */
    int (*start)(const struct vm_spec *spec, const struct deadline *d, struct err *err);
    int (*go)(const char *uuid, const struct deadline *d,
              struct err *err); /* run or resume */
    int (*pause)(const char *uuid, const struct deadline *d, struct err *err);
    int (*powerdown)(const char *uuid, const struct deadline *d,
                     struct err *err); /* press the ACPI button */
    int (*reset)(const char *uuid, const struct deadline *d, struct err *err);
    /* End it, whatever state it is in, and remove all that is left: idempotent, the one teardown. By SIGKILL:
     * what the guest flushed is in the page cache either way. Returns 0 also when there was nothing. */
    int (*destroy)(const char *uuid, const struct deadline *d, struct err *err);
    enum machine_state (*state)(const char *uuid);
    int (*pid)(const char *uuid); /* -1: none */
    /* A connected socket to the VNC server (RFB from the first byte) or to the serial line (recent output first,
     * then live; several at once). Given. */
    int (*open_vnc)(const char *uuid, const struct deadline *d, struct err *err);
    int (*open_serial)(const char *uuid, const struct deadline *d, struct err *err);
    /* Wait until the machine is in state OFF or NONE. -1: deadline or cancel (err: TASK_CANCELLED or a timeout code). */
    int (*wait_off)(const char *uuid, const struct deadline *d, struct err *err);
    /* One guest agent command; *reply_out given text (at most 64 KiB). */
    int (*agent)(const char *uuid, const char *command_json, char **reply_out,
                 const struct deadline *d, struct err *err);
    /* Add a device to the machine; what an attempt that was cut short has left of it is cleared first. A virtio disk goes
     * to the SCSI controller where its slot has no port. Errors: DEVICE_ALREADY_ATTACHED(id), OPERATION_NOT_ALLOWED(why). */
    int (*plug_disk)(const char *uuid, const struct vm_disk *disk, const struct deadline *d,
                     struct err *err);
    int (*plug_nic)(const char *uuid, const struct vm_nic *nic, const struct deadline *d,
                    struct err *err);
    /* Ask the guest for the device and wait until it lets go of it; then close what was open for it. One that is gone
     * already is no error. The slot is the one that it was plugged with.
     * Errors: DEVICE_DETACH_REJECTED("VBD" or "VIF", id, why), DEVICE_DETACH_TIMEOUT("VBD" or "VIF", id): it may still come. */
    int (*unplug_disk)(const char *uuid, const char *id, unsigned slot,
                       const struct deadline *d, struct err *err);
    int (*unplug_nic)(const char *uuid, const char *id, unsigned slot,
                      const struct deadline *d, struct err *err);
    /* Put a disc into the drive, or take it out (source NONE), whether the guest likes it or not. */
    int (*change_medium)(const char *uuid, const struct vm_disk *drive,
                         const struct deadline *d, struct err *err);
    /* What is behind the disk has grown to that size: let the guest see it. Can be repeated. disk: as for plug_disk, with a
     * new connection where it has no path. */
    int (*resize_disk)(const char *uuid, const struct vm_disk *disk, uint64_t bytes,
                       const struct deadline *d, struct err *err);
    /* False: it cannot be said. */
    bool (*devices)(const char *uuid, struct machine_devices *out,
                    const struct deadline *d);
    /* How many processors. More come at once, though off as far as the guest is concerned; fewer as it lets go of them.
     * *now_out: how many it has, also on failure. Errors: OPERATION_NOT_ALLOWED(why). */
    int (*set_vcpus)(const char *uuid, unsigned wanted, unsigned *now_out,
                     const struct deadline *d, struct err *err);
    /* Ask the guest to make do with so much; it does so at its own pace (MACHINE_EV_MEMORY), or has no driver for it. */
    int (*set_memory)(const char *uuid, uint64_t bytes, const struct deadline *d,
                      struct err *err);
    /* Write its state out, with that of its devices; afterwards it stands still, until go. On failure it goes on as before.
     * Errors: OPERATION_NOT_ALLOWED(why), VM_BAD_POWER_STATE, TASK_CANCELLED. */
    int (*save)(const char *uuid, const struct machine_save *how, struct machine_saved *out,
                const struct deadline *d, struct err *err);
    /* Into one that was built with spec.incoming: it stands still, as the other did. fd: a socket, borrowed. On failure it
     * may have ended. */
    int (*load)(const char *uuid, int fd, const struct deadline *d, struct err *err);
    /* What was between save and its end, or between its end and go, when its daemon died: it goes on. */
    int (*save_undo)(const char *uuid, const struct deadline *d, struct err *err);
    /* What the guest's balloon driver says of its memory, at most a few seconds old; 0: nothing. NULL: it cannot be asked. */
    void (*guest_memory)(const char *uuid, uint64_t *total_out, uint64_t *free_out,
                         const struct deadline *d);
    /* What it has used. vcpus: the caller's memory of its threads. Only disks may wait, until d, and are left out when d
     * has passed already. False: no such machine. */
    bool (*stats)(const char *uuid, struct metrics_vcpus *vcpus, struct machine_stats *out,
                  const struct deadline *d);
};

extern const struct machine_ops machine_qemu;
extern const struct machine_ops
    machine_fake; /* no processes: a state machine in memory and in RUNTIME/vm/UUID/ */
#endif
