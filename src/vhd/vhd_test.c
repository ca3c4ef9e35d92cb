/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/test.h"
#include "vhd/vhd_cbt.h"
#include "vhd/vhd_create.h"
#include "vhd/vhd_sim.h"

#define MIB     (UINT64_C(1) << 20)
#define SECTORS (12 * 2048) /* of the largest model: 12 MiB */

/* A disk beside an array that says what each sector must hold. */
struct model {
    struct sim sim;
    struct vhd_io io;
    struct vhd_chain *c;
    char leaf[SIM_NAME];
    int next_name;
    uint64_t rng;
    uint64_t seq;
    uint64_t want[SECTORS];
};

static void good(int rc, struct err *err)
{
    if (rc < 0)
        test_fail(__FILE__, __LINE__, "%s", err->detail ? err->detail : "failed");
}

static uint64_t pick(struct model *m, uint64_t n)
{
    m->rng ^= m->rng << 13;
    m->rng ^= m->rng >> 7;
    m->rng ^= m->rng << 17;
    return m->rng % n;
}

static void open_leaf(struct model *m)
{
    struct err err = { 0 };

    good(vhd_chain_open(&m->io, m->leaf, VHD_OPEN_WRITE, &m->c, &err), &err);
    CHECK(m->c != NULL);
    vhd_chain_leaf(m->c)->space.ahead = 0;
}

/* An image as another writer would make it: small blocks, the table right behind the header. */
static void make_small(struct model *m, const char *name, uint32_t block_bytes,
                       uint64_t bytes, const struct uuid *parent)
{
    struct vhd_footer f = { .data_offset = 512,
                            .current_bytes = bytes,
                            .original_bytes = bytes,
                            .type = VHD_DYNAMIC,
                            .uuid = uuid_new() };
    struct vhd_header h = { .bat_offset = 1536, .block_bytes = block_bytes };
    uint8_t b[1024];

    h.entries = (uint32_t)((bytes + block_bytes - 1) / block_bytes);
    memcpy(f.creator, "test", 4);
    size_t table = ((size_t)h.entries * 4 + 511) & ~(size_t)511;
    uint8_t *ff = mem_alloc(table + VHD_LOCATOR_BYTES);
    memset(ff, 0xff, table);
    if (parent) {
        size_t n = vhd_format_locator_make(VHD_LOC_W2RU, "d0.vhd", ff + table);
        h.loc[0] = (struct vhd_locator){ VHD_LOC_W2RU, 512, (uint32_t)n, 1536 + table };
        h.parent_uuid = *parent;
        f.type = VHD_DIFFERENCING;
    }
    vhd_format_footer_write(&f, b);
    int file = sim_fs_import(&m->sim.fs, name, b, 512);
    sim_fs_write(&m->sim.fs, file, ff, table + VHD_LOCATOR_BYTES, 1536);
    sim_fs_write(&m->sim.fs, file, b, 512, 1536 + table + VHD_LOCATOR_BYTES);
    vhd_format_header_write(&h, b);
    sim_fs_write(&m->sim.fs, file, b, 1024, 512);
    free(ff);
}

static struct model *model_new(uint32_t block_bytes, uint64_t seed)
{
    struct vhd_create_spec spec = { .type = VHD_DYNAMIC, .bytes = 7 * MIB + 512 };
    struct model *m = mem_alloc(sizeof(*m));
    struct err err = { 0 };

    sim_init(&m->sim);
    m->io = sim_io(&m->sim);
    m->rng = seed * UINT64_C(0x9e3779b97f4a7c15);
    m->next_name = 1;
    memcpy(m->leaf, "d0.vhd", 7);
    if (block_bytes)
        make_small(m, m->leaf, block_bytes, spec.bytes, NULL);
    else
        good(vhd_create(&m->io, m->leaf, &spec, &err), &err);
    open_leaf(m);
    return m;
}

static void model_free(struct model *m)
{
    vhd_chain_close(m->c);
    for (size_t i = 0; i < ARRAY_SIZE(m->sim.handle); i++)
        CHECK_INT(m->sim.handle[i], -1); /* a handle that an error path forgot */
    sim_done(&m->sim);
    free(m);
}

static void model_write(struct model *m)
{
    uint64_t total = m->c->bytes / 512, lba = pick(m, total);
    uint64_t n = 1 + pick(m, pick(m, 8) ? 32 : 5000);
    struct err err = { 0 };

    n = MIN(n, total - lba);
    uint64_t *buf = mem_array((size_t)n, 512);
    for (uint64_t i = 0; i < n; i++) {
        m->want[lba + i] = ++m->seq;
        for (size_t k = 0; k < 64; k++)
            buf[i * 64 + k] = m->seq;
    }
    good(vhd_chain_write(m->c, buf, n * 512, lba * 512, &err), &err);
    free(buf);
}

