/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/vm.h"

#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/mem.h"
#include "base/test.h"
#include "host/qemu.h"

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
    p.nics[p.n_nics++] = (struct vm_part_nic){ .vif = vif, .tap = -1 };
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

/* No string of the records of a machine changes the command line outside its own value: hostile text gives what plain text
 * gives at the same place, but for the value, or is refused. Walks the schema, so that a new field is tried too. */

#define PLAIN "EVIL"

static const char *const hostile[] = {
    "EVIL,readonly=on",
    "-EVIL",
    "EVIL=b,c",
    "EVIL\n-monitor stdio",
    ",EVIL",
    "EVIL\"}",
    "{EVIL:1}",
    "json:{EVIL}",
    "\"},\"EVIL\":\"x\",\"b\":\"",
    "$(EVIL)",
    "/EVIL,b",
    "EVIL,,guest=x",
    "52:54:00:00:00:EVIL,",
    "EVIL\\",
    "%sEVIL%n",
    "\x1b[EVIL",
    "EVIL\xff",
    "EVIL;x|y&z",
};

/* Keys that mean something to a machine. Not "order": each letter of it means something, and what becomes of it is a number. */
static const char *const keys[] = {
    "cores-per-socket",
    "device-model",
    "firmware",
    "vga",
    "cpu",
    "localtime",
    "bus",
    "disk-bus",
    "secureboot",
    "viridian",
    "serial",
    "disks",
    "bios-vendor",
    "bios-version",
    "system-manufacturer",
    "system-product-name",
    "system-version",
    "system-serial-number",
    "baseboard-manufacturer",
    "baseboard-asset-tag",
    "enclosure-asset-tag",
};

/* Put text into the n-th place that this value has for text. False: it has no such place. */
static bool put_text(const struct field_def *f, void *rec, size_t n, const char *text)
{
    void *p = record_field(f, rec);

    if (f->ty->kind == TY_STRING && n == 0) {
        str_put(p, text);
    } else if (f->ty->kind == TY_SET && f->ty->elem->kind == TY_STRING && n == 0) {
        (void)set_add(f->ty, p, &text);
    } else if (f->ty->kind == TY_MAP && f->ty->key->kind == TY_STRING
               && f->ty->elem->kind == TY_STRING && n <= ARRAY_SIZE(keys)) {
        const char *key = n == 0 ? text : keys[n - 1];
        (void)map_put(f->ty, p, &key, &text);
    } else {
        return false;
    }
    return true;
}

static void *record_of(struct vm_parts *p, size_t which, enum class_id *cls_out)
{
    static const enum class_id classes[] = { CLASS_VM, CLASS_VBD, CLASS_VBD, CLASS_VDI,
                                             CLASS_VIF };

    void *const records[] = { p->vm, p->disks[0].vbd, p->disks[1].vbd, p->disks[0].vdi,
                              p->nics[0].vif };

    *cls_out = classes[which];
    return records[which];
}

/* The words of the command line, with "?" for each value that is text. False: refused. */
static bool words_of(size_t which, const struct field_def *f, size_t n, const char *text,
                     bool *there_out, struct argv *out)
{
    AUTO(vm_parts_done) struct vm_parts p = make_parts();
    AUTO(argv_done) struct argv argv = { 0 };
    AUTO(err_done) struct err err = { 0 };
    static struct vm_spec s; /* large */
    enum class_id cls;

    p.kernel = str_dup("/k");
    p.disks[0].vdi = record_new(&schema_classes[CLASS_VDI]);
    p.disks[0].fd = dup(0);
    memcpy(p.disks[0].serial, "serial", 7);
    void *rec = record_of(&p, which, &cls);

    *there_out = put_text(f, rec, n, text);
    if (!*there_out || vm_spec_build(&p, &s, &err) < 0
        || qemu_argv(&s, "q", &argv, &err) < 0)
        return false;
    for (size_t i = 0; i < argv.n; i++) {
        AUTO(buf_done) struct buf word = BUF_INIT(0);
        json_t *o = json_loads(argv.v[i], 0, NULL), *member;
        const char *key;

        if (json_is_object(o)) {
            json_object_foreach(
                o, key, member) if (json_is_string(member)
                                    && str_eq(json_string_value(member), text))(void)
                json_object_set_new(o, key, json_string("?"));
            char *dump = json_dumps(o, JSON_SORT_KEYS);
            buf_add_str(&word, dump);
            free(dump);
        } else if (str_eq(argv.v[i], text)) {
            buf_add_str(&word, "?");
        } else {
            buf_add_str(&word, argv.v[i]);
        }
        json_decref(o);
        argv_add(out, buf_str(&word));
    }
    return true;
}

/* The words are "OPTIONS,name=VALUE" and differ in the value alone, in which a comma is written twice. */
static bool differ_in_last_value(const char *got, const char *plain, const char *text)
{
    AUTO(buf_done) struct buf want = BUF_INIT(0);
    size_t before = strlen(plain) - MIN(strlen(plain), strlen(PLAIN));

    if (before == 0 || plain[before - 1] != '=' || !str_eq(plain + before, PLAIN))
        return false;
    buf_add(&want, plain, before);
    for (const char *c = text; *c; c++)
        buf_addf(&want, *c == ',' ? ",%c" : "%c", *c);
    return str_eq(got, buf_str(&want));
}

/* plain: what plain text gives there, NULL: it is refused. */
static void try_place(size_t which, const struct field_def *f, size_t n, const char *text,
                      const struct argv *plain)
{
    AUTO(argv_done) struct argv got = { 0 };
    bool there;

    if (!words_of(which, f, n, text, &there, &got))
        return; /* refused */
    bool same = plain && plain->n == got.n;
    for (size_t i = 0; same && i < got.n; i++)
        same = str_eq(got.v[i], plain->v[i])
               || differ_in_last_value(got.v[i], plain->v[i], text);
    if (!same)
        test_fail(__FILE__, __LINE__, "record %zu, %s, place %zu: \"%.60s\"", which,
                  f->name, n, text);
}

/* Every place of the field; how many. */
static size_t try_field(size_t which, const struct field_def *f, const char *big)
{
    for (size_t n = 0;; n++) {
        AUTO(argv_done) struct argv plain = { 0 };
        bool there, taken = words_of(which, f, n, PLAIN, &there, &plain);

        if (!there)
            return n;
        for (size_t t = 0; t < ARRAY_SIZE(hostile); t++)
            try_place(which, f, n, hostile[t], taken ? &plain : NULL);
        if (n == 0)
            try_place(which, f, n, big, taken ? &plain : NULL);
    }
}

TEST(no_string_of_a_record_becomes_an_option)
{
    AUTO(free_str) char *big = mem_alloc((64 << 10) + 1);
    size_t places = 0;

    memset(big, 'a', 64 << 10);
    memcpy(big + (32 << 10), ",EVIL=", 6);
    for (size_t which = 0; which < 5; which++) {
        AUTO(vm_parts_done) struct vm_parts p = make_parts();
        enum class_id cls;

        (void)record_of(&p, which, &cls);
        for (size_t f = 0; f < schema_classes[cls].n_fields; f++)
            if ((int)f != schema_classes[cls].uuid_field) /* never a caller's */
                places += try_field(which, &schema_classes[cls].fields[f], big);
    }
    CHECK(places > 150);
}
