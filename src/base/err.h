/* SPDX-License-Identifier: Apache-2.0 */
/* One error: a XenAPI code with its parameters (what clients switch on) and a detail (a sentence
 * for people and the log). The place that knows the cause fills it; callers add context or pass it
 * on; nobody overwrites a code. Codes are the ERR_ names of the generated api/errors.h. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/util.h"

#define ERR_PARAMS_MAX 8

struct err {
    const char *code; /* static string; NULL: no error */
    char *params[ERR_PARAMS_MAX];
    size_t n_params;
    char *detail; /* may be NULL */
};

void err_done(struct err *err);                  /* frees and empties; fit for AUTO */
void err_move(struct err *dst, struct err *src); /* dst must be empty */
int err_set_(struct err *err, const char *code, const char *const *params, size_t n);

/* Set code and parameters (strings, copied); always returns -1. err may be NULL. errno is kept.
 * The first code stays: an error while cleaning up after another one is not the cause.
 *     return err_set(err, ERR_VDI_IN_USE, vdi_ref, "destroy"); */
#define err_set(err, code, ...)                                               \
    err_set_((err), (code), (const char *const[]){ NULL, ##__VA_ARGS__ } + 1, \
             ARRAY_SIZE(((const char *const[]){ NULL, ##__VA_ARGS__ })) - 1)

/* Set or prepend the detail: "context: earlier detail". Always returns -1. Use %m right after the call. */
int err_detail(struct err *err, const char *fmt, ...) PRINTF(2, 3);

/* The error as one line for logs: CODE(p1, p2): detail. Given. */
char *err_text(const struct err *err) MUST_CHECK;
#endif
