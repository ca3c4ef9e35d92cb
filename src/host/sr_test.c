/* SPDX-License-Identifier: Apache-2.0 */
#include "host/sr.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/test.h"

#define VDI_A "a0000000-1111-4222-8333-444444444444"
#define VDI_B "b0000000-1111-4222-8333-444444444444"
#define MIB   (UINT64_C(1) << 20)

static struct sr_config make(const struct sr_ops *ops, const char *name)
{
    struct sr_config sr = { .uuid = "50000000-1111-4222-8333-444444444444" };

    sr.path = str_fmt("%s/%s", test_dir(), name);
    CHECK_INT(ops->create(&sr, NULL), 0);
    CHECK_INT(ops->attach(&sr, NULL), 0);
    return sr;
}

static void drop(struct sr_config *sr)
{
    free((char *)(uintptr_t)sr->path);
}

static bool count(const struct sr_volume *v, void *arg)
{
    ++*(size_t *)arg;
    return true;
}

static size_t n_volumes(const struct sr_ops *ops, const struct sr_config *sr)
{
    size_t n = 0;

    CHECK_INT(ops->scan(sr, count, &n, NULL), 0);
    return n;
}

static void put(const struct sr_config *sr, const char *name, const char *text)
{
    AUTO(free_str) char *path = str_fmt("%s/%s", sr->path, name);

    CHECK_INT(io_write_file(path, text, strlen(text), 0600), 0);
}

static void create(const struct sr_config *sr, const char *vdi, uint64_t size)
{
    AUTO(err_done) struct err err = { 0 };
    uint64_t got = 0;

    if (sr_file.volume_create(sr, vdi, size, SR_FORMAT_RAW, &got, &err) < 0)
        test_fail(__FILE__, __LINE__, "%s: %s", err.code, err.detail);
    CHECK(got >= size && got % (2 * MIB) == 0 && got - size < 2 * MIB + (size == 0));
}

static void expect_code(int rc, const struct err *err, const char *code)
{
    CHECK_INT(rc, -1);
    CHECK_STR(err->code, code);
}

TEST(table)
{
    size_t n;
    const struct sr_ops *const *all = sr_all(&n);

    CHECK(n >= 3);
    for (size_t i = 0; i < n; i++) {
        CHECK(sr_by_type(all[i]->type) == all[i]);
        CHECK(all[i]->name && all[i]->description && all[i]->content_type
              && all[i]->capabilities);
        CHECK(all[i]->scan && all[i]->space && all[i]->stat && all[i]->volume_open
              && all[i]->destroy);
    }
    CHECK(sr_by_type("file") == &sr_file);
    CHECK(sr_by_type("nfs") == NULL);
    CHECK(sr_by_type(NULL) == NULL);
}

TEST(volumes)
{
    struct sr_config sr = make(&sr_file, "sr");
    AUTO(err_done) struct err twice = { 0 };
    AUTO(err_done) struct err missing = { 0 };
    AUTO(err_done) struct err shrink = { 0 };
    struct sr_volume v;
    uint64_t size;
    int fd;

    create(&sr, VDI_A, 0);
    create(&sr, VDI_B, 3 * MIB);
    CHECK_INT(sr_file.stat(&sr, VDI_B, &v, NULL), 0);
    CHECK_STR(v.uuid, VDI_B);
    CHECK(v.virtual_size_bytes == 4 * MIB && v.used_bytes == 0 && !v.read_only);
    expect_code(sr_file.volume_create(&sr, VDI_A, MIB, SR_FORMAT_RAW, &size, &twice),
                &twice, ERR_SR_BACKEND_FAILURE);
    CHECK_INT(n_volumes(&sr_file, &sr), 2);
    put(&sr, "readme.txt", "");
    put(&sr, "something.raw", "");
    CHECK_INT(n_volumes(&sr_file, &sr), 2);
    CHECK_INT(sr_file.volume_resize(&sr, VDI_B, 5 * MIB, NULL), 0);
    CHECK_INT(sr_file.stat(&sr, VDI_B, &v, NULL), 0);
    CHECK(v.virtual_size_bytes == 6 * MIB);
    expect_code(sr_file.volume_resize(&sr, VDI_B, MIB, &shrink), &shrink,
                ERR_INVALID_VALUE);
    fd = sr_file.volume_open(&sr, VDI_B, true, NULL);
    CHECK(fd >= 0 && write(fd, "x", 1) < 0);
    close_fd(&fd);
    fd = sr_file.volume_open(&sr, VDI_B, false, NULL);
    CHECK(fd >= 0 && write(fd, "x", 1) == 1);
    close_fd(&fd);
    CHECK_INT(sr_file.volume_destroy(&sr, VDI_B, NULL), 0);
    CHECK_INT(sr_file.volume_destroy(&sr, VDI_B, NULL), 0);
    expect_code(sr_file.volume_open(&sr, VDI_B, true, &missing), &missing, ERR_VDI_MISSING);
    CHECK_STR(missing.params[1], VDI_B);
    drop(&sr);
}

