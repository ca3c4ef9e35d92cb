/* SPDX-License-Identifier: Apache-2.0 */
#include "host/accel.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/test.h"

/* A QEMU that does what the test says. Given. */
static char *script(const char *name, const char *body)
{
    char *path = str_fmt("%s/%s", test_dir(), name);
    AUTO(free_str) char *text = str_fmt("#!/bin/sh\n%s\n", body);

    CHECK_INT(io_write_file(path, text, strlen(text), 0700), 0);
    CHECK_INT(chmod(path, 0700), 0);
    return path;
}

static void decide(const char *flags, const char *node, const char *qemu, struct accel *out)
{
    *out = (struct accel){ 0 };
    accel_decide(flags, node, test_dir(), qemu, out);
}

TEST(no_flags)
{
    static const char *const flags[] = { "", "fpu vme", "fpu vmxx avmx svm_lock", "xsvm" };
    struct accel a;

    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        decide(flags[i], "/dev/null", "/bin/false", &a);
        CHECK_STR(a.name, "tcg");
        CHECK(strstr(a.reason, "no vmx or svm") != NULL);
    }
}

TEST(no_node)
{
    struct accel a;

    decide("fpu vmx", "/nonexistent/kvm", "/bin/false", &a);
    CHECK_STR(a.name, "tcg");
    CHECK(strstr(a.reason, "cannot be opened") != NULL);
}

TEST(probe_answers)
{
    AUTO(free_str) char *qemu = script("good", "printf K; exec sleep 60");
    struct accel a;

    decide("svm", "/dev/null", qemu, &a);
    CHECK_STR(a.name, "kvm");
}

TEST(probe_fails)
{
    AUTO(free_str) char *bad = script("bad", "exit 1");
    AUTO(free_str) char *wrong = script("wrong", "echo no");
    AUTO(free_str) char *slow = script("slow", "exec sleep 60");
    const char *const qemus[] = { bad, wrong, slow, "/nonexistent/qemu" };
    struct accel a;

    for (size_t i = 0; i < ARRAY_SIZE(qemus); i++) {
        int64_t since = clock_now_us();

        decide("vmx fpu", "/dev/null", qemus[i], &a);
        CHECK_STR(a.name, "tcg");
        CHECK(strstr(a.reason, "in time") != NULL);
        CHECK(clock_now_us() - since < 20 * US_PER_SEC);
    }
}

TEST(remembered)
{
    AUTO(free_str) char *path = str_fmt("%s/accel", test_dir());
    AUTO(buf_done) struct buf text = BUF_INIT(4096);
    struct accel a = { 0 }, b = { 0 };
    char *name;

    inventory_accel(test_dir(), "/bin/true", &a);
    CHECK(a.reason[0] != '\0');
    CHECK_INT(io_read_file(path, &text), 0);
    /* what stands there is believed for the same boot and binary ... */
    name = strstr(text.data, "\ntcg\n");
    name = name ? name : strstr(text.data, "\nkvm\n");
    CHECK(name != NULL);
    memcpy(name, "\nkvm\n", 5);
    CHECK_INT(io_write_file(path, text.data, text.len, 0600), 0);
    inventory_accel(test_dir(), "/bin/true", &b);
    CHECK_STR(b.name, "kvm");
    CHECK_STR(b.reason, a.reason);
    /* ... and not for another, nor if it is broken */
    inventory_accel(test_dir(), "/bin/false", &b);
    CHECK_STR(b.name, a.name);
    CHECK_INT(io_write_file(path, "x", 1, 0600), 0);
    inventory_accel(test_dir(), "/bin/true", &b);
    CHECK_STR(b.name, a.name);
}

TEST(elf)
{
    AUTO(buf_done) struct buf elf = BUF_INIT(0);
    const uint8_t *p;

    accel_pvh_elf((const uint8_t[]){ 0xf4 }, 1, &elf);
    CHECK_INT(elf.len, 137);
    p = (const uint8_t *)elf.data;
    CHECK(memcmp(p,
                 "\x7f"
                 "ELF",
                 4)
          == 0);
    CHECK_INT(le32(p + 24), 0x100000 + 136);  /* entry */
    CHECK_INT(le32(p + 28), 52);              /* program headers */
    CHECK_INT(le32(p + 52 + 16), 137);        /* bytes loaded */
    CHECK_INT(le32(p + 84 + 4), 116);         /* the note */
    CHECK_INT(le32(p + 116 + 8), 18);         /* its type */
    CHECK_INT(le32(p + 132), 0x100000 + 136); /* where to enter */
    CHECK_INT(p[136], 0xf4);
}
