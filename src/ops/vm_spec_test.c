/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/vm.h"

#include <string.h>

#include "api/errors.h"
#include "base/mem.h"
#include "base/test.h"

static const char vm_uuid[] = "11111111-1111-4111-8111-111111111111";
static const char vbd_uuid[] = "22222222-2222-4222-8222-222222222222";
static const char vif_uuid[] = "33333333-3333-4333-8333-333333333333";

static void put(unsigned field, struct map_string_string *m, const char *key,
                const char *val)
{
    (void)map_put(schema_classes[CLASS_VM].fields[field].ty, m, &key, &val);
}

/* A VM with one virtio disk, one empty CD drive and one NIC. */
static struct vm_parts make_parts(void)
{
    struct vm_parts p = { .accel = "tcg", .machine = "pc-q35-7.2" };
    p.vm = record_new(&schema_classes[CLASS_VM]);
    str_put(&p.vm->uuid, vm_uuid);
    str_put(&p.vm->name_label, "web");
    p.vm->VCPUs_at_startup = 2;
    p.vm->VCPUs_max = 4;
    p.vm->memory_dynamic_max = p.vm->memory_static_max = 512 << 20;
    put(F_VM_HVM_BOOT_PARAMS, &p.vm->HVM_boot_params, "order", "dc");
    for (int i = 0; i < 2; i++) {
        struct vm_part_disk *d = &p.disks[p.n_disks++];
        d->fd = -1;
        d->vbd = record_new(&schema_classes[CLASS_VBD]);
        str_put(&d->vbd->uuid, vbd_uuid);
        str_put(&d->vbd->userdevice, i ? "xvdd" : "0");
        d->vbd->type = i ? VBD_TYPE_CD : VBD_TYPE_DISK;
        d->vbd->mode = i ? VBD_MODE_RO : VBD_MODE_RW;
        d->vbd->bootable = true;
    }
    struct vif_rec *vif = record_new(&schema_classes[CLASS_VIF]);
    str_put(&vif->uuid, vif_uuid);
    str_put(&vif->device, "0");
    str_put(&vif->MAC, "02:00:00:00:00:01");
    vif->MTU = 1500;
    p.nics[p.n_nics++].vif = vif;
    return p;
}

TEST(vm_spec_whole)
{
    AUTO(vm_parts_done) struct vm_parts p = make_parts();
    struct vm_spec s;
    CHECK(vm_spec_build(&p, &s, NULL) == 0);
    CHECK_STR(s.uuid, vm_uuid);
    CHECK_INT(s.vcpus, 2);
    CHECK_INT(s.vcpus_max, 4);
    CHECK_INT(s.memory_bytes, 512 << 20);
    CHECK_INT(s.n_disks, 2);
    CHECK_INT(s.n_nics, 1);
    CHECK(s.disks[1].is_cd && s.disks[1].read_only && s.disks[1].source == VM_SOURCE_NONE);
    CHECK_INT(s.disks[1].slot, 3);
    CHECK(s.disks[1].bus == VM_BUS_SCSI && s.disks[0].bus == VM_BUS_VIRTIO);
    /* order "dc": the CD before the disk, the network not at all */
    CHECK(s.disks[1].boot_index > 0 && s.disks[1].boot_index < s.disks[0].boot_index);
    CHECK_INT(s.nics[0].boot_index, 0);
    CHECK(s.kernel == NULL && s.cmdline == NULL);
}

/* The VBD's word, then the VM's; CDs beside them. */
TEST(vm_spec_buses)
{
    static const struct {
        const char *vm, *vbd, *device;
        enum vm_bus disk, cd;
        bool fails;
    } cases[] = {
        { "", "", "23", VM_BUS_VIRTIO, VM_BUS_SCSI, false },
        { "", "", "24", VM_BUS_SCSI, VM_BUS_SCSI, false },
        { "nvme", "", "23", VM_BUS_NVME, VM_BUS_SATA, false },
        { "nvme", "", "24", VM_BUS_NVME, VM_BUS_SATA, true },
        { "sata", "", "63", VM_BUS_SATA, VM_BUS_SATA, false },
        { "sata", "virtio", "1", VM_BUS_VIRTIO, VM_BUS_SATA, false },
        { "", "scsi", "1", VM_BUS_SCSI, VM_BUS_SCSI, false },
        { "", "", "64", VM_BUS_SCSI, VM_BUS_SCSI, true },
        { "ide", "", "1", VM_BUS_SCSI, VM_BUS_SCSI, true },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(vm_parts_done) struct vm_parts p = make_parts();
        struct vm_spec s;
        put(F_VM_PLATFORM, &p.vm->platform, "disk-bus", cases[i].vm);
        (void)map_put(schema_classes[CLASS_VBD].fields[F_VBD_OTHER_CONFIG].ty,
                      &p.disks[0].vbd->other_config, &(const char *){ "bus" },
                      &cases[i].vbd);
        str_put(&p.disks[0].vbd->userdevice, cases[i].device);
        CHECK_INT(vm_spec_build(&p, &s, NULL) != 0, cases[i].fails);
        if (!cases[i].fails)
            CHECK(s.disks[0].bus == cases[i].disk && s.disks[1].bus == cases[i].cd);
    }
}

