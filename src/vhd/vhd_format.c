/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes to structures and back. Reading checks what a structure says about itself; what it says about
 * the file around it is vhd_image's. Never allocates, never does I/O. Thread: any. */
#include "vhd/vhd_format.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/parse.h"

#define EPOCH_2000 INT64_C(946684800)

uint32_t vhd_format_sum(const uint8_t *b, size_t len, size_t skip)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < len; i++)
        if (i < skip || i >= skip + 4)
            sum += b[i];
    return ~sum;
}

uint32_t vhd_format_now(void)
{
    return (uint32_t)(clock_wall_us() / US_PER_SEC - EPOCH_2000);
}

const char *vhd_format_footer_read(const uint8_t b[static VHD_FOOTER_BYTES],
                                   struct vhd_footer *out)
{
    struct vhd_footer f = {
        .data_offset = be64(b + 16),
        .timestamp = be32(b + 24),
        .creator_version = be32(b + 32),
        .creator_os = be32(b + 36),
        .original_bytes = be64(b + 40),
        .current_bytes = be64(b + 48),
        .cylinders = be16(b + 56),
        .heads = b[58],
        .sectors = b[59],
        .type = be32(b + 60),
        .saved_state = b[84],
        .hidden = b[85],
    };

    if (memcmp(b, "conectix", 8) != 0)
        return "has no VHD cookie";
    if (be32(b + 64) != vhd_format_sum(b, VHD_FOOTER_BYTES, 64))
        return "has a wrong checksum";
    if (be32(b + 12) >> 16 != 1)
        return "has an unknown version";
    if (f.type != VHD_FIXED && f.type != VHD_DYNAMIC && f.type != VHD_DIFFERENCING)
        return "has an unknown disk type";
    if (f.current_bytes == 0)
        return "says that the disk has no sectors";
    if (f.current_bytes % VHD_SECTOR)
        return "gives a size that is no multiple of 512";
    if (f.current_bytes > VHD_MAX_BYTES)
        return "gives a size above 2040 GiB";
    if (f.creator_version == 1 && memcmp(b + 28, "tap", 4) == 0)
        return "is of blktap 0.1, whose bitmaps are the other way round";
    memcpy(f.creator, b + 28, 4);
    memcpy(f.uuid.b, b + 68, 16);
    *out = f;
    return NULL;
}

void vhd_format_footer_write(const struct vhd_footer *f, uint8_t b[static VHD_FOOTER_BYTES])
{
    memset(b, 0, VHD_FOOTER_BYTES);
    memcpy(b, "conectix", 8);
    put_be32(b + 8, 2);
    put_be32(b + 12, 0x00010000);
    put_be64(b + 16, f->data_offset);
    put_be32(b + 24, f->timestamp);
    memcpy(b + 28, f->creator, 4);
    put_be32(b + 32, f->creator_version);
    put_be32(b + 36, f->creator_os);
    put_be64(b + 40, f->original_bytes);
    put_be64(b + 48, f->current_bytes);
    put_be16(b + 56, f->cylinders);
    b[58] = f->heads;
    b[59] = f->sectors;
    put_be32(b + 60, f->type);
    memcpy(b + 68, f->uuid.b, 16);
    b[84] = f->saved_state;
    b[85] = f->hidden;
    put_be32(b + 64, vhd_format_sum(b, VHD_FOOTER_BYTES, 64));
}

/* Appends one code point; false when it does not fit. */
static bool put_utf8(char *out, size_t *n, uint32_t c)
{
    if (*n + 4 >= VHD_NAME_MAX)
        return false;
    if (c < 0x80) {
        out[(*n)++] = (char)c;
    } else if (c < 0x800) {
        out[(*n)++] = (char)(0xc0 | c >> 6);
        out[(*n)++] = (char)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        out[(*n)++] = (char)(0xe0 | c >> 12);
        out[(*n)++] = (char)(0x80 | (c >> 6 & 63));
        out[(*n)++] = (char)(0x80 | (c & 63));
    } else {
        out[(*n)++] = (char)(0xf0 | c >> 18);
        out[(*n)++] = (char)(0x80 | (c >> 12 & 63));
        out[(*n)++] = (char)(0x80 | (c >> 6 & 63));
        out[(*n)++] = (char)(0x80 | (c & 63));
    }
    return true;
}

