/* SPDX-License-Identifier: Apache-2.0 */
#include "model/reserve.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/test.h"

static uint64_t size_of(const struct reserve *r)
{
    struct stat st = { 0 };

    CHECK(fstat(r->fd, &st) == 0);
    return (uint64_t)st.st_size;
}

/* A limit to the size of files is a disk that is full. */
static void limit_files(rlim_t bytes)
{
    struct rlimit l;

    CHECK(getrlimit(RLIMIT_FSIZE, &l) == 0);
    l.rlim_cur = bytes;
    (void)signal(SIGXFSZ, SIG_IGN);
    CHECK(setrlimit(RLIMIT_FSIZE, &l) == 0);
}

TEST(kept_over_starts)
{
    struct reserve r;

    for (int i = 0; i < 2; i++) {
        reserve_open(&r, test_dir());
        CHECK(reserve_keep(&r));
        CHECK_INT(size_of(&r), RESERVE_BYTES);
        reserve_use(&r); /* there is room here, or the tests would not run */
        CHECK_INT(size_of(&r), RESERVE_BYTES);
        reserve_close(&r);
    }
}

TEST(none_on_a_full_disk_until_there_is_room)
{
    struct reserve r;

    limit_files(4096);
    reserve_open(&r, test_dir());
    CHECK(!reserve_keep(&r));
    CHECK_INT(errno, EFBIG);
    reserve_use(&r);
    limit_files(RLIM_INFINITY);
    CHECK(reserve_keep(&r));
    CHECK_INT(size_of(&r), RESERVE_BYTES);
    reserve_close(&r);
}

TEST(where_it_cannot_be_calls_go_on)
{
    struct reserve r;

    reserve_open(&r, "/nowhere/at/all");
    CHECK(reserve_keep(&r));
    reserve_use(&r);
    reserve_close(&r);
}