static void model_zero(struct model *m)
{
    uint64_t total = m->c->bytes / 512, lba = pick(m, total), n = 1 + pick(m, 200);
    struct err err = { 0 };

    if (pick(m, 3) == 0) {
        lba = lba / 4096 * 4096;
        n = 4096;
    }
    n = MIN(n, total - lba);
    for (uint64_t i = 0; i < n; i++)
        m->want[lba + i] = 0;
    good(vhd_chain_zero(m->c, n * 512, lba * 512, &err), &err);
}

static void model_compare(struct model *m)
{
    uint64_t *buf = mem_alloc(4096 * 512);
    struct err err = { 0 };

    for (uint64_t at = 0; at < m->c->bytes / 512; at += 4096) {
        uint64_t n = MIN(m->c->bytes / 512 - at, UINT64_C(4096));
        good(vhd_chain_read(m->c, buf, n * 512, at * 512, &err), &err);
        for (uint64_t i = 0; i < n; i++)
            if (buf[i * 64] != m->want[at + i] || buf[i * 64 + 63] != m->want[at + i])
                test_fail(__FILE__, __LINE__, "sector %llu holds %llx, not %llx",
                          (unsigned long long)at + i, (unsigned long long)buf[i * 64],
                          (unsigned long long)m->want[at + i]);
    }
    free(buf);
}

static void model_reopen(struct model *m)
{
    struct err err = { 0 };

    good(vhd_chain_finish(m->c, &err), &err);
    vhd_chain_close(m->c);
    open_leaf(m);
    CHECK(vhd_chain_leaf(m->c)->tail_ok);
}

static void model_snapshot(struct model *m)
{
    struct vhd_image *img = NULL;
    struct err err = { 0 };
    char name[SIM_NAME];

    if (m->next_name >= 24)
        return;
    (void)snprintf(name, sizeof(name), "d%d.vhd", m->next_name++);
    good(vhd_chain_flush(m->c, &err), &err);
    good(vhd_create_child(&m->io, m->leaf, name, &err), &err);
    good(vhd_image_open(&m->io, name, VHD_OPEN_WRITE, &img, &err), &err);
    img->space.ahead = 0;
    good(vhd_chain_push(m->c, img, &err), &err);
    memcpy(m->leaf, name, sizeof(name));
}

static void model_coalesce(struct model *m)
{
    const char *child = m->leaf;
    struct err err = { 0 };
    char path[SIM_NAME];

    if (m->c->n < 2)
        return;
    size_t at = 1 + (size_t)pick(m, m->c->n - 1);
    bool leaf = at == m->c->n - 1;
    if (!leaf)
        child = m->c->layer[at + 1]->path;
    AUTO(free_str) char *moved = str_dup(child);
    (void)snprintf(path, sizeof(path), "%s", m->c->layer[at]->path);
    good(vhd_chain_finish(m->c, &err), &err);
    vhd_chain_close(m->c);
    good(vhd_coalesce(&m->io, path, (const char *const[]){ moved }, leaf ? 0 : 1, &err),
         &err);
    open_leaf(m);
}

/* As the disk process does it: the chain stays open. */
static void model_live_coalesce(struct model *m)
{
    struct vhd_chain *parent = NULL;
    struct err err = { 0 };

    if (m->c->n < 3)
        return;
    size_t k = m->c->n - 2;
    struct vhd_image *img = m->c->layer[k];
    AUTO(free_str) char *path = str_dup(m->c->layer[k - 1]->path);
    AUTO(free_str) char *gone = str_dup(img->path);
    good(vhd_chain_flush(m->c, &err), &err);
    good(vhd_chain_open(&m->io, path, VHD_OPEN_WRITE, &parent, &err), &err);
    vhd_chain_leaf(parent)->space.ahead = 0;
    good(vhd_coalesce_copy(img, parent, &err), &err);
    good(vhd_chain_finish(parent, &err), &err);
    /* The layer below has new blocks: this chain's own view of it is read again. */
    vhd_image_close(m->c->layer[k - 1]);
    m->c->layer[k - 1] = NULL;
    good(vhd_image_open(&m->io, path, 0, &m->c->layer[k - 1], &err), &err);
    good(vhd_reparent(vhd_chain_leaf(m->c), m->c->layer[k - 1], &err), &err);
    vhd_image_close(img);
    good(vhd_chain_drop(m->c, k, &err), &err);
    CHECK_INT(m->io.ops->unlink(m->io.ctx, gone), 0);
    vhd_chain_close(parent);
}

static void model_resize(struct model *m)
{
    struct err err = { 0 };
    uint64_t bytes = MIN(m->c->bytes + 512 * (1 + pick(m, 1500)), UINT64_C(512) * SECTORS);

    good(vhd_resize(m->c, bytes, &err), &err);
    CHECK(m->c->bytes == bytes);
}

static void model_run(uint32_t block_bytes, uint64_t seed, int ops)
{
    struct model *m = model_new(block_bytes, seed);
    struct err err = { 0 };

    for (int i = 0; i < ops; i++) {
        uint64_t op = pick(m, 40);
        if (op < 16)
            model_write(m);
        else if (op < 24)
            model_zero(m);
        else if (op < 28)
            good(vhd_chain_flush(m->c, &err), &err);
        else if (op < 31)
            model_snapshot(m);
        else if (op < 34)
            model_coalesce(m);
        else if (op < 36)
            model_live_coalesce(m);
        else if (op < 38)
            model_resize(m);
        else
            model_reopen(m);
        if (i % 10 == 9 || op >= 28)
            model_compare(m);
    }
    model_reopen(m);
    model_compare(m);
    model_free(m);
}

