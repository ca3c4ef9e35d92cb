/* SPDX-License-Identifier: Apache-2.0 */
/* Layouts.
 *   VHD (specification 1.0): footer, header at 512, block table at 1536, parent locators, then the blocks in ascending order
 *     with nothing between them, each whole with a bitmap of ones, and the footer again. Readers of streams rely on the
 *     order, and some of them look at no bitmap.
 *   qcow2 (docs/interop/qcow2.txt of QEMU): header, refcount table and blocks, L1, L2 tables, data; clusters of 64 KiB, each
 *     used once. */
#include "host/sr_export.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "api/errors.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/tar.h"
#include "vhd/vhd_image.h"

#define CLUSTER    UINT64_C(65536)
#define L2_ENTRIES (CLUSTER / 8)
#define PER_REFS   (CLUSTER / 2)
#define L1_MAX     (CLUSTER / 8 * 512)
#define USED_ONCE  (UINT64_C(1) << 63)
#define VHD_TABLE  UINT64_C(1536)
#define BITMAP     512
#define TAR_PIECE  (UINT64_C(1) << 20)

struct qcow2 {
    uint64_t refs_table, refs, l1, l2, data; /* clusters of each */
    uint64_t l1_entries;
};

struct sr_export {
    struct sr_export_spec spec;
    uint64_t size; /* of the disk */
    uint8_t *bits; /* of pieces */
    size_t n, n_used;
    struct qcow2 q;
    const struct sr_export_sink *sink;
    uint64_t sent;
    uint8_t piece[SR_IMAGE_PIECE];
};

enum sr_export_format sr_export_format(const char *name)
{
    static const char *const names[] = { [SR_EXPORT_RAW] = "raw",
                                         [SR_EXPORT_VHD] = "vhd",
                                         [SR_EXPORT_QCOW2] = "qcow2",
                                         [SR_EXPORT_TAR] = "tar" };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (str_eq(name, names[i]))
            return (enum sr_export_format)i;
    return SR_EXPORT_NONE;
}

static bool used(const struct sr_export *e, uint64_t piece)
{
    return piece < e->n && (e->bits[piece / 8] & (0x80 >> piece % 8));
}

static uint64_t piece_bytes(const struct sr_export *e, uint64_t piece)
{
    return MIN(SR_IMAGE_PIECE, e->size - piece * SR_IMAGE_PIECE);
}

static uint64_t up(uint64_t n, uint64_t to)
{
    return (n + to - 1) / to;
}

static int put(struct sr_export *e, const void *p, uint64_t n, struct err *err)
{
    e->sent += n;
    return e->sink->write(e->sink->arg, p, (size_t)n, err);
}

static int put_zeroes(struct sr_export *e, uint64_t n, struct err *err)
{
    static const uint8_t zeroes[65536];

    while (n > 0) {
        uint64_t part = MIN(n, (uint64_t)sizeof(zeroes));

        if (put(e, zeroes, part, err) != 0)
            return -1;
        n -= part;
    }
    return 0;
}

static int step(const struct sr_export_sink *sink, double fraction, struct err *err)
{
    return sink->step ? sink->step(sink->arg, fraction, err) : 0;
}

/* The piece with zeroes behind the end of the disk. */
static int read_piece(struct sr_export *e, uint64_t piece, struct err *err)
{
    uint64_t n = piece_bytes(e, piece);

    if (step(e->sink, (double)piece / (double)e->n, err) != 0)
        return -1;
    memset(e->piece + n, 0, SR_IMAGE_PIECE - n);
    return sr_image_read(e->spec.image, e->piece, n, piece * SR_IMAGE_PIECE, err);
}

/* Raw */

static int send_raw(struct sr_export *e, struct err *err)
{
    for (uint64_t k = 0; k < e->n; k++) {
        uint64_t n = piece_bytes(e, k);

        if (!used(e, k) ? step(e->sink, (double)k / (double)e->n, err) != 0
                              || put_zeroes(e, n, err) != 0
                        : read_piece(e, k, err) != 0 || put(e, e->piece, n, err) != 0)
            return -1;
    }
    return 0;
}

/* VHD */

static uint64_t vhd_locators_at(const struct sr_export *e)
{
    return VHD_TABLE + up((uint64_t)e->n * 4, VHD_SECTOR) * VHD_SECTOR;
}

static uint64_t vhd_blocks_at(const struct sr_export *e)
{
    return vhd_locators_at(e) + (e->spec.base ? 2 * VHD_LOCATOR_BYTES : 0);
}

static uint64_t vhd_bytes(const struct sr_export *e)
{
    return vhd_blocks_at(e) + e->n_used * (BITMAP + SR_IMAGE_PIECE) + VHD_FOOTER_BYTES;
}

