/* SPDX-License-Identifier: Apache-2.0 */
/* Made anew at each start. meta-data says who the guest is (the VM's uuid: a clone is another one, and applies its settings
 * anew); user-data is the client's own, or is made of the host name and the keys. A guest knows the drive by its label. What
 * came from clients is checked to be what it says, so that no host name or key can become another line of these files. */
#include "ops/config_drive.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/parse.h"
#include "host/iso.h"

#define HOSTNAME_MAX_ 253
#define KEYS_MAX      64
#define VM_DATA       "vm-data/"

static const char *lookup(const struct map_string_string *m, const char *key)
{
    for (size_t i = 0; i < m->n; i++)
        if (str_eq(m->v[i].key, key))
            return m->v[i].val[0] ? m->v[i].val : NULL;
    return NULL;
}

static int refuse(const char *key, const char *why, struct err *err)
{
    AUTO(free_str) char *field = str_fmt("other_config:%s", key);
    return err_set(err, ERR_INVALID_VALUE, field, why);
}

/* A file's text, or NULL. */
static int text_of(const struct vm_rec *vm, const char *key, const char **out,
                   struct err *err)
{
    const char *text = lookup(&vm->other_config, key);
    if (text && strnlen(text, CONFIG_DRIVE_TEXT_MAX + 1) > CONFIG_DRIVE_TEXT_MAX)
        return refuse(key, "longer than 256 KiB", err);
    if (text && !utf8_valid(text, strlen(text)))
        return refuse(key, "not UTF-8", err);
    *out = text;
    return 0;
}

static int hostname_of(const struct vm_rec *vm, const char **out, struct err *err)
{
    const char *name = lookup(&vm->other_config, CONFIG_DRIVE_HOSTNAME);
    if (name
        && (strnlen(name, HOSTNAME_MAX_ + 1) > HOSTNAME_MAX_ || name[0] == '-'
            || name[0] == '.'
            || name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "0123456789-.")]))
        return refuse(CONFIG_DRIVE_HOSTNAME, "not a host name", err);
    *out = name;
    return 0;
}

/* One line of an authorized_keys file; it stands between quotes of YAML and JSON alike. */
static bool is_key(const char *s, size_t n)
{
    bool spaced = false;
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)s[i] < ' ' || (unsigned char)s[i] > '~' || s[i] == '"'
            || s[i] == '\\')
            return false;
        spaced = spaced || s[i] == ' ';
    }
    return spaced && n <= 16384
           && (str_starts(s, "ssh-") || str_starts(s, "ecdsa-") || str_starts(s, "sk-"));
}

/* The keys, each as an item of a list with this in front of it. */
static int add_keys(const char *keys, const char *indent, struct buf *out, struct err *err)
{
    size_t seen = 0;
    for (const char *p = keys; *p;) {
        size_t n = strcspn(p, "\r\n");
        if (n && (!is_key(p, n) || ++seen > KEYS_MAX))
            return refuse(CONFIG_DRIVE_SSH_KEYS,
                          "each line must be a public key as in authorized_keys", err);
        if (n) {
            buf_addf(out, "%s- \"", indent);
            buf_add(out, p, n);
            buf_add_str(out, "\"\n");
        }
        p += n;
        p += strspn(p, "\r\n");
    }
    return 0;
}

static bool has_line(const char *text, const char *start)
{
    for (const char *p = text; p; p = strchr(p, '\n')) {
        p += *p == '\n';
        if (str_starts(p, start))
            return true;
    }
    return false;
}

/* The client's text as it is; keys are added to a #cloud-config that names none. */
static int user_data(const char *own, const char *hostname, const char *keys,
                     struct buf *out, struct err *err)
{
    bool config = !own || str_starts(own, "#cloud-config");
    buf_add_str(out, own ? own : "#cloud-config\n");
    if (!config)
        return 0;
    if (out->len && out->data[out->len - 1] != '\n')
        buf_add_char(out, '\n');
    if (hostname && !has_line(buf_str(out), "hostname:")
        && !has_line(buf_str(out), "fqdn:"))
        buf_addf(out, "hostname: %s\n", hostname);
    if (!keys || has_line(buf_str(out), "ssh_authorized_keys:"))
        return 0;
    buf_add_str(out, "ssh_authorized_keys:\n");
    return add_keys(keys, "  ", out, err);
}

