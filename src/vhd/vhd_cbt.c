/* SPDX-License-Identifier: Apache-2.0 */
/* The file, big-endian: a header sector (cookie, version, size, parent, checksum), the intents (a bit per
 * region, from 4096), the changes (a bit per 64 KiB, from the next multiple of 4096).
 *
 * Why intents: a write in place reaches the disk when the disk likes, before any flush. Were its change
 * bit only written with the flush, a power cut between the two would leave changed data unreported. One
 * durable intent for 16 MiB costs one fsync in a long while; a bit per write would cost one each.
 * Thread: the chain's. */
#include "vhd/vhd_cbt.h"

#include "base/mem.h"
#include "base/parse.h"
#include "vhd/vhd_image.h"

#define AT_INTENTS 4096
#define AHEAD      4 /* regions */

static const uint8_t cookie[8] = { 's', 'e', 'r', 'a', 'i', 'c', 'b', 't' };

struct vhd_cbt {
    struct vhd_io io;
    int handle;
    char *path;
    uint64_t disk_bytes;
    struct uuid parent;
    uint64_t at_bits;
    size_t n_bits_bytes, n_intent_bytes; /* padded to 512 */
    uint8_t *bits;
    uint8_t *dirty; /* a bit per sector of bits */
    size_t n_dirty;
    uint8_t *intents;
    uint8_t *wanted; /* the intents and those that are to be */
};

static size_t padded(uint64_t disk_bytes, uint64_t unit)
{
    uint64_t n = (disk_bytes + unit - 1) / unit;

    return (size_t)(((n + 7) / 8 + 511) & ~UINT64_C(511));
}

/* Intents and bits have room for the largest disk, so that growing changes one sector. */
static uint64_t bits_at(void)
{
    return (AT_INTENTS + padded(VHD_MAX_BYTES, VHD_CBT_REGION_BYTES) + 4095)
           & ~UINT64_C(4095);
}

static void make_header(uint8_t b[static 512], uint64_t disk_bytes,
                        const struct uuid *parent)
{
    memset(b, 0, 512);
    memcpy(b, cookie, sizeof(cookie));
    put_be32(b + 8, 1);
    put_be64(b + 16, disk_bytes);
    if (parent)
        memcpy(b + 24, parent->b, 16);
    put_be32(b + 12, vhd_format_sum(b, 512, 12));
}

int vhd_cbt_create(const struct vhd_io *io, const char *path, uint64_t disk_bytes,
                   const struct uuid *parent, struct err *err)
{
    uint8_t b[512];
    uint64_t size = bits_at() + padded(VHD_MAX_BYTES, VHD_CBT_BYTES);
    int rc = -1;

    if (disk_bytes == 0 || disk_bytes > VHD_MAX_BYTES)
        return vhd_io_bad(err, "EINVAL", "%s: a disk of %llu bytes cannot be tracked", path,
                          (unsigned long long)disk_bytes);
    make_header(b, disk_bytes, parent);
    AUTO(free_str) char *tmp = str_fmt("%s.new", path);
    (void)io->ops->unlink(io->ctx, tmp);
    int h = io->ops->open(io->ctx, tmp, VHD_IO_WRITE | VHD_IO_CREATE);
    if (h < 0)
        return vhd_io_failed(err, "creating", tmp);
    /* What is noted later must find its space. */
    if (io->ops->ftruncate(io->ctx, h, size) < 0
        || io->ops->allocate(io->ctx, h, 0, bits_at() + padded(disk_bytes, VHD_CBT_BYTES))
               < 0
        || io->ops->pwrite(io->ctx, h, b, 512, 0) < 0 || io->ops->fsync(io->ctx, h) < 0
        || io->ops->rename(io->ctx, tmp, path) < 0 || io->ops->fsync_dir(io->ctx, path) < 0)
        (void)vhd_io_failed(err, "creating", path);
    else
        rc = 0;
    io->ops->close(io->ctx, h);
    if (rc < 0)
        (void)io->ops->unlink(io->ctx, tmp);
    return rc;
}

static bool get_bit(const uint8_t *p, uint64_t i)
{
    return (p[i / 8] & (0x80 >> (i % 8))) != 0;
}

