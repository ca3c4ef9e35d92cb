/* SPDX-License-Identifier: Apache-2.0 */
#include "seraid/undo_value.h"

#include "base/mem.h"
#include "base/test.h"

TEST(only_what_the_change_touched_goes_back)
{
    static const struct {
        enum ty_kind kind;
        const char *old, *new_, *now, *want; /* want NULL: has changed since */
    } rows[] = {
        { TY_STRING, "\"a\"", "\"b\"", "\"b\"", "\"a\"" },
        { TY_STRING, "\"a\"", "\"b\"", "\"c\"", NULL },
        { TY_INT, "1", "2", "2", "1" },
        { TY_MAP, "{}", "{\"k\":\"v\"}", "{\"k\":\"v\",\"x\":\"y\"}", "{\"x\":\"y\"}" },
        { TY_MAP, "{\"k\":\"v\"}", "{}", "{\"x\":\"y\"}", "{\"x\":\"y\",\"k\":\"v\"}" },
        { TY_MAP, "{\"k\":\"1\"}", "{\"k\":\"2\"}", "{\"k\":\"2\"}", "{\"k\":\"1\"}" },
        { TY_MAP, "{\"k\":\"1\"}", "{\"k\":\"2\"}", "{\"k\":\"3\"}", NULL },
        { TY_MAP, "{\"k\":\"1\"}", "{}", "{\"k\":\"3\"}", NULL },
        { TY_MAP, "{}", "{\"k\":\"2\"}", "{}", NULL },
        { TY_SET, "[\"a\"]", "[\"a\",\"b\"]", "[\"a\",\"b\",\"c\"]", "[\"a\",\"c\"]" },
        { TY_SET, "[\"a\",\"b\"]", "[\"a\"]", "[\"a\",\"c\"]", "[\"a\",\"c\",\"b\"]" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct ty ty = { .kind = rows[i].kind };
        json_t *old = json_loads(rows[i].old, JSON_DECODE_ANY, NULL);
        json_t *new_ = json_loads(rows[i].new_, JSON_DECODE_ANY, NULL);
        json_t *now = json_loads(rows[i].now, JSON_DECODE_ANY, NULL);
        json_t *got = undo_value(&ty, old, new_, now);
        char *text = got ? json_dumps(got, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

        if (!str_eq(text, rows[i].want))
            test_fail(__FILE__, __LINE__, "row %zu: %s", i, text ? text : "refused");
        free(text);
        json_decref(old);
        json_decref(new_);
        json_decref(now);
        json_decref(got);
    }
}
