/* SPDX-License-Identifier: Apache-2.0 */
/* Three kinds of notes, in the order in which they came true: a block has a place, a block has none any more, sectors of a
 * unit are the leaf's. Two halves: a flush covers all that was noted when it began, and lets go of that half when it ends;
 * what comes meanwhile is noted in the other.
 *
 * Playing them back starts from what the file says, which may be any state between the begin of the older half and now: a
 * note sets what it speaks of whatever was there, so that the end is the same, also when this is cut short and done again.
 * Data first, then bitmaps and table, as in any flush; a place in the table that is noted lies in space that durably reads
 * as zeros, so bitmaps and table need no order between them.
 *
 * One process writes it, and its successor looks when that one is dead, so a count that is raised after its note is all there
 * is of exclusion. Thread: the disk's. */
#include "diskd/disk_journal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "diskd/disk_io.h"

#define MAGIC     UINT64_C(0x316c616e72756f6a) /* journal1 */
#define NOTES     16384
#define PIECES    512 /* at most are under way, each with a note to come */
#define BOOT_FILE "/proc/sys/kernel/random/boot_id"

enum note_kind { NOTE_NONE, NOTE_PLACE, NOTE_DROP, NOTE_OWN };

struct note {
    uint32_t kind;
    uint32_t at; /* block; NOTE_OWN: unit */
    uint32_t a; /* NOTE_PLACE: sector of the file; NOTE_OWN: from this sector of the unit */
    uint32_t b; /* NOTE_PLACE: all of it is the leaf's; NOTE_OWN: to this one */
};

struct half {
    uint64_t n;
    struct note note[NOTES];
};

struct state {
    uint64_t magic;
    char boot[64];
    struct uuid leaf;
    char path[4096];
    uint64_t active; /* the half that is written to; the other one is older */
    struct half half[2];
};

struct disk_journal {
    struct state *s;
    char *path;
    size_t n_begun;
};

/* ---- notes ------------------------------------------------------------------------------------------- */

static void add(struct disk_journal *j, struct note note)
{
    struct half *h = &j->s->half[j->s->active];

    h->note[h->n] = note;
    __atomic_store_n(&h->n, h->n + 1, __ATOMIC_RELEASE); /* not before the note */
}

bool disk_journal_room(const struct disk_journal *j)
{
    return j->s->half[j->s->active].n + DISK_JOURNAL_BLOCKS + PIECES + 1 <= NOTES;
}

bool disk_journal_filling(const struct disk_journal *j)
{
    return j->s->half[j->s->active].n > NOTES / 2;
}

void disk_journal_mark(const struct vhd_chain *c, uint64_t offset, uint64_t len,
                       struct disk_journal_mark *m)
{
    const struct vhd_image *leaf = vhd_chain_leaf(c);
    uint64_t unit_end = (offset | (VHD_UNIT_BYTES - 1)) + 1;
    uint64_t end = MIN(offset + len, unit_end);

    m->n = 0;
    if (leaf->kind != VHD_KIND_DYNAMIC || len == 0)
        return;
    m->first = (uint32_t)(offset / leaf->block_bytes);
    m->n = (uint32_t)((end - 1) / leaf->block_bytes) - m->first + 1;
    memcpy(m->bat, leaf->bat + m->first, m->n * sizeof(*m->bat));
}

void disk_journal_planned(struct disk_journal *j, const struct vhd_chain *c,
                          const struct disk_journal_mark *m)
{
    const struct vhd_image *leaf = vhd_chain_leaf(c);

    for (uint32_t i = 0; i < m->n; i++) {
        uint32_t block = m->first + i, sector = leaf->bat[block];
        if (sector == m->bat[i])
            continue;
        /* Marked when it gets its place: all of it is the leaf's at once (vhd_plan.c). */
        bool whole = c->block_dirty[block / 8] & (1U << (block % 8));
        if (sector == VHD_ABSENT)
            add(j, (struct note){ NOTE_DROP, block, 0, 0 });
        else
            add(j, (struct note){ NOTE_PLACE, block, sector, whole });
    }
}

void disk_journal_begun(struct disk_journal *j)
{
    j->n_begun++;
    assert(j->n_begun <= PIECES);
}

