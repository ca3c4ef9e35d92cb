/* SPDX-License-Identifier: Apache-2.0 */
/* Disks and NICs in QEMU's words. What came from outside is a JSON value and nothing else. Owns no state, runs on any
 * thread. */
#include "host/qemu_device.h"

#include <string.h>

#include "api/errors.h"
#include "base/mem.h"
#include "base/parse.h"

#define SERIAL_MAX      20  /* what virtio-blk and ATA carry */
#define NBD_PATH_MAX    107 /* sun_path */
#define NBD_RECONNECT_S 600

static int refuse(struct err *err, const char *field, const char *value)
{
    return err_set(err, ERR_INVALID_VALUE, field, value);
}

int qemu_device_check_disk(const struct vm_disk *d, struct err *err)
{
    struct uuid u;

    if (!uuid_parse(d->id, &u))
        return refuse(err, "VBD", "not a uuid");
    if (d->slot >= VMSPEC_DISKS_MAX
        || (qemu_device_on_port(d) && d->slot >= VMSPEC_VIRTIO_SLOTS))
        return refuse(err, "userdevice", d->id);
    if (d->source == VM_SOURCE_NONE && !d->is_cd)
        return refuse(err, "VDI", d->id);
    if (d->is_cd && d->bus != VM_BUS_SCSI && d->bus != VM_BUS_SATA)
        return refuse(err, "bus", d->id);
    if (d->source == VM_SOURCE_NBD && d->nbd && strlen(d->nbd) > NBD_PATH_MAX)
        return refuse(err, "VDI", d->id);
    if (d->serial && strnlen(d->serial, SERIAL_MAX + 1) > SERIAL_MAX)
        return refuse(err, "serial", d->id);
    return 0;
}

static bool mac_ok(const char *mac)
{
    if (!mac || strnlen(mac, 18) != 17)
        return false;
    for (unsigned i = 0; i < 17; i++)
        if (i % 3 == 2 ? mac[i] != ':' : !strchr("0123456789abcdefABCDEF", mac[i]))
            return false;
    return true;
}

int qemu_device_check_nic(const struct vm_nic *n, struct err *err)
{
    struct uuid u;

    if (!uuid_parse(n->id, &u))
        return refuse(err, "VIF", "not a uuid");
    if (n->slot >= VMSPEC_NICS_MAX)
        return refuse(err, "device", n->id);
    if (!mac_ok(n->mac))
        return refuse(err, "MAC", n->id);
    if (n->mtu && (n->mtu < 68 || n->mtu > 65521))
        return refuse(err, "MTU", n->id);
    return 0;
}

char *qemu_device_node_name(unsigned slot)
{
    return str_fmt("disk%u", slot);
}

char *qemu_device_net_name(unsigned slot)
{
    return str_fmt("net%u", slot);
}

char *qemu_device_disk_port(unsigned slot)
{
    return str_fmt("rpd%u", slot);
}

char *qemu_device_nic_port(unsigned slot)
{
    return str_fmt("rpn%u", slot);
}

unsigned qemu_device_fdset(unsigned slot)
{
    return slot + 1;
}

bool qemu_device_on_port(const struct vm_disk *disk)
{
    return disk->bus == VM_BUS_VIRTIO || disk->bus == VM_BUS_NVME;
}

static json_t *file_node(const struct vm_disk *disk)
{
    AUTO(free_str) char *path = str_fmt("/dev/fdset/%u", qemu_device_fdset(disk->slot));
    AUTO(free_str) char *name = str_fmt("disk%u-file", disk->slot);

    return json_pack("{ss ss ss ss sb s{sb sb}}", "driver", "file", "node-name", name,
                     "filename", path, "discard", "unmap", "read-only",
                     disk->read_only || disk->is_cd, "cache", "direct", 0, "no-flush", 0);
}

/* While the server is away, requests wait; a disk process is back in a second. */
json_t *qemu_device_nbd(const struct vm_disk *disk, const char *name, const char *fd)
{
    json_t *o = json_pack("{ss ss sb ss ss}", "driver", "nbd", "node-name", name,
                          "read-only", disk->read_only || disk->is_cd, "discard", "unmap",
                          "export", disk->id);

    if (disk->nbd)
        json_object_set_new(o, "reconnect-delay", json_integer(NBD_RECONNECT_S));
    json_object_set_new(o, "server",
                        disk->nbd ? json_pack("{ss ss}", "type", "unix", "path", disk->nbd)
                                  : json_pack("{ss ss}", "type", "fd", "str", fd));
    return o;
}

