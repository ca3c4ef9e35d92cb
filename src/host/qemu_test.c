/* SPDX-License-Identifier: Apache-2.0 */
#include "host/qemu.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/test.h"

#define ID(n) "0000000" n "-1111-4222-8333-444444444444"

static struct vm_spec tiny(void)
{
    return (struct vm_spec){
        .uuid = ID("0"),
        .name = "a VM, guest=evil",
        .machine = "pc-q35-7.2",
        .accel = "tcg",
        .vcpus = 1,
        .vcpus_max = 1,
        .memory_bytes = UINT64_C(256) << 20,
    };
}

static struct vm_spec big(void)
{
    struct vm_spec s = tiny();

    s.accel = "kvm";
    s.cpu_model = "Skylake-Server-v1";
    s.vcpus = 2;
    s.vcpus_max = 8;
    s.cores_per_socket = 4;
    s.memory_bytes = (UINT64_C(4) << 30) + 1;
    s.rtc_localtime = true;
    s.vga = true;
    s.n_disks = 4;
    s.disks[0] = (struct vm_disk){ .id = ID("1"),
                                   .slot = 0,
                                   .bus = VM_BUS_VIRTIO,
                                   .boot_index = 1,
                                   .source = VM_SOURCE_FILE,
                                   .serial = "system" };
    s.disks[1] = (struct vm_disk){ .id = ID("2"),
                                   .slot = 9,
                                   .bus = VM_BUS_VIRTIO,
                                   .read_only = true,
                                   .source = VM_SOURCE_FILE };
    s.disks[2] = (struct vm_disk){
        .id = ID("3"), .slot = 3, .bus = VM_BUS_SATA, .is_cd = true, .boot_index = 2
    };
    s.disks[3] = (struct vm_disk){ .id = ID("4"),
                                   .slot = 15,
                                   .bus = VM_BUS_SATA,
                                   .source = VM_SOURCE_FILE,
                                   .serial = "data" };
    s.n_nics = 2;
    s.nics[0] = (struct vm_nic){
        .id = ID("5"), .slot = 0, .mac = "52:54:00:00:00:01", .mtu = 1500
    };
    s.nics[1] = (struct vm_nic){
        .id = ID("6"), .slot = 2, .mac = "52:54:00:00:00:02", .mtu = 9000, .boot_index = 3
    };
    s.n_smbios = 2;
    s.smbios[0] = (struct vm_smbios){ 0, "vendor", "Maker, Inc." };
    s.smbios[1] = (struct vm_smbios){ 1, "serial", "1-2=3,id=x" };
    return s;
}

static struct vm_spec kernel(void)
{
    struct vm_spec s = tiny();

    s.kernel = "/boot/vmlinuz";
    s.initrd = "/boot/initrd.gz";
    s.cmdline = "console=ttyS0 quiet";
    return s;
}

/* One argument a line. */
static char *render(const struct argv *argv)
{
    struct buf b = BUF_INIT(0);

    for (size_t i = 0; i < argv->n; i++) {
        buf_add_str(&b, argv->v[i]);
        buf_add_char(&b, '\n');
    }
    return buf_take(&b);
}

static void check_golden(const char *name, const struct vm_spec *spec)
{
    AUTO(argv_done) struct argv argv = { 0 };
    AUTO(err_done) struct err err = { 0 };
    AUTO(free_str) char *text = NULL;

    CHECK_INT(qemu_argv(spec, "/usr/bin/qemu-system-x86_64", &argv, &err), 0);
    text = render(&argv);
    CHECK_GOLDEN(name, text);
}

TEST(golden_empty)
{
    struct vm_spec s = tiny();

    check_golden("argv-empty.txt", &s);
}

TEST(golden_big)
{
    struct vm_spec s = big();

    check_golden("argv-big.txt", &s);
}

TEST(golden_nbd)
{
    struct vm_spec s = tiny();

    s.disks[s.n_disks++] = (struct vm_disk){ .id = ID("9"),
                                             .slot = 3,
                                             .source = VM_SOURCE_NBD,
                                             .nbd = "../../disk/x/3.sock",
                                             .serial = "serial" };
    check_golden("argv-nbd.txt", &s);
    s.disks[0].nbd = NULL;
    s.disks[0].fd = 9;
    check_golden("argv-nbd-fd.txt", &s);
}