TEST(random_operations)
{
    for (uint64_t seed = 1; seed <= 4; seed++)
        model_run(0, seed, 150);
}

TEST(random_operations_small_blocks)
{
    model_run(4096, 5, 120);
    model_run(65536, 6, 120);
    model_run(512 * 1024, 7, 120);
    model_run(2 * 1024 * 1024, 8, 120);
}

/* Others put the table right behind the header: growing and re-parenting must not use the room that our own
 * images have there. */
TEST(tight_layouts)
{
    static const uint32_t sizes[] = { 4096, 65536, 2 * 1024 * 1024 };

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct model *m = model_new(sizes[i], 30 + i);
        struct err err = { 0 };
        model_write(m);
        good(vhd_chain_finish(m->c, &err), &err);
        make_small(m, "d1.vhd", sizes[i], m->c->bytes, &vhd_chain_leaf(m->c)->footer.uuid);
        vhd_chain_close(m->c);
        memcpy(m->leaf, "d1.vhd", 7);
        m->next_name = 2;
        open_leaf(m);
        model_write(m);
        model_snapshot(m);
        model_write(m);
        model_live_coalesce(m); /* d1 into d0 */
        model_compare(m);
        model_snapshot(m);
        model_reopen(m);
        model_compare(m);
        model_free(m);

        m = model_new(0, 40 + i);
        model_write(m);
        good(vhd_chain_finish(m->c, &err), &err);
        make_small(m, "d1.vhd", sizes[i], m->c->bytes, &vhd_chain_leaf(m->c)->footer.uuid);
        good(vhd_create_child(&m->io, "d0.vhd", "d2.vhd", &err), &err);
        vhd_chain_close(m->c);
        memcpy(m->leaf, "d1.vhd", 7);
        open_leaf(m);
        model_write(m);
        for (int k = 0; k < 3; k++) {
            struct vhd_image *to = NULL; /* an empty child of its parent holds the same */
            good(vhd_chain_flush(m->c, &err), &err);
            good(vhd_image_open(&m->io, k == 1 ? "d0.vhd" : "d2.vhd", 0, &to, &err), &err);
            good(vhd_reparent(vhd_chain_leaf(m->c), to, &err), &err);
            vhd_image_close(to);
            model_write(m);
            model_reopen(m);
            CHECK_INT(m->c->n, k == 1 ? 2 : 3);
            model_compare(m);
            model_resize(m);
            model_write(m);
            model_reopen(m);
            model_compare(m);
        }
        model_free(m);
    }
    for (uint64_t blocks = 1; blocks < 2900;
         blocks += 113) { /* tables of many lengths in the gap */
        struct model *m = model_new(0, 50);
        struct err err = { 0 };
        vhd_chain_close(m->c);
        make_small(m, "t.vhd", 4096, 32256, NULL);
        memcpy(m->leaf, "t.vhd", 6);
        open_leaf(m);
        memset(m->want, 0, sizeof(m->want));
        model_write(m);
        good(vhd_resize(m->c, 2 * MIB + blocks * 3584 / 512 * 512, &err), &err);
        model_write(m);
        model_reopen(m);
        model_compare(m);
        model_free(m);
    }
}

TEST(fifty_layers)
{
    struct model *m = model_new(0, 9);
    struct err err = { 0 };
    char name[SIM_NAME];

    for (int i = 1; i < 50; i++) {
        model_write(m);
        (void)snprintf(name, sizeof(name), "d%d.vhd", i);
        good(vhd_chain_finish(m->c, &err), &err);
        vhd_chain_close(m->c);
        m->c = NULL;
        good(vhd_create_child(&m->io, m->leaf, name, &err), &err);
        memcpy(m->leaf, name, sizeof(name));
        open_leaf(m);
    }
    CHECK_INT(m->c->n, 50);
    model_compare(m);
    model_free(m);
}

static bool scenario_files(struct model *m, struct err *err)
{
    struct vhd_chain *c = NULL;
    struct vhd_image *other = NULL;
    uint8_t buf[4096];

    memset(buf, 0x5a, sizeof(buf));
    bool done = vhd_create_child(&m->io, "d0.vhd", "d1.vhd", err) == 0
                && vhd_create_child(&m->io, "d1.vhd", "d2.vhd", err) == 0
                && vhd_create_child(&m->io, "d1.vhd", "d3.vhd", err) == 0
                && vhd_chain_open(&m->io, "d2.vhd", VHD_OPEN_WRITE, &c, err) == 0;
    if (done) {
        vhd_chain_leaf(c)->space.ahead = 0;
        /* over data of the base: a bitmap with some bits */
        done = vhd_chain_write(c, buf, 4096, 3 * MIB + 4096, err) == 0
               && vhd_chain_zero(c, 4096, 3 * MIB + 512, err) == 0
               && vhd_chain_flush(c, err) == 0
               && vhd_image_open(&m->io, "d3.vhd", 0, &other, err) == 0
               && vhd_reparent(vhd_chain_leaf(c), other, err) == 0
               && vhd_chain_finish(c, err) == 0;
    }
    vhd_image_close(other);
    vhd_chain_close(c);
    return done
           && vhd_coalesce(&m->io, "d3.vhd", (const char *const[]){ "d2.vhd" }, 1, err) == 0
           && vhd_coalesce(&m->io, "d1.vhd", (const char *const[]){ "d2.vhd" }, 1, err) == 0
           && vhd_coalesce(&m->io, "d2.vhd", NULL, 0, err) == 0;
}

