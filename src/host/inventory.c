/* SPDX-License-Identifier: Apache-2.0 */
/* Reads what this machine is. Files that are absent (containers, other architectures) leave empty values; only what
 * nothing works without (memory, processors) is an error. Owns no state. */
#include "host/inventory.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/vec.h"

#define FILE_MAX (4U << 20)

/* The first line of a small file, without white space at its ends; "" if it cannot be read. Given. */
static char *read_line(const char *fmt, ...) PRINTF(1, 2);

static char *read_line(const char *fmt, ...)
{
    AUTO(buf_done) struct buf text = BUF_INIT(4096);
    AUTO(free_str) char *path = NULL;
    va_list ap;
    const char *s;
    size_t n;

    va_start(ap, fmt);
    path = str_vfmt(fmt, ap);
    va_end(ap);
    if (io_read_file(path, &text) < 0)
        return str_dup("");
    s = buf_str(&text);
    s += strspn(s, " \t");
    n = strcspn(s, "\n");
    while (n > 0 && isspace((unsigned char)s[n - 1]))
        n--;
    return utf8_valid(s, n) ? str_dupn(s, n) : str_dup("");
}

static unsigned read_number(const char *fmt, const char *name)
{
    AUTO(free_str) char *path = NULL;
    AUTO(free_str) char *text = NULL;
    int64_t v;

    path = str_fmt("/sys/class/net/%s/%s", name, fmt);
    text = read_line("%s", path);
    return parse_range(text, 0, UINT32_MAX, &v) ? (unsigned)v : 0;
}

/* The value of "key : value" on the line that begins with key. Given, NULL: no such line. */
static char *field(const char *text, const char *key)
{
    size_t n = strlen(key);

    for (const char *line = text; line; line = strchr(line, '\n')) {
        const char *v;

        line += *line == '\n';
        if (strncmp(line, key, n) != 0)
            continue;
        v = line + n + strspn(line + n, " \t");
        if (*v != ':')
            continue;
        v += 1 + strspn(v + 1, " \t");
        return str_dupn(v, strcspn(v, "\n"));
    }
    return NULL;
}

static unsigned number_field(const char *text, const char *key)
{
    AUTO(free_str) char *v = field(text, key);
    int64_t n;

    if (v)
        v[strcspn(v, ".")] = '\0'; /* cpu MHz has a fraction */
    return v && parse_range(v, 0, UINT32_MAX, &n) ? (unsigned)n : 0;
}

/* Distinct values of "physical id", the processors, both from /proc/cpuinfo. */
static void count_cpus(const char *text, struct inventory *out)
{
    uint64_t sockets = 0;

    for (const char *p = text; (p = strstr(p, "physical id")) != NULL; p++)
        sockets |= UINT64_C(1) << (number_field(p, "physical id") & 63);
    for (const char *p = text; p; p = strchr(p, '\n')) {
        p += *p == '\n';
        out->cpu_count += strncmp(p, "processor\t", 10) == 0;
    }
    out->cpu_sockets = MAX((unsigned)__builtin_popcountll(sockets), 1U);
}

static int read_cpu(struct inventory *out, struct err *err)
{
    AUTO(buf_done) struct buf text = BUF_INIT(FILE_MAX);

    if (io_read_file("/proc/cpuinfo", &text) < 0) {
        err_set(err, ERR_INTERNAL_ERROR, "The processors cannot be examined");
        return err_detail(err, "/proc/cpuinfo: %m");
    }
    out->cpu_vendor = field(text.data, "vendor_id");
    out->cpu_model = field(text.data, "model name");
    out->cpu_flags = field(text.data, "flags");
    out->cpu_mhz = number_field(text.data, "cpu MHz");
    out->cpu_family = number_field(text.data, "cpu family");
    out->cpu_model_number = number_field(text.data, "model");
    out->cpu_stepping = number_field(text.data, "stepping");
    count_cpus(text.data, out);
    if (out->cpu_count == 0)
        out->cpu_count = (unsigned)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L);
    return 0;
}

static int meminfo(const char *key, uint64_t *bytes_out)
{
    AUTO(buf_done) struct buf text = BUF_INIT(64U << 10);
    AUTO(free_str) char *v = NULL;
    uint64_t kib;

    if (io_read_file("/proc/meminfo", &text) < 0)
        return -1;
    v = field(buf_str(&text), key);
    if (!v)
        return -1;
    v[strcspn(v, " ")] = '\0';
    if (!parse_u64(v, &kib) || kib > UINT64_MAX >> 10)
        return -1;
    *bytes_out = kib << 10;
    return 0;
}

int inventory_memory_free(uint64_t *bytes_out)
{
    return meminfo("MemAvailable", bytes_out);
}

static void read_boot(struct inventory *out)
{
    AUTO(free_str) char *id = read_line("/proc/sys/kernel/random/boot_id");
    AUTO(buf_done) struct buf stat = BUF_INIT(FILE_MAX);
    const char *btime;
    int64_t seconds = 0;

    memcpy(out->boot_id, id, MIN(strlen(id), sizeof(out->boot_id) - 1));
    if (io_read_file("/proc/stat", &stat) == 0
        && (btime = strstr(stat.data, "\nbtime ")) != NULL) {
        AUTO(free_str) char *v = str_dupn(btime + 7, strcspn(btime + 7, "\n"));

        if (parse_range(v, 0, INT64_MAX / US_PER_SEC, &seconds))
            out->boot_wall_us = seconds * US_PER_SEC;
    }
}

