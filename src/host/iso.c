/* SPDX-License-Identifier: Apache-2.0 */
/* ECMA-119 (ISO 9660) and Joliet: sectors of 2 KiB. 16 are the system's, then the primary descriptor, Joliet's and the end of
 * descriptors, two path tables for each (both byte orders), two root directories of one sector, then the files, which both
 * directories name. The same input is the same image: all dates are 1 January 1980. */
#include "host/iso.h"

#include <assert.h>
#include <string.h>

#include "base/parse.h"

#define SECTOR 2048

enum {
    AT_PRIMARY = 16,
    AT_JOLIET,
    AT_END,
    AT_PATHS, /* little and big endian, of the primary tree, then of Joliet's */
    AT_ROOT = AT_PATHS + 4,
    AT_JOLIET_ROOT,
    AT_FILES,
};

static void le16_put(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static void le32_put(uint8_t *p, uint32_t v)
{
    le16_put(p, (uint16_t)v);
    le16_put(p + 2, (uint16_t)(v >> 16));
}

/* Numbers stand twice, in both byte orders. */
static void both16(uint8_t *p, uint16_t v)
{
    le16_put(p, v);
    put_be16(p + 2, v);
}

static void both32(uint8_t *p, uint32_t v)
{
    le32_put(p, v);
    put_be32(p + 4, v);
}

static size_t sectors(size_t bytes)
{
    return (bytes + SECTOR - 1) / SECTOR;
}

static size_t wide(const char *name, uint8_t *out)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < n; i++)
        put_be16(out + 2 * i, (uint8_t)name[i]);
    return 2 * n;
}

/* "user-data" -> "USER_DAT.;1" */
static size_t narrow(const char *name, uint8_t *out)
{
    size_t n = 0;

    for (; n < 8 && name[n]; n++) {
        char c = name[n];

        out[n] = (uint8_t)(c >= 'a' && c <= 'z' ? c - 'a' + 'A'
                           : (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ? c
                                                                              : '_');
    }
    memcpy(out + n, ".;1", 3);
    return n + 3;
}

/* A directory's entry; its length. */
static size_t entry(uint8_t *p, size_t sector, size_t bytes, bool dir, const uint8_t *name,
                    size_t name_len)
{
    size_t len = (33 + name_len + 1) & ~(size_t)1;

    p[0] = (uint8_t)len;
    both32(p + 2, (uint32_t)sector);
    both32(p + 10, (uint32_t)bytes);
    p[18] = 80; /* years since 1900 */
    p[19] = p[20] = 1;
    p[25] = dir ? 2 : 0;
    both16(p + 28, 1);
    p[32] = (uint8_t)name_len;
    memcpy(p + 33, name, name_len);
    return len;
}

static void root(uint8_t *image, size_t at, bool joliet, const struct iso_file *files,
                 size_t n)
{
    static const uint8_t self[1] = { 0 }, parent[1] = { 1 };
    uint8_t *p = image + at * SECTOR;
    size_t file_at = AT_FILES;

    p += entry(p, at, SECTOR, true, self, 1);
    p += entry(p, at, SECTOR, true, parent, 1);
    for (size_t i = 0; i < n; i++) {
        uint8_t name[2 * ISO_NAME_MAX];
        size_t len = joliet ? wide(files[i].name, name) : narrow(files[i].name, name);

        p += entry(p, file_at, files[i].len, false, name, len);
        file_at += sectors(files[i].len);
    }
}

static void paths(uint8_t *image, size_t at, size_t root_at)
{
    for (size_t big = 0; big < 2; big++) {
        uint8_t *p = image + (at + big) * SECTOR;

        p[0] = 1;
        if (big) {
            put_be32(p + 2, (uint32_t)root_at);
            put_be16(p + 6, 1);
        } else {
            le32_put(p + 2, (uint32_t)root_at);
            le16_put(p + 6, 1);
        }
    }
}

static void fill(uint8_t *p, size_t n, bool joliet)
{
    for (size_t i = 0; i < n; i++)
        p[i] = joliet && i % 2 == 0 ? 0 : ' ';
}

static void descriptor(uint8_t *image, bool joliet, const char *label, size_t total)
{
    static const uint8_t self[1] = { 0 };
    uint8_t *p = image + (size_t)(joliet ? AT_JOLIET : AT_PRIMARY) * SECTOR;
    size_t root_at = joliet ? AT_JOLIET_ROOT : AT_ROOT;
    size_t paths_at = AT_PATHS + (joliet ? 2 : 0);

    p[0] = joliet ? 2 : 1;
    memcpy(p + 1, "CD001\1", 6);
    fill(p + 8, 64, joliet);
    if (joliet)
        (void)wide(label, p + 40);
    else
        memcpy(p + 40, label, strlen(label));
    both32(p + 80, (uint32_t)total);
    if (joliet)
        memcpy(p + 88, "%/E", 3);
    both16(p + 120, 1);
    both16(p + 124, 1);
    both16(p + 128, SECTOR);
    both32(p + 132, 10);
    le32_put(p + 140, (uint32_t)paths_at);
    put_be32(p + 148, (uint32_t)paths_at + 1);
    (void)entry(p + 156, root_at, SECTOR, true, self, 1);
    fill(p + 190, 623, joliet);
    for (size_t i = 0; i < 4; i++) /* dates: not given */
        memset(p + 813 + 17 * i, '0', 16);
    p[881] = 1;
    paths(image, paths_at, root_at);
}

void iso_write(const char *label, const struct iso_file *files, size_t n, struct buf *out)
{
    size_t total = AT_FILES;

    assert(n <= ISO_FILES_MAX && strlen(label) <= ISO_NAME_MAX);
    for (size_t i = 0; i < n; i++) {
        assert(strlen(files[i].name) <= ISO_NAME_MAX);
        total += sectors(files[i].len);
    }
    buf_clear(out);
    uint8_t *image = buf_reserve(out, total * SECTOR);
    if (!image)
        return;
    memset(image, 0, total * SECTOR);
    out->len = total * SECTOR;
    descriptor(image, false, label, total);
    descriptor(image, true, label, total);
    memcpy(image + (size_t)AT_END * SECTOR,
           "\xff"
           "CD001\1",
           7);
    root(image, AT_ROOT, false, files, n);
    root(image, AT_JOLIET_ROOT, true, files, n);
    uint8_t *at = image + (size_t)AT_FILES * SECTOR;
    for (size_t i = 0; i < n; i++) {
        if (files[i].len)
            memcpy(at, files[i].data, files[i].len);
        at += sectors(files[i].len) * SECTOR;
    }
}
