/* SPDX-License-Identifier: Apache-2.0 */
/* Order of a write: a file of another name, fsync, rename, fsync of the directory, then the record. A crash before the
 * record leaves a size that blob_settle corrects; a crash before the rename leaves a file that it removes. Any thread. */
#include "ops/blob.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/failpoint.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "base/vec.h"
#include "ops/hooks.h"
#include "ops/host_ctx.h"

#define CHUNK ((size_t)64 * 1024)

/* Classes whose objects have blobs. */
static const struct {
    enum class_id cls;
    unsigned field;
} owners[] = {
    { CLASS_VM, F_VM_BLOBS },           { CLASS_HOST, F_HOST_BLOBS },
    { CLASS_SR, F_SR_BLOBS },           { CLASS_POOL, F_POOL_BLOBS },
    { CLASS_NETWORK, F_NETWORK_BLOBS },
};

static char *path_of(const char *name)
{
    return str_fmt("%s/blobs/%s", host_ctx.state_dir, name);
}

void blob_file_done(struct blob_file *f)
{
    close_fd(&f->fd);
    free_str(&f->mime_type);
}

/* ---- at start ------------------------------------------------------------------------------------------- */

static void remove_strangers(DIR *dir)
{
    for (const struct dirent *e; (e = readdir(dir));) {
        struct ref ref;
        if (e->d_name[0] == '.')
            continue;
        db_lock();
        bool known = db_find_uuid(CLASS_BLOB, e->d_name, &ref);
        db_unlock();
        if (!known && unlinkat(dirfd(dir), e->d_name, 0) < 0)
            log_warn("removing a file of no blob, %s: %m", e->d_name);
    }
}

int blob_settle(struct err *err)
{
    AUTO(free_str) char *folder = path_of("");
    DIR *dir = io_mkdirs(folder, 0700) == 0 ? opendir(folder) : NULL;
    if (!dir) {
        (void)err_set(err, ERR_INTERNAL_ERROR, "blobs");
        return err_detail(err, "%s: %m", folder);
    }
    remove_strangers(dir);
    (void)closedir(dir);
    VEC(struct ref) refs = { 0 };
    struct tx *tx = daemon_tx("start-up");
    for (struct db_iter it = db_first(CLASS_BLOB); it.rec; db_next(&it))
        vec_push(&refs, it.ref);
    for (size_t i = 0; i < refs.n; i++) {
        const struct blob_rec *b = db_get(CLASS_BLOB, &refs.v[i]);
        AUTO(free_str) char *path = path_of(b->uuid);
        struct stat st;
        tx_set_int(tx, &refs.v[i], CLASS_BLOB, F_BLOB_SIZE,
                   stat(path, &st) == 0 ? st.st_size : 0);
    }
    vec_done(&refs);
    return tx_commit(tx, err);
}

/* ---- contents ------------------------------------------------------------------------------------------- */

/* The path of its file; NULL: no such blob. Given. */
static char *blob_path(const struct ref *blob, struct err *err)
{
    db_lock();
    const struct blob_rec *b = call_get(CLASS_BLOB, blob, err);
    char *path = b ? path_of(b->uuid) : NULL;
    db_unlock();
    return path;
}

int blob_open(const struct ref *blob, struct blob_file *out, struct err *err)
{
    struct blob_file f = { .fd = -1 };
    AUTO(free_str) char *path = NULL;
    struct stat st;
    db_lock();
    const struct blob_rec *b = call_get(CLASS_BLOB, blob, err);
    if (b) {
        path = path_of(b->uuid);
        f.mime_type = str_dup(b->mime_type);
        f.is_public = b->public;
    }
    db_unlock();
    if (!path)
        return -1;
    f.fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (f.fd >= 0 && fstat(f.fd, &st) == 0)
        f.size = (uint64_t)st.st_size;
    *out = f;
    return 0;
}