/* The part after the last slash of either kind, up to a NUL; false: malformed or too long. */
static bool utf16_name(const uint8_t *p, size_t len, bool big,
                       char out[static VHD_NAME_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i + 1 < len; i += 2) {
        uint32_t c = big ? be16(p + i) : le16(p + i);
        if (c == 0)
            break;
        if (c >= 0xd800 && c < 0xdc00 && i + 3 < len) {
            uint32_t low = big ? be16(p + i + 2) : le16(p + i + 2);
            if (low < 0xdc00 || low > 0xdfff)
                return false;
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
            i += 2;
        } else if (c >= 0xd800 && c <= 0xdfff) {
            return false;
        }
        if (c == '/' || c == '\\')
            n = 0;
        else if (!put_utf8(out, &n, c))
            return false;
    }
    out[n] = '\0';
    return true;
}

bool vhd_format_name_ok(const char *name)
{
    size_t n = strlen(name);

    if (n == 0 || n >= VHD_NAME_MAX || str_eq(name, ".") || str_eq(name, ".."))
        return false;
    for (size_t i = 0; i < n; i++)
        if ((uint8_t)name[i] < 32 || name[i] == '/' || name[i] == '\\' || name[i] == 127)
            return false;
    return utf8_valid(name, n);
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool url_name(const uint8_t *p, size_t len, char out[static VHD_NAME_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < len && p[i]; i++) {
        uint8_t c = p[i];
        if (c == '/') {
            n = 0;
            continue;
        }
        if (c == '%' && i + 2 < len && hex_value(p[i + 1]) >= 0
            && hex_value(p[i + 2]) >= 0) {
            c = (uint8_t)(hex_value(p[i + 1]) << 4 | hex_value(p[i + 2]));
            i += 2;
        }
        if (c == 0 || n + 1 >= VHD_NAME_MAX)
            return false;
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return true;
}

bool vhd_format_locator_name(uint32_t code, const uint8_t *p, size_t len,
                             char out[static VHD_NAME_MAX])
{
    bool ok = false;

    if (code == VHD_LOC_MACX)
        ok = url_name(p, len, out);
    else if (code == VHD_LOC_W2KU || code == VHD_LOC_W2RU)
        ok = utf16_name(p, len, false, out);
    return ok && vhd_format_name_ok(out);
}

/* UTF-8 that vhd_format_name_ok passed, to UTF-16; the bytes written, 0 if too long. */
static size_t to_utf16(const char *s, bool big, uint8_t *out, size_t size)
{
    size_t n = 0;

    while (*s) {
        uint8_t c = (uint8_t)*s++;
        int more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        uint32_t cp = more == 0 ? c : c & (0x3fU >> more);
        for (; more; more--)
            cp = cp << 6 | ((uint8_t)*s++ & 63);
        uint16_t unit[2] = { (uint16_t)cp, 0 };
        if (cp >= 0x10000) {
            unit[0] = (uint16_t)(0xd800 + ((cp - 0x10000) >> 10));
            unit[1] = (uint16_t)(0xdc00 + ((cp - 0x10000) & 0x3ff));
        }
        for (int i = 0; i < (cp >= 0x10000 ? 2 : 1); i++) {
            if (n + 2 > size)
                return 0;
            out[n++] = (uint8_t)(big ? unit[i] >> 8 : unit[i]);
            out[n++] = (uint8_t)(big ? unit[i] : unit[i] >> 8);
        }
    }
    return n;
}

size_t vhd_format_locator_make(uint32_t code, const char *name,
                               uint8_t out[static VHD_LOCATOR_BYTES])
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    char url[VHD_NAME_MAX * 3 + 16];
    size_t n = 0;

    memset(out, 0, VHD_LOCATOR_BYTES);
    if (code != VHD_LOC_MACX) {
        (void)snprintf(url, sizeof(url), ".\\%s", name);
        return to_utf16(url, false, out, VHD_LOCATOR_BYTES);
    }
    n = (size_t)snprintf(url, sizeof(url), "file://./");
    for (const char *s = name; *s; s++) {
        if (strchr(plain, *s))
            url[n++] = *s;
        else
            n += (size_t)snprintf(url + n, 4, "%%%02X", (uint8_t)*s);
    }
    if (n > VHD_LOCATOR_BYTES)
        return 0;
    memcpy(out, url, n);
    return n;
}

uint64_t vhd_format_locator_space(const struct vhd_locator *l)
{
    /* The specification says sectors, everybody writes bytes. */
    return l->space < 512 ? (uint64_t)l->space * 512 : l->space;
}

const char *vhd_format_header_read(const uint8_t b[static VHD_HEADER_BYTES],
                                   struct vhd_header *out)
{
    struct vhd_header h = {
        .bat_offset = be64(b + 16),
        .entries = be32(b + 28),
        .block_bytes = be32(b + 32),
        .parent_timestamp = be32(b + 56),
    };

    if (memcmp(b, "cxsparse", 8) != 0)
        return "has no cookie";
    if (be32(b + 36) != vhd_format_sum(b, VHD_HEADER_BYTES, 36))
        return "has a wrong checksum";
    if (be32(b + 24) >> 16 != 1)
        return "has an unknown version";
    if (h.block_bytes < VHD_BLOCK_MIN || h.block_bytes > VHD_BLOCK_BYTES
        || (h.block_bytes & (h.block_bytes - 1)))
        return "gives a block size that is no power of two from 4 KiB to 2 MiB";
    if (h.bat_offset % VHD_SECTOR)
        return "puts the block table off a sector boundary";
    memcpy(h.parent_uuid.b, b + 40, 16);
    if (!utf16_name(b + 64, 512, true, h.parent_name) || !vhd_format_name_ok(h.parent_name))
        h.parent_name[0] = '\0';
    for (size_t i = 0; i < VHD_LOCATORS; i++) {
        const uint8_t *p = b + 576 + i * 24;
        h.loc[i] = (struct vhd_locator){ be32(p), be32(p + 4), be32(p + 8), be64(p + 16) };
    }
    *out = h;
    return NULL;
}

void vhd_format_header_write(const struct vhd_header *h, uint8_t b[static VHD_HEADER_BYTES])
{
    memset(b, 0, VHD_HEADER_BYTES);
    memcpy(b, "cxsparse", 8);
    put_be64(b + 8, UINT64_MAX);
    put_be64(b + 16, h->bat_offset);
    put_be32(b + 24, 0x00010000);
    put_be32(b + 28, h->entries);
    put_be32(b + 32, h->block_bytes);
    memcpy(b + 40, h->parent_uuid.b, 16);
    put_be32(b + 56, h->parent_timestamp);
    (void)to_utf16(h->parent_name, true, b + 64, 512);
    for (size_t i = 0; i < VHD_LOCATORS; i++) {
        uint8_t *p = b + 576 + i * 24;
        put_be32(p, h->loc[i].code);
        put_be32(p + 4, h->loc[i].space);
        put_be32(p + 8, h->loc[i].length);
        put_be64(p + 16, h->loc[i].offset);
    }
    put_be32(b + 36, vhd_format_sum(b, VHD_HEADER_BYTES, 36));
}

void vhd_format_geometry(uint64_t bytes, struct vhd_footer *f)
{
    uint64_t total = MIN(bytes / 512, UINT64_C(65535) * 16 * 255);
    uint64_t heads, sectors, tracks;

    if (total >= UINT64_C(65535) * 16 * 63) {
        sectors = 255;
        heads = 16;
        tracks = total / sectors;
    } else {
        sectors = 17;
        tracks = total / sectors;
        heads = MAX((tracks + 1023) / 1024, UINT64_C(4));
        if (tracks >= heads * 1024 || heads > 16) {
            sectors = 31;
            heads = 16;
            tracks = total / sectors;
        }
        if (tracks >= heads * 1024) {
            sectors = 63;
            heads = 16;
            tracks = total / sectors;
        }
    }
    f->cylinders = (uint16_t)(tracks / heads);
    f->heads = (uint8_t)heads;
    f->sectors = (uint8_t)sectors;
}