/* The n-th call fails, for every n: the disk stays what it was or becomes what it was to be. */
static bool scenario(struct model *m)
{
    struct vhd_chain *c = NULL;
    struct vhd_cbt *t = NULL;
    uint8_t buf[8192], other[512];
    struct err err = { 0 };
    bool done = false;
    uint64_t len;
    int layer;

    memset(buf, 0x5a, sizeof(buf));
    if (vhd_chain_open(&m->io, "d0.vhd", VHD_OPEN_WRITE, &c, &err) == 0) {
        vhd_chain_leaf(c)->space.ahead = 0;
        done = vhd_cbt_create(&m->io, "c.cbt", c->bytes, &c->layer[0]->footer.uuid, &err)
                   == 0
               && vhd_cbt_open(&m->io, "c.cbt", true, &t, &err) == 0;
        c->cbt = t;
        done = done && vhd_chain_status(c, 3 * MIB, &len, &layer, &err) == 0
               && vhd_chain_read(c, other, 512, 3 * MIB, &err) == 0
               && vhd_chain_write(c, buf, sizeof(buf), 2 * MIB - 4096, &err) == 0
               && vhd_chain_flush(c, &err) == 0 && vhd_resize(c, 9 * MIB, &err) == 0
               && vhd_chain_zero(c, 2 * MIB, 0, &err) == 0 && vhd_chain_finish(c, &err) == 0
               && vhd_cbt_finish(t, &err) == 0;
        vhd_chain_close(c);
        vhd_cbt_close(t);
    }
    done = done && scenario_files(m, &err);
    CHECK(done || err.code);
    err_done(&err);
    return done;
}

static void check_after_failure(struct model *m)
{
    static const char *const names[] = { "d3.vhd", "d2.vhd", "d1.vhd", "d0.vhd" };
    struct err err = { 0 };
    uint64_t b[64];
    int found = 0;

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct vhd_chain *c = NULL;
        if (sim_fs_find(&m->sim.fs, names[i]) < 0)
            continue;
        found++;
        good(vhd_chain_open(&m->io, names[i], VHD_OPEN_WRITE, &c, &err), &err);
        for (uint64_t lba = 4088; lba < 4104; lba++) {
            good(vhd_chain_read(c, b, 512, lba * 512, &err), &err);
            CHECK(b[0] == 0 || b[0] == UINT64_C(0x5a5a5a5a5a5a5a5a));
        }
        good(vhd_chain_read(c, b, 512, 3 * MIB, &err), &err);
        CHECK(b[0] == 77);
        good(vhd_chain_finish(c, &err), &err);
        vhd_chain_close(c);
    }
    CHECK(found > 0);
}

TEST(every_call_fails_once)
{
    static const int errors[] = { EIO, ENOSPC };
    uint64_t b[64] = { 77 };
    struct err err = { 0 };

    for (int sticky = 0; sticky < 2; sticky++)
        for (size_t e = 0; e < ARRAY_SIZE(errors); e++) {
            bool done = false;
            for (long n = 1; !done; n++) {
                struct model *m = model_new(0, 10);
                good(vhd_chain_write(m->c, b, 512, 3 * MIB, &err), &err);
                good(vhd_chain_finish(m->c, &err), &err);
                vhd_chain_close(TAKE(m->c));
                m->sim.fail_at = n;
                m->sim.fail_errno = errors[e];
                m->sim.fail_sticky = sticky;
                done = scenario(m) && m->sim.fail_at > 1;
                m->sim.fail_at = 0;
                check_after_failure(m);
                model_free(m);
                CHECK(n < 2000);
            }
        }
}

TEST(every_allocation_fails_once)
{
    uint64_t b[64] = { 77 };
    struct err err = { 0 };
    bool done = false;

    for (long n = 1; !done; n++) {
        struct model *m = model_new(0, 11);
        good(vhd_chain_write(m->c, b, 512, 3 * MIB, &err), &err);
        good(vhd_chain_finish(m->c, &err), &err);
        vhd_chain_close(TAKE(m->c));
        vhd_io_alloc_fails = n;
        done = scenario(m);
        vhd_io_alloc_fails = 0;
        check_after_failure(m);
        model_free(m);
        CHECK(n < 1000);
    }
}

