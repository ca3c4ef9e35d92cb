/* SPDX-License-Identifier: Apache-2.0 */
/* Renders QEMU's command line. Owns the address plan of our machines: every device has an id and an explicit
 * address that depends on nothing but its slot, because a guest (and a live migration) notices when one moves.
 *
 * What came from outside goes in as a JSON value or as an argument of its own, so that no text can become an option;
 * what neither carries is refused. The user's name for a VM is not passed at all.
 *
 * PCI plan (bus pcie.0 of q35):
 *   00 host bridge   01 VGA   02-04 root ports of disks (slot / 8, slot % 8)   06-07 root ports of NICs
 *   18 rng   19 serial ports   1a balloon   1b SCSI controller (target = slot)   1c watchdog   1d USB
 *   1f ISA bridge, AHCI (ports 0-5), SMBus
 *
 * Runs on any thread, touches no state. */
#include "host/qemu.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "api/errors.h"
#include "base/mem.h"
#include "base/parse.h"
#include "host/qemu_device.h"

#define MIB          (UINT64_C(1) << 20)
#define SATA_PORTS   6
#define DISK_PCI_DEV 0x02
#define NIC_PCI_DEV  0x06
#define CPU_MAX      512
#define CMDLINE_MAX  4096 /* above what x86 kernels take (2048) */
#define PATH_MAX_    4095
/* Beside those of disks, whose slots are their numbers. */
#define NVRAM_FDSET    1000U
#define CONFIG_FDSET   1001U
#define CONFIG_SCSI_ID 255
/* Slots that have a root port from the start, so that a disk or NIC can be plugged into them later at the address that
 * it keeps when the machine is built anew. A port costs 0.9 ms of processor time at each start. */
#define SPARE_PORTS UINT64_C(0xf)

struct build {
    const struct vm_spec *spec;
    struct argv *argv;
    struct err *err;
};

const char *qemu_default_machine(void)
{
    return "pc-q35-7.2";
}

const char *qemu_default_cpu(const char *accel)
{
    (void)accel;
    /* x86-64-v2, which today's distributions want, and TCG has all of it. */
    return "Nehalem-v1";
}

static int refuse(struct build *b, const char *field, const char *value)
{
    char shown[65];
    size_t n = strnlen(value, sizeof(shown) - 1);

    memcpy(shown, value, n);
    shown[n] = '\0';
    return err_set(b->err, ERR_INVALID_VALUE, field, utf8_valid(shown, n) ? shown : "?");
}

static void option(struct build *b, const char *name, const char *value)
{
    argv_add(b->argv, name);
    if (value)
        argv_add(b->argv, value);
}

/* Add name and the object as JSON. obj is taken; NULL (jansson refused a string that is not UTF-8) is refused. */
static int option_json(struct build *b, const char *name, json_t *obj)
{
    char *text = obj ? json_dumps(obj, JSON_COMPACT) : NULL;

    json_decref(obj);
    if (!text)
        return err_set(b->err, ERR_INVALID_VALUE, name, "not UTF-8");
    option(b, name, text);
    free(text);
    return 0;
}

static bool only(const char *s, const char *allowed, size_t max)
{
    size_t n = strnlen(s, max + 1);

    return n > 0 && n <= max && strspn(s, allowed) == n && s[0] != '-';
}

#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

/* The address plan is that of q35; a version always. */
static bool machine_ok(const char *machine)
{
    return machine && str_starts(machine, "pc-q35-")
           && only(machine + strlen("pc-q35-"), "0123456789.", 16);
}

/* A model, and features of it that are switched off: "Haswell-v4,-pcid". Never the host's own. */
static bool cpu_ok(const char *cpu)
{
    size_t n = strcspn(cpu, ",");
    AUTO(free_str) char *model = str_dupn(cpu, n);

    if (strnlen(cpu, CPU_MAX) == CPU_MAX || !only(model, NAME_CHARS, 64)
        || str_eq(model, "host") || str_eq(model, "max"))
        return false;
    for (const char *p = cpu + n; *p; p += n) {
        if (!str_starts(p, ",-"))
            return false;
        n = 2 + strspn(p + 2, NAME_CHARS);
        if (n == 2 || (p[n] && p[n] != ','))
            return false;
    }
    return true;
}

