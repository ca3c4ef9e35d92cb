/* SPDX-License-Identifier: Apache-2.0 */
/* The standard templates, as data: one row each, with the names that XenServer's users and scripts know. */
#include "base/mem.h"
#include "model/ops_lock.h"
#include "ops/boot.h"

#define MIB (1LL << 20)
#define GIB (1LL << 30)

enum { BIOS = 0, UEFI = 1, VIRIDIAN = 2, VTPM = 4 };

struct template
{
    const char *name;
    int64_t memory_mib;
    int vcpus, disk_gib; /* 0: no disk */
    unsigned flags;
};

static const struct template templates[] = {
    { "Other install media", 256, 1, 0, BIOS },
    { "Generic Linux BIOS", 1024, 1, 10, BIOS },
    { "Generic Linux UEFI", 1024, 1, 10, UEFI },
    { "AlmaLinux 8", 2048, 1, 10, BIOS },
    { "AlmaLinux 9", 2048, 1, 10, BIOS },
    { "CentOS Stream 9", 2048, 1, 10, BIOS },
    { "Debian Bullseye 11", 1024, 1, 10, BIOS },
    { "Debian Bookworm 12", 1024, 1, 10, BIOS },
    { "Debian Trixie 13", 1024, 1, 10, BIOS },
    { "Fedora", 2048, 1, 10, BIOS },
    { "Oracle Linux 8", 2048, 1, 10, BIOS },
    { "Oracle Linux 9", 2048, 1, 10, BIOS },
    { "Red Hat Enterprise Linux 8", 2048, 1, 10, BIOS },
    { "Red Hat Enterprise Linux 9", 2048, 1, 10, BIOS },
    { "Rocky Linux 8", 2048, 1, 10, BIOS },
    { "Rocky Linux 9", 2048, 1, 10, BIOS },
    { "SUSE Linux Enterprise 15 (64-bit)", 1024, 1, 8, BIOS },
    { "Ubuntu Focal Fossa 20.04", 2048, 1, 10, BIOS },
    { "Ubuntu Jammy Jellyfish 22.04", 2048, 1, 10, BIOS },
    { "Ubuntu Noble Numbat 24.04", 2048, 1, 10, BIOS },
    { "Windows 10 (64-bit)", 2048, 2, 32, VIRIDIAN },
    { "Windows 11", 4096, 2, 64, UEFI | VIRIDIAN | VTPM },
    { "Windows Server 2016 (64-bit)", 2048, 2, 32, VIRIDIAN },
    { "Windows Server 2019 (64-bit)", 2048, 2, 32, VIRIDIAN },
    { "Windows Server 2022 (64-bit)", 4096, 2, 40, UEFI | VIRIDIAN },
    { "Windows Server 2025 (64-bit)", 4096, 2, 40, UEFI | VIRIDIAN },
};

static void put(unsigned field, struct map_string_string *map, const char *key,
                const char *val)
{
    (void)map_put(schema_classes[CLASS_VM].fields[field].ty, map, &key, &val);
}

static struct vm_rec *template_rec(const struct template *t)
{
    struct vm_rec *vm = record_new(&schema_classes[CLASS_VM]);
    int64_t memory = t->memory_mib * MIB;
    str_put(&vm->name_label, t->name);
    str_put(&vm->name_description, t->disk_gib
                                       ? "Starting values for a new VM with this system"
                                       : "Starting values for any system, without a disk");
    str_put(&vm->reference_label, t->name);
    vm->is_a_template = vm->is_default_template = true;
    vm->memory_static_min = memory / 2;
    vm->memory_dynamic_min = vm->memory_dynamic_max = vm->memory_static_max = memory;
    vm->VCPUs_max = vm->VCPUs_at_startup = t->vcpus;
    vm->actions_after_shutdown = ON_NORMAL_EXIT_DESTROY;
    vm->actions_after_reboot = ON_NORMAL_EXIT_RESTART;
    vm->actions_after_crash = ON_CRASH_BEHAVIOUR_RESTART;
    vm->domid = -1;
    vm->domain_type = DOMAIN_TYPE_HVM;
    str_put(&vm->HVM_boot_policy, "BIOS order");
    put(F_VM_HVM_BOOT_PARAMS, &vm->HVM_boot_params, "order", "cdn");
    put(F_VM_HVM_BOOT_PARAMS, &vm->HVM_boot_params, "firmware",
        t->flags & UEFI ? "uefi" : "bios");
    put(F_VM_PLATFORM, &vm->platform, "cores-per-socket", "1");
    put(F_VM_PLATFORM, &vm->platform, "acpi", "1");
    put(F_VM_PLATFORM, &vm->platform, "apic", "true");
    put(F_VM_PLATFORM, &vm->platform, "vga", "std");
    put(F_VM_PLATFORM, &vm->platform, "videoram", "8");
    if (t->flags & VIRIDIAN)
        put(F_VM_PLATFORM, &vm->platform, "viridian", "true");
    if (t->flags & VIRIDIAN) /* Windows has drivers of its own for these: CDs go to SATA */
        put(F_VM_PLATFORM, &vm->platform, "disk-bus", "nvme");
    if (t->flags & VTPM)
        put(F_VM_PLATFORM, &vm->platform, "vtpm", "true");
    put(F_VM_OTHER_CONFIG, &vm->other_config, "default_template", "true");
    put(F_VM_OTHER_CONFIG, &vm->other_config, "install-methods", "cdrom");
    if (t->disk_gib) {
        AUTO(free_str)
        char *disks = str_fmt("<provision><disk device=\"0\" size=\"%lld\" sr=\"\" "
                              "bootable=\"true\" type=\"system\"/></provision>",
                              (long long)(t->disk_gib * GIB));
        put(F_VM_OTHER_CONFIG, &vm->other_config, "disks", disks);
    }
    return vm;
}

/* By the label that a template keeps when it is renamed. */
static bool is_known(const char *label) REQUIRES(db_mutex)
{
    for (struct db_iter it = db_first(CLASS_VM); it.rec; db_next(&it)) {
        const struct vm_rec *vm = it.rec;
        if (vm->is_default_template && str_eq(vm->reference_label, label))
            return true;
    }
    return false;
}

/* Made once; what the admin changed of them later is not touched, new rows appear. */
void boot_templates(struct tx *tx)
{
    for (size_t i = 0; i < ARRAY_SIZE(templates); i++) {
        if (is_known(templates[i].name))
            continue;
        struct vm_metrics_rec *m = record_new(&schema_classes[CLASS_VM_METRICS]);
        m->install_time = m->last_updated = clock_wall_us();
        struct vm_rec *vm = template_rec(&templates[i]);
        vm->metrics = tx_create(tx, CLASS_VM_METRICS, m, NULL);
        (void)tx_create(tx, CLASS_VM, vm, NULL);
    }
}