static int meta_data(const struct vm_rec *vm, const char *hostname, const char *keys,
                     struct buf *out, struct err *err)
{
    buf_addf(out, "instance-id: %s\n", vm->uuid);
    if (hostname)
        buf_addf(out, "local-hostname: %s\n", hostname);
    if (!keys)
        return 0;
    buf_add_str(out, "public-keys:\n");
    return add_keys(keys, "  ", out, err);
}

/* KEY=VALUE lines of what stands under vm-data/. */
static int vm_data(const struct vm_rec *vm, struct buf *out, struct err *err)
{
    for (size_t i = 0; i < vm->xenstore_data.n; i++) {
        const char *key = vm->xenstore_data.v[i].key, *val = vm->xenstore_data.v[i].val;
        if (!str_starts(key, VM_DATA))
            continue;
        if (strpbrk(key, "=\r\n") || strpbrk(val, "\r\n")
            || strlen(key) + strlen(val) + 2 > CONFIG_DRIVE_TEXT_MAX - out->len) {
            AUTO(free_str) char *field = str_fmt("xenstore_data:%.64s", key);
            return err_set(err, ERR_INVALID_VALUE, field,
                           "more than one line, or too long");
        }
        buf_addf(out, "%s=%s\n", key + strlen(VM_DATA), val);
    }
    return 0;
}

int config_drive_image(const struct vm_rec *vm, struct buf *out, struct err *err)
{
    const char *own = NULL, *network = NULL, *hostname = NULL, *keys = NULL;
    AUTO(buf_done) struct buf meta = BUF_INIT(0), user = BUF_INIT(0);
    AUTO(buf_done) struct buf data = BUF_INIT(0);
    struct iso_file files[ISO_FILES_MAX];
    size_t n = 0;
    if (text_of(vm, CONFIG_DRIVE_USER_DATA, &own, err)
        || text_of(vm, CONFIG_DRIVE_NETWORK, &network, err)
        || text_of(vm, CONFIG_DRIVE_SSH_KEYS, &keys, err) || hostname_of(vm, &hostname, err)
        || vm_data(vm, &data, err))
        return -1;
    bool settings = own || network || hostname || keys;
    if (settings) {
        if (meta_data(vm, hostname, keys, &meta, err)
            || user_data(own, hostname, keys, &user, err))
            return -1;
        files[n++] = (struct iso_file){ "meta-data", meta.data, meta.len };
        files[n++] = (struct iso_file){ "user-data", user.data, user.len };
        if (network)
            files[n++] = (struct iso_file){ "network-config", network, strlen(network) };
    }
    if (data.len)
        files[n++] = (struct iso_file){ "vm-data", data.data, data.len };
    if (n)
        iso_write(settings ? "cidata" : "vm-data", files, n, out);
    return 0;
}

int config_drive_open(const struct vm_rec *vm, int *fd_out, struct err *err)
{
    AUTO(buf_done) struct buf image = BUF_INIT(0);
    AUTO(close_fd) int fd = -1;
    *fd_out = -1;
    if (config_drive_image(vm, &image, err))
        return -1;
    if (!image.len)
        return 0;
    fd = memfd_create("config", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || io_pwrite_full(fd, image.data, image.len, 0) < 0
        || fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)
               < 0) {
        AUTO(free_str) char *why = str_fmt("the configuration drive: %m");
        return err_set(err, ERR_BOOTLOADER_FAILED, vm->uuid, why);
    }
    /* QEMU takes a read-only disk only from a descriptor that is read-only itself. */
    AUTO(free_str) char *self = str_fmt("/proc/self/fd/%d", fd);
    *fd_out = open(self, O_RDONLY | O_CLOEXEC);
    if (*fd_out < 0) {
        AUTO(free_str) char *why = str_fmt("the configuration drive: %m");
        return err_set(err, ERR_BOOTLOADER_FAILED, vm->uuid, why);
    }
    return 0;
}
