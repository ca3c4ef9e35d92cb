/* SPDX-License-Identifier: Apache-2.0 */
/* Disks and NICs as QEMU takes them: the same JSON on the command line and when one is plugged into a running machine.
 * Pure. Thread: any. Results are given; NULL: a string of it is not UTF-8. */
#ifndef HOST_QEMU_DEVICE_H
#define HOST_QEMU_DEVICE_H

#include <jansson.h>

#include "base/err.h"
#include "host/vmspec.h"

/* Is it a disk, a NIC that a machine can have? Errors: INVALID_VALUE(field, value). */
int qemu_device_check_disk(const struct vm_disk *disk, struct err *err) MUST_CHECK;
int qemu_device_check_nic(const struct vm_nic *nic, struct err *err) MUST_CHECK;

/* Names that follow from the slot alone. Given. */
char *qemu_device_node_name(unsigned slot); /* the block node */
char *qemu_device_net_name(unsigned slot);  /* the netdev */
char *qemu_device_disk_port(unsigned slot); /* the PCI root port */
char *qemu_device_nic_port(unsigned slot);
unsigned qemu_device_fdset(unsigned slot);

/* The block node: blockdev-add. Over NBD it is a thin one, so that what is below can be exchanged while the machine runs. A file is read from the descriptor in the slot's fdset. */
/* fd: how QEMU knows the descriptor of an NBD connection. */
json_t *qemu_device_node(const struct vm_disk *disk, const char *fd) MUST_CHECK;
/* Its two halves over NBD; below (taken): the lower one or its name. */
json_t *qemu_device_raw(const struct vm_disk *disk, json_t *below) MUST_CHECK;
json_t *qemu_device_nbd(const struct vm_disk *disk, const char *name, const char *fd)
    MUST_CHECK;
/* The device: device_add. sata_port: of the AHCI controller, where it is on that. */
json_t *qemu_device_disk(const struct vm_disk *disk, int sata_port) MUST_CHECK;
/* fd: how QEMU knows the descriptor of its tap. */
json_t *qemu_device_netdev(const struct vm_nic *nic, const char *fd) MUST_CHECK;
json_t *qemu_device_nic(const struct vm_nic *nic) MUST_CHECK;
/* Has it a PCI slot of its own? */
bool qemu_device_on_port(const struct vm_disk *disk);
#endif