/* A file of QEMU's own. */
static int add_keymap(struct build *b)
{
    static const char *const known[] = {
        "ar", "bepo",  "cz", "da", "de",    "de-ch", "en-gb", "en-us", "es",
        "et", "fi",    "fo", "fr", "fr-be", "fr-ca", "fr-ch", "hr",    "hu",
        "is", "it",    "ja", "lt", "lv",    "mk",    "nl",    "no",    "pl",
        "pt", "pt-br", "ru", "sl", "sv",    "th",    "tr"
    };
    const char *wanted = b->spec->keymap;

    if (!wanted)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (str_eq(wanted, known[i])) {
            option(b, "-k", known[i]);
            return 0;
        }
    return refuse(b, "platform:keymap", wanted);
}

static int add_machine(struct build *b)
{
    const struct vm_spec *s = b->spec;
    const char *cpu = s->cpu_model ? s->cpu_model : qemu_default_cpu(s->accel);
    uint64_t mib = s->memory_bytes / MIB + (s->memory_bytes % MIB != 0);

    if (!machine_ok(s->machine))
        return refuse(b, "machine", s->machine ? s->machine : "");
    if (!cpu_ok(cpu))
        return refuse(b, "cpu_model", cpu);
    if (!str_eq(s->accel, "kvm") && !str_eq(s->accel, "tcg"))
        return refuse(b, "accel", s->accel ? s->accel : "");
    if (s->firmware == VM_FIRMWARE_UEFI && (!s->firmware_code || s->nvram_fd < 0))
        return refuse(b, "firmware", "uefi");
    if (mib == 0 || mib > UINT64_C(64) << 20)
        return err_set(b->err, ERR_INVALID_VALUE, "memory", "0 or too large");
    option(b, "-machine", NULL);
    argv_addf(b->argv,
              "%s,usb=off,vmport=off,hpet=off,smm=%s,i8042=on,dump-guest-core=off,memory-"
              "backend=pc.ram%s",
              s->machine, s->secure_boot ? "on" : "off",
              s->firmware == VM_FIRMWARE_UEFI ? ",pflash0=fw-code,pflash1=fw-vars" : "");
    option(b, "-accel", str_eq(s->accel, "kvm") ? "kvm" : "tcg,thread=multi");
    option(b, "-cpu", NULL);
    /* KVM alone has them. Without them Windows spins on locks and reads clocks that trap. */
    argv_addf(
        b->argv, "%s%s", cpu,
        s->viridian && str_eq(s->accel, "kvm")
            ? ",hv-relaxed=on,hv-vapic=on,hv-spinlocks=0x1fff,hv-vpindex=on,hv-synic=on,"
              "hv-time=on,hv-stimer=on"
            : "");
    option(b, "-m", NULL);
    argv_addf(b->argv, "%lluM", (unsigned long long)mib);
    /* Shared: a disk process can map it. Starting with it costs nothing measurable (12 pairs: 37.1 and 36.6 ms). */
    return option_json(b, "-object",
                       json_pack("{ss ss sI sb}", "qom-type", "memory-backend-memfd", "id",
                                 "pc.ram", "size", (json_int_t)mib * (json_int_t)MIB,
                                 "share", 1));
}

/* A file as it is, as a block node. */
static int add_file(struct build *b, const char *node, const char *path, bool read_only)
{
    AUTO(free_str) char *file = str_fmt("%s-file", node);

    return option_json(b, "-blockdev",
                       json_pack("{ss ss ss sb}", "driver", "file", "node-name", file,
                                 "filename", path, "read-only", read_only))
                       < 0
                   || option_json(b, "-blockdev",
                                  json_pack("{ss ss ss sb}", "driver", "raw", "node-name",
                                            node, "file", file, "read-only", read_only))
                          < 0
               ? -1
               : 0;
}

