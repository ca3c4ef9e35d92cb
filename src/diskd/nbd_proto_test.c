/* SPDX-License-Identifier: Apache-2.0 */
#include "diskd/nbd_proto.h"

#include <errno.h>

#include "base/test.h"

static const struct nbd_export disk = { .name = "xvda",
                                        .bytes = 1 << 20,
                                        .writable = true };
static struct nbd_out out;

#define FLAGS    "\0\0\0\3"
#define OPT(n)   "IHAVEOPT\0\0\0" n
#define BYTES(s) (const uint8_t *)(s), sizeof(s) - 1

static struct nbd_nego run(const uint8_t *in, size_t len, size_t step)
{
    struct nbd_nego n = { 0 };
    size_t at = 0;

    out.n = 0;
    for (size_t have = MIN(step, len);; have = MIN(have + step, len)) {
        at += nbd_negotiate(&n, &disk, in + at, have - at, &out);
        if (have == len)
            return n;
    }
}

static bool answered(const void *what, size_t len)
{
    return memmem(out.b, out.n, what, len) != NULL;
}

TEST(go_is_answered_with_size_and_flags_however_the_bytes_come)
{
    static const char in[] = FLAGS OPT("\10") "\0\0\0\0" OPT("\7") "\0\0\0\12"
                                                                   "\0\0\0\4xvda\0\0";

    for (size_t step = 1; step < sizeof(in); step++) {
        struct nbd_nego n = run(BYTES(in), step);
        CHECK_INT(n.state, NBD_NEGO_READY);
        CHECK(n.structured && n.no_zeroes && !n.allocation);
        CHECK(answered(BYTES("\0\0\0\0\0\0\0\20\0\0\1\355")));
        CHECK(answered(BYTES("\0\3\0\0\2\0\0\0\20\0\2\0\0\0")));
    }
}

static const struct {
    const char *in;
    size_t len;
    enum nbd_nego_state state;
    const char *want;
    size_t want_len;
} cases[] = {

#define CASE(in_, state_, want_)                                   \
    {                                                              \
        (in_), sizeof(in_) - 1, state_, (want_), sizeof(want_) - 1 \
    }
    CASE("\0\0\0\0", NBD_NEGO_CLOSE, ""),
    CASE("\0\0\0\7", NBD_NEGO_CLOSE, ""),
    CASE(FLAGS "IHAVEOPS\0\0\0\7\0\0\0\0", NBD_NEGO_CLOSE, ""),
    CASE(FLAGS OPT("\7") "\377\377\377\377", NBD_NEGO_CLOSE, ""),
    CASE(FLAGS OPT("\1") "\0\0\0\1x", NBD_NEGO_CLOSE, ""),
    CASE(FLAGS OPT("\1") "\0\0\0\0", NBD_NEGO_READY, "\0\0\0\0\0\20\0\0\1\155"),
    CASE("\0\0\0\1" OPT("\1") "\0\0\0\0", NBD_NEGO_READY, "\1\155\0\0\0\0\0\0\0\0\0\0\0\0"),
    CASE(FLAGS OPT("\2") "\0\0\0\0", NBD_NEGO_CLOSE, "\0\0\0\2\0\0\0\1\0\0\0\0"),
    CASE(FLAGS OPT("\3") "\0\0\0\0", NBD_NEGO_OPTIONS, "\0\0\0\2\0\0\0\10\0\0\0\4xvda"),
    CASE(FLAGS OPT("\3") "\0\0\0\1x", NBD_NEGO_OPTIONS, "\200\0\0\3"),
    CASE(FLAGS OPT("\5") "\0\0\0\0", NBD_NEGO_OPTIONS, "\0\0\0\5\200\0\0\1"),
    CASE(FLAGS OPT("\6") "\0\0\0\6\0\0\0\0\0\0", NBD_NEGO_OPTIONS, "\0\0\0\6\0\0\0\1"),
    CASE(FLAGS OPT("\7") "\0\0\0\6\0\0\0\1\0\0", NBD_NEGO_OPTIONS, "\200\0\0\3"),
    CASE(FLAGS OPT("\7") "\0\0\0\7\0\0\0\1x\0\0", NBD_NEGO_OPTIONS, "\200\0\0\6"),
    CASE(FLAGS OPT("\7") "\0\0\0\6\377\377\377\377\0\0", NBD_NEGO_OPTIONS, "\200\0\0\3"),
    CASE(FLAGS OPT("\12") "\0\0\0\10\0\0\0\0\0\0\0\0", NBD_NEGO_OPTIONS, "\200\0\0\3"),
    CASE(FLAGS OPT("\11") "\0\0\0\10\0\0\0\0\0\0\0\0", NBD_NEGO_OPTIONS, "base:allocation"),
    CASE(FLAGS OPT("\11") "\0\0\0\10\0\0\0\0\0\0\0\1", NBD_NEGO_OPTIONS, "\200\0\0\3"),
    CASE(FLAGS OPT("\11") "\0\0\0\14\0\0\0\0\0\0\0\1\377\377\377\377", NBD_NEGO_OPTIONS,
         "\200\0\0\3"),
};

