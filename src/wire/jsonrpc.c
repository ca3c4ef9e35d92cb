/* SPDX-License-Identifier: Apache-2.0 */
/* JSON-RPC 1.0 and 2.0 requests by jansson. Before jansson builds anything, one pass over the bytes bounds what it
 * would build: its own depth limit is compiled in and too deep, and "[],[],[]" becomes fifty times its size in memory.
 * Pure; any thread. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "wire/rpc.h"

#define METHOD_MAX    256
#define TREE_PER_BYTE 16
#define TREE_SLACK    (256 * 1024)

/* What jansson 2.14 allocates on a 64-bit machine, rounded up. */
enum { COST_OBJECT = 320, COST_ARRAY = 160, COST_VALUE = 112 };

static int refuse(struct err *err, const char *sentence)
{
    return err_set(err, RPC_MALFORMED, sentence);
}

/* Nesting and size of the tree to come. Text that is not JSON passes here and fails in the parser. */
static int check_bounds(const char *p, size_t len, bool bounded, struct err *err)
{
    size_t depth = 0, cost = 0;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        char c = p[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
            continue;
        }
        if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            cost += c == '{' ? COST_OBJECT : COST_ARRAY;
            if (++depth > RPC_DEPTH_MAX)
                return refuse(err, "the JSON is nested too deeply");
        } else if (c == '}' || c == ']') {
            depth -= depth > 0;
        } else if (c == ',' || c == ':') {
            cost += COST_VALUE;
        }
    }
    if (bounded && cost > len * TREE_PER_BYTE + TREE_SLACK)
        return refuse(err, "the JSON has too many elements for its size");
    return 0;
}

static json_t *load(const char *p, size_t len, bool bounded, struct err *err)
{
    json_error_t e;
    if (memchr(p, '\0', len)) {
        refuse(err, "a NUL in the JSON");
        return NULL;
    }
    if (check_bounds(p, len, bounded, err) < 0)
        return NULL;
    json_t *root = json_loadb(p, len, 0, &e);
    if (!root) {
        refuse(err, "the text is not JSON");
        err_detail(err, "JSON line %d: %s", e.line, e.text);
    }
    return root;
}

static int read_version(const json_t *root, struct rpc_req *out, struct err *err)
{
    const json_t *version = json_object_get(root, "jsonrpc");
    out->kind = RPC_JSON1;
    if (!version)
        return 0;
    if (!json_is_string(version))
        return refuse(err, "jsonrpc is not a string");
    if (str_eq(json_string_value(version), "2.0"))
        out->kind = RPC_JSON2;
    else if (!str_eq(json_string_value(version), "1.0"))
        return refuse(err, "jsonrpc is neither 1.0 nor 2.0");
    return 0;
}

static int read_request(const json_t *root, struct rpc_req *out, struct err *err)
{
    if (json_is_array(root))
        return refuse(err, "batches of requests are not supported");
    if (!json_is_object(root))
        return refuse(err, "a request is an object");
    if (read_version(root, out, err) < 0)
        return -1;
    const json_t *method = json_object_get(root, "method");
    if (!json_is_string(method) || json_string_length(method) == 0
        || json_string_length(method) > METHOD_MAX)
        return refuse(err, "method is not a string of at most 256 bytes");
    json_t *id = json_object_get(root, "id");
    if (id && !json_is_string(id) && !json_is_number(id) && !json_is_null(id))
        return refuse(err, "id is neither a string nor a number nor null");
    json_t *params = json_object_get(root, "params");
    if (json_is_object(params))
        return refuse(err, "parameters by name are not supported");
    if (params && !json_is_null(params) && !json_is_array(params))
        return refuse(err, "params is not an array");
    out->method = str_dup(json_string_value(method));
    out->params = json_is_array(params) ? json_incref(params) : json_array();
    out->id = json_incref(id);
    return 0;
}

int jsonrpc_parse(const char *p, size_t len, struct rpc_req *out, struct err *err)
{
    json_t *root = load(p, len, true, err);
    if (!root)
        return -1;
    struct rpc_req req = { 0 };
    int rc = read_request(root, &req, err);
    json_decref(root);
    if (rc == 0)
        *out = req;
    return rc;
}

/* error: {code, message: CODE, data: [params]} as the error it is. */
static void take_error(const json_t *error, struct err *err)
{
    const char *params[ERR_PARAMS_MAX];
    size_t n = 0;
    const json_t *message = json_object_get(error, "message");
    const json_t *data = json_object_get(error, "data");
    for (; n < json_array_size(data) && n < ERR_PARAMS_MAX; n++)
        params[n] = json_is_string(json_array_get(data, n))
                        ? json_string_value(json_array_get(data, n))
                        : "";
    const char *code = rpc_code(json_string_value(message));
    err_set_(err, code ? code : RPC_MALFORMED, params, n);
}

json_t *jsonrpc_parse_response(const char *p, size_t len, struct err *err)
{
    json_t *root = load(p, len, false, err);
    if (!root)
        return NULL;
    json_t *result = NULL;
    const json_t *error = json_object_get(root, "error");
    if (json_is_object(error))
        take_error(error, err);
    else if ((result = json_incref(json_object_get(root, "result"))) == NULL)
        refuse(err, "the answer has neither result nor error");
    json_decref(root);
    return result;
}