static void set_change(struct vhd_cbt *t, uint64_t i)
{
    uint64_t sector = i / 4096;
    uint8_t bit = (uint8_t)(1U << (sector % 8));

    if (get_bit(t->bits, i))
        return;
    t->bits[i / 8] |= (uint8_t)(0x80 >> (i % 8));
    if (!(t->dirty[sector / 8] & bit)) {
        t->dirty[sector / 8] |= bit;
        t->n_dirty++;
    }
}

/* Regions with an intent count as changed. */
static bool settle(struct vhd_cbt *t)
{
    uint64_t n = (t->disk_bytes + VHD_CBT_BYTES - 1) / VHD_CBT_BYTES;
    uint64_t per = VHD_CBT_REGION_BYTES / VHD_CBT_BYTES;
    bool any = false;

    for (uint64_t i = 0; i < n; i++)
        if (get_bit(t->intents, i / per)) {
            set_change(t, i);
            any = true;
        }
    return any;
}

static int load(struct vhd_cbt *t, struct err *err)
{
    const struct vhd_io_ops *ops = t->io.ops;
    uint8_t b[512];
    uint64_t size;

    if (ops->size(t->io.ctx, t->handle, &size) < 0
        || ops->pread(t->io.ctx, t->handle, b, sizeof(b), 0) < 0)
        return vhd_io_failed(err, "reading", t->path);
    t->disk_bytes = be64(b + 16);
    if (memcmp(b, cookie, sizeof(cookie)) != 0
        || be32(b + 12) != vhd_format_sum(b, sizeof(b), 12) || be32(b + 8) != 1
        || t->disk_bytes == 0 || t->disk_bytes > VHD_MAX_BYTES)
        return vhd_io_bad(err, "CBT_INVALID", "%s holds no changed-block data", t->path);
    memcpy(t->parent.b, b + 24, 16);
    t->at_bits = bits_at();
    t->n_bits_bytes = padded(t->disk_bytes, VHD_CBT_BYTES);
    t->n_intent_bytes = padded(t->disk_bytes, VHD_CBT_REGION_BYTES);
    if (t->at_bits + t->n_bits_bytes > size)
        return vhd_io_bad(err, "CBT_INVALID", "%s is cut short", t->path);
    t->bits = vhd_io_alloc(t->n_bits_bytes, 1, err);
    t->dirty = vhd_io_alloc(t->n_bits_bytes / 512 / 8 + 1, 1, err);
    t->intents = vhd_io_alloc(t->n_intent_bytes, 1, err);
    t->wanted = vhd_io_alloc(t->n_intent_bytes, 1, err);
    if (!t->bits || !t->dirty || !t->intents || !t->wanted)
        return -1;
    /* In this order: its writer takes intents back after the bits are there. */
    if (ops->pread(t->io.ctx, t->handle, t->intents, t->n_intent_bytes, AT_INTENTS) < 0
        || ops->pread(t->io.ctx, t->handle, t->bits, t->n_bits_bytes, t->at_bits) < 0)
        return vhd_io_failed(err, "reading", t->path);
    memcpy(t->wanted, t->intents, t->n_intent_bytes);
    return 0;
}

int vhd_cbt_open(const struct vhd_io *io, const char *path, bool write,
                 struct vhd_cbt **out, struct err *err)
{
    struct vhd_cbt *t = vhd_io_alloc(1, sizeof(*t), err);

    if (!t)
        return -1;
    t->io = *io;
    t->path = str_dup(path);
    t->handle = io->ops->open(io->ctx, path, write ? VHD_IO_WRITE : 0);
    if (t->handle < 0) {
        (void)vhd_io_failed(err, "opening", path);
        free(t->path);
        free(t);
        return -1;
    }
    if (load(t, err) < 0 || (settle(t) && write && vhd_cbt_finish(t, err) < 0)) {
        vhd_cbt_close(t);
        return -1;
    }
    *out = t;
    return 0;
}

char *vhd_cbt_path(const char *image)
{
    size_t n = strlen(image);

    return str_ends(image, ".vhd") ? str_fmt("%.*s.cbt", (int)(n - 4), image) : NULL;
}

static bool has_status(const struct err *err, const char *status)
{
    return err->n_params && str_eq(err->params[0], status);
}

int vhd_cbt_open_beside(const struct vhd_io *io, const char *image, uint64_t disk_bytes,
                        struct vhd_cbt **out, struct err *err)
{
    AUTO(free_str) char *path = vhd_cbt_path(image);
    AUTO(err_done) struct err why = { 0 };
    struct vhd_cbt *t = NULL;

