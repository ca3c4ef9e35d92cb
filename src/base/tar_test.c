/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tar.h"

#include <string.h>

#include "base/test.h"

TEST(what_is_written_is_read)
{
    static const struct {
        const char *name;
        uint64_t size;
        size_t padding;
    } rows[] = { { "ova.xml", 0, 0 },
                 { "a/b", 1, 511 },
                 { "./x", 512, 0 },
                 { "y", (UINT64_C(1) << 33) - 1, 1 } };

    uint8_t block[TAR_BLOCK];
    struct tar_entry e;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        tar_header(block, rows[i].name, rows[i].size, 1700000000);
        CHECK_INT(tar_parse(block, &e), TAR_ENTRY);
        CHECK_STR(e.name, strcmp(rows[i].name, "./x") == 0 ? "x" : rows[i].name);
        CHECK_INT(e.size, rows[i].size);
        CHECK_INT(e.type, '0');
        CHECK_INT(tar_padding(rows[i].size), rows[i].padding);
    }
}

TEST(bad_headers)
{
    uint8_t block[TAR_BLOCK], bad[TAR_BLOCK];
    struct tar_entry e;

    memset(block, 0, sizeof(block));
    CHECK_INT(tar_parse(block, &e), TAR_END);
    tar_header(block, "name", 77, 0);
    for (size_t i = 0; i < TAR_BLOCK; i++) { /* the sum is over all of it */
        memcpy(bad, block, sizeof(bad));
        bad[i] ^= 1;
        if (i < 148 || i > 155)
            CHECK_INT(tar_parse(bad, &e), TAR_BAD);
    }
    memset(block, 0xff, sizeof(block));
    CHECK_INT(tar_parse(block, &e), TAR_BAD);
}

TEST(a_prefix_and_a_full_name)
{
    uint8_t block[TAR_BLOCK];
    struct tar_entry e;

    tar_header(block, "name", 5, 0);
    memset(block, 'n', 100);
    memset(block + 345, 'p', 155);
    /* the sum again */
    unsigned sum = 0;
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += i >= 148 && i < 156 ? ' ' : block[i];
    (void)snprintf((char *)block + 148, 8, "%06o", sum);
    CHECK_INT(tar_parse(block, &e), TAR_ENTRY);
    CHECK_INT(strlen(e.name), 256);
    CHECK(e.name[155] == '/');
}