static void vhd_header(const struct sr_export *e, const char *base,
                       uint8_t out[static VHD_HEADER_BYTES], uint8_t *locators)
{
    static const uint32_t codes[] = { VHD_LOC_W2KU, VHD_LOC_W2RU };
    struct vhd_header h = { .bat_offset = VHD_TABLE,
                            .entries = (uint32_t)e->n,
                            .block_bytes = VHD_BLOCK_BYTES };

    for (size_t i = 0; e->spec.base && i < ARRAY_SIZE(codes); i++)
        h.loc[i] = (struct vhd_locator){
            .code = codes[i],
            .space = VHD_LOCATOR_BYTES,
            .length = (uint32_t)vhd_format_locator_make(codes[i], base,
                                                        locators + i * VHD_LOCATOR_BYTES),
            .offset = vhd_locators_at(e) + i * VHD_LOCATOR_BYTES,
        };
    if (e->spec.base) {
        h.parent_uuid = e->spec.base_uuid;
        memcpy(h.parent_name, base, strlen(base) + 1);
    }
    vhd_format_header_write(&h, out);
}

static int vhd_table(struct sr_export *e, struct err *err)
{
    uint64_t sector = vhd_blocks_at(e) / VHD_SECTOR;
    AUTO(buf_done) struct buf table = BUF_INIT(0);

    for (uint64_t k = 0; k < up(e->n * 4, VHD_SECTOR) * VHD_SECTOR / 4; k++) {
        uint32_t at = used(e, k) ? (uint32_t)sector : VHD_ABSENT;
        const uint8_t entry[] = { (uint8_t)(at >> 24), (uint8_t)(at >> 16),
                                  (uint8_t)(at >> 8), (uint8_t)at };

        buf_add(&table, entry, sizeof(entry));
        if (used(e, k))
            sector += (BITMAP + SR_IMAGE_PIECE) / VHD_SECTOR;
    }
    return put(e, buf_str(&table), table.len, err);
}

static int send_vhd(struct sr_export *e, struct err *err)
{
    struct vhd_footer f = { .data_offset = VHD_FOOTER_BYTES,
                            .timestamp = vhd_format_now(),
                            .creator = "win ",
                            .creator_version = 0x000a0000,
                            .creator_os = 0x5769326b,
                            .original_bytes = e->size,
                            .current_bytes = e->size,
                            .type = e->spec.base ? VHD_DIFFERENCING : VHD_DYNAMIC,
                            .uuid = e->spec.uuid };
    uint8_t footer[VHD_FOOTER_BYTES], header[VHD_HEADER_BYTES], ones[BITMAP];
    uint8_t locators[2 * VHD_LOCATOR_BYTES] = { 0 };
    char base[UUID_TEXT_SIZE + 4], text[UUID_TEXT_SIZE];

    uuid_text(&e->spec.base_uuid, text);
    (void)snprintf(base, sizeof(base), "%s.vhd", text);
    memset(ones, 0xff, sizeof(ones));
    vhd_format_geometry(e->size, &f);
    vhd_format_footer_write(&f, footer);
    vhd_header(e, base, header, locators);
    if (put(e, footer, sizeof(footer), err) != 0 || put(e, header, sizeof(header), err) != 0
        || vhd_table(e, err) != 0
        || (e->spec.base && put(e, locators, sizeof(locators), err) != 0))
        return -1;
    for (uint64_t k = 0; k < e->n; k++)
        if (used(e, k)
            && (read_piece(e, k, err) != 0 || put(e, ones, sizeof(ones), err) != 0
                || put(e, e->piece, SR_IMAGE_PIECE, err) != 0))
            return -1;
    return put(e, footer, sizeof(footer), err);
}

/* qcow2 */

static uint64_t q_piece_clusters(const struct sr_export *e, uint64_t piece)
{
    return up(piece_bytes(e, piece), CLUSTER);
}

/* Does an L2 table hold anything? It covers 512 MiB. */
static bool q_used(const struct sr_export *e, uint64_t table)
{
    uint64_t per = L2_ENTRIES * CLUSTER / SR_IMAGE_PIECE;

    for (uint64_t k = table * per; k < (table + 1) * per; k++)
        if (used(e, k))
            return true;
    return false;
}

static uint64_t q_head(const struct qcow2 *q)
{
    return 1 + q->refs_table + q->refs + q->l1 + q->l2;
}

static void q_plan(struct sr_export *e)
{
    struct qcow2 *q = &e->q;

    q->l1_entries = up(e->size, L2_ENTRIES * CLUSTER);
    q->l1 = MAX(up(q->l1_entries * 8, CLUSTER), UINT64_C(1));
    for (uint64_t t = 0; t < q->l1_entries; t++)
        q->l2 += q_used(e, t);
    for (uint64_t k = 0; k < e->n; k++)
        q->data += used(e, k) ? q_piece_clusters(e, k) : 0;
    q->refs = q->refs_table = 1;
    /* The counts are counted too: both grow until all fit. */
    for (;;) {
        uint64_t refs = up(q_head(q) + q->data, PER_REFS), table = up(refs * 8, CLUSTER);

        if (refs <= q->refs && table <= q->refs_table)
            return;
        q->refs = refs;
        q->refs_table = table;
    }
}