TEST(failed_flush_is_not_forgotten)
{
    struct model *m = model_new(0, 11);
    struct err err = { 0 };

    model_write(m);
    m->sim.fail_at = 1;
    m->sim.fail_sticky = true;
    CHECK(vhd_chain_flush(m->c, &err) < 0);
    err_done(&err);
    m->sim.fail_at = 0;
    CHECK(vhd_chain_flush(m->c, &err) < 0);
    err_done(&err);
    model_free(m);
}

/* After the first flush of a new block, overwriting it owes no metadata: one fsync. */
TEST(full_block_owes_nothing)
{
    struct model *m = model_new(0, 12);
    struct err err = { 0 };
    uint64_t b[64] = { 1 };

    good(vhd_chain_write(m->c, b, 512, 4096, &err), &err);
    good(vhd_chain_flush(m->c, &err), &err);
    sim_start_log(&m->sim);
    good(vhd_chain_write(m->c, b, 512, 65536, &err), &err);
    good(vhd_chain_flush(m->c, &err), &err);
    CHECK_INT(m->sim.log.n, 2);
    CHECK_INT(m->sim.log.v[0].type, SIM_WRITE);
    CHECK_INT(m->sim.log.v[1].type, SIM_FSYNC);
    model_free(m);
}

/* Whatever bit of the tables flips: refused, or right but for the one block. */
TEST(bit_flips)
{
    struct model *m = model_new(0, 13);
    struct err err = { 0 };
    uint64_t b[64];
    int refused = 0;

    memset(b, 0x11, sizeof(b));
    good(vhd_chain_write(m->c, b, 512, 0, &err), &err);
    good(vhd_chain_write(m->c, b, 512, 2 * MIB, &err), &err);
    model_reopen(m);
    vhd_chain_close(TAKE(m->c));
    int file = sim_fs_find(&m->sim.fs, "d0.vhd");
    for (uint32_t bit = 0; bit < (1536 + 512) * 8; bit++) {
        uint64_t at = bit / 8 < 1536 ? bit / 8 : VHD_BAT_OFFSET + bit / 8 - 1536;
        struct vhd_chain *c = NULL;
        uint8_t x;
        sim_fs_read(&m->sim.fs, file, &x, 1, at);
        x ^= (uint8_t)(1U << (bit % 8));
        sim_fs_write(&m->sim.fs, file, &x, 1, at);
        if (vhd_chain_open(&m->io, "d0.vhd", 0, &c, &err) < 0) {
            refused++;
        } else {
            uint32_t block = bit / 8 < 1536 ? 9 : (bit / 8 - 1536) / 4;
            for (uint32_t k = 0; k < 2; k++) {
                good(vhd_chain_read(c, b, 512, k * 2 * MIB, &err), &err);
                CHECK(b[0] == UINT64_C(0x1111111111111111) || k == block);
            }
            vhd_chain_close(c);
        }
        err_done(&err);
        x ^= (uint8_t)(1U << (bit % 8));
        sim_fs_write(&m->sim.fs, file, &x, 1, at);
    }
    CHECK(refused > 1024 * 8);
    model_free(m);
}

/* A crash between the two halves of a header change leaves the header in its second place: the next writer
 * brings it home, since some readers look for it at 512 only. */
TEST(header_comes_home)
{
    struct model *m = model_new(0, 17);
    struct err err = { 0 };
    uint8_t b[512];
    int seen = 0;

    model_write(m);
    model_snapshot(m);
    model_write(m);
    good(vhd_chain_flush(m->c, &err), &err);
    for (long n = 1; n < 12 && m->c->bytes <= 10 * MIB; n++) {
        m->sim.fail_at = n;
        m->sim.fail_sticky = true;
        if (vhd_resize(m->c, m->c->bytes + 2 * MIB, &err) == 0)
            break;
        err_done(&err);
        m->sim.fail_at = 0;
        vhd_chain_close(TAKE(m->c));
        int file = sim_fs_find(&m->sim.fs, m->leaf);
        sim_fs_read(&m->sim.fs, file, b, sizeof(b), 0);
        seen += be64(b + 16) != 512;
        open_leaf(m);
        sim_fs_read(&m->sim.fs, file, b, sizeof(b), 0);
        CHECK_INT(be64(b + 16), 512);
        model_compare(m);
        CHECK_STR(m->c->layer[0]->path, "d0.vhd");
    }
    m->sim.fail_at = 0;
    CHECK(seen > 0);
    model_reopen(m);
    model_compare(m);
    model_free(m);
}

