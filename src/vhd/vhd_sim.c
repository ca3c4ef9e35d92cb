/* SPDX-License-Identifier: Apache-2.0 */
/* Files are trees of chunks and pages that copies share until they are written. A write that grows a file
 * is logged as two things, its data and the new size, since a disk may keep either. One thread. */
#include "vhd/vhd_sim.h"

#include <assert.h>
#include <errno.h>

#include "base/mem.h"

#define PAGE        4096
#define PER_CHUNK   512
#define CHUNK_BYTES ((uint64_t)PAGE * PER_CHUNK)

struct page {
    int refs;
    uint8_t b[PAGE];
};

struct sim_chunk {
    int refs;
    struct page *page[PER_CHUNK];
};

static void drop_page(struct page *p)
{
    if (p && --p->refs == 0)
        free(p);
}

static void drop_chunk(struct sim_chunk *c)
{
    if (!c || --c->refs)
        return;
    for (size_t i = 0; i < PER_CHUNK; i++)
        drop_page(c->page[i]);
    free(c);
}

static struct sim_chunk *own_chunk(struct sim_chunk **at)
{
    struct sim_chunk *c = *at;

    if (c && c->refs == 1)
        return c;
    struct sim_chunk *n = mem_alloc(sizeof(*n));
    n->refs = 1;
    for (size_t i = 0; c && i < PER_CHUNK; i++) {
        n->page[i] = c->page[i];
        if (n->page[i])
            n->page[i]->refs++;
    }
    drop_chunk(c);
    *at = n;
    return n;
}

static struct page *own_page(struct page **at)
{
    struct page *p = *at;

    if (p && p->refs == 1)
        return p;
    struct page *n = mem_alloc(sizeof(*n));
    n->refs = 1;
    if (p)
        memcpy(n->b, p->b, PAGE);
    drop_page(p);
    *at = n;
    return n;
}

static void file_write(struct sim_file *f, const uint8_t *p, size_t len, uint64_t offset)
{
    while (len) {
        uint64_t k = offset / CHUNK_BYTES;
        size_t in = (size_t)(offset % PAGE), n = MIN(len, PAGE - in);
        assert(k < SIM_CHUNKS);
        struct sim_chunk *c = own_chunk(&f->chunk[k]);
        memcpy(own_page(&c->page[offset % CHUNK_BYTES / PAGE])->b + in, p, n);
        p += n;
        len -= n;
        offset += n;
    }
}

static void file_read(const struct sim_file *f, uint8_t *p, size_t len, uint64_t offset)
{
    while (len) {
        uint64_t k = offset / CHUNK_BYTES;
        size_t in = (size_t)(offset % PAGE), n = MIN(len, PAGE - in);
        const struct sim_chunk *c = k < SIM_CHUNKS ? f->chunk[k] : NULL;
        const struct page *page = c ? c->page[offset % CHUNK_BYTES / PAGE] : NULL;
        if (page && offset < f->size)
            memcpy(p, page->b + in, n);
        else
            memset(p, 0, n);
        if (offset < f->size && offset + n > f->size)
            memset(p + (f->size - offset), 0, (size_t)(offset + n - f->size));
        p += n;
        len -= n;
        offset += n;
    }
}

static void file_punch(struct sim_file *f, uint64_t offset, uint64_t len)
{
    static const uint8_t zeros[PAGE];

    while (len) {
        uint64_t k = offset / CHUNK_BYTES;
        size_t in = (size_t)(offset % PAGE), n = (size_t)MIN(len, (uint64_t)(PAGE - in));
        if (k >= SIM_CHUNKS)
            return;
        size_t i = (size_t)(offset % CHUNK_BYTES / PAGE);
        if (offset % CHUNK_BYTES == 0 && len >= CHUNK_BYTES) {
            drop_chunk(f->chunk[k]);
            f->chunk[k] = NULL;
            n = (size_t)CHUNK_BYTES;
        } else if (f->chunk[k] && f->chunk[k]->page[i]) {
            struct sim_chunk *c = own_chunk(&f->chunk[k]);
            if (n < PAGE) {
                memcpy(own_page(&c->page[i])->b + in, zeros, n);
            } else {
                drop_page(c->page[i]);
                c->page[i] = NULL;
            }
        }
        offset += n;
        len -= n;
    }
}

