/* SPDX-License-Identifier: Apache-2.0 */
/* From the records of a VM to the specification of its machine. Pure: no database, no files, no clock. */
#include "ops/lease.h"
#include "ops/vm.h"

#include <string.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/mem.h"
#include "base/parse.h"
#include "host/nvram.h"
#include "ops/vif.h"

void vm_part_disk_done(struct vm_part_disk *d)
{
    record_free(&schema_classes[CLASS_VBD], d->vbd);
    record_free(&schema_classes[CLASS_VDI], d->vdi);
    if (d->fd >= 0)
        close(d->fd);
    free_str(&d->leaf);
    free_str(&d->nbd);
    lease_give(d->lease);
    *d = (struct vm_part_disk){ .fd = -1 };
}

void vm_parts_done(struct vm_parts *p)
{
    for (size_t i = 0; i < p->n_disks; i++)
        vm_part_disk_done(&p->disks[i]);
    for (size_t i = 0; i < p->n_nics; i++)
        vif_part_done(&p->nics[i]);
    record_free(&schema_classes[CLASS_VM], p->vm);
    free_str(&p->kernel);
    free_str(&p->initrd);
    if (p->nvram > 0)
        close(p->nvram);
    if (p->tpm > 0)
        close(p->tpm);
    if (p->config > 0)
        close(p->config);
    *p = (struct vm_parts){ 0 };
}

bool vm_device_position(const char *s, unsigned *out)
{
    int64_t n;
    if (parse_range(s, 0, 255, &n)) {
        *out = (unsigned)n;
        return true;
    }
    const char *letter = NULL;
    if (str_starts(s, "xvd"))
        letter = s + 3;
    else if (str_starts(s, "hd") || str_starts(s, "sd"))
        letter = s + 2;
    if (!letter || letter[0] < 'a' || letter[0] > 'z' || letter[1])
        return false;
    *out = (unsigned)(letter[0] - 'a');
    return true;
}

void vm_device_name(unsigned position, char out[static 8])
{
    if (position < 26)
        (void)snprintf(out, 8, "xvd%c", (char)('a' + position));
    else
        (void)snprintf(out, 8, "xvd%c%c", (char)('a' + position / 26 - 1),
                       (char)('a' + position % 26));
}

/* The value of a string map, or NULL. */
static const char *lookup(const struct map_string_string *m, const char *key)
{
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->v[i].key, key) == 0)
            return m->v[i].val;
    return NULL;
}

static bool flag(const struct map_string_string *m, const char *key, bool otherwise)
{
    const char *v = lookup(m, key);
    bool b;
    return v && parse_bool(v, &b) ? b : otherwise;
}

/* HVM_boot_params:order is letters: c disks, d CD drives, n network. Position in it decides the boot index; devices of a
 * kind follow each other by their slot, bootable disks first. */
static unsigned boot_index(const char *order, char kind, unsigned slot, bool first)
{
    const char *at = strchr(order, kind);
    if (!at)
        return 0;
    return 1 + (unsigned)(at - order) * 1000 + (first ? 0 : 500) + slot;
}

/* The VBD's own word, then the VM's, then virtio. CDs never are on virtio-blk or NVMe: they go beside what the guest has a
 * driver for. */
static int choose_bus(const struct vm_rec *vm, const struct vbd_rec *vbd, unsigned slot,
                      enum vm_bus *out, struct err *err)
{
    static const char *const names[] = { [VM_BUS_VIRTIO] = "virtio",
                                         [VM_BUS_SCSI] = "scsi",
                                         [VM_BUS_NVME] = "nvme",
                                         [VM_BUS_SATA] = "sata" };
    const char *name = lookup(&vbd->other_config, "bus");
    unsigned bus = 0;
    if (!name || !name[0])
        name = lookup(&vm->platform, "disk-bus");
    if (!name || !name[0])
        name = names[VM_BUS_VIRTIO];
    while (bus < ARRAY_SIZE(names) && !str_eq(name, names[bus]))
        bus++;
    if (bus == ARRAY_SIZE(names))
        return err_set(err, ERR_VALUE_NOT_SUPPORTED, "disk-bus", name,
                       "one of virtio, scsi, nvme and sata");
    bool ports = bus == VM_BUS_VIRTIO || bus == VM_BUS_NVME;
    if (vbd->type == VBD_TYPE_CD)
        bus = bus == VM_BUS_NVME || bus == VM_BUS_SATA ? VM_BUS_SATA : VM_BUS_SCSI;
    else if (bus == VM_BUS_VIRTIO && slot >= VMSPEC_VIRTIO_SLOTS)
        bus = VM_BUS_SCSI;
    else if (ports && slot >= VMSPEC_VIRTIO_SLOTS)
        return err_set(err, ERR_INVALID_DEVICE, vbd->userdevice);
    *out = bus;
    return 0;
}

