/* SPDX-License-Identifier: Apache-2.0 */
/* Devices of machines that run: plugging, unplugging, changing media. Nothing is remembered here: what a machine has is what
 * QEMU lists, so that the daemon may be killed between any two steps. Every step can be repeated; plugging begins by
 * clearing what an earlier attempt has left in the slot. Runs on the callers' threads. */
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "api/errors.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "base/parse.h"
#include "host/machine.h"
#include "host/machine_reg.h"
#include "host/qemu_device.h"

#define TRAY_TRIES 3

static int command(const char *uuid, const char *name, json_t *args,
                   const struct deadline *d, struct err *err)
{
    return machine_qemu_command(uuid, name, args, -1, NULL, d, err);
}

/* For clearing up: it does not matter whether there was something. */
static void try_command(const char *uuid, const char *name, json_t *args,
                        const struct deadline *d)
{
    IGNORE(command(uuid, name, args, d, NULL));
}

static int injected(struct err *err)
{
    err_set(err, ERR_INTERNAL_ERROR, "a failpoint");
    return err_detail(err, "%m");
}

static int no_device(struct err *err, struct err *cause)
{
    return machine_qemu_refused("the machine refuses the device", err, cause);
}

/* ---- what there is ------------------------------------------------------------------------------------- */

/* "rpd3" -> 3 */
static bool slot_of(const char *name, const char *prefix, unsigned max, uint64_t *bits)
{
    int64_t slot;

    if (!str_starts(name, prefix)
        || !parse_range(name + strlen(prefix), 0, (int64_t)max - 1, &slot))
        return false;
    *bits |= UINT64_C(1) << slot;
    return true;
}

static enum vm_bus bus_of(const char *type)
{
    if (str_starts(type, "child<scsi-"))
        return VM_BUS_SCSI;
    if (str_starts(type, "child<ide-"))
        return VM_BUS_SATA;
    return str_starts(type, "child<nvme") ? VM_BUS_NVME : VM_BUS_VIRTIO;
}

static void add_device(struct machine_devices *out, const char *name, const char *type)
{
    bool is_nic = str_starts(name, "vif-");
    struct machine_device *d = &out->v[out->n];
    struct uuid u;

    if ((!is_nic && !str_starts(name, "vbd-")) || !uuid_parse(name + 4, &u)
        || out->n == ARRAY_SIZE(out->v))
        return;
    uuid_text(&u, d->id);
    d->is_nic = is_nic;
    d->bus = bus_of(type);
    out->n++;
}

static int list(const char *uuid, struct machine_devices *out, const struct deadline *d,
                struct err *err)
{
    json_t *all = NULL;

    *out = (struct machine_devices){ 0 };
    if (machine_qemu_command(uuid, "qom-list",
                             json_pack("{ss}", "path", "/machine/peripheral"), -1, &all, d,
                             err)
        < 0)
        return -1;
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *o = json_array_get(all, i);
        const char *name = json_string_value(json_object_get(o, "name"));
        const char *type = json_string_value(json_object_get(o, "type"));

        if (name && type && !slot_of(name, "rpd", VMSPEC_VIRTIO_SLOTS, &out->disk_ports)
            && !slot_of(name, "rpn", VMSPEC_NICS_MAX, &out->nic_ports))
            add_device(out, name, type);
    }
    json_decref(all);
    return 0;
}

static json_t *property(const char *uuid, const char *device, const char *name,
                        const struct deadline *d)
{
    AUTO(free_str) char *path = str_fmt("/machine/peripheral/%s", device);
    json_t *value = NULL;

    IGNORE(machine_qemu_command(uuid, "qom-get",
                                json_pack("{ss ss}", "path", path, "property", name), -1,
                                &value, d, NULL));
    return value;
}

static unsigned queues(const char *uuid, const char *device, const char *name,
                       const struct deadline *d)
{
    json_t *value = property(uuid, device, name, d);
    json_int_t n = json_integer_value(value);

    json_decref(value);
    return n > 0 && n < UINT16_MAX ? (unsigned)n : 0;
}

