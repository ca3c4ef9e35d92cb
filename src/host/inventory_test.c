/* SPDX-License-Identifier: Apache-2.0 */
#include "host/inventory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/test.h"
#include "base/uuid.h"

TEST(this_machine)
{
    AUTO(inventory_done) struct inventory inv = { 0 };
    struct utsname uts;
    uint64_t available = 0;
    struct uuid u;

    CHECK_INT(inventory_read(&inv, NULL), 0);
    CHECK_INT(uname(&uts), 0);
    CHECK_STR(inv.hostname, uts.nodename);
    CHECK_STR(inv.kernel, uts.release);
    CHECK_INT(inv.cpu_count, sysconf(_SC_NPROCESSORS_ONLN));
    CHECK(inv.cpu_sockets >= 1 && inv.cpu_sockets <= inv.cpu_count);
    CHECK(inv.cpu_model[0] != '\0');
    CHECK(strstr(inv.cpu_flags, "fpu") != NULL);
    CHECK(inv.memory_total_bytes / 4096 == (uint64_t)sysconf(_SC_PHYS_PAGES));
    CHECK(uuid_parse(inv.boot_id, &u));
    CHECK(inv.boot_wall_us > 0 && inv.boot_wall_us < clock_wall_us());
    CHECK_INT(inventory_memory_free(&available), 0);
    CHECK(available > 0 && available <= inv.memory_total_bytes);
    for (size_t i = 0; i < inv.n_nics; i++) {
        CHECK(strcmp(inv.nics[i].name, "lo") != 0);
        CHECK(inv.nics[i].mtu > 0);
        CHECK(i == 0 || strcmp(inv.nics[i - 1].name, inv.nics[i].name) < 0);
    }
}

TEST(qemu_in_the_path)
{
    AUTO(err_done) struct err err = { 0 };
    AUTO(free_str) char *fake = str_fmt("%s/qemu-system-x86_64", test_dir());
    AUTO(free_str) char *path = str_fmt("/nonexistent::%s", test_dir());
    AUTO(free_str) char *found = NULL;

    CHECK_INT(io_write_file(fake, "#!/bin/sh\n", 10, 0755), 0);
    CHECK_INT(setenv("PATH", path, 1), 0);
    found = inventory_qemu(NULL);
    CHECK_STR(found, fake);
    CHECK_INT(setenv("PATH", "/nonexistent", 1), 0);
    CHECK(inventory_qemu(&err) == NULL);
    CHECK_STR(err.code, ERR_INTERNAL_ERROR);
    CHECK(strstr(err.params[0], "qemu-system-x86") != NULL);
}
