/* SPDX-License-Identifier: Apache-2.0 */
/* The engine against a plain array: random requests, many at once, on images of one and of several layers,
 * with both back ends; what was flushed is there when the process stops without a word. */
#include "diskd/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/test.h"
#include "diskd/disk_io.h"
#include "diskd/disk_journal.h"
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
    char *path, *journal_path;
    struct disk_journal *journal;
    bool no_flush;
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
    if (x.journal_path)
        must(disk_journal_open(x.journal_path, &x.journal, &err));
    must(vhd_chain_open(&disk_io, x.path, VHD_OPEN_WRITE, &c, &err));
    x.disk = disk_new(x.aio, c, &(struct disk_policy){ 0 });
    if (x.journal)
        disk_set_journal(x.disk, x.journal);
}

static void close_disk(bool clean)
{
    struct vhd_chain *c = disk_free(x.disk);

    if (clean)
        must(vhd_chain_finish(c, &err));
    vhd_chain_close(c);
    if (clean && x.journal)
        disk_journal_remove(TAKE(x.journal));
    disk_journal_close(TAKE(x.journal));
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

/* As others make them: nothing is in it yet, and its table has room. */
static void shrink_blocks(uint32_t block_bytes)
{
    uint8_t b[VHD_HEADER_BYTES];
    struct vhd_header h;
    int fd = open(x.path, O_RDWR);

    CHECK(pread(fd, b, sizeof(b), 512) == (ssize_t)sizeof(b));
    CHECK(!vhd_format_header_read(b, &h));
    h.block_bytes = block_bytes;
    h.entries = (uint32_t)(DISK_BYTES / block_bytes);
    vhd_format_header_write(&h, b);
    CHECK(pwrite(fd, b, sizeof(b), 512) == (ssize_t)sizeof(b));
    memset(b, 0xff, sizeof(b));
    CHECK(h.entries * 4 <= sizeof(b));
    CHECK(pwrite(fd, b, sizeof(b), (off_t)h.bat_offset) == (ssize_t)sizeof(b));
    (void)close(fd);
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
    r->kind = kinds[random_below(random_below(8) || x.no_flush ? 5 : 6)];
    r->fua = !x.no_flush && random_below(16) == 0;
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

static void answered_is_there(uint32_t block_bytes)
{
    create(DISK_BYTES);
    if (block_bytes)
        shrink_blocks(block_bytes);
    x.journal_path = str_fmt("%s/journal", test_dir());
    for (size_t k = 0; k < 9; k++) {
        open_disk(false);
        x.no_flush = k % 4 != 3;
        random_load(40 + random_below(300));
        close_disk(false);
        open_disk(false);
        compare_all();
        close_disk(k % 2);
        CHECK_INT(access(x.journal_path, F_OK) == 0, k % 2 == 0);
        if (k % 3 == 0
            && !block_bytes) { /* what is owed goes to the leaf that owes it, whatever is opened */
            char name[16];
            (void)snprintf(name, sizeof(name), "j%zu.vhd", k);
            add_layer(name);
        }
    }
}

TEST(answered_data_is_there_with_a_journal)
{
    answered_is_there(0);
}

TEST(answered_data_is_there_in_small_blocks)
{
    answered_is_there(64 << 10);
}

TEST(a_journal_of_something_else_is_refused)
{
    create(DISK_BYTES);
    x.journal_path = str_fmt("%s/journal", test_dir());
    open_disk(false);
    memset(x.slot[0].r.buf, 7, 4096);
    CHECK_INT(run_one(DISK_WRITE, 0, 4096, false), 0);
    close_disk(false);
    CHECK_INT(unlink(x.path), 0);
    must(vhd_create(&vhd_io_posix, x.path,
                    &(struct vhd_create_spec){ .type = VHD_DYNAMIC, .bytes = DISK_BYTES },
                    &err));
    CHECK_INT(disk_journal_open(x.journal_path, &x.journal, &err), -1);
    CHECK(strstr(err.detail, "this is not the image"));
    err_done(&err);
    /* Of another boot, or no journal at all: nothing is owed. */
    int fd = open(x.journal_path, O_RDWR);
    CHECK(pwrite(fd, "another boot", 12, 8) == 12);
    (void)close(fd);
    open_disk(false);
    memset(x.model, 0, DISK_BYTES);
    compare_all();
    close_disk(true);
}

TEST(the_same_without_io_uring)
{
    flushed_is_there(true);
    struct aio *a = aio_new(true);
    CHECK_STR(aio_name(a), "threads");
    aio_free(a);
}
