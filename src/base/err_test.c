/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>

#include "base/mem.h"
#include "base/test.h"

static void check_text(const struct err *err, const char *want)
{
    AUTO(free_str) char *text = err_text(err);
    CHECK_STR(text, want);
}

TEST(code_parameters_detail)
{
    AUTO(err_done) struct err err = { 0 };
    char ref[] = "OpaqueRef:1";
    CHECK_INT(err_set(&err, "VDI_IN_USE", ref, "destroy"), -1);
    ref[0] = 'X'; /* they are copies */
    CHECK_INT(err.n_params, 2);
    check_text(&err, "VDI_IN_USE(OpaqueRef:1, destroy)");
    CHECK_INT(err_detail(&err, "inner %d", 1), -1);
    CHECK_INT(err_detail(&err, "outer"), -1);
    check_text(&err, "VDI_IN_USE(OpaqueRef:1, destroy): outer: inner 1");
    err_done(&err);
    check_text(&err, "no error");
    err_set(&err, "NO_PARAMS");
    check_text(&err, "NO_PARAMS");
}

TEST(first_code_stays)
{
    AUTO(err_done) struct err err = { 0 };
    err_set(&err, "FIRST", "a");
    err_set(&err, "SECOND", "b", "c");
    check_text(&err, "FIRST(a)");
}

TEST(null_is_fine)
{
    CHECK_INT(err_set(NULL, "X", "a"), -1);
    CHECK_INT(err_detail(NULL, "x"), -1);
    err_done(NULL);
    AUTO(err_done) struct err err = { 0 };
    const char *none = NULL;
    err_set(&err, "X", none);
    check_text(&err, "X()");
}

TEST(errno_survives_for_percent_m)
{
    AUTO(err_done) struct err err = { 0 };
    errno = ENOSPC;
    err_set(&err, "SR_FULL", "a", "b", "c");
    CHECK_INT(errno, ENOSPC);
    err_detail(&err, "write: %m");
    check_text(&err, "SR_FULL(a, b, c): write: No space left on device");
    err_detail(&err, "disk");
    err_done(&err);
    CHECK_INT(errno, ENOSPC);
}

TEST(moves)
{
    struct err from = { 0 };
    AUTO(err_done) struct err to = { 0 };
    err_set(&from, "X", "y");
    err_move(&to, &from);
    CHECK(from.code == NULL && from.n_params == 0);
    check_text(&to, "X(y)");
    err_set(&from, "LOST", "z");
    err_move(NULL, &from); /* frees it */
    CHECK(from.code == NULL);
}