/* What QEMU chose for a device when it was made, and is part of its state: a NIC that was there from the start of a machine
 * that boots from the network has a ROM; a disk has as many queues as there were processors. */
static void list_choices(const char *uuid, struct machine_devices *out,
                         const struct deadline *d)
{
    out->scsi_queues = queues(uuid, "scsi0", "num_queues", d);
    for (unsigned i = 0; i < out->n; i++) {
        struct machine_device *v = &out->v[i];
        AUTO(free_str) char *device = str_fmt("%s-%s", v->is_nic ? "vif" : "vbd", v->id);

        if (v->is_nic) {
            json_t *rom = property(uuid, device, "romfile", d);

            v->has_rom = json_string_length(rom) > 0;
            json_decref(rom);
        } else if (v->bus == VM_BUS_VIRTIO) {
            v->queues = queues(uuid, device, "num-queues", d);
        }
    }
}

static int list_media(const char *uuid, struct machine_devices *out,
                      const struct deadline *d)
{
    json_t *all = NULL;

    if (machine_qemu_command(uuid, "query-block", NULL, -1, &all, d, NULL) < 0)
        return -1;
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *in = json_object_get(json_array_get(all, i), "inserted");
        const char *node = json_string_value(json_object_get(in, "node-name"));

        if (node)
            (void)slot_of(node, "disk", VMSPEC_DISKS_MAX, &out->media);
    }
    json_decref(all);
    return 0;
}

bool machine_plug_list(const char *uuid, struct machine_devices *out,
                       const struct deadline *d)
{
    if (list(uuid, out, d, NULL) < 0 || list_media(uuid, out, d) < 0)
        return false;
    list_choices(uuid, out, d);
    out->vcpus = machine_count_vcpus(uuid, d);
    return true;
}

static bool has(const struct machine_devices *all, const char *id)
{
    for (unsigned i = 0; i < all->n; i++)
        if (str_eq(all->v[i].id, id))
            return true;
    return false;
}

/* ---- nodes: what a disk's bytes come from -------------------------------------------------------------- */

/* Lower halves that were added for a new size: one of the two is in use at most. */
static char *spare_name(unsigned slot, unsigned i)
{
    return str_fmt("disk%u-file%u", slot, i);
}

static void drop_spares(const char *uuid, unsigned slot, const struct deadline *d)
{
    for (unsigned i = 0; i < 2; i++) {
        AUTO(free_str) char *name = spare_name(slot, i);
        try_command(uuid, "blockdev-del", json_pack("{ss}", "node-name", name), d);
    }
}

static void drop_node(const char *uuid, unsigned slot, const struct deadline *d)
{
    AUTO(free_str) char *node = qemu_device_node_name(slot);

    try_command(uuid, "blockdev-del", json_pack("{ss}", "node-name", node), d);
    drop_spares(uuid, slot, d);
    try_command(uuid, "remove-fd",
                json_pack("{si}", "fdset-id", (int)qemu_device_fdset(slot)), d);
}

/* QEMU learns the descriptor of a connection. fd: its name for it. */
static int give_connection(const char *uuid, const struct vm_disk *disk, const char *fd,
                           const struct deadline *d, struct err *err)
{
    if (disk->source != VM_SOURCE_NBD || disk->nbd)
        return 0;
    return machine_qemu_command(uuid, "getfd", json_pack("{ss}", "fdname", fd), disk->fd,
                                NULL, d, err);
}

static int add_node(const char *uuid, const struct vm_disk *disk, const struct deadline *d,
                    struct err *err)
{
    AUTO(err_done) struct err cause = { 0 };

