/* SPDX-License-Identifier: Apache-2.0 */
/* WebSocket (RFC 6455), the server side of a binary byte stream: frames <-> bytes. */
#ifndef WIRE_WS_H
#define WIRE_WS_H

#include "wire/http.h"

bool ws_is_upgrade(const struct http_req *r);
/* Answer 101 (choosing the sub-protocol "binary" when offered). -1: refused with a 400 already sent, or broken. */
int ws_accept(struct conn *c, const struct http_req *r, const struct deadline *d)
    MUST_CHECK;
/* Proxy binary (and text) frames to and from the socket fd until either side ends; answers ping and close. Frames
 * of any size are streamed in 64 KiB pieces. Returns 0, or -1 when cancelled. */
int ws_proxy(struct conn *c, int fd, const struct deadline *d) MUST_CHECK;

/* Pure parts, for tests and fuzzing. */
struct ws_frame {
    bool fin;
    uint8_t opcode;
    bool masked;
    uint8_t mask[4];
    uint64_t length;
};

ssize_t ws_parse_frame(const uint8_t *p, size_t len,
                       struct ws_frame *out); /* header size, 0: more, -1: bad */
size_t ws_make_frame(uint8_t out[static 10], uint8_t opcode, uint64_t length);
void ws_accept_key(const char *key, char out[static 29]);

/* What a client sends, decoded piece by piece; all zero at the start. */
struct ws_stream {
    uint8_t header[14]; /* of the frame being read, while incomplete */
    size_t header_len;
    struct ws_frame frame;
    bool in_payload;
    uint64_t left; /* of the payload */
    uint8_t control[125];
    size_t control_len;
    bool in_message; /* the next data frame must continue one */
    bool closed;     /* our close frame is queued */
};

/* Take len bytes from the client (changed in place): payload goes to out, what must be answered to reply. false: the
 * stream is over, reply holds the close frame. */
bool ws_feed(struct ws_stream *w, char *p, size_t len, struct buf *out, struct buf *reply);
#endif