/* One field wrong, all checksums right, and no footer at the end to fall back to. */
TEST(wrong_fields)
{
    static const struct {
        int in; /* 0: footer, 1: header */
        size_t at, len;
        uint64_t value;
        const char *says;
    } cases[] = {
        { 0, 0, 1, 'x', "cookie" },
        { 0, 12, 4, 0x00020000, "version" },
        { 0, 16, 8, 513, "within a sector" },
        { 0, 16, 8, 0, "over another structure" },
        { 0, 16, 8, UINT64_C(1) << 40, "behind the end" },
        { 0, 16, 8, UINT64_MAX - 511, "behind the end" },
        { 0, 48, 8, 0, "no sectors" },
        { 0, 48, 8, 4097, "multiple of 512" },
        { 0, 48, 8, (UINT64_C(2040) << 30) + 512, "2040 GiB" },
        { 0, 48, 8, UINT64_C(1) << 30, "too few" },
        { 0, 60, 4, 9, "disk type" },
        { 0, 60, 4, 2, "cookie" }, /* a fixed image's only footer is the last sector */
        { 1, 0, 1, 'x', "cookie" },
        { 1, 16, 8, 8193, "sector boundary" },
        { 1, 16, 8, 512, "over another structure" },
        { 1, 16, 8, UINT64_MAX - 1023, "behind the end" },
        { 1, 24, 4, 0, "version" },
        { 1, 28, 4, 1, "too few" },
        { 1, 28, 4, UINT32_MAX, "behind the end" },
        { 1, 32, 4, 0, "block size" },
        { 1, 32, 4, 2048, "block size" },
        { 1, 32, 4, 3 << 19, "block size" },
        { 1, 32, 4, 4 << 20, "block size" },
        { 1, 600, 8, 0x4d61635800000200,
          "malformed" }, /* second locator: longer than its space */
        { 1, 616, 8, 513, "malformed" },
        { 1, 616, 8, UINT64_C(1) << 50, "behind the end" },
        { 1, 40, 1, 99, "not the parent" },
    };
    struct model *m = model_new(0, 18);
    struct err err = { 0 };
    uint8_t saved[1536], b[1536], v[8];

    model_snapshot(m);
    model_write(m);
    good(vhd_chain_flush(m->c, &err), &err); /* the leaf has no footer at its end now */
    vhd_chain_close(TAKE(m->c));
    int file = sim_fs_find(&m->sim.fs, m->leaf);
    sim_fs_read(&m->sim.fs, file, saved, sizeof(saved), 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        size_t base = cases[i].in ? 512 : 0, len = cases[i].in ? 1024 : 512;
        size_t sum = cases[i].in ? 36 : 64;
        struct vhd_chain *c = NULL;
        memcpy(b, saved, sizeof(b));
        put_be64(v, cases[i].value);
        memcpy(b + base + cases[i].at, v + 8 - cases[i].len, cases[i].len);
        if (cases[i].in && cases[i].at == 600)
            put_be32(b + base + 608, 600);
        put_be32(b + base + sum, vhd_format_sum(b + base, len, sum));
        sim_fs_write(&m->sim.fs, file, b, sizeof(b), 0);
        if (vhd_chain_open(&m->io, m->leaf, 0, &c, &err) == 0)
            test_fail(__FILE__, __LINE__, "case %zu is accepted", i);
        if (!strstr(err.detail, cases[i].says))
            test_fail(__FILE__, __LINE__, "case %zu: %s", i, err.detail);
        err_done(&err);
    }
    sim_fs_write(&m->sim.fs, file, saved, sizeof(saved), 0);
    open_leaf(m);
    model_compare(m);
    model_free(m);
}

TEST(wrong_chains)
{
    struct model *m = model_new(0, 19);
    struct vhd_image *a = NULL, *b = NULL, *raw = NULL;
    struct vhd_chain *c = NULL;
    struct err err = { 0 };

    model_snapshot(m);
    (void)sim_fs_import(&m->sim.fs, "x.raw", "0123", 4);
    good(vhd_image_open(&m->io, "d0.vhd", 0, &a, &err), &err);
    good(vhd_image_open(&m->io, "d1.vhd", VHD_OPEN_WRITE, &b, &err), &err);
    good(vhd_image_open(&m->io, "x.raw", VHD_OPEN_RAW, &raw, &err), &err);
    struct vhd_image *const wrong[][3] = { { a, a, b }, { b, a }, { a, b, b }, { raw, b } };
    static const size_t n[] = { 3, 2, 3, 2 };
    CHECK(vhd_chain_from(wrong[0], 0, &c, &err) < 0);
    err_done(&err);
    for (size_t i = 0; i < ARRAY_SIZE(n); i++) {
        CHECK(vhd_chain_from(wrong[i], n[i], &c, &err) < 0);
        CHECK_STR(err.params[0], "VHD_PARENT");
        err_done(&err);
    }
    CHECK(vhd_chain_push(m->c, a, &err) < 0);
    err_done(&err);
    CHECK(vhd_reparent(a, b, &err) < 0); /* not open for writing */
    err_done(&err);
    CHECK(vhd_reparent(b, b, &err) < 0);
    err_done(&err);
    CHECK(vhd_image_write(a, "x", 1, 0, &err) < 0);
    CHECK_STR(err.params[0], "EROFS");
    err_done(&err);
    CHECK(vhd_coalesce(&m->io, "d0.vhd", NULL, 0, &err) < 0); /* no parent */
    err_done(&err);
    CHECK(vhd_create_child(&m->io, "d0.vhd", "d0.vhd", &err) < 0);
    err_done(&err);
    vhd_image_close(a);
    vhd_image_close(b);
    vhd_image_close(raw);
    model_free(m);
}

