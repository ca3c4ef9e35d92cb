/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/config_drive.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/test.h"
#include "model/schema.h"
#include "model/value.h"

#define SECTOR  2048
#define PRIMARY 16
#define JOLIET  17
#define UUID_   "00000000-1111-4222-8333-444444444444"
#define KEY_    "ssh-ed25519 AAAAC3Nz me@here"
#define META    "instance-id: " UUID_ "\n"

static void put(struct vm_rec *vm, unsigned field, const char *key, const char *val)
{
    const struct field_def *f = &schema_classes[CLASS_VM].fields[field];

    (void)map_put(f->ty,
                  field == F_VM_OTHER_CONFIG ? &vm->other_config : &vm->xenstore_data, &key,
                  &val);
}

static struct vm_rec *a_vm(void)
{
    struct vm_rec *vm = record_new(&schema_classes[CLASS_VM]);

    str_put(&vm->uuid, UUID_);
    return vm;
}

/* A file of the image, found as a system finds it: by a descriptor, its root directory and a name. Given. */
static char *file_of(const struct buf *image, unsigned descriptor, const char *name)
{
    const uint8_t *all = (const uint8_t *)image->data, *d = all + descriptor * SECTOR;
    const uint8_t *p = all + (size_t)le32(d + 158) * SECTOR;

    CHECK(memcmp(d + 1, "CD001", 5) == 0);
    CHECK_INT(le32(d + 80) * SECTOR, image->len);
    CHECK_INT(be32(d + 84) * SECTOR, image->len);
    for (; p[0]; p += p[0]) {
        char text[64] = "";
        size_t n = p[32], step = descriptor == JOLIET ? 2 : 1;

        CHECK(p[0] >= 33 + n);
        for (size_t i = step - 1, k = 0; i < n && k < 63; i += step)
            text[k++] = (char)p[33 + i];
        if (!str_eq(text, name))
            continue;
        CHECK_INT(le32(p + 2), be32(p + 6));
        CHECK_INT(le32(p + 10), be32(p + 14));
        CHECK((size_t)le32(p + 2) * SECTOR + le32(p + 10) <= image->len);
        return str_dupn((const char *)all + (size_t)le32(p + 2) * SECTOR, le32(p + 10));
    }
    return NULL;
}

static void has(const struct buf *image, const char *name, const char *short_name,
                const char *want)
{
    AUTO(free_str) char *one = file_of(image, JOLIET, name);
    AUTO(free_str) char *two = file_of(image, PRIMARY, short_name);

    CHECK_STR(one, want);
    CHECK_STR(two, want);
}

TEST(nothing_asked_for)
{
    struct vm_rec *vm = a_vm();
    AUTO(buf_done) struct buf image = BUF_INIT(0);
    AUTO(err_done) struct err err = { 0 };
    int fd = 5;

    put(vm, F_VM_OTHER_CONFIG, "folder", "/a");
    put(vm, F_VM_XENSTORE_DATA, "vm-other", "x");
    CHECK_INT(config_drive_image(vm, &image, &err), 0);
    CHECK_INT(image.len, 0);
    CHECK_INT(config_drive_open(vm, &fd, &err), 0);
    CHECK_INT(fd, -1);
    record_free(&schema_classes[CLASS_VM], vm);
}

TEST(name_and_keys)
{
    struct vm_rec *vm = a_vm();
    AUTO(buf_done) struct buf image = BUF_INIT(0);
    AUTO(err_done) struct err err = { 0 };
    char label[8] = "";
    int fd;

    put(vm, F_VM_OTHER_CONFIG, CONFIG_DRIVE_HOSTNAME, "web-1.example");
    put(vm, F_VM_OTHER_CONFIG, CONFIG_DRIVE_SSH_KEYS, KEY_ "\r\n\n" KEY_ "2\n");
    put(vm, F_VM_XENSTORE_DATA, "vm-data/color", "blue");
    put(vm, F_VM_XENSTORE_DATA, "vm-data/a/b", "=x");
    CHECK_INT(config_drive_image(vm, &image, &err), 0);
    has(&image, "meta-data", "META_DAT.;1",
        META "local-hostname: web-1.example\npublic-keys:\n  - \"" KEY_ "\"\n  - \"" KEY_
             "2\"\n");
    has(&image, "user-data", "USER_DAT.;1",
        "#cloud-config\nhostname: web-1.example\nssh_authorized_keys:\n  - \"" KEY_
        "\"\n  - \"" KEY_ "2\"\n");
    has(&image, "vm-data", "VM_DATA.;1", "color=blue\na/b==x\n");
    CHECK(memcmp(image.data + PRIMARY * SECTOR + 40, "cidata  ", 8) == 0);
    CHECK_INT(config_drive_open(vm, &fd, &err), 0);
    CHECK(fd >= 0);
    CHECK_INT(pwrite(fd, "x", 1, 0), -1);
    CHECK_INT(pread(fd, label, 6, PRIMARY * SECTOR + 40), 6);
    CHECK_STR(label, "cidata");
    close(fd);
    record_free(&schema_classes[CLASS_VM], vm);
}