int vm_spec_disk(const struct vm_rec *vm, const struct vm_part_disk *part,
                 struct vm_disk *d, struct err *err)
{
    const struct vbd_rec *vbd = part->vbd;
    enum vm_bus bus;
    unsigned slot;
    if (!vm_device_position(vbd->userdevice, &slot) || slot >= VMSPEC_DISKS_MAX)
        return err_set(err, ERR_INVALID_DEVICE, vbd->userdevice);
    if (choose_bus(vm, vbd, slot, &bus, err))
        return -1;
    bool is_cd = vbd->type == VBD_TYPE_CD;
    *d = (struct vm_disk){
        .slot = slot,
        .bus = bus,
        .is_cd = is_cd,
        .read_only = is_cd || vbd->mode == VBD_MODE_RO,
        .source = part->leaf      ? VM_SOURCE_NBD
                  : part->fd >= 0 ? VM_SOURCE_FILE
                                  : VM_SOURCE_NONE,
        .fd = part->fd,
        .nbd = part->nbd,
        .serial = part->vdi ? part->serial : NULL,
    };
    memcpy(d->id, vbd->uuid, sizeof(d->id));
    return 0;
}

/* The machine is to be what another was, whose memory it gets: devices that were plugged into that one are where they were. */
static void be_the_same(const struct memory_head *h, struct vm_spec *out)
{
    out->incoming = true;
    out->vcpus = h->vcpus;
    out->scsi_queues = h->scsi_queues;
    out->disk_ports = h->disk_ports;
    out->nic_ports = h->nic_ports;
    for (unsigned i = 0; i < out->n_disks; i++) {
        const struct memory_device *d = memory_head_device(h, false, out->disks[i].slot);
        if (d) {
            out->disks[i].bus = d->bus;
            out->disks[i].queues = d->queues;
        }
    }
    for (unsigned i = 0; i < out->n_nics; i++) {
        const struct memory_device *d = memory_head_device(h, true, out->nics[i].slot);
        out->nics[i].no_rom = d && !d->has_rom;
    }
}

static int add_disk(const struct vm_rec *vm, const struct vm_part_disk *part,
                    const char *order, struct vm_spec *out, struct err *err)
{
    struct vm_disk *d = &out->disks[out->n_disks];
    if (vm_spec_disk(vm, part, d, err))
        return -1;
    d->boot_index = boot_index(order, d->is_cd ? 'd' : 'c', d->slot, part->vbd->bootable);
    out->n_disks++;
    return 0;
}

int vm_spec_nic(const struct vm_part_nic *part, struct vm_nic *n, struct err *err)
{
    const struct vif_rec *vif = part->vif;
    int64_t slot;
    if (!parse_range(vif->device, 0, VMSPEC_NICS_MAX - 1, &slot))
        return err_set(err, ERR_INVALID_DEVICE, vif->device);
    *n = (struct vm_nic){
        .slot = (unsigned)slot,
        .mac = vif->MAC,
        .mtu = vif->MTU >= 68 && vif->MTU <= 65521 ? (unsigned)vif->MTU : 1500,
        .has_tap = part->has_tap,
        .tap = part->tap,
    };
    memcpy(n->id, vif->uuid, sizeof(n->id));
    return 0;
}

static int add_nic(const struct vm_part_nic *part, const char *order, struct vm_spec *out,
                   struct err *err)
{
    struct vm_nic *n = &out->nics[out->n_nics];
    if (vm_spec_nic(part, n, err))
        return -1;
    n->boot_index = boot_index(order, 'n', n->slot, true);
    out->n_nics++;
    return 0;
}

static const struct {
    const char *key;
    unsigned type;
    const char *field;
} bios_strings[] = {
    { "bios-vendor", 0, "vendor" },
    { "bios-version", 0, "version" },
    { "system-manufacturer", 1, "manufacturer" },
    { "system-product-name", 1, "product" },
    { "system-version", 1, "version" },
    { "system-serial-number", 1, "serial" },
    { "baseboard-manufacturer", 2, "manufacturer" },
    { "baseboard-product-name", 2, "product" },
    { "baseboard-version", 2, "version" },
    { "baseboard-serial-number", 2, "serial" },
    { "baseboard-asset-tag", 2, "asset" },
    { "baseboard-location-in-chassis", 2, "location" },
    { "enclosure-asset-tag", 3, "asset" },
};

_Static_assert(ARRAY_SIZE(bios_strings) <= VMSPEC_SMBIOS_MAX, "room for all");

bool vm_bios_string_known(const char *key)
{
    for (size_t i = 0; i < ARRAY_SIZE(bios_strings); i++)
        if (str_eq(bios_strings[i].key, key))
            return true;
    return false;
}