    drop_node(uuid, disk->slot, d);
    if (disk->source == VM_SOURCE_FILE
        && machine_qemu_command(
               uuid, "add-fd",
               json_pack("{si}", "fdset-id", (int)qemu_device_fdset(disk->slot)), disk->fd,
               NULL, d, &cause)
               < 0)
        return no_device(err, &cause);
    AUTO(free_str) char *fd = str_fmt("nbd%u", disk->slot);
    if (give_connection(uuid, disk, fd, d, &cause) < 0)
        return no_device(err, &cause);
    if (FAILPOINT("machine.plug.descriptor"))
        injected(&cause);
    else if (command(uuid, "blockdev-add", qemu_device_node(disk, fd), d, &cause) == 0)
        return 0;
    drop_node(uuid, disk->slot, d);
    return no_device(err, &cause);
}

/* ---- plugging ------------------------------------------------------------------------------------------ */

/* Where the slot of a running machine can be: on its port if it has one. */
static int choose_place(const struct machine_devices *all, struct vm_disk *disk,
                        struct err *err)
{
    bool port = disk->slot < VMSPEC_VIRTIO_SLOTS && (all->disk_ports >> disk->slot & 1);

    if (disk->bus == VM_BUS_VIRTIO && !port)
        disk->bus = VM_BUS_SCSI;
    if (disk->bus == VM_BUS_SATA)
        return err_set(err, ERR_OPERATION_NOT_ALLOWED,
                       "a SATA device can only be added while the VM is shut down");
    if (disk->bus == VM_BUS_NVME && !port)
        return err_set(err, ERR_OPERATION_NOT_ALLOWED,
                       "this machine has no slot for an NVMe disk in this position: shut "
                       "the VM down first");
    return 0;
}

int machine_plug_disk(const char *uuid, const struct vm_disk *disk,
                      const struct deadline *d, struct err *err)
{
    AUTO(err_done) struct err cause = { 0 };
    struct vm_disk placed = *disk;
    struct machine_devices all;

    if (list(uuid, &all, d, err) < 0)
        return -1;
    if (has(&all, disk->id))
        return err_set(err, ERR_DEVICE_ALREADY_ATTACHED, disk->id);
    if (choose_place(&all, &placed, err) < 0 || qemu_device_check_disk(&placed, err) < 0)
        return -1;
    if (placed.source != VM_SOURCE_NONE && add_node(uuid, &placed, d, err) < 0)
        return -1;
    if (FAILPOINT("machine.plug.node"))
        injected(&cause);
    else if (command(uuid, "device_add", qemu_device_disk(&placed, 0), d, &cause) == 0)
        return 0;
    drop_node(uuid, placed.slot, d);
    return no_device(err, &cause);
}

static void drop_net(const char *uuid, unsigned slot, const struct deadline *d)
{
    AUTO(free_str) char *net = qemu_device_net_name(slot);

    try_command(uuid, "netdev_del", json_pack("{ss}", "id", net), d);
}

int machine_plug_nic(const char *uuid, const struct vm_nic *nic, const struct deadline *d,
                     struct err *err)
{
    AUTO(err_done) struct err cause = { 0 };
    struct machine_devices all;

    if (list(uuid, &all, d, err) < 0)
        return -1;
    if (has(&all, nic->id))
        return err_set(err, ERR_DEVICE_ALREADY_ATTACHED, nic->id);
    if (qemu_device_check_nic(nic, err) < 0)
        return -1;
    if (!(all.nic_ports >> nic->slot & 1))
        return err_set(err, ERR_OPERATION_NOT_ALLOWED,
                       "this machine has no slot for a network interface in this position: "
                       "use device 0 to 3, or shut the VM down first");
    drop_net(uuid, nic->slot, d);
    AUTO(free_str) char *fd = str_fmt("tap%u", nic->slot);
    if (nic->has_tap
        && machine_qemu_command(uuid, "getfd", json_pack("{ss}", "fdname", fd), nic->tap,
                                NULL, d, &cause)
               < 0)
        return no_device(err, &cause);
    if (command(uuid, "netdev_add", qemu_device_netdev(nic, fd), d, &cause) < 0) {
        if (nic->has_tap) /* or it would keep the tap */
            try_command(uuid, "closefd", json_pack("{ss}", "fdname", fd), d);
        return no_device(err, &cause);
    }
    if (FAILPOINT("machine.plug.net"))
        injected(&cause);
    else if (command(uuid, "device_add", qemu_device_nic(nic), d, &cause) == 0)
        return 0;
    drop_net(uuid, nic->slot, d);
    return no_device(err, &cause);
}