/* With secure boot its variables are written in system management mode alone, else the guest could put its own keys there. */
static int add_firmware(struct build *b)
{
    const struct vm_spec *s = b->spec;

    if (s->firmware != VM_FIRMWARE_UEFI)
        return 0;
    AUTO(free_str) char *vars = str_fmt("/dev/fdset/%u", NVRAM_FDSET);

    option(b, "-add-fd", NULL);
    argv_addf(b->argv, "fd=%d,set=%u", QEMU_FD_NVRAM, NVRAM_FDSET);
    if (add_file(b, "fw-code", s->firmware_code, true) < 0
        || add_file(b, "fw-vars", vars, false) < 0)
        return -1;
    if (s->secure_boot) {
        option(b, "-global", "driver=cfi.pflash01,property=secure,value=on");
        option(b, "-global", "ICH9-LPC.disable_s3=1");
    }
    return 0;
}

static int add_smp(struct build *b)
{
    const struct vm_spec *s = b->spec;
    unsigned max = MAX(s->vcpus, s->vcpus_max),
             cores = s->cores_per_socket ? s->cores_per_socket : 1;

    if (s->vcpus == 0 || max > VMSPEC_VCPUS_MAX)
        return err_set(b->err, ERR_INVALID_VALUE, "VCPUs_max",
                       max > VMSPEC_VCPUS_MAX ? "more than 255" : "0");
    if (max % cores != 0)
        return err_set(b->err, ERR_INVALID_VALUE, "cores-per-socket",
                       "does not divide VCPUs_max");
    option(b, "-smp", NULL);
    argv_addf(b->argv, "%u,maxcpus=%u,sockets=%u,cores=%u,threads=1", s->vcpus, max,
              max / cores, cores);
    return 0;
}

static bool carried(const char *s)
{
    return !s || utf8_valid(s, strlen(s));
}

static int add_kernel(struct build *b)
{
    const struct vm_spec *s = b->spec;

    if (!s->kernel) {
        if (s->initrd || s->cmdline)
            return refuse(b, "PV_kernel", "");
        return 0;
    }
    if (s->kernel[0] != '/' || strlen(s->kernel) > PATH_MAX_)
        return refuse(b, "PV_kernel", s->kernel);
    /* With a multiboot kernel QEMU splits -initrd at commas, into a list of modules. */
    if (s->initrd
        && (s->initrd[0] != '/' || strlen(s->initrd) > PATH_MAX_ || strchr(s->initrd, ',')))
        return refuse(b, "PV_ramdisk", s->initrd);
    if (s->cmdline && strlen(s->cmdline) > CMDLINE_MAX)
        return refuse(b, "PV_args", s->cmdline);
    if (!carried(s->kernel) || !carried(s->initrd) || !carried(s->cmdline))
        return refuse(b, "PV_args", "not UTF-8");
    /* SeaBIOS takes 100 ms longer to the kernel's first instruction (TCG, 206 and 54 ms), and it is of use only
     * to disks' boot loaders and for the text mode of a screen. */
    if (!s->vga && s->firmware == VM_FIRMWARE_BIOS)
        option(b, "-bios", "qboot.rom");
    option(b, "-kernel", s->kernel);
    if (s->initrd)
        option(b, "-initrd", s->initrd);
    if (s->cmdline && s->cmdline[0])
        option(b, "-append", s->cmdline);
    return 0;
}

static void add_chardev(struct build *b, const char *id, int fd)
{
    option(b, "-chardev", NULL);
    argv_addf(b->argv, "socket,id=%s,fd=%d,server=on,wait=off", id, fd);
}

static int add_port(struct build *b, const char *id, unsigned chassis, unsigned dev,
                    unsigned function)
{
    char addr[16];
    AUTO(free_str) char *a = str_fmt("0x%x.0x%x", dev, function);

    memcpy(addr, a, MIN(strlen(a) + 1, sizeof(addr)));
    addr[sizeof(addr) - 1] = '\0';
    /* io-reserve 0: else sixteen ports use up the I/O space. Our devices need none. */
    return option_json(b, "-device",
                       json_pack("{ss ss ss si ss sb si}", "driver", "pcie-root-port", "id",
                                 id, "bus", "pcie.0", "chassis", (int)chassis, "addr", addr,
                                 "multifunction", 1, "io-reserve", 0));
}

