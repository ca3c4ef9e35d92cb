/* SPDX-License-Identifier: Apache-2.0 */
/* PUT /import_image?sr_id&format&name: an image of a disk (raw, vhd, qcow2, vmdk, vhdx) becomes a new disk, an ISO a file of
 * its library. What has come is kept on the repository for a day, under a key made of who sends what where: HEAD answers
 * how much of it is durable (GET says it in its body too), a PUT with Content-Range goes on there. docs/import-image.md is the contract. Runs on a
 * worker, declared blocked. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "api/errors.h"
#include "api/ops.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "ops/storage.h"
#include "ops/vdi_transfer.h"
#include "seraid/handlers.h"
#include "seraid/query.h"
#include "seraid/upload.h"

#define CHUNK ((size_t)1 << 20)
#define ROLES (ROLE_POOL_ADMIN | ROLE_POOL_OPERATOR | ROLE_VM_POWER_ADMIN | ROLE_VM_ADMIN)

struct image {
    struct exchange *x;
    struct auth auth;
    struct ref sr_ref;
    struct sr_handle sr;
    char *name, *format;
    bool iso;
    char key[2 * 16 + 1];
    int fd;                  /* what has come */
    uint64_t at, end, total; /* bytes [at, end) of total come now */
    struct upload upload;
    struct call call;
};

static void image_done(struct image *m)
{
    sr_handle_done(&m->sr);
    free(m->name);
    free(m->format);
    close_fd(&m->fd);
}

/* Who, where, what: so that nobody goes on with another's. */
static void make_key(struct image *m)
{
    AUTO(free_str)
    char *text = str_fmt("%s\n%s\n%s\n%s", m->auth.session.user, m->sr.config.uuid,
                         m->format, m->name);
    uint8_t digest[EVP_MAX_MD_SIZE] = { 0 };

    IGNORE(EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL));
    for (size_t i = 0; i < 16; i++)
        (void)snprintf(m->key + 2 * i, 3, "%02x", digest[i]);
}

static int read_arguments(struct image *m, struct err *err)
{
    const struct http_req *r = m->x->req;
    char text[REF_TEXT_SIZE];

    m->name = http_arg(r, "name");
    m->format = http_arg(r, "format");
    m->iso = str_eq(m->format, "iso");
    if (!m->name || !*m->name || strlen(m->name) > 250)
        return err_set(err, ERR_INVALID_VALUE, "name", m->name ? m->name : "");
    if (!m->format || (!m->iso && vdi_transfer_format(m->format) == VDI_FORMAT_NONE)
        || vdi_transfer_format(m->format) == VDI_FORMAT_TAR)
        return err_set(err, ERR_INVALID_VALUE, "format", m->format ? m->format : "");
    if (query_sr(m->x, &m->sr_ref, err) != 0)
        return -1;
    if (storage_sr(&m->sr_ref, &m->sr, err) != 0)
        return -1;
    if (!m->sr.ops->spool || m->iso != (m->sr.ops->spool_place != NULL)) {
        ref_text(&m->sr_ref, text);
        return err_set(err, ERR_SR_OPERATION_NOT_SUPPORTED, text);
    }
    make_key(m);
    return 0;
}

/* "bytes 5-9/10" */
static bool read_range(const char *text, uint64_t *at, uint64_t *end, uint64_t *total)
{
    AUTO(free_str) char *copy = str_starts(text, "bytes ") ? str_dup(text + 6) : NULL;
    char *dash = copy ? strchr(copy, '-') : NULL, *slash = dash ? strchr(dash, '/') : NULL;
    int64_t first, last, all;

    if (!slash)
        return false;
    *dash = *slash = '\0';
    if (!parse_range(slash + 1, 1, INT64_C(1) << 50, &all)
        || !parse_range(dash + 1, 0, all - 1, &last) || !parse_range(copy, 0, last, &first))
        return false;
    *at = (uint64_t)first;
    *end = (uint64_t)last + 1;
    *total = (uint64_t)all;
    return true;
}

static int read_length(struct image *m, struct err *err)
{
    const struct http_req *r = m->x->req;
    const char *range = http_header(r, "Content-Range");

    if (!r->has_length || r->chunked || r->length >= UINT64_C(1) << 50)
        return err_set(err, ERR_INVALID_VALUE, "Content-Length", "unknown");
    m->end = m->total = r->length;
    if (range
        && (!read_range(range, &m->at, &m->end, &m->total) || m->end - m->at != r->length))
        return err_set(err, ERR_INVALID_VALUE, "Content-Range", range);
    return 0;
}

static int refuse_offset(uint64_t have, struct err *err)
{
    AUTO(free_str) char *text = str_fmt("%" PRIu64, have);

    (void)err_set(err, ERR_INVALID_VALUE, "Content-Range", text);
    return err_detail(err, "%s bytes have come: go on there, or begin anew with the first",
                      text);
}

