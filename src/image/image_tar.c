/* SPDX-License-Identifier: Apache-2.0 */
/* Archives of disks: "NAME/00000012" is the thirteenth MiB of the disk NAME, and what follows it, "NAME/00000012.xxhash" (XXH64)
 * or "NAME/00000012.checksum" (SHA-1), says what it must be. Pieces come in ascending order, those that are missing are zero,
 * only the last of a disk may be shorter. In an XVA ova.xml comes first. Nothing else may be in it: no paths, links,
 * devices; names are compared and numbered, never used. The archive ends with a block of zeroes. */
#include <ctype.h>
#include <openssl/evp.h>
#include <string.h>

#include <xxhash.h>

#include "api/errors.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/tar.h"
#include "base/vec.h"
#include "image/image.h"

#define DISKS_MAX  4096
#define CHUNKS_MAX (UINT64_C(1) << 32) /* 4 PiB */

struct archive {
    struct image_in *in;
    const struct image_io *io;
    struct hash seen; /* names of disks that came */
    VEC(char *) names;
    const char *disk; /* of names; NULL: none yet */
    uint64_t next;    /* the least number that the next piece may have */
    bool short_one;   /* no more of this disk */
    bool summed;      /* its pieces have checksums */
    size_t length;    /* of the piece in hand, whose checksum has not come */
    uint64_t number;
    bool in_hand;
    uint8_t *piece;
};

static int bad(struct err *err, const char *name, const char *why)
{
    AUTO(free_str) char *text = str_fmt("%.100s %s", name, why);

    return err_set(err, ERR_IMPORT_ERROR, text);
}

static int hand_on(struct archive *a, struct err *err)
{
    a->in_hand = false;
    if (a->length == 0)
        return 0;
    return image_put(a->io, IMAGE_BYTES, a->number * IMAGE_CHUNK, a->piece, a->length, err);
}

/* "NAME/0000012.xxhash": name's length, number, what follows. False: no such name. */
static bool split(const char *entry, size_t *name_len, uint64_t *number,
                  const char **suffix)
{
    const char *slash = strchr(entry, '/'), *p = slash ? slash + 1 : "";
    uint64_t n = 0;

    if (!slash || !isdigit((unsigned char)*p))
        return false;
    for (; isdigit((unsigned char)*p); p++) {
        n = n * 10 + (uint64_t)(*p - '0');
        if (n >= CHUNKS_MAX)
            return false;
    }
    *name_len = (size_t)(slash - entry);
    *number = n;
    *suffix = p;
    return true;
}

static int new_disk(struct archive *a, const char *entry, size_t len, struct err *err)
{
    char *name;

    if (hash_get(&a->seen, entry, len))
        return bad(err, entry, "comes after another disk's pieces");
    if (a->names.n >= DISKS_MAX)
        return bad(err, entry, "is one disk too many");
    for (size_t i = 0; i < len; i++)
        if (!isgraph((unsigned char)entry[i]))
            return err_set(err, ERR_IMPORT_ERROR, "A name in the archive cannot be read");
    name = str_dupn(entry, len);
    vec_push(&a->names, name);
    IGNORE(hash_put(&a->seen, name, len, name));
    a->disk = name;
    a->next = 0;
    a->short_one = false;
    a->summed = false;
    return image_put(a->io, IMAGE_DISK, 0, name, len, err);
}

static int take_piece(struct archive *a, const struct tar_entry *e, size_t name_len,
                      uint64_t number, struct err *err)
{
    if (a->in_hand && a->summed)
        return bad(err, e->name, "follows a piece without its checksum");
    if (a->in_hand && hand_on(a, err) != 0)
        return -1;
    if ((!a->disk || strncmp(a->disk, e->name, name_len) != 0 || a->disk[name_len] != '\0')
        && new_disk(a, e->name, name_len, err) != 0)
        return -1;
    if (e->size > IMAGE_CHUNK)
        return bad(err, e->name, "is larger than a piece of 1 MiB");
    if (number < a->next || a->short_one)
        return bad(err, e->name, "is out of order");
    a->next = number + 1;
    a->short_one = e->size != 0 && e->size < IMAGE_CHUNK;
    a->number = number;
    a->length = (size_t)e->size;
    a->in_hand = true;
    if (image_in_read(a->in, a->piece, a->length, err) != 0)
        return -1;
    return image_in_skip(a->in, tar_padding(e->size), err);
}

static void hex(char *out, const uint8_t *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * n] = '\0';
}

static void sum(const struct archive *a, bool sha1,
                char out[static 2 * EVP_MAX_MD_SIZE + 1])
{
    uint8_t digest[EVP_MAX_MD_SIZE] = { 0 };
    unsigned n = 8;

    if (sha1) {
        if (EVP_Digest(a->piece, a->length, digest, &n, EVP_sha1(), NULL) != 1)
            n = 0; /* equals nothing */
    } else {
        XXH64_canonical_t c;

        XXH64_canonicalFromHash(&c, XXH64(a->piece, a->length, 0));
        memcpy(digest, c.digest, sizeof(c.digest));
    }
    hex(out, digest, n);
}