/* Root ports for the slots in use; function 0 of each PCI device too, without which a guest does not look at the others. */
static int add_ports(struct build *b, const char *prefix, uint64_t used, unsigned n_slots,
                     unsigned chassis, unsigned dev)
{
    for (unsigned slot = 0; slot < n_slots; slot++) {
        bool wanted = (used >> slot & 1) || (slot % 8 == 0 && (used >> slot & 0xff) != 0);
        AUTO(free_str) char *id = str_fmt("%s%u", prefix, slot);

        if (wanted && add_port(b, id, chassis + slot, dev + slot / 8, slot % 8) < 0)
            return -1;
    }
    return 0;
}

/* A device that is there once, on the root bus. (A macro: string literals only.) */
#define AT(driver, id, addr)                                                            \
    ("{\"driver\":\"" driver "\",\"id\":\"" id "\",\"bus\":\"pcie.0\",\"addr\":\"" addr \
     "\"}")

static int add_scsi(struct build *b)
{
    json_t *o;

    if (!b->spec->scsi_queues) {
        option(b, "-device", AT("virtio-scsi-pci", "scsi0", "0x1b"));
        return 0;
    }
    o = json_loads(AT("virtio-scsi-pci", "scsi0", "0x1b"), 0, NULL);
    json_object_set_new(o, "num_queues", json_integer((json_int_t)b->spec->scsi_queues));
    return option_json(b, "-device", o);
}

static int add_fixed_devices(struct build *b)
{
    static const char agent[] =
        "{\"driver\":\"virtserialport\",\"id\":\"" QEMU_AGENT_PORT "\",\"bus\":\"ports.0\","
        "\"nr\":1,\"chardev\":\"agent\",\"name\":\"org.qemu.guest_agent.0\"}";
    static const char *const always[] = {
        "{\"driver\":\"isa-serial\",\"id\":\"com1\",\"chardev\":\"serial\",\"index\":0}",
        "{\"driver\":\"pvpanic\",\"id\":\"panic0\"}",
        ("{\"driver\":\"virtio-rng-pci\",\"id\":\"rng\",\"rng\":\"rng0\",\"bus\":\"pcie."
         "0\","
         "\"addr\":\"0x18\"}"),
        AT("virtio-serial-pci", "ports", "0x19"),
        agent,
        AT("virtio-balloon-pci", "balloon", "0x1a"),
    };
    static const char *const with_screen[] = {
        AT("VGA", "vga", "0x1"),
        AT("qemu-xhci", "usb", "0x1d"),
        "{\"driver\":\"usb-tablet\",\"id\":\"tablet\",\"bus\":\"usb.0\",\"port\":\"1\"}",
    };

    option(b, "-object", "{\"qom-type\":\"rng-builtin\",\"id\":\"rng0\"}");
    for (size_t i = 0; i < ARRAY_SIZE(always); i++)
        option(b, "-device", always[i]);
    if (add_scsi(b) < 0)
        return -1;
    for (size_t i = 0; b->spec->vga && i < ARRAY_SIZE(with_screen); i++)
        option(b, "-device", with_screen[i]);
    if (b->spec->tpm_fd > 0) {
        option(b, "-chardev", NULL);
        argv_addf(b->argv, "socket,id=tpm,fd=%d", QEMU_FD_TPM);
        option(b, "-tpmdev", "emulator,id=tpm0,chardev=tpm");
        option(b, "-device", "{\"driver\":\"tpm-crb\",\"id\":\"tpm\",\"tpmdev\":\"tpm0\"}");
    }
    if (b->spec->watchdog) {
        option(b, "-device", AT("i6300esb", "watchdog", "0x1c"));
        option(b, "-action", "watchdog=reset");
    }
    return 0;
}

