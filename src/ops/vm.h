/* SPDX-License-Identifier: Apache-2.0 */
/* What the files about VMs share. */
#ifndef OPS_VM_H
#define OPS_VM_H

#include "host/vmspec.h"
#include "ops/call.h"
#include "ops/memory_image.h"
#include "ops/message.h"

#define VM_HOST_RESERVE_BYTES (256ULL << 20) /* memory that the host keeps for itself */

struct lease;

/* Everything the specification of a machine is built from: borrowed records of one moment, copied out of the
 * database, and what was opened for them. */
struct vm_part_disk {
    struct vbd_rec *vbd; /* owned copy */
    struct vdi_rec *vdi; /* owned copy; NULL: an empty drive */
    int fd;              /* owned; -1: empty drive, or an image */
    char *leaf;          /* owned; the image that a disk process serves */
    char *nbd;           /* owned; where; NULL: the machine gets fd instead */
    struct lease *lease; /* of its volumes, until it is open elsewhere */
    char serial[21];     /* the start of the VDI's uuid, without dashes: what fits */
};

struct vm_part_nic {
    struct vif_rec *vif; /* owned copy */
    char *bridge;        /* owned; of its network */
    bool make_bridge;    /* where there is none yet */
    bool network_off;    /* what the network says of interfaces that leave it to it */
    unsigned mtu;        /* of the network */
    bool has_tap;
    int tap; /* owned */
};

struct vm_parts {
    struct vm_rec *vm; /* owned copy */
    struct vm_part_disk disks[VMSPEC_DISKS_MAX];
    size_t n_disks;
    struct vm_part_nic nics[VMSPEC_NICS_MAX];
    size_t n_nics;
    char *kernel, *initrd; /* resolved paths; NULL: boots from its disks */
    int nvram;             /* owned, where the firmware is UEFI; else not above 0 */
    bool secure_boot;
    int tpm;    /* owned: the machine's end of its TPM; not above 0: none */
    int config; /* owned: the configuration drive; not above 0: none */
    const char *accel, *machine;
    const char *cpu;         /* model, unless the VM names one */
    uint64_t promised_bytes; /* of memory, kept for this start */
    int64_t domid;
    const struct memory_head
        *memory; /* borrowed: the machine is to be what this was of; NULL: a new start */
};

void vm_parts_done(struct vm_parts *p);
void vm_part_disk_done(struct vm_part_disk *d);
/* Copy a VBD of the VM with the disk that it has or is to get (null: an empty drive) and see that the machine may use it.
 * out holds what is to be freed also when it fails. */
int vm_part_disk_copy(const struct ref *vm, const struct vbd_rec *vbd,
                      const struct ref *vdi, struct vm_part_disk *out, struct err *err)
    MUST_CHECK REQUIRES(db_mutex);
