/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/guest.h"

#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/test.h"

static int vif_of(const char *mac, void *arg)
{
    (void)arg;
    return str_eq(mac, "02:00:00:00:00:01") ? 0 : str_eq(mac, "02:00:00:00:00:02") ? 3 : -1;
}

static const char *get(const struct map_string_string *m, const char *key)
{
    for (size_t i = 0; i < m->n; i++)
        if (str_eq(m->v[i].key, key))
            return m->v[i].val;
    return NULL;
}

static struct vm_guest_metrics_rec *report(const struct guest_answers *a)
{
    struct vm_guest_metrics_rec *rec = record_new(&schema_classes[CLASS_VM_GUEST_METRICS]);
    guest_report(a, vif_of, NULL, rec);
    return rec;
}

static void done(struct vm_guest_metrics_rec *rec)
{
    record_free(&schema_classes[CLASS_VM_GUEST_METRICS], rec);
}

TEST(a_debian_guest)
{
    struct guest_answers a = {
        .info = "{\"return\":{\"version\":\"7.2.22\",\"supported_commands\":[]}}",
        .osinfo =
            "{\"return\":{\"id\":\"debian\",\"name\":\"Debian GNU/Linux\",\"pretty-name\":"
            "\"Debian GNU/Linux 12 (bookworm)\",\"version-id\":\"12\",\"kernel-release\":"
            "\"6.1.0-cloud-amd64\",\"machine\":\"x86_64\"}}",
        .hostname = "{\"return\":{\"host-name\":\"web1\"}}",
        .interfaces =
            "{\"return\":[{\"name\":\"lo\",\"hardware-address\":\"00:00:00:00:00:00\","
            "\"ip-addresses\":[{\"ip-address\":\"127.0.0.1\",\"ip-address-type\":\"ipv4\"}]"
            "},"
            "{\"name\":\"eth0\",\"hardware-address\":\"02:00:00:00:00:01\",\"ip-"
            "addresses\":["
            "{\"ip-address\":\"10.0.2.15\"},{\"ip-address\":\"10.0.2.16\"},"
            "{\"ip-address\":\"FE80:0::1\"}]},"
            "{\"hardware-address\":\"02:00:00:00:00:02\",\"ip-addresses\":["
            "{\"ip-address\":\"fd00::2\"}]}]}",
    };
    struct vm_guest_metrics_rec *r = report(&a);
    CHECK_STR(get(&r->os_version, "name"), "Debian GNU/Linux 12 (bookworm)");
    CHECK_STR(get(&r->os_version, "distro"), "debian");
    CHECK_STR(get(&r->os_version, "major"), "12");
    CHECK_STR(get(&r->os_version, "uname"), "6.1.0-cloud-amd64");
    CHECK_STR(get(&r->PV_drivers_version, "major"), "7");
    CHECK_STR(get(&r->PV_drivers_version, "minor"), "2");
    CHECK_STR(get(&r->PV_drivers_version, "micro"), "22");
    CHECK_STR(get(&r->networks, "0/ip"), "10.0.2.15");
    CHECK_STR(get(&r->networks, "0/ipv4/0"), "10.0.2.15");
    CHECK_STR(get(&r->networks, "0/ipv4/1"), "10.0.2.16");
    CHECK_STR(get(&r->networks, "0/ipv6/0"), "fe80::1");
    CHECK_STR(get(&r->networks, "3/ipv6/0"), "fd00::2");
    CHECK(!get(&r->networks, "3/ip"));
    CHECK_INT(r->networks.n, 5);
    CHECK_STR(get(&r->other, "data-ts-hostname"), "web1");
    CHECK(r->live && r->PV_drivers_detected && r->PV_drivers_up_to_date);
    done(r);
}

