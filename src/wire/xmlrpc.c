/* SPDX-License-Identifier: Apache-2.0 */
/* XML-RPC to a tree, by expat's callbacks. The grammar is a table: which element may stand in which; a frame per open
 * element; one text buffer, because only leaves have text. Bounds: nesting, and a budget of memory in proportion to
 * the input. Any document type declaration stops the parser, so there are no entities but XML's own five. Pure; any
 * thread. */
#include <expat.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "wire/rpc.h"

#define METHOD_MAX      256
#define MEMORY_PER_BYTE 12 /* of the tree; expat and the text buffer make it less than 16 */
#define MEMORY_SLACK    (64 * 1024)
/* The document, methodCall params param value, then value array data | value struct member for each level, then a leaf. */
#define FRAMES_MAX (1 + 5 + 3 * RPC_DEPTH_MAX + 1)

/* What a node costs in jansson 2.14 on a 64-bit machine, rounded up. */
enum { COST_OBJECT = 272, COST_ARRAY = 144, COST_VALUE = 96, COST_MEMBER = 112 };

enum el {
    EL_NONE,
    EL_CALL,
    EL_RESPONSE,
    EL_METHOD,
    EL_PARAMS,
    EL_PARAM,
    EL_FAULT,
    EL_VALUE,
    EL_ARRAY,
    EL_DATA,
    EL_STRUCT,
    EL_MEMBER,
    EL_NAME,
    EL_STRING,
    EL_INT,
    EL_BOOLEAN,
    EL_DOUBLE,
    EL_DATE,
    EL_BASE64,
    EL_NIL,
};

#define IN(el) (1U << (el))

struct rule {
    const char *name;
    enum el el;
    unsigned parents; /* where it may stand */
    unsigned most;    /* how many children it may have */
    bool text;        /* character data means something */
};

static const struct rule rules[] = {
    { "methodCall", EL_CALL, IN(EL_NONE), 2, false },
    { "methodResponse", EL_RESPONSE, IN(EL_NONE), 1, false },
    { "methodName", EL_METHOD, IN(EL_CALL), 0, true },
    { "params", EL_PARAMS, IN(EL_CALL) | IN(EL_RESPONSE), UINT_MAX, false },
    { "param", EL_PARAM, IN(EL_PARAMS), 1, false },
    { "fault", EL_FAULT, IN(EL_RESPONSE), 1, false },
    { "value", EL_VALUE,
      IN(EL_NONE) | IN(EL_PARAM) | IN(EL_FAULT) | IN(EL_DATA) | IN(EL_MEMBER), 1, true },
    { "array", EL_ARRAY, IN(EL_VALUE), 1, false },
    { "data", EL_DATA, IN(EL_ARRAY), UINT_MAX, false },
    { "struct", EL_STRUCT, IN(EL_VALUE), UINT_MAX, false },
    { "member", EL_MEMBER, IN(EL_STRUCT), 2, false },
    { "name", EL_NAME, IN(EL_MEMBER), 0, true },
    { "string", EL_STRING, IN(EL_VALUE), 0, true },
    { "int", EL_INT, IN(EL_VALUE), 0, true },
    { "i4", EL_INT, IN(EL_VALUE), 0, true },
    { "i8", EL_INT, IN(EL_VALUE), 0, true },
    { "boolean", EL_BOOLEAN, IN(EL_VALUE), 0, true },
    { "double", EL_DOUBLE, IN(EL_VALUE), 0, true },
    { "dateTime.iso8601", EL_DATE, IN(EL_VALUE), 0, true },
    { "base64", EL_BASE64, IN(EL_VALUE), 0, true },
    { "nil", EL_NIL, IN(EL_VALUE), 0, false },
};

static const struct rule document = { "", EL_NONE, 0, 1, false };

struct frame {
    const struct rule *rule;
    unsigned children;
    json_t *node; /* owned: what this element has become so far */
    char *name;   /* member: owned */
};

struct parser {
    XML_Parser xml;
    struct err *err;
    bool failed;
    unsigned root;                   /* IN() of the wanted root element */
    struct frame frames[FRAMES_MAX]; /* [0] is the document itself */
    size_t n;
    size_t levels; /* open arrays and structs */
    size_t budget; /* bytes of tree still allowed */
    struct buf text;
    char *method;
    json_t *params; /* of a call */
    json_t *result; /* the root value, or that of the response */
    bool fault;
};

static void refuse(struct parser *p, const char *sentence)
{
    if (p->failed)
        return;
    p->failed = true;
    err_set(p->err, RPC_MALFORMED, sentence);
    err_detail(p->err, "XML line %lu", (unsigned long)XML_GetCurrentLineNumber(p->xml));
    XML_StopParser(p->xml, XML_FALSE);
}

static bool spend(struct parser *p, size_t cost)
{
    if (cost > p->budget) {
        refuse(p, "the XML has too many elements for its size");
        return false;
    }
    p->budget -= cost;
    return true;
}