/* Does the leaf get sectors that were not its own? As vhd_plan_wrote sees it. */
static bool gains(const struct vhd_chain *c, const struct vhd_map *m, uint32_t unit,
                  uint32_t from, uint32_t to)
{
    const struct vhd_image *leaf = vhd_chain_leaf(c);
    uint32_t per = leaf->block_bytes / VHD_SECTOR;

    for (uint32_t s = from; s < to; s++) {
        uint32_t block = unit * (VHD_UNIT_SECTORS / per) + s / per;
        if (m->owner[s] != c->n && leaf->bat[block] != VHD_ABSENT)
            return true;
    }
    return false;
}

void disk_journal_wrote(struct disk_journal *j, const struct vhd_chain *c, uint64_t offset,
                        uint64_t len, bool ok)
{
    uint32_t unit = (uint32_t)(offset >> VHD_UNIT_SHIFT);
    uint32_t from = (uint32_t)(offset / VHD_SECTOR) & (VHD_UNIT_SECTORS - 1);
    uint32_t to = from + (uint32_t)(len / VHD_SECTOR), word = c->word[unit];

    j->n_begun--;
    if (!ok || vhd_chain_leaf(c)->kind != VHD_KIND_DYNAMIC
        || vhd_word_state(word) != VHD_WORD_MAPPED)
        return;
    if (gains(c, c->maps[vhd_word_payload(word)], unit, from, to))
        add(j, (struct note){ NOTE_OWN, unit, from, to });
}

void disk_journal_flush(struct disk_journal *j)
{
    struct state *s = j->s;

    assert(s->half[!s->active].n == 0);
    s->active = !s->active;
}

void disk_journal_flushed(struct disk_journal *j)
{
    j->s->half[!j->s->active].n = 0;
}

void disk_journal_leaf(struct disk_journal *j, const struct vhd_image *leaf)
{
    struct state *s = j->s;

    assert(s->half[0].n == 0 && s->half[1].n == 0 && j->n_begun == 0);
    s->leaf = leaf->footer.uuid;
    (void)snprintf(s->path, sizeof(s->path), "%s", leaf->path);
}

/* ---- playing them back ------------------------------------------------------------------------------- */

struct replay {
    struct vhd_image *img;
    const struct note **note; /* by unit, within it as they came */
    size_t n;
    uint32_t per; /* blocks of a unit */
    uint8_t bits[VHD_UNIT_SECTORS / 8];
    bool loaded[DISK_JOURNAL_BLOCKS], changed[DISK_JOURNAL_BLOCKS];
};

static uint32_t unit_of(const struct replay *r, const struct note *note)
{
    return note->kind == NOTE_OWN ? note->at : note->at / r->per;
}

/* Nothing in the file is trusted more than a file of our own: it may be of a process that went wrong. */
static bool good(const struct replay *r, const struct note *note)
{
    const struct vhd_image *img = r->img;

    switch (note->kind) {
    case NOTE_PLACE:
        return note->at < img->n_blocks
               && note->a * VHD_SECTOR + img->bitmap_bytes <= img->file_bytes;
    case NOTE_DROP: return note->at < img->n_blocks;
    case NOTE_OWN:
        return note->at < (img->n_blocks + r->per - 1) / r->per && note->a < note->b
               && note->b <= VHD_UNIT_SECTORS;
    default: return false;
    }
}

static void set_bits(uint8_t *bits, uint32_t from, uint32_t to, bool on)
{
    for (; from < to; from++) {
        uint8_t bit = (uint8_t)(0x80 >> (from % 8));
        bits[from / 8] = (uint8_t)(on ? bits[from / 8] | bit : bits[from / 8] & ~bit);
    }
}

static int load_bits(struct replay *r, uint32_t block, struct err *err)
{
    uint32_t in = block % r->per, sectors = VHD_UNIT_SECTORS / r->per;
    uint8_t map[VHD_UNIT_SECTORS / 8];

    if (r->loaded[in])
        return 0;
    if (vhd_image_read(r->img, map, r->img->bitmap_bytes,
                       vhd_image_bitmap_at(r->img, block), err)
        < 0)
        return -1;
    for (uint32_t i = 0; i < sectors; i++)
        set_bits(r->bits, in * sectors + i, in * sectors + i + 1, vhd_format_bit(map, i));
    r->loaded[in] = true;
    return 0;
}

