/* SPDX-License-Identifier: Apache-2.0 */
/* zlib and zstd at the levels that keep up with a network: 1 and 1. Their failures are ours alone (no memory). */
#include "host/pack.h"

#include <assert.h>
#include <zlib.h>
#include <zstd.h>

#include "base/mem.h"

#define OUT_BYTES (256u * 1024)

struct pack {
    enum pack_kind kind;
    pack_write_fn write;
    void *arg;
    z_stream gz;
    ZSTD_CCtx *zstd;
    uint8_t out[OUT_BYTES];
};

enum pack_kind pack_kind(const char *name)
{
    static const struct {
        const char *name;
        enum pack_kind kind;
    } rows[] = { { "false", PACK_NONE }, { "no", PACK_NONE },   { "", PACK_NONE },
                 { "true", PACK_GZIP },  { "gzip", PACK_GZIP }, { "zstd", PACK_ZSTD } };

    for (size_t i = 0; name && i < ARRAY_SIZE(rows); i++)
        if (str_eq(rows[i].name, name))
            return rows[i].kind;
    return name ? PACK_UNKNOWN : PACK_NONE;
}

struct pack *pack_new(enum pack_kind kind, pack_write_fn write, void *arg)
{
    struct pack *p = mem_alloc(sizeof(*p));

    p->kind = kind;
    p->write = write;
    p->arg = arg;
    if (kind == PACK_GZIP) {
        int rc = deflateInit2(&p->gz, 1, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);

        assert(rc == Z_OK);
        (void)rc;
    } else if (kind == PACK_ZSTD) {
        p->zstd = ZSTD_createCCtx();
        assert(p->zstd);
        (void)ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_compressionLevel, 1);
        (void)ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_checksumFlag, 1);
    }
    return p;
}

void pack_free(struct pack **pp)
{
    struct pack *p = TAKE(*pp);

    if (!p)
        return;
    if (p->kind == PACK_GZIP)
        (void)deflateEnd(&p->gz);
    (void)ZSTD_freeCCtx(p->zstd);
    free(p);
}

static int gzip(struct pack *p, const void *data, size_t n, int flush, struct err *err)
{
    int rc;

    p->gz.next_in = (uint8_t *)(uintptr_t)data;
    p->gz.avail_in = (uInt)n;
    do {
        p->gz.next_out = p->out;
        p->gz.avail_out = sizeof(p->out);
        rc = deflate(&p->gz, flush);
        if (p->gz.avail_out < sizeof(p->out)
            && p->write(p->arg, p->out, sizeof(p->out) - p->gz.avail_out, err) != 0)
            return -1;
    } while (p->gz.avail_out == 0 || (flush == Z_FINISH && rc != Z_STREAM_END));
    return 0;
}

static int zstd(struct pack *p, const void *data, size_t n, ZSTD_EndDirective how,
                struct err *err)
{
    ZSTD_inBuffer in = { data, n, 0 };
    size_t left;

    do {
        ZSTD_outBuffer out = { p->out, sizeof(p->out), 0 };

        left = ZSTD_compressStream2(p->zstd, &out, &in, how);
        assert(!ZSTD_isError(left));
        if (out.pos && p->write(p->arg, p->out, out.pos, err) != 0)
            return -1;
    } while (how == ZSTD_e_end ? left != 0 : in.pos < in.size);
    return 0;
}

int pack_write(struct pack *p, const void *data, size_t n, struct err *err)
{
    return p->kind == PACK_GZIP   ? gzip(p, data, n, Z_NO_FLUSH, err)
           : p->kind == PACK_ZSTD ? zstd(p, data, n, ZSTD_e_continue, err)
                                  : p->write(p->arg, data, n, err);
}

int pack_end(struct pack *p, struct err *err)
{
    return p->kind == PACK_GZIP   ? gzip(p, "", 0, Z_FINISH, err)
           : p->kind == PACK_ZSTD ? zstd(p, "", 0, ZSTD_e_end, err)
                                  : 0;
}