static void be(uint8_t *p, uint64_t v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(v >> (n - 1 - i) * 8);
}

static int q_header(struct sr_export *e, struct err *err)
{
    const struct qcow2 *q = &e->q;
    uint8_t h[112] = { 'Q', 'F', 'I', 0xfb };

    be(h + 4, 3, 4);
    be(h + 20, 16, 4); /* bits of a cluster's size */
    be(h + 24, e->size, 8);
    be(h + 36, q->l1_entries, 4);
    be(h + 40, (1 + q->refs_table + q->refs) * CLUSTER, 8);
    be(h + 48, CLUSTER, 8);
    be(h + 56, q->refs_table, 4);
    be(h + 96, 4, 4); /* a count has 16 bits */
    be(h + 100, 104, 4);
    return put(e, h, sizeof(h), err) == 0 ? put_zeroes(e, CLUSTER - sizeof(h), err) : -1;
}

/* n numbers from first on, step apart, then zeroes up to the end of the clusters. */
static int q_row(struct sr_export *e, uint64_t first, uint64_t by, uint64_t n, size_t width,
                 struct err *err)
{
    AUTO(buf_done) struct buf row = BUF_INIT(0);
    uint8_t word[8];

    for (uint64_t i = 0; i < n; i++) {
        be(word, first + i * by, width);
        buf_add(&row, word, width);
        if (row.len >= CLUSTER) {
            if (put(e, buf_str(&row), row.len, err) != 0)
                return -1;
            buf_clear(&row);
        }
    }
    if (row.len && put(e, buf_str(&row), row.len, err) != 0)
        return -1;
    return put_zeroes(e, up(n * width, CLUSTER) * CLUSTER - n * width, err);
}

static int q_l1(struct sr_export *e, struct err *err)
{
    uint64_t at = (1 + e->q.refs_table + e->q.refs + e->q.l1) * CLUSTER;
    AUTO(buf_done) struct buf row = BUF_INIT(0);
    uint8_t word[8];

    for (uint64_t t = 0; t < e->q.l1_entries; t++) {
        bool there = q_used(e, t);

        be(word, there ? at | USED_ONCE : 0, 8);
        buf_add(&row, word, sizeof(word));
        at += there ? CLUSTER : 0;
    }
    return put(e, buf_str(&row), row.len, err) == 0
               ? put_zeroes(e, e->q.l1 * CLUSTER - row.len, err)
               : -1;
}

static int q_l2(struct sr_export *e, struct err *err)
{
    uint64_t at = q_head(&e->q) * CLUSTER, per = SR_IMAGE_PIECE / CLUSTER;
    AUTO(free_ptr) uint8_t *table = mem_alloc(CLUSTER);

    for (uint64_t t = 0; t < e->q.l1_entries; t++) {
        if (!q_used(e, t))
            continue;
        memset(table, 0, CLUSTER);
        for (uint64_t i = 0; i < L2_ENTRIES; i++) {
            uint64_t cluster = t * L2_ENTRIES + i;

            if (!used(e, cluster / per) || cluster * CLUSTER >= e->size)
                continue;
            be(table + i * 8, at | USED_ONCE, 8);
            at += CLUSTER;
        }
        if (put(e, table, CLUSTER, err) != 0)
            return -1;
    }
    return 0;
}

static int send_qcow2(struct sr_export *e, struct err *err)
{
    const struct qcow2 *q = &e->q;

    if (q_header(e, err) != 0
        || q_row(e, (1 + q->refs_table) * CLUSTER, CLUSTER, q->refs, 8, err) != 0
        || put_zeroes(e, (q->refs_table - up(q->refs * 8, CLUSTER)) * CLUSTER, err) != 0
        || q_row(e, 1, 0, q_head(q) + q->data, 2, err) != 0
        || put_zeroes(e, (q->refs - up((q_head(q) + q->data) * 2, CLUSTER)) * CLUSTER, err)
               != 0
        || q_l1(e, err) != 0 || q_l2(e, err) != 0)
        return -1;
    for (uint64_t k = 0; k < e->n; k++)
        if (used(e, k)
            && (read_piece(e, k, err) != 0
                || put(e, e->piece, q_piece_clusters(e, k) * CLUSTER, err) != 0))
            return -1;
    return 0;
}

/* Archives */

