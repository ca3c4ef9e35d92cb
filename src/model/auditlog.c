/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and checking audit logs. Keeps no state; any thread. */
#include "model/auditlog.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/parse.h"

#define NAME_FORMAT "audit-%06u.log"
#define HEX         64
#define HEAD_MAX    128

const struct auditlog_chain auditlog_start = {
    "0000000000000000000000000000000000000000000000000000000000000000"
};

static void digest(const struct auditlog_chain *prev, const char *json, size_t len,
                   char out[static AUDITLOG_HASH_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char sum[EVP_MAX_MD_SIZE] = { 0 };
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1
        || EVP_DigestUpdate(ctx, prev->hash, HEX) != 1
        || EVP_DigestUpdate(ctx, json, len) != 1 || EVP_DigestFinal_ex(ctx, sum, NULL) != 1)
        abort(); /* SHA-256 of the default provider cannot fail but for want of memory */
    EVP_MD_CTX_free(ctx);
    for (size_t i = 0; i < HEX / 2; i++) {
        out[2 * i] = digits[sum[i] >> 4];
        out[2 * i + 1] = digits[sum[i] & 15];
    }
    out[HEX] = '\0';
}

void auditlog_add(struct auditlog_chain *c, struct buf *out, const char *json)
{
    size_t len = strlen(json);
    digest(c, json, len, c->hash);
    buf_add(out, c->hash, HEX);
    buf_add_char(out, ' ');
    buf_add(out, json, len);
    buf_add_char(out, '\n');
}

bool auditlog_follows(struct auditlog_chain *c, const char *line, size_t len,
                      const char **json_out)
{
    char hash[AUDITLOG_HASH_SIZE];
    if (len < HEX + 1 || line[HEX] != ' ')
        return false;
    digest(c, line + HEX + 1, len - HEX - 1, hash);
    if (memcmp(hash, line, HEX) != 0)
        return false;
    memcpy(c->hash, hash, sizeof(hash));
    *json_out = line + HEX + 1;
    return true;
}

char *auditlog_file_name(unsigned number)
{
    return str_fmt(NAME_FORMAT, number);
}

static bool file_number(const char *name, unsigned *out)
{
    int64_t number;
    if (!str_starts(name, "audit-") || !str_ends(name, ".log"))
        return false;
    AUTO(free_str) char *digits = str_dupn(name + 6, strlen(name) - 10);
    if (!parse_range(digits[0] ? digits + strspn(digits, "0") : "", 1, 999999999, &number))
        return false;
    *out = (unsigned)number;
    AUTO(free_str) char *again = auditlog_file_name(*out);
    return str_eq(again, name);
}

int auditlog_files(const char *dir, unsigned *first_out, unsigned *last_out)
{
    DIR *d = opendir(dir);
    const struct dirent *e;
    unsigned n;
    *first_out = *last_out = 0;
    if (!d)
        return -1;
    while ((e = readdir(d))) { /* NOLINT(concurrency-mt-unsafe): a stream of our own */
        if (!file_number(e->d_name, &n))
            continue;
        *first_out = *first_out ? MIN(*first_out, n) : n;
        *last_out = MAX(*last_out, n);
    }
    (void)closedir(d); /* only read */
    return 0;
}

/* Reading */

struct reading {
    const struct auditlog_query *q;
    struct auditlog_report *r;
    struct auditlog_chain chain;
    uint64_t n;      /* of the record before */
    bool have_chain; /* of a file before */
    uint64_t head_n; /* 0: unknown */
    char head_hash[AUDITLOG_HASH_SIZE];
    bool head_seen;
    unsigned pruned; /* all files up to this one, says a record */
    bool stopped;
};

static void problem(struct reading *rd, const char *fmt, ...) PRINTF(2, 3);

static void problem(struct reading *rd, const char *fmt, ...)
{
    va_list ap;
    if (rd->r->problem)
        return;
    va_start(ap, fmt);
    rd->r->problem = str_vfmt(fmt, ap);
    va_end(ap);
}

