/* SPDX-License-Identifier: Apache-2.0 */
/* From a guest agent's answers to the fields of VM_guest_metrics. A guest says what it likes: wrong types are no values,
 * texts are cut and lose their control characters, addresses are read and written anew. Pure; any thread. */
#include <arpa/inet.h>
#include <jansson.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "ops/guest.h"

enum { INTERFACES_MAX = 64, FILESYSTEMS_MAX = 32, PARTS = 4 };

static void put(struct map_string_string *map, unsigned field, const char *key,
                const char *val)
{
    (void)map_put(schema_classes[CLASS_VM_GUEST_METRICS].fields[field].ty, map, &key, &val);
}

/* A text of the guest as it may be shown. Given; NULL: there is none. */
static char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    size_t n = s ? strnlen(s, GUEST_TEXT_MAX) : 0;
    if (n == 0)
        return NULL;
    while (n > 0 && !utf8_valid(s, n)) /* cut inside a character */
        n--;
    char *text = str_dupn(s, n);
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
    return text;
}

static void put_text(struct map_string_string *map, unsigned field, const char *key,
                     const json_t *o, const char *from)
{
    AUTO(free_str) char *text = text_of(o, from);
    if (text)
        put(map, field, key, text);
}

/* "12.1" or "7.2.22": as many numbers as there are names for. */
static void put_version(struct map_string_string *map, unsigned field,
                        const char *const names[], size_t n, const char *version)
{
    for (size_t i = 0; i < n && version; i++) {
        size_t len = strspn(version, "0123456789");
        if (len == 0 || len > 9)
            return;
        AUTO(free_str) char *number = str_dupn(version, len);
        put(map, field, names[i], number);
        version = version[len] == '.' ? version + len + 1 : NULL;
    }
}

static void report_system(const json_t *o, struct vm_guest_metrics_rec *out)
{
    static const char *const names[] = { "major", "minor" };
    unsigned f = F_VM_GUEST_METRICS_OS_VERSION;
    struct map_string_string *map = &out->os_version;
    put_text(map, f, "name", o, "name");
    put_text(map, f, "name", o, "pretty-name");
    put_text(map, f, "distro", o, "id");
    put_text(map, f, "uname", o, "kernel-release");
    put_version(map, f, names, ARRAY_SIZE(names),
                json_string_value(json_object_get(o, "version-id")));
}

static void report_agent(const json_t *o, struct vm_guest_metrics_rec *out)
{
    static const char *const names[PARTS] = { "major", "minor", "micro", "build" };
    unsigned f = F_VM_GUEST_METRICS_PV_DRIVERS_VERSION;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        put(&out->PV_drivers_version, f, names[i], i == 0 ? "0" : "-1");
    put(&out->PV_drivers_version, f, "micro", "0");
    put(&out->PV_drivers_version, f, "minor", "0");
    put_version(&out->PV_drivers_version, f, names, ARRAY_SIZE(names),
                json_string_value(json_object_get(o, "version")));
    out->PV_drivers_detected = out->PV_drivers_up_to_date = out->live = true;
}

struct counts {
    unsigned v4, v6;
};

static void report_address(const json_t *address, int vif, struct counts *n,
                           struct vm_guest_metrics_rec *out)
{
    const char *given = json_string_value(json_object_get(address, "ip-address"));
    unsigned f = F_VM_GUEST_METRICS_NETWORKS;
    unsigned char bytes[sizeof(struct in6_addr)];
    char text[INET6_ADDRSTRLEN];
    bool six = given && strchr(given, ':');
    unsigned *count = six ? &n->v6 : &n->v4;
    int family = six ? AF_INET6 : AF_INET;
    if (!given || *count == GUEST_ADDRESSES_MAX || inet_pton(family, given, bytes) != 1
        || !inet_ntop(family, bytes, text, sizeof(text)))
        return;
    AUTO(free_str) char *key = str_fmt("%d/%s/%u", vif, six ? "ipv6" : "ipv4", *count);
    AUTO(free_str) char *first = str_fmt("%d/ip", vif);
    put(&out->networks, f, key, text);
    if (!six && *count == 0)
        put(&out->networks, f, first, text);
    (*count)++;
}

