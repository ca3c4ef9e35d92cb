/* SPDX-License-Identifier: Apache-2.0 */
/* Options are answered one by one; each needs at most one answer of ANSWER_MAX bytes, and is not touched
 * before it is there as a whole and there is that much room. Pure. */
#include "diskd/nbd_proto.h"

#include <endian.h>
#include <errno.h>

#define MAGIC_INIT    UINT64_C(0x4e42444d41474943) /* "NBDMAGIC" */
#define MAGIC_OPTION  UINT64_C(0x49484156454f5054) /* "IHAVEOPT" */
#define MAGIC_ANSWER  UINT64_C(0x0003e889045565a9)
#define MAGIC_REQUEST UINT32_C(0x25609513)
#define MAGIC_SIMPLE  UINT32_C(0x67446698)
#define MAGIC_CHUNK   UINT32_C(0x668e33ef)

#define FLAG_FIXED     1
#define FLAG_NO_ZEROES 2

enum {
    EXPORT_NAME = 1,
    ABORT = 2,
    LIST = 3,
    INFO = 6,
    GO = 7,
    STRUCTURED = 8,
    LIST_META = 9,
    SET_META = 10
};

enum { REP_ACK = 1, REP_SERVER = 2, REP_INFO = 3, REP_META = 4 };

#define REP_ERR         UINT32_C(0x80000000)
#define REP_ERR_UNSUP   (REP_ERR | 1)
#define REP_ERR_INVALID (REP_ERR | 3)
#define REP_ERR_UNKNOWN (REP_ERR | 6)
#define REP_ERR_TOO_BIG (REP_ERR | 9)

enum { INFO_EXPORT = 0, INFO_BLOCK_SIZE = 3 };

/* Transmission flags. */
enum {
    HAS_FLAGS = 1,
    READ_ONLY = 2,
    SEND_FLUSH = 4,
    SEND_FUA = 8,
    SEND_TRIM = 32,
    SEND_WRITE_ZEROES = 64,
    SEND_DF = 128,
    CAN_MULTI_CONN = 256
};

#define ANSWER_MAX   512 /* all answers to one option */
#define CONTEXT      "base:allocation"
#define CONTEXT_ID   1
#define BLOCK_PREFER 4096
#define NAME_MAX_LEN 255

static uint16_t get16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return be16toh(v);
}

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return be32toh(v);
}

static uint64_t get64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return be64toh(v);
}

static uint8_t *put16(uint8_t *p, uint16_t v)
{
    v = htobe16(v);
    memcpy(p, &v, sizeof(v));
    return p + sizeof(v);
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
    v = htobe32(v);
    memcpy(p, &v, sizeof(v));
    return p + sizeof(v);
}

static uint8_t *put64(uint8_t *p, uint64_t v)
{
    v = htobe64(v);
    memcpy(p, &v, sizeof(v));
    return p + sizeof(v);
}

void nbd_greet(struct nbd_out *out)
{
    uint8_t *p = put64(out->b + out->n, MAGIC_INIT);

    p = put64(p, MAGIC_OPTION);
    (void)put16(p, FLAG_FIXED | FLAG_NO_ZEROES);
    out->n += NBD_GREETING_BYTES;
}

static void answer(struct nbd_out *out, uint32_t option, uint32_t type, const void *data,
                   size_t len)
{
    uint8_t *p = put64(out->b + out->n, MAGIC_ANSWER);

    p = put32(p, option);
    p = put32(p, type);
    p = put32(p, (uint32_t)len);
    if (len)
        memcpy(p, data, len);
    out->n += 20 + len;
}

static uint16_t transmission_flags(const struct nbd_nego *n, const struct nbd_export *e)
{
    unsigned f = HAS_FLAGS | SEND_FLUSH | SEND_FUA | CAN_MULTI_CONN;

    f |= e->writable ? SEND_TRIM | SEND_WRITE_ZEROES : READ_ONLY;
    f |= n->structured ? SEND_DF : 0;
    return (uint16_t)f;
}

static bool our_name(const struct nbd_export *e, const uint8_t *name, size_t len)
{
    return len == 0 || (len == strlen(e->name) && memcmp(name, e->name, len) == 0);
}

static void export_name(struct nbd_nego *n, const struct nbd_export *e, const uint8_t *d,
                        size_t len, struct nbd_out *out)
{
    if (!our_name(e, d, len)) {
        n->state = NBD_NEGO_CLOSE; /* there is no other way to say no */
        return;
    }
    uint8_t *p = put64(out->b + out->n, e->bytes);
    p = put16(p, transmission_flags(n, e));
    out->n += 10;
    if (!n->no_zeroes) {
        memset(p, 0, 124);
        out->n += 124;
    }
    n->state = NBD_NEGO_READY;
}

static void list(const struct nbd_export *e, size_t len, struct nbd_out *out)
{
    uint8_t b[4 + NAME_MAX_LEN];
    size_t n = strnlen(e->name, NAME_MAX_LEN);

    if (len) {
        answer(out, LIST, REP_ERR_INVALID, NULL, 0);
        return;
    }
    memcpy(put32(b, (uint32_t)n), e->name, n);
    answer(out, LIST, REP_SERVER, b, 4 + n);
    answer(out, LIST, REP_ACK, NULL, 0);
}