/* All of it into fd, which is durable then. */
static int receive(int fd, ssize_t (*read)(void *arg, void *p, size_t n), void *arg,
                   uint64_t *size_out, struct err *err)
{
    AUTO(free_ptr) char *chunk = mem_alloc(CHUNK);
    const struct deadline d = deadline_never(); /* a file */
    uint64_t size = 0;
    ssize_t n;
    while ((n = read(arg, chunk, CHUNK)) > 0) {
        size += (uint64_t)n;
        if (size > BLOB_MAX_BYTES)
            return err_set(err, ERR_INVALID_VALUE, "size", "larger than 256 MiB");
        if (io_write_full(fd, chunk, (size_t)n, &d) < 0)
            break;
    }
    if (n < 0)
        return err_set(err, ERR_IMPORT_ERROR_PREMATURE_EOF);
    if (n > 0 || fsync(fd) < 0) {
        (void)err_set(err, ERR_OUT_OF_SPACE, "blobs");
        return err_detail(err, "writing a blob: %m");
    }
    *size_out = size;
    return 0;
}

/* Put the new file in place of the old one. */
static int put_in_place(const char *temp, const char *path, struct err *err)
{
    AUTO(free_str) char *folder = path_of("");
    if (rename(temp, path) < 0 || io_fsync_dir(folder) < 0) {
        (void)err_set(err, ERR_OUT_OF_SPACE, "blobs");
        return err_detail(err, "%s: %m", path);
    }
    return 0;
}

static int record_write(struct call *call, const struct ref *blob, const char *path,
                        uint64_t size, struct err *err)
{
    struct tx *tx = call_tx(call);
    if (!call_get(CLASS_BLOB, blob, err)) { /* destroyed meanwhile */
        tx_abort(tx);
        (void)unlink(path);
        return -1;
    }
    tx_set_int(tx, blob, CLASS_BLOB, F_BLOB_SIZE, (int64_t)size);
    tx_set_int(tx, blob, CLASS_BLOB, F_BLOB_LAST_UPDATED, clock_wall_us());
    return tx_commit(tx, err);
}

int blob_write(struct call *call, const struct ref *blob,
               ssize_t (*read)(void *arg, void *p, size_t n), void *arg, struct err *err)
{
    AUTO(free_str) char *path = blob_path(blob, err);
    struct uuid u = uuid_new();
    char name[UUID_TEXT_SIZE];
    uint64_t size = 0;
    if (!path)
        return -1;
    uuid_text(&u, name);
    AUTO(free_str) char *temp = path_of(name);
    AUTO(close_fd)
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        (void)err_set(err, ERR_OUT_OF_SPACE, "blobs");
        return err_detail(err, "%s: %m", temp);
    }
    if (receive(fd, read, arg, &size, err)) {
        (void)unlink(temp);
        return -1;
    }
    (void)FAILPOINT("blob.received");
    if (put_in_place(temp, path, err)) {
        (void)unlink(temp);
        return -1;
    }
    (void)FAILPOINT("blob.in_place");
    return record_write(call, blob, path, size, err);
}

/* ---- calls ---------------------------------------------------------------------------------------------- */

static struct ref new_blob(struct tx *tx, const char *name, const char *mime_type,
                           bool is_public) REQUIRES(db_mutex)
{
    struct blob_rec *b = record_new(&schema_classes[CLASS_BLOB]);
    str_put(&b->name_label, name);
    str_put(&b->mime_type, mime_type[0] ? mime_type : "application/octet-stream");
    b->public = is_public;
    return tx_create(tx, CLASS_BLOB, b, NULL);
}

int op_blob_create(struct call *call, const struct blob_create_args *a, struct ref *result,
                   struct err *err)
{
    struct tx *tx = call_tx(call);
    struct ref ref = new_blob(tx, "", a->mime_type, a->public);
    if (tx_commit(tx, err))
        return -1;
    *result = ref;
    return 0;
}