TEST(golden_windows)
{
    struct vm_spec s = tiny();

    s.viridian = s.watchdog = true;
    s.accel = "kvm";
    check_golden("argv-windows.txt", &s);
}

TEST(golden_uefi)
{
    struct vm_spec s = tiny();

    s.firmware = VM_FIRMWARE_UEFI;
    s.firmware_code = "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd";
    s.nvram_fd = 30;
    s.secure_boot = true;
    s.tpm_fd = 31;
    s.config_fd = 32;
    check_golden("argv-uefi.txt", &s);
}

TEST(golden_buses)
{
    struct vm_spec s = tiny();

    s.disks[s.n_disks++] = (struct vm_disk){ .id = ID("1"),
                                             .slot = 1,
                                             .bus = VM_BUS_NVME,
                                             .source = VM_SOURCE_FILE,
                                             .boot_index = 1 };
    s.disks[s.n_disks++] = (struct vm_disk){ .id = ID("2"),
                                             .slot = 40,
                                             .bus = VM_BUS_SCSI,
                                             .source = VM_SOURCE_FILE,
                                             .serial = "x" };
    s.disks[s.n_disks++] =
        (struct vm_disk){ .id = ID("3"), .slot = 3, .bus = VM_BUS_SCSI, .is_cd = true };
    s.disk_ports = 1 << 20;
    check_golden("argv-buses.txt", &s);
    s.disks[1].bus = VM_BUS_VIRTIO; /* no port for that slot */
    CHECK_INT(qemu_argv(&s, "q", &(struct argv){ 0 }, NULL), -1);
    s.disks[1].bus = VM_BUS_SCSI;
    s.disks[2].bus = VM_BUS_NVME; /* no drive for CDs */
    CHECK_INT(qemu_argv(&s, "q", &(struct argv){ 0 }, NULL), -1);
}

TEST(golden_kernel)
{
    struct vm_spec s = kernel();

    check_golden("argv-kernel.txt", &s);
}

TEST(golden_kernel_with_screen)
{
    struct vm_spec s = kernel();

    s.vga = true;
    check_golden("argv-kernel-screen.txt", &s);
}

TEST(one_slot_does_not_move_another)
{
    static struct vm_spec all, one; /* large */
    AUTO(argv_done) struct argv a = { 0 };
    AUTO(argv_done) struct argv b = { 0 };
    AUTO(free_str) char *text = NULL;

    all = one = big();
    one.n_disks = 1;
    one.disks[0] = all.disks[1];
    one.n_nics = 1;
    one.nics[0] = all.nics[1];
    CHECK_INT(qemu_argv(&all, "q", &a, NULL), 0);
    CHECK_INT(qemu_argv(&one, "q", &b, NULL), 0);
    text = render(&a);
    for (size_t i = 0; i < b.n; i++) {
        /* the index of a descriptor is no address */
        if (!strstr(b.v[i], "fdset") && !strstr(b.v[i], "fd=") && !strstr(text, b.v[i]))
            test_fail(__FILE__, __LINE__, "%s moved", b.v[i]);
    }
}

/* Put the text into one field of the specification. */
struct place {
    const char *name;
    void (*put)(struct vm_spec *s, const char *text);
};

static void put_id(char id[UUID_TEXT_SIZE], const char *text)
{
    size_t n = strnlen(text, UUID_TEXT_SIZE - 1);

    memset(id, 0, UUID_TEXT_SIZE);
    memcpy(id, text, n);
}

static void put_uuid(struct vm_spec *s, const char *text)
{
    put_id(s->uuid, text);
}

static void put_name(struct vm_spec *s, const char *text)
{
    s->name = text;
}

static void put_machine(struct vm_spec *s, const char *text)
{
    s->machine = text;
}

static void put_accel(struct vm_spec *s, const char *text)
{
    s->accel = text;
}

static void put_cpu(struct vm_spec *s, const char *text)
{
    s->cpu_model = text;
}

static void put_kernel(struct vm_spec *s, const char *text)
{
    s->kernel = text;
}

static void put_initrd(struct vm_spec *s, const char *text)
{
    s->initrd = text;
}

