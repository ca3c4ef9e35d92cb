/* SPDX-License-Identifier: Apache-2.0 */
/* The standard templates, as data: one row each, with the names that XenServer's users and scripts know. */
#include "base/mem.h"
#include "host/vmspec.h"
#include "model/ops_lock.h"
#include "ops/boot.h"

#define MIB (1LL << 20)
#define GIB (1LL << 30)

/* WINDOWS: Hyper-V's interfaces, a bus and CD drives that it has drivers for, a clock that shows local time. */
enum { BIOS = 0, UEFI = 1, WINDOWS = 2, TPM = 4, SECURE = 8 };

struct template
{
    const char *name;
    int64_t memory_mib;
    int vcpus, disk_gib; /* 0: no disk */
    unsigned flags;
    int memory_max_gib; /* what the system takes */
    int vcpus_max;
};

static const struct template templates[] = {
    { "Other install media", 256, 1, 0, BIOS, 1024, 64 },
    { "Generic Linux BIOS", 1024, 1, 10, BIOS, 1536, 64 },
    { "Generic Linux UEFI", 1024, 1, 10, UEFI, 1536, 64 },
    { "AlmaLinux 8", 2048, 1, 10, UEFI, 1536, 64 },
    { "AlmaLinux 9", 2048, 1, 10, UEFI, 1536, 64 },
    { "AlmaLinux 10", 2048, 1, 10, UEFI, 1536, 64 },
    { "CentOS Stream 9", 2048, 1, 10, UEFI, 1536, 64 },
    { "CentOS Stream 10", 2048, 1, 10, UEFI, 1536, 64 },
    { "Debian Bullseye 11", 1024, 1, 10, BIOS, 1536, 64 },
    { "Debian Bookworm 12", 1024, 1, 10, BIOS, 1536, 64 },
    { "Debian Trixie 13", 1024, 1, 10, UEFI, 1536, 64 },
    { "Fedora", 2048, 1, 10, UEFI, 1536, 64 },
    { "openSUSE Leap 15", 1024, 1, 10, UEFI, 1536, 64 },
    { "Oracle Linux 8", 2048, 1, 10, UEFI, 1536, 64 },
    { "Oracle Linux 9", 2048, 1, 10, UEFI, 1536, 64 },
    { "Red Hat Enterprise Linux 8", 2048, 1, 10, UEFI, 1536, 64 },
    { "Red Hat Enterprise Linux 9", 2048, 1, 10, UEFI, 1536, 64 },
    { "Red Hat Enterprise Linux 10", 2048, 1, 10, UEFI, 1536, 64 },
    { "Rocky Linux 8", 2048, 1, 10, UEFI, 1536, 64 },
    { "Rocky Linux 9", 2048, 1, 10, UEFI, 1536, 64 },
    { "Rocky Linux 10", 2048, 1, 10, UEFI, 1536, 64 },
    { "SUSE Linux Enterprise 15 (64-bit)", 1024, 1, 8, UEFI, 1536, 64 },
    { "Ubuntu Focal Fossa 20.04", 2048, 1, 10, BIOS, 1536, 64 },
    { "Ubuntu Jammy Jellyfish 22.04", 2048, 1, 10, UEFI, 1536, 64 },
    { "Ubuntu Noble Numbat 24.04", 2048, 1, 10, UEFI, 1536, 64 },
    { "Windows 10 (64-bit)", 2048, 2, 32, UEFI | WINDOWS, 2048, 64 },
    { "Windows 11", 4096, 2, 64, UEFI | WINDOWS | TPM | SECURE, 2048, 64 },
    { "Windows Server 2016 (64-bit)", 2048, 2, 32, UEFI | WINDOWS, 1536, 64 },
    { "Windows Server 2019 (64-bit)", 2048, 2, 32, UEFI | WINDOWS, 1536, 64 },
    { "Windows Server 2022 (64-bit)", 4096, 2, 40, UEFI | WINDOWS | SECURE, 1536, 64 },
    { "Windows Server 2025 (64-bit)", 4096, 2, 40, UEFI | WINDOWS | SECURE, 1536, 64 },
};

static void put(unsigned field, struct map_string_string *map, const char *key,
                const char *val)
{
    (void)map_put(schema_classes[CLASS_VM].fields[field].ty, map, &key, &val);
}

static void restrict_to(struct buf *b, const char *field, const char *value)
{
    buf_addf(b, "<restriction field=\"%s\" value=\"%s\"/>", field, value);
}

/* What clients offer and warn of when they make a VM of it, in XenServer's words. */
static char *recommendations(const struct template *t)
{
    struct buf b = BUF_INIT(0);
    buf_add_str(&b, "<restrictions>");
    buf_addf(&b, "<restriction field=\"memory-static-max\" max=\"%lld\"/>",
             (long long)(t->memory_max_gib * GIB));
    buf_addf(&b, "<restriction field=\"vcpus-max\" max=\"%d\"/>", t->vcpus_max);
    buf_addf(&b, "<restriction property=\"number-of-vbds\" max=\"%d\"/>", VMSPEC_DISKS_MAX);
    buf_addf(&b, "<restriction property=\"number-of-vifs\" max=\"%d\"/>", VMSPEC_NICS_MAX);
    restrict_to(&b, "has-vendor-device", "false");
    restrict_to(&b, "supports-bios", t->flags & TPM ? "no" : "yes");
    restrict_to(&b, "supports-uefi", "yes");
    restrict_to(&b, "supports-secure-boot", t->flags & SECURE ? "yes" : "no");
    if (t->flags & TPM)
        restrict_to(&b, "vtpm", "true");
    buf_add_str(&b, "</restrictions>");
    return buf_take(&b);
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
    if (t->flags & WINDOWS) {
        put(F_VM_PLATFORM, &vm->platform, "viridian", "true");
        put(F_VM_PLATFORM, &vm->platform, "disk-bus", "nvme"); /* CDs go to SATA */
        put(F_VM_PLATFORM, &vm->platform, "clock", "localtime");
    }
    if (t->flags & UEFI)
        put(F_VM_PLATFORM, &vm->platform, "secureboot",
            t->flags & SECURE ? "true" : "false");
    if (t->flags & TPM)
        put(F_VM_PLATFORM, &vm->platform, "vtpm", "true");
    str_give(&vm->recommendations, recommendations(t));
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