void sim_fs_copy(struct sim_fs *to, const struct sim_fs *from)
{
    sim_fs_done(to);
    *to = *from;
    for (size_t i = 0; i < SIM_FILES; i++)
        for (size_t k = 0; k < SIM_CHUNKS; k++)
            if (to->file[i].chunk[k])
                to->file[i].chunk[k]->refs++;
}

void sim_fs_done(struct sim_fs *fs)
{
    for (size_t i = 0; i < SIM_FILES; i++)
        for (size_t k = 0; k < SIM_CHUNKS; k++)
            drop_chunk(fs->file[i].chunk[k]);
    memset(fs, 0, sizeof(*fs));
}

static struct sim_name *find_name(struct sim_fs *fs, const char *name)
{
    for (size_t i = 0; i < SIM_FILES; i++)
        if (fs->name[i].name[0] && str_eq(fs->name[i].name, name))
            return &fs->name[i];
    return NULL;
}

int sim_fs_find(const struct sim_fs *fs, const char *name)
{
    for (size_t i = 0; i < SIM_FILES; i++)
        if (fs->name[i].name[0] && str_eq(fs->name[i].name, name))
            return fs->name[i].file;
    return -1;
}

static void set_name(struct sim_fs *fs, const char *name, int file)
{
    struct sim_name *e = find_name(fs, name);

    for (size_t i = 0; !e && i < SIM_FILES; i++)
        if (!fs->name[i].name[0])
            e = &fs->name[i];
    assert(e && strlen(name) < SIM_NAME);
    memcpy(e->name, name, strlen(name) + 1);
    e->file = file;
}

void sim_fs_apply(struct sim_fs *fs, const struct sim_op *op, uint64_t keep)
{
    struct sim_file *f = &fs->file[op->file];
    struct sim_name *e;

    switch (op->type) {
    case SIM_WRITE:
        f->used = true;
        if (keep == UINT64_MAX) {
            file_write(f, op->data, (size_t)op->len, op->offset);
            break;
        }
        for (uint64_t i = 0; i * 512 < op->len; i++)
            if (keep >> (i % 64) & 1)
                file_write(f, op->data + i * 512,
                           (size_t)MIN(op->len - i * 512, UINT64_C(512)),
                           op->offset + i * 512);
        break;
    case SIM_GROW: f->size = MAX(f->size, op->len); break;
    case SIM_CUT:
        if (op->len < f->size)
            file_punch(f, op->len, f->size - op->len);
        f->size = op->len;
        break;
    case SIM_PUNCH: file_punch(f, op->offset, op->len); break;
    case SIM_LINK:
        f->used = true;
        set_name(fs, op->name, op->file);
        break;
    case SIM_UNLINK:
        e = find_name(fs, op->name);
        if (e)
            e->name[0] = '\0';
        break;
    case SIM_RENAME:
        e = find_name(fs, op->name);
        if (e)
            e->name[0] = '\0';
        set_name(fs, op->name2, op->file);
        break;
    case SIM_FSYNC:
    case SIM_FSYNC_DIR:
    case SIM_EVENT: break;
    }
}

void sim_fs_trim(struct sim_fs *fs)
{
    for (size_t i = 0; i < SIM_FILES; i++) {
        struct sim_file *f = &fs->file[i];
        uint64_t end = SIM_CHUNKS * CHUNK_BYTES;
        for (size_t k = 0; k < SIM_CHUNKS; k++)
            if (f->chunk[k] && (k + 1) * CHUNK_BYTES > f->size) {
                file_punch(f, MAX(f->size, k * CHUNK_BYTES),
                           end - MAX(f->size, k * CHUNK_BYTES));
                break;
            }
    }
}

