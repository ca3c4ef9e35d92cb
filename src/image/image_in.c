/* SPDX-License-Identifier: Apache-2.0 */
/* The input of a parser. Bytes come in large pieces and are handed out in exact ones. A decompressor is bounded by its
 * window: zstd's is refused above 128 MiB. Concatenated members of gzip and frames of zstd are one stream. */
#include "image/image.h"

#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "api/errors.h"
#include "base/buf.h"
#include "base/mem.h"

#define PIECE      (256u * 1024)
#define WINDOW_LOG 27

enum packing { PLAIN, GZIP, ZSTD };

struct image_in {
    const struct image_io *io;
    uint64_t at;
    bool ended;
    enum packing packing;
    bool midway; /* within a member or frame */
    z_stream gz;
    ZSTD_DCtx *zstd;
    size_t from, to; /* in raw */
    uint8_t raw[PIECE];
};

struct image_in *image_in_new(const struct image_io *io)
{
    struct image_in *in = mem_alloc(sizeof(*in));

    in->io = io;
    return in;
}

void image_in_free(struct image_in *in)
{
    if (!in)
        return;
    if (in->packing == GZIP)
        (void)inflateEnd(&in->gz);
    (void)ZSTD_freeDCtx(in->zstd);
    free(in);
}

void image_in_cleanup(struct image_in **in)
{
    image_in_free(TAKE(*in));
}

uint64_t image_in_at(const struct image_in *in)
{
    return in->at;
}

/* Something to take in raw, unless it has ended. */
static int fill(struct image_in *in, struct err *err)
{
    ssize_t n;

    if (in->from < in->to || in->ended)
        return 0;
    n = in->io->read(in->io->arg, in->raw, sizeof(in->raw));
    if (n < 0) {
        (void)err_set(err, ERR_IMPORT_ERROR_PREMATURE_EOF);
        return err_detail(err, "reading: %m");
    }
    in->from = 0;
    in->to = (size_t)n;
    in->ended = n == 0;
    return 0;
}

static int broken(struct err *err, const char *what)
{
    AUTO(free_str) char *why = str_fmt("The %s data is damaged", what);

    return err_set(err, ERR_IMPORT_ERROR, why);
}

int image_in_unpack(struct image_in *in, struct err *err)
{
    static const uint8_t gzip[] = { 0x1f, 0x8b }, zstd[] = { 0x28, 0xb5, 0x2f, 0xfd };

    /* A peer may send its first bytes one by one. */
    while (in->to < sizeof(zstd) && !in->ended) {
        ssize_t n = in->io->read(in->io->arg, in->raw + in->to, sizeof(in->raw) - in->to);

        if (n < 0)
            return err_set(err, ERR_IMPORT_ERROR_PREMATURE_EOF);
        in->ended = n == 0;
        in->to += (size_t)n;
    }
    if (in->to >= sizeof(gzip) && memcmp(in->raw, gzip, sizeof(gzip)) == 0) {
        if (inflateInit2(&in->gz, 16 + MAX_WBITS) != Z_OK)
            return err_set(err, ERR_IMPORT_ERROR, "No memory to unpack gzip");
        in->packing = GZIP;
    } else if (in->to >= sizeof(zstd) && memcmp(in->raw, zstd, sizeof(zstd)) == 0) {
        in->zstd = ZSTD_createDCtx();
        if (!in->zstd
            || ZSTD_isError(
                ZSTD_DCtx_setParameter(in->zstd, ZSTD_d_windowLogMax, WINDOW_LOG)))
            return err_set(err, ERR_IMPORT_ERROR, "No memory to unpack zstd");
        in->packing = ZSTD;
    }
    return 0;
}

