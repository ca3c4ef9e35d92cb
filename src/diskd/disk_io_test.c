/* SPDX-License-Identifier: Apache-2.0 */
#include "diskd/disk_io.h"

#include <fcntl.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/test.h"

static uint8_t model[20000], got[20000];

TEST(unaligned_pieces_of_a_direct_file_are_what_was_written)
{
    AUTO(free_str) char *path = str_fmt("%s/x", test_dir());
    const struct vhd_io_ops *ops = disk_io.ops;
    int h = ops->open(NULL, path, VHD_IO_WRITE | VHD_IO_CREATE);
    uint64_t size = 0;

    CHECK(h >= 0);
    for (size_t i = 0; i < 200; i++) {
        size_t at = i * 7919 % 15000, len = 1 + i * 104729 % 4999;
        memset(model + at, (int)i, len);
        CHECK_INT(ops->pwrite(NULL, h, model + at, len, at), 0);
        CHECK_INT(ops->pread(NULL, h, got, len, at), 0);
        CHECK(memcmp(got, model + at, len) == 0);
    }
    CHECK_INT(ops->size(NULL, h, &size), 0);
    CHECK(size % 512 == 0 && size <= sizeof(model));
    CHECK_INT(ops->pread(NULL, h, got, sizeof(got), 0), 0);
    CHECK(memcmp(got, model, sizeof(model)) == 0);
    ops->close(NULL, h);
}

TEST(a_descriptor_that_cannot_do_it_stays_as_it_is)
{
    int fds[2];

    CHECK_INT(pipe(fds), 0);
    int before = fcntl(fds[0], F_GETFL);
    bool direct = disk_io_direct(fds[0]);
    CHECK(direct || fcntl(fds[0], F_GETFL) == before);
    close_fd(&fds[0]);
    close_fd(&fds[1]);
    CHECK(!disk_io_direct(-1));
}