json_t *qemu_device_raw(const struct vm_disk *disk, json_t *below)
{
    AUTO(free_str) char *name = qemu_device_node_name(disk->slot);

    return json_pack("{ss ss sb ss so}", "driver", "raw", "node-name", name, "read-only",
                     disk->read_only || disk->is_cd, "discard", "unmap", "file", below);
}

json_t *qemu_device_node(const struct vm_disk *disk, const char *fd)
{
    AUTO(free_str) char *name = qemu_device_node_name(disk->slot);
    int read_only = disk->read_only || disk->is_cd;

    if (disk->source == VM_SOURCE_NBD) {
        AUTO(free_str) char *below = str_fmt("%s-file", name);
        return qemu_device_raw(disk, qemu_device_nbd(disk, below, fd));
    }
    return json_pack("{ss ss sb ss ss s{sb sb} so}", "driver", "raw", "node-name", name,
                     "read-only", read_only, "discard", "unmap", "detect-zeroes", "off",
                     "cache", "direct", 0, "no-flush", 0, "file", file_node(disk));
}

static const char *driver_of(const struct vm_disk *disk)
{
    switch (disk->bus) {
    case VM_BUS_SCSI: return disk->is_cd ? "scsi-cd" : "scsi-hd";
    case VM_BUS_SATA: return disk->is_cd ? "ide-cd" : "ide-hd";
    case VM_BUS_NVME: return "nvme";
    case VM_BUS_VIRTIO: break;
    }
    return "virtio-blk-pci";
}

/* Where it is: its slot and nothing else decides. */
static void place(const struct vm_disk *disk, int sata_port, json_t *o)
{
    AUTO(free_str) char *bus = NULL;

    if (disk->bus == VM_BUS_SCSI) {
        bus = str_dup("scsi0.0");
        json_object_set_new(o, "channel", json_integer(0));
        json_object_set_new(o, "scsi-id", json_integer(disk->slot));
        json_object_set_new(o, "lun", json_integer(0));
    } else if (disk->bus == VM_BUS_SATA) {
        bus = str_fmt("ide.%d", sata_port);
        json_object_set_new(o, "unit", json_integer(0));
    } else {
        bus = qemu_device_disk_port(disk->slot);
        json_object_set_new(o, "addr", json_string("0x0"));
    }
    json_object_set_new(o, "bus", json_string(bus));
}

json_t *qemu_device_disk(const struct vm_disk *disk, int sata_port)
{
    AUTO(free_str) char *id = str_fmt("vbd-%s", disk->id);
    AUTO(free_str) char *node = qemu_device_node_name(disk->slot);
    const char *serial = disk->serial && disk->serial[0] ? disk->serial : NULL;
    json_t *o = json_pack("{ss ss}", "driver", driver_of(disk), "id", id);

    place(disk, sata_port, o);
    if (disk->source != VM_SOURCE_NONE)
        json_object_set_new(o, "drive", json_string(node));
    if (!serial && disk->bus == VM_BUS_NVME) /* it must have one */
        serial = node;
    if (serial && json_object_set_new(o, "serial", json_string(serial)) < 0) {
        json_decref(o);
        return NULL;
    }
    if (disk->queues && disk->bus == VM_BUS_VIRTIO)
        json_object_set_new(o, "num-queues", json_integer((json_int_t)disk->queues));
    if (disk->boot_index)
        json_object_set_new(o, "bootindex", json_integer((json_int_t)disk->boot_index));
    return o;
}

json_t *qemu_device_netdev(const struct vm_nic *nic, const char *fd)
{
    AUTO(free_str) char *net = qemu_device_net_name(nic->slot);

    if (nic->has_tap)
        return json_pack("{ss ss ss}", "type", "tap", "id", net, "fd", fd);
    return json_pack("{ss ss}", "type", "user", "id", net);
}

json_t *qemu_device_nic(const struct vm_nic *nic)
{
    AUTO(free_str) char *id = str_fmt("vif-%s", nic->id);
    AUTO(free_str) char *net = qemu_device_net_name(nic->slot);
    AUTO(free_str) char *bus = qemu_device_nic_port(nic->slot);
    json_t *o = json_pack("{ss ss ss ss ss ss}", "driver", "virtio-net-pci", "id", id,
                          "netdev", net, "mac", nic->mac, "bus", bus, "addr", "0x0");

    /* The option ROM costs start time and serves only network boot. */
    if (nic->boot_index)
        json_object_set_new(o, "bootindex", json_integer((json_int_t)nic->boot_index));
    if (!nic->boot_index || nic->no_rom)
        json_object_set_new(o, "romfile", json_string(""));
    if (nic->mtu && nic->mtu != 1500)
        json_object_set_new(o, "host_mtu", json_integer((json_int_t)nic->mtu));
    return o;
}