/* Answers of wrong types, or none at all, are no report; nothing of them gets far. */
TEST(answers_that_are_none)
{
    static const char no_addresses[] =
        "{\"return\":[{\"hardware-address\":\"02:00:00:00:00:01\",\"ip-addresses\":["
        "{\"ip-address\":\"10.0.0.1 "
        "<script>\"},{\"ip-address\":\"::::\"},{\"ip-address\":\"\"}]}]}";
    static const char *const texts[] = {
        NULL,
        "",
        "{}",
        "[]",
        "{\"error\":{\"class\":\"CommandNotFound\"}}",
        "{\"return\":null}",
        "{\"return\":7}",
        "{\"return\":[1,null,{}]}",
        "{\"return\":{\"version\":7,\"id\":[],\"host-name\":{}}}",
        "{\"return\":[{\"hardware-address\":\"02:00:00:00:00:01\",\"ip-addresses\":7}]}",
        "{\"return\":[{\"hardware-address\":7}]}",
        no_addresses,
    };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        for (size_t k = 0; k < ARRAY_SIZE(texts); k++) {
            struct guest_answers a = { .info = texts[i],
                                       .osinfo = texts[k],
                                       .hostname = texts[k],
                                       .interfaces = texts[k] };
            struct vm_guest_metrics_rec *r = report(&a);
            CHECK_INT(r->networks.n, 0);
            CHECK_INT(r->os_version.n, 0);
            CHECK(!get(&r->other, "data-ts-hostname"));
            done(r);
        }
}

TEST(texts_are_bounded_and_clean)
{
    AUTO(buf_done) struct buf os = BUF_INIT(0), nets = BUF_INIT(0);
    buf_add_str(&os, "{\"return\":{\"name\":\"a\\u0001\\nb\\u007f\",\"pretty-name\":\"a");
    for (int i = 0; i < 1000; i++)
        buf_add_str(&os, "\xc3\xa4");
    buf_add_str(&os, "\",\"version-id\":\"99999999999.1\",\"id\":\"x\\u0000y\"}}");
    buf_add_str(
        &nets,
        "{\"return\":[{\"hardware-address\":\"02:00:00:00:00:01\",\"ip-addresses\":[");
    for (int i = 0; i < 200; i++)
        buf_addf(&nets, "{\"ip-address\":\"10.0.0.%d\"},", i);
    buf_add_str(&nets, "{}]}]}");
    struct guest_answers a = { .info = "{\"return\":{\"version\":\"x\"}}",
                               .osinfo = buf_str(&os),
                               .interfaces = buf_str(&nets) };
    struct vm_guest_metrics_rec *r = report(&a);
    CHECK(!get(&r->os_version, "name")
          || strlen(get(&r->os_version, "name")) <= GUEST_TEXT_MAX);
    CHECK(!get(&r->os_version, "major"));
    CHECK_INT(r->networks.n, GUEST_ADDRESSES_MAX + 1);
    for (size_t i = 0; i < r->os_version.n; i++) {
        const char *v = r->os_version.v[i].val;
        CHECK(utf8_valid(v, strlen(v)));
        for (; *v; v++)
            CHECK((unsigned char)*v >= 0x20 && *v != 0x7f);
    }
    done(r);
}

TEST(disks_and_memory)
{
    AUTO(buf_done) struct buf many = BUF_INIT(0);
    struct guest_answers a = { .info = "{\"return\":{}}",
                               .memory_total = 1000,
                               .memory_free = 400 };

    buf_add_str(&many, "{\"return\":[{\"mountpoint\":\"/"
                       "a\\nb\",\"type\":7,\"total-bytes\":10,\"used-bytes\":"
                       "4},{\"mountpoint\":\"/c\"},{\"total-bytes\":5,\"used-bytes\":6},"
                       "{\"total-bytes\":-1,\"used-bytes\":-2},7");
    for (int i = 0; i < 100; i++)
        buf_add_str(&many, ",{\"mountpoint\":\"/m\",\"type\":\"ext4\",\"total-bytes\":9,"
                           "\"used-bytes\":9}");
    buf_add_str(&many, "]}");
    a.filesystems = buf_str(&many);
    struct vm_guest_metrics_rec *r = report(&a);
    CHECK_STR(get(&r->disks, "0/mount"), "/a b");
    CHECK(get(&r->disks, "0/type") == NULL);
    CHECK_STR(get(&r->disks, "0/size"), "10");
    CHECK_STR(get(&r->disks, "0/free"), "6");
    CHECK_STR(get(&r->disks, "1/mount"), "/m");
    CHECK_STR(get(&r->disks, "31/free"), "0");
    CHECK(get(&r->disks, "32/free") == NULL);
    CHECK_STR(get(&r->memory, "total"), "1000");
    CHECK_STR(get(&r->memory, "free"), "400");
    done(r);
    a.memory_free = 2000;
    r = report(&a);
    CHECK_INT(r->memory.n, 0);
    done(r);
}
