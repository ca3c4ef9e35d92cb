/* SPDX-License-Identifier: Apache-2.0 */
/* The text: base64 of a head (magic, secure, size) and runs (offset, length, bytes) of what is not erased flash. A record
 * of 20 KiB stands so for a file of 528. It came from clients too, so every number in it is checked.
 * Owns no state. */
#include "host/nvram.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/errors.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/uuid.h"

#define MAGIC     "SNV1"
#define HEAD      12 /* magic, secure, size */
#define RUN_HEAD  8
#define GAP       32 /* fewer erased bytes do not end a run */
#define ERASED    0xff
#define TEXT_MAX_ (2U * NVRAM_FILE_MAX)

static const struct nvram_firmware firmwares[] = {
    { "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd" },
    { "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd" },
};

const struct nvram_firmware *nvram_firmware(bool secure)
{
    return &firmwares[secure];
}

bool nvram_installed(bool secure)
{
    return access(firmwares[secure].code, R_OK) == 0
           && access(firmwares[secure].variables, R_OK) == 0;
}

static void add_be32(struct buf *b, size_t v)
{
    uint8_t bytes[4];

    put_be32(bytes, (uint32_t)v);
    buf_add(b, bytes, sizeof(bytes));
}

/* The end of the run that begins at from: before GAP erased bytes, or the end. */
static size_t run_end(const uint8_t *p, size_t n, size_t from)
{
    size_t end = from;

    for (size_t i = from; i < n && i - end <= GAP; i++)
        if (p[i] != ERASED)
            end = i + 1;
    return end;
}

char *nvram_encode(const void *file, size_t n, bool secure)
{
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    const uint8_t *p = file;

    buf_add(&b, MAGIC, 4);
    add_be32(&b, secure);
    add_be32(&b, n);
    for (size_t i = 0; i < n;) {
        if (p[i] == ERASED) {
            i++;
            continue;
        }
        size_t end = run_end(p, n, i);

        add_be32(&b, i);
        add_be32(&b, end - i);
        buf_add(&b, p + i, end - i);
        i = end;
    }
    char *text = mem_alloc(4 * ((b.len + 2) / 3) + 1);

    (void)EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)b.data, (int)b.len);
    return text;
}

static bool decode_runs(const uint8_t *p, size_t n, uint8_t *out, size_t size)
{
    for (size_t at = 0; at < n;) {
        if (n - at < RUN_HEAD)
            return false;
        size_t offset = be32(p + at), len = be32(p + at + 4);

        at += RUN_HEAD;
        if (len > n - at || offset > size || len > size - offset)
            return false;
        memcpy(out + offset, p + at, len);
        at += len;
    }
    return true;
}

bool nvram_decode(const char *text, bool secure, size_t size, struct buf *out)
{
    size_t len = strnlen(text, TEXT_MAX_ + 1);

    if (len < 4 || len > TEXT_MAX_ || len % 4 != 0)
        return false;
    AUTO(buf_done) struct buf raw = BUF_INIT(0);
    uint8_t *p = buf_reserve(&raw, len / 4 * 3);
    int n = EVP_DecodeBlock(p, (const unsigned char *)text, (int)len);

    if (n < 0)
        return false;
    n -= (text[len - 1] == '=') + (text[len - 2] == '=');
    if (n < HEAD || memcmp(p, MAGIC, 4) != 0 || be32(p + 4) != (uint32_t)secure
        || be32(p + 8) != size)
        return false;
    buf_clear(out);
    uint8_t *file = buf_reserve(out, size);

    if (!file)
        return false;
    memset(file, ERASED, size);
    out->len = size;
    return decode_runs(p + HEAD, (size_t)n - HEAD, file, size);
}

static char *path_of(const char *state_dir, const char *uuid)
{
    return str_fmt("%s/nvram/%s", state_dir, uuid);
}

static int cannot(const char *uuid, const char *path, struct err *err)
{
    AUTO(free_str) char *text = str_fmt("%s: %m", path);

    return err_set(err, ERR_BOOTLOADER_FAILED, uuid, text);
}

int nvram_make(const char *state_dir, const char *uuid, const char *text, bool secure,
               int *fd_out, struct err *err)
{
    const struct nvram_firmware *fw = nvram_firmware(secure);
    AUTO(free_str) char *dir = str_fmt("%s/nvram", state_dir);
    AUTO(free_str) char *path = path_of(state_dir, uuid);
    AUTO(buf_done) struct buf fresh = BUF_INIT(NVRAM_FILE_MAX);
    AUTO(buf_done) struct buf own = BUF_INIT(NVRAM_FILE_MAX);

    if (access(fw->code, R_OK) < 0 || io_read_file(fw->variables, &fresh) < 0) {
        err_set(err, ERR_BOOTLOADER_FAILED, uuid,
                "the UEFI firmware is not installed: install the package ovmf");
        return err_detail(err, "%s: %m", fw->code);
    }
    bool usable = text && nvram_decode(text, secure, fresh.len, &own);

    if (text && !usable)
        log_warn("VM %s: its NVRAM is not of this firmware; it starts with a new one",
                 uuid);
    const struct buf *from = usable ? &own : &fresh;

    if (io_mkdirs(dir, 0700) < 0
        || io_write_file(path, from->data, from->len, secure ? 0700 : 0600) < 0)
        return cannot(uuid, path, err);
    *fd_out = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    return *fd_out < 0 ? cannot(uuid, path, err) : 0;
}

bool nvram_open(const char *state_dir, const char *uuid, int *fd_out)
{
    AUTO(free_str) char *path = path_of(state_dir, uuid);

    *fd_out = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    return *fd_out >= 0;
}

/* The content does not tell which firmware wrote it (a guest may take the keys away), nor does the record, which may have
 * changed since: the file's bit for its owner to execute it does. */
char *nvram_text(const char *state_dir, const char *uuid)
{
    AUTO(free_str) char *path = path_of(state_dir, uuid);
    AUTO(buf_done) struct buf file = BUF_INIT(NVRAM_FILE_MAX);
    struct stat st;

    if (io_read_file(path, &file) < 0 || stat(path, &st) < 0)
        return NULL;
    return nvram_encode(file.data, file.len, (st.st_mode & S_IXUSR) != 0);
}

void nvram_remove(const char *state_dir, const char *uuid)
{
    AUTO(free_str) char *path = path_of(state_dir, uuid);

    io_drop_file(path);
}

void nvram_each(const char *state_dir, void (*fn)(const char *uuid, void *arg), void *arg)
{
    AUTO(free_str) char *dir = str_fmt("%s/nvram", state_dir);

    io_each_uuid(dir, fn, arg);
}
