/* SPDX-License-Identifier: Apache-2.0 */
/* A client's side of a connection. The first byte says how the rest is cut into pieces: the outcome may not
 * depend on it, and never more is consumed than is there. */
#include <string.h>

#include "base/mem.h"
#include "diskd/nbd_proto.h"
#include "fuzz.h"

static const struct nbd_export disk = { .name = "xvda",
                                        .bytes = 8 << 20,
                                        .writable = true };

static struct nbd_nego talk(const uint8_t *in, size_t len, size_t step, size_t *used)
{
    struct nbd_nego n = { 0 };
    static struct nbd_out out;
    size_t at = 0;

    for (size_t have = MIN(step, len);; have = MIN(have + step, len)) {
        for (size_t got = 1; got && n.state < NBD_NEGO_READY;) {
            out.n = 0;
            got = nbd_negotiate(&n, &disk, in + at, have - at, &out);
            REQUIRE(got <= have - at && out.n <= sizeof(out.b));
            at += got;
        }
        if (have == len || n.state >= NBD_NEGO_READY)
            break;
    }
    *used = at;
    return n;
}

static void requests(const struct nbd_nego *n, const uint8_t *in, size_t len)
{
    struct nbd_request r;
    uint32_t payload;

    for (; len >= NBD_REQUEST_BYTES && nbd_request_read(in, &r);
         in += NBD_REQUEST_BYTES, len -= NBD_REQUEST_BYTES) {
        int error = nbd_request_check(&r, n, &disk, &payload);
        REQUIRE(error >= 0);
        if (error || r.cmd == NBD_FLUSH)
            continue;
        REQUIRE(r.offset <= disk.bytes && r.len <= disk.bytes - r.offset);
        REQUIRE(payload == (r.cmd == NBD_WRITE ? r.len : 0));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t whole = 0, pieces = 0;

    if (size < 1)
        return 0;
    struct nbd_nego a = talk(data + 1, size - 1, size, &whole);
    struct nbd_nego b = talk(data + 1, size - 1, 1 + data[0], &pieces);
    REQUIRE(a.state == b.state && a.structured == b.structured
            && a.allocation == b.allocation && whole == pieces);
    if (a.state == NBD_NEGO_READY)
        requests(&a, data + 1 + whole, size - 1 - whole);
    return 0;
}