static bool blank(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (s[i] != ' ' && s[i] != '\t' && s[i] != '\n' && s[i] != '\r')
            return false;
    }
    return true;
}

static const struct rule *find_rule(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        if (strcmp(rules[i].name, name) == 0)
            return &rules[i];
    }
    return NULL;
}

/* Whether an element may stand next in parent: its place, its number, and the order of the few that have one. */
static bool allowed(const struct parser *p, const struct rule *rule,
                    const struct frame *parent)
{
    if (parent->rule->el == EL_NONE && !(p->root & IN(rule->el)))
        return false;
    if (!(rule->parents & IN(parent->rule->el)) || parent->children >= parent->rule->most)
        return false;
    if (parent->rule->el == EL_CALL)
        return (rule->el == EL_METHOD) == (parent->children == 0);
    if (parent->rule->el == EL_MEMBER)
        return (rule->el == EL_NAME) == (parent->children == 0);
    if (parent->rule->el == EL_PARAMS && p->n == 3 && p->frames[1].rule->el == EL_RESPONSE)
        return parent->children == 0;
    return true;
}

static void on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
    struct parser *p = arg;
    struct frame *parent = &p->frames[p->n - 1];
    const struct rule *rule = find_rule(name);
    if (p->failed)
        return;
    if (!rule || !allowed(p, rule, parent)) {
        refuse(p, "an element that XML-RPC does not have here");
        return;
    }
    if (!blank(buf_str(&p->text), p->text.len)) {
        refuse(p, "text between elements");
        return;
    }
    bool nests = rule->el == EL_ARRAY || rule->el == EL_STRUCT;
    if ((nests && p->levels == RPC_DEPTH_MAX) || p->n == FRAMES_MAX) {
        refuse(p, "the XML is nested too deeply");
        return;
    }
    parent->children++;
    p->levels += nests;
    buf_clear(&p->text);
    struct frame *f = &p->frames[p->n++];
    *f = (struct frame){ .rule = rule };
    if (rule->el == EL_ARRAY && spend(p, COST_ARRAY))
        f->node = json_array();
    else if (rule->el == EL_STRUCT && spend(p, COST_OBJECT))
        f->node = json_object();
}

static void on_text(void *arg, const XML_Char *s, int len)
{
    struct parser *p = arg;
    if (p->failed)
        return;
    const struct frame *f = &p->frames[p->n - 1];
    if (f->rule->text && f->children == 0)
        buf_add(&p->text, s, (size_t)len);
    else if (!blank(s, (size_t)len))
        refuse(p, "text between elements");
}

static void on_doctype(void *arg, const XML_Char *name, const XML_Char *sysid,
                       const XML_Char *pubid, int internal)
{
    refuse(arg, "a document type declaration");
}

/* The collected text without white space around it, as numbers and dates are taken. */
static json_t *trimmed(const struct parser *p)
{
    const char *s = buf_str(&p->text);
    size_t len = p->text.len;
    while (len > 0 && blank(s, 1)) {
        s++;
        len--;
    }
    while (len > 0 && blank(s + len - 1, 1))
        len--;
    return json_stringn(s, len);
}

static json_t *leaf(struct parser *p, enum el el)
{
    if (!spend(p, COST_VALUE + p->text.len))
        return NULL;
    if (el == EL_NIL)
        return json_null();
    if (el == EL_STRING || el == EL_VALUE)
        return json_stringn(buf_str(&p->text), p->text.len);
    json_t *text = trimmed(p);
    if (el != EL_BOOLEAN)
        return text;
    const char *s = json_string_value(text);
    bool yes = str_eq(s, "1"), no = str_eq(s, "0");
    json_decref(text);
    if (!yes && !no)
        refuse(p, "a boolean that is neither 0 nor 1");
    return json_boolean(yes);
}

/* A member is complete; the last of two with one name counts. */
static void end_member(struct parser *p, struct frame *f)
{
    if (f->children != 2) {
        refuse(p, "a member without name or value");
        return;
    }
    json_t *object = p->frames[p->n - 1].node;
    if (!spend(p, COST_MEMBER + strlen(f->name))
        || json_object_set_new(object, f->name, TAKE(f->node)) != 0)
        refuse(p, "a member that cannot be held");
}

/* A value is complete: hand it to what it stands in. */
static void end_value(struct parser *p, struct frame *f)
{
    struct frame *parent = &p->frames[p->n - 1];
    json_t *value = f->children ? TAKE(f->node) : leaf(p, EL_VALUE);
    if (!value) {
        refuse(p, "a value that is not text");
        return;
    }
    enum el in = parent->rule->el;
    if (in == EL_PARAM && p->params) {
        json_array_append_new(p->params, value);
    } else if (in == EL_DATA) {
        json_array_append_new(p->frames[p->n - 2].node, value);
    } else if (in == EL_MEMBER) {
        parent->node = value;
    } else {
        p->fault = in == EL_FAULT;
        p->result = value;
    }
}

