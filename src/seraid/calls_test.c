/* SPDX-License-Identifier: Apache-2.0 */
#include "seraid/calls.h"

#include <string.h>

#include "base/test.h"

static bool says(const char *line)
{
    AUTO(buf_done) struct buf out = BUF_INIT(0);

    calls_write(&out);
    return strstr(buf_str(&out), line) != NULL;
}

TEST(counted_by_kind_and_time)
{
    calls_count(schema_call("VM.get_all"), 100, false);
    calls_count(schema_call("VM.get_name_label"), 101, false);
    calls_count(schema_call("VM.set_name_label"), 2000000, true);
    calls_count(schema_call("VM.start"), 60000000, false);
    calls_count(schema_call("session.login_with_password"), 5, true);
    calls_count(schema_call("event.from"), 30000000, false);
    CHECK(says("_bucket{kind=\"read\",le=\"0.0001\"} 1\n"));
    CHECK(says("_bucket{kind=\"read\",le=\"0.00025\"} 2\n"));
    CHECK(says("_count{kind=\"read\"} 2\n"));
    CHECK(says("_sum{kind=\"read\"} 0.000201\n"));
    CHECK(says("_bucket{kind=\"write\",le=\"1.0\"} 0\n"));
    CHECK(says("_bucket{kind=\"write\",le=\"5.0\"} 1\n"));
    CHECK(says("_bucket{kind=\"operation\",le=\"30.0\"} 0\n"));
    CHECK(says("_bucket{kind=\"operation\",le=\"+Inf\"} 1\n"));
    CHECK(says("_sum{kind=\"operation\"} 60.000000\n"));
    CHECK(says("_bucket{kind=\"wait\",le=\"30.0\"} 1\n"));
    CHECK(says("serai_api_call_failures_total{kind=\"write\"} 1\n"));
    CHECK(says("serai_api_call_failures_total{kind=\"login\"} 1\n"));
    CHECK(says("serai_api_call_failures_total{kind=\"read\"} 0\n"));
}
