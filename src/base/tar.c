/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX.1-1988 ustar: the layout of a header block, octal numbers, the sum of its bytes. Any thread. */
#include "base/tar.h"

#include <assert.h>
#include <string.h>

enum {
    AT_NAME = 0,
    AT_MODE = 100,
    AT_UID = 108,
    AT_GID = 116,
    AT_SIZE = 124,
    AT_MTIME = 136,
    AT_SUM = 148,
    AT_TYPE = 156,
    AT_MAGIC = 257,
    AT_PREFIX = 345
};

static void put_octal(uint8_t *p, size_t digits, uint64_t v)
{
    for (size_t i = digits; i-- > 0; v >>= 3)
        p[i] = (uint8_t)('0' + (v & 7));
    p[digits] = '\0';
}

static unsigned sum_of(const uint8_t *block)
{
    unsigned sum = 0;

    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += i >= AT_SUM && i < AT_SUM + 8 ? ' ' : block[i];
    return sum;
}

void tar_header(uint8_t out[static TAR_BLOCK], const char *name, uint64_t size,
                int64_t mtime_s)
{
    assert(strlen(name) < 100 && size < UINT64_C(1) << 33);
    memset(out, 0, TAR_BLOCK);
    memcpy(out + AT_NAME, name, strlen(name));
    put_octal(out + AT_MODE, 7, 0600);
    put_octal(out + AT_UID, 7, 0);
    put_octal(out + AT_GID, 7, 0);
    put_octal(out + AT_SIZE, 11, size);
    put_octal(out + AT_MTIME, 11, mtime_s > 0 ? (uint64_t)mtime_s : 0);
    out[AT_TYPE] = '0';
    memcpy(out + AT_MAGIC,
           "ustar\0"
           "00",
           8);
    put_octal(out + AT_SUM, 6, sum_of(out));
    out[AT_SUM + 7] = ' ';
}

size_t tar_padding(uint64_t size)
{
    return (size_t)((TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK);
}

/* Octal digits between blanks and NULs. GNU's binary sizes are for files that no archive here may hold. */
static bool get_octal(const uint8_t *p, size_t len, uint64_t *out)
{
    uint64_t v = 0;
    size_t i = 0, digits = 0;

    while (i < len && p[i] == ' ')
        i++;
    for (; i < len && p[i] >= '0' && p[i] <= '7'; i++, digits++)
        v = v << 3 | (uint64_t)(p[i] - '0');
    for (; i < len; i++)
        if (p[i] != ' ' && p[i] != '\0')
            return false;
    *out = v;
    return digits > 0;
}

enum tar_parsed tar_parse(const uint8_t block[static TAR_BLOCK], struct tar_entry *out)
{
    struct tar_entry e = { 0 };
    size_t n = 0;
    uint64_t sum;
    bool empty = true;

    for (size_t i = 0; i < TAR_BLOCK && empty; i++)
        empty = block[i] == 0;
    if (empty)
        return TAR_END;
    if (!get_octal(block + AT_SUM, 8, &sum) || sum != sum_of(block)
        || !get_octal(block + AT_SIZE, 12, &e.size))
        return TAR_BAD;
    if (memcmp(block + AT_MAGIC, "ustar", 6) == 0 && block[AT_PREFIX]) {
        n = strnlen((const char *)block + AT_PREFIX, 155);
        memcpy(e.name, block + AT_PREFIX, n);
        e.name[n++] = '/';
    }
    memcpy(e.name + n, block + AT_NAME, strnlen((const char *)block + AT_NAME, 100));
    if (strncmp(e.name, "./", 2) == 0)
        memmove(e.name, e.name + 2, strlen(e.name) - 1);
    e.type = block[AT_TYPE] ? (char)block[AT_TYPE] : '0';
    *out = e;
    return TAR_ENTRY;
}
