/* SPDX-License-Identifier: Apache-2.0 */
/* A disk or archive from outside as serai-image reads it. The first byte says which parser, and whether the checksums of a VHD
 * are made right before, since few inputs would pass them otherwise; the second how small the pieces are in which it comes. */
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "fuzz.h"
#include "image/image.h"
#include "vhd/vhd_format.h"

struct state {
    const uint8_t *data;
    size_t size, at, most;
    /* of the output */
    uint8_t head[IMAGE_RECORD_HEAD];
    size_t have, skip;
    bool done, bytes_allowed;
    uint64_t records, limit;
};

static ssize_t give(void *arg, void *p, size_t n)
{
    struct state *s = arg;
    size_t k = MIN(MIN(n, s->most), s->size - s->at);

    memcpy(p, s->data + s->at, k);
    s->at += k;
    return (ssize_t)k;
}

/* Whatever comes in, what goes out are records. */
static void look(struct state *s)
{
    struct image_record r;

    REQUIRE(image_record_get(s->head, &r));
    REQUIRE(!s->done);
    REQUIRE(r.kind != IMAGE_BYTES || (r.length > 0 && r.at + r.length > r.at));
    s->bytes_allowed = s->bytes_allowed || r.kind != IMAGE_BYTES;
    s->done = r.kind == IMAGE_DONE || r.kind == IMAGE_ERROR;
    s->skip = r.length;
    s->records++;
}

static int take(void *arg, const void *p, size_t n)
{
    struct state *s = arg;
    const uint8_t *at = p;

    while (n > 0) {
        size_t k = s->skip ? MIN(n, s->skip) : MIN(n, sizeof(s->head) - s->have);

        if (s->skip) {
            s->skip -= k;
        } else {
            memcpy(s->head + s->have, at, k);
            s->have += k;
        }
        at += k;
        n -= k;
        if (s->have == sizeof(s->head)) {
            s->have = 0;
            look(s);
        }
    }
    return s->records < s->limit ? 0 : -1;
}

static void fix_sums(uint8_t *b, size_t size)
{
    uint64_t header = size >= VHD_FOOTER_BYTES ? be64(b + 16) : 0;

    if (size < 2048)
        return;
    put_be32(b + 64, vhd_format_sum(b, VHD_FOOTER_BYTES, 64));
    put_be32(b + size - VHD_FOOTER_BYTES + 64,
             vhd_format_sum(b + size - VHD_FOOTER_BYTES, VHD_FOOTER_BYTES, 64));
    if (header <= size - VHD_HEADER_BYTES)
        put_be32(b + header + 36, vhd_format_sum(b + header, VHD_HEADER_BYTES, 36));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(err_done) struct err err = { 0 };

    if (size < 2)
        return 0;
    AUTO(free_ptr) uint8_t *copy = mem_dup(data + 2, size - 2 ? size - 2 : 1);
    struct state s = { .data = copy,
                       .size = size - 2,
                       .most = data[1] ? (size_t)data[1] * data[1] : SIZE_MAX,
                       .limit = 1000 };
    const struct image_io io = { give, take, &s };
    AUTO(image_in_cleanup) struct image_in *in = image_in_new(&io);
    int kind = data[0] & 3, rc;

    if (data[0] & 4)
        fix_sums(copy, s.size);
    rc = kind < 2 ? image_tar(in, &io, kind == 1, &err) : image_vhd(in, &io, &err);
    REQUIRE((rc == 0) == (err.code == NULL));
    if (rc != 0 && s.records < s.limit)
        image_put_error(&io, &err);
    REQUIRE(s.done || s.records >= s.limit);
    REQUIRE(s.records >= s.limit || (s.have == 0 && s.skip == 0));
    return 0;
}