/* Name, then a list of what the client would like to know: it is told all, asked or not. */
static void info_or_go(struct nbd_nego *n, const struct nbd_export *e, uint32_t option,
                       const uint8_t *d, size_t len, struct nbd_out *out)
{
    uint8_t b[16];
    size_t name = len >= 6 ? get32(d) : SIZE_MAX;

    if (len < 6 || name > len - 6 || len != 6 + name + 2 * (size_t)get16(d + 4 + name)) {
        answer(out, option, REP_ERR_INVALID, NULL, 0);
        return;
    }
    if (!our_name(e, d + 4, name)) {
        answer(out, option, REP_ERR_UNKNOWN, NULL, 0);
        return;
    }
    uint8_t *p = put64(put16(b, INFO_EXPORT), e->bytes);
    (void)put16(p, transmission_flags(n, e));
    answer(out, option, REP_INFO, b, 12);
    p = put32(put32(put16(b, INFO_BLOCK_SIZE), 512), BLOCK_PREFER);
    (void)put32(p, NBD_LEN_MAX);
    answer(out, option, REP_INFO, b, 14);
    answer(out, option, REP_ACK, NULL, 0);
    if (option == GO)
        n->state = NBD_NEGO_READY;
}

/* Does a query select our context? "base:" selects all of its kind when listing. */
static bool selects(const uint8_t *q, size_t len, bool listing)
{
    return (len == strlen(CONTEXT) && memcmp(q, CONTEXT, len) == 0)
           || (listing && len == 5 && memcmp(q, "base:", 5) == 0);
}

/* Name, then queries. -1: malformed. Otherwise whether our context is selected. */
static int meta_queries(const struct nbd_export *e, const uint8_t *d, size_t len,
                        bool listing, bool *known)
{
    bool found = false;

    if (len < 8)
        return -1;
    size_t name = get32(d), at = 4;
    if (name > len - 8)
        return -1;
    *known = our_name(e, d + at, name);
    at += name;
    uint32_t n = get32(d + at);
    at += 4;
    found = listing && n == 0;
    for (; n; n--) {
        if (len - at < 4 || get32(d + at) > len - at - 4)
            return -1;
        found = selects(d + at + 4, get32(d + at), listing) || found;
        at += 4 + (size_t)get32(d + at);
    }
    return at == len ? found : -1;
}

static void meta(struct nbd_nego *n, const struct nbd_export *e, uint32_t option,
                 const uint8_t *d, size_t len, struct nbd_out *out)
{
    uint8_t b[4 + sizeof(CONTEXT)];
    bool known = false, set = option == SET_META;
    int found = meta_queries(e, d, len, !set, &known);

    if (set)
        n->allocation = false;
    if (found < 0 || (set && !n->structured)) {
        answer(out, option, REP_ERR_INVALID, NULL, 0);
        return;
    }
    if (!known) {
        answer(out, option, REP_ERR_UNKNOWN, NULL, 0);
        return;
    }
    if (found) {
        memcpy(put32(b, set ? CONTEXT_ID : 0), CONTEXT, sizeof(CONTEXT) - 1);
        answer(out, option, REP_META, b, 4 + sizeof(CONTEXT) - 1);
    }
    answer(out, option, REP_ACK, NULL, 0);
    if (set)
        n->allocation = found;
}

static void option(struct nbd_nego *n, const struct nbd_export *e, uint32_t opt,
                   const uint8_t *d, size_t len, struct nbd_out *out)
{
    switch (opt) {
    case EXPORT_NAME: export_name(n, e, d, len, out); break;
    case ABORT:
        answer(out, opt, REP_ACK, NULL, 0);
        n->state = NBD_NEGO_CLOSE;
        break;
    case LIST: list(e, len, out); break;
    case INFO:
    case GO: info_or_go(n, e, opt, d, len, out); break;
    case STRUCTURED:
        if (len == 0)
            n->structured = true;
        answer(out, opt, len ? REP_ERR_INVALID : REP_ACK, NULL, 0);
        break;
    case LIST_META:
    case SET_META: meta(n, e, opt, d, len, out); break;
    default: answer(out, opt, REP_ERR_UNSUP, NULL, 0); break;
    }
}

static size_t client_flags(struct nbd_nego *n, const uint8_t *in, size_t len)
{
    if (len < 4)
        return 0;
    uint32_t f = get32(in);
    bool good = (f & FLAG_FIXED) && !(f & ~(uint32_t)(FLAG_FIXED | FLAG_NO_ZEROES));
    n->no_zeroes = f & FLAG_NO_ZEROES;
    n->state = good ? NBD_NEGO_OPTIONS : NBD_NEGO_CLOSE;
    return 4;
}

