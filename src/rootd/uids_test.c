/* SPDX-License-Identifier: Apache-2.0 */
#include "rootd/uids.h"

#include <errno.h>

#include "base/mem.h"
#include "base/test.h"

#define A "00000000-0000-4000-8000-00000000000a"
#define B "00000000-0000-4000-8000-00000000000b"
#define C "00000000-0000-4000-8000-00000000000c"

TEST(no_two_machines_have_one)
{
    const char *dir = test_dir();
    uint32_t a, b, c;

    CHECK(uids_take(dir, A, 1000, 2, &a) == 0);
    CHECK(uids_take(dir, B, 1000, 2, &b) == 0);
    CHECK(a != b && a >= 1000 && a < 1002 && b >= 1000 && b < 1002);
    CHECK(uids_take(dir, C, 1000, 2, &c) < 0 && errno == EUSERS);
    CHECK(uids_release(dir, A) == 0);
    CHECK(uids_take(dir, B, 1000, 2, &c) < 0 && errno == EEXIST);
    CHECK(uids_take(dir, C, 1000, 2, &c) == 0); /* the refused one left nothing */
    CHECK_INT(c, a);
    CHECK(uids_release(dir, A) == 0); /* again: fine, and no one else's goes */
    CHECK(uids_release(dir, B) == 0);
    CHECK(uids_take(dir, A, 1000, 2, &a) == 0);
    CHECK_INT(a, b);
}

TEST(what_a_crash_left_is_swept)
{
    const char *dir = test_dir();
    AUTO(free_str) char *half = str_fmt("%s/5000", dir);
    AUTO(free_str) char *stale = str_fmt("%s/" B, dir);
    uint32_t uid;

    CHECK(symlink(A, half) == 0); /* taken, its way back not written */
    CHECK(uids_take(dir, A, 5000, 1, &uid) < 0 && errno == EUSERS);
    CHECK(uids_sweep(dir) == 0);
    CHECK(uids_take(dir, A, 5000, 1, &uid) == 0);
    CHECK(symlink("5000", stale)
          == 0); /* released in half: its number is another's by now */
    CHECK(uids_release(dir, B) == 0);
    CHECK(uids_sweep(dir) == 0);
    CHECK(uids_take(dir, B, 5000, 1, &uid) < 0 && errno == EUSERS);
    CHECK(access(stale, F_OK) < 0);
}
