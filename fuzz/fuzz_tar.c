/* SPDX-License-Identifier: Apache-2.0 */
/* Headers of tar archives: what is taken for an entry can be written again, and reads the same. The checksum is put right
 * first, or nothing would get past it. */
#include <string.h>

#include "base/tar.h"
#include "fuzz.h"

#define SUM_AT  148
#define SUM_LEN 8

static void put_right(uint8_t block[static TAR_BLOCK])
{
    unsigned sum = 0;

    memset(block + SUM_AT, ' ', SUM_LEN);
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += block[i];
    (void)snprintf((char *)block + SUM_AT, SUM_LEN, "%06o", sum);
    block[SUM_AT + SUM_LEN - 1] = ' ';
}

static void check(const uint8_t block[static TAR_BLOCK])
{
    struct tar_entry e = { 0 }, again = { 0 };
    uint8_t copy[TAR_BLOCK];

    if (tar_parse(block, &e) != TAR_ENTRY)
        return;
    REQUIRE(memchr(e.name, '\0', sizeof(e.name)) != NULL);
    REQUIRE(tar_padding(e.size) < TAR_BLOCK);
    REQUIRE((e.size % TAR_BLOCK + tar_padding(e.size)) % TAR_BLOCK == 0);
    if (strlen(e.name) >= 100 || !e.name[0] || strncmp(e.name, "./", 2) == 0
        || e.size >> 33)
        return;
    tar_header(copy, e.name, e.size, 0);
    REQUIRE(tar_parse(copy, &again) == TAR_ENTRY);
    REQUIRE(strcmp(e.name, again.name) == 0 && e.size == again.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t block[TAR_BLOCK] = { 0 };

    memcpy(block, data, MIN(size, sizeof(block)));
    check(block);
    put_right(block);
    check(block);
    return 0;
}