void sim_fs_read(const struct sim_fs *fs, int file, void *p, size_t len, uint64_t offset)
{
    file_read(&fs->file[file], p, len, offset);
}

void sim_fs_write(struct sim_fs *fs, int file, const void *p, size_t len, uint64_t offset)
{
    file_write(&fs->file[file], p, len, offset);
    fs->file[file].size = MAX(fs->file[file].size, offset + len);
}

static int new_file(struct sim_fs *fs)
{
    for (int i = 0; i < SIM_FILES; i++)
        if (!fs->file[i].used) {
            fs->file[i].used = true;
            return i;
        }
    return -1;
}

int sim_fs_import(struct sim_fs *fs, const char *name, const void *p, size_t len)
{
    int file = new_file(fs);

    assert(file >= 0);
    set_name(fs, name, file);
    sim_fs_write(fs, file, p, len, 0);
    return file;
}

/* All operations go through here: logged, then done. */
static void perform(struct sim *s, struct sim_op op)
{
    sim_fs_apply(&s->fs, &op, UINT64_MAX);
    if (!s->recording)
        return;
    if (op.type == SIM_WRITE)
        op.data = mem_dup(op.data, (size_t)op.len);
    vec_push(&s->log, op);
}

static bool fails(struct sim *s)
{
    s->calls++;
    if (s->fail_at == 0)
        return false;
    if (s->fail_at > 1) {
        s->fail_at--;
        return false;
    }
    if (!s->fail_sticky)
        s->fail_at = 0;
    errno = s->fail_errno ? s->fail_errno : EIO;
    return true;
}

static struct sim_op with_name(enum sim_type type, int file, const char *name)
{
    struct sim_op op = { .type = type, .file = file };

    assert(strlen(name) < SIM_NAME);
    memcpy(op.name, name, strlen(name) + 1);
    return op;
}

static int s_open(void *ctx, const char *path, unsigned flags)
{
    struct sim *s = ctx;
    int file = sim_fs_find(&s->fs, path);
    int h = 0;

    if (fails(s))
        return -1;
    if (file < 0 && !(flags & VHD_IO_CREATE)) {
        errno = ENOENT;
        return -1;
    }
    if (file >= 0 && (flags & VHD_IO_CREATE)) {
        errno = EEXIST;
        return -1;
    }
    while (h < (int)ARRAY_SIZE(s->handle) && s->handle[h] >= 0)
        h++;
    if (file < 0)
        file = new_file(&s->fs);
    if (file < 0 || h == (int)ARRAY_SIZE(s->handle)) {
        errno = ENFILE;
        return -1;
    }
    s->handle[h] = file;
    if (flags & VHD_IO_CREATE)
        perform(s, with_name(SIM_LINK, file, path));
    return h;
}

static void s_close(void *ctx, int handle)
{
    struct sim *s = ctx;

    s->handle[handle] = -1;
}

static int s_size(void *ctx, int handle, uint64_t *bytes_out)
{
    struct sim *s = ctx;

    if (fails(s))
        return -1;
    *bytes_out = s->fs.file[s->handle[handle]].size;
    return 0;
}

static int s_pread(void *ctx, int handle, void *p, size_t len, uint64_t offset)
{
    struct sim *s = ctx;

    if (fails(s))
        return -1;
    file_read(&s->fs.file[s->handle[handle]], p, len, offset);
    return 0;
}

static int s_pwrite(void *ctx, int handle, const void *p, size_t len, uint64_t offset)
{
    struct sim *s = ctx;
    int file = s->handle[handle];

    if (fails(s))
        return -1;
    uint64_t size = s->fs.file[file].size;
    perform(s, (struct sim_op){ .type = SIM_WRITE,
                                .file = file,
                                .offset = offset,
                                .len = len,
                                .data = (uint8_t *)(uintptr_t)p });
    if (offset + len > size)
        perform(s, (struct sim_op){ .type = SIM_GROW, .file = file, .len = offset + len });
    return 0;
}