static void read_nic_address(struct inventory_nic *nic, const struct ifaddrs *all)
{
    for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
        struct sockaddr_in in;

        if (!a->ifa_addr || a->ifa_addr->sa_family != AF_INET
            || !str_eq(a->ifa_name, nic->name))
            continue;
        memcpy(&in, a->ifa_addr, sizeof(in));
        (void)inet_ntop(AF_INET, &in.sin_addr, nic->ip, sizeof(nic->ip));
        if (a->ifa_netmask) {
            memcpy(&in, a->ifa_netmask, sizeof(in));
            (void)inet_ntop(AF_INET, &in.sin_addr, nic->netmask, sizeof(nic->netmask));
        }
        return;
    }
}

static void read_nic(struct inventory_nic *nic, const char *name, const struct ifaddrs *all)
{
    AUTO(free_str) char *mac = read_line("/sys/class/net/%s/address", name);
    AUTO(free_str) char *state = read_line("/sys/class/net/%s/operstate", name);
    AUTO(free_str) char *flags = read_line("/sys/class/net/%s/flags", name);
    AUTO(free_str) char *device = str_fmt("/sys/class/net/%s/device", name);
    unsigned speed;

    memcpy(nic->name, name, MIN(strlen(name), sizeof(nic->name) - 1));
    memcpy(nic->mac, mac, MIN(strlen(mac), sizeof(nic->mac) - 1));
    nic->mtu = read_number("mtu", name);
    nic->up = strlen(flags) > 2
              && strchr("13579bdf", flags[strlen(flags) - 1]) != NULL; /* IFF_UP is bit 0 */
    nic->carrier = read_number("carrier", name) == 1 || str_eq(state, "up");
    nic->physical = access(device, F_OK) == 0;
    speed = read_number("speed", name); /* -1, which is no number here, when unknown */
    nic->speed_mbit = speed < 10U * 1000 * 1000 ? speed : 0;
    read_nic_address(nic, all);
}

static int by_name(const void *a, const void *b)
{
    const struct inventory_nic *x = a, *y = b;

    return strcmp(x->name, y->name);
}

static void read_nics(struct inventory *out)
{
    VEC(struct inventory_nic) nics = { 0 };
    struct ifaddrs *all = NULL;
    const struct dirent *e;
    DIR *d = opendir("/sys/class/net");

    if (!d)
        return;
    if (getifaddrs(&all) < 0)
        all = NULL;
    while ((e = readdir(d)) != NULL) {
        struct inventory_nic nic = { 0 };

        if (e->d_name[0] == '.' || str_eq(e->d_name, "lo")
            || str_eq(e->d_name, "bonding_masters")
            || strlen(e->d_name) >= sizeof(nic.name))
            continue;
        read_nic(&nic, e->d_name, all);
        vec_push(&nics, nic);
    }
    (void)closedir(d);
    if (all)
        freeifaddrs(all);
    if (nics.n)
        qsort(nics.v, nics.n, sizeof(*nics.v), by_name);
    out->nics = nics.v;
    out->n_nics = nics.n;
}

int inventory_read(struct inventory *out, struct err *err)
{
    struct inventory inv = { 0 };
    struct utsname uts;

    if (read_cpu(&inv, err) < 0 || meminfo("MemTotal", &inv.memory_total_bytes) < 0
        || uname(&uts) < 0) {
        err_set(err, ERR_INTERNAL_ERROR, "This machine cannot be examined");
        inventory_done(&inv);
        return err_detail(err, "inventory: %m");
    }
    inv.hostname = str_dup(uts.nodename);
    inv.kernel = str_dup(uts.release);
    inv.cpu_vendor = inv.cpu_vendor ? inv.cpu_vendor : str_dup("");
    inv.cpu_model = inv.cpu_model ? inv.cpu_model : str_dup(uts.machine);
    inv.cpu_flags = inv.cpu_flags ? inv.cpu_flags : str_dup("");
    read_boot(&inv);
    inv.bios_vendor = read_line("/sys/class/dmi/id/bios_vendor");
    inv.bios_version = read_line("/sys/class/dmi/id/bios_version");
    inv.system_manufacturer = read_line("/sys/class/dmi/id/sys_vendor");
    inv.system_product = read_line("/sys/class/dmi/id/product_name");
    inv.system_serial = read_line("/sys/class/dmi/id/product_serial");
    read_nics(&inv);
    *out = inv;
    return 0;
}

void inventory_done(struct inventory *inv)
{
    char *const strings[] = { inv->hostname,       inv->kernel,
                              inv->cpu_vendor,     inv->cpu_model,
                              inv->cpu_flags,      inv->bios_vendor,
                              inv->bios_version,   inv->system_manufacturer,
                              inv->system_product, inv->system_serial };

    for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
        free(strings[i]);
    free(inv->nics);
    *inv = (struct inventory){ 0 };
}

char *inventory_qemu(struct err *err)
{
    const char *path = getenv("PATH");

    for (const char *dir = path ? path : "/usr/local/bin:/usr/bin:/bin"; *dir;) {
        size_t n = strcspn(dir, ":");
        AUTO(free_str) char *full = str_fmt("%.*s/qemu-system-x86_64", (int)n, dir);
        struct stat st;

        if (n > 0 && stat(full, &st) == 0 && S_ISREG(st.st_mode) && access(full, X_OK) == 0)
            return TAKE(full);
        dir += n + (dir[n] == ':');
    }
    err_set(err, ERR_INTERNAL_ERROR,
            "qemu-system-x86_64 is not installed (Debian package qemu-system-x86)");
    return NULL;
}