static int put_file(const struct sr_export_sink *sink, const char *name, const void *p,
                    size_t n, struct err *err)
{
    static const uint8_t zeroes[TAR_BLOCK];
    uint8_t head[TAR_BLOCK];

    tar_header(head, name, n, clock_wall_us() / US_PER_SEC);
    if (sink->write(sink->arg, head, sizeof(head), err) != 0
        || sink->write(sink->arg, p, n, err) != 0)
        return -1;
    return tar_padding(n) ? sink->write(sink->arg, zeroes, tar_padding(n), err) : 0;
}

static void sha1_text(const uint8_t *p, size_t n, char out[static 41])
{
    uint8_t digest[EVP_MAX_MD_SIZE] = { 0 };
    unsigned len;

    if (EVP_Digest(p, n, digest, &len, EVP_sha1(), NULL) != 1)
        memset(digest, 0, sizeof(digest)); /* no reader will take it */
    for (size_t i = 0; i < 20; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static int put_piece(const struct sr_export_sink *sink, const char *disk, uint64_t number,
                     bool sha1, const uint8_t *p, size_t n, struct err *err)
{
    char name[100], sum[41];

    (void)snprintf(name, sizeof(name), "%s/%08llu", disk, (unsigned long long)number);
    if (put_file(sink, name, p, n, err) != 0)
        return -1;
    (void)snprintf(name, sizeof(name), "%s/%08llu.%s", disk, (unsigned long long)number,
                   sha1 ? "checksum" : "xxhash");
    if (sha1)
        sha1_text(p, n, sum);
    else
        (void)snprintf(sum, sizeof(sum), "%016llX", (unsigned long long)XXH64(p, n, 0));
    return put_file(sink, name, sum, strlen(sum), err);
}

static bool is_zero(const uint8_t *p, size_t n)
{
    return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

int sr_export_pieces(struct sr_image *i, const char *name, bool sha1,
                     const struct sr_export_sink *sink, struct err *err)
{
    uint64_t size = sr_image_bytes(i), n = up(size, TAR_PIECE), next = 0, len = 0;
    AUTO(free_ptr) uint8_t *p = mem_alloc(TAR_PIECE);

    for (uint64_t k = 0; k < n; k++) {
        uint64_t at = k * TAR_PIECE, bytes = MIN(TAR_PIECE, size - at);
        bool edge = k == 0 || k == n - 1;

        /* Stretches without data are skipped by the map. */
        if (next < at + bytes && next + len <= at) {
            next = at;
            if (sr_image_next(i, &next, &len, err) < 0)
                return -1;
            if (len == 0)
                next = size;
        }
        if (!edge && next >= at + bytes)
            continue;
        if (step(sink, (double)k / (double)n, err) != 0
            || sr_image_read(i, p, bytes, at, err) != 0)
            return -1;
        if ((edge || !is_zero(p, (size_t)bytes))
            && put_piece(sink, name, k, sha1, p, (size_t)bytes, err) != 0)
            return -1;
    }
    return 0;
}

static int send_tar(struct sr_export *e, struct err *err)
{
    return sr_export_pieces(e->spec.image, "Ref:0", false, e->sink, err) == 0
               ? put_zeroes(e, (uint64_t)2 * TAR_BLOCK, err)
               : -1;
}

/* All */

struct sr_export *sr_export_new(const struct sr_export_spec *spec, struct err *err)
{
    AUTO(sr_export_free) struct sr_export *e = mem_alloc(sizeof(*e));

    e->spec = *spec;
    e->size = sr_image_bytes(spec->image);
    e->bits = sr_image_pieces(spec->image, spec->base, &e->n, err);
    if (!e->bits)
        return NULL;
    for (uint64_t k = 0; k < e->n; k++)
        e->n_used += used(e, k);
    if (spec->format == SR_EXPORT_QCOW2)
        q_plan(e);
    return TAKE(e);
}

void sr_export_free(struct sr_export **p)
{
    struct sr_export *e = TAKE(*p);

    if (!e)
        return;
    free(e->bits);
    free(e);
}

uint64_t sr_export_bytes(const struct sr_export *e)
{
    switch (e->spec.format) {
    case SR_EXPORT_RAW: return e->size;
    case SR_EXPORT_VHD: return vhd_bytes(e);
    case SR_EXPORT_QCOW2: return (q_head(&e->q) + e->q.data) * CLUSTER;
    default: return UINT64_MAX;
    }
}

int sr_export_send(struct sr_export *e, const struct sr_export_sink *sink, struct err *err)
{
    static int (*const rows[])(struct sr_export *, struct err *) = {
        [SR_EXPORT_RAW] = send_raw,
        [SR_EXPORT_VHD] = send_vhd,
        [SR_EXPORT_QCOW2] = send_qcow2,
        [SR_EXPORT_TAR] = send_tar,
    };

    e->sink = sink;
    e->sent = 0;
    return rows[e->spec.format](e, err);
}