static int check_room(const struct image *m, uint64_t have, struct err *err)
{
    struct sr_space space;
    uint64_t room;

    if (m->sr.ops->space(&m->sr.config, &space, err) != 0)
        return -1;
    room = space.physical_size_bytes
           - MIN(space.physical_size_bytes, space.physical_used_bytes);
    if (m->total - MIN(have, m->total) <= room)
        return 0;
    AUTO(free_str) char *want = str_fmt("%" PRIu64, m->total);
    AUTO(free_str) char *free_bytes = str_fmt("%" PRIu64, room);

    return err_set(err, ERR_SR_FULL, want, free_bytes);
}

static int open_spool(struct image *m, struct err *err)
{
    struct stat st;

    m->sr.ops->spool_forget(&m->sr.config, NULL);
    m->fd = m->sr.ops->spool(&m->sr.config, m->key, true, err);
    if (m->fd < 0)
        return -1;
    if (flock(m->fd, LOCK_EX | LOCK_NB) != 0)
        return err_set(err, ERR_OPERATION_NOT_ALLOWED,
                       "this image is being uploaded by another request");
    if (fstat(m->fd, &st) != 0)
        return err_set(err, ERR_SR_BACKEND_FAILURE, "", "", "the upload cannot be kept");
    if (m->at != 0 && m->at != (uint64_t)st.st_size)
        return refuse_offset((uint64_t)st.st_size, err);
    if (m->at == 0 && ftruncate(m->fd, 0) != 0)
        return err_set(err, ERR_SR_BACKEND_FAILURE, "", "", "the upload cannot be kept");
    if (check_room(m, m->at, err) == 0)
        return 0;
    if (m->at == 0)
        m->sr.ops->spool_forget(&m->sr.config, m->key);
    return -1;
}

/* What comes, as far as it comes, is durable afterwards. */
static int receive(struct image *m, struct err *err)
{
    AUTO(free_ptr) uint8_t *chunk = mem_alloc(CHUNK);
    int rc = 0;

    while (rc == 0 && m->at < m->end) {
        ssize_t n = upload_read(&m->upload, chunk, (size_t)MIN(m->end - m->at, CHUNK));

        if (n <= 0) {
            rc = call_cancelled(&m->call) ? err_set(err, ERR_TASK_CANCELLED, "")
                                          : err_set(err, ERR_IMPORT_ERROR_PREMATURE_EOF);
        } else if (io_pwrite_full(m->fd, chunk, (size_t)n, m->at) != 0) {
            rc = errno == ENOSPC || errno == EDQUOT
                     ? err_set(err, ERR_SR_FULL, "", "")
                     : err_set(err, ERR_SR_BACKEND_FAILURE, "", "",
                               "the upload cannot be kept");
        } else {
            m->at += (uint64_t)n;
            call_progress(&m->call, (double)m->at / (double)m->total / 2);
        }
    }
    if (fsync(m->fd) != 0)
        rc = err_set(err, ERR_SR_BACKEND_FAILURE, "", "", "the upload cannot be kept");
    return rc;
}

/* The file as the source of an import. */

static ssize_t read_spool(void *arg, void *p, size_t n)
{
    return read(*(const int *)arg, p, n);
}

static bool always(void *arg)
{
    (void)arg;
    return true;
}

static int place_iso(struct image *m, struct ref *vdi, struct err *err)
{
    const struct sr_scan_args scan = { .sr = m->sr_ref };
    AUTO(free_str)
    char *name = str_ends(m->name, ".iso") ? str_dup(m->name) : str_fmt("%s.iso", m->name);

    if (m->sr.ops->spool_place(&m->sr.config, m->key, name, err) != 0
        || op_sr_scan(&m->call, &scan, err) != 0)
        return -1;
    db_lock();
    for (size_t i = 0; db_find_name(CLASS_VDI, name, i, vdi); i++)
        if (ref_eq(&((const struct vdi_rec *)db_get(CLASS_VDI, vdi))->SR, &m->sr_ref))
            break;
    db_unlock();
    return 0;
}

static int make_disk(struct image *m, struct ref *vdi, struct err *err)
{
    const struct vdi_import how = {
        .format = vdi_transfer_format(m->format),
        .name = m->format,
        .source = { .read = read_spool, .ready = always, .fd = -1, .arg = &m->fd },
        .length = m->total,
        .spooled = m->fd,
    };

    if (m->iso)
        return place_iso(m, vdi, err);
    if (lseek(m->fd, 0, SEEK_SET) != 0)
        return err_set(err, ERR_SR_BACKEND_FAILURE, "", "", "the upload cannot be read");
    return vdi_import_new(&m->call, &m->sr_ref, m->name, &how, vdi, err);
}

