/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine is made of: everything qemu.c needs to know, and nothing of the XenAPI. Plain data, filled by
 * ops/vm_spec.c (pure). Descriptors are borrowed; strings are borrowed. */
#ifndef HOST_VMSPEC_H
#define HOST_VMSPEC_H

#include "base/uuid.h"

#define VMSPEC_DISKS_MAX  64
#define VMSPEC_NICS_MAX   16
#define VMSPEC_SMBIOS_MAX 13
#define VMSPEC_VCPUS_MAX  255 /* what the q35 board of QEMU takes */

#define VMSPEC_VIRTIO_SLOTS \
    24 /* PCI root ports of disks; higher slots are on the SCSI controller */

/* VIRTIO and NVME have a PCI slot each, SCSI is the one virtio-scsi controller, SATA has six ports and no hot plug. */
enum vm_bus { VM_BUS_VIRTIO, VM_BUS_SCSI, VM_BUS_NVME, VM_BUS_SATA };

/* FILE: a raw file by descriptor. NBD: an export of that name, the disk's id, on a unix socket; when the connection breaks,
 * the machine connects again and its requests wait. Without a path it has fd, a connection, alone. */
enum vm_source { VM_SOURCE_NONE, VM_SOURCE_FILE, VM_SOURCE_NBD };

struct vm_disk {
    char id[UUID_TEXT_SIZE]; /* the VBD's uuid: names the device in QEMU */
    unsigned slot;           /* userdevice 0.. : fixes the address in the guest */
    enum vm_bus bus;
    bool is_cd;
    bool read_only;
    unsigned boot_index;   /* 1.. ; 0: not booted from */
    unsigned queues;       /* VIRTIO; 0: one for each processor at the start */
    enum vm_source source; /* NONE: an empty CD drive */
    int fd;                /* FILE, NBD */
    const char *nbd;       /* NBD: the socket's path as the machine sees it, or NULL */
    const char *serial;    /* shown to the guest, at most 20 characters */
};

struct vm_nic {
    char id[UUID_TEXT_SIZE]; /* the VIF's uuid */
    unsigned slot;           /* device 0.. */
    const char *mac;
    unsigned mtu;
    unsigned boot_index;
    bool no_rom;  /* although it has a boot index */
    bool has_tap; /* else user-mode networking */
    int tap;
};

/* A text that the firmware shows: a field of a table of SMBIOS, named as QEMU does. */
struct vm_smbios {
    unsigned type; /* 0 BIOS, 1 system, 2 board, 3 case */
    const char *field, *value;
};

enum vm_firmware { VM_FIRMWARE_BIOS, VM_FIRMWARE_UEFI };

struct vm_spec {
    char uuid[UUID_TEXT_SIZE];
    const char *name;
    const char *machine; /* pinned: "pc-q35-7.2" */
    const char *accel;   /* "kvm" or "tcg" */
    const char *cpu_model;
    unsigned vcpus, vcpus_max, cores_per_socket;
    enum vm_firmware firmware;
    uint64_t memory_bytes;
    uint64_t memory_target_bytes; /* what it will be asked to make do with; 0: all */
    const char *firmware_code;    /* UEFI: its program */
    int nvram_fd;                 /* UEFI: its variables, written to */
    int tpm_fd;                   /* a TPM's control connection; not above 0: none */
    int config_fd; /* the configuration drive's image, read-only; not above 0: none */
    unsigned scsi_queues;                  /* of the SCSI controller, as those of a disk */
    const char *kernel, *initrd, *cmdline; /* direct boot; kernel NULL: from disks */
    /* Of the screen's keyboard, for viewers that send no key codes; NULL: en-us. */
    const char *keymap;
    bool config_on_sata;
    bool secure_boot;
    bool rtc_localtime;
    bool vga;
    bool viridian; /* Hyper-V's interfaces, which Windows uses where it finds them */
    bool watchdog; /* a watchdog device, which resets the machine */
    bool incoming; /* its state comes by machine_ops.load */
    struct vm_disk disks[VMSPEC_DISKS_MAX];
    unsigned n_disks;
    struct vm_nic nics[VMSPEC_NICS_MAX];
    unsigned n_nics;
    uint64_t disk_ports,
        nic_ports; /* slots that have a root port although nothing is in them */
    struct vm_smbios smbios[VMSPEC_SMBIOS_MAX];
    unsigned n_smbios;
};
#endif
