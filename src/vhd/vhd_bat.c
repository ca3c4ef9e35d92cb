/* SPDX-License-Identifier: Apache-2.0 */
/* The block table: loaded whole, every entry checked against the file, the other structures and all
 * other entries in O(n): a radix sort, then one walk. Pure but for the reads. */
#include "vhd/vhd_image.h"

#include "base/parse.h"

#define CHUNK 65536

static int read_entries(struct vhd_image *img, struct err *err)
{
    uint8_t *buf = vhd_io_alloc(1, CHUNK, err);
    uint64_t len = (uint64_t)img->n_blocks * 4;

    if (!buf)
        return -1;
    for (uint64_t at = 0; at < len; at += CHUNK) {
        size_t n = (size_t)MIN(len - at, (uint64_t)CHUNK);
        if (vhd_image_read(img, buf, n, img->header.bat_offset + at, err) < 0) {
            free(buf);
            return -1;
        }
        uint32_t *to = img->bat + at / 4;
        for (size_t i = 0; i < n / 4; i++) {
            to[i] = be32(buf + i * 4);
            img->n_used += to[i] != VHD_ABSENT;
        }
    }
    free(buf);
    return 0;
}

/* Least significant digit first, 11 bits at a time; the result lies in a again after 3 + 1 moves. */
static void radix_sort(uint32_t *a, uint32_t *b, size_t n)
{
    for (unsigned shift = 0; shift < 33; shift += 11) {
        uint32_t count[2048] = { 0 };
        for (size_t i = 0; i < n; i++)
            count[a[i] >> shift & 2047]++;
        uint32_t sum = 0;
        for (size_t i = 0; i < 2048; i++) {
            uint32_t c = count[i];
            count[i] = sum;
            sum += c;
        }
        for (size_t i = 0; i < n; i++)
            b[count[a[i] >> shift & 2047]++] = a[i];
        uint32_t *t = a;
        a = b;
        b = t;
    }
    memcpy(b, a, n * sizeof(*a));
}

/* The first entry at or behind sector. */
static size_t lower_bound(const uint32_t *v, size_t n, uint64_t sector)
{
    size_t lo = 0;

    while (lo < n) {
        size_t mid = lo + (n - lo) / 2;
        if (v[mid] < sector)
            lo = mid + 1;
        else
            n = mid;
    }
    return lo;
}

static int check_meta(struct vhd_image *img, const uint32_t *v, size_t n, struct err *err)
{
    uint64_t sectors = (img->bitmap_bytes + img->block_bytes) / VHD_SECTOR;

    for (size_t i = 0; i < img->n_meta; i++) {
        uint64_t start = img->meta[i].start / VHD_SECTOR;
        uint64_t end = (img->meta[i].end + VHD_SECTOR - 1) / VHD_SECTOR;
        uint64_t from = start >= sectors ? start - sectors + 1 : 0;
        size_t k = lower_bound(v, n, from);
        if (k < n && v[k] < end)
            return vhd_io_bad(err, "VHD_INVALID",
                              "%s: the block at sector %u lies over the image's own tables",
                              img->path, v[k]);
    }
    return 0;
}

static int check_order(struct vhd_image *img, const uint32_t *v, size_t n, struct err *err)
{
    uint64_t len = (uint64_t)img->bitmap_bytes + img->block_bytes;
    uint64_t limit = img->tail_ok ? img->file_bytes - VHD_FOOTER_BYTES : img->file_bytes;

    for (size_t i = 0; i < n; i++) {
        if (i + 1 < n && (uint64_t)(v[i + 1] - v[i]) * VHD_SECTOR < len)
            return vhd_io_bad(err, "VHD_INVALID",
                              "%s: the blocks at sectors %u and %u overlap", img->path,
                              v[i], v[i + 1]);
        uint64_t start = v[i] * VHD_SECTOR;
        /* A writer that was killed may leave its last block short: what is missing reads as zeros. */
        uint64_t need = i + 1 == n && !img->tail_ok ? img->bitmap_bytes : len;
        if (start + need > limit)
            return vhd_io_bad(err, "VHD_INVALID",
                              "%s: the block at sector %u lies behind the end of the file",
                              img->path, v[i]);
        img->space.end = MAX(img->space.end, start + len);
    }
    return 0;
}

int vhd_bat_load(struct vhd_image *img, struct err *err)
{
    img->bat = vhd_io_alloc(img->n_blocks, sizeof(uint32_t), err);
    if (!img->bat || read_entries(img, err) < 0)
        return -1;

    size_t n = 0;
    uint32_t *v = vhd_io_alloc((size_t)img->n_used * 2, sizeof(uint32_t), err);
    if (!v)
        return -1;
    for (uint32_t i = 0; i < img->n_blocks; i++)
        if (img->bat[i] != VHD_ABSENT)
            v[n++] = img->bat[i];
    radix_sort(v, v + n, n);
    int rc = check_meta(img, v, n, err);
    if (rc == 0)
        rc = check_order(img, v, n, err);
    if (rc == 0 && img->writable)
        vhd_space_find(img, v, n);
    free(v);
    return rc;
}

void vhd_bat_set(struct vhd_image *img, uint32_t block, uint32_t sector)
{
    uint32_t page = block / VHD_BAT_PAGE;
    uint8_t bit = (uint8_t)(1U << (page % 8));

    img->n_used += (sector != VHD_ABSENT) - (img->bat[block] != VHD_ABSENT);
    img->bat[block] = sector;
    if (!(img->bat_dirty[page / 8] & bit)) {
        img->bat_dirty[page / 8] |= bit;
        img->n_bat_dirty++;
    }
}

size_t vhd_bat_page(const struct vhd_image *img, uint32_t page, uint8_t out[static 4096])
{
    uint32_t first = page * VHD_BAT_PAGE;
    uint32_t n = MIN(img->n_blocks - first, (uint32_t)VHD_BAT_PAGE);
    size_t len = ((size_t)n * 4 + 511) & ~(size_t)511;

    memset(out, 0xff, len);
    for (uint32_t i = 0; i < n; i++)
        put_be32(out + (size_t)i * 4, img->bat[first + i]);
    return len;
}
