/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "base/test.h"
#include "host/machine.h"
#include "host/machine_reg.h"

static struct machine_stats parse(const char *text)
{
    struct machine_stats out = { 0 };
    json_t *j = json_loads(text, 0, NULL);

    CHECK(j != NULL);
    machine_stats_disks(j, &out);
    json_decref(j);
    return out;
}

TEST(what_qemu_answers)
{
    struct machine_stats s = parse(
        "[{\"device\":\"\",\"node-name\":\"disk3\",\"qdev\":\"/machine/peripheral/"
        "x\",\"stats\":"
        "{\"rd_bytes\":512,\"wr_bytes\":1024,\"rd_operations\":1,\"wr_operations\":2,"
        "\"rd_total_time_ns\":5000,\"wr_total_time_ns\":6000,\"flush_operations\":9}},"
        "{\"device\":\"\",\"node-name\":\"disk31\",\"stats\":{}}]");

    CHECK_INT(s.n_disks, 2);
    CHECK_INT(s.disks[0].slot, 3);
    CHECK_INT(s.disks[0].read_bytes, 512);
    CHECK_INT(s.disks[0].write_bytes, 1024);
    CHECK_INT(s.disks[0].reads, 1);
    CHECK_INT(s.disks[0].writes, 2);
    CHECK_INT(s.disks[0].read_ns, 5000);
    CHECK_INT(s.disks[0].write_ns, 6000);
    CHECK_INT(s.disks[1].slot, 31);
}

TEST(what_it_should_not)
{
    static const char *const none[] = {
        "[]",
        "{}",
        "[1,\"x\",null,[]]",
        "[{\"node-name\":\"disk0\"}]",
        "[{\"node-name\":\"disk64\",\"stats\":{}}]",
        "[{\"node-name\":\"disk-1\",\"stats\":{}}]",
        "[{\"node-name\":\"disk0-file\",\"stats\":{}}]",
        "[{\"node-name\":7,\"stats\":{}}]",
        "[{\"node-name\":\"disk0\",\"stats\":[]}]",
        "[{\"stats\":{}}]",
    };
    struct machine_stats s;
    AUTO(buf_done) struct buf many = BUF_INIT(0);

    for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
        s = parse(none[i]);
        CHECK_INT(s.n_disks, 0);
    }
    s = parse("[{\"node-name\":\"disk0\",\"stats\":{\"rd_bytes\":-5,\"wr_bytes\":\"x\"}}]");
    CHECK(s.n_disks == 1 && s.disks[0].read_bytes == 0 && s.disks[0].write_bytes == 0);
    for (int i = 0; i < 100; i++)
        buf_addf(&many, "%s{\"node-name\":\"disk1\",\"stats\":{}}", i ? "," : "[");
    buf_add_str(&many, "]");
    s = parse(buf_str(&many));
    CHECK_INT(s.n_disks, VMSPEC_DISKS_MAX);
}