size_t nbd_negotiate(struct nbd_nego *n, const struct nbd_export *e, const uint8_t *in,
                     size_t len, struct nbd_out *out)
{
    size_t at = 0;

    if (n->state == NBD_NEGO_FLAGS)
        at = client_flags(n, in, len);
    while (n->state == NBD_NEGO_OPTIONS && len - at >= 16
           && out->n + ANSWER_MAX <= sizeof(out->b)) {
        uint32_t opt = get32(in + at + 8), size = get32(in + at + 12);
        if (get64(in + at) != MAGIC_OPTION || size > NBD_OPTION_MAX) {
            n->state = NBD_NEGO_CLOSE;
            break;
        }
        if (len - at - 16 < size)
            break;
        option(n, e, opt, in + at + 16, size, out);
        at += 16 + size;
    }
    return at;
}

bool nbd_request_read(const uint8_t b[static NBD_REQUEST_BYTES], struct nbd_request *out)
{
    if (get32(b) != MAGIC_REQUEST)
        return false;
    *out = (struct nbd_request){ .flags = get16(b + 4),
                                 .cmd = get16(b + 6),
                                 .cookie = get64(b + 8),
                                 .offset = get64(b + 16),
                                 .len = get32(b + 24) };
    return true;
}

static unsigned allowed_flags(const struct nbd_request *r, const struct nbd_nego *n)
{
    switch (r->cmd) {
    case NBD_READ: return NBD_FUA | (n->structured ? NBD_DF : 0);
    case NBD_WRITE_ZEROES: return NBD_FUA | NBD_NO_HOLE;
    case NBD_BLOCK_STATUS: return NBD_FUA | NBD_REQ_ONE;
    default: return NBD_FUA;
    }
}

static bool in_export(const struct nbd_request *r, const struct nbd_export *e)
{
    return (r->offset | r->len) % 512 == 0 && r->len <= e->bytes
           && r->offset <= e->bytes - r->len;
}

int nbd_request_check(const struct nbd_request *r, const struct nbd_nego *n,
                      const struct nbd_export *e, uint32_t *payload)
{
    bool writes = r->cmd == NBD_WRITE || r->cmd == NBD_TRIM || r->cmd == NBD_WRITE_ZEROES;

    *payload = r->cmd == NBD_WRITE ? r->len : 0;
    if (r->cmd > NBD_BLOCK_STATUS || r->cmd == NBD_DISC || r->cmd == NBD_CACHE)
        return EINVAL;
    if (r->flags & ~allowed_flags(r, n))
        return EINVAL;
    if (r->cmd == NBD_FLUSH)
        return 0;
    if (writes && !e->writable)
        return EPERM;
    if (r->cmd == NBD_BLOCK_STATUS && (!n->allocation || r->len == 0))
        return EINVAL;
    if ((r->cmd == NBD_READ || r->cmd == NBD_WRITE) && r->len > NBD_LEN_MAX)
        return EOVERFLOW;
    if (!in_export(r, e))
        return writes && (r->offset | r->len) % 512 == 0 ? ENOSPC : EINVAL;
    return 0;
}

/* The protocol has its own numbers, which are Linux's; it knows but these. */
static uint32_t wire_error(int error)
{
    switch (error) {
    case 0:
    case EPERM:
    case EIO:
    case ENOMEM:
    case EINVAL:
    case ENOSPC:
    case EOVERFLOW:
    case ESHUTDOWN: return (uint32_t)error;
    case EROFS: return EPERM;
    case EDQUOT: return ENOSPC;
    default: return EIO;
    }
}

size_t nbd_reply_simple(uint8_t b[static NBD_REPLY_MAX], uint64_t cookie, int error)
{
    return (size_t)(put64(put32(put32(b, MAGIC_SIMPLE), wire_error(error)), cookie) - b);
}

static uint8_t *chunk(uint8_t *b, uint16_t type, uint64_t cookie, uint32_t len)
{
    uint8_t *p = put16(put32(b, MAGIC_CHUNK), 1); /* the last and only one */

    return put32(put64(put16(p, type), cookie), len);
}

size_t nbd_reply_error(uint8_t b[static NBD_REPLY_MAX], uint64_t cookie, int error)
{
    uint8_t *p = chunk(b, 0x8001, cookie, 6);

    return (size_t)(put16(put32(p, wire_error(error)), 0) - b);
}

size_t nbd_reply_data(uint8_t b[static NBD_REPLY_MAX], uint64_t cookie, uint64_t offset,
                      uint32_t len)
{
    if (len == 0) /* a chunk of data may not be empty */
        return (size_t)(chunk(b, 0, cookie, 0) - b);
    return (size_t)(put64(chunk(b, 1, cookie, 8 + len), offset) - b);
}

size_t nbd_reply_status(uint8_t b[static NBD_REPLY_MAX], uint64_t cookie, size_t n)
{
    return (size_t)(put32(chunk(b, 5, cookie, (uint32_t)(4 + 8 * n)), CONTEXT_ID) - b);
}

void nbd_extent(uint8_t b[static 8], uint32_t len, bool hole)
{
    (void)put32(put32(b, len), hole ? 3 : 0);
}