static ssize_t gunzip(struct image_in *in, void *p, size_t n, struct err *err)
{
    int rc;

    in->gz.next_in = in->raw + in->from;
    in->gz.avail_in = (uInt)(in->to - in->from);
    in->gz.next_out = p;
    in->gz.avail_out = (uInt)n;
    if (!in->midway && in->gz.total_in && inflateReset(&in->gz) != Z_OK)
        return broken(err, "gzip");
    rc = inflate(&in->gz, Z_NO_FLUSH);
    if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
        return broken(err, "gzip");
    in->midway = rc != Z_STREAM_END;
    in->from = in->to - in->gz.avail_in;
    return (ssize_t)(n - in->gz.avail_out);
}

static ssize_t unzstd(struct image_in *in, void *p, size_t n, struct err *err)
{
    ZSTD_inBuffer from = { in->raw, in->to, in->from };
    ZSTD_outBuffer to = { p, n, 0 };
    size_t rc = ZSTD_decompressStream(in->zstd, &to, &from);

    if (ZSTD_isError(rc))
        return broken(err, "zstd");
    in->midway = rc != 0;
    in->from = from.pos;
    return (ssize_t)to.pos;
}

/* Some bytes; 0 only at the end. */
static ssize_t some(struct image_in *in, void *p, size_t n, struct err *err)
{
    for (;;) {
        ssize_t got = 0;
        size_t before;

        if (fill(in, err) != 0)
            return -1;
        before = in->from;
        if (in->packing == PLAIN) {
            got = (ssize_t)MIN(n, in->to - in->from);
            memcpy(p, in->raw + in->from, (size_t)got);
            in->from += (size_t)got;
        } else if (in->from < in->to || in->midway) {
            got = in->packing == GZIP ? gunzip(in, p, n, err) : unzstd(in, p, n, err);
        }
        if (got != 0)
            return got;
        if (in->ended && in->from == before)
            return in->packing != PLAIN && in->midway
                       ? err_set(err, ERR_IMPORT_ERROR_PREMATURE_EOF)
                       : 0;
    }
}

ssize_t image_in_upto(struct image_in *in, void *p, size_t n, struct err *err)
{
    size_t done = 0;

    while (done < n) {
        ssize_t got = some(in, (uint8_t *)p + done, n - done, err);

        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    in->at += done;
    return (ssize_t)done;
}

int image_in_read(struct image_in *in, void *p, size_t n, struct err *err)
{
    ssize_t got = image_in_upto(in, p, n, err);

    if (got < 0 || (size_t)got == n)
        return got < 0 ? -1 : 0;
    (void)err_set(err, ERR_IMPORT_ERROR_PREMATURE_EOF);
    return err_detail(err, "the data ends after %llu bytes", (unsigned long long)in->at);
}

int image_in_skip(struct image_in *in, uint64_t n, struct err *err)
{
    uint8_t away[4096];

    while (n > 0) {
        size_t part = (size_t)MIN(n, (uint64_t)sizeof(away));

        if (image_in_read(in, away, part, err) != 0)
            return -1;
        n -= part;
    }
    return 0;
}

/* Output */

int image_put(const struct image_io *io, enum image_kind kind, uint64_t at, const void *p,
              size_t n, struct err *err)
{
    uint8_t head[IMAGE_RECORD_HEAD];

    image_record_put(&(struct image_record){ kind, (uint32_t)n, at }, head);
    if (io->write(io->arg, head, sizeof(head)) != 0
        || (n > 0 && io->write(io->arg, p, n) != 0))
        return err_set(err, ERR_IMPORT_ERROR, "Nobody takes the data");
    return 0;
}

void image_put_error(const struct image_io *io, const struct err *why)
{
    AUTO(buf_done) struct buf text = BUF_INIT(0);
    const char *code = why->code ? why->code : ERR_IMPORT_ERROR;

    buf_add(&text, code, strlen(code) + 1);
    for (size_t i = 0; i < why->n_params; i++)
        buf_add(&text, why->params[i], strnlen(why->params[i], 1000) + 1);
    if (why->detail) {
        buf_add(&text, "", 1);
        buf_add(&text, why->detail, strlen(why->detail) + 1);
    }
    IGNORE(
        image_put(io, IMAGE_ERROR, 0, buf_str(&text), MIN(text.len, (size_t)8192), NULL));
}