    *out = NULL;
    if (!path)
        return 0;
    int rc = vhd_cbt_open(io, path, true, &t, &why);
    if (rc < 0 && has_status(&why, "ENOENT"))
        return 0;
    if (rc < 0 && has_status(&why, "CBT_INVALID")) {
        err_done(&why);
        rc = vhd_cbt_create(io, path, disk_bytes, NULL, &why) < 0
                     || vhd_cbt_open(io, path, true, &t, &why) < 0
                 ? -1
                 : 0;
    }
    if (rc == 0 && vhd_cbt_disk_bytes(t) < disk_bytes)
        rc = vhd_cbt_resize(t, disk_bytes, &why);
    if (rc < 0) {
        vhd_cbt_close(t);
        if (err)
            err_move(err, &why);
        return -1;
    }
    *out = t;
    return 0;
}

void vhd_cbt_close(struct vhd_cbt *t)
{
    if (!t)
        return;
    t->io.ops->close(t->io.ctx, t->handle);
    free(t->path);
    free(t->bits);
    free(t->dirty);
    free(t->intents);
    free(t->wanted);
    free(t);
}

int vhd_cbt_flush(struct vhd_cbt *t, struct err *err)
{
    if (t->n_dirty == 0)
        return 0;
    for (size_t s = 0; s < t->n_bits_bytes / 512; s++) {
        if (!(t->dirty[s / 8] & (1U << (s % 8))))
            continue;
        if (t->io.ops->pwrite(t->io.ctx, t->handle, t->bits + s * 512, 512,
                              t->at_bits + s * 512)
            < 0)
            return vhd_io_failed(err, "writing", t->path);
    }
    if (t->io.ops->fsync(t->io.ctx, t->handle) < 0)
        return vhd_io_failed(err, "syncing", t->path);
    memset(t->dirty, 0, t->n_bits_bytes / 512 / 8 + 1);
    t->n_dirty = 0;
    return 0;
}

int vhd_cbt_finish(struct vhd_cbt *t, struct err *err)
{
    if (vhd_cbt_flush(t, err) < 0)
        return -1;
    memset(t->intents, 0, t->n_intent_bytes);
    memset(t->wanted, 0, t->n_intent_bytes);
    if (t->io.ops->pwrite(t->io.ctx, t->handle, t->intents, t->n_intent_bytes, AT_INTENTS)
            < 0
        || t->io.ops->fsync(t->io.ctx, t->handle) < 0)
        return vhd_io_failed(err, "writing", t->path);
    return 0;
}

static bool grow_memory(uint8_t **p, size_t old, size_t new, struct err *err)
{
    uint8_t *q = vhd_io_alloc(new, 1, err);

    if (!q)
        return false;
    memcpy(q, *p, old);
    free(*p);
    *p = q;
    return true;
}

int vhd_cbt_resize(struct vhd_cbt *t, uint64_t disk_bytes, struct err *err)
{
    size_t bits = padded(disk_bytes, VHD_CBT_BYTES);
    size_t intents = padded(disk_bytes, VHD_CBT_REGION_BYTES);
    uint8_t b[512];

    if (disk_bytes < t->disk_bytes || disk_bytes > VHD_MAX_BYTES)
        return vhd_io_bad(err, "EINVAL", "%s: a disk of %llu bytes cannot be tracked",
                          t->path, (unsigned long long)disk_bytes);
    if (vhd_cbt_flush(t, err) < 0 || !grow_memory(&t->bits, t->n_bits_bytes, bits, err)
        || !grow_memory(&t->dirty, t->n_bits_bytes / 512 / 8 + 1, bits / 512 / 8 + 1, err)
        || !grow_memory(&t->intents, t->n_intent_bytes, intents, err)
        || !grow_memory(&t->wanted, t->n_intent_bytes, intents, err))
        return -1;
    if (t->io.ops->allocate(t->io.ctx, t->handle, t->at_bits, bits) < 0)
        return vhd_io_failed(err, "allocating", t->path);
    make_header(b, disk_bytes, &t->parent);
    if (t->io.ops->pwrite(t->io.ctx, t->handle, b, sizeof(b), 0) < 0
        || t->io.ops->fsync(t->io.ctx, t->handle) < 0)
        return vhd_io_failed(err, "writing", t->path);
    t->n_bits_bytes = bits;
    t->n_intent_bytes = intents;
    t->disk_bytes = disk_bytes;
    return 0;
}

