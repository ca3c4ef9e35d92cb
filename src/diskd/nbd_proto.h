/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of NBD (doc/proto.md of the NBD project): fixed newstyle negotiation as a state machine over a
 * buffer, requests, replies. Pure; no number from the peer is trusted. */
#ifndef DISKD_NBD_PROTO_H
#define DISKD_NBD_PROTO_H

#include "base/util.h"

#define NBD_GREETING_BYTES 18
#define NBD_REQUEST_BYTES  28
#define NBD_REPLY_MAX      64          /* header of any reply of ours, without data */
#define NBD_LEN_MAX        (32U << 20) /* of a read or write */
#define NBD_OPTION_MAX     4096
#define NBD_OUT_MAX        8192
#define NBD_EXTENTS_MAX    500

enum nbd_cmd {
    NBD_READ = 0,
    NBD_WRITE = 1,
    NBD_DISC = 2,
    NBD_FLUSH = 3,
    NBD_TRIM = 4,
    NBD_CACHE = 5,
    NBD_WRITE_ZEROES = 6,
    NBD_BLOCK_STATUS = 7,
};

enum nbd_cmd_flags {
    NBD_FUA = 1,
    NBD_NO_HOLE = 2,
    NBD_DF = 4,
    NBD_REQ_ONE = 8,
};

struct nbd_export {
    const char *name; /* besides "" */
    uint64_t bytes;
    bool writable;
};

enum nbd_nego_state { NBD_NEGO_FLAGS, NBD_NEGO_OPTIONS, NBD_NEGO_READY, NBD_NEGO_CLOSE };

struct nbd_nego {
    enum nbd_nego_state state;
    bool no_zeroes, structured, allocation; /* as agreed */
};

struct nbd_out {
    uint8_t b[NBD_OUT_MAX];
    size_t n;
};

void nbd_greet(struct nbd_out *out);
/* Consume what can be, answer into out (cleared by the caller; a state that has no room left waits for
 * the next call). Returns the bytes consumed; in state READY what follows is requests. */
size_t nbd_negotiate(struct nbd_nego *n, const struct nbd_export *e, const uint8_t *in,
                     size_t len, struct nbd_out *out);

struct nbd_request {
    uint16_t flags;
    uint16_t cmd;
    uint64_t cookie;
    uint64_t offset;
    uint32_t len;
};

bool nbd_request_read(const uint8_t b[static NBD_REQUEST_BYTES], struct nbd_request *out);
/* What is wrong with a request: 0 or an errno. payload: the bytes of data that follow it in any case. */
int nbd_request_check(const struct nbd_request *r, const struct nbd_nego *n,
                      const struct nbd_export *e, uint32_t *payload);

/* Each writes a header to b and returns its length. */
size_t nbd_reply_simple(uint8_t b[static NBD_REPLY_MAX], uint64_t cookie, int error);
size_t nbd_reply_error(uint8_t b[static NBD_REPLY_MAX], uint64_t cookie, int error);
size_t nbd_reply_data(uint8_t b[static NBD_REPLY_MAX], uint64_t cookie, uint64_t offset,
                      uint32_t len);
size_t nbd_reply_status(uint8_t b[static NBD_REPLY_MAX], uint64_t cookie, size_t n);
void nbd_extent(uint8_t b[static 8], uint32_t len, bool hole);
#endif