static void read_head(struct reading *rd, const char *dir)
{
    AUTO(free_str) char *path = str_fmt("%s/head", dir);
    AUTO(buf_done) struct buf text = BUF_INIT(HEAD_MAX);
    int64_t n;
    if (io_read_file(path, &text) < 0)
        return;
    const char *s = buf_str(&text);
    size_t digits = strcspn(s, " ");
    AUTO(free_str) char *number = str_dupn(s, digits);
    if (!s[digits] || strcspn(s + digits + 1, "\n") != HEX
        || !parse_range(number, 1, INT64_MAX, &n))
        return; /* a power cut, perhaps: then there is only less to check against */
    memcpy(rd->head_hash, s + digits + 1, HEX);
    rd->head_n = (uint64_t)n;
}

static const char *text_of(const json_t *rec, const char *name)
{
    const char *s = json_string_value(json_object_get(rec, name));
    return s ? s : "";
}

static void put_time(char out[static 32], const json_t *rec)
{
    (void)snprintf(out, 32, "%s", text_of(rec, "time"));
}

static void count(struct reading *rd, const json_t *rec)
{
    struct auditlog_report *r = rd->r;
    const char *kind = text_of(rec, "kind");
    if (!r->first) {
        r->first = rd->n;
        put_time(r->first_time, rec);
    }
    r->last = rd->n;
    put_time(r->last_time, rec);
    r->intents += str_eq(kind, "intent");
    r->outcomes += str_eq(kind, "outcome");
    r->refused += str_eq(kind, "refused");
    r->torn += str_eq(kind, "torn");
    if (str_eq(kind, "pruned"))
        rd->pruned = (unsigned)json_integer_value(json_object_get(rec, "files"));
    const char *damage = text_of(rec, "damage");
    if (*damage) /* found at a start; what was written since is good, and says so */
        problem(rd, "%s", damage);
    if (rd->n == rd->head_n) {
        rd->head_seen = true;
        if (memcmp(rd->chain.hash, rd->head_hash, HEX) != 0)
            problem(rd, "record %llu is not the one that was written",
                    (unsigned long long)rd->n);
    }
    rd->stopped = rd->q->fn && !rd->q->fn(rec, rd->q->arg);
}

/* The begin record of the first file that is looked at says where the chain stands. */
static void adopt_chain(struct reading *rd, const char *line, size_t len)
{
    json_t *rec = len > HEX ? json_loadb(line + HEX + 1, len - HEX - 1, 0, NULL) : NULL;
    const char *previous = text_of(rec, "previous");
    rd->chain = auditlog_start;
    if (strlen(previous) == HEX)
        memcpy(rd->chain.hash, previous, HEX);
    rd->n = (uint64_t)MAX(json_integer_value(json_object_get(rec, "n")), (json_int_t)1) - 1;
    json_decref(rec);
}

static bool take_line(struct reading *rd, const char *line, size_t len)
{
    const char *json;
    struct auditlog_chain before = rd->chain;
    if (!auditlog_follows(&rd->chain, line, len, &json))
        return false;
    json_t *rec = json_loadb(json, len - HEX - 1, 0, NULL);
    bool fits = json_integer_value(json_object_get(rec, "n")) == (json_int_t)rd->n + 1;
    if (fits) {
        rd->n++;
        count(rd, rec);
    } else {
        rd->chain = before;
    }
    json_decref(rec);
    return fits;
}

/* Was what does not fit left by a power cut? Only behind all that was known to be durable. */
static bool is_torn(const struct reading *rd, const char *start, const char *rest,
                    size_t len, bool last)
{
    const char *newline = memchr(rest, '\n', len);
    if (!last)
        return false;
    if (rd->q->from_file && rest == start && !newline)
        return true; /* half a first record; what came before is in another file */
    if (rd->head_n)
        return rd->n >= rd->head_n;
    return !newline || newline + 1 == rest + len;
}

static void read_text(struct reading *rd, const char *name, const char *p, size_t len,
                      bool last)
{
    size_t at = 0, line_number = 0;
    while (at < len && !rd->stopped) {
        const char *newline = memchr(p + at, '\n', len - at);
        size_t n = newline ? (size_t)(newline - (p + at)) : len - at;
        line_number++;
        if (at == 0 && !rd->have_chain)
            adopt_chain(rd, p, n);
        if (!newline || !take_line(rd, p + at, n))
            break;
        rd->have_chain = true;
        at += n + 1;
    }
    rd->r->good_bytes = at;
    if (at == len || rd->stopped)
        return;
    if (is_torn(rd, p, p + at, len - at, last))
        rd->r->torn_bytes = len - at;
    else
        problem(
            rd,
            "line %zu of %s does not follow from the record before it (%llu): one of them "
            "was altered or removed",
            line_number, name, (unsigned long long)rd->n);
}

