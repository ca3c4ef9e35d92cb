/* SPDX-License-Identifier: Apache-2.0 */
/* tar: headers of base/tar.h. zip: PKWARE's APPNOTE 6.3, method 0 (stored): local headers, then the central directory. Any
 * thread. */
#include "ops/archive.h"

#include <bzlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/tar.h"

struct archive {
    enum report_format format;
    int64_t mtime_s;
    report_sink_fn sink;
    void *arg;
    bz_stream bz;
    bool bz_open;
    struct buf directory; /* zip: the central directory so far */
    uint64_t written;     /* zip */
    unsigned n;
};

/* bzip2 between the tar and the sink; p NULL: the end. */
static int compress_on(struct archive *a, const void *p, size_t n)
{
    char out[8192];
    int rc;

    union {
        const void *in;
        char *out;
    } cast = { .in = p }; /* the library does not write there, but does not say so */

    a->bz.next_in = cast.out;
    a->bz.avail_in = (unsigned)n;
    do {
        a->bz.next_out = out;
        a->bz.avail_out = sizeof(out);
        rc = BZ2_bzCompress(&a->bz, p ? BZ_RUN : BZ_FINISH);
        if (rc < 0 || a->sink(a->arg, out, sizeof(out) - a->bz.avail_out) != 0)
            return -1;
    } while (p ? a->bz.avail_in > 0 : rc != BZ_STREAM_END);
    return 0;
}

static int put(struct archive *a, const void *p, size_t n)
{
    if (n == 0)
        return 0;
    a->written += n;
    return a->format == REPORT_TAR_BZ2 ? compress_on(a, p, n) : a->sink(a->arg, p, n);
}

struct archive *archive_new(enum report_format format, int64_t mtime_s, report_sink_fn sink,
                            void *arg)
{
    struct archive *a = mem_alloc(sizeof(*a));

    a->format = format;
    a->mtime_s = mtime_s;
    a->sink = sink;
    a->arg = arg;
    a->bz_open = format == REPORT_TAR_BZ2 && BZ2_bzCompressInit(&a->bz, 6, 0, 0) == BZ_OK;
    return a;
}

void archive_free(struct archive *a)
{
    if (!a)
        return;
    if (a->bz_open)
        (void)BZ2_bzCompressEnd(&a->bz);
    buf_done(&a->directory);
    free(a);
}

/* zip */

static uint32_t crc32_of(const uint8_t *p, size_t n)
{
    uint32_t crc = 0xffffffff;

    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (0xedb88320 & (0 - (crc & 1)));
    }
    return ~crc;
}

static void add16(struct buf *b, unsigned v)
{
    buf_add_char(b, (char)(v & 0xff));
    buf_add_char(b, (char)(v >> 8 & 0xff));
}

static void add32(struct buf *b, uint32_t v)
{
    add16(b, v & 0xffff);
    add16(b, v >> 16);
}

/* What local header and directory entry have in common. */
static void add_common(struct buf *b, const struct archive *a, uint32_t crc, size_t n,
                       size_t name_len)
{
    time_t t = (time_t)a->mtime_s;
    struct tm tm = { 0 };

    (void)gmtime_r(&t, &tm);
    add16(b, 20);     /* version 2.0 */
    add16(b, 0x0800); /* names are UTF-8 */
    add16(b, 0);      /* stored */
    add16(b, (unsigned)(tm.tm_hour << 11 | tm.tm_min << 5 | tm.tm_sec / 2));
    add16(b, (unsigned)(MAX(tm.tm_year - 80, 0) << 9 | (tm.tm_mon + 1) << 5 | tm.tm_mday));
    add32(b, crc);
    add32(b, (uint32_t)n);
    add32(b, (uint32_t)n);
    add16(b, (unsigned)name_len);
    add16(b, 0); /* nothing extra */
}

static int zip_add(struct archive *a, const char *name, const void *p, size_t n)
{
    AUTO(buf_done) struct buf head = BUF_INIT(0);
    uint32_t crc = crc32_of(p, n), at = (uint32_t)a->written;

    if (n > UINT32_MAX || a->written + n > INT32_MAX || a->n >= 65535)
        return -1;
    add32(&head, 0x04034b50);
    add_common(&head, a, crc, n, strlen(name));
    buf_add_str(&head, name);
    add32(&a->directory, 0x02014b50);
    add16(&a->directory, 3 << 8 | 20); /* made on Unix */
    add_common(&a->directory, a, crc, n, strlen(name));
    add16(&a->directory, 0); /* no comment */
    add16(&a->directory, 0); /* disk 0 */
    add16(&a->directory, 0);
    add32(&a->directory, UINT32_C(0100600) << 16);
    add32(&a->directory, at);
    buf_add_str(&a->directory, name);
    a->n++;
    return put(a, head.data, head.len) == 0 && put(a, p, n) == 0 ? 0 : -1;
}

static int zip_end(struct archive *a)
{
    AUTO(buf_done) struct buf end = BUF_INIT(0);
    uint32_t at = (uint32_t)a->written;

    add32(&end, 0x06054b50);
    add32(&end, 0);
    add16(&end, a->n);
    add16(&end, a->n);
    add32(&end, (uint32_t)a->directory.len);
    add32(&end, at);
    add16(&end, 0);
    return put(a, a->directory.data, a->directory.len) == 0 ? put(a, end.data, end.len)
                                                            : -1;
}

/* All */

int archive_add(struct archive *a, const char *name, const void *p, size_t n)
{
    static const uint8_t zeroes[TAR_BLOCK];
    uint8_t head[TAR_BLOCK];

    if (a->format == REPORT_ZIP)
        return zip_add(a, name, p, n);
    if (a->format == REPORT_TAR_BZ2 && !a->bz_open)
        return -1;
    tar_header(head, name, n, a->mtime_s);
    return put(a, head, sizeof(head)) == 0 && put(a, p, n) == 0
                   && put(a, zeroes, tar_padding(n)) == 0
               ? 0
               : -1;
}

int archive_end(struct archive *a)
{
    static const uint8_t zeroes[2 * TAR_BLOCK];

    if (a->format == REPORT_ZIP)
        return zip_end(a);
    if (put(a, zeroes, sizeof(zeroes)) != 0)
        return -1;
    return a->format == REPORT_TAR_BZ2 ? compress_on(a, NULL, 0) : 0;
}
