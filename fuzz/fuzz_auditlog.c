/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log as somebody may have left it: it is read to its end and told about, whatever it says. Each line is chained
 * anew for half of the inputs, or the first wrong hash would end every reading. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"
#include "fuzz.h"
#include "model/auditlog.h"

static int fd = -1;
static char path[] = "/tmp/fuzz-auditlog-XXXXXX";

static void forget(void)
{
    (void)unlink(path);
}

static bool count(const json_t *rec, void *arg)
{
    REQUIRE(json_is_object(rec));
    ++*(uint64_t *)arg;
    return true;
}

/* The same lines with the hashes that they should have. */
static void chain(const char *text, size_t len, struct buf *out)
{
    struct auditlog_chain c = auditlog_start;

    for (const char *p = text, *end = text + len; p < end;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        AUTO(free_str) char *line = str_dupn(p, (size_t)((newline ? newline : end) - p));
        const char *json = strchr(line, '{');

        auditlog_add(&c, out, json ? json : line);
        p = newline ? newline + 1 : end;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(buf_done) struct buf text = BUF_INIT(0);
    struct auditlog_report r = { 0 };
    AUTO(err_done) struct err err = { 0 };
    uint64_t seen = 0;
    struct auditlog_query q = { .path = path, .fn = count, .arg = &seen };

    if (fd < 0) {
        fd = mkostemp(path, O_CLOEXEC);
        REQUIRE(fd >= 0 && atexit(forget) == 0);
    }
    if (size == 0)
        return 0;
    if (data[0] & 1)
        chain((const char *)data + 1, size - 1, &text);
    else
        buf_add(&text, data + 1, size - 1);
    REQUIRE(ftruncate(fd, 0) == 0 && io_pwrite_full(fd, buf_str(&text), text.len, 0) == 0);
    if (auditlog_read(&q, &r, &err) == 0) {
        AUTO(free_str) char *words = auditlog_report_text(&r);

        REQUIRE(words && *words);
        REQUIRE(r.good_bytes + r.torn_bytes <= text.len);
        REQUIRE(r.intents + r.outcomes + r.refused <= seen);
    }
    auditlog_report_done(&r);
    return 0;
}
