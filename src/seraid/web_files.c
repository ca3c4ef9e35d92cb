/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the table of files. Filled on the main thread before the first worker, read-only from then on. */
#include "seraid/web_files.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/sha.h>
#include <string.h>
#include <strings.h>

#include "api/errors.h"
#include "base/io.h"
#include "base/mem.h"

static struct web_file files[WEB_FILES_MAX];
static size_t n_files;

static const struct {
    const char *suffix, *type;
} types[] = {
    { ".html", "text/html; charset=utf-8" },
    { ".js", "text/javascript; charset=utf-8" },
    { ".css", "text/css; charset=utf-8" },
    { ".svg", "image/svg+xml" },
    { ".png", "image/png" },
    { ".txt", "text/plain; charset=utf-8" },
    { ".wasm", "application/wasm" },
};

static const char *type_of(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        if (str_ends(name, types[i].suffix))
            return types[i].type;
    }
    return NULL;
}

static void set_etag(struct web_file *f)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char *p = f->etag;

    SHA256((const unsigned char *)buf_str(&f->body[WEB_PLAIN]), f->body[WEB_PLAIN].len,
           digest);
    *p++ = '"';
    for (size_t i = 0; i < 16; i++) {
        *p++ = "0123456789abcdef"[digest[i] >> 4];
        *p++ = "0123456789abcdef"[digest[i] & 15];
    }
    *p++ = '"';
    *p = '\0';
}

static int cannot_read(const char *path, struct err *err)
{
    (void)err_set(err, ERR_INTERNAL_ERROR, path);
    return err_detail(err, "The web console: %s: %m.", path);
}

static int read_form(const char *file, const char *suffix, struct buf *out, struct err *err)
{
    AUTO(free_str) char *path = str_fmt("%s%s", file, suffix);

    *out = BUF_INIT(WEB_FILE_MAX);
    if (io_read_file(path, out) == 0 || (*suffix && errno == ENOENT))
        return 0;
    return cannot_read(path, err);
}

static int add(const char *file, const char *path, const char *type, bool immutable,
               struct err *err)
{
    static const char *const suffixes[WEB_CODINGS] = { "", ".gz", ".br" };
    struct web_file *f = &files[n_files];

    if (n_files == WEB_FILES_MAX) {
        errno = EMFILE;
        return cannot_read(file, err);
    }
    *f = (struct web_file){ .path = str_dup(path), .type = type, .immutable = immutable };
    n_files++;
    for (enum web_coding c = 0; c < WEB_CODINGS; c++) {
        if (read_form(file, suffixes[c], &f->body[c], err) != 0)
            return -1;
    }
    set_etag(f);
    return 0;
}

/* below: "/" or "/assets/" */
static int add_all(const char *directory, const char *below, struct err *err)
{
    DIR *dir = opendir(directory);
    const struct dirent *entry;
    int rc = 0;

    if (!dir)
        return errno == ENOENT ? 0 : cannot_read(directory, err);
    while (rc == 0 && (entry = readdir(dir)) != NULL) {
        const char *name = entry->d_name, *type = type_of(name);
        AUTO(free_str) char *file = str_fmt("%s/%s", directory, name);
        AUTO(free_str)
        char *path = str_eq(name, "index.html") ? str_dup(below)
                                                : str_fmt("%s%s", below, name);

        if (type && name[0] != '.')
            rc = add(file, path, type, !str_eq(below, "/"), err);
    }
    (void)closedir(dir);
    return rc;
}

int web_files_load(const char *directory, struct err *err)
{
    AUTO(free_str) char *assets = str_fmt("%s/assets", directory);

    web_files_done();
    if (add_all(directory, "/", err) != 0 || add_all(assets, "/assets/", err) != 0) {
        web_files_done();
        return -1;
    }
    if (!web_files_find("/"))
        web_files_done();
    return 0;
}

void web_files_done(void)
{
    for (size_t i = 0; i < n_files; i++) {
        free_str(&files[i].path);
        for (enum web_coding c = 0; c < WEB_CODINGS; c++)
            buf_done(&files[i].body[c]);
    }
    n_files = 0;
}

const struct web_file *web_files_find(const char *path)
{
    for (size_t i = 0; i < n_files; i++) {
        if (str_eq(files[i].path, path))
            return &files[i];
    }
    return NULL;
}

/* Is word in the list, and not with a weight of zero? Weights in between do not matter here. */
static bool accepts(const char *list, const char *word)
{
    size_t len = strlen(word);

    for (const char *p = list; p && *p; p += strcspn(p, ",")) {
        p += strspn(p, " \t,");
        size_t n = strcspn(p, " \t,;");
        const char *rest = p + n;

        if (n != len || strncasecmp(p, word, n) != 0)
            continue;
        rest += strspn(rest, " \t;");
        if (strncasecmp(rest, "q=0", 3) != 0)
            return true;
        rest += 3 + (rest[3] == '.');
        return rest[strspn(rest, "0")] >= '1' && rest[strspn(rest, "0")] <= '9';
    }
    return false;
}

enum web_coding web_files_choose(const struct web_file *f, const char *accept)
{
    if (f->body[WEB_BROTLI].len > 0 && accepts(accept, "br"))
        return WEB_BROTLI;
    if (f->body[WEB_GZIP].len > 0 && accepts(accept, "gzip"))
        return WEB_GZIP;
    return WEB_PLAIN;
}
