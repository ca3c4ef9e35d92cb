/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of a machine in a volume: the stream that the machine wrote behind a head that says what the stream belongs to.
 * The head is written last, so that a volume with one is whole. What it says is checked but not trusted: it decides where
 * devices are put, never what they are. */
#ifndef OPS_MEMORY_IMAGE_H
#define OPS_MEMORY_IMAGE_H

#include "host/sr_image.h"
#include "host/vmspec.h"

#define MEMORY_IMAGE_HEAD (UINT64_C(64) << 10)

/* A disk or NIC that the machine had. */
struct memory_device {
    bool is_nic;
    unsigned slot;
    enum vm_bus bus; /* of a disk */
    bool has_rom;    /* of a NIC */
    unsigned queues; /* of a virtio disk; 0: unknown */
};

struct memory_head {
    uint64_t stream_bytes;
    char accel[8];
    unsigned vcpus, scsi_queues;
    uint64_t disk_ports, nic_ports;
    struct memory_device devices[VMSPEC_DISKS_MAX + VMSPEC_NICS_MAX];
    unsigned n_devices;
};

/* NULL: it had none there. */
const struct memory_device *memory_head_device(const struct memory_head *h, bool is_nic,
                                               unsigned slot);

struct memory_image;

/* image: taken. *machine_fd_out: given, the machine's end of the stream. A thread carries the bytes. Thread: any. */
struct memory_image *memory_image_write(struct sr_image *image, int *machine_fd_out,
                                        struct err *err) MUST_CHECK;
/* The machine has ended the stream: the head follows it, durable. head NULL: what was written is worth nothing; err is set if
 * it was the volume that broke the stream. Frees in any case. Errors: those of the volume. */
int memory_image_written(struct memory_image *m, struct memory_head *head, struct err *err);

/* Is it one, and what does it hold? Errors: SUSPEND_IMAGE_NOT_ACCESSIBLE(vdi), vdi as given. */
int memory_image_head(struct sr_image *image, const char *vdi, struct memory_head *out,
                      struct err *err) MUST_CHECK;
/* The stream of an image that has a head, to a machine. image: taken. */
struct memory_image *memory_image_read(struct sr_image *image,
                                       const struct memory_head *head, int *machine_fd_out,
                                       struct err *err) MUST_CHECK;
/* The machine has what it wanted. -1: the volume could not be read. Frees. */
int memory_image_was_read(struct memory_image *m, struct err *err);
#endif
