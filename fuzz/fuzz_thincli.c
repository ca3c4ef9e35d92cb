/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "wire/thincli.h"

/* A stream of a client's messages, chunks skipped. */
static void check_stream(const uint8_t *p, size_t len)
{
    while (len > 0) {
        struct thincli_message m = { 0 };
        ssize_t n = thincli_parse(p, len, &m);
        REQUIRE(n >= -1 && n <= (ssize_t)len && n <= THINCLI_MESSAGE_MAX + 4);
        for (size_t part = 0; n > 0 && part < (size_t)n; part++)
            REQUIRE(thincli_parse(p, part, &m) == 0);
        if (n <= 0)
            return;
        REQUIRE(m.length == 0 || m.what == THINCLI_CHUNK);
        REQUIRE(m.length <= INT32_MAX);
        size_t skip = MIN((size_t)n + m.length, len);
        p += skip;
        len -= skip;
    }
}

/* Joined again, the words make a body of the same words. */
static void check_request(const char *p, size_t len)
{
    AUTO(thincli_request_done) struct thincli_request r = { 0 }, again = { 0 };
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    if (thincli_request_parse(p, len, &r, NULL) != 0)
        return;
    REQUIRE(r.n_words <= THINCLI_WORDS_MAX && memchr(p, 0, len) == NULL);
    buf_addf(&b, "session_id=%s\r\n", r.session ? r.session : "");
    for (size_t i = 0; i < r.n_words; i++)
        buf_addf(&b, "%s\r\n", r.words[i]);
    buf_addf(&b, "username=%s\r\npassword=%s", r.user ? r.user : "",
             r.password ? r.password : "");
    if (thincli_request_parse(buf_str(&b), b.len, &again, NULL) != 0)
        return; /* more lines than were there: the limit */
    REQUIRE(again.n_words == r.n_words);
    for (size_t i = 0; i < r.n_words; i++)
        REQUIRE(str_eq(again.words[i], r.words[i]));
    REQUIRE(str_eq(again.user, r.user ? r.user : ""));
    REQUIRE(str_starts(r.password ? r.password : "", again.password));
    REQUIRE(str_eq(again.session, r.session ? r.session : ""));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= THINCLI_GREETING_SIZE)
        (void)thincli_greeting_fits(data);
    check_stream(data, size);
    check_request((const char *)data, size);
    return 0;
}
