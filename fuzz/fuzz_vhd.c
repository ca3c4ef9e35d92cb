/* SPDX-License-Identifier: Apache-2.0 */
/* An image from outside: refused, or read, written to, flushed, finished and read again. The first byte
 * says which checksums are made right before, since few inputs would pass them otherwise. */
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "fuzz.h"
#include "vhd/vhd_create.h"
#include "vhd/vhd_sim.h"

#define INPUT_MAX (1 << 20)

static void fix(uint8_t *b, size_t size, size_t at, size_t len, size_t field)
{
    if (at <= size && len <= size - at)
        put_be32(b + at + field, vhd_format_sum(b + at, len, field));
}

static void fix_sums(uint8_t *b, size_t size, uint8_t how)
{
    if (size < 2048)
        return;
    if (how & 1)
        fix(b, size, 0, VHD_FOOTER_BYTES, 64);
    if (how & 2)
        fix(b, size, size - VHD_FOOTER_BYTES, VHD_FOOTER_BYTES, 64);
    if (how & 4)
        fix(b, size, (size_t)MIN(be64(b + 16), (uint64_t)size), VHD_HEADER_BYTES, 36);
}

static void read_some(struct vhd_chain *c)
{
    static uint8_t buf[65536];
    uint64_t len, at = 0;
    int layer;

    for (int i = 0; i < 200 && at < c->bytes; i++, at += len) {
        if (vhd_chain_status(c, at, &len, &layer, NULL) < 0)
            return;
        REQUIRE(len > 0 && at + len <= c->bytes && layer < (int)c->n);
        REQUIRE(vhd_chain_read(c, buf, MIN(len, (uint64_t)sizeof(buf)), at, NULL) == 0);
    }
}

static void change(struct vhd_io *io)
{
    static const uint8_t data[1024] = { 1, 2, 3, 4 };
    uint8_t back[1024];
    struct vhd_chain *c = NULL;

    if (vhd_chain_open(io, "i.vhd", VHD_OPEN_WRITE, &c, NULL) < 0)
        return;
    vhd_chain_leaf(c)->space.ahead = 0;
    uint64_t last = c->bytes - MIN(c->bytes, UINT64_C(1024)), n = c->bytes - last;
    bool ok = vhd_chain_zero(c, MIN(c->bytes, UINT64_C(4) << 20), 0, NULL) == 0
              && vhd_chain_write(c, data, n, last, NULL) == 0
              && vhd_chain_flush(c, NULL) == 0;
    if (ok && c->bytes < UINT64_C(64) << 20)
        IGNORE(vhd_resize(c, c->bytes + (UINT64_C(3) << 20), NULL));
    ok = ok && vhd_chain_finish(c, NULL) == 0;
    vhd_chain_close(c);
    c = NULL;
    if (!ok)
        return;
    struct err err = { 0 };
    if (vhd_chain_open(io, "i.vhd", 0, &c, &err) < 0)
        (void)fprintf(stderr, "%s\n", err.detail);
    REQUIRE(c);
    REQUIRE(vhd_chain_read(c, back, n, last, NULL) == 0);
    REQUIRE(memcmp(back, data, n) == 0);
    vhd_chain_close(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sim *s = mem_alloc(sizeof(*s));
    struct vhd_io io = sim_io(s);
    struct vhd_chain *c = NULL;
    struct vhd_image *img = NULL;

    if (size < 2 || size > INPUT_MAX) {
        free(s);
        return 0;
    }
    sim_init(s);
    uint8_t *b = mem_dup(data + 1, size - 1);
    fix_sums(b, size - 1, data[0]);
    IGNORE(sim_fs_import(&s->fs, "i.vhd", b, size - 1));
    (void)sim_fs_import(&s->fs, "base.raw", (const uint8_t[512]){ 9 }, 512);
    free(b);
    if (vhd_chain_open(&io, "i.vhd", 0, &c, NULL) == 0) {
        read_some(c);
        vhd_chain_close(c);
        change(&io);
    } else if (vhd_image_open(&io, "i.vhd", 0, &img, NULL) == 0) {
        char names[4][VHD_NAME_MAX];
        size_t n = vhd_image_parent_names(img, names);
        for (size_t i = 0; i < n; i++)
            REQUIRE(vhd_format_name_ok(names[i]));
        vhd_image_close(img);
    }
    for (size_t i = 0; i < ARRAY_SIZE(s->handle); i++)
        REQUIRE(s->handle[i] < 0);
    sim_done(s);
    free(s);
    return 0;
}