TEST(own_text)
{
    static const struct {
        const char *own, *want;
    } cases[] = {
        { "#!/bin/sh\necho a", "#!/bin/sh\necho a" },
        { "#cloud-config\nruncmd: [a]",
          "#cloud-config\nruncmd: [a]\nhostname: h\nssh_authorized_keys:\n  - \"" KEY_
          "\"\n" },
        { "#cloud-config\nfqdn: x.y\nssh_authorized_keys: [k]\n",
          "#cloud-config\nfqdn: x.y\nssh_authorized_keys: [k]\n" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct vm_rec *vm = a_vm();
        AUTO(buf_done) struct buf image = BUF_INIT(0);
        AUTO(err_done) struct err err = { 0 };

        put(vm, F_VM_OTHER_CONFIG, CONFIG_DRIVE_USER_DATA, cases[i].own);
        put(vm, F_VM_OTHER_CONFIG, CONFIG_DRIVE_HOSTNAME, "h");
        put(vm, F_VM_OTHER_CONFIG, CONFIG_DRIVE_SSH_KEYS, KEY_);
        put(vm, F_VM_OTHER_CONFIG, CONFIG_DRIVE_NETWORK, "version: 2\n");
        CHECK_INT(config_drive_image(vm, &image, &err), 0);
        has(&image, "user-data", "USER_DAT.;1", cases[i].want);
        has(&image, "network-config", "NETWORK_.;1", "version: 2\n");
        record_free(&schema_classes[CLASS_VM], vm);
    }
}

TEST(refused)
{
    static const struct {
        unsigned field;
        const char *key, *val;
    } cases[] = {
        { F_VM_OTHER_CONFIG, CONFIG_DRIVE_HOSTNAME, "a\nruncmd: [b]" },
        { F_VM_OTHER_CONFIG, CONFIG_DRIVE_HOSTNAME, "-a" },
        { F_VM_OTHER_CONFIG, CONFIG_DRIVE_HOSTNAME, "a b" },
        { F_VM_OTHER_CONFIG, CONFIG_DRIVE_SSH_KEYS, "ssh-ed25519 \"AAA" },
        { F_VM_OTHER_CONFIG, CONFIG_DRIVE_SSH_KEYS, "nonsense" },
        { F_VM_OTHER_CONFIG, CONFIG_DRIVE_SSH_KEYS, "ssh-rsa" },
        { F_VM_OTHER_CONFIG, CONFIG_DRIVE_USER_DATA, "\xff\xfe" },
        { F_VM_XENSTORE_DATA, "vm-data/a", "b\nc=d" },
        { F_VM_XENSTORE_DATA, "vm-data/a=b", "c" },
    };

    AUTO(free_str) char *large = mem_alloc(CONFIG_DRIVE_TEXT_MAX + 2);

    memset(large, 'a', CONFIG_DRIVE_TEXT_MAX + 1);
    for (size_t i = 0; i <= ARRAY_SIZE(cases); i++) {
        struct vm_rec *vm = a_vm();
        AUTO(buf_done) struct buf image = BUF_INIT(0);
        AUTO(err_done) struct err err = { 0 };

        if (i < ARRAY_SIZE(cases))
            put(vm, cases[i].field, cases[i].key, cases[i].val);
        else
            put(vm, F_VM_OTHER_CONFIG, CONFIG_DRIVE_USER_DATA, large);
        CHECK_INT(config_drive_image(vm, &image, &err), -1);
        CHECK_STR(err.code, "INVALID_VALUE");
        record_free(&schema_classes[CLASS_VM], vm);
    }
}