static int add_blockdev(struct build *b, unsigned index)
{
    const struct vm_disk *disk = &b->spec->disks[index];

    if (disk->source == VM_SOURCE_FILE) {
        option(b, "-add-fd", NULL);
        argv_addf(b->argv, "fd=%u,set=%u", (unsigned)QEMU_FD_DISK0 + index,
                  qemu_device_fdset(disk->slot));
    }
    AUTO(free_str) char *fd = str_fmt("%u", (unsigned)QEMU_FD_DISK0 + index);
    return option_json(b, "-blockdev", qemu_device_node(disk, fd));
}

/* The AHCI port of a CD drive or SATA disk: its slot's own if that is free. -1: all are taken. */
static int sata_port(unsigned slot, unsigned *used)
{
    for (unsigned i = 0; i < SATA_PORTS; i++) {
        unsigned port = (slot + i) % SATA_PORTS;

        if (!(*used >> port & 1)) {
            *used |= 1U << port;
            return (int)port;
        }
    }
    return -1;
}

static int add_disk(struct build *b, unsigned index, unsigned *sata_used)
{
    const struct vm_disk *disk = &b->spec->disks[index];
    int port = 0;

    if (disk->source != VM_SOURCE_NONE && add_blockdev(b, index) < 0)
        return -1;
    if (disk->bus == VM_BUS_SATA) {
        port = sata_port(disk->slot, sata_used);
        if (port < 0)
            return err_set(b->err, ERR_VALUE_NOT_SUPPORTED, "userdevice", disk->id,
                           "more than 6 SATA devices");
    }
    return option_json(b, "-device", qemu_device_disk(disk, port));
}

/* A CD beside those of the VM: it has the last place on its controller. */
static int add_config_drive(struct build *b, unsigned *sata_used)
{
    const struct vm_spec *s = b->spec;
    json_t *device;

    if (s->config_fd <= 0)
        return 0;
    AUTO(free_str) char *path = str_fmt("/dev/fdset/%u", CONFIG_FDSET);

    option(b, "-add-fd", NULL);
    argv_addf(b->argv, "fd=%d,set=%u", QEMU_FD_CONFIG, CONFIG_FDSET);
    if (add_file(b, "config", path, true) < 0)
        return -1;
    if (s->config_on_sata) {
        int port = sata_port(SATA_PORTS - 1, sata_used);
        AUTO(free_str) char *bus = str_fmt("ide.%d", port);

        if (port < 0)
            return err_set(b->err, ERR_VALUE_NOT_SUPPORTED, "userdevice", "config",
                           "more than 6 SATA devices");
        device = json_pack("{ss ss ss ss}", "driver", "ide-cd", "id", "config-drive", "bus",
                           bus, "drive", "config");
    } else {
        device = json_pack("{ss ss ss si ss}", "driver", "scsi-cd", "id", "config-drive",
                           "bus", "scsi0.0", "scsi-id", CONFIG_SCSI_ID, "drive", "config");
    }
    return option_json(b, "-device", device);
}

static int check_disks(struct build *b, uint64_t *on_ports)
{
    const struct vm_spec *s = b->spec;
    uint64_t seen = 0;

    if (s->n_disks > VMSPEC_DISKS_MAX)
        return refuse(b, "disks", "too many");
    for (unsigned i = 0; i < s->n_disks; i++) {
        const struct vm_disk *d = &s->disks[i];

        if (qemu_device_check_disk(d, b->err) < 0)
            return -1;
        if (seen >> d->slot & 1)
            return refuse(b, "userdevice", d->id);
        seen |= UINT64_C(1) << d->slot;
        if (qemu_device_on_port(d))
            *on_ports |= UINT64_C(1) << d->slot;
    }
    return 0;
}

static int add_disks(struct build *b)
{
    const struct vm_spec *s = b->spec;
    uint64_t ports = s->disk_ports | SPARE_PORTS;
    unsigned sata_used = 0;

    if (check_disks(b, &ports) < 0
        || add_ports(b, "rpd", ports, VMSPEC_VIRTIO_SLOTS, 1, DISK_PCI_DEV) < 0)
        return -1;
    for (unsigned i = 0; i < s->n_disks; i++)
        if (add_disk(b, i, &sata_used) < 0)
            return -1;
    return add_config_drive(b, &sata_used);
}

