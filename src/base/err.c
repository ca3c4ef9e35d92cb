/* SPDX-License-Identifier: Apache-2.0 */
/* Errors as data. Everything here keeps errno, so that "%m" still names the failed call after
 * err_set(). Not locked. */
#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>

#include "base/buf.h"
#include "base/mem.h"

void err_done(struct err *err)
{
    if (!err)
        return;
    int saved = errno;
    for (size_t i = 0; i < err->n_params; i++)
        free(err->params[i]);
    free(err->detail);
    *err = (struct err){ 0 };
    errno = saved;
}

void err_move(struct err *dst, struct err *src)
{
    assert(dst == NULL || (dst->code == NULL && dst->detail == NULL));
    if (dst) {
        *dst = *src;
        *src = (struct err){ 0 };
    } else {
        err_done(src);
    }
}

int err_set_(struct err *err, const char *code, const char *const *params, size_t n)
{
    if (!err || err->code)
        return -1;
    int saved = errno;
    assert(n <= ERR_PARAMS_MAX);
    err->code = code;
    for (size_t i = 0; i < n && i < ERR_PARAMS_MAX; i++)
        err->params[err->n_params++] = str_dup(params[i] ? params[i] : "");
    errno = saved;
    return -1;
}

int err_detail(struct err *err, const char *fmt, ...)
{
    if (!err)
        return -1;
    int saved = errno;
    va_list ap;
    va_start(ap, fmt);
    AUTO(free_str) char *text = str_vfmt(fmt, ap);
    va_end(ap);
    char *old = err->detail;
    err->detail = old ? str_fmt("%s: %s", text, old) : TAKE(text);
    free(old);
    errno = saved;
    return -1;
}

char *err_text(const struct err *err)
{
    struct buf b = BUF_INIT(0);
    buf_add_str(&b, err->code ? err->code : "no error");
    for (size_t i = 0; i < err->n_params; i++)
        buf_addf(&b, "%s%s", i == 0 ? "(" : ", ", err->params[i]);
    if (err->n_params)
        buf_add_char(&b, ')');
    if (err->detail)
        buf_addf(&b, ": %s", err->detail);
    return buf_take(&b);
}