TEST(guest_footer_in_a_fixed_disk)
{
    struct vhd_create_spec spec = { .type = VHD_FIXED, .bytes = 3 * MIB };
    struct model *m = model_new(0, 14);
    struct vhd_chain *c = NULL;
    struct err err = { 0 };
    uint8_t b[512];

    good(vhd_create(&m->io, "fixed.vhd", &spec, &err), &err);
    good(vhd_chain_open(&m->io, "fixed.vhd", VHD_OPEN_WRITE, &c, &err), &err);
    CHECK_INT(vhd_chain_leaf(c)->kind, VHD_KIND_FIXED);
    struct vhd_footer f = { .type = VHD_DYNAMIC,
                            .data_offset = 512,
                            .current_bytes = 4 * MIB };
    vhd_format_footer_write(&f, b);
    good(vhd_chain_write(c, b, 512, 0, &err), &err);
    vhd_chain_close(TAKE(c));
    CHECK(vhd_chain_open(&m->io, "fixed.vhd", 0, &c, &err) < 0);
    CHECK_STR(err.params[0], "VHD_AMBIGUOUS");
    err_done(&err);
    model_free(m);
}

TEST(sizes_and_names)
{
    struct model *m = model_new(0, 15);
    struct vhd_create_spec spec = { .type = VHD_DYNAMIC, .bytes = 1 * MIB };
    struct err err = { 0 };

    CHECK(vhd_create(&m->io, "x.vhd", &spec, &err) < 0);
    CHECK_STR(err.code, "VDI_TOO_SMALL");
    err_done(&err);
    spec.bytes = VHD_MAX_BYTES + 512;
    CHECK(vhd_create(&m->io, "x.vhd", &spec, &err) < 0);
    CHECK_STR(err.code, "VDI_TOO_LARGE");
    err_done(&err);
    spec.bytes = 2 * MIB;
    CHECK(vhd_create(&m->io, "d0.vhd", &spec, &err) < 0);
    CHECK_STR(err.params[0], "EEXIST");
    err_done(&err);
    CHECK(vhd_resize(m->c, 2 * MIB, &err) < 0);
    CHECK_STR(err.code, "VDI_TOO_SMALL");
    err_done(&err);
    CHECK(vhd_chain_read(m->c, &spec, 512, m->c->bytes, &err) < 0);
    err_done(&err);
    CHECK(vhd_chain_read(m->c, &spec, 512, UINT64_MAX - 511, &err) < 0);
    err_done(&err);
    model_free(m);
}

TEST(geometry)
{
    static const struct {
        uint64_t bytes;
        unsigned c, h, s;
    } cases[] = {
        { UINT64_C(64) << 20, 963, 8, 17 },       { UINT64_C(2) << 20, 60, 4, 17 },
        { UINT64_C(10) << 30, 20805, 16, 63 },    { UINT64_C(200) << 20, 825, 16, 31 },
        { UINT64_C(2040) << 30, 65535, 16, 255 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct vhd_footer f = { 0 };
        vhd_format_geometry(cases[i].bytes, &f);
        CHECK_INT(f.cylinders, cases[i].c);
        CHECK_INT(f.heads, cases[i].h);
        CHECK_INT(f.sectors, cases[i].s);
    }
}

/* Whatever a child says, the parent's name is one component. */
TEST(parent_names)
{
    static const struct {
        const char *url, *want;
    } cases[] = {
        { "file://./base.vhd", "base.vhd" },
        { "file:///etc/../x%20y.vhd", "x y.vhd" },
        { "file://../..", NULL },
        { "file://./a%2fb", NULL },
        { "file://./", NULL },
        { "file://./a%00b", NULL },
        { "file://./\xff.vhd", NULL },
        { "base.vhd", "base.vhd" },
    };

    char out[VHD_NAME_MAX];
    uint8_t b[VHD_LOCATOR_BYTES];

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        bool ok = vhd_format_locator_name(VHD_LOC_MACX, (const uint8_t *)cases[i].url,
                                          strlen(cases[i].url), out);
        CHECK(ok == (cases[i].want != NULL));
        if (ok)
            CHECK_STR(out, cases[i].want);
    }
    static const uint32_t codes[] = { VHD_LOC_MACX, VHD_LOC_W2KU, VHD_LOC_W2RU };
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        size_t n = vhd_format_locator_make(codes[i], "b\xc3\xa4s\xf0\x9f\x98\x80 e.vhd", b);
        CHECK(n > 0 && vhd_format_locator_name(codes[i], b, n, out));
        CHECK_STR(out, "b\xc3\xa4s\xf0\x9f\x98\x80 e.vhd");
    }
}