/* ---- a new size ---------------------------------------------------------------------------------------- */

/* An NBD client knows the size that it was told when it connected: a new connection takes the place of the old one. */
static int connect_again(const char *uuid, const struct vm_disk *disk,
                         const struct deadline *d, struct err *err)
{
    AUTO(free_str) char *fd = str_fmt("nbd%u", disk->slot);
    json_t *options = NULL;
    int rc = -1;

    drop_spares(uuid, disk->slot, d);
    if (give_connection(uuid, disk, fd, d, err) < 0)
        return -1;
    for (unsigned i = 0; i < 2 && rc < 0; i++) {
        AUTO(free_str) char *name = spare_name(disk->slot, i);

        err_done(err);
        rc = command(uuid, "blockdev-add", qemu_device_nbd(disk, name, fd), d, err);
        if (rc == 0)
            options = qemu_device_raw(disk, json_string(name));
    }
    if (rc == 0)
        rc = command(uuid, "blockdev-reopen", json_pack("{s[o]}", "options", options), d,
                     err);
    drop_spares(uuid, disk->slot, d); /* the one that is not in use */
    return rc;
}

int machine_plug_resize(const char *uuid, const struct vm_disk *disk, uint64_t bytes,
                        const struct deadline *d, struct err *err)
{
    AUTO(err_done) struct err cause = { 0 };
    AUTO(free_str) char *node = qemu_device_node_name(disk->slot);

    if (disk->source == VM_SOURCE_NBD && connect_again(uuid, disk, d, &cause) < 0)
        return no_device(err, &cause);
    if (FAILPOINT("machine.resize.node"))
        return injected(err);
    if (command(uuid, "block_resize",
                json_pack("{ss sI}", "node-name", node, "size", (json_int_t)bytes), d,
                &cause)
        < 0)
        return no_device(err, &cause);
    return 0;
}

/* ---- unplugging ---------------------------------------------------------------------------------------- */

struct unplug {
    struct machine_unplug u;
    bool ended;
};

static bool unplugged(struct machine *m, void *arg)
{
    struct unplug *w = arg;

    w->ended = !m || !m->alive;
    return w->ended || w->u.gone || w->u.refused;
}

/* The machine stays registered while a call works on it or its end is on its way. */
static bool enlist(const char *uuid, struct unplug *w)
{
    struct machine *m;

    mutex_lock(&machines_lock);
    m = machine_reg_find(uuid);
    if (m && m->alive)
        list_add_tail(&m->unplugs, &w->u.link);
    mutex_unlock(&machines_lock);
    return m != NULL;
}

/* Ask for the device and wait. 0: it is gone. */
static int ask_for(const char *uuid, const char *cls, const char *id, struct unplug *w,
                   const struct deadline *d, struct err *err)
{
    AUTO(err_done) struct err cause = { 0 };
    struct machine_devices all;

    if (command(uuid, "device_del", json_pack("{ss}", "id", w->u.device), d, &cause) < 0) {
        if (!str_eq(cause.code, ERR_INTERNAL_ERROR) || list(uuid, &all, d, NULL) < 0) {
            err_move(err, &cause);
            return -1;
        }
        if (!has(&all, id))
            return 0;
        /* Else it was asked for before and the guest has not answered yet. */
    }
    if (machine_reg_wait(uuid, unplugged, w, d) < 0) {
        if (errno == ECANCELED)
            return err_set(err, ERR_TASK_CANCELLED, "");
        return err_set(err, ERR_DEVICE_DETACH_TIMEOUT, cls, id);
    }
    if (w->u.gone)
        return 0;
    if (w->ended)
        return err_set(err, ERR_VM_BAD_POWER_STATE, uuid, "running", "halted");
    return err_set(err, ERR_DEVICE_DETACH_REJECTED, cls, id,
                   "the guest does not let go of the device");
}