TEST(names_from_outside)
{
    static const char *const names[] = { "",        "..",          "../x",      "x",
                                         VDI_A "/", "/etc/passwd", VDI_A ".raw" };
    struct sr_config sr = make(&sr_file, "sr");
    AUTO(free_str) char *link = str_fmt("%s/%s.raw", sr.path, VDI_A);
    AUTO(err_done) struct err linked = { 0 };
    uint64_t size;

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        AUTO(err_done) struct err open_err = { 0 };
        AUTO(err_done) struct err create_err = { 0 };

        expect_code(sr_file.volume_open(&sr, names[i], true, &open_err), &open_err,
                    ERR_VDI_MISSING);
        expect_code(
            sr_file.volume_create(&sr, names[i], MIB, SR_FORMAT_RAW, &size, &create_err),
            &create_err, ERR_INVALID_VALUE);
        CHECK_INT(sr_file.volume_destroy(&sr, names[i], NULL), 0);
    }
    CHECK_INT(symlink("/etc/passwd", link), 0);
    CHECK_INT(sr_file.volume_open(&sr, VDI_A, true, &linked), -1);
    CHECK_INT(n_volumes(&sr_file, &sr), 0);
    drop(&sr);
}

TEST(sizes_from_outside)
{
    static const uint64_t sizes[] = { UINT64_MAX, UINT64_C(1) << 63,
                                      (UINT64_C(1) << 60) + 1, UINT64_C(1) << 60 };
    struct sr_config sr = make(&sr_file, "sr");
    uint64_t got;

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        AUTO(err_done) struct err err = { 0 };

        if (sr_file.volume_create(&sr, VDI_A, sizes[i], SR_FORMAT_RAW, &got, &err)
            == 0) { /* the file system can */
            CHECK_INT(sr_file.volume_destroy(&sr, VDI_A, NULL), 0);
            continue;
        }
        CHECK(err.code != NULL);
    }
    CHECK_INT(n_volumes(&sr_file, &sr), 0);
    CHECK_INT(sr_file.destroy(&sr, NULL), 0); /* nothing is left of them */
    CHECK(access(sr.path, F_OK) < 0);
    drop(&sr);
}

TEST(half_made_volumes_go)
{
    struct sr_config sr = make(&sr_file, "sr");
    AUTO(free_str) char *tmp = str_fmt("%s/%s.raw.tmp", sr.path, VDI_A);
    AUTO(err_done) struct err err = { 0 };

    put(&sr, VDI_A ".raw.tmp", "half");
    create(&sr, VDI_B, MIB);
    CHECK_INT(n_volumes(&sr_file, &sr), 1);
    CHECK_INT(sr_file.attach(&sr, NULL), 0);
    CHECK(access(tmp, F_OK) < 0);
    put(&sr, VDI_A ".raw.tmp", "half");
    create(&sr, VDI_A, MIB); /* and one in the way does not matter */
    expect_code(sr_file.destroy(&sr, &err), &err, ERR_SR_NOT_EMPTY);
    drop(&sr);
}