static void end_method(struct parser *p)
{
    json_t *name = trimmed(p);
    size_t len = json_string_length(name);
    if (len == 0 || len > METHOD_MAX)
        refuse(p, "methodName is not a text of at most 256 bytes");
    else
        p->method = str_dup(json_string_value(name));
    json_decref(name);
}

static void on_end(void *arg, const XML_Char *name)
{
    struct parser *p = arg;
    if (p->failed)
        return;
    struct frame *f = &p->frames[--p->n];
    struct frame *parent = &p->frames[p->n - 1];
    switch (f->rule->el) {
    case EL_VALUE: end_value(p, f); break;
    case EL_MEMBER: end_member(p, f); break;
    case EL_METHOD: end_method(p); break;
    case EL_NAME: parent->name = str_dupn(buf_str(&p->text), p->text.len); break;
    case EL_PARAM:
    case EL_FAULT:
    case EL_ARRAY:
        if (f->children != 1)
            refuse(p, "an element without its content");
        __attribute__((fallthrough));
    case EL_STRUCT:
        if (parent->rule->el == EL_VALUE) {
            p->levels--;
            parent->node = TAKE(f->node);
        }
        break;
    case EL_NONE:
    case EL_CALL:
    case EL_RESPONSE:
    case EL_PARAMS:
    case EL_DATA: break;
    case EL_STRING:
    case EL_INT:
    case EL_BOOLEAN:
    case EL_DOUBLE:
    case EL_DATE:
    case EL_BASE64:
    case EL_NIL:
        parent->node = leaf(p, f->rule->el);
        if (!parent->node)
            refuse(p, "a value that is not text");
        break;
    }
    json_decref(f->node);
    free(f->name);
    *f = (struct frame){ 0 };
    buf_clear(&p->text);
}

static int run(struct parser *p, const char *text, size_t len)
{
    p->xml = XML_ParserCreate(NULL);
    p->text = BUF_INIT(0); /* no longer than the input */
    p->budget = len > INT_MAX ? 0 : len * MEMORY_PER_BYTE + MEMORY_SLACK;
    XML_SetUserData(p->xml, p);
    XML_SetElementHandler(p->xml, on_start, on_end);
    XML_SetCharacterDataHandler(p->xml, on_text);
    XML_SetStartDoctypeDeclHandler(p->xml, on_doctype);
    if (len > INT_MAX) {
        refuse(p, "the XML is too long");
    } else if (XML_Parse(p->xml, text, (int)len, XML_TRUE) != XML_STATUS_OK) {
        if (!p->failed)
            err_detail(p->err, "%s", XML_ErrorString(XML_GetErrorCode(p->xml)));
        refuse(p, "the text is not well-formed XML");
    }
    XML_ParserFree(p->xml);
    return p->failed ? -1 : 0;
}

static void parser_free(struct parser **pp)
{
    struct parser *p = *pp;
    for (size_t i = 0; i < p->n; i++) {
        json_decref(p->frames[i].node);
        free(p->frames[i].name);
    }
    buf_done(&p->text);
    free(p->method);
    json_decref(p->params);
    json_decref(p->result);
    free(p);
}

static struct parser *parser_new(enum el root, struct err *err)
{
    struct parser *p = mem_alloc(sizeof(*p));
    p->root = IN(root);
    p->frames[0].rule = &document;
    p->n = 1;
    p->err = err;
    return p;
}

int xmlrpc_parse(const char *p, size_t len, struct rpc_req *out, struct err *err)
{
    AUTO(parser_free) struct parser *parser = parser_new(EL_CALL, err);
    parser->params = json_array();
    if (run(parser, p, len) < 0)
        return -1;
    if (!parser->method)
        return err_set(err, RPC_MALFORMED, "a call without methodName");
    struct rpc_req req = { .kind = RPC_XML };
    req.method = TAKE(parser->method);
    req.params = TAKE(parser->params);
    *out = req;
    return 0;
}

json_t *xmlrpc_parse_value(const char *p, size_t len, struct err *err)
{
    AUTO(parser_free) struct parser *parser = parser_new(EL_VALUE, err);
    return run(parser, p, len) < 0 ? NULL : TAKE(parser->result);
}

json_t *xmlrpc_parse_response(const char *p, size_t len, struct err *err)
{
    AUTO(parser_free) struct parser *parser = parser_new(EL_RESPONSE, err);
    if (run(parser, p, len) < 0)
        return NULL;
    if (!parser->result) {
        err_set(err, RPC_MALFORMED, "an answer without a value");
        return NULL;
    }
    if (parser->fault) {
        const char *why = json_string_value(json_object_get(parser->result, "faultString"));
        err_set(err, RPC_MALFORMED, "the answer is a fault");
        err_detail(err, "%s", why ? why : "no faultString");
        return NULL;
    }
    return TAKE(parser->result);
}
