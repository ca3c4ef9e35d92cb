/* SPDX-License-Identifier: Apache-2.0 */
#include "model/explain.h"

#include <string.h>

#include "api/errors.h"
#include "base/mem.h"
#include "base/test.h"
#include "model/schema.h"

TEST(parameters_are_put_in)
{
    static const struct {
        const char *sentence, *want;
    } rows[] = {
        { "{0} is in use.", "<{1}> is in use." },
        { "{1}: {0}{0}", "second: <{1}><{1}>" },
        { "{7} and {", " and {" },
        { "{x} {} {10}", "{x} {} {10}" },
        { "", "" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO(err_done) struct err err = { 0 };
        AUTO(buf_done) struct buf out = BUF_INIT(0);

        (void)err_set(&err, ERR_VDI_IN_USE, "<{1}>", "second");
        explain_fill(&out, rows[i].sentence, &err);
        CHECK_STR(buf_str(&out), rows[i].want);
    }
}

TEST(details_are_taken_as_they_are)
{
    AUTO(err_done) struct err err = { 0 };
    AUTO(buf_done) struct buf out = BUF_INIT(0);

    (void)err_set(&err, ERR_HANDLE_INVALID, "VM", "OpaqueRef:gone{0}");
    (void)err_detail(&err, "a detail with {1} in it");
    explain_error(&out, &err);
    CHECK(strstr(buf_str(&out), "a detail with {1} in it"));
}

TEST(every_code_has_words)
{
    for (size_t i = 0; i < schema_n_errors; i++) {
        AUTO(err_done) struct err err = { 0 };
        AUTO(buf_done) struct buf out = BUF_INIT(0);

        (void)err_set(&err,
                      schema_errors[i].code); /* parameters missing: left out, not read */
        explain_error(&out, &err);
        CHECK(out.len > 0);
        CHECK(!strstr(buf_str(&out), "{0}"));
    }
}

TEST(unknown_code_keeps_its_detail)
{
    AUTO(err_done) struct err err = { 0 };
    AUTO(buf_done) struct buf out = BUF_INIT(0);

    (void)err_set(&err, "NO_SUCH_CODE_AT_ALL", "x");
    (void)err_detail(&err, "the detail");
    explain_error(&out, &err);
    CHECK_STR(buf_str(&out), "the detail");
}

static char *upper(const char *param, void *arg)
{
    return str_eq(param, "OpaqueRef:x") ? str_dup("UUID-X") : NULL;
}

TEST(commands_have_their_parameters)
{
    AUTO(err_done) struct err err = { 0 };
    AUTO(buf_done) struct buf out = BUF_INIT(0);

    (void)err_set(&err, ERR_VM_HALTED, "OpaqueRef:x");
    CHECK(explain_command(&out, &err, upper, NULL));
    CHECK_STR(buf_str(&out), "serai vm-start uuid=UUID-X");
}

TEST(no_command_is_offered_that_is_not_whole_or_does_more)
{
    static const char *const bad[] = { "", "a b", "x;reboot", "$(id)", "a\nb" };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        AUTO(err_done) struct err err = { 0 };
        AUTO(buf_done) struct buf out = BUF_INIT(0);
        const char *param = bad[i];

        (void)err_set(&err, ERR_VM_HALTED, param);
        CHECK(!explain_command(&out, &err, NULL, NULL));
        CHECK_INT(out.len, 0);
    }
    AUTO(err_done) struct err none = { 0 };
    AUTO(buf_done) struct buf out = BUF_INIT(0);
    (void)err_set(&none, ERR_VM_HALTED);
    CHECK(!explain_command(&out, &none, NULL, NULL));
}