static int take_sum(struct archive *a, const struct tar_entry *e, size_t name_len,
                    uint64_t number, bool sha1, struct err *err)
{
    char want[2 * EVP_MAX_MD_SIZE + 1], got[128] = "";
    size_t len = sha1 ? 40 : 16;

    if (!a->in_hand || number != a->number || strncmp(a->disk, e->name, name_len) != 0
        || a->disk[name_len] != '\0')
        return bad(err, e->name, "does not follow its piece");
    if (e->size < len || e->size > len + 2)
        return bad(err, e->name, "is no checksum");
    if (image_in_read(a->in, got, (size_t)e->size, err) != 0
        || image_in_skip(a->in, tar_padding(e->size), err) != 0)
        return -1;
    got[len] = '\0';
    sum(a, sha1, want);
    if (strcasecmp(want, got) != 0) {
        (void)err_set(err, ERR_IMPORT_ERROR_SOME_CHECKSUMS_FAILED);
        return err_detail(err, "%.100s: it is %s, the data has %s", e->name, got, want);
    }
    a->summed = true;
    return hand_on(a, err);
}

static int take_entry(struct archive *a, const struct tar_entry *e, struct err *err)
{
    const char *suffix = "";
    size_t name_len = 0;
    uint64_t number = 0;

    if (e->type != '0')
        return bad(err, e->name, "is no plain file");
    /* Old archives end with a list of checksums that each piece has already. */
    if (str_eq(e->name, "checksum.xml") && e->size <= IMAGE_XML_MAX)
        return image_in_skip(a->in, e->size + tar_padding(e->size), err);
    if (!split(e->name, &name_len, &number, &suffix) || name_len == 0)
        return err_set(err, ERR_IMPORT_ERROR_UNEXPECTED_FILE,
                       a->disk ? a->disk : "a piece of a disk", e->name);
    if (!*suffix)
        return take_piece(a, e, name_len, number, err);
    if (str_eq(suffix, ".checksum") || str_eq(suffix, ".xxhash"))
        return take_sum(a, e, name_len, number, suffix[1] == 'c', err);
    return err_set(err, ERR_IMPORT_ERROR_UNEXPECTED_FILE, a->disk ? a->disk : "", e->name);
}

static int next_entry(struct archive *a, struct tar_entry *e, bool *end, struct err *err)
{
    uint8_t block[TAR_BLOCK];

    *end = false;
    if (image_in_read(a->in, block, sizeof(block), err) != 0)
        return -1;
    switch (tar_parse(block, e)) {
    case TAR_ENTRY: return 0;
    case TAR_END: *end = true; return 0;
    default:
        return err_set(err, ERR_IMPORT_ERROR, "This is no tar archive, or a damaged one");
    }
}

static int take_xml(struct archive *a, struct err *err)
{
    struct tar_entry e;
    bool end;

    if (next_entry(a, &e, &end, err) != 0)
        return -1;
    if (end || !str_eq(e.name, "ova.xml") || e.type != '0')
        return err_set(err, ERR_IMPORT_ERROR_UNEXPECTED_FILE, "ova.xml", end ? "" : e.name);
    if (e.size > IMAGE_XML_MAX)
        return err_set(err, ERR_IMPORT_ERROR, "ova.xml is larger than 16 MiB");
    if (image_put(a->io, IMAGE_FILE, e.size, NULL, 0, err) != 0)
        return -1;
    for (uint64_t at = 0; at < e.size;) {
        size_t part = (size_t)MIN(e.size - at, (uint64_t)IMAGE_CHUNK);

        if (image_in_read(a->in, a->piece, part, err) != 0
            || image_put(a->io, IMAGE_BYTES, at, a->piece, part, err) != 0)
            return -1;
        at += part;
    }
    return image_in_skip(a->in, tar_padding(e.size), err);
}

static int parse(struct archive *a, bool xva, struct err *err)
{
    struct tar_entry e;
    bool end = false;

    if (image_in_unpack(a->in, err) != 0 || (xva && take_xml(a, err) != 0))
        return -1;
    for (;;) {
        if (next_entry(a, &e, &end, err) != 0)
            return -1;
        if (end)
            break;
        if (take_entry(a, &e, err) != 0)
            return -1;
    }
    if (a->in_hand
        && (a->summed ? bad(err, a->disk, "ends without a checksum") : hand_on(a, err))
               != 0)
        return -1;
    return image_put(a->io, IMAGE_DONE, 0, NULL, 0, err);
}

int image_tar(struct image_in *in, const struct image_io *io, bool xva, struct err *err)
{
    struct archive a = { .in = in, .io = io, .piece = mem_alloc(IMAGE_CHUNK) };
    int rc = parse(&a, xva, err);

    for (size_t i = 0; i < a.names.n; i++)
        free(a.names.v[i]);
    vec_done(&a.names);
    hash_done(&a.seen);
    free(a.piece);
    return rc;
}