TEST(vm_spec_direct_kernel)
{
    AUTO(vm_parts_done) struct vm_parts p = make_parts();
    struct vm_spec s;
    p.kernel = str_dup("/k/vmlinuz");
    str_put(&p.vm->PV_args, "console=ttyS0");
    CHECK(vm_spec_build(&p, &s, NULL) == 0);
    CHECK_STR(s.kernel, "/k/vmlinuz");
    CHECK_STR(s.cmdline, "console=ttyS0");
}

TEST(vm_spec_bios_strings)
{
    AUTO(vm_parts_done) struct vm_parts p = make_parts();
    struct vm_spec s;
    put(F_VM_BIOS_STRINGS, &p.vm->bios_strings, "system-serial-number", "007");
    put(F_VM_BIOS_STRINGS, &p.vm->bios_strings, "bios-vendor", "Maker");
    put(F_VM_BIOS_STRINGS, &p.vm->bios_strings, "bios-version", "");
    put(F_VM_BIOS_STRINGS, &p.vm->bios_strings, "hp-rombios", "1");
    CHECK(vm_spec_build(&p, &s, NULL) == 0);
    CHECK_INT(s.n_smbios, 2);
    CHECK_INT(s.smbios[0].type, 0);
    CHECK_STR(s.smbios[0].field, "vendor");
    CHECK_STR(s.smbios[0].value, "Maker");
    CHECK_INT(s.smbios[1].type, 1);
    CHECK_STR(s.smbios[1].field, "serial");
    CHECK_STR(s.smbios[1].value, "007");
}

TEST(vm_spec_refuses)
{
    AUTO(vm_parts_done) struct vm_parts p = make_parts();
    struct vm_spec s;
    AUTO(err_done) struct err err = { 0 };
    p.vm->VCPUs_at_startup = 5;
    CHECK(vm_spec_build(&p, &s, &err) == -1);
    CHECK_STR(err.code, ERR_INVALID_VALUE);
    err_done(&err);
    p.vm->VCPUs_at_startup = 1;
    put(F_VM_PLATFORM, &p.vm->platform, "cores-per-socket", "2,threads=9");
    CHECK(vm_spec_build(&p, &s, &err) == -1);
    CHECK_STR(err.code, ERR_INVALID_VALUE);
    err_done(&err);
    put(F_VM_PLATFORM, &p.vm->platform, "cores-per-socket", "2");
    str_put(&p.disks[0].vbd->userdevice, "nonsense");
    CHECK(vm_spec_build(&p, &s, &err) == -1);
    CHECK_STR(err.code, ERR_INVALID_DEVICE);
}

TEST(vm_device_names)
{
    static const struct {
        const char *text;
        bool ok;
        unsigned position;
    } cases[] = {
        { "0", true, 0 },    { "15", true, 15 },  { "255", true, 255 },
        { "256", false, 0 }, { "xvda", true, 0 }, { "hdc", true, 2 },
        { "sdb", true, 1 },  { "xvd", false, 0 }, { "xvdab", false, 0 },
        { "", false, 0 },    { "-1", false, 0 },  { "1 ", false, 0 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        unsigned at = 0;
        if (vm_device_position(cases[i].text, &at) != cases[i].ok
            || at != cases[i].position)
            test_fail(__FILE__, __LINE__, "\"%s\" gave %u", cases[i].text, at);
    }
    char name[8];
    vm_device_name(0, name);
    CHECK_STR(name, "xvda");
    vm_device_name(25, name);
    CHECK_STR(name, "xvdz");
    vm_device_name(26, name);
    CHECK_STR(name, "xvdaa");
}