TEST(attach_needs_a_directory)
{
    struct sr_config sr = make(&sr_file, "sr"), none = sr, file = sr;
    AUTO(free_str) char *none_path = str_fmt("%s/none", sr.path);
    AUTO(free_str) char *file_path = str_fmt("%s/file", sr.path);
    AUTO(err_done) struct err a = { 0 };
    AUTO(err_done) struct err b = { 0 };

    none.path = none_path;
    file.path = file_path;
    put(&sr, "file", "");
    expect_code(sr_file.attach(&none, &a), &a, ERR_SR_BACKEND_FAILURE);
    expect_code(sr_iso.attach(&file, &b), &b, ERR_SR_BACKEND_FAILURE);
    drop(&sr);
}

/* Two stretches of data in a large volume. */
static void fill(const struct sr_config *sr)
{
    AUTO(free_str) char *block = mem_alloc(MIB);
    int fd;

    create(sr, VDI_A, 1024 * MIB);
    fd = sr_file.volume_open(sr, VDI_A, false, NULL);
    CHECK(fd >= 0);
    for (size_t i = 0; i < MIB; i++)
        block[i] = (char)(i % 251);
    CHECK_INT(io_pwrite_full(fd, block, MIB, 5 * MIB), 0);
    CHECK_INT(io_pwrite_full(fd, block, MIB - 7, 900 * MIB + 3), 0);
    close_fd(&fd);
}

static void check_same(const struct sr_config *sr)
{
    AUTO(free_str) char *a = mem_alloc(2 * MIB);
    AUTO(free_str) char *b = mem_alloc(2 * MIB);
    static const uint64_t at[] = { 0, 4 * MIB, 6 * MIB, 899 * MIB, 900 * MIB, 1022 * MIB };
    int fa = sr_file.volume_open(sr, VDI_A, true, NULL),
        fb = sr_file.volume_open(sr, VDI_B, true, NULL);
    struct sr_volume v;

    CHECK(fa >= 0 && fb >= 0);
    for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
        CHECK_INT(io_pread_full(fa, a, 2 * MIB, at[i]), 0);
        CHECK_INT(io_pread_full(fb, b, 2 * MIB, at[i]), 0);
        CHECK(memcmp(a, b, 2 * MIB) == 0);
    }
    close_fd(&fa);
    close_fd(&fb);
    CHECK_INT(sr_file.stat(sr, VDI_B, &v, NULL), 0);
    CHECK(v.virtual_size_bytes == 1024 * MIB
          && v.used_bytes <= 4 * MIB); /* holes stay holes */
}

static void on_progress(double fraction, void *arg)
{
    double *last = arg;

    CHECK(fraction >= *last && fraction <= 1.0);
    *last = fraction;
}

TEST(copy)
{
    struct sr_config sr = make(&sr_file, "sr");
    struct deadline d = deadline_in(60 * US_PER_SEC);
    AUTO(err_done) struct err taken = { 0 };
    AUTO(err_done) struct err missing = { 0 };
    double last = 0;

    fill(&sr);
    CHECK_INT(sr_file.volume_copy(&sr, VDI_A, &sr, VDI_B, &d, on_progress, &last, NULL), 0);
    CHECK(last > 0.99);
    check_same(&sr);
    expect_code(sr_file.volume_copy(&sr, VDI_A, &sr, VDI_B, &d, NULL, NULL, &taken), &taken,
                ERR_SR_BACKEND_FAILURE);
    CHECK_INT(sr_file.volume_destroy(&sr, VDI_A, NULL), 0);
    expect_code(sr_file.volume_copy(&sr, VDI_A, &sr, VDI_B, &d, NULL, NULL, &missing),
                &missing, ERR_VDI_MISSING);
    CHECK_INT(n_volumes(&sr_file, &sr), 1);
    drop(&sr);
}

