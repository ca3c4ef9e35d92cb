/* SPDX-License-Identifier: Apache-2.0 */
/* What rootd can be asked: one row per verb, and the check of a request against its row. A request is one block of
 * fields (base/fields.h), "verb" first, with descriptors; nothing of it reaches a verb's function before every
 * field is known, of its type, within its bounds and as often as allowed. Pure. */
#ifndef ROOTD_REQUEST_H
#define ROOTD_REQUEST_H

#include "base/buf.h"
#include "base/fields.h"

#define REQUEST_BYTES_MAX  (128 * 1024)
#define REQUEST_FIELDS_MAX 4096
#define REQUEST_FDS_MAX    64

struct config; /* rootd.h */
struct request;

/* Do it: 0 with the reply's fields in out (and *fd_out, given, -1: none), or -1 with a sentence in out. */
typedef int (*verb_fn)(const struct config *c, const struct request *r, struct buf *out,
                       int *fd_out);

enum field_type {
    FIELD_END, /* closes a row's list */
    FIELD_UUID,
    FIELD_U64,    /* min to max */
    FIELD_TEXT,   /* min to max bytes */
    FIELD_WORD,   /* one of the words of `words`, separated by spaces */
    FIELD_IFNAME, /* of a network device */
    FIELD_MAC,    /* of one device, not of a group */
    FIELD_IP,     /* an address of IPv4 or IPv6 */
    FIELD_FD, /* where its descriptor goes: a number from min to max, or one of `words`; one per descriptor */
};

struct field_rule {
    const char *name;
    enum field_type type;
    uint64_t min, max;
    const char *words;
    bool optional;
    unsigned times; /* at most so often; 0: once */
};

struct verb {
    const char *name;
    verb_fn fn;
    struct field_rule fields[12];
};

struct request {
    const struct verb *verb;
    struct field fields[REQUEST_FIELDS_MAX]; /* without "verb" */
    size_t n_fields;
    int fds[REQUEST_FDS_MAX];
    size_t n_fds;
};

/* Parse and check msg (split in place; out borrows it). out->fds and n_fds: set by the caller. *why_out: a static
 * sentence on failure. */
bool request_parse(const struct verb *table, size_t n_verbs, char *msg, size_t len,
                   struct request *out, const char **why_out) MUST_CHECK;
/* The field's value; NULL: an optional one that was left out. */
const char *request_text(const struct request *r, const char *name);
/* False: not "02:00:00:00:00:01". */
bool request_mac(const char *text, uint8_t out[static 6]) MUST_CHECK;
uint64_t request_u64(const struct request *r, const char *name, uint64_t otherwise);
#endif