static int unplug(const char *uuid, const char *cls, const char *id,
                  const struct deadline *d, struct err *err)
{
    AUTO(free_str)
    char *device = str_fmt("%s-%s", str_eq(cls, "VIF") ? "vif" : "vbd", id);
    struct unplug w = { .u = { .device = device } };
    int rc;

    list_init(&w.u.link);
    if (!enlist(uuid, &w))
        return err_set(err, ERR_VM_BAD_POWER_STATE, uuid, "running", "halted");
    rc = ask_for(uuid, cls, id, &w, d, err);
    mutex_lock(&machines_lock);
    list_remove(&w.u.link);
    mutex_unlock(&machines_lock);
    return rc;
}

int machine_unplug_disk(const char *uuid, const char *id, unsigned slot,
                        const struct deadline *d, struct err *err)
{
    if (unplug(uuid, "VBD", id, d, err) < 0)
        return -1;
    if (FAILPOINT("machine.unplug.gone"))
        return injected(err);
    drop_node(uuid, slot, d);
    return 0;
}

int machine_unplug_nic(const char *uuid, const char *id, unsigned slot,
                       const struct deadline *d, struct err *err)
{
    if (unplug(uuid, "VIF", id, d, err) < 0)
        return -1;
    drop_net(uuid, slot, d);
    return 0;
}

/* ---- media --------------------------------------------------------------------------------------------- */

static json_t *of_drive(const char *device)
{
    return json_pack("{ss}", "id", device);
}

/* args: taken. An open tray stays open, a locked one gives way; a guest that resets its controller meanwhile, as firmware
 * does, has closed it again: then once more. */
static int with_open_tray(const char *uuid, const char *device, const char *name,
                          json_t *args, const struct deadline *d, struct err *cause)
{
    int rc = -1;

    for (int i = 0; rc < 0 && i < TRAY_TRIES; i++) {
        err_done(cause);
        rc = command(uuid, "blockdev-open-tray",
                     json_pack("{ss sb}", "id", device, "force", 1), d, cause);
        if (rc == 0)
            rc = command(uuid, name, json_incref(args), d, cause);
    }
    json_decref(args);
    return rc;
}

int machine_plug_medium(const char *uuid, const struct vm_disk *drive,
                        const struct deadline *d, struct err *err)
{
    AUTO(err_done) struct err cause = { 0 };
    AUTO(free_str) char *device = str_fmt("vbd-%s", drive->id);
    AUTO(free_str) char *node = qemu_device_node_name(drive->slot);
    int rc;

    if (qemu_device_check_disk(drive, err) < 0)
        return -1;
    if (with_open_tray(uuid, device, "blockdev-remove-medium", of_drive(device), d, &cause)
        < 0)
        return no_device(err, &cause);
    drop_node(uuid, drive->slot, d);
    if (FAILPOINT("machine.medium.out"))
        return injected(err);
    if (drive->source != VM_SOURCE_NONE && add_node(uuid, drive, d, err) < 0)
        return -1;
    rc = drive->source == VM_SOURCE_NONE
             ? 0
             : with_open_tray(uuid, device, "blockdev-insert-medium",
                              json_pack("{ss ss}", "id", device, "node-name", node), d,
                              &cause);
    if (rc == 0)
        rc = command(uuid, "blockdev-close-tray", of_drive(device), d, &cause);
    return rc < 0 ? no_device(err, &cause) : 0;
}