TEST(options_and_what_is_wrong_with_them)
{
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct nbd_nego n = run((const uint8_t *)cases[i].in, cases[i].len, 3);
        if (n.state != cases[i].state)
            test_fail(__FILE__, __LINE__, "case %zu: state %u", i, n.state);
        if (!answered(cases[i].want, cases[i].want_len))
            test_fail(__FILE__, __LINE__, "case %zu: another answer", i);
    }
}

TEST(a_context_is_selected_after_structured_replies_only)
{
    static const char in[] =
        FLAGS OPT("\10") "\0\0\0\0" OPT("\12") "\0\0\0\33"
                                               "\0\0\0\0\0\0\0\1\0\0\0\17base:allocation";
    struct nbd_nego n = run(BYTES(in), 5);

    CHECK(n.allocation);
    CHECK(answered(BYTES("\0\0\0\1base:allocation")));
}

static const struct {
    struct nbd_request r;
    int error;
    uint32_t payload;
} requests[] = {
    { { .cmd = NBD_READ, .len = 512 }, 0, 0 },
    { { .cmd = NBD_READ, .len = 511 }, EINVAL, 0 },
    { { .cmd = NBD_READ, .offset = 1, .len = 512 }, EINVAL, 0 },
    { { .cmd = NBD_READ, .offset = 1 << 20, .len = 512 }, EINVAL, 0 },
    { { .cmd = NBD_READ, .offset = UINT64_MAX - 511, .len = 512 }, EINVAL, 0 },
    { { .cmd = NBD_READ, .len = NBD_LEN_MAX + 512 }, EOVERFLOW, 0 },
    { { .cmd = NBD_READ, .flags = NBD_DF, .len = 512 }, EINVAL, 0 },
    { { .cmd = NBD_WRITE, .len = 512 }, 0, 512 },
    { { .cmd = NBD_WRITE, .flags = NBD_FUA, .len = 512 }, 0, 512 },
    { { .cmd = NBD_WRITE, .flags = NBD_NO_HOLE, .len = 512 }, EINVAL, 512 },
    { { .cmd = NBD_WRITE, .offset = 1 << 20, .len = 512 }, ENOSPC, 512 },
    { { .cmd = NBD_WRITE, .len = UINT32_MAX }, EOVERFLOW, UINT32_MAX },
    { { .cmd = NBD_TRIM, .len = 1 << 20 }, 0, 0 },
    { { .cmd = NBD_WRITE_ZEROES, .flags = NBD_NO_HOLE, .len = 1 << 20 }, 0, 0 },
    { { .cmd = NBD_BLOCK_STATUS, .len = 512 }, EINVAL, 0 },
    { { .cmd = NBD_FLUSH }, 0, 0 },
    { { .cmd = NBD_DISC }, EINVAL, 0 },
    { { .cmd = NBD_CACHE, .len = 512 }, EINVAL, 0 },
    { { .cmd = 99 }, EINVAL, 0 },
};

TEST(requests_are_checked_against_the_export)
{
    struct nbd_nego n = { .state = NBD_NEGO_READY };
    struct nbd_export read_only = disk;
    uint32_t payload;

    for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
        int error = nbd_request_check(&requests[i].r, &n, &disk, &payload);
        if (error != requests[i].error || payload != requests[i].payload)
            test_fail(__FILE__, __LINE__, "request %zu: %d, payload %u", i, error, payload);
    }
    read_only.writable = false;
    CHECK_INT(nbd_request_check(&requests[7].r, &n, &read_only, &payload), EPERM);
    CHECK_INT(payload, 512);
    n.structured = n.allocation = true;
    CHECK_INT(nbd_request_check(&requests[6].r, &n, &disk, &payload), 0);
    CHECK_INT(nbd_request_check(&requests[14].r, &n, &disk, &payload), 0);
}

TEST(replies_have_the_bytes_of_the_protocol)
{
    uint8_t b[NBD_REPLY_MAX];

    CHECK_INT(nbd_reply_simple(b, 7, EDQUOT), 16);
    CHECK(memcmp(b, "\x67\x44\x66\x98\0\0\0\x1c\0\0\0\0\0\0\0\7", 16) == 0);
    CHECK_INT(nbd_reply_data(b, 7, 512, 1024), 28);
    CHECK(memcmp(b, "\x66\x8e\x33\xef\0\1\0\1\0\0\0\0\0\0\0\7\0\0\4\10", 20) == 0);
    CHECK_INT(nbd_reply_data(b, 7, 512, 0), 20);
    CHECK_INT(nbd_reply_error(b, 7, EBADF), 26);
    CHECK(memcmp(b + 4, "\0\1\x80\1\0\0\0\0\0\0\0\7\0\0\0\6\0\0\0\5\0\0", 22) == 0);
    CHECK_INT(nbd_reply_status(b, 7, 2), 24);
    CHECK(memcmp(b + 4, "\0\1\0\5\0\0\0\0\0\0\0\7\0\0\0\x14\0\0\0\1", 20) == 0);
}
