/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "wire/ws.h"

static void check_header(const uint8_t *p, size_t len)
{
    struct ws_frame f = { 0 };
    uint8_t made[10];
    ssize_t size = ws_parse_frame(p, len, &f);
    REQUIRE(size >= -1 && size <= 14 && (size <= 0 || (size_t)size <= len));
    for (size_t n = 0; n < len && n < 14; n++) {
        struct ws_frame early = { 0 };
        ssize_t got = ws_parse_frame(p, n, &early);
        REQUIRE(got == 0 || got == size);
    }
    if (size <= 0)
        return;
    REQUIRE(f.length <= INT64_MAX && (f.opcode < 8 || (f.length <= 125 && f.fin)));
    size_t n = ws_make_frame(made, f.opcode, f.length);
    REQUIRE((ssize_t)n + (f.masked ? 4 : 0) == size);
}

/* Decode in pieces of step bytes. */
static bool feed(const uint8_t *p, size_t len, size_t step, struct buf *out,
                 struct buf *reply)
{
    struct ws_stream w = { 0 };
    AUTO(free_str) char *copy = mem_dup(p, len);
    bool open = true;
    for (size_t at = 0; open && at < len; at += step)
        open = ws_feed(&w, copy + at, MIN(step, len - at), out, reply);
    return open;
}

static void check_stream(const uint8_t *p, size_t len)
{
    AUTO(buf_done) struct buf out = BUF_INIT(0), reply = BUF_INIT(0);
    bool open = feed(p, len, len, &out, &reply);
    REQUIRE(out.len + reply.len <= len + 4 && (open || reply.len >= 4));
    size_t first = len <= 2048
                       ? 1
                       : len / 40; /* pieces of a byte take too long for much text */
    for (size_t step = first; step < first + 12; step += 3) {
        AUTO(buf_done) struct buf out2 = BUF_INIT(0), reply2 = BUF_INIT(0);
        REQUIRE(feed(p, len, step, &out2, &reply2) == open);
        REQUIRE(out2.len == out.len && reply2.len == reply.len);
        REQUIRE(out.len == 0 || memcmp(out.data, out2.data, out.len) == 0);
        REQUIRE(reply.len == 0 || memcmp(reply.data, reply2.data, reply.len) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_header(data, size);
    if (size > 0)
        check_stream(data, size);
    return 0;
}