/* No object may go on naming it. */
static void leave_owners(struct tx *tx, size_t k, const struct ref *blob) REQUIRES(db_mutex)
{
    const struct field_def *f = &schema_classes[owners[k].cls].fields[owners[k].field];
    VEC(struct ref) refs = { 0 };
    VEC(char *) names = { 0 };
    for (struct db_iter it = db_first(owners[k].cls); it.rec; db_next(&it)) {
        const struct map_string_ref *blobs = record_field(f, it.rec);
        for (size_t i = 0; i < blobs->n; i++) {
            if (!ref_eq(&blobs->v[i].val, blob))
                continue;
            vec_push(&refs, it.ref);
            vec_push(&names, str_dup(blobs->v[i].key));
        }
    }
    for (size_t i = 0; i < refs.n; i++) {
        tx_map_remove(tx, &refs.v[i], owners[k].cls, owners[k].field, names.v[i]);
        free(names.v[i]);
    }
    vec_done(&refs);
    vec_done(&names);
}

int op_blob_destroy(struct call *call, const struct blob_destroy_args *a, struct err *err)
{
    AUTO(free_str) char *path = blob_path(&a->self, err);
    if (!path)
        return -1;
    struct tx *tx = call_tx(call);
    for (size_t k = 0; k < ARRAY_SIZE(owners); k++)
        leave_owners(tx, k, &a->self);
    if (db_get(CLASS_BLOB, &a->self))
        tx_destroy(tx, &a->self);
    if (tx_commit(tx, err))
        return -1;
    if (unlink(path) < 0 && errno != ENOENT)
        log_warn("removing a blob's file, %s: %m", path); /* the next start does */
    return 0;
}

static int create_on(struct call *call, size_t k, const struct ref *owner, const char *name,
                     const char *mime_type, bool is_public, struct ref *result,
                     struct err *err)
{
    const struct class_def *cls = &schema_classes[owners[k].cls];
    const struct field_def *f = &cls->fields[owners[k].field];
    struct tx *tx = call_tx(call);
    const void *rec = call_get(owners[k].cls, owner, err);
    if (!rec || map_find(f->ty, record_field(f, rec), &name) != SIZE_MAX) {
        char text[REF_TEXT_SIZE];
        ref_text(owner, text);
        tx_abort(tx);
        return rec ? err_set(err, ERR_MAP_DUPLICATE_KEY, cls->name, "blobs", text, name)
                   : -1;
    }
    struct ref ref = new_blob(tx, name, mime_type, is_public);
    tx_map_put(tx, owner, owners[k].cls, owners[k].field, name, &ref);
    if (tx_commit(tx, err))
        return -1;
    *result = ref;
    return 0;
}

int op_vm_create_new_blob(struct call *call, const struct vm_create_new_blob_args *a,
                          struct ref *result, struct err *err)
{
    return create_on(call, 0, &a->vm, a->name, a->mime_type, a->public, result, err);
}

int op_host_create_new_blob(struct call *call, const struct host_create_new_blob_args *a,
                            struct ref *result, struct err *err)
{
    return create_on(call, 1, &a->host, a->name, a->mime_type, a->public, result, err);
}

int op_sr_create_new_blob(struct call *call, const struct sr_create_new_blob_args *a,
                          struct ref *result, struct err *err)
{
    return create_on(call, 2, &a->sr, a->name, a->mime_type, a->public, result, err);
}

int op_pool_create_new_blob(struct call *call, const struct pool_create_new_blob_args *a,
                            struct ref *result, struct err *err)
{
    return create_on(call, 3, &a->pool, a->name, a->mime_type, a->public, result, err);
}

int op_network_create_new_blob(struct call *call,
                               const struct network_create_new_blob_args *a,
                               struct ref *result, struct err *err)
{
    return create_on(call, 4, &a->network, a->name, a->mime_type, a->public, result, err);
}
