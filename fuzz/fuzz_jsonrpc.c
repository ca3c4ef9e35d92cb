/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "tree.h"
#include "wire/rpc.h"

static void add_json(struct buf *b, const char *name, const json_t *j)
{
    char *text = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
    REQUIRE(text != NULL);
    buf_addf(b, ",\"%s\":%s", name, text);
    tree_free(text);
}

/* Written out and read again, a request is the same. */
static void check_again(const struct rpc_req *r, size_t size)
{
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    json_t *method = json_string(r->method);
    buf_addf(&b, "{\"jsonrpc\":\"%s\"", r->kind == RPC_JSON2 ? "2.0" : "1.0");
    add_json(&b, "method", method);
    add_json(&b, "params", r->params);
    if (r->id)
        add_json(&b, "id", r->id);
    buf_add_char(&b, '}');
    /* As many elements are allowed as the text is long: as much white space as it may have had, and the version's. */
    while (b.len < size + 256)
        buf_add_char(&b, ' ');
    struct rpc_req again = { 0 };
    REQUIRE(jsonrpc_parse(b.data, b.len, &again, NULL) == 0);
    REQUIRE(again.kind == r->kind && str_eq(again.method, r->method));
    REQUIRE(json_equal(again.params, r->params));
    REQUIRE((again.id == NULL) == (r->id == NULL));
    REQUIRE(!r->id || json_equal(again.id, r->id));
    json_decref(method);
    rpc_req_done(&again);
}

/* An answer that echoes the id is JSON. */
static void check_answer(const struct rpc_req *r)
{
    AUTO(buf_done) struct buf b = BUF_INIT(0);
    const char *const params[] = { r->method };
    rpc_answer_error(&b, r->kind, r->id, "MESSAGE_METHOD_UNKNOWN", params, 1, NULL);
    json_t *j = json_loads(buf_str(&b), 0, NULL);
    REQUIRE(j && json_object_get(j, "id") && json_object_get(j, "error"));
    json_decref(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(err_done) struct err err = { 0 }, err2 = { 0 };
    struct rpc_req r = { 0 };
    tree_start();
    int rc = jsonrpc_parse((const char *)data, size, &r, &err);
    size_t peak = tree_peak;
    REQUIRE(rc == (err.code ? -1 : 0));
    if (rc == 0) {
        REQUIRE(r.method[0] && json_is_array(r.params) && r.kind != RPC_XML);
        check_again(&r, size);
        check_answer(&r);
    }
    rpc_req_done(&r);
    json_t *response = jsonrpc_parse_response((const char *)data, size, &err2);
    REQUIRE((response == NULL) == (err2.code != NULL));
    json_decref(response);
    tree_peak = peak;
    tree_check(size);
    return 0;
}
