/* SPDX-License-Identifier: Apache-2.0 */
#include "rootd/jail.h"

#include <sys/wait.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/test.h"

static bool has(const struct jail *j, const char *path)
{
    for (size_t i = 0; i < j->n; i++)
        if (str_eq(j->binds[i].path, path))
            return true;
    return false;
}

/* All that ldd names, and nothing that is neither that, nor firmware, nor a module. */
TEST(the_list_is_what_ldd_says)
{
    static const char program[] = "/usr/bin/qemu-system-x86_64";
    const char *const argv[] = { "ldd", program, NULL };
    struct deadline d = deadline_in(20 * US_PER_SEC);
    AUTO(buf_done) struct buf out = BUF_INIT(1 << 16);
    struct jail j, ldd = { 0 };
    int status;

    CHECK(proc_run(argv, NULL, &out, NULL, &d, &status) == 0 && status == 0);
    CHECK(jail_add_listed(&ldd, buf_str(&out)));
    CHECK(ldd.n > 20);
    CHECK(jail_plan(program, true, &j) == 0);
    CHECK(has(&j, program));
    CHECK(has(&j, "/lib64/ld-linux-x86-64.so.2"));
    for (size_t i = 0; i < ldd.n; i++)
        if (!has(&j, ldd.binds[i].path))
            test_fail(__FILE__, __LINE__, "%s is missing", ldd.binds[i].path);
    for (size_t i = 0; i < j.n; i++) {
        const char *p = j.binds[i].path;

        CHECK(j.binds[i].dir
                  ? (str_starts(p, "/usr/share/") || str_starts(p, "/usr/lib/ipxe/"))
                  : (str_eq(p, program) || str_starts(p, "/lib")
                     || str_starts(p, "/usr/lib")));
        CHECK(!str_starts(p, "/usr/share/doc"));
    }
    CHECK(!jail_is_stale(&j, program));
    CHECK(jail_is_stale(&j, "/bin/true"));
    jail_done(&j);
    jail_done(&ldd);
}

TEST(lists_of_the_loader)
{
    struct jail j = { 0 };

    CHECK(jail_add_listed(&j, "\tlinux-vdso.so.1 (0x00007ffc)\n"
                              "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n"
                              "\t/lib64/ld-linux-x86-64.so.2 (0x00007f)"));
    CHECK(has(&j, "/lib/x86_64-linux-gnu/libc.so.6"));
    CHECK(has(&j, "/lib64/ld-linux-x86-64.so.2"));
    CHECK(!jail_add_listed(&j, "\tlibnone.so => not found\n"));
    CHECK(!jail_add_listed(&j, "\tlibnone.so => /nonexistent/libnone.so (0x00)\n"));
    jail_done(&j);
}

TEST(what_is_no_program_has_no_list)
{
    struct jail j;
    AUTO(free_str) char *text = str_fmt("%s/text", test_dir());

    CHECK(io_write_file(text, "text", 4, 0700) == 0);
    CHECK(jail_plan(text, true, &j) < 0);
    CHECK(jail_plan("/nonexistent", true, &j) < 0);
}