static void report_networks(const json_t *list, guest_vif_fn vif, void *arg,
                            struct vm_guest_metrics_rec *out)
{
    for (size_t i = 0; i < MIN(json_array_size(list), (size_t)INTERFACES_MAX); i++) {
        const json_t *o = json_array_get(list, i);
        const json_t *all = json_object_get(o, "ip-addresses");
        const char *mac = json_string_value(json_object_get(o, "hardware-address"));
        int number = mac ? vif(mac, arg) : -1;
        struct counts n = { 0, 0 };
        for (size_t k = 0; number >= 0 && k < json_array_size(all); k++)
            report_address(json_array_get(all, k), number, &n, out);
    }
}

static void put_number(struct map_string_string *map, unsigned field, const char *key,
                       uint64_t n)
{
    AUTO(free_str) char *text = str_fmt("%llu", (unsigned long long)n);
    put(map, field, key, text);
}

/* "0/mount", "0/type", "0/size" and "0/free" in bytes: what the guest has mounted and says the size of. */
static void report_filesystems(const json_t *list, struct vm_guest_metrics_rec *out)
{
    unsigned f = F_VM_GUEST_METRICS_DISKS, n = 0;
    for (size_t i = 0; i < json_array_size(list) && n < FILESYSTEMS_MAX; i++) {
        const json_t *o = json_array_get(list, i);
        json_int_t total = json_integer_value(json_object_get(o, "total-bytes")),
                   used = json_integer_value(json_object_get(o, "used-bytes"));
        if (total <= 0 || used < 0 || used > total)
            continue;
        AUTO(free_str) char *mount = str_fmt("%u/mount", n), *type = str_fmt("%u/type", n);
        AUTO(free_str) char *size = str_fmt("%u/size", n), *left = str_fmt("%u/free", n);
        put_text(&out->disks, f, mount, o, "mountpoint");
        put_text(&out->disks, f, type, o, "type");
        put_number(&out->disks, f, size, (uint64_t)total);
        put_number(&out->disks, f, left, (uint64_t)(total - used));
        n++;
    }
}

static void report_memory(const struct guest_answers *a, struct vm_guest_metrics_rec *out)
{
    if (a->memory_total == 0 || a->memory_free > a->memory_total)
        return;
    put_number(&out->memory, F_VM_GUEST_METRICS_MEMORY, "total", a->memory_total);
    put_number(&out->memory, F_VM_GUEST_METRICS_MEMORY, "free", a->memory_free);
}

/* What the agent returned; NULL: nothing. Given. */
static json_t *returned(const char *text)
{
    json_t *o = text ? json_loads(text, 0, NULL) : NULL;
    json_t *ret = json_incref(json_object_get(o, "return"));
    json_decref(o);
    return ret;
}

void guest_report(const struct guest_answers *a, guest_vif_fn vif, void *arg,
                  struct vm_guest_metrics_rec *out)
{
    json_t *info = returned(a->info), *os = returned(a->osinfo),
           *host = returned(a->hostname), *nets = returned(a->interfaces),
           *disks = returned(a->filesystems);
    if (json_is_object(info)) {
        report_agent(info, out);
        report_system(os, out);
        report_networks(nets, vif, arg, out);
        report_filesystems(disks, out);
        report_memory(a, out);
        put_text(&out->other, F_VM_GUEST_METRICS_OTHER, "data-ts-hostname", host,
                 "host-name");
        put(&out->other, F_VM_GUEST_METRICS_OTHER, "feature-shutdown", "1");
        put(&out->other, F_VM_GUEST_METRICS_OTHER, "feature-reboot", "1");
        out->can_use_hotplug_vbd = TRISTATE_TYPE_YES;
        out->can_use_hotplug_vif = TRISTATE_TYPE_YES;
    }
    json_decref(info);
    json_decref(os);
    json_decref(host);
    json_decref(nets);
    json_decref(disks);
}
