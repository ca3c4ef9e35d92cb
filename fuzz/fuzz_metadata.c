/* SPDX-License-Identifier: Apache-2.0 */
/* What restores a pool or brings VMs: a dump of the database ('d'), an ova.xml in a good archive ('o'), an archive as it
 * comes ('t'). It is refused with a code of the API or could be done; nothing is, and the database stays as it was. */
#include <ftw.h>
#include <string.h>

#include "api/ops.h"
#include "base/mem.h"
#include "base/tar.h"
#include "fuzz.h"
#include "ops/dbxml.h"
#include "ops/ova.h"

struct source {
    const char *p;
    size_t left;
};

static char dir[] = "/tmp/fuzz-metadata-XXXXXX";

static int drop(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static void forget(void)
{
    db_close();
    (void)nftw(dir, drop, 8, FTW_DEPTH | FTW_PHYS);
}

static void start(void)
{
    static bool started;
    struct err err = { 0 };

    if (started)
        return;
    started = true;
    REQUIRE(mkdtemp(dir) != NULL);
    REQUIRE(db_open(dir, &err) == 0);
    REQUIRE(atexit(forget) == 0);
}

/* Some bytes at a time, so that what is read lies across their ends. */
static ssize_t some(void *arg, void *p, size_t n)
{
    struct source *s = arg;
    size_t len = MIN(MIN(n, s->left), (size_t)777);

    memcpy(p, s->p, len);
    s->p += len;
    s->left -= len;
    return (ssize_t)len;
}

static int anybody(const struct class_def *cls, const struct session *s, const void *rec,
                   struct err *err)
{
    (void)cls, (void)s, (void)rec, (void)err;
    return 0;
}

static void archive(struct buf *out, const char *text, size_t len)
{
    static const char zeroes[2 * TAR_BLOCK];
    uint8_t head[TAR_BLOCK];

    tar_header(head, "ova.xml", len, 0);
    buf_add(out, head, sizeof(head));
    buf_add(out, text, len);
    buf_add(out, zeroes, tar_padding(len));
    buf_add(out, zeroes, sizeof(zeroes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(buf_done) struct buf text = BUF_INIT(0);
    AUTO(err_done) struct err err = { 0 };
    struct call call = { .def = &schema_calls[CALL_VM_IMPORT],
                         .session = { .local_superuser = true },
                         .deadline = { .at_us = INT64_MAX, .cancel_fd = -1 } };
    struct source s = { (const char *)data + 1, size - 1 };
    struct ova_import how = { .dry_run = true, .may = anybody };
    struct set_ref made = { 0 };
    int rc;

    if (size == 0)
        return 0;
    start();
    if (data[0] == 'd') {
        rc = dbxml_restore(&call, some, &s, true, &err);
    } else {
        if (data[0] == 'o') {
            archive(&text, s.p, s.left);
            s = (struct source){ buf_str(&text), text.len };
        }
        how.restore = size % 2;
        how.force = size % 3 == 0;
        rc = ova_import(&call, &how, some, &s, &made, &err);
        free(made.v);
    }
    REQUIRE((rc == 0) == (err.code == NULL));
    db_lock();
    REQUIRE(db_count(CLASS_VM) == 0);
    db_unlock();
    return 0;
}
