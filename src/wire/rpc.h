/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of both RPC encodings as one tree, and the envelopes of their answers. Parsing is bounded: depth 64,
 * no DTD or entity beyond XML's five, no NUL. Pure; the fuzz targets xmlrpc and jsonrpc.
 *
 * The tree: XML-RPC ints, doubles and dates come as strings of their text (the binder knows the type),
 * booleans as JSON booleans, base64 as its text, nil as null, untyped values as strings. */
#ifndef WIRE_RPC_H
#define WIRE_RPC_H

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"

#define RPC_DEPTH_MAX 64
#define RPC_MALFORMED \
    "RPC_MALFORMED" /* code of all errors of parsing; the one parameter is the sentence */

enum rpc_kind { RPC_XML, RPC_JSON1, RPC_JSON2 };

struct rpc_req {
    enum rpc_kind kind;
    char *method;
    json_t *params; /* array */
    json_t *id;     /* JSON: what to echo; NULL: absent */
};

void rpc_req_done(struct rpc_req *r);
/* -1: malformed, a sentence in err (the HTTP answer is 500). */
int xmlrpc_parse(const char *p, size_t len, struct rpc_req *out, struct err *err)
    MUST_CHECK;
/* One request object. jsonrpc "2.0" makes it RPC_JSON2. */
int jsonrpc_parse(const char *p, size_t len, struct rpc_req *out, struct err *err)
    MUST_CHECK;
/* A single XML-RPC <value>...</value> as a tree (task results, clients, tests). */
json_t *xmlrpc_parse_value(const char *p, size_t len, struct err *err);
/* A whole methodResponse: the value. A fault is an error. */
json_t *xmlrpc_parse_response(const char *p, size_t len, struct err *err);
/* A whole JSON-RPC 2 answer: the result, given. An error answer gives its code and parameters in err. */
json_t *jsonrpc_parse_response(const char *p, size_t len, struct err *err);
/* A code from outside as the static string that struct err holds; NULL: not A-Z, 0-9 and _ only, or longer than 80. */
const char *rpc_code(const char *text);

/* Answers: begin, write the value with model/enc.h, end. In XML the value is a whole <value>...</value>. */
void rpc_answer_begin(struct buf *out, enum rpc_kind kind,
                      bool bare /* XML without Status struct */);
void rpc_answer_end(struct buf *out, enum rpc_kind kind, bool bare, const json_t *id);
/* extra: JSON-RPC 2 only: members put into error beside code, message, data ("\"explain\":...") or NULL. */
void rpc_answer_error(struct buf *out, enum rpc_kind kind, const json_t *id,
                      const char *code, const char *const *params, size_t n,
                      const char *extra);
const char *rpc_content_type(enum rpc_kind kind); /* exactly application/json or text/xml */
#endif