static int own(struct replay *r, const struct note *note, struct err *err)
{
    uint32_t sectors = VHD_UNIT_SECTORS / r->per, end;

    for (uint32_t s = note->a; s < note->b; s = end) {
        uint32_t block = note->at * r->per + s / sectors;
        end = MIN(note->b, (s / sectors + 1) * sectors);
        if (block >= r->img->n_blocks || r->img->bat[block] == VHD_ABSENT)
            continue;
        if (load_bits(r, block, err) < 0)
            return -1;
        set_bits(r->bits, s, end, true);
        r->changed[block % r->per] = true;
    }
    return 0;
}

static int play(struct replay *r, const struct note *note, struct err *err)
{
    uint32_t in = note->at % r->per, sectors = VHD_UNIT_SECTORS / r->per;

    if (note->kind == NOTE_OWN)
        return own(r, note, err);
    vhd_bat_set(r->img, note->at, note->kind == NOTE_PLACE ? note->a : VHD_ABSENT);
    set_bits(r->bits, in * sectors, (in + 1) * sectors, note->b);
    r->loaded[in] = true;
    r->changed[in] = note->kind == NOTE_PLACE;
    return 0;
}

static int write_bits(struct replay *r, uint32_t unit, struct err *err)
{
    uint32_t sectors = VHD_UNIT_SECTORS / r->per;

    for (uint32_t in = 0; in < r->per; in++) {
        uint8_t map[VHD_UNIT_SECTORS / 8] = { 0 };
        uint32_t block = unit * r->per + in;
        if (!r->changed[in])
            continue;
        for (uint32_t i = 0; i < sectors; i++)
            set_bits(map, i, i + 1, vhd_format_bit(r->bits, in * sectors + i));
        if (vhd_image_write(r->img, map, r->img->bitmap_bytes,
                            vhd_image_bitmap_at(r->img, block), err)
            < 0)
            return -1;
    }
    return 0;
}

static int play_unit(struct replay *r, size_t *i, struct err *err)
{
    uint32_t unit = unit_of(r, r->note[*i]);

    memset(r->loaded, 0, sizeof(r->loaded));
    memset(r->changed, 0, sizeof(r->changed));
    memset(r->bits, 0, sizeof(r->bits));
    for (; *i < r->n && unit_of(r, r->note[*i]) == unit; (*i)++)
        if (play(r, r->note[*i], err) < 0)
            return -1;
    return write_bits(r, unit, err);
}

static int write_table(struct vhd_image *img, struct err *err)
{
    uint32_t pages = (img->n_blocks + VHD_BAT_PAGE - 1) / VHD_BAT_PAGE;

    for (uint32_t i = 0; i < pages; i++) {
        uint8_t page[4096];
        if (!(img->bat_dirty[i / 8] & (1U << (i % 8))))
            continue;
        size_t len = vhd_bat_page(img, i, page);
        if (vhd_image_write(img, page, len, img->header.bat_offset + (uint64_t)i * 4096,
                            err)
            < 0)
            return -1;
    }
    return 0;
}

static int by_unit(const void *a, const void *b, void *arg)
{
    const struct note *x = *(const struct note *const *)a;
    const struct note *y = *(const struct note *const *)b;
    uint32_t ux = unit_of(arg, x), uy = unit_of(arg, y);

    return ux < uy ? -1 : ux > uy;
}

/* Stable, for glibc's is a merge sort only where there is memory for one. */
static void sort(struct replay *r)
{
    const struct note **tmp = mem_array(r->n, sizeof(const struct note *));

    for (size_t width = 1; width < r->n; width *= 2) {
        for (size_t lo = 0; lo < r->n; lo += 2 * width) {
            size_t mid = MIN(lo + width, r->n), hi = MIN(lo + 2 * width, r->n);
            for (size_t a = lo, b = mid, k = lo; k < hi; k++)
                tmp[k] = b == hi || (a < mid && by_unit(&r->note[a], &r->note[b], r) <= 0)
                             ? r->note[a++]
                             : r->note[b++];
        }
        memcpy(r->note, tmp, r->n * sizeof(const struct note *));
    }
    free(tmp);
}