static int status_of(const struct err *err)
{
    return str_eq(err->code, ERR_SR_FULL)                 ? 507
           : str_eq(err->code, ERR_OPERATION_NOT_ALLOWED) ? 409
           : str_eq(err->code, ERR_INVALID_VALUE)         ? 400
                                                          : 422;
}

static void answer(struct image *m, const struct ref *vdi, bool whole)
{
    AUTO(buf_done) struct buf body = BUF_INIT(0), extra = BUF_INIT(0);

    buf_addf(&extra, "Upload-Offset: %" PRIu64 "\r\n", m->at);
    if (whole) {
        buf_add_str(&body, "{\"vdi\": ");
        enc_ref(&body, ENC_JSON, vdi);
        buf_add_str(&body, "}\n");
    }
    serve_answer(m->x, &(struct http_resp){ .status = whole ? 201 : 202,
                                            .content_type = "application/json",
                                            .extra = buf_str(&extra),
                                            .body = buf_str(&body),
                                            .body_len = body.len });
}

/* With a task the answer is early and the task tells, as with all other uploads; without one the answer tells. */
static void finish(struct image *m, const struct ref *vdi, bool whole,
                   const struct err *err)
{
    AUTO(buf_done) struct buf result = BUF_INIT(0);

    if (m->auth.has_task) {
        enc_ref(&result, ENC_XML, vdi);
        upload_end(&m->upload, &m->auth, "import of an image",
                   whole ? buf_str(&result) : "", err);
        return;
    }
    m->x->body_read = m->upload.left == 0;
    if (err->code)
        auth_refuse(m->x, &m->auth, status_of(err), err);
    else
        answer(m, vdi, whole);
}

static bool begin_upload(struct image *m)
{
    struct deadline d = serve_deadline(SERVE_ANSWER_US);
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

    if (m->auth.has_task)
        return upload_begin(&m->upload, m->x, &m->auth);
    m->upload = (struct upload){ .x = m->x,
                                 .left = m->x->req->length,
                                 .cancel_fd = listen_stop_fd() };
    return !http_header(m->x->req, "Expect")
           || conn_write(m->x->conn, go_on, sizeof(go_on) - 1, &d) == 0;
}

static void put(struct image *m)
{
    AUTO(err_done) struct err err = { 0 };
    struct ref vdi = REF_NULL;
    bool whole = false, dropped;

    if (read_arguments(m, &err) != 0 || read_length(m, &err) != 0) {
        auth_refuse(m->x, &m->auth, status_of(&err), &err);
        return;
    }
    m->call = upload_call(m->x, &m->auth, CALL_VDI_CREATE);
    if (open_spool(m, &err) != 0) {
        auth_refuse(m->x, &m->auth,
                    str_eq(err.code, ERR_INVALID_VALUE) ? 416 : status_of(&err), &err);
        return;
    }
    if (!begin_upload(m))
        return;
    if (receive(m, &err) == 0) {
        whole = m->at == m->total;
        IGNORE(whole && make_disk(m, &vdi, &err) != 0); /* told below */
    }
    /* What broke off may go on; what is whole, bad, or not wanted any more may not. */
    dropped = whole || (err.code && str_eq(err.code, ERR_TASK_CANCELLED));
    if (dropped)
        m->sr.ops->spool_forget(&m->sr.config, m->key);
    finish(m, &vdi, whole && !err.code, &err);
}

static void head(struct image *m)
{
    AUTO(err_done) struct err err = { 0 };
    AUTO(free_str) char *extra = NULL, *body = NULL;
    struct stat st;

    if (read_arguments(m, &err) != 0) {
        serve_answer(m->x, &(struct http_resp){ .status = 400 });
        return;
    }
    m->fd = m->sr.ops->spool(&m->sr.config, m->key, false, &err);
    if (m->fd < 0 || fstat(m->fd, &st) != 0 || fsync(m->fd) != 0) {
        serve_answer(m->x, &(struct http_resp){ .status = 404 });
        return;
    }
    extra = str_fmt("Upload-Offset: %lld\r\nCache-Control: no-store\r\n",
                    (long long)st.st_size);
    body = str_fmt("{\"offset\": %lld}\n", (long long)st.st_size);
    serve_answer(m->x, &(struct http_resp){ .status = 200,
                                            .content_type = "application/json",
                                            .extra = extra,
                                            .body = body,
                                            .body_len = strlen(body) });
}

static void run(struct exchange *x, void (*fn)(struct image *m))
{
    struct image m = { .x = x, .fd = -1, .sr_ref = REF_NULL };

    if (auth_begin(x, ROLES, "http/put_import_image", &m.auth) == 0) {
        fn(&m);
        auth_done(&m.auth);
    }
    image_done(&m);
}

void http_image_put(struct exchange *x)
{
    run(x, put);
}

void http_image_head(struct exchange *x)
{
    run(x, head);
}