/* Open what is behind it; an empty drive has nothing. */
int vm_part_disk_open(struct vm_part_disk *d, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
/* An image for a machine that runs already: its disk process serves it from now on (disks_remove ends that). */
int vm_part_disk_serve(const char *vm_uuid, struct vm_part_disk *k,
                       const struct deadline *d, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
/* Which is served already: the way to it. */
void vm_part_disk_served(const char *vm_uuid, struct vm_part_disk *k);
/* The disk of a machine has grown: the guest sees it (hotplug.c). Can be repeated. */
int vm_show_disk_size(struct call *call, const struct ref *vbd, uint64_t bytes,
                      struct err *err) MUST_CHECK EXCLUDES(db_mutex);
/* Which firmware it asks for. Errors: INVALID_VALUE(field, value). Pure. */
int vm_spec_firmware(const struct vm_rec *vm, enum vm_firmware *out, bool *secure_out,
                     struct err *err) MUST_CHECK;
/* Pure. out borrows from p. Errors: VALUE_NOT_SUPPORTED(field, value, reason), ... */
int vm_spec_build(const struct vm_parts *p, struct vm_spec *out, struct err *err)
    MUST_CHECK;
/* One disk, one NIC of it; without a place in the boot order. out borrows. Errors: INVALID_DEVICE(userdevice),
 * VALUE_NOT_SUPPORTED(disk-bus, ...). */
int vm_spec_disk(const struct vm_rec *vm, const struct vm_part_disk *part,
                 struct vm_disk *out, struct err *err) MUST_CHECK;
int vm_spec_nic(const struct vm_part_nic *part, struct vm_nic *out, struct err *err)
    MUST_CHECK;
/* Is it a key of VM.bios_strings that clients may set? */
bool vm_bios_string_known(const char *key);
/* "3" or "xvdd" or "hdc" -> 3; false: not a device position. */
bool vm_device_position(const char *userdevice, unsigned *out);
/* 3 -> "xvdd" */
void vm_device_name(unsigned position, char out[static 8]);

/* Build the machine of a VM, stopped. p: empty, but for memory; what it holds is to be freed also when it fails. */
int vm_machine_build(const struct ref *vm, struct vm_parts *p, const struct deadline *d,
                     struct err *err) MUST_CHECK EXCLUDES(db_mutex);
/* Processors that a machine has now. */
void vm_records_vcpus(struct tx *tx, const struct ref *vm, unsigned n) REQUIRES(db_mutex);
/* The range of a VM that runs; min negative: as it is. */
int vm_set_range_live(struct call *call, const struct ref *vm, int64_t min, int64_t max,
                      struct err *err) MUST_CHECK EXCLUDES(db_mutex);
/* Errors: MEMORY_CONSTRAINT_VIOLATION_ORDER. */
int vm_check_memory_order(const struct vm_rec *vm, struct err *err) MUST_CHECK;
/* Is so much free beside all that is promised? Errors: HOST_NOT_ENOUGH_FREE_MEMORY(needed, available). */
int vm_check_memory_more(uint64_t bytes, struct err *err) MUST_CHECK EXCLUDES(db_mutex);
/* The start is over: its VM counts by itself from now on, or is not there. */
void vm_parts_release(struct vm_parts *p) REQUIRES(db_mutex);
/* "halted" and so on, as errors name it. */
const char *vm_state_name(int power_state);
/* Where clients find the console now. */
void vm_console_locate(struct tx *tx, const struct ref *console) REQUIRES(db_mutex);

/* Bring the records of a VM to what is true of its machine: idempotent, one change set each.
 * running: consoles exist, devices attached, resident here. halted: the opposite. */
void vm_records_live(struct tx *tx, const struct ref *vm, int power_state)
    REQUIRES(db_mutex);
void vm_records_halted(struct tx *tx, const struct ref *vm) REQUIRES(db_mutex);
/* Its memory is on a disk; its devices stay its own. */
void vm_records_suspended(struct tx *tx, const struct ref *vm) REQUIRES(db_mutex);
/* allowed_operations of a VM that has changed its power state, and of the group that it belongs to. */
void vm_refresh(struct tx *tx, const struct ref *vm) REQUIRES(db_mutex);
/* One device is in the running machine, or is not. */
void vm_records_attached(struct tx *tx, enum class_id cls, const struct ref *device,
                         bool attached) REQUIRES(db_mutex);
/* Drivers know machines and devices by uuid, clients by reference: put ref in the place of uuid. Always -1. */
int vm_say_ref(struct err *err, const char *uuid, const struct ref *ref);
/* hotplug.c: at start, the records of a running VM's devices say what its machine has. */
void hotplug_settle(const struct ref *vm, const struct deadline *d) EXCLUDES(db_mutex);
/* The guest let go of a device ("vbd-UUID") long after it was asked for. */
void hotplug_gone(const char *device) EXCLUDES(db_mutex);
/* vm_nvram.c: the firmware's memory is a file while the machine runs, else VM.NVRAM. open: make it for a start, if the firmware is
 * UEFI. record: what the file says, in the change set; drop: the file is not needed any more. settle: at start, what died
 * between the two. */
int vm_nvram_open(struct vm_parts *p, struct err *err) MUST_CHECK EXCLUDES(db_mutex);
void vm_nvram_record(struct tx *tx, const struct ref *vm, const struct vm_rec *rec)
    REQUIRES(db_mutex);
void vm_nvram_drop(const char *uuid);
int vm_nvram_settle(struct err *err) MUST_CHECK EXCLUDES(db_mutex);
/* vtpm.c. open: start the TPM that the VM has, for a start; close: when its machine has ended. provision: make the one that
 * platform:vtpm asks for. copy: a record and state for a clone, given; NULL without an error: it has none to copy. forget: its
 * state goes. settle: at start, states without a record go. */
int vtpm_open(const struct ref *vm, struct vm_parts *p, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
void vtpm_close(const struct ref *vm) EXCLUDES(db_mutex);
int vtpm_provision(struct call *call, const struct ref *vm, struct err *err)
    MUST_CHECK EXCLUDES(db_mutex);
struct vtpm_rec *vtpm_copy(const struct ref *vm, struct err *err) EXCLUDES(db_mutex);
void vtpm_forget(const char *uuid);
void vtpm_settle(void) EXCLUDES(db_mutex);
/* End the machine if there is one and bring the records to Halted: the one teardown of every power operation.
 * say: told of a VM that was not halted. */
int vm_teardown(const struct ref *vm, const char *why, enum message_vm say,
                const struct deadline *d, struct err *err) MUST_CHECK;
/* The number of the next machine. */
int64_t vm_next_domid(void) REQUIRES(db_mutex);
/* The uuid of a VM; false: gone. */
bool vm_uuid_of(const struct ref *vm, char out[static UUID_TEXT_SIZE]);
/* Start the machine of a VM that dispatch has locked. paused: build it and leave it stopped. */
int vm_power_on(struct call *call, const struct ref *vm, bool paused, struct err *err)
    MUST_CHECK;

/* Bring those that are not there yet to a state, order by order as a group's (appliance.c). Errors:
 * OPERATION_PARTIALLY_FAILED(call, vm, ...). The call's thread waits for all. */
enum vm_group_work { VM_GROUP_START, VM_GROUP_SHUTDOWN, VM_GROUP_HARD_SHUTDOWN };

int vm_group_run(struct call *call, const struct ref *vms, size_t n_vms,
                 enum vm_group_work what, struct err *err) MUST_CHECK EXCLUDES(db_mutex);
/* Would it fit now? Errors: HOST_NOT_ENOUGH_FREE_MEMORY(needed, available). */
int vm_check_memory(const struct vm_rec *vm, struct err *err) MUST_CHECK EXCLUDES(db_mutex);
/* Is its machine being built? Then its devices are taken, although none says "attached" yet. */
bool vm_starting(const struct vm_rec *vm);
/* 0, or OTHER_OPERATION_IN_PROGRESS while its machine is being built: the devices must stay what they are. */
int vm_check_devices_free(const struct ref *ref, struct err *err)
    MUST_CHECK REQUIRES(db_mutex);
/* Does any machine have the disk, or is it about to? */
bool vm_disk_attached(const struct vdi_rec *vdi) REQUIRES(db_mutex);
/* May the machine of vm use the disk now? Errors: VDI_IN_USE(vdi, operation), OTHER_OPERATION_IN_PROGRESS(VDI, ...). */
int vm_check_disk_free(const struct ref *vm, const struct vbd_rec *vbd, struct err *err)
    MUST_CHECK REQUIRES(db_mutex);
/* A new uuid-like random MAC address, locally administered, as text. */
void vif_random_mac(char out[static 18]);

/* A record that a caller filled becomes one of a new, halted VM, if its numbers can be those of one. */
int vm_prepare_new(struct vm_rec *vm, struct err *err) MUST_CHECK;

/* vm_allowed.c: registers the functions for allowed_operations of all classes. */
void ops_allowed_init(void);
/* vm_watch.c */
int vm_watch_init(struct err *err) MUST_CHECK;
void vm_watch_done(void);
#endif
