/* SPDX-License-Identifier: Apache-2.0 */
/* The engine against a plain array: random requests, many at once, on images of one and of several layers,
 * with both back ends; what was flushed is there when the process stops without a word. */
#include "diskd/disk.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/test.h"
#include "diskd/disk_io.h"
#include "vhd/vhd_create.h"

#define DISK_BYTES (UINT64_C(11) << 20) /* the last unit is half a one */
#define DEPTH      24
#define MAX_LEN    (UINT64_C(3) << 20)

static uint64_t seed = 88172645463325252ULL;

static uint64_t random_below(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % n;
}

struct slot {
    struct disk_req r;
    bool busy;
};

static struct {
    struct aio *aio;
    struct disk *disk;
    struct slot slot[DEPTH];
    size_t busy;
    uint8_t *model;
    char *path;
} x;

static struct err err;

static void must(int rc)
{
    if (rc < 0) {
        AUTO(free_str) char *text = err_text(&err);
        test_fail(__FILE__, __LINE__, "%s", text);
    }
}

static void open_disk(bool plain)
{
    struct vhd_chain *c = NULL;

    x.aio = aio_new(plain);
    must(vhd_chain_open(&disk_io, x.path, VHD_OPEN_WRITE, &c, &err));
    x.disk = disk_new(x.aio, c, &(struct disk_policy){ 0 });
}

static void close_disk(bool clean)
{
    struct vhd_chain *c = disk_free(x.disk);

    if (clean)
        must(vhd_chain_finish(c, &err));
    vhd_chain_close(c);
    aio_free(x.aio);
}

static void create(uint64_t bytes)
{
    x.path = str_fmt("%s/a.vhd", test_dir());
    must(vhd_create(&vhd_io_posix, x.path,
                    &(struct vhd_create_spec){ .type = VHD_DYNAMIC, .bytes = bytes },
                    &err));
    x.model = mem_alloc(bytes);
    for (size_t i = 0; i < DEPTH; i++) {
        void *p = NULL;
        CHECK_INT(posix_memalign(&p, 4096, MAX_LEN), 0);
        x.slot[i].r.buf = p;
    }
}

static void add_layer(const char *name)
{
    char *child = str_fmt("%s/%s", test_dir(), name);

    must(vhd_create_child(&vhd_io_posix, x.path, child, &err));
    free(x.path);
    x.path = child;
}

static void slot_done(struct disk_req *r)
{
    struct slot *s = CONTAINER_OF(r, struct slot, r);

    /* No two that overlap are under way at once, so the model is what it was when this began. */
    if (r->kind == DISK_READ && !r->error)
        CHECK(memcmp(r->buf, x.model + r->offset, r->len) == 0);
    s->busy = false;
    x.busy--;
}

static void drain(size_t to)
{
    while (x.busy > to)
        aio_wait(x.aio, -1);
}

static int run_one(enum disk_kind kind, uint64_t offset, uint64_t len, bool fua)
{
    struct slot *s = &x.slot[0];

    CHECK(!s->busy);
    s->r.done = slot_done;
    s->r.kind = kind;
    s->r.offset = offset;
    s->r.len = len;
    s->r.fua = fua;
    s->busy = true;
    x.busy++;
    disk_submit(x.disk, &s->r);
    drain(0);
    return s->r.error;
}

static void compare_all(void)
{
    for (uint64_t at = 0; at < disk_bytes(x.disk); at += MAX_LEN) {
        uint64_t len = MIN(MAX_LEN, disk_bytes(x.disk) - at);
        CHECK_INT(run_one(DISK_READ, at, len, false), 0);
        for (uint64_t i = 0; i < len; i++)
            if (x.slot[0].r.buf[i] != x.model[at + i])
                test_fail(__FILE__, __LINE__, "byte %llu of the disk differs",
                          (unsigned long long)at + i);
    }
}

static bool overlaps(uint64_t offset, uint64_t len)
{
    for (size_t i = 0; i < DEPTH; i++) {
        const struct slot *s = &x.slot[i];
        if (s->busy && s->r.kind != DISK_FLUSH && offset < s->r.offset + s->r.len
            && s->r.offset < offset + len)
            return true;
    }
    return false;
}

static void submit_random(struct slot *s)
{
    static const enum disk_kind kinds[] = { DISK_READ,  DISK_WRITE, DISK_WRITE,
                                            DISK_WRITE, DISK_ZERO,  DISK_FLUSH };
    struct disk_req *r = &s->r;
    uint64_t sectors = DISK_BYTES / 512;

    r->done = slot_done;
    r->kind = kinds[random_below(random_below(8) ? 5 : 6)];
    r->fua = random_below(16) == 0;
    r->offset = random_below(sectors) * 512;
    r->len = (1 + random_below(random_below(6) ? 64 : MAX_LEN / 512)) * 512;
    if (r->kind == DISK_ZERO && random_below(3) == 0) {
        r->offset &= ~(VHD_UNIT_BYTES - 1);
        r->len = VHD_UNIT_BYTES;
    }
    r->len = MIN(r->len, DISK_BYTES - r->offset);
    if (r->kind != DISK_FLUSH && overlaps(r->offset, r->len))
        return;
    if (r->kind == DISK_WRITE) {
        memset(r->buf, (int)random_below(256), r->len);
        r->buf[0] ^= 0x5a;
        memcpy(x.model + r->offset, r->buf, r->len);
    } else if (r->kind == DISK_ZERO) {
        memset(x.model + r->offset, 0, r->len);
    }
    s->busy = true;
    x.busy++;
    disk_submit(x.disk, r);
}

static void random_load(size_t n)
{
    for (size_t done = 0; done < n;) {
        struct slot *s = &x.slot[random_below(DEPTH)];
        if (s->busy) {
            aio_wait(x.aio, -1);
            continue;
        }
        CHECK_INT(s->r.error, 0);
        submit_random(s);
        done++;
    }
    drain(0);
}

static void flushed_is_there(bool plain)
{
    create(DISK_BYTES);
    for (size_t k = 0; k < 3; k++) {
        open_disk(plain);
        random_load(150);
        CHECK_INT(run_one(DISK_FLUSH, 0, 0, false), 0);
        close_disk(false);
        open_disk(plain);
        compare_all();
        close_disk(true);
        char name[16];
        (void)snprintf(name, sizeof(name), "f%zu.vhd", k);
        add_layer(name);
    }
    struct vhd_chain *c = NULL;
    must(vhd_chain_open(&vhd_io_posix, x.path, 0, &c, &err));
    uint8_t *all = mem_alloc(DISK_BYTES);
    must(vhd_chain_read(c, all, DISK_BYTES, 0, &err));
    CHECK(memcmp(all, x.model, DISK_BYTES) == 0);
    free(all);
    vhd_chain_close(c);
}

TEST(flushed_data_is_there_after_a_stop_without_a_word)
{
    flushed_is_there(false);
}

TEST(the_same_without_io_uring)
{
    flushed_is_there(true);
    struct aio *a = aio_new(true);
    CHECK_STR(aio_name(a), "threads");
    aio_free(a);
}