static int play_all(struct disk_journal *j, struct replay *r, struct err *err)
{
    const struct state *s = j->s;

    for (size_t k = 0; k < 2; k++) {
        const struct half *h = &s->half[k ? s->active : !s->active];
        for (uint64_t i = 0; i < h->n; i++) {
            if (!good(r, &h->note[i]))
                return vhd_io_bad(err, "EINVAL",
                                  "%s: this is no journal of %s: remove it to give up what "
                                  "had been written there and not been flushed",
                                  j->path, s->path);
            r->note[r->n++] = &h->note[i];
        }
    }
    sort(r);
    if (vhd_image_sync(r->img, err) < 0)
        return -1;
    for (size_t i = 0; i < r->n;)
        if (play_unit(r, &i, err) < 0)
            return -1;
    (void)FAILPOINT("disk.journal.bitmaps");
    if (write_table(r->img, err) < 0)
        return -1;
    (void)FAILPOINT("disk.journal.table");
    return vhd_image_sync(r->img, err);
}

static int replay(struct disk_journal *j, struct err *err)
{
    AUTO(vhd_image_cleanup) struct vhd_image *img = NULL;
    struct state *s = j->s;
    size_t n = s->half[0].n + s->half[1].n;

    if (n == 0)
        return 0;
    if (vhd_image_open(&disk_io, s->path, VHD_OPEN_WRITE, &img, err) < 0)
        return -1;
    if (memcmp(&img->footer.uuid, &s->leaf, sizeof(s->leaf)) != 0
        || img->kind != VHD_KIND_DYNAMIC)
        return vhd_io_bad(err, "EINVAL", "%s: this is not the image that %s is of", s->path,
                          j->path);
    struct replay *r = mem_alloc(sizeof(*r));
    r->img = img;
    r->per = (uint32_t)(VHD_UNIT_BYTES / img->block_bytes);
    r->note = mem_array(n, sizeof(const struct note *));
    int rc = play_all(j, r, err);
    free((void *)r->note);
    free(r);
    if (rc == 0) {
        s->half[0].n = s->half[1].n = 0;
        log_info("%s: %zu notes of the process before are in the image", s->path, n);
    }
    return rc;
}

/* ---- the file ---------------------------------------------------------------------------------------- */

static bool same_boot(const struct state *s, const char *boot)
{
    return s->magic == MAGIC && strncmp(s->boot, boot, sizeof(s->boot)) == 0
           && s->half[0].n <= NOTES && s->half[1].n <= NOTES && s->active <= 1
           && memchr(s->path, 0, sizeof(s->path));
}

static int map(struct disk_journal *j, struct err *err)
{
    AUTO(close_fd)
    int fd = open(j->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    /* Allocated: a full file system must not be found out by a store into memory. */
    if (fd < 0 || fallocate(fd, 0, 0, (off_t)sizeof(struct state)) < 0)
        return vhd_io_failed(err, "preparing", j->path);
    void *p = mmap(NULL, sizeof(struct state), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return vhd_io_failed(err, "mapping", j->path);
    j->s = p;
    return 0;
}

int disk_journal_open(const char *path, struct disk_journal **out, struct err *err)
{
    AUTO(buf_done) struct buf boot = BUF_INIT(63);
    struct disk_journal *j = mem_alloc(sizeof(*j));
    int rc;

    j->path = str_dup(path);
    rc = io_read_file(BOOT_FILE, &boot);
    if (rc < 0)
        (void)vhd_io_failed(err, "reading", BOOT_FILE);
    else
        rc = map(j, err);
    if (rc == 0 && same_boot(j->s, boot.data)) {
        rc = replay(j, err);
    } else if (rc == 0) {
        memset(j->s, 0, offsetof(struct state, half));
        j->s->half[0].n = j->s->half[1].n = 0;
        (void)snprintf(j->s->boot, sizeof(j->s->boot), "%s", boot.data);
        j->s->magic = MAGIC;
    }
    if (rc < 0) {
        disk_journal_close(j);
        return -1;
    }
    *out = j;
    return 0;
}

void disk_journal_close(struct disk_journal *j)
{
    if (!j)
        return;
    if (j->s)
        (void)munmap(j->s, sizeof(*j->s));
    free(j->path);
    free(j);
}

void disk_journal_remove(struct disk_journal *j)
{
    if (j && unlink(j->path) < 0)
        log_warn("%s: %m", j->path);
    disk_journal_close(j);
}