static int s_allocate(void *ctx, int handle, uint64_t offset, uint64_t len)
{
    struct sim *s = ctx;

    if (fails(s))
        return -1;
    perform(s, (struct sim_op){
                   .type = SIM_GROW, .file = s->handle[handle], .len = offset + len });
    return 0;
}

static int s_punch(void *ctx, int handle, uint64_t offset, uint64_t len)
{
    struct sim *s = ctx;

    if (fails(s))
        return -1;
    perform(s, (struct sim_op){ .type = SIM_PUNCH,
                                .file = s->handle[handle],
                                .offset = offset,
                                .len = len });
    return 0;
}

static int s_ftruncate(void *ctx, int handle, uint64_t bytes)
{
    struct sim *s = ctx;

    if (fails(s))
        return -1;
    perform(s, (struct sim_op){ .type = SIM_CUT, .file = s->handle[handle], .len = bytes });
    return 0;
}

static int s_fsync(void *ctx, int handle)
{
    struct sim *s = ctx;

    if (fails(s))
        return -1;
    perform(s, (struct sim_op){ .type = SIM_FSYNC, .file = s->handle[handle] });
    return 0;
}

static int s_rename(void *ctx, const char *from, const char *to)
{
    struct sim *s = ctx;
    int file = sim_fs_find(&s->fs, from);

    if (fails(s))
        return -1;
    if (file < 0) {
        errno = ENOENT;
        return -1;
    }
    struct sim_op op = with_name(SIM_RENAME, file, from);
    memcpy(op.name2, to, strlen(to) + 1);
    perform(s, op);
    return 0;
}

static int s_link(void *ctx, const char *from, const char *to)
{
    struct sim *s = ctx;
    int file = sim_fs_find(&s->fs, from);

    if (fails(s))
        return -1;
    if (file < 0 || sim_fs_find(&s->fs, to) >= 0) {
        errno = file < 0 ? ENOENT : EEXIST;
        return -1;
    }
    perform(s, with_name(SIM_LINK, file, to));
    return 0;
}

static int s_unlink(void *ctx, const char *path)
{
    struct sim *s = ctx;

    if (fails(s))
        return -1;
    if (sim_fs_find(&s->fs, path) < 0) {
        errno = ENOENT;
        return -1;
    }
    perform(s, with_name(SIM_UNLINK, 0, path));
    return 0;
}

static int s_fsync_dir(void *ctx, const char *path)
{
    struct sim *s = ctx;

    if (fails(s))
        return -1;
    perform(s, (struct sim_op){ .type = SIM_FSYNC_DIR });
    return 0;
}

static const struct vhd_io_ops sim_ops = {
    .open = s_open,
    .close = s_close,
    .size = s_size,
    .pread = s_pread,
    .pwrite = s_pwrite,
    .allocate = s_allocate,
    .punch = s_punch,
    .ftruncate = s_ftruncate,
    .fsync = s_fsync,
    .rename = s_rename,
    .link = s_link,
    .unlink = s_unlink,
    .fsync_dir = s_fsync_dir,
};

struct vhd_io sim_io(struct sim *s)
{
    return (struct vhd_io){ &sim_ops, s };
}

void sim_init(struct sim *s)
{
    memset(s, 0, sizeof(*s));
    for (size_t i = 0; i < ARRAY_SIZE(s->handle); i++)
        s->handle[i] = -1;
}

void sim_start_log(struct sim *s)
{
    for (size_t i = 0; i < s->log.n; i++)
        free(s->log.v[i].data);
    s->log.n = 0;
    s->recording = true;
}

void sim_done(struct sim *s)
{
    sim_start_log(s);
    vec_done(&s->log);
    sim_fs_done(&s->fs);
}

void sim_event(struct sim *s, int code, uint64_t a, uint64_t b, const char *name)
{
    struct sim_op op = { .type = SIM_EVENT, .code = code, .a = a, .b = b };

    if (name)
        memcpy(op.name, name, strlen(name) + 1);
    if (s->recording)
        vec_push(&s->log, op);
}
