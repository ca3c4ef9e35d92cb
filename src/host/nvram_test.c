/* SPDX-License-Identifier: Apache-2.0 */
#include "host/nvram.h"

#include <string.h>

#include "base/mem.h"
#include "base/test.h"
#include "base/uuid.h"

enum { SIZE = 5000 };

TEST(a_file_comes_back_from_its_text)
{
    static const struct {
        size_t at, n;
    } runs[][3] = {
        { { 0, 0 } },
        { { 0, SIZE } },
        { { 0, 1 }, { SIZE - 1, 1 } },
        { { 10, 100 }, { 130, 5 }, { 4000, 33 } },
    };

    for (size_t i = 0; i < ARRAY_SIZE(runs); i++) {
        uint8_t file[SIZE];
        AUTO(buf_done) struct buf out = BUF_INIT(SIZE);

        memset(file, 0xff, sizeof(file));
        for (size_t k = 0; k < 3; k++)
            memset(file + runs[i][k].at, (int)(k + 1), runs[i][k].n);
        for (int secure = 0; secure < 2; secure++) {
            AUTO(free_str) char *text = nvram_encode(file, sizeof(file), secure);

            CHECK(nvram_decode(text, secure, SIZE, &out));
            CHECK_INT(out.len, SIZE);
            CHECK(memcmp(out.data, file, SIZE) == 0);
            CHECK(!nvram_decode(text, !secure, SIZE, &out));
            CHECK(!nvram_decode(text, secure, SIZE + 1, &out));
        }
    }
}

/* Every text with one character changed, and every one that is cut: refused, or a file of the right size. */
TEST(texts_of_others)
{
    uint8_t file[SIZE];
    AUTO(buf_done) struct buf out = BUF_INIT(SIZE);

    memset(file, 0xff, sizeof(file));
    memset(file + 4990, 1, 10);
    memset(file + 17, 2, 40);
    AUTO(free_str) char *text = nvram_encode(file, sizeof(file), false);
    size_t n = strlen(text);

    CHECK(n < 120);
    for (size_t i = 0; i < n; i++) {
        for (const char *c = "A/+z=\n "; *c; c++) {
            AUTO(free_str) char *other = str_dup(text);

            other[i] = *c;
            if (nvram_decode(other, false, SIZE, &out))
                CHECK_INT(out.len, SIZE);
        }
        AUTO(free_str) char *cut = str_dupn(text, i);
        if (nvram_decode(cut, false, SIZE, &out))
            CHECK_INT(out.len, SIZE);
    }
    CHECK(!nvram_decode("", false, SIZE, &out));
    CHECK(!nvram_decode("AAAA", false, SIZE, &out));
}

static unsigned seen;

static void count(const char *uuid, void *arg)
{
    CHECK_STR(uuid, arg);
    seen++;
}

TEST(files)
{
    const char *dir = test_dir(), *uuid = "00000000-1111-4222-8333-444444444444";
    AUTO(err_done) struct err err = { 0 };
    int fd = -1;

    CHECK(nvram_text(dir, uuid) == NULL);
    for (int secure = 0; secure < 2; secure++) {
        AUTO(free_str) char *first = NULL, *second = NULL, *third = NULL;

        CHECK(nvram_installed(secure));
        CHECK_INT(nvram_make(dir, uuid, NULL, secure, &fd, &err), 0);
        first = nvram_text(dir, uuid);
        CHECK(first);
        CHECK_INT(pwrite(fd, "changed", 7, 70000), 7);
        close(fd);
        second = nvram_text(dir, uuid);
        CHECK(strcmp(first, second) != 0);
        CHECK_INT(nvram_make(dir, uuid, second, secure, &fd, &err), 0);
        close(fd);
        third = nvram_text(dir, uuid);
        CHECK_STR(third, second);
        CHECK_INT(nvram_make(dir, uuid, "nonsense", secure, &fd, &err), 0);
        close(fd);
        free_str(&third);
        third = nvram_text(dir, uuid);
        CHECK_STR(third, first);
    }
    nvram_each(dir, count, (void *)(uintptr_t)uuid);
    CHECK_INT(seen, 1);
    nvram_remove(dir, uuid);
    CHECK(nvram_text(dir, uuid) == NULL);
}