static int read_fail(struct err *err, const char *path)
{
    AUTO(free_str) char *text = str_fmt("%s cannot be read: %m", path);
    (void)err_set(err, "INTERNAL_ERROR", text);
    return err_detail(err, "%s", text);
}

static int read_one(struct reading *rd, const char *path, const char *name, bool last,
                    struct err *err)
{
    AUTO(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return read_fail(err, path);
    if (st.st_size == 0) {
        if (!last)
            problem(rd, "%s is empty", name);
        rd->r->good_bytes = 0;
        return 0;
    }
    size_t len = (size_t)st.st_size;
    AUTO(free_ptr) char *text = malloc(len); /* from outside, so it may be too big */
    if (!text || io_pread_full(fd, text, len, 0) < 0)
        return read_fail(err, path);
    read_text(rd, name, text, len, last);
    return 0;
}

static int read_dir(struct reading *rd, const char *dir, struct err *err)
{
    unsigned first, last;
    if (auditlog_files(dir, &first, &last) < 0)
        return read_fail(err, dir);
    rd->r->first_file = first;
    rd->r->last_file = last;
    if (first == 0 && rd->head_n)
        problem(rd, "there is no file of the log left");
    for (unsigned i = MAX(first, rd->q->from_file); i && i <= last && !rd->stopped; i++) {
        AUTO(free_str) char *name = auditlog_file_name(i);
        AUTO(free_str) char *path = str_fmt("%s/%s", dir, name);
        if (access(path, F_OK) < 0 && errno == ENOENT) {
            problem(rd, "%s is missing", name);
            continue;
        }
        if (read_one(rd, path, name, i == last, err) < 0)
            return -1;
    }
    if (rd->stopped)
        return 0;
    if (rd->head_n > rd->n && (rd->n || !rd->q->from_file))
        problem(
            rd,
            "the log ends with record %llu, but record %llu was written: the end was cut "
            "off",
            (unsigned long long)rd->n, (unsigned long long)rd->head_n);
    if (rd->q->from_file)
        return 0;
    if (first > 1 && rd->pruned < first - 1)
        problem(rd,
                "the files before number %u are missing, and no record says that "
                "retention removed them",
                first);
    if (rd->head_n && !rd->head_seen)
        problem(rd, "record %llu, which was written, is missing",
                (unsigned long long)rd->head_n);
    return 0;
}

int auditlog_read(const struct auditlog_query *q, struct auditlog_report *out,
                  struct err *err)
{
    struct auditlog_report r = { 0 };
    struct reading rd = { .q = q, .r = &r, .chain = auditlog_start };
    struct stat st;
    int rc;
    if (stat(q->path, &st) < 0)
        return read_fail(err, q->path);
    if (S_ISDIR(st.st_mode)) {
        read_head(&rd, q->path);
        rc = read_dir(&rd, q->path, err);
    } else {
        rc = read_one(&rd, q->path, q->path, true, err);
    }
    r.head = rd.chain;
    if (rc < 0)
        auditlog_report_done(&r);
    else
        *out = r;
    return rc;
}

void auditlog_report_done(struct auditlog_report *r)
{
    free(r->problem);
    r->problem = NULL;
}

char *auditlog_report_text(const struct auditlog_report *r)
{
    struct buf b = BUF_INIT(0);
    if (r->problem)
        buf_addf(&b, "NOT WHOLE: %s.\n", r->problem);
    else
        buf_add_str(&b, "The audit log is whole.\n");
    if (r->last)
        buf_addf(
            &b,
            "Records %llu to %llu, %s to %s: %llu intents, %llu outcomes, %llu refusals.\n",
            (unsigned long long)r->first, (unsigned long long)r->last, r->first_time,
            r->last_time, (unsigned long long)r->intents, (unsigned long long)r->outcomes,
            (unsigned long long)r->refused);
    if (r->torn_bytes)
        buf_addf(&b, "The last %llu bytes are half a record, as a power cut leaves it.\n",
                 (unsigned long long)r->torn_bytes);
    buf_addf(&b, "Newest record: %llu %s\n", (unsigned long long)r->last, r->head.hash);
    return buf_take(&b);
}