static int add_nics(struct build *b)
{
    const struct vm_spec *s = b->spec;
    uint64_t used = 0;

    if (s->n_nics > VMSPEC_NICS_MAX)
        return refuse(b, "nics", "too many");
    for (unsigned i = 0; i < s->n_nics; i++) {
        const struct vm_nic *n = &s->nics[i];

        if (qemu_device_check_nic(n, b->err) < 0)
            return -1;
        if (used >> n->slot & 1)
            return refuse(b, "device", n->id);
        used |= UINT64_C(1) << n->slot;
    }
    if (add_ports(b, "rpn", used | s->nic_ports | SPARE_PORTS, VMSPEC_NICS_MAX, 64,
                  NIC_PCI_DEV)
        < 0)
        return -1;
    for (unsigned i = 0; i < s->n_nics; i++) {
        AUTO(free_str) char *fd = str_fmt("%u", QEMU_FD_NIC0 + i);

        if (option_json(b, "-netdev", qemu_device_netdev(&s->nics[i], fd)) < 0
            || option_json(b, "-device", qemu_device_nic(&s->nics[i])) < 0)
            return -1;
    }
    return 0;
}

static void add_process(struct build *b, const char *binary)
{
    static const char *const fixed[] = {
        "-nodefaults",
        "-no-user-config",
        "-S",
        "-no-shutdown",
        "-display",
        "none",
        "-vnc",
        "none",
        "-boot",
        "menu=off,strict=on",
        "-sandbox",
        "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
    };

    argv_add(b->argv, binary);
    option(b, "-name", NULL);
    argv_addf(b->argv, "guest=%s,debug-threads=on", b->spec->uuid);
    option(b, "-uuid", b->spec->uuid);
    for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
        argv_add(b->argv, fixed[i]);
    /* Windows counts ticks: those that it could not be given in time come later. */
    option(b, "-rtc",
           b->spec->rtc_localtime
               ? (b->spec->viridian ? "base=localtime,driftfix=slew" : "base=localtime")
               : "base=utc");
    add_chardev(b, "qmp", QEMU_FD_QMP);
    option(b, "-mon", "chardev=qmp,mode=control");
    add_chardev(b, "serial", QEMU_FD_SERIAL);
    add_chardev(b, "agent", QEMU_FD_AGENT);
}

/* The one option that takes no JSON: a comma in a value is written twice. */
static int add_smbios(struct build *b)
{
    for (unsigned i = 0; i < b->spec->n_smbios; i++) {
        const struct vm_smbios *s = &b->spec->smbios[i];
        AUTO(buf_done) struct buf arg = BUF_INIT(4096);

        buf_addf(&arg, "type=%u,%s=", s->type, s->field);
        for (const char *p = s->value; *p; p++) {
            if (*p < ' ' || *p > '~')
                return refuse(b, "bios_strings", s->value);
            buf_addf(&arg, *p == ',' ? ",%c" : "%c", *p);
        }
        option(b, "-smbios", buf_str(&arg));
    }
    return 0;
}

int qemu_argv(const struct vm_spec *spec, const char *binary, struct argv *out,
              struct err *err)
{
    struct argv argv = { 0 };
    struct build b = { .spec = spec, .argv = &argv, .err = err };
    struct uuid u;

    if (!uuid_parse(spec->uuid, &u))
        return refuse(&b, "uuid", "not a uuid");
    add_process(&b, binary);
    if (spec->incoming)
        option(&b, "-incoming", "defer");
    if (add_keymap(&b) < 0 || add_machine(&b) < 0 || add_firmware(&b) < 0 || add_smp(&b) < 0
        || add_kernel(&b) < 0 || add_fixed_devices(&b) < 0 || add_disks(&b) < 0
        || add_nics(&b) < 0 || add_smbios(&b) < 0) {
        argv_done(&argv);
        return -1;
    }
    *out = argv;
    return 0;
}