TEST(copy_ends_early)
{
    struct sr_config sr = make(&sr_file, "sr");
    AUTO(close_fd) int cancel = eventfd(1, EFD_CLOEXEC);
    struct deadline c = deadline_in_cancel(60 * US_PER_SEC, cancel), late = deadline_in(-1);
    AUTO(err_done) struct err cancelled = { 0 };
    AUTO(err_done) struct err slow = { 0 };
    int rc;

    fill(&sr);
    rc = sr_file.volume_copy(&sr, VDI_A, &sr, VDI_B, &c, NULL, NULL, &cancelled);
    if (rc == 0) /* a file system that clones is faster than any cancel */
        CHECK_INT(sr_file.volume_destroy(&sr, VDI_B, NULL), 0);
    else
        CHECK_STR(cancelled.code, ERR_TASK_CANCELLED);
    rc = sr_file.volume_copy(&sr, VDI_A, &sr, VDI_B, &late, NULL, NULL, &slow);
    if (rc == 0)
        CHECK_INT(sr_file.volume_destroy(&sr, VDI_B, NULL), 0);
    else
        CHECK_STR(slow.code, ERR_SR_BACKEND_FAILURE);
    CHECK_INT(n_volumes(&sr_file, &sr), 1);
    CHECK_INT(sr_file.volume_destroy(&sr, VDI_A, NULL), 0);
    CHECK_INT(sr_file.destroy(&sr, NULL), 0); /* no temporary file */
    CHECK(access(sr.path, F_OK) < 0);
    drop(&sr);
}

TEST(space)
{
    struct sr_config sr = make(&sr_ext, "sr");
    struct sr_space s;

    CHECK_INT(sr_ext.space(&sr, &s, NULL), 0);
    CHECK(s.physical_size_bytes > 0 && s.physical_used_bytes <= s.physical_size_bytes);
    drop(&sr);
}

struct iso {
    char uuid[UUID_TEXT_SIZE];
    size_t n;
};

static bool remember(const struct sr_volume *v, void *arg)
{
    struct iso *i = arg;

    i->n++;
    CHECK_STR(v->name, "debian 12.iso");
    CHECK(v->read_only);
    memcpy(i->uuid, v->uuid, sizeof(i->uuid));
    return true;
}

TEST(isos)
{
    struct sr_config sr = make(&sr_file, "isos");
    AUTO(err_done) struct err write_err = { 0 };
    AUTO(err_done) struct err missing = { 0 };
    struct iso iso = { .n = 0 };
    struct sr_volume v;
    struct uuid u;
    char text[6] = "";
    int fd;

    put(&sr, "debian 12.iso", "hello");
    put(&sr, ".hidden.iso", "");
    put(&sr, "notes.txt", "");
    CHECK_INT(sr_iso.create(&sr, NULL), 0);
    CHECK_INT(sr_iso.scan(&sr, remember, &iso, NULL), 0);
    CHECK_INT(iso.n, 1);
    CHECK(uuid_parse(iso.uuid, &u));
    CHECK_STR(
        iso.uuid,
        "ed5d88d5-5b27-8f48-ab87-e9a3f9b36986"); /* records refer to it: never another */
    CHECK_INT(sr_iso.stat(&sr, iso.uuid, &v, NULL), 0);
    CHECK(v.virtual_size_bytes == 5);
    fd = sr_iso.volume_open(&sr, iso.uuid, true, NULL);
    CHECK(fd >= 0);
    CHECK_INT(io_pread_full(fd, text, 5, 0), 0);
    CHECK_STR(text, "hello");
    close_fd(&fd);
    expect_code(sr_iso.volume_open(&sr, iso.uuid, false, &write_err), &write_err,
                ERR_SR_OPERATION_NOT_SUPPORTED);
    expect_code(sr_iso.volume_open(&sr, VDI_A, true, &missing), &missing, ERR_VDI_MISSING);
    drop(&sr);
}