bool vhd_cbt_note(struct vhd_cbt *t, uint64_t offset, uint64_t len)
{
    uint64_t last = offset + len - 1;
    bool intended = true;

    if (len == 0)
        return true;
    if (last
        >= t->disk_bytes) /* of a disk that grew without telling: nothing to note it in */
        return offset >= t->disk_bytes || vhd_cbt_note(t, offset, t->disk_bytes - offset);
    for (uint64_t r = offset / VHD_CBT_REGION_BYTES; r <= last / VHD_CBT_REGION_BYTES; r++)
        intended = intended && get_bit(t->intents, r);
    for (uint64_t i = offset / VHD_CBT_BYTES; i <= last / VHD_CBT_BYTES; i++)
        set_change(t, i);
    return intended;
}

void vhd_cbt_want(struct vhd_cbt *t, uint64_t offset, uint64_t len)
{
    uint64_t last = MIN(offset + len, t->disk_bytes) - 1;

    for (uint64_t r = offset / VHD_CBT_REGION_BYTES; r <= last / VHD_CBT_REGION_BYTES; r++)
        t->wanted[r / 8] |= (uint8_t)(0x80 >> (r % 8));
}

int vhd_cbt_run(struct vhd_cbt *t, struct err *err)
{
    for (size_t s = 0; s < t->n_intent_bytes; s += 512)
        if (memcmp(t->wanted + s, t->intents + s, 512) != 0
            && t->io.ops->pwrite(t->io.ctx, t->handle, t->wanted + s, 512, AT_INTENTS + s)
                   < 0)
            return vhd_io_failed(err, "writing", t->path);
    return t->io.ops->fsync(t->io.ctx, t->handle) < 0
               ? vhd_io_failed(err, "syncing", t->path)
               : 0;
}

void vhd_cbt_ready(struct vhd_cbt *t, bool ok)
{
    if (ok)
        memcpy(t->intents, t->wanted, t->n_intent_bytes);
    else
        memcpy(t->wanted, t->intents, t->n_intent_bytes);
}

bool vhd_cbt_ahead(const struct vhd_cbt *t, uint64_t offset, uint64_t *at, uint64_t *len)
{
    uint64_t r = offset / VHD_CBT_REGION_BYTES;
    uint64_t n = (t->disk_bytes + VHD_CBT_REGION_BYTES - 1) / VHD_CBT_REGION_BYTES;

    if (r == 0 || r + 1 >= n || !get_bit(t->intents, r - 1) || get_bit(t->intents, r + 1))
        return false;
    *at = (r + 1) * VHD_CBT_REGION_BYTES;
    *len = AHEAD * VHD_CBT_REGION_BYTES;
    return true;
}

int vhd_cbt_intend(struct vhd_cbt *t, uint64_t offset, uint64_t len, struct err *err)
{
    vhd_cbt_want(t, offset, len);
    int rc = vhd_cbt_run(t, err);
    vhd_cbt_ready(t, rc == 0);
    return rc;
}

int vhd_cbt_before_write(struct vhd_cbt *t, uint64_t offset, uint64_t len, struct err *err)
{
    if (len == 0 || vhd_cbt_note(t, offset, len) || VHD_PLANTED(VHD_PLANT_CBT_LATE))
        return 0;
    return vhd_cbt_intend(t, offset, len, err);
}

uint64_t vhd_cbt_disk_bytes(const struct vhd_cbt *t)
{
    return t->disk_bytes;
}

const struct uuid *vhd_cbt_parent(const struct vhd_cbt *t)
{
    return &t->parent;
}

bool vhd_cbt_changed(const struct vhd_cbt *t, uint64_t offset)
{
    return get_bit(t->bits, offset / VHD_CBT_BYTES);
}

const uint8_t *vhd_cbt_bits(const struct vhd_cbt *t, size_t *bytes_out)
{
    *bytes_out = t->n_bits_bytes;
    return t->bits;
}

void vhd_cbt_merge(uint8_t *bits, size_t bytes, const struct vhd_cbt *other)
{
    for (size_t i = 0; i < MIN(bytes, other->n_bits_bytes); i++)
        bits[i] |= other->bits[i];
}
