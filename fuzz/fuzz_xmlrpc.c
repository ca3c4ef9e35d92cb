/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "tree.h"
#include "wire/rpc.h"

static void add_text(struct buf *b, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (strchr("<>&\r", s[i]) && s[i])
            buf_addf(b, "&#%d;", s[i]);
        else
            buf_add_char(b, s[i]);
    }
}

static void add_value(struct buf *b, json_t *v)
{
    const char *key;
    json_t *item;
    size_t i;
    buf_add_str(b, "<value>");
    if (json_is_string(v)) {
        buf_add_str(b, "<string>");
        add_text(b, json_string_value(v), json_string_length(v));
        buf_add_str(b, "</string>");
    } else if (json_is_boolean(v)) {
        buf_addf(b, "<boolean>%d</boolean>", json_is_true(v));
    } else if (json_is_null(v)) {
        buf_add_str(b, "<nil/>");
    } else if (json_is_array(v)) {
        buf_add_str(b, "<array><data>");
        json_array_foreach(v, i, item) add_value(b, item);
        buf_add_str(b, "</data></array>");
    } else {
        REQUIRE(json_is_object(v));
        buf_add_str(b, "<struct>");
        json_object_foreach(v, key, item)
        {
            buf_add_str(b, "<member><name>");
            add_text(b, key, strlen(key));
            buf_add_str(b, "</name>");
            add_value(b, item);
            buf_add_str(b, "</member>");
        }
        buf_add_str(b, "</struct>");
    }
    buf_add_str(b, "</value>");
}

/* Written out and read again, a tree is the same. */
static void check_again(json_t *v)
{
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    add_value(&b, v);
    json_t *again = xmlrpc_parse_value(b.data, b.len, NULL);
    REQUIRE(again && json_equal(v, again));
    json_decref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *p = (const char *)data;
    AUTO(err_done) struct err e1 = { 0 }, e2 = { 0 }, e3 = { 0 };
    struct rpc_req r = { 0 };
    tree_start();
    int rc = xmlrpc_parse(p, size, &r, &e1);
    REQUIRE(rc == (e1.code ? -1 : 0));
    tree_peak = MAX(tree_peak, tree_now);
    json_t *value = xmlrpc_parse_value(p, size, &e2);
    json_t *response = xmlrpc_parse_response(p, size, &e3);
    REQUIRE((value == NULL) == (e2.code != NULL));
    REQUIRE((response == NULL) == (e3.code != NULL));
    REQUIRE((rc == 0) + (value != NULL) + (response != NULL) <= 1);
    size_t peak = tree_peak;
    json_t *params = rc == 0 ? r.params : NULL;
    if (rc == 0)
        REQUIRE(r.method && r.method[0] && !r.id && r.kind == RPC_XML);
    for (size_t i = 0; i < json_array_size(params); i++)
        check_again(json_array_get(params, i));
    if (value)
        check_again(value);
    if (response)
        check_again(response);
    rpc_req_done(&r);
    json_decref(value);
    json_decref(response);
    tree_peak = peak;
    tree_check(size);
    return 0;
}