static void put_cmdline(struct vm_spec *s, const char *text)
{
    s->cmdline = text;
}

static void put_disk_id(struct vm_spec *s, const char *text)
{
    put_id(s->disks[0].id, text);
}

static void put_serial(struct vm_spec *s, const char *text)
{
    s->disks[0].serial = text;
}

static void put_sata_serial(struct vm_spec *s, const char *text)
{
    s->disks[3].serial = text;
}

static void put_nic_id(struct vm_spec *s, const char *text)
{
    put_id(s->nics[0].id, text);
}

static void put_mac(struct vm_spec *s, const char *text)
{
    s->nics[0].mac = text;
}

static const struct place places[] = {
    { "uuid", put_uuid },     { "name", put_name },        { "machine", put_machine },
    { "accel", put_accel },   { "cpu", put_cpu },          { "kernel", put_kernel },
    { "initrd", put_initrd }, { "cmdline", put_cmdline },  { "disk id", put_disk_id },
    { "serial", put_serial }, { "sata", put_sata_serial }, { "nic id", put_nic_id },
    { "mac", put_mac },
};

static struct vm_spec everything(void)
{
    struct vm_spec s = big();

    s.kernel = "/k";
    s.initrd = "/i";
    s.cmdline = "c";
    return s;
}

/* Replace every string that is exactly text by "?", at any depth. Given. */
static json_t *without(json_t *v, const char *text)
{
    const char *key;
    json_t *member, *out;

    if (json_is_string(v) && str_eq(json_string_value(v), text))
        return json_string("?");
    if (!json_is_object(v))
        return json_incref(v);
    out = json_object();
    json_object_foreach(v, key, member)
        json_object_set_new(out, key, without(member, text));
    return out;
}

/* The same argument but for a value that is text where the other has old. */
static bool differs_in_value_only(const char *got, const char *was, const char *text)
{
    json_t *g, *w, *gx = NULL;
    bool same = false;

    if (str_eq(got, was) || str_eq(got, text))
        return true;
    g = json_loads(got, 0, NULL);
    w = json_loads(was, 0, NULL);
    if (json_is_object(g) && json_is_object(w)
        && json_object_size(g) == json_object_size(w)) {
        const char *key;
        json_t *member;
        size_t differing = 0;

        gx = without(g, text);
        json_object_foreach(gx, key, member)
        {
            json_t *other = json_object_get(w, key);

            if (!other
                || (!json_equal(member, other) && !str_eq(json_string_value(member), "?")))
                differing += 2;
            else if (!json_equal(member, other))
                differing++;
        }
        same = differing == 1;
    }
    json_decref(g);
    json_decref(w);
    json_decref(gx);
    return same;
}

static void try_text(const struct place *p, const char *text)
{
    static struct vm_spec base, hostile; /* large */
    AUTO(argv_done) struct argv a = { 0 };
    AUTO(argv_done) struct argv b = { 0 };
    AUTO(err_done) struct err err = { 0 };

    base = everything();
    hostile = everything();
    CHECK_INT(qemu_argv(&base, "q", &a, NULL), 0);
    p->put(&hostile, text);
    if (qemu_argv(&hostile, "q", &b, &err) < 0) {
        CHECK(err.code != NULL);
        CHECK(b.v == NULL);
        return;
    }
    struct uuid u;

    /* a uuid cannot do harm; they stand inside of ids */
    if ((p->put == put_uuid && uuid_parse(hostile.uuid, &u))
        || (p->put == put_disk_id && uuid_parse(hostile.disks[0].id, &u))
        || (p->put == put_nic_id && uuid_parse(hostile.nics[0].id, &u)))
        return;
    if (!*text) /* the option goes with its value */
        return;
    if (a.n != b.n)
        test_fail(__FILE__, __LINE__, "%s: another number of arguments for \"%.40s\"",
                  p->name, text);
    for (size_t i = 0; i < a.n; i++)
        if (!differs_in_value_only(b.v[i], a.v[i], text))
            test_fail(__FILE__, __LINE__, "%s: \"%.40s\" made \"%.200s\"", p->name, text,
                      b.v[i]);
}

