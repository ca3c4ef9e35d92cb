/* SPDX-License-Identifier: Apache-2.0 */
/* Copies what is not zero, 2 MiB at a time. Holes of a raw file are skipped with SEEK_DATA, those of an
 * image by its map. One thread. */
#include "vhdtool/convert.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/mem.h"
#include "vhd/vhd_create.h"

#define PIECE   (UINT64_C(2) << 20)
#define SKIPPED UINT64_C(4096) /* zeros of this length and alignment are not copied */

static const struct vhd_io *const io = &vhd_io_posix;

struct convert {
    struct vhd_chain *from;
    struct vhd_chain *to; /* NULL: raw */
    int raw_in;           /* -1: not raw, or no holes to be found */
    int raw_out;
    const char *out;
    uint8_t *buf;
};

static bool is_zero(const uint8_t *p, size_t len)
{
    return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

static int store(struct convert *x, const uint8_t *p, uint64_t len, uint64_t at,
                 struct err *err)
{
    if (x->to)
        return vhd_chain_write(x->to, p, len, at, err);
    if (io_pwrite_full(x->raw_out, p, (size_t)len, at) < 0)
        return vhd_io_failed(err, "writing", x->out);
    return 0;
}

/* The parts of the piece that are not zero. */
static int store_piece(struct convert *x, uint64_t len, uint64_t at, struct err *err)
{
    uint64_t from = 0, to = 0;

    while (to < len) {
        uint64_t n = MIN(SKIPPED, len - to);
        bool zero = is_zero(x->buf + to, (size_t)n);
        if (zero && to > from && store(x, x->buf + from, to - from, at + from, err) < 0)
            return -1;
        to += n;
        if (zero)
            from = to;
    }
    return to > from ? store(x, x->buf + from, to - from, at + from, err) : 0;
}

/* From at: the start and length of what may hold data. */
static int next_data(struct convert *x, uint64_t *at, uint64_t *len, struct err *err)
{
    uint64_t start = *at;
    int layer = -1;

    if (x->raw_in >= 0) {
        off_t data = lseek(x->raw_in, (off_t)*at, SEEK_DATA);
        if (data < 0 && errno == ENXIO) {
            *at = x->from->bytes;
            return 0;
        }
        if (data > (off_t)*at)
            *at = MAX(start, (uint64_t)data & ~(SKIPPED - 1));
        *len = PIECE - (*at & (PIECE - 1));
        return 0;
    }
    while (*at < x->from->bytes) {
        if (vhd_chain_status(x->from, *at, len, &layer, err) < 0)
            return -1;
        if (layer >= 0)
            break;
        *at += *len;
    }
    if (*at < x->from->bytes)
        *at = MAX(start, *at & ~(SKIPPED - 1));
    *len =
        PIECE
        - (*at
           & (PIECE - 1)); /* the rest of the unit: short runs are not worth a read each */
    return 0;
}

static int copy(struct convert *x, struct err *err)
{
    uint64_t at = 0, len = 0, total = x->from->bytes;

    for (;;) {
        if (next_data(x, &at, &len, err) < 0)
            return -1;
        if (at >= total)
            return 0;
        len = MIN(len, total - at);
        if (vhd_chain_read(x->from, x->buf, len, at, err) < 0
            || store_piece(x, len, at, err) < 0)
            return -1;
        at += len;
    }
}

static int to_raw(struct convert *x, struct err *err)
{
    AUTO(close_fd)
    int fd = open(x->out, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0660);

    if (fd < 0)
        return vhd_io_failed(err, "creating", x->out);
    x->raw_out = fd;
    int rc = ftruncate(fd, (off_t)x->from->bytes) < 0
                 ? vhd_io_failed(err, "extending", x->out)
                 : copy(x, err);
    if (rc == 0 && fdatasync(fd) < 0)
        rc = vhd_io_failed(err, "syncing", x->out);
    if (rc < 0)
        (void)unlink(x->out);
    return rc;
}

static int to_vhd(struct convert *x, struct err *err)
{
    struct vhd_create_spec spec = { .type = VHD_DYNAMIC, .bytes = x->from->bytes };

    if (vhd_create(io, x->out, &spec, err) < 0)
        return -1;
    int rc = vhd_chain_open(io, x->out, VHD_OPEN_WRITE, &x->to, err);
    if (rc == 0) {
        vhd_space_sparse(vhd_chain_leaf(x->to));
        rc = copy(x, err);
    }
    if (rc == 0)
        rc = vhd_chain_finish(x->to, err);
    vhd_chain_close(x->to);
    if (rc < 0)
        (void)unlink(x->out);
    return rc;
}

int convert_onto(const char *raw, const char *image, struct err *err)
{
    AUTO(vhd_chain_cleanup) struct vhd_chain *from = NULL;
    AUTO(vhd_chain_cleanup) struct vhd_chain *to = NULL;
    struct convert x = { .raw_in = -1, .raw_out = -1, .out = image };

    if (vhd_chain_open(io, raw, VHD_OPEN_RAW, &from, err) < 0
        || vhd_chain_open(io, image, VHD_OPEN_WRITE, &to, err) < 0)
        return -1;
    if (from->bytes > to->bytes)
        return vhd_io_bad(err, "EINVAL", "%s is larger than the disk of %s", raw, image);
    x.from = from;
    x.to = to;
    x.raw_in = from->layer[0]->handle;
    x.buf = vhd_io_alloc(1, PIECE, err);
    if (!x.buf)
        return -1;
    vhd_space_sparse(vhd_chain_leaf(to));
    int rc = copy(&x, err);
    if (rc == 0)
        rc = vhd_chain_finish(to, err);
    free(x.buf);
    return rc;
}

int convert(const char *in, bool in_raw, const char *out, bool out_raw, struct err *err)
{
    AUTO(vhd_chain_cleanup) struct vhd_chain *from = NULL;
    struct convert x = { .raw_in = -1, .raw_out = -1, .out = out };

    if (vhd_chain_open(io, in, in_raw ? VHD_OPEN_RAW : 0, &from, err) < 0)
        return -1;
    if (from->bytes == 0 || (in_raw && from->layer[0]->file_bytes % 512))
        return vhd_io_bad(err, "EINVAL", "%s has no whole sectors", in);
    x.from = from;
    if (in_raw)
        x.raw_in = from->layer[0]->handle;
    x.buf = vhd_io_alloc(1, PIECE, err);
    if (!x.buf)
        return -1;
    int rc = out_raw ? to_raw(&x, err) : to_vhd(&x, err);
    free(x.buf);
    return rc;
}