static void add_bios_strings(const struct vm_rec *vm, struct vm_spec *out)
{
    for (size_t i = 0; i < ARRAY_SIZE(bios_strings); i++) {
        const char *value = lookup(&vm->bios_strings, bios_strings[i].key);
        if (value && value[0])
            out->smbios[out->n_smbios++] = (struct vm_smbios){
                .type = bios_strings[i].type, .field = bios_strings[i].field, .value = value
            };
    }
}

int vm_spec_firmware(const struct vm_rec *vm, enum vm_firmware *out, bool *secure_out,
                     struct err *err)
{
    const char *firmware = lookup(&vm->HVM_boot_params, "firmware");
    const char *secure = lookup(&vm->platform, "secureboot");
    if (firmware && firmware[0] && !str_eq(firmware, "bios") && !str_eq(firmware, "uefi"))
        return err_set(err, ERR_INVALID_VALUE, "HVM_boot_params:firmware", firmware);
    *out = firmware && str_eq(firmware, "uefi") ? VM_FIRMWARE_UEFI : VM_FIRMWARE_BIOS;
    *secure_out = *out == VM_FIRMWARE_UEFI && secure
                  && (str_eq(secure, "auto") || flag(&vm->platform, "secureboot", false));
    return 0;
}

int vm_spec_build(const struct vm_parts *p, struct vm_spec *out, struct err *err)
{
    const struct vm_rec *vm = p->vm;
    if (vm->VCPUs_at_startup < 1 || vm->VCPUs_max < vm->VCPUs_at_startup
        || vm->VCPUs_max > VMSPEC_VCPUS_MAX)
        return err_set(err, ERR_INVALID_VALUE, "VCPUs_at_startup",
                       "must be 1 to VCPUs_max");
    int64_t cores = 1;
    const char *per_socket = lookup(&vm->platform, "cores-per-socket");
    if (per_socket && !parse_range(per_socket, 1, 256, &cores))
        return err_set(err, ERR_INVALID_VALUE, "platform:cores-per-socket", per_socket);
    enum vm_firmware firmware;
    bool secure;
    if (vm_spec_firmware(vm, &firmware, &secure, err))
        return -1;
    const char *disk_bus = lookup(&vm->platform, "disk-bus");
    /* Beside what the guest has a driver for, as other CDs. */
    bool on_sata = disk_bus && (str_eq(disk_bus, "nvme") || str_eq(disk_bus, "sata"));
    const char *order = lookup(&vm->HVM_boot_params, "order");
    if (!order || !order[0])
        order = "cdn";

    const char *cpu = lookup(&vm->platform, "cpu-model");
    const char *clock = lookup(&vm->platform, "clock");
    const char *keymap = lookup(&vm->platform, "keymap");
    if (clock && clock[0] && !str_eq(clock, "localtime") && !str_eq(clock, "utc"))
        return err_set(err, ERR_INVALID_VALUE, "platform:clock", clock);

    *out = (struct vm_spec){
        .name = vm->name_label,
        .machine = p->machine,
        .accel = p->accel,
        .cpu_model = cpu && cpu[0] ? cpu : p->cpu,
        .vcpus = (unsigned)vm->VCPUs_at_startup,
        .vcpus_max = (unsigned)vm->VCPUs_max,
        .cores_per_socket = vm->VCPUs_max % cores == 0 ? (unsigned)cores : 1,
        .memory_bytes = (uint64_t)MAX(vm->memory_static_max, vm->memory_dynamic_max),
        .memory_target_bytes = (uint64_t)vm->memory_dynamic_max,
        .firmware = firmware,
        .firmware_code = nvram_firmware(p->secure_boot)->code,
        .nvram_fd = p->nvram,
        .secure_boot = p->secure_boot,
        .config_fd = p->config,
        .tpm_fd = p->tpm,
        .config_on_sata = on_sata,
        .kernel = p->kernel,
        .initrd = p->initrd,
        .cmdline = p->kernel ? vm->PV_args : NULL,
        .rtc_localtime = clock && str_eq(clock, "localtime"),
        .keymap = keymap && keymap[0] ? keymap : NULL,
        .vga = flag(&vm->platform, "vga", true),
        .viridian = flag(&vm->platform, "viridian", false),
        .watchdog = flag(&vm->platform, "watchdog", false),
    };
    memcpy(out->uuid, vm->uuid, sizeof(out->uuid));
    add_bios_strings(vm, out);
    for (size_t i = 0; i < p->n_disks; i++)
        if (add_disk(vm, &p->disks[i], order, out, err))
            return -1;
    for (size_t i = 0; i < p->n_nics; i++)
        if (add_nic(&p->nics[i], order, out, err))
            return -1;
    if (p->memory)
        be_the_same(p->memory, out);
    return 0;
}