TEST(no_text_becomes_an_option)
{
    static const char *const texts[] = {
        "",
        "-",
        "-daemonize",
        "--",
        ",",
        ",,",
        "a,b=c",
        "x,readonly=on",
        "=",
        "a=b",
        "\n",
        "a\n-monitor stdio",
        "\t",
        "'",
        "\"",
        "\\",
        "\"}",
        "{\"driver\":\"x\"}",
        "json:{}",
        "\"},\"id\":\"x",
        "%s%n%d",
        "$(id)",
        "`id`",
        "|",
        ";",
        "/",
        "/etc/passwd",
        "../../etc",
        "/dev/fdset/2",
        "/a,/etc/shadow",
        "nbd:unix:/x",
        "\x01",
        "\x7f",
        "\x1b[2J",
        "\xff",
        "\xc3\x28",
        "\xed\xa0\x80",
        "\xc3\xa9",
        "\xf0\x9f\x98\x80",
        "file.driver",
        "host",
        "max",
        "kvm,x",
        "52:54:00:00:00:0g",
        "52:54:00:00:00:01,x",
        "52-54-00-00-00-01",
        (ID("0") ",x"),
        "00000000-1111-4222-8333-44444444444,",
        "exactly20characters!",
        "exactly21characters!!",
        "/k,x",
        "/a\nb",
        "/a b",
    };
    AUTO(free_str) char *big_text = mem_alloc((64 << 10) + 1);

    memset(big_text, 'a', 64 << 10);
    for (size_t p = 0; p < ARRAY_SIZE(places); p++) {
        for (size_t t = 0; t < ARRAY_SIZE(texts); t++)
            try_text(&places[p], texts[t]);
        big_text[0] = 'a';
        try_text(&places[p], big_text);
        big_text[0] = '/';
        try_text(&places[p], big_text);
    }
}

TEST(random_text)
{
    char text[24];

    for (size_t round = 0; round < 300; round++) {
        random_bytes(text, sizeof(text));
        text[sizeof(text) - 1] = '\0';
        for (size_t i = 0; i < sizeof(text) - 1; i += 2)
            text[i] = ",=-\n{}\"\\/:.%a0 "[(unsigned char)text[i] % 15];
        if (round % 3 == 0)
            text[0] = '/';
        for (size_t p = 0; p < ARRAY_SIZE(places); p++)
            try_text(&places[p], text);
    }
}

static void check_refused(const struct vm_spec *s, const char *code, const char *param)
{
    AUTO(argv_done) struct argv argv = { 0 };
    AUTO(err_done) struct err err = { 0 };

    CHECK_INT(qemu_argv(s, "q", &argv, &err), -1);
    CHECK_STR(err.code, code);
    CHECK(err.n_params > 0);
    CHECK_STR(err.params[0], param);
}

TEST(refuses)
{
    struct vm_spec s = big();

    s.disks[1].slot = 0;
    check_refused(&s, "INVALID_VALUE", "userdevice");
    s = big();
    s.disks[0].source = VM_SOURCE_NONE;
    check_refused(&s, "INVALID_VALUE", "VDI");
    s = big();
    s.nics[1].slot = 0;
    check_refused(&s, "INVALID_VALUE", "device");
    s = big();
    s.nics[1].mtu = 20;
    check_refused(&s, "INVALID_VALUE", "MTU");
    s = big();
    s.cores_per_socket = 3;
    check_refused(&s, "INVALID_VALUE", "cores-per-socket");
    s = big();
    s.vcpus = 0;
    check_refused(&s, "INVALID_VALUE", "VCPUs_max");
    s = big();
    s.memory_bytes = 0;
    check_refused(&s, "INVALID_VALUE", "memory");
    s = big();
    s.firmware = VM_FIRMWARE_UEFI;
    check_refused(&s, "INVALID_VALUE", "firmware");
    s = tiny();
    s.n_disks = 7;
    for (unsigned i = 0; i < 7; i++) {
        s.disks[i] = (struct vm_disk){ .slot = i, .bus = VM_BUS_SATA, .is_cd = true };
        memcpy(s.disks[i].id, ID("1"), UUID_TEXT_SIZE);
    }
    check_refused(&s, "VALUE_NOT_SUPPORTED", "userdevice");
}