TEST(changed_blocks)
{
    struct model *m = model_new(0, 16);
    struct vhd_cbt *t = NULL;
    struct err err = { 0 };
    size_t n;

    good(vhd_cbt_create(&m->io, "c.cbt", 40 * MIB, NULL, &err), &err);
    good(vhd_cbt_open(&m->io, "c.cbt", true, &t, &err), &err);
    good(vhd_cbt_before_write(t, 65536 * 3 + 5 * 512, 65536, &err), &err);
    CHECK(vhd_cbt_note(t, 20, 10)); /* same region: no intent needed */
    CHECK(!vhd_cbt_note(t, 16 * MIB, 10));
    good(vhd_cbt_intend(t, 16 * MIB, 10, &err), &err);
    good(vhd_cbt_flush(t, &err), &err);
    good(vhd_cbt_resize(t, 80 * MIB, &err), &err);
    good(vhd_cbt_finish(t, &err), &err);
    vhd_cbt_close(TAKE(t));
    good(vhd_cbt_open(&m->io, "c.cbt", true, &t, &err), &err);
    CHECK(vhd_cbt_disk_bytes(t) == 80 * MIB);
    for (uint64_t i = 0; i < 80 * 16; i++)
        CHECK(vhd_cbt_changed(t, i * 65536) == (i == 0 || i == 3 || i == 4 || i == 256));
    CHECK(vhd_cbt_bits(t, &n)[0] == 0x98 && n == 512);
    good(vhd_cbt_before_write(t, 33 * MIB, 512, &err), &err);
    vhd_cbt_close(TAKE(t)); /* like a crash: the whole region counts */
    good(vhd_cbt_open(&m->io, "c.cbt", true, &t, &err), &err);
    for (uint64_t i = 0; i < 80 * 16; i++)
        CHECK(vhd_cbt_changed(t, i * 65536)
              == (i == 0 || i == 3 || i == 4 || (i >= 256 && i < 257)
                  || (i >= 512 && i < 768)));
    vhd_cbt_close(t);
    model_free(m);
}

TEST(changed_blocks_in_steps)
{
    struct model *m = model_new(0, 16);
    struct vhd_cbt *t = NULL;
    struct err err = { 0 };
    uint64_t at, len;

    good(vhd_cbt_create(&m->io, "c.cbt", 200 * MIB, NULL, &err), &err);
    good(vhd_cbt_open(&m->io, "c.cbt", true, &t, &err), &err);
    CHECK(!vhd_cbt_ahead(t, 17 * MIB, &at, &len));
    vhd_cbt_want(t, 0, 40 * MIB);
    vhd_cbt_want(t, 100 * MIB, 512);
    CHECK(!vhd_cbt_note(t, 0, 512)); /* not yet */
    good(vhd_cbt_run(t, &err), &err);
    vhd_cbt_ready(t, true);
    CHECK(vhd_cbt_note(t, 0, 40 * MIB) && vhd_cbt_note(t, 100 * MIB, 512));
    CHECK(!vhd_cbt_note(t, 50 * MIB, 512));
    vhd_cbt_want(t, 50 * MIB, 512);
    vhd_cbt_ready(t, false); /* it failed: as if it had not been wanted */
    CHECK(!vhd_cbt_note(t, 50 * MIB, 512));
    CHECK(!vhd_cbt_ahead(t, 5 * MIB, &at, &len) && !vhd_cbt_ahead(t, 17 * MIB, &at, &len));
    CHECK(vhd_cbt_ahead(t, 33 * MIB, &at, &len) && at == 48 * MIB && len == 64 * MIB);
    CHECK(!vhd_cbt_ahead(t, 195 * MIB, &at, &len));
    vhd_cbt_close(t);
    model_free(m);
}

TEST(changed_blocks_beside)
{
    struct model *m = model_new(0, 16);
    struct vhd_cbt *t = NULL;
    struct err err = { 0 };
    struct uuid parent = uuid_new(), none = { 0 };
    int h;

    good(vhd_cbt_open_beside(&m->io, "x.raw", 20 * MIB, &t, &err), &err);
    CHECK(!t);
    good(vhd_cbt_open_beside(&m->io, "x.vhd", 20 * MIB, &t, &err), &err);
    CHECK(!t);
    good(vhd_cbt_create(&m->io, "x.cbt", 20 * MIB, &parent, &err), &err);
    good(vhd_cbt_open_beside(&m->io, "x.vhd", 30 * MIB, &t, &err), &err);
    CHECK(t && vhd_cbt_disk_bytes(t) == 30 * MIB);
    CHECK(memcmp(vhd_cbt_parent(t)->b, parent.b, 16) == 0);
    vhd_cbt_close(TAKE(t));
    h = m->io.ops->open(m->io.ctx, "x.cbt", VHD_IO_WRITE);
    CHECK(m->io.ops->pwrite(m->io.ctx, h, "nothing", 8, 0) == 0);
    m->io.ops->close(m->io.ctx, h);
    good(vhd_cbt_open_beside(&m->io, "x.vhd", 30 * MIB, &t, &err), &err);
    CHECK(t && memcmp(vhd_cbt_parent(t)->b, none.b, 16) == 0);
    vhd_cbt_close(TAKE(t));
    CHECK_INT(vhd_cbt_open_beside(&m->io, "x.vhd", UINT64_C(4) << 40, &t, &err), -1);
    CHECK(err.code && !t);
    err_done(&err);
    model_free(m);
}
